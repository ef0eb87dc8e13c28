"""Exercise 01: the references go image by image and density by density, as the definitions say."""

import itertools

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import each, extreme, moved, noted, pushed


def ripples(z):
    """decode: (N, 3) -> (N, 1, 4, 5), image[h, w] = sin(z_0 h + z_1^2 w + z_2)"""
    h, w = np.arange(4.0)[:, None], np.arange(5.0)
    a, b, c = (z[:, j, None, None] for j in range(3))
    return np.sin(a * h + b**2 * w + c)[:, None]


def plaid(z):
    """decode: (N, D) -> (N, 1, 3, 7), image[h, w] = cos(|z| h) + (sum of z) w / 10"""
    h, w = np.arange(3.0)[:, None], np.arange(7.0)
    norm, total = np.sqrt((z**2).sum(1))[:, None, None], z.sum(1)[:, None, None]
    return (np.cos(norm * h) + total * w / 10)[:, None]


def ramp(z):
    """decode: (N, D) -> (N, 1, 2, 3), image[h, w] = (sum of z) h + w: neighbouring images may be near or far"""
    return (z.sum(1)[:, None, None] * np.arange(1.0, 3)[:, None] + np.arange(3.0))[:, None]


def line(z):
    """decode: (N, D) -> (N, 1, 1, 6), image[0, w] = sin(sum of z + w): one row"""
    return np.sin(z.sum(1)[:, None] + np.arange(6.0))[:, None, None]


def dot(z):
    """decode: (N, D) -> (N, 1, 1, 1), image[0, 0] = |z|: one pixel"""
    return np.sqrt((z**2).sum(1))[:, None, None, None]


def crowd(z):
    """decode: (N, D) -> (N, 1, H, W), plaid(z) times T: right only if all points of the walk come in one call"""
    return plaid(z) * len(z)


def post(z):
    """decode: (N, D) -> (N, 1, 5, 1), image[h, 0] = cos(z_0 h) + z_{D-1}: one column"""
    return (np.cos(z[:, :1] * np.arange(5.0)) + z[:, -1:])[:, None, :, None]


def walks(rng):
    still = rng.normal(size=4)
    model = {"decode": plaid, "start": rng.normal(size=5), "end": rng.normal(size=5), "steps": 9}
    return [
        {"decode": ripples, "start": np.array([0.2, -0.5, 1.0]), "end": np.array([0.9, 1.1, -0.4]), "steps": 3},
        {"decode": plaid, "start": rng.normal(size=5), "end": rng.normal(size=5), "steps": 1},
        {"decode": plaid, "start": rng.normal(size=1), "end": rng.normal(size=1), "steps": 6},
        {"decode": ripples, "start": rng.normal(size=3), "end": rng.normal(size=3), "steps": 7},
        model,
        *each(model, steps=(2, 64, 1200)),
        *(
            noted(f"images of {of}", model | {"decode": f})
            for f, of in ((line, "one row"), (post, "one column"), (dot, "one pixel"))
        ),
        noted("a decode that depends on the number of points", model | {"decode": crowd}),
        noted("steps of 1e-7", {"decode": ramp, "start": np.ones(2), "end": np.ones(2) + 1e-6, "steps": 10}, allowed=1e-6),
        noted("steps of 1e7", {"decode": ramp, "start": np.array([-4e7, 0.3]), "end": np.array([6e7, 0.3]), "steps": 10}),
        extreme(decode=plaid, start=np.array([9e3, 2e3]), end=np.array([-7e3, 1e3]), steps=4),
        extreme(decode=plaid, start=still, end=still.copy(), steps=2),
        extreme(decode=plaid, start=still, end=still + 1e-3, steps=3),
    ]


def cloud(rng, N, B, D, spread=0.8):
    return {"z": rng.normal(size=(N, D)), "mu": rng.normal(0.5, 1, (B, D)), "logvar": rng.normal(0, spread, (B, D))}


