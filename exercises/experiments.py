"""`python -m exercises run NN`: the picture of each page, drawn with the learner's own functions.

Each experiment takes the learner's module and returns a figure and one or two sentences on how to read it. Images are the
bundled handwriting. The decoders are the pretrained ones, trained for four more epochs on this handwriting. Where the page
trains something, a small model is trained here, for less than a minute, with the learner's functions in its loss.
"""

import functools
import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from exercises import comparing
from exercises.catalogue import Exercise
from vae_numpy import digits, vae, weights
from vae_numpy.files import write_atomically
from vae_numpy.layers import sigmoid

Drawn = tuple[Figure, str]
PRETRAINED = digits.BUNDLED / "pretrained"


def draw(exercise: Exercise, mine: ModuleType, path: Path) -> str:
    """Draw the experiment of an exercise into a PNG file; what was drawn and how to read it."""
    experiment: Callable[[Any], Drawn] = globals()[f"experiment_{exercise.number}"]
    figure, reading = experiment(InArrays(mine))
    figure.tight_layout()
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110)
    write_atomically(path, png.getvalue())
    return f"\n{path}, drawn with your functions\n{reading}"


class InArrays:
    """The functions of a learner's module, whose results are arrays where the checks accept lists and tuples too."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Callable:
        function = getattr(self.module, name)
        return lambda *args, **options: in_arrays(function(*args, **options))


def in_arrays(result: Any) -> Any:
    """Lists, tuples and numbers as arrays; several values of different shapes as a tuple of arrays."""
    if isinstance(result, dict) or comparing.kind(result) == "tensor":
        return result
    try:
        return np.asarray(result)
    except ValueError:
        return tuple(map(in_arrays, result))


@functools.cache
def adapted(latent_dim: int) -> dict[str, np.ndarray]:
    """The pretrained weights (of MNIST), trained for four more epochs on the handwriting; kept in runs/exercises/."""
    path = Path("runs/exercises") / f"adapted_d{latent_dim}.safetensors"
    if not path.exists():
        import torch

        from vae_lowlevel import train
        from vae_lowlevel import vae as level2

        start = weights.load(PRETRAINED / f"vae_mnist_d{latent_dim}.safetensors")[0]
        params = {name: torch.tensor(array).requires_grad_() for name, array in start.items()}
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(params.values(), lr=2e-3)
        for x in train.batches(torch.from_numpy(digits.load("handwriting").images), 64, 88, generator):
            loss = -level2.elbo(params, x, torch.randn(len(x), latent_dim, generator=generator)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        header = {"model": "vae", "data": "the bundled handwriting", "start": "pretrained on MNIST"}
        weights.save(path, {name: p.detach().numpy() for name, p in params.items()}, header)
    return weights.load(path)[0]


def of_the_adapted_model(experiment: Callable[[Any], Drawn]) -> Callable[[Any], Drawn]:
    """Name the model and the images in the picture and above the text, because the page uses another model."""

    @functools.wraps(experiment)
    def named(mine: Any) -> Drawn:
        figure, reading = experiment(mine)
        about = "Pretrained MNIST weights, trained for four more epochs on the bundled handwriting; its test digits"
        figure.suptitle(about, fontsize=9)
        return figure, f"{about}.\n{reading}"

    return named


def encoded(latent_dim: int) -> tuple[np.ndarray, np.ndarray, digits.Digits]:
    """mu and logvar of the 360 test digits, in float64, and the digits."""
    test = digits.load("handwriting", "test")
    mu, logvar = vae.encode(adapted(latent_dim), test.images)
    return mu.astype(float), logvar.astype(float), test


def decoded(latent_dim: int, z: np.ndarray) -> np.ndarray:
    """x_hat of latents, (N, 1, 28, 28)."""
    return sigmoid(vae.decode(adapted(latent_dim), np.asarray(z, np.float32)))


def fit(
    penalty: Callable[[float, Any], Any], steps: int = 600
) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], list[tuple[float, np.ndarray, np.ndarray]]]:
    """Train a small VAE (one hidden layer of 200 on each side, D = 20) on the handwriting, in a few seconds.

    `penalty(progress, rate)` gives what is added to the mean distortion, from the rates (B, D) as a tensor. Returns the encoder
    and, for each step, (progress, distortion (B,), rate (B, D)).
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as bce

    generator = torch.Generator().manual_seed(0)
    images = torch.from_numpy(digits.load("handwriting").images).flatten(1)  # (N, 784)
    sizes = {"in": (784, 200), "mu": (200, 20), "logvar": (200, 20), "out": (20, 200), "logits": (200, 784)}
    p = {name: (torch.randn(a, b, generator=generator) / a**0.5).requires_grad_() for name, (a, b) in sizes.items()}
    p |= {f"{name} bias": torch.zeros(b, requires_grad=True) for name, (_, b) in sizes.items()}
    optimizer = torch.optim.Adam(p.values(), lr=2e-3)

    def layer(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ p[name] + p[f"{name} bias"]

    def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = layer("in", x).relu()
        return layer("mu", h), layer("logvar", h)

    course = []
    for step in range(steps):
        progress = step / (steps - 1)
        x = images[torch.randint(len(images), (64,), generator=generator)]
        mu, logvar = encode(x)
        z = mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator)
        distortion = bce(layer("logits", layer("out", z).relu()), x, reduction="none").sum(1)  # (B,)
        rate = 0.5 * (mu**2 + torch.expm1(logvar) - logvar)  # (B, D)
        loss = distortion.mean() + penalty(progress, rate)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append((progress, distortion.detach().numpy().astype(float), rate.detach().numpy().astype(float)))

    def encoder(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mu, logvar = encode(torch.from_numpy(x).flatten(1))
        return mu.detach().numpy().astype(float), logvar.detach().numpy().astype(float)

    return encoder, course


def strip(axis: Any, images: np.ndarray, title: str) -> None:
    """Images side by side."""
    axis.imshow(np.concatenate(list(images[:, 0]), 1), cmap="gray_r", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    axis.set_ylabel(title, rotation=0, ha="right", va="center")


@of_the_adapted_model
def experiment_01(mine: Any) -> Drawn:
    """log q - log p over the plane, and the jumps of three walks."""
    mu, logvar, test = encoded(2)
    at = np.linspace(-3, 3, 81)
    grid = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    over = mine.log_aggregate_posterior(grid, mu, logvar) + 0.5 * (np.log(2 * np.pi) + grid**2).sum(1)
    z = np.random.default_rng(0).standard_normal((1000, 2))
    holes = [mine.hole_fraction(z, mu, logvar, nats) for nats in (1.0, 3.0)]
    figure = Figure(figsize=(10, 4.2))
    left, right = figure.subplots(1, 2)
    shown = left.imshow(over.reshape(81, 81), origin="lower", extent=(-3, 3, -3, 3), vmin=-6, vmax=6, cmap="RdBu")
    left.contour(at, at, over.reshape(81, 81), levels=[-3.0], colors="k", linewidths=1)
    left.plot(*mu.T, ".", ms=2, color="0.2")
    figure.colorbar(shown, ax=left, label="log q(z) - log p(z), nats")
    left.set(title=f"holes: {holes[0]:.0%} of the prior at 1 nat, {holes[1]:.0%} at 3", xlabel="$z_1$", ylabel="$z_2$")
    for a, b in ((0, 100), (5, 200), (20, 300)):
        jumps = mine.jumps(lambda z: decoded(2, z), mu[a], mu[b], 60)
        right.plot(np.linspace(0, 1, 60), jumps, label=f"from a {test.labels[a]} to a {test.labels[b]}")
    right.set(title="how far the image moves at each of 60 steps", xlabel="place on the walk", ylabel="distance", ylim=(0, None))
    right.legend(frameon=False)
    ink = test.images.sum((1, 2, 3))[:, None].astype(float)
    correlation = np.asarray(mine.factor_correlation(mu, ink)).ravel()
    return figure, (
        "Left: in the red area log q(z) is below log p(z). The dashed line is the edge of the holes: 3 nats below. "
        "Right: at a peak the image changes fast.\n"
        "The page's VAE has fewer holes: it was trained for 40 epochs, on this handwriting only. "
        f"|correlation| of the two latents with the amount of ink: {correlation[0]:.2f} and {correlation[1]:.2f}."
    )


@of_the_adapted_model
def experiment_02(mine: Any) -> Drawn:
    """Three walks from a 5 to a 6, decoded, and their lengths."""
    mu, _, test = encoded(20)
    a, b = (int(np.flatnonzero(test.labels == label)[10]) for label in (5, 6))
    t = np.linspace(0, 1, 11)
    direction = mine.label_direction(mu, test.labels, 5, 6)
    walks = {
        "lerp": mine.lerp(mu[a], mu[b], t),
        "slerp": mine.slerp(mu[a], mu[b], t),
        "label": mine.label_walk(mu[a], direction, 2 * t),
    }
    figure = Figure(figsize=(9, 5))
    axes = figure.subplots(4, 1, height_ratios=[1, 1, 1, 2.2])
    for axis, (name, z) in zip(axes, walks.items(), strict=False):
        strip(axis, decoded(20, z), name)
    for name, z in walks.items():
        axes[3].plot(np.linalg.norm(z, axis=1), "o-", label=name)
    axes[3].set(ylabel="length of z", xlabel="step", ylim=(0, None))
    axes[3].legend(frameon=False, ncols=3)
    return figure, (
        "From a 5 to a 6. Below: the latents of lerp are shorter in the middle, those of slerp are not. The label walk goes to "
        "t = 2: its last images\nare exaggerated 6s in the same handwriting. This walk does not use the other digit."
    )


def experiment_03(mine: Any) -> Drawn:
    """The ELBO over mean and variance of q, below log p(x)."""
    model = {"w": 1.7, "b": -0.4, "s2": 0.3}
    x = np.full(301, 1.5)
    best, best_logvar = (float(np.asarray(v)[0]) for v in mine.posterior(x, **model))
    evidence = float(np.asarray(mine.log_evidence(x, **model))[0])
    figure = Figure(figsize=(9.5, 4))
    left, right = figure.subplots(1, 2, sharey=True)
    mu, logvar = np.linspace(best - 1.2, best + 1.2, 301), np.linspace(best_logvar - 5, best_logvar + 3, 301)
    for axis, (m, v), at, name in (
        (left, (mu, np.full(301, best_logvar)), mu, "mean of q"),
        (right, (np.full(301, best), logvar), logvar, "log variance of q"),
    ):
        bound, gap = np.asarray(mine.elbo(x, m, v, **model)), np.asarray(mine.gap(x, m, v, **model))
        axis.axhline(evidence, color="k", label="log p(x)")
        axis.plot(at, bound, label="ELBO")
        axis.fill_between(at, bound, bound + gap, alpha=0.2, label="gap")
        axis.set(xlabel=name, ylim=(evidence - 5, evidence + 0.6))
    left.set(ylabel="nats")
    left.legend(frameon=False, loc="lower center")
    return figure, (
        "The shaded gap is computed as a KL. It fills the space between the ELBO and log p(x) exactly. It is 0 only at the "
        "posterior's mean and variance.\nAt the far left of the right panel the KL term pulls the ELBO down: if the variance of "
        "q goes to 0, the KL grows without limit."
    )


def experiment_04(mine: Any) -> Drawn:
    """The spread of three estimates of one gradient, against the latent size."""
    sizes, spreads = [1, 2, 5, 10, 20, 50, 100], []
    for size in sizes:
        rng = np.random.default_rng(size)
        mu, logvar, eps = np.ones(size), np.zeros(size), rng.standard_normal((2000, size))
        f = lambda z: (z**2).sum(1)  # noqa: E731
        estimates = (
            mine.pathwise_gradient(mu, logvar, eps, lambda z: 2 * z),
            mine.score_gradient(mu, logvar, eps, f),
            mine.score_gradient_with_baseline(mu, logvar, eps, f),
        )
        spreads.append([float(np.asarray(by_mu).std(0).mean()) for by_mu, _ in estimates])
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    for values, name, style in zip(zip(*spreads, strict=True), ("pathwise", "score", "score, baseline"), "osd", strict=True):
        axis.loglog(sizes, values, marker=style, label=name)
    axis.axhline(2, color="0.7", lw=1, zorder=0)
    axis.set(
        xlabel="latent size D", ylabel="standard deviation of one sample's estimate", title="f(z) = |z|²: the gradient by μ is 2"
    )
    axis.legend(frameon=False)
    return figure, (
        "The true gradient is 2 (gray line). The error of one pathwise sample is as large at D = 100 as at D = 1. At D = 100 "
        "the error of one score sample is in the hundreds.\n"
        "With the baseline the error is smaller, and it grows more slowly with D."
    )


@of_the_adapted_model
def experiment_05(mine: Any) -> Drawn:
    """The KL of every test digit, in closed form and from samples."""
    mu, logvar, test = encoded(20)
    exact = np.asarray(mine.kl_divergence(mu, logvar))
    figure = Figure(figsize=(10, 4))
    left, right = figure.subplots(1, 2)
    rng = np.random.default_rng(0)
    for samples, style in ((1, "."), (10, "."), (1000, ".")):
        estimate = mine.kl_by_sampling(mu, logvar, rng.standard_normal((samples, *mu.shape)))
        left.plot(exact, estimate, style, ms=4, alpha=0.6, label=f"K = {samples}")
    low, high = exact.min() - 5, exact.max() + 5
    left.plot([low, high], [low, high], "k", lw=1)
    left.set(xlabel="KL in closed form, nats", ylabel="KL from K samples, nats", title="360 test digits, one point each")
    left.legend(frameon=False)
    right.boxplot([exact[test.labels == label] for label in range(10)], positions=range(10))
    right.set(xlabel="digit", ylabel="KL, nats", title="what each digit costs")
    worst = int(exact.argmax())
    return figure, (
        "Left: the estimates lie on both sides of the line, and nearer with more samples. The closed form needs no samples. "
        "Right: the KL of each digit.\n"
        f"Image {worst}, a {test.labels[worst]}, has the largest KL: {exact[worst]:.1f} nats."
    )


def experiment_06(mine: Any) -> Drawn:
    """The best linear beta-VAE of the handwriting, and the NLL against the variance."""
    x = digits.load("handwriting").images.reshape(1437, -1).astype(float)
    spectrum = np.linalg.eigvalsh(np.cov(x.T))[::-1][:64]
    spectrum = spectrum[spectrum > 1e-6].copy()
    betas = np.geomspace(0.05, 200, 81)
    curve = [mine.rate_distortion(spectrum, float(beta), 0.05) for beta in betas]
    figure = Figure(figsize=(10, 4))
    left, middle, right = figure.subplots(1, 3)
    left.plot([np.sum(r) for _, r in curve], [np.sum(e) for e, _ in curve])
    left.set(xlabel="rate, nats", ylabel="squared error per image", title="beta from 0.05 to 200")
    middle.semilogx(betas, [int((np.asarray(r) > 1e-9).sum()) for _, r in curve])
    middle.set(xlabel="beta", ylabel="components with a rate", title=f"of {len(spectrum)} components")
    test = digits.load("handwriting", "test").images[:100]
    x_hat = decoded(20, vae.encode(adapted(20), test)[0]).astype(float)
    test = test.astype(float)
    best = float(mine.best_variance(test, x_hat))
    variances = best * np.geomspace(0.1, 10, 41)
    right.semilogx(variances, [np.mean(mine.gaussian_nll(test, x_hat, float(v))) for v in variances])
    right.axvline(best, color="k", lw=1)
    right.set(xlabel="variance of p(x|z)", ylabel="NLL, nats per image", title=f"best variance {best:.4f}")
    return figure, (
        "Left and middle: a larger beta moves along the curve to the left, and the rates of more components become 0. Right: "
        "the reconstructions of\nthe pretrained model, after four more epochs on the handwriting. The black line, your "
        "best_variance, goes through the minimum of your gaussian_nll."
    )


@of_the_adapted_model
def experiment_07(mine: Any) -> Drawn:
    """The prior's grid, traversals, and a projection."""
    mu, logvar, test = encoded(20)
    rates = 0.5 * (mu**2 + np.expm1(logvar) - logvar).mean(0)
    chosen = [*np.argsort(-rates)[:5], *np.argsort(rates)[:2]]
    values = np.linspace(-2.5, 2.5, 12)
    walks = [decoded(20, np.asarray(mine.traversal(mu[0], int(j), values))) for j in chosen]
    figure = Figure(figsize=(13, 4.6))
    left, middle, right = figure.subplots(1, 3)
    left.imshow(mine.sheet(decoded(2, np.asarray(mine.prior_grid(14))), 14), cmap="gray_r")
    left.set(title="D = 2: evenly in the prior's probability", xticks=[], yticks=[])
    middle.imshow(mine.sheet(np.concatenate(walks), 12), cmap="gray_r")
    middle.set(title="D = 20: one latent from -2.5 to 2.5", xticks=[])
    middle.set_yticks(14 + 28 * np.arange(7), [f"KL {rates[j]:.2f}" for j in chosen])
    plane = np.asarray(mine.project(mu))
    for label in range(10):
        right.plot(*plane[test.labels == label].T, ".", color=f"C{label}", label=str(label))
    right.set(title="D = 20: the plane of largest spread")
    right.legend(fontsize=7, ncols=2, markerscale=2)
    return figure, (
        "Left: the area of a digit on the sheet is its probability under the prior. Middle: latents with a large KL change "
        "the image, latents with a KL near 0 do not.\nRight: 20 dimensions, projected to two. Classes that overlap here may be "
        "separate in the other dimensions."
    )


def experiment_08(mine: Any) -> Drawn:
    """A CVAE, trained for a few epochs, drawn and evaluated with the learner's functions."""
    from exercises.make_figures import trained_cvae

    params, test = trained_cvae(latent_dim=10, epochs=14, label_rate=2e-2), digits.load("handwriting", "test")
    eps = np.random.default_rng(2).standard_normal((6, 10), dtype=np.float32)
    x_hat = mine.sample(params, np.tile(np.arange(10), 6), np.repeat(eps, 10, axis=0))
    figure = Figure(figsize=(11, 4.2))
    left, right = figure.subplots(1, 2)
    left.imshow(x_hat.reshape(6, 10, 28, 28).transpose(0, 2, 1, 3).reshape(6 * 28, 280), cmap="gray_r")
    left.set(title="one z in each row, one label in each column", yticks=[])
    left.set_xticks(14 + 28 * np.arange(10), list("0123456789"))
    x, labels, noise = test.images[:100], test.labels[:100], np.zeros((100, 10), np.float32)
    bounds = np.stack([mine.elbo(params, x, np.full_like(labels, label), noise) for label in range(10)])  # (10, 100)
    apart = np.array([[np.mean(bounds[c, labels == d] - bounds[d, labels == d]) for c in range(10)] for d in range(10)])
    shown = right.imshow(apart, cmap="RdBu", vmin=-40, vmax=40)
    figure.colorbar(shown, ax=right, label="nats")
    right.set(title="ELBO with a label, minus with the right one", xlabel="label that is given", ylabel="digit")
    right.set_xticks(range(10))
    right.set_yticks(range(10))
    share = float((bounds.argmax(0) == labels).mean())
    return figure, (
        "Left: the label decides which digit, and z decides the handwriting. Right: a wrong label costs nats (red). It costs "
        "least for digits that look alike.\n"
        f"The label with the largest ELBO is right for {share:.0%} of 100 test digits."
    )


def weighed(schedule: Callable[[float], float]) -> Callable[[float, Any], Any]:
    """The penalty 4 schedule(progress) KL."""
    return lambda progress, rate: 4 * schedule(progress) * rate.sum(1).mean()


def experiment_09(mine: Any) -> Drawn:
    """Three trainings under the learner's schedules; loss and ELBO as the learner's function reports them."""
    schedules: dict[str, Callable[[float], float]] = {
        "constant": lambda progress: 1.0,
        "linear": lambda progress: float(mine.linear(progress, 0.5)),
        "cyclical": lambda progress: float(mine.cyclical(progress, 3, 0.5)),
    }
    figure = Figure(figsize=(11, 6))
    rows = figure.subplots(2, 3, sharex=True)
    for column, (name, schedule) in zip(rows.T, schedules.items(), strict=True):
        _, course = fit(weighed(schedule))
        at = [progress for progress, *_ in course]
        reported = [mine.loss_and_elbo(d, r, 4 * schedule(progress)) for progress, d, r in course]
        column[0].plot(at, [4 * schedule(progress) for progress in at], "k")
        column[0].set(title=name, ylabel="beta", ylim=(0, 4.4))
        column[1].plot(at, [loss for loss, _ in reported], label="loss")
        column[1].plot(at, [-bound for _, bound in reported], label="- ELBO (beta = 1)")
        column[1].plot(at, [10 * r.sum(1).mean() for *_, r in course], "0.6", lw=1, label="10 x KL", zorder=0)
        column[1].set(xlabel="progress", ylabel="nats", ylim=(0, 350))
        column[1].legend(frameon=False, fontsize=8)
    return figure, (
        "The same small VAE three times, final beta = 4. The blue loss rises where beta rises, although the model does "
        "not get worse: compare only the orange line.\nGray: while beta is small, the KL grows. A constant beta keeps the KL "
        "small from the first step."
    )


def experiment_10(mine: Any) -> Drawn:
    """beta = 16 with and without free bits; the learner's gradient trains the second model."""
    import torch

    def plain(progress: float, rate: torch.Tensor) -> torch.Tensor:
        return 16 * rate.sum(1).mean()

    def with_free_bits(progress: float, rate: torch.Tensor) -> torch.Tensor:
        slope = np.asarray(mine.free_bits_gradient(rate.detach().numpy().astype(float), 0.25))
        return 16 * (torch.from_numpy(slope.astype(np.float32)) * rate).sum()  # its gradient is that of your free_bits

    figure = Figure(figsize=(10, 3.8))
    axes = figure.subplots(1, 3, sharey=True)
    test = digits.load("handwriting", "test").images
    models = {
        "beta = 1": lambda progress, rate: rate.sum(1).mean(),
        "beta = 16": plain,
        "beta = 16, free bits 0.25": with_free_bits,
    }
    for axis, (name, penalty) in zip(axes, models.items(), strict=True):
        encode, _ = fit(penalty)
        mu, logvar = encode(test)
        rates, active = np.asarray(mine.rate_per_latent(mu, logvar)), np.asarray(mine.active_units(mu))
        order = np.argsort(-rates)
        axis.bar(range(20), rates[order], color=["C0" if a else "C3" for a in active[order]])
        axis.axhline(0.25, color="0.7", lw=1)
        cost = float(mine.free_bits(0.5 * (mu**2 + np.expm1(logvar) - logvar), 0.25))
        axis.set(
            title=f"{name}: {active.sum()} active\nrate {rates.sum():.1f}, with free bits {cost:.1f}",
            xlabel="latent, by its rate",
        )
    axes[0].set_ylabel("mean KL, nats")
    return figure, (
        "Each bar is a latent. Your active_units counts the latents whose mu depends on the image. With beta = 16 nearly all "
        "latents collapse. With your\nfree_bits_gradient nothing pushes a latent below the gray line, so they stay near it."
    )


def experiment_11(mine: Any) -> Drawn:
    """Codes that the learner's loss moves, from two starts."""
    import torch

    rng = np.random.default_rng(0)
    centres = np.array([[2, 2], [-2, 2], [-2, -2], [2, -2]])
    points = torch.tensor(centres[rng.integers(0, 4, 400)] + 0.5 * rng.standard_normal((400, 2)))
    starts = {"a corner": torch.tensor(3.2 + 0.3 * rng.standard_normal((16, 2))), "the data": points[:16].clone()}
    figure = Figure(figsize=(9, 4))
    left, right = figure.subplots(1, 2)
    left.plot(*points.T, ".", color="0.75", ms=3)
    used = []
    for marker, (name, codes) in zip("sd", starts.items(), strict=True):
        codes.requires_grad_()
        course = []
        for _ in range(300):
            chosen = mine.nearest_code(points, codes.detach()).long()
            course.append(float(mine.perplexity(chosen, 16)))
            (gradient,) = torch.autograd.grad(mine.vq_loss(points, codes[chosen], 0.25), codes)
            codes.data -= 0.5 * gradient
        used.append(course[-1])
        left.plot(*codes.detach().T, marker, ms=6, label=f"started in {name}")
        right.plot(course, label=f"started in {name}")
    left.set(title="400 points, 16 codes after 300 steps")
    left.legend(fontsize=8)
    right.set(xlabel="step", ylabel="perplexity", title="effective number of codes, at most 16", ylim=(0, 16))
    rate = float(mine.uniform_rate(49, 16))
    return figure, (
        "Most codes that start in a corner are never nearest, so your loss never moves them: "
        f"the perplexity is {used[0]:.1f},\nand {used[1]:.1f} if the codes start on the data. "
        f"An image of 7 x 7 such codes costs {rate:.1f} nats under the uniform prior, whichever codes are used."
    )


def experiment_12(mine: Any) -> Drawn:
    """Levels 1 and 2 on the same parameters, carried over by the learner's to_torch; edges by the learner's conv2d."""
    import torch

    from vae_lowlevel import vae as level2

    x = digits.load("handwriting", "test").images[:16]
    noise = np.random.default_rng(1).standard_normal((16, 20))
    drawn = weights.load(PRETRAINED / "vae_mnist_d20.safetensors")[0]
    names, apart = ("mu", "logvar", "logits", "ELBO"), {}
    agreed = {}
    for dtype in ("float32", "float64"):
        params = {name: p.astype(dtype) for name, p in drawn.items()}
        tensors, images, eps = mine.to_torch(params), x.astype(dtype), noise.astype(dtype)
        one = (*vae.encode(params, images), vae.decode(params, eps), vae.elbo(params, images, eps))
        two = (*level2.encode(tensors, torch.from_numpy(images)), level2.decode(tensors, torch.from_numpy(eps)),
               level2.elbo(tensors, torch.from_numpy(images), torch.from_numpy(eps)))  # fmt: skip
        arrays = [t.detach().numpy() for t in two]
        apart[dtype] = [float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(one, arrays, strict=True)]
        agreed[dtype] = [t for t in 10.0 ** np.arange(-15, -2) if mine.agree(one[3], arrays[3], float(t))]
    figure = Figure(figsize=(10, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.2])
    for dtype, marker in (("float32", "o"), ("float64", "s")):
        left.semilogy(names, np.maximum(apart[dtype], 3e-17), marker, label=dtype)
    left.set(ylabel="largest difference / largest value", title="level 1 against level 2", ylim=(1e-17, 1e-4))
    left.legend(frameon=False)
    sobel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)
    kernels = np.stack([sobel, sobel.T])[:, None]
    edges = mine.conv2d(x[:5], kernels, np.zeros(2, np.float32), (1, 1), (1, 1))
    rows = [np.concatenate(list(picture), 1) for picture in (4 * x[:5, 0], edges[:, 0], edges[:, 1])]
    right.imshow(np.concatenate(rows), cmap="RdBu_r", vmin=-4, vmax=4)
    right.set(xticks=[], title="your conv2d: edges")
    right.set_yticks([14, 42, 70], ["image", "vertical", "horizontal"])
    smallest = {dtype: f"{min(found):.0e}" if found else "none" for dtype, found in agreed.items()}
    return figure, (
        "Left: the two levels differ only by rounding, in about the 7th digit in float32 and the 16th in float64. The smallest "
        "power of ten at which your agree\n"
        f"accepts the two ELBOs: {smallest['float32']} in float32, {smallest['float64']} in float64. Right: red where "
        "there is ink on the left (above), and paper on the right (below)."
    )


def experiment_13(mine: Any) -> Drawn:
    """Which piece of the museum each of the learner's tests accuses."""
    from exercises.museum import BUGS, piece

    rooms = ("find_in_losses", "find_in_posterior", "find_in_objectives", "find_in_data")
    found = np.array([[int(getattr(mine, room)(piece(n))) for n in range(15)] for room in rooms])
    figure = Figure(figsize=(10, 3.8))
    axis = figure.add_subplot()
    axis.imshow(found > 0, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
    for (row, column), number in np.ndenumerate(found):
        axis.text(column, row, str(number) if number else "·", ha="center", va="center")
    names = ["right", *(f"{n} {BUGS[n][0]}" for n in BUGS)]
    axis.set_xticks(range(15), names, rotation=40, ha="right", fontsize=8)
    axis.set_yticks(range(4), rooms)
    axis.set_title("What your tests say of each piece")
    return figure, (
        "Each column is a piece of the museum, each row one of your tests. Each bug is found once, by the test for it. The "
        "column of\nthe right piece is empty: no false alarm."
    )
