"""What a training run is: every option, its default, and which of them contradict each other."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass
class Config:
    """Train a model; its weights, state, metrics and configuration go to runs/NAME/."""

    name: str = "vae"
    """The run's folder below runs/."""
    model: Literal["vae", "ae", "cvae", "quadrant-cvae", "pixel-vae", "vq-vae", "pixel-prior"] = "vae"
    """vae; ae: no noise, no KL; cvae: conditioned on the label; quadrant-cvae: on a part of the image; pixel-vae: its
    decoder sees the pixels before; vq-vae: a 7x7 grid of codes; pixel-prior: a learned prior over a vq-vae's codes."""
    latent_dim: int = 20
    """D, the size of z, or of a code's vector (vq-vae)."""
    codes: int | None = None
    """K, the codes of a vq-vae (default 512)."""
    codebook: Literal["ema", "loss"] | None = None
    """How a vq-vae's codes learn: moving averages (the default), or a term of the loss."""
    commitment: float | None = None
    """Weight of |z_e - sg[z_q]|², summed over an image, in a vq-vae's loss (default 0.25)."""
    restart: bool | None = None
    """Whether a vq-vae's dead codes are moved to where codes are missing (default True)."""
    start_from: str | None = None
    """The run, or weight file, of the same model whose parameters this run begins with, in place of drawn ones."""
    codes_of: str | None = None
    """The vq-vae whose codes a pixel-prior learns: a run's name, its folder, or a weight file."""
    channels: int | None = None
    """Channels of a pixel-prior (default 64)."""
    layers: int | None = None
    """Gated layers of a pixel-prior (default 2)."""
    class_conditional: bool | None = None
    """Whether a pixel-prior knows the label (default False)."""
    likelihood: Literal[
        "bernoulli", "bce", "mse", "gaussian", "learned-gaussian", "optimal-gaussian", "continuous-bernoulli",
        "discretised-logistic",
    ] = "bce"  # fmt: skip
    """p(x|z); bernoulli needs binary images (--binarise)."""
    sigma: float | None = None
    """Standard deviation of gaussian (default 0.1), or the start of a learned scale."""
    binarise: Literal["none", "dynamic", "fixed", "threshold"] = "none"
    """Grayscale as it is; or each pixel drawn anew per step, drawn once, or set to x > 1/2."""
    seen: int | None = None
    """Quadrants that quadrant-cvae sees: 1 (the default, lower left), 2 (the left half), 3 (all but the upper right)."""
    objective: Literal["elbo", "free-bits", "capacity", "iwae"] = "elbo"
    """distortion + beta rate; with free bits; distortion + gamma |rate - C|; the importance-weighted bound."""
    beta: float = 1.0
    """Weight of the rate at the end of its schedule."""
    beta_schedule: Literal["constant", "linear", "cyclical"] = "constant"
    """constant; linear: from 0 within --warmup-epochs; cyclical: 4 such rises, each half of a cycle long."""
    warmup_epochs: int | None = None
    """Length of the linear schedule, or of the capacity's ramp (default: half of the epochs)."""
    samples: int = 1
    """K, samples of z per image."""
    free_bits: float | None = None
    """Nats below which a rate costs no less (default 0.25 per latent)."""
    free_bits_per: Literal["latent", "image", "total"] | None = None
    """Where free bits are counted: per latent on the batch mean (the default), per image, or on the total."""
    gamma: float | None = None
    """Weight of |rate - C| (default 1000; in short trainings 10 leaves more to be learned: docs/beta.md)."""
    capacity: float | None = None
    """C, in nats, reached at the end of the ramp (default 25)."""
    epochs: int = 20
    """Passes over the training images."""
    batch_size: int = 128
    """Images per step, in all processes together; an epoch leaves out the few that do not fill a batch."""
    learning_rate: float = 2e-3
    """Adam's, at its highest."""
    lr_schedule: Literal["one-cycle", "constant"] = "one-cycle"
    """Up and down once by half-cosines, or constant."""
    weight_decay: float = 0.0
    """AdamW's: each step shrinks the parameters by this fraction of the learning rate."""
    validation: float = 1 / 12
    """Fraction cut from the training split (5,000 of MNIST's 60,000) to select weights on; 0: keep the last weights."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16 computes the network in bfloat16 while training (autocast); losses and evaluation never."""
    device: str = "cpu"
    """cpu, cuda, ..."""
    seed: int = 0
    """Of the initial parameters, the order of the images, and the noise."""
    source: str = "auto"
    """auto (MNIST where it is on disk, else the handwriting), mnist, fashion-mnist, kmnist, handwriting; sprites, drawn."""
    tensorboard: bool = False
    """Also write TensorBoard's event files (needs the tensorboard package)."""
    resume: bool = False
    """Go on where the run of this name stopped, with its own configuration."""


