"""The fourth level: vae.js agrees with level 1 in every tensor; the mathematics of the page; what is written and refused.

Needs Node; where it is missing, a test says what to install and is skipped. The page in a browser: test_explorer_page.py.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from conftest import PRETRAINED, SOURCES, assert_close

from vae_numpy import digits, layers, vae, weights
from vae_paper.explorer.explore import HERE, _source_named, _test_images, every_tensor, explore, golden, load, with_label

ROOT = Path(__file__).parents[1]
NODE = shutil.which("node") or shutil.which("nodejs")
needs_node = pytest.mark.skipif(NODE is None, reason="Node is missing: apt-get install nodejs")

# Reads tensors from a folder, runs the code of a test with vae.js as V and page_math.js as M, writes the tensors in `out`.
IN_NODE = """
const fs = require("fs"), [, , source, folder] = process.argv;
const V = require(source + "/vae.js"), M = require(source + "/page_math.js");
const x = {}, out = {};
for (const [name, shape] of Object.entries(JSON.parse(fs.readFileSync(folder + "/in.json", "utf8")))) {
  const bytes = fs.readFileSync(`${folder}/in.${name}`);
  x[name] = V.tensor(shape, new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
}
const params = Object.fromEntries(Object.entries(x).filter(([name]) => /(weight|bias)$/.test(name)));
{ CODE }
const shapes = {};
for (const [name, t] of Object.entries(out)) {
  shapes[name] = t.shape;
  fs.writeFileSync(`${folder}/out.${name}`, Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength));
}
fs.writeFileSync(folder + "/out.json", JSON.stringify(shapes));
"""


@pytest.fixture
def in_node(tmp_path):
    """A function that runs JavaScript on float64 tensors, and returns the tensors that the code put into `out`."""

    def run(code: str, **tensors: np.ndarray) -> dict[str, np.ndarray]:
        for name, array in tensors.items():
            (tmp_path / f"in.{name}").write_bytes(np.ascontiguousarray(array, "<f8").tobytes())
        (tmp_path / "in.json").write_text(json.dumps({name: np.shape(array) for name, array in tensors.items()}))
        (tmp_path / "run.js").write_text(IN_NODE.replace("CODE", code), encoding="utf-8")
        done = subprocess.run(
            [NODE, str(tmp_path / "run.js"), str(HERE), str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        shapes = json.loads((tmp_path / "out.json").read_text())
        return {name: np.frombuffer((tmp_path / f"out.{name}").read_bytes(), "<f8").reshape(s) for name, s in shapes.items()}

    return run


def float64(params):
    return {name: p.astype(np.float64) for name, p in params.items()}


ENCODE_AND_DECODE = """
const [mu, logvar] = V.encode(params, x.x, out);
out.z = V.reparameterize(mu, logvar, x.eps);
const logits = V.decode(params, out.z, out);
out.x_hat = V.sigmoid(logits);
out.reconstruction_bce = V.reconstructionLoss(logits, x.x);
out.reconstruction_mse = V.reconstructionLoss(logits, x.x, "mse");
out.kl = V.klDivergence(mu, logvar);
"""


@needs_node
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("latent_dim", [2, 20])
def test_golden_values(in_node, source, latent_dim):
    written, _ = weights.load_tensors(ROOT / "tests" / "golden" / f"{source}_d{latent_dim}.safetensors")
    x = digits.load(source, "test").images[: len(written["eps"])]
    params = float64(weights.load(PRETRAINED[latent_dim])[0])
    got = in_node(ENCODE_AND_DECODE, x=x, eps=written["eps"], **params)
    names = {"mu": "encoder.mu", "logvar": "encoder.logvar", "logits": "decoder.conv_t2"}
    for name in written.keys() - {"eps"}:
        assert_close(got[names.get(name, name)][: len(written[name])], written[name], 1e-10, name)


@needs_node
def test_every_tensor_on_random_weights(in_node):
    rng = np.random.default_rng(11)
    params = {name: 2 * p.astype(np.float64) for name, p in vae.init_params(3, rng).items()}  # B != D, no weight is tame
    x, eps = rng.random((2, 1, 28, 28)), rng.standard_normal((2, 3))
    expected = every_tensor(params, x, eps)
    got = in_node(f"{ENCODE_AND_DECODE} out.elbo = V.elbo(params, x.x, x.eps);", x=x, eps=eps, **params)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        assert_close(got[name], values, 1e-10, name)


CONVOLUTIONS = [  # B, C, O, H, W, kernel, stride, padding, output padding
    (2, 3, 4, 7, 5, (3, 2), (2, 1), (1, 0), (1, 0)),
    (1, 2, 3, 5, 8, (1, 3), (3, 2), (0, 2), (2, 1)),
    (3, 1, 2, 4, 6, (4, 4), (1, 3), (2, 1), (0, 2)),
    (1, 1, 1, 3, 3, (3, 3), (2, 2), (1, 1), (1, 1)),
]


@needs_node
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(("B", "C", "O", "H", "W", "kernel", "stride", "padding", "output_padding"), CONVOLUTIONS)
def test_layers_are_exact_on_integers(in_node, with_bias, B, C, O, H, W, kernel, stride, padding, output_padding):
    rng = np.random.default_rng(H * W)
    draw = lambda *shape: rng.integers(-8, 9, shape).astype(np.float64)  # noqa: E731
    arrays = {"x": draw(B, C, H, W), "w": draw(O, C, *kernel), "wt": draw(C, O, *kernel), "wl": draw(O, W), "b": draw(O)}
    rows, b = arrays["x"].reshape(-1, W), arrays["b"] if with_bias else None
    options = ", ".join(json.dumps(pair) for pair in (stride, padding, output_padding))
    bias = "x.b" if with_bias else "null"
    got = in_node(
        f"""
        out.conv2d = V.conv2d(x.x, x.w, {bias}, {json.dumps(stride)}, {json.dumps(padding)});
        out.convTranspose2d = V.convTranspose2d(x.x, x.wt, {bias}, {options});
        out.linear = V.linear(x.rows, x.wl, {bias});
        """,
        rows=rows,
        **arrays,
    )
    np.testing.assert_array_equal(got["conv2d"], layers.conv2d(arrays["x"], arrays["w"], b, stride, padding))
    expected = layers.conv_transpose2d(arrays["x"], arrays["wt"], b, stride, padding, output_padding)
    np.testing.assert_array_equal(got["convTranspose2d"], expected)
    np.testing.assert_array_equal(got["linear"], layers.linear(rows, arrays["wl"], b))


@needs_node
def test_relu_sigmoid_and_losses_at_extremes(in_node):
    v = np.array([[0.0, -0.0, 1e-300, -1e-300, 36.7, -36.7, 800, -800, np.inf, -np.inf, np.nan, 0.3]])
    got = in_node("out.relu = V.relu(x.v); out.sigmoid = V.sigmoid(x.v);", v=v)
    np.testing.assert_array_equal(got["relu"], layers.relu(v))
    np.testing.assert_allclose(got["sigmoid"], layers.sigmoid(v), rtol=1e-15)
    x = np.linspace(0, 1, 784).reshape(1, 1, 28, 28)
    logits = np.linspace(-900, 900, 784).reshape(1, 1, 28, 28)
    mu, logvar = np.array([[40.0, -3.0, 1e-9]]), np.array([[-80.0, 1e-12, 9.0]])
    got = in_node("out.bce = V.reconstructionLoss(x.l, x.x); out.kl = V.klDivergence(x.m, x.v);", l=logits, x=x, m=mu, v=logvar)
    np.testing.assert_allclose(got["bce"], vae.reconstruction_loss(logits, x), rtol=1e-14)
    np.testing.assert_allclose(got["kl"], vae.kl_divergence(mu, logvar), rtol=1e-14)


REFUSED = {  # code -> what the one line says
    "V.linear(V.tensor([2, 3]), V.tensor([4, 5]))": r"linear: x \(2, 3\) has 3 inputs, weight \(4, 5\) takes 5",
    "V.linear(V.tensor([2, 3]), V.tensor([4, 3]), V.tensor([3]))": r"linear: expected bias \(4,\), got \(3,\)",
    "V.conv2d(V.tensor([1, 2, 5]), V.tensor([4, 2, 3, 3]))": r"conv2d: expected x \(B, C, H, W\) and weight",
    "V.conv2d(V.tensor([1, 1, 2, 2]), V.tensor([1, 1, 3, 3]))": "conv2d: the 3x3 kernel is larger than the padded image, 2x2",
    "V.conv2d(V.tensor([1, 1, 4, 4]), V.tensor([1, 1, 3, 3]), null, 0)": "stride is 0: expected an integer",
    "V.convTranspose2d(V.tensor([1, 1, 4, 4]), V.tensor([1, 1, 3, 3]), null, 2, 0, 2)": "must be smaller than stride",
    "V.encode({}, V.tensor([1, 1, 28, 27]))": r"images are \(1, 1, 28, 27\); expected \(B, 1, 28, 28\)",
    "V.encode({}, V.tensor([1, 1, 28, 28], new Float64Array(784).fill(NaN)))": r"outside \[0, 1\]",
    "V.reparameterize(V.tensor([1, 2]), V.tensor([1, 2]), V.tensor([2, 1]))": r"eps \(2, 1\): expected tensors of equal 2-D",
    "V.reconstructionLoss(V.tensor([1, 1, 28, 28]), V.tensor([1, 1, 28, 28]), 'l1')": 'kind is "l1"; expected "bce" or "mse"',
}


@needs_node
def test_wrong_arguments_get_one_line(in_node):
    calls = ", ".join(f"() => {code}" for code in REFUSED)
    report = "const say = (f) => { try { f(); return 'nothing'; } catch (e) { return e.message; } };"
    got = in_node(
        f"{report} const said = JSON.stringify([{calls}].map(say)); "
        "out.said = V.tensor([said.length], Float64Array.from(said, (c) => c.codePointAt(0)));"
    )
    said = json.loads("".join(map(chr, got["said"].astype(int))))
    for (code, expected), line in zip(REFUSED.items(), said, strict=True):
        assert re.search(expected, line) and "\n" not in line, (code, line)


# The mathematics of the page


@needs_node
def test_weights_and_kl_of_a_posterior(in_node):
    rng = np.random.default_rng(3)
    mu, logvar, eps, recon = (*rng.normal(0.5, 1.5, (3, 4, 3)), rng.random(4) * 100)
    got = in_node(
        """
        out.weight = M.logWeight(x.recon, x.mu, x.logvar, x.eps);
        out.kl = M.klPerLatent(x.mu, x.logvar);
        out.wide = M.widened(x.logvar, 4);
        out.narrow = M.widened(x.logvar, 1 / 4);
        """,
        mu=mu, logvar=logvar, eps=eps, recon=recon,
    )  # fmt: skip
    z, log_density = mu + np.exp(logvar / 2) * eps, lambda z, m, v: -0.5 * (np.log(2 * np.pi) + v + (z - m) ** 2 / np.exp(v))
    expected = -recon + (log_density(z, 0, 0) - log_density(z, mu, logvar)).sum(1)
    assert_close(got["weight"], expected, 1e-12, "log weight")
    assert_close(got["kl"].sum(1), vae.kl_divergence(mu, logvar), 1e-12, "KL")
    sigma = np.exp(logvar / 2)
    assert_close(np.exp(got["wide"] / 2), np.where(sigma < 1, np.minimum(4 * sigma, 1), sigma), 1e-12, "wider")
    assert_close(np.exp(got["narrow"] / 2), sigma / 4, 1e-12, "narrower")


@needs_node
def test_walks(in_node):
    a, b = np.array([3.0, 0.0, 0.0]), np.array([0.0, 5.0, 0.0])
    got = in_node(
        """
        const way = (f, a, b, t) => V.tensor([3], f(a.data, b.data, t));
        out.line = way(M.lerp, x.a, x.b, 0.25);
        out.sphere = way(M.slerp, x.a, x.b, 1 / 3);
        out.start = way(M.slerp, x.a, x.b, 0);
        out.end = way(M.slerp, x.a, x.b, 1);
        out.opposite = way(M.slerp, x.a, V.tensor([3], x.a.data.map((v) => -v)), 0.5);
        out.same = way(M.slerp, x.a, x.a, 0.3);
        """,
        a=a, b=b,
    )  # fmt: skip
    assert_close(got["line"], 0.75 * a + 0.25 * b, 1e-12, "lerp")
    turned = np.radians(30)  # a third of a right angle; the length goes from 3 to 5
    assert_close(got["sphere"], (3 + 2 / 3) * np.array([np.cos(turned), np.sin(turned), 0]), 1e-12, "slerp")
    for name, expected in {"start": a, "end": b, "opposite": 0 * a, "same": a}.items():
        assert_close(got[name], expected, 1e-12, name)


@needs_node
def test_the_noise_is_standard_normal_and_repeats(in_node):
    got = in_node("out.a = M.normals(7)(50000, 2); out.b = M.normals(7)(50000, 2); out.c = M.normals(8)(50000, 2);")
    np.testing.assert_array_equal(got["a"], got["b"])
    values = got["a"].ravel()
    # five standard errors of 100,000 draws: fails for a correct generator with probability below 1e-6, and the seed is fixed
    assert abs(values.mean()) < 5 / np.sqrt(len(values)) and abs(values.var() - 1) < 5 * np.sqrt(2 / len(values))
    assert abs(np.mean(values**4) - 3) < 5 * np.sqrt(96 / len(values))
    assert abs(np.corrcoef(got["a"][:, 0], got["a"][:, 1])[0, 1]) < 5 / np.sqrt(len(got["a"]))
    assert abs(np.corrcoef(values, got["c"].ravel())[0, 1]) < 5 / np.sqrt(len(values))


UNITS = {"encoder.conv1": [0, 195, 196 * 31 + 20], "encoder.conv2": [0, 48, 49 * 40 + 24], "encoder.fc": [255], "encoder.mu": [1]}
UNITS |= {"decoder.fc1": [0, 200], "decoder.fc2": [3135], "decoder.conv_t1": [0, 13, 196 * 9 + 30, 6271]}
UNITS |= {"decoder.conv_t2": [0, 27, 29, 58, 400, 783]}


@needs_node
def test_a_unit_is_the_bias_and_the_products_of_its_patch(in_node, small_params):
    rng = np.random.default_rng(4)
    x, eps = rng.random((1, 1, 28, 28)), rng.standard_normal((1, 3))
    code = f"""
        {ENCODE_AND_DECODE}
        const layers = M.layersOf(3), shapes = {{ x: [1, 28, 28], z: [3, 1, 1] }}, got = [];
        for (const [name, l] of Object.entries(layers)) shapes[name] = l.shape;
        const seen = {{ ...out, x: x.x }};
        for (const [name, units] of Object.entries({json.dumps(UNITS)})) for (const unit of units) {{
          const l = layers[name], values = ["x", "z"].includes(l.reads) ? seen[l.reads] : V.relu(seen[l.reads]);
          const patch = M.patchOf(l, shapes[l.reads], params[name + ".weight"], unit);
          const bias = params[name + ".bias"].data[l.kind === "linear" ? unit : Math.floor(unit / (l.shape[1] * l.shape[2]))];
          got.push(bias + patch.reduce((sum, p) => sum + p.weight * values.data[p.input], 0), seen[name].data[unit]);
          const size = l.kind === "linear" ? 7 : 3, inside = (k) => k >= 0 && k < size;
          if (name !== "encoder.mu" && name !== "decoder.fc2" && !patch.every((p) => inside(p.row) && inside(p.column)))
            throw new Error(name + ": a place outside the patch");
        }}
        out.got = V.tensor([got.length / 2, 2], Float64Array.from(got));
    """
    got = in_node(code, x=x, eps=eps, **small_params)["got"]
    assert len(got) == sum(map(len, UNITS.values()))
    assert_close(got[:, 0], got[:, 1], 1e-12, "bias + products")


@needs_node
def test_fields_are_the_pixels_that_matter(in_node):
    ones = lambda *shape: np.ones(shape)  # noqa: E731
    places = [(0, 0), (3, 2), (6, 6)]
    got = in_node(
        f"""
        const places = {json.dumps(places)}, flat = (f) => [...f.rows, ...f.columns];
        for (const name of ["encoder.conv1", "encoder.conv2"])
          out[name] = V.tensor([3, 4], Float64Array.from(places.flatMap(([i, j]) => flat(M.receptiveField(name, i, j)))));
        for (const name of ["decoder.fc2", "decoder.conv_t1", "decoder.conv_t2"])
          out[name] = V.tensor([3, 4], Float64Array.from(places.flatMap(([i, j]) => flat(M.projectiveField(name, i, j)))));
        """
    )
    options = {"stride": 2, "padding": 1}
    for row, (i, j) in enumerate(places):
        pixels = np.eye(784).reshape(784, 1, 28, 28)
        conv1 = layers.conv2d(pixels, ones(1, 1, 3, 3), **options)
        conv2 = layers.conv2d(conv1, ones(1, 1, 3, 3), **options)
        for name, output in {"encoder.conv1": conv1, "encoder.conv2": conv2}.items():
            rows, columns = np.nonzero(output[:, 0, i, j].reshape(28, 28))
            np.testing.assert_array_equal(got[name][row], [rows.min(), rows.max(), columns.min(), columns.max()], name)
        for name, size in {"decoder.fc2": 7, "decoder.conv_t1": 14, "decoder.conv_t2": 28}.items():
            image = np.zeros((1, 1, size, size))
            image[0, 0, i, j] = 1
            while image.shape[2] < 28:
                image = layers.conv_transpose2d(image, ones(1, 1, 3, 3), output_padding=1, **options)
            rows, columns = np.nonzero(image[0, 0])
            np.testing.assert_array_equal(got[name][row], [rows.min(), rows.max(), columns.min(), columns.max()], name)


@needs_node
def test_a_drawing_becomes_an_image_like_those_of_mnist(in_node):
    got = in_node(
        """
        const seven = [[[0.2, 0.2], [0.7, 0.2], [0.4, 0.9]]];
        const moved = seven.map((s) => s.map(([a, b]) => [a * 0.5 + 0.4, b * 0.5 + 0.1]));
        const image = (strokes) => V.tensor([1, 1, 28, 28], M.likeMnist(strokes));
        out.seven = image(seven);
        out.moved = image(moved);
        out.wide = image([[[0.1, 0.5], [0.9, 0.5]]]);
        out.dot = image([[[0.9, 0.1]]]);
        out.nothing = image([]);
        out.centre = V.tensor([2], Float64Array.from(M.centreOfMass(out.seven.data)));
        """
    )
    for name in ("seven", "wide", "dot"):
        image = got[name][0, 0]
        assert image.min() == 0 and 0.9 < image.max() <= 1, name
        at = (np.arange(28) + 0.5) @ image.sum(0) / image.sum(), (np.arange(28) + 0.5) @ image.sum(1) / image.sum()
        assert max(abs(at[0] - 14), abs(at[1] - 14)) < 0.05, f"{name}: the centre of mass is {at}"
        rows, columns = np.nonzero(image)
        size = max(np.ptp(rows), np.ptp(columns)) + 1
        assert size <= (4 if name == "dot" else 22) and (name == "dot" or size >= 20), f"{name}: {size} pixels"
        assert np.unique(image).size > 3, f"{name}: no soft edges"
    assert_close(got["moved"], got["seven"], 1e-9, "the same drawing, smaller and elsewhere")
    assert 60 < got["seven"].sum() < 120  # the 7s of MNIST's test split: 60 to 120 for most
    assert not got["nothing"].any()


# What is written, and what is refused


@pytest.fixture
def without_the_type_checker():
    """The annotations would speak first; a user runs without them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def untrained(latent_dim, seed=0):
    return vae.init_params(latent_dim, np.random.default_rng(seed))


