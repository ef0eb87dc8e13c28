"""python -m vae_paper.reproduce.disentanglement: three metrics on representations whose disentanglement is known
-> results/disentanglement.json, docs/sprites.png.
"""

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from vae_numpy.command_line import run
from vae_numpy.figures import image_rows
from vae_paper import sprites
from vae_paper.measuring.disentanglement import Representation, factor_vae, higgins, mig
from vae_paper.reproduce import NoOptions
from vae_paper.weight_files import write_json

SIZES = tuple(sprites.SIZES.values())
MAPS = 5  # random mixtures: the mean over them is reported


def perfect() -> Representation:
    """One latent of variance 1 for each factor, and one latent of noise."""
    factors = sprites.all_factors().astype(float)
    noise = np.random.default_rng(0).standard_normal((len(factors), 1))
    return np.hstack([(factors - factors.mean(0)) / factors.std(0), noise])


def rotated() -> Representation:
    """Perfect, except that x and y are rotated by 45 degrees: each of two latents depends on both factors."""
    codes = perfect()
    x, y = codes[:, 3].copy(), codes[:, 4].copy()
    codes[:, 3], codes[:, 4] = (x + y) / 2**0.5, (y - x) / 2**0.5
    return codes


def mixed(seed: int) -> Representation:
    """Ten latents, each a random weighted sum of all factors."""
    return perfect()[:, :5] @ np.random.default_rng(seed).standard_normal((5, 10))


def noise() -> Representation:
    """Latents that are independent of all factors."""
    return np.random.default_rng(1).standard_normal((sprites.COUNT, 5))


def measure(codes: Representation, train: int = 10_000, test: int = 5_000) -> dict[str, float]:
    """The three metrics, and the F1 score of each factor in the first."""
    by_classifier, by_votes = (m(codes, SIZES, np.random.default_rng(0), train, test) for m in (higgins, factor_vae))
    return {
        "higgins": by_classifier.value,
        "higgins_standard_error": by_classifier.standard_error,
        "factor_vae": by_votes.value,
        "factor_vae_standard_error": by_votes.standard_error,
        "mig": float(mig(codes, SIZES).mean()),
        **{f"f1_{factor}": f1 for factor, f1 in zip(sprites.SIZES, by_classifier.f1, strict=True)},
    }


def main() -> None:
    """Measure and draw."""
    mixtures = [measure(mixed(seed)) for seed in range(MAPS)]
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.disentanglement",
        "factors": sprites.SIZES,
        "protocol": "L = 64, 10,000 training and 5,000 test points, chance 1/5; MIG over all combinations, 20 bins",
        "representations": {
            "perfect": measure(perfect()),
            "x, y rotated": measure(rotated()),
            f"randomly mixed, {MAPS} maps": {name: statistics.fmean(m[name] for m in mixtures) for name in mixtures[0]},
            "noise": measure(noise()),
        },
        "mixtures": mixtures,
    }
    write_json(Path("results/disentanglement.json"), report)
    print(table(report))
    draw(Path("docs/sprites.png"))


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{'':<24}{'Higgins':>9}{'FactorVAE':>11}{'MIG':>7}"]
    for name, m in report["representations"].items():
        lines.append(f"{name:<24}{m['higgins']:>9.1%}{m['factor_vae']:>11.1%}{m['mig']:>7.3f}")
    return "\n".join(lines)


def draw(path: Path) -> None:
    """A row for each factor: from its first value to its last, with the other factors fixed."""
    start = np.array([2, 4, 3, 7, 8])
    rows = {}
    for index, (name, size) in enumerate(sprites.SIZES.items()):
        values = np.unique(np.linspace(0, size - 1, 8).round().astype(int))
        factors = np.tile(start, (len(values), 1))
        factors[:, index] = values
        blank = np.zeros((8 - len(values), 1, 28, 28), np.float32)
        rows[name] = np.concatenate([sprites.render(factors), blank])
    image_rows(
        path,
        rows,
        f"Sprites: each row changes one factor, the others are fixed; {sprites.COUNT:,} combinations, 28x28",
    )


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.disentanglement", NoOptions, lambda _: main())
