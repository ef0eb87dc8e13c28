"""Your own images: a folder of image files, or one file of arrays. docs/images.md has examples.

    folder:PATH       PNG, JPEG, GIF, BMP, WebP, TIFF or PPM files; one subfolder per class, or no subfolders and no classes
    array:FILE.npz    `images`: uint8, bool, or floats in [0, 1]; (N, H, W), (N, H, W, C) or (N, C, H, W)
                      `labels`, optional: (N,), integers
                      `test`, optional: (N,), bool, True for a test image

About one image in ten is a test image. A hash decides: for a folder, the hash of the file's path; for an array without `test`,
the hash of the pixels. So if you add images later, the old images stay in their split.

The images of a folder are decoded once for each `shape`, and stored in one file with a checksum in $VAE_DATA/cache. They are
decoded again if a file of the folder changes.

Legend: N images, C channels, H height, W width.
"""

import contextlib
import hashlib
import json
import os
import sys
import unicodedata
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image, ImageOps
from tqdm import tqdm

from vae_numpy import digits, weights
from vae_numpy.checks import check_labels, check_pixels
from vae_numpy.files import why_unreadable
from vae_paper.config import ARRAY, FOLDER

FORMATS = {
    "PNG": "png", "JPEG": "jpg jpeg", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif tiff", "PPM": "ppm pgm pbm",
}  # fmt: skip
ENDINGS = tuple(f".{ending}" for endings in FORMATS.values() for ending in endings.split())
MOST_PIXELS = 32_000_000  # in one image file: decoding and converting take up to 20 bytes per pixel
MOST_NUMBERS = 2_000_000_000  # in all images of a source: 8 GB as float32
TESTED = 10  # about one image in TESTED is a test image
NAMED = 10  # how many broken files are printed by name; the others are only counted
VERSION = 1  # of the cached file: increase it when the code reads images in another way

Shape = tuple[int, int, int]


class Pictures(NamedTuple):
    """One split of a source. `about` is its description. Print it with every number computed from these images."""

    images: Float[np.ndarray, "N C H W"]
    labels: Int64[np.ndarray, " N"] | None
    about: str
    classes: int | None


