"""A trace holds the results on the way from an image to its ELBO, by name. The traces of the three levels can be compared.

A trace holds the result of each layer (before its ReLU), z, the reconstruction loss, the KL and the ELBO.
Levels 1 and 2 are passed as Python modules (`level`), level 3 as a torch module (`model`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_numpy.checks import check_params
from vae_paper import devices, models, objectives
from vae_paper.vae import Model

Trace = dict[str, np.ndarray]
Call = tuple[Callable, tuple, dict[str, Any], Any]


@contextlib.contextmanager
def noted_calls(level: Any) -> Iterator[list[Call]]:
    """The list gets an entry for each call of a layer in the `with` block: (layer, arguments, options, result)."""
    calls: list[Call] = []
    layers = {name: getattr(level, name) for name in ("linear", "conv2d", "conv_transpose2d")}

    def noting(layer: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            result = layer(*arguments, **options)
            calls.append((layer, arguments, options, result))
            return result

        return call

    try:
        for name, layer in layers.items():
            setattr(level, name, noting(layer))
        yield calls
    finally:
        for name, layer in layers.items():
            setattr(level, name, layer)


def trace_functions(level: Any, params: Any, x: Any, eps: Any) -> Trace:
    """The trace of level 1 or 2. A layer's result is named after its weight: `encoder.conv1.weight` gives `encoder.conv1`."""
    name_of = {id(p): name.removesuffix(".weight") for name, p in params.items()}
    with noted_calls(level) as calls:
        mu, logvar = level.encode(params, x)
        z = level.reparameterize(mu, logvar, eps)
        logits = level.decode(params, z)
    noted = {name_of[id(weight)]: result for _, (_, weight, *_), _, result in calls}
    noted |= {"z": z, "reconstruction": level.reconstruction_loss(logits, x), "KL": level.kl_divergence(mu, logvar)}
    noted["ELBO"] = level.elbo(params, x, eps)
    return {name: np.asarray(t) for name, t in noted.items()}


def trace_module(model: Model, x: Tensor, eps: Tensor) -> Trace:
    """The trace of level 3. Its layers are modules, and forward hooks record the results of these layers."""
    noted: dict[str, Any] = {}
    layers = [(name, m) for name, m in model.named_modules() if hasattr(m, "weight")]
    hooks = [m.register_forward_hook(lambda m, x, y, name=name: noted.__setitem__(name, y)) for name, m in layers]
    terms = model(x, eps[None])
    for hook in hooks:
        hook.remove()
    assert terms.z is not None  # a VAE always returns z
    noted["z"] = terms.z[0]
    noted |= {"reconstruction": terms.distortion[0], "KL": terms.rate.sum(1), "ELBO": objectives.elbo(terms)}
    return {name: np.asarray(t) for name, t in noted.items()}


@torch.inference_mode()
def traces(levels: Sequence[Any], params: Trace, x: np.ndarray, eps: np.ndarray, dtype: str) -> list[Trace]:
    """The traces of the three levels, all in `dtype`, for the same weights, images and noise.

    `levels` is (vae_numpy.vae, vae_lowlevel.vae).
    """
    params, x, eps = {name: p.astype(dtype) for name, p in params.items()}, x.astype(dtype), eps.astype(dtype)
    tensors = {name: torch.from_numpy(p) for name, p in params.items()}
    model = models.build("vae", check_params(params)).to(getattr(torch, dtype))
    model.load_state_dict(tensors)
    x_t, eps_t = torch.from_numpy(x), torch.from_numpy(eps)
    level1, level2 = levels
    with devices.numerics():
        of_torch = trace_functions(level2, tensors, x_t, eps_t), trace_module(model, x_t, eps_t)
    return [trace_functions(level1, params, x, eps), *of_torch]