def cvae(latent_dim):
    rng = np.random.default_rng(9)
    told = {name: rng.normal(0, 0.3, (256, 10)).astype(np.float32) for name in ("encoder_label.weight", "decoder_label.weight")}
    return untrained(latent_dim) | told


def facts_of(page):
    return json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)[1])


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path):
    out = explore(PRETRAINED[2], tmp_path / "new" / "folder" / "page.html", "handwriting", 30)
    page = out.read_text(encoding="utf-8")
    assert out.stat().st_size <= 12_000_000
    written = page.split('id="facts"')[0] + page.split('id="golden"')[1]  # all but the data
    assert not re.search(r"""(src|href)=["'](?!#)|https?://|import\(|@import|url\(""", written)
    assert facts_of(page)["digits"] == "the bundled handwriting, test split (360 images)" and len(facts_of(page)["labels"]) == 30
    assert facts_of(page)["tensors"]["weights"].keys() == weights.load(PRETRAINED[2])[0].keys()


def test_the_page_with_300_digits_takes_at_most_12_megabytes(tmp_path):
    assert explore(PRETRAINED[20], tmp_path / "page.html").stat().st_size <= 12_000_000


@pytest.mark.parametrize("source", SOURCES)
def test_the_golden_values_of_the_page_are_those_of_the_tests(source):
    written, _ = weights.load_tensors(ROOT / "tests" / "golden" / f"{source}_d2.safetensors")
    data = digits.load(source, "test")
    made = golden(load(PRETRAINED[2])[0], data.images[:64], data.labels[:64])
    names = {"mu": "encoder.mu", "logvar": "encoder.logvar", "logits": "decoder.conv_t2"}
    for name, values in written.items():
        assert_close(made[names.get(name, name)], values, 1e-10, name)