def load(source: str, split: str, shape: Shape) -> Pictures:
    """Load the "train" or "test" split of `folder:PATH` or `array:FILE.npz`. `shape` = (C, H, W) is for the images of a folder.

    Raises FileNotFoundError, or ValueError if the source is not valid or this split has no image.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split is {split!r}; expected "train" or "test"')
    if source.startswith(ARRAY):
        x, labels, test, about = load_array(path_in(source))
    else:
        x, labels, test, about = load_folder(path_in(source), shape)
    chosen = test if split == "test" else ~test
    if not chosen.any():
        raise ValueError(
            f"{source}: of {len(x):,} images none is in the {split} split; add images (or change the "
            "array `test` of an array file)"
        )
    part = x[chosen]
    part = part.astype(np.float32) / 255 if part.dtype == np.uint8 else part.astype(np.float32)
    name, *more = about
    said = f"{name}, {split} split ({len(part):,} images){''.join(more)}"
    return Pictures(part, None if labels is None else labels[chosen], said, None if labels is None else int(labels.max()) + 1)


def count(source: str) -> int:
    """The number of images in both splits of `folder:PATH` or `array:FILE.npz`. Broken files are counted too."""
    return len(_arrays(path_in(source))["images"]) if source.startswith(ARRAY) else len(listed(path_in(source)))


def path_in(source: str) -> Path:
    """The path in a source, such as PATH in "folder:PATH"."""
    kind, _, path = source.partition(":")
    if not path or f"{kind}:" not in (FOLDER, ARRAY):
        raise ValueError(f"source is {source!r}; expected {FOLDER}PATH or {ARRAY}FILE.npz")
    return Path(path).expanduser()


def load_folder(folder: Path, shape: Shape) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, list[str]]:
    """All images of a folder, uint8 (N, C, H, W); labels (N,) or None; a mask (N,) of the test images; the parts of `about`."""
    names = listed(folder)
    if not names:
        raise ValueError(f"{FOLDER}{folder}: holds no image; expected files that end with {', '.join(ENDINGS)}")
    if len(names) * np.prod(shape, dtype=float) > MOST_NUMBERS:
        needed = 4e-9 * len(names) * np.prod(shape)
        raise ValueError(
            f"{FOLDER}{folder}: {len(names):,} images of {shape} take {needed:.0f} GB; expected at most "
            f"{4e-9 * MOST_NUMBERS:.0f}: choose a smaller --image-size"
        )
    classes = classes_of(names)
    images, read, broken = _kept(folder, names, shape)
    if not len(images):
        raise ValueError(f"{FOLDER}{folder}: none of its {len(names):,} image files can be read")
    names = [names[index] for index in read]
    skipped = f", {broken:,} broken file{'s' if broken > 1 else ''} skipped" if broken else ""
    # Unicode can write an accented letter in two ways, and file systems differ in this. The Unicode form NFC makes both equal
    numbers = np.array([hashed(os.fsencode(unicodedata.normalize("NFC", name))) for name in names], np.uint64)
    order = np.argsort(numbers)  # mixes the classes, because pictures show the first images of a split
    labels = np.array([classes.index(names[index].split("/")[0]) for index in order]) if classes else None
    return images[order], labels, numbers[order] % TESTED == 0, [f"folder {folder.resolve().name}", skipped]


def listed(folder: Path) -> list[str]:
    """The image files in a folder and its subfolders: sorted relative paths, a/b.png on every system. Hidden ones are left out.

    ValueError if a folder cannot be read, or if a symbolic link leads to a folder that was read already.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{FOLDER}{folder}: no such folder in {Path.cwd()}; choose its present place with --source")

    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions, or move it away")

    found, seen = [], set()
    for here, below, files in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            raise ValueError(f"{here}: is read twice, because of a symbolic link; remove the link")
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        images = [name for name in files if name.lower().endswith(ENDINGS) and not name.startswith(".")]
        found += [(Path(here) / name).relative_to(folder).as_posix() for name in images]
    return sorted(found)


def classes_of(names: list[str]) -> list[str]:
    """The classes: the subfolders with images, sorted. [] if no image is in a subfolder; ValueError if only some are."""
    beside = [name for name in names if "/" not in name]
    if beside and len(beside) < len(names):
        raise ValueError(
            f"{beside[0]}: lies beside subfolders with images; expected all in subfolders (the classes), or no subfolders"
        )
    return [] if beside else sorted({name.split("/")[0] for name in names})


