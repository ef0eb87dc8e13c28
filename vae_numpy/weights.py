"""Weight files: parameters in safetensors format with a JSON header, the same for all levels.

The header describes the parameters. A SHA-256 checksum over the header and every tensor is stored beside it, so a damaged file
is refused and never gives a plausible number.
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
MOST_HEADER = 10_000_000  # bytes; the table of tensors and the JSON take a few thousand, and 300 more for each epoch of a run


def save(path: str | Path, params: Tensors, header: Mapping[str, Any]) -> None:
    """Write the VAE's parameters and a header (any JSON object) to `path`, atomically."""
    check_params(params)
    save_tensors(path, params, header)


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save` wrote: the parameters and the header.

    Raises FileNotFoundError, or ValueError if the file is damaged, was not saved by this project, or holds another model.
    """
    params, header = load_tensors(path)
    try:
        check_params(params)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return params, header


def save_tensors(path: str | Path, tensors: Tensors, header: Mapping[str, Any]) -> None:
    """Write any finite arrays and a header to `path`, atomically.

    Raises ValueError if a number is not finite, OSError if the file cannot be written; then `path` stays as it was.
    """
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: not saved, because {name} holds NaN or infinity")
    # safetensors writes an array's memory as it lies, whatever its strides: only C order matches the shape
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    try:
        text = json.dumps(dict(header), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not saved, because its header cannot be written as JSON ({error})") from None
    metadata = {HEADER_KEY: text, "sha256": _digest(contiguous, text)}
    data = safetensors.numpy.save(contiguous, metadata=metadata)
    _check_header_size(data)
    write_atomically(path, data)


def load_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save_tensors` wrote, and check its checksum.

    Raises FileNotFoundError, or ValueError if the file is damaged, was not saved by this project, or holds NaN or infinity.
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
            if HEADER_KEY in metadata:  # otherwise it is not our file: do not read its tensors
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); download or train it again") from None
    if HEADER_KEY not in metadata:
        raise ValueError(f"{path}: a safetensors file without this project's header; expected a file that this project saved")
    if metadata.get("sha256") != _digest(tensors, metadata[HEADER_KEY]):
        raise ValueError(f"{path}: damaged (its SHA-256 does not match its contents); download or train it again")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity; train it again")
    return tensors, _header(path, metadata[HEADER_KEY])


def _check_header_size(start: bytes) -> None:
    """Check the size of the header before it is parsed: the first 8 bytes of a safetensors file."""
    size = int.from_bytes(start[:8], "little")
    if size > MOST_HEADER:
        raise ValueError(f"its header takes {size:,} bytes; expected at most {MOST_HEADER:,}")


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its header is not JSON ({error}); expected a file that this project saved") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: its header is a {type(header).__name__}; expected a JSON object")
    return header


def _digest(tensors: Tensors, header: str) -> str:
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
