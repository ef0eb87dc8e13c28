"""The explorer's page in a real browser: what it shows are the numbers of level 1, by mouse, finger and keyboard.

Needs Chromium, its driver and selenium; where they are missing, a test says what to install and is skipped.
"""

import base64
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import PRETRAINED, assert_close
from test_explorer import cvae, float64, untrained, write

from vae_numpy import digits, layers, vae
from vae_paper.explorer.explore import every_tensor, explore, load, with_label

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
CHROMEDRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="Chromium is missing: apt-get install chromium chromium-driver"
)
EIGHT_BITS = 0.5 / 255 + 0.5 / 230  # a pixel is rounded twice: to a step of the palette, and to a colour


class Browser:
    """Chromium with a page open, and hands: real pointer and key events, in CSS pixels of an element."""

    def __init__(self, driver):
        self.driver = driver
        self.run = driver.execute_script

    def open(self, path, width=1600, height=1000, dark=False, language="en"):
        self.size(width, height, dark)
        self.driver.get(f"{path.resolve().as_uri()}?lang={language}")
        self.wait("const line = document.getElementById('start'); return line === null || line.textContent.includes('could not')")

    def size(self, width, height=1000, dark=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def wait(self, script, seconds=300):
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"after {seconds} s: {script} gives {value!r}; console: {self.console()}"
            time.sleep(0.05)
        return value

    def settle(self, *tasks):
        """Until the next frame is drawn and these tasks of the background are done."""
        self.driver.set_script_timeout(300)
        self.driver.execute_async_script(
            """
            const [tasks, done] = arguments;
            const look = () => (wanted.size || tasks.some((name) => explorer.tasks.has(name)) ? setTimeout(look, 5) : done());
            requestAnimationFrame(look);
            """,
            tasks,
        )

    def value(self, id):
        return np.array(self.run("return document.getElementById(arguments[0]).dataset.value", id).split(), float)

    def values(self, *ids):
        """One number of each element."""
        return self.run("return arguments[0].map((id) => Number(document.getElementById(id).dataset.value))", ids)

    def state(self, expression):
        """A part of the page's state, as an array."""
        return np.array(self.run(f"const s = explorer.state, flat = (t) => Array.from(t.data); return {expression};"), float)

    def image(self, id):
        """The image that a canvas shows, read back from its pixels: 1 is ink; 8 bits."""
        script = """const copy = new OffscreenCanvas(28, 28).getContext('2d'), read = (n) => rgb(colours[n])[0];
            copy.drawImage(document.getElementById(arguments[0]), 0, 0);
            const data = copy.getImageData(0, 0, 28, 28).data;
            const red = Array.from({ length: 784 }, (_, k) => data[4 * k]);
            return red.map((v) => (v - read('image-paper')) / (read('image-ink') - read('image-paper')));"""
        return np.array(self.run(script, id)).reshape(1, 1, 28, 28)

    def box(self, id):
        self.run("document.getElementById(arguments[0]).scrollIntoView({ behavior: 'instant', block: 'center' })", id)
        script = "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
        return self.run(script + "return [b.left, b.top, b.width, b.height]", id)

    def mouse(self, kind, id, point, button="left", buttons=1, shift=False):
        """One event of the mouse; `buttons` is the sum of the buttons that are down: left 1, right 2."""
        left, top, width, height = self.box(id)
        at = {"x": left + point[0] * width, "y": top + point[1] * height, "modifiers": 8 if shift else 0}
        pressed = {"button": button, "buttons": buttons, "clickCount": 0 if kind == "mouseMoved" else 1}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **at, **pressed})

    def drag(self, id, points, button="left", shift=False):
        """Press at the first point, move over the others, let go; points in [0, 1] of the element."""
        buttons = {"left": 1, "right": 2}[button]
        self.mouse("mousePressed", id, points[0], button, buttons, shift)
        for point in points:
            self.mouse("mouseMoved", id, point, button, buttons, shift)
        self.mouse("mouseReleased", id, points[-1], button, 0, shift)

    def touch(self, id, *fingers):
        """Each finger is a list of points; all fingers move at the same time."""
        left, top, width, height = self.box(id)
        for number, points in enumerate(zip(*fingers, strict=True)):
            at = [{"x": left + x * width, "y": top + y * height, "id": finger} for finger, (x, y) in enumerate(points)]
            kind = "touchMove" if number else "touchStart"
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def keys(self, selector, *keys):
        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].focus({ preventScroll: true })", element)
        element.send_keys(*keys)

    def click(self, id):
        self.run("document.getElementById(arguments[0]).click()", id)

    def console(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser():
    """One headless Chromium for all tests of this file."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is missing: pip install selenium")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--touch-events=enabled"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def trained_a_minute_ago(path):
    """A few steps of level 2 on the bundled handwriting, D = 3."""
    import torch

    from vae_lowlevel.train import train_step

    data = digits.load("handwriting", "train")
    params = {name: torch.from_numpy(p).requires_grad_() for name, p in untrained(3).items()}
    optimizer, rng = torch.optim.Adam(params.values(), lr=3e-3), np.random.default_rng(0)
    for _ in range(12):
        chosen = rng.integers(0, len(data.images), 32)
        eps = rng.standard_normal((32, 3), dtype=np.float32)
        train_step(params, optimizer, torch.from_numpy(data.images[chosen]), torch.from_numpy(eps))
    return write(path, {name: p.detach().numpy() for name, p in params.items()}, data=data.source)


PAGES = {
    "pretrained": lambda folder: PRETRAINED[2],
    "trained": lambda folder: trained_a_minute_ago(folder / "weights.safetensors").parent,
    "cvae": lambda folder: write(folder / "cvae.safetensors", cvae(4), model="cvae", likelihood="mse"),
}


class Page:
    """A page, and level 1 with the same weights: what the page must show."""

    def __init__(self, name, folder):
        run = PAGES[name](folder)
        source = None if name == "pretrained" else "handwriting"
        self.digits = digits.load(source or "auto", "test")
        self.path = explore(run, folder / f"{name}.html", source, 40)
        self.params, self.header = load(run / "weights.safetensors" if run.is_dir() else run)
        self.params = float64(self.params)
        self.kind = "mse" if self.header.get("likelihood") == "mse" else "bce"

    def with_label(self, label):
        return with_label(self.params, int(label))

    def x_hat(self, z, label):
        return layers.sigmoid(vae.decode(self.with_label(label), np.atleast_2d(z)))

    def terms(self, x, eps, label, width):
        """recon, kl, elbo and log weight of samples eps (K, D), by level 1, with q as wide as the slider says."""
        params, K = self.with_label(label), len(eps)
        mu, logvar = vae.encode(params, x)
        logvar = np.minimum(logvar + 2 * np.log(width), np.maximum(logvar, 0))
        z = mu + np.exp(logvar / 2) * eps
        recon = vae.reconstruction_loss(vae.decode(params, z), np.repeat(x, K, 0), self.kind)
        kl = np.repeat(vae.kl_divergence(mu, logvar), K)
        return recon, kl, -(recon + kl), -recon + 0.5 * (eps**2 - z**2 + logvar).sum(1)


def check_numbers(browser, page):
    """The four numbers, their means, the eight weights and the loss of part 2, against level 1."""
    browser.settle("samples")
    label, chosen, width, beta, *x = browser.state("[s.digit.label, s.chosen, s.width, s.beta, ...flat(s.digit.x)]")
    x, eps = np.reshape(x, (1, 1, 28, 28)), browser.state("flat(s.eps)").reshape(8, -1)
    terms = page.terms(x, eps, label, width)
    names = ("recon", "kl", "elbo", "weight")
    shown = browser.values(*names, *(f"{name}-mean" for name in names), "loss-text")
    for k, (name, values) in enumerate(zip(names, terms, strict=True)):
        assert_close(shown[k], values[int(chosen)], 1e-10, name)
        assert_close(shown[4 + k], values.mean(), 1e-10, f"mean of {name}")
    assert_close(shown[8], terms[0][int(chosen)] + beta * terms[1][0], 1e-9, "loss")
    weights = browser.run("return [...document.getElementById('samples').children].map((b) => Number(b.dataset.value))")
    assert_close(weights, terms[3], 1e-10, "log weights")
    mu, _ = vae.encode(page.with_label(label), x)
    assert_close(browser.image("x-hat-mu"), page.x_hat(mu, label), EIGHT_BITS, "x̂ from μ, read back from the pixels")


def check_point(browser, page):
    """The image of the plane's point, read back from the pixels, against level 1."""
    browser.settle()
    z, (label,) = browser.state("Array.from(s.z)"), browser.state("[s.label]")
    np.testing.assert_array_equal(browser.value("plane-z"), z)
    assert_close(browser.image("plane-image"), page.x_hat(z, label), EIGHT_BITS, "x̂ on the plane, read back from the pixels")
    return z


@pytest.mark.thorough
@needs_chromium
@pytest.mark.parametrize("name", ["pretrained", pytest.param("trained", marks=pytest.mark.slow)])
def test_the_page_in_a_browser(browser, name, tmp_path, capsys):
    page = Page(name, tmp_path)
    browser.open(page.path)
    assert browser.run("return explorer.facts.kind") == page.kind

    check_point(browser, page)
    browser.drag("plane-canvas", [(0.5, 0.5), (0.6, 0.4), (0.7, 0.3)])
    browser.settle()
    reach, axes = browser.run("return [REACH, AXES]")
    z = check_point(browser, page)
    assert_close(z[axes], [0.4 * reach, 0.4 * reach], 0.02 * reach, "the point that was dragged")
    before = z
    browser.keys("#plane-canvas", "\ue014\ue014\ue013")  # right, right, up
    z = check_point(browser, page)
    assert_close(z - before, 0.1 * (2 * np.eye(len(z))[axes[0]] + np.eye(len(z))[axes[1]]), 1e-12, "three arrow keys")

    browser.drag("plane-canvas", [(0.3, 0.5), (0.6, 0.4), (0.8, 0.3)], shift=True)
    browser.settle("line")
    start, end = browser.state("[Array.from(s.line.from), Array.from(s.line.to)]")
    images = page.x_hat(start + np.linspace(0, 1, 11)[:, None] * (end - start), browser.state("[s.label]")[0])
    jumps = np.sqrt(((images[1:] - images[:-1]) ** 2).sum((1, 2, 3)))
    assert_close(browser.value("line-strip"), jumps, 1e-10, "changes along the line")
    browser.keys("#plane-canvas", "\ue00c")  # Escape
    browser.settle("line")
    assert browser.run("return explorer.state.line") is None
    assert not browser.driver.find_element("id", "line-strip").is_displayed()

    check_numbers(browser, page)
    browser.drag("pad", [(0.25, 0.2), (0.5, 0.18), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)])
    browser.drag("pad", [(0.4, 0.5), (0.7, 0.5)])
    browser.settle()
    assert browser.state("[s.strokes.length]") == [2] and browser.run("return explorer.state.digit.index") is None
    assert_close(browser.image("x"), browser.state("flat(s.digit.x)").reshape(1, 1, 28, 28), EIGHT_BITS, "the drawing")
    assert 40 < browser.state("flat(s.digit.x)").sum() < 200
    check_numbers(browser, page)
    browser.keys("#sheet", "\ue014", "\ue015")  # right, down: a test digit
    browser.settle()
    index = browser.run("return explorer.state.digit.index")
    assert_close(
        browser.state("flat(s.digit.x)"), page.digits.images[index].astype(np.float64).ravel(), 0, "the digit that was picked"
    )
    browser.keys("#width", *"\ue014" * 12)
    browser.keys("#beta", *"\ue014" * 30)
    assert_close(browser.state("[s.width, s.beta]"), [2**1.2, 2**1.5], 1e-12, "sliders")
    browser.run("document.querySelectorAll('#samples button')[5].click()")
    check_numbers(browser, page)
    browser.click("new-noise")
    check_numbers(browser, page)
    check_trade(browser, page)

    check_network(browser, page)
    check_latents(browser, page)
    check_button(browser)
    with capsys.disabled():
        print(f"\n{page.path.name}: {frames_while_dragging(browser):.0f} frames a second while dragging", end=" ")
    assert browser.console() == []


