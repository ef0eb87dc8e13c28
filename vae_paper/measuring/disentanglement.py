"""Disentanglement: three metrics of how well single latents match the factors that made the images, and what each misses.

A representation is a table, (N, D). It has a row of latents (codes) for each combination of factors, in the order of
`numpy.ravel_multi_index`; N is the product of the factors' `sizes`. So pairs and batches are looked up in the table, and the
mutual information gap (MIG) is a sum over all images.

Legend: N combinations, D latent size, V factors, L pairs of images behind one data point of the classifier
(or L images behind one vote).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from vae_numpy.checks import check_alike, check_at_least
from vae_paper import sprites
from vae_paper.vae import Model

Representation = Float[np.ndarray, "N D"]
Sizes = tuple[int, ...]
BINS = 20  # number of bins of a latent for MIG, as in disentanglement_lib (Locatello et al. 2019, arXiv:1811.12359)


class Accuracy(NamedTuple):
    """The share of right answers, and its standard error; `chance` is the share that guessing reaches.

    `f1` holds the F1 score of each factor: the harmonic mean of precision and recall, NaN for a factor that never came up.
    """

    value: float
    standard_error: float
    chance: float
    f1: tuple[float, ...]


@torch.inference_mode()
def codes_of_sprites(model: Model) -> Representation:
    """mu of every sprite. The first call draws the sprites, which takes 15 seconds; encoding them takes 15 seconds more."""
    images = sprites.all_images(model.image_shape[1])
    return torch.cat([model.encode(part)[0] for part in torch.from_numpy(images).split(500)]).double().numpy()


def higgins(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000, L: int = 64
) -> Accuracy:
    """The beta-VAE metric (Higgins et al. 2017, section 3): can a linear classifier tell which factor the images of a pair share?

    The classifier sees the mean of |z_1 - z_2| over L pairs that agree in one factor. The defaults of `train`, `test` and
    `L` are those of disentanglement_lib. The metric hardly sees most linear mixtures of the factors: the classifier undoes them.
    (It cannot undo a rotation of two factors by 45 degrees.)
    """
    from sklearn.linear_model import LogisticRegression  # imported here, since only this metric needs it, and it takes a second

    check(codes, sizes, train=train, test=test, L=L)
    codes = codes / np.maximum(codes.std(0), 1e-12)
    factor = rng.integers(len(sizes), size=train + test)
    features = differences(codes, sizes, factor, rng, L)
    features = (features - features[:train].mean(0)) / np.maximum(features[:train].std(0), 1e-12)
    linear = LogisticRegression(C=1e4, max_iter=10_000).fit(features[:train], factor[:train])
    return accuracy(linear.predict(features[train:]), factor[train:], len(sizes))


def factor_vae(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000, L: int = 64
) -> Accuracy:
    """FactorVAE's metric (Kim & Mnih 2018, arXiv:1802.05983, section 4): which latent varies least while one factor is fixed?

    Take L images that agree in one factor. The latent with the smallest variance, relative to its variance over all images,
    votes for that factor. Each latent then stands for the factor with most of its training votes. Constant latents do not vote.
    """
    check(codes, sizes, train=train, test=test, L=L)
    spread = codes.std(0)
    alive = spread > 1e-6 * spread.max()
    if not alive.any():
        raise ValueError("codes are the same for every combination: there is no latent to vote")
    return vote(codes[:, alive] / spread[alive], sizes, rng, train, test, L)


def differences(
    codes: Representation, sizes: Sizes, factor: Int64[np.ndarray, " M"], rng: np.random.Generator, L: int
) -> Float[np.ndarray, "M D"]:
    """The mean of |z_1 - z_2| over L random pairs of images, M times. The images of a pair agree in the given factor."""
    features = np.empty((len(factor), codes.shape[1]))
    for index, shared in enumerate(factor):
        first, second = (np.stack([rng.integers(size, size=L) for size in sizes]) for _ in range(2))  # (V, L) each
        second[shared] = first[shared]
        features[index] = np.abs(look_up(codes, first, sizes) - look_up(codes, second, sizes)).mean(0)
    return features


def vote(codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int, test: int, L: int) -> Accuracy:
    """The majority vote of FactorVAE's metric, by latents that are scaled to variance 1."""
    kept, steady = np.zeros((2, train + test), int)
    for index in range(train + test):
        kept[index] = rng.integers(len(sizes))
        factors = np.stack([rng.integers(size, size=L) for size in sizes])  # (V, L)
        factors[kept[index]] = factors[kept[index], 0]
        steady[index] = look_up(codes, factors, sizes).var(0).argmin()
    votes = np.zeros((codes.shape[1], len(sizes)), int)
    np.add.at(votes, (steady[:train], kept[:train]), 1)
    majority = votes.argmax(1)  # (D,): the factor that each latent stands for
    return accuracy(majority[steady[train:]], kept[train:], len(sizes))


