"""Metrics of disentanglement, computed and named as in disentanglement_lib (Locatello et al. 2019, arXiv:1811.12359).

The library is github.com/google-research/disentanglement_lib. Many papers report its values. The metrics of
`disentanglement.py` do not depend on the scale of a latent. Three of the metrics here do:

- `beta_vae_sklearn` and `sap_score` use classifiers with a penalty on the weights. So a latent with small values has little
  effect.
- `factor_vae_score` leaves out latents with a small standard deviation.

`dci` does not depend on the scale. The library's MIG is not in this file: it has the formula of
`disentanglement.mig`, but uses 10,000 random images, not all images.

A representation is a table of codes, as in `disentanglement.py`.

Legend: N combinations, D latent size, V factors, M data points. L pairs of images give one data point of the beta-VAE metric; L
images give one data point of the FactorVAE metric.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from vae_paper.measuring.disentanglement import Accuracy, Representation, Sizes, accuracy, check, differences, vote

THRESHOLD = 0.05  # a latent with a smaller standard deviation does not vote (in the library: prune_dims.threshold)
TINY = 1e-11  # added to each importance, as in the library, because 0 log 0 would be NaN
Importance = Float[np.ndarray, "D V"]


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, each from 0 to 1. `importance`: of each latent for each factor."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Importance


def beta_vae_sklearn(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000, L: int = 64
) -> Accuracy:
    """The beta-VAE metric (Higgins et al. 2017, section 3): `disentanglement.higgins`, but codes and features are not rescaled.

    The classifier is scikit-learn's logistic regression with default settings. They include a penalty on the weights (C = 1).
    Small features need large weights. So latents with small values, like those of an untrained encoder, have little effect.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    check(codes, sizes, train=train, test=test, L=L)
    factor = rng.integers(len(sizes), size=train + test)
    features = differences(codes, sizes, factor, rng, L)  # (train + test, D)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at most 100 iterations, the default, as in the library
        classifier = LogisticRegression().fit(features[:train], factor[:train])
    return accuracy(classifier.predict(features[train:]), factor[train:], len(sizes))


def factor_vae_score(
    codes: Representation,
    sizes: Sizes,
    rng: np.random.Generator,
    train: int = 10_000,
    test: int = 5_000,
    L: int = 64,
    variance: int = 10_000,
) -> Accuracy:
    """The FactorVAE metric (Kim & Mnih 2018, arXiv:1802.05983, section 4). Latents that hardly vary do not vote.

    The standard deviation of each latent is estimated from `variance` random images. A latent votes if its standard deviation
    is at least 0.05. If no latent votes, the value is 0, which is below chance.
    """
    check(codes, sizes, train=train, test=test, L=L, variance=variance)
    spread = sample(codes, sizes, rng, variance)[0].std(0, ddof=1)  # (D,)
    active = spread >= THRESHOLD
    if not active.any():
        return Accuracy(0.0, 0.0, 1 / len(sizes), (0.0,) * len(sizes))
    return vote(codes[:, active] / spread[active], sizes, rng, train, test, L)


def dci(codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000) -> DCI:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018, openreview.net/forum?id=By-7dz-AZ, section 2).

    For each factor, gradient boosted trees learn to predict its value from all latents. Each split of a tree compares one
    latent with a threshold, and reduces an error. R_ij, the importance of latent i for factor j, is the fraction of the
    total reduction that comes from splits on latent i. Informativeness is the test accuracy, mean over factors. (The paper
    reports the error instead: there, smaller is better.)

    With ten latents, training takes seconds or minutes. The time is roughly proportional to `train`, to D, and to the sum of
    `sizes`.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    check_sample(codes, sizes, train=train, test=test)
    points, factors = sample(codes, sizes, rng, train)
    test_points, test_factors = sample(codes, sizes, rng, test)
    importance, right = np.empty((codes.shape[1], len(sizes))), []
    for index, (values, test_values) in enumerate(zip(factors, test_factors, strict=True)):
        check_values(values, index)
        trees = GradientBoostingClassifier(random_state=int(rng.integers(2**31))).fit(points, values)
        importance[:, index] = np.abs(trees.feature_importances_)  # (D,); abs because rounding can give -1e-17
        right.append(float(np.mean(trees.predict(test_points) == test_values)))
    return DCI(disentanglement_of(importance), completeness_of(importance), math.fsum(right) / len(right), importance)


