"""Arrays in, picture out. Every figure has the caller's caption. Every axis that has a meaning has a label."""

import math
import re
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib import colormaps
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vae_numpy.checks import check_at_least, check_images, check_labels
from vae_numpy.figures import save
from vae_numpy.files import write_atomically

Array = np.ndarray
ACTIVE, COLLAPSED = "C0", "C3"
CELL = 0.6  # inches: width of an image of 32 pixels or fewer; a larger image is up to twice as wide
INK = (1, 28, 28)  # images of this shape are shown as ink: 0 is white; all others are shown as they are: 0 is black
MOST_CLASSES = 20  # in a legend, or as the columns of a grid
LETTER = 0.54 / 72  # inches: width of an average letter at font size 1


def manifold_latents(size: int) -> Float[Array, "N 2"]:
    """size x size points of the 2-D latent space, spaced evenly in probability (Kingma & Welling 2013, Fig. 4).

    Row by row from the top: z_1 grows to the right, z_2 upwards.
    """
    check_at_least(1, size=size)
    quantiles = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def manifold(path: str | Path, x_hat: Float[Array, "N C H W"], caption: str) -> None:
    """The decoded `manifold_latents`, as one sheet."""
    figure = Figure(figsize=(7, 7.4))
    axis = figure.add_subplot()
    _draw_manifold(axis, x_hat)
    _finish(figure, path, caption, 10)


def animation(path: str | Path, frames: Sequence[Float[Array, "N C H W"]], said: Sequence[str], caption: str) -> None:
    """A GIF of the decoded `manifold_latents`, and over each frame its title from `said`. It is written atomically."""
    if not len(frames) == len(said) > 0 or len({len(x_hat) for x_hat in frames}) != 1:
        raise ValueError(f"{len(frames)} frames, {len(said)} titles: expected one title per frame, and frames of one size")
    figure = Figure(figsize=(4.4, 4.9))
    axis = figure.add_subplot()
    sheet = _draw_manifold(axis, frames[0])
    figure.suptitle(_wrapped(caption, float(figure.get_figwidth()), 7), fontsize=7)
    axis.set_title(said[-1], fontsize=9)
    figure.tight_layout()
    with tempfile.TemporaryDirectory() as folder:
        gif, writer = Path(folder) / "animation.gif", PillowWriter(fps=8)
        with writer.saving(figure, str(gif), dpi=75):
            for x_hat, title in zip(frames, said, strict=True):
                sheet.set_data(_sheet(_square(x_hat)))
                axis.set_title(title, fontsize=9)
                writer.grab_frame()
            for _ in range(12):  # the last frame stays in view for 1.5 seconds more
                writer.grab_frame()
        write_atomically(path, gif.read_bytes())


