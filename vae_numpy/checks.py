"""Every check of an argument, in one place: a ValueError of one line says what was found and what was expected.

The checks take arrays and tensors alike. On an accelerator values are not looked at, as that would make it wait for the CPU.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_numpy.parameters import shapes

FLOATS = ("float32", "float64")


def check_images(x: Any, shape: tuple[int, int, int] = (1, 28, 28)) -> None:
    """Refuse what is not a batch of images (B, C, H, W) of floats in [0, 1] (an array or a tensor), saying why."""
    if x.ndim != 4 or tuple(x.shape[1:]) != shape:
        raise ValueError(f"images are {tuple(x.shape)}; expected (B, {', '.join(map(str, shape))})")
    if len(x) == 0:
        raise ValueError(f"images are {tuple(x.shape)}: an empty batch; expected at least one image")
    check_pixels(x)


def check_pixels(x: Any) -> None:
    """Refuse what are not floats in [0, 1] (an array or a tensor of any shape), saying why.

    On an accelerator the values are not looked at, as that would make it wait for the CPU.
    """
    if str(x.dtype).removeprefix("torch.") not in ("float32", "float64"):
        hint = "; divide by 255 for float32 in [0, 1]" if "uint8" in str(x.dtype) else ""
        raise ValueError(f"images are {x.dtype}; expected float32 or float64{hint}")
    if not values_are_visible(x) or 0 in x.shape:
        return
    low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images hold NaN or infinity; expected values in [0, 1]")
    if low < 0 or high > 1:
        hint = "; divide by 255" if 1 < high <= 255 and low >= 0 else ""
        raise ValueError(f"images lie in [{low:g}, {high:g}]; expected [0, 1]{hint}")


def values_are_visible(x: Any) -> bool:
    """Whether looking at the values costs nothing: on an accelerator it would make the CPU wait."""
    return getattr(x, "device", None) is None or str(x.device) == "cpu"


def check_labels(labels: Any, count: int, classes: int = 10) -> None:
    """Refuse what are not `count` labels, int64 from 0 to 9 (an array or a tensor), saying why.

    On an accelerator the values are not looked at, as that would make it wait for the CPU.
    """
    if tuple(labels.shape) != (count,):
        raise ValueError(f"labels: found {tuple(labels.shape)}; expected ({count},), one for each image")
    if str(labels.dtype).removeprefix("torch.") != "int64":
        raise ValueError(f"labels: found {labels.dtype}; expected int64")
    if values_are_visible(labels) and count and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels: found {labels.min()} to {labels.max()}; expected 0 to {classes - 1}")


def check_params(params: Mapping[str, Any], dtype: Any = None) -> int:
    """Refuse parameters whose names, shapes or dtypes are not this model's (arrays or tensors); return their D."""
    latent_dim = params["encoder.mu.weight"].shape[0] if "encoder.mu.weight" in params else 1
    table = shapes(latent_dim)
    if missing := table.keys() - params.keys():
        raise ValueError(f"parameters: {min(missing)} is missing; expected the {len(table)} names of parameters.shapes")
    if extra := params.keys() - table.keys():
        raise ValueError(f"parameters: {min(extra)} does not belong to this model; see parameters.shapes")
    dtype = dtype or params["encoder.mu.weight"].dtype
    if str(dtype).removeprefix("torch.") not in FLOATS:
        raise ValueError(f"parameters: they or the input are {dtype}; expected float32 or float64")
    for name, shape in table.items():
        if tuple(params[name].shape) != shape:
            raise ValueError(f"parameters: {name} is {tuple(params[name].shape)}; expected {shape} at D = {latent_dim}")
        if params[name].dtype != dtype:
            raise ValueError(f"parameters: {name} is {params[name].dtype}, the rest or the input {dtype}; convert one")
    return latent_dim


def check_latents(z: Any, latent_dim: int) -> None:
    """Refuse a z that is not (B, D) for weights of latent size D, or not float32 or float64."""
    if z.ndim != 2 or z.shape[0] == 0 or z.shape[1] != latent_dim:
        raise ValueError(f"z is {tuple(z.shape)}: expected (B, {latent_dim}), as these weights have D = {latent_dim}")
    check_alike(2, z=z)


def check_alike(rank: int | None, **arrays: Any) -> None:
    """Refuse arrays or tensors that are not all of one shape (of that rank, if one is given) and of float32 or float64.

    What is not would be stretched or rounded without a word. NaN and infinity pass, and show in what is computed from them.
    """
    first, *_ = arrays.values()
    for name, array in arrays.items():
        if array.shape != first.shape or rank not in (None, array.ndim):
            shapes_found = ", ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
            raise ValueError(f"{shapes_found}: expected one shape" + ("" if rank is None else f" of {rank} numbers"))
        if str(array.dtype).removeprefix("torch.") not in FLOATS:
            raise ValueError(f"{name} is {array.dtype}; expected float32 or float64")
