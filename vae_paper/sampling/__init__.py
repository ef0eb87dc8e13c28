"""Where latents come from: samplers for new images, and paths between two points."""
