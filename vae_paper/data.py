"""Data: images as tensors, and a description of them, which is printed beside every number computed from the images.

load_data("mnist", "test")                     a named data set, or your own folder or array file
Data(images, labels, about="my images")        your own arrays or tensors
split(data, validation=1/12)                   training and validation images
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from vae_numpy import digits
from vae_numpy.checks import check_alike, check_arrays
from vae_paper import cifar, image_files, sprites
from vae_paper.config import ARRAY, FEW_IMAGES, FOLDER, OWN, Config
from vae_paper.likelihoods import binarise

SOURCES = ("mnist", "fashion-mnist", "kmnist", "handwriting", "sprites", "cifar10")


@dataclass(frozen=True, eq=False)  # no ==: for tensors its result is a tensor, not True or False
class Data:
    """Images and labels on one device, and a description of them."""

    images: Any
    """(N, C, H, W), floats in [0, 1]. A NumPy array is copied to a tensor."""
    labels: Any = None
    """(N,), int64, or None."""
    about: str = OWN
    """The description of the images, in words."""
    binarisation: str = "none"
    """How the images are made binary (`likelihoods.binarise`). "dynamic" and "threshold": at each use. "fixed": they are
    binary already. "none": never."""
    source: str = OWN
    """The `source` with which `load_data` loads these images. For your own images: "own data"."""
    classes: int | None = None
    """Number of classes. By default the largest label + 1, or None if there are no labels."""

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            value = getattr(self, name)
            if name == "images" or value is not None:
                check_arrays(**{name: value})
            if isinstance(value, np.ndarray):
                if value.dtype.kind not in "fiub" or value.dtype.itemsize > 8:
                    raise ValueError(f"{name} are {value.dtype}; expected numbers of at most 64 bits")
                native = np.array(value, value.dtype.newbyteorder("="), order="C")  # a copy: the user's array is never changed
                object.__setattr__(self, name, torch.from_numpy(native))
        if self.classes is None and self.labels is not None and self.labels.numel():
            object.__setattr__(self, "classes", int(self.labels.max()) + 1)

    def subset(self, chosen: Any) -> "Data":
        """The data with some of the images. `chosen` is a slice, or a tensor of indices."""
        labels = None if self.labels is None else self.labels[chosen]
        return dataclasses.replace(self, images=self.images[chosen], labels=labels)

    def replace(self, **changes: Any) -> "Data":
        """The same data with other values of the named fields."""
        return dataclasses.replace(self, **changes)

    def like(self, model: Any) -> "Data":
        """The data with images in the model's precision. Images that are not floats stay unchanged: a model refuses them."""
        dtype = next((p.dtype for p in model.parameters()), self.images.dtype)
        alike = self.images.dtype == dtype or not self.images.is_floating_point()
        return self if alike else self.replace(images=self.images.to(dtype))

    def seen(self, seed: int) -> Any:
        """The images that a model gets: made binary as `binarisation` says. `seed` is the random seed of "dynamic"."""
        return binarise(self.images, self.binarisation, torch.Generator(self.images.device).manual_seed(seed))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return tuple(self.images.shape[1:])

    def to(self, device: str) -> "Data":
        """The same data on a device."""
        return self.replace(images=self.images.to(device), labels=None if self.labels is None else self.labels.to(device))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, their shape, binarisation and labels. A resumed run must have the same digest as before."""
        sha = hashlib.sha256(f"{tuple(self.images.shape)} {self.binarisation}".encode())
        for tensor in (self.images, self.labels):
            if tensor is not None:
                sha.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return sha.hexdigest()


def resolved(source: str) -> str:
    """The name of a source. "auto" becomes mnist if mnist is on disk, otherwise handwriting. ValueError for an unknown name."""
    if source == "auto":
        return digits.resolved(source)
    if source not in (*SOURCES, OWN) and not source.startswith((FOLDER, ARRAY)):
        known = ", ".join((*SOURCES, f"{FOLDER}PATH", f"{ARRAY}FILE.npz"))
        raise ValueError(f"source is {source!r}; expected one of: auto, {known}")
    return source


def count(source: str) -> int:
    """The number of images of a source, for the default epochs and batch size.

    These defaults depend only on whether a source has fewer than FEW_IMAGES images. Every named source except handwriting has
    more: for each of these the function returns FEW_IMAGES.
    """
    if source.startswith((FOLDER, ARRAY)):
        return image_files.count(source)
    return 1_437 if source == "handwriting" else FEW_IMAGES


def shape_asked(config: Config) -> image_files.Shape | None:
    """The image shape (C, H, W) that a configuration asks for. None: the source decides."""
    return None if config.image_size is None else (config.image_channels or 1, config.image_size, config.image_size)


def load_data(
    source: str, split: str, binarisation: str = "none", device: str = "cpu", shape: tuple[int, ...] | None = None
) -> Data:
    """Load one split of a source as tensors. With "fixed" binarisation, each pixel is drawn here, once, with seed 0.

    `shape` is (C, H, W). Images of a folder are read in this shape (default (3, 32, 32)). Sprites are drawn with this height H
    (default 28). Other sources have a fixed shape.
    Raises FileNotFoundError if files that must be downloaded are not on disk. Raises ValueError for an unknown name, a damaged
    file, or if the bundled handwriting is not there.
    """
    source = resolved(source)
    if source.startswith((FOLDER, ARRAY)):
        C, H, W = shape or (3, 32, 32)
        images, labels, about, classes = image_files.load(source, split, (C, H, W))
    elif source == "cifar10":
        images, labels, about, classes = cifar.load(split)
    elif source == "sprites":
        images, labels, about, classes = *sprites.load(split, shape[1] if shape else 28), None
    else:
        images, labels, about, classes = *digits.load(source, split), None
    about += "" if binarisation != "none" else ", grayscale" if images.shape[1] == 1 else ", colour"
    data = Data(torch.from_numpy(images), labels, about, source=source, classes=classes)
    return binarised(data, binarisation).to(device)


def binarised(data: Data, how: str) -> Data:
    """The data with the binarisation `how`: "fixed" draws each pixel here, once, with seed 0; "none" changes nothing."""
    if how in ("none", data.binarisation):
        return data
    data = data.replace(binarisation=how, about=f"{data.about.removesuffix(', grayscale')}, binarisation: {how}")
    if how != "fixed":
        return data
    return data.replace(images=binarise(data.images, "dynamic", torch.Generator(data.images.device).manual_seed(0)))


def check_data(data: Data) -> None:
    """Refuse images that are not floats (N, C, H, W) with N > 0, and labels that are not one per image.

    The model checks the values of the images.
    """
    if data.images.dtype == torch.uint8:
        raise ValueError("images are uint8; expected floats in [0, 1]: divide the images by 255")
    check_alike(4, images=data.images)
    labels = len(data.images) if data.labels is None else len(data.labels)
    if not len(data.images) == labels > 0:
        raise ValueError(f"data: {len(data.images)} images, {labels} labels; expected one label per image, at least one image")


def split(data: Data, validation: float) -> tuple[Data, Data]:
    """Training and validation images. `validation` is the fraction for validation. The split is the same for every seed."""
    check_data(data)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.images))).to(data.images.device)
    held_out = round(validation * len(order))
    training, held = (
        data.subset(chosen).replace(about=f"{len(chosen):,} images of {data.about}")
        for chosen in (order[held_out:], order[:held_out])
    )
    return training, held


def trained_on(about: dict[str, Any], data: Data) -> bool:
    """Whether a model was trained on these data. `about` is the header of its weight file. Also True if the header has no
    digest.

    `data` are split with the validation fraction in the header. The digest of the training images must be the header's digest.
    """
    held = about.get("config", {}).get("validation", 0.0)
    return "digest" not in about or split(data, held)[0].digest == about["digest"]


def data_of(about: dict[str, Any], split: str, source: str | None = None) -> Data:
    """One split of `source`. None: of the source in a file's header, `about`; ValueError if it is your own data."""
    config = about.get("config", {})
    named = about.get("source") or config.get("source") or _source_in(str(about.get("data", "")))
    if source is None and named == OWN:
        raise ValueError("the model was trained on data of your own: choose --source, or use vae_paper.evaluate in Python")
    shape = about.get("image_shape")  # some files have no image_shape: their images are digits, or sprites of 28x28
    return load_data(source or named, split, config.get("binarise", "none"), shape=tuple(shape) if shape else None)


def _source_in(about: str) -> str:
    """The source of a file whose header has only a description of the data. "auto" if the description has no known name."""
    words = {"FashionMNIST": "fashion-mnist", "KMNIST": "kmnist", "MNIST": "mnist", "handwriting": "handwriting"}
    return next((source for word, source in words.items() if word in about), "auto")
