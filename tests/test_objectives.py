"""Objectives, schedules and likelihoods are what their papers say, at values worked out by hand or by integration."""

import math

import numpy as np
import pytest
import torch
from conftest import assert_close
from test_known_likelihood import images  # noqa: F401 (a fixture)

from vae_paper import likelihoods, objectives, schedules
from vae_paper.reproduce.oracle_models import LinearVAE
from vae_paper.vae import VAE, Terms, kl_per_latent

RATE = torch.tensor([[0.01, 0.3, 2.0], [0.03, 0.1, 3.0]], dtype=torch.float64)


def terms_of(distortion, rate, log_weight=None):
    distortion = torch.tensor(distortion, dtype=torch.float64)
    return Terms(distortion, rate, -distortion if log_weight is None else torch.tensor(log_weight, dtype=torch.float64))


def gradients_of(model, objective, mu, logvar, x, eps):
    """The gradients of the mean objective for mu, logvar and the decoder's W."""
    given = [mu.clone().requires_grad_(), logvar.clone().requires_grad_(), model.W.requires_grad_()]
    return torch.autograd.grad(objective(model.terms(*given[:2], x, eps)).sum(), given)


@pytest.fixture(params=[True, False], ids=["exact posterior", "another q"])
def oracle(request):
    model = LinearVAE(exact=request.param)
    x = model.drawn(4).images
    with torch.no_grad():
        mu, logvar = (t.clone() for t in model.encode(x))
    return request.param, model, x, mu, logvar


def test_gradients_through_z_have_no_noise_at_the_exact_posterior(oracle):
    exact, *given = oracle
    for seed in range(5):
        eps = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for objective in (objectives.sticking_the_landing, objectives.dreg):
            encoder = torch.cat([g.flatten() for g in gradients_of(given[0], objective, *given[2:], given[1], eps)[:2]])
            assert (encoder.abs().max() < 1e-9) == exact


