"use strict";
/* The VAE in plain JavaScript. Compare it with vae_numpy/layers.py and vae_numpy/vae.py.

    encoder  x -> conv1 -> conv2 -> fc -> mu, logvar             q(z|x) = N(mu, diag(exp(logvar)))
    sample   z = mu + exp(logvar / 2) * eps                      eps ~ N(0, I), given by the caller
    decoder  z -> fc1 -> fc2 -> conv_t1 -> conv_t2 -> logits     x_hat = sigmoid(logits)

The model of Kingma & Welling, "Auto-Encoding Variational Bayes", 2013, arXiv:1312.6114, with convolutions.
The names (in camelCase), the order of arguments and the shapes are those of level 1. Numbers are float64; every tensor is
within 1e-10 of level 1's.
Losses are per image, in nats: summed over pixels and latents, never averaged over either.

A tensor is {data, shape}: a Float64Array in C order (the last index runs fastest), and its sizes.
`params` maps the 18 names of vae_numpy/parameters.py to tensors in torch's layout.
To save time, a layer skips inputs that are 0: after a ReLU, this is about half of them.

Legend: B batch, D latent size, I inputs, C channels in, O outputs (channels out), H height, W width, KH x KW kernel. */

function tensor(shape, data = new Float64Array(shape.reduce((product, n) => product * n, 1))) {
  return { data, shape };
}

function reshape(x, ...shape) {
  return { data: x.data, shape };
}

function transpose(x) {
  const [rows, columns] = x.shape;
  const y = tensor([columns, rows]);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y.data[j * rows + i] = x.data[i * columns + j];
  return y;
}

/** The matrix product x w: x (B, I), w (I, O) -> (B, O). */
function matmul(x, w) {
  const [B, I] = x.shape, O = w.shape[1];
  const y = tensor([B, O]), from = w.data, to = y.data;
  for (let b = 0; b < B; b++) for (let i = 0; i < I; i++) {
    const v = x.data[b * I + i];
    if (v === 0) continue;
    for (let o = 0, row = b * O, weight = i * O; o < O; o++) to[row + o] += v * from[weight + o];
  }
  return y;
}

// The layers

/** y = x Wᵀ + b: x (B, I), weight (O, I), bias (O) -> (B, O). */
function linear(x, weight, bias = null) {
  checkFit("linear", x, 2, "(B, I)", weight, "(O, I)", weight.shape[1], bias, weight.shape[0]);
  const [B, I] = x.shape, O = weight.shape[0], w = weight.data;
  const y = tensor([B, O]);
  const at = new Int32Array(I), value = new Float64Array(I); // the inputs that are not 0
  for (let b = 0; b < B; b++) {
    let count = 0;
    for (let i = 0; i < I; i++) {
      const v = x.data[b * I + i];
      if (v === 0) continue;
      at[count] = i;
      value[count++] = v;
    }
    for (let o = 0; o < O; o++) {
      let sum = bias ? bias.data[o] : 0;
      for (let k = 0; k < count; k++) sum += w[o * I + at[k]] * value[k];
      y.data[b * O + o] = sum;
    }
  }
  return y;
}

/** Slide O kernels over each image (cross-correlation): x (B, C, H, W), weight (O, C, KH, KW), bias (O) -> (B, O, OH, OW).

    y[b,o,i,j] = bias[o] + Σ_{c,m,n} weight[o,c,m,n] x[b, c, i*stride + m - padding, j*stride + n - padding],
    where x is 0 outside the image; OH = floor((H + 2 padding - KH) / stride) + 1, and the same formula with W gives OW. */
