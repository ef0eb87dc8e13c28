"""Objectives: functions of `Terms`, the result of a model, in nats.

The bounds (`elbo` to `dreg`) return one number per image. A loss is one number for the batch, and training minimises it.
`free_bits` and `capacity` replace only the rate in the loss: `training.loss_of` adds the distortion. Your own objective is a
function from `Terms` to a loss: pass it to `vae_paper.train(..., objective=...)`.

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
    """The importance-weighted bound log(1/K Σ_k p(x, z_k) / q(z_k|x)) (Burda et al. 2015, arXiv:1509.00519, eq. 8).

    With K = 1 it is the ELBO, but the KL is estimated from one sample of z, not computed with the formula. Its expectation is
    that of `elbo`.
    """
    return torch.logsumexp(terms.log_weight, dim=0) - math.log(len(terms.log_weight))


def sticking_the_landing(terms: Terms) -> PerImage:
    """The ELBO, with the KL estimated from samples of z. In its gradient, mu and logvar in log q(z|x) count as
    constants, so log q has a gradient only through z: see `through_z` below (Roeder et al. 2017, arXiv:1703.09194).

    If q(z|x) is the exact posterior, p(x, z) / q(z|x) is p(x) for every z. Then this ratio does not change with z, and the
    encoder's gradient is 0 for every sample, without noise.
    """
    return through_z(terms).mean(0)


def dreg(terms: Terms) -> PerImage:
    """`iwae` with doubly reparameterized gradients (Tucker et al. 2018, arXiv:1810.04152, eq. 8).

    Let w_k = p(x, z_k) / q(z_k|x) and v_k = w_k / Σ w. The decoder's gradient is that of `iwae`: Σ_k v_k ∂ log w_k / ∂θ, with
    the decoder's parameters θ. The encoder's gradient is Σ_k v_k² ∂ log w_k / ∂z_k · ∂z_k / ∂φ, with the encoder's parameters
    φ. This gradient has the same mean as the encoder's gradient of `iwae`, and less noise. Do not add another loss of the same
    `terms`: a hook on `terms.z` changes every gradient that goes through z.
    """
    log_weight = through_z(terms)
    weight = torch.softmax(log_weight.detach(), 0)  # (K, B)
    if terms.z is not None and terms.z.requires_grad:  # logsumexp weights the gradient of z with v_k; the hook makes this v_k²
        terms.z.register_hook(lambda gradient: weight[..., None] * gradient)
    return torch.logsumexp(log_weight, dim=0) - math.log(len(log_weight))


def through_z(terms: Terms) -> Float[Tensor, "K B"]:
    """The same numbers as `terms.log_weight`, with another gradient: in log q(z|x), mu and logvar count as constants. So the
    gradient of log q goes through z only.

    `terms.log_weight` contains -log q(z|x). This function expects that log q was computed from eps, as in `Model.terms`: then
    -log q is the sum of logvar / 2 over the latents, plus a term that contains only eps. No parameter changes that term. This
    function subtracts the gradient of the sum of logvar / 2, and adds the gradient of -log q through z. ValueError if q is not
    Gaussian. (The prior of a vamp-prior is computed with the encoder. So log p(z) also gives the encoder a gradient, and this
    gradient stays.)
    """
    mu, logvar, z = terms.mu, terms.logvar, terms.z
    if mu is None or logvar is None or z is None:
        raise ValueError("terms lack mu, logvar or z: this objective needs a model with a Gaussian q(z|x)")
    minus_log_q = 0.5 * ((z - mu.detach()).square() * torch.exp(-logvar.detach())).sum(2)  # (K, B), -log q without constants
    without = terms.log_weight - 0.5 * (logvar - logvar.detach()).sum(1)  # the same numbers, without the gradient of log q
    return without + minus_log_q - minus_log_q.detach()


BOUNDS = {"iwae": iwae, "stl": sticking_the_landing, "dreg": dreg}  # by their names on the command line; they do not use beta


def beta_loss(terms: Terms, beta: float | Tensor) -> Scalar:
    """distortion + beta · rate (Higgins et al. 2017, "beta-VAE", eq. 4).

    With beta = 1, the loss is -ELBO. If the ELBO is a bound, -loss is a looser bound for beta > 1, and no bound for beta < 1.
    """
    return (terms.distortion.mean(0) + beta * terms.rate.sum(1)).mean()


def free_bits(rate: Float[Tensor, "B R"], floor: float, per: str = "latent") -> Scalar:
    """The rate with a minimum: a rate below `floor` nats counts as `floor`. Below the minimum the rate has no gradient, so
    the loss does not push it to 0. (A rate of 0 is posterior collapse: z holds no information about x.)

    `per` says to which rate the floor applies; b is an image, j a part of the rate (in the VAE: a latent):
    "latent": sum_j max(floor, mean_b KL_bj) (Kingma et al. 2016, arXiv:1606.04934, eq. 15);
    "image":  mean_b sum_j max(floor, KL_bj);
    "total":  max(floor, mean_b sum_j KL_bj), a variant in some texts.
    """
    if per == "latent":
        return rate.mean(0).clamp(min=floor).sum()
    if per == "image":
        return rate.clamp(min=floor).sum(1).mean()
    if per == "total":
        return rate.sum(1).mean().clamp(min=floor)
    raise ValueError(f'free_bits: per is {per!r}; expected "latent", "image" or "total"')


def capacity(rate: Float[Tensor, "B R"], gamma: float, target: float | Tensor) -> Scalar:
    """gamma |KL - C| (Burgess et al. 2018, arXiv:1804.03599, eq. 8). KL is the mean over the batch. C is `target`, in nats."""
    return gamma * (rate.sum(1).mean() - target).abs()
