"""Weight files: parameters in safetensors format with a JSON header, the same for all levels.

The header is a JSON text that describes the parameters. It is stored in the metadata of the safetensors format, beside a SHA-256
checksum of this text and all tensors. So a damaged file is refused, and never gives wrong numbers.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vae_numpy.checks import check_arrays, check_params
from vae_numpy.digits import BUNDLED
from vae_numpy.files import why_unreadable, write_atomically

Tensors = Mapping[str, np.ndarray]
Check = Callable[[dict[str, np.ndarray], dict[str, Any]], object]
PRETRAINED = BUNDLED / "pretrained"
HEADER_KEY = "vae_levels"
MOST_BYTES = 4_000_000_000  # of all tensors together, in a file that is loaded without a `check`
MOST_TENSORS = 10_000  # in a file; a run's state holds about 70
MOST_HEADER = 10_000_000  # bytes of the safetensors header. A real one takes a few thousand


def save(path: str | Path, params: Tensors, header: Mapping[str, Any]) -> None:
    """Write the VAE's parameters and a header (any JSON object) to `path`, atomically."""
    params = _native(params)
    check_params(params)
    save_tensors(path, params, header)


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save` wrote: the parameters and the header.

    Raises FileNotFoundError or PermissionError. Raises ValueError if the file is damaged, was not saved by this project, or
    holds another model.
    """

    def check(params: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        if (shape := header.get("image_shape", [1, 28, 28])) != [1, 28, 28]:
            raise ValueError(
                f"a model of images {str(shape)[:40]}; levels 1 and 2 take (1, 28, 28) only: load it with vae_paper.load"
            )
        check_params(params)

    return load_tensors(path, check)


def kind_of(header: Mapping[str, Any]) -> str:
    """The kind of reconstruction loss that is nearest to the likelihood in the header. Level 1 has two kinds."""
    return "bce" if header.get("likelihood", "bce") in ("bce", "bernoulli", "continuous-bernoulli") else "mse"


def save_tensors(path: str | Path, tensors: Tensors, header: Mapping[str, Any]) -> None:
    """Write any finite arrays and a header to `path`, atomically.

    Raises ValueError if a number is not finite, OSError if the file cannot be written. Then `path` stays as it was, except if
    the message says "written, but perhaps lost at a power failure".
    """
    tensors = _native(tensors)
    for name, array in tensors.items():
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{path}: not saved, because {name} is {array.dtype}; expected real numbers")
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: not saved, because {name} holds NaN or infinity")
    try:
        text = json.dumps(dict(header), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not saved, because its header cannot be written as JSON ({error})") from None
    metadata = {HEADER_KEY: text, "sha256": _digest(tensors, text)}
    data = safetensors.numpy.save(tensors, metadata=metadata)
    _check_header_size(data)
    write_atomically(path, data)


def load_tensors(
    path: str | Path, check: Check | None = None, most: int = MOST_BYTES
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file that `save_tensors` wrote, and check its checksum.

    `check(zeros, header)` is called before any tensor is read, because the tensors of a bad file could fill the memory. `zeros`
    has an array of zeros for each tensor, with its name, shape and dtype; these arrays take hardly any memory.
    `check` raises a ValueError if the names, shapes, dtypes or the header are wrong. Without `check`, the tensors may take at
    most `most` bytes.
    Raises FileNotFoundError, PermissionError, or ValueError: the file is damaged, was not saved by this project, or holds NaN
    or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {why_unreadable(path)}; expected weights in safetensors format")
    try:
        with open(path, "rb") as file:
            _check_header_size(file.read(8))
        with safetensors.safe_open(path, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            if HEADER_KEY not in metadata:
                raise _RefusedError("a safetensors file without this project's header; expected a file that this project saved")
            header = _header(metadata[HEADER_KEY])
            names = opened.keys()
            if len(names) > MOST_TENSORS:
                raise _RefusedError(f"it claims {len(names):,} tensors; expected at most {MOST_TENSORS:,}")
            _check_claims({name: opened.get_slice(name) for name in names}, header, check, most)
            tensors = {name: opened.get_tensor(name) for name in names}
    except _RefusedError as error:
        raise ValueError(f"{path}: {error}") from None
    except PermissionError as error:
        raise PermissionError(error.errno, f"{path}: {error.strerror}") from None
    except (safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error}); download or train it again") from None
    if metadata.get("sha256") != _digest(tensors, metadata[HEADER_KEY]):
        raise ValueError(f"{path}: damaged (its SHA-256 does not match its contents); download or train it again")
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{path}: {name} holds NaN or infinity; expected finite numbers; train the model again")
    return tensors, header


class _RefusedError(ValueError):
    """A file that can be read, but is not what was expected."""


def _native(tensors: Tensors) -> dict[str, np.ndarray]:
    """The same arrays in C order and in this machine's byte order: safetensors copies the bytes as they are in memory."""
    check_arrays(**tensors)
    for name, array in tensors.items():
        if hasattr(array, "detach"):
            raise ValueError(f"{name} is a torch tensor; expected a NumPy array: tensor.detach().numpy()")
    return {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape) for name, array in tensors.items()
    }


def _check_claims(slices: dict[str, Any], header: dict[str, Any], check: Check | None, most: int) -> None:
    """Check the names, shapes and dtypes that a file claims, before its tensors are read."""
    kinds = {"F": "float", "I": "int", "U": "uint"}  # safetensors' F32 is float32
    claimed = {}
    for name, tensor in slices.items():
        code = tensor.get_dtype()
        dtype = np.dtype("bool" if code == "BOOL" else kinds[code[0]] + code[1:])
        claimed[name] = np.broadcast_to(np.zeros((), dtype), tensor.get_shape())  # takes no memory
    try:
        if check is not None:
            check(claimed, header)
        elif (size := sum(array.nbytes for array in claimed.values())) > most:
            raise ValueError(f"its tensors take {size:,} bytes; expected at most {most:,}")
    except ValueError as error:
        raise _RefusedError(str(error)) from None


def _check_header_size(start: bytes) -> None:
    """Check the size of the safetensors header before it is parsed. The first 8 bytes of the file hold this size."""
    size = int.from_bytes(start[:8], "little")
    if size > MOST_HEADER:
        raise ValueError(f"its header takes {size:,} bytes; expected at most {MOST_HEADER:,}")


def _header(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _RefusedError(f"its header is not JSON ({error}); expected a file that this project saved") from None
    if not isinstance(header, dict):
        raise _RefusedError(f"its header is a {type(header).__name__}; expected a JSON object")
    return header


def _digest(tensors: Tensors, header: str) -> str:
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
