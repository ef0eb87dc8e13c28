"""The exercises' command line: what is printed, which exit code, and that neither files nor progress are lost."""

import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from exercises import __main__ as loop
from exercises import experiments, isolation, notebook, pages, progress, translation
from exercises.catalogue import EXERCISES, find
from exercises.running import load
from vae_numpy import weights

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def work(number, code=None):
    """The learner's file, with this code or the solution in it."""
    exercise = find(number)
    path = loop.work_file(exercise)
    path.parent.mkdir(exist_ok=True)
    path.write_text(exercise.solution.read_text(encoding="utf-8") if code is None else code, encoding="utf-8")
    return path


def checked(number, code=None, seconds=20.0):
    """The verdict on a file with this code."""
    return isolation.check_apart(find(number), work(number, code), seconds)


def noted(number):
    return json.loads(Path("my_work/progress.json").read_text(encoding="utf-8"))[number]


def test_the_loop(capfd):
    exercise = find("5")
    assert find("05_kl_divergence") is exercise
    with pytest.raises(FileNotFoundError, match="exercises start 05"):
        loop.main(loop.Check("05"))
    loop.main(loop.Start("5"))
    path = Path("my_work/ex05.py")
    assert path.read_text(encoding="utf-8") == exercise.starter.read_text(encoding="utf-8")
    path.write_text(exercise.starter.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="is not changed"):
        loop.main(loop.Start("05"))
    assert path.read_text(encoding="utf-8").endswith("# mine\n")

    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        loop.main(loop.Check("05"))
    said = capfd.readouterr().out
    assert stopped.value.code == 1
    assert said.replace("\\", "/").startswith("checking my_work/ex05.py\n") and "kl_divergence is not written yet" in said

    for word in ("concept", "formula", "line", "line"):
        loop.main(loop.Hint("05"))
        assert f", {word}:" in (said := capfd.readouterr().out)
        assert "$" not in said and "\\" not in said
    with pytest.raises(ValueError, match="kl_by_sampling"):
        loop.main(loop.Hint("05", "nonsense"))

    work("05")
    loop.main(loop.Check("05"))
    said = capfd.readouterr().out.replace("\r\n", "\n").replace("\\", "/")
    assert said.startswith(pages.transcript(exercise, "solution"))
    assert "python -m exercises run 05" in said and "start 04" in said  # what comes next in a first course
    loop.main(loop.List())
    line = next(row for row in capfd.readouterr().out.splitlines() if row.startswith("05"))
    assert "C: compute the KL divergence" in line and "done, 3 hints" in line
    assert noted("05")["passed"] == exercise.checks

    loop.main(loop.Hint("05"))  # after all checks pass there is nothing to hint at
    assert "no hint is needed" in capfd.readouterr().out and noted("05")["hints"] == {"kl_divergence": 3}
    loop.main(loop.Hint("05", "kl_by_sampling"))  # another file may need it
    assert "kl_by_sampling, hint 1 of 3" in capfd.readouterr().out

    path.write_text("", encoding="utf-8")
    loop.main(loop.List())
    assert "changed since" in capfd.readouterr().out
    loop.main(loop.Hint("05"))  # the file has changed, so hints are given again
    said = capfd.readouterr().out
    assert "First run: python -m exercises check 05" in said and "hint " in said.partition("\n")[2]


# Isolation


def after_import(body):
    """The solution of exercise 05 with another kl_divergence."""
    indented = "\n    ".join(body.splitlines())
    return find("05").solution.read_text(encoding="utf-8") + f"\n\ndef kl_divergence(mu, logvar):\n    {indented}\n"


