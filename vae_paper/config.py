"""The configuration of a training run: every option, its default, and the options that contradict each other.

`Config` is one flat dataclass: `Config(beta=4.0, epochs=10)`. Its five parts are the groups of `train --help`.
"""

import ast
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from vae_paper import models

if TYPE_CHECKING:
    from vae_paper.vae import Model


def default(text: str) -> Any:
    """Show `text` in the help as the default of an option. (In the code the default is None.)"""
    return tyro.conf.arg(help_behavior_hint=f"(default: {text})")


@dataclass
class ModelOptions:
    """The model and its likelihood."""

    model: Annotated[str, tyro.conf.arg(help="; ".join(f"{name}: {models.summary(name)}" for name in models.names()))] = "vae"
    latent_dim: int = 20
    """Latent size D: the length of z. For a vq-vae: the length of the vectors in its codebook."""
    likelihood: Literal[
        "bernoulli", "bce", "mse", "gaussian", "learned-gaussian", "optimal-gaussian", "continuous-bernoulli",
        "discretised-logistic",
    ] = "bce"  # fmt: skip
    """Likelihood p(x|z) of a pixel, or an objective (docs/likelihoods.md). bernoulli needs binary images (--binarise)."""
    sigma: Annotated[float | None, default("0.1")] = None
    """Scale of the likelihood: the standard deviation of gaussian, or the initial value of a learned scale."""
    width: Annotated[int | None, default("32")] = None
    """Number of channels after the first layer of a vae, cvae or ae; each later convolution doubles this number."""
    depth: Annotated[int | None, default("the smallest number, at least 2, that gives a grid of at most 8x8")] = None
    """Number of layers of stride 2 in the encoder of a vae, cvae or ae. The decoder has the same number."""
    seen: Annotated[int | None, default("1")] = None
    """Number of quadrants that a quadrant-cvae sees: 1 (lower left), 2 (the left half), 3 (all but the upper right)."""
    codes: Annotated[int | None, default("512")] = None
    """Number of codes of a vq-vae. A code is the index of a vector in the codebook."""
    codebook: Annotated[Literal["ema", "loss"] | None, default("ema")] = None
    """How the codebook of a vq-vae learns. ema: each vector is a moving average of the encoder outputs nearest to it; loss: by a
    term of the loss."""
    commitment: Annotated[float | None, default("0.25")] = None
    """Weight of a vq-vae's commitment loss: the squared distance of encoder outputs to their codebook vectors, per image."""
    restart: Annotated[bool | None, default("True")] = None
    """Move rarely used vectors of a vq-vae to encoder outputs, mostly to outputs that are far from every vector."""
    channels: Annotated[int | None, default("64")] = None
    """Number of channels in the layers of a pixel-prior."""
    layers: Annotated[int | None, default("2")] = None
    """Number of gated layers in a pixel-prior."""
    class_conditional: Annotated[bool | None, default("False")] = None
    """Condition a pixel-prior on the label."""
    model_arguments: str = ""
    """Other arguments of the model's class, such as "couplings=4 hidden=50" for flow-prior."""
    codes_of: Annotated[str | None, default("none")] = None
    """The vq-vae whose codes a pixel-prior predicts: the name or the folder of a run, or a weight file."""
    start_from: Annotated[str | None, default("random parameters")] = None
    """A run or a weight file of the same model. This run starts with its parameters."""


@dataclass
class DataOptions:
    """The images."""

    source: str = "auto"
    """auto (MNIST where it is on disk, else the handwriting), mnist, fashion-mnist, kmnist, handwriting, sprites, cifar10,
    folder:PATH (a folder of images), array:FILE.npz (docs/images.md)."""
    image_size: Annotated[int | None, default("32 for folder:PATH, 28 for sprites")] = None
    """Height and width of the images that are read from a folder, or of the sprites: a multiple of 4."""
    image_channels: Annotated[int | None, default("3")] = None
    """Channels of the images that are read from a folder: 1 is gray, 3 is colour."""
    binarise: Literal["none", "dynamic", "fixed", "threshold"] = "none"
    """How to make images binary. dynamic: at each step, a pixel is 1 with probability x; fixed: this is drawn only once;
    threshold: a pixel is 1 if x > 1/2; none: images stay as they are."""
    validation: float = 1 / 12
    """Fraction of the training split for validation (1/12 is 5,000 of MNIST's 60,000 images). The weights with the best
    validation loss are saved; with fraction 0, the last weights."""


