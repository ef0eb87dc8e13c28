"""The checker: calls the learner's functions on probes, compares, and says in words what is wrong with the first failure.

A check observes a function on several probes, twice on each, and compares its arguments with what they were before. To
the probes of a check two are added: one of them in float32, and one whose arrays are strided views. The same observation is
made of the reference and of every known wrong answer, so that a mistake is named by its numbers: where all that was
observed equals what one wrong answer gives, that answer's diagnosis is told. Where none fits, `relations` looks for a
simple relation between got and expected. How results are compared is in `comparing`.
"""

import copy
import functools
import importlib
import importlib.machinery
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

from exercises import comparing, relations
from exercises.catalogue import Exercise
from exercises.comparing import described, difference, one_line

NOT_WRITTEN = "not written yet"
LARGE = 10_000
"""Arrays with more numbers are lent as views that cannot be written to: a copy for each call would take long."""


class Probe(dict[str, Any]):
    """Arguments by name; `note` says what is special about them, and is empty for ordinary ones."""

    note: str = ""


def extreme(**args: Any) -> Probe:
    """A probe with values far from ordinary ones: a diagnosis is looked for among the ordinary probes first."""
    return noted("extreme values", args)


def noted(note: str, args: dict[str, Any]) -> Probe:
    """A probe with a note."""
    probe = Probe(args)
    probe.note = note
    return probe


def call(function: Callable, args: dict[str, Any]) -> Any:
    """The plain observation: what the function returns. Arguments are given by position, so they may be renamed."""
    return function(*args.values())


