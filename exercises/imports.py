"""What a learner's file may not use, because it is the answer itself. Everything else may be imported.

The file is read, not run: a name is found in an import, and in the dotted names that the imports give.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

OWN = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "museum"))
ALWAYS = (
    *(f"exercises.{name}" for name in ("solutions", "checks", *OWN)),
    "vae_lowlevel",
    "vae_paper",
)
REFUSED = {
    "02": ("scipy.spatial.geometric_slerp",),
    "05": ("torch.distributions.kl_divergence", "torch.distributions.kl.kl_divergence"),
    "12": (
        *(f"torch.nn.functional.conv{n}d" for n in (1, 2, 3)),
        *(f"torch.conv{n}d" for n in (1, 2, 3)),
        *(f"torch.nn.Conv{n}d" for n in (1, 2, 3)),
        "torch.nn.modules.conv",
        "torch.convolution",
        "torch.ops.aten",
    ),
    "13": ("exercises.museum.RIGHT", "exercises.museum.BUGS", "exercises.museum.piece"),
}
MAY_USE_LEVEL_1 = ("08",)
"""Exercises that are written with the layers of level 1. Elsewhere level 1 holds answers."""


def refused(number: str) -> tuple[str, ...]:
    """The dotted names that the file of an exercise may not use."""
    level_1 = () if number in MAY_USE_LEVEL_1 else ("vae_numpy",)
    return (*ALWAYS, *level_1, *REFUSED.get(number, ()))


def refusal(number: str, path: Path) -> str | None:
    """One line on the first refused name that the file uses; None where there is none, or the file cannot be parsed."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # importing the file says what is wrong with it
        return None
    for name, line in used(tree):
        for banned in refused(number):
            if _brings(name, banned):
                why = "this name holds the answer or belongs to the checker, so it is refused; write it yourself"
                return f"{path} uses {name} (line {line}): {why}"
    return None


def _brings(name: str, banned: str) -> bool:
    """Whether a name is the refused one or lies in it. `module.*` brings all that lies in the module."""
    module = name.removesuffix(".*")
    return f"{module}.".startswith(f"{banned}.") or (module != name and banned.startswith(f"{module}."))


def used(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The dotted names that a file imports or reaches through its imports, with their lines. `import *` gives `module.*`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
        elif isinstance(node, ast.Assign) and (name := _dotted(node.value, names)):  # f = functional
            names |= {target.id: name for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((a.value, node.lineno) for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := _dotted(node, names)):
            yield name, node.lineno


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        root = _dotted(node.value, names)
        return f"{root}.{node.attr}" if root else None
    return None
