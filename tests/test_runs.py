"""A run remembers its data, keeps its bits when it is renamed or moved, and trains on every platform and in a thread."""

import dataclasses
import importlib
import json
import os
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_numpy import digits, weights
from vae_numpy.command_line import run
from vae_numpy.figures import image_rows
from vae_paper import devices, likelihoods, models, runs, weight_files
from vae_paper.__main__ import Command, main
from vae_paper.config import Config
from vae_paper.data import Data, data_of, load_data
from vae_paper.drawing.figures import draw
from vae_paper.drawing.sample import sample
from vae_paper.drawing.subject import Subject, caption
from vae_paper.training import train

WHOLE = load_data("handwriting", "train").subset(slice(60))
FEW = WHOLE.replace(images=WHOLE.images[..., 4:24, 6:22])  # small images: a step takes a moment
SMALL = Config(name="a", latent_dim=2, batch_size=16, epochs=2, validation=0.2)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "load_data", lambda *ignored, **shape: FEW)


def stopped(at_step: int = 1, name: str = "a"):
    """The folder of a run that was interrupted after a step."""
    step = importlib.import_module("vae_paper.training").train_step
    calls = []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == at_step:
            os.kill(os.getpid(), 2)
        return step(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae_paper.training.train_step", interrupting)
        with pytest.raises(KeyboardInterrupt):
            train(dataclasses.replace(SMALL, name=name, source="handwriting"))
    return weight_files.RUNS / name


def tensors(folder):
    return weights.load_tensors(folder / "weights.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_run_is_not_resumed_on_other_images(monkeypatch):
    stopped()
    other = FEW.replace(images=FEW.images.flip(0), about="60 other images")
    monkeypatch.setattr(runs, "load_data", lambda *ignored, **shape: other)
    with pytest.raises(ValueError, match=r"runs/a was trained on 48 images of .*, and the data are now: 48 images of 60 other"):
        train(Config(name="a", resume=True))


def test_auto_is_resolved_when_the_run_begins(monkeypatch):
    """Where MNIST appears later, the run goes on with the source that it began with."""
    monkeypatch.setattr(digits, "is_on_disk", lambda source, folder=None: False)
    folder = train(dataclasses.replace(SMALL, source="auto"))
    assert json.loads((folder / "config.json").read_text())["source"] == "handwriting"
    header = tensors(folder)[1]
    assert header["source"] == "handwriting" and header["config"]["source"] == "handwriting" and len(header["digest"]) == 64


@pytest.mark.parametrize(
    ("about", "source"),
    [
        ({"source": "handwriting", "data": "MNIST"}, "handwriting"),
        ({"config": {"source": "handwriting"}}, "handwriting"),
        ({"data": "1,437 images of the bundled handwriting, train split", "model": "vae"}, "handwriting"),  # of level 2, older
        ({"data": 5}, None),
    ],
)
def test_a_model_is_measured_on_the_kind_of_data_that_it_was_trained_on(about, source):
    assert data_of(about, "test").source == source or source is None


def test_a_renamed_run_goes_on_to_the_same_bits():
    whole = train(dataclasses.replace(SMALL, name="whole", source="handwriting"))
    shutil.move(stopped(), weight_files.RUNS / "b")
    again = train(Config(name="b", resume=True))
    assert same(tensors(again)[0], tensors(whole)[0])


def test_a_run_moves_to_another_device():
    """A run that was begun on a GPU is resumed where there is none."""
    folder = stopped()
    state, header = weights.load_tensors(folder / "state.safetensors")
    header["config"]["device"] = "cuda:7"
    weights.save_tensors(folder / "state.safetensors", state, header)
    (folder / "config.json").write_text(json.dumps(header["config"]))
    train(Config(name="a", resume=True))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"own": 3}, "own is"),
        ({"describes": 3}, "does not say how"),
        ({"describes": {"made_with": 3}}, "does not say how"),
        ({"step": 1_000_000}, "that is impossible for this run"),
    ],
)
def test_a_header_of_other_types_is_refused(wrong, says):
    """Its checksum is right: somebody wrote it so."""
    folder = stopped()
    state, header = weights.load_tensors(folder / "state.safetensors")
    weights.save_tensors(folder / "state.safetensors", state, header | wrong)
    with pytest.raises(ValueError, match=f"{says}|own parts 3"):
        train(Config(name="a", resume=True))
    weights.save_tensors(folder / "w.safetensors", {}, {"model": "vae"} | wrong)
    if "own" in wrong:
        with pytest.raises(ValueError, match=says):
            weight_files.load(folder / "w.safetensors")


