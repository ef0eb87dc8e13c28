"""How fast a step of training can be at best: what it must multiply, over how fast this machine multiplies matrices.

The rule: a multiplication and the addition that follows it are two FLOPs. A layer's forward pass uses each of its weights once
per position; padding counts, biases, activations, losses and Adam do not. Its backward pass does that work twice, for the
gradient of the weights and for that of the input, which the first layer has no use for.
"""

import math
import time

import torch

from vae_numpy import parameters

# How often each weight is used: at the output's positions by a convolution, at the input's by a transposed one
POSITIONS = {"encoder.conv1": 14 * 14, "encoder.conv2": 7 * 7, "decoder.conv_t1": 7 * 7, "decoder.conv_t2": 14 * 14}


def forward_flops(latent_dim: int) -> dict[str, int]:
    """Per image, layer by layer."""
    layers = {name.removesuffix(".weight"): shape for name, shape in parameters.shapes(latent_dim).items() if "weight" in name}
    return {name: 2 * math.prod(shape) * POSITIONS.get(name, 1) for name, shape in layers.items()}


def training_flops(latent_dim: int) -> int:
    """Per image and step: forward, and twice that backward, less the gradient of the images."""
    forward = forward_flops(latent_dim)
    return 3 * sum(forward.values()) - forward["encoder.conv1"]


def products(batch_size: int) -> list[tuple[int, int, int]]:
    """(rows, inner, columns) of matrix products: squares, the linear layers', and the convolutions' written as products."""
    B = batch_size
    linear = [(B, 3136, 256), (B, 256, 3136), (256, B, 3136), (B, 256, 20)]
    convolutions = [(49 * B, 288, 64), (49 * B, 64, 288), (288, 49 * B, 64), (196 * B, 9, 32)]
    return [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), *linear, *convolutions]


def matmul_rates(precision: str, batch_size: int = 128, seconds: float = 0.3, device: str = "cpu") -> dict[str, float]:
    """FLOPs per second of torch.mm for each shape, the fastest of the repeats within so many seconds."""
    dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[precision]
    rates = {}
    for rows, inner, columns in products(batch_size):
        a, b = torch.rand(rows, inner, device=device).to(dtype), torch.rand(inner, columns, device=device).to(dtype)
        out = torch.empty(rows, columns, dtype=dtype, device=device)
        best, until = math.inf, time.perf_counter() + seconds
        while time.perf_counter() < until or best == math.inf:
            started = time.perf_counter()
            torch.mm(a, b, out=out)
            if device == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - started)
        rates[f"({rows}, {inner}) x ({inner}, {columns})"] = 2 * rows * inner * columns / best
    return rates
