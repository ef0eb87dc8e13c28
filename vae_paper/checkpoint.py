"""runs/NAME/ on disk: config.json, metrics.csv, weights.safetensors (the best), state.safetensors (to go on from)."""

import contextlib
import csv
import dataclasses
import fcntl
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_numpy import files, weights
from vae_numpy.vae import init_params
from vae_paper.config import MADE_WITH, Config, check_types, made_with, stored
from vae_paper.cvae import CVAE, QuadrantCVAE
from vae_paper.pixel_prior import PixelPrior
from vae_paper.pixel_vae import PixelVAE
from vae_paper.vae import AE, VAE, Model
from vae_paper.vq_vae import VQVAE

MODELS: dict[str, type[Model]] = {
    "vae": VAE,
    "ae": AE,
    "cvae": CVAE,
    "quadrant-cvae": QuadrantCVAE,
    "pixel-vae": PixelVAE,
    "vq-vae": VQVAE,
    "pixel-prior": PixelPrior,
}
RUNS = Path("runs")


def build(
    model: str, latent_dim: int, likelihood: str = "bce", sigma: float | None = None, seed: int = 0, **made_with: Any
) -> Any:
    """A model with the initial parameters that every level draws from this seed; `made_with` is what only some are given."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for the parameters that only some models have
        module = MODELS[model](latent_dim, likelihood, **({} if sigma is None else {"sigma": sigma}), **made_with)
    shared = init_params(latent_dim, np.random.default_rng(seed))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in shared.items()}, strict=False)
    return module


def build_for(config: Config) -> Model:
    """The model that a run starts with."""
    model = build(config.model, config.latent_dim, config.likelihood, config.sigma, config.seed, **made_with(config))
    if config.codes_of is not None and not config.resume:  # a state to resume from holds the vq-vae too
        vq_vae, _ = load_model(run_path(config.codes_of))
        model.vq_vae.load_state_dict(vq_vae.state_dict())
    if config.start_from is not None and not config.resume:
        start, about = load_model(path := run_path(config.start_from))
        _check_start(path, about | about.get("config", {}), config)
        fill(path, model, _arrays(start.state_dict()))
    return model


def _check_start(path: Path, start: dict[str, Any], config: Config) -> None:
    """Refuse a start whose tensors mean something else, or that was trained on images by which this run selects its weights."""
    for option in ("model", "latent_dim", "sigma", "codes_of", *MADE_WITH.get(config.model, ())):
        theirs, ours = start.get(option), getattr(config, option)
        if theirs != ours and option in start:
            raise ValueError(f"start_from is {config.start_from}: {option} is {theirs} in {path}, and {ours} in this run")
    if config.validation > (unseen := _unseen(start, config.source)):
        seen = f"{path} was, or may have been, trained on images that this run would select weights by"
        raise ValueError(f"validation is {config.validation}: {seen}; expected at most {unseen}")


def _unseen(start: dict[str, Any], source: str) -> float:
    """The fraction of a source's training images that a start has certainly not seen: they are cut off in the same order."""
    theirs, before = start.get("source"), start.get("start_from")
    if theirs == source or (before is None and theirs is not None and "auto" in (theirs, source)):
        return start["validation"]  # auto: these images, or others
    return 1.0 if before is None and theirs is not None else 0.0


def inherit(config: Config) -> Config:
    """A pixel-prior's configuration with what its vq-vae decides; ValueError where the command line says otherwise."""
    if config.codes_of is None:
        return config
    path = run_path(config.codes_of)
    _, about = load_model(path)
    if about["model"] != "vq-vae":
        raise ValueError(f"codes_of is {config.codes_of}: {path} holds a {about['model']}; expected a vq-vae")
    decided = config_of(path, about.get("config"))
    inherited = {name: getattr(decided, name) for name in ("latent_dim", "likelihood", "sigma", "binarise", "codes", "codebook")}
    for name, value in inherited.items():
        default = Config.__dataclass_fields__[name].default
        if getattr(config, name) not in (default, value):
            raise ValueError(f"{name} is {getattr(config, name)}, but {path} has {value}; leave it out")
    return dataclasses.replace(config, **inherited)


def run_path(run: str) -> Path:
    """A run's name, or a path, as a path."""
    return RUNS / run if (RUNS / run).is_dir() else Path(run)


def save_model(path: Path, model: nn.Module, about: dict[str, Any]) -> None:
    """Write a model's parameters and what they are; those of a plain VAE are read at every level."""
    weights.save_tensors(path, _arrays(model.state_dict()), about)


