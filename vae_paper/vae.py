"""The VAE, level 3: a torch module. The same parameters under the same names as levels 1 and 2.

What changes from level 2: modules own their parameters, so a layer is called and nothing is passed to it; and a model
ends not in a loss but in `Terms`, of which every objective is made. The variants come in through `condition`.

    encoder  x -> conv1 -> conv2 -> fc -> mu, logvar             q(z|x) = N(mu, diag(exp(logvar)))
    sample   z = mu + exp(logvar / 2) * eps                      eps ~ N(0, I), given by the caller
    decoder  z -> fc1 -> fc2 -> conv_t1 -> conv_t2 -> logits     x_hat = sigmoid(logits)

Legend: B batch, D latent size, K samples of z per image.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import relu

from vae_numpy.checks import check_alike, check_images, check_latents
from vae_paper.likelihoods import LIKELIHOODS, WITH_LEARNED_SCALE

Labels = Int64[Tensor, " B"]


class Terms(NamedTuple):
    """What a model says of a batch, in nats per image."""

    distortion: Float[Tensor, "K B"]  # -log p(x|z), or what stands in for it
    rate: Float[Tensor, "B D"]  # KL(q(z|x) || p(z)), latent by latent
    log_weight: Float[Tensor, "K B"]  # log p(x|z) + log p(z) - log q(z|x), at the z that was sampled
    penalty: Float[Tensor, ""] | None = None  # what else is made small, outside every bound (VQ-VAE)


class Model(nn.Module):
    """What the training loop and the evaluation know of a model: it is given x and eps, and returns `Terms`."""

    latent_dim: int
    likelihood: str
    log_sigma: Tensor

    def add_log_sigma(self, sigma: float) -> None:
        """The scale of the likelihood: learned where it is to be, else kept."""
        log_sigma = torch.tensor(sigma).log()
        if self.likelihood in WITH_LEARNED_SCALE:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma, persistent=self.likelihood == "gaussian")

    def end_epoch(self) -> dict[str, float]:
        """What a model adds to its epoch's line in metrics.csv; called once, when the epoch's last step is taken."""
        return {}


class Encoder(nn.Module):
    """x -> mu, logvar."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.fc = nn.Linear(3136, 256)
        self.mu = nn.Linear(256, latent_dim)
        self.logvar = nn.Linear(256, latent_dim)

    def features(self, x: Tensor, condition: Tensor | float = 0.0) -> Tensor:
        h = relu(self.conv1(x))  # (B, 32, 14, 14)
        h = relu(self.conv2(h))  # (B, 64, 7, 7)
        return relu(self.fc(h.flatten(1)) + condition)  # (B, 256)

    def forward(self, x: Tensor, condition: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        h = self.features(x, condition)
        return self.mu(h).to(x.dtype), self.logvar(h).to(x.dtype)  # (B, D) each; x.dtype matters under autocast only


class Decoder(nn.Module):
    """z -> logits."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(latent_dim, 256)
        self.fc2 = nn.Linear(256, 3136)
        self.conv_t1 = nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)
        self.conv_t2 = nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1)

    def forward(self, z: Tensor, condition: Tensor | float = 0.0) -> Tensor:
        h = relu(self.fc1(z) + condition)  # (B, 256)
        h = relu(self.fc2(h)).view(-1, 64, 7, 7)  # (B, 64, 7, 7)
        h = relu(self.conv_t1(h))  # (B, 32, 14, 14)
        return self.conv_t2(h).to(z.dtype)  # (B, 1, 28, 28)


class VAE(Model):
    """Kingma & Welling 2013, arXiv:1312.6114. Its state_dict has the 18 names of `vae_numpy.parameters.shapes`.

    `likelihood` names one of `likelihoods.LIKELIHOODS`; `sigma` is its standard deviation (or scale), where it has one:
    kept, or the start of what is learned.
    """

    takes_labels = False

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1) -> None:
        super().__init__()
        self.latent_dim, self.likelihood = latent_dim, likelihood
        self.encoder, self.decoder = Encoder(latent_dim), Decoder(latent_dim)
        self.add_log_sigma(sigma)

    def encode(
        self, x: Float[Tensor, "B 1 28 28"], labels: Labels | None = None
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """mu and logvar of q(z|x)."""
        check_images(x)
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "B D"], labels: Labels | None = None) -> Float[Tensor, "B 1 28 28"]:
        """The logits of p(x|z)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z)

    def forward(self, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "K B D"], labels: Labels | None = None) -> Terms:
        """The terms of the ELBO, with K samples of z per image."""
        return self.terms(*self.encode(x, labels), x, eps, labels)

    def terms(
        self,
        mu: Float[Tensor, "B D"],
        logvar: Float[Tensor, "B D"],
        x: Float[Tensor, "B 1 28 28"],
        eps: Float[Tensor, "K B D"],
        labels: Labels | None = None,
    ) -> Terms:
        """The same with any q(z|x) = N(mu, diag(exp(logvar))), the encoder's or another."""
        z = reparameterize(mu, logvar, eps)  # (K, B, D)
        distortion = self.distortion(z, x, labels)  # (K, B)
        # log p(z) - log q(z|x): the constants of the two normal densities cancel, and (z - μ) / σ is eps
        log_ratio = 0.5 * (eps**2 + logvar - z**2).sum(2)  # (K, B)
        return Terms(distortion, kl_divergence(mu, logvar), log_ratio - distortion)

    def distortion(
        self, z: Float[Tensor, "K B D"], x: Float[Tensor, "B 1 28 28"], labels: Labels | None = None
    ) -> Float[Tensor, "K B"]:
        """-log p(x|z) in nats per image, for K latents of each image."""
        repeated = None if labels is None else labels.repeat(len(z))
        logits = self.decode(z.flatten(0, 1), repeated)  # (K*B, 1, 28, 28)
        per_pixel = LIKELIHOODS[self.likelihood](logits, x.repeat(len(z), 1, 1, 1), self.log_sigma)
        return per_pixel.sum((1, 2, 3)).view(len(z), len(x))


class AE(VAE):
    """The plain autoencoder: no noise, no prior. z = mu, and the rate is 0. Its ELBO bounds nothing."""

    def forward(self, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "K B D"], labels: Labels | None = None) -> Terms:
        """The distortion at z = mu; eps is not used."""
        mu, _ = self.encode(x, labels)
        distortion = self.distortion(mu[None], x, labels)
        return Terms(distortion, torch.zeros_like(mu), -distortion)


def reparameterize(
    mu: Float[Tensor, "B D"], logvar: Float[Tensor, "B D"], eps: Float[Tensor, "*K B D"]
) -> Float[Tensor, "*K B D"]:
    """A sample of q(z|x) through which gradients reach mu and logvar (Kingma & Welling 2013, section 2.4)."""
    check_alike(2, mu=mu, logvar=logvar, eps=eps[(0,) * (eps.ndim - mu.ndim)])
    # z = μ + σ ⊙ ε
    return mu + torch.exp(0.5 * logvar) * eps


def kl_divergence(mu: Float[Tensor, "B D"], logvar: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
    """KL(q(z_j|x) || N(0, 1)) of each latent, in nats (Kingma & Welling 2013, appendix B).

    The closed form, which stays finite where torch.distributions squares exp(logvar / 2) to infinity.
    """
    check_alike(2, mu=mu, logvar=logvar)
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)
