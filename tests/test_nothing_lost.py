"""A training that dies loses nothing: killed, out of disk, interrupted, poisoned with NaN, or started twice at once.

`make soak` does the same for longer; what is shared with it is in `benchmarks/soak`.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.soak import children, training
from vae_lowlevel import train as module2
from vae_lowlevel.__main__ import main as main2
from vae_lowlevel.train import Config as Config2
from vae_lowlevel.train import train as train2
from vae_numpy import digits, files, weights
from vae_numpy.command_line import run
from vae_paper import runs, state_files, weight_files
from vae_paper import training as train
from vae_paper.__main__ import Command, main
from vae_paper.config import Config
from vae_paper.vae import VAE, Terms


@pytest.fixture(autouse=True)
def few_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = training.few_digits()
    monkeypatch.setattr(runs, "load_data", lambda *ignored, **shape: few)


SMALL = Config(name="a", source="handwriting", latent_dim=1, batch_size=16, epochs=2)
STEPS = training.STEPS


@pytest.mark.thorough
def test_killed_at_any_moment_nothing_is_lost(tmp_path):
    report = training.kills(training.VQ, 5, tmp_path, seed=0)
    assert (report["tried"], report["survived"], report["lost"]) == (5, 5, [])
    assert report["runs compared"] >= 2


@pytest.mark.thorough
def test_on_a_full_disk_the_old_files_stay(tmp_path):
    """A limit that stops the weights, and one that stops the state, when the weights are written already."""
    report = training.full_disk(training.VQ, [100_000, 300_000], tmp_path)
    assert (report["tried"], report["survived"], report["lost"]) == (2, 2, [])


def test_killed_after_its_last_epoch_the_table_is_whole(tmp_path, monkeypatch):
    """The state is written last: what it says is finished is on disk, whatever came between."""
    monkeypatch.setattr(
        weight_files, "write_csv", lambda *ignored, **shape: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(OSError, match="No space left"):
        train.train(SMALL)
    assert (tmp_path / "runs/a/weights.safetensors").exists()
    assert not (tmp_path / "runs/a/state.safetensors").exists()


def test_what_a_killed_process_left_is_swept(tmp_path):
    ready, path = tmp_path / "ready", tmp_path / "new" / "w[1].safetensors"

    def writes_and_hangs():
        os.replace = lambda *ignored, **shape: (ready.touch(), time.sleep(600))
        weights.save_tensors(path, {"a": np.zeros(3)}, {})

    writer = children.started(writes_and_hangs)
    until = time.monotonic() + training.PATIENCE
    try:
        while not ready.exists() and time.monotonic() < until:
            time.sleep(0.01)
        (left,) = path.parent.iterdir()
        weights.save_tensors(path, {"a": np.zeros(3)}, {})
        assert left.exists()  # its process lives, and may be writing
    finally:
        os.kill(writer, signal.SIGKILL)
        children.ended(writer, training.PATIENCE)
    weights.save_tensors(path, {"a": np.zeros(3)}, {})
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["optimizer.0.exp_avg", "optimizer.99.step", "model.encoder.fc.bias"])
def test_a_state_that_does_not_fit_is_refused(name, tmp_path):
    train.train(dataclasses.replace(SMALL, epochs=1))
    path = tmp_path / "runs/a/state.safetensors"
    tensors, header = weights.load_tensors(path)
    weights.save_tensors(path, tensors | {name: np.zeros(3, np.float32)}, header)
    with pytest.raises(ValueError, match=f"state.safetensors: {name} is "):
        train.train(Config(name="a", resume=True))


def poisoned(what, at_step, monkeypatch):
    """Make the data, a parameter, the loss, or the last gradient of an epoch NaN at one step."""
    step, calls = train.train_step, []

    def train_step(config, model, optimizer, x, *rest):
        calls.append(1)
        if len(calls) == at_step + 1:
            if what == "data":
                x = x.clone()
                x[1, 0, 3, 4] = torch.nan
            if what == "parameters":
                model.decoder.fc1.weight.data[2, 0] = torch.inf
            if what == "loss":
                monkeypatch.setattr(train, "loss_of", lambda *ignored, **shape: torch.tensor(torch.nan))
        loss = step(config, model, optimizer, x, *rest)
        if what == "gradient" and len(calls) == at_step + 1:
            model.encoder.fc.bias.data[0] = torch.nan
        return loss

    monkeypatch.setattr(train, "train_step", train_step)


@pytest.mark.parametrize(
    ("what", "at_step", "said"),
    [
        ("data", STEPS + 1, f"step {STEPS + 1}: images hold NaN or infinity"),
        ("parameters", STEPS + 1, f"step {STEPS + 1}: the loss is .*not finite: distortion"),
        ("loss", STEPS + 1, f"step {STEPS + 1}: the loss is nan: all terms are finite"),
        ("gradient", 2 * STEPS - 1, f"step {2 * STEPS}: after epoch 2 these are not finite: validation_loss"),
        ("gradient", STEPS - 1, f"step {STEPS}: after epoch 1 these are not finite: validation_loss"),
    ],
)
def test_what_is_not_finite_stops_the_run_and_spoils_nothing(what, at_step, said, monkeypatch):
    first = {}
    if at_step >= STEPS:  # the files of the first epoch, as they must stay
        save = state_files.save_state

        def save_and_look(folder, *rest):
            save(folder, *rest)
            first.update({path.name: path.read_bytes() for path in folder.iterdir()})

        monkeypatch.setattr(state_files, "save_state", save_and_look)
    poisoned(what, at_step, monkeypatch)
    with pytest.raises(ValueError, match=f"runs/a: {said}.*what was saved before is intact"):
        train.train(SMALL)
    after = {path.name: path.read_bytes() for path in (weight_files.RUNS / "a").iterdir()}
    assert after == (first or {".lock": b"", "config.json": after["config.json"]})


@pytest.mark.parametrize("how", ["dynamic", "threshold"])
def test_nan_in_the_data_is_not_binarised_away(how, monkeypatch):
    """NaN > u is False: a spoiled pixel would be a black one."""
    few = training.few_digits()
    images = few.images.clone()
    images[:, 0, 14, 14] = torch.nan
    monkeypatch.setattr(runs, "load_data", lambda *ignored, **shape: few.replace(images=images, binarisation=how))
    with pytest.raises(ValueError, match="images hold NaN or infinity"):
        train.train(Config(**vars(SMALL) | {"likelihood": "bernoulli", "binarise": how}))


LEVEL_2 = ["--latent-dim", "1", "--batch-size", "8", "--epochs", "3", "--source", "handwriting", "--out", "runs/w.safetensors"]


@pytest.fixture
def level_2_until(monkeypatch):
    """Level 2 on 32 digits, 4 steps an epoch; `happens` is called with the parameters before one of its steps."""
    step, calls = module2.train_step, []
    data = digits.load("handwriting", "test")
    few = data._replace(images=data.images[:32], labels=data.labels[:32])
    monkeypatch.setattr(digits, "load", lambda *ignored, **shape: few)

    def until(at_step, happens):
        def train_step(params, *rest):
            calls.append(1)
            if len(calls) == at_step:
                happens(params)
            return step(params, *rest)

        monkeypatch.setattr(module2, "train_step", train_step)
        with pytest.raises(SystemExit) as stop:
            run("python -m vae_lowlevel", Config2, main2, LEVEL_2)
        return stop.value.code

    return until


def interrupt(params):
    raise KeyboardInterrupt


def poison(params):
    params["encoder.mu.bias"].data[0] = torch.nan


def fill_the_disk(params):
    def fsync(descriptor):
        raise OSError(28, "No space left on device")

    files.os.fsync = fsync


def test_what_level_2_has_printed_is_saved(level_2_until, capsys, monkeypatch):
    """The line of an epoch comes after its weights: whoever sees it, and stops there, keeps the epoch."""
    written = module2.tqdm.write
    monkeypatch.setattr(module2.tqdm, "write", lambda *said, **how: (_ for _ in ()).throw(KeyboardInterrupt))
    assert level_2_until(99, interrupt) == 130
    assert "holds the weights after epoch 1" in capsys.readouterr().err
    assert weights.load("runs/w.safetensors")[1]["epochs"] == 1
    monkeypatch.setattr(module2.tqdm, "write", written)


def test_level_2_names_a_test_objective_that_is_not_finite(level_2_until, capsys, monkeypatch):
    monkeypatch.setattr(module2, "measure", lambda *ignored: (float("nan"), 0.0))
    assert level_2_until(99, interrupt) == 2
    assert "step 4: the test objective is nan: lower --learning-rate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("happens", "code", "said"),
    [
        (interrupt, 130, "stopped; runs/w.safetensors holds the weights after epoch 2"),
        (poison, 2, "step 10: the loss is nan: lower --learning-rate; runs/w.safetensors holds the weights after epoch 2"),
        (
            fill_the_disk,
            2,
            "runs/w.safetensors: could not be written (No space left on device); what was there before is intact; free some "
            "space, or choose another disk",
        ),
    ],
)
def test_level_2_keeps_its_finished_epochs(happens, code, said, level_2_until, capsys, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", os.fsync)  # put back afterwards
    assert level_2_until(10, happens) == code
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m vae_lowlevel: {said}".replace("/", os.sep)
    params, header = weights.load("runs/w.safetensors")
    assert (header["epochs"], header["epochs_planned"], header["source"]) == (2, 3, "handwriting")
    assert all(np.isfinite(p).all() for p in params.values())


def test_level_2_stopped_in_its_first_epoch(level_2_until, capsys):
    assert level_2_until(3, interrupt) == 130
    assert "stopped; no epoch was finished, nothing saved" in capsys.readouterr().err
    assert not list(Path("runs").iterdir())


@pytest.mark.parametrize("what", ["folder", "file in the way", "link"])
def test_level_2_looks_at_its_target_before_it_trains(what, level_2_until, capsys):
    if what == "folder":
        Path("runs/w.safetensors").mkdir(parents=True)
    elif what == "link":
        Path("runs").mkdir()
        Path("runs/w.safetensors").symlink_to("elsewhere")
    else:
        Path("runs").write_text("")
    assert level_2_until(1, lambda params: pytest.fail("it trained")) == 2
    assert "w.safetensors: " in capsys.readouterr().err


def test_a_header_that_is_not_finite_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"w\.safetensors: not saved, because its header"):
        weights.save_tensors(tmp_path / "w.safetensors", {"a": np.zeros(3)}, {"test_objective": float("nan")})
    assert not list(tmp_path.iterdir())


def test_ctrl_c_at_the_command_line(tmp_path):
    """Exit code 130, the line that goes on, and a state inside the epoch."""
    folder = training.stopped(training.VQ, tmp_path / "stopped")
    step, wrong = training.look_at(folder / "runs/a")
    assert step >= STEPS and not wrong

    def interrupted():
        training.prepare(folder)
        train_step = train.train_step

        def once(*arguments):
            os.kill(os.getpid(), 2)
            return train_step(*arguments)

        train.train_step = once
        run("python -m vae_paper", Command, main, ["train", "--name", "a", "--resume"])

    code, said = children.said(interrupted, training.PATIENCE)
    if step < 4 * STEPS:
        assert code == 130
        line = said.replace("\r", "\n").rstrip("\n").split("\n")[-1]
        assert line == (
            f"python -m vae_paper: stopped after step {step + 1}, state saved; go on with: "
            "python -m vae_paper train --name a --resume"
        )
        assert training.look_at(folder / "runs/a") == (step + 1, [])


def test_two_runs_into_one_folder(tmp_path):
    """Refused while the first trains, and when it ended between the second's first look and its lock."""
    holder = [
        sys.executable,
        "-c",
        "import fcntl,sys; f=open('runs/a/.lock','w'); fcntl.flock(f,2); print(1,flush=True); input()",
    ]
    (tmp_path / "runs/a").mkdir(parents=True)
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match="another process or thread is training into this folder"):
            train.train(SMALL)
        other.communicate(b"\n")
    split = runs.split

    def split_meanwhile(*arguments):
        (weight_files.RUNS / "a/state.safetensors").write_bytes(b"the other's")
        return split(*arguments)

    runs.split, before = split_meanwhile, runs.split
    try:
        with pytest.raises(ValueError, match="already holds a run"):
            train.train(SMALL)
    finally:
        runs.split = before
    assert (weight_files.RUNS / "a/state.safetensors").read_bytes() == b"the other's"


