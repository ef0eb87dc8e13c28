"""Exercise 11: codes by brute force; gradients observed by sending a known one backwards."""

import collections
import math

import numpy as np
import torch

from exercises.declaring import Check, Wrong, declared
from exercises.probes import Probe, as_float32, changed, each, extreme, noted
from exercises.running import Unfit


def vectors(rng):
    few = {
        "z_e": torch.tensor([[0.9, 0.2], [-2.0, 1.5], [0.1, -0.1]], dtype=torch.float64),
        "codebook": torch.tensor([[3.0, 1.0], [1.0, 0.0], [-1.0, 0.8], [0.0, -0.2]], dtype=torch.float64),
    }

    def draw(N, D, K, size=1.0):
        scale = size * rng.uniform(0.3, 2.5, (K, 1))  # codes of different lengths: the largest product is not the nearest
        return {"z_e": torch.tensor(rng.normal(0.3, size, (N, D))), "codebook": torch.tensor(rng.normal(size=(K, D)) * scale)}

    axis = torch.arange(1600.0, dtype=torch.float64)[:, None]
    shuffled = torch.tensor(rng.permutation(1600))
    fine = {"z_e": torch.tensor([[1000.0, 3.0], [-1000.0, 3.0]], dtype=torch.float64)}
    fine["codebook"] = fine["z_e"].repeat(3, 1) + torch.tensor(rng.permutation(6))[:, None] * 1e-3 + 5e-4
    finer = {"z_e": torch.tensor([[0.5, 1.0], [-1.0, 0.25]], dtype=torch.float64)}
    finer["codebook"] = finer["z_e"].repeat(3, 1) + torch.tensor(rng.permutation(6))[:, None] * 1e-9 + 5e-10
    near = {"z_e": torch.tensor(rng.integers(900, 1100, (30, 3)) + 0.0)}  # from 26 rows on, torch.cdist multiplies out
    near["codebook"] = near["z_e"].repeat(2, 1) + torch.tensor(rng.permutation(60))[:, None] / 64 + 1 / 128
    hot = torch.eye(40, dtype=torch.float64)
    special = [
        noted("each vector is a code, of 1600", {"z_e": axis[shuffled[:40]] + 0.1, "codebook": axis}),
        noted("each vector is a code, of 40", {"z_e": hot[shuffled[shuffled < 40]] * 0.9, "codebook": hot}),
        noted("codes 0.001 apart, 1000 from 0", fine),
        noted("codes 1e-9 apart", finer),
        noted("float32, codes 1/64 apart, 1000 from 0", changed(near, as_float32)),
        noted("a vector that occurs twice", {"z_e": few["z_e"][[0, 0, 1]], "codebook": few["codebook"]}),
        noted("float32", changed({"z_e": axis[:20] - 0.2, "codebook": axis[shuffled[:700]] * 3}, as_float32)),
        noted("D = 130", draw(4, 130, 9)),
        noted("all numbers negative", {n: -t.abs() - 0.1 for n, t in draw(7, 3, 5).items()}),
    ]
    return [
        *special,
        few,
        draw(1, 4, 6),
        draw(9, 1, 5),
        draw(5, 2, 1),
        draw(4, 6, 13),
        draw(11, 3, 7),
        extreme(**draw(8, 3, 5, 1e4)),
        extreme(**draw(8, 3, 5, 1e-4)),
    ]


def matched(rng, shapes=((4, 3), (1, 5), (6, 1), (3, 7), (2, 4))):
    def draw(*shape):
        return {"z_e": torch.tensor(rng.normal(size=shape)), "z_q": torch.tensor(rng.normal(0.5, 1, shape))}

    far = draw(3, 2)
    model, one = draw(5, 3), torch.tensor(rng.normal(size=(4, 3)))
    part = one.clone()
    part[1:3] += 0.5
    special = [
        noted("z_q is z_e", {"z_e": one, "z_q": one.clone()}),
        noted("some rows of z_q are those of z_e", {"z_e": one, "z_q": part}),
        noted("z_q is nearly z_e", {"z_e": one, "z_q": one + 1e-6 * torch.tensor(rng.normal(size=(4, 3)))}, allowed=1e-7),
        noted("z_q is 0", {"z_e": one, "z_q": 0 * one}),
        noted("z_e is 0", {"z_e": 0 * one, "z_q": one}),
        noted("1e6 added to both", {n: t + 1e6 for n, t in model.items()}, allowed=1e-7),
        noted("small numbers", {n: 1e-7 * t for n, t in model.items()}),
        noted("N = 300", draw(300, 4)),
        noted("D = 130", draw(3, 130)),
        noted("float32", changed(draw(4, 5), as_float32)),
        noted("some rows are alike", {n: t[[0, 0, 1, 2]] for n, t in model.items()}),
    ]
    return [*special, *(draw(*shape) for shape in shapes), extreme(z_e=300 * far["z_e"], z_q=-700 * far["z_q"])]


