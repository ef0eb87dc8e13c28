"""The variants of the VAE, one file each. To add a model, add a file here: no list needs a change.

A model's name on the command line is the file's name with - in place of _: `vq_vae.py` holds the model `vq-vae`. The
model's class is the last subclass of `Model` in the file.

Read vae_paper/vae.py first. Then read these groups, in this order: ae; cvae, quadrant_cvae; pixel_vae; vq_vae, pixel_prior;
vae_paper/estimated_rate.py, flow_prior, vamp_prior, iaf; ladder.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_paper.vae import Model


def names() -> list[str]:
    """The names of all models, the VAE first. No model is imported here, so --help does not wait for torch."""
    return ["vae", *sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__))]


def class_of(name: str) -> type["Model"]:
    """The class of the model with this name. ValueError for an unknown name."""
    from vae_paper.vae import Model

    if name not in names():
        raise ValueError(f"model is {name!r}; expected one of: {', '.join(names())}")
    module = importlib.import_module("vae_paper.vae" if name == "vae" else f"{__name__}.{name.replace('-', '_')}")
    found = [c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, Model) and c.__module__ == module.__name__]
    if not found:
        raise ValueError(f"{module.__file__}: expected a subclass of vae_paper.Model, defined in this file")
    return found[-1]


def name_of(model: "Model") -> str:
    """A model's name on the command line. For a model of your own: MODULE.CLASS."""
    module, _, stem = type(model).__module__.rpartition(".")
    name = stem.replace("_", "-")
    ours = (module == "vae_paper" and name == "vae") or module == __name__
    return name if ours and class_of(name) is type(model) else f"{type(model).__module__}.{type(model).__qualname__}"


def options_of(model: "type[Model] | Model") -> dict[str, Any]:
    """The arguments of a model's class: {name: default}."""
    cls = model if inspect.isclass(model) else type(model)
    return {name: p.default for name, p in inspect.signature(cls).parameters.items()}


def checked_arguments(name: str, arguments: Any, elsewhere: Iterable[str] = ()) -> dict[str, Any]:
    """Arguments from a file or a command, checked.

    If the default is a tuple, a list becomes a tuple. If the default is a float, an int becomes a float.
    ValueError for an unknown name or a wrong type. `elsewhere`: arguments that have an option of their own; the error message
    does not list them.
    """
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments are {str(arguments)[:80]!r}; expected a dictionary of names and values")
    options, found = options_of(class_of(name)), {}
    for option, value in arguments.items():
        if options.get(option) is None:  # encoder and decoder are refused too: they are networks, and their defaults are None
            free = [one for one, default in options.items() if default is not None and one not in (*elsewhere, "image_shape")]
            raise ValueError(f"{option} cannot be given to {name}; expected one of: {', '.join(free) or 'none'}")
        kind = type(options[option])
        if (kind, type(value)) in ((tuple, list), (float, int)):
            value = kind(value)
        if type(value) is not kind:
            raise ValueError(f"{option} is {str(value)[:80]!r}; expected {kind.__name__}")
        found[option] = value
    return found


def summary(name: str) -> str:
    """What `train --help` says about a model: the first words of its file, up to ".", ":" or "("."""
    if name == "vae":
        return "the variational autoencoder"
    path = Path(__file__).parent / f"{name.replace('-', '_')}.py"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"), str(path))) or ""
    return re.split(r"[.:]\s|\s\(", " ".join(docstring.split()))[0].strip()


def build(name: str, latent_dim: int = 20, likelihood: str = "bce", seed: int = 0, **arguments: Any) -> Any:
    """A new model. Parameters that also exist at levels 1 and 2 get the values that these levels draw from the same seed."""
    import numpy as np
    import torch

    from vae_numpy.vae import init_params

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # for the parameters that levels 1 and 2 do not have
        model = class_of(name)(latent_dim, likelihood, **arguments)
    ours, drawn = model.state_dict(), init_params(latent_dim, np.random.default_rng(seed))
    shared = {name: torch.from_numpy(p) for name, p in drawn.items() if name in ours and ours[name].shape == p.shape}
    model.load_state_dict(shared, strict=False)
    return model
