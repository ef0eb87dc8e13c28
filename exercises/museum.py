"""The bug museum: a VAE's loss, sampling and data handling in small NumPy functions, and fourteen famous bugs.

`piece(0)` is right. `piece(n)`, n from 1 to 14, is the same with one function replaced; all of these have been met in
public code, and most of them train, print a falling loss and draw digits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Piece:
    """The parts of a VAE's code, without the network. Losses are in nats per image, (B,), unless it says otherwise."""

    reconstruction: Callable[[Array, Array], Array]
    """(logits, x), (B, 1, H, W) each -> (B,): the Bernoulli loss, summed over pixels."""
    squared_error: Callable[[Array, Array], Array]
    """(x_hat, x) -> (B,): summed over pixels."""
    sample: Callable[[Array, Array, Array], Array]
    """(mu, logvar, eps), (B, D) each -> z."""
    kl: Callable[[Array, Array], Array]
    """(mu, logvar) -> (B,): KL from N(0, I), summed over latents."""
    evaluation_z: Callable[[Array, Array, Array], Array]
    """(mu, logvar, eps) -> the z at which the ELBO is evaluated."""
    loss: Callable[[Array, Array, float], float]
    """(distortion (B,), kl (B,), beta) -> what a step minimises."""
    report: Callable[[Array, Array, float], float]
    """(distortion (B,), kl (B,), beta) -> the ELBO to report."""
    iwae: Callable[[Array], Array]
    """log weights (K, B) -> the importance-weighted bound (B,)."""
    free_bits: Callable[[Array, float], float]
    """(KLs (B, D), floor) -> sum over latents of max(floor, batch mean)."""
    capacity: Callable[[Array, float], float]
    """(KLs (B,), C) -> |mean KL - C|."""
    binarise: Callable[[Array, Array], Array]
    """(x, u), u uniform in (0, 1) -> 1.0 with probability x, else 0.0."""
    unflatten: Callable[[Array, int, int, int], Array]
    """(features (B, C*H*W), C, H, W) -> (B, C, H, W), in torch's order."""
    split: Callable[[int, int], tuple[Array, Array]]
    """(count, seed) -> the indices of training and test images."""
    number: int = 0

    def __repr__(self) -> str:
        return f"piece({self.number}) of the museum" if self.number else "piece(0), which is right"


def _nats(l: Array, x: Array) -> Array:
    return (np.logaddexp(0, l) - x * l).sum(axis=(1, 2, 3))


def _sample(mu: Array, logvar: Array, eps: Array) -> Array:
    return mu + np.exp(logvar / 2) * eps


def _iwae(log_weights: Array) -> Array:
    return np.logaddexp.reduce(log_weights, axis=0) - np.log(len(log_weights))


def _split(count: int, seed: int) -> tuple[Array, Array]:
    order = np.random.default_rng(seed).permutation(count)
    return order[: count * 4 // 5], order[count * 4 // 5 :]


RIGHT = Piece(
    reconstruction=_nats,
    squared_error=lambda x_hat, x: ((x - x_hat) ** 2).sum(axis=(1, 2, 3)),
    sample=_sample,
    kl=lambda mu, logvar: 0.5 * (mu**2 + np.expm1(logvar) - logvar).sum(axis=1),
    evaluation_z=_sample,
    loss=lambda distortion, kl, beta: float((distortion + beta * kl).mean()),
    report=lambda distortion, kl, beta: float(-(distortion + kl).mean()),
    iwae=_iwae,
    free_bits=lambda rates, floor: float(np.maximum(floor, rates.mean(axis=0)).sum()),
    capacity=lambda kl, target: float(abs(kl.mean() - target)),
    binarise=lambda x, u: (x > u).astype(x.dtype),
    unflatten=lambda h, C, H, W: h.reshape(len(h), C, H, W),
    split=_split,
)


def _log_of_sigmoid(l: Array, x: Array) -> Array:
    """In float32, each log clamped at -100, as torch's binary_cross_entropy does it."""
    with np.errstate(divide="ignore", over="ignore"):
        x_hat = (1 / (1 + np.exp(-l.astype(np.float32)))).astype(np.float32)
        log_x_hat, log_rest = (np.maximum(np.log(p), -100) for p in (x_hat, 1 - x_hat))
    return -(x * log_x_hat + (1 - x) * log_rest).sum(axis=(1, 2, 3)).astype(l.dtype)


def _overlapping(count: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.permutation(count)[: count * 4 // 5], rng.permutation(count)[count * 4 // 5 :]  # two shuffles, not one


BUGS: dict[int, tuple[str, dict[str, Callable]]] = {
    1: ("pixel-mean BCE", {"reconstruction": lambda l, x: _nats(l, x) / x[0].size}),
    2: ("mean squared error for summed", {"squared_error": lambda x_hat, x: ((x - x_hat) ** 2).mean(axis=(1, 2, 3))}),
    3: ("sigmoid, then log", {"reconstruction": _log_of_sigmoid}),
    4: ("variance as standard deviation", {"sample": lambda mu, logvar, eps: mu + np.exp(logvar) * eps}),
    5: ("sigma as variance in the KL", {
        "kl": lambda mu, logvar: 0.5 * (mu**2 + np.expm1(logvar / 2) - logvar).sum(axis=1)}),
    6: ("a beta that nothing reads", {"loss": lambda distortion, kl, beta: float((distortion + kl).mean())}),
    7: ("beta in the reported ELBO", {"report": lambda distortion, kl, beta: float(-(distortion + beta * kl).mean())}),
    8: ("evaluated at the mean", {"evaluation_z": lambda mu, logvar, eps: mu + 0 * eps}),
    9: ("log K with another K", {"iwae": lambda w: np.logaddexp.reduce(w, axis=0) - np.log(5)}),
    10: ("free bits per image", {"free_bits": lambda rates, floor: float(np.maximum(floor, rates).sum(axis=1).mean())}),
    11: ("mean of distances from the capacity", {"capacity": lambda kl, target: float(np.abs(kl - target).mean())}),
    12: ("inverted digits", {"binarise": lambda x, u: (x < u).astype(x.dtype)}),
    13: ("height and width exchanged", {
        "unflatten": lambda h, C, H, W: h.reshape(len(h), C, W, H).swapaxes(2, 3)}),
    14: ("test digits in the training set", {"split": _overlapping}),
}  # fmt: skip


def piece(number: int) -> Piece:
    """The museum's piece of this number; 0 is right."""
    if number == 0:
        return RIGHT
    return replace(RIGHT, number=number, **BUGS[number][1])
