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
