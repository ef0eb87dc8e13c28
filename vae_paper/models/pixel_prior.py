"""A learned prior over the codes of a VQ-VAE: a gated PixelCNN (van den Oord et al. 2016, arXiv:1606.05328).

What changes from `vq_vae.py`: the encoder, the codebook and the decoder are not trained. The cost of a code is not log K, but
-log p(code | earlier codes). The earlier codes are those in the rows above, and those to the left in the same row. The costs
are the rate in this model's `Terms`. So the usual training loop trains this prior. The -ELBO of this model is distortion + cost.

Two series of convolutions, called stacks, read the earlier codes:

    above   the codes in the rows above                     -> vertical stack    (its 2x3 kernels see no row below)
    left    the codes to the left, and the vertical stack   -> horizontal stack  (its 1x2 kernels see no column to the right)
    logits  K at each position, from the horizontal stack

There is no blind spot: the logits see every earlier code within reach of the kernels (section 2.2). No kernel needs a mask.
The vertical stack's first kernel (3x5) sees only the rows above. The horizontal stack's first kernel (1x3) sees only the columns
to the left. So no position sees its own code. Later kernels (2x3, 1x2) also see the position itself, but there they find hidden
values that were computed from earlier codes.

Legend: B batch, C channels, K codes, h x w the grid of codes, P = h w positions (49 for a digit), N grids in `table_cost`.
"""

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from vae_numpy.checks import check_labels
from vae_paper.models.vq_vae import VQVAE, Codes, check_codes
from vae_paper.vae import MNIST, Images, Labels, Model, Shape, Terms

Hidden = Float[Tensor, "B C h w"]
EMBEDDED = 32  # length of a code's embedding; this is not its vector in the codebook


