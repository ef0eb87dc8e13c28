"""python -m vae_paper.reproduce.nll: the NLL, -log p(x), of this project's network -> results/nll.json. Each command measures
one model:

    VAE, aim: at most 85.5 nats
        python -m vae_paper.reproduce.nll
    IWAE-5, aim: at most 84.8 nats; and its control VAE-5: as many steps and samples, but trained with the ELBO
        python -m vae_paper.reproduce.nll --objective iwae --samples 5 --vae-epochs 80 --epochs 12 --learning-rate 7e-4
        python -m vae_paper.reproduce.nll --objective elbo --samples 5 --vae-epochs 80 --epochs 12 --learning-rate 7e-4
    IWAE-5 with a flow prior, aim: at most 82.5 nats
        python -m vae_paper.reproduce.nll --model flow-prior --objective iwae --samples 5 --vae-epochs 80 --epochs 16
        --learning-rate 1e-3
    IWAE-50, aim: at most 82.9 nats after 54 epochs on a GPU; 6 epochs on a CPU have no aim
        python -m vae_paper.reproduce.nll --objective iwae --samples 50 --vae-epochs 80 --epochs 54 --learning-rate 1e-3
        --subset 10000 --device cuda
        python -m vae_paper.reproduce.nll --objective iwae --samples 50 --vae-epochs 80 --epochs 6 --learning-rate 1e-3

The NLL is estimated as -(mean ELBO of all test images + mean gap of random test images). The gap is the importance-weighted bound
with k samples, minus the ELBO. There are two estimates. They differ in the distribution from which the bound draws z. The ELBO is
always that of the encoder's q. Each estimate is a mean over several binarisations of the test images. Both use the same images
with the same pixels, and both are too large in expectation. So the smaller one is closer, up to noise:
    nll:       z is drawn from the encoder's q; k = 5000 as in Burda et al. 2015. This one is compared with published numbers.
    nll_best:  z is drawn from the best Gaussian of each image, made wider (measuring/inference_gap.py). Its k may be smaller.
A command replaces only its own model's results in results/nll.json.

Rule for IWAE-5 against VAE-5, fixed before the run: IWAE-5 is better if its nll is lower for every seed, and the mean difference
is more than twice the standard deviation of the differences. One seed decides nothing. Added after the run: the mean difference
is also more than twice its standard error over images (at most the root of the sum of the squared standard errors of both nll).
If IWAE-5 is worse by as much, the claim does not hold. In all other cases the verdict is "not decided".
"""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from vae_numpy.command_line import command_of, run
from vae_paper import models, objectives, weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo, estimators, inference_gap
from vae_paper.reproduce import VERDICTS, Row, at_least, floor_of, machine, over_seeds, pixel_entropy, spread, trained
from vae_paper.vae import Model

# (model, epochs of its command): nll must be at most this, in nats
AIMS = {("VAE", 80): 85.5, ("IWAE-5", 12): 84.8, ("IWAE-50", 54): 82.9, ("IWAE-5, flow-prior", 16): 82.5}
BURDA = {"VAE": 86.76, "VAE-5": 86.47, "IWAE-5": 85.54, "IWAE-50": 84.78}  # Table 1: two hidden layers of 200 units, D = 50
BEST_STEPS, BEST_SAMPLES = 200, 4  # optimiser steps, and samples of z per step, to find the best Gaussian of an image


