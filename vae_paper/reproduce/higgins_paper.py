"""python -m vae_paper.reproduce.higgins_paper: does beta = 4 disentangle more than beta = 1, with the paper's network and image
size? (Higgins et al. 2017, Fig. 6 and the table of architectures in the appendix) -> results/higgins_paper.json.

The sprites have 64x64 pixels, and D = 10. The encoder has two layers of 1200 ReLU units, the decoder has three layers of 1200
tanh units, and both are fully connected. The optimiser is Adagrad with a constant learning rate of 1e-2. The command line has no
such model and optimiser, so they are passed to `training.train` in Python. The metrics and the rule of the verdict are those of
`reproduce/higgins.py`.

By default the measurement is small enough for a CPU: one seed, one epoch for each beta. The full measurement is for a GPU:

    python -m vae_paper.reproduce.higgins_paper --seeds 0 1 2 3 4 --epochs 20 --dci 10000 --device cuda

Two things differ from the paper: the sprites are our own, with rotations within a quarter turn; and there are few epochs.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_numpy.command_line import command_of, run
from vae_paper import devices, sprites, weight_files
from vae_paper.config import Config
from vae_paper.measuring.disentanglement import Representation, codes_of_sprites
from vae_paper.reproduce import Row, at_least, machine, over_seeds, seconds_of, trained
from vae_paper.reproduce.higgins import check_options, measured, pair
from vae_paper.vae import VAE

SIZE, HIDDEN = 64, 1200  # pixels along a side, and units of each hidden layer (Higgins et al. 2017, appendix)
BETAS = (1.0, 4.0)


@dataclass
class Options:
    """Measure the disentanglement of beta-VAEs with the paper's network on sprites of 64x64 pixels."""

    seeds: tuple[int, ...] = (0,)
    """Random seeds: one run for each seed and each beta."""
    epochs: int = 1
    """Epochs of each run, over nine tenths of all sprites."""
    batch_size: int = 64
    """Images per step."""
    latent_dim: int = 10
    """Latent size D."""
    train: int = 10_000
    """Training points of each metric, except MIG and DCI."""
    test: int = 5_000
    """Test points of each metric, except MIG."""
    dci: int = 1_000
    """Training points of DCI's trees; 0 leaves out DCI and SAP."""
    device: str = "cpu"
    """Device of the training: cpu, cuda or mps."""
    out: Path = Path("results/higgins_paper.json")
    """File for the numbers."""


class Encoder(nn.Module):
    """x -> mu, logvar: two hidden layers of ReLU units."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.hidden1, self.hidden2 = nn.Linear(SIZE**2, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.mu, self.logvar = nn.Linear(HIDDEN, latent_dim), nn.Linear(HIDDEN, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.hidden1(x.flatten(1)))  # (B, 1200)
        h = torch.relu(self.hidden2(h))  # (B, 1200)
        return self.mu(h), self.logvar(h)  # (B, D) each


class Decoder(nn.Module):
    """z -> logits: three hidden layers of tanh units."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(latent_dim, HIDDEN)
        self.hidden2, self.hidden3 = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, SIZE**2)

    def forward(self, z: Tensor) -> Tensor:
        h = torch.tanh(self.hidden1(z))  # (B, 1200)
        h = torch.tanh(self.hidden2(h))  # (B, 1200)
        h = torch.tanh(self.hidden3(h))  # (B, 1200)
        return self.out(h).view(-1, 1, SIZE, SIZE)  # (B, 1, 64, 64)


def build(latent_dim: int, seed: int) -> VAE:
    """An untrained VAE with the paper's networks, initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = (1, SIZE, SIZE)
        return VAE(latent_dim, image_shape=shape, encoder=Encoder(latent_dim), decoder=Decoder(latent_dim))


def adagrad(parameters: Any) -> torch.optim.Optimizer:
    """Adagrad with the paper's learning rate."""
    return torch.optim.Adagrad(parameters, lr=1e-2)


def main(options: Options) -> None:
    """Train the missing runs, measure all representations, and write the report."""
    check_options(options)
    at_least(options, batch_size=1)
    devices.check(options.device)
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.higgins_paper", options),
        "model": f"vae, fully connected, {HIDDEN} units, D = {options.latent_dim}, bce on grayscale sprites of {SIZE}x{SIZE}, "
        f"batches of {options.batch_size}, Adagrad 1e-2, the last weights",
        "binarisation": "none",
        "seeds": list(options.seeds),
        "k": 1,
        "split": f"trained on nine tenths of {sprites.COUNT:,} sprites; the metrics are computed from mu of all sprites",
        "epochs": options.epochs,
        "machine": machine(options.device),
        "representations": {},
    }
    for seed in options.seeds:
        encoder = functools.partial(codes_of, build(options.latent_dim, seed).eval())
        each = {"untrained encoder": measured(options, f"higgins-paper-untrained-{seed}", encoder, options.dci)}
        for beta in BETAS:
            each[f"beta = {beta:.3g}"] = of_beta(options, beta, seed)
        for name, numbers in each.items():
            report["representations"].setdefault(name, {"seeds": []})["seeds"].append(numbers)
            print(seed, name, numbers, flush=True)
    found = {name: over_seeds(r["seeds"]) for name, r in report["representations"].items()}
    report["representations"] = found
    report["seconds"] = seconds_of(found)
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)


def of_beta(options: Options, beta: float, seed: int) -> dict[str, float]:
    """The metrics of a VAE trained with this beta."""
    config = Config(
        name=f"higgins-paper-{beta:.3g}-{seed}",
        source="sprites",
        image_size=SIZE,
        latent_dim=options.latent_dim,
        beta=beta,
        seed=seed,
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr_schedule="constant",
        validation=0.0,
        device=options.device,
    )
    model, seconds = trained(config, build(options.latent_dim, seed), adagrad)
    numbers = measured(options, config.name, functools.partial(codes_of, model), options.dci, vars(config))
    return numbers | {"seconds": numbers["seconds"] + seconds}


def codes_of(model: VAE) -> Representation:
    """mu of all sprites. The model is moved to the CPU, because the sprites are on the CPU."""
    return codes_of_sprites(model.cpu())


def ledger(report: dict[str, Any]) -> list[Row]:
    """The line that compares the two betas."""
    low, high = BETAS
    return [pair(report["representations"], low, high, "the paper's network, 64x64")]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.higgins_paper", Options, main)
