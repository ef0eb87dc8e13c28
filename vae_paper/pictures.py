"""What each picture of Gaussian latents shows, computed from a model and its data, and handed to `figures`.

Pictures are the one place where mu may stand in for z.
"""

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vae_numpy.checks import check_alike, check_labels
from vae_paper import checkpoint, evaluate, figures, interpolation, samplers
from vae_paper.config import Config
from vae_paper.cvae import CLASSES, QuadrantCVAE
from vae_paper.evaluate import Data
from vae_paper.likelihoods import binarise
from vae_paper.replay import replay
from vae_paper.vae import AE, VAE, Model, reparameterize

Array = np.ndarray
Points = Float[Array, "N D"]

SHOWN = 5_000  # points of a map: more are one blot
EMBEDDED = 2_000  # points of t-SNE, whose time grows faster than they do
COLUMNS = 11  # of traversals and interpolations: odd, so that there is a middle
LATENTS = 20  # rows of traversals, at most
FRAMES = 40  # of the animation
DRAWS = 10  # images of one z, pixel by pixel
NAMES = {"quadrant-cvae": "quadrant-CVAE", "pixel-vae": "pixel-VAE", "pixel-prior": "pixel-prior"}  # others in capitals


@dataclasses.dataclass
class Subject:
    """What the pictures are made of: a model, its header, test images, and where it was read from."""

    path: Path
    model: Any
    about: dict[str, Any]
    test: Data
    seed: int = 0
    image: int = 0
    beside: Path | None = None

    def x(self) -> Float[Tensor, "N 1 28 28"]:
        """The test images as the model was shown its own: binarised where they were."""
        return binarise(self.test.images, self.test.binarisation, torch.Generator().manual_seed(self.seed))

    def mu(self) -> tuple[Points, Int[Array, " N"]]:
        """mu of all test images, float64, and their labels."""
        return evaluate.posterior(self.model, self.test, self.seed)[0].double().numpy(), self.test.labels.numpy()

    def caption(self, what: str, tested: bool = True) -> str:
        """What is shown; of which model, trained on what; and, where they are used, which test images."""
        return caption(what, self.model, self.about) + (f"\nTest images: {self.test.about}" if tested else "")


def caption(what: str, model: Model, about: dict[str, Any]) -> str:
    """`what` is shown, of which model, trained on what."""
    words = [NAMES.get(about["model"], about["model"].upper()), f"D = {model.latent_dim}"]
    if isinstance(model, VAE) and not isinstance(model, AE):
        words.append(f"β = {about.get('config', {}).get('beta', 1.0):g}")
    trained_on = about.get("data", "unknown data")
    trained_on = re.sub(r"(images of .*) \([\d,]+ images\)", r"\1", trained_on)  # "55,000 images of ... (60,000 images)"
    return f"{what}\n{', '.join(words)}, {model.likelihood}; trained on {trained_on}"


def load(path: Path, source: str | None = None, seed: int = 0, image: int = 0, beside: Path | None = None) -> Subject:
    """A run and the test split of `source` (default: of the data that it was trained on, where its header says so)."""
    model, about = checkpoint.load_model(path)
    config = about.get("config", {})
    test = evaluate.load_data(source or config.get("source", "auto"), "test", config.get("binarise", "none"))
    if not 0 <= image < len(test.images):
        raise ValueError(f"image is {image}: expected 0 to {len(test.images) - 1}, as the data are {test.about}")
    return Subject(path, model, about, test, seed, image, beside)


@torch.inference_mode()
def reconstructions(subject: Subject, path: Path) -> None:
    """x, and x_hat of mu and of a sample of q(z|x)."""
    x, labels = subject.x()[:12], subject.test.labels[:12]
    mu, logvar = subject.model.encode(x, labels)
    rows = {"x": x, "x̂ of μ": x_hat(subject.model, mu, labels)}
    if not isinstance(subject.model, AE):
        eps = torch.randn(mu.shape, generator=torch.Generator().manual_seed(subject.seed))
        rows["x̂ of z ~ q(z|x)"] = x_hat(subject.model, reparameterize(mu, logvar, eps), labels)
    images, columns = torch.stack(list(rows.values())).numpy(), [str(label) for label in labels.tolist()]
    figures.grid(path, images, subject.caption("Reconstructions"), list(rows), columns, "label")


def samples(subject: Subject, path: Path) -> None:
    """x_hat of 100 samples of the prior."""
    z, labels = samplers.draw("prior", subject.model, 10 * CLASSES, subject.seed)
    images = x_hat(subject.model, z, labels).unflatten(0, (10, CLASSES)).numpy()
    said = "Samples: x̂ of z ~ N(0, I)" + (", which no autoencoder was taught to decode" if isinstance(subject.model, AE) else "")
    columns = [str(label) for label in range(CLASSES)] if subject.model.takes_labels else None
    figures.grid(path, images, subject.caption(said, tested=False), columns=columns, across="class asked for" if columns else "")


