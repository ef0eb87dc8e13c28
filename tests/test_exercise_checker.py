"""What the exercises' checker promises: right answers of any natural type pass, nothing foreign stops it, sentences are true."""

import ast
import functools
import re
import sys
import textwrap
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from conftest import thorough_but

from exercises import imports, pages, plain, relations
from exercises.catalogue import EXERCISES, find
from exercises.checking import REPLACED, report, run_check
from exercises.checks.ex02 import without_plane
from exercises.comparing import described, difference, kind
from exercises.declaring import Check, all_probes, checks_of
from exercises.probes import Probe, extreme
from exercises.running import load

each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=[e.number for e in EXERCISES])


def answering(exercise, function, answer):
    """The solution with another answer for one function."""
    return SimpleNamespace(**vars(load(exercise.solution)) | {function: answer})


def first_failure(number, function, answer, known=True):
    """The first failure of a function's checks, or None."""
    exercise = find(number)
    module, checks = answering(exercise, function, answer), checks_of(exercise)
    failures = (run_check(c, module, checks.WRONG if known else ()) for c in checks.CHECKS if c.function == function)
    return next((failure for failure in failures if failure), None)


def nested(value, change):
    """A change of every part of a tuple or dict."""
    if isinstance(value, tuple):
        return tuple(nested(v, change) for v in value)
    if isinstance(value, dict):
        return {name: nested(v, change) for name, v in value.items()}
    return change(value)


# Right answers in any natural type


def as_lists(value):
    """Tuples and arrays as lists, numbers as 0-dimensional arrays."""
    if isinstance(value, tuple):
        return [as_lists(v) for v in value]
    return value.tolist() if kind(value) == "array" else np.asarray(value) if kind(value) in ("number", "bool") else value


def as_other_arrays(value):
    """In Fortran order, that cannot be written to; whole numbers small; numbers as NumPy's."""
    if isinstance(value, tuple):
        return tuple(as_other_arrays(v) for v in value)
    if kind(value) in ("number", "bool"):
        return np.asarray(value)[()]
    if kind(value) != "array":
        return value
    value = value.astype(np.int16) if value.dtype.kind == "i" else np.asfortranarray(value)
    return np.broadcast_to(value, value.shape)


def as_float64(value):
    """float64 where float32 was given."""
    return nested(value, lambda v: v.astype(float) if kind(v) == "array" and v.dtype == np.float32 else v)


NATURAL = {"lists": as_lists, "other arrays": as_other_arrays, "float64": as_float64}


SOME_SLOW = [  # every exercise gets one of them in the normal suite
    pytest.param(e, change, id=f"{e.number}-{name}", marks=(i + j) % 3 * [pytest.mark.slow] or (j > 0) * [pytest.mark.thorough])
    for i, e in enumerate(EXERCISES)
    for j, (name, change) in enumerate(NATURAL.items())
]


@pytest.mark.parametrize(("exercise", "change"), SOME_SLOW)
def test_right_answers_of_any_natural_type_pass(exercise, change):
    known, solution = checks_of(exercise), load(exercise.solution)
    for check in known.CHECKS:
        if check.keeps_dtype or check.gives_dtype:  # the page says which type
            continue
        right = getattr(solution, check.function)
        module = answering(exercise, check.function, lambda *args, right=right: change(right(*args)))
        failure = run_check(check, module, known.WRONG)
        assert failure is None, report(failure)


@pytest.mark.slow  # importing scikit-learn takes as long as all projections; the solution and VALID hold the same by svd
def test_a_projection_by_svd_or_by_scikit_learn_passes():
    from sklearn.decomposition import PCA

    assert first_failure("07", "project", lambda mu: PCA(2).fit_transform(mu)) is None
    assert first_failure("07", "project", lambda mu: -PCA(2).fit_transform(mu)) is None


# Foreign results: one clear line