class Unfit(Exception):  # noqa: N818, it is no error of the checker
    """Raised by an observation of a result of which nothing more can be observed; the message is what the learner reads."""

    def __init__(self, got: Any, expected: str) -> None:
        lines = [f"got       {described(got)}", f"expected  {expected}", *comparing.without_return(got)]
        super().__init__("\n".join(lines))


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
    float32: float | None = 2e-5
    """The same for float32 probes; None: no float32 probe is added."""
    keeps_dtype: bool = False
    """Whether the result must have the expected dtype exactly. Otherwise float64 may come from float32, not the reverse."""
    strided: bool = True
    """Whether a probe is added whose arrays are strided views."""
    explain: Callable[[Sequence[relations.Case]], str | None] | None = None
    """What to say where no known wrong answer fits; without it, a relation between got and expected is looked for."""


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer, and what to tell whoever gives it."""

    name: str
    function: str
    diagnosis: str
    answer: Callable


@dataclass(frozen=True)
class Outcome:
    """What was observed on one probe: a value, or a problem in words."""

    value: Any = None
    problem: str | None = None
    error: str | None = None
    """The type of the error that was raised, if one was."""


@dataclass(frozen=True)
class Failure:
    """The first thing that is wrong, in words."""

    check: Check
    lines: list[str]
    diagnosis: str | None = None


def load(path: Path) -> ModuleType:
    """Import a file by its path, whatever its name; ValueError, in words, where it cannot be imported."""
    name = f"learner_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loader.exec_module(module)
    except SystemExit as stop:
        raise ValueError(f"{path} ends Python while it is imported: {_exit_in_words(stop, path)}") from None
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
    probes, expected = prepared(check, seed)
    outcomes = [observe_twice(check, function, probe, path) for probe in probes]
    lines = [_compare(check, probe, o, e) for probe, o, e in zip(probes, outcomes, expected, strict=True)]
    first = next((i for i, found in enumerate(lines) if found), None)
    if first is None:
        return None
    if {outcome.problem for outcome in outcomes} == {NOT_WRITTEN}:
        return Failure(check, [f"{check.function} is {NOT_WRITTEN}"])
    probe = probes[first]
    inputs = [f"input     {name} = {described(value)}" for name, value in probe.items()]
    if probe.note:
        inputs.insert(0, f"probe     {probe.note}")
    passed = [not found for found in lines]
    return Failure(check, inputs + lines[first], diagnose(check, probes, outcomes, expected, passed, wrong))


def run_all(
    exercise: Exercise,
    module: Any,
    say: Callable[[str], None] = print,
    begin: Callable[[int, str], None] = lambda number, function: None,
) -> tuple[int, Failure | None]:
    """Run the checks in order up to the first failure, saying what passes and what fails; how many passed.

    `begin` is called with each check's number and function before it runs.
    """
    known = checks_of(exercise)
    passed = 0
    for check in known.CHECKS:
        begin(passed + 1, check.function)
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


def report(failure: Failure) -> str:
    """The failure as the learner reads it."""
    lines = [f"{failure.check.function}: {failure.check.says}", *failure.lines]
    if failure.diagnosis:
        lines.append(f"diagnosis {failure.diagnosis}")
    return "\n".join(lines)


# Probes


@functools.lru_cache(maxsize=16)
def prepared(check: Check, seed: int) -> tuple[list[Probe], list[Outcome]]:
    """The probes of a check, and what the reference gives. Neither is ever handed out, only copies and read-only views."""
    probes = all_probes(check, seed)
    return probes, [_reference(check, probe) for probe in probes]


def all_probes(check: Check, seed: int) -> list[Probe]:
    """The probes of a check, and two that are made of the last ordinary one: in float32, and of strided views."""
    probes = [p if isinstance(p, Probe) else Probe(p) for p in check.probes(np.random.default_rng(seed))]
    assert probes, f"{check.function}: no probes"
    model = [probe for probe in probes if not probe.note][-1]
    if check.float32 is not None and "float64" in dtypes(model):
        probes.append(noted("float32", {name: _changed(value, _as_float32) for name, value in model.items()}))
    if check.strided and dtypes(model):
        probes.append(noted("strided", {name: _changed(value, _as_strided) for name, value in model.items()}))
    return probes


def dtypes(value: Any) -> set[str]:
    """The dtypes of all arrays and tensors in a value, however they nest."""
    if isinstance(value, dict):
        return {d for v in value.values() for d in dtypes(v)}
    if isinstance(value, tuple | list):
        return {d for v in value for d in dtypes(v)}
    return {str(value.dtype).removeprefix("torch.")} if comparing.kind(value) in ("array", "tensor") else set()


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _changed(v, change) for name, v in value.items()}
    return change(value) if comparing.kind(value) in ("array", "tensor") else value


def _as_float32(value: Any) -> Any:
    if comparing.kind(value) == "tensor":
        return value.detach().float().requires_grad_(value.requires_grad) if value.is_floating_point() else value
    return value.astype(np.float32) if value.dtype.kind == "f" else value


def _as_float64(value: Any) -> Any:
    if comparing.kind(value) == "tensor":
        return value.detach().double().requires_grad_(value.requires_grad) if value.is_floating_point() else value
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def _as_strided(value: Any) -> Any:
    """Every other entry of a larger array with its axes in another order: the same numbers, not contiguous."""
    if value.ndim == 0 or np.prod(value.shape) >= LARGE:
        return value
    if comparing.kind(value) == "tensor":
        wide = value.detach().repeat_interleave(2, -1)[..., ::2]
        return wide.requires_grad_(value.requires_grad) if value.requires_grad else wide
    wide = np.repeat(value.T, 2, axis=0).T[..., ::2]
    assert wide.shape == value.shape
    return wide


# Observing


def observe_twice(check: Check, function: Callable, args: dict[str, Any], path: Path = Path("?")) -> Outcome:
    """Make the check's observation twice: a function must give the same again."""
    first = observe(check, function, args, path)
    if first.problem:
        return first
    again = observe(check, function, args, path)
    if again.problem:
        problem = again.problem.removeprefix("got       ")
        return Outcome(problem=f"got       on a second call with the same input: {problem}", error=again.error)
    if not same(first, again, 1e-9):
        shown = [f"got       {described(first.value)}", f"then      {described(again.value)}"]
        return Outcome(problem="\n".join([*shown, "          a second call with the same input gives another result"]))
    return first


