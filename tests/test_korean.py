"""The Korean edition follows the English one: section by section, formula by formula, number by number.

The texts are compared as far as a program can: what stands in a fenced block is the same, each formula, name, number and link
of an English section stands in the Korean one too, and a changed English sentence makes a test name the file and the heading.
"""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from exercises import museum, pages, translation
from exercises.catalogue import EXERCISES, HERE
from exercises.declaring import checks_of
from exercises.translation import PAGES, ROOT, SENTENCES, Section, in_korean, padded

each_page = pytest.mark.parametrize("korean", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.number)
QUOTED = re.compile(r"\$`(.+?)`\$")  # a formula in a Korean text
CODE = re.compile(r"`([^`]+)`")
FORMULA = re.compile(r"\$([^$]+)\$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def taken(pattern: re.Pattern[str], text: str) -> tuple[list[str], str]:
    """What a pattern finds in a text, and the text without it."""
    found = ["".join(filter(None, m.groups())) if m.groups() else m[0] for m in pattern.finditer(text)]
    return found, pattern.sub(" ", text)


def parts(section: Section, page: Path) -> dict[str, Counter]:
    """The formulas, code spans, link targets and numbers of a section's prose."""
    rest, found = section.title + " " + section.prose, {}
    for name, pattern in {"links": LINK, "quoted": QUOTED, "code": CODE, "formulas": FORMULA, "numbers": NUMBER}.items():
        found[name], rest = taken(pattern, rest)
    found["formulas"] += found.pop("quoted")
    found["links"] = [target_of(link, page) for link in found["links"]]
    return {name: Counter(values) for name, values in found.items()}


def target_of(link: str, page: Path) -> str:
    """The file that a link leads to, as the English page would name it; an address as it is."""
    if re.match(r"[a-z]+:", link):
        return link
    path = (page.parent / link.partition("#")[0]).resolve() if not link.startswith("#") else page
    return PAGES.get(path, path).relative_to(ROOT).as_posix().replace("figures/ko/", "figures/").replace(".ko.png", ".png")


@each_page
def test_no_english_section_has_changed_since_it_was_translated(korean):
    found = translation.stale(korean)
    assert not found, "\n".join(found)


def test_a_changed_sentence_is_named_with_its_file_and_heading(tmp_path, monkeypatch):
    korean = HERE / "ko" / "03_elbo.md"
    english = PAGES[korean].read_text(encoding="utf-8")
    assert "A KL is never negative" in english
    changed = tmp_path / "03_elbo.md"
    changed.write_text(english.replace("A KL is never negative", "A KL may be negative"), encoding="utf-8")
    monkeypatch.setitem(PAGES, korean, changed)
    (line,) = translation.stale(korean)
    assert line.startswith('exercises/ko/03_elbo.md, "The idea": the English section has changed')


@each_page
def test_fenced_blocks_are_those_of_the_english_page(korean):
    assert translation.with_blocks_of_the_english_page(korean) == korean.read_text(encoding="utf-8"), (
        "run: python -m exercises.pages"
    )


@each_page
def test_formulas_names_links_and_numbers_are_those_of_the_english_page(korean):
    wrong: list[str] = []
    for _, _, ours, theirs in translation.pairs(korean):
        a, b = parts(ours, PAGES[korean]), parts(theirs, korean)
        differ = [name for name in ("links", "formulas", "code") if a[name].keys() != b[name].keys()]
        wrong += [f'"{ours.title}": {n} missing {set(a[n]) - set(b[n])}, too many {set(b[n]) - set(a[n])}' for n in differ]
        missing, more = a["numbers"] - b["numbers"], b["numbers"] - a["numbers"]
        more = {n for n in more if not (n.isdigit() and int(n) <= 20)}  # an English number may be a word
        if missing or more:
            wrong.append(f'"{ours.title}": numbers missing {dict(missing)}, too many {more}')
    assert not wrong, "\n".join(wrong)


@each_page
def test_every_section_is_korean(korean):
    for _, _, ours, theirs in translation.pairs(korean):
        words = FORMULA.sub("", CODE.sub("", ours.prose))
        assert len(re.findall(r"[A-Za-z]{3,}", words)) < 8 or len(re.findall("[가-힣]", theirs.prose)) > 10, theirs.title


@each_page
def test_a_formula_is_written_so_that_github_shows_it_before_a_particle(korean):
    for section in translation.sections(korean.read_text(encoding="utf-8")):
        prose = section.title + " " + section.prose
        assert "$" not in CODE.sub("", QUOTED.sub("", prose)), f"{section.title}: write $`x`$, not $x$"
        before = re.findall(r"(.)\$`.+?`\$", prose)
        assert not [c for c in before if c.isalnum()], f"{section.title}: a space or a bracket must stand before $`"


@each_exercise
def test_hints_and_diagnoses_are_those_of_the_english_page(exercise):
    korean = HERE / "ko" / exercise.page.name
    ours, theirs = pages.hints(exercise.page), pages.hints(korean)
    assert {f: len(h) for f, h in ours.items()} == {f: len(h) for f, h in theirs.items()}
    for function, hints in ours.items():
        for english, translated in zip(hints, theirs[function], strict=True):
            a, b = (parts(Section("", text), korean) for text in (english, translated))
            assert (a["code"].keys(), a["formulas"].keys()) == (b["code"].keys(), b["formulas"].keys()), translated
    rows = [translation.ROW.findall(p.read_text(encoding="utf-8")) for p in (exercise.page, korean)]
    assert [name for name, _ in rows[0]] == [name for name, _ in rows[1]] == [w.name for w in checks_of(exercise).WRONG]
    for (name, english), (_, translated) in zip(*rows, strict=True):
        assert set(NUMBER.findall(english)) <= set(NUMBER.findall(translated)), f"{name}: {translated}"
        assert re.search("[가-힣]", translated), f"{name}: {translated}"


def texts_of(code):
    """The texts in Python code; {} stands for what an f-string computes."""
    for node in ast.walk(code):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_the_text_below_each_experiment_is_told_in_korean():
    code = ast.parse((HERE / "experiments.py").read_text(encoding="utf-8"))
    named = [f for f in code.body if isinstance(f, ast.FunctionDef) and f.name.startswith("experiment_")]
    assert len(named) == len(EXERCISES)
    for experiment in named:
        reading = next(texts_of(experiment.body[-1].value.elts[1]))
        for line in reading.split("\n"):
            assert re.search("[가-힣]", in_korean(line.replace("{}", "1"))), f"{experiment.name}: {line}"


def test_the_sentences_that_have_a_translation_are_still_those_of_the_commands():
    """A sentence that the code no longer says would be shown in English, unnoticed."""
    files = [*HERE.glob("*.py"), *(HERE / "checks").glob("*.py")]
    code = "".join(text for path in files for text in texts_of(ast.parse(path.read_text(encoding="utf-8"))))
    for english in json.loads(SENTENCES.read_text(encoding="utf-8")):
        longest = max((part.strip() for part in re.split(r"[][{}();:,]", english)), key=len).removeprefix("diagnosis ")
        assert longest in code, f"{english!r}: no file of exercises/ says {longest!r}"


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("ok        log_joint: line 1, log p(x, z)", "통과      log_joint: 1행, log p(x, z)"),
        ("elbo, hint 2 of 3, formula:", "elbo, 힌트 2/3, 수식:"),
        ("check 5 of 8 fails", "검사 8개 중 5번째에서 멈췄습니다"),
        ("diagnosis no known diagnosis", "진단      no known diagnosis"),
        ("diagnosis every number is too large by 3", "진단      모든 수가 크게 어긋납니다. 차이: 3"),
        ("what has no translation", "what has no translation"),
    ],
)
def test_a_line_of_the_commands_in_korean(english, korean):
    assert in_korean(english) == korean


