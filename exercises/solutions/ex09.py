"""Exercise 09, one solution."""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def linear(progress: float, rise: float) -> float:
    """KL annealing: in the first fraction `rise` of the training the weight goes from 0 to 1. Then it stays 1."""
    return min(1.0, progress / rise)


def cyclical(progress: float, cycles: int, rise: float) -> float:
    """`cycles` equal cycles. Each is a `linear` that rises in the fraction `rise` of its cycle. At progress 1 the weight is 1."""
    return 1.0 if progress >= 1 else linear(progress * cycles % 1.0, rise)


def loss_and_elbo(distortion: Float[Array, " B"], rate: Float[Array, "B D"], beta: float) -> tuple[float, float]:
    """The loss that a step minimises at this beta, and the ELBO (beta = 1) to report: means over the batch, in nats per image."""
    kl = rate.sum(axis=1)  # (B,)
    return float((distortion + beta * kl).mean()), float(-(distortion + kl).mean())


def capacity_loss(distortion: Float[Array, " B"], rate: Float[Array, "B D"], gamma: float, capacity: float) -> float:
    """The other way to anneal: mean distortion + gamma |mean KL - capacity|. In training, the caller raises the capacity."""
    return float(distortion.mean() + gamma * abs(rate.sum(axis=1).mean() - capacity))
