"""python -m vae_paper.reproduce.oracles: test the evaluator on models whose log p(x) is known exactly -> results/oracles.json.

Rule of the verdict, for the linear models:
    every estimate is less than 4 standard errors from the exact expectation over x ~ p(x) (set after the measurement);
    ELBO and NLL are at most 0.15 nats from the exact values of the same images (set before the
    measurement: half of 0.3 nats, the smallest difference that a line of `burda` may claim).
"""

import time
from pathlib import Path
from typing import Any

from vae_numpy.command_line import run
from vae_paper import weight_files
from vae_paper.data import Data
from vae_paper.measuring.evaluate import evaluate
from vae_paper.reproduce import VERDICTS, NoOptions, Row, machine
from vae_paper.reproduce.oracle_models import GridVAE, LinearVAE
from vae_paper.vae import Model

LARGEST_ERRORS, NATS = 4, 0.15  # the rule: less than 4 standard errors, at most 0.15 nats
LINEAR = {"linear, exact q": (True, False), "linear, wrong q": (False, False), "linear, correlated posterior": (True, True)}


def main() -> None:
    """Evaluate every oracle with `measuring.evaluate.evaluate`, and write the exact values beside the estimates."""
    found: dict[str, Any] = {}
    started = time.perf_counter()
    for name, (exact, correlated) in LINEAR.items():
        model = LinearVAE(exact, correlated)
        data = model.drawn(4000)
        found[name] = beside(model.known(), model, data, k=1000, subset=400) | {"known": "expected over x ~ p(x), by a formula"}
        log_p = model.log_p(data.images)
        exact_here = {"elbo": (log_p - model.gap(data.images)).mean().item(), "nll": -log_p.mean().item()}
        rows = found[name]["rows"]
        found[name]["off_on_the_same_images"] = {key: rows[key]["estimate"] - value for key, value in exact_here.items()}
    grid = GridVAE()
    data = grid.drawn(200)
    found["one latent, Bernoulli"] = beside(grid.known(data.images), grid, data, k=500, subset=40)
    found["one latent, Bernoulli"]["known"] = "of these images, by sums on a grid"
    about: dict[str, Any] = {"command": "python -m vae_paper.reproduce.oracles", "units": "nats per image", "oracles": found}
    about |= {"machine": machine(), "seconds": time.perf_counter() - started}
    weight_files.write_json(Path("results/oracles.json"), about)
    print(table(about))


def beside(known: dict[str, float], model: Model, data: Data, k: int, subset: int) -> dict[str, Any]:
    """Each estimate whose exact value is known, that value, and the difference in standard errors."""
    measures = evaluate(model, data, passes=1, k=k, subset=subset)["measures"]
    rows = {}
    for name, measured in measures.items():
        of = name.removesuffix("_low").removesuffix("_high")
        if of in known:
            value, error = measured["value"], measured["standard_error"]
            rows[name] = {"known": known[of], "estimate": value, "standard_error": error, "off": (value - known[of]) / error}
    return {"data": data.about, "k": k, "subset": subset, "rows": rows}


def table(about: dict[str, Any]) -> str:
    """The comparison as text."""
    lines = []
    for oracle, found in about["oracles"].items():
        lines.append(f"{oracle} ({found['data']}; k = {found['k']} on {found['subset']} images)")
        for name, row in found["rows"].items():
            estimate = f"{row['estimate']:.3f} ± {row['standard_error']:.3f}"
            lines.append(f"  {name:<24} known {row['known']:9.3f}   estimated {estimate:<17} off by {row['off']:5.2f} s.e.")
        if same := found.get("off_on_the_same_images"):
            lines.append("  on the same images: " + ", ".join(f"{name} off by {off:.4f} nats" for name, off in same.items()))
    return "\n".join(lines)


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line, for the linear models. `GridVAE` is left out, because the rule would be too easy for it. Its exact values are for
    the same images as its estimates. So their difference does not vary with the choice of images. But the standard error
    includes this variation, so the difference is small beside it.
    """
    linear = [found for found in report["oracles"].values() if found["known"].startswith("expected over x ~ p(x)")]
    offs = [abs(row["off"]) for found in linear for row in found["rows"].values()]
    same = [abs(off) for found in linear for off in found["off_on_the_same_images"].values()]
    holds = all(off < LARGEST_ERRORS for off in offs) and all(off <= NATS for off in same)  # max would overlook NaN
    return [
        Row(
            "The evaluator on models whose likelihood is known",
            "known exactly",
            f"{len(offs)} estimates on linear models, at most {max(offs):.1f} standard errors off; ELBO and NLL at most "
            f"{max(same):.3f} nats off on the same images",
            f"{VERDICTS[holds]}: the rule needs less than {LARGEST_ERRORS} standard errors (over images), and at most "
            f"{NATS} nats. These models have 3 latents",
            holds,
            protocol={"seeds": 1, "binarisation": "none", "k": "1000", "split": "samples of the models", "epochs": "none"},
        )
    ]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.oracles", NoOptions, lambda _: main())
