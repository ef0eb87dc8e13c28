"""Exercise 11: vector quantisation: each latent is one of K codes, and the gradient goes past the choice unchanged.

torch tensors throughout. Legend: N vectors (all positions of all images), D their size, K codes.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def nearest_code(z_e: Float[Tensor, "N D"], codebook: Float[Tensor, "K D"]) -> Int64[Tensor, " N"]:
    """For each vector, the index of the code with the smallest Euclidean distance (no two codes are equally near)."""
    raise NotImplementedError("nearest_code")


def straight_through(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """The result has the value of z_q. Its gradient goes unchanged to z_e; z_q gets no gradient."""
    raise NotImplementedError("straight_through")


def vq_loss(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"], commitment: float) -> Float[Tensor, ""]:
    """|sg[z_e] - z_q|^2 + commitment |z_e - sg[z_q]|^2, summed over D, mean over N; sg stops the gradient.

    The first term moves the codes to the vectors, the second holds the vectors near their codes.
    """
    raise NotImplementedError("vq_loss")


def perplexity(indices: Int64[Tensor, " N"], codes: int) -> float:
    """exp of the entropy (in nats) of the codes' frequencies: 1 if one code is used, K if all are used equally often."""
    raise NotImplementedError("perplexity")


def uniform_rate(positions: int, codes: int) -> float:
    """The KL of one image in nats. At each position q gives probability 1 to one code, and the prior is uniform."""
    raise NotImplementedError("uniform_rate")
