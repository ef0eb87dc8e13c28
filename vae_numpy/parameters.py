"""The table of parameters: their names and shapes, the same at every level and in every weight file."""


def shapes(latent_dim: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter, in torch's layout; 1,662,249 numbers at latent_dim 20."""
    if latent_dim < 1:
        raise ValueError(f"latent_dim is {latent_dim}: expected at least 1")
    weights = {
        "encoder.conv1": (32, 1, 3, 3),
        "encoder.conv2": (64, 32, 3, 3),
        "encoder.fc": (256, 3136),
        "encoder.mu": (latent_dim, 256),
        "encoder.logvar": (latent_dim, 256),
        "decoder.fc1": (256, latent_dim),
        "decoder.fc2": (3136, 256),
        "decoder.conv_t1": (64, 32, 3, 3),
        "decoder.conv_t2": (32, 1, 3, 3),
    }
    table = {}
    for layer, shape in weights.items():
        table[f"{layer}.weight"] = shape
        table[f"{layer}.bias"] = (shape[1],) if "conv_t" in layer else (shape[0],)
    return table
