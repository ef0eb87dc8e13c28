"""A user's own model, objective, data and optimiser, in the user's own file, with nothing of the library patched.

Trained, interrupted, resumed bit for bit, loaded, evaluated, inspected, drawn, sampled; docs/own.md shows the same.
"""

import functools
import os
import signal

import jaxtyping
import numpy as np
import pytest
import torch
from torch import nn

import vae_paper
from vae_numpy import digits, weights
from vae_numpy.command_line import run
from vae_paper import Config, Data, Model, Subject, Terms, models, runs, state_files, weight_files
from vae_paper.__main__ import Command, main
from vae_paper.config import checked
from vae_paper.data import binarised
from vae_paper.drawing.subject import caption
from vae_paper.estimated_rate import EstimatedRate
from vae_paper.likelihoods import LIKELIHOODS
from vae_paper.measuring import evaluate, inspect, sample_quality
from vae_paper.objectives import beta_loss


class MyVAE(Model):
    """An MLP-VAE: a Gaussian q(z|x) and the prior N(0, I), so `encode` and `distortion` are enough; `images_of` to draw."""

    pictures = ("reconstructions", "samples", "scatter", "traversals", "rate", "curves")

    def __init__(self, latent_dim: int = 4, hidden: int = 50) -> None:
        super().__init__(latent_dim, likelihood="bce")
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.Tanh(), nn.Linear(hidden, 2 * latent_dim))
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden), nn.Tanh(), nn.Linear(hidden, 784), nn.Unflatten(1, (1, 28, 28))
        )

    def encode(self, x, labels=None):
        return tuple(self.encoder(x).chunk(2, dim=1))

    def decode(self, z, labels=None):
        return self.decoder(z)

    def distortion(self, z, x, labels=None):
        return self.nats(self.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2]), x)

    def images_of(self, z, labels, generator, noise=False):
        return self.pixels_of(self.decoder(z), noise, generator)

    def reconstructions(self, x, labels, generator):
        return {"x̂ of μ": torch.sigmoid(self.decoder(self.encode(x)[0]))}


def beta_tcvae(terms: Terms, beta: float = 6.0) -> torch.Tensor:
    """Distortion + I(x; z) + beta TC + dimension-wise KL, by minibatch sampling (Chen et al. 2018, arXiv:1802.04942, eq. 2-5)."""
    mu, logvar, z = terms.mu, terms.logvar, terms.z[0]  # (B, D) each
    # log q(z_b|x_m) of every pair, latent by latent
    log_q = -0.5 * ((z[:, None] - mu).square() * torch.exp(-logvar) + logvar)  # (B, B, D), without its constant
    log_q_x = log_q.diagonal().sum(0)  # (B,)
    log_q_z = log_q.sum(2).logsumexp(1)
    log_product = log_q.logsumexp(1).sum(1)
    log_prior = -0.5 * z.square().sum(1)
    log_b = np.log(len(z))
    information, dimension = log_q_x - (log_q_z - log_b), log_product - z.shape[1] * log_b - log_prior
    total_correlation = (log_q_z - log_b) - (log_product - z.shape[1] * log_b)
    return (terms.distortion[0] + information + beta * total_correlation + dimension).mean()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)


def own_data() -> Data:
    handwriting = digits.load("handwriting")
    return Data(1 - handwriting.images[:200], handwriting.labels[:200], about="200 inverted digits")


CONFIG = {"batch_size": 16, "epochs": 2, "validation": 0.2}


def trained(name: str, **options):
    torch.manual_seed(3)
    return vae_paper.train(
        Config(name=name, **CONFIG, **options), model=MyVAE(), data=own_data(), objective=beta_tcvae, optimizer=sgd
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("own"))
        yield trained("whole").absolute()


@pytest.fixture(autouse=True)
def in_the_same_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parents[1])