function conv2d(x, weight, bias = null, stride = 1, padding = 0) {
  checkFit("conv2d", x, 4, "(B, C, H, W)", weight, "(O, C, KH, KW)", weight.shape[1], bias, weight.shape[0]);
  const [sh, sw] = pair("stride", stride, 1), [ph, pw] = pair("padding", padding, 0);
  const [B, C, H, W] = x.shape, [O, , KH, KW] = weight.shape;
  const OH = Math.floor((H + 2 * ph - KH) / sh) + 1, OW = Math.floor((W + 2 * pw - KW) / sw) + 1;
  if (OH < 1 || OW < 1) {
    throw new Error(`conv2d: the ${KH}x${KW} kernel is larger than the padded image, ${H + 2 * ph}x${W + 2 * pw}`);
  }
  const y = tensor([B, O, OH, OW]), size = C * KH * KW;
  const kernels = transpose(reshape(weight, O, size)); // (C*KH*KW, O)
  for (let b = 0; b < B; b++) {
    const patches = tensor([OH * OW, size]); // each patch is a row, 0 where it lies outside the image
    for (let i = 0; i < OH; i++) for (let j = 0; j < OW; j++) for (let c = 0; c < C; c++) for (let m = 0; m < KH; m++) {
      const h = i * sh + m - ph, left = j * sw - pw;
      if (h < 0 || h >= H) continue;
      const row = (i * OW + j) * size + (c * KH + m) * KW, pixels = ((b * C + c) * H + h) * W + left;
      for (let n = Math.max(0, -left); n < KW && left + n < W; n++) patches.data[row + n] = x.data[pixels + n];
    }
    const products = matmul(patches, kernels).data; // (OH*OW, O)
    for (let o = 0; o < O; o++) for (let k = 0; k < OH * OW; k++) {
      y.data[(b * O + o) * OH * OW + k] = products[k * O + o] + (bias ? bias.data[o] : 0);
    }
  }
  return y;
}

/** The transpose of conv2d: each input pixel adds the kernel, times the pixel's value, to the output. For the next input pixel the
    kernel's place moves by `stride` output pixels.

    x (B, C, H, W), weight (C, O, KH, KW), bias (O) -> (B, O, OH, OW).
    y[b,o,h,w] = bias[o] + Σ x[b,c,i,j] weight[c,o,m,n]. The sum is over all c, i, j, m, n with
    h = i*stride + m - padding and w = j*stride + n - padding.
    OH = (H - 1) stride - 2 padding + KH + outputPadding, and the same formula with W gives OW. */
function convTranspose2d(x, weight, bias = null, stride = 1, padding = 0, outputPadding = 0) {
  checkFit("convTranspose2d", x, 4, "(B, C, H, W)", weight, "(C, O, KH, KW)", weight.shape[0], bias, weight.shape[1]);
  const [sh, sw] = pair("stride", stride, 1), [ph, pw] = pair("padding", padding, 0);
  const [qh, qw] = pair("outputPadding", outputPadding, 0);
  const [B, C, H, W] = x.shape, [, O, KH, KW] = weight.shape;
  if (qh >= sh || qw >= sw) {
    throw new Error(`convTranspose2d: outputPadding (${qh}, ${qw}) must be smaller than stride (${sh}, ${sw})`);
  }
  const OH = (H - 1) * sh - 2 * ph + KH + qh, OW = (W - 1) * sw - 2 * pw + KW + qw;
  if (OH < 1 || OW < 1) throw new Error(`convTranspose2d: padding (${ph}, ${pw}) leaves an output of ${OH}x${OW}`);
  const y = tensor([B, O, OH, OW]), size = O * KH * KW;
  for (let b = 0; b < B; b++) {
    const pixels = transpose(tensor([C, H * W], x.data.subarray(b * C * H * W, (b + 1) * C * H * W))); // each pixel is a row
    const stamps = matmul(pixels, reshape(weight, C, size)).data; // (H*W, O*KH*KW)
    for (let o = 0; o < O; o++) {
      const canvas = y.data.subarray((b * O + o) * OH * OW, (b * O + o + 1) * OH * OW);
      if (bias) canvas.fill(bias.data[o]);
      for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) for (let m = 0; m < KH; m++) {
        const h = i * sh + m - ph, left = j * sw - pw;
        if (h < 0 || h >= OH) continue; // the padding cuts the canvas
        const stamp = (i * W + j) * size + (o * KH + m) * KW;
        for (let n = Math.max(0, -left); n < KW && left + n < OW; n++) canvas[h * OW + left + n] += stamps[stamp + n];
      }
    }
  }
  return y;
}

/** max(x, 0); NaN stays NaN. */
function relu(x) {
  return tensor(x.shape, x.data.map((v) => (v < 0 ? 0 : v)));
}

