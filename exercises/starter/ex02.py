"""Exercise 02: walks from a latent: on a straight line, along the sphere, and to a label.

Everything is NumPy. Legend: T points of a walk, B images, D latent size.
"""

import numpy as np
from jaxtyping import Float, Int64

Array = np.ndarray


def lerp(a: Float[Array, " D"], b: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Linear interpolation: a at t = 0, b at t = 1, one row per t."""
    raise NotImplementedError("lerp")


def slerp(a: Float[Array, " D"], b: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Spherical interpolation: the direction turns from a's to b's at constant speed, and the length changes linearly.

    If the angle between the two directions differs from 0 or from pi by less than 1e-6, use lerp: the formula divides by about 0.
    """
    raise NotImplementedError("slerp")


def label_direction(mu: Float[Array, "B D"], labels: Int64[Array, " B"], source: int, target: int) -> Float[Array, " D"]:
    """The vector from the mean latent of the images labelled `source` to that of the images labelled `target`."""
    raise NotImplementedError("label_direction")


def label_walk(z: Float[Array, " D"], direction: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Label-guided: z + t times `direction`, one row per t. t = 1 adds the whole direction."""
    raise NotImplementedError("label_walk")
