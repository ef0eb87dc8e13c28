"""ELBO, distortion and rate on a whole data set. z is sampled from q(z|x); mu is never used in its place (a plain
autoencoder has no q). Always in full precision, never in bfloat16 or TF32.

Legend: N images, D latent size, K samples of z per image. The terms are in nats per image.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vae_numpy.checks import check_alike, check_at_least
from vae_paper import devices, distributed
from vae_paper.data import Data, check_data
from vae_paper.likelihoods import LIKELIHOODS, binarise
from vae_paper.vae import Model, Terms

AXIS_OF_IMAGES = {"distortion": 1, "rate": 0, "log_weight": 1, "mu": 0, "logvar": 0, "z": 1}


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    standard_error: float


def check_kinds(model: Any, data: Any) -> None:
    """ValueError if `model` is no model, or `data` no Data."""
    if not isinstance(model, Model) or not isinstance(data, Data):
        found = f"{type(model).__name__} and {type(data).__name__}"
        raise ValueError(f"got {found}; expected a model (of a run: vae_paper.load(name)) and vae_paper.Data")


def mean_of(nats: Float[Tensor, " N"] | Float[np.ndarray, " N"]) -> Estimate:
    """The mean over images and its standard error. ValueError for fewer than two images: one image has no standard error."""
    check_alike(1, nats=nats)
    nats = torch.as_tensor(nats)  # NumPy's std divides by N, torch's by N - 1
    if len(nats) < 2:
        raise ValueError(f"images: found {len(nats)}; expected at least 2, for a standard error over images")
    return Estimate(nats.mean().item(), (nats.std() / len(nats) ** 0.5).item())


def unit_of(model: Model) -> str:
    """The `unit` of the model's likelihood. If the ELBO is no bound, the text after ";" is left out."""
    unit = LIKELIHOODS[model.likelihood].unit
    return unit if model.bound is not None else unit.partition("; ")[0]


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """For measures and pictures: put the model into eval mode, and turn TF32 off.

    In eval mode, dropout is off, and the codebook of a VQ-VAE does not change. At the end, the old mode and the old settings
    of torch are restored.
    """
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with devices.numerics():
            yield
    finally:
        for module, mode in training.items():
            module.training = mode


@torch.inference_mode()
def terms_of(model: Model, data: Data, samples: int = 1, seed: int = 0, batch_size: int = 500) -> Terms:
    """The model's terms on all images, returned as float64 on the CPU. `seed` decides the noise and the binarisation."""
    check_data(data)
    check_at_least(1, samples=samples)
    device, N = data.images.device, len(data.images)
    generator = torch.Generator(device).manual_seed(seed)
    parts = []
    at_once = max(1, batch_size // samples)
    with evaluating(model):
        for start in range(0, N, at_once):
            part = data.subset(slice(start, start + at_once))
            x = binarise(part.images, data.binarisation, generator)
            eps = torch.randn(samples, len(x), model.latent_dim, generator=generator, device=device, dtype=x.dtype)
            mine = distributed.ours(start)
            if len(x[mine]):
                parts.append(model(x[mine], eps[:, mine], None if part.labels is None else part.labels[mine]))
    joined = {}
    for name, axis in AXIS_OF_IMAGES.items():
        if getattr(parts[0], name) is not None:
            ours = torch.cat([getattr(part, name) for part in parts], axis)
            joined[name] = distributed.whole(ours.cpu().double(), N, axis)
    if parts[0].penalty is not None:
        shares = [part.penalty.cpu().double() * part.distortion.shape[1] / N for part in parts]
        joined["penalty"] = distributed.total(torch.stack(shares).sum())
    return Terms(**joined)


def averaged(model: Model, data: Data, passes: int = 5, seed: int = 0) -> Terms:
    """The terms of all images. distortion, rate and log_weight are means over `passes` draws; the other fields are of draw 0.

    Each draw has its own z and, if the binarisation is dynamic, its own pixels.
    """
    check_at_least(1, passes=passes)
    first, *others = (terms_of(model, data, seed=mixed(seed, index)) for index in range(passes))
    nats = {
        name: torch.stack([getattr(t, name) for t in (first, *others)]).mean(0) for name in ("distortion", "rate", "log_weight")
    }
    return dataclasses.replace(first, **nats)


def mixed(seed: int, index: int) -> int:
    """The seed of draw number `index`. Draw 0 has `seed` itself."""
    return seed if index == 0 else seed + index * 0x9E3779B1  # the large factor keeps the seeds of different runs apart


def times(passes: int) -> str:
    """How often z was sampled, in words."""
    return "z sampled once" if passes == 1 else f"z sampled {passes} times"


def summary(model: Model, data: Data, passes: int = 5, seed: int = 0) -> dict[str, Any]:
    """ELBO, distortion and rate in nats per image, mean over images and `passes`, with standard errors over images."""
    about = {"data": data.about, "images": len(data.images), "passes": passes, "seed": seed}
    return about | summary_of(model, averaged(model, data, passes, seed))


def summary_of(model: Model, terms: Terms) -> dict[str, Any]:
    """The means of the terms over images, their standard errors, and in `elbo_is` whether the ELBO is a bound."""
    distortion, rate = terms.distortion.mean(0), terms.rate.sum(1)
    report: dict[str, Any] = {"elbo_is": f"a lower bound on {model.bound}" if model.bound else "an objective, not a bound"}
    for name, nats in {"elbo": -(distortion + rate), "distortion": distortion, "rate": rate}.items():
        report[name], report[f"{name}_standard_error"] = mean_of(nats)
    return report


def variance_of_means(mu: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Var_x(E_q[z_j]), the variance of each latent's mu over images, and its standard error."""
    check_alike(2, mu=mu)
    if len(mu) < 2 or not torch.isfinite(mu).all():
        raise ValueError(f"variance_of_means: mu is {tuple(mu.shape)}; expected finite means of at least 2 images")
    off = mu.double() - mu.double().mean(0)
    # a variance is a mean of squared deviations: its standard error is the standard error of a mean
    return off.square().sum(0) / (len(mu) - 1), off.square().std(0) / len(mu) ** 0.5


def active_units(mu: Float[Tensor, "N D"]) -> Bool[Tensor, " D"]:
    """Whether each latent is an active unit: Var_x(E_q[z_j]) > 0.01 (Burda et al. 2015, arXiv:1509.00519, section 5.2)."""
    return variance_of_means(mu)[0] > 0.01
