"""A wrong input never becomes a plausible measurement or picture.

What `test_no_plausible_number` holds of the model, its layers and its losses is held here of what measures and draws them;
`test_no_function_is_forgotten` sees to it that none is missing.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_no_plausible_number import laid, without_the_type_checker  # noqa: F401 (a fixture)

from vae_numpy import checks, parameters
from vae_numpy import figures as figures1
from vae_paper import likelihoods, sprites
from vae_paper.data import Data, check_data
from vae_paper.drawing import animation, latent_space, pictures, plots
from vae_paper.measuring import (
    classifier,
    disentanglement,
    disentanglement_lib,
    elbo,
    estimators,
    inference_gap,
    inspect,
    sample_quality,
)
from vae_paper.models import cvae, pixel_prior, pixel_vae, quadrant_cvae, vq_vae
from vae_paper.models.ae import AE
from vae_paper.sampling import interpolation, samplers
from vae_paper.vae import VAE, Terms

rng = np.random.default_rng(0)
NAN, INF = math.nan, math.inf


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def with_one(array, value):
    """The same, but for one number in its middle."""
    array = array.copy() if isinstance(array, np.ndarray) else array.clone()
    array.reshape(-1)[math.prod(array.shape) // 2] = value
    return array


def as_types(array, *types):
    return [torch.from_numpy(array.numpy().astype(t)) if isinstance(array, torch.Tensor) else array.astype(t) for t in types]


def not_finite(array):
    return [with_one(array, value) for value in (NAN, INF, -INF)]


def no_floats(array):
    return as_types(array, np.float16, np.uint8, np.int64, bool, np.complex64)


def no_labels(labels):
    """For what labels are asked of."""
    wrong = [labels[:1], labels[:, None], labels - 10, labels + 9, *as_types(labels, np.float32, np.int32, np.uint64, bool)]
    return [w for w in wrong if w.shape != labels.shape or str(w.dtype) != str(labels.dtype) or w.min() < 0 or w.max() > 9]


def no_labels_of_any_classes(labels):
    """The same where there may be more than ten classes."""
    return [wrong for wrong in no_labels(labels) if not (str(wrong.dtype).endswith("int64") and wrong.max() > 9)]


def no_images(x):
    wrong = [x[:0], x[0], x[:, :, :27], x * 255, x - 0.1, *not_finite(x)]
    return wrong + as_types(x, np.float16, np.uint8, np.int64)


def no_images_of_any_size(x):
    """The same where images may have any height and width."""
    return [wrong for wrong in no_images(x) if wrong.shape[-2:] == (28, 28)]


def no_counts(least: int = 1):
    return list(range(-1, least))


X = torch.from_numpy(rng.random((20, 1, 28, 28), np.float32))
LABELS = torch.arange(20) % 10
DATA = Data(X, LABELS, "noise")
VAE_2, CVAE_2, QUADRANT = VAE(2).eval(), cvae.CVAE(2).eval(), quadrant_cvae.QuadrantCVAE(2).eval()
VQ, PRIOR = vq_vae.VQVAE(2, codes=5).eval(), pixel_prior.PixelPrior(2, codes=5, channels=4, class_conditional=True).eval()
PIXEL, JUDGE = pixel_vae.PixelVAE(2, "bernoulli").eval(), classifier.Classifier().eval()
NATS, MU, LOGVAR = torch.from_numpy(normal(20)), torch.from_numpy(normal(20, 2)), torch.from_numpy(normal(20, 2))
CHOSEN = torch.tensor([3, 5, 8, 13, 15, 19])
FEATURES, MORE = normal(30, 3), normal(25, 3)
TABLE, SIZES = normal(24, 3), (2, 3, 4)
IMPORTANCE = np.abs(TABLE[:5])
COLUMN, OTHER = rng.integers(3, size=(2, 20))
FACTORS = np.array([[0, 1, 2, 3, 4], [2, 5, 14, 15, 15]])
GRIDS, FITTED = torch.from_numpy(rng.integers(5, size=(3, 7, 7))), torch.from_numpy(rng.integers(5, size=(9, 7, 7)))
NO_GRIDS = [GRIDS - 1, GRIDS + 1, GRIDS[0], GRIDS[:0], GRIDS.flatten(1), GRIDS.float(), GRIDS.int()]
COUNTS = torch.tensor([4, 0, 9, 1, 2])
Z_E, Z_Q = (torch.from_numpy(normal(3, 2, 7, 7)) for _ in range(2))
KL, POINT, CODES = rng.random(4), normal(3), normal(40, 3)
CLASSES = np.arange(40) % 4
IMAGES, POINTS = X.numpy(), normal(20, 2)
ROWS = [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0}]
OF_SIDE = {"codes": POINTS, "what": "", "z": POINTS[:4], "x_hat": IMAGES[:4], "measured": ""}
POSTERIOR = (MU.float(), LOGVAR.float())
NO_CLASSES = no_labels_of_any_classes(LABELS.numpy())

NO_DATA = [DATA.replace(images=X[:0], labels=LABELS[:0]), DATA.replace(labels=LABELS[:9])]
NO_IMAGES_IN = NO_DATA + [DATA.replace(images=wrong) for wrong in no_images(X) if len(wrong) == 20]
ONLY_WRONG_IMAGES_IN = [data for data in NO_IMAGES_IN if data.images.dtype in (DATA.images.dtype, torch.int64)]
POISONED = Terms(*(with_one(t, NAN) for t in (torch.ones(1, 4), torch.ones(4, 2), torch.ones(1, 4))))


def drawing(function):
    """A function that draws, as one that writes no file."""
    return lambda *arguments: function(Path("nowhere.png"), *arguments)


def at(seed):
    """A function that takes a generator, as one that is a function of its arguments."""
    return np.random.default_rng(seed)


# name -> function, arguments that are right, and for each argument what is wrong in its place
TRIED = {
    "vae_numpy.checks.check_images": (checks.check_images, [X], {0: no_images(X)}),
    "vae_numpy.checks.check_pixels": (checks.check_pixels, [KL], {0: [KL * 9, KL - 1, *not_finite(KL), *no_floats(KL)]}),
    "vae_numpy.checks.check_labels": (checks.check_labels, [LABELS, 20], {0: no_labels(LABELS), 1: [19, 21]}),
    "vae_numpy.parameters.shapes": (parameters.shapes, [2], {0: no_counts()}),
    "vae_numpy.checks.check_latents": (checks.check_latents, [MU, 2], {0: [MU[0], MU[:0], *no_floats(MU)], 1: [3]}),
    "vae_numpy.checks.check_alike": (
        lambda a, b: checks.check_alike(2, a=a, b=b), [MU, LOGVAR], {0: [MU[0], MU[:1], MU[None], *no_floats(MU)]}
    ),
    "vae_numpy.checks.check_at_least": (lambda n: checks.check_at_least(1, n=n), [1], {0: [*no_counts(), 0.5, NAN]}),
    "vae_numpy.checks.check_floats": (lambda a: checks.check_floats(a=a), [MU], {0: no_floats(MU)}),
    "vae_numpy.figures.image_rows": (
        lambda a, b: figures1.image_rows("nowhere.png", {"a": a, "b": b}, ""), [IMAGES, IMAGES], {0: [*no_images(IMAGES), X[:3]]}
    ),
    "vae_paper.measuring.classifier.Classifier.forward": (JUDGE, [X], {0: no_images(X)}),
    "vae_paper.measuring.classifier.Classifier.features": (JUDGE.features, [X], {0: no_images(X)}),
    "vae_paper.measuring.classifier.probabilities": (lambda x: classifier.probabilities(JUDGE, x), [X], {0: no_images(X)}),
    "vae_paper.measuring.classifier.accuracy": (
        lambda x, y: classifier.accuracy(JUDGE, x, y), [X, LABELS], {0: no_images(X), 1: no_labels(LABELS)}
    ),
    "vae_paper.models.cvae.CVAE.decode": (CVAE_2.decode, [MU.float(), LABELS], {0: no_floats(MU), 1: [*no_labels(LABELS), None]}),
    "vae_paper.models.quadrant_cvae.QuadrantCVAE.complete": (
        lambda x: QUADRANT.complete(x, MU[None].float()), [X], {0: no_images(X)}
    ),
    "vae_paper.models.quadrant_cvae.QuadrantCVAE.terms": (lambda x: QUADRANT(x, MU[None].float()), [X], {0: no_images(X)}),
    "vae_paper.measuring.disentanglement.higgins": (
        lambda *a: disentanglement.higgins(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5, 3],
        {0: [TABLE[:9], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3, 4), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement.factor_vae": (
        lambda *a: disentanglement.factor_vae(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5, 3],
        {0: [TABLE[:9], TABLE * 0, *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3, 4), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement.mig": (
        disentanglement.mig, [TABLE, SIZES],
        {0: [TABLE[:9], TABLE[:, 0], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (-2, -12), (1, 24)]},
    ),
    "vae_paper.measuring.disentanglement.check": (
        disentanglement.check, [TABLE, SIZES], {0: [TABLE[:9], *not_finite(TABLE)], 1: [(1, 24)]}
    ),
    "vae_paper.measuring.disentanglement.bins": (
        disentanglement.bins, [POINT], {0: [POINT[:0], POINT[None], *not_finite(POINT)]}
    ),
    "vae_paper.measuring.disentanglement.mutual_information": (
        disentanglement.mutual_information, [COLUMN, OTHER],
        {i: [c - 1, c[:1], c[:0], c[None], c.astype(float), c.astype(bool)] for i, c in ((0, COLUMN), (1, OTHER))},
    ),
    "vae_paper.measuring.disentanglement.accuracy": (
        disentanglement.accuracy, [COLUMN, OTHER, 9],
        {i: [c - 9, c + 9, c[:1], c[:0], c[None], c.astype(float), c.astype(bool)] for i, c in ((0, COLUMN), (1, OTHER))},
    ),
    "vae_paper.measuring.disentanglement_lib.beta_vae_sklearn": (
        lambda *a: disentanglement_lib.beta_vae_sklearn(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5, 3],
        {0: [TABLE[:9], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3, 4), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement_lib.factor_vae_score": (
        lambda *a: disentanglement_lib.factor_vae_score(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5, 3, 30],
        {0: [TABLE[:9], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3, 4, 5), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement_lib.dci": (
        lambda *a: disentanglement_lib.dci(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5],
        {0: [TABLE[:9], TABLE[:, :1], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement_lib.sap_score": (
        lambda *a: disentanglement_lib.sap_score(a[0], a[1], at(0), *a[2:]), [TABLE, SIZES, 20, 5],
        {0: [TABLE[:9], TABLE[:, :1], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)]}
        | dict.fromkeys((2, 3), no_counts(2)),
    ),
    "vae_paper.measuring.disentanglement_lib.sample": (
        lambda *a: disentanglement_lib.sample(a[0], a[1], at(0), a[2]), [TABLE, SIZES, 20],
        {0: [TABLE[:9], *not_finite(TABLE), *no_floats(TABLE)], 1: [(), (24,) * 2, (-2, -12), (1, 24)], 2: no_counts(2)},
    ),
    "vae_paper.measuring.disentanglement_lib.check_sample": (
        disentanglement_lib.check_sample, [TABLE, SIZES], {0: [TABLE[:9], TABLE[:, :1], *not_finite(TABLE)], 1: [(1, 24)]}
    ),
    "vae_paper.measuring.disentanglement_lib.check_values": (
        disentanglement_lib.check_values, [COLUMN, 3], {0: [COLUMN[:0], COLUMN[:1], COLUMN * 0 + 2]}
    ),
    **{
        f"vae_paper.measuring.disentanglement_lib.{function.__name__}": (
            function, [IMPORTANCE],
            {0: [IMPORTANCE[:1], IMPORTANCE[:, :1], IMPORTANCE[0], -IMPORTANCE, IMPORTANCE.astype(int), *not_finite(IMPORTANCE)]},
        )
        for function in (
            disentanglement_lib.disentanglement_of, disentanglement_lib.completeness_of, disentanglement_lib.concentration,
            disentanglement_lib.check_importance,
        )
    },
    "vae_paper.measuring.estimators.importance": (
        lambda data, ks, posterior: estimators.importance(VAE_2, data, ks, posterior=posterior), [DATA, [1, 3], POSTERIOR],
        {0: NO_IMAGES_IN, 1: [[], [0, 2], [3, 2], [2, 2], [-1]], 2: [(MU[:9].float(), LOGVAR[:9].float())]},
    ),
    "vae_paper.measuring.estimators.random_subset": (estimators.random_subset, [20, 5], {0: no_counts(), 1: no_counts()}),
    "vae_paper.measuring.estimators.corrected": (
        estimators.corrected, [NATS, CHOSEN, NATS[:6], NATS[6:12]],
        {0: [NATS[:9], NATS[None], *no_floats(NATS)], 2: [NATS[:1], NATS[None, :6], *no_floats(NATS[:6])], 3: [NATS[:1], NATS]}
        | {1: [CHOSEN[:1], CHOSEN[:, None], CHOSEN - 4, CHOSEN + 1, CHOSEN // 3, CHOSEN.float(), CHOSEN > 0]},
    ),
    "vae_paper.measuring.estimators.information": (
        lambda mu, logvar, n: estimators.information(mu[:n], logvar[:n]), [MU, LOGVAR, 20],
        {2: [0, 1]} | {i: [t[:9], t[0], *no_floats(t)] for i, t in enumerate((MU, LOGVAR))},
    ),
    "vae_paper.measuring.elbo.variance_of_means": (
        elbo.variance_of_means, [MU], {0: [MU[:1], MU[:0], MU[0], MU[None], *no_floats(MU)]}
    ),
    "vae_paper.measuring.estimators.frechet_distance": (
        estimators.frechet_distance, [FEATURES, MORE],
        {i: [f[:1], f[:0], f[0], f[:, :1], *not_finite(f), *no_floats(f)] for i, f in enumerate((FEATURES, MORE))},
    ),
    "vae_paper.measuring.estimators.frechet": (
        estimators.frechet, [FEATURES, MORE, 5], {0: [FEATURES[:4], *not_finite(FEATURES)], 1: [MORE[:4]], 2: [-1, 0, 1, 26]}
    ),
    "vae_paper.data.check_data": (check_data, [DATA], {0: NO_DATA}),
    "vae_paper.measuring.elbo.mean_of": (elbo.mean_of, [NATS], {0: [NATS[:1], NATS[:0], NATS[None], *no_floats(NATS)]}),
    "vae_paper.measuring.elbo.terms_of": (lambda d, k: elbo.terms_of(CVAE_2, d, k), [DATA, 2], {0: NO_IMAGES_IN, 1: no_counts()}),
    "vae_paper.measuring.elbo.averaged": (lambda d, n: elbo.averaged(VAE_2, d, n), [DATA, 2], {0: NO_IMAGES_IN, 1: no_counts()}),
    "vae_paper.measuring.elbo.summary": (lambda d, n: elbo.summary(VAE_2, d, n), [DATA, 1], {0: NO_IMAGES_IN, 1: no_counts()}),
    "vae_paper.measuring.elbo.summary_of": (
        lambda nats: elbo.summary_of(VAE_2, Terms(nats[None], nats[:, None], nats[None])), [NATS], {0: [NATS[:1], NATS[:0]]}
    ),
    "vae_paper.measuring.elbo.active_units": (
        elbo.active_units, [MU], {0: [MU[:1], MU[0], MU[None], *not_finite(MU), *no_floats(MU)]}
    ),
    "vae_paper.drawing.plots.manifold_latents": (plots.manifold_latents, [3], {0: no_counts()}),
    "vae_paper.drawing.plots.manifold": (
        drawing(plots.manifold), [IMAGES[:9], ""], {0: [IMAGES[:8], *no_images_of_any_size(IMAGES[:9])]}
    ),
    "vae_paper.drawing.plots.animation": (
        drawing(plots.animation), [[IMAGES[:4]] * 2, ["a", "b"], ""],
        {0: [[], [IMAGES[:4]], [IMAGES[:4], IMAGES[:9]], [with_one(IMAGES[:4], NAN)] * 2], 1: [[], ["a"], ["a", "b", "c"]]},
    ),
    "vae_paper.drawing.plots.scatters": (
        lambda p, y: plots.scatters("nowhere.png", {"": (POINTS, ""), "b": (p, "")}, y, ""), [POINTS, LABELS.numpy()],
        {0: [POINTS[:9], POINTS[:, :1], *not_finite(POINTS)], 1: NO_CLASSES},
    ),
    "vae_paper.drawing.plots.grid": (
        drawing(plots.grid), [IMAGES.reshape(4, 5, 1, 28, 28), "", list("abcd"), list("abcde")],
        {0: [x.reshape(4, 5, *x.shape[1:]) for x in no_images_of_any_size(IMAGES) if len(x) == 20] + [IMAGES]}
        | {2: [["a"]], 3: [["a"]]},
    ),
    "vae_paper.drawing.plots.rate": (
        drawing(plots.rate), [KL, KL > 0.5, ""],
        {0: [KL[:1], KL[:0], KL[None], *not_finite(KL)], 1: [KL[:1] > 0.5, np.arange(4), np.append(KL > 0.5, True)]},
    ),
    "vae_paper.drawing.plots.curves": (
        drawing(plots.curves), [ROWS, ""], {0: [[], [*ROWS, {"epoch": 3.0}], [*ROWS, {"epoch": 3.0, "loss": NAN}]]}
    ),
    "vae_paper.drawing.plots.codebook_usage": (
        lambda a, b: plots.codebook_usage("nowhere.png", {"a": a, "b": b}, ""), [COUNTS.numpy(), COUNTS.numpy()],
        {0: [COUNTS.numpy()[:4], COUNTS.numpy() * 0, COUNTS.numpy() - 1, COUNTS.numpy()[None]]},
    ),
    "vae_paper.drawing.plots.side_by_side": (
        lambda m, y: plots.side_by_side("nowhere.png", {"AE": OF_SIDE, "VAE": m}, y, ""), [OF_SIDE, LABELS.numpy()],
        {0: [OF_SIDE | {k: with_one(OF_SIDE[k], NAN)} for k in ("codes", "z", "x_hat")], 1: NO_CLASSES},
    ),
    "vae_paper.measuring.sample_quality.samples": (
        sample_quality.samples, [CVAE_2, 3], {0: [QUADRANT, AE(2), pixel_vae.PixelVAE(2)], 1: no_counts()}
    ),
    "vae_paper.measuring.sample_quality.features": (lambda x: sample_quality.features(JUDGE, x), [X], {0: no_images(X)}),
    "vae_paper.measuring.sample_quality.distance": (
        lambda a, b: sample_quality.distance(JUDGE, a, b), [X, X], {0: [X[:9], *no_images(X)], 1: [X[:9], *no_images(X)]}
    ),
    "vae_paper.measuring.inference_gap.gaps": (
        lambda m, d, k, s: inference_gap.gaps(m, d, k, s), [VAE_2, DATA, 2, 1],
        {0: [AE(2), VQ], 1: [d for d in NO_IMAGES_IN if len(d.images)], 2: no_counts(), 3: no_counts()},
    ),
    "vae_paper.measuring.inference_gap.best_factorised": (
        lambda *a: inference_gap.best_factorised(CVAE_2, *a[:-2], 0, *a[-2:]), [X, LABELS, 1, 2, 0.05, 9],
        {0: no_images(X), 1: no_labels(LABELS), 2: no_counts(), 3: no_counts(), 4: [NAN, -0.1, 0.0], 5: no_counts()},
    ),
    "vae_paper.sampling.interpolation.guided": (
        interpolation.guided, [POINT, -POINT, CODES, CLASSES, (0, 3), 5],
        {0: [POINT[:2], POINT[None], *no_floats(POINT)], 2: [CODES[:, :2], CODES[:0], CODES[:9], *no_floats(CODES)]}
        | {3: no_labels(CLASSES), 4: [(0, 7)], 5: no_counts(2)},
    ),
    "vae_paper.measuring.inspect.reductions": (inspect.reductions, [784, 2, 128], dict.fromkeys((0, 1, 2), no_counts())),
    "vae_paper.measuring.inspect.entropy": (
        lambda d: inspect.entropy(d, VAE_2.counted), [DATA], {0: [NO_IMAGES_IN[0], *NO_IMAGES_IN[2:]]}
    ),
    "vae_paper.measuring.inspect.inspect": (lambda d: inspect.inspect(VAE_2, d, 1), [DATA], {0: ONLY_WRONG_IMAGES_IN}),
    "vae_paper.drawing.latent_space.projections": (
        latent_space.projections, [CODES], {0: [CODES[:1], CODES[0], *no_floats(CODES)]}
    ),
    "vae_paper.drawing.latent_space.pairs": (
        latent_space.pairs, [CLASSES, 3, 2],
        {0: [CLASSES * 0, CLASSES[:0], *no_labels_of_any_classes(CLASSES)[1:]], 1: [-1, 40], 2: no_counts()}
    ),
    "vae_paper.drawing.latent_space.nearest": (
        latent_space.nearest, [POINT[None], CODES],
        {0: [POINT, POINT[None, :2], *no_floats(POINT[None])], 1: [CODES[:0], CODES[0]]}
    ),
    "vae_paper.drawing.pictures.completed": (lambda x: pictures.completed(QUADRANT, x, 2, 0), [X], {0: no_images(X)}),
    "vae_paper.sampling.samplers.sample_images": (
        lambda name, n, y: samplers.sample_images(PRIOR, n, name, 0, y), ["prior", 2, 3],
        {0: ["flow"], 1: no_counts(), 2: [-1, 10]},
    ),
    "vae_paper.models.pixel_prior.PixelPrior.forward": (lambda x: PRIOR(x, MU[None].float(), LABELS), [X], {0: no_images(X)}),
    "vae_paper.models.pixel_prior.PixelPrior.hidden": (PRIOR.hidden, [GRIDS, LABELS[:3]], {1: [None, *no_labels(LABELS[:3])]}),
    "vae_paper.models.pixel_prior.PixelPrior.logits": (PRIOR.logits, [GRIDS, LABELS[:3]], {1: [None, *no_labels(LABELS[:3])]}),
    "vae_paper.models.pixel_prior.PixelPrior.cost": (PRIOR.cost, [GRIDS, LABELS[:3]], {1: [None, *no_labels(LABELS[:3])]}),
    "vae_paper.models.pixel_prior.PixelPrior.cost_of_unlabelled": (
        PRIOR.cost_of_unlabelled, [GRIDS, torch.full((10,), 0.1)],
        {1: [torch.full((9,), 1 / 9), torch.full((10,), 0.2), with_one(torch.full((10,), 0.1), NAN), torch.eye(10)[0] - 0.1]},
    ),
    "vae_paper.models.pixel_prior.PixelPrior.draw_codes": (
        lambda y: PRIOR.draw_codes(3, torch.Generator(), y), [LABELS[:3]], {0: [None, *no_labels(LABELS[:3])]}
    ),
    "vae_paper.models.pixel_prior.table_cost": (
        pixel_prior.table_cost, [GRIDS, FITTED, 5], {0: NO_GRIDS, 1: [*NO_GRIDS, FITTED + 1], 2: [4, 0]}
    ),
    "vae_paper.models.pixel_vae.PixelVAE.distortion": (
        lambda x: PIXEL.distortion(MU[None].float(), x), [X.round()], {0: [X, X * 255, X - 0.1, *not_finite(X)]}
    ),
    "vae_paper.models.pixel_vae.PixelVAE.images_of": (
        lambda z: PIXEL.images_of(z, None, torch.Generator()), [MU[:1].float()],
        {0: [MU[:0].float(), MU[0].float(), *no_floats(MU)]}
    ),
    "vae_paper.drawing.animation.moments": (animation.moments, [20, 4], {0: no_counts(), 1: no_counts()}),
    "vae_paper.sampling.samplers.draw": (
        lambda name, n, y: samplers.draw(name, VAE_2, n, 0, y, DATA), ["class", 3, 4],
        {0: ["flow", "prior"], 1: no_counts(), 2: [-1, 10]},
    ),
    "vae_paper.sampling.samplers.latents_of": (lambda d: samplers.latents_of(CVAE_2, d), [DATA], {0: NO_IMAGES_IN}),
    "vae_paper.sampling.samplers.mixture": (
        lambda c, n: samplers.mixture(c, n, at(0), 2), [CODES, 3],
        {0: [CODES[:1], CODES[0], *not_finite(CODES), *no_floats(CODES)], 1: no_counts()},
    ),
    "vae_paper.sampling.samplers.gaussian": (
        lambda c, n: samplers.gaussian(c, n, at(0)), [CODES, 3],
        {0: [CODES[:1], CODES[0], *not_finite(CODES), *no_floats(CODES)], 1: no_counts()},
    ),
    "vae_paper.sampling.samplers.per_class": (
        lambda c, y, asked: samplers.per_class(c, y, asked, at(0)), [CODES, CLASSES, np.array([0, 3])],
        {0: [CODES[:9], *not_finite(CODES), *no_floats(CODES)], 1: no_labels(CLASSES), 2: [np.array([0, 7]), np.array([NAN])]},
    ),
    "vae_paper.sprites.render": (
        sprites.render, [FACTORS], {0: [FACTORS[:, :4], FACTORS[0], FACTORS - 1, FACTORS + 1, *as_types(FACTORS, float, bool)]}
    ),
    "vae_paper.sprites.inside": (sprites.inside, ["heart", POINT, POINT], {0: ["circle"]}),
    "vae_paper.models.vq_vae.VQVAE.codes_of": (VQ.codes_of, [X], {0: no_images(X)}),
    "vae_paper.models.vq_vae.VQVAE.forward": (lambda x: VQ(x, MU[None].float()), [X], {0: no_images(X)}),
    "vae_paper.models.vq_vae.VQVAE.decode": (VQ.decode, [GRIDS], {0: NO_GRIDS}),
    "vae_paper.models.vq_vae.check_codes": (
        lambda codes, size: vq_vae.check_codes(codes, size, (7, 7)), [GRIDS, 5], {0: NO_GRIDS, 1: [4]}
    ),
    "vae_paper.models.vq_vae.straight_through": (vq_vae.straight_through, [Z_E, Z_Q], {0: [Z_E[:1], Z_E[0], *no_floats(Z_E)]}),
    "vae_paper.models.vq_vae.squared_distance": (vq_vae.squared_distance, [Z_E, Z_Q], {0: [Z_E[:1], Z_E[0], *no_floats(Z_E)]}),
    "vae_paper.models.vq_vae.counts_of": (vq_vae.counts_of, [GRIDS, 5], {0: [GRIDS + 1], 1: [4]}),
    "vae_paper.models.vq_vae.perplexity": (
        vq_vae.perplexity, [COUNTS], {0: [COUNTS - 1, COUNTS[None], with_one(COUNTS * 1.0, NAN)]}
    ),
}  # fmt: skip
# One line, which says what was expected, or why there is nothing to be expected
SAID = r".*(expected|have no order|logits depend|has no q|no code has|no Gaussian q|the same for every|NaN|binarise them).*"


@pytest.fixture
def no_file(monkeypatch):
    """Figures are made and not written."""
    monkeypatch.setattr(figures1, "save", lambda figure, path: None)
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    monkeypatch.setattr(plots, "write_atomically", lambda path, data: None)
    monkeypatch.setattr(plots.PillowWriter, "grab_frame", lambda writer: None)
    monkeypatch.setattr(plots.PillowWriter, "finish", lambda writer: Path(writer.outfile).touch())


@pytest.mark.usefixtures("no_file")
@pytest.mark.parametrize("name", TRIED)
def test_what_is_wrong_is_refused_and_what_is_right_is_not(name):
    function, arguments, tables = TRIED[name]
    function(*arguments)
    for index, table in tables.items():
        for number, wrong in enumerate(table):
            try:
                got = function(*arguments[:index], wrong, *arguments[index + 1 :])
            except ValueError as error:
                said = str(error)
                assert re.fullmatch(SAID, said), f"argument {index}, wrong value {number}: {said}"
            else:
                pytest.fail(f"argument {index}, wrong value {number}: accepted, {got}")


def numbers(out):
    """All numbers in what a function returns."""
    if isinstance(out, Data):
        return numbers(out.images)
    if isinstance(out, torch.Tensor):
        return [out.detach().numpy()]
    if isinstance(out, dict):
        return numbers(list(out.values()))
    return [n for part in out for n in numbers(part)] if isinstance(out, list | tuple) else [np.asarray(out)]


PURE = [
    *(f"measuring.disentanglement.{name}" for name in ("mig", "bins", "mutual_information", "accuracy")),
    *(f"measuring.disentanglement_lib.{name}" for name in ("disentanglement_of", "completeness_of", "concentration")),
    *(f"measuring.estimators.{name}" for name in ("corrected", "information", "frechet_distance", "frechet")),
    *("measuring.elbo.mean_of", "measuring.elbo.active_units", "measuring.classifier.probabilities", "measuring.inspect.entropy"),
    *(f"drawing.latent_space.{name}" for name in ("pairs", "nearest")),
    *("sampling.interpolation.guided", "sampling.samplers.gaussian", "sampling.samplers.per_class", "sprites.render"),
    *(f"models.vq_vae.{name}" for name in ("straight_through", "squared_distance", "VQVAE.decode", "counts_of", "perplexity")),
    *("models.pixel_prior.PixelPrior.cost", "models.pixel_prior.table_cost"),
]


@pytest.mark.parametrize("name", PURE)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_memory_layout_changes_nothing(name, data):
    function, arguments, _ = TRIED[f"vae_paper.{name}"]

    def anew(argument):
        if isinstance(argument, Data):
            return argument.replace(images=anew(argument.images))
        if isinstance(argument, torch.Tensor):  # which cannot be read-only
            view = laid(argument.numpy(), data)
            return torch.from_numpy(view if view.flags.writeable else view.copy())
        return laid(argument, data) if isinstance(argument, np.ndarray) else argument

    views = [anew(argument) for argument in arguments]
    for a, b in zip(numbers(function(*views)), numbers(function(*arguments)), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    for view, argument in zip(views, arguments, strict=True):
        np.testing.assert_array_equal(numbers(view)[0], numbers(argument)[0])


SHOWN = {
    "vae_paper.measuring.elbo.mean_of": [0],
    "vae_paper.measuring.estimators.corrected": [0, 2, 3],
    "vae_paper.measuring.estimators.information": [0, 1],
    "vae_paper.sampling.interpolation.guided": [0, 1, 2],
    "vae_paper.drawing.latent_space.nearest": [0, 1],
    "vae_paper.models.vq_vae.straight_through": [0, 1],
    "vae_paper.models.vq_vae.squared_distance": [0, 1],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name, indices in SHOWN.items() for index in indices])
@pytest.mark.parametrize("bad", [NAN, INF])
def test_what_is_not_finite_shows(name, index, bad):
    function, arguments, _ = TRIED[name]
    changed = [with_one(a, bad) if i == index else a for i, a in enumerate(arguments)]
    with np.errstate(invalid="ignore"):
        found, before = numbers(function(*changed)), numbers(function(*arguments))
    if name.endswith("nearest") and math.isinf(bad) and index == 1:  # infinitely far away, and so never the nearest
        return
    assert any((~np.isfinite(part)).any() for part in found) and all(np.isfinite(part).all() for part in before)


def test_what_is_not_finite_shows_in_terms_and_formulas():
    assert torch.isnan(POISONED.rate.mean(0)).any()
    assert torch.isnan(likelihoods.log_constant(torch.tensor([NAN, 1.0]))).tolist() == [True, False]
    for likelihood in ("mse", "gaussian", "optimal-gaussian"):
        assert math.isnan(inspect.variances(VAE(2, likelihood), NAN, 1.0)["squared_error_per_pixel"])
    assert math.isnan(inspect.variances(VAE(2, "mse"), 1.0, NAN)["with_beta"])
    assert not sprites.inside("square", np.array([NAN]), np.array([0.0])).any()
    spoiled = vq_vae.VQVAE(2, codes=5).eval()
    spoiled.encoder.to_code.bias.data[0] = NAN  # the first code is then the nearest, and the loss says that it is not
    assert torch.isnan(spoiled(X, MU[None].float()).penalty)


@given(st.floats(-100, 100))
@settings(max_examples=15, deadline=None)
def test_the_information_of_any_width(logvar):
    """At most log N; exactly that where all q(z|x) are points, as e^-100 is, and nothing where they are all one."""
    mu = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    found = estimators.information(mu, torch.full_like(mu, logvar))
    low = found.mutual_information_low.value
    assert math.isfinite(low) and low <= math.log(20) + 1e-9
    if logvar < -20:
        assert low == pytest.approx(math.log(20), abs=1e-9)
    if logvar > 50:
        assert low == pytest.approx(0, abs=1e-9) and found.mutual_information_high.value == pytest.approx(0, abs=1e-9)


def test_equal_widths_do_not_drown_the_information():
    """Images whose q are one and the same point: each of 20 is one of two, and log 2 is what z tells."""
    mu = torch.tensor([[1.0], [2.0]], dtype=torch.float64).repeat(10, 1)
    found = estimators.information(mu, torch.full_like(mu, -30.0))
    assert found.mutual_information_low.value == pytest.approx(math.log(2), abs=0.05)


def test_a_latent_that_never_varies_is_in_one_bin_in_any_precision():
    for dtype in (np.float32, np.float64):
        assert disentanglement.bins(np.full(5, 3, dtype)).tolist() == [0] * 5
        assert disentanglement.bins(np.array([0, 1, 2], dtype)).tolist() == [0, 10, 19]
    assert disentanglement.mutual_information(COLUMN.astype(np.uint8) + 253, COLUMN) == pytest.approx(
        disentanglement.mutual_information(COLUMN, COLUMN)  # 255 + 1 is 0 in eight bits
    )


def test_where_one_feature_is_all_there_is():
    assert estimators.frechet_distance(FEATURES[:, :1], FEATURES[:, :1] + 2) == pytest.approx(4)


def test_no_image_of_no_factors():
    assert sprites.render(FACTORS[:0]).shape == (0, 1, 28, 28)


def test_combinations_that_there_are_not():
    """In the loop of a metric nothing is looked at twice: numpy says it."""
    for wrong in (np.array([[2], [0], [0]]), np.array([[-1], [0], [0]])):
        with pytest.raises(ValueError, match="invalid entry"):
            disentanglement.look_up(TABLE, wrong, SIZES)


def test_what_is_seen_decides_a_completion():
    """With the encoder's own q given as a posterior, the bound is the model's own: its learned prior is not N(0, I)."""
    mu, logvar = (t.detach() for t in QUADRANT.encode(X))
    given, own = (estimators.importance(QUADRANT, DATA, [3], posterior=q) for q in ((mu, logvar), None))
    torch.testing.assert_close(given.iwae, own.iwae)
    for seen in (0, 4, 1.5):
        with pytest.raises(ValueError, match="expected 1, 2 or 3 quadrants"):
            quadrant_cvae.QuadrantCVAE(2, seen=seen)
