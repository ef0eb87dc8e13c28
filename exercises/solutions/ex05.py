"""Exercise 05, one solution."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def kl_divergence(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " B"]:
    """KL(N(mu, diag(exp(logvar))) || N(0, I)): summed over the latents, one number per image."""
    # -½ Σ (1 + log σ² - μ² - σ²)
    return -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)


def kl_near_prior(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " B"]:
    """The same number, but with most of its digits correct if q is near the prior (for example, mu and logvar of 1e-6)."""
    # ½ Σ (μ² + (σ² - 1) - log σ²): expm1(l) is eˡ - 1 without the rounding of eˡ to a number near 1
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1)


def kl_two_gaussians(
    mu_q: Float[Array, "B D"], logvar_q: Float[Array, "B D"], mu_p: Float[Array, "B D"], logvar_p: Float[Array, "B D"]
) -> Float[Array, " B"]:
    """KL(q || p) of two diagonal Gaussians. p can be any diagonal Gaussian, not only N(0, I)."""
    # ½ Σ (log σp² - log σq² + σq² / σp² + ((μq - μp) / σp)² - 1): 1 / σp is finite where σp² overflows
    ratio = np.exp(logvar_q - logvar_p) + ((mu_q - mu_p) * np.exp(-logvar_p / 2)) ** 2
    return 0.5 * (logvar_p - logvar_q + ratio - 1).sum(axis=1)


def kl_by_sampling(mu: Float[Array, "B D"], logvar: Float[Array, "B D"], eps: Float[Array, "K B D"]) -> Float[Array, " B"]:
    """The estimate of KL(q || N(0, I)) from K samples z = mu + sigma eps: the mean of log q(z) - log p(z)."""
    z = mu + np.exp(logvar / 2) * eps  # (K, B, D)
    # log q(z) - log p(z) = ½ Σ (z² - ε² - log σ²): the constants log 2π cancel
    return 0.5 * (z**2 - eps**2 - logvar).sum(axis=2).mean(axis=0)