@needs_chromium
@pytest.mark.thorough
def test_a_cvae_is_asked_for_a_label(browser, tmp_path):
    page = Page("cvae", tmp_path)
    browser.open(page.path)
    assert browser.run("return explorer.facts.kind") == "mse"
    check_numbers(browser, page)
    choose = "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))"
    shown = []
    for label in (3, 8):
        browser.run(choose, "digit-label", str(label))
        assert browser.state("[s.digit.label]") == [label]
        check_numbers(browser, page)
        browser.run(choose, "label", str(label))
        assert browser.state("[s.label]") == [label]
        check_point(browser, page)
        shown.append(browser.image("plane-image"))
    assert np.abs(shown[0] - shown[1]).max() > 0.02, "the label changes nothing"
    check_button(browser)
    assert browser.console() == []


@needs_chromium
def test_a_click_a_finger_and_the_left_button(browser, tmp_path):
    browser.open(explore(PRETRAINED[2], tmp_path / "d2.html", "handwriting", 200))
    browser.settle()
    order = browser.run("return sheetOrder")
    browser.drag("sheet", [(0.95, 12.5 / 20)])  # 200 digits are 20 rows of 10; a scrollbar takes some of the width
    assert browser.run("return explorer.state.digit.index") == order[129], "another digit than the one that was clicked"

    browser.touch("pad", [(0.2, 0.2), (0.2, 0.5), (0.2, 0.8)], [(0.8, 0.2), (0.8, 0.5), (0.8, 0.8)])
    (stroke,) = browser.run("return explorer.state.strokes")
    assert_close(np.array(stroke), [[0.2, 0.2], [0.2, 0.5], [0.2, 0.8]], 0.01, "the stroke of the first finger")
    browser.touch("plane-canvas", [(0.3, 0.5), (0.3, 0.6)], [(0.8, 0.5), (0.8, 0.9)])
    assert_close(browser.state("[...s.z].map((v) => v / REACH)"), [-0.4, -0.2], 0.01, "the point, dragged by the first finger")

    state = "return JSON.stringify([explorer.state.strokes, [...explorer.state.z]])"
    before = browser.run(state)
    for id in ("pad", "plane-canvas"):
        browser.drag(id, [(0.5, 0.5), (0.6, 0.7)], button="right")
        assert browser.run(state) == before, f"the right button changed {id}"
    send = """const canvas = document.getElementById(arguments[0]), box = canvas.getBoundingClientRect();
        for (const [type, buttons, x] of arguments[1]) canvas.dispatchEvent(new PointerEvent(type,
          { buttons, pointerId: 1, clientX: box.left + x * box.width, clientY: box.top + box.height / 2 }));"""
    for id in ("pad", "plane-canvas"):
        browser.run(send, id, [["pointerdown", 1, 0.5], ["pointermove", 1, 0.6]])
        before = browser.run(state)
        browser.run(send, id, [["pointermove", 0, 0.7], ["pointermove", 0, 0.8]])  # the page did not see the button's release
        assert browser.run(state) == before, f"a mouse without a pressed button changed {id}"
    browser.drag("pad", [(0.5, 0.5), (1.3, 0.5)])
    assert browser.state("s.strokes.flat(2)").max() == 1, "a stroke left the pad"
    assert browser.console() == []


