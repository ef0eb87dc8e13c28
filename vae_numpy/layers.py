"""The layers of the VAE, twice: fast, and as the plain loops that say what the fast ones must compute.

Images are (B, C, H, W), weights lie as torch lays them, and arguments come in the order of `torch.nn.functional`.
The fast versions loop over the few positions of a kernel at most, never over images or pixels. Between two
convolutions the pixels of an image lie *channels last* in memory, since then a patch of the image is one row of a
matrix and a convolution is one matrix product; what goes in and comes out are (B, C, H, W) views of that memory.

Legend: B batch, I/C inputs/channels in, O outputs/channels out, H height, W width, KH x KW kernel.
"""

import numpy as np
from jaxtyping import Float

from vae_numpy.checks import check_alike

Array = np.ndarray
Pair = int | tuple[int, int]  # one number for both directions, or (vertical, horizontal)


def linear(x: Float[Array, "B I"], weight: Float[Array, "O I"], bias: Float[Array, " O"] | None = None) -> Float[Array, "B O"]:
    """y = x W^T + b. Raises ValueError where the shapes do not fit."""
    _check_fit("linear", x, 2, "(B, I)", weight, "(O, I)", weight.shape[-1], bias, weight.shape[0])
    y = x @ weight.T  # (B, O)
    return y if bias is None else y + bias


