"""The checker: calls the learner's functions on probes, compares, and says in words what is wrong with the first failure.

A check observes a function on a few probes. The same observation is made of the reference and of every known wrong
answer, so that a mistake is named by its numbers: where all that was observed equals what a wrong answer gives, that
answer's diagnosis is told. A comparison passes only where it is true that `difference <= allowed`, which NaN never is.
"""

import copy
import importlib
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from exercises.catalogue import Exercise

NOT_WRITTEN = "not written yet"


def call(function: Callable, args: dict[str, Any]) -> Any:
    """The plain observation: what the function returns. Arguments are given by position, so they may be renamed."""
    return function(*args.values())


@dataclass(frozen=True)
class Check:
    """What one function must do on some probes."""

    function: str
    says: str
    """What is checked, in words."""
    reference: Callable
    probes: Callable[[np.random.Generator], Sequence[dict[str, Any]]]
    """Arguments by name, for each probe."""
    observe: Callable[[Callable, dict[str, Any]], Any] = call
    allowed: float = 1e-9
    """The largest difference allowed, as a part of the largest number expected."""
    truth: bool = False
    """Whether the answer is True or False; then each value must be met among the probes."""


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer, and what to tell whoever gives it."""

    name: str
    function: str
    diagnosis: str
    answer: Callable


@dataclass(frozen=True)
class Outcome:
    """What was observed on one probe: values, or a problem in words."""

    value: Any = None
    problem: str | None = None


@dataclass(frozen=True)
class Failure:
    """The first thing that is wrong, in words."""

    check: Check
    lines: list[str]
    diagnosis: str | None = None


def load(path: Path) -> ModuleType:
    """Import a file by its path; ValueError, in words, where it cannot be imported."""
    spec = importlib.util.spec_from_file_location(f"learner_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} cannot be imported: {_in_words(error, path)}") from None
    finally:
        sys.dont_write_bytecode = written
    return module


def checks_of(exercise: Exercise) -> ModuleType:
    """The module with CHECKS, WRONG and VALID of an exercise."""
    module = importlib.import_module(f"exercises.checks.ex{exercise.number}")
    assert len(module.CHECKS) == exercise.checks, f"{exercise.number}: {len(module.CHECKS)} checks, {exercise.checks} declared"
    return module


def run_check(check: Check, module: Any, wrong: Sequence[Wrong] = (), seed: int = 0) -> Failure | None:
    """Run one check on the functions of `module`; the failure, or None where all is right."""
    function = getattr(module, check.function, None)
    if not callable(function):
        return Failure(check, [f"{check.function} is missing: the file has no function of this name"])
    path = Path(getattr(module, "__file__", None) or "?")
    probes = check.probes(np.random.default_rng(seed))
    assert probes, f"{check.function}: no probes"
    outcomes = [observe(check, function, args, path) for args in probes]
    for args, outcome in zip(probes, outcomes, strict=True):
        expected = observe(check, check.reference, args)
        assert expected.problem is None, f"{check.function}, reference: {expected.problem}"
        lines = [outcome.problem] if outcome.problem else difference(outcome.value, expected.value, check.allowed)
        if not lines:
            continue
        if outcome.problem == NOT_WRITTEN:
            return Failure(check, [f"{check.function} is {NOT_WRITTEN}"])
        inputs = [f"input     {name} = {described(value)}" for name, value in args.items()]
        return Failure(check, inputs + lines, diagnose(check, probes, outcomes, wrong))
    return None


def run_all(exercise: Exercise, module: Any, say: Callable[[str], None] = print) -> tuple[int, Failure | None]:
    """Run the checks in order up to the first failure, saying what passes and what fails; how many passed."""
    known = checks_of(exercise)
    passed = 0
    for check in known.CHECKS:
        if failure := run_check(check, module, known.WRONG):
            say(f"\ncheck {passed + 1} of {exercise.checks} fails\n{report(failure)}")
            say(f"\npython -m exercises hint {exercise.number} helps with {check.function}")
            return passed, failure
        say(f"ok        {check.function}: {check.says}")
        passed += 1
    if passed != exercise.checks:
        raise ValueError(f"exercise {exercise.number} ran {passed} checks of {exercise.checks}: its files do not fit together")
    say(f"\nall {passed} checks pass")
    return passed, None


def diagnose(check: Check, probes: Sequence[dict], outcomes: Sequence[Outcome], wrong: Sequence[Wrong]) -> str | None:
    """The diagnosis of the wrong answer that gives, on every probe, what was observed."""
    for answer in wrong:
        if answer.function == check.function and all(
            same(outcome, observe(check, answer.answer, args), check.allowed)
            for args, outcome in zip(probes, outcomes, strict=True)
        ):
            return answer.diagnosis
    return None


def observe(check: Check, function: Callable, args: dict[str, Any], path: Path = Path("?")) -> Outcome:
    """Make the check's observation of a function on copies of the arguments."""
    given = {name: _lent(value) for name, value in args.items()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            value = check.observe(function, given)
    except NotImplementedError:
        return Outcome(problem=NOT_WRITTEN)
    except Exception as error:
        return Outcome(problem=f"got       {_in_words(error, path)}")
    for name, before in args.items():
        if not isinstance(before, np.ndarray):
            continue
        if not np.array_equal(before, given[name], equal_nan=before.dtype.kind == "f"):
            return Outcome(problem=f"got       a changed {name}: the function writes into its argument; work on a copy")
    return Outcome(value)


def _lent(value: Any) -> Any:
    """A copy that may be spoilt; of large arrays, which take long to copy, a view that cannot be written to."""
    if isinstance(value, dict):
        return {name: _lent(v) for name, v in value.items()}
    if not isinstance(value, np.ndarray) or value.size < 10_000:
        return copy.deepcopy(value)
    view = value.view()
    view.flags.writeable = False
    return view


def same(a: Outcome, b: Outcome, allowed: float) -> bool:
    """Whether two observations cannot be told apart (here alone NaN equals NaN)."""
    if a.problem or b.problem:
        return a.problem == b.problem
    return not difference(a.value, b.value, max(allowed, 1e-12), nan_equal=True)


def difference(got: Any, expected: Any, allowed: float, nan_equal: bool = False) -> list[str]:
    """What distinguishes `got` from `expected`, in words; nothing where they agree."""
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            found = f"the names {_few(sorted(map(str, got)))}" if isinstance(got, dict) else described(got)
            return [f"got       {found}", f"expected  a dict with the names {_few(sorted(expected))}"]
        return _first(((got[name], expected[name], f"[{name!r}]") for name in expected), allowed, nan_equal)
    if isinstance(expected, tuple):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            return [f"got       {described(got)}", f"expected  a tuple of {len(expected)} values"]
        return _first(((g, e, f", value {i} of {len(expected)}") for i, (g, e) in enumerate(zip(got, expected, strict=True), 1)),
                      allowed, nan_equal)  # fmt: skip
    shown = [f"got       {described(got)}", f"expected  {described(expected)}"]
    if got is None:
        return [*shown, "          None is what a function without `return` gives"]
    if isinstance(expected, str | bool | np.bool_):
        right = isinstance(got, str) if isinstance(expected, str) else isinstance(got, bool | np.bool_)
        return [] if right and got == expected else shown
    if _kind(got) != _kind(expected):
        names = {"array": "an array", "number": "a number", "tensor": "a torch tensor"}
        found, wanted = (names.get(_kind(v), f"of type {_kind(v)}") for v in (got, expected))
        return [*shown, f"          the result is {found}; expected {wanted}"]
    a, b = _array(got), _array(expected)
    if a.shape != b.shape:
        right = a.size == b.size and a.dtype == b.dtype and not difference(a.reshape(b.shape), b, allowed)
        return [*shown, f"          {'the numbers are right, but ' if right else ''}the shape is {a.shape}; expected {b.shape}"]
    loose = _kind(expected) == "number" or b.dtype.kind in "iu"  # a number, or indices: any width will do
    if a.dtype != b.dtype and not (loose and (a.dtype.kind == b.dtype.kind or (a.dtype.kind == "i" and b.dtype.kind == "f"))):
        same_kind = a.dtype.kind in "fiu" and b.dtype.kind in "fiu"
        right = same_kind and np.isfinite(a).all() and not difference(a.astype(b.dtype), b, max(allowed, 1e-6))
        return [*shown, f"          {'the numbers are right, but ' if right else ''}the dtype is {a.dtype}; expected {b.dtype}"]
    if b.dtype.kind == "b":
        wrong = np.flatnonzero(a != b)
        return [*shown, f"          differs at {_at(wrong[0], b.shape)}"] if wrong.size else []
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    if nan_equal:
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, apart)
    finite = np.abs(b[np.isfinite(b)])
    limit = allowed * (finite.max(initial=0) or 1)
    if b.size == 0 or (apart <= limit).all():  # true for no NaN
        return []
    worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
    where = f" at {_at(worst, b.shape)}" if b.shape else ""
    close = apart.flat[worst] < 1e-3 * abs(b.flat[worst])  # then six digits would not show the difference
    found, wanted = (f"{v:.12g}" if close else _number(v) for v in (a.flat[worst], b.flat[worst]))
    return [*shown, f"          largest difference {_number(apart.flat[worst])}{where}: {found}, expected {wanted}"]


