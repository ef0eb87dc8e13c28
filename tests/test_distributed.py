"""Past one process: two that torchrun starts take the steps of one, refuse as one, and lose nothing when one is killed.

Most of it is in forks of this process that are told what torchrun tells its own, as starting Python takes longer.
"""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from benchmarks.soak import children
from vae_numpy import weights
from vae_numpy.command_line import command_of, run
from vae_paper import distributed, state_files
from vae_paper import runs as runs_module
from vae_paper import training as train
from vae_paper.__main__ import Command, Evaluate, main
from vae_paper.config import Config, checked
from vae_paper.data import Data, load_data
from vae_paper.initial import initial_model
from vae_paper.measuring.elbo import terms_of
from vae_paper.vae import VAE

# 20 steps; of 4 samples 125 images are measured at once: an odd number, of which two processes have not the same share
WHOLE = Config(name="whole", source="handwriting", latent_dim=3, batch_size=4, validation=0.765, epochs=2, samples=4)
WHOLE = dataclasses.replace(WHOLE, likelihood="bernoulli", binarise="dynamic")
SHORT = dataclasses.replace(WHOLE, epochs=1, batch_size=20, samples=2, binarise="none")
VQ = dataclasses.replace(SHORT, name="vq", model="vq-vae", codes=8, samples=1, likelihood="bce")
# With WHOLE: every model, objective and likelihood that is not refused
KINDS = {
    "cvae": {"model": "cvae", "objective": "iwae", "likelihood": "learned-gaussian"},
    "pixel-vae": {"model": "pixel-vae", "objective": "free-bits", "free_bits_per": "image", "likelihood": "discretised-logistic"},
    "quadrant-cvae": {"model": "quadrant-cvae", "likelihood": "gaussian", "samples": 1},
    "ae": {"model": "ae", "likelihood": "mse", "samples": 1},
    "cyclical": {"beta_schedule": "cyclical", "weight_decay": 0.1, "likelihood": "continuous-bernoulli"},
    "pixel-prior": {"model": "pixel-prior", "codes_of": "vq", "samples": 1, "class_conditional": True, "likelihood": "bce"},
}
REFUSED = [
    ({"model": "vq-vae"}, "model is vq-vae: its codebook is updated from the whole batch"),
    ({"likelihood": "optimal-gaussian", "binarise": "none"}, "likelihood is optimal-gaussian: its variance is fitted to a batch"),
    ({"objective": "capacity"}, r"objective is capacity: \|KL - C\| is computed from a batch's mean KL"),
    ({"objective": "free-bits"}, "free_bits_per is latent: the floor applies to a batch's mean KL"),
    ({"objective": "free-bits", "free_bits_per": "total"}, "free_bits_per is total: the floor"),
    ({"batch_size": 21}, "batch_size is 21: expected a multiple of 2"),
    ({"validation": 0.004}, "validation is 0.004: 1 images; expected 0, or at least one per process"),
    ({"device": "cuda:1"}, r"device is cuda:1: expected cpu, or cuda \(each of 2"),
]


def prepare(folder: Path) -> None:
    """In a process of its own: few images, all in float64, and runs in this folder."""
    os.chdir(folder)
    torch.set_default_dtype(torch.float64)
    runs_module.load_data = lambda *options, **shape: few_digits(options[2])


@functools.cache
def few_digits(binarisation: str) -> Data:
    data = LOAD("handwriting", "train", binarisation)
    return data.replace(images=data.images[:170].double(), labels=data.labels[:170])


LOAD = load_data


def command(*words: str) -> None:
    with distributed.joined():
        run("python -m vae_paper", Command, main, ["train", *words])


def together(work, folder: Path, count: int = 2, seconds: float = 240) -> list[tuple[int, str]]:
    """Do `work` in processes that know of each other as torchrun's do; of each, how it ended and what it said."""
    warmed_up()
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # torchrun's, which outlives them
    told = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": store.port, "TORCHELASTIC_RUN_ID": "test"}
    told |= {"TORCHELASTIC_USE_AGENT_STORE": True}

    def started(rank: int) -> int:
        def in_a_fork():
            os.environ |= {name: str(value) for name, value in (told | {"RANK": rank}).items()}
            prepare(folder)
            work()

        with open(folder / f"said{rank}", "w") as output:
            return children.started(in_a_fork, output.fileno())

    processes = [started(rank) for rank in range(count)]
    codes = [children.ended(process, seconds) for process in processes]
    return list(zip(codes, [(folder / f"said{rank}").read_text() for rank in range(count)], strict=True))


@functools.cache
def warmed_up() -> None:
    """Here, so that the forks need not: the digits, and what the first optimiser of a process imports."""
    few_digits("none"), few_digits("dynamic")
    torch.optim.AdamW([torch.zeros(1)])


