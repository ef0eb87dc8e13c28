"""A VAE whose posterior is an inverse autoregressive flow (IAF: Kingma et al. 2016, arXiv:1606.04934).
First z is drawn from N(mu, diag(σ²)). Then z goes through steps. A step scales and shifts each latent. For i > 1, the scale
and the shift of latent i depend on latents 1 to i - 1, on mu and on logvar. For latent 1 they are learned constants.

What changes from vae.py: q(z|x). Its latents can be correlated, and their distributions skewed. The Jacobian of a step is
triangular, so log |det| is the sum of the logs of its diagonal. The rate is estimated (estimated_rate.py).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid, relu

from vae_paper.estimated_rate import EstimatedRate
from vae_paper.vae import MNIST, Images, Labels, Latents, Samples, Shape, reparameterize


class Step(nn.Module):
    """One step (eq. 10 to 14 of the paper): z ← g ⊙ z + (1 - g) ⊙ m, with g = sigmoid(s).

    A network with one hidden layer computes m_i and s_i from z_1 ... z_(i-1), mu and logvar. Masks on its weights hide the
    other latents (MADE: Germain et al. 2015, arXiv:1502.03509). Each hidden unit has a degree d from 1 to D - 1. It sees
    z_1 ... z_d. Output i sees the hidden units whose degree is below i. So output 1 sees none: m_1 and s_1 are constants.
    """

    def __init__(self, latent_dim: int, hidden: int) -> None:
        super().__init__()
        inputs, degrees = torch.arange(1, latent_dim + 1), torch.arange(hidden) % max(1, latent_dim - 1) + 1
        self.before = nn.Buffer((degrees[:, None] >= inputs).float(), persistent=False)  # (hidden, D)
        self.after = nn.Buffer((inputs[:, None] > degrees).float().repeat(2, 1), persistent=False)  # (2 D, hidden)
        self.first = nn.Linear(latent_dim, hidden)
        self.context = nn.Linear(2 * latent_dim, hidden, bias=False)
        self.last = nn.Linear(hidden, 2 * latent_dim)
        nn.init.zeros_(self.last.weight)  # at first m = 0 and g = sigmoid(2) = 0.88: a step is z ← 0.88 z
        nn.init.zeros_(self.last.bias)

    def forward(self, z: Samples, context: Float[Tensor, "B 2*D"]) -> tuple[Samples, Float[Tensor, "K B"]]:
        """The new z, and log |det| of the step: the sum of log g."""
        h = relu(linear(z, self.first.weight * self.before, self.first.bias) + self.context(context))  # (K, B, hidden)
        m, s = linear(h, self.last.weight * self.after, self.last.bias).to(z.dtype).chunk(2, dim=-1)  # (K, B, D)
        s = s + 2
        return torch.sigmoid(s) * z + torch.sigmoid(-s) * m, logsigmoid(s).sum(-1)


class IAF(EstimatedRate):
    """q(z|x) has `steps` steps. The network of each has `hidden` hidden units. The latents are reversed after each step."""

    gaussian_q = False
    recordable = True
    pictures = ("reconstructions", "samples", "manifold", "curves", "animation")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        steps: int = 2,
        hidden: int = 128,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if min(steps, hidden) < 1:
            raise ValueError(f"steps, hidden are {steps}, {hidden}: expected at least 1")
        self.steps, self.hidden = steps, hidden
        self.flow = nn.ModuleList(Step(latent_dim, hidden) for _ in range(steps))

    def flowed(self, z: Samples, mu: Latents, logvar: Latents) -> tuple[Samples, Float[Tensor, "K B"]]:
        """z after all steps, and the sum of their log |det|."""
        context, log_det = torch.cat([mu, logvar], dim=1), torch.zeros_like(z[..., 0])
        for step in self.flow:
            z, of_step = step(z, context)
            z, log_det = z.flip(-1), log_det + of_step
        return z, log_det

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat of two samples of q(z|x). (There is no x_hat of mu, because mu is not the mean of this q.)"""
        mu, logvar = self.encode(x, labels)
        eps = torch.randn(2, *mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        z, _ = self.flowed(reparameterize(mu, logvar, eps), mu, logvar)
        return {f"x̂ of z ~ q(z|x), {k + 1}": torch.sigmoid(self.decode(z[k], labels)) for k in range(2)}
