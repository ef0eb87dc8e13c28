"use strict";
/* Part 3: through the network. */

const LAYERS = layersOf(D);
const SHAPES = { x: [1, 28, 28], z: [D, 1, 1], x_hat: [1, 28, 28] };
for (const [name, { shape }] of Object.entries(LAYERS)) SHAPES[name] = shape;
// name, caption, group, columns, CSS pixels for each number (bars: 0), palette, whether a ReLU follows
const MAPS = [
  ["x", "mapX", "encoder", 1, 5, "ink", false],
  ["encoder.conv1", "mapConv1", "encoder", 8, 2, "ink", true],
  ["encoder.conv2", "mapConv2", "encoder", 8, 4, "ink", true],
  ["encoder.fc", "mapFc", "encoder", 16, 10, "ink", true],
  ["encoder.mu", "mapMu", "encoder", 0, 0, "bars", false],
  ["encoder.logvar", "mapLogvar", "encoder", 0, 0, "bars", false],
  ["z", "mapZ", "decoder", 0, 0, "bars", false],
  ["decoder.fc1", "mapFc1", "decoder", 16, 10, "ink", true],
  ["decoder.fc2", "mapFc2", "decoder", 8, 4, "ink", true],
  ["decoder.conv_t1", "mapConvT1", "decoder", 8, 2, "ink", true],
  ["decoder.conv_t2", "mapConvT2", "decoder", 1, 4, "signed", false],
  ["x_hat", "mapXHat", "decoder", 1, 4, "ink", false],
].map(([name, caption, group, columns, scale, palette, followedByRelu]) => {
  const [C, H] = SHAPES[name];
  return { name, caption, group, columns, scale, palette, followedByRelu, gap: C > 1 && H > 1 ? 1 : 0 };
});
const BAR_WIDTH = 96;
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
    figure.style.width = `${map.width}px`; // a long caption wraps
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
    choose(unitAt(map, event.offsetX, event.offsetY));
  });
  map.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    if (!state.unit || state.unit.name !== map.name) return choose(0);
    const [left, top, width, height] = boxOf(map, state.unit.index);
    const go = (times) => [left + width / 2 + step[0] * times * width, top + height / 2 + step[1] * times * height];
    for (const times of [1, 2]) { // a second step crosses the gap between two channels
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
  trace.z = reparameterize(mu, widened(logvar, state.width), rowOf(state.eps, state.chosen));
  trace.x_hat = sigmoid(decode(parameters, trace.z, trace));
  if (!state.unit) state.unit = { name: "encoder.conv2", index: strongest(trace["encoder.conv2"].data) };
  schedule(paintNetwork);
}

const strongest = (values) => values.indexOf(Math.max(...values));

/** The values that the next layer reads: after the ReLU, if one follows. */
const seen = (map) => (map.followedByRelu ? relu(trace[map.name]).data : trace[map.name].data);

function paintNetwork() {
  if (!trace.x_hat) return;
  const unit = describeUnit();
  for (const map of MAPS) {
    const values = seen(map), most = nearlyLargest(values);
    const [context, width, height] = sharp(map.canvas);
    if (map.palette === "bars") paintBars(context, values, Math.max(...values.map(Math.abs), 1e-12));
    else {
      context.imageSmoothingEnabled = false;
      const palette = map.palette === "ink" ? colours.inkPalette : signedPalette();
      const top = map.name === "x" || map.name === "x_hat" ? 1 : most;
      context.drawImage(tiled(values, SHAPES[map.name], map.columns, map.gap, palette, top), 0, 0, width, height);
    }
    frameUnits(context, map, unit);
  }
}

/** The 99th percentile of the absolute values. It gets full ink, so that one outlier does not make all others pale. */
function nearlyLargest(values) {
  const sizes = values.map(Math.abs).sort();
  return Math.max(sizes[Math.floor(0.99 * sizes.length)], 1e-12);
}