@needs_chromium
def test_a_line_starts_at_the_point_and_its_walk_gives_way(browser, tmp_path):
    browser.open(explore(PRETRAINED[2], tmp_path / "d2.html", "handwriting", 20))
    browser.drag("plane-canvas", [(0.2, 0.3), (0.6, 0.4)], shift=True)
    browser.wait("return explorer.state.z[0] !== explorer.state.line.to[0]")  # the walk has begun
    browser.click("latents-zero")
    time.sleep(0.2)
    assert not browser.state("Array.from(s.z)").any(), "the walk moved the point on"
    line = "[Array.from(s.line.from), Array.from(s.line.to)]"
    browser.keys("#plane-canvas", "\ue008\ue014")  # shift, right
    assert_close(browser.state(line), [[0, 0], [0.1, 0]], 1e-12, "a new line from the point")
    browser.keys("#plane-canvas", "\ue008\ue013")  # shift, up
    assert_close(browser.state(line), [[0, 0], [0.1, 0.1]], 1e-12, "the same line, longer")
    assert browser.console() == []


@needs_chromium
def test_the_sliders_stay_while_one_is_in_use(browser, tmp_path):
    browser.open(explore(PRETRAINED[20], tmp_path / "d20.html", "handwriting", 20))
    browser.settle()
    browser.run("const box = document.getElementById('latent-sliders'); box.append(box.firstChild)")  # a wrong order
    browser.keys("#latent-sliders label:nth-child(3) input", "\ue014")
    browser.run("window.used = document.activeElement; tasks.clear(); background('codes', encodeDigits());")
    browser.settle("codes")
    browser.settle()
    assert browser.run("return document.activeElement === used"), "the slider in use is another now"
    assert browser.run("return String(explorer.state.latent) === used.dataset.latent"), "another latent is traversed"
    kl = "return [...document.querySelectorAll('#latent-sliders .bar')].map((bar) => Number(bar.dataset.value))"
    assert (np.diff(browser.run(kl)) > 0).any(), "the order changed under the reader's hands"
    browser.run("used.blur()")
    browser.settle()
    assert (np.diff(browser.run(kl)) <= 0).all(), "not ordered by KL"
    browser.run("setZ(explorer.state.z.map(() => -7))")
    browser.settle()
    assert browser.run("return Number(used.value)") == -7
    assert browser.console() == []