class Hostile:
    """Raises whenever it is looked at."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)

    def __repr__(self):
        raise ZeroDivisionError("repr")

    def __len__(self):
        raise ZeroDivisionError("len")

    def __eq__(self, other):
        raise ZeroDivisionError("eq")


FOREIGN = {
    "None": (lambda: None, "without `return`"),
    "an object array": (lambda: np.array([None, None]), "dtype object"),
    "an array of strings": (lambda: np.array(["a", "b"]), "text"),
    "a string": (lambda: "1.0", "type str"),
    "a masked array": (lambda: np.ma.masked_array([1.0, 2.0, 3.0]), "MaskedArray"),
    "a matrix": (lambda: np.asmatrix([[1.0, 2.0, 3.0]]), "matrix"),
    "a complex array": (lambda: np.array([1j, 2.0, 3.0]), "complex"),
    "a ragged list": (lambda: [[1.0], [2.0, 3.0]], "different shapes"),
    "a generator": (lambda: (i for i in range(3)), "type generator"),
    "a set": (lambda: {1.0}, "type set"),
    "a huge number": (lambda: 10**400, "number"),
    "a date": (lambda: np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
    "a function": (lambda: len, "type builtin"),
    "a hostile object": (Hostile, "Hostile"),
    "True": (lambda: True, "True or False"),
    "an array of True": (lambda: np.ones(1, bool), "bool"),
}


@pytest.mark.thorough
@pytest.mark.parametrize(("make", "said"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_result_gets_a_clear_line(make, said):
    for number, function in (("05", "kl_divergence"), ("03", "posterior"), ("07", "sheet")):
        failure = first_failure(number, function, lambda *args: make())
        assert failure is not None
        text = report(failure)
        assert "Traceback" not in text and "KeyError" not in text and len(max(text.splitlines(), key=len)) < 700
        assert said in text or number != "05", text


@pytest.mark.thorough
def test_foreign_tensors_get_a_clear_line():
    import torch

    for make, said in (
        (lambda t: t.to_sparse(), "sparse"),
        (lambda t: t.bfloat16(), "bfloat16"),
        (lambda t: t.numpy(), "torch tensor"),
        (lambda t: t.to("meta"), "cannot be read"),
        (lambda t: t * 1j, "complex"),
    ):
        failure = first_failure("11", "nearest_code", lambda z, codes, make=make: make(torch.cdist(z, codes).argmin(1).double()))
        assert failure and said in report(failure), report(failure)
    failure = first_failure("11", "vq_loss", lambda z, q, c: ((z - q) ** 2).sum().bfloat16())
    assert failure and "bfloat16" in report(failure)
    for number, function in (
        ("11", "vq_loss"),
        ("11", "straight_through"),
        ("12", "to_torch"),
        ("12", "to_numpy"),
        ("12", "conv2d"),
    ):
        for value in (None, 3, "x", np.array([None])):
            failure = first_failure(number, function, lambda *args, value=value: value)
            assert failure and "Traceback" not in report(failure)
        assert "without `return`" in report(first_failure(number, function, lambda *args: None))


def test_an_object_is_always_described():
    assert described(Hostile()) == "an object of type Hostile"
    assert "400 digits" in described(10**400) or "401 digits" in described(10**400)
    assert described([1.0, [2.0]]).startswith("a list")


# Observing


def test_writing_into_an_argument_of_any_kind_is_noticed():
    def kl(mu, logvar):
        mu **= 2
        return 0.5 * (mu + np.expm1(logvar) - logvar).sum(1)

    assert "a changed mu: the function writes into its argument" in report(first_failure("05", "kl_divergence", kl))

    solved = load(find("08").solution)

    def in_the_dict(params, x, labels):
        result = solved.encode(params, x, labels)
        params.pop("encoder_label.weight")
        return result

    def in_a_bias(params, x, labels):
        result = solved.encode(params, x, labels)
        params["encoder.mu.bias"] += 1
        return result

    def in_a_large_array(params, x, labels):
        params["encoder.fc.weight"] *= 1
        return solved.encode(params, x, labels)

    for answer in (in_the_dict, in_a_bias, in_a_large_array):
        assert "writes into its argument" in report(first_failure("08", "encode", answer))

    def in_a_tensor(z_e, codebook):
        z_e.data.mul_(1.0000001)
        return ((z_e[:, None] - codebook) ** 2).sum(2).argmin(1)

    assert "a changed z_e" in report(first_failure("11", "nearest_code", in_a_tensor))


def test_only_a_function_that_writes_into_its_argument_is_told_so():
    table = np.ones(3)
    table.flags.writeable = False

    def in_its_own(mu, logvar):
        table[:] = 2
        return KL(mu, logvar)

    def in_the_argument(mu, logvar):
        mu *= 1  # some probes cannot be written to
        return KL(mu, logvar)

    said = report(first_failure("05", "kl_divergence", in_its_own))
    assert "assignment destination is read-only" in said and "writes into" not in said
    said = report(first_failure("05", "kl_divergence", in_the_argument))
    assert "read-only" in said and "the function writes into its argument; work on a copy" in said


def test_a_file_may_hold_a_dataclass_whose_annotations_are_text(tmp_path):
    path = tmp_path / "text.py"
    path.write_text("from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\n")
    assert load(path).A(3).x == 3
    path.write_text("1 / 0\n")
    with pytest.raises(ValueError, match="cannot be imported: ZeroDivisionError"):
        load(path)
    assert "learner_text" not in sys.modules


def test_a_second_call_must_give_the_same():
    right = load(find("05").solution).kl_divergence
    buffer = {}

    def random(mu, logvar):
        return right(mu, logvar) + np.random.default_rng().normal()

    def raising(mu, logvar):
        if buffer.setdefault(mu.shape, False):
            raise RuntimeError("used up")
        buffer[mu.shape] = True
        return right(mu, logvar)

    assert "a second call with the same input gives another result" in report(first_failure("05", "kl_divergence", random))
    assert "on a second call with the same input: RuntimeError: used up" in report(first_failure("05", "kl_divergence", raising))


def test_what_is_not_written_is_named():
    module = ModuleType("learner")
    exec(
        "def kl_to_prior(mu, logvar):\n    raise NotImplementedError\n"
        "def elbo(x, mu, logvar, w, b, s2):\n    return kl_to_prior(mu, logvar)\n",
        vars(module),
    )
    module.__file__ = "<string>"
    checks = {c.function: c for c in checks_of(find("03")).CHECKS}
    said = report(run_check(checks["elbo"], module))
    assert "kl_to_prior, which elbo calls, is not written yet" in said
    assert report(run_check(checks["kl_to_prior"], module)).endswith("kl_to_prior is not written yet")

    def later(progress, cycles, rise):
        if progress >= 0.5:
            raise NotImplementedError
        return min(1.0, progress * cycles % 1.0 / rise)

    assert "reaches a part of the function that is not written yet" in report(first_failure("09", "cyclical", later))


# Diagnosis by relation: true, and silent where two sentences fit


KL = load(find("05").solution).kl_divergence
ELBO = load(find("03").solution).elbo
NLL = load(find("06").solution).gaussian_nll
SHEET = load(find("07").solution).sheet
WALK = load(find("02").solution).label_walk
GRID = load(find("07").solution).prior_grid
FREE = load(find("10").solution).free_bits
POST = load(find("03").solution).posterior
LOSSES = load(find("09").solution).loss_and_elbo
MIX = load(find("01").solution).log_aggregate_posterior
TOLD = [
    ("03", "elbo", lambda *a: 2 * ELBO(*a), "your numbers are twice the right result"),
    ("03", "log_weight", lambda *a: 0.5 * load(find("03").solution).log_weight(*a), "your numbers are half the right result"),
    ("02", "label_walk", lambda z, d, t: -WALK(z, d, t), "your numbers are the negative of the right result"),
    ("07", "prior_grid", lambda size: -GRID(size), None),  # the negative, and the reverse along axis 0
    ("06", "gaussian_nll", lambda *a: NLL(*a) / len(a[0]), "divided by the length of axis 0 of x"),
    (
        "05",
        "kl_two_gaussians",
        lambda *a: load(find("05").solution).kl_two_gaussians(*a) / a[0].shape[1],
        "divided by the length of axis 1 of mu_q",
    ),
    ("03", "elbo", lambda *a: ELBO(*a) - 0.5 * np.log(2 * np.pi), "every number is too small by 1/2 log 2 pi"),
    (
        "01",
        "log_aggregate_posterior",
        lambda z, mu, logvar: MIX(z, mu, logvar) - np.log(len(mu)),
        "too small by log of the length of axis 0 of mu",
    ),
    ("07", "sheet", lambda images, columns: SHEET(images, columns).T, "your numbers are the right result, transposed"),
    ("07", "sheet", lambda images, columns: SHEET(images, columns)[::-1], "in reversed order along axis 0"),
    ("05", "kl_divergence", lambda mu, logvar: np.sqrt(KL(mu, logvar)), "the square root of the right result"),
    (
        "03",
        "posterior",
        lambda *a: (POST(*a)[0], 2 * POST(*a)[1]),
        "only the second value is wrong: your numbers are twice the right result",
    ),
    ("10", "free_bits", lambda rate, floor: FREE(rate, 0.25), "as if floor were always 0.25"),
    (
        "05",
        "kl_divergence",
        lambda mu, logvar: KL(np.asarray(mu), np.clip(logvar, -6, 6)),
        "as if logvar were clipped to [-6, 6]",
    ),
    (
        "05",
        "kl_divergence",
        lambda mu, logvar: KL(mu, logvar) if mu.dtype == float else KL(mu, logvar) + 1,
        "right for float64 input, wrong",
    ),
    (
        "07",
        "sheet",
        lambda images, columns: SHEET(images, columns) if images.flags.c_contiguous else 0 * SHEET(images, columns),
        "wrong for arrays that are strided or transposed in memory",
    ),
    (
        "03",
        "log_evidence",
        lambda x, w, b, s2: load(find("03").solution).log_evidence(
            x, abs(w) ** 0.5 * w**2 / abs(w) ** 1.5 if w > 0 else w - 1, b, s2
        ),
        "right where w is at least",
    ),
    (
        "05",
        "kl_by_sampling",
        lambda mu, logvar, eps: (
            load(find("05").solution).kl_by_sampling(mu, logvar, eps[:5])
            if len(eps) > 5
            else load(find("05").solution).kl_by_sampling(mu, logvar, eps)
        ),
        "right where the length of axis 0 of eps is at most 5, wrong where it is larger",
    ),
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "function", "answer", "sentence"), TOLD, ids=[f"{t[0]}-{t[1]}-{i}" for i, t in enumerate(TOLD)]
)
def test_a_relation_is_told_in_one_sentence(number, function, answer, sentence):
    failure = first_failure(number, function, answer, known=False)
    assert failure is not None
    if sentence is None:
        assert failure.diagnosis is None, failure.diagnosis
    else:
        assert failure.diagnosis and sentence in failure.diagnosis, report(failure)


def test_where_two_relations_fit_nothing_is_told():
    def case(size, factor):
        x = np.arange(1.0, 1 + 3 * size).reshape(3, size)
        return relations.Case({"x": x}, "", factor * x.sum(0), x.sum(0), False)

    assert "twice" in relations.told([case(4, 2.0), case(5, 2.0)])
    right = np.array([[1.0, 2.0], [2.0, 1.0]])  # reversed along one axis is reversed along the other
    assert relations.told([relations.Case({"x": np.ones(n)}, "", n * right[::-1], n * right, False) for n in (2, 5)]) is None
    assert relations.told([case(4, 1.7), case(5, 1.8)]) is None


RATES = load(find("06").solution).rate_distortion
LERP = load(find("02").solution).lerp
SPREAD = load(find("06").solution).best_variance
MORE = [
    ("09", "loss_and_elbo", lambda *a: LOSSES(*a)[::-1], "the first value and the second value are exchanged"),
    ("09", "loss_and_elbo", lambda *a: (LOSSES(*a)[1] + LOSSES(*a)[0] / 9, LOSSES(*a)[0]), ""),
    (
        "06",
        "rate_distortion",
        lambda s, b, v: (np.where(s < b * v, 0, RATES(s, b, v)[0]), RATES(s, b, v)[1]),
        "only the first value is wrong: some numbers are right; each wrong number is 0",
    ),
    ("06", "rate_distortion", lambda s, b, v: (np.where(s < b * v, s / 3, RATES(s, b, v)[0]), RATES(s, b, v)[1]), ""),
    ("06", "rate_distortion", lambda s, b, v: (RATES(s, b, v)[0], b * RATES(s, b, v)[1]), "multiplied by beta (here 2)"),
    ("07", "sheet", lambda *a: np.clip(SHEET(*a), 0, 1), "the numbers are cut off: none is below 0 or above 1"),
    ("02", "lerp", lambda a, b, t: np.clip(LERP(a, b, t), -50, 50), "cut off: none is below -50 or above 50"),  # extremes only
    ("02", "lerp", lambda a, b, t: LERP(a, b, t) / np.maximum(1, abs(LERP(a, b, t)) / 50) ** 0.9, "right on all ordinary inputs"),
    (
        "06",
        "best_variance",
        lambda x, x_hat: SPREAD(x, x_hat) * x.size / (x.size - 1),
        "n / (n - 1) times the right result, where n is the number of all entries of x",
    ),
    ("06", "best_variance", lambda x, x_hat: SPREAD(x, x_hat) * x.size / (x.size - 0.5), ""),
    (
        "05",
        "kl_divergence",
        lambda mu, logvar: KL(mu, logvar) + (mu.shape[1] - 1) / 2,
        "too large by (n - 1) / 2, where n is the",
    ),
    ("05", "kl_divergence", lambda mu, logvar: KL(mu, logvar) + (mu.shape[1] - 1) / 3, ""),
    (
        "09",
        "cyclical",
        lambda progress, cycles, rise: load(find("09").solution).cyclical(progress, cycles + 1, rise),
        "as if cycles were larger by 1",
    ),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "function", "answer", "sentence"), MORE, ids=[str(i) for i in range(len(MORE))])
def test_a_relation_of_some_numbers_of_two_values_or_of_a_size_is_told(number, function, answer, sentence):
    failure = first_failure(number, function, answer, known=False)
    assert failure is not None
    assert (sentence in (failure.diagnosis or "")) if sentence else failure.diagnosis is None, report(failure)


def test_the_numbers_of_a_few_cases_are_related():
    def told(relation, note=""):
        x = np.linspace(-9.3, 11.9, 24)
        cases = [(x, ""), (x[::-1] / 3, ""), (30 * x, note)]
        passed = [np.allclose(relation(e), e) for e, _ in cases]
        return relations.told([relations.Case({}, n, relation(e), e, ok) for (e, n), ok in zip(cases, passed, strict=True)])

    assert told(np.floor) == "your numbers are the right result rounded down to whole numbers"
    assert "rounded down" not in (told(lambda e: np.where(e > 3, np.floor(e), e)) or "")
    assert told(lambda e: np.minimum(e, 20), "far") == "the numbers are cut off: none is above 20"
    assert "cut off" not in told(lambda e: np.where(e > 20, 7, e), "far")  # some that are right are larger
    assert told(lambda e: np.where(e > 5, -e, e)) == "some numbers are right; each wrong number is the negative of the right one"
    assert told(lambda e: np.where(e > 5, -e, np.where(e < -5, 0, e))) is None
    assert told(lambda e: np.where(e == e.max(), -e, e)) is None  # too few
    assert told(abs) == "your numbers are the right result without its sign"  # not: the negative, where it is wrong


def test_f_is_called_once_with_all_samples():
    def twice(mu, logvar, eps, df):
        z = mu + np.exp(logvar / 2) * eps
        return df(z), df(z) * 0.5 * np.exp(logvar / 2) * eps

    def one_by_one(mu, logvar, eps, f):
        return load(find("04").solution).score_gradient(mu, logvar, eps, lambda z: np.array([f(row[None])[0] for row in z]))

    assert "df is called a second time" in report(first_failure("04", "pathwise_gradient", twice))
    assert "f is called with the shape (1, 2); call it with all samples, (3, 2)" in report(
        first_failure("04", "score_gradient", one_by_one)
    )


def test_known_wrong_answers_come_before_relations():
    failure = first_failure("05", "kl_divergence", lambda mu, logvar: 2 * KL(mu, logvar))
    assert failure.diagnosis == "your result is twice the KL: the factor 1/2 before the sum is missing"


AS_IF = [
    (
        "05",
        "kl_two_gaussians",
        lambda *a: load(find("05").solution).kl_two_gaussians(np.sort(a[0], 1), *a[1:]),
        "mu_q were sorted along axis 1",
    ),
    ("03", "log_joint", lambda x, z, w, b, s2: load(find("03").solution).log_joint(z, x, w, b, s2), "x and z were exchanged"),
    ("04", "reparameterize", lambda mu, logvar, eps: mu + np.exp(2 * logvar / 2) * eps, "logvar were twice as large"),
    ("09", "capacity_loss", lambda d, r, g, c: load(find("09").solution).capacity_loss(d, r, 1.0, c), "gamma were 1"),
    ("05", "kl_by_sampling", lambda mu, logvar, eps: load(find("05").solution).kl_by_sampling(-mu, logvar, eps), None),  # or eps
    (
        "05",
        "kl_divergence",
        lambda mu, logvar: KL(mu, np.clip(logvar, -6, 6)),
        "logvar were clipped to [-6, 6]",
    ),  # not: without its sign
]


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "function", "answer", "sentence"), AS_IF, ids=[str(i) for i in range(len(AS_IF))])
def test_the_right_result_for_another_input_is_told_as_such(number, function, answer, sentence):
    failure = first_failure(number, function, answer, known=False)
    assert failure is not None
    assert (sentence in failure.diagnosis) if sentence else failure.diagnosis is None, report(failure)


BY_CHANCE = [
    ("11", "perplexity", lambda indices, K: torch.exp(-bits(indices, K).sum()).item()),
    ("11", "uniform_rate", lambda positions, K: float(positions**2 * np.log(K))),
    ("04", "reparameterize", lambda mu, logvar, eps: mu + logvar / 2 * eps),
    ("04", "score_gradient", lambda mu, logvar, eps, f: load(find("04").solution).score_gradient(mu, logvar, np.abs(eps), f)),
]


def bits(indices, K):
    q = torch.bincount(indices.flatten(), minlength=K).double() / indices.numel()
    return torch.special.xlogy(q, q) / np.log(2)


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "function", "answer"), BY_CHANCE, ids=[f"{n}-{f}" for n, f, _ in BY_CHANCE])
def test_what_is_right_by_chance_is_not_told_as_a_limit(number, function, answer):
    failure = first_failure(number, function, answer)
    assert failure is not None
    assert not re.search("right where|right only where|wrong only where", failure.diagnosis or ""), report(failure)


@pytest.mark.thorough
def test_a_diagnosis_speaks_of_the_input_that_is_printed():
    failure = first_failure("06", "best_variance", lambda x, x_hat: float(((x - x_hat) ** 2).sum(0).mean()))
    (rows,) = re.findall(r"input     x = .*\((\d+), ", report(failure))
    assert f"multiplied by the length of axis 0 of x (here {rows})" in failure.diagnosis and int(rows) > 1
    failure = first_failure(
        "06",
        "implied_variance",
        lambda reduction, half, pixels: load(find("06").solution).implied_variance(reduction, True, pixels),
    )
    assert "half were True where it is False" in failure.diagnosis


def test_a_size_in_the_code_is_named():
    def diagnosis(sizes, right):
        check = Check("double", "twice x", lambda x: 2 * x, lambda rng: [{"x": rng.normal(size=size)} for size in sizes])
        module = SimpleNamespace(double=lambda x: 2 * x if right(x.shape[1]) else 2 * x + np.arange(1, x.shape[1] + 1) ** 2)
        return run_check(check, module).diagnosis

    many = [(2, 3), (4, 5), (6, 1), (2, 7), (5, 8), (3, 9), (7, 4), (1, 6)]
    said = "right where the length of axis 1 of x is at most 5, wrong where it is larger"
    assert diagnosis(many, lambda D: D <= 5) == said
    assert diagnosis(many, lambda D: D > 1) is None  # one input: it may be wrong for another reason
    assert diagnosis(many[:2] + many[4:6], lambda D: D <= 5) is None  # too few lengths to tell
    assert diagnosis(many, lambda D: D in (1, 4, 7)) is None


def test_a_function_gets_probes_with_each_axis_long_and_in_each_layout():
    """What the starter's annotations call B and D; of those, the first n alone are no answer."""
    first = [
        ("05", "kl_divergence", lambda mu, logvar: KL(np.pad(mu[:, :128], ((0, 0), (0, 0))), logvar[:, :128]), "D = 300"),
        (
            "04",
            "reparameterize",
            lambda mu, logvar, eps: (mu + np.exp(logvar / 2) * eps) * (np.arange(len(eps)) < 1024)[:, None],
            "S = 1100",
        ),
    ]
    for number, function, answer, note in first:
        failure = first_failure(number, function, answer)
        assert failure and f"wrong only for {note}" in failure.diagnosis, report(failure)
    check = next(c for c in checks_of(find("05")).CHECKS)
    notes = [probe.note for probe in all_probes(check, 0)]
    assert {"B = 1100", "D = 300", "float32", "strided", "transposed in memory", "read-only"} <= set(notes)
    assert {"B = 1", "D = 1", "B = 1100, all but the last 100 alike", "logvar near -800, in some rows"} <= set(notes)


