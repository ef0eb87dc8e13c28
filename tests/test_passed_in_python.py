"""Models and data of the library, passed in Python: what is stored and advised is true, in any precision and shape."""

import dataclasses
import json
import math
import os
import signal
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vae_lowlevel.__main__
import vae_numpy.__main__
import vae_paper
from vae_numpy import weights
from vae_paper import Config, Subject, cuda_graph, devices, distributed, initial, models, run_config, runs, state_files, training
from vae_paper.drawing import plots
from vae_paper.drawing.figures import why_not
from vae_paper.drawing.sample import sample
from vae_paper.estimated_rate import EstimatedRate
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.measuring import classifier
from vae_paper.measuring.elbo import evaluating
from vae_paper.measuring.inference_gap import best_factorised
from vae_paper.measuring.inspect import inspect_run
from vae_paper.vae import Encoder

SHORT = {"batch_size": 16, "epochs": 2, "validation": 0.2, "latent_dim": 2}
DIGITS = vae_paper.load_data("handwriting", "train").subset(slice(0, 60))
BINARY = DIGITS.replace(images=DIGITS.images.round())


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_the_type_checker():
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def interrupted(config: Config, at_step: int = 1, **parts) -> str:
    """Train with a Ctrl-C after some steps; return what the run said."""

    def objective(terms):
        calls.append(1)
        if len(calls) == at_step:
            os.kill(os.getpid(), signal.SIGINT)
        return training.objectives.beta_loss(terms, 1.0)

    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "loss_of", lambda config, terms, at, own: objective(terms))
        with pytest.raises(KeyboardInterrupt) as stop:
            vae_paper.train(config, **parts)
    return str(stop.value)


@pytest.mark.thorough
def test_a_run_with_a_learned_scale_is_resumed_with_the_same_model():
    model = vae_paper.VAE(2, "learned-gaussian")
    interrupted(Config(name="scale", learning_rate=0.01, **SHORT), 3, model=model, data=DIGITS)
    assert model.log_sigma.exp().item() != pytest.approx(0.1, rel=1e-3)
    path = vae_paper.train(Config(name="scale", resume=True), model=model, data=DIGITS)
    assert (path / "weights.safetensors").is_file()


@pytest.mark.parametrize("parts", [{}, {"data": DIGITS}, {"model": vae_paper.VAE(2).double()}])
def test_the_advice_after_ctrl_c_can_be_followed(parts):
    config = Config(name="stopped", source="handwriting", batch_size=500, epochs=2, latent_dim=2, validation=0.0)
    said = interrupted(dataclasses.replace(config, batch_size=16) if "data" in parts else config, **parts)
    assert ("in Python, with the same arguments" in said) == bool(parts)
    assert ("python -m vae_paper train --name stopped --resume" in said) == (not parts)


def test_a_network_that_was_passed_must_be_passed_again():
    path = vae_paper.train(Config(name="wide", **SHORT), model=vae_paper.VAE(2, encoder=Encoder(2, width=6)), data=DIGITS)
    with pytest.raises(ValueError, match=r"needs vae_paper.vae.Encoder, which only your own code can build"):
        vae_paper.load(path)
    assert vae_paper.load(path, model=vae_paper.VAE(2, encoder=Encoder(2, width=6))).encoder.conv1.out_channels == 6


def test_inspect_names_the_own_objective():
    path = vae_paper.train(Config(name="own", **SHORT), data=DIGITS, objective=lambda terms: terms.distortion.mean())
    report = inspect_run(path, "handwriting", passes=1)
    assert "<lambda>" in report["trained_with"]["objective"]
    assert report["reductions"][-1]["kl"].endswith("batch of 16")


@pytest.mark.thorough
def test_a_run_in_float64_is_drawn_and_judged(tmp_path, monkeypatch):
    path = vae_paper.train(Config(name="double", **SHORT), model=vae_paper.VAE(2).double(), data=DIGITS)
    sample(path, tmp_path / "double.png", "aggregate", 4, source="handwriting")
    monkeypatch.setattr(classifier, "trained", lambda source: classifier.Classifier().eval())
    found = vae_paper.evaluate(vae_paper.load(path), DIGITS, passes=1, k=2, subset=2, drawn=20)
    assert np.isfinite(found["measures"]["frechet_distance"]["value"])


