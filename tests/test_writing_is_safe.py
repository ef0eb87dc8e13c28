"""A file is written whole or not at all, never through a link, and also where a system lacks locks or synced folders."""

import contextlib
import errno
import os
import stat
import sys

import pytest

from vae_numpy import files

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these modes nor FIFOs, and links need a right")


@posix
@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "folder"])
def test_only_regular_files_are_replaced(kind, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "out"
    victim.write_bytes(b"precious")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(victim if kind == "link" else tmp_path / "nowhere")
    for function in (lambda: files.write_atomically(path, b"new"), lambda: files.check_writable(path)):
        with pytest.raises(ValueError, match=f"out: is a .*{kind.split()[-1] if kind != 'fifo' else 'pipe'}; expected a regular"):
            function()
    assert victim.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "victim"]


@posix
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_temporary_file_is_never_opened_through_a_link(link, tmp_path, monkeypatch):
    """Even somebody who guesses its random name cannot make us write elsewhere."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    names = iter(["guessed", "fresh"])
    monkeypatch.setattr(files.secrets, "token_hex", lambda length: next(names))
    monkeypatch.setattr(files, "_sweep", lambda path: None)  # it would remove a hard link
    link(victim, tmp_path / ".out.guessed.tmp")
    with pytest.raises(OSError, match=r"out: could not be written .*intact"):
        files.write_atomically(tmp_path / "out", b"new")
    assert victim.read_bytes() == b"precious"
    files.write_atomically(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_bytes() == b"new"


@posix
def test_modes(tmp_path):
    """A new file gets the usual mode, an existing one keeps its own."""
    path, before = tmp_path / "out", os.umask(0o027)
    try:
        files.write_atomically(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        files.write_atomically(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_temporary_files_of_dead_processes_are_swept_and_those_of_living_ones_are_not(tmp_path):
    path = tmp_path / "w[1].safetensors"
    dead = tmp_path / ".w[1].safetensors.0123.tmp"
    dead.write_bytes(b"half of it")
    file, living = files._temporary_beside(path)
    with file:
        files.write_atomically(path, b"whole")
        assert living.exists()
    assert not dead.exists()
    assert path.read_bytes() == b"whole"


def test_without_locks_and_folders_that_can_be_opened(tmp_path, monkeypatch):
    """Windows has no fcntl, opens no folder, and os.kill would end the process that it asks for."""
    real_open = os.open

    def open_no_folder(path, *arguments):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *arguments)

    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(files.os, "open", open_no_folder)
    (tmp_path / ".out.0123.tmp").write_bytes(b"half of it")
    files.write_atomically(tmp_path / "out", b"1")
    files.write_atomically(tmp_path / "out", b"2")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"2"]
    monkeypatch.setattr(files.os, "kill", lambda *ignored: pytest.fail("os.kill was called"))
    monkeypatch.setattr(files, "WINDOWS", True)
    assert files.is_gone("123") is False


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not opened there")
@pytest.mark.parametrize(("code", "raises"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced(code, raises, tmp_path, monkeypatch):
    """Where it is not supported the step is skipped; a disk that fails is reported. The file is written either way."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError, match="written, but") if raises else contextlib.nullcontext():
        files.write_atomically(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_bytes() == b"new"


@pytest.mark.skipif(sys.platform == "win32", reason="no fcntl there")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks(code, tmp_path, monkeypatch):
    """Nothing is known about another's temporary file there, so it stays."""
    monkeypatch.setattr(files.fcntl, "flock", lambda *ignored: (_ for _ in ()).throw(OSError(code, os.strerror(code))))
    (tmp_path / ".out.0123.tmp").write_bytes(b"half of it")
    files.write_atomically(tmp_path / "out", b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.0123.tmp", "out"]


def test_a_target_is_checked_before_the_work(tmp_path):
    files.check_writable(tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="cannot be written"):
        files.check_writable(tmp_path / "file" / "out")