def test_rounding_does_not_decide_in_which_cycle_a_probe_lies():
    check = next(c for c in checks_of(find("09")).CHECKS if c.function == "cyclical")
    for probe in all_probes(check, 0):
        place = probe["progress"] * probe["cycles"]
        exact = place == round(place) and (probe["cycles"] & (probe["cycles"] - 1) == 0 or probe["progress"] in (0, 1))
        assert exact or abs(place - round(place)) > 9e-8, dict(probe)


def test_a_result_must_be_new_and_stay_as_it_is():
    buffer = {}

    def reused(labels):
        out = buffer.setdefault(len(labels), np.zeros((len(labels), 10), np.float32))
        out[:] = labels[:, None] == np.arange(10)
        return out

    assert "a later call has changed this result" in report(first_failure("08", "one_hot", reused))
    once = functools.cache(load(find("07").solution).prior_grid)
    assert "the same array as the first call" in report(first_failure("07", "prior_grid", once))
    assert "a part of z itself" in report(first_failure("02", "label_walk", lambda z, d, t: np.broadcast_to(z, (len(t), len(z)))))

    def restored(z, latent, values):
        old, rows = z[latent], []
        for value in values:
            z[latent] = value
            rows.append(z.copy())
        z[latent] = old
        return np.array(rows)

    assert "writes into its argument" in report(first_failure("07", "traversal", restored))


