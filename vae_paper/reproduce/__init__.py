"""One file per measurement: it trains, measures and writes results/NAME.json, protocol included.

`python -m vae_paper reproduce NAME` runs one. Those that a paper has published numbers for also write their lines of the
README's ledger: `Row`s, whose verdict is computed, by a rule that stands in the file and was fixed before the measurement.
"""

import csv
import dataclasses
import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_paper import initial, training, weight_files
from vae_paper.config import Config, as_dict, checked
from vae_paper.data import Data
from vae_paper.measuring import estimators
from vae_paper.vae import VAE


@dataclasses.dataclass
class Row:
    """A line of the ledger: what was published, what was found here, and whether they say the same."""

    what: str
    published: str
    ours: str
    verdict: str
    holds: bool | None  # None: nothing to hold or to fail, as the two cannot be compared
    secondary: bool = False  # whether the published value was read in a secondary source


VERDICTS = {True: "holds", False: "does not hold", None: "not decided"}


@dataclasses.dataclass
class NoOptions:
    """Train what is missing, measure, write: as its file says. There are no options."""


def trained(config: Config) -> tuple[Any, float]:
    """The model of a run, and the seconds that its steps took: found in runs/, gone on with, or trained now."""
    folder = weight_files.RUNS / config.name
    path = folder / "config.json"
    if path.is_file():
        kept = as_dict(weight_files.config_of(path, json.loads(path.read_text())))  # an option that came later has its default
        asked = as_dict(initial.inherit(checked(config)))
        if other := [f"{o} is {kept[o]}, not {asked[o]}" for o in kept if kept[o] != asked[o] and o != "device"]:
            raise ValueError(f"{folder}: holds another run ({', '.join(other)}); remove the folder or rename it")
    if len(epochs_of(folder)) < config.epochs:
        begun = (folder / "state.safetensors").is_file()
        training.train(Config(name=config.name, resume=True) if begun else config)
    model, _ = weight_files.load_with_header(folder)
    return model, sum(float(row["seconds"]) for row in epochs_of(folder))


def once(name: str, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` found, with the `key` that it was measured with: read from runs/NAME/measured.json, or measured and kept."""
    path = weight_files.RUNS / name / "measured.json"
    key = json.loads(json.dumps(key))  # as a file has it
    if path.is_file():
        kept = json.loads(path.read_text())
        if {name: value for name, value in as_dict(Config()).items() if name in key} | kept["key"] == key:  # as in `trained`
            return kept["found"]
    found = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    weight_files.write_json(path, {"key": key, "found": found})
    return found


def nll_of(model: VAE, data: Data, elbo: Float[Tensor, " N"], k: int, subset: int) -> dict[str, float]:
    """-log p(x) of all images, whose ELBO is known: an estimate from above, by k importance samples of a random `subset`."""
    chosen = estimators.random_subset(len(elbo), subset)
    few = data.replace(images=data.images[chosen], labels=data.labels[chosen])
    own, bounds = estimators.importance(model, few, [k])
    log_p = estimators.corrected(elbo.cpu(), chosen, own.cpu(), bounds[-1].cpu())
    return {"nll": -log_p.value, "nll_standard_error": log_p.standard_error, "elbo": elbo.mean().item()}


def at_least(options: Any, **least: int) -> None:
    """Refuse, before hours of training, an option that is smaller, or has fewer values, than the measurement needs."""
    for name, needed in least.items():
        value = getattr(options, name)
        if isinstance(value, tuple) and len(value) < needed:
            raise ValueError(f"{name} are {value}: expected at least {needed}")
        if not isinstance(value, tuple) and value < needed:
            raise ValueError(f"{name} is {value}: expected at least {needed}")


def over_seeds(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """Every seed's numbers, their mean and their standard deviation, which one seed alone does not have."""
    names = measured[0].keys()
    report: dict[str, Any] = {"seeds": measured, "mean": {name: statistics.fmean(m[name] for m in measured) for name in names}}
    if len(measured) > 1:
        report["sd"] = {name: statistics.stdev(m[name] for m in measured) for name in names}
    return report


def spread(report: dict[str, Any], name: str, digits: int = 1, times: int | float = 1) -> str:
    """Mean ± standard deviation over seeds, as `over_seeds` has them."""
    mean = f"{times * report['mean'][name]:.{digits}f}"
    return f"{mean} ± {times * report['sd'][name]:.{digits}f}" if "sd" in report else mean


def machine(device: str = "cpu") -> str:
    """The processor on which numbers and seconds came about, and how many threads it was given."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    return f"{cpuinfo().get('model name', 'a CPU of unknown name')}, {os.cpu_count()} cores, torch on {torch.get_num_threads()}"


def cpuinfo() -> dict[str, str]:
    """What Linux says of the processor; other systems say nothing."""
    path = Path("/proc/cpuinfo")
    lines = [line.partition(":") for line in path.read_text().splitlines()] if path.is_file() else []
    return {name.strip(): value.strip() for name, _, value in lines}


def epochs_of(folder: Any) -> list[dict[str, str]]:
    """The lines of a run's metrics.csv."""
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []
