"use strict";
/* Every text that a reader of the page sees, apart from the first line of page.html. {name} is filled in by page.js.
   Another language is another table with the same names. */

const strings = {
  en: {
    title: "One VAE in your browser",
    navPlane: "1 Latent plane",
    navDigit: "2 One digit",
    navNetwork: "3 Network",
    navLatents: "4 Latents",
    check: "Check the numbers",
    lead:
      "A variational autoencoder (VAE) encodes an image x as a small cloud q(z|x) of latents z, and decodes each z to an image x̂. " +
      "Its loss is the sum of two parts, in nats (1 nat = 1.44 bits): the reconstruction loss, small where x̂ resembles x, and the " +
      "KL, small where the cloud resembles the prior N(0, I). The ELBO (evidence lower bound) is minus this sum. " +
      "Part 2 shows how one part is traded against the other. Your browser computes every number here.",
    facts:
      "Weights: {name}, a {model} with D = {D} latents, trained on {trainedOn}. " +
      "Test digits: {digits}, of which the page holds the first {count}.",
    factsLikelihood: "Trained with the likelihood {likelihood}; the page measures the reconstruction loss as {kind}.",

    planeTitle: "1 The latent plane",
    planeLook:
      "Drag the point: the decoder turns its z into an image at once. Look for regions of one digit, " +
      "for gradual changes between them, and for places where the prior draws z but no test digit is coded.",
    planeSlice:
      "Drag the point: the decoder turns its z into an image at once. The plane shows the two latents with the largest KL, " +
      "{a} and {b}; the other latents keep their values from part 4. Look for gradual changes.",
    planeLine:
      "Drag the point to the left and to the right: the decoder turns its z into an image at once. This model has one latent, {a}; " +
      "the vertical position means nothing. Look for gradual changes.",
    axisAcross: "{name} →",
    axisUp: "↑ {name}",
    planeLabel: "Latent plane. Arrow keys move the point, Shift and arrow keys draw a line from it, Escape removes the line.",
    planeKeys: "Keyboard: arrow keys move the point; with Shift they draw a line; Escape removes it.",
    planeImageLabel: "The decoded image",
    decoded: "x̂ = sigmoid(logits), decoded from z",
    zIs: "z",
    distance: "distance from 0",
    within: "{r}; the prior draws {percent} of its z nearer to 0",
    nearest: "nearest test digit",
    nearestIs: "a {label}, at distance {distance}",
    coding: "encoding the test digits: {done} of {count}",
    speed: "decoded in",
    milliseconds: "{ms} ms",
    showMap: "decoded map",
    showCodes: "test digits at their μ",
    showPrior: "prior: circles",
    label: "Label:",
    lineMode: "Draw a line",
    lineClear: "Remove the line",
    fromPrior: "Sample the prior",
    lineHint: "Shift-drag (or press “Draw a line”, then drag) to walk along a straight line.",
    lineSteps: 
      "Eleven points of the line. The bars show the change ‖Δx̂‖ from one image to the next: {least} to {most}. " +
      "A high bar is a border between two digits.",
    lineStripLabel: "Images along the line, and the change from each to the next",
    priorCircle: "{percent} of the prior",

    digitTitle: "2 One digit: what the ELBO trades",
    digitLook:
      "Draw or pick a digit, then move the two sliders. Look for the trade: a wider q costs reconstruction and saves KL. " +
      "At β = 1 the best width is near 1, where training has put it. Raise β, and the best q is wider; lower β, and it shrinks " +
      "towards a point. At the right end of the noise slider q is nearly as wide as the prior: its samples are other digits.",
    drawTitle: "Draw a digit",
    padLabel: "Drawing pad: draw a digit with the mouse, a pen or a finger",
    padHint: "draw here",
    clear: "Clear",
    drawNote:
      "Your drawing is prepared as MNIST was: scaled into a 20×20 box, drawn with soft edges, " +
      "and centred by its centre of mass in 28×28 pixels.",
    pickTitle: "Or pick a test digit",
    sheetLabel: "Test digits, ordered by label. Arrow keys choose one.",
    xCaption: "x",
    xLabel: "The image as the network sees it",
    xHatMu: "x̂ from μ",
    xHatMuLabel: "The image decoded from the mean of q",
    xHat: "x̂ from this sample",
    xHatLabel: "The image decoded from the chosen sample of q",
    natsPerImage: "nats per image",
    thisSample: "this sample",
    meanOfSamples: "mean of 8",
    recon: "Reconstruction loss",
    reconBce: "−Σ x log x̂ + (1−x) log(1−x̂)",
    reconMse: "Σ (x − x̂)²",
    kl: "KL",
    klFormula: "KL(q(z|x) ‖ N(0, I))",
    elbo: "ELBO",
    elboFormula: "−(reconstruction + KL); on gray pixels no bound",
    weight: "Log weight",
    weightFormula: "log p(x, z) / q(z|x)",
    width: "Noise: σ of q, times",
    beta: "β: price of a nat of KL",
    times: "× {value}",
    lossText: "loss of this sample = reconstruction {recon} + β·KL {kl} = {loss}",
    lossChange: "Change from × 1, β = 1 (thin marks): reconstruction {recon}, β·KL {kl}.",
    lossBarLabel: "The loss as a bar: reconstruction loss, then β times KL. Thin lines mark the loss at width 1 and β = 1",
    tradeTitle: "The trade: what a wider or narrower q costs and saves, mean of 8",
    tradeLabel: "Change of reconstruction loss, of β times KL, and of their sum, against the width of q",
    tradeRecon: "reconstruction",
    tradeKl: "β·KL",
    tradeLoss: "sum",
    tradeAxis: "σ of q, times (at most the prior's σ = 1)",
    tradeNats: "change from × 1, in nats",
    tradeBusy: "computing the curves",
    tradeText:
      "The sum is least at × {best}. You are at × {now}, where it is {excess} nats higher. Only the price β changes here: " +
      "the network stays as it was trained. A network trained with this β would also move μ and the images.",
    tradeBest: "best × {best}",
    reset: "Reset",
    posteriorTitle: "q(z|x) on the plane",
    qPlane: "whole plane",
    qPlaneLabel: "Where q lies on the latent plane",
    qZoom: "around μ, {factor} × larger",
    qZoomLabel: "q enlarged: ellipses at 1 and 2 standard deviations, and the samples",
    samplesTitle: "Eight samples of q(z|x), decoded",
    samplesNote:
      "Under each: its log weight, in nats; the mean of many log weights is the ELBO. Choose one as “this sample”. " +
      "The lower four mirror the noise of the upper four, which makes the mean less noisy.",
    sampleLabel: "sample {k}",
    newNoise: "New noise",
    toPlane: "Send this z to the plane",

    networkTitle: "3 Through the network",
    networkLook:
      "The digit and the sample of part 2, in every layer. Click a unit (or focus a layer and use the arrow keys). " +
      "Look for how little a unit of conv1 sees, and how much of the image a unit of conv2 sees.",
    encoderTitle: "Encoder",
    decoderTitle: "Decoder, from this sample",
    mapX: "x",
    mapConv1: "conv1: 3×3, stride 2, ReLU",
    mapConv2: "conv2: 3×3, stride 2, ReLU",
    mapFc: "fc: linear, ReLU",
    mapMu: "μ",
    mapLogvar: "log σ²",
    mapZ: "z = μ + σ ε",
    mapFc1: "fc1: linear, ReLU",
    mapFc2: "fc2: linear, ReLU",
    mapConvT1: "conv_t1: 3×3, stride 2, ReLU",
    mapConvT2: "conv_t2: 3×3, stride 2: logits",
    mapXHat: "x̂ = sigmoid(logits)",
    mapLabel: "{caption}, shape {shape}. Arrow keys choose a unit.",
    unitTitle: "{name}{position}",
    unitPixel: "A pixel, with the value {value}.",
    unitReadsPixels:
      "It reads {count} numbers of {from}. Through the layers below it depends on {rows} × {columns} pixels of x (framed).",
    unitReaches: "It reads {count} numbers of {from}. It can change {rows} × {columns} pixels of x̂ (framed).",
    unitReads: "It reads all {count} numbers of {from}.",
    unitZ: "z = μ + σ ε: {mu} + {sigma} × {eps}. σ = exp(log σ² / 2), with the width of part 2.",
    unitXHat: "x̂ = 1 / (1 + exp(−{logit})).",
    unitSum: "bias {bias} + sum of products {sum} = {value}",
    unitRelu: "bias {bias} + sum of products {sum} = {value}, after ReLU {relu}",
    patchInputs: "inputs",
    patchWeights: "weights",
    patchProducts: "products",
    colours: "Ink is large. Where values have a sign, red is positive and teal is negative.",

    latentsTitle: "4 Latents one by one",
    latentsLook:
      "Move one slider at a time. Look for what each latent changes. A latent with a KL near 0 tells the decoder nothing, " +
      "so its slider changes nothing: it has collapsed to the prior.",
    traversalText: "{name} from −3 to 3, the other latents as they are:",
    traversalLabel: "Images for nine values of one latent",
    fromDigit: "μ of the digit of part 2",
    zero: "z = 0",
    walkTitle: "From one digit to another",
    walkLook:
      "Under each image: the length of z. In many dimensions the straight line passes through shorter z than the prior draws. " +
      "The spherical walk keeps the length between those of its ends.",
    walkA: "digit of part 2",
    walkB: "other digit",
    another: "Another digit",
    straight: "straight",
    spherical: "spherical",
    walkT: "t along the way:",
    walkStraightLabel: "Images along the straight line",
    walkSphericalLabel: "Images along the sphere",
    slidersTitle: "Latents, ordered by KL",
    latentName: "z{sub}",
    latentKl: "{kl} nats",
    latentsKl: "KL in nats: mean over {count} test digits, {total} in all. {active} of {D} latents have more than 0.01 nats.",

    footer:
      "The same model stands in this project three more times: in NumPy, in PyTorch functions, and as a PyTorch module. " +
      "All four agree to 1e-10 in every tensor; “Check the numbers” repeats the comparison with the NumPy level in your browser.",

    checkTitle: "Check the numbers",
    checkNote:
      "Level 1 (NumPy, float64) wrote down these values when the page was made. Your browser has computed the same tensors " +
      "from the same weights, digits and noise. Allowed: 1e-10.",
    checkBusy: "computing: {done} of {count} digits",
    checkPassed: "All {count} tensors agree. The largest difference is {largest}.",
    checkFailed:
      "{failed} of {count} tensors differ by more than 1e-10: {names}. Please report this, with the name of your browser.",
    checkTensor: "tensor",
    checkShape: "shape",
    checkDifference: "largest difference",
    close: "Close",
    broken: "The page could not start: {error}. Open the file in a current Firefox, Chrome, Edge or Safari.",
  },
};