def picture_folder(size=(40, 20)) -> str:
    noise = np.random.default_rng(0).integers(0, 256, (20, *size[::-1], 3), dtype=np.uint8)
    os.mkdir("pictures")
    for index, pixels in enumerate(noise):
        Image.fromarray(pixels).save(f"pictures/{index}.png")
    return "folder:pictures"


def test_images_of_a_folder_may_be_wide():
    wide = vae_paper.load_data(picture_folder(), "train", shape=(3, 20, 40))
    assert wide.shape == (3, 20, 40)
    square = vae_paper.load_data("folder:pictures", "train", shape=(3, 20, 20))
    np.testing.assert_array_equal(wide.images[:, :, :, 10:30], square.images)  # the square is the wide image's central part


def test_the_shape_of_a_folder_that_was_passed_is_stored():
    data = vae_paper.load_data(picture_folder(), "train", shape=(1, 12, 12))
    path = vae_paper.train(Config(name="gray", batch_size=4, epochs=1, latent_dim=2), data=data)
    stored = json.loads((path / "config.json").read_text())
    assert (stored["image_size"], stored["image_channels"]) == (12, 1)
    again = vae_paper.train(Config(name="gray", resume=True))  # from the folder itself
    assert vae_paper.load(again).image_shape == (1, 12, 12)


def test_binarised_data_need_a_likelihood_of_binary_pixels():
    data = DIGITS.replace(binarisation="dynamic")
    with pytest.raises(ValueError, match="binary images need --likelihood bernoulli"):
        vae_paper.train(Config(name="bce", **SHORT), data=data)
    path = vae_paper.train(Config(name="binary", likelihood="bernoulli", **SHORT), data=data)
    assert json.loads((path / "config.json").read_text())["binarise"] == "dynamic"


def test_one_folder_may_be_written_in_two_ways():
    start = {"source": "folder:pictures", "validation": 0.1}
    assert initial._unseen(start, f"folder:{os.getcwd()}/pictures/", None) == 0.1
    assert initial._unseen(start, "folder:others", None) == 1.0


@pytest.mark.thorough
def test_a_start_with_the_default_width_spelled_out():
    vae_paper.train(Config(name="first", **SHORT), data=DIGITS)
    vae_paper.train(Config(name="second", width=32, start_from="first", **SHORT | {"validation": 0.1}), data=DIGITS)
    with pytest.raises(ValueError, match=r"conv1.weight is float32 \(32"):
        vae_paper.train(Config(name="third", width=8, start_from="first", **SHORT | {"validation": 0.1}), data=DIGITS)


def test_a_stored_configuration_without_epochs_is_refused():
    path = vae_paper.train(Config(name="run", **SHORT), data=DIGITS)
    stored = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(stored | {"epochs": None}))
    with pytest.raises(ValueError, match=r"config.json: epochs is missing"):
        vae_paper.train(Config(name="run", resume=True), data=DIGITS)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    monkeypatch.setenv("LOCAL_RANK", "2")
    distributed.take_device("cuda")  # no GPU at all: devices.check says so
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="there are 2; start at most 2 processes"):
        distributed.take_device("cuda")


def test_a_parameter_without_axes_is_refused(tmp_path):
    params, _ = weights.load(weights.PRETRAINED / "vae_mnist_d2.safetensors")
    weights.save_tensors(tmp_path / "w.safetensors", params | {"encoder.mu.weight": np.float32(1).reshape(())}, {})
    with pytest.raises(ValueError, match=r"encoder.mu.weight is \(\); expected"):
        weights.load(tmp_path / "w.safetensors")


