"""Exercise 11, one solution."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def nearest_code(z_e: Float[Tensor, "N D"], codebook: Float[Tensor, "K D"]) -> Int64[Tensor, " N"]:
    """For each vector, the index of the code with the smallest Euclidean distance (no two codes are equally near)."""
    # from z - e, because |z|² - 2 z·e + |e|², which cdist uses for large tables, loses the digits in which near codes differ
    return torch.cdist(z_e, codebook, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)


def straight_through(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """The result has the value of z_q. Its gradient goes unchanged to z_e; z_q gets no gradient."""
    return z_e + (z_q - z_e).detach()


def vq_loss(z_e: Float[Tensor, "N D"], z_q: Float[Tensor, "N D"], commitment: float) -> Float[Tensor, ""]:
    """|sg[z_e] - z_q|^2 + commitment |z_e - sg[z_q]|^2, summed over D, mean over N; sg stops the gradient.

    The first term moves the codes to the vectors, the second holds the vectors near their codes.
    """
    to_vectors = (z_e.detach() - z_q).square().sum(1)
    to_codes = (z_e - z_q.detach()).square().sum(1)
    return (to_vectors + commitment * to_codes).mean()


def perplexity(indices: Int64[Tensor, " N"], codes: int) -> float:
    """exp of the entropy (in nats) of the codes' frequencies: 1 if one code is used, K if all are used equally often."""
    used = torch.bincount(indices, minlength=codes).double() / len(indices)
    # -Σ p log p, where 0 log 0 = 0
    return math.exp(-torch.xlogy(used, used).sum().item())


def uniform_rate(positions: int, codes: int) -> float:
    """The KL of one image in nats. At each position q gives probability 1 to one code, and the prior is uniform."""
    # per position Σ_k q_k log (q_k / (1/K)) = log K
    return positions * math.log(codes)
