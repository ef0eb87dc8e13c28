"""An animation of the 2-D latent space during training. To get the frames, the run is trained again from its seed.

(A run's folder does not keep the weights of every frame: they would take 40 times the disk space.)
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vae_numpy.checks import check_at_least
from vae_paper.config import Config
from vae_paper.data import load_data, shape_asked, split
from vae_paper.drawing import plots
from vae_paper.drawing.latent_space import decoded_manifold
from vae_paper.drawing.subject import Subject
from vae_paper.initial import initial_model
from vae_paper.training import adamw, steps
from vae_paper.vae import Model

FRAMES = 40


def animation(subject: Subject, path: Path) -> None:
    """Write a GIF of the decoded latent space (`decoded_manifold`) during training, from step 0 to the last step."""
    config = Config(**subject.about["config"])
    epochs, _ = config.epochs_and_batch_size()
    frames: list[Float[np.ndarray, "N C H W"]] = []
    said: list[str] = []

    def look(step: int, total: int, model: Model) -> None:
        frames.append(decoded_manifold(model, 12))
        said.append(f"step {step:,} of {total:,}, epoch {step / total * epochs:.2f}")

    replay(config, look, FRAMES, subject.about.get("digest"))
    plots.animation(path, frames, said, subject.caption("The latent space while it forms", tested=False))


def replay(config: Config, look: Callable[[int, int, Model], None], times: int, digest: str | None = None) -> Model:
    """Train as `config` says, but write no files. Call look(step, total, model) at most `times` times, first at step 0.

    Returns the model after the last step. ValueError if the training images do not have `digest` (None: not checked).
    """
    if config.device != "cpu":
        raise ValueError(f"the run was trained on {config.device}; the animation can train again only on the CPU")
    whole = load_data(config.source, "train", config.binarise, "cpu", shape_asked(config))
    data, _ = split(whole, config.validation)
    if digest is not None and data.digest != digest:
        raise ValueError(f"the run was trained on other images than {data.about}; restore the data")
    model = initial_model(config, data=whole).to(config.device)
    optimizer = adamw(config, model)
    epochs, batch_size = config.epochs_and_batch_size()
    total = epochs * (len(data.images) // batch_size)
    wanted = moments(total, times)
    look(0, total, model)
    bar = tqdm(steps(config, model, optimizer, data), total=total, desc="training again", disable=None)
    for step, _ in enumerate(bar, start=1):
        if step in wanted:
            look(step, total, model)
    return model


def moments(total: int, times: int) -> set[int]:
    """The steps at which `replay` calls look, from 0 to `total`. Early steps lie close together: there the model changes most."""
    check_at_least(1, total=total, times=times)
    return {round(total * share**2) for share in np.linspace(0, 1, times)}
