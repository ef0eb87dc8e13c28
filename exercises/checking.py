"""The checker: calls the learner's functions on probes, compares, and says in words what is wrong with the first failure.

How the probes are made is in `probes`, how a function is called in `running`, how results are compared in `comparing`, and
what a failure is called in `diagnosis`. What the checks of an exercise declare is in `declaring`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from exercises import diagnosis
from exercises.catalogue import Exercise
from exercises.comparing import described
from exercises.declaring import Check, Wrong, checks_of, compare, prepared
from exercises.probes import Probe
from exercises.running import NOT_WRITTEN, changed_later, observe_twice, random_states, replaced_in_numpy


@dataclass(frozen=True)
class Failure:
    """The first thing that is wrong, in words."""

    check: Check
    lines: list[str]
    diagnosis: str | None = None


def run_check(check: Check, module: Any, wrong: Sequence[Wrong] | None = (), seed: int = 0) -> Failure | None:
    """Run one check on the functions of `module`; the failure, or None where all is right.

    `wrong` are the known wrong answers; with None, no diagnosis is looked for, which is fast.
    """
    function = getattr(module, check.function, None)
    if not callable(function):
        return Failure(check, [f"{check.function} is missing: the file has no function of this name"])
    learner = check.learner(Path(getattr(module, "__file__", None) or "?"))
    probes, expected = prepared(check, seed)
    states = random_states()
    outcomes, lines = [], []
    for probe, right in zip(probes, expected, strict=True):
        outcomes.append(observe_twice(learner, function, dict(probe), probe.layout))
        lines.append(compare(check, probe, outcomes[-1], right))
        if lines[-1] and wrong is None:
            break
    if not any(lines):
        for at, outcome in changed_later(outcomes):
            outcomes[at] = outcome
            lines[at] = compare(check, probes[at], outcome, expected[at])
    first = next((i for i, found in enumerate(lines) if found), None)
    if first is None:
        if any(now != before for now, before in zip(random_states(), states, strict=False)):  # torch may be new among them
            return Failure(check, [RANDOM.format(check.function)])
        if name := replaced_in_numpy():
            return Failure(check, [REPLACED.format(name)])
        return None
    if {outcome.problem for outcome in outcomes} == {NOT_WRITTEN}:
        return Failure(check, [f"{check.function} is {NOT_WRITTEN}"])
    said = inputs(probes[first]) + lines[first]
    if wrong is None:
        return Failure(check, said)
    passed = [not found for found in lines]
    return Failure(check, said, diagnosis.diagnose(check, probes, outcomes, expected, passed, wrong))


RANDOM = "{0} draws random numbers from a generator that other code shares. Draw no random numbers: the noise is an argument"


REPLACED = "numpy.{0} was replaced by the file, and the checker compares results with NumPy. Do not change NumPy itself"


def inputs(probe: Probe) -> list[str]:
    """The arguments as the learner reads them."""
    lines = [f"probe     {probe.note}"] if probe.note else []
    return lines + [f"input     {name} = {described(value)}" for name, value in probe.items()]


def run_all(
    exercise: Exercise,
    module: Any,
    say: Callable[[str], None] = print,
    begin: Callable[[int, str], None] = lambda number, function: None,
) -> tuple[int, Failure | None]:
    """Run the checks in order up to the first failure, saying what passes and what fails; how many passed.

    `begin` is called with each check's number and function before it runs.
    """
    known: ModuleType = checks_of(exercise)
    passed = 0
    for check in known.CHECKS:
        begin(passed + 1, check.function)
        if failure := run_check(check, module, known.WRONG):
            say(f"\ncheck {passed + 1} of {exercise.checks} fails\n{report(failure)}")
            say(f"\nfor a hint: python -m exercises hint {exercise.number} {check.function}")
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
