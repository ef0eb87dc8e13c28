"""The reproductions: their command, their parts on cases with a known answer, and reduced runs (`slow`).

A reduced run must show the direction of the paper's claim, and an effect of a size that was fixed before it ran.
"""

import dataclasses
import json
import math
import re
import runpy
import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from conftest import assert_close

from docs import ledger
from vae_numpy import digits
from vae_numpy.command_line import run
from vae_paper import __main__ as level3
from vae_paper import data, reproduce, runs, sprites, training, weight_files
from vae_paper.config import Config
from vae_paper.reproduce import (
    beta,
    burda,
    burgess,
    collapse,
    conditional,
    gaps,
    higgins,
    higgins_paper,
    kingma,
    nll,
    oracles,
    sohn,
    vq_vae,
)

ROOT = Path(__file__).parents[1]
FILES = {path.stem for path in (ROOT / "vae_paper/reproduce").glob("*.py") if "__main__" in path.read_text()}
needs_mnist = pytest.mark.skipif(not digits.is_on_disk("mnist"), reason="the claim is about MNIST, which is not on disk")


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def few_sprites(monkeypatch):
    """Every 130th combination stands for all."""
    factors = sprites.all_factors()[::130]
    x = sprites.render(factors)
    monkeypatch.setattr(sprites, "all_factors", lambda: factors)
    monkeypatch.setattr(sprites, "all_images", lambda size=28: x)
    return factors, x


