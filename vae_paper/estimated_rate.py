"""A VAE without a formula for KL(q(z|x) || p(z)). The KL is estimated from the samples of z.

What changes from vae.py: a model in `models/` may have another prior (`log_prior`, `draw_prior`), or an invertible function,
called a flow, that transforms the sampled z (`flowed`).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper.vae import VAE, Images, Labels, Latents, Samples, Terms, reparameterize


class EstimatedRate(VAE):
    """The VAE of vae.py with an estimated KL. The models with another prior or a flow are its subclasses."""

    rate_is = (
        "an estimate of KL(q(z|x) || p(z)) from sampled z; its expectation is at least the information in z about x, I(x; z)"
    )
    pictures: tuple[str, ...] = ("reconstructions", "samples", "scatter", "interpolation", "curves")

    def log_prior(self, z: Samples) -> Float[Tensor, "K B"]:
        """log p(z)."""
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(2)

    def flowed(self, z: Samples, mu: Latents, logvar: Latents) -> tuple[Samples, Float[Tensor, "K B"]]:
        """Transform z, drawn from N(mu, diag(exp(logvar))), into a sample of q(z|x). Here it stays unchanged. Also returns
        log |det| of the Jacobian."""
        return z, torch.zeros_like(z[..., 0])

    def terms(self, mu: Latents, logvar: Latents, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the ELBO. The rate is one number for all latents together."""
        self.check_noise(eps)
        z, log_det = self.flowed(reparameterize(mu, logvar, eps), mu, logvar)  # (K, B, D), (K, B)
        distortion = self.distortion(z, x, labels)  # (K, B)
        # log q(z|x) = log N(eps; 0, I) - Σ log σ - log |det|
        log_q = -0.5 * (eps.square() + logvar + math.log(2 * math.pi)).sum(2) - log_det
        log_p = self.log_prior(z)
        if log_p.shape != log_q.shape:
            raise ValueError(
                f"log_prior returned {tuple(log_p.shape)}; expected (K, B) = {tuple(log_q.shape)}: sum over the latents"
            )
        log_ratio = log_p - log_q
        rate, log_weight = -log_ratio.mean(0)[:, None], log_ratio - distortion
        return Terms(distortion, rate, log_weight, mu, logvar, z) if self.gaussian_q else Terms(distortion, rate, log_weight, z=z)
