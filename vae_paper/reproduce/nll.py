"""python -m vae_paper.reproduce.nll: -log p(x) of this project's network; each command measures one model -> results/nll.json.

    VAE, aim: at most 85.5 nats
        python -m vae_paper.reproduce.nll
    IWAE-5, aim: at most 84.8 nats
        python -m vae_paper.reproduce.nll --objective iwae --samples 5 --vae-epochs 80 --epochs 12 --learning-rate 7e-4
    IWAE-50, aim: at most 83.8 nats
        python -m vae_paper.reproduce.nll --objective iwae --samples 50 --subset 10000 --device cuda

-log p(x), mean over all test images, is estimated from above: it is minus the ELBO of all images (z sampled 5 times), less the
mean gap, IWAE-5000 - ELBO, of 400 random images, whose indices are stored. Models measured before stay in the file.
"""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vae_numpy.command_line import command_of, run
from vae_paper import objectives, weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import elbo, estimators
from vae_paper.reproduce import Row, at_least, floor_of, machine, nll_of, over_seeds, pixel_entropy, spread, trained

AIMS = {"VAE": 85.5, "IWAE-5": 84.8, "IWAE-50": 83.8}  # nats, at most: the rule of the verdict
PUBLISHED = {"VAE": 86.76, "IWAE-5": 85.54, "IWAE-50": 84.78}  # Burda et al. 2015, Table 1


@dataclass
class Options:
    """Train one model, and measure its NLL on all test images."""

    objective: Literal["elbo", "iwae"] = "elbo"
    """elbo, or iwae: the importance-weighted bound with --samples samples."""
    samples: int = 1
    """Samples of z per image in training."""
    latent_dim: int = 32
    """Latent size D."""
    epochs: int = 80
    """Epochs of training."""
    vae_epochs: int = 0
    """Epochs with the ELBO before the epochs with --objective iwae. This first part is the VAE's own run."""
    batch_size: int = 64
    """Images per step."""
    learning_rate: float = 1.5e-3
    """Learning rate at its highest."""
    validation: float = 0.0
    """Fraction of the training images on which weights are selected. 0: the last weights are kept."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds: one run for each."""
    passes: int = 5
    """Samples of z per image for the ELBO of all images."""
    k: int = 5000
    """Importance samples per image of the subset."""
    subset: int = 400
    """Size of the random subset of test images on which the gap between IWAE-k and the ELBO is estimated."""
    device: str = "cpu"
    """cpu, cuda, mps."""
    source: str = "mnist"
    """Data set."""
    out: Path = Path("results/nll.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Train the missing runs, measure, add the model to the file."""
    at_least(options, seeds=1, epochs=1, samples=1, latent_dim=1, passes=1, k=1, subset=2)
    if options.vae_epochs and options.objective == "elbo":
        raise ValueError(f"vae_epochs is {options.vae_epochs}, but the objective is elbo; expected --objective iwae after them")
    name = "IWAE" if options.objective == "iwae" else "VAE"
    name = name if options.samples == 1 else f"{name}-{options.samples}"
    report: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {"models": {}}
    measured = [measure(options, name, seed) for seed in options.seeds]
    chosen = estimators.random_subset(measured[0]["images"], options.subset).tolist()
    report["models"][name] = over_seeds(measured) | {
        "command": command_of("python -m vae_paper.reproduce.nll", options),
        "model": f"vae, D = {options.latent_dim}, Bernoulli",
        "binarisation": "dynamic",
        "k": options.k,
        "passes": options.passes,
        "epochs": f"{options.vae_epochs} of the ELBO + {options.epochs}" if options.vae_epochs else options.epochs,
        "split": f"test split, {measured[0]['images']:,} images; NLL: -(ELBO of all + mean gap of {options.subset} random ones)",
        "machine": machine(options.device),
        "seconds": sum(one["seconds"] for one in measured),
        "chosen": chosen,
        "floor": list(pixel_entropy(load_data(options.source, "test").images)),
    }
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)
    print(name, json.dumps(over_seeds(measured), indent=2))


def measure(options: Options, name: str, seed: int) -> dict[str, Any]:
    """Train from one seed, and estimate the NLL."""
    config, before = config_of(options, name, seed), 0.0
    if options.vae_epochs:
        kept = {name: getattr(options, name) for name in ("latent_dim", "validation", "device", "source")}
        vae = Options(epochs=options.vae_epochs, **kept)
        start = config_of(vae, "VAE", seed)
        _, before = trained(start)
        config = dataclasses.replace(config, start_from=start.name)
    model, seconds = trained(config)
    started = time.perf_counter()
    model.to(options.device)
    test = load_data(options.source, "test", "dynamic", options.device)
    terms = elbo.averaged(model, test, options.passes)
    assert terms.mu is not None  # a VAE has vector latents
    bound = objectives.elbo(terms)
    return nll_of(model, test, bound, options.k, options.subset) | {
        "elbo_standard_error": elbo.mean_of(bound).standard_error,
        "rate": terms.rate.sum(1).mean().item(),
        "active_units": int(elbo.active_units(terms.mu).sum()),
        "images": len(bound),
        "seconds": before + seconds + time.perf_counter() - started,
    }


def config_of(options: Options, name: str, seed: int) -> Config:
    """The run of a model and a seed."""
    shared = ("objective", "samples", "latent_dim", "epochs", "batch_size", "learning_rate", "validation", "device", "source")
    chosen = {option: getattr(options, option) for option in shared}
    return Config(name=f"nll-{name.lower()}-{seed}", seed=seed, likelihood="bernoulli", binarise="dynamic", **chosen)


def ledger(report: dict[str, Any]) -> list[Row]:
    """A line for each model, with its own protocol: the models may be measured on different machines."""
    rows = []
    for name, r in report["models"].items():
        aim = AIMS.get(name)
        holds = None if aim is None else r["mean"]["nll"] <= aim
        how = {key: r[key] for key in ("command", "binarisation", "k", "split", "epochs", "machine", "seconds")}
        row = Row(
            f"NLL of this project's network, {name}, beside Burda et al. 2015, Table 1",
            f"{PUBLISHED[name]:.2f}" if name in PUBLISHED else "none",
            f"{spread(r, 'nll', 2)} (standard error {r['mean']['nll_standard_error']:.2f}; no model below {floor_of(r):.2f})",
            f"{'reached' if holds else 'not reached'}: the aim was at most {aim}" if aim else "no aim was set",
            holds,
            secondary=name in PUBLISHED,
            protocol=how | {"seeds": len(r["seeds"])},
        )
        rows.append(row)
    return rows


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.nll", Options, main)