@dataclass
class ObjectiveOptions:
    """The loss: distortion + beta · rate, or another objective."""

    objective: Literal["elbo", "free-bits", "capacity", "iwae", "stl", "dreg"] = "elbo"
    """elbo: distortion + beta · rate; free-bits: the same with a floor under the rate; capacity: distortion +
    gamma · |rate - C|; iwae: the importance-weighted bound; stl: the ELBO with less gradient noise; dreg: iwae
    with less gradient noise."""
    beta: float = 1.0
    """Weight of the rate (the KL term). With a --beta-schedule: its final value."""
    beta_schedule: Literal["constant", "linear", "cyclical"] = "constant"
    """linear: beta rises from 0 in the first --warmup-epochs epochs; cyclical: in each of four
    cycles, beta rises from 0, then stays."""
    warmup_epochs: Annotated[int | None, default("half of the epochs")] = None
    """Number of epochs at the start of training. In these, beta (--beta-schedule linear) or the target C (--objective capacity)
    rises."""
    samples: int = 1
    """Number of samples of z per image, K."""
    free_bits: Annotated[float | None, default("0.25")] = None
    """The floor of free-bits, in nats: a smaller rate counts as the floor."""
    free_bits_per: Annotated[Literal["latent", "image", "total"] | None, default("latent")] = None
    """What gets the floor. latent: each latent's rate, averaged over the batch; image: the rate of each latent of each image;
    total: the rate of all latents together, averaged over the batch. (Some models have one rate for all latents together, or
    one for each layer. Each such rate counts as the rate of one latent.)"""
    gamma: Annotated[float | None, default("1000")] = None
    """Weight of |rate - C| (--objective capacity). The default is the paper's value, for long training; for short training use
    10 (docs/beta.md)."""
    capacity: Annotated[float | None, default("25")] = None
    """Final value of the target C of the rate, in nats."""


@dataclass
class StepOptions:
    """The training steps."""

    epochs: Annotated[int | None, default("20; 40 for fewer than 10,000 images")] = None
    """Number of passes over the training images."""
    batch_size: Annotated[int | None, default("128; 32 for fewer than 10,000 images")] = None
    """Number of images per step, in all processes together. An incomplete last batch of an epoch is left out."""
    learning_rate: float = 2e-3
    """Highest learning rate of AdamW."""
    lr_schedule: Literal["one-cycle", "constant"] = "one-cycle"
    """one-cycle: the learning rate rises, then falls to nearly 0, along cosine curves; constant: it stays the same."""
    weight_decay: float = 0.0
    """Weight decay of AdamW. With 0, AdamW is Adam."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Precision of the network in training. Losses and evaluation are at least float32. tf32: matrix products and convolutions
    use TF32 (CUDA only); bf16: the network uses bfloat16 (autocast)."""
    device: str = "cpu"
    """Device: cpu, cuda or mps."""
    seed: int = 0
    """Random seed for the initial parameters, the order of the images, and the noise."""


@dataclass
class RunOptions:
    """The run's folder."""

    name: str = "vae"
    """Name of the run: its files go to runs/NAME/."""
    tensorboard: bool = False
    """Also write TensorBoard's event files (needs the tensorboard package)."""
    resume: bool = False
    """Continue the run of this name where it stopped, with its stored configuration."""


@dataclass
class Config(RunOptions, StepOptions, ObjectiveOptions, DataOptions, ModelOptions):
    """Train a model; its weights, state, metrics and configuration go to runs/NAME/."""

    def epochs_and_batch_size(self) -> tuple[int, int]:
        """Epochs and batch size, after `checked` has filled them in."""
        assert self.epochs is not None and self.batch_size is not None
        return self.epochs, self.batch_size


