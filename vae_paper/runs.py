"""Runs: the folder, its lock, resuming, Ctrl-C and logs. (The training itself is in training.py.)

The folder runs/NAME/ holds config.json, metrics.csv, weights.safetensors (the weights of the best epoch) and
state.safetensors (the state from which a run resumes).
"""

import contextlib
import dataclasses
import functools
import math
import shlex
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from vae_numpy.checks import check_labels
from vae_numpy.command_line import command_of, shown
from vae_numpy.files import check_writable
from vae_paper import devices, distributed, models, state_files, weight_files
from vae_paper.config import Config, as_dict
from vae_paper.data import Data, binarised, check_data, load_data, shape_asked, split
from vae_paper.estimated_rate import EstimatedRate
from vae_paper.initial import check_made_with, initial_model
from vae_paper.run_config import configured, refuse_unused
from vae_paper.vae import Model

FEW_STEPS = 500  # with fewer steps, most latents still hold no information about the image (they are collapsed)
TRAINED: weakref.WeakSet[Model] = weakref.WeakSet()  # all models that this process has trained
Own = Callable[..., Any] | None  # the user's own objective or optimiser; None: the library's


@dataclass
class Progress:
    """The progress of a run. It is saved with the state, as JSON."""

    step: int = 0
    """Steps taken."""
    loss: float = 0.0
    """Sum of the losses of this epoch's steps."""
    seconds: float = 0.0
    """Duration of this epoch's steps, in seconds."""
    best: float | None = None
    """The lowest score so far. The score of an epoch is its validation loss. Without
    validation images it is minus the epoch's number, so that the latest epoch is the best."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The rows of metrics.csv so far."""
    given: bool = False
    """True if the initial parameters came from a model passed in Python. They cannot be built again from the configuration."""


@dataclass
class Run:
    """A run in its folder. `train` calls `after_step` and `after_epoch`."""

    config: Config
    folder: Path
    model: Model
    optimizer: Optimizer
    data: Data
    validation: Data
    own: dict[str, str]
    """The parts from the user's own code, such as {"objective": its name}. They must be passed again to resume the run."""
    progress: Progress
    bar: Any
    interrupted: list[int]
    """One entry for each Ctrl-C (`interrupts`)."""
    in_python: bool = False
    """True if a model, data, an objective or an optimiser was passed in Python, so that the run is resumed in Python."""
    writer: Any = None
    """TensorBoard's writer, or None."""

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self.loss = torch.tensor(self.progress.loss, dtype=devices.sum_dtype(self.config.device), device=self.config.device)

    @property
    def per_epoch(self) -> int:
        """Number of steps in an epoch."""
        return len(self.data.images) // self.config.epochs_and_batch_size()[1]

    def after_step(self, loss: Tensor) -> None:
        """Count a step. After Ctrl-C, save the state and stop.

        If Ctrl-C came in the last step of an epoch, `after_epoch` saves the state and stops instead.
        """
        self.loss += loss
        self.progress.step += 1
        self.bar.update()
        if self.progress.step % self.per_epoch == 0:
            self._add_up()  # before validation: the time of validation is not counted
        elif distributed.any_of(self.interrupted):
            self._add_up()
            self._stop()

    def after_epoch(self, measured: dict[str, float]) -> None:
        """Save the weights if they are the best so far, then write the epoch's row, then save the state."""
        progress, epoch = self.progress, self.progress.step // self.per_epoch
        row = {
            "epoch": epoch,
            "step": progress.step,
            "seconds": round(progress.seconds, 2),
            "loss": progress.loss / self.per_epoch,
        }
        row |= measured | {name: float(value) for name, value in self.model.end_epoch().items()}
        if bad := [name for name, value in row.items() if not math.isfinite(value)]:
            raise ValueError(f"after epoch {epoch} these are not finite: {', '.join(bad)}; expected finite numbers")
        progress.rows.append(row)
        progress.loss = progress.seconds = 0.0
        self.loss.zero_()
        score = measured.get("validation_loss", -float(epoch))  # without validation images, the latest epoch counts as the best
        best = progress.best is None or score <= progress.best
        progress.best = score if best else progress.best
        if distributed.rank() == 0:
            if best:
                about = self.header() | {"epoch": epoch, "selected_on": self.validation.about}
                weight_files.save_model(self.folder / "weights.safetensors", self.model, about)
            weight_files.write_csv(self.folder / "metrics.csv", progress.rows)
        self.save_state()  # last: if the state says that an epoch is finished, the files above are on disk
        if self.writer is not None:
            for name, value in row.items():
                self.writer.add_scalar(name, value, epoch)
        said = ", ".join(f"{k} {v:.1f}" for k, v in row.items() if k not in ("epoch", "step", "seconds"))
        self.bar.set_postfix_str(said)
        if self.bar.disable and distributed.rank() == 0:  # stderr is no terminal: a line for each epoch in place of the bar
            print(f"{self.config.name}: epoch {epoch} of {self.config.epochs}, {said}", file=sys.stderr)
        if distributed.any_of(self.interrupted) and epoch != self.config.epochs:  # after the last, nothing is left to do
            self._stop()
        self.started = time.perf_counter()

    def header(self) -> dict[str, Any]:
        """The header of the run's weight file."""
        command = command_of("python -m vae_paper train", dataclasses.replace(self.config, resume=False))
        return weight_files.describe(self.model) | {
            "command": f"{command}  # in Python: parts were passed to train" if self.in_python else command,
            "epochs": self.config.epochs,
            "seed": self.config.seed,
            "config": as_dict(self.config),
            "own": self.own,
            "given": self.progress.given,
            "data": self.data.about,
            "source": self.data.source,
            "digest": self.data.digest,
        }

    def save_state(self) -> None:
        """Write all that a resumed run needs to take the same steps: parameters, the optimiser's state, the progress."""
        if distributed.rank() == 0:
            about: dict[str, Any] = {"config": as_dict(self.config), "own": self.own, "launch": distributed.launch()}
            about |= {"describes": weight_files.describe(self.model), "digest": self.data.digest, "data": self.data.about}
            state_files.save_state(self.folder, self.model, self.optimizer, vars(self.progress) | about)
        distributed.wait()  # all processes wait until rank 0 has written the state

    def _add_up(self) -> None:
        self.progress.loss = distributed.mean(self.loss).item()
        self.progress.seconds += time.perf_counter() - self.started

    def _stop(self) -> None:
        self.save_state()
        again = f"python -m vae_paper train --name {shlex.quote(self.config.name)} --resume"
        if self.in_python:
            again = f"train(Config(name={self.config.name!r}, resume=True), ...) in Python, with the same arguments"
        raise KeyboardInterrupt(f"stopped after step {self.progress.step}, state saved; go on with: {again}")


