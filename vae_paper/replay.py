"""A run's training once more, to be looked at. Every random number of it is a function of seed and step, so it is the same.

(A run's folder keeps its best weights only: fifty of them, for an animation, would be fifty times the disk.)
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.optim import Adam
from tqdm import tqdm

from vae_paper import checkpoint, train
from vae_paper.config import Config
from vae_paper.likelihoods import binarise
from vae_paper.vae import VAE


def replay(config: Config, look: Callable[[int, int, VAE], None], times: int) -> VAE:
    """Train as `config` says, writing nothing, and call look(step, steps, model) `times` times, from 0 to the last step.

    Returns the model as the last step left it.
    """
    data, _ = train.split(config)
    scale = {} if config.sigma is None else {"sigma": config.sigma}
    model = checkpoint.build(config.model, config.latent_dim, config.likelihood, seed=config.seed, **scale).to(config.device)
    optimizer = Adam(model.parameters(), lr=config.learning_rate, fused=True)
    per_epoch = len(data.images) // config.batch_size
    steps = config.epochs * per_epoch
    wanted, generator = moments(steps, times), torch.Generator(config.device)
    for step in tqdm(range(steps), unit="step", desc="the same training again"):
        if step in wanted:
            look(step, steps, model)
        if step % per_epoch == 0:
            train.seeded(generator, config.seed, train.ORDER, step // per_epoch)
            order = torch.randperm(len(data.images), generator=generator, device=config.device).split(config.batch_size)
        chosen = order[step % per_epoch]
        train.seeded(generator, config.seed, train.NOISE, step)
        x = binarise(data.images[chosen], data.binarisation, generator)
        eps = torch.randn(config.samples, len(x), config.latent_dim, generator=generator, device=config.device)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * train.lr_factor(config, step / steps)
        train.train_step(config, model, optimizer, x, eps, data.labels[chosen], step / steps)
    look(steps, steps, model)
    return model


def moments(steps: int, times: int) -> set[int]:
    """The steps to look at, from 0 to `steps`: close together at first, when most happens."""
    return {round(steps * share**2) for share in np.linspace(0, 1, times)}
