"""The exercises' checker cannot be fooled: it is itself checked against starters, nonsense and every known wrong answer."""

import copy
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import thorough_but

from exercises import make_figures, pages
from exercises.catalogue import EXERCISES, LETTERS, find
from exercises.checking import run_all, run_check
from exercises.comparing import difference
from exercises.declaring import checks_of
from exercises.running import load, observe

IDS = [e.number for e in EXERCISES]
SEEDS = [0, pytest.param(1, marks=pytest.mark.slow)]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=IDS)


def kind(value, make):
    """Apply `make` to the arrays, tensors and numbers of a result, however it nests."""
    if isinstance(value, dict):
        return {name: kind(v, make) for name, v in value.items()}
    if isinstance(value, tuple):
        return tuple(kind(v, make) for v in value)
    return make(value)


def filled(number):
    def make(value):
        if hasattr(value, "new_full"):  # a tensor
            return value.new_full(value.shape, number) if value.is_floating_point() or number == 0 else None
        array = np.asarray(value)
        if array.dtype.kind == "b":
            return np.zeros_like(value) if number == 0 and isinstance(value, np.ndarray) else 0 if number == 0 else None
        if array.dtype.kind not in "fiu":
            return None
        filled = np.full(array.shape, number, array.dtype if array.dtype.kind == "f" else (float if number else array.dtype))
        return filled if isinstance(value, np.ndarray) else filled[()]

    return make


def ranked(value):
    """One axis too many."""
    if hasattr(value, "new_full"):
        return value[None]
    return np.asarray(value)[None]


def typed(value):
    """The same numbers, complex."""
    if hasattr(value, "new_full"):
        return value + 0j
    return np.asarray(value).astype(complex)[()]


NONSENSE = {
    "None": lambda value: None,
    "zeros": filled(0),
    "NaN": filled(np.nan),
    "infinity": filled(np.inf),
    "wrong rank": ranked,
    "wrong dtype": typed,
}


@pytest.mark.thorough
@each_exercise
def test_every_starter_fails_every_check_as_not_written(exercise):
    module, known = load(exercise.starter), checks_of(exercise)
    for check in known.CHECKS:
        failure = run_check(check, module, known.WRONG)
        assert failure is not None and failure.lines == [f"{check.function} is not written yet"], (check.function, failure)
    said = []
    assert run_all(exercise, module, said.append)[0] == 0


@each_exercise
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_fails_every_check(exercise, nonsense):
    module, known = load(exercise.solution), checks_of(exercise)
    for check in known.CHECKS:
        right = getattr(module, check.function)
        wrong = SimpleNamespace(**vars(module))
        setattr(wrong, check.function, lambda *args, right=right: kind(right(*args), NONSENSE[nonsense]))
        failure = run_check(check, wrong, None)  # without a diagnosis, which takes most of the time; the identity has it below
        assert failure is not None, f"{check.function} ({check.says}) accepts {nonsense}"
        assert failure.lines


@pytest.mark.thorough
@each_exercise
def test_the_identity_fails_every_check(exercise):
    module, known = load(exercise.solution), checks_of(exercise)
    for check in known.CHECKS:
        wrong = SimpleNamespace(**vars(module))
        setattr(wrong, check.function, lambda *args: args[0])
        assert run_check(check, wrong, known.WRONG) is not None, f"{check.function} ({check.says}) accepts its first argument"


@each_exercise
@pytest.mark.parametrize("seed", [None, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3))])
def test_every_wrong_answer_is_told_its_own_diagnosis(exercise, seed):
    """With no seed, every third answer."""
    module, known = load(exercise.solution), checks_of(exercise)
    assert len(known.WRONG) >= 5
    assert len({w.name for w in known.WRONG}) == len(known.WRONG) == len({w.diagnosis for w in known.WRONG})
    assert {w.function for w in known.WRONG} == {c.function for c in known.CHECKS}, "a function without a wrong answer"
    for answer in known.WRONG[int(exercise.number) % 3 :: 3] if seed is None else known.WRONG:
        for number, function in enumerate(answer.answers):
            wrong = SimpleNamespace(**vars(module))
            setattr(wrong, answer.function, function)
            failures = [f for c in known.CHECKS if c.function == answer.function
                        for f in [run_check(c, wrong, known.WRONG, seed or 0)] if f]  # fmt: skip
            assert failures, f"{answer.name}, code {number}, passes"
            assert failures[0].diagnosis == answer.diagnosis, (answer.name, number, failures[0])


