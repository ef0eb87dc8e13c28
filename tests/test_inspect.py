"""The loss microscope's numbers are those of the hand: reductions, units, variances, bounds, latents."""

import json
import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from vae_numpy.command_line import run
from vae_paper import __main__ as level3
from vae_paper import models, weight_files
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo, inspect
from vae_paper.vae import kl_per_latent

COSTS = [0.0, 2.0, 0.125]  # nats of the latents of `made`


def made(likelihood: str = "bce", model: str = "vae", **options) -> torch.nn.Module:
    """A model whose decoder says 1/2 of every pixel, and whose latents cost COSTS on every image."""
    made = models.build(model, 3, likelihood, **options)
    with torch.no_grad():
        made.decoder.conv_t2.weight.zero_()
        made.decoder.conv_t2.bias.zero_()
        made.encoder.mu.weight.zero_()
        made.encoder.mu.bias.copy_((2 * torch.tensor(COSTS)).sqrt())  # KL = mu² / 2
        if hasattr(made.encoder, "logvar"):  # an autoencoder has none
            made.encoder.logvar.weight.zero_()
            made.encoder.logvar.bias.zero_()
    return made.eval()


@pytest.fixture(scope="module")
def data() -> Data:
    test = load_data("handwriting", "test")
    return test.replace(images=test.images[:100], labels=test.labels[:100])


def test_reductions_are_what_torch_makes_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    batch, latents, pixels = 128, 20, 784
    logits, x = (torch.randn(batch, pixels, generator=generator, dtype=torch.float64) for _ in range(2))
    x = torch.sigmoid(x)
    mu, logvar = (torch.randn(batch, latents, generator=generator, dtype=torch.float64) for _ in range(2))
    kl = kl_per_latent(mu, logvar)
    bce = binary_cross_entropy_with_logits(logits, x, reduction="none")
    distortion, rate = bce.sum(1).mean(), kl.sum(1).mean()  # the loss of this project
    as_written = [
        (distortion + rate, 1),
        ((bce.sum() + kl.sum()) / batch / pixels, pixels),
        (binary_cross_entropy_with_logits(logits, x) + rate, pixels),
        (binary_cross_entropy_with_logits(logits, x) + kl.mean(), pixels),
        (distortion + kl.mean(), 1),
        (binary_cross_entropy_with_logits(logits, x) + kl.sum(), pixels),
    ]
    found = inspect.reductions(pixels, latents, batch)
    assert [row["beta"] for row in found] == [1, 1, 784, 39.2, 0.05, 784 * 128]
    for row, (loss, divided_by) in zip(found, as_written, strict=True):
        torch.testing.assert_close(loss * divided_by, distortion + row["beta"] * rate, rtol=1e-12, atol=0)


def test_the_mean_squared_error_is_a_gaussian_of_variance_392() -> None:
    row = inspect.reductions(784, 20)[2]
    assert (row["distortion"], row["kl"], row["sigma_squared"]) == ("mean over pixels", "sum over latents", 392)
    generator = torch.Generator().manual_seed(0)
    x, x_hat = (torch.rand(1, 784, generator=generator, dtype=torch.float64) for _ in range(2))
    log_p = torch.distributions.Normal(x_hat, math.sqrt(392)).log_prob(x).sum()
    constant = 784 / 2 * math.log(2 * math.pi * 392)
    torch.testing.assert_close(mse_loss(x_hat, x), -log_p - constant, rtol=1e-9, atol=0)


