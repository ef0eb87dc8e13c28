"""The whole project in two minutes: train level 2 on real digits, run all three levels on the same weights and compare
every tensor, and draw what the models have learned. Everything goes to runs/demo/.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_lowlevel.train import Config, train, train_step
from vae_numpy import checks, digits, weights
from vae_numpy.figures import image_rows
from vae_numpy.layers import sigmoid
from vae_paper import download, models, objectives
from vae_paper.drawing import plots
from vae_paper.vae import reparameterize

OUT = Path("runs/demo")
SECONDS = 25  # of training, for each of the two models
Trace = dict[str, np.ndarray]
Call = tuple[Callable, tuple, dict[str, Any], Any]


def main() -> None:
    """Train, compare, draw."""
    data, test = fetch_digits(), digits.load("auto", "test")
    print(f"Digits: {data.source}; {test.source}; grayscale.\n")
    trained = {}
    for latent_dim in (20, 2):
        config = Config(latent_dim=latent_dim, batch_size=64)
        steps = steps_within(SECONDS, config, data)
        print(f"Training level 2, D = {latent_dim}, for about {SECONDS} s: {steps} steps (the number depends on the machine).")
        params = {name: p.numpy() for name, p in train(config, data, test, steps).items()}
        weights.save(
            OUT / f"vae_d{latent_dim}.safetensors", params, {"model": "vae", "latent_dim": latent_dim, "data": data.source}
        )
        trained[latent_dim] = params
        print()
    for latent_dim, params in trained.items():
        print_trace(params, test, latent_dim)
    draw(trained, test)
    print(f"Pictures: {', '.join(str(path) for path in sorted(OUT.glob('*.png')))}")


def fetch_digits() -> digits.Digits:
    """MNIST, downloaded where that takes at most 10 seconds; else the handwriting."""
    if not digits.is_on_disk("mnist"):
        try:
            download.download("mnist", seconds=10)
        except ValueError as error:
            print(f"No MNIST ({error}). The demo uses the bundled handwriting; `make mnist` tries to download MNIST again.")
    return digits.load("auto", "train")


def steps_within(seconds: float, config: Config, data: digits.Digits) -> int:
    """How many training steps this machine takes in so many seconds, from a few that are thrown away."""
    params = level2.init_params(config.latent_dim, np.random.default_rng(0))
    optimizer = torch.optim.Adam(params.values())
    x, eps = torch.from_numpy(data.images[: config.batch_size]), torch.zeros(config.batch_size, config.latent_dim)
    durations = []
    for _ in range(15):
        started = time.perf_counter()
        train_step(params, optimizer, x, eps)
        durations.append(time.perf_counter() - started)
    return min(int(seconds / np.median(durations)), 40 * len(data.images) // config.batch_size)


@contextlib.contextmanager
def noted_calls(vae: Any) -> Iterator[list[Call]]:
    """While this is open, every call of a layer by level 1 or 2 is noted: (layer, arguments, options, result)."""
    calls: list[Call] = []
    layers = {name: getattr(vae, name) for name in ("linear", "conv2d", "conv_transpose2d")}

    def noting(layer: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            result = layer(*arguments, **options)
            calls.append((layer, arguments, options, result))
            return result

        return call

    try:
        for name, layer in layers.items():
            setattr(vae, name, noting(layer))
        yield calls
    finally:
        for name, layer in layers.items():
            setattr(vae, name, layer)


def trace_functions(vae: Any, params: Any, x: Any, eps: Any) -> Trace:
    """Every tensor of level 1 or 2; a layer's result is known by the weight that it was called with."""
    name_of = {id(p): name.removesuffix(".weight") for name, p in params.items()}
    with noted_calls(vae) as calls:
        mu, logvar = vae.encode(params, x)
        z = vae.reparameterize(mu, logvar, eps)
        logits = vae.decode(params, z)
    noted = {name_of[id(weight)]: result for _, (_, weight, *_), _, result in calls}
    noted |= {"z": z, "reconstruction": vae.reconstruction_loss(logits, x), "KL": vae.kl_divergence(mu, logvar)}
    noted["ELBO"] = vae.elbo(params, x, eps)
    return {name: np.asarray(t) for name, t in noted.items()}


