"""Exercise 09: annealing: weights that change during training, and the two numbers to report.

Everything is NumPy; `progress` is 0 at the first step and 1 when training ends. Legend: B batch, D latent size.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray


def linear(progress: float, rise: float) -> float:
    """KL annealing: in the first fraction `rise` of the training the weight goes from 0 to 1. Then it stays 1."""
    raise NotImplementedError("linear")


def cyclical(progress: float, cycles: int, rise: float) -> float:
    """`cycles` equal cycles. Each is a `linear` that rises in the fraction `rise` of its cycle. At progress 1 the weight is 1."""
    raise NotImplementedError("cyclical")


def loss_and_elbo(distortion: Float[Array, " B"], rate: Float[Array, "B D"], beta: float) -> tuple[float, float]:
    """The loss that a step minimises at this beta, and the ELBO (beta = 1) to report: means over the batch, in nats per image."""
    raise NotImplementedError("loss_and_elbo")


def capacity_loss(distortion: Float[Array, " B"], rate: Float[Array, "B D"], gamma: float, capacity: float) -> float:
    """The other way to anneal: mean distortion + gamma |mean KL - capacity|. In training, the caller raises the capacity."""
    raise NotImplementedError("capacity_loss")
