"""Seconds of training until 100 nats: `python -m benchmarks.time_to_target` writes results/time_to_target.json.

Grayscale MNIST, D = 20, the same network for all, from the same initial parameters for each seed, on the same threads, in turns.
PyTorch's VAE example, pythae and Lightning train as their users do: Adam, 1e-3, B = 128. Level 3 trains with its one cycle of the
learning rate, over a number of epochs that was chosen on a validation split. The objective is measured after each epoch.
Measuring takes none of the time. All train with the first seed; with the others, only level 3 and the peer that was the fastest.
A second call goes on after the last seed that the file holds.
"""

import argparse
import functools
import json
import shlex
import time
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import torch

from benchmarks import machine, peers
from benchmarks.contestants import Contestant, Job, level3, pytorch_example
from vae_numpy import digits
from vae_numpy.digits import Digits
from vae_paper import models
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo
from vae_paper.vae import VAE
from vae_paper.weight_files import write_json

TARGET = 100.0  # nats
# The options of level 3, chosen on a validation split of 5,000 images: docs/speed.md
OURS = {"batch_size": 64, "learning_rate": 3e-3, "epochs": 5}


class Reached(Exception):  # noqa: N818  (no error)
    """The test objective is where it was to be."""


class UntilReached(Job):
    """A job that ends after the epoch in which the model reaches the target; measuring it takes none of its time."""

    model: VAE
    test: Data
    seconds, since = 0.0, 0.0

    def done(self) -> bool:
        last = super().done()
        if len(self.stamps) % self.per_epoch == 0:
            synchronize(self.device)
            self.seconds += time.perf_counter() - self.since
            if elbo.summary(self.model, self.test, passes=1)["elbo"] >= -TARGET:
                raise Reached
            self.since = time.perf_counter()
        return last

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return len(self.data.images) // self.batch_size


class Taken(NamedTuple):
    """What it took to reach the target."""

    seconds: float
    epochs: int


def time_to_target(
    contestant: Contestant, data: Digits, test: Data, epochs: int, batch_size: int = 128, device: str = "cpu", seed: int = 0
) -> Taken | None:
    """Train a new VAE with D = 20 until its test objective is at the target; None if `epochs` are not enough."""
    model = models.build("vae", 20, seed=seed).to(device)
    job = UntilReached(data, epochs * (len(data.images) // batch_size), batch_size, device, seed)
    job.model, job.test, job.since = model, test, time.perf_counter()
    try:
        with machine.quiet():
            contestant(model, job)
    except Reached:
        return Taken(job.seconds, len(job.stamps) // job.per_epoch)
    return None


def synchronize(device: str) -> None:
    """Wait until the device has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize()


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Train each contestant with each seed, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_target", description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=15, help="most epochs of a peer")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--source", default="mnist", help="digits, as everywhere")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="pythae and Lightning too")
    parser.add_argument("--out", type=Path, default=Path("results/time_to_target.json"))
    chosen = parser.parse_args(args)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    data, test = digits.load(chosen.source), load_data(chosen.source, "test")
    others, left_out = peers.installed(chosen.peers)
    ours = functools.partial(level3, learning_rate=OURS["learning_rate"], lr_schedule="one-cycle")
    contestants: dict[str, tuple[Contestant, int, int]] = {"level 3": (ours, int(OURS["epochs"]), int(OURS["batch_size"]))}
    for name, peer in ({"pytorch/examples": pytorch_example} | others).items():
        contestants[name] = (peer, chosen.epochs, 128)
    report: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.time_to_target", *(args or [])]),
        "machine": machine.about(),
        "data": data.source,
        "target": f"{TARGET:.0f} nats, -ELBO on {test.about}, z sampled once, measured after each epoch",
        "level_3": {**OURS, "lr_schedule": "one-cycle"},
        "peers": f"Adam, 1e-3, constant, B = 128, at most {chosen.epochs} epochs",
        "left_out": left_out,
    }
    kept = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.exists() else {}
    same = all(kept.get(name) == value for name, value in report.items() if name != "command")
    report |= {"seeds": kept["seeds"] if same else {}}
    for seed in map(str, chosen.seeds):
        if seed in report["seeds"]:
            continue
        fastest = fastest_peer(report["seeds"])
        taken: dict[str, Any] = {}
        for name in ("level 3", fastest) if fastest else contestants:
            contestant, epochs, batch_size = contestants[name]
            reached = time_to_target(contestant, data, test, epochs, batch_size, seed=int(seed))
            taken[name] = reached and reached._asdict()
            print(f"seed {seed}, {name}: {reached or f'not within {epochs} epochs'}", flush=True)
        report["seeds"][seed] = taken
        report["fastest_peer"] = fastest_peer(report["seeds"])
        report["ratio"] = ratio(report["seeds"])
        write_json(chosen.out, report)
    return report


def fastest_peer(seeds: dict[str, dict[str, Any]]) -> str | None:
    """The peer that reached the target first with the first seed; None if there is no seed yet, or none reached it."""
    first = next(iter(seeds.values()), {})
    reached = {name: taken["seconds"] for name, taken in first.items() if taken and name != "level 3"}
    return min(reached, key=reached.__getitem__) if reached else None


def ratio(seeds: dict[str, dict[str, Any]]) -> float | None:
    """Our mean seconds by those of the fastest peer; None if one of them did not always reach the target."""
    fastest = fastest_peer(seeds)
    ours, theirs = ([taken[name] for taken in seeds.values() if taken.get(name)] for name in ("level 3", str(fastest)))
    if not len(ours) == len(theirs) == len(seeds):
        return None
    return mean(one["seconds"] for one in ours) / mean(one["seconds"] for one in theirs)


if __name__ == "__main__":
    main()
