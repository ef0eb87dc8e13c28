"""Three metrics of disentanglement: how well single latents represent the factors from which the images were made.

A representation is a table of codes, (N, D). Row n holds the D latents (the codes) of image n. There is one image for each
combination of factor values, in the order of `numpy.ravel_multi_index`. `sizes` holds the number of values of each factor; N
is their product. So a metric draws random factor values and looks up their codes. The mutual information gap (MIG) uses all rows.

Legend: N combinations, D latent size, V factors, M data points. L pairs of images give one data point of the beta-VAE metric; L
images give one data point of the FactorVAE metric.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64

from vae_numpy.checks import check_alike, check_at_least
from vae_paper import sprites
from vae_paper.measuring.elbo import evaluating
from vae_paper.vae import Model

Representation = Float[np.ndarray, "N D"]
Sizes = tuple[int, ...]
BINS = 20  # MIG puts the values of a latent into 20 bins, like disentanglement_lib (Locatello et al. 2019, arXiv:1811.12359)


class Accuracy(NamedTuple):
    """The accuracy (fraction of correct answers) and its standard error. `chance` is the accuracy of guessing.

    `f1` holds the F1 score of each factor: the harmonic mean of precision and recall. It is NaN for a factor that is neither a
    true answer nor a prediction.
    """

    value: float
    standard_error: float
    chance: float
    f1: tuple[float, ...]


@torch.inference_mode()
def codes_of_sprites(model: Model) -> Representation:
    """mu of every sprite. Encoding takes 15 seconds. The first call also draws the sprites: 15 seconds more."""
    images = torch.from_numpy(sprites.all_images(model.image_shape[1]))
    with evaluating(model):
        return torch.cat([model.encode(part.to(model.dtype))[0] for part in images.split(500)]).double().numpy()


def higgins(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000, L: int = 64
) -> Accuracy:
    """The beta-VAE metric (Higgins et al. 2017, section 3): the test accuracy of a linear classifier.

    One factor is chosen. In each of L pairs, both images have the same value of this factor. Their codes are z and z'. The
    classifier predicts the chosen factor from the mean of |z - z'| over these pairs. `train` and `test` are numbers of data
    points; the defaults are those of disentanglement_lib. The metric is often high even if each latent is a linear mixture of
    factors: the means of |z - z'| still depend on the chosen factor. (But if two factors have the same distribution, and two
    latents are their sum and their difference, the metric cannot tell these factors apart.)
    """
    from sklearn.linear_model import LogisticRegression  # imported here: it takes a second, and only this metric needs it

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
    """The FactorVAE metric (Kim & Mnih 2018, arXiv:1802.05983, section 4): the test accuracy of a majority vote.

    One factor has the same value in L images. Each latent's variance over these images is divided by its variance over all
    images. The latent with the smallest result votes for the fixed factor. After `train` votes, each latent predicts the factor
    that it voted for most often. `test` votes measure the accuracy. Constant latents do not vote.
    """
    check(codes, sizes, train=train, test=test, L=L)
    spread = codes.std(0)
    alive = spread > 1e-6 * spread.max()
    if not alive.any():
        raise ValueError("codes are the same for every combination: no latent can vote; expected one that varies")
    return vote(codes[:, alive] / spread[alive], sizes, rng, train, test, L)


def differences(
    codes: Representation, sizes: Sizes, factor: Int64[np.ndarray, " M"], rng: np.random.Generator, L: int
) -> Float[np.ndarray, "M D"]:
    """M averages of |z_1 - z_2|, each over L random pairs. In row m, the images of a pair share factor `factor[m]`."""
    features = np.empty((len(factor), codes.shape[1]))
    for index, shared in enumerate(factor):
        first, second = (np.stack([rng.integers(size, size=L) for size in sizes]) for _ in range(2))  # (V, L) each
        second[shared] = first[shared]
        features[index] = np.abs(look_up(codes, first, sizes) - look_up(codes, second, sizes)).mean(0)
    return features


def vote(codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int, test: int, L: int) -> Accuracy:
    """The majority vote of the FactorVAE metric. Every latent in `codes` was divided by its standard deviation."""
    kept, steady = np.zeros((2, train + test), int)  # of each vote: the fixed factor, and the latent with the least variance
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

    The gap of factor v is (I(z_a; v) - I(z_b; v)) / H(v). z_a is the latent with the most information about v, z_b the second.
    The gap is 1 if z_a determines v, and no other latent has information about v. It is computed from all combinations, with
    the codes in 20 bins of equal width. (The paper samples z from q(z|x); this project uses mu. The paper leaves out the factor
    shape.)
    """
    check(codes, sizes)
    factors = np.unravel_index(np.arange(len(codes)), sizes)
    gaps = []
    for values, size in zip(factors, sizes, strict=True):
        known = [*sorted((mutual_information(bins(latent), values) for latent in codes.T), reverse=True), 0.0]
        gaps.append((known[0] - known[1]) / math.log(size))  # all values are equally frequent, so H(v) = log size
    return np.array(gaps)


