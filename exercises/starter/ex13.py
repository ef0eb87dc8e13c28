"""Exercise 13: the bug museum. Write the tests that catch fourteen famous bugs.

`exercises/museum.py` has a right VAE and fourteen wrong ones. Its class `Piece` says what each function should do. Each of your
functions gets one of these fifteen models and calls functions of this model. It returns the number of the bug that it found, or
0. It also returns 0 for a bug that belongs to another of your functions. It must not read `model.number`.
"""

import numpy as np

from exercises.museum import Piece


def find_in_losses(model: Piece) -> int:
    """Bugs 1 (pixel-mean BCE), 2 (mean squared error), 3 (sigmoid, then log: in float32, clamped at 100)."""
    raise NotImplementedError("find_in_losses")


def find_in_posterior(model: Piece) -> int:
    """Bugs 4 (variance as standard deviation), 5 (sigma as variance in the KL), 8 (evaluated at the mean)."""
    raise NotImplementedError("find_in_posterior")


def find_in_objectives(model: Piece) -> int:
    """Bugs 6 (beta unread), 7 (beta in the report), 9 (log 5 for log K), 10 (free bits per image), 11 (mean |KL - C|)."""
    raise NotImplementedError("find_in_objectives")


def find_in_data(model: Piece) -> int:
    """Bugs 12 (inverted digits), 13 (height and width exchanged), 14 (test digits in the training set)."""
    raise NotImplementedError("find_in_data")