STOPPED = {
    "at import": ("import os\nos._exit(0)\n", "the import ended Python with exit code 0"),
    "in a function": (
        after_import("import os\nprint('printed: 한글')\nos._exit(0)"),
        "printed: ??\n\ncheck 1 of 5 fails\nkl_divergence: the code ended Python with exit code 0",
    ),
}
ENDINGS = {
    "sys.exit at import": ("import sys\nsys.exit(0)\n", "sys.exit was called"),
    "an error at import": ("1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (line 1 of ex05.py)"),
    "no Python": ("def kl_divergence(mu, logvar)\n", "cannot be imported: SyntaxError"),
    "NUL bytes": ("\0", "cannot be imported"),
    "nothing": ("", "kl_divergence is missing"),
    "sys.exit in a function": (after_import("import sys\nsys.exit(0)"), "sys.exit was called"),
    "recursion": (after_import("return kl_divergence(mu, logvar)"), "RecursionError: a function calls itself without end"),
    "a wrong attribute": (after_import("return mu.no_such_thing"), "AttributeError: 'numpy.ndarray' object has no attribute"),
    "an answer from the library": ("from vae_numpy.vae import kl_divergence\n", "uses vae_numpy.vae.kl_divergence (line 1)"),
}


@pytest.mark.parametrize(("code", "said"), STOPPED.values(), ids=STOPPED)
def test_what_ends_python_ends_its_own_process_only(code, said, capfd, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    verdict = checked("05", code)
    assert not verdict.complete and verdict.passed == 0 and said in capfd.readouterr().out.replace("\r\n", "\n")


@pytest.mark.parametrize(("code", "said"), ENDINGS.values(), ids=ENDINGS)
def test_whatever_ends_the_code_is_a_failure_with_a_line(code, said, capfd, monkeypatch, tmp_path):
    """In this process, to save the time of starting another."""
    monkeypatch.setattr(isolation, "_limit_memory", lambda: None)
    notes = tmp_path / "notes"
    assert isolation._inside("check", "05", work("05", code), notes) == 1
    printed = capfd.readouterr()
    assert said in printed.out and "Traceback" not in printed.out + printed.err
    assert json.loads(notes.read_text(encoding="utf-8").splitlines()[-1])["done"] == 0


@pytest.fixture
def in_this_process(monkeypatch):
    """The checker starts no process."""

    def run(task, exercise, path, seconds, *more):
        notes = Path("notes")
        code = isolation._inside(task, exercise.number, path, notes, *more)
        events = isolation._read(notes)
        notes.unlink(missing_ok=True)
        return events, isolation._ending(code, events, seconds)

    monkeypatch.setattr(isolation, "_limit_memory", lambda: None)
    monkeypatch.setattr(isolation, "_run", run)


@pytest.mark.usefixtures("in_this_process")
def test_what_is_raised_is_said_in_words(capfd, monkeypatch):
    assert checked("05", after_import("raise KeyboardInterrupt('mine')")).stopped_at == "kl_divergence"
    said = capfd.readouterr()
    assert (
        re.search(r"kl_divergence: the code raised KeyboardInterrupt: mine \(line \d+ of ex05.py\)\n", said.out) and not said.err
    )
    korean = [translation.in_korean(line) for line in said.out.splitlines() if line]
    assert korean[-1] == "힌트: python -m exercises hint 05 kl_divergence"
    assert "예외가 발생했습니다: KeyboardInterrupt" in korean[-2]
    assert checked("05", "raise GeneratorExit\n").stopped_at is None
    assert "ex05.py: the import raised GeneratorExit (line 1 of ex05.py)" in capfd.readouterr().out
    monkeypatch.setattr(experiments, "draw", failing(errno.ENOSPC))
    assert not isolation.run_apart(find("05"), work("05"), Path("x.png"))
    assert re.search("the experiment of exercise 05 raised OSError: .*No space left", capfd.readouterr().out)


def test_a_reader_that_ends_gets_no_traceback(capfd, monkeypatch):
    def print_to_nobody(*args):
        raise BrokenPipeError

    monkeypatch.setattr(isolation, "_do", print_to_nobody)
    assert isolation._inside("check", "05", Path("ex05.py"), Path("notes")) == 141
    assert capfd.readouterr() == ("", "") and not Path("notes").exists()


def test_every_line_is_printed_at_once_in_any_encoding(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii", newline="\n"))
    isolation._print_everything()
    print("검사 05")
    assert printed.getvalue() == b"?? 05\n"


def test_python_that_starts_too_slowly_is_no_fault_of_the_file(capfd, monkeypatch):
    monkeypatch.setattr(isolation, "SECONDS_TO_START", 0.0)
    assert not checked("05").complete
    said = capfd.readouterr().out
    assert "ex05.py was not checked: the checker did not start within 0 seconds" in said and "import" not in said


@pytest.mark.thorough
def test_an_endless_loop_is_stopped(capfd):
    right = "return -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(1)"
    endless = f"import time\nif mu.shape == (3, 4):\n    while True:\n        time.sleep(0.01)\n{right}"
    verdict = checked("05", after_import(endless), seconds=3)
    assert not verdict.complete and verdict.stopped_at == "kl_divergence"
    assert "check 1 of 5 fails\nkl_divergence: the code did not end within 3 seconds and was stopped" in capfd.readouterr().out
    assert not checked("05", "while True:\n    pass\n", seconds=2).complete
    assert "the import did not end within 2 seconds and was stopped" in capfd.readouterr().out


@pytest.mark.parametrize("hog", ["return np.ones(10**11)"] if sys.platform == "linux" else ["raise MemoryError"])
def test_memory_has_a_limit(hog, capfd):
    assert not checked("05", after_import(hog)).complete
    assert "MemoryError: more memory than the checker allows" in capfd.readouterr().out


@pytest.mark.thorough
def test_what_the_code_prints_is_shown_and_the_exit_code_is_0_only_where_all_passed():
    work("05", find("05").solution.read_text(encoding="utf-8") + "\nprint('hello')\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "exercises", "check"]
    right = subprocess.run([*command, "05"], capture_output=True, text=True, check=False, env=environment)
    assert right.returncode == 0 and "hello" in right.stdout and "all 5 checks pass" in right.stdout
    work("05", "import atexit, os\natexit.register(os._exit, 0)\n")
    wrong = subprocess.run([*command, "05"], capture_output=True, text=True, check=False, env=environment)
    assert wrong.returncode == 1
    none = subprocess.run([*command, "06"], capture_output=True, text=True, check=False, env=environment)
    assert none.returncode == 2 and none.stderr.count("\n") == 1


def test_any_file_can_be_checked_and_progress_belongs_to_one_exercise(capfd):
    source = work("05")
    other = Path("mine")  # no .py
    other.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    loop.main(loop.Check("05", other))
    assert "all 5 checks pass" in capfd.readouterr().out
    assert not Path("my_work/progress.json").exists()  # another file's success is not this exercise's progress
    with pytest.raises(ValueError, match=r"ex05\.py is the file of exercise 05"):
        loop.main(loop.Check("06", source))
    with pytest.raises(SystemExit):
        loop.main(loop.Check("06", other))
    said = capfd.readouterr().out
    assert "implied_beta is missing" in said and said.endswith("for a hint: python -m exercises hint 06 implied_beta\n")
    assert not Path("my_work/progress.json").exists()


def test_advice_fits_the_file(monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nope\.py: no such file$"):
        loop.main(loop.Check("05", Path("nope.py")))
    monkeypatch.setattr(loop, "check_apart", lambda *args: isolation.Verdict(5, None, True))
    assert loop.check(find("05"), work("05").resolve()) and noted("05")["passed"] == 5  # the same file by another name


# Progress


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"01": 5}',
        '{"name": "a package"}',
        "{",
        "1e999",
        '{"05": {"hints": {"a": "b"}}}',
        '{"05": {"passed": true}}',
        "\ufeff{}",
        "[" * 100_000,
    ],
)
def test_a_damaged_progress_file_is_kept_aside(text, capfd):
    work("05")
    file = Path("my_work/progress.json")
    file.write_text(text, encoding="utf-8")
    loop.main(loop.List())
    said = capfd.readouterr()
    assert said.err.count("\n") == 1 and "progress_set_aside.json" in said.err and "started" in said.out
    assert Path("my_work/progress_set_aside.json").read_text(encoding="utf-8") == text and not file.exists()
    loop.main(loop.Hint("05"))
    assert noted("05")["hints"] == {"kl_divergence": 1}
    file.write_bytes(b"\xff\xfe")
    loop.main(loop.List())
    assert "progress_set_aside_2.json" in capfd.readouterr().err


def failing(number):
    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES], ids=["read-only", "full", "forbidden"])
