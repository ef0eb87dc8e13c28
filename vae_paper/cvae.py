"""Conditional VAEs (Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative
Models"): q(z|x, c) and p(x|z, c), as differences from vae.py.

CVAE is conditioned on the label, with the prior N(0, I); QuadrantCVAE on a part of the image, with a learned prior.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from vae_numpy.checks import check_images, check_labels, check_latents
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import VAE, Encoder, Labels, Terms, reparameterize

CLASSES = 10


class CVAE(VAE):
    """The label enters encoder and decoder: fc(concat[h, one_hot(c)]) = W h + V one_hot(c) + b, with V kept apart.

    So the shared parameters keep their names and shapes, and at V = 0 this is the VAE.
    """

    takes_labels = True

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1) -> None:
        super().__init__(latent_dim, likelihood, sigma)
        self.encoder_label = nn.Linear(CLASSES, 256, bias=False)
        self.decoder_label = nn.Linear(CLASSES, 256, bias=False)

    def encode(
        self, x: Float[Tensor, "B 1 28 28"], labels: Labels | None = None
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """mu and logvar of q(z|x, c)."""
        check_images(x)
        return self.encoder(x, self.encoder_label(_one_hot(labels, x)))

    def decode(self, z: Float[Tensor, "B D"], labels: Labels | None = None) -> Float[Tensor, "B 1 28 28"]:
        """The logits of p(x|z, c)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z, self.decoder_label(_one_hot(labels, z)))


class QuadrantCVAE(VAE):
    """Completes an image of which 1, 2 or 3 quadrants are seen: the rest is drawn from p(x_rest | z, x_seen).

    The prior p(z|x_seen) is learned, by an encoder of its own (eq. 4 and section 4.1); its features also condition the
    decoder. Distortion is counted over the unseen pixels, so the ELBO bounds log p(x_rest | x_seen).
    """

    mask: Tensor  # (1, 1, 28, 28), 1 where the image is seen

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1, seen: int = 1) -> None:
        super().__init__(latent_dim, likelihood, sigma)
        self.prior = Encoder(latent_dim)
        self.decoder_seen = nn.Linear(256, 256, bias=False)
        if seen not in (1, 2, 3):
            raise ValueError(f"seen is {seen}: expected 1, 2 or 3 quadrants")
        mask = torch.zeros(1, 1, 28, 28)
        mask[..., 14:, :14] = 1  # 1: lower left
        mask[..., : 14 if seen >= 2 else 0, :14] = 1  # 2: the left half
        mask[..., 14:, 14 : 28 if seen >= 3 else 14] = 1  # 3: all but the upper right
        self.register_buffer("mask", mask)

    def prior_of(self, x: Float[Tensor, "B 1 28 28"]) -> tuple[Tensor, Tensor, Tensor]:
        """mu and logvar of p(z|x_seen), and what the decoder is told of x_seen (B, 256)."""
        h = self.prior.features(x * self.mask)
        return self.prior.mu(h).to(x.dtype), self.prior.logvar(h).to(x.dtype), self.decoder_seen(h)

    def decode(self, z: Float[Tensor, "B D"], labels: Labels | None = None) -> Float[Tensor, "B 1 28 28"]:
        """Not defined: there are no logits of z alone. Use `complete`."""
        raise ValueError("quadrant-cvae: its logits depend on what is seen; draw images with QuadrantCVAE.complete")

    def complete(self, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "K B D"]) -> Float[Tensor, "K B 1 28 28"]:
        """Logits of K completions of each image, with z from the learned prior; only x's seen quadrants are used."""
        check_images(x)
        mu, logvar, told = self.prior_of(x)
        z = reparameterize(mu, logvar, eps)
        return self.decoder(z.flatten(0, 1), told.repeat(len(z), 1)).unflatten(0, z.shape[:2])

    def unseen_nats(self, logits: Float[Tensor, "K B 1 28 28"], x: Float[Tensor, "B 1 28 28"]) -> Float[Tensor, "K B"]:
        """-log p(x_rest | z, x_seen) in nats per image."""
        per_pixel = LIKELIHOODS[self.likelihood](logits.flatten(0, 1), x.repeat(len(logits), 1, 1, 1), self.log_sigma)
        return (per_pixel * (1 - self.mask)).sum((1, 2, 3)).view(logits.shape[:2])

    def forward(self, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "K B D"], labels: Labels | None = None) -> Terms:
        """The terms of the conditional ELBO: E_q[log p(x_rest|z, x_seen)] - KL(q(z|x) || p(z|x_seen)) (eq. 5)."""
        mu, logvar = self.encode(x)
        prior_mu, prior_logvar, told = self.prior_of(x)
        z = reparameterize(mu, logvar, eps)  # (K, B, D)
        logits = self.decoder(z.flatten(0, 1), told.repeat(len(z), 1)).unflatten(0, z.shape[:2])
        distortion = self.unseen_nats(logits, x)  # (K, B)
        # KL(N(μ, σ²) || N(m, s²)) = ½ (log s²/σ² + (σ² + (μ - m)²) / s² - 1)
        gap = logvar - prior_logvar
        rate = 0.5 * ((mu - prior_mu).square() * torch.exp(-prior_logvar) + torch.expm1(gap) - gap)
        # log p(z|x_seen) - log q(z|x)
        log_ratio = 0.5 * (eps**2 + gap - (z - prior_mu).square() * torch.exp(-prior_logvar)).sum(2)
        return Terms(distortion, rate, log_ratio - distortion)


def _one_hot(labels: Labels | None, like: Tensor) -> Tensor:
    if labels is None:
        raise ValueError(f"labels: this model is conditioned on them; expected {len(like)}, found none")
    check_labels(labels, len(like))
    return one_hot(labels, CLASSES).to(like.dtype)
