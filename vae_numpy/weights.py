"""Weight files: one table of names and shapes for all levels, kept as safetensors and checked before it is believed.

A file holds tensors and a JSON header that says what they are. The header carries the SHA-256 of itself and of every
tensor, so that a damaged file is refused and never becomes a plausible number.
"""

import glob
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vae_numpy.digits import BUNDLED

Tensors = Mapping[str, np.ndarray]
PRETRAINED = BUNDLED / "pretrained"
HEADER_KEY = "vae_levels"
FLOATS = ("float32", "float64")
MOST_HEADER = 10_000_000  # bytes; the table of tensors and our JSON take a few thousand, and 300 more for each epoch


def shapes(latent_dim: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter, in torch's layout; 1,662,249 numbers at latent_dim 20."""
    if latent_dim < 1:
        raise ValueError(f"latent_dim is {latent_dim}: expected at least 1")
    weights = {
        "encoder.conv1": (32, 1, 3, 3),
        "encoder.conv2": (64, 32, 3, 3),
        "encoder.fc": (256, 3136),
        "encoder.mu": (latent_dim, 256),
        "encoder.logvar": (latent_dim, 256),
        "decoder.fc1": (256, latent_dim),
        "decoder.fc2": (3136, 256),
        "decoder.conv_t1": (64, 32, 3, 3),
        "decoder.conv_t2": (32, 1, 3, 3),
    }
    table = {}
    for layer, shape in weights.items():
        table[f"{layer}.weight"] = shape
        table[f"{layer}.bias"] = (shape[1],) if "conv_t" in layer else (shape[0],)
    return table


def check_params(params: Mapping[str, Any], dtype: Any = None) -> int:
    """Refuse parameters whose names, shapes or dtypes are not this model's (arrays or tensors); return their D."""
    latent_dim = params["encoder.mu.weight"].shape[0] if "encoder.mu.weight" in params else 1
    table = shapes(latent_dim)
    if missing := table.keys() - params.keys():
        raise ValueError(f"parameters: {min(missing)} is missing; expected the {len(table)} names of weights.shapes")
    if extra := params.keys() - table.keys():
        raise ValueError(f"parameters: {min(extra)} does not belong to this model; see weights.shapes")
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


def save(path: str | Path, params: Tensors, header: Mapping[str, Any]) -> None:
    """Write the VAE's parameters and a header (any JSON) to `path`, atomically."""
    check_params(params)
    save_tensors(path, params, header)


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save` wrote: the parameters and the header.

    Raises FileNotFoundError, or ValueError for a file that is damaged, not ours, or holds another model.
    """
    params, header = load_tensors(path)
    try:
        check_params(params)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return params, header


def save_tensors(path: str | Path, tensors: Tensors, header: Mapping[str, Any]) -> None:
    """Write any finite arrays and a header to `path`, atomically.

    Raises ValueError where a number is not finite, OSError where the disk takes no more; `path` then stays as it was.
    """
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: not saved, since {name} holds NaN or infinity")
    # safetensors writes the memory of an array in the order in which it lies: only C order is the order of its shape
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    try:
        text = json.dumps(dict(header), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not saved, since its header holds what JSON cannot ({error})") from None
    metadata = {HEADER_KEY: text, "sha256": _digest(contiguous, text)}
    data = safetensors.numpy.save(contiguous, metadata=metadata)
    _check_header_size(data)
    write_atomically(path, data)


def load_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_tensors` wrote, checked against its checksum.

    Raises FileNotFoundError, or ValueError for a file that is damaged, not ours, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected weights in safetensors format")
    metadata: dict[str, str] = {}
    tensors: dict[str, np.ndarray] = {}
    try:
        with open(path, "rb") as file:
            _check_header_size(file.read(8))
        with safetensors.safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            if HEADER_KEY in metadata:  # a foreign file is not read any further
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); download or train it again") from None
    if HEADER_KEY not in metadata:
        raise ValueError(f"{path}: safetensors, but without this project's header; only files saved by it are read")
    if metadata.get("sha256") != _digest(tensors, metadata[HEADER_KEY]):
        raise ValueError(f"{path}: damaged (its SHA-256 does not match its contents); download or train it again")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity; train it again")
    return tensors, _header(path, metadata[HEADER_KEY])


def write_atomically(path: str | Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was: after a crash or on a full disk it is one or the other."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if is_gone(stale.name.split(".")[-2]):  # killed while it wrote
            stale.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"{path}: could not be written ({error.strerror}); what was there before is intact") from None
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # and so is the name
    finally:
        os.close(folder)


def is_gone(process: str) -> bool:
    """Whether there is no process of this id any more: then what bears its id was left behind."""
    try:
        os.kill(int(process), 0)  # does nothing, to a process that there is
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, OSError):  # no id, or another user's
        return False
    return False


def _check_header_size(start: bytes) -> None:
    """A safetensors file starts with the size of its header, in 8 bytes: looked at before anything is parsed."""
    size = int.from_bytes(start[:8], "little")
    if size > MOST_HEADER:
        raise ValueError(f"its header takes {size:,} bytes; expected at most {MOST_HEADER:,}")


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its header is not JSON ({error}); only files saved by this project are read") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: its header is a {type(header).__name__}; expected names and values")
    return header


def _digest(tensors: Tensors, header: str) -> str:
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
