"""Sprites: each image shows one shape with known properties, the factors. The images are drawn here, and are similar to dSprites
(Matthey et al. 2017).

Pixels inside the shape are 1, pixels outside it are 0, and pixels at its edge are gray. The 5 factors are shape, scale,
rotation, x and y. A rotation is less than a quarter turn, so with 28x28 pixels or more no two combinations of factors give the
same image. (In dSprites a square makes a full turn, and looks the same after each quarter turn.)

Legend: N images; V = 5 factors; S = 4, as each pixel is divided into SxS points. A window is a square of WxW pixels around the
shape; all pixels outside the window are 0 (`_render`).
"""

import math
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int64
from tqdm import tqdm

from vae_numpy.digits import Digits

SHAPES = ("square", "ellipse", "heart")
SIZES = {"shape": len(SHAPES), "scale": 6, "rotation": 15, "x": 16, "y": 16}  # numbers of values; 69,120 combinations
COUNT = math.prod(SIZES.values())
POINTS = 4  # the gray level of a pixel is the fraction of its 4x4 points that lie in the shape

Factors = Int64[np.ndarray, "N V"]


def all_factors() -> Factors:
    """All combinations of factors, one in each row, in the order of `numpy.ravel_multi_index`: y changes fastest."""
    return np.stack(np.unravel_index(np.arange(COUNT), tuple(SIZES.values())), axis=1)


@cache
def all_images(size: int) -> Float[np.ndarray, "N 1 size size"]:
    """The images of `all_factors`. A process draws them once for each size and keeps them: 217 MB at 28x28, 1.1 GB
    at 64x64."""
    return render(all_factors(), size)


def load(split: str, size: int = 28) -> Digits:
    """The sprites of a split: "train" is a fixed random 90% of all sprites, "test" is the rest. The label is the shape."""
    if split not in ("train", "test"):
        raise ValueError(f'split is {split!r}; expected "train" or "test"')
    images, factors = all_images(size), all_factors()
    order, held_out = np.random.default_rng(0).permutation(len(factors)), len(factors) // 10
    chosen = order[held_out:] if split == "train" else order[:held_out]
    return Digits(images[chosen], factors[chosen, 0], f"sprites, {split} split ({len(chosen):,} images)")


def render(factors: Factors, size: int = 28) -> Float[np.ndarray, "N 1 size size"]:
    """The images of these factors, float32 in [0, 1], `size` pixels wide and high. Raises ValueError if a factor is out of range.

    `size` must be even: then the centre of the image lies between two pixels.
    """
    if not 4 <= size <= 256 or size % 2:
        raise ValueError(f"size is {size}; expected an even number from 4 to 256")
    if factors.ndim != 2 or factors.shape[1] != len(SIZES) or factors.dtype.kind not in "iu":
        found = f"{factors.shape}, {factors.dtype}"
        raise ValueError(f"factors are {found}; expected (N, {len(SIZES)}), integers: {', '.join(SIZES)}")
    for index, (name, count) in enumerate(SIZES.items()):
        values = factors[:, index]
        if len(factors) and not 0 <= values.min() <= values.max() < count:
            raise ValueError(f"factor {name} reaches from {values.min()} to {values.max()}; expected 0 to {count - 1}")
    x = np.zeros((len(factors), 1, size, size), np.float32)
    parts = np.array_split(np.arange(len(factors)), max(1, len(factors) * size**2 // 78_400))  # each: about 100 images of 28x28
    for part in tqdm(parts, desc="drawing sprites", leave=False, disable=None):
        x[part] = _render(factors[part], size)
    return x


def _render(factors: Factors, size: int) -> Float[np.ndarray, "N 1 size size"]:
    """Draw the images. Only a window of W x W pixels around each shape is computed. The largest shape decides W."""
    shape = factors[:, 0]
    along = factors[:, 1:] / (np.array(list(SIZES.values()))[1:] - 1)  # (N, 4): scale, rotation, x, y, each in [0, 1]
    radius = 0.2 + 0.25 * along[:, 0]  # the whole image is the square [-1, 1]²
    angle = math.pi / 2 * factors[:, 2] / SIZES["rotation"]  # from 0 to 84°: less than a quarter turn
    place = along[:, 2:] - 0.5  # (N, 2): the centre (x, y), within ±0.5. The radius is at most 0.45, so no shape is cut off
    W = min(size, math.ceil(size * radius.max(initial=0)) + 1)
    first = (size / 2 * (place + 1 - radius[:, None])).astype(int).clip(max=size - W)  # (N, 2): the window's first column and row
    line = (np.arange(size * POINTS) + 0.5) / (size / 2 * POINTS) - 1  # coordinates of all points along one side
    points = line[POINTS * first[:, :, None] + np.arange(POINTS * W)] - place[:, :, None]  # (N, 2, W S), 0 at the centre
    right, down = points[:, 0, None, :], points[:, 1, :, None]
    cos, sin = (f(angle)[:, None, None] / radius[:, None, None] for f in (np.cos, np.sin))
    u, v = cos * right + sin * down, cos * down - sin * right  # (N, W S, W S): relative to the turned shape; its radius is 1
    white = np.empty(u.shape, bool)
    for index, name in enumerate(SHAPES):
        chosen = shape == index
        white[chosen] = inside(name, u[chosen], v[chosen])
    columns, rows = (first[:, axis, None] + np.arange(W) for axis in (0, 1))  # (N, W) each
    x = np.zeros((len(factors), 1, size, size), np.float32)
    gray = white.reshape(-1, W, POINTS, W, POINTS).mean(axis=(2, 4), dtype=np.float32)
    x[np.arange(len(x))[:, None, None], 0, rows[:, :, None], columns[:, None, :]] = gray
    return x


def inside(shape: str, u: Float[np.ndarray, "*points"], v: Float[np.ndarray, "*points"]) -> Bool[np.ndarray, "*points"]:
    """Whether each point (u, v) lies inside the shape. v grows downwards. The shape's smallest enclosing
    circle is the unit circle.

    A point with a NaN is not inside.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; expected one of: {', '.join(SHAPES)}")
    if shape == "square":
        return np.maximum(np.abs(u), np.abs(v)) < math.sqrt(0.5)
    if shape == "ellipse":
        return u**2 + (2 * v) ** 2 < 1
    # the heart (a² + b² - 1)³ = a² b³; its smallest enclosing circle has the centre (0, 0.25) and the radius 1.25
    a, b = 1.25 * u, 0.25 - 1.25 * v
    return (a**2 + b**2 - 1) ** 3 < a**2 * b**3
