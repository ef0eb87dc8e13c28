"""Exercise 06: what a reduction does to beta; a linear beta-VAE's optimum, found by search."""

import numpy as np

from exercises.checking import Check, Wrong


def reductions(rng):
    weights = [1.0, 0.5, 4.0, float(rng.uniform(2, 3))]
    return [
        {"reconstruction": r, "kl": k, "pixels": 784 if w == 1 else 120, "latents": 20 if w == 1 else 7, "weight": w}
        for w in weights
        for r in ("mean", "sum")
        for k in ("sum", "mean")
    ]


def errors(rng):
    sizes = (784, int(rng.integers(50, 90)))
    return [{"reduction": r, "half": h, "pixels": p} for p in sizes for r in ("mean", "sum") for h in (False, True)]


def images(rng):
    few = {"x": np.array([[[[0.9, 0.2, 0.4], [0.0, 1.0, 0.3]]]]), "x_hat": np.array([[[[0.5, 0.1, 0.6], [0.3, 0.8, 0.0]]]])}
    return [few, {"x": rng.uniform(size=(2, 1, 4, 5)), "x_hat": rng.uniform(0.1, 0.8, size=(2, 1, 4, 5))}]


def images_and_variances(rng):
    return [images(rng)[0] | {"variance": 0.05}, images(rng)[1] | {"variance": float(rng.uniform(0.1, 0.4))}]


def spectra(rng):
    return [
        {"spectrum": np.array([4.0, 1.0, 0.3]), "beta": 2.0, "variance": 0.25},
        {"spectrum": np.sort(rng.uniform(0.05, 3, 6))[::-1].copy(), "beta": float(rng.uniform(0.5, 3)), "variance": 0.3},
    ]


def ratio_of_weights(reconstruction, kl, pixels, latents, weight=1.0):
    """By example: what one nat of KL weighs against one nat of distortion in the reduced loss."""
    distortion, rate = np.full(pixels, 1 / pixels), np.full(latents, 1 / latents)  # one nat each, summed
    return float(weight * getattr(rate, kl)() / getattr(distortion, reconstruction)())


def variance_by_weight(reduction, half, pixels):
    """The variance for which half the summed squared error over it equals the loss, for one error of 1 in every pixel."""
    loss = float(getattr(np.ones(pixels), reduction)()) * (1 / 2 if half else 1)
    return (pixels / 2) / loss


