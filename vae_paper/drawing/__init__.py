"""Pictures of a model. pictures.py and latent_space.py compute what a picture shows; plots.py draws it."""

import vae_numpy.figures  # noqa: F401  (first: it imports matplotlib so that an unknown name in MPLBACKEND is no error)
