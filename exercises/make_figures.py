"""Draw the figures of the exercise pages, and write the numbers beside them to results/exercises.json.

`python -m exercises.make_figures` draws all (it trains small models on the bundled handwriting, a few minutes in
all); `python -m exercises.make_figures 05` draws those of one exercise.
"""

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from vae_numpy import digits, vae, weights
from vae_numpy.layers import sigmoid
from vae_numpy.weights import write_atomically

FIGURES = Path(__file__).parent / "figures"
RESULTS = Path(__file__).parents[1] / "results" / "exercises.json"


def save(figure: Figure, name: str) -> None:
    """A small PNG."""
    figure.tight_layout()
    FIGURES.mkdir(exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    Image.open(drawn).convert("RGB").quantize(160).save(FIGURES / name, optimize=True)
    size = (FIGURES / name).stat().st_size
    print(f"{FIGURES / name}: {size / 1000:.0f} kB")
    assert size < 100_000


def trained(name: str, latent_dim: int, objective: str = "vae", epochs: int = 40, **options: float) -> dict[str, np.ndarray]:
    """Weights of a small model trained on the bundled handwriting, kept in runs/exercises/.

    `objective`: "vae", -ELBO with the KL weighted by `beta` (the whole time, or rising during the first `warmup` of it) and
    with `floor` nats of free bits per latent; "ae", the reconstruction from z = mu alone.
    """
    import torch

    from vae_lowlevel import train, vae

    told = "_".join([name, *(f"{k}{v}" for k, v in options.items())])
    path = Path("runs/exercises") / f"{told}_d{latent_dim}_e{epochs}.safetensors"
    if path.exists():
        return weights.load(path)[0]
    data = digits.load("handwriting")
    steps = epochs * (len(data.images) // 64)
    generator = torch.Generator().manual_seed(0)
    params = vae.init_params(latent_dim, np.random.default_rng(0))
    optimizer = torch.optim.Adam(params.values(), lr=2e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    bar = tqdm(train.batches(torch.from_numpy(data.images), 64, steps, generator), total=steps, desc=told)
    for step, x in enumerate(bar):
        mu, logvar = vae.encode(params, x)
        eps = torch.randn(mu.shape, generator=generator)
        z = mu if objective == "ae" else vae.reparameterize(mu, logvar, eps)
        loss = vae.reconstruction_loss(vae.decode(params, z), x).mean()
        if objective == "vae":
            rate = 0.5 * (mu**2 + torch.expm1(logvar) - logvar).mean(0)  # (D,)
            beta = options.get("beta", 1.0) * min(1.0, step / steps / options.get("warmup", 1e-9))
            loss = loss + beta * rate.clamp(min=options.get("floor", 0.0)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    arrays = {name: p.detach().numpy() for name, p in params.items()}
    weights.save(path, arrays, {"model": objective, "data": data.source, "epochs": epochs, **options})
    return arrays


def images_of(params: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """x_hat, (N, 1, 28, 28)."""
    return sigmoid(vae.decode(params, z.astype(np.float32)))


def slant(images: np.ndarray) -> np.ndarray:
    """How far a digit leans: covariance of row and column of its ink, over the variance of the row."""
    ink = images[:, 0] / images.sum((1, 2, 3))[:, None, None]  # (B, 28, 28)
    rows, columns = np.arange(28.0)[:, None], np.arange(28.0)
    r = rows - (ink * rows).sum((1, 2))[:, None, None]
    c = columns - (ink * columns).sum((1, 2))[:, None, None]
    return -(ink * r * c).sum((1, 2)) / (ink * r**2).sum((1, 2))


def figure_01() -> dict[str, Any]:
    """Where the AE and the VAE put the digits, and what they decode at the prior's points."""
    from exercises.solutions.ex01 import factor_correlation, hole_fraction, jumps

    test = digits.load("handwriting", "test")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1000, 2), dtype=np.float32)
    figure = Figure(figsize=(8, 7.6))
    axes, numbers = figure.subplots(2, 2), {}
    for row, kind in zip(axes, ("ae", "vae"), strict=True):
        params = trained(kind, 2, kind)
        mu, logvar = vae.encode(params, test.images)
        unit = np.ones(2) if kind == "vae" else mu.std(0)  # an AE has no prior: one is fitted to its codes
        centre = np.zeros(2) if kind == "vae" else mu.mean(0)
        if kind == "ae":
            logvar = np.full_like(mu, 2 * np.log(0.1)) + 2 * np.log(unit, dtype=np.float32)
        scaled, narrow = (mu - centre) / unit, logvar - 2 * np.log(unit)
        pairs = zip(mu[:30], mu[200:230], strict=True)
        walks = [jumps(partial(images_of, params), a, b, 50) for a, b in pairs]
        factors = np.stack([test.images.sum((1, 2, 3)), slant(test.images)], 1)
        correlation = factor_correlation(mu.astype(float), factors.astype(float))
        numbers[kind] = {
            "holes": hole_fraction(z.astype(float), scaled.astype(float), narrow.astype(float), 3.0),
            "holes_without_fit": hole_fraction(z.astype(float), mu.astype(float), logvar.astype(float), 3.0),
            "largest_jump_over_mean_jump": float(np.mean([w.max() / w.mean() for w in walks])),
            "correlation_with_ink_and_slant": correlation.round(3).tolist(),
            "std_of_mu": mu.std(0).round(2).tolist(),
        }
        for label in range(10):
            row[0].plot(*mu[test.labels == label].T, ".", ms=4, color=f"C{label}", label=str(label))
        row[0].set(title=f"{kind.upper()}: 360 test digits", xlabel="$\\mu_1$", ylabel="$\\mu_2$")
        at = np.linspace(-2.2, 2.2, 11)
        grid = np.stack(np.meshgrid(at, at[::-1]), -1).reshape(-1, 2) * unit + centre
        sheet = sigmoid(vae.decode(params, grid.astype(np.float32)))[:, 0].reshape(11, 11, 28, 28)
        row[1].imshow(sheet[:, :, 2:26, 2:26].transpose(0, 2, 1, 3).reshape(11 * 24, 11 * 24), cmap="gray_r")
        row[1].set(title=f"{kind.upper()}: decoded grid, ±2.2 {'σ of its codes' if kind == 'ae' else ''}", xticks=[], yticks=[])
    axes[0, 0].legend(markerscale=2, fontsize=7, ncols=2)
    save(figure, "01_ae_and_vae.png")
    return numbers


def figure_02() -> dict[str, Any]:
    """A straight, a spherical and a label-guided walk, decoded."""
    from exercises.solutions.ex02 import label_direction, label_walk, lerp, slerp

    params, test = trained("vae", 20), digits.load("handwriting", "test")
    train = digits.load("handwriting")
    mu = vae.encode(params, test.images)[0].astype(float)
    train_mu = vae.encode(params, train.images)[0].astype(float)
    a, b = (int(np.flatnonzero(test.labels == label)[3]) for label in (4, 9))
    t = np.linspace(0, 1, 11)
    direction = label_direction(train_mu, train.labels, 4, 9)
    walks = {"lerp": lerp(mu[a], mu[b], t), "slerp": slerp(mu[a], mu[b], t), "label 4→9": label_walk(mu[a], direction, t)}
    figure = Figure(figsize=(8, 2.4))
    for axis, (name, z) in zip(figure.subplots(3, 1), walks.items(), strict=True):
        x_hat = sigmoid(vae.decode(params, z.astype(np.float32)))[:, 0]
        axis.imshow(np.concatenate(list(x_hat), 1), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle("VAE, D = 20, bundled handwriting: from a 4 to a 9", fontsize=10)
    save(figure, "02_walks.png")
    return {f"middle_norm_{name}": float(np.linalg.norm(z[5])) for name, z in walks.items()} | {
        "norm_of_ends": [float(np.linalg.norm(mu[a])), float(np.linalg.norm(mu[b]))]
    }


def figure_03() -> dict[str, Any]:
    """The ELBO over the mean of q, below log p(x), with the gap between them."""
    from exercises.solutions.ex03 import elbo, gap, log_evidence, posterior

    model = {"w": 1.7, "b": -0.4, "s2": 0.3}
    x = np.full(201, 1.5)
    best, best_logvar = (float(v[0]) for v in posterior(x, **model))
    mu = np.linspace(best - 1.2, best + 1.2, 201)
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    axis.axhline(log_evidence(x, **model)[0], color="k", lw=1.5, label="log p(x)")
    for logvar, name in ((best_logvar, "the posterior's variance"), (best_logvar + 1.5, "4.5 times that variance")):
        line = elbo(x, mu, np.full_like(mu, logvar), **model)
        axis.plot(mu, line, label=f"ELBO, q with {name}")
        np.testing.assert_allclose(line + gap(x, mu, np.full_like(mu, logvar), **model), log_evidence(x, **model))
    axis.axvline(best, color="0.8", lw=1, zorder=0)
    axis.set(xlabel="mean of q(z|x)", ylabel="nats", ylim=(-8, -1), title="x = 1.5: the gap is KL(q || posterior)")
    axis.legend(frameon=False, loc="lower center")
    save(figure, "03_gap.png")
    return {}


def figure_04() -> dict[str, Any]:
    """The variance of three estimators of one gradient, against the latent size."""
    from exercises.solutions.ex04 import pathwise_gradient, score_gradient, score_gradient_with_baseline

    sizes, rows = [1, 2, 5, 10, 20, 50, 100], []
    for size in sizes:
        rng = np.random.default_rng(size)
        mu, logvar, eps = np.ones(size), np.zeros(size), rng.standard_normal((2000, size))
        f, df = (lambda z: (z**2).sum(1)), (lambda z: 2 * z)
        estimates = [pathwise_gradient(mu, logvar, eps, df), score_gradient(mu, logvar, eps, f)]
        estimates.append(score_gradient_with_baseline(mu, logvar, eps, f))
        rows.append([float(by_mu.var(0).mean()) for by_mu, _ in estimates])
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    for values, name, style in zip(
        zip(*rows, strict=True), ("pathwise", "score function", "score, baseline"), "osd", strict=True
    ):
        axis.loglog(sizes, values, marker=style, label=name)
    axis.set(
        xlabel="latent size D", ylabel="variance of one sample's estimate", title="f(z) = |z|², gradient by μ at μ = 1, σ = 1"
    )
    axis.legend(frameon=False)
    save(figure, "04_variance.png")
    return {"sizes": sizes, "variance_pathwise_score_baseline": rows}


def figure_05() -> dict[str, Any]:
    """Right and wrong KLs as functions of logvar at mu = 1: all meet at logvar = 0."""
    from exercises.checks.ex05 import WRONG
    from vae_numpy.vae import kl_divergence

    logvar = np.linspace(-3, 2, 201)
    mu = np.ones_like(logvar)
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    axis.plot(logvar, kl_divergence(mu[:, None], logvar[:, None]), "k", lw=2.5, label="right")
    for name, style in {
        "sigma_as_variance": "--",
        "log_sigma": "-.",
        "reverse": ":",
        "mu_not_squared": (0, (5, 1, 1, 1, 1, 1)),
    }.items():
        answer = next(w.answer for w in WRONG if w.name == name)
        axis.plot(logvar, answer(mu[:, None], logvar[:, None]), ls=style, label=name)
    axis.axvline(0, color="0.8", lw=1, zorder=0)
    axis.set(xlabel="logvar", ylabel="KL, nats", ylim=(0, 4), title="One latent, $\\mu$ = 1: five answers, one of them right")
    axis.legend(frameon=False)
    save(figure, "05_wrong_answers.png")
    return {}


def main(wanted: list[str]) -> None:
    """Draw what is wanted (all, where nothing is) and note its numbers."""
    draws: dict[str, Callable[[], dict[str, Any]]] = {
        name.removeprefix("figure_"): draw for name, draw in globals().items() if name.startswith("figure_")
    }
    noted = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for number in wanted or sorted(draws):
        if numbers := draws[number]():
            noted[number] = numbers
            write_atomically(RESULTS, (json.dumps(noted, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