def test_a_folder_that_cannot_be_written_to_stops_nothing(number, capfd, monkeypatch):
    work("05")
    monkeypatch.setattr(progress, "write_atomically", failing(number))
    loop.main(loop.Check("05"))
    said = capfd.readouterr()
    assert "all 5 checks pass" in said.out and said.err == f"your progress could not be saved: {os.strerror(number)}\n"
    loop.main(loop.Hint("06"))
    assert "implied_beta, hint 1 of 3" in capfd.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="a link may be forbidden")
def test_progress_is_not_written_through_a_link(capfd):
    work("05")
    Path("elsewhere.json").write_text("{}")
    progress.PROGRESS.symlink_to(Path("elsewhere.json").resolve())
    progress.note(find("05"), passed=5)
    assert re.match(r"your progress could not be saved: .*a symbolic link.*\n$", capfd.readouterr().err)


def test_start_on_a_full_disk_leaves_no_file(monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(OSError, match="could not be written"):
            loop.main(loop.Start("05"))
    assert not list(Path("my_work").iterdir())
    loop.main(loop.Start("05"))


# watch, run, notebook


def test_watch_checks_again_after_each_save(capfd, monkeypatch):
    path = work("09", find("09").starter.read_text(encoding="utf-8"))
    versions = [
        find("09").solution.read_text(encoding="utf-8").replace("min(1.0", "max(1.0"),
        None,
        find("09").solution.read_text(encoding="utf-8"),
    ]

    def save(seconds):
        text = versions.pop(0)
        if text is None:
            path.unlink()  # an editor that writes in two steps
        else:
            path.write_text(text, encoding="utf-8")

    monkeypatch.setattr(loop, "sleep", save)
    loop.main(loop.Watch("09"))
    said = capfd.readouterr().out
    assert said.count("\nchecking ") == 3 and said.count("check 1 of 4 fails") == 2 and said.count("all 4 checks pass") == 1


def test_run_draws_only_what_passes(capfd):
    work("05", find("05").starter.read_text(encoding="utf-8"))
    with pytest.raises(SystemExit):
        loop.main(loop.Run("05"))
    assert "needs functions that pass all checks" in capfd.readouterr().out and not Path("my_work/ex05.png").exists()


def test_an_experiment_takes_every_result_that_the_checks_accept(monkeypatch):
    pretrained = experiments.PRETRAINED / "vae_mnist_d20.safetensors"
    monkeypatch.setattr(experiments, "adapted", lambda latent_dim: weights.load(pretrained)[0])
    mine = load(find("02").solution)

    def in_lists(function):
        return lambda *args: function(*args).tolist()

    for name in ("label_direction", "lerp", "slerp", "label_walk"):
        monkeypatch.setattr(mine, name, in_lists(getattr(mine, name)))
    assert "drawn with your functions\nPretrained MNIST weights" in experiments.draw(find("02"), mine, Path("x.png"))
    both = experiments.in_arrays([(1.0, 2.0), [3.0]])
    assert [part.tolist() for part in both] == [[1.0, 2.0], [3.0]]


FAST = ("03", "04", "13")


def drawn(number, capfd):
    work(number)
    loop.main(loop.Run(number))
    said = capfd.readouterr().out
    picture = Path(f"my_work/ex{number}.png")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000
    assert f"ex{number}.png, drawn with your functions\n" in said
    assert 1 <= len(said.split("drawn with your functions\n")[1].strip().splitlines()) <= 2 + ("Pretrained MNIST" in said)
    assert "draws the experiment" not in said, "the command that has just run is no next step"


@pytest.mark.thorough
@pytest.mark.parametrize("number", FAST[:1])
def test_run_draws_a_picture(number, capfd, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nosuch")  # a picture in a file needs no backend
    drawn(number, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [e.number for e in EXERCISES if e.number not in FAST[:1]])
def test_run_draws_every_picture(exercise, capfd):
    drawn(exercise, capfd)


def executed(exercise, folder):
    """Run a notebook's cells as IPython does: %%exercise, shell lines, Python. What the shell lines printed."""
    (folder / "exercises").symlink_to(ROOT / "exercises") if os.name != "nt" else None
    magics, printed = {}, []
    shell = SimpleNamespace(register_magic_function=lambda function, kind, name: magics.update({f"%%{name}": function}))
    namespace = {"__name__": "__main__", "get_ipython": lambda: shell}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    for cell in notebook.notebook(exercise)["cells"]:
        source = cell["source"]
        if cell["cell_type"] != "code" or "IPython" in source:
            continue
        if source.startswith("%%"):
            first, rest = source.split("\n", 1)
            assert rest.strip() == exercise.starter.read_text(encoding="utf-8").strip()
            magic, line = first.split(" ", 1)
            magics[magic](line, exercise.solution.read_text(encoding="utf-8"))
        elif source.startswith("!"):
            for line in source.splitlines():
                command = [word.replace("{sys.executable}", sys.executable) for word in shlex.split(line[1:])]
                done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
                assert done.returncode == 0, done.stdout + done.stderr
                printed.append(done.stdout)
        else:
            exec(source, namespace)
    return printed


def is_a_notebook(made):
    """What nbformat 4.5 asks for."""
    assert made["nbformat"] == 4 and made["nbformat_minor"] == 5 and made["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    for cell in made["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell["id"]) and isinstance(cell["source"], str) and cell["metadata"] == {}
        keys = {"cell_type", "metadata", "source", "id"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        assert cell.keys() == keys


@pytest.mark.parametrize("exercise", EXERCISES, ids=[e.number for e in EXERCISES])
def test_a_notebook_says_what_the_page_says(exercise, capfd):
    loop.main(loop.Notebook(exercise.number))
    path = Path(f"my_work/{exercise.number}_{exercise.name}.ipynb")
    made = json.loads(path.read_text(encoding="utf-8"))
    is_a_notebook(made)
    text = "\n".join(cell["source"] for cell in made["cells"] if cell["cell_type"] == "markdown")
    for title in ("Predict first", "The idea", "Your task", "Hints", "Common mistakes", "Reflect"):
        assert f"## {title}" in text
    assert "One solution" not in text and "```math" not in text and "<!-- shows" not in text
    assert text.count("<details>") == text.count("</details>")
    code = [cell["source"] for cell in made["cells"] if cell["cell_type"] == "code"]
    assert any(c.startswith(f"%%exercise {exercise.number}\n") for c in code)
    assert f'!"{{sys.executable}}" -m exercises check {exercise.number}' in code  # the path may hold a space
    assert not any(line.startswith("!{") for c in code for line in c.splitlines())
    assert not any(line.startswith(">>>") for c in code for line in c.splitlines())
    with pytest.raises(ValueError, match="is not changed"):
        loop.main(loop.Notebook(exercise.number))


def test_a_notebook_keeps_what_was_written(capfd):
    work("05", "# mine\n")
    cells = notebook.notebook(find("05"))["cells"]
    assert any(cell["source"] == "%%exercise 05\n# mine" for cell in cells)


def test_a_notebook_does_not_overwrite_what_an_editor_wrote(capfd):
    path = work("05", "# mine\n")
    loop.main(loop.Notebook("05"))
    notebook.save("05", "# in the cell")
    notebook.save("05", "# in the cell again\n")
    assert path.read_text(encoding="utf-8") == "# in the cell again\n" and "ex05.py is saved" in capfd.readouterr().out
    path.write_text("# in an editor\n", encoding="utf-8")
    notebook.save("05", "# in the cell again\n")
    assert path.read_text(encoding="utf-8") == "# in an editor\n" and "is not overwritten" in capfd.readouterr().out
    notebook.save("05", "# in an editor\n")  # copied into the cell
    notebook.save("05", "# in the cell\n")
    path.unlink()
    notebook.save("05", "# new\n")
    assert path.read_text(encoding="utf-8") == "# new\n" and "not overwritten" not in capfd.readouterr().out


def test_a_notebook_runs_with_the_solution(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    run_in(find("09"), tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.number != "09"], ids=lambda e: e.number)
def test_every_notebook_runs_with_the_solution(exercise, tmp_path, monkeypatch):
    run_in(exercise, tmp_path, monkeypatch)


def run_in(exercise, folder, monkeypatch):
    """In a folder that looks like the project, so that nobody's my_work/ is touched."""
    monkeypatch.chdir(folder)
    for name in ("results", "data"):
        (folder / name).symlink_to(ROOT / name)
    printed = executed(exercise, folder)
    assert f"all {exercise.checks} checks pass" in "".join(printed)
