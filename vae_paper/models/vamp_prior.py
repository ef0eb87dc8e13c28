"""A VAE with a VampPrior (Tomczak & Welling 2018, arXiv:1705.07120, eq. 9): p(z) = 1/M Σ_m q(z|u_m), with the
VAE's own encoder q. The M images u_m are learned. They are called pseudo-inputs.

What changes from vae.py: the prior. For a given encoder and decoder, the best prior is the mean of q(z|x) over all training
images: it gives the largest mean ELBO. Here a few hundred learned images take the place of the training images. The rate is
estimated (estimated_rate.py).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_paper.estimated_rate import EstimatedRate
from vae_paper.vae import MNIST, Latents, Samples, Shape, reparameterize


class VampPrior(EstimatedRate):
    """`inputs` is M, the number of pseudo-inputs. A pseudo-input is an image: the sigmoid of learned parameters."""

    drawn_from = "z ~ q(z|u), u a random pseudo-input"
    recordable = True

    def __init__(
        self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1, image_shape: Shape = MNIST, inputs: int = 200
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if inputs < 1:
            raise ValueError(f"inputs is {inputs}: expected at least 1")
        self.inputs = inputs
        self.logits = nn.Parameter(torch.randn(inputs, *image_shape) - 2)  # at first, half of the pixels are below 0.12

    def components(self) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|u_m), (M, D) each."""
        return self.encode(torch.sigmoid(self.logits))

    def log_prior(self, z: Samples) -> Float[Tensor, "K B"]:
        """log p(z) = log(1/M Σ_m q(z|u_m))."""
        mu, logvar = self.components()  # (M, D)
        off = (z[..., None, :] - mu).square() * torch.exp(-logvar)  # (K, B, M, D)
        log_q = -0.5 * (off + logvar + math.log(2 * math.pi)).sum(-1)  # (K, B, M)
        return log_q.logsumexp(-1) - math.log(self.inputs)

    def draw_prior(self, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
        """`count` latents: a random pseudo-input u for each, then z ~ q(z|u)."""
        mu, logvar = self.components()
        chosen = torch.randint(self.inputs, (count,), generator=generator, device=generator.device)
        return reparameterize(mu[chosen], logvar[chosen], super().draw_prior(count, generator))
