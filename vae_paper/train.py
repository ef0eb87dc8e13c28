"""One training loop, which knows no model: a batch becomes terms, terms become a loss, Adam follows its gradient.

Every random number is a function of (seed, what for, step): a run that stops anywhere and goes on in another process
takes the very steps that it would have taken.
"""

import contextlib
import dataclasses
import json
import math
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from tqdm import tqdm

from vae_numpy import weights
from vae_numpy.command_line import spelled
from vae_paper import checkpoint, distributed, evaluate, objectives, schedules
from vae_paper.config import Config, as_dict, checked, made_with
from vae_paper.evaluate import Data
from vae_paper.likelihoods import binarise
from vae_paper.vae import Model, Terms

ORDER, NOISE, AFTER_ANOTHER = range(3)  # what randomness is for


@dataclass
class Run:
    """A run: what it consists of, and how far it is (`at`, which is saved with the state)."""

    config: Config
    folder: Path
    model: Model
    optimizer: Optimizer
    data: Data
    validation: Data
    at: dict[str, Any] = field(default_factory=lambda: {"step": 0, "loss": 0.0, "seconds": 0.0, "best": None, "rows": []})

    @property
    def steps_per_epoch(self) -> int:
        return len(self.data.images) // self.config.batch_size

    @property
    def progress(self) -> float:
        """0 at the first step, 1 after the last."""
        return self.at["step"] / (self.config.epochs * self.steps_per_epoch)


def train(config: Config) -> Path:
    """Train as configured; returns the run's folder. Ctrl-C saves the state, from which `resume` goes on.

    Raises ValueError before any work where the configuration contradicts itself or the folder holds another run, and
    during training where a term is not finite; what was saved before stays.
    """
    folder = checkpoint.RUNS / config.name
    config = _stored(folder, config) if config.resume else checkpoint.inherit(checked(config))
    config.resume = config.resume or _was_restarted(folder, config)
    if config.precision == "bf16" and config.device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        print("bf16: this processor has no instructions for it, and is several times faster in float32", file=sys.stderr)
    try:
        distributed.take_device(config.device)
        torch.empty(0, device=config.device)
    except (RuntimeError, AssertionError) as error:  # an unknown name, or none of that kind in this machine
        raise ValueError(f"device is {config.device!r}: not to be had here ({str(error).splitlines()[0]})") from None
    if config.tensorboard:
        _tensorboard()
    data, validation = split(config)
    distributed.check(config, len(validation.images))
    with checkpoint.locked(folder) if distributed.rank() == 0 else contextlib.nullcontext():
        if not config.resume and (folder / "state.safetensors").exists():
            raise ValueError(f"{folder} already holds a run: go on with --resume, choose another --name, or remove the folder")
        model = checkpoint.build_for(config).to(config.device)
        run = Run(config, folder, model, optimizer_of(config, model), data, validation)
        if config.resume:
            run.at = _progress(folder, config, checkpoint.load_state(folder, model, run.optimizer))
        if distributed.rank() == 0:
            checkpoint.write_json(folder / "config.json", as_dict(config))
        run.at["launch"] = distributed.launch()
        _loop(run)
    return folder


def optimizer_of(config: Config, model: Model) -> Optimizer:
    """AdamW; without weight decay that is Adam."""
    return AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def split(config: Config) -> tuple[Data, Data]:
    """Training and validation images, both cut from the training split: the same ones for every seed."""
    data = evaluate.load_data(config.source, "train", config.binarise, config.device)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(data.images))).to(config.device)
    held_out = round(config.validation * len(order))
    validation, training = (
        data._replace(images=data.images[chosen], labels=data.labels[chosen], about=f"{len(chosen):,} images of {data.about}")
        for chosen in (order[:held_out], order[held_out:])
    )
    if len(training.images) < config.batch_size:
        raise ValueError(f"batch_size is {config.batch_size}: there are only {len(training.images)} training images")
    return training, validation


