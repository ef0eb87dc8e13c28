"""A VAE with a flow as its prior: z = f⁻¹(u) with u ~ N(0, I) and an invertible network f (Real NVP: Dinh et al. 2017,
arXiv:1605.08803). log p(z) = log N(f(z); 0, I) + log |det ∂f/∂z|, eq. 2.

What changes from vae.py: the prior. It starts as N(0, I), because f starts as a permutation.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_paper.estimated_rate import EstimatedRate
from vae_paper.vae import MNIST, Samples, Shape


class Coupling(nn.Module):
    """An affine coupling (eq. 4): one part of z stays, and scales and moves the other. Then the order is reversed."""

    def __init__(self, latent_dim: int, hidden: int) -> None:
        super().__init__()
        self.kept = latent_dim // 2
        last = nn.Linear(hidden, 2 * (latent_dim - self.kept))
        nn.init.zeros_(last.weight)  # scale 1, shift 0: at first the layer changes nothing
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(nn.Linear(self.kept, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """log s and t for the part that changes. tanh keeps the scale between 1/e and e."""
        log_s, t = self.net(kept).chunk(2, dim=-1)
        return torch.tanh(log_s), t

    def forward(self, z: Float[Tensor, "*N D"]) -> tuple[Float[Tensor, "*N D"], Float[Tensor, "*N"]]:
        """f(z), and log |det ∂f/∂z|, which is the sum of log s."""
        kept, rest = z[..., : self.kept], z[..., self.kept :]
        log_s, t = self.scale_and_shift(kept)
        return torch.cat([kept, rest * torch.exp(log_s) + t], dim=-1).flip(-1), log_s.sum(-1)

    def inverse(self, u: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
        """f⁻¹(u)."""
        u = u.flip(-1)
        kept, rest = u[..., : self.kept], u[..., self.kept :]
        log_s, t = self.scale_and_shift(kept)
        return torch.cat([kept, (rest - t) * torch.exp(-log_s)], dim=-1)


class FlowPrior(EstimatedRate):
    """`couplings` layers, whose networks have two hidden layers of `hidden` units. D is at least 2."""

    drawn_from = "z ~ a Real NVP flow of N(0, I)"
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
        """`count` latents: f⁻¹(u) of samples u of N(0, I)."""
        z = super().draw_prior(count, generator)
        layers: Any = reversed(self.flow)
        for coupling in layers:
            z = coupling.inverse(z)
        return z
