"""The VAE a fourth time, in plain JavaScript, and the page that shows it: `explore.py` writes the page, `vae.js` is the model."""
