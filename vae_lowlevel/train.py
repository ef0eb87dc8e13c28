"""Training by hand: take a batch, draw eps, compute the loss -ELBO, and step down its gradient."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_lowlevel.vae import Params, elbo, init_params
from vae_numpy.checks import check_at_least, check_params
from vae_numpy.digits import Digits

AfterEpoch = Callable[[Params, int, float, float], None]
FEW_IMAGES = 10_000  # with fewer, an epoch has too few steps at MNIST's batch size, 128
FEW_STEPS = 500  # after fewer, most latents still hold no information about the image


@dataclass
class Config:
    """Train the VAE by hand, and save weights that every level reads."""

    epochs: int | None = None
    """Passes over the training images. None means 5, or 40 if there are fewer than 10,000 images."""
    latent_dim: int = 20
    """Latent size D."""
    kind: Literal["bce", "mse"] = "bce"
    """Reconstruction loss: bce (binary cross-entropy) or mse (squared error)."""
    batch_size: int | None = None
    """Images per step. None means 128, or 32 if there are fewer than 10,000 images."""
    learning_rate: float = 2e-3
    """Highest learning rate of Adam. The rate rises to it, then falls to nearly 0 (one cycle)."""
    seed: int = 0
    """Random seed for the initial parameters, the order of the images, and eps."""
    source: str = "auto"
    """Digits: auto (MNIST if it is on disk, otherwise handwriting), mnist, fashion-mnist, kmnist, handwriting."""
    out: Path = Path("runs/lowlevel/weights.safetensors")
    """File for the trained weights."""


def train(
    config: Config, data: Digits, test: Digits, steps: int | None = None, after_epoch: AfterEpoch | None = None
) -> dict[str, Tensor]:
    """Minimise -ELBO with Adam for `config.epochs` (or for `steps`). After each epoch, measure the test objective.

    Then call `after_epoch` with the parameters, the number of finished epochs, the objective and its standard
    error, and print the objective.
    Returns the parameters. Raises ValueError if the configuration is impossible, or the loss is not finite.
    """
    epochs, batch_size = epochs_and_batch_size(config, len(data.images))
    per_epoch = len(data.images) // batch_size
    steps = steps or epochs * per_epoch
    if steps < FEW_STEPS:
        print(f"note     only {steps} steps: a good model takes about 2,000. Raise --epochs or lower --batch-size.")

    generator = torch.Generator().manual_seed(config.seed)
    params = init_params(config.latent_dim, np.random.default_rng(config.seed))
    optimizer = torch.optim.Adam(params.values(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)

    bar = tqdm(batches(torch.from_numpy(data.images), batch_size, steps, generator), total=steps, unit="step", disable=None)
    for step, x in enumerate(bar, start=1):
        eps = torch.randn(len(x), config.latent_dim, generator=generator)  # (B, D)
        loss = train_step(params, optimizer, x, eps, config.kind)
        schedule.step()
        if not torch.isfinite(loss):
            raise ValueError(f"step {step}: the loss is {loss.item()}: lower --learning-rate")
        if step % 50 == 0:
            bar.set_postfix_str(f"loss {loss.item():.1f} nats")
        if step % per_epoch == 0 or step == steps:
            objective, error = measure(params, test, config.kind)
            if not math.isfinite(objective):
                raise ValueError(f"step {step}: the test objective is {objective}: lower --learning-rate")
            if after_epoch:  # first, so every printed epoch is saved
                after_epoch(params, step // per_epoch, objective, error)
            bar.write(f"epoch {step / per_epoch:5.2f}  test -ELBO {objective:7.2f} ± {error:.2f} nats per image")
    return {name: p.detach() for name, p in params.items()}


def epochs_and_batch_size(config: Config, images: int) -> tuple[int, int]:
    """The epochs and the batch size: from the configuration, or chosen by the number of training images."""
    epochs, batch_size = (40, 32) if images < FEW_IMAGES else (5, 128)
    epochs = epochs if config.epochs is None else config.epochs
    batch_size = batch_size if config.batch_size is None else config.batch_size
    given = {"epochs": epochs, "latent_dim": config.latent_dim, "batch_size": batch_size, "learning_rate": config.learning_rate}
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}: expected more than 0, and finite")
    check_at_least(0, seed=config.seed)
    if batch_size > images:
        raise ValueError(f"batch_size is {batch_size}: there are only {images} training images")
    return epochs, batch_size


def train_step(
    params: Params, optimizer: torch.optim.Optimizer, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "B D"], kind: str = "bce"
) -> Float[Tensor, ""]:
    """Take one step down the gradient of the loss: -ELBO, averaged over the batch and over nothing else. Returns the loss."""
    loss = -elbo(params, x, eps, kind).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def batches(
    images: Float[Tensor, "N 1 28 28"], batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[Float[Tensor, "B 1 28 28"]]:
    """`steps` batches. Each epoch shuffles the images and leaves out the last ones, which do not fill a batch."""
    per_epoch = len(images) // batch_size
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator, device=images.device)
        start = step % per_epoch * batch_size
        yield images[order[start : start + batch_size]]


@torch.inference_mode()
def measure(params: Params, test: Digits, kind: str = "bce", passes: int = 1) -> tuple[float, float]:
    """The mean of -ELBO over all test images, and its standard error, in nats per image.

    z is sampled with the random seed 0. With several passes, each image's value is the mean over the passes.
    """
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(passes):
        for images in np.array_split(test.images, -(-len(test.images) // 500)):
            eps = torch.randn(len(images), check_params(params), generator=generator)  # (B, D)
            losses.append(-elbo(params, torch.from_numpy(images), eps, kind))  # (B,)
    loss = torch.cat(losses).double().view(passes, -1).mean(0)  # (N,)
    return loss.mean().item(), (loss.std() / len(loss) ** 0.5).item()
