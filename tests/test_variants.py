"""Each variant is its stated difference from the VAE, and nothing else."""

import numpy as np
import pytest
import torch
from conftest import assert_close
from torch.distributions import Normal, kl_divergence

from vae_numpy import digits
from vae_paper import models, objectives
from vae_paper.models.ae import AE
from vae_paper.models.pixel_vae import REACH
from vae_paper.models.quadrant_cvae import QuadrantCVAE
from vae_paper.vae import VAE, reparameterize


@pytest.fixture(scope="module")
def batch():
    """Five digits, float64, their labels, and two samples of noise for each."""
    data = digits.load("handwriting", "test")
    generator = torch.Generator().manual_seed(0)
    eps = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    return torch.from_numpy(data.images[:5]).double(), eps, torch.from_numpy(data.labels[:5])


def model(name, **options):
    return models.build(name, 3, seed=4, **options).double()


def test_an_autoencoder_has_no_noise_and_no_rate(batch):
    x, eps, _ = batch
    vae, ae = model("vae"), model("ae")
    terms = ae(x, eps)
    mu, _ = vae.encode(x)
    assert_close(terms.distortion[0].detach(), vae.distortion(mu[None], x)[0].detach(), 1e-12)
    assert terms.rate.abs().max() == 0
    assert isinstance(ae, AE) and not isinstance(ae, VAE)


def test_a_cvae_with_zero_label_weights_is_the_vae(batch):
    x, eps, labels = batch
    vae, cvae = model("vae"), model("cvae")
    assert cvae.state_dict().keys() - vae.state_dict().keys() == {"encoder_label.weight", "decoder_label.weight"}
    told = cvae(x, eps, labels)
    cvae.encoder_label.weight.data.zero_()
    cvae.decoder_label.weight.data.zero_()
    untold = cvae(x, eps, labels)
    plain = vae(x, eps)
    for name in ("distortion", "rate", "log_weight", "mu", "logvar", "z"):
        assert torch.equal(getattr(plain, name), getattr(untold, name)), name
        assert not torch.allclose(getattr(plain, name), getattr(told, name)), name


def test_the_label_enters_encoder_and_decoder(batch):
    x, _, labels = batch
    cvae, z = model("cvae"), torch.zeros(5, 3, dtype=torch.float64)
    other = (labels + 3) % 10
    assert not torch.allclose(cvae.encode(x, labels)[0], cvae.encode(x, other)[0])
    assert not torch.allclose(cvae.decode(z, labels), cvae.decode(z, other))
    with pytest.raises(ValueError, match="this model is conditioned on them; expected 5, found none"):
        cvae.encode(x)


def test_a_label_is_a_concatenated_one_hot(batch):
    """fc(concat[h, one_hot(c)]) with the label's weights beside fc's gives the same features."""
    x, _, labels = batch
    cvae = model("cvae")
    h = torch.relu(cvae.encoder.conv2(torch.relu(cvae.encoder.conv1(x)))).flatten(1)
    wide = torch.cat([cvae.encoder.fc.weight, cvae.encoder_label.weight], dim=1)  # (256, 3136 + 10)
    inputs = torch.cat([h, torch.nn.functional.one_hot(labels, 10).double()], dim=1)
    expected = torch.relu(inputs @ wide.T + cvae.encoder.fc.bias)
    got = cvae.encoder.features(x, cvae.encoder_label(torch.nn.functional.one_hot(labels, 10).double()))
    assert_close(got.detach(), expected.detach(), 1e-12)


@pytest.mark.parametrize(("seen", "area"), [(1, 196), (2, 392), (3, 588)])
def test_quadrants(batch, seen, area):
    x, eps, _ = batch
    quadrant: QuadrantCVAE = model("quadrant-cvae", seen=seen)
    assert quadrant.mask.sum() == area
    assert quadrant.mask[0, 0, 20, 5] == 1  # lower left is always seen
    assert quadrant.mask[0, 0, 5, 20] == 0  # upper right never
    terms = quadrant(x, eps)
    # completions see nothing of what they complete
    changed = x * quadrant.mask + (1 - x) * (1 - quadrant.mask)
    assert torch.equal(quadrant.complete(x, eps), quadrant.complete(changed, eps))
    assert not torch.equal(quadrant.encode(x)[0], quadrant.encode(changed)[0])
    # rate and weights by the densities
    mu, logvar = quadrant.encode(x)
    prior_mu, prior_logvar, _ = quadrant.prior_of(x)
    q, p = Normal(mu, (logvar / 2).exp()), Normal(prior_mu, (prior_logvar / 2).exp())
    assert_close(terms.rate.detach(), kl_divergence(q, p).detach(), 1e-10)
    z = reparameterize(mu, logvar, eps)
    expected = -terms.distortion + p.log_prob(z).sum(2) - q.log_prob(z).sum(2)
    assert_close(terms.log_weight.detach(), expected.detach(), 1e-9)
    # distortion counts the unseen pixels alone
    logits = quadrant.decoder(z.flatten(0, 1), quadrant.prior_of(x)[2].repeat(2, 1)).view(2, 5, 1, 28, 28)
    per_pixel = torch.nn.functional.softplus(logits, threshold=50) - x * logits
    assert_close(terms.distortion.detach(), (per_pixel * (1 - quadrant.mask)).sum((2, 3, 4)).detach(), 1e-9)