def pixel_samples(subject: Subject, path: Path) -> None:
    """A few images drawn for each of five z of the prior: rows that look alike show what z says, as nothing else is shared."""
    z, _ = samplers.draw("prior", subject.model, 5, subject.seed)
    images = subject.model.sample(z.repeat_interleave(DRAWS, 0), torch.Generator().manual_seed(subject.seed))
    said = subject.caption("Samples: each row one z ~ N(0, I), pixels drawn in turn", tested=False)
    figures.grid(path, images.unflatten(0, (5, DRAWS)).numpy(), said, [f"z of sample {row + 1}" for row in range(5)])


def manifold(subject: Subject, path: Path) -> None:
    """The decoded 2-D latent space."""
    said = "The latent space decoded, evenly spaced in probability under N(0, I)"
    figures.manifold(path, decoded_manifold(subject.model, 20), subject.caption(said, tested=False))


def decoded_manifold(model: VAE, size: int) -> Float[Array, "N 1 28 28"]:
    """x_hat on the inverse-CDF grid."""
    return x_hat(model, torch.from_numpy(figures.manifold_latents(size)).float()).numpy()


def scatter(subject: Subject, path: Path) -> None:
    """Where test images are encoded: directly at D = 2, projected by PCA and t-SNE above."""
    mu, labels = subject.mu()
    shown = SHOWN if subject.model.latent_dim == 2 else EMBEDDED
    mu, labels = mu[:shown], labels[:shown]
    panels = {"": (mu, "$\\mu$")} if subject.model.latent_dim == 2 else projections(mu, subject.seed)
    figures.scatters(path, panels, labels, subject.caption(f"Latent space: μ of {len(mu):,} images, coloured by label"))


def projections(mu: Points, seed: int = 0) -> dict[str, tuple[Float[Array, "N 2"], str]]:
    """More than two dimensions on paper: by PCA, which is linear, and by t-SNE, which keeps neighbours and no distances."""
    from sklearn.decomposition import PCA  # a second of import that the other commands are spared
    from sklearn.manifold import TSNE

    check_alike(2, mu=mu)
    if min(mu.shape) < 2:
        raise ValueError(f"scatter: mu is {mu.shape}; expected at least two images and two latents")
    pca = PCA(2).fit(mu)
    share = pca.explained_variance_ratio_.sum()
    perplexity = min(30.0, (len(mu) - 1) / 3)  # van der Maaten & Hinton 2008 advise 5 to 50
    embedded = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(mu)
    return {
        f"PCA: linear, {share:.0%} of the variance of μ": (pca.transform(mu), "PCA"),
        f"t-SNE, perplexity {perplexity:.0f}: neighbours, not distances": (embedded.astype(mu.dtype), "t-SNE"),
    }


@torch.inference_mode()
def traversals(subject: Subject, path: Path) -> None:
    """One latent at a time from -3 to 3, the others at mu of an image; the latent that costs most KL on top."""
    at = slice(subject.image, subject.image + 1)
    mu, _ = subject.model.encode(subject.x()[at], subject.test.labels[at])
    kl = evaluate.kl_per_latent(evaluate.terms(subject.model, subject.test, seed=subject.seed)).numpy()
    order, values = by_kl(kl)[:LATENTS], np.linspace(-3, 3, COLUMNS)
    z = torch.from_numpy(traversed(mu[0].numpy(), order, values))
    labels = subject.test.labels[at].repeat(len(order) * COLUMNS)
    images = x_hat(subject.model, z.flatten(0, 1), labels).unflatten(0, z.shape[:2]).numpy()
    said = f"Traversals: the other latents stay at μ of test image {subject.image}, a {subject.test.labels[subject.image]}"
    rows = [f"$z_{{{j + 1}}}$: {kl[j]:.2f} nats" for j in order]
    columns = [f"{value:.1f}" for value in values]
    figures.grid(path, images, subject.caption(said), rows, columns, "value of the latent", "latent and its KL")


def by_kl(kl: Float[Array, " D"]) -> Int[Array, " D"]:
    """The latents in the order of what they cost, the largest KL first."""
    check_alike(1, kl=kl)
    if not np.isfinite(kl).all():
        raise ValueError("kl holds NaN or infinity: the latents have no order")
    return np.argsort(-kl, kind="stable")


