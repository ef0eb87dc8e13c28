"""disentanglement_lib's metrics, DCI and SAP have the values that were derived beforehand, on representations that are known.

In each table all combinations occur once, so its factors are independent exactly. The sizes of the factors differ, and so do the
numbers of latents and factors, except where a derivation needs symmetry.
"""

import math

import numpy as np
import pytest
from conftest import assert_close
from scipy.linalg import hadamard
from sklearn.metrics import mutual_info_score
from test_evaluator import ERRORS

from vae_paper.measuring import disentanglement, disentanglement_lib
from vae_paper.measuring.disentanglement_lib import beta_vae_sklearn, dci, factor_vae_score, sap_score

FEW = {"train": 400, "test": 400}
MANY = {"train": 10_000, "test": 10_000}  # SAP's penalty weighs little beside 10,000 points only
SIZES = (2, 3, 4, 5, 6)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def factors_of(sizes: tuple[int, ...]) -> np.ndarray:
    """One latent for each factor, of mean 0 and variance 1."""
    factors = np.stack(np.unravel_index(np.arange(math.prod(sizes)), sizes), axis=1).astype(float)
    return (factors - factors.mean(0)) / factors.std(0)


def perfect(sizes: tuple[int, ...], more: int) -> np.ndarray:
    """One latent for each factor, and `more` latents that never vary."""
    return np.hstack([factors_of(sizes), np.full((math.prod(sizes), more), 0.3)])


def rotated() -> np.ndarray:
    """The last two of the factors of sizes (2, 3, 3) are rotated by 45 degrees; one more latent never varies."""
    codes = perfect((2, 3, 3), 1)
    x, y = codes[:, 1].copy(), codes[:, 2].copy()
    codes[:, 1], codes[:, 2] = (x + y) / 2**0.5, (y - x) / 2**0.5
    return codes


def mixed() -> np.ndarray:
    """Four factors of 3 values; each of four latents is a sum of all factors, half of them with a minus sign.

    Two sign changes of factors exchange the latents and keep any one factor. So no latent knows more of a factor than another.
    """
    return factors_of((3, 3, 3, 3)) @ hadamard(4) / 2


def collapsed(scale: float) -> np.ndarray:
    """Three of the five factors at scale 1; seven latents at a small scale, four of the fourth factor and three of the fifth."""
    codes = factors_of(SIZES)
    return np.hstack([codes[:, :3], scale * codes[:, [3, 4, 3, 4, 3, 4, 3]]])


def noise(sizes: tuple[int, ...]) -> np.ndarray:
    """Three latents that are independent of all factors."""
    return rng().standard_normal((math.prod(sizes), 3))


def near(found: disentanglement.Accuracy, share: float) -> bool:
    """Whether an accuracy of 400 answers is the share of right answers that was derived."""
    return abs(found.value - share) <= ERRORS * math.sqrt(share * (1 - share) / 400)


def test_perfect():
    """Every answer is right. The trees split on the factor's own latent only; a linear classifier of this latent names each of 2,
    3 or 4 values, and of any other latent guesses: SAP is 1 - 1/2, 1 - 1/3 and 1 - 1/4."""
    sizes, codes = (2, 3, 4), perfect((2, 3, 4), 2)
    assert beta_vae_sklearn(codes, sizes, rng(), **FEW).value == 1
    assert factor_vae_score(codes, sizes, rng(), **FEW).value == 1
    found = dci(codes, sizes, rng(), 300, 200)
    assert found.importance.shape == (5, 3)
    assert_close(found.importance, np.eye(5, 3), 1e-6, "each latent is important for its own factor")
    assert found[:3] == pytest.approx((1, 1, 1), abs=1e-6)
    assert_close(sap_score(codes, sizes, rng(), **MANY), [1 / 2, 2 / 3, 3 / 4], ERRORS * math.sqrt(0.25 / 10_000))


def test_perfect_with_many_values():
    """The classifier has a linear function of the latent for each value. Of 16, only those of the two ends are ever the largest.
    So the best latent is right in 2/16 of the cases, and the second best, a guess, in 1/16."""
    codes = perfect((3, 16), 1)
    assert_close(sap_score(codes, (3, 16), rng(), **MANY), [2 / 3, 1 / 16], ERRORS * math.sqrt(0.25 / 10_000))


