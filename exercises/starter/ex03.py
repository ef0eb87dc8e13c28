"""Exercise 03: the ELBO, line by line, in a small model, where every quantity can be computed.

    p(z) = N(0, 1)      p(x|z) = N(w z + b, s2)      q(z|x) = N(mu, exp(logvar))

x, z, mu, logvar and all results are arrays of shape (B,): one number per image. Log densities are in nats. w, b and the variance
s2 are numbers. Everything is NumPy. Each function is one line of the derivation. A later function may call an earlier one.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray
PerImage = Float[np.ndarray, " B"]


def log_joint(x: PerImage, z: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 1. log p(x, z) = log p(x|z) + log p(z)."""
    raise NotImplementedError("log_joint")


def log_evidence(x: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 2. log p(x), the log of the integral of p(x, z) over z. Here it has a closed form: x is normal."""
    raise NotImplementedError("log_evidence")


def posterior(x: PerImage, w: float, b: float, s2: float) -> tuple[PerImage, PerImage]:
    """Line 3. p(z|x) = p(x, z) / p(x) is normal too. Returns its mean and its log variance, (B,) each."""
    raise NotImplementedError("posterior")


def log_weight(x: PerImage, z: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 4. log p(x, z) - log q(z|x). Its average over z ~ q is the ELBO, which is at most log p(x)."""
    raise NotImplementedError("log_weight")


def expected_log_likelihood(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 5. E_q[log p(x|z)], the reconstruction term: an average over q, in closed form."""
    raise NotImplementedError("expected_log_likelihood")


def kl_to_prior(mu: PerImage, logvar: PerImage) -> PerImage:
    """Line 6. KL(q(z|x) || p(z))."""
    raise NotImplementedError("kl_to_prior")


def elbo(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 7. The ELBO from lines 5 and 6: larger is better."""
    raise NotImplementedError("elbo")


def gap(x: PerImage, mu: PerImage, logvar: PerImage, w: float, b: float, s2: float) -> PerImage:
    """Line 8. KL(q(z|x) || p(z|x)), computed from the two Gaussians, not as log p(x) minus the ELBO."""
    raise NotImplementedError("gap")
