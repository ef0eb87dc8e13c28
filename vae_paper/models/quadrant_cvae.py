"""A conditional VAE that completes images (Sohn et al. 2015, section 5.1). It sees 1, 2 or 3 quadrants of an image, x_seen, and
predicts the others, x_unseen.

What changes from vae.py: the prior p(z|x_seen) is learned. The decoder gets the features of x_seen too. The distortion counts
only the unseen pixels. So the ELBO is a lower bound on log p(x_unseen|x_seen).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import MNIST, Decoder, Encoder, Images, Labels, Latents, Model, Samples, Shape, Terms, reparameterize


class QuadrantCVAE(Model):
    """The decoder is p(x_unseen | z, x_seen). The prior p(z|x_seen) is a second encoder (eq. 4, section 4.1)."""

    recordable = True
    drawn_from = None  # the prior needs x_seen: without an image, nothing can be drawn
    prior_of_image = True
    rate_is = "an upper bound on the information in z about x, I(x; z|x_seen)"
    pictures = ("scatter", "rate", "curves", "completions")

    def __init__(
        self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1, image_shape: Shape = MNIST, seen: int = 1
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if seen not in (1, 2, 3):
            raise ValueError(f"seen is {seen}: expected 1, 2 or 3 quadrants")
        if why := LIKELIHOODS[likelihood].whole_batch:
            raise ValueError(f"likelihood is {likelihood}: {why}, so the seen pixels would count too; choose another likelihood")
        self.seen = seen
        self.encoder, self.decoder = Encoder(latent_dim, image_shape), Decoder(latent_dim, image_shape)
        self.prior = Encoder(latent_dim, image_shape)
        self.decoder_seen = nn.Linear(256, 256, bias=False)
        H, W = image_shape[1:]
        mask = torch.zeros(1, 1, H, W)  # 1 where the image is seen
        mask[..., H // 2 :, : W // 2] = 1  # seen = 1: lower left
        mask[..., : H // 2 if seen >= 2 else 0, : W // 2] = 1  # seen = 2: the left half
        mask[..., H // 2 :, W // 2 : W if seen >= 3 else W // 2] = 1  # seen = 3: all but the upper right
        self.mask = nn.Buffer(mask)

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|x), from the whole image."""
        self.check_input(x)
        return self.encoder(x)

    def prior_of(self, x: Images) -> tuple[Latents, Latents, Float[Tensor, "B 256"]]:
        """mu and logvar of p(z|x_seen), and what the decoder gets from x_seen: `decoder_seen` applied to its features."""
        h = self.prior.features(x * self.mask)
        return self.prior.mu(h).to(x.dtype), self.prior.logvar(h).to(x.dtype), self.decoder_seen(h)

    def decode_with(self, z: Samples, seen: Float[Tensor, "B 256"]) -> Float[Tensor, "K B C H W"]:
        """The logits of p(x_unseen | z, x_seen); `seen` comes from `prior_of`."""
        return self.decoder(z.flatten(0, 1), seen.repeat(len(z), 1)).unflatten(0, z.shape[:2])

    def complete(self, x: Images, eps: Samples) -> Float[Tensor, "K B C H W"]:
        """The logits of K completions of each image, with z ~ p(z|x_seen). The unseen pixels of x are not used."""
        self.check_input(x)
        mu, logvar, seen = self.prior_of(x)
        return self.decode_with(reparameterize(mu, logvar, eps), seen)

    def unseen_nats(self, logits: Float[Tensor, "K B C H W"], x: Images) -> Float[Tensor, "K B"]:
        """-log p(x_unseen | z, x_seen) in nats per image."""
        return self.nats(logits, x, 1 - self.mask)

    def terms(self, mu: Latents, logvar: Latents, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the conditional ELBO: E_q[log p(x_unseen|z, x_seen)] - KL(q(z|x) || p(z|x_seen)) (eq. 5)."""
        self.check_noise(eps)
        prior_mu, prior_logvar, seen = self.prior_of(x)
        z = reparameterize(mu, logvar, eps)  # (K, B, D)
        distortion = self.unseen_nats(self.decode_with(z, seen), x)  # (K, B)
        # KL(N(μ, σ²) || N(m, s²)) = ½ (log(s²/σ²) + (σ² + (μ - m)²) / s² - 1)
        gap = logvar - prior_logvar
        rate = 0.5 * ((mu - prior_mu).square() * torch.exp(-prior_logvar) + torch.expm1(gap) - gap)
        # log p(z|x_seen) - log q(z|x)
        log_ratio = 0.5 * (eps**2 + gap - (z - prior_mu).square() * torch.exp(-prior_logvar)).sum(2)
        return Terms(distortion, rate, log_ratio - distortion, mu, logvar, z)

    @property
    def bound(self) -> str | None:
        """log p(x_unseen|x_seen). None if the likelihood is only an objective."""
        return "log p(x_unseen|x_seen)" if super().bound else None

    @property
    def counted(self) -> Float[Tensor, "C H W"]:
        """1 for each unseen pixel."""
        return (1 - self.mask)[0].expand(self.image_shape)
