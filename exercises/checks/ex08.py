"""Exercise 08: a CVAE against the plain VAE with another bias: for one label, its features are just added to fc's bias."""

import functools

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import Probe, as_float32, changed, extreme, noted
from vae_numpy import vae
from vae_numpy.layers import sigmoid

LOUD = 3
"""In place of a scale: logits of 900, whose exp is infinite."""


@functools.cache
def parameters(seed, D, scale=4):
    """A random CVAE in float64, its label features as large as the others; `scale` multiplies what the last layers give."""
    rng = np.random.default_rng(seed)
    params = {name: p.astype(np.float64) for name, p in vae.init_params(D, rng).items()}
    params["encoder.mu.weight"] *= scale
    params["encoder.logvar.weight"] *= scale
    params["decoder.conv_t2.weight"] *= scale if scale > 4 else 1
    if scale == LOUD:
        params["decoder.conv_t2.bias"] += 900.0
    for part in ("encoder", "decoder"):
        params[f"{part}_label.weight"] = rng.normal(0.1, 0.5, (256, 10))
    return params


def some_labels(rng):
    drawn = [rng.integers(0, 10, B) for B in (1, 12, 5)]
    return [
        {"labels": np.array([3, 0, 9])},
        {"labels": np.array([9])},
        *({"labels": labels} for labels in drawn),
        {"labels": np.zeros(3, int)},
        *({"labels": np.array([label])} for label in range(10)),
        {"labels": rng.permutation(10)},
        {"labels": rng.integers(0, 10, 7)},
    ]


SIZES = {"B": 66, "D": 0}
"""D is that of the parameters too."""


def images(rng, names):
    """B and D differ, labels repeat and are unsorted; in the extreme probe logvar and the logits are far from 0, x is 0 or 1."""

    def draw(B, D, scale, labels):
        return {
            "params": parameters(int(rng.integers(3)), D, scale),
            "x": rng.uniform(size=(B, 1, 28, 28)) if scale == 4 else rng.integers(0, 2, (B, 1, 28, 28)).astype(float),
            "z": rng.normal(0.3, 1, (B, D)),
            "labels": np.array(labels),
            "eps": rng.normal(size=(B, D)),
        }

    ordinary = [draw(2, 5, 4, rng.choice(10, 2, replace=False)), draw(1, 8, 4, [9]), draw(3, 1, 4, [7, 2, 7])]
    far, loud = draw(2, 3, 120, [8, 0]), draw(1, 2, 4, [5])
    loud |= {"z": np.array([[-30.0, 25.0]]), "eps": np.array([[-30.0, 25.0]])}
    probes = [Probe({name: case[name] for name in names}) for case in ordinary]
    special = {"D = 80": draw(1, 80, 4, [6])}
    if "x" in names:  # one pixel each: what is not read of the image shows
        special["images of one bright pixel"] = one = draw(2, 2, 4, [4, 4])
        one["x"] = np.eye(784)[[0, 783]].reshape(2, 1, 28, 28)
    special["logits of about 900"] = bright = draw(1, 2, LOUD, [3])
    special["float32, logits of about 900"] = changed(bright, as_float32)
    more = [noted(note, {name: case[name] for name in names}) for note, case in special.items()]
    return [*probes, *(extreme(**{name: case[name] for name in names}) for case in (far, loud)), *more]


def rows(labels):
    table = np.zeros((len(labels), 10), np.float32)
    for b, label in enumerate(labels):
        table[b, label] = 1
    return table


def biased(params, label):
    """The plain VAE's parameters, the label's features taken into two biases."""
    plain = {name: p for name, p in params.items() if "_label" not in name}
    for part, fc in (("encoder", "encoder.fc"), ("decoder", "decoder.fc1")):
        plain[f"{fc}.bias"] = plain[f"{fc}.bias"] + params[f"{part}_label.weight"][:, label]
    return plain


def label_by_label(function, labels, *arrays):
    """function(label, *arrays) on the rows of each label, put back in their places."""
    whole: dict[int, np.ndarray] = {}
    for label in np.unique(labels):
        rows_of_it = np.flatnonzero(labels == label)
        for k, part in enumerate(function(label, *(a[rows_of_it] for a in arrays))):
            whole.setdefault(k, np.zeros((len(labels), *part.shape[1:]), part.dtype))[rows_of_it] = part
    return tuple(whole.values())


def encoded(params, x, labels):
    return label_by_label(lambda label, x: vae.encode(biased(params, label), x), labels, x)


def decoded(params, z, labels):
    return label_by_label(lambda label, z: (vae.decode(biased(params, label), z),), labels, z)[0]


