"""Schedules: factors that change during training. Each is a function of `progress`, from 0 (first step) to 1 (end of training).

ValueError if progress is outside 0 to 1, or if another argument is out of its range.
"""

import math

from vae_numpy.checks import check_at_least


def linear(progress: float, rise: float = 0.5) -> float:
    """Rises from 0 to 1 until `rise`, then stays. KL annealing multiplies the KL by it (Bowman et al. 2015, arXiv:1511.06349)."""
    _check(progress, rise)
    return min(1.0, progress / rise)


def cyclical(progress: float, cycles: int = 4, rise: float = 0.5) -> float:
    """`linear`, repeated `cycles` times (Fu et al. 2019, arXiv:1903.10145, eq. 6-7, where `cycles` is M and `rise` is R)."""
    _check(progress, rise)
    check_at_least(1, cycles=cycles)
    return linear(progress * cycles % 1.0, rise) if progress < 1 else 1.0


def one_cycle(progress: float) -> float:
    """A factor for the learning rate (Smith & Topin 2017; two phases, as in torch): it rises from 1/25 to 1 until progress is
    0.3, then falls to 1e-5."""
    _check(progress)
    low, along = (1 / 25, progress / 0.3) if progress < 0.3 else (1e-5, (1 - progress) / 0.7)
    return low + (1 - low) * (1 - math.cos(math.pi * along)) / 2


def _check(progress: float, rise: float = 1.0) -> None:
    if not 0 <= progress <= 1:  # this also refuses NaN, for which `linear` would return 1
        raise ValueError(f"progress is {progress}: expected 0 to 1")
    if not 0 < rise <= 1:
        raise ValueError(f"rise is {rise}: expected more than 0, at most 1")
