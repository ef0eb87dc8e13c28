"""Exercise 12, one solution."""

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
    (sh, sw), (ph, pw) = stride, padding
    B, _, H, W = x.shape
    O, _, KH, KW = weight.shape
    OH, OW = (H + 2 * ph - KH) // sh + 1, (W + 2 * pw - KW) // sw + 1
    framed = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    y = np.zeros((B, O, OH, OW), x.dtype) + bias[:, None, None]
    for m in range(KH):
        for n in range(KW):
            seen = framed[:, :, m : m + OH * sh : sh, n : n + OW * sw : sw][:, :, :OH, :OW]  # what kernel position (m, n) sees
            y += np.einsum("oc,bchw->bohw", weight[:, :, m, n], seen)
    return y


def to_torch(params: dict[str, Array]) -> dict[str, torch.Tensor]:
    """Level 1's parameters for level 2: tensors of the same dtype that ask for their gradient and share no memory with params."""
    return {name: torch.tensor(array.copy()).requires_grad_() for name, array in params.items()}


def to_numpy(tensors: dict[str, torch.Tensor]) -> dict[str, Array]:
    """Level 2's parameters for level 1: arrays that share no memory with the tensors."""
    return {name: t.detach().cpu().numpy().copy() for name, t in tensors.items()}


def agree(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two float arrays have the same shape and differ nowhere by more than `tolerance`. NaN and infinity never agree."""
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool((np.abs(a.astype(np.float64) - b.astype(np.float64)) <= tolerance).all())  # uint8 would wrap around
