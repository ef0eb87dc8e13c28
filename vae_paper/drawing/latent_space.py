"""Pictures of the latent space. Scatters, traversals and interpolations use mu, not a sample of z. (The ELBO samples z.)"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from vae_numpy.checks import check_alike, check_labels
from vae_paper.drawing import plots
from vae_paper.drawing.subject import Latents, Subject, caption, name_of, plain, x_hat
from vae_paper.measuring.elbo import active_units
from vae_paper.sampling import interpolation, samplers
from vae_paper.vae import Model

Array = np.ndarray
SHOWN = 5_000  # largest number of points in a map: more points would hide each other
EMBEDDED = 2_000  # largest number of points for t-SNE: its time grows faster than the number of points
COLUMNS = 11  # images in a row of traversals or interpolations; odd, so that a row has a middle
LATENTS = 10  # largest number of rows of traversals: latents with a small KL hardly change the image


def manifold(subject: Subject, path: Path) -> None:
    """The decoded 2-D latent space."""
    said = "The decoded latent space, at quantiles of N(0, 1)"
    plots.manifold(path, decoded_manifold(subject.model, 20), subject.caption(said, tested=False))


def decoded_manifold(model: Model, size: int) -> Float[Array, "N C H W"]:
    """x_hat at `size` x `size` points. Their coordinates are quantiles of N(0, 1) at evenly spaced probabilities."""
    return x_hat(model, torch.from_numpy(plots.manifold_latents(size))).numpy()


def means(subject: Subject) -> Latents:
    """mu of all test images, float64."""
    mu = subject.terms().mu
    assert mu is not None  # every model with these pictures has a mu for each image
    return mu.numpy()


def scatter(subject: Subject, path: Path) -> None:
    """mu of test images as points: directly if D = 2, projected by PCA and t-SNE if D > 2."""
    flat = subject.model.latent_dim == 2
    mu = means(subject)[: SHOWN if flat else EMBEDDED]
    panels = {"": (mu, "$\\mu$")} if flat else projections(mu, subject.seed)
    coloured = "" if subject.test.labels is None else ", coloured by label"
    said = subject.caption(f"Latent space: μ of {len(mu):,} images{coloured}")
    plots.scatters(path, panels, subject.labels(len(mu)), said)


def projections(mu: Latents, seed: int = 0) -> dict[str, tuple[Float[Array, "N 2"], str]]:
    """mu projected to two dimensions: by PCA (linear) and by t-SNE (keeps neighbours, not distances).

    Returns {title: (points, name of their coordinates)}. ValueError if there are fewer than 5 images or fewer than 2
    latents, if mu is not finite, or if mu is the same for all images.
    """
    from sklearn.decomposition import PCA  # imported here, because the import takes a second
    from sklearn.manifold import TSNE

    check_alike(2, mu=mu)
    if len(mu) < 5 or mu.shape[1] < 2 or not np.isfinite(mu).all() or not (np.ptp(mu, axis=0) > 0).any():
        raise ValueError(f"scatter: mu is {mu.shape}; expected at least 5 images and 2 latents, finite, not all the same")
    pca = PCA(2).fit(mu)
    share = pca.explained_variance_ratio_.sum()
    perplexity = min(30.0, (len(mu) - 1) / 3)  # about the number of neighbours; van der Maaten & Hinton 2008: 5 to 50
    embedded = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(mu)
    return {
        f"PCA: linear, {share:.0%} of the variance of μ": (pca.transform(mu), "PCA"),
        f"t-SNE, perplexity {perplexity:.0f}: neighbours, not distances": (embedded.astype(mu.dtype), "t-SNE"),
    }


def traversals(subject: Subject, path: Path) -> None:
    """One row for each latent: it changes from -3 to 3, and the other latents stay at mu of one image.

    The rows are the active latents, or all latents if none is active: at most `LATENTS`, the largest KL first.
    """
    terms, image = subject.terms(), subject.image
    assert terms.mu is not None
    kl = terms.rate.mean(0).numpy()
    order, active, values = np.argsort(-kl, kind="stable"), active_units(terms.mu).numpy(), np.linspace(-3, 3, COLUMNS)
    order = (order[active[order]] if active.any() else order)[:LATENTS]
    z = terms.mu[image].repeat(len(order), COLUMNS, 1)
    for row, latent in enumerate(order):
        z[row, :, latent] = torch.from_numpy(values)
    labels = None if subject.test.labels is None else subject.test.labels[image].repeat(len(order) * COLUMNS)
    images = x_hat(subject.model, z.flatten(0, 1), labels).unflatten(0, z.shape[:2]).numpy()
    of = "" if subject.test.labels is None else f", a {subject.test.labels[image]}"
    rows = [f"$z_{{{j + 1}}}$: {kl[j]:.2f} nats" for j in order]
    columns = [f"{value:.1f}" for value in values]
    said = subject.caption(f"Traversals: the other latents stay at μ of test image {image}{of}")
    plots.grid(path, images, said, rows, columns, "value of the latent", "latent and its KL")


def interpolations(subject: Subject, path: Path) -> None:
    """From one image to another along the straight line (lerp) and the arc (slerp).

    If the images have classes, also along a path through the mean of each image's class.
    """
    mu, labels = means(subject), subject.labels(len(subject.test.images))
    in_classes = len(np.unique(labels)) > 1
    names = labels if in_classes else np.arange(len(labels))
    rows, images = [], []
    for start, end in pairs(names, subject.image):
        ends = (mu[start], mu[end])
        ways = {"lerp": interpolation.lerp(*ends, COLUMNS), "slerp": interpolation.slerp(*ends, COLUMNS)}
        if in_classes:
            classes = (int(labels[start]), int(labels[end]))
            ways["by class means"] = interpolation.guided(*ends, mu, labels, classes, COLUMNS)
        for name, z in ways.items():
            rows.append(f"{names[start]} to {names[end]}, {name}: |z| = {np.linalg.norm(z[COLUMNS // 2]):.2f} half-way")
            images.append(x_hat(subject.model, torch.from_numpy(z)).numpy())
    columns = [f"{t:.1f}" for t in np.linspace(0, 1, COLUMNS)]
    said = "Interpolation from μ of one image to μ of another" + ("" if in_classes else "; images are numbered")
    plots.grid(path, np.stack(images), subject.caption(said), rows, columns, "fraction of the path")


def pairs(labels: Int[Array, " N"], first: int, count: int = 3) -> list[tuple[int, int]]:
    """At most `count` pairs of images with different labels: their indices. The search starts at image `first`."""
    check_labels(labels, len(labels), int(labels.max(initial=0)) + 1)
    if not 0 <= first < len(labels) or count < 1:
        raise ValueError(f"{count} pairs from image {first}: expected at least 1 pair, and an image from 0 to {len(labels) - 1}")
    found: list[tuple[int, int]] = []
    candidates = [index % len(labels) for index in range(first, first + len(labels))]
    while candidates and len(found) < count:
        start = candidates.pop(0)
        end = next((index for index in candidates if labels[index] != labels[start]), None)
        if end is not None:
            candidates.remove(end)
            found.append((start, end))
    if not found:
        raise ValueError("interpolation: expected at least two images, with different labels or numbers")
    return found


def side_by_side(subject: Subject, path: Path) -> None:
    """Latent maps and samples of two 2-D models. For both, the samples come from a Gaussian fitted to the latents."""
    assert subject.beside is not None  # `why_not` has checked it
    both = (subject, subject.beside)
    names = [name_of(one.about) for one in both]
    names = names if names[0] != names[1] else [f"{name}, {'first' if i == 0 else 'second'}" for i, name in enumerate(names)]
    models = {name: codes_and_samples(one) for name, one in zip(names, both, strict=True)}
    said = " and ".join(names) + ": latents of test images, and samples from a Gaussian fitted to each model's latents"
    said += "".join(caption("", one.model, one.about) for one in both) + f"\nTest images: {plain(subject.test.about)}"
    plots.side_by_side(path, models, subject.labels(SHOWN)[: len(subject.test.images)], said)


def codes_and_samples(subject: Subject, count: int = 100) -> dict[str, Any]:
    """Latents of test images; samples of a Gaussian fitted to these latents; x_hat of the samples; and, in words, how far the
    samples are from the nearest latents."""
    rng = np.random.default_rng(subject.seed)
    codes = samplers.latents_of(subject.model, subject.test.subset(slice(SHOWN)), subject.seed)
    z = samplers.gaussian(codes, count, rng)
    apart = nearest(z / codes.std(0), codes / codes.std(0))
    said = f"sample to nearest latent: median {np.median(apart):.3f}, 90th percentile {np.quantile(apart, 0.9):.3f}"
    decoded = x_hat(subject.model, torch.from_numpy(z)).numpy()
    what = f"z of {len(codes):,} test images"
    return {"codes": codes, "what": what, "z": z, "x_hat": decoded, "measured": f"{said}\nin standard deviations of the latents"}


def nearest(z: Float[Array, "M D"], codes: Latents) -> Float[Array, " M"]:
    """The distance from each z to the nearest of `codes`."""
    check_alike(2, z=z[:1], code=codes[:1])
    return torch.cdist(torch.tensor(z), torch.tensor(codes)).min(1).values.numpy()  # from_numpy warns if read-only
