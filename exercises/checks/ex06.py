"""Exercise 06: what a reduction does to beta; a linear beta-VAE's optimum, found by search."""

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import Probe, each, extreme, moved, noted, pushed


def reductions(rng):
    weights = [1.0, 0.5, 4.0, float(rng.uniform(2, 3))]
    found = [
        {"reconstruction": r, "kl": k, "pixels": 784 if w == 1 else 120, "latents": 20 if w == 1 else 7, "weight": w}
        for w in weights
        for r in ("mean", "sum")
        for k in ("sum", "mean")
    ]
    small = [
        {"reconstruction": r, "kl": k, "pixels": p, "latents": l, "weight": 3e-6}
        for p, l in ((1, 13), (int(rng.integers(3, 9)), 1), (5, 64))
        for r in ("mean", "sum")
        for k in ("mean", "sum")
    ]
    default = [{"reconstruction": "mean", "kl": "mean", "pixels": 35, "latents": 6}]  # without a weight
    model = {"reconstruction": "mean", "kl": "mean", "pixels": 49, "latents": 10, "weight": 0.3}
    more = each(model, weight=(0.0, 0, 1, 3, 1e-9, 1e6, 784.0), pixels=(1, 2, 50, 3072, 1000003), latents=(1, 2, 99, 784, 100003))
    more += [noted("without a weight", {n: v for n, v in (p | {"weight": 0}).items() if n != "weight"}) for p in found[:4]]
    return [*found, *small, *default, *more]


def errors(rng):
    sizes = (784, int(rng.integers(50, 90)), 1, 3072, 49, 27, 100003)
    return [{"reduction": r, "half": h, "pixels": p} for p in sizes for r in ("mean", "sum") for h in (False, True)]


def drawn(rng, *shape):
    return {"x": rng.uniform(size=shape), "x_hat": rng.uniform(0.1, 0.8, size=shape)}


def images(rng):
    few = {"x": np.array([[[[0.9, 0.2, 0.4], [0.0, 1.0, 0.3]]]]), "x_hat": np.array([[[[0.5, 0.1, 0.6], [0.3, 0.8, 0.0]]]])}
    near = drawn(rng, 3, 2, 4, 5)
    near["x_hat"] = near["x"] + 1e-6 * rng.normal(size=near["x"].shape)
    black = extreme(x=np.ones((3, 1, 2, 4)), x_hat=np.zeros((3, 1, 2, 4)))
    model = drawn(rng, 3, 2, 4, 5)
    more = pushed(rng, model, x=(0.0, 1.0, -40.0), x_hat=(0.0, 1.0, 40.0))
    more += [moved(model, by, "x", "x_hat", allowed=1e-6) for by in (1e5, -1e3)]
    more.append(noted("x_hat is x", model | {"x_hat": model["x"].copy()}))
    more.append(noted("only one pixel differs", model | {"x_hat": model["x"] + 0.5 * (np.arange(120).reshape(3, 2, 4, 5) == 77)}))
    return [
        *more,
        few,
        drawn(rng, 1, 3, 2, 5),
        drawn(rng, 5, 2, 3, 1),
        drawn(rng, 4, 1, 1, 3),
        drawn(rng, 2, 1, 4, 5),
        black,
        extreme(**near),
        extreme(**{name: 80 * (array - 0.4) for name, array in drawn(rng, 2, 3, 1, 4).items()}),
    ]


def images_and_variances(rng):
    variances = [0.05, 0.7, 3.0, float(rng.uniform(1.1, 1.9)), float(rng.uniform(0.1, 0.4)), 1e-3, 4e-12, 50.0]
    found = images(rng)
    more, ordinary = found[:-8], found[-8:]
    probes = [probe | {"variance": v} for probe, v in zip(ordinary, variances, strict=True)]
    others = [noted(p.note, p | {"variance": 0.3}, allowed=p.allowed) for p in more]
    others += each(probes[1], variance=(1.0, 1, 1e-8, 1e-4, 0.5, 100.0))
    # the very small variance is that of the near images: each term counts
    return [
        *(Probe(p) for p in probes[:5]),
        *(extreme(**p) for p in probes[5:]),
        extreme(**probes[1] | {"variance": 2e6}),
        *others,
    ]


