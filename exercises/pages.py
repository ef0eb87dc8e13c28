"""What a page shows of other files is put there by this program and compared by the tests: `python -m exercises.pages`.

In a page, a comment before a fence says what the fence holds:

    <!-- shows: starter -->            the starter file
    <!-- shows: solution -->           the solution file
    <!-- shows: check NAME -->         what `check` says to the wrong answer NAME
    <!-- shows: check solution -->     what `check` says to the solution

Between `<!-- mistakes -->` and `<!-- end -->` it puts the table of all known wrong answers.

"""

import re
from pathlib import Path

from exercises import translation
from exercises.catalogue import EXERCISES, HERE, Exercise
from exercises.checking import run_all
from exercises.declaring import Wrong, checks_of
from exercises.running import load

README = HERE / "README.md"
HINTS = ("concept", "formula", "line")
SHOWN = re.compile(r"(<!-- shows: ([^>]*?) -->\n```(?:python|text)\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
MISTAKES = re.compile(r"(<!-- mistakes -->\n)(.*?)(<!-- end -->)", re.DOTALL)
KOREAN_HINTS = ("개념", "수식", "코드")
HINT = re.compile(r"<summary><code>(\w+)</code>, (?:hint|힌트) (\d): (\w+)</summary>\s*(.*?)\s*</details>", re.DOTALL)


def hints(page: Path) -> dict[str, list[str]]:
    """The three hints for each function, as a page has them folded."""
    found: dict[str, list[str]] = {}
    for function, number, title, text in HINT.findall(page.read_text(encoding="utf-8")):
        found.setdefault(function, []).append(text)
        count = len(found[function])
        assert int(number) == count and title in (HINTS[count - 1], KOREAN_HINTS[count - 1]), f"{page}: {function}"
    return found


def refreshed(exercise: Exercise, text: str) -> str:
    """The page with everything that it shows of other files as those now are."""
    text = SHOWN.sub(lambda m: m[1] + content(exercise, m[2]) + m[4], text)
    return MISTAKES.sub(lambda m: m[1] + mistakes(exercise) + m[3], text)


def mistakes(exercise: Exercise) -> str:
    """The table of the wrong answers that the checker knows by their numbers."""
    rows = [f"| `{w.name}` | `{w.function}` | {w.diagnosis.replace('|', chr(92) + '|')} |" for w in checks_of(exercise).WRONG]
    return "\n".join(["| name | in | what the checker says |", "|---|---|---|", *rows]) + "\n"


def content(exercise: Exercise, what: str) -> str:
    """What a comment `<!-- shows: WHAT -->` asks for."""
    if what in ("starter", "solution"):
        return getattr(exercise, what).read_text(encoding="utf-8")
    if what.startswith("check "):
        return transcript(exercise, what.removeprefix("check "))
    raise ValueError(f"{exercise.page}: nothing is called {what!r}")


def transcript(exercise: Exercise, name: str) -> str:
    """What the checker prints for the solution, or for a file with one wrong answer in it."""
    module, known = load(exercise.solution), checks_of(exercise)
    wrong = {w.name: w for w in known.WRONG}
    if name != "solution":
        answer: Wrong = wrong[name]
        setattr(module, answer.function, answer.answer)
    lines = [f"checking my_work/{exercise.starter.name}"]
    run_all(exercise, module, lines.append)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for one in EXERCISES:
        one.page.write_text(refreshed(one, one.page.read_text(encoding="utf-8")), encoding="utf-8")
    for korean in translation.PAGES:
        korean.write_text(translation.with_blocks_of_the_english_page(korean), encoding="utf-8")