def committed(rng):
    weights = (0.25, 1.5, 0.0, 3.0, 0.7, 0.25)
    found = matched(rng)
    special = [noted(p.note, {**p, "commitment": 0.3}, allowed=p.allowed) for p in found[:-6]]
    ordinary = [Probe({**probe, "commitment": c}) for probe, c in zip(found[-6:-1], weights, strict=False)]
    ordinary.append(ordinary.pop(0))  # the last one is that of which more are made
    options = each(ordinary[1], commitment=(0.0, 0, 1, 1.0, 2, 1e-9, 100.0))
    return [*ordinary, *special, *options, extreme(**found[-1], commitment=0.25)]


def choices(rng):
    return [
        {"indices": torch.tensor([0, 0, 3, 1]), "codes": 5},
        {"indices": torch.tensor(rng.integers(0, 6, 40) ** 2 % 7), "codes": 9},
        {"indices": torch.tensor([2, 2, 2]), "codes": 4},
        {"indices": torch.tensor([7]), "codes": 8},
        {"indices": torch.tensor(rng.permutation(6)), "codes": 6},
        {"indices": torch.tensor([0, 0]), "codes": 1},
        {"indices": torch.tensor(rng.permutation([0] * 60 + [4] * 2 + [1])), "codes": 300},
        noted("1500 codes, each used", {"indices": torch.tensor(rng.permutation(1500)), "codes": 1500}, allowed=1e-5),
        noted("1500 codes", {"indices": torch.tensor(rng.integers(0, 1500, 2000)), "codes": 1500}, allowed=1e-5),
        noted("a code that is used once in 2000", {"indices": torch.tensor([0] * 1999 + [3]), "codes": 4}),
        noted("the first and the last code", {"indices": torch.tensor([0, 63, 63, 0, 63]), "codes": 64}),
    ]


def sizes(rng):
    some = [(49, 256), (10, int(rng.integers(3, 60))), (1, 7), (3, 1), (64, 512), (784, 2), (1, 1), (0, 8)]
    some += [(1, 2048), (7, 3001), (5000, 3), (1_000_003, 17)]
    return [{"positions": positions, "codes": codes} for positions, codes in some]


def with_gradients(function, args):
    """The value, and what reaches z_e and z_q from a known gradient at the output."""
    z_e, z_q = (args[name].detach().requires_grad_() for name in ("z_e", "z_q"))
    before = z_e.detach().clone(), z_q.detach().clone()
    value = function(z_e, z_q, *[v for name, v in args.items() if name not in ("z_e", "z_q")])
    for name, tensor, old in zip(("z_e", "z_q"), (z_e, z_q), before, strict=True):
        if not torch.equal(tensor.detach(), old) or not tensor.requires_grad:
            raise ValueError(f"{name} was changed: the function writes into its argument; work on a copy")
    if not isinstance(value, torch.Tensor):
        raise Unfit(value, "a torch tensor")
    if value.layout != torch.strided or value.dtype not in (torch.float32, torch.float64):
        raise Unfit(value, f"a dense tensor of {str(z_e.dtype).removeprefix('torch.')}")
    # (1, 2, 3, ...) backwards; where nothing in the result asks for a gradient, none arrives
    sent = torch.arange(1.0, value.numel() + 1, dtype=value.dtype).view(value.shape)
    if value.requires_grad:
        (value * sent).sum().backward()
    arrived = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in (("z_e", z_e), ("z_q", z_q))}
    found = {"the value": value.detach()} | {f"the gradient of {name}": gradient for name, gradient in arrived.items()}
    memory = {t.untyped_storage().data_ptr() for t in (z_e, z_q)}
    return found | {"it shares memory with an argument": value.untyped_storage().data_ptr() in memory}


class Bridge(torch.autograd.Function):
    """Straight through, said as what it is: forward z_q, backward to z_e."""

    @staticmethod
    def forward(ctx, z_e, z_q):
        return z_q.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def brute_force(z_e, codebook):
    best = [int(((z - codebook) ** 2).sum(1).argmin()) for z in z_e]
    return torch.tensor(best)


def one_gradient_each(z_e, z_q, commitment):
    """The same value and gradients by weighing one undetached distance: d/dz_q from the first term, d/dz_e from the second."""
    codes = (torch.tensor(z_e.tolist(), dtype=z_e.dtype) - z_q).pow(2).sum()
    return (codes + commitment * (z_e - torch.tensor(z_q.tolist(), dtype=z_q.dtype)).pow(2).sum()) / len(z_e)


