"""Load images: from MNIST-format files on disk, or from the handwriting that comes with this project.

    mnist, fashion-mnist, kmnist   the official `*-ubyte.gz` files in $VAE_DATA/MNIST/raw (or FashionMNIST/raw, KMNIST/raw),
                                   the folders that torchvision uses; if $VAE_DATA is not set, it is `data`
    handwriting                    1,797 real digits of 8x8 pixels (UCI optical digits, see data/README.md), enlarged to
                                   20x20 in a 28x28 frame; needs no network
    auto                           mnist if it is on disk, otherwise handwriting

Images are float32 in [0, 1], shape (N, 1, 28, 28), 1 is ink; labels are int64, shape (N,).

A .gz archive has a checksum, and so has the handwriting (SHA-256): if one of them is damaged, loading fails. An unpacked file has
no checksum. Its sizes and labels are checked, but not its pixels. So if both files exist, the archive is read.
"""

import gzip
import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

SOURCES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}  # name -> torchvision's folder
MOST_IMAGES = 100_000  # a file that claims more images is refused; the training split of these data sets has 60,000
HANDWRITING_SHA256 = "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"
BUNDLED = Path(__file__).parent / "bundled"  # where an installed package keeps the small data files
if not BUNDLED.exists():
    BUNDLED = Path(__file__).parents[1] / "data"  # where a checkout keeps them


class Digits(NamedTuple):
    """Images and labels. `source` describes the images in words; print it with every number computed from them."""

    images: Float[np.ndarray, "N 1 28 28"]
    labels: Int64[np.ndarray, " N"]
    source: str