@pytest.mark.parametrize("stop_at", [3, 10])  # 10 steps an epoch: inside one, and between two
def test_interrupted_and_resumed_bit_for_bit(stop_at, folder):
    calls = []

    def interrupting(terms):
        if torch.is_grad_enabled():
            calls.append(1)
        if len(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return beta_tcvae(terms)

    interrupting.__module__, interrupting.__qualname__ = beta_tcvae.__module__, beta_tcvae.__qualname__
    name = f"parts-{stop_at}"
    torch.manual_seed(3)
    with pytest.raises(KeyboardInterrupt):
        vae_paper.train(Config(name=name, **CONFIG), MyVAE(), own_data(), interrupting, sgd)
    again = trained(name, resume=True)
    for file in ("weights.safetensors", "state.safetensors"):
        a, b = (state_files.read_state(f / file)[0] for f in (folder, again))
        assert a.keys() == b.keys() and any("momentum_buffer" in key for key in a) == file.startswith("state")
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], key)


def test_what_the_objective_minimises_is_what_it_says(folder):
    """beta = 1 is the ELBO's loss, of whose KL the three parts are the parts; more of beta costs more."""
    model, data = vae_paper.load(folder, MyVAE()), own_data()
    with torch.no_grad():
        terms = model(data.images[:50], torch.randn(1, 50, 4, generator=torch.Generator().manual_seed(0)))
    kl_sampled = (-terms.log_weight[0] - terms.distortion[0]).mean()
    assert beta_tcvae(terms, 1.0).item() == pytest.approx((terms.distortion.mean() + kl_sampled).item(), rel=1e-5)
    assert beta_tcvae(terms, 6.0) > beta_tcvae(terms, 1.0)


def test_loaded_evaluated_inspected_drawn_sampled(folder, tmp_path):
    model, data = vae_paper.load("whole", model=MyVAE()), own_data()
    assert not model.training
    found = vae_paper.evaluate(model, data, passes=2, k=5, subset=20)["measures"]
    assert {"elbo", "nll", "iwae_5", "active_units", "mutual_information_low"} <= found.keys()
    assert found["elbo"]["data"] == "200 inverted digits" and np.isfinite(found["nll"]["value"])
    inspected = vae_paper.inspect(model, data, passes=1)
    assert len(inspected["kl_per_latent"]) == 4 and sum(inspected["kl_per_latent"]) == pytest.approx(inspected["rate"])
    drawn = vae_paper.draw(Subject(model, data, path=folder), folder=tmp_path)
    assert {path.stem for path in drawn} == set(MyVAE.pictures)
    assert model.sample(7, torch.Generator().manual_seed(0)).shape == (7, 1, 28, 28)


def test_its_file_says_what_it_needs(folder, capsys):
    header = weights.load_tensors(folder / "weights.safetensors")[1]
    assert header["model"].endswith(".MyVAE") and header["own"].keys() == {"model", "objective", "optimizer"}
    assert header["data"].startswith("160 images of 200 inverted digits")
    commands = (["evaluate", "whole"], ["inspect", "whole"], ["sample", "whole"], ["figures", "whole"])
    for words in (*commands, ["train", "--name", "whole", "--resume"], ["train", "--name", "b", "--start-from", "whole"]):
        with pytest.raises(SystemExit) as stop:
            run("p", Command, main, words)
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.count("\n") == 1 and "MyVAE" in said and "in Python" in said, said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": own_data().replace(images=own_data().images / 2)}, "the data are now"),
        ({"objective": None}, "pass the same"),
        ({"optimizer": None}, "pass the same"),
        ({"data": None}, "data of your own; pass them in Python"),
        ({"model": None}, "a model of your own, .*MyVAE: resume it in Python"),
        ({"model": MyVAE(5)}, "latent_dim is 5, but"),
    ],
)
def test_resumed_with_something_else_it_is_refused(change, message):
    given = {"model": MyVAE(), "data": own_data(), "objective": beta_tcvae, "optimizer": sgd} | change
    with pytest.raises(ValueError, match=message):
        vae_paper.train(Config(name="whole", **CONFIG, resume=True), **given)


