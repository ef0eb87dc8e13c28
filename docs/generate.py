"""Parts of the pages that are made from the source and from results/. `make readme` inserts them; a test finds outdated ones."""

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

import vae_lowlevel.vae
import vae_numpy.vae
import vae_paper.objectives
import vae_paper.vae
from vae_numpy import weights
from vae_paper import sprites
from vae_paper.reproduce import disentanglement, spread

LEVELS = (
    ("Level 1, NumPy", vae_numpy.vae),
    ("Level 2, torch functions", vae_lowlevel.vae),
    ("Level 3, torch modules", vae_paper.vae),
)


def function(name: str, level3: Any = None) -> str:
    """The source of one function at each level. `level3` is the function or class of level 3, if it has another name there."""
    blocks = []
    for title, module in LEVELS:
        shown = level3 if level3 is not None and module is vae_paper.vae else getattr(module, name)
        path = shown.__module__.replace(".", "/") + ".py"
        names = f"<!-- invisible-code-block: python\nfrom {shown.__module__} import *\n-->"  # the tests run the blocks
        blocks.append(f"{title} ([`{path}`]({path})):\n\n{names}\n\n```python\n{inspect.getsource(shown).rstrip()}\n```\n")
    return "\n".join(blocks)


def source(*objects: Any) -> str:
    """The source of functions, classes or methods of one file; the tests run the block."""
    module = inspect.getmodule(objects[0])
    assert module is not None
    name = module.__name__.replace(".", "/") + ".py"
    code = "\n\n\n".join(textwrap.dedent(inspect.getsource(one)).rstrip() for one in objects)
    names = f"<!-- invisible-code-block: python\nfrom {module.__name__} import *\n-->"
    return f"[`{name}`](../{name}):\n\n{names}\n\n```python\n{code}\n```\n"


