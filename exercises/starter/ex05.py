"""Exercise 05: the KL divergence of a diagonal Gaussian: from the prior (three functions), and from any diagonal Gaussian.

Everything is NumPy; `logvar` is the logarithm of the variance, and a result is in nats per image.
Legend: B batch, D latent size, K samples.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def kl_divergence(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " B"]:
    """KL(N(mu, diag(exp(logvar))) || N(0, I)): summed over the latents, one number per image."""
    raise NotImplementedError("kl_divergence")


def kl_near_prior(mu: Float[Array, "B D"], logvar: Float[Array, "B D"]) -> Float[Array, " B"]:
    """The same number, but with most of its digits correct if q is near the prior (for example, mu and logvar of 1e-6)."""
    raise NotImplementedError("kl_near_prior")


def kl_two_gaussians(
    mu_q: Float[Array, "B D"], logvar_q: Float[Array, "B D"], mu_p: Float[Array, "B D"], logvar_p: Float[Array, "B D"]
) -> Float[Array, " B"]:
    """KL(q || p) of two diagonal Gaussians. p can be any diagonal Gaussian, not only N(0, I)."""
    raise NotImplementedError("kl_two_gaussians")


def kl_by_sampling(mu: Float[Array, "B D"], logvar: Float[Array, "B D"], eps: Float[Array, "K B D"]) -> Float[Array, " B"]:
    """The estimate of KL(q || N(0, I)) from K samples z = mu + sigma eps: the mean of log q(z) - log p(z)."""
    raise NotImplementedError("kl_by_sampling")