@each_exercise
@pytest.mark.parametrize("seed", SEEDS)
def test_solutions_pass(exercise, seed):
    module, known = load(exercise.solution), checks_of(exercise)
    if seed == 0:
        assert run_all(exercise, module, lambda line: None) == (exercise.checks, None)
        return
    for check in known.CHECKS:
        failure = run_check(check, module, None, seed)
        assert failure is None, failure


@pytest.mark.parametrize("exercise", thorough_but(EXERCISES, *EXERCISES[2:5]), ids=lambda e: e.number)
@pytest.mark.parametrize("seed", SEEDS)
def test_other_right_answers_pass(exercise, seed):
    known = checks_of(exercise)
    assert known.VALID
    module = load(exercise.solution)
    for function, answer in known.VALID:
        other = SimpleNamespace(**vars(module) | {function: answer})
        for check in [c for c in known.CHECKS if c.function == function]:
            failure = run_check(check, other, None, seed)
            assert failure is None, (function, failure)


@each_exercise
def test_probes_are_asymmetric(exercise):
    """No probe of all checks hides a mistake in a symmetry: for each there is one with B != D, H != W, mu != 0, logvar != 0."""
    for check in checks_of(exercise).CHECKS:
        probes = check.probes(np.random.default_rng(0))
        for name in probes[0]:
            arrays = [p[name] for p in probes if isinstance(p.get(name), np.ndarray)]
            if not arrays or arrays[0].dtype.kind != "f":
                continue
            assert any(np.any(a != 0) for a in arrays), f"{check.function}: {name} is always 0"
            sizes = [a.shape for a in arrays if a.ndim >= 2 and a.shape[-2:] != (28, 28)]  # the model's own images are square
            assert not sizes or any(len(set(s)) == len(s) for s in sizes), f"{check.function}: {name} is square: {sizes}"
            if name.startswith("logvar"):
                assert any((a > 0).any() and (a < 0).any() for a in arrays), f"{check.function}: {name} has one sign"


@each_exercise
def test_the_reference_and_the_solution_are_different_code(exercise):
    module = load(exercise.solution)
    for check in checks_of(exercise).CHECKS:
        assert check.reference is not getattr(module, check.function)


@each_exercise
def test_pages_have_every_section_hints_and_current_blocks(exercise):
    text = exercise.page.read_text(encoding="utf-8")
    sections = "Predict first, The idea, Your task, A tiny example, Check it, Hints, Common mistakes, Experiment, Reflect"
    sections = [f"## {title}" for title in f"{sections}, Where the library does it, One solution".split(", ")]
    assert [line for line in text.splitlines() if line.startswith("## ")] == sections
    assert f"**Checklist {exercise.letter}**" in text and LETTERS[exercise.letter] in text
    assert f"{exercise.minutes} minutes" in text
    assert pages.refreshed(exercise, text) == text, f"{exercise.page} is stale: run python -m exercises.pages"
    shown = [what for _, what, _, _ in pages.SHOWN.findall(text)]
    assert {"starter", "solution", "check solution"} <= set(shown) and len(shown) >= 4
    hints = pages.hints(exercise.page)
    known = checks_of(exercise)
    assert list(hints) == list(dict.fromkeys(c.function for c in known.CHECKS)) and all(len(h) == 3 for h in hints.values())
    for answer in known.WRONG:
        assert f"`{answer.name}`" in text, f"{exercise.page.name} does not mention the mistake {answer.name}"
    figures = [line for line in text.splitlines() if line.startswith("![")]
    assert figures, "no figure"
    for line in figures:
        assert (exercise.page.parent / line.split("](")[1].rstrip(")")).stat().st_size < 100_000


