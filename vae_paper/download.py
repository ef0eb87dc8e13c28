"""Download MNIST, Fashion-MNIST, KMNIST or CIFAR-10 (with checksums, from torchvision's mirrors; CIFAR-10 from its own
page). A failure leaves no new file."""

import contextlib
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from vae_numpy import digits
from vae_numpy.files import is_gone, write_atomically
from vae_paper import cifar

NAMES = [f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
# A separate process downloads: if a server sends one byte per second, only killing that process stops the download.
FETCH = "import sys; from torchvision import datasets; getattr(datasets, sys.argv[1])(sys.argv[2], download=True)"
# torchvision's own CIFAR-10 is a pickle: this fetches the binary version instead.
FETCH_CIFAR = f"""import sys; from torchvision.datasets.utils import download_url
download_url({cifar.URL!r}, sys.argv[2] + "/CIFAR10", md5={cifar.MD5!r})"""
# If this process ends or is killed, the standard input of the download process ends. Then that process ends too.
WATCH = "import os, threading; threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()\n"


def download(source: str, seconds: float = 600) -> Path:
    """Fetch a data set into `digits.data_folder()` within a time limit; returns the folder of its files.

    If all files of the data set can be read, as archives or as unpacked files, nothing is fetched. Otherwise all archives are
    fetched. An unpacked file that differs from its archive is written again. Raises ValueError if the download fails; then no
    new file is left behind.
    """
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ValueError(f"seconds is {seconds:g}: expected more than 0, and a finite number")
    if source not in (*digits.SOURCES, "cifar10"):
        raise ValueError(f"source is {source!r}; expected one of: {', '.join(digits.SOURCES)}, cifar10")
    folder, name = digits.data_folder(), digits.SOURCES.get(source, "CIFAR10")
    archives = [cifar.archive(Path())] if source == "cifar10" else [Path(name, "raw", archive) for archive in NAMES]
    target = folder / archives[0].parent
    if not _is_whole(source, folder):
        if taken := [folder / path for path in archives if (folder / path).exists() and not (folder / path).is_file()]:
            raise ValueError(f"{taken[0]}: is no regular file; remove it. Nothing was downloaded")
        with _temporary(folder) as temporary:
            _fetch(name, temporary, seconds)
            _read(source, Path(temporary))
            target.mkdir(parents=True, exist_ok=True)
            for path in archives:
                os.replace(Path(temporary) / path, folder / path)
    _repair(target)
    return target


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[str]:
    """A temporary folder in `folder`, for the download. Temporary folders of killed processes are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob(".download-*"):
        if is_gone(stale.name.split("-")[1]):
            shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".download-{os.getpid()}-") as temporary:
        yield temporary


def _read(source: str, folder: Path) -> None:
    """Read a data set to check it. (CIFAR-10 has one archive for both splits: reading one split checks both.)"""
    for split in ("test",) if source == "cifar10" else ("train", "test"):
        cifar.load(split, folder) if source == "cifar10" else digits.load(source, split, folder)


def _is_whole(source: str, folder: Path) -> bool:
    try:
        _read(source, folder)
    except (FileNotFoundError, ValueError):  # not there, or damaged
        return False
    return True


def _repair(folder: Path) -> None:
    """Rewrite unpacked files that differ from their archive. (torchvision reads them without a check, even incomplete ones.)"""
    for archive in (folder / name for name in NAMES):
        unpacked = archive.with_suffix("")
        if archive.is_file() and unpacked.is_file():
            contents = gzip.decompress(archive.read_bytes())
            if unpacked.read_bytes() != contents:
                write_atomically(unpacked, contents)


def _fetch(name: str, folder: str, seconds: float) -> None:
    command = [sys.executable, "-c", WATCH + (FETCH_CIFAR if name == "CIFAR10" else FETCH), name, folder]
    read, write = os.pipe()
    try:
        subprocess.run(command, timeout=seconds, check=True, capture_output=True, text=True, stdin=read)
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{name} did not arrive within {seconds:g} seconds; nothing was kept. Try again, or increase --seconds"
        ) from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["no message"])[-1]
        if "torchvision::" in error.stderr or "import torchvision" in error.stderr or "No module" in said:
            raise ValueError(
                f"torchvision cannot be imported ({said}): its version must fit torch's version; install both "
                "together: pip install --upgrade --force-reinstall torch torchvision"
            ) from None
        raise ValueError(f"{name} could not be downloaded ({said}); nothing was kept. Is this machine online?") from None
    finally:
        os.close(read)
        os.close(write)