@dataclass
class Options:
    """Train one model, and measure its NLL on all test images."""

    model: Literal["vae", "flow-prior", "vamp-prior", "iaf", "ladder"] = "vae"
    """The model. With --vae-epochs it starts with the VAE's parameters, except those whose shapes differ."""
    objective: Literal["elbo", "iwae"] = "elbo"
    """Training objective: elbo, or iwae, the importance-weighted bound. Both use --samples samples of z."""
    samples: int = 1
    """Number of samples of z per image in training."""
    latent_dim: int = 32
    """Latent size D."""
    epochs: int = 80
    """Epochs of training (after --vae-epochs)."""
    vae_epochs: int = 0
    """Epochs of a VAE that is trained first, as a run of its own. The model starts with the parameters of this VAE. 0: no VAE."""
    batch_size: int = 64
    """Images per step."""
    learning_rate: float = 1.5e-3
    """Highest learning rate of the schedule."""
    validation: float = 0.0
    """Fraction of the training images kept for validation, to select weights. 0: the last weights are kept."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds: one run for each."""
    binarisations: int = 3
    """Number of binarisations of the test images. The results are means over these binarisations."""
    k: int = 5000
    """Importance samples per image from the encoder's q."""
    k_best: int = 500
    """Importance samples per image from the best Gaussian of the image."""
    subset: int = 100
    """Number of random test images, for each binarisation, on which the gap between IWAE-k and the ELBO is measured. Each
    binarisation has other images. If there are too few test images, each binarisation gets an equal part of them."""
    device: str = "cpu"
    """cpu, cuda, mps."""
    source: str = "mnist"
    """Data set."""
    out: Path = Path("results/nll.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Train the missing runs, measure the model, and add its results to the file."""
    at_least(options, seeds=1, epochs=1, samples=1, latent_dim=1, binarisations=1, k=1, k_best=1, subset=2)
    name = name_of(options)
    if options.vae_epochs and name == "VAE":
        raise ValueError(
            f"vae_epochs is {options.vae_epochs}, but this run trains the VAE itself; expected 0, more --samples or another model"
        )
    read(options.out)  # an old file is refused now, not after hours of training
    measured = [measure(options, name, seed) for seed in options.seeds]
    count, test = measured[0]["images"], load_data(options.source, "test")
    report = read(options.out)  # again: another command may have added its model
    report["models"][name] = over_seeds(measured) | {
        "command": command_of("python -m vae_paper.reproduce.nll", options),
        "model": f"{options.model}, D = {options.latent_dim}, Bernoulli",
        "binarisation": f"dynamic, {options.binarisations} draws of the test images",
        "k": options.k,
        "epochs": f"{options.vae_epochs} of the VAE + {options.epochs}" if options.vae_epochs else options.epochs,
        "split": f"{test.about.partition(', grayscale')[0]}; NLL: -(mean ELBO of all + mean gap of "
        f"{min(options.subset, count // options.binarisations)} random images for each binarisation)",
        "options": {
            option: list(value) if isinstance(value, tuple) else value  # as JSON holds it
            for option, value in vars(options).items()
            if option not in ("out", "objective", "device")
        },
        "machine": machine(options.device),
        "seconds": sum(one["seconds"] for one in measured),
        "floor": list(pixel_entropy(test.images)),
        "nll_best": f"z of each image's best Gaussian, widened; k = {options.k_best}",
    }
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)
    print(name, json.dumps(over_seeds(measured), indent=2))


def read(path: Path) -> dict[str, Any]:
    """The report in a file; an empty one if there is no file. ValueError if an older version of this code wrote the file."""
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"models": {}}
    if old := [name for name, r in report["models"].items() if "options" not in r]:
        raise ValueError(f"{path}: an older version measured {old[0]}; choose another --out, or remove the file")
    return report


def name_of(options: Options) -> str:
    """VAE, VAE-5, IWAE-5, ...; a model other than the VAE adds its name: "IWAE-5, flow-prior"."""
    name = "IWAE" if options.objective == "iwae" else "VAE"
    name = name if options.samples == 1 else f"{name}-{options.samples}"
    return name if options.model == Options.model else f"{name}, {options.model}"


