"""Ladder, step 6: from one start, on the same batches and noise, levels 2 and 3 take the same 20 steps."""

import numpy as np
import torch
from conftest import assert_close

import vae_lowlevel.train as level2
import vae_paper.training as level3
from vae_paper import models
from vae_paper.config import Config


def test_twenty_steps(small_params, x):
    params = {name: torch.tensor(p, requires_grad=True) for name, p in small_params.items()}
    model = models.build("vae", 3).double()
    model.load_state_dict(params)
    adam2 = torch.optim.Adam(params.values(), lr=2e-3, fused=True)
    adam3 = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    rng = np.random.default_rng(0)
    images, losses = torch.from_numpy(x).double(), []
    for _ in range(20):
        batch = images[torch.from_numpy(rng.permutation(len(images))[:9])]
        eps = torch.from_numpy(rng.standard_normal((9, 3)))
        loss2 = level2.train_step(params, adam2, batch, eps)
        loss3 = level3.train_step(Config(), model, adam3, batch, eps[None], None, level3.scheduled(Config(), 1.0))
        assert_close(loss3, loss2, 1e-8, "loss")
        losses.append(loss2.item())
    assert losses[-1] < losses[0] - 100
    for name, p in params.items():
        assert_close(model.state_dict()[name], p.detach(), 1e-8, name)