class GatedLayer(nn.Module):
    """One layer of both stacks (section 2.3, Fig. 2). Both have a residual connection; in the paper only the horizontal one."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.vertical = nn.Conv2d(channels, 2 * channels, (2, 3))
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, 2))
        self.link = nn.Conv2d(channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.label = nn.Embedding(classes, 4 * channels) if classes else None

    def forward(self, v: Hidden, h: Hidden, labels: Labels | None = None) -> tuple[Hidden, Hidden]:
        for_v, for_h = 0.0, 0.0
        if self.label is not None:
            for_v, for_h = self.label(labels)[:, :, None, None].chunk(2, dim=1)  # (B, 2C, 1, 1) each
        above = self.vertical(pad(v, (1, 1, 1, 0)))  # (B, 2C, h, w); (i, j) sees rows i - 1, i, columns j - 1 to j + 1
        v = v + gate(above + for_v)  # (B, C, h, w)
        left = self.horizontal(pad(h, (1, 0, 0, 0)))  # (B, 2C, h, w); (i, j) sees columns j - 1, j
        return v, h + self.out(gate(left + self.link(v) + for_h))


class PixelPrior(Model):
    """A VQ-VAE, which is not trained here, and a PixelCNN p(codes). With `class_conditional` it is p(codes|label).

    Its weight file holds the whole generative model: the VQ-VAE and the prior.
    """

    gaussian_q = False
    fixed_options: ClassVar = dict.fromkeys(("beta", "beta_schedule", "objective"), "only the cost of the codes is trained") | {
        "samples": "the codes of an image are not sampled"
    }
    parts: ClassVar = {"codes_of": "vq_vae"}
    pictures = ("reconstructions", "samples", "curves", "codebook-usage")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        codes: int = 512,
        codebook: str = "ema",
        channels: int = 64,
        layers: int = 2,
        class_conditional: bool = False,
        classes: int = 10,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape)
        del self.log_sigma  # `vq_vae` has its own
        self.vq_vae = VQVAE(latent_dim, likelihood, sigma, image_shape, codes, codebook).requires_grad_(False)
        self.codes, self.codebook, self.channels, self.grid = codes, codebook, channels, self.vq_vae.grid
        self.class_conditional = self.takes_labels = class_conditional
        self.classes = classes
        self.drawn_from = "the learned prior's codes" + (", given the class" if class_conditional else "")
        self.code = nn.Embedding(codes, EMBEDDED)
        self.above = nn.Conv2d(EMBEDDED, channels, (3, 5))
        self.left = nn.Conv2d(EMBEDDED, channels, (1, 3))
        self.where = nn.Parameter(torch.zeros(1, 2 * channels, *self.grid))  # a bias for each position, as in pixel_vae.py
        self.table = nn.Parameter(torch.zeros(codes, *self.grid))  # one logit per code and position, the same for all images
        self.layers = nn.ModuleList(GatedLayer(channels, classes if class_conditional else 0) for _ in range(layers))
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, 2 * channels, 1), nn.ReLU(), nn.Conv2d(2 * channels, codes, 1))

    def forward(self, x: Images, eps: Float[Tensor, "1 B D"], labels: Labels | None = None) -> Terms:
        """The terms of the bound on log p(x), or on log p(x|label). Only the rates have a gradient. eps is not used."""
        with torch.no_grad():
            codes = self.vq_vae.codes_of(x)  # the codebook stays; `vq_vae.forward` would change it in train mode
            distortion = self.vq_vae.grid_distortion(self.vq_vae.embed(codes), x)  # (B,)
        rate = self.cost(codes, labels)  # (B, 49)
        return Terms(distortion[None], rate, -(distortion + rate.sum(1))[None])

    def cost(self, codes: Codes, labels: Labels | None = None) -> Float[Tensor, "B P"]:
        """-log p(code | earlier codes) at each position, in nats. This is the KL, because q(z|x) is 1 for these codes."""
        # p(k) = Π_i p(k_i | k_1, ..., k_(i-1)), row by row   (eq. 1)
        logits = self.logits(codes, labels).permute(0, 2, 3, 1).flatten(0, 2)  # (49 B, K)
        return cross_entropy(logits.to(self.where.dtype), codes.flatten(), reduction="none").view(len(codes), -1)  # (B, 49)

    def cost_of_unlabelled(self, codes: Codes, p_label: Float[Tensor, " classes"]) -> Float[Tensor, " B"]:
        """-log Σ_y p(y) p(codes|y), in nats per image, of a class-conditional prior. `p_label` is p(y)."""
        if p_label.shape != (self.classes,) or not p_label.min() >= 0 or abs(p_label.sum() - 1) > 1e-4:
            raise ValueError(f"p_label is {p_label.tolist()}: expected {self.classes} probabilities with the sum 1")
        log_joint = []
        for label, p in enumerate(p_label):
            labels = torch.full((len(codes),), label, device=codes.device)
            log_joint.append(p.log() - self.cost(codes, labels).sum(1))  # (B,)
        # p(k) = Σ_y p(y) p(k|y)
        return -torch.stack(log_joint).logsumexp(0)

    def logits(self, codes: Codes, labels: Labels | None = None) -> Float[Tensor, "B K h w"]:
        """The logits of p(code | earlier codes), for all positions."""
        *_, (_, h) = self.hidden(codes, labels)
        return self.out(h) + self.table

    def hidden(self, codes: Codes, labels: Labels | None = None) -> list[tuple[Hidden, Hidden]]:
        """(v, h), the vertical and the horizontal stack: before the first layer, and after each layer."""
        if self.class_conditional and labels is None:
            raise ValueError("labels: none given, and this prior is class-conditional; expected a label for each image")
        if self.class_conditional:
            check_labels(labels, len(codes), self.classes)
        embedded = self.code(codes).permute(0, 3, 1, 2)  # (B, EMBEDDED, h, w)
        for_v, for_h = self.where.chunk(2, dim=1)
        v = self.above(pad(embedded, (2, 2, 3, 0))[:, :, :-1]) + for_v  # (i, j): rows i - 3 to i - 1, columns j - 2 to j + 2
        h = self.left(pad(embedded, (3, 0, 0, 0))[..., :-1]) + for_h  # (i, j): columns j - 3 to j - 1
        stacks = [(v, h)]
        for layer in self.layers:
            stacks.append(layer(*stacks[-1], labels))
        return stacks

    @torch.no_grad()
    def draw_codes(self, count: int, generator: torch.Generator, labels: Labels | None = None) -> Codes:
        """Ancestral sampling: the codes are drawn one after the other, each given the earlier codes."""
        device = self.where.device
        codes = torch.zeros(count, *self.grid, dtype=torch.int64, device=device)
        for row in range(self.grid[0]):
            for column in range(self.grid[1]):
                p = self.logits(codes, labels)[:, :, row, column].softmax(1)  # (B, K)
                codes[:, row, column] = torch.multinomial(p, 1, generator=generator)[:, 0]
        return codes

    def sample(self, count: int, generator: torch.Generator, labels: Labels | None = None, noise: bool = False) -> Images:
        """`count` images, decoded from codes that the learned prior draws."""
        return self.vq_vae.pixels_of(self.vq_vae.decode(self.draw_codes(count, generator, labels)), noise, generator)

    def codes_of(self, x: Images) -> Codes:
        """The VQ-VAE's code at each position."""
        return self.vq_vae.codes_of(x)

    def reconstructions(self, x: Images, labels: Labels | None, generator: torch.Generator) -> dict[str, Images]:
        """x_hat, decoded from the codes of x."""
        return self.vq_vae.reconstructions(x, labels, generator)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that build this model again. `layers` is a module here, so its length is given."""
        return super().arguments | {"layers": len(self.layers)}


def gate(h: Float[Tensor, "B C2 h w"]) -> Hidden:
    """tanh(a) ⊙ sigmoid(b) (eq. 2). a and b are the two halves of the channels."""
    a, b = h.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


def table_cost(codes: Codes, fitted_on: Int64[Tensor, "N h w"], size: int) -> Float[Tensor, " B"]:
    """The cost of codes in nats per image, under a simple prior: independent positions, each with a table of frequencies.

    p_i(k) = (n_ik + 1) / (N + K). n_ik counts the grids in `fitted_on` with code k at position i. The + 1 (Laplace) gives a
    finite cost to a code that was never seen at i.
    """
    grid = (codes.shape[-2], codes.shape[-1]) if codes.ndim == 3 else (7, 7)
    check_codes(codes, size, grid)
    check_codes(fitted_on, size, grid)
    counts = torch.zeros(math.prod(grid), size, dtype=torch.float64)
    counts.scatter_add_(1, fitted_on.flatten(1).T, torch.ones(math.prod(grid), len(fitted_on), dtype=torch.float64))
    log_p = torch.log((counts + 1) / (len(fitted_on) + size))  # (49, K)
    return -log_p.gather(1, codes.flatten(1).T).sum(0)  # (B,)