@needs_chromium
@pytest.mark.thorough
def test_the_best_width_and_the_loss_above_it(browser, tmp_path):
    page = Page("pretrained", tmp_path)
    browser.open(page.path)
    browser.run("tasks.delete('codes'); tasks.delete('map');")  # they would come first
    browser.settle("trade", "refine")
    x, eps = browser.state("flat(s.digit.x)").reshape(1, 1, 28, 28), browser.state("flat(s.eps)").reshape(8, -1)
    grid = np.arange(-30, 40.5, 0.5) / 10  # twice as fine as the slider
    recon, kl = np.array([[t.mean() for t in page.terms(x, eps, 0, 2**power)[:2]] for power in grid]).T
    loss = recon + 4 * kl
    move = "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input'))"
    browser.run(move, "beta", 2)
    best = grid[::2][loss[::2].argmin()]
    for power in (best, 0, -3, 4):
        browser.run(move, "width", power)
        browser.settle()
        width, excess = browser.value("trade-text")
        assert_close(np.log2(width), best, 1e-9, "log2 of the best width")
        assert_close(excess, loss[np.abs(grid - power).argmin()] - loss[::2].min(), 1e-9, f"excess at 2^{power}")
        assert_close(loss[::2].min(), loss.min(), 0.1, "the lowest loss at the slider's widths")
    assert browser.run("return document.getElementById('width').getAttribute('aria-valuetext')") == "× 16.00"