def test_a_changed_configuration_is_not_resumed():
    """config.json has no checksum of its own; the state, which has one, knows what the run was started with."""
    folder = train.train(SMALL)
    path = folder / "config.json"
    kept = json.loads(path.read_text())
    for change, message in (
        ({"seed": 1}, "is not what the run was started with"),
        ({"learning_rate": "fast"}, r"config\.json: its configuration .*learning_rate is 'fast'; expected float"),
        ({"colour": 3}, "colour is not an option"),
        ({"name": "../b"}, "expected a plain folder name"),
        ({"epochs": -1}, "epochs is -1: expected more than 0"),
        ({"epochs": True}, "epochs is True; expected int"),
    ):
        path.write_text(json.dumps(kept | change))
        with pytest.raises(ValueError, match=message):
            train.train(Config(name="a", resume=True))
    path.write_text(json.dumps(kept)[:-5])
    with pytest.raises(ValueError, match=r"config\.json: damaged"):
        train.train(Config(name="a", resume=True))
    path.write_text(json.dumps({option: value for option, value in kept.items() if option != "start_from"}))
    assert train.train(Config(name="a", resume=True)) == folder  # an option that came later has its default


def test_same_seed_same_bits_in_another_process(tmp_path):
    """Levels 2 and 3, one thread: what a fresh process computes is equal to the last bit."""

    def digest():
        training.prepare(tmp_path)
        folder = train.train(Config(**vars(SMALL) | {"name": f"p{os.getpid()}"}))
        data = digits.load("handwriting", "test")
        few = data._replace(images=data.images[:32], labels=data.labels[:32])
        level2 = train2(Config2(latent_dim=1, batch_size=8, epochs=1), few, few)
        arrays = weights.load_tensors(folder / "weights.safetensors")[0] | {f"2.{n}": p.numpy() for n, p in level2.items()}
        return weights._digest(arrays, "")

    first, second = (children.answered(digest, tmp_path, training.PATIENCE) for _ in range(2))
    assert first == second


