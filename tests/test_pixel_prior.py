"""No position sees its own code or a later one, every earlier one is seen, and the rates are the whole model's."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from conftest import thorough_but

from vae_paper import initial, models, objectives, training, weight_files
from vae_paper.__main__ import Evaluate, Figures, Sample, main
from vae_paper.config import Config, checked
from vae_paper.data import load_data
from vae_paper.measuring import elbo
from vae_paper.models.pixel_prior import PixelPrior, table_cost
from vae_paper.run_config import configured

SIDE = 7
PLACES = [(row, column) for row in range(SIDE) for column in range(SIDE)]


def small(**options) -> PixelPrior:
    options = {"codes": 5, "codebook": "ema", "channels": 6, "layers": 6} | options
    return models.build("pixel-prior", 4, "bernoulli", seed=5, **options).eval()


def grids(count: int, size: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, size, (count, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))


def images(count: int) -> torch.Tensor:
    noise = torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(7))
    return (torch.nn.functional.avg_pool2d(noise, 5, 1, 2) > 0.1).float()


@pytest.mark.parametrize("conditional", [False, True])
def test_changing_a_code_never_changes_an_earlier_logit_at_any_layer(conditional: bool) -> None:
    """Each of the 49 codes is changed in turn, and both stacks are compared after every layer, to the last bit."""
    model, labels = small(class_conditional=conditional).double(), torch.tensor([3])
    codes = grids(1)
    with torch.no_grad():
        stacks, logits = model.hidden(codes, labels), model.logits(codes, labels)
        for number, (row, column) in enumerate(PLACES):
            changed = codes.clone()
            changed[0, row, column] = (codes[0, row, column] + 1) % 5
            for (v, h), (v_after, h_after) in zip(stacks, model.hidden(changed, labels), strict=True):
                assert torch.equal(v[:, :, : row + 1], v_after[:, :, : row + 1])  # v at row i: of rows before i
                assert torch.equal(h.flatten(2)[..., : number + 1], h_after.flatten(2)[..., : number + 1])  # its own too
            difference = (model.logits(changed, labels) - logits).abs().amax(1).flatten()
            assert difference[: number + 1].max() == 0
            if number < 48:
                assert difference[48] > 0, f"blind spot: the last position does not see {row, column}"


def test_a_code_is_drawn_given_the_codes_before_it_and_nothing_else() -> None:
    """Position after position by hand, the codes not yet drawn set to anything, from the same random numbers."""
    model = small().double()
    sampled = model.draw_codes(20, torch.Generator().manual_seed(1))
    generator, codes = torch.Generator().manual_seed(1), grids(20, seed=9)
    with torch.no_grad():
        for row, column in PLACES:
            p = model.logits(codes)[:, :, row, column].softmax(1)
            codes[:, row, column] = torch.multinomial(p, 1, generator=generator)[:, 0]
    assert torch.equal(sampled, codes)
    assert torch.equal(sampled, model.draw_codes(20, torch.Generator().manual_seed(1)))
    assert len(sampled.unique()) == 5


def test_what_a_grid_costs_is_its_log_probability_code_after_code() -> None:
    model, codes = small().double(), grids(2, seed=4)
    with torch.no_grad():
        cost = model.cost(codes)
        for number, (row, column) in enumerate(PLACES):
            prefix = codes.clone()
            prefix.view(2, 49)[:, number:] = 0  # what is to come is not known
            p = model.logits(prefix)[:, :, row, column].softmax(1)
            np.testing.assert_allclose(p.sum(1), 1, rtol=1e-6)
            np.testing.assert_allclose(cost[:, number], -p[[0, 1], codes[:, row, column]].log(), rtol=1e-6)


def test_the_terms_are_the_whole_models_bound() -> None:
    model, x = small(), images(6)
    terms = model(x, torch.zeros(1, 6, 4))
    codes = model.vq_vae.codes_of(x)
    uniform = model.vq_vae(x, torch.zeros(1, 6, 4))
    torch.testing.assert_close(terms.distortion, uniform.distortion)  # z_e + (z_q - z_e) is z_q but for its last digits
    torch.testing.assert_close(terms.rate, model.cost(codes))
    torch.testing.assert_close(objectives.elbo(terms), -(terms.distortion[0] + model.cost(codes).sum(1)))
    torch.testing.assert_close(terms.log_weight[0], objectives.elbo(terms))
    assert terms.penalty is None and not terms.distortion.requires_grad


def test_the_table_counts_codes_at_each_position_and_adds_one() -> None:
    fitted = torch.zeros(3, SIDE, SIDE, dtype=torch.int64)
    fitted[2, 0, 0] = 1
    codes = torch.zeros(2, SIDE, SIDE, dtype=torch.int64)
    codes[1, 0, 0] = 3
    always = 48 * -math.log((3 + 1) / (3 + 4))
    expected = [always - math.log((2 + 1) / 7), always - math.log((0 + 1) / 7)]
    np.testing.assert_allclose(table_cost(codes, fitted, size=4), expected, rtol=1e-12)


def test_labels_change_what_a_class_conditional_prior_expects() -> None:
    model, codes = small(class_conditional=True), grids(2)
    with torch.no_grad():
        costs = [model.cost(codes, torch.tensor([label, label])) for label in range(10)]
    assert all(not torch.equal(costs[0], cost) for cost in costs[1:])
    with pytest.raises(ValueError, match="labels: none given, and this prior is class-conditional"):
        model.cost(codes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny VQ-VAE and a tiny prior over its codes, trained on the handwriting by the one loop."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "RUNS", folder)
        shared = {"epochs": 1, "batch_size": 64, "source": "handwriting"}
        made = {"latent_dim": 4, "codes": 16, "likelihood": "bernoulli", "binarise": "dynamic"}
        training.train(Config(name="vq", model="vq-vae", **made, **shared))
        training.train(Config(name="prior", model="pixel-prior", codes_of="vq", channels=8, layers=2, **shared))
    return folder


@pytest.mark.thorough
def test_training_moves_the_prior_and_leaves_the_vq_vae_as_it_was(runs) -> None:
    vq_vae, _ = weight_files.load_with_header(runs / "vq")
    prior, about = weight_files.load_with_header(runs / "prior")
    stored = prior.vq_vae.state_dict()
    assert stored.keys() == vq_vae.state_dict().keys()
    assert all(torch.equal(t, stored[name]) for name, t in vq_vae.state_dict().items())
    assert about["config"]["binarise"] == "dynamic" and about["made_with"]["codes"] == 16  # the VQ-VAE's
    start = models.build("pixel-prior", 4, "bernoulli", **about["made_with"])
    moved = [not torch.equal(p, q) for p, q in zip(prior.parameters(), start.parameters(), strict=True) if p.requires_grad]
    assert len(moved) > 10 and all(moved)


def test_a_file_of_the_prior_is_the_whole_model(runs, tmp_path) -> None:
    """Alone in a folder, it gives what it gave beside its VQ-VAE; and its bound beats the uniform prior's."""
    shutil.copy(runs / "prior" / "weights.safetensors", tmp_path / "alone.safetensors")
    alone, _ = weight_files.load_with_header(tmp_path / "alone.safetensors")
    beside, _ = weight_files.load_with_header(runs / "prior")
    data = load_data("handwriting", "test", "dynamic")
    vq_vae, _ = weight_files.load_with_header(runs / "vq")
    got, expected, uniform = (elbo.summary(model, data, passes=1) for model in (alone, beside, vq_vae))
    assert got == expected
    assert got["distortion"] == pytest.approx(uniform["distortion"], rel=1e-6)
    assert uniform["rate"] == pytest.approx(49 * math.log(16))
    assert got["elbo_is"] == "a lower bound on log p(x)"
    assert got["rate"] < 49 * math.log(16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "vq-vae", "beta": 2.0}, "the rate of a VQ-VAE is constant; leave beta out"),
        ({"model": "vq-vae", "samples": 5}, "the codes of an image are not sampled"),
        ({"model": "vq-vae", "objective": "iwae"}, "the rate of a VQ-VAE is constant; leave objective out"),
        ({"model": "vq-vae", "beta_schedule": "cyclical"}, "the rate of a VQ-VAE is constant; leave beta_schedule out"),
        ({"model": "vq-vae", "codes": 0}, "codes is 0: expected more than 0"),
        ({"model": "vq-vae", "layers": 3}, "layers is 3, and nothing in this configuration uses it"),
        ({"model": "vae", "codes": 64}, "codes is 64, and nothing in this configuration uses it"),
        ({"model": "vae", "restart": False}, "restart is False, and nothing"),
        ({"model": "pixel-prior"}, "codes_of is missing: a pixel-prior needs a trained run; give its name with --codes-of RUN"),
        ({"model": "pixel-prior", "codes_of": "vq", "commitment": 1.0}, "commitment is 1.0, and nothing"),
    ],
)
def test_options_that_contradict_each_other_or_do_nothing_are_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Config(**options))


