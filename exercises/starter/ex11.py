"""Exercise 11: vector quantisation: a latent that is one of K codes, and a gradient that jumps over the choice.

torch tensors throughout. Legend: N vectors (all positions of all images), D their size, K codes.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def nearest_code(z_e: Float[Tensor, "N D"], codebook: Float[Tensor, "K D"]) -> Int64[Tensor, " N"]:
    """For each vector the number of the code at the least Euclidean distance (no two codes are equally near)."""
    raise NotImplementedError("nearest_code")


def straight_through(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Has the value of z_q, and passes its gradient to z_e unchanged; z_q gets none."""
    raise NotImplementedError("straight_through")


def vq_loss(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"], commitment: float) -> Float[Tensor, ""]:
    """|sg[z_e] - z_q|^2 + commitment |z_e - sg[z_q]|^2, summed over D, mean over N; sg stops the gradient.

    The first term moves the codes to the vectors, the second holds the vectors near their codes.
    """
    raise NotImplementedError("vq_loss")


def perplexity(indices: Int64[Tensor, " N"], codes: int) -> float:
    """exp of the entropy (in nats) of how often each code is used: 1 if one code is used, K if all are used alike."""
    raise NotImplementedError("perplexity")


def uniform_rate(positions: int, codes: int) -> float:
    """The KL of one image in nats, where q puts all its weight on one code per position and the prior is uniform."""
    raise NotImplementedError("uniform_rate")
