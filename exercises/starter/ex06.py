"""Exercise 06: beta, and hidden betas.

Everything is NumPy; losses are in nats per image unless a reduction says otherwise.
Legend: B batch, C channels, H height, W width, J components.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def implied_beta(reconstruction: str, kl: str, pixels: int, latents: int, weight: float = 1.0) -> float:
    """The beta of `D + beta R` (both summed) that has the same optimum as `reconstruction + weight * kl`.

    `reconstruction` says how the loss reduces the pixels, `kl` how it reduces the latents: "sum" or "mean".
    """
    raise NotImplementedError("implied_beta")


def implied_variance(reduction: str, half: bool, pixels: int) -> float:
    """The variance of a Gaussian p(x|z). With it, -log p(x|z) + KL has the same optimum as the loss (squared error + KL).

    The KL is a sum over the latents. `reduction`: "sum" or "mean" of (x - x_hat)^2 over the pixels; `half`: whether this is
    multiplied by 1/2.
    """
    raise NotImplementedError("implied_variance")


def gaussian_nll(x: Float[Array, "B C H W"], x_hat: Float[Array, "B C H W"], variance: float) -> Float[Array, " B"]:
    """-log N(x; x_hat, variance), constant included, in nats per image."""
    raise NotImplementedError("gaussian_nll")


def best_variance(x: Float[Array, "B C H W"], x_hat: Float[Array, "B C H W"]) -> float:
    """The variance, one for all pixels of all images, that makes the sum of gaussian_nll over the batch smallest."""
    raise NotImplementedError("best_variance")


def rate_distortion(spectrum: Float[Array, " J"], beta: float, variance: float) -> tuple[Float[Array, " J"], Float[Array, " J"]]:
    """The best linear beta-VAE, component by component. The data's components are independent Gaussians of variances `spectrum`.

    It minimises error / (2 variance) + beta * rate in each component. Returns (error, rate): mean squared error, and nats.
    """
    raise NotImplementedError("rate_distortion")
