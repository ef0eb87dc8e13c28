"use strict";
/* The page: what is drawn, and what pointer and keyboard do. The model is in vae.js, the rest of the mathematics in
   page_math.js, every text in strings.js.

   Order: data, state, texts and colours, work in the background, painting, then the four parts, and the check.
   Every number on the page also stands, with all digits, in the attribute data-value of its element. */

const byId = (id) => document.getElementById(id);
const SAMPLES = 8; // of q(z|x); the second half mirrors the noise of the first
const MAP = 20; // decoded tiles along each side of the plane

// Data: what explore.py has put into the page

const facts = JSON.parse(byId("facts").textContent);
const D = facts.latentDim;

function unpack(group) {
  const text = atob(byId(group).textContent);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  byId(group).remove();
  let at = 0;
  const tensors = {};
  for (const [name, { shape, dtype }] of Object.entries(facts.tensors[group])) {
    const size = shape.reduce((product, n) => product * n, 1);
    const view = dtype === "float32" ? new Float32Array(bytes.buffer, at, size) : new Float64Array(bytes.buffer, at, size);
    tensors[name] = tensor(shape, Float64Array.from(view));
    at += view.byteLength;
  }
  return tensors;
}

const params = unpack("weights");
const digits = unpack("digits").x; // (N, 1, 28, 28)
const golden = unpack("golden");
const COUNT = facts.labels.length;
const isCvae = facts.model === "cvae";
const paramsOf = Array.from({ length: isCvae ? CLASSES : 1 }, (_, label) => withLabel(params, label));
const paramsFor = (label) => paramsOf[isCvae ? label : 0];

/** Rows `first` to `first + count` of a tensor. */
function rows(x, first, count = 1) {
  const size = x.data.length / x.shape[0];
  return tensor([count, ...x.shape.slice(1)], x.data.subarray(first * size, (first + count) * size));
}

const row = (values) => tensor([1, values.length], Float64Array.from(values));

/** x_hat of latents: (B, D) -> (B, 1, 28, 28). */
const xHatOf = (z, label) => sigmoid(decode(paramsFor(label), z));

// State

const state = {
  z: new Float64Array(D), // the point of parts 1 and 4
  label: 0, // that a cvae is asked for in parts 1 and 4
  line: null, // {from, to}: two z
  strokes: [], // of the drawing, in [0, 1]
  digit: null, // {x, index, label}: index is null for a drawing
  q: null, // {mu, logvar} of the digit, (1, D)
  eps: null, // (SAMPLES, D)
  chosen: 0, // "this sample"
  width: 1,
  beta: 1,
  trade: null, // {widths, recon, kl}: means over the samples
  unit: null, // {name, index}
  latent: 0, // the slider of which a traversal is shown
  other: 1, // the test digit at the end of the walk
  codes: [], // {mu, logvar} of each test digit, as far as they are computed
};
const noise = normals(1);

/** The mean KL of each latent over the test digits encoded so far (at first: over the digits of the golden values). */
function meanKl() {
  const known = state.codes.length === COUNT;
  const mu = known ? state.codes.map((code) => code.mu) : [golden["encoder.mu"]];
  const logvar = known ? state.codes.map((code) => code.logvar) : [golden["encoder.logvar"]];
  const sums = new Float64Array(D);
  mu.forEach((m, k) => klPerLatent(m, logvar[k]).data.forEach((nats, n) => { sums[n % D] += nats; }));
  return sums.map((sum) => sum / (known ? COUNT : golden.eps.shape[0]));
}

const byKl = (kl) => Array.from(kl.keys()).sort((a, b) => kl[b] - kl[a]);
const AXES = D === 2 ? [0, 1] : byKl(meanKl()).slice(0, 2); // the plane's latents: two with the largest KL; one where D = 1
const REACH = planeReach();

/** How far the plane goes from 0: as far as the prior mostly does, and farther where digits are coded farther out. */
function planeReach() {
  const farthest = golden["encoder.mu"].data.reduce((most, v, k) => (AXES.includes(k % D) ? Math.max(most, Math.abs(v)) : most), 0);
  return Math.min(8, Math.max(3.2, 1.1 * farthest));
}

// Texts

const table = strings[document.documentElement.lang] || strings.en;

