"""The layers of the VAE. Each comes twice: first as plain loops, which define it, then as the fast version that the VAE uses.

Images are (B, C, H, W), weights are stored in torch's layout, and arguments come in the order of `torch.nn.functional`. A fast
version loops at most over the positions in a kernel, never over images or pixels. Inside, the fast convolutions use channels-last
memory order, (B, H, W, C). Their arguments and results still have the shape (B, C, H, W). The fast conv2d copies each patch of an
image to one row of a matrix. Then the convolution is one matrix product.

Every function raises a ValueError if shapes do not fit together, or if a dtype is not float32 or float64.

Legend: B batch, I inputs, C channels in, O outputs (channels out), H height, W width, KH x KW kernel.
"""

import numpy as np
from jaxtyping import Float

from vae_numpy.checks import check_floats, check_layer, check_pair

Array = np.ndarray
Pair = int | tuple[int, int]  # one number for both directions, or (vertical, horizontal)


def linear_loops(
    x: Float[Array, "B I"], weight: Float[Array, "O I"], bias: Float[Array, " O"] | None = None
) -> Float[Array, "B O"]:
    """The definition of `linear`: y[b,o] = bias[o] + sum_i x[b,i] weight[o,i]."""
    check_layer("linear", x, "B I", weight, "O I", bias)
    (B, I), O = x.shape, len(weight)
    y = np.zeros((B, O), x.dtype)
    for b, o in np.ndindex(B, O):
        y[b, o] = 0 if bias is None else bias[o]
        for i in range(I):
            y[b, o] += x[b, i] * weight[o, i]
    return y


def linear(x: Float[Array, "B I"], weight: Float[Array, "O I"], bias: Float[Array, " O"] | None = None) -> Float[Array, "B O"]:
    """y = x Wᵀ + b."""
    check_layer("linear", x, "B I", weight, "O I", bias)
    y = x @ weight.T  # (B, O)
    return y if bias is None else y + bias


