"""Exercise 01: the references go image by image and density by density, as the definitions say."""

import itertools

import numpy as np

from exercises.checking import Check, Wrong


def ripples(z):
    """decode: (T, 3) -> (T, 1, 4, 5), image[h, w] = sin(z_0 h + z_1^2 w + z_2)"""
    h, w = np.arange(4.0)[:, None], np.arange(5.0)
    a, b, c = (z[:, j, None, None] for j in range(3))
    return np.sin(a * h + b**2 * w + c)[:, None]


def walks(rng):
    return [
        {"decode": ripples, "start": np.array([0.2, -0.5, 1.0]), "end": np.array([0.9, 1.1, -0.4]), "steps": 3},
        {"decode": ripples, "start": rng.normal(size=3), "end": rng.normal(size=3), "steps": 7},
    ]


def clouds(rng):
    return [
        {"z": np.array([[0.5, -1.0]]), "mu": np.array([[1.0, 0.3], [-0.4, 2.0], [0.7, -1.2]]),
         "logvar": np.array([[0.6, -0.8], [-1.5, 0.4], [0.2, -0.3]])},
        {"z": rng.normal(size=(5, 2)), "mu": rng.normal(0.5, 1, (7, 2)), "logvar": rng.normal(0, 0.8, (7, 2))},
    ]  # fmt: skip


def far_clouds(rng):
    # two distances, so that one maximum for all points does not do
    z = rng.normal(0, 1, (4, 2)) + np.array([[60], [60], [130], [130]])
    return [{"z": z, "mu": rng.normal(-0.5, 1, (7, 2)), "logvar": rng.normal(0, 0.4, (7, 2))}]


def prior_points(rng):
    probes = []
    for nats in (1.0, 2.0):  # narrow posteriors off the centre: many holes, not all of the plane
        mu, logvar = rng.normal(0.6, 1, (9, 2)), rng.normal(-1.2, 1, (9, 2))
        probes.append({"z": rng.normal(size=(61, 2)), "mu": mu, "logvar": logvar, "nats": nats})
    return probes


def labelled(rng):
    factors = rng.normal(3, [1, 2], (30, 2))
    mixing = np.array([[1.5, 0.2, -0.8], [-0.3, 0.9, 0.5]])
    mu = 0.3 * factors @ mixing + rng.normal(0.4, 0.7, (30, 3))
    return [
        {"mu": mu[:4], "factors": factors[:4]},
        {"mu": mu, "factors": factors},
    ]


def each_jump(decode, start, end, steps):
    images = [decode((start + (end - start) * i / steps)[None])[0] for i in range(steps + 1)]
    return np.array([np.linalg.norm((b - a).ravel()) for a, b in itertools.pairwise(images)])


def densities(z, mu, logvar):
    """log N(z_n; mu_b, ...) for each n and b."""
    variance = np.exp(logvar)
    return np.array(
        [[(-((p - m) ** 2) / (2 * v) - 0.5 * np.log(2 * np.pi * v)).sum() for m, v in zip(mu, variance, strict=True)] for p in z]
    )


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