function say(key, values = {}) {
  return table[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const fixed = (value, places) => (Object.is(+value.toFixed(places), -0) ? 0 : value).toFixed(places).replace("-", "−");
const signed = (value, places) => (value > 0 ? "+" : "") + fixed(value, places);
const percent = (share) => `${fixed(100 * share, share > 0.985 ? 1 : 0)}%`;
const subscript = (k) => String(k + 1).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
const latentName = (k) => say("latentName", { sub: subscript(k) });

function put(id, value, shownAs) {
  byId(id).textContent = shownAs;
  byId(id).dataset.value = typeof value === "number" ? String(value) : Array.from(value).join(" ");
}

function fillTexts() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  document.title = say("title");
  const about = { ...facts, D, count: COUNT, model: facts.model.toUpperCase() };
  byId("facts-line").textContent = say("facts", about);
  if (facts.likelihood !== "bce") byId("facts-line").textContent += ` ${say("factsLikelihood", about)}`;
  byId("plane-look").textContent = D === 2 ? say("planeLook") : say("planeSlice", { a: latentName(AXES[0]), b: latentName(AXES[AXES.length - 1]) });
  byId("recon-formula").textContent = say(facts.kind === "bce" ? "reconBce" : "reconMse");
  byId("line-text").textContent = say("lineHint");
}

// Colours, from page.css

let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  colours = Object.fromEntries(["paper", "ink", "soft", "line", "recon", "kl", "accent", "image-paper", "image-ink"].map((name) => [name, read(name)]));
  colours.labels = Array.from({ length: 10 }, (_, label) => read(`label-${label}`));
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mixed = (from, to, t) => from.map((v, k) => v + (to[k] - v) * t);

/** 0 is paper, 1 is ink. */
function inkPalette() {
  const paper = rgb(colours["image-paper"]), ink = rgb(colours["image-ink"]);
  return (v) => mixed(paper, ink, Math.min(1, Math.max(0, v)));
}

/** -1 is blue, 0 is paper, 1 is rust. */
function signedPalette() {
  const paper = rgb(colours["image-paper"]), rust = rgb(colours.recon), blue = rgb(colours.kl);
  return (v) => mixed(paper, v < 0 ? blue : rust, Math.min(1, Math.abs(v)));
}

// Work: drawing once per frame; long computations in small steps, the urgent ones first

const wanted = new Set();
let dragging = false;

function schedule(...draws) {
  if (wanted.size === 0) requestAnimationFrame(drawWanted);
  draws.forEach((draw) => wanted.add(draw));
}

function drawWanted() {
  const draws = [...wanted];
  wanted.clear();
  draws.forEach((draw) => draw());
}

const tasks = new Map(); // name -> generator, in the order of TASKS
const TASKS = ["check", "line", "traversal", "samples", "walk", "network", "trade", "zoom", "codes", "map"];

/** Run a generator step by step; a new one of the same name replaces the old one. */
function background(name, generator) {
  if (tasks.size === 0) setTimeout(workOn, 0);
  tasks.set(name, generator);
}

function workOn() {
  const end = performance.now() + (dragging ? 3 : 12); // milliseconds: a dragged point comes first
  while (tasks.size > 0 && performance.now() < end) {
    const name = TASKS.find((task) => tasks.has(task));
    if (tasks.get(name).next().done) tasks.delete(name);
  }
  if (tasks.size > 0) setTimeout(workOn, dragging ? 16 : 0);
}

// Painting

/** The canvas's drawing context, in CSS pixels, sharp on every screen; returns [context, width, height]. */
function sharp(canvas, height = null) {
  const ratio = window.devicePixelRatio || 1;
  if (height !== null) canvas.style.height = `${height}px`;
  const width = canvas.clientWidth, tall = height === null ? canvas.clientHeight : height;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(tall * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, tall);
  context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return [context, width, tall];
}

/** Maps (C, H, W) side by side, `columns` in a row with a gap of `gap`, one canvas pixel for each number. */
function tiled(data, [C, H, W], columns, gap, palette, scale = 1, canvas = document.createElement("canvas")) {
  const width = columns * (W + gap) - gap, height = Math.ceil(C / columns) * (H + gap) - gap;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let k = 0; k < C * H * W; k++) {
    const c = Math.floor(k / (H * W)), i = Math.floor(k / W) % H, j = k % W;
    const at = 4 * ((Math.floor(c / columns) * (H + gap) + i) * width + (c % columns) * (W + gap) + j);
    image.data.set(palette(data[k] / scale), at);
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** One image of 784 numbers in [0, 1] on its own canvas. */
function paintImage(canvas, pixels) {
  tiled(pixels, [1, 28, 28], 1, 0, inkPalette(), 1, canvas);
}

const imageOf = (batch, k = 0) => batch.data.subarray(784 * k, 784 * (k + 1));

/** A row of images with a caption under each; `bars` (one fewer than images) stand between neighbours, `marked` is framed. */
function paintStrip(canvas, images, { captions = [], bars = [], marked = -1 }) {
  const count = images.length, gap = 4, width = canvas.clientWidth || 300;
  const size = Math.min(64, (width - gap * (count - 1)) / count);
  const room = bars.length ? 40 : captions.length ? 18 : 2;
  const [context] = sharp(canvas, size + room);
  context.imageSmoothingEnabled = false;
  const palette = inkPalette();
  images.forEach((pixels, k) => {
    const left = k * (size + gap);
    context.drawImage(tiled(pixels, [1, 28, 28], 1, 0, palette), left, 0, size, size);
    context.lineWidth = k === marked ? 3 : 1;
    context.strokeStyle = k === marked ? colours.accent : colours.line;
    context.strokeRect(left + 0.5, 0.5, size - 1, size - 1);
    if (captions[k]) write(context, captions[k], left + size / 2, size + 13, colours.soft, "center");
  });
  const most = Math.max(...bars, 1e-9);
  context.fillStyle = colours.accent;
  bars.forEach((v, k) => {
    const height = (v / most) * (room - 8);
    context.fillRect((k + 1) * (size + gap) - gap / 2 - size * 0.3, size + room - height, size * 0.6, height);
  });
}

function write(context, words, x, y, colour, align = "left", halo = null) {
  context.textAlign = align;
  if (halo) {
    context.strokeStyle = halo;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeText(words, x, y);
  }
  context.fillStyle = colour;
  context.fillText(words, x, y);
}

// Part 1: the latent plane

const mapCanvas = document.createElement("canvas");
[mapCanvas.width, mapCanvas.height] = [MAP * 28, MAP * 28];
const backdrop = document.createElement("canvas"); // map, circles and codes: drawn again only when one of them changes
let backdropIsOld = true;

const onPlane = (z) => [z[AXES[0]], AXES.length > 1 ? z[AXES[1]] : 0];

/** The z of a place on the plane: the other latents stay as they are. */
function fromPlane(a, b) {
  const z = Float64Array.from(state.z);
  z[AXES[0]] = a;
  if (AXES.length > 1) z[AXES[1]] = b;
  return z;
}

function setZ(z) {
  state.z = Float64Array.from(z, (v) => Math.min(8, Math.max(-8, v)));
  schedule(drawPlane, drawPoint, drawSliders);
  background("traversal", drawTraversal());
}

/** Decode the tiles of the map, from the middle outwards. */
function* decodeMap() {
  const palette = inkPalette();
  const cells = Array.from({ length: MAP * MAP }, (_, k) => [Math.floor(k / MAP), k % MAP]);
  const fromMiddle = ([i, j]) => Math.hypot(i - (MAP - 1) / 2, j - (MAP - 1) / 2);
  cells.sort((p, q) => fromMiddle(p) - fromMiddle(q));
  const context = mapCanvas.getContext("2d");
  context.clearRect(0, 0, mapCanvas.width, mapCanvas.height);
  for (const [i, j] of cells) {
    const place = (k) => -REACH + ((k + 0.5) * 2 * REACH) / MAP;
    const z = fromPlane(place(j), -place(i)); // row 0 is at the top
    context.drawImage(tiled(xHatOf(row(z), state.label).data, [1, 28, 28], 1, 0, palette), 28 * j, 28 * i);
    backdropIsOld = true;
    if (!dragging) schedule(drawPlane);
    yield;
  }
  schedule(drawQ);
}

/** Encode the test digits: each gives a point of the plane, and its KL. */
function* encodeDigits() {
  state.codes = [];
  for (let k = 0; k < COUNT; k++) {
    const [mu, logvar] = encode(paramsFor(facts.labels[k]), rows(digits, k));
    state.codes.push({ mu, logvar });
    if (k % 10 === 9 || k === COUNT - 1) {
      backdropIsOld = true;
      schedule(drawPlane, drawPoint);
    }
    yield;
  }
  schedule(buildSliders, drawQ);
}

function drawBackdrop(size) {
  const ratio = window.devicePixelRatio || 1;
  [backdrop.width, backdrop.height] = [Math.round(size * ratio), Math.round(size * ratio)];
  const context = backdrop.getContext("2d");
  context.scale(ratio, ratio);
  context.font = `600 11px ${getComputedStyle(document.body).fontFamily}`;
  context.fillStyle = colours["image-paper"];
  context.fillRect(0, 0, size, size);
  const px = (v) => ((v + REACH) / (2 * REACH)) * size;
  if (byId("show-map").checked) {
    context.globalAlpha = byId("show-codes").checked ? 0.35 : 1;
    context.drawImage(mapCanvas, 0, 0, size, size);
    context.globalAlpha = 1;
  }
  if (byId("show-codes").checked) {
    state.codes.forEach((code, k) => {
      const [a, b] = onPlane(code.mu.data), label = facts.labels[k];
      write(context, String(label), px(a), px(-b) + 4, colours.labels[label], "center", colours["image-paper"]);
    });
  }
  if (byId("show-prior").checked) drawPrior(context, px, size);
  backdropIsOld = false;
}

/** Circles of radius 1, 2, 3: within r lie 1 - exp(-r²/2) of a standard normal in two dimensions. */
function drawPrior(context, px, size) {
  for (const radius of [1, 2, 3]) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.2;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.arc(px(0), px(0), (radius / (2 * REACH)) * size, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
    write(context, say("priorCircle", { percent: percent(1 - Math.exp(-(radius ** 2) / 2)) }), px(0), px(-radius) - 3, colours.ink, "center", colours["image-paper"]);
  }
}

function drawPlane() {
  const canvas = byId("plane-canvas");
  const [context, size] = sharp(canvas);
  if (backdropIsOld || backdrop.width !== canvas.width) drawBackdrop(size);
  context.drawImage(backdrop, 0, 0, size, size);
  const px = (v) => ((v + REACH) / (2 * REACH)) * size;
  if (state.line) {
    const [a, b] = onPlane(state.line.from), [c, d] = onPlane(state.line.to);
    context.strokeStyle = colours.accent;
    context.lineWidth = 2.5;
    context.beginPath();
    context.moveTo(px(a), px(-b));
    context.lineTo(px(c), px(-d));
    context.stroke();
  }
  const [a, b] = onPlane(state.z);
  context.beginPath();
  context.arc(px(a), px(-b), 8, 0, 2 * Math.PI);
  context.fillStyle = colours.accent;
  context.fill();
  context.lineWidth = 2.5;
  context.strokeStyle = colours["image-paper"];
  context.stroke();
}

/** The point's image and numbers, in parts 1 and 4. */
function drawPoint() {
  const started = performance.now();
  const xHat = xHatOf(row(state.z), state.label).data;
  put("speed", performance.now() - started, say("milliseconds", { ms: fixed(performance.now() - started, 1) }));
  paintImage(byId("plane-image"), xHat);
  paintImage(byId("latents-image"), xHat);
  put("plane-z", state.z, D <= 3 ? `(${Array.from(state.z, (v) => fixed(v, 2)).join(", ")})` : AXES.map((k) => `${latentName(k)} = ${fixed(state.z[k], 2)}`).join(", "));
  const r = norm(state.z);
  put("plane-distance", r, D === 2 ? say("within", { r: fixed(r, 2), percent: percent(1 - Math.exp(-(r ** 2) / 2)) }) : fixed(r, 2));
  drawNearest();
}

function drawNearest() {
  if (state.codes.length < COUNT) {
    byId("nearest-text").textContent = say("coding", { done: state.codes.length, count: COUNT });
    return;
  }
  const distances = state.codes.map((code) => Math.hypot(...code.mu.data.map((m, k) => m - state.z[k])));
  const nearest = distances.indexOf(Math.min(...distances));
  paintImage(byId("nearest"), imageOf(digits, nearest));
  byId("nearest-text").textContent = say("nearestIs", { label: facts.labels[nearest], distance: fixed(distances[nearest], 2) });
}

function* drawLine() {
  if (!state.line) {
    byId("line-strip").hidden = true;
    byId("line-text").textContent = say("lineHint");
    return;
  }
  const images = [];
  for (let k = 0; k <= 10; k++) {
    images.push(xHatOf(row(lerp(state.line.from, state.line.to, k / 10)), state.label).data);
    yield;
  }
  const jumps = images.slice(1).map((pixels, k) => norm(pixels.map((v, n) => v - images[k][n]))); // ||x̂(k+1) - x̂(k)||
  byId("line-strip").hidden = false;
  byId("line-strip").dataset.value = jumps.join(" ");
  paintStrip(byId("line-strip"), images, { bars: jumps });
  byId("line-text").textContent = say("lineSteps", { least: fixed(Math.min(...jumps), 2), most: fixed(Math.max(...jumps), 2) });
}

function setLine(line) {
  state.line = line;
  schedule(drawPlane);
  background("line", drawLine());
}

/** Move the point from the line's start to its end, in two seconds. */
function walkLine() {
  const line = state.line, started = performance.now();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const step = (now) => {
    if (state.line !== line || dragging) return;
    const t = Math.min(1, Math.max(0, (now - started) / 2000));
    setZ(lerp(line.from, line.to, t));
    if (t < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function listenToPlane() {
  const canvas = byId("plane-canvas");
  let from = null; // the start of the line that is being drawn
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const to = (v) => Math.min(REACH, Math.max(-REACH, (2 * v - 1) * REACH));
    return fromPlane(to((event.clientX - box.left) / box.width), -to((event.clientY - box.top) / box.height));
  };
  const follow = (event) => {
    const z = place(event);
    if (from) setLine({ from, to: z });
    setZ(z);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    dragging = true;
    from = event.shiftKey || byId("line-mode").getAttribute("aria-pressed") === "true" ? place(event) : null;
    follow(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (dragging) follow(event); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => {
    if (!dragging) return;
    dragging = false;
    if (from) walkLine();
    from = null;
    schedule(drawPlane);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Escape") setLine(null);
    if (!step) return;
    event.preventDefault();
    const start = state.z, [a, b] = onPlane(start);
    const within = (v) => Math.min(REACH, Math.max(-REACH, v));
    setZ(fromPlane(within(a + 0.1 * step[0]), within(b + 0.1 * step[1])));
    if (event.shiftKey) setLine({ from: state.line ? state.line.from : start, to: state.z });
  });
  byId("line-mode").addEventListener("click", (event) => {
    event.target.setAttribute("aria-pressed", String(event.target.getAttribute("aria-pressed") !== "true"));
  });
  for (const id of ["show-map", "show-codes", "show-prior"]) byId(id).addEventListener("change", () => {
    backdropIsOld = true;
    schedule(drawPlane, drawQ);
  });
  for (const id of ["plane-prior", "latents-prior"]) byId(id).addEventListener("click", () => {
    setZ(noise(D).data);
    if (D > 2) background("map", decodeMap());
  });
}

function buildLegend() {
  for (let label = 0; label < 10; label++) {
    const item = document.createElement("span");
    item.textContent = String(label);
    item.style.color = `var(--label-${label})`;
    byId("legend").append(item);
  }
}

// Part 2: one digit

function chooseDigit(index) {
  state.strokes = [];
  setDigit({ x: rows(digits, index), index, label: facts.labels[index] });
  drawPad();
}

function setDigit(digit) {
  state.digit = digit;
  byId("digit-label").value = String(digit.label);
  const [mu, logvar] = encode(paramsFor(digit.label), digit.x);
  state.q = { mu, logvar };
  state.trade = null;
  schedule(drawDigit, drawQ, drawSheet, drawTrade);
  background("samples", drawSamples());
  background("network", drawNetwork());
  background("trade", computeTrade());
  background("walk", drawWalks());
}

function newNoise() {
  const half = noise(SAMPLES / 2, D);
  state.eps = tensor([SAMPLES, D]);
  state.eps.data.set(half.data);
  state.eps.data.set(half.data.map((v) => -v), half.data.length); // antithetic: -eps is as likely as eps
}

/** The terms of `count` samples from row `first` on, with q's width as given: {z, logits, recon, kl, weight}. */
function termsOf(first, count, width) {
  const mu = repeated(state.q.mu, count), logvar = repeated(widened(state.q.logvar, width), count);
  const eps = rows(state.eps, first, count), x = repeated(state.digit.x, count);
  const z = reparameterize(mu, logvar, eps);
  const logits = decode(paramsFor(state.digit.label), z);
  const recon = reconstructionLoss(logits, x, facts.kind);
  return { z, logits, recon, kl: klDivergence(mu, logvar), weight: logWeight(recon, mu, logvar, eps) };
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** This sample: images, numbers, and the bar of the loss. */
function drawDigit() {
  const terms = termsOf(state.chosen, 1, state.width);
  const recon = terms.recon.data[0], kl = terms.kl.data[0];
  paintImage(byId("x"), state.digit.x.data);
  paintImage(byId("x-hat-mu"), xHatOf(state.q.mu, state.digit.label).data);
  paintImage(byId("x-hat"), sigmoid(terms.logits).data);
  put("recon", recon, fixed(recon, 2));
  put("kl", kl, fixed(kl, 2));
  put("elbo", -(recon + kl), fixed(-(recon + kl), 2));
  put("weight", terms.weight.data[0], fixed(terms.weight.data[0], 2));
  put("width-value", state.width, say("times", { value: fixed(state.width, 2) }));
  put("beta-value", state.beta, fixed(state.beta, 2));
  const start = termsOf(state.chosen, 1, 1);
  drawLoss(recon, state.beta * kl, start.recon.data[0], start.kl.data[0]);
}

function drawLoss(recon, kl, reconAtStart, klAtStart) {
  put("loss-text", recon + kl, say("lossText", {
    recon: fixed(recon, 1), kl: fixed(kl, 1), loss: fixed(recon + kl, 1),
    reconChange: signed(recon - reconAtStart, 1), klChange: signed(kl - klAtStart, 1),
  }));
  const [context, width, height] = sharp(byId("loss-bar"));
  const scale = width / (1.6 * (reconAtStart + klAtStart));
  context.fillStyle = colours.recon;
  context.fillRect(0, 4, recon * scale, height - 8);
  context.fillStyle = colours.kl;
  context.fillRect(recon * scale + 1, 4, kl * scale, height - 8);
  context.fillStyle = colours.ink;
  for (const mark of [reconAtStart, reconAtStart + klAtStart]) context.fillRect(mark * scale, 0, 1.5, height);
}

/** The eight samples: images, log weights, and the means of the terms. */
function* drawSamples() {
  const sum = { recon: [], kl: [], weight: [] };
  state.zs = [];
  for (let k = 0; k < SAMPLES; k++) {
    const terms = termsOf(k, 1, state.width);
    state.zs.push(terms.z.data);
    for (const name of Object.keys(sum)) sum[name].push(terms[name].data[0]);
    const button = byId("samples").children[k];
    paintImage(button.querySelector("canvas"), sigmoid(terms.logits).data);
    button.querySelector("span").textContent = fixed(terms.weight.data[0], 1);
    button.dataset.value = String(terms.weight.data[0]);
    yield;
  }
  const [recon, kl, weight] = [mean(sum.recon), mean(sum.kl), mean(sum.weight)];
  put("recon-mean", recon, fixed(recon, 2));
  put("kl-mean", kl, fixed(kl, 2));
  put("elbo-mean", -(recon + kl), fixed(-(recon + kl), 2));
  put("weight-mean", weight, fixed(weight, 2));
  schedule(drawQ);
}

function buildSamples() {
  for (let k = 0; k < SAMPLES; k++) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-label", say("sampleLabel", { k: k + 1 }));
    const canvas = document.createElement("canvas");
    canvas.className = "image";
    button.append(canvas, document.createElement("span"));
    button.addEventListener("click", () => {
      state.chosen = k;
      markSample();
      schedule(drawDigit, drawQ);
      background("network", drawNetwork());
    });
    byId("samples").append(button);
  }
  markSample();
}

function markSample() {
  Array.from(byId("samples").children).forEach((button, k) => button.setAttribute("aria-checked", String(k === state.chosen)));
}

/** q on the whole plane, and enlarged around mu. */
function drawQ() {
  const [a, b] = onPlane(state.q.mu.data);
  const [sa, sb] = onPlane(state.q.logvar.data.map((v) => Math.exp(v / 2)));
  const most = Math.max(sa, AXES.length > 1 ? sb : 0);
  const near = 5 * most * 2 ** Math.max(0, Math.ceil(Math.log2(state.width / 2)));
  byId("q-zoom-caption").textContent = say("qZoom", { factor: fixed(REACH / near, REACH / near < 10 ? 1 : 0) });
  for (const [id, middle, reach] of [["q-plane", [0, 0], REACH], ["q-zoom", [a, b], near]]) {
    const [context, size] = sharp(byId(id));
    const px = (v) => ((v - middle[0] + reach) / (2 * reach)) * size, py = (v) => ((middle[1] - v + reach) / (2 * reach)) * size;
    context.fillStyle = colours["image-paper"];
    context.fillRect(0, 0, size, size);
    if (backdrop.width > 1) {
      context.globalAlpha = 0.6;
      context.drawImage(backdrop, px(-REACH), py(REACH), (REACH / reach) * size, (REACH / reach) * size);
      context.globalAlpha = 1;
    }
    drawEllipse(context, px(a), py(b), (state.width * sa * size) / (2 * reach), (state.width * (AXES.length > 1 ? sb : 0) * size) / (2 * reach));
    (state.zs || []).forEach((z, k) => {
      const [u, v] = onPlane(z);
      context.beginPath();
      context.arc(px(u), py(v), k === state.chosen ? 5 : 3.5, 0, 2 * Math.PI);
      context.fillStyle = k === state.chosen ? colours.accent : colours.ink;
      if (id === "q-zoom" || k === state.chosen) context.fill();
    });
  }
}

function drawEllipse(context, x, y, radiusX, radiusY) {
  for (const times of [1, 2]) {
    context.beginPath();
    context.ellipse(x, y, times * radiusX, times * radiusY, 0, 0, 2 * Math.PI);
    context.fillStyle = context.strokeStyle = colours.kl;
    context.globalAlpha = 0.18;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.stroke();
  }
}

/** Reconstruction loss and KL for widths of q from 1/8 to 16, means over the samples. beta needs no new computation. */
function* computeTrade() {
  const trade = { widths: [], recon: [], kl: [] };
  for (let power = -3; power <= 4.001; power += 0.5) {
    const recon = [];
    for (let k = 0; k < SAMPLES; k++) {
      recon.push(termsOf(k, 1, 2 ** power).recon.data[0]);
      yield;
    }
    trade.widths.push(2 ** power);
    trade.recon.push(mean(recon));
    trade.kl.push(klDivergence(state.q.mu, widened(state.q.logvar, 2 ** power)).data[0]);
  }
  state.trade = trade;
  schedule(drawTrade);
}

function drawTrade() {
  const [context, width, height] = sharp(byId("trade"));
  if (!state.trade) {
    byId("trade-text").textContent = say("tradeBusy");
    return;
  }
  const { widths, recon, kl } = state.trade, at = widths.indexOf(1);
  const change = {
    recon: recon.map((v) => v - recon[at]),
    kl: kl.map((v) => state.beta * (v - kl[at])),
  };
  change.loss = change.recon.map((v, k) => v + change.kl[k]);
  const most = Math.max(4, 1.15 * change.kl[0]), least = Math.min(-3, 1.15 * Math.min(...change.kl, ...change.loss));
  const frame = { left: 46, right: width - 8, top: 8, bottom: height - 34 };
  const px = (w) => frame.left + ((Math.log2(w) + 3) / 7) * (frame.right - frame.left);
  const py = (v) => frame.bottom - ((v - least) / (most - least)) * (frame.bottom - frame.top);
  drawTradeAxes(context, frame, px, py, least, most);
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
  context.clip();
  for (const [name, colour, thick] of [["recon", colours.recon, 2], ["kl", colours.kl, 2], ["loss", colours.ink, 3]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    change[name].forEach((v, k) => context.lineTo(px(widths[k]), py(v)));
    context.stroke();
  }
  context.restore();
  const best = lowest(widths, change.loss);
  context.beginPath();
  context.arc(px(best.width), py(best.value), 6, 0, 2 * Math.PI);
  context.fillStyle = colours.ink;
  context.fill();
  write(context, say("tradeBest", { best: fixed(best.width, 1) }), Math.min(px(best.width), frame.right - 40), py(best.value) + 20, colours.ink, "center", colours.paper);
  context.fillStyle = colours.accent;
  context.fillRect(px(state.width) - 1, frame.top, 2, frame.bottom - frame.top);
  const now = between(widths, change.loss, state.width);
  put("trade-text", [best.width, now - best.value], say("tradeText", { best: fixed(best.width, 1), now: fixed(state.width, 2), excess: fixed(Math.max(0, now - best.value), 1) }));
}

function drawTradeAxes(context, frame, px, py, least, most) {
  context.lineWidth = 1;
  for (const w of [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16]) {
    context.strokeStyle = colours.line;
    context.strokeRect(px(w), frame.top, 0, frame.bottom - frame.top);
    write(context, w < 1 ? `1/${1 / w}` : String(w), px(w), frame.bottom + 14, colours.soft, "center");
  }
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((s) => (most - least) / s <= 7) || 1000;
  for (let v = Math.ceil(least / step) * step; v <= most; v += step) {
    context.strokeStyle = v === 0 ? colours.soft : colours.line;
    context.strokeRect(frame.left, py(v), frame.right - frame.left, 0);
    write(context, signed(v, 0), frame.left - 6, py(v) + 4, colours.soft, "right");
  }
  write(context, say("tradeAxis"), (frame.left + frame.right) / 2, frame.bottom + 29, colours.soft, "center");
  let x = frame.left + 6;
  for (const [key, colour] of [["tradeRecon", colours.recon], ["tradeKl", colours.kl], ["tradeLoss", colours.ink]]) {
    context.font = `600 ${context.font.replace(/^600 /, "")}`;
    write(context, say(key), x, frame.top + 14, colour, "left", colours.paper);
    x += context.measureText(say(key)).width + 14;
    context.font = context.font.replace(/^(600|bold) /, "");
  }
  context.save();
  context.translate(12, (frame.top + frame.bottom) / 2);
  context.rotate(-Math.PI / 2);
  write(context, say("tradeNats"), 0, 0, colours.soft, "center");
  context.restore();
}

/** The least value of a curve over log width: of the parabola through the lowest point and its neighbours. */
function lowest(widths, values) {
  const k = values.indexOf(Math.min(...values));
  if (k === 0 || k === values.length - 1) return { width: widths[k], value: values[k] };
  const [a, b, c] = [values[k - 1], values[k], values[k + 1]];
  const shift = (a - c) / (2 * (a - 2 * b + c));
  return { width: widths[k] * (widths[k + 1] / widths[k]) ** shift, value: b - ((a - c) * shift) / 4 };
}

/** The value of a curve at a width between its points: a line in log width. */
function between(widths, values, width) {
  const place = Math.min(widths.length - 1.001, Math.max(0, (Math.log2(width) + 3) * 2)), k = Math.floor(place);
  return values[k] + (place - k) * (values[k + 1] - values[k]);
}

/** The order of the test digits on the sheet: by label. */
const sheetOrder = Array.from({ length: COUNT }, (_, k) => k).sort((a, b) => facts.labels[a] - facts.labels[b] || a - b);
const SHEET_COLUMNS = 10;

function drawSheet() {
  const canvas = byId("sheet"), cell = (canvas.clientWidth || 300) / SHEET_COLUMNS;
  const [context] = sharp(canvas, Math.ceil(COUNT / SHEET_COLUMNS) * cell);
  context.imageSmoothingEnabled = true;
  if (!drawSheet.images) {
    const palette = inkPalette();
    drawSheet.images = sheetOrder.map((index) => tiled(imageOf(digits, index), [1, 28, 28], 1, 0, palette));
  }
  drawSheet.images.forEach((image, k) => context.drawImage(image, (k % SHEET_COLUMNS) * cell + 1, Math.floor(k / SHEET_COLUMNS) * cell + 1, cell - 2, cell - 2));
  const at = sheetOrder.indexOf(state.digit.index);
  if (at < 0) return;
  context.lineWidth = 3;
  context.strokeStyle = colours.accent;
  context.strokeRect((at % SHEET_COLUMNS) * cell + 1.5, Math.floor(at / SHEET_COLUMNS) * cell + 1.5, cell - 3, cell - 3);
  canvas.parentElement.scrollTop = Math.min(canvas.parentElement.scrollTop, Math.floor(at / SHEET_COLUMNS) * cell);
  canvas.parentElement.scrollTop = Math.max(canvas.parentElement.scrollTop, Math.floor(at / SHEET_COLUMNS + 1) * cell - canvas.parentElement.clientHeight);
}

function drawPad() {
  const [context, size] = sharp(byId("pad"));
  if (state.strokes.length === 0) write(context, say("padHint"), size / 2, size / 2 + 4, colours.soft, "center");
  context.strokeStyle = colours["image-ink"];
  context.fillStyle = colours["image-ink"];
  context.lineWidth = size * 0.075;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of state.strokes) {
    context.beginPath();
    stroke.forEach(([x, y]) => context.lineTo(x * size, y * size));
    context.lineTo(stroke[0][0] * size + 0.01, stroke[0][1] * size);
    if (stroke.length > 1) { // not closed: drawn again without the last line
      context.beginPath();
      stroke.forEach(([x, y]) => context.lineTo(x * size, y * size));
    }
    context.stroke();
  }
}

function readDrawing() {
  setDigit({ x: tensor([1, 1, 28, 28], likeMnist(state.strokes)), index: null, label: Number(byId("digit-label").value || 0) });
  drawPad();
}

function listenToDigit() {
  const pad = byId("pad");
  let drawing = false;
  const point = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    if (event.isTrusted) pad.setPointerCapture(event.pointerId);
    drawing = dragging = true;
    state.strokes.push([point(event)]);
    schedule(readDrawing);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    state.strokes[state.strokes.length - 1].push(point(event));
    schedule(readDrawing);
  });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { drawing = dragging = false; });
  byId("clear").addEventListener("click", () => {
    state.strokes = [];
    readDrawing();
  });
  const sheet = byId("sheet");
  sheet.addEventListener("click", (event) => {
    const cell = sheet.clientWidth / SHEET_COLUMNS;
    const at = Math.floor(event.offsetY / cell) * SHEET_COLUMNS + Math.floor(event.offsetX / cell);
    if (at < COUNT) chooseDigit(sheetOrder[at]);
  });
  sheet.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SHEET_COLUMNS, ArrowDown: SHEET_COLUMNS }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = Math.max(0, sheetOrder.indexOf(state.digit.index)) + step;
    if (at >= 0 && at < COUNT) chooseDigit(sheetOrder[at]);
  });
  byId("width").addEventListener("input", (event) => {
    state.width = 2 ** Number(event.target.value);
    changeLoss();
  });
  byId("beta").addEventListener("input", (event) => {
    state.beta = 2 ** Number(event.target.value);
    schedule(drawDigit, drawTrade);
  });
  byId("reset").addEventListener("click", () => {
    [state.width, state.beta, byId("width").value, byId("beta").value] = [1, 1, 0, 0];
    changeLoss();
  });
  byId("new-noise").addEventListener("click", () => {
    newNoise();
    background("trade", computeTrade());
    changeLoss();
  });
  byId("to-plane").addEventListener("click", () => {
    state.label = state.digit.label;
    byId("label").value = String(state.label);
    setZ(termsOf(state.chosen, 1, state.width).z.data);
    if (D > 2 || isCvae) background("map", decodeMap());
    byId("plane").scrollIntoView();
  });
}

