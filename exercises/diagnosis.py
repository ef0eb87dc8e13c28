"""Name the mistake, in one sentence that is true of all that was observed; nothing where two sentences fit.

First the known wrong answers: where all that was observed equals what one of them gives, its diagnosis is told. Then the right
answer for other inputs ("as if logvar were at most 10"). Then `relations` between got and expected.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from exercises import comparing, relations
from exercises.declaring import Check, Wrong, allowed, answered
from exercises.probes import Probe, noted
from exercises.running import Outcome, same

SOME = 700
"""As-if inputs are tried on probes with at most so many numbers in an array: larger ones would take long."""


def diagnose(
    check: Check,
    probes: Sequence[Probe],
    outcomes: Sequence[Outcome],
    expected: Sequence[Outcome],
    passed: Sequence[bool],
    wrong: Sequence[Wrong],
) -> str | None:
    """What is wrong, in a sentence: by the one known wrong answer that fits, else by a relation; None where two fit."""
    candidates = [(one, answer) for one in wrong if one.function == check.function for answer in one.answers]
    ordinary = [i for i, probe in enumerate(probes) if not probe.note]
    everywhere = sorted(range(len(probes)), key=lambda i: _size(probes[i]))  # the small ones first: they are fast
    true_or_false = np.asarray(expected[0].value).dtype.kind == "b"  # on a few probes, other mistakes give the same by chance
    scopes = [everywhere] if true_or_false or all(passed[i] for i in ordinary) else [ordinary, everywhere]
    for scope in scopes:
        candidates = [
            (one, answer)
            for one, answer in candidates
            if all(same(outcomes[i], answered(check, answer, probes[i]), allowed(check, probes[i])) for i in scope)
        ]
        if len({one.name for one, _ in candidates}) == 1:
            return candidates[0][0].diagnosis
    if candidates:
        return None  # several known mistakes give these numbers
    cases = [
        relations.Case(dict(probe), probe.note, None if o.problem else o.value, e.value, ok, o.problem)
        for probe, o, e, ok in zip(probes, outcomes, expected, passed, strict=True)
    ]
    try:
        return (None if check.explain else _as_if(check, probes, outcomes, passed)) or (check.explain or relations.told)(cases)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError):  # foreign results need not relate to anything
        return None


def _as_if(check: Check, probes: Sequence[Probe], outcomes: Sequence[Outcome], passed: Sequence[bool]) -> str | None:
    """The one change of an argument for which the right result is what was observed, on all probes but the large ones."""
    scope = [i for i, probe in enumerate(probes) if _size(probe) <= SOME]
    if not scope or isinstance(comparing.flat(outcomes[scope[0]].value), bool):
        return None  # True and False tell too little: another input gives the same by chance
    if all(passed[i] for i in scope) or any(outcomes[i].problem for i in scope):
        return None
    scope.sort(key=lambda i: (passed[i], _size(probes[i])))  # what is wrong rules most of them out
    names = [n for n in probes[scope[0]] if all(n in probes[i] for i in scope)]

    def given(change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        try:
            with np.errstate(all="ignore"):
                return all(
                    same(
                        outcomes[i],
                        answered(check, check.reference, noted("", change(dict(probes[i])), probes[i].layout)),
                        allowed(check, probes[i]),
                    )
                    for i in scope
                )
        except (TypeError, ValueError, ArithmeticError, LookupError):  # the change makes no input
            return False

    seen = [{name: probes[i][name] for name in names} for i in scope]
    found = [words for words, change in relations.other_inputs(seen, check.axes) if given(change)]
    return f"your numbers are the right result for another input, as if {found[0]}" if len(found) == 1 else None


def _size(probe: Probe) -> int:
    sizes = [int(np.prod(tuple(value.shape))) for value in probe.values() if hasattr(value, "shape")]
    sizes += [value for value in probe.values() if isinstance(value, int)]
    return max(sizes, default=0)
