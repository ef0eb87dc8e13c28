"""The state of a run, state.safetensors: all that training needs to continue exactly."""

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
    """Write the parameters, the optimiser's state (tensors, and numbers in the header), and `progress` (any JSON).

    The rows of metrics.csv are saved as a tensor: the bytes of their JSON text. In the header they would reach its size limit.
    """
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    numbers: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"optimizer.{index}.{name}"] = value
    plain = (int, float, str, tuple, list, type(None))  # some optimisers keep a step counter in their groups
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
    """Load a file of `save_state` into model and optimizer; return `progress`. `strict`: refuse a state that is not AdamW's.

    `check(progress)` is called before anything is loaded, and may refuse the state. Raises FileNotFoundError, or ValueError for
    a file that is damaged or holds the state of another model.
    """
    path = folder / "state.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no state to resume from; train without --resume")
    tensors, progress = read_state(path)
    if check is not None:
        check(progress)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    expected = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if strict:
        for index in [i for i in range(len(parameters)) if f"optimizer.{i}.step" in tensors]:
            moments = {
                "step": torch.zeros((), dtype=torch.float32),
                "exp_avg": parameters[index],
                "exp_avg_sq": parameters[index],
            }
            expected |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        check_tensors(path, expected, tensors)
    fill(path, model, {name[6:]: array for name, array in tensors.items() if name.startswith("model.")})
    numbers, groups = progress.pop("optimizer", {}), progress.pop("groups", [])
    if not isinstance(numbers, dict) or (strict and numbers) or not isinstance(groups, list):
        raise ValueError(f"{path}: its header holds another optimiser's state; it cannot be resumed")
    values = {name: torch.from_numpy(array) for name, array in tensors.items() if name.startswith("optimizer.")} | numbers
    state: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        _, number, of_state = name.split(".", 2)
        state.setdefault(int(number), {})[of_state] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for group, kept in [] if strict else zip(optimizer.param_groups, groups, strict=False):
        group.update({n: tuple(v) if isinstance(group.get(n), tuple) else v for n, v in kept.items()})
    return progress


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the `progress` in a file of `save_state`."""
    tensors, progress = weights.load_tensors(path)
    if "rows" in tensors:  # in older files they are in the header
        try:
            progress["rows"] = json.loads(tensors.pop("rows").tobytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: its rows are not JSON ({str(error)[:100]}); it cannot be resumed") from None
    return tensors, progress
