"""CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"): 60,000 colour images, 32x32, 10 classes.

The file is $VAE_DATA/CIFAR10/cifar-10-binary.tar.gz, the binary version of the data set, which contains no pickle.
"""

import hashlib
import tarfile
from pathlib import Path

import numpy as np

from vae_numpy import digits
from vae_paper.image_files import Pictures

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # from the data set's web page
IMAGES = 10_000  # in each of the six files of the archive
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then all red values, all green, all blue, each row by row


def archive(folder: Path | None = None) -> Path:
    """The path of the archive."""
    return (folder or digits.data_folder()) / "CIFAR10" / URL.rpartition("/")[2]


def load(split: str, folder: Path | None = None) -> Pictures:
    """The "train" (50,000 images) or "test" (10,000) split. Raises FileNotFoundError, or ValueError for a damaged archive."""
    if split not in ("train", "test"):
        raise ValueError(f'split is {split!r}; expected "train" or "test"')
    path = archive(folder)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run `python -m vae_paper download cifar10`, or set VAE_DATA")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() != MD5:
            raise ValueError(f"{path}: damaged (its MD5 is not that of the data set); download it again")
    wanted = ["test_batch.bin"] if split == "test" else [f"data_batch_{number}.bin" for number in range(1, 6)]
    with tarfile.open(path) as packed:
        files = ((Path(member.name).name, packed.extractfile(member)) for member in packed if member.isfile())
        parts = {name: file.read() for name, file in files if file and name in wanted}
    records = np.frombuffer(b"".join(parts[name] for name in wanted), np.uint8).reshape(len(wanted) * IMAGES, RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return Pictures(images, records[:, 0].astype(np.int64), f"CIFAR-10, {split} split ({len(images):,} images)", 10)
