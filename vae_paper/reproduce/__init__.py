"""Each file here, except oracle_models.py, is one measurement. It writes its numbers and its protocol to results/NAME.json.

`python -m vae_paper reproduce NAME` runs the measurement NAME. Most measurements first train their models. Some files also have a
function `ledger`: from results/NAME.json it makes lines for docs/ledger.md, each with a verdict. The rule of the verdict is in
the first lines of NAME.py. If the verdict is always the same, `ledger` says why.
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

from vae_paper import run_config, training, weight_files
from vae_paper.config import Config, as_dict
from vae_paper.data import Data
from vae_paper.measuring import estimators
from vae_paper.measuring.elbo import Estimate, mean_of
from vae_paper.vae import Model


@dataclasses.dataclass
class Row:
    """A line of docs/ledger.md: the published result, our result, and whether they agree."""

    what: str
    published: str
    ours: str
    verdict: str
    holds: bool | None  # None: not decided, not comparable, or without an aim
    secondary: bool = False  # True: the published value was read in a text that quotes the paper
    protocol: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Seeds, binarisation, k, split, epochs, ... of this line, where they are not those at the top of results/NAME.json."""

    def stored(self) -> dict[str, Any]:
        """The line as a dict, to be stored in results/NAME.json."""
        line = vars(self).copy()
        return line | line.pop("protocol")


VERDICTS = {True: "holds", False: "does not hold", None: "not decided"}
FLOOR = (45.53, 0.11)  # nats: `pixel_entropy` of MNIST's test images, and its standard error; checked by a test
QUALITATIVE = "qualitative claim"  # `published` in a line whose paper gives no number


@dataclasses.dataclass
class NoOptions:
    """Train the missing runs (if there are any), measure, and write the results. This measurement has no options."""


def trained(config: Config, model: Model | None = None, optimizer: Callable[..., Optimizer] | None = None) -> tuple[Any, float]:
    """Return the model of a run, and the seconds of its training steps. Train the run first if it is missing or unfinished.

    `model`: the model with which training starts; by default it is built from `config`. `optimizer`: as in `training.train`.
    ValueError if runs/NAME holds a run with another configuration. (Only the device may differ.)
    """
    folder = weight_files.RUNS / config.name
    path = folder / "config.json"
    if path.is_file():
        kept = as_dict(weight_files.config_of(path, json.loads(path.read_text())))  # with defaults for what the file lacks
        wanted = as_dict(run_config.configured(folder, config, model))
        if other := [f"{o} is {kept[o]}, not {wanted[o]}" for o in kept if kept[o] != wanted[o] and o != "device"]:
            raise ValueError(f"{folder}: holds another run ({', '.join(other)}); remove the folder or rename it")
    if config.epochs is None or len(epochs_of(folder)) < config.epochs:
        begun = (folder / "state.safetensors").is_file()
        training.train(
            Config(name=config.name, device=config.device, resume=True) if begun else config, model, optimizer=optimizer
        )
    return weight_files.load(folder, model), sum(float(row["seconds"]) for row in epochs_of(folder))


def once(name: str, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `measure()`: read from runs/NAME/measured.json if the same `key` is stored there, else measured now."""
    path = weight_files.RUNS / name / "measured.json"
    key = json.loads(json.dumps(key))  # tuples become lists, as in the file
    if path.is_file():
        kept = json.loads(path.read_text())
        defaults = {name: value for name, value in as_dict(Config()).items() if name in key}  # for options that the file lacks
        if defaults | kept["key"] == key:
            return kept["found"]
    found = measure()
    weight_files.write_json(path, {"key": key, "found": found})
    return found


def nll_of(model: Model, data: Data, elbo: Float[Tensor, " N"], k: int, subset: int) -> dict[str, float]:
    """The NLL, the mean of -log p(x) over all images, in nats. The estimate is too large in expectation.

    IWAE-k, the importance-weighted bound with k samples, is slow. So the gap, IWAE-k minus ELBO, is measured on `subset` random
    images, and NLL = -(mean `elbo` of all images + mean gap). The dict also holds the standard error of the NLL, and the mean
    `elbo`.
    """
    chosen = estimators.random_subset(len(elbo), subset)
    own, bounds = estimators.importance(model, data.subset(chosen.to(data.images.device)), [k])
    log_p = estimators.corrected(elbo.cpu(), chosen, own.cpu(), bounds[-1].cpu())
    return {"nll": -log_p.value, "nll_standard_error": log_p.standard_error, "elbo": elbo.mean().item()}


def pixel_entropy(images: Float[Tensor, "N C H W"]) -> Estimate:
    """The entropy of binary pixels that are drawn with the probabilities x: nats per image, mean over images.

    It is the floor of the NLL with dynamic binarisation: in expectation over the draws, no model's mean -log p(x) on these
    images is smaller. The reason: the cross entropy of a distribution is at least its entropy.
    """
    x = images.double()
    # H(x) = -Σ [x log x + (1 - x) log(1 - x)]
    return mean_of((torch.special.entr(x) + torch.special.entr(1 - x)).sum((1, 2, 3)))


def floor_of(report: dict[str, Any]) -> float:
    """The pixel entropy of a report's test images. If the report does not have it: MNIST's value."""
    return report.get("floor", FLOOR)[0]


def at_least(options: Any, **least: int) -> None:
    """ValueError, before any training, if an option is too small, has too few values, or has a value twice."""
    for name, needed in least.items():
        value = getattr(options, name)
        if isinstance(value, tuple) and len(value) < needed:
            raise ValueError(f"{name} are {value}: expected {needed} or more values")
        if isinstance(value, tuple) and len({*value}) < len(value):  # two equal seeds would have no spread
            raise ValueError(f"{name} are {value}: expected different values")
        if not isinstance(value, tuple) and value < needed:
            raise ValueError(f"{name} is {value}: expected at least {needed}")


def over_seeds(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of every seed, their mean, and their standard deviation (if there are two seeds or more)."""
    names = measured[0].keys()
    report: dict[str, Any] = {"seeds": measured, "mean": {name: statistics.fmean(m[name] for m in measured) for name in names}}
    if len(measured) > 1:
        report["sd"] = {name: statistics.stdev(m[name] for m in measured) for name in names}
    return report


def seconds_of(found: dict[str, Any]) -> float:
    """The seconds of all runs in a dict of results of `over_seeds`."""
    return sum((one["seconds"] for result in found.values() for one in result["seeds"]), 0.0)


def spread(report: dict[str, Any], name: str, digits: int = 1, times: int | float = 1) -> str:
    """The text "mean ± standard deviation over seeds", from a result of `over_seeds`. Both are multiplied by `times`."""
    mean = f"{times * report['mean'][name]:.{digits}f}"
    return f"{mean} ± {abs(times) * report['sd'][name]:.{digits}f}" if "sd" in report else mean


def machine(device: str = "cpu") -> str:
    """The GPU; or the processor, its logical cores and the number of torch's threads, in one line."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    found = about_machine()
    return f"{found['processor']}, {found['cores']} cores, torch on {found['threads']}"


def about_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, logical cores, bfloat16 instructions, torch's threads, versions, GPU. No names of users or hosts."""
    path = Path("/proc/cpuinfo")  # only Linux has it
    lines = [line.partition(":") for line in path.read_text().splitlines()] if path.is_file() else []
    found = {name.strip(): value.strip() for name, _, value in lines}
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


def epochs_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv, one for each epoch. Without the file: none."""
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.is_file() else []
