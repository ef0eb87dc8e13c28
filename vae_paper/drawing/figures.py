"""`python -m vae_paper figures`: draw the kinds of picture, one file each. `Model.pictures` lists the kinds for a model."""

import sys
from collections.abc import Callable
from pathlib import Path

from vae_paper.data import OWN
from vae_paper.drawing import animation, latent_space, pictures
from vae_paper.drawing.subject import Subject
from vae_paper.measuring.elbo import evaluating, terms_of
from vae_paper.weight_files import RUNS

KINDS: dict[str, Callable[[Subject, Path], None]] = {
    "reconstructions": pictures.reconstructions,
    "samples": pictures.samples,
    "shared-latents": pictures.shared_latents,
    "manifold": latent_space.manifold,
    "scatter": latent_space.scatter,
    "traversals": latent_space.traversals,
    "interpolation": latent_space.interpolations,
    "cvae-grid": pictures.cvae_grid,
    "completions": pictures.completions,
    "codebook-usage": pictures.codebook_usage,
    "rate": pictures.rate,
    "curves": pictures.curves,
    "side-by-side": latent_space.side_by_side,
    "animation": animation.animation,
}
FLAT = ("manifold", "side-by-side", "animation")  # these kinds draw the latent space itself, so D must be 2


def draw(subject: Subject, kind: str = "all", folder: Path | None = None) -> list[Path]:
    """Draw one kind of picture. "all": every kind that applies to the subject, except the animation, which trains again.

    Returns the paths of the files. `folder` is by default RUN/figures for a run, runs/figures/NAME for a weight file
    NAME.safetensors, and runs/figures for a subject without a file. With "all", a picture that raises a ValueError is
    skipped, and a line on stderr gives the reason.
    """
    folder = folder or folder_of(subject.path)
    with evaluating(subject.model):
        if kind != "all":
            if reason := why_not(subject, kind):
                raise ValueError(f"{kind}: {reason}")
            KINDS[kind](subject, file_of(folder, kind))
            return [file_of(folder, kind)]
        drawn = []
        for name in (name for name in KINDS if name != "animation"):
            try:
                if why_not(subject, name) is None:
                    KINDS[name](subject, file_of(folder, name))
                    drawn.append(file_of(folder, name))
            except ValueError as error:
                print(f"{name}: not drawn: {error}", file=sys.stderr)
        if subject.beside is not None and (reason := why_not(subject, "side-by-side")):
            print(f"side-by-side: not drawn: {reason}", file=sys.stderr)
        return drawn


def folder_of(path: Path | None) -> Path:
    """The folder for the pictures of a run or weight file. Each run, and each name of a weight file, has its own folder."""
    if path is None:
        return RUNS / "figures"
    return path / "figures" if path.is_dir() else RUNS / "figures" / path.stem


def file_of(folder: Path, kind: str) -> Path:
    """The path of the file for a kind of picture."""
    return folder / f"{kind}.{'gif' if kind == 'animation' else 'png'}"


def why_not(subject: Subject, kind: str) -> str | None:
    """The reason why a kind cannot be drawn for this subject; None if it can."""
    of = subject.path or "the model"
    if kind not in KINDS:
        return f"no such kind; expected one of: {', '.join(KINDS)}"
    if kind not in subject.model.pictures:
        possible = [name for name in subject.model.pictures if why_not(subject, name) is None]
        holds = f"{subject.path or 'this subject'} holds the model {subject.about['model']}"
        return f"{holds}, which has no such picture; expected one of: {', '.join(possible)}"
    if kind in FLAT and subject.model.latent_dim != 2:
        return f"{of} has D = {subject.model.latent_dim}; expected D = 2, because this kind draws the latent space itself"
    if kind in ("traversals", "rate"):
        rates = terms_of(subject.model, subject.test.subset(slice(0, 1))).rate.shape[1]
        if rates != subject.model.latent_dim:
            return f"{of} has {rates} rates for {subject.model.latent_dim} latents; expected one for each latent"
    if kind == "scatter" and subject.model.latent_dim < 2:
        return f"{of} has D = 1; expected at least 2, one for each axis"
    if kind == "side-by-side":
        return _not_beside(subject)
    if kind == "curves" and (subject.path is None or not (subject.path / "metrics.csv").is_file()):
        return f"{of} has no metrics.csv; expected the folder of a run"
    about = subject.about
    if kind == "animation" and ("config" not in about or about.get("own") or about.get("given") or about.get("source") == OWN):
        return f"{of} does not say how it can be trained again; expected a run of python -m vae_paper train"
    return None


def _not_beside(subject: Subject) -> str | None:
    if subject.beside is None:
        return "expected --beside RUN, a run of another model"
    other = subject.beside.model
    if "side-by-side" not in other.pictures or other.latent_dim != 2:
        found = f"the model {subject.beside.about['model']}, D = {other.latent_dim}"
        return f"{subject.beside.path} has {found}; expected a model for this picture (vae, ae), D = 2"
    return None