def hashed(content: bytes) -> int:
    """The 64-bit hash of an image's path or pixels. If it is a multiple of TESTED, the image is a test image."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8])


def _kept(folder: Path, names: list[str], shape: Shape) -> tuple[np.ndarray, np.ndarray, int]:
    """Decode the images, or read them from the cache. Returns images, their indices in `names`, number of broken files."""
    C, H, W = shape
    stats = []
    for name in names:
        with contextlib.suppress(OSError):  # a symbolic link without a target, or to itself
            status = (folder / name).stat()
            stats.append((name, status.st_size, status.st_mtime_ns))
    key = hashlib.sha256(json.dumps([VERSION, shape, names, stats]).encode()).hexdigest()
    where = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:8]
    path = digits.data_folder() / "cache" / f"{folder.resolve().name}-{where}-{C}x{H}x{W}.safetensors"
    try:
        kept, about = weights.load_tensors(path)
        if about.get("key") == key:
            return kept["images"], kept["read"], len(names) - len(kept["read"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError):
        print(f"{path}: the stored images are damaged or cannot be read; the folder is read again", file=sys.stderr)
    images, broken = np.empty((len(names), *shape), np.uint8), 0
    read: list[int] = []
    for index, name in enumerate(tqdm(names, desc=f"reading {folder.name}", unit="image", disable=None)):
        try:
            images[len(read)] = read_image(folder / name, shape)
            read.append(index)
        except Exception as error:  # for a broken file, a decoder may raise any exception
            broken += 1
            if broken <= NAMED:
                tqdm.write(f"{folder / name}: skipped, not read ({' '.join(str(error).split())[:200]})", file=sys.stderr)
    if broken:
        print(f"{FOLDER}{folder}: {broken:,} of {len(names):,} files skipped", file=sys.stderr)
    kept = {"images": images[: len(read)], "read": np.array(read, np.int64)}
    if read:
        try:
            weights.save_tensors(path, kept, {"key": key, "folder": folder.name})
        except OSError as error:
            print(f"{error.strerror}; the folder will be read again next time", file=sys.stderr)
    return kept["images"], kept["read"], broken


def read_image(path: Path, shape: Shape) -> UInt8[np.ndarray, "C H W"]:
    """The first frame of an image file, uint8. It is turned upright (EXIF), its central part is resized to H x W.

    Transparent parts become white (not in 16-bit gray images). 16-bit gray levels are divided by 257. For a broken file:
    ValueError, OSError, or any other exception of the decoder.
    """
    C, H, W = shape
    if not path.is_file():  # for example a pipe: reading it may never end
        raise ValueError("not a file")
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=list(FORMATS)) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            opened.draft(None, (2 * W, 2 * H))  # a JPEG can be decoded at 1/2, 1/4 or 1/8 of its size
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError(f"{opened.width}x{opened.height} pixels; expected at most {MOST_PIXELS:,}")
        image = ImageOps.exif_transpose(opened)
        if image.mode == "F":
            raise ValueError("its pixels are floating point numbers; expected 8 or 16 bits")
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) / 257).round().astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if C == 1 else "RGB")
        pixels = np.asarray(ImageOps.fit(image, (W, H), Image.Resampling.BICUBIC))
    return pixels[None] if C == 1 else pixels.transpose(2, 0, 1)


def load_array(path: Path) -> tuple[np.ndarray, np.ndarray | None, Bool[np.ndarray, " N"], list[str]]:
    """All images of a file, uint8 or floats (N, C, H, W); labels (N,) or None; a mask (N,) of the test images; `about`."""
    found = _arrays(path)
    x, labels, test = found["images"], found.get("labels"), found.get("test")
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.size:
        raise ValueError(
            f"{path}: images are {found['images'].shape}; expected (N, H, W), (N, H, W, C) or (N, C, H, W), with C = 1 or 3"
        )
    if x.size > MOST_NUMBERS:
        raise ValueError(f"{path}: images hold {x.size:,} numbers; expected at most {MOST_NUMBERS:,}")
    try:
        if x.dtype == bool or x.dtype.kind == "f":  # bool, or floats of any precision and byte order
            x = x.astype(np.float64 if x.dtype.itemsize > 4 else np.float32)
        if x.dtype.kind in "iu" and x.dtype != np.uint8:
            raise ValueError(f"images are {x.dtype}; expected uint8, bool, or floats in [0, 1]")
        if x.dtype != np.uint8:
            check_pixels(x)
        if labels is not None:
            if labels.dtype.kind not in "iu":
                raise ValueError(f"labels are {labels.dtype}; expected whole numbers from 0: the class of each image")
            labels = labels.astype(np.int64)
            check_labels(labels, len(x), int(labels.max(initial=0)) + 1)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if test is None:
        test = np.array([hashed(image.tobytes()) % TESTED == 0 for image in np.ascontiguousarray(x)])
    if test.shape != (len(x),) or test.dtype != bool:
        raise ValueError(f"{path}: test is {test.shape}, {test.dtype}; expected ({len(x)},), bool: True for a test image")
    return x, labels, test, [f"array {path.name}"]


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file. ValueError if the file is damaged, if its arrays are too large, or if it has no images."""
    if not path.is_file():
        raise FileNotFoundError(f"{ARRAY}{path}: {why_unreadable(path)}")
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
        if size > 4 * MOST_NUMBERS:
            raise ValueError(f"its arrays take {size:,} bytes; expected at most {4 * MOST_NUMBERS:,}")
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in ("images", "labels", "test") if name in file.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read as a .npz file ({' '.join(str(error).split())[:200]})") from None
    if "images" not in found:
        raise ValueError(f"{path}: has no array named images; expected images, and labels if there are classes")
    return found
