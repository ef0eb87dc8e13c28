"""A VAE whose latent is a grid of codes, 7x7 for a digit: the VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937). A
code is the index of a learned vector, an integer from 0 to K - 1.

What changes from `vae.py`: the encoder has no linear layer. Its result is the 7x7 grid of its last convolution: 49 vectors.
Each is replaced by the nearest of K learned vectors e_0 ... e_(K-1), the codebook. Nothing is drawn: q(z|x) = 1 for one grid of
codes. So with a uniform prior the KL is log K per position. It is part of the bound, but it is constant and has no gradient.
`pixel_prior.py` learns a better prior afterwards.

    encoder  x -> conv1 -> conv2 -> to_code, + where -> z_e      49 vectors
    codes    k = argmin_j |z_e - e_j|,  z_q = e_k                nothing is drawn
    decoder  z_q -> from_code -> conv_t1 -> conv_t2 -> logits

Legend: B batch, D size of a code's vector, K codes, h x w the grid (7x7, a quarter of the image's height and width),
N = h w B vectors, sg[...] stop-gradient: the value is used, but no gradient passes.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import embedding, relu

from vae_numpy.checks import check_alike
from vae_paper.vae import MNIST, Images, Labels, Model, Shape, Terms, check_size

Grid = Float[Tensor, "B D h w"]
Codes = Int64[Tensor, "B h w"]


class Encoder(nn.Module):
    """x -> z_e. conv1 and conv2 are the same layers as in vae.py."""

    def __init__(self, latent_dim: int, image_shape: Shape = MNIST) -> None:
        super().__init__()
        C, H, W = check_size(image_shape)
        self.conv1 = nn.Conv2d(C, 32, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.to_code = nn.Conv2d(64, latent_dim, 1)
        # A fixed offset for each position. Without it, all positions without ink (half of the positions in MNIST) would get the
        # same code, so half of all choices would be this one code. A learned offset would shrink to almost none.
        self.where = nn.Buffer(0.015 * torch.randn(latent_dim, H // 4, W // 4))

    def forward(self, x: Tensor) -> Tensor:
        h = relu(self.conv1(x))  # (B, 32, 14, 14)
        h = relu(self.conv2(h))  # (B, 64, 7, 7)
        return self.to_code(h).to(x.dtype) + self.where  # (B, D, 7, 7); `.to` matters under autocast only


class Decoder(nn.Module):
    """z_q -> logits. conv_t1 and conv_t2 are the same layers as in vae.py."""

    def __init__(self, latent_dim: int, image_shape: Shape = MNIST) -> None:
        super().__init__()
        self.from_code = nn.Conv2d(latent_dim, 64, 3, padding=1)
        self.conv_t1 = nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)
        self.conv_t2 = nn.ConvTranspose2d(32, image_shape[0], 3, stride=2, padding=1, output_padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = relu(self.from_code(z))  # (B, 64, 7, 7)
        h = relu(self.conv_t1(h))  # (B, 32, 14, 14)
        return self.conv_t2(h).to(z.dtype)  # (B, 1, 28, 28)


class VQVAE(Model):
    """van den Oord et al. 2017. The K vectors are the codebook. A term of the loss trains them (`codebook` = "loss",
    eq. 3), or they are moving averages of z_e ("ema", appendix A.1).

    In train mode, a forward pass also updates the averages. With `restart` it also replaces the vectors of rarely used codes
    (dead codes) by encoder outputs. In eval mode it changes nothing. Averages, counts and codebook are in the state_dict, so a
    resumed run continues exactly.
    """

    # γ, the decay of the moving averages. Appendix A.1 uses 0.99. With 0.95 an average covers about 1 / (1 - γ) = 20 batches.
    # This is enough here, and the codebook follows the changes of the encoder faster.
    DECAY = 0.95
    DEAD = 0.25  # a code is dead if its usage is below this fraction of N / K, the mean usage of a code

    gaussian_q = False
    drawn_from = "codes from the uniform prior"
    whole_batch = "its codebook is updated from the whole batch"
    fixed_options: ClassVar = dict.fromkeys(("beta", "beta_schedule", "objective"), "the rate of a VQ-VAE is constant") | {
        "samples": "the codes of an image are not sampled"
    }
    pictures = ("reconstructions", "samples", "curves", "codebook-usage")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        codes: int = 512,
        codebook: str = "ema",
        commitment: float = 0.25,
        restart: bool = True,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        if codebook not in ("ema", "loss"):
            raise ValueError(f'codebook is {codebook!r}; expected "ema" or "loss"')
        self.codes, self.codebook, self.commitment, self.restart = codes, codebook, commitment, restart
        self.grid = (image_shape[1] // 4, image_shape[2] // 4)
        self.encoder, self.decoder = Encoder(latent_dim, image_shape), Decoder(latent_dim, image_shape)
        vectors = torch.randn(codes, latent_dim)
        self.vectors = nn.Parameter(vectors) if codebook == "loss" else nn.Buffer(vectors)
        if codebook == "ema":
            self.sums = nn.Buffer(vectors.clone())  # m_i: moving average, over batches, of the sum of the z_e with code i
        self.usage = nn.Buffer(torch.ones(codes))  # N_i: moving average of the number of these z_e
        self.counts = nn.Buffer(torch.zeros(codes, dtype=torch.int64))  # how often each code was chosen in this epoch

    def codes_of(self, x: Images) -> Codes:
        """The code at each position."""
        return self.nearest(self._z_e(x))

    def decode(self, codes: Codes, labels: Labels | None = None) -> Images:
        """The logits of p(x|codes)."""
        check_codes(codes, self.codes, self.grid)
        return self.decoder(self.embed(codes))

    def embed(self, codes: Codes) -> Grid:
        """z_q: the codebook vector at each position."""
        return embedding(codes, self.vectors).permute(0, 3, 1, 2)  # (B, D, 7, 7)

    def nearest(self, z_e: Grid) -> Codes:
        """The index of the nearest vector e_j at each position: argmin_j |z_e - e_j|² (eq. 1)."""
        return nearest(_rows(z_e), self.vectors).view(len(z_e), *self.grid)

    def forward(self, x: Images, eps: Float[Tensor, "1 B D"], labels: Labels | None = None) -> Terms:
        """The terms of the bound with the uniform prior, and the penalty of eq. 3. eps only decides where dead codes restart.

        The penalty is |sg[z_e] - z_q|² + commitment |z_e - sg[z_q]|². It is summed over the h w D numbers of an image, and
        averaged over images. With codebook = "ema" the first term is left out.
        """
        z_e = self._z_e(x)
        codes = self.nearest(z_e.detach())
        z_q = self.embed(codes)
        distortion = self.grid_distortion(straight_through(z_e, z_q), x)
        # commitment |z_e - sg[z_q]|²  pulls z_e to the codebook
        penalty = self.commitment * squared_distance(z_e, z_q.detach())
        if self.codebook == "loss":
            # |sg[z_e] - z_q|²  pulls the codebook to z_e
            penalty = penalty + squared_distance(z_e.detach(), z_q)
        if self.training:
            self._follow(z_e.detach(), codes, z_q.detach(), eps)
        # KL(q(z|x) || 1/K) = log K at each position, because q is 1 for one code
        rate = torch.full((len(x), math.prod(self.grid)), math.log(self.codes), dtype=x.dtype, device=x.device)  # (B, 49)
        return Terms(distortion[None], rate, -(distortion + rate.sum(1))[None], penalty=penalty)

    def grid_distortion(self, z_q: Grid, x: Images) -> Float[Tensor, " B"]:
        """-log p(x|z) in nats per image, for grids z_q of vectors."""
        return self.nats(self.decoder(z_q)[None], x)[0]

    def sample(self, count: int, generator: torch.Generator, labels: Labels | None = None, noise: bool = False) -> Images:
        """`count` images, decoded from codes of the uniform prior."""
        codes = torch.randint(self.codes, (count, *self.grid), generator=generator, device=generator.device)
        return self.pixels_of(self.decode(codes), noise, generator)

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat, decoded from the codes of x."""
        return {"x̂ of its codes": torch.sigmoid(self.decode(self.codes_of(x)))}

    def end_epoch(self) -> dict[str, float]:
        """The perplexity of all codes chosen in this epoch. It is not a mean over batches."""
        counts = self.counts.clone()
        self.counts.zero_()
        return {"perplexity": perplexity(counts)}

    def _z_e(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return self.encoder(x)

    @torch.no_grad()
    def _follow(self, z_e: Tensor, codes: Tensor, z_q: Tensor, eps: Tensor) -> None:
        chosen = codes.flatten()  # (N,)
        n = counts_of(codes, self.codes)  # (K,)
        self.counts.add_(n)
        # N_i ← γ N_i + (1 - γ) n_i
        self.usage.lerp_(n.to(self.usage.dtype), 1 - self.DECAY)
        if self.codebook == "ema":
            # m_i ← γ m_i + (1 - γ) Σ z_e of code i;   e_i = m_i / N_i
            self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, chosen, _rows(z_e)), 1 - self.DECAY)
            alive = self.usage[:, None] > 1e-5  # else N_i is almost 0, and the vector stays as it is
            self.vectors.copy_(torch.where(alive, self.sums / self.usage[:, None], self.vectors))
        if self.restart:
            self._restart(z_e, z_q, eps)

    def _restart(self, z_e: Tensor, z_q: Tensor, eps: Tensor) -> None:
        """Replace the vectors of dead codes by vectors z_e (Dhariwal et al. 2020, "Jukebox", arXiv:2005.00341, section 3.1).

        Each dead code gets its own image of the batch. In this image a position is drawn, with probability proportional to
        |z_e - z_q|² (Arthur & Vassilvitskii 2007, "k-means++"). So dead codes move mostly to z_e that are far from every code,
        and rarely to the background. If there are more dead codes than images, the rest wait for a later step.
        """
        positions = math.prod(self.grid)
        fair = len(z_e) * positions / self.codes
        dead = (self.usage < self.DEAD * fair).nonzero().flatten()[: len(z_e)]
        up_to = (z_e - z_q).square().sum(1).flatten(1).cumsum(1)  # (B, 49)
        # ndtr is the distribution function of N(0, 1). So ndtr(eps) is uniform in [0, 1], without another random generator
        uniform = torch.special.ndtr(eps[0, :, :1])  # (B, 1)
        at = (up_to < uniform * up_to[:, -1:]).sum(1).clamp(max=positions - 1)  # (B,)
        rows = z_e.flatten(2)[torch.arange(len(z_e)), :, at][: len(dead)]  # (dead, D)
        self.vectors[dead] = rows
        self.usage[dead] = 2 * self.DEAD * fair  # dead again after (log 2) / (1 - γ) = 14 steps in which it is not chosen
        if self.codebook == "ema":
            self.sums[dead] = rows * self.usage[dead, None]