def mig(codes: Representation, sizes: Sizes) -> Float[np.ndarray, " V"]:
    """The mutual information gap of each factor, 0 to 1; MIG is their mean (Chen et al. 2018, arXiv:1802.04942, eq. 6).

    (I(z_a; v) - I(z_b; v)) / H(v), where z_a and z_b are the two latents with the most information about v. It is 1 if one
    latent alone has all information about v. It is computed over all combinations, with mu in 20 bins of equal width. (The
    paper samples z from q(z|x) in place of mu, and leaves out the factor shape.)
    """
    check(codes, sizes)
    factors = np.unravel_index(np.arange(len(codes)), sizes)
    gaps = []
    for values, size in zip(factors, sizes, strict=True):
        known = [*sorted((mutual_information(bins(latent), values) for latent in codes.T), reverse=True), 0.0]
        gaps.append((known[0] - known[1]) / math.log(size))  # all values are equally frequent, so H(v) = log size
    return np.array(gaps)


def bins(latent: Float[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The bin of each code."""
    if latent.ndim != 1 or not len(latent) or not np.isfinite(latent).all():
        raise ValueError(f"latent is {latent.shape}: expected (N,), all finite")
    latent = latent.astype(np.float64)  # float32 would round the 1e-300 below to 0
    low, high = latent.min(), latent.max()
    return np.minimum((BINS * (latent - low) / max(high - low, 1e-300)).astype(np.int64), BINS - 1)


def mutual_information(a: Int64[np.ndarray, " N"], b: Int64[np.ndarray, " N"]) -> float:
    """I(a; b) of two columns of small integers, in nats."""
    if a.ndim != 1 or a.shape != b.shape or not len(a) or {a.dtype.kind, b.dtype.kind} - {*"iu"} or min(a.min(), b.min()) < 0:
        raise ValueError(f"found {a.dtype} {a.shape} and {b.dtype} {b.shape}; expected two columns of integers, 0 or more")
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def look_up(codes: Representation, factors: Int64[np.ndarray, "V L"], sizes: Sizes) -> Float[np.ndarray, "L D"]:
    """The codes of L combinations. ValueError if a factor is out of its range. (`check` checks the table itself.)"""
    return codes[np.ravel_multi_index(tuple(factors), sizes)]


def accuracy(answered: Int64[np.ndarray, " N"], asked: Int64[np.ndarray, " N"], factors: int) -> Accuracy:
    """The accuracy of the predicted factors `answered`; the true factors are `asked`."""
    for name, values in {"answered": answered, "asked": asked}.items():
        if values.shape != (len(asked),) or not len(values) or values.dtype.kind not in "iu":
            raise ValueError(f"{name} is {values.dtype} {values.shape}: expected ({len(asked)},), integers, and at least one")
        if not 0 <= values.min() <= values.max() < factors:
            raise ValueError(f"{name} reaches from {values.min()} to {values.max()}: expected factors from 0 to {factors - 1}")
    share = float(np.mean(answered == asked))
    both = np.zeros((factors, factors))
    np.add.at(both, (answered, asked), 1)
    mentioned = both.sum(0) + both.sum(1)
    f1 = np.divide(2 * both.diagonal(), mentioned, out=np.full(factors, np.nan), where=mentioned > 0)
    return Accuracy(share, math.sqrt(share * (1 - share) / len(asked)), 1 / factors, tuple(f1.tolist()))


def check(codes: Representation, sizes: Sizes, **counts: int) -> None:
    """ValueError if the table does not have one row for every combination, or if a count is below 2."""
    check_alike(None, codes=codes)
    check_at_least(2, **counts)
    if counts and len(sizes) < 2:
        raise ValueError(f"sizes are {sizes}: expected at least 2 factors, or there is nothing to tell apart")
    if min(sizes, default=0) < 2:
        raise ValueError(f"sizes are {sizes}: expected at least 2 values of each factor")
    if codes.ndim != 2 or len(codes) != math.prod(sizes):
        raise ValueError(f"codes are {codes.shape}; expected ({math.prod(sizes)}, D): a row for every combination of {sizes}")
    if not np.isfinite(codes).all():
        raise ValueError("codes hold NaN or infinity")
