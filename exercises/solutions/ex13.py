"""Exercise 13, one solution."""

import numpy as np

from exercises.museum import Piece


def find_in_losses(model: Piece) -> int:
    """Bugs 1 (pixel-mean BCE), 2 (mean squared error), 3 (sigmoid, then log: in float32, clamped at 100)."""
    zeros, ones = np.zeros((1, 1, 2, 3)), np.ones((1, 1, 2, 3))
    if not abs(model.reconstruction(zeros, ones)[0] - 6 * np.log(2)) <= 1e-4:  # log 2 for each of six pixels
        return 1
    if not abs(model.squared_error(zeros, ones)[0] - 6) <= 1e-9:
        return 2
    # x = 0 with logit 20 costs 20 nats a pixel; there float32's sigmoid is exactly 1
    if not abs(model.reconstruction(20 * ones, zeros)[0] - 6 * 20) <= 1e-3:
        return 3
    return 0


def find_in_posterior(model: Piece) -> int:
    """Bugs 4 (variance as standard deviation), 5 (sigma as variance in the KL), 8 (evaluated at the mean)."""
    mu, logvar, eps = np.array([[0.5, -1.0]]), np.array([[1.0, -0.7]]), np.array([[0.3, -1.2]])
    z = mu + np.exp(logvar / 2) * eps
    if not np.abs(model.sample(mu, logvar, eps) - z).max() <= 1e-9:
        return 4
    if not abs(model.kl(np.array([[2.0]]), np.array([[1.0]]))[0] - 2.359141) <= 1e-5:
        return 5
    return 0 if np.abs(model.evaluation_z(mu, logvar, eps) - z).max() <= 1e-9 else 8


def find_in_objectives(model: Piece) -> int:
    """Bugs 6 (beta unread), 7 (beta in the report), 9 (log 5 for log K), 10 (free bits per image), 11 (mean |KL - C|)."""
    distortion, kl = np.array([90.0, 110.0]), np.array([5.0, 11.0])
    if model.loss(distortion, kl, 2.0) == model.loss(distortion, kl, 3.0):
        return 6
    if model.report(distortion, kl, 2.0) != model.report(distortion, kl, 3.0):
        return 7
    if not abs(model.iwae(np.full((3, 1), -90.0))[0] - -90.0) <= 1e-9:  # equal weights: the bound is that weight, for any K
        return 9
    if not abs(model.free_bits(np.array([[0.0], [1.0]]), 0.25) - 0.5) <= 1e-9:  # on average above the floor, one image below
        return 10
    return 0 if model.capacity(kl, 8.0) == 0 else 11  # on average on the target, each image off it


def find_in_data(model: Piece) -> int:
    """Bugs 12 (inverted digits), 13 (height and width exchanged), 14 (test digits in the training set)."""
    if model.binarise(np.array([0.9]), np.array([0.5]))[0] != 1:
        return 12
    if not np.array_equal(model.unflatten(np.arange(12.0)[None], 2, 2, 3)[0, 0], [[0, 1, 2], [3, 4, 5]]):
        return 13
    train, test = model.split(50, 0)
    return 14 if set(train) & set(test) else 0
