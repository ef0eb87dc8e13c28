"""The two parts of the inference gap: on a linear-Gaussian model both have a formula."""

import json

import pytest
import torch
from conftest import assert_close, thorough_but
from test_evaluator import ERRORS

from vae_numpy.command_line import run
from vae_paper import models, weight_files
from vae_paper.measuring.estimators import mean_of
from vae_paper.measuring.inference_gap import best_factorised, gaps
from vae_paper.reproduce.gaps import Options, main
from vae_paper.reproduce.oracle_models import LinearVAE


@pytest.mark.parametrize("correlated", thorough_but([False, True], True), ids=["diagonal", "correlated"])
def test_the_best_q_of_each_image_is_the_known_one(correlated):
    """q* = N(m, diag(1 / P_jj)), which leaves KL(q* || posterior) = ½ [Σ log P_jj - log det P]: nothing where P is diagonal."""
    model, known = LinearVAE(exact=False, correlated=correlated), LinearVAE(exact=True, correlated=correlated)
    data = model.drawn(20)
    mu, logvar = best_factorised(model, data.images)
    expected_mu, expected_logvar = known.encode(data.images)
    assert_close(
        (mu - expected_mu) / (expected_logvar / 2).exp(),
        torch.zeros(20, 3).double(),
        0.1 if correlated else 0.02,
        "mu, in posterior widths",
    )
    assert_close(logvar, expected_logvar, 0.25 if correlated else 0.02, "logvar")
    P = known.precision
    approximation = 0.5 * (P.diagonal().log().sum() - P.logdet()).item()
    assert approximation == pytest.approx(known.gap(data.images)[0].item(), abs=1e-9)
    assert (approximation > 0.4) if correlated else (approximation < 1e-9)
    found = gaps(model, data)
    expected = {"approximation": known.gap(data.images), "amortisation": model.gap(data.images) - known.gap(data.images)}
    for name, nats in expected.items():
        off = mean_of(getattr(found, name) - nats)
        assert abs(off.value) < ERRORS * off.standard_error + 0.01 and off.standard_error < 0.05, f"{name} is off by {off}"
    assert expected["amortisation"].mean() > 0.5
    assert_close(found.approximation + found.amortisation, found.log_p - found.elbo, 1e-9)


def test_a_model_without_labels_takes_data_of_any_number_of_classes():
    model = LinearVAE(exact=False, correlated=False)
    x, labels = model.drawn(20).images, torch.arange(20)  # 20 classes
    with_labels, without = best_factorised(model, x, labels, steps=3), best_factorised(model, x, steps=3)
    assert torch.equal(with_labels[0], without[0]) and torch.equal(with_labels[1], without[1])


def test_the_command(tmp_path, capsys):
    about = {
        "model": "cvae",
        "latent_dim": 2,
        "likelihood": "bernoulli",
        "config": {"source": "handwriting", "binarise": "dynamic", "likelihood": "bernoulli"},
    }
    weight_files.save_model(tmp_path / "w.safetensors", models.build("cvae", 2, "bernoulli"), about)
    out = tmp_path / "gaps.json"
    line = [str(tmp_path / "w.safetensors"), "--images", "3", "--k", "20", "--steps", "60", "--out", str(out)]
    run("p", Options, main, line)
    report = json.loads(out.read_text())
    nats = {name: value for name, (value, error) in report["nats per image"].items()}
    assert nats["log_p"] - nats["elbo"] == pytest.approx(nats["approximation"] + nats["amortisation"])
    assert nats["amortisation"] > 0 and len(report["chosen"]) == 3
    assert "IWAE-20" in report["is"] and "an estimate of log p(x|label) from below" in report["is"]
    assert f"{nats['amortisation']:9.3f}" in capsys.readouterr().out
    model = models.build("ae", 2)
    weight_files.save_model(tmp_path / "w.safetensors", model, {"model": "ae", "latent_dim": 2})
    for wrong, message in (
        (line, "AE defines no encode: it has no Gaussian q(z|x)"),
        ([*line, "--images", "1"], "images is 1: expected"),
    ):
        with pytest.raises(SystemExit) as stop:
            run("p", Options, main, wrong)
        printed = capsys.readouterr().err
        assert stop.value.code == 2 and printed.count("\n") == 1 and message in printed, printed
