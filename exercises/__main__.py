"""python -m exercises list | start NN | check NN | watch NN | hint NN | run NN | notebook NN: one step at a time.

What you write lies in my_work/, which git ignores and which is never overwritten.
"""

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep, strftime
from typing import Annotated, Any, Literal

import tyro

from exercises import pages, plain, progress, translation
from exercises.catalogue import EXERCISES, FIRST_COURSE, LETTERS, Exercise, find
from exercises.isolation import SECONDS, check_apart, run_apart
from exercises.progress import MY_WORK
from exercises.translation import padded, say, spoken
from vae_numpy.command_line import run
from vae_numpy.files import write_atomically

POLL = 0.3
"""Seconds between two looks at a watched file."""

OWN_FILE = tyro.conf.arg(help_behavior_hint="(default: my_work/exNN.py)")
Number = Annotated[str, tyro.conf.Positional]


@dataclass(kw_only=True)
class Spoken:
    """The option of all commands but notebook."""

    lang: Annotated[Literal["en", "ko"] | None, tyro.conf.arg(help_behavior_hint="(default: the system's language)")] = None
    """Language of hints and messages: English or Korean."""


@dataclass
class List(Spoken):
    """List all exercises: checklist letter, minutes, running time of the last check, progress."""


@dataclass
class Start(Spoken):
    """Copy the starter of an exercise into my_work/. A file of yours is never overwritten."""

    exercise: Number
    """Its number, such as 05."""


@dataclass
class Check(Spoken):
    """Check your file, and explain the first failure. The exit code is 0 only if all checks pass."""

    exercise: Number
    """Its number, such as 05."""
    file: Annotated[Path | None, OWN_FILE] = None
    """The file to check."""


@dataclass
class Watch(Spoken):
    """Check your file each time you save it, until all checks pass or you press Ctrl-C."""

    exercise: Number
    """Its number, such as 05."""
    file: Annotated[Path | None, OWN_FILE] = None
    """The file to watch."""


@dataclass
class Hint(Spoken):
    """Show the next of three hints (concept, formula, line) for the function that failed in the last check."""

    exercise: Number
    """Its number, such as 05."""
    function: Annotated[str | None, tyro.conf.Positional] = None
    """Another function of the exercise."""


@dataclass
class Run(Spoken):
    """Draw the exercise's experiment with your own functions, after all checks pass: my_work/exNN.png."""

    exercise: Number
    """Its number, such as 05."""
    file: Annotated[Path | None, OWN_FILE] = None
    """The file with the functions."""


@dataclass
class Notebook:
    """Write the exercise as a Jupyter notebook: my_work/NN_name.ipynb."""

    exercise: Number
    """Its number, such as 05."""


Command = (
    Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Start, tyro.conf.subcommand("start")]
    | Annotated[Check, tyro.conf.subcommand("check")]
    | Annotated[Watch, tyro.conf.subcommand("watch")]
    | Annotated[Hint, tyro.conf.subcommand("hint")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Notebook, tyro.conf.subcommand("notebook")]
)


def main(command: List | Start | Check | Watch | Hint | Run | Notebook) -> None:
    """Run one subcommand."""
    if lang := getattr(command, "lang", None):
        os.environ[translation.VARIABLE] = lang
    if isinstance(command, List):
        return print_list()
    exercise = find(command.exercise)
    path = getattr(command, "file", None) or work_file(exercise)
    match command:
        case Start():
            start(exercise)
        case Check():
            if not check(exercise, path):
                sys.exit(1)
        case Watch():
            watch(exercise, path)
        case Hint():
            hint(exercise, command.function)
        case Run():
            if not run_experiment(exercise, path):
                sys.exit(1)
        case Notebook():
            from exercises import notebook

            print(notebook.write(exercise))
    return None


def page_of(exercise: Exercise) -> str:
    """The page that a learner reads, as a path in the project."""
    return translation.page(exercise).relative_to(translation.ROOT).as_posix()


def work_file(exercise: Exercise) -> Path:
    """The learner's file."""
    return MY_WORK / exercise.starter.name


def _is_work_file(exercise: Exercise, path: Path) -> bool:
    return path.resolve() == work_file(exercise).resolve()


def start(exercise: Exercise) -> None:
    """Copy the starter; say so where the learner's file is there already."""
    path = work_file(exercise)
    if path.exists():
        raise ValueError(f"{path} exists already and is not changed; move it away to start again")
    write_atomically(path, exercise.starter.read_bytes())
    say(f"{path}: fill in this file. Its page is {page_of(exercise)}.")
    say(f"python -m exercises check {exercise.number} says which checks pass.")


def check(exercise: Exercise, path: Path, steps: bool = True) -> bool:
    """Run the checks on a file up to the first failure; whether all pass. Then print the next steps, unless `steps` is False."""
    _look_for(exercise, path)
    say(f"checking {path}")
    before = _sha(path)
    started = perf_counter()
    verdict = check_apart(exercise, path, SECONDS)
    if _is_work_file(exercise, path):
        seconds = round(perf_counter() - started, 1)
        progress.note(exercise, passed=verdict.passed, sha256=before, seconds=seconds, function=verdict.stopped_at)
    if verdict.complete and steps:
        say(f"\n{what_next(exercise)}")
    return verdict.complete


