"""python -m vae_paper.reproduce.precision: does training in bf16 give the same ELBO as training in float32?
-> results/precision.json.
"""

import statistics
from pathlib import Path
from typing import Any

from vae_numpy.command_line import run
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import elbo
from vae_paper.reproduce import NoOptions, machine, over_seeds, trained

SEEDS, EPOCHS = (0, 1, 2), 5


def main() -> None:
    """Train with each precision and each seed, and evaluate every model in float32."""
    test = load_data("mnist", "test", "dynamic")
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.precision",
        "model": "vae, D = 20, Bernoulli",
        "training": f"{EPOCHS} epochs of 55,000 images of MNIST's train split, dynamic binarisation; "
        "the weights are those with the best loss on 5,000 other images",
        "measured_on": f"{test.about}, all images, z sampled, 5 passes, float32 for both ways of training",
        "machine": machine(),
        "units": "nats per image; elbo is a lower bound on log p(x)",
        "precisions": {},
    }
    for precision in ("float32", "bf16"):
        measured = []
        for seed in SEEDS:
            how: dict[str, Any] = {"source": "mnist", "likelihood": "bernoulli", "binarise": "dynamic", "precision": precision}
            model, seconds = trained(Config(name=f"{precision}-{seed}", seed=seed, epochs=EPOCHS, **how))
            result = elbo.summary(model, test)
            measured.append({name: result[name] for name in ("rate", "distortion", "elbo")} | {"seconds": seconds})
            print(precision, seed, measured[-1], flush=True)
        report["precisions"][precision] = over_seeds(measured)
    pairs = zip(*(report["precisions"][p]["seeds"] for p in ("bf16", "float32")), strict=True)
    report["bf16_minus_float32"] = statistics.fmean(b["elbo"] - f["elbo"] for b, f in pairs)
    weight_files.write_json(Path("results/precision.json"), report)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.precision", NoOptions, lambda _: main())
