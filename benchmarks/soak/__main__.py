"""`make soak`: every fault many times, counted in results/soak.json; tests/test_nothing_*.py do the same with fewer."""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.soak import children, downloads, files, training
from vae_paper.weight_files import write_json

HOUR = 3600.0


def faults(kills: int, places: int) -> dict[str, Callable[[Path], dict[str, Any]]]:
    """What is tried, each in a folder of its own."""

    def measured(work: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
        return lambda folder: children.answered(lambda: work(folder / "files"), folder, HOUR)

    weights, state = 159_000, 474_000  # bytes of the two files of training.VQ
    limits = [700, 3_000, 4096, 65_536, weights // 2, weights - 200, weights + 1000, state // 2, state - 1500, state - 600]
    return {
        "kill -9 while training, a VQ-VAE": lambda folder: training.kills(training.VQ, kills - kills // 10, folder),
        "kill -9 while training, a VAE": lambda folder: training.kills(training.VAE, kills // 10, folder, seed=1),
        "full disk while saving": lambda folder: training.full_disk(training.VQ, limits, folder),
        "damaged files": measured(lambda folder: files.damaged(folder, places)),
        "hostile files": measured(files.hostile),
        "archives that unpack to 2 GB, or claim to": measured(files.bombs),
        "servers that fail, torchvision downloading": lambda folder: downloads.interrupted(folder / "data", torchvision=True),
        "servers that fail, any client": lambda folder: downloads.interrupted(folder / "data", torchvision=False),
    }


def main() -> None:
    """Try them all; exit code 1 where anything was lost or let in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of trainings")
    parser.add_argument("--places", type=int, default=600, help="where each kind of file is damaged, in each of 6 ways")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"python": platform.python_version(), "machine": platform.processor(), "faults": {}}
    for what, work in faults(arguments.kills, arguments.places).items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            report["faults"][what] = work(Path(folder)) | {"seconds": round(time.monotonic() - began)}
        print(f"{what}: {json.dumps(report['faults'][what])}", flush=True)
    write_json(Path("results/soak.json"), report)
    sys.exit(any(row["lost"] or row["tried"] != row["survived"] for row in report["faults"].values()))


if __name__ == "__main__":
    main()
