"""The inference gap between ELBO and log p(x), in two parts (Cremer, Li & Duvenaud 2018, arXiv:1801.03558, section 3).

    log p(x) - ELBO[q]  =  log p(x) - ELBO[q*]     approximation gap: the posterior is not q*
                         + ELBO[q*] - ELBO[q]      amortisation gap: one encoder serves all images

q* is the factorised Gaussian N(mu, diag(exp(logvar))) with the largest ELBO for one image: its mu and logvar are optimised for
this image alone.
q is the q(z|x) of the encoder.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam
from tqdm import tqdm

from vae_numpy.checks import check_labels
from vae_paper.data import Data
from vae_paper.measuring.elbo import evaluating, mixed
from vae_paper.measuring.estimators import importance
from vae_paper.objectives import sticking_the_landing
from vae_paper.vae import Images, Labels, Model

# To estimate log p(x), z is drawn from a wider q*: WIDER is added to its logvar. If the latents are correlated in the
# posterior, q* is narrower than the posterior. With a q that is too narrow, the weights p(x, z) / q(z) have infinite variance.
WIDER = 0.5


class Gaps(NamedTuple):
    """log p(x), ELBO and both gaps of each image, in nats. The gaps add up to log_p - elbo."""

    log_p: Float[Tensor, " N"]  # IWAE-k: a lower bound in expectation, so the approximation gap may be too small
    elbo: Float[Tensor, " N"]  # of the encoder's q
    approximation: Float[Tensor, " N"]
    amortisation: Float[Tensor, " N"]


def gaps(model: Model, data: Data, k: int = 1000, steps: int = 200, samples: int = 4, seed: int = 0) -> Gaps:
    """Both gaps of each image. log p(x) and the ELBOs are estimated from k samples of z.

    q* is found with `steps` steps of Adam, each with `samples` samples of z. ValueError for a model without a Gaussian q(z|x):
    these gaps are not defined for it.
    """
    x = data.seen(seed)  # binarised once, so that all parts see the same pixels
    data = data.replace(images=x, binarisation="none")
    best = best_factorised(model, x, data.labels, steps, samples, seed)
    elbo = importance(model, data, [k], mixed(seed, 1)).elbo
    best_elbo = importance(model, data, [k], mixed(seed, 2), posterior=best).elbo
    log_p = importance(model, data, [k], mixed(seed, 3), posterior=(best[0], best[1] + WIDER)).iwae[-1]
    return Gaps(log_p, elbo, log_p - best_elbo, best_elbo - elbo)


def best_factorised(
    model: Model,
    x: Images,
    labels: Labels | None = None,
    steps: int = 200,
    samples: int = 4,
    seed: int = 0,
    learning_rate: float = 0.05,
    batch: int = 100,
) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
    """mu and logvar of q* for each image: they maximise its ELBO. Adam starts at the encoder's mu and logvar.

    The learning rate falls to 0. The gradient is the sticking-the-landing gradient (Roeder, Wu & Duvenaud 2017,
    arXiv:1703.09194): only the path through z is differentiated. So the gradient has no noise if q is the posterior. For each
    eps, -eps is used too (antithetic sampling): the part of the noise that changes its sign with eps cancels. An odd `samples` is
    rounded up.
    """
    for name, value in (("steps", steps), ("samples", samples), ("learning_rate", learning_rate), ("batch", batch)):
        if not value > 0:
            raise ValueError(f"{name} is {value}: expected more than 0")
    if labels is not None:
        check_labels(labels, len(x), model.classes if model.takes_labels else int(labels.max()) + 1)
    generator = torch.Generator(x.device).manual_seed(seed)
    found = []
    total = steps * -(-len(x) // batch)
    bar = tqdm(total=total, unit="step", desc="best q of each image", delay=2, disable=None)
    with bar, evaluating(model):
        for part in torch.arange(len(x), device=x.device).split(batch):
            of = None if labels is None else labels[part]
            with torch.no_grad():
                start = model.encode(x[part], of)
            mu, logvar = (t.clone().requires_grad_() for t in start)
            optimizer = Adam([mu, logvar])
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / steps)
                eps = torch.randn(-(-samples // 2), *mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
                eps = torch.cat([eps, -eps])
                terms = model.terms(mu, logvar, x[part], eps, of)
                loss = -sticking_the_landing(terms).sum()  # a sum over images, because each image has its own mu and logvar
                mu.grad, logvar.grad = torch.autograd.grad(loss, [mu, logvar])  # the decoder's weights get no gradient
                optimizer.step()
                bar.update()
            found.append((mu.detach(), logvar.detach()))
    best_mu, best_logvar = zip(*found, strict=True)
    return torch.cat(best_mu), torch.cat(best_logvar)