def test_the_checklist_names_every_letter_exercise_function_and_test():
    text = pages.README.read_text(encoding="utf-8")
    named = re.findall(r"\[`(\w+)`\]\(([^)#]+\.py)\)", text)
    assert len(named) >= 30
    for name, path in named:
        code = (pages.README.parent / path).read_text(encoding="utf-8")
        assert re.search(rf"^(def|class) {name}\b", code, re.MULTILINE), f"{path} has no {name}"
    rows = {row[2]: row for row in text.splitlines() if row.startswith(tuple(f"| {letter} |" for letter in LETTERS))}
    assert rows.keys() == LETTERS.keys()
    for exercise in EXERCISES:
        assert f"[{exercise.number}]({exercise.page.name})" in rows[exercise.letter]
    course = ["ELBO 유도", "reparameterization", "KL divergence 계산", "β의 역할", "잠재 공간 시각화", "Conditional VAE 구현"]
    assert all(item in row for item, row in zip(course, rows.values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("number", sorted(n.removeprefix("figure_") for n in vars(make_figures) if n.startswith("figure_")))
def test_figures_and_their_numbers_can_be_made_again(number, tmp_path_factory, monkeypatch):
    """Models are trained anew, in a folder that these tests share; a few percent of difference is another machine's rounding."""
    noted = json.loads(make_figures.RESULTS.read_text(encoding="utf-8")).get(number, {})
    folder = tmp_path_factory.getbasetemp() / "figures"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(make_figures, "FIGURES", folder)
    again = json.loads(json.dumps(getattr(make_figures, f"figure_{number}")()))
    assert list(folder.glob(f"{number}_*.png"))

    def near(a, b, where):
        assert type(a) is type(b), where
        if isinstance(a, dict | list):
            assert len(a) == len(b), where
            for key in a if isinstance(a, dict) else range(len(a)):
                near(a[key], b[key], f"{where}[{key}]")
        elif number == "12":  # rounding errors: their size is what matters
            assert 0 <= a < 20 * max(b, 1e-16), where
        else:
            assert a == pytest.approx(b, rel=0.1, abs=0.35 if number in ("01", "09") else 0.1), where

    near(again, noted, number)


def test_a_comparison_never_passes_on_nan():
    nan, one = np.array([np.nan, 1.0]), np.array([1.0, 1.0])
    assert difference(nan, one, 1e9) and difference(one, nan, 1e9) and difference(nan, nan, 1e9)
    assert difference(float("nan"), 1.0, 1e9) and difference(float("inf"), 1.0, 1e9)
    assert not difference(one, one, 0.0)
    assert difference(one.astype(np.float32), one, 1.0, given="float64") and difference(one[None], one, 1.0)
    assert difference(1.0, one, 1.0) and not difference(one.astype(np.float32), one, 1e-6)
    assert difference(True, 1.0, 1.0) and difference("1", 1.0, 1.0) and not difference(1, 1.0, 0.0)


def test_a_function_that_writes_into_its_argument_fails():
    check = checks_of(find("05")).CHECKS[0]

    def in_place(mu, logvar):
        mu **= 2
        return -0.5 * (1 + logvar - mu - np.exp(logvar)).sum(1)

    outcome = observe(check.learner(), in_place, {"mu": np.ones((2, 3)) * 2, "logvar": np.ones((2, 3))})
    assert outcome.problem and "writes into its argument" in outcome.problem


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_numpy_exercises_never_import_torch(every):
    """All are imported in one process that has no torch, and the longest is checked; thorough: every one is checked."""
    blocked = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, NoTorch())
import time
from exercises.catalogue import EXERCISES
from exercises.checking import run_all
from exercises.declaring import checks_of
from exercises.running import load
for e in EXERCISES:
    if not e.torch:
        started = time.process_time()
        checks_of(e), load(e.solution)
        if EVERY or e.number == "08":
            passed, failure = run_all(e, load(e.solution), lambda line: None)
            assert failure is None and passed == e.checks
        print(e.number, time.process_time() - started < 20)  # the slowest takes 2.1 s of an idle processor, 5 s of a busy one
"""
    done = subprocess.run([sys.executable, "-c", f"EVERY = {every}{blocked}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for e in EXERCISES if not e.torch for word in (e.number, "True")]


def test_an_unknown_exercise_is_one_line():
    done = subprocess.run([sys.executable, "-m", "exercises", "check", "77"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "'77'" in done.stderr


def test_starters_and_solutions_say_the_same_signatures():
    for exercise in EXERCISES:
        starter, solution = load(exercise.starter), load(exercise.solution)
        for function in dict.fromkeys(c.function for c in checks_of(exercise).CHECKS):
            a, b = getattr(starter, function), getattr(solution, function)
            assert a.__doc__ == b.__doc__ and repr(a.__annotations__) == repr(b.__annotations__), (exercise.number, function)
            assert copy.copy(a).__code__.co_varnames[: a.__code__.co_argcount] == b.__code__.co_varnames[: b.__code__.co_argcount]
