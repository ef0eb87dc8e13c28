"""Exercise 03, one solution."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray
PerImage = Float[np.ndarray, " B"]


def log_normal(x, mean, variance):
    """log N(x; mean, variance)."""
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def log_joint(x: PerImage, z: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 1. log p(x, z) = log p(x|z) + log p(z)."""
    return log_normal(x, w * z + b, s2) + log_normal(z, 0.0, 1.0)


def log_evidence(x: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 2. log p(x), the log of the integral of p(x, z) over z. Here it has a closed form: x is normal."""
    # x = w z + b + noise: mean b, variance w² + s2
    return log_normal(x, b, w**2 + s2)


def posterior(x: PerImage, w: float, b: float, s2: float) -> tuple[PerImage, PerImage]:
    """Line 3. p(z|x) = p(x, z) / p(x) is normal too. Returns its mean and its log variance, (B,) each."""
    # Complete the square in -½ [(x - w z - b)²/s2 + z²]: precision 1 + w²/s2
    precision = 1 + w**2 / s2
    mean = w * (x - b) / s2 / precision
    return mean, np.full_like(mean, -np.log(precision))


def log_weight(x: PerImage, z: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 4. log p(x, z) - log q(z|x). Its average over z ~ q is the ELBO, which is at most log p(x)."""
    return log_joint(x, z, w, b, s2) - log_normal(z, mu, np.exp(logvar))


def expected_log_likelihood(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 5. E_q[log p(x|z)], the reconstruction term: an average over q, in closed form."""
    # E[(x - w z - b)²] = (x - w μ - b)² + w² σ²
    return -0.5 * (np.log(2 * np.pi * s2) + ((x - w * mu - b) ** 2 + w**2 * np.exp(logvar)) / s2)


def kl_to_prior(mu: PerImage, logvar: PerImage) -> PerImage:
    """Line 6. KL(q(z|x) || p(z))."""
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar)


def elbo(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 7. The ELBO from lines 5 and 6: larger is better."""
    return expected_log_likelihood(x, mu, logvar, w, b, s2) - kl_to_prior(mu, logvar)


def gap(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 8. KL(q(z|x) || p(z|x)), computed from the two Gaussians, not as log p(x) minus the ELBO."""
    mean, log_variance = posterior(x, w, b, s2)
    # ½ [log σp² - log σq² + (σq² + (μq - μp)²) / σp² - 1]
    ratio = (np.exp(logvar) + (mu - mean) ** 2) / np.exp(log_variance)
    return 0.5 * (log_variance - logvar + ratio - 1)