def load(source: str = "auto", split: str = "train", folder: Path | None = None) -> Digits:
    """Load the "train" or "test" split of a source (see the top of this file) from `folder`, default `data_folder()`.

    Raises FileNotFoundError if files that must be downloaded are not on disk. Raises ValueError for an unknown name, a damaged
    file, or if the bundled handwriting is not there.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split is {split!r}; expected "train" or "test"')
    source = resolved(source, folder)
    if source == "handwriting":
        return _load_handwriting(split)

    prefix = "train" if split == "train" else "t10k"
    raw = (folder or data_folder()) / SOURCES[source] / "raw"
    images_path = _find(raw, f"{prefix}-images-idx3-ubyte", source)
    labels_path = _find(raw, f"{prefix}-labels-idx1-ubyte", source)
    labels, images = _read_idx(labels_path, 1), _read_idx(images_path, 3)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path}: images are {images.shape[1]}x{images.shape[2]}; expected 28x28")
    if len(images) != len(labels):
        raise ValueError(f"{labels_path}: {len(labels)} labels for {len(images)} images; download both again")
    if labels.max() > 9:
        raise ValueError(f"{labels_path}: holds label {labels.max()}; expected 0 to 9")
    images = images[:, None].astype(np.float32) / 255  # (N, 1, 28, 28)
    return Digits(images, labels.astype(np.int64), f"{SOURCES[source]} {split} split ({len(images):,} images)")


def resolved(source: str, folder: Path | None = None) -> str:
    """The source that a name stands for: "auto" stands for mnist if it is in `folder`, otherwise for handwriting.

    Raises ValueError for an unknown name.
    """
    if source == "auto":
        return "mnist" if is_on_disk("mnist", folder) else "handwriting"
    if source not in ("handwriting", *SOURCES):
        hint = "; other images: python -m vae_paper train" if ":" in source or source in ("sprites", "cifar10") else ""
        raise ValueError(f"source is {source!r}; expected one of: auto, handwriting, {', '.join(SOURCES)}{hint}")
    return source


def data_folder() -> Path:
    """The folder of MNIST and other downloaded data sets: $VAE_DATA, or `data`."""
    return Path(os.path.expanduser(os.environ.get("VAE_DATA") or "data"))


def is_on_disk(source: str, folder: Path | None = None) -> bool:
    """Whether all four files of a source are in `folder` (default `data_folder()`), packed or unpacked."""
    raw = (folder or data_folder()) / SOURCES[source] / "raw"
    names = [f"{p}-{kind}-ubyte" for p in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    return all(any(path.is_file() for path in _paths(raw, name)) for name in names)


def _load_handwriting(split: str) -> Digits:
    path = BUNDLED / "handwriting.npz"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); restore it from the repository") from None
    if hashlib.sha256(data).hexdigest() != HANDWRITING_SHA256:
        raise ValueError(f"{path}: damaged (its SHA-256 is not that of the bundled file); restore it from the repository")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]  # (1797, 8, 8) in 0..16, and (1797,)
    chosen = slice(1437) if split == "train" else slice(1437, None)  # sorted by writer; one writer is in both splits
    small = images[chosen].astype(np.float64) / 16
    # R = ENLARGE. R X makes the columns of X longer, X Rᵀ makes its rows longer
    large = np.clip(ENLARGE @ small @ ENLARGE.T, 0, 1)  # (N, 20, 20)
    framed = np.pad(large, ((0, 0), (4, 4), (4, 4)))[:, None].astype(np.float32)  # (N, 1, 28, 28)
    source = f"the bundled handwriting, {split} split ({len(framed):,} images)"
    return Digits(framed, labels[chosen].astype(np.int64), source)


def _enlarging_matrix(small: int, large: int) -> Float[np.ndarray, "large small"]:
    """The matrix that enlarges a row of `small` pixels to `large` pixels by cubic interpolation (Keys 1981, with his parameter
    a = -1/2). Beyond the edge of the image, the edge pixel is repeated."""
    at = (np.arange(large) + 0.5) * small / large - 0.5  # centres of the large pixels; unit: a small pixel
    matrix = np.zeros((large, small))
    for row, position in enumerate(at):
        for j in range(int(np.floor(position)) - 1, int(np.floor(position)) + 3):
            d = abs(position - j)
            weight = 1.5 * d**3 - 2.5 * d**2 + 1 if d < 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            matrix[row, np.clip(j, 0, small - 1)] += weight
    return matrix


ENLARGE = _enlarging_matrix(8, 20)


def _paths(raw: Path, name: str) -> list[Path]:
    """Where a file may be. Archives come first, because an unpacked file may be incomplete. Some names have .idx, not -idx."""
    names = (name, name.replace("-idx", ".idx"))
    return [raw / f"{each}.gz" for each in names] + [raw / each for each in names]


def _find(raw: Path, name: str, source: str) -> Path:
    for path in _paths(raw, name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{raw / name}.gz: no such file; run `python -m vae_paper download {source}`, set VAE_DATA to the folder "
        f"that holds {SOURCES[source]}/raw, or choose the source handwriting (--source handwriting)"
    )


def _read_idx(path: Path, rank: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes: 0, 0, 8, rank, then each size as a big-endian int32, then the bytes."""
    try:
        with open(path, "rb") as file:
            read = gzip.GzipFile(fileobj=file).read if path.suffix == ".gz" else file.read
            header = read(4 + 4 * rank)
            if header[:4] != bytes([0, 0, 8, rank]):
                raise ValueError(f"it starts with {header[:4].hex(' ')}; expected 00 00 08 {rank:02x}: {rank}-D IDX bytes")
            sizes = np.frombuffer(header, ">i4", offset=4)
            count = int(np.prod(sizes, dtype=np.int64))
            if len(sizes) != rank or sizes.min() < 1 or sizes[0] > MOST_IMAGES or sizes[1:].max(initial=0) > 28:
                limits = f"1 to {MOST_IMAGES:,} images" + ", height and width 1 to 28" * (rank == 3)
                raise ValueError(f"its header claims sizes {sizes.tolist()}; expected {limits}")
            data = read(count + 1)  # asks for one byte more, to see whether the archive holds more
            if len(data) != count:
                found = "more" if len(data) > count else f"{len(data):,}"
                raise ValueError(f"its header says {count:,} bytes, but {found} follow")
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ValueError(f"{path}: damaged or not an IDX file ({error}); download it again") from None
    except OSError as error:
        raise OSError(error.errno, f"{path}: cannot be read ({error.strerror})") from None
    return np.frombuffer(data, np.uint8).reshape(sizes)
