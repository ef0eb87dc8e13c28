"""The VAE, level 2: torch functions on a dict of tensors. It has the functions of level 1 in the same order, except `in_parts`.

What changes from level 1: arrays become tensors, and the layers are functions of torch. So torch can compute every gradient.

    encoder  x -> conv1 -> conv2 -> fc -> mu, logvar             q(z|x) = N(mu, diag(exp(logvar)))
    sample   z = mu + exp(logvar / 2) * eps                      eps ~ N(0, I), given by the caller
    decoder  z -> fc1 -> fc2 -> conv_t1 -> conv_t2 -> logits     x_hat = sigmoid(logits)

Legend: B batch, D latent size. `params` is a dict of 18 tensors; `vae_numpy/parameters.py` has their names and shapes.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, linear, logsigmoid, relu

from vae_numpy import vae as level1
from vae_numpy.checks import check_alike, check_arrays, check_images, check_latents, check_params

Params = Mapping[str, Tensor]


def encode(params: Params, x: Float[Tensor, "B 1 28 28"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """The approximate posterior q(z|x) = N(mu, diag(exp(logvar))): its mean and its log variance."""
    check_images(x)
    check_params(params, x.dtype)
    h = relu(conv2d(x, *_layer(params, "encoder.conv1"), stride=2, padding=1))  # (B, 32, 14, 14)
    h = relu(conv2d(h, *_layer(params, "encoder.conv2"), stride=2, padding=1))  # (B, 64, 7, 7)
    h = h.reshape(-1, 3136)  # (B, 64*7*7), channel by channel
    h = relu(linear(h, *_layer(params, "encoder.fc")))  # (B, 256)
    mu = linear(h, *_layer(params, "encoder.mu"))  # (B, D)
    logvar = linear(h, *_layer(params, "encoder.logvar"))  # (B, D)
    return mu, logvar


def reparameterize(mu: Float[Tensor, "B D"], logvar: Float[Tensor, "B D"], eps: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """A sample z of q(z|x). Gradients flow through z to mu and logvar (Kingma & Welling 2013, section 2.4)."""
    check_alike(2, mu=mu, logvar=logvar, eps=eps)
    # z = μ + σ ⊙ ε,   σ = exp(log σ² / 2)
    return mu + torch.exp(logvar / 2) * eps


def decode(params: Params, z: Float[Tensor, "B D"]) -> Float[Tensor, "B 1 28 28"]:
    """The logits of p(x|z). The probability that a pixel is 1 (ink) is x_hat = sigmoid(logits)."""
    check_arrays(z=z)
    check_latents(z, check_params(params, z.dtype))
    h = relu(linear(z, *_layer(params, "decoder.fc1")))  # (B, 256)
    h = relu(linear(h, *_layer(params, "decoder.fc2")))  # (B, 3136)
    h = h.reshape(-1, 64, 7, 7)  # (B, 64, 7, 7)
    h = relu(conv_transpose2d(h, *_layer(params, "decoder.conv_t1"), stride=2, padding=1, output_padding=1))  # (B, 32, 14, 14)
    return conv_transpose2d(h, *_layer(params, "decoder.conv_t2"), stride=2, padding=1, output_padding=1)  # (B, 1, 28, 28)


def reconstruction_loss(
    logits: Float[Tensor, "B 1 28 28"], x: Float[Tensor, "B 1 28 28"], kind: str = "bce"
) -> Float[Tensor, " B"]:
    """The error of x_hat, in nats per image, summed over pixels. `kind` is "bce" or "mse", as at level 1."""
    check_images(x)
    check_alike(4, logits=logits, x=x)
    if kind == "bce":
        # -[x log x̂ + (1-x) log(1-x̂)] = log(1 + eˡ) - x l,   log(1 + eˡ) = -logsigmoid(-l),   x̂ = sigmoid(l)
        # F.softplus(l) is log(1 + eˡ) too, but less exact: for l > 20 it returns l.
        per_pixel = -logsigmoid(-logits) - x * logits
    elif kind == "mse":
        # (x - x̂)²
        per_pixel = (x - torch.sigmoid(logits)) ** 2
    else:
        raise ValueError(f'reconstruction_loss: kind is {kind!r}; expected "bce" or "mse"')
    return per_pixel.sum(dim=(1, 2, 3))  # (B,)


def kl_divergence(mu: Float[Tensor, "B D"], logvar: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
    """KL(q(z|x) || N(0, I)) in nats per image (Kingma & Welling 2013, appendix B)."""
    check_alike(2, mu=mu, logvar=logvar)
    # -½ Σ (1 + log σ² - μ² - σ²) = ½ Σ (μ² + (σ² - 1) - log σ²);  expm1(logvar) is σ² - 1, accurate also where σ² is near 1
    return 0.5 * (mu**2 + torch.expm1(logvar) - logvar).sum(dim=1)  # (B,)


def elbo(params: Params, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "B D"], kind: str = "bce") -> Float[Tensor, " B"]:
    """The evidence lower bound with one sample of z per image, in nats: larger is better (Kingma & Welling 2013, eq. 10).

    It estimates a lower bound on log p(x) if the reconstruction loss is a negative log-likelihood ("bce" on binary images).
    Otherwise it is a training objective, not a bound.
    """
    mu, logvar = encode(params, x)
    logits = decode(params, reparameterize(mu, logvar, eps))
    # ELBO = E_q[log p(x|z)] - KL(q(z|x) || p(z))
    return -(reconstruction_loss(logits, x, kind) + kl_divergence(mu, logvar))


def init_params(latent_dim: int, rng: np.random.Generator) -> dict[str, Float[Tensor, "..."]]:
    """The initial parameters of level 1, as tensors that require gradients."""
    params = level1.init_params(latent_dim, rng)
    return {name: torch.from_numpy(array).requires_grad_() for name, array in params.items()}


def _layer(params: Params, name: str) -> tuple[Tensor, Tensor]:
    return params[f"{name}.weight"], params[f"{name}.bias"]
