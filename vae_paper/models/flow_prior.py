"""A VAE whose prior is a normalising flow (Real NVP: Dinh et al. 2017, arXiv:1605.08803). A flow is an invertible network f.

A sample of the prior is z = f⁻¹(u), with u ~ N(0, I). So log p(z) = log N(f(z); 0, I) + log |det ∂f/∂z| (eq. 2).

What changes from vae.py: the prior. The rate is estimated (estimated_rate.py). At first f only changes the order of the
latents, so the prior starts as N(0, I).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_paper.estimated_rate import EstimatedRate
from vae_paper.vae import MNIST, Samples, Shape


class Coupling(nn.Module):
    """An affine coupling layer (eq. 4). A network reads the first part of z, and gives a scale and a shift for the second part.

    The first part keeps its values. At the end the order of the latents is reversed, so that the next layer changes this part.
    """

    def __init__(self, latent_dim: int, hidden: int) -> None:
        super().__init__()
        self.kept = latent_dim // 2
        last = nn.Linear(hidden, 2 * (latent_dim - self.kept))
        nn.init.zeros_(last.weight)  # at first the scale is 1 and the shift is 0
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(self.kept, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """log s and t: the log scale and the shift of the second part. tanh keeps s between 1/e and e."""
        log_s, t = self.net(kept).to(kept.dtype).chunk(2, dim=-1)
        return torch.tanh(log_s), t

    def forward(self, z: Float[Tensor, "*N D"]) -> tuple[Float[Tensor, "*N D"], Float[Tensor, "*N"]]:
        """The layer's output u, and log |det ∂u/∂z|: the sum of log s."""
        kept, rest = z[..., : self.kept], z[..., self.kept :]
        log_s, t = self.scale_and_shift(kept)
        return torch.cat([kept, rest * torch.exp(log_s) + t], dim=-1).flip(-1), log_s.sum(-1)

    def inverse(self, u: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """The z whose output is u."""
        u = u.flip(-1)
        kept, rest = u[..., : self.kept], u[..., self.kept :]
        log_s, t = self.scale_and_shift(kept)
        return torch.cat([kept, (rest - t) * torch.exp(-log_s)], dim=-1)


class FlowPrior(EstimatedRate):
    """The flow has `couplings` layers. The network of each has two hidden layers of `hidden` units. D is at least 2."""

    drawn_from = "z ~ the learned prior, a Real NVP flow"
    recordable = True

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        couplings: int = 6,
        hidden: int = 128,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if min(couplings, hidden) < 1 or latent_dim < 2:
            raise ValueError(f"latent_dim, couplings, hidden are {latent_dim}, {couplings}, {hidden}: expected at least 2, 1, 1")
        self.couplings, self.hidden = couplings, hidden
        self.flow = nn.ModuleList(Coupling(latent_dim, hidden) for _ in range(couplings))

    def log_prior(self, z: Samples) -> Float[Tensor, "K B"]:
        """log p(z)."""
        log_det = torch.zeros_like(z[..., 0])
        for coupling in self.flow:
            z, of_layer = coupling(z)
            log_det = log_det + of_layer
        return log_det + super().log_prior(z)

    def draw_prior(self, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
        """`count` latents: z = f⁻¹(u), with u ~ N(0, I)."""
        z = super().draw_prior(count, generator)
        layers: Any = reversed(self.flow)
        for coupling in layers:
            z = coupling.inverse(z)
        return z
