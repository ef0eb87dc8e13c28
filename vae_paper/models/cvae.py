"""The conditional VAE (Sohn et al. 2015, "Learning Structured Output Representation using Deep Conditional Generative
Models"). It is conditioned on the class label c: the encoder is q(z|x, c), the decoder is p(x|z, c). The prior is N(0, I).

What changes from vae.py: the label is an input of the encoder and of the decoder. quadrant_cvae.py is conditioned on a part of
the image instead.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from vae_numpy.checks import check_labels, check_latents
from vae_paper.vae import MNIST, VAE, WIDTH, Images, Labels, Latents, Shape


class CVAE(VAE):
    """The one-hot label is a second input of the encoder's layer fc, and of the decoder's layer fc1.

    A linear layer of the concatenation [h, one_hot(c)] is W h + V one_hot(c) + b. W and b are the VAE's fc (or fc1). V is a
    separate layer, `encoder_label` (or `decoder_label`). So the VAE's parameters keep their names and shapes. If V = 0, this
    model is the VAE.
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
            raise ValueError(f"classes is {classes}: expected at least 2; for one class, use the model vae")
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