function changeLoss() {
  schedule(drawDigit, drawQ, drawTrade);
  background("samples", drawSamples());
  background("network", drawNetwork());
}

// Part 3: through the network

const LAYERS = layersOf(D);
const SHAPES = { x: [1, 28, 28], z: [D, 1, 1], x_hat: [1, 28, 28], ...Object.fromEntries(Object.entries(LAYERS).map(([name, l]) => [name, l.shape])) };
// name, caption, group, columns, CSS pixels for each number (bars: none), palette, whether a ReLU follows
const MAPS = [
  ["x", "mapX", "encoder", 1, 5, "ink", false],
  ["encoder.conv1", "mapConv1", "encoder", 8, 2, "ink", true],
  ["encoder.conv2", "mapConv2", "encoder", 8, 4, "ink", true],
  ["encoder.fc", "mapFc", "encoder", 16, 12, "ink", true],
  ["encoder.mu", "mapMu", "encoder", 0, 0, "bars", false],
  ["encoder.logvar", "mapLogvar", "encoder", 0, 0, "bars", false],
  ["z", "mapZ", "decoder", 0, 0, "bars", false],
  ["decoder.fc1", "mapFc1", "decoder", 16, 12, "ink", true],
  ["decoder.fc2", "mapFc2", "decoder", 8, 4, "ink", true],
  ["decoder.conv_t1", "mapConvT1", "decoder", 8, 2, "ink", true],
  ["decoder.conv_t2", "mapConvT2", "decoder", 1, 5, "signed", false],
  ["x_hat", "mapXHat", "decoder", 1, 5, "ink", false],
].map(([name, caption, group, columns, scale, palette, followedByRelu]) => ({ name, caption, group, columns, scale, palette, followedByRelu, gap: SHAPES[name][1] === 7 || SHAPES[name][1] === 14 ? 1 : 0 }));
const BAR_WIDTH = 130;
const barHeight = Math.min(22, Math.max(2, Math.floor(220 / D)));
let trace = {}; // every tensor of the chosen digit and sample, before ReLU