# What a model is made with, beside latent_dim, likelihood and sigma; its weight file says it too.
MADE_WITH = {
    "quadrant-cvae": ("seen",),
    "vq-vae": ("codes", "codebook", "commitment", "restart"),
    "pixel-prior": ("codes", "codebook", "channels", "layers", "class_conditional"),
}
# Options that mean something with certain choices only: (option, the choice it needs, its default there).
NEEDS = [
    ("sigma", lambda c: c.likelihood in ("gaussian", "learned-gaussian", "discretised-logistic"), 0.1),
    ("seen", lambda c: c.model == "quadrant-cvae", 1),
    ("free_bits", lambda c: c.objective == "free-bits", 0.25),
    ("free_bits_per", lambda c: c.objective == "free-bits", "latent"),
    ("gamma", lambda c: c.objective == "capacity", 1000.0),
    ("capacity", lambda c: c.objective == "capacity", 25.0),
    ("codes", lambda c: c.model == "vq-vae", 512),
    ("codebook", lambda c: c.model == "vq-vae", "ema"),
    ("commitment", lambda c: c.model == "vq-vae", 0.25),
    ("restart", lambda c: c.model == "vq-vae", True),
    ("codes_of", lambda c: c.model == "pixel-prior", None),
    ("channels", lambda c: c.model == "pixel-prior", 64),
    ("layers", lambda c: c.model == "pixel-prior", 2),
    ("class_conditional", lambda c: c.model == "pixel-prior", False),
    ("warmup_epochs", lambda c: c.beta_schedule == "linear" or c.objective == "capacity", None),
]


