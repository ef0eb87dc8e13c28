"""What only a CUDA GPU can show. Skipped where there is none. On a machine with a GPU: `pytest tests/test_gpu.py`."""

import copy

import pytest
import torch

from vae_numpy import digits, weights
from vae_paper import Config, cuda_graph, devices, load, models, objectives, train, training
from vae_paper.config import checked
from vae_paper.data import Data, load_data
from vae_paper.measuring.elbo import terms_of
from vae_paper.vae import VAE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
DATA = load_data("handwriting", "train")
CASES = {
    "vae": {},
    "bf16": {"precision": "bf16"},
    "tf32": {"precision": "tf32"},
    "one cycle, beta rises": {"lr_schedule": "one-cycle", "beta_schedule": "linear"},
    "capacity": {"objective": "capacity", "gamma": 2.0, "capacity": 5.0},
    "iwae": {"objective": "iwae", "samples": 5, "binarise": "dynamic", "likelihood": "bernoulli"},
    "cvae": {"model": "cvae"},
    "ae": {"model": "ae"},
    "pixel-vae": {"model": "pixel-vae"},
    "quadrant-cvae": {"model": "quadrant-cvae"},
}


class Dropping(VAE):
    """A VAE with noise of its own, from torch's global generator."""

    recordable = True

    def encode(self, x, labels=None):
        return super().encode(torch.nn.functional.dropout(x, 0.1, self.training))


class Waiting(VAE):
    """A VAE that says that it is recordable, and reads a value."""

    recordable = True

    def encode(self, x, labels=None):
        mu, logvar = super().encode(x)
        return mu, logvar if mu.abs().max().item() < 1e9 else 2 * logvar


def taken(config, model, steps=20):
    model = model.cuda()
    optimizer = training.adamw(config, model)
    data = DATA.to("cuda")
    for _, _ in zip(range(steps), training.steps(config, model, optimizer, data), strict=False):
        pass
    return {name: p.cpu() for name, p in model.state_dict().items()}


@pytest.mark.parametrize("name", [*CASES, "dropout"])
def test_graph_and_eager_take_the_same_steps(name, monkeypatch, capsys):
    config = checked(Config(epochs=2, batch_size=60, latent_dim=5, validation=0.0, device="cuda", **CASES.get(name, {})))
    built = Dropping(5) if name == "dropout" else models.build(config.model, 5, config.likelihood)
    replays = []
    record = cuda_graph.recorded
    with monkeypatch.context() as watched:
        watched.setattr(cuda_graph, "recorded", lambda *given: replays.append(1) or record(*given))
        graph = taken(config, copy.deepcopy(built))
    assert replays, capsys.readouterr().err
    monkeypatch.setattr(cuda_graph, "replayed", lambda step, *rest: step)
    eager = taken(config, copy.deepcopy(built))
    assert all(torch.equal(graph[n], eager[n]) for n in eager), max((graph[n] - eager[n]).abs().max() for n in eager)


def test_a_model_that_waits_runs_step_by_step_and_says_where(capsys):
    taken(checked(Config(epochs=2, batch_size=60, latent_dim=5, validation=0.0, device="cuda")), Waiting(5))
    assert "test_gpu.py" in capsys.readouterr().err


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"source": "handwriting", "epochs": 2, "batch_size": 100, "latent_dim": 3, "device": "cuda"}
    train(Config(name="whole", **options))
    step, calls = training.steps, []

    def stopping(*given):
        for loss in step(*given):
            calls.append(1)
            if len(calls) == 17:
                raise KeyboardInterrupt
            yield loss

    with monkeypatch.context() as broken:
        broken.setattr(training, "steps", stopping)
        with pytest.raises(KeyboardInterrupt):
            train(Config(name="halves", **options))
    train(Config(name="halves", resume=True, **options))
    ours, theirs = (load(f"runs/{name}").state_dict() for name in ("whole", "halves"))
    assert all(torch.equal(theirs[name], p) for name, p in ours.items())


def test_evaluation_is_float32():
    model = load(weights.PRETRAINED / "vae_mnist_d20.safetensors")
    data = Data(torch.from_numpy(digits.load("handwriting", "test").images[:200]), about="handwriting")
    assert torch.isfinite(objectives.elbo(terms_of(model.cuda(), data.to("cuda")))).all()
    # CPU and GPU draw other noise from one seed, so here both get the same
    eps = torch.randn(1, 200, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with devices.numerics(), torch.no_grad():
        gpu = objectives.elbo(model(data.images.cuda(), eps.float().cuda())).cpu().double()
        cpu = objectives.elbo(copy.deepcopy(model).cpu().double()(data.images.double(), eps.float().double()))
    assert (gpu - cpu).abs().max() < 1e-4