/** 1 / (1 + exp(-x)), computed from exp(-|x|): it cannot overflow, and small results keep all digits. NaN stays NaN. */
function sigmoid(x) {
  return tensor(x.shape, x.data.map((v) => {
    const e = Math.exp(-Math.abs(v));
    return (v < 0 ? e : 1) / (1 + e);
  }));
}

// The model. If `trace` is given, it receives the output of every layer (before its ReLU), by the layer's name.

/** The approximate posterior q(z|x) = N(mu, diag(exp(logvar))): x (B, 1, 28, 28) -> its mean and its log variance. */
function encode(params, x, trace = {}) {
  checkImages(x);
  let h = relu((trace["encoder.conv1"] = conv2d(x, ...layer(params, "encoder.conv1"), 2, 1))); // (B, 32, 14, 14)
  h = relu((trace["encoder.conv2"] = conv2d(h, ...layer(params, "encoder.conv2"), 2, 1))); // (B, 64, 7, 7)
  h = reshape(h, x.shape[0], 3136); // (B, 64*7*7), channel by channel
  h = relu((trace["encoder.fc"] = linear(h, ...layer(params, "encoder.fc")))); // (B, 256)
  const mu = (trace["encoder.mu"] = linear(h, ...layer(params, "encoder.mu"))); // (B, D)
  const logvar = (trace["encoder.logvar"] = linear(h, ...layer(params, "encoder.logvar"))); // (B, D)
  return [mu, logvar];
}

/** A sample of q(z|x) as a function of its parameters and of noise (Kingma & Welling 2013, section 2.4). All (B, D). */
function reparameterize(mu, logvar, eps) {
  checkAlike(2, { mu, logvar, eps });
  // z = μ + σ ⊙ ε,   σ = exp(log σ² / 2)
  return tensor(mu.shape, mu.data.map((m, k) => m + Math.exp(logvar.data[k] / 2) * eps.data[k]));
}

/** p(x|z), as logits: z (B, D) -> (B, 1, 28, 28); the probability that a pixel is 1 (ink) is x_hat = sigmoid(logits). */
function decode(params, z, trace = {}) {
  checkLatents(z, params["encoder.mu.weight"].shape[0]);
  let h = relu((trace["decoder.fc1"] = linear(z, ...layer(params, "decoder.fc1")))); // (B, 256)
  h = relu((trace["decoder.fc2"] = linear(h, ...layer(params, "decoder.fc2")))); // (B, 3136)
  h = reshape(h, z.shape[0], 64, 7, 7); // (B, 64, 7, 7)
  h = relu((trace["decoder.conv_t1"] = convTranspose2d(h, ...layer(params, "decoder.conv_t1"), 2, 1, 1))); // (B, 32, 14, 14)
  return (trace["decoder.conv_t2"] = convTranspose2d(h, ...layer(params, "decoder.conv_t2"), 2, 1, 1)); // (B, 1, 28, 28)
}

/** How badly x_hat reconstructs x, in nats per image (summed over pixels): logits and x (B, 1, 28, 28) -> (B).

    "bce": binary cross-entropy. Where x is 0 or 1 it is -log p(x|z) for independent Bernoulli pixels. For grayscale x it
    is an objective, not a likelihood. It is smallest at x_hat = x, where it is the entropy of Bernoulli pixels with
    probabilities x, and not 0.
    "mse": squared error. Up to a constant, it equals -log N(x; x_hat, 1/2) (variance 1/2). */
function reconstructionLoss(logits, x, kind = "bce") {
  checkImages(x);
  checkAlike(4, { logits, x });
  let perPixel;
  if (kind === "bce") {
    // -[x log x̂ + (1-x) log(1-x̂)] = log(1 + eˡ) - x l,   x̂ = sigmoid(l): exact where x̂ rounds to 0 or 1
    perPixel = logits.data.map((l, k) => Math.max(l, 0) + Math.log1p(Math.exp(-Math.abs(l))) - x.data[k] * l);
  } else if (kind === "mse") {
    // (x - x̂)²
    perPixel = sigmoid(logits).data.map((xHat, k) => (x.data[k] - xHat) ** 2);
  } else {
    throw new Error(`reconstructionLoss: kind is "${kind}"; expected "bce" or "mse"`);
  }
  return sumPerImage(tensor(x.shape, perPixel)); // (B)
}

