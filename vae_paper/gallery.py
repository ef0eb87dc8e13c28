"""`python -m vae_paper figures`: which pictures there are of which model, and where they go."""

from collections.abc import Callable, Iterable
from pathlib import Path

from vae_paper import checkpoint, pictures, pictures_of_codes
from vae_paper.pictures import Subject

DECODED = ("vae", "ae", "cvae")  # a z (and a label) is enough for an image
GAUSSIAN = (*DECODED, "quadrant-cvae", "pixel-vae")
CODES = ("vq-vae", "pixel-prior")
Draw = Callable[[Subject, Path], None]


def of(models: Iterable[str], draw: Draw) -> dict[str, Draw]:
    """The models that a function draws, with it."""
    return dict.fromkeys(models, draw)


# kind -> model -> what draws it
KINDS: dict[str, dict[str, Draw]] = {
    "reconstructions": of(DECODED, pictures.reconstructions) | of(CODES, pictures_of_codes.reconstructions),
    "samples": of(DECODED, pictures.samples) | of(CODES, pictures_of_codes.samples) | {"pixel-vae": pictures.pixel_samples},
    "manifold": {"vae": pictures.manifold},
    "scatter": of(GAUSSIAN, pictures.scatter),
    "traversals": of(("vae", "cvae"), pictures.traversals),
    "interpolation": of(("vae", "ae"), pictures.interpolations),
    "cvae-grid": {"cvae": pictures.cvae_grid},
    "rate": of([name for name in GAUSSIAN if name != "ae"], pictures.rate),
    "curves": of(checkpoint.MODELS, pictures.curves),
    "ae-beside-vae": of(("ae", "vae"), pictures.ae_beside_vae),
    "completions": {"quadrant-cvae": pictures.completions},
    "codebook-usage": of(CODES, pictures_of_codes.codebook_usage),
    "animation": {"vae": pictures.animation},
}
FLAT = ("manifold", "ae-beside-vae", "animation")  # these draw the latent space itself


def draw(subject: Subject, kind: str = "all", folder: Path | None = None) -> list[Path]:
    """Draw one kind of picture, or all that apply to the run (but for the animation, which trains anew).

    Returns the files, in `folder`: RUN/figures by default, runs/figures for a weight file.
    """
    folder = folder or (subject.path if subject.path.is_dir() else checkpoint.RUNS) / "figures"
    kinds = [kind]
    if kind == "all":
        kinds = [name for name in KINDS if name != "animation" and why_not(subject, name) is None]
    elif reason := why_not(subject, kind):
        raise ValueError(f"{kind}: {reason}")
    files = []
    for name in kinds:
        files.append(folder / f"{name}.{'gif' if name == 'animation' else 'png'}")
        KINDS[name][subject.about["model"]](subject, files[-1])
    return files


def why_not(subject: Subject, kind: str) -> str | None:
    """Why a kind cannot be drawn of this run, or None where it can."""
    path = subject.path
    if subject.about["model"] not in KINDS[kind]:
        return f"{path} holds the model {subject.about['model']}; expected {' or '.join(KINDS[kind])}"
    if kind in FLAT and subject.model.latent_dim != 2:
        return f"{path} has D = {subject.model.latent_dim}; expected D = 2, as the latent space itself is drawn"
    if kind == "scatter" and subject.model.latent_dim < 2:
        return f"{path} has D = 1; expected at least 2, one for each axis"
    if kind == "ae-beside-vae" and subject.beside is None:
        return "expected --beside RUN, a run of the other model"
    if kind == "curves" and not (path / "metrics.csv").is_file():
        return f"{path / 'metrics.csv'}: no such file; expected the folder of a run"
    if kind == "animation" and "config" not in subject.about:
        return f"{path} does not say how it was trained; expected a run of python -m vae_paper train"
    return None
