"""The whole project in two minutes: train level 2 on real digits, run all three levels on the same weights and compare
every tensor, and draw what the models have learned. Everything goes to runs/demo/.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_lowlevel.train import Config, train, train_step
from vae_numpy import digits, weights
from vae_numpy.command_line import run
from vae_numpy.figures import image_rows
from vae_numpy.files import check_writable
from vae_numpy.layers import sigmoid
from vae_paper import download
from vae_paper.drawing import plots
from vae_paper.trace import Trace, traces

OUT = Path("runs/demo")
SECONDS = 25  # of training, for each of the two models
LEAST_STEPS = 800  # after fewer, most of 20 latents still hold no information about the image


@dataclass
class Demo:
    """Train two VAEs on real digits, compare the three levels on them, and draw pictures. Everything goes to runs/demo/."""


def main(_: Demo) -> None:
    """Train, compare, draw."""
    check_writable(OUT / "samples.png")
    data, test = fetch_digits(), digits.load("auto", "test")
    print(f"Digits: {data.source}; {test.source}; grayscale.\n")
    trained = {}
    for latent_dim in (20, 2):
        config = Config(latent_dim=latent_dim, batch_size=64)
        steps = steps_within(SECONDS, config, data)
        print(f"Training level 2, D = {latent_dim}: {steps} steps, the number for {SECONDS} s, but at least {LEAST_STEPS}.")
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
        except (ValueError, OSError) as error:
            print(f"No MNIST ({error}). The demo uses the bundled handwriting; `make mnist` tries to download MNIST again.")
    return digits.load("auto", "train")


def steps_within(seconds: float, config: Config, data: digits.Digits) -> int:
    """The number of training steps for so many seconds, from a few that are thrown away: at least 800, at most 40 epochs."""
    params = level2.init_params(config.latent_dim, np.random.default_rng(0))
    optimizer = torch.optim.Adam(params.values())
    x, eps = torch.from_numpy(data.images[: config.batch_size]), torch.zeros(config.batch_size, config.latent_dim)
    durations = []
    for _ in range(15):
        started = time.perf_counter()
        train_step(params, optimizer, x, eps)
        durations.append(time.perf_counter() - started)
    return max(LEAST_STEPS, min(int(seconds / np.median(durations)), 40 * len(data.images) // config.batch_size))


def print_trace(params: Trace, test: digits.Digits, latent_dim: int) -> None:
    """Every tensor of one digit, and the largest difference between any two levels in it."""
    x = test.images[:1]
    eps = np.random.default_rng(0).standard_normal((1, latent_dim))
    in_float64, in_float32 = (traces((level1, level2), params, x, eps, dtype) for dtype in ("float64", "float32"))
    print(f"Every tensor that levels 1, 2 and 3 compute for one digit (a {test.labels[0]}), D = {latent_dim}. ", end="")
    print("Reconstruction, KL and ELBO: nats per image.")
    print(f"{'tensor':<18}{'shape':<18}{'least':>10}{'most':>10}{'levels differ by: float64':>31}{'float32':>10}")
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
    said = f"{caption}\nThe means mu of {len(mu):,} test digits"
    plots.scatters(OUT / "latents.png", {"": (mu, "$\\mu$")}, test.labels[:5000], said)


if __name__ == "__main__":
    run("python demo.py", Demo, main)