def nll(x, x_hat, variance):
    density = np.exp(-((x - x_hat) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    return -np.log(density).reshape(len(x), -1).sum(1)


def least(x, x_hat):
    return float(np.var(x - x_hat) + np.mean(x - x_hat) ** 2)


def searched(spectrum, beta, variance):
    """The best error of each component on a fine grid of rates, refined three times; no calculus."""
    rate = np.zeros_like(spectrum)
    for j, power in enumerate(spectrum):
        low, high = 0.0, 6.0
        for _ in range(40):  # a golden-section search: the cost is convex in the rate
            a, b = high - (high - low) / 1.618033988749895, low + (high - low) / 1.618033988749895
            cost = [power * np.exp(-2 * r) / (2 * variance) + beta * r for r in (a, b)]
            low, high = (low, b) if cost[0] < cost[1] else (a, high)
        rate[j] = (low + high) / 2
    return spectrum * np.exp(-2 * rate), rate


CHECKS = [
    Check("implied_beta", "the beta of each reduction", ratio_of_weights, reductions),
    Check("implied_variance", "the variance of each squared error", variance_by_weight, errors),
    Check("gaussian_nll", "-log N(x; x_hat, variance) per image", nll, images_and_variances),
    Check("best_variance", "the variance at which the NLL is least", least, images),
    Check("rate_distortion", "error and rate of each component at the optimum", searched, spectra, allowed=1e-6),
]


def beta(of_distortion, of_rate):
    return lambda r, k, p, l, w=1.0: w * of_rate(k, l) / of_distortion(r, p)


def over(how, n):
    return 1 / n if how == "mean" else 1.0


def water(level):
    def answer(spectrum, beta, variance):
        error = np.minimum(spectrum, level(beta, variance))
        return error, 0.5 * np.log(spectrum / error)

    return answer


WRONG = [
    Wrong(
        "upside_down",
        "implied_beta",
        "that is 1/beta with weight 1: a *mean* over pixels makes the distortion small, so the KL counts more, and beta is large",
        lambda r, k, p, l, w=1.0: w * over(r, p) / over(k, l),
    ),
    Wrong(
        "written_weight",
        "implied_beta",
        "that is the weight that is written in the loss; the reductions multiply it",
        lambda r, k, p, l, w=1.0: w,
    ),
    Wrong(
        "latents_forgotten",
        "implied_beta",
        "that forgets that the KL may be a mean over the latents, which divides it by their number",
        beta(over, lambda k, l: 1.0),
    ),
    Wrong(
        "pixels_forgotten",
        "implied_beta",
        "that forgets that the reconstruction may be a mean over the pixels",
        beta(lambda r, p: 1.0, over),
    ),
    Wrong(
        "weight_forgotten",
        "implied_beta",
        "that forgets the weight that is written in the loss",
        lambda r, k, p, l, w=1.0: over(k, l) / over(r, p),
    ),
    Wrong(
        "half_forgotten",
        "implied_variance",
        "that is right without the 1/2 only: SSE/2 is a Gaussian of variance 1, SSE one of 1/2",
        lambda reduction, half, pixels: variance_by_weight(reduction, False, pixels),
    ),
    Wrong(
        "unit_variance",
        "implied_variance",
        "that takes SSE for a Gaussian of variance 1: -log N has (x - x_hat)^2 / (2 variance)",
        lambda reduction, half, pixels: 2 * variance_by_weight(reduction, half, pixels),
    ),
    Wrong(
        "precision",
        "implied_variance",
        "that is the precision, 1/variance: a weaker squared error means a *larger* variance",
        lambda reduction, half, pixels: 1 / variance_by_weight(reduction, half, pixels),
    ),
    Wrong(
        "sigma",
        "implied_variance",
        "that is the standard deviation; the variance is its square",
        lambda reduction, half, pixels: variance_by_weight(reduction, half, pixels) ** 0.5,
    ),
    Wrong(
        "no_constant",
        "gaussian_nll",
        "that lacks 1/2 log(2 pi variance) per pixel: without it a larger variance is always better, and no two "
        "variances compare",
        lambda x, x_hat, variance: ((x - x_hat) ** 2).sum((1, 2, 3)) / (2 * variance),
    ),
    Wrong(
        "variance_squared",
        "gaussian_nll",
        "that takes the variance for the standard deviation, and squares it",
        lambda x, x_hat, variance: nll(x, x_hat, variance**2),
    ),
    Wrong(
        "constant_once",
        "gaussian_nll",
        "that adds the constant once per image; it belongs to every pixel",
        lambda x, x_hat, variance: 0.5 * np.log(2 * np.pi * variance) + ((x - x_hat) ** 2).sum((1, 2, 3)) / (2 * variance),
    ),
    Wrong(
        "mean_over_pixels",
        "gaussian_nll",
        "that is the mean over the pixels; nats per image are their sum",
        lambda x, x_hat, variance: nll(x, x_hat, variance) / x[0].size,
    ),
    Wrong(
        "sum_not_mean",
        "best_variance",
        "that is the sum of squared errors; the best variance is their mean",
        lambda x, x_hat: float(((x - x_hat) ** 2).sum()),
    ),
    Wrong(
        "centred",
        "best_variance",
        "that is the variance of the errors about *their* mean: x_hat is the mean of p(x|z), so nothing is subtracted",
        lambda x, x_hat: float(np.var(x - x_hat)),
    ),
    Wrong(
        "rmse",
        "best_variance",
        "that is the root, a standard deviation; the variance is asked for",
        lambda x, x_hat: least(x, x_hat) ** 0.5,
    ),
    Wrong(
        "beta_ignored",
        "rate_distortion",
        "that is the optimum at beta = 1: the error that is left is beta times the variance",
        water(lambda beta, variance: variance),
    ),
    Wrong(
        "factor_two",
        "rate_distortion",
        "the error is twice too large where it counts: the 1/2 of the rate cancels the 1/2 of the distortion",
        water(lambda beta, variance: 2 * beta * variance),
    ),
    Wrong(
        "no_limit",
        "rate_distortion",
        "that lets the error exceed the component's own variance, and the rate become negative: a component that costs more than "
        "it gives is left out, with rate 0",
        lambda spectrum, beta, variance: (
            np.full_like(spectrum, beta * variance),
            0.5 * np.log(spectrum / (beta * variance)),
        ),
    ),
    Wrong(
        "bits",
        "rate_distortion",
        "the rate is in bits: use the natural logarithm for nats",
        lambda spectrum, beta, variance: (
            water(lambda b, v: b * v)(spectrum, beta, variance)[0],
            water(lambda b, v: b * v)(spectrum, beta, variance)[1] / np.log(2),
        ),
    ),
    Wrong(
        "half_reversed",
        "implied_variance",
        "that is twice too large without the 1/2 and twice too small with it: c SSE has the variance 1 / (2 c)",
        lambda reduction, half, pixels: variance_by_weight(reduction, half, pixels) * (0.5 if half else 2),
    ),
]

VALID = [
    ("implied_beta", ratio_of_weights),
    ("implied_variance", variance_by_weight),
    ("gaussian_nll", nll),
    ("best_variance", least),
    ("rate_distortion", searched),
]
