"""Learned priors are densities: they integrate to 1, they are the densities of what is drawn, and the terms use them."""

import numpy as np
import pytest
import torch
from conftest import assert_close
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import vae_paper
from vae_numpy import digits
from vae_paper import models, objectives
from vae_paper.data import Data
from vae_paper.learned_prior import LearnedPrior
from vae_paper.measuring import inspect
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


@pytest.mark.parametrize(("name", "arguments"), [("flow-prior", "couplings=2 hidden=8"), ("vamp-prior", "inputs=6")])
def test_it_trains_by_its_name_and_every_command_knows_it(name, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = digits.load("handwriting")
    data = Data(found.images[:90], found.labels[:90])
    path = vae_paper.train(
        vae_paper.Config(name="p", model=name, model_arguments=arguments, latent_dim=3, epochs=2, batch_size=20), data=data
    )
    model = vae_paper.load(path)
    assert isinstance(model, LearnedPrior) and name in ("flow-prior", "vamp-prior")
    measures = vae_paper.evaluate(model, data, passes=2, k=5, subset=10)["measures"]
    assert {"elbo", "nll", "mutual_information_low", "active_units"} <= measures.keys()
    report = vae_paper.inspect(model, data, passes=1)
    assert report["rate_is"].startswith("an estimate") and "R belongs to all latents together" in inspect.table(report)
    subject = vae_paper.Subject(model, data)
    assert all(vae_paper.draw(subject, kind) for kind in ("samples", "traversals"))
    assert np.isfinite(model.sample(3, torch.Generator().manual_seed(0)).detach().numpy()).all()


def test_impossible_sizes_and_a_prior_that_is_not_defined_are_refused():
    for name, arguments in (("flow-prior", {"couplings": 0}), ("flow-prior", {"hidden": 0}), ("vamp-prior", {"inputs": 0})):
        with pytest.raises(ValueError, match="expected at least"):
            models.build(name, 3, **arguments)
    with pytest.raises(ValueError, match="expected at least 2, 1, 1"):
        models.build("flow-prior", 1)
    with pytest.raises(NotImplementedError, match="LearnedPrior defines no log_prior"):
        LearnedPrior(2)(torch.rand(1, 1, 28, 28), torch.randn(1, 1, 2))
    assert issubclass(LearnedPrior, VAE)
