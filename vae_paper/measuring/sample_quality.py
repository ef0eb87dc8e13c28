"""Samples of a model, and their Fréchet distance to real images in the features of this project's classifier."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper.measuring.classifier import Classifier
from vae_paper.measuring.elbo import Estimate, evaluating
from vae_paper.measuring.estimators import frechet
from vae_paper.vae import Images, Labels, Model

AT_ONCE = 500  # images in one forward pass


@torch.inference_mode()
def samples(model: Model, count: int, seed: int = 0) -> tuple[Images, Labels | None]:
    """`count` samples. For a conditional model also the requested labels: 0, 1, 2, ... up to the last class, then 0 again.

    With the likelihood bernoulli, each pixel is drawn from p(x|z). With another likelihood, a sample is x_hat, without pixel
    noise. (A pixel-vae always draws its pixels.) ValueError if the model has no prior to draw from.
    """
    if count < 1 or model.drawn_from is None:
        raise ValueError(f"{count} samples of a {type(model).__name__}: expected at least 1 sample, and a model with a prior")
    generator = torch.Generator().manual_seed(seed)
    labels, noise = torch.arange(count) % model.classes, model.likelihood == "bernoulli"
    asked = [(len(part), generator, part if model.takes_labels else None, noise) for part in labels.split(AT_ONCE)]
    with evaluating(model):
        images = torch.cat([model.sample(*one) for one in asked])
    return images, labels if model.takes_labels else None


@torch.inference_mode()
def features(judge: Classifier, x: Images) -> Float[Tensor, "N 256"]:
    """The values of the classifier's last hidden layer, float64."""
    return torch.cat([judge.features(part) for part in x.split(AT_ONCE)]).double()


def distance(judge: Classifier, real: Float[Tensor, "M C H W"], images: Float[Tensor, "N C H W"]) -> Estimate:
    """The Fréchet distance between `images` and `real` in the classifier's features. (FID uses another network.)"""
    return frechet(features(judge, images).numpy(), features(judge, real).numpy())
