"""`python -m vae_paper sample`: new images from any of the samplers, as one picture."""

from pathlib import Path

import torch

from vae_paper import checkpoint, evaluate, figures, samplers
from vae_paper.cvae import CLASSES
from vae_paper.pictures import KINDS, caption, x_hat

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
    if about["model"] not in KINDS["samples"].models:
        raise ValueError(f"{run} holds the model {about['model']}; expected {' or '.join(KINDS['samples'].models)}")
    train = None
    if samplers.looks_at_images(sampler, model):
        config = about.get("config", {})
        train = evaluate.load_data(source or config.get("source", "auto"), "train", config.get("binarise", "none"))
    z, labels = samplers.draw(sampler, model, count, seed, label, train)
    blank = torch.zeros(-count % ROW, 1, 28, 28)  # fills the last row
    images = torch.cat([x_hat(model, z, labels), blank]).unflatten(0, (-1, ROW)).numpy()
    said = f"Samples: x̂ of {samplers.SAMPLERS[sampler]}" + ("" if label is None else f", label {label}")
    in_turn = label is None and (sampler == "class" or (model.takes_labels and sampler != "aggregate"))
    columns = [str(c) for c in range(CLASSES)] if in_turn else None
    rows = [f"{start + 1}…" for start in range(0, count, ROW)]
    figures.grid(out, images, caption(said, model, about), rows, columns, "class asked for" if columns else "")
