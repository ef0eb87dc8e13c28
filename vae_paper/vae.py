"""The VAE, level 3: a torch module. Its parameters have the names and shapes of levels 1 and 2.

What changes from level 2: modules own their parameters, so no parameters are passed to a layer. A model returns `Terms`, not
one loss. Every objective is computed from `Terms`.

    encoder  x -> conv1 -> conv2 -> fc -> mu, logvar             q(z|x) = N(mu, diag(exp(logvar)))
    sample   z = mu + exp(logvar / 2) * eps                      eps ~ N(0, I), given by the caller
    decoder  z -> fc1 -> fc2 -> conv_t1 -> conv_t2 -> logits     x_hat = sigmoid(logits)

Read `VAE` first. `Model`, above `VAE`, is the base class of the variants in `models/` and of your own models. It says what the
rest of the library expects from a model.

Legend: B batch, C channels, H height, W width, D latent size, K samples of z per image.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import relu

from vae_numpy.checks import check_alike, check_at_least, check_floats, check_images, check_latents
from vae_paper.likelihoods import LIKELIHOODS

Images = Float[Tensor, "B C H W"]
Labels = Int64[Tensor, " B"]
Latents = Float[Tensor, "B D"]
Samples = Float[Tensor, "K B D"]
Shape = tuple[int, int, int]
MNIST: Shape = (1, 28, 28)
WIDTH = 32  # channels after the encoder's first convolution; each further convolution doubles them
GRID = 8  # by default, the encoder halves height and width twice, then again until both are at most 8


@dataclass(frozen=True, eq=False)  # no ==: for tensors its result is a tensor, not True or False
class Terms:
    """The result of a model for a batch. Every objective is a function of these terms.

    distortion, rate and log_weight are in nats per image.
    ValueError if the shapes do not fit together: torch would broadcast them, and the loss would be wrong without an error.
    """

    distortion: Float[Tensor, "K B"]
    """The reconstruction loss: -log p(x|z), or a formula that replaces it, such as "bce" on grayscale images."""
    rate: Float[Tensor, "B R"]
    """The R parts whose sum is the KL term, KL(q(z|x) || p(z)), or an estimate of it. VAE: one part for each latent. VQ-VAE: one
    for each grid position."""
    log_weight: Float[Tensor, "K B"]
    """-distortion + log p(z) - log q(z|x), at the sampled z."""
    mu: Latents | None = None
    """Mean of a Gaussian q(z|x); in an autoencoder, z itself. None for any other model."""
    logvar: Latents | None = None
    """Log variance of a Gaussian q(z|x). None for any other model."""
    z: Samples | None = None
    """The sampled latents. None if the latents are not vectors (VQ-VAE)."""
    penalty: Float[Tensor, ""] | None = None
    """A further term of the training loss, outside the ELBO (VQ-VAE)."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            optional = value is None and name in ("mu", "logvar", "z", "penalty")
            if not optional and not (isinstance(value, Tensor) and value.is_floating_point()):
                raise ValueError(f"terms: {name} is {getattr(value, 'dtype', type(value).__name__)}; expected a tensor of floats")
        K, B = self.distortion.shape if self.distortion.ndim == 2 else (0, 0)
        latent = self.mu if self.mu is not None else self.z  # a model without a Gaussian q may have z, but no mu
        D = latent.shape[-1] if latent is not None and latent.ndim else -1
        expected = {"distortion": (K, B), "log_weight": (K, B), "mu": (B, D), "logvar": (B, D), "z": (K, B, D), "penalty": ()}
        found = {name: tuple(value.shape) for name, value in vars(self).items() if value is not None}
        fits = all(found.get(name, shape) == shape for name, shape in expected.items())
        if min(K, B) < 1 or not fits or self.rate.shape[:-1] != (B,) or self.rate.shape[-1] < 1:
            said = "distortion, log_weight (K, B), rate (B, R), mu, logvar (B, D), z (K, B, D), penalty ()"
            raise ValueError(f"terms: found {found}; expected {said}")

    def of_images(self, chosen: slice) -> "Terms":
        """The terms of the `chosen` images. The penalty has no part for each image: it stays the penalty of all images."""
        mu, logvar, z = (None if t is None else t[..., chosen, :] for t in (self.mu, self.logvar, self.z))
        return Terms(self.distortion[:, chosen], self.rate[chosen], self.log_weight[:, chosen], mu, logvar, z, self.penalty)


