"""Exercise 10: rates, active units and free bits by loops; the collapsed optimum by search over encoder and decoder."""

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import Probe, each, extreme, noted, pushed


def posteriors(rng):
    few = {"mu": np.array([[1.0, 0.0, -0.5], [-2.0, 0.1, 0.4]]), "logvar": np.array([[-1.0, 0.2, 0.5], [-2.0, -0.1, -0.3]])}

    def draw(B, D):
        return {"mu": rng.normal(0.3, 1.2, (B, D)), "logvar": rng.normal(-0.5, 0.8, (B, D))}

    wide = extreme(mu=rng.choice([-50.0, 0.3], (4, 3)), logvar=rng.choice([-35.0, -12.0, 12.0, 35.0], (4, 3)))
    narrow = extreme(mu=rng.normal(size=(2, 3)), logvar=np.array([[-12.0, -7.0, -9.0], [-6.0, -11.0, -8.0]]))
    return [
        few,
        draw(1, 4),
        draw(5, 1),
        draw(2, 6),
        {"mu": rng.normal(0.3, [1.5, 0.05, 0.7], (6, 3)), "logvar": rng.normal(-0.5, 0.8, (6, 3))},
        *(
            noted(f"mu and logvar of {by:g}", {n: by * rng.uniform(0.4, 1, (4, 3)) for n in ("mu", "logvar")}, allowed=1e-7)
            for by in (2e-2, -2e-3)
        ),
        *pushed(rng, draw(5, 3), logvar=(-200.0, -60.0, -12.0, -6.0, 6.0, 12.0, 60.0), mu=(-200.0, 0.0, 30.0)),
        noted("some images are alike", {n: a[[0, 0, 1, 0, 2]] for n, a in draw(4, 3).items()}),
        noted("q is the prior", {n: np.zeros((3, 2)) for n in ("mu", "logvar")}),
        wide,
        narrow,
        extreme(mu=np.array([[60.0, -1.0], [0.5, -45.0]]), logvar=np.array([[0.3, -0.7], [1.2, -0.4]])),
    ]


def means(rng):
    """Latent 1 has a large mean that never moves, latent 2 moves a little, latents 3 and 4 lie on both sides of the threshold."""
    few = np.array([[1.0, 3.0, 0.04, 0.13], [-1.0, 3.0, -0.04, -0.09], [0.5, 3.0, 0.0, 0.03]])

    def draw(B, spread):
        noise = rng.normal(size=(B, len(spread)))
        return (noise - noise.mean(0)) / noise.std(0) * spread + rng.uniform(-2, 2, len(spread))

    drawn = draw(40, np.array([0.8, 0.005, 0.07, 0.13, 0.16]))
    wide, tiny = draw(7, np.array([0.6, 3.0])), draw(5, np.array([2e-6, 1e-4, 5e-5]))
    # variances of 0, 0.25 and 1, exactly
    exact = np.array([[3.0, 0.0, 1.0, 1.0], [3.0, 1.0, 2.0, -1.0], [3.0, 0.0, 1.0, 1.0], [3.0, 1.0, 2.0, -1.0]])
    some = draw(9, np.array([0.02, 0.09, 0.12, 0.2, 0.4, 1.5]))
    skewed = np.array([[0.0, 0.0], [0.0, 0.0], [0.2, 0.17], [0.0, 0.4]])  # the median is not the mean
    large = 0.15 * np.array([[0.0, 1], [0.0, -1], [0.0, 1], [0.0, -1]])
    apart = [
        *(noted("the variance is exactly the threshold", {"mu": exact, "threshold": t}) for t in (0.0, 0.25, 1.0)),
        *(noted("the variance is nearly the threshold", {"mu": exact, "threshold": t}) for t in (1e-12, 0.2500001, 0.2499999)),
        *each({"mu": some, "threshold": 0.3}, threshold=(0.0, 0, 0.01, 0.1, 0.03, 1, 5.0, 1e6)),
        noted("without a threshold", {"mu": some}),
        noted("without a threshold", {"mu": skewed}),
        *(noted("skewed columns", {"mu": skewed, "threshold": t}) for t in (0.01, 0.008, 0.03)),
        *(noted(f"{by:g} added to mu", {"mu": large + by, "threshold": 0.01}) for by in (1e4, -1e8 - 0.3)),
        noted("float32, 3000 added to mu", {"mu": (10 * large + 3000).astype(np.float32), "threshold": 0.01}),
        noted("float32, far means that never move", {"mu": np.full((7, 4), [300.3, 1234.56, -3000.7, 77.7], np.float32)}),
        noted("far means that never move", {"mu": np.full((7, 3), [1e8 + 0.3, -7e7 - 0.1, 3e8 / 7]), "threshold": 0.02}),
        noted("some images are alike", {"mu": some[[0, 1, 0, 0, 2]], "threshold": 0.05}),
    ]
    return [
        *apart,
        {"mu": few, "threshold": 0.01},
        {"mu": drawn, "threshold": 0.01},
        {"mu": wide, "threshold": 0.5},
        {"mu": draw(3, np.array([0.2])), "threshold": 0.1},
        {"mu": rng.normal(size=(1, 4)), "threshold": 0.01},
        {"mu": drawn, "threshold": 0.02},
        {"mu": rng.permuted(drawn, axis=1)},  # without a threshold
        extreme(mu=tiny + 1.0, threshold=1e-9),
        extreme(mu=draw(4, np.array([900.0, 1100.0])), threshold=1e6),
    ]


