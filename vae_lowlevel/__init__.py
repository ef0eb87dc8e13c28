"""Level 2: the VAE of level 1 on torch tensors, and a training loop. Read `vae.py`, then `train.py`."""