def train_step(
    config: Config,
    model: nn.Module,
    optimizer: Optimizer,
    x: Float[Tensor, "B 1 28 28"],
    eps: Float[Tensor, "K B D"],
    labels: Tensor | None = None,
    progress: float = 1.0,
) -> Float[Tensor, ""]:
    """One step of Adam down the gradient of the loss; `progress` (0 to 1) places it in the schedules. Returns the loss."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        terms = model(x, eps, labels)
        loss = loss_of(config, terms, progress)
    if x.device.type == "cpu" and not torch.isfinite(loss):  # elsewhere looking would stall the device at every step
        raise ValueError(f"the loss is {loss.item()}: {_not_finite(terms)}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def loss_of(config: Config, terms: Terms, progress: float) -> Float[Tensor, ""]:
    """What the configuration minimises, `progress` (0 to 1) of training behind it."""
    weight = config.beta * beta_factor(config, progress)
    if config.objective == "iwae":
        return -objectives.iwae(terms).mean()
    if config.objective == "free-bits":
        assert config.free_bits is not None and config.free_bits_per is not None  # `checked` filled them in
        loss = terms.distortion.mean() + weight * objectives.free_bits(terms.rate, config.free_bits, config.free_bits_per)
    elif config.objective == "capacity":
        assert config.gamma is not None and config.capacity is not None
        target = config.capacity * schedules.linear(progress, _warmup(config))
        loss = terms.distortion.mean() + objectives.capacity(terms.rate, config.gamma, target)
    else:
        loss = objectives.beta_loss(terms, weight)
    return loss if terms.penalty is None else loss + terms.penalty


def beta_factor(config: Config, progress: float) -> float:
    """What the schedule makes of beta."""
    if config.beta_schedule == "linear":
        return schedules.linear(progress, _warmup(config))
    return getattr(schedules, config.beta_schedule)(progress)


def seeded(generator: torch.Generator, *numbers: int) -> torch.Generator:
    """Seed a generator from several numbers, well mixed."""
    return generator.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def _loop(run: Run) -> None:
    config, at, total = run.config, run.at, run.config.epochs * run.steps_per_epoch
    model, silent = distributed.parallel(run.model), distributed.rank() > 0
    bar = tqdm(total=total, initial=at["step"], unit="step", desc=config.name, disable=silent)
    with bar, _interrupts() as interrupted:
        while at["step"] < total:
            started = time.perf_counter()
            loss = torch.tensor(at["loss"], dtype=torch.float64, device=config.device)  # summed over the epoch's steps
            for of_step in steps(run, model):
                loss += of_step
                bar.update()
                if distributed.any_of(interrupted):
                    break
            at["loss"] = distributed.mean(loss).item()
            at["seconds"] += time.perf_counter() - started
            if at["step"] % run.steps_per_epoch == 0:
                with _named(run):
                    row = _finish_epoch(run)
                bar.set_postfix_str(", ".join(f"{k} {v:.1f}" for k, v in row.items() if k not in ("epoch", "step", "seconds")))
            if distributed.any_of(interrupted):
                _save_state(run)
                again = f"python -m vae_paper train --name {config.name} --resume"
                raise KeyboardInterrupt(f"stopped after step {at['step']}, state saved; go on with: {again}")


def steps(run: Run, model: nn.Module | None = None) -> Iterator[Tensor]:
    """Take the steps of this epoch that are still to come, and give the loss of each; `model` is the run's, or it in parallel."""
    for x, eps, labels in rest_of_epoch(run):
        for group in run.optimizer.param_groups:
            group["lr"] = run.config.learning_rate * lr_factor(run.config, run.progress)
        with _named(run):
            loss = train_step(run.config, model or run.model, run.optimizer, x, eps, labels, run.progress)
        run.at["step"] += 1
        yield loss


def rest_of_epoch(run: Run) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The batches of this epoch that are still to come, each with its noise and its labels: this process's part of them."""
    config, data = run.config, run.data
    epoch, position = divmod(run.at["step"], run.steps_per_epoch)
    generator, mine = torch.Generator(config.device), distributed.ours()
    # After another run: or the batches and noise of the start would come once more
    again = () if config.start_from is None else (AFTER_ANOTHER, zlib.crc32(config.start_from.encode()))
    seed = (config.seed, *again)
    order = torch.randperm(len(data.images), generator=seeded(generator, *seed, ORDER, epoch), device=config.device)
    for chosen in order.split(config.batch_size)[position : run.steps_per_epoch]:
        seeded(generator, *seed, NOISE, run.at["step"])
        x = binarise(data.images[chosen], data.binarisation, generator)
        eps = torch.randn(config.samples, len(x), config.latent_dim, generator=generator, device=config.device)
        yield x[mine], eps[:, mine], data.labels[chosen][mine]