class Model(nn.Module):
    """The base class of all models. A model takes images x, noise eps and perhaps labels, and returns `Terms`.

    A subclass defines these methods:

        encode, decode            enough if q(z|x) is Gaussian and the prior is N(0, I)
        distortion, images_of     in place of `decode`, if the pixels depend on each other given z
        terms, draw_prior         also needed if the prior is not N(0, I). If the prior cannot be sampled, leave out
                                  `draw_prior` and set drawn_from = None
        forward, sample           enough for any other model

    The attributes tell the library what the model can do. Override an attribute only if its default is wrong for your model.
    """

    drawn_from: str | None = "z ~ N(0, I)"
    """The distribution from which `sample` draws latents, in words. None in two cases: the model has no prior from
    which `sample` can draw (ae, quadrant-cvae); or a pixel-vae has an objective in place of a likelihood, so that no pixel can
    be drawn. In both cases `sample` raises a ValueError. The exception is an autoencoder: its `sample` decodes z ~ N(0, I)."""
    prior_of_image: bool = False
    """Whether the prior of z depends on the image."""
    takes_labels: bool = False
    """Whether the model is conditioned on a class label."""
    classes: int = 10
    """Number of classes, for a model that takes labels."""
    pixels_drawn: bool = False
    """Whether `sample` draws each pixel at random from p(x|z), even if its argument `noise` is False."""
    recordable: bool = False
    """Whether `forward` runs the same operations in every training step, and stores nothing in Python objects. If True, a CUDA
    GPU can record one step and replay it (cuda_graph.py). An inherited value does not count: a subclass must set it itself."""
    whole_batch: str | None = None
    """Why the loss needs the whole batch (then training in several processes is refused), or None."""
    gaussian_q: bool = True
    """Whether q(z|x) is N(mu, diag(exp(logvar))), with these mu and logvar in `Terms`."""
    fixed_options: ClassVar[Mapping[str, str]] = {}
    """{option: reason}: the training options that must keep their default values with this model."""
    parts: ClassVar[Mapping[str, str]] = {}
    """Parts that another run has trained: {option: attribute}. With {"codes_of": "vq_vae"}, `--codes-of RUN` copies the
    parameters of RUN's model into `self.vq_vae`."""
    pictures: tuple[str, ...] = ("curves",)
    """The kinds of picture (`drawing/figures.py`) that can be drawn for this model."""
    log_sigma: Tensor

    def __init__(self, latent_dim: int = 20, likelihood: str = "bce", sigma: float = 0.1, image_shape: Shape = MNIST) -> None:
        """`likelihood` is a name in `likelihoods.LIKELIHOODS`. `sigma` is the scale of p(x|z) (for a Gaussian: the standard
        deviation). If the scale is learned, `sigma` is its initial value."""
        super().__init__()
        check_at_least(1, latent_dim=latent_dim)
        if not isinstance(latent_dim, int) or len(image_shape) != 3:
            raise ValueError(f"latent_dim is {latent_dim}, image_shape is {image_shape}: expected a whole number, and (C, H, W)")
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood is {likelihood!r}; expected one of: {', '.join(LIKELIHOODS)}")
        C, H, W = image_shape
        if not 0 < sigma < math.inf:
            raise ValueError(f"sigma is {sigma}: expected more than 0, and finite")
        self.latent_dim, self.likelihood, self.image_shape = latent_dim, likelihood, (C, H, W)
        log_sigma, scale = torch.tensor(sigma).log(), LIKELIHOODS[likelihood].scale
        if scale == "learned":
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma, persistent=scale == "fixed")

    def check_input(self, x: Images) -> None:
        """ValueError if images have another shape or dtype than the model, or values outside [0, 1]. (On a GPU the values are
        not checked.)"""
        check_images(x, self.image_shape)
        if not isinstance(x, Tensor):
            raise ValueError("images are a NumPy array; expected a tensor: use torch.as_tensor(images)")
        if x.dtype != self.dtype:
            raise ValueError(f"images are {x.dtype}, and the parameters {self.dtype}; expected one dtype: use data.like(model)")

    def check_noise(self, eps: Tensor) -> None:
        """ValueError if the noise has no axis for the K samples."""
        if eps.ndim != 3:
            raise ValueError(f"eps is {tuple(eps.shape)}: expected (K, B, D), K samples of noise for each image")

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|x)."""
        raise ValueError(f"{type(self).__name__} defines no encode: it has no Gaussian q(z|x)")

    def decode(self, z: Latents, labels: Labels | None = None) -> Images:
        """The logits of p(x|z)."""
        raise ValueError(f"{type(self).__name__} defines no decode: define it, or distortion and images_of")

    def distortion(self, z: Samples, x: Images, labels: Labels | None = None) -> Float[Tensor, "K B"]:
        """-log p(x|z) in nats per image, for K samples of z per image."""
        repeated = None if labels is None else labels.repeat(len(z))
        logits = self.decode(z.flatten(0, 1), repeated)  # (K*B, C, H, W)
        return self.nats(logits.unflatten(0, z.shape[:2]), x)

    def forward(self, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the ELBO, with K samples of z per image."""
        return self.terms(*self.encode(x, labels), x, eps, labels)

    def terms(self, mu: Latents, logvar: Latents, x: Images, eps: Samples, labels: Labels | None = None) -> Terms:
        """The terms of the ELBO for q(z|x) = N(mu, diag(exp(logvar))) and the prior N(0, I). mu and logvar may come from the
        encoder or from elsewhere."""
        self.check_noise(eps)
        z = reparameterize(mu, logvar, eps)  # (K, B, D)
        distortion = self.distortion(z, x, labels)  # (K, B)
        # log p(z) - log q(z|x): the constants of the two normal densities cancel, and (z - μ) / σ is eps
        log_ratio = 0.5 * (eps**2 + logvar - z**2).sum(2)  # (K, B)
        return Terms(distortion, kl_per_latent(mu, logvar), log_ratio - distortion, mu, logvar, z)

    def nats(self, logits: Float[Tensor, "K B C H W"], x: Images, weight: Tensor | float = 1.0) -> Float[Tensor, "K B"]:
        """-log p(x|z) in nats per image, from the logits for K samples of z per image. `weight`: 1 or 0 for each pixel."""
        per_pixel = LIKELIHOODS[self.likelihood].nats(logits.flatten(0, 1), x.repeat(len(logits), 1, 1, 1), self.log_sigma)
        return (weight * per_pixel).sum((1, 2, 3)).view(logits.shape[:2])

    def draw_prior(self, count: int, generator: torch.Generator) -> Float[Tensor, "N D"]:
        """`count` latents from the prior."""
        check_at_least(1, count=count)
        return torch.randn(count, self.latent_dim, generator=generator, device=generator.device, dtype=self.dtype)

    def sample(self, count: int, generator: torch.Generator, labels: Labels | None = None, noise: bool = False) -> Images:
        """`count` images, decoded from latents that are drawn from the prior. See `images_of` for `noise`."""
        return self.images_of(self.draw_prior(count, generator), labels, generator, noise)

    def images_of(self, z: Latents, labels: Labels | None, generator: torch.Generator, noise: bool = False) -> Images:
        """One image for each z. Without `noise` it is x_hat; with `noise` it is drawn from p(x|z) (see `pixels_of`)."""
        return self.pixels_of(self.decode(z, labels), noise, generator)

    def pixels_of(self, logits: Images, noise: bool, generator: torch.Generator) -> Images:
        """x_hat = sigmoid(logits). With `noise`: pixels drawn from p(x|z), or x_hat if the likelihood is only an objective."""
        draw = LIKELIHOODS[self.likelihood].draw
        return draw(logits, self.log_sigma, generator) if noise and draw else torch.sigmoid(logits)

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """Reconstructions of x: {name: x_hat}. A picture shows them as rows below x, with these names."""
        raise ValueError(f"{type(self).__name__} defines no reconstructions")

    @property
    def bound(self) -> str | None:
        """The quantity of which the ELBO is a lower bound, in words. None if the ELBO is only an objective, not a bound."""
        if not LIKELIHOODS[self.likelihood].normalised:
            return None
        return "log p(x|label)" if self.takes_labels else "log p(x)"

    @property
    def rate_is(self) -> str:
        """The meaning of the rate, in words."""
        return f"an upper bound on the information in z about x, I(x; z{'|label' if self.takes_labels else ''})"

    @property
    def counted(self) -> Float[Tensor, "C H W"]:
        """1 for each pixel that the distortion counts, 0 for every other pixel."""
        return torch.ones(self.image_shape)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that build this model again, as JSON values. latent_dim, likelihood and sigma are left out."""
        names = inspect.signature(type(self)).parameters.keys() - {"latent_dim", "likelihood", "sigma"}
        if missing := sorted(name for name in names if not hasattr(self, name)):
            raise ValueError(f"{type(self).__name__}: the argument {missing[0]} needs an attribute of the same name")
        found = {name: getattr(self, name) for name in sorted(names)}
        usual = {"image_shape": MNIST, "width": WIDTH, "depth": 0}  # a file leaves out arguments with these values
        return {name: value for name, value in found.items() if name not in usual or usual[name] != value}

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next((p.dtype for p in self.parameters()), torch.float32)

    def end_epoch(self) -> dict[str, float]:
        """Extra numbers of this model for the epoch's row in metrics.csv. Called once, after the last step of each epoch."""
        return {}


