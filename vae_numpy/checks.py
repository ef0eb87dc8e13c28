"""Checks of arguments, for all levels. Each raises a ValueError of one line: what was found, what was expected.

The checks take NumPy arrays and torch tensors. They look at shapes and dtypes, and at values if possible. On a GPU they
skip the values: to read them, the CPU would have to wait for the GPU. While torch compiles or exports a
function, there are no values yet; inside vmap they cannot be read. No check imports torch.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_numpy.parameters import shapes

FLOATS = ("float32", "float64")


def check_images(x: Any, shape: tuple[int, int, int] = (1, 28, 28)) -> None:
    """Check a batch of images: shape (B, C, H, W) with B >= 1, float32 or float64, values in [0, 1]."""
    check_arrays(images=x)
    if x.ndim != 4 or tuple(x.shape[1:]) != shape:
        hint = "; level 3 takes other shapes: vae_paper.VAE(image_shape=...)" if x.ndim == 4 and shape == (1, 28, 28) else ""
        raise ValueError(f"images are {tuple(x.shape)}; expected (B, {', '.join(map(str, shape))}){hint}")
    if x.shape[0] == 0:
        raise ValueError(f"images are {tuple(x.shape)}: an empty batch; expected at least one image")
    check_pixels(x)


def check_pixels(x: Any) -> None:
    """Check pixels of any shape: float32 or float64, values in [0, 1]."""
    check_arrays(images=x)
    if _dtype(x) not in FLOATS:
        hint = "; divide by 255 for float32 in [0, 1]" if _dtype(x) == "uint8" else ""
        raise ValueError(f"images are {x.dtype}; expected float32 or float64{hint}")
    if (limits := _limits(x)) is None:
        return
    low, high = limits
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images hold NaN or infinity; expected values in [0, 1]")
    if low < 0 or high > 1:
        hint = "; divide by 255" if 1 < high <= 255 and low >= 0 else ""
        raise ValueError(f"images lie in [{low:g}, {high:g}]; expected [0, 1]{hint}")


def check_labels(labels: Any, count: int, classes: int = 10) -> None:
    """Check `count` class labels: shape (count,), int64, values from 0 to `classes` - 1."""
    check_arrays(labels=labels)
    if tuple(labels.shape) != (count,):
        raise ValueError(f"labels: found {tuple(labels.shape)}; expected ({count},), one for each image")
    if _dtype(labels) != "int64":
        raise ValueError(f"labels: found {labels.dtype}; expected int64")
    if (limits := _limits(labels)) is not None and not 0 <= limits[0] <= limits[1] < classes:
        raise ValueError(f"labels: found {limits[0]:g} to {limits[1]:g}; expected 0 to {classes - 1}")


def check_params(params: Mapping[str, Any], dtype: Any = None) -> int:
    """Check the names, shapes and dtypes of this model's parameters; return the latent size D.

    `dtype`: the dtype of the input. All parameters must have it. Default: the dtype of encoder.mu.weight.
    """
    check_arrays(**params)
    latent_dim = next(iter(params["encoder.mu.weight"].shape), 1) if "encoder.mu.weight" in params else 1
    table = shapes(latent_dim)
    if missing := table.keys() - params.keys():
        raise ValueError(f"parameters: {min(missing)} is missing; expected the {len(table)} names of parameters.shapes")
    if extra := params.keys() - table.keys():
        raise ValueError(f"parameters: {min(extra)} does not belong to this model; see parameters.shapes")
    dtype = dtype or params["encoder.mu.weight"].dtype
    if str(dtype).removeprefix("torch.") not in FLOATS:
        raise ValueError(f"the dtype of the parameters or of the input is {dtype}; expected float32 or float64")
    for name, shape in table.items():
        if tuple(params[name].shape) != shape:
            raise ValueError(f"parameters: {name} is {tuple(params[name].shape)}; expected {shape} at D = {latent_dim}")
        if params[name].dtype != dtype:
            raise ValueError(
                f"parameters: {name} is {params[name].dtype}; expected {dtype}, because the input and all parameters "
                "must have one dtype; convert the input or the parameters"
            )
    return latent_dim


def check_latents(z: Any, latent_dim: int) -> None:
    """Check latent variables: shape (B, D) with B >= 1 and D = latent_dim, float32 or float64."""
    check_arrays(z=z)
    if z.ndim != 2 or z.shape[0] == 0 or z.shape[1] != latent_dim:
        raise ValueError(f"z is {tuple(z.shape)}: expected (B, {latent_dim}) with B >= 1, as these weights have D = {latent_dim}")
    check_floats(z=z)


def check_alike(rank: int | None, **arrays: Any) -> None:
    """Check that all arrays have one shape and one dtype, float32 or float64. `rank`: their number of dimensions (None: any).

    Without this check, NumPy and torch would silently broadcast one shape to the other, or compute in another precision. NaN
    and infinity pass this check: NaN is visible in the result, infinity usually is.
    """
    check_arrays(**arrays)
    first, *others = arrays.values()
    if any(array.shape != first.shape for array in others) or rank not in (None, first.ndim):
        found = ", ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
        dimensions = "shape" if rank is None else f"{rank}-D shape"
        raise ValueError(f"{found}: expected {'arrays of equal' if others else 'a'} {dimensions}")
    check_floats(**arrays)
    if any(array.dtype != first.dtype for array in others):
        found = ", ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
        raise ValueError(f"{found}: expected one dtype; convert one of them")


def check_floats(**arrays: Any) -> None:
    """Check that every array is float32 or float64."""
    check_arrays(**arrays)
    for name, array in arrays.items():
        if _dtype(array) not in FLOATS:
            raise ValueError(f"{name} is {array.dtype}; expected float32 or float64")


def check_layer(layer: str, x: Any, x_axes: str, weight: Any, weight_axes: str, bias: Any) -> None:
    """Check that x, weight and bias fit together in a layer: ranks, numbers of channels, one dtype.

    `x_axes` and `weight_axes` name the axes: for conv2d they are "B C H W" and "O C KH KW". The second axis of x (here C, the
    inputs of the layer) must be an axis of the weight too, with the same size. The weight's axis O counts the outputs.
    """
    arrays = {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias})
    check_arrays(**arrays)
    if x.ndim != len(x_axes.split()) or weight.ndim != len(weight_axes.split()):
        axes = [f"({', '.join(names.split())})" for names in (x_axes, weight_axes)]
        raise ValueError(f"{layer}: expected x {axes[0]} and weight {axes[1]}, got {x.shape} and {weight.shape}")
    inputs = weight.shape[weight_axes.split().index(x_axes.split()[1])]
    outputs = weight.shape[weight_axes.split().index("O")]
    if x.shape[1] != inputs:
        raise ValueError(f"{layer}: x {x.shape} has {x.shape[1]} inputs, weight {weight.shape} takes {inputs}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{layer}: expected bias ({outputs},), got {bias.shape}")
    if any(_dtype(array) not in FLOATS or array.dtype != x.dtype for array in arrays.values()):
        found = ", ".join(str(array.dtype) for array in arrays.values())
        raise ValueError(f"{layer}: expected x, weight and bias all float32 or all float64, got {found}")


def check_pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """Check an int, or a (vertical, horizontal) pair of ints, of at least `least`; return the pair."""
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or any(not isinstance(v, int | np.integer) or v < least for v in pair):
        raise ValueError(f"{name} is {value!r}: expected an int, or a tuple of two ints, of at least {least}")
    return pair


def check_at_least(least: int, **values: Any) -> None:
    """Check that numbers are at least `least`, and not NaN."""
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name} is {value}: expected at least {least}")


def check_arrays(**arrays: Any) -> None:
    """Check that every value is a NumPy array or a torch tensor. Of NumPy's subclasses only np.memmap is accepted.

    np.ma.MaskedArray leaves masked numbers out of every sum. For np.matrix, `*` is the matrix product, not elementwise.
    """
    torch = sys.modules.get("torch")
    for name, array in arrays.items():
        plain = type(array) in (np.ndarray, np.memmap) or isinstance(array, np.generic)
        if not plain and torch is not None:
            plain = isinstance(array, torch.Tensor) and type(array).__name__ != "MaskedTensor"
        if not plain:
            raise ValueError(f"{name}: found {type(array).__name__}; expected a NumPy array or a torch tensor; convert it first")


def _dtype(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")


def values_are_visible(array: Any) -> bool:
    """Whether the values may be read: not on an accelerator (the CPU would have to wait), and not while torch compiles or
    exports. (vmap is not noticed here.)"""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return True
    return array.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.jit.is_tracing()


def _limits(array: Any) -> tuple[float, float] | None:
    """The smallest and the largest value; None if there are no values, or they cannot be read (see the top of this file)."""
    if 0 in array.shape or not values_are_visible(array):
        return None
    array = array.detach() if hasattr(array, "detach") else array  # a tensor that requires grad would warn
    try:
        return float(array.min()), float(array.max())
    except RuntimeError:  # the values of tensors in vmap and of FakeTensors cannot be read
        return None
