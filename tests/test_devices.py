"""Products of float32 numbers keep all their digits, whatever the caller has set."""

import pytest
import torch
from conftest import thorough_but
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from vae_paper import Config, devices, evaluate, load, objectives, train
from vae_paper.data import Data
from vae_paper.measuring.elbo import terms_of
from vae_paper.measuring.estimators import importance
from vae_paper.measuring.inspect import inspect
from vae_paper.sampling.samplers import sample_images
from vae_paper.vae import VAE

FULL = ["ieee"] * len(devices.PRODUCTS)


def settings():
    return [setting.fp32_precision for setting in devices.PRODUCTS]


class Noting(VAE):
    """A VAE that notes torch's settings whenever its decoder runs."""

    def decode(self, z, labels=None):
        self.noted.append(settings())
        return super().decode(z, labels)


@pytest.fixture
def model():
    noting = Noting(2)
    noting.noted = []
    return noting


@pytest.fixture
def careless():
    """A caller who lets torch keep fewer digits everywhere."""
    before = settings()
    for setting in devices.PRODUCTS:
        setting.fp32_precision = "tf32"
    yield settings()
    for setting, value in zip(devices.PRODUCTS, before, strict=True):
        setting.fp32_precision = value


DATA = Data(torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)), about="noise")
MEASURES = {
    "terms_of": lambda model: terms_of(model, DATA),
    "importance": lambda model: importance(model, DATA, [3]),
    "inspect": lambda model: inspect(model, DATA, passes=1),
    "sample_images": lambda model: sample_images(model, 3),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_and_samples_are_full_float32_and_restore_the_settings(name, model, careless):
    MEASURES[name](model)
    assert model.noted
    assert all(noted == FULL for noted in model.noted)
    assert settings() == careless


def test_training_in_float32_is_full_float32(model, careless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(Config(epochs=1, batch_size=5, validation=0.0), model, DATA)
    assert model.noted == [FULL]
    assert settings() == careless


def test_a_device_of_which_torch_has_no_module_is_not_available():
    assert devices.is_available("cpu") and not devices.is_available("hpu") and not devices.is_available("privateuseone")


def test_the_settings_are_restored_after_an_error(careless):
    with pytest.raises(RuntimeError), devices.numerics():
        raise RuntimeError
    assert settings() == careless


def test_tf32_is_for_products_on_a_gpu_and_evaluation_inside_it_is_not(model):
    with devices.numerics("tf32"):
        assert settings() == ["tf32", "tf32", "tf32", "ieee", "ieee"]
        terms = terms_of(model, DATA)
        assert all(noted == FULL for noted in model.noted)
        assert settings() == ["tf32", "tf32", "tf32", "ieee", "ieee"]
    assert torch.isfinite(objectives.elbo(terms)).all()


class Refusing(TorchDispatchMode):
    """Refuses float64 on the "device". Here that is the CPU itself: a tensor is on the host if `cpu()` has moved it there,
    or if it was made from a number (`lift_fresh`), or computed from no other tensors than those on the host."""

    def __init__(self):
        super().__init__()
        self.host = {}  # by id; the tensors are kept, so that no id is used again

    def moved(self, tensor):
        copy = tensor.clone()
        self.host[id(copy)] = copy
        return copy

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [value for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        given = [tensor for tensor in tensors if tensor.is_floating_point()]
        on_host = func is torch.ops.aten.lift_fresh.default or all(id(tensor) in self.host for tensor in given)
        for tensor in pytree.tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and on_host:
                self.host[id(tensor)] = tensor
            elif isinstance(tensor, torch.Tensor):
                assert tensor.dtype != torch.float64, f"{func} makes float64 on the device"
        return result


@pytest.mark.parametrize("name", thorough_but(["vae", "cvae", "vq-vae", "pixel-vae"], "vae"))
def test_no_float64_on_the_device(name, tmp_path, monkeypatch):
    """Apple's MPS has none. Losses are added up in float32 there, and measures take their sums on the CPU."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "sum_dtype", lambda device: torch.float32)  # as for "mps"
    images = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()
    labelled = Data(images, torch.arange(12) % 3, about="noise")
    with Refusing() as mode:
        monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: mode.moved(tensor))
        run = train(Config(model=name, epochs=2, batch_size=4, validation=0.25), data=labelled)
        trained = load(run)
        evaluate(trained, labelled, passes=1)
        if name == "vae":
            importance(trained, labelled, [1, 3])
            inspect(trained, labelled, passes=1)
    assert mode.host


def test_tf32_without_a_gpu_is_refused():
    with pytest.raises(ValueError, match="precision is tf32, and device is cpu"):
        devices.check("cpu", "tf32")
