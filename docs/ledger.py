"""The ledger of reproductions: one line for each published result that this project measured.

The function `ledger` in vae_paper/reproduce/NAME.py computes the lines and their verdicts from results/NAME.json. This file
collects the lines and prints them as tables.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from docs import generate
from vae_paper.reproduce import Row, nll

NAMES = (
    "nll", "burda", "kingma", "sohn", "higgins", "higgins_paper", "burgess", "beta", "collapse", "vq_vae", "conditional", "gaps",
    "oracles",
)  # fmt: skip


def lines(name: str) -> list[tuple[Row, dict[str, Any]]]:
    """The lines from results/NAME.json, each with the protocol of its measurement."""
    report = generate.results(name)
    rows = importlib.import_module(f"vae_paper.reproduce.{name}").ledger(report)
    return [(row, report | row.protocol) for row in rows]


SHORT = [  # README's words for a line: the results, the number of the line, the words
    ("nll", 0, "−log p(x) of a VAE (Burda et al. 2015; the network here is another)"),
    ("nll", 1, "−log p(x), trained with the importance-weighted bound, 5 samples"),
    ("kingma", 0, "the bound with 3 to 200 latents, network of Kingma & Welling 2013: extra latents do no harm "
     "(rule: 200 are at most 2 nats worse than 20). The training is too short to show overfitting"),
    ("sohn", 0, "−log p of the rest of a digit, given one quadrant (Sohn et al. 2015; the published numbers are from Pyro's "
     "tutorial, on grayscale images: only the order of the methods is compared; [baselines](docs/conditional.md))"),
    ("higgins", 0, "disentanglement in %, β = 4 and β = 1 (Higgins et al. 2017)"),
]  # fmt: skip


FLOOR = r"; no model can be below [\d.]+| \(no model can be above [-\d.]+\)"  # README says it once, below the table


def short() -> str:
    """README's table: five lines of the ledger, and the number of claims that hold."""
    rows = [(what, lines(name)[index][0]) for name, index, what in SHORT]
    every = [row.holds for name in NAMES for row, _ in lines(name)]
    return "\n".join([
        generate.table("claim | published | here | verdict", [
            (what, row.published + " [s]" * row.secondary, f"**{re.sub(FLOOR, '', row.ours)}**", row.verdict.partition(":")[0])
            for what, row in rows
        ]),
        "\n±: standard deviation over training seeds. Standard error: over test images. Reached: not above",
        f"this project's aim ({nll.AIMS['VAE', 80]}; {nll.AIMS['IWAE-5', 12]}). [s]: secondary source. MIG: another",
        "disentanglement measure. Gray pixels become 0 or 1 at random; no model can predict this draw, so no mean −log p(x)",
        "is below its entropy, 45.53 nats.",
        f"The full list, [docs/ledger.md](docs/ledger.md), has {len(every)} claims, aims and tests: {every.count(True)} hold or",
        f"are reached, {every.count(False)} do not hold, {every.count(None)} are not decided, not comparable, or without an aim.",
    ])  # fmt: skip


def table() -> str:
    """One table for each protocol, under its command. A missing result is shown by its command alone."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for name in NAMES:
        command = f"python -m vae_paper reproduce {name}"
        if not Path(f"results/{name}.json").is_file():
            sections[f"`{command}`: not measured yet"] = []
            continue
        for row, protocol in lines(name):
            options = protocol.get("command", "").partition(f"vae_paper.reproduce.{name} ")[2]
            full = f"{command} -- {options}" if options else command
            published = f"{row.published} (secondary source)" if row.secondary else row.published
            section = sections.setdefault(f"`{full}`: {how(protocol)}", [])
            section.append((row.what, published, f"**{row.ours}**", row.verdict))
    columns = "what | published | here | verdict"
    return "\n\n".join(f"{head}\n\n{generate.table(columns, rows)}" if rows else head for head, rows in sections.items())


def how(protocol: dict[str, Any]) -> str:
    """Seeds, binarisation, k, split, epochs, time and machine in one line, as far as they were recorded."""
    seeds, epochs = protocol.get("seeds"), protocol.get("epochs")
    count = len(seeds) if isinstance(seeds, list) else seeds
    took = f"{protocol['seconds'] / 60:.0f} min" if "seconds" in protocol else "time not recorded"
    k = f"; k = {protocol['k']}" if "k" in protocol else ""
    binarisation = f"binarisation: {protocol['binarisation']}"
    split = protocol["split"].replace(f", {binarisation}", "")
    model = f"; {protocol['model']}" if "model" in protocol else ""
    head = f"{count} seed{'s' if count != 1 else ''}{model}; {binarisation}{k}; {split}"
    return f"{head}; epochs: {epochs}; {took}; machine {protocol.get('machine', 'not recorded')}".replace("|", "\\|")