def table(columns: str, rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; `columns` are its headings, separated by |."""
    names = [name.strip() for name in re.split(r"(?<!\\)\|", columns)]
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def results(name: str) -> dict[str, Any]:
    """results/NAME.json."""
    return json.loads(Path(f"results/{name}.json").read_text())


def agreement_table(key: str) -> str:
    """The differences between levels, one row per tensor, from results/agreement.json."""
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


def soak_table() -> str:
    """Numbers of faults tried, survived and lost, from results/soak.json."""
    rows = ["| fault | tried | survived | lost |", "|---|---|---|---|"]
    for fault, row in results("soak")["faults"].items():
        rows.append(f"| {fault} | {row['tried']:,} | {row['survived']:,} | {len(row['lost'])} |")
    return "\n".join(rows)


def disentangled(name: str) -> str:
    """The metrics of disentanglement of each representation, from results/NAME.json of `higgins` or `higgins_paper`."""
    r = results(name)
    measured = next(iter(r["representations"].values()))["mean"].keys()
    added = [metric for metric in disentanglement.ADDED if metric in measured]
    rows = []
    for representation, found in r["representations"].items():
        metrics = ("higgins", "factor_vae", "mig", *added)
        values = [spread(found, metric, 1, 100) if metric in found["mean"] else "-" for metric in metrics]
        rows.append((representation, *values, *(f"{found['mean'][f'f1_{factor}']:.2f}" for factor in sprites.SIZES)))
    seeds = len(r["seeds"])
    over = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    columns = [disentanglement.ADDED[metric] for metric in added] + [f"F1 {factor}" for factor in sprites.SIZES]
    head = "representation | beta-VAE metric, % (chance 20) | FactorVAE, % | MIG, % | " + " | ".join(columns)
    return f"{r['model']}; epochs: {r['epochs']}; {r['split']}; {over}:\n\n{table(head, rows)}"


def machine(report: dict[str, Any]) -> str:
    """The machine of a benchmark's report, in one line."""
    on = report["machine"]
    bf16 = ", ".join(on["bf16_instructions"]) or "no instructions for bf16"
    card = f"{on['device']}, " if "device" in on else ""
    return f"{card}{on['processor']} ({bf16}), {on['threads']} threads, torch {on['torch']}"


def speed() -> str:
    """The measurements of `make bench`."""
    return "\n\n".join(part for part in (training_speed(), same_objective(), to_target(), evaluation_cost(), gpu_speed()) if part)


def training_speed() -> str:
    """Images per second of every trainer, their share of the limit, and level 3's by batch size."""
    if not Path("results/training.json").is_file():
        return "*Training: not measured yet (`make bench`).*"
    r = results("training")
    precisions, ratios = r["limit"]["precisions"], r["ratios"]
    reached = {name: share for row in precisions.values() for name, share in row["reached"].items()}
    rows = [
        (name, f"{row['median']:,.0f}", f"{100 * reached[name]:.0f} %" if name in reached else "–")
        for name, row in sorted(r["images_per_second"].items(), key=lambda item: -item[1]["median"])
    ]
    left_out = "".join(f" {name} was left out: {why}." for name, why in r["left_out"].items())
    most = " and ".join(f"{row['images_per_second']:,.0f} images/s in {name}" for name, row in precisions.items())
    sizes = r["batch_sizes"]
    return "\n\n".join(
        (
            f"`{r['command']}`: {machine(r)}; {r['data']}; {r['protocol']}.{left_out}",
            table("training | images/s | of the limit", rows),
            f"Our fastest training in float32 is {ratios['float32_over_fastest_peer']:.2f} times as fast as the fastest peer "
            f"({ratios['fastest_peer']}). Our fastest training in any precision ({ratios['best']}) is "
            f"{ratios['best_over_fastest_peer']:.2f} times as fast as this peer. A training step needs "
            f"{r['limit']['training_flops'] / 1e6:.1f} MFLOPs per image. The limit is the number of images per second if every "
            f"operation were as fast as this machine's fastest matrix product: {most}.",
            "Level 3 alone: 5 rounds of 5 steps, after 2 steps of warm-up. The trainers above took turns and these runs did not, "
            "so compare the numbers only within this table:",
            table("level 3, float32, B | " + " | ".join(sizes), [("images/s", *(f"{rate:,.0f}" for rate in sizes.values()))]),
        )
    )


def same_objective() -> str:
    """The objective that each trainer reaches."""
    if not Path("results/same_objective.json").is_file():
        return ""
    r = results("same_objective")
    rows = [(name, spread(row, "objective", 2)) for name, row in r["contestants"].items()]
    seeds = len(next(iter(r["contestants"].values()))["seeds"])
    error = max(row["sd"]["objective"] for row in r["contestants"].values()) / seeds**0.5
    title = f"The mean objectives of the trainers differ by at most {r['furthest_apart']:.2f} nats (`{r['command']}`): "
    title += f"{machine(r)}; {r['protocol']}; {r['measured_on']}; mean ± standard deviation over {seeds} seeds; the standard "
    title += f"error of a mean is at most {error:.1f}."
    left_out = "".join(f" {name} was left out: {why}." for name, why in r["left_out"].items())
    return f"{title}{left_out}\n\n{table('trained by | -ELBO, nats per image', rows)}"


def to_target() -> str:
    """Seconds and epochs until the test objective is at the target."""
    r = results("time_to_target")
    rows = []
    for name in r["seeds"]["0"]:
        taken = [one[name] for one in r["seeds"].values() if name in one]
        seconds = ["not reached" if one is None else f"{one['seconds']:.0f}" for one in taken]
        rows.append((name, ", ".join(seconds), ", ".join("–" if one is None else str(one["epochs"]) for one in taken)))
    ours = r["level_3"]
    return "\n\n".join(
        (
            f"`{r['command']}`: {machine(r)}; {r['data']}. Training stops at {r['target']}. "
            f"Level 3: B = {ours['batch_size']}, one cycle of the learning rate up to {ours['learning_rate']:g}, "
            f"{ours['epochs']} epochs in all, chosen on a validation split. The others: {r['peers']}. "
            f"Seeds: {', '.join(r['seeds'])}; after seed 0, only the fastest of the others was trained again. "
            f"Level 3 takes {r['ratio']:.2f} times as long as {r['fastest_peer']}.",
            table("trained by | seconds, for each seed | epochs", rows),
        )
    )


def evaluation_cost() -> str:
    """Seconds and megabytes for each k, and the time from a command to its picture."""
    if not Path("results/evaluation.json").is_file():
        return "*Evaluation: not measured yet (`make bench`).*"
    r = results("evaluation")
    rows = [
        (k, f"{s:.2f}", f"{1e6 * r['seconds_per_decode'][k]:.0f}", f"{m['total_mb']:,.0f}", f"{m['above_import_mb']:,.0f}")
        for (k, s), m in zip(r["seconds"].items(), r["memory"]["nll"].values(), strict=True)
    ]
    training, most = r["memory"]["training, B = 128"], r["memory"]["limits_mb"]
    waits = ", ".join(f"`{row['command']}` {row['seconds']:.0f} s" for row in r["seconds_to_a_picture"].values())
    return "\n\n".join(
        (
            f"`{r['command']}`: {machine(r)}; log p(x) of {r['data']}, k samples of z each.",
            table("k | seconds | µs per decode | peak MB | MB more than after the imports", rows),
            f"Training at B = 128 takes {training['total_mb']:,.0f} MB, {training['above_import_mb']:,.0f} MB more than after "
            f"the imports. Allowed are {most['training']:,} MB for training and {most['nll']:,} MB for log p(x). From command to "
            f"picture: {waits}.",
        )
    )


def gpu_speed() -> str:
    """Seconds per epoch on a GPU."""
    r = results("gpu")
    sizes = r["seconds_per_epoch"]
    target = {name: "not reached" if s is None else f"{s:.0f}" for name, s in r["seconds_to_target"].items()}
    rows = [(n, *(f"{each[n]:.2f}" for each in sizes.values()), target.get(n, "–")) for n in next(iter(sizes.values()))]
    return "\n\n".join(
        (
            f"`{r['command']}`: {machine(r)}; seconds per epoch, and seconds of training until {r['target']}."
            + (f" Measured {r['state']}." if "state" in r else ""),
            table(f"trained by | {' | '.join(sizes)} | to {r['target'].split(',')[0]}", rows),
            f"NLL({r['nll']['k']:,}) of {r['nll']['images']:,} images: {r['nll']['seconds']:.0f} s.",
        )
    )


def first_picture() -> None:
    """Draw docs/first.png and docs/first.ko.png: reconstructions, samples and the latent plane of the pretrained weights."""
    from matplotlib.figure import Figure

    from exercises import translation
    from vae_numpy import digits, vae
    from vae_numpy.figures import save
    from vae_numpy.layers import sigmoid
    from vae_paper.drawing.plots import manifold_latents

    (d2, _), (d20, _) = (weights.load(weights.PRETRAINED / f"vae_mnist_d{d}.safetensors") for d in (2, 20))
    x = digits.load("mnist", "test").images[:8]
    x_hat = sigmoid(vae.decode(d20, vae.encode(d20, x)[0]))
    samples = sigmoid(vae.decode(d20, np.random.default_rng(2).standard_normal((32, 20), dtype=np.float32)))
    plane = sigmoid(vae.decode(d2, manifold_latents(18).astype(np.float32)))
    figure = Figure(figsize=(10, 4.6))
    axes = figure.subplot_mosaic([["x", "plane"], ["x_hat", "plane"], ["samples", "plane"]], height_ratios=[1, 1, 4])
    panels = {
        "x": (x, 8, "MNIST test digits"),
        "x_hat": (x_hat, 8, "reconstructed from the mean of q(z|x), D = 20"),
        "samples": (samples, 8, "drawn from the prior, D = 20"),
        "plane": (plane, 18, "decoded from a grid of the latent plane, D = 2"),
    }
    for name, (images, columns, title) in panels.items():
        rows = len(images) // columns
        sheet = images.reshape(rows, columns, 28, 28).transpose(0, 2, 1, 3).reshape(rows * 28, columns * 28)
        axes[name].imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
        axes[name].set_title(title, fontsize=9)
        axes[name].set_axis_off()
    figure.tight_layout(pad=0.5)
    save(figure, "docs/first.png")
    if translation.in_hangul(figure):
        save(figure, "docs/first.ko.png")


if __name__ == "__main__":
    first_picture()
