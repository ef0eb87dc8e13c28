"use strict";
/* Part 1: the latent plane. */

const MAP = 20; // decoded tiles along each side of the plane

const decodedMap = { canvas: document.createElement("canvas"), key: null, label: null, waiting: 0 };
[decodedMap.canvas.width, decodedMap.canvas.height] = [MAP * 28, MAP * 28];
const backdrop = document.createElement("canvas"); // map, circles and codes: drawn again only when one of them changes
let backdropIsOld = true;

const onPlane = (z) => [z[AXES[0]], AXES.length > 1 ? z[AXES[1]] : 0];

/** The z of a point (a, b) on the plane. The other latents keep their values. */
function fromPlane(a, b) {
  const z = Float64Array.from(state.z);
  z[AXES[0]] = a;
  if (AXES.length > 1) z[AXES[1]] = b;
  return z;
}

function setZ(z) {
  state.z = Float64Array.from(z, (v) => Math.min(FARTHEST, Math.max(-FARTHEST, v)));
  schedule(drawPoint, drawPlane, drawSliders);
  background("traversal", drawTraversal());
  if (mapKey() !== decodedMap.key) {
    clearTimeout(decodedMap.waiting); // wait until the other latents stop changing
    decodedMap.waiting = setTimeout(() => background("map", decodeMap()), 300);
  }
}

/** A key of all that the decoded map depends on: the label, and the latents that are not axes of the plane. */
const mapKey = () => `${state.label} ${state.z.filter((_, k) => !AXES.includes(k)).join(" ")}`;

/** Decode the tiles of the map, from the middle outwards. */
function* decodeMap() {
  [decodedMap.key, decodedMap.label] = [mapKey(), state.label];
  const palette = colours.inkPalette;
  const cells = Array.from({ length: MAP * MAP }, (_, k) => [Math.floor(k / MAP), k % MAP]);
  const fromMiddle = ([i, j]) => Math.hypot(i - (MAP - 1) / 2, j - (MAP - 1) / 2);
  cells.sort((p, q) => fromMiddle(p) - fromMiddle(q));
  const context = decodedMap.canvas.getContext("2d");
  context.clearRect(0, 0, decodedMap.canvas.width, decodedMap.canvas.height);
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

/** Encode the test digits. mu gives the point on the plane; mu and logvar give the KL. */
function* encodeDigits() {
  state.codes = [];
  for (let k = 0; k < COUNT; k++) {
    const [mu, logvar] = encode(paramsFor(facts.labels[k]), rowOf(digits, k));
    state.codes.push({ mu, logvar });
    if (k % 10 === 9 || k === COUNT - 1) {
      backdropIsOld = true;
      schedule(drawPlane, drawPoint);
    }
    yield;
  }
  schedule(rankSliders, drawQ);
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
    context.drawImage(decodedMap.canvas, 0, 0, size, size);
    context.globalAlpha = 1;
  }
  if (byId("show-codes").checked) {
    state.codes.forEach((code, k) => {
      const [a, b] = onPlane(code.mu.data), label = facts.labels[k];
      const [sign, colour] = label === null ? ["•", colours.ink] : [String(label), colours.labels[label]];
      write(context, sign, px(a), px(-b) + 4, colour, "center", colours["image-paper"]);
    });
  }
  if (byId("show-prior").checked && D > 1) drawPrior(context, px, size);
  const halo = colours["image-paper"];
  write(context, say("axisAcross", { name: latentName(AXES[0]) }), size - 8, size - 8, colours.ink, "right", halo);
  if (D > 1) write(context, say("axisUp", { name: latentName(AXES[1]) }), 8, 16, colours.ink, "left", halo);
  backdropIsOld = false;
}

/** The probability that a sample of the 2-D standard normal is nearer to 0 than r. */
const within = (r) => 1 - Math.exp(-(r ** 2) / 2);

