"""Every picture shows what it says: the numbers behind it, and that nothing of it is cut off."""

import csv
import re
from pathlib import Path
from statistics import NormalDist
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from conftest import thorough_but
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from vae_numpy import weights
from vae_numpy.command_line import run
from vae_paper import __main__ as level3
from vae_paper import models, training, weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.drawing import figures, latent_space, pictures, plots
from vae_paper.drawing.animation import moments, replay
from vae_paper.drawing.figures import draw
from vae_paper.drawing.subject import Subject, read
from vae_paper.sampling import interpolation, samplers

MADE = {"ae": 2, "cvae": 3, "quadrant-cvae": 3, "pixel-vae": 3, "vae": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`flat`, a VAE of 2-D that was trained for three steps, and a weight file of every other model, as it is at first."""
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "RUNS", folder)
        options = {"latent_dim": 2, "epochs": 1, "batch_size": 90, "validation": 0.8, "source": "handwriting", "beta": 2.0}
        training.train(Config(name="flat", **options))
    for name, latent_dim in MADE.items():
        binary = name == "pixel-vae"
        config = {"source": "handwriting", "beta": 1.0, "binarise": "none", "likelihood": "bce"}
        config |= {"binarise": "dynamic", "likelihood": "bernoulli"} if binary else {}
        model = models.build(name, latent_dim, "bernoulli" if binary else "bce")
        weight_files.save_model(folder / f"{name}.safetensors", model, weight_files.describe(model) | {"config": config})
    return folder


def subject(folder: Path, name: str, **options) -> Subject:
    return read(folder / (name if name == "flat" else f"{name}.safetensors"), **options)


def captured(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple]:
    """The calls of plots.NAME, which then draws nothing."""
    calls: list[tuple] = []
    monkeypatch.setattr(plots, name, lambda *arguments, **options: calls.append((*arguments, *options.values())))
    return calls


def x_hat(model, z, labels=None) -> np.ndarray:
    with torch.no_grad():
        return torch.sigmoid(model.decode(torch.as_tensor(z, dtype=torch.float32), labels)).numpy()


def test_the_manifold_is_even_in_probability() -> None:
    z = plots.manifold_latents(7).reshape(7, 7, 2)
    p = np.vectorize(NormalDist().cdf)(z)
    even = (np.arange(7) + 0.5) / 7
    np.testing.assert_allclose(p[..., 0], np.tile(even, (7, 1)), atol=1e-12)
    np.testing.assert_allclose(p[..., 1], np.tile(even[::-1, None], 7), atol=1e-12)  # upwards


def test_traversals_are_ordered_by_kl(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "vae", image=3)
    costs = torch.tensor([0.5, 3.0, 0.1, 2.0, 1.0])
    with torch.no_grad():
        shown.model.encoder.mu.weight.zero_()
        shown.model.encoder.logvar.weight.zero_()
        shown.model.encoder.logvar.bias.zero_()
        shown.model.encoder.mu.bias.copy_((2 * costs).sqrt())  # KL = mu² / 2
    calls = captured(monkeypatch, "grid")
    draw(shown, "traversals", tmp_path)
    [(_, images, caption, rows, columns, *_)] = calls
    assert rows == ["$z_{2}$: 3.00 nats", "$z_{4}$: 2.00 nats", "$z_{5}$: 1.00 nats", "$z_{1}$: 0.50 nats", "$z_{3}$: 0.10 nats"]
    assert (columns[0], columns[5], columns[-1]) == ("-3.0", "0.0", "3.0")
    assert "μ of test image 3" in caption
    z = (2 * costs).sqrt().repeat(11, 1)
    z[:, 3] = torch.linspace(-3, 3, 11)
    np.testing.assert_allclose(images[1], x_hat(shown.model, z), atol=1e-6)


def test_slerp_keeps_the_norm_and_lerp_does_not() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 500, 64))
    of = {way: np.array([np.linalg.norm(way(p, q, 3), axis=1) for p, q in zip(a, b, strict=True)]) for way in WAYS}
    ends = (of[interpolation.lerp][:, 0] + of[interpolation.lerp][:, 2]) / 2
    np.testing.assert_allclose(of[interpolation.slerp][:, 1], ends, rtol=1e-12)
    # ends at right angles, as those of many dimensions nearly are: 1/√2; the mean of 500 is off by 0.04/√500 at most 5 times
    assert (of[interpolation.lerp][:, 1] / ends).mean() == pytest.approx(0.71, abs=0.012)


WAYS = (interpolation.lerp, interpolation.slerp)
ENDS = {
    "right angles": ([2.0, 0, 0], [0, 2.0, 0]),
    "equal": ([1.0, 2, 3], [1.0, 2, 3]),
    "nearly parallel": ([1.0, 2, 3], [1.0, 2, 3 + 1e-9]),
    "opposite": ([1.0, 2, 3], [-1.0, -2, -3]),
    "nearly opposite": ([1.0, 2, 3], [-1.0, -2, -3 + 1e-7]),
    "opposite, of two lengths": ([1.0, 0, 0], [-5.0, 1e-3, 0]),
    "one is 0": ([0.0, 0, 0], [1.0, 0, 0]),
    "opposite, on a line": ([1.0], [-2.0]),
}


@pytest.mark.parametrize("case", ENDS)
def test_slerp_is_finite_and_reaches_its_ends(case) -> None:
    a, b = (np.array(end) for end in ENDS[case])
    z = interpolation.slerp(a, b, 11)
    np.testing.assert_allclose(z[[0, -1]], [a, b], atol=1e-12)
    norms = np.linalg.norm(z, axis=1)
    assert norms.max() <= max(np.linalg.norm(a), np.linalg.norm(b)) + 1e-12
    if len(a) > 1:  # in even steps, and never through 0
        np.testing.assert_allclose(norms, np.linspace(norms[0], norms[-1], 11), rtol=1e-6)
        steps = np.linalg.norm(np.diff(z / np.maximum(norms, 1e-12)[:, None], axis=0), axis=1)[1:]
        np.testing.assert_allclose(steps, steps[0], atol=1e-6)


def test_the_guided_path_goes_through_the_class_means_at_one_speed() -> None:
    codes = np.array([[0.0, 1.0], [0.0, 3.0], [4.0, 1.0], [4.0, 3.0]])
    labels = np.array([7, 7, 1, 1])
    z = interpolation.guided(np.array([0.0, 0.0]), np.array([4.0, 4.0]), codes, labels, (7, 1), 9)
    corners = [[0, 0], [0, 1], [0, 2], [1, 2], [2, 2], [3, 2], [4, 2], [4, 3], [4, 4]]
    np.testing.assert_allclose(z, corners, atol=1e-12)


def test_interpolation_joins_images_of_two_classes(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "flat", image=5)
    mu, labels = latent_space.means(shown), shown.labels(360)
    pairs = latent_space.pairs(labels, 5)
    assert pairs[0][0] == 5
    assert len(pairs) == 3 and all(labels[a] != labels[b] for a, b in pairs)
    calls = captured(monkeypatch, "grid")
    draw(shown, "interpolation", tmp_path)
    [(_, images, _, rows, *_)] = calls
    assert [row.split(", ")[1].split(":")[0] for row in rows] == ["lerp", "slerp", "by class means"] * 3
    for index, (a, b) in enumerate(pairs):
        for way in images[3 * index : 3 * index + 3]:
            np.testing.assert_allclose(way[[0, -1]], x_hat(shown.model, mu[[a, b]]), atol=1e-6)
        half = np.linalg.norm((mu[a] + mu[b]) / 2)
        assert rows[3 * index].endswith(f"|z| = {half:.2f} half-way")


def test_interpolation_needs_two_classes() -> None:
    assert latent_space.pairs(np.array([3, 3, 5, 5, 3]), 0) == [(0, 2), (1, 3)]
    assert latent_space.pairs(np.array([3, 3, 5, 5, 3]), 3, count=1) == [(3, 4)]
    with pytest.raises(ValueError, match="at least two images"):
        latent_space.pairs(np.zeros(5, np.int64), 0)


def test_in_the_cvae_grid_a_row_is_a_style_and_a_column_a_label(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "cvae", seed=4)
    calls = captured(monkeypatch, "grid")
    draw(shown, "cvae-grid", tmp_path)
    [(_, images, _, _, columns, *_)] = calls
    assert columns == [str(label) for label in range(10)]
    z = torch.randn(10, 3, generator=torch.Generator().manual_seed(4))
    for label in (0, 7):
        expected = x_hat(shown.model, z, torch.full((10,), label))
        np.testing.assert_allclose(images[:, label], expected, atol=1e-6)
    assert np.abs(images[:, 0] - images[:, 7]).max() > 1e-3


def test_pca_is_the_svd_and_t_sne_keeps_neighbours() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    mu = rng.standard_normal((80, 6)) * [5, 3, 1, 1, 1, 1]
    mu[:, 5] += 40 * labels
    (pca_title, (pca, _)), (_, (tsne, _)) = latent_space.projections(mu).items()
    centred = mu - mu.mean(0)
    _, scale, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(pca), np.abs(centred @ axes[:2].T), atol=1e-9)
    assert f"{(scale[:2] ** 2).sum() / (scale**2).sum():.0%}" in pca_title
    apart = np.linalg.norm(tsne[:, None] - tsne, axis=2) + 1e9 * np.eye(80)
    assert (labels[apart.argmin(1)] == labels).all()


def test_the_map_of_two_dimensions_is_mu_itself(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "flat")
    calls = captured(monkeypatch, "scatters")
    draw(shown, "scatter", tmp_path)
    [(_, panels, labels, caption)] = calls
    with torch.no_grad():
        np.testing.assert_allclose(panels[""][0], shown.model.encode(shown.test.images)[0], atol=1e-6)
    assert labels.tolist() == shown.test.labels.tolist()
    assert "VAE, D = 2, β = 2, bce; trained on 287 images of the bundled handwriting, train split, grayscale" in caption
    assert "Test images: the bundled handwriting, test split (360 images), grayscale" in caption


@pytest.mark.parametrize("labelled", [True, False])
def test_a_scatter_has_a_legend_only_if_the_data_have_labels(labelled, monkeypatch, tmp_path) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.append(figure))
    digits = load_data("handwriting", "test")
    data = digits if labelled else Data(digits.images, about="mine")
    draw(Subject(weight_files.load("vae_mnist_d2"), data), "scatter", tmp_path)
    legend = saved[0].axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list("0123456789") if labelled else legend is None


def test_the_rate_is_per_latent_and_collapse_has_its_colour(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "vae")
    with torch.no_grad():
        shown.model.encoder.mu.weight[2:] = 0  # three latents that say nothing of x, one of them at a cost
        shown.model.encoder.mu.weight[:2] *= 20
        shown.model.encoder.mu.bias[2:] = torch.tensor([0.0, 4.0, 0.0])
        shown.model.encoder.logvar.weight.zero_()
        shown.model.encoder.logvar.bias.zero_()
        mu = shown.model.encode(shown.test.images)[0].double().numpy()
    saved: list[Figure] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.append(figure))
    draw(shown, "rate", tmp_path)
    axis = saved[0].axes[0]
    kl = (mu**2).mean(0) / 2
    np.testing.assert_allclose([bar.get_height() for bar in axis.patches], sorted(kl.tolist(), reverse=True), rtol=1e-5)
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == [f"$z_{{{j + 1}}}$" for j in np.argsort(-kl, kind="stable")]
    collapsed = {name for name, bar in zip(names, axis.patches, strict=True) if bar.get_facecolor() == to_rgba("C3")}
    assert collapsed == {"$z_{3}$", "$z_{4}$", "$z_{5}$"}
    assert collapsed == {label.get_text() for label in axis.get_xticklabels() if label.get_color() == "C3"}
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["2 active", "3 collapsed"]
    assert axis.get_legend().get_title().get_text() == f"rate {kl.sum():.2f} nats"


def test_the_curves_are_those_of_metrics_csv(tmp_path, monkeypatch) -> None:
    rows = [{"epoch": 1.0 * e, "loss": 200.0 / e, "validation_loss": 210.0 / e, "validation_rate": 5.0 * e} for e in (1, 2, 3)]
    saved: list[Figure] = []
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.append(figure))
    plots.curves(tmp_path / "c.png", rows, "a caption")
    loss, rate = saved[0].axes  # no distortion in it, no panel for it
    assert [line.get_ydata().tolist() for line in loss.lines] == [[200, 100, 200 / 3], [210, 105, 70]]
    assert [line.get_ydata().tolist() for line in rate.lines] == [[5, 10, 15]]
    assert loss.lines[0].get_xdata().tolist() == [1, 2, 3]


def test_another_run_beside_a_picture_of_one_model_is_refused(capsys):
    words = ["figures", "vae_mnist_d20", "--kind", "reconstructions", "--beside", "vae_mnist_d2"]
    with pytest.raises(SystemExit):
        run("p", level3.Command, level3.main, words)
    assert "beside is vae_mnist_d2, but reconstructions shows one model; choose --kind side-by-side" in capsys.readouterr().err


def test_reconstructions_are_of_mu_and_of_a_sample(folder, monkeypatch, tmp_path) -> None:
    shown = subject(folder, "flat", seed=2)
    calls = captured(monkeypatch, "grid")
    draw(shown, "reconstructions", tmp_path)
    [(_, images, _, _, columns, _)] = calls
    with torch.no_grad():
        mu, logvar = shown.model.encode(shown.test.images[:12])
    z = mu + (logvar / 2).exp() * torch.randn(12, 2, generator=torch.Generator().manual_seed(2))
    np.testing.assert_array_equal(images[0], shown.test.images[:12])
    np.testing.assert_allclose(images[1:], [x_hat(shown.model, mu), x_hat(shown.model, z)], atol=1e-6)
    assert columns == [str(label) for label in shown.test.labels[:12].tolist()]


def test_a_model_of_binary_images_is_shown_binary_images(folder) -> None:
    shown = subject(folder, "flat")
    shown.test = load_data("handwriting", "test", "dynamic")
    assert set(shown.x().unique().tolist()) == {0.0, 1.0}
    assert torch.equal(shown.x(), shown.x())


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_completions_keep_what_is_seen(seen) -> None:
    model = models.build("quadrant-cvae", 3, seen=seen)
    x = load_data("handwriting", "test").images[:2]
    with torch.no_grad():
        images = pictures.completed(model, x, 4, seed=0)
    mask = model.mask.expand(2, 1, 28, 28) == 1
    assert mask.float().mean() == seen / 4
    assert images.shape == (2, 6, 1, 28, 28)
    for column in range(6):
        assert torch.equal(images[:, column][mask], x[mask])
    assert (images[:, 0][~mask] == 0.5).all()
    assert torch.equal(images[:, -1], x)
    assert not torch.equal(images[:, 1], images[:, 2])


def test_ae_beside_vae_measures_how_far_samples_are_from_codes(folder, monkeypatch, tmp_path) -> None:
    np.testing.assert_allclose(
        latent_space.nearest(np.array([[0.0, 3.0], [9.0, 1.0]]), np.array([[0.0, 0.0], [9.0, 0.0]])), [3, 1]
    )
    calls = captured(monkeypatch, "side_by_side")
    draw(subject(folder, "flat", beside=folder / "ae.safetensors"), "side-by-side", tmp_path)
    [(_, models, labels, _)] = calls
    assert list(models) == ["VAE", "AE"] and len(labels) == 360
    for model in models.values():
        codes, z = model["codes"], model["z"]
        # of 100 samples of a Gaussian, the mean is within 5 standard errors of its own, and the spread within 40 %
        assert (np.abs(z.mean(0) - codes.mean(0)) < 0.5 * codes.std(0)).all()
        np.testing.assert_allclose(z.std(0), codes.std(0), rtol=0.4)
        apart = np.linalg.norm((z[:, None] - codes) / codes.std(0), axis=2).min(1)
        assert f"median {np.median(apart):.3f}, 90th percentile {np.quantile(apart, 0.9):.3f}" in model["measured"]
    ae = subject(folder, "ae")
    with torch.no_grad():
        np.testing.assert_allclose(models["AE"]["codes"], ae.model.code(ae.test.images), atol=1e-6)
    with pytest.raises(ValueError, match="has the model vae, D = 5; expected a model for this picture"):
        draw(subject(folder, "flat", beside=folder / "vae.safetensors"), "side-by-side", tmp_path)


@pytest.mark.thorough
def test_the_animation_is_the_runs_own_training(folder, tmp_path) -> None:
    path = tmp_path / "animation.gif"
    assert draw(subject(folder, "flat"), "animation", tmp_path) == [path]
    with Image.open(path) as gif:
        assert gif.n_frames == 4  # before each of three steps, and after the last
    _, about = weights.load(folder / "flat" / "weights.safetensors")
    seen: list[int] = []
    again = replay(Config(**about["config"]), lambda step, steps, model: seen.append(step), 40)
    assert seen == [0, 1, 2, 3]
    trained, _ = weight_files.load_with_header(folder / "flat")
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert moments(400, 5) == {0, 25, 100, 225, 400}


def test_samples_are_of_the_prior(folder, monkeypatch, tmp_path) -> None:
    calls = captured(monkeypatch, "grid")
    draw(subject(folder, "flat", seed=3), "samples", tmp_path)
    z = torch.randn(100, 2, generator=torch.Generator().manual_seed(3))
    np.testing.assert_allclose(calls[0][1].reshape(100, 1, 28, 28), x_hat(subject(folder, "flat").model, z), atol=1e-6)


EXPECTED = {
    "flat": {
        "reconstructions", "samples", "manifold", "scatter", "traversals", "interpolation", "rate", "curves", "side-by-side",
    },
    "ae": {"reconstructions", "samples", "scatter", "interpolation"},
    "cvae": {"reconstructions", "samples", "scatter", "traversals", "cvae-grid", "rate"},
    "quadrant-cvae": {"scatter", "rate", "completions"},
    "pixel-vae": {"samples", "shared-latents", "scatter", "rate"},
}  # fmt: skip


@pytest.mark.parametrize("name", thorough_but(EXPECTED, "flat", "cvae"))
def test_all_draws_what_applies_and_nothing_is_cut_off(name, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(latent_space, "EMBEDDED", 60)  # t-SNE is slow
    saved: dict[str, Figure] = {}
    monkeypatch.setattr(plots, "save", lambda figure, path: saved.update({Path(path).stem: figure}))
    beside = {"beside": folder / "ae.safetensors"} if name == "flat" else {}
    shown = subject(folder, name, **beside)
    if name == "pixel-vae":  # pixel after pixel is slow
        shown.model.images_of = lambda z, *rest: torch.sigmoid(shown.model.decoder(z)).detach()
    drawn = draw(shown, "all", tmp_path)
    assert {path.stem for path in drawn} == EXPECTED[name] == set(saved)
    for kind, figure in saved.items():
        figure.canvas.draw()
        box = figure.get_tightbbox()  # inches
        width, height = figure.get_size_inches()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{kind}: {box} in {width} x {height}"
        below = max(axis.get_window_extent().y1 for axis in figure.axes)
        assert all(text.get_window_extent().y0 >= below for text in figure.texts), f"{kind}: the caption lies on the picture"
        said = " ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))
        for word in ("D = ", shown.model.likelihood):
            assert word in said, f"{kind}: {word}"
        assert ("trained on" in said) == ("data" in shown.about), kind
        assert re.search(r"VAE, D = \d, β = \d", said.replace("\n", " ")) or "AE, D = 2, bce" in said, kind
        assert all(axis.get_xlabel() or axis.images for axis in figure.axes), kind


def test_the_command_names_every_kind_and_writes_where_it_says(folder, tmp_path, capsys) -> None:
    kinds = get_args(get_type_hints(level3.Figures)["kind"])
    assert set(kinds) == {"all", *figures.KINDS}
    for args, file in (
        ([str(folder / "flat"), "--kind", "rate"], folder / "flat" / "figures" / "rate.png"),
        ([str(folder / "flat"), "--kind", "curves", "--out", str(tmp_path)], tmp_path / "curves.png"),
    ):
        run("p", level3.Command, level3.main, ["figures", *args])
        assert capsys.readouterr().out.split() == [str(file)]
        with Image.open(file) as picture:
            assert min(picture.size) > 300


REFUSED = [
    ("vae.safetensors", "manifold", "has D = 5; expected D = 2"),
    ("vae.safetensors", "cvae-grid", "expected one of: reconstructions, samples, scatter, traversals, interpolation, rate\n"),
    ("vae.safetensors", "curves", "has no metrics.csv; expected the folder of a run"),
    ("cvae.safetensors", "interpolation", "holds the model cvae, which has no such picture; expected one of: "),
    ("flat", "side-by-side", "expected --beside RUN"),
    ("flat", "completions", "expected one of: "),
    ("ae.safetensors", "traversals", "holds the model ae, which has no such picture; expected one of: "),
    ("flat", "rate --image 360", "image is 360: expected 0 to 359"),
]


@pytest.mark.parametrize(("name", "kind", "message"), REFUSED)
def test_what_does_not_apply_is_one_line(name, kind, message, folder, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        run("p", level3.Command, level3.main, ["figures", str(folder / name), "--out", str(tmp_path), "--kind", *kind.split()])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and message in said, said
    assert not list(tmp_path.iterdir())


def test_the_runs_metrics_are_what_curves_reads(folder, monkeypatch, tmp_path) -> None:
    calls = captured(monkeypatch, "curves")
    draw(subject(folder, "flat"), "curves", tmp_path)
    with open(folder / "flat" / "metrics.csv", newline="") as file:
        [row] = csv.DictReader(file)
    assert calls[0][1] == [{name: float(value) for name, value in row.items()}]


def test_traversals_are_of_active_latents(folder, monkeypatch, tmp_path) -> None:
    """A latent of q(z|x) that does not depend on x has a large KL here, and no row."""
    shown = subject(folder, "vae")
    with torch.no_grad():
        shown.model.encoder.mu.weight[[1, 3]] = 0
        shown.model.encoder.mu.bias[1] = 9
        shown.model.encoder.mu.weight[[0, 2, 4]] *= torch.tensor([30.0, 90.0, 60.0])[:, None]
    calls = captured(monkeypatch, "grid")
    draw(shown, "traversals", tmp_path)
    assert [re.match(r"\$z_\{(\d)\}", row)[1] for row in calls[0][3]] == ["3", "5", "1"]


@pytest.mark.thorough
def test_a_model_in_float64_is_drawn(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(latent_space, "SHOWN", 40)
    few = load_data("handwriting", "test").subset(slice(40))
    few = few.replace(images=few.images.double())
    flat = Subject(models.build("vae", 2).double().eval(), few)
    of_vae = {"reconstructions", "scatter", "traversals", "interpolation", "side-by-side", "rate", "manifold"}
    for name, kinds in {"vae": of_vae, "cvae": {"cvae-grid"}, "quadrant-cvae": {"completions"}}.items():
        shown = Subject(models.build(name, 2).double().eval(), few, beside=flat)
        for kind in kinds:
            draw(shown, kind, tmp_path)
    z, _ = samplers.draw("aggregate", flat.model, 3, train=few)
    assert z.dtype == torch.float64


def test_no_animation_of_a_run_that_began_with_a_model_from_python(tmp_path, monkeypatch) -> None:
    """The configuration does not say which parameters the model had; a resumed run knows it still."""
    monkeypatch.setattr(weight_files, "RUNS", tmp_path)
    options = {"latent_dim": 2, "epochs": 1, "batch_size": 90, "validation": 0.8, "source": "handwriting"}
    training.train(Config(name="given", **options), models.build("vae", 2, seed=7))
    (tmp_path / "given/weights.safetensors").unlink()
    state, progress = weights.load_tensors(tmp_path / "given/state.safetensors")
    rows = np.frombuffer(b"[]", np.uint8)
    begun = progress | {"step": 0, "best": None}
    weights.save_tensors(tmp_path / "given/state.safetensors", state | {"rows": rows}, begun)
    training.train(Config(name="given", resume=True))
    with pytest.raises(ValueError, match=r"animation: .* does not say how it can be trained again"):
        draw(read(tmp_path / "given"), "animation", tmp_path)
