"""python -m vae_paper.reproduce.collapse: posterior collapse, and two cures: annealing of beta (Bowman et al. 2015,
arXiv:1511.06349) and free bits (Kingma et al. 2016, arXiv:1606.04934) -> results/collapse.json, docs/collapse.png.

Posterior collapse: the decoder ignores z, and the KL of the latents falls to 0.

Rule of the verdicts, set after the measurement. The claim about a cure holds if, without the cure, at most 2 latents are active
on every seed, and if every seed with the cure has more active latents than any seed without it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vae_numpy.command_line import command_of, run
from vae_numpy.figures import save
from vae_paper import weight_files
from vae_paper.config import Config
from vae_paper.data import load_data
from vae_paper.measuring import elbo
from vae_paper.reproduce import VERDICTS, Row, at_least, machine, over_seeds, spread, trained

PLAIN = "autoregressive decoder, beta = 1"
FREE_BITS = "autoregressive decoder, free bits 0.25 per latent"
ANNEALED = "autoregressive decoder, beta annealed from 0 to 1"
CASES: dict[str, dict[str, Any]] = {
    PLAIN: {"model": "pixel-vae"},
    FREE_BITS: {"model": "pixel-vae", "objective": "free-bits", "free_bits": 0.25},
    ANNEALED: {"model": "pixel-vae", "beta_schedule": "linear"},
    "convolutional decoder, beta = 20": {"model": "vae", "beta": 20.0},
    "convolutional decoder, beta annealed from 0 to 20": {"model": "vae", "beta": 20.0, "beta_schedule": "linear"},
}

SHARED: dict[str, Any] = {
    "batch_size": 32, "learning_rate": 3e-3, "lr_schedule": "constant",
    "source": "mnist", "validation": 0.0, "likelihood": "bernoulli", "binarise": "dynamic",
}  # fmt: skip


@dataclass
class Options:
    """Train models in five ways (cases), and count their active latents."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds: one run for each seed and each case."""
    epochs: int = 2
    """Epochs of each run."""
    out: Path = Path("results/collapse.json")
    """File for the numbers."""
    pictures: Path = Path("docs")
    """Folder for the picture."""


def main(options: Options) -> None:
    """Train a model for each case and each seed, and count its active units (latents)."""
    at_least(options, seeds=1, epochs=1)
    test = load_data("mnist", "test", "dynamic")
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.collapse", options),
        "model": "pixel-vae or vae, D = 20, Bernoulli",
        "training": f"{options.epochs} epochs of all 60,000 images of MNIST's train split, dynamic binarisation, batches of 32, "
        "constant learning rate; an annealed beta rises in the first half of the epochs (rounded down, at least 1); the "
        "weights are the last ones",
        "measured_on": f"{test.about}, all images, z sampled, 1 pass; a unit is active if Var_x(E_q[z_j]) > 0.01",
        "machine": machine(),
        "units": "nats per image; elbo: -(distortion + rate), a lower bound on log p(x)",
        "cases": {},
        "kl_per_latent": {},
    }
    for case, training in CASES.items():
        measured = []
        for seed in options.seeds:
            name = f"collapse-{list(CASES).index(case)}-{seed}"
            model, seconds = trained(Config(name=name, seed=seed, epochs=options.epochs, **SHARED, **training))
            terms = elbo.terms_of(model, test)
            assert terms.mu is not None  # both models have vector latents
            result, active = elbo.summary_of(model, terms), int(elbo.active_units(terms.mu).sum())
            numbers = {name: result[name] for name in ("rate", "distortion", "elbo")}
            measured.append({"active_units": active} | numbers | {"seconds": seconds})
            print(case, measured[-1], flush=True)
            if seed == options.seeds[0]:
                report["kl_per_latent"][case] = sorted(terms.rate.mean(0).tolist(), reverse=True)
        report["cases"][case] = over_seeds(measured)
    report["seconds"] = sum(one["seconds"] for r in report["cases"].values() for one in r["seeds"])
    weight_files.write_json(options.out, report)
    draw(report, options.seeds[0], options.pictures / "collapse.png")


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line for each cure, with the autoregressive decoder."""
    active = {case: [seed["active_units"] for seed in found["seeds"]] for case, found in report["cases"].items()}
    protocol = {"seeds": len(active[PLAIN]), "binarisation": "dynamic", "k": 1, "split": "test split"}
    rows = []
    for paper, cure in (("Bowman et al. 2015: annealing", ANNEALED), ("Kingma et al. 2016: free bits", FREE_BITS)):
        holds = max(active[PLAIN]) <= 2 and min(active[cure]) > max(active[PLAIN])
        gain = report["cases"][cure]["mean"]["elbo"] - report["cases"][PLAIN]["mean"]["elbo"]
        late = "; measured soon after beta reached 1" if cure == ANNEALED else ""
        rows.append(
            Row(
                f"{paper} against posterior collapse with an autoregressive decoder: active units with the cure, and without it",
                "without the cure, latents can stay unused",
                " and ".join(f"{spread(report['cases'][case], 'active_units')} active units" for case in (cure, PLAIN)),
                f"{VERDICTS[holds]} (the rule is about every seed); the cure changes the mean ELBO by {gain:+.1f} nats{late}",
                holds,
                secondary=True,
                protocol=protocol | {"epochs": report["training"].split()[0]},
            )
        )
    return rows


def draw(report: dict[str, Any], seed: int, path: Path) -> None:
    """Draw the KL of each latent, in falling order, one curve for each case."""
    figure = Figure(figsize=(8, 4))
    axis = figure.add_subplot()
    for case, kl in report["kl_per_latent"].items():
        axis.plot(range(1, len(kl) + 1), kl, "o-" if case.startswith("auto") else "s--", ms=4, lw=0.8, label=case)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="latent, the largest KL first", xticks=(1, 5, 10, 15, 20), ylim=0)
    axis.set_ylabel("KL(q($z_j$|x) || p($z_j$)), nats per image\n(linear below 0.01)")
    axis.set_title(f"D = 20, Bernoulli, MNIST test split, seed {seed}", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    save(figure, path)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.collapse", Options, main)
