"""Training loops to be timed: levels 2 and 3 of this project, and the loop of PyTorch's VAE example with the same network.

A contestant is given a model and a job: it trains the one with the other, and calls `job.done()` after each step until that
says True. Adam's learning rate is 1e-3, constant, but for level 2, which has one cycle. Each is what its users run: none is
given what another does better.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torchvision
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import DataLoader

import vae_lowlevel.train as level2_train
from vae_numpy.digits import Digits
from vae_paper import training
from vae_paper.config import Config, checked
from vae_paper.data import Data
from vae_paper.vae import VAE

LEARNING_RATE = 1e-3


@dataclass
class Job:
    """What to train on, and for how long; `stamps` says when each step was done."""

    data: Digits
    steps: int
    batch_size: int = 128
    device: str = "cpu"
    seed: int = 0
    stamps: list[float] = field(default_factory=list)

    def done(self) -> bool:
        """To be called after each step: whether it was the last."""
        self.stamps.append(time.perf_counter())
        return len(self.stamps) >= self.steps


Contestant = Callable[[VAE, Job], None]


def level2(model: VAE, job: Job) -> None:
    """`vae_lowlevel.train.train` itself, watched at its train_step: progress bar, schedule, checks and all. On the CPU only."""

    def watched(*arguments: Any) -> Tensor:
        loss = train_step_of_level2(*arguments)
        job.done()
        return loss

    config = level2_train.Config(latent_dim=model.latent_dim, batch_size=job.batch_size, seed=job.seed)
    few = job.data._replace(images=job.data.images[:128], labels=job.data.labels[:128])  # measured on when all is done
    train_step_of_level2 = level2_train.train_step
    with mock.patch.object(level2_train, "train_step", watched):
        params = level2_train.train(config, job.data, few, job.steps)
    model.load_state_dict(params)


def level3(
    model: VAE, job: Job, precision: Any = "float32", learning_rate: float = LEARNING_RATE, lr_schedule: Any = "constant"
) -> None:
    """Level 3's steps, as its loop takes them."""
    epochs = -(-job.steps // (len(job.data.images) // job.batch_size))
    config = checked(
        Config(
            latent_dim=model.latent_dim, epochs=epochs, batch_size=job.batch_size, learning_rate=learning_rate,
            lr_schedule=lr_schedule, precision=precision, device=job.device, seed=job.seed,
        )
    )  # fmt: skip
    images, labels = (torch.from_numpy(array).to(job.device) for array in job.data[:2])
    loss = torch.zeros((), dtype=torch.float64, device=job.device)
    for of_step in training.steps(config, model, training.adamw(config, model), Data(images, labels, job.data.source)):
        loss += of_step
        if job.done():
            return


class OneByOne(torchvision.datasets.MNIST):
    """torchvision's MNIST with its own way to an image, through PIL and ToTensor, on digits that are in memory already."""

    def __init__(self, data: Digits) -> None:
        self.data = torch.from_numpy(data.images[:, 0]).mul(255).round().to(torch.uint8)
        self.targets = torch.from_numpy(data.labels)
        self.transform, self.target_transform = torchvision.transforms.ToTensor(), None


def pytorch_example(model: VAE, job: Job, workers: int = 0) -> None:
    """As PyTorch's VAE example trains: torchvision, a DataLoader, summed binary cross-entropy and KL, the loss read each step."""
    images, pin = OneByOne(job.data), torch.device(job.device).type == "cuda"  # as the example does on a GPU
    loader = DataLoader(images, batch_size=job.batch_size, shuffle=True, num_workers=workers, pin_memory=pin)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    total = 0.0
    while True:
        for x, _ in loader:
            x = x.to(job.device)
            optimizer.zero_grad()
            mu, logvar = model.encoder(x)
            z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
            x_hat = torch.sigmoid(model.decoder(z))
            kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss = binary_cross_entropy(x_hat, x, reduction="sum") + kl
            loss.backward()
            total += loss.item()
            optimizer.step()
            if job.done():
                return
