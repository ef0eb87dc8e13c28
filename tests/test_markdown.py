"""The text is executed: every Python block of every page runs, its printed output is compared, and no block hides.

A page's blocks share one namespace and run in order, from the repository's root. Shell commands are run too, or stand on
a short list that says why not.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.parsers.markdown import PythonCodeBlockParser

from exercises import translation

ROOT = Path(__file__).parents[1]
SKIPPED_FOLDERS = {".venv", ".git", "runs", "my_work", "build", "dist", "node_modules"}


def pages() -> list[Path]:
    """Every markdown file of the repository, in no hidden folder but .github."""
    found = []
    for folder, below, names in os.walk(ROOT):
        below[:] = [b for b in below if b not in SKIPPED_FOLDERS and (not b.startswith(".") or b == ".github")]
        found += [Path(folder) / name for name in names if name.endswith(".md")]
    return sorted(found)


PAGES = pages()
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
FENCES = {"python", "text", "bash", "math", "mermaid"}
FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^\n`]*)$", re.MULTILINE)
each_page = pytest.mark.parametrize("path", PAGES, ids=NAMES)

# Commands that are shown and not run here, each with the reason.
NOT_RUN_HERE = {
    r"make( \w+)?( TORCH_INDEX=\S+)?": "makes the environment in which these tests run",
    r"git clone \S+": "needs a network",
    r"cd \S+": "the tests are there already",
    r"export VAE_DATA=\S+": "an example of a folder",
    r"python -m vae_paper download \S+": "needs a network; tests/ try it against a local server",
    r"python -m vae_(lowlevel|paper)\b.*": "minutes of training or evaluation; every option is tested by itself",
    r"python -m vae_numpy\b.*": "tested by itself, in a process without torch",
    r"python -m pytest\b.*": "these tests",
    r"python -m exercises (start|check|watch|hint|run|notebook) (\d\d|NN)": "run by tests/test_exercise_commands.py",
    r"python -m exercises\.make_figures( \d\d)?": "trains for a minute or two; run under the `slow` mark",
    r"python3 -m venv \S+|source \.venv/bin/activate": "makes the environment in which these tests run",
    r"pip install\b.*|(OMP_NUM_THREADS=1 )?\.venv/bin/\S+.*": "makes the environment in which these tests run",
}


def execute(path: Path) -> int:
    """Run the Python blocks of a page; how many examples there were."""
    document = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=NUMBER)]).parse(path)
    examples = list(document.examples())
    for example in examples:
        example.evaluate()
    return len(examples)


def fences(text: str) -> list[tuple[str, str]]:
    """(info, content) of every fenced block, however it is fenced."""
    found, lines, inside = [], text.splitlines(), None
    for line in lines:
        match = FENCE.match(line)
        if inside is None and match:
            inside = (match["ticks"], match["info"].strip(), [])
        elif inside is not None and match and match["ticks"].startswith(inside[0]) and not match["info"].strip():
            found.append((inside[1], "\n".join(inside[2])))
            inside = None
        elif inside is not None:
            inside[2].append(line)
    assert inside is None, f"a fence is never closed: {inside}"
    return found


@each_page
def test_every_block_has_a_fence_that_is_looked_at(path):
    text = path.read_text(encoding="utf-8")
    strange = {info for info, _ in fences(text)} - FENCES
    assert not strange, f"{path.name}: fences {sorted(strange)}; a block is one of {sorted(FENCES)}, or nothing checks it"
    assert not re.search(r"<pre|<code>[^<]*\n", text), f"{path.name}: a block in HTML is executed by nothing"
    indented = [line for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines() if line.startswith("    ")]
    assert not [line for line in indented if ">>>" in line], f"{path.name}: an indented example is executed by nothing"


LONG = {"docs/own.md", "docs/iwae.md"}  # training, and importance samples
EXECUTED = [
    pytest.param(path, id=name, marks=pytest.mark.thorough if name in LONG else [])
    for path, name in zip(PAGES, NAMES, strict=True)
    if path not in translation.PAGES  # a Korean page has the blocks of the English one: test_korean
]


@pytest.mark.parametrize("path", EXECUTED)
def test_python_blocks_run_and_print_what_is_shown(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text(encoding="utf-8")
    executed = execute(path)
    # a block of a session counts once for each of its >>> examples, another block once
    expected = sum(max(1, len(re.findall(r"^>>> ", code, re.MULTILINE))) for info, code in fences(text) if info == "python")
    expected += text.count("<!-- invisible-code-block: python\n")  # names that the next block needs
    assert executed == expected, f"{path.name}: {executed} of {expected} examples were executed"


@each_page
def test_shell_commands_run_or_stand_on_the_list(path):
    for info, block in fences(path.read_text(encoding="utf-8")):
        if info != "bash":
            continue
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+#.*$", "", line).strip()
            if not command or command.startswith("#"):
                continue
            if any(re.fullmatch(pattern, command) for pattern in NOT_RUN_HERE):
                continue
            words = shlex.split(command)
            assert words[0] == "python", f"{path.name}: `{command}` is neither run here nor on the list"
            done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{path.name}: `{command}` ends with {done.returncode}: {done.stderr}"


@each_page
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


def test_the_readme_runs_the_tests_as_make_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^(\w+) :?= (.*)$", makefile, re.MULTILINE))
    command = re.sub(r"\$\((\w+)\)", lambda name: variables[name[1]], variables["PYTEST"])
    assert re.search(r"^test: .*\n\t\$\(PYTEST\)$", makefile, re.MULTILINE), "make test runs another command than PYTEST"
    shown = [line for _, block in fences((ROOT / "README.md").read_text(encoding="utf-8")) for line in block.splitlines()]
    assert command in shown, f"README.md: expected the command of `make test`, `{command}`"


def test_the_readme_is_one_reading():
    words = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert words <= 2500, f"README.md has {words} words; expected at most 2,500: move details to docs/"


def test_the_census_notices_what_sybil_skips():
    assert [info for info, _ in fences("```py\n1\n```\n~~~\n2\n~~~\n```python title=x\n3\n```\n")] == ["py", "", "python title=x"]


@pytest.mark.parametrize(("shown", "said"), [("f'{1 / 3:.4f}'\n0.3433", r"0\.3333"), ("7\n6", "7"), ("'a', 2\na 3", "a 2")])
def test_a_wrong_number_in_a_page_is_noticed(tmp_path, shown, said):
    page = tmp_path / "page.md"
    code, output = shown.split("\n")
    page.write_text(f"```python\n>>> print({code})\n{output}\n```\n", encoding="utf-8")
    with pytest.raises(Exception, match=said):
        execute(page)


@each_page
def test_tables_have_as_many_cells_in_each_row(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
        assert len(set(cells)) == 1, f"{path.name}: a row of the table that begins {table[:60]!r} has another number of cells"
        assert re.fullmatch(r"[|\-: ]+", table.splitlines()[1]), f"{path.name}: a table without its rule: {table[:60]!r}"
