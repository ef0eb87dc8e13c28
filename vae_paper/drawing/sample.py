"""`python -m vae_paper sample`: new images from any of the samplers, as one picture."""

from pathlib import Path

import torch

from vae_paper.data import data_of, trained_on
from vae_paper.drawing import figures, plots
from vae_paper.drawing.subject import caption
from vae_paper.sampling.samplers import SAMPLERS, needs_images, sample_images
from vae_paper.weight_files import find, load_with_header

ROW = 10  # images in a row
MOST = 5_000  # largest number of images in a picture: a higher picture needs much memory


def sample(
    run: str | Path,
    out: Path | None = None,
    sampler: str = "prior",
    count: int = 100,
    label: int | None = None,
    source: str | None = None,
    seed: int = 0,
) -> Path:
    """Draw `count` images from a sampler to the file `out`, and return its path. `run` is as in `load`; `label` is for the
    sampler "class" only. By default `out` is sample-SAMPLER.png, in the folder of `figures.draw`.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"count is {count}: expected 1 to {MOST:,}, for one picture; or use sample_images in Python")
    if label is not None and sampler != "class":
        raise ValueError(f"label is {label}, and the sampler {sampler} does not use it; choose --sampler class")
    model, about = load_with_header(run)
    if model.prior_of_image:
        raise ValueError(f"{run}: this model draws only the rest of a given image; use figures --kind completions")
    if source is not None and not needs_images(sampler, model):
        raise ValueError(f"source is {source}, and the sampler {sampler} uses no images; leave it out")
    train = data_of(about, "train", source).like(model) if needs_images(sampler, model) else None
    if train is not None and source is None and not trained_on(about, train):
        raise ValueError(f"{run} was trained on {about.get('data')}, and the data are now: {train.about}; choose a --source")
    images, labels = sample_images(model, count, sampler, seed, label, train)
    said = SAMPLERS[sampler] if train is not None else model.drawn_from or "z ~ N(0, I), for which this model was not trained"
    classes = model.classes if model.takes_labels else int(labels.max()) + 1 if labels is not None and label is None else ROW
    row = classes if classes <= plots.MOST_CLASSES else ROW
    in_turn = labels is not None and label is None and labels.tolist() == [i % row for i in range(count)]
    columns = [str(c) for c in range(row)] if in_turn else None
    blank = torch.zeros(-count % row, *images.shape[1:])  # fills the last row
    sheet = torch.cat([images, blank]).unflatten(0, (-1, row)).numpy()
    said = f"Samples: {said}" + ("" if label is None else f", label {label}")
    across = "label given to the model" if model.takes_labels else "label of the training images to which the Gaussian was fitted"
    rows = [f"{start + 1} to {min(start + row, count)}" for start in range(0, count, row)]
    out = out or figures.file_of(figures.folder_of(find(run)), f"sample-{sampler}")
    plots.grid(out, sheet, caption(said, model, about), rows, columns, across if columns else "")
    return out
