"""Exercise 04: samples and their gradients; the references are complex-step derivatives of z and of log q."""

import numpy as np

from exercises.declaring import Check, Wrong, call, declared
from exercises.probes import each, extreme, moved, noted, pushed

H = 1e-30  # f(x + iH) = f(x) + iH f'(x), whose imaginary part loses no digits (Squire & Trapp 1998)


def bowl(z):
    """f(z) = sum_j (j + 1) z_j^2 + sin(z_0)"""
    return (np.arange(1, z.shape[1] + 1) * z**2).sum(1) + np.sin(z[:, 0])


def bowl_slope(z):
    """df/dz_j = 2 (j + 1) z_j, and cos(z_0) added at j = 0"""
    slope = 2 * np.arange(1.0, z.shape[1] + 1) * z
    slope[:, 0] += np.cos(z[:, 0])
    return slope


def ridge(z):
    """f(z) = 100 - 3 (sum of z) + z_0 sin(z_{D-1})"""
    return 100 - 3 * z.sum(1) + z[:, 0] * np.sin(z[:, -1])


def ridge_slope(z):
    """df/dz_j = -3, sin(z_{D-1}) added at j = 0, and z_0 cos(z_{D-1}) at j = D - 1"""
    slope = np.full(z.shape, -3.0, z.dtype)
    slope[:, 0] += np.sin(z[:, -1])
    slope[:, -1] += z[:, 0] * np.cos(z[:, -1])
    return slope


def flat(z):
    """f(z) = 2, wherever z is"""
    return np.full(len(z), 2.0)


def deep(z):
    """f(z) = -1e4 |z|^2: large, and never positive"""
    return -1e4 * (z**2).sum(1)


def slanted(z):
    """df/dz_j = 0.5 - j"""
    return np.broadcast_to(0.5 - np.arange(z.shape[1]), z.shape).copy()


def steep(z):
    """df/dz_j = -1e6 z_j"""
    return -1e6 * z


OTHERS = {"f": (flat, deep), "df": (slanted, steep)}


def probes(name="", first=None, second=None, least=1):
    """Small enough to print, then larger; logvar of both signs, S != D. `first` and `second` are two functions of z."""

    def make(rng):
        few = {
            "mu": np.array([0.5, -1.0]),
            "logvar": np.array([1.0, -0.7]),
            "eps": np.array([[0.3, -1.2], [-0.8, 0.5], [1.5, 0.9]]),
        }

        def draw(S, D):
            return {
                "mu": rng.normal(0.4, 1, D),
                "logvar": rng.permutation(np.linspace(-1.1, 1.4, D)) if D > 1 else np.array([0.9]),
                "eps": rng.normal(size=(S, D)),
            }

        def given(probe, function):
            return probe | ({name: function} if name else {})

        square = draw(3, 3)  # as many samples as latents: what broadcasts along the wrong axis runs
        square["eps"][1] = square["eps"][0]  # two samples with the same f
        wide = draw(5, 4) | {"logvar": np.array([12.0, -12.0, 4.0, -8.0])}
        wide["eps"] = wide["eps"] * np.array([30.0, 1.0, -25.0, 4.0])
        wider = draw(3, 2) | {"logvar": np.array([-14.0, 22.0]), "mu": np.array([40.0, -25.0])}
        widest = draw(4, 3) | {"logvar": np.array([-45.0, 1.0, 43.0]), "mu": np.array([0.0, 30.0, 0.0])}
        model = given(draw(6, 3), first)
        many = each(
            model,
            eps=(
                np.zeros((2, 3)),
                *([np.zeros((1, 3))] if least == 1 else []),
                np.arange(2.0, 6.0)[:, None] * np.ones(3),
                -30 * np.eye(3),
            ),
            mu=(np.zeros(3),),
        )
        many += each(model, logvar=(np.zeros(3), np.full(3, -1.0)))
        narrow = -30.0 if least == 1 else -20.0  # a baseline is right to the digits in which the samples differ
        many += pushed(rng, model, logvar=(narrow, -12.0, -6.0, 6.0, 12.0, 30.0, 60.0), mu=(-100.0, 100.0))
        many.append(moved(model, 3e6, "mu", allowed=1e-7))
        if least == 1:  # a difference from the other samples would lose its digits
            many += pushed(rng, model, logvar=(-800.0,))
        if not name:
            many.append(noted("mu is 0, logvar is -800", model | {"mu": np.zeros(3), "logvar": np.full(3, -800.0)}))
        if name != "f":
            many.append(noted("a narrow q, far from 0", model | {"mu": 100 + model["mu"], "logvar": model["logvar"] - 40}))
        if name:
            many += each(model, **{name: OTHERS[name]})
        return [
            *many,
            given(few, first),
            given(draw(least, 4), second),
            given(draw(6, 1), first),
            given(draw(4, 5), second),
            given(draw(7, 3), first),
            extreme(**given(square, second)),
            extreme(**given(wide, second)),
            extreme(**given(wider, second)),
            extreme(**given(widest, first)),
        ]

    return make


