"""CUDA graphs: a training step on a GPU is recorded once, then replayed.

A step of this small network runs a few hundred short GPU kernels. Python needs more time to launch them one by one than the
GPU needs to run them. A CUDA graph launches all kernels at once. It repeats the kernels, not the Python code. So every value
that changes from step to step must be in a tensor that stays at the same address. `Replayed` copies the arguments of each call
into such tensors. During the recording the CPU must not wait for the GPU, for example to read a value of a tensor.

    first calls   run the function; the last of these calls notes whether the function makes the CPU wait for the GPU
    then          record the function, unless it makes the CPU wait
    later calls   copy the arguments, replay the recording, return a copy of the result
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vae_paper import distributed

FIRST = 3  # calls before the recording: in these calls the optimiser creates its state, and the GPU's libraries are initialised
Argument = Tensor | float | None


def replayed(step: Callable[..., Tensor], model: nn.Module, optimizer: Optimizer, own_objective: bool) -> Callable[..., Tensor]:
    """The training step, recorded if this is possible. If not: the step itself, and the reason is printed."""
    why = reason_against(model, optimizer, own_objective)
    if why is None:
        return Replayed(step)
    say(why)
    return step


def reason_against(model: nn.Module, optimizer: Optimizer, own_objective: bool) -> str | None:
    """The reason why a training step cannot be recorded; None if it can."""
    if distributed.processes() > 1:
        return "several processes exchange gradients in each step"
    if own_objective:
        return "an objective of your own may do something else in each step"
    if getattr(model, "own_networks", None):
        return "a network of your own may do something else in each step"
    if not vars(type(model)).get("recordable"):
        return f"{type(model).__name__} does not say that it is recordable"
    if not all(group.get("capturable") and isinstance(group["lr"], Tensor) for group in optimizer.param_groups):
        return "the optimizer does not have capturable=True and a tensor as its learning rate"
    return None


class Replayed:
    """A function from tensors, numbers and None to a tensor. On a CUDA GPU, later calls replay one recorded call.

    All calls must have arguments of the same shapes. The function's result must depend only on its arguments, on parameters
    and buffers (the function may change these in place), and on torch's global generator. If the function makes the CPU wait
    for the GPU (for example, if it reads a value of a tensor), it is never recorded; one line on stderr says so.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function, self.calls = function, 0
        self.buffers: list[Any] = []
        self.record: tuple[Callable[[], Any], Tensor] | None = None

    def __call__(self, *arguments: Argument) -> Tensor:
        self.calls += 1
        if self.calls == 1:
            self.buffers = [as_buffer(argument, arguments[0]) for argument in arguments]
        for buffer, argument in zip(self.buffers, arguments, strict=True):
            if isinstance(argument, Tensor):
                buffer.copy_(argument)
            elif argument is not None:
                buffer.fill_(argument)  # unlike a copy from CPU memory, this does not wait for the GPU
        if self.record is not None:
            replay, result = self.record
            replay()
            return result.clone()
        if self.calls > FIRST:
            return self.function(*self.buffers)
        result, waits = watched(self.function, *self.buffers)
        if self.calls == FIRST and waits:
            say(waits)
        elif self.calls == FIRST:
            self.record = recorded(self.function, *self.buffers)
        return result


def say(why: str) -> None:
    """Print why steps are not recorded."""
    if distributed.rank() == 0:
        print(f"the GPU runs each step kernel by kernel, not as one CUDA graph: {why}", file=sys.stderr)


def as_buffer(argument: Argument, like: Any) -> Tensor | None:
    """Memory for an argument: a number becomes a tensor (dtype and device of `like`), None stays None."""
    if argument is None:
        return None
    return argument.clone() if isinstance(argument, Tensor) else torch.tensor(argument, dtype=like.dtype, device=like.device)


def watched(function: Callable[..., Tensor], *arguments: Tensor | None) -> tuple[Tensor, str]:
    """The result, and the line of code at which the CPU first waited for the GPU ("" if it never did)."""
    mode = torch.cuda.get_sync_debug_mode()
    stream = torch.cuda.Stream()  # the calls before a recording run on a stream of their own
    stream.wait_stream(torch.cuda.current_stream())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with torch.cuda.stream(stream):
                result = function(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    torch.cuda.current_stream().wait_stream(stream)
    waits = [f"{found.filename}:{found.lineno} waits for the GPU" for found in caught if "synchronizing" in str(found.message)]
    return result, waits[0] if waits else ""


def recorded(function: Callable[..., Tensor], *arguments: Tensor | None) -> tuple[Callable[[], Any], Tensor]:
    """Record one call without running it. Returns the function that replays it, and the tensor that a replay fills."""
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        result = function(*arguments)
    return graph.replay, result
