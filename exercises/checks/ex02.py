"""Exercise 02: the sphere's reference turns a by a rotation in the plane of a and b; it divides by no sine."""

import functools

import numpy as np

from exercises import relations
from exercises.declaring import Check, Wrong, declared
from exercises.probes import each, extreme, moved, noted, pushed


def ends(rng):
    few = {"a": np.array([3.0, 0.0, 1.0]), "b": np.array([-0.5, 2.0, 0.3]), "t": np.array([0.0, 0.25, 0.5, 1.0])}
    beyond = {"a": rng.normal(0.3, 1, 5), "b": 2 * rng.normal(0.3, 1, 5), "t": np.array([0.7, -0.5, 1.5, 0.1, 1.0, 0.0, 0.4])}
    one = {"a": rng.normal(0.3, 1, 6), "b": 3 * rng.normal(0.3, 1, 6), "t": np.array([0.35])}
    wide = {"a": rng.normal(size=64), "b": rng.normal(size=64), "t": np.array([0.9, 0.2])}
    last = {"a": rng.normal(0.3, 1, 8), "b": 2 * rng.normal(0.3, 1, 8), "t": np.linspace(0, 1, 5) ** 2}
    far = extreme(a=1e6 * rng.normal(size=4), b=1e-3 * rng.normal(size=4), t=np.array([0.0, 0.3, 1.0]))
    farther = extreme(a=rng.normal(size=3), b=-80 * rng.normal(size=3), t=np.array([25.0, -30.0, 0.1]))
    more = [
        *each(
            last,
            t=(
                *(np.full(n, v) for n, v in ((3, 0), (2, 1), (1, 0), (1, 1))),
                np.array([0.5, 0.5, 0.25, 0.5]),
                np.array([0.9, -1e3, 1e3]),
                np.array([1e-9]),
            ),
        ),
        *(noted(f"{n} times {by:g}", last | {n: by * last[n]}) for by in (1e-8, -1.0, 1e8) for n in ("a", "b")),
        noted("a and b of whole numbers", {"a": np.array([3.0, 0.0, 4.0]), "b": np.array([0.0, 2.0, 0.0]), "t": last["t"]}),
        noted("a and b at right angles", {"a": np.array([0.0, 2.5]), "b": np.array([-1.5, 0.0]), "t": last["t"]}),
    ]
    return [few, beyond, one, wide, last, far, farther, *more]


def line_ends(rng):
    one = {"a": np.array([1.5]), "b": np.array([-2.5]), "t": np.array([0.2, 2.0, -1.0])}
    found = ends(rng)
    last = found[4]
    more = [moved(last, 1e6, "a", "b", allowed=1e-14), *pushed(rng, last, a=(0.0,), b=(0.0, 1e9))]
    return [*found[:3], one, *found[3:], *more]


def hard_ends(rng):
    """Parallel, opposite, nearly so with different lengths, equal, and zero; and two ordinary ends among them."""
    a, other = rng.normal(size=(2, 4))
    across = other - (other @ a) / (a @ a) * a  # at right angles to a
    across *= np.linalg.norm(a) / np.linalg.norm(across)
    t = np.array([0.0, 0.3, 0.5, 1.0, 1.3])
    opposite, parallel = -1.7 * a + 1e-3 * rng.normal(size=4), 1.4 * (a + 0.02 * across)
    pairs = [
        (a, opposite),
        (a, other),
        (a, 2.5 * a),
        (a, -2 * a),
        (a, a.copy()),
        (a, 0 * a),
        (0 * a, a),
        (0 * a, 0 * a),
        (a, parallel),
        (a, -0.6 * (a + 0.02 * across)),
    ]
    found = [{"a": p, "b": q, "t": t} for p, q in pairs]
    # on both sides of the guard, where the right result with and without it differs by much
    quarter = np.array([0.25, 0.6])
    found += [
        noted(
            f"sin of the angle {sine:g}, {'nearly opposite' if turn else 'nearly parallel'}",
            {"a": np.array([2.0, 0.0]), "b": np.array([1 - 2 * turn, sine]), "t": quarter},
            allowed=1e-6,
        )
        for turn in (0, 1)
        for sine in (1e-3, 1e-4, 1e-5, 3e-6, 3e-7, 1e-8, 1e-13)
    ]
    one = {"t": quarter, "a": np.array([1.5]), "b": np.array([-2.5])}
    tiny = 1e-9 * a
    found += [
        noted("D = 1", {n: one[n] for n in ("a", "b", "t")}),
        noted("a is very short", {"a": tiny, "b": other, "t": t}),
        noted("b is very short", {"a": other, "b": tiny, "t": t}),
        noted("a and b are very short", {"a": 1e-12 * other, "b": tiny, "t": t}),
        noted("a and b are very long", {"a": 1e12 * other, "b": 1e10 * a, "t": t}),
    ]
    of_71 = np.random.default_rng(71).standard_normal(2)  # |u + v| is above 2 by a rounding, so arccos(|u + v| / 2) is NaN
    found += [noted("parallel ends", {"a": of_71, "b": by * of_71, "t": t}) for by in (1.0, 1.7, 0.3)]
    return found