def once(function, args):
    """The page says: one call of f or df, with all samples."""

    def only(name):
        calls = []

        def counted(z):
            if np.shape(z) != args["eps"].shape:
                raise ValueError(f"{name} is called with the shape {np.shape(z)}; call it with all samples, {args['eps'].shape}")
            calls.append(1)
            if len(calls) > 1:
                raise ValueError(f"{name} is called a second time; call it once, with all samples, and keep what it returns")
            return args[name](z)

        return counted

    return call(function, args | {name: only(name) for name in ("f", "df") if name in args})


def samples(mu, logvar, eps):
    return np.array([mu + np.exp(0.5 * logvar) * sample for sample in eps])


def derivative(function, at):
    """d function(at)[s] / d at[j], by complex steps: (S, D)."""
    return np.stack([function(at + 1j * H * (np.arange(len(at)) == j)).imag / H for j in range(len(at))], 1)


def pathwise(mu, logvar, eps, df):
    """f's change along the path: the derivative of slope . z, the slope held."""
    slope = df(samples(mu, logvar, eps))
    return (
        derivative(lambda m: (slope * samples(m, logvar, eps)).sum(1), mu),
        derivative(lambda l: (slope * samples(mu, l, eps)).sum(1), logvar),
    )


def score(mu, logvar, eps, f, baseline=None):
    z = samples(mu, logvar, eps)
    values = f(z)
    if baseline:
        values = values - np.array([np.delete(values, s).mean() for s in range(len(values))])
    return (
        values[:, None] * derivative(lambda by: log_q(eps, logvar, logvar, by), 0 * mu),
        values[:, None] * derivative(lambda l: log_q(eps, logvar, l, 0), logvar),
    )


def with_baseline(mu, logvar, eps, f):
    return score(mu, logvar, eps, f, baseline=True)


def log_q(eps, drawn_with, logvar, by):
    """log N(z; mu + by, exp(logvar)) at z = mu + exp(drawn_with / 2) eps, of which only z - mu counts: it keeps its digits."""
    from_the_mean = np.exp(0.5 * drawn_with) * eps - by
    return -0.5 * (np.log(2 * np.pi) + logvar + (from_the_mean * np.exp(-0.5 * logvar)) ** 2).sum(1)


CHECKS = declared(
    "04",
    [
        Check("reparameterize", "z for a given eps", samples, probes(), rows="S"),
        Check(
            "pathwise_gradient",
            "the derivative of f(z) through z(mu, logvar, eps)",
            pathwise,
            probes("df", bowl_slope, ridge_slope),
            once,
            rows="S",
        ),
        Check("score_gradient", "f(z) times the derivative of log q", score, probes("f", bowl, ridge), once, rows="S"),
        Check(
            "score_gradient_with_baseline",
            "the same, with f(z) minus the mean over the other samples",
            with_baseline,
            probes("f", bowl, ridge, least=2),
            once,
            short={"S": 2},
            rows="S",
        ),
    ],
)


def scored(values, mu_part, logvar_part):
    return values[:, None] * mu_part, values[:, None] * logvar_part


def sd(logvar):
    return np.exp(logvar / 2)


def along(slope, mu_factor, logvar_factor):
    return slope * mu_factor, slope * logvar_factor


def scores(values, logvar, eps):
    return scored(values, eps / sd(logvar), 0.5 * (eps**2 - 1))


