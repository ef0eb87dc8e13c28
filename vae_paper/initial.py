"""The model that a run starts with: random parameters, those of another run (`start_from`), or trained parts (`codes_of`)."""

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

from vae_paper import models
from vae_paper.config import MODELS_OWN, Config, arguments_in
from vae_paper.data import OWN, Data, trained_on
from vae_paper.vae import MNIST, Model
from vae_paper.weight_files import as_arrays, config_of, describe, fill, find, load_with_header


def initial_model(config: Config, model: Model | None = None, data: Data | None = None) -> Model:
    """The model of a checked configuration, or the `model` given, with the parameters that the run starts with.

    `data` are all images of the run, for training and validation; without them the model takes images of MNIST's shape. With
    `resume` the parameters stay random here: the state is loaded later.
    """
    given = copy.deepcopy(model)  # the parameters of `start_from` are read into this copy
    if model is None:
        takes = models.options_of(models.class_of(config.model))
        arguments = {
            name: value for name in (*MODELS_OWN, "sigma") if name in takes and (value := getattr(config, name)) is not None
        }
        arguments |= models.checked_arguments(config.model, arguments_in(config))
        arguments["image_shape"] = data.shape if data else MNIST
        if "classes" in takes and data and data.classes:
            arguments.setdefault("classes", data.classes)
        model = models.build(config.model, config.latent_dim, config.likelihood, config.seed, **arguments)
    if config.resume:  # the state holds every parameter
        return model.train()
    for option, part in model.parts.items():
        trained, about = load_with_header(getattr(config, option))
        _check_images(f"{option} is {getattr(config, option)}", about, config.source, data and data.like(trained))
        getattr(model, part).load_state_dict(trained.state_dict())
    if config.start_from is not None:
        start, about = load_with_header(config.start_from, given)
        path = find(config.start_from)
        _check_start(path, about | about.get("config", {}), config, data and data.like(model))
        check_made_with(path, about, model)
        fill(path, model, as_arrays(start.state_dict()))
    return model.train()


def check_made_with(path: Path, about: Any, model: Model) -> None:
    """Refuse a file whose model was made with other arguments, even if its tensors fit: they would mean something else."""
    described = describe(model)
    ours = described["made_with"] | {"image_shape": tuple(described["image_shape"])}
    made = about.get("made_with", {}) if isinstance(about, dict) else None
    if not isinstance(made, dict):
        raise ValueError(f"{path}: its header does not say how its model was made; expected made_with, arguments by name")
    shape = {"image_shape": about["image_shape"]} if "image_shape" in about else {}  # some files do not say it
    for name, theirs in (made | shape).items():
        theirs = tuple(theirs) if isinstance(theirs, list) else theirs
        if ours.get(name, theirs) != theirs:
            raise ValueError(f"{path}: {name} is {theirs} in this file, and {ours[name]} in this run's model")


def inherit(config: Config) -> Config:
    """The configuration, with options copied from the run that `codes_of` names. Other values for these options are refused."""
    parts = models.class_of(config.model).parts if config.model in models.names() else {}
    if config.codes_of is None or "codes_of" not in parts:
        return config
    needed = getattr(models.build(config.model), parts["codes_of"])
    path = find(config.codes_of)
    part, about = load_with_header(path)
    if type(part) is not type(needed):
        raise ValueError(f"codes_of is {config.codes_of}: {path} holds a {about['model']}; expected a {models.name_of(needed)}")
    decided = config_of(path, about.get("config"))
    shared = {*models.options_of(needed)} & {*models.options_of(models.class_of(config.model))}
    names = ["source", "image_size", "image_channels", "binarise"]
    names += [f.name for f in dataclasses.fields(Config) if f.name in shared]
    inherited = {name: getattr(decided, name) for name in names}
    for name, value in inherited.items():
        default = Config.__dataclass_fields__[name].default
        if getattr(config, name) not in (default, value):
            raise ValueError(f"{name} is {getattr(config, name)}, but {path} has {value}; leave it out")
    return dataclasses.replace(config, **inherited)


def _check_images(said: str, about: dict[str, Any], source: str, data: Data | None) -> None:
    """Refuse a part that was trained on other images of the same source: this run's validation images may be among them."""
    if data is not None and about.get("source") == source and not trained_on(about, data):
        raise ValueError(f"{said}: it was trained on {about.get('data')}, and this run has other images; train both on the same")


def _check_start(path: Path, start: dict[str, Any], config: Config, data: Data | None) -> None:
    """Refuse parameters that mean something else in this run, or that may have been trained on its validation images."""
    for option in ("model", "latent_dim", "sigma", "codes_of", *MODELS_OWN):
        theirs, ours = start.get(option), getattr(config, option)
        if theirs != ours and option in start:
            raise ValueError(f"start_from is {config.start_from}: {option} is {theirs} in {path}, and {ours} in this run")
    if config.validation > (unseen := _unseen(start, config.source, data)):
        seen = f"{path} was, or may have been, trained on this run's validation images"
        raise ValueError(f"validation is {config.validation}: {seen}; expected at most {unseen}")


def _unseen(start: dict[str, Any], source: str, data: Data | None) -> float:
    """The fraction of a source's training images that the model of `start_from` has certainly not seen.

    Every run on a whole source shuffles in the same fixed order and holds out the first images of that order. So a smaller
    held-out part lies inside a larger one.
    """
    theirs, before = start.get("source"), start.get("start_from")
    if "validation" not in start or theirs is None:
        return 0.0  # a weight file of level 2 does not say which images were left out
    held = start["validation"] if isinstance(start["validation"], float) else 0.0
    if theirs == source == OWN:  # the name says nothing: are they the same images, in the same order?
        return held if data and "digest" in start and trained_on(start, data) else 0.0
    if theirs == source or (before is None and theirs == "auto"):
        # In an older file, "auto" may mean this source or another. We assume this source: then fewer images count as unseen.
        # The header's text "data" begins with the number of training images (`data.split` writes it). In a run on the whole
        # source it is `whole` minus its held-out images. With another number, the model of `start_from` saw only a part of the
        # source. Then its held-out images are not those of this run.
        number = re.match(r"([\d,]+) images of", str(start.get("data")))
        whole = len(data.images) if data else None
        of_a_part = number and whole and int(number[1].replace(",", "")) != whole - round(held * whole)
        return 0.0 if of_a_part else held
    return 1.0 if before is None else 0.0
