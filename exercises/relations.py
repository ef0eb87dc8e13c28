"""Say how a wrong result is related to the right one: twice as large, transposed, right for one size only, ...

A relation is told only if it holds for everything that was observed and no other relation does.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from exercises import comparing
from exercises.probes import ALIKE, IN_SOME_ROWS, LAYOUTS

ORDINALS = ("first", "second", "third", "fourth")
PRECISION = 1e-7


@dataclass(frozen=True)
class Case:
    """What was observed on one probe."""

    args: dict[str, Any]
    note: str
    """What is special about the probe ("extreme values", "float32", "strided"); empty for an ordinary one."""
    got: Any
    """What the function returned; None where it raised an error."""
    expected: Any
    passed: bool
    problem: str | None = None
    """What went wrong instead of a result."""


def told(cases: Sequence[Case]) -> str | None:
    """One true sentence on how got and expected are related; None where there is none, or more than one."""
    common = set.intersection(*(set(case.args) for case in cases))  # an argument with a default may be left out
    cases = [replace(case, args={name: value for name, value in case.args.items() if name in common}) for case in cases]
    ordinary = [case for case in cases if not case.note]
    everywhere = None if all(case.passed for case in ordinary) else _on_all(ordinary, _related)
    if everywhere:
        return everywhere  # a relation that holds on all explains those that pass
    # a number that is right to what is allowed is right: its last digits tell nothing
    exact = [replace(case, got=case.expected) if case.passed else case for case in cases if case.note != "float32"]
    return _to_some_digits(cases) or _on_all(exact, _cut_off) or _only_where(cases)


def _on_all(cases: Sequence[Case], related: Callable[[Sequence["Triple"]], str | None]) -> str | None:
    """The relation that holds on all of these probes, of those that `related` looks for."""
    parts = _parts(cases)
    if parts is None:
        return None
    sentences = {name: related(part) for name, part in parts.items() if not _equal(part)}
    exchanged = _exchanged(parts)
    if exchanged or not sentences or None in sentences.values():
        return exchanged if len(sentences) == 2 and None in sentences.values() else None
    if len(set(sentences.values())) == 1 and len(sentences) == len(parts):
        return next(iter(sentences.values()))
    if len(sentences) == 1:
        ((name, sentence),) = sentences.items()
        return f"only {name} is wrong: {sentence}"
    return None


# Right on some probes, wrong on others: what distinguishes them


def _to_some_digits(cases: Sequence[Case]) -> str | None:
    """Every result, wrong or not, is nearly right."""
    ordinary = [case for case in cases if not case.note]
    where = "" if all(case.passed for case in ordinary) else "on ordinary inputs "
    scope = ordinary if where else [case for case in cases if case.note != "float32"]
    parts = _parts(scope)
    if parts is None or all(case.passed for case in scope) or any(case.problem for case in cases):
        return None
    worst = 0.0
    for triples in parts.values():
        for _, g, e in triples:
            if g.shape != e.shape or not np.isfinite(g).all() or not np.isfinite(e).all():
                return None
            scale = np.abs(e).max(initial=0)
            worst = max(worst, float(np.abs(g - e).max(initial=0) / (scale or 1)))
    if not 1e-12 < worst < 1e-5:
        return None
    return (
        f"{where}all results agree to {int(-np.log10(worst))} digits and no more: "
        "is something small added or left out, rounded, or computed in float32? Are two large numbers subtracted?"
    )


def _only_where(cases: Sequence[Case]) -> str | None:
    wrong = [case for case in cases if not case.passed]
    ordinary = [case for case in cases if not case.note]
    if not wrong or not ordinary:
        return None
    if all(case.passed for case in ordinary):
        return _at_special(wrong, cases)
    right = [case for case in cases if case.passed]
    # Where the right result is 0, or always the same number, many wrong codes give it by chance: this tells nothing
    expected = [[array for _, array in _leaves(case.expected)] for case in right]
    if all(_same(arrays, expected[0]) for arrays in expected):
        return None
    telling = [case for case, arrays in zip(right, expected, strict=True) if not arrays or any(array.any() for array in arrays)]
    found = [said for said in _told_apart(right, wrong) if said in _told_apart(telling, wrong)]
    return found[0] if len(found) == 1 else None


def _at_special(wrong: Sequence[Case], cases: Sequence[Case]) -> str | None:
    """All ordinary inputs are right: what is special about those that are wrong, which their notes say."""
    notes = list(dict.fromkeys(case.note for case in wrong))
    notes = [note for note in notes if not any(note == base + more for base in notes for more in (ALIKE, IN_SOME_ROWS))]
    everywhere = all(any(case.note == note and not case.passed for case in cases) for note in notes)
    if all(case.problem for case in wrong) and (notes[0] in LAYOUTS or len(notes) == 1):
        return None  # the problem says it
    if notes == ["float32"]:
        return "right for float64 input, wrong for float32"
    if all(note in LAYOUTS for note in notes):
        return f"right for arrays that are contiguous in memory, wrong for arrays that are {' or '.join(notes)}"
    if len(notes) == 1 and (size := re.fullmatch(r"(\w+) = (\d+)", notes[0])) and size[1].isupper() and everywhere:
        return f"right on all ordinary inputs, wrong only for {notes[0]}: is a size fixed in the code, or is a part left out?"
    said = "; ".join(notes[:3]) + (f" and {len(notes) - 3} more" if len(notes) > 3 else "")
    broken = [case for case in wrong if case.got is not None and _has_nonfinite(case.got) and not _has_nonfinite(case.expected)]
    if len(broken) == len(wrong):
        return f"right on all ordinary inputs; NaN or infinity where the right result is finite: {said}"
    return f"right on all ordinary inputs, wrong only for: {said}"


def _same(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Whether both hold the same numbers. False if there are none: the results are then of another kind, such as bool."""
    return len(a) == len(b) > 0 and all(x.shape == y.shape and np.allclose(x, y) for x, y in zip(a, b, strict=True))


