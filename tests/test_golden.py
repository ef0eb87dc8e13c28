"""Ladder, step 8: the pretrained weights still give the numbers that were written down once, at every level."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PRETRAINED, SOURCES, assert_close

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import digits, weights
from vae_paper import weight_files


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("latent_dim", [2, 20])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_golden_values(source, latent_dim, level):
    golden, _ = weights.load_tensors(Path(__file__).parent / "golden" / f"{source}_d{latent_dim}.safetensors")
    x = digits.load(source, "test").images[: len(golden["eps"])].astype(np.float64)
    params = {name: p.astype(np.float64) for name, p in weights.load(PRETRAINED[latent_dim])[0].items()}
    if level == 1:
        mu, logvar = level1.encode(params, x)
        logits = level1.decode(params, level1.reparameterize(mu, logvar, golden["eps"]))
        losses = [level1.reconstruction_loss(logits, x, kind) for kind in ("bce", "mse")]
        kl = level1.kl_divergence(mu, logvar)
    elif level == 2:
        tensors, x = {name: torch.from_numpy(p) for name, p in params.items()}, torch.from_numpy(x)
        mu, logvar = level2.encode(tensors, x)
        logits = level2.decode(tensors, level2.reparameterize(mu, logvar, torch.from_numpy(golden["eps"])))
        losses = [level2.reconstruction_loss(logits, x, kind) for kind in ("bce", "mse")]
        kl = level2.kl_divergence(mu, logvar)
    else:
        model, x = weight_files.load_with_header(PRETRAINED[latent_dim])[0].double(), torch.from_numpy(x)
        with torch.inference_mode():
            mu, logvar = model.encode(x)
            terms = model(x, torch.from_numpy(golden["eps"])[None])
            logits = model.decode(mu + torch.exp(logvar / 2) * torch.from_numpy(golden["eps"]))
            model.likelihood = "mse"
            losses = [terms.distortion[0], model(x, torch.from_numpy(golden["eps"])[None]).distortion[0]]
        kl = terms.rate.sum(1)
    got = {"mu": mu, "logvar": logvar, "logits": logits[: len(golden["logits"])], "kl": kl}
    got |= {"reconstruction_bce": losses[0], "reconstruction_mse": losses[1]}
    for name, values in got.items():
        assert_close(values, golden[name], 1e-10, name)