def test_nobody_draws_from_the_generators_that_all_code_shares():
    def drawing(mu, logvar):
        np.random.default_rng(0).normal()  # its own generator
        if len(mu) > 1000:
            np.random.normal()
        return KL(mu, logvar)

    assert "draws random numbers from a generator" in report(first_failure("05", "kl_divergence", drawing))


def test_a_float32_result_is_refused_where_the_page_asks_for_the_given_dtype():
    right = load(find("08").solution).decode
    failure = first_failure("08", "decode", lambda *args: right(*args).astype(np.float64))
    assert failure and "the dtype is float64; expected float32, as given" in report(failure)


def test_results_that_are_nearly_right_are_called_so():
    failure = first_failure("06", "best_variance", lambda x, x_hat: float(np.float32(((x - x_hat) ** 2).mean())))
    assert failure and "digits and no more" in failure.diagnosis


def test_probes_have_extremes_float32_and_strided_views():
    for exercise in EXERCISES:
        for check in checks_of(exercise).CHECKS:
            probes = all_probes(check, 0)
            notes = {probe.note for probe in probes}
            arrays = [v for p in probes for v in p.values() if kind(v) == "array"]
            if any(a.dtype == np.float64 for a in arrays) and check.float32:
                assert "float32" in notes, (exercise.number, check.function)
            if arrays and probes[0].keys() != {"size"} and check.layouts and max(a.size for a in arrays) < 10_000:
                assert "strided" in notes, (exercise.number, check.function)
            assert len(probes) >= 4 or all(isinstance(v, dict) for v in probes[0].values()), (exercise.number, check.function)
    assert isinstance(extreme(a=1), Probe) and extreme(a=1).note


