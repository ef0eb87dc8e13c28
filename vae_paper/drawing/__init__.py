"""Pictures of a model: what they show (pictures.py, latent_space.py), and how they are drawn (plots.py)."""
