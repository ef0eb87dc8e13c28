"""Estimators of log p(x), of the information between x and z, and of the distance between image sets, with standard errors.

A standard error covers the choice of images and the noise: it says how much the number would change with other images of the
same distribution. Legend: N images, D latent size, K or k samples of z per image, F features. log p(x) and information are in
nats per image.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from tqdm import tqdm

from vae_numpy.checks import check_alike, check_at_least
from vae_paper import devices
from vae_paper.data import Data, check_data
from vae_paper.likelihoods import binarise
from vae_paper.measuring.elbo import Estimate, evaluating, mean_of
from vae_paper.vae import Model, kl_per_latent, reparameterize

SAMPLES_AT_ONCE = 100  # largest number of z of one image at once: memory does not grow with k
GROUPS = 10  # number of groups in `frechet`, for the standard error


class Importance(NamedTuple):
    """The ELBO and the IWAE bounds of each image, from the same samples of z. float64."""

    elbo: Float[Tensor, " N"]  # from all samples, as many as the largest k
    iwae: Float[Tensor, "M N"]  # one row for each of M values of k


@torch.inference_mode()
def importance(
    model: Model,
    data: Data,
    ks: list[int],
    seed: int = 0,
    posterior: tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]] | None = None,
) -> Importance:
    """The ELBO of each image, and its IWAE-k bound for each k in `ks` (Burda et al. 2015, arXiv:1509.00519, eq. 8).

    The bound is log (1/k Σ_i w_i) with w_i = p(x, z_i) / q(z_i|x). In expectation it is at most log p(x). As k grows, it
    approaches log p(x). So with a large k it is the usual estimate of log p(x). z is drawn in chunks, and only sums over
    the samples are kept. q(z|x) is that of the encoder, or has the mu and logvar that `posterior` gives for each image.
    """
    check_data(data)
    if not ks or ks != sorted({*ks}) or ks[0] < 1:
        raise ValueError(f"ks are {ks}: expected increasing numbers of samples, each at least 1")
    if posterior is not None and len(posterior[0]) != len(data.images):
        raise ValueError(f"posterior: found mu of {len(posterior[0])} images; expected {len(data.images)} images")
    device = data.images.device
    decodes = devices.decodes_at_once(device)
    generator = torch.Generator(device).manual_seed(seed)
    elbos, bounds = [], []
    bar = tqdm(total=len(data.images) * ks[-1], unit="z", unit_scale=True, desc="importance samples", delay=2, disable=None)
    with bar, evaluating(model):
        for indices in torch.arange(len(data.images), device=device).split(max(1, decodes // min(SAMPLES_AT_ONCE, ks[-1]))):
            part = data.subset(indices)
            x = binarise(part.images, data.binarisation, generator)
            mu, logvar = model.encode(x, part.labels) if posterior is None else (posterior[0][indices], posterior[1][indices])
            loss, log_sum, done, of_part = torch.zeros(len(x)), torch.full((len(x),), -math.inf), 0, []  # sums so far
            for k in ks:
                while done < k:
                    count = min(SAMPLES_AT_ONCE, k - done)
                    eps = torch.randn(count, *mu.shape, generator=generator, device=device, dtype=x.dtype)
                    terms = model.terms(mu, logvar, x, eps, part.labels)
                    log_sum = torch.logaddexp(log_sum, terms.log_weight.cpu().double().logsumexp(0))  # (B,)
                    # the rate is averaged too, because some models estimate it from the samples of z
                    loss = loss + terms.distortion.cpu().double().sum(0) + count * terms.rate.cpu().double().sum(1)
                    done += count
                    bar.update(count * len(x))
                of_part.append(log_sum - math.log(k))
            elbos.append(-loss / done)
            bounds.append(torch.stack(of_part))
    return Importance(torch.cat(elbos), torch.cat(bounds, dim=1))


def random_subset(total: int, size: int, seed: int = 0) -> Int64[Tensor, " n"]:
    """`size` different random indices from 0 to `total` - 1, sorted. If `size` is larger than `total`: all indices."""
    check_at_least(1, total=total, size=size)
    chosen = np.random.default_rng(seed).permutation(total)[:size]
    return torch.from_numpy(np.sort(chosen))


def corrected(
    elbo: Float[Tensor, " N"], chosen: Int64[Tensor, " n"], own: Float[Tensor, " n"], bound: Float[Tensor, " n"]
) -> Estimate:
    """The mean of a bound over all N images, estimated from its values on n of them.

    It is the difference estimator (Cochran 1977, Sampling Techniques, 7.3): the mean ELBO of all images, plus the mean gap (bound
    minus own) of the n `chosen` images. `own` is the ELBO of the chosen images. If `own` and `bound` use the same samples of z,
    the gap has less noise. The gap varies far less from image to image than the bound, so a few hundred images are enough.
    """
    check_alike(1, elbo=elbo)
    check_alike(1, own=own, bound=bound)
    if chosen.dtype != torch.int64 or chosen.shape != own.shape or len(chosen.unique()) != len(own) or len(own) < 2:
        raise ValueError(f"chosen: {tuple(chosen.shape)}, {chosen.dtype}; expected {len(own)} unique int64 indices, 2 or more")
    if not 0 <= chosen.min() <= chosen.max() < len(elbo):
        raise ValueError(f"chosen: found {chosen.min()} to {chosen.max()}; expected 0 to {len(elbo) - 1}")
    gap = bound - own
    N, n = len(elbo), len(gap)
    # mean_N ELBO + mean_n gap = mean_N (ELBO + gap) + (mean_n gap - mean_N gap). The two terms on the right are uncorrelated,
    # because the n images are drawn at random from the N. Their variances are Var[ELBO + gap] / N and Var[gap] (1/n - 1/N)
    variance = (elbo[chosen] + gap).var() / N + gap.var() * (1 / n - 1 / N)
    return Estimate((elbo.mean() + gap.mean()).item(), variance.sqrt().item())


class Information(NamedTuple):
    """The two parts of the rate: rate = I(x; z) + KL(q(z) || p(z)). Each part has a lower and an upper bound in expectation."""

    mutual_information_low: Estimate  # at most log N
    mutual_information_high: Estimate
    aggregate_kl_low: Estimate  # rate - mutual_information_high
    aggregate_kl_high: Estimate


@torch.inference_mode()
def information(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    seed: int = 0,
    rows: int = 500,
    rate: Float[Tensor, " N"] | None = None,
) -> Information:
    """I(x; z) and KL(q(z) || p(z)), estimated from one z ~ q(z|x) of each image. q(z) is the mean of q(z|x) over all
    possible images. It is estimated from the N images.

    The sum of I(x; z) and KL(q(z) || p(z)) is the rate (Hoffman & Johnson 2016, "ELBO surgery"). If `rate` is None, the rate is
    KL(q(z|x) || N(0, I)). I(x; z) is the mean of log q(z|x) - log q(z). Two estimates of q(z) give two bounds (Poole et al. 2019,
    arXiv:1905.06922: bounds for known q(z|x)). With the mean over all N images, I(x; z) is too small in expectation, and never
    above log N. With the mean over all images but the one from which z was drawn, I(x; z) is too large in expectation. The
    standard error does not include the error of the estimated q(z), which is large if I(x; z) is near log N or above: then the
    two bounds are far apart.
    """
    check_alike(2, mu=mu, logvar=logvar)
    if len(mu) < 2:
        raise ValueError(f"information: mu is {tuple(mu.shape)}; expected at least 2 images")
    generator = torch.Generator(mu.device).manual_seed(seed)
    mu, logvar = mu.double(), logvar.double()
    eps = torch.randn(mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
    z = reparameterize(mu, logvar, eps)
    precision = torch.exp(-logvar)
    constant = -0.5 * (mu.square() * precision + logvar + math.log(2 * math.pi)).sum(1)  # (N,)
    # log q(z_n|x_n), computed from ε = (z - μ) / σ: for tiny σ, z - μ has a large rounding error, ε has none
    own = -0.5 * (eps.square() + logvar + math.log(2 * math.pi)).sum(1)  # (N,)
    with_own, without = [], []
    for indices in torch.arange(len(z), device=z.device).split(rows):
        part = z[indices]
        # log q(z_n|x_m) = -½ Σ_j [(z_nj - μ_mj)² / σ²_mj + log 2πσ²_mj]. Expanding the square gives two matrix products
        log_q = constant + part @ (mu * precision).T - 0.5 * part.square() @ precision.T  # (rows, N)
        itself = torch.arange(len(part), device=z.device), indices
        log_q[itself] = own[indices]
        with_own.append(log_q.logsumexp(1) - math.log(len(z)))
        log_q[itself] = -math.inf
        without.append(log_q.logsumexp(1) - math.log(len(z) - 1))
    rate = kl_per_latent(mu, logvar).sum(1) if rate is None else rate.double()
    low, high = own - torch.cat(with_own), own - torch.cat(without)
    return Information(*(mean_of(nats) for nats in (low, high, rate - high, rate - low)))


def frechet_distance(a: Float[np.ndarray, "N F"], b: Float[np.ndarray, "M F"]) -> float:
    """The Fréchet distance |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½) of two sets of features with means m, covariances C.

    Heusel et al. 2017, arXiv:1706.08500, eq. 6 (Fréchet 1957). For small sets it is too large: compare
    sets of equal size only.
    """
    check_alike(2, a=a[:1], b=b[:1])
    if min(len(a), len(b)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"features are {a.shape} and {b.shape}: expected finite features of at least 2 images each")
    c_a, c_b = np.atleast_2d(np.cov(a.T), np.cov(b.T))
    values, vectors = np.linalg.eigh(c_a)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    # (C_a C_b)^½ has the same trace as (C_a^½ C_b C_a^½)^½, which is symmetric
    trace = np.sqrt(np.linalg.eigvalsh(root @ c_b @ root).clip(min=0)).sum()
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c_a) + np.trace(c_b) - 2 * trace
    return max(0.0, float(distance))  # without max, rounding could make a distance of 0 negative


def frechet(a: Float[np.ndarray, "N F"], b: Float[np.ndarray, "M F"], groups: int = GROUPS) -> Estimate:
    """The Fréchet distance and its jackknife standard error. Both sets are divided into `groups` random parts. The standard error
    comes from `groups` distances, each without one part of both sets."""
    if not 2 <= groups <= min(len(a), len(b)):
        raise ValueError(f"{len(a)} and {len(b)} images in {groups} groups: expected at least 2 groups, and an image in each")
    rng = np.random.default_rng(0)  # random parts, because images may be sorted, for example by class
    part_a, part_b = (rng.permutation(len(features)) % groups for features in (a, b))
    without = [frechet_distance(a[part_a != g], b[part_b != g]) for g in range(groups)]
    return Estimate(frechet_distance(a, b), float(np.std(without) * (groups - 1) ** 0.5))
