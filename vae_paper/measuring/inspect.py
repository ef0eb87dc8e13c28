"""`python -m vae_paper inspect`: the two terms of the loss, their units, the bounds, and the KL of each latent.

Legend: P pixel values that the distortion counts: C H W (784 for a digit); in a quadrant-cvae only the unseen ones.
D distortion, R rate.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_numpy.checks import check_at_least, check_images
from vae_paper.data import Data, data_of
from vae_paper.measuring.elbo import active_units, averaged, summary_of, times, unit_of
from vae_paper.models import name_of
from vae_paper.vae import Model
from vae_paper.weight_files import has_beta, load_with_header


def inspect_run(run: str | Path, source: str | None = None, passes: int = 5, seed: int = 0) -> dict[str, Any]:
    """`inspect` for a run or a weight file, on the test split of `source`, by default the source of its training data."""
    model, about = load_with_header(run)
    config = about.get("config", {})
    options = ("objective", "beta", "batch_size") if has_beta(model, about) else ("objective", "batch_size")
    trained = {name: config.get(name) for name in options} if config else {}
    trained |= {name: own for name, own in (about.get("own") or {}).items() if name == "objective"}
    report = inspect(model, data_of(about, "test", source), passes, seed, trained.get("beta"))
    if trained.get("batch_size"):
        report["reductions"] = reductions(report["pixels"], model.latent_dim, trained["batch_size"])
    return report | {"run": str(run), "trained_with": trained}


def inspect(model: Model, data: Data, passes: int = 5, seed: int = 0, beta: float | None = None) -> dict[str, Any]:
    """Terms, units, bounds and latents of a model on test images.

    `beta` is the beta of the model's training. None: it is unknown, or the training loss has no beta. ValueError for a model
    whose terms have no mu.
    """
    data = data.like(model)
    terms = averaged(model, data, passes, seed)
    if terms.mu is None:
        raise ValueError(f"inspect: the terms of {type(model).__name__} have no mu; expected a model with mu")
    summary = summary_of(model, terms)
    pixels = round(model.counted.sum().item())
    nats_to_bits = 1 / (pixels * math.log(2))
    report: dict[str, Any] = {"run": "this model", "trained_with": {} if beta is None else {"beta": beta}}
    report |= {"model": name_of(model), "latent_dim": model.latent_dim, "likelihood": model.likelihood}
    report |= {"data": data.about, "images": len(data.images), "passes": passes, "seed": seed}
    report |= summary | {"rate_is": model.rate_is, "pixels": pixels, "units": unit_of(model)}
    report["bits_per_dim"] = {name: summary[name] * nats_to_bits for name in ("elbo", "distortion", "rate")}
    if beta is not None:
        report["distortion_plus_beta_rate"] = summary["distortion"] + beta * summary["rate"]
    if model.likelihood == "bce" and data.binarisation == "none":
        report["least_distortion"] = entropy(data, model.counted)
    report["variance"] = variances(model, summary["distortion"], 1.0 if beta is None else beta)
    report["kl_per_latent"] = terms.rate.mean(0).tolist()
    report["variance_of_mu"] = terms.mu.var(0).tolist()
    report["active"] = active_units(terms.mu).tolist()
    report["active_units"] = sum(report["active"])
    report["reductions"] = reductions(pixels, model.latent_dim)
    return report


def reductions(pixels: int, latents: int, batch: int = 128) -> list[dict[str, Any]]:
    """Ways to sum or average the two terms of a loss, and the `beta` to which each is equivalent.

    The loss of a row has the same optimum as distortion + `beta` · rate, where both terms are sums.
    """
    check_at_least(1, pixels=pixels, latents=latents, batch=batch)
    ways = [
        ("sum over pixels", "sum over latents", 1.0),
        ("sum over pixels / n", "sum over latents / n (the same n)", 1.0),
        ("mean over pixels", "sum over latents", pixels),
        ("mean over pixels", "mean over latents", pixels / latents),
        ("sum over pixels", "mean over latents", 1 / latents),
        ("mean over pixels and batch", f"sum over latents and batch of {batch}", pixels * batch),
    ]
    # with σ² = β / 2: Σ(x - x̂)² + β KL = β (Σ(x - x̂)² / 2σ² + KL)
    return [{"distortion": d, "kl": kl, "beta": beta, "sigma_squared": beta / 2} for d, kl, beta in ways]


def entropy(data: Data, counted: Tensor) -> float:
    """The smallest "bce" that any decoder can reach: the entropy of pixels that are 1 with probability x. Nats per image."""
    check_images(data.images, (counted.shape[0], counted.shape[1], counted.shape[2]))
    x = data.images.cpu().double()
    return ((torch.special.entr(x) + torch.special.entr(1 - x)) * counted.cpu()).sum((1, 2, 3)).mean().item()


def variances(model: Model, distortion: float, beta: float) -> dict[str, float] | None:
    """For a Gaussian or mse: the variance, beta times the variance, and the mean squared error per pixel. Otherwise None."""
    pixels = round(model.counted.sum().item())
    if model.likelihood == "mse":
        variance, error = 0.5, distortion / pixels
    elif model.likelihood in ("gaussian", "learned-gaussian"):
        # D = P/2 log 2πσ² + Σ(x - x̂)² / 2σ²
        variance = math.exp(2 * model.log_sigma.item())
        error = 2 * variance * (distortion / pixels - 0.5 * math.log(2 * math.pi * variance))
    elif model.likelihood == "optimal-gaussian":
        variance = error = math.exp(2 * distortion / pixels - 1) / (2 * math.pi)  # σ² = MSE of a batch, so D = P/2 (log 2πσ² + 1)
    else:
        return None
    return {"of_the_likelihood": variance, "with_beta": beta * variance, "squared_error_per_pixel": error}


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    parts = [_head(report), _terms(report), _bounds(report), _latents(report), _variance(report), _reductions(report)]
    return "\n\n".join(part for part in parts if part)


def _head(r: dict[str, Any]) -> str:
    trained = ", ".join(f"{name} {value}" for name, value in r["trained_with"].items()) or "not recorded"
    return (
        f"{r['run']}: {r['model']}, latent size {r['latent_dim']}, likelihood {r['likelihood']}; trained: {trained}\n"
        f"Measured on {r['data']}; {times(r['passes'])} per image, seed {r['seed']}"
    )


def _terms(r: dict[str, Any]) -> str:
    lines = [f"{'per image':<34}{'nats':>10}{'± s.e.':>9}{'bits/dim':>10}"]
    for name, words in (("distortion", "distortion D"), ("rate", "rate R"), ("elbo", "ELBO = -(D + R), beta = 1")):
        lines.append(f"{words:<34}{r[name]:>10.3f}{r[f'{name}_standard_error']:>9.3f}{r['bits_per_dim'][name]:>10.4f}")
    if "distortion_plus_beta_rate" in r:
        words = f"D + {r['trained_with'].get('beta', 1.0):g} R (beta of training)"
        lines.append(f"{words:<34}{r['distortion_plus_beta_rate']:>10.3f}")
    if "least_distortion" in r:
        lines.append(f"{'least D of any decoder: entropy of x':<34}{r['least_distortion']:>8.3f}")
    lines.append(f"A dim is a pixel value; the distortion is a sum over {r['pixels']} of them. Units: {r['units']}.")
    lines.append("Standard errors are over images. With another training seed, the numbers may change by more.")
    return "\n".join(lines)


def _bounds(r: dict[str, Any]) -> str:
    beta = 1.0 if (trained := r["trained_with"].get("beta")) is None else trained
    lines = ["Bounds", f"  ELBO, beta = 1    {r['elbo_is']}"]
    if beta != 1 and r["elbo_is"].startswith("a lower bound"):
        said = "below the ELBO: a looser bound. Do not report it as the ELBO" if beta > 1 else "no bound"
        lines.append(f"  -(D + {beta:g} R)        {said}")
    lines.append(f"  rate              {r['rate_is']}")
    return "\n".join(lines)


def _latents(r: dict[str, Any]) -> str:
    lines = [f"{'latent':<8}{'KL, nats':>10}{'Var of mu':>11}"]
    by_kl = len(r["kl_per_latent"]) == r["latent_dim"]  # an estimated rate is one number for all latents together
    size = r["kl_per_latent"] if by_kl else r["variance_of_mu"]
    for j in sorted(range(r["latent_dim"]), key=lambda j: -size[j]):
        word, kl = "active" if r["active"][j] else "collapsed", f"{size[j]:.3f}" if by_kl else "-"
        lines.append(f"z_{j + 1:<6}{kl:>10}{r['variance_of_mu'][j]:>11.4f}  {word}")
    sums = "The KLs add up to R." if by_kl else "R belongs to all latents together."
    lines.append(f"{r['active_units']} of {r['latent_dim']} active: Var_x(E_q[z_j]) > 0.01. {sums}")
    return "\n".join(lines)


def _variance(r: dict[str, Any]) -> str:
    if r["variance"] is None:
        return ""
    v = r["variance"]
    return (
        f"Variance of a pixel in the likelihood: {v['of_the_likelihood']:.4g}. With the loss D + beta R, "
        f"training with this model's beta (1 if unknown) is equivalent to training with beta = 1 and the variance "
        f"{v['with_beta']:.4g}. Mean squared error per pixel: {v['squared_error_per_pixel']:.4g}"
    )


def _reductions(r: dict[str, Any]) -> str:
    lines = [
        "Sums and means: up to a factor, each loss is D + beta R. With mse, and up to a constant, it is also -ELBO of a "
        "Gaussian with variance sigma^2",
        f"  {'distortion':<28}{'KL':<36}{'beta':>10}{'sigma^2':>10}",
    ]
    lines += [f"  {w['distortion']:<28}{w['kl']:<36}{w['beta']:>10.6g}{w['sigma_squared']:>10.6g}" for w in r["reductions"]]
    return "\n".join(lines)
