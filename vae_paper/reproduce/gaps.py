"""python -m vae_paper.reproduce.gaps: the inference gap of a model, split into two parts (Cremer et al. 2018, arXiv:1801.03558)
-> results/gaps.json.
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
    """Test images: mnist, fashion-mnist, kmnist, handwriting, sprites. By default the data of the run's training."""
    images: int = 100
    """Number of random test images."""
    k: int = 500
    """Importance samples for log p(x), drawn from the best q of each image."""
    steps: int = 200
    """Steps of Adam towards the best q of each image."""
    samples: int = 2
    """Samples of z in each step."""
    seed: int = 0
    """Random seed for choosing images, for binarisation and for noise."""
    out: Path = Path("results/gaps.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Measure and write."""
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
        "is": f"log_p: IWAE-{options.k} with samples from each image's best factorised q, widened; "
        + (f"an estimate of {model.bound} from below" if model.bound else "an objective, no log-likelihood"),
        "nats per image": {name: list(mean_of(nats)) for name, nats in found._asdict().items()},
        "amortisation less approximation": list(mean_of(found.amortisation - found.approximation)),
        "chosen": chosen.tolist(),
    }


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line: which part of the gap is larger. Not decided, because of the direction of the error in log p(x)."""
    (a, a_error), (b, b_error) = (report["nats per image"][name] for name in ("amortisation", "approximation"))
    difference, error = report["amortisation less approximation"]
    split = f"{report['images']} random images of the test split; after `reproduce nll`, which trains the run"
    return [
        Row(
            "Cremer et al. 2018: amortisation is the larger part of the inference gap",
            QUALITATIVE,
            f"amortisation {a:.2f} ± {a_error:.2f}, approximation {b:.2f} ± {b_error:.2f} nats (standard errors)",
            f"not decided: amortisation is larger by {difference:.2f} ± {error:.2f}, but log p(x) is estimated from below, and "
            "the missing part belongs to the approximation gap. The best q is found by few steps, which errs the other way. The "
            "sizes are not comparable: another network",
            None,
            secondary=True,
            protocol={"seeds": 1, "split": split},
        )
    ]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.gaps", Options, main)
