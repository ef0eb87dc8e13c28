"""Exercise 08, one solution."""

import numpy as np
from jaxtyping import Float, Int64

from vae_numpy import vae
from vae_numpy.layers import conv2d, conv_transpose2d, linear, relu, sigmoid

Array = np.ndarray
Params = dict[str, Array]


def one_hot(labels: Int64[Array, " B"]) -> Float[Array, "B 10"]:
    """float32: row b is 1 at column labels[b], and 0 elsewhere."""
    return (labels[:, None] == np.arange(10)).astype(np.float32)


def encode(params: Params, x: Float[Array, "B 1 28 28"], labels: Int64[Array, " B"]) -> tuple[Array, Array]:
    """mu and logvar of q(z|x, c), (B, D) each: the VAE's encoder, with the label's 256 features added before the ReLU of fc."""
    of_label = linear(one_hot(labels).astype(x.dtype), params["encoder_label.weight"])  # (B, 256)
    h = relu(conv2d(x, *_layer(params, "encoder.conv1"), stride=2, padding=1))  # (B, 32, 14, 14)
    h = relu(conv2d(h, *_layer(params, "encoder.conv2"), stride=2, padding=1))  # (B, 64, 7, 7)
    h = relu(linear(h.reshape(len(x), 3136), *_layer(params, "encoder.fc")) + of_label)  # (B, 256)
    return linear(h, *_layer(params, "encoder.mu")), linear(h, *_layer(params, "encoder.logvar"))


def decode(params: Params, z: Float[Array, "B D"], labels: Int64[Array, " B"]) -> Float[Array, "B 1 28 28"]:
    """The logits of p(x|z, c): the VAE's decoder, with the label's 256 features added before the ReLU of fc1."""
    of_label = linear(one_hot(labels).astype(z.dtype), params["decoder_label.weight"])  # (B, 256)
    h = relu(linear(z, *_layer(params, "decoder.fc1")) + of_label)  # (B, 256)
    h = relu(linear(h, *_layer(params, "decoder.fc2"))).reshape(len(z), 64, 7, 7)  # (B, 64, 7, 7)
    h = relu(conv_transpose2d(h, *_layer(params, "decoder.conv_t1"), stride=2, padding=1, output_padding=1))  # (B, 32, 14, 14)
    return conv_transpose2d(h, *_layer(params, "decoder.conv_t2"), stride=2, padding=1, output_padding=1)  # (B, 1, 28, 28)


def elbo(
    params: Params, x: Float[Array, "B 1 28 28"], labels: Int64[Array, " B"], eps: Float[Array, "B D"]
) -> Float[Array, " B"]:
    """The ELBO with one sample of z per image and the "bce" loss, in nats per image. For binary x it estimates a lower bound on
    log p(x|c)."""
    mu, logvar = encode(params, x, labels)
    logits = decode(params, vae.reparameterize(mu, logvar, eps), labels)
    return -(vae.reconstruction_loss(logits, x) + vae.kl_divergence(mu, logvar))


def sample(params: Params, labels: Int64[Array, " B"], eps: Float[Array, "B D"]) -> Float[Array, "B 1 28 28"]:
    """New images x_hat, in [0, 1], of the digits in `labels`; eps is standard normal noise."""
    # z ~ p(z) = N(0, I) whatever the label: there is no image to encode
    return sigmoid(decode(params, eps, labels))


def _layer(params: Params, name: str) -> tuple[Array, Array]:
    return params[f"{name}.weight"], params[f"{name}.bias"]
