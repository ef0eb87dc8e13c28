"""Exercise 12: a convolution against loops, with integers, so that every bit must agree; and parameters carried over."""

import numpy as np
import torch

from exercises.declaring import Check, Wrong, declared
from exercises.probes import extreme
from exercises.running import Unfit
from vae_numpy.layers import conv2d_loops


def integers(rng):
    """Small integers in float32: sums are exact in any order. H != W, KH != KW, stride and padding different both ways."""

    def draw(*shape):
        return rng.integers(-4, 5, shape).astype(np.float32)

    ramp = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    few = {
        "x": ramp,
        "weight": np.array([[[[1, 2], [0, -1]]]], np.float32),
        "bias": np.array([10], np.float32),
        "stride": (1, 1),
        "padding": (0, 0),
    }
    cases = [
        ((2, 5, 6, 9), (4, 5, 3, 2), (2, 1), (1, 0)),
        ((1, 6, 7, 5), (4, 6, 2, 3), (1, 3), (0, 2)),
        ((3, 1, 5, 4), (2, 1, 1, 3), (2, 2), (0, 1)),
        ((2, 3, 4, 8), (1, 3, 2, 1), (3, 1), (2, 0)),
        ((1, 2, 3, 2), (5, 2, 3, 2), (1, 1), (0, 0)),
        ((4, 1, 2, 7), (3, 1, 1, 1), (1, 4), (3, 1)),
    ]
    drawn = [
        {"x": draw(*x), "weight": draw(*w), "bias": draw(w[0]) + np.float32(rng.choice([-7, 6])), "stride": s, "padding": p}
        for x, w, s, p in cases
    ]
    double = drawn[1] | {name: drawn[1][name].astype(np.float64) for name in ("x", "weight", "bias")}

    def large(name, factor):  # whole numbers that float32 cannot hold
        return extreme(**double | {name: double[name] * 2.0**factor + 1})

    return [few, *drawn, double, large("x", 30), large("weight", 30), large("bias", 30)]


def parameters(rng):
    """The model's tensors in miniature, of 1 to 4 axes and both dtypes; one is not contiguous in memory."""
    return [
        {"params": {"fc.weight": rng.normal(size=(3, 2)).astype(np.float32), "fc.bias": rng.normal(size=(2, 3)).T[1]}},
        {
            "params": {
                "conv.weight": rng.normal(size=(2, 1, 3, 4)),
                "conv.bias": np.array([3.0], np.float32),
                "a": np.array([[1e-30, 1e30]]),
            }
        },
        {"params": {"only": rng.normal(size=(5, 1)).astype(np.float32)}},
    ]


def tensors(rng):
    return [
        {"tensors": {name: torch.tensor(array, requires_grad=bool(i % 2 == 0)) for name, array in probe["params"].items()}}
        for i, probe in enumerate(parameters(rng))
    ]


def pairs(rng):
    a = rng.normal(size=(2, 3))
    hurt = [a.copy() for _ in range(4)]
    hurt[0][1, 2], hurt[1][0, 1], hurt[2][1, 1], hurt[3][0, 0] = np.nan, np.inf, a[1, 1] - 0.3, -np.inf
    wide = np.repeat(a[:, :1], 3, axis=1)  # equal to its first column, once that is broadcast
    near = a + 0.009 * np.sign(rng.normal(size=a.shape))
    cases = [
        (a, near),
        (a, hurt[0]),
        (hurt[0], hurt[0]),
        (hurt[1], hurt[1]),
        (a, hurt[2]),
        (hurt[2], a),
        (wide, wide[:, :1]),
        (hurt[0], a),
        (a, hurt[1]),
        (hurt[3], hurt[3]),
        (hurt[1], hurt[3]),
    ]
    shifted = a.copy()
    shifted[0, 0] += 0.5
    shifted[1, 1] -= 0.5  # the sums and the means agree
    column = rng.normal(size=7)
    big = 1e6 * (1 + np.abs(rng.normal(size=(4, 1))))
    step = np.zeros((3, 1, 2))
    others = [
        (a, shifted, 0.01),
        (shifted, a, 0.01),
        (a, a[::-1].copy(), 1e-3),
        (column, np.sort(column), 0.05),
        (a, -a, 0.1),
        (a, near, 0.5),
        (near, a, 1e-6),
        (a, a.copy(), 0.0),
        (a, np.nextafter(a, 9), 0.0),
        (a, np.nextafter(a, 9), 1e-12),
        (big, big + 1, 0.3),
        (big + 1, big, 2.0),
        (1e-9 * a, 2e-9 * a, 1e-12),
        (1e-9 * a, 2e-9 * a, 1e-7),
        (step, step + 0.5, 0.5),
        (step, step + 0.5, 0.25),
        (column, column[:, None], 10.0),
        (column, column[:6], 10.0),
        (a, a.T.copy(), 10.0),
        (a, a.reshape(6), 10.0),
        (column[:1], column[:1] + 2, 3.0),
    ]
    wide = rng.normal(size=(3, 5))
    single, off = a.astype(np.float32), (a + 0.2).astype(np.float32)
    others += [(wide, wide + 0.001, 0.01), (single, single + np.float32(0.001), 0.01), (single, off, 0.01), (single, off, 0.3)]
    last = [(a, near, 0.01)]
    return [{"a": p.copy(), "b": q.copy(), "tolerance": t} for p, q, t in [*((p, q, 0.01) for p, q in cases), *others, *last]]


