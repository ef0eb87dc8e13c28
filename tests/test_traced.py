"""While torch traces a function there are no values to check: the checks step aside, and the result stays the same."""

import subprocess
import sys
import warnings
from pathlib import Path

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch

import vae_lowlevel.vae as level2
import vae_numpy.vae as level1
from vae_numpy import checks
from vae_paper import models

X = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
PARAMS = {name: p.detach() for name, p in level2.init_params(3, np.random.default_rng(0)).items()}


@pytest.fixture(autouse=True)
def without_the_type_checker():
    """jaxtyping's checks cannot be traced; a user runs without them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Encoder(torch.nn.Module):
    def forward(self, x):
        return level2.encode(PARAMS, x)[0]


TRACED = {
    "compile": lambda: torch.compile(Encoder(), fullgraph=True, backend="eager"),
    "vmap": lambda: torch.vmap(lambda x: level2.encode(PARAMS, x[None])[0][0]),
    "export, any batch": lambda: torch.export.export(
        Encoder(), (X[:2],), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    ).module(),
    "grad": lambda: lambda x: level2.encode(PARAMS, x.clone().requires_grad_())[0].detach(),  # warnings are errors here
}


@pytest.mark.parametrize("how", TRACED)
def test_encode_is_traced(how):
    torch.testing.assert_close(TRACED[how]()(X), Encoder()(X))


@pytest.mark.parametrize("of", ["encode", pytest.param("decode", marks=pytest.mark.thorough)])
def test_onnx_runs_what_level_1_computes(of, tmp_path):
    """Exported with two images or latents, run with four, outside torch."""
    params = {name: p.numpy() for name, p in PARAMS.items()}
    model = models.build("vae", 3)
    model.load_state_dict(PARAMS)
    model.forward = getattr(model, of)
    x = X if of == "encode" else torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    any_batch = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and onnxscript, about each other
        torch.onnx.export(model.eval(), (x[:2],), tmp_path / "m.onnx", dynamo=True, dynamic_shapes=any_batch, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    expected = getattr(level1, of)(params, x.numpy())
    for ours, theirs in zip(got, expected if of == "encode" else [expected], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_labels_and_shapes():
    """Values are not looked at, shapes still are."""
    torch.vmap(lambda labels: (checks.check_labels(labels, 3), labels)[1])(torch.full((2, 3), 99))
    with pytest.raises(ValueError, match="labels: found 99 to 99; expected 0 to 9"):
        checks.check_labels(torch.full((3,), 99), 3)
    with pytest.raises(ValueError, match=r"expected \(B, 1, 28, 28\)"):
        torch.vmap(lambda x: level2.encode(PARAMS, x)[0])(X)
    with pytest.raises(ValueError, match="images hold NaN"):
        checks.check_pixels(torch.full((3,), torch.nan, requires_grad=True))


def test_level_1_imports_no_torch():
    code = (
        "import sys, numpy as np; from vae_numpy import vae, checks, layers; "
        "checks.check_pixels(np.ones(3)); assert 'torch' not in sys.modules"
    )
    root = Path(checks.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
