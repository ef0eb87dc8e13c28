"""The learner's code runs in a Python process of its own, with a time limit and a memory limit.

An endless loop, sys.exit, os._exit or a crash ends that process and not the checker. Only what the process writes into a file
of its own, at the end of all checks, counts as a pass; its exit code does not. What the code prints is shown as it comes.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exercises.catalogue import Exercise, find
from exercises.translation import say

SECONDS = 20.0
"""For all checks of an exercise together, from the moment at which the learner's file is imported."""
SECONDS_TO_START = 120.0
"""For Python to start and to import NumPy and torch, on a slow machine."""
SECONDS_TO_RUN = 300.0
"""For an experiment, which may train for a minute, on a busy machine."""
BYTES = 4 * 2**30
"""Memory for data, where the system can limit it (Linux; macOS and Windows set no limit)."""


@dataclass(frozen=True)
class Verdict:
    """What came of running the checks."""

    passed: int
    """How many checks passed."""
    stopped_at: str | None
    """The function whose check failed; None where all passed, or where the file could not be imported."""
    complete: bool
    """Whether all checks passed."""


def check_apart(exercise: Exercise, path: Path, seconds: float = SECONDS) -> Verdict:
    """Run the checks of a file in a process of its own; what is wrong is printed."""
    events, ending = _run("check", exercise, path, seconds)
    if events and "done" in events[-1]:
        done = events[-1]
        return Verdict(done["done"], done["stopped_at"], done["done"] == exercise.checks and done["stopped_at"] is None)
    running = next((e for e in reversed(events) if "running" in e), None)
    if running is None:
        began = any("ready" in e for e in events)
        say(f"\n{path}: the import {ending}" if began else f"\n{path} was not checked: the checker {ending}")
        return Verdict(0, None, False)
    number, function = running["running"], running["function"]
    say(f"\ncheck {number} of {exercise.checks} fails\n{function}: the code {ending}")
    say(f"\nfor a hint: python -m exercises hint {exercise.number} {function}")
    return Verdict(number - 1, function, False)


def run_apart(exercise: Exercise, path: Path, picture: Path, seconds: float = SECONDS_TO_RUN) -> bool:
    """Draw an exercise's experiment with the functions of a file, in a process of its own; whether it was drawn."""
    events, ending = _run("run", exercise, path, seconds, str(picture))
    if events and "done" in events[-1]:
        return bool(events[-1]["done"])
    say(f"\nthe experiment of exercise {exercise.number} {ending}")
    return False


def _run(task: str, exercise: Exercise, path: Path, seconds: float, *more: str) -> tuple[list[dict[str, Any]], str]:
    """Start the process and wait; what it noted, and how it ended, in words."""
    sys.stdout.flush()
    root = str(Path(__file__).parents[1])
    # Small arrays: one thread is as fast as many, and does not wait for cores that other programs use
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    environment = (
        threads
        | dict(os.environ)
        | {"MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        notes = Path(folder) / "events"
        command = [sys.executable, "-m", "exercises.isolation", task, exercise.number, str(path), str(notes), *more]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
        try:
            code = _wait(child, notes, seconds)
        finally:  # on Ctrl-C too
            child.kill()
            child.wait()
        events = _read(notes)
        return events, _ending(code, events, seconds)


def _wait(child: subprocess.Popen, notes: Path, seconds: float) -> int | None:
    """The exit code; None where the time is over. The clock starts at the first note: imports are not the learner's time."""
    deadline = time.monotonic() + SECONDS_TO_START
    started = False
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(0.1)
        if not started and notes.exists():
            started, deadline = True, time.monotonic() + seconds
    return None


def _ending(code: int | None, events: list[dict[str, Any]], seconds: float) -> str:
    raised = next((e["raised"] for e in events if "raised" in e), None)
    if raised:
        return f"raised {raised}"
    if code is None and not events:
        return f"did not start within {SECONDS_TO_START:g} seconds; is this computer busy?"
    if code is None:
        return f"did not end within {seconds:g} seconds and was stopped: is there an endless or a very long loop?"
    if code < 0:
        return f"crashed Python (signal {-code}: deep recursion, or too much memory?)"
    if code > 255:  # a Windows exception code
        return f"crashed Python (code {code:#x}: deep recursion, or too much memory?)"
    return f"ended Python with exit code {code}: is os._exit called?"


def _read(notes: Path) -> list[dict[str, Any]]:
    try:
        lines = notes.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                events.append(event)
    return events


# In the process of its own


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = BYTES if hard == resource.RLIM_INFINITY else min(BYTES, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _inside(task: str, number: str, path: Path, notes: Path, *more: str) -> int:
    """Do the task; the exit code. Whatever is raised is noted in words."""

    def note(**event: Any) -> None:
        with open(notes, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    try:
        return _do(task, find(number), path, note, *more)
    except BrokenPipeError:  # nobody reads what is printed
        return 141  # as after `| head` in a shell
    except BaseException as error:  # such as KeyboardInterrupt
        from exercises.running import in_words

        if task == "check" and isinstance(error, Exception):
            traceback.print_exc()  # a bug of the checker
        note(raised=in_words(error, path))
        return 1


def _do(task: str, exercise: Exercise, path: Path, note: Callable[..., None], *more: str) -> int:
    from exercises import imports
    from exercises.checking import run_all
    from exercises.declaring import checks_of
    from exercises.running import load

    checks_of(exercise)  # what the checks import does not count against the learner's memory
    _limit_memory()
    note(ready=True)
    if problem := imports.refusal(exercise.number, path):
        say(f"\n{problem}")
        note(done=0, stopped_at=None)
        return 1
    try:
        module = load(path)
    except ValueError as error:
        say(f"\n{error}")
        note(done=0, stopped_at=None)
        return 1
    if task == "run":
        from exercises.experiments import draw

        say(draw(exercise, module, Path(more[0])))
        note(done=1)
        return 0
    passed, failure = run_all(exercise, module, say, lambda at, function: note(running=at, function=function))
    note(done=passed, stopped_at=failure.check.function if failure else None)
    return 0 if failure is None else 1


def _print_everything() -> None:
    """A character that the terminal's encoding lacks becomes a question mark. Each line is written at once, also into a pipe."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)


if __name__ == "__main__":
    task, number, path, notes, *more = sys.argv[1:]
    del sys.argv[1:]  # the learner's code is not told where the notes are
    _print_everything()
    code = _inside(task, number, Path(path), Path(notes), *more)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a broken pipe; closed by the learner; None
        sys.stdout.flush()
    os._exit(code)  # threads and exit handlers of the learner's code cannot hold it up