def test_a_label_moves_two_biases():
    params, data = float64(cvae(3)), digits.load("handwriting", "test")
    x, eps, label = data.images[:1].astype(np.float64), np.array([[0.3, -1.0, 2.0]]), 7
    traced = every_tensor(with_label(params, label), x, eps)
    inputs = {"encoder.fc": np.maximum(traced["encoder.conv2"], 0).reshape(1, 3136), "decoder.fc1": traced["z"]}
    for name, h in inputs.items():
        told = params[f"{name.split('.')[0]}_label.weight"][:, label]
        expected = h @ params[f"{name}.weight"].T + params[f"{name}.bias"] + told  # W h + b + V one_hot(c)
        assert_close(traced[name], expected, 1e-12, name)


@needs_node
def test_a_label_is_the_same_in_javascript(in_node):
    params, data = cvae(3), digits.load("handwriting", "test")
    expected = golden(params, data.images[:3], data.labels[:3])
    code = f"""
        const parts = {data.labels[:3].tolist()}.map((label, b) => {{
          const part = (t) => t.data.subarray((b * t.data.length) / 3, ((b + 1) * t.data.length) / 3);
          const one = (t) => V.tensor([1, ...t.shape.slice(1)], part(t));
          return V.elbo(M.withLabel(params, label), one(x.x), one(x.eps)).data[0];
        }});
        out.elbo = V.tensor([3], Float64Array.from(parts));
    """
    got = in_node(code, x=data.images[:3], eps=expected["eps"], **params)
    assert_close(got["elbo"], expected["elbo"], 1e-10, "ELBO")