def _has_nonfinite(value: Any) -> bool:
    return any(not np.isfinite(array).all() for _, array in _leaves(value))


def _told_apart(right: Sequence[Case], wrong: Sequence[Case]) -> list[str]:
    """What tells the inputs that are right from those that are wrong: one number of the input, of which there are many values.

    Where the values on a side are few, a coincidence is likely, and nothing is said.
    """
    seen: dict[tuple, str] = {}
    for words, feature in _features(right[0].args if right else {}):
        here, there = ([feature(case.args) for case in cases] for cases in (right, wrong))
        key = (*here, *there)
        if len(set(here)) >= MANY and len(set(there)) >= MANY:
            if max(here) < min(there):
                seen.setdefault(key, f"right where {words} at most {comparing.number(max(here))}, wrong where it is larger")
            elif min(here) > max(there):
                seen.setdefault(key, f"right where {words} at least {comparing.number(min(here))}, wrong where it is smaller")
        if " value of " in words:
            continue  # "only where the least value is 0" is true by chance if, for example, all values are 0
        for one, others, word in ((here, there, "right"), (there, here, "wrong")):
            if len(set(one)) == 1 and one[0] not in others and len(one) >= 2 and len(set(others)) >= MANY:
                seen.setdefault(key, f"{word} only where {words} {comparing.number(one[0])}")
    return list(dict.fromkeys(seen.values()))


MANY = 3
Feature = Callable[[dict[str, Any]], float]


def _features(args: dict[str, Any]) -> Iterator[tuple[str, Feature]]:
    """Numbers that tell inputs apart: of each argument the number, the largest and least value, and the lengths of its axes."""
    for name, value in args.items():
        if isinstance(value, int | float):
            yield f"{name} is", functools.partial(_of, name, float)
        elif comparing.kind(value) in ("array", "tensor"):
            for axis in range(value.ndim):
                yield (
                    f"the length of axis {axis} of {name} is",
                    functools.partial(_of, name, functools.partial(_length, axis=axis)),
                )
            if comparing.kind(value) == "array" and value.dtype.kind in "fi":
                yield f"the largest value of {name} is", functools.partial(_of, name, lambda v: v.max(initial=-np.inf))
                yield f"the least value of {name} is", functools.partial(_of, name, lambda v: v.min(initial=np.inf))


def _of(name: str, feature: Callable[[Any], Any], args: dict[str, Any]) -> float:
    return float(feature(args[name]) or 0)


# The right result for another input


BOUNDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 80.0, 88.0, 100.0)
"""Where learners clip."""


