"""Exercise 01, one solution."""

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
    t = np.linspace(0, 1, steps + 1)[:, None]  # (steps + 1, 1)
    images = decode((1 - t) * start + t * end)  # (steps + 1, 1, H, W)
    return np.sqrt(((images[1:] - images[:-1]) ** 2).sum(axis=(1, 2, 3)))


def log_aggregate_posterior(z: Float[Array, "N D"], mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " N"]:
    """Completeness: log q(z). The average of all images' posteriors is q(z) = 1/B sum_b N(z; mu_b, diag(exp(logvar_b)))."""
    apart = z[:, None] - mu  # (N, B, D)
    # log N(z; μ, σ²) = -½ Σ (log 2π + log σ² + (z - μ)² / σ²)
    log_q = -0.5 * (np.log(2 * np.pi) + logvar + apart**2 / np.exp(logvar)).sum(axis=2)  # (N, B)
    # log 1/B Σ exp(l) = m + log Σ exp(l - m) - log B: with the largest taken out, nothing underflows
    most = log_q.max(axis=1)  # (N,)
    return most + np.log(np.exp(log_q - most[:, None]).sum(axis=1)) - np.log(len(mu))


def hole_fraction(z: Float[Array, "N D"], mu: Float[Array, "B D"], logvar: Float[Array, "B D"], nats: float) -> float:
    """The fraction of the points z with log q(z) < log p(z) - nats, p = N(0, I). The prior reaches them, but no image does."""
    log_p = -0.5 * (np.log(2 * np.pi) + z**2).sum(axis=1)  # (N,)
    return float((log_aggregate_posterior(z, mu, logvar) < log_p - nats).mean())


def factor_correlation(mu: Float[Array, "B D"], factors: Float[Array, "B F"]) -> Float[Array, "D F"]:
    """Disentanglement: |Pearson correlation|, between 0 and 1, of each latent mean with each known factor of the images."""
    a = (mu - mu.mean(axis=0)) / mu.std(axis=0)  # (B, D)
    b = (factors - factors.mean(axis=0)) / factors.std(axis=0)  # (B, F)
    return np.abs(a.T @ b) / len(mu)