def conv2d_loops(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "O C KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """The definition of `conv2d`: slide O kernels over each image (cross-correlation; deep learning calls it convolution).

    y[b,o,i,j] = bias[o] + sum_{c,m,n} weight[o,c,m,n] x[b, c, i*stride + m - padding, j*stride + n - padding],
    where x is 0 outside the image; OH = (H + 2 padding - KH) // stride + 1, and the same formula with W gives OW.
    """
    (OH, OW), (sh, sw), (ph, pw) = _conv2d_sizes(x, weight, bias, stride, padding)
    (B, C, H, W), (O, _, KH, KW) = x.shape, weight.shape
    y = np.zeros((B, O, OH, OW), x.dtype)
    for b, o, i, j in np.ndindex(B, O, OH, OW):
        y[b, o, i, j] = 0 if bias is None else bias[o]
        for c, m, n in np.ndindex(C, KH, KW):
            h, w = i * sh + m - ph, j * sw + n - pw
            if 0 <= h < H and 0 <= w < W:
                y[b, o, i, j] += x[b, c, h, w] * weight[o, c, m, n]
    return y


def conv2d(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "O C KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """`conv2d_loops` as one matrix product: patches of the images times kernels."""
    (OH, OW), (sh, sw), (ph, pw) = _conv2d_sizes(x, weight, bias, stride, padding)
    (B, C, H, W), (O, _, KH, KW) = x.shape, weight.shape

    framed = np.zeros((B, H + 2 * ph, W + 2 * pw, C), x.dtype)
    framed[:, ph : ph + H, pw : pw + W] = x.transpose(0, 2, 3, 1)  # channels last, zeros around
    windows = np.lib.stride_tricks.sliding_window_view(framed, (KH, KW), axis=(1, 2))[:, ::sh, ::sw]  # (B, OH, OW, C, KH, KW)
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(B * OH * OW, KH * KW * C)  # each patch is a row
    y = patches @ weight.transpose(2, 3, 1, 0).reshape(KH * KW * C, O)  # (B*OH*OW, O)
    if bias is not None:
        y += bias
    return y.reshape(B, OH, OW, O).transpose(0, 3, 1, 2)  # (B, O, OH, OW)


def conv_transpose2d_loops(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "C O KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """The definition of `conv_transpose2d`: each input pixel adds the kernel, times the pixel's value, to the output.

    In the output, the kernels of neighbouring input pixels lie `stride` apart.

    y[b,o,h,w] = bias[o] + sum_{c,i,j,m,n} x[b,c,i,j] weight[c,o,m,n]. The sum is over all c, i, j, m, n with
    h = i*stride + m - padding and w = j*stride + n - padding. OH = (H - 1) stride - 2 padding + KH + output_padding, and
    the same formula with W gives OW. Without bias, the matrix of this linear map is the transpose of conv2d's matrix:
    <conv2d(a, w), d> = <a, conv_transpose2d(d, w)> for all a, d that fit, where <s, t> is sum_k s[k] t[k].
    With stride 2 (kernel 3, padding 1), conv2d turns both 27x27 and 28x28 pixels into 14x14. So
    conv_transpose2d of 14x14 has two possible sizes: `output_padding` 0 gives 27x27, and 1 gives 28x28. `output_padding`
    must be less than `stride`.
    """
    (OH, OW), (sh, sw), (ph, pw) = _conv_transpose2d_sizes(x, weight, bias, stride, padding, output_padding)
    (B, C, H, W), (_, O, KH, KW) = x.shape, weight.shape
    y = np.zeros((B, O, OH, OW), x.dtype)
    for b, o in np.ndindex(B, O):
        y[b, o] = 0 if bias is None else bias[o]
        for c, i, j, m, n in np.ndindex(C, H, W, KH, KW):
            h, w = i * sh + m - ph, j * sw + n - pw
            if 0 <= h < OH and 0 <= w < OW:
                y[b, o, h, w] += x[b, c, i, j] * weight[c, o, m, n]
    return y


def conv_transpose2d(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "C O KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """`conv_transpose2d_loops`, fast: a matrix product of kernels and pixels, then KH*KW additions of arrays."""
    (OH, OW), (sh, sw), (ph, pw) = _conv_transpose2d_sizes(x, weight, bias, stride, padding, output_padding)
    (B, C, H, W), (_, O, KH, KW) = x.shape, weight.shape

    pixels = x.transpose(0, 2, 3, 1).reshape(B * H * W, C)  # channels last: each pixel is a row
    stamps = pixels @ weight.transpose(0, 2, 3, 1).reshape(C, KH * KW * O)  # (B*H*W, KH*KW*O)
    stamps = stamps.reshape(B, H, W, KH, KW, O)
    canvas = np.zeros((B, OH + 2 * ph, OW + 2 * pw, O), x.dtype)
    for m in range(KH):
        for n in range(KW):
            canvas[:, m : m + H * sh : sh, n : n + W * sw : sw] += stamps[:, :, :, m, n]
    y = canvas[:, ph : ph + OH, pw : pw + OW]  # (B, OH, OW, O)
    if bias is not None:
        y += bias
    return y.transpose(0, 3, 1, 2)  # (B, O, OH, OW)


def relu_loops(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The definition of `relu`: max(x, 0); NaN stays NaN."""
    check_floats(x=x)
    y = x.copy()
    for index in np.ndindex(x.shape):
        y[index] = 0 if x[index] < 0 else x[index]
    return y


def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(x, 0); NaN stays NaN."""
    check_floats(x=x)
    return np.maximum(x, 0)


def sigmoid_loops(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The definition of `sigmoid`: 1 / (1 + exp(-x)). For x < 0 it is computed as exp(x) / (1 + exp(x)): equal, no overflow."""
    check_floats(x=x)
    y = x.copy()
    for index in np.ndindex(x.shape):
        v = x[index]
        y[index] = 1 / (1 + np.exp(-v)) if v >= 0 else np.exp(v) / (1 + np.exp(v))
    return y


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / (1 + exp(-x)), computed from exp(-|x|): it cannot overflow, and small results keep all digits. NaN stays NaN."""
    check_floats(x=x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


Sizes = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def _conv2d_sizes(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair) -> Sizes:
    """Check the arguments of conv2d; return (OH, OW), the stride and the padding, each as a pair."""
    check_layer("conv2d", x, "B C H W", weight, "O C KH KW", bias)
    (sh, sw), (ph, pw) = check_pair("stride", stride, 1), check_pair("padding", padding, 0)
    (_, _, H, W), (_, _, KH, KW) = x.shape, weight.shape
    OH, OW = (H + 2 * ph - KH) // sh + 1, (W + 2 * pw - KW) // sw + 1
    if OH < 1 or OW < 1:
        raise ValueError(f"conv2d: the {KH}x{KW} kernel is larger than the padded image, {H + 2 * ph}x{W + 2 * pw}")
    return (OH, OW), (sh, sw), (ph, pw)


def _conv_transpose2d_sizes(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, output_padding: Pair
) -> Sizes:
    """Check the arguments of conv_transpose2d; return (OH, OW), the stride and the padding, each as a pair."""
    check_layer("conv_transpose2d", x, "B C H W", weight, "C O KH KW", bias)
    (sh, sw), (ph, pw) = check_pair("stride", stride, 1), check_pair("padding", padding, 0)
    qh, qw = check_pair("output_padding", output_padding, 0)
    if qh >= sh or qw >= sw:  # conv2d, applied to the result, would give more than H x W
        raise ValueError(f"conv_transpose2d: output_padding {qh, qw} must be smaller than stride {sh, sw}")
    (_, _, H, W), (_, _, KH, KW) = x.shape, weight.shape
    OH, OW = (H - 1) * sh - 2 * ph + KH + qh, (W - 1) * sw - 2 * pw + KW + qw
    if OH < 1 or OW < 1:
        raise ValueError(f"conv_transpose2d: padding {ph, pw} leaves an output of {OH}x{OW}; expected at least 1x1")
    return (OH, OW), (sh, sw), (ph, pw)
