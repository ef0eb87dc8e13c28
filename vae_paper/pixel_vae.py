"""A VAE whose decoder also sees the pixels before: p(x|z) = Π_i p(x_i | x_<i, z) (Gulrajani et al. 2016, "PixelVAE",
arXiv:1611.05013). It is here to show posterior collapse: what the pixels before can tell, z need not (Bowman et al. 2015).

What changes from vae.py: the logits of `before`, a stack of masked convolutions over x, are added to the decoder's.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from vae_numpy.checks import check_latents
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import VAE, Labels

CHANNELS = 16
DILATIONS = (1, 2, 4, 8)  # of the layers after the first: with few weights a logit sees most of the image before it
REACH = 3 + sum(DILATIONS)  # rows above, and columns to either side, that it sees: half of the first kernel is 3


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees, of the pixels in reading order, those before (and, but for the first layer, the same one)."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1, first: bool = False) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2 * dilation, dilation=dilation)
        mask = torch.ones(1, 1, size, size)
        mask[..., size // 2, size // 2 + (0 if first else 1) :] = 0  # to the right
        mask[..., size // 2 + 1 :, :] = 0  # below
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.padding, dilation=self.dilation)


class Before(nn.Module):
    """What the pixels before say of each pixel: a logit, added to the decoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = MaskedConv2d(1, CHANNELS, 7, first=True)
        # A convolution does not know where it is. Digits are centred: where a pixel is, z need not tell either.
        self.where = nn.Parameter(torch.zeros(CHANNELS, 28, 28))
        self.layers = nn.ModuleList(MaskedConv2d(CHANNELS, CHANNELS, 3, dilation) for dilation in DILATIONS)
        self.out = nn.Conv2d(CHANNELS, 1, 1)

    def forward(self, x: Float[Tensor, "B 1 H 28"], top: int = 0) -> Float[Tensor, "B 1 H 28"]:
        """Of H rows, the first of which is the image's row `top`."""
        h = self.first(x) + self.where[:, top : top + x.shape[2]]  # (B, C, H, 28)
        for layer in self.layers:
            h = h + layer(relu(h))
        return self.out(relu(h))  # (B, 1, H, 28)


class PixelVAE(VAE):
    """Logits of pixel i: decoder(z)_i + before(x_<i)."""

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1) -> None:
        super().__init__(latent_dim, likelihood, sigma)
        self.before = Before()

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
                top = max(0, i - REACH)
                before = self.before(x[:, :, top : i + 1], top)[:, :, -1, j]
                x[:, :, i, j] = torch.bernoulli(torch.sigmoid(given[:, :, i, j] + before), generator=generator)
        return x
