"""Save rows of images as one picture: dark ink on white, a label before each row."""

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vae_numpy.checks import check_images
from vae_numpy.command_line import shown
from vae_numpy.files import write_atomically

# The import of matplotlib fails if MPLBACKEND holds an unknown name. So the variable is removed here and restored below.
backend = os.environ.pop("MPLBACKEND", None) if "matplotlib" not in sys.modules else None
from matplotlib import rcParams  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

if backend:
    os.environ["MPLBACKEND"] = backend
    with contextlib.suppress(ValueError):
        rcParams["backend"] = backend


def image_rows(path: str | Path, rows: Mapping[str, Float[np.ndarray, "N 1 28 28"]], caption: str) -> None:
    """Save labelled rows of images, all rows of equal length, with a caption that describes them."""
    lengths = {label: len(images) for label, images in rows.items()}
    if len({*lengths.values()}) != 1:
        raise ValueError(f"rows: expected at least one row, all of equal length, found {lengths}")
    for images in rows.values():
        check_images(images)
    figure = Figure(figsize=(1.2 + 0.62 * len(images), 0.5 + 0.62 * len(rows)))
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axis, (label, images) in zip(axes, rows.items(), strict=True):
        axis.imshow(np.concatenate(list(images[:, 0]), axis=1), cmap="gray_r", vmin=0, vmax=1)
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
        axis.set_xticks([], [])
        axis.set_yticks([], [])
    figure.suptitle(shown(caption).replace("$", r"\$"), fontsize=10)  # matplotlib would read text between two $ as a formula
    figure.tight_layout(pad=0.4)
    save(figure, path)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, atomically."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=130, bbox_inches="tight", pad_inches=0.08)  # a long row label stays whole
    write_atomically(path, data.getvalue())
