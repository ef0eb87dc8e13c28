"""Objectives: functions of the terms that a model returns for each image, in nats.

`elbo` and `iwae` return one number per image. A loss is a scalar, which training minimises. Your own objective is a function
from `Terms` to such a loss: pass it to `vae_paper.train(..., objective=...)`.

Legend: B batch, D latent size, K samples of z per image.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper.vae import Terms

PerImage = Float[Tensor, " B"]
Scalar = Float[Tensor, ""]


def elbo(terms: Terms) -> PerImage:
    """E_q[log p(x|z)] - KL(q(z|x) || p(z)), larger is better (Kingma & Welling 2013, arXiv:1312.6114, eq. 3)."""
    return -(terms.distortion.mean(0) + terms.rate.sum(1))


def iwae(terms: Terms) -> PerImage:
    """The importance-weighted bound log 1/K Σ_k p(x, z_k) / q(z_k|x) (Burda et al. 2015, arXiv:1509.00519, eq. 8).

    With K = 1 it is the ELBO with a sampled KL: it equals `elbo` in expectation only.
    """
    return torch.logsumexp(terms.log_weight, dim=0) - math.log(len(terms.log_weight))


def sticking_the_landing(terms: Terms) -> PerImage:
    """The ELBO with a sampled KL. Its gradient reaches the encoder through z only (Roeder et al. 2017, arXiv:1703.09194).

    If q is the exact posterior, this gradient is 0 for every sample: it has no noise where training should end.
    """
    return through_z(terms).mean(0)


def dreg(terms: Terms) -> PerImage:
    """`iwae` with doubly reparameterized gradients (Tucker et al. 2018, arXiv:1810.04152, eq. 8).

    Let w_k = p(x, z_k) / q(z_k|x) and v_k = w_k / Σ w. The decoder's gradient is that of `iwae`: Σ_k v_k ∂ log w_k / ∂θ, with
    the decoder's parameters θ. The encoder's gradient is Σ_k v_k² ∂ log w_k / ∂z_k · ∂z_k / ∂φ, with the encoder's parameters
    φ. It has the same mean as `iwae`'s, and less noise.
    """
    log_weight = through_z(terms)
    weight = torch.softmax(log_weight.detach(), 0)  # (K, B)
    if terms.z is not None and terms.z.requires_grad:  # logsumexp gives z the gradient with v_k; the hook makes it v_k²
        terms.z.register_hook(lambda gradient: weight[..., None] * gradient)
    return torch.logsumexp(log_weight, dim=0) - math.log(len(log_weight))


def through_z(terms: Terms) -> Float[Tensor, "K B"]:
    """`terms.log_weight`, but log q(z|x) has a gradient through z only: mu and logvar in it are taken as constants.

    `terms` must come from `Model.terms`: there, log q has the gradient of -logvar / 2 (eps is a constant), which is removed here.
    ValueError if q is no Gaussian.
    """
    mu, logvar, z = terms.mu, terms.logvar, terms.z
    if mu is None or logvar is None or z is None:
        raise ValueError("terms have no mu, logvar and z: this objective needs a model with a Gaussian q(z|x)")
    minus_log_q = 0.5 * ((z - mu.detach()).square() * torch.exp(-logvar.detach())).sum(2)  # (K, B), without its constant
    without = terms.log_weight - 0.5 * (logvar - logvar.detach()).sum(1)  # the same numbers, without the gradient of log q
    return without + minus_log_q - minus_log_q.detach()


BOUNDS = {"iwae": iwae, "stl": sticking_the_landing, "dreg": dreg}  # names on the command line; none of them has a beta


def beta_loss(terms: Terms, beta: float | Tensor) -> Scalar:
    """distortion + beta · rate (Higgins et al. 2017, "beta-VAE", eq. 4).

    With beta = 1 it is -ELBO. With beta > 1 its negative is a looser bound than the ELBO; with beta < 1 it is no bound.
    """
    return (terms.distortion.mean(0) + beta * terms.rate.sum(1)).mean()


def free_bits(rate: Float[Tensor, "B R"], floor: float, per: str = "latent") -> Scalar:
    """The rate, with `floor` nats in place of every smaller rate. Below the floor a latent's KL has no gradient, so the
    loss does not push this KL to 0 (collapse).

    "latent": sum_j max(floor, mean_b KL_j) (Kingma et al. 2016, arXiv:1606.04934, eq. 15);
    "image":  mean_b sum_j max(floor, KL_bj);
    "total":  max(mean_b sum_j KL_bj, floor), as some texts write it.
    """
    if per == "latent":
        return rate.mean(0).clamp(min=floor).sum()
    if per == "image":
        return rate.clamp(min=floor).sum(1).mean()
    if per == "total":
        return rate.sum(1).mean().clamp(min=floor)
    raise ValueError(f'free_bits: per is {per!r}; expected "latent", "image" or "total"')


def capacity(rate: Float[Tensor, "B R"], gamma: float, target: float | Tensor) -> Scalar:
    """gamma |KL - C|: KL is the batch's mean, C the `target` in nats (Burgess et al. 2018, arXiv:1804.03599, eq. 8)."""
    return gamma * (rate.sum(1).mean() - target).abs()
