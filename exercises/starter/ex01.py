"""Exercise 01: measure a latent space instead of only looking at it.

Everything is NumPy; log densities are in nats. Legend: B images, N points, T steps, D latent size, F factors, H height, W width.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def jumps(
    decode: Callable[[Array], Array], start: Float[Array, " D"], end: Float[Array, " D"], steps: int
) -> Float[Array, " steps"]:
    """Continuity: walk from start to end in equal steps, and return how far the decoded image moves at each step.

    decode takes the steps + 1 latents from start to end, (steps + 1, D), and gives images (steps + 1, 1, H, W). "How far" is
    the Euclidean distance between neighbouring images, over all their pixels.
    """
    raise NotImplementedError("jumps")


def log_aggregate_posterior(z: Float[Array, "N D"], mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " N"]:
    """Completeness: log q(z). The average of all images' posteriors is q(z) = 1/B sum_b N(z; mu_b, diag(exp(logvar_b)))."""
    raise NotImplementedError("log_aggregate_posterior")


def hole_fraction(z: Float[Array, "N D"], mu: Float[Array, "B D"], logvar: Float[Array, "B D"], nats: float) -> float:
    """The fraction of the points z with log q(z) < log p(z) - nats, p = N(0, I). The prior reaches them, but no image does."""
    raise NotImplementedError("hole_fraction")


def factor_correlation(mu: Float[Array, "B D"], factors: Float[Array, "B F"]) -> Float[Array, "D F"]:
    """Disentanglement: |Pearson correlation|, between 0 and 1, of each latent mean with each known factor of the images."""
    raise NotImplementedError("factor_correlation")
