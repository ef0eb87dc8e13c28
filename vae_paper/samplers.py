"""Where z comes from when a decoder is asked for new images. The prior is what the VAE was trained for; the others look
at the codes of training images, and so repair what q(z) = mean over x of q(z|x) and p(z) disagree on.

Legend: N training images, M samples, D latent size; every function takes a numpy Generator, and so can be repeated.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_numpy.checks import check_alike, check_labels
from vae_numpy.vae import reparameterize
from vae_paper import evaluate
from vae_paper.cvae import CLASSES
from vae_paper.evaluate import Data
from vae_paper.vae import AE, VAE

Codes = Float[np.ndarray, "N D"]
Latents = Float[np.ndarray, "M D"]
ClassLabels = Int64[np.ndarray, " N"]

FITTED_ON = 10_000  # training images: enough for 10 full covariances at D = 20, encoded in seconds
COMPONENTS = 10  # of the mixture, as Ghosh et al. 2020 (arXiv:1903.12436, section 4) take

SAMPLERS = {
    "prior": "z ~ N(0, I)",
    "aggregate": "z ~ q(z|x) of random training images",
    "mixture": f"z from a mixture of {COMPONENTS} Gaussians, fitted to training images' z",
    "class": "z given the class",
}


def draw(
    name: str, model: VAE, count: int, seed: int = 0, label: int | None = None, train: Data | None = None
) -> tuple[Float[Tensor, "M D"], Int64[Tensor, " M"]]:
    """`count` latents from the sampler `name`, and the labels that go with them: `label`, or 0 to 9 in turn.

    `train` is needed by all but the prior (and the class-conditional prior of a CVAE).
    """
    if name not in SAMPLERS or count < 1:
        raise ValueError(f"{count} samples of {name!r}: expected at least 1, of one of: {', '.join(SAMPLERS)}")
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES if label is None else np.full(count, label)
    check_labels(labels, count)
    if not looks_at_images(name, model):
        z = prior(count, model.latent_dim, rng)
    elif train is None:
        raise ValueError(f"the sampler {name} looks at training images; none were given")
    else:
        chosen = rng.permutation(len(train.images))[:FITTED_ON]
        train = train._replace(images=train.images[chosen], labels=train.labels[chosen])
        encoded, classes = codes(model, train, rng), train.labels.numpy()
        if name == "aggregate":
            picked = rng.integers(len(encoded), size=count)
            z, labels = encoded[picked], classes[picked] if model.takes_labels else labels
        else:
            z = mixture(encoded, count, rng) if name == "mixture" else per_class(encoded, classes, labels, rng)
    return torch.from_numpy(z.astype(np.float32)), torch.from_numpy(labels.astype(np.int64))


def looks_at_images(name: str, model: VAE) -> bool:
    """Whether a sampler needs training images: all but the prior, which a CVAE has for each class."""
    return name != "prior" and not (name == "class" and model.takes_labels)


def prior(count: int, latent_dim: int, rng: np.random.Generator) -> Latents:
    """z ~ p(z) = N(0, I)."""
    if min(count, latent_dim) < 1:
        raise ValueError(f"prior: {count} samples, latent_dim {latent_dim}; expected at least 1 of both")
    return rng.standard_normal((count, latent_dim))


def codes(model: VAE, data: Data, rng: np.random.Generator) -> Codes:
    """The aggregate posterior, z ~ q(z|x), one for each image; an autoencoder's code is mu, as it has no noise."""
    mu, logvar = (t.double().numpy() for t in evaluate.posterior(model, data))
    return mu if isinstance(model, AE) else reparameterize(mu, logvar, rng.standard_normal(mu.shape))


def mixture(encoded: Codes, count: int, rng: np.random.Generator, components: int = COMPONENTS) -> Latents:
    """z from a Gaussian mixture of full covariances, fitted to the codes by expectation maximisation (scikit-learn)."""
    from sklearn.mixture import GaussianMixture  # a second of import that the other samplers are spared

    _check(encoded, count)
    if len(encoded) < components:
        raise ValueError(f"the mixture has {components} components: expected at least as many images, found {len(encoded)}")
    fitted = GaussianMixture(components, random_state=int(rng.integers(2**31))).fit(encoded)
    z, _ = fitted.sample(count)  # component after component
    return rng.permutation(z)


def gaussian(encoded: Codes, count: int, rng: np.random.Generator) -> Latents:
    """z from one Gaussian with the codes' mean and full covariance."""
    _check(encoded, count)
    return rng.multivariate_normal(encoded.mean(0), np.atleast_2d(np.cov(encoded.T)), size=count)


def per_class(encoded: Codes, classes: ClassLabels, labels: Int64[np.ndarray, " M"], rng: np.random.Generator) -> Latents:
    """For each of `labels` a z from the Gaussian fitted to the codes of that class."""
    check_labels(classes, len(encoded))
    z = np.empty((len(labels), encoded.shape[1]))
    for label in np.unique(labels):
        of_class, asked = encoded[classes == label], labels == label
        if len(of_class) < 2:
            raise ValueError(f"label is {label}: {len(of_class)} training images of that class; expected at least 2")
        z[asked] = gaussian(of_class, int(asked.sum()), rng)
    return z


def _check(encoded: Codes, count: int) -> None:
    check_alike(2, codes=encoded)
    if len(encoded) < 2 or not np.isfinite(encoded).all():
        raise ValueError(f"codes are {encoded.shape}: expected at least 2, all finite")
    if count < 1:
        raise ValueError(f"count is {count}: expected at least 1")
