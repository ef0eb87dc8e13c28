"""Exercise 05: what a KL divergence must give, and the wrong ones that are met."""

import numpy as np

from exercises import comparing, relations
from exercises.declaring import Check, Wrong, call, declared
from exercises.probes import Probe, each, extreme, moved, noted, pushed
from vae_numpy import vae


def drawn(rng, *shape):
    """mu around 0.6, logvar around -0.5 and of both signs."""
    return {"mu": rng.normal(0.6, 1, shape), "logvar": rng.normal(-0.5, 1.2, shape)}


def far(rng, *shape):
    """Very wide, very narrow and far away."""
    return extreme(mu=rng.choice([-50.0, 0.3, 8.0], shape), logvar=rng.choice([-35.0, -12.0, 12.0, 35.0], shape))


LOGVAR = (-800.0, -200.0, -60.0, -12.0, -6.0, 6.0, 12.0, 60.0)


def posteriors(rng):
    """Several q, none of which hides a mistake: B != D, mu != 0, logvar != 0 and of both signs."""
    return [
        {"mu": np.array([[2.0, -0.5]]), "logvar": np.array([[1.0, -1.5]])},
        drawn(rng, 3, 4),
        {"mu": np.zeros((2, 3)), "logvar": np.zeros((2, 3))},
        *(drawn(rng, *shape) for shape in ((5, 1), (1, 6), (4, 2))),
        far(rng, 3, 2),
        far(rng, 2, 5),
        extreme(mu=np.array([[0.4, -1.0]]), logvar=np.array([[-12.0, -7.0]])),
        extreme(mu=np.array([[0.4, -1.0]]), logvar=np.array([[-200.0, -800.0]])),
        extreme(mu=np.array([[60.0, -1.0], [0.5, -45.0]]), logvar=np.array([[0.3, -0.7], [1.2, -0.4]])),
        *pushed(rng, drawn(rng, 3, 4), logvar=LOGVAR, mu=(-200.0, 0.0, 1e-6, 30.0)),
        *each(drawn(rng, 2, 3), logvar=(np.zeros((2, 3)),), mu=(np.ones((2, 3)),)),
        *(noted(f"mu and logvar of {by}", {"mu": mu, "logvar": logvar}, allowed=1e-7) for by, mu, logvar in close(rng, 3, 2)),
    ]


def close(rng, *shape):
    """The KL is small, and not so small that its digits are lost."""
    step = rng.choice([-1, 1], (2, *shape)) * rng.uniform(0.4, 1, (2, *shape))
    return [(f"{size:g}", size * step[0], size * step[1]) for size in (2e-2, 2e-3)]


def float32_posteriors(rng):
    return [Probe({name: array.astype(np.float32) for name, array in probe.items()}) for probe in posteriors(rng)[:6]]


def near_prior(rng):
    def near(mu, logvar, *shape):
        return {"mu": rng.normal(0, mu, shape), "logvar": rng.normal(0, logvar, shape)}

    return [
        {"mu": np.array([[0.0, 2e-6]]), "logvar": np.array([[1e-5, -2e-6]])},
        near(1e-6, 3e-6, 3, 4),
        near(1e-4, 1e-4, 5, 1),
        near(1e-6, 1e-5, 1, 3),
        drawn(rng, 2, 5),
        near(1, 1, 3, 4),
        far(rng, 4, 3),
        extreme(mu=np.array([[60.0, -1.0], [0.5, -45.0]]), logvar=np.array([[0.3, -0.7], [1.2, -0.4]])),
        noted("mu and logvar of 2e-7", near(2e-7, 2e-7, 4, 2)),
        noted("mu is 0, logvar of 2e-7", near(0, 2e-7, 4, 1)),
        *(noted(f"mu is 0, logvar of {size:g}", near(0, size, 5, 1)) for size in (1e-5, 3e-4, 4e-3, 2e-2, 0.1, 0.5)),
        noted("q is the prior", near(0, 0, 2, 3)),
        noted("float32, mu of 1e-3, logvar of 1e-5", {n: a.astype(np.float32) for n, a in near(1e-3, 1e-5, 4, 3).items()}),
        *(of_size(size) for size in 10.0 ** np.arange(-5, 0.1, 0.25)),
        noted("one image near the prior, one not", {"mu": np.array([[2e-6], [0.5]]), "logvar": np.array([[-3e-6], [1.0]])}),
        *(noted(f"latents near the prior and far from it, the {place}", mixed(order)) for place, order in PLACES.items()),
        *pushed(rng, drawn(rng, 3, 4), logvar=LOGVAR, mu=(-200.0, 30.0)),
    ]


