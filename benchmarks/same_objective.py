"""Speed is worth nothing if the model is worse: `python -m benchmarks.same_objective` writes results/same_objective.json.

Level 3 in float32 and bf16, level 2, the loop of PyTorch's VAE example, pythae and Lightning, each trained on all 60,000
training images, from the same initial parameters for each seed, with Adam at a constant 1e-3, nothing selected on anything;
then all are the same model, and the same evaluation measures them in float32 on the test images: -ELBO, an objective on
grayscale.
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine, peers
from benchmarks.contestants import LEARNING_RATE, Contestant, Job, level3, pytorch_example
from vae_lowlevel.train import batches, train_step
from vae_numpy import digits
from vae_paper import models
from vae_paper.data import load_data
from vae_paper.measuring import elbo
from vae_paper.reproduce import over_seeds
from vae_paper.vae import VAE
from vae_paper.weight_files import write_json


def level2(model: VAE, job: Job) -> None:
    """Level 2's batches and steps; its own loop has no constant learning rate."""
    params = dict(model.named_parameters())
    optimizer = torch.optim.Adam(params.values(), lr=LEARNING_RATE, fused=True)
    generator = torch.Generator(job.device).manual_seed(job.seed)
    for x in batches(torch.from_numpy(job.data.images).to(job.device), job.batch_size, job.steps, generator):
        eps = torch.randn(len(x), model.latent_dim, generator=generator, device=job.device)
        train_step(params, optimizer, x, eps)
        job.done()


CONTESTANTS: dict[str, Contestant] = {
    "level 3, float32": level3,
    "level 3, bf16": functools.partial(level3, precision="bf16"),
    "level 2, float32": level2,
    "pytorch/examples": pytorch_example,
}


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Train, evaluate, write after each contestant."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_objective", description=main.__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="at least two")
    parser.add_argument("--threads", type=int, help="of torch (default: all cores)")
    parser.add_argument("--source", default="mnist", help="digits, as everywhere")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="pythae and Lightning too")
    parser.add_argument("--out", type=Path, default=Path("results/same_objective.json"))
    chosen = parser.parse_args(args)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    data, test = digits.load(chosen.source), load_data(chosen.source, "test", device=chosen.device)
    others, left_out = peers.installed(chosen.peers)
    contestants = CONTESTANTS | others
    if chosen.device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        left_out |= {name: "this processor has no instructions for it" for name in contestants if "bf16" in name}
    for name, why in left_out.items():
        print(f"{name} is left out: {why}")
        contestants.pop(name, None)
    report: dict[str, Any] = {
        "command": "python -m benchmarks.same_objective",
        "machine": machine.about(chosen.device),
        "protocol": f"{chosen.epochs} epochs of {data.source}, grayscale, D = 20, B = 128, Adam, learning rate 1e-3 throughout",
        "measured_on": f"{test.about}, z sampled, 5 passes, float32",
        "units": "nats per image; objective is -ELBO, on grayscale no bound",
        "left_out": left_out,
        "contestants": {},
    }
    for name, contestant in contestants.items():
        measured = []
        for seed in chosen.seeds:
            model = models.build("vae", 20, seed=seed).to(chosen.device)
            torch.manual_seed(seed)
            with machine.quiet():
                contestant(model, Job(data, chosen.epochs * (len(data.images) // 128), device=chosen.device, seed=seed))
            result = elbo.summary(model, test)
            measured.append({"objective": -result["elbo"]} | {term: result[term] for term in ("rate", "distortion")})
            print(name, seed, measured[-1], flush=True)
        report["contestants"][name] = over_seeds(measured)
        means = [row["mean"]["objective"] for row in report["contestants"].values()]
        report["furthest_apart"] = max(means) - min(means)
        write_json(chosen.out, report)
    return report


if __name__ == "__main__":
    main()
