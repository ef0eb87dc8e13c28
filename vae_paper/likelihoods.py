"""p(x|z): what the decoder's logits say about each pixel, as -log p(x|z) in nats; a model sums them over the image.

Every function takes logits and x of one shape and gives nats of that shape; x_hat = sigmoid(logits), and `log_sigma` is the
logarithm of a scale. ValueError where shapes differ, or where x is not in [0, 1] (looked at on the CPU only).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from vae_numpy.checks import check_alike, check_pixels

Pixels = Float[Tensor, "*pixels"]


def bernoulli(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """Independent Bernoulli pixels, for images of zeros and ones. A likelihood.

    Raises ValueError on grayscale images (looked at on the CPU only).
    """
    _check(logits, x)
    if not x.is_cuda and ((x != 0) & (x != 1)).any():
        raise ValueError("images are grayscale: outside the support of bernoulli, which is for pixels of 0 and 1; binarise them")
    return -Bernoulli(logits=logits, validate_args=False).log_prob(x)


def soft_bce(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """The Bernoulli formula on grayscale: an objective, no likelihood; its least value is the entropy of x, not 0."""
    _check(logits, x)
    return binary_cross_entropy_with_logits(logits, x, reduction="none")


def squared_error(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """||x - x_hat||²: an objective; plus a constant, the Gaussian with variance 1/2."""
    _check(logits, x)
    return (x - torch.sigmoid(logits)).square()


def gaussian(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """Normal pixels of mean x_hat and one standard deviation for all, fixed or learned. A likelihood (a density).

    Learning it is sigma-VAE: Rybkin et al. 2021, arXiv:2006.13202.
    """
    _check(logits, x)
    return -Normal(torch.sigmoid(logits), log_sigma.exp(), validate_args=False).log_prob(x)


def optimal_gaussian(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """`gaussian` at the variance that is best for this batch, its mean squared error (Rybkin et al. 2021, section 3.2).

    An objective: the variance is fitted to the very images that it explains.
    """
    _check(logits, x)
    variance = (x - torch.sigmoid(logits)).square().mean()  # σ*² = MSE
    return gaussian(logits, x, 0.5 * variance.log())


def continuous_bernoulli(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """The Bernoulli formula made a density on [0, 1] by its constant. A likelihood (Loaiza-Ganem & Cunningham 2019).

    arXiv:1907.06845, eq. 6-8; C(λ) = 2 atanh(1 - 2λ) / (1 - 2λ), which in logits l is l / tanh(l / 2), and 2 at l = 0.
    """
    return soft_bce(logits, x, log_sigma) - log_constant(logits)


def log_constant(logits: Pixels) -> Pixels:
    """log C of the continuous Bernoulli."""
    near = logits.abs() < 0.1
    far = torch.where(near, 1.0, logits)  # keeps 0 / 0, and its gradient, out of the branch that is not taken
    # log C = log(l / tanh(l/2)); near 0: log 2 + l²/12 - 7 l⁴/1440 + 31 l⁶/90720, off by less than 1e-11
    square = torch.where(near, logits, 0.0).square()
    series = math.log(2) + square / 12 - 7 * square**2 / 1440 + 31 * square**3 / 90720
    return torch.where(near, series, torch.log(far / torch.tanh(far / 2)))


def discretised_logistic(logits: Pixels, x: Pixels, log_sigma: Tensor) -> Pixels:
    """A logistic density of mean x_hat and one scale, integrated over each of the 256 gray levels. A likelihood.

    A probability of the integers 0..255, so a true bound in bits (Kingma et al. 2016, arXiv:1606.04934, eq. 31).
    """
    _check(logits, x)
    half = 0.5 / 255
    centre = x - torch.sigmoid(logits)
    above, below = (centre + half) / log_sigma.exp(), (centre - half) / log_sigma.exp()
    # σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b-a)); level 0 reaches down to -∞ and level 255 up to ∞
    middle = logsigmoid(above) + logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    log_p = torch.where(x < half, logsigmoid(above), torch.where(x > 1 - half, logsigmoid(-below), middle))
    return -log_p


LIKELIHOODS: dict[str, Callable[[Pixels, Pixels, Tensor], Pixels]] = {
    "bernoulli": bernoulli,
    "bce": soft_bce,
    "mse": squared_error,
    "gaussian": gaussian,
    "learned-gaussian": gaussian,
    "optimal-gaussian": optimal_gaussian,
    "continuous-bernoulli": continuous_bernoulli,
    "discretised-logistic": discretised_logistic,
}
WITH_LEARNED_SCALE = {"learned-gaussian", "discretised-logistic"}
OBJECTIVES_ONLY = {"bce", "mse", "optimal-gaussian"}  # no normalised p(x|z): their ELBO bounds nothing


def _check(logits: Tensor, x: Tensor) -> None:
    check_pixels(x)
    check_alike(None, logits=logits, x=x)


def binarise(x: Pixels, how: str, generator: torch.Generator) -> Pixels:
    """Pixels of zeros and ones: "dynamic" draws each pixel with probability x, "threshold" is x > 1/2, "none" is x.

    Dynamic binarisation: Burda et al. 2015, arXiv:1509.00519. ("fixed" is dynamic, drawn once for a whole data set.)
    """
    if how not in ("none", "dynamic", "threshold"):
        raise ValueError(f'binarise: how is {how!r}; expected "none", "dynamic" or "threshold"')
    if how == "none":
        return x
    check_pixels(x)  # NaN would become 0, and a gray level of 128 become 1
    u = 0.5 if how == "threshold" else torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return (x > u).to(x.dtype)
