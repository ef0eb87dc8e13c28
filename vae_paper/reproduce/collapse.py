"""python -m vae_paper.reproduce.collapse: posterior collapse, and two cures: annealing of beta (Bowman et al. 2015,
arXiv:1511.06349) and free bits (Kingma et al. 2016, arXiv:1606.04934) -> results/collapse.json, docs/collapse.png.

Posterior collapse: the decoder ignores z, and the KL of the latents falls to 0.

Rule of the verdicts, set after the measurement. The claim about a cure holds if, without the cure, at most 2 latents are active
on every seed, and if every seed with the cure has more active latents than any seed without it. The long runs were added later.
The rule is the same.
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
from vae_paper.reproduce import VERDICTS, Row, at_least, machine, over_seeds, seconds_of, spread, trained

PLAIN = "autoregressive decoder, beta = 1"
FREE_BITS = "autoregressive decoder, free bits 0.25 per latent"
ANNEALED = "autoregressive decoder, beta annealed from 0 to 1"
LONG = 3  # times as many epochs, to see whether latents stay active when beta is 1
PLAIN_LONG, ANNEALED_LONG = (f"{case}, {LONG} times as many epochs" for case in (PLAIN, ANNEALED))
CASES: dict[str, dict[str, Any]] = {
    PLAIN: {"model": "pixel-vae"},
    FREE_BITS: {"model": "pixel-vae", "objective": "free-bits", "free_bits": 0.25},
    ANNEALED: {"model": "pixel-vae", "beta_schedule": "linear"},
    "convolutional decoder, beta = 20": {"model": "vae", "beta": 20.0},
    "convolutional decoder, beta annealed from 0 to 20": {"model": "vae", "beta": 20.0, "beta_schedule": "linear"},
    PLAIN_LONG: {"model": "pixel-vae"},
    ANNEALED_LONG: {"model": "pixel-vae", "beta_schedule": "linear"},
}

SHARED: dict[str, Any] = {
    "batch_size": 32, "learning_rate": 3e-3, "lr_schedule": "constant",
    "source": "mnist", "validation": 0.0, "likelihood": "bernoulli", "binarise": "dynamic",
}  # fmt: skip


@dataclass
class Options:
    """Train models in seven ways (cases), and count their active latents."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds: one run for each seed and each case."""
    epochs: int = 2
    """Epochs of each run. The runs of the last two cases have 3 times as many."""
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
        "training": f"{options.epochs} epochs (the long runs: {LONG * options.epochs}) of all 60,000 images of MNIST's train "
        "split, dynamic binarisation, batches of 32, constant learning rate; an annealed beta rises in the first half of the "
        "epochs (rounded down, at least 1); the weights are the last ones",
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
            model, seconds = trained(Config(name=name, seed=seed, epochs=epochs_of(case, options.epochs), **SHARED, **training))
            terms = elbo.terms_of(model, test)
            assert terms.mu is not None  # both models have vector latents
            result, active = elbo.summary_of(model, terms), int(elbo.active_units(terms.mu).sum())
            numbers = {name: result[name] for name in ("rate", "distortion", "elbo")}
            measured.append({"active_units": active} | numbers | {"seconds": seconds})
            print(case, measured[-1], flush=True)
            if seed == options.seeds[0]:
                report["kl_per_latent"][case] = sorted(terms.rate.mean(0).tolist(), reverse=True)
        report["cases"][case] = over_seeds(measured)
    report["seconds"] = seconds_of(report["cases"])
    weight_files.write_json(options.out, report)
    draw(report, options.seeds[0], options.pictures / "collapse.png")


def epochs_of(case: str, epochs: int) -> int:
    """The epochs of a run of this case. `epochs` is the option."""
    return epochs * LONG if case in (PLAIN_LONG, ANNEALED_LONG) else epochs


def ledger(report: dict[str, Any]) -> list[Row]:
    """One line for each cure, with the autoregressive decoder. Annealing has a second line, for the long runs."""
    active = {case: [seed["active_units"] for seed in found["seeds"]] for case, found in report["cases"].items()}
    epochs = int(report["training"].split()[0])
    of_bowman = "Bowman et al. 2015: annealing", "The paper's model is an LSTM for sentences"
    of_kingma = (
        "Kingma et al. 2016: free bits",
        "The objective keeps the rate of each latent near 0.25 nats, so active latents are almost certain. The paper's decoder "
        "is not autoregressive",
    )
    rows = []
    for (paper, hint), cure, without in (
        (of_bowman, ANNEALED, PLAIN), (of_kingma, FREE_BITS, PLAIN), (of_bowman, ANNEALED_LONG, PLAIN_LONG),
    ):  # fmt: skip
        holds = max(active[without]) <= 2 and min(active[cure]) > max(active[without])
        gain = report["cases"][cure]["mean"]["elbo"] - report["cases"][without]["mean"]["elbo"]
        length = epochs_of(cure, epochs)
        late = "" if cure == FREE_BITS else f", and beta is 1 in {length - max(1, length // 2)} of {length} epochs"
        change = f"the cure changes the mean ELBO by {gain:+.1f} nats{late}. {hint}"
        alike = {case: found for case, found in report["cases"].items() if epochs_of(case, epochs) == length}
        protocol = {"seeds": len(active[cure]), "binarisation": "dynamic", "k": 1, "split": "test split", "epochs": length}
        rows.append(
            Row(
                f"{paper} against posterior collapse with an autoregressive decoder: active units with the cure, and without it",
                "without the cure, latents can stay unused",
                " and ".join(f"{spread(report['cases'][case], 'active_units')} active units" for case in (cure, without)),
                f"{VERDICTS[holds]} (the rule is about every seed); {change}",
                holds,
                secondary=True,
                protocol=protocol | {"seconds": seconds_of(alike)},
            )
        )
    return rows


def draw(report: dict[str, Any], seed: int, path: Path) -> None:
    """Draw the KL of each latent, in falling order, one curve for each case."""
    figure = Figure(figsize=(9.5, 4))
    axis = figure.add_subplot()
    for case, kl in report["kl_per_latent"].items():
        style = "^:" if case in (PLAIN_LONG, ANNEALED_LONG) else "o-" if case.startswith("auto") else "s--"
        axis.plot(range(1, len(kl) + 1), kl, style, ms=4, lw=0.8, label=case)
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set(xlabel="latent, the largest KL first", xticks=(1, 5, 10, 15, 20), ylim=0)
    axis.set_ylabel("KL(q($z_j$|x) || p($z_j$)), nats per image\n(linear below 0.01)")
    axis.set_title(f"D = 20, Bernoulli, MNIST test split, seed {seed}", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    save(figure, path)


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.collapse", Options, main)
