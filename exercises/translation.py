"""The Korean edition: which English section a Korean section translates, and the checker's sentences in Korean.

A Korean page has the sections of the English page, in the same order. A comment before each heading names the English heading
and a hash of that section's text:

    <!-- translates "The idea", 3f2a9c1b0d -->
    ## 아이디어

The hash covers prose, tables and formulas, and no fenced block: `python -m exercises.pages` copies the fenced blocks from the
English page. If an English sentence changes, the hash no longer fits, and a test names the file and the heading.
"""

import functools
import hashlib
import json
import locale
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from exercises.catalogue import EXERCISES, HERE, Exercise

if TYPE_CHECKING:  # matplotlib is imported when a figure is drawn
    from matplotlib.figure import Figure

ROOT = HERE.parent
VARIABLE = "EXERCISES_LANG"
"""The environment variable that carries --lang to the process that runs the checks."""
SENTENCES, FIGURES = HERE / "ko" / "sentences.json", HERE / "ko" / "figures.json"
PAGES = {ROOT / "README.ko.md": ROOT / "README.md", HERE / "ko" / "README.md": HERE / "README.md"} | {
    HERE / "ko" / exercise.page.name: exercise.page for exercise in EXERCISES
}
"""The English page of each Korean page."""
MARK = re.compile(r'<!-- translates "(.+?)", (\w+) -->\n')
FENCE = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| `\w+` \| (.*) \|$", re.MULTILINE)


class Section(NamedTuple):
    """A heading and the text below it, up to the next heading."""

    title: str
    text: str

    @property
    def prose(self) -> str:
        """The text without comments and fenced blocks, each run of white space as one space."""
        return " ".join(COMMENT.sub("", FENCE.sub("", self.text)).split())

    @property
    def digest(self) -> str:
        """A hash of the heading and the prose."""
        return hashlib.sha256(f"{self.title}\n{self.prose}".encode()).hexdigest()[:10]

    @property
    def fences(self) -> list[str]:
        """The fenced blocks."""
        return FENCE.findall(self.text)


def sections(text: str) -> list[Section]:
    """The sections of a page. A line with # inside a fenced block is no heading."""
    hidden = FENCE.sub(lambda m: re.sub(r"^#", "\0", m[0], flags=re.MULTILINE), text)
    parts = re.split(r"^#{1,3} (.+)\n", hidden, flags=re.MULTILINE)
    return [Section(t, x.replace("\0", "#")) for t, x in zip(parts[1::2], parts[2::2], strict=True)]


def pairs(korean: Path) -> Iterator[tuple[str, str, Section, Section]]:
    """(named English heading, stored hash, English section, Korean section), in the order of the page."""
    text = korean.read_text(encoding="utf-8")
    ours, theirs = sections(PAGES[korean].read_text(encoding="utf-8")), sections(text)
    marks = MARK.findall(text)
    if not len(ours) == len(theirs) == len(marks):
        found = f"{len(theirs)} sections, {len(marks)} comments `translates`"
        raise ValueError(f"{korean.relative_to(ROOT)}: {found}; expected {len(ours)} of each, as {PAGES[korean].name} has")
    for (title, digest), section, translated in zip(marks, ours, theirs, strict=True):
        yield title, digest, section, translated


def stale(korean: Path) -> list[str]:
    """What to translate again, a line for each section whose English text is not the one that was translated."""
    name = korean.relative_to(ROOT).as_posix()
    return [
        f'{name}, "{ours.title}": the English section has changed; translate it again, then write '
        f'<!-- translates "{ours.title}", {ours.digest} -->'
        for title, digest, ours, _ in pairs(korean)
        if (title, digest) != (ours.title, ours.digest)
    ]


def with_blocks_of_the_english_page(korean: Path) -> str:
    """The Korean page with every fenced block as the English page has it."""
    text = korean.read_text(encoding="utf-8")
    blocks = [block for _, _, ours, _ in pairs(korean) for block in ours.fences]
    found = len(FENCE.findall(text))
    if found != len(blocks):
        raise ValueError(f"{korean.relative_to(ROOT)}: {found} fenced blocks; expected {len(blocks)}, as the English page has")
    return FENCE.sub(lambda _: blocks.pop(0), text)