def write(path, params, **header):
    weights.save_tensors(path, params, {"model": "vae", **header})
    return path


def test_what_is_refused(tmp_path, without_the_type_checker):
    out = tmp_path / "page.html"
    shows = "the explorer shows a vae or a cvae of the default width and depth: Gaussian latents and 28x28 images"
    wide = untrained(2)
    wide["encoder.conv1.weight"] = np.zeros((32, 3, 3, 3), np.float32)
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "folder.html").mkdir()
    vq_vae, ae, unnamed = (write(tmp_path / f"{m}", untrained(2), model=m) for m in ("vq-vae", "ae", None))
    coloured, too_many = write(tmp_path / "coloured", wide), write(tmp_path / "600", untrained(600))
    unlabelled, labelled = write(tmp_path / "unlabelled", untrained(2), model="cvae"), write(tmp_path / "labelled", cvae(2))
    cases = {
        f"holds vq-vae; {shows}": lambda: explore(vq_vae, out),
        f"holds ae; {shows}": lambda: explore(ae, out),
        f"holds no model; {shows}": lambda: explore(unnamed, out),
        f"conv1.weight is (32, 3, 3, 3); expected (32, 1, 3, 3) at D = 2; {shows}": lambda: explore(coloured, out),
        "encoder_label.weight is missing; expected (256, 10)": lambda: explore(unlabelled, out),
        "label.weight does not belong to this model": lambda: explore(labelled, out),
        "without this project's header": lambda: explore(foreign, out),
        "no such file": lambda: explore(tmp_path / "nowhere", out),
        "count is 0: expected at least 1": lambda: explore(PRETRAINED[2], out, count=0),
        "source is 'cats'; expected one of": lambda: explore(PRETRAINED[2], out, "cats"),
        "a folder; expected a file": lambda: explore(PRETRAINED[2], tmp_path / "folder.html"),
        "choose a model with fewer than 600 latents": lambda: explore(too_many, out, "handwriting", 10),
    }
    for expected, call in cases.items():
        with pytest.raises((ValueError, FileNotFoundError)) as refused:
            call()
        assert expected in str(refused.value) and "\n" not in str(refused.value)
    assert not out.exists(), "a refused page was written"


