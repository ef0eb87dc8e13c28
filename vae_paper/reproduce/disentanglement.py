"""python -m vae_paper.reproduce.disentanglement: the metrics of disentanglement, on known representations
-> results/disentanglement.json, docs/sprites.png.

The metrics say how well single latents represent single properties (factors) of the sprites. They are computed for PCA, raw
pixels and untrained encoders, and for constructed latents: for these we know what a good metric shows (docs/disentanglement.md).

The beta-VAE metric and FactorVAE's metric are computed twice: in this project's way ("ours", measuring/disentanglement.py), and
as the library disentanglement_lib computes them ("theirs", measuring/disentanglement_lib.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_numpy.command_line import command_of, run
from vae_numpy.figures import image_rows
from vae_paper import models, sprites
from vae_paper.measuring.disentanglement import Representation, codes_of_sprites, factor_vae, higgins, mig
from vae_paper.measuring.disentanglement_lib import beta_vae_sklearn, dci, factor_vae_score, sap_score
from vae_paper.reproduce import at_least, over_seeds
from vae_paper.weight_files import write_json

SIZES = tuple(sprites.SIZES.values())
MAPS = 5  # number of random mixtures, and of untrained encoders; the mean over them is reported
WIDTHS = (7, 8, 8, 8, 6, 6, 6, 6, 6)  # characters of each column of `table`
FEWEST = 50  # fewest training points for DCI: it needs images of two shapes or more, and 50 random images have them
COLLAPSED = 1e-3  # standard deviation of mu, for a collapsed latent
ADDED = {  # numbers of `measure` that an older file in results/ may lack, and their headings
    "higgins_lib": "beta-VAE metric, theirs, %",
    "factor_vae_lib": "FactorVAE, theirs, %",
    "dci_disentanglement": "DCI disentanglement, %",
    "dci_completeness": "DCI completeness, %",
    "dci_informativeness": "DCI informativeness, %",
    "sap": "SAP, %",
}


@dataclass
class Options:
    """Measure the disentanglement of representations that need no training."""

    dci: int = 1_000
    """Number of points on which DCI's trees are trained. disentanglement_lib uses 10,000, which takes ten times as long."""
    latent_dim: int = 10
    """Latent size D of the untrained encoders, and the number of principal components."""
    out: Path = Path("results/disentanglement.json")
    """File for the numbers."""
    picture: Path = Path("docs/sprites.png")
    """File for the picture."""


def perfect() -> Representation:
    """One latent of variance 1 for each factor, and one latent of noise."""
    factors = sprites.all_factors().astype(float)
    noise = np.random.default_rng(0).standard_normal((len(factors), 1))
    return np.hstack([(factors - factors.mean(0)) / factors.std(0), noise])


def rotated() -> Representation:
    """`perfect`, but the latents of x and y are rotated by 45 degrees: each of these two latents depends on x and on y."""
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


def collapsed() -> Representation:
    """Latents for scale, x and y, and seven collapsed latents: weighted sums of all factors, with a tiny standard deviation."""
    codes = perfect()
    small = codes[:, :5] @ np.random.default_rng(2).standard_normal((5, 7))
    return np.hstack([codes[:, [1, 3, 4]], COLLAPSED * small / small.std(0)])


def untrained(latent_dim: int, seed: int) -> Representation:
    """mu of an untrained encoder."""
    return codes_of_sprites(models.build("vae", latent_dim, seed=seed).eval())


def pixels() -> Representation:
    """One latent for each pixel that is above 0 in some sprite."""
    x = sprites.all_images(28).reshape(-1, 784)
    return x[:, x.any(0)]


def pca(latent_dim: int) -> Representation:
    """The first `latent_dim` principal components of all sprites."""
    x = pixels()
    x = x - x.mean(0)
    _, axes = np.linalg.eigh(x.T @ x)  # in order of rising eigenvalues
    return x @ axes[:, ::-1][:, :latent_dim]