def test_a_pixel_vae_sees_the_pixels_before_and_no_other():
    pixel = model("pixel-vae")
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    for i, j in ((0, 0), (3, 0), (10, 13), (27, 27)):
        (gradient,) = torch.autograd.grad(pixel.before(x)[0, 0, i, j], x)
        flat, here = gradient.flatten(), 28 * i + j
        assert (flat[here:] == 0).all()
        if i == 10:
            assert flat[here - 1] != 0
            assert flat[here - 28] != 0
            assert flat[here - 27] != 0  # no blind spot beside it
    with pytest.raises(ValueError, match="defines no decode"):  # there are no logits of z alone
        pixel.decode(torch.zeros(1, 2))


def test_a_pixel_vae_draws_from_its_own_likelihood_or_refuses():
    """Gaussian pixels are no zeros and ones; an objective that is no likelihood has no pixels to draw (nor pictures of them)."""
    z = torch.zeros(1, 3)
    gaussian = models.build("pixel-vae", 3, "gaussian", seed=4, sigma=0.2)
    x = gaussian.images_of(z, None, torch.Generator().manual_seed(1))
    assert len(x.unique()) > 400
    off = (x - torch.sigmoid(gaussian.decoder(z) + gaussian.before(x))).flatten()
    inside = off[(x > 0.01).flatten() & (x < 0.99).flatten()]
    assert abs(inside.std().item() / 0.2 - 1) < 0.15
    with pytest.raises(ValueError, match="pixel-vae: bce is no likelihood"):
        models.build("pixel-vae", 3).images_of(z, None, torch.Generator())
    assert "samples" not in models.build("pixel-vae", 3).pictures


@pytest.mark.thorough
def test_a_pixel_vaes_samples_follow_its_own_probabilities():
    pixel = models.build("pixel-vae", 3, "bernoulli", seed=4)
    torch.nn.init.normal_(pixel.before.where, std=10, generator=torch.Generator().manual_seed(0))
    z = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    x = pixel.images_of(z, None, torch.Generator().manual_seed(1))
    assert set(x.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(x, pixel.images_of(z, None, torch.Generator().manual_seed(1)))
    p = torch.sigmoid(pixel.decoder(z) + pixel.before(x))
    surprise = -torch.log(torch.where(x == 1, p, 1 - p)).sum((1, 2, 3))
    entropy = torch.distributions.Bernoulli(p).entropy().sum((1, 2, 3))
    assert ((surprise - entropy).abs() < 6 * np.sqrt(784)).all()


def test_a_pixel_vae_draws_from_a_window_what_it_would_from_the_whole():
    pixel, generator = model("pixel-vae"), torch.Generator().manual_seed(0)
    x = torch.rand(2, 1, 28, 28, generator=generator, dtype=torch.float64)
    torch.nn.init.normal_(pixel.before.where, generator=generator)
    whole = pixel.before(x).detach()
    for i in (0, 5, REACH, REACH + 1, 27):
        top = max(0, i - REACH)
        window = pixel.before(x[:, :, top : i + 1], top).detach()
        assert_close(window[:, :, -1], whole[:, :, i], 1e-12)


def test_several_samples_share_one_encoding(batch):
    x, eps, _ = batch
    vae: VAE = model("vae")
    both = vae(x, eps)
    for k in range(2):
        one = vae(x, eps[k : k + 1])
        assert_close(both.distortion[k].detach(), one.distortion[0].detach(), 1e-10)
        assert_close(both.log_weight[k].detach(), one.log_weight[0].detach(), 1e-10)
    assert both.rate.shape == (5, 3)
    assert (objectives.iwae(both) >= both.log_weight.mean(0)).all()
