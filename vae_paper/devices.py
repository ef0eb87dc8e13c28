"""Devices: whether a device is available, and the precision of matrix products and convolutions."""

import contextlib
import copy
import sys
from collections.abc import Iterator
from typing import Any

import torch

# torch's settings that allow a lower precision for float32 products: three for a CUDA GPU, two for a CPU
backends: Any = torch.backends  # mypy does not know these settings
PRODUCTS = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.mkldnn.matmul, backends.mkldnn.conv)


def is_available(device: str) -> bool:
    """Whether torch can compute on a device."""
    try:
        return torch.zeros(1, device=device).add(1).item() == 1  # fails on the device "meta", which holds no values
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        return False


def check(device: str, precision: str = "float32") -> None:
    """Refuse a device that is not available, and tf32 without a CUDA GPU; warn if bf16 is slow on this processor."""
    if not is_available(device):
        raise ValueError(f"device is {device!r}: not available here; expected cpu, or cuda or mps if the machine has such a GPU")
    if precision == "tf32" and not is_cuda(device):
        raise ValueError(f"precision is tf32, and device is {device}: only CUDA GPUs have TF32; choose float32")
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # a private function, absent on some platforms
    if precision == "bf16" and device == "cpu" and supported is not None and not supported():
        print("bf16 is slow: this processor has no bfloat16 instructions; float32 is several times faster", file=sys.stderr)


def on_cpu(model: Any) -> Any:
    """The model, or a copy of it on the CPU if it is on another device."""
    return model if all(p.device.type == "cpu" for p in model.parameters()) else copy.deepcopy(model).cpu()


def is_cuda(device: str) -> bool:
    """Whether a device is a CUDA GPU."""
    return device.startswith("cuda")


def sum_dtype(device: str) -> torch.dtype:
    """The dtype in which losses are added up: float64, but float32 on MPS, which has no float64."""
    return torch.float32 if device.startswith("mps") else torch.float64


def decodes_at_once(device: torch.device) -> int:
    """How many z a measure decodes together: on a CUDA GPU 20,000 if it has 16 GB, otherwise 2,000; on a CPU or MPS 500."""
    if device.type != "cuda":
        return 500
    return 20_000 if torch.cuda.get_device_properties(device).total_memory >= 16e9 else 2_000


@contextlib.contextmanager
def numerics(precision: str = "float32") -> Iterator[None]:
    """Compute matrix products and convolutions in full float32 (for "tf32": in TF32, on a GPU), whatever the caller has set.

    TF32 keeps 10 of the 23 bits of a float32's mantissa. By default torch uses TF32 in convolutions on a GPU. Then the ELBO of
    one image is off by up to 0.013 nats. cuDNN uses only deterministic algorithms here, so that resuming on a GPU is exact. The
    caller's settings are restored at the end. Networks must not use torch's older settings (allow_tf32): torch refuses old and
    new settings together.
    """
    before, repeatable = [setting.fp32_precision for setting in PRODUCTS], backends.cudnn.deterministic
    try:
        backends.cudnn.deterministic = True
        for setting in PRODUCTS:
            setting.fp32_precision = "tf32" if precision == "tf32" and setting in PRODUCTS[:3] else "ieee"
        yield
    finally:
        backends.cudnn.deterministic = repeatable
        for setting, value in zip(PRODUCTS, before, strict=True):
            setting.fp32_precision = value