def watch(exercise: Exercise, path: Path) -> None:
    """Check the file now and after each change, until all checks pass."""
    _look_for(exercise, path)
    seen = None
    while True:
        state = _state(path)
        if state is not None and state != seen:
            seen = state
            say(f"\n--- {strftime('%H:%M:%S')}")
            if check(exercise, path):
                return
            say("\nwaiting for the next change; Ctrl-C ends this")
        sleep(POLL)


def hint(exercise: Exercise, function: str | None) -> None:
    """Print the next hint, which the page has folded too."""
    noted = progress.read().get(exercise.number, {})
    hints = pages.hints(translation.page(exercise))
    path = work_file(exercise)
    if function is not None and function not in hints:
        raise ValueError(f"function is {function!r}: exercise {exercise.number} has hints for {', '.join(hints)}")
    if function is None and noted.get("passed") == exercise.checks and path.is_file():
        if noted.get("sha256") == _sha(path):
            say(f"all checks of exercise {exercise.number} pass: no hint is needed. {page_of(exercise)} has all hints.")
            return
        say(f"the file has changed since its last check. First run: python -m exercises check {exercise.number}\n")
    function = function or noted.get("function") or ""
    if function not in hints:
        function = next(iter(hints))
    given = noted.get("hints", {})
    number = min(given.get(function, 0), 2)
    say(f"{function}, hint {number + 1} of 3, {pages.HINTS[number]}:\n\n{plain.text(hints[function][number])}")
    if given.get(function, 0) >= 2:
        say(f"\nThis is the last hint. The solution is folded at the end of {page_of(exercise)}.")
    progress.note(exercise, hints=given | {function: number + 1})


def run_experiment(exercise: Exercise, path: Path) -> bool:
    """Draw the experiment with the functions of a file that passes all checks; whether it was drawn."""
    if not check(exercise, path, steps=False):
        say(f"\nthe experiment needs functions that pass all checks; then run python -m exercises run {exercise.number} again")
        return False
    picture = MY_WORK / f"ex{exercise.number}.png"
    MY_WORK.mkdir(exist_ok=True)
    return run_apart(exercise, path, picture)


def what_next(exercise: Exercise) -> str:
    """What to do after all checks pass: the experiment, the questions, the next exercise that is not done."""
    noted = progress.read()
    course = FIRST_COURSE if exercise.number in FIRST_COURSE else ()
    later = [find(number) for number in course[course.index(exercise.number) + 1 :]] if course else []
    later += [e for e in EXERCISES if e.number > exercise.number] + [e for e in EXERCISES if e.number < exercise.number]
    left = [e for e in later if noted.get(e.number, {}).get("passed") != e.checks]
    lines = [
        f"next      python -m exercises run {exercise.number} draws the experiment with your own functions",
        f"          then answer the questions under Reflect in {page_of(exercise)}",
    ]
    if left:
        lines.append(f"          python -m exercises start {left[0].number} ({left[0].name.replace('_', ' ')})")
    return "\n".join(lines)


def print_list() -> None:
    """The table of exercises with what my_work/ holds of them."""
    found = progress.read()
    _row("exercise", "checklist", "minutes", "check runs", "progress")
    for exercise in EXERCISES:
        noted = found.get(exercise.number, {})
        takes = f"{noted['seconds']} s" if "seconds" in noted else "under 6 s" if exercise.torch else "under 3 s"
        letter = f"{exercise.letter}: {spoken(LETTERS[exercise.letter])}"
        state = ", ".join(map(spoken, _state_of(exercise, noted)))
        _row(f"{exercise.number}_{exercise.name}", letter, str(exercise.minutes), takes, state)


def _row(name: str, letter: str, minutes: str, takes: str, state: str) -> None:
    cells = zip((name, letter, minutes, takes), (24, 36, 9, 12), strict=True)
    print("".join(padded(spoken(cell), width) for cell, width in cells) + spoken(state))


def _state_of(exercise: Exercise, noted: dict[str, Any]) -> list[str]:
    """How far the learner is, in words."""
    path = work_file(exercise)
    if not path.is_file():
        said = ["not started"]
    elif "passed" not in noted:
        said = ["started"]
    else:
        said = ["done" if noted["passed"] == exercise.checks else f"{noted['passed']} of {exercise.checks} checks pass"]
        said += ["changed since"] * (noted.get("sha256") != _sha(path))
    used = sum(noted.get("hints", {}).values())
    return said + [f"{used} hint{'s' * (used > 1)}"] * (used > 0)


def _look_for(exercise: Exercise, path: Path) -> None:
    if not path.is_file():
        advice = f"; python -m exercises start {exercise.number} puts a starter there" * _is_work_file(exercise, path)
        raise FileNotFoundError(f"{path}: no such file{advice}")
    other = re.fullmatch(r"ex(\d\d)(\.py)?", path.name)
    if other and other[1] != exercise.number:
        raise ValueError(f"{path} is the file of exercise {other[1]}: python -m exercises check {other[1]} checks it")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # an editor may replace the file in two steps
        return None
    return found.st_mtime_ns, found.st_size


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    run("python -m exercises", Command, main)
