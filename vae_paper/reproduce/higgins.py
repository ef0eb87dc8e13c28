"""python -m vae_paper.reproduce.higgins: does beta = 4 disentangle? (Higgins et al. 2017, Fig. 6) -> results/higgins.json.

The beta-VAE metric is measured for VAEs trained on sprites, and for three representations without training: PCA, raw pixels and
an untrained encoder. This metric is often high even if each latent is a linear mixture of factors (docs/disentanglement.md). So
FactorVAE's metric, MIG, DCI and SAP are measured too (for raw pixels without DCI and SAP). The beta-VAE metric and FactorVAE's
metric are also computed as in disentanglement_lib.

beta multiplies a sum over latents (the rate). The other term of the loss is a sum over pixels. So with fewer pixels the same
beta weighs more. The paper has D = 10 and 64x64 pixels. With 28x28 pixels and the same D, the paper's beta must be multiplied
by 784 / 4096: 4 becomes 0.766, and 1 becomes 0.191. Both pairs are measured: 1 and 4, and 0.191 and 0.766. Other differences
from the paper: rotations of the sprites stay within a quarter turn, the network is convolutional, the optimiser is Adam with a
one-cycle learning rate, and there are few epochs.

Rule of the verdict for each pair, fixed before the measurement. The claim holds if the mean of the metric over seeds is higher
for the larger beta, by more than the larger of the two standard deviations. The rule uses our metric
(`measuring.disentanglement.higgins`). Added after the measurement: if the difference, higher or lower, is within this standard
deviation, the verdict is "not decided".
"""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_numpy.command_line import command_of, run
from vae_paper import sprites, weight_files
from vae_paper.config import Config
from vae_paper.measuring.disentanglement import codes_of_sprites
from vae_paper.reproduce import VERDICTS, Row, at_least, machine, once, over_seeds, seconds_of, spread, trained
from vae_paper.reproduce.disentanglement import FEWEST, measure, pca, pixels, untrained

SCALE = 28**2 / 64**2  # the paper's beta corresponds to SCALE * beta at 28x28, with the same D
PAIRS = {(1.0, 4.0): "the paper's beta", (SCALE, 4 * SCALE): "the same beta · D / N as in the paper, with N pixels"}
UNKNOWN = 0.75  # a factor with a smaller F1 score counts as confused with other factors
PUBLISHED = {"beta = 4": 99.23, "beta = 1": 61.58, "PCA": 84.9, "raw pixels": 45.75}  # beta-VAE metric in %, on dSprites


@dataclass
class Options:
    """Measure the disentanglement of beta-VAEs on sprites, and of representations without training."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Random seeds: one run for each seed and each beta."""
    epochs: int = 3
    """Epochs of each run, over nine tenths of all sprites."""
    latent_dim: int = 10
    """Latent size D, and the number of principal components."""
    train: int = 10_000
    """Training points of each metric, except MIG and DCI."""
    test: int = 5_000
    """Test points of each metric, except MIG."""
    dci: int = 1_000
    """Training points of DCI's trees; 0 leaves out DCI and SAP. For raw pixels both are left out: they would take hours."""
    out: Path = Path("results/higgins.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Train the missing runs, measure all representations, and write the report."""
    check_options(options)
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.higgins", options),
        "model": f"vae, D = {options.latent_dim}, bce on grayscale sprites, batches of 64, the last weights",
        "binarisation": "none",
        "seeds": list(options.seeds),
        "k": 1,
        "split": f"trained on nine tenths of {sprites.COUNT:,} sprites; the metrics are computed from mu of all sprites",
        "epochs": options.epochs,
        "machine": machine(),
        "units": "higgins (the beta-VAE metric) and factor_vae: share of right answers, chance 1/5; mig, dci and sap: 0 to 1; "
        "_lib: as disentanglement_lib computes it; normalised: beta D / N, with N pixels; f1: the F1 score of a factor "
        "(harmonic mean of precision and recall) in the predictions of the beta-VAE metric's classifier",
        "normalised": {f"{beta:.3g}": beta * options.latent_dim / 784 for pair in PAIRS for beta in pair},
        "representations": {},
    }
    for name, codes in {"PCA": lambda: pca(options.latent_dim), "raw pixels": pixels}.items():
        points = options.dci if name == "PCA" else 0
        report["representations"][name] = over_seeds([measured(options, f"higgins-{name.replace(' ', '-')}", codes, points)])
        print(name, report["representations"][name]["mean"], flush=True)
    for seed in options.seeds:
        encoder = functools.partial(untrained, options.latent_dim, seed)
        each = {"untrained encoder": measured(options, f"higgins-untrained-{seed}", encoder, options.dci)}
        for beta in sorted({beta for pair in PAIRS for beta in pair}):
            each[f"beta = {beta:.3g}"] = of_beta(options, beta, seed)
        for name, numbers in each.items():
            report["representations"].setdefault(name, {"seeds": []})["seeds"].append(numbers)
            print(seed, name, numbers, flush=True)
    found = {name: over_seeds(r["seeds"]) for name, r in report["representations"].items()}
    report["representations"] = found
    report["seconds"] = seconds_of(found)
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)


