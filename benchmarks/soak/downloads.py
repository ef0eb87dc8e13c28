"""A server that stops half-way, lies, or hangs: within the time limit one line, nothing half-written; the next try succeeds."""

import contextlib
import gzip
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from vae_numpy import digits
from vae_paper import download

NAMES = [f"{prefix}-{kind}-ubyte.gz" for prefix in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
SLOW = 120.0  # seconds more than the limit that a busy machine may take; a server that hangs does so for 600
FAULTS = ("stops half-way", "sends wrong bytes", "sends a page", "hangs", "drips", "refuses", "closes")
# The same files by a plain client: what `download` promises must hold whoever fetches.
PLAIN = """
import pathlib, sys, urllib.request
raw = pathlib.Path(sys.argv[2], sys.argv[1], "raw")
raw.mkdir(parents=True)
for name in NAMES:
    raw.joinpath(name).write_bytes(urllib.request.urlopen(URL + name).read())
"""
TORCHVISION = """
from torchvision import datasets
datasets.MNIST.mirrors = [URL]
datasets.MNIST.resources = [(name, md5) for name, md5 in zip(NAMES, MD5, strict=True)]
"""


def files() -> dict[str, bytes]:
    """Four archives in MNIST's format, small ones."""
    rng = np.random.default_rng(0)
    contents = {}
    for name in NAMES:
        count = 7 if name.startswith("train") else 5
        shape = (count, 28, 28) if "images" in name else (count,)
        data = rng.integers(0, 256 if "images" in name else 10, shape, dtype=np.uint8)
        contents[name] = gzip.compress(idx(data), mtime=0)
    return contents


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def interrupted(folder: Path, torchvision: bool, faults: tuple[str, ...] = FAULTS, seconds: float = 60.0) -> dict[str, Any]:
    """Each fault once, in the last of the four files, and after it a try with a server that works."""
    report: dict[str, Any] = {"tried": 0, "survived": 0, "lost": []}
    with served() as (server, url), into(folder), fetched_by(TORCHVISION + download.FETCH if torchvision else PLAIN, url):
        for fault in faults:
            wrong = []
            server.fault = fault
            limit = seconds
            if fault in ("hangs", "drips"):  # waited for until the end: torchvision takes a while to be imported
                limit = 25.0 if torchvision else 1.5
            began = time.monotonic()
            try:
                download.download("mnist", limit)
                wrong.append("accepted")
            except ValueError as error:
                if "\n" in str(error) or "MNIST" not in str(error):
                    wrong.append(f"said {error}")
            if time.monotonic() - began > limit + SLOW:
                wrong.append(f"took {time.monotonic() - began:.0f} seconds")
            if left := sorted(path.name for path in folder.rglob("*")):
                wrong.append(f"left {left}")
            server.fault = ""
            raw = download.download("mnist", seconds)
            if {path.name: path.read_bytes() for path in raw.iterdir()} != server.files or len(digits.load("mnist").images) != 7:
                wrong.append("the next try did not bring the files")
            for path in raw.iterdir():
                path.unlink()
            raw.rmdir()
            raw.parent.rmdir()
            report["tried"] += 1
            report["survived"] += not wrong
            report["lost"] += [f"a server that {fault}: {what}" for what in wrong]
    return report


class Server(ThreadingHTTPServer):
    """Serves `files`, the last of them with `fault`."""

    daemon_threads = True
    fault = ""
    files: dict[str, bytes]
    closing: threading.Event


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_GET(self) -> None:
        """Send the file, or do what the fault says."""
        name = self.path.lstrip("/")
        data, fault = self.server.files[name], self.server.fault if name == NAMES[-1] else ""
        if fault == "closes":
            return
        self.send_response(503 if fault == "refuses" else 200)
        if fault == "sends a page":
            data = b"<html>Please sign in</html>"
        if fault == "sends wrong bytes":
            data = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may be killed
            if fault == "drips":
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    if self.server.closing.wait(1):
                        break
            elif fault == "hangs":
                self.server.closing.wait(600)
            else:
                self.wfile.write(data[: len(data) // 2] if fault == "stops half-way" else data)

    def log_message(self, *ignored: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served() -> Iterator[tuple[Server, str]]:
    """The server on a free port of this machine, and its address."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files, server.closing = files(), threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def into(folder: Path) -> Iterator[None]:
    """$VAE_DATA is this folder, for a while."""
    before = os.environ.get("VAE_DATA")
    folder.mkdir(exist_ok=True)
    os.environ["VAE_DATA"] = str(folder)
    try:
        yield
    finally:
        del os.environ["VAE_DATA"]
        if before is not None:
            os.environ["VAE_DATA"] = before


@contextlib.contextmanager
def fetched_by(code: str, url: str) -> Iterator[None]:
    """What `download` runs in a process of its own is this, for a while."""
    before = download.FETCH
    md5 = [hashlib.md5(data).hexdigest() for data in files().values()]
    download.FETCH = f"URL, NAMES, MD5 = {url!r}, {NAMES!r}, {md5!r}\n" + code
    try:
        yield
    finally:
        download.FETCH = before
