"""Compare a learner's result with the expected one, and say in words where they differ.

A result may come in any natural type: a 0-dimensional array is a number, a list of numbers is an array. What cannot be
read as numbers is refused in one line. A comparison passes only where `difference <= allowed`, which NaN never is.
"""

import numbers
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

NAMES = {"array": "an array", "number": "a number", "tensor": "a torch tensor", "bool": "True or False", "str": "a string"}
SINGLE = 1e-6
"""Allowed for a float32 result where no float array was given, so that nothing asked for float64."""


class Unreadable(ValueError):  # noqa: N818, the learner is not shown this name
    """A result that cannot be read as the expected kind; the message says why, in a few words."""


def difference(
    got: Any, expected: Any, allowed: float, nan_equal: bool = False, keeps_dtype: bool = False, given: str = ""
) -> list[str]:
    """What distinguishes `got` from `expected`, in words; nothing where they agree.

    `allowed` is a part of the largest number expected. `given` is the dtype of the arrays that the function was given:
    after float64, a float32 result is refused, since half of the digits are lost. `keeps_dtype` asks for the exact dtype.
    """
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            found = f"the names {few(sorted(map(str, got)))}" if isinstance(got, dict) else described(got)
            return [f"got       {found}", f"expected  a dict with the names {few(sorted(expected))}"]
        parts: Iterable = ((f"[{name!r}]", got[name], expected[name]) for name in expected)
    elif isinstance(expected, tuple):
        many = isinstance(got, tuple | list) or (kind(got) in ("array", "tensor") and np.ndim(got) > 0)
        if not many or len(got) != len(expected):
            lines = [f"got       {described(got)}", f"expected  a tuple of {len(expected)} values"]
            return lines + without_return(got)
        parts = ((f", value {i + 1} of {len(expected)}", got[i], e) for i, e in enumerate(expected))
    else:
        return _leaf_difference(got, expected, allowed, nan_equal, keeps_dtype, given)
    for where, g, e in parts:
        if lines := difference(g, e, allowed, nan_equal, keeps_dtype, given):
            return [f"in        the result{where}", *lines]
    return []


def _leaf_difference(got: Any, expected: Any, allowed: float, nan_equal: bool, keeps_dtype: bool, given: str) -> list[str]:
    shown = [f"got       {described(got)}", f"expected  {described(expected)}"]
    if got is None:
        return shown + without_return(got)
    if isinstance(expected, str):
        return [] if isinstance(got, str) and got == expected else shown
    try:
        a, b = readable(got, kind(expected)), as_array(expected)
    except Unreadable as error:
        return [*shown, f"          {error}"]
    if a.shape != b.shape:
        right = a.size == b.size and a.size > 0 and not beyond(a.reshape(b.shape), b, max(allowed, SINGLE))[0]
        lead = "the numbers are right, but " if right else ""
        expects = f"{b.shape}" if kind(expected) in ("array", "tensor") else NAMES[kind(expected)]
        return [*shown, f"          {lead}the shape is {a.shape}; expected {expects}"]
    if kind(expected) != "number" and (problem := dtype_problem(a, b)):
        return [*shown, f"          {problem}"]
    if b.dtype.kind == "b":
        wrong = np.flatnonzero(a != b)
        return (
            [*shown, f"          differs at {at(wrong[0], b.shape)}"] if wrong.size and b.shape else shown if wrong.size else []
        )
    narrow = a.dtype.kind == "f" and a.dtype.itemsize < 8 and b.dtype.kind == "f" and b.dtype.itemsize == 8
    if keeps_dtype and a.dtype != b.dtype and kind(expected) != "number":
        right = not beyond(a, b, max(allowed, SINGLE))[0]
        return [*shown, f"          {'the numbers are right, but ' if right else ''}the dtype is {a.dtype}; expected {b.dtype}"]
    if narrow and given == "float64" and not beyond(a, b, max(allowed, 1e-2))[0]:
        return [
            *shown,
            f"          the result is {a.dtype} and the input float64: half of the digits are lost; keep the input's dtype",
        ]
    if narrow and not given and a.dtype == np.float32:
        allowed = max(allowed, SINGLE)
    wrong_at, limit = beyond(a, b, allowed, nan_equal)
    if not wrong_at:
        return []
    apart, worst = wrong_at
    where = f" at {at(worst, b.shape)}" if b.shape else ""
    x, y = a.astype(np.float64).flat[worst], b.astype(np.float64).flat[worst]
    if np.isnan(x):
        return [*shown, f"          NaN{where}; expected {number(y)}"]
    close = apart < 1e-3 * abs(y)  # then six digits would not show the difference
    found, wanted = (f"{v:.12g}" if close else number(v) for v in (x, y))
    line = f"          largest difference {number(apart)}{where}: {found}, expected {wanted}"
    with np.errstate(all="ignore"):
        count = int((~(np.abs(a.astype(np.float64) - b.astype(np.float64)) <= limit)).sum())
    line += f"; {count} of {b.size} numbers differ" if count < b.size else ""
    return [*shown, line + (f" (allowed: {number(limit)})" if close and limit else "")]


