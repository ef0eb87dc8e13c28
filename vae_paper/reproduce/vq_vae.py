"""python -m vae_paper.reproduce.vq_vae: VQ-VAE and its learned prior on MNIST -> results/vq_vae.json, pictures in docs/.

For each seed: a VQ-VAE, the same without restarts, a class-conditional PixelCNN over the first one's codes, and a VAE to set
beside them, all by `training.train`. Runs that are whole in runs/ are measured again, not trained again; those begun go on
where they stopped.
"""

import dataclasses
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vae_numpy.command_line import run, spelled
from vae_numpy.figures import image_rows
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data, split
from vae_paper.drawing import plots
from vae_paper.likelihoods import binarise
from vae_paper.measuring import classifier, elbo
from vae_paper.measuring.elbo import encode_all
from vae_paper.models.pixel_prior import PixelPrior, table_cost, uniform_cost
from vae_paper.models.vq_vae import VQVAE, perplexity, usage
from vae_paper.reproduce import at_least, machine, trained

# More of it makes codes that say less and are easier to expect: the rate falls, the distortion rises.
COMMITMENT = 0.8


@dataclass
class Options:
    """Train and measure VQ-VAE with a learned prior on MNIST."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """One VQ-VAE, one without restarts and one prior for each."""
    vq_epochs: int = 4
    """Epochs of each VQ-VAE."""
    epochs_without_restarts: int = 1
    """Epochs of each VQ-VAE that restarts no code."""
    prior_epochs: int = 7
    """Epochs of each prior."""
    images: int = 10_000
    """Test images measured."""
    samples: int = 1000
    """Samples shown to the classifier."""
    out: Path = Path("results/vq_vae.json")
    """Where the numbers go."""
    pictures: Path = Path("docs")
    """Where the pictures go."""


def main(options: Options) -> None:
    """Train what is missing, measure, write."""
    at_least(options, seeds=1, vq_epochs=1, epochs_without_restarts=1, prior_epochs=1, images=1, samples=1)
    judge = classifier.trained("mnist")
    test = load_data("mnist", "test", "dynamic")
    test = test.replace(images=test.images[: options.images], labels=test.labels[: options.images])
    real = {"grayscale": test.images, "binarised": binarise(test.images, "dynamic", torch.Generator().manual_seed(0))}
    report: dict[str, Any] = {
        "protocol": {
            "command": spelled("python -m vae_paper.reproduce.vq_vae", options),
            "data": f"trained on {55_000:,} images of MNIST's train split (5,000 more select weights); the first "
            f"{len(test.images):,} images of the test split measured, binarised once (seed 0)",
            "binarisation": "dynamic, training and test",
            "units": "nats per image; mean over test images, then mean and standard deviation over seeds",
            "bound": "distortion + prior cost, an upper bound on -log p(x); codes are certain, so nothing is sampled",
            "learned_prior": "-log sum_y p(y) p(codes|y), the class-conditional prior with its label summed out exactly; p(y) "
            "from the training labels",
            "labelled_prior": "-log p(codes|label), at the true label: with the distortion a bound on -log p(x|label)",
            "table_prior": "each position's code frequencies in the training images, plus one",
            "vae": "a VAE, D = 20, trained for as many epochs as the VQ-VAE; z sampled, 1 pass; bound: distortion + rate",
            "perplexity": "of all codes of the test images",
            "confidence": f"mean largest probability of a classifier; of x_hat for {options.samples:,} samples of codes",
            "label_agreement": "share of class-conditional samples whose asked label the classifier finds most probable",
            "classifier_accuracy": {name: classifier.accuracy(judge, x, test.labels) for name, x in real.items()},
            "seconds": "of the training steps, validation left out",
            "vq_epochs": options.vq_epochs,
            "epochs_without_restarts": options.epochs_without_restarts,
            "prior_epochs": options.prior_epochs,
        },
        "machine": machine(),
        "confidence_on_real_digits": {name: _confidence(judge, x) for name, x in real.items()},
        "seeds": {},
    }
    for seed in options.seeds:
        report["seeds"][str(seed)] = measure(options, seed, test, judge)
        each = list(report["seeds"].values())
        report["mean"] = {name: statistics.fmean(r[name] for r in each) for name in each[0]}
        if len(each) > 1:
            report["sd"] = {name: statistics.stdev(r[name] for r in each) for name in each[0]}
        weight_files.write_json(options.out, report)
        print(json.dumps(report["seeds"][str(seed)], indent=2))


def configurations(options: Options, seed: int) -> tuple[Config, Config]:
    """The VQ-VAE, and the prior over its codes."""
    base = Config(source="mnist", learning_rate=3e-3, batch_size=32, seed=seed)
    vq = dataclasses.replace(base, name=f"vq-{seed}", model="vq-vae", latent_dim=32, epochs=options.vq_epochs)
    vq = dataclasses.replace(vq, codes=256, commitment=COMMITMENT, likelihood="bernoulli", binarise="dynamic")
    prior = dataclasses.replace(base, name=f"vq-{seed}-prior", model="pixel-prior", epochs=options.prior_epochs)
    return vq, dataclasses.replace(prior, codes_of=vq.name, class_conditional=True)


@torch.inference_mode()
def measure(options: Options, seed: int, test: Data, judge: classifier.Classifier) -> dict[str, float]:
    """All numbers of one seed, in nats per image where they are nats."""
    with torch.inference_mode(False):
        vq, prior = configurations(options, seed)
        _, seconds_vq = trained(vq)
        epochs = options.epochs_without_restarts
        trained(dataclasses.replace(vq, name=f"vq-{seed}-no-restart", restart=False, epochs=epochs))
        _, seconds_prior = trained(prior)
        vae, _ = trained(dataclasses.replace(vq, name=f"vae-{seed}", model="vae", latent_dim=20, codes=None, commitment=None))
    model: PixelPrior = weight_files.load_with_header(weight_files.RUNS / prior.name)[0]
    collapsed: VQVAE = weight_files.load_with_header(weight_files.RUNS / f"{vq.name}-no-restart")[0]
    size = model.vq_vae.codes

    train_data, _ = split(vq)
    p_label = torch.bincount(train_data.labels, minlength=10) / len(train_data.labels)
    fitted = encode_all(model.vq_vae, train_data, torch.Generator().manual_seed(0))
    x = binarise(test.images, "dynamic", torch.Generator().manual_seed(0))
    seen = Data(x, test.labels, test.about)
    codes = encode_all(model.vq_vae, seen, torch.Generator())
    terms = elbo.terms_of(model, seen)
    distortion = terms.distortion.mean().item()
    unlabelled = torch.cat([model.cost_of_unlabelled(part, p_label) for part in codes.split(500)]).double()
    nats = terms.distortion[0] + unlabelled
    table = table_cost(codes, fitted, size).mean().item()
    without = elbo.terms_of(collapsed, seen)
    codes_without = encode_all(collapsed, seen, torch.Generator())

    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(p_label, options.samples, replacement=True, generator=generator)
    sampled = torch.sigmoid(model.decode(model.sample(options.samples, generator, labels)))
    uniform = torch.sigmoid(model.decode(model.vq_vae.sample(options.samples, generator)))
    if seed == options.seeds[0]:
        _draw(options, model, x, codes, codes_without, uniform, generator)
    continuous = elbo.summary(vae, test, passes=1)
    return {
        "bound": nats.mean().item(),
        "bound_standard_error": (nats.std() / len(nats) ** 0.5).item(),
        "distortion": distortion,
        "learned_prior": unlabelled.mean().item(),
        "labelled_prior": terms.rate.sum(1).mean().item(),
        "table_prior": table,
        "uniform_prior": uniform_cost(size),
        "learned_below_table": 1 - unlabelled.mean().item() / table,
        "codes": size,
        "perplexity": perplexity(usage(codes, size)),
        "perplexity_without_restarts": perplexity(usage(codes_without, size)),
        "distortion_without_restarts": without.distortion.mean().item(),
        "confidence_on_prior_samples": _confidence(judge, sampled),
        "confidence_on_uniform_codes": _confidence(judge, uniform),
        "label_agreement": classifier.accuracy(judge, sampled, labels),
        "vae_bound": -continuous["elbo"],
        "vae_distortion": continuous["distortion"],
        "vae_rate": continuous["rate"],
        "seconds_vq_vae": seconds_vq,
        "seconds_prior": seconds_prior,
    }


def _confidence(judge: classifier.Classifier, x: torch.Tensor) -> float:
    return classifier.probabilities(judge, x).amax(1).double().mean().item()


def _draw(
    options: Options,
    model: PixelPrior,
    x: torch.Tensor,
    codes: torch.Tensor,
    codes_without: torch.Tensor,
    uniform: torch.Tensor,
    generator: torch.Generator,
) -> None:
    size, made = model.vq_vae.codes, f"VQ-VAE, K = {model.vq_vae.codes}, D = {model.latent_dim}, MNIST, dynamic binarisation"
    x_hat = torch.sigmoid(model.decode(codes[:10]))
    rows = {"x": x[:10].numpy(), "x̂": x_hat.numpy()}
    image_rows(options.pictures / "vq_vae_reconstructions.png", rows, f"{made}: test digits and their codes, decoded")
    drawn = torch.sigmoid(model.decode(model.sample(20, generator, torch.arange(20) % 10))).numpy()
    rows = {"learned": drawn[:10], "prior": drawn[10:], "uniform": uniform[:10].numpy()}
    image_rows(options.pictures / "vq_vae_samples.png", rows, f"{made}: x̂ of codes drawn; labels 0 to 9 asked for")
    counts = {
        f"with restarts, {options.vq_epochs} epochs": usage(codes, size).numpy(),
        f"without, {options.epochs_without_restarts}": usage(codes_without, size).numpy(),
    }
    plots.codebook_usage(options.pictures / "vq_vae_codebook.png", counts, f"{made}: codes of the test digits")


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.vq_vae", Options, main)
