"""What a model draws, seen by this project's classifier: how far from real digits, and are they the digits asked for?"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_numpy.checks import check_labels
from vae_paper import classifier
from vae_paper.classifier import Classifier
from vae_paper.cvae import CLASSES, QuadrantCVAE
from vae_paper.estimators import frechet
from vae_paper.evaluate import Estimate, mean_of
from vae_paper.pictures_of_codes import drawn
from vae_paper.pixel_vae import PixelVAE
from vae_paper.vae import AE, VAE, Labels

AT_ONCE = 500  # images: a multiple of the classes


def has_samples(model: Any) -> bool:
    """Whether a model draws images from nothing but its prior (and a label)."""
    return not isinstance(model, AE | QuadrantCVAE) and not (isinstance(model, PixelVAE) and model.likelihood != "bernoulli")


@torch.inference_mode()
def samples(model: Any, count: int, seed: int = 0) -> tuple[Float[Tensor, "N 1 28 28"], Labels | None]:
    """`count` images, and the labels, 0 to 9 in turn, that a conditional model was asked for.

    Of a Bernoulli model an image is drawn from p(x|z), pixel by pixel; of others it is x_hat, without the pixels' noise.
    ValueError where the model has no samples.
    """
    if count < 1 or not has_samples(model):
        raise ValueError(f"{count} samples of a {type(model).__name__}: expected at least 1, of a model that has samples")
    generator = torch.Generator().manual_seed(seed)
    asked = getattr(model, "takes_labels", False) or getattr(model, "class_conditional", False)
    labels = torch.arange(count) % CLASSES if asked else None
    parts = []
    for start in range(0, count, AT_ONCE):
        size, of = min(AT_ONCE, count - start), None if labels is None else labels[start : start + AT_ONCE]
        if not isinstance(model, VAE):
            x, _, _ = drawn(model, size, int(torch.randint(2**62, (), generator=generator)))
        else:
            z = torch.randn(size, model.latent_dim, generator=generator)
            x = model.sample(z, generator) if isinstance(model, PixelVAE) else torch.sigmoid(model.decode(z, of))
        if model.likelihood == "bernoulli" and not isinstance(model, PixelVAE):
            x = torch.bernoulli(x, generator=generator)
        parts.append(x)
    return torch.cat(parts), labels


@torch.inference_mode()
def features(judge: Classifier, x: Float[Tensor, "N 1 28 28"]) -> Float[Tensor, "N 256"]:
    """What the classifier's last layer sees, float64."""
    return torch.cat([judge.features(part) for part in x.split(AT_ONCE)]).double()


def distance(judge: Classifier, real: Float[Tensor, "M 1 28 28"], images: Float[Tensor, "N 1 28 28"]) -> Estimate:
    """The Fréchet distance of `images` to real ones in the classifier's features; FID's features are Inception's."""
    return frechet(features(judge, images).numpy(), features(judge, real).numpy())


def agreement(judge: Classifier, images: Float[Tensor, "N 1 28 28"], labels: Labels) -> Estimate:
    """The fraction of images whose most probable label is the one asked for."""
    check_labels(labels, len(images))
    return mean_of((classifier.probabilities(judge, images).argmax(1) == labels).double())
