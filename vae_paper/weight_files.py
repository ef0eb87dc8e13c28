"""Weight files: parameters and a header. The header says how to build the model, how it was trained, and on which data."""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_numpy import files, weights
from vae_paper import models
from vae_paper.config import Config, check_types, from_dict

if TYPE_CHECKING:
    from vae_paper.vae import Model

RUNS = Path("runs")
DEFAULT = "vae_mnist_d20"
CODE = ("model", "encoder", "decoder", "objective", "optimizer")  # entries of a header that name code, perhaps your own
DTYPES = {"float32": torch.float32, "float64": torch.float64}  # dtypes that the parameters of a file may have


def find(run: str | Path) -> Path:
    """The path of a run's folder or of a weight file. `run` is this path, a run's name, or the name of bundled weights."""
    for path in (Path(run), RUNS / run, weights.PRETRAINED / f"{run}.safetensors"):
        if path.is_file() or (path / "weights.safetensors").exists():
            return path
    if (RUNS / run).is_dir() or Path(run).is_dir():
        raise FileNotFoundError(f"{run}: a folder without weights.safetensors; expected the folder of a trained run")
    bundled = ", ".join(sorted(path.stem for path in weights.PRETRAINED.glob("*.safetensors")))
    raise FileNotFoundError(f"{run}: no such file, no run in {RUNS}/, and none of the bundled weights ({bundled})")


def load(run: str | Path = DEFAULT, model: "Model | None" = None) -> Any:
    """Load a trained model, in eval mode. `run` is a run's folder or name, a weight file of any level, or a bundled name.

    For your own class, pass an instance as `model`: the file's parameters are loaded into it. Raises FileNotFoundError, or
    ValueError for a file that is damaged, was not saved by this project, or does not fit the model.
    """
    return load_with_header(run, model)[0]


def load_with_header(run: str | Path, model: "Model | None" = None) -> tuple[Any, dict[str, Any]]:
    """Like `load`, but returns the model and the file's header."""
    path = find(run)
    path = path / "weights.safetensors" if path.is_dir() else path
    tensors, about = weights.load_tensors(path)
    if "config" in about:
        config_of(path, about["config"])
    if not isinstance(about.get("own") or {}, dict):
        raise ValueError(f"{path}: own is {about['own']!r} in its header; expected the names of the user's own parts")
    given = model is not None
    if model is None:
        model = _rebuilt(path, about, tensors)
    described = describe(model)
    made: Any = about.get("made_with") if given else None
    theirs = about | (made if isinstance(made, dict) else {})
    for name, ours in (described["made_with"] | described).items():
        if name not in ("made_with", "dtype") and name in theirs and not same(name, theirs[name], ours):
            other = "given" if given else "that its header describes"
            raise ValueError(f"{path}: {name} is {str(theirs[name])[:80]} in this file, and {ours} in the model {other}")
    fill(path, model, tensors)
    return model.eval(), about


def describe(model: "Model") -> dict[str, Any]:
    """The part of a header from which `load` builds the model again. A model of your own is not built again; its numbers and
    texts are kept in `made_with`, and compared with those of the model that is passed later."""
    name = models.name_of(model)
    made_with = model.arguments if name in models.names() else plain_arguments(model)
    about = {"model": name, "latent_dim": model.latent_dim, "likelihood": model.likelihood, "made_with": made_with}
    about |= {"image_shape": list(model.image_shape)}
    return about if model.dtype == torch.float32 else about | {"dtype": str(model.dtype).removeprefix("torch.")}


def plain_arguments(model: "Model") -> dict[str, Any]:
    """The arguments of a model of your own that are numbers or texts, if it has attributes of the same names."""
    names = models.options_of(model).keys() - {"latent_dim", "likelihood", "sigma"}
    found = {name: getattr(model, name, None) for name in sorted(names)}
    return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def same(name: str, theirs: Any, ours: Any) -> bool:
    """Whether two values of the entry `name` are equal. Names of code are compared without their modules: a file of your own is
    `__main__` if it is run as a script, and has another name if it is imported."""
    if name in CODE and isinstance(theirs, str) and isinstance(ours, str):
        return unqualified(theirs) == unqualified(ours)
    theirs, ours = (list(value) if isinstance(value, tuple) else value for value in (theirs, ours))
    return bool(theirs == ours)