function buildMaps() {
  for (const map of MAPS) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    map.canvas = document.createElement("canvas");
    const [C, H, W] = SHAPES[map.name], shape = H === 1 ? `(${C})` : `(${C}, ${H}, ${W})`;
    const bars = map.palette === "bars";
    map.width = bars ? BAR_WIDTH : map.scale * (map.columns * (W + map.gap) - map.gap);
    map.height = bars ? barHeight * C : map.scale * (Math.ceil(C / map.columns) * (H + map.gap) - map.gap);
    map.canvas.style.width = `${map.width}px`;
    map.canvas.style.height = `${map.height}px`;
    map.canvas.tabIndex = 0;
    map.canvas.dataset.tensor = map.name;
    map.canvas.setAttribute("role", "application");
    map.canvas.setAttribute("aria-label", say("mapLabel", { caption: say(map.caption), shape }));
    caption.textContent = say(map.caption);
    const size = document.createElement("small");
    size.textContent = shape;
    caption.append(size);
    figure.append(map.canvas, caption);
    byId(`${map.group}-maps`).append(figure);
    listenToMap(map);
  }
}

/** Where a unit is drawn: [left, top, width, height] in CSS pixels. */
function boxOf(map, unit) {
  const [, H, W] = SHAPES[map.name];
  if (map.palette === "bars") return [0, unit * barHeight, BAR_WIDTH, barHeight];
  const c = Math.floor(unit / (H * W)), i = Math.floor(unit / W) % H, j = unit % W;
  const left = (c % map.columns) * (W + map.gap) + j, top = Math.floor(c / map.columns) * (H + map.gap) + i;
  return [left * map.scale, top * map.scale, map.scale, map.scale];
}