def test_control_characters_of_a_header_are_not_drawn():
    words = caption("Samples", models.build("vae", 2), {"model": "vae", "data": "\x1b[31mred\x07" + "x" * 300_000})
    assert "trained on [31mred xxx" in words and "\x1b" not in words and len(words) < 400


def test_the_header_of_a_resumed_run_is_that_of_one_never_stopped():
    whole = train(dataclasses.replace(SMALL, name="a", source="handwriting"))
    expected, header = tensors(whole)
    shutil.rmtree(whole)
    stopped()
    again = train(Config(name="a", resume=True))
    assert same(tensors(again)[0], expected)
    assert tensors(again)[1] == header and "--resume" not in header["command"]


def test_a_finished_run_that_is_resumed_says_that_it_is_finished(capsys):
    config = dataclasses.replace(SMALL, name="done", epochs=1)
    before = tensors(train(config))
    assert "finished" not in capsys.readouterr().err
    again = train(Config(name="done", resume=True))
    assert "runs/done: this run is finished, nothing is trained" in capsys.readouterr().err.replace("\\", "/")
    assert same(tensors(again)[0], before[0])


def test_a_name_with_a_space_is_quoted_in_the_command():
    folder = train(dataclasses.replace(SMALL, name="my run", epochs=1))
    assert "--name 'my run'" in tensors(folder)[1]["command"]


def test_training_in_a_thread():
    """Signals reach the main thread only; a thread trains without them."""
    found = []
    thread = threading.Thread(target=lambda: found.append(train(SMALL)))
    thread.start()
    thread.join()
    assert same(tensors(found[0])[0], tensors(train(dataclasses.replace(SMALL, name="b")))[0])


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (weight_files.RUNS / "a").mkdir(parents=True)
    (weight_files.RUNS / "a/.lock").symlink_to(victim)
    with pytest.raises(ValueError, match=r"\.lock: is a link"):
        train(SMALL)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["weights.safetensors", "metrics.csv", "state.safetensors"])
def test_a_file_that_cannot_be_written_is_seen_before_training(name, monkeypatch):
    (weight_files.RUNS / "a").mkdir(parents=True)
    (weight_files.RUNS / "a" / name).symlink_to("elsewhere")  # a dangling link: nothing is in the folder yet
    monkeypatch.setattr("vae_paper.training.steps", lambda *ignored, **shape: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=f"{name}: is a symbolic link; expected a regular file"):
        train(SMALL)


def test_without_fcntl_and_without_the_private_operator(monkeypatch):
    """Windows has no fcntl, macOS no mkldnn: nothing of level 3 needs them."""
    monkeypatch.setitem(sys.modules, "fcntl", None)  # what is None cannot be imported
    for name in [name for name in sys.modules if name.startswith("vae_paper") and not name.endswith("reproduce")]:
        source = getattr(sys.modules[name], "__file__", None)
        assert source is None or "import fcntl" not in Path(source).read_text(encoding="utf-8"), name
    monkeypatch.delattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", raising=False)
    devices.check("cpu", "bf16")


@pytest.mark.parametrize("device", ["meta", "nowhere"])
def test_devices_without_values(device):
    with pytest.raises(ValueError, match=f"device is '{device}': not available here"):
        train(dataclasses.replace(SMALL, device=device))


def test_few_steps_are_said_and_few_images_get_more_of_them(capsys):
    folder = train(Config(name="a", latent_dim=2, epochs=1, source="handwriting"))
    assert "only 1 steps" in capsys.readouterr().err  # 55 images, in batches of 32
    assert json.loads((folder / "config.json").read_text())["batch_size"] == 32


def test_pictures_that_cannot_be_drawn_are_skipped(tmp_path, capsys):
    """A collapsed model: mu is the same for every image, so there is nothing to project; the other pictures are drawn."""
    model = models.build("vae", 3).eval()
    with torch.no_grad():
        model.encoder.mu.weight.zero_()
    one_class = Data(WHOLE.images, torch.zeros(60, dtype=torch.int64), "one class")
    drawn = {path.stem for path in draw(Subject(model, one_class), folder=tmp_path)}
    assert drawn == {"reconstructions", "samples", "traversals", "interpolation", "rate"}
    assert "scatter: not drawn: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["epoch,loss\n1,2,3\n", "epoch\nx\n", "\ufeffepoch,loss\n1,2\n2\n"])
