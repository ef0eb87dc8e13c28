"""Latents to decode: samplers for new images, and paths between two points of the latent space."""
