"""Exercise 10: posterior collapse: see it, measure it, cause it, cure it.

Everything is NumPy, in nats. Legend: B images, D latent size.
"""

import numpy as np
from jaxtyping import Bool, Float

Array = np.ndarray


def rate_per_latent(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " D"]:
    """The KL of each latent from N(0, 1), mean over the images."""
    raise NotImplementedError("rate_per_latent")


def active_units(mu: Float[Array, "B D"], threshold: float = 0.01) -> Bool[Array, " D"]:
    """Which latents are active. Latent j is active if the variance of mu_j over the images is above the threshold."""
    raise NotImplementedError("active_units")


def free_bits(rate: Float[Array, "B D"], floor: float) -> float:
    """The KL term with free bits: a latent whose KL, *averaged over the batch*, is below `floor` nats counts as `floor`."""
    raise NotImplementedError("free_bits")


def free_bits_gradient(rate: Float[Array, "B D"], floor: float) -> Float[Array, "B D"]:
    """The derivative of `free_bits` with respect to each entry of `rate` (no batch mean is exactly equal to `floor`)."""
    raise NotImplementedError("free_bits_gradient")


def collapsed_optimum(strength: float, variance: float, beta: float) -> tuple[float, float]:
    """The linear VAE x = w z + noise, x and z scalar. Data variance `strength`, noise variance `variance`, KL weight beta.

    Returns (w^2, rate) at the optimum: both are 0 if the component has collapsed.
    """
    raise NotImplementedError("collapsed_optimum")