def rates(rng):
    few = {"rate": np.array([[0.01, 0.3, 2.0], [0.03, 0.1, 3.0]]), "floor": 0.25}

    def draw(B, D, floor):
        rate = rng.exponential(1, (B, D))
        if D > 2:
            rate[:, 1] *= 2 * floor / rate[:, 1].mean()  # above the floor on average, below it for some images
            rate[:, 2] *= 0.8 * floor / rate[:, 2].mean()  # and the other way round
        return {"rate": rate, "floor": floor}

    exact = {"rate": rng.exponential(1, (3, 2)), "floor": 0.0}
    model = draw(6, 5, 0.7)
    return [
        *each(model, floor=(0.0, 0, 1e-9, 0.1, 0.5, 1, 3.0, 1e3)),
        *pushed(rng, model, rate=(1e-6, 20.0, 1e6)),
        noted("some images are alike", model | {"rate": model["rate"][[0, 1, 0, 0]]}),
        noted("small rates", {"rate": rng.uniform(0.02, 0.1, (3, 4)), "floor": 0.0}),
        noted("negative rates", model | {"rate": -model["rate"]}),
        noted("a floor of 0 and a negative mean", {"rate": np.array([[-1.0, 2.0], [-3.0, 1.0]]), "floor": 0.0}),
        noted("small rates above a small floor", {"rate": np.array([[5e-9, 2e-8], [7e-9, 3e-8]]), "floor": 1e-9}),
        noted("means on both sides of the floor", {"rate": np.array([[0.2, 0.3], [0.302, 0.2]]), "floor": 0.2505}),
        few,
        draw(1, 3, 0.4),
        draw(6, 1, 0.1),
        draw(3, 5, 1.5),
        draw(4, 1, 30.0),
        exact,
        draw(5, 4, 0.25),
        extreme(rate=rng.normal(0.3, 1, (4, 5)), floor=0.2),
        extreme(**draw(3, 4, 1e-6)),
        extreme(**draw(2, 3, 1e5)),
    ]


def components(rng):
    ordinary = [
        (4.0, 0.5, 1.0),
        (4.0, 0.5, 3.0),
        (0.8, 0.5, 2.0),
        (0.9, 1.4, 0.2),
        (5.0, 0.1, 7.0),
        (float(rng.uniform(2, 3)), 0.25, 1.5),
    ]
    options = each(
        {"strength": 3.0, "variance": 0.4, "beta": 1.2},
        strength=(0.1, 0.5, 1, 2, 40.0, 1e6),
        variance=(1e-6, 0.05, 1, 2, 3.0, 1e6),
        beta=(1e-9, 0.01, 0.5, 1, 1.0, 2, 9.0, 1e4),
    )
    edge = [(1.0, 0.5, 2.0), (2.0, 2.0, 1.0), (0.75, 0.25, 3.0)]
    options += [noted("strength is exactly beta variance", {"strength": s, "variance": v, "beta": b}) for s, v, b in edge]
    near = [(1.0, 0.5, 2.0001), (1.0, 0.5, 1.9999), (1.0, 0.5, 1.99)]
    options += [
        noted("strength is nearly beta variance", {"strength": s, "variance": v, "beta": b}, allowed=1e-7) for s, v, b in near
    ]
    far = [(3e-8, 1e-8, 0.5), (2e6, 1.0, 40.0), (1e-9, 1.0, 1.0), (1.0, 1e-10, 1.0)]
    far += [(1e-8, 1e-9, 1.0), (1e-10, 3e-10, 0.1), (1.0, 1e-10, 1e-5)]  # small, and not collapsed
    return (
        [Probe(strength=s, variance=v, beta=b) for s, v, b in ordinary]
        + [extreme(strength=s, variance=v, beta=b) for s, v, b in far]
        + options
    )


def rate_loops(mu, logvar):
    B, D = mu.shape
    return np.array(
        [sum(0.5 * (mu[b, j] ** 2 + np.exp(logvar[b, j]) - 1 - logvar[b, j]) for b in range(B)) / B for j in range(D)]
    )