def test_latents_terms_and_units(data) -> None:
    got = inspect.inspect(made("bernoulli"), data.replace(binarisation="threshold"), passes=2, beta=4.0)
    assert got["kl_per_latent"] == pytest.approx(COSTS, abs=1e-6)
    assert got["rate"] == pytest.approx(2.125)
    assert got["distortion"] == pytest.approx(784 * math.log(2))  # one bit for each pixel
    assert got["bits_per_dim"]["distortion"] == pytest.approx(1)
    assert got["bits_per_dim"]["rate"] == pytest.approx(2.125 / math.log(2) / 784)
    assert got["elbo"] == pytest.approx(-784 * math.log(2) - 2.125)
    assert got["distortion_plus_beta_rate"] == pytest.approx(784 * math.log(2) + 4 * 2.125)
    assert got["elbo_is"] == "a lower bound on log p(x)"
    assert "least_distortion" not in got and got["variance"] is None
    assert got["active_units"] == 0  # they cost, but say nothing of x


def test_active_units_are_those_whose_mean_varies_by_more_than_a_hundredth() -> None:
    mu = torch.tensor([[0.0, 5.0, 1.0], [0.14, 5.0, -1.0]])  # variances 0.0098, 0 and 2
    assert elbo.active_units(mu).tolist() == [False, False, True]
    assert elbo.active_units(1.02 * mu).tolist() == [True, False, True]


def test_active_units_of_a_model_are_of_its_means_over_images(data) -> None:
    model = made()
    with torch.no_grad():
        model.encoder.mu.weight[0] = 1.0
        mu = model.encode(data.images)[0].double()
    got = inspect.inspect(model, data, passes=1)
    assert got["variance_of_mu"] == pytest.approx(mu.var(0).tolist(), rel=1e-5)
    assert got["active"] == [True, False, False] and got["active_units"] == 1


def test_standard_errors_are_over_images(data) -> None:
    got = inspect.inspect(made("mse"), data, passes=1)
    each = (data.images.double() - 0.5).square().sum((1, 2, 3))
    assert got["distortion"] == pytest.approx(each.mean().item(), rel=1e-6)
    assert got["distortion_standard_error"] == pytest.approx(each.std().item() / 10, rel=1e-5)
    assert got["rate_standard_error"] == pytest.approx(0, abs=1e-9)


def test_the_least_soft_bce_is_the_entropy_of_the_images(data) -> None:
    gray = data.replace(images=torch.full_like(data.images, 0.5))
    assert inspect.inspect(made(), gray, passes=1)["least_distortion"] == pytest.approx(784 * math.log(2))
    white = data.replace(images=(data.images > 0.5).float())
    assert inspect.inspect(made(), white, passes=1)["least_distortion"] == 0


@pytest.mark.parametrize(
    ("likelihood", "sigma", "variance"),
    [("mse", 0.1, 0.5), ("gaussian", 0.2, 0.04), ("learned-gaussian", 0.3, 0.09), ("optimal-gaussian", 0.1, None)],
)
def test_the_implied_variance(likelihood, sigma, variance, data) -> None:
    error = (data.images.double() - 0.5).square().mean().item()
    got = inspect.inspect(made(likelihood, sigma=sigma), data, passes=1, beta=4.0)["variance"]
    assert got["squared_error_per_pixel"] == pytest.approx(error, rel=1e-4)
    assert got["of_the_likelihood"] == pytest.approx(variance or error, rel=1e-4)
    assert got["with_beta"] == pytest.approx(4 * (variance or error), rel=1e-4)


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_a_quadrant_cvae_counts_the_pixels_that_it_does_not_see(seen, data) -> None:
    model = models.build("quadrant-cvae", 3, "bernoulli", seen=seen).eval()
    with torch.no_grad():
        model.decoder.conv_t2.weight.zero_()
        model.decoder.conv_t2.bias.zero_()
    got = inspect.inspect(model, data.replace(binarisation="threshold"), passes=1)
    assert got["pixels"] == 784 * (4 - seen) // 4
    assert got["bits_per_dim"]["distortion"] == pytest.approx(1)
    assert got["elbo_is"] == "a lower bound on log p(x_unseen|x_seen)"


