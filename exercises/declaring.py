"""What the checks of an exercise declare: a `Check` for each thing that a function must do, a `Wrong` for each known mistake."""

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from exercises import comparing, relations
from exercises.catalogue import Exercise
from exercises.comparing import described, difference, one_line
from exercises.probes import USUAL, Probe, as_float64, axes_of, changed, dtypes, enlarged, noted
from exercises.running import NOT_WRITTEN, Learner, Outcome, observe


def call(function: Callable, args: dict[str, Any]) -> Any:
    """The plain observation: what the function returns. Arguments are given by position, so they may be renamed."""
    return function(*args.values())


@dataclass(frozen=True, eq=False)
class Check:
    """What one function must do on some probes."""

    function: str
    says: str
    """What is checked, in words."""
    reference: Callable
    probes: Callable[[np.random.Generator], Sequence[dict[str, Any]]]
    """Arguments by name, for each probe. `probes.enlarged` adds more of them."""
    observe: Callable[[Callable, dict[str, Any]], Any] = call
    allowed: float = 1e-9
    """The largest difference allowed, as a part of the largest number expected."""
    float32: float | None = 2e-5
    """The same for float32 probes; None: no float32 probe is added."""
    keeps_dtype: bool = False
    """Whether the result must have the expected dtype exactly. Otherwise float64 may come from float32, not the reverse."""
    gives_dtype: bool = False
    """Whether arrays of floats in the result must have the dtype of the arguments."""
    long: Mapping[str, int] | None = None
    """Lengths of axes in the added probes, where they are not those of probes.LONG; 0: no such probe."""
    short: Mapping[str, int] | None = None
    """The same for the short axes, where 1 is too short."""
    rows: str = ""
    """The axes along which each entry is treated for itself."""
    layouts: Sequence[str] = USUAL
    """The added probes whose arrays lie in memory in other ways."""
    own_memory: bool = True
    """Whether the result may share no memory with an argument."""
    explain: Callable[[Sequence[relations.Case]], str | None] | None = None
    """What to say where no known wrong answer fits; without it, a relation between got and expected is looked for."""
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of the axes of each array, from the starter."""

    def learner(self, path: Path = Path("?")) -> Learner:
        """How a learner's function is called."""
        return Learner(self.function, self.observe, path, self.own_memory)


@dataclass(frozen=True)
class Wrong:
    """A known wrong answer, and what to tell whoever gives it."""

    name: str
    function: str
    diagnosis: str
    answer: Callable
    also: Sequence[Callable] = ()
    """Other code with the same mistake, whose results differ on some probes."""

    @property
    def answers(self) -> tuple[Callable, ...]:
        """All code with this mistake."""
        return (self.answer, *self.also)


def declared(number: str, checks: Sequence[Check]) -> list[Check]:
    """The checks of an exercise, with the axes that its starter names."""
    return [replace(check, axes=axes_of(number)[check.function]) for check in checks]


def checks_of(exercise: Exercise) -> ModuleType:
    """The module with CHECKS, WRONG and VALID of an exercise."""
    module = importlib.import_module(f"exercises.checks.ex{exercise.number}")
    assert len(module.CHECKS) == exercise.checks, f"{exercise.number}: {len(module.CHECKS)} checks, {exercise.checks} declared"
    return module


@functools.lru_cache(maxsize=256)
def prepared(check: Check, seed: int) -> tuple[list[Probe], list[Outcome]]:
    """The probes of a check, and what the reference gives. Neither is ever handed out, only copies and read-only views."""
    probes = all_probes(check, seed)
    return probes, [reference_on(check, probe) for probe in probes]


def all_probes(check: Check, seed: int) -> list[Probe]:
    """The probes of a check, and those that every function gets."""
    probes = [p if isinstance(p, Probe) else Probe(p) for p in check.probes(np.random.default_rng(seed))]
    assert probes, f"{check.function}: no probes"
    probes.sort(key=lambda probe: bool(probe.note))  # a learner is shown an ordinary one, where one fails
    return enlarged(probes, check.axes, check.long, check.short, check.rows, check.float32 is not None, check.layouts, seed)


def reference_on(check: Check, probe: Probe) -> Outcome:
    """What is expected, computed in float64 from the very numbers of the probe, unless the dtype must be kept."""
    args = dict(probe)
    if not check.keeps_dtype and "float32" in dtypes(args):
        args = {name: changed(value, as_float64) for name, value in args.items()}
    outcome = answered(check, check.reference, noted(probe.note, args))
    assert outcome.problem is None, f"{check.function}, reference: {outcome.problem}"
    return outcome


def answered(check: Check, answer: Callable, probe: Probe) -> Outcome:
    """What an answer of the checker's own gives on a probe."""
    return observe(Learner(check.function, check.observe, answer=answer), answer, dict(probe), probe.layout)


def allowed(check: Check, probe: Probe) -> float:
    """The largest difference allowed on a probe."""
    if probe.allowed is not None:
        return probe.allowed
    single = "float32" in dtypes(dict(probe)) and not check.keeps_dtype and check.float32 is not None
    return max(check.allowed, check.float32 or 0) if single else check.allowed


def compare(check: Check, probe: Probe, outcome: Outcome, expected: Outcome) -> list[str]:
    """What is wrong with an outcome, in words; nothing where it is right."""
    if outcome.problem == NOT_WRITTEN:  # of other probes there is a result, or run_check would not show this
        return ["got       NotImplementedError: this input reaches a part of the function that is not written yet"]
    if outcome.problem:
        return outcome.problem.split("\n")
    given = next((d for d in ("float32", "float64") if d in dtypes(dict(probe))), "")
    try:
        found = difference(outcome.value, expected.value, allowed(check, probe), keeps_dtype=check.keeps_dtype, given=given)
        if not found and check.gives_dtype and given:
            found = comparing.another_dtype(outcome.value, given)
        return found
    except Exception as error:  # a foreign result may raise anything when it is looked at
        return [
            f"got       {described(outcome.value)}",
            f"          it cannot be compared: {type(error).__name__}: {one_line(error)}",
        ]
