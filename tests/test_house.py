"""The rules of the house: imports point down only, there is no circle, and models answer for themselves."""

import ast
import dataclasses
import graphlib
from pathlib import Path

import pytest

import vae_paper
from vae_paper import models, training
from vae_paper.config import Config, ModelOptions

ROOT = Path(vae_paper.__file__).parents[1]
LEVELS = ("vae_numpy", "vae_lowlevel", "vae_paper")
MAY_IMPORT = {"vae_numpy": {"vae_numpy"}, "vae_lowlevel": {"vae_numpy", "vae_lowlevel"}, "vae_paper": {"vae_numpy", "vae_paper"}}
MODEL_NAMES = {*models.names()}
MODELS = {models.class_of(name).__name__ for name in MODEL_NAMES}


def files(level: str) -> list[Path]:
    return sorted((ROOT / level).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for level in LEVELS for path in files(level)}


def imports(tree: ast.AST) -> set[str]:
    """The project's modules that a file imports, at its top or inside functions; not for type checkers only."""
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name in MODULES}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("level", LEVELS)
def test_imports_point_down(level):
    for path in files(level):
        for name in imports(parsed(path)):
            assert name.split(".")[0] in MAY_IMPORT[level], f"{path} imports {name}"
        text = path.read_text(encoding="utf-8")
        assert level != "vae_numpy" or "import torch" not in text, f"{path}: level 1 never imports torch"


def arrows(of_folders: bool) -> dict[str, set[str]]:
    """Which file of level 3 imports which; or which room: a file at the top, or a folder as a whole."""

    def room(name: str) -> str:
        return ".".join(name.split(".")[:2]) if of_folders else name

    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        if name.startswith("vae_paper.") and not name.endswith("__main__"):
            found.setdefault(room(name), set())
            found[room(name)] |= {room(other) for other in imports(parsed(path)) if other.startswith("vae_paper.")} - {room(name)}
    return found


@pytest.mark.parametrize("of_folders", [False, True], ids=["files", "rooms"])
def test_there_is_no_circle(of_folders):
    """So every import points down: the files (and the folders) can be put on floors."""
    try:
        list(graphlib.TopologicalSorter(arrows(of_folders)).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


def outside_models() -> list[Path]:
    return [path for path in files("vae_paper") if "models" not in path.parts and path.name not in ("vae.py", "__init__.py")]


@pytest.mark.parametrize("path", outside_models(), ids=module_of)
def test_no_code_outside_models_asks_for_a_models_class_or_name(path):
    """No isinstance of a model, no comparison with a model's name: `Model` answers."""
    experiments = {"reproduce", "explorer"} & {*path.parts}  # they build the models that they compare, or write them again
    for node in ast.walk(parsed(path)):
        where = f"{path}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)[:100]}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            assert not MODELS & {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}, where
        if isinstance(node, ast.Compare):
            strings = {n.value for part in node.comparators for n in ast.walk(part) if isinstance(n, ast.Constant)}
            assert not MODEL_NAMES & {s for s in strings if isinstance(s, str)} or experiments, where
        if isinstance(node, ast.ImportFrom) and not experiments:
            assert not (MODELS - {"VAE"}) & {alias.name for alias in node.names}, where


def test_every_name_at_the_front_door_is_there():
    for name in vae_paper.__all__:
        assert getattr(vae_paper, name).__name__ == name


def test_a_file_in_models_is_a_model_and_the_help_says_what_it_is(tmp_path, monkeypatch):
    """A new variant is one file: no list, no help and no test has to be edited."""
    ours = ROOT / "vae_paper" / "models"
    text = (ours / "ae.py").read_text(encoding="utf-8")
    (tmp_path / "plain_code.py").write_text(text.replace("class AE(", "class PlainCode("), encoding="utf-8")
    monkeypatch.setattr(models, "__path__", [str(ours), str(tmp_path)])
    assert models.names() == ["vae", *sorted({*MODEL_NAMES, "plain-code"} - {"vae"})]
    model = models.build("plain-code", 3)
    assert models.name_of(model) == "plain-code" and model.latent_dim == 3
    for name in MODEL_NAMES:
        assert models.summary(name) and f"{name}: " in str(ModelOptions.__annotations__["model"])


def test_a_half_written_variant_gets_one_clear_line(tmp_path, monkeypatch):
    ours = ROOT / "vae_paper" / "models"
    text = (ours / "ladder.py").read_text(encoding="utf-8")
    wrong = text.replace("image_shape: Shape = MNIST", "image_shape: Shape = MNIST, nu: float = 5.0, tail: float | None = None")
    (tmp_path / "no_attribute.py").write_text(wrong, encoding="utf-8")
    (tmp_path / "no_model.py").write_text('"""A file without a model."""', encoding="utf-8")
    monkeypatch.setattr(models, "__path__", [str(ours), str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    config = Config(source="handwriting", epochs=1)
    with pytest.raises(ValueError, match="Ladder: the argument nu needs an attribute of the same name"):
        training.train(dataclasses.replace(config, model="no-attribute"))
    with pytest.raises(ValueError, match="tail cannot be given to no-attribute; expected one of: nu, top, hidden"):
        training.train(dataclasses.replace(config, model="no-attribute", model_arguments="tail=2"))
    with pytest.raises(ValueError, match=r"no_model.py: expected a subclass of vae_paper.Model"):
        training.train(dataclasses.replace(config, model="no-model"))
    assert not (tmp_path / "runs").exists()


def test_no_bar_is_drawn_into_a_log_file():
    """Every progress bar is hidden where no terminal shows it: a log file would get one endless line."""
    bars = [
        (path, node)
        for level in LEVELS
        for path in files(level)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tqdm"
    ]
    assert len(bars) > 5
    for path, node in bars:
        assert "disable" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"