def observe(check: Check, function: Callable, args: dict[str, Any], path: Path = Path("?")) -> Outcome:
    """Make the check's observation of a function on copies of the arguments."""
    given = {name: _lent(value) for name, value in args.items()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            value = kept(check.observe(function, given))
    except Unfit as error:
        return Outcome(problem=str(error), error="Unfit")
    except NotImplementedError as error:
        return Outcome(problem=_not_written(error, check, path), error="NotImplementedError")
    except SystemExit as stop:
        return Outcome(problem=f"got       an end of Python: {_exit_in_words(stop, path)}", error="SystemExit")
    except Exception as error:
        if "read-only" in str(error):
            return Outcome(problem=f"got       {_in_words(error, path)}: the function writes into its argument; work on a copy")
        return Outcome(problem=f"got       {_in_words(error, path)}", error=type(error).__name__)
    for name, before in args.items():
        if not unchanged(before, given[name]):
            return Outcome(problem=f"got       a changed {name}: the function writes into its argument; work on a copy")
    return Outcome(value)


def kept(value: Any) -> Any:
    """A copy of a result: a function may overwrite what it returned."""
    if isinstance(value, dict) and type(value) is dict:
        return {name: kept(v) for name, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(kept(v) for v in value)
    if comparing.kind(value) == "tensor":
        return value.detach().clone()
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value.copy()
    return value


def unchanged(before: Any, after: Any) -> bool:
    """Whether a value that was lent is as it was: type, names, lengths, shape, dtype and every number."""
    if type(before) is not type(after):
        return False
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(v, after[name]) for name, v in before.items())
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(unchanged(b, a) for b, a in zip(before, after, strict=True))
    if comparing.kind(before) in ("array", "tensor"):
        if comparing.kind(before) == "tensor" and before.requires_grad != after.requires_grad:
            return False
        b, a = comparing.as_array(before), comparing.as_array(after)
        if a.__array_interface__["data"] == (b.__array_interface__["data"][0], True):  # lent as a view that cannot be written to
            return True
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=b.dtype.kind == "f")
    return bool(before == after) if isinstance(before, bool | int | float | str) else True


def same(a: Outcome, b: Outcome, allowed: float) -> bool:
    """Whether two observations cannot be told apart (here alone NaN equals NaN)."""
    if a.problem or b.problem:
        return (a.error == b.error) if a.error or b.error else a.problem == b.problem
    return comparing.alike(a.value, b.value, max(allowed, 1e-12))


