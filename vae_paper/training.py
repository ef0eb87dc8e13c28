"""Training: one loop for all models. A step computes the batch, the terms and the loss, and changes the parameters.

Folders, resuming and logs are in runs.py.

The random numbers of a step follow from (seed, purpose, step), and the order of the images from (seed, purpose, epoch). The
purpose is a number: ORDER, NOISE, ... So a run that was stopped and resumed, even in another process, takes the same steps as a
run that was not stopped.
"""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from vae_paper import cuda_graph, devices, distributed, objectives, runs, schedules
from vae_paper.config import Config
from vae_paper.data import Data
from vae_paper.likelihoods import binarise
from vae_paper.measuring.elbo import terms_of
from vae_paper.vae import Images, Model, Samples, Terms

ORDER, NOISE, AFTER_ANOTHER, MODULES = range(4)  # purposes of random numbers; AFTER_ANOTHER marks a run with start_from
Objective = Callable[[Terms], Tensor]


class Scheduled(NamedTuple):
    """The scheduled weights of the loss at one step. If the step is recorded as a CUDA graph, the values are tensors."""

    beta: float | Tensor
    """The weight of the rate."""
    capacity: float | Tensor
    """The target C of the capacity objective, in nats."""


def train(
    config: Config,
    model: Model | None = None,
    data: Data | None = None,
    objective: Objective | None = None,
    optimizer: Callable[..., Optimizer] | None = None,
) -> Path:
    """Train as `config` says, and return the run's folder. Ctrl-C saves the state; `config.resume` continues from this state.

    Your own parts replace those of the configuration. To resume the run, pass them again.

        model      an instance of a subclass of `Model`; it is trained itself, not a copy
        data       the images for training and validation
        objective  a function from `Terms` to a loss
        optimizer  a function from parameters to an Optimizer; `config.lr_schedule` scales its learning rates

    Raises ValueError before any training if the configuration contradicts itself or the folder holds a run and `config.resume` is
    False. Raises ValueError during training if the loss is not finite: on the CPU at once, on a GPU when the epoch ends. Files
    that were saved before stay intact.
    """
    with runs.begun(config, model, data, objective, optimizer, adamw) as run, devices.numerics(run.config.precision):
        in_parallel = distributed.parallel(run.model)
        for loss in steps(run.config, in_parallel, run.optimizer, run.data, run.progress.step, objective):
            run.after_step(loss)
            if run.progress.step % run.per_epoch == 0:
                run.after_epoch(validate(run.config, run.model, run.validation, objective))
    return run.folder


def steps(
    config: Config, model: nn.Module, optimizer: Optimizer, data: Data, start: int = 0, objective: Objective | None = None
) -> Iterator[Tensor]:
    """Take the steps from number `start` to the last one, and yield the loss of each step."""
    epochs, batch_size = config.epochs_and_batch_size()
    per_epoch = len(data.images) // batch_size
    total = epochs * per_epoch
    order = torch.empty(0)

    def take(x: Images, eps: Samples, labels: Tensor | None, *scheduled: float | Tensor) -> Tensor:
        return train_step(config, model, optimizer, x, eps, labels, Scheduled(*scheduled), objective)

    if devices.is_cuda(config.device):
        take = cuda_graph.replayed(take, model, optimizer, objective is not None)
    for step in range(start, total):
        epoch, position = divmod(step, per_epoch)
        if position == 0 or step == start:
            order = torch.randperm(len(data.images), generator=generator_of(config, ORDER, epoch), device=data.images.device)
        chosen = order[position * batch_size : (position + 1) * batch_size]
        x, eps, labels = batch(config, data, chosen, step)
        set_learning_rates(optimizer, schedules.one_cycle(step / total) if config.lr_schedule == "one-cycle" else 1.0)
        with seeded_modules(config, step):
            loss = take(x, eps, labels, *scheduled(config, step / total))
        yield loss