def alone(work, folder: Path) -> None:
    warmed_up()
    code, said = children.said(lambda: (prepare(folder), work()), 240)
    assert code == 0, said


def dying(at_step: int, rank: int, how: signal.Signals) -> None:
    """Train as WHOLE does, and at a step of one process, send it a signal."""
    step, taken = train.train_step, []

    def train_step(*arguments):
        taken.append(1)
        if len(taken) == at_step and int(os.environ["RANK"]) == rank:
            os.kill(os.getpid(), how)
        return step(*arguments)

    train.train_step = train_step
    with distributed.joined():
        WHOLE.name = "dying"
        run("python -m vae_paper", Config, train.train, words(WHOLE))


def words(config: Config) -> list[str]:
    return command_of("", config).split()


def last_line(said: str) -> str:
    return said.replace("\r", "\n").rstrip("\n").split("\n")[-1]


def by_one_and_by_two(configs: list[Config], folder: Path) -> tuple[Path, Path]:
    """The same trainings by one process and by two: the folders of their runs."""
    one, two = folder / "one", folder / "two"
    one.mkdir(), (two / "runs").mkdir(parents=True)
    (two / "runs/vq").symlink_to(one / "runs/vq")  # which two would refuse to train
    alone(lambda: [train.train(config) for config in configs], one)

    def all_of_them():
        with distributed.joined():
            for config in configs:
                if config.model != "vq-vae":
                    train.train(config)

    ended = together(all_of_them, two)
    assert [code for code, _ in ended] == [0, 0], ended
    return one / "runs", two / "runs"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    return by_one_and_by_two([WHOLE], tmp_path_factory.mktemp("runs"))


def apart(a: Path, b: Path) -> float:
    """The largest difference between two states in float64, where a tensor reaches beyond 1 relative to what it reaches."""
    ours, theirs = (state_files.read_state(folder / "state.safetensors")[0] for folder in (a, b))
    assert ours.keys() == theirs.keys()
    assert {array.dtype for name, array in ours.items() if name.endswith("bias")} == {np.dtype("float64")}
    return max(np.abs(ours[name] - theirs[name]).max() / max(1, np.abs(theirs[name]).max()) for name in ours)


def check_equal(one: Path, two: Path) -> None:
    """After all steps: parameters, Adam's moments, and every row of metrics.csv, but for its seconds."""
    ours, theirs = (state_files.read_state(folder / "state.safetensors")[1]["rows"] for folder in (one, two))
    for a, b in zip(ours, theirs, strict=True):
        assert a | {"seconds": 0} == pytest.approx(b | {"seconds": 0}, rel=1e-10)
    assert (two / "metrics.csv").read_text().count("\n") == len(ours) + 1
    assert (one / "config.json").read_text() == (two / "config.json").read_text()
    assert (gap := apart(one, two)) < 1e-10, gap


@pytest.mark.thorough
def test_twenty_steps_of_two_processes_are_those_of_one(runs):
    check_equal(*(folder / "whole" for folder in runs))


@pytest.mark.slow
def test_every_kind_that_is_not_refused(tmp_path):
    one, two = by_one_and_by_two([VQ] + [dataclasses.replace(SHORT, name=name, **KINDS[name]) for name in KINDS], tmp_path)
    for name in KINDS:
        check_equal(one / name, two / name)


class Penalised(VAE):
    """A model of a user's own, whose penalty is a mean over images."""

    def forward(self, x, eps, labels=None):
        return dataclasses.replace(super().forward(x, eps, labels), penalty=x.mean())


def test_a_penalty_is_of_all_images_and_dropout_has_other_noise_in_each_process(tmp_path):
    def measure():
        with distributed.joined():
            penalty = terms_of(Penalised(3), few_digits("none"), batch_size=50).penalty.item()
            with train.seeded_modules(WHOLE, 5):
                Path(f"found{distributed.rank()}").write_text(f"{penalty} {torch.rand(()).item()}")

    assert [code for code, _ in together(measure, tmp_path)] == [0, 0]
    (ours, noise), (theirs, other) = ([float(n) for n in (tmp_path / f"found{rank}").read_text().split()] for rank in (0, 1))
    assert ours == theirs == pytest.approx(few_digits("none").images.mean().item(), rel=1e-12)
    assert noise != other


def test_what_is_of_a_whole_batch_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    for options, message in REFUSED:
        config = checked(dataclasses.replace(WHOLE, **{"samples": 1} | options))
        with pytest.raises(ValueError, match=message):
            distributed.check(config, initial_model(config), round(170 * config.validation), own_objective=False)