def clouds(rng):
    few = {
        "z": np.array([[0.5, -1.0]]),
        "mu": np.array([[1.0, 0.3], [-0.4, 2.0], [0.7, -1.2]]),
        "logvar": np.array([[0.6, -0.8], [-1.5, 0.4], [0.2, -0.3]]),
    }
    wide = cloud(rng, 4, 6, 3)
    wide["logvar"] = rng.choice([-12.0, 12.0, 35.0, 3.0], (6, 3))
    narrow = cloud(rng, 5, 5, 2)
    narrow["logvar"] = rng.choice([-12.0, -35.0], (5, 2))
    narrow["z"] = narrow["mu"] + np.exp(narrow["logvar"] / 2) * rng.normal(size=(5, 2))  # each near one narrow posterior
    ordinary = [cloud(rng, *sizes) for sizes in ((4, 3, 1), (6, 1, 5), (1, 4, 3), (5, 7, 2))]
    distant = cloud(rng, 5, 4, 2)
    distant["mu"] = 50 * np.sign(distant["mu"]) + distant["mu"]
    distant["z"] = distant["mu"][[2, 0, 3, 1, 0]] + distant["z"]
    dense = cloud(rng, 3, 4, 12)
    dense["logvar"] -= 35
    dense["z"] = dense["mu"][:3] + np.exp(dense["logvar"][:3] / 2) * rng.normal(size=(3, 12))
    model = cloud(rng, 5, 7, 2)
    twice = {"z": model["z"], **{n: model[n][[0, 1, 2, 0, 0, 3, 4]] for n in ("mu", "logvar")}}
    return [
        few,
        *ordinary,
        *(extreme(**case) for case in (wide, narrow, distant, dense)),
        noted("the same image more than once", twice),
        *pushed(rng, model, logvar=(-20.0, -6.0, 6.0, 20.0, 60.0), mu=(-300.0, 40.0), z=(-40.0, 300.0)),
        moved(model, 1e6, "z", "mu", allowed=1e-7),
    ]


def far_clouds(rng):
    """Two distances, so that one maximum for all points is not enough."""
    probes = []
    for D in (3, 2):
        probe = cloud(rng, 4, 7, D, 0.4)
        probe["z"] += np.array([[60], [-60], [130], [-130]])
        probes.append(probe)
    return [*reversed(probes), extreme(**cloud(rng, 2, 3, 784, 0.4))]


def prior_points(rng):
    probes = []
    one = {"z": np.zeros((3, 1)), "mu": np.zeros((1, 1)), "logvar": np.zeros((1, 1)), "nats": 0.0}
    model = {"z": rng.normal(size=(83, 2)), "mu": rng.normal(0.6, 1, (5, 2)), "logvar": rng.normal(-1.2, 1, (5, 2)), "nats": 0.5}
    near = cloud(rng, 64, 9, 6) | {"nats": -4.0}
    near["z"] = (near["mu"] + np.exp(near["logvar"] / 2) * rng.normal(size=(7, 9, 6))).reshape(63, 6)
    more = [
        noted("points near the images", near),
        noted("log q(z) is exactly log p(z) - nats", one),
        noted("log q(z) is nearly log p(z) - nats", one | {"nats": 1e-5}),
        noted("log q(z) is nearly log p(z) - nats", one | {"nats": -1e-5}),
        *each(model, nats=(0.0, -3.0, 0.25, 1.75, 40.0, 1000.0, -1000.0, 2)),
        *pushed(rng, model, logvar=(-30.0, 30.0), mu=(-50.0,), z=(30.0,)),
    ]
    for nats, N, B, D in ((1.0, 61, 9, 2), (2.0, 83, 5, 1), (0.3, 70, 4, 3), (4.0, 1, 6, 2), (-0.7, 75, 14, 2), (2.0, 61, 9, 2)):
        # narrow posteriors off the centre: many holes, not all of the plane
        mu, logvar = rng.normal(0.6, 1, (B, D)), rng.normal(-1.2, 1, (B, D))
        probes.append({"z": rng.normal(size=(N, D)), "mu": mu, "logvar": logvar, "nats": nats})
    mu = rng.normal(0.3, 1, (8, 2))
    # ten standard deviations from a narrow posterior is a hole; so is all that one wide posterior covers thinly
    narrow = extreme(z=mu + 10 * np.exp(-6) * np.sign(rng.normal(size=(8, 2))), mu=mu, logvar=np.full((8, 2), -12.0), nats=3.0)
    narrower = extreme(
        z=mu + 10 * np.exp(-17.5) * np.sign(rng.normal(size=(8, 2))), mu=mu, logvar=np.full((8, 2), -35.0), nats=3.0
    )
    wide = extreme(z=0.2 * rng.normal(size=(20, 2)), mu=0.1 * mu, logvar=np.full((8, 2), 12.0), nats=11.0)
    wider = extreme(z=rng.normal(size=(20, 2)), mu=mu, logvar=np.full((8, 2), 35.0), nats=20.0)
    far = extreme(z=rng.normal(size=(7, 2)) + 60, mu=mu, logvar=rng.normal(0, 0.5, (8, 2)), nats=1.0)
    distant = mu + 40 * np.sign(mu)  # the encoder is dense where the prior hardly goes: no hole
    near = np.concatenate([distant[:5], distant[:2] * 0.6])
    return [
        *probes,
        *more,
        narrow,
        narrower,
        wide,
        wider,
        far,
        extreme(z=near, mu=distant, logvar=rng.normal(-3, 0.3, (8, 2)), nats=2.0),
        extreme(z=np.full((3, 2), 30.0), mu=0.1 * mu, logvar=np.full((8, 2), -6.0), nats=1000.0),
    ]


