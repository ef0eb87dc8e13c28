"""Exercise 12: across the levels: a convolution in NumPy, and weights carried from level 1 to level 2 and back.

Legend: B batch, O outputs, C channels, H height, W width, KH x KW kernel.
"""

import numpy as np
import torch
from jaxtyping import Float

Array = np.ndarray


def conv2d(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "O C KH KW"],
    bias: Float[Array, " O"],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Float[Array, "B O OH OW"]:
    """torch.nn.functional.conv2d, in NumPy: stride and padding are (vertical, horizontal)."""
    raise NotImplementedError("conv2d")


def to_torch(params: dict[str, Array]) -> dict[str, torch.Tensor]:
    """Level 1's parameters for level 2: tensors of the same dtype that ask for their gradient and share no memory with params."""
    raise NotImplementedError("to_torch")


def to_numpy(tensors: dict[str, torch.Tensor]) -> dict[str, Array]:
    """Level 2's parameters for level 1: arrays that share no memory with the tensors."""
    raise NotImplementedError("to_numpy")


def agree(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two float arrays have the same shape and differ nowhere by more than `tolerance`. NaN and infinity never agree."""
    raise NotImplementedError("agree")
