"use strict";
/* Part 2: one digit, and the trade-off in the ELBO between reconstruction and KL. */

function chooseDigit(index) {
  state.strokes = [];
  setDigit({ x: rowOf(digits, index), index, label: facts.labels[index] });
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
  background("zoom", decodeZoom());
  background("walk", drawWalks());
}

function newNoise() {
  const half = noise(SAMPLES / 2, D);
  state.eps = tensor([SAMPLES, D]);
  state.eps.data.set(half.data);
  state.eps.data.set(half.data.map((v) => -v), half.data.length); // antithetic samples: -eps is as likely as eps
}

/** {z, logits, recon, kl, weight} of sample k of q, with the σ of q times `width`. */
function termsOf(k, width) {
  const { mu } = state.q, logvar = widened(state.q.logvar, width), eps = rowOf(state.eps, k);
  const z = reparameterize(mu, logvar, eps);
  const logits = decode(paramsFor(state.digit.label), z);
  const recon = reconstructionLoss(logits, state.digit.x, facts.kind);
  return { z, logits, recon, kl: klDivergence(mu, logvar), weight: logWeight(recon, mu, logvar, eps) };
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Draw the chosen sample: its images, its numbers, and the loss as a bar. */
function drawDigit() {
  const terms = termsOf(state.chosen, state.width);
  const recon = terms.recon.data[0], kl = terms.kl.data[0];
  paintImage(byId("x"), state.digit.x.data);
  paintImage(byId("x-hat-mu"), xHatOf(state.q.mu, state.digit.label).data);
  paintImage(byId("x-hat"), sigmoid(terms.logits).data);
  put("recon", recon, fixed(recon, 2));
  put("kl", kl, fixed(kl, 2));
  put("elbo", -(recon + kl), fixed(-(recon + kl), 2));
  put("weight", terms.weight.data[0], fixed(terms.weight.data[0], 2));
  putSlider("width", say("times", { value: fixed(state.width, 2) }));
  putSlider("beta", fixed(state.beta, 2));
  const start = termsOf(state.chosen, 1);
  drawLoss(recon, state.beta * kl, start.recon.data[0], start.kl.data[0]);
}

/** Show the value of the noise slider or the β slider. A screen reader says it too; otherwise it would say log2 of the value. */
function putSlider(id, shownAs) {
  put(`${id}-value`, state[id], shownAs);
  byId(id).setAttribute("aria-valuetext", shownAs);
}

function drawLoss(recon, kl, reconAtStart, klAtStart) {
  put("loss-text", recon + kl, say("lossText", {
    recon: fixed(recon, 1), kl: fixed(kl, 1), loss: fixed(recon + kl, 1),
  }));
  byId("loss-change").textContent = say("lossChange", {
    recon: signed(recon - reconAtStart, 1), kl: signed(kl - klAtStart, 1),
  });
  const [context, width, height] = sharp(byId("loss-bar"));
  const scale = width / (1.6 * (reconAtStart + klAtStart));
  context.fillStyle = colours.recon;
  context.fillRect(0, 4, recon * scale, height - 8);
  context.fillStyle = colours.kl;
  context.fillRect(recon * scale + 1, 4, kl * scale, height - 8);
  context.fillStyle = colours.ink;
  for (const mark of [reconAtStart, reconAtStart + klAtStart]) context.fillRect(mark * scale, 0, 1.5, height);
}

/** Draw the eight samples: images, log weights, and the mean of each number. */
function* drawSamples() {
  const sum = { recon: [], kl: [], weight: [] }, zs = [];
  for (let k = 0; k < SAMPLES; k++) {
    const terms = termsOf(k, state.width);
    zs.push(terms.z.data);
    for (const name of Object.keys(sum)) sum[name].push(terms[name].data[0]);
    const button = byId("samples").children[k];
    paintImage(button.querySelector("canvas"), sigmoid(terms.logits).data);
    button.querySelector("span").textContent = fixed(terms.weight.data[0], 1);
    button.dataset.value = String(terms.weight.data[0]);
    yield;
  }
  state.zs = zs;
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

/** Draw q on the whole plane, and on an enlarged plane around mu. */
function drawQ() {
  const sigma = onPlane(widened(state.q.logvar, state.width).data.map((v) => Math.exp(v / 2)));
  if (AXES.length === 1) sigma[1] = 0;
  const near = zoomReach();
  byId("q-zoom-caption").textContent = say("qZoom", { factor: fixed(REACH / near, REACH / near < 10 ? 1 : 0) });
  const sameLabel = !isCvae || decodedMap.label === state.digit.label;
  drawQOn("q-plane", [0, 0], REACH, sigma, sameLabel ? decodedMap.canvas : null);
  drawQOn("q-zoom", onPlane(state.q.mu.data), near, sigma, zoom.canvas);
}

/** Half the side of the enlarged plane: 5 σ of q at width 1. It doubles when the width passes 2, 4 or 8. In between it stays the
    same, so that q is drawn larger if the width grows. */
function zoomReach() {
  const most = Math.max(...AXES.map((k) => Math.exp(state.q.logvar.data[k] / 2)));
  return 5 * most * 2 ** Math.max(0, Math.ceil(Math.log2(state.width / 2)));
}

function drawQOn(id, [a, b], reach, sigma, decoded) {
  const [context, size] = sharp(byId(id));
  const px = (v) => ((v - a + reach) / (2 * reach)) * size, py = (v) => ((b - v + reach) / (2 * reach)) * size;
  context.fillStyle = colours["image-paper"];
  context.fillRect(0, 0, size, size);
  context.globalAlpha = 0.4;
  if (decoded) context.drawImage(decoded, 0, 0, size, size);
  context.globalAlpha = 1;
  context.strokeStyle = colours.ink;
  context.setLineDash([4, 4]);
  for (const radius of id === "q-plane" && D > 1 ? [1, 2, 3] : []) {
    context.beginPath();
    context.arc(px(0), py(0), (radius / (2 * reach)) * size, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
  const [x, y] = onPlane(state.q.mu.data), pixels = sigma.map((v) => (v * size) / (2 * reach));
  drawEllipse(context, px(x), py(y), pixels);
  state.zs.forEach((z, k) => {
    if (id === "q-plane" && k !== state.chosen) return; // on the whole plane the samples would cover each other
    const [u, v] = onPlane(z);
    context.beginPath();
    context.arc(px(u), py(v), k === state.chosen ? 5 : 3.5, 0, 2 * Math.PI);
    context.fillStyle = k === state.chosen ? colours.accent : colours.ink;
    context.fill();
  });
}

const ZOOM = 5; // decoded tiles along each side of the enlarged plane
const zoom = { canvas: document.createElement("canvas"), reach: 0 };
[zoom.canvas.width, zoom.canvas.height] = [ZOOM * 28, ZOOM * 28];

/** Decode the enlarged plane. A few tiles are enough, because the image hardly changes within q. */
function* decodeZoom() {
  const palette = colours.inkPalette, [a, b] = onPlane(state.q.mu.data), reach = zoomReach();
  zoom.reach = reach;
  for (let k = 0; k < ZOOM * ZOOM; k++) {
    const place = (n) => -reach + ((n + 0.5) * 2 * reach) / ZOOM, z = Float64Array.from(state.q.mu.data);
    z[AXES[0]] = a + place(k % ZOOM);
    if (AXES.length > 1) z[AXES[1]] = b - place(Math.floor(k / ZOOM));
    const image = tiled(xHatOf(row(z), state.digit.label).data, [1, 28, 28], 1, 0, palette);
    zoom.canvas.getContext("2d").clearRect(28 * (k % ZOOM), 28 * Math.floor(k / ZOOM), 28, 28);
    zoom.canvas.getContext("2d").drawImage(image, 28 * (k % ZOOM), 28 * Math.floor(k / ZOOM));
    yield;
  }
  schedule(drawQ);
}

function drawEllipse(context, x, y, radii) {
  for (const times of [1, 2]) {
    context.beginPath();
    context.ellipse(x, y, times * radii[0], times * radii[1], 0, 0, 2 * Math.PI);
    context.fillStyle = context.strokeStyle = colours.kl;
    context.globalAlpha = 0.18;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.stroke();
  }
}

const WIDTHS = Array.from({ length: 71 }, (_, k) => 2 ** ((k - 30) / 10)); // each width of the slider, from 1/8 to 16

/** Reconstruction loss (mean over the samples) and KL, for every fifth width of the slider, then for all.
    A new beta needs no new computation. */
function* computeTrade(every = 5) {
  const trade = { widths: WIDTHS.filter((_, k) => k % every === 0), recon: [], kl: [] };
  for (const width of trade.widths) {
    const recon = [];
    for (let k = 0; k < SAMPLES; k++) {
      recon.push(termsOf(k, width).recon.data[0]);
      yield;
    }
    trade.recon.push(mean(recon));
    trade.kl.push(klDivergence(state.q.mu, widened(state.q.logvar, width)).data[0]);
  }
  state.trade = trade;
  schedule(drawTrade);
  if (every > 1) background("refine", computeTrade(1));
}

function drawTrade() {
  const [context, width, height] = sharp(byId("trade"));
  byId("trade-text").textContent = say("tradeBusy");
  if (!state.trade) return;
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
  context.fillStyle = colours.accent;
  context.fillRect(px(state.width) - 1, frame.top, 2, frame.bottom - frame.top);
  if (widths.length === WIDTHS.length) markBest(context, frame, px, py, change.loss);
}

/** Mark the lowest of the sums at the slider's widths, and compare it with the sum at the chosen width. */
function markBest(context, frame, px, py, loss) {
  const least = Math.min(...loss), width = WIDTHS[loss.indexOf(least)];
  const excess = loss[WIDTHS.indexOf(state.width)] - least;
  const best = fixed(width, width < 1 ? 2 : 1);
  context.beginPath();
  context.arc(px(width), py(least), 6, 0, 2 * Math.PI);
  context.fillStyle = colours.ink;
  context.fill();
  const x = Math.min(px(width), frame.right - 40);
  write(context, say("tradeBest", { best }), x, py(least) + 20, colours.ink, "center", colours.paper);
  put("trade-text", [width, excess], say("tradeText", { best, now: fixed(state.width, 2), excess: fixed(excess, 1) }));
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

/** The order of the test digits on the sheet: by label. */
const sheetOrder = Array.from({ length: COUNT }, (_, k) => k).sort((a, b) => facts.labels[a] - facts.labels[b] || a - b);
const SHEET_COLUMNS = 10;

function drawSheet() {
  const canvas = byId("sheet");
  canvas.style.aspectRatio = `${SHEET_COLUMNS} / ${Math.ceil(COUNT / SHEET_COLUMNS)}`; // first: it may make a scrollbar appear
  const [context, width] = sharp(canvas), cell = width / SHEET_COLUMNS;
  context.imageSmoothingEnabled = true;
  if (!drawSheet.images) {
    const palette = colours.inkPalette;
    drawSheet.images = sheetOrder.map((index) => tiled(imageOf(digits, index), [1, 28, 28], 1, 0, palette));
  }
  const corner = (k) => [(k % SHEET_COLUMNS) * cell, Math.floor(k / SHEET_COLUMNS) * cell];
  drawSheet.images.forEach((image, k) => {
    const [left, top] = corner(k);
    context.drawImage(image, left + 1, top + 1, cell - 2, cell - 2);
  });
  const at = sheetOrder.indexOf(state.digit.index);
  if (at < 0) return;
  context.lineWidth = 3;
  context.strokeStyle = colours.accent;
  const [left, top] = corner(at), sheet = canvas.parentElement;
  context.strokeRect(left + 1.5, top + 1.5, cell - 3, cell - 3);
  sheet.scrollTop = Math.max(Math.min(sheet.scrollTop, top), top + cell - sheet.clientHeight); // scroll the digit into view
}

function drawPad() {
  const [context, size] = sharp(byId("pad"));
  if (state.strokes.length === 0) write(context, say("padHint"), size / 2, size / 2 + 4, colours.soft, "center");
  context.strokeStyle = colours["image-ink"];
  context.lineWidth = size * 0.075;
  context.lineCap = context.lineJoin = "round";
  for (const [first, ...others] of state.strokes) {
    context.beginPath();
    context.moveTo(first[0] * size, first[1] * size);
    context.lineTo(first[0] * size + 0.01, first[1] * size); // a stroke of one point becomes a dot
    others.forEach(([x, y]) => context.lineTo(x * size, y * size));
    context.stroke();
  }
}

function readDrawing() {
  setDigit({ x: tensor([1, 1, 28, 28], likeMnist(state.strokes)), index: null, label: Number(byId("digit-label").value || 0) });
  drawPad();
}

function listenToPad() {
  const pad = byId("pad");
  let stroke = [];
  const start = (event) => {
    stroke = [placeOn(pad, event)];
    state.strokes.push(stroke);
    schedule(readDrawing);
  };
  const move = (event) => {
    if (!state.strokes.includes(stroke)) return; // the drawing was cleared meanwhile
    stroke.push(placeOn(pad, event));
    schedule(readDrawing);
  };
  listenToDrag(pad, { start, move });
}

function listenToDigit() {
  listenToPad();
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
    state.width = WIDTHS[Math.round(10 * event.target.value) + 30];
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
    if (isCvae) setLabel(state.digit.label);
    setZ(termsOf(state.chosen, state.width).z.data);
    byId("plane").scrollIntoView();
  });
}

function changeLoss() {
  schedule(drawDigit, drawQ, drawTrade);
  if (zoomReach() !== zoom.reach) background("zoom", decodeZoom());
  background("samples", drawSamples());
  background("network", drawNetwork());
}
