"""Why the ELBO is below log p(x): the gap, taken apart (Cremer, Li & Duvenaud 2018, arXiv:1801.03558, section 3).

    log p(x) - ELBO[q]  =  log p(x) - ELBO[q*]     approximation gap: no q of the family is the posterior
                         + ELBO[q*] - ELBO[q]      amortisation gap: the encoder is one function for all images

q* is the best factorised Gaussian of an image, found for that image alone; q is the encoder's.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam
from tqdm import tqdm

from vae_numpy.checks import check_labels
from vae_paper.estimators import importance
from vae_paper.evaluate import Data
from vae_paper.likelihoods import binarise
from vae_paper.vae import AE, VAE, Labels, reparameterize

# Added to logvar of q* where it proposes z for log p(x): the best q is narrower than a correlated posterior, and the weights of
# too narrow a q have infinite variance (on the correlated oracle IWAE-1000 is then some hundredths of a nat too low).
WIDER = 0.5


class Gaps(NamedTuple):
    """In nats, image by image; the two gaps add up to log_p - elbo."""

    log_p: Float[Tensor, " N"]  # IWAE-k: from below, so the approximation gap is, if anything, too small
    elbo: Float[Tensor, " N"]  # of the encoder's q
    approximation: Float[Tensor, " N"]
    amortisation: Float[Tensor, " N"]


def gaps(model: VAE, data: Data, k: int = 1000, steps: int = 200, samples: int = 4, seed: int = 0) -> Gaps:
    """Both gaps of each image; k importance samples for log p(x), `steps` of Adam with `samples` of z each for q*.

    ValueError for an autoencoder, which has neither.
    """
    if isinstance(model, AE):
        raise ValueError("gaps: an autoencoder has no q(z|x), and so no gap")
    x = binarise(data.images, data.binarisation, torch.Generator().manual_seed(seed))  # once: all is of the same pixels
    data = data._replace(images=x, binarisation="none")
    best = best_factorised(model, x, data.labels, steps, samples, seed)
    elbo = importance(model, data, [k], seed + 1).elbo
    best_elbo = importance(model, data, [k], seed + 2, posterior=best).elbo
    log_p = importance(model, data, [k], seed + 3, posterior=(best[0], best[1] + WIDER)).iwae[-1]
    return Gaps(log_p, elbo, log_p - best_elbo, best_elbo - elbo)


def best_factorised(
    model: VAE,
    x: Float[Tensor, "N 1 28 28"],
    labels: Labels | None = None,
    steps: int = 200,
    samples: int = 4,
    seed: int = 0,
    learning_rate: float = 0.05,
    batch: int = 100,
) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
    """mu and logvar of each image that make its ELBO largest: Adam from the encoder's, its steps shrinking to nothing.

    The gradient takes z's path alone, so that where q is the posterior it has no noise (Roeder, Wu & Duvenaud 2017,
    arXiv:1703.09194); `samples` z are drawn in pairs (one more where they are odd), eps and -eps, so that what is odd in the
    noise falls out elsewhere too.
    """
    for name, value in (("steps", steps), ("samples", samples), ("learning_rate", learning_rate), ("batch", batch)):
        if not value > 0:
            raise ValueError(f"{name} is {value}: expected more than 0")
    if labels is not None:
        check_labels(labels, len(x))
    generator = torch.Generator().manual_seed(seed)
    found = []
    with tqdm(total=steps * -(-len(x) // batch), unit="step", desc="best q of each image", delay=2) as bar:
        for part in torch.arange(len(x)).split(batch):
            of = None if labels is None else labels[part]
            with torch.no_grad():
                start = model.encode(x[part], of)
            mu, logvar = (t.clone().requires_grad_() for t in start)
            optimizer = Adam([mu, logvar])
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
                eps = torch.randn(-(-samples // 2), *mu.shape, generator=generator, dtype=mu.dtype)
                z = reparameterize(mu, logvar, torch.cat([eps, -eps]))
                log_q = -0.5 * ((z - mu.detach()).square() * torch.exp(-logvar.detach()) + logvar.detach()).sum(2)
                # -E_q[log p(x|z) + log p(z) - log q(z|x)], summed over images: each has its own q
                loss = (model.distortion(z, x[part], of) + 0.5 * z.square().sum(2) + log_q).mean(0).sum()
                mu.grad, logvar.grad = torch.autograd.grad(loss, [mu, logvar])  # and the decoder's weights none
                optimizer.step()
                bar.update()
            found.append((mu.detach(), logvar.detach()))
    best_mu, best_logvar = zip(*found, strict=True)
    return torch.cat(best_mu), torch.cat(best_logvar)
