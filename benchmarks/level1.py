"""Level 1's forward pass against eager torch on the same threads: `python -m benchmarks.level1`.

Encode, reparameterize and decode, float32; both in one process, interleaved, medians; written to results/level1.json.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import torch

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from benchmarks import machine
from vae_paper.weight_files import write_json

REPEATS = 15


def main() -> None:
    """Ratios of speeds at five batch sizes."""
    report: dict[str, object] = {"machine": machine.about(), "repeats": REPEATS}
    params = level1.init_params(20, np.random.default_rng(0))
    tensors = {name: torch.from_numpy(p) for name, p in params.items()}
    for B in (1, 16, 64, 256, 1024):
        rng = np.random.default_rng(B)
        x, eps = rng.random((B, 1, 28, 28), np.float32), rng.standard_normal((B, 20), np.float32)
        seconds: dict[object, list[float]] = {level1: [], level2: []}
        with torch.inference_mode():
            for _ in range(REPEATS):
                for level, p, i, e in ((level1, params, x, eps), (level2, tensors, torch.from_numpy(x), torch.from_numpy(eps))):
                    started = time.perf_counter()
                    level.decode(p, level.reparameterize(*level.encode(p, i), e))
                    seconds[level].append(time.perf_counter() - started)
        numpy_s, torch_s = (statistics.median(seconds[level]) for level in (level1, level2))
        report[f"B = {B}"] = {"numpy_ms": 1e3 * numpy_s, "torch_ms": 1e3 * torch_s, "torch_over_numpy": torch_s / numpy_s}
        print(f"B = {B:<5} numpy {1e3 * numpy_s:8.2f} ms   torch {1e3 * torch_s:8.2f} ms   ratio {torch_s / numpy_s:.2f}")
    write_json(Path("results/level1.json"), report)


if __name__ == "__main__":
    main()
