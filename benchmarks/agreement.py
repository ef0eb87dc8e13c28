"""How far apart the levels are, tensor by tensor: `python -m benchmarks.agreement` writes results/agreement.json."""

from pathlib import Path

import numpy as np

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import digits, weights
from vae_paper.trace import traces
from vae_paper.weight_files import write_json

COUNT = 64


def main() -> None:
    """The largest difference between any two levels in any tensor, and what the values reach, in both precisions."""
    report: dict[str, object] = {"images": COUNT, "weights": "vae_mnist_d2, vae_mnist_d20"}
    for source in ("mnist", "handwriting"):
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
    write_json(Path("results/agreement.json"), report)


if __name__ == "__main__":
    main()
