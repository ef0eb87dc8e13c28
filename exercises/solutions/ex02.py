"""Exercise 02, one solution."""

import numpy as np
from jaxtyping import Float, Int64

Array = np.ndarray


def lerp(a: Float[Array, " D"], b: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Linear interpolation: a at t = 0, b at t = 1, one row per t."""
    # (1 - t) a + t b
    return (1 - t)[:, None] * a + t[:, None] * b


def slerp(a: Float[Array, " D"], b: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Spherical interpolation: the direction turns from a's to b's at constant speed, and the length changes linearly.

    If the angle between the two directions differs from 0 or from pi by less than 1e-6, use lerp: the formula divides by about 0.
    """
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if length_a == 0 or length_b == 0:
        return lerp(a, b, t)
    u, v = a / length_a, b / length_b
    # |u - v| and |u + v| keep the digits of an angle near 0 and near π, where arccos(u · v) loses half of them
    omega = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))
    if np.sin(omega) < 1e-6:
        return lerp(a, b, t)
    # [sin((1-t) ω) u + sin(t ω) v] / sin ω is a unit vector; its length is then set
    direction = (np.sin((1 - t) * omega)[:, None] * u + np.sin(t * omega)[:, None] * v) / np.sin(omega)
    return ((1 - t) * length_a + t * length_b)[:, None] * direction


def label_direction(mu: Float[Array, "B D"], labels: Int64[Array, " B"], source: int, target: int) -> Float[Array, " D"]:
    """The vector from the mean latent of the images labelled `source` to that of the images labelled `target`."""
    return mu[labels == target].mean(axis=0) - mu[labels == source].mean(axis=0)


def label_walk(z: Float[Array, " D"], direction: Float[Array, " D"], t: Float[Array, " T"]) -> Float[Array, "T D"]:
    """Label-guided: z + t times `direction`, one row per t. t = 1 adds the whole direction."""
    return z + t[:, None] * direction