def checked(config: Config) -> Config:
    """The configuration with its defaults filled in; ValueError where options contradict each other or do nothing."""
    filled = dataclasses.replace(config)
    for option, applies, default in NEEDS:
        value = getattr(config, option)
        if value is not None and not applies(config):
            raise ValueError(f"{option} is {value}, and nothing in this configuration uses it; leave it out")
        if value is None and applies(config):
            setattr(filled, option, default if option != "warmup_epochs" else max(1, config.epochs // 2))
    _refuse_contradictions(filled)
    return filled


def _refuse_contradictions(c: Config) -> None:
    positive = ("latent_dim", "samples", "epochs", "batch_size", "learning_rate", "sigma", "warmup_epochs", "gamma")
    for option in (*positive, "codes", "channels", "layers"):
        value = getattr(c, option)
        if value is not None and not value > 0:
            raise ValueError(f"{option} is {value}: expected more than 0")
    for option in ("beta", "free_bits", "capacity", "commitment", "seed"):
        value = getattr(c, option)
        if value is not None and not value >= 0:
            raise ValueError(f"{option} is {value}: expected at least 0")
    if not 0 <= c.validation < 1:
        raise ValueError(f"validation is {c.validation}: expected a fraction, 0 <= validation < 1")
    if c.warmup_epochs is not None and c.warmup_epochs > c.epochs:
        raise ValueError(f"warmup_epochs is {c.warmup_epochs}, longer than the training, epochs = {c.epochs}")
    if not c.name or c.name != c.name.strip(".") or any(mark in c.name for mark in "/\\\0"):
        raise ValueError(f"name is {c.name!r}: expected a plain folder name; the run goes to runs/NAME")
    discrete = c.model in ("vq-vae", "pixel-prior")
    contradictions: list[tuple[bool, str]] = [
        (c.likelihood == "bernoulli" and c.binarise == "none", "bernoulli is for binary images: choose --binarise"),
        (c.likelihood != "bernoulli" and c.binarise != "none", "binary images have the likelihood bernoulli"),
        (c.seen not in (None, 1, 2, 3), "seen is 1, 2 or 3 quadrants"),
        (c.objective == "iwae" and c.beta != 1, "the importance-weighted bound has no beta"),
        (c.objective == "iwae" and c.beta_schedule != "constant", "the importance-weighted bound has no beta to schedule"),
        (c.objective == "capacity" and c.beta != 1, "capacity weighs the rate by gamma: leave beta out"),
        (c.objective == "capacity" and c.beta_schedule != "constant", "capacity ramps C: leave beta_schedule constant"),
        (c.model == "ae" and c.beta != 1, "an autoencoder has no rate: leave beta out"),
        (c.model == "ae" and c.objective != "elbo", "an autoencoder has the objective elbo, its distortion"),
        (c.model == "ae" and c.beta_schedule != "constant", "an autoencoder has no rate to schedule"),
        (c.model == "ae" and c.samples != 1, "an autoencoder has no noise: leave samples at 1"),
        (discrete and c.beta != 1, f"the rate of a {c.model} is not weighed: leave beta out"),
        (discrete and c.beta_schedule != "constant", f"the rate of a {c.model} has no schedule: leave beta_schedule constant"),
        (discrete and c.objective != "elbo", f"a {c.model} has the objective elbo"),
        (discrete and c.samples != 1, "codes are chosen, not drawn: leave samples at 1"),
        (c.model == "pixel-prior" and not c.codes_of, "a pixel-prior learns the codes of a vq-vae: name it, --codes-of RUN"),
    ]
    for refused, why in contradictions:
        if refused:
            raise ValueError(f"{_said(c)}: {why}")


def stored(content: Any) -> Config:
    """The configuration that `as_dict` made into `content`; ValueError where an option is unknown, of another type, or wrong."""
    if not isinstance(content, dict):
        raise ValueError(f"found a {type(content).__name__}; expected options and values")
    check_types(content)
    config = Config(**content)
    _refuse_contradictions(config)
    return config


def check_types(options: dict[str, Any]) -> None:
    """Refuse values that are not of their options' types; from a command line they cannot come, from a file they can."""
    types = get_type_hints(Config)
    for option, value in options.items():
        if option not in types:
            raise ValueError(f"{option} is no option")
        if not _fits(value, types[option]):
            raise ValueError(f"{option} is {value!r}; expected {getattr(types[option], '__name__', types[option])}")


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_args(kind):  # a union
        return any(_fits(value, one) for one in get_args(kind))
    return type(value) is kind or (kind is float and type(value) is int)


def _said(c: Config) -> str:
    changed = {f.name: getattr(c, f.name) for f in dataclasses.fields(c) if getattr(c, f.name) != f.default}
    return ", ".join(f"{name}={value}" for name, value in changed.items()) or "this configuration"


def made_with(config: Config) -> dict[str, Any]:
    """The arguments of the model's class beside latent_dim, likelihood and sigma."""
    return {name: getattr(config, name) for name in MADE_WITH.get(config.model, ())}


def as_dict(config: Config) -> dict[str, Any]:
    """What config.json holds: the options that make the result; not where it goes or whether it was resumed."""
    return {k: v for k, v in dataclasses.asdict(config).items() if k != "resume"}
