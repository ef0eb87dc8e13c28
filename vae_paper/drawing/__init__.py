"""Pictures of a model. pictures.py and latent_space.py compute what a picture shows; plots.py draws it."""

import vae_numpy.figures  # noqa: F401  (first, because with an unknown MPLBACKEND the import of matplotlib fails)
