"""Sprites whose factors are known exactly, in the spirit of dSprites (Matthey et al. 2017), drawn here (default 28x28).

A sprite is one shape: its pixels are 1 (gray at the edge), all others 0. Its 5 factors: shape, scale, rotation, x, y. Rotations
stay within a quarter turn, so that no two combinations of factors give the same image. (In dSprites a square turns all the
way round, so it looks the same again after each quarter turn.)

Legend: N images, V = 5 factors, S = 4 points along the side of a pixel, W pixels along the side of a window:
a square of pixels around the shape; outside it all pixels are 0 (`_render`).
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int64
from tqdm import tqdm

from vae_numpy.digits import Digits

SHAPES = ("square", "ellipse", "heart")
SIZES = {"shape": len(SHAPES), "scale": 6, "rotation": 15, "x": 16, "y": 16}  # values of each factor; 69,120 combinations
COUNT = math.prod(SIZES.values())
POINTS = 4  # a pixel's gray is the share of its 4x4 points that lie in the shape

Factors = Int64[np.ndarray, "N V"]


def all_factors() -> Factors:
    """Every combination, in the order of `numpy.ravel_multi_index`: y runs fastest."""
    return np.stack(np.unravel_index(np.arange(COUNT), tuple(SIZES.values())), axis=1)


@cache
def all_images(size: int = 28) -> Float[np.ndarray, "N 1 size size"]:
    """The images of `all_factors`: drawn once in a process, 217 MB at 28x28, 1.1 GB at 64x64."""
    return render(all_factors(), size)


def load(split: str, size: int = 28) -> Digits:
    """The sprites as a source of images. Nine in ten are the training split, the same ones in every call. Labels: the shape."""
    if split not in ("train", "test"):
        raise ValueError(f'split is {split!r}; expected "train" or "test"')
    images, factors = all_images(size), all_factors()
    order, held_out = np.random.default_rng(0).permutation(len(factors)), len(factors) // 10
    chosen = order[held_out:] if split == "train" else order[:held_out]
    return Digits(images[chosen], factors[chosen, 0], f"sprites, {split} split ({len(chosen):,} images)")


def render(factors: Factors, size: int = 28) -> Float[np.ndarray, "N 1 size size"]:
    """The images of these factors, float32 in [0, 1], `size` pixels wide and high. Raises ValueError if a factor is out of range.

    `size` is even: the frame's centre lies between two pixels.
    """
    if not 4 <= size <= 256 or size % 2:
        raise ValueError(f"size is {size}; expected an even number from 4 to 256")
    sizes = np.array(list(SIZES.values()))
    if factors.ndim != 2 or factors.shape[1] != len(sizes) or factors.dtype.kind not in "iu":
        found = f"{factors.shape}, {factors.dtype}"
        raise ValueError(f"factors are {found}; expected (N, {len(sizes)}), integers: {', '.join(SIZES)}")
    for index, (name, count) in enumerate(SIZES.items()):
        values = factors[:, index]
        if len(factors) and not 0 <= values.min() <= values.max() < count:
            raise ValueError(f"factor {name} reaches from {values.min()} to {values.max()}; expected 0 to {count - 1}")
    x = np.zeros((len(factors), 1, size, size), np.float32)
    parts = np.array_split(np.arange(len(factors)), max(1, len(factors) * size**2 // 78_400))  # 100 images of 28x28 at a time
    for part in tqdm(parts, desc="drawing sprites", leave=False, disable=None):
        x[part] = _render(factors[part], size)
    return x


def _render(factors: Factors, size: int) -> Float[np.ndarray, "N 1 size size"]:
    """Points are tested only in a window of W x W pixels around each shape, as wide as the largest shape; the rest is 0."""
    shape = factors[:, 0]
    along = factors[:, 1:] / (np.array(list(SIZES.values()))[1:] - 1)  # (N, 4), each in [0, 1]
    radius = 0.2 + 0.25 * along[:, 0]  # the frame is [-1, 1]²
    angle = math.pi / 2 * factors[:, 2] / SIZES["rotation"]  # a quarter turn itself is left out
    place = along[:, 2:] - 0.5  # (N, 2), x and y: a radius of at most 0.45 about a centre within ±0.5 stays inside the frame
    W = min(size, math.ceil(size * radius.max(initial=0)) + 1)
    first = (size / 2 * (place + 1 - radius[:, None])).astype(int).clip(max=size - W)  # (N, 2): the window's first pixel
    line = (np.arange(size * POINTS) + 0.5) / (size / 2 * POINTS) - 1
    points = line[POINTS * first[:, :, None] + np.arange(POINTS * W)] - place[:, :, None]  # (N, 2, W S)
    right, down = points[:, 0, None, :], points[:, 1, :, None]
    cos, sin = (f(angle)[:, None, None] / radius[:, None, None] for f in (np.cos, np.sin))
    u, v = cos * right + sin * down, cos * down - sin * right  # (N, W S, W S): the shape's own coordinates, in radii
    white = np.empty(u.shape, bool)
    for index, name in enumerate(SHAPES):
        chosen = shape == index
        white[chosen] = inside(name, u[chosen], v[chosen])
    columns, rows = (first[:, axis, None] + np.arange(W) for axis in (0, 1))  # (N, W) each
    x = np.zeros((len(factors), 1, size, size), np.float32)
    gray = white.reshape(-1, W, POINTS, W, POINTS).mean(axis=(2, 4), dtype=np.float32)
    x[np.arange(len(x))[:, None, None], 0, rows[:, :, None], columns[:, None, :]] = gray
    return x


def inside(shape: str, u: Float[np.ndarray, "*S"], v: Float[np.ndarray, "*S"]) -> Bool[np.ndarray, "*S"]:
    """Which points lie inside a shape that just fits into the unit disc; v points down. NaN lies outside."""
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; expected one of: {', '.join(SHAPES)}")
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) < math.sqrt(0.5)
    if shape == "ellipse":
        return u**2 + (2 * v) ** 2 < 1
    # the heart (a² + b² - 1)³ = a² b³; the least circle around it has its centre at (0, 0.25) and the radius 1.25
    a, b = 1.25 * u, 0.25 - 1.25 * v
    return (a**2 + b**2 - 1) ** 3 < a**2 * b**3
