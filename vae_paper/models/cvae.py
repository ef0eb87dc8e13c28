"""The conditional VAE (Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative
Models"): q(z|x, c) and p(x|z, c), conditioned on the class label c, with the prior N(0, I).

What changes from vae.py: the label enters encoder and decoder. For a model that is conditioned on a part of the image, see
quadrant_cvae.py.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from vae_numpy.checks import check_labels, check_latents
from vae_paper.vae import MNIST, VAE, WIDTH, Images, Labels, Latents, Shape


class CVAE(VAE):
    """The label enters before the ReLU of fc and fc1: fc(concat[h, one_hot(c)]) = W h + V one_hot(c) + b. V is a separate layer.

    So the parameters shared with the VAE keep their names and shapes, and with V = 0 this model is the VAE.
    """

    takes_labels = True
    recordable = True
    pictures: tuple[str, ...] = ("reconstructions", "samples", "scatter", "traversals", "cvae-grid", "rate", "curves")

    def __init__(
        self,
        latent_dim: int = 20,
        likelihood: str = "bce",
        sigma: float = 0.1,
        image_shape: Shape = MNIST,
        width: int = WIDTH,
        depth: int = 0,
        classes: int = 10,
    ) -> None:
        super().__init__(latent_dim, likelihood, sigma, image_shape, width, depth)
        if classes < 2:
            raise ValueError(f"classes is {classes}: expected at least 2; a model of one class is a vae")
        self.classes = classes
        self.encoder_label = nn.Linear(classes, 256, bias=False)
        self.decoder_label = nn.Linear(classes, 256, bias=False)

    def encode(self, x: Images, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """mu and logvar of q(z|x, c)."""
        self.check_input(x)
        return self.encoder(x, self.encoder_label(self._one_hot(labels, x)))

    def decode(self, z: Latents, labels: Labels | None = None) -> Images:
        """The logits of p(x|z, c)."""
        check_latents(z, self.latent_dim)
        return self.decoder(z, self.decoder_label(self._one_hot(labels, z)))

    def _one_hot(self, labels: Labels | None, like: Tensor) -> Float[Tensor, "B classes"]:
        if labels is None:
            raise ValueError(f"labels: this model is conditioned on them; expected {len(like)}, found none")
        check_labels(labels, len(like), self.classes)
        return one_hot(labels, self.classes).to(like.dtype)
