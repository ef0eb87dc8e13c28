"use strict";
/* What the page knows: the data from explore.py, the state that the reader changes, texts and colours. */

const byId = (id) => document.getElementById(id);
const FARTHEST = 8; // the largest |z| of a latent
const SAMPLES = 8; // samples of q(z|x); the noise of the second half is minus that of the first

// Data

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

/** Row k of a tensor, as a batch of one. */
function rowOf(x, k) {
  const size = x.data.length / x.shape[0];
  return tensor([1, ...x.shape.slice(1)], x.data.subarray(k * size, (k + 1) * size));
}

const row = (values) => tensor([1, values.length], Float64Array.from(values));

/** x_hat of latents: (B, D) -> (B, 1, 28, 28). */
const xHatOf = (z, label) => sigmoid(decode(paramsFor(label), z));

// State

const state = {
  z: new Float64Array(D), // the point of parts 1 and 4
  label: 0, // the label that a cvae gets in parts 1 and 4
  line: null, // {from, to}: two z
  strokes: [], // strokes of the drawing: arrays of [x, y] in [0, 1]
  digit: null, // {x, index, label}: index is null for a drawing; label is null for a test digit without one
  q: null, // {mu, logvar} of the digit, (1, D)
  eps: null, // (SAMPLES, D)
  chosen: 0, // index of the sample that the page calls "this sample"
  zs: [], // z of the samples, after drawSamples
  width: 1,
  beta: 1,
  trade: null, // {widths, recon, kl}: means over the samples, for a few widths, later for all WIDTHS
  unit: null, // {name, index}
  latent: 0, // index of the latent that the traversal changes
  other: 1, // the test digit at the end of the walk
  codes: [], // {mu, logvar} of each test digit that is encoded so far
};
const noise = normals(1);

/** How many digits `meanKl` uses: all test digits; until all are encoded, the digits with golden values. */
const klCount = () => state.codes.length === COUNT ? COUNT : golden.eps.shape[0];

/** The mean KL of each latent over `klCount` test digits. */
function meanKl() {
  const known = state.codes.length === COUNT;
  const mu = known ? state.codes.map((code) => code.mu) : [golden["encoder.mu"]];
  const logvar = known ? state.codes.map((code) => code.logvar) : [golden["encoder.logvar"]];
  const sums = new Float64Array(D);
  mu.forEach((m, k) => klPerLatent(m, logvar[k]).data.forEach((nats, n) => { sums[n % D] += nats; }));
  return sums.map((sum) => sum / klCount());
}

const byKl = (kl) => Array.from(kl.keys()).sort((a, b) => kl[b] - kl[a]);
const AXES = D === 2 ? [0, 1] : byKl(meanKl()).slice(0, 2); // the plane's axes: the two largest KL, or all if D < 3
const REACH = planeReach();

/** Half the side of the plane: at least 3.2, which covers most of the prior. It is larger, at most FARTHEST, if a mu of the digits
    with golden values is farther out. */
function planeReach() {
  const onAxes = golden["encoder.mu"].data.filter((_, k) => AXES.includes(k % D));
  return Math.min(FARTHEST, Math.max(3.2, 1.1 * Math.max(...onAxes.map(Math.abs))));
}

// Texts

// The language in the address (explorer.html?lang=ko), otherwise the browser's, otherwise English
const asked = new URLSearchParams(location.search).get("lang") || navigator.language.slice(0, 2);
const language = Object.keys(strings).includes(asked) ? asked : "en";
const table = strings[language];

function say(key, values = {}) {
  return table[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

const fixed = (value, places) => (Object.is(+value.toFixed(places), -0) ? 0 : value).toFixed(places).replace("-", "−");
const signed = (value, places) => (value > 0 ? "+" : "") + fixed(value, places);
const percent = (share) => `${fixed(100 * share, share > 0.985 ? 1 : 0)}%`;
const subscript = (k) => String(k + 1).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
const latentName = (k) => say("latentName", { sub: subscript(k) });

/** Show a text in the element `id`, and store the number, or the numbers, with all digits in its attribute data-value. */
function put(id, value, shownAs) {
  byId(id).textContent = shownAs;
  byId(id).dataset.value = typeof value === "number" ? String(value) : Array.from(value).join(" ");
}

function fillTexts() {
  document.documentElement.lang = language;
  byId("language").lang = language === "en" ? "ko" : "en";
  byId("language").href = `?lang=${byId("language").lang}`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  document.title = say("title");
  const about = { ...facts, D, count: COUNT, model: facts.model.toUpperCase() };
  byId("facts-line").textContent = say("facts", about);
  if (facts.likelihood !== facts.kind) byId("facts-line").textContent += ` ${say("factsLikelihood", about)}`;
  const [a, b] = [AXES[0], AXES[AXES.length - 1]].map(latentName);
  const slice = { a, b, count: golden.eps.shape[0] };
  byId("plane-look").textContent = say(D === 2 ? "planeLook" : D === 1 ? "planeLine" : "planeSlice", slice);
  if (D === 2 && !facts.sameSource) byId("plane-look").textContent += ` ${say("planeOther")}`;
  byId("show-prior").parentElement.hidden = D === 1; // circles need a plane
  const formulas = facts.kind === "bce" ? ["reconBce", "elboBce", "weightBce"] : ["reconMse", "elboMse", "weightMse"];
  ["recon", "elbo", "weight"].forEach((term, k) => { byId(`${term}-formula`).textContent = say(formulas[k]); });
}

// Colours, from page.css

const colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "ink", "soft", "line", "recon", "kl", "accent", "positive", "negative", "image-paper", "image-ink"];
  for (const name of names) colours[name] = read(name);
  colours.inkPalette = inkPalette();
  colours.labels = Array.from({ length: 10 }, (_, label) => read(`label-${label}`));
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mixed = (from, to, t) => from.map((v, k) => v + (to[k] - v) * t);

/** 0 is paper, 1 is ink: a function from a number to [red, green, blue], from a table of 256 steps. */
function inkPalette() {
  const steps = stepsTo("image-ink");
  return (v) => steps[Math.round(255 * Math.min(1, Math.max(0, v)))];
}

/** -1 is teal, 0 is paper, 1 is red. */
function signedPalette() {
  const red = stepsTo("positive"), teal = stepsTo("negative");
  return (v) => (v < 0 ? teal : red)[Math.round(255 * Math.min(1, Math.abs(v)))];
}

const stepsTo = (name) => Array.from({ length: 256 }, (_, k) => mixed(rgb(colours["image-paper"]), rgb(colours[name]), k / 255));
