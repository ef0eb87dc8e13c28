"""The evaluator agrees with exact values: log p(x), bounds and information of oracles, level 1's ELBO, distances of Gaussians."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import assert_close, thorough_but

import vae_numpy.vae as level1
from vae_numpy import weights
from vae_numpy.command_line import run
from vae_paper import __main__ as level3
from vae_paper import data as data_file
from vae_paper import models, objectives, weight_files
from vae_paper.data import Data, load_data
from vae_paper.measuring import classifier, elbo, estimators, sample_quality
from vae_paper.measuring.elbo import mean_of
from vae_paper.measuring.evaluate import evaluate, evaluate_run, of_samples
from vae_paper.models.pixel_vae import PixelVAE
from vae_paper.reproduce import oracle_models
from vae_paper.vae import VAE, Terms, kl_per_latent

ERRORS = 4.9  # standard errors that an estimate may be off: without fixed seeds, one false failure in a million


def test_the_evaluators_elbo_is_level_1s(small_params):
    """The same weights, images and noise, float64."""
    model = models.build("vae", 3).double()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in small_params.items()})
    data = Data(load_data("handwriting", "test").images[:40].double())
    got = evaluate(model, data, passes=2, k=1, subset=2, seed=7)["measures"]
    seeds = (7, elbo.mixed(7, 1))
    eps = [torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)[0] for seed in seeds]
    expected = np.mean([level1.elbo(small_params, data.images.numpy(), e.numpy()) for e in eps], axis=0)
    assert_close(got["elbo"]["value"], expected.mean(), 1e-9, "ELBO")
    assert_close(got["elbo"]["standard_error"], expected.std(ddof=1) / math.sqrt(40), 1e-9, "its standard error")


@pytest.mark.parametrize(("exact", "correlated"), [(True, False), (False, False), (True, True), (False, True)])
def test_a_linear_model_is_measured_as_it_is_known(exact, correlated):
    """Every estimate is within its own standard errors of the formula, the expectation over x ~ p(x)."""
    model = oracle_models.LinearVAE(exact, correlated)
    data, known = model.drawn(1000), model.known()
    got = evaluate(model, data, passes=1, k=400, subset=40)["measures"]
    values = {name: (got[name]["value"], got[name]["standard_error"]) for name in got}
    for name in ("elbo", "nll", "rate"):
        value, error = values[name]
        assert abs(value - known[name]) < ERRORS * error, f"{name}: {value} ± {error}, known {known[name]}"
    for name in ("mutual_information", "aggregate_kl"):
        (low, e_low), (high, e_high) = values[f"{name}_low"], values[f"{name}_high"]
        assert low - ERRORS * e_low < known[name] < high + ERRORS * e_high, f"{name}: {low} to {high}, known {known[name]}"
        assert high - low < 0.1 and e_high < 0.06  # a wide interval would hold any value
    assert values["iwae_400"][0] > values["iwae_1"][0] - 1e-9
    # The decomposition is an identity, image by image
    mu, logvar = model.encode(data.images)
    found = estimators.information(mu, logvar)
    rate = kl_per_latent(mu, logvar).sum(1).mean().item()
    assert found.mutual_information_low.value + found.aggregate_kl_high.value == pytest.approx(rate)
    assert found.mutual_information_high.value + found.aggregate_kl_low.value == pytest.approx(rate)


def test_bounds_of_a_linear_model_image_by_image():
    """On the same images only z is noise, so this test is far sharper than one of the mean over images."""
    model = oracle_models.LinearVAE(exact=False)
    data = model.drawn(200)
    found = estimators.importance(model, data, [1, 30, 1000])
    log_p, elbo = model.log_p(data.images), model.log_p(data.images) - model.gap(data.images)
    for what, difference in {"ELBO": found.elbo - elbo, "NLL": found.iwae[-1] - log_p, "IWAE-1": found.iwae[0] - elbo}.items():
        off = mean_of(difference)
        assert abs(off.value) < ERRORS * off.standard_error, f"{what} is off by {off}"
    assert mean_of(found.iwae[-1] - log_p).standard_error < 0.01
    assert (found.iwae.mean(1).diff() > 0).all()


def test_one_latent_integrated_on_a_grid():
    model = oracle_models.GridVAE()
    few = model.drawn(8)
    data = few.replace(images=few.images.repeat(60, 1, 1, 1))
    found = estimators.importance(model, data, [1, 2])
    for what, got, known in (("ELBO", found.elbo, model.elbo(few.images)), ("IWAE-2", found.iwae[1], model.iwae_2(few.images))):
        off = mean_of(got - known.repeat(60))
        assert abs(off.value) < ERRORS * off.standard_error < 1, f"{what} is off by {off}"
    gap = model.log_p(few.images) - model.iwae_2(few.images)
    assert (gap > 0).all() and (model.iwae_2(few.images) > model.elbo(few.images)).all()


class Recorder(VAE):
    """A VAE whose log weights depend on eps only. It records how many samples it gets at once."""

    def __init__(self) -> None:
        super().__init__(2, "bernoulli")
        self.sizes, self.noise = [], []

    def terms(self, mu, logvar, x, eps, labels=None):
        self.sizes.append(eps.shape[:2].numel())
        self.noise.append(eps)
        return Terms(-3 * eps.sum(2) - 700, torch.ones(len(x), 2), 40 * eps.sum(2) - 900)


def test_samples_come_in_chunks_and_nothing_is_lost():
    model, data = Recorder(), load_data("handwriting", "test", "threshold").subset(slice(5))
    found = estimators.importance(model, data, [1, 7, 2345])
    assert max(model.sizes) <= 500
    eps = torch.cat(model.noise).double()  # five images at a time, so one after another
    log_weight = 40 * eps.sum(2) - 900
    assert log_weight.shape == (2345, 5)
    for k, got in zip((1, 7, 2345), found.iwae, strict=True):
        assert_close(got, objectives.iwae(Terms(log_weight[:k], eps[0], log_weight[:k])), 1e-3, f"k = {k}")
    assert_close(found.elbo, (3 * eps.sum(2) + 700).mean(0) - 2, 1e-3)


def test_a_bound_known_on_a_subset_is_corrected_for_the_rest():
    """Over 2,000 random subsets, the mean of the estimate is right, and its spread is the standard error that it reports."""
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(2000):
        elbo = torch.from_numpy(-90 + 20 * rng.standard_normal(200))
        gap = 5 - 0.05 * (elbo + 90) + torch.from_numpy(2 * rng.standard_normal(200))  # images with a low ELBO have larger gaps
        noise = torch.from_numpy(rng.standard_normal((2, 200)))  # of the ELBO's own samples
        chosen = torch.from_numpy(rng.permutation(200)[:40])
        own = (elbo + noise[0])[chosen]
        estimates.append(estimators.corrected(elbo + noise[1], chosen, own, own + gap[chosen]))
    values, errors = np.array(estimates).T
    assert abs(values.mean() + 85) < ERRORS * values.std() / math.sqrt(2000)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.08)
    # with all images chosen, it is the mean of the bound
    everything = estimators.corrected(elbo, torch.arange(200), elbo, elbo + gap)
    assert everything.value == pytest.approx((elbo + gap).mean().item())
    assert everything.standard_error == pytest.approx(((elbo + gap).std() / math.sqrt(200)).item())


def test_the_information_by_its_definition():
    """Against torch's densities, written out."""
    generator = torch.Generator().manual_seed(0)
    mu, logvar = (torch.randn(7, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    z = mu + torch.exp(logvar / 2) * torch.randn(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    q = torch.distributions.Normal(mu, (logvar / 2).exp()).log_prob(z[:, None]).sum(2).exp()  # (7, 7): of z_n given x_m
    low = (q.diagonal() / q.mean(1)).log()
    high = (q.diagonal() / ((q.sum(1) - q.diagonal()) / 6)).log()
    got = estimators.information(mu, logvar, seed=3, rows=3)
    assert got.mutual_information_low == pytest.approx(mean_of(low))
    assert got.mutual_information_high == pytest.approx(mean_of(high))
    far = estimators.information(1000 * torch.arange(50.0)[:, None], torch.zeros(50, 1))
    assert far.mutual_information_low.value == pytest.approx(math.log(50))  # the most that 50 images can show


def test_the_error_of_a_latents_variance():
    """Var_x(E_q[z_j]): over 500 sets of 300 means, its spread is the standard error that it reports."""
    generator = torch.Generator().manual_seed(0)
    found = [elbo.variance_of_means(0.1 * torch.randn(300, 2, generator=generator)) for _ in range(500)]
    variance, error = (torch.stack(each) for each in zip(*found, strict=True))
    assert_close(variance.mean(0), [0.01, 0.01], 2e-4)
    assert_close(error.mean(0) / variance.std(0), [1, 1], 0.15)


def test_the_frechet_distance_of_gaussians():
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    scale = np.array([1.0, 2.0, 0.5, 3.0])
    a = rng.standard_normal((3000, 4)) @ (rotation * 2.0)
    b = (rng.standard_normal((3000, 4)) * scale + 1.0) @ rotation
    # covariances 4 I and diag(scale²), in one basis: |Δm|² + Σ (2 - scale_j)²
    expected = 4 + ((2 - scale) ** 2).sum()
    got = estimators.frechet(a, b)
    assert abs(got.value - expected) < ERRORS * got.standard_error < 1.5
    assert estimators.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert estimators.frechet_distance(a, a + 3.0) == pytest.approx(36)
    spread = [estimators.frechet_distance(*np.split(rng.standard_normal((400, 4)) * [1, 2, 1, 1], 2)) for _ in range(400)]
    errors = [
        estimators.frechet(*np.split(rng.standard_normal((400, 4)) * [1, 2, 1, 1] + 1.0, 2)).standard_error for _ in range(200)
    ]
    assert np.mean(errors) == pytest.approx(np.std(spread), rel=0.5)  # near 0 a jackknife is only roughly right


def test_the_error_of_a_frechet_distance_does_not_depend_on_the_order_of_the_images():
    """Images of ten classes: class after class, in turn, or shuffled. The error is near the spread over fresh sets."""
    rng = np.random.default_rng(0)
    means = 3 * rng.standard_normal((10, 16))

    def drawn(labels):
        return means[labels] + rng.standard_normal((len(labels), 16))

    in_turn = np.arange(2000) % 10
    fresh = [estimators.frechet_distance(drawn(in_turn), drawn(rng.integers(10, size=2000))) for _ in range(60)]
    a, b = drawn(in_turn), drawn(rng.integers(10, size=2000))
    orders = {"in turn": np.arange(2000), "by class": np.argsort(in_turn, kind="stable"), "shuffled": rng.permutation(2000)}
    errors = {name: estimators.frechet(a[order], b).standard_error for name, order in orders.items()}
    assert all(np.std(fresh) / 2 < error < 4 * np.std(fresh) for error in errors.values()), (np.std(fresh), errors)


def test_a_set_is_not_at_a_distance_below_zero_from_itself():
    rng = np.random.default_rng(0)
    for features in range(1, 30):
        a = 100 * rng.standard_normal((50, features))
        assert 0 <= estimators.frechet_distance(a, a) < 1e-6


def test_neighbouring_seeds_share_no_pass(monkeypatch):
    """The means of 5 passes from seeds 0 and 1 had 4 passes in common; now every (seed, pass) has noise of its own."""
    used = []
    model, data = VAE(2), Data(torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)))

    def recorded(model, data, seed):
        used.append(seed)
        return Terms(torch.ones(1, 3), torch.ones(3, 2), torch.ones(1, 3))

    monkeypatch.setattr(elbo, "terms_of", recorded)
    for seed in range(50):
        elbo.averaged(model, data, passes=5, seed=seed)
    assert len(set(used)) == len(used) == 250
    assert used[:1] == [0], "the first pass of a seed is the pass of that seed"


def test_the_mean_of_an_array_is_that_of_a_tensor():
    """NumPy's standard deviation divides by N; the standard error needs N - 1."""
    nats = np.random.default_rng(0).standard_normal(4)
    expected = (nats.mean(), nats.std(ddof=1) / 2)
    assert mean_of(nats) == pytest.approx(expected) and mean_of(torch.from_numpy(nats)) == pytest.approx(expected)


@pytest.fixture
def a_judge(monkeypatch):
    """A classifier that reads the label from the brightness of an image, so that no training is needed."""

    class Judge(classifier.Classifier):
        def forward(self, x):
            return -(x.mean((1, 2, 3))[:, None] - torch.linspace(0.05, 0.95, 10)).abs()

        def features(self, x):
            return x[:, 0, :16, :16].flatten(1)

    judge = Judge().eval()
    monkeypatch.setattr(classifier, "trained", lambda source: judge)
    return judge


def test_samples_have_the_label_that_was_given(a_judge):
    model = models.build("cvae", 2, "bernoulli").eval()
    with torch.no_grad():  # the brightness of label c is (c + 1/2) / 10, except label 3, which looks like 4
        for parameter in model.decoder.parameters():
            parameter.zero_()
    brightness = torch.tensor([0, 1, 2, 4, 4, 5, 6, 7, 8, 9]) / 10 + 0.05
    model.decode = lambda z, labels: torch.logit(brightness)[labels][:, None, None, None].expand(-1, 1, 28, 28)
    images, labels = sample_quality.samples(model, 1000)
    assert labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert set(images.unique().tolist()) == {0.0, 1.0}
    found = classifier.accuracy(a_judge, images, labels)
    assert found.value == pytest.approx(0.9, abs=0.02)
    assert found.standard_error == pytest.approx(math.sqrt(0.09 / 1000), rel=0.1)


ALL = {"elbo", "distortion", "rate", "elbo_bits_per_dim"}
LATENT = {"iwae_1", "iwae_6", "nll", "nll_bits_per_dim", "active_units"}
INFORMATION = {f"{name}_{end}" for name in ("mutual_information", "aggregate_kl") for end in ("low", "high")}
DRAWN = {"frechet_distance", "frechet_distance_of_train"}
APPLY = {
    "vae": ALL | LATENT | INFORMATION | DRAWN,
    "cvae": ALL | LATENT | INFORMATION | DRAWN | {"conditional_accuracy", "classifier_accuracy"},
    "quadrant-cvae": ALL | LATENT,
    "ae": ALL | {"active_units"},
    "vq-vae": ALL | DRAWN,
    "pixel-prior": ALL | DRAWN | {"conditional_accuracy", "classifier_accuracy"},
}


@pytest.mark.parametrize("model", thorough_but(APPLY, "vae", "vq-vae"))
def test_the_command(model, a_judge, tmp_path, capsys, monkeypatch):
    """Each model has the measures that apply to it; each measure names its data and its meaning."""
    monkeypatch.setattr(data_file, "load_data", lambda *args, **shape: load_data(*args, **shape).subset(slice(30)))
    monkeypatch.setattr(
        "vae_paper.measuring.evaluate.load_data", lambda *args, **shape: load_data(*args, **shape).subset(slice(30))
    )
    made_with = {"vq-vae": {"codes": 8}, "quadrant-cvae": {"seen": 1}}.get(model, {})
    if model == "pixel-prior":
        made_with = {"codes": 8, "channels": 4, "layers": 1, "class_conditional": True}
    config = {"source": "handwriting", "binarise": "dynamic", "likelihood": "bernoulli"}
    about = {"model": model, "latent_dim": 2, "likelihood": "bernoulli", "made_with": made_with, "config": config}
    path = tmp_path / "w.safetensors"
    weight_files.save_model(path, models.build(model, 2, "bernoulli", **made_with), about)
    line = ["evaluate", str(path), "--k", "6", "--subset", "4", "--passes", "1", "--drawn", "20"]
    run("p", level3.Command, level3.main, [*line, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["measures"].keys() == APPLY[model]
    assert len(found["subset"]) == (4 if "nll" in APPLY[model] else 0)
    for name, m in found["measures"].items():
        assert math.isfinite(m["value"]) and m["standard_error"] >= 0, name
        of_samples = name == "conditional_accuracy"
        measured_on = "the bundled handwriting, test split (360 images), binarisation: dynamic"
        assert m["data"] == ("20 samples" if of_samples else measured_on)
        count = 20 if of_samples else 4 if name.startswith("iwae") else 30
        assert m["images"] == count and m["unit"] and m["is"]
    if "nll" in APPLY[model]:
        given = {"cvae": "x|label", "quadrant-cvae": "x_unseen|x_seen"}.get(model, "x")
        pixels = 588 if model == "quadrant-cvae" else 784
        nll, bits = found["measures"]["nll"], found["measures"]["nll_bits_per_dim"]
        assert f"-log p({given})" in nll["is"] and "too large" in nll["is"] and "4 random images" in nll["is"]
        assert bits["value"] == pytest.approx(nll["value"] / pixels / math.log(2))
        iwae = found["measures"]["iwae_6"]["is"]
        assert "6 times" in iwae and f"a lower bound on log p({given})" in iwae
    run("p", level3.Command, level3.main, line)
    printed = capsys.readouterr().out
    for name, m in found["measures"].items():
        assert f"{name:<26}{m['value']:>10.3f} ± {m['standard_error']:.3f}" in printed


@pytest.mark.parametrize(
    ("model", "likelihood", "says"),
    [
        ("vae", "gaussian", "x_hat"),
        ("vae", "bernoulli", "pixels drawn from p(x|z)"),
        ("pixel-vae", "gaussian", "pixels drawn from p(x|z)"),
        ("pixel-vae", "continuous-bernoulli", "pixels drawn from p(x|z)"),
    ],
)
def test_the_kind_of_samples_is_said(model, likelihood, says, a_judge, monkeypatch):
    few = load_data("handwriting", "test").subset(slice(30))
    monkeypatch.setattr("vae_paper.measuring.evaluate.load_data", lambda *ignored, **shape: few)
    monkeypatch.setattr(PixelVAE, "images_of", lambda self, z, *rest: torch.zeros(len(z), 1, 28, 28))  # pixel by pixel: slow
    found = of_samples(models.build(model, 2, likelihood).eval(), few, 20, seed=0)
    assert f"20 samples, {says}: Fréchet" in found["frechet_distance"]["is"]


def test_weights_of_level_2_are_measured_as_level_3s(tmp_path):
    params = level1.init_params(2, np.random.default_rng(1))
    level_2 = {"model": "vae", "latent_dim": 2, "config": {"source": "handwriting"}}
    weights.save(tmp_path / "2.safetensors", params, level_2)
    model = models.build("vae", 2)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in params.items()})
    weight_files.save_model(tmp_path / "3.safetensors", model, level_2)
    two, three = (evaluate_run(tmp_path / f"{level}.safetensors", passes=1, k=2, subset=3) for level in (2, 3))
    assert two.pop("weights") != three.pop("weights") and two == three
    assert "an objective" in two["measures"]["nll"]["is"] and "log p" not in two["measures"]["nll"]["is"]


@pytest.mark.parametrize("option", ["passes 0", "k 0", "subset 1", "drawn -1"])
def test_impossible_options(option, capsys):
    name, value = option.split()
    with pytest.raises(SystemExit) as stop:
        run("p", level3.Command, level3.main, ["evaluate", "--source", "handwriting", f"--{name}", value])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and f"{name} is {value}: expected at least" in said


def test_the_stored_comparison_with_the_oracles():
    """results/oracles.json, which docs/oracles.md shows: every estimate is within the allowed number of standard errors."""
    stored = json.loads((Path(__file__).parents[1] / "results/oracles.json").read_text())["oracles"]
    assert len(stored) == 4
    for oracle in stored.values():
        assert oracle["rows"].keys() >= {"elbo", "nll", "rate"} | INFORMATION
        for row in oracle["rows"].values():
            assert row["off"] == pytest.approx((row["estimate"] - row["known"]) / row["standard_error"])
            assert abs(row["off"]) < ERRORS
    assert stored["linear, exact q"]["rows"]["nll"]["known"] == pytest.approx(oracle_models.LinearVAE().known()["nll"])