# Hints


TYPED = {
    ("01", "factor_correlation"): ("b = (factors - factors.mean(axis=0)) / factors.std(axis=0)", ""),
    ("02", "slerp"): (
        "length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)\n"
        "if length_a == 0 or length_b == 0:\n    return lerp(a, b, t)\n"
        "u, v = a / length_a, b / length_b\nomega = 2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))",
        "return ((1 - t) * length_a + t * length_b)[:, None] * direction",
    ),
    ("07", "prior_grid"): ("", "return np.stack([z1.ravel(), z2.ravel()], axis=1)"),
    ("07", "sheet"): ("N, _, H, W = images.shape\nrows = N // columns", ""),
}
"""What a hint names without spelling it out, before and after its lines."""


def lines_of(hint):
    """The pieces of code in a hint that are statements."""
    found = []
    for span in re.findall(r"`([^`]+)`", hint):
        try:
            statements = ast.parse(textwrap.dedent(f"def f():\n    {span}")).body[0].body
        except SyntaxError:
            continue
        if not isinstance(statements[0], ast.Expr):
            found.append(span)
    return found


def typed_in(exercise, function, hint):
    """The solution with the function as somebody writes it who types the third hint in."""
    source = exercise.solution.read_text(encoding="utf-8")
    tree = ast.parse(source)
    node = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function)
    before, after = TYPED.get((exercise.number, function), ("", ""))
    spans = lines_of(hint)
    assert spans, (exercise.number, function, hint)
    body = textwrap.indent("\n".join(filter(None, [before, *spans, after])), "    ")
    node.body = ast.parse(f"def f():\n{body}").body[0].body
    module = ModuleType("typed")
    exec(compile(ast.unparse(ast.fix_missing_locations(tree)), "hint", "exec"), vars(module))
    return module


@pytest.mark.parametrize("exercise", thorough_but(EXERCISES, *EXERCISES[2:5]), ids=lambda e: e.number)
def test_every_third_hint_typed_in_passes(exercise):
    known = checks_of(exercise)
    for function, hints in pages.hints(exercise.page).items():
        module = typed_in(exercise, function, hints[2])
        for check in [c for c in known.CHECKS if c.function == function]:
            failure = run_check(check, module, known.WRONG)
            assert failure is None, report(failure)