def of_size(size):
    """Many logvars from size to 1.4 size, of both signs: one of them shows the digits that rounding loses."""
    logvar = size * np.linspace(1, 1.4, 60)[:, None] * np.array([1, -1] * 30)[:, None]
    return noted(f"mu is 0, |logvar| from {size:.2g}", {"mu": 0 * logvar, "logvar": logvar})


PLACES = {"near one first": [0, 1, 2], "near one between": [1, 0, 2], "near one last": [1, 2, 0]}


def mixed(order):
    """A latent near the prior, with a wide and a narrow one."""
    logvar = np.array([[1e-6, 2.0, -3.0], [-2e-5, 2.5, -1.5]])[:, order]
    return {"mu": np.zeros((2, 3)), "logvar": logvar}


def near_and_far(function, args):
    """The images near the prior apart from the others, beside whose KL any digits of theirs would do."""
    result = call(function, args)
    near = (np.maximum(np.abs(args["mu"]), np.abs(args["logvar"])) < 1e-3).all(1)
    try:
        plain = comparing.readable(result, "array")
    except comparing.Unreadable:
        return result
    if near.all() or not near.any() or plain.shape != near.shape:
        return result
    return {"near the prior": plain[near], "far from the prior": plain[~near]}


def pairs(rng):
    names = ("mu_q", "logvar_q", "mu_p", "logvar_p")
    few = dict(zip(names, np.array([[[2.0, -0.5]], [[1.0, -1.5]], [[0.5, 0.25]], [[-1.0, 0.5]]]), strict=True))
    ordinary = [dict(zip(names, rng.normal(0.3, 0.9, (4, *shape)), strict=True)) for shape in ((5, 1), (1, 4), (2, 7), (3, 5))]
    q, p = far(rng, 3, 2), drawn(rng, 3, 2)
    wide_q = extreme(mu_q=q["mu"], logvar_q=q["logvar"], mu_p=p["mu"], logvar_p=p["logvar"])
    wide_p = extreme(mu_q=p["mu"], logvar_q=p["logvar"], mu_p=q["mu"], logvar_p=np.where(q["logvar"] > 0, 12.0, -12.0))
    narrow_p = extreme(mu_q=p["mu"], logvar_q=p["logvar"], mu_p=30 * q["mu"], logvar_p=np.where(q["logvar"] > 0, 25.0, -25.0))
    apart = extreme(mu_q=60 * p["mu"], logvar_q=p["logvar"], mu_p=-45 * p["mu"][:, ::-1], logvar_p=p["logvar"][::-1])
    model = ordinary[-1]
    other = rng.normal(size=(3, 5))
    one = noted("p is q", model | {"mu_p": model["mu_q"], "logvar_p": model["logvar_q"]})
    both = [
        noted(f"{by:g} added to both logvars", model | {n: model[n] + by for n in ("logvar_q", "logvar_p")}) for by in (-60, 60)
    ]
    more = pushed(
        rng,
        model,
        logvar_q=LOGVAR,
        logvar_p=(-300.0, -60.0, -12.0, -6.0, 6.0, 12.0, 60.0, 800.0),
        mu_q=(-200.0, 0.0, 30.0),
        mu_p=(-200.0, 0.0, 30.0),
    )
    more += [*both, one, *(moved(model, by, "mu_q", "mu_p", allowed=1e-6) for by in (1e6, -1e4))]
    near = {"mu_p": model["mu_q"] * (1 + 1e-6), "logvar_q": model["logvar_q"] - 28, "logvar_p": model["logvar_q"] - 28}
    more.append(noted("two narrow densities, close together", model | near, allowed=1e-6))
    for by, mu, logvar in close(rng, 3, 5):
        p = {"mu_p": model["mu_q"] + mu, "logvar_p": model["logvar_q"] + logvar}
        more.append(noted(f"q is {by} from p", model | p, allowed=1e-7))
    more.append(noted("p is the prior", model | {"mu_p": 0 * other, "logvar_p": 0 * other}))
    return [few, *ordinary, wide_q, wide_p, narrow_p, apart, *more]


