"""Bad input gets one clear line: an exception at the function, exit code 2 at the command line."""

import re

import jaxtyping
import numpy as np
import pytest
import torch

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_lowlevel.__main__ import main as main2
from vae_lowlevel.train import Config as Config2
from vae_numpy import layers
from vae_numpy.__main__ import Config as Config1
from vae_numpy.__main__ import main as main1
from vae_numpy.command_line import run
from vae_paper import training
from vae_paper.__main__ import Command
from vae_paper.__main__ import main as main3
from vae_paper.config import Config
from vae_paper.reproduce import nll
from vae_paper.vae import VAE


@pytest.fixture(autouse=True)
def without_the_type_checker():
    """The shapes in the signatures would speak first; a user runs without them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


ok = np.full((2, 1, 28, 28), 0.5, np.float32)
nan, infinite, negative = ok.copy(), ok.copy(), ok.copy()
nan[1, 0, 3, 4], infinite[1, 0, 3, 4], negative[1, 0, 3, 4] = np.nan, np.inf, -0.01
BAD_IMAGES = {
    "rank 2": (ok.reshape(2, 784), r"images are \(2, 784\); expected \(B, 1, 28, 28\)"),
    "rank 3": (ok[0], r"images are \(1, 28, 28\); expected"),
    "size": (ok[..., :27], "expected"),
    "channels": (np.repeat(ok, 3, 1), "expected"),
    "uint8": ((ok * 255).astype(np.uint8), "images are .*uint8; expected float32 or float64; divide by 255"),
    "float16": (ok.astype(np.float16), "float16; expected float32 or float64"),
    "0..255": (ok * 255, r"images lie in \[127.5, 127.5\]; expected \[0, 1\]; divide by 255"),
    "negative": (negative, r"images lie in \[-0.01, 0.5\]; expected \[0, 1\]"),
    "NaN": (nan, "images hold NaN or infinity"),
    "infinity": (infinite, "images hold NaN or infinity"),
    "empty": (ok[:0], "an empty batch"),
}


def levels():
    drawn = level1.init_params(3, np.random.default_rng(0))
    tensors = {name: torch.from_numpy(p) for name, p in drawn.items()}
    model = VAE(3)
    return {
        "level 1": (lambda x: level1.encode(drawn, x), lambda z: level1.decode(drawn, z)),
        "level 2": (
            lambda x: level2.encode(tensors, torch.from_numpy(x)),
            lambda z: level2.decode(tensors, torch.from_numpy(z)),
        ),
        "level 3": (lambda x: model.encode(torch.from_numpy(x)), lambda z: model.decode(torch.from_numpy(z))),
    }


@pytest.mark.parametrize("level", ["level 1", "level 2", "level 3"])
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_images(level, case):
    images, message = BAD_IMAGES[case]
    encode, _ = levels()[level]
    with pytest.raises(ValueError, match=message):
        encode(images)
    encode(ok)


@pytest.mark.parametrize("level", ["level 1", "level 2", "level 3"])
def test_latents_of_another_size(level):
    _, decode = levels()[level]
    for z in (np.zeros((2, 4), np.float32), np.zeros(3, np.float32), np.zeros((0, 3), np.float32)):
        with pytest.raises(ValueError, match=r"expected \(B, 3\) with B >= 1, as these weights have D = 3"):
            decode(z)
    assert decode(np.zeros((2, 3), np.float32)).shape == (2, 1, 28, 28)


def test_mixed_precision_is_refused():
    params = level1.init_params(3, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"is float32; expected float64, .* convert the input or the parameters"):
        level1.encode(params, ok.astype(np.float64))


@pytest.mark.parametrize("vae", [level1, level2], ids=["level 1", "level 2"])
def test_unknown_loss(vae):
    with pytest.raises(ValueError, match='expected "bce" or "mse"'):
        vae.reconstruction_loss(ok, ok, "l2")


@pytest.mark.parametrize("version", ["", "_loops"])
def test_layers(version):
    """The definition of a layer and its fast version refuse the same: `check_layer` and `check_pair` see all arguments."""
    linear, conv2d, conv_transpose2d, relu = (
        getattr(layers, name + version) for name in ("linear", "conv2d", "conv_transpose2d", "relu")
    )
    x, w = np.zeros((2, 3, 5, 6)), np.zeros((4, 3, 3, 3))
    for wrong, message in (
        (lambda: conv2d(x[0], w), r"expected x \(B, C, H, W\) and weight \(O, C, KH, KW\)"),
        (lambda: conv2d(x, w[:, :2]), "has 3 inputs, weight .* takes 2"),
        (lambda: conv2d(x, w, np.zeros(3)), r"expected bias \(4,\), got \(3,\)"),
        (lambda: conv2d(x, w, stride=0), "stride is 0: expected"),
        (lambda: conv2d(x, w, padding=(1, -1)), "padding is"),
        (lambda: conv2d(x, w, stride=1.5), "stride is 1.5: expected an int"),
        (lambda: conv2d(x[:, :, :2], w), "larger than the padded image"),
        (lambda: conv2d(x, w.astype(np.float32)), "all float32 or all float64, got float64, float32"),
        (lambda: conv_transpose2d(x, w[:3], output_padding=1), "must be smaller than stride"),
        (lambda: conv_transpose2d(x, w), "has 3 inputs, weight .* takes 4"),
        (lambda: conv_transpose2d(x, w[:3, :2], np.zeros(3)), r"expected bias \(2,\), got \(3,\)"),
        (lambda: linear(x[0, 0], np.zeros((2, 7))), "has 6 inputs, weight .* takes 7"),
        (lambda: relu(x.astype(np.float16)), "x is float16; expected float32 or float64"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()


COMMANDS = [
    ("python -m vae_numpy", Config1, main1, "--count x", r"--count is 'x': expected INT \(see python -m vae_numpy --help\)"),
    ("python -m vae_numpy", Config1, main1, "--count 0", "--count is 0: expected at least 1"),
    ("python -m vae_numpy", Config1, main1, "--weights nowhere.safetensors", "nowhere.safetensors: no such file"),
    ("python -m vae_numpy", Config1, main1, "--weights .", "is a folder; expected weights"),
    ("python -m vae_lowlevel", Config2, main2, "--source handwriting --learning-rate inf", "more than 0, and finite"),
    ("python -m vae_numpy", Config1, main1, "--source minst", "source is 'minst'; expected one of"),
    ("python -m vae_lowlevel", Config2, main2, "--kind l2", "invalid choice 'l2' for argument '--kind'"),
    ("python -m vae_lowlevel", Config2, main2, "--source handwriting --epochs 0", "epochs is 0: expected more than 0"),
    ("python -m vae_lowlevel", Config2, main2, "--source handwriting --batch-size 2000", "there are only 1437 training"),
    (
        "python -m vae_lowlevel",
        Config2,
        main2,
        "--source handwriting --latent-dim 99999999999999999999",
        "--latent-dim is 9+: expected a whole number",
    ),
    ("python -m vae_lowlevel", Config2, main2, "--source handwriting --latent-dim 999999999999", "too large for this machine"),
    ("python -m vae_lowlevel", Config2, main2, "--source handwriting --seed -1", "seed is -1: expected at least 0"),
    ("python -m vae_numpy", Config1, main1, "--source handwriting --seed -1", "seed is -1: expected at least 0"),
    (
        "python -m vae_lowlevel",
        Config2,
        main2,
        "--source handwriting --seed 99999999999999999999",
        "--seed is 9+: expected a whole number",
    ),
    ("python -m vae_lowlevel", Config2, main2, "--device cuda", "Unrecognized options: --device"),
    ("python -m vae_lowlevel", Config2, main2, "--latent", "Unrecognized options: --latent"),
    ("python -m vae_paper", Command, main3, "train --codebook x", r"Expected one of \('(ema|loss)', '(ema|loss)'\)"),
    ("python -m vae_paper", Command, main3, "train --epochs two", "--epochs is 'two': expected INT .*vae_paper train --help"),
    ("python -m vae_paper.reproduce.nll", nll.Options, nll.main, "--seeds 0 a", r"--seeds is '0', 'a': expected \[INT \[INT"),
    ("python -m vae_paper", Command, main3, "train --beta -1", "beta is -1.0: expected at least 0"),
    ("python -m vae_paper", Command, main3, "train --likelihood bernoulli", "choose --binarise"),
    ("python -m vae_paper", Command, main3, "train --gamma 3", "nothing in this configuration uses it"),
    ("python -m vae_paper", Command, main3, "train --name ../up", "expected a plain folder name"),
    ("python -m vae_paper", Command, main3, "train --name nobody --resume", "no run of this name"),
    ("python -m vae_paper", Command, main3, "evaluate nowhere", "nowhere: no such file"),
    ("python -m vae_paper", Command, main3, "sample --count 0", "count is 0: expected 1 to 5,000"),
    ("python -m vae_paper", Command, main3, "sample --count 20000", "count is 20000: expected 1 to 5,000, for one picture"),
    ("python -m vae_paper", Command, main3, "download cifar", "invalid choice"),
]


@pytest.mark.parametrize(("prog", "config", "main", "args", "message"), COMMANDS, ids=[f"{c[0][13:]} {c[3]}" for c in COMMANDS])
def test_command_lines(prog, config, main, args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(prog, config, main, args.split())
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith(f"{prog}: ")
    assert said.count("\n") == 1
    assert re.search(message, said), said
    assert not list(tmp_path.glob("**/*.safetensors"))


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"device is '{device}': not available here"):
        training.train(Config(device=device, source="handwriting"))
    assert not list(tmp_path.iterdir())


def masked(array):
    return np.ma.masked_array(array, mask=array > np.median(array))


OF_ONE_ARRAY = {
    "1 encode": lambda x: level1.encode(level1.init_params(3, np.random.default_rng(0)), x[:, :1, :28, :28]),
    "1 kl_divergence": lambda x: level1.kl_divergence(x[:, 0, 0], x[:, 0, 1]),
    "1 reparameterize": lambda x: level1.reparameterize(x[:, 0, 0], x[:, 0, 0], x[:, 0, 0]),
    "1 conv2d": lambda x: layers.conv2d(x, x),
    "1 relu": layers.relu,
}


@pytest.mark.parametrize("name", OF_ONE_ARRAY)
def test_only_plain_arrays(name):
    """A masked array leaves numbers out of every sum, without a word; a plain array and one mapped from a file do not."""
    x = np.random.default_rng(0).random((2, 1, 28, 28))
    with pytest.raises(ValueError, match="found MaskedArray; expected a NumPy array or a torch tensor"):
        OF_ONE_ARRAY[name](masked(x))
    if name != "1 encode":  # float64 images and float32 parameters
        OF_ONE_ARRAY[name](x)


def test_matrices_lists_and_masked_tensors(tmp_path):
    from vae_numpy import checks

    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    with pytest.warns(UserWarning, match="prototype"):
        tensor = torch.masked.masked_tensor(torch.ones(2, 3), torch.ones(2, 3) > 0)
    for wrong, found in ((matrix, "matrix"), ([[1.0]], "list"), (1.0, "float"), (None, "NoneType"), (tensor, "MaskedTensor")):
        with pytest.raises(ValueError, match=f"a: found {found}; expected a NumPy array"):
            checks.check_arrays(a=wrong)
    mapped = np.memmap(tmp_path / "a", np.float32, "w+", shape=(2, 3))
    checks.check_arrays(a=mapped, b=torch.nn.Parameter(torch.ones(2)), c=np.float32(1))