def batch(config: Config, data: Data, chosen: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """x, eps and labels of the chosen images; x is binarised. With several processes: only this process's images."""
    generator, mine = generator_of(config, NOISE, step), distributed.ours()
    x = binarise(data.images[chosen], data.binarisation, generator)  # (B, C, H, W)
    eps = torch.randn(config.samples, len(x), config.latent_dim, generator=generator, device=x.device, dtype=x.dtype)
    return x[mine], eps[:, mine], None if data.labels is None else data.labels[chosen][mine]


def train_step(
    config: Config,
    model: nn.Module,
    optimizer: Optimizer,
    x: Images,
    eps: Samples,
    labels: Tensor | None,
    at: Scheduled,
    objective: Objective | None = None,
) -> Float[Tensor, ""]:
    """Take one step of the optimiser, and return the loss. `at` holds the values of the schedules at this step."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        terms = model(x, eps, labels)
    loss = loss_of(config, terms, at, objective)
    if not isinstance(loss, Tensor) or loss.ndim:
        found = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(f"the objective returned {found}; expected a scalar tensor, such as the mean over the batch")
    if x.device.type == "cpu" and not torch.isfinite(loss):  # on a GPU, reading the loss would make the CPU wait in each step
        advice = "check your objective" if objective else "lower --learning-rate"
        raise ValueError(f"the loss is {loss.item()}: {not_finite(terms)}; {advice}")
    if not loss.requires_grad:
        raise ValueError("the objective returned a loss without a gradient; do not detach the terms")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def loss_of(config: Config, terms: Terms, at: Scheduled, objective: Objective | None = None) -> Float[Tensor, ""]:
    """The loss of your own objective, or else of `config.objective`. `at` holds the values of the schedules at this step."""
    if objective is not None:
        loss = objective(terms)
    elif config.objective in objectives.BOUNDS:
        loss = -objectives.BOUNDS[config.objective](terms).mean()
    elif config.objective == "free-bits":
        assert config.free_bits is not None and config.free_bits_per is not None  # `checked` filled them in
        loss = terms.distortion.mean() + at.beta * objectives.free_bits(terms.rate, config.free_bits, config.free_bits_per)
    elif config.objective == "capacity":
        assert config.gamma is not None
        loss = terms.distortion.mean() + objectives.capacity(terms.rate, config.gamma, at.capacity)
    else:
        loss = objectives.beta_loss(terms, at.beta)
    return loss if terms.penalty is None else loss + terms.penalty


def validate(config: Config, model: Model, data: Data, objective: Objective | None = None) -> dict[str, float]:
    """The loss and the ELBO on the validation images. {} if there are no validation images.

    First the terms of all images are computed. Then the loss is computed in batches of the training's size. The schedules have
    their final values.
    """
    if not len(data.images):
        return {}
    terms = terms_of(model, data, config.samples)
    (_, B), N, end = config.epochs_and_batch_size(), len(data.images), scheduled(config, 1.0)
    losses = [loss_of(config, terms.of_images(slice(i, i + B)), end, objective).item() * min(B, N - i) for i in range(0, N, B)]
    return {
        "validation_loss": sum(losses) / N,
        "validation_elbo": objectives.elbo(terms).mean().item(),
        "validation_distortion": terms.distortion.mean().item(),
        "validation_rate": terms.rate.sum(1).mean().item(),
    }


def adamw(config: Config, model: nn.Module) -> Optimizer:
    """AdamW; with weight decay 0 it is Adam. On a CUDA GPU its learning rate is a tensor, so that a step can be recorded."""
    gpu = devices.is_cuda(config.device)
    rate = torch.tensor(config.learning_rate, device=config.device) if gpu else config.learning_rate
    return AdamW(model.parameters(), lr=rate, weight_decay=config.weight_decay, fused=True, capturable=gpu)


def set_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set the learning rate of each parameter group to `factor` times its initial learning rate."""
    for group in optimizer.param_groups:
        if "initial_lr" not in group:  # only once, because reading a tensor's value makes the CPU wait for the GPU
            group["initial_lr"] = float(group["lr"])
        rate = group["initial_lr"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)  # in place: a recorded step (cuda_graph.py) reads this tensor
        else:
            group["lr"] = rate


def scheduled(config: Config, progress: float) -> Scheduled:
    """The values of the schedules at `progress` (0 to 1)."""
    warmup = config.warmup_epochs  # number of epochs in which beta, or the target C, rises
    risen = 1.0 if warmup is None else schedules.linear(progress, warmup / config.epochs_and_batch_size()[0])
    beta = {"constant": 1.0, "linear": risen, "cyclical": schedules.cyclical(progress)}[config.beta_schedule]
    return Scheduled(config.beta * beta, 0.0 if config.capacity is None else config.capacity * risen)


@contextlib.contextmanager
def seeded_modules(config: Config, step: int) -> Iterator[None]:
    """Seed torch's global generators for this step; afterwards restore those of the CPU and of the CUDA GPU.

    Modules with noise of their own, such as dropout, draw it from these generators. Each process has other noise.
    """
    purpose = (MODULES, step, distributed.rank()) if distributed.processes() > 1 else (MODULES, step)
    cuda = [torch.cuda.current_device()] if devices.is_cuda(config.device) else []
    with torch.random.fork_rng(devices=cuda):
        # torch.manual_seed seeds every device. A run on the CPU seeds only the CPU's generator, which is faster
        seeded = torch.default_generator if config.device == "cpu" else torch
        seeded.manual_seed(generator_of(config, *purpose).initial_seed())
        yield


def generator_of(config: Config, *purpose: int) -> torch.Generator:
    """A random generator. Its seed is mixed from the run's seed and `purpose`, such as (NOISE, step) or (ORDER, epoch)."""
    # A run that starts from another run gets other seeds, so that it does not repeat the shuffles and the noise of that run
    again = () if config.start_from is None else (AFTER_ANOTHER, zlib.crc32(config.start_from.encode()))
    seed = np.random.SeedSequence((config.seed, *again, *purpose)).generate_state(1)[0]
    return torch.Generator(config.device).manual_seed(int(seed))


def not_finite(terms: Terms) -> str:
    """Which terms are not finite, in words."""
    named = {name: getattr(terms, name) for name in ("distortion", "rate", "log_weight", "penalty")}
    bad = [name for name, value in named.items() if value is not None and not torch.isfinite(value).all()]
    return f"not finite: {', '.join(bad)}" if bad else "all terms are finite"
