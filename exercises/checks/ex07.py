"""Exercise 07: grids, sheets, traversals and projections, each by its slow definition."""

from statistics import NormalDist

import numpy as np

from exercises import comparing
from exercises.declaring import Check, Wrong, declared
from exercises.probes import each, extreme, moved, noted


def sizes(rng):
    return [
        {"size": 2},
        {"size": 5},
        {"size": 1},
        {"size": 3},
        {"size": int(rng.integers(6, 9))},
        {"size": 13},
        *({"size": n} for n in (24, 40, 101)),
        noted("size = 750", {"size": 750}),
    ]


def stacks(rng):
    few = np.arange(12.0).reshape(2, 1, 2, 3)

    def draw(N, H, W, columns):
        return {"images": rng.uniform(size=(N, 1, H, W)), "columns": columns}

    def wide(N, columns):
        return noted(f"{N} images, {columns} columns", draw(N, 2, 3, columns))

    few_values = {"images": rng.integers(0, 2, (8, 1, 3, 2)).astype(float), "columns": 4}
    alike = {"images": np.repeat(rng.uniform(size=(3, 1, 2, 3)), 4, axis=0)[rng.permutation(12)], "columns": 3}
    logits = extreme(images=90 * rng.normal(size=(6, 1, 5, 2)), columns=2)
    return [
        {"images": few, "columns": 2},
        draw(6, 4, 5, 3),
        draw(5, 3, 2, 1),
        draw(4, 2, 7, 4),
        draw(1, 3, 5, 1),
        draw(15, 1, 4, 5),
        draw(3, 1, 4, 3),
        draw(8, 5, 3, 2),
        logits,
        *(wide(*size) for size in ((120, 12), (150, 15), (128, 16), (1100, 1), (1100, 1100), (1100, 55))),
        noted("zeros and ones", few_values),
        noted("some images are alike", alike),
    ]


def points(rng):
    return [
        {"z": np.array([0.5, -1.0, 2.0]), "latent": 1, "values": np.array([-2.0, 0.3])},
        {"z": rng.normal(size=4), "latent": 0, "values": np.array([1.5, -0.4, 2.5, 0.1, -3.0])},
        {"z": rng.normal(size=1), "latent": 0, "values": np.array([0.7, -1.0, 0.2])},
        {"z": rng.normal(size=7), "latent": 6, "values": np.array([1.1])},
        {"z": rng.normal(size=6), "latent": 4, "values": np.array([2.0, -2.0, 0.5, -0.9, 1.0])},
        extreme(z=1e3 * rng.normal(size=3), latent=2, values=np.array([50.0, -700.0])),
        *each(
            {"z": rng.normal(size=5), "latent": 2, "values": np.array([0.3, -1.2, 2.2])},
            values=(np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 2.0]), np.zeros(2), np.array([0.0, -0.0, 1e9, -1e9])),
            z=(np.zeros(5), np.arange(5.0), np.full(5, 0.3)),
            latent=(0, 1, 3, 4),
        ),
        noted("latent = 69", {"z": rng.normal(size=70), "latent": 69, "values": np.array([0.4, -0.1])}),
    ]


def clouds(rng):
    """Every cloud is skewed along its two main directions, which decides the signs, and spreads differently along each."""
    few = np.array([[7.0, 1.0, 5.2], [-1.0, 2.0, 4.9], [0.5, -3.0, 5.0], [-2.0, 0.5, 4.7]])

    def draw(N, D, spreads, turn=None):
        turn = np.linalg.qr(rng.normal(size=(D, D)))[0] if turn is None else turn
        along = np.zeros((N, D))
        for j, spread in enumerate(spreads):
            column = -np.log((rng.permutation(N) + 0.5) / N)  # the quantiles of an exponential distribution: skewed
            along[:, j] = spread * column
        return {"mu": along @ turn + rng.normal(1, 2, D)}

    late = draw(1500, 4, (1.0, 0.5, 30.0, 12.0), turn=np.eye(4))
    late["mu"][:1000, 2:] = late["mu"][:1000, :2].mean(0)
    wide = draw(9, 4, (3e4, 9e3, 2e3))
    small = draw(8, 3, (3e-5, 9e-6, 2e-6))
    return [
        {"mu": few},
        draw(12, 2, (3, 1)),
        draw(5, 7, (2.5, 0.9, 0.2)),
        draw(9, 5, (4, 2, 0.5, 0.1, 0.05)),
        draw(30, 4, (2.0, 1.0, 0.3)),
        extreme(**wide),
        extreme(**small),
        noted("N = 1500, the last 500 spread in another direction", late),
        noted("N = 450", draw(450, 3, (2.0, 1.0, 0.3))),
        noted("D = 70", draw(90, 70, (3.0, 1.5, *np.linspace(0.5, 0.1, 68)))),
        noted("two spreads are nearly as large as a third", draw(40, 4, (1.0, 0.97, 0.94, 0.91))),
        moved(draw(25, 4, (3.0, 1.5, 0.7)), 1e6, "mu", allowed=1e-6),
        noted("N = 3", draw(3, 7, (2.5, 0.9))),
    ]