def _finish_epoch(run: Run) -> dict[str, Any]:
    """Measure on the validation images, keep the weights where they are the best so far, save the state; the epoch's row."""
    at, epoch = run.at, run.at["step"] // run.steps_per_epoch
    row = {"epoch": epoch, "step": at["step"], "seconds": round(at["seconds"], 2), "loss": at["loss"] / run.steps_per_epoch}
    score = -float(epoch)  # without validation images the last epoch is the best
    if len(run.validation.images):
        terms = evaluate.terms(run.model, run.validation, run.config.samples)
        score = loss_of(run.config, terms, progress=1.0).item()
        row |= {
            "validation_loss": score,
            "validation_elbo": objectives.elbo(terms).mean().item(),
            "validation_distortion": terms.distortion.mean().item(),
            "validation_rate": terms.rate.sum(1).mean().item(),
        }
    row |= run.model.end_epoch()
    if bad := [name for name, value in row.items() if not math.isfinite(value)]:
        raise ValueError(f"after epoch {epoch} not finite: {', '.join(bad)}")
    at["rows"].append(row)
    at["loss"] = at["seconds"] = 0.0
    best = at["best"] is None or score <= at["best"]
    at["best"] = score if best else at["best"]
    if distributed.rank() == 0:
        if best:
            chosen = {"epoch": epoch, "data": run.data.about, "selected_on": run.validation.about}
            checkpoint.save_model(run.folder / "weights.safetensors", run.model, header(run.config) | chosen)
        checkpoint.write_csv(run.folder / "metrics.csv", at["rows"])
    _save_state(run)  # last: what it calls finished is all on disk
    if run.config.tensorboard and distributed.rank() == 0:
        _write_tensorboard(run.folder, row)
    return row


def _save_state(run: Run) -> None:
    if distributed.rank() == 0:
        checkpoint.save_state(run.folder, run.model, run.optimizer, run.at | {"config": as_dict(run.config)})
    distributed.any_of([])  # no process goes on, or ends, before it is on disk


def header(config: Config) -> dict[str, Any]:
    """What a weight file says of its model."""
    return {name: getattr(config, name) for name in ("model", "latent_dim", "likelihood")} | {
        "made_with": made_with(config),
        "command": spelled("python -m vae_paper train", config),
        "epochs": config.epochs,
        "seed": config.seed,
        "config": as_dict(config),
    }


def _warmup(config: Config) -> float:
    assert config.warmup_epochs is not None
    return config.warmup_epochs / config.epochs


def lr_factor(config: Config, progress: float) -> float:
    return schedules.one_cycle(progress) if config.lr_schedule == "one-cycle" else 1.0


def _not_finite(terms: Terms) -> str:
    bad = [name for name, value in terms._asdict().items() if value is not None and not torch.isfinite(value).all()]
    return f"not finite: {', '.join(bad) or 'their sum'}"


def _stored(folder: Path, config: Config) -> Config:
    """The run's own configuration; what the command line says otherwise is refused."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no run of this name to resume")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); the same configuration is in the header of state.safetensors") from None
    stored = dataclasses.replace(checkpoint.config_of(path, content), resume=True)
    for option in dataclasses.fields(Config):
        asked, kept = getattr(config, option.name), getattr(stored, option.name)
        if asked not in (option.default, kept):
            raise ValueError(f"{option.name} is {asked}, but {folder} was started with {kept}")
    return stored


def _was_restarted(folder: Path, config: Config) -> bool:
    """Whether torchrun starts this very run again, which came to a state before it died: then it goes on unasked."""
    path = folder / "state.safetensors"
    if not distributed.restarted() or not path.exists():
        return False
    died = weights.load_tensors(path)[1]
    return died.get("launch") == distributed.launch() and died.get("config") == as_dict(config)


def _progress(folder: Path, config: Config, at: dict[str, Any]) -> dict[str, Any]:
    """How far the state is, refused where it is no state of this run: config.json may have been changed since."""
    if "config" in at and as_dict(checkpoint.config_of(folder / "state.safetensors", at["config"])) != as_dict(config):
        raise ValueError(f"{folder}/config.json is not what the run was started with, which state.safetensors holds; restore it")
    step, loss, best, rows = (at.get(name) for name in ("step", "loss", "best", "rows"))
    numbers = type(step) is int and step >= 0 and isinstance(loss, float) and (best is None or isinstance(best, float))
    if not numbers or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{folder}/state.safetensors: its header does not say how far the run is; it cannot be resumed")
    return {"seconds": 0.0} | at  # a state written before it held them


@contextlib.contextmanager
def _named(run: Run) -> Iterator[None]:
    """What goes wrong is said with the run's folder and its step."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{run.folder}: step {run.at['step']}: {error}; what was saved before is intact") from None


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Ctrl-C is noted in the list, to be acted on between two steps, when the state is whole."""
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _tensorboard() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("tensorboard is not installed: pip install 'vae-levels[tensorboard]'") from None
    return SummaryWriter


def _write_tensorboard(folder: Path, row: dict[str, Any]) -> None:
    with _tensorboard()(folder / "tensorboard") as writer:
        for name, value in row.items():
            writer.add_scalar(name, value, row["epoch"])