def bins(latent: Float[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The index of the bin of each code, 0 to 19. All bins have the same width."""
    if latent.ndim != 1 or not len(latent) or not np.isfinite(latent).all():
        raise ValueError(f"latent is {latent.shape}: expected (N,), all finite")
    latent = latent.astype(np.float64)  # float32 would round the 1e-300 below to 0
    low, high = latent.min(), latent.max()
    return np.minimum((BINS * (latent - low) / max(high - low, 1e-300)).astype(np.int64), BINS - 1)


def mutual_information(a: Int64[np.ndarray, " N"], b: Int64[np.ndarray, " N"]) -> float:
    """The mutual information I(a; b) of two columns of small integers, 0 or more, in nats."""
    if a.ndim != 1 or a.shape != b.shape or not len(a) or {a.dtype.kind, b.dtype.kind} - {*"iu"} or min(a.min(), b.min()) < 0:
        raise ValueError(f"found {a.dtype} {a.shape} and {b.dtype} {b.shape}; expected integers of one shape (N,), 0 or more")
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def look_up(codes: Representation, factors: Int64[np.ndarray, "V L"], sizes: Sizes) -> Float[np.ndarray, "L D"]:
    """The codes of L combinations. ValueError if a factor value is out of range. (`check` checks the table.)"""
    return codes[np.ravel_multi_index(tuple(factors), sizes)]


def accuracy(answered: Int64[np.ndarray, " N"], asked: Int64[np.ndarray, " N"], factors: int) -> Accuracy:
    """The accuracy of the predictions `answered`. `asked` are the true factors; `factors` is the number of factors."""
    for name, values in {"answered": answered, "asked": asked}.items():
        if values.shape != (len(asked),) or not len(values) or values.dtype.kind not in "iu":
            raise ValueError(f"{name} is {values.dtype} {values.shape}: expected ({len(asked)},), integers, and at least one")
        if not 0 <= values.min() <= values.max() < factors:
            raise ValueError(f"{name} holds {values.min()} to {values.max()}: expected factors from 0 to {factors - 1}")
    share = float(np.mean(answered == asked))
    both = np.zeros((factors, factors))
    np.add.at(both, (answered, asked), 1)
    mentioned = both.sum(0) + both.sum(1)
    f1 = np.divide(2 * both.diagonal(), mentioned, out=np.full(factors, np.nan), where=mentioned > 0)
    return Accuracy(share, math.sqrt(share * (1 - share) / len(asked)), 1 / factors, tuple(f1.tolist()))


def check(codes: Representation, sizes: Sizes, **counts: int) -> None:
    """ValueError if `codes` is not finite or does not have one row for each combination, or if a count or a size is below 2.

    `counts` are numbers of points, such as train and test. If any of them is given, ValueError also for fewer than 2 factors.
    """
    check_alike(None, codes=codes)
    check_at_least(2, **counts)
    if counts and len(sizes) < 2:
        raise ValueError(f"sizes are {sizes}: expected at least 2 factors, because this metric tells factors apart")
    if min(sizes, default=0) < 2:
        raise ValueError(f"sizes are {sizes}: expected at least 2 values of each factor")
    if codes.ndim != 2 or len(codes) != math.prod(sizes):
        raise ValueError(f"codes are {codes.shape}; expected ({math.prod(sizes)}, D), a row per combination of sizes {sizes}")
    if not np.isfinite(codes).all():
        raise ValueError("codes hold NaN or infinity")
