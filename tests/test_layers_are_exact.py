"""Ladder, step 1: on small integers every layer equals its specification, and torch's, to the last bit."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_numpy import layers

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Integers so small that no sum of their products reaches 2^24, where float32 stops being exact."""
    return rng.integers(-8, 9, shape).astype(np.float32)


def to_torch(*arrays: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_linear(B, inputs, outputs, with_bias, seed):
    rng = np.random.default_rng(seed)
    x, w, b = integers(rng, B, inputs), integers(rng, outputs, inputs), integers(rng, outputs) if with_bias else None
    got = layers.linear(x, w, b)
    np.testing.assert_array_equal(got, layers.linear_loops(x, w, b))
    np.testing.assert_array_equal(got, F.linear(*to_torch(x, w, b)))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 3, *[st.integers(3, 6)] * 2),
    kernel=pairs, stride=pairs, padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    with_bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_conv2d(sizes, kernel, stride, padding, with_bias, seed):
    rng, (B, C, O, H, W) = np.random.default_rng(seed), sizes
    x, w, b = integers(rng, B, C, H, W), integers(rng, O, C, *kernel), integers(rng, O) if with_bias else None
    got = layers.conv2d(x, w, b, stride, padding)
    np.testing.assert_array_equal(got, layers.conv2d_loops(x, w, b, stride, padding))
    np.testing.assert_array_equal(got, F.conv2d(*to_torch(x, w, b), stride, padding))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 3, *[st.integers(2, 4)] * 2),
    kernel=pairs, stride=pairs, padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    extra=st.tuples(st.integers(0, 2), st.integers(0, 2)), with_bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_conv_transpose2d(sizes, kernel, stride, padding, extra, with_bias, seed):
    rng, (B, C, O, H, W) = np.random.default_rng(seed), sizes
    extra = tuple(min(e, s - 1) for e, s in zip(extra, stride, strict=True))
    x, w, b = integers(rng, B, C, H, W), integers(rng, C, O, *kernel), integers(rng, O) if with_bias else None
    output = [(n - 1) * s - 2 * p + k + e for n, s, p, k, e in zip((H, W), stride, padding, kernel, extra, strict=True)]
    if min(output) < 1:
        with pytest.raises(ValueError, match="leaves an output"):
            layers.conv_transpose2d(x, w, b, stride, padding, extra)
        return
    got = layers.conv_transpose2d(x, w, b, stride, padding, extra)
    np.testing.assert_array_equal(got, layers.conv_transpose2d_loops(x, w, b, stride, padding, extra))
    np.testing.assert_array_equal(got, F.conv_transpose2d(*to_torch(x, w, b), stride, padding, extra))


def test_the_transposed_convolution_is_the_transpose():
    """<conv2d(x), y> = <x, conv_transpose2d(y)> exactly, with H != W, kH != kW, stride (2, 1), padding (1, 0)."""
    rng = np.random.default_rng(0)
    for H, W in itertools.product((5, 6), (7, 8)):  # an even H needs output padding to come back
        x, w = integers(rng, 2, 3, H, W), integers(rng, 4, 3, 3, 2)
        options = {"stride": (2, 1), "padding": (1, 0)}
        y = layers.conv2d(x, w, **options)
        v = integers(rng, *y.shape)
        output_padding = ((H + 2 - 3) % 2, 0)
        back = layers.conv_transpose2d(v, w, output_padding=output_padding, **options)
        assert back.shape == x.shape
        assert (y * v).sum() == (x * back).sum()


def test_pairs_and_ints_mean_the_same():
    rng = np.random.default_rng(0)
    x, w = integers(rng, 2, 3, 5, 6), integers(rng, 3, 4, 3, 3)
    np.testing.assert_array_equal(
        layers.conv_transpose2d(x, w, None, 2, 1, 1), layers.conv_transpose2d(x, w, None, (2, 2), (1, 1), (1, 1))
    )
    w = w.transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(layers.conv2d(x, w, None, 2, 1), layers.conv2d(x, w, None, (2, 2), (1, 1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_and_sigmoid(dtype):
    x = np.array([-1000, -88.7, -20, -1.5, -0.0, 0, 1e-7, 3, 20, 88.7, 1000, np.inf, -np.inf], dtype)
    for layer, loops, torch_layer in (
        (layers.relu, layers.relu_loops, torch.relu),
        (layers.sigmoid, layers.sigmoid_loops, torch.sigmoid),
    ):
        got = layer(x)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, loops(x), rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_allclose(got, torch_layer(torch.from_numpy(x)), rtol=4 * np.finfo(dtype).eps, atol=1e-44)
    assert np.isnan(layers.relu(np.array([np.nan], dtype)))
    assert np.isnan(layers.sigmoid(np.array([np.nan], dtype)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(dtype):
    x, w = np.ones((2, 3, 5, 6), dtype), np.ones((3, 3, 3, 2), dtype)
    b = np.ones(3, dtype)
    assert layers.conv2d(x, w, b, 2, 1).dtype == layers.conv_transpose2d(x, w, b, 2, 1, 1).dtype == dtype
    assert layers.linear(x[0, 0], np.ones((4, 6), dtype), np.ones(4, dtype)).dtype == dtype


def test_inputs_are_left_as_they_were():
    rng = np.random.default_rng(0)
    arrays = [integers(rng, 2, 3, 5, 6), integers(rng, 3, 3, 3, 3), integers(rng, 3)]
    copies = [a.copy() for a in arrays]
    layers.conv2d(*arrays, 1, 0)
    layers.conv_transpose2d(*arrays, 1, 0)
    for a, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, copy)
