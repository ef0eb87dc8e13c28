"""python -m vae_paper.reproduce.conditional: does a CVAE draw the digit of the given label? -> results/conditional.json,
docs/cvae-grid.png. The measure is the fraction of drawn digits in which a classifier finds the label. (Sohn et al. 2015 do not
publish it.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vae_numpy.command_line import command_of, run
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.drawing import subject
from vae_paper.drawing.figures import draw
from vae_paper.measuring import classifier, elbo
from vae_paper.reproduce import Row, at_least, machine, over_seeds, spread, trained

LATENT_DIM, BETA, SAMPLES = 10, 3.0, 10_000


@dataclass
class Options:
    """Draw digits with CVAEs, and compare a classifier's labels with the labels that the CVAEs were given."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds: one CVAE for each seed."""
    epochs: int = 4
    """Epochs of each CVAE."""
    out: Path = Path("results/conditional.json")
    """File for the numbers."""
    pictures: Path = Path("docs")
    """Folder for the picture."""


def main(options: Options) -> None:
    """Train a CVAE for each seed, and classify its samples of every class."""
    at_least(options, seeds=1, epochs=1)
    judge = classifier.trained("mnist")
    test = load_data("mnist", "test", "dynamic")
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.conditional", options),
        "model": f"cvae, D = {LATENT_DIM}, beta = {BETA:g}, Bernoulli",
        "training": f"{options.epochs} epochs of 55,000 images of MNIST's train split, dynamic binarisation, batches of 64",
        "measured": f"{SAMPLES:,} samples, 1,000 for each label, z ~ N(0, I); a classifier of this project predicts the label "
        "of x_hat, and of a binary image whose pixels are drawn from x_hat",
        "classifier_accuracy_on_test": classifier.accuracy(judge, test.images, test.labels).value,
        "machine": machine(),
        "elbo_is": f"a lower bound on log p(x|label), {test.about}, 1 pass",
    }
    how: dict[str, Any] = {"source": "mnist", "likelihood": "bernoulli", "binarise": "dynamic", "batch_size": 64}
    how |= {"model": "cvae", "latent_dim": LATENT_DIM, "beta": BETA, "epochs": options.epochs}
    measured = []
    for seed in options.seeds:
        model, seconds = trained(Config(name=f"cvae-{seed}", seed=seed, **how))
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(SAMPLES) % 10
        z = torch.randn(SAMPLES, LATENT_DIM, generator=generator)
        x_hat = torch.cat([subject.x_hat(model, *part) for part in zip(z.split(500), labels.split(500), strict=True)])
        drawn = torch.bernoulli(x_hat, generator=generator)
        measured.append(
            {
                "agreement_x_hat": classifier.accuracy(judge, x_hat, labels).value,
                "agreement_bernoulli_samples": classifier.accuracy(judge, drawn, labels).value,
                "elbo": elbo.summary(model, test, passes=1)["elbo"],
                "seconds": seconds,
            }
        )
        print(measured[-1], flush=True)
    report["seconds"] = sum(one["seconds"] for one in measured)
    weight_files.write_json(options.out, report | over_seeds(measured))
    draw(subject.read(weight_files.RUNS / f"cvae-{options.seeds[0]}"), "cvae-grid", options.pictures)


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line. It is not compared with a paper: the papers give no such number."""
    protocol = {"seeds": len(report["seeds"]), "binarisation": "dynamic", "split": "prior samples"}
    return [
        Row(
            "A CVAE (beta = 3, D = 10) draws the digit of the given label, as in Kingma et al. 2014, arXiv:1406.5298",
            "none",
            f"a classifier finds the given label in {spread(report, 'agreement_x_hat', 1, 100)} % of x_hat, "
            f"and in {spread(report, 'agreement_bernoulli_samples', 1, 100)} % of binary images drawn from x_hat",
            "not comparable: the judge is a classifier of this project, right on "
            f"{100 * report['classifier_accuracy_on_test']:.1f} % of the grayscale test digits",
            None,
            protocol=protocol | {"epochs": report["training"].split()[0]},
        )
    ]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.conditional", Options, main)
