"""Write the explorer: one HTML file that holds the model in JavaScript, its weights, and test digits.

The page works offline. This file needs torch only for sprites and for images of your own.

    vae.js        the model: compare it with vae_numpy/vae.py
    page_math.js  the mathematics that only the page needs
    page.html     the structure of the page;    page.css    its style;    strings.js    its texts
    page.js       the start of the page;    state.js painting.js    what the four parts share
    plane.js digit.js network.js latents.js    the four parts;    check.js    the button "Check the numbers"

The page also holds golden values: reference results that level 1 computes here in float64. The button "Check the numbers"
compares the tensors that the browser computes with the golden values.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from vae_numpy import checks, digits, layers, vae, weights
from vae_numpy.command_line import shown
from vae_numpy.files import write_atomically

Arrays = dict[str, np.ndarray]
HERE = Path(__file__).parent
SHOWS = "the explorer shows a vae or a cvae of the default width and depth: Gaussian latents and 28x28 images"
LABEL_WEIGHTS = {"encoder_label.weight": (256, 10), "decoder_label.weight": (256, 10)}  # of a CVAE
MOST_BYTES = 12_000_000  # largest size of the page
NO_LABEL = -1  # the label of images without labels
GOLDEN, WHOLE = 64, 2  # how many digits have golden values (as in tests/golden), and how many have them for every layer


def explore(
    run: Path = weights.PRETRAINED / "vae_mnist_d2.safetensors",
    out: Path = Path("explorer.html"),
    source: str | None = None,
    count: int = 300,
) -> Path:
    """Write the page of a run's folder, or of a weight file of any level, to the file `out`. Returns `out`.

    `source`: the source of the test digits. Default: the run's own source if it is on disk, otherwise MNIST if it is on disk,
    otherwise the handwriting. `count`: the largest number of test digits in the page. Only a cvae needs labels. Raises
    FileNotFoundError, or ValueError if the model is not a vae or cvae of 28x28 images with the default width and depth, if the
    file is damaged or was not saved by this project, or if the page would take more than 12 MB.
    """
    if count < 1:
        raise ValueError(f"count is {count}: expected at least 1 test digit")
    if out.is_dir():
        raise ValueError(f"out is {out}, a folder; expected a file, for example {out / 'explorer.html'}")
    path = run / "weights.safetensors" if run.is_dir() else run
    params, header = load(path)
    test = _test_images(header, source)
    images, labels = test.images[:count], test.labels[:count]
    if header["model"] == "cvae" and NO_LABEL in labels:
        raise ValueError(f"{path}: a cvae needs a label for each test digit, and {test.source} have none: choose another source")

    likelihood = str(header.get("likelihood", "bce"))
    facts = {
        "name": path.name if run.is_file() else run.name,
        "model": header["model"],
        "latentDim": len(params["encoder.mu.bias"]),
        "likelihood": likelihood,
        "kind": weights.kind_of(header),
        "trainedOn": shown(header.get("data") or "unknown data", 200),
        "digits": test.source,
        "sameSource": _source_named(test.source) == _source_named(str(header.get("data"))),
        "labels": [None if label == NO_LABEL else label for label in labels.tolist()],
    }
    tensors = {
        "weights": {name: array.astype("<f4") for name, array in params.items()},
        "digits": {"x": images.astype("<f4")},
        "golden": golden(params, images[:GOLDEN], labels[:GOLDEN]),
    }
    page = assemble(facts, tensors).encode()
    if len(page) > MOST_BYTES:
        without_digits = len(page) - 4 / 3 * sum(array.nbytes for array in tensors["digits"].values())  # base64 takes 4/3
        advice = "fewer digits" if without_digits < MOST_BYTES else f"a model with fewer than {facts['latentDim']} latents"
        raise ValueError(
            f"{path}: with {len(images):,} digits the page would take {len(page) / 1e6:.2f} MB; expected at most "
            f"{MOST_BYTES / 1e6:.0f}: choose {advice}"
        )
    write_atomically(out, page)
    return out


def load(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The parameters of a vae or cvae, in float32, and the header of its file.

    Raises FileNotFoundError, or ValueError if the file holds another model.
    """
    tensors, header = weights.load_tensors(path)
    model = header.get("model")
    if model not in ("vae", "cvae"):
        raise ValueError(f"{path}: holds {model or 'no model'}; {SHOWS}")
    expected = LABEL_WEIGHTS if model == "cvae" else {}
    # log_sigma belongs to a likelihood; the page does not need it
    shared = {name: array for name, array in tensors.items() if name not in {*expected, "log_sigma"}}
    try:
        checks.check_params(shared)
        for name, shape in expected.items():
            if name not in tensors or tensors[name].shape != shape:
                found = tensors[name].shape if name in tensors else "missing"
                raise ValueError(f"parameters: {name} is {found}; expected {shape}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {SHOWS}") from None
    names = [*shared, *expected]
    return {name: tensors[name].astype(np.float32) for name in names}, header


def with_label(params: Mapping[str, np.ndarray], label: int) -> Arrays:
    """With one fixed label, a cvae is a vae: return the parameters of this vae. (Those of a vae are returned unchanged.)

    fc(concat[h, one_hot(c)]) = W h + V[:, c] + b, where V is the weight of the label. So label c adds V[:, c] to two biases.
    """
    told = {name: array for name, array in params.items() if name not in LABEL_WEIGHTS}
    if "encoder_label.weight" in params:
        told["encoder.fc.bias"] = params["encoder.fc.bias"] + params["encoder_label.weight"][:, label]
        told["decoder.fc1.bias"] = params["decoder.fc1.bias"] + params["decoder_label.weight"][:, label]
    return told