def traversed(z: Float[Array, " D"], latents: Int[Array, " R"], values: Float[Array, " C"]) -> Float[Array, "R C D"]:
    """z with one coordinate set to each of `values`: a coordinate, of `latents`, for each row."""
    check_alike(1, z=z)
    if latents.dtype.kind not in "iu" or not ((latents >= 0) & (latents < len(z))).all():
        raise ValueError(f"latents are {latents}: expected integers from 0 to {len(z) - 1}")
    points = np.tile(z, (len(latents), len(values), 1))
    for row, latent in enumerate(latents):
        points[row, :, latent] = values
    return points


def interpolations(subject: Subject, path: Path) -> None:
    """From one image to another by three ways: the line, the arc, and through the means of their classes."""
    mu, labels = subject.mu()
    rows, images = [], []
    for start, end in pairs(labels, subject.image):
        for name, z in ways(mu, labels, start, end).items():
            rows.append(f"{labels[start]} to {labels[end]}, {name}: |z| = {np.linalg.norm(z[COLUMNS // 2]):.2f} half-way")
            images.append(x_hat(subject.model, torch.from_numpy(z).float()).numpy())
    columns = [f"{t:.1f}" for t in np.linspace(0, 1, COLUMNS)]
    said = "Interpolation from μ of one image to μ of another"
    figures.grid(path, np.stack(images), subject.caption(said), rows, columns, "share of the way")


def pairs(labels: Int[Array, " N"], first: int, count: int = 3) -> list[tuple[int, int]]:
    """Ends to interpolate between: image `first` and those that follow, two by two, each pair of two classes."""
    check_labels(labels, len(labels))
    if not 0 <= first < len(labels) or count < 1:
        raise ValueError(f"{count} pairs from image {first} of {len(labels)}: expected at least 1, from an image that there is")
    found: list[tuple[int, int]] = []
    candidates = [index % len(labels) for index in range(first, first + len(labels))]
    while candidates and len(found) < count:
        start = candidates.pop(0)
        end = next((index for index in candidates if labels[index] != labels[start]), None)
        if end is not None:
            candidates.remove(end)
            found.append((start, end))
    if not found:
        raise ValueError("interpolation: expected images of at least two classes")
    return found


def ways(mu: Points, labels: Int[Array, " N"], start: int, end: int) -> dict[str, Float[Array, "T D"]]:
    """Three paths from mu[start] to mu[end]."""
    check_labels(labels, len(mu))
    if not 0 <= min(start, end) <= max(start, end) < len(mu):
        raise ValueError(f"from image {start} to {end}: expected 0 to {len(mu) - 1}")
    ends = (int(labels[start]), int(labels[end]))
    return {
        "lerp": interpolation.lerp(mu[start], mu[end], COLUMNS),
        "slerp": interpolation.slerp(mu[start], mu[end], COLUMNS),
        "by class means": interpolation.guided(mu[start], mu[end], mu, labels, ends, COLUMNS),
    }


def cvae_grid(subject: Subject, path: Path) -> None:
    """A style z in each row, a class in each column."""
    z, labels = style_by_class(subject.model.latent_dim, 10, subject.seed)
    images = x_hat(subject.model, z, labels).unflatten(0, (-1, CLASSES)).numpy()
    columns = [str(label) for label in labels[:CLASSES].tolist()]
    rows = [str(index + 1) for index in range(len(images))]
    said = "Style against class: one z ~ N(0, I) per row, one label per column"
    figures.grid(path, images, subject.caption(said, tested=False), rows, columns, "label given to the decoder", "style z")


def style_by_class(latent_dim: int, styles: int, seed: int = 0) -> tuple[Float[Tensor, "N D"], Int[Tensor, " N"]]:
    """`styles` samples of the prior, each with every label in turn."""
    if min(latent_dim, styles) < 1:
        raise ValueError(f"style_by_class: latent_dim {latent_dim}, {styles} styles; expected at least 1 of both")
    z = torch.randn(styles, latent_dim, generator=torch.Generator().manual_seed(seed))
    return z.repeat_interleave(CLASSES, 0), torch.arange(CLASSES).repeat(styles)


def rate(subject: Subject, path: Path) -> None:
    """KL per latent, and which latents are active."""
    kl = evaluate.kl_per_latent(evaluate.terms(subject.model, subject.test, seed=subject.seed)).numpy()
    active = evaluate.active_units(evaluate.posterior(subject.model, subject.test, subject.seed)[0]).numpy()
    figures.rate(path, kl, active, subject.caption("KL per latent; active: the variance over x of E[$z_j$|x] exceeds 0.01"))


