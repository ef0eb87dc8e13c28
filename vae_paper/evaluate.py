"""What a model is worth on images it has not seen: z is sampled, never replaced by mu; always float32 or float64."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_numpy import digits
from vae_numpy.checks import check_alike
from vae_paper import distributed, sprites
from vae_paper.cvae import QuadrantCVAE
from vae_paper.likelihoods import OBJECTIVES_ONLY, binarise
from vae_paper.vae import AE, VAE, Model, Terms
from vae_paper.vq_vae import VQVAE, Codes


class Estimate(NamedTuple):
    """A number, and its standard error."""

    value: float
    standard_error: float


class Data(NamedTuple):
    """Images and labels on the device, what they are in words, and how each use of them binarises them."""

    images: Tensor  # (N, 1, 28, 28)
    labels: Tensor  # (N,)
    about: str
    binarisation: str = "none"


def load_data(source: str, split: str, binarisation: str = "none", device: str = "cpu") -> Data:
    """A split as tensors; "fixed" binarisation draws each pixel here, once, from seed 0."""
    images, labels, about = sprites.load(split) if source == "sprites" else digits.load(source, split)
    x = torch.from_numpy(images)
    about += ", grayscale" if binarisation == "none" else f", binarisation: {binarisation}"
    if binarisation == "fixed":
        x, binarisation = binarise(x, "dynamic", torch.Generator().manual_seed(0)), "none"
    return Data(x.to(device), torch.from_numpy(labels).to(device), about, binarisation)


def check_data(data: Data) -> None:
    """Refuse data without images, or without a label for each. (What the images hold, each model looks at.)"""
    check_alike(4, images=data.images)
    if not len(data.images) == len(data.labels) > 0:
        raise ValueError(f"data: {len(data.images)} images, {len(data.labels)} labels; expected as many, at least one")


def mean_of(nats: Float[Tensor, " N"]) -> Estimate:
    """The mean over images. ValueError where there are not two: one alone has no standard error."""
    check_alike(1, nats=nats)
    if len(nats) < 2:
        raise ValueError(f"mean_of: found {len(nats)} images; expected at least 2, as the standard error is over images")
    return Estimate(nats.mean().item(), (nats.std() / len(nats) ** 0.5).item())


@torch.inference_mode()
def terms(model: Model, data: Data, samples: int = 1, seed: int = 0, batch_size: int = 500) -> Terms:
    """The model's terms on all images, in float64; noise and binarisation are drawn from `seed`."""
    check_data(data)
    if samples < 1:
        raise ValueError(f"samples is {samples}: expected at least 1")
    device = data.images.device
    generator = torch.Generator(device).manual_seed(seed)
    parts = []
    training = model.training
    model.eval()  # a model that moves while it trains (a codebook's averages) stays as it is
    at_once = max(1, batch_size // samples)
    for start in range(0, len(data.images), at_once):
        x = binarise(data.images[start : start + at_once], data.binarisation, generator)
        eps = torch.randn(samples, len(x), model.latent_dim, generator=generator, device=device, dtype=x.dtype)
        mine = distributed.ours(start)
        if len(x[mine]):
            parts.append(model(x[mine], eps[:, mine], data.labels[start : start + at_once][mine]))
    model.train(training)
    distortion, rate, log_weight, _ = zip(*parts, strict=True)
    joined = (torch.cat(distortion, 1), 1), (torch.cat(rate), 0), (torch.cat(log_weight, 1), 1)
    return Terms(*(distributed.whole(part.double(), len(data.images), dim) for part, dim in joined))


@torch.inference_mode()
def encode_all(vq_vae: VQVAE, data: Data, generator: torch.Generator) -> Codes:
    """The codes of all images, binarised once."""
    return torch.cat([vq_vae.encode(binarise(x, data.binarisation, generator)) for x in data.images.split(500)])


@torch.inference_mode()
def posterior(model: VAE, data: Data, seed: int = 0, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """mu and logvar (N, D) of all images; binarisation is drawn from `seed`."""
    generator = torch.Generator(data.images.device).manual_seed(seed)
    batches = zip(data.images.split(batch_size), data.labels.split(batch_size), strict=True)
    parts = [model.encode(binarise(x, data.binarisation, generator), labels) for x, labels in batches]
    mu, logvar = zip(*parts, strict=True)
    return torch.cat(mu), torch.cat(logvar)


def kl_per_latent(terms: Terms) -> Float[Tensor, " D"]:
    """Mean over images of KL(q(z_j|x) || p(z_j)), in nats; they add up to the rate."""
    return terms.rate.mean(0)


def active_units(mu: Float[Tensor, "N D"], least: float = 0.01) -> Bool[Tensor, " D"]:
    """Which latents say something of x: Var_x(E_q[z_j]) > 0.01 (Burda et al. 2015, arXiv:1509.00519, section 5.2)."""
    check_alike(2, mu=mu)
    if len(mu) < 2 or not torch.isfinite(mu).all():
        raise ValueError(f"active_units: mu is {tuple(mu.shape)}; expected finite means of at least 2 images")
    if not least >= 0:
        raise ValueError(f"active_units: least is {least}; expected at least 0")
    return mu.double().var(0) > least


def averaged(model: Model, data: Data, passes: int = 5, seed: int = 0) -> Terms:
    """Distortion (1, N) and rate (N, D) of all images, each the mean of `passes` samples of z (and of the binarisation)."""
    if passes < 1:
        raise ValueError(f"passes is {passes}: expected at least 1")
    each = [terms(model, data, seed=seed + index) for index in range(passes)]
    return Terms(*(torch.stack(term).mean(0) for term in zip(*(t[:3] for t in each), strict=True)))


def evaluate(model: Model, data: Data, passes: int = 5, seed: int = 0) -> dict[str, Any]:
    """ELBO, distortion and rate in nats per image, mean over images and `passes`, with standard errors over images."""
    about = {"data": data.about, "images": len(data.images), "passes": passes, "seed": seed}
    return about | summary(model, averaged(model, data, passes, seed))


def bounded(model: Model) -> str | None:
    """What the model's ELBO is a lower bound on; None where it is an objective that bounds nothing."""
    if isinstance(model, AE) or model.likelihood in OBJECTIVES_ONLY:
        return None
    if isinstance(model, QuadrantCVAE):
        return "log p(x_unseen|x_seen)"
    labelled = getattr(model, "class_conditional", False) or getattr(model, "takes_labels", False)
    return "log p(x|label)" if labelled else "log p(x)"


def summary(model: Model, terms: Terms) -> dict[str, Any]:
    """The terms' means over images, their standard errors, and whether the ELBO is a bound."""
    distortion, rate = terms.distortion.mean(0), terms.rate.sum(1)
    bound = bounded(model)
    report: dict[str, Any] = {"elbo_is": f"a lower bound on {bound}" if bound else "an objective, not a bound"}
    for name, nats in {"elbo": -(distortion + rate), "distortion": distortion, "rate": rate}.items():
        report[name], report[f"{name}_standard_error"] = mean_of(nats)
    return report
