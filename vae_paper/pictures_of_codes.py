"""What the pictures of a VQ-VAE and of a prior over its codes show."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper import figures
from vae_paper.cvae import CLASSES
from vae_paper.evaluate import encode_all
from vae_paper.pictures import Subject
from vae_paper.pixel_prior import PixelPrior
from vae_paper.vq_vae import VQVAE, usage


def vq_vae_of(model: Any) -> VQVAE:
    """The VQ-VAE itself, or the one whose codes the prior knows."""
    return model.vq_vae if isinstance(model, PixelPrior) else model


@torch.inference_mode()
def reconstructions(subject: Subject, path: Path) -> None:
    """x, and x_hat of its codes."""
    x, labels = subject.x()[:12], subject.test.labels[:12].tolist()
    vq_vae = vq_vae_of(subject.model)
    images = torch.stack([x, torch.sigmoid(vq_vae.decode(vq_vae.encode(x)))]).numpy()
    said = subject.caption(f"Reconstructions, {vq_vae.codes} codes")
    figures.grid(path, images, said, ["x", "x̂ of its codes"], [str(label) for label in labels], "label")


def samples(subject: Subject, path: Path) -> None:
    """x_hat of 100 samples of the prior: of uniform codes, or of a learned prior, which is then given beside them."""
    images, said, columns = drawn(subject.model, 10 * CLASSES, subject.seed)
    rows = None
    if isinstance(subject.model, PixelPrior):
        uniform, _, _ = drawn(subject.model.vq_vae, CLASSES, subject.seed)
        images, rows = torch.cat([images, uniform]), ["learned", *[""] * 9, "uniform"]
    across = "class asked for, of the learned prior" if columns else ""
    sheet = images.unflatten(0, (-1, CLASSES)).numpy()
    figures.grid(path, sheet, subject.caption(f"Samples: x̂ of {said}", tested=False), rows, columns, across)


@torch.inference_mode()
def drawn(
    model: Any, count: int, seed: int, label: int | None = None
) -> tuple[Float[Tensor, "N 1 28 28"], str, list[str] | None]:
    """x_hat of `count` grids of codes, what they are drawn from, and, where the prior is asked for 0 to 9 in turn, these."""
    if count < 1:
        raise ValueError(f"count is {count}: expected at least 1")
    generator = torch.Generator().manual_seed(seed)
    if not isinstance(model, PixelPrior):
        return torch.sigmoid(model.decode(model.sample(count, generator))), "uniform codes", None
    if not model.class_conditional:
        return torch.sigmoid(model.decode(model.sample(count, generator, None))), "the learned prior's codes", None
    labels = torch.arange(count) % CLASSES if label is None else torch.full((count,), label)
    images = torch.sigmoid(model.decode(model.sample(count, generator, labels)))
    return images, "the learned prior's codes, given the class", None if label is not None else [str(c) for c in range(CLASSES)]


def codebook_usage(subject: Subject, path: Path) -> None:
    """How often each code is chosen for the test images."""
    vq_vae = vq_vae_of(subject.model)
    counts = usage(encode_all(vq_vae, subject.test, torch.Generator().manual_seed(subject.seed)), vq_vae.codes)
    figures.codebook_usage(path, {"test images": counts.numpy()}, subject.caption("How often each code is chosen"))
