"use strict";
/* Mathematics that only the page needs. These functions do not touch the page, so Node can test them.
   Load vae.js first: this file uses `tensor` of vae.js. */

const CLASSES = 10;

/** With one fixed label, a cvae is a vae: return the parameters of this vae. (Those of a vae are returned unchanged.)

    fc(concat[h, one_hot(c)]) = W h + V[:, c] + b, where V is the weight of the label. So label c adds V[:, c] to two biases. */
function withLabel(params, label) {
  if (!("encoder_label.weight" in params)) return params;
  const moved = (bias, weight) => tensor(bias.shape, bias.data.map((v, o) => v + weight.data[o * CLASSES + label]));
  return {
    ...params,
    "encoder.fc.bias": moved(params["encoder.fc.bias"], params["encoder_label.weight"]),
    "decoder.fc1.bias": moved(params["decoder.fc1.bias"], params["decoder_label.weight"]),
  };
}

/** The KL of each latent, in nats: mu and logvar (B, D) -> (B, D). Its sum over latents is klDivergence. */
function klPerLatent(mu, logvar) {
  return tensor(mu.shape, mu.data.map((m, k) => 0.5 * (m ** 2 + Math.expm1(logvar.data[k]) - logvar.data[k])));
}

/** The log weight log [p(x, z) / q(z|x)] at z = mu + exp(logvar / 2) eps, in nats: recon (B), the others (B, D) -> (B).

    Its mean over eps is the ELBO. If recon is -log p(x|z), log of the mean of exp(log weight) tends to log p(x) with more
    eps (Burda et al. 2015, eq. 8). */
function logWeight(recon, mu, logvar, eps) {
  const [B, D] = mu.shape;
  const weights = tensor([B]);
  for (let b = 0; b < B; b++) {
    let sum = -recon.data[b];
    for (let k = b * D; k < (b + 1) * D; k++) {
      // log p(z) - log q(z|x) = ½ (ε² - z² + log σ²), summed over the latents
      const z = mu.data[k] + Math.exp(logvar.data[k] / 2) * eps.data[k];
      sum += 0.5 * (eps.data[k] ** 2 - z ** 2 + logvar.data[k]);
    }
    weights.data[b] = sum;
  }
  return weights;
}

/** logvar of q with σ times `width`, but not beyond the prior's σ = 1: σ -> min(width σ, max(σ, 1)). */
function widened(logvar, width) {
  return tensor(logvar.shape, logvar.data.map((v) => Math.min(v + 2 * Math.log(width), Math.max(v, 0))));
}

/** The straight line from a to b (arrays of D numbers). */
function lerp(a, b, t) {
  return Float64Array.from(a, (v, k) => (1 - t) * v + t * b[k]);
}

/** The arc from a to b (Shoemake 1985): the direction turns at constant speed, the length changes linearly.

    The straight line if a and b are parallel or opposite, or if one of them is 0. */
function slerp(a, b, t) {
  const lengthA = norm(a), lengthB = norm(b);
  if (lengthA === 0 || lengthB === 0) return lerp(a, b, t);
  const u = a.map((v) => v / lengthA), v = b.map((w) => w / lengthB);
  // ω = 2 atan2(|u - v|, |u + v|) is accurate near 0 and π; arccos(u·v) is not
  const omega = 2 * Math.atan2(norm(u.map((w, k) => w - v[k])), norm(u.map((w, k) => w + v[k])));
  if (Math.sin(omega) < 1e-9) return lerp(a, b, t);
  const length = (1 - t) * lengthA + t * lengthB;
  const [fromU, fromV] = [Math.sin((1 - t) * omega), Math.sin(t * omega)].map((s) => (length * s) / Math.sin(omega));
  return Float64Array.from(u, (w, k) => fromU * w + fromV * v[k]);
}

function norm(a) {
  return Math.hypot(...a);
}

/** A generator of standard normal numbers with a seed (mulberry32, then Box & Muller 1958). Each reload has the same noise. */
function normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return (...shape) => tensor(shape, tensor(shape).data.map(normal));
}

// The inputs and pixels of a unit

/** The layers in order: the tensor that each reads, its kind, and the shape (C, H, W) of its output. */
function layersOf(latentDim) {
  return {
    "encoder.conv1": { reads: "x", kind: "conv", shape: [32, 14, 14] },
    "encoder.conv2": { reads: "encoder.conv1", kind: "conv", shape: [64, 7, 7] },
    "encoder.fc": { reads: "encoder.conv2", kind: "linear", shape: [256, 1, 1] },
    "encoder.mu": { reads: "encoder.fc", kind: "linear", shape: [latentDim, 1, 1] },
    "encoder.logvar": { reads: "encoder.fc", kind: "linear", shape: [latentDim, 1, 1] },
    "decoder.fc1": { reads: "z", kind: "linear", shape: [256, 1, 1] },
    "decoder.fc2": { reads: "decoder.fc1", kind: "linear", shape: [64, 7, 7] },
    "decoder.conv_t1": { reads: "decoder.fc2", kind: "convTranspose", shape: [32, 14, 14] },
    "decoder.conv_t2": { reads: "decoder.conv_t1", kind: "convTranspose", shape: [1, 28, 28] },
  };
}

/** The inputs that one unit reads, with their weights: [{input, weight, channel, row, column}].

    row and column are the place in the patch of inputs; for a linear layer, the place in the input's channel.

    All convolutions of the model have 3x3 kernels, stride 2 and padding 1; `layer` is an entry of layersOf,
    `inputShape` is the (C, H, W) that the layer reads, `unit` is a flat index in its output. */
