"""Arrays in, picture out. Every figure has labelled axes and a caption that says data, model, D and beta."""

import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

from vae_numpy.figures import save
from vae_numpy.weights import write_atomically

Array = np.ndarray
ACTIVE, COLLAPSED = "C0", "C3"


def manifold_latents(size: int) -> Float[Array, "N 2"]:
    """size x size points of the 2-D latent space, spaced evenly in probability (Kingma & Welling 2013, Fig. 4).

    Row by row from the top: z_1 grows to the right, z_2 upwards.
    """
    quantiles = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def manifold(path: str | Path, x_hat: Float[Array, "N 1 28 28"], caption: str) -> None:
    """The decoded `manifold_latents`, as one sheet."""
    figure = Figure(figsize=(7, 7.4))
    axis = figure.add_subplot()
    _draw_manifold(axis, x_hat)
    axis.set_title(_wrapped(caption, figure, 10), fontsize=10)
    figure.tight_layout()
    save(figure, path)


def animation(path: str | Path, frames: Sequence[Float[Array, "N 1 28 28"]], said: Sequence[str], caption: str) -> None:
    """A GIF of the decoded `manifold_latents`, a title of its own over each frame; written atomically."""
    figure = Figure(figsize=(4.4, 4.9))
    axis = figure.add_subplot()
    sheet = _draw_manifold(axis, frames[0])
    figure.suptitle(_wrapped(caption, figure, 7), fontsize=7)
    axis.set_title(said[-1], fontsize=9)
    figure.tight_layout()
    with tempfile.TemporaryDirectory() as folder:
        gif, writer = Path(folder) / "animation.gif", PillowWriter(fps=8)
        with writer.saving(figure, str(gif), dpi=90):
            for x_hat, title in zip(frames, said, strict=True):
                sheet.set_data(_sheet(x_hat))
                axis.set_title(title, fontsize=9)
                writer.grab_frame()
            for _ in range(12):  # the end stays in view for a moment and a half
                writer.grab_frame()
        write_atomically(path, gif.read_bytes())


def scatter(path: str | Path, mu: Float[Array, "N 2"], labels: Int[Array, " N"], caption: str, axes: str = "$\\mu$") -> None:
    """Points of a 2-D latent space (or projection), coloured by label."""
    scatters(path, {"": (mu, axes)}, labels, caption)


