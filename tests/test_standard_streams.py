"""What the terminal, a pipe or a full disk does to the output never spoils the work, and errors are one line."""

import dataclasses
import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import thorough_but

from vae_numpy import command_line, files, weights
from vae_numpy.command_line import run, shown

ROOT = Path(files.__file__).parents[1]
SCRIPT = """
import dataclasses, pathlib, sys
from vae_numpy.command_line import run

@dataclasses.dataclass
class Config:
    lines: int = 3
    wait: bool = False

def main(config):
    for line in range(config.lines):
        print("±", line)
        if config.wait:
            sys.stdin.readline()
        print("progress", file=sys.stderr)
    pathlib.Path("result").write_text("done")

run("p", Config, main)
"""


@dataclasses.dataclass
class Config:
    """Nothing."""


def started(folder, *arguments, environment=(), **options):
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": ""} | dict(environment)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, *arguments],
        cwd=folder, env=variables, **{"stdin": subprocess.DEVNULL} | options,
    )  # fmt: skip


def test_a_terminal_that_cannot_show_a_character(tmp_path):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    process = started(tmp_path, environment=ascii_only.items(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.communicate()[0] == "? 0\n? 1\n? 2\n"
    assert process.returncode == 0
    assert (tmp_path / "result").exists()


def test_a_line_is_in_the_pipe_before_the_next_is_computed(tmp_path):
    process = started(
        tmp_path, "--lines", "1", "--wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    patience = threading.Timer(30, process.kill)
    patience.start()
    assert process.stdout.readline().split() == ["±".encode(), b"0"]
    patience.cancel()
    process.communicate(b"\n")
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGPIPE")
def test_a_broken_pipe_is_no_success(tmp_path):
    """The shell reports 128 + SIGPIPE for any program that `| head -1` ends: `yes | head -1; echo ${PIPESTATUS[0]}`."""
    process = started(tmp_path, "--lines", "100000", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().decode().strip().endswith("0")
    process.stdout.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 141
    assert "Error" not in said and "Exception" not in said
    assert not (tmp_path / "result").exists()


class Full(io.TextIOBase):
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_help_that_cannot_be_written_is_no_success():
    command = [sys.executable, "-m", "vae_numpy", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and "standard output is incomplete" in done.stderr


def test_a_full_disk_under_the_output(tmp_path):
    with open("/dev/full", "w") as full:
        process = started(tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
        said = process.communicate()[1]
        assert process.returncode == 2
        assert said.splitlines()[-1].startswith("p: standard output is incomplete (No space left on device); files")
        assert (tmp_path / "result").read_text() == "done"
        (tmp_path / "result").unlink()
        process = started(tmp_path, stdout=subprocess.DEVNULL, stderr=full)  # progress is no result
        assert process.wait() == 0
        assert (tmp_path / "result").exists()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("state", ["closed before the start", "closed meanwhile", "full"])
def test_streams_that_fail_do_not_stop_the_work(stream, state, monkeypatch):
    broken = Full() if state == "full" else None if state == "closed before the start" else io.StringIO()
    if state == "closed meanwhile":
        broken.close()
    monkeypatch.setattr(sys, stream, broken)
    done = []

    def main(config):
        print("a line")
        print("progress", file=sys.stderr)
        done.append(1)

    if stream == "stdout" and broken is not None:
        with pytest.raises(SystemExit) as stop:
            run("p", Config, main, [])
        assert stop.value.code == 2
    else:
        run("p", Config, main, [])
    assert done == [1]


TOO_LARGE = {
    "numpy": lambda: np.zeros(2**60),
    "torch": lambda: torch.zeros(2**60),
    "torch, more": lambda: torch.zeros(2**62, 2**62),
    "an int of torch": lambda: torch.zeros(10**30),
    "a seed": lambda: torch.Generator().manual_seed(10**30),
    "an index": lambda: np.random.default_rng(0).uniform(0, 1, (10**30, 2)),
    "CUDA": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_too_large_is_one_line(what, capsys):
    with pytest.raises(SystemExit) as stop:
        run("p", Config, lambda config: TOO_LARGE[what](), [])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("p: ") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "; choose another file or folder, or change its rights"),
        (errno.ENOSPC, "; free some space, or choose another disk"),
        (errno.EIO, ""),
    ],
)
def test_an_error_of_the_disk_comes_with_advice(number, advice, capsys):
    with pytest.raises(SystemExit):
        run("p", Config, lambda config: (_ for _ in ()).throw(OSError(number, "x.png: could not be written")), [])
    assert capsys.readouterr().err == f"p: x.png: could not be written{advice}\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        run("p", Config, lambda config: (_ for _ in ()).throw(RuntimeError("a bug")), [])


def test_texts_from_files_are_cleaned(capsys, tmp_path):
    assert shown("\x1b]0;owned\x07 \x1b[31mred\n2\u202e\x9b1m") == "]0;owned [31mred 2 1m"
    assert shown("a" * 300_000) == "a" * command_line.LONGEST + "..."
    assert shown("β = 1, 손글씨") == "β = 1, 손글씨"
    with pytest.raises(SystemExit):
        run("p", Config, lambda config: (_ for _ in ()).throw(ValueError("bad \x1b[2J " + "x" * 300_000)), [])
    said = capsys.readouterr().err
    assert "\x1b" not in said and len(said) < 1100


def test_level_1_shows_no_control_characters_of_a_header(tmp_path, monkeypatch, capsys):
    from vae_numpy import vae
    from vae_numpy.__main__ import Config as Config1
    from vae_numpy.__main__ import main as main1

    path = tmp_path / "w.safetensors"
    weights.save(path, vae.init_params(2, np.random.default_rng(0)), {"data": "\x1b[2Jgone" + "y" * 300_000})
    arguments = ["--weights", str(path), "--source", "handwriting", "--count", "2", "--out", str(tmp_path / "a.png")]
    run("p", Config1, main1, arguments)
    said = capsys.readouterr().out
    assert "trained on [2Jgoneyyy" in said and "\x1b" not in said and len(said) < 2000


@pytest.mark.parametrize("backend", thorough_but(["nosuch", "agg"], "nosuch"))
@pytest.mark.parametrize("drawn_by", thorough_but(["vae_numpy.figures", "vae_paper.drawing.plots"], "vae_numpy.figures"))
def test_a_picture_needs_no_backend(drawn_by, backend):
    code = f"import os, {drawn_by}, matplotlib; print(os.environ['MPLBACKEND'], matplotlib.rcParams._get('backend'))"
    variables = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(backend)
    assert (backend == "agg") == done.stdout.endswith("agg\n")
