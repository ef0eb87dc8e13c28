"""A file from a stranger does nothing but be read or be refused; a download comes whole or not at all.

`make soak` does the same for longer; what is shared with it is in `benchmarks/soak`.
"""

import ast
import gzip
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.soak import children, downloads, files
from vae_numpy import digits
from vae_paper import download


def in_a_child(work, folder):
    """Where memory is measured from a fresh start, and what hangs is ended."""
    report = children.answered(work, folder, 600)
    assert report["lost"] == []
    assert report["tried"] == report["survived"]
    assert report["extra_megabytes"] < 200
    return report["tried"]


def test_damaged_files(tmp_path):
    assert in_a_child(lambda: files.damaged(tmp_path / "d", 12), tmp_path) > 500


@pytest.mark.thorough
def test_hostile_files(tmp_path):
    """Pickles do not run, tables that lie and headers that claim are refused, whatever the file is called."""
    assert in_a_child(lambda: files.hostile(tmp_path / "h"), tmp_path) > 200


@pytest.mark.thorough
def test_bombs(tmp_path):
    assert in_a_child(lambda: files.bombs(tmp_path / "b"), tmp_path) == 9


def test_nothing_in_the_library_can_run_a_pickle():
    """No torch.load, no pickle, no np.load that allows one: looked for in the source."""
    root = Path(digits.__file__).parents[1]
    for path in (p for package in ("vae_numpy", "vae_lowlevel", "vae_paper") for p in (root / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"pickle", "marshal", "shelve", "joblib", "dill"} & set(names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
                module = ast.unparse(node.func.value)
                assert module not in ("torch", "pickle", "joblib"), f"{path}:{node.lineno}"
                allowed = [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) == "False"]
                assert module != "np" or allowed, f"{path}:{node.lineno}"


@pytest.mark.thorough
def test_a_server_that_fails_leaves_nothing(tmp_path):
    report = downloads.interrupted(tmp_path / "data", torchvision=False)
    assert (report["tried"], report["survived"], report["lost"]) == (7, 7, [])


@pytest.mark.slow
def test_a_server_that_fails_leaves_nothing_of_torchvisions(tmp_path):
    report = downloads.interrupted(tmp_path / "data", torchvision=True)
    assert (report["tried"], report["survived"], report["lost"]) == (7, 7, [])


def test_what_is_damaged_on_disk_is_repaired(tmp_path):
    """Downloading again brings a damaged archive anew, and writes a half-unpacked file whole; a good one is not touched."""
    with downloads.served() as (server, url), downloads.into(tmp_path), downloads.fetched_by(downloads.PLAIN, url):
        raw = download.download("mnist", 60.0)
        archive, unpacked = raw / downloads.NAMES[0], raw / downloads.NAMES[0][:-3]
        archive.write_bytes(archive.read_bytes()[:-50])
        assert download.download("mnist", 60.0) == raw
        assert archive.read_bytes() == server.files[archive.name]
        server.fault = "refuses"  # from here on nothing needs to be fetched
        whole = gzip.decompress(archive.read_bytes())
        for half in (whole[:100], b"", whole[:-1] + b"x", whole):
            unpacked.write_bytes(half)
            download.download("mnist", 60.0)
            assert unpacked.read_bytes() == whole
        assert sorted(path.name for path in raw.iterdir()) == sorted([*downloads.NAMES, unpacked.name])


def test_a_killed_download_is_swept(tmp_path):
    gone = children.started(lambda: None)
    children.ended(gone, 60)
    (tmp_path / f".download-{gone}-abc" / "MNIST").mkdir(parents=True)
    with downloads.served() as (_, url), downloads.into(tmp_path), downloads.fetched_by(downloads.PLAIN, url):
        download.download("mnist", 60.0)
    assert [path.name for path in tmp_path.iterdir()] == ["MNIST"]


@pytest.mark.thorough
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_download_takes_its_child_with_it(how, tmp_path):
    """What the process of its own writes here stops growing when the command is gone."""
    beats = tmp_path / "beats"
    beat = f"import time\nwhile True:\n    open({str(beats)!r}, 'a').write('.')\n    time.sleep(0.02)"
    code = f"from vae_paper import download; download.FETCH = {beat!r}; download.download('mnist')"
    command = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"VAE_DATA": str(tmp_path)})
    until = time.monotonic() + 60
    while not beats.exists() and time.monotonic() < until:
        time.sleep(0.02)
    command.send_signal(how)
    command.wait(60)
    time.sleep(1)  # 50 beats
    size = beats.stat().st_size
    time.sleep(1)
    assert beats.stat().st_size == size > 0


@pytest.mark.parametrize("what", ["a folder", "a pipe"])
def test_what_is_no_file_in_an_archives_place_stops_the_download_before_anything_is_installed(what, tmp_path):
    with downloads.served() as (_, url), downloads.into(tmp_path), downloads.fetched_by(downloads.PLAIN, url):
        place = tmp_path / "MNIST/raw" / downloads.NAMES[2]
        place.parent.mkdir(parents=True)
        place.mkdir() if what == "a folder" else os.mkfifo(place)
        with pytest.raises(ValueError, match=f"{place}: is no regular file; remove it"):
            download.download("mnist", 60.0)
        assert list(place.parent.iterdir()) == [place]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    """A truncated archive of another name is not unpacked, a pipe is not waited for."""
    with downloads.served() as (_, url), downloads.into(tmp_path), downloads.fetched_by(downloads.PLAIN, url):
        raw = download.download("mnist", 60.0)
        (raw / "emnist-ubyte.gz").write_bytes(b"\x1f\x8b")
        os.mkfifo(raw / "pipe-ubyte.gz")
        assert download.download("mnist", 60.0) == raw


@pytest.mark.parametrize("seconds", [math.inf, math.nan, 0.0, 1e300])
def test_the_time_limit_is_a_time(seconds, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"seconds is .*: expected more than 0, and a finite number"):
        download.download("mnist", seconds)
