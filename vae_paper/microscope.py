"""`python -m vae_paper inspect`, the loss microscope: what the two terms of a run are, in which units, and what they bound.

Legend: P pixels that the distortion counts (784, or those that a quadrant-cvae does not see), D latent size, B batch size.
"""

import math
from pathlib import Path
from typing import Any

import torch

from vae_numpy.checks import check_images
from vae_paper import checkpoint, evaluate
from vae_paper.config import Config
from vae_paper.cvae import QuadrantCVAE
from vae_paper.evaluate import Data
from vae_paper.vae import VAE

UNITS = {
    "bernoulli": "nats of binary pixels: a probability, so bits/dim are bits of a code",
    "discretised-logistic": "nats of 256 gray levels: a probability, so bits/dim are bits of a code (8 without a model)",
    "gaussian": "nats of a density: may be negative, and no bits of a code",
    "learned-gaussian": "nats of a density: may be negative, and no bits of a code",
    "continuous-bernoulli": "nats of a density on [0, 1]: may be negative, and no bits of a code",
    "optimal-gaussian": "nats of a density whose variance is fitted to the batch that it explains",
    "bce": "nats of the Bernoulli formula on grayscale, where it is no probability; its least value is the entropy of x",
    "mse": "squared error: nats of a Gaussian with variance 1/2, but for the constant",
}


def inspect(run: Path, source: str | None = None, passes: int = 5, seed: int = 0) -> dict[str, Any]:
    """All that `table` says, as numbers: of the model in a run's folder or weight file, on test images."""
    model, about = checkpoint.load_model(run)
    if not isinstance(model, VAE):
        raise ValueError(f"{run} holds the model {about['model']}; expected one with Gaussian latents")
    stored = about.get("config", {})
    data = evaluate.load_data(source or stored.get("source", "auto"), "test", stored.get("binarise", "none"))
    trained = {name: stored.get(name) for name in ("objective", "beta", "batch_size")} if stored else {}
    report = {"run": str(run), "model": about["model"], "latent_dim": model.latent_dim, "likelihood": model.likelihood}
    return report | {"trained_with": trained} | measure(model, data, passes, seed, trained.get("beta"))


def measure(model: VAE, data: Data, passes: int = 5, seed: int = 0, beta: float | None = None) -> dict[str, Any]:
    """Terms, units, bounds and latents of a model that was trained with `beta` (None: it is not known)."""
    terms = evaluate.averaged(model, data, passes, seed)
    mu, _ = evaluate.posterior(model, data, seed)
    summary = evaluate.summary(model, terms)
    pixels = pixels_of(model)
    nats_to_bits = 1 / (pixels * math.log(2))
    report: dict[str, Any] = {"data": data.about, "images": len(data.images), "passes": passes, "seed": seed}
    report |= summary | {"pixels": pixels, "units": UNITS[model.likelihood]}
    report["bits_per_dim"] = {name: summary[name] * nats_to_bits for name in ("elbo", "distortion", "rate")}
    if beta is not None:
        report["distortion_plus_beta_rate"] = summary["distortion"] + beta * summary["rate"]
    if model.likelihood == "bce":
        report["least_distortion"] = entropy(model, data)
    report["variance"] = variances(model, summary["distortion"], 1.0 if beta is None else beta)
    report["kl_per_latent"] = evaluate.kl_per_latent(terms).tolist()
    report["variance_of_mu"] = mu.double().var(0).tolist()
    report["active"] = evaluate.active_units(mu).tolist()
    report["active_units"] = sum(report["active"])
    report["reductions"] = reductions(pixels, model.latent_dim)
    return report


def reductions(pixels: int, latents: int, batch: int = Config.batch_size) -> list[dict[str, Any]]:
    """The beta of distortion + beta rate, both summed, that has the same optimum as other ways to reduce the two terms."""
    if min(pixels, latents, batch) < 1:
        raise ValueError(f"reductions: {pixels} pixels, {latents} latents, a batch of {batch}; expected at least 1 of each")
    ways = [
        ("sum over pixels", "sum over latents", 1.0),
        ("both divided by one number", "(P, B, P·B, ...)", 1.0),
        ("mean over pixels", "sum over latents", pixels),
        ("mean over pixels", "mean over latents", pixels / latents),
        ("sum over pixels", "mean over latents", 1 / latents),
        ("mean over pixels and batch", f"sum over latents and batch of {batch}", pixels * batch),
    ]
    # Σ(x - x̂)² + β KL is Σ(x - x̂)² / 2σ² + KL, times β, at σ² = β / 2
    return [{"distortion": d, "kl": kl, "beta": beta, "sigma_squared": beta / 2} for d, kl, beta in ways]


def pixels_of(model: VAE) -> int:
    """P: the pixels that the distortion is a sum over."""
    return round((1 - model.mask).sum().item()) if isinstance(model, QuadrantCVAE) else 784


def entropy(model: VAE, data: Data) -> float:
    """The least soft BCE that any decoder can reach: the entropy of each pixel taken as a probability, in nats per image."""
    check_images(data.images)
    counted = 1 - model.mask if isinstance(model, QuadrantCVAE) else 1.0
    x = data.images.double()
    return ((torch.special.entr(x) + torch.special.entr(1 - x)) * counted).sum((1, 2, 3)).mean().item()


