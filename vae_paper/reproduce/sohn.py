"""python -m vae_paper.reproduce.sohn: predict the rest of an image from 1, 2 or 3 of its quadrants (Sohn et al. 2015,
section 5.1) -> results/sohn.json. The published numbers are those of Pyro's tutorial, pyro.ai/examples/cvae.html.

-log p(x_unseen|x_seen), in nats per image, of four models:
    pixels      independent pixels: p(pixel = 1) is the pixel's frequency in the training images
    neighbours  the same, but with the training images whose seen quadrants are most similar (`Neighbours`)
    network     a deterministic network, the quadrant-cvae without z: the "baseline NN" of the paper and of the tutorial
    cvae        the quadrant-cvae, estimated by importance sampling; cvae_elbo is its conditional ELBO

All images are binarised. Each pixel is drawn once ("fixed"). Only in the training of network and cvae, the pixels are drawn again
at every step. The tutorial's numbers for the CVAE are -ELBO (its code evaluates Pyro's Trace_ELBO loss), so our -ELBO stands
beside them. The tutorial uses the Bernoulli formula on grayscale images, where it is not a likelihood. So only the order of the
models is compared, not the numbers.

Rule of the verdict, fixed before the measurement, for each number of quadrants and each seed: the CVAE has a lower -log p than
the network and the neighbours. And with each further seen quadrant, the difference between the CVAE and the better of these two
must get smaller.
"""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from operator import lt
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_numpy.command_line import command_of, run
from vae_paper import objectives, weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo
from vae_paper.models.quadrant_cvae import QuadrantCVAE
from vae_paper.reproduce import VERDICTS, Row, at_least, machine, nll_of, once, over_seeds, spread, trained
from vae_paper.vae import Labels, Terms

PUBLISHED = {1: (100.4, 71.8), 2: (61.9, 51.0), 3: (25.4, 24.2)}  # quadrants seen: (baseline, -ELBO of the CVAE), nats
NEAREST, WEIGHTS = (1, 3, 10, 30, 100, 300, 1000), (0.3, 1.0, 3.0, 10.0)  # values of K and weight that are tried


@dataclass
class Options:
    """Measure four models that complete images."""

    seen: tuple[int, ...] = (1, 2, 3)
    """Numbers of seen quadrants."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds: one CVAE and one network for each."""
    epochs: int = 3
    """Epochs of each CVAE and each network."""
    k: int = 1000
    """Number of importance samples for each image of the subset."""
    subset: int = 200
    """Number of random test images for the gap between IWAE-k and the ELBO."""
    source: str = "mnist"
    """Data set."""
    out: Path = Path("results/sohn.json")
    """File for the numbers."""


class Network(QuadrantCVAE):
    """The quadrant-cvae without z: the decoder gets the mean of the learned prior in place of z, and the rate is 0."""

    def forward(self, x: Float[Tensor, "B 1 28 28"], eps: Float[Tensor, "K B D"], labels: Labels | None = None) -> Terms:
        """-log p(x_unseen|x_seen); eps is not used."""
        mu, _, seen = self.prior_of(x)
        distortion = self.unseen_nats(self.decoder(mu, seen)[None], x)
        return Terms(distortion, torch.zeros_like(mu), -distortion)


class Neighbours(NamedTuple):
    """A nearest-neighbour model. The distance of two images is the number of seen pixels in which they differ.

    For each unseen pixel, p(pixel = 1) = (n + weight · m) / (K + weight). Here n is the number of ones among the K = `nearest`
    training images, and m is the pixel's frequency in all training images (`frequencies`). `fitted` chooses K and weight.
    """

    images: Float[Tensor, "N P"]  # P pixels of an image; U of them are unseen
    mask: Bool[Tensor, " P"]  # True for a seen pixel
    nearest: int
    weight: float

    def probabilities(self, x: Float[Tensor, "B P"]) -> Float[Tensor, "B U"]:
        """p(pixel = 1) of each unseen pixel, from the seen pixels of x."""
        seen = self.images[:, self.mask]
        distance = seen.sum(1) - 2 * x[:, self.mask] @ seen.T  # without |x|², the same for all training images
        chosen = distance.topk(self.nearest, largest=False).indices  # (B, K)
        ones = self.images[:, ~self.mask][chosen].sum(1)  # (B, U)
        return (ones + self.weight * frequencies(self.images)[~self.mask]) / (self.nearest + self.weight)

    def nats(self, x: Float[Tensor, "B P"]) -> Float[Tensor, " B"]:
        """-log p(x_unseen|x_seen)."""
        return torch.cat([coded(self.probabilities(part), part[:, ~self.mask]) for part in x.split(250)])


def frequencies(images: Float[Tensor, "N P"]) -> Float[Tensor, " P"]:
    """How often each pixel is 1, as a fraction: (ones + 1/2) / (images + 1), which is never 0 or 1."""
    return (images.sum(0) + 0.5) / (len(images) + 1)


def coded(p: Float[Tensor, "*B U"], x: Float[Tensor, "B U"]) -> Float[Tensor, " B"]:
    """-log p(x) of independent pixels in nats per image; `p` is the probability that a pixel is 1."""
    return -(x * p.log() + (1 - x) * (1 - p).log()).double().sum(1)


def fitted(images: Float[Tensor, "N P"], held_out: Float[Tensor, "M P"], mask: Bool[Tensor, " P"]) -> Neighbours:
    """The `Neighbours` model with the K and weight that give the lowest -log p on the held-out images."""
    choices = [Neighbours(images, mask, k, weight) for k in NEAREST if k <= len(images) for weight in WEIGHTS]
    return min(choices, key=lambda choice: choice.nats(held_out).mean().item())