def labelled(rng):
    few = {
        "mu": np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 0.5], [0.5, 0.5, 4.0], [2.0, 1.0, -1.0], [1.5, 0.0, 1.0]]),
        "labels": np.array([4, 9, 4, 9, 1]),
        "source": 4,
        "target": 9,
    }

    def draw(B, D, source, target):
        labels = np.concatenate([[source, target, target], rng.integers(0, 10, B - 3)])[rng.permutation(B)]
        return {"mu": rng.normal(0.5, 1, (B, D)) + labels[:, None], "labels": labels, "source": source, "target": target}

    model = draw(31, 4, 6, 2)
    model["labels"][rng.permutation(31)[:10]] = range(10)  # every label occurs
    others = np.array([0, 2, 2, 3, 4, 6, 6, 7, 8, 9])  # 1 becomes 2, and 5 becomes 6, and a power of 2 more
    return [
        *each(model, source=(0, 1, 9), target=(0, 3, 6)),
        noted("labels above 9", model | {"labels": model["labels"] + 10, "source": 16, "target": 12}),
        noted("labels above 9", model | {"labels": 1000 * model["labels"], "source": 6000, "target": 2000}),
        noted("labels near 2^24", model | {"labels": model["labels"] + 2**24, "source": 2**24 + 7, "target": 2**24 + 2}),
        *(
            noted(
                f"labels that differ by 2^{power}",
                model | {"labels": others[model["labels"]] + 2**power * np.isin(model["labels"], (1, 5))},
            )
            for power in (8, 16, 32)
        ),
        noted("labels below 0", model | {"labels": model["labels"] - 7, "source": -1, "target": -5}),
        noted("only these two labels", few | {"labels": np.array([4, 9, 4, 9, 9])}),
        noted("one image of each", few | {"labels": np.array([9, 0, 0, 4, 1])}),
        moved(model, 1e6, "mu", allowed=1e-6),
        few,
        draw(17, 6, 9, 1),
        draw(11, 1, 0, 7),
        draw(24, 3, 2, 0),
        extreme(**(d := draw(9, 2, 5, 3)) | {"mu": 1e4 * d["mu"]}),
    ]


def walks(rng):
    return [
        {"z": np.array([0.5, -1.0, 2.0]), "direction": np.array([1.0, 0.4, -0.6]), "t": np.array([0.0, 0.5, 1.0, 1.5])},
        {"z": rng.normal(size=5), "direction": 3 * rng.normal(size=5), "t": np.array([1.2, -2.0, 0.3])},
        {"z": rng.normal(size=1), "direction": rng.normal(size=1), "t": np.array([0.7, 0.1])},
        {"z": rng.normal(size=4), "direction": rng.normal(size=4), "t": np.array([2.5])},
        *each(
            {"z": rng.normal(size=3), "direction": 5 * rng.normal(size=3), "t": np.array([0.5])},
            t=(np.zeros(2), np.zeros(1), np.ones(1), np.array([1.0, 0.5, 0.5, 1.0]), np.array([-1e3, 1e3])),
            direction=(np.zeros(3), 1e-7 * np.ones(3), np.array([1e6, 0.0, -3.0])),
            z=(np.zeros(3), np.array([1e6, 0.0, -3.0])),
        ),
        {"z": rng.normal(size=3), "direction": rng.normal(size=3), "t": np.array([2.0, -1.0, 0.5, 0.0, 1.0, 1.5, -0.5])},
        extreme(z=50 * rng.normal(size=3), direction=-40 * rng.normal(size=3), t=np.array([-30.0, 0.0, 25.0])),
    ]


def straight(a, b, t):
    return np.array([a + s * (b - a) for s in t])


def turned(a, b, t):
    """Rotate a's direction towards b's in their plane: cos(t omega) u + sin(t omega) w, w the part of b at right angles to u."""
    la, lb = np.sqrt(a @ a), np.sqrt(b @ b)
    if la == 0 or lb == 0:
        return straight(a, b, t)
    u, v = a / la, b / lb
    across = v - (u @ v) * u
    sine = np.sqrt(across @ across)
    if sine < 1e-6:
        return straight(a, b, t)
    omega = np.arctan2(sine, u @ v)
    return np.array([(la + s * (lb - la)) * (np.cos(s * omega) * u + np.sin(s * omega) * across / sine) for s in t])


