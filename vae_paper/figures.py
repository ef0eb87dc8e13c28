"""Arrays in, picture out. Every figure has labelled axes and a caption that says data, model and D."""

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Generator, Tensor, arange, randn, sigmoid

from vae_numpy.figures import save
from vae_paper.pixel_prior import PixelPrior
from vae_paper.vq_vae import VQVAE

Array = np.ndarray


def manifold_latents(size: int) -> Float[Array, "N 2"]:
    """size x size points of the 2-D latent space, spaced evenly in probability (Kingma & Welling 2013, Fig. 4).

    Row by row from the top: z_1 grows to the right, z_2 upwards.
    """
    quantiles = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def manifold(path: str | Path, x_hat: Float[Array, "N 1 28 28"], caption: str) -> None:
    """The decoded `manifold_latents`, as one sheet."""
    size = round(len(x_hat) ** 0.5)
    sheet = x_hat.reshape(size, size, 28, 28).transpose(0, 2, 1, 3).reshape(size * 28, size * 28)
    figure = Figure(figsize=(7, 7.4))
    axis = figure.add_subplot()
    axis.imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
    at = np.linspace(0, size - 1, 5).round().astype(int)
    quantiles = [f"{NormalDist().inv_cdf((i + 0.5) / size):.1f}" for i in at]
    axis.set_xticks(at * 28 + 14, quantiles)
    axis.set_yticks(at * 28 + 14, quantiles[::-1])
    axis.set(xlabel="$z_1$", ylabel="$z_2$")
    axis.set_title(caption, fontsize=10)
    figure.tight_layout()
    save(figure, path)


def scatter(path: str | Path, mu: Float[Array, "N 2"], labels: Int[Array, " N"], caption: str, axes: str = "$\\mu$") -> None:
    """Points of a 2-D latent space (or projection), coloured by label."""
    figure = Figure(figsize=(7, 6.2))
    axis = figure.add_subplot()
    size = 3 if len(mu) > 1000 else 6
    for label in np.unique(labels):
        chosen = labels == label
        axis.plot(*mu[chosen].T, ".", ms=size, alpha=0.6, color=f"C{label}", label=str(label))
    axis.set(xlabel=f"{axes}, first coordinate", ylabel=f"{axes}, second coordinate", aspect="equal")
    axis.legend(markerscale=12 / size, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axis.set_title(caption, fontsize=10)
    figure.tight_layout()
    save(figure, path)


def codebook_usage(path: str | Path, counts: dict[str, Int[Array, " K"]], caption: str) -> None:
    """How often each code is chosen, most used first, as a share of all choices; a line for each codebook."""
    figure = Figure(figsize=(7, 4))
    axis = figure.add_subplot()
    for label, n in counts.items():
        share = np.sort(n / n.sum())[::-1]
        perplexity = np.exp(-np.sum(share[share > 0] * np.log(share[share > 0])))
        axis.plot(np.arange(1, len(n) + 1), np.where(share > 0, share, np.nan), label=f"{label}: perplexity {perplexity:.0f}")
    axis.axhline(1 / len(n), color="0.6", lw=0.8, ls="--", label=f"all {len(n)} codes alike")
    axis.set(xlabel="code, most used first", ylabel="share of the choices", yscale="log")
    axis.legend(frameon=False)
    axis.set_title(caption, fontsize=9)
    figure.tight_layout()
    save(figure, path)


def reconstruct(model: Any, x: Tensor) -> Tensor:
    """The logits of p(x|z) at z = mu, or at the chosen codes."""
    if isinstance(model, PixelPrior):
        model = model.vq_vae
    return model.decode(model.encode(x) if isinstance(model, VQVAE) else model.encode(x)[0])


def sample_rows(model: Any, count: int, generator: Generator) -> tuple[dict[str, Float[Array, "N 1 28 28"]], str]:
    """x_hat of `count` samples in labelled rows of ten, and the prior in words; uniform codes beside a learned prior's."""
    beside = {}
    if isinstance(model, PixelPrior):
        labels = arange(count) % 10 if model.class_conditional else None
        logits = model.decode(model.sample(count, generator, labels))
        prior = "the learned prior" + (", labels 0 to 9 from the left" if model.class_conditional else "")
        beside = {"uniform": sigmoid(model.decode(model.vq_vae.sample(min(count, 10), generator))).numpy()}
    elif isinstance(model, VQVAE):
        logits, prior = model.decode(model.sample(count, generator)), "uniform codes"
    else:
        logits, prior = model.decode(randn(count, model.latent_dim, generator=generator)), "z ~ N(0, I)"
    x_hat = sigmoid(logits).numpy()
    return {f"{start + 1}…": x_hat[start : start + 10] for start in range(0, len(x_hat), 10)} | beside, prior
