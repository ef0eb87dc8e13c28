"""The training loop: take a batch, draw eps, compute the loss -ELBO, take a gradient step."""

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
FEW_IMAGES = 10_000  # with fewer images, an epoch has too few steps at batch size 128
FEW_STEPS = 500  # after fewer steps, most latents hold no information about the image yet


@dataclass
class Config:
    """Train the VAE of level 2, and save weights that every level can read."""

    epochs: int | None = None
    """Passes over the training images. None means 40 if there are fewer than 10,000 images, otherwise 5."""
    latent_dim: int = 20
    """Latent size D."""
    kind: Literal["bce", "mse"] = "bce"
    """Reconstruction loss: bce (binary cross-entropy) or mse (squared error)."""
    batch_size: int | None = None
    """Images per step. None means 32 if there are fewer than 10,000 images, otherwise 128."""
    learning_rate: float = 2e-3
    """Highest learning rate of Adam. The learning rate rises to this value, then falls to nearly 0 (one-cycle schedule)."""
    seed: int = 0
    """Random seed for the initial parameters, the order of the images, and eps."""
    source: str = "auto"
    """Digits: auto (MNIST if it is on disk, otherwise handwriting), mnist, fashion-mnist, kmnist, handwriting."""
    out: Path = Path("runs/lowlevel/weights.safetensors")
    """File for the trained weights."""


def train(
    config: Config, data: Digits, test: Digits, steps: int | None = None, after_epoch: AfterEpoch | None = None
) -> dict[str, Tensor]:
    """Minimise -ELBO with Adam for `config.epochs` epochs, or for `steps` steps.

    After each epoch, and after the last step, compute -ELBO on the test images with `measure`. Then call `after_epoch` with the
    parameters, the number of finished epochs, the test -ELBO and its standard error. Then print the test -ELBO.
    Returns the parameters. Raises ValueError if an option has a wrong value, or if the loss or the test -ELBO is not finite.
    """
    epochs, batch_size = epochs_and_batch_size(config, len(data.images))
    per_epoch = len(data.images) // batch_size
    steps = steps or epochs * per_epoch
    if steps < 2 or len(test.images) < 2:
        raise ValueError(
            f"{steps} steps, {len(test.images)} test images: expected at least 2 of each; "
            "for more steps, raise --epochs or lower --batch-size"
        )
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
            if after_epoch:  # save first, then print: so every printed epoch is saved
                after_epoch(params, step // per_epoch, objective, error)
            bar.write(f"epoch {step / per_epoch:5.2f}  test -ELBO {objective:7.2f} ± {error:.2f} nats per image")
    return {name: p.detach() for name, p in params.items()}


def epochs_and_batch_size(config: Config, images: int) -> tuple[int, int]:
    """The number of epochs and the batch size. If one is None, it follows from the number of training images."""
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
    """Take one gradient step, and return the loss: -ELBO per image, averaged over the batch only."""
    loss = -elbo(params, x, eps, kind).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def batches(
    images: Float[Tensor, "N 1 28 28"], batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[Float[Tensor, "B 1 28 28"]]:
    """Yield `steps` batches. Each epoch shuffles the images, and leaves out the last ones if they do not fill a batch."""
    per_epoch = len(images) // batch_size
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator, device=images.device)
        start = step % per_epoch * batch_size
        yield images[order[start : start + batch_size]]


@torch.inference_mode()
def measure(params: Params, test: Digits, kind: str = "bce", passes: int = 1) -> tuple[float, float]:
    """The mean of -ELBO over all test images, and its standard error, in nats per image.

    Each pass draws new z (one generator, seed 0). With several passes, -ELBO of each image is averaged over the passes first.
    """
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(passes):
        for images in np.array_split(test.images, -(-len(test.images) // 500)):
            eps = torch.randn(len(images), check_params(params), generator=generator)  # (B, D)
            losses.append(-elbo(params, torch.from_numpy(images), eps, kind))  # (B,)
    loss = torch.cat(losses).double().view(passes, -1).mean(0)  # (N,)
    return loss.mean().item(), (loss.std() / len(loss) ** 0.5).item()