@pytest.mark.thorough
def test_gradients_with_less_noise_have_the_mean_of_the_plain_ones(oracle):
    """4 standard errors, in each of 24 numbers of mu and logvar, over 4,000 draws; and the values are equal, draw by draw."""
    _, model, x, mu, logvar = oracle
    many = (t.repeat(4000, *[1] * (t.ndim - 1)) for t in (x, mu, logvar))
    x, mu, logvar = many
    eps = torch.randn(5, len(x), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain_elbo = lambda terms: terms.log_weight.mean(0)  # noqa: E731
    for plain, quiet in ((plain_elbo, objectives.sticking_the_landing), (objectives.iwae, objectives.dreg)):
        values = [objective(model.terms(mu, logvar, x, eps)).detach() for objective in (plain, quiet)]
        assert_close(*values, 1e-9)
        *noisy, decoder = gradients_of(model, plain, mu, logvar, x, eps)
        *calm, same_decoder = gradients_of(model, quiet, mu, logvar, x, eps)
        assert_close(same_decoder, decoder, 1e-7)
        for a, b in zip(noisy, calm, strict=True):
            a, b = a.view(4000, 4, 3), b.view(4000, 4, 3)
            error = (a - b).std(0) / 4000**0.5
            assert ((a - b).mean(0).abs() < 4 * error + 1e-12).all()
            assert (b.var(0) < a.var(0)).all()


def test_dreg_is_its_definition():
    """Σ_k w_k² ∂ log w_k / ∂z_k · ∂z_k / ∂mu, where ∂z / ∂mu = 1, with log w written as a function of z alone."""
    model = LinearVAE(exact=False)
    x = model.drawn(4).images
    with torch.no_grad():
        mu, logvar = (t.clone() for t in model.encode(x))
    eps = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = (mu + torch.exp(logvar / 2) * eps).requires_grad_()
    log_w = -model.distortion(z, x) - 0.5 * z.square().sum(2) + 0.5 * ((z - mu).square() / logvar.exp()).sum(2)
    (slope,) = torch.autograd.grad(log_w.sum(), z)
    weight = torch.softmax(model.terms(mu, logvar, x, eps).log_weight, 0)
    of_mu, of_logvar, _ = gradients_of(model, objectives.dreg, mu, logvar, x, eps)
    expected = weight.square()[..., None] * slope  # (K, B, D)
    assert_close(of_mu, expected.sum(0), 1e-9)
    assert_close(of_logvar, (expected * 0.5 * torch.exp(logvar / 2) * eps).sum(0), 1e-9)


def test_gradients_through_z_need_a_gaussian_q():
    with pytest.raises(ValueError, match="lack mu, logvar or z"):
        objectives.dreg(terms_of([[1.0]], RATE[:1]))


def test_beta_weighs_the_rate_and_nothing_else():
    terms = terms_of([[10.0, 30.0], [20.0, 40.0]], RATE)  # two samples of z for each of two images
    assert_close(objectives.elbo(terms), [-15 - 2.31, -35 - 3.13], 1e-12)
    assert objectives.beta_loss(terms, 1.0).item() == pytest.approx(-objectives.elbo(terms).mean().item())
    assert objectives.beta_loss(terms, 4.0).item() == pytest.approx(25 + 4 * 2.72)


def test_free_bits_in_three_forms_that_all_differ():
    assert objectives.free_bits(RATE, 0.25, "latent").item() == pytest.approx(3.0)  # .25 + .25 + 2.5
    assert objectives.free_bits(RATE, 0.25, "image").item() == pytest.approx(3.025)
    assert objectives.free_bits(RATE, 0.25, "total").item() == pytest.approx(2.72)
    assert objectives.free_bits(RATE, 5.0, "total").item() == pytest.approx(5.0)
    with pytest.raises(ValueError, match='expected "latent", "image" or "total"'):
        objectives.free_bits(RATE, 0.25, "batch")
    rate = RATE.clone().requires_grad_()
    objectives.free_bits(rate, 0.25).backward()
    assert (rate.grad != 0).all(0).tolist() == [False, False, True]  # below the floor nothing pulls


def test_capacity_is_of_the_mean_not_the_mean_of_it():
    assert objectives.capacity(RATE, 1000.0, 2.7).item() == pytest.approx(1000 * abs(2.72 - 2.7))
    assert objectives.capacity(RATE, 10.0, 25.0).item() == pytest.approx(222.8)


def test_iwae_by_hand():
    terms = terms_of([[0.0], [0.0]], RATE[:1], [[math.log(2.0)], [math.log(4.0)]])
    assert objectives.iwae(terms).item() == pytest.approx(math.log(3.0))
    terms = terms_of([[0.0]], RATE[:1], [[-7.5]])
    assert objectives.iwae(terms).item() == -7.5


def test_iwae_with_one_sample_is_the_elbo_with_the_kl_sampled():
    """Equal to the analytic-KL ELBO in expectation only: the paired difference over 10^5 samples has mean 0."""
    torch.manual_seed(0)
    mu, logvar = torch.tensor([[0.7, -1.2]], dtype=torch.float64), torch.tensor([[0.4, -0.9]], dtype=torch.float64)
    eps = torch.randn(100_000, 1, 2, dtype=torch.float64)

    class Flat(VAE):
        """Its distortion is 3, whatever z: what is left is the KL."""

        def encode(self, x, labels=None):
            return mu, logvar

        def distortion(self, z, x, labels=None):
            return torch.full(z.shape[:2], 3.0, dtype=z.dtype)

    terms = Flat(2)(torch.zeros(1, 1, 28, 28, dtype=torch.float64), eps)
    sampled = terms.log_weight[:, 0]
    one = Terms(terms.distortion[:1], terms.rate, terms.log_weight[:1])
    assert objectives.iwae(one).item() == sampled[0].item()
    difference = sampled - objectives.elbo(terms)
    assert difference.std() > 0.5
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(len(difference))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_expected_bound_at_each_k_is_what_quadrature_says(k, images):  # noqa: F811
    """On a linear-Gaussian model, where log w(z) is smooth: 48 nodes for each of the k samples, against 10^4 draws."""

    class OneLatent(LinearVAE):
        """One latent only, and a q that is near its posterior."""

        def encode(self, x, labels=None):
            mu, logvar = super().encode(x)
            return mu[:, :1] + 0.1, logvar[:, :1] + 0.4

        def distortion(self, z, x, labels=None):
            return super().distortion(torch.cat([z, torch.zeros_like(z), torch.zeros_like(z)], dim=2), x)

    model, x = OneLatent(), images[:1]
    model.W[:, 1:] = 0
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    log_w = model(x, torch.tensor(nodes)[:, None, None]).log_weight[:, 0].detach()
    grids = torch.meshgrid(*[log_w] * k, indexing="ij")
    probability = torch.tensor(weights / weights.sum())
    joint = math.prod(torch.meshgrid(*[probability] * k, indexing="ij"))
    expected = (joint * (torch.logsumexp(torch.stack(grids), 0) - math.log(k))).sum().item()
    eps = torch.randn(k, 10_000, 1, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    log_w = model(x, eps.reshape(-1, 1, 1)).log_weight.reshape(k, -1).detach()
    bound = objectives.iwae(Terms(log_w, log_w.T, log_w))
    assert expected < model.log_p(x).item()
    assert abs(bound.mean().item() - expected) < 4 * bound.std().item() / math.sqrt(len(bound.flatten()))


def test_schedules_at_their_corners():
    assert [schedules.linear(p, 0.4) for p in (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)] == pytest.approx([0, 0.25, 0.5, 1, 1, 1])
    corners = (0.0, 1 / 16, 1 / 8, 0.2, 0.25, 0.25 + 1 / 16, 0.5, 0.99, 1.0)
    assert [schedules.cyclical(p) for p in corners] == pytest.approx([0, 0.5, 1, 1, 0, 0.5, 0, 1, 1])
    assert schedules.one_cycle(0.0) == pytest.approx(1 / 25)
    assert schedules.one_cycle(0.15) == pytest.approx((1 + 1 / 25) / 2)
    assert schedules.one_cycle(0.3) == pytest.approx(1)
    assert schedules.one_cycle(1.0) == pytest.approx(1e-5)


def nats_of_one_pixel(name, logit, x, log_sigma=-1.0):
    """-log p of single gray values at one logit."""
    x = torch.as_tensor(x, dtype=torch.float64).view(-1, 1, 1, 1)
    logits = torch.full_like(x, logit)
    return likelihoods.LIKELIHOODS[name].nats(logits, x, torch.tensor(log_sigma, dtype=torch.float64)).flatten()


@pytest.mark.parametrize("logit", [-30.0, -4.0, -0.11, -0.09, 0.0, 1e-9, 0.0999, 0.1001, 2.0, 30.0])
def test_the_continuous_bernoulli_integrates_to_one(logit):
    x = np.linspace(0, 1, 20_001)
    density = np.exp(-nats_of_one_pixel("continuous-bernoulli", logit, x).numpy())
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
    slope = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    likelihoods.log_constant(slope).backward()
    assert torch.isfinite(slope.grad).all()


def test_the_constant_of_the_continuous_bernoulli_is_two_at_one_half():
    assert math.exp(likelihoods.log_constant(torch.zeros(1)).item()) == pytest.approx(2)
    p = 0.3
    expected = math.log(2 * math.atanh(1 - 2 * p) / (1 - 2 * p))
    logit = torch.tensor([math.log(p / (1 - p))], dtype=torch.float64)
    assert likelihoods.log_constant(logit).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("logit", [-200.0, -3.0, 0.0, 1.0, 200.0])
@pytest.mark.parametrize("log_sigma", [-5.0, -1.0, 1.0])
def test_the_discretised_logistic_sums_to_one(logit, log_sigma):
    nats = nats_of_one_pixel("discretised-logistic", logit, np.arange(256) / 255, log_sigma)
    assert torch.isfinite(nats).all()
    assert torch.exp(-nats).sum().item() == pytest.approx(1, abs=1e-9)


def test_gaussians():
    x = torch.tensor([0.2, 0.9])
    nats = nats_of_one_pixel("gaussian", 0.4, x, math.log(0.3))
    mean = 1 / (1 + math.exp(-0.4))
    expected = [0.5 * math.log(2 * math.pi * 0.09) + (v - mean) ** 2 / 0.18 for v in (0.2, 0.9)]
    assert_close(nats, expected, 1e-6)
    # mse is the Gaussian of variance 1/2 up to its constant
    shifted = nats_of_one_pixel("gaussian", 0.4, x, 0.5 * math.log(0.5)) - 0.5 * math.log(math.pi)
    assert_close(nats_of_one_pixel("mse", 0.4, x), shifted, 1e-6)
    # the optimal variance is the mean squared error, and no other is better
    best = nats_of_one_pixel("optimal-gaussian", 0.4, x).sum()
    others = [nats_of_one_pixel("gaussian", 0.4, x, s).sum() for s in np.linspace(-3, 1, 401)]
    assert best <= min(others) + 1e-12
    assert best == pytest.approx(min(others).item(), abs=1e-4)


def test_bernoulli_refuses_gray_and_equals_soft_bce_on_black_and_white():
    x = torch.tensor([0.0, 1.0])
    assert_close(nats_of_one_pixel("bernoulli", -2.0, x), nats_of_one_pixel("bce", -2.0, x), 1e-12)
    with pytest.raises(ValueError, match="outside the support of bernoulli"):
        nats_of_one_pixel("bernoulli", 0.0, [0.3])


def test_binarisation():
    x = torch.linspace(0, 1, 784).view(1, 1, 28, 28).repeat(2000, 1, 1, 1)
    drawn = likelihoods.binarise(x, "dynamic", torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    off = (drawn.mean(0) - x[0]).abs() / torch.sqrt((x[0] * (1 - x[0])).clamp(min=1e-9) / 2000)
    assert off[0].flatten()[1:-1].max() < 6  # not inverted: a bright pixel is mostly 1
    assert likelihoods.binarise(x, "threshold", torch.Generator())[0].sum() == (x[0] > 0.5).sum()
    assert likelihoods.binarise(x, "none", torch.Generator()) is x


def test_kl_is_finite_where_variances_are_extreme():
    kl = kl_per_latent(torch.zeros(1, 2), torch.tensor([[-100.0, 80.0]]))
    assert torch.isfinite(kl).all()
    assert kl[0, 0].item() == pytest.approx(0.5 * 99)