def test_what_all_refuse_rank_0_says_once(tmp_path):
    (code0, said0), (code1, said1) = together(lambda: command("--objective", "capacity"), tmp_path)
    assert (code0, code1, said1) == (2, 2, "")
    assert said0.startswith("python -m vae_paper: objective is capacity") and said0.count("\n") == 1
    (code0, said0), (code1, said1) = together(lambda: command("--colour", "red"), tmp_path)
    assert (code0, code1, said1) == (2, 2, "")
    assert said0.startswith("python -m vae_paper: ") and said0.count("\n") == 1


@pytest.mark.thorough
def test_what_one_refuses_ends_all(tmp_path):
    """Rank 0 finds the folder locked; rank 1 has another's data: the one that knows why says it."""
    small = words(dataclasses.replace(SHORT, name="a", likelihood="bce"))
    with runs_module.locked(tmp_path / "runs/a"):
        (code0, said0), (code1, said1) = together(lambda: command(*small), tmp_path)
    assert (code0, code1, said1) == (2, 2, "")
    assert said0 == "python -m vae_paper: runs/a: another process or thread is training into this folder; choose another --name\n"

    def with_nan_in_rank_1():
        if os.environ["RANK"] == "1":
            images = few_digits("none").images
            images[:, 0, 14, 14] = torch.nan
        command(*small)

    (code0, said0), (code1, said1) = together(with_nan_in_rank_1, tmp_path)
    assert (code0, code1) == (2, 2)
    assert said1 == (
        "python -m vae_paper: runs/a: step 0: images hold NaN or infinity; expected values in [0, 1]; "
        "what was saved before is intact\n"
    )
    assert last_line(said0).startswith("rank 0: another process has ended, and this one cannot go on alone")


def test_only_training_is_shared(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    with pytest.raises(ValueError, match="evaluate runs in one process"):
        main(Evaluate())


@pytest.mark.thorough
def test_ctrl_c_stops_all_after_one_step(runs, tmp_path):
    """It comes to rank 1 alone, in a step that all finish. Two processes go on to the bits of a run never stopped."""
    (code0, said0), (code1, said1) = together(lambda: dying(15, 1, signal.SIGINT), tmp_path)
    assert (code0, code1, said1) == (130, 130, "")
    assert last_line(said0).startswith("python -m vae_paper: stopped after step 15, state saved; go on with: ")
    assert weights.load_tensors(tmp_path / "runs/dying/state.safetensors")[1]["step"] == 15
    ended = together(lambda: command("--name", "dying", "--resume"), tmp_path)
    assert [code for code, _ in ended] == [0, 0], ended
    assert apart(tmp_path / "runs/dying", runs[1] / "whole") == 0


@pytest.mark.thorough
def test_a_killed_process_ends_all_and_one_goes_on(runs, tmp_path):
    """Rank 1 is killed in the second epoch. One process, as torchrun would start it again, goes on unasked, to rounding."""
    (code0, said0), (code1, _) = together(lambda: dying(15, 1, signal.SIGKILL), tmp_path)
    assert (code0, code1) == (2, -signal.SIGKILL)
    assert last_line(said0) == (
        "rank 0: another process has ended, and this one cannot go on alone; what was saved before is intact; "
        "continue with --resume"
    )
    assert weights.load_tensors(tmp_path / "runs/dying/state.safetensors")[1]["step"] == 10
    again = words(dataclasses.replace(WHOLE, name="dying"))
    refused = (2, "already holds a run")  # another run is in the way, or the same of another launch
    for launch, change, (code, said) in (
        ("test", ["--seed", "1"], refused),
        ("new", [], refused),
        ("test", [], (0, "resumed at step 10")),
    ):
        ended = children.said(lambda l=launch, c=change: (prepare(tmp_path), restarted(l), command(*again, *c)), 240)
        assert ended[0] == code and said in ended[1], ended
    assert apart(tmp_path / "runs/dying", runs[0] / "whole") < 1e-10


def restarted(launch: str) -> None:
    os.environ |= {"TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_RUN_ID": launch, "WORLD_SIZE": "1"}


TORCHRUN = """
import signal
from tests.test_distributed import *
prepare(Path())
if not distributed.restarted():
    dying(15, 0, signal.SIGKILL)
command(*words(dataclasses.replace(WHOLE, name="dying")))
"""


@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again(runs, tmp_path):
    """The one launch of torchrun itself. Rank 0, which holds the folder's lock, is killed in the second epoch."""
    (tmp_path / "worker.py").write_text(TORCHRUN)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([*torchrun, "worker.py"], cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as job:
        try:
            said = job.communicate(timeout=600)[1]
        finally:
            job.terminate()  # it ends its processes with it
    assert job.returncode == 0, said
    assert "exitcode: -9" in said
    assert "resumed at step 10" in said.split("exitcode: -9")[1]  # it went on where the state was
    assert apart(tmp_path / "runs/dying", runs[1] / "whole") == 0