def golden(params: Mapping[str, np.ndarray], images: np.ndarray, labels: np.ndarray) -> Arrays:
    """The noise eps, and every tensor that level 1 computes with it, in float64, as in tests/golden/make.py.

    The losses, the ELBO, mu and logvar are kept for all images; z, x_hat and the other layers' outputs for the first two.
    """
    params = {name: array.astype(np.float64) for name, array in params.items()}
    latent_dim = len(params["encoder.mu.bias"])
    eps = np.random.default_rng(latent_dim).standard_normal((len(images), latent_dim))
    values: Arrays = {"eps": eps}
    told = labels if LABEL_WEIGHTS.keys() <= params.keys() else np.zeros_like(labels)
    for label in np.unique(told):  # one batch for each label of a cvae; one batch in all for a vae
        batch = np.flatnonzero(told == label)
        traced = every_tensor(with_label(params, int(label)), images[batch].astype(np.float64), eps[batch])
        for name, array in traced.items():
            values.setdefault(name, np.empty((len(images), *array.shape[1:])))[batch] = array
    of_all = ("eps", "encoder.mu", "encoder.logvar", "reconstruction_bce", "reconstruction_mse", "kl", "elbo")
    return {name: array if name in of_all else array[:WHOLE] for name, array in values.items()}


def every_tensor(params: Arrays, x: np.ndarray, eps: np.ndarray) -> Arrays:
    """The output of each layer of level 1 (before its ReLU), z, x_hat, and the losses and the ELBO per image."""
    layer_of = {id(array): name.removesuffix(".weight") for name, array in params.items()}
    noted: Arrays = {}

    def noting(layer: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def call(x: np.ndarray, weight: np.ndarray, *rest: Any, **options: Any) -> np.ndarray:
            noted[layer_of[id(weight)]] = y = layer(x, weight, *rest, **options)
            return y

        return call

    linear, conv2d, conv_transpose2d = map(noting, (layers.linear, layers.conv2d, layers.conv_transpose2d))
    # the layers are wrapped from outside, so that the network is defined in vae.py only
    with mock.patch.multiple(vae, linear=linear, conv2d=conv2d, conv_transpose2d=conv_transpose2d):
        mu, logvar = vae.encode(params, x)
        noted["z"] = z = vae.reparameterize(mu, logvar, eps)
        logits = vae.decode(params, z)
    return noted | {
        "x_hat": layers.sigmoid(logits),
        "reconstruction_bce": vae.reconstruction_loss(logits, x),
        "reconstruction_mse": vae.reconstruction_loss(logits, x, "mse"),
        "kl": vae.kl_divergence(mu, logvar),
        "elbo": vae.elbo(params, x, eps),
    }


def assemble(facts: Mapping[str, Any], tensors: Mapping[str, Arrays]) -> str:
    """The whole page: page.html with style, scripts and data. Each group of tensors is one base64 text, little-endian."""
    page = (HERE / "page.html").read_text(encoding="utf-8")
    style = (HERE / "page.css").read_text(encoding="utf-8")
    page = _replaced(page, '<link rel="stylesheet" href="page.css">', f"<style>\n{style}</style>")
    for name in re.findall(r'<script src="(\w+\.js)"></script>', page):
        script = (HERE / name).read_text(encoding="utf-8")
        page = _replaced(page, f'<script src="{name}"></script>', f"<script>\n{script}</script>")
    described = {
        group: {name: {"shape": list(a.shape), "dtype": a.dtype.name} for name, a in arrays.items()}
        for group, arrays in tensors.items()
    }
    # "<" is escaped, so that no text from a header can end the script element
    text = json.dumps({**facts, "tensors": described}, ensure_ascii=False).replace("<", "\\u003c")
    data = [f'<script type="application/json" id="facts">{text}</script>']
    for group, arrays in tensors.items():
        packed = b"".join(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in arrays.values())
        data.append(f'<script type="text/plain" id="{group}">{base64.b64encode(packed).decode()}</script>')
    return _replaced(page, "<!-- data -->", "\n".join(data))


def _replaced(page: str, mark: str, text: str) -> str:
    if page.count(mark) != 1:
        raise RuntimeError(f"page.html: holds {mark} {page.count(mark)} times; expected once")
    return page.replace(mark, text)


def _source_named(about: str) -> str:
    """The source in a description such as "55,000 images of MNIST train split (60,000 images)": MNIST."""
    return re.split(r",? (?:train|test) split", about.rpartition(" images of ")[2])[0]


def _test_images(header: Mapping[str, Any], source: str | None) -> digits.Digits:
    """The test images of `source`. Default: the run's own source if it is on disk, otherwise `auto`. A label may be NO_LABEL."""
    config = header.get("config")
    trained_on = header.get("source") or (config.get("source") if isinstance(config, dict) else None)
    wanted = source or str(trained_on)
    gone = wanted.startswith(("folder:", "array:")) and not Path(wanted.partition(":")[2]).expanduser().exists()
    if not wanted.startswith(("folder:", "array:", "sprites")) or (gone and source is None):
        there = wanted == "handwriting" or (wanted in digits.SOURCES and digits.is_on_disk(wanted))
        return digits.load(wanted if source or there else "auto", "test")
    from vae_paper.data import data_of  # imported here: it needs torch, and a page of digits does not

    gray = {**config, "binarise": "none"} if isinstance(config, dict) else {}  # the page shows grayscale images
    data = data_of({**header, "image_shape": [1, 28, 28], "config": gray}, "test", wanted)
    labels = np.full(len(data.images), NO_LABEL) if data.labels is None else data.labels.numpy()
    if data.shape != (1, 28, 28) or labels.max() > 9:
        raise ValueError(f"{wanted}: images {data.shape} of {labels.max() + 1} classes; expected (1, 28, 28) and at most 10")
    return digits.Digits(data.images.numpy(), labels, data.about)