def another_dtype(value: Any, wanted: str) -> list[str]:
    """What to say where an array or tensor of floats in a result has another dtype than `wanted`; nothing where none has."""
    if isinstance(value, dict | tuple | list):
        parts = value.values() if isinstance(value, dict) else value
        return next((lines for v in parts if (lines := another_dtype(v, wanted))), [])
    found = str(getattr(value, "dtype", wanted)).removeprefix("torch.")
    if found == wanted or not found.startswith("float"):
        return []
    return [
        f"got       {described(value)}",
        f"          the numbers are right, but the dtype is {found}; expected {wanted}, as given",
    ]


def flat(value: Any) -> Any:
    """The first number in a result, however it nests, as Python has it; None where there is none."""
    if isinstance(value, dict | tuple | list):
        parts = list(value.values()) if isinstance(value, dict) else value
        return flat(parts[0]) if parts else None
    if kind(value) in ("array", "tensor"):
        plain = as_array(value)
        return plain.flat[0].item() if plain.size and plain.dtype.kind in "fiub" else None
    return value.item() if isinstance(value, np.generic) else value


def beyond(a: np.ndarray, b: np.ndarray, allowed: float, nan_equal: bool = False) -> tuple[tuple[float, int] | None, float]:
    """The largest difference and its place where it exceeds `allowed` times the largest |b|, else None; and that limit."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.abs(a - b)
    if nan_equal:
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, apart)
    limit = allowed * (np.abs(b[np.isfinite(b)]).max(initial=0) or 1)
    if b.size == 0 or (apart <= limit).all():  # true for no NaN
        return None, limit
    worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    return (float(apart.flat[worst]), worst), limit


def alike(a: Any, b: Any, allowed: float) -> bool:
    """Whether two results of any type are the same; NaN equals NaN. Objects that hold no numbers are compared by their type."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[name], b[name], allowed) for name in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        if _plainly_equal(a, b):  # long lists of numbers
            return True
        return len(a) == len(b) and all(alike(x, y, allowed) for x, y in zip(a, b, strict=True))
    if kind(a) not in NAMES or kind(a) != kind(b):
        return a is b or (type(a) is type(b) and kind(a) not in NAMES)
    if isinstance(a, str):
        return bool(a == b)
    try:
        x, y = as_array(a), as_array(b)
    except (TypeError, RuntimeError, NotImplementedError):  # sparse tensors and the like
        return type(a) is type(b)
    if x.shape != y.shape or (kind(a) != "number" and x.dtype != y.dtype):
        return False
    return x.dtype.kind not in "fiub" or beyond(x, y, allowed, nan_equal=True)[0] is None


def _plainly_equal(a: Sequence, b: Sequence) -> bool:
    try:
        return type(a) is type(b) and bool(a == b)
    except Exception:  # arrays inside, or foreign objects
        return False


PLAIN = {np.ndarray: "array", np.bool_: "bool", bool: "bool", str: "str", tuple: "tuple", list: "list", dict: "dict"}
PLAIN |= dict.fromkeys((int, float, np.float64, np.float32, np.int64), "number")
"""The kind of the usual types: an answer without a search, because millions of values are asked."""


def kind(value: Any) -> str:
    """ "array", "tensor", "number", "bool", or the name of the type."""
    if found := PLAIN.get(type(value)):
        return found
    torch = sys.modules.get("torch")  # what is a tensor, if nobody has imported it?
    if torch is not None and isinstance(value, torch.Tensor):
        return "tensor"
    if isinstance(value, np.ndarray):
        return "array"
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, numbers.Number):
        return "number"
    return type(value).__name__


def as_array(value: Any) -> np.ndarray:
    """An expected value, which is known to be readable, as an array."""
    return value.detach().cpu().numpy() if kind(value) == "tensor" else np.asarray(value)


def readable(value: Any, wanted: str) -> np.ndarray:
    """A learner's value as an array of numbers, where a value of the kind `wanted` is expected; Unreadable says why not."""
    found = kind(value)
    try:
        if found == "tensor":
            array = _from_tensor(value, wanted)
        elif found in ("list", "tuple") and wanted in ("array", "number"):
            array = _from_list(value)
        elif found in ("array", "number", "bool"):
            array = _from_number(value) if found == "number" else np.asarray(value)
        else:
            raise Unreadable(f"the result is of type {found}; expected {NAMES[wanted]}")
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"the result, {type(value).__name__}, cannot be read as numbers: {one_line(error)}") from None
    if found == "array" and type(value) is not np.ndarray:
        raise Unreadable(f"the result is a {type(value).__name__}; expected a plain array: np.asarray makes one")
    _check_kind(array, found, wanted)
    return array


