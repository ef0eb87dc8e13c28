"""The state of a run, state.safetensors: all that a resumed run needs to take the same steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vae_numpy import weights
from vae_paper.weight_files import as_arrays, check_tensors, fill


def save_state(folder: Path, model: nn.Module, optimizer: Optimizer, progress: dict[str, Any]) -> None:
    """Write the parameters, the optimiser's state, and `progress` (a dict of JSON values).

    Tensors are saved as tensors, other values in the header. Only the rows of metrics.csv are saved as a tensor too (the bytes
    of their JSON text), because the size of the header is limited. A tensor in the optimiser's parameter groups, such as a
    GPU's learning rate, is not saved: training sets it again.
    """
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    numbers: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"optimizer.{index}.{name}"] = value
    plain = (int, float, str, tuple, list, type(None))  # types that are saved from parameter groups
    groups = [{n: v for n, v in g.items() if n != "params" and isinstance(v, plain)} for g in optimizer.param_groups]
    about = progress | {"optimizer": numbers, "groups": groups}
    rows = np.frombuffer(json.dumps(about.pop("rows", [])).encode(), np.uint8)
    weights.save_tensors(folder / "state.safetensors", as_arrays(tensors) | {"rows": rows}, about)


def load_state(
    folder: Path,
    model: nn.Module,
    optimizer: Optimizer,
    strict: bool = True,
    check: Callable[[dict[str, Any]], Any] | None = None,
) -> dict[str, Any]:
    """Read the file of `save_state`, and load it into the model and the optimizer. Returns `progress`.

    `strict`: ValueError for a state that is not AdamW's. `check(progress)` is called before anything is changed; it may raise a
    ValueError. Raises FileNotFoundError if there is no state. Raises ValueError if the file is damaged or holds the
    state of another model.
    """
    path = folder / "state.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no state to resume from; train without --resume")
    tensors, progress = read_state(path)
    if check is not None:
        check(progress)
    expected = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if strict:
        for index, p in enumerate(p for group in optimizer.param_groups for p in group["params"]):
            if f"optimizer.{index}.step" in tensors:
                moments = {"step": torch.zeros((), dtype=torch.float32), "exp_avg": p, "exp_avg_sq": p}
                expected |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        check_tensors(path, expected, tensors)
    fill(path, model, {name[6:]: array for name, array in tensors.items() if name.startswith("model.")})
    numbers, groups = progress.pop("optimizer", {}), progress.pop("groups", [])
    if not isinstance(numbers, dict) or (strict and numbers) or not isinstance(groups, list):
        raise ValueError(f"{path}: its header holds another optimiser's state; the run cannot be resumed")
    values = {name: torch.from_numpy(array) for name, array in tensors.items() if name.startswith("optimizer.")} | numbers
    state: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        _, number, of_state = name.split(".", 2)
        state.setdefault(int(number), {})[of_state] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for group, kept in [] if strict else zip(optimizer.param_groups, groups, strict=False):  # JSON made tuples into lists
        group.update({n: tuple(v) if isinstance(group.get(n), tuple) else v for n, v in kept.items()})
    return progress


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and `progress` from a file that `save_state` wrote."""
    tensors, progress = weights.load_tensors(path, most=4 * weights.MOST_BYTES)  # parameters, AdamW (twice as much), and the rest
    if "rows" in tensors:  # older files have the rows in the header
        try:
            progress["rows"] = json.loads(tensors.pop("rows").tobytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: its rows are not JSON ({str(error)[:100]}); the run cannot be resumed") from None
    return tensors, progress
