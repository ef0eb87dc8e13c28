"""One file per measurement: it trains, measures and writes results/NAME.json, protocol included."""

import csv
import json
import statistics
from typing import Any

from vae_paper import checkpoint, train
from vae_paper.config import Config, as_dict, checked


def trained(config: Config) -> tuple[Any, float]:
    """The model of a run, and the seconds that its steps took: found in runs/, gone on with, or trained now."""
    folder = checkpoint.RUNS / config.name
    begun = (folder / "config.json").is_file()
    if begun and (kept := json.loads((folder / "config.json").read_text())) != as_dict(checkpoint.inherit(checked(config))):
        raise ValueError(f"{folder}: holds another run, {kept}; remove the folder or rename it")
    if len(_rows(folder)) < config.epochs:
        begun = (folder / "state.safetensors").is_file()
        train.train(Config(name=config.name, resume=True) if begun else config)
    model, _ = checkpoint.load_model(folder)
    return model, sum(float(row["seconds"]) for row in _rows(folder))


def over_seeds(measured: list[dict[str, float]]) -> dict[str, Any]:
    """Every seed's numbers, their mean and their standard deviation."""
    names = measured[0].keys()
    return {
        "seeds": measured,
        "mean": {name: statistics.fmean(m[name] for m in measured) for name in names},
        "sd": {name: statistics.stdev(m[name] for m in measured) for name in names},
    }


def _rows(folder: Any) -> list[dict[str, str]]:
    path = folder / "metrics.csv"
    return list(csv.DictReader(path.open())) if path.is_file() else []