@needs_chromium
@pytest.mark.thorough
def test_digits_without_labels(browser, tmp_path):
    np.savez(tmp_path / "own.npz", images=np.round(255 * digits.load("handwriting", "test").images[:200]).astype(np.uint8))
    source = f"array:{tmp_path / 'own.npz'}"
    run = write(tmp_path / "w", untrained(1), config={"source": source})
    browser.open(explore(run, tmp_path / "p.html", count=10), language="constructor")
    browser.wait("return explorer.state.codes.length === facts.labels.length && wanted.size === 0")
    assert browser.run("return document.getElementById('nearest-text').textContent").startswith("at distance")
    assert not browser.driver.find_element("id", "legend").is_displayed()
    assert browser.run("return [explorer.state.other, document.documentElement.lang]") == [1, "en"]
    browser.click("to-plane")
    assert browser.run("return explorer.state.label") == 0, "the label of a vae decides nothing"
    assert browser.run("return document.getElementById('walk-t-value').textContent") == "0.00"
    unnamed = "return [...document.querySelectorAll('main canvas')].filter((c) => !c.closest('[aria-label]')).map((c) => c.id)"
    assert browser.run(unnamed) == [], "canvases without a label"
    assert browser.console() == []


def check_trade(browser, page):
    """The curve of part 2, at three widths."""
    browser.settle("trade")
    x, eps = browser.state("flat(s.digit.x)").reshape(1, 1, 28, 28), browser.state("flat(s.eps)").reshape(8, -1)
    label = browser.state("[s.digit.label]")[0]
    widths, recon, kl = browser.state("[s.trade.widths, s.trade.recon, s.trade.kl]")
    for k in (0, 6, 14):
        terms = page.terms(x, eps, label, widths[k])
        assert_close([recon[k], kl[k]], [terms[0].mean(), terms[1].mean()], 1e-10, f"the trade at width {widths[k]}")
    assert (np.diff(kl) <= 1e-12).all(), "a wider q has a larger KL"


