"""The commands of each level do what they say, end to end, on the handwriting."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import thorough_but

import demo
from vae_lowlevel import __main__ as level2
from vae_lowlevel.train import Config as Config2
from vae_lowlevel.train import train as train2
from vae_numpy import __main__ as level1
from vae_numpy import checks, digits, vae, weights
from vae_numpy.__main__ import Config as Config1
from vae_numpy.command_line import command_of, run
from vae_paper import __main__ as level3
from vae_paper import download, runs, state_files, training, weight_files
from vae_paper.config import Config as Config3
from vae_paper.data import load_data

WITHOUT_TORCH = """
import runpy, sys
class NoTorch:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("torch", "torchvision", "sklearn"):
            raise ImportError(f"{name} was imported")
sys.meta_path.insert(0, NoTorch())
runpy.run_module("vae_numpy", run_name="__main__")
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_level_1_without_torch(tmp_path, pytestconfig):
    warnings = pytestconfig.getini("filterwarnings")[0]  # errors, but for the lowest versions
    command = [sys.executable, "-W", warnings, "-c", WITHOUT_TORCH, "--source", "handwriting", "--count", "40"]
    here = os.path.dirname(os.path.dirname(weights.__file__))
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": here})
    assert done.returncode == 0, done.stderr
    assert "the bundled handwriting, test split (360 images), the first 40" in done.stdout
    for term in ("ELBO", "reconstruction", "KL"):
        assert f"  {term}" in done.stdout
    assert (tmp_path / "runs/numpy/digits.png").stat().st_size > 10_000


def test_level_2_trains_and_all_levels_read_it(capsys):
    command = "--epochs 3 --latent-dim 3 --batch-size 64 --source handwriting --out w.safetensors"
    run("p", Config2, level2.main, command.split())
    said = capsys.readouterr().out
    assert said.count("test -ELBO") == 3
    _, header = weights.load("w.safetensors")
    assert header["command"] == f"python -m vae_lowlevel {command}"
    assert header["source"] == "handwriting"
    assert header["test_objective_is"].endswith("passes: 5; an objective, not a bound")
    assert "note     only 66 steps: a good model takes about 2,000. Raise --epochs or lower --batch-size." in said
    picture = said.splitlines()[-1].removeprefix("picture  python -m vae_numpy ").split()
    run("p", Config1, level1.main, [*picture, "--count", "20"])
    assert "the first 20, grayscale" in capsys.readouterr().out and os.path.getsize("runs/numpy/digits.png") > 5_000
    assert 150 < header["test_objective"] < 300
    few = ["--k", "1", "--subset", "2", "--source", "handwriting", "--json", "--publish", "p.safetensors"]
    run("p", level3.Command, level3.main, ["evaluate", "w.safetensors", *few])
    measures = json.loads(capsys.readouterr().out)["measures"]
    elbo = measures["elbo"]
    assert elbo["value"] == pytest.approx(-header["test_objective"], abs=0.5)  # other noise
    assert elbo["is"] == "z sampled 5 times; an objective, not a bound"
    assert elbo["value"] == pytest.approx(-measures["distortion"]["value"] - measures["rate"]["value"])
    published = weights.load("p.safetensors")[1]
    assert (published["test_objective"], published["test_data"]) == (-elbo["value"], elbo["data"])
    run("p", level3.Command, level3.main, ["sample", "w.safetensors", "--count", "12", "--out", "s.png"])
    assert os.path.getsize("s.png") > 5_000
    run("p", level3.Command, level3.main, ["sample", "w.safetensors", "--count", "3"])
    assert os.path.getsize("runs/figures/w/sample-prior.png") > 2_000


def test_level_2_chooses_its_steps_by_the_data():
    """About 2,000 steps on either data set; what is given is kept."""
    assert level2.epochs_and_batch_size(Config2(), 60_000) == (5, 128)
    assert level2.epochs_and_batch_size(Config2(), 1_437) == (40, 32)
    assert level2.epochs_and_batch_size(Config2(epochs=2), 1_437) == (2, 32)
    assert level2.epochs_and_batch_size(Config2(batch_size=200), 1_437) == (40, 200)
    for wrong in ({"epochs": 0}, {"batch_size": -1}, {"latent_dim": 0}, {"learning_rate": float("nan")}):
        with pytest.raises(ValueError, match="expected more than 0"):
            level2.epochs_and_batch_size(Config2(**wrong), 60_000)