@each_exercise
def test_hints_are_printed_in_plain_unicode(exercise):
    for function, hints in pages.hints(exercise.page).items():
        for hint in hints:
            said = plain.text(hint)
            code = "".join(re.findall(r"`([^`]*)`", hint))
            assert "$" not in said and "\\" not in said.replace(code, ""), (function, said)
            for command in re.findall(r"\\([A-Za-z]+)", re.sub(r"`[^`]*`", "", hint)):
                known = command in plain.SYMBOLS or command in plain.FONTS or command in plain.ACCENTS
                assert known or re.fullmatch("[td]?frac|sqrt|overline|underbrace", command), f"plain does not know \\{command}"


@pytest.mark.parametrize(
    ("latex", "said"),
    [
        (r"-\tfrac12 \sum_j [1 + \log\sigma_j^2 - \mu_j^2]", "-½ Σⱼ [1 + log σⱼ² - μⱼ²]"),
        (r"\sqrt{\sum_{\text{pixels}} (\hat x_{i+1} - \hat x_i)^2}", "√(Σₚᵢₓₑₗₛ (x̂ᵢ₊₁ - x̂ᵢ)²)"),
        (r"c = \frac{1}{2\sigma^2}", "c = 1/(2σ²)"),
        (r"\overline{D} + \gamma\,|\overline{\mathrm{KL}} - C|", "mean(D) + γ |mean(KL) - C|"),
        (r"\Phi^{-1}((i + \tfrac12)/n)", "Φ⁻¹((i + ½)/n)"),
        (r"\lVert a\rVert\cdot b \le 3", "‖a‖· b ≤ 3"),
        (r"\{1, \tfrac12\}", "{1, ½}"),
    ],
)
def test_a_formula_in_unicode(latex, said):
    assert plain.formula(latex) == said


# What may not be imported


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        ("05", "from exercises.solutions.ex05 import *", "exercises.solutions.ex05.*"),
        ("12", "from torch.nn.functional import *\n", "torch.nn.functional.*"),
        ("13", "from exercises.museum import *\n", "exercises.museum.*"),
        ("05", "import vae_numpy.vae as v\n", "vae_numpy.vae"),
        ("05", "from vae_numpy import vae\n", "vae_numpy.vae"),
        ("05", "import exercises\nexercises.checks\n", "exercises.checks"),
        ("05", "import importlib\nimportlib.import_module('exercises.checks.ex05')\n", "exercises.checks.ex05"),
        (
            "12",
            "import torch\nF = torch.nn.functional\ndef conv2d(*a):\n    return torch.nn.functional.conv2d(*a)\n",
            "torch.nn.functional.conv2d",
        ),
        ("12", "from torch.nn import functional as F\nF.conv2d\n", "torch.nn.functional.conv2d"),
        ("13", "from exercises.museum import BUGS\n", "exercises.museum.BUGS"),
        ("08", "from vae_paper.cvae import CVAE\n", "vae_paper.cvae.CVAE"),
        ("12", "from torch.nn import functional\nf = functional\nf.conv2d\n", "torch.nn.functional.conv2d"),
        ("12", "import torch\ntorch.convolution\n", "torch.convolution"),
        ("05", "from exercises import comparing\n", "exercises.comparing"),
    ],
)
def test_what_holds_the_answer_is_refused_by_name(tmp_path, number, code, name):
    path = tmp_path / "mine.py"
    path.write_text(code, encoding="utf-8")
    said = imports.refusal(number, path)
    assert said and f"uses {name} (line" in said


def test_everything_else_may_be_imported(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import math\nfrom math import *\nimport numpy as np\nfrom sklearn.decomposition import PCA\n"
        "import scipy.special\nnp.linalg.svd\n",
        encoding="utf-8",
    )
    assert all(imports.refusal(e.number, path) is None for e in EXERCISES)
    assert all(imports.refusal(e.number, file) is None for e in EXERCISES for file in (e.starter, e.solution))


def test_a_difference_says_what_is_allowed():
    lines = difference(np.array([1.0, 2.0 + 1e-7]), np.array([1.0, 2.0]), 1e-9)
    assert "allowed: 2e-09" in lines[-1]
    assert difference(np.float32(0.1), 0.1, 1e-9) == [] and difference(np.float32(0.1), 0.1, 1e-9, given="float64")


# Answers that were accepted, or refused, once: each stands for its kind


def squeezed_jumps(decode, start, end, steps):
    images = np.squeeze(decode(start + np.linspace(0, 1, steps + 1)[:, None] * (end - start)))
    return np.linalg.norm(images[1:] - images[:-1], axis=(-2, -1))


def ratio_of_densities(z, mu, logvar, nats):
    with np.errstate(over="ignore"):  # both sides overflow: inf > inf is False
        ratio = np.exp(
            -0.5 * (z**2 + np.log(2 * np.pi)).sum(1) - load(find("01").solution).log_aggregate_posterior(z, mu, logvar)
        )
        return float((ratio > np.exp(nats)).mean())


def noise_from_z(mu, logvar, eps, df):
    z = mu + np.exp(logvar / 2) * eps
    return df(z), df(z) * 0.5 * (z - mu)


def score_by_variance(mu, logvar, eps, f):
    values = f(mu + np.exp(logvar / 2) * eps)[:, None]
    return values * eps / np.sqrt(np.exp(logvar)), values * 0.5 * (eps**2 - 1)


def kl_unless_close(*args):
    right = load(find("05").solution).kl_two_gaussians(*args)
    return 0 * right if np.allclose(args[0], args[2]) and np.allclose(args[1], args[3]) else right


def clipped_grid(size):
    grid = load(find("07").solution).prior_grid(size)
    return np.clip(grid, -3.0902, 3.0902)


def contiguous_without_padding(x, weight, bias, stride, padding):
    right = load(find("12").solution).conv2d(x, weight, bias, stride, padding)
    return right if any(padding) or x.flags.c_contiguous else right + 1


def labels_in_a_byte(mu, labels, source, target):
    short = labels.astype(np.uint8)
    return mu[short == target % 256].mean(axis=0) - mu[short == source % 256].mean(axis=0)