def check_options(options: Any) -> None:
    """ValueError, before any training, if an option is too small."""
    at_least(options, seeds=1, epochs=1, latent_dim=2 if options.dci else 1, train=2, test=2)
    if options.dci and options.dci < FEWEST:
        raise ValueError(f"dci is {options.dci}: expected 0, or at least {FEWEST} points, so that no factor is constant")


def of_beta(options: Options, beta: float, seed: int) -> dict[str, float]:
    """The metrics of a VAE trained with this beta."""
    how: dict[str, Any] = {"source": "sprites", "latent_dim": options.latent_dim, "batch_size": 64, "validation": 0.0}
    config = Config(name=f"higgins-{beta:.3g}-{seed}", beta=beta, seed=seed, epochs=options.epochs, **how)
    model, seconds = trained(config)
    numbers = measured(options, config.name, lambda: codes_of_sprites(model), options.dci, vars(config))
    return numbers | {"seconds": numbers["seconds"] + seconds}


def measured(options: Any, name: str, codes: Any, dci: int, key: dict[str, Any] | None = None) -> dict[str, float]:
    """All metrics of the codes that `codes()` returns. `dci`: training points of DCI; `key`: other settings (see `once`)."""

    def found() -> dict[str, float]:
        started = time.perf_counter()
        return measure(codes(), options.train, options.test, dci) | {"seconds": time.perf_counter() - started}

    sizes = {"train": options.train, "test": options.test, "dci": dci, "latent_dim": options.latent_dim}
    return once(name, sizes | (key or {}), found)


def ledger(report: dict[str, Any]) -> list[Row]:
    """A line for each pair of betas, and one for the representations without training."""
    found = report["representations"]
    rows = [pair(found, low, high, why) for (low, high), why in PAIRS.items()]
    others = [found[name] for name in ("PCA", "raw pixels", "untrained encoder")]
    rows.append(
        Row(
            "Higgins et al. 2017, Fig. 6: beta-VAE metric in %, PCA, raw pixels, untrained encoder",
            f"{PUBLISHED['PCA']}, {PUBLISHED['raw pixels']}, not found",
            ", ".join(scores(r) for r in others),
            "not comparable: other sprites, other sizes of training set" + theirs(others),
            None,
            secondary=True,
        )
    )
    return rows


def pair(found: dict[str, Any], low: float, high: float, why: str) -> Row:
    """The line that compares two betas."""
    a, b = found[f"beta = {low:.3g}"], found[f"beta = {high:.3g}"]
    gain = b["mean"]["higgins"] - a["mean"]["higgins"]
    mistaken = [name for name in sprites.SIZES if max(r["mean"][f"f1_{name}"] for r in (a, b)) < UNKNOWN]
    confused = (
        f"; with both betas the classifier confuses {' and '.join(mistaken)} with other factors (F1 below {UNKNOWN:g}). The "
        "sprites are not the paper's, and there are far fewer training steps"
    )
    spreads = [r["sd"]["higgins"] for r in (a, b) if "sd" in r]
    holds = gain > 0 if spreads and abs(gain) > max(spreads) else None
    rule = f"the rule needs more than {100 * max(spreads):.1f} points" if spreads else "one seed has no standard deviation"
    return Row(
        f"Higgins et al. 2017, Fig. 6: beta-VAE metric in %, beta = {high:.3g} and {low:.3g} ({why})",
        f"{PUBLISHED['beta = 4']} and {PUBLISHED['beta = 1']} (dSprites, 64x64)",
        f"{scores(b)} and {scores(a)}",
        f"{VERDICTS[holds]}: {100 * gain:+.1f} points, {rule}; MIG {b['mean']['mig'] - a['mean']['mig']:+.2f}"
        + theirs([b, a])
        + "; each score is the mean over all seeds"
        + (confused if mistaken else ""),
        holds,
        secondary=True,
    )


def scores(r: dict[str, Any]) -> str:
    """Text: the beta-VAE metric in %, and MIG."""
    return f"{spread(r, 'higgins', 1, 100)} (MIG {r['mean']['mig']:.2f})"


def theirs(found: list[dict[str, Any]]) -> str:
    """Text: the beta-VAE metrics in % as disentanglement_lib computes them; "" if they were not measured."""
    if not all("higgins_lib" in r["mean"] for r in found):
        return ""
    return f"; as disentanglement_lib computes the metric: {', '.join(spread(r, 'higgins_lib', 1, 100) for r in found)}"


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.higgins", Options, main)
