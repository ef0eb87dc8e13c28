"""python -m vae_paper.reproduce.burgess: does the rate follow C? (Burgess et al. 2018, arXiv:1804.03599, section 5)
-> results/burgess.json.

The objective is distortion + gamma |rate - C|, C rising linearly. The rate is looked at where C stands still: on test images,
at the last weights. Fixed beforehand: within 1 nat of C, for every C and seed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_numpy.command_line import run, spelled
from vae_paper import checkpoint, evaluate
from vae_paper.config import Config
from vae_paper.reproduce import Row, machine, once, over_seeds, spread, trained

MARGIN = 1.0  # nats


@dataclass
class Options:
    """Hold the rate at C nats."""

    capacities: tuple[float, ...] = (5.0, 15.0, 25.0)
    """Where C ends."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """A run for each, at every C."""
    epochs: int = 4
    """Of each run; C rises in all but the last of them."""
    source: str = "mnist"
    """Images."""
    out: Path = Path("results/burgess.json")
    """Where the numbers go."""


def main(options: Options) -> None:
    """Train what is missing, measure, write."""
    test = evaluate.load_data(options.source, "test", "dynamic")
    report: dict[str, Any] = {
        "command": spelled("python -m vae_paper.reproduce.burgess", options),
        "model": "vae, D = 20, Bernoulli, objective capacity, gamma = 1000, batches of 128",
        "binarisation": "dynamic",
        "seeds": list(options.seeds),
        "k": 1,
        "split": test.about,
        "epochs": options.epochs,
        "machine": machine(),
        "units": "nats per image",
        "capacities": {},
    }
    for capacity in options.capacities:
        measured = [measure(options, capacity, seed, test) for seed in options.seeds]
        report["capacities"][f"{capacity:g}"] = over_seeds(measured)
        print(capacity, report["capacities"][f"{capacity:g}"]["mean"], flush=True)
    report["seconds"] = sum(one["seconds"] for c in report["capacities"].values() for one in c["seeds"])
    report["ledger"] = [vars(row) for row in ledger(report)]
    checkpoint.write_json(options.out, report)


def measure(options: Options, capacity: float, seed: int, test: evaluate.Data) -> dict[str, Any]:
    """The rate at the end, on test images."""
    config = Config(name=f"burgess-{capacity:g}-{seed}", seed=seed, epochs=options.epochs, source=options.source)
    config.likelihood, config.binarise, config.objective, config.capacity = "bernoulli", "dynamic", "capacity", capacity
    config.warmup_epochs, config.validation = max(1, options.epochs - 1), 0.0
    model, seconds = trained(config)

    def found() -> dict[str, Any]:
        result = evaluate.evaluate(model, test, passes=1)
        return {
            "rate": result["rate"],
            "off": abs(result["rate"] - capacity),
            "distortion": result["distortion"],
            "seconds": seconds,
        }

    return once(f"{config.name}-measured", vars(config) | {"test": test.about}, found)


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line: every C."""
    found = report["capacities"]
    worst = max(one["off"] for c in found.values() for one in c["seeds"])
    holds = worst <= MARGIN
    return [
        Row(
            "Burgess et al. 2018: with gamma = 1000 the rate is C",
            "rate = C, up to 25 nats (dSprites)",
            "; ".join(f"C = {c}: {spread(r, 'rate', 2)}" for c, r in found.items()),
            f"{'holds' if holds else 'does not hold'}: at most {worst:.2f} nats off, on other images ({MARGIN:g} was allowed)",
            holds,
        )
    ]


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.burgess", Options, main)