@pytest.mark.slow
def test_the_defaults_of_level_2_give_a_good_model(tmp_path):
    """On the bundled handwriting: 135.8 nats and 16 active latents when this was written, 179 and none when it collapsed."""
    run("p", Config2, level2.main, ["--source", "handwriting", "--out", "w.safetensors"])
    params, header = weights.load("w.safetensors")
    assert header["test_objective"] < 138
    mu, _ = vae.encode(params, digits.load("handwriting", "test").images)
    assert (mu.var(0) > 0.01).sum() >= 10


@pytest.mark.parametrize("kind", ["bce", "mse"])
def test_level_1_measures_the_loss_that_was_trained(kind, capsys):
    params, x = vae.init_params(2, np.random.default_rng(0)), digits.load("handwriting", "test").images[:3]
    weights.save("w.safetensors", params, {"model": "vae", "likelihood": kind})
    run("p", Config1, level1.main, ["--weights", "w.safetensors", "--source", "handwriting", "--count", "3"])
    said = capsys.readouterr().out
    eps = np.random.default_rng(0).standard_normal((3, 2), dtype=np.float32)
    assert f"nats per image ({kind})" in said
    assert float(said.split("  ELBO")[1].split()[0]) == pytest.approx(vae.elbo(params, x, eps, kind).mean(), abs=0.006)


def test_one_image_has_no_standard_error(capsys):
    """Two have one: |a - b| / 2, the sample's standard deviation over the root of 2."""
    for count in (1, 2):
        run("p", Config1, level1.main, ["--source", "handwriting", "--count", str(count)])
    said = capsys.readouterr().out
    assert said.count("(no standard error: one image)") == 3 and " 0.00" not in said
    assert level1.standard_error(np.array([1.0, 4.0])) == "1.50"
    assert level1.standard_error(np.array([1.0])) == "(no standard error: one image)"


def test_same_seed_same_weights():
    data, test = digits.load("handwriting"), digits.load("handwriting", "test")
    once, again, other = (train2(Config2(latent_dim=3, seed=seed), data, test, steps=12) for seed in (1, 1, 2))
    for name in once:
        assert torch.equal(once[name], again[name])
        assert not torch.equal(once[name], other[name])


def small(**options):
    return Config3(source="handwriting", latent_dim=3, batch_size=10, epochs=2, **options)


@pytest.fixture(autouse=True, scope="module")
def few_digits_for_level_3():
    """145 digits, of which 12 are for validation: 13 steps an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_data", lambda *options, **shape: load_data(*options, **shape).subset(slice(145)))
        yield


@pytest.fixture(scope="module")
def whole(few_digits_for_level_3, tmp_path_factory):
    """The folder of a run that nothing interrupted; of which a test takes a copy, where it does something to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("whole"))
        return training.train(small(name="whole")).absolute()


def test_level_3_trains(whole):
    assert sorted(p.name for p in whole.iterdir()) == [
        ".lock", "config.json", "metrics.csv", "state.safetensors", "weights.safetensors",
    ]  # fmt: skip
    rows = (whole / "metrics.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,step,seconds,loss,validation_loss,validation_elbo")
    assert len(rows) == 3
    params, header = weights.load(whole / "weights.safetensors")
    assert header["data"] == "133 images of the bundled handwriting, train split (1,437 images), grayscale"
    assert checks.check_params(params) == 3


@pytest.mark.parametrize("stop_at", thorough_but([1, 13, 17], 17))  # 13 steps an epoch: at the start, between epochs, inside one
def test_interrupted_and_resumed_is_never_stopped(stop_at, whole, monkeypatch):
    step = training.train_step
    calls = []

    def interrupted_step(*arguments):
        calls.append(1)
        if len(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)  # the middle of a step: it must be finished first
        return step(*arguments)

    monkeypatch.setattr(training, "train_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt, match="go on with: python -m vae_paper train --name parts --resume"):
        training.train(small(name="parts"))
    parts = training.train(Config3(name="parts", resume=True))
    assert len(calls) == 26
    for file in ("weights.safetensors", "state.safetensors"):
        a, b = (state_files.read_state(folder / file)[0] for folder in (whole, parts))
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], name)
    losses = [[row.split(",")[3:] for row in (f / "metrics.csv").read_text().splitlines()] for f in (whole, parts)]
    assert losses[0] == losses[1]


def test_tensorboard_that_is_not_there_is_missed_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # what is None cannot be imported
    with pytest.raises(ValueError, match=r"tensorboard is not installed: pip install 'vae-levels\[tensorboard\]'"):
        training.train(small(name="a", tensorboard=True))
    assert not list(tmp_path.iterdir())


