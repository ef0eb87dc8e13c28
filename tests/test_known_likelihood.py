"""Ladder, step 7: where log p(x) is known in closed form, the library's ELBO and importance weights agree with it."""

import math

import numpy as np
import pytest
import torch
from conftest import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_paper import objectives, vae
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.reproduce.oracle_models import SIGMA, LinearVAE


@pytest.fixture(scope="module")
def images():
    return torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_gap_is_the_kl_to_the_posterior(images):
    """log p(x) - ELBO = KL(q || p(z|x)); the ELBO's expectation is taken exactly, by quadrature on z."""
    model = LinearVAE(exact=False)
    mu, logvar = model.encode(images)
    # The distortion is a quadratic without cross terms (W's columns are orthogonal), so 3 nodes per latent are exact:
    # E f(mu + s e) = f(mu) + sum_j [(f(mu + √3 s_j) + f(mu - √3 s_j)) / 6 - f(mu) / 3]
    std, at_mu = (logvar / 2).exp(), model.distortion(mu[None], images)[0]
    distortion = at_mu.clone()
    for j in range(3):
        shift = math.sqrt(3) * std * torch.eye(3, dtype=torch.float64)[j]
        distortion += model.distortion(torch.stack([mu + shift, mu - shift]), images).sum(0) / 6 - at_mu / 3
    elbo = -(distortion + vae.kl_per_latent(mu, logvar).sum(1))
    post_mu, post_logvar = LinearVAE(exact=True).encode(images)
    q, posterior = Normal(mu, std), Normal(post_mu, (post_logvar / 2).exp())
    gap = torch.distributions.kl_divergence(q, posterior).sum(1)
    assert gap.min() > 0.1
    assert_close((model.log_p(images) - elbo) / gap, np.ones(5), 1e-9, "gap")
    assert_close(model.gap(images) / gap, np.ones(5), 1e-9, "the oracle's own gap")


def test_at_the_exact_posterior_every_weight_is_log_p(images):
    model = LinearVAE(exact=True)
    eps = torch.randn(11, 5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    terms = model(images, eps)
    log_p = model.log_p(images)
    assert_close(terms.log_weight / log_p, np.ones((11, 5)), 1e-10, "log weights")
    assert_close(objectives.iwae(terms) / log_p, np.ones(5), 1e-10, "IWAE-11")


def test_log_weights_by_the_densities(images):
    """log p(x|z) + log p(z) - log q(z|x), each from torch.distributions."""
    model = LinearVAE(exact=False)
    eps = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mu, logvar = model.encode(images)
    z = vae.reparameterize(mu, logvar, eps)
    q = Normal(mu, (logvar / 2).exp())
    log_p_x = Normal(z @ model.W.T + model.b, SIGMA).log_prob(images.flatten(1)).sum(2)
    expected = log_p_x + Normal(0.0, 1.0).log_prob(z).sum(2) - q.log_prob(z).sum(2)
    assert_close(model(images, eps).log_weight, expected, 1e-10)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6))
def test_kl_by_quadrature(seed, B, D):
    """log q - log p is quadratic in z: three Gauss-Hermite nodes integrate it exactly."""
    rng = np.random.default_rng(seed)
    mu, logvar = 3 * rng.standard_normal((B, D)), 2 * rng.standard_normal((B, D))
    z = mu + np.exp(logvar / 2) * np.array([-math.sqrt(3), 0, math.sqrt(3)])[:, None, None]
    log_q = -0.5 * (((z - mu) ** 2) / np.exp(logvar) + logvar)
    expected = (np.array([1 / 6, 2 / 3, 1 / 6])[:, None, None] * (log_q + 0.5 * z**2)).sum((0, 2))
    at_levels = (
        level1.kl_divergence(mu, logvar),
        level2.kl_divergence(torch.from_numpy(mu), torch.from_numpy(logvar)),
        vae.kl_per_latent(torch.from_numpy(mu), torch.from_numpy(logvar)).sum(1),
    )
    for level, got in enumerate(at_levels, start=1):
        assert_close(np.asarray(got) / np.maximum(1, expected), expected / np.maximum(1, expected), 1e-10, f"level {level}")


def test_kl_where_it_is_known():
    """(mu, log sigma²): (0, 0) is 0; (2, 1) is 2.359141; log sigma = 1, which is logvar = 2, is 2.194528."""
    mu, logvar = np.array([[0.0], [2.0], [0.0]]), np.array([[0.0], [1.0], [2.0]])
    assert_close(level1.kl_divergence(mu, logvar), np.array([0, 2.359141, 2.194528]), 1e-6)
    tiny = level1.kl_divergence(np.zeros((1, 1)), np.full((1, 1), 1e-5))  # 1 + logvar - exp(logvar) would lose 6 digits
    assert_close(tiny / 2.5e-11, np.ones(1), 1e-5)


def test_reconstruction_at_saturated_logits():
    """Losses come from logits: at ±20 and ±200 they are right, where log(sigmoid) in float32 is 0 or -inf."""
    logits = np.array([20, -20, 200, -200], np.float32).reshape(4, 1, 1, 1) * np.ones((4, 1, 28, 28), np.float32)
    x = np.zeros_like(logits)
    expected = 784 * np.array([20.0, 2.0611536e-09, 200.0, 0.0])
    for got in (
        level1.reconstruction_loss(logits, x),
        level2.reconstruction_loss(torch.from_numpy(logits), torch.from_numpy(x)),
        LIKELIHOODS["bce"].nats(torch.from_numpy(logits), torch.from_numpy(x), torch.zeros(())).sum((1, 2, 3)),
    ):
        assert_close((np.asarray(got) - expected) / np.maximum(expected, 1), np.zeros(4), 2e-6)


def test_reconstruction_at_saturated_logits_in_float64():
    """log(1 + e^l) - l is e^-l, not 0: torch's softplus, which turns linear above 20, would lose it."""
    logits = np.linspace(18, 25, 8).reshape(8, 1, 1, 1) * np.ones((8, 1, 28, 28))
    x = np.ones_like(logits)
    expected = 784 * np.log1p(np.exp(-np.linspace(18, 25, 8)))
    for got in (
        level1.reconstruction_loss(logits, x),
        level2.reconstruction_loss(torch.from_numpy(logits), torch.from_numpy(x)),
        LIKELIHOODS["bce"].nats(torch.from_numpy(logits), torch.from_numpy(x), torch.zeros(())).sum((1, 2, 3)),
    ):
        assert_close(got, expected, 1e-10)
