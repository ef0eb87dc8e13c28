"""python -m vae_paper train | evaluate | inspect | sample | figures | explore | reproduce | download"""

import contextlib
import json
import os
import runpy
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from vae_numpy.command_line import run
from vae_numpy.files import check_writable
from vae_paper.config import Config, default

# Modules that need torch are imported only when a command runs, so that --help and errors about options appear at once.


@dataclass
class OfRun:
    """Options of the commands for a trained model."""

    run: Annotated[str, tyro.conf.Positional] = "vae_mnist_d20"
    """A run's name or folder, a weight file of any level, or the name of bundled weights."""
    source: Annotated[str | None, default("the source of the run's training data")] = None
    """Source of the images: mnist, fashion-mnist, kmnist, handwriting, sprites, cifar10, folder:PATH, array:FILE.npz."""
    seed: int = 0
    """Random seed for noise, for binarisation, and for choosing images."""


@dataclass
class Evaluate(OfRun):
    """Measure a model on test images: ELBO and its terms, log p(x), information in z; with --drawn also its new images."""

    passes: int = 5
    """Number of samples of z for each image, for the ELBO and its terms."""
    k: int = 100
    """Number of samples of z for each of the --subset images, to estimate log p(x) with the importance-weighted bound. Papers use
    5000."""
    subset: int = 400
    """Number of random test images for the estimate of log p(x). The ELBO uses all images."""
    drawn: int = 0
    """Number of new images to measure with the project's classifier; 0: none. The first use trains the classifier (minutes)."""
    json: bool = False
    """Print the numbers as JSON, with the indices of the subset."""
    publish: Path | None = None
    """Also write the weights to this file. Its header gets the measured -ELBO."""


@dataclass
class Inspect(OfRun):
    """Explain the loss: its terms in nats and bits, what they bound, the KL of each latent, and how averaging changes beta."""

    passes: int = 5
    """Number of samples of z for each image."""
    json: bool = False
    """Print the numbers as JSON."""


@dataclass
class Sample(OfRun):
    """Draw new images from a model."""

    sampler: Literal["prior", "aggregate", "mixture", "class"] = "prior"
    """prior: the model's own prior; aggregate: z ~ q(z|x) of training images; mixture: a Gaussian mixture fitted to such z;
    class: images with given labels (a conditional model: z from its prior; other models: z from a Gaussian that is fitted to
    the latents of the training images with this label)."""
    label: Annotated[int | None, default("all classes in turn")] = None
    """The class to draw, with --sampler class."""
    count: int = 100
    """Number of images to draw."""
    out: Annotated[Path | None, default("sample-SAMPLER.png, in RUN/figures or, for a weight file, runs/figures/NAME")] = None
    """File for the picture."""


@dataclass
class Figures(OfRun):
    """Draw pictures of a run: reconstructions, samples, latent space, training."""

    kind: Literal[
        "all", "reconstructions", "samples", "shared-latents", "manifold", "scatter", "traversals", "interpolation", "cvae-grid",
        "completions", "codebook-usage", "rate", "curves", "side-by-side", "animation",
    ] = "all"  # fmt: skip
    """all: every kind that applies to the run, except animation, which trains the run again. manifold, side-by-side and
    animation: only with D = 2."""
    beside: str | None = None
    """The run, folder or weight file that --kind side-by-side compares with RUN: both are a vae or an ae with D = 2."""
    image: int = 0
    """Index of a test image: traversals change its latents one by one; interpolations and completions begin with this image."""
    out: Annotated[Path | None, default("RUN/figures, or runs/figures/NAME for a weight file")] = None
    """Folder for the pictures."""


@dataclass
class Explore:
    """Write the explorer: a web page that shows the latent space of a VAE. The page works offline."""

    run: Annotated[str, tyro.conf.Positional] = "vae_mnist_d2"
    """A run's name or folder, a weight file of any level, or the name of bundled weights. The model is a vae or a cvae."""
    source: Annotated[str | None, default("the source of the run's training data, if on disk; else auto")] = None
    """Source of the test images (names as for `train`). The images must be gray and have 28x28 pixels."""
    count: int = 300
    """Number of test digits in the page."""
    out: Path = Path("explorer.html")
    """File for the page."""


