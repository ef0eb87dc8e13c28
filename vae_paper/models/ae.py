"""The plain autoencoder: no noise, no prior. z = mu(x), and the loss is the distortion alone.

What changes from vae.py: the encoder has no logvar, the rate is 0, and the ELBO is not a bound.
"""

from typing import ClassVar

import torch

from vae_numpy.checks import check_latents
from vae_paper.vae import MNIST, WIDTH, Decoder, Encoder, Images, Labels, Latents, Model, Samples, Shape, Terms


class AE(Model):
    """An autoencoder with the VAE's layers. `sample` decodes z ~ N(0, I), but the decoder was not trained on such z."""

    gaussian_q = False
    drawn_from = None
    recordable = True
    bound = None  # without a prior there is no p(x)
    rate_is = "0 by definition: an autoencoder has no noise and no prior"
    fixed_options: ClassVar = dict.fromkeys(("beta", "beta_schedule", "objective"), "an autoencoder has no rate") | {
        "samples": "an autoencoder has no noise"
    }
    pictures = ("reconstructions", "samples", "scatter", "interpolation", "curves", "side-by-side")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        width: int = WIDTH,
        depth: int = 0,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        self.width, self.depth = width, depth
        self.encoder = Encoder(latent_dim, image_shape, width, depth)
        self.decoder = Decoder(latent_dim, image_shape, width, depth)
        del self.encoder.logvar

    def code(self, x: Images) -> Latents:
        """z = mu(x)."""
        self.check_input(x)
        return self.encoder.mu(self.encoder.features(x)).to(x.dtype)

    def decode(self, z: Latents, labels: Labels | None = None) -> Images:
        """The logits of x_hat."""
        check_latents(z, self.latent_dim)
        return self.decoder(z)

    def forward(self, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The distortion at z = mu(x). eps is not used."""
        mu = self.code(x)
        distortion = self.distortion(mu[None], x)  # (1, B)
        return Terms(distortion, torch.zeros_like(mu), -distortion, mu, z=mu[None])

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat, decoded from z = mu(x)."""
        return {"x̂ of μ": torch.sigmoid(self.decode(self.code(x)))}