def scatters(
    path: str | Path, panels: Mapping[str, tuple[Float[Array, "N 2"], str]], labels: Int[Array, " N"], caption: str
) -> None:
    """One or more scatters of the same points: title -> (points, the name of their coordinates)."""
    figure = Figure(figsize=(1 + 6 * len(panels), 6.2))
    for axis, (title, (points, axes)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _draw_scatter(axis, points, labels)
        axis.set(xlabel=f"{axes}, first coordinate", ylabel=f"{axes}, second coordinate", title=title)
    if labels.any():  # if the data have no labels, all are 0
        axis.legend(markerscale=12 / _dot(labels), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _finish(figure, path, caption, 10)


def grid(
    path: str | Path,
    images: Float[Array, "rows columns C H W"],
    caption: str,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    across: str = "",
    down: str = "",
) -> None:
    """Rows of images, with a name for each row and column, and a label for what changes `across` and `down`."""
    if images.ndim != 5 or len(rows or images) != len(images) or (columns and len(columns) != images.shape[1]):
        found = f"{images.shape}, with {len(rows or [])} and {len(columns or [])} names"
        raise ValueError(f"images are {found}; expected (rows, columns, C, H, W), and no names, or one for each row or column")
    count, length = images.shape[:2]
    H, W = images.shape[3:]
    cell = CELL * min(2.0, max(1.0, W / 32))
    letters = max(len(re.sub(r"[${}_]", "", row)) for row in rows or [""])
    left = 0.15 + LETTER * 8 * letters + (0.3 if down else 0)  # in inches, like all lengths below
    width = max(6.5, left + cell * length + 0.15)
    left = (width + left - cell * length - 0.15) / 2
    said = _wrapped(caption, width, 9)
    top, bottom = 0.15 + 0.17 * (said.count("\n") + 1), 0.1 + (0.2 if columns else 0) + (0.25 if across else 0)
    height = top + cell * H / W * count + bottom
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((left / width, bottom / height, cell * length / width, cell * H / W * count / height))
    _show(axis, images)
    for edge in range(1, count):  # a line between rows
        axis.axhline(H * edge - 0.5, color="0.8", lw=0.6)
    axis.set_xticks(W * np.arange(len(columns or [])) + (W - 1) / 2, columns or [], fontsize=8)
    axis.set_yticks(H * np.arange(len(rows or [])) + (H - 1) / 2, rows or [], fontsize=8)
    axis.tick_params(length=0)
    axis.set_xlabel(across, fontsize=9)
    axis.set_ylabel(down, fontsize=9)
    figure.suptitle(said, fontsize=9, y=1 - 0.06 / height)
    save(figure, path)


def rate(path: str | Path, kl: Float[Array, " D"], active: Bool[Array, " D"], caption: str) -> None:
    """KL per latent, largest first. Collapsed latents, whose mu hardly depends on x, have another colour."""
    if kl.shape != active.shape or kl.ndim != 1 or not len(kl) or active.dtype != bool or not np.isfinite(kl).all():
        raise ValueError(f"kl is {kl.shape}, active {active.dtype} {active.shape}; expected (D,), finite, and bool (D,)")
    order = np.argsort(-kl, kind="stable")
    figure = Figure(figsize=(max(6.5, 2.8 + 0.3 * len(kl)), 3.8))
    axis = figure.add_subplot()
    axis.bar(range(len(kl)), kl[order], color=[ACTIVE if active[j] else COLLAPSED for j in order])
    words = {f"{active.sum()} active": ACTIVE, f"{(~active).sum()} collapsed": COLLAPSED}
    axis.set_xticks(range(len(kl)), [f"$z_{{{j + 1}}}$" for j in order], fontsize=8 if len(kl) <= 32 else 5)
    for j, name in zip(order, axis.get_xticklabels(), strict=True):  # a collapsed bar may have no height
        name.set_color("black" if active[j] else COLLAPSED)
    axis.set(xlabel="latent, the largest KL first", ylabel="KL of q($z_j$|x) from the prior, nats per image")
    patches = [Patch(color=colour, label=word) for word, colour in words.items()]
    axis.legend(handles=patches, title=f"rate {kl.sum():.2f} nats", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _finish(figure, path, caption, 9)


def curves(path: str | Path, rows: Sequence[Mapping[str, float]], caption: str) -> None:
    """The rows of a run's metrics.csv: training and validation loss, and the validation's distortion and rate, epoch by epoch."""
    if not rows or not all(np.isfinite([*row.values()]).all() and row.keys() == rows[0].keys() for row in rows):
        raise ValueError(f"{len(rows)} epochs: expected at least one, with the same names in each, and finite numbers")
    panels = {
        "loss, nats per image": {"loss": "training", "validation_loss": "validation"},
        "distortion, nats per image": {"validation_distortion": "validation"},
        "rate, nats per image": {"validation_rate": "validation"},
    }
    panels = {title: lines for title, lines in panels.items() if lines.keys() & rows[0].keys()}
    figure = Figure(figsize=(0.6 + 3.6 * len(panels), 3.6))
    epochs = [row["epoch"] for row in rows]
    for axis, (title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, word in lines.items():
            if name in rows[0]:
                axis.plot(epochs, [row[name] for row in rows], ".-", color="C0" if word == "training" else "C1", label=word)
        axis.set(xlabel="epoch", ylabel=title)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.legend(frameon=False)
    _finish(figure, path, caption, 9)


def codebook_usage(path: str | Path, counts: dict[str, Int[Array, " K"]], caption: str) -> None:
    """How often each code is chosen, as a share of all choices, the most used code first. One line for each codebook.

    ValueError for codebooks of different sizes, or if no code was chosen.
    """
    if len({n.shape for n in counts.values()}) != 1 or not all(n.ndim == 1 and n.min() >= 0 < n.sum() for n in counts.values()):
        found = {label: n.shape for label, n in counts.items()}
        raise ValueError(f"counts: found {found}; expected arrays (K,) of counts, not all 0")
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    for label, n in counts.items():
        share = np.sort(n / n.sum())[::-1]
        perplexity = np.exp(-np.sum(share[share > 0] * np.log(share[share > 0])))
        axis.plot(np.arange(1, len(n) + 1), np.where(share > 0, share, np.nan), label=f"{label}: perplexity {perplexity:.0f}")
    axis.axhline(1 / len(n), color="0.6", lw=0.8, ls="--", label=f"all {len(n)} codes equally often")
    axis.set(xlabel="code, most used first", ylabel="share of the choices", yscale="log")
    axis.legend(frameon=False)
    _finish(figure, path, caption, 9)


def side_by_side(path: str | Path, models: Mapping[str, Mapping[str, Any]], labels: Int[Array, " N"], caption: str) -> None:
    """A row for each 2-D model: the map of its latents with its samples as crosses, and the samples decoded.

    Each model has `codes` (N, 2), `what` (their name), samples `z` (M, 2), their `x_hat` (M, C, H, W), and the text
    `measured`.
    """
    figure = Figure(figsize=(11, 1 + 4.6 * len(models)))
    for (left, right), (name, model) in zip(figure.subplots(len(models), 2, squeeze=False), models.items(), strict=True):
        _draw_scatter(left, model["codes"], labels)
        _check_points(model["z"])
        left.plot(*model["z"].T, "x", ms=4, mew=0.9, color="black", label="samples")
        left.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8, markerscale=2)
        left.set(xlabel="first latent", ylabel="second latent", aspect="auto")
        left.set_title(f"{name}: {model['what']}", fontsize=10)
        _show(right, _square(model["x_hat"]))
        right.set_xticks([], [])
        right.set_yticks([], [])
        right.set_xlabel(model["measured"], fontsize=9)
        right.set_title(f"{name}: the samples, decoded", fontsize=10)
    _finish(figure, path, caption, 10)


def _draw_manifold(axis: Any, x_hat: Float[Array, "N C H W"]) -> Any:
    shown, size = _show(axis, _square(x_hat)), math.isqrt(len(x_hat))
    (H, W), at = x_hat.shape[2:], np.linspace(0, size - 1, 6).round().astype(int)
    quantiles = [f"{NormalDist().inv_cdf((i + 0.5) / size):.1f}" for i in at]
    axis.set_xticks(at * W + W / 2, quantiles)
    axis.set_yticks(at * H + H / 2, quantiles[::-1])
    axis.set(xlabel="$z_1$", ylabel="$z_2$")
    return shown


def _show(axis: Any, images: Float[Array, "rows columns C H W"]) -> Any:
    """Draw rows of images as one sheet: digits as dark ink on white, other images of one channel in gray, else in colour."""
    sheet = _sheet(images)
    return axis.imshow(sheet, cmap="gray_r" if images.shape[2:] == INK else "gray", vmin=0, vmax=1)  # if C = 3, cmap is ignored


def _sheet(images: Float[Array, "rows columns C H W"]) -> Float[Array, "..."]:
    """The pixels of the sheet that `_show` draws: (rows H, columns W), or (rows H, columns W, 3) in colour."""
    rows, columns, C, H, W = images.shape
    check_images(images.reshape(rows * columns, C, H, W), (C, H, W))
    sheet = images.transpose(0, 3, 1, 4, 2).reshape(rows * H, columns * W, C)
    if C not in (1, 3):
        raise ValueError(f"images have {C} channels; expected 1 (gray) or 3 (colour)")
    return sheet[:, :, 0] if C == 1 else sheet


def _square(images: Float[Array, "N C H W"]) -> Float[Array, "rows columns C H W"]:
    """The N images in √N rows of √N. N must be a square number."""
    size = math.isqrt(len(images))
    if size**2 != len(images) or not len(images):
        raise ValueError(f"{len(images)} images: expected a square number of them")
    return images.reshape(size, size, *images.shape[1:])


def _draw_scatter(axis: Any, points: Float[Array, "N 2"], labels: Int[Array, " N"]) -> None:
    check_labels(labels, len(points), int(labels.max(initial=0)) + 1)
    _check_points(points)
    colours = _colours(labels)
    for label in list(colours)[:MOST_CLASSES] if labels.any() else []:  # for the legend
        axis.plot([], [], ".", ms=_dot(labels), color=colours[label], label=str(label))
    order = np.random.default_rng(0).permutation(len(points))  # mixed: else the last class would hide the others
    axis.scatter(*points[order].T, s=_dot(labels) ** 2, lw=0, alpha=0.6, c=[colours[label] for label in labels[order].tolist()])
    axis.set_aspect("equal", adjustable="datalim")


def _check_points(points: Float[Array, "N 2"]) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"points are {points.shape}: expected (N, 2), all finite")


def _colours(labels: Int[Array, " N"]) -> dict[int, Any]:
    """The colour of each class: one of matplotlib's ten colours, or of twenty if there are more classes."""
    many = labels.max(initial=0) >= 10
    return {label: colormaps["tab20"](label % 20) if many else f"C{label}" for label in np.unique(labels).tolist()}


def _dot(labels: Int[Array, " N"]) -> int:
    return 3 if len(labels) > 1000 else 6


def _finish(figure: Figure, path: str | Path, caption: str, size: int) -> None:
    """Set the caption over the whole figure, and save it."""
    figure.suptitle(_wrapped(caption, float(figure.get_figwidth()), size), fontsize=size)
    figure.tight_layout()
    save(figure, path)


def _wrapped(text: str, width: float, size: int) -> str:
    """The caption, broken into lines that fit into `width` inches at a font of `size` points."""
    letters = int(width / (LETTER * size))
    return "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, letters))
