"""The largest difference between the levels, tensor by tensor: `python -m benchmarks.agreement` prints it.

`python -m benchmarks.agreement --out results/agreement.json` writes the file that the documentation quotes (it needs MNIST).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import digits, weights
from vae_numpy.command_line import run
from vae_paper.trace import traces
from vae_paper.weight_files import write_json

COUNT = 64


@dataclass
class Config:
    """The largest difference between the levels in every tensor."""

    out: Path | None = None
    """File for the numbers. Default: they are printed."""


def main(config: Config) -> None:
    """The largest difference between level 1 and another level in each tensor, and the largest value, in both precisions."""
    report: dict[str, object] = {"images": COUNT, "weights": "vae_mnist_d2, vae_mnist_d20"}
    for source in (["mnist"] if digits.is_on_disk("mnist") else []) + ["handwriting"]:
        test = digits.load(source, "test")
        for latent_dim in (2, 20):
            params, _ = weights.load(weights.PRETRAINED / f"vae_mnist_d{latent_dim}.safetensors")
            eps = np.random.default_rng(0).standard_normal((COUNT, latent_dim))
            rows = {}
            for dtype in ("float64", "float32"):
                first, *others = traces((level1, level2), params, test.images[:COUNT], eps, dtype)
                for name in first:
                    apart = max(float(np.abs(first[name] - other[name]).max()) for other in others)
                    rows.setdefault(name, {"reaches": float(np.abs(first[name]).max())})[dtype] = apart
            report[f"{test.source}, D = {latent_dim}"] = rows
    if config.out is None:
        print(json.dumps(report, indent=2))
    else:
        write_json(config.out, report)


if __name__ == "__main__":
    run("python -m benchmarks.agreement", Config, main)
