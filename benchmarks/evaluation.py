"""What evaluation costs, and what all of it costs in memory: `python -m benchmarks.evaluation` writes results/evaluation.json.

Seconds of the importance-weighted bound as k grows, and per decode; peak memory as k grows, and of a training at B = 128; and
how long a user waits from a command to a picture.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine, memory
from vae_numpy import digits, weights
from vae_paper import weight_files
from vae_paper.data import Data, load_data
from vae_paper.measuring import estimators
from vae_paper.vae import VAE
from vae_paper.weight_files import write_json

ROOT = Path(__file__).parents[1]
KS = (1, 10, 100, 1000, 5000)
MOST_MB = {"training": 1500, "nll": 2000}
PICTURES = {"demo": [str(ROOT / "demo.py")], "figures": ["-m", "vae_paper", "figures", "--kind", "samples"]}


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=main.__doc__)
    parser.add_argument("--images", type=int, default=10, help="test images whose log p(x) is estimated")
    parser.add_argument("--repeats", type=int, default=3, help="of each time; their median counts")
    parser.add_argument("--ks", type=int, nargs="+", default=KS, help="samples of z per image, rising")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--source", default="auto", help="digits, as everywhere")
    parser.add_argument("--pictures", nargs="*", default=[*PICTURES], choices=[*PICTURES], help="commands to wait for")
    parser.add_argument("--out", type=Path, default=Path("results/evaluation.json"))
    chosen = parser.parse_args(args)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    # the processes that are started find this project and the digits from any folder
    os.environ |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    os.environ |= {"VAE_DATA": str(digits.data_folder().resolve())}
    model, _ = weight_files.load_with_header(weights.PRETRAINED / "vae_mnist_d20.safetensors")
    test = load_data(chosen.source, "test", "dynamic")
    few = test.replace(images=test.images[: chosen.images], labels=test.labels[: chosen.images])
    seconds = {k: statistics.median(seconds_of(model, few, k) for _ in range(chosen.repeats)) for k in chosen.ks}
    report: dict[str, Any] = {
        "command": "python -m benchmarks.evaluation",
        "machine": machine.about(),
        "data": f"{chosen.images} images of {test.about}",
        "repeats": chosen.repeats,
        "seconds": {str(k): s for k, s in seconds.items()},
        "seconds_per_decode": {str(k): s / (k * chosen.images) for k, s in seconds.items()},
        "seconds_per_decode_at_the_margin": slope(seconds) / chosen.images,
    }
    print(f"seconds {seconds}, {1e6 * report['seconds_per_decode_at_the_margin']:.0f} µs for each further decode", flush=True)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        report["memory"] = {
            "limits_mb": MOST_MB,
            "nll": {str(k): memory.peak("nll", k, chosen.source, folder, threads) for k in chosen.ks},
            "training, B = 128": memory.peak("training", 128, chosen.source, folder, threads),
        }
        print(report["memory"], flush=True)
    report["seconds_to_a_picture"] = {name: to_a_picture(PICTURES[name]) for name in chosen.pictures}
    print(report["seconds_to_a_picture"])
    write_json(chosen.out, report)
    return report


def seconds_of(model: VAE, data: Data, k: int) -> float:
    """The bound at k, on all images of `data`."""
    started = time.perf_counter()
    with machine.quiet():
        estimators.importance(model, data, [k])
    return time.perf_counter() - started


def slope(seconds: dict[int, float]) -> float:
    """Seconds for each further k: between the two largest, where the fixed part is gone."""
    *_, less, most = seconds
    return (seconds[most] - seconds[less]) / (most - less)


def to_a_picture(command: list[str]) -> dict[str, Any]:
    """Seconds from the command to its end, in an empty folder, where it leaves pictures."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, check=True)
        seconds = time.perf_counter() - started
        pictures = sorted(path.name for path in Path(folder).rglob("*.png"))
    assert pictures, f"{command}: no picture"
    return {"command": " ".join(["python", *command]).replace(f"{ROOT}/", ""), "seconds": seconds, "pictures": len(pictures)}


if __name__ == "__main__":
    main()