def scatters(
    path: str | Path, panels: Mapping[str, tuple[Float[Array, "N 2"], str]], labels: Int[Array, " N"], caption: str
) -> None:
    """One or more scatters of the same points: title -> (points, what their coordinates are called)."""
    figure = Figure(figsize=(1 + 6 * len(panels), 6.2))
    for axis, (title, (points, axes)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _draw_scatter(axis, points, labels)
        axis.set(xlabel=f"{axes}, first coordinate", ylabel=f"{axes}, second coordinate", title=title)
    axis.legend(markerscale=12 / _dot(labels), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    if len(panels) == 1:
        axis.set_title(_wrapped(caption, figure, 10), fontsize=10)
    else:
        figure.suptitle(_wrapped(caption, figure, 10), fontsize=10)
    figure.tight_layout()
    save(figure, path)


def grid(
    path: str | Path,
    images: Float[Array, "R C 1 28 28"],
    caption: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    across: str = "",
    down: str = "",
) -> None:
    """R rows of C images, with what each row and each column is, and what changes `across` and `down`."""
    count, length = images.shape[:2]
    margin = 0.07 * max(map(len, rows or [""]))  # inches for the rows' names
    figure = Figure(figsize=(max(5.0, 0.6 + margin + 0.6 * length), 1.4 + 0.6 * count))
    axis = figure.add_subplot()
    sheet = images[:, :, 0].transpose(0, 2, 1, 3).reshape(count * 28, length * 28)
    axis.imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
    for edge in range(1, count):  # rows are told apart: each is a z, a latent or an image of its own
        axis.axhline(28 * edge - 0.5, color="0.8", lw=0.6)
    axis.set_xticks(28 * np.arange(len(columns or [])) + 13.5, columns or [], fontsize=8)
    axis.set_yticks(28 * np.arange(len(rows or [])) + 13.5, rows or [], fontsize=8)
    axis.tick_params(length=0)
    axis.set(xlabel=across, ylabel=down)
    figure.suptitle(_wrapped(caption, figure, 9), fontsize=9)
    figure.tight_layout(pad=0.6)
    save(figure, path)


def rate(path: str | Path, kl: Float[Array, " D"], active: Bool[Array, " D"], caption: str) -> None:
    """KL per latent, largest first; latents that say nothing of x in another colour: collapse at a glance."""
    order = np.argsort(-kl)
    figure = Figure(figsize=(max(5.0, 1.5 + 0.3 * len(kl)), 3.8))
    axis = figure.add_subplot()
    for chosen, colour, word in ((active, ACTIVE, "active"), (~active, COLLAPSED, "collapsed")):
        at = np.flatnonzero(chosen[order])
        axis.bar(at, kl[order][at], color=colour, label=f"{len(at)} {word}")
    axis.set_xticks(range(len(kl)), [f"$z_{{{j + 1}}}$" for j in order], fontsize=8 if len(kl) <= 32 else 5)
    axis.set(xlabel="latent, the largest KL first", ylabel="KL(q($z_j$|x) || p($z_j$)), nats per image")
    axis.legend(frameon=False, title=f"rate {kl.sum():.2f} nats")
    axis.set_title(_wrapped(caption, figure, 9), fontsize=9)
    figure.tight_layout()
    save(figure, path)


def curves(path: str | Path, rows: Sequence[Mapping[str, float]], caption: str) -> None:
    """The lines of a run's metrics.csv: the loss that was minimised, and what it is made of, epoch by epoch."""
    panels = {
        "loss, nats per image": {"loss": "training", "validation_loss": "validation"},
        "distortion, nats per image": {"validation_distortion": "validation"},
        "rate, nats per image": {"validation_rate": "validation"},
    }
    panels = {title: lines for title, lines in panels.items() if lines.keys() & rows[0].keys()}
    figure = Figure(figsize=(0.6 + 3.6 * len(panels), 3.6))
    epochs = [row["epoch"] for row in rows]
    for axis, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for (name, word), colour in zip(lines.items(), ("C0", "C1"), strict=False):
            if name in rows[0]:
                colour = "C0" if word == "training" else "C1"
                axis.plot(epochs, [row[name] for row in rows], ".-", color=colour, label=word)
        axis.set(xlabel="epoch", ylabel=title)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False)
    figure.suptitle(_wrapped(caption, figure, 9), fontsize=9)
    figure.tight_layout()
    save(figure, path)


def side_by_side(path: str | Path, models: Mapping[str, Mapping[str, Any]], labels: Int[Array, " N"], caption: str) -> None:
    """A row for each 2-D model: the map of its codes with its samples as crosses, and the samples decoded.

    Of each model: `codes` (N, 2), `z` (M, 2), `x_hat` (M, 1, 28, 28), and `said`, a number about them.
    """
    figure = Figure(figsize=(11, 1 + 4.6 * len(models)))
    for (left, right), (name, model) in zip(figure.subplots(len(models), 2, squeeze=False), models.items(), strict=True):
        _draw_scatter(left, model["codes"], labels)
        left.plot(*model["z"].T, "x", ms=4, mew=0.9, color="black", label="samples")
        left.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, markerscale=2)
        left.set(xlabel="first code", ylabel="second code", aspect="auto")
        left.set_title(f"{name}: codes of test images", fontsize=10)
        right.imshow(_sheet(model["x_hat"]), cmap="gray_r", vmin=0, vmax=1)
        right.set_xticks([], [])
        right.set_yticks([], [])
        right.set_xlabel(model["said"], fontsize=9)
        right.set_title(f"{name}: the samples, decoded", fontsize=10)
    figure.suptitle(_wrapped(caption, figure, 10), fontsize=10)
    figure.tight_layout()
    save(figure, path)


def _draw_manifold(axis: Any, x_hat: Float[Array, "N 1 28 28"]) -> Any:
    size = round(len(x_hat) ** 0.5)
    at = np.linspace(0, size - 1, 5).round().astype(int)
    quantiles = [f"{NormalDist().inv_cdf((i + 0.5) / size):.1f}" for i in at]
    axis.set_xticks(at * 28 + 14, quantiles)
    axis.set_yticks(at * 28 + 14, quantiles[::-1])
    axis.set(xlabel="$z_1$", ylabel="$z_2$")
    return axis.imshow(_sheet(x_hat), cmap="gray_r", vmin=0, vmax=1)


def _sheet(images: Float[Array, "N 1 28 28"]) -> Float[Array, "H W"]:
    """A square number of images as one."""
    size = round(len(images) ** 0.5)
    return images.reshape(size, size, 28, 28).transpose(0, 2, 1, 3).reshape(size * 28, size * 28)


def _draw_scatter(axis: Any, points: Float[Array, "N 2"], labels: Int[Array, " N"]) -> None:
    for label in np.unique(labels):
        chosen = points[labels == label]
        axis.plot(*chosen.T, ".", ms=_dot(labels), alpha=0.6, color=f"C{label}", label=str(label))
    axis.set_aspect("equal", adjustable="datalim")


def _dot(labels: Int[Array, " N"]) -> int:
    return 3 if len(labels) > 1000 else 6


def _wrapped(text: str, figure: Figure, size: float) -> str:
    """The caption in lines that the figure has room for: a letter is about half as wide as the font's size in points."""
    letters = int(72 * figure.get_size_inches()[0] / (0.54 * size))
    return "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, letters))
