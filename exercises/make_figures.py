"""Draw the figures of the exercise pages, and write the numbers beside them to results/exercises.json.

`python -m exercises.make_figures` draws all figures. It trains small models on the bundled handwriting, which takes about ten
minutes. `python -m exercises.make_figures 05` draws the figures of one exercise.
"""

import io
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from exercises import translation
from vae_numpy import digits, vae, weights
from vae_numpy.command_line import run
from vae_numpy.files import write_atomically
from vae_numpy.layers import sigmoid

FIGURES = Path(__file__).parent / "figures"
RESULTS = Path(__file__).parents[1] / "results" / "exercises.json"


def save(figure: Figure, name: str) -> None:
    """A small PNG; and the same with Korean words, if this computer has a font with Hangul."""
    _write(figure, FIGURES / name)
    if translation.in_hangul(figure):
        _write(figure, FIGURES / "ko" / name)


def _write(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    Image.open(drawn).convert("RGB").quantize(160).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size / 1000:.0f} kB")
    assert size < 100_000


def trained(name: str, latent_dim: int, objective: str = "vae", epochs: int = 40, **options: float) -> dict[str, np.ndarray]:
    """Weights of a small model trained on the bundled handwriting, kept in runs/exercises/.

    `objective`: "vae", -ELBO with the KL weighted by `beta` (the whole time, or rising during the first `warmup` of it) and
    with `floor` nats of free bits per latent; "ae", the reconstruction from z = mu alone.
    """
    import torch

    from vae_lowlevel import train, vae

    torch.set_num_threads(1)  # sums in one order: the same weights however many cores there are
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
    bar = tqdm(train.batches(torch.from_numpy(data.images), 64, steps, generator), total=steps, desc=told, disable=None)
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
        mixed = rng.permutation(len(mu))  # else the last class would hide the others
        row[0].scatter(*mu[mixed].T, s=14, lw=0, c=[f"C{label}" for label in test.labels[mixed]])
        for label in range(10):
            row[0].plot([], [], ".", ms=9, color=f"C{label}", label=str(label))
        row[0].set(title=f"{kind.upper()}: 360 test digits", xlabel="$\\mu_1$", ylabel="$\\mu_2$")
        at = np.linspace(-2.2, 2.2, 11)
        grid = np.stack(np.meshgrid(at, at[::-1]), -1).reshape(-1, 2) * unit + centre
        sheet = sigmoid(vae.decode(params, grid.astype(np.float32)))[:, 0].reshape(11, 11, 28, 28)
        row[1].imshow(sheet[:, :, 2:26, 2:26].transpose(0, 2, 1, 3).reshape(11 * 24, 11 * 24), cmap="gray_r")
        row[1].set(title=f"{kind.upper()}: decoded grid, ±2.2 {'σ of its codes' if kind == 'ae' else ''}", xticks=[], yticks=[])
    axes[0, 0].legend(fontsize=7, ncols=2)
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


