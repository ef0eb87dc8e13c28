"""Pictures of decoded images and of measured numbers. Each function computes the content of a picture; `plots` draws it."""

import csv
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper.drawing import plots
from vae_paper.drawing.subject import Subject, x_hat
from vae_paper.measuring.elbo import active_units
from vae_paper.vae import Images

SHOWN = 12  # largest number of images in a row
DRAWS = 10  # images for one z in `shared_latents`


@torch.inference_mode()
def reconstructions(subject: Subject, path: Path) -> None:
    """Test images x in the first row, their reconstructions in the rows below."""
    x = subject.x()[:SHOWN]
    labels = None if subject.test.labels is None else subject.test.labels[:SHOWN]
    rows = {"x": x} | subject.model.reconstructions(x, labels, torch.Generator().manual_seed(subject.seed))
    columns = None if labels is None else [str(label) for label in labels.tolist()]
    across = "label" if columns else ""
    plots.grid(path, torch.stack(list(rows.values())).numpy(), subject.caption("Reconstructions"), list(rows), columns, across)


@torch.inference_mode()
def samples(subject: Subject, path: Path) -> None:
    """Ten rows of samples of the model. For a conditional model with at most 20 classes, a column is a class."""
    model = subject.model
    by_class = model.takes_labels and model.classes <= plots.MOST_CLASSES
    length = model.classes if by_class else 10
    labels = torch.arange(10 * length) % model.classes if model.takes_labels else None
    images = model.sample(10 * length, torch.Generator().manual_seed(subject.seed), labels)
    said = f"Samples: {model.drawn_from or 'z ~ N(0, I), for which this model was not trained'}"
    columns = [str(label) for label in range(length)] if by_class else None
    across = "label given to the model" if columns else ""
    plots.grid(
        path, images.unflatten(0, (10, length)).numpy(), subject.caption(said, tested=False), columns=columns, across=across
    )


def shared_latents(subject: Subject, path: Path) -> None:
    """Five rows of ten images. All images of a row have the same z, and their pixels are drawn one by one.

    If the images of a row look alike, z holds information about the image.
    """
    generator = torch.Generator().manual_seed(subject.seed)
    z = subject.model.draw_prior(5, generator).repeat_interleave(DRAWS, 0)
    images = subject.model.images_of(z, None, generator).unflatten(0, (5, DRAWS))
    said = subject.caption("Samples: the images of a row have the same z; their pixels are drawn one by one", tested=False)
    plots.grid(path, images.numpy(), said, [f"z of sample {row + 1}" for row in range(5)])


def cvae_grid(subject: Subject, path: Path) -> None:
    """One z (the style) for each row, one class for each column."""
    model, classes = subject.model, min(subject.model.classes, plots.MOST_CLASSES)
    z = model.draw_prior(10, torch.Generator().manual_seed(subject.seed)).repeat_interleave(classes, 0)
    images = x_hat(model, z, torch.arange(classes).repeat(10)).unflatten(0, (10, classes)).numpy()
    columns, rows = [str(label) for label in range(classes)], [str(index + 1) for index in range(10)]
    said = "Style against class: one z ~ N(0, I) per row, one label per column"
    plots.grid(path, images, subject.caption(said, tested=False), rows, columns, "label given to the decoder", "style z")


@torch.inference_mode()
def completions(subject: Subject, path: Path) -> None:
    """One row for each image: its seen part, several completions, and the image itself."""
    x = subject.x()[subject.image :][:8]
    images = completed(subject.model, x, 8, subject.seed).numpy()
    columns = ["seen", *[str(k + 1) for k in range(images.shape[1] - 2)], "x"]
    rows = [f"image {subject.image + index}" for index in range(len(x))]
    if subject.test.labels is not None:
        rows = [f"a {label}" for label in subject.test.labels[subject.image :][:8].tolist()]
    said = "Completions: z ~ p(z|seen), the unseen part is x̂"
    plots.grid(path, images, subject.caption(said), rows, columns, "the seen part, then completions, last the original x")


def completed(model: Any, x: Images, count: int, seed: int) -> Float[Tensor, "B columns C H W"]:
    """For each image: its seen part (the rest gray), `count` completions that keep it, and the image itself."""
    eps = torch.randn(count, len(x), model.latent_dim, generator=torch.Generator().manual_seed(seed), dtype=model.dtype)
    rest = torch.sigmoid(model.complete(x, eps)) * (1 - model.mask)
    seen = x * model.mask
    columns = [seen + 0.5 * (1 - model.mask), *(seen + rest), x]
    return torch.stack(columns, 1)


def rate(subject: Subject, path: Path) -> None:
    """KL per latent, and which latents are active."""
    terms = subject.terms()
    assert terms.mu is not None  # every model with this picture has a mu for each image
    said = subject.caption("KL per latent. Latent j is active if the variance of E[$z_j$|x] over images is more than 0.01")
    plots.rate(path, terms.rate.mean(0).numpy(), active_units(terms.mu).numpy(), said)


def curves(subject: Subject, path: Path) -> None:
    """metrics.csv as curves."""
    assert subject.path is not None  # `why_not` has checked it
    plots.curves(path, read_metrics(subject.path / "metrics.csv"), subject.caption("Training, epoch by epoch", tested=False))


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv. ValueError for a file that is not a table of numbers."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (ValueError, TypeError, csv.Error) as error:
        raise ValueError(f"{path}: no table of numbers ({str(error)[:100]}); restore it, or draw another kind") from None


@torch.inference_mode()
def codebook_usage(subject: Subject, path: Path) -> None:
    """How often each code is chosen for the test images."""
    model: Any = subject.model
    codes = [model.codes_of(x) for x in subject.x().split(500)]
    counts = torch.bincount(torch.cat(codes).flatten(), minlength=model.codes)
    plots.codebook_usage(path, {"test images": counts.numpy()}, subject.caption("How often each code is chosen"))
