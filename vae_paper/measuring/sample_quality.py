"""The quality of a model's samples, measured by this project's classifier: distance from real digits, and labels."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper.measuring.classifier import Classifier
from vae_paper.measuring.elbo import Estimate, evaluating
from vae_paper.measuring.estimators import frechet
from vae_paper.vae import Images, Labels, Model

AT_ONCE = 500  # images


@torch.inference_mode()
def samples(model: Model, count: int, seed: int = 0) -> tuple[Images, Labels | None]:
    """`count` images, and, for a conditional model, the requested labels (all classes in turn).

    With the likelihood bernoulli, each pixel is drawn from p(x|z). With other likelihoods, a sample is x_hat, without the
    noise of the pixels (a pixel-vae always draws its pixels). ValueError if the model has no prior to draw from.
    """
    if count < 1 or model.drawn_from is None:
        raise ValueError(f"{count} samples of a {type(model).__name__}: expected at least 1, of a model with a prior")
    generator = torch.Generator().manual_seed(seed)
    labels, noise = torch.arange(count) % model.classes, model.likelihood == "bernoulli"
    asked = [(len(part), generator, part if model.takes_labels else None, noise) for part in labels.split(AT_ONCE)]
    with evaluating(model):
        images = torch.cat([model.sample(*one) for one in asked])
    return images, labels if model.takes_labels else None


@torch.inference_mode()
def features(judge: Classifier, x: Images) -> Float[Tensor, "N 256"]:
    """The classifier's last hidden layer, float64."""
    return torch.cat([judge.features(part) for part in x.split(AT_ONCE)]).double()


def distance(judge: Classifier, real: Float[Tensor, "M C H W"], images: Float[Tensor, "N C H W"]) -> Estimate:
    """The Fréchet distance of `images` to `real` images in the classifier's features. (FID uses features of Inception.)"""
    return frechet(features(judge, images).numpy(), features(judge, real).numpy())
