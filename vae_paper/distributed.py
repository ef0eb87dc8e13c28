"""Several processes, started by `torchrun`, train one model together. Each process takes its part of every batch.

The order of the images follows from the seed and the epoch, the noise follows from the seed and the step. So every process draws
both for the whole batch, and keeps its own part. DistributedDataParallel (DDP) averages the gradients, so the steps are those of
one process, up to rounding. (Exceptions are networks of your own: dropout has other noise in each process, and BatchNorm uses the
statistics of each process's part.) If there is only one process, only `take_device` changes something: it selects the GPU of
"cuda:N".
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vae_paper import devices
from vae_paper.config import Config
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.vae import Model

# Objectives that are not a mean over images: the mean of the processes' values would not be the value of the whole batch.
OF_THE_WHOLE_BATCH = [
    ("objective", "capacity", "|KL - C| is computed from a batch's mean KL"),
    ("free_bits_per", "latent", "the floor applies to a batch's mean KL"),
    ("free_bits_per", "total", "the floor applies to a batch's mean KL"),
]


def rank() -> int:
    """The rank of this process: 0, 1, ...; 0 if there is only one process."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def restarted() -> bool:
    """Whether torchrun (--max-restarts) has started these processes in place of others that died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def launch() -> str | None:
    """The id that torchrun gives to this start of the processes (see its option --rdzv-id). None without torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID")


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the processes of torchrun. Rank 0 prints. Another rank prints only if an error stops it and rank 0 reports none."""
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # a restart must not see older entries
    # gloo is always needed: it exchanges a few numbers between the steps
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    kept = io.StringIO()
    out, err = (kept, kept) if number else (sys.stdout, sys.stderr)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
        dist.destroy_process_group()
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        if number == 0:
            lost = "rank 0: another process has ended, and this one cannot go on alone; what was saved before is intact"
            print(f"{lost}; continue with --resume", file=sys.stderr)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code and number == 0:
            store.set("said", "")
        elif stop.code:
            until = time.monotonic() + 5  # wait for rank 0: if it has an error too, it prints that error
            while not store.check(["said"]) and time.monotonic() < until:
                time.sleep(0.02)
            if not store.check(["said"]):
                print(kept.getvalue(), end="", file=sys.stderr)
        raise


def check(config: Config, model: Model, held_out: int, own_objective: bool) -> None:
    """Refuse a configuration that several processes would train differently from one process. Networks of your own are not
    checked."""
    count = processes()
    if count == 1:
        return
    needs: list[tuple[str, str, str | None]] = [*OF_THE_WHOLE_BATCH, ("model", config.model, model.whole_batch)]
    needs += [("likelihood", model.likelihood, LIKELIHOODS[model.likelihood].whole_batch)]
    why = [f"{option} is {value}: {why}" for option, value, why in needs if why and getattr(config, option) == value]
    why += ["an objective of your own may need the whole batch"] * own_objective
    if why:
        raise ValueError(f"{why[0]}, and each of {count} processes sees only a part of the batch; train in one process")
    if config.epochs_and_batch_size()[1] % count:
        raise ValueError(f"batch_size is {config.batch_size}: expected a multiple of {count}, the number of processes")
    if 0 < held_out < count:
        raise ValueError(f"validation is {config.validation}: {held_out} images; expected 0, or at least one per process")
    if config.device not in ("cpu", "cuda"):
        raise ValueError(f"device is {config.device}: expected cpu, or cuda (each of {count} processes takes a GPU of its own)")


def take_device(device: str) -> None:
    """Choose the GPU of this process: for "cuda" the GPU with its local rank, for "cuda:N" GPU N. ValueError if there are too few
    GPUs."""
    if processes() > 1 and device == "cuda" and (count := torch.cuda.device_count()):
        if int(os.environ["LOCAL_RANK"]) >= count:
            raise ValueError(f"device is cuda: each process takes a GPU, and there are {count}; start at most {count} processes")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    elif device.startswith("cuda:") and devices.is_available(device):
        torch.cuda.set_device(device)


def parallel(model: Model) -> Model | DistributedDataParallel:
    """The model to call in a training step. With several processes it is a DDP module: calling it averages the gradients."""
    return model if processes() == 1 else DistributedDataParallel(model)


def ours(start: int = 0) -> slice:
    """The images of a batch that this process takes: of P processes, process r takes images r, r + P, ... of the batch.

    The slice always selects images of the batch. `start` is the index of the batch's first image in the whole data. If it is
    given, the slice selects the images whose indices in the whole data are r, r + P, ...
    """
    return slice((rank() - start) % processes(), None, processes())


def whole(part: Tensor, total: int, dim: int) -> Tensor:
    """The values for all `total` images, joined from the `part` of every process; `dim` is the axis of the images."""
    if processes() == 1:
        return part
    filled = part.new_zeros(total, *part.movedim(dim, 0).shape[1:])
    filled[ours()] = part.movedim(dim, 0)
    dist.all_reduce(filled)  # sums over the processes: each number is 0 in all processes except one
    return filled.movedim(0, dim)


def total(value: Tensor) -> Tensor:
    """The sum over the processes. (With several processes, `value` itself becomes the sum.)"""
    if processes() > 1:
        dist.all_reduce(value)
    return value


def mean(value: Tensor) -> Tensor:
    """The mean over the processes. (With several processes, `value` itself becomes the sum, not the mean.)"""
    return total(value) / processes()


def any_of(noted: list[int]) -> bool:
    """Whether any process has noted a Ctrl-C. All processes get the same answer, and none continues before all have asked."""
    if processes() == 1:
        return bool(noted)
    flag = torch.tensor(len(noted))
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return flag.item() > 0


def wait() -> None:
    """Wait until all processes have come this far."""
    if processes() > 1:
        dist.all_reduce(torch.zeros(()))  # on the CPU, so gloo is used
