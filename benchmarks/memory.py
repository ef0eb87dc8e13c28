"""The most memory that one piece of work takes, in a process of its own: `python -m benchmarks.memory nll 5000` prints it.

Megabytes resident in all, and how many of them came after the imports: torch alone takes hundreds.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from vae_numpy import weights
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import estimators
from vae_paper.training import train

STATUS = Path("/proc/self/status")


def resident_mb() -> tuple[float, float]:
    """Now, and at most so far. (Linux's getrusage reports the parent's most where that was more, so /proc is asked first.)"""
    if STATUS.is_file():
        said = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(said["VmRSS"].split()[0]) / 1024, int(said["VmHWM"].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return most, most


def nll(k: int, source: str, images: int = 10) -> None:
    """log p(x) of a few test images from k samples each."""
    model, _ = weight_files.load_with_header(weights.PRETRAINED / "vae_mnist_d20.safetensors")
    test = load_data(source, "test", "dynamic")
    estimators.importance(model, test.replace(images=test.images[:images], labels=test.labels[:images]), [k])


def training(batch_size: int, source: str) -> None:
    """One epoch of `python -m vae_paper train`."""
    train(Config(name="memory", epochs=1, batch_size=batch_size, source=source))


WORK = {"nll": nll, "training": training}


def peak(what: str, size: int, source: str, folder: str, threads: int) -> dict[str, float]:
    """The same, asked for in a new process, in `folder`."""
    command = [sys.executable, "-m", "benchmarks.memory", what, str(size), source, str(threads)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    at_import, _ = resident_mb()
    torch.set_num_threads(int(sys.argv[4]))
    WORK[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
    _, most = resident_mb()
    print(json.dumps({"total_mb": most, "above_import_mb": most - at_import}))
