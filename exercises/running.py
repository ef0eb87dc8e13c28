"""Run a learner's code: import the file, call a function on copies of its arguments, and say in words what went wrong.

A function is called twice on each probe. Its results are kept until the last probe: a result that a later call changes, that
shares memory with an argument, or that comes with a changed argument is a problem, said in words.
"""

import contextlib
import copy
import importlib.machinery
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from exercises import comparing
from exercises.comparing import described, one_line
from exercises.probes import LARGE, LAYOUTS, strided

NOT_WRITTEN = "not written yet"
NUMPYS_OWN = dict(vars(np))  # before a learner's file is imported
SAME_ARRAY = "a second call returns the same array as the first call: return a new array each time"
Observe = Callable[[Callable, dict[str, Any]], Any]


class Unfit(Exception):  # noqa: N818, it is no error of the checker
    """Raised by an observation of a result of which nothing more can be observed; the message is what the learner reads."""

    def __init__(self, got: Any, expected: str) -> None:
        lines = [f"got       {described(got)}", f"expected  {expected}", *comparing.without_return(got)]
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Outcome:
    """What was observed on one probe: a value, or a problem in words."""

    value: Any = None
    problem: str | None = None
    error: str | None = None
    """The type of the error that was raised, if one was."""
    raw: Any = None
    """The very result that the function returned, which nobody else may write into."""
    held: Any = None
    """A copy of it."""
    given_twice: bool = False
    """Whether a second call returned the same memory."""


@dataclass(frozen=True)
class Learner:
    """How a function is to be called and observed."""

    name: str
    observe: Observe
    path: Path = Path("?")
    """The learner's file, for line numbers."""
    own_memory: bool = False
    """Whether a result may share no memory with an argument."""
    answer: Callable | None = None
    """The function, where it is one of the checker's own: it is called as it is, and its results are not kept."""


def load(path: Path) -> ModuleType:
    """Import a file by its path, whatever its name; ValueError, in words, where it cannot be imported."""
    name = f"learner_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module  # a dataclass looks for its module there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, SystemExit):
            raise ValueError(f"{path} ends Python while it is imported: {_exit_in_words(error, path)}") from None
        if isinstance(error, Exception):
            raise ValueError(f"{path} cannot be imported: {in_words(error, path)}") from None
        raise
    finally:
        sys.dont_write_bytecode = written
    return module


def observe_twice(learner: Learner, function: Callable, args: dict[str, Any], layout: str = "") -> Outcome:
    """Make the observation twice: a function must give the same again."""
    first = observe(learner, function, args, layout)
    if first.problem:
        return first
    again = observe(learner, function, args, layout)
    if again.problem:
        problem = again.problem.removeprefix("got       ")
        return Outcome(problem=f"got       on a second call with the same input: {problem}", error=again.error)
    if not same(first, again, 1e-9):
        shown = [f"got       {described(first.value)}", f"then      {described(again.value)}"]
        return Outcome(problem="\n".join([*shown, "          a second call with the same input gives another result"]))
    twice = learner.own_memory and any(_overlap(a, b) for a in _arrays(first.raw) for b in _arrays(again.raw))
    return replace(first, given_twice=twice)


def observe(learner: Learner, function: Callable, args: dict[str, Any], layout: str = "") -> Outcome:
    """Make the observation of a function on copies of the arguments."""
    given = {name: lent(value, layout) for name, value in args.items()}
    returned: list[Any] = []

    def watched(*values: Any) -> Any:
        returned.append(function(*values))
        return returned[-1]

    try:
        with _quietly():
            value = kept(learner.observe(learner.answer or watched, given))
    except Unfit as error:
        return Outcome(problem=str(error), error="Unfit")
    except NotImplementedError as error:
        return Outcome(problem=_not_written(error, learner), error="NotImplementedError")
    except SystemExit as stop:
        return Outcome(problem=f"got       Python ends: {_exit_in_words(stop, learner.path)}", error="SystemExit")
    except Exception as error:
        said = f"got       {in_words(error, learner.path)}"
        if "read-only" in str(error) and _needs_writable(learner, function, args):
            return Outcome(problem=f"{said}: the function writes into its argument; work on a copy")
        return Outcome(problem=said, error=type(error).__name__)
    for name, before in args.items():
        if not unchanged(before, given[name]):
            return Outcome(problem=f"got       a changed {name}: the function writes into its argument; work on a copy")
        if learner.own_memory and any(_overlap(r, g) for r in _arrays(returned) for g in _arrays(given[name])):
            return Outcome(problem=f"got       a part of {name} itself (they share memory): return a new array")
    raw = returned[-1] if returned else None
    return Outcome(value, raw=raw, held=kept(raw))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _needs_writable(learner: Learner, function: Callable, args: dict[str, Any]) -> bool:
    """Whether a function that met a read-only array meets none where all its arguments can be written to."""
    try:
        with _quietly():
            learner.observe(function, copy.deepcopy(args))
    except Exception as error:
        return "read-only" not in str(error)
    return True