def check_codes(codes: Codes, size: int, grid: tuple[int, int]) -> None:
    """Check that codes are grids (B, h, w) of int64 numbers from 0 to `size` - 1."""
    if codes.ndim != 3 or codes.shape[1:] != grid or not len(codes) or codes.dtype != torch.int64:
        raise ValueError(f"codes are {tuple(codes.shape)}, {codes.dtype}; expected (B, {grid[0]}, {grid[1]}), int64")
    if not 0 <= codes.min() <= codes.max() < size:
        raise ValueError(f"codes lie in {codes.min()} to {codes.max()}; expected 0 to {size - 1}")


def nearest(z: Float[Tensor, "N D"], vectors: Float[Tensor, "K D"]) -> Int64[Tensor, " N"]:
    """For each z, the index of the nearest vector. If several are equally near: the first."""
    with torch.autocast(z.device.type, enabled=False):  # bfloat16 has too few digits to compare distances
        centre = vectors.mean(0)  # a large offset of all vectors would make the distances less exact
        z, vectors = z - centre, vectors - centre
        # |z - e|² = |z|² - 2 z·e + |e|², and |z|² is the same for every code
        return (vectors.square().sum(1) - 2 * z @ vectors.T).argmin(1)


def straight_through(z_e: Grid, z_q: Grid) -> Grid:
    """The value is z_q. Its gradient goes to z_e unchanged, and not to z_q (section 3.2)."""
    check_alike(4, z_e=z_e, z_q=z_q)
    return z_e + (z_q - z_e).detach()


