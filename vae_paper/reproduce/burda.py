"""python -m vae_paper.reproduce.burda: VAE and IWAE, one stochastic layer (Burda et al. 2015, arXiv:1509.00519, Table 1)
-> results/burda.json.

Three things differ from the paper. The network has convolutions in place of two layers of 200 units. The training has a few
epochs with a one-cycle learning rate in place of 3,280 epochs. The batches have 100 images in place of 20. So only differences
between models are compared with the paper, not the NLLs themselves.

Rule of the verdict, fixed before the measurement. k is the number of samples of z in training. Let d be the NLL of the VAE with
k = 1 minus the NLL of the IWAE with the largest k. The claim is that the IWAE is better. It holds if the mean of d over seeds is
more than 0.3 nats and more than the standard deviation of d over seeds, and if the IWAE has on average at least as many active
units as the VAE. (An active unit is a latent whose mu changes with the image.)

Two things were added after the first measurement (k = 1 and 5 on a CPU). First: each IWAE is also compared with the VAE of the
same k, by the same rule. (In the first measurement the IWAE with k = 5 was 0.35 ± 0.34 nats worse than the VAE with k = 5.)
Second: let a and b be the standard errors of the two NLLs, and let e be 2 sqrt(a² + b²) or the standard deviation of d over
seeds, whichever is larger. The claim holds if d is more than 0.3 nats and more than e. It does not hold if d + e is at most 0.3
nats, or if the IWAE has fewer active units. In all other cases the verdict is "not decided". The reason: all seeds are measured
on the same test images, so the standard deviation over seeds does not show how d changes with other images. (The standard error
of d is at most sqrt(a² + b²): both models see the same images, so their errors are positively correlated.)

k = 50 needs a GPU:

    python -m vae_paper.reproduce.burda --ks 1 5 50 --nll-k 5000 --device cuda
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_numpy.command_line import command_of, run
from vae_paper import objectives, weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo
from vae_paper.reproduce import (
    VERDICTS,
    Row,
    at_least,
    floor_of,
    machine,
    nll_of,
    once,
    over_seeds,
    pixel_entropy,
    seconds_of,
    spread,
    trained,
)

PUBLISHED = {  # test NLL, nats
    "VAE, k = 1": 86.76, "VAE, k = 5": 86.47, "VAE, k = 50": 86.35, "IWAE, k = 5": 85.54, "IWAE, k = 50": 84.78,
}  # fmt: skip
EFFECT = 0.3  # nats: by the rule, the IWAE must be better by more than this


@dataclass
class Options:
    """Measure the NLL and the number of active units of VAEs and IWAEs."""

    ks: tuple[int, ...] = (1, 5)
    """Numbers of samples of z per image in training: 1, then larger ones in rising order. (With k = 1 an IWAE is a VAE.)"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds: one run for each seed and each model."""
    epochs: int = 3
    """Epochs of each run."""
    latent_dim: int = 50
    """Latent size D."""
    nll_k: int = 1000
    """Importance samples per image for the NLL."""
    subset: int = 200
    """Number of random test images on which the gap is estimated. The gap is the importance-weighted bound with `nll_k` samples,
    minus the ELBO."""
    device: str = "cpu"
    """Device of the training and the measurement: cpu, cuda or mps."""
    source: str = "mnist"
    """Data set."""
    out: Path = Path("results/burda.json")
    """File for the numbers."""


def main(options: Options) -> None:
    """Train the missing runs, measure all runs, and write the report."""
    at_least(options, seeds=1, epochs=1, latent_dim=1, nll_k=1, subset=2)
    if options.ks[:1] != (1,) or len(options.ks) < 2 or list(options.ks) != sorted({*options.ks}):
        raise ValueError(f"ks are {options.ks}: expected 1 (the plain VAE), then rising numbers of samples")
    test = load_data(options.source, "test", "dynamic", options.device)
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.burda", options),
        "source": options.source,
        "model": f"vae, D = {options.latent_dim}, Bernoulli, batches of 100",
        "binarisation": "dynamic",
        "seeds": list(options.seeds),
        "k": options.nll_k,
        "split": f"{test.about}; NLL: -(mean ELBO of all images + mean gap of {options.subset} random images)",
        "epochs": options.epochs,
        "machine": machine(options.device),
        "floor": list(pixel_entropy(test.images.cpu())),
        "units": "nats per image; a unit is active if Var_x(E_q[z_j]) > 0.01",
        "models": {},
    }
    for objective, ks in (("VAE", options.ks), ("IWAE", options.ks[1:])):  # with k = 1 an IWAE is a VAE
        for k in ks:
            measured = [measure(options, objective, k, seed, test) for seed in options.seeds]
            report["models"][f"{objective}, k = {k}"] = over_seeds(measured)
            print(objective, k, report["models"][f"{objective}, k = {k}"]["mean"], flush=True)
    report["seconds"] = seconds_of(report["models"])
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)


