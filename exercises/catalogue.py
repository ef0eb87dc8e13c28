"""Which exercises there are: the one table that the command line, the pages and the tests read."""

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
LETTERS = {
    "A": "derive the ELBO",
    "B": "the reparameterization trick",
    "C": "compute the KL divergence",
    "D": "what beta does",
    "E": "see the latent space",
    "F": "build a conditional VAE",
}


class Exercise(NamedTuple):
    """One exercise; its files are found by its number and name."""

    number: str
    name: str
    letter: str
    """Of the course page's checklist."""
    minutes: int
    """A learner's time, roughly."""
    checks: int
    """How many checks there are: running another number of them is an error."""
    torch: bool = False

    @property
    def page(self) -> Path:
        return HERE / f"{self.number}_{self.name}.md"

    @property
    def starter(self) -> Path:
        return HERE / "starter" / f"ex{self.number}.py"

    @property
    def solution(self) -> Path:
        return HERE / "solutions" / f"ex{self.number}.py"


EXERCISES = [
    Exercise("01", "latent_space", "E", 40, 5),
    Exercise("02", "interpolation", "E", 35, 5),
    Exercise("03", "elbo", "A", 60, 8),
    Exercise("04", "reparameterization", "B", 40, 4),
    Exercise("05", "kl_divergence", "C", 35, 5),
    Exercise("06", "beta", "D", 40, 5),
    Exercise("07", "visualise", "E", 35, 4),
    Exercise("08", "cvae", "F", 60, 5),
    Exercise("09", "annealing", "D", 30, 4),
    Exercise("10", "posterior_collapse", "D", 40, 5),
    Exercise("11", "vq_vae", "F", 40, 5, torch=True),
    Exercise("12", "across_levels", "A", 45, 4, torch=True),
    Exercise("13", "bug_museum", "D", 60, 4),
]
FIRST_COURSE = ("05", "04", "03", "01", "07", "06")  # the order that README.md proposes


def find(number: str) -> Exercise:
    """The exercise called "5", "05" or "05_kl_divergence"; ValueError where there is none."""
    wanted = number.split("_")[0].zfill(2)
    for exercise in EXERCISES:
        if exercise.number == wanted:
            return exercise
    raise ValueError(f"exercise is {number!r}: expected one of {', '.join(e.number for e in EXERCISES)}")
