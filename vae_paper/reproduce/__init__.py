"""One file per measurement: it trains, measures and writes results/NAME.json, with the protocol in it.

`python -m vae_paper reproduce NAME` runs one. A file whose paper published numbers also has a function `ledger`: it makes the
lines of the ledger of reproductions from the numbers in results/NAME.json. The verdict of a line is computed by a rule, which
stands in that file.
"""

import csv
import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from vae_paper import runs, training, weight_files
from vae_paper.config import Config, as_dict
from vae_paper.data import Data
from vae_paper.measuring import estimators
from vae_paper.measuring.elbo import Estimate, mean_of
from vae_paper.vae import Model


@dataclasses.dataclass
class Row:
    """A line of the ledger: the published result, our result, and whether they agree."""

    what: str
    published: str
    ours: str
    verdict: str
    holds: bool | None  # None: not decided, or not comparable
    secondary: bool = False  # whether the published value was read in a secondary source
    protocol: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Seeds, binarisation, k, split, epochs, ... of this line, where the report does not hold them at its top."""

    def stored(self) -> dict[str, Any]:
        """The line as results/NAME.json holds it."""
        line = vars(self).copy()
        return line | line.pop("protocol")


VERDICTS = {True: "holds", False: "does not hold", None: "not decided"}
FLOOR = (45.53, 0.11)  # `pixel_entropy` of MNIST's test images, and its standard error: a test computes it
QUALITATIVE = "qualitative claim"  # the published result of a line, where the paper gives no number


@dataclasses.dataclass
class NoOptions:
    """Train the missing runs, measure, write. This measurement has no options."""


def trained(config: Config, model: Model | None = None, optimizer: Callable[..., Optimizer] | None = None) -> tuple[Any, float]:
    """The model of a run, and the seconds of its training steps. A run that is missing or unfinished is trained now.

    `model` is an untrained model with a class or networks of your own; `optimizer` is as in `train`. ValueError where runs/NAME
    holds a run of another configuration.
    """
    folder = weight_files.RUNS / config.name
    path = folder / "config.json"
    if path.is_file():
        kept = as_dict(weight_files.config_of(path, json.loads(path.read_text())))  # options newer than the file get defaults
        wanted = as_dict(runs.configured(folder, config, model))
        if other := [f"{o} is {kept[o]}, not {wanted[o]}" for o in kept if kept[o] != wanted[o] and o != "device"]:
            raise ValueError(f"{folder}: holds another run ({', '.join(other)}); remove the folder or rename it")
    if config.epochs is None or len(epochs_of(folder)) < config.epochs:
        begun = (folder / "state.safetensors").is_file()
        training.train(Config(name=config.name, resume=True) if begun else config, model, optimizer=optimizer)
    return weight_files.load(folder, model), sum(float(row["seconds"]) for row in epochs_of(folder))


def once(name: str, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `measure`: read from runs/NAME/measured.json if it was measured with the same `key`, else measured now."""
    path = weight_files.RUNS / name / "measured.json"
    key = json.loads(json.dumps(key))  # tuples become lists, as in the file
    if path.is_file():
        kept = json.loads(path.read_text())
        defaults = {name: value for name, value in as_dict(Config()).items() if name in key}  # of options newer than the file
        if defaults | kept["key"] == key:
            return kept["found"]
    found = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    weight_files.write_json(path, {"key": key, "found": found})
    return found


def nll_of(model: Model, data: Data, elbo: Float[Tensor, " N"], k: int, subset: int) -> dict[str, float]:
    """-log p(x), mean over all images, in nats: an estimate from above.

    It is minus the mean `elbo` of all images, less the mean gap, IWAE-k - ELBO, of `subset` random images.
    """
    chosen = estimators.random_subset(len(elbo), subset)
    own, bounds = estimators.importance(model, data.subset(chosen.to(data.images.device)), [k])
    log_p = estimators.corrected(elbo.cpu(), chosen, own.cpu(), bounds[-1].cpu())
    return {"nll": -log_p.value, "nll_standard_error": log_p.standard_error, "elbo": elbo.mean().item()}


def pixel_entropy(images: Float[Tensor, "N C H W"]) -> Estimate:
    """The entropy of binary pixels drawn with the probabilities x, in nats per image, mean over images.

    With dynamic binarisation it is a floor: no model's mean -log p(x) on these images can be below it, in expectation over the
    draws, because the cross entropy of a distribution is at least its entropy.
    """
    x = images.double()
    # H(x) = -Σ [x log x + (1 - x) log(1 - x)]
    return mean_of((torch.special.entr(x) + torch.special.entr(1 - x)).sum((1, 2, 3)))


def floor_of(report: dict[str, Any]) -> float:
    """The pixel entropy of a report's test images. Reports from before it was stored are all of MNIST."""
    return report.get("floor", FLOOR)[0]


def at_least(options: Any, **least: int) -> None:
    """Refuse an option that is too small, or has too few values, before hours of training."""
    for name, needed in least.items():
        value = getattr(options, name)
        if isinstance(value, tuple) and len(value) < needed:
            raise ValueError(f"{name} are {value}: expected at least {needed}")
        if not isinstance(value, tuple) and value < needed:
            raise ValueError(f"{name} is {value}: expected at least {needed}")


def over_seeds(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of every seed, their mean, and their standard deviation (if there are two seeds or more)."""
    names = measured[0].keys()
    report: dict[str, Any] = {"seeds": measured, "mean": {name: statistics.fmean(m[name] for m in measured) for name in names}}
    if len(measured) > 1:
        report["sd"] = {name: statistics.stdev(m[name] for m in measured) for name in names}
    return report


def spread(report: dict[str, Any], name: str, digits: int = 1, times: int | float = 1) -> str:
    """Mean ± standard deviation over seeds as text, from a report of `over_seeds`."""
    mean = f"{times * report['mean'][name]:.{digits}f}"
    return f"{mean} ± {abs(times) * report['sd'][name]:.{digits}f}" if "sd" in report else mean


def machine(device: str = "cpu") -> str:
    """The processor and its number of threads, or the GPU, in one line."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    found = about_machine()
    return f"{found['processor']}, {found['cores']} cores, torch on {found['threads']}"


def about_machine(device: str = "cpu") -> dict[str, Any]:
    """The processor, the threads of torch, the processor's bfloat16 instructions, and versions. It names no user and no host."""
    found = cpuinfo()
    flags = found.get("flags", "").split()
    report = {
        "processor": found.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16_instructions": [name for name in ("avx512_bf16", "amx_bf16") if name in flags],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return report | ({"device": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {})


def cpuinfo() -> dict[str, str]:
    """Linux's description of the processor; empty on other systems."""
    path = Path("/proc/cpuinfo")
    lines = [line.partition(":") for line in path.read_text().splitlines()] if path.is_file() else []
    return {name.strip(): value.strip() for name, _, value in lines}


def epochs_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv."""
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []
