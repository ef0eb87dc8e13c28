"""No public function is forgotten: each is tried with wrong values, in a table or in a file that is named, or needs no trial."""

import fnmatch
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from test_no_plausible_measurement import TRIED

import vae_lowlevel
import vae_numpy
import vae_paper

# Where else a function is tried: file -> names, each of which is to be found there
ELSEWHERE = {
    "test_reproductions": "vae_paper.sprites.load",
    "test_no_plausible_number": """
        vae_numpy.vae.encode vae_numpy.vae.decode vae_numpy.vae.reparameterize vae_numpy.vae.reconstruction_loss
        vae_numpy.vae.kl_divergence vae_numpy.vae.elbo vae_numpy.layers.linear vae_numpy.layers.conv2d
        vae_numpy.layers.conv_transpose2d vae_numpy.layers.relu vae_numpy.layers.sigmoid
        vae_lowlevel.vae.encode vae_lowlevel.vae.decode vae_lowlevel.vae.reparameterize vae_lowlevel.vae.reconstruction_loss
        vae_lowlevel.vae.kl_divergence vae_lowlevel.vae.elbo
        vae_paper.vae.VAE.encode vae_paper.vae.VAE.decode vae_paper.vae.VAE.forward vae_paper.vae.reparameterize
        vae_paper.vae.kl_divergence vae_paper.cvae.CVAE.encode vae_paper.likelihoods.bernoulli vae_paper.likelihoods.binarise
        vae_paper.interpolation.lerp vae_paper.interpolation.slerp vae_paper.objectives.elbo vae_paper.objectives.iwae
        vae_paper.objectives.beta_loss vae_paper.objectives.free_bits vae_paper.objectives.capacity
        vae_paper.schedules.linear vae_paper.schedules.cyclical vae_paper.schedules.one_cycle""",
    "test_weights": """
        vae_numpy.checks.check_params vae_numpy.weights.save vae_numpy.weights.load
        vae_numpy.weights.save_tensors vae_numpy.weights.load_tensors""",
    "test_digits": "vae_numpy.digits.load vae_numpy.digits.is_on_disk",
    "test_bad_input": "vae_numpy.command_line.run vae_paper.train.train",
    "test_nothing_lost": """
        vae_lowlevel.train.train vae_lowlevel.train.train_step vae_paper.train.train_step vae_paper.train.split
        vae_paper.checkpoint.save_state vae_paper.checkpoint.write_csv""",
    "test_nothing_let_in": "vae_paper.download.download",
    "test_configuration": "vae_paper.config.checked",
    "test_commands": "vae_paper.checkpoint.locked vae_numpy.command_line.spelled",
    "test_pictures": "vae_paper.pictures.load vae_paper.gallery.draw vae_paper.replay.replay vae_paper.pictures.caption",
    "test_inspect": "vae_paper.microscope.inspect vae_paper.microscope.table",
    "test_evaluator": "vae_paper.report.report vae_paper.report.measure",
    "test_layers_are_exact": "vae_numpy.layers.conv2d_loops",
    "test_explorer": """
        vae_paper.explorer.explore.explore vae_paper.explorer.explore.load vae_paper.explorer.explore.golden
        vae_paper.explorer.explore.every_tensor vae_paper.explorer.explore.with_label""",
}  # fmt: skip
# Why a function needs no test of wrong values -> names, or patterns of names
EXEMPT = {
    "a command line: test_bad_input, and a test of its own": "*.main vae_paper.sample.*",
    "experiments, made of what is tried here": "vae_paper.reproduce.*",
    "models that tests are made of; float64, and images of any value": "vae_paper.oracles.*",
    "the specification that the layers are compared with": "vae_numpy.layers.*_loops",
    "a size and a generator: `parameters.shapes` refuses a size below 1": "vae_*.init_params",
    "a decorator": "vae_numpy.vae.in_parts",
    "texts and tensors that `explore` has looked at": "vae_paper.explorer.explore.assemble",
    "bytes, a figure or a process, and a path: test_nothing_lost": """
        vae_numpy.figures.save vae_numpy.files.write_atomically vae_numpy.files.is_gone""",
    "no argument, or none that decides a number": """
        vae_numpy.digits.data_folder vae_paper.schedules.constant vae_paper.sprites.all_factors vae_paper.vae.Model.*
        vae_paper.vq_vae.VQVAE.end_epoch vae_paper.disentanglement.codes_of_sprites""",
    "called by `train`, which looks at its configuration; a batch is looked at by the model": """
        vae_lowlevel.train.* vae_paper.train.*""",
    "processes of torchrun and numbers of a batch that the model has looked at: test_distributed": "vae_paper.distributed.*",
    "files and configurations: test_nothing_let_in": "vae_paper.checkpoint.* vae_paper.config.*",
    "a name, which `digits.load` looks at": "vae_paper.classifier.trained vae_paper.evaluate.load_data",
    "a question about a model's class": """
        vae_paper.evaluate.bounded vae_paper.generated.has_samples vae_paper.samplers.looks_at_images
        vae_paper.pictures_of_codes.vq_vae_of vae_paper.microscope.pixels_of""",
    "any float; NaN shows: test_what_is_not_finite_shows_in_terms_and_formulas": """
        vae_paper.evaluate.kl_per_latent vae_paper.likelihoods.log_constant vae_paper.microscope.variances""",
    "tried by its name in LIKELIHOODS: test_no_plausible_number": "vae_paper.likelihoods.*",
    "a run that `pictures.load` has read, and a path: test_pictures": """
        vae_paper.gallery.* vae_paper.pictures.Subject.* vae_paper.pictures*.reconstructions vae_paper.pictures*.samples
        vae_paper.pictures.pixel_samples vae_paper.pictures.manifold vae_paper.pictures.scatter vae_paper.pictures.traversals
        vae_paper.pictures.interpolations vae_paper.pictures.cvae_grid vae_paper.pictures.rate vae_paper.pictures.curves
        vae_paper.pictures.ae_beside_vae vae_paper.pictures.codes_and_samples vae_paper.pictures.completions
        vae_paper.pictures.animation vae_paper.pictures_of_codes.codebook_usage""",
    "`decode` and `manifold_latents` look at it": "vae_paper.pictures.x_hat vae_paper.pictures.decoded_manifold",
    "words around numbers that are tried here": "vae_paper.report.*",
    "test_combinations_that_there_are_not": "vae_paper.disentanglement.look_up",
    "a part of a model, whose `encode`, `decode`, `hidden` or likelihood look at what goes in": """
        vae_paper.*.Encoder.* vae_paper.*.Decoder.* vae_paper.vae.VAE.terms vae_paper.vae.VAE.distortion vae_paper.vae.AE.forward
        vae_paper.cvae.QuadrantCVAE.prior_of vae_paper.cvae.QuadrantCVAE.unseen_nats vae_paper.pixel_vae.MaskedConv2d.forward
        vae_paper.pixel_vae.Before.forward
        vae_paper.pixel_prior.GatedLayer.forward vae_paper.pixel_prior.gate vae_paper.vq_vae.VQVAE.distortion""",
    "refuses everything: test_what_is_seen_decides_a_completion, test_variants": """
        vae_paper.cvae.QuadrantCVAE.decode vae_paper.pixel_vae.PixelVAE.decode""",
    "at every step of training: torch refuses codes that there are not, and NaN shows in the penalty": """
        vae_paper.vq_vae.VQVAE.embed vae_paper.vq_vae.VQVAE.nearest vae_paper.vq_vae.nearest""",
    "a count, which `drawn` looks at": "vae_paper.vq_vae.VQVAE.sample",
}


def public_functions():
    """Every function, and every method of a class, of the three packages whose name has no leading underscore."""
    for package in (vae_numpy, vae_lowlevel, vae_paper):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, thing in vars(module).items():
                if not name.startswith("_") and getattr(thing, "__module__", None) == found.name:
                    methods = vars(thing) if inspect.isclass(thing) else {}
                    names = [f"{name}.{n}" for n, m in methods.items() if inspect.isfunction(m) and not n.startswith("_")]
                    yield from (f"{found.name}.{n}" for n in ([name] if inspect.isfunction(thing) else names))


def test_the_census():
    """No public function is forgotten, and no table names what there is no more."""
    there = set(public_functions())
    elsewhere = {name: file for file, names in ELSEWHERE.items() for name in names.split()}
    assert len(there) > 300
    assert not {*TRIED, *elsewhere} - there, "there is no such function any more"
    assert not {*TRIED} & {*elsewhere}, "tried twice"
    left = there - {*TRIED} - {*elsewhere}
    patterns = [pattern for names in EXEMPT.values() for pattern in names.split()]
    for pattern in patterns:
        assert fnmatch.filter(left, pattern), f"{pattern} exempts nothing"
    forgotten = {name for name in left if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}
    assert not forgotten, "these stand in no table: try them with wrong values, or say why not"
    for name, file in elsewhere.items():
        text = Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8")
        assert re.search(rf"\b{name.split('.')[-1]}\b", text), f"{name} is not to be found in {file}.py"