OWN = "own data"  # the value of `source` for data passed in Python
FOLDER, ARRAY = "folder:", "array:"  # prefixes of sources that name a path
# Options that only some objectives, schedules or sources use: (option, whether the configuration uses it, its default).
NEEDS = [
    ("free_bits", lambda c: c.objective == "free-bits", 0.25),
    ("free_bits_per", lambda c: c.objective == "free-bits", "latent"),
    ("gamma", lambda c: c.objective == "capacity", 1000.0),
    ("capacity", lambda c: c.objective == "capacity", 25.0),
    ("image_size", lambda c: c.source.startswith(FOLDER) or (c.source == "sprites" and c.image_size is not None), 32),
    ("image_channels", lambda c: c.source.startswith(FOLDER), 3),
    ("warmup_epochs", lambda c: c.beta_schedule == "linear" or c.objective == "capacity", None),
]
# Options that only some model classes take as arguments.
MODELS_OWN = ("width", "depth", "seen", "codes", "codebook", "commitment", "restart", "channels", "layers", "class_conditional")
BY_THE_SIZE = ("width", "depth")  # options of MODELS_OWN that stay None if not given: the model then has its own default
FEW_IMAGES = 10_000  # with fewer images, an epoch has few steps: more epochs and smaller batches are needed


def check_name(name: str) -> None:
    """Refuse a name of a run that is not a plain folder name."""
    if not name or name != name.strip(".") or any(mark in name for mark in "/\\\0"):
        raise ValueError(f"name is {name!r}: expected a plain folder name; the run goes to runs/NAME")