def bound(params, x, labels, eps):
    return label_by_label(lambda label, x, eps: (vae.elbo(biased(params, label), x, eps),), labels, x, eps)[0]


def kl_of(params, x, labels):
    return vae.kl_divergence(*encoded(params, x, labels))


def drawn(params, labels, eps):
    return sigmoid(decoded(params, eps, labels))


CHECKS = declared(
    "08",
    [
        Check("one_hot", "one 1 in each row", rows, some_labels, keeps_dtype=True, long={"B": 4000}),
        *(
            Check(
                name,
                says,
                reference,
                functools.partial(images, names=names),
                allowed=allowed,
                gives_dtype=True,
                long=SIZES,
                short={"D": 0},
                rows="B",
                layouts=("strided",),
            )
            for name, says, reference, names, allowed in (
                ("encode", "q(z|x, c): the label before the ReLU of fc", encoded, ("params", "x", "labels"), 1e-9),
                ("decode", "p(x|z, c): the label before the ReLU of fc1", decoded, ("params", "z", "labels"), 1e-9),
                ("elbo", "encoder and decoder with the label", bound, ("params", "x", "labels", "eps"), 1e-11),
                ("sample", "images of the labels, from the prior", drawn, ("params", "labels", "eps"), 1e-9),
            )
        ),
    ],
)


def without(*parts):
    """The parameters with the label's features of these parts set to 0."""
    return lambda params: params | {f"{part}_label.weight": 0 * params[f"{part}_label.weight"] for part in parts}


def after_relu_encoder(params, x, labels):
    plain = {name: p for name, p in params.items() if "_label" not in name}
    shift = params["encoder_label.weight"].T[labels]  # added after the ReLU, it passes straight into mu and logvar
    mu, logvar = vae.encode(plain, x)
    return mu + shift @ params["encoder.mu.weight"].T, logvar + shift @ params["encoder.logvar.weight"].T


def after_relu_decoder(params, z, labels):
    from vae_numpy.layers import linear, relu

    h = relu(linear(z, params["decoder.fc1.weight"], params["decoder.fc1.bias"])) + params["decoder_label.weight"].T[labels]
    # fc2 sees h, which no ReLU has touched: an identity fc1 on (h, -h) makes the same of the plain decoder
    through = {name: p for name, p in params.items() if "_label" not in name}
    outs = []
    for row in h:
        with_bias = through | {"decoder.fc2.bias": through["decoder.fc2.bias"] + through["decoder.fc2.weight"] @ row}
        with_bias |= {
            "decoder.fc1.weight": 0 * through["decoder.fc1.weight"],
            "decoder.fc1.bias": 0 * through["decoder.fc1.bias"],
        }
        outs.append(vae.decode(with_bias, z[:1]))
    return np.concatenate(outs)


def from_a_blank(params, labels, eps, gray=0.0):
    mu, logvar = encoded(params, np.full((len(eps), 1, 28, 28), gray, eps.dtype), labels)
    return drawn(params, labels, vae.reparameterize(mu, logvar, eps))


