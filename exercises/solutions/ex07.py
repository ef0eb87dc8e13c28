"""Exercise 07, one solution."""

from statistics import NormalDist

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def prior_grid(size: int) -> Float[Array, "N 2"]:
    """size * size points of a 2-D latent space, spaced evenly in the prior's probability.

    Along each axis the i-th of `size` values is the (i + 1/2)/size quantile of N(0, 1). The points go row by row from
    the top, as you read a page: z_1 grows to the right, and z_2 grows *upwards*.
    """
    quantiles = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    z1, z2 = np.meshgrid(quantiles, quantiles[::-1])  # (size, size) each
    return np.stack([z1.ravel(), z2.ravel()], axis=1)


def sheet(images: Float[Array, "N 1 H W"], columns: int) -> Float[Array, "rows_H columns_W"]:
    """The images as one large picture, in reading order, `columns` images in each row; N is a multiple of `columns`."""
    N, _, H, W = images.shape
    rows = N // columns
    # (row, column, h, w) -> (row, h, column, w): reshape alone would tear the images apart
    return images.reshape(rows, columns, H, W).transpose(0, 2, 1, 3).reshape(rows * H, columns * W)


def traversal(z: Float[Array, " D"], latent: int, values: Float[Array, " T"]) -> Float[Array, "T D"]:
    """One copy of z for each value. Coordinate `latent` is set to the value; the others stay as they are."""
    walk = np.tile(z, (len(values), 1))  # (T, D), a copy
    walk[:, latent] = values
    return walk


def project(mu: Float[Array, "N D"]) -> Float[Array, "N 2"]:
    """The centred points in the plane of their largest spread: their first two principal components."""
    centred = mu - mu.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)  # rows, by falling spread
    return centred @ directions[:2].T