def check_network(browser, page):
    """Every tensor of part 3; a unit chosen by keys is the sum that the page shows."""
    browser.settle("network")
    x, eps = browser.state("flat(s.digit.x)").reshape(1, 1, 28, 28), browser.state("flat(s.eps)").reshape(8, -1)
    label, chosen, width = browser.state("[s.digit.label, s.chosen, s.width]")
    params = page.with_label(label)
    expected = every_tensor(params, x, eps[[int(chosen)]])
    expected["z"] = expected["encoder.mu"] + eps[[int(chosen)]] * np.exp(
        np.minimum(expected["encoder.logvar"] + 2 * np.log(width), np.maximum(expected["encoder.logvar"], 0)) / 2
    )
    expected["decoder.conv_t2"] = vae.decode(params, expected["z"])
    for name in ("encoder.conv1", "encoder.conv2", "encoder.fc", "encoder.mu", "encoder.logvar", "z", "decoder.conv_t2"):
        assert_close(browser.run(f"return Array.from(trace['{name}'].data)"), expected[name].ravel(), 1e-10, name)
    browser.keys("canvas[data-tensor='decoder.conv_t1']", "\ue014", "\ue015", "\ue015", "\ue014")
    browser.settle()
    assert browser.run("return [explorer.state.unit.name, explorer.state.unit.index]") == ["decoder.conv_t1", 2 * 14 + 1]
    chosen = browser.run(
        """
        return MAPS.map(({ name }) => {
          const last = SHAPES[name].reduce((product, n) => product * n, 1) - 1;
          explorer.state.unit = { name, index: last };
          paintNetwork();
          return [name, document.getElementById("unit-text").textContent, document.getElementById("unit-sum").dataset.value];
        });
        """
    )
    assert len(chosen) == 12 and all(text for _, text, _ in chosen)
    for name, _, sums in chosen:
        if f"{name}.weight" in params:
            products, value = map(float, sums.split())
            assert_close(products, value, 1e-10, f"the sum shown for a unit of {name}")