def moving(mu, threshold=0.01):
    means = [sum(column) / len(column) for column in mu.T]
    return np.array([sum((v - m) ** 2 for v in column) / len(column) > threshold for m, column in zip(means, mu.T, strict=True)])


def floored(rate, floor):
    return float(sum(max(floor, sum(column) / len(column)) for column in rate.T))


def paid_for(rate, floor):
    """Column by column: 1/B where its mean is above the floor."""
    gradient = np.zeros_like(rate)
    for j, column in enumerate(rate.T):
        if sum(column) > floor * len(rate):
            gradient[:, j] = 1 / len(rate)
    return gradient


def searched(strength, variance, beta):
    """The loss of encoder z = a x + sqrt(v) eps and decoder w, minimised over the rate by halving; w and a in closed form."""
    low, high = 0.0, 40.0
    for _ in range(200):
        rate = (low + high) / 2
        # with noise variance v = exp(-2 rate) and a^2 strength = 1 - v, the best w explains strength (1 - v)
        falling = strength * np.exp(-2 * rate) / variance > beta  # the loss still falls with the rate
        low, high = (rate, high) if falling else (low, rate)
    if high < 1e-30:  # the search has run into rate 0
        return 0.0, 0.0
    return float(strength * -np.expm1(-2 * low)), float(low)


CHECKS = declared(
    "10",
    [
        Check("rate_per_latent", "mean KL of each latent", rate_loops, posteriors, rows="D"),
        Check("active_units", "Var_x(mu_j) > threshold", moving, means, rows="D"),
        Check("free_bits", "sum over latents of max(floor, batch mean)", floored, rates, rows="D"),
        Check("free_bits_gradient", "the derivative for latents above and below the floor", paid_for, rates, rows="D"),
        Check("collapsed_optimum", "w^2 and rate at the optimum", searched, components),
    ],
)


def kl_each(mu, logvar):
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar)


def optimum(level, rate=lambda s, e: 0.5 * float(np.log(s / e))):
    def answer(strength, variance, beta):
        error = min(strength, level(variance, beta))
        return strength - error, rate(strength, error)

    return answer