def other_inputs(
    probes: Sequence[dict[str, Any]], axes: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]:
    """Changes of the arguments, in words: each is a mistake in how an argument is read."""
    args = probes[0]
    arrays = [name for name, value in args.items() if comparing.kind(value) == "array" and value.dtype.kind == "f"]
    for name in arrays:
        for words, change in (ELEMENTWISE | ROUNDED).items():
            yield f"{name} were {words}", _changing(name, change)
        for axis in range(args[name].ndim):
            yield f"{name} were sorted along axis {axis}", _changing(name, functools.partial(np.sort, axis=axis))
            yield f"{name} were reversed along axis {axis}", _changing(name, functools.partial(np.flip, axis=axis))
        largest = max(float(np.abs(probe[name]).max(initial=0)) for probe in probes)
        for bound in BOUNDS:
            if bound < largest:
                yield from _clipped(name, bound, probes)
    for name, value in args.items():
        if comparing.kind(value) == "number":
            for words, change in (WHOLE if isinstance(value, int) else SCALAR | ELEMENTWISE).items():
                yield f"{name} were {words}", _changing(name, change)
        if isinstance(value, bool | int | float | str):
            yield from _another_value(name, list(dict.fromkeys(probe[name] for probe in probes)))
    for letter in dict.fromkeys(a for name in arrays for a in axes.get(name, ())):
        for count in (1, 2, 3, 4, 5, 8, 10, 16, 20, 32, 64, 100, 128, 256):
            yield (
                f"only the first {count} along axis {letter} were there",
                functools.partial(_cut, letter=letter, count=count, axes=axes),
            )
    for a, b in itertools.combinations(arrays, 2):
        if args[a].shape == args[b].shape:
            yield f"{a} and {b} were exchanged", _exchanging(a, b)


def _another_value(name: str, values: Sequence[Any]) -> Iterator[tuple[str, Callable]]:
    for other in values if len(values) > 1 else ():
        shown = other if isinstance(other, str | bool) else comparing.number(other)
        if not (isinstance(other, int | float) and float(other) in (0.0, 1.0)):  # those are said among SCALAR
            yield f"{name} were always {shown}", _changing(name, functools.partial(lambda other, _: other, other))
        if isinstance(other, float):
            yield f"{name} were at least {shown}", _changing(name, functools.partial(max, other))
            yield f"{name} were at most {shown}", _changing(name, functools.partial(min, other))
        if other and 0 in values:
            zero = next(value for value in values if value == 0)  # 0 or False
            yield (
                f"{name} were {shown} where it is {zero}",
                _changing(name, functools.partial(lambda other, v: v or other, other)),
            )


def _clipped(name: str, bound: float, probes: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Callable]]:
    above = any((probe[name] > bound).any() for probe in probes)
    below = any((probe[name] < -bound).any() for probe in probes)
    if above:
        yield f"{name} were at most {bound:g}", _changing(name, lambda v: np.minimum(v, bound))
    if below:
        yield f"{name} were at least {-bound:g}", _changing(name, lambda v: np.maximum(v, -bound))
    if above and below:
        yield f"{name} were clipped to [{-bound:g}, {bound:g}]", _changing(name, lambda v: np.clip(v, -bound, bound))


def _cut(args: dict[str, Any], letter: str, count: int, axes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    def cut(name: str, value: Any) -> Any:
        at = axes.get(name, ())
        return value[(slice(None),) * at.index(letter) + (slice(count),)] if letter in at else value

    return {name: cut(name, value) for name, value in args.items()}


ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "0": lambda v: 0 * v,
    "negative": lambda v: -v,
    "without its sign": abs,
    "twice as large": lambda v: 2 * v,
    "half as large": lambda v: v / 2,
    "squared": lambda v: v * v,
    "its exp": np.exp,
}
ROUNDED: dict[str, Callable[[Any], Any]] = {
    "rounded to whole numbers": np.round,
    "at least 0": lambda v: np.maximum(v, 0),
    "clipped to [0, 1]": lambda v: np.clip(v, 0, 1),
}
WHOLE: dict[str, Callable[[Any], Any]] = {
    "1": lambda _: 1,
    "0": lambda _: 0,
    "twice as large": lambda v: 2 * v,
    "smaller by 1": lambda v: v - 1,
    "larger by 1": lambda v: v + 1,
}
SCALAR: dict[str, Callable[[Any], Any]] = {"1": lambda v: type(v)(1), "its inverse": lambda v: 1 / v}


