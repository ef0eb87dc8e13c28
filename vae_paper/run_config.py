"""The configuration of a run: the stored one of a resumed run, or a new one, filled in from a model and data passed in Python."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from vae_numpy import weights
from vae_paper import devices, distributed, models, weight_files
from vae_paper.config import MODELS_OWN, Config, ObjectiveOptions, arguments_in, as_dict, check_name, checked
from vae_paper.data import FOLDER, OWN, Data, check_data, count, resolved
from vae_paper.initial import inherit
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import Model

# A run with another value of these cannot start from the parameters of this run (`initial._check_start`)
FIXED_BY_THE_START = ("model", "latent_dim", "sigma", "codes_of", "image_size", "image_channels", "model_arguments", *MODELS_OWN)


def configured(folder: Path, config: Config, model: Model | None = None, data: Data | None = None) -> Config:
    """The configuration of the run. Resumed run: the stored one. New run: `config`, checked, with its defaults filled in."""
    config = _of_model(config, model)
    if config.resume:
        config = stored_config(folder, config)
        if model is None and config.model not in models.names():
            raise ValueError(f"{folder} has a model of your own, {config.model}: resume it in Python, train(config, model=...)")
    else:
        if data is not None and config.source not in (Config.source, data.source):
            raise ValueError(f"source is {config.source} in the configuration, and the images are passed as data; leave it out")
        config = _of_data(inherit(config), data)
        images = len(data.images) if data is not None else count(config.source)
        config = checked(config, model, images)
        config = dataclasses.replace(config, resume=_was_restarted(folder, config))
    if data is None and config.source == OWN:
        raise ValueError(f"{folder}: its images are data of your own; pass them in Python, train(config, data=...)")
    return config


def _of_data(config: Config, data: Data | None) -> Config:
    """The configuration, with source, shape and binarisation filled in from `data`, so that it loads the same images."""
    if data is None:
        return dataclasses.replace(config, source=resolved(config.source))
    check_data(data)
    C, H, _ = data.shape
    found: dict[str, Any] = {"source": resolved(data.source)}
    if data.source.startswith(FOLDER):
        found |= {"image_size": H, "image_channels": C}
    elif data.source == "sprites" and H != 28:
        found["image_size"] = H
    if config.binarise == "none":
        found["binarise"] = data.binarisation
    return dataclasses.replace(config, **found)


def _of_model(config: Config, model: Model | None) -> Config:
    """The configuration, with the name and arguments of `model`. ValueError if `config` has other arguments."""
    if model is None:
        return config
    if not isinstance(model, Model):
        raise ValueError(f"model is a {type(model).__name__}; expected an instance of a subclass of vae_paper.Model")
    name = models.name_of(model)
    found: dict[str, Any] = {"latent_dim": model.latent_dim, "likelihood": model.likelihood}
    if name in models.names():  # a model of the library: these options build it again
        found["model"] = name
        defaults = models.options_of(model)
        asked = {option: value for option in MODELS_OWN if (value := getattr(config, option)) is not None}
        for option, value in (asked | models.checked_arguments(name, arguments_in(config))).items():
            if value != (has := (defaults | model.arguments).get(option, value)):
                raise ValueError(f"{option} is {value} in the configuration, and {has} in the model; leave it out")
        made = {name: value for name, value in model.arguments.items() if value != defaults[name]}
        found |= {name: value for name, value in made.items() if name in MODELS_OWN}
        others = sorted(made.keys() - {*MODELS_OWN, "image_shape", "encoder", "decoder"})
        found |= {"model_arguments": " ".join(f"{name}={made[name]}" for name in others)} if others else {}
    scale = LIKELIHOODS[model.likelihood].scale
    trained = scale == "learned" and config.resume  # then the model's scale may have changed since the run began
    if scale != "none" and not trained and hasattr(model, "log_sigma"):  # a pixel-prior has none of its own
        found["sigma"] = float(f"{model.log_sigma.exp().item():.6g}")  # rounded: log_sigma is float32, and 0.1 must stay 0.1
    for option, value in found.items():
        if getattr(config, option) not in (Config.__dataclass_fields__[option].default, value):
            raise ValueError(
                f"{option} is {getattr(config, option)} in the configuration, and {value} in the model; leave it out"
            )
    return dataclasses.replace(config, **found | {"model": name})


def stored_config(folder: Path, config: Config) -> Config:
    """The configuration stored in a run's folder, but with the name of `config` and, in some cases, the device of `config`.

    A `device` other than "cpu" replaces the stored one. "cpu" is the default: it replaces a stored GPU only if this GPU is not
    available. If the device is no CUDA GPU, a stored precision of tf32 becomes float32. Every other option of `config` must have
    its default or the stored value, otherwise ValueError.
    """
    check_name(config.name)  # before anything is read: the name is a part of the path
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no run of this name to resume; check --name, or leave out --resume")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); the same configuration is in the header of state.safetensors") from None
    kept = dataclasses.replace(weight_files.config_of(path, content), resume=True, name=config.name)
    if missing := [option for option in ("epochs", "batch_size") if getattr(kept, option) is None]:
        raise ValueError(f"{path}: {missing[0]} is missing; restore it from the header of state.safetensors")
    for option in dataclasses.fields(Config):
        asked, stored = getattr(config, option.name), getattr(kept, option.name)
        if asked != option.default and not weight_files.same(option.name, stored, asked) and option.name != "device":
            begin = "; for a new run, give another --name"
            if option.name not in FIXED_BY_THE_START:
                begin += f" (with the parameters of this one: --start-from {config.name})"
            raise ValueError(f"{option.name} is {asked}, but {folder} was started with {stored}{begin}")
    if config.device != Config.device or not devices.is_available(kept.device):
        kept = dataclasses.replace(kept, device=config.device)
    if kept.precision == "tf32" and not devices.is_cuda(kept.device):  # other devices have no TF32
        kept = dataclasses.replace(kept, precision="float32")
    return kept


def _was_restarted(folder: Path, config: Config) -> bool:
    """True if torchrun restarted this run after a crash, and its state was saved. Then the run resumes without --resume."""
    path = folder / "state.safetensors"
    if not distributed.restarted() or not path.exists():
        return False
    died = weights.load_tensors(path)[1]
    return died.get("launch") == distributed.launch() and died.get("config") == as_dict(config)


def refuse_unused(config: Config, own: dict[str, str]) -> None:
    """ValueError for an option that has no effect because the user's own part replaces it."""
    useless = {
        "objective": [option.name for option in dataclasses.fields(ObjectiveOptions) if option.name != "samples"],
        "optimizer": ["learning_rate", "weight_decay"],
        "model": ["sigma", "model_arguments", *MODELS_OWN],
    }
    for part in own.keys() & useless.keys():
        for option in useless[part]:
            value, unset = getattr(config, option), Config.__dataclass_fields__[option].default
            if value != unset and not config.resume:
                raise ValueError(f"{option} is {value}, and your own {part} does not use it; leave it out")
