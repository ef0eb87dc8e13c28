"""A VAE whose decoder also sees the pixels before: p(x|z) = Π_i p(x_i | x_<i, z) (Gulrajani et al. 2016, "PixelVAE",
arXiv:1611.05013). It is here to show posterior collapse: what the pixels before can tell, z need not (Bowman et al. 2015).

What changes from vae.py: `before(x)`, a stack of masked convolutions, is added to the decoder's logits.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from vae_numpy.weights import check_latents
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import VAE, Labels

CHANNELS = 16
REACH = 9  # rows above that a logit can see: 3 + 2 + 2 + 2, the halves of the four kernels


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees, of the pixels in reading order, those before (and, but for the first layer, the same one)."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, first: bool = False) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        mask = torch.ones(1, 1, size, size)
        mask[..., size // 2, size // 2 + (0 if first else 1) :] = 0  # to the right
        mask[..., size // 2 + 1 :, :] = 0  # below
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelVAE(VAE):
    """Logits of pixel i: decoder(z)_i + before(x_<i)."""

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1) -> None:
        super().__init__(latent_dim, likelihood, sigma)
        self.before = nn.Sequential(
            MaskedConv2d(1, CHANNELS, 7, first=True),
            nn.ReLU(),
            MaskedConv2d(CHANNELS, CHANNELS, 5),
            nn.ReLU(),
            MaskedConv2d(CHANNELS, CHANNELS, 5),
            nn.ReLU(),
            MaskedConv2d(CHANNELS, 1, 5),
        )

    def distortion(
        self, z: Float[Tensor, "K B D"], x: Float[Tensor, "B 1 28 28"], labels: Labels | None = None
    ) -> Float[Tensor, "K B"]:
        """-log p(x|z) in nats per image: every pixel is told the true ones before it."""
        logits = self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2]) + self.before(x).to(x.dtype)  # (K, B, 1, 28, 28)
        per_pixel = LIKELIHOODS[self.likelihood](logits.flatten(0, 1), x.repeat(len(z), 1, 1, 1), self.log_sigma)
        return per_pixel.sum((1, 2, 3)).view(z.shape[:2])

    def decode(self, z: Float[Tensor, "B D"], labels: Labels | None = None) -> Float[Tensor, "B 1 28 28"]:
        """Not defined: there are no logits of z alone. Use `sample`."""
        raise ValueError("pixel-vae: its logits depend on the pixels drawn before; draw images with PixelVAE.sample")

    @torch.no_grad()
    def sample(self, z: Float[Tensor, "B D"], generator: torch.Generator) -> Float[Tensor, "B 1 28 28"]:
        """Binary images, pixel after pixel (for the likelihood "bernoulli")."""
        check_latents(z, self.latent_dim)
        given = self.decoder(z)
        x = torch.zeros_like(given)
        for i in range(28):
            for j in range(28):
                before = self.before(x[:, :, max(0, i - REACH) : i + 1])[:, :, -1, j]
                x[:, :, i, j] = torch.bernoulli(torch.sigmoid(given[:, :, i, j] + before), generator=generator)
        return x
