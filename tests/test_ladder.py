"""Two layers of latents: on a linear-Gaussian hierarchy the ladder's q can be the posterior, and then the bound is log p(x)."""

import numpy as np
import pytest
import torch
from conftest import assert_close
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import vae_paper
from vae_numpy import digits
from vae_paper import models, objectives
from vae_paper.data import Data
from vae_paper.measuring import estimators
from vae_paper.models.ladder import Ladder

SHAPE, SIGMA = (1, 4, 8), 0.6
D1, D2 = 3, 2


class Below(torch.nn.Module):
    """p(z1|z2) = N(A z2 + c, diag(s²)). The rows of A that see one latent of z2 do not see the other."""

    def __init__(self):
        super().__init__()
        self.A = torch.tensor([[1.5, 0.0], [-0.7, 0.0], [0.0, 0.9]], dtype=torch.float64)
        self.c = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
        self.s2 = torch.tensor([0.5, 1.3, 0.2], dtype=torch.float64)

    def forward(self, z2):
        mu = z2 @ self.A.T + self.c
        return torch.cat([mu, self.s2.log().expand_as(mu)], dim=-1)


class LinearLadder(Ladder):
    """x = W z1 + b + noise, with orthogonal columns of W: the posterior has the ladder's form. `off` moves q(z2|x)."""

    def __init__(self, off=0.0):
        super().__init__(D1 + D2, "gaussian", image_shape=SHAPE, top=D2)
        rng = np.random.default_rng(0)
        axes, _ = np.linalg.qr(rng.standard_normal((32, D1)))
        self.W = torch.from_numpy(axes) * torch.tensor([2.0, 0.8, 1.4], dtype=torch.float64)
        self.b, self.below, self.off = torch.from_numpy(rng.random(32)), Below(), off

    def encode(self, x, labels=None):
        size = self.W.square().sum(0)
        mu1 = (x.flatten(1) - self.b) @ self.W / size  # what x says of z1 is N(mu1, sigma² / |w|²)
        variance = SIGMA**2 / size
        A, weight = self.below.A, 1 / (self.below.s2 + variance)  # mu1 given z2 is N(A z2 + c, s² + variance)
        precision = 1 + (A.square() * weight[:, None]).sum(0)
        mu2 = ((mu1 - self.below.c) * weight) @ A / precision + self.off
        rows = len(x)
        return torch.cat([mu1, mu2], 1), torch.cat([variance.log().expand(rows, D1), -precision.log().expand(rows, D2)], 1)

    def distortion(self, z, x, labels=None):
        return -Normal(z[..., :D1] @ self.W.T + self.b, SIGMA).log_prob(x.flatten(1)).sum(2)

    def log_p(self, x):
        """log p(x): a Gaussian."""
        A, W = self.below.A, self.W
        covariance = W @ (A @ A.T + self.below.s2.diag()) @ W.T + SIGMA**2 * torch.eye(32, dtype=W.dtype)
        return MultivariateNormal(W @ self.below.c + self.b, covariance).log_prob(x.flatten(1))