def means_apart(mu, labels, source, target):
    average = {c: sum(m for m, l in zip(mu, labels, strict=True) if l == c) / (labels == c).sum() for c in (source, target)}
    return average[target] - average[source]


def along(z, direction, t):
    return np.array([z + s * direction for s in t])


UNGUARDED = (
    "your code is right between ordinary ends, but divides by 0, or by nearly 0, if the ends are parallel, opposite or zero. "
    "For such ends use lerp"
)
GUARD = (
    "your code is right between ordinary ends. If the ends are parallel, opposite or zero, the result must be lerp(a, b, t), one "
    "row for each t. (If D = 1, all ends are parallel or opposite.)"
)


def without_plane(args):
    """Whether a and b span no plane: parallel, opposite or zero."""
    a, b = args["a"].astype(float), args["b"].astype(float)
    if not (a.any() and b.any()):
        return True
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return min(np.linalg.norm(u - v), np.linalg.norm(u + v)) < 1e-6


def slerp_told(cases):
    """What is wrong only between ends without a plane: the guard."""
    failed = [case for case in cases if not case.passed]
    if not all(without_plane(case.args) for case in failed) or any(case.problem for case in failed):
        return relations.told(cases)
    return GUARD if all(np.isfinite(case.got).all() for case in failed) else UNGUARDED


CHECKS = declared(
    "02",
    [
        Check("lerp", "from a to b on a straight line", straight, line_ends, rows="T"),
        Check("slerp", "from a to b along the sphere", turned, ends, rows="T", explain=slerp_told),
        Check(
            "slerp",
            "parallel, opposite, nearly opposite, equal and zero ends",
            turned,
            hard_ends,
            allowed=1e-7,
            float32=None,
            rows="T",
            explain=slerp_told,
        ),
        Check("label_direction", "from one label's mean to another's", means_apart, labelled, short={"B": 0}),
        Check("label_walk", "z moved along a direction", along, walks, rows="T"),
    ],
)


def angle(a, b):
    return np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))


def classic(a, b, t, omega):
    return (np.sin((1 - t) * omega)[:, None] * a + np.sin(t * omega)[:, None] * b) / np.sin(omega)


def unguarded(a, b, t):
    omega = angle(a, b)
    length = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    return length[:, None] * classic(a / np.linalg.norm(a), b / np.linalg.norm(b), t, omega)


def guarded(a, b, t, limit):
    near = not (a.any() and b.any()) or abs(np.cos(angle(a, b))) > limit
    return straight(a, b, t) if near else unguarded(a, b, t)


def by_arccos(a, b, t):
    if not (a.any() and b.any()):
        return straight(a, b, t)
    omega = angle(a, b)
    return straight(a, b, t) if np.sin(omega) < 1e-6 else unguarded(a, b, t)


