"""The probes: the arguments with which the checker calls a function.

A check draws its own probes. To these are added, for every function alike: for each axis one probe in which its length is 1,
one in which it is longer than any size that one would write into code, and one in which only its end says anything new; for
each special probe one that has ordinary rows too; one in float32; and one for each way in which the same numbers can lie in
memory. Their values are those of the last ordinary probe in another order and made smaller by chance, which leaves signs,
ranges and whole numbers as they are. The names of the axes are those of the starter's annotations.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from exercises import comparing

LARGE = 10_000
"""Arrays with more numbers are lent as views that cannot be written to: a copy for each call would take long."""
LONG = {"D": 300, "F": 70, "H": 49, "W": 53}
"""The length of an axis where it is long; of other axes, OTHERWISE."""
OTHERWISE = 1100
ALIKE = ", all but the last 100 alike"
IN_SOME_ROWS = ", in some rows"


class Probe(dict[str, Any]):
    """Arguments by name."""

    note: str = ""
    """What is special about them, in a few words; empty for an ordinary probe."""
    layout: str = ""
    """How the arrays lie in memory, a name of LAYOUTS; empty: as they are."""
    allowed: float | None = None
    """The largest difference allowed where it is another than that of the check."""


def noted(note: str, args: Mapping[str, Any], layout: str = "", allowed: float | None = None) -> Probe:
    """A probe with a note: a diagnosis is looked for among the ordinary probes first."""
    probe = Probe(args)
    probe.note, probe.layout, probe.allowed = note, layout, allowed
    return probe


def extreme(**args: Any) -> Probe:
    """A probe with values far from ordinary ones."""
    return noted("extreme values", args)


def each(args: Mapping[str, Any], **values: Sequence[Any]) -> list[Probe]:
    """For each value of each name the same arguments with that value, which the note tells."""
    return [noted(f"{name} = {_shown(value)}", {**args, name: value}) for name, of_it in values.items() for value in of_it]


def pushed(rng: np.random.Generator, args: Mapping[str, Any], **values: Sequence[float]) -> list[Probe]:
    """For each value of each array the same arguments with that array everywhere near the value.

    A probe holds one extreme value: the largest number of a result decides how exact the others must be.
    """
    return [
        noted(f"{name} near {value:g}", {**args, name: value * rng.uniform(0.9, 1, np.shape(args[name]))})
        for name, of_it in values.items()
        for value in of_it
    ]


def moved(args: Mapping[str, Any], by: float, *names: str, allowed: float | None = None) -> Probe:
    """The same arguments with a number added to some arrays."""
    return noted(f"{by:g} added to {' and '.join(names)}", {**args, **{n: args[n] + by for n in names}}, allowed=allowed)


def _shown(value: Any) -> str:
    if _is_array(value):
        plain = comparing.as_array(value)
        return f"{plain.flat[0]:g} everywhere" if np.ptp(plain) == 0 else comparing.nested(plain) if plain.size < 6 else "special"
    return f"{value:g}" if isinstance(value, float) else comparing.described(value)


# Made of a check's own probes


def enlarged(
    probes: Sequence[Probe],
    axes: Mapping[str, Sequence[str]],
    long: Mapping[str, int] | None,
    short: Mapping[str, int] | None,
    rows: str,
    float32: bool,
    layouts: Sequence[str],
    seed: int,
) -> list[Probe]:
    """The probes, and those that are made of the last ordinary one. `long` and `short` replace lengths; 0 leaves an axis out.

    Along the axes `rows` each entry is treated for itself: what is special about some must change nothing for others.
    """
    rng = np.random.default_rng(seed + 1000)
    model = [probe for probe in probes if not probe.note][-1]
    others = [p for p in probes if not p.note and _options(p) != _options(model)][:1]  # an answer may copy for some options only
    found = list(probes)
    kinds = dtypes(dict(model))
    lengths = {**LONG, **(long or {})}
    names = dict.fromkeys(a for name, of_it in axes.items() if name in model for a in of_it if a.isalpha())
    for axis in names:
        if length := lengths.get(axis, OTHERWISE):
            found.append(noted(f"{axis} = {length}", resampled(model, axes, {axis: length}, rng)))
        if length > 1000:
            found.append(noted(f"{axis} = {length}{ALIKE}", resampled(model, axes, {axis: length}, rng, alike=length - 100)))
        if least := (short or {}).get(axis, 1):
            found.append(noted(f"{axis} = {least}", resampled(model, axes, {axis: least}, rng)))
    rows = "".join(axis for axis in rows if axis in names)
    for probe in probes:
        found += [mixed(probe, model, axes, axis, rng) for axis in rows if probe.note and dtypes(dict(probe)) == kinds]
    if float32 and "float64" in kinds:
        found.append(noted("float32", {n: changed(v, as_float32) for n, v in resampled(model, axes, {}, rng).items()}))
    if kinds:
        for layout in layouts:
            for one in (model, *others):
                args = resampled(one, axes, {}, rng)
                if any(differs(value, LAYOUTS[layout]) for value in args.values()):
                    found.append(noted(layout, args, layout))
    return found


def _options(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that hold no array."""
    return {name: value for name, value in args.items() if not _is_array(value) and not isinstance(value, dict)}