function unitAt(map, x, y) {
  const [C, H, W] = SHAPES[map.name];
  if (map.palette === "bars") return Math.min(C - 1, Math.floor(y / barHeight));
  const [column, line] = [Math.floor(x / map.scale), Math.floor(y / map.scale)];
  const c = Math.floor(line / (H + map.gap)) * map.columns + Math.floor(column / (W + map.gap));
  const i = Math.min(H - 1, line % (H + map.gap)), j = Math.min(W - 1, column % (W + map.gap));
  return Math.min(C * H * W - 1, (c * H + i) * W + j);
}

function listenToMap(map) {
  const choose = (index) => {
    state.unit = { name: map.name, index };
    schedule(paintNetwork);
  };
  map.canvas.addEventListener("click", (event) => {
    choose(unitAt(map, (event.offsetX / map.canvas.clientWidth) * map.width, (event.offsetY / map.canvas.clientHeight) * map.height));
  });
  map.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    if (!state.unit || state.unit.name !== map.name) return choose(0);
    const [left, top, width, height] = boxOf(map, state.unit.index);
    const go = (times) => [left + width / 2 + step[0] * times * width, top + height / 2 + step[1] * times * height];
    for (const times of [1, 2]) { // over a gap in two steps
      const [x, y] = go(times);
      if (x < 0 || y < 0 || x >= map.width || y >= map.height) return;
      const unit = unitAt(map, x, y);
      if (unit !== state.unit.index) return choose(unit);
    }
  });
}

