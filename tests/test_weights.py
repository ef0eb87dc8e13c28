"""A weight file is what was saved, or it is refused: never something else."""

import json
import pickle

import numpy as np
import pytest
import safetensors.numpy

from vae_numpy import checks, files, vae, weights

HEADER = {"model": "vae", "latent_dim": 4, "note": "β = 1"}


@pytest.fixture
def saved(tmp_path):
    params = vae.init_params(4, np.random.default_rng(0))
    path = tmp_path / "w.safetensors"
    weights.save(path, params, HEADER)
    return path, params


def test_round_trip(saved):
    path, params = saved
    read, header = weights.load(path)
    assert header == HEADER
    assert read.keys() == params.keys()
    for name in params:
        np.testing.assert_array_equal(read[name], params[name])
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays


@pytest.mark.parametrize("layout", [lambda a: a.T.copy().T, lambda a: np.flip(np.flip(a).copy()), np.asfortranarray])
def test_any_memory_layout(tmp_path, layout):
    """safetensors 0.8 scrambles arrays that do not lie in C order; `save` does not."""
    a = layout(np.arange(12.0).reshape(3, 4))
    weights.save_tensors(tmp_path / "a", {"a": a, "a.T": a.T, "scalar": np.float64(3).reshape(())}, {})
    read, _ = weights.load_tensors(tmp_path / "a")
    np.testing.assert_array_equal(read["a"], a)
    np.testing.assert_array_equal(read["a.T"], a.T)
    assert read["scalar"].shape == ()


def test_any_flipped_byte_is_noticed(saved):
    path, _ = saved
    data = path.read_bytes()
    header_size = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    places = [*range(0, header_size, 23), *rng.integers(header_size, len(data), 30), len(data) - 1]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="safetensors"):
            weights.load(path)
    for length in (0, 1, 8, 100, header_size, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="download or train it again"):
            weights.load(path)


def test_foreign_and_hostile_files(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match="no such file"):
        weights.load(path)
    safetensors.numpy.save_file({"a": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="without this project's header"):
        weights.load(path)

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        weights.load(path)
    assert not (tmp_path / "executed").exists()


def test_other_models_are_refused(tmp_path, saved):
    path, params = saved
    for change, message in (
        ({"encoder.fc.bias": None}, "encoder.fc.bias is missing"),
        ({"extra": np.zeros(3, np.float32)}, "extra does not belong"),
        ({"encoder.mu.bias": np.zeros(5, np.float32)}, r"encoder.mu.bias is \(5,\); expected \(4,\) at D = 4"),
        ({"encoder.mu.bias": np.zeros(4)}, "encoder.mu.bias is float64"),
    ):
        changed = {name: a for name, a in (params | change).items() if a is not None}
        with pytest.raises(ValueError, match=message):
            weights.save(path, changed, HEADER)
        weights.save_tensors(path, changed, HEADER)
        with pytest.raises(ValueError, match=f"w.safetensors: .*{message}"):
            weights.load(path)


def test_not_finite_is_not_saved(saved):
    path, params = saved
    before = path.read_bytes()
    for bad in (np.nan, np.inf):
        broken = params | {"encoder.mu.bias": np.array([0, 0, bad, 0], np.float32)}
        with pytest.raises(ValueError, match=r"encoder\.mu\.bias holds NaN or infinity"):
            weights.save(path, broken, HEADER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f8", ">i8", "bool", "u1", "f2"])
def test_any_byte_order(tmp_path, dtype):
    """Numbers are saved in this machine's byte order, and come back as the same numbers."""
    a = np.arange(6).reshape(2, 3).astype(dtype)
    weights.save_tensors(tmp_path / "a", {"a": a}, {})
    read = weights.load_tensors(tmp_path / "a")[0]["a"]
    np.testing.assert_array_equal(read, a)
    assert read.dtype == a.dtype.newbyteorder("=")


def test_big_endian_parameters(saved):
    path, params = saved
    weights.save(path, {name: p.astype(">f4") for name, p in params.items()}, HEADER)
    for name, p in weights.load(path)[0].items():
        np.testing.assert_array_equal(p, params[name])


def test_masked_arrays_are_not_saved(saved):
    path, params = saved
    bias = np.ma.masked_array(params["encoder.mu.bias"], mask=[0, 1, 0, 0])
    for save in (weights.save, weights.save_tensors):
        with pytest.raises(ValueError, match=r"encoder\.mu\.bias: found MaskedArray"):
            save(path, params | {"encoder.mu.bias": bias}, HEADER)


def claiming(path, shapes):
    """A file of 4 KB on disk, whose tensors claim to take as much as their shapes say: the rest is a hole."""
    table, end = {"__metadata__": {weights.HEADER_KEY: "{}", "sha256": ""}}, 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape, dtype=object))
        table[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(table).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(file.tell() + end)


def test_a_claim_is_checked_before_anything_is_read(tmp_path, monkeypatch):
    """16 GB that are not there would fill the memory."""
    path = tmp_path / "w.safetensors"
    claiming(path, {"encoder.mu.weight": [16_000_000, 256]})
    monkeypatch.setattr(weights, "_digest", lambda *ignored: pytest.fail("the tensors were read"))
    with pytest.raises(ValueError, match=r"w\.safetensors: its tensors take 16,384,000,000 bytes; expected at most"):
        weights.load_tensors(path)
    with pytest.raises(ValueError, match=r"w.safetensors: parameters: decoder\.conv_t1\.bias is missing"):
        weights.load(path)
    with pytest.raises(ValueError, match=r"w\.safetensors: not mine"):
        weights.load_tensors(path, lambda tensors, header: (_ for _ in ()).throw(ValueError("not mine")))
    seen = {}
    with pytest.raises(ValueError, match="enough"):
        weights.load_tensors(path, lambda tensors, header: (seen.update(tensors), (_ for _ in ()).throw(ValueError("enough"))))
    assert {name: (a.shape, str(a.dtype)) for name, a in seen.items()} == {"encoder.mu.weight": ((16_000_000, 256), "float32")}


def test_a_file_that_may_not_be_read_is_not_called_damaged(saved, monkeypatch):
    path, _ = saved
    monkeypatch.setattr("builtins.open", lambda *ignored: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(PermissionError, match=r"w\.safetensors: Permission denied"):
        weights.load(path)


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    path, params = saved
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        weights.save(path, params, HEADER)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_pretrained_weights():
    """Trained by this code, at most 7 MB, and as good as the issue of their making asked; the header tells how."""
    for latent_dim, most in ((2, 142.0), (20, 94.5)):
        path = weights.PRETRAINED / f"vae_mnist_d{latent_dim}.safetensors"
        params, header = weights.load(path)
        assert path.stat().st_size <= 7_000_000
        assert checks.check_params(params) == header["latent_dim"] == latent_dim
        assert header["test_objective"] <= most
        assert header["command"].startswith("python -m vae_")
        assert {"data", "test_data", "seed", "epochs", "test_objective_standard_error"} <= header.keys()
        json.dumps(header)