def labelled(rng):
    def draw(B, D, F):
        factors = rng.normal(3, 1 + np.arange(F), (B, F))
        mixing = rng.normal(0.3, 1, (F, D))
        return {"mu": 0.3 * factors @ mixing + rng.normal(0.4, 0.7, (B, D)), "factors": factors}

    first = draw(30, 3, 2)
    tiny = draw(9, 2, 3)
    tiny = {"mu": 1e-6 * tiny["mu"], "factors": tiny["factors"] * np.array([1e-7, 1e6, 1.0])}
    model = draw(26, 4, 3)
    steps = {"mu": model["mu"], "factors": np.round(model["factors"] * 2) / 4}
    line = {
        "mu": np.arange(6.0)[:, None] @ np.array([[1.0, -2.0]]),
        "factors": np.array([[0.0, 1, 2, 3, 4, 5], [1, 0, 1, 0, 2, 5]]).T,
    }
    many = [
        noted("only some values", steps),
        noted("correlations of 1 and -1", line),
        *(moved(model, by, n, allowed=1e-6) for by in (1e6, -3e4) for n in model),
        *(noted(f"{n} times {by:g}", model | {n: by * model[n]}) for by in (1e-9, 1e9, -1.0) for n in model),
        noted("the same rows more than once", {n: a[[0, 1, 2, 0, 3, 1, 4, 0]] for n, a in model.items()}),
        noted("two rows", {n: a[:2] for n, a in model.items()}),
    ]
    return [
        *many,
        {name: array[:4] for name, array in first.items()},
        draw(11, 1, 4),
        draw(7, 5, 1),
        first,
        extreme(**tiny),
        extreme(**{name: 300 * array for name, array in draw(8, 3, 2).items()}),
    ]


def each_jump(decode, start, end, steps):
    images = decode(np.stack([start + (end - start) * i / steps for i in range(steps + 1)]))
    return np.array([np.linalg.norm((b - a).ravel()) for a, b in itertools.pairwise(images)])


def densities(z, mu, logvar):
    """log N(z_n; mu_b, ...) for each n and b."""
    variance = np.exp(logvar)
    return np.array([(-((p - mu) ** 2) / (2 * variance) - 0.5 * np.log(2 * np.pi * variance)).sum(1) for p in z])


def mixture(z, mu, logvar):
    return np.logaddexp.reduce(densities(z, mu, logvar), axis=1) - np.log(len(mu))


def log_prior(z):
    return densities(z, np.zeros((1, z.shape[1])), np.zeros((1, z.shape[1])))[:, 0]


def holes(z, mu, logvar, nats):
    log_q, log_p = mixture(z, mu, logvar), log_prior(z)
    return sum(bool(q < p - nats) for q, p in zip(log_q, log_p, strict=True)) / len(z)


def pearson(mu, factors):
    D = mu.shape[1]
    return np.abs(np.corrcoef(mu.T, factors.T)[:D, D:])


