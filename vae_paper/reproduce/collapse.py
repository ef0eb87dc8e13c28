"""python -m vae_paper.reproduce.collapse: posterior collapse, what cures it and what does not (Bowman et al. 2015; Kingma et
al. 2016) -> results/collapse.json, docs/collapse.png.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from vae_numpy.command_line import run, spelled
from vae_numpy.figures import save
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.likelihoods import binarise
from vae_paper.measuring import elbo
from vae_paper.reproduce import at_least, machine, over_seeds, trained

CASES: dict[str, dict[str, Any]] = {
    "autoregressive decoder, beta = 1": {"model": "pixel-vae"},
    "autoregressive decoder, free bits 0.25 per latent": {"model": "pixel-vae", "objective": "free-bits", "free_bits": 0.25},
    "autoregressive decoder, beta annealed from 0 to 1": {"model": "pixel-vae", "beta_schedule": "linear"},
    "convolutional decoder, beta = 20": {"model": "vae", "beta": 20.0},
    "convolutional decoder, beta annealed from 0 to 20": {"model": "vae", "beta": 20.0, "beta_schedule": "linear"},
}


@dataclass
class Options:
    """Which latents are used, with what training."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """A run for each, in every case."""
    epochs: int = 2
    """Of each run."""
    out: Path = Path("results/collapse.json")
    """Where the numbers go."""
    pictures: Path = Path("docs")
    """Where the picture goes."""


def main(options: Options) -> None:
    """Train every case from every seed; count active units."""
    at_least(options, seeds=1, epochs=1)
    test = load_data("mnist", "test", "dynamic")
    x = binarise(test.images, "dynamic", torch.Generator().manual_seed(0))
    report: dict[str, Any] = {
        "command": spelled("python -m vae_paper.reproduce.collapse", options),
        "model": "pixel-vae or vae, D = 20, Bernoulli",
        "training": f"{options.epochs} epochs of all 60,000 images of MNIST's train split, dynamic binarisation, batches of 32, "
        "constant learning rate; annealing takes the first half (of one epoch, all of it); the weights are the last ones",
        "measured_on": f"{test.about}, all images, z sampled, 1 pass; a unit is active if Var_x(E_q[z_j]) > 0.01",
        "machine": machine(),
        "units": "nats per image; elbo is the beta = 1 ELBO, a lower bound on log p(x)",
        "cases": {},
        "kl_per_latent": {},
    }
    for case, training in CASES.items():
        measured = []
        for seed in options.seeds:
            name = f"collapse-{list(CASES).index(case)}-{seed}"
            base = Config(name=name, seed=seed, epochs=options.epochs, batch_size=32, learning_rate=3e-3, lr_schedule="constant")
            config = dataclasses.replace(base, source="mnist", validation=0.0, likelihood="bernoulli", binarise="dynamic")
            config = dataclasses.replace(config, **training)
            model, seconds = trained(config)
            with torch.inference_mode():
                mu = torch.cat([model.encode(part)[0] for part in x.split(500)])
            terms = elbo.averaged(model, test, passes=1)
            result, active = elbo.summary_of(model, terms), int(elbo.active_units(mu).sum())
            numbers = {name: result[name] for name in ("rate", "distortion", "elbo")}
            measured.append({"active_units": active} | numbers | {"seconds": seconds})
            print(case, measured[-1], flush=True)
            if seed == options.seeds[0]:
                report["kl_per_latent"][case] = sorted(elbo.kl_per_latent(terms).tolist(), reverse=True)
        report["cases"][case] = over_seeds(measured)
    report["seconds"] = sum(one["seconds"] for r in report["cases"].values() for one in r["seeds"])
    weight_files.write_json(options.out, report)
    draw(report, options.seeds[0], options.pictures / "collapse.png")


def draw(report: dict, seed: int, path: Path) -> None:
    """KL of each latent, largest first, for every case."""
    figure = Figure(figsize=(8, 4))
    axis = figure.add_subplot()
    for case, kl in report["kl_per_latent"].items():
        axis.plot(range(1, len(kl) + 1), kl, "o-" if case.startswith("auto") else "s--", ms=4, lw=0.8, label=case)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="latent, the largest KL first", xticks=(1, 5, 10, 15, 20), ylim=0)
    axis.set_ylabel("KL(q($z_j$|x) || p($z_j$)), nats per image\n(linear below 0.01)")
    axis.set_title(f"D = 20, Bernoulli, MNIST test split, seed {seed}", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    save(figure, path)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.collapse", Options, main)
