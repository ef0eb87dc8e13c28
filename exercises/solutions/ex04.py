"""Exercise 04, one solution."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def reparameterize(mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"]) -> Float[Array, "S D"]:
    """Samples z of N(mu, diag(exp(logvar))), made from the standard normal noise eps."""
    # z = μ + σ ⊙ ε,   σ = exp(log σ² / 2)
    return mu + np.exp(logvar / 2) * eps


def pathwise_gradient(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], df: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """Per sample, the derivative of f(z) with respect to mu and to logvar, through z = z(mu, logvar, eps).

    df takes z (S, D) and gives the derivative of f with respect to each coordinate of z, (S, D).
    """
    slope = df(reparameterize(mu, logvar, eps))  # (S, D)
    # ∂z/∂μ = 1,   ∂z/∂(log σ²) = ½ σ ε
    return slope, slope * 0.5 * np.exp(logvar / 2) * eps


def score_gradient(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], f: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """Per sample, f(z) times the derivative of log q(z) with respect to mu and to logvar. z is fixed. f: (S, D) -> (S,)."""
    values = f(reparameterize(mu, logvar, eps))[:, None]  # (S, 1)
    return _scored(values, logvar, eps)


def score_gradient_with_baseline(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], f: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """As score_gradient, but with f(z_s) minus the mean of f over the *other* samples: unbiased, with less noise."""
    values = f(reparameterize(mu, logvar, eps))[:, None]  # (S, 1)
    others = (values.sum() - values) / (len(values) - 1)
    return _scored(values - others, logvar, eps)


def _scored(values, logvar, eps):
    # ∂ log q / ∂μ = (z - μ) / σ² = ε / σ,   ∂ log q / ∂(log σ²) = ½ (ε² - 1)
    return values * eps / np.exp(logvar / 2), values * 0.5 * (eps**2 - 1)
