"""`python -m vae_paper evaluate`: measure a model on test images. Each measure has its meaning in words and, except
active_units, a standard error.

The estimators themselves are in elbo.py (ELBO, distortion, rate), estimators.py (log p(x), information) and
sample_quality.py (samples).
"""

import math
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vae_numpy.checks import check_at_least
from vae_paper import devices
from vae_paper.data import Data, data_of, load_data
from vae_paper.measuring import classifier, estimators, sample_quality
from vae_paper.measuring.elbo import (
    Estimate,
    averaged,
    check_kinds,
    mean_of,
    mixed,
    summary_of,
    times,
    unit_of,
    variance_of_means,
)
from vae_paper.models import name_of
from vae_paper.vae import Model, Terms
from vae_paper.weight_files import find, load_with_header, save_model

NATS = "nats per image"
Measures = dict[str, dict[str, Any]]


def evaluate(
    model: Model, data: Data, passes: int = 5, k: int = 100, subset: int = 400, drawn: int = 0, seed: int = 0
) -> dict[str, Any]:
    """All measures that apply to the model, on `data`: images that the model was not trained on.

    z is sampled `passes` times for each image. log p(x) is estimated from `k` samples of z for each of `subset` random
    images. If `drawn` is not 0 and the model has a prior, a classifier measures the quality of `drawn` samples.
    In the result, "measures" has an entry for each measure, with value, standard_error, unit, data, images (their number), and
    "is" (its meaning in words). "subset" holds the indices of the random images. ValueError if the data do not fit the model.
    """
    check_kinds(model, data)
    check_at_least(1, passes=passes, k=k)
    check_at_least(0, seed=seed)
    check_at_least(2, subset=subset)
    check_at_least(estimators.GROUPS if drawn else 0, drawn=drawn)  # fewer samples have no jackknife standard error
    if drawn and model.drawn_from is not None and data.source not in ("mnist", "fashion-mnist", "kmnist", "handwriting"):
        raise ValueError(f"drawn is {drawn}: no classifier for {data.source}, only for MNIST-like data; leave drawn out")
    data = data.like(model)
    terms = averaged(model, data, passes, seed)
    measures, chosen = of_terms(model, terms, data, passes), []
    if type(model).encode is not Model.encode:  # the model has a q(z|x), from which z can be drawn
        indices = estimators.random_subset(len(data.images), subset, seed)
        measures |= of_likelihood(model, data, -(terms.distortion.mean(0) + terms.rate.sum(1)), indices, k, seed)
        chosen = indices.tolist()
    pixels = round(model.counted.sum().item())
    scale = 1 / (pixels * math.log(2))  # from nats per image to bits per dimension: a dimension is one pixel value
    for name, sign, says in (("elbo", -1, "-elbo in bits per dim"), ("nll", 1, "nll in bits per dim")):
        if name in measures:
            bits = {"value": sign * scale * measures[name]["value"], "standard_error": scale * measures[name]["standard_error"]}
            measures[f"{name}_bits_per_dim"] = measures[name] | bits | {"unit": f"bits/dim, {pixels} dims", "is": says}
    if terms.mu is not None:
        measures["active_units"] = active(terms.mu, data)
    if terms.mu is not None and terms.logvar is not None and not model.prior_of_image:
        measures |= of_information(model, estimators.information(terms.mu, terms.logvar, seed, rate=terms.rate.sum(1)), data)
        if (high := measures["mutual_information_high"])["value"] > measures["rate"]["value"]:
            high["is"] += ". Here the rate is smaller: the better upper bound"
    if drawn and model.drawn_from is not None:
        measures |= of_samples(model, data, drawn, seed)
    head = {"weights": "this model", "model": name_of(model), "latent_dim": model.latent_dim, "likelihood": model.likelihood}
    head["units"] = unit_of(model)
    return head | {"data": data.about, "seed": seed, "measures": measures, "subset": chosen}


def evaluate_run(
    run: str | Path, source: str | None = None, passes: int = 5, k: int = 100, subset: int = 400, drawn: int = 0, seed: int = 0
) -> dict[str, Any]:
    """`evaluate` for a run or a weight file, on the test split of `source`, by default the source of its training data."""
    model, about = load_with_header(run)
    report = evaluate(model, data_of(about, "test", source), passes, k, subset, drawn, seed)
    trained = {name: about[name] for name in ("command", "own") if about.get(name)}
    return report | {"weights": find(run).name, "trained_with": trained}


def one(estimate: Estimate, unit: str, data: Data, says: str) -> dict[str, Any]:
    """A measure: the number, its standard error, its unit, its data, and its meaning in words."""
    return {**estimate._asdict(), "unit": unit, "data": data.about, "images": len(data.images), "is": says}


def of_terms(model: Model, terms: Terms, data: Data, passes: int) -> Measures:
    """ELBO, distortion and rate."""
    found = summary_of(model, terms)
    says = {
        "elbo": f"{times(passes)}; {found['elbo_is']}",
        "distortion": f"{times(passes)}; the reconstruction loss: E_q[-log p(x|z)], or an objective in place of it",
        "rate": f"the KL of q(z|x) from the prior: {model.rate_is}",
    }
    return {name: one(Estimate(found[name], found[f"{name}_standard_error"]), NATS, data, how) for name, how in says.items()}