def some(model, count=6, K=4):
    """Images of any kind, and noise."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)
    return x, torch.randn(K, count, model.latent_dim, generator=generator, dtype=torch.float64)


def test_with_the_posterior_as_q_every_weight_is_log_p():
    model = LinearLadder()
    x, eps = some(model)
    terms = model(x, eps)
    assert_close(terms.log_weight, model.log_p(x).expand(4, -1), 1e-10)
    assert terms.rate.shape == (6, 2) and (terms.rate > 0.1).all()


def test_with_another_q_the_gap_is_its_divergence_from_the_posterior():
    """q(z1|x, z2) stays the posterior. So the gap is KL(q(z2|x) || p(z2|x)), which is known."""
    off = 0.4
    model = LinearLadder(off)
    x, eps = some(model, K=40_000)
    terms = model(x, eps)
    _, logvar = model.encode(x)
    gap = (off**2 / logvar[:, D1:].exp()).sum(1) / 2
    found = model.log_p(x) - objectives.elbo(terms)
    error = terms.log_weight.std(0) / 200
    assert ((found - gap).abs() < 4 * error).all() and (gap > 0.2).all() and (error < 0.02).all()
    # with many samples the importance weights still estimate p(x)
    assert_close(objectives.iwae(terms), model.log_p(x), 0.05)


def built(top=2):
    """A small ladder with random parameters, float64."""
    model = models.build("ladder", 5, image_shape=(1, 8, 12), top=top, hidden=7).double()
    generator = torch.Generator().manual_seed(3)
    for parameter in [*model.above.parameters(), *model.below.parameters()]:
        parameter.data = 0.7 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


@pytest.mark.parametrize("top", [1, 2, 4])
def test_the_terms_are_those_of_the_definition(top):
    """KL and log weights by torch.distributions, from the same z."""
    model = built(top)
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(4, 1, 8, 12, generator=generator, dtype=torch.float64)
    eps = torch.randn(3, 4, 5, generator=generator, dtype=torch.float64)
    terms = model(x, eps)
    (mu1, mu2), (logvar1, logvar2) = (part.split([5 - top, top], 1) for part in model.encode(x))
    z1, z2 = terms.z.split([5 - top, top], 2)
    mu_p, logvar_p = model.prior_of_z1(z2)
    precision = (-logvar1).exp() + (-logvar_p).exp()
    mu_q = (mu1 * (-logvar1).exp() + mu_p * (-logvar_p).exp()) / precision
    q1, p1, q2 = Normal(mu_q, precision.rsqrt()), Normal(mu_p, (logvar_p / 2).exp()), Normal(mu2, (logvar2 / 2).exp())
    rates = kl_divergence(q1, p1).sum(2).mean(0), kl_divergence(q2, Normal(0.0, 1.0)).sum(1)
    assert_close(terms.rate.detach(), torch.stack(rates, 1).detach(), 1e-9)
    log_ratio = p1.log_prob(z1) - q1.log_prob(z1)
    log_ratio = log_ratio.sum(2) + (Normal(0.0, 1.0).log_prob(z2) - q2.log_prob(z2)).sum(2)
    assert_close(terms.log_weight.detach(), (log_ratio - terms.distortion).detach(), 1e-9)
    logits = model.decoder(z1.flatten(0, 1)).unflatten(0, (3, 4))  # the image depends on z1 alone
    assert_close(terms.distortion.detach(), model.nats(logits, x).detach(), 1e-9)
    objectives.elbo(terms).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_samples_come_down_through_both_layers():
    model = LinearLadder()
    z1, z2 = model.double().draw_prior(40_000, torch.Generator().manual_seed(0)).split([D1, D2], 1)
    below = model.below
    covariance = below.A @ below.A.T + below.s2.diag()
    error = (covariance.diagonal() / 40_000).sqrt()
    assert ((z1.mean(0) - below.c).abs() < 4 * error).all()
    assert_close(torch.cov(z1.T), covariance, 0.08)
    assert_close(((z1 - below.c).T @ z2) / len(z2), below.A, 0.05)


def test_it_trains_by_its_name_and_every_command_knows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = digits.load("handwriting")
    data = Data(found.images[:90], found.labels[:90])
    config = vae_paper.Config(name="l", model="ladder", model_arguments="top=1 hidden=9", latent_dim=4, epochs=2, batch_size=20)
    model = vae_paper.load(vae_paper.train(config, data=data))
    assert (model.top, model.hidden) == (1, 9)
    measures = vae_paper.evaluate(model, data, passes=2, k=5, subset=10)["measures"]
    assert {"elbo", "nll"} <= measures.keys() and "active_units" not in measures
    subject = vae_paper.Subject(model, data)
    assert all(vae_paper.draw(subject, kind) for kind in ("samples", "reconstructions"))
    with pytest.raises(ValueError, match="the terms of Ladder have no mu"):
        vae_paper.inspect(model, data)
    known = estimators.importance(model, data.subset(slice(0, 4)), [1, 20])
    assert (known.iwae[1] > known.elbo).all()


def test_what_a_ladder_refuses():
    for arguments in ({"top": 5}, {"top": -1}, {"hidden": 0}):
        with pytest.raises(ValueError, match="top, hidden"):
            models.build("ladder", 5, **arguments)
    with pytest.raises(ValueError, match="latent_dim"):
        models.build("ladder", 1)
    assert [models.build("ladder", D).top for D in (2, 20, 32)] == [1, 6, 10]