def test_every_measurement_has_a_name_on_the_command_line():
    assert set(get_args(get_type_hints(level3.Reproduce)["name"])) == FILES
    assert set(ledger.NAMES) <= FILES


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # by an import above
def test_the_command_is_the_file_and_takes_its_options(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)  # which the command sets
    monkeypatch.setattr(data, "load_data", None)  # without its options it would train
    with pytest.raises(SystemExit) as stop:
        run("python -m vae_paper", level3.Command, level3.main, ["reproduce", "burgess", "--", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "usage: python -m vae_paper.reproduce.burgess" in said and "--capacities" in said
    assert "Final values of C in nats" in said, "the text of the option"


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # by an import above
def test_an_unknown_option_is_refused_before_any_work(name, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--colour", "3"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module(f"vae_paper.reproduce.{name}", run_name="__main__")
    said = capsys.readouterr().err
    assert said.startswith(f"python -m vae_paper.reproduce.{name}: Unrecognized") and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_sprites_are_a_source_of_training(few_sprites, monkeypatch):
    factors, x = few_sprites
    on_train, on_test = (data.load_data("sprites", split) for split in ("train", "test"))
    assert (len(on_train.images), len(on_test.images)) == (479, 53)
    assert on_test.about == "sprites, test split (53 images), grayscale"
    both = torch.cat([on_train.images, on_test.images]).flatten(1).numpy()
    assert_close(np.unique(both, axis=0), np.unique(x.reshape(len(x), -1), axis=0), 0, "each sprite once")
    assert torch.equal(on_train.images, data.load_data("sprites", "train").images), "the same split again"
    assert not np.array_equal(both, x.reshape(len(x), -1)), "shuffled"
    for split in (on_train, on_test):  # a label is the shape
        for image, label in zip(split.images[:20], split.labels[:20], strict=True):
            assert factors[(x == image.numpy()).all((1, 2, 3)), 0].tolist() == [label]
    with pytest.raises(ValueError, match="split is 'all'"):
        sprites.load("all")
    whole = data.load_data
    monkeypatch.setattr(runs, "load_data", lambda *options, **shape: whole(*options, **shape).subset(slice(480)))
    folders = [training.train(Config(name=s, source=s, epochs=1, batch_size=200)) for s in ("sprites", "handwriting")]
    (a, about), (b, _) = (weight_files.load_with_header(folder) for folder in folders)
    assert about["data"].endswith("of sprites, train split (479 images), grayscale")
    assert not torch.equal(a.decoder.fc1.weight, b.decoder.fc1.weight)


def test_a_measurement_is_read_again_unless_its_key_changes():
    calls = []

    def measure():
        calls.append(1)
        return {"value": len(calls)}

    assert [reproduce.once("m", {"seed": seed, "at": (1, 2)}, measure)["value"] for seed in (0, 0, 1, 1)] == [1, 1, 2, 2]


@pytest.mark.thorough
def test_another_run_of_the_same_name_is_refused():
    config = Config(name="a", epochs=1, source="handwriting", batch_size=64, latent_dim=3)
    reproduce.trained(config)
    with pytest.raises(ValueError, match=r"a: holds another run \(latent_dim is 3, not 4\); remove the folder or rename it"):
        reproduce.trained(dataclasses.replace(config, latent_dim=4))
    reproduce.trained(dataclasses.replace(config, device="cuda"))  # another device does not make another run


def test_one_seed_has_no_spread():
    one, two = reproduce.over_seeds([{"a": 1.0}]), reproduce.over_seeds([{"a": 1.0}, {"a": 3.0}])
    assert reproduce.spread(one, "a") == "1.0" and reproduce.spread(two, "a") == "2.0 ± 1.4"
    assert "sd" not in one
    assert re.fullmatch(r".+, \d+ cores, torch on \d+", reproduce.machine())


def test_the_entropy_of_pixels_by_hand():
    """0 for black and white, log 2 for gray; and the -log p of the pixels' own probabilities, over many draws."""
    x = torch.tensor([[0.0, 1.0, 0.5, 0.5], [0.25, 1.0, 0.0, 0.0]]).view(2, 1, 2, 2)
    quarter = 0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    found = reproduce.pixel_entropy(x)
    assert found.value == pytest.approx((2 * np.log(2) + quarter) / 2)
    assert found.standard_error == pytest.approx(abs(2 * np.log(2) - quarter) / 2)
    drawn = torch.bernoulli(x[1:].expand(40_000, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    nats = -(drawn * x[1].log() + (1 - drawn) * (1 - x[1]).log()).nan_to_num(0.0).sum((1, 2, 3)).double()
    assert abs(nats.mean().item() - quarter) < 4.9 * nats.std().item() / 200


@pytest.mark.parametrize("latent_dim", [3, 20])
def test_the_network_of_2013(latent_dim):
    model: Any = kingma.build("mlp", latent_dim, seed=0)
    weights = 784 * 500 + 500 * 2 * latent_dim + latent_dim * 500 + 500 * 784
    biases = 500 + 2 * latent_dim + 500 + 784
    assert sum(p.numel() for p in model.parameters()) == weights + biases
    x = torch.rand(4, 1, 28, 28).round()
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (4, latent_dim) and not torch.equal(mu, logvar)
    assert model.decode(mu).shape == (4, 1, 28, 28)
    terms = model(x, torch.zeros(2, 4, latent_dim))
    assert terms.distortion.shape == (2, 4) and terms.rate.shape == (4, latent_dim)
    hidden = model.encoder.hidden
    expected = (
        torch.tanh(x.flatten(1) @ hidden.weight.T + hidden.bias) @ model.encoder.out[0].weight.T + model.encoder.out[0].bias
    )
    assert torch.allclose(mu, expected, atol=1e-5)
    again, other = kingma.build("mlp", latent_dim, seed=0), kingma.build("mlp", latent_dim, seed=1)
    assert torch.equal(hidden.weight, again.encoder.hidden.weight) and not torch.equal(hidden.weight, other.encoder.hidden.weight)


def test_neighbours_by_hand():
    """Four pixels, two of them seen: the nearest image decides, and m smooths."""
    images = torch.tensor([[0.0, 0, 1, 0], [0, 1, 1, 1], [1, 1, 0, 1]])
    mask = torch.tensor([True, True, False, False])
    m = torch.tensor([2.5 / 4, 2.5 / 4])  # each unseen pixel is 1 in two of three images
    assert torch.equal(sohn.frequencies(images)[2:], m)
    x = torch.tensor([[1.0, 1, 1, 1], [0, 0, 1, 0]])  # nearest: the third, 0 off; the first
    one = sohn.Neighbours(images, mask, nearest=1, weight=0.5)
    p = (torch.tensor([[0.0, 1], [1, 0]]) + 0.5 * m) / 1.5
    assert_close(one.probabilities(x).numpy(), p.numpy(), 1e-6)
    expected = -torch.tensor([p[0, 0] * p[0, 1], p[1, 0] * (1 - p[1, 1])]).log()
    assert_close(one.nats(x).numpy(), expected.numpy(), 1e-6)
    unseen = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])  # other unseen pixels: nothing changes
    assert torch.equal(one.probabilities(unseen), one.probabilities(x))
    two = sohn.Neighbours(
        images, mask, nearest=2, weight=1.0
    )  # of the first: the third and the second; of the second: the first two
    assert_close(two.probabilities(x).numpy(), ((torch.tensor([[1.0, 2], [2, 1]]) + m) / 3).numpy(), 1e-6)


def test_neighbours_are_fitted_to_images_held_out():
    """If the seen half determines the rest, one neighbour with little smoothing is best; if it is unrelated, p is one half."""
    generator = torch.Generator().manual_seed(0)
    half = torch.rand(200, 10, generator=generator).round()
    mask = torch.arange(20) < 10
    copied = torch.cat([half, half], 1)
    best = sohn.fitted(copied, copied[:50], mask)
    assert (best.nearest, best.weight) == (1, 0.3)
    unrelated = torch.cat([half, torch.rand(200, 10, generator=generator).round()], 1)
    other = torch.cat([half[:50], torch.rand(50, 10, generator=generator).round()], 1)
    assert sohn.fitted(unrelated, other, mask).nats(other).mean().item() == pytest.approx(10 * np.log(2), rel=0.03)


def test_the_network_without_z_ignores_noise():
    torch.manual_seed(0)
    model = sohn.Network(5, "bernoulli", seen=2)
    x = torch.rand(3, 1, 28, 28).round()
    a, b = (model(x, torch.full((1, 3, 5), value)) for value in (0.0, 9.0))
    assert torch.equal(a.distortion, b.distortion) and not a.rate.any() and torch.equal(a.log_weight, -a.distortion)
    hidden = x.clone()
    hidden[..., 14:] = 1 - hidden[..., 14:]
    assert_close(
        model.prior_of(x)[0].detach().numpy(), model.prior_of(hidden)[0].detach().numpy(), 0, "only seen pixels are used"
    )


def seeds(**numbers):
    """The report of two seeds: each number is given as (mean, half of the difference)."""
    return reproduce.over_seeds([{name: value + sign * off for name, (value, off) in numbers.items()} for sign in (-1, 1)])


def test_verdicts_follow_the_numbers():
    def iwae(gain, off=0.0, active=2, error=0.0):
        """Two lines: VAE (k = 1) minus IWAE (k = 5), with the given gain; and VAE (k = 5) minus IWAE: 0.4 nats less."""
        errors = {"nll_standard_error": (error, 0)}
        made = {
            "VAE, k = 1": seeds(nll=(90.0, 0), active_units=(20, 0), **errors),
            "VAE, k = 5": seeds(nll=(89.6, 0), active_units=(22, 0), **errors),
            "IWAE, k = 5": seeds(nll=(90.0 - gain, off), active_units=(20 + active, 0), **errors),
        }
        *_, beside_plain, beside_same_k = burda.ledger({"models": made})
        return beside_plain, beside_same_k

    def holds(*given, **changed):
        return [row.holds for row in iwae(*given, **changed)]

    beside_plain, beside_same_k = iwae(0.8)
    assert beside_plain.secondary and (beside_plain.published, beside_same_k.published) == ("1.22", "0.93")
    assert (
        "The VAE, k = 5, gains 0.40 of these nats" in beside_plain.verdict
        and "(in the paper 0.29 of 1.22)" in beside_plain.verdict
    )
    assert "gains" not in beside_same_k.verdict
    two = {name: seeds(nll=(90.0, 0), active_units=(20, 0)) for name in ("VAE, k = 1", "VAE, k = 2", "IWAE, k = 2")}
    assert burda.ledger({"models": two})[-2].published == "none", "the paper has no k = 2"
    assert holds(0.8) == [True, True] and holds(0.5) == [True, False] and holds(0.2) == [False, False]
    assert holds(0.8, active=1) == [True, False] and holds(0.8, active=-1) == [False, False], "fewer active units"
    assert holds(0.5, off=0.4) == [None, None], "the standard deviation is 0.57"
    assert holds(0.2, error=0.1) == [None, False], "2 sqrt(2) 0.1 = 0.28 nats: the gain may be more than 0.3"

    def information(low, high):
        return {f"mutual_information_{end}": (value, 0) for end, value in (("low", low), ("high", high))}

    def rate(off, bought=60.0, spread=0.0):
        more = information(3.0, 3.2) | {"seconds": (60, 0)}
        made = {"5": seeds(rate=(5, 0), off=(0, 0), distortion=(140.0, 0), **more)}
        made["25"] = seeds(rate=(25 + off, 0.1), off=(abs(off), 0.1), distortion=(140 - bought, spread), **more)
        return [row.holds for row in burgess.ledger({"gammas": {"30": made}})]

    assert rate(0.8) == [True, True] and rate(0.95) == [False, True] and rate(0, 49) == rate(0, 60, 11) == [True, False]

    parts = information(3.0, 3.2) | {"seconds": (60, 0)}
    made = {c: seeds(rate=(float(c), 0), off=(0, 0), distortion=(150 - 4 * float(c), 0), **parts) for c in ("5", "25")}
    slow = {"gamma": 1000.0, "batch_size": 16, "epochs": 28, "seeds": [0, 1]}
    report = {"model": "vae, batches of 128", "gammas": {"1000": made, "10": made}, "slowly": made, "slow": slow}
    *_, fast, _, slowly = burgess.ledger(report)
    slow_runs = {"model": "vae, batches of 16", "seeds": [0, 1], "epochs": 28, "seconds": 240.0}
    assert fast.holds and slowly.holds and (fast.protocol, slowly.protocol) == ({"seconds": 480.0}, slow_runs)
    assert "falls by 80.0, 80.0 nats" in slowly.verdict and "between 3.0 and 3.2 nats" in slowly.verdict
    assert "ignore z" not in slowly.verdict
    one_seed = {c: reproduce.over_seeds(r["seeds"][:1]) for c, r in made.items()}
    for one in one_seed.values():
        one["seeds"][0]["distortion"] = burgess.IGNORED + 0.9
    *_, rate_line, distortion_line = burgess.ledger(report | {"slowly": one_seed})
    assert rate_line.holds is None and distortion_line.holds is None, "one seed decides nothing"
    assert "1 of 1 decoders ignore z" in distortion_line.verdict

    def quadrants(*cvae, neighbours=90.0):
        r = {"pixels": 100.0, "neighbours": neighbours}
        made = {str(i + 1): seeds(network=(85.0, 0), cvae=(c, 0.5), cvae_elbo=(-c - 3, 0)) | r for i, c in enumerate(cvae)}
        return sohn.ledger({"quadrants": made})

    assert [row.holds for row in quadrants(70, 75, 84)] == [True, True, True]
    assert [row.holds for row in quadrants(75, 70, 84.8)] == [True, False, False]
    assert [row.holds for row in quadrants(70, neighbours=60.0)] == [False]
    three = seeds(network=(85, 0), cvae=(70, 0), cvae_elbo=(-73, 0)) | {"pixels": 99, "neighbours": 90}
    assert sohn.ledger({"quadrants": {"3": three}})[0].holds is None, "its lead is compared with that of two quadrants"
    assert "CVAE 70.0 ± 0.7 (-ELBO: 73.0 ± 0.0)" in quadrants(70)[0].ours, "the tutorial's numbers are ELBOs"

    def bounds(more=0.0, off=0.0, network="mlp", **changed):
        ends = {"3": -140, "5": -120, "10": -105, "20": -100, "200": -101} | changed
        offs = {n: off * (n == "200") for n in ends}
        made = {
            n: seeds(test=(v, offs[n]), train=(v + 0.5 + more * (n == "200"), offs[n]), seconds=(1, 0)) for n, v in ends.items()
        }
        return kingma.ledger({"bounds": {network: made}, "split": "test, binarisation: dynamic"})[0].holds

    few = {n: seeds(test=(-100, 0), train=(-99.5, 0)) for n in ("20", "200")}
    assert kingma.ledger({"bounds": {"mlp": few}})[0].holds is None, "the rule speaks of N_z = 3, 5 and 10 too"
    assert bounds(**{"200": -101.5}, off=1.0) is None, "the seeds disagree: 0.5 and 2.5 nats lower"
    assert bounds(network="mlp-fixed") is True and bounds(more=1.1) is bounds(**{"200": -103.5}, off=1.0) is False
    one_seed = {
        n: reproduce.over_seeds([{"test": v, "train": v}])
        for n, v in zip(("3", "5", "10", "20", "200"), (-140, -120, -105, -100, -101), strict=True)
    }
    assert kingma.ledger({"bounds": {"mlp": one_seed}})[0].holds is None, "one seed decides nothing"
    assert bounds() and bounds(more=0.9) and bounds(more=1.1) is False
    for wrong in ({"200": -102.1}, {"3": -151}, {"20": -89, "200": -89}, {"3": -119}, {"5": -104}):
        assert bounds(**wrong) is False
    assert bounds(**{"50": -102.2, "200": -102.2}) is False, "the rule compares 200 with 20, whatever else was measured"

    def metric(gain, off, off_low=None):
        offs = (off if off_low is None else off_low, off)
        pairs = {f"beta = {beta:.3g}": (gain * index, offs[index]) for pair in higgins.PAIRS for index, beta in enumerate(pair)}
        others = dict.fromkeys(("PCA", "raw pixels", "untrained encoder"), (0.0, 0.0))
        f1 = {f"f1_{factor}": (0.5 if factor == "shape" else 0.9, 0) for factor in sprites.SIZES}
        made = {name: seeds(higgins=(0.6 + g, o), mig=(0.1, 0), **f1) for name, (g, o) in (pairs | others).items()}
        rows = higgins.ledger({"representations": made})
        assert all("shape" in row.verdict and "scale" not in row.verdict for row in rows[:2])
        return [row.holds for row in rows]

    assert metric(0.1, 0.05) == [True, True, None] and metric(-0.1, 0.05) == [False, False, None]
    assert metric(0.1, 0.08) == metric(0.1, 0.08, 0.0) == metric(0.1, 0.0, 0.08) == metric(-0.1, 0.08) == [None, None, None]

    def likelihood(name, nats, epochs=80, **changed):
        more = dict.fromkeys(("command", "model", "binarisation", "k", "split", "epochs", "machine", "seconds"))
        more |= {"options": vars(nll.Options(epochs=epochs, vae_epochs=0 if name == "VAE" else 80)) | changed}
        return nll.ledger({"models": {name: seeds(nll=(nats, 0.1), nll_standard_error=(0.1, 0)) | more}})[0].holds

    assert likelihood("VAE", 57.0, source="handwriting") is None, "the aims and Burda et al. are about MNIST"
    assert likelihood("IWAE-50", 82.0, 6) is None, "the aim was set for 54 epochs"

    assert likelihood("VAE", 85.4) and not likelihood("VAE", 85.6) and likelihood("IWAE-5", 84.7, 12)
    assert not likelihood("IWAE-5", 84.9, 12) and not likelihood("IWAE-50", 83.9, 54) and likelihood("IWAE-2", 70.0) is None

    def control(*pairs, error=0.1):
        """The verdict, from the NLL of VAE-5 and of IWAE-5 for each seed."""
        errors = {"nll_standard_error": error, "nll_best_standard_error": error}
        both = [reproduce.over_seeds([{"nll": n, "nll_best": n} | errors for n in nats]) for nats in zip(*pairs, strict=True)]
        more = dict.fromkeys(("command", "model", "binarisation", "k", "split", "epochs", "machine", "seconds"))
        return nll.against_control(both[1] | more, both[0] | more).holds

    assert control((84.0, 83.5), (84.5, 83.8)) is True and control((83.5, 84.0), (83.8, 84.5)) is False
    assert control((84.0, 83.5), (83.5, 83.6)) is None, "the seeds disagree"
    assert control((84.0, 83.5), (85.0, 83.8)) is None, "the gains 0.5 and 1.2 differ by 0.5: their mean is less than twice that"
    assert control((84.0, 83.5), (84.5, 83.8), error=0.25) is None, "other images could change the sign"
    assert control((84.0, 80.0)) is None


def test_verdicts_of_the_other_lines_follow_the_numbers():
    def over_beta(rate=(50.0, 25.0, 3.0), elbo=(-110.0, -105.0, -150.0), off=0.0, distortion=(70.0, 80.0, 147.0)):
        of = zip(("0.1", "1.0", "10.0"), rate, elbo, distortion, strict=True)
        made = {name: seeds(rate=(r, off), elbo=(e, 0), distortion=(d, 0)) for name, r, e, d in of}
        return beta.ledger({"betas": made, "training": "2 epochs"})[0].holds

    assert over_beta() is True
    assert over_beta(elbo=(-100.0, -105.0, -150.0)) is False and over_beta(rate=(24.0, 25.0, 3.0)) is False
    assert over_beta(distortion=(81.0, 80.0, 147.0)) is False
    elbos = {"0.1": (-106.0, 3.0), "1.0": (-105.0, 0.0), "10.0": (-150.0, 0.0)}  # on one seed, 0.1 is the best
    made = {
        name: seeds(rate=(50.0 - 4 * i, 0), distortion=(50.0 + i, 0), elbo=elbo) for i, (name, elbo) in enumerate(elbos.items())
    }
    assert beta.ledger({"betas": made, "training": "2 epochs"})[0].holds is None

    def active(plain, free, annealed, plain_long=(1, 1), annealed_long=(5, 1)):
        found = (plain, free, annealed, (0, 0), (0, 0), plain_long, annealed_long)
        cases = {
            name: seeds(active_units=pair, elbo=(-88, 0), seconds=(1, 0))
            for name, pair in zip(collapse.CASES, found, strict=True)
        }
        rows = collapse.ledger({"cases": cases, "training": "2 epochs"})
        assert [(row.protocol["epochs"], row.protocol["seconds"]) for row in rows] == [(2, 10), (2, 10), (6, 4)]
        return [row.holds for row in rows]  # annealing, free bits, annealing in the long runs

    assert active((1, 1), (12, 2), (5, 1)) == [True, True, True]
    assert active((1, 1), (12, 2), (3, 1)) == [False, True, True]
    assert active((1, 1), (12, 2), (5, 1), annealed_long=(3, 1)) == [True, True, False]
    assert active((2, 1), (12, 2), (9, 1)) == [False, False, True], "on one seed 3 units are active without a cure"

    def off(linear, grid, nats=0.1):
        made = {"a": (linear, "expected over x ~ p(x), by a formula"), "b": (grid, "of these images, by sums on a grid")}
        found = {
            name: {"known": known, "rows": {"nll": {"off": value, "standard_error": 0.3}}}
            for name, (value, known) in made.items()
        }
        found["a"]["off_on_the_same_images"] = {"elbo": 0.0, "nll": -nats}
        return oracles.ledger({"oracles": found})[0].holds

    assert off(1.0, 0.0) and not off(math.nan, 0.0) and not off(1.0, 0.0, math.nan)

    assert off(-3.9, 9.0) and not off(-4.1, 0.0) and not off(0.0, 0.0, nats=0.2)


SMALL = {
    burgess: ["--gammas", "30", "--capacities", "5", "6", "--seeds", "0"],
    kingma: ["--latents", "3", "5", "20", "--sampled", "3", "--points", "2", "--images", "60", "--pictures", "."],
    burda: ["--ks", "1", "2", "--seeds", "0", "--latent-dim", "3", "--nll-k", "3", "--subset", "5"],
    sohn: ["--seeds", "0", "--k", "3", "--subset", "5"],
    nll: ["--latent-dim", "3", "--k", "3", "--k-best", "2", "--subset", "5", "--binarisations", "2"],
}


@pytest.fixture
def few_digits(monkeypatch):
    """600 training digits and 200 test digits."""
    load = data.load_data

    def load_few(source, split, *rest):
        return load(source, split, *rest).subset(slice(600 if split == "train" else 200))

    for module in (runs, *SMALL):
        monkeypatch.setattr(module, "load_data", load_few)


@pytest.mark.parametrize(
    "module", [burgess, *(pytest.param(module, marks=pytest.mark.thorough) for module in SMALL if module is not burgess)]
)
def test_a_small_run_writes_lines_for_the_ledger_and_a_second_trains_nothing(module, few_digits, monkeypatch, tmp_path):
    name = module.__name__.split(".")[-1]
    monkeypatch.setattr(burgess, "SLOW_RISE", 1)  # epochs
    line = ["--source", "handwriting", "--epochs", "1", "--out", f"{name}.json", *SMALL[module]]
    for _ in range(2):
        reproduce_run(module, line)
        monkeypatch.setattr(training, "train_step", None)
    report = json.loads(Path(f"{name}.json").read_text())
    monkeypatch.setattr(ledger.generate, "results", lambda _: report)
    lines = ledger.lines(name)
    assert [row.stored() for row, _ in lines] == report["ledger"]
    assert lines and all(row.what and row.published and row.ours and row.verdict for row, _ in lines)
    protocols = [ledger.how(protocol) for _, protocol in lines]
    expected = r"\d seeds?; (.+; )?binarisation: .+; k = \d+; .+; epochs: .+; \d+ min; machine .+ cores"
    assert all(re.match(expected, one) for one in protocols), protocols
    assert sorted(path.suffix for path in tmp_path.glob("*.png")) == (2 * [".png"] if module is kingma else [])


def test_the_paper_s_network_and_optimiser_come_in_through_train(monkeypatch):
    """Few sprites of 64x64 and few units. Each step is Adagrad's, with the paper's constant learning rate; a second run trains
    nothing. The layers are those of the paper."""
    factors = sprites.all_factors()[::1300]
    x = sprites.render(factors, 64)
    monkeypatch.setattr(sprites, "all_factors", lambda: factors)
    monkeypatch.setattr(sprites, "all_images", lambda size=28: x if size == 64 else None)
    monkeypatch.setattr(higgins_paper, "HIDDEN", 5)
    steps, adagrad = [], torch.optim.Adagrad.step

    def noted(optimizer, *rest):
        steps.append(optimizer.param_groups[0]["lr"])
        return adagrad(optimizer, *rest)

    monkeypatch.setattr(torch.optim.Adagrad, "step", noted)
    f1 = dict.fromkeys((f"f1_{factor}" for factor in sprites.SIZES), 1.0)
    sizes = []

    def measure(codes, *rest):
        sizes.append((codes.shape, *rest))
        return f1 | {"higgins": float(codes.std() > 0), "mig": 0.1, "higgins_lib": 0.5}

    monkeypatch.setattr(higgins, "measure", measure)
    line = ["--latent-dim", "3", "--batch-size", "12", "--train", "7", "--test", "6", "--dci", "60", "--out", "h.json"]
    for _ in range(2):
        reproduce_run(higgins_paper, line)
    assert sizes == 3 * [((54, 3), 7, 6, 60)], "an untrained encoder and two betas"
    assert steps == 2 * 4 * [1e-2], "49 training images make 4 steps"
    report = json.loads(Path("h.json").read_text())
    assert report["representations"].keys() == {"untrained encoder", "beta = 1", "beta = 4"}
    assert report["ledger"][0]["holds"] is None, "one seed decides nothing"
    assert "as disentanglement_lib computes the metric: 50.0, 50.0" in report["ledger"][0]["verdict"]
    assert json.loads(Path("runs/higgins-paper-4-0/config.json").read_text())["beta"] == 4
    model = higgins_paper.build(3, 0).requires_grad_(False)
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [(5, 4096), (5, 5), (3, 5), (3, 5), (5, 3), (5, 5), (5, 5), (4096, 5)]
    x, z, encoder, decoder = torch.from_numpy(x[:2]), torch.ones(2, 3), model.encoder, model.decoder
    h = encoder.hidden2(encoder.hidden1(x.flatten(1)).clamp(min=0)).clamp(min=0)
    assert_close(model.encode(x)[0], encoder.mu(h), 1e-6)
    assert_close(model.encode(x)[1], encoder.logvar(h), 1e-6)
    h = z
    for layer in (decoder.hidden1, decoder.hidden2, decoder.hidden3):
        h = layer(h).tanh()
    assert_close(model.decode(z).flatten(1), decoder.out(h), 1e-6)


def test_equal_seeds_are_refused():
    with pytest.raises(ValueError, match=r"seeds are \(0, 0\): expected different values"):
        nll.main(nll.Options(seeds=(0, 0)))


def test_options_without_effect_or_sense_are_refused_before_any_training(monkeypatch):
    monkeypatch.setattr(training, "train", None)
    with pytest.raises(ValueError, match=r"seen are \(1, 4\): expected numbers of quadrants: 1, 2, 3"):
        sohn.main(sohn.Options(seen=(1, 4)))
    with pytest.raises(ValueError, match=r"slow_seeds are \(0, 0\): expected different values"):
        burgess.main(burgess.Options(slow_seeds=(0, 0)))
    with pytest.raises(ValueError, match="samples is 9: expected at least 10"):
        vq_vae.main(vq_vae.Options(samples=9))
    with pytest.raises(ValueError, match="images is 1: expected at least 2"):
        kingma.main(kingma.Options(images=1))


def test_other_images_have_no_published_numbers_and_no_verdict_of_mnist():
    for module, name in ((burda, "burda"), (kingma, "kingma")):
        report = json.loads((ROOT / f"results/{name}.json").read_text()) | {"source": "fashion-mnist"}
        rows = module.ledger(report)
        assert all(row.published == "none" for row in rows) if module is burda else all(row.holds is None for row in rows)


def test_results_of_an_older_version_are_refused_before_any_training(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "train", None)
    (tmp_path / "old.json").write_text(json.dumps({"models": {"VAE": {"mean": {}}}}))
    with pytest.raises(ValueError, match=r"old\.json: an older version measured VAE; choose another --out, or remove the file"):
        nll.main(nll.Options(out=tmp_path / "old.json"))


def test_a_capacity_of_0_can_be_measured_slowly():
    config = burgess.slowly(burgess.Options(capacities=(0.0, 25.0)), 0.0, 0)
    assert config.warmup_epochs == 1 and burgess.slowly(burgess.Options(), 25.0, 0).warmup_epochs == 27


def test_kingma_does_not_overwrite_a_run_with_other_options(monkeypatch):
    monkeypatch.setattr(kingma, "bound", lambda model, part: -100.0)
    train, test = (data.load_data("handwriting", split, "dynamic") for split in ("train", "test"))
    kingma.curve(kingma.Options(epochs=1, points=1), "mlp", 3, 0, train, test)
    before = Path("runs/kingma-mlp-3-0/weights.safetensors").read_bytes()
    assert kingma.curve(kingma.Options(epochs=1, points=1), "mlp", 3, 0, train, test)["test"] == -100
    with pytest.raises(ValueError, match="kingma-mlp-3-0: holds a run with other options; remove the folder or rename it"):
        kingma.curve(kingma.Options(epochs=2, points=1), "mlp", 3, 0, train, test)
    assert Path("runs/kingma-mlp-3-0/weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("module", [higgins, higgins_paper])
def test_too_few_points_are_refused_before_any_training(module, monkeypatch, capsys):
    monkeypatch.setattr(training, "train", None)
    for option, said in (("--dci", "dci is 1: expected 0, or at least 50"), ("--latent-dim", "latent_dim is 1: expected at")):
        with pytest.raises(SystemExit, match="2"):
            reproduce_run(module, [option, "1"])
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and said in err


@pytest.mark.thorough
def test_a_small_run_on_sprites(few_sprites, monkeypatch):
    """With few sprites, there is no table of all combinations: the metrics are replaced by fixed numbers."""
    f1 = dict.fromkeys((f"f1_{factor}" for factor in sprites.SIZES), 1.0)
    monkeypatch.setattr(higgins, "measure", lambda codes, *rest: f1 | {"higgins": float(codes.std() > 0), "mig": 0.1})
    monkeypatch.setattr(sprites, "COUNT", len(few_sprites[1]))
    line = ["--seeds", "0", "--epochs", "1", "--latent-dim", "3", "--out", "higgins.json"]
    for _ in range(2):
        reproduce_run(higgins, line)
        monkeypatch.setattr(training, "train_step", None)
    report = json.loads(Path("higgins.json").read_text())
    assert report["normalised"]["4"] == pytest.approx(4 * 3 / 784)
    assert [row["holds"] for row in report["ledger"]] == [None, None, None], "one seed decides nothing"
    names = {"PCA", "raw pixels", "untrained encoder", "beta = 0.191", "beta = 0.766", "beta = 1", "beta = 4"}
    assert report["representations"].keys() == names


def test_principal_components_are_those_of_the_pixels(few_sprites):
    codes, x = higgins.pca(4), higgins.pixels().astype(np.float64)
    _, values, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    assert_close(np.abs(codes), np.abs((x - x.mean(0)) @ axes[:4].T), 2e-3)
    assert_close((codes**2).sum(0) / values[:4] ** 2, np.ones(4), 1e-3)


def reproduce_run(module, line):
    """As its command would."""
    run("p", module.Options, module.main, line)


@pytest.mark.thorough
def test_the_iwae_may_follow_the_vae(few_digits):
    """--vae-epochs: the run starts with the parameters of the VAE's own run."""
    few = ["--source", "handwriting", *SMALL[nll]]
    reproduce_run(nll, [*few, "--epochs", "1", "--vae-epochs", "2", "--objective", "iwae", "--samples", "3", "--out", "n.json"])
    assert json.loads(Path("runs/nll-iwae-3-0/config.json").read_text())["start_from"] == "nll-vae-0"
    vae, config = (json.loads(Path("runs/nll-vae-0/config.json").read_text())[name] for name in ("epochs", "objective"))
    assert (vae, config) == (2, "elbo")
    reproduce_run(nll, [*few, "--epochs", "2", "--out", "n.json"])  # it would fail if the VAE's run were another one
    flow = ["--model", "flow-prior", "--epochs", "1", "--vae-epochs", "2", "--learning-rate", "1e-9"]
    reproduce_run(nll, [*few, *flow, "--out", "n.json"])
    learned, vae = (weight_files.load(Path(f"runs/nll-{name}-0")).state_dict() for name in ("vae-flow-prior", "vae"))
    assert all((learned[name] - tensor).abs().max() < 1e-5 for name, tensor in vae.items()), "it starts with the VAE's parameters"
    models = json.loads(Path("n.json").read_text())["models"]
    assert models["VAE, flow-prior"]["mean"]["parameters"] > models["VAE"]["mean"]["parameters"]
    assert models["IWAE-3"]["epochs"] == "2 of the VAE + 1" and models["VAE"]["epochs"] == 2


@pytest.mark.slow
@needs_mnist
def test_kingma_reduced():
    """Their network, 5 epochs: N_z = 200 within 4 nats of 20; from 3 to 5 to 10 the bound rises, by 5 nats in all.

    (After 2 epochs this did not hold: superfluous latents slow training, and 200 was 9 nats behind.)
    """
    options = ["--latents", "3", "5", "10", "20", "200", "--sampled", "5", "--epochs", "5", "--pictures", "."]
    monkey = pytest.MonkeyPatch()
    monkey.setattr(kingma, "NETWORKS", {"mlp": kingma.NETWORKS["mlp"]})
    monkey.setattr(kingma, "draw_bounds", lambda *_: None)
    reproduce_run(kingma, [*options, "--out", "k.json"])
    monkey.undo()
    ends = {int(n): r["mean"]["test"] for n, r in json.loads(Path("k.json").read_text())["bounds"]["mlp"].items()}
    assert ends[3] < ends[5] < ends[10] and ends[10] - ends[3] > 5 and ends[200] > ends[20] - 4, ends


@pytest.mark.slow
@needs_mnist
def test_burda_reduced():
    """2 epochs, one seed, the same images and noise: IWAE-5 is at least 0.2 nats below the VAE."""
    reproduce_run(burda, ["--seeds", "0", "--epochs", "2", "--nll-k", "200", "--subset", "100", "--out", "b.json"])
    models = {name: r["mean"] for name, r in json.loads(Path("b.json").read_text())["models"].items()}
    assert models["VAE, k = 1"]["nll"] - models["IWAE, k = 5"]["nll"] > 0.2, models


@pytest.mark.slow
def test_higgins_reduced():
    """1 epoch, one seed: every trained VAE is above chance by 0.2, and beta = 4 not below beta = 1 by more than 0.1."""
    reproduce_run(higgins, ["--seeds", "0", "--epochs", "1", "--train", "2000", "--test", "1000", "--out", "h.json"])
    found = {name: r["mean"]["higgins"] for name, r in json.loads(Path("h.json").read_text())["representations"].items()}
    assert min(value for name, value in found.items() if name.startswith("beta")) > 0.4, found
    assert found["beta = 4"] > found["beta = 1"] - 0.1, found


@pytest.mark.slow
@needs_mnist
def test_sohn_reduced():
    """2 epochs, a quadrant seen: the CVAE is at least 5 nats below the neighbours, and they 5 below pixels by themselves; with
    three seen it is below either baseline, by less."""
    some = ["--seen", "1", "3", "--seeds", "0", "--epochs", "2", "--k", "200", "--subset", "100"]
    reproduce_run(sohn, [*some, "--out", "s.json"])
    report = json.loads(Path("s.json").read_text())
    r = report["quadrants"]["1"]
    assert r["mean"]["cvae"] + 5 < r["neighbours"] < r["pixels"] - 5, r
    assert all(line["holds"] for line in report["ledger"]), report["ledger"]


@pytest.mark.slow
@needs_mnist
def test_burgess_reduced():
    """2 epochs, one seed: within 2 nats of C = 5 and 15; with gamma = 10 the larger C has a distortion 10 nats lower."""
    some = ["--gammas", "1000", "10", "--capacities", "5", "15", "--seeds", "0", "--epochs", "2", "--slow-seeds"]
    reproduce_run(burgess, [*some, "--out", "c.json"])
    gammas = json.loads(Path("c.json").read_text())["gammas"]
    assert max(r["mean"]["off"] for found in gammas.values() for r in found.values()) < 2, gammas
    low, high = (r["mean"]["distortion"] for r in gammas["10"].values())
    assert high < low - 10, (low, high)


@pytest.mark.slow
@needs_mnist
def test_nll_reduced():
    """2 epochs, one seed: an NLL below 100 nats, at least 2 nats below the negative ELBO; the best q comes closer."""
    reproduce_run(nll, ["--epochs", "2", "--k", "200", "--k-best", "100", "--binarisations", "2", "--out", "n.json"])
    mean = json.loads(Path("n.json").read_text())["models"]["VAE"]["mean"]
    assert mean["nll"] < 100 and mean["nll"] + 2 < -mean["elbo"], mean
    assert mean["nll"] - 4 < mean["nll_best"] < mean["nll"], mean


@pytest.mark.slow
@needs_mnist
def test_beta_reduced():
    """1 epoch, one seed: from beta = 0.1 to 1 to 10 the rate falls by 5 nats or more each time, the distortion rises by as
    much, and the ELBO is best at 1."""
    reproduce_run(beta, ["--betas", "0.1", "1", "10", "--seeds", "0", "--epochs", "1", "--out", "a.json", "--pictures", "."])
    low, one, high = (r["mean"] for r in json.loads(Path("a.json").read_text())["betas"].values())
    for less, more in ((low, one), (one, high)):
        assert more["rate"] < less["rate"] - 5 and more["distortion"] > less["distortion"] + 5, (less, more)
    assert one["elbo"] > max(low["elbo"], high["elbo"])


@pytest.mark.slow
@needs_mnist
def test_collapse_reduced(monkeypatch):
    """1 epoch, one seed, the autoregressive decoder: at most 2 units are active, with free bits at least 8, with beta annealed
    more than without."""
    cases = dict(list(collapse.CASES.items())[:3])
    monkeypatch.setattr(collapse, "CASES", cases)
    reproduce_run(collapse, ["--seeds", "0", "--epochs", "1", "--out", "b.json", "--pictures", "."])
    active = [r["mean"]["active_units"] for r in json.loads(Path("b.json").read_text())["cases"].values()]
    plain, free, annealed = active
    assert plain <= 2 and free >= 8 and annealed > plain, active


@pytest.mark.slow
@needs_mnist
def test_conditional_reduced():
    """2 epochs, one seed: a classifier finds the given label in 85 % of the samples."""
    reproduce_run(conditional, ["--seeds", "0", "--epochs", "2", "--out", "c.json", "--pictures", "."])
    assert json.loads(Path("c.json").read_text())["mean"]["agreement_x_hat"] > 0.85


@pytest.mark.slow
@needs_mnist
def test_vq_vae_reduced():
    """1 epoch each, one seed, 1,000 test images: the learned prior costs a fifth less than the table, and the bound is within
    40 nats of a VAE's."""
    few = ["--seeds", "0", "--vq-epochs", "1", "--prior-epochs", "1", "--images", "1000", "--samples", "200"]
    reproduce_run(vq_vae, [*few, "--out", "v.json", "--pictures", "."])
    mean = json.loads(Path("v.json").read_text())["mean"]
    assert mean["learned_prior"] < 0.8 * mean["table_prior"] < mean["uniform_prior"], mean
    assert mean["bound"] < mean["vae_bound"] + 40, mean


@pytest.mark.slow
@needs_mnist
def test_gaps_reduced():
    """2 epochs, 50 images: either gap is at least 1 nat, and at least two of its standard errors."""
    config = Config(name="few", latent_dim=32, epochs=2, source="mnist", likelihood="bernoulli", binarise="dynamic")
    training.train(config)
    reproduce_run(gaps, ["runs/few", "--images", "50", "--k", "200", "--steps", "150", "--out", "g.json"])
    found = json.loads(Path("g.json").read_text())["nats per image"]
    for value, error in (found["approximation"], found["amortisation"]):
        assert value > max(1, 2 * error), found
