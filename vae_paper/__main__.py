"""python -m vae_paper train | evaluate | inspect | sample | figures | reproduce | download"""

import json
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vae_numpy import weights
from vae_numpy.command_line import run
from vae_paper import distributed, download, gallery, microscope, pictures, report, train
from vae_paper.config import Config
from vae_paper.sample import sample

PRETRAINED = weights.PRETRAINED / "vae_mnist_d20.safetensors"


@dataclass
class Evaluate:
    """Measure a model on test images: ELBO and its terms, log p(x), what z knows of x, samples; with standard errors."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    source: str | None = None
    """Test images: mnist, fashion-mnist, kmnist, handwriting, sprites (default: as the run was trained on, where it says so)."""
    passes: int = 5
    """How often z is sampled for each image."""
    k: int = 100
    """Importance samples for log p(x): each of --subset images costs so many passes of the decoder. Papers take 5000."""
    subset: int = 400
    """Images, chosen at random, on which log p(x) is told from the ELBO, which is of all images."""
    drawn: int = 0
    """Samples to be shown to a classifier (of this project: trained for a minute or two, where there is none yet)."""
    seed: int = 0
    """Of the noise, and of the choice of images."""
    json: bool = False
    """The numbers as JSON, the chosen images among them."""
    publish: Path | None = None
    """Also write the weights here, with what was measured in their header."""


@dataclass
class Inspect:
    """The loss microscope: what reductions make of beta, bounds, bits, rate and distortion, KL per latent, active units."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    source: str | None = None
    """Test images: mnist, fashion-mnist, kmnist, handwriting, sprites (default: as the run was trained on, where it says so)."""
    passes: int = 5
    """How often z is sampled for each image."""
    seed: int = 0
    """Of the noise."""
    json: bool = False
    """The numbers as JSON."""


@dataclass
class Sample:
    """Draw new images: x_hat = sigmoid(logits) of z from the prior, or from what training images are encoded as."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    sampler: Literal["prior", "aggregate", "mixture", "class"] = "prior"
    """N(0, I); z ~ q(z|x) of training images; a Gaussian mixture fitted to such z; given labels: the prior of a cvae, a
    Gaussian fitted to the class's z elsewhere."""
    label: int | None = None
    """The class to draw, with --sampler class (default: 0 to 9 in turn)."""
    count: int = 100
    """How many."""
    source: str | None = None
    """Training digits for all but the prior (default: those that the run was trained on, where it says so)."""
    seed: int = 0
    """Of z."""
    out: Path = Path("runs/samples.png")
    """Where the picture goes."""


@dataclass
class Figures:
    """Draw a run: what it reconstructs and generates, its latent space, its training."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    kind: Literal[
        "all", "reconstructions", "samples", "manifold", "scatter", "traversals", "interpolation", "cvae-grid", "rate",
        "curves", "ae-beside-vae", "completions", "codebook-usage", "animation",
    ] = "all"  # fmt: skip
    """all: every one that applies to the run, but for the animation, which trains it anew."""
    beside: Path | None = None
    """The other run of ae-beside-vae."""
    image: int = 0
    """The test image that traversals go around, and with which interpolations and completions begin."""
    source: str | None = None
    """Test images: mnist, fashion-mnist, kmnist, handwriting, sprites (default: as the run was trained on, where it says so)."""
    seed: int = 0
    """Of samples and binarisation."""
    out: Path | None = None
    """The folder for the pictures (default: RUN/figures, or runs/figures for a weight file)."""


@dataclass
class Reproduce:
    """Measure anew what results/NAME.json holds: the same as python -m vae_paper.reproduce.NAME, which has --help."""

    name: Annotated[
        Literal[
            "autoencoder", "beta", "burda", "burgess", "collapse", "conditional", "disentanglement", "gaps", "higgins", "kingma",
            "nll", "oracles", "precision", "sohn", "vq_vae",
        ],
        tyro.conf.Positional,
    ]  # fmt: skip
    """Which."""
    options: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """The measurement's own, after `--`: reproduce burda -- --epochs 2"""


@dataclass
class Download:
    """Fetch a data set through torchvision into $VAE_DATA (default: data/), whole or not at all."""

    source: Annotated[Literal["mnist", "fashion-mnist", "kmnist"], tyro.conf.Positional] = "mnist"
    """Which."""
    seconds: float = 600
    """The time limit."""


Command = (
    Annotated[Config, tyro.conf.subcommand("train")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Sample, tyro.conf.subcommand("sample")]
    | Annotated[Figures, tyro.conf.subcommand("figures")]
    | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    | Annotated[Download, tyro.conf.subcommand("download")]
)


def main(command: Config | Evaluate | Inspect | Sample | Figures | Reproduce | Download) -> None:
    """Run one subcommand."""
    if distributed.processes() > 1 and not isinstance(command, Config):
        raise ValueError(f"{type(command).__name__.lower()} runs in one process: start it without torchrun, which is for train")
    match command:
        case Config():
            folder = train.train(command)
            print(f"{folder}: weights.safetensors, metrics.csv, config.json, state.safetensors")
        case Evaluate():
            c = command
            measured = report.report(c.run, c.source, c.passes, c.k, c.subset, c.drawn, c.seed)
            print(json.dumps(measured, indent=2) if c.json else report.table(measured))
            if c.publish:
                report.publish(c.publish, c.run, measured)
        case Inspect():
            inspected = microscope.inspect(command.run, command.source, command.passes, command.seed)
            print(json.dumps(inspected, indent=2) if command.json else microscope.table(inspected))
        case Sample():
            sample(**vars(command))
            print(f"{command.out}: {command.count} samples")
        case Figures():
            subject = pictures.load(command.run, command.source, command.seed, command.image, command.beside)
            for path in gallery.draw(subject, command.kind, command.out):
                print(path)
        case Reproduce():
            module = f"vae_paper.reproduce.{command.name}"
            sys.argv = [module, *command.options]
            runpy.run_module(module, run_name="__main__")
        case Download():
            print(f"{download.download(command.source, command.seconds)}: complete and checked")


if __name__ == "__main__":
    with distributed.joined():
        run("python -m vae_paper", Command, main)
