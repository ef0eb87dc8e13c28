"""python -m vae_paper.reproduce.gaps: the inference gap, log p(x) - ELBO, of a model, split into two parts (Cremer et al. 2018,
arXiv:1801.03558; explained in measuring/inference_gap.py) -> results/gaps.json.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vae_numpy.command_line import command_of, run
from vae_paper import weight_files
from vae_paper.data import Data, data_of
from vae_paper.measuring.elbo import mean_of
from vae_paper.measuring.estimators import random_subset
from vae_paper.measuring.inference_gap import gaps
from vae_paper.reproduce import QUALITATIVE, Row, at_least, machine
from vae_paper.vae import Model


@dataclass
class Options:
    """Measure the approximation gap and the amortisation gap of a VAE on random test images."""

    run: Annotated[str, tyro.conf.Positional] = weight_files.DEFAULT
    """A run's name or folder, a weight file of any level, or the name of bundled weights."""
    source: str | None = None
    """Source of the test images, such as mnist (see train --help). By default the source of the training images."""
    images: int = 100
    """Number of random test images."""
    k: int = 500
    """Samples of z per image for log p(x) and for the ELBOs. Those for log p(x) come from the best q, with larger variances."""
    steps: int = 200
    """Steps of Adam that search for the best q of each image."""
    samples: int = 2
    """Samples of z per image in each step. An odd number is rounded up."""
    seed: int = 0
    """Random seed for choosing images, for binarisation and for noise."""
    out: Path = Path("results/gaps.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Measure both gaps, write the report and print the gaps."""
    at_least(options, images=2, k=1, steps=1, samples=1)
    model, about = weight_files.load_with_header(options.run)
    report = measure(model, data_of(about, "test", options.source), options)
    report |= {"weights": weight_files.find(options.run).name, "epochs": about.get("epochs", "not recorded")}
    weight_files.write_json(options.out, report)
    print(f"{report['weights']}, {report['images']} random images of {report['data']}; {report['is']}")
    for name, (value, error) in report["nats per image"].items():
        print(f"  {name:<20}{value:>9.3f} ± {error:.3f}")


def measure(model: Model, data: Data, options: Options) -> dict[str, Any]:
    """The means of both gaps over images, with standard errors. ValueError for a model without a Gaussian q(z|x)."""
    chosen = random_subset(len(data.images), options.images, options.seed)
    started = time.perf_counter()
    found = gaps(model, data.subset(chosen), options.k, options.steps, options.samples, options.seed)
    return {
        "command": command_of("python -m vae_paper.reproduce.gaps", options).replace(" --run ", " "),
        "data": data.about,
        "binarisation": data.binarisation,
        "images": len(chosen),
        "k": options.k,
        "steps": options.steps,
        "samples": options.samples,
        "seed": options.seed,
        "machine": machine(),
        "seconds": time.perf_counter() - started,
        "is": f"log_p: IWAE-{options.k}, with z drawn from each image's best factorised q after it is widened; "
        + (f"an estimate of {model.bound} from below" if model.bound else "an objective, not a log-likelihood"),
        "nats per image": {name: list(mean_of(nats)) for name, nats in found._asdict().items()},
        "amortisation less approximation": list(mean_of(found.amortisation - found.approximation)),
        "chosen": chosen.tolist(),
    }


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line: which of the two gaps is larger? It is never decided: the estimate of log p(x) makes one gap too small."""
    (a, a_error), (b, b_error) = (report["nats per image"][name] for name in ("amortisation", "approximation"))
    difference, error = report["amortisation less approximation"]
    split = f"{report['images']} random images of the test split; weights: {report['weights']}"
    split += "; run `reproduce nll` first: it trains the model" * report["weights"].startswith("nll-")
    more = "larger" if difference > 0 else "smaller"
    unit = "nats" if "not a log-likelihood" not in report["is"] else "nats of an objective that is not a likelihood"
    return [
        Row(
            "Cremer et al. 2018: the amortisation gap is the larger part of the inference gap",
            QUALITATIVE,
            f"amortisation gap {a:.2f} ± {a_error:.2f}, approximation gap {b:.2f} ± {b_error:.2f} {unit} (±: standard error)",
            f"not decided: the amortisation gap is {more} by {abs(difference):.2f} ± {error:.2f}, but two errors are unknown. "
            "The estimate of log p(x) is too low, so the approximation gap is too small. The search for the best q has few "
            "steps, so the amortisation gap is too small. The sizes are not comparable with the paper's: another network",
            None,
            secondary=True,
            protocol={"seeds": 1, "split": split},
        )
    ]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.gaps", Options, main)