def _check_kind(array: np.ndarray, found: str, wanted: str) -> None:
    if array.dtype.kind == "O":
        raise Unreadable("the array holds Python objects (dtype object); expected numbers")
    if array.dtype.kind not in "fiub":
        what = {"c": "complex numbers", "U": "text", "S": "text"}.get(array.dtype.kind, f"the dtype {array.dtype}")
        raise Unreadable(f"the result holds {what}; expected {'True or False' if wanted == 'bool' else 'real numbers'}")
    if wanted in ("number", "bool") and array.ndim == 0:  # a 0-dimensional array is a number
        found = "bool" if array.dtype.kind == "b" else "number"
    if found == "list" or found == "tuple":
        found = "array"
    if found != wanted and not (wanted in ("number", "bool") and found in ("array", "tensor")):  # then the shape says it
        raise Unreadable(f"the result is {NAMES[found]}; expected {NAMES[wanted]}")


def dtype_problem(array: np.ndarray, expected: np.ndarray) -> str | None:
    """True or False where numbers are expected, fractions where whole numbers are, and the like; None where the dtype fits."""
    kinds = {"b": "True or False", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}
    got, wanted = kinds[array.dtype.kind], kinds[expected.dtype.kind]
    if got == wanted or (wanted == "numbers" and got == "whole numbers"):
        return None
    return f"the dtype is {array.dtype}; expected {wanted} ({expected.dtype})"


def _from_number(value: Any) -> np.ndarray:
    if isinstance(value, complex | np.complexfloating):
        raise Unreadable("the result is a complex number; expected a real one")
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return np.asarray(value)
    try:
        return np.asarray(float(value))
    except OverflowError:
        raise Unreadable("the result is a whole number too large for a float") from None


def _from_list(value: Sequence) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:
        raise Unreadable("the result is a list whose parts have different shapes; expected an array") from None


def _from_tensor(value: Any, wanted: str) -> np.ndarray:
    if wanted == "array":
        raise Unreadable("the result is a torch tensor; expected an array")
    if str(value.layout) != "torch.strided":
        raise Unreadable("the result is a sparse tensor; expected a dense one: .to_dense()")
    if str(value.dtype) == "torch.bfloat16":
        raise Unreadable("the result is bfloat16, which keeps 2 digits; expected float32 or float64")
    return value.detach().cpu().resolve_conj().resolve_neg().numpy()


def described(value: Any) -> str:
    """A value in one line: its numbers where they are few, its shape and dtype. Whatever it is, this raises nothing."""
    try:
        return _described(value)
    except Exception:  # a foreign object may raise anything when it is asked what it is
        return f"an object of type {type(value).__name__}"


def _described(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(v, int | float) for v in value):
        return str(value)
    if isinstance(value, tuple | list):
        parts = "; ".join(described(v) for v in value[:4]) + ("; ..." if len(value) > 4 else "")
        return f"a {type(value).__name__}: {parts}"
    if isinstance(value, dict):
        return f"a dict of {len(value)}: {few(sorted(map(str, value)))}"
    if kind(value) in ("array", "tensor"):
        return _described_array(value)
    if kind(value) == "number" and not isinstance(value, complex):
        return number(value)
    if callable(value) and hasattr(value, "__name__"):  # a function, not an object that can be called
        return (value.__doc__ or value.__name__).strip()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _described_array(value: Any) -> str:
    name = "tensor " if kind(value) == "tensor" else ""
    shape = tuple(value.shape)
    dtype = str(value.dtype).removeprefix("torch.")
    try:
        array = as_array(value)
    except (TypeError, RuntimeError, NotImplementedError):
        return f"a {name}{dtype} {shape}, {str(value.layout).removeprefix('torch.')}"
    if array.dtype.kind not in "fiub" or isinstance(array, np.ma.MaskedArray):
        return f"{'a masked array' if isinstance(array, np.ma.MaskedArray) else 'an array'}, {dtype} {shape}"
    numbers_ = " ".join(number(v) for v in array.flat[:6]) + " ..." if array.size > 12 else nested(array)
    return f"{numbers_}   {name}{dtype} {shape}"


def number(value: Any) -> str:
    """Six digits of a number."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    try:
        text = f"{value:.6g}"
    except (OverflowError, TypeError, ValueError):
        digits = value.bit_length() * 0.30103 if isinstance(value, int) else 0
        return f"a whole number of about {digits:.0f} digits" if digits else str(value)
    return "0" if text == "-0" else text


def nested(array: np.ndarray) -> str:
    """All numbers of an array, in brackets."""
    if array.ndim == 0:
        return number(array[()])
    return f"[{', '.join(nested(np.asarray(row)) for row in array)}]"


def few(names: Sequence[str]) -> str:
    """The first three names."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def at(flat: Any, shape: tuple[int, ...]) -> str:
    """The place of a flat index."""
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(flat, shape))}]"


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, cut where it is very long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."


def without_return(got: Any) -> list[str]:
    """The line that explains None."""
    return ["          a function without `return` returns None"] if got is None else []
