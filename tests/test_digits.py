"""Digits are read exactly, and a damaged or foreign file is refused in one line."""

import gzip

import numpy as np
import pytest

from vae_numpy import checks, digits

rng = np.random.default_rng(0)
IMAGES = {"train": rng.integers(0, 256, (7, 28, 28), dtype=np.uint8), "t10k": rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)}
LABELS = {"train": np.arange(7, dtype=np.uint8), "t10k": np.array([9, 0, 3, 3, 1], np.uint8)}


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A folder of four small files in MNIST's format."""
    monkeypatch.setenv("VAE_DATA", str(tmp_path))
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES[prefix])))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[prefix])))
    return folder


def test_official_files(raw):
    for split, prefix in (("train", "train"), ("test", "t10k")):
        loaded = digits.load("auto", split)
        np.testing.assert_array_equal((loaded.images[:, 0] * 255).round(), IMAGES[prefix])
        np.testing.assert_array_equal(loaded.labels, LABELS[prefix])
        assert loaded.images.dtype == np.float32
        assert loaded.source == f"MNIST {split} split ({len(IMAGES[prefix])} images)"
        checks.check_images(loaded.images)


def test_real_mnist_where_it_is():
    if not digits.is_on_disk("mnist"):
        return  # the header of the run says so
    train, test = digits.load("mnist", "train"), digits.load("mnist", "test")
    assert (len(train.images), len(test.images)) == (60_000, 10_000)
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.mean() == pytest.approx(0.1306604762738431, abs=1e-6)


def test_handwriting():
    train, test = digits.load("handwriting"), digits.load("handwriting", "test")
    assert train.images.shape == (1437, 1, 28, 28)
    assert test.images.shape == (360, 1, 28, 28)
    for loaded in (train, test):
        checks.check_images(loaded.images)
        assert (np.bincount(loaded.labels) >= 33).all()
        assert loaded.images[:, :, :4].max() == loaded.images[..., -4:].max() == 0  # the frame
    assert digits.ENLARGE.sum(1) == pytest.approx(np.ones(20))  # a flat image stays flat


def test_valid_archives_of_other_makers(raw):
    """RFC 1952: a gzip file may have several members, and zeros may follow the last one."""
    contents = idx(IMAGES["train"])
    parts = [contents[:3], contents[3:20], b"", contents[20:4000], contents[4000:]]
    for packed in (
        b"".join(map(gzip.compress, parts)),
        gzip.compress(contents) + bytes(100_000),
        b"".join(gzip.compress(part) + bytes(513) for part in parts),
    ):
        (raw / "train-images-idx3-ubyte.gz").write_bytes(packed)
        np.testing.assert_array_equal((digits.load("mnist").images[:, 0] * 255).round(), IMAGES["train"])
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(contents) + bytes(9) + b"x")
    with pytest.raises(ValueError, match="download it again"):
        digits.load("mnist")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_dotted_names(raw, ending):
    """`train-images.idx3-ubyte` is what some copies of MNIST call the file."""
    for archive in raw.glob("*.gz"):
        contents = archive.read_bytes() if ending else gzip.decompress(archive.read_bytes())
        (raw / (archive.stem.replace("-idx", ".idx") + ending)).write_bytes(contents)
        archive.unlink()
    assert digits.is_on_disk("mnist")
    np.testing.assert_array_equal((digits.load("auto").images[:, 0] * 255).round(), IMAGES["train"])


def test_home_in_the_data_folder(raw, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(raw.parents[2]))
    monkeypatch.setenv("VAE_DATA", f"~/{raw.parents[1].name}")
    assert len(digits.load("mnist").images) == 7


def test_a_file_that_may_not_be_read_is_not_called_damaged(raw, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError, match=r"labels-idx1-ubyte\.gz: cannot be read \(Permission denied\)"):
        digits.load("mnist")


def test_nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_DATA", str(tmp_path))
    assert "handwriting" in digits.load("auto", "test").source
    with pytest.raises(FileNotFoundError, match="download kmnist"):
        digits.load("kmnist")


def test_the_source_that_auto_stands_for(raw):
    assert [digits.resolved(name) for name in ("auto", "kmnist", "handwriting")] == ["mnist", "kmnist", "handwriting"]
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    assert digits.resolved("auto") == "handwriting"
    with pytest.raises(ValueError, match="source is 'minst'; expected one of"):
        digits.resolved("minst")


def test_unknown_names():
    with pytest.raises(ValueError, match="expected one of: auto, handwriting, mnist"):
        digits.load("minst")
    with pytest.raises(ValueError, match='expected "train" or "test"'):
        digits.load("mnist", "validation")


good = idx(IMAGES["train"])
DAMAGED = {
    "truncated archive": gzip.compress(good)[:-200],
    "truncated contents": gzip.compress(good[:-1]),
    "trailing bytes": gzip.compress(good + b"x"),
    "flipped checksum": gzip.compress(good)[:-8] + b"12345678",
    "not gzip": good,
    "empty": b"",
    "labels instead": gzip.compress(idx(LABELS["train"])),
    "other type": gzip.compress(b"\0\0\x0d\x03" + good[4:]),
    "a claim of 2^31 images": gzip.compress(good[:4] + b"\x7f\xff\xff\xff" + good[8:]),
    "negative sizes": gzip.compress(good[:4] + b"\xff" * 12 + good[16:]),
    "32x32": gzip.compress(idx(np.zeros((7, 32, 32), np.uint8))),
    "20x20": gzip.compress(idx(np.zeros((7, 20, 20), np.uint8))),
    "other count": gzip.compress(idx(IMAGES["train"][:6])),
    "no images": gzip.compress(idx(IMAGES["train"][:0])),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_images(raw, damage):
    (raw / "train-images-idx3-ubyte.gz").write_bytes(DAMAGED[damage])
    with pytest.raises(ValueError, match=r"ubyte\.gz: .*(download|expected)") as error:
        digits.load("mnist")
    assert "\n" not in str(error.value)


def test_labels_above_nine(raw):
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS["train"] + 4)))
    with pytest.raises(ValueError, match="holds label 10; expected 0 to 9"):
        digits.load("mnist")


def test_a_bomb_is_not_unpacked(raw):
    """An archive that would unpack to 2 GB is refused after the bytes that its header allows."""
    import tracemalloc

    bomb = gzip.compress(good) + gzip.compress(bytes(50_000_000)) * 40
    (raw / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(ValueError, match="but more follow"):
        digits.load("mnist")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_half_unpacked_files_beside_good_archives(raw):
    """torchvision believes a truncated extraction; the archive beside it is what is read."""
    (raw / "train-images-idx3-ubyte").write_bytes(good[:100])
    assert len(digits.load("mnist").images) == 7


def test_unpacked_files_alone(raw):
    for archive in raw.glob("*.gz"):
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
        archive.unlink()
    assert len(digits.load("mnist", "test").images) == 5
    (raw / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES["t10k"])[:-1])
    with pytest.raises(ValueError, match="its header says 3,920 bytes, but 3,919 follow"):
        digits.load("mnist", "test")
