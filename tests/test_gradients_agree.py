"""Ladder, step 5: gradients of levels 2 and 3 equal each other, and central differences of level 1's ELBO."""

import numpy as np
import pytest
import torch
from conftest import assert_close

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import digits
from vae_paper import objectives
from vae_paper.vae import VAE

STEP, PROBES = 1e-6, 200


def gradients(small_params, x, eps):
    x, eps = torch.from_numpy(x), torch.from_numpy(eps)
    tensors = {name: torch.tensor(p, requires_grad=True) for name, p in small_params.items()}
    level2.elbo(tensors, x, eps).sum().backward()
    model = VAE(3).double()
    model.load_state_dict(tensors)
    objectives.elbo(model(x, eps[None])).sum().backward()
    return {n: t.grad.numpy() for n, t in tensors.items()}, {n: p.grad.numpy() for n, p in model.named_parameters()}


@pytest.fixture(scope="module")
def inputs():
    """Two digits that every machine has, float64, and noise."""
    return digits.load("handwriting", "test").images[:2].astype(np.float64), np.random.default_rng(1).standard_normal((2, 3))


def test_levels_2_and_3(small_params, inputs):
    second, third = gradients(small_params, *inputs)
    assert second.keys() == third.keys()
    for name, gradient in second.items():
        assert np.abs(gradient).max() > 0, f"{name} gets no gradient"
        assert_close(third[name], gradient, 1e-9, name)


def test_central_differences_of_level_1(small_params, inputs, monkeypatch):
    """Compared where no ReLU switches between theta - h and theta + h: at least 80 % of the probes of every tensor."""
    x, eps = inputs
    expected, _ = gradients(small_params, x, eps)
    masks = []
    relu = level1.relu
    monkeypatch.setattr(level1, "relu", lambda h: (masks.append(h > 0), relu(h))[1])

    def elbo_and_masks(params):
        masks.clear()
        return level1.elbo(params, x, eps).sum(), list(masks)

    rng = np.random.default_rng(2)
    for name, p in small_params.items():
        p = p.copy()
        params = small_params | {name: p}
        flat, compared = p.reshape(-1), 0
        chosen = rng.permutation(p.size)[:PROBES]
        for index in chosen:
            value = flat[index]
            flat[index] = value + STEP
            above, masks_above = elbo_and_masks(params)
            flat[index] = value - STEP
            below, masks_below = elbo_and_masks(params)
            flat[index] = value
            if any((a != b).any() for a, b in zip(masks_above, masks_below, strict=True)):
                continue
            compared += 1
            gradient = expected[name].reshape(-1)[index]
            difference = (above - below) / (2 * STEP)
            assert abs(difference - gradient) <= 1e-5 * max(1, abs(gradient)), f"{name}[{index}]: {difference} != {gradient}"
        assert compared >= 0.8 * len(chosen), f"{name}: only {compared} of {len(chosen)} probes could be compared"
