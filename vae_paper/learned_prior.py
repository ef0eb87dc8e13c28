"""A VAE whose prior p(z) is learned. The models of this kind differ in `log_prior` and `draw_prior` only.

What changes from vae.py: KL(q(z|x) || p(z)) has no formula. It is estimated from the same samples of z as the distortion.
"""

import math

from jaxtyping import Float
from torch import Tensor

from vae_paper.vae import VAE, Images, Labels, Latents, Samples, Terms, reparameterize


class LearnedPrior(VAE):
    """A subclass defines `log_prior` and `draw_prior`, and says in `drawn_from` what the prior is."""

    rate_is = "an estimate of KL(q(z|x) || p(z)) from the sampled z; in expectation an upper bound on the information I(x; z)"
    pictures = ("reconstructions", "samples", "scatter", "traversals", "interpolation", "curves", "animation")

    def log_prior(self, z: Samples) -> Float[Tensor, "K B"]:
        """log p(z)."""
        raise NotImplementedError(f"{type(self).__name__} defines no log_prior")

    def terms(self, mu: Latents, logvar: Latents, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the ELBO for q(z|x) = N(mu, diag(exp(logvar))). The rate is one number for all latents together."""
        if eps.ndim != 3:
            raise ValueError(f"eps is {tuple(eps.shape)}: expected (K, B, D), K samples of noise for each image")
        z = reparameterize(mu, logvar, eps)  # (K, B, D)
        distortion = self.distortion(z, x, labels)  # (K, B)
        log_q = -0.5 * (eps.square() + logvar + math.log(2 * math.pi)).sum(2)  # (K, B); (z - μ) / σ is eps
        log_ratio = self.log_prior(z) - log_q
        return Terms(distortion, -log_ratio.mean(0)[:, None], log_ratio - distortion, mu, logvar, z)
