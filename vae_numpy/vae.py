"""The VAE, level 1: NumPy, forward only. You can follow every number by hand.

    encoder  x -> conv1 -> conv2 -> fc -> mu, logvar             q(z|x) = N(mu, diag(exp(logvar)))
    sample   z = mu + exp(logvar / 2) * eps                      eps ~ N(0, I), given by the caller
    decoder  z -> fc1 -> fc2 -> conv_t1 -> conv_t2 -> logits     x_hat = sigmoid(logits)

The model of Kingma & Welling, "Auto-Encoding Variational Bayes", 2013, arXiv:1312.6114, with convolutions.
Losses are per image, in nats: summed over pixels and latents, never averaged over either.

Legend: B batch, D latent size. `params` is a dict of 18 arrays; `parameters.py` has the table of their names and shapes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from vae_numpy.checks import check_alike, check_arrays, check_images, check_latents, check_params
from vae_numpy.layers import conv2d, conv_transpose2d, linear, relu, sigmoid
from vae_numpy.parameters import shapes

Array = np.ndarray
Params = Mapping[str, Array]
AT_ONCE = 64  # images that encode and decode take at once; see in_parts


def encode(params: Params, x: Float[Array, "B 1 28 28"]) -> tuple[Float[Array, "B D"], Float[Array, "B D"]]:
    """The approximate posterior q(z|x) = N(mu, diag(exp(logvar))): its mean and its log variance."""
    check_images(x)
    check_params(params, x.dtype)
    if len(x) > AT_ONCE:
        return in_parts(encode, params, x)  # faster; the result is the same up to rounding
    h = relu(conv2d(x, *_layer(params, "encoder.conv1"), stride=2, padding=1))  # (B, 32, 14, 14)
    h = relu(conv2d(h, *_layer(params, "encoder.conv2"), stride=2, padding=1))  # (B, 64, 7, 7)
    h = h.reshape(-1, 3136)  # (B, 64*7*7), channel by channel
    h = relu(linear(h, *_layer(params, "encoder.fc")))  # (B, 256)
    mu = linear(h, *_layer(params, "encoder.mu"))  # (B, D)
    logvar = linear(h, *_layer(params, "encoder.logvar"))  # (B, D)
    return mu, logvar


def reparameterize(mu: Float[Array, "B D"], logvar: Float[Array, "B D"], eps: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """A sample of q(z|x) as a function of its parameters and of noise (Kingma & Welling 2013, section 2.4)."""
    check_alike(2, mu=mu, logvar=logvar, eps=eps)
    # z = μ + σ ⊙ ε,   σ = exp(log σ² / 2)
    return mu + np.exp(logvar / 2) * eps


def decode(params: Params, z: Float[Array, "B D"]) -> Float[Array, "B 1 28 28"]:
    """p(x|z), as logits: the probability that a pixel is 1 (ink) is x_hat = sigmoid(logits)."""
    check_arrays(z=z)
    check_latents(z, check_params(params, z.dtype))
    if len(z) > AT_ONCE:
        return in_parts(decode, params, z)  # faster; the result is the same up to rounding
    h = relu(linear(z, *_layer(params, "decoder.fc1")))  # (B, 256)
    h = relu(linear(h, *_layer(params, "decoder.fc2")))  # (B, 3136)
    h = h.reshape(-1, 64, 7, 7)  # (B, 64, 7, 7)
    h = relu(conv_transpose2d(h, *_layer(params, "decoder.conv_t1"), stride=2, padding=1, output_padding=1))  # (B, 32, 14, 14)
    return conv_transpose2d(h, *_layer(params, "decoder.conv_t2"), stride=2, padding=1, output_padding=1)  # (B, 1, 28, 28)


def reconstruction_loss(logits: Float[Array, "B 1 28 28"], x: Float[Array, "B 1 28 28"], kind: str = "bce") -> Float[Array, " B"]:
    """How badly x_hat reconstructs x, in nats per image, summed over pixels.

    "bce": binary cross-entropy. Where x is 0 or 1 it is -log p(x|z) for independent Bernoulli pixels. For grayscale x it is
    an objective, not a likelihood. It is smallest at x_hat = x. This minimum is not 0: it is the entropy of
    Bernoulli pixels with probabilities x.
    "mse": squared error. Up to a constant, it equals -log N(x; x_hat, 1/2) (variance 1/2).
    """
    check_images(x)
    check_alike(4, logits=logits, x=x)
    if kind == "bce":
        # -[x log x̂ + (1-x) log(1-x̂)] = log(1 + eˡ) - x l,   x̂ = sigmoid(l)
        # Where x̂ rounds to 0 or 1, the right side has a tiny rounding error; the left side has log 0
        per_pixel = np.logaddexp(0, logits) - x * logits
    elif kind == "mse":
        # (x - x̂)²
        per_pixel = (x - sigmoid(logits)) ** 2
    else:
        raise ValueError(f'reconstruction_loss: kind is {kind!r}; expected "bce" or "mse"')
    return per_pixel.sum(axis=(1, 2, 3))  # (B,)


def kl_divergence(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " B"]:
    """KL(q(z|x) || N(0, I)) in nats per image (Kingma & Welling 2013, appendix B)."""
    check_alike(2, mu=mu, logvar=logvar)
    # -½ Σ (1 + log σ² - μ² - σ²) = ½ Σ (μ² + (σ² - 1) - log σ²). expm1(logvar) = σ² - 1 keeps its digits where σ² is near 1
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1)  # (B,)


def elbo(params: Params, x: Float[Array, "B 1 28 28"], eps: Float[Array, "B D"], kind: str = "bce") -> Float[Array, " B"]:
    """The evidence lower bound with one sample of z per image, in nats: larger is better (Kingma & Welling 2013, eq. 10).

    It estimates a lower bound on log p(x) if the reconstruction loss is a negative log-likelihood ("bce" on binary images).
    Otherwise it is a training objective, not a bound.
    """
    mu, logvar = encode(params, x)
    logits = decode(params, reparameterize(mu, logvar, eps))
    # L(θ, φ; x) = E_q[log p(x|z)] - KL(q(z|x) || p(z))
    return -(reconstruction_loss(logits, x, kind) + kl_divergence(mu, logvar))


def init_params(latent_dim: int, rng: np.random.Generator) -> dict[str, Float[Array, "..."]]:
    """Draw every weight and bias from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch does; float32.

    fan_in is the product of the weight's sizes, without the first size. In most layers it is the number of terms in the sum
    for one output. In a transposed convolution it is not this number, but torch and this model use it there too.
    """
    params = {}
    for name, shape in shapes(latent_dim).items():
        if name.endswith(".weight"):
            bound = 1 / np.sqrt(np.prod(shape[1:]))  # the layer's bias comes next and has the same bound
        params[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return params


def in_parts(coder: Callable[[Params, Array], Any], params: Params, batch: Array) -> Any:
    """Call `coder` (encode or decode) on a large batch, 64 images at a time. Images do not affect each other, so the result
    is equal to that of one batch, up to rounding.

    A layer's result for 64 images still lies in the processor's cache when the next layer reads it. So this is often faster
    than one large batch. The memory for hidden layers does not grow with the batch.
    """
    parts = [coder(params, batch[start : start + AT_ONCE]) for start in range(0, len(batch), AT_ONCE)]
    if isinstance(parts[0], tuple):  # mu and logvar
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return np.concatenate(parts)


def _layer(params: Params, name: str) -> tuple[Array, Array]:
    return params[f"{name}.weight"], params[f"{name}.bias"]
