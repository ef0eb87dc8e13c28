"""python -m vae_paper.reproduce.gaps: the inference gap of a run, taken apart (Cremer et al. 2018) -> results/gaps.json."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from vae_numpy.command_line import run, spelled
from vae_paper import weight_files
from vae_paper.__main__ import PRETRAINED
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo
from vae_paper.measuring.estimators import random_subset
from vae_paper.measuring.inference_gap import gaps
from vae_paper.reproduce import at_least, machine
from vae_paper.vae import VAE


@dataclass
class Options:
    """Approximation gap and amortisation gap of a VAE on random test images."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    source: str | None = None
    """Test digits (default: as the run was trained on, where it says so)."""
    images: int = 100
    """How many, chosen at random."""
    k: int = 500
    """Importance samples for log p(x), from the best q of each image."""
    steps: int = 200
    """Steps of Adam towards each image's best q."""
    samples: int = 2
    """Samples of z in each step."""
    seed: int = 0
    """Of the choice of images, binarisation and noise."""
    out: Path = Path("results/gaps.json")
    """Where the numbers go."""


def main(options: Options) -> None:
    """Measure and write."""
    at_least(options, images=2, k=1, steps=1, samples=1)
    model, about = weight_files.load_with_header(options.run)
    if about["model"] not in ("vae", "cvae", "pixel-vae"):
        raise ValueError(f"{options.run} holds the model {about['model']}; expected a vae, cvae or pixel-vae, with prior N(0, I)")
    stored = about.get("config", {})
    data = load_data(options.source or stored.get("source", "auto"), "test", stored.get("binarise", "none"))
    report = measure(model, data, options) | {"weights": options.run.name, "epochs": about.get("epochs", "not recorded")}
    weight_files.write_json(options.out, report)
    print(f"{report['weights']}, {report['images']} random images of {report['data']}; {report['is']}")
    for name, (value, error) in report["nats per image"].items():
        print(f"  {name:<20}{value:>9.3f} ± {error:.3f}")


def measure(model: VAE, data: Data, options: Options) -> dict[str, Any]:
    """The gaps' means over images, with standard errors."""
    chosen = random_subset(len(data.images), options.images, options.seed)
    few = data.replace(images=data.images[chosen], labels=data.labels[chosen])
    started = time.perf_counter()
    found = gaps(model, few, options.k, options.steps, options.samples, options.seed)
    bounded = elbo.bounded(model)
    return {
        "command": spelled("python -m vae_paper.reproduce.gaps", options).replace(" --run ", " "),
        "data": data.about,
        "binarisation": data.binarisation,
        "images": len(chosen),
        "k": options.k,
        "steps": options.steps,
        "samples": options.samples,
        "seed": options.seed,
        "machine": machine(),
        "seconds": time.perf_counter() - started,
        "is": f"log_p: IWAE-{options.k} with each image's best factorised q, made wider, "
        + (f"an estimate of {bounded} from below" if bounded else "of an objective that is no log-likelihood"),
        "nats per image": {name: list(elbo.mean_of(nats)) for name, nats in found._asdict().items()},
        "amortisation less approximation": list(elbo.mean_of(found.amortisation - found.approximation)),
        "chosen": chosen.tolist(),
    }


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.gaps", Options, main)