@pytest.mark.parametrize(("likelihood", "kind"), [("bernoulli", "bce"), ("mse", "mse"), ("learned-gaussian", "mse")])
def test_the_loss_on_the_page_follows_the_likelihood(tmp_path, likelihood, kind):
    params = untrained(2) | ({"log_sigma": np.zeros((), np.float32)} if likelihood == "learned-gaussian" else {})
    page = explore(write(tmp_path / "w", params, likelihood=likelihood), tmp_path / "p.html", "handwriting", 2)
    facts = facts_of(page.read_text(encoding="utf-8"))
    assert (facts["likelihood"], facts["kind"]) == (likelihood, kind)
    assert "log_sigma" not in facts["tensors"]["weights"]


def test_the_digits_are_those_of_the_run(tmp_path):
    run = write(tmp_path / "w", untrained(2), config={"source": "handwriting"})
    page = explore(run, tmp_path / "p.html", count=2).read_text(encoding="utf-8")
    assert facts_of(page)["digits"].startswith("the bundled handwriting")


def test_a_file_of_level_2_names_its_source_without_a_configuration(monkeypatch):
    def load(source, split):
        asked.append((source, split))
        return few

    few, asked = digits.load("handwriting", "test"), []
    monkeypatch.setattr(digits, "is_on_disk", lambda source: source == "kmnist")
    monkeypatch.setattr(digits, "load", load)
    _test_images({"source": "kmnist", "data": "KMNIST train split"}, None)
    assert asked == [("kmnist", "test")]


