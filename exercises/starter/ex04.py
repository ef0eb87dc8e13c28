"""Exercise 04: a gradient through a sample, two ways.

We want the gradient of E[f(z)], z ~ N(mu, diag(exp(logvar))), with respect to mu and logvar, from S samples whose noise eps
is given. Both ways give one estimate per sample: two arrays (S, D). Everything is NumPy, without autograd: you write the
chain rule. Legend: S samples, D latent size.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def reparameterize(mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"]) -> Float[Array, "S D"]:
    """Samples z of N(mu, diag(exp(logvar))), made from the standard normal noise eps."""
    raise NotImplementedError("reparameterize")


def pathwise_gradient(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], df: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """Per sample, the derivative of f(z) with respect to mu and to logvar, through z = z(mu, logvar, eps).

    df takes z (S, D) and gives the derivative of f with respect to each coordinate of z, (S, D).
    """
    raise NotImplementedError("pathwise_gradient")


def score_gradient(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], f: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """Per sample, f(z) times the derivative of log q(z) with respect to mu and to logvar. z is fixed. f: (S, D) -> (S,)."""
    raise NotImplementedError("score_gradient")


def score_gradient_with_baseline(
    mu: Float[Array, " D"], logvar: Float[Array, " D"], eps: Float[Array, "S D"], f: Callable[[Array], Array]
) -> tuple[Float[Array, "S D"], Float[Array, "S D"]]:
    """As score_gradient, but with f(z_s) minus the mean of f over the *other* samples: unbiased, with less noise."""
    raise NotImplementedError("score_gradient_with_baseline")