/** KL(q(z|x) || N(0, I)) in nats per image (Kingma & Welling 2013, appendix B): mu and logvar (B, D) -> (B). */
function klDivergence(mu, logvar) {
  checkAlike(2, { mu, logvar });
  // -½ Σ (1 + log σ² - μ² - σ²) = ½ Σ (μ² + (σ² - 1) - log σ²): expm1 keeps the digits of σ² - 1 where σ² is near 1
  const perLatent = mu.data.map((m, k) => 0.5 * (m ** 2 + Math.expm1(logvar.data[k]) - logvar.data[k]));
  return sumPerImage(tensor(mu.shape, perLatent)); // (B)
}

/** The evidence lower bound with one sample of z per image, in nats: larger is better (Kingma & Welling 2013, eq. 10).

    x (B, 1, 28, 28), eps (B, D) -> (B). A lower bound on log p(x) if the reconstruction loss is a negative
    log-likelihood ("bce" on binary images). Otherwise it is a training objective, not a bound. */
function elbo(params, x, eps, kind = "bce") {
  const [mu, logvar] = encode(params, x);
  const logits = decode(params, reparameterize(mu, logvar, eps));
  // L(θ, φ; x) = E_q[log p(x|z)] - KL(q(z|x) || p(z))
  const reconstruction = reconstructionLoss(logits, x, kind), kl = klDivergence(mu, logvar);
  return tensor(kl.shape, kl.data.map((nats, b) => -(reconstruction.data[b] + nats)));
}

function layer(params, name) {
  return [params[`${name}.weight`], params[`${name}.bias`]];
}

function sumPerImage(x) {
  const sums = tensor([x.shape[0]]), size = x.data.length / x.shape[0];
  x.data.forEach((v, k) => { sums.data[Math.floor(k / size)] += v; });
  return sums;
}

// The checks: an Error of one line says what was found and what was expected.

function shown(shape) {
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
}

function pair(name, value, least) {
  const both = Array.isArray(value) ? value : [value, value];
  if (both.length !== 2 || both.some((v) => !Number.isInteger(v) || v < least)) {
    throw new Error(`${name} is ${JSON.stringify(value)}: expected an integer, or a pair of integers, of at least ${least}`);
  }
  return both;
}

function checkFit(name, x, rank, xIs, weight, weightIs, inputs, bias, outputs) {
  if (x.shape.length !== rank || weight.shape.length !== rank) {
    throw new Error(`${name}: expected x ${xIs} and weight ${weightIs}, got ${shown(x.shape)} and ${shown(weight.shape)}`);
  }
  if (x.shape[1] !== inputs) {
    throw new Error(`${name}: x ${shown(x.shape)} has ${x.shape[1]} inputs, weight ${shown(weight.shape)} takes ${inputs}`);
  }
  if (bias && shown(bias.shape) !== shown([outputs])) {
    throw new Error(`${name}: expected bias (${outputs},), got ${shown(bias.shape)}`);
  }
}

function checkImages(x) {
  if (x.shape[0] === 0 || shown(x.shape) !== shown([x.shape[0], 1, 28, 28])) {
    throw new Error(`images are ${shown(x.shape)}; expected (B, 1, 28, 28) with at least one image`);
  }
  if (!x.data.every((v) => v >= 0 && v <= 1)) throw new Error("images hold values outside [0, 1]; expected [0, 1]");
}

function checkLatents(z, latentDim) {
  if (z.shape.length !== 2 || z.shape[0] === 0 || z.shape[1] !== latentDim) {
    throw new Error(`z is ${shown(z.shape)}: expected (B, ${latentDim}), as these weights have D = ${latentDim}`);
  }
}

function checkAlike(rank, tensors) {
  const shapes = Object.values(tensors).map((t) => shown(t.shape));
  if (new Set(shapes).size > 1 || Object.values(tensors)[0].shape.length !== rank) {
    const found = Object.keys(tensors).map((name, k) => `${name} ${shapes[k]}`).join(", ");
    throw new Error(`${found}: expected tensors of equal ${rank}-D shape`);
  }
}

if (typeof module !== "undefined") {
  // Node
  module.exports = {
    tensor, reshape, linear, conv2d, convTranspose2d, relu, sigmoid,
    encode, reparameterize, decode, reconstructionLoss, klDivergence, elbo,
  };
}