def test_images_of_your_own_need_no_labels(tmp_path):
    own, run = tmp_path / "own.npz", tmp_path / "w"
    images = np.round(255 * digits.load("handwriting", "test").images[:200]).astype(np.uint8)
    np.savez(own, images=images)
    write(run, untrained(2), config={"source": f"array:{own}"})

    def labels(source=None):
        page = explore(run, tmp_path / "p.html", source, 3).read_text(encoding="utf-8")
        return facts_of(page)["labels"]

    assert labels() == [None] * 3
    with pytest.raises(ValueError, match="a cvae needs a label for each test digit"):
        explore(write(tmp_path / "c", cvae(2), model="cvae"), tmp_path / "p.html", f"array:{own}")
    own.unlink()
    assert labels() == digits.load("auto", "test").labels[:3].tolist(), "the source is gone: expected the digits on disk"
    with pytest.raises(FileNotFoundError):
        labels(f"array:{own}")


def test_the_page_does_not_call_its_gray_digits_binarised(tmp_path):
    own, run = tmp_path / "own.npz", tmp_path / "w"
    np.savez(own, images=np.round(255 * digits.load("handwriting", "test").images[:200]).astype(np.uint8))
    write(run, untrained(2), config={"source": f"array:{own}", "binarise": "dynamic"})
    page = explore(run, tmp_path / "p.html", count=3).read_text(encoding="utf-8")
    assert facts_of(page)["digits"].endswith("grayscale")


