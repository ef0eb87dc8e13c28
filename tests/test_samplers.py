"""Samplers draw from what they say: moments against those that they were made from, and seeds that repeat."""

import numpy as np
import pytest
import torch
from conftest import thorough_but

from vae_numpy.command_line import run
from vae_paper import __main__ as level3
from vae_paper import models, weight_files
from vae_paper.data import Data, load_data
from vae_paper.sampling import samplers

SIGMAS = 5  # standard errors that a moment may be off: a false failure in 2 million, were the seeds not fixed


def constant(model: str, mu: list[float], log_sigma: float) -> torch.nn.Module:
    """A model that encodes every image as N(mu, sigma²)."""
    made = models.build(model, len(mu))
    with torch.no_grad():
        for layer, values in ((made.encoder.mu, torch.tensor(mu)), (made.encoder.logvar, torch.full((len(mu),), 2 * log_sigma))):
            layer.weight.zero_()
            layer.bias.copy_(values)
    return made.eval()


@pytest.fixture(scope="module")
def train() -> Data:
    return load_data("handwriting", "train")


def assert_moments(z: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Sample mean and covariance are within SIGMAS standard errors (those of a Gaussian) of what they should be."""
    variance = np.diag(covariance)
    error = np.sqrt(variance / len(z))
    np.testing.assert_array_less(np.abs(z.mean(0) - mean), SIGMAS * error)
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(z))
    np.testing.assert_array_less(np.abs(np.cov(z.T) - covariance), SIGMAS * error)


def test_the_prior_is_standard_normal() -> None:
    z = models.build("vae", 3).draw_prior(20_000, torch.Generator().manual_seed(0))
    assert_moments(z.numpy(), np.zeros(3), np.eye(3))


def test_the_aggregate_is_q_of_training_images(train) -> None:
    model = constant("vae", [1.0, -2.0], np.log(0.5))
    z, _ = samplers.draw("aggregate", model, 1000, train=train)
    assert_moments(z.numpy(), np.array([1.0, -2.0]), 0.25 * np.eye(2))


def test_an_autoencoders_codes_have_no_noise(train) -> None:
    model = models.build("ae", 2).eval()
    codes = samplers.latents_of(model, train)
    with torch.no_grad():
        np.testing.assert_array_equal(codes[:500], model.code(train.images[:500]).double().numpy())
    z, _ = samplers.draw("aggregate", model, 50, train=train)
    assert {tuple(row) for row in z.numpy()} <= {tuple(row) for row in codes.astype(np.float32)}


def test_the_mixture_has_the_moments_of_the_codes_and_both_of_their_clusters() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 400, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    codes = np.concatenate([left - 10, right[:200] + 10])
    z = samplers.mixture(codes, 6000, np.random.default_rng(1), components=2)
    # at an optimum of EM the mixture's mean and covariance are the codes' own; 4th moments of two clusters are below a Gaussian's
    assert_moments(z, codes.mean(0), np.cov(codes.T, bias=True))
    on_the_left = z[:, 0] < 0
    assert_moments(z[on_the_left], codes[:400].mean(0), np.cov(codes[:400].T, bias=True))
    assert on_the_left[:3000].mean() == pytest.approx(2 / 3, abs=SIGMAS * 0.0086)  # in no order; √(2/9 / 3000)
    with pytest.raises(ValueError, match="10 components: expected at least as many images, found 4"):
        samplers.mixture(codes[:4], 5, rng)


def test_a_class_is_drawn_from_its_own_codes() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 3], 300)
    codes = rng.standard_normal((600, 2)) * np.where(classes == 3, 0.1, 2.0)[:, None] + 10 * classes[:, None]
    labels = np.tile([3, 0, 0], 2000)
    z = samplers.per_class(codes, classes, labels, rng)
    for label in (0, 3):
        of_class = codes[classes == label]
        assert_moments(z[labels == label], of_class.mean(0), np.cov(of_class.T))
    with pytest.raises(ValueError, match="label is 5: 0 training images of that class"):
        samplers.per_class(codes, classes, np.array([5]), rng)


def test_a_cvae_has_the_prior_for_each_class_and_needs_no_images() -> None:
    model = models.build("cvae", 3).eval()
    images, labels = samplers.sample_images(model, 12, "class", seed=7)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    z = model.draw_prior(12, torch.Generator().manual_seed(7))
    assert torch.equal(images, torch.sigmoid(model.decode(z, labels)))
    assert samplers.sample_images(model, 3, "class", label=4)[1].tolist() == [4, 4, 4]


def test_the_aggregate_of_a_cvae_keeps_the_label_of_each_code(train) -> None:
    model = models.build("cvae", 2).eval()
    with torch.no_grad():  # z says which label the encoder was told
        model.encoder_label.weight.zero_()
        model.encoder_label.weight[0] = 1000 * torch.arange(10.0)
        model.encoder.mu.weight.zero_()
        model.encoder.mu.weight[:, 0] = 1.0
        model.encoder.logvar.weight.zero_()
    z, labels = samplers.draw("aggregate", model, 200, train=train)
    assert ((z[:, 0] / 1000).round() == labels).all()
    assert len(set(labels.tolist())) == 10


@pytest.mark.parametrize("name", thorough_but(samplers.SAMPLERS, "prior", "mixture"))
def test_a_seed_repeats_and_another_does_not(name, train) -> None:
    model = models.build("vae", 3).eval()
    once, again, other = (samplers.sample_images(model, 20, name, seed, train=train)[0] for seed in (1, 1, 2))
    assert once.shape == (20, 1, 28, 28) and once.dtype == torch.float32
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    if name != "prior":
        with pytest.raises(ValueError, match=f"the sampler {name} needs training images"):
            samplers.sample_images(model, 20, name)


COMMANDS = [
    ("vae", "--sampler aggregate --count 7", ""),
    ("vae", "--sampler class --label 3 --count 12", ""),
    ("cvae", "--sampler class", ""),
    ("vae", "--label 3", "label is 3, and the sampler prior does not use it; choose --sampler class"),
    ("vae", "--sampler class --label 10", "label is 10: expected 0 to 9"),
    ("quadrant-cvae", "", "this model draws only the rest of a given image; use figures --kind completions"),
    ("vq-vae", "--sampler mixture", "the terms of a VQVAE have no z; expected a model whose latents are vectors"),
    ("vae", "--sampler flow", "invalid choice"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("model", "args", "message"), COMMANDS)
def test_the_command(model, args, message, tmp_path, capsys) -> None:
    made_with = {"codes": 8} if model == "vq-vae" else {}
    about = {"model": model, "latent_dim": 2, "made_with": made_with, "config": {"source": "handwriting"}}
    weight_files.save_model(tmp_path / "w.safetensors", models.build(model, 2, **made_with), about)
    out = tmp_path / "s.png"
    line = ["sample", str(tmp_path / "w.safetensors"), "--out", str(out), *args.split()]
    if not message:
        run("p", level3.Command, level3.main, line)
        assert out.stat().st_size > 5000
        return
    with pytest.raises(SystemExit) as stop:
        run("p", level3.Command, level3.main, line)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and message in said, said
    assert not out.exists()