@dataclass
class Reproduce:
    """Repeat the measurement NAME and write results/NAME.json. python -m vae_paper.reproduce.NAME --help shows its options."""

    name: Annotated[
        Literal[
            "autoencoder", "beta", "burda", "burgess", "collapse", "conditional", "disentanglement", "gaps", "gradients",
            "higgins", "higgins_paper", "kingma", "nll", "oracles", "patches", "precision", "priors", "sohn", "vq_vae",
        ],
        tyro.conf.Positional,
    ]  # fmt: skip
    """The measurement."""
    options: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Options of the measurement, after `--`: reproduce burda -- --epochs 2"""


@dataclass
class Download:
    """Download a data set with torchvision into $VAE_DATA (default: data/). A failed download leaves no files."""

    source: Annotated[Literal["mnist", "fashion-mnist", "kmnist", "cifar10"], tyro.conf.Positional] = "mnist"
    """The data set."""
    seconds: float = 600
    """Time limit in seconds."""


# Each base class of Config becomes a group of options in `train --help`.
GROUPS = [(base.__name__.removesuffix("Options").lower(), base, field(default_factory=base)) for base in Config.__bases__[::-1]]
Train = tyro.conf.configure(tyro.conf.OmitArgPrefixes)(make_dataclass("Train", GROUPS, namespace={"__doc__": Config.__doc__}))
Command = Train | Evaluate | Inspect | Sample | Figures | Explore | Reproduce | Download


def main(command: Any) -> None:
    """Run one subcommand."""
    from vae_paper import distributed

    if distributed.processes() > 1 and not isinstance(command, Train):
        raise ValueError(f"{type(command).__name__.lower()} runs in one process: start it without torchrun")
    match command:
        case Evaluate():
            from vae_paper.measuring import evaluate

            c = command
            if c.publish:
                check_writable(c.publish)  # before the measuring, which takes minutes
            measured = evaluate.evaluate_run(c.run, c.source, c.passes, c.k, c.subset, c.drawn, c.seed)
            print(json.dumps(measured, indent=2) if c.json else evaluate.table(measured))
            if c.publish:
                evaluate.publish(c.publish, c.run, measured)
        case Inspect():
            from vae_paper.measuring import inspect

            inspected = inspect.inspect_run(command.run, command.source, command.passes, command.seed)
            print(json.dumps(inspected, indent=2) if command.json else inspect.table(inspected))
        case Sample():
            from vae_paper.drawing.sample import sample

            out = sample(**vars(command))
            print(f"{out}: {command.count} sample{'s' * (command.count > 1)}")
        case Figures():
            from vae_paper.drawing import figures, subject

            if command.beside and command.kind not in ("all", "side-by-side"):
                raise ValueError(f"beside is {command.beside}, but {command.kind} shows one model; choose --kind side-by-side")
            of = subject.read(command.run, command.source, command.seed, command.image, command.beside)
            for path in figures.draw(of, command.kind, command.out):
                print(path)
        case Explore():
            from vae_paper.explorer.explore import explore
            from vae_paper.weight_files import find

            page = explore(find(command.run), command.out, command.source, command.count)
            print(f"{page}: open it in a browser")
        case Reproduce():
            module = f"vae_paper.reproduce.{command.name}"
            sys.argv = [module, *command.options]
            runpy.run_module(module, run_name="__main__", alter_sys=True)  # so that --help finds the texts of the options
        case Download():
            from vae_paper import download

            print(f"{download.download(command.source, command.seconds)}: complete and checked")
        case _:
            from vae_paper.training import train

            options = {name: value for group in vars(command).values() for name, value in vars(group).items()}
            folder = train(Config(**options))
            files = [p.name for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
            print(f"{folder}: {', '.join(files)}")


def start() -> None:
    """Run the command line. Under torchrun, join the other processes first."""
    joined: Any = contextlib.nullcontext
    if "TORCHELASTIC_RUN_ID" in os.environ:
        from vae_paper.distributed import joined
    with joined():
        run("python -m vae_paper", Command, main)


if __name__ == "__main__":
    start()