def test_a_header_cannot_leave_its_place(tmp_path):
    text = "</script><script>alert(1)</script><!-- & \u2028 \u202e \\"
    written = explore(write(tmp_path / "w", untrained(2), data=text), tmp_path / "p.html", "handwriting", 3)
    page = written.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in page
    assert facts_of(page)["trainedOn"] == "</script><script>alert(1)</script><!-- & \\"  # no character that turns the text around


def test_no_torch(tmp_path):
    code = f"""
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is not for this page")
sys.meta_path.insert(0, NoTorch())
from pathlib import Path
from vae_paper.explorer.explore import explore
print(explore(out=Path({str(tmp_path / "page.html")!r}), count=2))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "page.html")


def texts(language):
    """The table of a language, without the quotes and line ends inside a text."""
    table = re.search(rf"  {language}: \{{(.*?)\n  \}},", (HERE / "strings.js").read_text(encoding="utf-8"), re.DOTALL)[1]
    return dict(re.findall(r"^    (\w+): *\n? *(.*?),$(?=\n\n|\n    \w|\Z)", table, re.MULTILINE | re.DOTALL))


def test_each_language_has_every_text_with_the_same_values_and_numbers():
    english, korean = texts("en"), texts("ko")
    assert english.keys() == korean.keys()
    for key, text in english.items():
        for pattern in (r"\{\w+\}", r"\d*\.?\d+(?:e-?\d+)?"):
            asked, found = set(re.findall(pattern, text)), set(re.findall(pattern, korean[key]))
            assert asked == found or found - asked == {"1"}, f"{key}: {asked ^ found}"  # "a nat" is 1 nat


def test_every_text_is_in_the_table_and_used():
    keys = list(texts("en"))
    assert len(keys) == len(set(keys))
    html = (HERE / "page.html").read_text(encoding="utf-8")
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', html))
    scripts = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.js") if path.name != "strings.js")
    for key in keys:
        assert key in used or re.search(rf'"{key}"', scripts), f"{key} is in the table and nowhere on the page"
    asked = set(re.findall(r'say\("(\w+)"', scripts)) | used
    assert asked <= set(keys), f"not in the table: {asked - set(keys)}"
    body = re.search(r'<div id="page" hidden>(.*)</div>\n<noscript>', html, re.DOTALL)[1]
    words = re.sub(r"<[^>]*>|\s+", "", body)
    assert not words, f"words in page.html that are in no table: {words}"


def test_the_page_knows_whether_test_digits_and_training_images_have_one_source():
    same = [
        ("MNIST test split (10,000 images)", "57,996 images of MNIST train split (60,000 images), grayscale"),
        ("MNIST test split (10,000 images)", "MNIST train split (60,000 images), grayscale"),
        (
            "the bundled handwriting, test split (360 images)",
            "1,317 images of the bundled handwriting, train split (1,437 images)",
        ),
    ]
    assert all(_source_named(test) == _source_named(train) for test, train in same)
    assert _source_named(same[2][0]) != _source_named(same[0][1])
    assert _source_named(same[0][0]) != _source_named("60,000 images of FashionMNIST train split (60,000 images)")