def samples(rng):
    """The second q is near the prior: there log q - log p has both signs among its samples."""

    def draw(K, B, D):
        return drawn(rng, B, D) | {"eps": rng.normal(size=(K, B, D))}

    near = {"mu": rng.normal(0.0, 0.1, (3, 4)), "logvar": rng.normal(0.0, 0.1, (3, 4)), "eps": rng.normal(size=(9, 3, 4))}
    wide = extreme(**far(rng, 3, 2) | {"eps": rng.normal(size=(4, 3, 2))})
    loud = extreme(**drawn(rng, 2, 3) | {"eps": 25 * rng.normal(size=(4, 2, 3))})
    distant = extreme(mu=np.array([[60.0, -45.0]]), logvar=np.array([[0.4, -0.3]]), eps=rng.normal(size=(3, 1, 2)))
    widest = extreme(mu=np.array([[0.3, -0.5]]), logvar=np.array([[43.0, 45.0]]), eps=rng.normal(size=(3, 1, 2)))
    model = draw(4, 5, 2)
    more = pushed(
        rng, model, logvar=(-800.0, -80.0, -20.0, -12.0, -6.0, 6.0, 12.0, 60.0), mu=(-200.0, 0.0, 30.0), eps=(-30.0, 0.0, 6.0)
    )
    more.append(noted("the same samples more than once", model | {"eps": model["eps"][[0, 0, 1, 2, 0]]}))
    more.append(noted("q is the prior", model | {n: np.zeros((5, 2)) for n in ("mu", "logvar")}))
    return [draw(5, 3, 4), near, draw(1, 2, 5), draw(6, 4, 1), draw(7, 1, 3), model, wide, loud, distant, widest, *more]


def kl_series(mu, logvar):
    """½ Σ (μ² + l²/2 + l³/6 + l⁴/24 + ...), which cannot lose a digit; where l is not small, the library's formula."""
    series = sum(logvar**k / np.prod(np.arange(1.0, k + 1)) for k in range(2, 8))
    each = np.where(np.abs(logvar) < 1e-2, series, np.expm1(logvar) - logvar)
    return 0.5 * (mu**2 + each).sum(1)


def kl_pair(mu_q, logvar_q, mu_p, logvar_p):
    """By changing variables: z' = (z - mu_p) / sigma_p makes p the prior, and leaves the KL as it is."""
    return vae.kl_divergence((mu_q - mu_p) * np.exp(-logvar_p / 2), logvar_q - logvar_p)


def log_normal(z, mu, var):
    return -0.5 * (np.log(2 * np.pi * var) + (z - mu) ** 2 / var)


def sampled(mu, logvar, eps):
    """log q(z) - log p(z) from the two densities with their constants; z lies eps standard deviations from q's mean."""
    z = mu + np.exp(logvar / 2) * eps
    return (log_normal(eps, 0.0, 1.0) - logvar / 2 - log_normal(z, 0.0, 1.0)).sum(-1).mean(0)


CANCELS = (
    "your formula is right without rounding. But 1 + logvar and exp(logvar) are both rounded near 1, so their difference "
    "keeps few digits. np.expm1(logvar) computes exp(logvar) - 1 without this rounding"
)


SHORT = (
    "your series stops too early: where |logvar| is large enough, its next term changes a digit that must be right. Use more "
    "terms, or the series only for smaller |logvar|. np.expm1(logvar) needs no series"
)