def resampled(
    args: Mapping[str, Any],
    axes: Mapping[str, Sequence[str]],
    lengths: Mapping[str, int],
    rng: np.random.Generator,
    alike: int = 0,
) -> dict[str, Any]:
    """Every axis in another order, or drawn from to another length, alike in all arguments; fractions up to a third smaller.

    The first `alike` entries of an axis with another length are one and the same.
    """
    places: dict[str, np.ndarray] = {}

    def chosen(axis: str, size: int) -> np.ndarray:
        order = rng.permutation(size)
        if alike and axis in lengths:
            return np.concatenate([np.full(alike, order[0]), np.resize(order, lengths[axis] - alike)])
        return rng.integers(0, size, lengths[axis]) if lengths.get(axis, 0) > size else order[: lengths.get(axis)]

    def drawn(value: Any, name: str) -> Any:
        for at, axis in enumerate(axes.get(name, ())):
            if axis not in places:
                places[axis] = chosen(axis, value.shape[at])
            value = value[(slice(None),) * at + (places[axis],)]
            value = value.contiguous() if comparing.kind(value) == "tensor" else np.ascontiguousarray(value)
        return value

    return {n: changed(drawn(v, n) if _is_array(v) else v, functools.partial(_smaller, rng=rng)) for n, v in args.items()}


def mixed(probe: Probe, model: Probe, axes: Mapping[str, Sequence[str]], axis: str, rng: np.random.Generator) -> Probe:
    """A probe among whose entries along an axis there are those of an ordinary probe."""
    letters = {n: axes.get(n, ()) for n, value in probe.items() if _is_array(value)}
    lengths = {a: probe[n].shape[at] for n, of_it in letters.items() for at, a in enumerate(of_it) if a != axis}
    other = resampled(model, axes, lengths, rng)
    places: list[np.ndarray] = []

    def joined(name: str, value: Any) -> Any:
        at = letters[name].index(axis)
        both = np.concatenate([comparing.as_array(v) for v in (value, other[name])], at)
        places.append(places[0] if places else rng.permutation(both.shape[at]))
        both = np.take(both, places[0], at)
        return both if comparing.kind(value) == "array" else value.new_tensor(both).requires_grad_(value.requires_grad)

    args = {n: joined(n, value) if axis in letters.get(n, ()) else value for n, value in probe.items()}
    return noted(probe.note + IN_SOME_ROWS, args, allowed=probe.allowed)


def _smaller(value: Any, rng: np.random.Generator) -> Any:
    plain = comparing.as_array(value)
    if plain.dtype.kind != "f" or plain.size >= LARGE or np.array_equal(plain, np.round(plain)):
        return value
    factors = rng.uniform(0.7, 1, plain.shape).astype(plain.dtype)
    if comparing.kind(value) != "tensor":
        return value * factors
    made = value.detach() * value.detach().new_tensor(factors)
    return made.requires_grad_(value.requires_grad)


