"""No dead knobs: every field of the training configuration changes the result, or is refused."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import torch

from vae_numpy import weights
from vae_numpy.command_line import run
from vae_paper import runs, weight_files
from vae_paper import training as train
from vae_paper.__main__ import Command, main
from vae_paper.config import Config, checked
from vae_paper.data import load_data, split
from vae_paper.initial import initial_model

BASE = Config(name="base", source="handwriting", latent_dim=3, batch_size=16, epochs=2)
# For each field: another value, and what it needs around it (which the run it is compared with has too).
KNOBS = {
    "model": ("cvae", {}),
    "latent_dim": (4, {}),
    "width": (16, {}),
    "depth": (3, {}),
    "codes": (9, {"model": "vq-vae"}),
    "codebook": ("loss", {"model": "vq-vae"}),
    "commitment": (2.0, {"model": "vq-vae"}),
    "restart": (False, {"model": "vq-vae", "codes": 64}),
    "likelihood": ("mse", {}),
    "sigma": (0.4, {"likelihood": "gaussian"}),
    "binarise": ("threshold", {"likelihood": "bernoulli", "binarise": "dynamic"}),
    "seen": (2, {"model": "quadrant-cvae"}),
    "objective": ("free-bits", {}),
    "beta": (3.0, {}),
    "beta_schedule": ("cyclical", {}),
    "warmup_epochs": (2, {"beta_schedule": "linear"}),
    "samples": (2, {}),
    "free_bits": (2.0, {"objective": "free-bits"}),
    "free_bits_per": ("total", {"objective": "free-bits", "free_bits": 0.001}),
    "gamma": (10.0, {"objective": "capacity"}),
    "capacity": (3.0, {"objective": "capacity"}),
    "epochs": (3, {}),
    "batch_size": (8, {}),
    "learning_rate": (1e-4, {}),
    "lr_schedule": ("constant", {}),
    "weight_decay": (3.0, {}),
    "validation": (0.5, {}),
    "precision": ("bf16", {}),
    "seed": (1, {}),
    "source": ("mnist", {}),
}
# Fields that decide where, not what: each has its own test.
ELSEWHERE = {"name", "device", "tensorboard", "resume", "start_from", "codes_of"}
ELSEWHERE |= {"channels", "layers", "class_conditional", "model_arguments"}
ELSEWHERE |= {"image_size", "image_channels"}  # test_images


@pytest.fixture(autouse=True)
def few_images(tmp_path, monkeypatch):
    """60 small images for each source, so that a run takes a moment."""
    load = load_data

    def load_few(source, split, *rest):
        data = load("handwriting", split, *rest)
        start = 0 if source == "handwriting" else 200
        few = data.subset(slice(start, start + 60))
        return few.replace(images=few.images[..., 4:24, 6:22])

    monkeypatch.setattr(runs, "load_data", load_few)
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "nowhere"))  # auto is the handwriting
    monkeypatch.chdir(tmp_path)


def parameters(name, **options):
    folder = train.train(dataclasses.replace(BASE, name=name, **options))
    return weights.load_tensors(folder / "weights.safetensors")[0]


@functools.lru_cache  # most knobs share one
def without_the_knob(around):
    return parameters("before", **dict(around))


def test_every_field_is_covered():
    assert KNOBS.keys() | ELSEWHERE == {field.name for field in dataclasses.fields(Config)}


@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_changes_the_result(knob):
    value, around = KNOBS[knob]
    before, after = without_the_knob(tuple(around.items())), parameters("after", **(around | {knob: value}))
    same = before.keys() == after.keys() and all(
        before[n].shape == after[n].shape and (before[n] == after[n]).all() for n in before
    )
    assert not same, f"{knob} = {value} changes nothing"


def test_the_name_and_the_device_say_where():
    folder = train.train(dataclasses.replace(BASE, name="here"))
    assert folder == weight_files.RUNS / "here"
    with pytest.raises(ValueError, match="device is 'nowhere': not available here"):
        train.train(dataclasses.replace(BASE, name="there", device="nowhere"))


def test_a_run_starts_from_the_parameters_of_another():
    """By its name or its file; resumed, it goes on from where it was; other models and other sizes are refused."""
    base = dataclasses.replace(BASE, epochs=1)
    folder = train.train(dataclasses.replace(base, name="first"))
    kept = weights.load_tensors(folder / "weights.safetensors")[0]
    for start in ("first", str(folder / "weights.safetensors")):
        data = runs.load_data("handwriting", "train")
        begun = initial_model(dataclasses.replace(base, seed=7, start_from=start), data=data).state_dict()
        assert all(np.array_equal(begun[name].numpy(), kept[name]) for name in begun)
    for options, message in (
        ({"model": "ae"}, "start_from is first: model is vae in .*first, and ae in this run"),
        ({"latent_dim": 4}, "start_from is first: latent_dim is 3 in .*first, and 4 in this run"),
        ({"validation": 0.2}, "was, or may have been, trained on this run's validation images; expected at most 0.08"),
        ({"validation": 0.2, "source": "auto"}, "may have been, trained on .*; expected at most 0.08"),
        ({"start_from": "absent"}, "absent: no such file"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            train.train(dataclasses.replace(base, **{"name": "refused", "start_from": "first"} | options))
    again = dataclasses.replace(base, name="second", start_from="first", source="mnist", validation=0.2)
    train.train(again)  # other images: any may select
    back = dataclasses.replace(base, name="back", start_from="second")  # which began with images of this source
    with pytest.raises(ValueError, match=r"validation is 0\.08.* expected at most 0\.0$"):
        train.train(back)
    train.train(dataclasses.replace(back, validation=0.0))
    pretrained = str(weights.PRETRAINED / "vae_mnist_d20.safetensors")
    with pytest.raises(ValueError, match=r"expected at most 0\.0$"):  # a file of level 2 does not say what was left out
        train.train(dataclasses.replace(base, name="b", latent_dim=20, start_from=pretrained))
    quadrants = dataclasses.replace(base, name="one", model="quadrant-cvae", seen=1)
    train.train(quadrants)
    with pytest.raises(ValueError, match=r"seen is 1 in .*one, and 3 in this run"):
        train.train(dataclasses.replace(quadrants, name="three", seen=3, start_from="one"))
    gaussian = dataclasses.replace(base, name="narrow", likelihood="gaussian", sigma=0.1)
    train.train(gaussian)
    with pytest.raises(ValueError, match=r"sigma is 0\.1 in .*narrow, and 0\.5 in this run"):
        train.train(dataclasses.replace(gaussian, name="wide", sigma=0.5, start_from="narrow"))
    (folder / "weights.safetensors").unlink()
    train.train(Config(name="second", resume=True))


def test_what_the_start_has_seen_does_not_come_in_the_same_order_again():
    """The first batch of a run, of one that starts from another, and of one that starts from that."""
    data, _ = split(load_data("handwriting", "train"), 0.0)
    first = []
    for start in (None, "a", "b"):
        config = dataclasses.replace(BASE, start_from=start)
        order = torch.randperm(len(data.images), generator=train.generator_of(config, train.ORDER, 0))
        first.append(train.batch(config, data, order[: config.batch_size], step=0))
    for (x, eps, _), (other_x, other_eps, _) in itertools.combinations(first, 2):
        assert not torch.equal(x, other_x) and not torch.equal(eps, other_eps)


def test_same_seed_same_bits():
    a, b = parameters("a"), parameters("b")
    assert all(torch.equal(torch.from_numpy(a[n]), torch.from_numpy(b[n])) for n in a)


REFUSED = [
    ({"objective": "iwae"}, "no better than the ELBO; choose --samples 5"),
    ({"objective": "dreg"}, "no better than the ELBO; choose --samples 5"),
    ({"objective": "iwae", "free_bits": 0.1}, "free_bits is 0.1, and nothing in this configuration uses it"),
    ({"beta": -0.1}, "beta is -0.1: expected at least 0"),
    ({"samples": 0}, "samples is 0: expected more than 0"),
    ({"beta_schedule": "linear", "warmup_epochs": 3}, "longer than the training; expected at most epochs = 2"),
    ({"objective": "iwae", "beta": 4.0}, "has no beta"),
    ({"likelihood": "bernoulli"}, "bernoulli is for binary images"),
    ({"binarise": "dynamic"}, "binary images need --likelihood bernoulli"),
    ({"gamma": 3.0}, "gamma is 3.0, and nothing in this configuration uses it"),
    ({"sigma": 1.0}, "sigma is 1.0, and nothing"),
    ({"seen": 2}, "seen is 2, and nothing"),
    ({"model": "quadrant-cvae", "seen": 4}, "seen is 4: expected 1, 2 or 3 quadrants"),
    ({"model": "ae", "beta": 2.0}, "an autoencoder has no rate"),
    ({"model": "ae", "samples": 2}, "an autoencoder has no noise"),
    ({"objective": "capacity", "beta": 2.0}, "leave out beta"),
    ({"validation": 1.0}, "expected a fraction"),
    ({"epochs": 0}, "epochs is 0: expected more than 0"),
    ({"learning_rate": float("nan")}, "learning_rate is nan: expected more than 0"),
    ({"name": ".."}, "expected a plain folder name"),
    ({"name": "a/b"}, "expected a plain folder name"),
    ({"name": ""}, "expected a plain folder name"),
]


@pytest.mark.parametrize("options", [{"beta": 2.0}, {"objective": "iwae", "samples": 5}, {"beta_schedule": "cyclical"}])
def test_a_quadrant_cvae_has_a_rate_like_any_vae(options):
    checked(dataclasses.replace(BASE, model="quadrant-cvae", **options))


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(options) for options, _ in REFUSED])
def test_contradictions_are_refused_before_any_work(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        train.train(dataclasses.replace(BASE, **options))
    assert list(tmp_path.iterdir()) == []
    checked(BASE)


def test_a_seed_of_more_than_64_bits_is_refused_by_its_name(capsys):
    with pytest.raises(SystemExit):
        run("p", Command, main, ["train", "--seed", str(2**70)])
    assert "--seed is 1180591620717411303424: expected a whole number from -2^63" in capsys.readouterr().err