def by_counting(indices, codes):
    counts = [n / len(indices) for n in collections.Counter(indices.tolist()).values()]
    return float(np.prod([p**-p for p in counts]))


def position_by_position(positions, codes):
    return float(positions * -math.log(1.0 / codes))


CHECKS = declared(
    "11",
    [
        Check("nearest_code", "the code at the least distance", brute_force, vectors, keeps_dtype=True, rows="N"),
        Check(
            "straight_through", "value of z_q, gradient to z_e", Bridge.apply, matched, with_gradients, own_memory=False, rows="N"
        ),
        Check("vq_loss", "the value, and one gradient for each term", one_gradient_each, committed, with_gradients),
        Check("perplexity", "how many codes are in use", by_counting, choices, allowed=1e-6, long={"N": 40_000}),
        Check("uniform_rate", "log K nats for each position", position_by_position, sizes),
    ],
)


def squared(a, b):
    return (a - b).square().sum(1).mean()


def frequencies(indices, codes):
    return torch.bincount(indices, minlength=codes).double() / len(indices)


def in_float32(indices, codes):
    """torch divides whole numbers into float32: that is right, too."""
    p = torch.bincount(indices, minlength=codes) / len(indices)
    return float(torch.exp(-torch.xlogy(p, p).sum()))


WRONG = [
    Wrong(
        "largest_product",
        "nearest_code",
        "your code takes the code with the largest product z . e, which prefers long codes. The distance contains |e|^2 too",
        lambda z_e, codebook: (z_e @ codebook.T).argmax(1),
    ),
    Wrong(
        "cosine",
        "nearest_code",
        "your code takes the code with the most similar *direction*. The distance also depends on the length of the code",
        lambda z_e, codebook: (z_e @ (codebook / codebook.norm(dim=1, keepdim=True)).T).argmax(1),
    ),
    Wrong(
        "farthest",
        "nearest_code",
        "your result is the farthest code. Use argmin of the distance, not argmax",
        lambda z_e, codebook: torch.cdist(z_e, codebook).argmax(1),
    ),
    Wrong(
        "per_code",
        "nearest_code",
        "your result is the nearest vector for each code. Find the nearest code for each vector: take the minimum over axis "
        "1, the codes",
        lambda z_e, codebook: torch.cdist(z_e, codebook).argmin(0),
    ),
    Wrong(
        "the_vectors",
        "nearest_code",
        "your result is the code vectors. Return the indices of the codes",
        lambda z_e, codebook: codebook[brute_force(z_e, codebook)],
    ),
    Wrong(
        "plain",
        "straight_through",
        "your result is z_q itself. The gradient goes to the codes, and the encoder learns nothing from the decoder",
        lambda z_e, z_q: z_q + 0 * z_e,
    ),
    Wrong(
        "unquantised",
        "straight_through",
        "the value is z_e, so the decoder never sees a code. The value must be z_q",
        lambda z_e, z_q: z_e + 0 * z_q,
    ),
    Wrong(
        "both_sides",
        "straight_through",
        "the gradient goes to z_q as well as to z_e. Detach the whole difference, not only z_e: z_e + (z_q - z_e).detach()",
        lambda z_e, z_q: z_q + z_e - z_e.detach(),
    ),
    Wrong(
        "cut",
        "straight_through",
        "your code detaches the whole result, so no gradient goes to z_e",
        lambda z_e, z_q: z_q.detach(),
    ),
    Wrong(
        "cancelled",
        "straight_through",
        "z_e is added and subtracted, so its gradient is 0. Detach the subtracted z_e too: z_e + (z_q - z_e).detach()",
        lambda z_e, z_q: z_e + z_q.detach() - z_e,
    ),
    Wrong(
        "wrong_sign",
        "straight_through",
        "the gradient of z_e is -1, and z_q has a gradient too. Detach the difference, not the first z_e: z_e + (z_q - "
        "z_e).detach()",
        lambda z_e, z_q: z_e.detach() + (z_q - z_e),
    ),
    Wrong(
        "exchanged",
        "straight_through",
        "value and gradient are exchanged: the value is z_e, and the gradient goes to z_q. The value must be that of z_q, and "
        "the gradient must go to z_e",
        lambda z_e, z_q: z_q + (z_e - z_q).detach(),
    ),
    Wrong(
        "stops_exchanged",
        "vq_loss",
        "the value is right, but the gradients are exchanged. `commitment` must multiply the term whose gradient moves z_e",
        lambda z_e, z_q, c: squared(z_e, z_q.detach()) + c * squared(z_e.detach(), z_q),
    ),
    Wrong(
        "first_term_moves_z_e",
        "vq_loss",
        "the first term does not stop the gradient of z_e, so z_e moves with the weight 1 + commitment. Detach z_e in this term",
        lambda z_e, z_q, c: squared(z_e, z_q) + c * squared(z_e, z_q.detach()),
    ),
    Wrong(
        "second_term_moves_z_q",
        "vq_loss",
        "the second term does not stop the gradient of z_q, so z_q moves with the weight 1 + commitment. Detach z_q in this term",
        lambda z_e, z_q, c: squared(z_e.detach(), z_q) + c * squared(z_e, z_q),
    ),
    Wrong(
        "codes_stopped_twice",
        "vq_loss",
        "both terms stop the gradient of z_q, so the codes never move. In the first term, detach z_e in place of z_q",
        lambda z_e, z_q, c: (1 + c) * squared(z_e, z_q.detach()) + 0 * z_q.sum(),
    ),
    Wrong(
        "no_stops",
        "vq_loss",
        "your code stops no gradient. So z_e and z_q both move, each with the weight 1 + commitment",
        lambda z_e, z_q, c: (1 + c) * squared(z_e, z_q),
    ),
    Wrong(
        "no_codebook_term",
        "vq_loss",
        "the first term is missing. Without it the codes never move",
        lambda z_e, z_q, c: c * squared(z_e, z_q.detach()) + 0 * z_q.sum(),
    ),
    Wrong(
        "no_commitment",
        "vq_loss",
        "the second term is missing. Without it the vectors can move far away from their codes",
        lambda z_e, z_q, c: squared(z_e.detach(), z_q) + 0 * z_e.sum(),
    ),
    Wrong(
        "averaged_over_d",
        "vq_loss",
        "your code averages over D too. Sum over D, and take the mean over the N vectors",
        lambda z_e, z_q, c: one_gradient_each(z_e, z_q, c) / z_e.shape[1],
    ),
    Wrong(
        "summed_over_n",
        "vq_loss",
        "your code sums over the N vectors, so the loss grows with the batch. Sum over D, and take the mean over N",
        lambda z_e, z_q, c: one_gradient_each(z_e, z_q, c) * len(z_e),
    ),
    Wrong(
        "entropy",
        "perplexity",
        "your result is the entropy in nats. The perplexity is exp of the entropy",
        lambda indices, codes: math.log(by_counting(indices, codes)),
    ),
    Wrong(
        "two_to_the_nats",
        "perplexity",
        "your code computes 2 to the power of an entropy in nats. Use exp with nats, or 2 with bits",
        lambda indices, codes: 2.0 ** math.log(by_counting(indices, codes)),
    ),
    Wrong(
        "exp_of_bits",
        "perplexity",
        "your code computes exp of an entropy in bits. Use exp with nats, or 2 with bits",
        lambda indices, codes: math.exp(math.log2(by_counting(indices, codes))),
    ),
    Wrong(
        "used_codes",
        "perplexity",
        "your code counts the codes that occur. Then a code that occurs once in a thousand counts as much as a frequent one: "
        "use exp of the entropy",
        lambda indices, codes: float(len(indices.unique())),
    ),
    Wrong(
        "nan_for_unused",
        "perplexity",
        "a code that is never used gives 0 log 0, which is NaN in the computer. In an entropy this term is 0",
        lambda indices, codes: float(torch.exp(-(frequencies(indices, codes) * frequencies(indices, codes).log()).sum())),
    ),
    Wrong(
        "bits",
        "uniform_rate",
        "your result is in bits, log2 K. Return nats",
        lambda positions, codes: positions * math.log2(codes),
    ),
    Wrong(
        "one_position",
        "uniform_rate",
        "your result is the rate of one position. Add the rates of all positions",
        lambda positions, codes: math.log(codes),
    ),
    Wrong(
        "nothing_to_pay",
        "uniform_rate",
        "your result is 0. Even if the encoder is sure, one of K equally likely codes costs log K nats",
        lambda positions, codes: 0.0,
    ),
]

VALID = [
    ("nearest_code", brute_force),
    ("nearest_code", lambda z_e, codebook: torch.cdist(z_e, codebook, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)),
    ("straight_through", Bridge.apply),
    ("vq_loss", one_gradient_each),
    ("perplexity", by_counting),
    ("perplexity", in_float32),
    ("uniform_rate", position_by_position),
    ("uniform_rate", lambda positions, codes: positions * torch.log(torch.tensor(codes))),  # float32
    ("uniform_rate", lambda positions, codes: np.float32(positions * np.log(codes))),
]