WRONG = [
    Wrong(
        "per_image",
        "rate_per_latent",
        "your result is one KL per image: your code sums over the latents. Take the *mean* over the images instead",
        lambda mu, logvar: kl_each(mu, logvar).sum(1),
    ),
    Wrong(
        "summed",
        "rate_per_latent",
        "your code sums over the images, so the result grows with the batch. Take the mean",
        lambda mu, logvar: kl_each(mu, logvar).sum(0),
    ),
    Wrong(
        "of_the_mean",
        "rate_per_latent",
        "your code averages mu and logvar, and then takes the KL. Average the KLs instead",
        lambda mu, logvar: kl_each(mu.mean(0), logvar.mean(0)),
    ),
    Wrong(
        "sigma_as_variance",
        "rate_per_latent",
        "your code uses exp(logvar/2), the standard deviation, as the variance. The variance is exp(logvar)",
        lambda mu, logvar: 0.5 * (mu**2 + np.exp(logvar / 2) - 1 - logvar).mean(0),
    ),
    Wrong(
        "std",
        "active_units",
        "your code compares the standard deviation with the threshold. The threshold is for the variance",
        lambda mu, threshold=0.01: mu.std(0) > threshold,
    ),
    Wrong(
        "divided_by_b_minus_1",
        "active_units",
        "your variance divides by B - 1 (ddof = 1). Divide by B, as np.var does",
        lambda mu, threshold=0.01: mu.var(0, ddof=1) > threshold,
    ),
    Wrong(
        "second_moment",
        "active_units",
        "your code uses the mean of mu^2. Then a latent with a large mu that never changes counts as active: use the variance",
        lambda mu, threshold=0.01: (mu**2).mean(0) > threshold,
    ),
    Wrong(
        "over_latents",
        "active_units",
        "your code takes the variance over the latents of one image. Take it over the images",
        lambda mu, threshold=0.01: mu.var(1) > threshold,
    ),
    Wrong(
        "counted",
        "active_units",
        "your result is the number of active latents. Return one bool for each latent",
        lambda mu, threshold=0.01: int((mu.var(0) > threshold).sum()),
    ),
    Wrong(
        "per_image_floor",
        "free_bits",
        "your code applies the floor to every image's KL and then averages. Then an image below the floor counts as the "
        "floor, even if the latent's mean is above it. Take the batch mean first (Kingma 2016, eq. 15)",
        lambda rate, floor: float(np.maximum(floor, rate).sum(1).mean()),
    ),
    Wrong(
        "no_floor",
        "free_bits",
        "your result is the sum of the mean rates, without the floor. A mean below the floor counts as the floor",
        lambda rate, floor: float(rate.mean(0).sum()),
    ),
    Wrong(
        "floor_of_each_image",
        "free_bits",
        "your code applies the floor to the total rate of each image. Apply it to the mean rate of each latent",
        lambda rate, floor: float(np.maximum(floor, rate.sum(1)).mean()),
    ),
    Wrong(
        "averaged",
        "free_bits",
        "your code averages over the latents. Take the mean over the batch, but the sum over the latents",
        lambda rate, floor: float(np.maximum(floor, rate.mean(0)).mean()),
    ),
    Wrong(
        "total_floor",
        "free_bits",
        "your code applies the floor to the total KL. The total is soon above a small floor, and single latents can still "
        "collapse. Apply the floor to each latent",
        lambda rate, floor: float(max(floor, rate.sum(1).mean())),
    ),
    Wrong(
        "added",
        "free_bits",
        "your code adds the floor. Take the maximum: if a latent's KL is above the floor, the cost is the KL",
        lambda rate, floor: float((floor + rate.mean(0)).sum()),
    ),
    Wrong(
        "excess",
        "free_bits",
        "your code counts only the part above the floor. The gradient is right, but the number is not the KL term: use "
        "max(floor, KL)",
        lambda rate, floor: float(np.maximum(0, rate.mean(0) - floor).sum()),
    ),
    Wrong(
        "minimum",
        "free_bits",
        "your code takes the minimum. Then the loss pushes down the latents below the floor, and not those above it: take the "
        "maximum",
        lambda rate, floor: float(np.minimum(floor, rate.mean(0)).sum()),
    ),
    Wrong(
        "per_entry",
        "free_bits_gradient",
        "your code compares every image's *own* KL with the floor. Compare the batch mean; the answer is the same for all images",
        lambda rate, floor: np.where(rate > floor, 1 / len(rate), 0.0),
    ),
    Wrong(
        "not_divided",
        "free_bits_gradient",
        "your derivative is 1 for each latent above the floor. Divide it by B, because free_bits takes the batch mean",
        lambda rate, floor: np.where(rate.mean(0) > floor, 1.0, 0.0) * np.ones_like(rate),
    ),
    Wrong(
        "one_row",
        "free_bits_gradient",
        "your numbers are right, but there is one row for all images. Each entry of rate has its own derivative: repeat the "
        "row for each image",
        lambda rate, floor: np.where(rate.mean(0) > floor, 1 / len(rate), 0.0),
    ),
    Wrong(
        "everybody",
        "free_bits_gradient",
        "your result is the gradient without free bits. If a latent is below the floor, its derivative is 0",
        lambda rate, floor: np.full_like(rate, 1 / len(rate)),
    ),
    Wrong(
        "reversed",
        "free_bits_gradient",
        "your gradient pushes latents that are below the floor. It must push those that are above it",
        lambda rate, floor: np.where(rate.mean(0) < floor, 1 / len(rate), 0.0) * np.ones_like(rate),
    ),
    Wrong(
        "beta_ignored",
        "collapsed_optimum",
        "your result is the optimum at beta = 1. At the optimum, the error is at most beta times the noise variance",
        optimum(lambda variance, beta: variance),
    ),
    Wrong(
        "divided",
        "collapsed_optimum",
        "your code divides the noise variance by beta. A larger beta leaves *more* error: multiply by beta",
        optimum(lambda variance, beta: variance / beta),
    ),
    Wrong(
        "error_returned",
        "collapsed_optimum",
        "your first value is the error that remains. Return the strength minus this error, w^2",
        lambda strength, variance, beta: (
            min(strength, beta * variance),
            0.5 * float(np.log(strength / min(strength, beta * variance))),
        ),
    ),
    Wrong(
        "no_half",
        "collapsed_optimum",
        "the rate is twice too large. It is 1/2 log(strength / error)",
        optimum(lambda variance, beta: beta * variance, lambda s, e: float(np.log(s / e))),
    ),
    Wrong(
        "never_given_up",
        "collapsed_optimum",
        "your w^2 and rate can be negative. If beta * variance is larger than strength, both are 0",
        lambda strength, variance, beta: (strength - beta * variance, 0.5 * float(np.log(strength / (beta * variance)))),
    ),
]

VALID = [
    ("rate_per_latent", rate_loops),
    ("active_units", moving),
    ("free_bits", floored),
    ("free_bits_gradient", paid_for),
    ("free_bits_gradient", lambda rate, floor: (rate.mean(0) > floor).astype(rate.dtype)[None].repeat(len(rate), 0) / len(rate)),
    ("collapsed_optimum", searched),
]
