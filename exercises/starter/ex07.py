"""Exercise 07: four ways to look at a latent space. Most of them are a question of the right order.

Everything is NumPy. Legend: N points, T values, D latent size, C channels, H height, W width.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def prior_grid(size: int) -> Float[Array, "N 2"]:
    """size * size points of a 2-D latent space, spaced evenly in the prior's probability.

    Along each axis the i-th of `size` values is the (i + 1/2)/size quantile of N(0, 1). The points go row by row from
    the top, as you read a page: z_1 grows to the right, and z_2 grows *upwards*.
    """
    raise NotImplementedError("prior_grid")


def sheet(images: Float[Array, "N 1 H W"], columns: int) -> Float[Array, "rows_H columns_W"]:
    """The images as one large picture, in reading order, `columns` images in each row; N is a multiple of `columns`."""
    raise NotImplementedError("sheet")


def traversal(z: Float[Array, " D"], latent: int, values: Float[Array, " T"]) -> Float[Array, "T D"]:
    """One copy of z for each value. Coordinate `latent` is set to the value; the others stay as they are."""
    raise NotImplementedError("traversal")


def project(mu: Float[Array, "N D"]) -> Float[Array, "N 2"]:
    """The centred points in the plane of their largest spread: their first two principal components."""
    raise NotImplementedError("project")