def test_a_known_diagnosis_is_told_in_korean():
    wrong = checks_of(EXERCISES[4]).WRONG[0]
    assert re.fullmatch("진단      .*[가-힣].*", in_korean(f"diagnosis {wrong.diagnosis}"))


def test_columns_are_as_wide_as_a_terminal_shows_them():
    assert [padded(text, 8) for text in ("abc", "진단", "β")] == ["abc     ", "진단    ", "β       "]


def test_every_figure_has_korean_words():
    names = {path.name for path in (HERE / "figures").glob("*.png")}
    assert {path.name for path in (HERE / "figures" / "ko").glob("*.png")} == names and len(names) == len(EXERCISES)
    for exercise in EXERCISES:
        assert "](../figures/ko/" in (HERE / "ko" / exercise.page.name).read_text(encoding="utf-8")
    files = (HERE / "make_figures.py", ROOT / "docs" / "generate.py")
    code = "".join(path.read_text(encoding="utf-8") for path in files) + " ".join(name for name, _ in museum.BUGS.values())
    for english in json.loads(translation.FIGURES.read_text(encoding="utf-8")):
        missing = [word for word in re.findall("[A-Za-z]{3,}", english) if word not in code]
        assert not missing, f"{english!r}: no figure says {missing}"


def test_a_figure_in_korean_or_one_line_why_not(monkeypatch, capsys):
    figure = Figure()
    axis = figure.add_subplot()
    axis.set(xlabel="latent size D", title="12 inverted\ndigits", ylabel="$z_1$")
    axis.set_xticks([0, 1], ["recon", "KL"])
    monkeypatch.setattr(translation, "_font_with_hangul", lambda: "NanumGothic")
    assert translation.in_hangul(figure)
    assert (axis.get_xlabel(), axis.get_title(), axis.get_ylabel()) == ("잠재 변수의 개수 D", "12 반전된 숫자", "$z_1$")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["재구성", "KL"]
    monkeypatch.setattr(translation, "_font_with_hangul", lambda: None)
    assert not translation.in_hangul(figure)
    assert capsys.readouterr().out.count("\n") == 1
