"""What the README takes from the source and from results/, so that it cannot drift: `make readme` fills it in."""

import inspect
import json
from pathlib import Path
from typing import Any

import vae_lowlevel.vae
import vae_numpy.vae
import vae_paper.objectives
import vae_paper.vae
from vae_numpy import weights

LEVELS = (("Level 1, NumPy", vae_numpy.vae), ("Level 2, torch functions", vae_lowlevel.vae), ("Level 3, paper", vae_paper.vae))


def function(name: str, level3: object = None) -> str:
    """One function at each level, from the source."""
    blocks = []
    for title, module in LEVELS:
        code = inspect.getsource(level3 if level3 is not None and module is vae_paper.vae else getattr(module, name))
        path = module.__name__.replace(".", "/") + ".py"
        blocks.append(f"{title} ([`{path}`]({path})):\n\n```python\n{code.rstrip()}\n```\n")
    return "\n".join(blocks)


def results(name: str) -> dict[str, Any]:
    """results/NAME.json."""
    return json.loads(Path(f"results/{name}.json").read_text())


def agreement_table(key: str) -> str:
    """Tensor by tensor, from results/agreement.json."""
    rows = ["| tensor | reaches | float64: levels differ by | float32 |", "|---|---|---|---|"]
    for name, row in results("agreement")[key].items():
        rows.append(f"| {name} | {row['reaches']:.1f} | {row['float64']:.0e} | {row['float32']:.0e} |")
    return "\n".join(rows)


def pretrained_table() -> str:
    """The pretrained weights, from their headers."""
    rows = ["| file | test objective, nats per image | made by |", "|---|---|---|"]
    for latent_dim in (2, 20):
        path = weights.PRETRAINED / f"vae_mnist_d{latent_dim}.safetensors"
        header = weights.load(path)[1]
        measured = f"{header['test_objective']:.2f} ± {header['test_objective_standard_error']:.2f}"
        rows.append(f"| `{path.name}` | {measured} | `{header['command']}` |")
    return "\n".join(rows)
