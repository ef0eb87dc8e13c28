"""Samplers choose the z from which a decoder draws new images.

The sampler "prior" draws z from the prior p(z). But in training, the decoder gets z from the aggregate posterior q(z), the
mean of q(z|x) over x, and q(z) differs from p(z). The other samplers make this mismatch smaller: they use the latents of
training images, or Gaussians fitted to them. (Exception: for a conditional model, the sampler "class" uses the
prior.)

Legend: N training images, M samples, D latent size. `encoded`, the codes: one z for each training image. With the same seed,
every function gives the same result.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_numpy.checks import check_alike, check_at_least, check_labels
from vae_paper.data import Data
from vae_paper.measuring.elbo import evaluating, terms_of
from vae_paper.vae import Images, Model

Latents = Float[np.ndarray, "N D"]
Samples = Float[np.ndarray, "M D"]
ClassLabels = Int64[np.ndarray, " N"]

FITTED_ON = 10_000  # training images: enough to fit 10 full covariances at D = 20; encoding takes seconds
COMPONENTS = 10  # Gaussians in the mixture, as in Ghosh et al. 2020 (arXiv:1903.12436, section 4)
AT_ONCE = 500  # images that are decoded together

SAMPLERS = {
    "prior": "the prior",
    "aggregate": "z ~ q(z|x) of random training images",
    "mixture": f"z from a mixture of {COMPONENTS} Gaussians, fitted to training images' z",
    "class": "z from a Gaussian fitted to the z of training images of the class",
}


def needs_images(name: str, model: Model) -> bool:
    """Whether a sampler needs training images. "prior" never needs them; "class" needs them unless the model takes labels."""
    if name not in SAMPLERS:
        raise ValueError(f"sampler is {name!r}; expected one of: {', '.join(SAMPLERS)}")
    return name != "prior" and not (name == "class" and model.takes_labels)


@torch.inference_mode()
def sample_images(
    model: Model, count: int, name: str = "prior", seed: int = 0, label: int | None = None, train: Data | None = None
) -> tuple[Images, Int64[Tensor, " M"] | None]:
    """`count` images from the sampler `name`, and their labels (see `draw`).

    The labels are None, except if the model takes labels or `name` is "class". `train`: training images, only for a sampler
    that `needs_images`.
    """
    check_at_least(1, count=count)
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        if needs_images(name, model):
            z, labels = draw(name, model, count, seed, label, train)
            images = [model.images_of(*part, generator) for part in zip(z.split(AT_ONCE), labels.split(AT_ONCE), strict=True)]
        else:
            _check_label(label, model.classes)
            labels = torch.arange(count) % model.classes if label is None else torch.full((count,), label)
            asked = labels.split(AT_ONCE)
            images = [model.sample(len(part), generator, part if model.takes_labels else None) for part in asked]
    return torch.cat(images), labels if model.takes_labels or name == "class" else None


def draw(
    name: str, model: Model, count: int, seed: int = 0, label: int | None = None, train: Data | None = None
) -> tuple[Float[Tensor, "M D"], Int64[Tensor, " M"]]:
    """`count` latents from a sampler that needs training images, and their labels.

    The labels are `label`, or all classes in turn. But for "aggregate" with a conditional model, they are the labels of the
    training images whose z was drawn.
    """
    if not needs_images(name, model):
        raise ValueError(f"sampler is {name!r}; expected one that needs training images")
    if train is None:
        raise ValueError(f"the sampler {name} needs training images; none were given; pass train")
    check_at_least(1, count=count)
    check_at_least(0, seed=seed)
    rng = np.random.default_rng(seed)
    classes = model.classes if model.takes_labels or train.labels is None else int(train.labels.max()) + 1
    _check_label(label, classes)
    labels = np.arange(count) % classes if label is None else np.full(count, label)
    train = train.subset(rng.permutation(len(train.images))[:FITTED_ON])
    encoded = latents_of(model, train, int(rng.integers(2**31)))
    labels_of_train = None if train.labels is None else train.labels.cpu().numpy()
    if name == "aggregate":
        picked = rng.integers(len(encoded), size=count)
        z, labels = encoded[picked], labels_of_train[picked] if model.takes_labels and labels_of_train is not None else labels
    elif name == "mixture":
        z = mixture(encoded, count, rng)
    elif labels_of_train is None:
        raise ValueError("the sampler class needs training images with labels; these have none; choose another sampler")
    else:
        z = per_class(encoded, labels_of_train, labels, rng)
    return torch.from_numpy(z).to(model.dtype), torch.from_numpy(labels.astype(np.int64))


def _check_label(label: int | None, classes: int) -> None:
    if label is not None and not 0 <= label < classes:
        raise ValueError(f"label is {label}: expected 0 to {classes - 1}")


def latents_of(model: Model, data: Data, seed: int = 0) -> Latents:
    """Samples of the aggregate posterior, float64: one z ~ q(z|x) for each image (an autoencoder's z has no noise)."""
    terms = terms_of(model, data, seed=seed)
    if terms.z is None:
        raise ValueError(f"the terms of a {type(model).__name__} have no z; expected a model whose latents are vectors")
    return terms.z[0].numpy()


def mixture(encoded: Latents, count: int, rng: np.random.Generator, components: int = COMPONENTS) -> Samples:
    """z from a mixture of Gaussians with full covariances, fitted to the codes by expectation maximisation (scikit-learn)."""
    from sklearn.mixture import GaussianMixture  # imported here: only this sampler needs it, and the import takes a second

    _check(encoded, count)
    if len(encoded) < components:
        raise ValueError(f"the mixture has {components} components: expected at least as many images, found {len(encoded)}")
    fitted = GaussianMixture(components, random_state=int(rng.integers(2**31))).fit(encoded)
    z, _ = fitted.sample(count)  # sorted by component
    return rng.permutation(z)


def gaussian(encoded: Latents, count: int, rng: np.random.Generator) -> Samples:
    """z from one Gaussian with the codes' mean and full covariance."""
    _check(encoded, count)
    return rng.multivariate_normal(encoded.mean(0), np.atleast_2d(np.cov(encoded.T)), size=count)


def per_class(encoded: Latents, classes: ClassLabels, labels: Int64[np.ndarray, " M"], rng: np.random.Generator) -> Samples:
    """One z for each of `labels`, from a Gaussian fitted to the codes of that class. `classes`: the class of each code."""
    check_labels(classes, len(encoded), int(classes.max(initial=0)) + 1)
    z = np.empty((len(labels), encoded.shape[1]))
    for label in np.unique(labels):
        of_class, asked = encoded[classes == label], labels == label
        if len(of_class) < 2:
            raise ValueError(f"label is {label}: {len(of_class)} training images of that class; expected at least 2")
        z[asked] = gaussian(of_class, int(asked.sum()), rng)
    return z


def _check(encoded: Latents, count: int) -> None:
    check_alike(2, codes=encoded)
    if len(encoded) < 2 or not np.isfinite(encoded).all():
        raise ValueError(f"codes are {encoded.shape}: expected at least 2, all finite")
    check_at_least(1, count=count)