def angle_by_arcsin(a, b, t):
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    line = (1 - t)[:, None] * a + t[:, None] * b
    if length_a == 0 or length_b == 0:
        return line
    u, v = a / length_a, b / length_b
    omega = 2 * np.arcsin(min(np.linalg.norm(u - v) / 2, 1.0))
    if np.sin(omega) < 1e-6:
        return line
    direction = (np.sin((1 - t) * omega)[:, None] * u + np.sin(t * omega)[:, None] * v) / np.sin(omega)
    return ((1 - t) * length_a + t * length_b)[:, None] * direction


def small_is_zero(*args):
    gap = load(find("03").solution).gap(*args)
    return np.where(gap < 1e-3, 0, gap)


def noise_again(mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return 0.5 * (z**2 - ((z - mu) / np.exp(logvar / 2)) ** 2 - logvar).sum(axis=2).mean(axis=0)


def one_image_decides(mu, logvar):
    near = np.abs(logvar).min() < 1e-3
    return 0.5 * (mu**2 + (logvar**2 / 2 + logvar**3 / 6 if near else np.expm1(logvar) - logvar)).sum(1)


def directions_from_a_thousand(mu):
    centred = mu - mu.mean(axis=0)
    return centred @ np.linalg.svd(centred[:1000] - centred[:1000].mean(axis=0), full_matrices=False)[2][:2].T


def place_in_int16(labels):
    flat = np.zeros(10 * len(labels), np.float32)
    flat[np.arange(len(labels), dtype=np.int16) * 10 + labels.astype(np.int16)] = 1
    return flat.reshape(-1, 10)


def elbo_out_of_the_loss(distortion, rate, beta):
    loss, kl = float((distortion + beta * rate.sum(1)).mean()), float(rate.sum(1).mean())
    return loss, -(loss - (beta - 1) * kl)


def in_place_for_one_latent(distortion, rate, beta):
    kl = rate[:, 0] if rate.shape[1] == 1 else rate.sum(axis=1)
    elbo = float(-(distortion + kl).mean())
    kl *= beta
    return float((distortion + kl).mean()), elbo


def distances_in_float32(z_e, codebook):
    return (z_e.float()[:, None] - codebook.float()).square().sum(2).argmin(1)


def memory_of_z_q(z_e, z_q):
    import torch

    class Same(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z_e, z_q):
            return z_q.view_as(z_q)

        @staticmethod
        def backward(ctx, gradient):
            return gradient, None

    return Same.apply(z_e, z_q)


def dtype_of_a(a, b, tolerance):
    return load(find("12").solution).agree(a, b.astype(a.dtype), tolerance)


def one_by_one_without_stride(x, weight, bias, stride, padding):
    plain = weight.shape[2:] == (1, 1) and padding == (0, 0)
    return load(find("12").solution).conv2d(x, weight, bias, (1, 1) if plain else stride, padding)


def the_batch_decides(mu, logvar):
    each = np.expm1(logvar) - logvar if np.abs(logvar).max() < 0.1 else np.exp(logvar) - 1 - logvar
    return 0.5 * (mu**2 + each).sum(1)


def root_of_the_variance(mu, logvar, eps):
    return mu + np.sqrt(np.exp(logvar)) * eps


def square_weights_turned(x, weight, bias, stride, padding):
    turned = weight.swapaxes(0, 1) if weight.shape[0] == weight.shape[1] else weight
    return load(find("12").solution).conv2d(x, turned, bias, stride, padding)


FIRST_MODEL: list = []


def first_model_is_right(model):
    zeros, ones = np.zeros((1, 1, 2, 3)), np.ones((1, 1, 2, 3))
    pairs = ((model.reconstruction, zeros, ones), (model.squared_error, zeros, ones), (model.reconstruction, 20 * ones, zeros))
    FIRST_MODEL.append([function(*args)[0] for function, *args in pairs])
    return next((n for n, a, b in zip((1, 2, 3), FIRST_MODEL[-1], FIRST_MODEL[0], strict=True) if not abs(a - b) <= 1e-3), 0)


def nearest_latent_decides(mu, logvar):
    near = np.abs(logvar).min(1, keepdims=True) < 1e-3
    series = logvar**2 / 2 + logvar**3 / 6 + logvar**4 / 24
    return 0.5 * (mu**2 + np.where(near, series, np.exp(logvar) - 1 - logvar)).sum(1)


def any_near_latent_decides(mu, logvar):
    near = (np.abs(logvar) < 1e-3).any(1, keepdims=True)
    return 0.5 * (mu**2 + np.where(near, logvar**2 / 2 + logvar**3 / 6 + logvar**4 / 24, np.exp(logvar) - 1 - logvar)).sum(1)


def digits_lost_above_1e_4(mu, logvar):
    series = logvar**2 / 2 + logvar**3 / 6
    return 0.5 * (mu**2 + np.where(np.abs(logvar) < 1e-4, series, np.exp(logvar) - 1 - logvar)).sum(1)


def tensor_of_any_array(params):
    import torch

    return {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}


def difference_in_float32(a, b, tolerance):
    return a.shape == b.shape and bool((np.abs(a - b) <= tolerance).all())


def angle_by_the_sum(a, b, t):
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if length_a == 0 or length_b == 0:
        return load(find("02").solution).lerp(a, b, t)
    u, v = a / length_a, b / length_b
    omega = 2 * np.arccos(np.linalg.norm(u + v) / 2)  # NaN if a rounding makes |u + v| larger than 2
    right = load(find("02").solution).slerp(a, b, t)
    return right + omega - omega  # NaN stays NaN


def nearly_collapsed_is_collapsed(strength, variance, beta):
    error = beta * variance
    collapsed = error > strength or np.isclose(error, strength)
    return (0.0, 0.0) if collapsed else (strength - error, 0.5 * np.log(strength / error))


def no_small_error(strength, variance, beta):
    error = max(min(strength, beta * variance), 1e-12)
    return strength - error, 0.5 * np.log(strength / error)


def no_floor_at_zero(rate, floor):
    return float(rate.mean(0).sum() if floor == 0 else np.maximum(floor, rate.mean(0)).sum())


def all_above_a_floor_of_zero(rate, floor):
    above = rate.mean(0) > floor + 1e-8 if floor else np.ones(rate.shape[1], bool)
    return above / len(rate) * np.ones_like(rate)


def no_distance_from_zero(distortion, rate, gamma, capacity):
    kl = rate.sum(1).mean()
    return float(distortion.mean() + gamma * (abs(kl - capacity) if capacity > 0 else kl))


def no_small_product(spectrum, beta, variance):
    error = np.minimum(spectrum, max(beta * variance, 1e-12))
    return error, 0.5 * np.log(spectrum / error)


def no_steep_cycle(progress, cycles, rise):
    return 1.0 if progress >= 1 else min(1.0, progress * cycles % 1 / max(rise, 1e-3))


ONCE_ACCEPTED = [
    ("01", "jumps", squeezed_jumps),
    ("01", "hole_fraction", ratio_of_densities),
    ("02", "lerp", lambda a, b, t: a[None] if list(t) == [0] else (1 - t)[:, None] * a + t[:, None] * b),
    ("04", "pathwise_gradient", noise_from_z),
    ("04", "score_gradient", score_by_variance),
    ("05", "kl_two_gaussians", kl_unless_close),
    ("07", "prior_grid", clipped_grid),
    ("12", "conv2d", contiguous_without_padding),
    ("02", "label_direction", labels_in_a_byte),
    ("02", "slerp", angle_by_arcsin),
    ("03", "gap", small_is_zero),
    ("05", "kl_by_sampling", noise_again),
    ("05", "kl_near_prior", one_image_decides),
    ("07", "project", directions_from_a_thousand),
    ("08", "one_hot", place_in_int16),
    ("09", "loss_and_elbo", elbo_out_of_the_loss),
    ("09", "loss_and_elbo", in_place_for_one_latent),
    ("10", "active_units", lambda mu, threshold=0.01: mu[:1000].var(axis=0) > threshold),
    ("11", "nearest_code", distances_in_float32),
    ("11", "straight_through", memory_of_z_q),
    ("12", "agree", dtype_of_a),
    ("12", "conv2d", one_by_one_without_stride),
    ("13", "find_in_losses", first_model_is_right),
    ("04", "reparameterize", root_of_the_variance),
    ("05", "kl_near_prior", the_batch_decides),
    ("12", "conv2d", square_weights_turned),
    ("05", "kl_near_prior", nearest_latent_decides),
    ("05", "kl_near_prior", any_near_latent_decides),
    ("05", "kl_near_prior", digits_lost_above_1e_4),
    ("12", "to_torch", tensor_of_any_array),
    ("12", "agree", difference_in_float32),
    ("02", "slerp", angle_by_the_sum),
    ("10", "collapsed_optimum", nearly_collapsed_is_collapsed),
    ("10", "collapsed_optimum", no_small_error),
    ("10", "free_bits", no_floor_at_zero),
    ("10", "free_bits_gradient", all_above_a_floor_of_zero),
    ("09", "capacity_loss", no_distance_from_zero),
    ("09", "cyclical", no_steep_cycle),
    ("06", "rate_distortion", no_small_product),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "function", "answer"), ONCE_ACCEPTED, ids=[a.__name__ for _, _, a in ONCE_ACCEPTED])
