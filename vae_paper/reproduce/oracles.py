"""python -m vae_paper.reproduce.oracles: the evaluator on models of which everything is known -> results/oracles.json."""

import time
from pathlib import Path
from typing import Any

from vae_numpy.command_line import run
from vae_paper import weight_files
from vae_paper.data import Data
from vae_paper.measuring import evaluate
from vae_paper.reproduce import NoOptions, machine
from vae_paper.reproduce.oracle_models import GridVAE, LinearVAE

LINEAR = {"linear, exact q": (True, False), "linear, wrong q": (False, False), "linear, correlated posterior": (True, True)}


def main() -> None:
    """Measure every oracle as `python -m vae_paper evaluate` would, and write what is known beside it."""
    found: dict[str, Any] = {}
    started = time.perf_counter()
    for name, (exact, correlated) in LINEAR.items():
        model = LinearVAE(exact, correlated)
        data = model.sample(4000)
        found[name] = beside(model.known(), model, data, k=1000, subset=400) | {"known": "of images at large, by a formula"}
    grid = GridVAE()
    data = grid.sample(200)
    found["one latent, Bernoulli"] = beside(grid.known(data.images), grid, data, k=500, subset=40)
    found["one latent, Bernoulli"]["known"] = "of these images, by sums on a grid"
    about: dict[str, Any] = {"command": "python -m vae_paper.reproduce.oracles", "units": "nats per image", "oracles": found}
    about |= {"machine": machine(), "seconds": time.perf_counter() - started}
    weight_files.write_json(Path("results/oracles.json"), about)
    print(table(about))


def beside(known: dict[str, float], model: Any, data: Data, k: int, subset: int) -> dict[str, Any]:
    """Every estimate of the evaluator, the exact value, and how many standard errors lie between them."""
    measures, _ = evaluate.evaluate(model, data, passes=1, k=k, subset=subset)
    rows = {}
    for name, measured in measures.items():
        of = name.removesuffix("_low").removesuffix("_high")
        if of in known:
            value, error = measured["value"], measured["standard_error"]
            rows[name] = {"known": known[of], "estimate": value, "standard_error": error, "off": (value - known[of]) / error}
    return {"data": data.about, "k": k, "subset": subset, "rows": rows}


def table(about: dict[str, Any]) -> str:
    """All oracles, to be read."""
    lines = []
    for oracle, found in about["oracles"].items():
        lines.append(f"{oracle} ({found['data']}; k = {found['k']} on {found['subset']})")
        for name, row in found["rows"].items():
            estimate = f"{row['estimate']:.3f} ± {row['standard_error']:.3f}"
            lines.append(f"  {name:<24} known {row['known']:9.3f}   estimated {estimate:<17} off by {row['off']:5.2f} s.e.")
    return "\n".join(lines)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.oracles", NoOptions, lambda _: main())
