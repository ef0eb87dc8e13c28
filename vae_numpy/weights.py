"""Weight files: one table of names and shapes for all levels, kept as safetensors and checked before it is believed.

A file holds tensors and a JSON header that says what they are. The header carries the SHA-256 of itself and of every
tensor, so that a damaged file is refused and never becomes a plausible number.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vae_numpy.checks import check_params
from vae_numpy.digits import BUNDLED
from vae_numpy.files import write_atomically

Tensors = Mapping[str, np.ndarray]
PRETRAINED = BUNDLED / "pretrained"
HEADER_KEY = "vae_levels"
FLOATS = ("float32", "float64")
MOST_HEADER = 10_000_000  # bytes; the table of tensors and our JSON take a few thousand, and 300 more for each epoch


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