def grid(size):
    value = [NormalDist().inv_cdf((i + 0.5) / size) for i in range(size)]
    return by_rows(value)


def by_rows(values):
    """All pairs of the values: the first changes fastest, the second falls."""
    return np.array([np.tile(values, len(values)), np.repeat(values[::-1], len(values))]).T


def pasted(images, columns):
    _, _, H, W = images.shape
    canvas = np.zeros((len(images) // columns * H, columns * W))
    for n, image in enumerate(images):
        top, left = n // columns * H, n % columns * W
        canvas[top : top + H, left : left + W] = image[0]
    return canvas


def replaced(z, latent, values):
    return np.array([[v if j == latent else z[j] for j in range(len(z))] for v in values])


def eigen(mu):
    """By the eigenvectors of the covariance matrix."""
    _, vectors = np.linalg.eigh(np.cov(mu.T))
    return (mu - mu.mean(0)) @ vectors[:, ::-1][:, :2]


def up_to_signs(function, args):
    """A principal direction may as well point the other way: turn each so that the sum of cubes is positive."""
    result = function(args["mu"])
    try:
        plain = comparing.readable(result, "array")
    except comparing.Unreadable:
        return result
    if plain.shape != (len(args["mu"]), 2) or plain.dtype.kind != "f":
        return result
    return plain * np.where((plain**3).sum(0) < 0, -1, 1).astype(plain.dtype)


CHECKS = declared(
    "07",
    [
        Check("prior_grid", "points by quantiles, in reading order", grid, sizes, keeps_dtype=True),
        Check("sheet", "every image whole, in reading order", pasted, stacks, long={"N": 0}, short={"N": 0}, own_memory=False),
        Check("traversal", "one coordinate set, the others kept", replaced, points, rows="T", short={"D": 0}),
        Check(
            "project",
            "the two directions of largest spread, up to sign",
            eigen,
            clouds,
            up_to_signs,
            long={"N": 0, "D": 0},
            short={"N": 0, "D": 0},
        ),
    ],
)


WRONG = [
    Wrong(
        "evenly_in_z",
        "prior_grid",
        "your points have equal distances in z. With equal steps in probability, the points are closer together where the "
        "prior is dense",
        lambda size: by_rows(np.linspace(NormalDist().inv_cdf(0.5 / size), -NormalDist().inv_cdf(0.5 / size), size)),
    ),
    Wrong(
        "upside_down",
        "prior_grid",
        "your z_2 grows downwards. The first row is the top of the picture, so it must have the *largest* z_2",
        lambda size: grid(size) * [1.0, -1.0],
    ),
    Wrong(
        "axes_exchanged",
        "prior_grid",
        "your coordinates are exchanged. z_1 is the horizontal coordinate, and it changes fastest",
        lambda size: np.ascontiguousarray(grid(size)[:, ::-1]),
    ),
    Wrong(
        "column_by_column",
        "prior_grid",
        "your points go down the columns. Reading order goes along the rows",
        lambda size: grid(size).reshape(size, size, 2).transpose(1, 0, 2).reshape(-1, 2),
    ),
    Wrong(
        "not_centred",
        "prior_grid",
        "your code uses the quantiles (i + 1)/(size + 1). Use (i + 1/2)/size: each is the middle of an equal part of the "
        "probability",
        lambda size: by_rows([NormalDist().inv_cdf((i + 1) / (size + 1)) for i in range(size)]),
    ),
    Wrong(
        "torn",
        "sheet",
        "your code only reshapes, so rows of pixels of different images are mixed. Transpose to (row, h, column, w) first",
        lambda images, columns: images.reshape(len(images) // columns * images.shape[2], columns * images.shape[3]),
    ),
    Wrong(
        "turned",
        "sheet",
        "each image is transposed: its height and width are exchanged",
        lambda images, columns: pasted(images.transpose(0, 1, 3, 2), columns),
    ),
    Wrong(
        "rows_for_columns",
        "sheet",
        "your code puts `columns` images into each *column*. `columns` is the number of images in each row",
        lambda images, columns: pasted(images, len(images) // columns),
    ),
    Wrong(
        "down_the_columns",
        "sheet",
        "your images go down the columns. Reading order goes along the rows",
        lambda images, columns: pasted(
            images.reshape(columns, -1, *images.shape[1:]).swapaxes(0, 1).reshape(images.shape), columns
        ),
    ),
    Wrong(
        "added",
        "traversal",
        "your code adds the value to the coordinate. *Replace* the coordinate by the value, so that all traversals use the "
        "same values",
        lambda z, latent, values: replaced(z, latent, z[latent] + values),
    ),
    Wrong(
        "others_zeroed",
        "traversal",
        "your code sets the other coordinates to 0. Keep the other coordinates of z",
        lambda z, latent, values: replaced(0 * z, latent, values),
    ),
    Wrong(
        "all_set",
        "traversal",
        "your code sets every coordinate to the value. Set only the coordinate `latent`",
        lambda z, latent, values: np.tile(values[:, None], (1, len(z))),
    ),
    Wrong(
        "off_by_one",
        "traversal",
        "your code sets the coordinate before `latent`. Counting starts at 0",
        lambda z, latent, values: replaced(z, latent - 1, values),
    ),
    Wrong(
        "first_two",
        "project",
        "your result is the first two latents, which are no better than any other two. Find the directions of largest spread",
        lambda mu: mu[:, :2] - mu[:, :2].mean(0),
    ),
    Wrong(
        "uncentred",
        "project",
        "your code does not subtract the mean before the decomposition. So the first direction points towards the mean",
        lambda mu: mu @ np.linalg.svd(mu, full_matrices=False)[2][:2].T,
    ),
    Wrong(
        "mean_left_in",
        "project",
        "your directions are right, but your code projects mu before its mean is subtracted. Subtract the mean from the points "
        "too",
        lambda mu: mu @ np.linalg.eigh(np.cov(mu.T))[1][:, ::-1][:, :2],
    ),
    Wrong(
        "columns_of_vt",
        "project",
        "your directions are the first two *columns* of V^T. NumPy's svd returns V^T, and its rows are the directions",
        lambda mu: (mu - mu.mean(0)) @ np.linalg.svd(mu - mu.mean(0), full_matrices=False)[2][:, :2],
    ),
    Wrong(
        "least_spread",
        "project",
        "your directions are those of *least* spread. eigh sorts from small to large: take the last two",
        lambda mu: (mu - mu.mean(0)) @ np.linalg.eigh(np.cov(mu.T))[1][:, :2],
    ),
    Wrong(
        "whitened",
        "project",
        "your code scales both coordinates to the same spread. Then the picture does not show how much each direction "
        "matters: do not scale",
        lambda mu: (lambda p: p / p.std(0))(eigen(mu)),
    ),
]

VALID = [
    ("prior_grid", grid),
    ("sheet", pasted),
    (
        "sheet",
        lambda images, columns: np.block([[i[0] for i in images[r : r + columns]] for r in range(0, len(images), columns)]),
    ),
    ("traversal", replaced),
    ("project", eigen),
    ("project", lambda mu: (lambda c: c @ np.linalg.svd(c, full_matrices=False)[2][:2].T)(mu - mu.mean(0))),
    ("project", lambda mu: -(lambda f: f.U[:, :2] * f.S[:2])(np.linalg.svd(mu - mu.mean(0), full_matrices=False))),
]
