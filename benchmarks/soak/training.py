"""Training that is killed (kill -9) at any moment, or meets a full disk: nothing may be lost, and it goes on to the same bits.

A kill shows that every moment leaves whole files; that they survive a loss of power is fsync's promise, and is not tried.
"""

import dataclasses
import functools
import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.soak import children
from vae_numpy import weights
from vae_numpy.command_line import run
from vae_paper import runs, state_files, weight_files
from vae_paper import training as train
from vae_paper.__main__ import Command, main
from vae_paper.config import Config
from vae_paper.data import Data, load_data

COMMON = {"name": "a", "source": "handwriting", "batch_size": 16, "epochs": 4}
VQ = Config(model="vq-vae", latent_dim=2, codes=8, **COMMON)  # 80,000 numbers: a kill costs little; its averages move too
VAE = Config(latent_dim=1, **COMMON)  # 1.6 million
IMAGES, STEPS = 60, 3  # 5 of the 60 images are for validation; 3 batches an epoch
PATIENCE = 300.0  # seconds for what takes one, on a machine that does much else


def kills(config: Config, count: int, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Kill a training `count` times, look at what is left, go on; compare each that ends with one that was not disturbed."""
    whole = undisturbed(config, folder / "whole")
    began = time.monotonic()
    again = undisturbed(config, folder / "again")
    usual = time.monotonic() - began
    rng = random.Random(seed)
    report: dict[str, Any] = {"tried": 0, "survived": 0, "lost": differences(again, whole)}
    report |= {"while saving": 0, "from inside an epoch": 0, "runs compared": 1}
    parts, steps = folder / "parts", 0
    while report["tried"] < count:
        before = steps
        code, told = disturbed(config, parts, rng, usual)
        if code not in (0, 130, -signal.SIGKILL):
            report["lost"].append(f"ended with {code}: {(parts / 'said').read_text()[-500:]}")
            break
        saving = is_saving(parts)  # it is dead: what it was writing lies there
        steps, wrong = look_at(parts / "runs/a")
        if steps < max(told, before):
            wrong.append(f"{steps} steps are on disk, of {max(told, before)} that were")
        usual *= 0.8 if code == 0 else 1.05  # so that few end before they are killed
        if code == 0:
            wrong += differences(parts / "runs/a", whole)
            report["runs compared"] += 1
            shutil.rmtree(parts)
            steps = 0
        else:
            killed = code == -signal.SIGKILL
            report["tried"] += killed
            report["survived"] += killed and not wrong
            report["while saving"] += killed and saving
            report["from inside an epoch"] += killed and before % STEPS != 0
        report["lost"] += wrong
    finish(config, parts)
    report["lost"] += differences(parts / "runs/a", whole)
    report["runs compared"] += 1
    return report


def full_disk(config: Config, limits: list[int], folder: Path) -> dict[str, Any]:
    """Go on with a training where no file may grow beyond a limit (in bytes): one line, exit code 2, and the old files."""
    whole, begun = undisturbed(config, folder / "whole"), stopped(config, folder / "begun")
    report: dict[str, Any] = {"tried": 0, "survived": 0, "lost": []}
    for limit in limits:
        full = folder / "full"
        shutil.copytree(begun, full)
        before = {path.name: path.read_bytes() for path in (full / "runs/a").iterdir()}
        code, said = children.said(lambda full=full, limit=limit: limited(full, limit), PATIENCE)
        line = said.replace("\r", "\n").rstrip("\n").split("\n")[-1]
        _, wrong = look_at(full / "runs/a")
        if code != 2 or not line.startswith("python -m vae_paper: ") or "what was there before is intact" not in line:
            wrong.append(f"ended with {code} and the line {line!r}")
        else:
            refused = Path(line.split(": ")[1]).name
            if (full / "runs/a" / refused).read_bytes() != before[refused]:
                wrong.append(f"{refused} is not what it was")
        finish(config, full)
        wrong += differences(full / "runs/a", whole)
        report["tried"] += 1
        report["survived"] += not wrong
        report["lost"] += [f"limit {limit}: {what}" for what in wrong]
        shutil.rmtree(full)
    return report


def undisturbed(config: Config, folder: Path) -> Path:
    """The run that is never stopped."""
    folder.mkdir(parents=True)
    finish(config, folder)
    return folder / "runs/a"


def stopped(config: Config, folder: Path) -> Path:
    """A run that was stopped (Ctrl-C) after its first epoch; returns `folder`."""
    folder.mkdir()
    reading, writing = os.pipe()
    child = children.started(lambda: work(config, folder, writing))
    os.close(writing)
    os.read(reading, 8)  # comes when the first epoch is on disk
    os.kill(child, signal.SIGINT)
    if (code := children.ended(child, PATIENCE)) != 130:
        raise RuntimeError(f"{folder}: ended with {code}; expected 130, for it was stopped")
    os.close(reading)
    return folder


def finish(config: Config, folder: Path) -> None:
    """Train, or go on, to the end."""
    folder.mkdir(exist_ok=True)
    few_digits()  # here, so that the children need not; nor import what the first optimiser of a process imports
    torch.optim.AdamW([torch.zeros(1)])
    code, text = children.said(lambda: work(config, folder), PATIENCE)
    if code:
        raise RuntimeError(f"{folder}: ended with {code}: {text[-2000:]}")


def work(config: Config, folder: Path, tell: int | None = None) -> None:
    """Train on few images, or go on where there is a state, telling every step whose state is on disk (a slow disk)."""
    prepare(folder)
    if tell is not None:
        fsync = os.fsync
        os.fsync = lambda file: (time.sleep(0.01), fsync(file))[1]
    save = state_files.save_state

    def save_and_tell(*arguments: Any) -> None:
        save(*arguments)
        if tell is not None:
            os.write(tell, arguments[-1]["step"].to_bytes(8, "little"))

    state_files.save_state = save_and_tell
    train.train(dataclasses.replace(config, resume=(folder / "runs/a/state.safetensors").exists()))


def prepare(folder: Path) -> None:
    """In a child: few images, and runs in this folder."""
    os.chdir(folder)
    runs.load_data = lambda *ignored: few_digits()


@functools.cache
def few_digits() -> Data:
    """The first training digits."""
    data = load_data("handwriting", "train")
    return data.replace(images=data.images[:IMAGES], labels=data.labels[:IMAGES])


def limited(folder: Path, limit: int) -> None:
    """Go on from the command line, with a limit on the size of any file."""
    prepare(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    run("python -m vae_paper", Command, main, ["train", "--name", "a", "--resume"])


def disturbed(config: Config, folder: Path, rng: random.Random, usual: float) -> tuple[int, int]:
    """Start the training, or go on with it, and kill it; how it ended, and the last step that it told.

    A third of the kills come at any moment, a third while it saves, a third while it saves since it was told to stop.
    """
    folder.mkdir(exist_ok=True)
    reading, writing = os.pipe()
    with open(folder / "said", "w") as output:
        child = children.started(lambda: work(config, folder, writing), output.fileno())
    os.close(writing)
    how = rng.choice(["any moment", "while saving", "stopped"])
    code = wait(child, rng.uniform(0, 0.7 * usual))
    if how == "stopped" and code is None:
        os.kill(child, signal.SIGINT)
    if how != "any moment":
        while code is None and not is_saving(folder):
            code = wait(child, 0)
        if code is None:
            code = wait(child, rng.choice([0, 0, 0.001, 0.01, 0.1]))
    if code is None:
        os.kill(child, signal.SIGKILL)
        code = children.ended(child, PATIENCE)
    told = [int.from_bytes(part, "little") for part in iter(lambda: os.read(reading, 8), b"")]
    os.close(reading)
    return code, max(told, default=0)


def wait(child: int, seconds: float) -> int | None:
    """Wait; the exit code, if the child has ended by itself."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.0005)


def is_saving(folder: Path) -> bool:
    """Whether a file is being written, from its temporary's first byte to its new name."""
    return any((folder / "runs/a").glob(".*.tmp"))


def look_at(folder: Path) -> tuple[int, list[str]]:
    """How many steps a run has behind it, and which of its files are not whole."""
    step, wrong = 0, []
    for path in folder.glob("[!.]*"):
        try:
            if path.suffix == ".safetensors":
                step = weights.load_tensors(path)[1].get("step", step)
            elif path.suffix == ".json":
                weight_files.config_of(path, json.loads(path.read_text()))
            elif len({line.count(",") for line in path.read_text().splitlines()}) != 1:
                raise ValueError(f"{path}: not a table")
        except ValueError as error:
            wrong.append(str(error))
    return step, wrong


def differences(folder: Path, whole: Path) -> list[str]:
    """In what a finished run differs from the one that was never stopped; the seconds in metrics.csv do not count."""
    wrong = [f"{path} was not swept" for path in folder.glob(".*.tmp")]
    for name in ("weights.safetensors", "state.safetensors"):
        ours, theirs = (state_files.read_state(run / name)[0] for run in (folder, whole))
        wrong += [f"{name}: {t}" for t in sorted(ours.keys() | theirs.keys()) if not same(ours.get(t), theirs.get(t))]
    rows = [
        [row.split(",")[:2] + row.split(",")[3:] for row in (f / "metrics.csv").read_text().splitlines()] for f in (folder, whole)
    ]
    return wrong + (["metrics.csv"] if rows[0] != rows[1] else [])


def same(a: Any, b: Any) -> bool:
    """Bit for bit."""
    return a is not None and b is not None and a.shape == b.shape and a.tobytes() == b.tobytes()