WRONG = [
    Wrong(
        "backwards",
        "lerp",
        "your walk goes from b to a. At t = 0 it must be at a",
        lambda a, b, t: straight(b, a, t),
    ),
    Wrong(
        "not_the_difference",
        "lerp",
        "your result is a + t b, so the walk ends at a + b. Add t times the *difference* b - a",
        lambda a, b, t: a + t[:, None] * b,
    ),
    Wrong(
        "columns",
        "lerp",
        "your result has shape (D, T), one column per t. Return one row per t, shape (T, D)",
        lambda a, b, t: np.ascontiguousarray(straight(a, b, t).T),
    ),
    Wrong(
        "middle_only",
        "lerp",
        "your result is the midpoint for every t. Use t",
        lambda a, b, t: np.tile((a + b) / 2, (len(t), 1)),
    ),
    Wrong(
        "own_t",
        "lerp",
        "your code makes its own t, evenly spaced from 0 to 1. Use the given t: its values come in any order, and may lie "
        "outside [0, 1]",
        lambda a, b, t: straight(a, b, np.linspace(0, 1, len(t))),
    ),
    Wrong(
        "shoemake",
        "slerp",
        "your code multiplies the sines by a and b. This is right only if a and b have the same length. Otherwise the length "
        "is wrong, and it is huge between nearly opposite ends. Turn the directions, and change the length linearly",
        lambda a, b, t: classic(a, b, t, angle(a, b)),
    ),
    Wrong(
        "unit_length",
        "slerp",
        "your result has length 1 everywhere. The directions are right, but the lengths of a and b are lost",
        lambda a, b, t: turned(a / np.linalg.norm(a), b / np.linalg.norm(b), t),
    ),
    Wrong(
        "lerp_for_slerp",
        "slerp",
        "your result is lerp. The walk goes through the inside of the sphere, so its middle is shorter than its ends",
        straight,
    ),
    Wrong(
        "angle_of_raw",
        "slerp",
        "your angle is arccos(a . b), but a and b are not unit vectors. Divide both by their lengths first",
        lambda a, b, t: (
            ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))[:, None]
            * classic(a / np.linalg.norm(a), b / np.linalg.norm(b), t, np.arccos(np.clip(a @ b, -1, 1)))
        ),
    ),
    Wrong(
        "normalised_lerp",
        "slerp",
        "your result is lerp with its length corrected. The directions lie on the arc, but they turn faster in the middle. "
        "slerp turns at constant speed",
        lambda a, b, t: (
            ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))[:, None]
            * (lambda d: d / np.linalg.norm(d, axis=1, keepdims=True))(straight(a / np.linalg.norm(a), b / np.linalg.norm(b), t))
        ),
    ),
    Wrong(
        "unguarded",
        "slerp",
        UNGUARDED,
        unguarded,
    ),
    Wrong(
        "wide_guard",
        "slerp",
        "your code uses lerp if the ends are within about 2 degrees of parallel or opposite. Use lerp only if the sine is "
        "below 1e-6",
        lambda a, b, t: straight(a, b, t) if not (a.any() and b.any()) or abs(np.cos(angle(a, b))) > 0.9995 else turned(a, b, t),
        [functools.partial(guarded, limit=limit) for limit in (0.9995, 1 - 1e-6)],
    ),
    Wrong(
        "by_arccos",
        "slerp",
        "your code computes the angle by arccos, which loses half of its digits near 0 and pi. Use 2 atan2(|u - v|, |u + v|)",
        by_arccos,
    ),
    Wrong(
        "half_the_angle",
        "slerp",
        "your code has the angle atan2(|u - v|, |u + v|). This is half of it: multiply by 2",
        lambda a, b, t: (
            ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))[:, None]
            * classic(a / np.linalg.norm(a), b / np.linalg.norm(b), t, angle(a, b) / 2)
        ),
    ),
    Wrong(
        "length_of_a",
        "slerp",
        "every row has the length of a. The length must change linearly from |a| to |b|",
        lambda a, b, t: turned(a, b * np.linalg.norm(a) / np.linalg.norm(b), t),
    ),
    Wrong(
        "unit_direction_of_labels",
        "label_direction",
        "your direction has length 1. Its length matters: at t = 1 the walk adds the whole difference of the means",
        lambda mu, labels, source, target: (
            means_apart(mu, labels, source, target) / np.linalg.norm(means_apart(mu, labels, source, target))
        ),
    ),
    Wrong(
        "reversed",
        "label_direction",
        "your direction points from `target` to `source`. It must be the mean of `target` minus the mean of `source`",
        lambda mu, labels, source, target: means_apart(mu, labels, target, source),
    ),
    Wrong(
        "from_all",
        "label_direction",
        "your direction starts at the mean of all images. It must start at the mean of the images labelled `source`",
        lambda mu, labels, source, target: mu[labels == target].mean(0) - mu.mean(0),
    ),
    Wrong(
        "sums",
        "label_direction",
        "your code subtracts sums, so the more frequent label has more weight. Use means",
        lambda mu, labels, source, target: mu[labels == target].sum(0) - mu[labels == source].sum(0),
    ),
    Wrong(
        "label_as_index",
        "label_direction",
        "your code uses labels as row numbers: mu[target] is one image. Select the rows with labels == target",
        lambda mu, labels, source, target: mu[target % len(mu)] - mu[source % len(mu)],
        [lambda mu, labels, source, target: mu[target] - mu[source]],
    ),
    Wrong(
        "to_the_direction",
        "label_walk",
        "your walk ends at the direction: it is lerp from z to the direction. Add t times the direction to z",
        lambda z, direction, t: straight(z, direction, t),
    ),
    Wrong(
        "unit_direction",
        "label_walk",
        "your code scales the direction to length 1. At t = 1 the walk must add the whole direction",
        lambda z, direction, t: along(z, direction / np.linalg.norm(direction), t),
    ),
    Wrong(
        "clipped",
        "label_walk",
        "your code clips t to [0, 1]. t above 1 exaggerates the change, and negative t goes the other way: allow both",
        lambda z, direction, t: along(z, direction, np.clip(t, 0, 1)),
    ),
]


VALID = [
    ("lerp", straight),
    ("slerp", turned),
    ("label_direction", means_apart),
    ("label_walk", along),
]
