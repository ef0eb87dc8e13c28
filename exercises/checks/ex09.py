"""Exercise 09: schedules against tables of steps, losses against sums image by image."""

import numpy as np

from exercises.declaring import Check, Wrong, declared
from exercises.probes import each, extreme, noted


def rises(rng):
    places = [0.0, 0.1, 0.2, 0.25, 0.5, 0.8, 1.0, float(rng.uniform(0.05, 0.2))]
    found = [{"progress": p, "rise": r} for r in (0.4, 0.7, 1.0, 0.03) for p in places]
    for rise in (0.05, 0.01, 1e-3, 1e-6, 1e-8, 0.5, 0.25, 0.75, 1.0, 1):
        near = (0.3, 0.9, 0.999, 0.99999, 1 - 1e-9, 1.0, 1 + 1e-9, 1.01)  # parts of the rise
        found += [noted(f"rise = {rise:g}", {"progress": min(1.0, u * rise), "rise": rise}) for u in near]
    more = each({"progress": 0.3, "rise": 1.0}, progress=(0, 1, 1e-9, 1e-3, 0.99, 0.999, 0.9999, 1 - 1e-9))
    return [*found, *more]


def cycles(rng):
    """No place but a power of 1/2 lies on the border of a cycle, where rounding would decide."""
    places = [0.0, 0.05, 0.2, 0.3, 0.4, 0.55, 0.7, 0.99, 1.0, float(rng.uniform(0.05, 0.15))]
    found = [{"progress": p, "cycles": c, "rise": r} for c, r in ((4, 0.5), (3, 0.8)) for p in places]
    more = [{"progress": p, "cycles": c, "rise": r} for c, r in ((1, 0.25), (7, 0.3), (2, 1.0)) for p in (0.11, 0.47, 0.93, 1.0)]
    for count in (1, 5, 9, 10, 16, 33, 100, 1000):
        for rise in (0.5, 0.02, 1.0, 1):
            parts = (0.003, 0.01, 0.2, 0.49, 0.74, 0.98, 0.997)  # of a cycle
            more += [
                noted(f"cycles = {count}, rise = {rise:g}", {"progress": (k + u) / count, "cycles": count, "rise": rise})
                for k, u in zip(
                    rng.permutation([0, 0, count // 3, count // 2, count - 1, count - 1, count - 1]), parts, strict=True
                )
            ]
    last = ((0.99, 2, 1.0), (0.999, 1, 1.0), (0.9995, 1000, 1.0), (1 - 1e-7, 1, 1.0), (1 - 1e-7, 4, 1.0), (0.95, 3, 0.9))
    more += [noted("near the end", {"progress": p, "cycles": c, "rise": r}) for p, c, r in last]
    steep = ((2.5e-5, 4, 2e-4), (0.375, 4, 1e-6), (0.75 + 1e-9, 2, 1e-7))
    more += [noted("a steep rise", {"progress": p, "cycles": c, "rise": r}) for p, c, r in steep]
    dyadic = [(0, 4), (0.25, 4), (0.5, 4), (0.75, 4), (1, 4), (0.875, 8), (0.5, 2), (1.0, 1), (0.0, 1), (0.9375, 16)]
    more += [noted("where a cycle starts", {"progress": p, "cycles": c, "rise": 0.5}) for p, c in dyadic]
    return [*found, {"progress": 0.75, "cycles": 4, "rise": 0.1}, {"progress": 0.5, "cycles": 2, "rise": 0.6}, *more]


def special(rng):
    """Batches in which a guard, a cap or a floor would show."""
    model = drawn(rng, 3, 4)
    zero, none = np.zeros(3), np.zeros((3, 4))
    return [
        noted("no rate", model | {"rate": none}),
        noted("no distortion", model | {"distortion": zero}),
        noted("neither distortion nor rate", {"distortion": zero, "rate": none}),
        noted("small numbers", {n: 1e-7 * a for n, a in model.items()}),
        noted("large numbers", {n: 1e7 * a for n, a in model.items()}),
        noted("negative rates", model | {"rate": -model["rate"]}),
        noted("negative distortions", model | {"distortion": -model["distortion"]}),
        noted("the same image three times", {n: a[[1, 1, 1]] for n, a in model.items()}),
    ]


def drawn(rng, B, D):
    return {"distortion": rng.uniform(80, 120, B), "rate": rng.exponential(2, (B, D))}


def batches(rng):
    few = {"distortion": np.array([90.0, 110.0]), "rate": np.array([[1.0, 4.0, 0.5], [2.0, 8.0, 0.0]]), "beta": 0.25}
    density = drawn(rng, 5, 1) | {"distortion": rng.uniform(-300, 50, 5), "beta": 1.0}  # -log of a density may be negative
    model = drawn(rng, 4, 3) | {"beta": 0.3}
    return [
        *(noted(p.note, p | {"beta": beta}) for p in special(rng) for beta in (0.3, 1.0, 6.0)),
        *each(model, beta=(0.0, 0, 1, 2, 1e-9, 0.999, 1 + 5e-6, 1e6, 1e12)),
        few,
        drawn(rng, 1, 4) | {"beta": 0.7},
        density,
        drawn(rng, 3, 7) | {"beta": 0.0},
        drawn(rng, 2, 6) | {"rate": rng.normal(1, 2, (2, 6)), "beta": 2.5},
        drawn(rng, 4, 5) | {"beta": 4.0},
        extreme(**{name: 1e5 * array for name, array in drawn(rng, 3, 2).items()}, beta=30.0),
    ]


def capacities(rng):
    """The images' KLs lie on both sides of the capacity, the mean on one: that is where |mean| and mean |.| differ."""
    few = {
        "distortion": np.array([90.0, 110.0]),
        "rate": np.array([[1.0, 4.0, 0.5], [2.0, 8.0, 0.0]]),
        "gamma": 10.0,
        "capacity": 7.0,
    }
    model = drawn(rng, 4, 3) | {"gamma": 10.0, "capacity": 5.0}
    exact = {"distortion": np.zeros(2), "rate": np.array([[1.0, 2.5], [0.5, 4.0]]), "gamma": 10.0, "capacity": 4.0}
    mean = float(model["rate"].sum(1).mean())
    return [
        *(noted(p.note, p | {"gamma": gamma, "capacity": 3.0}) for p in special(rng) for gamma in (10.0, 1.0)),
        *each(model, gamma=(0.0, 0, 1.0, 1, 1e-6, 1e4), capacity=(0.0, 0, 1, 1e-6, 25.0, 1e5)),
        noted("the mean KL is exactly the capacity", exact),
        noted("capacity 0 and a negative mean KL", exact | {"rate": np.array([[-3.0, 0.0], [-5.0, -1.0]]), "capacity": 0.0}),
        *(
            noted(f"the mean KL is {by:g} from the capacity", exact | {"capacity": 4.0 + by}, allowed=1e-7)
            for by in (1e-6, -1e-3, 0.02, 0.2, -0.2, 0.9, -3.0)
        ),
        *(noted(f"the mean KL is {by:g} from the capacity", model | {"capacity": mean + by}) for by in (0.3, -0.3)),
        few,
        few | {"capacity": 9.0},
        drawn(rng, 1, 3) | {"gamma": 0.5, "capacity": 4.0},
        drawn(rng, 6, 1) | {"gamma": 3.0, "capacity": 0.0},
        drawn(rng, 5, 2) | {"gamma": 7.0, "capacity": 300.0},
        {"distortion": rng.uniform(-300, 50, 3), "rate": rng.normal(1, 2, (3, 4)), "gamma": 2.0, "capacity": 1.5},
        extreme(**drawn(rng, 3, 2) | {"rate": rng.uniform(100, 900, (3, 2))}, gamma=5.0, capacity=20.0),
        drawn(rng, 4, 5) | {"gamma": 30.0, "capacity": 10.0},
    ]


def interpolated(progress, rise):
    return float(np.interp(progress, [0.0, rise, 1.0], [0.0, 1.0, 1.0]))


def sawtooth(progress, cycles, rise):
    if progress == 1.0:
        return 1.0
    starts = np.arange(cycles) / cycles
    since = progress - starts[starts <= progress + 1e-15].max()
    return interpolated(since * cycles, rise)


def image_by_image(distortion, rate, beta):
    losses, elbos = [], []
    for d, r in zip(distortion, rate, strict=True):
        losses.append(d + beta * sum(r))
        elbos.append(-d - sum(r))
    return float(np.mean(losses)), float(np.mean(elbos))


def held(distortion, rate, gamma, capacity):
    kl = float(np.mean([sum(r) for r in rate]))
    return float(np.mean(distortion)) + gamma * max(kl - capacity, capacity - kl)


CHECKS = declared(
    "09",
    [
        Check("linear", "from 0 to 1, then 1", interpolated, rises),
        Check("cyclical", "several rises, and 1 at the end", sawtooth, cycles),
        Check("loss_and_elbo", "the loss with beta, the ELBO without beta", image_by_image, batches),
        Check("capacity_loss", "|mean KL - capacity|, the mean taken first", held, capacities),
    ],
)


def sum_kl(rate):
    return rate.sum(1)


WRONG = [
    Wrong(
        "no_limit",
        "linear",
        "the weight grows beyond 1. After the rise it must stay 1",
        lambda progress, rise: progress / rise,
    ),
    Wrong(
        "rise_ignored",
        "linear",
        "the weight rises during the whole training. It must reach 1 after the fraction `rise` of the training",
        lambda progress, rise: progress,
    ),
    Wrong(
        "falling",
        "linear",
        "the weight falls from 1 to 0. KL annealing begins *without* the KL, at weight 0",
        lambda progress, rise: 1 - interpolated(progress, rise),
    ),
    Wrong(
        "late",
        "linear",
        "the weight stays 0 during the rise and then jumps to 1. It must grow in proportion to the progress",
        lambda progress, rise: float(progress >= rise),
    ),
    Wrong(
        "rise_of_the_whole",
        "cyclical",
        "your code uses `rise` as a fraction of the whole training. It is a fraction of each cycle",
        lambda progress, cycles, rise: 1.0 if progress >= 1 else min(1.0, (progress * cycles % 1.0) / cycles / rise),
    ),
    Wrong(
        "one_cycle",
        "cyclical",
        "your result has only one cycle. The progress must start again from 0 in each cycle",
        lambda progress, cycles, rise: interpolated(progress, rise),
    ),
    Wrong(
        "zero_at_the_end",
        "cyclical",
        "at progress 1 the weight falls back to 0: it is treated as the start of a new cycle. Then the loss at the end is "
        "without the KL",
        lambda progress, cycles, rise: interpolated(progress * cycles % 1.0, rise),
    ),
    Wrong(
        "triangle",
        "cyclical",
        "the weight falls slowly at the end of a cycle. It must stay 1 after the rise; the next cycle then begins at 0",
        lambda progress, cycles, rise: (
            1.0 if progress >= 1 else (lambda u: u / rise if u < rise else (1 - u) / (1 - rise))(progress * cycles % 1.0)
        ),
    ),
    Wrong(
        "elbo_with_beta",
        "loss_and_elbo",
        "the second value depends on beta. The reported ELBO must not change if only beta changes",
        lambda distortion, rate, beta: (image_by_image(distortion, rate, beta)[0], -image_by_image(distortion, rate, beta)[0]),
    ),
    Wrong(
        "elbo_negative",
        "loss_and_elbo",
        "the second value is the negative ELBO. A larger ELBO must be better: change the sign",
        lambda distortion, rate, beta: (image_by_image(distortion, rate, beta)[0], -image_by_image(distortion, rate, beta)[1]),
    ),
    Wrong(
        "kl_added",
        "loss_and_elbo",
        "your ELBO adds the KL. The ELBO is minus the distortion, minus the KL",
        lambda distortion, rate, beta: (
            float((distortion + beta * sum_kl(rate)).mean()),
            float((-distortion + sum_kl(rate)).mean()),
        ),
    ),
    Wrong(
        "rate_mean",
        "loss_and_elbo",
        "your code averages the rate over the latents. The KLs of independent latents add up: take the sum",
        lambda distortion, rate, beta: image_by_image(distortion, rate / rate.shape[1], beta),
    ),
    Wrong(
        "batch_sum",
        "loss_and_elbo",
        "your results are sums over the batch, so they grow with the batch. Take the mean",
        lambda distortion, rate, beta: tuple(v * len(rate) for v in image_by_image(distortion, rate, beta)),
    ),
    Wrong(
        "beta_on_all",
        "loss_and_elbo",
        "the first value has beta on both terms. Then beta scales the whole loss, and the optimum stays the same: multiply "
        "only the rate",
        lambda distortion, rate, beta: (
            beta * image_by_image(distortion, rate, 1.0)[0],
            image_by_image(distortion, rate, beta)[1],
        ),
    ),
    Wrong(
        "mean_of_distances",
        "capacity_loss",
        "your code uses the mean of |KL - capacity|, which pulls every image to the same rate. Take the mean over the batch "
        "first, then the distance",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * np.abs(sum_kl(rate) - capacity).mean()),
    ),
    Wrong(
        "squared_distance",
        "capacity_loss",
        "your code squares the distance between KL and capacity. The loss has its absolute value",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * (sum_kl(rate).mean() - capacity) ** 2),
    ),
    Wrong(
        "kl_per_latent",
        "capacity_loss",
        "your code averages the KL over the latents too. Sum over the latents, then take the mean over the batch",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * abs(rate.mean() - capacity)),
    ),
    Wrong(
        "one_sided",
        "capacity_loss",
        "your code uses max(0, KL - capacity). A KL below the capacity must cost too; otherwise nothing makes it grow",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * max(0.0, sum_kl(rate).mean() - capacity)),
    ),
    Wrong(
        "signed_distance",
        "capacity_loss",
        "your code does not take the absolute value of the difference KL - capacity. Then a KL below the capacity makes the loss "
        "smaller",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * (sum_kl(rate).mean() - capacity)),
    ),
    Wrong(
        "per_latent",
        "capacity_loss",
        "your code holds the KL of every latent at the capacity. The capacity is for the sum over the latents",
        lambda distortion, rate, gamma, capacity: float(distortion.mean() + gamma * np.abs(rate.mean(0) - capacity).sum()),
    ),
]

VALID = [
    ("linear", interpolated),
    ("linear", lambda progress, rise: np.clip(progress / rise, 0, 1)),
    ("linear", lambda progress, rise: np.where(progress < rise, progress / rise, 1.0)),  # a 0-dimensional array
    ("cyclical", lambda p, M, R: np.minimum(np.asarray(1.0), (p % (1 / M)) * M / R) if p < 1 else 1),
    ("loss_and_elbo", lambda d, r, beta: [np.mean(d + beta * r.sum(-1)), -np.mean(d) - r.sum() / len(r)]),
    ("cyclical", sawtooth),
    ("loss_and_elbo", image_by_image),
    ("capacity_loss", held),
]