def variances(model: VAE, distortion: float, beta: float) -> dict[str, float] | None:
    """Of a model with squared error in its distortion: its variance, what beta makes of it, and the error per pixel."""
    pixels = pixels_of(model)
    if model.likelihood == "mse":
        variance, error = 0.5, distortion / pixels
    elif model.likelihood in ("gaussian", "learned-gaussian"):
        # D = P/2 log 2πσ² + Σ(x - x̂)² / 2σ²
        variance = math.exp(2 * model.log_sigma.item())
        error = 2 * variance * (distortion / pixels - 0.5 * math.log(2 * math.pi * variance))
    elif model.likelihood == "optimal-gaussian":
        variance = error = math.exp(2 * distortion / pixels - 1) / (2 * math.pi)  # σ² = MSE, so D = P/2 (log 2πσ² + 1)
    else:
        return None
    return {"of_the_likelihood": variance, "with_beta": beta * variance, "squared_error_per_pixel": error}


def table(report: dict[str, Any]) -> str:
    """The report to be read."""
    parts = [_head(report), _terms(report), _bounds(report), _latents(report), _variance(report), _reductions(report)]
    return "\n\n".join(part for part in parts if part)


def _head(r: dict[str, Any]) -> str:
    trained = ", ".join(f"{name} {value}" for name, value in r["trained_with"].items()) or "its file does not say how"
    return (
        f"{r['run']}: {r['model']}, D = {r['latent_dim']}, likelihood {r['likelihood']}; trained: {trained}\n"
        f"Measured on {r['data']}; z sampled {r['passes']} times per image, seed {r['seed']}"
    )


def _terms(r: dict[str, Any]) -> str:
    lines = [f"{'per image':<34}{'nats':>10}{'± s.e.':>9}{'bits/dim':>10}"]
    for name, words in (("distortion", "distortion D"), ("rate", "rate R"), ("elbo", "ELBO = -(D + R), beta = 1")):
        lines.append(f"{words:<34}{r[name]:>10.3f}{r[f'{name}_standard_error']:>9.3f}{r['bits_per_dim'][name]:>10.4f}")
    if "distortion_plus_beta_rate" in r:
        words = f"D + {r['trained_with'].get('beta', 1.0):g} R, with the trained beta"
        lines.append(f"{words:<34}{r['distortion_plus_beta_rate']:>10.3f}")
    if "least_distortion" in r:
        lines.append(f"{'least D of any decoder: entropy of x':<34}{r['least_distortion']:>8.3f}")
    lines.append(f"Dimensions: {r['pixels']} pixels. Units: {r['units']}.")
    lines.append("Standard errors are over images; another seed of the training differs by more.")
    return "\n".join(lines)


def _bounds(r: dict[str, Any]) -> str:
    beta = r["trained_with"].get("beta") or 1.0
    lines = ["What is a bound", f"  ELBO, beta = 1    {r['elbo_is']}"]
    if beta != 1 and "not" not in r["elbo_is"]:
        said = "below the ELBO: a looser bound, and not to be reported as the ELBO" if beta > 1 else "no bound"
        lines.append(f"  -(D + {beta:g} R)        {said}")
    if r["model"] == "ae":
        lines.append("  rate              0 by definition: an autoencoder has neither noise nor prior")
    else:
        given = {"cvae": "|label", "quadrant-cvae": "|x_seen"}.get(r["model"], "")
        lines.append(f"  rate              an upper bound on the information in z about x, I(x; z{given})")
    return "\n".join(lines)


def _latents(r: dict[str, Any]) -> str:
    lines = [f"{'latent':<8}{'KL, nats':>10}{'Var of mu':>11}"]
    for j in sorted(range(r["latent_dim"]), key=lambda j: -r["kl_per_latent"][j]):
        word = "active" if r["active"][j] else "collapsed"
        lines.append(f"z_{j + 1:<6}{r['kl_per_latent'][j]:>10.3f}{r['variance_of_mu'][j]:>11.4f}  {word}")
    lines.append(f"{r['active_units']} of {r['latent_dim']} active: Var_x(E_q[z_j]) > 0.01. The KLs add up to R.")
    return "\n".join(lines)


def _variance(r: dict[str, Any]) -> str:
    if r["variance"] is None:
        return ""
    v = r["variance"]
    return (
        f"Variance of a pixel: {v['of_the_likelihood']:.4g} in the likelihood, {v['with_beta']:.4g} once beta has weighed the "
        f"rate; the squared error per pixel is {v['squared_error_per_pixel']:.4g}"
    )


def _reductions(r: dict[str, Any]) -> str:
    lines = [
        "What a reduction does to beta (and to the variance that a squared error stands for)",
        f"  {'distortion':<28}{'KL':<36}{'beta':>10}{'sigma^2':>10}",
    ]
    lines += [f"  {w['distortion']:<28}{w['kl']:<36}{w['beta']:>10.6g}{w['sigma_squared']:>10.6g}" for w in r["reductions"]]
    return "\n".join(lines)