def test_numbers_that_are_not_real_are_not_saved(tmp_path):
    for array in (np.zeros(2, np.complex128), np.array(["a"]), np.array([{}])):
        with pytest.raises(ValueError, match=r"w\.safetensors: not saved, because w is .*; expected real numbers"):
            weights.save_tensors(tmp_path / "w.safetensors", {"w": array}, {})
    assert not (tmp_path / "w.safetensors").exists()


def test_terms_are_named():
    terms = Terms(torch.zeros(1, 2), torch.full((2, 3), torch.inf), torch.zeros(1, 2))
    assert train.not_finite(terms) == "not finite: rate"


@pytest.mark.thorough
def test_a_run_of_any_length_is_saved():
    """The header of a file is limited to 10 MB; the rows of 100,000 epochs take more, and lie elsewhere."""
    folder = train.train(dataclasses.replace(SMALL, epochs=1))
    path = folder / "state.safetensors"
    _, progress = state_files.read_state(path)
    model = VAE(1)
    optimizer = train.adamw(SMALL, model)
    rows = [row | {"epoch": epoch} for epoch in range(100_000) for row in progress["rows"]]
    assert len(json.dumps(rows)) > 2 * weights.MOST_HEADER
    state_files.save_state(folder, model, optimizer, progress | {"rows": rows})
    assert state_files.load_state(folder, model, optimizer)["rows"] == rows
    tensors, header = weights.load_tensors(path)
    for wrong in (b"[1, 2", b"\xff", b"[" * 100_000):
        weights.save_tensors(path, tensors | {"rows": np.frombuffer(wrong, np.uint8)}, header)
        with pytest.raises(ValueError, match="its rows are not JSON"):
            state_files.read_state(path)
