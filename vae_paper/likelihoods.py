"""Likelihoods p(x|z): functions that compute -log p(x|z) of each pixel, in nats, from the decoder's logits.

`logits`, x and the result have the same shape; a model sums the result over the image. x_hat = sigmoid(logits). `log_sigma` is
the logarithm of one scale for all pixels. The table `LIKELIHOODS` below lists all functions.
ValueError if shapes differ, or if x is outside [0, 1] or outside the likelihood's support (on a GPU, values are not checked).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from vae_numpy.checks import check_alike, check_floats, check_pixels, values_are_visible

Pixels = Float[Tensor, "*pixels"]
Scalar = Float[Tensor, ""]


def bernoulli(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """Independent Bernoulli pixels, for images of zeros and ones. ValueError on grayscale images."""
    _check(logits, x, log_sigma)
    if values_are_visible(x) and ((x != 0) & (x != 1)).any():
        raise ValueError("images are grayscale: outside the support of bernoulli, which is for pixels of 0 and 1; binarise them")
    return -Bernoulli(logits=logits, validate_args=False).log_prob(x)


def soft_bce(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """The formula of `bernoulli` for grayscale images: an objective, not a likelihood.

    Its minimum is not 0. It is the entropy of a pixel that is 1 with probability x.
    """
    _check(logits, x, log_sigma)
    return binary_cross_entropy_with_logits(logits, x, reduction="none")


def squared_error(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """(x - x_hat)², an objective. It is -log p(x|z) of a Gaussian with variance 1/2, without the constant."""
    _check(logits, x, log_sigma)
    return (x - torch.sigmoid(logits)).square()


def gaussian(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """Gaussian pixels with mean x_hat. All pixels have one standard deviation, fixed or learned. p(x|z) is a density.

    With a learned standard deviation, the model is a sigma-VAE: Rybkin et al. 2021, arXiv:2006.13202.
    """
    _check(logits, x, log_sigma)
    return -Normal(torch.sigmoid(logits), log_sigma.exp(), validate_args=False).log_prob(x)


def optimal_gaussian(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """`gaussian` with the best variance for this batch: the mean squared error (Rybkin et al. 2021, section 3.2).

    An objective, not a likelihood: the variance is computed from x itself, so exp(-nats) does not integrate to 1 over x.
    """
    _check(logits, x, log_sigma)
    variance = (x - torch.sigmoid(logits)).square().mean().clamp(min=1e-12)  # at least 1e-12, so that its logarithm is finite
    return gaussian(logits, x, 0.5 * variance.log())


def continuous_bernoulli(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """-log of a density on [0, 1]: the Bernoulli probability times C (Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845,
    eq. 6-8).

    The normalising constant is C = 2 atanh(1 - 2λ) / (1 - 2λ), with λ = x_hat. As a function of the logit l it is
    l / tanh(l / 2), and 2 at l = 0.
    """
    return soft_bce(logits, x, log_sigma) - log_constant(logits)


def log_constant(logits: Pixels) -> Pixels:
    """log C of `continuous_bernoulli`. In float64 it is exact to 1e-12. (For |l| <= 60, torch.distributions is wrong by up to
    0.5 nats in float64, 1.3 nats in float32.)"""
    near = logits.abs() < 0.1
    far = torch.where(near, 1.0, logits)  # `where` computes both branches: without this 1, l = 0 gives 0 / 0, and a NaN gradient
    # log C = log(l / tanh(l/2)); near 0: log 2 + l²/12 - 7 l⁴/1440 + 31 l⁶/90720, with an error below 1e-12
    square = torch.where(near, logits, 0.0).square()
    series = math.log(2) + square / 12 - 7 * square**2 / 1440 + 31 * square**3 / 90720
    return torch.where(near, series, torch.log(far / torch.tanh(far / 2)))


def discretised_logistic(logits: Pixels, x: Pixels, log_sigma: Scalar) -> Pixels:
    """Probabilities of the 256 gray levels 0/255 to 255/255. The probability of a level is the integral of a logistic density
    (mean x_hat, one scale for all pixels) from half a level below to half a level above. (The lowest level's integral begins at
    -∞, the highest level's ends at ∞.)

    p(x|z) is a probability of 8-bit images, not a density (Salimans et al. 2017, "PixelCNN++", arXiv:1701.05517, eq. 2, with
    one logistic density in place of a mixture). ValueError if x holds a value between two levels.
    """
    _check(logits, x, log_sigma)
    if values_are_visible(x) and ((255 * x - (255 * x).round()).abs() > 1e-3).any():
        raise ValueError(
            "images hold values that are no multiple of 1/255: outside the support of discretised-logistic, which is for "
            "8-bit levels; choose another likelihood, or round the images"
        )
    half = 0.5 / 255
    centre = x - torch.sigmoid(logits)
    above, below = (centre + half) / log_sigma.exp(), (centre - half) / log_sigma.exp()
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b-a)); the integral for level 0 is from -∞, for level 255 to ∞
    middle = logsigmoid(above) + logsigmoid(-below) + torch.log(-torch.expm1(below - above))
    log_p = torch.where(x < half, logsigmoid(above), torch.where(x > 1 - half, logsigmoid(-below), middle))
    return -log_p


def _check(logits: Tensor, x: Tensor, log_sigma: Tensor) -> None:
    check_pixels(x)
    check_alike(None, logits=logits, x=x)
    check_floats(log_sigma=log_sigma)
    if log_sigma.ndim != 0:  # torch would broadcast log_sigma or the pixels
        raise ValueError(f"log_sigma is {tuple(log_sigma.shape)}: expected one number")


# Each draw_... function below draws one x from p(x|z). An objective that is not a likelihood has no such function.


def draw_bernoulli(logits: Pixels, log_sigma: Scalar, generator: torch.Generator) -> Pixels:
    """Pixels that are 0 or 1."""
    return torch.bernoulli(torch.sigmoid(logits), generator=generator)


def draw_gaussian(logits: Pixels, log_sigma: Scalar, generator: torch.Generator) -> Pixels:
    """Gaussian pixels, clipped to [0, 1]: a Gaussian also has values outside this range."""
    noise = torch.randn(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    return (torch.sigmoid(logits) + log_sigma.exp() * noise).clamp(0, 1)


def draw_continuous_bernoulli(logits: Pixels, log_sigma: Scalar, generator: torch.Generator) -> Pixels:
    """Pixels in [0, 1], drawn with the inverse CDF. (That of torch.distributions is wrong for float32 logits beyond ±16.)"""
    u = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    # For l < 0, the CDF is (1 - e^lx) / (1 - e^l); its inverse is log(1 + u (e^l - 1)) / l.
    # For l > 0, a pixel is 1 minus a pixel with the logit -l
    below = -logits.abs().clamp(min=1e-30)
    x = torch.log1p(u * torch.expm1(below)) / below
    return torch.where(logits > 0, 1 - x, x)


def draw_discretised_logistic(logits: Pixels, log_sigma: Scalar, generator: torch.Generator) -> Pixels:
    """A sample of the logistic density, rounded to the nearest level k/255."""
    u = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device).clamp(1e-7, 1 - 1e-7)
    return ((torch.sigmoid(logits) + log_sigma.exp() * torch.logit(u)).clamp(0, 1) * 255).round() / 255


class Likelihood(NamedTuple):
    """A row of the table `LIKELIHOODS`: a likelihood, or an objective that is used instead."""

    nats: Callable[[Pixels, Pixels, Scalar], Pixels]
    support: str
    unit: str
    draw: Callable[[Pixels, Scalar, torch.Generator], Pixels] | None
    """Draws x from p(x|z). None for an objective that is not a likelihood: then the ELBO is not a bound."""
    scale: str = "none"
    """How sigma is set: "none" (there is no sigma), "fixed" or "learned"."""
    whole_batch: str | None = None
    """The reason why the loss needs the whole batch, or None."""

    @property
    def normalised(self) -> bool:
        """Whether exp(-nats) sums or integrates to 1 over x."""
        return self.draw is not None


CODE = (
    "these nats come from probabilities, and an image of probability p can be stored in -log2(p) bits. So -ELBO in bits/dim is "
    "the size, in bits for each pixel and channel, to which this model can compress images without loss"
)
DENSITY = (
    "a density of images on the scale 0 to 1, so these nats may be negative. It is not a probability of gray levels, so "
    "bits/dim is not the size of a compressed file. On the scale 0 to 255, bits/dim is larger by log2(255), about 8"
)
LIKELIHOODS = {
    "bernoulli": Likelihood(bernoulli, "0 and 1", f"nats of binary pixels; {CODE}", draw_bernoulli),
    "bce": Likelihood(
        soft_bce, "[0, 1]",
        "nats of the Bernoulli formula on grayscale: not a probability. The smallest value is the entropy of pixels that are 1 "
        "with probability x", None,
    ),
    "mse": Likelihood(squared_error, "[0, 1]", "squared error: nats of a Gaussian with variance 1/2, without its constant", None),
    "gaussian": Likelihood(gaussian, "real numbers", f"nats of {DENSITY}", draw_gaussian, scale="fixed"),
    "learned-gaussian": Likelihood(gaussian, "real numbers", f"nats of {DENSITY}", draw_gaussian, scale="learned"),
    "optimal-gaussian": Likelihood(
        optimal_gaussian, "real numbers", "nats of a density whose variance is fitted to the same batch", None,
        whole_batch="its variance is fitted to a batch",
    ),
    "continuous-bernoulli": Likelihood(
        continuous_bernoulli, "[0, 1]", f"nats of {DENSITY}", draw_continuous_bernoulli
    ),
    "discretised-logistic": Likelihood(
        discretised_logistic, "k/255",
        f"nats of the 256 levels of each channel; {CODE} (8 bits/dim if all levels are equally likely)",
        draw_discretised_logistic, scale="learned",
    ),
}  # fmt: skip


def binarise(x: Pixels, how: str, generator: torch.Generator) -> Pixels:
    """Make pixels 0 or 1. "dynamic": a pixel is 1 with probability x (Burda et al. 2015, arXiv:1509.00519). "threshold": it is
    1 if x > 1/2.

    "none" and "fixed" return x unchanged. With "fixed", x is binary already: `data.binarised` has drawn its pixels once.
    """
    if how not in ("none", "fixed", "dynamic", "threshold"):
        raise ValueError(f'binarise: how is {how!r}; expected "none", "fixed", "dynamic" or "threshold"')
    if how == "fixed" and values_are_visible(x) and ((x != 0) & (x != 1)).any():
        raise ValueError('binarise: how is "fixed", and the images are grayscale; make them binary with data.binarised first')
    if how in ("none", "fixed"):
        return x
    check_pixels(x)  # otherwise NaN would become 0, and a pixel that is not divided by 255 would become 1
    u = 0.5 if how == "threshold" else torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return (x > u).to(x.dtype)