CHECKS = declared(
    "01",
    [
        Check("jumps", "the distance between neighbouring images of a walk", each_jump, walks),
        Check("log_aggregate_posterior", "the log of the average of B densities", mixture, clouds, rows="NB"),
        Check("log_aggregate_posterior", "the same far away, where every density underflows", mixture, far_clouds, rows="N"),
        Check("hole_fraction", "the fraction of points that the prior reaches and no image does", holes, prior_points, rows="N"),
        Check("factor_correlation", "|Pearson correlation| of latents with factors", pearson, labelled, short={"B": 0}),
    ],
)


def differences(decode, start, end, steps, points=None, offset=1):
    t = np.linspace(0, 1, points or steps + 1)[:, None]
    images = decode(start + t * (end - start))
    return images[offset:] - images[:-offset]


def norms(d):
    return np.sqrt((d**2).sum((1, 2, 3)))


def covariance(mu, factors):
    return (mu - mu.mean(0)).T @ (factors - factors.mean(0)) / len(mu)


WRONG = [
    Wrong(
        "not_rooted",
        "jumps",
        "your result is the squared distance: take the square root",
        lambda decode, start, end, steps: norms(differences(decode, start, end, steps)) ** 2,
    ),
    Wrong(
        "pixel_mean",
        "jumps",
        "your code averages the squares over the pixels before the root. A distance sums them; the mean divides by the "
        "image's size",
        lambda decode, start, end, steps: np.sqrt((differences(decode, start, end, steps) ** 2).mean((1, 2, 3))),
    ),
    Wrong(
        "from_the_start",
        "jumps",
        "your code measures from the first image. A jump is the distance from an image to the next one",
        lambda decode, start, end, steps: norms(np.cumsum(differences(decode, start, end, steps), 0)),
    ),
    Wrong(
        "too_few_points",
        "jumps",
        "your walk has `steps` points, and so only steps - 1 jumps. For `steps` jumps, decode steps + 1 points",
        lambda decode, start, end, steps: norms(differences(decode, start, end, steps, points=steps)),
    ),
    Wrong(
        "one_by_one",
        "jumps",
        "your code decodes one point at a time. Call `decode` once, with all points of the walk",
        lambda decode, start, end, steps: norms(
            differences(lambda z: np.concatenate([decode(p[None]) for p in z]), start, end, steps)
        ),
    ),
    Wrong(
        "city_block",
        "jumps",
        "your result is the sum of absolute differences. The Euclidean distance squares the differences, sums them and takes "
        "the root",
        lambda decode, start, end, steps: np.abs(differences(decode, start, end, steps)).sum((1, 2, 3)),
    ),
    Wrong(
        "mean_of_logs",
        "log_aggregate_posterior",
        "your result is the mean of the log densities. q(z) is the mean of the densities; take the log last",
        lambda z, mu, logvar: densities(z, mu, logvar).mean(1),
    ),
    Wrong(
        "sum_not_mean",
        "log_aggregate_posterior",
        "your result is too large by log B: it is the log of a sum of B densities. Divide the sum by B, because q(z) is their "
        "mean",
        lambda z, mu, logvar: mixture(z, mu, logvar) + np.log(len(mu)),
    ),
    Wrong(
        "sigma_as_variance",
        "log_aggregate_posterior",
        "your code uses exp(logvar/2), the standard deviation, as the variance. The variance is exp(logvar)",
        lambda z, mu, logvar: mixture(z, mu, logvar / 2),
    ),
    Wrong(
        "no_constant",
        "log_aggregate_posterior",
        "your result lacks -D/2 log 2 pi, the constant of the normal density",
        lambda z, mu, logvar: mixture(z, mu, logvar) + z.shape[1] / 2 * np.log(2 * np.pi),
    ),
    Wrong(
        "no_log_variance",
        "log_aggregate_posterior",
        "your log density lacks -1/2 times the sum of logvar, which makes the density of a narrow posterior higher",
        lambda z, mu, logvar: np.logaddexp.reduce(densities(z, mu, logvar) + 0.5 * logvar.sum(1), axis=1) - np.log(len(mu)),
    ),
    Wrong(
        "nearest_only",
        "log_aggregate_posterior",
        "your code uses only the largest of the B densities. Add all B of them",
        lambda z, mu, logvar: densities(z, mu, logvar).max(1) - np.log(len(mu)),
    ),
    Wrong(
        "underflows",
        "log_aggregate_posterior",
        "your code computes log(mean(exp(...))) directly: exp of -1800 is 0, and log 0 is -inf. Take the largest exponent out "
        "first (logsumexp)",
        lambda z, mu, logvar: np.log(np.exp(densities(z, mu, logvar)).mean(1)),
    ),
    Wrong(
        "covered_fraction",
        "hole_fraction",
        "your result is the fraction of points outside the holes: it is 1 minus the hole fraction",
        lambda z, mu, logvar, nats: 1 - holes(z, mu, logvar, nats),
    ),
    Wrong(
        "threshold_reversed",
        "hole_fraction",
        "your code compares log q(z) with log p(z) + nats. In a hole, log q is more than `nats` below log p, so the threshold "
        "is below log p",
        lambda z, mu, logvar, nats: holes(z, mu, logvar, -nats),
    ),
    Wrong(
        "nats_ignored",
        "hole_fraction",
        "your code does not use nats: it compares log q(z) with log p(z). The threshold is log p(z) - nats",
        lambda z, mu, logvar, nats: holes(z, mu, logvar, 0.0),
    ),
    Wrong(
        "no_prior",
        "hole_fraction",
        "your code compares log q(z) with -nats. The threshold depends on the prior: log p(z) - nats",
        lambda z, mu, logvar, nats: float((mixture(z, mu, logvar) < -nats).mean()),
    ),
    Wrong(
        "tie_is_a_hole",
        "hole_fraction",
        "your code counts a point with log q(z) equal to log p(z) - nats as a hole. In a hole, log q(z) is smaller: use <, not "
        "<=",
        lambda z, mu, logvar, nats: float((mixture(z, mu, logvar) <= log_prior(z) - nats).mean()),
    ),
    Wrong(
        "counted",
        "hole_fraction",
        "your result is the number of points in holes. Divide it by the number of all points",
        lambda z, mu, logvar, nats: holes(z, mu, logvar, nats) * len(z),
    ),
    Wrong(
        "covariance",
        "factor_correlation",
        "your result is the covariance, which depends on the units of the factor. Divide it by both standard deviations",
        lambda mu, factors: np.abs(covariance(mu, factors)),
    ),
    Wrong(
        "signed",
        "factor_correlation",
        "your result keeps the sign of the correlation. A latent may also decrease when the factor increases: take the "
        "absolute value |.|",
        lambda mu, factors: np.corrcoef(mu.T, factors.T)[: mu.shape[1], mu.shape[1] :],
    ),
    Wrong(
        "transposed",
        "factor_correlation",
        "your result has shape (F, D), one row per factor. Return one row per latent, shape (D, F)",
        lambda mu, factors: np.ascontiguousarray(pearson(mu, factors).T),
    ),
    Wrong(
        "two_kinds_of_std",
        "factor_correlation",
        "your code divides the covariance by B, but both variances by B - 1 (ddof = 1). So the results are too small by the "
        "factor (B - 1) / B",
        lambda mu, factors: np.abs(covariance(mu, factors) / np.outer(mu.std(0, ddof=1), factors.std(0, ddof=1))),
    ),
    Wrong(
        "not_centred",
        "factor_correlation",
        "your result is the cosine between the columns as they are. Subtract the mean of each column first",
        lambda mu, factors: np.abs(mu.T @ factors) / np.outer(np.linalg.norm(mu, axis=0), np.linalg.norm(factors, axis=0)),
    ),
    Wrong(
        "one_peak_for_all",
        "log_aggregate_posterior",
        "your code takes one maximum out for all points, so the densities of far points still underflow. Take one maximum for "
        "each z, over the images",
        lambda z, mu, logvar: (lambda l: l.max() + np.log(np.exp(l - l.max()).mean(1)))(densities(z, mu, logvar)),
    ),
    Wrong(
        "prior_constant",
        "hole_fraction",
        "your log p(z) lacks the constant -D/2 log 2 pi. log q(z) has this constant, so log p(z) needs it too",
        lambda z, mu, logvar, nats: float((mixture(z, mu, logvar) < -0.5 * (z**2).sum(1) - nats).mean()),
    ),
]

VALID = [
    ("jumps", each_jump),
    ("log_aggregate_posterior", mixture),
    ("hole_fraction", holes),
    ("factor_correlation", pearson),
]
