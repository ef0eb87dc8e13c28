"use strict";
/* Part 4: latents one by one. */

function buildSliders() {
  const box = byId("latent-sliders");
  for (let k = 0; k < D; k++) {
    const line = document.createElement("label");
    const [name, slider, value, bar] = ["b", "input", "output", "span"].map((tag) => document.createElement(tag));
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
    bar.className = "bar";
    line.append(name, slider, value, bar);
    box.append(line);
  }
  for (const name of ["focusout", "change"]) box.addEventListener(name, () => schedule(rankSliders));
  state.latent = byKl(meanKl())[0];
  rankSliders();
  schedule(drawSliders);
  background("traversal", drawTraversal());
}

/** Show the mean KL of each latent, and order the sliders by it. The order stays while the reader uses a slider. */
function rankSliders() {
  const kl = meanKl(), box = byId("latent-sliders"), lineOf = {};
  for (const line of box.children) {
    const k = line.querySelector("input").dataset.latent, bar = line.querySelector(".bar");
    bar.style.setProperty("--share", kl[k] / Math.max(...kl));
    bar.textContent = say("latentKl", { kl: fixed(kl[k], 2) });
    bar.dataset.value = kl[k];
    lineOf[k] = line;
  }
  byId("latents-kl").textContent = say("latentsKl", {
    count: klCount(), D, total: fixed(kl.reduce((sum, v) => sum + v, 0), 2), active: kl.filter((v) => v > 0.01).length,
  });
  if (!box.matches(":focus-within, :active")) box.append(...byKl(kl).map((k) => lineOf[k]));
}

function drawSliders() {
  for (const line of byId("latent-sliders").children) {
    const slider = line.querySelector("input"), value = state.z[slider.dataset.latent];
    if (Math.abs(value) > slider.max) [slider.min, slider.max] = [-FARTHEST, FARTHEST];
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
  paintStrip(byId("traversal"), images, { captions: values.map((v) => String(v).replace("-", "−")) });
}

const WAYS = { straight: lerp, spherical: slerp };

function walkEnds() {
  const [mu] = encode(paramsFor(facts.labels[state.other]), rowOf(digits, state.other));
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
    const marked = name === chosenWay() ? Math.round(8 * byId("walk-t").value) : -1;
    paintStrip(byId(`walk-${name}`), images, { captions, marked });
  }
}

const chosenWay = () => document.querySelector("input[name=way]:checked").value;

function listenToLatents() {
  byId("latents-digit").addEventListener("click", () => setZ(state.q.mu.data));
  byId("latents-zero").addEventListener("click", () => setZ(new Float64Array(D)));
  byId("another").addEventListener("click", () => {
    do state.other = (state.other + 1) % COUNT; while (COUNT > 1 && state.other === state.digit.index);
    walk();
  });
  byId("walk-t").addEventListener("input", walk);
  putWalkT();
  for (const radio of document.querySelectorAll("input[name=way]")) radio.addEventListener("change", walk);
}

/** Show the t of the slider, and return it. */
function putWalkT() {
  const t = Number(byId("walk-t").value);
  put("walk-t-value", t, fixed(t, 2));
  return t;
}

function walk() {
  setZ(WAYS[chosenWay()](...walkEnds(), putWalkT()));
  background("walk", drawWalks());
}