/** Compute every tensor of the chosen digit and sample. */
function* drawNetwork() {
  const parameters = paramsFor(state.digit.label);
  trace = { x: state.digit.x };
  const [mu, logvar] = encode(parameters, state.digit.x, trace);
  yield;
  trace.z = reparameterize(mu, widened(logvar, state.width), rows(state.eps, state.chosen));
  trace.x_hat = sigmoid(decode(parameters, trace.z, trace));
  if (!state.unit) state.unit = { name: "encoder.conv2", index: strongest(trace["encoder.conv2"].data) };
  schedule(paintNetwork);
}

const strongest = (values) => values.indexOf(Math.max(...values));

/** What the next layer sees of a tensor: after the ReLU, where one follows. */
const seen = (map) => (map.followedByRelu ? relu(trace[map.name]).data : trace[map.name].data);

function paintNetwork() {
  if (!trace.x_hat) return;
  const unit = describeUnit();
  for (const map of MAPS) {
    const values = seen(map), most = Math.max(values.reduce((a, v) => Math.max(a, Math.abs(v)), 0), 1e-12);
    const [context, width, height] = sharp(map.canvas);
    if (map.palette === "bars") paintBars(context, values, most);
    else {
      context.imageSmoothingEnabled = false;
      const palette = map.palette === "ink" ? inkPalette() : signedPalette();
      const top = map.name === "x" || map.name === "x_hat" ? 1 : most;
      context.drawImage(tiled(values, SHAPES[map.name], map.columns, map.gap, palette, top), 0, 0, width, height);
    }
    frameUnits(context, map, unit);
  }
}

