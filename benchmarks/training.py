"""Training throughput: `python -m benchmarks.training` writes results/training.json.

Level 2 in float32 and level 3 in float32 and bf16, against the loop of PyTorch's VAE example, pythae and Lightning with the
same network: in one process, on the same threads, in turns, round after round; the median of the rounds counts. Then level 3
at other batch sizes, and all of it against what the processor can multiply.
"""

import argparse
import functools
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks import limit, machine, peers
from benchmarks.contestants import Contestant, Job, level2, level3, pytorch_example
from vae_numpy import digits
from vae_numpy.digits import Digits
from vae_paper import models
from vae_paper.weight_files import write_json

OURS: dict[str, Contestant] = {
    "level 2, float32": level2,
    "level 3, float32": level3,
    "level 3, bf16": functools.partial(level3, precision="bf16"),
}
EXAMPLE: dict[str, Contestant] = {
    "pytorch/examples, 0 workers": pytorch_example,
    "pytorch/examples, 1 worker": functools.partial(pytorch_example, workers=1),
}
BATCH_SIZES = tuple(2**power for power in range(4, 13))


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--steps", type=int, default=50, help="timed steps in a round")
    parser.add_argument("--warm-up", type=int, default=10, help="steps before them")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--source", default="auto", help="digits, as everywhere")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="pythae and Lightning too")
    parser.add_argument("--out", type=Path, default=Path("results/training.json"))
    chosen = parser.parse_args(args)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    data = digits.load(chosen.source)
    others, left_out = peers.installed(chosen.peers)
    for name, why in left_out.items():
        print(f"{name} is left out: {why}")
    report: dict[str, Any] = {
        "command": "python -m benchmarks.training",
        "machine": machine.about(),
        "data": data.source,
        "protocol": f"B = 128, D = 20; after {chosen.warm_up} steps of warm-up, {chosen.rounds} rounds of {chosen.steps} steps, "
        "in turns; medians",
        "images_per_second": compared(OURS | EXAMPLE | others, data, chosen.rounds, chosen.steps, chosen.warm_up),
        "left_out": left_out,
    }
    report["ratios"] = ratios({name: row["median"] for name, row in report["images_per_second"].items()})
    report["limit"] = limits(report["images_per_second"])
    sizes = [B for B in BATCH_SIZES if len(data.images) >= B]
    report["batch_sizes"] = {
        str(B): statistics.median(images_per_second(level3, data, max(2, chosen.steps // 10), 2, B) for _ in range(chosen.rounds))
        for B in sizes
    }
    for B, rate in report["batch_sizes"].items():
        print(f"level 3, float32, B = {B:<18}{rate:10,.0f} images/s", flush=True)
    print(", ".join(f"{what}: {value}" for what, value in report["ratios"].items()))
    write_json(chosen.out, report)
    return report


def images_per_second(contestant: Contestant, data: Digits, steps: int, warm_up: int, batch_size: int = 128) -> float:
    """One turn of a contestant, with a new model: from the last step of the warm-up to the last of all."""
    job = Job(data, steps + warm_up, batch_size)
    with machine.quiet():
        contestant(models.build("vae", 20), job)
    return batch_size * steps / (job.stamps[steps + warm_up - 1] - job.stamps[warm_up - 1])


def compared(contestants: dict[str, Contestant], data: Digits, rounds: int, steps: int, warm_up: int) -> dict[str, Any]:
    """All contestants in turns, so that what else the machine does meets all of them."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            rates[name].append(images_per_second(contestant, data, steps, warm_up))
            print(f"{name:<40}{rates[name][-1]:10,.0f} images/s", flush=True)
    return {name: {"median": statistics.median(each), "rounds": each} for name, each in rates.items()}


def ratios(medians: dict[str, float]) -> dict[str, Any]:
    """Our best, in float32 and in all, over the fastest peer."""
    peer = max(medians.keys() - OURS.keys(), key=medians.__getitem__)
    best = {name: max((o for o in OURS if name in o), key=medians.__getitem__) for name in ("float32", "")}
    return {
        "fastest_peer": peer,
        "best_float32": best["float32"],
        "float32_over_fastest_peer": medians[best["float32"]] / medians[peer],
        "best": best[""],
        "best_over_fastest_peer": medians[best[""]] / medians[peer],
    }


def limits(measured: dict[str, Any], latent_dim: int = 20) -> dict[str, Any]:
    """What the matrix products alone would allow, and how much of that our levels reach."""
    assert limit.__doc__ is not None
    flops = limit.training_flops(latent_dim)
    report: dict[str, Any] = {
        "counted": " ".join(limit.__doc__.split("\n\n", 1)[1].split()),
        "forward_flops": limit.forward_flops(latent_dim),
        "training_flops": flops,
        "precisions": {},
    }
    for precision in ("float32", "bf16"):
        rates = limit.matmul_rates(precision)
        shape = max(rates, key=rates.__getitem__)
        most = rates[shape] / flops
        reached = {name: measured[name]["median"] / most for name in OURS if precision in name}
        report["precisions"][precision] = {
            "best_shape": shape, "flops_per_second": rates[shape], "images_per_second": most, "reached": reached, "rates": rates,
        }  # fmt: skip
        print(f"{precision}: {rates[shape] / 1e9:,.0f} GFLOP/s, so at most {most:,.0f} images/s; reached: {reached}")
    return report


if __name__ == "__main__":
    main()