def carried(function, args):
    """The tensors, what they ask for, and whether a change to one shows in the array it came from."""
    given = args["params"]
    before = {name: array.copy() for name, array in given.items()}
    result = function(given)
    if given.keys() != before.keys():
        raise ValueError("params was changed: the function writes into its argument; work on a copy")
    if (
        not isinstance(result, dict)
        or result.keys() != before.keys()
        or not all(isinstance(t, torch.Tensor) for t in result.values())
    ):
        raise Unfit(result, f"a dict of torch tensors with the names {', '.join(before)}")
    values = {name: t.detach().clone() for name, t in result.items()}
    asks = {f"{name} asks for its gradient": bool(t.requires_grad and t.is_leaf) for name, t in result.items()}
    unchanged = {name: array.copy() for name, array in given.items()}
    for t in result.values():
        t.data += 1
    shared = {f"{name} shares memory": not np.array_equal(given[name], unchanged[name]) for name in before}
    for name, array in unchanged.items():
        if shared[f"{name} shares memory"]:
            given[name][...] = array
    return values | asks | shared


def brought_back(function, args):
    """The arrays, and whether a change to a tensor shows in one of them."""
    given = args["tensors"]
    names = list(given)
    result = function(given)
    if list(given) != names:
        raise ValueError("tensors was changed: the function writes into its argument; work on a copy")
    if not isinstance(result, dict) or result.keys() != set(names) or not all(isinstance(a, np.ndarray) for a in result.values()):
        raise Unfit(result, f"a dict of arrays with the names {', '.join(names)}")
    values = {name: array.copy() for name, array in result.items()}
    before = {name: t.detach().clone() for name, t in given.items()}
    for t in given.values():
        t.data += 1
    shared = {f"{name} shares memory": not np.array_equal(result[name], values[name]) for name in values}
    for name, t in given.items():
        t.data.copy_(before[name])
    return values | shared


def tensor_by_tensor(params):
    made = {}
    for name, array in params.items():
        made[name] = torch.empty(array.shape, dtype=torch.float32 if array.dtype == np.float32 else torch.float64)
        made[name].copy_(torch.as_tensor(array.copy()))
        made[name].requires_grad_()
    return made


def array_by_array(tensors):
    return {name: np.array(t.tolist(), dtype=str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}


def all_close(a, b, tolerance):
    return a.shape == b.shape and all(
        abs(float(p) - float(q)) <= tolerance for p, q in zip(a.flat, b.flat, strict=True)
    )  # false for NaN, and for inf - inf


CHECKS = declared(
    "12",
    [
        Check(
            "conv2d",
            "exactly what the loops give, H != W, KH != KW",
            conv2d_loops,
            integers,
            allowed=0.0,
            float32=None,
            keeps_dtype=True,
        ),
        Check(
            "to_torch",
            "the same numbers, a gradient, and no memory in common",
            tensor_by_tensor,
            parameters,
            carried,
            0.0,
            None,
            True,
        ),
        Check("to_numpy", "the same numbers, and no memory in common", array_by_array, tensors, brought_back, 0.0, None, True),
        Check("agree", "near, far, NaN and infinity", all_close, pairs, float32=None),
    ],
)


def loops(change):
    def answer(x, weight, bias, stride, padding):
        args = {"x": x, "weight": weight, "bias": bias, "stride": stride, "padding": padding}
        return conv2d_loops(**(args | change(args)))

    return answer


def padded_at_the_end(x, weight, bias, stride, padding):
    framed = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding[0]), (0, 2 * padding[1])))
    return conv2d_loops(framed, weight, bias, stride, 0)


def padded_with_edges(x, weight, bias, stride, padding):
    framed = np.pad(x, ((0, 0), (0, 0), *[(p, p) for p in padding]), mode="edge")
    return conv2d_loops(framed, weight, bias, stride, 0)