def conv2d(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "O C KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """Slide O kernels over each image (cross-correlation, which deep learning calls convolution).

    y[b,o,i,j] = bias[o] + sum_{c,m,n} weight[o,c,m,n] x[b, c, i*stride + m - padding, j*stride + n - padding],
    where x is 0 outside the image; OH = (H + 2 padding - KH) // stride + 1, and OW alike.
    Raises ValueError where the shapes do not fit.
    """
    (sh, sw), (ph, pw) = _pair("stride", stride, 1), _pair("padding", padding, 0)
    _check_fit("conv2d", x, 4, "(B, C, H, W)", weight, "(O, C, KH, KW)", weight.shape[1], bias, weight.shape[0])
    (B, C, H, W), (O, _, KH, KW) = x.shape, weight.shape
    OH, OW = _conv2d_size(H, W, KH, KW, sh, sw, ph, pw)

    framed = np.zeros((B, H + 2 * ph, W + 2 * pw, C), x.dtype)
    framed[:, ph : ph + H, pw : pw + W] = x.transpose(0, 2, 3, 1)  # channels last, zeros around
    windows = np.lib.stride_tricks.sliding_window_view(framed, (KH, KW), axis=(1, 2))[:, ::sh, ::sw]
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(B * OH * OW, KH * KW * C)  # each patch is a row
    y = patches @ weight.transpose(2, 3, 1, 0).reshape(KH * KW * C, O)  # (B*OH*OW, O)
    if bias is not None:
        y += bias
    return y.reshape(B, OH, OW, O).transpose(0, 3, 1, 2)  # (B, O, OH, OW)


def conv_transpose2d(
    x: Float[Array, "B C H W"],
    weight: Float[Array, "C O KH KW"],
    bias: Float[Array, " O"] | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
) -> Float[Array, "B O OH OW"]:
    """The transpose of conv2d: every pixel stamps its kernel onto a canvas, `stride` apart, and the stamps add up.

    y[b, o, i*stride + m - padding, j*stride + n - padding] = bias[o] + sum_{c,(i,m),(j,n)} x[b,c,i,j] weight[c,o,m,n];
    OH = (H - 1) stride - 2 padding + KH + output_padding, and OW alike. Written as matrices it is conv2d's transpose:
    <conv2d(x, w), y> = <x, conv_transpose2d(y, w)>. Raises ValueError where the shapes do not fit, or where
    output_padding >= stride.
    """
    (sh, sw), (ph, pw) = _pair("stride", stride, 1), _pair("padding", padding, 0)
    _check_fit("conv_transpose2d", x, 4, "(B, C, H, W)", weight, "(C, O, KH, KW)", weight.shape[0], bias, weight.shape[1])
    (B, C, H, W), (_, O, KH, KW) = x.shape, weight.shape
    OH, OW = _conv_transpose2d_size(H, W, KH, KW, sh, sw, ph, pw, _pair("output_padding", output_padding, 0))

    pixels = x.transpose(0, 2, 3, 1).reshape(B * H * W, C)  # channels last: each pixel is a row
    stamps = pixels @ weight.transpose(0, 2, 3, 1).reshape(C, KH * KW * O)
    stamps = stamps.reshape(B, H, W, KH, KW, O)
    canvas = np.zeros((B, max(OH + 2 * ph, (H - 1) * sh + KH), max(OW + 2 * pw, (W - 1) * sw + KW), O), x.dtype)
    for m in range(KH):
        for n in range(KW):
            canvas[:, m : m + H * sh : sh, n : n + W * sw : sw] += stamps[:, :, :, m, n]
    y = canvas[:, ph : ph + OH, pw : pw + OW]  # (B, OH, OW, O)
    if bias is not None:
        y += bias
    return y.transpose(0, 3, 1, 2)  # (B, O, OH, OW)


def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(x, 0); NaN stays NaN. Raises ValueError where x is not float32 or float64."""
    check_alike(None, x=x)
    return np.maximum(x, 0)


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / (1 + exp(-x)), from exp(-|x|), which cannot overflow and keeps all digits of small values; NaN stays NaN.

    Raises ValueError where x is not float32 or float64.
    """
    check_alike(None, x=x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


# The specification: what the five functions above compute, one number at a time.


def linear_loops(x, weight, bias=None):
    """`linear`, by its definition."""
    B, O = len(x), len(weight)
    y = np.zeros((B, O), x.dtype) if bias is None else np.tile(bias, (B, 1))
    for b, o, i in np.ndindex(B, O, x.shape[1]):
        y[b, o] += x[b, i] * weight[o, i]
    return y


def conv2d_loops(x, weight, bias=None, stride=1, padding=0):
    """`conv2d`, by its definition."""
    (sh, sw), (ph, pw) = _pair("stride", stride, 1), _pair("padding", padding, 0)
    (B, C, H, W), (O, _, KH, KW) = x.shape, weight.shape
    OH, OW = _conv2d_size(H, W, KH, KW, sh, sw, ph, pw)
    y = np.zeros((B, O, OH, OW), x.dtype)
    for b, o, i, j in np.ndindex(B, O, OH, OW):
        y[b, o, i, j] = 0 if bias is None else bias[o]
        for c, m, n in np.ndindex(C, KH, KW):
            h, w = i * sh + m - ph, j * sw + n - pw
            if 0 <= h < H and 0 <= w < W:
                y[b, o, i, j] += x[b, c, h, w] * weight[o, c, m, n]
    return y


def conv_transpose2d_loops(x, weight, bias=None, stride=1, padding=0, output_padding=0):
    """`conv_transpose2d`, by its definition."""
    (sh, sw), (ph, pw) = _pair("stride", stride, 1), _pair("padding", padding, 0)
    (B, C, H, W), (_, O, KH, KW) = x.shape, weight.shape
    OH, OW = _conv_transpose2d_size(H, W, KH, KW, sh, sw, ph, pw, _pair("output_padding", output_padding, 0))
    y = np.zeros((B, O, OH, OW), x.dtype)
    for b, o in np.ndindex(B, O):
        y[b, o] = 0 if bias is None else bias[o]
        for c, i, j, m, n in np.ndindex(C, H, W, KH, KW):
            h, w = i * sh + m - ph, j * sw + n - pw
            if 0 <= h < OH and 0 <= w < OW:
                y[b, o, h, w] += x[b, c, i, j] * weight[c, o, m, n]
    return y


def relu_loops(x):
    """`relu`, by its definition."""
    y = x.copy()
    for index in np.ndindex(x.shape):
        y[index] = 0 if x[index] < 0 else x[index]
    return y


def sigmoid_loops(x):
    """`sigmoid`, by its definition; where exp(-x) would overflow, 1 / (1 + exp(-x)) = exp(x) / (1 + exp(x))."""
    y = x.copy()
    for index in np.ndindex(x.shape):
        v = x[index]
        y[index] = 1 / (1 + np.exp(-v)) if v >= 0 else np.exp(v) / (1 + np.exp(v))
    return y


# Sizes and checks, the same for both.


def _pair(name: str, value: Pair, least: int) -> tuple[int, int]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or any(not isinstance(v, int | np.integer) or v < least for v in pair):
        raise ValueError(f"{name} is {value!r}: expected an int, or a pair of ints, of at least {least}")
    return pair


def _conv2d_size(H, W, KH, KW, sh, sw, ph, pw):
    OH, OW = (H + 2 * ph - KH) // sh + 1, (W + 2 * pw - KW) // sw + 1
    if OH < 1 or OW < 1:
        raise ValueError(f"conv2d: the {KH}x{KW} kernel is larger than the padded image, {H + 2 * ph}x{W + 2 * pw}")
    return OH, OW


def _conv_transpose2d_size(H, W, KH, KW, sh, sw, ph, pw, output_padding):
    qh, qw = output_padding
    if qh >= sh or qw >= sw:  # then several input sizes would explain one output size
        raise ValueError(f"conv_transpose2d: output_padding {qh, qw} must be smaller than stride {sh, sw}")
    OH, OW = (H - 1) * sh - 2 * ph + KH + qh, (W - 1) * sw - 2 * pw + KW + qw
    if OH < 1 or OW < 1:
        raise ValueError(f"conv_transpose2d: padding {ph, pw} leaves an output of {OH}x{OW}")
    return OH, OW


def _check_fit(layer, x, rank, x_is, weight, weight_is, inputs, bias, outputs):
    if x.ndim != rank or weight.ndim != rank:
        raise ValueError(f"{layer}: expected x {x_is} and weight {weight_is}, got {x.shape} and {weight.shape}")
    if x.shape[1] != inputs:
        raise ValueError(f"{layer}: x {x.shape} has {x.shape[1]} inputs, weight {weight.shape} takes {inputs}")
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{layer}: expected bias ({outputs},), got {bias.shape}")
    dtypes = {array.dtype for array in (x, weight, bias) if array is not None}
    if len(dtypes) > 1 or dtypes.pop() not in (np.float32, np.float64):
        raise ValueError(
            f"{layer}: expected x, weight and bias all float32 or all float64, got x {x.dtype}, weight {weight.dtype}"
        )