def unqualified(name: str) -> str:
    """A name without its module: "loss(alpha=0.5)" for "my_file.loss(alpha=0.5)"."""
    head, bracket, arguments = name.partition("(")
    return head.rpartition(".")[2] + bracket + arguments


def _rebuilt(path: Path, about: dict[str, Any], tensors: dict[str, np.ndarray]) -> "Model":
    """The model that the header describes. If the tensors do not fit it, ValueError before the model takes any memory."""
    name, latent_dim, likelihood = about.get("model"), about.get("latent_dim", 0), about.get("likelihood", "bce")
    made: Any = about.get("made_with", {})
    dtype = str(about.get("dtype", "float32"))
    if not isinstance(name, str) or (name not in models.names() and "." not in name):
        raise ValueError(f"{path}: its header names the model {str(name)[:80]!r}; expected one of this project")
    made = made if isinstance(made, dict) else {"made_with": made}
    own = [name] if name not in models.names() else [made[part] for part in ("encoder", "decoder") if part in made]
    if own:
        raise ValueError(
            f"{path}: needs {' and '.join(map(str, own))}, which only your own code can build: "
            f"use vae_paper.load({str(path)!r}, model=...) in Python"
        )
    try:
        made = models.checked_arguments(name, made)
        check_types({"latent_dim": latent_dim, "likelihood": likelihood})
        if latent_dim < 1 or made.get("layers", 0) > len(tensors) or dtype not in DTYPES:
            raise ValueError(f"D = {latent_dim}, made with {made}, {dtype[:80]}")
        with torch.device("meta"):  # uses no memory, whatever size the header claims
            claimed = models.class_of(name)(latent_dim, likelihood, **made).to(DTYPES[dtype])
    except (ValueError, TypeError, RuntimeError, OverflowError, AttributeError) as error:
        raise ValueError(f"{path}: its header describes no valid {name} ({str(error).splitlines()[0][:200]})") from None
    check_tensors(path, claimed.state_dict(), tensors)
    return models.build(name, latent_dim, likelihood, **made).to(DTYPES[dtype])


def has_beta(model: "Model", about: dict[str, Any]) -> bool:
    """Whether `model` was trained with a loss that has a beta. `about` is the header of its file."""
    objective = about.get("config", {}).get("objective") or "elbo"
    loss_has_one = objective in ("elbo", "free-bits") and "objective" not in (about.get("own") or {})
    return loss_has_one and "beta" not in model.fixed_options


def save_model(path: Path, model: nn.Module, about: dict[str, Any]) -> None:
    """Write a model's parameters and a header. Levels 1 and 2 can read the file if it holds exactly their 18 parameters."""
    weights.save_tensors(path, as_arrays(model.state_dict()), about)


def fill(path: Path, model: nn.Module, tensors: dict[str, np.ndarray]) -> None:
    """Load the tensors of the file `path` into a model. ValueError if they do not fit (`check_tensors`)."""
    check_tensors(path, model.state_dict(), tensors)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})


def check_tensors(path: Path, expected: dict[str, Tensor], tensors: dict[str, np.ndarray]) -> None:
    """ValueError if names, shapes or dtypes of the file's tensors are not as `expected`; it names the first wrong tensor."""
    for name in sorted(expected.keys() ^ tensors.keys()):
        raise ValueError(f"{path}: {name} is {'missing' if name in expected else 'not part of this model'}")
    for name, tensor in expected.items():
        if tuple(tensor.shape) != tensors[name].shape or str(tensor.dtype).removeprefix("torch.") != tensors[name].dtype:
            found = f"{tensors[name].dtype} {tensors[name].shape}"
            raise ValueError(f"{path}: {name} is {found}; expected {tensor.dtype} {tuple(tensor.shape)}")


def config_of(path: Path, content: Any) -> Config:
    """The configuration in a file, made from the dict `content`. ValueError if the configuration is not valid."""
    try:
        return from_dict(content)
    except ValueError as error:
        raise ValueError(f"{path}: its configuration is not valid: {error}") from None


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The tensors as NumPy arrays in C order."""
    return {name: t.detach().cpu().contiguous().numpy() for name, t in tensors.items()}


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically."""
    files.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows with one header line, atomically."""
    text = io.StringIO()
    table = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    files.write_atomically(path, text.getvalue().encode())
