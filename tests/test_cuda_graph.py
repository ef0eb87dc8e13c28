"""A training step recorded once and replayed takes the same steps as one that runs as it is.

Here, on the CPU, a record is played by a function that sees nothing but the fixed buffers: it shows that every value that
changes from step to step comes in through them. On a GPU, test_gpu.py shows the same with real CUDA graphs.
"""

import pytest
import torch
from conftest import thorough_but

from vae_paper import Config, cuda_graph, devices, models, training
from vae_paper.config import checked
from vae_paper.data import Data

STEPS = 20
IMAGES = torch.rand(60, 1, 12, 20, generator=torch.Generator().manual_seed(0)).round()
DATA = Data(IMAGES, torch.arange(60) % 3, about="noise")
CONFIGS = {
    "one cycle": {"lr_schedule": "one-cycle"},
    "beta rises": {"beta": 3.0, "beta_schedule": "linear", "warmup_epochs": 2},
    "cyclical beta": {"beta_schedule": "cyclical"},
    "capacity": {"objective": "capacity", "gamma": 2.0, "capacity": 5.0},
    "free bits": {"objective": "free-bits", "free_bits": 0.5, "beta_schedule": "linear"},
    "iwae": {"objective": "iwae", "samples": 3},
    "labels": {"model": "cvae"},
    "autoencoder": {"model": "ae"},
    "pixel-vae": {"model": "pixel-vae"},
    "quadrant-cvae": {"model": "quadrant-cvae"},
    "learned sigma": {"likelihood": "learned-gaussian"},
}


def trained(**options):
    config = checked(Config(epochs=4, batch_size=12, latent_dim=5, validation=0.0, **options))
    arguments = {"classes": 3} if config.model == "cvae" else {}
    model = models.build(config.model, 5, config.likelihood, image_shape=DATA.shape, **arguments)
    optimizer = training.adamw(config, model)
    losses = torch.stack(list(training.steps(config, model, optimizer, DATA)))
    assert len(losses) == STEPS
    return losses, model.state_dict()


@pytest.fixture
def pretended(monkeypatch):
    """Take the CPU for a GPU. A "record" runs the function on its fixed buffers, and fills its fixed result."""
    played = []

    def recorded(function, *buffers):
        result = torch.zeros(())

        def replay():
            played.append(len(played))
            result.copy_(function(*buffers))

        return replay, result

    monkeypatch.setattr(devices, "is_cuda", lambda device: True)
    monkeypatch.setattr(cuda_graph, "recorded", recorded)
    monkeypatch.setattr(cuda_graph, "watched", lambda function, *buffers: (function(*buffers), ""))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: torch.enable_grad())
    return played


@pytest.mark.parametrize("name", thorough_but(CONFIGS, "one cycle", "beta rises", "vq-vae"))
def test_replayed_steps_are_the_steps(name, pretended, monkeypatch):
    again, replayed = trained(**CONFIGS[name])
    assert len(pretended) == STEPS - cuda_graph.FIRST
    monkeypatch.setattr(cuda_graph, "replayed", lambda step, *rest: step)
    losses, parameters = trained(**CONFIGS[name])
    assert torch.equal(again, losses)
    assert all(torch.equal(replayed[n], p) for n, p in parameters.items())


def test_a_step_that_waits_for_the_gpu_is_not_recorded(pretended, monkeypatch, capsys):
    monkeypatch.setattr(cuda_graph, "watched", lambda function, *buffers: (function(*buffers), "mine.py:3 waits for it"))
    trained()
    assert not pretended
    assert capsys.readouterr().err.strip().endswith("not as one CUDA graph: mine.py:3 waits for it")


class Own(type(models.build("vae"))):  # a subclass does not inherit the promise
    pass


@pytest.mark.parametrize(
    ("model", "made", "objective", "reason"),
    [
        (models.build("vae"), {"capturable": True, "lr": torch.tensor(0.1)}, False, None),
        (models.build("vae"), {"capturable": True, "lr": torch.tensor(0.1)}, True, "an objective of your own"),
        (models.build("vae"), {"lr": torch.tensor(0.1)}, False, "capturable=True"),
        (models.build("vae"), {"capturable": True, "lr": 0.1}, False, "a tensor as its learning rate"),
        (models.build("vq-vae"), {"capturable": True, "lr": torch.tensor(0.1)}, False, "VQVAE does not say"),
        (Own(3), {"capturable": True, "lr": torch.tensor(0.1)}, False, "Own does not say"),
    ],
)
def test_the_reason_is_said(model, made, objective, reason, capsys):
    optimizer = torch.optim.AdamW(model.parameters(), **{"lr": 0.1} | made, foreach=False)
    step = cuda_graph.replayed(torch.sum, model, optimizer, objective)
    said = capsys.readouterr().err
    assert isinstance(step, cuda_graph.Replayed) == (reason is None)
    assert not said if reason is None else reason in said


def test_a_learning_rate_on_a_gpu_is_read_only_once(monkeypatch):
    """Reading it makes the CPU wait for the GPU."""
    rate = torch.tensor(0.5)
    optimizer = torch.optim.AdamW([torch.zeros(1)], lr=rate, capturable=True)
    training.set_learning_rates(optimizer, 0.5)
    monkeypatch.setattr(torch.Tensor, "__float__", None)
    training.set_learning_rates(optimizer, 0.25)
    assert rate == 0.125
