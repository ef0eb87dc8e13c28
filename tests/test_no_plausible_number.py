"""A wrong input never becomes a plausible number: what every function is promised to do with it, at every level.

Wrong dtypes, ranges, ranks, shapes and empty batches are refused. NaN and infinity, where a function takes any float, show in
the result. How an array lies in memory, and whether it may be written to, changes nothing.
"""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
import vae_paper.vae as level3
from vae_numpy import layers
from vae_paper import likelihoods, objectives, schedules
from vae_paper.measuring import elbo
from vae_paper.models import cvae
from vae_paper.sampling import interpolation, samplers
from vae_paper.vae import Terms


@pytest.fixture(autouse=True, scope="module")
def without_the_type_checker():
    """The shapes in the signatures would speak first; a user runs without them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


rng = np.random.default_rng(0)
PARAMS = level1.init_params(3, rng)
TENSORS = {name: torch.from_numpy(array) for name, array in PARAMS.items()}
MODEL = level3.VAE(3)
X = rng.random((2, 1, 28, 28), np.float32)
LOGITS = rng.standard_normal((2, 1, 28, 28), np.float32)
MU, LOGVAR, EPS = (rng.standard_normal((2, 3), np.float32) for _ in range(3))
WEIGHT, BIAS = rng.standard_normal((4, 2, 3, 3), np.float32), rng.standard_normal(4).astype(np.float32)
PICTURES, ROWS, MATRIX = (rng.standard_normal(s, np.float32) for s in ((2, 2, 5, 6), (2, 6), (4, 6)))


def in_torch(function):
    """A function of tensors as one of arrays. (A tensor cannot be read-only.)"""

    def on_arrays(*arrays):
        out = function(*(torch.from_numpy(a if a.flags.writeable else a.copy()) for a in arrays))
        parts = out if isinstance(out, tuple) else (out,)
        return tuple(part.detach().numpy() for part in parts if part is not None)

    return on_arrays


SIGMA = torch.tensor(0.1).log()
ON_GRID = {"bernoulli": X.round(), "discretised-logistic": (255 * X).round() / np.float32(255)}  # the supports of these two


def numbers_of(terms):
    """The terms of a model as a tuple."""
    return tuple(getattr(terms, name) for name in ("distortion", "rate", "log_weight", "mu", "logvar", "z"))


# name -> function of arrays, its arguments, and which of them are images
FUNCTIONS = {
    "1 encode": (lambda x: level1.encode(PARAMS, x), [X], [0]),
    "1 decode": (lambda z: level1.decode(PARAMS, z), [MU], []),
    "1 reparameterize": (level1.reparameterize, [MU, LOGVAR, EPS], []),
    "1 reconstruction_loss bce": (level1.reconstruction_loss, [LOGITS, X], [1]),
    "1 reconstruction_loss mse": (lambda logits, x: level1.reconstruction_loss(logits, x, "mse"), [LOGITS, X], [1]),
    "1 kl_divergence": (level1.kl_divergence, [MU, LOGVAR], []),
    "1 elbo": (lambda x, eps: level1.elbo(PARAMS, x, eps), [X, EPS], [0]),
    "1 linear": (layers.linear, [ROWS, MATRIX, BIAS], []),
    "1 conv2d": (layers.conv2d, [PICTURES, WEIGHT, BIAS], []),
    "1 conv_transpose2d": (layers.conv_transpose2d, [PICTURES, WEIGHT.transpose(1, 0, 2, 3).copy(), BIAS], []),
    "1 relu": (layers.relu, [LOGITS], []),
    "1 sigmoid": (layers.sigmoid, [LOGITS], []),
    "2 encode": (in_torch(lambda x: level2.encode(TENSORS, x)), [X], [0]),
    "2 decode": (in_torch(lambda z: level2.decode(TENSORS, z)), [MU], []),
    "2 reparameterize": (in_torch(level2.reparameterize), [MU, LOGVAR, EPS], []),
    "2 reconstruction_loss bce": (in_torch(level2.reconstruction_loss), [LOGITS, X], [1]),
    "2 reconstruction_loss mse": (in_torch(lambda logits, x: level2.reconstruction_loss(logits, x, "mse")), [LOGITS, X], [1]),
    "2 kl_divergence": (in_torch(level2.kl_divergence), [MU, LOGVAR], []),
    "2 elbo": (in_torch(lambda x, eps: level2.elbo(TENSORS, x, eps)), [X, EPS], [0]),
    "3 encode": (in_torch(MODEL.encode), [X], [0]),
    "3 decode": (in_torch(MODEL.decode), [MU], []),
    "3 forward": (in_torch(lambda x, eps: numbers_of(MODEL(x, eps[None]))), [X, EPS], [0]),
    "3 reparameterize": (in_torch(level3.reparameterize), [MU, LOGVAR, EPS], []),
    "3 kl_per_latent": (in_torch(level3.kl_per_latent), [MU, LOGVAR], []),
} | {
    f"3 {name}": (in_torch(lambda l, x, f=row.nats: f(l, x, SIGMA)), [LOGITS, ON_GRID.get(name, X)], [1])
    for name, row in likelihoods.LIKELIHOODS.items()
}
# Functions whose arguments are all of one shape, which NumPy and torch would stretch to it.
ALIKE = [
    name
    for name in FUNCTIONS
    if any(word in name for word in ("reparameterize", "reconstruction", "kl_", *likelihoods.LIKELIHOODS))
]
LAYERS = ("1 linear", "1 conv2d", "1 conv_transpose2d")


def outputs(function, arguments):
    with np.errstate(all="ignore"):
        out = function(*arguments)
    return out if isinstance(out, tuple) else (out,)


def with_one(arguments, index, array):
    return [array if i == index else a for i, a in enumerate(arguments)]


def laid(array, data):
    """The same array, with its axes in another order in memory, gaps between its numbers, and perhaps read-only."""
    axes = data.draw(st.permutations(range(array.ndim)))
    step = data.draw(st.sampled_from([1, 2, 3]))
    spread = np.zeros([step * n for n in np.array(array.shape)[axes]], array.dtype)
    view = spread[tuple(slice(None, None, step) for _ in axes)]
    view[...] = array.transpose(axes)
    view = view.transpose(np.argsort(axes))
    view.flags.writeable = data.draw(st.booleans())
    return view


each_argument = pytest.mark.parametrize(
    ("name", "index"), [(name, i) for name, (_, arguments, _) in FUNCTIONS.items() for i in range(len(arguments))]
)


@each_argument
def test_wrong_types_and_shapes_are_refused(name, index):
    function, arguments, _ = FUNCTIONS[name]
    good = arguments[index]
    wrong = [good.astype(t) for t in (np.float16, np.uint8, np.int64, bool, np.complex64)]
    if name in ALIKE:
        wrong += [good[:1], good[..., :1], good[0]] + ([] if name == "3 reparameterize" and index == 2 else [good[None]])
    elif name in LAYERS:
        wrong += [good[None], good[0], good.astype(np.float64)]
    elif name not in ("1 relu", "1 sigmoid"):
        wrong += [good[..., :1], np.asarray(good[0]), good[None]]
    for array in wrong:
        with pytest.raises(ValueError, match=r"expected|layer"):
            function(*with_one(arguments, index, array))


@pytest.mark.parametrize("name", [name for name in ALIKE if name[2:] in ("reparameterize", "kl_divergence", "kl_per_latent")])
def test_samples_are_no_images(name):
    """(K, B, D) summed over its second axis would be a KL for each of K images."""
    function, arguments, _ = FUNCTIONS[name]
    with pytest.raises(ValueError, match=r"expected .* equal 2-D shape"):
        function(*(array[None] for array in arguments))


@each_argument
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_shows(name, index, bad):
    function, arguments, images = FUNCTIONS[name]
    array = arguments[index].copy()
    array.flat[array.size // 2] = bad
    changed = with_one(arguments, index, array)
    if index in images:
        with pytest.raises(ValueError, match="hold NaN or infinity"):
            function(*changed)
        return
    out = outputs(function, changed)
    if np.isnan(bad):
        assert any(np.isnan(part).any() for part in out)
    else:  # as the limit says: 1 for sigmoid, infinity elsewhere, or NaN; never a number that ignores it
        before = outputs(
            function, with_one(arguments, index, np.abs(arguments[index]))
        )  # relu(-inf) is 0, as of any number below
        assert any((~np.isfinite(part)).any() or (part != whole).any() for part, whole in zip(out, before, strict=True))


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_memory_layout_changes_nothing(name, data):
    function, arguments, _ = FUNCTIONS[name]
    expected = outputs(function, arguments)
    views = [laid(array, data) for array in arguments]
    got = outputs(function, views)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)  # another order of sums, at most
    for view, array in zip(views, arguments, strict=True):
        np.testing.assert_array_equal(view, array)  # and no function writes into its arguments


@pytest.mark.parametrize("name", [name for name, (_, _, images) in FUNCTIONS.items() if images])
@settings(max_examples=10, deadline=None)
@given(value=st.one_of(st.floats(1 + 2**-10, 255, width=32), st.floats(-1e6, -(2**-20), width=32)), place=st.integers(0, 1567))
def test_images_out_of_range_are_refused(name, value, place):
    function, arguments, (index,) = FUNCTIONS[name]
    array = arguments[index].copy()
    array.flat[place] = value
    with pytest.raises(ValueError, match=r"images lie in .* expected \[0, 1\]"):
        function(*with_one(arguments, index, array))
    with pytest.raises(ValueError, match=r"empty batch|equal (4-D )?shape"):
        function(*with_one(arguments, index, array[:0]))


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_log_variances_and_saturated_logits(level, dtype):
    """Exact where the dtype can hold it; infinity, not a number cut off, where it cannot."""
    mu, ones = np.zeros((1, 2), dtype), np.ones((1, 2), dtype)
    kl = FUNCTIONS["3 kl_per_latent" if level == 3 else f"{level} kl_divergence"][0]
    (low,), (high,) = outputs(kl, [mu, 0 * ones - 100]), outputs(kl, [mu, 0 * ones + 100])
    assert low.sum() == pytest.approx(99, rel=1e-6)  # 2 · ½ (100 - 1)
    expected = np.exp(100.0) if dtype == np.float64 else np.inf  # float32 ends at exp(88.7)
    assert high.sum() == pytest.approx(expected)
    for logvar in (-100, 100):
        (z,) = outputs(FUNCTIONS[f"{level} reparameterize"][0], [mu, 0 * ones + logvar, ones])
        assert z[0, 0] == pytest.approx(np.exp(logvar / 2), rel=1e-5)
    for logit, pixel, nats in ((200, 0, 200), (-200, 1, 200), (200, 1, 0), (-200, 0, 0)):
        loss = FUNCTIONS["3 bce" if level == 3 else f"{level} reconstruction_loss bce"][0]
        (found,) = outputs(loss, [np.full((1, 1, 28, 28), logit, dtype), np.full((1, 1, 28, 28), pixel, dtype)])
        assert found.sum() == pytest.approx(784 * nats, abs=1e-30)


@pytest.mark.parametrize("name", likelihoods.LIKELIHOODS)
@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_every_likelihood_of_saturated_logits_is_finite(name, logit):
    for pixel in (0.0, 1.0):
        logits = torch.tensor([logit, 0.0, -logit], requires_grad=True)
        nats = likelihoods.LIKELIHOODS[name].nats(logits, torch.full((3,), pixel), SIGMA)
        nats.sum().backward()
        assert torch.isfinite(nats).all() and torch.isfinite(logits.grad).all()


def test_noise_is_not_stretched_over_a_batch():
    """One eps for all images would broadcast in silence, and correlate them."""
    for reparameterize in (FUNCTIONS[f"{level} reparameterize"][0] for level in (1, 2, 3)):
        for eps in (EPS[:1], EPS[:, :1]):
            with pytest.raises(ValueError, match=r"eps (is )?\(.*expected"):
                reparameterize(MU, LOGVAR, eps)


def test_binarising_refuses_what_it_would_hide():
    generator = torch.Generator().manual_seed(0)
    for bad in (
        torch.tensor([0.5, torch.nan]),
        torch.tensor([0, 128, 255]),
        torch.tensor([0.0, 128.0]),
        torch.tensor([0.5]).half(),
    ):
        for how in ("dynamic", "threshold"):
            with pytest.raises(ValueError, match="images"):
                likelihoods.binarise(bad, how, generator)
    with pytest.raises(ValueError, match=r'how is "fixed", and the images are grayscale'):
        likelihoods.binarise(torch.tensor([0.5]), "fixed", generator)


def test_labels_out_of_range():
    model = cvae.CVAE(3)
    for labels in (torch.tensor([0, 10]), torch.tensor([-1, 3]), torch.tensor([1.0, 2.0]), torch.tensor([1]), None):
        with pytest.raises(ValueError, match="labels: "):
            model.encode(torch.from_numpy(X), labels)


def test_objectives_let_nothing_vanish():
    """A maximum or an absolute value could swallow NaN."""
    for term in ("distortion", "rate", "log_weight"):
        terms = Terms(torch.ones(2, 3), torch.ones(3, 4), torch.ones(2, 3))
        getattr(terms, term)[0, 0] = torch.nan
        losses = {
            "distortion": [objectives.elbo(terms), objectives.beta_loss(terms, 2.0)],
            "rate": [objectives.elbo(terms), objectives.beta_loss(terms, 2.0), objectives.capacity(terms.rate, 1.0, 1.0)]
            + [objectives.free_bits(terms.rate, 2.0, per) for per in ("latent", "image", "total")],
            "log_weight": [objectives.iwae(terms)],
        }
        assert all(torch.isnan(loss).any() for loss in losses[term])


def test_units_of_one_image_are_not_counted():
    """The variance over one image, or of NaN, is NaN, and NaN > 0.01 is False: "0 active units"."""
    for mu in (torch.zeros(1, 4), torch.full((5, 4), torch.nan)):
        with pytest.raises(ValueError, match="expected finite means"):
            elbo.active_units(mu)
    assert elbo.active_units(torch.tensor([[0.0, 1.0], [0.0, 2.0]])).tolist() == [False, True]


@pytest.mark.parametrize("schedule", [schedules.linear, schedules.cyclical, schedules.one_cycle])
@pytest.mark.parametrize("progress", [-0.1, 1.1, np.nan, np.inf])
def test_schedules_know_no_progress_outside(schedule, progress):
    with pytest.raises(ValueError, match=r"progress is .*: expected 0 to 1"):
        schedule(progress)


@pytest.mark.parametrize("way", [interpolation.lerp, interpolation.slerp])
def test_ways_through_the_latent_space(way):
    a, b = MU[0], MU[1]
    assert np.isnan(way(np.array([1.0, np.nan, 2.0]), np.ones(3), 4)[1:3]).any()
    for wrong in ((a, b[:1], 4), (a[None], b[None], 4), (a.astype(int), b.astype(int), 4), (a, b, 1)):
        with pytest.raises(ValueError, match="expected"):
            way(*wrong)


def test_a_way_through_a_class_that_is_not_there():
    with pytest.raises(ValueError, match="no code has the label 7"):
        interpolation.guided(MU[0], MU[1], MU, np.array([0, 1]), (0, 7), 5)


@pytest.mark.parametrize("codes", [np.ones((1, 3)), np.full((4, 3), np.nan), np.full((4, 3), np.inf)])
def test_no_gaussian_is_fitted_to_what_is_no_sample(codes):
    with pytest.raises(ValueError, match="expected at least 2, all finite"):
        samplers.gaussian(codes, 5, np.random.default_rng(0))
