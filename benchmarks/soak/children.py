"""Work in a child process: it may be killed, run out of disk or of time, and what it took of memory is measured.

A fork of this process, since importing torch anew for every fault would take longer than the fault.
"""

import json
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm


def started(work: Callable[[], None], output: int | None = None) -> int:
    """Start `work` in a child, which sees one thread and says what it says to `output` (a file descriptor) or to nobody.

    Returns the child's id. It ends with 0, with the code of a SystemExit, with 130 after Ctrl-C, or with 1.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of every fork beside threads; the child uses none of them
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        nobody = os.open(os.devnull, os.O_RDWR)
        os.dup2(nobody, 1)
        os.dup2(nobody if output is None else output, 2)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(fd), "w", buffering=1) for fd in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        torch.set_num_threads(1)
        tqdm.set_lock(threading.RLock())  # tqdm's own lock is shared with its parent: a killed child would hold it for ever
        work()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int, seconds: float) -> int:
    """Wait until the child ends, and return its exit code, or minus the signal; it is killed after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGALRM


def said(work: Callable[[], None], seconds: float) -> tuple[int, str]:
    """Do `work` in a child; its exit code and what it said on stderr."""
    reading, writing = os.pipe()
    child = started(work, writing)
    os.close(writing)
    text, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        if select.select([reading], [], [], 0.1)[0]:
            part = os.read(reading, 65536)
            if not part:
                break
            text += part
    os.close(reading)
    return ended(child, max(0.1, until - time.monotonic())), text.decode(errors="replace")


def answered(work: Callable[[], Any], folder: Path, seconds: float) -> Any:
    """What `work` returns (any JSON) in a child; RuntimeError with what it said where it does not."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    code, text = said(lambda: answer.write_text(json.dumps(work())) and None, seconds)
    if code:
        raise RuntimeError(f"ended with {code} within {seconds:g} seconds: {text[-2000:]}")
    return json.loads(answer.read_text())


def peak_memory() -> int:
    """The most bytes of memory that this process has held, since `forget_peak`."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def forget_peak() -> int:
    """Begin to measure anew; returns what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()
