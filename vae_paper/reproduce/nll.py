"""python -m vae_paper.reproduce.nll: the likelihood of this project's network, one model a call -> results/nll.json.

    python -m vae_paper.reproduce.nll                                                  the VAE; at most 85.5 nats were asked for
    python -m vae_paper.reproduce.nll --objective iwae --samples 5 --vae-epochs 80 --epochs 12 --learning-rate 7e-4         84.8
    python -m vae_paper.reproduce.nll --objective iwae --samples 50 --subset 10000 --device cuda                            83.8

-log p(x) of all test images is minus their ELBO (z sampled 5 times) less the mean gap, IWAE-5000 - ELBO, of 400 random ones,
whose indices are kept: an estimate from above. A model measured before stays in the file, unless it is measured again.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vae_numpy.command_line import run, spelled
from vae_paper import objectives, weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import elbo, estimators
from vae_paper.reproduce import Row, at_least, machine, nll_of, over_seeds, spread, trained

AIMS = {"VAE": 85.5, "IWAE-5": 84.8, "IWAE-50": 83.8}  # nats, at most
PUBLISHED = {"VAE": 86.76, "IWAE-5": 85.54, "IWAE-50": 84.78}  # Burda et al. 2015, Table 1


@dataclass
class Options:
    """Train one model; the NLL of all test images."""

    objective: Literal["elbo", "iwae"] = "elbo"
    """The ELBO, or the importance-weighted bound of --samples."""
    samples: int = 1
    """Samples of z per image in training."""
    latent_dim: int = 32
    """D."""
    epochs: int = 80
    """Of the training."""
    vae_epochs: int = 0
    """Epochs of the ELBO that go before those of the importance-weighted bound: the run of this command's VAE."""
    batch_size: int = 64
    """Of the training."""
    learning_rate: float = 1.5e-3
    """At its highest."""
    validation: float = 0.0
    """Fraction of the training images on which weights are selected; 0: all are trained on, the last weights kept."""
    seeds: tuple[int, ...] = (0,)
    """A run for each."""
    passes: int = 5
    """How often z is sampled for the ELBO of all images."""
    k: int = 5000
    """Importance samples."""
    subset: int = 400
    """Random test images that are given so many."""
    device: str = "cpu"
    """cpu, cuda, ..."""
    source: str = "mnist"
    """Images."""
    out: Path = Path("results/nll.json")
    """Where the numbers go."""


def main(options: Options) -> None:
    """Train what is missing, measure, add to the file."""
    at_least(options, seeds=1, epochs=1, samples=1, latent_dim=1, passes=1, k=1, subset=2)
    if options.vae_epochs and options.objective == "elbo":
        raise ValueError(f"vae_epochs is {options.vae_epochs}, and nothing follows them; they go before --objective iwae")
    name = "IWAE" if options.objective == "iwae" else "VAE"
    name = name if options.samples == 1 else f"{name}-{options.samples}"
    report: dict[str, Any] = json.loads(options.out.read_text()) if options.out.is_file() else {"models": {}}
    measured = [measure(options, name, seed) for seed in options.seeds]
    chosen = estimators.random_subset(measured[0]["images"], options.subset).tolist()
    report["models"][name] = over_seeds(measured) | {
        "command": spelled("python -m vae_paper.reproduce.nll", options),
        "model": f"vae, D = {options.latent_dim}, Bernoulli",
        "binarisation": "dynamic",
        "k": options.k,
        "passes": options.passes,
        "epochs": f"{options.vae_epochs} of the ELBO + {options.epochs}" if options.vae_epochs else options.epochs,
        "split": f"test split, {measured[0]['images']:,} images; NLL: -(ELBO of all + mean gap of {options.subset} random ones)",
        "machine": machine(options.device),
        "seconds": sum(one["seconds"] for one in measured),
        "chosen": chosen,
    }
    report["ledger"] = ledger(report)
    weight_files.write_json(options.out, report)
    print(name, json.dumps(over_seeds(measured), indent=2))


def measure(options: Options, name: str, seed: int) -> dict[str, Any]:
    """Train from one seed, and estimate."""
    config, before = training(options, name, seed), 0.0
    if options.vae_epochs:
        kept = {name: getattr(options, name) for name in ("latent_dim", "validation", "device", "source")}
        vae = Options(epochs=options.vae_epochs, **kept)
        start = training(vae, "VAE", seed)
        _, before = trained(start)
        config.start_from = start.name
    model, seconds = trained(config)
    started = time.perf_counter()
    model.to(options.device)
    test = load_data(options.source, "test", "dynamic", options.device)
    terms = elbo.averaged(model, test, options.passes)
    elbo = objectives.elbo(terms)
    mu, _ = elbo.posterior(model, test)
    return nll_of(model, test, elbo, options.k, options.subset) | {
        "elbo_standard_error": (elbo.std() / len(elbo) ** 0.5).item(),
        "rate": terms.rate.sum(1).mean().item(),
        "active_units": int(elbo.active_units(mu).sum()),
        "images": len(elbo),
        "seconds": before + seconds + time.perf_counter() - started,
    }


def training(options: Options, name: str, seed: int) -> Config:
    """The run of a model."""
    config = Config(name=f"nll-{name.lower()}-{seed}", seed=seed, epochs=options.epochs, source=options.source)
    for option in ("objective", "samples", "latent_dim", "batch_size", "learning_rate", "validation", "device"):
        setattr(config, option, getattr(options, option))
    config.likelihood, config.binarise = "bernoulli", "dynamic"
    return config


def ledger(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A line for each model, with its own protocol: the models may come from different machines."""
    rows = []
    for name, r in report["models"].items():
        aim = AIMS.get(name)
        holds = None if aim is None else r["mean"]["nll"] <= aim
        row = Row(
            f"NLL of this project's network, {name}, beside Burda et al. 2015, Table 1",
            f"{PUBLISHED[name]:.2f}" if name in PUBLISHED else "none",
            f"{spread(r, 'nll', 2)} (standard error {r['mean']['nll_standard_error']:.2f})",
            f"{'reached' if holds else 'not reached'}: at most {aim} was the aim" if aim else "no aim was set",
            holds,
            secondary=name in PUBLISHED,
        )
        how = {key: r[key] for key in ("command", "binarisation", "k", "split", "epochs", "machine", "seconds")}
        rows.append(vars(row) | how | {"seeds": len(r["seeds"])})
    return rows


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.nll", Options, main)
