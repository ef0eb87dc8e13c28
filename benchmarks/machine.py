"""What a number was measured on, and nothing that names whose machine it is; and how its output is kept quiet meanwhile."""

import contextlib
import logging
import os
import platform
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from vae_paper.reproduce import cpuinfo


def about(device: str = "cpu") -> dict[str, Any]:
    """The processor, how much of it torch uses, what it can do in bfloat16, and the versions."""
    said = cpuinfo()
    flags = said.get("flags", "").split()
    report = {
        "processor": said.get("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16_instructions": [name for name in ("avx512_bf16", "amx_bf16") if name in flags],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return report | ({"device": torch.cuda.get_device_name()} if device == "cuda" else {})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Progress bars, logs and warnings are still made, and go nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        logging.disable(logging.WARNING)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(logging.NOTSET)
