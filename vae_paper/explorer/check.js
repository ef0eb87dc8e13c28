"use strict";
/* The check: compare every tensor that this browser computes with the golden values of level 1. */

const ALLOWED = 1e-10;

function* checkNumbers() {
  const count = golden.eps.shape[0], apart = {};
  for (let b = 0; b < count; b++) {
    byId("check-verdict").textContent = say("checkBusy", { done: b, count });
    yield;
    for (const [name, got] of Object.entries(tensorsOf(b))) {
      if (b >= golden[name].shape[0]) continue; // this tensor is kept for the first digits only
      const expected = rowOf(golden[name], b).data;
      apart[name] = Math.max(apart[name] ?? 0, ...got.data.map((v, k) => Math.abs(v - expected[k]))); // NaN stays NaN
    }
  }
  showCheck(apart);
}

/** Every tensor of digit b, with the same names as the golden values. */
function tensorsOf(b) {
  const parameters = paramsFor(facts.labels[b]), x = rowOf(digits, b), eps = rowOf(golden.eps, b), found = {};
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