def digits_lost(cases):
    """The formula that cancels may sum in any order, and each order rounds otherwise.

    Its digits are lost for small logvars, those of a short series for large ones.
    """
    found = relations.told(cases)
    if found and "digits and no more" in found:
        sizes = [np.abs(case.args["logvar"]).max() for case in cases if not case.passed and not case.args["mu"].any()]
        return SHORT if sizes and min(sizes) > 3e-4 else CANCELS
    return found


CHECKS = declared(
    "05",
    [
        Check("kl_divergence", "KL(q || N(0, I)) per image, in float64", vae.kl_divergence, posteriors, rows="B"),
        Check("kl_divergence", "the same for float32 input", vae.kl_divergence, float32_posteriors),
        Check(
            "kl_near_prior",
            "the same KL, with most digits right near the prior",
            kl_series,
            near_prior,
            near_and_far,
            allowed=1e-8,
            rows="B",
            explain=digits_lost,
        ),
        Check("kl_two_gaussians", "KL(q || p) for any p", kl_pair, pairs, rows="B"),
        Check("kl_by_sampling", "the mean of log q(z) - log p(z) over K given samples", sampled, samples, rows="B"),
    ],
)


def kl(mu, var, logvar):
    return -0.5 * (1 + logvar - mu**2 - var).sum(1)


def kl_pair_formula(mu_q, logvar_q, mu_p, logvar_p):
    return 0.5 * (logvar_p - logvar_q + (np.exp(logvar_q) + (mu_q - mu_p) ** 2) / np.exp(logvar_p) - 1).sum(1)


