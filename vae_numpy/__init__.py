"""Level 1: the VAE in NumPy, forward only.

Read `layers.py`, then `vae.py`. Other files serve all three levels: `digits.py` reads images, `weights.py` reads and
writes weight files, `checks.py` checks arguments.

| symbol | means | shape |
|---|---|---|
| `x` | images in [0, 1] | (B, 1, 28, 28) |
| `mu`, `logvar` | mean and log variance of q(z|x) | (B, D) |
| `eps` | standard normal noise, always given by the caller | (B, D) |
| `z` | mu + exp(logvar / 2) eps | (B, D) |
| `logits`, `x_hat` | the decoder's output before and after the sigmoid | (B, 1, 28, 28) |
| losses, `elbo` | nats per image | (B,) |

B batch, C channels, H height, W width, D latent size.
"""