def terms(params: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """On the test digits, with z sampled: distortion in nats per image, and the mean rate of each latent."""
    x = digits.load("handwriting", "test").images
    mu, logvar = vae.encode(params, x)
    eps = np.random.default_rng(0).standard_normal(mu.shape, dtype=np.float32)
    distortion = vae.reconstruction_loss(vae.decode(params, vae.reparameterize(mu, logvar, eps)), x)
    rate = 0.5 * (mu**2 + np.expm1(logvar) - logvar).mean(0)
    return float(distortion.mean()), rate.astype(float)


def figure_06() -> dict[str, Any]:
    """Rate and distortion: of the best linear model in closed form, and of trained VAEs."""
    from exercises.solutions.ex06 import rate_distortion

    x = digits.load("handwriting").images.reshape(1437, -1).astype(float)
    spectrum = np.linalg.eigvalsh(np.cov(x.T))[::-1][:64]
    spectrum = spectrum[spectrum > 1e-6]
    linear = []
    for beta in np.geomspace(0.1, 100, 61):
        error, rate = rate_distortion(spectrum, beta, 0.05)
        linear.append((rate.sum(), error.sum()))
    noted: dict[str, Any] = {}
    for beta in (0.25, 1.0, 4.0, 16.0):
        options: dict[str, Any] = {} if beta == 1 else {"beta": beta}
        distortion, rates = terms(trained("vae", 20, **options))
        noted[f"{beta:g}"] = {
            "distortion": distortion,
            "rate": float(rates.sum()),
            "latents_above_0.01": int((rates > 0.01).sum()),
        }
    figure = Figure(figsize=(8, 3.6))
    left, right = figure.subplots(1, 2)
    left.plot(*np.array(linear).T)
    left.set(xlabel="rate, nats", ylabel="squared error per image", title="best linear model, β from 0.1 to 100")
    right.plot([n["rate"] for n in noted.values()], [n["distortion"] for n in noted.values()], "o-")
    for beta, n in noted.items():
        right.annotate(f"β = {beta}", (n["rate"], n["distortion"]), xytext=(6, 5), textcoords="offset points")
    right.margins(y=0.12)
    right.set(xlim=(-2, 30), xlabel="rate, nats", ylabel="distortion (BCE), nats", title="trained VAEs, D = 20, test digits")
    save(figure, "06_rate_distortion.png")
    return noted


def figure_07() -> dict[str, Any]:
    """A 2-D latent space by quantiles; traversals of a 20-D one."""
    from exercises.solutions.ex07 import prior_grid, sheet, traversal

    test = digits.load("handwriting", "test")
    grid = images_of(trained("vae", 2), prior_grid(12))
    params = trained("vae", 20)
    mu, logvar = vae.encode(params, test.images)
    rates = 0.5 * (mu**2 + np.expm1(logvar) - logvar).mean(0)
    chosen = [*np.argsort(-rates)[:5], *np.argsort(rates)[:2]]
    values = np.linspace(-2.5, 2.5, 12)
    walks = [images_of(params, traversal(mu[0].astype(float), int(j), values)) for j in chosen]
    figure = Figure(figsize=(8.5, 4.4))
    left, right = figure.subplots(1, 2)
    left.imshow(sheet(grid, 12), cmap="gray_r")
    left.set(title="D = 2: the prior, evenly in probability", xlabel="$z_1$", ylabel="$z_2$ (upwards)", xticks=[], yticks=[])
    right.imshow(sheet(np.concatenate(walks), 12), cmap="gray_r")
    right.set(title="D = 20: one latent from -2.5 to 2.5", xticks=[])
    right.set_yticks(14 + 28 * np.arange(7), [f"KL {rates[j]:.2f}" for j in chosen])
    save(figure, "07_grid_and_traversals.png")
    return {"rates_shown": [round(float(rates[j]), 3) for j in chosen]}


def trained_cvae(latent_dim: int = 20, epochs: int = 60, label_rate: float = 2e-2) -> dict[str, np.ndarray]:
    """Weights of level 3's CVAE on the bundled handwriting: the VAE's, and two matrices (256, 10) for the label.

    `label_rate` is the learning rate of the two matrices; a larger one than the others' suits a short training.
    """
    import torch

    import vae_paper

    def adam(parameters: Any) -> torch.optim.Optimizer:
        of_label: list[Any] = []
        others: list[Any] = []
        for parameter in parameters:
            (of_label if parameter.shape == (256, 10) else others).append(parameter)
        groups: list[dict[str, Any]] = [{"params": others}, {"params": of_label, "lr": label_rate}]
        return torch.optim.Adam(groups, lr=2e-3, fused=True)

    torch.set_num_threads(1)
    name = f"exercise-cvae-d{latent_dim}-e{epochs}-r{label_rate:g}"
    options: dict[str, Any] = {"source": "handwriting", "validation": 0.0, "epochs": epochs, "batch_size": 64}
    config = vae_paper.Config(name=name, latent_dim=latent_dim, **options)
    model = vae_paper.models.build("cvae", latent_dim)
    for part in (model.encoder_label, model.decoder_label):
        torch.nn.init.zeros_(part.weight)  # so that training starts from the VAE
    begun = (Path("runs") / name / "state.safetensors").exists()  # then go on; a finished run takes no step
    folder = vae_paper.train(config if not begun else vae_paper.Config(name=name, resume=True), model=model, optimizer=adam)
    return weights.load_tensors(folder / "weights.safetensors")[0]


def figure_08() -> dict[str, Any]:
    """Ten labels for each of six z; and what the model says of test digits with the right and with a wrong label."""
    from exercises.solutions.ex07 import sheet
    from exercises.solutions.ex08 import elbo, sample

    params, test = trained_cvae(), digits.load("handwriting", "test")
    eps = np.random.default_rng(2).standard_normal((6, 20), dtype=np.float32)
    x_hat = sample(params, np.tile(np.arange(10), 6), np.repeat(eps, 10, axis=0))
    figure = Figure(figsize=(6, 4))
    axis = figure.add_subplot()
    axis.imshow(sheet(x_hat, 10), cmap="gray_r")
    axis.set(title="CVAE: one z in each row, one label in each column", yticks=[])
    axis.set_xticks(14 + 28 * np.arange(10), list("0123456789"))
    save(figure, "08_labels.png")
    noise = np.random.default_rng(0).standard_normal((len(test.images), 20), dtype=np.float32)
    right = elbo(params, test.images, test.labels, noise)
    wrong = elbo(params, test.images, (test.labels + 1) % 10, noise)
    # the label under which a digit has the largest ELBO
    each = np.stack([elbo(params, test.images, np.full_like(test.labels, label), noise) for label in range(10)])
    return {
        "elbo_right_label": float(right.mean()),
        "elbo_wrong_label": float(wrong.mean()),
        "classified_by_elbo": float((each.argmax(0) == test.labels).mean()),
    }


def figure_09() -> dict[str, Any]:
    """Schedules; and the rate of models trained with and without a warm-up."""
    from exercises.solutions.ex09 import cyclical, linear

    at = np.linspace(0, 1, 401)
    figure = Figure(figsize=(7, 3))
    axis = figure.add_subplot()
    axis.plot(at, [linear(p, 0.5) for p in at], label="linear, rise = 0.5")
    axis.plot(at, [cyclical(p, 4, 0.5) for p in at], label="cyclical, 4 cycles, rise = 0.5")
    axis.set(xlabel="progress of the training", ylabel="KL weight", title="Two schedules of beta", ylim=(-0.05, 1.45))
    axis.legend(frameon=False, loc="upper center", ncols=2)
    save(figure, "09_schedules.png")
    noted: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {"constant": {"beta": 4.0}, "warmup": {"beta": 4.0, "warmup": 0.5}}
    for name, options in models.items():
        distortion, rates = terms(trained("vae", 20, **options))
        noted[name] = {"distortion": distortion, "rate": float(rates.sum()), "latents_above_0.01": int((rates > 0.01).sum())}
    return noted


def figure_10() -> dict[str, Any]:
    """The rate of every latent: healthy, collapsed by beta = 16, and cured by free bits."""
    models: dict[str, dict[str, Any]] = {
        "beta = 1": {},
        "beta = 16": {"beta": 16.0},
        "beta = 16, free bits 0.25": {"beta": 16.0, "floor": 0.25},
    }
    figure, noted = Figure(figsize=(8, 3.2)), dict[str, Any]()
    for axis, (name, options) in zip(figure.subplots(1, 3, sharey=True), models.items(), strict=True):
        distortion, rates = terms(trained("vae", 20, **options))
        noted[name] = {"distortion": distortion, "rate": float(rates.sum()), "latents_above_0.01": int((rates > 0.01).sum())}
        axis.bar(range(20), np.sort(rates)[::-1])
        axis.set(title=name, xlabel="latent, by its rate")
    figure.axes[0].set_ylabel("mean KL, nats")
    save(figure, "10_collapse.png")
    return noted


def figure_11() -> dict[str, Any]:
    """Codes moved by the codebook term: started in a corner, most never move; started on data, most are used."""
    import torch

    from exercises.solutions.ex11 import nearest_code, perplexity, vq_loss

    rng = np.random.default_rng(0)
    centres = np.array([[2, 2], [-2, 2], [-2, -2], [2, -2]])
    points = torch.tensor(centres[rng.integers(0, 4, 400)] + 0.5 * rng.standard_normal((400, 2)))
    starts = {"corner": torch.tensor(3.2 + 0.3 * rng.standard_normal((16, 2))), "data": points[:16].clone()}
    figure, noted = Figure(figsize=(8, 3.6)), {}
    left, right = figure.subplots(1, 2)
    left.plot(*points.T, ".", color="0.75", ms=3)
    for name, codes in starts.items():
        codes.requires_grad_()
        course = []
        for _ in range(300):
            chosen = nearest_code(points, codes.detach())
            course.append(perplexity(chosen, 16))
            (gradient,) = torch.autograd.grad(vq_loss(points, codes[chosen], 0.25), codes)
            codes.data -= 0.5 * gradient
        noted[name] = course[-1]
        left.plot(*codes.detach().T, "sd"[name == "data"], ms=6, label=f"codes, started: {name}")
        right.plot(course, label=f"started: {name}")
    left.legend(fontsize=7, loc="upper left")
    left.set(title="400 points, 16 codes after 300 steps", ylim=(-4, 5.5))
    right.set(xlabel="step", ylabel="perplexity", title="codes in use", ylim=(0, 16))
    right.legend(frameon=False)
    save(figure, "11_codes.png")
    return noted


def figure_12() -> dict[str, Any]:
    """Largest difference between levels 1 and 2 on the same parameters, in float32 and float64."""
    import torch

    from exercises.solutions.ex12 import to_torch
    from vae_lowlevel import vae as level2

    x = digits.load("handwriting", "test").images[:32]
    eps = np.random.default_rng(1).standard_normal((32, 20))
    drawn = vae.init_params(20, np.random.default_rng(0))
    names, noted = ("mu", "logvar", "logits", "ELBO"), {}
    for dtype in ("float32", "float64"):
        params = {name: p.astype(dtype) for name, p in drawn.items()}
        tensors, images, noise = to_torch(params), x.astype(dtype), eps.astype(dtype)
        one = (*vae.encode(params, images), vae.decode(params, noise), vae.elbo(params, images, noise))
        x_t, eps_t = torch.from_numpy(images), torch.from_numpy(noise)
        two = (*level2.encode(tensors, x_t), level2.decode(tensors, eps_t), level2.elbo(tensors, x_t, eps_t))
        noted[dtype] = [float(np.abs(a - b.detach().numpy()).max() / np.abs(a).max()) for a, b in zip(one, two, strict=True)]
    figure = Figure(figsize=(6, 3))
    axis = figure.add_subplot()
    for dtype, marker in (("float32", "o"), ("float64", "s")):
        axis.semilogy(names, np.maximum(noted[dtype], 3e-17), marker, label=dtype)  # an exact 0 is drawn at the bottom
    axis.set(ylabel="largest difference / largest value", title="Level 1 and level 2, the same parameters", ylim=(1e-17, 1e-5))
    axis.legend(frameon=False)
    save(figure, "12_levels.png")
    return noted


def figure_13() -> dict[str, Any]:
    """The museum: what each bug shows, beside what is right."""
    from exercises.museum import BUGS, piece

    rng = np.random.default_rng(0)
    x = digits.load("handwriting", "test").images[:1]
    right = piece(0)
    betas, logits, widths = np.linspace(0, 4, 30), np.linspace(0, 130, 60), np.linspace(-3, 2, 40)
    D, KL = np.array([90.0, 110.0]), np.array([5.0, 11.0])
    one, zero = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))
    sizes, targets = np.array([1, 2, 5, 10, 50]), np.linspace(4, 14, 40)
    draws = rng.normal(-90, 2, (50, 2000))
    curves: dict[int, tuple[np.ndarray, Callable[[Any], list[float]], str]] = {
        3: (logits, lambda m: [m.reconstruction(l * one, zero)[0] for l in logits], "logit at x = 0"),
        4: (widths, lambda m: [m.sample(zero[0, 0], l * one[0, 0], one[0, 0])[0, 0] for l in widths], "logvar"),
        5: (widths, lambda m: [m.kl(one[0, 0] - 1, l * one[0, 0])[0] for l in widths], "logvar"),
        6: (betas, lambda m: [m.loss(D, KL, b) for b in betas], "beta"),
        7: (betas, lambda m: [m.report(D, KL, b) for b in betas], "beta"),
        9: (sizes, lambda m: [m.iwae(draws[:k]).mean() for k in sizes], "K"),
        10: (betas, lambda m: [m.free_bits(np.array([[0.0], [1.0]]), f) for f in betas / 4], "floor x 4"),
        11: (targets, lambda m: [m.capacity(KL, c) for c in targets], "C"),
    }
    bars: dict[int, Callable[[Any], list[float]]] = {
        1: lambda m: [m.reconstruction(0 * x, x)[0], KL.mean()],
        2: lambda m: [m.squared_error(0 * x, x)[0], KL.mean()],
        8: lambda m: [float(np.std(m.evaluation_z(np.zeros((500, 1)), np.zeros((500, 1)), rng.standard_normal((500, 1)))))],
        14: lambda m: [len(set(m.split(500, 0)[0]) & set(m.split(500, 0)[1]))],
    }
    names = {1: ["recon", "KL"], 2: ["recon", "KL"], 8: ["std of z"], 14: ["images in both"]}
    pictures = {
        12: lambda m: m.binarise(x, rng.uniform(size=x.shape))[0, 0],
        13: lambda m: m.unflatten(x.reshape(1, -1), 1, 28, 28)[0, 0],
    }
    figure = Figure(figsize=(9, 13))
    for number, axis in zip(BUGS, figure.subplots(5, 3).ravel(), strict=False):
        wrong = piece(number)
        if number in curves:
            at, measure, label = curves[number]
            axis.plot(at, measure(right), "k", lw=2)
            axis.plot(at, measure(wrong), "--C3")
            axis.set_xlabel(label)
        elif number in bars:
            values = [bars[number](m) for m in (right, wrong)]
            at = np.arange(len(values[0]))
            axis.bar(at - 0.2, values[0], 0.38, color="k")
            axis.bar(at + 0.2, values[1], 0.38, color="C3")
            axis.set_xticks(at, names[number])
        else:
            axis.imshow(np.concatenate([pictures[number](m) for m in (right, wrong)], 1), cmap="gray_r")
            axis.set(xticks=[], yticks=[])
        axis.set_title(textwrap.fill(f"{number} {BUGS[number][0]}", 28))
    figure.axes[-1].axis("off")
    figure.axes[-1].text(0, 0.5, "black: right\nred: the bug\n(in 12 and 13: left, right)", fontsize=12)
    save(figure, "13_museum.png")
    params, x = trained("vae", 20), digits.load("handwriting", "test").images
    mu, logvar = vae.encode(params, x)
    eps = rng.standard_normal(mu.shape, dtype=np.float32)
    z = {m.number: m.evaluation_z(mu, logvar, eps) for m in (right, piece(8))}
    nats = {n: -float((vae.reconstruction_loss(vae.decode(params, z[n]), x) + right.kl(mu, logvar)).mean()) for n in z}
    return {"elbo": nats[0], "elbo_evaluated_at_the_mean": nats[8]}


DRAWS: dict[str, Callable[[], dict[str, Any]]] = {
    name.removeprefix("figure_"): draw for name, draw in list(globals().items()) if name.startswith("figure_")
}


@dataclass
class Figures:
    """Draw the figures of the exercise pages, and write the numbers beside them to results/exercises.json."""

    exercises: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(help_behavior_hint="(default: all)")] = ()
    """Numbers of exercises, such as 05. All of them take about ten minutes."""


def main(command: Figures) -> None:
    """Draw the figures and write their numbers."""
    if unknown := [number for number in command.exercises if number not in DRAWS]:
        raise ValueError(f"{unknown[0]}: no such exercise; expected one of: {', '.join(DRAWS)}")
    noted = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for number in command.exercises or DRAWS:
        if numbers := DRAWS[number]():
            noted[number] = numbers
            write_atomically(RESULTS, (json.dumps(noted, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    run("python -m exercises.make_figures", Figures, main)
