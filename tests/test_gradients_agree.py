"""Ladder, step 5: gradients of levels 2 and 3 equal each other, and central differences of level 1's ELBO."""

import jaxtyping
import numpy as np
import pytest
import torch
from conftest import assert_close, thorough_but

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import digits, parameters
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


@pytest.fixture
def elbo_at(small_params, inputs, monkeypatch):
    """name, indices, step -> level 1's ELBO with each of these numbers a step away, (n,), and which ReLUs are on, (n, units).

    What lies before the number's layer is computed once, that layer once for each number, and what lies behind it for all
    numbers at once. Shapes, which other tests check, are not looked at: that would take longer than the numbers do.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    x, eps = inputs
    monkeypatch.setattr(level1, "AT_ONCE", 2 * PROBES)
    layers = {layer: getattr(level1, layer) for layer in ("conv2d", "linear", "conv_transpose2d")}
    relu, on = level1.relu, []
    monkeypatch.setattr(level1, "relu", lambda h: (on.append((h > 0).reshape(len(h), -1)), relu(h))[1])

    def alike(*arrays):
        """The results for two images, where nothing has changed yet, as often as there are changed ones beside them."""
        most = max(len(array) for array in arrays)
        return [np.tile(array, (most // len(array), *[1] * (array.ndim - 1))) for array in arrays]

    def at(name, indices, step):
        changed = small_params[name].copy()

        def for_each_number(layer):
            def changed_layer(h, weight, bias, **options):
                if changed is not weight and changed is not bias:
                    return layer(h, weight, bias, **options)
                outs = []
                for index in indices:
                    value = changed.flat[index]
                    changed.flat[index] = value + step
                    outs.append(layer(h, weight, bias, **options))
                    changed.flat[index] = value
                return np.concatenate(outs)

            return changed_layer

        for layer, function in layers.items():
            monkeypatch.setattr(level1, layer, for_each_number(function))
        on.clear()
        params = small_params | {name: changed}
        mu, logvar, noise = alike(*level1.encode(params, x), eps)
        logits = level1.decode(params, level1.reparameterize(mu, logvar, noise))
        logits, mu, logvar, images, *masks = alike(logits, mu, logvar, x, *on)
        assert len(logits) == 2 * len(indices), f"{name}: its layer was not found"
        loss = level1.reconstruction_loss(logits, images) + level1.kl_divergence(mu, logvar)
        return -loss.reshape(len(indices), -1).sum(1), np.hstack(masks).reshape(len(indices), -1)

    yield at
    jaxtyping.config.update("jaxtyping_disable", False)


SOME = ("encoder.conv1.weight", "encoder.mu.bias", "decoder.conv_t1.weight", "decoder.fc1.bias")


@pytest.mark.parametrize("name", thorough_but(parameters.shapes(3), *SOME))
def test_central_differences_of_level_1(name, small_params, inputs, elbo_at):
    """Compared where no ReLU switches between theta - h and theta + h: at least 80 % of the probes of every tensor."""
    expected = gradients(small_params, *inputs)[0][name].reshape(-1)
    chosen = np.random.default_rng(2).permutation(expected.size)[:PROBES]
    assert_close(elbo_at(name, chosen[:1], 0.0)[0], level1.elbo(small_params, *inputs).sum(keepdims=True), 1e-9, "the ELBO")
    (above, masks_above), (below, masks_below) = (elbo_at(name, chosen, step) for step in (STEP, -STEP))
    same = (masks_above == masks_below).all(1)
    assert same.sum() >= 0.8 * len(chosen), f"{name}: only {same.sum()} of {len(chosen)} probes could be compared"
    gradient, difference = expected[chosen][same], ((above - below) / (2 * STEP))[same]
    assert_close(difference / np.maximum(1, np.abs(gradient)), gradient / np.maximum(1, np.abs(gradient)), 1e-5, name)
