"""Sprites are made of exactly their factors; the metrics have the known values on known representations."""

import math

import numpy as np
import pytest
import torch
from conftest import assert_close
from test_evaluator import ERRORS

from vae_paper import models, sprites
from vae_paper.measuring import disentanglement
from vae_paper.reproduce import disentanglement as known

FEW = {"train": 400, "test": 400}


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mass, centre (N, 2) and covariance (N, 2, 2) of images, in units of the frame [-1, 1]², x first."""
    line = (np.arange(28) + 0.5) / 14 - 1
    x = x[:, 0].astype(np.float64)
    mass = x.sum((1, 2))
    place = np.stack(np.broadcast_arrays(line[None, :], line[:, None]))  # (2, 28, 28): x, y
    centre = np.einsum("nij,kij->nk", x, place) / mass[:, None]
    off = place[None] - centre[:, :, None, None]
    return mass, centre, np.einsum("nij,nkij,nlij->nkl", x, off, off) / mass[:, None, None]


def of(**chosen) -> np.ndarray:
    """Factors: the chosen values; all others are in the middle."""
    middle = {"shape": 1, "scale": 5, "rotation": 0, "x": 8, "y": 8} | chosen
    return np.stack(np.broadcast_arrays(*(np.atleast_1d(value) for value in middle.values())), axis=1).astype(np.int64)


def test_a_factor_moves_what_it_names():
    place = -0.5 + np.arange(16) / 15
    _, centre, _ = moments(sprites.render(of(x=np.arange(16))))
    assert_close(centre[:, 0], place, 0.005, "x")
    assert_close(centre[:, 1], np.full(16, place[8]), 0.005, "y, where x moves")
    _, centre, _ = moments(sprites.render(of(y=np.arange(16))))
    assert_close(centre[:, 1], place, 0.005, "y, downwards")
    mass, _, _ = moments(sprites.render(of(scale=np.arange(6))))
    radius = 0.2 + 0.05 * np.arange(6)
    assert_close(mass / (14**2 * math.pi / 2 * radius**2), np.ones(6), 0.03, "the ellipse's area")
    _, _, spread = moments(sprites.render(of(rotation=np.arange(15))))
    angle = 0.5 * np.arctan2(2 * spread[:, 0, 1], spread[:, 0, 0] - spread[:, 1, 1])
    assert_close(angle, math.pi / 2 * np.arange(15) / 15, 0.02, "the ellipse's angle")


def test_no_two_combinations_look_the_same_and_none_leaves_the_frame():
    rng = np.random.default_rng(0)
    some = sprites.all_factors()[rng.permutation(sprites.COUNT)[:500]]
    turned = np.concatenate([of(shape=s, rotation=np.arange(15), scale=0) for s in range(3)])  # where they differ least
    factors = np.unique(np.concatenate([some, turned]), axis=0)
    x = sprites.render(factors)
    assert x.dtype == np.float32 and 0 <= x.min() <= x.max() == 1
    assert len(np.unique(x.reshape(len(x), -1), axis=0)) == len(factors)
    for shape in range(3):
        corners = np.array([[shape, 5, r, x, y] for r in (0, 7, 14) for x, y in ((8, 8), (0, 0), (0, 15), (15, 0), (15, 15))])
        mass = sprites.render(corners).sum((1, 2, 3)).reshape(3, 5)  # a row for each rotation; the first column is in the middle
        assert_close(mass / mass[:, :1], np.ones((3, 5)), 0.01, f"{sprites.SHAPES[shape]}: no sprite is cut off")
    assert_close(sprites.render(some[:3]), np.concatenate([sprites.render(some[i : i + 1]) for i in range(3)]), 0)


def test_every_combination_is_there_once():
    factors = sprites.all_factors()
    assert factors.shape == (3 * 6 * 15 * 16 * 16, 5) and len(np.unique(factors, axis=0)) == len(factors)
    assert np.ravel_multi_index(tuple(factors[12345]), tuple(sprites.SIZES.values())) == 12345


@pytest.mark.parametrize("wrong", [of(x=16), of(shape=-1), of()[:, :4]])
def test_impossible_factors_are_refused(wrong):
    with pytest.raises(ValueError, match=r"factor (x|shape) reaches|factors are \(1, 4\), int64; expected \(N, 5\)"):
        sprites.render(wrong)


def test_a_perfect_representation():
    found = known.measure(known.perfect(), **FEW)
    assert found["higgins"] == found["factor_vae"] == 1
    assert found["mig"] == pytest.approx(1, abs=2e-3)


def test_dci_and_sap_are_measured_on_demand(monkeypatch):
    """Of sprites with fewer values of each factor, so that the trees take a second."""
    monkeypatch.setattr(known, "SIZES", (2, 3, 4, 2, 3))
    factors = np.stack(np.unravel_index(np.arange(144), known.SIZES), axis=1).astype(float)
    found = known.measure(factors / factors.std(0), **FEW, dci_train=300)
    assert [found[name] for name in known.ADDED if name != "sap"] == pytest.approx([1] * 5, abs=1e-6)
    assert 0.2 < found["sap"] < 1
    without = known.measure(factors, **FEW)
    assert found.keys() - without.keys() == {name for name in known.ADDED if not name.endswith("_lib")}


def test_two_rotated_factors_must_be_guessed():
    """x and y, of one size, turned by 45°: 3/5 + 2/5 · 1/2 of the answers are right, and three of five gaps are 1."""
    found = known.measure(known.rotated(), **FEW)
    for metric in ("higgins", "factor_vae"):
        assert abs(found[metric] - 0.8) < ERRORS * math.sqrt(0.16 / 400)
    assert found["f1_shape"] == found["f1_scale"] == found["f1_rotation"] == 1
    assert max(found["f1_x"], found["f1_y"]) < 0.75  # if all were answered with one of them: 2/3 and 0
    assert found["mig"] == pytest.approx(0.6, abs=2e-3)


def test_the_blind_spot_of_the_linear_classifier():
    """The Higgins metric calls a random linear mixture of all factors disentangled; MIG does not."""
    found = known.measure(known.mixed(0), **FEW)
    assert found["higgins"] > 0.95
    assert found["mig"] < 0.25


def test_noise_is_at_chance():
    codes = known.noise()
    for metric in (disentanglement.higgins, disentanglement.factor_vae):
        found = metric(codes, known.SIZES, np.random.default_rng(1), **FEW)
        assert found.chance == 0.2
        assert abs(found.value - 0.2) < ERRORS * math.sqrt(0.16 / 400)
        assert found.standard_error == pytest.approx(math.sqrt(found.value * (1 - found.value) / 400))
    assert disentanglement.mig(codes, known.SIZES).max() < 0.002


def test_answers_are_counted_by_factor():
    found = disentanglement.accuracy(np.array([0, 2, 2, 2]), np.array([0, 0, 2, 2]), 4)
    assert found.value == 0.75 and found.chance == 0.25
    assert found.f1[0] == pytest.approx(2 / 3) and found.f1[2] == pytest.approx(4 / 5)  # precision 1, recall 1/2; 2/3, 1
    assert math.isnan(found.f1[1]) and math.isnan(found.f1[3])


def test_the_gap_by_hand():
    """Two factors of 2 and 4 values: known to one latent, known to two alike, and known to none."""
    a, b = np.unravel_index(np.arange(8), (2, 4))
    alone = np.stack([a, b // 2], axis=1).astype(float)  # the second knows half of log 4
    assert_close(disentanglement.mig(alone, (2, 4)), [1, 0.5], 1e-12)
    assert_close(disentanglement.mig(np.stack([a, a, b], axis=1) * 1.0, (2, 4)), [0, 1], 1e-12)
    assert_close(disentanglement.mig(a[:, None] * 1.0, (2, 4)), [1, 0], 1e-12)
    assert disentanglement.mutual_information(a, a) == pytest.approx(math.log(2))


def test_latents_that_never_vary_have_no_vote():
    codes = np.hstack([np.full((sprites.COUNT, 1), 3.0), known.perfect()])
    assert disentanglement.factor_vae(codes, known.SIZES, np.random.default_rng(0), 300, 300).value == 1
    with pytest.raises(ValueError, match="the same for every combination"):
        disentanglement.factor_vae(np.ones((8, 2)), (2, 4), np.random.default_rng(0))
    for wrong, message in (
        (np.ones((7, 2)), r"expected \(8, D\), a row per combination"),
        (np.full((8, 1), np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            disentanglement.mig(wrong, (2, 4))


def test_one_factor_cannot_be_told_from_others():
    codes = np.arange(4.0)[:, None]
    for metric in (disentanglement.higgins, disentanglement.factor_vae):
        with pytest.raises(ValueError, match=r"^sizes are \(4,\): expected at least 2 factors.*$") as refused:
            metric(codes, (4,), np.random.default_rng(0))
        assert "\n" not in str(refused.value)


def test_codes_are_in_the_order_of_the_factors(monkeypatch):
    few = sprites.all_factors()[::130]
    monkeypatch.setattr(sprites, "all_images", lambda size: sprites.render(few, size))
    model = models.build("vae", 2).eval()
    codes = disentanglement.codes_of_sprites(model)
    assert codes.shape == (532, 2)
    with torch.no_grad():
        expected = model.encode(torch.from_numpy(sprites.render(few[498:503])))[0]
    assert_close(codes[498:503], expected.numpy(), 1e-6)