def changed_later(outcomes: list[Outcome]) -> Iterator[tuple[int, Outcome]]:
    """The results that are no longer what the function returned, or that it returned twice, with their places."""
    for at, outcome in enumerate(outcomes):
        if not outcome.problem and not comparing.alike(outcome.raw, outcome.held, 0):
            lines = [f"got       {described(outcome.held)}", f"later     {described(outcome.raw)}"]
            lines.append("          a later call has changed this result: return a new array each time")
            yield at, Outcome(problem="\n".join(lines))
        elif outcome.given_twice:
            yield at, Outcome(problem=f"got       {described(outcome.held)}\n          {SAME_ARRAY}")


def random_states() -> list[Any]:
    """The states of NumPy's and torch's random number generators that all code shares."""
    of_numpy: Any = np.random.get_state()
    states: list[Any] = [of_numpy[1].tobytes(), of_numpy[2:]]  # beartype draws from Python's own generator, so not that one
    torch = sys.modules.get("torch")
    return [*states, torch.random.get_rng_state().numpy().tobytes()] if torch is not None else states


def replaced_in_numpy() -> str | None:
    """The first name in NumPy that no longer is what it was; None where there is none. The comparison of results uses NumPy."""
    return next((name for name, value in NUMPYS_OWN.items() if vars(np).get(name) is not value), None)


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
        if comparing.kind(before) == "tensor" and not _tensor_unchanged(before, after):
            return False
        b, a = comparing.as_array(before), comparing.as_array(after)
        if a.__array_interface__["data"] == (b.__array_interface__["data"][0], True):  # lent as a view that cannot be written to
            return True
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=b.dtype.kind == "f")
    return bool(before == after) if isinstance(before, bool | int | float | str) else True


def _tensor_unchanged(before: Any, after: Any) -> bool:
    """A tensor that is no leaf of the graph is lent as a copy of what it holds."""
    if before.requires_grad != after.requires_grad:
        return False
    return not before.is_leaf or (after.grad is None) == (before.grad is None)


def same(a: Outcome, b: Outcome, allowed: float) -> bool:
    """Whether two observations cannot be told apart (here alone NaN equals NaN)."""
    if a.problem or b.problem:
        return (a.error == b.error) if a.error or b.error else a.problem == b.problem
    return comparing.alike(a.value, b.value, max(allowed, 1e-12))


def lent(value: Any, layout: str = "") -> Any:
    """A copy that may be spoilt; of large arrays, a view that cannot be written to. Strides stay, or are those of a layout."""
    if isinstance(value, dict):
        return {name: lent(v, layout) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(lent(v, layout) for v in value)
    if comparing.kind(value) == "tensor":
        if value.requires_grad and not value.is_leaf:
            return value.detach().clone().requires_grad_() * 1
        copied = value.detach().clone().requires_grad_(value.requires_grad)
        copied = LAYOUTS[layout](copied) if layout else copied if value.is_contiguous() else strided(copied)
        if value.grad is not None:
            copied.grad = value.grad.clone()
        return copied
    if not isinstance(value, np.ndarray):
        return copy.deepcopy(value)
    if value.size >= LARGE:
        view = value.view()
        view.flags.writeable = False
        return view
    return LAYOUTS[layout](value.copy()) if layout else value.copy() if value.flags.c_contiguous else strided(value)


def _arrays(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for v in value:
            yield from _arrays(v)
    elif comparing.kind(value) in ("array", "tensor"):
        yield value


def _overlap(a: Any, b: Any) -> bool:
    if comparing.kind(a) != comparing.kind(b):
        return False
    if comparing.kind(a) == "tensor":
        try:
            return bool(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() and a.numel() > 0)
        except (RuntimeError, NotImplementedError):  # sparse
            return False
    return bool(np.may_share_memory(a, b) and np.shares_memory(a, b))


# Errors in words


def _not_written(error: NotImplementedError, learner: Learner) -> str:
    """Which function is not written: the one that was called, another that it calls, or a branch of it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == learner.path]
    if frames and frames[-1].name not in (learner.name, "<lambda>"):
        line = f"(line {frames[-1].lineno} of {learner.path.name})"
        return f"got       {frames[-1].name}, which {learner.name} calls, is {NOT_WRITTEN} {line}"
    return NOT_WRITTEN


def in_words(error: BaseException, path: Path) -> str:
    """An error's type and message, and the last line of the learner's file that it came through."""
    name = type(error).__name__
    text = f"{name}: {one_line(error)}" if str(error) else name
    if isinstance(error, RecursionError):
        text = f"{name}: a function calls itself without end"
    if isinstance(error, MemoryError):
        text = f"{name}: more memory than the checker allows"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    if isinstance(error, SyntaxError) and error.filename == str(path):  # str(error) names the file and the line too
        text, lines = f"{name}: {error.msg}", [error.lineno]
    return f"{text} (line {lines[-1]} of {path.name})" if lines else text


def _exit_in_words(stop: SystemExit, path: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(stop.__traceback__) if Path(frame.filename) == path]
    where = f" (line {lines[-1]} of {path.name})" if lines else ""
    return f"sys.exit was called{where}; remove it"
