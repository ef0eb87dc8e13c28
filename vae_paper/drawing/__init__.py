"""Pictures of a model: what they show (pictures.py, latent_space.py), and how they are drawn (plots.py)."""

import vae_numpy.figures  # noqa: F401  (before matplotlib, because it handles an unknown MPLBACKEND)
