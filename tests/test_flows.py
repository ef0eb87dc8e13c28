"""Learned priors and flows of the posterior are densities: they integrate to 1, and the terms use them."""

import numpy as np
import pytest
import torch
from conftest import assert_close
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import vae_paper
from vae_numpy import digits
from vae_paper import models, objectives
from vae_paper.data import Data
from vae_paper.estimated_rate import EstimatedRate
from vae_paper.measuring import inspect
from vae_paper.models.iaf import IAF, Step
from vae_paper.reproduce.oracle_models import LinearVAE
from vae_paper.vae import VAE

SHAPE = (1, 8, 12)


def built(name, latent_dim=2, **arguments):
    """A model whose prior is far from its first one, float64."""
    model = models.build(name, latent_dim, image_shape=SHAPE, **arguments).double().eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.flow.parameters() if name == "flow-prior" else [model.encoder.mu.weight, model.encoder.logvar.weight]:
        strength = 0.4 if name == "flow-prior" else 0.3
        parameter.data = strength * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def mixture(model):
    """The VampPrior by torch.distributions."""
    mu, logvar = model.components()
    return MixtureSameFamily(Categorical(torch.ones(len(mu), dtype=mu.dtype)), Independent(Normal(mu, (logvar / 2).exp()), 1))


@pytest.mark.parametrize(("name", "arguments"), [("flow-prior", {"couplings": 3, "hidden": 7}), ("vamp-prior", {"inputs": 5})])
def test_a_prior_integrates_to_1_and_is_the_density_of_its_samples(name, arguments):
    model = built(name, **arguments)
    steps = torch.linspace(-14, 14, 561, dtype=torch.float64)
    z = torch.cartesian_prod(steps, steps)
    with torch.no_grad():
        p = model.log_prior(z[None])[0].exp() * (steps[1] - steps[0]) ** 2
        assert p.sum().item() == pytest.approx(1.0, abs=1e-3)
        mean = p @ z
        variance = p @ (z - mean).square()
        assert (mean.abs() > 0.1).any() and ((variance - 1).abs() > 0.1).any()  # not N(0, I)
        drawn = model.draw_prior(40_000, torch.Generator().manual_seed(0))
    assert ((drawn.mean(0) - mean).abs() < 4 * (variance / 40_000).sqrt()).all()
    fourth = p @ (z - mean).pow(4)
    assert ((drawn.var(0) - variance).abs() < 4 * ((fourth - variance**2) / 40_000).sqrt()).all()


@pytest.mark.parametrize("latent_dim", [2, 5])
def test_a_flow_is_inverted_and_its_determinant_is_that_of_its_jacobian(latent_dim):
    model = built("flow-prior", latent_dim, couplings=4, hidden=6)
    z = torch.randn(3, latent_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for coupling in model.flow:
        u, log_det = coupling(z)
        assert_close(coupling.inverse(u).detach(), z, 1e-10)
        for n in range(3):
            jacobian = torch.autograd.functional.jacobian(lambda one, c=coupling: c(one)[0], z[n])
            assert log_det[n].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-10)


def test_a_new_flow_is_the_normal_prior():
    model, x = models.build("flow-prior", 4, image_shape=SHAPE), torch.rand(3, *SHAPE)
    z = torch.randn(2, 3, 4)
    torch.testing.assert_close(model.log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(2))
    plain = models.build("vae", 4, image_shape=SHAPE)
    torch.testing.assert_close(model(x, z).log_weight, plain(x, z).log_weight)


def test_a_vamp_prior_is_the_mixture_of_its_components():
    model = built("vamp-prior", 3, inputs=4)
    z = 3 * torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_close(model.log_prior(z).detach(), mixture(model).log_prob(z).detach(), 1e-9)