def test_your_own_prior_must_fit_its_vq_vae(runs, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weight_files, "RUNS", runs)
    with pytest.raises(ValueError, match=r"likelihood is gaussian, but .*vq has bernoulli"):
        configured(tmp_path, Config(codes_of="vq"), PixelPrior(4, "gaussian", codes=16))


def test_a_prior_takes_what_its_vq_vae_has_decided(runs, monkeypatch) -> None:
    monkeypatch.setattr(weight_files, "RUNS", runs)
    config = checked(initial.inherit(Config(model="pixel-prior", codes_of="vq")))
    assert (config.latent_dim, config.likelihood, config.binarise, config.codes) == (4, "bernoulli", "dynamic", 16)
    with pytest.raises(ValueError, match=r"latent_dim is 7, but .*vq has 4"):
        initial.inherit(Config(model="pixel-prior", codes_of="vq", latent_dim=7))
    with pytest.raises(ValueError, match="holds a pixel-prior; expected a vq-vae"):
        initial.inherit(Config(model="pixel-prior", codes_of="prior"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        initial.inherit(Config(model="pixel-prior", codes_of="absent"))


def test_summing_out_the_label_is_exact() -> None:
    model, codes = small(class_conditional=True).double(), grids(3)
    p_label = torch.arange(1, 11) / 55
    with torch.no_grad():
        joint = [p_label[y] * torch.exp(-model.cost(codes, torch.full((3,), y)).sum(1)) for y in range(10)]
        torch.testing.assert_close(model.cost_of_unlabelled(codes, p_label), -sum(joint).log(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("run", thorough_but(["vq", "prior"], "prior"))
def test_the_command_line_draws_and_measures_them_like_any_model(run, runs, tmp_path, capsys) -> None:
    main(Figures(str(runs / run), source="handwriting", out=tmp_path))
    drawn = ["codebook-usage.png", "curves.png", "reconstructions.png", "samples.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == drawn
    main(Sample(str(runs / run), count=20, out=tmp_path / "20.png"))
    assert (tmp_path / "20.png").stat().st_size > 5000
    capsys.readouterr()
    main(Evaluate(str(runs / run), source="handwriting", passes=1, json=True))
    assert json.loads(capsys.readouterr().out)["model"] == {"vq": "vq-vae", "prior": "pixel-prior"}[run]