def test_own_networks_of_a_vae():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(784, 6)

        def forward(self, x):
            return self.out(x.flatten(1)).chunk(2, dim=1)

    model = vae_paper.VAE(3, encoder=Wide())
    path = vae_paper.train(Config(name="networks", **CONFIG), model=model, data=own_data())
    assert weights.load_tensors(path / "weights.safetensors")[1]["made_with"]["encoder"].endswith("Wide")
    again = vae_paper.load(path, model=vae_paper.VAE(3, encoder=Wide()))
    assert torch.equal(again.encoder.out.weight, model.encoder.out.weight)
    with pytest.raises(ValueError, match=r"needs .*Wide, which only your own code can build"):
        vae_paper.load(path)


@pytest.mark.parametrize(
    ("width", "parts", "found"),
    [(3, None, "a Tensor"), (2, 1, r"\[\(5, 1\), \(5, 1\)\]"), (9, 3, r"\[\(5, 3\), \(5, 3\), \(5, 3\)\]")],
)
def test_an_encoder_must_return_mu_and_logvar(width, parts, found):
    class Wrong(nn.Module):
        def forward(self, x):
            h = x.flatten(1)[:, :width]
            return h if parts is None else h.split(parts, dim=1)

    with pytest.raises(ValueError, match=rf"the encoder returned {found}; expected mu and logvar, each \(5, 3\)"):
        vae_paper.VAE(3, encoder=Wrong()).encode(torch.rand(5, 1, 28, 28))


def test_another_prior_needs_words(tmp_path, monkeypatch):
    class OtherPrior(vae_paper.VAE):
        def draw_prior(self, count, generator):
            return torch.ones(count, self.latent_dim)

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"OtherPrior defines draw_prior, but drawn_from is 'z ~ N\(0, I\)'; set drawn_from"):
        vae_paper.train(Config(**CONFIG), model=OtherPrior(3), data=own_data())
    assert not list(tmp_path.glob("runs/*/*"))
    said = OtherPrior(3)
    said.drawn_from = "z = 1"  # an attribute of the instance is enough
    vae_paper.train(Config(**CONFIG), model=said, data=own_data())