def measure(options: Options, objective: str, k: int, seed: int, test: Data) -> dict[str, float]:
    """The NLL, the ELBO and the number of active units of one run, which is trained now if it is missing."""
    config = Config(
        name=f"burda-{objective.lower()}-{k}-{seed}",
        objective="iwae" if objective == "IWAE" else "elbo",
        samples=k,
        seed=seed,
        epochs=options.epochs,
        source=options.source,
        latent_dim=options.latent_dim,
        device=options.device,
        batch_size=100,
        validation=0.0,
        likelihood="bernoulli",
        binarise="dynamic",
    )
    model, seconds = trained(config)
    model.to(options.device)

    def found() -> dict[str, float]:
        started = time.perf_counter()
        terms = elbo.terms_of(model, test)
        assert terms.mu is not None  # a VAE has vector latents
        return nll_of(model, test, objectives.elbo(terms), options.nll_k, options.subset) | {
            "active_units": int(elbo.active_units(terms.mu).sum()),
            "seconds": seconds + time.perf_counter() - started,
        }

    key = vars(config) | {"nll_k": options.nll_k, "subset": options.subset, "test": test.about}
    return once(config.name, key, found)


def ledger(report: dict[str, Any]) -> list[Row]:
    """A line for each model. Then lines that compare the last IWAE with the VAE of k = 1, and each IWAE with the VAE of its k."""
    models, rows = report["models"], []
    of_paper = PUBLISHED if report.get("source", "mnist") == "mnist" else {}  # other images have no published numbers
    for name, r in models.items():
        ours = (
            f"{spread(r, 'nll', 2)} (no model can be below {floor_of(report):.2f}; {spread(r, 'active_units', 0)} active units)"
        )
        published = f"{of_paper[name]:.2f}" if name in of_paper else "none"
        why = "not comparable: another network, far fewer epochs"
        rows.append(Row(f"Burda et al. 2015, Table 1: NLL, {name}", published, ours, why, None, secondary=name in of_paper))
    plain, *_, last = models
    pairs = [(plain, last), *((name.replace("IWAE", "VAE"), name) for name in models if name.startswith("IWAE"))]
    return rows + [difference(models, of_paper, other, best) for other, best in pairs]


def difference(models: dict[str, Any], of_paper: dict[str, float], other: str, best: str) -> Row:
    """The line about the NLL of the VAE `other` minus the NLL of the IWAE `best`."""
    pairs = zip(models[other]["seeds"], models[best]["seeds"], strict=True)
    gains = over_seeds([{"nll": a["nll"] - b["nll"], "active": b["active_units"] - a["active_units"]} for a, b in pairs])
    gain, active = gains["mean"]["nll"], gains["mean"]["active"]
    error = math.hypot(*(models[name]["mean"].get("nll_standard_error", 0.0) for name in (other, best)))
    holds = None
    if "sd" in gains:  # one seed decides nothing
        margin = max(gains["sd"]["nll"], 2 * error)
        if active < 0 or gain + margin <= EFFECT:
            holds = False
        elif gain > max(EFFECT, margin):
            holds = True
    published = {name: of_paper[other] - of_paper[name] for name in of_paper.keys() & models.keys() if other in of_paper}
    same, part = best.replace("IWAE", "VAE"), ""  # the VAE with as many samples
    if same != other and same in models:
        part = f". The {same}, gains {models[other]['mean']['nll'] - models[same]['mean']['nll']:.2f} of these nats without the "
        part += "IWAE's objective"
        part += f" (in the paper {published[same]:.2f} of {published[best]:.2f})" if same in published else ""
    return Row(
        f"Burda et al. 2015, Table 1: NLL of {other} minus NLL of {best}",
        f"{published[best]:.2f}" if best in published else "none",
        f"{spread(gains, 'nll', 2)} (same images and noise; the choice of images adds a standard error of at most {error:.2f})",
        f"{VERDICTS[holds]}: the rule needs more than {EFFECT:g} nats, more than the standard deviation (±), more than twice the "
        f"standard error, and no fewer active units in the IWAE (here {active:+.1f}){part}. Each NLL is too large by an unknown "
        "amount, which may differ between the models",
        holds,
        secondary=best in published,
    )


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.burda", Options, main)