def _changing(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda args: args | {name: change(args[name])}


def _exchanging(a: str, b: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda args: args | {a: args[b], b: args[a]}


# Wrong on all ordinary probes: how the numbers are related


Triple = tuple[dict[str, Any], np.ndarray, np.ndarray]


def _equal(triples: Sequence[Triple]) -> bool:
    return all(g.shape == e.shape and np.allclose(g, e, PRECISION, 0) for _, g, e in triples)


def _parts(cases: Sequence[Case]) -> dict[str, list[Triple]] | None:
    """(args, got, expected) as float arrays for each part of the result; None where they cannot be laid side by side."""
    parts: dict[str, list[Triple]] = {}
    for case in cases:
        got, expected = list(_leaves(case.got)), list(_leaves(case.expected))
        if len(got) != len(expected):
            return None
        for (name, g), (_, e) in zip(got, expected, strict=True):
            parts.setdefault(name, []).append((case.args, g, e))
    return parts


def _leaves(value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict):
        for name in sorted(value, key=str):
            for _, array in _leaves(value[name]):
                yield str(name), array
    elif isinstance(value, tuple):
        for i, v in enumerate(value):
            for _, array in _leaves(v):
                yield f"the {ORDINALS[i % 4]} value", array
    else:
        if comparing.kind(value) not in ("array", "tensor", "number", "list"):
            return
        try:
            array = comparing.as_array(value)
            if array.dtype.kind in "fiu":
                yield "the result", array.astype(np.float64)
        except (TypeError, ValueError, RuntimeError, OverflowError):  # sparse, ragged, huge
            return


def _related(triples: Sequence[Triple]) -> str | None:
    if any(not np.isfinite(g).all() or not np.isfinite(e).all() or e.size == 0 for _, g, e in triples):
        return None
    if len({float(v) for _, _, e in triples for v in e.ravel() if v != 0}) < 2:
        return None  # too few numbers to tell one relation from another
    found = dict.fromkeys([*_by_shape(triples), *_by_factor(triples), *_by_offset(triples), *_by_function(triples)])
    found = found or dict.fromkeys(_by_place(triples))
    return next(iter(found)) if len(found) == 1 else None


def _exchanged(parts: Mapping[str, list[Triple]]) -> str | None:
    """The two parts of which each is what the other should be, where all else is right."""
    wrong = [name for name, part in parts.items() if not _equal(part)]
    if len(wrong) != 2 or len(parts[wrong[0]]) != len(parts[wrong[1]]):
        return None
    pairs = list(zip(*(parts[name] for name in wrong), strict=True))
    there = _equal([(args, g, e) for (args, g, _), (_, _, e) in pairs])
    back = _equal([(args, g, e) for (args, _, e), (_, g, _) in pairs])
    return f"{wrong[0]} and {wrong[1]} are exchanged" if there and back else None


def _numbers(triples: Sequence[Triple]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """All numbers that were got, all that were expected, and which of them are wrong; None where a shape is."""
    if any(g.shape != e.shape for _, g, e in triples):
        return None
    wrong = [~np.isclose(g, e, rtol=1e-6, atol=1e-9 * (np.abs(e).max(initial=0) or 1)) for _, g, e in triples]
    got, expected = [g for _, g, _ in triples], [e for _, _, e in triples]
    return _joined(got), _joined(expected), _joined(wrong)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


HANDFUL = 5
IN_PLACES = {0.0: "0", -1.0: "the negative of the right one", 0.5: "half the right one", 2.0: "twice the right one"}


def _by_place(triples: Sequence[Triple]) -> Iterator[str]:
    """Some numbers are right, and all that are wrong are wrong in the same way."""
    numbers = _numbers(triples)
    if numbers is None:
        return
    got, expected, wrong = numbers
    if min(wrong.sum(), (expected[~wrong] != 0).sum()) < HANDFUL:
        return
    for factor, words in IN_PLACES.items():
        if np.allclose(got[wrong], factor * expected[wrong], rtol=1e-6, atol=0):
            yield f"some numbers are right; each wrong number is {words}"


def _cut_off(triples: Sequence[Triple]) -> str | None:
    """All that is too small is one number, above which there is none; or all that is too large, or both."""
    numbers = _numbers(triples)
    if numbers is None or not all(np.isfinite(n).all() for n in numbers):
        return None
    got, expected, wrong = numbers
    limits: dict[str, float] = {}
    for word, beyond, ends in (("below", wrong & (got > expected), min), ("above", wrong & (got < expected), max)):
        if beyond.any():
            limits[word] = float(ends(got))
            if not np.allclose(got[beyond], limits[word], rtol=1e-6, atol=0) or len(np.unique(expected[beyond])) < MANY:
                return None
    if not limits or len(set(limits.values())) < len(limits) or (~wrong).sum() < HANDFUL:
        return None
    return f"the numbers are cut off: none is {' or '.join(f'{word} {comparing.number(v)}' for word, v in limits.items())}"


def _all(triples: Sequence[Triple], relation: Callable[[np.ndarray], Any]) -> bool:
    """Whether got = relation(expected) on every probe."""
    with np.errstate(all="ignore"):
        for _, g, e in triples:
            try:
                wanted = np.asarray(relation(e))
            except (ValueError, IndexError):
                return False
            if wanted.shape != g.shape or not np.allclose(g, wanted, rtol=1e-6, atol=1e-9 * (np.abs(e).max() or 1)):
                return False
    return True


def _by_shape(triples: Sequence[Triple]) -> Iterator[str]:
    rank = triples[0][2].ndim
    if any(e.ndim != rank for _, _, e in triples):
        return
    for axes in itertools.permutations(range(rank)):
        if axes != tuple(range(rank)) and _all(triples, functools.partial(np.transpose, axes=axes)):
            yield (
                "your numbers are the right result, transposed"
                if rank == 2
                else f"your numbers are the right result with its axes in the order {axes}"
            )
    for axis in range(rank):
        if _all(triples, functools.partial(np.flip, axis=axis)):
            yield f"the numbers are right, in reversed order along axis {axis}"
        if _all(triples, functools.partial(np.sum, axis=axis)):
            yield f"your numbers are the right result, summed over its axis {axis}"
        if _all(triples, functools.partial(np.mean, axis=axis)):
            yield f"your numbers are the mean of the right result over its axis {axis}"
    if rank > 1 and _all(triples, np.sum):
        yield "your numbers are the sum of all numbers of the right result"
    if rank > 1 and _all(triples, np.mean):
        yield "your numbers are the mean of all numbers of the right result"


NICE_FACTORS = {
    2.0: "your numbers are twice the right result",
    0.5: "your numbers are half the right result",
    -1.0: "your numbers are the negative of the right result",
    -2.0: "your numbers are -2 times the right result",
    -0.5: "your numbers are -1/2 times the right result",
    4.0: "your numbers are four times the right result",
    0.25: "your numbers are a quarter of the right result",
    float(np.log(2)): "your numbers are the right result times log 2",
    float(1 / np.log(2)): "your numbers are the right result divided by log 2: bits where nats are expected",
}


def _by_factor(triples: Sequence[Triple]) -> Iterator[str]:
    factors: list[float | None] = []
    for _, g, e in triples:
        if g.shape != e.shape:
            return
        place = np.abs(e).argmax() if e.ndim else 0
        if e.flat[place] == 0:
            if g.any():
                return
            factors.append(None)
            continue
        factor = float(g.flat[place] / e.flat[place])
        if not np.allclose(g, factor * e, rtol=1e-6, atol=1e-9 * abs(e.flat[place])):
            return
        factors.append(factor)
    known = [f for f in factors if f is not None]
    for nice, sentence in NICE_FACTORS.items():
        if known and np.allclose(known, nice, rtol=1e-6):
            yield sentence
    yield from _sized(triples, factors, "your numbers are the right result multiplied by {}", lambda n: n)
    yield from _sized(triples, factors, "your numbers are the right result divided by {}", lambda n: 1 / n)
    yield from _sized(triples, factors, "your numbers are minus the right result multiplied by {}", lambda n: -n)
    yield from _sized(triples, factors, "your numbers are minus the right result divided by {}", lambda n: -1 / n)
    yield from _sized(
        triples, factors, "your numbers are n / (n - 1) times the right result, where n is {}", lambda n: n / (n - 1 or np.nan)
    )
    yield from _sized(
        triples, factors, "your numbers are (n - 1) / n times the right result, where n is {}", lambda n: (n - 1) / n
    )


def _by_offset(triples: Sequence[Triple]) -> Iterator[str]:
    offsets: list[float] = []
    for _, g, e in triples:
        if g.shape != e.shape:
            return
        apart = g - e
        if not np.allclose(apart, apart.flat[0], rtol=1e-6, atol=1e-9 * (np.abs(e).max() or 1)):
            return
        offsets.append(float(apart.flat[0]))
    half = float(0.5 * np.log(2 * np.pi))
    if np.allclose(offsets, offsets[0], rtol=1e-6):
        named = {half: "1/2 log 2 pi", 2 * half: "log 2 pi", 1.0: "1", 0.5: "1/2", float(np.log(2)): "log 2"}
        name = next((text for value, text in named.items() if np.isclose(abs(offsets[0]), value, rtol=1e-6)), None)
        if len(triples) > 1 or name:
            yield f"every number is too {'large' if offsets[0] > 0 else 'small'} by {name or comparing.number(abs(offsets[0]))}"
        return
    for word, apart_by in (("large", offsets), ("small", [-offset for offset in offsets])):
        start = f"every number is too {word} by "
        yield from _sized(triples, apart_by, start + "log of {}", np.log)
        yield from _sized(triples, apart_by, start + "1/2 log 2 pi times {}", lambda n: half * n)
        yield from _sized(triples, apart_by, start + "{}", lambda n: n)
        yield from _sized(triples, apart_by, start + "n - 1, where n is {}", lambda n: n - 1)
        yield from _sized(triples, apart_by, start + "(n - 1) / 2, where n is {}", lambda n: (n - 1) / 2)
        yield from _sized(triples, apart_by, start + "1/2 log 2 pi times n - 1, where n is {}", lambda n: half * (n - 1))


def _by_function(triples: Sequence[Triple]) -> Iterator[str]:
    negative = any((e < 0).any() for _, _, e in triples)
    functions: dict[str, Callable] = {
        "your numbers are the square of the right result": np.square,
        "your numbers are the square root of the right result": np.sqrt,
        "your numbers are exp of the right result": np.exp,
        "your numbers are exp(1/2 ...) of the right result: a standard deviation, not a log variance": lambda e: np.exp(e / 2),
        "your numbers are the log of the right result": np.log,
        "your numbers are 1 divided by the right result": lambda e: 1 / e,
        "your numbers are 1 minus the right result": lambda e: 1 - e,
        "your numbers are the right result rounded down to whole numbers": lambda e: np.floor(e * (1 + np.sign(e) * 1e-12)),
    }
    if negative:
        functions["your numbers are the right result without its sign"] = np.abs
        functions["your numbers are the right result with everything negative set to 0"] = lambda e: np.maximum(e, 0)
    for sentence, function in functions.items():
        if _all(triples, function):
            yield sentence
    for places in range(7):
        if all(g.shape == e.shape and np.allclose(g, np.round(e, places), rtol=1e-13, atol=0) for _, g, e in triples):
            yield f"your numbers are the right result rounded to {places} places"
            return


def _sized(
    triples: Sequence[Triple], values: Sequence[float] | Sequence[float | None], sentence: str, of_size: Callable[[float], float]
) -> Iterator[str]:
    """The sentence, where `values` are of_size(n) for one size n of the arguments that is not always 1 and not constant."""
    seen: dict[tuple, str] = {}
    for name, sizes in _named_sizes([args for args, _, _ in triples]):
        if sizes in seen or min(sizes) <= 0 or len(set(sizes)) == 1:
            continue
        if all(v is None or np.isclose(v, of_size(n), rtol=1e-6) for v, n in zip(values, sizes, strict=True)):
            wrong = (n for n, (_, g, e) in zip(sizes, triples, strict=True) if not np.allclose(g, e, rtol=1e-6))
            seen[sizes] = sentence.format(f"{name} (here {next(wrong, sizes[0]):g})")  # of the input that the checker prints
    yield from seen.values()


def _named_sizes(args: Sequence[dict[str, Any]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Lengths of axes, numbers of entries per row, and arguments that are numbers, for each probe."""
    for name, axis in _axes(args[0]):
        yield f"the length of axis {axis} of {name}", tuple(_length(a[name], axis) or 1 for a in args)
    for name, value in args[0].items():
        if comparing.kind(value) in ("array", "tensor"):
            shapes = [tuple(a[name].shape) for a in args]
            if value.ndim > 2:
                yield f"the number of entries of {name} per row", tuple(float(np.prod(s[1:])) for s in shapes)
            yield f"the number of all entries of {name}", tuple(float(np.prod(s)) for s in shapes)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{name}", tuple(float(a[name]) for a in args)


def _axes(args: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in args.items():
        if comparing.kind(value) in ("array", "tensor"):
            for axis in range(value.ndim):
                yield name, axis


def _length(value: Any, axis: int) -> int | None:
    return value.shape[axis] if comparing.kind(value) in ("array", "tensor") and value.ndim > axis else None
