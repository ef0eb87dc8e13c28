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
    "test_images": """
        vae_paper.image_files.load vae_paper.image_files.listed vae_paper.image_files.read_image vae_paper.cifar.load
        vae_paper.vae.stages""",
    "test_no_plausible_number": """
        vae_numpy.vae.encode vae_numpy.vae.decode vae_numpy.vae.reparameterize vae_numpy.vae.reconstruction_loss
        vae_numpy.vae.kl_divergence vae_numpy.vae.elbo vae_numpy.layers.linear vae_numpy.layers.conv2d
        vae_numpy.layers.conv_transpose2d vae_numpy.layers.relu vae_numpy.layers.sigmoid
        vae_lowlevel.vae.encode vae_lowlevel.vae.decode vae_lowlevel.vae.reparameterize vae_lowlevel.vae.reconstruction_loss
        vae_lowlevel.vae.kl_divergence vae_lowlevel.vae.elbo
        vae_paper.vae.VAE.encode vae_paper.vae.VAE.decode vae_paper.vae.Model.forward vae_paper.vae.reparameterize
        vae_paper.vae.kl_per_latent vae_paper.models.cvae.CVAE.encode vae_paper.likelihoods.bernoulli
        vae_paper.likelihoods.binarise vae_paper.sampling.interpolation.lerp vae_paper.sampling.interpolation.slerp
        vae_paper.objectives.elbo vae_paper.objectives.iwae vae_paper.objectives.beta_loss vae_paper.objectives.free_bits
        vae_paper.objectives.capacity vae_paper.schedules.linear vae_paper.schedules.cyclical vae_paper.schedules.one_cycle""",
    "test_weights": """
        vae_numpy.checks.check_params vae_numpy.weights.save vae_numpy.weights.load
        vae_numpy.weights.save_tensors vae_numpy.weights.load_tensors""",
    "test_digits": "vae_numpy.digits.load vae_numpy.digits.is_on_disk vae_numpy.digits.resolved",
    "test_writing_is_safe": "vae_numpy.files.write_atomically vae_numpy.files.check_writable vae_numpy.files.is_gone",
    "test_standard_streams": "vae_numpy.command_line.shown",
    "test_bad_input": """
        vae_numpy.checks.check_arrays vae_numpy.checks.check_layer vae_numpy.checks.check_pair vae_numpy.command_line.run
        vae_paper.training.train""",
    "test_nothing_lost": """
        vae_lowlevel.train.train vae_lowlevel.train.train_step vae_paper.training.train_step vae_paper.data.split
        vae_paper.state_files.save_state vae_paper.state_files.read_state vae_paper.weight_files.write_csv""",
    "test_nothing_let_in": "vae_paper.download.download",
    "test_configuration": "vae_paper.config.checked vae_paper.initial.initial_model",
    "test_commands": "vae_paper.runs.locked vae_numpy.command_line.command_of vae_numpy.__main__.standard_error",
    "test_pictures": """
        vae_paper.drawing.subject.read vae_paper.drawing.figures.draw vae_paper.drawing.animation.replay""",
    "test_inspect": "vae_paper.measuring.inspect.table",
    "test_own_code": "vae_paper.data.binarised vae_paper.vae.check_size vae_paper.models.checked_arguments",
    "test_house": "vae_paper.models.summary",
    "test_devices": "vae_paper.devices.check vae_paper.devices.numerics",
    "test_evaluator": "vae_paper.measuring.evaluate.evaluate_run vae_paper.measuring.evaluate.evaluate",
    "test_layers_are_exact": "vae_numpy.layers.conv2d_loops",
    "test_pixel_prior": "vae_paper.initial.inherit",
    "test_explorer": """
        vae_paper.explorer.explore.explore vae_paper.explorer.explore.load vae_paper.explorer.explore.golden
        vae_paper.explorer.explore.every_tensor vae_paper.explorer.explore.with_label""",
}
# Why a function needs no test of wrong values -> names, or patterns of names
EXEMPT = {
    "a command line: test_bad_input, and a test of its own": """
        *.main vae_paper.drawing.sample.* vae_paper.__main__.start vae_lowlevel.__main__.*
        vae_paper.measuring.inspect.inspect_run""",
    "experiments, made of what is tried here": "vae_paper.reproduce.*",
    "the definitions of the layers, with the same checks: test_layers": "vae_numpy.layers.*_loops",
    "a size and a generator: `parameters.shapes` refuses a size below 1": "vae_*.init_params",
    "encode and decode on a large batch: test_a_large_batch_is_taken_in_parts": "vae_numpy.vae.in_parts",
    "a figure and a path, which `write_atomically` looks at": "vae_numpy.figures.save",
    "texts and tensors that `explore` has looked at": "vae_paper.explorer.explore.assemble",
    "no argument, or none that decides a number": """
        vae_numpy.digits.data_folder vae_numpy.checks.values_are_visible vae_numpy.files.why_unreadable
        vae_paper.sprites.all_factors vae_paper.vae.Model.*
        vae_paper.measuring.disentanglement.codes_of_sprites vae_paper.data.Data.* vae_paper.vae.Terms.of_images
        vae_paper.measuring.elbo.evaluating vae_paper.measuring.elbo.times vae_paper.devices.is_available
        vae_paper.devices.is_cuda vae_paper.devices.on_cpu vae_paper.devices.sum_dtype
        vae_paper.devices.decodes_at_once""",
    "terms, which check themselves: test_objectives": """
        vae_paper.objectives.sticking_the_landing vae_paper.objectives.dreg vae_paper.objectives.through_z""",
    "steps of `train`: test_cuda_graph": "vae_paper.cuda_graph.*",
    "z and images that `Model.terms` has checked: test_flows": """
        vae_paper.estimated_rate.* vae_paper.models.flow_prior.* vae_paper.models.vamp_prior.* vae_paper.models.iaf.*""",
    "called by `train`, which checks its configuration; a model checks its batch": "vae_lowlevel.train.* vae_paper.training.*",
    "a run's folder, in the hands of `train`: test_nothing_lost, test_commands, test_own_code": """
        vae_paper.runs.* vae_paper.run_config.* vae_paper.state_files.load_state""",
    "processes of torchrun and numbers of a batch that the model has checked: test_distributed": "vae_paper.distributed.*",
    "any header, any model: test_passed_in_python": "vae_numpy.weights.kind_of vae_paper.measuring.elbo.unit_of",
    "files and configurations: test_nothing_let_in": """
        vae_paper.weight_files.* vae_paper.config.* vae_paper.initial.check_made_with vae_paper.measuring.classifier.read""",
    "tensors that the levels check: test_levels_agree": "vae_paper.trace.*",
    "names, which `models.class_of` and `data.resolved` refuse: test_commands": """
        vae_paper.models.names vae_paper.models.class_of vae_paper.models.name_of vae_paper.models.options_of
        vae_paper.models.build vae_paper.measuring.classifier.trained vae_paper.data.load_data vae_paper.data.data_of
        vae_paper.data.resolved vae_paper.data.trained_on vae_paper.sampling.samplers.needs_images""",
    "any float; NaN shows: test_what_is_not_finite_shows_in_terms_and_formulas": """
        vae_paper.likelihoods.log_constant vae_paper.measuring.inspect.variances""",
    "tried by its name in LIKELIHOODS: test_no_plausible_number": "vae_paper.likelihoods.*",
    "a source and its files: test_images": """
        vae_paper.image_files.load_* vae_paper.image_files.classes_of vae_paper.image_files.count vae_paper.image_files.path_in
        vae_paper.image_files.hashed vae_paper.cifar.archive vae_paper.data.count vae_paper.data.shape_asked""",
    "integers": "vae_paper.measuring.elbo.mixed",
    "a check itself, by way of `evaluate` and `Subject`: test_own_code": "vae_paper.measuring.elbo.check_kinds",
    "a subject that `read` has checked, and a path: test_pictures": """
        vae_paper.drawing.figures.* vae_paper.drawing.subject.* vae_paper.drawing.pictures.* vae_paper.drawing.latent_space.*
        vae_paper.drawing.animation.animation""",
    "words around numbers that are tried here": "vae_paper.measuring.evaluate.*",
    "a table that `higgins` or `factor_vae` has checked": """
        vae_paper.measuring.disentanglement.differences vae_paper.measuring.disentanglement.vote""",
    "test_combinations_that_there_are_not": "vae_paper.measuring.disentanglement.look_up",
    "a part of a model, whose `encode`, `decode`, `hidden` or likelihood checks what goes in": """
        vae_paper.*.Encoder.* vae_paper.*.Decoder.* vae_paper.vae.VAE.* vae_paper.models.ae.AE.*
        vae_paper.models.quadrant_cvae.QuadrantCVAE.* vae_paper.models.pixel_vae.*
""",
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


def has_tests_of_its_own(function: str) -> bool:
    """Whether it belongs to a variant, models/X.py, that is tried in tests/test_X.py: no table has to be edited for it."""
    folder, stem = function.split(".")[1:3]
    return folder == "models" and Path(__file__).with_name(f"test_{stem}.py").is_file()


def test_the_census():
    """No public function is forgotten, and no table names what there is no more."""
    there = set(public_functions())
    elsewhere = {name: file for file, names in ELSEWHERE.items() for name in names.split()}
    assert len(there) > 300
    assert not {*TRIED, *elsewhere} - there, "there is no such function any more"
    assert not {*TRIED} & {*elsewhere}, "tried twice"
    left = there - {*TRIED} - {*elsewhere} - {name for name in there if has_tests_of_its_own(name)}
    patterns = [pattern for names in EXEMPT.values() for pattern in names.split()]
    for pattern in patterns:
        assert fnmatch.filter(left, pattern), f"{pattern} exempts nothing"
    forgotten = {name for name in left if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}
    assert not forgotten, "these stand in no table: try them with wrong values, or say why not"
    for name, file in elsewhere.items():
        text = Path(__file__).with_name(f"{file}.py").read_text(encoding="utf-8")
        assert re.search(rf"\b{name.split('.')[-1]}\b", text), f"{name} is not to be found in {file}.py"