def described(value: Any) -> str:
    """A value in one line: its numbers where they are few, its shape and dtype."""
    if isinstance(value, tuple) and all(isinstance(v, int | float) for v in value):
        return str(value)
    if isinstance(value, tuple):
        return f"a tuple: {'; '.join(described(v) for v in value)}"
    if isinstance(value, dict):
        return f"a dict of {len(value)}: {_few(sorted(map(str, value)))}"
    if _kind(value) in ("array", "tensor"):
        array = _array(value)
        many = array.size > 12
        numbers = " ".join(_number(v) for v in array.flat[:6]) + " ..." if many else _nested(array)
        return f"{numbers}   {'tensor ' if _kind(value) == 'tensor' else ''}{array.dtype} {array.shape}"
    if _kind(value) == "number":
        return _number(value)
    if callable(value):
        return (value.__doc__ or getattr(value, "__name__", "a function")).strip()
    return repr(value)


def report(failure: Failure) -> str:
    """The failure as the learner reads it."""
    lines = [f"{failure.check.function}: {failure.check.says}", *failure.lines]
    if failure.diagnosis:
        lines.append(f"diagnosis {failure.diagnosis}")
    return "\n".join(lines)


def _first(triples: Any, allowed: float, nan_equal: bool) -> list[str]:
    for got, expected, where in triples:
        if lines := difference(got, expected, allowed, nan_equal):
            return [f"in        the result{where}", *lines]
    return []


def _kind(value: Any) -> str:
    if hasattr(value, "detach"):
        return "tensor"
    if isinstance(value, np.ndarray):
        return "array"
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _number(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    text = f"{value:.6g}"
    return "0" if text == "-0" else text


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return _number(array[()])
    return f"[{', '.join(_nested(np.asarray(row)) for row in array)}]"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _at(flat: int, shape: tuple[int, ...]) -> str:
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(flat, shape))}]"


def _in_words(error: Exception, path: Path) -> str:
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    return f"{text} (line {lines[-1]} of {path.name})" if lines else text