def check_latents(browser, page):
    """The sliders move z; the walks have the lengths of lerp and slerp; a fresh sample is another z."""
    browser.keys("#latent-sliders input", *"\ue014" * 5)
    check_point(browser, page)
    before = browser.state("Array.from(s.z)")
    browser.click("latents-prior")
    assert not (check_point(browser, page) == before).any()
    browser.keys("#walk-t", *"\ue014" * 50)
    check_point(browser, page)
    browser.settle("walk")
    x, other = browser.state("flat(s.digit.x)").reshape(1, 1, 28, 28), int(browser.state("[s.other]")[0])
    a = vae.encode(page.with_label(browser.state("[s.digit.label]")[0]), x)[0][0]
    label = browser.run("return facts.labels[explorer.state.other]")
    b = vae.encode(page.with_label(label), page.digits.images[other : other + 1].astype(np.float64))[0][0]
    t = np.linspace(0, 1, 9)[:, None]
    assert_close(browser.value("walk-straight"), np.linalg.norm((1 - t) * a + t * b, axis=1), 1e-10, "lengths, straight")
    assert_close(browser.value("walk-spherical"), ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))[:, 0], 1e-10, "spherical")
    assert_close(browser.state("Array.from(s.z)"), 0.5 * (a + b), 1e-12, "half of the straight way")


def check_button(browser):
    """The button that runs the golden values. A value that is not a number fails, like a wrong one."""

    def verdicts():
        browser.run("document.getElementById('check-rows').replaceChildren()")
        browser.click("check")
        browser.wait("return document.getElementById('check-rows').children.length > 0")
        rows = browser.run("return [...document.querySelectorAll('#check-rows tr')].map((row) => row.className)")
        browser.run("document.getElementById('check-dialog').close()")
        return rows

    assert verdicts() == ["passed"] * 15, "encoder 5, decoder 4, z, x_hat, two reconstruction losses, KL, ELBO"
    assert browser.value("check-verdict")[0] < 1e-10
    kept = browser.run("return golden.kl.data[0]")
    for wrong in ("NaN", "golden.kl.data[0] + 1e-9"):
        browser.run(f"golden.kl.data[0] = {wrong}")
        assert sorted(verdicts()) == ["failed"] + ["passed"] * 14, wrong
        browser.run("golden.kl.data[0] = arguments[0]", kept)


def frames_while_dragging(browser):
    """Frames per second while the plane's point is moved in every frame: each decodes an image and draws the plane."""
    browser.box("plane-canvas")
    browser.driver.set_script_timeout(300)
    return browser.driver.execute_async_script(
        """
        const done = arguments[0], canvas = document.getElementById("plane-canvas"), box = canvas.getBoundingClientRect();
        const at = (t) => ({ clientX: box.left + box.width * (0.5 + 0.4 * Math.cos(t)),
          clientY: box.top + box.height * (0.5 + 0.4 * Math.sin(t)) });
        const send = (type, t) => canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, buttons: 1, ...at(t) }));
        let frames = 0, started = null;
        send("pointerdown", 0);
        requestAnimationFrame(function move(now) {
          if (started === null) started = now;
          send("pointermove", frames / 10);
          frames += 1;
          if (now - started < 1000) return requestAnimationFrame(move);
          send("pointerup", frames / 10);
          done((frames - 1) / ((now - started) / 1000));
        });
        """
    )


@needs_chromium
def test_the_page_in_korean(browser, tmp_path):
    browser.open(explore(PRETRAINED[2], tmp_path / "d2.html", "handwriting", 20), width=400, language="ko")
    assert browser.run("return document.documentElement.lang") == "ko"
    for width in (400, 1600):
        browser.size(width)
        browser.settle("samples", "walk")
        check_layout(browser, width, dark=False)
        if pictures := os.environ.get("EXPLORER_PICTURES"):
            take_pictures(browser, Path(pictures), f"korean-{width}", width)
    same = """return [...document.querySelectorAll('[data-text]')].map((e) => e.dataset.text)
        .filter((key) => say(key) === strings.en[key] && /[a-z]{4}/i.test(say(key).replace(/sigmoid|logits|ELBO/g, '')))"""
    assert browser.run(same) == [], "texts that are still English"
    browser.driver.find_element("id", "language").click()
    browser.wait("return document.documentElement.lang === 'en' && document.getElementById('start') === null")
    assert browser.console() == []


