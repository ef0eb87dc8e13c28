"""Codes are the nearest, each term of eq. 3 reaches what it should, and the codebook moves as appendix A.1 says."""

import math
import os
import signal

import numpy as np
import pytest
import torch

from vae_paper import models, runs, state_files, training, weight_files
from vae_paper.config import Config
from vae_paper.data import Data, load_data
from vae_paper.measuring import elbo
from vae_paper.models.vq_vae import VQVAE, nearest, perplexity, straight_through

EPS = torch.zeros(1, 2, 1)  # of which restarts are made; 0 is the median
PARAMETERS = {
    "encoder": {f"encoder.{layer}.{kind}" for layer in ("conv1", "conv2", "to_code") for kind in ("weight", "bias")},
    "decoder": {f"decoder.{layer}.{kind}" for layer in ("from_code", "conv_t1", "conv_t2") for kind in ("weight", "bias")},
    "codebook": {"vectors"},
}


def small(**options) -> VQVAE:
    return models.build("vq-vae", 4, "bernoulli", seed=3, **({"codes": 16} | options))


def binary(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Blobs of ink: smooth noise, thresholded."""
    noise = torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (torch.nn.functional.avg_pool2d(noise, 5, 1, 2) > 0.1).to(dtype)


def no_eps(x: torch.Tensor, model: VQVAE) -> torch.Tensor:
    return torch.zeros(1, len(x), model.latent_dim, dtype=x.dtype)


def test_the_nearest_code_is_that_of_brute_force() -> None:
    """Every distance |z - e|² written out, one by one, in float64; the product leaves |z|² out."""
    rng = np.random.default_rng(0)
    z, vectors = rng.standard_normal((300, 5)) + 3, rng.standard_normal((40, 5)) * [[1, 2, 3, 1, 1]]
    brute = [min(range(40), key=lambda k, row=row: sum((a - b) ** 2 for a, b in zip(row, vectors[k], strict=True))) for row in z]
    got = nearest(torch.from_numpy(z), torch.from_numpy(vectors))
    assert got.tolist() == brute
    assert len(set(brute)) > 5


def test_leaving_out_the_square_of_z_changes_no_code() -> None:
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(2000, 8, generator=generator, dtype=torch.float64)
    vectors = torch.randn(64, 8, generator=generator, dtype=torch.float64)
    distances = torch.cdist(z, vectors, compute_mode="donot_use_mm_for_euclid_dist").square()
    best, second = distances.sort(dim=1).values[:, :2].T
    tie = second - best < 1e-9
    assert not tie.any()
    assert torch.equal(nearest(z, vectors), distances.argmin(1))
    assert nearest(torch.zeros(1, 2), torch.ones(3, 2)).tolist() == [0]  # of equals, the first


def test_codes_are_chosen_in_float32_under_autocast() -> None:
    z, vectors = torch.full((1, 1), 1000.0), torch.tensor([[1003.0], [1002.0], [1001.0]])  # one number in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert nearest(z, vectors).item() == 2


def test_the_gradient_of_the_reconstruction_at_z_e_is_its_gradient_at_z_q() -> None:
    model, x = small().double(), binary(3, dtype=torch.float64)
    z_e = model.encoder(x).detach().requires_grad_()
    z_q = model.embed(model.nearest(z_e)).detach().requires_grad_()
    model.grid_distortion(straight_through(z_e, z_q.detach()), x).sum().backward()
    model.grid_distortion(z_q, x).sum().backward()
    assert z_q.grad.abs().max() > 1e-3
    torch.testing.assert_close(z_e.grad, z_q.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("term", "codebook", "moves"),
    [
        ("distortion", "loss", ("encoder", "decoder")),  # straight past the codebook
        ("distortion", "ema", ("encoder", "decoder")),
        ("codebook", "loss", ("codebook",)),
        ("commitment", "loss", ("encoder",)),
        ("penalty", "ema", ("encoder",)),
        ("rate", "loss", ()),  # a constant
    ],
)
def test_each_term_reaches_only_the_parameters_that_it_should(term: str, codebook: str, moves: tuple[str, ...]) -> None:
    def gradients(commitment: float) -> dict[str, torch.Tensor]:
        model, x = small(codebook=codebook, commitment=commitment).eval(), binary(4)
        terms = model(x, no_eps(x, model))
        value = {"distortion": terms.distortion.mean(), "rate": terms.rate.sum(1).mean()}.get(term, terms.penalty)
        if value.requires_grad:
            value.backward()
        return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}

    got = gradients(commitment=0.0 if term == "codebook" else 0.25)
    if term == "commitment":  # what it adds to the codebook's term
        alone = gradients(commitment=0.0)
        got = {name: gradient - alone[name] for name, gradient in got.items()}
    expected = set().union(*(PARAMETERS[part] for part in moves))
    reached = {name for name, gradient in got.items() if gradient.abs().max() > 0}
    assert reached == expected


def test_the_moving_averages_follow_a_hand_calculation() -> None:
    """Two codes in one dimension; three vectors choose code 0, the rest code 1 (appendix A.1, γ = 0.95)."""
    model = VQVAE(1, "bernoulli", codes=2, restart=False)
    model.vectors.copy_(torch.tensor([[0.0], [10.0]]))
    model.usage.copy_(torch.tensor([4.0, 40.0]))
    model.sums.copy_(torch.tensor([[0.0], [400.0]]))
    z_e = torch.full((1, 1, 7, 7), 9.0)
    z_e[0, 0, 0, :3] = torch.tensor([1.0, 2.0, 3.0])
    codes = model.nearest(z_e)
    assert codes.flatten()[:3].tolist() == [0, 0, 0] and codes.sum() == 46
    model._follow(z_e, codes, model.embed(codes), EPS)
    # N = 0.95 (4, 40) + 0.05 (3, 46);  m = 0.95 (0, 400) + 0.05 (1 + 2 + 3, 46 · 9);  e = m / N
    torch.testing.assert_close(model.usage, torch.tensor([3.95, 40.3]))
    torch.testing.assert_close(model.sums, torch.tensor([[0.3], [400.7]]))
    torch.testing.assert_close(model.vectors, torch.tensor([[0.3 / 3.95], [400.7 / 40.3]]))
    assert model.counts.tolist() == [3, 46]


def test_a_dead_code_restarts_at_a_vector_that_is_served_badly() -> None:
    model = VQVAE(1, "bernoulli", codes=3)
    model.vectors.copy_(torch.tensor([[0.0], [1.0], [500.0]]))  # nothing is near the last
    model.usage.copy_(torch.tensor([30.0, 30.0, 0.0]))
    model.sums.copy_(model.vectors * model.usage[:, None])
    z_e = torch.zeros(2, 1, 7, 7)
    z_e[:, 0, 3] = 1.0
    z_e[0, 0, 2, 5] = -7.0
    model._follow(z_e, model.nearest(z_e), model.embed(model.nearest(z_e)), EPS)
    assert model.vectors[2].item() == -7.0
    assert model.nearest(z_e)[0, 2, 5] == 2
    model.restart = False
    model.vectors[2], model.usage[2] = 500.0, 0.0
    model.sums[2] = 0.0
    model._follow(z_e, model.nearest(z_e), model.embed(model.nearest(z_e)), EPS)
    assert (model.nearest(z_e) != 2).all()


def test_perplexity_counts_a_whole_epoch() -> None:
    assert perplexity(torch.tensor([5, 5, 5, 5])) == pytest.approx(4)
    assert perplexity(torch.tensor([7, 0, 0])) == pytest.approx(1)
    assert perplexity(torch.tensor([0, 0])) == 0
    model, x = small(), binary(8)
    codes = [model(x[half], no_eps(x[half], model)) and model.counts.clone() for half in (slice(4), slice(4, 8))]
    assert codes[1].sum() == 8 * 49  # both batches
    assert model.end_epoch()["perplexity"] == pytest.approx(perplexity(codes[1]))
    assert model.counts.sum() == 0


def test_the_terms_are_the_uniform_priors_bound_per_image() -> None:
    model, x = small(codes=16).eval(), binary(5)
    terms = model(x, no_eps(x, model))
    assert terms.distortion.shape == (1, 5) and terms.rate.shape == (5, 49)
    torch.testing.assert_close(terms.rate.sum(1), torch.full((5,), 49 * math.log(16)))
    torch.testing.assert_close(terms.log_weight, -(terms.distortion + terms.rate.sum(1)))
    logits = model.decode(model.codes_of(x))
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    torch.testing.assert_close(terms.distortion[0], by_hand)
    z_e, z_q = model.encoder(x), model.embed(model.codes_of(x))
    torch.testing.assert_close(terms.penalty, 0.25 * (z_e - z_q).square().sum() / 5)  # per image; no mean over positions


def test_evaluation_leaves_the_codebook_alone() -> None:
    model = small().train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    elbo.terms_of(model, Data(binary(6), torch.zeros(6, dtype=torch.int64), "blobs"))
    assert model.training
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("codebook", ["ema", "loss"])
def test_a_run_stopped_in_the_middle_and_resumed_is_a_run_never_stopped(codebook, tmp_path, monkeypatch) -> None:
    """Parameters, codebook, averages, counts: equal to the last bit, through files."""
    monkeypatch.setattr(weight_files, "RUNS", tmp_path)
    monkeypatch.setattr(runs, "load_data", lambda *options, **shape: load_data(*options, **shape).subset(slice(180)))
    options = {"model": "vq-vae", "latent_dim": 4, "codes": 16, "codebook": codebook, "source": "handwriting"}
    options |= {"likelihood": "bernoulli", "binarise": "dynamic", "epochs": 2, "batch_size": 32}
    training.train(Config(name="whole", **options))

    step, taken = training.train_step, []

    def interrupted(*arguments):
        loss = step(*arguments)
        taken.append(loss)
        if len(taken) == 7:  # of 2 x 5: in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    monkeypatch.setattr(training, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(Config(name="parts", **options))
    training.train(Config(name="parts", resume=True))
    assert len(taken) == 10
    whole, parts = (state_files.read_state(tmp_path / name / "state.safetensors") for name in ("whole", "parts"))
    assert whole[0].keys() == parts[0].keys()
    assert all(np.array_equal(whole[0][name], parts[0][name]) for name in whole[0])
    assert [row["perplexity"] for row in whole[1]["rows"]] == [row["perplexity"] for row in parts[1]["rows"]]