# Types and memory


def _is_array(value: Any) -> bool:
    return comparing.kind(value) in ("array", "tensor")


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A change of each array and tensor of a value, in dicts too."""
    if isinstance(value, dict):
        return {name: changed(v, change) for name, v in value.items()}
    return change(value) if _is_array(value) else value


def dtypes(value: Any) -> set[str]:
    """The dtypes of all arrays and tensors in a value, however they nest."""
    if isinstance(value, dict):
        return {d for v in value.values() for d in dtypes(v)}
    if isinstance(value, tuple | list):
        return {d for v in value for d in dtypes(v)}
    return {str(value.dtype).removeprefix("torch.")} if _is_array(value) else set()


def as_float32(value: Any) -> Any:
    if comparing.kind(value) == "tensor":
        return value.detach().float().requires_grad_(value.requires_grad) if value.is_floating_point() else value
    return value.astype(np.float32, copy=False) if value.dtype.kind == "f" else value


def as_float64(value: Any) -> Any:
    if comparing.kind(value) == "tensor":
        return value.detach().double().requires_grad_(value.requires_grad) if value.is_floating_point() else value
    return value.astype(np.float64, copy=False) if value.dtype.kind == "f" else value


def strided(value: Any) -> Any:
    """Every other entry of a larger array."""
    if value.ndim == 0:
        return value
    if comparing.kind(value) == "tensor":
        wide = value.detach().repeat_interleave(2, -1)[..., ::2]
        return wide.requires_grad_(value.requires_grad) if value.requires_grad else wide
    wide = np.repeat(value.T, 2, axis=0).T[..., ::2]
    assert wide.shape == value.shape
    return wide


def reversed_(value: Any) -> Any:
    """The last entry of each axis comes first in memory. A tensor stays as it is: torch knows no such layout."""
    if comparing.kind(value) == "tensor":
        return value
    return np.flip(np.flip(value).copy())


def transposed(value: Any) -> Any:
    """The first axis is the one that is contiguous."""
    if comparing.kind(value) == "tensor":
        if value.ndim < 2:
            return value
        turned = value.detach().transpose(0, -1).contiguous().transpose(0, -1)
        return turned.requires_grad_(value.requires_grad)
    return np.asfortranarray(value)


def read_only(value: Any) -> Any:
    """An array that cannot be written to."""
    if comparing.kind(value) == "tensor":
        return value
    copied = value.copy()
    copied.flags.writeable = False
    return copied


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "strided": strided,
    "transposed in memory": transposed,
    "read-only": read_only,
    "reversed in memory": reversed_,
}
USUAL = ("strided", "transposed in memory", "read-only")
"""The layouts that all functions get. torch refuses arrays that are reversed in memory."""


def differs(value: Any, lay: Callable[[Any], Any]) -> bool:
    """Whether a layout is another one for some array of a value."""
    if isinstance(value, dict):
        return any(differs(v, lay) for v in value.values())
    if not _is_array(value) or np.prod(tuple(value.shape)) >= LARGE:
        return False
    laid = lay(value)
    if comparing.kind(value) == "tensor":
        return bool(laid.stride() != value.stride())
    return bool(laid.strides != value.strides or laid.flags.writeable != value.flags.writeable)


# Axes


@functools.cache
def axes_of(number: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """For each function of an exercise the names of its array arguments' axes, as the starter's annotations give them."""
    from exercises.catalogue import find
    from exercises.running import load

    starter = load(find(number).starter)
    found = {}
    for name, function in inspect.getmembers(starter, inspect.isfunction):
        hints = {a: getattr(p.annotation, "dim_str", "") for a, p in inspect.signature(function).parameters.items()}
        found[name] = {argument: tuple(dims.split()) for argument, dims in hints.items() if dims}
    return found
