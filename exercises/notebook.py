"""Write an exercise as a Jupyter notebook: the page's text, the starter to fill in, a cell that checks it, the hints folded.

The page is the only source. The notebook works on the same file as the command line, my_work/exNN.py: its starter cell is
saved there by %%exercise NN, and the check cell runs `python -m exercises check NN`.
"""

import hashlib
import json
import re
from typing import Any

from exercises import progress
from exercises.catalogue import Exercise, find
from exercises.progress import MY_WORK
from vae_numpy.files import write_atomically

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = '!"{sys.executable}"'
"""The start of a shell line in a cell; the path of Python may hold a space."""
SKIPPED = ("One solution",)
"""Sections that are not shown: the solution stands on the page."""


def write(exercise: Exercise) -> str:
    """Write my_work/NN_name.ipynb, unless it is there already; what was written."""
    path = MY_WORK / f"{exercise.number}_{exercise.name}.ipynb"
    if path.exists():
        raise ValueError(f"{path} exists already and is not changed; move it away to start again")
    write_atomically(path, json.dumps(notebook(exercise), indent=1, ensure_ascii=False).encode())
    if (work := _written(exercise)) is not None:
        progress.note(exercise, notebook=_digest(work))
    return f"{path}: open it with Jupyter, in the folder of the project"


def notebook(exercise: Exercise) -> dict[str, Any]:
    """The notebook, as nbformat 4.5 describes it."""
    cells = [
        *_setup(exercise),
        *(cell for title, text in sections(exercise) if title not in SKIPPED for cell in _section(exercise, title, text)),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def sections(exercise: Exercise) -> list[tuple[str, str]]:
    """(title, text) of every section of the page; the first, before any heading, has an empty title."""
    parts = re.split(r"^## (.+)$", exercise.page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]


def _setup(exercise: Exercise) -> list[dict[str, Any]]:
    install = [
        "# Finds the project. On a hosted notebook it installs the project: put its address in",
        "import os, pathlib, subprocess, sys",
        "ADDRESS = ''  # for `git clone`",
        "while not pathlib.Path('exercises/catalogue.py').is_file() and pathlib.Path.cwd() != pathlib.Path.cwd().parent:",
        "    os.chdir('..')",
        "if not pathlib.Path('exercises/catalogue.py').is_file():",
        "    assert ADDRESS, 'the project is not here: write the address of its repository into ADDRESS'",
        "    os.chdir(pathlib.Path.home())",
        "    subprocess.run(['git', 'clone', '--depth', '1', ADDRESS, 'vae-levels'], check=True)",
        "    os.chdir('vae-levels')",
        "    subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--editable', '.'], check=True)",
        "sys.path.insert(0, os.getcwd())",
        "pathlib.Path('my_work').mkdir(exist_ok=True)",
        "from exercises.notebook import save",
        "get_ipython().register_magic_function(save, 'cell', 'exercise')",
    ]
    return [_code("\n".join(install))]


def _section(exercise: Exercise, title: str, text: str) -> list[dict[str, Any]]:
    """The cells of one section: text with its fences; Python sessions and the starter become code cells."""
    cells: list[dict[str, Any]] = []
    text = re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](../exercises/\1)", text)  # a link of the page, seen from my_work/
    text = text.replace("](../exercises/../", "](../")
    text = re.sub(r"<!-- (?:mistakes|end) -->\n", "", text)
    text = re.sub(r"^```math\n(.*?)^```$", r"$$\n\1$$", text, flags=re.MULTILINE | re.DOTALL)  # as Jupyter writes formulas
    heading = f"## {title}\n" if title else ""
    last = 0
    for match in FENCE.finditer(text):
        shown = re.search(r"<!-- shows: ([^>]*?) -->\n$", text[: match.start()])
        info, content = match[1], match[2]
        before_it = text[: match.start()]
        if before_it.count("<details>") > before_it.count("</details>"):
            continue  # what is folded stays folded
        if info == "python" and shown and shown[1] == "starter":
            cell = _code(f"%%exercise {exercise.number}\n{(_written(exercise) or content).rstrip()}")
        elif info == "python":
            cell = _code(session(content))
        elif info == "bash" and (command := _shell(content)):
            cell = _code(command)
        else:
            continue
        before = text[last : match.start()]
        cells += _text(heading + re.sub(r"<!-- shows: [^>]*? -->\n", "", before))
        heading, last = "", match.end()
        cells.append(cell)
    cells += _text(heading + re.sub(r"<!-- shows: [^>]*? -->\n", "", text[last:]))
    if title == "Check it":
        picture = f"from IPython.display import Image, display\ndisplay(Image('my_work/ex{exercise.number}.png'))"
        cells += _text("After all checks pass, this draws the experiment with your own functions:")
        cells.append(_code(f"{PYTHON} -m exercises run {exercise.number}\n{picture}"))
    return cells


def save(number: str, cell: str) -> None:
    """What %%exercise NN does: write the cell to my_work/exNN.py, unless the file holds work that the notebook does not have.

    The progress file notes what the notebook last wrote there. Any other text is the work of an editor.
    """
    exercise = find(number.strip())
    path, text, there = MY_WORK / exercise.starter.name, f"{cell.rstrip()}\n", _written(exercise)
    noted = progress.read().get(exercise.number, {}).get("notebook")
    if there is not None and _digest(there) not in (noted, _digest(text)):
        print(f"{path} was changed outside this notebook and is not overwritten: copy its text into this cell, or move it away")
        return
    write_atomically(path, text.encode())
    progress.note(exercise, notebook=_digest(text))
    print(f"{path} is saved")


def _written(exercise: Exercise) -> str | None:
    """What the learner has written so far; None where there is no file."""
    path = MY_WORK / exercise.starter.name
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()


def session(content: str) -> str:
    """The code of a Python session, without prompts and printed output."""
    lines = content.splitlines()
    if not any(line.startswith(">>>") for line in lines):
        return content.rstrip()
    return "\n".join(line[4:] for line in lines if line.startswith((">>>", "...")))


def _shell(content: str) -> str | None:
    """`check`, `run` and `hint` as commands of a cell; `start` is what the starter cell does."""
    lines = [line for line in content.splitlines() if re.match(r"python -m exercises (check|hint|run) \d\d$", line)]
    return "\n".join(f"{PYTHON} {line.removeprefix('python ')}" for line in lines) or None


def _text(source: str) -> list[dict[str, Any]]:
    source = source.strip()
    source = re.sub(r"^```bash\n(?:python -m exercises start \d\d)\n```$", "", source, flags=re.MULTILINE)
    return [{"cell_type": "markdown", "metadata": {}, "source": source}] if source else []


def _code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
