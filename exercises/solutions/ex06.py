"""Exercise 06, one solution."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def implied_beta(reconstruction: str, kl: str, pixels: int, latents: int, weight: float = 1.0) -> float:
    """The beta of `D + beta R` (both summed) that has the same optimum as `reconstruction + weight * kl`.

    `reconstruction` says how the loss reduces the pixels, `kl` how it reduces the latents: "sum" or "mean".
    """
    # D / P + w R / L = (D + w (P / L) R) / P, and a constant factor moves no optimum
    of_distortion = 1 / pixels if reconstruction == "mean" else 1.0
    of_rate = 1 / latents if kl == "mean" else 1.0
    return weight * of_rate / of_distortion


def implied_variance(reduction: str, half: bool, pixels: int) -> float:
    """The variance of a Gaussian p(x|z). With it, -log p(x|z) + KL has the same optimum as the loss (squared error + KL).

    The KL is a sum over the latents. `reduction`: "sum" or "mean" of (x - x_hat)^2 over the pixels; `half`: whether this is
    multiplied by 1/2.
    """
    # c Σ (x - x̂)² = Σ (x - x̂)² / (2 σ²):   σ² = 1 / (2 c)
    factor = (0.5 if half else 1.0) / (pixels if reduction == "mean" else 1)
    return 1 / (2 * factor)


def gaussian_nll(x: Float[Array, "B C H W"], x_hat: Float[Array, "B C H W"], variance: float) -> Float[Array, " B"]:
    """-log N(x; x_hat, variance), constant included, in nats per image."""
    # ½ Σ [log 2πσ² + (x - x̂)² / σ²]
    return 0.5 * (np.log(2 * np.pi * variance) + (x - x_hat) ** 2 / variance).sum(axis=(1, 2, 3))


def best_variance(x: Float[Array, "B C H W"], x_hat: Float[Array, "B C H W"]) -> float:
    """The variance, one for all pixels of all images, that makes the sum of gaussian_nll over the batch smallest."""
    return float(((x - x_hat) ** 2).mean())


def rate_distortion(spectrum: Float[Array, " J"], beta: float, variance: float) -> tuple[Float[Array, " J"], Float[Array, " J"]]:
    """The best linear beta-VAE, component by component. The data's components are independent Gaussians of variances `spectrum`.

    It minimises error / (2 variance) + beta * rate in each component. Returns (error, rate): mean squared error, and nats.
    """
    # rate(e) = ½ log(λ / e): the slope of e / (2 σ²) + β rate is 0 at e = β σ², and no error exceeds λ
    error = np.minimum(spectrum, beta * variance)
    return error, 0.5 * np.log(spectrum / error)