def test_rotated():
    """The rotated pair cannot be told apart: 1/3 + 2/3 · 1/2 of the answers are right. Both latents of the pair are as important
    for both factors, as y -> -y shows, which exchanges the latents and keeps x. So each has H = log 2, of at most log 3 (factors)
    and log 4 (latents). SAP is 1/2 for the first factor, and 0 for the others, since two latents predict them equally well."""
    sizes, codes = (2, 3, 3), rotated()
    assert near(beta_vae_sklearn(codes, sizes, rng(), **FEW), 2 / 3)
    assert near(factor_vae_score(codes, sizes, rng(), **FEW), 2 / 3)
    found = dci(codes, sizes, rng(), 1_000, 200)
    assert found.disentanglement == pytest.approx((1 + 2 * (1 - math.log(2) / math.log(3))) / 3, abs=0.02)
    assert found.completeness == pytest.approx((1 + 2 * (1 - math.log(2) / math.log(4))) / 3, abs=0.02)
    assert found.informativeness == 1, "trees of both latents know both factors"
    assert_close(sap_score(codes, sizes, rng(), **MANY), [1 / 2, 0, 0], ERRORS * math.sqrt(0.25 / 10_000))


def test_mixed():
    """All latents know each factor equally well: chance (1/4) for the first two, no concentration for DCI, and no gap for SAP."""
    sizes, codes = (3, 3, 3, 3), mixed()
    assert near(beta_vae_sklearn(codes, sizes, rng(), **FEW), 1 / 4)
    assert near(factor_vae_score(codes, sizes, rng(), **FEW), 1 / 4)
    found = dci(codes, sizes, rng(), 1_000, 200)
    assert max(found.disentanglement, found.completeness) < 0.05
    assert found.informativeness > 0.9, "and together the latents know all factors"
    assert_close(sap_score(codes, sizes, rng(), **MANY), np.zeros(4), ERRORS * math.sqrt(0.25 / 10_000))


@pytest.mark.parametrize("scale", [1e-3, 0.0])
def test_collapsed_as_the_library_sees_it(scale):
    """Latents at a scale of 1/1000 are as good as constant. The classifier knows three factors and answers with one of the other
    two: 3/5 + 2/5 · 1/2. Of the votes, the three latents have all: when another factor is fixed, no answer is right: 3/5."""
    codes = collapsed(scale)
    assert near(beta_vae_sklearn(codes, SIZES, rng(), **FEW), 4 / 5)
    assert near(factor_vae_score(codes, SIZES, rng(), **FEW), 3 / 5)


def test_collapsed_as_ours_see_it():
    """The scale of a latent does not matter to ours: all five factors are known, as long as the small latents vary at all."""
    for codes, shares in ((collapsed(1e-3), (1, 1)), (collapsed(0.0), (4 / 5, 3 / 5))):
        for metric, share in zip((disentanglement.higgins, disentanglement.factor_vae), shares, strict=True):
            assert near(metric(codes, SIZES, rng(), **FEW), share)


@pytest.mark.thorough
def test_collapsed_for_trees_and_for_one_latent_alone():
    """Each latent serves one factor: disentanglement is 1, at any scale. The importance of the last two factors is shared by 4
    and 3 equal latents out of 10, so their completeness is 1 - log 4 / log 10 and 1 - log 3 / log 10 if it is shared equally, and
    more if it is not. SAP is that of a perfect representation for three factors, and no latent alone is best for the others.
    Constant latents know nothing: their importance is 0, so that they do not count, and the last two factors are guessed."""
    small = (2, 3, 4, 2, 3)
    codes = factors_of(small)
    alike = np.hstack([codes[:, :3], 1e-3 * codes[:, [3, 4, 3, 4, 3, 4, 3]]])
    found = dci(alike, small, rng(), 300, 200)
    assert found.disentanglement == pytest.approx(1, abs=1e-6) and found.informativeness == 1
    shared = 3 / 5 + (1 - math.log(4) / math.log(10) + 1 - math.log(3) / math.log(10)) / 5
    assert shared - 1e-6 <= found.completeness < shared + 0.05
    constant = np.hstack([codes[:, :3], np.zeros((len(codes), 7))])
    found = dci(constant, small, rng(), 300, 300)
    assert (found.importance[3:] == 0).all()
    expected = (3 + 1 / 2 + 1 / 3) / 5
    assert abs(found.informativeness - expected) < ERRORS * math.sqrt((1 / 4 + 2 / 9) / 25 / 300)
    for scale in (1e-3, 0.0):
        gaps = sap_score(collapsed(scale), SIZES, rng(), **MANY)
        assert_close(gaps, [1 / 2, 2 / 3, 3 / 4, 0, 0], ERRORS * math.sqrt(0.25 / 10_000))


