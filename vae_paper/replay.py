"""A run's training once more, to be looked at. Every random number of it is a function of seed and step, so it is the same.

(A run's folder keeps its best weights only: forty of them, for an animation, would be forty times the disk.)
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vae_paper import checkpoint, train
from vae_paper.config import Config
from vae_paper.vae import Model


def replay(config: Config, look: Callable[[int, int, Model], None], times: int) -> Model:
    """Train as `config` says, writing nothing, and call look(step, steps, model) `times` times, from 0 to the last step.

    Returns the model as the last step left it.
    """
    data, validation = train.split(config)
    model = checkpoint.build_for(config).to(config.device)
    run = train.Run(config, Path(), model, train.optimizer_of(config, model), data, validation)
    steps = config.epochs * run.steps_per_epoch
    wanted = moments(steps, times)
    look(0, steps, model)
    with tqdm(total=steps, unit="step", desc="the same training again") as bar:
        while run.at["step"] < steps:
            for _ in train.steps(run):
                bar.update()
                if run.at["step"] in wanted:
                    look(run.at["step"], steps, model)
    return model


def moments(steps: int, times: int) -> set[int]:
    """The steps to look at, from 0 to `steps`: close together at first, when most happens."""
    if min(steps, times) < 1:
        raise ValueError(f"moments: {times} of {steps} steps; expected at least 1 of both")
    return {round(steps * share**2) for share in np.linspace(0, 1, times)}