WRONG = [
    Wrong(
        "sigma_as_variance",
        "kl_divergence",
        "your code uses exp(logvar/2), the standard deviation, as the variance. The variance is exp(logvar)",
        lambda mu, logvar: kl(mu, np.exp(logvar / 2), logvar),
    ),
    Wrong(
        "log_sigma",
        "kl_divergence",
        "your code uses logvar as log sigma, and so exp(2 logvar) as the variance. Here logvar is already the log of the "
        "variance",
        lambda mu, logvar: kl(mu, np.exp(2 * logvar), 2 * logvar),
    ),
    Wrong(
        "logvar_as_variance",
        "kl_divergence",
        "your code uses logvar as the variance, and takes its logarithm. logvar is the log of the variance: the variance is "
        "exp(logvar)",
        lambda mu, logvar: 0.5 * (mu**2 + logvar - 1 - np.log(logvar)).sum(1),
        [
            lambda mu, logvar: 0.5 * (mu**2 + np.abs(logvar) - 1 - np.log(np.abs(logvar))).sum(1),
            lambda mu, logvar: 0.5 * (mu**2 + logvar**2 - 1 - np.log(logvar**2)).sum(1),
        ],
    ),
    Wrong(
        "no_minus_one",
        "kl_divergence",
        "the -1 is missing in each latent, so your result is D/2 too large. The KL of the prior itself must be 0",
        lambda mu, logvar: 0.5 * (mu**2 + np.exp(logvar) - logvar).sum(1),
    ),
    Wrong(
        "no_half",
        "kl_divergence",
        "your result is twice the KL: the factor 1/2 before the sum is missing",
        lambda mu, logvar: 2 * vae.kl_divergence(mu, logvar),
    ),
    Wrong(
        "negative",
        "kl_divergence",
        "your result is -KL. A KL is never negative: change the sign of the factor 1/2 before the sum",
        lambda mu, logvar: -vae.kl_divergence(mu, logvar),
    ),
    Wrong(
        "mean_over_latents",
        "kl_divergence",
        "your result is the mean over the latents, KL / D. The KLs of independent latents add up: take the sum. The mean has "
        "the effect of beta = 1/D",
        lambda mu, logvar: vae.kl_divergence(mu, logvar) / mu.dtype.type(mu.shape[1]),
    ),
    Wrong(
        "summed_over_images",
        "kl_divergence",
        "your result is one sum per latent. Axis 0 runs over the images: sum over axis 1, the latents",
        lambda mu, logvar: 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(0),
    ),
    Wrong(
        "batch_total",
        "kl_divergence",
        "your result is one number for the whole batch. Return one number per image: sum only over axis 1",
        lambda mu, logvar: vae.kl_divergence(mu, logvar).sum(),
    ),
    Wrong(
        "batch_mean",
        "kl_divergence",
        "your result is the mean over the batch. Return one number per image; the training loop takes the mean",
        lambda mu, logvar: vae.kl_divergence(mu, logvar).mean(),
    ),
    Wrong(
        "reverse",
        "kl_divergence",
        "your result is KL(N(0, I) || q), the other direction. z is sampled from q, so q comes first",
        lambda mu, logvar: 0.5 * (logvar - 1 + (1 + mu**2) * np.exp(-logvar)).sum(1),
    ),
    Wrong(
        "mu_not_squared",
        "kl_divergence",
        "your result has mu or |mu| in place of mu squared",
        lambda mu, logvar: 0.5 * (np.abs(mu) + np.expm1(logvar) - logvar).sum(1),
        [lambda mu, logvar: 0.5 * (mu + np.expm1(logvar) - logvar).sum(1)],
    ),
    Wrong(
        "cancels",
        "kl_near_prior",
        CANCELS,
        lambda mu, logvar: kl(mu, np.exp(logvar), logvar),
    ),
    Wrong(
        "clipped",
        "kl_near_prior",
        "your result is max(KL, 1e-8). The floor only hides the lost digits: every KL below 1e-8 is wrong",
        lambda mu, logvar: np.maximum(vae.kl_divergence(mu, logvar), 1e-8),
    ),
    Wrong(
        "reverse_pair",
        "kl_two_gaussians",
        "your result is KL(p || q): q and p are exchanged",
        lambda mu_q, logvar_q, mu_p, logvar_p: kl_pair_formula(mu_p, logvar_p, mu_q, logvar_q),
    ),
    Wrong(
        "prior_ignored",
        "kl_two_gaussians",
        "your result is KL(q || N(0, I)). Use mu_p and logvar_p",
        lambda mu_q, logvar_q, mu_p, logvar_p: vae.kl_divergence(mu_q, logvar_q),
    ),
    Wrong(
        "difference_of_kls",
        "kl_two_gaussians",
        "your result is KL(q || N(0, I)) - KL(p || N(0, I)). KL(q || p) is not a difference of two KLs",
        lambda mu_q, logvar_q, mu_p, logvar_p: vae.kl_divergence(mu_q, logvar_q) - vae.kl_divergence(mu_p, logvar_p),
    ),
    Wrong(
        "mean_not_scaled",
        "kl_two_gaussians",
        "your code divides only exp(logvar_q) by the variance of p. Divide (mu_q - mu_p)^2 by it too",
        lambda mu_q, logvar_q, mu_p, logvar_p: (
            0.5 * (logvar_p - logvar_q + np.exp(logvar_q - logvar_p) + (mu_q - mu_p) ** 2 - 1).sum(1)
        ),
    ),
    Wrong(
        "no_minus_one_in_a_pair",
        "kl_two_gaussians",
        "the -1 is missing in each latent, so your result is D/2 too large. If p is q, the KL must be 0",
        lambda mu_q, logvar_q, mu_p, logvar_p: kl_pair_formula(mu_q, logvar_q, mu_p, logvar_p) + 0.5 * mu_q.shape[1],
    ),
    Wrong(
        "deviations_in_a_pair",
        "kl_two_gaussians",
        "your code uses exp(logvar/2), the standard deviations, as the variances. The variances are exp(logvar_q) and "
        "exp(logvar_p)",
        lambda mu_q, logvar_q, mu_p, logvar_p: (
            0.5 * (logvar_p - logvar_q + (np.exp(logvar_q / 2) + (mu_q - mu_p) ** 2) / np.exp(logvar_p / 2) - 1).sum(1)
        ),
        [
            lambda mu_q, logvar_q, mu_p, logvar_p: (
                0.5 * (logvar_p - logvar_q + (np.exp(logvar_q) + (mu_q - mu_p) ** 2) / np.exp(logvar_p / 2) - 1).sum(1)
            ),
        ],
    ),
    Wrong(
        "formula_for_samples",
        "kl_by_sampling",
        "your result is the KL by its formula. Here it is estimated: the mean of log q(z) - log p(z) over the given samples",
        lambda mu, logvar, eps: vae.kl_divergence(mu, logvar),
    ),
    Wrong(
        "noise_squared_as_one",
        "kl_by_sampling",
        "your code has 1 in place of eps^2 in log q. This is only its mean: use the eps of each sample",
        lambda mu, logvar, eps: 0.5 * ((mu + np.exp(logvar / 2) * eps) ** 2 - 1 - logvar).sum(2).mean(0),
    ),
    Wrong(
        "no_log_sigma",
        "kl_by_sampling",
        "your log q has no -logvar/2. The density of a narrow q is high, so its logarithm depends on sigma",
        lambda mu, logvar, eps: 0.5 * ((mu + np.exp(logvar / 2) * eps) ** 2 - eps**2).sum(2).mean(0),
    ),
    Wrong(
        "at_the_mean",
        "kl_by_sampling",
        "your code evaluates log q - log p at z = mu, without the noise. The KL is an average over samples of q",
        lambda mu, logvar, eps: 0.5 * (mu**2 - logvar).sum(1),
    ),
    Wrong(
        "sampled_from_prior",
        "kl_by_sampling",
        "your code uses z = eps, which is a sample of the prior. Then the mean of log q - log p is -KL(p || q), not KL(q || p)",
        lambda mu, logvar, eps: (log_normal(eps, mu, np.exp(logvar)) - log_normal(eps, 0.0, 1.0)).sum(-1).mean(0),
    ),
    Wrong(
        "summed_over_samples",
        "kl_by_sampling",
        "your result is the sum over the K samples. The estimate is their mean",
        lambda mu, logvar, eps: sampled(mu, logvar, eps) * len(eps),
    ),
    Wrong(
        "variance_noise",
        "kl_by_sampling",
        "your samples are z = mu + exp(logvar) eps: the noise is multiplied by the variance. Multiply it by the standard "
        "deviation, exp(logvar/2)",
        lambda mu, logvar, eps: (
            (log_normal(mu + np.exp(logvar) * eps, mu, np.exp(logvar)) - log_normal(mu + np.exp(logvar) * eps, 0.0, 1.0))
            .sum(-1)
            .mean(0)
        ),
    ),
    Wrong(
        "absolute",
        "kl_by_sampling",
        "your code averages |log q - log p|. Single terms may be negative: do not take the absolute value",
        lambda mu, logvar, eps: np.abs(
            (
                log_normal(mu + np.exp(logvar / 2) * eps, mu, np.exp(logvar))
                - log_normal(mu + np.exp(logvar / 2) * eps, 0.0, 1.0)
            ).sum(-1)
        ).mean(0),
    ),
    Wrong(
        "quotient_of_logs",
        "kl_two_gaussians",
        "your formula has logvar_p / logvar_q. The log of the ratio of the variances is the *difference* logvar_p - logvar_q",
        lambda mu_q, logvar_q, mu_p, logvar_p: (
            kl_pair_formula(mu_q, logvar_q, mu_p, logvar_p) + 0.5 * (logvar_p / logvar_q - logvar_p + logvar_q).sum(1)
        ),
    ),
    Wrong(
        "images_summed",
        "kl_by_sampling",
        "your code sums over the images. In (K, B, D) the last axis runs over the latents, and axis 0 over the samples",
        lambda mu, logvar, eps: (
            (log_normal(mu + np.exp(logvar / 2) * eps, mu, np.exp(logvar)) - log_normal(mu + np.exp(logvar / 2) * eps, 0.0, 1.0))
            .sum(1)
            .mean(0)
        ),
    ),
]

VALID = [
    ("kl_divergence", vae.kl_divergence),
    (
        "kl_divergence",
        lambda mu, logvar: np.array([kl(mu[b : b + 1], np.exp(logvar[b : b + 1]), logvar[b : b + 1])[0] for b in range(len(mu))]),
    ),
    ("kl_near_prior", vae.kl_divergence),
    ("kl_two_gaussians", kl_pair_formula),
    ("kl_by_sampling", sampled),
]
