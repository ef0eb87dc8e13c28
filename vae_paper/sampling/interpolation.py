"""Paths through the latent space from one point to another. The functions return points; the caller decodes them.

Legend: D latent size, N codes (latents of images), T points of a path. The first and the last point are the ends of the path.
"""

import numpy as np
from jaxtyping import Float, Int

from vae_numpy.checks import check_alike, check_at_least, check_labels

Point = Float[np.ndarray, " D"]
Path = Float[np.ndarray, "T D"]

NEARLY = 1e-4  # radians. An angle so near to 0 or π counts as 0 or π: near π, sin(angle) is too inaccurate for a division


def lerp(a: Point, b: Point, steps: int) -> Path:
    """The straight line. In many dimensions, its middle is nearer to 0 than samples of the prior."""
    _check(a, b, steps)
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def slerp(a: Point, b: Point, steps: int) -> Path:
    """The arc: the direction follows a great circle, the norm changes linearly (Shoemake 1985; White 2016, arXiv:1609.04468).

    The path is the straight line if the ends are nearly parallel, if one end is 0, or if D = 1. Many great circles join opposite
    ends. If the ends are opposite, or nearly so, the path passes through one direction that is at right angles to the first end.
    """
    line = lerp(a, b, steps)  # lerp checks the arguments
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) == 0:
        return line
    u, v = a / norms[0], b / norms[1]
    angle = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))  # accurate near 0 and π; arccos(u·v) is not
    if angle < NEARLY or len(a) == 1:  # with D = 1 there is no circle
        return line
    t = np.linspace(0, 1, steps)[:, None]
    if angle > np.pi - NEARLY:
        half = _at_right_angles(u)
        directions = np.where(t <= 0.5, _arc(u, half, np.pi / 2, 2 * t), _arc(half, v, np.pi / 2, 2 * t - 1))
    else:
        directions = _arc(u, v, angle, t)
    return ((1 - t) * norms[0] + t * norms[1]) * directions


def guided(
    a: Point, b: Point, codes: Float[np.ndarray, "N D"], labels: Int[np.ndarray, " N"], ends: tuple[int, int], steps: int
) -> Path:
    """The path from a to the mean code of a's class, then to the mean code of b's class, then to b. Its points are equally
    spaced along the path.

    `ends`: the classes of a and b. `codes` and `labels`: the codes of many images, and their classes.
    """
    _check(a, b, steps)
    check_alike(2, a=a[None], codes=codes[:1])
    check_labels(labels, len(codes), int(labels.max(initial=0)) + 1)
    for label in ends:
        if label not in labels:
            raise ValueError(f"no code has the label {label}; the path needs a mean code of that class")
    from_class, to_class = (codes[labels == label].mean(0) for label in ends)
    corners = np.stack([a, from_class, to_class, b])
    travelled = np.concatenate([[0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    at = np.linspace(0, travelled[-1], steps)
    return np.stack([np.interp(at, travelled, coordinate) for coordinate in corners.T], axis=1)


def _check(a: Point, b: Point, steps: int) -> None:
    check_alike(1, a=a, b=b)
    check_at_least(2, steps=steps)  # the two ends


def _arc(u: Point, v: Point, angle: float, t: Float[np.ndarray, "T 1"]) -> Path:
    # (sin((1 - t) Ω) u + sin(t Ω) v) / sin Ω
    return (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)


def _at_right_angles(u: Point) -> Point:
    """A unit vector at right angles to u: the axis j with the smallest |u_j|, minus its projection on u, normalised."""
    axis = np.zeros_like(u)
    axis[np.argmin(np.abs(u))] = 1
    axis -= (axis @ u) * u
    return axis / np.linalg.norm(axis)