def test_a_model_takes_tensors(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the types in the signature would speak first
    with pytest.raises(ValueError, match=r"images are a NumPy array; expected a tensor: use torch.as_tensor"):
        vae_paper.VAE(3).encode(np.zeros((2, 1, 28, 28), np.float32))


def test_what_is_no_model_or_does_not_fit_the_configuration_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the types in the signature would speak first
    with pytest.raises(ValueError, match=r"model is a Linear; expected an instance of a subclass of vae_paper\.Model"):
        vae_paper.train(Config(**CONFIG), model=nn.Linear(2, 2), data=own_data())
    with pytest.raises(ValueError, match="latent_dim is 7 in the configuration, and 4 in the model"):
        vae_paper.train(Config(latent_dim=7, **CONFIG), model=MyVAE(), data=own_data())
    assert list(tmp_path.iterdir()) == []


def test_wrong_terms_are_refused_where_they_enter():
    for distortion, rate, log_weight in (
        (torch.arange(6.0), torch.zeros(6, 2), torch.arange(6.0)),
        (torch.ones(1, 6), torch.zeros(5, 2), torch.ones(1, 6)),
        (torch.ones(2, 6), torch.zeros(6, 2), torch.ones(1, 6)),
    ):
        with pytest.raises((ValueError, TypeError)):
            Terms(distortion, rate, log_weight)


def test_z_needs_no_mu():
    """A q that is not Gaussian."""
    terms = Terms(torch.ones(2, 6), torch.zeros(6, 3), torch.ones(2, 6), z=torch.ones(2, 6, 3))
    assert terms.z.shape == (2, 6, 3)


def test_labels_may_be_absent():
    unlabelled = own_data().replace(labels=None)
    found = vae_paper.evaluate(vae_paper.VAE(2), unlabelled, passes=1, k=1, subset=5)
    assert np.isfinite(found["measures"]["elbo"]["value"])
    with pytest.raises(ValueError, match="labels: this model is conditioned on them"):
        vae_paper.evaluate(vae_paper.CVAE(2), unlabelled, passes=1)


class WithDropout(MyVAE):
    """Noise of its own, drawn from torch's global generators; it must be off while a model is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Dropout(0.5), *self.encoder)
        self.seen_training = []

    def encode(self, x, labels=None):
        if not torch.is_grad_enabled():
            self.seen_training.append(self.training)
        return super().encode(x, labels)


def stopping(at: int = 0):
    """The ELBO's loss; at training step number `at` comes a Ctrl-C."""
    calls = []

    def objective(terms):
        calls.extend([1] if torch.is_grad_enabled() else [])
        if len(calls) == at > 0:
            os.kill(os.getpid(), signal.SIGINT)
        return beta_loss(terms, 1.0)

    return objective


def test_dropout_is_off_while_measuring_and_resumes_to_the_same_bits():
    torch.manual_seed(0)
    whole = WithDropout()
    expected = vae_paper.train(Config(name="drop", **CONFIG), whole, own_data(), stopping())
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        vae_paper.train(Config(name="drop-parts", **CONFIG), WithDropout(), own_data(), stopping(7))
    torch.manual_seed(99)  # another process has other global generators, and may give the model in eval mode
    found = vae_paper.train(Config(name="drop-parts", resume=True), WithDropout().eval(), own_data(), stopping())
    a, b = (weights.load_tensors(folder / "weights.safetensors")[0] for folder in (expected, found))
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert whole.seen_training and not any(whole.seen_training) and whole.training


REFUSED = [
    ({"beta": 4.0}, {}, "beta is 4.0, and your own objective does not use it"),
    ({"learning_rate": 1e-3}, {}, "learning_rate is 0.001, and your own optimizer does not use it"),
    ({"model_arguments": "hidden=3"}, {}, "model_arguments is hidden=3, and your own model does not use it"),
    ({"likelihood": "mse"}, {}, "likelihood is mse in the configuration, and bce in the model"),
    ({"lr_schedule": "one-cycel"}, {}, "lr_schedule is 'one-cycel'; expected one of: one-cycle, constant"),
    ({}, {"objective": lambda terms: terms.rate.sum(1)}, r"the objective returned \(16,\); expected a scalar tensor"),
    ({}, {"objective": lambda terms: 1.0}, "the objective returned float; expected a scalar tensor"),
    ({}, {"data": Data(torch.rand(40, 1, 30, 30))}, r"images are \(1, 30, 30\), and the model expects \(1, 28, 28\)"),
    ({}, {"model": vae_paper.VAE(2, image_shape=(1, 32, 32))}, r"and the model expects \(1, 32, 32\)"),
    ({}, {"model": vae_paper.CVAE(2), "data": Data(torch.rand(40, 1, 28, 28), torch.arange(40))}, "labels: found 0 to 39"),
]


@pytest.mark.parametrize(("options", "given", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_what_would_have_no_effect_or_does_not_fit_is_refused(options, given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the types in the signature would speak first
    own = {"model": MyVAE(), "data": own_data(), "objective": beta_tcvae, "optimizer": sgd}
    with pytest.raises(ValueError, match=message):
        vae_paper.train(Config(**CONFIG, **options), **(own | given))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_model_of_the_library_given_as_an_object_is_recorded_with_its_arguments():
    """So the run loads, resumes and is measured without the object."""
    path = vae_paper.train(Config(name="codes", **CONFIG), model=vae_paper.VQVAE(8, codes=16, commitment=5.0), data=own_data())
    model = vae_paper.load(path)
    assert model.commitment == 5.0 and model.codes == 16
    config = weights.load_tensors(path / "weights.safetensors")[1]["config"]
    assert (config["model"], config["commitment"], config["codes"]) == ("vq-vae", 5.0, 16)


def test_own_binary_images_need_no_binarisation_and_keep_their_dtype_out_of_the_way():
    images = binarised(own_data(), "fixed").images.double()
    path = vae_paper.train(
        Config(name="binary", likelihood="bernoulli", **CONFIG),
        data=own_data().replace(images=images),
        model=vae_paper.VAE(2, "bernoulli"),
    )
    assert vae_paper.load(path).likelihood == "bernoulli"
    with pytest.raises(ValueError, match="binarise them"):
        vae_paper.train(Config(name="gray", likelihood="bernoulli", **CONFIG), data=own_data())


def test_a_file_does_not_load_into_a_model_that_means_something_else(folder):
    path = vae_paper.train(Config(name="plain", latent_dim=2, **CONFIG), data=own_data())
    with pytest.raises(ValueError, match="likelihood is bce in this file, and mse"):
        vae_paper.load(path, model=vae_paper.VAE(2, "mse"))
    with pytest.raises(ValueError, match=r"expected \(C, H, W\), with H and W multiples of 4"):
        vae_paper.VAE(2, image_shape=(1, 30, 28))  # check_size


def test_arguments_of_a_models_class_by_their_names():
    assert models.checked_arguments("vq-vae", {"commitment": 2, "image_shape": [3, 8, 12]}) == {
        "commitment": 2.0,
        "image_shape": (3, 8, 12),
    }
    with pytest.raises(ValueError, match="model_arguments sets codes: give it as --codes"):
        checked(Config(model="vq-vae", model_arguments="codes=7"))
    for wrong in ({"comitment": 2.0}, {"commitment": "2"}, {"codes": 2.5}, ["codes"]):
        with pytest.raises(ValueError, match="expected"):
            models.checked_arguments("vq-vae", wrong)


class Wide(MyVAE):
    """Its arguments have the names of options of the library's models."""

    def __init__(self, layers, codes=(64, 64)):
        super().__init__(4, hidden=layers * codes[0])


def test_an_argument_may_have_the_name_of_an_option(folder):
    path = vae_paper.train(Config(name="wide", **CONFIG), data=own_data(), model=Wide(2))
    stored = weights.load_tensors(path / "weights.safetensors")[1]["config"]
    assert stored["layers"] is None and stored["codes"] is None
    assert vae_paper.load(path, model=Wide(2)).encoder[1].out_features == 128
    with pytest.raises(ValueError, match="layers is 2, and your own model does not use it"):
        vae_paper.train(Config(name="other", layers=2, **CONFIG), data=own_data(), model=Wide(2))


def test_every_likelihood_has_its_row():
    for name, row in LIKELIHOODS.items():
        model = vae_paper.VAE(2, name)
        assert (model.bound is not None) == row.normalised


def first_digits(count=120):
    found = digits.load("handwriting")
    return Data(found.images[:count], found.labels[:count])


def test_own_data_in_another_order_may_hold_out_what_the_start_was_trained_on():
    data, options = first_digits(), {"epochs": 1, "batch_size": 40, "latent_dim": 3, "validation": 0.25}
    vae_paper.train(Config(name="start", **options), data=data)
    vae_paper.train(Config(name="same", start_from="start", **options), data=Data(data.images.numpy(), data.labels.numpy()))
    with pytest.raises(ValueError, match=r"validation is 0\.25: .* expected at most 0\.0"):
        vae_paper.train(Config(name="other", start_from="start", **options), data=Data(data.images.flip(0), data.labels.flip(0)))


@pytest.mark.parametrize("likelihood", ["gaussian", "learned-gaussian"])
def test_the_sigma_of_a_given_model_is_the_one_that_counts(likelihood):
    with pytest.raises(ValueError, match=r"sigma is 0\.3 in the configuration, and 0\.5 in the model"):
        vae_paper.train(Config(name=likelihood, sigma=0.3, **CONFIG), vae_paper.VAE(4, likelihood, sigma=0.5), first_digits())
    path = vae_paper.train(Config(name=likelihood, **CONFIG), vae_paper.VAE(4, likelihood, sigma=0.5), first_digits())
    assert weights.load_tensors(path / "weights.safetensors")[1]["config"]["sigma"] == 0.5


@pytest.mark.thorough
def test_a_run_in_float64_is_loaded_measured_and_drawn(tmp_path):
    path = vae_paper.train(Config(name="double", **CONFIG), vae_paper.VAE(3).double(), first_digits())
    model = vae_paper.load(path)
    assert model.dtype == torch.float64
    assert vae_paper.evaluate(model, first_digits(30), passes=1)["measures"]["elbo"]["images"] == 30  # float32 images
    assert Subject(model, first_digits(30)).terms().mu.dtype == torch.float64
    header = weights.load_tensors(path / "weights.safetensors")
    weights.save_tensors(tmp_path / "half.safetensors", header[0], header[1] | {"dtype": "float16"})
    with pytest.raises(ValueError, match="its header describes no valid vae"):
        vae_paper.load(tmp_path / "half.safetensors")


def test_reports_made_in_python_are_shown_as_tables():
    model, data, begin = vae_paper.VAE(3), first_digits(30), "this model: vae, D = 3, likelihood bce"
    said = inspect.table(vae_paper.inspect(model, data, beta=2.0))
    assert said.startswith("this model: vae, latent size 3, likelihood bce; trained: beta 2.0")
    assert evaluate.table(vae_paper.evaluate(model, data, passes=1)).startswith(begin)
    assert "z sampled once per image" in inspect.table(vae_paper.inspect(model, data, passes=1))


def test_samples_that_are_measured_are_drawn_in_eval_mode():
    torch.manual_seed(0)
    model = vae_paper.VAE(4, decoder=nn.Sequential(nn.Linear(4, 784), nn.Dropout(0.5), nn.Unflatten(1, (1, 28, 28))))
    assert model.training
    assert torch.equal(sample_quality.samples(model, 7)[0], sample_quality.samples(model, 7)[0])
    assert model.training


@pytest.mark.parametrize(("about", "shown"), [({}, True), ({"objective": "capacity"}, False), ({"objective": "iwae"}, False)])
def test_a_caption_names_beta_only_if_the_loss_has_one(about, shown):
    assert ("β = 1" in caption("A picture", vae_paper.VAE(3), {"model": "vae", "config": about})) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"distortion": np.ones((1, 4))},
        {"distortion": torch.ones(1, 4).long()},
        {"log_weight": np.ma.masked_array(np.ones((1, 4)), mask=True)},
        {"rate": None},
        {"rate": torch.ones(4, 0)},
        {"penalty": 1.0},
    ],
)
def test_terms_are_tensors_of_floats(wrong, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    right = {"distortion": torch.ones(1, 4), "rate": torch.ones(4, 2), "log_weight": torch.ones(1, 4)}
    Terms(**right)
    with pytest.raises(ValueError, match=r"^terms: "):
        Terms(**right | wrong)


def test_data_of_any_byte_order_and_memory_order_are_copied_and_of_other_kinds_refused(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    x, labels = np.random.default_rng(0).random((5, 1, 28, 28), np.float32), np.arange(5)
    for given in (x.astype(">f4"), np.asfortranarray(x), x[::-1][::-1], np.lib.stride_tricks.as_strided(x, x.shape, x.strides)):
        data = Data(given, labels.astype(">i8"))
        assert torch.equal(data.images, torch.from_numpy(x)) and data.labels.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(Data(x[::-1]).images, torch.from_numpy(x).flip(0))
    for images, given in (
        (np.ma.masked_array(x, mask=x > 0.5), labels),
        ([[1.0]], labels),
        (x, [1, 2]),
        (x.astype(object), labels),
    ):
        with pytest.raises(ValueError, match=r"expected a NumPy array or a torch tensor|expected numbers of at most 64 bits"):
            Data(images, given)


def test_a_part_that_was_trained_on_other_images_is_refused():
    """A pixel-prior on images that its VQ-VAE did not have might hold out what the VQ-VAE was trained on."""
    data, options = first_digits(), {"epochs": 1, "batch_size": 40, "latent_dim": 3, "validation": 0.25}
    vae_paper.train(Config(name="vq", model="vq-vae", codes=8, **options), data=data)
    prior = {"name": "prior", "model": "pixel-prior", "codes_of": "vq", "epochs": 1, "batch_size": 40, "channels": 4}
    with pytest.raises(ValueError, match=r"codes_of is vq: it was trained on .*, and this run has other images"):
        vae_paper.train(Config(**prior), data=Data(data.images.flip(0), data.labels.flip(0)))
    vae_paper.train(Config(**prior), data=data)


@pytest.mark.parametrize("name", ["vae", "cvae", "ae", "vq-vae", "pixel-vae", "quadrant-cvae", "flow-prior"])
def test_images_and_noise_of_another_precision_are_refused_in_words(name):
    model, x, labels = models.build(name, 4), torch.rand(2, 1, 28, 28), torch.tensor([1, 2])
    with pytest.raises(ValueError, match=r"images are torch.float64, and the parameters torch.float32"):
        model(x.double(), torch.randn(1, 2, 4), labels)
    if name not in ("ae", "vq-vae"):
        with pytest.raises(ValueError, match=r"eps is .*torch.float64: expected"):
            model(x, torch.randn(1, 2, 4, dtype=torch.float64), labels)


@pytest.mark.parametrize("wrong", [{"latent_dim": 2.5}, {"latent_dim": 0}, {"sigma": float("inf")}, {"image_shape": (28, 28)}])
def test_a_model_of_impossible_arguments_is_refused(wrong, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="expected"):
        vae_paper.VAE(**wrong)


class Scaled(MyVAE):
    """A model whose argument changes its results, but no shape of its parameters."""

    def __init__(self, latent_dim: int = 4, scale: float = 1.0) -> None:
        super().__init__(latent_dim)
        self.scale = scale


def test_another_argument_of_an_own_class_is_refused(monkeypatch):
    path = vae_paper.train(Config(name="scaled", **CONFIG), Scaled(scale=3.0), own_data())
    with pytest.raises(ValueError, match=r"scale is 3\.0 in this file, and 1\.0 in the model given"):
        vae_paper.load(path, model=Scaled())
    assert vae_paper.load(path, model=Scaled(scale=3.0)).scale == 3.0
    assert weight_files.same("model", "a.Net", "b.Net") and not weight_files.same("file", "a.png", "b.png"), (
        "only code has modules"
    )
    with pytest.raises(KeyboardInterrupt):
        vae_paper.train(Config(name="half", **CONFIG), Scaled(scale=3.0), own_data(), stopping(7))
    with pytest.raises(ValueError, match=r"scale is 3\.0 in this file, and 1\.0 in this run's model"):
        vae_paper.train(Config(name="half", resume=True), Scaled(), own_data(), stopping())
    # a script that imports the class from the script that trained
    monkeypatch.setattr(Scaled, "__module__", "__main__")
    assert vae_paper.load(path, model=Scaled(scale=3.0)).scale == 3.0
    vae_paper.train(Config(name="half", resume=True), Scaled(scale=3.0), own_data(), stopping())


def weighted(terms: Terms, alpha: float) -> torch.Tensor:
    return beta_loss(terms, alpha)


def test_an_objective_s_argument_is_part_of_its_name():
    def train(alpha, **options):
        model, objective = MyVAE(), functools.partial(weighted, alpha=alpha)
        return vae_paper.train(Config(name="partial", **options), model, own_data(), objective)

    train(2.0, **CONFIG)
    with pytest.raises(ValueError, match=r"weighted\(alpha=2\.0\).*and now has.*weighted\(alpha=3\.0\)"):
        train(3.0, resume=True)
    train(2.0, resume=True)


def laplace(self, z):
    return torch.distributions.Laplace(0.0, 1.0).log_prob(z).sum(2)


def draws(self, count, generator):
    return torch.zeros(count, self.latent_dim)


def over_samples(self, z):
    return laplace(self, z).sum(0)


PRIORS = [
    (EstimatedRate, {"log_prior": laplace}, "defines log_prior, but not draw_prior"),
    (EstimatedRate, {"draw_prior": draws}, "defines draw_prior, but not log_prior"),
    (vae_paper.VAE, {"log_prior": laplace}, "defines log_prior, which a VAE does not use: subclass EstimatedRate"),
    (
        EstimatedRate,
        {"log_prior": over_samples, "draw_prior": draws, "drawn_from": "z ~ Laplace"},
        r"log_prior returned \(16,\); expected \(K, B\) = \(1, 16\)",
    ),
]


@pytest.mark.parametrize(("base", "parts", "message"), PRIORS, ids=[message for *_, message in PRIORS])
def test_half_of_a_prior_is_refused(base, parts, message):
    own_terms = type("Own", (base,), parts | {"terms": lambda self, *given: None})(2)
    if "drawn_from" not in parts and "draw_prior" not in parts:
        runs.check_described(own_terms)  # a model with its own terms may use any helper
    with pytest.raises(ValueError, match=message):
        vae_paper.train(Config(name=f"prior-of-{len(parts)}", **CONFIG), type("Own", (base,), parts)(2), own_data())


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, terms):
        return self.weight * beta_loss(terms, 1.0)


WRONG_PARTS = [
    ({"objective": Weighted()}, "objective has parameters, which the optimiser does not train"),
    ({"objective": lambda terms: beta_loss(terms, 1.0).detach()}, "a loss without a gradient; do not detach the terms"),
    ({"data": torch.rand(40, 1, 28, 28)}, r"data is a Tensor; expected vae_paper\.Data\(images, labels\)"),
    ({"optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)}, "optimizer is a SGD; expected a function"),
    ({"data": Data(torch.zeros(40, 1, 28, 28, dtype=torch.uint8))}, "images are uint8; .* divide the images by 255"),
    ({"data": Data(torch.rand(40, 28, 28, 3)), "model": None}, r"image_shape is \(28, 28, 3\): .*are the channels last"),
    ({"options": {"source": "sprites"}}, "source is sprites in the configuration, and the images are passed as data"),
]


@pytest.mark.parametrize(("parts", "message"), WRONG_PARTS, ids=[message for _, message in WRONG_PARTS])
def test_a_part_of_a_wrong_kind_is_one_line(parts, message, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    config = Config(name="wrong", **CONFIG, **parts.pop("options", {}))
    with pytest.raises(ValueError, match=message):
        vae_paper.train(config, **({"model": MyVAE(), "data": own_data()} | parts))
    for function in (vae_paper.evaluate, Subject):
        with pytest.raises(ValueError, match=r"got str and Data; expected a model .* and"):
            function("a-run", own_data())


def test_what_may_surprise_is_said(capsys):
    model, images = MyVAE(), torch.rand(40, 1, 28, 28)
    vae_paper.train(Config(name="once", **CONFIG), model, own_data())
    assert "trained before" not in capsys.readouterr().err
    vae_paper.train(Config(name="twice", **CONFIG), model, own_data())
    assert "the model was trained before, and this run goes on from there" in capsys.readouterr().err
    vae_paper.train(Config(name="labels", **CONFIG), vae_paper.CVAE(2, classes=4), Data(images, torch.arange(40) % 3 + 1))
    assert "no image has the label 0" in capsys.readouterr().err


def test_names_that_are_imported_at_first_use_are_listed_for_tab_completion():
    assert {*vae_paper.__all__} <= {*dir(vae_paper)}
