"""Exercise 08: a conditional VAE, with the layers of level 1.

The parameters are those of the VAE (vae_numpy/parameters.py has the table), and two more matrices:

    encoder_label.weight (256, 10)    added before the ReLU of encoder.fc
    decoder_label.weight (256, 10)    added before the ReLU of decoder.fc1

Everything is NumPy. Legend: B batch, D latent size; labels are integers 0 to 9; `params` is a dict of 20 arrays.
"""

import numpy as np
from jaxtyping import Float, Int64

from vae_numpy import vae
from vae_numpy.layers import conv2d, conv_transpose2d, linear, relu, sigmoid

Array = np.ndarray
Params = dict[str, Array]


def one_hot(labels: Int64[Array, " B"]) -> Float[Array, "B 10"]:
    """float32: row b is 1 at column labels[b], and 0 elsewhere."""
    raise NotImplementedError("one_hot")


def encode(params: Params, x: Float[Array, "B 1 28 28"], labels: Int64[Array, " B"]) -> tuple[Array, Array]:
    """mu and logvar of q(z|x, c), (B, D) each: the VAE's encoder, with the label's 256 features added before the ReLU of fc."""
    raise NotImplementedError("encode")


def decode(params: Params, z: Float[Array, "B D"], labels: Int64[Array, " B"]) -> Float[Array, "B 1 28 28"]:
    """The logits of p(x|z, c): the VAE's decoder, with the label's 256 features added before the ReLU of fc1."""
    raise NotImplementedError("decode")


def elbo(
    params: Params, x: Float[Array, "B 1 28 28"], labels: Int64[Array, " B"], eps: Float[Array, "B D"]
) -> Float[Array, " B"]:
    """The ELBO with one sample of z per image and the "bce" loss, in nats per image. For binary x it estimates a lower bound on
    log p(x|c)."""
    raise NotImplementedError("elbo")


def sample(params: Params, labels: Int64[Array, " B"], eps: Float[Array, "B D"]) -> Float[Array, "B 1 28 28"]:
    """New images x_hat, in [0, 1], of the digits in `labels`; eps is standard normal noise."""
    raise NotImplementedError("sample")