WRONG = [
    Wrong(
        "flipped",
        "conv2d",
        "that turns the kernel around, as mathematics does; deep learning's convolution does not flip it",
        loops(lambda a: {"weight": a["weight"][:, :, ::-1, ::-1]}),
    ),
    Wrong(
        "bias_forgotten",
        "conv2d",
        "that lacks the bias, one number for each output channel",
        loops(lambda a: {"bias": None}),
    ),
    Wrong(
        "stride_exchanged",
        "conv2d",
        "height and width are exchanged in the stride: the first number is the vertical one",
        loops(lambda a: {"stride": a["stride"][::-1]}),
    ),
    Wrong(
        "padding_exchanged",
        "conv2d",
        "height and width are exchanged in the padding: the first number is the vertical one",
        loops(lambda a: {"padding": a["padding"][::-1]}),
    ),
    Wrong(
        "padded_at_the_end",
        "conv2d",
        "all the padding is below and to the right; it belongs on both sides",
        padded_at_the_end,
    ),
    Wrong(
        "padded_with_edges",
        "conv2d",
        "that repeats the border pixels; the padding is zeros",
        padded_with_edges,
    ),
    Wrong(
        "one_channel",
        "conv2d",
        "that looks at the first channel only; the sum runs over all input channels",
        loops(lambda a: {"x": a["x"][:, :1], "weight": a["weight"][:, :1]}),
    ),
    Wrong(
        "no_gradient",
        "to_torch",
        "the tensors are no leaves that ask for their gradient: end with requires_grad_()",
        lambda params: {name: torch.tensor(array) for name, array in params.items()},
    ),
    Wrong(
        "shared",
        "to_torch",
        "the tensors lie in the arrays' own memory (from_numpy): training would change level 1's weights too",
        lambda params: {name: torch.from_numpy(array).requires_grad_() for name, array in params.items()},
    ),
    Wrong(
        "all_float32",
        "to_torch",
        "every tensor is float32; float64 parameters, which exact comparisons need, must stay float64",
        lambda params: {name: torch.tensor(array, dtype=torch.float32).requires_grad_() for name, array in params.items()},
    ),
    Wrong(
        "transposed",
        "to_torch",
        "the matrices are transposed: level 1's weights lie as torch lays them, (O, I), and stay so",
        lambda params: {name: torch.tensor(array.T).requires_grad_() for name, array in params.items()},
    ),
    Wrong(
        "back_shared",
        "to_numpy",
        "the arrays lie in the tensors' own memory: .numpy() makes no copy, and the next training step changes them",
        lambda tensors: {name: t.detach().numpy() for name, t in tensors.items()},
    ),
    Wrong(
        "back_float64",
        "to_numpy",
        "every array is float64; keep each tensor's dtype",
        lambda tensors: {name: t.detach().numpy().astype(np.float64) for name, t in tensors.items()},
    ),
    Wrong(
        "nan_passes",
        "agree",
        "that is `not (difference > tolerance)`, which NaN passes: every comparison with NaN is false. Ask for "
        "difference <= tolerance",
        lambda a, b, tolerance: a.shape == b.shape and not bool((np.abs(a - b) > tolerance).any()),
    ),
    Wrong(
        "signed",
        "agree",
        "that compares a - b without its absolute value: any b that is too large passes",
        lambda a, b, tolerance: a.shape == b.shape and bool(np.isfinite(a + b).all() and (a - b <= tolerance).all()),
    ),
    Wrong(
        "broadcasts",
        "agree",
        "that lets arrays of different shapes agree by broadcasting, or fails on them: compare the shapes first",
        lambda a, b, tolerance: bool((np.abs(a - b) <= tolerance).all()),
    ),
    Wrong(
        "on_average",
        "agree",
        "that compares the *mean* difference: one number that is far off hides among many that are right",
        lambda a, b, tolerance: bool(a.shape == b.shape and np.isfinite(a + b).all() and np.abs(a - b).mean() <= 0.1),
    ),
]

VALID = [
    ("conv2d", conv2d_loops),
    (
        "conv2d",
        lambda x, w, b, stride, padding: torch.nn.functional.conv2d(
            torch.tensor(x), torch.tensor(w), torch.tensor(b), stride, padding
        ).numpy(),
    ),
    ("to_torch", lambda params: {n: torch.from_numpy(a.copy()).requires_grad_() for n, a in params.items()}),
    ("to_numpy", lambda tensors: {n: np.array(t.detach()) for n, t in tensors.items()}),
    ("agree", all_close),
    ("agree", lambda a, b, tolerance: a.shape == b.shape and bool(np.abs(a - b).max() <= tolerance)),
]