def squared_distance(a: Grid, b: Grid) -> Float[Tensor, ""]:
    """|a - b|²: the sum over an image's grid, the mean over images."""
    check_alike(4, a=a, b=b)
    return (a - b).square().sum((1, 2, 3)).mean()


def counts_of(codes: Codes, size: int) -> Int64[Tensor, " K"]:
    """How often each of the codes was chosen."""
    counts = torch.bincount(codes.flatten(), minlength=size)
    if len(counts) != size:
        raise ValueError(f"codes reach {len(counts) - 1}; expected 0 to {size - 1}")
    return counts


def perplexity(counts: Int64[Tensor, " K"]) -> float:
    """exp(entropy) of the codes' frequencies: n if n codes are used equally often. 0 if no code was used."""
    if counts.ndim != 1 or not counts.min() >= 0:
        raise ValueError(f"counts are {tuple(counts.shape)}, the smallest is {counts.min()}; expected (K,), none below 0")
    counts = counts.cpu()  # some devices have no float64
    p = counts.double() / counts.sum().clamp(min=1)
    return 0.0 if counts.sum() == 0 else torch.exp(torch.special.entr(p).sum()).item()


def _rows(z: Tensor) -> Tensor:
    return z.permute(0, 2, 3, 1).flatten(0, 2)  # (N, D)