function paintBars(context, values, most) {
  values.forEach((v, k) => {
    const length = (Math.abs(v) / most) * (BAR_WIDTH / 2 - 2);
    context.fillStyle = v < 0 ? colours.kl : colours.recon;
    context.fillRect(v < 0 ? BAR_WIDTH / 2 - length : BAR_WIDTH / 2, k * barHeight + 1, length, Math.max(1, barHeight - 2));
    if (barHeight >= 11) write(context, fixed(v, 2), v < 0 ? BAR_WIDTH - 2 : 30, (k + 0.5) * barHeight + 4, colours.soft, "right");
  });
  context.fillStyle = colours.soft;
  context.fillRect(BAR_WIDTH / 2, 0, 1, values.length * barHeight);
}

/** Frames: the chosen unit, what it reads in the layer before, and the pixels that it depends on or can change. */
function frameUnits(context, map, unit) {
  const frame = ([left, top, width, height], colour, thick) => {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.strokeRect(left - thick / 2, top - thick / 2, width + thick, height + thick);
  };
  const around = (boxes) => {
    const left = Math.min(...boxes.map((b) => b[0])), top = Math.min(...boxes.map((b) => b[1]));
    return [left, top, Math.max(...boxes.map((b) => b[0] + b[2])) - left, Math.max(...boxes.map((b) => b[1] + b[3])) - top];
  };
  if (map.name === unit.reads && unit.kind !== "linear") {
    const byChannel = new Map();
    for (const { input, channel } of unit.patch) byChannel.set(channel, [...(byChannel.get(channel) || []), boxOf(map, input)]);
    for (const boxes of byChannel.values()) frame(around(boxes), colours.recon, 1);
  }
  const field = map.name === "x" ? unit.depends : map.name === "x_hat" ? unit.reaches : null;
  if (field) frame(around([field.rows[0] * 28 + field.columns[0], field.rows[1] * 28 + field.columns[1]].map((k) => boxOf(map, k))), colours.accent, 2);
  if (map.name === state.unit.name) frame(boxOf(map, state.unit.index), colours.accent, 2);
}

/** Fill the inspector; returns what the chosen unit reads, depends on and reaches. */
function describeUnit() {
  const { name, index } = state.unit, [C, H, W] = SHAPES[name];
  const [c, i, j] = [Math.floor(index / (H * W)), Math.floor(index / W) % H, index % W];
  const position = H === 1 ? `[${index}]` : C === 1 ? `[${i}, ${j}]` : `[${c}, ${i}, ${j}]`;
  byId("unit-title").textContent = say("unitTitle", { name, position });
  const value = trace[name].data[index];
  const unit = { patch: [], depends: receptiveField(name, i, j), reaches: projectiveField(name, i, j) };
  const layer = LAYERS[name];
  byId("unit-patches").hidden = !layer;
  if (!layer) {
    byId("unit-sum").textContent = "";
    byId("unit-text").textContent = describeSource(name, index, value);
    return unit;
  }
  const from = MAPS.find((map) => map.name === layer.reads), inputs = seen(from);
  const weights = paramsFor(state.digit.label)[`${name}.weight`], bias = paramsFor(state.digit.label)[`${name}.bias`].data[layer.kind === "linear" ? index : c];
  Object.assign(unit, { reads: layer.reads, kind: layer.kind, patch: patchOf(layer, SHAPES[layer.reads], weights, index) });
  const field = unit.depends || unit.reaches;
  const values = { count: unit.patch.length, from: layer.reads, rows: field ? field.rows[1] - field.rows[0] + 1 : 0, columns: field ? field.columns[1] - field.columns[0] + 1 : 0 };
  const all = layer.kind === "linear" && name !== "decoder.fc2";
  byId("unit-text").textContent = say(all ? "unitReads" : unit.depends ? "unitReadsPixels" : "unitReaches", values);
  const sum = unit.patch.reduce((total, { input, weight }) => total + weight * inputs[input], 0);
  const followed = MAPS.find((map) => map.name === name).followedByRelu;
  const numbers = { bias: fixed(bias, 3), sum: fixed(sum, 3), value: fixed(value, 3), relu: fixed(Math.max(0, value), 3) };
  put("unit-sum", [bias + sum, value], say(followed ? "unitRelu" : "unitSum", numbers));
  paintPatches(layer, unit.patch, inputs);
  return unit;
}

function describeSource(name, index, value) {
  if (name === "z") {
    const sigma = Math.exp(widened(trace["encoder.logvar"], state.width).data[index] / 2);
    return say("unitZ", { mu: fixed(trace["encoder.mu"].data[index], 3), sigma: fixed(sigma, 3), eps: fixed(state.eps.data[state.chosen * D + index], 3) });
  }
  if (name === "x_hat") return say("unitXHat", { logit: fixed(trace["decoder.conv_t2"].data[index], 3) });
  return say("unitPixel", { value: fixed(value, 3) });
}

/** Inputs, weights and products of a unit, each as small maps: one for each channel that it reads. */
function paintPatches(layer, patch, inputs) {
  const [C, H, W] = SHAPES[layer.reads];
  const tall = Math.max(...patch.map((p) => p.row)) + 1, wide = Math.max(...patch.map((p) => p.column)) + 1;
  const columns = H === 1 ? Math.min(16, C) : C === 1 ? 1 : 8;
  const shown = { "patch-inputs": (p) => inputs[p.input], "patch-weights": (p) => p.weight, "patch-products": (p) => p.weight * inputs[p.input] };
  for (const [id, number] of Object.entries(shown)) {
    const values = new Float64Array(C * tall * wide);
    for (const p of patch) values[(p.channel * tall + p.row) * wide + p.column] = number(p);
    const most = Math.max(values.reduce((a, v) => Math.max(a, Math.abs(v)), 0), 1e-12);
    tiled(values, [C, tall, wide], columns, H === 1 ? 0 : 1, signedPalette(), most, byId(id));
  }
}

// Part 4: latents one by one

let order = []; // the latents, by KL

function buildSliders() {
  const kl = meanKl(), box = byId("latent-sliders");
  order = byKl(kl);
  box.replaceChildren(...order.map((k) => {
    const line = document.createElement("label");
    const name = document.createElement("b"), slider = document.createElement("input"), value = document.createElement("output"), bar = document.createElement("span");
    name.textContent = latentName(k);
    Object.assign(slider, { type: "range", min: -4, max: 4, step: 0.01 });
    slider.dataset.latent = k;
    slider.addEventListener("input", () => {
      state.latent = k;
      setZ(state.z.map((v, n) => (n === k ? Number(slider.value) : v)));
    });
    slider.addEventListener("focus", () => {
      state.latent = k;
      background("traversal", drawTraversal());
    });
    slider.addEventListener("change", () => { if (!AXES.includes(k)) background("map", decodeMap()); });
    bar.className = "bar";
    bar.style.setProperty("--share", kl[k] / Math.max(...kl));
    bar.textContent = say("latentKl", { kl: fixed(kl[k], 2) });
    bar.dataset.value = kl[k];
    line.append(name, slider, value, bar);
    return line;
  }));
  state.latent = order[0];
  byId("latents-kl").textContent = say("latentsKl", {
    count: COUNT, D, total: fixed(kl.reduce((sum, v) => sum + v, 0), 2), active: kl.filter((v) => v > 0.01).length,
  });
  schedule(drawSliders);
  background("traversal", drawTraversal());
}

