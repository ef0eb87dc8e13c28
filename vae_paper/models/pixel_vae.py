"""A VAE whose decoder also sees earlier pixels, in reading order: p(x|z) = Π_i p(x_i | x_<i, z) (Gulrajani et al. 2016,
"PixelVAE", arXiv:1611.05013). This model shows posterior collapse: if the earlier pixels predict a pixel, z needs no
information about this pixel (Bowman et al. 2015).

What changes from vae.py: the logits of `before`, a stack of masked convolutions over x, are added to the decoder's logits.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from vae_numpy.checks import check_latents
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import MNIST, Decoder, Encoder, Images, Labels, Latents, Model, Samples, Shape

CHANNELS = 16
DILATIONS = (1, 2, 4, 8)  # of the layers after the first; dilated kernels reach far with few weights
REACH = 3 + sum(DILATIONS)  # a logit sees at most REACH rows above its own; the first kernel, 7x7, gives 3


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees no later position, in reading order. With `first`, it does not see its own position either."""

    def __init__(self, inputs: int, outputs: int, size: int, dilation: int = 1, first: bool = False) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2 * dilation, dilation=dilation)
        mask = torch.ones(1, 1, size, size)
        mask[..., size // 2, size // 2 + (0 if first else 1) :] = 0  # to the right; in the first layer, also its own position
        mask[..., size // 2 + 1 :, :] = 0  # below
        self.mask = nn.Buffer(mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.padding, dilation=self.dilation)


class Before(nn.Module):
    """The logits of each pixel, computed from earlier pixels. The decoder's logits are added to them."""

    def __init__(self, image_shape: Shape = MNIST) -> None:
        super().__init__()
        C, H, W = image_shape
        self.first = MaskedConv2d(C, CHANNELS, 7, first=True)
        # A convolution does not know the position of a pixel. Digits are centred, so the position says much about a pixel.
        # `where` gives the position to the layers. Then z does not need this information.
        self.where = nn.Parameter(torch.zeros(CHANNELS, H, W))
        self.layers = nn.ModuleList(MaskedConv2d(CHANNELS, CHANNELS, 3, dilation) for dilation in DILATIONS)
        self.out = nn.Conv2d(CHANNELS, C, 1)

    def forward(self, x: Float[Tensor, "B C rows W"], top: int = 0) -> Float[Tensor, "B C rows W"]:
        """The logits of x. x holds whole images (`top` = 0), or some of their rows: then `top` is the index of the first one.

        If `top` > 0, the first REACH rows of the result are wrong, because the rows above them are missing.
        """
        h = self.first(x) + self.where[:, top : top + x.shape[2]]  # (B, 16, rows, W)
        for layer in self.layers:
            h = h + layer(relu(h))
        return self.out(relu(h))  # (B, C, rows, W)


class PixelVAE(Model):
    """The logits of pixel i are decoder(z)_i + before(x_<i). Given these, the channels of a pixel are independent."""

    pixels_drawn = True
    recordable = True
    pictures: tuple[str, ...] = ("samples", "scatter", "rate", "curves", "shared-latents")

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1, image_shape: Shape = MNIST) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        self.encoder, self.decoder = Encoder(latent_dim, image_shape), Decoder(latent_dim, image_shape)
        self.before = Before(image_shape)
        if not LIKELIHOODS[likelihood].normalised:
            self.drawn_from, self.pictures = None, ("scatter", "rate", "curves")  # no likelihood: no pixel can be drawn

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|x)."""
        self.check_input(x)
        return self.encoder(x)

    def distortion(self, z: Samples, x: Images, labels: Labels | None = None) -> Float[Tensor, "K B"]:
        """-log p(x|z) in nats per image: each pixel is predicted from z and from the true earlier pixels."""
        check_latents(z.flatten(0, 1), self.latent_dim)
        logits = self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2]) + self.before(x).to(x.dtype)  # (K, B, C, H, W)
        return self.nats(logits, x)

    @torch.no_grad()
    def images_of(self, z: Latents, labels: Labels | None, generator: torch.Generator, noise: bool = True) -> Images:
        """One image for each z. Pixels are always drawn, one by one: each depends on earlier pixels. `noise` has no effect.

        ValueError if the likelihood is only an objective.
        """
        check_latents(z, self.latent_dim)
        draw = LIKELIHOODS[self.likelihood].draw
        if draw is None:
            hint = "train with --likelihood bernoulli"
            raise ValueError(f"pixel-vae: {self.likelihood} is no likelihood, so pixels cannot be drawn from it; {hint}")
        given = self.decoder(z)
        x = torch.zeros_like(given)
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                top = max(0, i - REACH)
                before = self.before(x[:, :, top : i + 1], top)[:, :, -1, j]
                x[:, :, i, j] = draw(given[:, :, i, j] + before, self.log_sigma, generator)
        return x
