"""Disentanglement metrics as disentanglement_lib computes them (Locatello et al. 2019, arXiv:1811.12359), with its names.

The library is github.com/google-research/disentanglement_lib, and many papers report its values. `disentanglement.py` asks the
same questions, but its answers do not depend on the scale of a latent. Here they do: `beta_vae_sklearn` and `sap_score` have
classifiers with a penalty on the weights, so that a latent with small values counts little, and `factor_vae_score` leaves out
latents with a small standard deviation. `dci` does not depend on the scale.

The library's MIG is not repeated here. It differs from `disentanglement.mig` only in the sample: it is estimated from 10,000
random images, and `mig` is a sum over all images.

A representation is a table of codes, as in `disentanglement.py`.

Legend: N combinations, D latent size, V factors, L pairs of images behind one data point of the classifier (or L images
behind one vote), M points of a sample.
"""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from vae_paper.measuring.disentanglement import Accuracy, Representation, Sizes, accuracy, check, differences, vote

THRESHOLD = 0.05  # standard deviation below which a latent does not vote: prune_dims.threshold in the library's configuration
TINY = 1e-11  # added to each importance, as in the library: 0 log 0 is then no NaN
Importance = Float[np.ndarray, "D V"]


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, each 0 to 1, and the importance of each latent for each factor."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Importance


def beta_vae_sklearn(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000, L: int = 64
) -> Accuracy:
    """The beta-VAE metric (Higgins et al. 2017, section 3): `disentanglement.higgins` without its two standardisations.

    The classifier is scikit-learn's logistic regression with its default settings. They include a penalty on the weights (C = 1).
    Small features need large weights. So the latents of an untrained or collapsed encoder count little.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    check(codes, sizes, train=train, test=test, L=L)
    factor = rng.integers(len(sizes), size=train + test)
    features = differences(codes, sizes, factor, rng, L)  # (train + test, D)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the default is at most 100 iterations, and the library keeps it
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
    """FactorVAE's metric (Kim & Mnih 2018, arXiv:1802.05983, section 4), where latents below a threshold do not vote.

    The standard deviation of each latent is estimated from a sample of `variance` images. A latent votes if its standard
    deviation is at least 0.05. If no latent votes, the value is 0, which is below chance.
    """
    check(codes, sizes, train=train, test=test, L=L, variance=variance)
    spread = sample(codes, sizes, rng, variance)[0].std(0, ddof=1)  # (D,)
    active = spread >= THRESHOLD
    if not active.any():
        return Accuracy(0.0, 0.0, 1 / len(sizes), (0.0,) * len(sizes))
    return vote(codes[:, active] / spread[active], sizes, rng, train, test, L)


def dci(codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000) -> DCI:
    """Disentanglement, completeness, informativeness (Eastwood & Williams 2018, openreview.net/forum?id=By-7dz-AZ, section 2).

    For each factor, gradient boosted trees learn to predict its value from all latents. The importance R_ij of latent i for
    factor j is the share of the trees' gain that comes from splits on latent i. Informativeness is the share of right predictions
    on test points, mean over factors. (The paper has the error instead: there, smaller is better.)

    The trees take seconds or minutes: the time is proportional to `train`, to D, and to the number of values of all factors.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    check_sample(codes, sizes, train=train, test=test)
    points, factors = sample(codes, sizes, rng, train)
    test_points, test_factors = sample(codes, sizes, rng, test)
    importance, right = np.empty((codes.shape[1], len(sizes))), []
    for index, (values, test_values) in enumerate(zip(factors, test_factors, strict=True)):
        check_values(values, index)
        trees = GradientBoostingClassifier(random_state=int(rng.integers(2**31))).fit(points, values)
        importance[:, index] = np.abs(trees.feature_importances_)  # (D,); rounding may leave -1e-17
        right.append(float(np.mean(trees.predict(test_points) == test_values)))
    return DCI(disentanglement_of(importance), completeness_of(importance), math.fsum(right) / len(right), importance)


def disentanglement_of(importance: Importance) -> float:
    """Whether each latent is important for one factor only, 0 to 1 (Eastwood & Williams 2018, section 2).

    A latent's share of all importance is its weight, so that a latent that predicts nothing does not count.
    """
    check_importance(importance)
    total = importance.sum()
    # D = Σ_i ρ_i D_i, where ρ_i = Σ_j R_ij / Σ_ij R_ij
    return float((importance.sum(1) * concentration(importance)).sum() / total) if total > 0 else 0.0


def completeness_of(importance: Importance) -> float:
    """Whether for each factor one latent only is important, 0 to 1 (Eastwood & Williams 2018, section 2)."""
    check_importance(importance)
    return disentanglement_of(importance.T)  # C_j comes from column j of R in the same way as D_i from row i


def concentration(importance: Float[np.ndarray, "A B"]) -> Float[np.ndarray, " A"]:
    """Each row is scaled to the sum 1; then 1 - H(row) / log B: 1 if one entry has everything, 0 if all entries are equal."""
    check_importance(importance)
    shares = importance + TINY
    shares = shares / shares.sum(1, keepdims=True)
    # D_i = 1 - H(P_i), P_ij = R_ij / Σ_j R_ij, where H has the base B
    return 1 + (shares * np.log(shares)).sum(1) / math.log(importance.shape[1])


def sap_score(
    codes: Representation, sizes: Sizes, rng: np.random.Generator, train: int = 10_000, test: int = 5_000
) -> Float[np.ndarray, " V"]:
    """The separated attribute predictability of each factor (Kumar et al. 2018, arXiv:1711.00848, section 3); SAP is their mean.

    For each latent alone, a linear classifier predicts the factor. The score is the share of right answers of the best latent,
    minus that of the second best. A linear classifier of one number cannot name all values of a factor with many values. So the
    score of a perfect representation is far below 1, and depends on the number of values.
    """
    from sklearn.svm import LinearSVC

    check_sample(codes, sizes, train=train, test=test)
    points, factors = sample(codes, sizes, rng, train)
    test_points, test_factors = sample(codes, sizes, rng, test)
    right = np.empty((codes.shape[1], len(sizes)))  # (D, V)
    for index, (values, test_values) in enumerate(zip(factors, test_factors, strict=True)):
        check_values(values, index)
        for latent in range(codes.shape[1]):
            # dual=False has the same minimum as the default of older versions, and needs no random numbers
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
    """ValueError if this is no table of finite numbers, 0 or more, with two rows and two columns or more."""
    if importance.ndim != 2 or min(importance.shape) < 2:
        raise ValueError(f"importance is {importance.shape}: expected (D, V), with at least 2 latents and 2 factors")
    if importance.dtype.kind != "f" or not np.isfinite(importance).all() or importance.min() < 0:
        raise ValueError("importance holds a negative number, NaN or infinity, or is not of floats; expected floats, 0 or more")