WRONG = [
    Wrong(
        "variance_noise",
        "reparameterize",
        "your code multiplies the noise by the variance exp(logvar). Multiply it by the standard deviation, exp(logvar / 2)",
        lambda mu, logvar, eps: mu + np.exp(logvar) * eps,
    ),
    Wrong(
        "logvar_noise",
        "reparameterize",
        "your code multiplies the noise by logvar, which is a logarithm and may be negative. Multiply it by sigma = "
        "exp(logvar / 2)",
        lambda mu, logvar, eps: mu + logvar * eps,
    ),
    Wrong(
        "no_noise",
        "reparameterize",
        "your result is mu for every sample: your code does not use the noise. So the model becomes an autoencoder",
        lambda mu, logvar, eps: np.tile(mu, (len(eps), 1)),
    ),
    Wrong(
        "fresh_noise",
        "reparameterize",
        "your result is eps, the standard normal noise. Multiply it by sigma and add mu",
        lambda mu, logvar, eps: eps.copy(),
    ),
    Wrong(
        "uncentred",
        "reparameterize",
        "your result is sigma (mu + eps). Multiply only the noise by sigma, then add mu",
        lambda mu, logvar, eps: sd(logvar) * (mu + eps),
    ),
    Wrong(
        "by_log_sigma",
        "pathwise_gradient",
        "the second value is twice too large. sigma = exp(logvar / 2), so the chain rule gives a factor 1/2",
        lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), 1, sd(logvar) * eps),
    ),
    Wrong(
        "by_sigma",
        "pathwise_gradient",
        "the second value is the derivative with respect to sigma, df eps. For logvar, multiply it by d sigma / d logvar = "
        "sigma / 2",
        lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), 1, eps),
    ),
    Wrong(
        "slope_at_the_mean",
        "pathwise_gradient",
        "your code evaluates df at mu. Evaluate it at the samples z",
        lambda mu, logvar, eps, df: along(df(np.tile(mu, (len(eps), 1))), 1, 0.5 * sd(logvar) * eps),
    ),
    Wrong(
        "wrong_derivative",
        "pathwise_gradient",
        "the gradient for logvar has a wrong derivative of z. It is dz/dlogvar = exp(logvar/2) eps / 2: it has the standard "
        "deviation and the noise",
        lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), 1, 0.5 * np.exp(logvar) * eps),
        [
            lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), 1, 0.5 * sd(logvar) + 0 * eps),
            lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), 1, 0.5 * eps),
        ],
    ),
    Wrong(
        "averaged",
        "pathwise_gradient",
        "your result is the mean over the samples. Return one estimate per sample, (S, D): their spread is needed too",
        lambda mu, logvar, eps, df: tuple(g.mean(0) for g in pathwise(mu, logvar, eps, df)),
    ),
    Wrong(
        "mu_scaled",
        "pathwise_gradient",
        "the first value has an extra factor sigma. In z = mu + sigma eps, the derivative of z with respect to mu is 1",
        lambda mu, logvar, eps, df: along(df(samples(mu, logvar, eps)), sd(logvar), 0.5 * sd(logvar) * eps),
    ),
    Wrong(
        "score_not_scaled",
        "score_gradient",
        "the first value is f eps. The derivative of log q with respect to mu is (z - mu) / sigma^2 = eps / sigma",
        lambda mu, logvar, eps, f: scored(f(samples(mu, logvar, eps)), eps, 0.5 * (eps**2 - 1)),
    ),
    Wrong(
        "score_sigma_once",
        "score_gradient",
        "the first value has a wrong power of sigma. z - mu is sigma eps, so (z - mu) / sigma^2 is eps / sigma",
        lambda mu, logvar, eps, f: scored(f(samples(mu, logvar, eps)), eps / np.exp(logvar), 0.5 * (eps**2 - 1)),
    ),
    Wrong(
        "normaliser_forgotten",
        "score_gradient",
        "the second value lacks the -1. log q has the term -logvar / 2, which has a derivative too",
        lambda mu, logvar, eps, f: scored(f(samples(mu, logvar, eps)), eps / sd(logvar), 0.5 * eps**2),
    ),
    Wrong(
        "score_negative",
        "score_gradient",
        "your result has the wrong sign. log q grows if mu moves towards z",
        lambda mu, logvar, eps, f: scored(-f(samples(mu, logvar, eps)), eps / sd(logvar), 0.5 * (eps**2 - 1)),
    ),
    Wrong(
        "through_the_sample",
        "score_gradient",
        "your code lets z move with mu when it differentiates log q(z), so the mu part is 0. For the score, hold z fixed",
        lambda mu, logvar, eps, f: scored(f(samples(mu, logvar, eps)), 0 * eps, -0.5 + 0 * eps),
    ),
    Wrong(
        "own_sample_too",
        "score_gradient_with_baseline",
        "your code subtracts the mean over all samples, including the sample itself. This baseline depends on z_s, so the "
        "estimate is on average only (S - 1) / S of the right one",
        lambda mu, logvar, eps, f: (lambda v: scores(v - v.mean(), logvar, eps))(f(samples(mu, logvar, eps))),
    ),
    Wrong(
        "no_baseline",
        "score_gradient_with_baseline",
        "your result is that of score_gradient. Subtract the baseline from f(z_s)",
        lambda mu, logvar, eps, f: score(mu, logvar, eps, f),
    ),
    Wrong(
        "baseline_added",
        "score_gradient_with_baseline",
        "your code adds the mean of the other samples, so the noise grows. Subtract this mean",
        lambda mu, logvar, eps, f: (lambda v: scores(v + (v.sum() - v) / (len(v) - 1), logvar, eps))(f(samples(mu, logvar, eps))),
    ),
    Wrong(
        "divided_by_all",
        "score_gradient_with_baseline",
        "your code divides the sum over the other samples by S. There are S - 1 other samples",
        lambda mu, logvar, eps, f: (lambda v: scores(v - (v.sum() - v) / len(v), logvar, eps))(f(samples(mu, logvar, eps))),
    ),
]

VALID = [
    ("reparameterize", lambda mu, logvar, eps: mu[None] + np.exp(logvar / 4)[None] ** 2 * eps),
    ("pathwise_gradient", pathwise),
    ("score_gradient", score),
    ("score_gradient_with_baseline", with_baseline),
]