function paintBars(context, values, most) {
  if (barHeight < 13) context.font = context.font.replace("12px", "10px");
  values.forEach((v, k) => {
    const length = (Math.abs(v) / most) * (BAR_WIDTH / 2 - 2);
    context.fillStyle = v < 0 ? colours.negative : colours.positive;
    context.fillRect(v < 0 ? BAR_WIDTH / 2 - length : BAR_WIDTH / 2, k * barHeight + 1, length, Math.max(1, barHeight - 2));
    if (barHeight < 11) return; // no room for a number
    write(context, fixed(v, 2), v < 0 ? BAR_WIDTH - 6 : BAR_WIDTH / 2 - 6, (k + 0.5) * barHeight + 4, colours.soft, "right");
  });
  context.fillStyle = colours.soft;
  context.fillRect(BAR_WIDTH / 2, 0, 1, values.length * barHeight);
}

/** Frame the chosen unit, its inputs in the layer before (not those of a linear layer: it reads all), and the pixels that the unit
    depends on or can change. */
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
    for (const boxes of byChannel.values()) frame(around(boxes), colours.accent, 1);
  }
  const field = map.name === "x" ? unit.depends : map.name === "x_hat" ? unit.reaches : null;
  if (field) frame(around([0, 1].map((end) => boxOf(map, field.rows[end] * 28 + field.columns[end]))), colours.accent, 2);
  if (map.name === state.unit.name) frame(boxOf(map, state.unit.index), colours.accent, 2);
}

/** Fill the inspector. Returns the inputs of the chosen unit, and the pixels that it depends on or can change. */
function describeUnit() {
  const { name, index } = state.unit, [C, H, W] = SHAPES[name];
  const [c, i, j] = [Math.floor(index / (H * W)), Math.floor(index / W) % H, index % W];
  const position = H === 1 ? `[${index}]` : C === 1 ? `[${i}, ${j}]` : `[${c}, ${i}, ${j}]`;
  byId("unit-title").textContent = name + position;
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
  const parameters = paramsFor(state.digit.label), weights = parameters[`${name}.weight`];
  const bias = parameters[`${name}.bias`].data[layer.kind === "linear" ? index : c];
  Object.assign(unit, { reads: layer.reads, kind: layer.kind, patch: patchOf(layer, SHAPES[layer.reads], weights, index) });
  const field = unit.depends || unit.reaches;
  const size = ([first, last]) => last - first + 1;
  const values = { count: unit.patch.length, from: layer.reads };
  if (field) Object.assign(values, { rows: size(field.rows), columns: size(field.columns) });
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
    const mu = trace["encoder.mu"].data[index], eps = state.eps.data[state.chosen * D + index];
    return say("unitZ", { mu: fixed(mu, 3), sigma: fixed(sigma, 3), eps: fixed(eps, 3) });
  }
  if (name === "x_hat") return say("unitXHat", { logit: fixed(trace["decoder.conv_t2"].data[index], 3) });
  return say("unitPixel", { value: fixed(value, 3) });
}

/** Draw the inputs, weights and products of a unit: one small map for each channel that the unit reads. */
function paintPatches(layer, patch, inputs) {
  const [C, H, W] = SHAPES[layer.reads];
  const tall = Math.max(...patch.map((p) => p.row)) + 1, wide = Math.max(...patch.map((p) => p.column)) + 1;
  const columns = H === 1 ? Math.min(16, C) : C === 1 ? 1 : 8;
  const shown = {
    "patch-inputs": (p) => inputs[p.input],
    "patch-weights": (p) => p.weight,
    "patch-products": (p) => p.weight * inputs[p.input],
  };
  for (const [id, number] of Object.entries(shown)) {
    const values = new Float64Array(C * tall * wide);
    for (const p of patch) values[(p.channel * tall + p.row) * wide + p.column] = number(p);
    const most = Math.max(values.reduce((a, v) => Math.max(a, Math.abs(v)), 0), 1e-12);
    tiled(values, [C, tall, wide], columns, H === 1 ? 0 : 1, signedPalette(), most, byId(id));
  }
}
