"""Level 3: the VAE as PyTorch modules, its variants, measures and pictures.

Read `vae.py`, `likelihoods.py` and `objectives.py`, then a variant in `models/`, then `training.py`.

    import vae_paper
    model = vae_paper.load("vae_mnist_d20")                      # bundled weights, a run's name, a folder or a file
    folder = vae_paper.train(vae_paper.Config(beta=4.0, name="beta-4"))
    print(vae_paper.evaluate(vae_paper.load("beta-4"), vae_paper.load_data("mnist", "test"))["measures"]["elbo"])

The names below are imported at their first use, so that `python -m vae_paper --help` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_paper.config import Config as Config
    from vae_paper.data import Data as Data
    from vae_paper.data import load_data as load_data
    from vae_paper.drawing.figures import draw as draw
    from vae_paper.drawing.subject import Subject as Subject
    from vae_paper.measuring.evaluate import evaluate as evaluate
    from vae_paper.measuring.inspect import inspect as inspect
    from vae_paper.models.ae import AE as AE
    from vae_paper.models.cvae import CVAE as CVAE
    from vae_paper.models.pixel_prior import PixelPrior as PixelPrior
    from vae_paper.models.pixel_vae import PixelVAE as PixelVAE
    from vae_paper.models.quadrant_cvae import QuadrantCVAE as QuadrantCVAE
    from vae_paper.models.vq_vae import VQVAE as VQVAE
    from vae_paper.training import train as train
    from vae_paper.vae import VAE as VAE
    from vae_paper.vae import Model as Model
    from vae_paper.vae import Terms as Terms
    from vae_paper.weight_files import load as load

HOME = {
    "Config": "config", "Data": "data", "load_data": "data", "train": "training", "load": "weight_files",
    "Model": "vae", "Terms": "vae", "VAE": "vae", "AE": "models.ae", "CVAE": "models.cvae", "VQVAE": "models.vq_vae",
    "QuadrantCVAE": "models.quadrant_cvae", "PixelVAE": "models.pixel_vae", "PixelPrior": "models.pixel_prior",
    "evaluate": "measuring.evaluate", "inspect": "measuring.inspect", "draw": "drawing.figures", "Subject": "drawing.subject",
}  # fmt: skip
__all__ = sorted(HOME)


def __getattr__(name: str) -> Any:
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOME[name]}"), name)


def __dir__() -> list[str]:
    """The names that tab completion and help() show: those that are not imported yet too."""
    return sorted({*globals(), *HOME})