@pytest.mark.thorough
def test_noise():
    """Chance (1/6) for the first two, and no gap for SAP. The trees split on all latents equally. They are right as often as a
    guess, the mean of 1/2, 1/3, ..., 1/7 = 0.2655, apart from test images that are among the 100 training points: 2.0%, since
    1 - (1 - 1/5040)^100 = 0.020."""
    sizes = (2, 3, 4, 5, 6, 7)
    codes = noise(sizes)
    assert near(beta_vae_sklearn(codes, sizes, rng(), **FEW), 1 / 6)
    assert near(factor_vae_score(codes, sizes, rng(), **FEW), 1 / 6)
    assert_close(sap_score(codes, sizes, rng(), **MANY), np.zeros(6), ERRORS * math.sqrt(0.25 / 10_000))
    found = dci(codes, sizes, rng(), 100, 400)
    assert max(found.disentanglement, found.completeness) < 0.05
    assert abs(found.informativeness - (0.020 + 0.980 * 0.2655)) < ERRORS * math.sqrt(0.2 / 6 / 400)


def test_the_importance_by_hand():
    """Importances of 3 latents for 2 factors. The rows have shares (1, 0), (1/2, 1/2) and (1/4, 3/4): H = 0, 1 and 0.8113 bit.
    Their weights are 0.4, 0.4 and 0.2. The columns (4, 2, 1/2) and (0, 2, 3/2) have the weights 0.65 and 0.35."""
    importance = np.array([[4, 0], [2, 2], [0.5, 1.5]])

    def entropy(*shares):
        return -sum(p * math.log(p) for p in shares) / math.log(3)

    completeness = 0.65 * (1 - entropy(4 / 6.5, 2 / 6.5, 0.5 / 6.5)) + 0.35 * (1 - entropy(2 / 3.5, 1.5 / 3.5))
    assert_close(disentanglement_lib.concentration(importance), [1, 0, 1 - 0.8112781], 1e-7)
    assert disentanglement_lib.disentanglement_of(importance) == pytest.approx(0.4 + 0.2 * (1 - 0.8112781), abs=1e-7)
    assert disentanglement_lib.completeness_of(importance) == pytest.approx(completeness, abs=1e-7)
    nothing = np.zeros((3, 2))
    assert disentanglement_lib.disentanglement_of(nothing) == disentanglement_lib.completeness_of(nothing) == 0


@pytest.mark.parametrize(("scale", "share"), [(0.051, 1.0), (0.049, 0.5)])
def test_a_latent_votes_from_a_standard_deviation_of_one_in_twenty(scale, share):
    """One of two factors has a latent at scale 1. If the latent of the other one does not vote, half of the answers are right."""
    codes = factors_of((4, 5)) * [1, scale]
    assert near(factor_vae_score(codes, (4, 5), rng(), **FEW), share)


def test_a_latent_s_variance_is_relative_to_its_variance_over_all_images():
    """Each latent is a factor plus 0.3 times another. While the factor is fixed, 8% of the latent's variance is left; while the
    other one is fixed, 92%. So every answer is right, whatever the scale of each latent."""
    codes = factors_of((2, 3, 4))
    codes = (codes + 0.3 * np.roll(codes, 1, axis=1)) * [1, 10, 100]
    assert factor_vae_score(codes, (2, 3, 4), rng(), **FEW).value == 1


def test_where_no_latent_votes_nothing_is_right():
    found = factor_vae_score(0.01 * factors_of((2, 3)), (2, 3), rng(), **FEW)
    assert found == (0, 0, 1 / 2, (0, 0))


def test_the_gap_of_mutual_information_is_the_library_s():
    """The library's MIG of the whole table: bins from numpy's histogram, information from scikit-learn."""
    sizes = (2, 3, 4)
    codes = factors_of(sizes) @ rng().standard_normal((3, 5))
    factors = np.unravel_index(np.arange(24), sizes)
    gaps = []
    for values in factors:
        binned = [np.digitize(latent, np.histogram(latent, 20)[1][:-1]) for latent in codes.T]
        *_, second, first = sorted(mutual_info_score(values, one) for one in binned)
        gaps.append((first - second) / mutual_info_score(values, values))
    assert_close(disentanglement.mig(codes, sizes), gaps, 1e-12)


def test_a_sample_holds_the_codes_of_its_factors():
    codes, sizes = noise((2, 3, 4)), (2, 3, 4)
    points, factors = disentanglement_lib.sample(codes, sizes, rng(), 50)
    assert points.shape == (50, 3) and factors.shape == (3, 50)
    assert_close(points, disentanglement.look_up(codes, factors, sizes), 0)
    assert [len(set(values)) for values in factors] == [2, 3, 4]


@pytest.mark.parametrize("metric", [dci, sap_score])
def test_what_cannot_be_compared_is_refused(metric):
    for codes, train, said in (
        (factors_of((2, 3))[:, :1], 20, r"codes are \(6, 1\): expected at least 2 latents, since this metric compares latents"),
        (factors_of((2, 3)), 2, r"factor 0 has one value in all 2 training points: expected 2 or more; raise train"),
    ):
        with pytest.raises(ValueError, match=f"^{said}$"):
            metric(codes, (2, 3), rng(), train, 20)
