"use strict";
/* Drawing once per frame, long computations in small steps, and images on canvases. */

// Work: a drawing function runs at most once per frame; long computations run in small steps, in the order of TASKS

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

const tasks = new Map(); // name -> generator
const TASKS = ["check", "line", "traversal", "samples", "walk", "network", "trade", "zoom", "codes", "map", "refine"];

/** Run a generator step by step; a new one of the same name replaces the old one. */
function background(name, generator) {
  if (tasks.size === 0) setTimeout(workOn, 0);
  tasks.set(name, generator);
}

function workOn() {
  const end = performance.now() + (dragging ? 3 : 12); // milliseconds; fewer during a drag, so that it stays smooth
  while (tasks.size > 0 && performance.now() < end) {
    const name = TASKS.find((task) => tasks.has(task));
    if (tasks.get(name).next().done) tasks.delete(name);
  }
  if (tasks.size > 0) setTimeout(workOn, dragging ? 16 : 0);
}

// Dragging

/** Call `start`, `move` and `end` while one pointer drags on a canvas: a finger, a pen, or a mouse with its left button. */
function listenToDrag(canvas, { start, move, end = () => {} }) {
  let pointer = null; // the id of the pointer that drags; all others are ignored
  const stop = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    dragging = false;
    end();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || ![null, event.pointerId].includes(pointer)) return;
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    dragging = true;
    start(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    if (event.buttons & 1) move(event);
    else stop(event); // the button was released where the page did not see it
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, stop);
}

/** The place of a pointer on a canvas: [x, y] in [0, 1]. A place outside the canvas becomes the nearest one inside. */
function placeOn(canvas, event) {
  const box = canvas.getBoundingClientRect(), inside = (v) => Math.min(1, Math.max(0, v));
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
}

// Painting

/** Clear a canvas and give it the screen's resolution. Returns [context, width, height], in CSS pixels. */
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

/** Draw C maps of H x W numbers: `columns` in a row, `gap` pixels apart, one canvas pixel for each number. */
function tiled(data, [C, H, W], columns, gap, palette, scale = 1, canvas = document.createElement("canvas")) {
  const width = columns * (W + gap) - gap, height = Math.ceil(C / columns) * (H + gap) - gap;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let k = 0; k < C * H * W; k++) {
    const c = Math.floor(k / (H * W)), i = Math.floor(k / W) % H, j = k % W;
    const at = 4 * ((Math.floor(c / columns) * (H + gap) + i) * width + (c % columns) * (W + gap) + j);
    const [red, green, blue] = palette(data[k] / scale);
    image.data[at] = red;
    image.data[at + 1] = green;
    image.data[at + 2] = blue;
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** One image of 784 numbers in [0, 1] on its own canvas. */
function paintImage(canvas, pixels) {
  tiled(pixels, [1, 28, 28], 1, 0, colours.inkPalette, 1, canvas);
}

const imageOf = (batch, k = 0) => batch.data.subarray(784 * k, 784 * (k + 1));

/** A row of images with captions. `bars` (one fewer than images) are drawn between neighbours; image `marked` has a thick frame. */
function paintStrip(canvas, images, { captions = [], bars = [], marked = -1 }) {
  const count = images.length, gap = 4, width = canvas.clientWidth || 300;
  const size = Math.min(64, (width - gap * (count - 1)) / count);
  const room = bars.length ? 40 : captions.length ? 18 : 2;
  const [context] = sharp(canvas, size + room);
  context.imageSmoothingEnabled = false;
  const palette = colours.inkPalette;
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