@pytest.mark.parametrize("name", ["flow-prior", "vamp-prior"])
def test_the_terms_are_those_of_the_learned_prior(name):
    model = built(name, 3)
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(5, *SHAPE, generator=generator, dtype=torch.float64)
    eps = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    terms = model(x, eps)
    mu, logvar = model.encode(x)
    log_ratio = model.log_prior(terms.z) - Normal(mu, (logvar / 2).exp()).log_prob(terms.z).sum(2)
    assert_close(terms.log_weight.detach(), (log_ratio - terms.distortion).detach(), 1e-9)
    assert terms.rate.shape == (5, 1)
    assert_close(objectives.elbo(terms).detach(), terms.log_weight.mean(0).detach(), 1e-9)
    objectives.elbo(terms).sum().backward()
    prior = model.flow if name == "flow-prior" else [model.logits]
    assert all(p.grad.abs().sum() > 0 for p in (prior.parameters() if name == "flow-prior" else prior))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vamp-prior", "inputs=6"),
        pytest.param("flow-prior", "couplings=2 hidden=8", marks=pytest.mark.thorough),
        pytest.param("iaf", "steps=2 hidden=8", marks=pytest.mark.thorough),
    ],
)
def test_it_trains_by_its_name_and_every_command_knows_it(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = digits.load("handwriting")
    data = Data(found.images[:90], found.labels[:90])
    path = vae_paper.train(
        vae_paper.Config(name="p", model=name, model_arguments=arguments, latent_dim=3, epochs=2, batch_size=20), data=data
    )
    model = vae_paper.load(path)
    assert isinstance(model, EstimatedRate)
    measures = vae_paper.evaluate(model, data, passes=2, k=5, subset=10)["measures"]
    assert {"elbo", "nll"} <= measures.keys() and ("active_units" in measures) == (name != "iaf")
    subject = vae_paper.Subject(model, data)
    assert all(vae_paper.draw(subject, kind) for kind in ("samples", "reconstructions"))
    assert np.isfinite(model.sample(3, torch.Generator().manual_seed(0)).detach().numpy()).all()
    if name == "iaf":
        with pytest.raises(ValueError, match="the terms of IAF have no mu"):
            vae_paper.inspect(model, data)
        return
    report = vae_paper.inspect(model, data, passes=1)
    assert report["rate_is"].startswith("an estimate") and "R belongs to all latents together" in inspect.table(report)
    with pytest.raises(ValueError, match="traversals"):
        vae_paper.draw(subject, "traversals")  # from -3 to 3: with a learned prior, the scale of a latent is free


def test_a_step_of_an_iaf_is_autoregressive_and_its_determinant_is_that_of_its_jacobian():
    step = Step(5, 11).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in step.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    z, context = (torch.randn(1, 1, d, generator=generator, dtype=torch.float64) for d in (5, 10))
    jacobian = torch.autograd.functional.jacobian(lambda one: step(one, context[0])[0].flatten(), z).view(5, 5)
    assert (jacobian.triu(1) == 0).all() and (jacobian.tril(-1).abs() > 0).sum() == 10
    assert step(z, context[0])[1].item() == pytest.approx(torch.linalg.slogdet(jacobian)[1].item(), abs=1e-10)


class OracleIAF(IAF):
    """Known p(x|z) and a flow as the posterior: mu, logvar and the flow are learned."""

    def __init__(self, oracle):
        super().__init__(3, steps=2, hidden=16)
        self.oracle = oracle

    def distortion(self, z, x, labels=None):
        return self.oracle.distortion(z, x)


@pytest.mark.thorough
def test_an_iaf_closes_the_gap_that_a_diagonal_gaussian_cannot():
    """One image of a linear-Gaussian model with a correlated posterior: log p(x) and the best diagonal ELBO are known."""
    torch.manual_seed(0)
    oracle = LinearVAE(exact=True, correlated=True)
    x = oracle.drawn(1).images
    model = OracleIAF(oracle).double()
    with torch.no_grad():
        mu, logvar = (t.clone() for t in oracle.encode(x))
    mu, logvar = mu.requires_grad_(), logvar.requires_grad_()
    optimizer = torch.optim.Adam([mu, logvar, *model.flow.parameters()], lr=0.01)
    for _ in range(400):
        loss = -model.terms(mu, logvar, x, torch.randn(32, 1, 3, dtype=torch.float64)).log_weight.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    eps = torch.randn(20_000, 1, 3, dtype=torch.float64)
    with torch.no_grad():
        log_p = oracle.log_p(x).item()
        diagonal = log_p - oracle.terms(*oracle.encode(x), x, eps).log_weight.mean().item()
        flowed = log_p - model.terms(mu, logvar, x, eps).log_weight.mean().item()
    assert diagonal > 0.05 and flowed < 0.25 * diagonal, (diagonal, flowed)


def test_the_terms_of_an_iaf():
    """log q(z|x) by the change of variables, with the flow's determinant from autograd; trained, evaluated, drawn."""
    model = models.build("iaf", 3, image_shape=SHAPE, hidden=9).double()
    for parameter in model.flow.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(2, *SHAPE, generator=generator, dtype=torch.float64)
    eps = torch.randn(1, 2, 3, generator=generator, dtype=torch.float64)
    terms = model(x, eps)
    assert terms.mu is None and terms.logvar is None
    mu, logvar = (t.detach() for t in model.encode(x))
    for b in range(2):

        def whole(e, b=b):
            start = (mu[b] + torch.exp(logvar[b] / 2) * e)[None, None]
            return model.flowed(start, mu[b : b + 1], logvar[b : b + 1])[0].flatten()

        log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(whole, eps[0, b]))[1]
        log_q = Normal(0.0, 1.0).log_prob(eps[0, b]).sum() - log_det
        log_p = Normal(0.0, 1.0).log_prob(terms.z[0, b]).sum()
        assert terms.log_weight[0, b].item() == pytest.approx((log_p - log_q - terms.distortion[0, b]).item(), abs=1e-9)


def test_impossible_sizes_are_refused():
    for name, argument in (("flow-prior", "couplings"), ("flow-prior", "hidden"), ("vamp-prior", "inputs"), ("iaf", "steps")):
        with pytest.raises(ValueError, match="expected at least"):
            models.build(name, 3, **{argument: 0})
    with pytest.raises(ValueError, match="expected at least 2, 1, 1"):
        models.build("flow-prior", 1)
    assert issubclass(EstimatedRate, VAE)