@needs_chromium
def test_the_page_fits_its_window(browser, tmp_path):
    browser.open(explore(PRETRAINED[20], tmp_path / "d20.html", "handwriting", 60))
    for width, dark in ((1600, True), (1600, False), (400, False), (400, True)):  # the open page follows the system
        browser.size(width, 800, dark)
        browser.settle()
        check_layout(browser, width, dark)
        if pictures := os.environ.get("EXPLORER_PICTURES"):  # for people who want to look
            take_pictures(browser, Path(pictures), f"{width}-{'dark' if dark else 'light'}", width)

    before, (reach, axes) = browser.state("Array.from(s.z)"), browser.run("return [REACH, AXES]")
    browser.touch("plane-canvas", [(0.5, 0.5), (0.3, 0.6), (0.2, 0.7)])
    browser.settle()
    z = browser.state("Array.from(s.z)")
    assert_close(z[axes], [-0.6 * reach, -0.4 * reach], 0.03 * reach, "the point that a finger dragged")
    np.testing.assert_array_equal(np.delete(z, axes), np.delete(before, axes))
    browser.touch("pad", [(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)])
    browser.settle()
    assert browser.run("return explorer.state.digit.index") is None and 20 < browser.state("flat(s.digit.x)").sum() < 80
    assert browser.console() == []


def check_layout(browser, width, dark):
    """Nothing is wider than the window or too small to read; the colours are those of the system."""
    assert browser.run("return document.documentElement.scrollWidth") <= width
    small = browser.run(
        "return [...document.querySelectorAll('main p, main td, main button, main label')].filter((e) => e.offsetParent"
        " && parseFloat(getComputedStyle(e).fontSize) < 12).map((e) => e.textContent)"
    )
    assert small == [], "text smaller than 12 pixels"
    empty = browser.run(
        "return [...document.querySelectorAll('main canvas')].filter((c) => c.offsetParent && !(c.clientWidth && c.clientHeight))"
        ".map((c) => c.id)"
    )
    assert empty == [], "canvases without a size"
    colours = browser.run("return [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    paper, ink = (sum(map(int, re.findall(r"\d+", c)[:3])) / 765 for c in colours)
    assert (paper < 0.2 and ink > 0.8) if dark else (paper > 0.8 and ink < 0.2)


def take_pictures(browser, folder, name, width):
    folder.mkdir(parents=True, exist_ok=True)
    browser.wait("return explorer.tasks.size === 0")
    for part in ("plane", "digit", "network", "latents"):
        script = "const b = document.getElementById(arguments[0]).getBoundingClientRect(); return [b.top + scrollY, b.height]"
        top, height = browser.run(script, part)
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        (folder / f"{name}-{part}.png").write_bytes(base64.b64decode(shot["data"]))


@needs_chromium
def test_a_browser_that_lacks_something_says_so(browser, tmp_path):
    page = explore(PRETRAINED[2], tmp_path / "page.html", "handwriting", 5)
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.PointerEvent;"})
    try:
        browser.open(page)
        line = browser.run("return document.body.innerText.trim()")
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert line.startswith("The page could not start: PointerEvent") and "current Firefox" in line and "\n" not in line
    browser.console()  # the error is there, and has been seen


@needs_chromium
def test_the_check_notices_a_wrong_number(browser, tmp_path):
    browser.open(explore(PRETRAINED[2], tmp_path / "page.html", "handwriting", 5))
    browser.run("params['encoder.conv1.bias'].data[3] += 1e-7")
    browser.click("check")
    browser.wait("return document.getElementById('check-rows').children.length > 0")
    verdict = browser.run("return document.getElementById('check-verdict').textContent")
    assert "differ by more than 1e-10: encoder.conv1" in verdict