def curves(subject: Subject, path: Path) -> None:
    """metrics.csv as curves."""
    with open(subject.path / "metrics.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    figures.curves(path, rows, subject.caption("Training, epoch by epoch", tested=False))


def ae_beside_vae(subject: Subject, path: Path) -> None:
    """Samples and latent maps of an AE and a VAE, both treated alike: a Gaussian is fitted to the codes of each."""
    assert subject.beside is not None  # `why_not` saw to it
    other = load(subject.beside, subject.about.get("config", {}).get("source"), subject.seed)
    both = sorted((subject, other), key=lambda r: r.about["model"])
    if [r.about["model"] for r in both] != ["ae", "vae"] or other.model.latent_dim != 2:
        found = f"{subject.about['model']} and {other.about['model']}, D = {other.model.latent_dim}"
        raise ValueError(f"ae-beside-vae: found {found}; expected an ae and a vae, D = 2 both")
    models = {r.about["model"].upper(): codes_and_samples(r) for r in both}
    said = "Autoencoder and VAE: codes of test images, and samples of a Gaussian fitted to the codes of each"
    said += "".join(caption("", r.model, r.about) for r in both) + f"\nTest images: {subject.test.about}"
    figures.side_by_side(path, models, subject.test.labels[:SHOWN].numpy(), said)


def codes_and_samples(subject: Subject, count: int = 100) -> dict[str, Any]:
    """Codes of test images, samples of a Gaussian fitted to them, decoded, and how far the samples are from the codes."""
    rng = np.random.default_rng(subject.seed)
    shown = subject.test._replace(images=subject.test.images[:SHOWN], labels=subject.test.labels[:SHOWN])
    codes = samplers.codes(subject.model, shown, rng)
    z = samplers.gaussian(codes, count, rng)
    apart = nearest(z / codes.std(0), codes / codes.std(0))
    said = f"a sample's nearest code is {np.median(apart):.3f} away (median; 9 of 10 within {np.quantile(apart, 0.9):.3f})"
    decoded = x_hat(subject.model, torch.from_numpy(z).float()).numpy()
    what = "μ of test images" if isinstance(subject.model, AE) else "z ~ q(z|x) of test images"
    measured = f"{said}\nin standard deviations of the codes"
    return {"codes": codes, "what": what, "z": z, "x_hat": decoded, "measured": measured}


def nearest(z: Float[Array, "M D"], codes: Points) -> Float[Array, " M"]:
    """The distance from each z to the code that is nearest."""
    check_alike(2, z=z[:1], code=codes[:1])
    return torch.cdist(torch.tensor(z), torch.tensor(codes)).min(1).values.numpy()  # copies: what is read-only stays so


@torch.inference_mode()
def completions(subject: Subject, path: Path) -> None:
    """What is seen of an image, several completions of it, and the image."""
    x = subject.x()[subject.image :][:8]
    images = completed(subject.model, x, 8, subject.seed).numpy()
    columns = ["seen", *[str(k + 1) for k in range(images.shape[1] - 2)], "x"]
    rows = [f"a {label}" for label in subject.test.labels[subject.image :][:8].tolist()]
    said = "Completions: z ~ p(z|seen), the unseen part is x̂"
    figures.grid(path, images, subject.caption(said), rows, columns, "completions between what is seen and the original")


def completed(model: QuadrantCVAE, x: Float[Tensor, "B 1 28 28"], count: int, seed: int) -> Float[Tensor, "B C 1 28 28"]:
    """For each image: its seen part (the rest gray), `count` completions that keep it, and the image itself."""
    eps = torch.randn(count, len(x), model.latent_dim, generator=torch.Generator().manual_seed(seed))
    rest = torch.sigmoid(model.complete(x, eps)) * (1 - model.mask)
    seen = x * model.mask
    columns = [seen + 0.5 * (1 - model.mask), *(seen + rest), x]
    return torch.stack(columns, 1)


def animation(subject: Subject, path: Path) -> None:
    """The 2-D manifold while it forms: the run's own training, taken again from its seed."""
    config = Config(**subject.about["config"])
    frames: list[Float[Array, "N 1 28 28"]] = []
    said: list[str] = []

    def look(step: int, steps: int, model: Any) -> None:
        frames.append(decoded_manifold(model, 12))
        said.append(f"step {step:,} of {steps:,}, epoch {step / steps * config.epochs:.2f}")

    replay(config, look, FRAMES)
    figures.animation(path, frames, said, subject.caption("The latent space while it forms", tested=False))


@torch.inference_mode()
def x_hat(model: VAE, z: Float[Tensor, "N D"], labels: Tensor | None = None) -> Float[Tensor, "N 1 28 28"]:
    """sigmoid(logits); only a model that is conditioned on labels is told them."""
    return torch.sigmoid(model.decode(z, labels if model.takes_labels else None))