WRONG = [
    Wrong(
        "counted_from_one",
        "one_hot",
        "each 1 is one column too far to the left. Label c is column c, counted from 0",
        lambda labels: np.roll(rows(labels), -1, axis=1),
    ),
    Wrong(
        "classes_by_rows",
        "one_hot",
        "your result has shape (10, B), one row per class. Return one row per image, shape (B, 10)",
        lambda labels: np.ascontiguousarray(rows(labels).T),
    ),
    Wrong(
        "as_wide_as_needed",
        "one_hot",
        "the number of columns depends on the largest label of this batch. There are always 10 columns",
        lambda labels: rows(labels)[:, : min(int(labels.max()) + 1, 9)],
        [lambda labels: rows(labels)[:, : int(labels.max()) + 1]],
    ),
    Wrong(
        "all_below",
        "one_hot",
        "your rows are 1 at the label and in all columns before it. Write 1 only at the label: classes have no order",
        lambda labels: (np.arange(10) <= labels[:, None]).astype(np.float32),
    ),
    Wrong(
        "encoder_blind",
        "encode",
        "your code does not use the label. The result is q(z|x), of an encoder without a condition",
        lambda params, x, labels: encoded(without("encoder")(params), x, labels),
    ),
    Wrong(
        "after_the_relu",
        "encode",
        "your code adds the label's features after the ReLU. There they only shift mu and logvar, by the same amount for all "
        "images of a label",
        after_relu_encoder,
    ),
    Wrong(
        "one_label_for_all",
        "encode",
        "your code encodes every image with the first label of the batch. Use each image's own label",
        lambda params, x, labels: encoded(params, x, np.full_like(labels, labels[0])),
    ),
    Wrong(
        "decoders_matrix",
        "encode",
        "your code adds decoder_label.weight. The encoder has its own matrix, encoder_label.weight",
        lambda params, x, labels: encoded(params | {"encoder_label.weight": params["decoder_label.weight"]}, x, labels),
    ),
    Wrong(
        "sigma_returned",
        "encode",
        "the second value is exp(logvar / 2), the standard deviation. Return logvar",
        lambda params, x, labels: (encoded(params, x, labels)[0], np.exp(encoded(params, x, labels)[1] / 2)),
    ),
    Wrong(
        "decoder_blind",
        "decode",
        "your code does not use the label. If only the encoder gets the label, nobody can ask the model for a certain digit",
        lambda params, z, labels: decoded(without("decoder")(params), z, labels),
    ),
    Wrong(
        "after_fc1s_relu",
        "decode",
        "your code adds the label's features after the ReLU of fc1. Add them before it",
        after_relu_decoder,
    ),
    Wrong(
        "probabilities",
        "decode",
        "your result is probabilities. Return logits; the sigmoid comes later (the losses take logits)",
        lambda params, z, labels: sigmoid(decoded(params, z, labels)),
    ),
    Wrong(
        "encoders_matrix",
        "decode",
        "your code adds encoder_label.weight. The decoder has its own matrix, decoder_label.weight",
        lambda params, z, labels: decoded(params | {"decoder_label.weight": params["encoder_label.weight"]}, z, labels),
    ),
    Wrong(
        "decoded_without_label",
        "elbo",
        "your code gives the label only to the encoder. Give it to the decoder too",
        lambda params, x, labels, eps: bound(without("decoder")(params), x, labels, eps),
    ),
    Wrong(
        "encoded_without_label",
        "elbo",
        "your code gives the label only to the decoder. The result is still a lower bound, but with q(z|x) in place of q(z|x, c)",
        lambda params, x, labels, eps: bound(without("encoder")(params), x, labels, eps),
    ),
    Wrong(
        "at_the_mean",
        "elbo",
        "your code uses z = mu, without the noise. Then the result is no ELBO: sample z with eps",
        lambda params, x, labels, eps: bound(params, x, labels, 0 * eps),
    ),
    Wrong(
        "kl_added",
        "elbo",
        "your code adds the KL. The ELBO is log p(x|z, c) minus the KL",
        lambda params, x, labels, eps: bound(params, x, labels, eps) + 2 * kl_of(params, x, labels),
    ),
    Wrong(
        "kl_forgotten",
        "elbo",
        "your result is only log p(x|z, c): subtract the KL",
        lambda params, x, labels, eps: bound(params, x, labels, eps) + kl_of(params, x, labels),
    ),
    Wrong(
        "mean_over_pixels",
        "elbo",
        "your code takes the mean over the pixels in log p(x|z, c). Take the sum: otherwise the KL has 784 times its weight",
        lambda params, x, labels, eps: (
            (bound(params, x, labels, eps) + kl_of(params, x, labels)) / x[0].size - kl_of(params, x, labels)
        ),
    ),
    Wrong(
        "loss",
        "elbo",
        "your result is the negative ELBO. A larger ELBO must be better: change the sign",
        lambda params, x, labels, eps: -bound(params, x, labels, eps),
    ),
    Wrong(
        "logits",
        "sample",
        "your result is logits. Return x_hat = sigmoid(logits), between 0 and 1",
        lambda params, labels, eps: decoded(params, eps, labels),
    ),
    Wrong(
        "ignores_the_wish",
        "sample",
        "your code does not use the label, so the images do not depend on the digit that was asked for",
        lambda params, labels, eps: sigmoid(decoded(without("decoder")(params), eps, labels)),
    ),
    Wrong(
        "encodes_a_blank",
        "sample",
        "your code draws z from q(z|x, c) of a blank image x. A new image is not encoded: z comes from the prior, so z = eps",
        from_a_blank,
        [functools.partial(from_a_blank, gray=0.5)],
    ),
    Wrong(
        "without_noise",
        "sample",
        "your code uses z = 0 for every image. Then all images of one label are the same: use z = eps",
        lambda params, labels, eps: drawn(params, labels, 0 * eps),
    ),
]

VALID = [
    ("one_hot", rows),
    ("one_hot", lambda labels: np.eye(10, dtype=np.float32)[labels]),
    ("encode", encoded),
    ("decode", decoded),
    ("elbo", bound),
    ("sample", drawn),
]
