"""Exercise 10, one solution."""

import numpy as np
from jaxtyping import Bool, Float

Array = np.ndarray


def rate_per_latent(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " D"]:
    """The KL of each latent from N(0, 1), mean over the images."""
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar).mean(axis=0)


def active_units(mu: Float[Array, "B D"], threshold: float = 0.01) -> Bool[Array, " D"]:
    """Which latents are active. Latent j is active if the variance of mu_j over the images is above the threshold."""
    return mu.var(axis=0) > threshold


def free_bits(rate: Float[Array, "B D"], floor: float) -> float:
    """The KL term with free bits: a latent whose KL, *averaged over the batch*, is below `floor` nats counts as `floor`."""
    # Σ_j max(λ, mean_b KL_bj)
    return float(np.maximum(floor, rate.mean(axis=0)).sum())


def free_bits_gradient(rate: Float[Array, "B D"], floor: float) -> Float[Array, "B D"]:
    """The derivative of `free_bits` with respect to each entry of `rate` (no batch mean is exactly equal to `floor`)."""
    paid = rate.mean(axis=0) > floor  # (D,)
    return np.where(paid, 1 / len(rate), 0.0) * np.ones_like(rate)


def collapsed_optimum(strength: float, variance: float, beta: float) -> tuple[float, float]:
    """The linear VAE x = w z + noise, x and z scalar. Data variance `strength`, noise variance `variance`, KL weight beta.

    Returns (w^2, rate) at the optimum: both are 0 if the component has collapsed.
    """
    # the error that is left is e = min(strength, β σ²); the decoder's w² is the variance without this error
    error = min(strength, beta * variance)
    return strength - error, 0.5 * float(np.log(strength / error))
