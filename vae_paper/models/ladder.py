"""A VAE with two layers of latents, z2 -> z1 -> x: a ladder VAE (Sønderby et al. 2016, arXiv:1602.02282).

What changes from vae.py: the prior of z1 is a learned Gaussian p(z1|z2). q(z1|x, z2) is the product of this prior and the
encoder's Gaussian for z1, normalised. So the encoder only corrects what z2 predicts about z1. See docs/hierarchy.md.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from vae_numpy.checks import check_latents
from vae_paper.vae import (
    MNIST,
    Decoder,
    Encoder,
    Images,
    Labels,
    Latents,
    Model,
    Samples,
    Shape,
    Terms,
    kl_per_latent,
    reparameterize,
)


class Ladder(Model):
    """z is (z1, z2). The last `top` of the D latents are z2; top = 0 means a third of D
    (rounded down, at least 1).

    Each of two networks has one hidden layer of `hidden` units: `above` maps the encoder's features to q(z2|x), and `below`
    maps z2 to p(z1|z2).
    """

    gaussian_q = False
    drawn_from = "z2 ~ N(0, I), z1 ~ p(z1|z2)"
    rate_is = "KL(q(z1|x, z2) || p(z1|z2)) + KL(q(z2|x) || p(z2)); in expectation an upper bound on the information I(x; z)"
    recordable = True
    pictures = ("reconstructions", "samples", "curves")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        top: int = 0,
        hidden: int = 128,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if latent_dim < 2 or not 0 <= top < latent_dim or hidden < 1:
            raise ValueError(
                f"latent_dim, top, hidden are {latent_dim}, {top}, {hidden}: expected at least 2, 0 to D - 1, at least 1"
            )
        self.top, self.hidden = top or max(1, latent_dim // 3), hidden
        self.bottom = latent_dim - self.top  # number of latents in z1
        self.encoder, self.decoder = Encoder(self.bottom, image_shape), Decoder(self.bottom, image_shape)
        self.above = nn.Sequential(nn.Linear(256, hidden), nn.ReLU(), nn.Linear(hidden, 2 * self.top))
        self.below = nn.Sequential(nn.Linear(self.top, hidden), nn.ReLU(), nn.Linear(hidden, 2 * self.bottom))

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar for (z1, z2). For z1: the encoder's Gaussian, which `terms` multiplies by p(z1|z2). For z2: q(z2|x)."""
        self.check_input(x)
        h = self.encoder.features(x)  # (B, 256)
        mu2, logvar2 = self.above(h).chunk(2, dim=1)
        mu, logvar = torch.cat([self.encoder.mu(h), mu2], dim=1), torch.cat([self.encoder.logvar(h), logvar2], dim=1)
        return mu.to(x.dtype), logvar.to(x.dtype)  # (B, D) each; `.to` matters under autocast only

    def decode(self, z: Latents, labels: Labels | None = None) -> Images:
        """The logits of p(x|z1)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z[:, : self.bottom])

    def prior_of_z1(self, z2: Float[Tensor, "*N top"]) -> tuple[Float[Tensor, "*N bottom"], Float[Tensor, "*N bottom"]]:
        """mu and logvar of p(z1|z2)."""
        mu, logvar = self.below(z2).to(z2.dtype).chunk(2, dim=-1)
        return mu, logvar

    def terms(self, mu: Latents, logvar: Latents, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the ELBO. The rate has two numbers per image: one for z1, one for z2."""
        self.check_noise(eps)
        mu1, mu2 = mu.split([self.bottom, self.top], dim=1)
        logvar1, logvar2 = logvar.split([self.bottom, self.top], dim=1)
        eps1, eps2 = eps.split([self.bottom, self.top], dim=2)
        z2 = reparameterize(mu2, logvar2, eps2)  # (K, B, top)
        mu_p, logvar_p = self.prior_of_z1(z2)  # (K, B, bottom)
        # The product of two Gaussians (eq. 11, 12): precisions (1 / variance) add up, and are the weights of the means. The
        # weight of mu1 is precision1 / (precision1 + precision_p) = sigmoid(logvar_p - logvar1)
        mu_q = mu_p + torch.sigmoid(logvar_p - logvar1) * (mu1 - mu_p)
        log_ratio = -softplus(logvar_p - logvar1)  # log (var_q / var_p), at most 0: q is never wider than p
        sigma_p = torch.exp(0.5 * logvar_p)
        u = (mu_q - mu_p) / sigma_p + torch.exp(0.5 * log_ratio) * eps1  # this is (z1 - mu_p) / sigma_p
        z = torch.cat([mu_p + sigma_p * u, z2], dim=2)
        distortion = self.distortion(z, x, labels)  # (K, B)
        # u is z1, shifted and scaled: this changes neither the KL nor log p - log q. The prior of u is N(0, I)
        rate1 = kl_per_latent(((mu_q - mu_p) / sigma_p).flatten(0, 1), log_ratio.flatten(0, 1)).sum(1).view(distortion.shape)
        rate = torch.stack([rate1.mean(0), kl_per_latent(mu2, logvar2).sum(1)], dim=1)  # (B, 2)
        of_z1 = 0.5 * (eps1.square() + log_ratio - u.square()).sum(2)
        of_z2 = 0.5 * (eps2.square() + logvar2 - z2.square()).sum(2)
        return Terms(distortion, rate, of_z1 + of_z2 - distortion, z=z)

    def draw_prior(self, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
        """`count` latents: z2 ~ N(0, I), then z1 ~ p(z1|z2)."""
        eps1, z2 = super().draw_prior(count, generator).split([self.bottom, self.top], dim=1)
        mu, logvar = self.prior_of_z1(z2)
        return torch.cat([reparameterize(mu, logvar, eps1), z2], dim=1)

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat of a sample (z1, z2) of q(z|x), and x_hat of the mean of p(z1|z2). The second shows what z2 alone says of x."""
        eps = torch.randn(1, len(x), self.latent_dim, generator=generator, device=x.device, dtype=x.dtype)
        z = self(x, eps).z[0]
        mu, _ = self.prior_of_z1(z[:, self.bottom :])
        from_above = torch.cat([mu, z[:, self.bottom :]], dim=1)
        return {"x̂ of z ~ q(z|x)": torch.sigmoid(self.decode(z)), "x̂ of E[z1|z2]": torch.sigmoid(self.decode(from_above))}