def measure(codes: Representation, train: int = 10_000, test: int = 5_000, dci_train: int = 0) -> dict[str, float]:
    """All metrics. The classifier of the beta-VAE metric predicts factors: the F1 score for each factor is returned too.

    Names that end in _lib: the metric as disentanglement_lib computes it. `dci_train`: training points for DCI; 0 leaves out
    DCI and SAP.
    """
    by_metric = {
        "higgins": higgins, "factor_vae": factor_vae, "higgins_lib": beta_vae_sklearn, "factor_vae_lib": factor_vae_score
    }  # fmt: skip
    found = {name: metric(codes, SIZES, np.random.default_rng(0), train, test) for name, metric in by_metric.items()}
    numbers = {name: one.value for name, one in found.items()}
    numbers |= {f"{name}_standard_error": one.standard_error for name, one in found.items()}
    numbers["mig"] = float(mig(codes, SIZES).mean())
    if dci_train:
        by_trees = dci(codes, SIZES, np.random.default_rng(0), dci_train, test)
        numbers |= {f"dci_{name}": getattr(by_trees, name) for name in ("disentanglement", "completeness", "informativeness")}
        numbers["sap"] = float(sap_score(codes, SIZES, np.random.default_rng(0), train, test).mean())
    return numbers | {f"f1_{factor}": f1 for factor, f1 in zip(sprites.SIZES, found["higgins"].f1, strict=True)}


def main(options: Options) -> None:
    """Measure all representations, write and print the report, and draw sprites."""
    at_least(options, dci=FEWEST, latent_dim=2)

    def measured(codes: Representation) -> dict[str, float]:
        return measure(codes, dci_train=options.dci)

    mixtures = [measured(mixed(seed)) for seed in range(MAPS)]
    encoders = [measured(untrained(options.latent_dim, seed)) for seed in range(MAPS)]
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.disentanglement", options),
        "factors": sprites.SIZES,
        "protocol": "L = 64, 10,000 training and 5,000 test points, chance 1/5; MIG over all combinations, 20 bins; "
        f"DCI with {options.dci:,} training points",
        "representations": {
            "perfect": measured(perfect()),
            "x, y rotated": measured(rotated()),
            f"randomly mixed, {MAPS} maps": over_seeds(mixtures)["mean"],
            "three known, seven collapsed": measured(collapsed()),
            "noise": measured(noise()),
            f"PCA, D = {options.latent_dim}": measured(pca(options.latent_dim)),
            "raw pixels": measure(pixels()),
            f"untrained encoder, {MAPS} seeds": over_seeds(encoders)["mean"],
        },
        "mixtures": mixtures,
        "encoders": encoders,
    }
    write_json(options.out, report)
    print(table(report))
    draw(options.picture)


def table(report: dict[str, Any]) -> str:
    """The report as text. D, C and I are disentanglement, completeness and informativeness, the three parts of DCI."""
    groups = f"{'':<31}{'beta-VAE':^14}{'FactorVAE':^17}{'':5}{'DCI':^20}"
    heads = ("ours", "theirs", "ours", "theirs", "MIG", "D", "C", "I", "SAP")
    lines = [groups.rstrip(), f"{'':<31}" + "".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True))]
    for name, m in report["representations"].items():
        shares = (f"{m[key]:.1%}" for key in ("higgins", "higgins_lib", "factor_vae", "factor_vae_lib"))
        gaps = (f"{m[key]:.2f}" if key in m else "-" for key in ("mig", *list(ADDED)[2:]))
        lines.append(f"{name:<31}" + "".join(f"{one:>{width}}" for one, width in zip((*shares, *gaps), WIDTHS, strict=True)))
    return "\n".join(lines)


def draw(path: Path) -> None:
    """Draw a row of sprites for each factor: it goes from its first value to its last, and the other factors are fixed."""
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
    run("python -m vae_paper.reproduce.disentanglement", Options, main)
