"use strict";
/* The page starts here. vae.js holds the model, page_math.js the rest of the mathematics, strings.js the texts. The four
   parts of the page are plane.js, digit.js, network.js and latents.js. All scripts share one scope. */

// Labels, for a cvae

function buildLabels() {
  byId("label-box").hidden = byId("digit-label-box").hidden = !isCvae;
  for (const id of ["label", "digit-label"]) {
    byId(id).append(...Array.from({ length: CLASSES }, (_, label) => new Option(String(label), String(label))));
  }
  byId("label").addEventListener("change", (event) => {
    setLabel(Number(event.target.value));
    setZ(state.z);
  });
  byId("digit-label").addEventListener("change", (event) => setDigit({ ...state.digit, label: Number(event.target.value) }));
}

/** Decode with this label in parts 1 and 4. */
function setLabel(label) {
  state.label = label;
  byId("label").value = String(label);
  background("walk", drawWalks());
  background("line", drawLine());
}

/** A test digit with another label than that of digit 0; if there is none, digit 1. */
function otherDigit() {
  const other = facts.labels.findIndex((label) => label !== facts.labels[0]);
  return other > 0 ? other : Math.min(1, COUNT - 1);
}

function drawEverything() {
  readColours();
  backdropIsOld = true;
  drawSheet.images = null;
  schedule(drawPlane, drawPoint, drawDigit, drawQ, drawSheet, drawPad, drawTrade, paintNetwork);
  background("samples", drawSamples());
  background("walk", drawWalks());
  background("traversal", drawTraversal());
  background("line", drawLine());
  background("zoom", decodeZoom());
}

function start() {
  for (const needed of ["PointerEvent", "HTMLDialogElement", "HTMLCanvasElement"]) {
    if (!window[needed]) throw new Error(`${needed} is missing`);
  }
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
  if (isCvae) setLabel(facts.labels[0]);
  state.other = otherDigit();
  state.z = Float64Array.from(state.q.mu.data);
  if (COUNT > 1) state.line = { from: state.z, to: walkEnds()[1] };
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
  window.explorer = { state, facts, tasks }; // for the tests, and for readers who use the browser's console
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
}

try {
  start();
} catch (error) {
  const line = byId("start") || document.body.appendChild(document.createElement("p"));
  line.textContent = say("broken", { error: error.message });
  throw error;
}