def measure(options: Options, name: str, seed: int) -> dict[str, Any]:
    """Train from one seed, and estimate the NLL over all draws (binarisations) of the test images."""
    model, seconds = trained_model(options, name, seed)
    started = time.perf_counter()
    model.to(options.device)
    test = load_data(options.source, "test", "dynamic", options.device)
    chosen = estimators.random_subset(len(test.images), options.subset * options.binarisations)
    parts = [chosen[draw :: options.binarisations] for draw in range(options.binarisations)]  # no image is chosen for two draws
    draws = [measured_draw(options, model, test, part, draw) for draw, part in enumerate(parts)]
    bounds = torch.stack([one["bound"] for one in draws])  # (draws, N)
    found = {"elbo": bounds.mean().item(), "elbo_sd_of_draws": bounds.mean(1).std().item() if len(draws) > 1 else 0.0}
    for key in draws[0].keys() & {"nll", "nll_best"}:
        own, log_p = (torch.cat([one[which] for one in draws]) for which in ("own", key))
        mean = estimators.corrected(bounds.mean(0), torch.cat(parts), own, log_p)
        found |= {key: -mean.value, f"{key}_standard_error": mean.standard_error}
    found |= {key: float(np.mean([one[key] for one in draws])) for key in draws[0].keys() & {"rate", "active_units"}}
    sizes = {"images": len(test.images), "parameters": sum(p.numel() for p in model.parameters())}
    return found | sizes | {"seconds": seconds + time.perf_counter() - started}


def measured_draw(options: Options, model: Model, test: Data, chosen: Int64[Tensor, " n"], draw: int) -> dict[str, Any]:
    """With one binarisation: the ELBO of all images, and the ELBO and both estimates of log p(x) of the `chosen` images."""
    pixels, noise, search, again = (elbo.mixed(purpose, draw) for purpose in range(4))  # a seed for each purpose
    seen = test.replace(images=test.seen(pixels), binarisation="none")  # binarised once: all numbers below use the same pixels
    terms, part = elbo.terms_of(model, seen, seed=noise), seen.subset(chosen.to(seen.images.device))
    own, iwae = estimators.importance(model, part, [options.k], noise)
    found = {"bound": objectives.elbo(terms), "rate": terms.rate.sum(1).mean().item(), "own": own, "nll": iwae[-1]}
    if terms.mu is None:  # q(z|x) is not Gaussian: there is no best Gaussian to search for
        return found
    best = inference_gap.best_factorised(model, part.images, part.labels, BEST_STEPS, BEST_SAMPLES, search)
    wider = best[0], best[1] + inference_gap.WIDER
    closer = estimators.importance(model, part, [options.k_best], again, posterior=wider).iwae[-1]
    return found | {"active_units": int(elbo.active_units(terms.mu).sum()), "nll_best": closer}


def trained_model(options: Options, name: str, seed: int) -> tuple[Model, float]:
    """The model of a run, trained now if it is missing, and the seconds of its training steps, those of the VAE included."""
    config = config_of(options, name, seed)
    if not options.vae_epochs:
        return trained(config)
    kept = {option: getattr(options, option) for option in ("latent_dim", "validation", "device", "source")}
    start = config_of(Options(epochs=options.vae_epochs, **kept), "VAE", seed)
    vae, before = trained(start)
    if options.model == start.model:
        model, seconds = trained(dataclasses.replace(config, start_from=start.name))
    else:
        model = models.build(options.model, options.latent_dim, "bernoulli", seed)
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        shared = {name: tensor for name, tensor in vae.state_dict().items() if shapes[name] == tensor.shape}
        model.load_state_dict(shared, strict=False)  # the prior, or the flow of q, keeps its initial parameters
        model, seconds = trained(dataclasses.replace(config, seed=elbo.mixed(seed, 1)), model)  # a new seed: new batches
    return model, before + seconds


def config_of(options: Options, name: str, seed: int) -> Config:
    """The configuration of the run of a model and a seed."""
    shared = (
        "model", "objective", "samples", "latent_dim", "epochs", "batch_size", "learning_rate", "validation", "device", "source",
    )  # fmt: skip
    chosen = {option: getattr(options, option) for option in shared}
    run_name = f"nll-{name.lower().replace(', ', '-')}-{seed}"
    return Config(name=run_name, seed=seed, likelihood="bernoulli", binarise="dynamic", **chosen)