@contextlib.contextmanager
def begun(
    config: Config, model: Model | None, data: Data | None, objective: Own, optimizer: Own, default_optimizer: Callable[..., Any]
) -> Iterator[Run]:
    """Open a run, new or resumed, and lock its folder. Raises ValueError before any training if the run is not possible.

    If the `with` block raises a ValueError, the run's folder and step are added to the message of the error.
    """
    folder = weight_files.RUNS / config.name
    check_own(model, data, objective, optimizer)
    if model in TRAINED and not config.resume and config.start_from is None:
        print("the model was trained before, and this run goes on from there; for a new start, build it anew", file=sys.stderr)
    own = own_parts(model, objective, optimizer)
    refuse_unused(config, own)
    config = configured(folder, config, model, data)
    distributed.take_device(config.device)
    devices.check(config.device, config.precision)
    if config.tensorboard:
        _summary_writer()
    how, shape = config.binarise, shape_asked(config)
    whole = binarised(data, how) if data else load_data(config.source, "train", how, "cpu", shape)
    in_python = any(part is not None for part in (model, data, objective, optimizer))
    given = model is not None and config.start_from is None
    model = initial_model(config, model, whole)
    TRAINED.add(model)
    check_finite(model)
    check_described(model)
    training, validation = split(fitting(whole, model).to(config.device), config.validation)
    epochs, batch_size = config.epochs_and_batch_size()
    if len(training.images) < batch_size:
        raise ValueError(
            f"batch_size is {batch_size}: there are only {len(training.images)} training images; choose a smaller one"
        )
    # On a GPU, bfloat16 convolutions are faster if the channels of a pixel are neighbours in memory (channels_last)
    fast = config.precision == "bf16" and devices.is_cuda(config.device)
    model = model.to(config.device).to(memory_format=torch.channels_last if fast else torch.preserve_format)
    distributed.check(config, model, len(validation.images), "objective" in own)
    made = optimizer(model.parameters()) if optimizer else default_optimizer(config, model)
    with locked(folder) if distributed.rank() == 0 else contextlib.nullcontext():
        # `alone`: the folder has weights, but no run that can be resumed. Either another command wrote them (there is no
        # config.json), or the state was removed. When an epoch ends, its row of metrics.csv is written, then the state. So a
        # run with one row and no state may have died between these two writes: a new run may use its folder. With two rows
        # and no state, the state was removed: a new run must not use it
        there = {path.name for path in folder.glob("*") if path.exists()}
        rows = (folder / "metrics.csv").read_bytes().count(b"\n") - 1 if "metrics.csv" in there else 0  # without the headings
        removed = rows > 1 and "state.safetensors" not in there
        alone = "weights.safetensors" in there and ("config.json" not in there or removed)
        if not config.resume and ("state.safetensors" in there or alone):
            resume = "" if alone else "go on with --resume, "
            raise ValueError(f"{folder} already holds a run: {resume}choose another --name, or remove the folder")
        progress = _resumed(folder, config, model, made, own, training) if config.resume else Progress(given=given)
        if distributed.rank() == 0:
            for name in ("weights.safetensors", "metrics.csv", "state.safetensors"):
                check_writable(folder / name)  # fail now, not when the first epoch ends
            weight_files.write_json(folder / "config.json", as_dict(config))
            resumed = f", resumed at step {progress.step}" if progress.step else ""
            print(f"{folder}: {training.about}{resumed}", file=sys.stderr)
        total = epochs * (len(training.images) // batch_size)
        if progress.step == total and distributed.rank() == 0:
            again = f"for more epochs, give another --name and --start-from {config.name}"
            print(f"{folder}: this run is finished, nothing is trained; {again}", file=sys.stderr)
        if total < FEW_STEPS and not progress.step and distributed.rank() == 0:
            print(f"only {total} steps: a good model needs about 2,000; raise --epochs or lower --batch-size", file=sys.stderr)
        writer = _summary_writer()(folder / "tensorboard") if config.tensorboard and distributed.rank() == 0 else None
        bar = tqdm(
            total=total, initial=progress.step, unit="step", desc=config.name, disable=distributed.rank() > 0 or None
        )  # disable=None: tqdm draws a bar only if stderr is a terminal
        with bar, interrupts() as noted, writer or contextlib.nullcontext():
            run = Run(config, folder, model, made, training, validation, own, progress, bar, noted, in_python, writer)
            try:
                yield run
            except ValueError as error:
                raise ValueError(f"{folder}: step {run.progress.step}: {error}; what was saved before is intact") from error


def own_parts(model: Model | None, objective: Own, optimizer: Own) -> dict[str, str]:
    """The parts from the user's own code: {part: name}. To resume the run, these parts must be passed again."""
    own: dict[str, str] = {}
    if model is not None and models.name_of(model) not in models.names():
        own["model"] = models.name_of(model)
    elif model is not None:
        own |= {part: name for part, name in model.arguments.items() if part in ("encoder", "decoder")}
    for what, given in (("objective", objective), ("optimizer", optimizer)):
        if given is not None:
            own[what] = own_name(given)
    return own


def own_name(given: Callable[..., Any]) -> str:
    """The name of a function or object of the user's own code, with its module. A functools.partial is named with its arguments:
    numbers and texts by their values, others by their types."""
    if not isinstance(given, functools.partial):
        return f"{getattr(given, '__module__', '?')}.{getattr(given, '__qualname__', type(given).__name__)}"
    arguments = [("", value) for value in given.args] + [(f"{name}=", value) for name, value in sorted(given.keywords.items())]
    plain = bool | int | float | str | None  # the text of another object may hold its address, which differs in each process
    words = [name + (shown(value) if isinstance(value, plain) else type(value).__name__) for name, value in arguments]
    return f"{own_name(given.func)}({', '.join(words)})"


def check_own(model: Any, data: Any, objective: Any, optimizer: Any) -> None:
    """ValueError for a part of the user's own code that has a wrong type, or parameters that would not be trained."""
    if data is not None and not isinstance(data, Data):
        raise ValueError(f"data is a {type(data).__name__}; expected vae_paper.Data(images, labels)")
    if optimizer is not None and (isinstance(optimizer, Optimizer) or not callable(optimizer)):
        raise ValueError(f"optimizer is a {type(optimizer).__name__}; expected a function from parameters to an Optimizer")
    if objective is not None and not callable(objective):
        raise ValueError(f"objective is a {type(objective).__name__}; expected a function from Terms to a loss")
    if isinstance(objective, torch.nn.Module) and any(p.requires_grad for p in objective.parameters()):
        raise ValueError("objective has parameters, which the optimiser does not train; make them parameters of the model")


def check_finite(model: Model) -> None:
    """Refuse a parameter or a buffer that is not finite: no weight file may hold it, so the run could not be saved."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity; expected finite numbers, or a buffer with persistent=False")


def check_described(model: Model) -> None:
    """ValueError if a part of the model's own prior is missing, if `drawn_from` still names N(0, I), or if no weight file can
    describe the model."""
    kind, draws = type(model).__name__, type(model).draw_prior is not Model.draw_prior
    if isinstance(model, EstimatedRate) and type(model).terms is EstimatedRate.terms:
        if draws != (type(model).log_prior is not EstimatedRate.log_prior):
            there, missing = ("draw_prior", "log_prior") if draws else ("log_prior", "draw_prior")
            raise ValueError(f"{kind} defines {there}, but not {missing}: a prior needs both, its density and its samples")
    elif type(model).terms is Model.terms and hasattr(type(model), "log_prior"):
        raise ValueError(
            f"{kind} defines log_prior, which a {type(model).__mro__[1].__name__} does not use: subclass EstimatedRate"
        )
    if draws and model.drawn_from == Model.drawn_from:
        found = f"{kind} defines draw_prior, but drawn_from is {model.drawn_from!r}"
        raise ValueError(f"{found}; set drawn_from to the words for its own prior")
    weight_files.describe(model)


def fitting(data: Data, model: Model) -> Data:
    """The data, with images in the model's dtype. ValueError if the data do not fit the model."""
    check_data(data)
    if data.shape != model.image_shape:
        raise ValueError(f"images are {data.shape}, and the model expects {model.image_shape}; use image_shape={data.shape}")
    if data.labels is None and model.takes_labels:
        raise ValueError(f"labels: the model is conditioned on a class, and {data.about} has no labels; choose another model")
    if data.labels is not None:
        check_labels(data.labels, len(data.images), model.classes if model.takes_labels else int(data.labels.max()) + 1)
        if model.takes_labels and data.labels.min() > 0:
            print("no image has the label 0: labels are counted from 0, so a class without images is trained", file=sys.stderr)
    return data.like(model)


def _resumed(folder: Path, config: Config, model: Model, optimizer: Optimizer, own: dict[str, str], data: Data) -> Progress:
    """Load the state into model and optimiser; return the progress. ValueError if the run or the data are not the same."""

    def check(state: dict[str, Any]) -> None:
        check_made_with(folder / "state.safetensors", state.get("describes", {}), model)
        needed = state.get("own", {})
        alike = isinstance(needed, dict) and needed.keys() == own.keys()
        if not alike or not all(weight_files.same(part, needed[part], own[part]) for part in own):
            raise ValueError(
                f"{folder} was started with own parts {needed or 'none'}, and now has {own or 'none'}; pass the same parts"
            )
        if state.get("digest", data.digest) != data.digest:
            found = f"{folder} was trained on {state.get('data')}, and the data are now: {data.about}"
            raise ValueError(
                f"{found}; the images, their order, precision, binarisation or labels differ: pass the same data and model"
            )

    progress = progress_of(folder, config, state_files.load_state(folder, model, optimizer, "optimizer" not in own, check))
    epochs, batch_size = config.epochs_and_batch_size()
    per_epoch = len(data.images) // batch_size
    if progress.step > epochs * per_epoch or len(progress.rows) != progress.step // per_epoch:
        found = f"step {progress.step} of {epochs * per_epoch}, {len(progress.rows)} epochs"
        raise ValueError(f"{folder / 'state.safetensors'}: its header says {found}; that is impossible for this run")
    return progress


def progress_of(folder: Path, config: Config, state: dict[str, Any]) -> Progress:
    """The progress from the header of a state. ValueError if it is not valid, or if the header has another configuration."""
    path = folder / "state.safetensors"
    started = as_dict(weight_files.config_of(path, state["config"])) if "config" in state else as_dict(config)
    free = ["name", "device"] + ["precision"] * (started["precision"] == "tf32")  # may change: see run_config.py
    if started | {option: getattr(config, option) for option in free} != as_dict(config):
        raise ValueError(f"{folder}/config.json is not what the run was started with; restore it from state.safetensors' header")
    found: dict[str, Any] = {name: state.get(name) for name in ("step", "loss", "seconds", "best", "rows")}
    kinds = {"step": int, "loss": float, "seconds": float, "rows": list}
    whole = all(type(found[name]) is kind for name, kind in kinds.items()) and type(found["best"]) in (float, type(None))
    if not whole or found["step"] < 0 or not all(isinstance(row, dict) for row in found["rows"]):
        raise ValueError(f"{path}: its header does not say how far the run is; expected step, loss, seconds, best and rows")
    return Progress(**found, given=state.get("given") is True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder. ValueError if another process or thread has locked it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    if path.is_symlink():
        raise ValueError(f"{path}: is a link; expected a plain file or none; remove the link")
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"{folder}: another process or thread is training into this folder; choose another --name") from None
    except (OSError, NotImplementedError):  # this file system has no locks: another process is not noticed
        pass
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Until the `with` block ends, Ctrl-C only adds an entry to the list. The run reads the list after each step.

    In another thread the list stays empty: only the main thread gets signals.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is not installed: pip install 'vae-levels[tensorboard]'") from None
    return SummaryWriter