def _lent(value: Any) -> Any:
    """A copy that may be spoilt; of large arrays, a view that cannot be written to. Strides stay as they are."""
    if isinstance(value, dict):
        return {name: _lent(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_lent(v) for v in value)
    if comparing.kind(value) == "tensor":
        if not value.is_contiguous():
            return _as_strided(value)
        return value.detach().clone().requires_grad_(value.requires_grad)
    if not isinstance(value, np.ndarray):
        return copy.deepcopy(value)
    if value.size >= LARGE:
        view = value.view()
        view.flags.writeable = False
        return view
    return value.copy() if value.flags.c_contiguous else _as_strided(value)


def _reference(check: Check, probe: Probe) -> Outcome:
    """What is expected, computed in float64 from the very numbers of the probe, unless the dtype must be kept."""
    if not check.keeps_dtype and "float32" in dtypes(dict(probe)):
        probe = noted(probe.note, {name: _changed(value, _as_float64) for name, value in probe.items()})
    outcome = observe(check, check.reference, probe)
    assert outcome.problem is None, f"{check.function}, reference: {outcome.problem}"
    return outcome


def _compare(check: Check, probe: Probe, outcome: Outcome, expected: Outcome) -> list[str]:
    if outcome.problem == NOT_WRITTEN:  # of other probes there is a result, or run_check would not show this
        return ["got       NotImplementedError: this input reaches a part of the function that is not written yet"]
    if outcome.problem:
        return outcome.problem.split("\n")
    single = "float32" in dtypes(dict(probe)) and not check.keeps_dtype and check.float32 is not None
    allowed = max(check.allowed, check.float32 or 0) if single else check.allowed
    given = next((d for d in ("float32", "float64") if d in dtypes(dict(probe))), "")
    try:
        return difference(outcome.value, expected.value, allowed, keeps_dtype=check.keeps_dtype, given=given)
    except Exception as error:  # a foreign result may raise anything when it is looked at
        return [
            f"got       {described(outcome.value)}",
            f"          it cannot be compared: {type(error).__name__}: {one_line(error)}",
        ]


# Diagnosis


def diagnose(
    check: Check,
    probes: Sequence[Probe],
    outcomes: Sequence[Outcome],
    expected: Sequence[Outcome],
    passed: Sequence[bool],
    wrong: Sequence[Wrong],
) -> str | None:
    """What is wrong, in a sentence: by the one known wrong answer that fits, else by a relation; None where two fit."""
    candidates = [answer for answer in wrong if answer.function == check.function]
    ordinary = [i for i, probe in enumerate(probes) if not probe.note]
    everywhere = range(len(probes))
    scopes = [ordinary, everywhere] if not all(passed[i] for i in ordinary) else [everywhere]
    for scope in scopes:
        candidates = [
            a
            for a in candidates
            if all(same(outcomes[i], observe(check, a.answer, probes[i]), _near(check, probes[i])) for i in scope)
        ]
        if len(candidates) == 1:
            return candidates[0].diagnosis
    if candidates:
        return None  # several known mistakes give these numbers
    cases = [
        relations.Case(dict(probe), probe.note, None if o.problem else o.value, e.value, ok)
        for probe, o, e, ok in zip(probes, outcomes, expected, passed, strict=True)
    ]
    try:
        another = None
        if not all(passed[i] for i in ordinary):
            another = _as_if(check, [probes[i] for i in ordinary], [outcomes[i] for i in ordinary])
        return another or (check.explain or relations.told)(cases)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError):  # foreign results need not relate to anything
        return None


def _as_if(check: Check, probes: Sequence[Probe], outcomes: Sequence[Outcome]) -> str | None:
    """The one change of an argument for which the right result is what was observed on all ordinary probes."""
    if any(outcome.problem for outcome in outcomes):
        return None

    def given(change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        with np.errstate(all="ignore"):
            return all(
                set(probe) == set(probes[0])
                and same(outcome, observe(check, check.reference, change(dict(probe))), _near(check, probe))
                for probe, outcome in zip(probes, outcomes, strict=True)
            )

    found = [words for words, change in relations.other_inputs(dict(probes[0])) if given(change)]
    return f"that is the right result for another input, as if {found[0]}" if len(found) == 1 else None


def _near(check: Check, probe: Probe) -> float:
    return max(check.allowed, check.float32 or 0) if "float32" in dtypes(dict(probe)) else check.allowed


# Errors in words


def _not_written(error: NotImplementedError, check: Check, path: Path) -> str:
    """Which function is not written: the one that was called, another that it calls, or a branch of it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if frames and frames[-1].name not in (check.function, "<lambda>"):
        line = f"(line {frames[-1].lineno} of {path.name})"
        return f"got       {frames[-1].name}, which {check.function} calls, is {NOT_WRITTEN} {line}"
    return NOT_WRITTEN


def _in_words(error: BaseException, path: Path) -> str:
    name = type(error).__name__
    text = f"{name}: {one_line(error)}" if str(error) else name
    if isinstance(error, RecursionError):
        text = f"{name}: a function calls itself without end"
    if isinstance(error, MemoryError):
        text = f"{name}: more memory than the checker allows"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    return f"{text} (line {lines[-1]} of {path.name})" if lines else text


def _exit_in_words(stop: SystemExit, path: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(stop.__traceback__) if Path(frame.filename) == path]
    where = f" (line {lines[-1]} of {path.name})" if lines else ""
    return f"sys.exit was called{where}; remove it"