def check_size(image_shape: Shape) -> Shape:
    """ValueError if H or W is not a multiple of 4: two layers of stride 2 must halve both exactly."""
    if len(image_shape) != 3 or min(image_shape) < 1 or image_shape[1] % 4 or image_shape[2] % 4:
        last = "; are the channels last? use np.moveaxis(images, -1, 1)" if image_shape[-1] in (1, 3) else ""
        raise ValueError(f"image_shape is {tuple(image_shape)}: expected (C, H, W), with H and W multiples of 4{last}")
    return image_shape


def stages(image_shape: Shape, width: int = WIDTH, depth: int = 0) -> list[Shape]:
    """(C, H, W) of the image, and of the result of each convolution of stride 2. MNIST: (1, 28, 28), (32, 14, 14), (64, 7, 7).

    `depth` is the number of these convolutions, at least 2. Depth 0 chooses the smallest number (2 or more) that gives
    a grid of at most 8x8. Half of an odd size is rounded up.
    """
    if width < 1 or depth < 0 or depth == 1:
        raise ValueError(f"width is {width}, depth is {depth}: expected width 1 or more, depth 0 (automatic) or at least 2")
    found = [check_size(image_shape)]
    while len(found) <= (depth or 2) or (not depth and max(found[-1][1:]) > GRID):
        C, H, W = found[-1]
        if H == W == 1:
            raise ValueError(f"depth is {depth}: the grid is 1x1 at depth {len(found) - 1}; expected at most {len(found) - 1}")
        found.append((2 * C if len(found) > 1 else width, (H + 1) // 2, (W + 1) // 2))
    return found


class Encoder(nn.Module):
    """x -> mu, logvar."""

    def __init__(self, latent_dim: int, image_shape: Shape = MNIST, width: int = WIDTH, depth: int = 0) -> None:
        super().__init__()
        sizes = stages(image_shape, width, depth)
        self.conv1 = nn.Conv2d(image_shape[0], width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.deeper = nn.ModuleList(nn.Conv2d(C, 2 * C, 3, stride=2, padding=1) for C, _, _ in sizes[2:-1])  # none at depth 2
        self.fc = nn.Linear(math.prod(sizes[-1]), 256)
        self.mu = nn.Linear(256, latent_dim)
        self.logvar = nn.Linear(256, latent_dim)

    def features(self, x: Tensor, condition: Tensor | float = 0.0) -> Tensor:
        """The activations of the last hidden layer. A variant may add a `condition` before the ReLU."""
        h = relu(self.conv1(x))  # (B, 32, 14, 14); these are the shapes for MNIST and the default width
        h = relu(self.conv2(h))  # (B, 64, 7, 7)
        for conv in self.deeper:
            h = relu(conv(h))
        return relu(self.fc(h.flatten(1)) + condition)  # (B, 256)

    def forward(self, x: Tensor, condition: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        h = self.features(x, condition)
        return self.mu(h).to(x.dtype), self.logvar(h).to(x.dtype)  # (B, D) each; under autocast mu(h) is bfloat16


class Decoder(nn.Module):
    """z -> logits."""

    def __init__(self, latent_dim: int, image_shape: Shape = MNIST, width: int = WIDTH, depth: int = 0) -> None:
        super().__init__()
        sizes = stages(image_shape, width, depth)
        self.grid = sizes[-1]
        self.fc1 = nn.Linear(latent_dim, 256)
        self.fc2 = nn.Linear(256, math.prod(self.grid))
        self.deeper = nn.ModuleList(  # none at depth 2; output_padding 1 gives an even size, 0 an odd size
            nn.ConvTranspose2d(2 * C, C, 3, stride=2, padding=1, output_padding=(1 - H % 2, 1 - W % 2))
            for C, H, W in reversed(sizes[2:-1])
        )
        self.conv_t1 = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
        self.conv_t2 = nn.ConvTranspose2d(width, image_shape[0], 3, stride=2, padding=1, output_padding=1)

    def forward(self, z: Tensor, condition: Tensor | float = 0.0) -> Tensor:
        h = relu(self.fc1(z) + condition)  # (B, 256)
        h = relu(self.fc2(h)).view(-1, *self.grid)  # (B, 64, 7, 7)
        for conv_t in self.deeper:
            h = relu(conv_t(h))
        h = relu(self.conv_t1(h))  # (B, 32, 14, 14)
        return self.conv_t2(h).to(z.dtype)  # (B, 1, 28, 28)


class VAE(Model):
    """The VAE of Kingma & Welling 2013, arXiv:1312.6114, with convolutions.

    Its state_dict has the 18 names of `vae_numpy.parameters.shapes`, and `log_sigma` if the likelihood has a scale. It also has
    the layers `deeper` if `depth` is above 2, or if `depth` is 0 and the images are larger than 32x32.

    `encoder` and `decoder` may be networks of your own. The encoder maps x (B, C, H, W) to (mu, logvar), (B, D) each; the
    decoder maps z (B, D) to logits (B, C, H, W).
    """

    recordable = True
    pictures: tuple[str, ...] = (
        "reconstructions", "samples", "manifold", "scatter", "traversals", "interpolation", "rate", "curves", "side-by-side",
        "animation",
    )  # fmt: skip

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        width: int = WIDTH,
        depth: int = 0,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        self.width, self.depth = width, depth
        self.own_networks = [name for name, network in (("encoder", encoder), ("decoder", decoder)) if network is not None]
        self.encoder = Encoder(latent_dim, image_shape, width, depth) if encoder is None else encoder
        self.decoder = Decoder(latent_dim, image_shape, width, depth) if decoder is None else decoder

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|x)."""
        self.check_input(x)
        mu, logvar = _check_encoded(self.encoder(x), (len(x), self.latent_dim))
        return mu.to(x.dtype), logvar.to(x.dtype)  # (B, D) each; under autocast your own network may return bfloat16

    def decode(self, z: Latents, labels: Labels | None = None) -> Images:
        """The logits of p(x|z)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z).to(z.dtype)

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat decoded from mu, and x_hat decoded from one sample of q(z|x)."""
        mu, logvar = self.encode(x, labels)
        z = reparameterize(mu, logvar, torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype))
        return {"x̂ of μ": torch.sigmoid(self.decode(mu, labels)), "x̂ of z ~ q(z|x)": torch.sigmoid(self.decode(z, labels))}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that build this model again. If a network is your own, they hold only the name of its class."""
        found = super().arguments
        networks = {name: type(found.pop(name)) for name in ("encoder", "decoder") if name in found}
        return found | {
            name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in networks.items() if name in self.own_networks
        }


def _check_encoded(found: Any, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The result of an encoder, if it is (mu, logvar), each of the expected shape; otherwise ValueError."""
    pair = isinstance(found, tuple | list) and all(isinstance(each, Tensor) for each in found)
    said = [tuple(each.shape) for each in found] if pair else f"a {type(found).__name__}"
    if said != [shape, shape]:
        raise ValueError(f"the encoder returned {said}; expected mu and logvar, each {shape}")
    return found[0], found[1]


def reparameterize(mu: Latents, logvar: Latents, eps: Float[Tensor, "*K B D"]) -> Float[Tensor, "*K B D"]:
    """A sample of q(z|x). It is differentiable with respect to mu and logvar (Kingma & Welling 2013, section 2.4)."""
    check_alike(2, mu=mu, logvar=logvar)
    check_floats(eps=eps)
    if eps.shape[-2:] != mu.shape or eps.dtype != mu.dtype:
        found = f"eps is {tuple(eps.shape)}, {eps.dtype}"
        raise ValueError(f"{found}: expected (B, D) or (K, B, D), as mu is {tuple(mu.shape)}, {mu.dtype}")
    # z = μ + σ ⊙ ε
    return mu + torch.exp(0.5 * logvar) * eps


def kl_per_latent(mu: Latents, logvar: Latents) -> Latents:
    """KL(q(z_j|x) || N(0, 1)) of each latent, in nats (Kingma & Welling 2013, appendix B).

    The sum over the latents is `kl_divergence` of levels 1 and 2. The formula stays finite if logvar is about -104 or
    lower. For such logvar, torch.distributions (float32) rounds exp(logvar / 2)² to 0 and then computes log 0.
    """
    check_alike(2, mu=mu, logvar=logvar)
    return 0.5 * (mu.square() + torch.expm1(logvar) - logvar)
