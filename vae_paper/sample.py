"""`python -m vae_paper sample`: new images from any of the samplers, as one picture."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_paper import checkpoint, evaluate, figures, samplers
from vae_paper.cvae import CLASSES
from vae_paper.gallery import CODES, KINDS
from vae_paper.pictures import caption, x_hat
from vae_paper.pictures_of_codes import drawn
from vae_paper.pixel_vae import PixelVAE
from vae_paper.vae import VAE

ROW = 10  # images: one of each class, where classes are asked for in turn


def sample(
    run: Path,
    out: Path,
    sampler: str = "prior",
    count: int = 100,
    label: int | None = None,
    source: str | None = None,
    seed: int = 0,
) -> None:
    """Draw `count` samples of the model in a run's folder or weight file; `label` is for the sampler "class"."""
    if count < 1:
        raise ValueError(f"count is {count}: expected at least 1")
    if label is not None and sampler != "class":
        raise ValueError(f"label is {label}, and the sampler {sampler} does not use it; choose --sampler class")
    if label is not None and not 0 <= label < CLASSES:
        raise ValueError(f"label is {label}: expected 0 to {CLASSES - 1}")
    model, about = checkpoint.load_model(run)
    if about["model"] not in KINDS["samples"]:
        raise ValueError(f"{run} holds the model {about['model']}; expected {' or '.join(KINDS['samples'])}")
    if about["model"] in CODES:
        if sampler not in ("prior", "class") or (sampler == "class" and not getattr(model, "class_conditional", False)):
            raise ValueError(f"{run}: a {about['model']} has no sampler {sampler}; expected prior (or class, if conditional)")
        images, said, columns = drawn(model, count, seed, label)
    else:
        z, labels, said = latents(model, about, sampler, count, label, source, seed)
        images = model.sample(z, torch.Generator().manual_seed(seed)) if isinstance(model, PixelVAE) else x_hat(model, z, labels)
        in_turn = label is None and (sampler == "class" or (model.takes_labels and sampler != "aggregate"))
        columns = [str(c) for c in range(CLASSES)] if in_turn else None
    blank = torch.zeros(-count % ROW, 1, 28, 28)  # fills the last row
    sheet = torch.cat([images, blank]).unflatten(0, (-1, ROW)).numpy()
    said = f"Samples: {'pixels drawn' if isinstance(model, PixelVAE) else 'x̂'} of {said}" + (
        "" if label is None else f", label {label}"
    )
    rows = [f"{start + 1}…" for start in range(0, count, ROW)]
    figures.grid(out, sheet, caption(said, model, about), rows, columns, "class asked for" if columns else "")


def latents(
    model: VAE, about: dict[str, Any], sampler: str, count: int, label: int | None, source: str | None, seed: int
) -> tuple[Tensor, Tensor, str]:
    """z (N, D), labels, and in words what z is drawn from."""
    train = None
    if samplers.looks_at_images(sampler, model):
        config = about.get("config", {})
        train = evaluate.load_data(source or config.get("source", "auto"), "train", config.get("binarise", "none"))
    z, labels = samplers.draw(sampler, model, count, seed, label, train)
    return z, labels, samplers.SAMPLERS[sampler]
