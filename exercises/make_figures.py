"""Draw the figures of the exercise pages, and write the numbers beside them to results/exercises.json.

`python -m exercises.make_figures` draws all (it trains small models on the bundled handwriting, a few minutes in
all); `python -m exercises.make_figures 05` draws those of one exercise.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_numpy.weights import write_atomically

FIGURES = Path(__file__).parent / "figures"
RESULTS = Path(__file__).parents[1] / "results" / "exercises.json"


def save(figure: Figure, name: str) -> None:
    """A small PNG."""
    figure.tight_layout()
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / name, dpi=80, metadata={"Software": None})
    size = (FIGURES / name).stat().st_size
    print(f"{FIGURES / name}: {size / 1000:.0f} kB")
    assert size < 100_000


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
