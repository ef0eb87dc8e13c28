"""`python -m vae_paper evaluate`: all that is measured of a model, each number with its standard error and what it is.

The estimators themselves are in evaluate.py (ELBO, distortion, rate), estimators.py (log p(x), information) and generated.py
(samples).
"""

import math
from pathlib import Path
from typing import Any

import torch

from vae_paper import checkpoint, classifier, estimators, evaluate, generated
from vae_paper.cvae import QuadrantCVAE
from vae_paper.evaluate import Data, Estimate
from vae_paper.likelihoods import binarise
from vae_paper.microscope import UNITS, pixels_of
from vae_paper.vae import AE, VAE, Model

NATS = "nats per image"
Measures = dict[str, dict[str, Any]]


def report(
    run: Path,
    source: str | None = None,
    passes: int = 5,
    k: int = 100,
    subset: int = 400,
    drawn: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All that `table` says, as numbers: of the model in a run's folder or weight file, on test images.

    k samples of z for each of `subset` images make the estimate of log p(x); `drawn` images are shown to the classifier.
    """
    least_drawn = estimators.GROUPS if drawn else 0  # fewer have no standard error
    for name, value, least in (("passes", passes, 1), ("k", k, 1), ("subset", subset, 2), ("drawn", drawn, least_drawn)):
        if value < least:
            raise ValueError(f"{name} is {value}: expected at least {least}")
    model, about = checkpoint.load_model(run)
    stored = about.get("config", {})
    source = source or stored.get("source", "auto")
    data = evaluate.load_data(source, "test", stored.get("binarise", "none"))
    head = {"weights": Path(run).name, "model": about["model"], "latent_dim": about["latent_dim"]}
    head |= {"likelihood": model.likelihood, "units": UNITS[model.likelihood], "data": data.about, "seed": seed}
    measures, chosen = measure(model, data, passes, k, subset, seed)
    if drawn and generated.has_samples(model):
        measures |= of_samples(model, data, source, drawn, seed)
    return head | {"measures": measures, "subset": chosen}


def measure(
    model: Model, data: Data, passes: int = 5, k: int = 100, subset: int = 400, seed: int = 0
) -> tuple[Measures, list[int]]:
    """Every measure that applies to the model but those of its samples, and the images on which log p(x) was estimated."""
    terms = evaluate.averaged(model, data, passes, seed)
    found = evaluate.summary(model, terms)
    often, pixels = f"z sampled {passes} times", pixels_of(model) if isinstance(model, VAE) else 784
    says = {
        "elbo": f"{often}; {found['elbo_is']}",
        "distortion": f"{often}; the reconstruction term E_q[-log p(x|z)], or what stands in its place",
        "rate": "KL(q(z|x) || p(z)) in closed form: the KL term",
    }
    measures = {name: one(Estimate(found[name], found[f"{name}_standard_error"]), NATS, data, how) for name, how in says.items()}
    chosen: list[int] = []
    if isinstance(model, VAE) and not isinstance(model, AE):
        indices = estimators.random_subset(len(data.images), subset, seed)
        measures |= of_likelihood(model, data, -(terms.distortion.mean(0) + terms.rate.sum(1)), indices, k, seed)
        chosen = indices.tolist()
    for name, sign in (("elbo", -1), ("nll", 1)):
        if name in measures:
            about = {"is": f"{'minus ' if sign < 0 else ''}{name}, in bits"}
            measures[f"{name}_bits_per_dim"] = in_bits(measures[name], sign, pixels) | about
    if isinstance(model, VAE):
        mu, logvar = evaluate.posterior(model, data, seed)
        measures["active_units"] = active(mu, data)
        if not isinstance(model, AE | QuadrantCVAE):
            measures |= of_information(model, estimators.information(mu, logvar, seed), data)
    return measures, chosen


def one(estimate: Estimate, unit: str, data: Data, says: str) -> dict[str, Any]:
    """A measure: the number, its standard error, and all that must be said beside it."""
    return {**estimate._asdict(), "unit": unit, "data": data.about, "images": len(data.images), "is": says}


def of_likelihood(model: VAE, data: Data, elbo: torch.Tensor, indices: torch.Tensor, k: int, seed: int) -> Measures:
    """IWAE bounds at powers of ten up to k and at k, on the chosen images; and log p(x), corrected to all images."""
    ks = sorted({10**power for power in range(len(str(k)))} | {k})
    few = data._replace(images=data.images[indices], labels=data.labels[indices])
    own, bounds = estimators.importance(model, few, ks, seed)
    bounded = evaluate.bounded(model)
    how = f"a lower bound on {bounded}, in expectation" if bounded else "an objective, not a bound"
    measures = {
        f"iwae_{count}": one(evaluate.mean_of(bound), NATS, few, f"{count} samples of z; {how}; of the random subset alone")
        for count, bound in zip(ks, bounds, strict=True)
    }
    log_p = estimators.corrected(elbo, indices, own, bounds[-1])
    how = f"-(ELBO of all images + mean gap, IWAE-{k} - ELBO, of {len(few.images)} random ones)"
    what = f"an estimate of -{bounded}, from above" if bounded else "an objective, no likelihood"
    return measures | {"nll": one(Estimate(-log_p.value, log_p.standard_error), NATS, data, f"{how}; {what}")}


def of_information(model: VAE, found: estimators.Information, data: Data) -> Measures:
    """What the rate consists of."""
    x, log_n = "x, label" if model.takes_labels else "x", math.log(len(data.images))
    says = {
        "mutual_information_low": f"I({x}; z), a lower bound in expectation, never above log N = {log_n:.2f}",
        "mutual_information_high": f"I({x}; z), an upper bound in expectation (q(z) without z's own image); the rate is another",
        "aggregate_kl_low": "KL(q(z) || p(z)) = rate - I: a lower bound in expectation (0 is another)",
        "aggregate_kl_high": "KL(q(z) || p(z)) = rate - I: an upper bound in expectation",
    }
    return {name: one(getattr(found, name), NATS, data, f"z sampled once; {how}") for name, how in says.items()}


def active(mu: torch.Tensor, data: Data) -> dict[str, Any]:
    """How many latents are active; its error is how many lie within two standard errors of the threshold."""
    variance, error = estimators.variance_of_means(mu)
    undecided = int(((variance - 0.01).abs() < 2 * error).sum())
    says = f"latents with Var_x(E_q[z_j]) > 0.01, of {mu.shape[1]}; ±: those within two standard errors of 0.01"
    return one(Estimate(int(evaluate.active_units(mu).sum()), undecided), "latents", data, says)


def in_bits(nats: dict[str, Any], sign: int, pixels: int) -> dict[str, Any]:
    """The same number as bits for each pixel: nats / (P log 2)."""
    scale = 1 / (pixels * math.log(2))
    bits = {"value": sign * scale * nats["value"], "standard_error": scale * nats["standard_error"]}
    return nats | bits | {"unit": f"bits/dim, {pixels} dims"}


def of_samples(model: Any, data: Data, source: str, count: int, seed: int) -> Measures:
    """What the classifier sees in `count` samples: how far from test images, and whether they are what was asked for."""
    judge = classifier.trained(source)
    images, labels = generated.samples(model, count, seed)
    train = evaluate.load_data(source, "train", data.binarisation)
    real = seen(train._replace(images=train.images[estimators.random_subset(len(train.images), count, seed)]), seed)
    test = seen(data, seed + 1)  # not the noise of the training images once more
    unit, kind = "squared features of the classifier", "drawn pixel by pixel" if model.likelihood == "bernoulli" else "x_hat"
    says = f"{count} samples, {kind}: Frechet distance in this project's classifier (not FID), an estimate; too large, so "
    says += "compare equal numbers only"
    found = {"frechet_distance": one(generated.distance(judge, test, images), unit, data, says)}
    says = f"{len(real)} training images in the samples' place: what cannot be told from real"
    found["frechet_distance_of_train"] = one(generated.distance(judge, test, real), unit, data, says)
    if labels is not None:
        says = f"{count} samples, {kind}, labels 0 to 9 in turn: the share in which the classifier sees the label asked for"
        found["conditional_accuracy"] = one(generated.agreement(judge, images, labels), "fraction", data, says)
        says = "the same of the test images and their labels"
        found["classifier_accuracy"] = one(generated.agreement(judge, test, data.labels), "fraction", data, says)
    return found


def seen(data: Data, seed: int) -> torch.Tensor:
    """The images as the model is shown them."""
    return binarise(data.images, data.binarisation, torch.Generator().manual_seed(seed))


def publish(path: Path, run: Path, report: dict[str, Any]) -> None:
    """Write a run's weights with what was measured in their header."""
    model, about = checkpoint.load_model(run)
    elbo = report["measures"]["elbo"]
    measured = {
        "test_data": report["data"],
        "test_objective": -elbo["value"],
        "test_objective_standard_error": elbo["standard_error"],
        "test_objective_is": f"-ELBO, nats per image, {elbo['is']}",
    }
    checkpoint.save_model(path, model, about | measured)


def table(report: dict[str, Any]) -> str:
    """The report to be read: a line for each measure, then what it is."""
    lines = [
        f"{report['weights']}: {report['model']}, D = {report['latent_dim']}, likelihood {report['likelihood']}",
        f"Units: {report['units']}.",
        f"Measured on {report['data']}, seed {report['seed']}; ±: standard errors. Larger is better of elbo and iwae.",
        "",
    ]
    for name, m in report["measures"].items():
        lines.append(f"{name:<26}{m['value']:>10.3f} ± {m['standard_error']:<8.3f}{m['unit']}; {m['images']:,} images")
        lines.append(f"{'':<8}{m['is']}")
    lines.append("")
    lines.append("Standard errors are over images; another seed of the training differs by more.")
    if "frechet_distance" not in report["measures"]:
        lines.append("Samples were not looked at: --drawn 10000 shows as many to a classifier (where the model has a prior).")
    return "\n".join(lines)
