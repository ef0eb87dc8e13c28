"""python -m vae_paper.reproduce.autoencoder: compare a VAE with a plain autoencoder, which has no noise and no rate
-> results/autoencoder.json, docs/ae-beside-vae.png.

An autoencoder has no prior from which z can be drawn. So, for both models, a Gaussian is fitted to the latents, and z is drawn
from this Gaussian.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from vae_numpy.command_line import run
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.drawing import latent_space, subject
from vae_paper.measuring import classifier
from vae_paper.reproduce import NoOptions, over_seeds, trained
from vae_paper.sampling import samplers
from vae_paper.vae import Model

SEEDS, EPOCHS, LATENT_DIM, COUNT = (0, 1, 2), 3, 8, 2000


def main() -> None:
    """Train both models with every seed, and measure them. Then train both with D = 2, and draw these."""
    judge = classifier.trained("mnist")
    train, test = (load_data("mnist", split, "dynamic") for split in ("train", "test"))
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.autoencoder",
        "model": f"ae and vae, D = {LATENT_DIM}, Bernoulli",
        "training": f"{EPOCHS} epochs of 55,000 images of MNIST's train split, dynamic binarisation, batches of 64",
        "codes": "latents of the same kind as in training: mu (ae), or a sample of q(z|x) (vae). Each latent is "
        "standardised with its mean and standard deviation over 10,000 training images",
        "reconstructions": f"x_hat of the codes of the first {COUNT:,} test images",
        "samples": f"x_hat of {COUNT:,} draws from the Gaussian fitted to the training codes (mean and full covariance)",
        "mixture": f"like samples, but from a mixture of {samplers.COMPONENTS} Gaussians",
        "prior": "only vae: like samples, but from N(0, I)",
        "half_way": f"x_hat of the points half-way between the codes of {COUNT:,} random pairs of test images",
        "confidence": "largest probability of a classifier, mean over images; confidence_sd: standard deviation over images",
        "neighbours": "each test code and the nearest other test code are decoded: mean distance of the two images, divided by "
        "the mean distance for random pairs",
        "classifier_accuracy_on_test": classifier.accuracy(judge, test.images, test.labels).value,
        "models": {},
    }
    for name in ("ae", "vae"):
        each = [measure(trained(config(name, LATENT_DIM, seed))[0], train, test, judge, seed) for seed in SEEDS]
        report["models"][name] = over_seeds(each)
        print(name, report["models"][name]["mean"], flush=True)
    weight_files.write_json(Path("results/autoencoder.json"), report)
    flat = [config(name, 2, 0) for name in ("ae", "vae")]
    for each_config in flat:
        trained(each_config)
    ae, vae = (weight_files.RUNS / each_config.name for each_config in flat)
    latent_space.side_by_side(subject.read(ae, beside=vae), Path("docs/ae-beside-vae.png"))


def config(model: str, latent_dim: int, seed: int) -> Config:
    """The configuration of one run. Both models are trained in the same way."""
    how: dict[str, Any] = {"source": "mnist", "likelihood": "bernoulli", "binarise": "dynamic", "batch_size": 64}
    return Config(name=f"{model}-d{latent_dim}-{seed}", model=model, latent_dim=latent_dim, seed=seed, epochs=EPOCHS, **how)


@torch.inference_mode()
def measure(model: Model, train: Data, test: Data, judge: classifier.Classifier, seed: int) -> dict[str, float]:
    """All numbers of one model."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(2**31, size=2).tolist()  # two seeds: the noise of the test images is not that of the training images
    fitted = samplers.latents_of(model, train.subset(slice(samplers.FITTED_ON)), noise[0])
    center, scale = fitted.mean(0), fitted.std(0)
    codes = (samplers.latents_of(model, test.subset(slice(COUNT)), noise[1]) - center) / scale

    def x_hat(z: Float[np.ndarray, "N D"]) -> torch.Tensor:
        return subject.x_hat(model, torch.from_numpy((z * scale + center).astype(np.float32)))

    other = rng.permutation(COUNT)
    decoded = {
        "reconstructions": x_hat(codes),
        "samples": x_hat(samplers.gaussian((fitted - center) / scale, COUNT, rng)),
        "mixture": x_hat(samplers.mixture((fitted - center) / scale, COUNT, rng)),
        "half_way": x_hat((codes + codes[other]) / 2),
    }
    if model.drawn_from is not None:
        decoded["prior"] = subject.x_hat(model, model.draw_prior(COUNT, torch.Generator().manual_seed(seed)))
    result: dict[str, float] = {}
    for name, images in decoded.items():
        confidence = classifier.probabilities(judge, images).amax(1).double()
        result |= {f"{name}_confidence": confidence.mean().item(), f"{name}_confidence_sd": confidence.std().item()}
    near, far = (apart(decoded["reconstructions"], partner) for partner in (nearest_other(codes), other))
    return result | {"neighbours": (near.mean() / far.mean()).item(), "neighbours_sd": (near / far.mean()).std().item()}


def nearest_other(codes: Float[np.ndarray, "N D"]) -> np.ndarray:
    """For each code, the index of the nearest other code."""
    distance = np.linalg.norm(codes[:, None] - codes[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return distance.argmin(1)


def apart(images: torch.Tensor, partner: np.ndarray) -> torch.Tensor:
    """The Euclidean distance between each image i and image `partner[i]` of the same batch."""
    return (images - images[partner]).flatten(1).norm(dim=1).double()


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.autoencoder", NoOptions, lambda _: main())
