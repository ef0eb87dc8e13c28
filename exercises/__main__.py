"""python -m exercises list | start NN | check NN | hint NN: copy, check, and be helped, one step at a time.

What you write lies in my_work/, which git ignores and which is never overwritten.
"""

import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from exercises import pages
from exercises.catalogue import EXERCISES, LETTERS, Exercise, find
from exercises.checking import load, run_all
from vae_numpy.command_line import run
from vae_numpy.files import write_atomically

MY_WORK = Path("my_work")
PROGRESS = MY_WORK / "progress.json"


@dataclass
class List:
    """All exercises: checklist letter, minutes, running time of the last check, progress."""


@dataclass
class Start:
    """Copy the starter of an exercise into my_work/, where nothing of yours is ever overwritten."""

    exercise: Annotated[str, tyro.conf.Positional]
    """Its number, such as 05."""


@dataclass
class CheckIt:
    """Check your file: the first failure in words, or what passes."""

    exercise: Annotated[str, tyro.conf.Positional]
    """Its number, such as 05."""
    file: Path | None = None
    """Another file to check (default: my_work/exNN.py)."""


@dataclass
class Hint:
    """The next of three hints (concept, formula, line) for the function that the last check stopped at."""

    exercise: Annotated[str, tyro.conf.Positional]
    """Its number, such as 05."""
    function: Annotated[str | None, tyro.conf.Positional] = None
    """Another function of the exercise."""


Command = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Start, tyro.conf.subcommand("start")]
    | Annotated[CheckIt, tyro.conf.subcommand("check")]
    | Annotated[Hint, tyro.conf.subcommand("hint")]
)


def main(command: List | Start | CheckIt | Hint) -> None:
    """Run one subcommand."""
    match command:
        case List():
            print_list()
        case Start():
            start(find(command.exercise))
        case CheckIt():
            exercise = find(command.exercise)
            if not check(exercise, command.file or MY_WORK / exercise.starter.name):
                sys.exit(1)
        case Hint():
            hint(find(command.exercise), command.function)


def start(exercise: Exercise) -> None:
    """Copy the starter; say so where the learner's file is there already."""
    path = MY_WORK / exercise.starter.name
    path.parent.mkdir(exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(exercise.starter.read_text(encoding="utf-8"))
    except FileExistsError:
        raise ValueError(f"{path} is there already and stays as it is; move it away to start anew") from None
    print(f"{path}: yours to fill in. The page is exercises/{exercise.page.name};")
    print(f"python -m exercises check {exercise.number} says how far it is right.")


def check(exercise: Exercise, path: Path) -> bool:
    """Run the checks on a file up to the first failure; whether all pass."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; python -m exercises start {exercise.number} puts a starter there")
    print(f"checking {path}")
    started = time.perf_counter()
    passed, failure = run_all(exercise, load(path))
    if path.parent == MY_WORK:
        seconds = round(time.perf_counter() - started, 1)
        stopped_at = failure.check.function if failure else None
        _note(exercise, passed=passed, sha256=_sha(path), seconds=seconds, function=stopped_at)
    return failure is None


def hint(exercise: Exercise, function: str | None) -> None:
    """Print the next hint, which the page has folded too."""
    noted = _progress().get(exercise.number, {})
    hints = pages.hints(exercise)
    function = function or noted.get("function") or next(iter(hints))
    if function not in hints:
        raise ValueError(f"function is {function!r}: exercise {exercise.number} has hints for {', '.join(hints)}")
    given = noted.get("hints", {})
    at = min(given.get(function, 0), 2)
    print(f"{function}, hint {at + 1} of 3, {pages.HINTS[at]}:\n\n{hints[function][at]}")
    if given.get(function, 0) >= 2:
        print(f"\nThis is the last one; the whole solution is folded at the end of exercises/{exercise.page.name}.")
    _note(exercise, hints=given | {function: at + 1})


def print_list() -> None:
    """The table of exercises with what my_work/ holds of them."""
    progress = _progress()
    print(f"{'exercise':<24}{'checklist':<36}{'minutes':>7}  {'check runs':<12}progress")
    for exercise in EXERCISES:
        noted = progress.get(exercise.number, {})
        path = MY_WORK / exercise.starter.name
        state = "not started"
        if path.is_file():
            state = "started"
            if "passed" in noted:
                state = "done" if noted["passed"] == exercise.checks else f"{noted['passed']} of {exercise.checks} checks pass"
                if noted["sha256"] != _sha(path):
                    state += ", changed since"
        if used := sum(noted.get("hints", {}).values()):
            state += f", {used} hint{'s' * (used > 1)}"
        takes = f"{noted['seconds']} s" if "seconds" in noted else "under 3 s"
        letter = f"{exercise.letter}: {LETTERS[exercise.letter]}"
        print(f"{exercise.number + '_' + exercise.name:<24}{letter:<36}{exercise.minutes:>7}  {takes:<12}{state}")


def _progress() -> dict[str, Any]:
    try:
        noted = json.loads(PROGRESS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ValueError(f"{PROGRESS}: not readable; remove it (your exercises are not in it)") from None
    return noted


def _note(exercise: Exercise, **facts: Any) -> None:
    progress = _progress()
    progress[exercise.number] = progress.get(exercise.number, {}) | facts
    write_atomically(PROGRESS, json.dumps(progress, indent=1).encode())


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    run("python -m exercises", Command, main)