def load_model(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """The `Model` in a run folder or a weight file (of any level), and its header.

    Raises FileNotFoundError, or ValueError for a file that is damaged, not ours, or whose header and tensors do not fit.
    """
    path = Path(path)
    path = path / "weights.safetensors" if path.is_dir() else path
    tensors, about = weights.load_tensors(path)
    name, made = about.get("model"), about.get("made_with", {})
    if not isinstance(name, str) or name not in MODELS:
        raise ValueError(f"{path}: its header names no model of this project, but {name!r}")
    if "config" in about:
        config_of(path, about["config"])
    arguments: tuple[str, Any, Any] = (name, about.get("latent_dim"), about.get("likelihood", "bce"))
    _check_claims(path, *arguments, made, tensors)
    model = build(*arguments, **made)
    fill(path, model, tensors)
    return model.eval(), about


def _check_claims(path: Path, name: str, latent_dim: Any, likelihood: Any, made: Any, tensors: dict[str, np.ndarray]) -> None:
    """Refuse a header that does not describe the file's tensors, before a model of the claimed size is made."""
    try:
        check_types({"latent_dim": latent_dim, "likelihood": likelihood, **made})
        if latent_dim < 1 or made.keys() - {*MADE_WITH.get(name, ())} or made.get("layers", 0) > len(tensors):
            raise ValueError(f"D = {latent_dim}, made with {made}")
        with torch.device("meta"):  # takes no memory, however large the claim
            claimed = MODELS[name](latent_dim, likelihood, **made)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path}: its header describes no {name} of this project ({str(error).splitlines()[0]})") from None
    check(path, claimed.state_dict(), tensors)


def save_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Write all that training needs to go on exactly: parameters, Adam's moments, and `progress` (any JSON)."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": t for name, t in moments.items()}
    weights.save_tensors(folder / "state.safetensors", _arrays(tensors), progress)


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put what `save_state` wrote back into model and optimizer; return `progress`.

    Raises FileNotFoundError, or ValueError for a file that is damaged or holds the state of another model.
    """
    path = folder / "state.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no state to resume from; train without --resume")
    tensors, progress = weights.load_tensors(path)
    expected = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    trained = [index for index in range(len(parameters)) if f"adam.{index}.step" in tensors]
    for index in trained:
        moments = {"step": torch.zeros((), dtype=torch.float32), "exp_avg": parameters[index], "exp_avg_sq": parameters[index]}
        expected |= {f"adam.{index}.{name}": tensor for name, tensor in moments.items()}
    check(path, expected, tensors)
    fill(path, model, {name[6:]: array for name, array in tensors.items() if name.startswith("model.")})
    state = {
        index: {m: torch.from_numpy(tensors[f"adam.{index}.{m}"]) for m in ("step", "exp_avg", "exp_avg_sq")} for index in trained
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def fill(path: Path, model: nn.Module, tensors: dict[str, np.ndarray]) -> None:
    """Put the tensors of the file `path` into a model, or refuse them as `check` does."""
    check(path, model.state_dict(), tensors)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})


def check(path: Path, expected: dict[str, Tensor], tensors: dict[str, np.ndarray]) -> None:
    """Refuse tensors of the file `path` that are not as expected: ValueError names the first that does not fit."""
    for name in sorted(expected.keys() ^ tensors.keys()):
        raise ValueError(f"{path}: {name} is {'missing' if name in expected else 'not part of this model'}")
    for name, tensor in expected.items():
        if tuple(tensor.shape) != tensors[name].shape or str(tensor.dtype).removeprefix("torch.") != tensors[name].dtype:
            found = f"{tensors[name].dtype} {tensors[name].shape}"
            raise ValueError(f"{path}: {name} is {found}; expected {tensor.dtype} {tuple(tensor.shape)}")


def config_of(path: Path, content: Any) -> Config:
    """The configuration that a file holds (`config.as_dict` made it), or ValueError where it is none that can be run."""
    try:
        return stored(content)
    except ValueError as error:
        raise ValueError(f"{path}: its configuration is not one of this project's: {error}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process alone; a second run into it is refused. Sweeps what a killed run left."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when the process ends
        except OSError:
            raise ValueError(f"{folder}: another process is training into this folder; choose another --name") from None
        for stale in folder.glob(".*.tmp"):
            stale.unlink()
        yield


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    files.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with one header line, atomically."""
    text = io.StringIO()
    table = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    files.write_atomically(path, text.getvalue().encode())


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: t.detach().cpu().contiguous().numpy() for name, t in tensors.items()}