def test_a_state_may_be_four_times_as_large_as_weights(monkeypatch):
    path = vae_paper.train(Config(name="run", **SHORT), data=DIGITS)
    monkeypatch.setattr(weights, "MOST_BYTES", 6_000_000)  # the state of this model takes 18 million bytes
    assert state_files.read_state(path / "state.safetensors")[1]["step"] == 6
    monkeypatch.setattr(weights, "MOST_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="expected at most 4,000,000"):
        state_files.read_state(path / "state.safetensors")


def test_a_picture_of_rates_needs_a_rate_of_each_latent():
    class OneRate(EstimatedRate):
        pictures = ("traversals", "rate")

    subject = Subject(OneRate(5), DIGITS)
    assert all("has 1 rates for 5 latents" in why_not(subject, kind) for kind in OneRate.pictures)
    assert why_not(Subject(vae_paper.VAE(5), DIGITS), "traversals") is None


def test_measures_use_eval_mode_and_restore_the_mode_of_each_part():
    model = vae_paper.VAE(2, decoder=nn.Sequential(nn.Linear(2, 784), nn.Dropout(0.5), nn.Unflatten(1, (1, 28, 28)))).train()
    model.encoder.eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert model.training and model.decoder[1].training and not model.encoder.training
    first, again = (best_factorised(model, DIGITS.images[:3], steps=2)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_a_prior_whose_vq_vae_has_own_data_needs_these_data():
    data = DIGITS.replace(source=vae_paper.data.OWN)
    vq = vae_paper.train(Config(name="vq", model="vq-vae", codes=8, **SHORT), data=data)
    with pytest.raises(ValueError, match=r"runs.prior: its images are data of your own; pass them in Python"):
        vae_paper.train(Config(name="prior", model="pixel-prior", codes_of=vq.name))
    assert not Path("runs/prior").exists()


def test_a_buffer_that_no_file_may_hold_is_refused_before_training():
    model = vae_paper.VAE(2)
    model.register_buffer("mask", torch.tensor(-torch.inf))
    with pytest.raises(ValueError, match="mask holds NaN or infinity"):
        vae_paper.train(Config(name="mask", **SHORT), model=model, data=DIGITS)
    assert not Path("runs/mask").exists()


def test_objectives_through_z_need_a_gaussian_q_before_any_run():
    for model, objective in [("iaf", "stl"), ("ladder", "dreg")]:
        with pytest.raises(ValueError, match="this objective needs a Gaussian q"):
            vae_paper.train(Config(name="refused", model=model, objective=objective))
    assert not Path("runs").exists()


def test_seen_pixels_do_not_decide_a_variance():
    with pytest.raises(ValueError, match="likelihood is optimal-gaussian: its variance is fitted to a batch, so the seen pixels"):
        models.build("quadrant-cvae", 2, "optimal-gaussian")


def test_an_own_objective_is_computed_in_float32():
    found = []

    def objective(terms):
        if terms.mu.requires_grad:
            found.append((terms.mu.T @ terms.mu).dtype)
        return training.objectives.beta_loss(terms, 1.0)

    vae_paper.train(Config(name="bf16", precision="bf16", **SHORT | {"epochs": 1}), data=DIGITS, objective=objective)
    assert set(found) == {torch.float32}


def test_all_pictures_skips_what_raises(capsys):
    gray = Subject(vae_paper.VAE(2, "bernoulli"), DIGITS.subset(slice(0, 12)))
    drawn = vae_paper.draw(gray, "all")
    assert "samples" in [path.stem for path in drawn] and "rate: not drawn: " in capsys.readouterr().err


def test_an_unknown_training_has_no_beta_in_its_caption():
    assert "β" not in Subject(vae_paper.VAE(2), DIGITS).caption("A picture")


def test_a_network_of_your_own_is_not_recorded_on_a_gpu():
    model = vae_paper.VAE(2, encoder=Encoder(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(0.1), capturable=True)
    assert "a network of your own" in cuda_graph.reason_against(model, optimizer, own_objective=False)


def test_twelve_classes_have_twelve_colours():
    assert len(set(plots._colours(np.arange(12)).values())) == 12


@pytest.mark.thorough
def test_a_map_takes_any_seed():
    drawn = vae_paper.draw(Subject(vae_paper.VAE(3), DIGITS, seed=-5_000_000_000), "scatter")
    assert drawn[0].is_file()


def test_a_model_on_another_device_is_drawn_on_the_cpu():
    model = vae_paper.VAE(2)
    assert devices.on_cpu(model) is model
    with pytest.raises(NotImplementedError, match="meta"):  # it is copied from its device; "meta" holds no numbers
        devices.on_cpu(vae_paper.VAE(2).to("meta"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pixels_of_a_continuous_bernoulli_have_the_right_mean(dtype):
    for logit in (-300.0, -60.0, -20.0, -1.0, -1e-3, 0.0, 0.5, 30.0):
        logits = torch.full((20_000,), logit, dtype=dtype)
        x = LIKELIHOODS["continuous-bernoulli"].draw(logits, torch.zeros(()), torch.Generator().manual_seed(0))
        exact = 1 / (1 - math.exp(-logit)) - 1 / logit if abs(logit) > 0.01 else 0.5 + logit / 12
        assert 0 <= x.min() <= x.max() <= 1
        assert abs(x.mean().item() - exact) < 5 * x.std().item() / len(x) ** 0.5, logit


def test_a_pixel_vae_without_a_likelihood_still_has_information():
    few = DIGITS.subset(slice(0, 30))
    measures = [
        vae_paper.evaluate(models.build(name, 2), few, passes=1, k=2, subset=2)["measures"] for name in ("vae", "pixel-vae")
    ]
    assert all({"mutual_information_low", "aggregate_kl_high"} <= found.keys() for found in measures)
    conditional = vae_paper.evaluate(models.build("quadrant-cvae", 2), few, passes=1, k=2, subset=2)["measures"]
    assert "mutual_information_low" not in conditional, "its prior depends on the image"


def test_a_negative_seed_is_refused_before_any_work():
    with pytest.raises(ValueError, match="seed is -1: expected at least 0"):
        vae_paper.evaluate(vae_paper.VAE(2), DIGITS, seed=-1)


def test_the_images_decide_their_shape():
    with pytest.raises(ValueError, match="model_arguments sets image_shape: the images decide it"):
        vae_paper.train(Config(name="ladder", model="ladder", model_arguments="image_shape=()"))


@pytest.mark.parametrize(
    ("options", "model", "said"),
    [
        ({"width": 64}, vae_paper.VAE(2), "width is 64 in the configuration, and 32 in the model"),
        ({"width": 64}, vae_paper.VAE(2, width=16), "width is 64 in the configuration, and 16 in the model"),
        ({"model": "iaf"}, vae_paper.VAE(2), "model is iaf in the configuration, and vae in the model"),
        ({"model_arguments": "inputs=50"}, models.build("vamp-prior", 2), "inputs is 50 in the configuration, and 200 in the"),
    ],
)
def test_a_configuration_that_contradicts_the_model_is_refused(options, model, said):
    with pytest.raises(ValueError, match=said):
        vae_paper.train(Config(name="refused", **SHORT, **options), model=model, data=DIGITS)
    assert not Path("runs/refused").exists()


def test_the_stored_command_says_that_parts_were_passed_in_python():
    path = vae_paper.train(Config(name="own", **SHORT), data=DIGITS)
    assert weights.load_tensors(path / "weights.safetensors")[1]["command"].endswith("  # in Python: parts were passed to train")


def test_a_run_without_its_state_is_not_overwritten():
    path = vae_paper.train(Config(name="done", **SHORT), data=DIGITS)
    (path / "state.safetensors").unlink()
    before = (path / "weights.safetensors").read_bytes()
    with pytest.raises(ValueError, match="already holds a run: choose another --name, or remove the folder"):
        vae_paper.train(Config(name="done", **SHORT | {"epochs": 1}), data=DIGITS)
    assert (path / "weights.safetensors").read_bytes() == before


def test_a_run_that_died_while_its_first_state_was_written_starts_again():
    config = Config(name="died", **SHORT | {"epochs": 1})
    path = vae_paper.train(config, data=DIGITS)
    (path / "state.safetensors").unlink()  # weights and one row of metrics.csv are there
    assert (vae_paper.train(config, data=DIGITS) / "state.safetensors").is_file()


def test_images_without_a_channel_axis_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"images \(60, 28, 28\): expected a 4-D shape"):
        vae_paper.train(Config(name="flat", **SHORT), data=DIGITS.replace(images=DIGITS.images[:, 0]))


def test_a_prior_is_not_validated_on_images_that_its_vq_vae_has_seen():
    vae_paper.train(Config(name="vq", model="vq-vae", codes=8, **SHORT), data=DIGITS)
    prior = Config(name="prior", model="pixel-prior", codes_of="vq", **SHORT)
    with pytest.raises(ValueError, match=r"validation is 0.5: .*vq.* was, or may have been, trained on this run's validation"):
        vae_paper.train(dataclasses.replace(prior, validation=0.5), data=DIGITS)
    larger = vae_paper.Data(torch.rand(60, 1, 32, 32), about="larger", source=vae_paper.data.OWN)
    with pytest.raises(ValueError, match=r"encoder.where is float32 \(2, 7, 7\)"):
        vae_paper.train(dataclasses.replace(prior, validation=0.0), data=larger)


@pytest.mark.parametrize(("stopped_in", "finishes"), [(1, False), (2, True)])
def test_ctrl_c_in_the_last_validation_does_not_stop_a_finished_run(stopped_in, finishes, monkeypatch):
    def validate(*arguments):
        epochs.append(1)
        if len(epochs) == stopped_in:
            os.kill(os.getpid(), signal.SIGINT)
        return really(*arguments)

    epochs, really = [], training.validate
    monkeypatch.setattr(training, "validate", validate)
    if finishes:
        assert (vae_paper.train(Config(name="late", **SHORT), data=DIGITS) / "weights.safetensors").is_file()
    else:
        with pytest.raises(KeyboardInterrupt, match="stopped after step 3, state saved"):
            vae_paper.train(Config(name="late", **SHORT), data=DIGITS)


@pytest.mark.parametrize("name", ["iaf", "flow-prior"])
def test_log_det_is_float32_under_bf16(name):
    model = models.build(name, 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    z, eps = DIGITS.images[:3], torch.ones(2, 3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        terms = model(z, eps)
    assert terms.log_weight.dtype == terms.rate.dtype == torch.float32
    numbers = torch.exp2(
        torch.floor(torch.log2(terms.rate.abs()))
    )  # bfloat16 has 8 bits: its numbers are multiples of this / 128
    assert not torch.equal(terms.rate, torch.round(terms.rate / numbers * 128) / 128 * numbers)


def test_a_second_gpu_becomes_the_current_one(monkeypatch):
    taken: list[str] = []
    monkeypatch.setattr(devices, "is_available", lambda device: device == "cuda:1")
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for device in ("cpu", "cuda", "cuda:7", "cuda:1"):
        distributed.take_device(device)
    assert taken == ["cuda:1"]


def test_a_name_with_dollars_is_no_formula_in_a_caption():
    data = DIGITS.replace(about="folder a$_$b, test split")
    assert r"a\$_\$b" in Subject(vae_paper.VAE(2), data).caption("x")


def test_infinity_is_refused_by_its_name():
    with pytest.raises(ValueError, match="beta is inf: expected at least 0, and finite"):
        vae_paper.train(Config(name="inf", beta=math.inf, **SHORT), data=DIGITS)


def test_arguments_that_can_be_given_are_named():
    with pytest.raises(ValueError, match="foo cannot be given to flow-prior; expected one of: couplings, hidden"):
        vae_paper.train(Config(model="flow-prior", model_arguments="foo=1"))
    with pytest.raises(ValueError, match="encoder cannot be given to vae; expected one of: none"):
        vae_paper.train(Config(model_arguments="encoder=x"))


def test_the_accuracy_of_samples_names_the_samples(monkeypatch):
    monkeypatch.setattr(classifier, "trained", lambda source: classifier.Classifier().eval())
    found = vae_paper.evaluate(models.build("cvae", 2), DIGITS, passes=1, k=2, subset=2, drawn=20)["measures"]
    assert (found["conditional_accuracy"]["images"], found["classifier_accuracy"]["images"]) == (20, 60)


def test_nothing_is_said_of_compressed_files_where_nothing_is_bounded():
    units = {
        name: vae_paper.evaluate(models.build(name, 2, "bernoulli"), BINARY, passes=1, k=2, subset=2)["units"]
        for name in ("vae", "ae")
    }
    assert "compress images without loss" in units["vae"] and units["ae"] == "nats of binary pixels"


def test_a_model_that_completes_images_says_which_command_draws(tmp_path):
    vae_paper.train(Config(name="quadrant", model="quadrant-cvae", **SHORT), data=DIGITS)
    with pytest.raises(ValueError, match="draws only the rest of a given image; use figures --kind completions"):
        sample("quadrant", tmp_path / "x.png")


def test_an_epoch_may_have_numbers_that_the_first_has_not():
    class Late(vae_paper.VAE):
        def end_epoch(self):
            calls.append(1)
            return {"late": 3.5} if len(calls) > 1 else {}

    calls: list[int] = []
    path = vae_paper.train(Config(name="late", **SHORT), model=Late(2), data=DIGITS)
    head, first, second = (path / "metrics.csv").read_text().splitlines()
    assert head.endswith(",late") and first.endswith(",") and second.endswith(",3.5")


def test_a_run_in_tf32_is_resumed_on_a_cpu_in_float32():
    path = vae_paper.train(Config(name="gpu", **SHORT), data=DIGITS)
    stored = json.loads((path / "config.json").read_text()) | {"device": "cuda", "precision": "tf32"}
    (path / "config.json").write_text(json.dumps(stored))
    if not torch.cuda.is_available():
        kept = run_config.stored_config(path, Config(name="gpu", resume=True))
        assert (kept.device, kept.precision) == ("cpu", "float32")
        state = {"step": 6, "loss": 0.0, "seconds": 1.5, "best": None, "rows": [], "config": stored}
        assert runs.progress_of(path, kept, state).step == 6


def test_an_objective_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="the loss is nan: all terms are finite; check your objective"):
        vae_paper.train(Config(name="nan", **SHORT), data=DIGITS, objective=lambda terms: torch.log(-terms.distortion).mean())


@pytest.mark.parametrize("level", [vae_numpy.vae, vae_lowlevel.vae])
def test_noise_of_another_dtype_is_refused_by_its_name(level):
    made = np.ones if level is vae_numpy.vae else lambda shape, dtype: torch.from_numpy(np.ones(shape, dtype))
    mu, eps = made((2, 3), np.float32), made((2, 3), np.float64)
    with pytest.raises(ValueError, match=r"mu is .*float32, logvar is .*float32, eps is .*float64: expected one dtype"):
        level.reparameterize(mu, mu, eps)


def test_level_1_measures_float64_weights_and_names_another_likelihood(tmp_path, capsys):
    params, header = weights.load(weights.PRETRAINED / "vae_mnist_d2.safetensors")
    path = tmp_path / "double.safetensors"
    weights.save(path, {name: p.astype(np.float64) for name, p in params.items()}, header | {"likelihood": "gaussian"})
    config = vae_numpy.__main__.Config(weights=path, source="handwriting", count=20, out=tmp_path / "x.png")
    vae_numpy.__main__.main(config)
    said = capsys.readouterr().out
    assert "trained with the likelihood gaussian; the loss here is mse" in said and "nats per image (mse)" in said
    assert [weights.kind_of(header | {"likelihood": name}) for name in ("bernoulli", "continuous-bernoulli", "mse")] == [
        "bce", "bce", "mse",
    ]  # fmt: skip
    assert weights.kind_of({}) == "bce"


@pytest.mark.usefixtures("without_the_type_checker")
def test_level_1_does_not_save_tensors(tmp_path):
    params = vae_lowlevel.vae.init_params(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"is a torch tensor; expected a NumPy array: tensor.detach\(\).numpy\(\)"):
        weights.save(tmp_path / "w", params, {})


def test_one_step_is_too_few_for_a_schedule():
    digits = vae_numpy.digits.load("handwriting")
    with pytest.raises(ValueError, match="1 steps, 1437 test images: expected at least 2"):
        vae_lowlevel.train.train(vae_lowlevel.train.Config(epochs=1, batch_size=1437), digits, digits)


def test_level_2_says_which_file_it_will_replace(tmp_path, capsys, monkeypatch):
    out = tmp_path / "w.safetensors"
    out.touch()
    monkeypatch.setattr("vae_lowlevel.__main__.train", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        vae_lowlevel.__main__.main(vae_lowlevel.train.Config(out=out, source="handwriting"))
    assert f"{out} will be replaced after the first epoch" in capsys.readouterr().out
    with pytest.raises(ValueError, match="epochs is 0"):
        vae_lowlevel.__main__.main(vae_lowlevel.train.Config(out=out, source="handwriting", epochs=0))
    assert "will be replaced" not in capsys.readouterr().out


def test_the_classifier_s_learning_rate_follows_the_steps_without_a_terminal(monkeypatch):
    at: list[float] = []
    one_cycle = classifier.schedules.one_cycle
    monkeypatch.setattr(classifier.schedules, "one_cycle", lambda progress: at.append(progress) or one_cycle(progress))
    classifier._train(vae_paper.load_data("handwriting", "train").subset(slice(0, 300)))  # 2 steps in each of 6 epochs
    np.testing.assert_allclose(at, np.arange(12) / 12)


def test_a_classifier_of_an_older_version_is_trained_again_on_request(tmp_path):
    judge = classifier.Classifier()
    vae_paper.weight_files.save_model(tmp_path / "old.safetensors", judge, {"model": "classifier"})
    with pytest.raises(ValueError, match="a classifier of an older version; delete the file"):
        classifier.read(tmp_path / "old.safetensors", judge)
