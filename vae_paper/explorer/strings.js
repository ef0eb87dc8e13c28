"use strict";
/* The texts of the page, in each language under the same names. `say` in state.js fills in {name}. Not here: the text of
   page.html for browsers without JavaScript, and the messages of errors in the code. */

const strings = {
  en: {
    title: "One VAE in your browser",
    navPlane: "1 Latent plane",
    navDigit: "2 One digit",
    navNetwork: "3 Network",
    navLatents: "4 Latents",
    check: "Check the numbers",
    otherLanguage: "한국어",
    lead:
      "A variational autoencoder (VAE) encodes an image x as a distribution q(z|x) of latents z. It decodes each z to an " +
      "image x̂. Its loss is the sum of two terms. The reconstruction loss is small if x̂ resembles x. The KL is small if " +
      "q(z|x) resembles the prior N(0, I). Both are in nats (1 nat = 1.44 bits). The ELBO (evidence lower bound) is minus " +
      "their sum. Part 2 shows the trade-off between the two terms. Your browser runs the whole network.",
    facts:
      "Weights: {name}, a {model} with D = {D} latents, trained on {trainedOn}. " +
      "Test digits: {digits}, of which the page holds the first {count}.",
    factsLikelihood: "Trained with the likelihood {likelihood}; the page measures the reconstruction loss as {kind}.",

    planeTitle: "1 The latent plane",
    planeLook:
      "Drag the point: the decoder turns its z into an image at once. Look for regions of one digit, " +
      "for gradual changes between them, and for holes: places inside the circles of the prior, but without the μ of a test digit.",
    planeOther:
      "These test digits are not from the source of the training images. So a place without their μ need not be a hole.",
    planeSlice:
      "Drag the point: the decoder turns its z into an image at once. The two axes of the plane are {a} and {b}: " +
      "these latents have the largest mean KL over the first {count} test digits. The other latents keep their values from " +
      "part 4. Look for gradual changes.",
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
    within: "{r}; {percent} of the samples of the prior are nearer to 0",
    nearest: "nearest test digit",
    nearestIs: "a {label}, at distance {distance}",
    nearestAt: "at distance {distance}",
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
      "A high bar often marks a border between two digits.",
    lineStripLabel: "Images along the line, and the change from each to the next",
    priorCircle: "{percent} of the prior",

    digitTitle: "2 One digit: the trade-off in the ELBO",
    digitLook:
      "Draw or pick a digit, then move the two sliders. Look for the trade-off: a wider q has a larger reconstruction loss " +
      "and a smaller KL. If the network was trained with this loss and β = 1, then at β = 1 the best factor for σ is near 1: " +
      "training has found the best σ. A larger β makes the best q wider; a smaller β shrinks it towards a point. The noise slider " +
      "multiplies each σ by up to 16, but no σ grows beyond 1, the σ of the prior. Do the samples at its right end still " +
      "show the same digit?",
    drawTitle: "Draw a digit",
    padLabel: "Drawing pad: draw a digit with the mouse, a pen or a finger",
    padHint: "draw here",
    clear: "Clear",
    drawNote:
      "Your drawing is prepared as MNIST was: scaled into a 20×20 box, drawn with soft edges, " +
      "and centred by its centre of mass in 28×28 pixels.",
    pickTitle: "Or pick a test digit",
    sheetLabel: "Test digits, ordered by label if they have labels. Arrow keys choose one.",
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
    reconBce: "−Σ [x log x̂ + (1−x) log(1−x̂)]",
    reconMse: "Σ (x − x̂)²",
    kl: "KL",
    klFormula: "KL(q(z|x) ‖ N(0, I))",
    elbo: "ELBO",
    elboBce: "−(reconstruction + KL); for gray pixels not a bound",
    elboMse: "−(reconstruction + KL); not a bound",
    weight: "Log weight",
    weightBce: "log [p(x, z) / q(z|x)]",
    weightMse: "log [p(x, z) / q(z|x)], up to a constant",
    width: "Noise: factor for the σ of q",
    beta: "β: weight of the KL",
    times: "× {value}",
    lossText: "loss of this sample = reconstruction {recon} + β·KL {kl} = {loss}",
    lossChange: "Compared with the loss at σ × 1 and β = 1 (thin marks): reconstruction {recon}, β·KL {kl}.",
    lossBarLabel: "The loss as a bar: reconstruction loss, then β times KL. Thin lines mark the loss at width 1 and β = 1",
    tradeTitle: "The trade-off: the loss for a wider or narrower q, mean of 8 samples",
    tradeLabel: "Change of reconstruction loss, of β times KL, and of their sum, against the width of q",
    tradeRecon: "reconstruction",
    tradeKl: "β·KL",
    tradeLoss: "sum",
    tradeAxis: "factor for the σ of q (no σ grows beyond the prior's, 1)",
    tradeNats: "change from × 1, in nats",
    tradeBusy: "computing the curves",
    tradeText:
      "The sum is smallest at × {best}. At your × {now} it is {excess} nats larger. Here only the weight β changes, not the " +
      "network. A network trained with this β would also have other μ and other images.",
    tradeBest: "best × {best}",
    reset: "Reset",
    posteriorTitle: "q(z|x) on the plane",
    qPlane: "whole plane",
    qPlaneLabel: "Where q lies on the latent plane",
    qZoom: "around μ, {factor} × larger",
    qZoomLabel: "q enlarged: ellipses at 1 and 2 standard deviations, and the samples",
    samplesTitle: "Eight samples of q(z|x), decoded",
    samplesNote:
      "Below each sample: its log weight in nats. The mean of many log weights is the ELBO. Click a sample to make it “this " +
      "sample”. The lower four use the noise of the upper four with the opposite sign. This makes the mean less noisy.",
    sampleLabel: "sample {k}",
    newNoise: "New noise",
    toPlane: "Send this z to the plane",

    networkTitle: "3 Through the network",
    networkLook:
      "The digit and the sample of part 2, in every layer. Click a unit (or focus a layer and use the arrow keys). " +
      "Compare how many pixels of the image a unit of conv1 sees, and how many a unit of conv2 sees.",
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
    unitPixel: "A pixel, with the value {value}.",
    unitReadsPixels:
      "It reads {count} numbers of {from}. It depends on {rows} × {columns} pixels of x (framed).",
    unitReaches: "It reads {count} numbers of {from}. It can change {rows} × {columns} pixels of x̂ (framed).",
    unitReads: "It reads all {count} numbers of {from}.",
    unitZ: "z = μ + σ ε: {mu} + {sigma} × {eps}. σ = exp(log σ² / 2), changed by the noise slider of part 2.",
    unitXHat: "x̂ = sigmoid({logit}), where sigmoid(a) = 1 / (1 + exp(−a)).",
    unitSum: "bias {bias} + sum of products {sum} = {value}",
    unitRelu: "bias {bias} + sum of products {sum} = {value}, after ReLU {relu}",
    patchInputs: "inputs",
    patchWeights: "weights",
    patchProducts: "products",
    colours: "More ink is a larger value. If values have a sign, red is positive and teal is negative.",

    latentsTitle: "4 Latents one by one",
    latentsLook:
      "Move one slider at a time, and see what each latent changes. A latent with a KL near 0 has collapsed to the prior: " +
      "it tells the decoder nothing, so its slider changes almost nothing.",
    traversalText: "{name} from −3 to 3, the other latents as they are:",
    traversalLabel: "Images for nine values of one latent",
    fromDigit: "μ of the digit of part 2",
    zero: "z = 0",
    walkTitle: "From one digit to another",
    walkLook:
      "Below each image: the length of z. In many dimensions, the z on the straight line are shorter than samples of the " +
      "prior. On the spherical path, the length stays between the lengths of the two ends.",
    walkA: "digit of part 2",
    walkB: "other digit",
    another: "Another digit",
    straight: "straight",
    spherical: "spherical",
    walkT: "t along the path:",
    walkStraightLabel: "Images along the straight line",
    walkSphericalLabel: "Images along the sphere",
    slidersTitle: "Latents, ordered by KL",
    latentName: "z{sub}",
    latentKl: "{kl} nats",
    latentsKl: "Mean KL over {count} test digits: {total} nats in total. {active} of {D} latents have more than 0.01 nats.",

    footer:
      "The same model stands in this project three more times: in NumPy, in PyTorch functions, and as a PyTorch module. " +
      "All four agree to 1e-10 in every tensor; “Check the numbers” repeats the comparison with the NumPy level in your browser.",

    checkTitle: "Check the numbers",
    checkNote:
      "Level 1 (NumPy, float64) computed reference values when the page was written. Your browser computes the same tensors " +
      "from the same weights, digits and noise. The largest allowed difference is 1e-10.",
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
  ko: {
    title: "브라우저 안의 VAE",
    navPlane: "1 잠재 평면",
    navDigit: "2 숫자 하나",
    navNetwork: "3 신경망",
    navLatents: "4 잠재 변수",
    check: "수치 검사하기",
    otherLanguage: "English",
    lead:
      "변분 오토인코더(VAE)는 이미지 x를 잠재 벡터 z의 분포 q(z|x)로 인코딩하고, 각 z를 이미지 x̂으로 디코딩합니다. " +
      "손실은 두 항의 합입니다. 재구성 손실은 x̂이 x와 닮을수록 작고, KL은 q(z|x)가 사전 분포 N(0, I)와 닮을수록 " +
      "작습니다. 둘 다 단위는 내트(nat)입니다(1내트 = 1.44비트). ELBO(변분 하한)는 이 합의 부호를 바꾼 값입니다. 두 항 " +
      "사이의 절충은 2부에서 볼 수 있습니다. 신경망 전체를 지금 브라우저가 계산합니다.",
    facts:
      "가중치: {name}, 잠재 변수가 D = {D}개인 {model}, 학습 데이터: {trainedOn}. 테스트 이미지: " +
      "{digits} 가운데 처음 {count}개.",
    factsLikelihood: "학습에 쓴 우도는 {likelihood}이고, 이 페이지는 재구성 손실을 {kind}(으)로 잽니다.",

    planeTitle: "1 잠재 평면",
    planeLook:
      "점을 끌어 보세요. 디코더가 그 z를 곧바로 이미지로 바꿉니다. 한 숫자가 차지하는 영역, 영역 사이에서 모양이 서서히 변하는 " +
      "곳, 그리고 사전 분포의 원 안에 있지만 테스트 이미지의 μ는 하나도 없는 구멍을 찾아보세요.",
    planeOther: "이 테스트 이미지는 학습 이미지와 출처가 다릅니다. 그래서 μ가 없는 곳이 모두 구멍인 것은 아닙니다.",
    planeSlice:
      "점을 끌어 보세요. 디코더가 그 z를 곧바로 이미지로 바꿉니다. 평면의 두 축은 처음 {count}개 테스트 이미지에서 " +
      "평균 KL이 가장 큰 두 잠재 변수 {a}, {b}입니다. 나머지 잠재 변수는 4부의 값을 그대로 씁니다. 모양이 서서히 변하는 곳을 찾아보세요.",
    planeLine:
      "점을 왼쪽과 오른쪽으로 끌어 보세요. 디코더가 그 z를 곧바로 이미지로 바꿉니다. 이 모델에는 잠재 변수가 {a} 하나뿐이므로 " +
      "세로 위치는 아무 뜻이 없습니다. 모양이 서서히 변하는 곳을 찾아보세요.",
    axisAcross: "{name} →",
    axisUp: "↑ {name}",
    planeLabel: "잠재 평면. 화살표 키로 점을 옮기고, Shift와 화살표 키로 점에서 선을 그으며, Escape로 선을 지웁니다.",
    planeKeys: "키보드: 화살표 키는 점을 옮기고, Shift와 함께 누르면 선을 긋고, Escape는 선을 지웁니다.",
    planeImageLabel: "디코딩한 이미지",
    decoded: "x̂ = sigmoid(logits), z를 디코딩한 이미지",
    zIs: "z",
    distance: "0에서의 거리",
    within: "{r}; 사전 분포의 샘플 가운데 {percent}가 이보다 0에 가깝습니다",
    nearest: "가장 가까운 테스트 이미지",
    nearestIs: "숫자 {label}, 거리 {distance}",
    nearestAt: "거리 {distance}",
    coding: "테스트 이미지를 인코딩하는 중: {count}개 중 {done}개",
    speed: "디코딩 시간",
    milliseconds: "{ms} ms",
    showMap: "디코딩한 지도",
    showCodes: "테스트 이미지의 μ",
    showPrior: "사전 분포: 원",
    label: "레이블:",
    lineMode: "선 긋기",
    lineClear: "선 지우기",
    fromPrior: "사전 분포에서 뽑기",
    lineHint: "Shift를 누른 채 끌면(또는 ‘선 긋기’를 누르고 끌면) 직선을 따라 움직입니다.",
    lineSteps:
      "직선 위의 열한 점입니다. 막대는 이웃한 두 이미지의 차이 ‖Δx̂‖이며 {least}에서 {most}까지입니다. 막대가 높은 " +
      "곳은 두 숫자의 경계일 때가 많습니다.",
    lineStripLabel: "직선 위의 이미지와 이웃한 이미지의 차이",
    priorCircle: "사전 분포의 {percent}",

    digitTitle: "2 숫자 하나: ELBO의 두 항 사이의 절충",
    digitLook:
      "숫자를 그리거나 고른 다음 두 슬라이더를 움직이며 두 항 사이의 절충을 살펴보세요. q가 넓어지면 재구성 손실은 커지고 " +
      "KL은 작아집니다. 신경망을 이 손실과 β = 1로 학습했다면 β = 1에서 σ에 곱할 가장 좋은 값은 1 근처입니다. 학습이 이미 가장 " +
      "좋은 σ를 찾았기 때문입니다. β를 키우면 가장 좋은 q가 넓어지고, β를 줄이면 한 점을 향해 좁아집니다. 잡음 슬라이더는 각 σ에 최대 16을 " +
      "곱하지만, σ는 사전 분포의 σ인 1보다 커지지 않습니다. 슬라이더의 오른쪽 끝에서도 샘플은 같은 숫자인가요?",
    drawTitle: "숫자 그리기",
    padLabel: "그리기 판: 마우스나 펜, 손가락으로 숫자를 그리세요",
    padHint: "여기에 그리세요",
    clear: "지우기",
    drawNote:
      "그림은 MNIST와 같은 방법으로 다듬습니다. 20×20 상자에 맞게 크기를 바꾸고, 가장자리를 부드럽게 하고, 무게중심이 " +
      "28×28 픽셀의 가운데에 오게 옮깁니다.",
    pickTitle: "또는 테스트 이미지 고르기",
    sheetLabel: "테스트 이미지. 레이블이 있으면 레이블 순서로 놓았습니다. 화살표 키로 하나를 고릅니다.",
    xCaption: "x",
    xLabel: "신경망이 보는 이미지",
    xHatMu: "μ에서 나온 x̂",
    xHatMuLabel: "q의 평균을 디코딩한 이미지",
    xHat: "이 샘플에서 나온 x̂",
    xHatLabel: "q에서 고른 샘플을 디코딩한 이미지",
    natsPerImage: "이미지당 내트",
    thisSample: "이 샘플",
    meanOfSamples: "8개의 평균",
    recon: "재구성 손실",
    reconBce: "−Σ [x log x̂ + (1−x) log(1−x̂)]",
    reconMse: "Σ (x − x̂)²",
    kl: "KL",
    klFormula: "KL(q(z|x) ‖ N(0, I))",
    elbo: "ELBO",
    elboBce: "−(재구성 손실 + KL); 회색 픽셀에서는 하한이 아님",
    elboMse: "−(재구성 손실 + KL); 하한이 아님",
    weight: "로그 가중치",
    weightBce: "log [p(x, z) / q(z|x)]",
    weightMse: "log [p(x, z) / q(z|x)], 상수는 제외",
    width: "잡음: q의 σ에 곱하는 값",
    beta: "β: KL의 가중치",
    times: "× {value}",
    lossText: "이 샘플의 손실 = 재구성 {recon} + β·KL {kl} = {loss}",
    lossChange: "σ × 1, β = 1일 때(가는 선)와의 차이: 재구성 {recon}, β·KL {kl}.",
    lossBarLabel: "막대로 나타낸 손실: 재구성 손실, 이어서 β 곱하기 KL. 가는 선은 너비 1, β = 1일 때의 손실입니다",
    tradeTitle: "절충: q를 넓히거나 좁힐 때의 손실, 샘플 8개의 평균",
    tradeLabel: "q의 너비에 따른 재구성 손실, β 곱하기 KL, 그 합의 변화",
    tradeRecon: "재구성",
    tradeKl: "β·KL",
    tradeLoss: "합",
    tradeAxis: "q의 σ에 곱하는 값(σ는 사전 분포의 σ인 1을 넘지 않음)",
    tradeNats: "× 1과의 차이, 내트",
    tradeBusy: "곡선을 계산하는 중",
    tradeText:
      "합은 × {best}에서 가장 작습니다. 지금의 × {now}에서는 합이 그보다 {excess}내트 큽니다. 여기서는 가중치 β만 " +
      "바뀌고 신경망은 바뀌지 않습니다. 이 β로 학습한 신경망이라면 μ와 이미지도 달라집니다.",
    tradeBest: "최적 × {best}",
    reset: "처음으로",
    posteriorTitle: "평면 위의 q(z|x)",
    qPlane: "평면 전체",
    qPlaneLabel: "잠재 평면에서 q가 있는 곳",
    qZoom: "μ 주변, {factor}배 확대",
    qZoomLabel: "확대한 q: 표준 편차의 1배와 2배를 나타내는 타원, 그리고 샘플",
    samplesTitle: "q(z|x)의 샘플 여덟 개를 디코딩한 이미지",
    samplesNote:
      "각 샘플 아래의 수는 로그 가중치(내트)입니다. 로그 가중치를 많이 모아 평균하면 ELBO가 됩니다. 샘플을 클릭하면 " +
      "‘이 샘플’이 됩니다. 아래 네 개에는 위 네 개의 잡음을 부호만 바꾸어 씁니다. 그러면 평균의 잡음이 줄어듭니다.",
    sampleLabel: "샘플 {k}",
    newNoise: "새 잡음",
    toPlane: "이 z를 평면으로 보내기",

    networkTitle: "3 신경망을 지나며",
    networkLook:
      "2부의 숫자와 샘플을 층마다 보여 줍니다. 유닛을 클릭하세요(또는 층을 선택하고 화살표 키를 쓰세요). conv1의 유닛과 " +
      "conv2의 유닛이 이미지의 픽셀을 각각 몇 개나 보는지 비교해 보세요.",
    encoderTitle: "인코더",
    decoderTitle: "디코더, 이 샘플에서",
    mapX: "x",
    mapConv1: "conv1: 3×3, 스트라이드 2, ReLU",
    mapConv2: "conv2: 3×3, 스트라이드 2, ReLU",
    mapFc: "fc: 선형, ReLU",
    mapMu: "μ",
    mapLogvar: "log σ²",
    mapZ: "z = μ + σ ε",
    mapFc1: "fc1: 선형, ReLU",
    mapFc2: "fc2: 선형, ReLU",
    mapConvT1: "conv_t1: 3×3, 스트라이드 2, ReLU",
    mapConvT2: "conv_t2: 3×3, 스트라이드 2: 로짓",
    mapXHat: "x̂ = sigmoid(logits)",
    mapLabel: "{caption}, 모양 {shape}. 화살표 키로 유닛을 고릅니다.",
    unitPixel: "픽셀 하나, 값은 {value}입니다.",
    unitReadsPixels: "{from}의 수 {count}개를 읽습니다. x의 {rows} × {columns} 픽셀에 의존합니다(테두리).",
    unitReaches: "{from}의 수 {count}개를 읽습니다. x̂의 {rows} × {columns} 픽셀을 바꿀 수 있습니다(테두리).",
    unitReads: "{from}의 수 {count}개를 모두 읽습니다.",
    unitZ: "z = μ + σ ε: {mu} + {sigma} × {eps}. σ = exp(log σ² / 2)이며, 2부의 잡음 슬라이더로 바뀝니다.",
    unitXHat: "x̂ = sigmoid({logit}). 여기서 sigmoid(a) = 1 / (1 + exp(−a))입니다.",
    unitSum: "편향 {bias} + 곱의 합 {sum} = {value}",
    unitRelu: "편향 {bias} + 곱의 합 {sum} = {value}, ReLU를 지나면 {relu}",
    patchInputs: "입력",
    patchWeights: "가중치",
    patchProducts: "곱",
    colours: "진할수록 큰 값입니다. 부호가 있는 값은 양수가 빨간색, 음수가 청록색입니다.",

    latentsTitle: "4 잠재 변수 하나하나",
    latentsLook:
      "슬라이더를 하나씩 움직이며 각 잠재 변수가 무엇을 바꾸는지 보세요. KL이 0에 가까운 잠재 변수는 사전 분포로 붕괴한 " +
      "것입니다. 디코더에 아무것도 알려 주지 않으므로 슬라이더를 움직여도 거의 아무것도 바뀌지 않습니다.",
    traversalText: "{name}: −3에서 3까지, 나머지 잠재 변수는 그대로:",
    traversalLabel: "잠재 변수 하나의 아홉 값에서 나온 이미지",
    fromDigit: "2부 숫자의 μ",
    zero: "z = 0",
    walkTitle: "한 숫자에서 다른 숫자로",
    walkLook:
      "이미지 아래의 수는 z의 길이입니다. 차원이 높으면 직선 위의 z는 사전 분포의 샘플보다 짧습니다. 구면 경로에서는 길이가 두 " +
      "끝의 길이 사이에 머뭅니다.",
    walkA: "2부의 숫자",
    walkB: "다른 숫자",
    another: "다른 숫자 고르기",
    straight: "직선",
    spherical: "구면",
    walkT: "경로 위의 t:",
    walkStraightLabel: "직선 위의 이미지",
    walkSphericalLabel: "구면 위의 이미지",
    slidersTitle: "KL 순서로 놓은 잠재 변수",
    latentName: "z{sub}",
    latentKl: "{kl}내트",
    latentsKl:
      "테스트 이미지 {count}개에 대한 평균 KL을 모두 더하면 {total}내트입니다. 잠재 변수 {D}개 중 {active}개의 " +
      "KL이 0.01내트보다 큽니다.",

    footer:
      "이 프로젝트에는 같은 모델이 세 개 더 있습니다. 각각 NumPy, PyTorch 함수, PyTorch 모듈로 작성했습니다. " +
      "네 모델의 모든 텐서는 1e-10 이내로 일치합니다. ‘수치 검사하기’를 누르면 NumPy 레벨과의 비교를 이 브라우저에서 다시 " +
      "합니다.",

    checkTitle: "수치 검사하기",
    checkNote:
      "이 페이지를 만들 때 레벨 1(NumPy, float64)이 기준값을 계산해 두었습니다. 브라우저는 같은 가중치, 이미지, 잡음으로 " +
      "같은 텐서를 계산합니다. 차이는 1e-10까지 허용합니다.",
    checkBusy: "계산하는 중: 이미지 {count}개 중 {done}개",
    checkPassed: "텐서 {count}개가 모두 일치합니다. 가장 큰 차이는 {largest}입니다.",
    checkFailed: "텐서 {count}개 중 {failed}개의 차이가 1e-10보다 큽니다: {names}. 브라우저 이름과 함께 알려 주세요.",
    checkTensor: "텐서",
    checkShape: "모양",
    checkDifference: "가장 큰 차이",
    close: "닫기",
    broken: "페이지를 시작할 수 없습니다: {error}. 최신 Firefox, Chrome, Edge 또는 Safari에서 여세요.",
  },
};
