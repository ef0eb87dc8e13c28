"""python -m vae_numpy: evaluate trained weights on test digits, and draw reconstructions and samples. Works without torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vae_numpy import checks, digits, files, vae, weights
from vae_numpy.command_line import run, shown
from vae_numpy.figures import image_rows
from vae_numpy.layers import sigmoid


@dataclass
class Config:
    """Evaluate a trained VAE in NumPy, and draw its reconstructions and samples."""

    weights: Path = weights.PRETRAINED / "vae_mnist_d20.safetensors"
    """Weight file of any level, with exactly the 18 parameters of the VAE."""
    source: str = "auto"
    """Test digits: auto (MNIST if it is on disk, otherwise handwriting), mnist, fashion-mnist, kmnist, handwriting."""
    count: int = 10_000
    """Largest number of test digits to evaluate."""
    seed: int = 0
    """Random seed for the noise eps and for the samples."""
    out: Path = Path("runs/numpy/digits.png")
    """File for the picture (PNG)."""


def main(config: Config) -> None:
    """Print the ELBO and its two terms in nats per image, and save a picture of reconstructions and samples."""
    if config.count < 1:
        raise ValueError(f"--count is {config.count}: expected at least 1")
    params, header = weights.load(config.weights)
    latent_dim = checks.check_params(params)
    files.check_writable(config.out)
    data = digits.load(config.source, "test")
    images = data.images[: config.count]
    checks.check_at_least(0, seed=config.seed)
    rng = np.random.default_rng(config.seed)
    dtype = params["encoder.mu.weight"].dtype  # all parameters have this dtype; images and eps must have it too
    images = images.astype(dtype, copy=False)
    eps = rng.standard_normal((len(images), latent_dim), dtype=np.float32).astype(dtype)

    mu, logvar = vae.encode(params, images)
    logits = vae.decode(params, vae.reparameterize(mu, logvar, eps))
    kind = weights.kind_of(header)
    likelihood = header.get("likelihood", kind)
    recon = vae.reconstruction_loss(logits, images, kind).astype(np.float64)
    kl = vae.kl_divergence(mu, logvar).astype(np.float64)

    print(f"weights  {config.weights.name}: D = {latent_dim}, trained on {shown(header.get('data', 'unknown data'))}")
    if likelihood != kind:
        print(f"note     trained with the likelihood {shown(likelihood)}; the loss here is {kind}")
    print(f"digits   {data.source}, the first {len(images):,}, grayscale")
    print(f"nats per image ({kind}), z sampled once, mean ± standard error; for grayscale digits this ELBO is not a bound:")
    for name, values in {"ELBO": -(recon + kl), "reconstruction": recon, "KL": kl}.items():
        print(f"  {name:<15}{values.mean():8.2f} ± {standard_error(values)}")

    x = images[:10]
    mu = mu[:10]
    samples = vae.decode(params, rng.standard_normal(mu.shape, dtype=np.float32).astype(dtype))
    rows = {"x": x, "x̂ from μ": sigmoid(vae.decode(params, mu)), "x̂ from N(0, I)": sigmoid(samples)}
    image_rows(config.out, rows, f"{data.source}; D = {latent_dim}")
    print(f"picture  {config.out}")


def standard_error(values: np.ndarray) -> str:
    """The standard error of the mean: the standard deviation (with n - 1) divided by sqrt(n). One value has none."""
    if len(values) == 1:
        return "(no standard error: one image)"
    return f"{values.std(ddof=1) / np.sqrt(len(values)):.2f}"


if __name__ == "__main__":
    run("python -m vae_numpy", Config, main)
