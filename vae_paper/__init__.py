"""Level 3: the VAE as papers write it, its variants as differences from it, and what is measured on them.

Read `vae.py`, `likelihoods.py` and `objectives.py`, then a variant, then `train.py`.
"""
