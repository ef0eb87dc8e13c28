"""Write files safely: after a crash, a kill or a full disk, a file has its old content or its whole new content."""

import contextlib
import errno
import glob
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WINDOWS = os.name == "nt"
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # do not open through a symbolic link; Windows has no such flag
BINARY = getattr(os, "O_BINARY", 0)  # only Windows has this flag, and needs it
UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS)


def why_unreadable(path: Path) -> str:
    """Why a path cannot be read as a file, in words."""
    return "is a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"


def write_atomically(path: str | Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was. An existing file keeps its permissions.

    Raises OSError if the file cannot be written (or if it is written, but the folder cannot be synced: the message says so),
    ValueError if `path` is not a regular file (a link, a device, a folder).
    """
    path = Path(path)
    _check_regular(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        file, temporary = _temporary_beside(path)
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
            if path.exists():
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            if fcntl is None:
                file.close()  # Windows cannot rename an open file. Elsewhere it stays open and locked during the rename
            os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"{path}: could not be written ({error.strerror}); what was there before is intact") from None
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def check_writable(path: str | Path) -> None:
    """Before long work, check that its result can be written to `path`. Creates the folder, and for a moment a temporary file.

    Raises what `write_atomically` would raise.
    """
    path = Path(path)
    _check_regular(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, temporary = _temporary_beside(path)
        file.close()
        temporary.unlink()
    except OSError as error:
        why = "a folder of this path is a file" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise OSError(error.errno, f"{path}: cannot be written ({why}); choose another place") from None


def is_gone(process: str) -> bool:
    """True if the process with this id has ended, so that its temporary files are stale. False if it is alive or unknown."""
    if WINDOWS:  # there os.kill(id, 0) would end the process
        return False
    try:
        os.kill(int(process), 0)  # signal 0: only asks whether the process exists
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, OSError):  # not an id, or another user's process
        return False
    return False


def _check_regular(path: Path) -> None:
    """Refuse a link, a device, a FIFO or a folder: only a regular file may be replaced."""
    try:
        mode = path.lstat().st_mode
    except OSError:  # no such file, or a folder without access: then the write raises the error
        return
    if not stat.S_ISREG(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise ValueError(f"{path}: is {kind}; expected a regular file, or nothing of that name")


def _temporary_beside(path: Path) -> tuple[BinaryIO, Path]:
    """Create a new temporary file beside `path`. The file is locked while it is open."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | BINARY, 0o666)
        file = os.fdopen(descriptor, "wb")
        if fcntl is not None:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:  # another process's _sweep removed it before it was locked
                file.close()
                continue
        return file, temporary


def _sweep(path: Path) -> None:
    """Remove the temporary files of `path` that killed processes left. A living process holds a lock, so its file stays."""
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):  # in use, removed meanwhile, a link, or no locks on this file system
            if fcntl is None:
                stale.unlink()  # Windows refuses this while a process has the file open
                continue
            descriptor = os.open(stale, os.O_RDONLY | os.O_NONBLOCK | NO_FOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stale.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Write the folder's list of names to the disk, if the system supports this (Windows and some network disks do not)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open a folder; a folder can be writable and not readable
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise OSError(error.errno, f"{folder}: written, but perhaps lost at a power failure ({error.strerror})") from None
    finally:
        os.close(descriptor)
