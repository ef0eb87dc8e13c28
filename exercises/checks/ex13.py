"""Exercise 13: the learner writes the tests; here they are tested, with every piece of the museum, and told what they miss."""

from dataclasses import replace

import numpy as np

from exercises import comparing
from exercises.declaring import Check, Wrong
from exercises.museum import BUGS, piece
from exercises.probes import noted
from exercises.running import Unfit
from exercises.solutions import ex13 as solved

NUDGE = 1 + 1e-13
"""Right models are computed in more than one way; a factor this near 1 stands for another order of the sums."""

ROOMS = {
    "find_in_losses": (1, 2, 3),
    "find_in_posterior": (4, 5, 8),
    "find_in_objectives": (6, 7, 9, 10, 11),
    "find_in_data": (12, 13, 14),
}


def room(name):
    """The bugs of this room, the right model, and all other bugs, which are not this room's business."""
    own = ROOMS[name]

    def probes(rng):
        others = [n for n in BUGS if n not in own]
        first, *rest = rng.permutation(own)  # the first model is a wrong one: what is right is known without it
        numbers = (first, 0, *rest, *rng.permutation(others))
        return [{"model": piece(int(n))} for n in numbers] + [
            noted("the same with other roundings, in the thirteenth digit", {"model": rounded(piece(int(n)))}) for n in (0, *own)
        ]

    return probes


def rounded(model):
    """The same model with other roundings: each loss times a number that differs from 1 in the thirteenth digit."""

    def nudged(function):
        return lambda *args: function(*args) * NUDGE

    names = ("reconstruction", "squared_error", "sample", "kl", "evaluation_z", "loss", "report", "iwae", "free_bits")
    return replace(model, **{name: nudged(getattr(model, name)) for name in names})


def missed(cases):
    """Which bugs are missed, taken for others, or seen where there are none. True of any answers."""
    wrong = [(case.args["model"].number, case.expected, case.got) for case in cases if not case.passed and case.got is not None]
    if any(not isinstance(got, int) for *_, got in wrong):
        return None
    if all(case.passed for case in cases if not case.note):
        return (
            "right for these models, but your answer changes if a loss differs in its thirteenth digit. Sums in another order "
            "cause such a difference: use a tolerance"
        )
    lines = [f"you report bug {got} for the right model: a false alarm" for number, _, got in wrong if number == 0]
    lines += [f"you miss bug {number}" for number, right, got in wrong if right and not got]
    lines += [f"you report bug {got} for bug {number}" for number, right, got in wrong if right and got]
    lines += [
        f"you report bug {got} for a model with bug {number}, which another function must find"
        for number, right, got in wrong
        if number and not right
    ]
    return "; ".join(dict.fromkeys(lines)) or None


def expected(own):
    return lambda model: model.number if model.number in own else 0


def unlabelled(function, args):
    """The learner's function sees no number; it may change no field, and asks the same of the same model again."""
    asked: list[list] = []
    model = recording(replace(args["model"], number=-1), asked)
    before = dict(vars(model))
    answers = []
    for _ in range(2):
        asked.append([])
        answers.append(function(model))
    if any(vars(model)[name] is not value for name, value in before.items()):
        raise ValueError("a field of model was changed: the function writes into its argument")
    if answers[0] != answers[1]:
        raise Unfit(answers[1], f"{answers[0]}, as at the first call with this model")
    if not comparing.alike(asked[0], asked[1], 0):
        raise ValueError("a second call asks the model something else: draw random numbers from a fixed seed only")
    if isinstance(answers[0], bool | float | np.floating):
        raise Unfit(answers[0], "the number of a bug, a whole number")
    return answers[0]


def recording(model, asked):
    """The same model, which notes the arguments of every call in the last list of `asked`."""

    def noting(name, function):
        def answer(*args):
            asked[-1].append([name, *(np.array(a) for a in args)])
            return function(*args)

        return answer

    return replace(model, **{name: noting(name, f) for name, f in vars(model).items() if callable(f)})


def told(answer):
    """A reference that may look at the number."""

    def observed(function, args):
        return function(args["model"]) if function is answer else unlabelled(function, args)

    return observed


CHECKS = []
for _name, _own in ROOMS.items():
    _reference = expected(_own)
    _says = f"finds {', '.join(map(str, _own))}, and nothing else"
    CHECKS.append(Check(_name, _says, _reference, room(_name), told(_reference), explain=missed))


def blind(name, *bugs):
    """The right tests without those for some bugs."""
    return lambda model: (lambda found: 0 if found in bugs else found)(getattr(solved, name)(model))


def taken_for(name, bug, other):
    return lambda model: (lambda found: other if found == bug else found)(getattr(solved, name)(model))


def alarm(name, number):
    return lambda model: getattr(solved, name)(model) or number


def nan_blind_posterior(model):
    mu, logvar, eps = np.array([[1.0]]), np.array([[0.0]]), np.array([[0.3]])
    if not np.allclose(model.sample(mu, logvar, eps), 1.3):
        return 4
    if not np.allclose(model.kl(mu, logvar), 0.5):
        return 5
    return 0 if np.allclose(model.evaluation_z(mu, logvar, eps), 1.3) else 8


def exact_iwae(model):
    """Asks for bugs 6 and 7, then for an exact bound, which not even the right model gives."""
    found = solved.find_in_objectives(model)
    return found if found in (6, 7) else 9


