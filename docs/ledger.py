"""The README's ledger: a line for everything that a paper says and this project measured, from results/*.json.

What is measured by a file of vae_paper/reproduce/ that knows its paper brings its lines along ("ledger"); those of the older
measurements are read off here.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docs import generate
from vae_paper.reproduce import VERDICTS, Row, spread

Lines = tuple[list[Row], dict[str, Any]]  # the lines, and what is known of how they were measured


def beta(r: dict[str, Any]) -> Lines:
    """Alemi et al. 2018: rate for distortion."""
    rows = list(r["betas"].values())
    seeds = range(len(rows[0]["seeds"]))
    rates = [[row["seeds"][seed]["rate"] for row in rows] for seed in seeds]
    falls = all(rate == sorted(rate, reverse=True) for rate in rates)
    best = max(r["betas"], key=lambda name: r["betas"][name]["mean"]["elbo"])
    holds = falls and float(best) == 1
    low, *_, high = r["betas"]
    ours = f"rate {spread(rows[0], 'rate')} at beta = {low}, {spread(rows[-1], 'rate')} at {high}"
    every = "every" if falls else "not every"
    bests = [max(r["betas"], key=lambda name, seed=seed: r["betas"][name]["seeds"][seed]["elbo"]) for seed in seeds]
    said = f"{VERDICTS[holds]}: the rate falls on {every} seed; the mean ELBO is best at beta = {best} "
    said += f"(of single seeds at {', '.join(bests)})"
    what = "Alemi et al. 2018: beta buys rate with distortion, beta = 1 has the best ELBO"
    row = Row(what, "so in words", ours, said, holds, secondary=True)
    return [row], {
        "seeds": len(seeds),
        "binarisation": "dynamic",
        "k": 1,
        "split": "test split",
        "epochs": r["training"].split()[0],
    }


def collapse(r: dict[str, Any]) -> Lines:
    """Bowman et al. 2015; Kingma et al. 2016."""
    active = {name: [seed["active_units"] for seed in case["seeds"]] for name, case in r["cases"].items()}
    plain = "autoregressive decoder, beta = 1"
    rows = []
    for paper, cure in (
        ("Bowman et al. 2015: annealing", "autoregressive decoder, beta annealed from 0 to 1"),
        ("Kingma et al. 2016: free bits", "autoregressive decoder, free bits 0.25 per latent"),
    ):
        holds = max(active[plain]) <= 2 and min(active[cure]) > max(active[plain])
        ours = " and ".join(f"{spread(r['cases'][name], 'active_units')} active units" for name in (cure, plain))
        what = f"{paper} against posterior collapse under an autoregressive decoder, with and without"
        said = f"{VERDICTS[holds]} on every seed"
        rows.append(Row(what, "latents are used only with it", ours, said, holds, secondary=True))
    seeds = len(r["cases"][plain]["seeds"])
    return rows, {"seeds": seeds, "binarisation": "dynamic", "k": 1, "split": "test split", "epochs": r["training"].split()[0]}


def vq_vae(r: dict[str, Any]) -> Lines:
    """van den Oord et al. 2017, in bits per dimension."""
    bits = 1 / (784 * math.log(2))
    ours = f"VAE {spread(r, 'vae_bound', 4, bits)}, VQ-VAE {spread(r, 'bound', 4, bits)}"
    apart = (r["mean"]["bound"] / r["mean"]["vae_bound"] - 1) * 100
    holds = abs(apart) < 5
    direction = "above" if apart > 0 else "below"
    row = Row(
        "van den Oord et al. 2017, section 4.1: bound in bits per dimension, discrete beside continuous latents",
        "VAE 4.51, VQ-VAE 4.67 (CIFAR-10)",
        ours,
        f"{VERDICTS[holds]}: {abs(apart):.1f} % {direction} the VAE, where theirs is 3.5 % above (up to 5 "
        "% count as alike); levels are not comparable: binary digits",
        holds,
        secondary=True,
    )
    p = r["protocol"]
    epochs = f"VAE {p['vq_epochs']}, VQ-VAE {p['vq_epochs']} and {p['prior_epochs']} of its prior"
    seconds = sum(one["seconds_vq_vae"] + one["seconds_prior"] for one in r["seeds"].values())
    how = {"binarisation": "dynamic", "k": 1, "split": "test split", "epochs": epochs, "seconds": seconds}
    return [row], {"seeds": len(r["seeds"]), "command": p["command"]} | how


def conditional(r: dict[str, Any]) -> Lines:
    """Sohn et al. 2015 publish no such number."""
    row = Row(
        "Sohn et al. 2015: a CVAE draws what it is asked for",
        "none",
        f"the label asked for is seen in {spread(r, 'agreement_x_hat', 1, 100)} % of x_hat, "
        f"{spread(r, 'agreement_bernoulli_samples', 1, 100)} % of binary images drawn from it",
        "nothing to compare with: a classifier of this project judges, itself right on "
        f"{100 * r['classifier_accuracy_on_test']:.1f} %",
        None,
    )
    epochs = r["training"].split()[0]
    return [row], {"seeds": len(r["seeds"]), "binarisation": "dynamic", "split": "prior samples", "epochs": epochs}


def gaps(r: dict[str, Any]) -> Lines:
    """Cremer et al. 2018: which part of the gap is the larger."""
    (a, a_error), (b, b_error) = (r["nats per image"][name] for name in ("amortisation", "approximation"))
    apart, error = r["amortisation less approximation"]
    row = Row(
        "Cremer et al. 2018: of the inference gap, amortisation is the larger part",
        "so in words",
        f"amortisation {a:.2f} ± {a_error:.2f}, approximation {b:.2f} ± {b_error:.2f} nats (standard errors)",
        f"not decided: larger by {apart:.2f} ± {error:.2f}, but log p(x) is estimated from below, and what it lacks belongs to "
        "the approximation; levels are not comparable: another network",
        None,
        secondary=True,
    )
    how = {"seeds": 1, "binarisation": r["binarisation"], "k": r["k"], "epochs": r["epochs"]}
    return [row], how | {"split": f"{r['images']} random images of the test split; after `reproduce nll`, which trains the run"}


def oracles(r: dict[str, Any]) -> Lines:
    """No paper: the truth."""
    at_large = [found for found in r["oracles"].values() if found["known"].startswith("of images at large")]
    offs = [abs(row["off"]) for found in at_large for row in found["rows"].values()]  # on the grid only z is noise
    row = Row(
        "The evaluator on models whose likelihood is known",
        "known exactly",
        f"{len(offs)} estimates on linear models, at most {max(offs):.1f} standard errors off",
        VERDICTS[max(offs) < 4],
        max(offs) < 4,
    )
    return [row], {"seeds": 1, "binarisation": "none", "k": "1000", "split": "samples of the models", "epochs": "none"}


OLDER: dict[str, Callable[[dict[str, Any]], Lines]] = {
    "beta": beta, "collapse": collapse, "vq_vae": vq_vae, "conditional": conditional, "gaps": gaps, "oracles": oracles,
}  # fmt: skip
NAMES = ("nll", "burda", "kingma", "sohn", "higgins", "burgess", *OLDER)


def lines(name: str) -> Lines:
    """Those of results/NAME.json."""
    r = generate.results(name)
    if name in OLDER:
        rows, protocol = OLDER[name](r)
        return rows, {key: r[key] for key in ("command", "machine", "seconds") if key in r} | protocol
    fields = Row.__dataclass_fields__
    return [Row(**{field: row[field] for field in fields}) for row in r["ledger"]], r


def table() -> str:
    """A table for each command, under the protocol that its lines share; what was not measured yet says how it would be."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for name in NAMES:
        command = f"python -m vae_paper reproduce {name}"
        if not Path(f"results/{name}.json").is_file():
            sections[f"`{command}`: not measured yet"] = []
            continue
        rows, report = lines(name)
        own = report.get("ledger", [{}] * len(rows))  # a line may say for itself how it was measured
        for row, more in zip(rows, own, strict=True):
            published = f"{row.published} (secondary source)" if row.secondary else row.published
            options = (report | more).get("command", "").partition(f"vae_paper.reproduce.{name} ")[2]
            asked = f"{command} -- {options}" if options else command
            section = sections.setdefault(f"`{asked}`: {how(report | more)}", [])
            section.append((row.what, published, f"**{row.ours}**", row.verdict))
    columns = "what | published | here | verdict"
    return "\n\n".join(f"{head}\n\n{generate.table(columns, rows)}" if rows else head for head, rows in sections.items())


def how(report: dict[str, Any]) -> str:
    """Seeds, binarisation, k, split, epochs, time and machine, as far as they were recorded."""
    seeds, epochs = report.get("seeds"), report.get("epochs")
    count = len(seeds) if isinstance(seeds, list) else seeds
    took = f"{report['seconds'] / 60:.0f} min" if "seconds" in report else "time not recorded"
    k = f"; k = {report['k']}" if "k" in report else ""
    binarisation = f"binarisation: {report['binarisation']}"
    split = report["split"].replace(f", {binarisation}", "")
    protocol = f"{count} seed{'s' if count != 1 else ''}; {binarisation}{k}; {split}"
    return f"{protocol}; epochs: {epochs}; {took}; machine {report.get('machine', 'not recorded')}".replace("|", "\\|")