CHECKS = [
    Check("jumps", "the distance between neighbouring images of a walk", each_jump, walks),
    Check("log_aggregate_posterior", "the log of the average of B densities", mixture, clouds),
    Check("log_aggregate_posterior", "far away too, where every density underflows", mixture, far_clouds),
    Check("hole_fraction", "where the prior goes and no image does", holes, prior_points),
    Check("factor_correlation", "|Pearson correlation| of latents with factors", pearson, labelled),
]


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
        "that is the squared distance: the root is missing",
        lambda decode, start, end, steps: norms(differences(decode, start, end, steps)) ** 2,
    ),
    Wrong(
        "pixel_mean",
        "jumps",
        "that averages over the pixels before the root; a distance sums over them, or it would depend on the image's size",
        lambda decode, start, end, steps: np.sqrt((differences(decode, start, end, steps) ** 2).mean((1, 2, 3))),
    ),
    Wrong(
        "from_the_start",
        "jumps",
        "that measures from the first image; a jump is from an image to its neighbour",
        lambda decode, start, end, steps: norms(
            decode(start + np.linspace(0, 1, steps + 1)[1:, None] * (end - start)) - decode(start[None])
        ),
    ),
    Wrong(
        "too_few_points",
        "jumps",
        "that walks through `steps` points, which leaves steps - 1 jumps; for `steps` jumps decode steps + 1 points",
        lambda decode, start, end, steps: norms(differences(decode, start, end, steps, points=steps)),
    ),
    Wrong(
        "city_block",
        "jumps",
        "that is the sum of absolute differences; the Euclidean distance squares, sums and takes the root",
        lambda decode, start, end, steps: np.abs(differences(decode, start, end, steps)).sum((1, 2, 3)),
    ),
    Wrong(
        "mean_of_logs",
        "log_aggregate_posterior",
        "that is the mean of the log densities; q(z) is the mean of the densities, and the log comes last",
        lambda z, mu, logvar: densities(z, mu, logvar).mean(1),
    ),
    Wrong(
        "sum_not_mean",
        "log_aggregate_posterior",
        "that is larger by log B: a sum of B densities; divide by B, or it is no density",
        lambda z, mu, logvar: mixture(z, mu, logvar) + np.log(len(mu)),
    ),
    Wrong(
        "sigma_as_variance",
        "log_aggregate_posterior",
        "that uses exp(logvar/2), the standard deviation, as the variance; the variance is exp(logvar)",
        lambda z, mu, logvar: mixture(z, mu, logvar / 2),
    ),
    Wrong(
        "no_constant",
        "log_aggregate_posterior",
        "that lacks -D/2 log 2 pi, the constant of the normal density",
        lambda z, mu, logvar: mixture(z, mu, logvar) + z.shape[1] / 2 * np.log(2 * np.pi),
    ),
    Wrong(
        "nearest_only",
        "log_aggregate_posterior",
        "that is the log density of the nearest image's q alone; all B of them contribute",
        lambda z, mu, logvar: densities(z, mu, logvar).max(1) - np.log(len(mu)),
    ),
    Wrong(
        "underflows",
        "log_aggregate_posterior",
        "that is log(mean(exp(...))): exp of -1800 is 0 and log 0 is -inf; take the largest exponent out first (logsumexp)",
        lambda z, mu, logvar: np.log(np.exp(densities(z, mu, logvar)).mean(1)),
    ),
    Wrong(
        "covered_fraction",
        "hole_fraction",
        "that is the part that is covered: 1 minus the holes",
        lambda z, mu, logvar, nats: 1 - holes(z, mu, logvar, nats),
    ),
    Wrong(
        "threshold_reversed",
        "hole_fraction",
        "that compares with log p(z) + nats: a hole is where q is *less* than p by `nats`, so the threshold lies below log p",
        lambda z, mu, logvar, nats: holes(z, mu, logvar, -nats),
    ),
    Wrong(
        "no_prior",
        "hole_fraction",
        "that compares log q(z) with -nats; the threshold goes with the prior: log p(z) - nats",
        lambda z, mu, logvar, nats: float((mixture(z, mu, logvar) < -nats).mean()),
    ),
    Wrong(
        "counted",
        "hole_fraction",
        "that is a number of points; the part of all points is asked for",
        lambda z, mu, logvar, nats: holes(z, mu, logvar, nats) * len(z),
    ),
    Wrong(
        "covariance",
        "factor_correlation",
        "that is the covariance: it depends on the units of the factor; divide by both standard deviations",
        lambda mu, factors: np.abs(covariance(mu, factors)),
    ),
    Wrong(
        "signed",
        "factor_correlation",
        "that has the sign of the correlation; a latent may as well run the other way: take |.|",
        lambda mu, factors: np.corrcoef(mu.T, factors.T)[: mu.shape[1], mu.shape[1] :],
    ),
    Wrong(
        "transposed",
        "factor_correlation",
        "that is (F, D): one row per factor; asked for is one row per latent, (D, F)",
        lambda mu, factors: np.ascontiguousarray(pearson(mu, factors).T),
    ),
    Wrong(
        "two_kinds_of_std",
        "factor_correlation",
        "that divides by B once and by B - 1 twice (ddof = 1): the correlations are too small by (B - 1) / B",
        lambda mu, factors: np.abs(covariance(mu, factors) / np.outer(mu.std(0, ddof=1), factors.std(0, ddof=1))),
    ),
    Wrong(
        "not_centred",
        "factor_correlation",
        "that is the cosine of the raw columns: subtract the means first",
        lambda mu, factors: np.abs(mu.T @ factors) / np.outer(np.linalg.norm(mu, axis=0), np.linalg.norm(factors, axis=0)),
    ),
    Wrong(
        "one_peak_for_all",
        "log_aggregate_posterior",
        "that takes one maximum out for all points, and the far ones still underflow; each z needs its own, over the images",
        lambda z, mu, logvar: (lambda l: l.max() + np.log(np.exp(l - l.max()).mean(1)))(densities(z, mu, logvar)),
    ),
    Wrong(
        "prior_constant",
        "hole_fraction",
        "that leaves -D/2 log 2 pi out of log p(z): log q(z) has its constant, so p needs it too",
        lambda z, mu, logvar, nats: float((mixture(z, mu, logvar) < -0.5 * (z**2).sum(1) - nats).mean()),
    ),
]

VALID = [
    ("jumps", each_jump),
    ("log_aggregate_posterior", mixture),
    ("hole_fraction", holes),
    ("factor_correlation", pearson),
]