def test_resume_keeps_the_runs_own_configuration(whole):
    shutil.copytree(whole, "runs/whole")
    with pytest.raises(ValueError, match=r"beta is 4\.0, but .*whole was started with 1\.0"):
        training.train(Config3(name="whole", beta=4.0, resume=True))


def test_a_second_run_into_one_folder_is_refused():
    with runs.locked(weight_files.RUNS / "a"), pytest.raises(ValueError, match="another process or thread is training"):
        training.train(small(name="a"))


def test_a_finished_run_is_not_overwritten(whole):
    folder = shutil.copytree(whole, weight_files.RUNS / "whole")
    before = (folder / "weights.safetensors").read_bytes()
    with pytest.raises(ValueError, match="already holds a run: go on with --resume, choose another --name"):
        training.train(small(name="whole", seed=1))
    (folder / "config.json").unlink()  # as if another command had written the weights: they cannot be resumed
    with pytest.raises(ValueError, match="already holds a run: choose another --name"):
        training.train(small(name="whole", seed=1))
    assert (folder / "weights.safetensors").read_bytes() == before


def test_a_term_that_is_not_finite_stops_training_and_spoils_nothing(whole, monkeypatch):
    """NaN gets into a parameter in the second epoch: the first one's files stay, and training can go on from them."""
    step, calls = training.train_step, []

    def step_with_nan(config, model, *rest):
        calls.append(1)
        if len(calls) == 16:
            model.encoder.mu.bias.data[1] = np.nan
        return step(config, model, *rest)

    monkeypatch.setattr(training, "train_step", step_with_nan)
    with pytest.raises(ValueError, match="step 15: the loss is nan: not finite: distortion, rate, log_weight"):
        training.train(small(name="broken"))
    broken = training.train(Config3(name="broken", resume=True))
    for file in ("weights.safetensors", "state.safetensors"):
        a, b = (state_files.read_state(folder / file)[0] for folder in (broken, whole))
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], name)


@pytest.mark.parametrize(
    "config",
    [
        Config2(epochs=7, kind="mse", learning_rate=1e-4, source="$HOME;'", out=Path("my runs/w")),
        Config3(model="vq-vae", codes=8, restart=False, tensorboard=True),
        Config3(model="pixel-prior", codes_of="vq", class_conditional=True, resume=True),
    ],
)
def test_the_spelled_command_gives_the_configuration_back(config):
    seen = []
    run("p", type(config), seen.append, shlex.split(command_of("p", config))[1:])
    assert seen == [config]


FAILURES = {
    "no network": ("raise OSError('Name or service not known')", "MNIST could not be downloaded .*Is this machine online"),
    "silence": ("import time; time.sleep(60)", "did not arrive within 0.5 seconds; nothing was kept"),
    "foreign torchvision": ("raise RuntimeError('operator torchvision::nms does not exist')", "must fit torch's version"),
    "wrong bytes": (
        "import sys, pathlib; p = pathlib.Path(sys.argv[2], 'MNIST/raw'); p.mkdir(parents=True); "
        "[(p / f'{s}-{k}-ubyte.gz').write_bytes(b'no') for s in ('train', 't10k') for k in ('images-idx3', 'labels-idx1')]",
        "damaged or not an IDX file",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_download_leaves_nothing(failure, monkeypatch, tmp_path):
    code, message = FAILURES[failure]
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "FETCH", code)
    with pytest.raises(ValueError, match=message) as error:
        download.download("mnist", seconds=0.5 if failure == "silence" else 60.0)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "data").iterdir()) == []


def test_help_is_short_and_complete(capsys):
    for prog, config in (("python -m vae_paper", level3.Command), ("python -m vae_lowlevel", Config2)):
        with pytest.raises(SystemExit) as stop:
            run(prog, config, lambda c: None, ["--help"])
        assert stop.value.code == 0
        assert prog in capsys.readouterr().out


def test_the_demo_takes_enough_steps_on_a_slow_machine_and_sees_its_folder_first(monkeypatch, tmp_path, capsys):
    """A machine that is busy for a moment would take 25 steps in 25 seconds, and most latents would be collapsed."""
    now = iter(range(10_000))
    monkeypatch.setattr(demo.time, "perf_counter", lambda: float(next(now)))
    few = digits.load("handwriting")
    assert demo.steps_within(25, Config2(latent_dim=1, batch_size=1), few) == demo.LEAST_STEPS
    (tmp_path / "runs").write_text("not a folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "train", lambda *ignored, **shape: pytest.fail("trained"))
    with pytest.raises(SystemExit) as stop:
        run("python demo.py", demo.Demo, demo.main, [])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and "cannot be written" in said, said
