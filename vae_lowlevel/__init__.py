"""Level 2: the same VAE on torch tensors, and its training by hand. Read `vae.py`, then `train.py`."""