def main(options: Options) -> None:
    """Train the missing runs, measure, write."""
    at_least(options, seen=1, seeds=1, epochs=1, k=1, subset=2)
    if not {*options.seen} <= PUBLISHED.keys():
        raise ValueError(f"seen are {options.seen}: expected numbers of quadrants: 1, 2, 3")
    test = load_data(options.source, "test", "fixed")
    report: dict[str, Any] = {
        "command": command_of("python -m vae_paper.reproduce.sohn", options),
        "model": "quadrant-cvae, D = 20, Bernoulli, batches of 128",
        "binarisation": "training dynamic, test fixed",
        "seeds": list(options.seeds),
        "k": options.k,
        "split": f"{test.about}; CVAE: -(mean ELBO of all + mean gap of {options.subset} random images)",
        "epochs": options.epochs,
        "machine": machine(),
        "units": "nats per image, of the unseen pixels",
        "quadrants": {},
    }
    for seen in options.seen:
        without = once(
            f"sohn-{seen}-baselines", {"test": test.about, "choices": [NEAREST, WEIGHTS]}, partial(baselines, options, seen, test)
        )
        measured = [measure(options, seen, seed, test) for seed in options.seeds]
        report["quadrants"][str(seen)] = over_seeds(measured) | without
        print(seen, without, report["quadrants"][str(seen)]["mean"], flush=True)
    report["seconds"] = sum(one["seconds"] for r in report["quadrants"].values() for one in (r, *r["seeds"]))
    report["ledger"] = [row.stored() for row in ledger(report)]
    weight_files.write_json(options.out, report)


def baselines(options: Options, seen: int, test: Data) -> dict[str, Any]:
    """-log p of the two models without a network. The first 500 training images are held out to choose K and weight."""
    started = time.perf_counter()
    data = load_data(options.source, "train", "fixed")
    mask = QuadrantCVAE(2, seen=seen).mask.flatten().bool()
    images, held_out, x = data.images[500:].flatten(1), data.images[:500].flatten(1), test.images.flatten(1)
    neighbours = fitted(images, held_out, mask)
    alone = coded(frequencies(images)[~mask].expand(len(x), -1), x[:, ~mask])
    return {
        "pixels": alone.mean().item(),
        "neighbours": neighbours.nats(x).mean().item(),
        "nearest": neighbours.nearest,
        "weight": neighbours.weight,
        "seconds": time.perf_counter() - started,
    }


def measure(options: Options, seen: int, seed: int, test: Data) -> dict[str, float]:
    """Train the CVAE and the network without z from one seed, and measure -log p of both. Read what was measured before."""
    how: dict[str, Any] = {"likelihood": "bernoulli", "binarise": "dynamic", "validation": 0.0, "epochs": options.epochs}
    config = Config(name=f"sohn-{seen}-{seed}", model="quadrant-cvae", seen=seen, seed=seed, source=options.source, **how)
    model, seconds = trained(config)

    def found() -> dict[str, float]:
        network, more_seconds = without_z(config)
        started = time.perf_counter()
        found = nll_of(model, test, objectives.elbo(elbo.terms_of(model, test)), options.k, options.subset)
        return {
            "network": elbo.terms_of(network, test).distortion.mean().item(),
            "cvae": found["nll"],
            "cvae_standard_error": found["nll_standard_error"],
            "cvae_elbo": found["elbo"],
            "seconds": seconds + more_seconds + time.perf_counter() - started,
        }

    key = vars(config) | {"k": options.k, "subset": options.subset, "test": test.about}
    return once(config.name, key, found)


def without_z(config: Config) -> tuple[Network, float]:
    """The network without z, trained with the options of the CVAE's `config`, and the seconds of its training steps."""
    assert config.seen is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Network(config.latent_dim, config.likelihood, seen=config.seen)
    return trained(dataclasses.replace(config, name=f"{config.name}-network", seen=None), model)  # `model` has its own `seen`


def ledger(report: dict[str, Any]) -> list[Row]:
    """A line for each number of seen quadrants."""
    rows: list[Row] = []
    leads: dict[int, list[float]] = {}
    for seen, r in sorted(report["quadrants"].items()):
        gains = [min(one["network"], r["neighbours"]) - one["cvae"] for one in r["seeds"]]
        mean = sum(gains) / len(gains)
        leads[int(seen)] = gains
        fewer = leads.get(int(seen) - 1)
        falls = all(map(lt, gains, fewer)) if fewer else None  # None if the case with one quadrant fewer was not measured
        holds = min(gains) > 0 and (seen == "1" or falls)
        network, cvae = PUBLISHED[int(seen)]
        baselines = f"each pixel alone {r['pixels']:.1f}, nearest training images {r['neighbours']:.1f}"
        rows.append(
            Row(
                f"Sohn et al. 2015, quadrants seen: {seen} (numbers of Pyro's tutorial)",
                f"network without z {network:.1f}, -ELBO of the CVAE {cvae:.1f}",
                f"{baselines}, network without z {spread(r, 'network')}, CVAE {spread(r, 'cvae')} "
                f"(-ELBO: {spread(r, 'cvae_elbo', 1, -1)})",
                f"{VERDICTS[holds]}: the CVAE is {mean:.1f} nats below the better baseline, at least "
                f"{min(gains):.1f} on every seed. The numbers are not comparable: Pyro's images are grayscale"
                + (". Pyro's unseen quadrant is the lower right, here it is the upper right" if seen == "3" else ""),
                holds,
            )
        )
    return rows


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.sohn", Options, main)