function patchOf(layer, inputShape, weight, unit) {
  const [O, OH, OW] = layer.shape, [C, H, W] = inputShape;
  const o = Math.floor(unit / (OH * OW)), i = Math.floor(unit / OW) % OH, j = unit % OW;
  const found = [];
  if (layer.kind === "linear") {
    const I = C * H * W;
    for (let k = 0; k < I; k++) {
      const place = { channel: Math.floor(k / (H * W)), row: Math.floor(k / W) % H, column: k % W };
      found.push({ input: k, weight: weight.data[unit * I + k], ...place });
    }
    return found;
  }
  for (let c = 0; c < C; c++) for (let m = 0; m < 3; m++) for (let n = 0; n < 3; n++) {
    if (layer.kind === "conv") {
      const h = 2 * i + m - 1, w = 2 * j + n - 1; // conv2d: output (i, j) reads input (2i + m - 1, 2j + n - 1)
      if (h < 0 || h >= H || w < 0 || w >= W) continue;
      const weightAt = ((o * C + c) * 3 + m) * 3 + n;
      found.push({ input: (c * H + h) * W + w, weight: weight.data[weightAt], channel: c, row: m, column: n });
    } else {
      const h = (i + 1 - m) / 2, w = (j + 1 - n) / 2; // conv_transpose2d: input (h, w) adds to output (2h + m - 1, 2w + n - 1)
      if (!Number.isInteger(h) || !Number.isInteger(w) || h < 0 || h >= H || w < 0 || w >= W) continue;
      const row = h - Math.ceil((i - 1) / 2), column = w - Math.ceil((j - 1) / 2);
      const weightAt = ((c * O + o) * 3 + m) * 3 + n;
      found.push({ input: (c * H + h) * W + w, weight: weight.data[weightAt], channel: c, row, column });
    }
  }
  return found;
}

/** The pixels of x on which a unit of the encoder depends: [first, last] row and column; null for any other tensor. */
function receptiveField(name, i, j) {
  if (name === "encoder.conv1") return { rows: inside(2 * i - 1, 2 * i + 1), columns: inside(2 * j - 1, 2 * j + 1) };
  if (name === "encoder.conv2") return { rows: inside(4 * i - 3, 4 * i + 3), columns: inside(4 * j - 3, 4 * j + 3) };
  return name.startsWith("encoder.") ? { rows: [0, 27], columns: [0, 27] } : null;
}

/** The pixels of x_hat that a unit of the decoder can change: [first, last] row and column; null for any other tensor. */
function projectiveField(name, i, j) {
  if (name === "decoder.conv_t2") return { rows: [i, i], columns: [j, j] };
  if (name === "decoder.conv_t1") return { rows: inside(2 * i - 1, 2 * i + 1), columns: inside(2 * j - 1, 2 * j + 1) };
  if (name === "decoder.fc2") return { rows: inside(4 * i - 3, 4 * i + 3), columns: inside(4 * j - 3, 4 * j + 3) };
  return name === "decoder.fc1" ? { rows: [0, 27], columns: [0, 27] } : null;
}

function inside(first, last) {
  return [Math.max(0, first), Math.min(27, last)];
}

// From a drawing to an image like those of MNIST

const BOX = 20, PEN = 1.3; // pixels: the side of MNIST's box; half the width of a stroke (as much ink as MNIST)

/** Strokes (arrays of [x, y] in [0, 1]) -> 784 pixels as MNIST prepares them (LeCun et al. 1998, section III.A).

    The drawing is scaled into a 20x20 box (enlarged at most 4 times), drawn with a soft pen, and moved so that its
    centre of mass lies at the centre of the 28x28 image. Without strokes the image is empty. */
function likeMnist(strokes) {
  const points = strokes.flat();
  if (points.length === 0) return new Float64Array(784);
  const [left, right] = range(points.map((p) => p[0])), [top, bottom] = range(points.map((p) => p[1]));
  const scale = Math.min((BOX - 2 * PEN) / Math.max(right - left, bottom - top), 4 * 28);
  const place = ([x, y]) => [14 + (x - (left + right) / 2) * scale, 14 + (y - (top + bottom) / 2) * scale];
  const placed = strokes.map((stroke) => stroke.map(place));
  const [x, y] = centreOfMass(inked(placed));
  return inked(placed.map((stroke) => stroke.map(([px, py]) => [px + 14 - x, py + 14 - y])));
}

/** The centre of mass (x, y) of 784 pixels, in pixels from the upper left corner; the centre of the image is (14, 14). */
function centreOfMass(pixels) {
  let mass = 0, x = 0, y = 0;
  pixels.forEach((v, k) => {
    mass += v;
    x += v * ((k % 28) + 0.5);
    y += v * (Math.floor(k / 28) + 0.5);
  });
  return [x / mass, y / mass];
}

/** Ink of a round pen along the strokes: 1 near a stroke, 0 far from it. It falls from 1 to 0 within one pixel. */
function inked(strokes) {
  return new Float64Array(784).map((_, k) => {
    const x = (k % 28) + 0.5, y = Math.floor(k / 28) + 0.5;
    let nearest = Infinity;
    for (const stroke of strokes) stroke.forEach((end, n) => {
      nearest = Math.min(nearest, distanceToSegment(x, y, stroke[Math.max(0, n - 1)], end));
    });
    return Math.min(1, Math.max(0, PEN + 0.5 - nearest));
  });
}

function distanceToSegment(x, y, [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, squared = dx * dx + dy * dy;
  const t = squared === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / squared));
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

function range(values) {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

if (typeof module !== "undefined") {
  // in Node, vae.js is a separate module
  globalThis.tensor = require("./vae.js").tensor;
  module.exports = {
    withLabel, klPerLatent, logWeight, widened, lerp, slerp, normals,
    layersOf, patchOf, receptiveField, projectiveField, likeMnist, centreOfMass,
  };
}
