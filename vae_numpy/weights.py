"""Weight files: one table of names and shapes for all levels, kept as safetensors and checked before it is believed.

A file holds tensors and a JSON header that says what they are. The header carries the SHA-256 of itself and of every
tensor, so that a damaged file is refused and never becomes a plausible number.
"""

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
    for name, shape in table.items():
        if tuple(params[name].shape) != shape:
            raise ValueError(f"parameters: {name} is {tuple(params[name].shape)}; expected {shape} at D = {latent_dim}")
        if params[name].dtype != dtype:
            raise ValueError(f"parameters: {name} is {params[name].dtype}, the rest or the input {dtype}; convert one")
    return latent_dim


def check_latents(z: Any, latent_dim: int) -> None:
    """Refuse a z that is not (B, D) for weights of latent size D."""
    if z.ndim != 2 or z.shape[0] == 0 or z.shape[1] != latent_dim:
        raise ValueError(f"z is {tuple(z.shape)}: expected (B, {latent_dim}), as these weights have D = {latent_dim}")


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
    """Write any finite arrays and a header to `path`, atomically."""
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: not saved, since {name} holds NaN or infinity")
    # safetensors writes the memory of an array in the order in which it lies: only C order is the order of its shape
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    text = json.dumps(dict(header))
    metadata = {HEADER_KEY: text, "sha256": _digest(contiguous, text)}
    write_atomically(path, safetensors.numpy.save(contiguous, metadata=metadata))


def load_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_tensors` wrote, checked against its checksum."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected weights in safetensors format")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); download or train it again") from None
    if HEADER_KEY not in metadata:
        raise ValueError(f"{path}: safetensors, but without this project's header; only files saved by it are read")
    if metadata.get("sha256") != _digest(tensors, metadata[HEADER_KEY]):
        raise ValueError(f"{path}: damaged (its SHA-256 does not match its contents); download or train it again")
    return tensors, json.loads(metadata[HEADER_KEY])


def write_atomically(path: str | Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was: after a crash or on a full disk it is one or the other."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # and so is the name
    finally:
        os.close(folder)


def _digest(tensors: Tensors, header: str) -> str:
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
