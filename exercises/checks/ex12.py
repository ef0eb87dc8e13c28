"""Exercise 12: a convolution against loops, with integers, so that every bit must agree; and parameters carried over."""

import numpy as np
import torch

from exercises.declaring import Check, Wrong, declared
from exercises.probes import LAYOUTS, Probe, extreme, noted
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

    def case(note, x, w, stride=(1, 1), padding=(0, 0), dtype=np.float32, part=1.0):
        arrays = {"x": draw(*x), "weight": draw(*w), "bias": draw(w[0])}
        return noted(note, {n: (part * a).astype(dtype) for n, a in arrays.items()} | {"stride": stride, "padding": padding})

    identity = case("each pixel as it is", (2, 1, 3, 4), (1, 1, 1, 1))
    identity |= {"weight": np.ones((1, 1, 1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    more = [
        case("eighths", (2, 3, 5, 6), (4, 3, 3, 2), (1, 2), (1, 1), part=0.125),
        case("eighths, float64", (2, 3, 5, 6), (4, 3, 3, 2), (2, 1), (0, 1), np.float64, 0.125),
        case("kernel 7 x 6", (1, 2, 9, 8), (3, 2, 7, 6)),
        case("kernel 1 x 9", (1, 1, 2, 11), (2, 1, 1, 9), (2, 1)),
        case("image 49 x 37", (1, 1, 49, 37), (1, 1, 3, 3), (2, 2), (1, 1)),
        case("B = 70", (70, 1, 3, 4), (2, 1, 2, 2)),
        case("C = 70", (1, 70, 3, 4), (2, 70, 2, 2)),
        case("O = 70", (1, 2, 3, 4), (70, 2, 2, 2)),
        case("stride 5 x 6, padding 4 x 5", (1, 1, 6, 7), (1, 1, 2, 3), (5, 6), (4, 5)),
        case("the kernel is larger than the image", (1, 1, 2, 3), (1, 1, 4, 5), (1, 1), (1, 1)),
        case("kernel 1 x 1", (2, 3, 4, 5), (2, 3, 1, 1)),
        *(
            case(f"kernel {h} x {w}, stride {s} x {t}", (2, 3, 5, 6), (4, 3, h, w), (s, t))
            for h, w in ((1, 1), (1, 2), (2, 1), (2, 3))
            for s, t in ((2, 1), (1, 2), (2, 2), (3, 2))
        ),
        case("image 1 x 7", (2, 3, 1, 7), (2, 3, 1, 2), (1, 2)),
        case("image 7 x 1", (2, 3, 7, 1), (2, 3, 3, 1), (2, 1)),
        case("image 1 x 1", (2, 3, 1, 1), (2, 3, 1, 1), (2, 2)),
        case("one of all", (1, 1, 1, 1), (1, 1, 1, 1), (2, 3), (1, 2)),
        identity,
        case("zeros", (1, 2, 4, 5), (2, 2, 3, 2), part=0.0),
        case("as many outputs as channels", (2, 3, 5, 6), (3, 3, 3, 2)),
    ]
    return [few, *drawn, double, *more, large("x", 30), large("weight", 30), large("bias", 30)]


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
        noted("arrays without an axis", {"params": {"a": np.array(2.5), "b": np.array(-0.5, np.float32)}}),
        noted(
            "many axes, large and empty arrays",
            {
                "params": {
                    "five": rng.normal(size=(2, 1, 3, 1, 2)),
                    "large": rng.normal(size=(90, 110)),
                    "none": np.zeros((0, 3), np.float32),
                }
            },
        ),
        noted("no parameter", {"params": {}}),
        noted("large, small and negative numbers", {"params": {"a": np.array([1e300, -1e-300, 0.0, -0.0, 1 / 3])}}),
        noted("70 parameters", {"params": {f"layer{i}.weight": rng.normal(size=(2, i % 3 + 1)) for i in range(70)}}),
        {
            "params": {
                "w": rng.normal(size=(4, 3)),
                "k": rng.normal(size=(2, 3, 1, 2)).astype(np.float32),
                "b": rng.normal(size=5),
            }
        },
    ]


def tensors(rng):
    found = [
        noted(
            probe.note if isinstance(probe, Probe) else "",
            {"tensors": {n: torch.tensor(a.copy(), requires_grad=bool(i % 2 == 0)) for n, a in probe["params"].items()}},
        )
        for i, probe in enumerate(parameters(rng))
    ]
    one = torch.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    one.grad = torch.ones(2, 3, dtype=torch.float64)
    special = [
        noted("a tensor that has a gradient", {"tensors": {"w": one}}),
        noted("a tensor that was computed from others", {"tensors": {"w": torch.ones(3, requires_grad=True) * 2}}),
        noted(
            "a tensor that was computed from others, without an axis",
            {"tensors": {"w": torch.tensor(1.5, requires_grad=True) * 2}},
        ),
    ]
    return [*special, *found]


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
    third = np.zeros(4)
    third[2] = 1.5  # beyond the tolerance of 1, and the root of the mean square is not
    none = np.zeros((0, 2))
    limit = np.array([0.0, 1.0])
    big_batch = rng.normal(size=(1200, 2))
    last_row = big_batch.copy()
    last_row[-1, -1] += 1
    others += [
        (third, 0 * third, 1.0),
        (0 * third, third, 1.0),
        (0 * third, -third, 1.0),
        (none, none.copy(), 1.0),
        (none, np.zeros((2, 0)), 1.0),
        (np.array(1.0), np.array(1.5), 0.5),
        (np.array(1.0), np.array(1.6), 0.5),
        (np.array(1.0), np.array([1.0]), 0.5),
        (limit, limit + np.array([0, 1.0000005]), 1.0),
        (limit, limit + np.array([0, 1 + 1e-12]), 1.0),
        (limit, limit + np.array([0, 1.0]), 1.0),
        (1e6 + limit, 1e6 + limit + np.array([0, 1.0000005]), 1.0),
        (limit, limit.astype(np.float32), 0.0),
        (limit.astype(np.float32), limit * (1 + 1e-9), 1e-10),
        (limit * (1 + 1e-9), limit.astype(np.float32), 1e-10),
        (limit.astype(np.float32), limit * (1 + 1e-9), 1e-8),
        (limit.astype(np.float32), limit, 0.25),
        (limit, (limit + 0.5).astype(np.float32), 0.25),
        (big_batch, last_row, 0.5),
        (last_row, big_batch, 1.5),
        (1e200 * limit, -1e200 * limit, 1e199),
        (1e200 * limit, -1e200 * limit, 1e201),
        (limit, limit + 1e-300, 0.0),
        (limit, limit + 3.0, 1e9),
    ]
    wide = rng.normal(size=(3, 5))
    single, off = a.astype(np.float32), (a + 0.2).astype(np.float32)
    tenth = np.array([0.1, 0.0], np.float32)  # as a float64, the float32 nearest to 0.1 is above 0.1
    others += [(tenth, tenth[::-1].copy(), 0.1), (tenth, 0 * tenth, 0.1), (tenth, 0 * tenth, 0.11)]
    others += [(wide, wide + 0.001, 0.01), (single, single + np.float32(0.001), 0.01), (single, off, 0.01), (single, off, 0.3)]
    last = [(a, near, 0.01)]
    return [{"a": p.copy(), "b": q.copy(), "tolerance": t} for p, q, t in [*((p, q, 0.01) for p, q in cases), *others, *last]]


def check_dicts(argument, given, objects, result, kind, kinds):
    """`given` must still hold its `objects`, and `result` an object of `kind` under each of their names."""
    if given.keys() != objects.keys() or any(given[name] is not one for name, one in objects.items()):
        raise ValueError(f"{argument} was changed: the function writes into its argument; work on a copy")
    if not isinstance(result, dict) or result.keys() != objects.keys():
        raise Unfit(result, f"a dict of {kinds} with the names {', '.join(objects)}")
    if other := [f"{name} is of type {type(one).__name__}" for name, one in result.items() if not isinstance(one, kind)]:
        raise Unfit(result, f"a dict of {kinds}; but {', '.join(other)}")


def carried(function, args):
    """The tensors, what they ask for, and whether a change to one shows in the array it came from."""
    given = args["params"]
    objects, before = dict(given), {name: array.copy() for name, array in given.items()}
    flags = {name: (array.flags.writeable, array.strides) for name, array in given.items()}
    result = function(given)
    if any((array.flags.writeable, array.strides) != flags[name] for name, array in given.items() if name in flags):
        raise ValueError("an array of params has other flags or strides than before: the function changes its argument")
    check_dicts("params", given, objects, result, torch.Tensor, "torch tensors")
    values = {name: t.detach().clone() for name, t in result.items()}
    asks = {f"{name} asks for its gradient": bool(t.requires_grad) for name, t in result.items()}
    asks |= {f"{name} is a leaf": bool(t.is_leaf) for name, t in result.items()}
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
    objects = dict(given)
    result = function(given)
    check_dicts("tensors", given, objects, result, np.ndarray, "arrays")
    values = {name: array.copy() for name, array in result.items()}
    written = {f"{name} can be written to": bool(array.flags.writeable) for name, array in result.items()}
    before = {name: t.detach().clone() for name, t in given.items()}
    for t in given.values():
        t.data += 1
    shared = {f"{name} shares memory": not np.array_equal(result[name], values[name]) for name in values}
    for name, t in given.items():
        t.data.copy_(before[name])
    return values | shared | written


def tensor_by_tensor(params):
    made = {}
    for name, array in params.items():
        made[name] = torch.empty(array.shape, dtype=torch.float32 if array.dtype == np.float32 else torch.float64)
        made[name].copy_(torch.as_tensor(array.copy()))
        made[name].requires_grad_()
    return made


def array_by_array(tensors):
    return {
        name: np.array(t.tolist(), dtype=str(t.dtype).removeprefix("torch.")).reshape(tuple(t.shape))
        for name, t in tensors.items()
    }


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
            long=dict.fromkeys(("B", "C", "H", "W", "O", "KH", "KW"), 0),
            short={"H": 0, "W": 0},
            rows="B",
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
            layouts=tuple(LAYOUTS),
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
        "your code flips the kernel, as mathematics does. In deep learning the convolution does not flip it",
        loops(lambda a: {"weight": a["weight"][:, :, ::-1, ::-1]}),
    ),
    Wrong(
        "bias_forgotten",
        "conv2d",
        "the bias is missing. Add one number for each output channel",
        loops(lambda a: {"bias": None}),
    ),
    Wrong(
        "stride_exchanged",
        "conv2d",
        "height and width are exchanged in the stride. The first number is the vertical one",
        loops(lambda a: {"stride": a["stride"][::-1]}),
    ),
    Wrong(
        "padding_exchanged",
        "conv2d",
        "height and width are exchanged in the padding. The first number is the vertical one",
        loops(lambda a: {"padding": a["padding"][::-1]}),
    ),
    Wrong(
        "padded_at_the_end",
        "conv2d",
        "all the padding is at the bottom and on the right. Pad both sides equally",
        padded_at_the_end,
    ),
    Wrong(
        "padded_with_edges",
        "conv2d",
        "your code repeats the border pixels. Pad with zeros",
        padded_with_edges,
    ),
    Wrong(
        "one_place_too_few",
        "conv2d",
        "your result has one row and one column too few. A kernel of KH rows fits H + 2p - KH + 1 times, so 1 is added after the "
        "division by the stride",
        lambda *args: conv2d_loops(*args)[:, :, :-1, :-1],
    ),
    Wrong(
        "bias_again",
        "conv2d",
        "your code adds the bias once for each place of the kernel. Add it once to each output",
        loops(lambda a: {"bias": a["bias"] * a["weight"][0, 0].size}),
    ),
    Wrong(
        "one_stride",
        "conv2d",
        "your code uses the vertical stride in both directions. The second number is the horizontal stride",
        loops(lambda a: {"stride": (a["stride"][0], a["stride"][0])}),
    ),
    Wrong(
        "one_channel",
        "conv2d",
        "your code uses only the first channel. Sum over all input channels",
        loops(lambda a: {"x": a["x"][:, :1], "weight": a["weight"][:, :1]}),
    ),
    Wrong(
        "no_gradient",
        "to_torch",
        "the tensors do not ask for their gradient. End with requires_grad_()",
        lambda params: {name: torch.tensor(array.copy()) for name, array in params.items()},
    ),
    Wrong(
        "no_leaf",
        "to_torch",
        "the tensors are results of a computation, so they are no leaves: backward() stores gradients only in leaves. Let "
        "requires_grad be set last, with no clone and no arithmetic after it",
        lambda params: {name: torch.tensor(array.copy()).requires_grad_().clone() for name, array in params.items()},
    ),
    Wrong(
        "reversed_refused",
        "to_torch",
        "torch.tensor and from_numpy refuse an array that is reversed in memory, such as a[::-1]. Copy the array first: "
        "torch.tensor(a.copy())",
        lambda params: {name: torch.tensor(array, requires_grad=True) for name, array in params.items()},
    ),
    Wrong(
        "shared",
        "to_torch",
        "the tensors share memory with the arrays (from_numpy). Then training changes level 1's weights too: copy first",
        lambda params: {name: torch.from_numpy(array).requires_grad_() for name, array in params.items()},
        [lambda params: {name: torch.from_numpy(np.ascontiguousarray(a)).requires_grad_() for name, a in params.items()}],
    ),
    Wrong(
        "all_float32",
        "to_torch",
        "every tensor is float32. A float64 parameter must stay float64, because exact comparisons need it",
        lambda params: {name: torch.tensor(array.copy(), dtype=torch.float32).requires_grad_() for name, array in params.items()},
        [lambda params: {name: torch.tensor(array.copy()).float().requires_grad_() for name, array in params.items()}],
    ),
    Wrong(
        "transposed",
        "to_torch",
        "the matrices are transposed. Level 1's weights already have torch's shape, (O, I): do not transpose them",
        lambda params: {name: torch.tensor(array.T.copy()).requires_grad_() for name, array in params.items()},
        [lambda params: {n: torch.tensor((a.T if a.ndim == 2 else a).copy()).requires_grad_() for n, a in params.items()}],
    ),
    Wrong(
        "back_shared",
        "to_numpy",
        "the arrays share memory with the tensors. .numpy() makes no copy, so the next training step changes the arrays: copy",
        lambda tensors: {name: t.detach().numpy() for name, t in tensors.items()},
    ),
    Wrong(
        "back_float64",
        "to_numpy",
        "every array is float64. Keep each tensor's dtype",
        lambda tensors: {name: t.detach().numpy().astype(np.float64) for name, t in tensors.items()},
    ),
    Wrong(
        "nan_passes",
        "agree",
        "your code asks `not (difference > tolerance)`. NaN passes this test, because every comparison with NaN is false. Ask "
        "for difference <= tolerance",
        lambda a, b, tolerance: a.shape == b.shape and not bool((np.abs(a - b) > tolerance).any()),
        [lambda a, b, tolerance: a.shape == b.shape and not bool((np.abs(a.astype(float) - b) > tolerance).any())],
    ),
    Wrong(
        "in_float32",
        "agree",
        "your code computes the difference of two float32 arrays in float32. There the tolerance is rounded too, so a "
        "difference just above it passes. Convert both to float64 first",
        lambda a, b, tolerance: a.shape == b.shape and bool((np.abs(a - b) <= tolerance).all()),
    ),
    Wrong(
        "allclose",
        "agree",
        "your code uses np.allclose or np.isclose. They add a relative tolerance, rtol, by default, and two infinities agree. "
        "Compare |a - b| with the tolerance",
        lambda a, b, tolerance: a.shape == b.shape and np.allclose(a, b, atol=tolerance),
        [
            lambda a, b, tolerance: a.shape == b.shape and np.allclose(a, b, rtol=0, atol=tolerance),
            lambda a, b, tolerance: a.shape == b.shape and np.allclose(a.astype(float), b.astype(float), atol=tolerance),
            lambda a, b, tolerance: a.shape == b.shape and np.allclose(a.astype(float), b.astype(float), 0, tolerance),
        ],
    ),
    Wrong(
        "below",
        "agree",
        "your code asks for difference < tolerance. A difference equal to the tolerance agrees, also if both are 0: use <=",
        lambda a, b, tolerance: a.shape == b.shape and bool((np.abs(a.astype(float) - b) < tolerance).all()),
        [lambda a, b, tolerance: a.shape == b.shape and bool((np.abs(a - b) < tolerance).all())],
    ),
    Wrong(
        "signed",
        "agree",
        "your code compares a - b without its absolute value. Then every b that is too large passes",
        lambda a, b, tolerance: a.shape == b.shape and bool(np.isfinite(a + b).all() and (a - b <= tolerance).all()),
        [
            lambda a, b, tolerance: a.shape == b.shape and bool((a - b <= tolerance).all()),
            lambda a, b, tolerance: a.shape == b.shape and bool((a.astype(float) - b <= tolerance).all()),
        ],
    ),
    Wrong(
        "broadcasts",
        "agree",
        "for arrays of different shapes your code broadcasts, or stops with an error. Compare the shapes first",
        lambda a, b, tolerance: bool((np.abs(a.astype(float) - b) <= tolerance).all()),
        [lambda a, b, tolerance: bool((np.abs(a - b) <= tolerance).all())],
    ),
    Wrong(
        "on_average",
        "agree",
        "your code compares the *mean* difference. One wrong number can hide among many right ones: compare every number",
        lambda a, b, tolerance: bool(a.shape == b.shape and np.isfinite(a + b).all() and np.abs(a - b).mean() <= tolerance),
        [
            lambda a, b, tolerance: a.shape == b.shape and bool(np.abs(a - b).mean() <= tolerance),
            lambda a, b, tolerance: a.shape == b.shape and bool(np.abs(a.astype(float) - b).mean() <= tolerance),
        ],
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
    ("agree", lambda a, b, tolerance: a.shape == b.shape and bool(np.all(np.abs(a.astype(float) - b) <= tolerance))),
    ("agree", lambda a, b, tolerance: a.shape == b.shape and bool(np.abs(a - b.astype(float)).max(initial=0) <= tolerance)),
    ("agree", lambda a, b, tolerance: a.shape == b.shape and not (~(np.abs(np.float64(a) - b) <= tolerance)).any()),
]