def test_a_damaged_table_of_metrics_is_one_line(text, tmp_path, capsys):
    folder = train(dataclasses.replace(SMALL, epochs=1))
    (folder / "metrics.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        run("p", Command, main, ["figures", "a", "--kind", "curves", "--source", "handwriting"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "metrics.csv: no table of numbers" in said


def test_gray_values_between_the_levels_are_refused():
    x, scale = torch.tensor([0.1001]), torch.tensor(0.0)
    with pytest.raises(ValueError, match="no multiple of 1/255"):
        likelihoods.discretised_logistic(torch.zeros(1), x, scale)
    with pytest.raises((ValueError, TypeError), match="log_sigma"):
        likelihoods.gaussian(torch.zeros(1), x, scale[None])
    perfect = torch.full((1, 1, 2, 2), 0.5)
    assert torch.isfinite(likelihoods.optimal_gaussian(torch.zeros(1, 1, 2, 2), perfect, scale)).all()


def test_noise_of_a_wrong_rank_is_named():
    with pytest.raises((ValueError, TypeError), match=r"eps"):
        models.build("vae", 20)(FEW.images[:16], torch.randn(16, 20))


def test_a_common_offset_does_not_change_the_nearest_code():
    from vae_paper.models.vq_vae import nearest

    generator = torch.Generator().manual_seed(0)
    z, codes = torch.randn(500, 4, generator=generator), torch.randn(64, 4, generator=generator)
    assert (nearest(z + 1000, codes + 1000) == nearest(z, codes)).float().mean() > 0.99


def test_a_start_from_a_part_of_the_images_may_have_seen_any_of_them():
    """The order in which images are held out depends on their number."""
    train(dataclasses.replace(SMALL, name="part"), data=FEW.subset(slice(40)).replace(source="handwriting"))
    train(dataclasses.replace(SMALL, name="all", source="handwriting"))
    after = dataclasses.replace(SMALL, name="after", source="handwriting")
    with pytest.raises(
        ValueError, match=r"was, or may have been, trained on this run's validation images; expected at most 0\.0"
    ):
        train(dataclasses.replace(after, start_from="part"))
    train(dataclasses.replace(after, start_from="all"))


@pytest.mark.parametrize("name", ["sub/a", "../a", "/elsewhere/a"])
def test_a_run_is_not_resumed_under_a_name_that_no_run_may_have(name):
    """The name is written into every file of the run, and nothing could read these files again."""
    stopped()
    before = (weight_files.RUNS / "a/config.json").read_bytes()
    with pytest.raises(ValueError, match=r"expected a plain folder name"):
        train(Config(name=name, resume=True))
    assert (weight_files.RUNS / "a/config.json").read_bytes() == before


def test_a_dollar_in_a_caption_is_a_dollar(tmp_path):
    """matplotlib takes what is between two of them for a formula; this one would be an error."""
    subject = Subject(models.build("vae", 2), WHOLE, {"model": "vae", "data": r"price $\\frac{$"})
    assert caption("Samples", subject.model, subject.about).count(r"\$") == 2
    draw(subject, "samples", tmp_path)
    image_rows(tmp_path / "rows.png", {"x": WHOLE.images[:3].numpy()}, r"price $\\frac{$")
    assert {path.name for path in tmp_path.glob("*.png")} >= {"rows.png"}


def test_a_sampler_that_needs_the_training_images_gets_them_or_says_so(tmp_path, monkeypatch):
    """The run had 60 images; the source has others now. Named on the command line, any source may serve."""
    monkeypatch.setattr(runs, "load_data", lambda *ignored, **shape: WHOLE)
    path = train(dataclasses.replace(SMALL, source="handwriting"))
    with pytest.raises(ValueError, match=r"was trained on 48 images of .*, and the data are now: .*; choose a --source"):
        sample(path, tmp_path / "s.png", "aggregate", 10)
    sample(path, tmp_path / "s.png", "aggregate", 10, source="handwriting")
    assert (tmp_path / "s.png").stat().st_size > 5000
