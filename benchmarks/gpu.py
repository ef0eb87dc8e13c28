"""The same on a GPU: `python -m benchmarks --device cuda` writes results/gpu.json.

Level 3 in float32, TF32 and bf16 and level 2, beside the loop of PyTorch's VAE example and Lightning on the same card: seconds
per epoch at three batch sizes and the peak memory; images per second beside the limit of the card's matrix products; seconds of
training until the test objective is 100 nats at D = 20; and NLL(5000) of all test images.
"""

import argparse
import functools
import shlex
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import limit, machine, peers
from benchmarks.contestants import Contestant, Job, level3, pytorch_example
from benchmarks.same_objective import level2
from benchmarks.time_to_target import TARGET, synchronize, time_to_target
from vae_numpy import digits, weights
from vae_numpy.digits import Digits
from vae_paper import devices, models, weight_files
from vae_paper.data import Data, load_data
from vae_paper.measuring import estimators
from vae_paper.weight_files import write_json

CONTESTANTS: dict[str, Contestant] = {
    "level 3, float32": level3,
    "level 3, TF32": functools.partial(level3, precision="tf32"),
    "level 3, bf16": functools.partial(level3, precision="bf16"),
    "level 2, float32": level2,
    "pytorch/examples": functools.partial(pytorch_example, workers=1),
}


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[128, 1024, 4096])
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="Lightning too")
    parser.add_argument("--repeats", type=int, default=2, help="timed epochs of each contestant, in turns")
    parser.add_argument("--epochs", type=int, default=12, help="within which the target is to be reached")
    parser.add_argument("--k", type=int, default=5000, help="importance samples for log p(x)")
    parser.add_argument("--source", default="mnist", help="digits, as everywhere")
    parser.add_argument("--out", type=Path, default=Path("results/gpu.json"))
    chosen = parser.parse_args(args)
    lightning = {name: peer for name, peer in peers.installed(chosen.peers)[0].items() if name == "lightning"}
    contestants = CONTESTANTS | lightning
    data, test = digits.load(chosen.source), load_data(chosen.source, "test", device=chosen.device)
    report: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "benchmarks.gpu", *args]) if args else "python -m benchmarks --device cuda",
        "options": {name: str(value) for name, value in vars(chosen).items()},
        "machine": machine.about(chosen.device),
        "data": data.source,
        "seconds_per_epoch": {},
        "peak_mb": {},
        "limit": {},
        "seconds_to_target": {},
        "target": f"{TARGET:.0f} nats, -ELBO on {test.about}, measured after each epoch",
    }
    for B in chosen.batch_sizes:
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        peaks: dict[str, float] = {}
        for _ in range(chosen.repeats):
            for name, contestant in contestants.items():
                taken, peaks[name] = seconds_of_an_epoch(contestant, data, B, chosen.device)
                seconds[name].append(taken)
        report["seconds_per_epoch"][f"B = {B}"] = {name: statistics.median(each) for name, each in seconds.items()}
        report["peak_mb"][f"B = {B}"] = peaks
        report["limit"][f"B = {B}"] = limits(B, chosen.device)
        print(f"seconds per epoch, B = {B}: {report['seconds_per_epoch'][f'B = {B}']}", flush=True)
    for name, contestant in contestants.items():
        reached = time_to_target(contestant, data, test, chosen.epochs, device=chosen.device)
        report["seconds_to_target"][name] = reached and reached.seconds
    print(f"seconds to {report['target']}: {report['seconds_to_target']}", flush=True)
    report["nll"] = nll(load_data(chosen.source, "test", "dynamic", chosen.device), chosen.k, chosen.device)
    print(report["nll"])
    write_json(chosen.out, report)
    return report


def limits(batch_size: int, device: str) -> dict[str, float]:
    """Images per second at the speed of the device's fastest matrix product."""
    if device == "cpu":
        return {}
    flops = limit.training_flops(20)
    rates = {"bf16": max(limit.matmul_rates("bf16", batch_size, 0.1, device).values())}
    for precision in ("float32", "tf32"):
        with devices.numerics(precision):
            rates[precision] = max(limit.matmul_rates("float32", batch_size, 0.1, device).values())
    return {name: rate / flops for name, rate in rates.items()}


def seconds_of_an_epoch(contestant: Contestant, data: Digits, batch_size: int, device: str) -> tuple[float, float]:
    """One epoch of a new model, from its first batch to the device's last result; and the peak memory on a GPU in MB."""
    model = models.build("vae", 20).to(device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    with machine.quiet():
        contestant(model, Job(data, 3, batch_size, device))  # what is compiled and chosen once, is so before
        synchronize(device)
        started = time.perf_counter()
        contestant(model, Job(data, len(data.images) // batch_size, batch_size, device))
    synchronize(device)
    taken = time.perf_counter() - started
    return taken, torch.cuda.max_memory_allocated() / 1e6 if device != "cpu" else 0.0


def nll(test: Data, k: int, device: str) -> dict[str, Any]:
    """-log p(x) of all test images by the pretrained weights, from k samples each, and how long it takes."""
    model = weight_files.load_with_header(weights.PRETRAINED / "vae_mnist_d20.safetensors")[0].to(device)
    started = time.perf_counter()
    with machine.quiet():
        estimate = estimators.mean_of(-estimators.importance(model, test, [k]).iwae[-1])
    synchronize(device)
    return {"k": k, "images": len(test.images), "seconds": time.perf_counter() - started, **estimate._asdict()}


if __name__ == "__main__":
    main()