def spectra(rng):
    def draw(J, beta, variance):
        return {
            "spectrum": rng.permutation(np.concatenate([[3.0, 0.01][:J], rng.uniform(0.05, 3, max(0, J - 2))])),
            "beta": beta,
            "variance": variance,
        }

    few = {"spectrum": np.array([4.0, 1.0, 0.3]), "beta": 2.0, "variance": 0.25}
    model = draw(6, 1.7, 0.3)
    exact = {"spectrum": np.array([0.5, 0.25, 1.0, 0.125]), "beta": 2.0, "variance": 0.125}
    more = each(model, beta=(1.0, 1, 1e-3, 1e-9, 1e3), variance=(1.0, 2, 1e-3, 1e-9, 1e3))
    more += [*pushed(rng, model, spectrum=(1e-6, 1.0, 1e9)), noted("one variance is exactly the error", exact)]
    more.append(noted("beta and variance are small", model | {"beta": 1e-6, "variance": 1e-8}))
    nearly = {"spectrum": np.array([0.500001, 1.0]), "beta": 1.0, "variance": 0.5}
    more.append(noted("one variance is nearly the error", nearly, allowed=1e-9))
    more.append(noted("some variances are alike", model | {"spectrum": np.array([2.0, 0.1, 2.0, 2.0, 0.1])}))
    tiny = draw(4, 0.7, 3e-10) | {"spectrum": rng.permutation([1e-9, 4e-10, 1e-10, 3e-7])}
    large = draw(4, 50.0, 1e5) | {"spectrum": rng.permutation([1e9, 4e6, 30.0, 8e6])}
    return [
        few,
        draw(1, 0.5, 0.2),
        draw(5, 4.0, 0.15),
        draw(7, 0.4, 1.1),
        draw(6, float(rng.uniform(0.5, 3)), 0.3),
        extreme(**tiny),
        extreme(**large),
        *more,
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
    """Image by image: half the squared distance in units of the variance, plus log of the normaliser for each pixel."""
    deviation = np.sqrt(variance)
    return np.array(
        [
            sum((((a - b) / deviation) ** 2).ravel()) / 2 + a.size * (np.log(deviation) + np.log(np.sqrt(2 * np.pi)))
            for a, b in zip(x, x_hat, strict=True)
        ]
    )


def least(x, x_hat):
    return float(np.var(x - x_hat) + np.mean(x - x_hat) ** 2)


def searched(spectrum, beta, variance):
    """The rate at which the cost error / (2 variance) + beta rate has slope 0, found by halving an interval 200 times."""
    low, high = np.zeros_like(spectrum), np.full_like(spectrum, 40.0)
    for _ in range(200):
        rate = (low + high) / 2
        falling = spectrum * np.exp(-2 * rate) / variance > beta  # the cost still falls with the rate
        low, high = np.where(falling, rate, low), np.where(falling, high, rate)
    rate = np.where(high < 1e-30, 0.0, (low + high) / 2)
    return spectrum * np.exp(-2 * rate), rate


CHECKS = declared(
    "06",
    [
        Check("implied_beta", "the beta of each reduction", ratio_of_weights, reductions),
        Check("implied_variance", "the variance of each squared error", variance_by_weight, errors),
        Check("gaussian_nll", "-log N(x; x_hat, variance) per image", nll, images_and_variances, rows="B"),
        Check("best_variance", "the variance at which the NLL is least", least, images),
        Check("rate_distortion", "error and rate of each component at the optimum", searched, spectra, rows="J"),
    ],
)


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
        "your fraction of the two factors is upside down. A *mean* over the pixels makes the distortion small, so the KL counts "
        "more, and beta is large",
        lambda r, k, p, l, w=1.0: w * over(r, p) / over(k, l),
    ),
    Wrong(
        "written_weight",
        "implied_beta",
        "your result is the weight in the loss as it is written. The reductions change it: multiply it by their factors",
        lambda r, k, p, l, w=1.0: w,
    ),
    Wrong(
        "latents_forgotten",
        "implied_beta",
        "your code ignores the reduction of the KL. A mean over the latents divides the KL by their number",
        beta(over, lambda k, l: 1.0),
    ),
    Wrong(
        "pixels_forgotten",
        "implied_beta",
        "your code ignores the reduction of the reconstruction loss. A mean divides this loss by the number of pixels",
        beta(lambda r, p: 1.0, over),
    ),
    Wrong(
        "weight_forgotten",
        "implied_beta",
        "your code ignores the argument weight. Multiply the result by it",
        lambda r, k, p, l, w=1.0: over(k, l) / over(r, p),
    ),
    Wrong(
        "half_forgotten",
        "implied_variance",
        "your result is right only if half is False. The sum of squared errors belongs to variance 1/2, and half of "
        "this sum to variance 1",
        lambda reduction, half, pixels: variance_by_weight(reduction, False, pixels),
    ),
    Wrong(
        "unit_variance",
        "implied_variance",
        "your code assumes that the sum of squared errors (SSE) belongs to variance 1. -log N has (x - x_hat)^2 / (2 "
        "variance), so SSE belongs to another variance",
        lambda reduction, half, pixels: 2 * variance_by_weight(reduction, half, pixels),
    ),
    Wrong(
        "reduction_ignored",
        "implied_variance",
        "your code does not use `reduction`. In a mean over the pixels each error has less weight, so the variance is larger",
        lambda reduction, half, pixels: variance_by_weight("sum", half, pixels),
    ),
    Wrong(
        "weight_returned",
        "implied_variance",
        "your result is c, the weight of the sum of squared errors. The variance is 1 / (2 c)",
        lambda reduction, half, pixels: 1 / (2 * variance_by_weight(reduction, half, pixels)),
    ),
    Wrong(
        "precision",
        "implied_variance",
        "your result is the precision, 1/variance. A smaller weight on the squared error means a *larger* variance",
        lambda reduction, half, pixels: 1 / variance_by_weight(reduction, half, pixels),
    ),
    Wrong(
        "sigma",
        "implied_variance",
        "your result is the standard deviation. The variance is its square",
        lambda reduction, half, pixels: variance_by_weight(reduction, half, pixels) ** 0.5,
    ),
    Wrong(
        "no_constant",
        "gaussian_nll",
        "your result lacks 1/2 log(2 pi variance) for each pixel. Without this term a larger variance always looks better",
        lambda x, x_hat, variance: ((x - x_hat) ** 2).sum((1, 2, 3)) / (2 * variance),
    ),
    Wrong(
        "variance_squared",
        "gaussian_nll",
        "your code uses the variance as a standard deviation, and squares it. Do not square it",
        lambda x, x_hat, variance: nll(x, x_hat, variance**2),
    ),
    Wrong(
        "half_on_one_term",
        "gaussian_nll",
        "the factor 1/2 is in one term only. It belongs to both: log(2 pi variance) / 2 and (x - x_hat)^2 / (2 variance)",
        lambda x, x_hat, variance: (0.5 * np.log(2 * np.pi * variance) + (x - x_hat) ** 2 / variance).sum((1, 2, 3)),
        [lambda x, x_hat, variance: (np.log(2 * np.pi * variance) + 0.5 * (x - x_hat) ** 2 / variance).sum((1, 2, 3))],
    ),
    Wrong(
        "constant_once",
        "gaussian_nll",
        "your code adds the constant once per image. Add it once per pixel",
        lambda x, x_hat, variance: 0.5 * np.log(2 * np.pi * variance) + ((x - x_hat) ** 2).sum((1, 2, 3)) / (2 * variance),
    ),
    Wrong(
        "mean_over_pixels",
        "gaussian_nll",
        "your result is the mean over the pixels. The nats per image are the sum over the pixels",
        lambda x, x_hat, variance: nll(x, x_hat, variance) / x[0].size,
    ),
    Wrong(
        "sum_not_mean",
        "best_variance",
        "your result is the sum of squared errors. The best variance is their mean",
        lambda x, x_hat: float(((x - x_hat) ** 2).sum()),
    ),
    Wrong(
        "centred",
        "best_variance",
        "your code subtracts the mean error before it squares. x_hat is the mean of p(x|z), so subtract nothing else",
        lambda x, x_hat: float(np.var(x - x_hat)),
    ),
    Wrong(
        "rmse",
        "best_variance",
        "your result is a standard deviation, the root of the variance. Return the variance",
        lambda x, x_hat: least(x, x_hat) ** 0.5,
    ),
    Wrong(
        "beta_ignored",
        "rate_distortion",
        "your result is the optimum at beta = 1. At the optimum, the error is at most beta * variance",
        water(lambda beta, variance: variance),
    ),
    Wrong(
        "factor_two",
        "rate_distortion",
        "your code allows an error of twice beta * variance. The limit is beta * variance, because the factors 1/2 of the "
        "distortion and of the rate cancel",
        water(lambda beta, variance: 2 * beta * variance),
    ),
    Wrong(
        "negative_rate",
        "rate_distortion",
        "the error is right, but the rate is negative where beta times the noise variance is larger than the component. "
        "There the rate is 0",
        lambda spectrum, beta, variance: (np.minimum(spectrum, beta * variance), 0.5 * np.log(spectrum / (beta * variance))),
    ),
    Wrong(
        "error_without_limit",
        "rate_distortion",
        "the rate is right, but your error can be larger than the component's own variance. For such a component the "
        "error is its variance",
        lambda spectrum, beta, variance: (
            np.full_like(spectrum, beta * variance),
            np.maximum(0.0, 0.5 * np.log(spectrum / (beta * variance))),
        ),
    ),
    Wrong(
        "no_limit",
        "rate_distortion",
        "your error can be larger than the component's own variance, and then the rate is negative. For such a component the "
        "error is its variance, and the rate is 0",
        lambda spectrum, beta, variance: (
            np.full_like(spectrum, beta * variance),
            0.5 * np.log(spectrum / (beta * variance)),
        ),
    ),
    Wrong(
        "bits",
        "rate_distortion",
        "the rate is in bits. Use the natural logarithm for nats",
        lambda spectrum, beta, variance: (
            water(lambda b, v: b * v)(spectrum, beta, variance)[0],
            water(lambda b, v: b * v)(spectrum, beta, variance)[1] / np.log(2),
        ),
    ),
    Wrong(
        "half_reversed",
        "implied_variance",
        "your code uses `half` the wrong way round. With half, the errors have less weight, so the variance is larger. The sum "
        "of squared errors times c belongs to the variance 1 / (2 c)",
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
