"""Oracles: models whose log p(x), ELBO and information are known exactly. The estimators are tested on them.

All distributions of `LinearVAE` are Gaussian. Its exact values come from formulas, for given images and as expectations over
x ~ p(x). `GridVAE` has this library's decoder, with one latent. Its exact values are sums over a grid of z, for given images.
Both use float64. Values are in nats per image.

Legend: N images, D latent size, G points of a grid.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from vae_numpy.vae import init_params
from vae_paper.data import Data
from vae_paper.vae import VAE, Labels, Model, kl_per_latent

Images = Float[Tensor, "N 1 28 28"]
SIGMA = 0.7


class LinearVAE(Model):
    """Probabilistic PCA (Tipping & Bishop 1999): z ~ N(0, I), p(x|z) = N(W z + b, sigma²), D = 3.

    The posterior is N(m(x), P⁻¹) with P = I + WᵀW / sigma², m = P⁻¹ Wᵀ(x - b) / sigma². If the columns of W are orthogonal, P is
    diagonal, and a factorised q can be the posterior. With `correlated` they are not orthogonal, and no factorised q is the
    posterior. With `exact` the encoder gives the best factorised q, N(m, diag(1 / P_jj)). Otherwise mu and logvar differ
    from it by known amounts.
    """

    def __init__(self, exact: bool = True, correlated: bool = False) -> None:
        super().__init__(latent_dim=3, likelihood="gaussian", sigma=SIGMA)
        generator = torch.Generator().manual_seed(0)
        q, _ = torch.linalg.qr(torch.randn(784, 3, generator=generator, dtype=torch.float64))
        self.W = q * torch.tensor([3.0, 1.0, 0.4], dtype=torch.float64)
        if correlated:
            self.W[:, 1] += 0.5 * self.W[:, 0]
        self.b = torch.rand(784, generator=generator, dtype=torch.float64)
        right, wrong = (1.0, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]), (0.8, [0.3, 0.3, 0.3], [0.5, -0.4, 0.1])
        self.scale, shift, stretch = right if exact else wrong
        self.shift, self.stretch = torch.tensor([shift, stretch], dtype=torch.float64)

    @property
    def precision(self) -> Float[Tensor, "D D"]:
        """P, the inverse of the posterior's covariance."""
        return torch.eye(3, dtype=torch.float64) + self.W.T @ self.W / SIGMA**2

    def posterior_mean(self, x: Images) -> Float[Tensor, "N D"]:
        """m(x), the mean of the posterior."""
        return torch.linalg.solve(self.precision, self.W.T @ (x.flatten(1) - self.b).T / SIGMA**2).T

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
        """mu and logvar of q(z|x)."""
        logvar = self.stretch - self.precision.diagonal().log()
        return self.scale * self.posterior_mean(x) + self.shift, logvar.expand(len(x), 3)

    def distortion(self, z: Float[Tensor, "K N D"], x: Images, labels: Labels | None = None) -> Float[Tensor, "K N"]:
        """-log p(x|z). The square is expanded: then a sample of z costs about D² operations instead of 784 D."""
        rest = x.flatten(1) - self.b
        # |x - b - W z|² = |x - b|² - 2 (x - b)ᵀ W z + zᵀ WᵀW z
        square = rest.square().sum(1) - 2 * (rest @ self.W * z).sum(2) + (z @ (self.W.T @ self.W) * z).sum(2)
        return square / (2 * SIGMA**2) + 392 * math.log(2 * math.pi * SIGMA**2)

    def drawn(self, count: int, seed: int = 0) -> Data:
        """Images x ~ p(x). NumPy draws the noise: with torch and the same seed it could equal an estimator's eps."""
        rng = np.random.default_rng(seed)
        z, noise = (torch.from_numpy(rng.standard_normal((count, d))) for d in (3, 784))
        x = (z @ self.W.T + self.b + SIGMA * noise).view(-1, 1, 28, 28)
        return Data(x, about=f"{count:,} samples of a linear-Gaussian model")

    def marginal(self) -> MultivariateNormal:
        """p(x) = N(b, W Wᵀ + sigma² I)."""
        return MultivariateNormal(self.b, self.W @ self.W.T + SIGMA**2 * torch.eye(784, dtype=torch.float64))

    def log_p(self, x: Images) -> Float[Tensor, " N"]:
        """log p(x)."""
        return self.marginal().log_prob(x.flatten(1))

    def gap(self, x: Images) -> Float[Tensor, " N"]:
        """log p(x) - ELBO(x) = KL(q(z|x) || p(z|x))."""
        mu, logvar = self.encode(x)
        off = mu - self.posterior_mean(x)
        # ½ [tr(P S) + δᵀ P δ - D - log det(P S)],  S = diag(exp(logvar)),  δ = mu - m
        trace = (logvar.exp() * self.precision.diagonal()).sum(1) + ((off @ self.precision) * off).sum(1)
        return 0.5 * (trace - 3 - self.precision.logdet() - logvar.sum(1))

    def known(self) -> dict[str, float]:
        """Expectations over x ~ p(x): ELBO, -log p(x), rate, and the two parts of the rate, I(x; z) and KL(q(z) || p(z))."""
        P = self.precision
        S = (self.stretch - P.diagonal().log()).exp().diag()
        # if x ~ p(x), then m ~ N(0, I - P⁻¹), and so q(z) = N(shift, scale² (I - P⁻¹) + S)
        spread = torch.eye(3, dtype=P.dtype) - P.inverse()
        q = MultivariateNormal(self.shift, self.scale**2 * spread + S)
        aggregate = kl_divergence(q, MultivariateNormal(torch.zeros_like(self.shift), torch.eye(3, dtype=P.dtype)))
        information = 0.5 * (q.covariance_matrix.logdet() - S.logdet())
        log_p = -self.marginal().entropy()
        off = (1 - self.scale) ** 2 * spread + torch.outer(self.shift, self.shift)  # E[δ δᵀ]
        gap = 0.5 * (((S + off) * P).sum() - 3 - P.logdet() - S.logdet())
        values = {"elbo": log_p - gap, "nll": -log_p, "rate": information + aggregate}
        values |= {"mutual_information": information, "aggregate_kl": aggregate}
        return {name: value.item() for name, value in values.items()}