def disentanglement_of(importance: Importance) -> float:
    """Disentanglement, 0 to 1: it is 1 if each latent is important for one factor only (Eastwood & Williams 2018, section 2).

    It is a weighted mean over latents. The weight of a latent is its share of the total importance. So a latent that predicts
    nothing has weight 0.
    """
    check_importance(importance)
    total = importance.sum()
    # D = Σ_i ρ_i D_i with the weights ρ_i = Σ_j R_ij / Σ_ij R_ij; R is the importance
    return float((importance.sum(1) * concentration(importance)).sum() / total) if total > 0 else 0.0


def completeness_of(importance: Importance) -> float:
    """Completeness, 0 to 1: it is 1 if only one latent is important for each factor (Eastwood & Williams 2018, section 2)."""
    return disentanglement_of(importance.T)  # the same formula, with the columns of R (factors) in place of its rows (latents)


def concentration(importance: Float[np.ndarray, "A B"]) -> Float[np.ndarray, " A"]:
    """1 - H / log B of each row. H is the entropy of the row after division by its sum.

    The result is 1 if only one entry of the row is not 0, and 0 if all entries are equal.
    """
    check_importance(importance)
    shares = importance + TINY
    shares = shares / shares.sum(1, keepdims=True)
    # D_i = 1 - H(P_i), P_ij = R_ij / Σ_j R_ij, where the logarithm in H has base B
    return 1 + (shares * np.log(shares)).sum(1) / math.log(importance.shape[1])


def sap_score(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000
) -> Float[np.ndarray, " V"]:
    """The score of each factor (Kumar et al. 2018, arXiv:1711.00848, section 3). SAP is the mean of the scores.

    SAP: separated attribute predictability. A linear classifier predicts the factor from one latent. The score is the test
    accuracy of the best latent minus that of the second best. Even a perfect representation has a score below 1: the
    second best latent is sometimes right by chance, and from a single latent a linear classifier cannot tell many values apart.
    """
    from sklearn.svm import LinearSVC

    check_sample(codes, sizes, train=train, test=test)
    points, factors = sample(codes, sizes, rng, train)
    test_points, test_factors = sample(codes, sizes, rng, test)
    right = np.empty((codes.shape[1], len(sizes)))  # (D, V)
    for index, (values, test_values) in enumerate(zip(factors, test_factors, strict=True)):
        check_values(values, index)
        for latent in range(codes.shape[1]):
            # the library has dual=True, an old default; dual=False has the same minimum and needs no random numbers
            classifier = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(points[:, [latent]], values)
            right[latent, index] = np.mean(classifier.predict(test_points[:, [latent]]) == test_values)
    best = np.sort(right, axis=0)
    return best[-1] - best[-2]  # (V,)


def sample(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, count: int
) -> tuple[Float[np.ndarray, "M D"], Int64[np.ndarray, "V M"]]:
    """The codes of `count` random images, and their factors."""
    check(codes, sizes, count=count)
    rows = rng.integers(len(codes), size=count)
    return codes[rows], np.stack(np.unravel_index(rows, sizes))


def check_sample(codes: Representation, sizes: Sizes, **counts: int) -> None:
    """ValueError as in `disentanglement.check`, or if there are fewer than two latents."""
    check(codes, sizes, **counts)
    if codes.shape[1] < 2:
        raise ValueError(f"codes are {codes.shape}: expected at least 2 latents, since this metric compares latents")


def check_values(values: Int64[np.ndarray, " M"], factor: int) -> None:
    """ValueError if a factor has the same value in all training points: there is nothing to learn."""
    if not len(values) or values.min() == values.max():
        raise ValueError(f"factor {factor} has one value in all {len(values)} training points: expected 2 or more; raise train")


def check_importance(importance: Float[np.ndarray, "A B"]) -> None:
    """ValueError unless `importance` is a table of finite floats, 0 or more, with at least 2 rows and 2 columns."""
    if importance.ndim != 2 or min(importance.shape) < 2:
        raise ValueError(f"importance is {importance.shape}: expected (D, V), with at least 2 latents and 2 factors")
    if importance.dtype.kind != "f" or not np.isfinite(importance).all() or importance.min() < 0:
        raise ValueError("importance holds a negative number, NaN or infinity, or no floats; expected finite floats, 0 or more")
