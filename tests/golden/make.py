"""Write tests/golden/*.safetensors: what the pretrained weights make of fixed digits, in float64, by level 1.

    python tests/golden/make.py     (needs MNIST on disk for the golden values of its digits)

Any later change, machine or framework can check itself against them.
"""

from pathlib import Path

import numpy as np

from vae_numpy import digits, vae, weights

COUNT, LOGITS = 64, 2  # digits, and how many of them keep their logits


def golden(source: str, latent_dim: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Noise, posterior, a few logits, and the terms per image, on the first 64 test digits."""
    params, _ = weights.load(weights.PRETRAINED / f"vae_mnist_d{latent_dim}.safetensors")
    params = {name: p.astype(np.float64) for name, p in params.items()}
    x = digits.load(source, "test").images[:COUNT].astype(np.float64)
    eps = np.random.default_rng(latent_dim).standard_normal((COUNT, latent_dim))
    mu, logvar = vae.encode(params, x)
    logits = vae.decode(params, vae.reparameterize(mu, logvar, eps))
    values = {
        "eps": eps,
        "mu": mu,
        "logvar": logvar,
        "logits": logits[:LOGITS],
        "reconstruction_bce": vae.reconstruction_loss(logits, x),
        "reconstruction_mse": vae.reconstruction_loss(logits, x, "mse"),
        "kl": vae.kl_divergence(mu, logvar),
    }
    about = f"vae_mnist_d{latent_dim} on the first {COUNT} test digits of {source}, float64, nats per image"
    return values, {"about": about}


if __name__ == "__main__":
    for source in ("handwriting", "mnist"):
        for latent_dim in (2, 20):
            path = Path(__file__).with_name(f"{source}_d{latent_dim}.safetensors")
            weights.save_tensors(path, *golden(source, latent_dim))
            print(path.name)
