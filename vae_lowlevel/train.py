"""Training by hand: draw a batch, draw eps, take -ELBO, follow its gradient."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_lowlevel.vae import Params, elbo, init_params
from vae_numpy.checks import check_params
from vae_numpy.command_line import spelled
from vae_numpy.digits import Digits


@dataclass
class Config:
    """Train the VAE by hand, and save weights that every level reads."""

    epochs: int = 5
    """Passes over the training images."""
    latent_dim: int = 20
    """D, the size of z."""
    kind: Literal["bce", "mse"] = "bce"
    """The reconstruction loss."""
    batch_size: int = 128
    """Images per step; an epoch leaves out the few that do not fill a batch."""
    learning_rate: float = 2e-3
    """Adam's highest rate: it rises to it and falls to nearly 0 (one cycle)."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16 computes the network in bfloat16 (autocast): faster on a GPU, and on some CPUs (`make bench`); losses stay float32."""
    device: str = "cpu"
    """Where to train: cpu, cuda, ..."""
    seed: int = 0
    """Of the initial parameters, the order of the images, and eps."""
    source: str = "auto"
    """Digits: auto (MNIST where it is on disk, else the handwriting), mnist, fashion-mnist, kmnist, handwriting."""
    out: Path = Path("runs/lowlevel/weights.safetensors")
    """Where the weights go."""


def train(config: Config, data: Digits, test: Digits, steps: int | None = None) -> dict[str, Tensor]:
    """Minimise -ELBO for `epochs` (or `steps`) with Adam, printing the test objective after each epoch.

    Returns the parameters, on the CPU. Raises ValueError for an impossible configuration, and where the loss is not
    finite.
    """
    for name in ("epochs", "latent_dim", "batch_size", "learning_rate"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}: expected more than 0")
    if config.batch_size > len(data.images):
        raise ValueError(f"batch_size is {config.batch_size}: there are only {len(data.images)} training images")
    per_epoch = len(data.images) // config.batch_size
    steps = steps or config.epochs * per_epoch

    generator = torch.Generator(config.device).manual_seed(config.seed)
    images = torch.from_numpy(data.images).to(config.device)
    params = init_params(config.latent_dim, np.random.default_rng(config.seed))
    params = {name: p.detach().to(config.device).requires_grad_() for name, p in params.items()}
    optimizer = torch.optim.Adam(params.values(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)

    bar = tqdm(batches(images, config.batch_size, steps, generator), total=steps, unit="step")
    for step, x in enumerate(bar, start=1):
        eps = torch.randn(len(x), config.latent_dim, generator=generator, device=config.device)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            loss = train_step(params, optimizer, x, eps, config.kind)
        schedule.step()
        looked_at = step % 50 == 0 or step == steps
        if (looked_at or not loss.is_cuda) and not torch.isfinite(loss):  # on a device looking at every step would stall it
            raise ValueError(f"step {step}: the loss is {loss.item()}; nothing saved. Lower --learning-rate")
        if looked_at:
            bar.set_postfix_str(f"loss {loss.item():.1f} nats")
        if step % per_epoch == 0 or step == steps:
            objective, error = measure(params, test, config.kind)
            bar.write(f"epoch {step / per_epoch:5.2f}  test -ELBO {objective:7.2f} ± {error:.2f} nats per image")
    return {name: p.detach().cpu() for name, p in params.items()}


def train_step(
    params: Params,
    optimizer: torch.optim.Optimizer,
    x: Float[Tensor, "B 1 28 28"],
    eps: Float[Tensor, "B D"],
    kind: str = "bce",
) -> Float[Tensor, ""]:
    """One step down the gradient of -ELBO, averaged over the batch (and over nothing else). Returns that loss."""
    loss = -elbo(params, x, eps, kind).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def batches(
    images: Float[Tensor, "N 1 28 28"], batch_size: int, steps: int, generator: torch.Generator
) -> Iterator[Float[Tensor, "B 1 28 28"]]:
    """`steps` batches: a new order of the images for each epoch, its incomplete last batch left out."""
    per_epoch = len(images) // batch_size
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(images), generator=generator, device=images.device)
        start = step % per_epoch * batch_size
        yield images[order[start : start + batch_size]]


@torch.inference_mode()
def measure(params: Params, test: Digits, kind: str = "bce", passes: int = 1) -> tuple[float, float]:
    """-ELBO on all test images, z sampled (from seed 0), mean over `passes`, and its standard error, in nats per image."""
    device = params["encoder.mu.weight"].device
    generator = torch.Generator(device).manual_seed(0)
    losses = []
    for _ in range(passes):
        for images in np.array_split(test.images, -(-len(test.images) // 500)):
            x = torch.from_numpy(images).to(device)
            eps = torch.randn(len(x), check_params(params), generator=generator, device=device)
            losses.append(-elbo(params, x, eps, kind))
    loss = torch.cat(losses).double().view(passes, -1).mean(0)  # per image
    return loss.mean().item(), (loss.std() / len(loss) ** 0.5).item()


def header(config: Config, data: Digits, test: Digits, params: Mapping[str, Tensor]) -> dict[str, object]:
    """What the weight file says of itself."""
    objective, error = measure(params, test, config.kind, passes=5)
    return {
        "model": "vae",
        "latent_dim": config.latent_dim,
        "likelihood": config.kind,
        "command": spelled("python -m vae_lowlevel", config),
        "data": f"{data.source}, grayscale",
        "epochs": config.epochs,
        "seed": config.seed,
        "test_data": f"{test.source}, grayscale",
        "test_objective": objective,
        "test_objective_standard_error": error,
        "test_objective_is": "-ELBO in nats per image, z sampled, mean of 5 passes; an objective, not a bound",
    }