def trace_module(model: torch.nn.Module, x: torch.Tensor, eps: torch.Tensor) -> Trace:
    """Every tensor of level 3: its layers are modules, so each is asked by a hook."""
    noted: dict[str, Any] = {}
    layers = [(name, m) for name, m in model.named_modules() if hasattr(m, "weight")]
    hooks = [m.register_forward_hook(lambda m, x, y, name=name: noted.__setitem__(name, y)) for name, m in layers]
    terms = model(x, eps[None])
    for hook in hooks:
        hook.remove()
    noted["z"] = reparameterize(noted["encoder.mu"], noted["encoder.logvar"], eps)
    noted |= {"reconstruction": terms.distortion[0], "KL": terms.rate.sum(1), "ELBO": objectives.elbo(terms)}
    return {name: np.asarray(t) for name, t in noted.items()}


@torch.inference_mode()
def traces(params: Trace, x: np.ndarray, eps: np.ndarray, dtype: str) -> tuple[Trace, Trace, Trace]:
    """The same weights, images and noise through levels 1, 2 and 3."""
    params, x, eps = {name: p.astype(dtype) for name, p in params.items()}, x.astype(dtype), eps.astype(dtype)
    tensors = {name: torch.from_numpy(p) for name, p in params.items()}
    model = models.build("vae", checks.check_params(params)).to(getattr(torch, dtype))
    model.load_state_dict(tensors)
    x_t, eps_t = torch.from_numpy(x), torch.from_numpy(eps)
    return trace_functions(level1, params, x, eps), trace_functions(level2, tensors, x_t, eps_t), trace_module(model, x_t, eps_t)


def print_trace(params: Trace, test: digits.Digits, latent_dim: int) -> None:
    """Every tensor of one digit, and the largest difference between any two levels in it."""
    x = test.images[:1]
    eps = np.random.default_rng(0).standard_normal((1, latent_dim))
    in_float64, in_float32 = (traces(params, x, eps, dtype) for dtype in ("float64", "float32"))
    print(f"One digit (a {test.labels[0]}) through levels 1, 2 and 3, D = {latent_dim}; the last three rows in nats per image.")
    print(f"{'tensor':<18}{'shape':<18}{'least':>10}{'most':>10}   largest difference: float64   float32")
    for name, values in in_float64[0].items():
        apart = [max(np.abs(a[name] - b[name]).max() for a in levels for b in levels) for levels in (in_float64, in_float32)]
        shape = str(values.shape).replace(" ", "")
        print(f"{name:<18}{shape:<18}{values.min():>10.3f}{values.max():>10.3f}{apart[0]:>31.1e}{apart[1]:>10.1e}")
    print()


def draw(trained: dict[int, Trace], test: digits.Digits) -> None:
    """Reconstructions and samples of the 20-D model, manifold and map of the 2-D one."""
    params = trained[20]
    mu, _ = level1.encode(params, test.images[:12])
    rows = {"x": test.images[:12], "x̂ from μ": sigmoid(level1.decode(params, mu))}
    image_rows(OUT / "reconstructions.png", rows, f"{test.source}; VAE, D = 20")
    z = np.random.default_rng(1).standard_normal((36, 20), dtype=np.float32)
    x_hat = sigmoid(level1.decode(params, z)).reshape(3, 12, 1, 28, 28)
    image_rows(OUT / "samples.png", {"": x_hat[0], " ": x_hat[1], "  ": x_hat[2]}, "Samples: z ~ N(0, I), D = 20")

    params = trained[2]
    z = plots.manifold_latents(20).astype(np.float32)
    caption = f"VAE, D = 2, trained on {test.source.split(' test')[0].removesuffix(',')}"
    said = f"{caption}\nDecoded latent space, on a grid that is even in probability"
    plots.manifold(OUT / "manifold.png", sigmoid(level1.decode(params, z)), said)
    mu, _ = level1.encode(params, test.images[:5000])
    plots.scatter(OUT / "latents.png", mu, test.labels[:5000], f"{caption}\nThe means mu of {len(mu):,} test digits")


if __name__ == "__main__":
    main()
