"""python -m vae_paper train | evaluate | sample | figures | download"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from vae_numpy import weights
from vae_numpy.command_line import run
from vae_numpy.figures import image_rows
from vae_paper import checkpoint, download, evaluate, figures, train
from vae_paper.config import Config
from vae_paper.evaluate import encode_all
from vae_paper.likelihoods import binarise
from vae_paper.pixel_prior import PixelPrior
from vae_paper.vq_vae import VQVAE, usage

PRETRAINED = weights.PRETRAINED / "vae_mnist_d20.safetensors"


@dataclass
class Evaluate:
    """Measure a model on test digits: ELBO, distortion and rate in nats per image, as JSON."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    source: str = "auto"
    """Test digits: auto, mnist, fashion-mnist, kmnist, handwriting."""
    passes: int = 5
    """How often z is sampled for each image."""
    seed: int = 0
    """Of the noise."""


@dataclass
class Sample:
    """Draw images from the prior (z ~ N(0, I), uniform codes, or a pixel-prior's): x_hat = sigmoid(logits)."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    count: int = 100
    """How many."""
    seed: int = 0
    """Of z."""
    out: Path = Path("runs/samples.png")
    """Where the picture goes."""


@dataclass
class Figures:
    """Draw a model: reconstructions of test digits, samples, and, of a codebook, how often each code is used."""

    run: Annotated[Path, tyro.conf.Positional] = PRETRAINED
    """A run's folder, or a weight file of any level."""
    source: str = "auto"
    """Test digits: auto, mnist, fashion-mnist, kmnist, handwriting."""
    seed: int = 0
    """Of binarisation and samples."""
    out: Path = Path("runs/figures")
    """The folder for reconstructions.png, samples.png and codebook_usage.png."""


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
    | Annotated[Sample, tyro.conf.subcommand("sample")]
    | Annotated[Figures, tyro.conf.subcommand("figures")]
    | Annotated[Download, tyro.conf.subcommand("download")]
)


def main(command: Config | Evaluate | Sample | Figures | Download) -> None:
    """Run one subcommand."""
    match command:
        case Config():
            folder = train.train(command)
            print(f"{folder}: weights.safetensors, metrics.csv, config.json, state.safetensors")
        case Evaluate():
            model, about = checkpoint.load_model(command.run)
            binarisation = about.get("config", {}).get("binarise", "none")
            data = evaluate.load_data(command.source, "test", binarisation)
            report = {"weights": command.run.name, "model": about["model"], "latent_dim": about["latent_dim"]}
            print(json.dumps(report | evaluate.evaluate(model, data, command.passes, command.seed), indent=2))
        case Sample():
            _sample(command)
        case Figures():
            _figures(command)
        case Download():
            print(f"{download.download(command.source, command.seconds)}: complete and checked")


@torch.inference_mode()
def _sample(command: Sample) -> None:
    if command.count < 1:
        raise ValueError(f"count is {command.count}: expected at least 1")
    model, about = checkpoint.load_model(command.run)
    rows, prior = figures.sample_rows(model, command.count, torch.Generator().manual_seed(command.seed))
    image_rows(command.out, rows, f"{about['model']}, D = {model.latent_dim}: x̂ of {prior}")
    print(f"{command.out}: {command.count} samples")


@torch.inference_mode()
def _figures(command: Figures) -> None:
    model, about = checkpoint.load_model(command.run)
    binarisation = about.get("config", {}).get("binarise", "none")
    data = evaluate.load_data(command.source, "test", binarisation)
    generator = torch.Generator().manual_seed(command.seed)
    said = f"{about['model']}, D = {model.latent_dim}; {data.about}"
    x = binarise(data.images[:10], data.binarisation, generator)
    rows = {"x": x.numpy(), "x̂": torch.sigmoid(figures.reconstruct(model, x)).numpy()}
    image_rows(command.out / "reconstructions.png", rows, said)
    rows, prior = figures.sample_rows(model, 40, generator)
    image_rows(command.out / "samples.png", rows, f"{about['model']}, D = {model.latent_dim}: x̂ of {prior}")
    drawn = ["reconstructions.png", "samples.png"]
    vq_vae = model.vq_vae if isinstance(model, PixelPrior) else model
    if isinstance(vq_vae, VQVAE):
        codes = encode_all(vq_vae, data, generator)
        figures.codebook_usage(command.out / "codebook_usage.png", {"test digits": usage(codes, vq_vae.codes).numpy()}, said)
        drawn.append("codebook_usage.png")
    print(f"{command.out}: {', '.join(drawn)}")


if __name__ == "__main__":
    run("python -m vae_paper", Command, main)