class GridVAE(VAE):
    """The library's decoder with D = 1, Bernoulli pixels and random weights. The mean of its q is linear in x:

    q(z|x) = N(a t + c, s²) with t = Σ_pixels x (logits(z = 1) - logits(z = -1)). a and c are fitted by least squares to 2,000
    pairs (x, z) that the model draws. s is 1.5 times the standard deviation of the residuals.
    """

    def __init__(self) -> None:
        super().__init__(latent_dim=1, likelihood="bernoulli")
        drawn = init_params(1, np.random.default_rng(0))
        self.double().load_state_dict({name: torch.from_numpy(array).double() for name, array in drawn.items()})
        self.z = torch.linspace(-8, 8, 801, dtype=torch.float64)  # (G,)
        with torch.no_grad():
            self.get_parameter("decoder.conv_t2.weight").mul_(4)  # larger weights: x then holds some information about z
            self.logits = self.decode(self.z[:, None]).flatten(1)  # (G, 784)
        self.direction = self.logits[450] - self.logits[350]  # logits at z = 1 minus logits at z = -1
        x, z = self._draw(2000, seed=1)
        t = torch.stack([x.flatten(1) @ self.direction, torch.ones(len(x), dtype=torch.float64)], dim=1)
        self.line = torch.linalg.lstsq(t, z).solution  # (2, 1)
        self.logvar = 2 * (1.5 * (z - t @ self.line).std()).log()

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Float[Tensor, "N 1"], Float[Tensor, "N 1"]]:
        """mu and logvar of q(z|x)."""
        mu = x.flatten(1) @ self.direction[:, None] * self.line[0] + self.line[1]
        return mu, self.logvar.expand(len(x), 1)

    def drawn(self, count: int, seed: int = 0) -> Data:
        """Images x ~ p(x)."""
        return Data(self._draw(count, seed)[0], about=f"{count:,} samples of a model with one latent")

    @torch.no_grad()
    def _draw(self, count: int, seed: int) -> tuple[Images, Float[Tensor, "N 1"]]:
        rng = np.random.default_rng(seed)
        z = torch.from_numpy(rng.standard_normal((count, 1)))
        x_hat = torch.cat([torch.sigmoid(self.decode(part)) for part in z.split(500)])
        return (torch.from_numpy(rng.random(x_hat.shape)) < x_hat).double(), z

    @torch.no_grad()
    def on_grid(self, x: Images) -> tuple[Float[Tensor, "G N"], Float[Tensor, "G N"]]:
        """log p(x, z) and log q(z|x) at each grid point, plus log(spacing): then the sum of their exp is an integral over z."""
        dark = Bernoulli(logits=self.logits).log_prob(torch.zeros_like(self.logits)).sum(1)
        log_prior = Normal(0.0, 1.0).log_prob(self.z)
        mu, logvar = self.encode(x)
        log_q = Normal(mu[:, 0], (logvar[:, 0] / 2).exp()).log_prob(self.z[:, None])
        log_spacing = (self.z[1] - self.z[0]).log()
        log_joint = self.logits @ x.flatten(1).T + (dark + log_prior)[:, None]  # log p(x|z) = Σ x l - Σ log(1 + eˡ)
        return log_joint + log_spacing, log_q + log_spacing

    def log_p(self, x: Images) -> Float[Tensor, " N"]:
        """log p(x)."""
        return self.on_grid(x)[0].logsumexp(0)

    def elbo(self, x: Images) -> Float[Tensor, " N"]:
        """E_q[log p(x, z) - log q(z|x)]."""
        log_joint, log_q = self.on_grid(x)
        return (log_q.exp() * (log_joint - log_q)).sum(0)

    def iwae_2(self, x: Images, step: int = 4) -> Float[Tensor, " N"]:
        """The expected IWAE-2 bound: a sum over all pairs of grid points. Only every `step`-th point of the grid is used."""
        log_joint, log_q = (t[::step] for t in self.on_grid(x))
        pairs = zip((log_joint - log_q).T, (log_q + math.log(step)).exp().T, strict=True)
        return torch.stack([q @ torch.logaddexp(log_w[:, None], log_w) @ q for log_w, q in pairs]) - math.log(2)

    def known(self, x: Images) -> dict[str, float]:
        """Means over these images: ELBO, IWAE-2, -log p(x), rate and its two parts. q(z) is the mean of q(z|x) over them."""
        _, log_q = self.on_grid(x)
        log_prior = Normal(0.0, 1.0).log_prob(self.z) + (self.z[1] - self.z[0]).log()
        log_aggregate = log_q.logsumexp(1) - math.log(len(x))
        aggregate = (log_aggregate.exp() * (log_aggregate - log_prior)).sum()
        with torch.no_grad():
            rate = kl_per_latent(*self.encode(x)).sum(1).mean()
        values = {"elbo": self.elbo(x).mean(), "iwae_2": self.iwae_2(x).mean(), "nll": -self.log_p(x).mean(), "rate": rate}
        values |= {"mutual_information": rate - aggregate, "aggregate_kl": aggregate}
        return {name: value.item() for name, value in values.items()}
