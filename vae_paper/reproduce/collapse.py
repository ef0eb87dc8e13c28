"""python -m vae_paper.reproduce.collapse: posterior collapse, what cures it and what does not (Bowman et al. 2015; Kingma et
al. 2016) -> results/collapse.json.
"""

from pathlib import Path
from typing import Any

import torch

from vae_paper import checkpoint, evaluate
from vae_paper.config import Config
from vae_paper.likelihoods import binarise
from vae_paper.reproduce import over_seeds, trained

SEEDS, EPOCHS = (0, 1, 2), 2
CASES: dict[str, dict[str, Any]] = {
    "autoregressive decoder, beta = 1": {"model": "pixel-vae"},
    "autoregressive decoder, free bits 0.25 per latent": {"model": "pixel-vae", "objective": "free-bits", "free_bits": 0.25},
    "autoregressive decoder, beta annealed from 0 to 1": {"model": "pixel-vae", "beta_schedule": "linear"},
    "convolutional decoder, beta = 20": {"model": "vae", "beta": 20.0},
    "convolutional decoder, beta annealed from 0 to 20": {"model": "vae", "beta": 20.0, "beta_schedule": "linear"},
}


def main() -> None:
    """Train every case from every seed; count active units."""
    test = evaluate.load_data("mnist", "test", "dynamic")
    x = binarise(test.images, "dynamic", torch.Generator().manual_seed(0))
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.collapse",
        "model": "pixel-vae or vae, D = 20, Bernoulli",
        "training": f"{EPOCHS} epochs of all 60,000 images of MNIST's train split, dynamic binarisation, batches of 32; "
        "annealing takes the first half; the weights are the last ones",
        "measured_on": f"{test.about}, all images, z sampled, 1 pass; a unit is active if Var_x(E_q[z_j]) > 0.01",
        "units": "nats per image; elbo is the beta = 1 ELBO, a lower bound on log p(x)",
        "cases": {},
    }
    for case, options in CASES.items():
        measured = []
        for seed in SEEDS:
            name = f"collapse-{list(CASES).index(case)}-{seed}"
            config = Config(name=name, seed=seed, epochs=EPOCHS, source="mnist", validation=0.0, **options)
            config.batch_size, config.learning_rate = 32, 3e-3
            config.likelihood, config.binarise = "bernoulli", "dynamic"
            if config.beta_schedule == "linear":
                config.warmup_epochs = 1
            model, _ = trained(config)
            with torch.inference_mode():
                mu = torch.cat([model.encode(part)[0] for part in x.split(500)])
            result = evaluate.evaluate(model, test, passes=1)
            active = int(evaluate.active_units(mu).sum())
            measured.append({"active_units": active} | {name: result[name] for name in ("rate", "distortion", "elbo")})
            print(case, measured[-1], flush=True)
        report["cases"][case] = over_seeds(measured)
    checkpoint.write_json(Path("results/collapse.json"), report)


if __name__ == "__main__":
    main()
