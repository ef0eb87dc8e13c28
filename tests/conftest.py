"""Every test that looks at digits runs on the bundled handwriting, and on MNIST too where it is on disk."""

import gc
import os
from collections.abc import Iterable

import numpy as np
import pytest

from vae_numpy import digits, vae, weights

SOURCES = ["handwriting"] + (["mnist"] if digits.is_on_disk("mnist") else [])
PRETRAINED = {2: weights.PRETRAINED / "vae_mnist_d2.safetensors", 20: weights.PRETRAINED / "vae_mnist_d20.safetensors"}


gc.disable()  # Imports and collection make little garbage, and each look for it takes time: seconds in all


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but not among what the imports made: a look at all of that takes half a second."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """At the end everything may go; libraries complain otherwise."""
    gc.unfreeze()


def pytest_report_header() -> str:
    """Say on which digits the run stands."""
    return f"digits: {' and '.join(digits.load(source, 'test').source for source in SOURCES)}"


def thorough_but(values: Iterable, *always: object) -> list:
    """The values of a parameter. Tests with others than `always` are run by .ci/run, and not by `make test`."""
    return [value if value in always else pytest.param(value, marks=pytest.mark.thorough) for value in values]


@pytest.fixture(autouse=True, scope="session")
def without_waiting_for_the_disk():
    """No test pulls the plug, so files need not reach the disk; what fsync promises is tested with an fsync of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", params=SOURCES)
def x(request: pytest.FixtureRequest) -> np.ndarray:
    """64 test digits, float32."""
    return digits.load(request.param, "test").images[:64]


@pytest.fixture(scope="session", params=[2, 20], ids=["D2", "D20"])
def params(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """The pretrained weights, float32."""
    return weights.load(PRETRAINED[request.param])[0]


@pytest.fixture(scope="session")
def small_params() -> dict[str, np.ndarray]:
    """Untrained parameters, D = 3, float64."""
    drawn = vae.init_params(3, np.random.default_rng(5))
    return {name: array.astype(np.float64) for name, array in drawn.items()}


def assert_close(got: np.ndarray, expected: np.ndarray, atol: float, what: str = "") -> None:
    """Fail with the largest difference, where it is, and the scale of the values; NaN never passes."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    apart = np.abs(got - expected)
    where = np.unravel_index(np.argmax(apart), apart.shape)
    assert apart.max() <= atol, (
        f"{what}: differs by {apart.max():.3e} at {tuple(map(int, where))}, where {got[where]!r} was got and "
        f"{expected[where]!r} expected; allowed {atol:.1e}; the values reach {np.abs(expected).max():.3e}"
    )
