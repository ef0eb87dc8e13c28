"""Exercise 03: every line of the derivation, against integrals done by quadrature (the references know no closed form)."""

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import Probe, each, extreme, noted, pushed

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)  # exact for polynomials of degree up to 9
WEIGHTS = WEIGHTS / WEIGHTS.sum()
MODEL = {"w": 1.7, "b": -0.4, "s2": 0.3}
LOGVAR = (-200.0, -60.0, -12.0, -4.0, 4.0, 12.0, 60.0)


def log_normal(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def drawn(rng, B, w, b, s2):
    """mu and logvar are not 0 and of both signs; x, z and mu are unsorted."""
    logvar = rng.normal(-0.3, 1, B)
    logvar[:2] = [abs(v) + 0.1 if i == 0 else -abs(v) - 0.1 for i, v in enumerate(logvar[:2])]
    return {
        "x": rng.normal(0, 2, B),
        "z": rng.normal(0, 1, B),
        "mu": rng.normal(0.6, 0.8, B),
        "logvar": logvar,
        "w": w,
        "b": b,
        "s2": s2,
    }


def probes(*names):
    """Arguments by name: w of both signs and not 1, s2 above and below 1, b not 0."""

    def make(rng):
        chosen = {"x": np.array([1.5]), "z": np.array([0.5]), "mu": np.array([2.0]), "logvar": np.array([-1.0])} | MODEL
        ordinary = [
            drawn(rng, 4, float(rng.uniform(1.2, 2)), float(rng.uniform(0.3, 1)), float(rng.uniform(0.2, 0.7))),
            drawn(rng, 7, -float(rng.uniform(1.2, 2)), -float(rng.uniform(0.3, 1)), float(rng.uniform(1.5, 3))),
            drawn(rng, 5, -0.4, -2.5, 0.6),
        ]
        wide = drawn(rng, 6, 1.3, 0.7, 0.4)
        wide["logvar"] = np.array([12.0, -12.0, 3.0, -7.0, 35.0, -35.0])
        far = drawn(rng, 3, -1.6, 0.4, 0.2)
        far |= {"x": np.array([60.0, -90.0, 45.0]), "z": np.array([-50.0, 40.0, 70.0]), "mu": np.array([60.0, -50.0, 44.0])}
        sharp = drawn(rng, 4, 1e-4, 0.3, 1e-9)  # a variance that a small constant in a logarithm would change
        sharp["x"] = sharp["w"] * sharp["z"] + sharp["b"] + np.sqrt(1e-9) * rng.normal(size=4)
        precise = drawn(rng, 3, -2.5, 0.2, 1e-11)  # the posterior is very narrow, and q nearly the same
        precise["x"] = precise["w"] * precise["z"] + precise["b"] + np.sqrt(1e-11) * rng.normal(size=3)
        precise |= {"mu": precise["z"] + 1e-6 * rng.normal(size=3), "logvar": np.array([-26.0, -28.0, -25.0])}
        prior = drawn(rng, 2, 0.0, -0.4, 0.3)  # x tells nothing about z: q, prior and posterior are one
        prior |= {"mu": np.zeros(2), "logvar": np.zeros(2), "x": np.array([1000.0, -0.5])}
        near = drawn(
            rng, 4, 1.7, -0.4, 0.3
        )  # far data, and q nearly the posterior: the gap is small, log p(x) and the ELBO large
        near["x"] = np.array([1e5, -2e5, 3e5, 1.5e5])
        mean, logvar = bayes(near["x"], 1.7, -0.4, 0.3)
        near |= {"mu": mean + np.array([0.1, -0.3, 0.0, 0.2]), "logvar": logvar + np.array([0.1, -0.5, 0.8, 0.0])}
        last = ordinary[-1]
        options = each(last, w=(0.0, 1.0, -1.0, 2, -30.0), b=(0.0, 3, 100.0, -100.0), s2=(1.0, 2, 1e-3, 1e-8, 50.0, 1e4))
        # the posterior is nearly the prior: its log variance is a difference of nearly equal numbers
        options.append(noted("w = 1e-06", last | {"w": 1e-6}, allowed=1e-3 if "mu" not in names else None))
        values = pushed(rng, last, logvar=LOGVAR, x=(-300.0, 1000.0), z=(-300.0, 30.0), mu=(0.0, -300.0, 30.0))
        more = [p for p in (*options, *values) if p.note.split(" ")[0] in names]
        if names == ("mu", "logvar"):
            more += pushed(rng, last, logvar=(-800.0,))
        if "mu" in names:
            mean, logvar = (np.zeros(5), np.zeros(5)) if names == ("mu", "logvar") else bayes(last["x"], -0.4, -2.5, 0.6)
            step = np.array([1.0, -0.6, 0.3, -1.0, 0.8])
            for size in (2e-2, 2e-3):
                q = {"mu": mean + size * step * np.exp(logvar / 2), "logvar": logvar + size * step[::-1] / 3}
                more.append(noted(f"q is {size:g} from p(z{'' if names == ('mu', 'logvar') else '|x'})", last | q, allowed=1e-7))
        more.append(noted("x is far away, and q is nearly p(z|x)", near, allowed=1e-7))
        found = [Probe({name: case[name] for name in names}) for case in (chosen, *ordinary)]
        found += [extreme(**{name: case[name] for name in names}) for case in (wide, far, sharp, precise, prior)]
        return found + [noted(p.note, {name: p[name] for name in names}, allowed=p.allowed) for p in more]

    return make


def average(function, mu, logvar):
    """E_q[function(z)] by Gauss-Hermite quadrature: exact for what is averaged here."""
    return sum(weight * function(mu + np.exp(logvar / 2) * node) for node, weight in zip(NODES, WEIGHTS, strict=True))


def joint(x, z, w, b, s2):
    return -np.log(2 * np.pi) - np.log(np.sqrt(s2)) - (x - w * z - b) ** 2 / (2 * s2) - z * z / 2


def bayes(x, w, b, s2):
    """Mean and log variance of p(z|x) from the joint Gaussian of (z, x): cov(z, x) / var(x) regression."""
    gain = w / (w**2 + s2)
    return gain * (x - b), np.full_like(x, np.log(s2) - np.log(w**2 + s2))


def evidence(x, w, b, s2):
    """x is normal: its standard deviation is the hypotenuse of the two independent ones."""
    deviation = np.hypot(w, np.sqrt(s2))
    return -np.log(deviation) - 0.5 * np.log(2 * np.pi) - ((x - b) / deviation) ** 2 / 2


def weight(x, z, mu, logvar, w, b, s2):
    return joint(x, z, w, b, s2) - log_normal(z, mu, np.exp(logvar))


def without_rounding(difference):
    """What two numbers near 1 leave of 0."""
    return np.where(np.abs(difference) < 1e-15, 0.0, difference)


def negative_entropy(logvar):
    """E_q[log q]: (z - mu) / sigma is 1 in the mean square."""
    return -0.5 * (np.log(2 * np.pi) + logvar + 1)


def expected(x, mu, logvar, w, b, s2):
    return average(lambda z: log_normal(x, w * z + b, s2), mu, logvar)


def kl(mu, logvar):
    return without_rounding(negative_entropy(logvar) - average(lambda z: log_normal(z, 0.0, 1.0), mu, logvar))


def bound(x, mu, logvar, w, b, s2):
    return average(lambda z: joint(x, z, w, b, s2), mu, logvar) - negative_entropy(logvar)


def distance(x, mu, logvar, w, b, s2):
    mean, log_variance = bayes(x, w, b, s2)
    cross = average(lambda z: log_normal(z, mean, np.exp(log_variance)), mu, logvar)
    return without_rounding(negative_entropy(logvar) - cross)


ALL = ("x", "mu", "logvar", "w", "b", "s2")
CHECKS = declared(
    "03",
    [
        Check("log_joint", "line 1, log p(x, z)", joint, probes("x", "z", "w", "b", "s2"), rows="B"),
        Check("log_evidence", "line 2, log p(x)", evidence, probes("x", "w", "b", "s2"), rows="B"),
        Check("posterior", "line 3, mean and log variance of p(z|x)", bayes, probes("x", "w", "b", "s2"), rows="B"),
        Check(
            "log_weight", "line 4, log p(x, z) - log q(z|x)", weight, probes("x", "z", "mu", "logvar", "w", "b", "s2"), rows="B"
        ),
        Check("expected_log_likelihood", "line 5, E_q[log p(x|z)]", expected, probes(*ALL), rows="B"),
        Check("kl_to_prior", "line 6, KL(q || p(z))", kl, probes("mu", "logvar"), rows="B"),
        Check("elbo", "line 7, the average of line 4 over q", bound, probes(*ALL), rows="B"),
        Check("gap", "line 8, KL(q || p(z|x)) = log p(x) - ELBO", distance, probes(*ALL), rows="B"),
    ],
)

WRONG = [
    Wrong(
        "likelihood_only",
        "log_joint",
        "your result is log p(x|z) alone. Add the prior's log p(z)",
        lambda x, z, w, b, s2: log_normal(x, w * z + b, s2),
    ),
    Wrong(
        "no_constant",
        "log_joint",
        "your result lacks the constants of the two densities, log 2 pi s2 and log 2 pi. Without them it is not a log "
        "density, and you cannot compare a bound with log p(x)",
        lambda x, z, w, b, s2: -0.5 * ((x - w * z - b) ** 2 / s2 + z**2),
    ),
    Wrong(
        "variance_as_sigma",
        "log_joint",
        "your code uses s2 as a standard deviation. s2 is the variance: do not square it",
        lambda x, z, w, b, s2: log_normal(x, w * z + b, s2**2) + log_normal(z, 0.0, 1.0),
    ),
    Wrong(
        "evidence_without_latent",
        "log_evidence",
        "your result is log N(x; b, s2), as if z were 0. Integrate over z: its spread adds w^2 to the variance",
        lambda x, w, b, s2: log_normal(x, b, s2),
    ),
    Wrong(
        "evidence_w_not_squared",
        "log_evidence",
        "your variance is w + s2. The variance of w z is w^2",
        lambda x, w, b, s2: log_normal(x, b, w + s2),
    ),
    Wrong(
        "deviations_added",
        "log_evidence",
        "your code adds standard deviations: its variance is (w + sqrt(s2))^2. For independent parts add the variances: w^2 + s2",
        lambda x, w, b, s2: log_normal(x, b, (w + np.sqrt(s2)) ** 2),
    ),
    Wrong(
        "precision_as_variance",
        "posterior",
        "the second value is the log of the precision, 1 + w^2/s2. The variance is the inverse of the precision, so the log "
        "needs the other sign",
        lambda x, w, b, s2: (bayes(x, w, b, s2)[0], -bayes(x, w, b, s2)[1]),
    ),
    Wrong(
        "variance_not_log",
        "posterior",
        "the second value is the variance. Return its logarithm",
        lambda x, w, b, s2: (bayes(x, w, b, s2)[0], np.exp(bayes(x, w, b, s2)[1])),
    ),
    Wrong(
        "least_squares",
        "posterior",
        "the mean is (x - b) / w. This value explains x best, but ignores the prior, which pulls the mean towards 0",
        lambda x, w, b, s2: ((x - b) / w, bayes(x, w, b, s2)[1]),
    ),
    Wrong(
        "offset_forgotten",
        "posterior",
        "the mean ignores b. The decoder's w z explains x - b, not x",
        lambda x, w, b, s2: (bayes(x + b, w, b, s2)[0], bayes(x, w, b, s2)[1]),
    ),
    Wrong(
        "q_forgotten",
        "log_weight",
        "your result is log p(x, z). Subtract log q(z|x)",
        lambda x, z, mu, logvar, w, b, s2: joint(x, z, w, b, s2),
    ),
    Wrong(
        "prior_for_q",
        "log_weight",
        "your result is log p(x|z): your code subtracts log p(z). Subtract log q(z|x) instead",
        lambda x, z, mu, logvar, w, b, s2: log_normal(x, w * z + b, s2),
    ),
    Wrong(
        "weight_upside_down",
        "log_weight",
        "your result is log q - log p, with the wrong sign. An importance weight is p divided by q",
        lambda x, z, mu, logvar, w, b, s2: -weight(x, z, mu, logvar, w, b, s2),
    ),
    Wrong(
        "at_the_mean",
        "expected_log_likelihood",
        "your result is log p(x|z) at z = mu, not the average over q. The term with w^2 sigma^2 / s2 is missing",
        lambda x, mu, logvar, w, b, s2: log_normal(x, w * mu + b, s2),
    ),
    Wrong(
        "spread_not_scaled",
        "expected_log_likelihood",
        "your code uses sigma^2 in place of w^2 sigma^2. The decoder multiplies z by w",
        lambda x, mu, logvar, w, b, s2: log_normal(x, w * mu + b, s2) - 0.5 * np.exp(logvar) / s2,
    ),
    Wrong(
        "spread_is_sigma",
        "expected_log_likelihood",
        "your code uses exp(logvar/2), the standard deviation, in place of the variance exp(logvar)",
        lambda x, mu, logvar, w, b, s2: log_normal(x, w * mu + b, s2) - 0.5 * w**2 * np.exp(logvar / 2) / s2,
    ),
    Wrong(
        "kl_no_half",
        "kl_to_prior",
        "your result is twice the KL: the factor 1/2 is missing",
        lambda mu, logvar: 2 * kl(mu, logvar),
    ),
    Wrong(
        "kl_reverse",
        "kl_to_prior",
        "your result is KL(p(z) || q), the other direction. Compute KL(q || p(z))",
        lambda mu, logvar: 0.5 * (logvar - 1 + (1 + mu**2) * np.exp(-logvar)),
    ),
    Wrong(
        "kl_summed",
        "kl_to_prior",
        "your result is a sum over the images. Return one number per image: z is one number, so there is nothing to sum",
        lambda mu, logvar: kl(mu, logvar).sum(),
    ),
    Wrong(
        "kl_added",
        "elbo",
        "your result is line 5 plus line 6. The KL is a cost: subtract it",
        lambda x, mu, logvar, w, b, s2: expected(x, mu, logvar, w, b, s2) + kl(mu, logvar),
    ),
    Wrong(
        "negative_elbo",
        "elbo",
        "your result is the negative ELBO, the loss that training minimises. The ELBO is larger for a better model: change "
        "the sign",
        lambda x, mu, logvar, w, b, s2: -bound(x, mu, logvar, w, b, s2),
    ),
    Wrong(
        "evidence_for_elbo",
        "elbo",
        "your result is log p(x), which does not depend on q. The ELBO must depend on mu and logvar",
        lambda x, mu, logvar, w, b, s2: evidence(x, w, b, s2),
    ),
    Wrong(
        "gap_reverse",
        "gap",
        "your result is KL(p(z|x) || q). The gap is an average over q, so q comes first",
        lambda x, mu, logvar, w, b, s2: (lambda m, l: 0.5 * (logvar - l + (np.exp(l) + (mu - m) ** 2) / np.exp(logvar) - 1))(
            *bayes(x, w, b, s2)
        ),
    ),
    Wrong(
        "gap_to_prior",
        "gap",
        "your result is KL(q || p(z)), from q to the prior. The gap is the KL from q to the posterior p(z|x)",
        lambda x, mu, logvar, w, b, s2: kl(mu, logvar),
    ),
    Wrong(
        "gap_negative",
        "gap",
        "your result is ELBO - log p(x). The gap is log p(x) - ELBO, and it is never negative",
        lambda x, mu, logvar, w, b, s2: -distance(x, mu, logvar, w, b, s2),
    ),
    Wrong(
        "logvar_as_variance",
        "log_weight",
        "your code uses logvar as the variance of q. The variance is exp(logvar)",
        lambda x, z, mu, logvar, w, b, s2: joint(x, z, w, b, s2) - log_normal(z, mu, logvar),
    ),
    Wrong(
        "expectation_no_constant",
        "expected_log_likelihood",
        "your result lacks -1/2 log(2 pi s2), the constant of log p(x|z)",
        lambda x, mu, logvar, w, b, s2: expected(x, mu, logvar, w, b, s2) + 0.5 * np.log(2 * np.pi * s2),
    ),
    Wrong(
        "difference",
        "gap",
        "your code computes log p(x) minus the ELBO. If x is far from b, both numbers are huge, and rounding destroys their "
        "difference. Compute the KL of the two Gaussians",
        lambda x, mu, logvar, w, b, s2: evidence(x, w, b, s2) - bound(x, mu, logvar, w, b, s2),
    ),
]

VALID = [
    ("log_joint", joint),
    ("log_evidence", evidence),
    ("posterior", lambda x, w, b, s2: [*bayes(x, w, b, s2)]),
    ("log_weight", weight),
    ("expected_log_likelihood", expected),
    ("kl_to_prior", lambda mu, logvar: -0.5 * (1 + logvar - mu**2 - np.exp(logvar))),
    ("elbo", bound),
    ("elbo", lambda x, mu, logvar, w, b, s2: evidence(x, w, b, s2) - distance(x, mu, logvar, w, b, s2)),
    ("gap", distance),
]