def ledger(report: dict[str, Any]) -> list[Row]:
    """A line for each model, with its own protocol, as each has its own command. Then a line that compares VAE-5 and IWAE-5."""
    rows = []
    for name, r in report["models"].items():
        published = BURDA.get(name) if compared(r) else None
        aim = AIMS.get((name, r["options"]["epochs"])) if compared(r) else None
        holds = None if aim is None else r["mean"]["nll"] <= aim
        best = (
            f"; with z from the best q {spread(r, 'nll_best', 2)} (k = {r['options']['k_best']})"
            if "nll_best" in r["mean"]
            else ""
        )
        row = Row(
            f"NLL of this project's network, {name}" + (", beside Burda et al. 2015, Table 1" if published else ""),
            f"{published:.2f}" if published else "none",
            f"{spread(r, 'nll', 2)} (standard error {r['mean']['nll_standard_error']:.2f}; no model can be below "
            f"{floor_of(r):.2f})",
            (f"{'reached' if holds else 'not reached'}: the aim was at most {aim}" if aim else "no aim was set") + best,
            holds,
            secondary=published is not None,
            protocol=protocol_of(r),
        )
        rows.append(row)
    iwae, vae = (report["models"].get(name) for name in ("IWAE-5", "VAE-5"))
    # Equal options, apart from the objective: both models used the same images and the same noise
    comparable = iwae and vae and iwae["options"] == vae["options"]
    return [*rows, against_control(iwae, vae)] if comparable else rows


def compared(r: dict[str, Any]) -> bool:
    """Whether a model may be compared with the aims and with Burda et al.: MNIST, the default D, and the VAE's default epochs."""
    first_epochs = r["options"]["vae_epochs"] or r["options"]["epochs"]
    return (r["options"]["source"], r["options"]["latent_dim"], first_epochs) == ("mnist", Options.latent_dim, Options.epochs)


def against_control(iwae: dict[str, Any], vae: dict[str, Any]) -> Row:
    """The gain, NLL of VAE-5 minus NLL of IWAE-5: the effect of the objective, with equal steps and equal numbers of samples."""
    gains = [a["nll"] - b["nll"] for a, b in zip(vae["seeds"], iwae["seeds"], strict=True)]
    found, best = over_seeds([{"gain": gain} for gain in gains]), vae["mean"]["nll_best"] - iwae["mean"]["nll_best"]
    error, error_best = (
        math.hypot(vae["mean"][name], iwae["mean"][name]) for name in ("nll_standard_error", "nll_best_standard_error")
    )
    holds, rule = None, "one seed has no spread"
    if len(gains) > 1:
        if abs(found["mean"]["gain"]) > 2 * max(found["sd"]["gain"], error) and (min(gains) > 0 or max(gains) < 0):
            holds = min(gains) > 0
        rule = "the rule needs a gain above 0 for every seed, and a mean gain above twice its standard deviation and twice its "
        rule += "standard error"
    return Row(
        "NLL of VAE-5 minus NLL of IWAE-5, this project's network",
        f"{BURDA['VAE-5'] - BURDA['IWAE-5']:.2f} (Burda et al. 2015, Table 1: each is trained from random parameters)",
        f"{spread(found, 'gain', 2)} (same images, same noise; the choice of images adds a standard error of at most "
        f"{error:.2f}; with z from the best q {best:.2f}, and at most {error_best:.2f})",
        f"{VERDICTS[holds]}: {rule}",
        holds,
        secondary=True,
        protocol=protocol_of(iwae),
    )


def protocol_of(r: dict[str, Any]) -> dict[str, Any]:
    """The protocol of a model's measurement."""
    names = ("command", "model", "binarisation", "k", "split", "epochs", "machine", "seconds")
    return {name: r[name] for name in names} | {"seeds": len(r["seeds"])}


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.nll", Options, main)