# The commands


def language() -> str:
    """The language of the commands: `--lang`, or Korean where the system's language is Korean."""
    system = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or locale.getlocale()[0] or ""
    return os.environ.get(VARIABLE) or ("ko" if system.lower().startswith(("ko", "korean")) else "en")


def page(exercise: Exercise) -> Path:
    """The page of an exercise in the language of the commands."""
    return HERE / "ko" / exercise.page.name if language() == "ko" else exercise.page


def say(text: str = "") -> None:
    """Print at once, in the language of the commands."""
    print("\n".join(map(spoken, text.split("\n"))), flush=True)


def spoken(line: str) -> str:
    """A line of the commands in their language; it stays English if it has no translation."""
    return in_korean(line) if language() == "ko" else line


def in_korean(line: str) -> str:
    """A line of the commands in Korean, or as it is if it has no translation."""
    head, _, diagnosis = line.partition("diagnosis ")
    if diagnosis and not head:
        return f"진단      {_diagnoses().get(diagnosis) or _looked_up(diagnosis, SENTENCES) or diagnosis}"
    return _looked_up(line, SENTENCES) or line


def _looked_up(line: str, table: Path) -> str | None:
    """The translation of a line, whose varying parts are translated too; None if the table has none."""
    for pattern, translated in _patterns(table):
        if match := pattern.fullmatch(line):
            return translated.format(*(_looked_up(part, table) or part for part in match.groups()))
    return None


@functools.cache
def _patterns(table: Path) -> list[tuple[re.Pattern[str], str]]:
    """Each fixed sentence as a pattern, {} standing for any text, and its translation, where {0}, {1} are these texts."""
    found = json.loads(table.read_text(encoding="utf-8"))
    return [(re.compile(re.escape(english).replace(r"\{\}", "(.*?)")), korean) for english, korean in found.items()]


@functools.cache
def _diagnoses() -> dict[str, str]:
    """The Korean text of each diagnosis, from the tables of the pages."""
    found: dict[str, str] = {}
    for exercise in EXERCISES:
        ours, theirs = (
            dict(ROW.findall(p.read_text(encoding="utf-8"))) for p in (exercise.page, HERE / "ko" / exercise.page.name)
        )
        found |= {ours[name].replace(r"\|", "|"): theirs[name].replace(r"\|", "|") for name in ours}
    return found


def padded(text: str, width: int) -> str:
    """The text with spaces up to a width in a terminal, where a letter of Hangul is two columns wide."""
    columns = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)
    return text + " " * (width - columns)


# Figures

HANGUL = ("NanumGothic", "Noto Sans KR", "Noto Sans CJK KR", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic")


def in_hangul(figure: "Figure") -> bool:
    """Translate the words of a figure; False, and one line, if this computer has no font with Hangul."""
    from matplotlib.text import Text

    if not (font := _font_with_hangul()):
        print(f"no font with Hangul (one of {', '.join(HANGUL)}): the Korean figure is not drawn")
        return False
    for axis in figure.axes:
        words = [label.get_text() for label in axis.get_xticklabels()]
        if any(_looked_up(word, FIGURES) for word in words):  # otherwise the ticks are numbers, which matplotlib writes
            axis.set_xticks(
                axis.get_xticks(), [_looked_up(word, FIGURES) or word for word in words], family=[font, "DejaVu Sans"]
            )
    for text in figure.findobj(Text):
        if (korean := _looked_up(" ".join(text.get_text().split("\n")), FIGURES)) is not None:
            text.set_text(korean)
            text.set_fontfamily([font, "DejaVu Sans"])
    return True


@functools.cache
def _font_with_hangul() -> str | None:
    """The name of a font with Hangul that is installed; matplotlib's own list may be older than the font."""
    from matplotlib import font_manager

    fonts = [font for font in font_manager.FontManager().ttflist if font.name in HANGUL]
    for font in fonts:
        font_manager.fontManager.addfont(font.fname)
    return fonts[0].name if fonts else None