function drawSliders() {
  for (const line of byId("latent-sliders").children) {
    const slider = line.querySelector("input"), value = state.z[slider.dataset.latent];
    if (document.activeElement !== slider || Math.abs(slider.value - value) > 0.006) slider.value = value;
    line.querySelector("output").textContent = fixed(value, 2);
  }
}

function* drawTraversal() {
  const values = [-3, -2.25, -1.5, -0.75, 0, 0.75, 1.5, 2.25, 3], images = [];
  for (const v of values) {
    images.push(xHatOf(row(state.z.map((old, k) => (k === state.latent ? v : old))), state.label).data);
    yield;
  }
  byId("traversal-text").textContent = say("traversalText", { name: latentName(state.latent) });
  paintStrip(byId("traversal"), images, { captions: values.map((v) => fixed(v, v % 1 ? 2 : 0).replace(/0$/, v === 0 ? "0" : "")) });
}

const WAYS = { straight: lerp, spherical: slerp };

function walkEnds() {
  const [mu] = encode(paramsFor(facts.labels[state.other]), rows(digits, state.other));
  return [state.q.mu.data, mu.data];
}

function* drawWalks() {
  const [a, b] = walkEnds();
  paintImage(byId("walk-a"), state.digit.x.data);
  paintImage(byId("walk-b"), imageOf(digits, state.other));
  for (const [name, way] of Object.entries(WAYS)) {
    const images = [], captions = [], lengths = [];
    for (let k = 0; k <= 8; k++) {
      const z = way(a, b, k / 8);
      images.push(xHatOf(row(z), state.label).data);
      lengths.push(norm(z));
      captions.push(fixed(norm(z), 1));
      yield;
    }
    byId(`walk-${name}`).dataset.value = lengths.join(" ");
    paintStrip(byId(`walk-${name}`), images, { captions, marked: name === chosenWay() ? Math.round(8 * byId("walk-t").value) : -1 });
  }
}

const chosenWay = () => document.querySelector("input[name=way]:checked").value;

function listenToLatents() {
  byId("latents-digit").addEventListener("click", () => {
    setZ(state.q.mu.data);
    if (D > 2) background("map", decodeMap());
  });
  byId("latents-zero").addEventListener("click", () => {
    setZ(new Float64Array(D));
    if (D > 2) background("map", decodeMap());
  });
  byId("another").addEventListener("click", () => {
    do state.other = (state.other + 1) % COUNT; while (COUNT > 1 && state.other === state.digit.index);
    background("walk", drawWalks());
    walk();
  });
  byId("walk-t").addEventListener("input", walk);
  for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", walk);
}

function walk() {
  const t = Number(byId("walk-t").value), [a, b] = walkEnds();
  put("walk-t-value", t, fixed(t, 2));
  setZ(WAYS[chosenWay()](a, b, t));
  background("walk", drawWalks());
}

// Labels, for a cvae

function buildLabels() {
  byId("label-box").hidden = byId("digit-label-box").hidden = !isCvae;
  for (const id of ["label", "digit-label"]) {
    byId(id).append(...Array.from({ length: CLASSES }, (_, label) => new Option(String(label), String(label))));
  }
  byId("label").addEventListener("change", (event) => {
    state.label = Number(event.target.value);
    setZ(state.z);
    background("map", decodeMap());
    background("walk", drawWalks());
    if (state.line) background("line", drawLine());
  });
  byId("digit-label").addEventListener("change", (event) => setDigit({ ...state.digit, label: Number(event.target.value) }));
}

// The check: every tensor against the golden values of level 1

const ALLOWED = 1e-10;

function* checkNumbers() {
  const count = golden.eps.shape[0], apart = {};
  for (let b = 0; b < count; b++) {
    byId("check-verdict").textContent = say("checkBusy", { done: b, count });
    yield;
    for (const [name, got] of Object.entries(tensorsOf(b))) {
      if (b >= golden[name].shape[0]) continue; // kept for the first digits only
      const expected = rows(golden[name], b).data;
      got.data.forEach((v, k) => {
        const difference = Math.abs(v - expected[k]);
        if (!(difference <= (apart[name] || 0))) apart[name] = difference; // NaN stays
      });
      apart[name] = apart[name] || 0;
    }
  }
  showCheck(apart);
}

/** Every tensor of golden digit b, under the names of the golden values. */
function tensorsOf(b) {
  const parameters = paramsFor(facts.labels[b]), x = rows(digits, b), eps = rows(golden.eps, b), found = {};
  const [mu, logvar] = encode(parameters, x, found);
  found.z = reparameterize(mu, logvar, eps);
  const logits = decode(parameters, found.z, found);
  return {
    ...found,
    x_hat: sigmoid(logits),
    reconstruction_bce: reconstructionLoss(logits, x),
    reconstruction_mse: reconstructionLoss(logits, x, "mse"),
    kl: klDivergence(mu, logvar),
    elbo: elbo(parameters, x, eps),
  };
}

function showCheck(apart) {
  const names = Object.keys(apart), failed = names.filter((name) => !(apart[name] <= ALLOWED));
  byId("check-rows").replaceChildren(...names.map((name) => {
    const line = document.createElement("tr");
    line.className = failed.includes(name) ? "failed" : "passed";
    for (const words of [name, `(${golden[name].shape.join(", ")})`, apart[name].toExponential(1)]) {
      const cell = document.createElement("td");
      cell.textContent = words;
      line.append(cell);
    }
    return line;
  }));
  const largest = Math.max(...Object.values(apart));
  put("check-verdict", largest, failed.length
    ? say("checkFailed", { failed: failed.length, count: names.length, names: failed.join(", ") })
    : say("checkPassed", { count: names.length, largest: largest.toExponential(1) }));
}

// Start

function drawEverything() {
  readColours();
  backdropIsOld = true;
  drawSheet.images = null;
  schedule(drawPlane, drawPoint, drawDigit, drawQ, drawSheet, drawPad, drawTrade, paintNetwork);
  background("samples", drawSamples());
  background("walk", drawWalks());
  background("traversal", drawTraversal());
  background("line", drawLine());
}

function start() {
  if (!window.PointerEvent || !window.HTMLDialogElement || !document.createElement("canvas").getContext) throw new Error("PointerEvent, dialog or canvas is missing");
  fillTexts();
  byId("start").remove();
  byId("page").hidden = false;
  readColours();
  buildLegend();
  buildLabels();
  buildSamples();
  buildMaps();
  newNoise();
  listenToPlane();
  listenToDigit();
  listenToLatents();
  chooseDigit(0);
  state.label = isCvae ? facts.labels[0] : 0;
  byId("label").value = String(state.label);
  state.other = Math.max(0, facts.labels.findIndex((label) => label !== facts.labels[0]));
  state.z = Float64Array.from(state.q.mu.data);
  buildSliders();
  drawEverything();
  background("codes", encodeDigits());
  background("map", decodeMap());
  byId("check").addEventListener("click", () => {
    byId("check-rows").replaceChildren();
    byId("check-dialog").showModal();
    background("check", checkNumbers());
  });
  let resizing = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(drawEverything, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawEverything();
    background("map", decodeMap());
  });
  window.explorer = { state, facts, tasks }; // for the tests, and for the curious at the console
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
}

try {
  start();
} catch (error) {
  const line = byId("start") || document.body.appendChild(document.createElement("p"));
  line.textContent = say("broken", { error: error.message });
  throw error;
}
