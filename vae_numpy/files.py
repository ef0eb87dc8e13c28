"""Writing files so that a crash loses nothing: after it, a file is as it was before or as it should be."""

import glob
import os
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> None:
    """Make `path` hold `data`, or leave it as it was: after a crash or on a full disk it is one or the other."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if is_gone(stale.name.split(".")[-2]):  # killed while it wrote
            stale.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the bytes are on the disk before the name points at them
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"{path}: could not be written ({error.strerror}); what was there before is intact") from None
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # and so is the name
    finally:
        os.close(folder)


def is_gone(process: str) -> bool:
    """Whether there is no process of this id any more: then what bears its id was left behind."""
    try:
        os.kill(int(process), 0)  # does nothing, to a process that there is
    except ProcessLookupError:
        return True
    except (ValueError, OverflowError, OSError):  # no id, or another user's
        return False
    return False
