"""What the learner has done so far: one small JSON file in my_work/, written atomically and read with suspicion."""

import json
import sys
from pathlib import Path
from typing import Any

from exercises.catalogue import EXERCISES, Exercise
from vae_numpy.files import write_atomically

MY_WORK = Path("my_work")
PROGRESS = MY_WORK / "progress.json"
FIELDS: dict[str, tuple[type, ...]] = {
    "passed": (int,),
    "sha256": (str,),
    "seconds": (int, float),
    "function": (str, type(None)),
    "hints": (dict,),
    "notebook": (str,),
}
"""What is noted of an exercise; each field may be missing."""


def read() -> dict[str, dict[str, Any]]:
    """What is noted, by exercise. A damaged or foreign file is moved aside, which is said in one line."""
    try:
        text = PROGRESS.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        return _set_aside(f"cannot be read ({type(error).__name__})")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return _set_aside("is damaged")
    return found if _is_ours(found) else _set_aside("does not hold the progress of these exercises")


def note(exercise: Exercise, **facts: Any) -> None:
    """Note facts on an exercise; where the folder cannot be written to, say so in one line and go on."""
    found = read()
    found[exercise.number] = found.get(exercise.number, {}) | facts
    try:
        write_atomically(PROGRESS, json.dumps(found, indent=1).encode())
    except (OSError, ValueError) as error:  # ValueError: a link, say
        print(f"your progress could not be saved: {getattr(error, 'strerror', None) or error}", file=sys.stderr)


def _is_ours(found: Any) -> bool:
    numbers = {exercise.number for exercise in EXERCISES}
    return isinstance(found, dict) and all(
        name in numbers and isinstance(noted, dict) and all(_fits(field, value) for field, value in noted.items())
        for name, noted in found.items()
    )


def _fits(field: str, value: Any) -> bool:
    if field not in FIELDS or not isinstance(value, FIELDS[field]) or isinstance(value, bool):
        return False
    return not isinstance(value, dict) or all(isinstance(n, int) and not isinstance(n, bool) for n in value.values())


def _set_aside(why: str) -> dict[str, dict[str, Any]]:
    aside = PROGRESS.with_name("progress_set_aside.json")
    count = 1
    while aside.exists():
        count += 1
        aside = PROGRESS.with_name(f"progress_set_aside_{count}.json")
    try:
        PROGRESS.replace(aside)
        kept = f"it is kept as {aside.as_posix()}"
    except OSError:
        kept = "it stays where it is"
    print(f"{PROGRESS.as_posix()} {why}; {kept}, and your progress starts again (your files are not changed)", file=sys.stderr)
    return {}
