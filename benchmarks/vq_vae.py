"""How long a VQ-VAE and its prior take to train, as `vae_paper.reproduce.vq_vae` trains them: `python -m benchmarks.vq_vae`
writes results/vq_vae_seconds.json. For a machine on which nothing else runs.
"""

import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from vae_numpy import digits
from vae_paper.reproduce.vq_vae import Options, configurations
from vae_paper.training import train
from vae_paper.weight_files import write_json


def main(options: Options, out: Path = Path("results/vq_vae_seconds.json")) -> dict[str, Any]:
    """Train both from seed 0, validation and saving included; print, write."""
    os.environ["VAE_DATA"] = str(digits.data_folder().resolve())
    report: dict[str, Any] = {"command": "python -m benchmarks.vq_vae", "machine": machine.about()}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, config in zip(("vq_vae", "prior"), configurations(options, seed=0), strict=True):
            started = time.perf_counter()
            train(config)
            report[name] = {"epochs": config.epochs, "seconds": time.perf_counter() - started}
            print(name, report[name], flush=True)
    write_json(out, report)
    return report


if __name__ == "__main__":
    main(Options())
