"""The subject of a picture: a model, the header of its file, and test images. It also writes the picture's caption."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vae_numpy.command_line import shown
from vae_paper import devices
from vae_paper.data import Data, data_of
from vae_paper.measuring.elbo import check_kinds, terms_of
from vae_paper.vae import Images, Model, Terms
from vae_paper.weight_files import describe, find, has_beta, load_with_header

Latents = Float[np.ndarray, "N D"]
ABBREVIATIONS = {"vae": "VAE", "ae": "AE", "cvae": "CVAE"}  # the parts of a model's name that captions write in capitals


@dataclass
class Subject:
    """A model and its test images. `Subject(model, data)` is enough for most pictures; `read` makes a subject from a run."""

    model: Model
    test: Data
    about: dict[str, Any] = field(default_factory=dict)
    """The header of the model's file."""
    path: Path | None = None
    """The run's folder, or the weight file."""
    seed: int = 0
    image: int = 0
    """Index of a test image. Traversals change its latents; interpolations and completions begin with it."""
    beside: "Subject | None" = None
    """Another subject, for the picture "side-by-side"."""

    def __post_init__(self) -> None:
        check_kinds(self.model, self.test)
        self.about = self.about or describe(self.model)
        self.model, self.test = devices.on_cpu(self.model), self.test.like(self.model).to("cpu")
        if not 0 <= self.image < len(self.test.images):
            raise ValueError(
                f"image is {self.image}: expected 0 to {len(self.test.images) - 1}, as the data are {self.test.about}"
            )

    def x(self) -> Images:
        """The test images, made binary as `test.binarisation` says."""
        return self.test.seen(self.seed)

    def terms(self) -> Terms:
        """The model's terms on the test images."""
        return terms_of(self.model, self.test, seed=self.seed)

    def labels(self, count: int) -> Int[np.ndarray, " N"]:
        """The labels of the first `count` test images: all 0 if the data have no labels."""
        return np.zeros(count, np.int64) if self.test.labels is None else self.test.labels[:count].numpy()

    def caption(self, what: str, tested: bool = True) -> str:
        """A caption: `what` the picture shows, the model, its training data, and, if `tested`, the test images."""
        return caption(what, self.model, self.about) + (f"\nTest images: {plain(self.test.about)}" if tested else "")


def read(run: str | Path, source: str | None = None, seed: int = 0, image: int = 0, beside: str | Path | None = None) -> Subject:
    """The subject of a run: its model, and the test split of `source` (default: the source of its training data)."""
    model, about = load_with_header(run)
    test, other = data_of(about, "test", source), None
    if beside is not None:  # both models use the same test images
        its_model, its_about = load_with_header(beside)
        other = Subject(its_model, test, its_about, find(beside), seed)
    return Subject(model, test, about, find(run), seed, image, other)


def name_of(about: dict[str, Any]) -> str:
    """A model's name for captions: quadrant-CVAE for "quadrant-cvae", MyVAE for "my_file.MyVAE"."""
    return "-".join(ABBREVIATIONS.get(part, part) for part in str(about["model"]).rpartition(".")[2].split("-"))


def caption(what: str, model: Model, about: dict[str, Any]) -> str:
    """A caption: `what` the picture shows, the model, and its training data, if they are known."""
    words = [name_of(about), f"D = {model.latent_dim}"]
    beta = about.get("config", {}).get("beta", 1.0)
    known = about.keys() & {"config", "data"}  # otherwise nothing is known of the training
    words += [f"β = {beta:g}"] if known and has_beta(model, about) else []
    described = f"{', '.join(words)}, {model.likelihood}"
    if "data" in about:
        # "55,000 images of MNIST (60,000 images)" becomes "55,000 images of MNIST"
        trained_on = re.sub(r"(images of .*) \([\d,]+ images\)", r"\1", shown(about["data"], 200))
        described += f"; trained on {trained_on}"
    return what + "\n" + plain(described)


def plain(text: str) -> str:
    """The text for a caption: matplotlib would read the part between two $ as a formula."""
    return text.replace("$", r"\$")


@torch.inference_mode()
def x_hat(model: Any, z: Float[Tensor, "N D"], labels: Tensor | None = None) -> Images:
    """sigmoid(logits), in the model's precision. `labels` are used only if the model takes labels."""
    return torch.sigmoid(model.decode(z.to(model.dtype), labels if model.takes_labels else None))
