"""python -m vae_paper.reproduce.patches: train VAEs on colour patches of two photographs, and measure them in bits
per dimension (bits/dim): distortion + rate, a bound on -log2 p(x), divided by the number of values in x.
-> results/patches.json, docs/patches-reconstructions.png, docs/patches-samples.png.

The patches are 32x32 pixels of the two pictures that scikit-learn ships (`load_sample_images`: china.jpg and flower.jpg,
427x640). Test patches come from one band of columns, training patches from the columns on both sides of it. No pixel is in
both. The baseline is one Gaussian for each colour channel, with the mean and standard deviation of the test pixels. Its
bits/dim are compared with the VAE's distortion + rate.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_numpy.command_line import command_of, run
from vae_paper import weight_files
from vae_paper.config import ARRAY, Config
from vae_paper.data import load_data
from vae_paper.drawing import subject
from vae_paper.drawing.figures import KINDS
from vae_paper.measuring import elbo
from vae_paper.measuring.elbo import Estimate, mean_of
from vae_paper.reproduce import at_least, machine, trained

SIDE, STEP, BAND = 32, 4, (256, 416)  # pixels: side of a patch; step between training patches; columns of test patches
# Bits per dimension to add for a density on [0, 1]: the probability of a gray level is about its density divided by 256
LEVELS = 8.0  # log2(256)
DISCRETE, DENSITY = "discretised-logistic", "learned-gaussian"  # the two likelihoods


@dataclass
class Options:
    """Cut the patches, train one VAE for each of two likelihoods, measure them, and draw pictures."""

    epochs: int = 6
    """Epochs of each run."""
    latent_dim: int = 64
    """Latent size D."""
    passes: int = 5
    """Number of samples of z per test patch."""
    out: Path = Path("results/patches.json")
    """File for the numbers."""
    pictures: Path = Path("docs")
    """Folder for the pictures."""


def main(options: Options) -> None:
    """Cut the patches, train, measure, draw."""
    at_least(options, epochs=1, latent_dim=1, passes=1)
    path = weight_files.RUNS / "patches.npz"
    path.parent.mkdir(exist_ok=True)
    arrays: dict[str, Any] = patches()
    np.savez(path, **arrays)
    source = f"{ARRAY}{path}"
    train, test = load_data(source, "train"), load_data(source, "test")
    gaussian = bits_of_gaussian(test.images)
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.patches", options),
        "model": f"vae, D = {options.latent_dim}",
        "data": f"{len(train.images):,} training and {len(test.images):,} test patches, 32x32 in colour, of two photographs",
        "training": f"{options.epochs} epochs, batches of 64",
        "machine": machine(),
        "units": f"bits per dimension, {math.prod(test.shape)} dimensions; learned-gaussian: a density, {LEVELS:g} bits added",
        "gaussian_per_channel": gaussian._asdict(),
        "likelihoods": {},
    }
    for likelihood in (DISCRETE, DENSITY):
        how: dict[str, Any] = {"source": source, "likelihood": likelihood, "batch_size": 64, "validation": 0.0}
        config = Config(name=f"patches-{likelihood}", latent_dim=options.latent_dim, epochs=options.epochs, **how)
        model, seconds = trained(config)
        terms = elbo.averaged(model, test, options.passes)
        distortion, rate = terms.distortion.mean(0), terms.rate.sum(1)
        added = 0.0 if likelihood == DISCRETE else LEVELS
        bits = {"distortion": in_bits(distortion, test.shape, added), "rate": in_bits(rate, test.shape)}
        bits["total"] = in_bits(distortion + rate, test.shape, added)
        report["likelihoods"][likelihood] = {
            **{name: estimate._asdict() for name, estimate in bits.items()},
            "below_gaussian": gaussian.value - bits["total"].value,
            "sigma": model.log_sigma.exp().item(),
            "seconds": seconds,
        }
        print(likelihood, report["likelihoods"][likelihood], flush=True)
        weight_files.write_json(options.out, report)
    drawn = subject.read(f"patches-{DISCRETE}")
    drawn.test = drawn.test.subset(slice(None, None, 11))  # 12 of the 130 test patches, from both pictures
    for kind in ("reconstructions", "samples"):
        KINDS[kind](drawn, options.pictures / f"patches-{kind}.png")


def patches() -> dict[str, np.ndarray]:
    """The arrays of an `array:FILE.npz`: images, uint8 (N, 3, 32, 32); labels (N,), 0 china, 1 flower; test (N,), bool."""
    from sklearn.datasets import load_sample_images

    parts: dict[str, list[Any]] = {"images": [], "labels": [], "test": []}
    for label, picture in enumerate(load_sample_images().images):
        height, width, _ = picture.shape
        for is_test, (start, end), step in ((False, (0, BAND[0]), STEP), (True, BAND, SIDE), (False, (BAND[1], width), STEP)):
            for top in range(0, height - SIDE + 1, step):
                for left in range(start, end - SIDE + 1, step):
                    parts["images"].append(picture[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1))
                    parts["labels"].append(label)
                    parts["test"].append(is_test)
    return {name: np.array(values) for name, values in parts.items()}


def bits_of_gaussian(x: Tensor) -> Estimate:
    """-log2 p(x) of 8-bit images in bits per dimension, under one Gaussian per channel that is fitted to these images.

    The probability of a level is the integral of the Gaussian over the level (as in `discretised_logistic`).
    """
    levels = 255 * x.double()  # (N, C, H, W)
    mean, sd = levels.mean((0, 2, 3), keepdim=True), levels.std((0, 2, 3), keepdim=True)
    above, below = (torch.special.ndtr((levels + shift - mean) / sd) for shift in (0.5, -0.5))
    mass = torch.where(levels <= 0, above, torch.where(levels >= 255, 1 - below, above - below))  # the ends reach to ±∞
    return mean_of(-mass.clamp(min=1e-300).log2().mean((1, 2, 3)))


def in_bits(nats: Tensor, shape: tuple[int, int, int], added: float = 0.0) -> Estimate:
    """The mean over images, from nats per image to bits per dimension, plus `added` bits per dimension."""
    value, error = mean_of(nats / (math.prod(shape) * math.log(2)))
    return Estimate(value + added, error)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.patches", Options, main)