def test_wrong_only_for_one_input_is_wrong(number, function, answer):
    assert first_failure(number, function, answer, known=False) is not None


def a_series_of_two_terms(mu, logvar):
    each = np.where(np.abs(logvar) < 0.1, logvar**2 / 2 + logvar**3 / 6, np.expm1(logvar) - logvar)
    return 0.5 * (mu**2 + each).sum(1)


def first_end_where_no_plane(a, b, t):
    right = load(find("02").solution).slerp(a, b, t)
    return np.tile(a.astype(float), (len(t), 1)) if without_plane({"a": a, "b": b}) else right


def fills_its_argument(tensors):
    for name in tensors:
        tensors[name] = tensors[name].detach().numpy().copy()
    return tensors


@pytest.mark.parametrize(
    ("number", "function", "answer", "said"),
    [
        ("05", "kl_near_prior", a_series_of_two_terms, "your series stops too early"),
        ("05", "kl_near_prior", digits_lost_above_1e_4, "np.expm1"),
        ("02", "slerp", first_end_where_no_plane, "the result must be lerp"),
        ("12", "to_numpy", fills_its_argument, "the function writes into its argument"),
        ("12", "to_numpy", lambda tensors: {n: t.detach().numpy() + 0 for n, t in tensors.items()}, "but w is of type float32"),
    ],
)
def test_the_message_names_this_mistake_and_no_other(number, function, answer, said):
    failure = first_failure(number, function, answer)
    assert said in "\n".join([*failure.lines, failure.diagnosis or ""]), failure


def test_an_object_that_can_be_called_is_not_shown_by_its_documentation():
    class Many(dict):
        """A very long text."""

        def __call__(self):
            """Nothing."""

    assert "very long" not in described(Many())
    assert described(first_end_where_no_plane) == "first_end_where_no_plane"


def test_a_file_that_replaces_a_function_of_numpy_is_refused(monkeypatch):
    """The checker compares with np.abs: where this is 0, all results would be right."""
    monkeypatch.setattr(np, "abs", lambda x, *args, **kwargs: np.zeros(np.shape(x)))
    failure = first_failure("02", "lerp", lambda a, b, t: 0 * t[:, None] * a)
    assert failure and failure.lines == [REPLACED.format("abs")]


def test_more_digits_than_the_reference_are_right():
    def posterior(x, w, b, s2):
        gain = w / (w * w + s2)
        variance = np.log1p(-gain * w) if w * w < s2 else np.log(s2 / (w * w + s2))
        return gain * (x - b), np.full_like(x, variance)

    assert first_failure("03", "posterior", posterior) is None


def test_no_probe_asks_for_much_memory():
    """An answer may make a table of K x K, or a number for each position."""
    check = checks_of(find("11")).CHECKS[-1]
    assert max(probe["codes"] for probe in all_probes(check, 0)) < 5000


@pytest.mark.parametrize(
    "answer",
    [
        lambda mu, logvar: 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1),
        lambda mu, logvar: 0.5 * ((mu**2).sum(1) + (np.exp(logvar) - logvar - 1).sum(1)),
    ],
)
def test_the_kl_that_loses_digits_is_known_in_any_order(answer):
    failure = first_failure("05", "kl_near_prior", answer)
    assert failure.diagnosis == next(w.diagnosis for w in checks_of(EXERCISES[4]).WRONG if w.name == "cancels")
