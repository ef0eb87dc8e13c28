"""The explorer: a page with the VAE in plain JavaScript. `explore.py` writes the page; `vae.js` is the model."""