def of_likelihood(model: Model, data: Data, elbo: Float[Tensor, " N"], indices: Tensor, k: int, seed: int) -> Measures:
    """IWAE bounds for 1, 10, 100, ... and k samples, on the images `indices`; and nll, -log p(x), estimated for all images.

    `elbo` is the ELBO of every image.
    """
    ks = sorted({10**power for power in range(len(str(k)))} | {k})
    few = data.subset(indices.to(data.images.device))
    own, bounds = estimators.importance(model, few, ks, seed)
    how = f"a lower bound on {model.bound}, in expectation" if model.bound else "an objective, not a bound"
    measures = {
        f"iwae_{count}": one(mean_of(bound), NATS, few, f"{times(count)}; {how}; on the random subset only")
        for count, bound in zip(ks, bounds, strict=True)
    }
    log_p = estimators.corrected(elbo, indices, own, bounds[-1])
    how = f"-(mean ELBO of all images + mean of (IWAE-{k} - ELBO) over {len(few.images)} random images)"
    what = f"an estimate of -{model.bound}; in expectation it is too large" if model.bound else "an objective, not a likelihood"
    return measures | {"nll": one(Estimate(-log_p.value, log_p.standard_error), NATS, data, f"{how}; {what}")}


def of_information(model: Model, found: estimators.Information, data: Data) -> Measures:
    """The two parts of the rate: I(x; z) and KL(q(z) || p(z))."""
    x, log_n = "x, label" if model.takes_labels else "x", math.log(len(data.images))
    says = {
        "mutual_information_low": f"I({x}; z), a lower bound in expectation, never above log N = {log_n:.2f}",
        "mutual_information_high": f"I({x}; z), an upper bound in expectation (q(z) without the image from which z was drawn)",
        "aggregate_kl_low": "KL(q(z) || p(z)) = rate - I: a lower bound in expectation (0 is a lower bound too)",
        "aggregate_kl_high": "KL(q(z) || p(z)) = rate - I: an upper bound in expectation",
    }
    return {name: one(getattr(found, name), NATS, data, f"z sampled once; {how}") for name, how in says.items()}


def active(mu: Float[Tensor, "N D"], data: Data) -> dict[str, Any]:
    """The number of active units. Its ± is not a standard error, but the number of latents that are near the threshold."""
    variance, error = variance_of_means(mu)
    undecided = int(((variance - 0.01).abs() < 2 * error).sum())
    says = f"latents with Var_x(E_q[z_j]) > 0.01, of {mu.shape[1]}; ±: how many are within two standard errors of 0.01"
    return one(Estimate(int((variance > 0.01).sum()), undecided), "latents", data, says)


def of_samples(model: Model, data: Data, count: int, seed: int) -> Measures:
    """The quality of `count` samples: their Fréchet distance to test images, and how many show the requested label."""
    judge = classifier.trained(data.source)
    images, labels = sample_quality.samples(devices.on_cpu(model), count, seed)  # the classifier is on the CPU, in float32
    images, data = images.float(), data.to("cpu")
    train = load_data(data.source, "train", data.binarisation)
    real = train.subset(estimators.random_subset(len(train.images), count, seed)).seen(seed)
    test = data.seen(mixed(seed, 1)).float()  # another seed: the binarisation noise is not that of `real`
    unit, drawn = "squared features of the classifier", model.pixels_drawn or model.likelihood == "bernoulli"
    kind = "pixels drawn from p(x|z)" if drawn else "x_hat"
    says = f"{count} samples, {kind}: Fréchet distance to test images, in features of this project's classifier (not FID). "
    says += "With few samples it is too large: compare equal numbers of samples only"
    found = {"frechet_distance": one(sample_quality.distance(judge, test, images), unit, data, says)}
    says = f"the same for {len(real)} training images in place of the samples"
    found["frechet_distance_of_train"] = one(sample_quality.distance(judge, test, real), unit, data, says)
    if labels is not None and data.labels is not None:
        says = f"{count} samples, {kind}, all labels in turn: the fraction for which the classifier predicts the requested label"
        samples = {"data": f"{count} samples", "images": count}
        found["conditional_accuracy"] = one(classifier.accuracy(judge, images, labels), "fraction", data, says) | samples
        says = "the same for the test images and their labels"
        found["classifier_accuracy"] = one(classifier.accuracy(judge, test, data.labels), "fraction", data, says)
    return found


def publish(path: Path, run: str | Path, report: dict[str, Any]) -> None:
    """Write the weights of a run to `path`. The header also holds the measured -ELBO."""
    model, about = load_with_header(run)
    elbo = report["measures"]["elbo"]
    measured = {
        "test_data": report["data"],
        "test_objective": -elbo["value"],
        "test_objective_standard_error": elbo["standard_error"],
        "test_objective_is": f"-ELBO, nats per image, {elbo['is']}",
    }
    save_model(path, model, about | measured)


def table(report: dict[str, Any]) -> str:
    """The report as text: a line for each measure, then its meaning."""
    lines = [
        f"{report['weights']}: {report['model']}, D = {report['latent_dim']}, likelihood {report['likelihood']}",
        f"Units: {report['units']}.",
        f"Measured on {report['data']}, seed {report['seed']}; ±: standard errors (except active_units). "
        "For elbo and iwae in nats, larger is better.",
        "",
    ]
    for name, m in report["measures"].items():
        lines.append(f"{name:<26}{m['value']:>z10.3f} ± {m['standard_error']:<8.3f}{m['unit']}; {m['images']:,} images")
        lines.append(f"{'':<8}{m['is']}")
    lines.append("")
    lines.append("Standard errors are over images. With another training seed, the numbers may change by more.")
    if "frechet_distance" not in report["measures"]:
        lines.append("No samples were measured. For data like MNIST and a model with a prior, add --drawn 10000.")
    return "\n".join(lines)