SAID = [
    ("vae", "bernoulli", 1.0, ["a lower bound on log p(x)\n", "an upper bound on the information"], ["looser", "least D"]),
    ("vae", "bernoulli", 4.0, ["-(D + 4 R)        below the ELBO: a looser bound"], ["no bound"]),
    ("vae", "bernoulli", 0.5, ["-(D + 0.5 R)        no bound"], ["looser"]),
    ("vae", "bce", 4.0, ["an objective, not a bound", "least D of any decoder"], ["a lower bound", "looser"]),
    (
        "cvae",
        "discretised-logistic",
        1.0,
        ["on log p(x|label)", "I(x; z|label)", "if all levels are equally likely"],
        [],
    ),
    ("ae", "bce", 1.0, ["an objective, not a bound", "an autoencoder has no noise and no prior"], ["an upper bound"]),
    ("vae", "gaussian", 1.0, ["Variance of a pixel in the likelihood: 0.01", "not the size of a compressed file"], []),
]


@pytest.mark.parametrize(("model", "likelihood", "beta", "said", "unsaid"), SAID)
def test_the_table_says_what_bounds_what(model, likelihood, beta, said, unsaid, data) -> None:
    data = data.replace(binarisation="threshold" if likelihood == "bernoulli" else "none")
    data = data.replace(images=(255 * data.images).round() / 255)  # the support of discretised-logistic
    report = inspect.inspect(made(likelihood, model), data, passes=1, beta=beta)
    head = {"run": "r", "model": model, "latent_dim": 3, "likelihood": likelihood, "trained_with": {"beta": beta}}
    table = inspect.table(head | report)
    for words in said:
        assert words in table, table
    for words in unsaid:
        assert words not in table, table
    order = [line.split()[0] for line in table.splitlines() if line.startswith("z_")]
    assert order == (["z_1", "z_2", "z_3"] if model == "ae" else ["z_2", "z_3", "z_1"])
    assert "100352     50176" in table


@pytest.mark.parametrize(("kind", "objective", "has_one"), [("vae", "elbo", True), ("vae", "iwae", False), ("ae", "elbo", False)])
def test_a_loss_without_beta_is_shown_without_beta(kind, objective, has_one, tmp_path) -> None:
    about = {"model": kind, "latent_dim": 3, "config": {"source": "handwriting", "objective": objective, "beta": 1.0}}
    weight_files.save_model(tmp_path / "w.safetensors", models.build(kind, 3), about)
    report = inspect.inspect_run(tmp_path / "w.safetensors", passes=1)
    assert ("beta" in report["trained_with"]) == ("distortion_plus_beta_rate" in report) == has_one
    assert ("beta 1" in inspect.table(report)) == has_one


@pytest.mark.thorough
def test_the_command(tmp_path, capsys) -> None:
    about = {"model": "vae", "latent_dim": 3, "likelihood": "bce", "config": {"source": "handwriting", "beta": 3.0}}
    path = tmp_path / "w.safetensors"
    weight_files.save_model(path, made(), about)
    run("p", level3.Command, level3.main, ["inspect", str(path), "--passes", "1", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["kl_per_latent"] == pytest.approx(COSTS, abs=1e-6)
    assert report["data"] == "the bundled handwriting, test split (360 images), grayscale"
    assert report["trained_with"]["beta"] == 3.0
    assert report["distortion_plus_beta_rate"] == pytest.approx(report["distortion"] + 3 * 2.125, rel=1e-6)
    run("p", level3.Command, level3.main, ["inspect", str(path), "--passes", "1"])
    assert f"{report['distortion']:.3f}" in capsys.readouterr().out
    codes = models.build("vq-vae", 3, codes=8)
    weight_files.save_model(path, codes, {"model": "vq-vae", "latent_dim": 3, "made_with": {"codes": 8}})
    for args, message in ((["--passes", "1"], "expected a model with mu"), (["--passes", "x"], "--passes")):
        with pytest.raises(SystemExit) as stop:
            run("p", level3.Command, level3.main, ["inspect", str(path), *args])
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.count("\n") == 1 and message in said, said