def one_pixel(model):
    zero, one = np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1))
    if not abs(model.reconstruction(20 * one, zero)[0] - 20) < 1e-3:
        return 3
    return 2 if abs(model.squared_error(zero, one)[0] - 1) > 1e-9 else 0


def shape_alone(model):
    if model.binarise(np.array([0.9]), np.array([0.5]))[0] != 1:
        return 12
    if model.unflatten(np.arange(8.0)[None], 2, 2, 2).shape != (1, 2, 2, 2):
        return 13
    train, test = model.split(50, 0)
    return 14 if set(train) & set(test) else 0


WRONG = [
    Wrong(
        "one_pixel",
        "find_in_losses",
        "you miss bugs 1 and 2, as if your images had one pixel. For one pixel the mean is the sum: use two pixels or more",
        one_pixel,
    ),
    Wrong(
        "moderate_logits",
        "find_in_losses",
        "you miss bug 3. It shows only if float32's sigmoid is exactly 1, from a logit of about 17 on. At a logit of 100 the "
        "right loss is 100 too. Try a logit of 20 and x = 0: the right loss is 20 nats",
        blind("find_in_losses", 3),
    ),
    Wrong(
        "losses_exchanged",
        "find_in_losses",
        "you report bug 1 for bug 2. `reconstruction` is the Bernoulli loss, and `squared_error` the Gaussian one",
        taken_for("find_in_losses", 2, 1),
    ),
    Wrong(
        "always_bug_3",
        "find_in_losses",
        "you report bug 3 for the right model: a false alarm. Is your tolerance smaller than the rounding of float64?",
        alarm("find_in_losses", 3),
    ),
    Wrong(
        "mu_1_logvar_0",
        "find_in_posterior",
        "you miss bugs 4 and 5, as if you tested only at logvar = 0. There sigma and the variance are both 1: use another logvar",
        nan_blind_posterior,
    ),
    Wrong(
        "no_noise",
        "find_in_posterior",
        "you miss bug 8. Which input do you use, and how do you compare? The difference may be negative, and it is 0 if eps is 0",
        blind("find_in_posterior", 8),
    ),
    Wrong(
        "kl_unseen",
        "find_in_posterior",
        "you miss bug 5. Test the KL at (mu, logvar) = (2, 1): the right value is 2.359141",
        blind("find_in_posterior", 5),
    ),
    Wrong(
        "beta_of_1",
        "find_in_objectives",
        "you miss bugs 6 and 7, as if you tested only at beta = 1. There a beta that is not read makes no difference: compare "
        "two other values of beta",
        blind("find_in_objectives", 6, 7),
    ),
    Wrong(
        "five_samples",
        "find_in_objectives",
        "you miss bug 9. It shows only if K is not 5, and the difference is log K - log 5. Is your K 5, or is your tolerance "
        "too large?",
        blind("find_in_objectives", 9),
    ),
    Wrong(
        "images_alike",
        "find_in_objectives",
        "you miss bugs 10 and 11, as if all images were the same. Then it does not matter when the mean is taken. Use one KL "
        "below the floor (or the target), and a mean that is not below it",
        blind("find_in_objectives", 10, 11),
    ),
    Wrong(
        "floor_beside",
        "find_in_objectives",
        "you miss bug 10, as if all KLs of a latent were on one side of the floor. Then it does not matter when the mean is "
        "taken: put the floor between two KLs",
        blind("find_in_objectives", 10),
    ),
    Wrong(
        "target_beside",
        "find_in_objectives",
        "you miss bug 11, as if all KLs were on one side of the target. Then it does not matter when the mean is taken: put "
        "the target between two KLs",
        blind("find_in_objectives", 11),
    ),
    Wrong(
        "no_rounding",
        "find_in_objectives",
        "you report bug 9 for the right model: a false alarm. What do you compare, and how? For equal weights the IWAE is the "
        "log of one weight, up to a relative error of 1e-16",
        exact_iwae,
    ),
    Wrong(
        "reports_exchanged",
        "find_in_objectives",
        "you report bug 6 for bug 7. `loss` must use beta, and `report` must not",
        taken_for("find_in_objectives", 7, 6),
    ),
    Wrong(
        "shape_alone",
        "find_in_data",
        "you miss bug 13. The shape is right, and every sum is right: test where each value stands",
        shape_alone,
    ),
    Wrong(
        "no_overlap_test",
        "find_in_data",
        "you miss bug 14. The two parts have the right sizes: test whether an index is in both",
        blind("find_in_data", 14),
    ),
    Wrong(
        "half_grey",
        "find_in_data",
        "you miss bug 12. At x = u = 1/2, or on average over u at x = 1/2, inverted digits look right. Try x = 0.9",
        blind("find_in_data", 12),
    ),
]


def by_sums(model):
    l, x = np.linspace(-3, 30, 24).reshape(2, 1, 3, 4), np.zeros((2, 1, 3, 4))
    nats = model.reconstruction(l, x)
    right = np.log1p(np.exp(l)).sum((1, 2, 3))
    if np.allclose(nats, right / 12, rtol=1e-4):
        return 1
    if not np.allclose(nats, right, rtol=1e-4):
        return 3
    return 0 if np.isclose(model.squared_error(x, x + 0.5)[0], 3) else 2


VALID = [*((name, getattr(solved, name)) for name in ROOMS), ("find_in_losses", by_sums)]