def checked(config: Config, model: "type[Model] | Model | None" = None, images: int = FEW_IMAGES) -> Config:
    """The configuration with its defaults filled in. ValueError if options contradict each other or have no effect.

    `model` is a model of your own, or its class; by default the class that `config.model` names. The default number of epochs
    and the default batch size depend on `images`, the number of images before any are held out. (For a folder or an array file,
    `images` includes the test images.)
    """
    from vae_paper.likelihoods import LIKELIHOODS  # torch is imported when work begins, so that --help answers at once

    few = images < FEW_IMAGES
    epochs = config.epochs if config.epochs is not None else 40 if few else 20
    batch_size = config.batch_size if config.batch_size is not None else 32 if few else 128
    config = dataclasses.replace(config, epochs=epochs, batch_size=batch_size)
    model = model or models.class_of(config.model)
    if config.model_arguments:
        arguments = arguments_in(config)
        if known := [name for name in arguments if name in Config.__dataclass_fields__]:
            raise ValueError(f"model_arguments sets {known[0]}: give it as --{known[0].replace('_', '-')}")
        if "image_shape" in arguments:
            raise ValueError("model_arguments sets image_shape: the images decide it; leave it out")
        models.checked_arguments(config.model, arguments, Config.__dataclass_fields__)
    takes = models.options_of(model) if config.model in models.names() else {}  # a model of your own is built by you
    scale = config.likelihood in LIKELIHOODS and LIKELIHOODS[config.likelihood].scale != "none"
    needs = [(option, option in takes, None if option in BY_THE_SIZE else takes.get(option)) for option in MODELS_OWN]
    needs += [("codes_of", "codes_of" in model.parts, None), ("sigma", scale, 0.1)]
    needs += [(option, applies(config), value) for option, applies, value in NEEDS]
    filled: dict[str, Any] = {}
    for option, applies, value in needs:
        given = getattr(config, option)
        if given is not None and not applies:
            raise ValueError(f"{option} is {given}, and nothing in this configuration uses it; leave it out")
        if given is None and applies:
            filled[option] = value if option != "warmup_epochs" else max(1, epochs // 2)
    config = dataclasses.replace(config, **filled)
    check_types(as_dict(config))
    _refuse_contradictions(config)
    for option, why in model.fixed_options.items():
        if getattr(config, option) != Config.__dataclass_fields__[option].default:
            raise ValueError(f"{_said(config)}: {why}; leave {option} out")
    if config.objective in ("stl", "dreg") and not model.gaussian_q:
        raise ValueError(f"{_said(config)}: this objective needs a Gaussian q(z|x); choose elbo or iwae")
    if config.objective in ("iwae", "dreg") and config.samples == 1:
        raise ValueError(f"{_said(config)}: with one sample this bound is no better than the ELBO; choose --samples 5")
    for option in model.parts:
        if not getattr(config, option):
            raise ValueError(
                f"{option} is missing: a {config.model} needs a trained run; give its name with --{option.replace('_', '-')} RUN"
            )
    return config


def _refuse_contradictions(c: Config) -> None:
    positive = ("latent_dim", "samples", "epochs", "batch_size", "learning_rate", "sigma", "warmup_epochs", "gamma")
    for option in (*positive, "codes", "channels", "layers", "width"):
        value = getattr(c, option)
        if value is not None and not 0 < value < 2**31:
            raise ValueError(f"{option} is {value}: expected more than 0" + (", less than 2³¹" if value > 0 else ""))
    for option in ("beta", "free_bits", "capacity", "commitment", "seed", "depth"):
        value = getattr(c, option)
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{option} is {value}: expected at least 0" + (", and finite" if value > 0 else ""))
    if not 0 <= c.validation < 1:
        raise ValueError(f"validation is {c.validation}: expected a fraction, 0 <= validation < 1")
    if c.image_size is not None and (c.image_size < 4 or c.image_size % 4):
        raise ValueError(f"image_size is {c.image_size}: expected a multiple of 4, at least 4")
    if c.image_channels not in (None, 1, 3):
        raise ValueError(f"image_channels is {c.image_channels}: expected 1 (gray) or 3 (colour)")
    if c.warmup_epochs is not None and c.epochs is not None and c.warmup_epochs > c.epochs:
        raise ValueError(f"warmup_epochs is {c.warmup_epochs}, longer than the training; expected at most epochs = {c.epochs}")
    check_name(c.name)
    # your own images may already be binary; the likelihood checks this (on a CPU only)
    if c.likelihood == "bernoulli" and c.binarise == "none" and not c.source.startswith((OWN, FOLDER, ARRAY)):
        raise ValueError(f"{_said(c)}: bernoulli is for binary images: choose --binarise")
    if c.likelihood != "bernoulli" and c.binarise != "none":
        raise ValueError(f"{_said(c)}: binary images need --likelihood bernoulli")
    if c.objective not in ("elbo", "free-bits") and (c.beta, c.beta_schedule) != (1, "constant"):
        raise ValueError(f"{_said(c)}: this objective has no beta: leave out beta and beta_schedule")


def arguments_in(config: Config) -> dict[str, Any]:
    """The `model_arguments` as a dict. A Python literal, such as 3, 0.5 or True, gets its Python type; any other value stays
    text. A value has no comma and no space."""
    found: dict[str, Any] = {}
    for part in config.model_arguments.replace(",", " ").split():
        name, equals, text = part.partition("=")
        if not equals:
            raise ValueError(f"model_arguments: found {part!r}; expected NAME=VALUE")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    return found


def from_dict(content: Any) -> Config:
    """The configuration from `content`, a dict made by `as_dict`. ValueError if an option is unknown or has a wrong value."""
    if not isinstance(content, dict):
        raise ValueError(f"found a {type(content).__name__}; expected options and values")
    check_types(content)
    config = Config(**content)
    for option, applies, _ in NEEDS:
        if applies(config) and getattr(config, option) is None:
            raise ValueError(f"{option} is missing; this configuration needs it")
    _refuse_contradictions(config)
    return config


def check_types(options: Mapping[str, Any]) -> None:
    """Refuse unknown options, and values of a wrong type. A file can hold them; the command line refuses them itself."""
    types = get_type_hints(Config)
    for option, value in options.items():
        if option not in types:
            raise ValueError(f"{option} is not an option of train; remove it")
        if not _fits(value, types[option]):
            raise ValueError(f"{option} is {value!r}; expected {_words(types[option])}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_args(kind):  # a union
        return any(_fits(value, one) for one in get_args(kind))
    return type(value) is kind or (kind is float and type(value) is int)


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of: {', '.join(get_args(kind))}"
    return " or ".join(_words(one) for one in get_args(kind)) or kind.__name__


def _said(c: Config) -> str:
    changed = {f.name: getattr(c, f.name) for f in dataclasses.fields(c) if getattr(c, f.name) != f.default}
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "this configuration"


def as_dict(config: Config) -> dict[str, Any]:
    """The options as a dict, as config.json holds them: all except `resume`."""
    return {k: v for k, v in dataclasses.asdict(config).items() if k != "resume"}
