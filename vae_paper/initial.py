"""The model at the start of a run. Its parameters are random, or come from another run (`start_from`, `codes_of`)."""

import copy
import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from vae_paper import models
from vae_paper.config import ARRAY, BY_THE_SIZE, FOLDER, MODELS_OWN, Config, arguments_in
from vae_paper.data import OWN, Data, trained_on
from vae_paper.vae import MNIST, Model
from vae_paper.weight_files import as_arrays, config_of, describe, fill, find, load_with_header, same


def initial_model(config: Config, model: Model | None = None, data: Data | None = None) -> Model:
    """Build the model of a checked configuration, or take the given `model`. Then set its parameters for the start of the run.

    `data` are all images of the run, training and validation. Without `data`, the model is built for images of MNIST's shape.
    With `resume`, no parameters are read here: the run's state is loaded later.
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
    if config.resume:  # its state holds every parameter, and is loaded later
        return model.train()
    for option, part in model.parts.items():
        name = getattr(config, option)
        trained, about = load_with_header(name)
        if data and about.get("source") == config.source and not trained_on(about, data.like(trained)):
            said = f"{option} is {name}: it was trained on {about.get('data')}, and this run has other images"
            # The part may have been trained on images that this run uses for validation
            raise ValueError(f"{said}; train both on the same images")
        _check_validation(find(name), about | about.get("config", {}), config, data and data.like(trained))
        fill(find(name), getattr(model, part), as_arrays(trained.state_dict()))
    if config.start_from is not None:
        start, about = load_with_header(config.start_from, given)
        path = find(config.start_from)
        _check_start(path, about | about.get("config", {}), config, data and data.like(model))
        check_made_with(path, about, model)
        fill(path, model, as_arrays(start.state_dict()))
    return model.train()


def check_made_with(path: Path, about: Any, model: Model) -> None:
    """Refuse a file whose model was made with other arguments. Its tensors may fit, but they would have another meaning."""
    described = describe(model)
    ours = described["made_with"] | {"image_shape": tuple(described["image_shape"])}
    made = about.get("made_with", {}) if isinstance(about, dict) else None
    if not isinstance(made, dict):
        raise ValueError(f"{path}: its header does not say how its model was made; expected made_with, a dict of its arguments")
    shape = {"image_shape": about["image_shape"]} if "image_shape" in about else {}  # some files have no image_shape
    for name, theirs in (made | shape).items():
        theirs = tuple(theirs) if isinstance(theirs, list) else theirs
        if name in ours and not same(name, theirs, ours[name]):
            raise ValueError(f"{path}: {name} is {theirs} in this file, and {ours[name]} in this run's model")


def inherit(config: Config) -> Config:
    """Copy options from the run `codes_of`: source, shape and binarisation of its images, and the options that both models have.

    In `config` each of these options must have its default or the value of that run. Otherwise ValueError.
    """
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
            raise ValueError(f"{name} is {getattr(config, name)}, but {path} has {value}; leave {name} out")
    return dataclasses.replace(config, **inherited)


def _check_start(path: Path, start: dict[str, Any], config: Config, data: Data | None) -> None:
    """Refuse parameters that would have another meaning in this run, or that may have seen this run's validation images."""
    own = [option for option in MODELS_OWN if option not in BY_THE_SIZE]  # `check_made_with` compares width and depth
    for option in ("model", "latent_dim", "sigma", "codes_of", *own):
        theirs, ours = start.get(option), getattr(config, option)
        if option in start and not same(option, theirs, ours):
            raise ValueError(f"start_from is {config.start_from}: {option} is {theirs} in {path}, and {ours} in this run")
    _check_validation(path, start, config, data)


def _check_validation(path: Path, start: dict[str, Any], config: Config, data: Data | None) -> None:
    """Refuse trained parameters that may have seen this run's validation images."""
    if config.validation > (unseen := _unseen(start, config.source, data)):
        seen = f"{path} was, or may have been, trained on this run's validation images"
        raise ValueError(f"validation is {config.validation}: {seen}; expected at most {unseen}")


def _unseen(start: dict[str, Any], source: str, data: Data | None) -> float:
    """The fraction of a source's training split that the model with the header `start` has not seen.

    Images of sources with different names count as different images.
    Every run that uses all training images of a source takes them in the same random order (`data.split`), and holds out the
    first ones. So if the model's run held out n images, a new run may hold out n or fewer: the model has seen none of them.
    """
    theirs, before = start.get("source"), start.get("start_from")
    theirs, source = _one_name(theirs), _one_name(source)
    if "validation" not in start or theirs is None:
        return 0.0  # for example, a file of level 2: it was trained on all images
    held = start["validation"] if isinstance(start["validation"], float) else 0.0
    if theirs == source == OWN:  # this name does not tell which images: compare the digests
        return held if data and "digest" in start and trained_on(start, data) else 0.0
    if theirs == source or (before is None and theirs == "auto"):
        # An older file may have "auto" as its source. Then the earlier run counts as trained on the source of this run: the
        # cautious choice, because this run must not validate on images that the model has seen.
        # The header's text "data" begins with the number of images on which the earlier run was trained (from `data.split`).
        # `whole` is the number of images of the new run. If the earlier run was given the same images, the number in its
        # header is `whole` minus the number of images that the earlier run held out. Otherwise it was given fewer images, for
        # example a subset that was passed in Python. Then it held out other images than the new run holds out, and may have
        # been trained on these.
        number = re.match(r"([\d,]+) images of", str(start.get("data")))
        whole = len(data.images) if data else None
        of_a_part = number and whole and int(number[1].replace(",", "")) != whole - round(held * whole)
        return 0.0 if of_a_part else held
    # The earlier run used another source: it has seen none of these images. But if it began from a third run (start_from), that
    # run may have seen them
    return 1.0 if before is None else 0.0


def _one_name(source: Any) -> Any:
    """The source; for a folder or a file, with its absolute path, because a path can be written in several ways."""
    for prefix in (FOLDER, ARRAY):
        if isinstance(source, str) and source.startswith(prefix):
            return prefix + os.path.realpath(source.removeprefix(prefix))
    return source