/** Draw the prior as circles of radius 1, 2, 3. */
function drawPrior(context, px, size) {
  for (const radius of [1, 2, 3]) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.2;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.arc(px(0), px(0), (radius / (2 * REACH)) * size, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
    const words = say("priorCircle", { percent: percent(within(radius)) });
    write(context, words, px(0), px(-radius) - 3, colours.ink, "center", colours["image-paper"]);
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
  if (dragging) drawBeside(context, px(a), px(-b), size);
}

/** While the point is dragged, draw its image beside it, inside the plane. */
function drawBeside(context, x, y, size) {
  const side = 84, left = x < size - side - 24 ? x + 20 : x - side - 20, top = y > side + 24 ? y - side - 20 : y + 20;
  context.imageSmoothingEnabled = false;
  context.drawImage(byId("plane-image"), left, top, side, side);
  context.strokeStyle = colours.accent;
  context.lineWidth = 2;
  context.strokeRect(left, top, side, side);
}

/** Show the point's image in parts 1 and 4, and its numbers in part 1. */
function drawPoint() {
  const started = performance.now();
  const xHat = xHatOf(row(state.z), state.label).data;
  put("speed", performance.now() - started, say("milliseconds", { ms: fixed(performance.now() - started, 1) }));
  paintImage(byId("plane-image"), xHat);
  paintImage(byId("latents-image"), xHat);
  put("plane-z", state.z, AXES.map((k) => `${latentName(k)} = ${fixed(state.z[k], 2)}`).join(", "));
  const r = norm(state.z);
  put("plane-distance", r, D === 2 ? say("within", { r: fixed(r, 2), percent: percent(within(r)) }) : fixed(r, 2));
  drawNearest();
}

function drawNearest() {
  if (state.codes.length < COUNT) {
    byId("nearest-text").textContent = say("coding", { done: state.codes.length, count: COUNT });
    return;
  }
  const squared = state.codes.map((code) => code.mu.data.reduce((sum, m, k) => sum + (m - state.z[k]) ** 2, 0));
  const nearest = squared.indexOf(Math.min(...squared));
  paintImage(byId("nearest"), imageOf(digits, nearest));
  const distance = fixed(Math.sqrt(squared[nearest]), 2), label = facts.labels[nearest];
  byId("nearest-text").textContent = label === null ? say("nearestAt", { distance }) : say("nearestIs", { label, distance });
}

function* drawLine() {
  if (!state.line) {
    byId("line-strip").hidden = byId("line-clear").hidden = true;
    byId("line-text").textContent = "";
    return;
  }
  const images = [];
  for (let k = 0; k <= 10; k++) {
    images.push(xHatOf(row(lerp(state.line.from, state.line.to, k / 10)), state.label).data);
    yield;
  }
  const jumps = images.slice(1).map((pixels, k) => norm(pixels.map((v, n) => v - images[k][n]))); // ||x̂(k+1) - x̂(k)||
  byId("line-strip").hidden = byId("line-clear").hidden = false;
  byId("line-strip").dataset.value = jumps.join(" ");
  paintStrip(byId("line-strip"), images, { bars: jumps });
  byId("line-text").textContent = say("lineSteps", { least: fixed(Math.min(...jumps), 2), most: fixed(Math.max(...jumps), 2) });
}

function setLine(line) {
  state.line = line;
  schedule(drawPlane);
  background("line", drawLine());
}

/** Move the point from the line's start to its end, in two seconds. The walk ends if anything else moves the point. */
function walkLine() {
  const line = state.line, started = performance.now();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  let mine = state.z; // the point as the walk has set it
  const step = (now) => {
    if (state.line !== line || state.z !== mine) return;
    const t = Math.min(1, Math.max(0, (now - started) / 2000));
    setZ(lerp(line.from, line.to, t));
    mine = state.z;
    if (t < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function listenToPlane() {
  const canvas = byId("plane-canvas");
  let from = null; // the start of the line that is being drawn
  const place = (event) => {
    const [x, y] = placeOn(canvas, event);
    return fromPlane((2 * x - 1) * REACH, (1 - 2 * y) * REACH);
  };
  const move = (event) => {
    const z = place(event);
    if (from) setLine({ from, to: z });
    setZ(z);
  };
  const start = (event) => {
    from = event.shiftKey || byId("line-mode").getAttribute("aria-pressed") === "true" ? place(event) : null;
    move(event);
  };
  const end = () => {
    if (from) walkLine();
    schedule(drawPlane);
  };
  listenToDrag(canvas, { start, move, end });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Escape") setLine(null);
    if (!step) return;
    event.preventDefault();
    const start = state.z, [a, b] = onPlane(start);
    const inReach = (v) => Math.min(REACH, Math.max(-REACH, v));
    setZ(fromPlane(inReach(a + 0.1 * step[0]), inReach(b + 0.1 * step[1])));
    if (!event.shiftKey) return;
    const goesOn = state.line && state.line.to.every((v, k) => v === start[k]); // the line ends at the point: make it longer
    setLine({ from: goesOn ? state.line.from : start, to: state.z });
  });
  byId("line-mode").addEventListener("click", (event) => {
    event.target.setAttribute("aria-pressed", String(event.target.getAttribute("aria-pressed") !== "true"));
  });
  byId("line-clear").addEventListener("click", () => setLine(null));
  for (const id of ["show-map", "show-codes", "show-prior"]) byId(id).addEventListener("change", () => {
    backdropIsOld = true;
    schedule(drawPlane, drawQ);
  });
  for (const id of ["plane-prior", "latents-prior"]) byId(id).addEventListener("click", () => setZ(noise(D).data));
}

function buildLegend() {
  byId("legend").hidden = facts.labels.every((label) => label === null);
  for (let label = 0; label < 10; label++) {
    const item = document.createElement("span");
    item.textContent = String(label);
    item.style.color = `var(--label-${label})`;
    byId("legend").append(item);
  }
}
