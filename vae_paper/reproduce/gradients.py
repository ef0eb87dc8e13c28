"""python -m vae_paper.reproduce.gradients: how noisy is the encoder's gradient with each objective?
-> results/gradients.json.

The weights of the pretrained VAE and 10 binary test digits stay fixed. Only the noise eps is drawn again and again. The
gradient is that of the encoder's last layers, mu and logvar. The variance of each of its components is computed over the draws of
eps. The variance of the gradient is the sum of these variances.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import vae_paper
from vae_numpy.command_line import run
from vae_paper import objectives, weight_files
from vae_paper.data import load_data
from vae_paper.measuring.elbo import mean_of
from vae_paper.reproduce import NoOptions, machine
from vae_paper.vae import Terms

IMAGES, DRAWS, GROUPS, KS = 10, 200, 10, (1, 5, 50)


def sampled_elbo(terms: Terms) -> Float[Tensor, " B"]:
    """The ELBO with a sampled KL, mean over K samples. Unlike in sticking the landing, no part of its gradient is left out."""
    return terms.log_weight.mean(0)


# dreg must be last: its hook on z would change the gradients of objectives after it
OBJECTIVES = {
    "elbo, KL by its formula": objectives.elbo,
    "elbo, KL sampled": sampled_elbo,
    "stl": objectives.sticking_the_landing,
    "iwae": objectives.iwae,
    "dreg": objectives.dreg,
}


def main() -> None:
    """Measure the variance of each objective's gradient, for each number K of samples of z, and write the report."""
    model = vae_paper.load("vae_mnist_d20")
    model.likelihood = "bernoulli"
    data = load_data("handwriting", "test", "threshold").subset(slice(IMAGES))
    x = (data.images > 0.5).float()
    report: dict[str, Any] = {
        "command": "python -m vae_paper.reproduce.gradients",
        "model": "vae_mnist_d20, trained with bce, used with the likelihood bernoulli",
        "measured_on": f"the first {IMAGES} images of {data.about}",
        "gradient": "Sum of the variances of the components of the mean objective's gradient, for weights and biases of the "
        "encoder's layers mu and logvar",
        "draws": DRAWS,
        "units": f"Unit: (nats per unit of a parameter)²; ±: standard error, from {GROUPS} groups of draws",
        "machine": machine(),
        "variances": {},
    }
    for K in KS:
        gradients = of_draws(model, x, K)
        report["variances"][f"K = {K}"] = {name: variance(g)._asdict() for name, g in gradients.items()}
        for name, found in report["variances"][f"K = {K}"].items():
            print(f"K = {K:<3} {name:<24} {found['value']:12.4g} ± {found['standard_error']:.2g}", flush=True)
    weight_files.write_json(Path("results/gradients.json"), report)


def of_draws(model: Any, x: Float[Tensor, "B C H W"], K: int) -> dict[str, Float[Tensor, "N P"]]:
    """For each objective: N gradients, one for each draw of the noise, with respect to P parameters."""
    parameters = [*model.encoder.mu.parameters(), *model.encoder.logvar.parameters()]
    generator = torch.Generator().manual_seed(K)
    found: dict[str, list[Tensor]] = {name: [] for name in OBJECTIVES}
    for _ in range(DRAWS):
        terms = model(x, torch.randn(K, len(x), model.latent_dim, generator=generator))
        for name, objective in OBJECTIVES.items():
            of_parameters = torch.autograd.grad(objective(terms).mean(), parameters, retain_graph=True)
            found[name].append(torch.cat([gradient.flatten() for gradient in of_parameters]))
    return {name: torch.stack(each).double() for name, each in found.items()}


def variance(gradients: Float[Tensor, "N P"]) -> Any:
    """The variance of the gradient (a sum over parameters), computed in groups of draws: mean over groups, standard error."""
    return mean_of(torch.stack([group.var(0).sum() for group in gradients.chunk(GROUPS)]))


if __name__ == "__main__":
    run("python -m vae_paper.reproduce.gradients", NoOptions, lambda _: main())
