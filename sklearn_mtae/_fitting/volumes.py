"""Volumes of joint regions, in the product of the standard deviations of errors."""

from collections.abc import Sequence
from math import lgamma, log, pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from .copula import deviances
from .margins import FARTHEST, Margin

N_POINTS = 4096
"""Quasi-random points that a volume is estimated with."""


def volume_of_box(margins: Sequence[Margin], reach: float) -> float:
    """Return the volume of simultaneous intervals: see `Margin.ends`."""
    if margins and np.isinf(reach):
        return np.inf
    return float(np.prod([np.ptp(margin.errors_at(margin.ends(reach))) for margin in margins]))


def volume_of_level_set(margins: Sequence[Margin], correlation: NDArray, deviance: float) -> float:
    """Return the volume of the errors with at most a deviance: see `deviances`.

    It is that of an ellipsoid, times the ratio of both by importance sampling, which is 1 if errors are normal.
    """
    k = len(margins)
    if k == 0 or np.isinf(deviance):
        return np.inf if k else 1.0
    counts = any(margin.least_log_slope for margin in margins)
    # A smaller ellipsoid would have too few of the points to compare with.
    square = max(deviance, k / 3) if counts else deviance
    if square <= 0:
        return 0.0
    # Most of a volume is near its surface, and where slopes count, it may lie far from the middle.
    spread = max(1.0, square / k) if counts else square / k
    root, points = np.linalg.cholesky(correlation), ndtri(qmc.Sobol(k, rng=np.random.default_rng(0)).random(N_POINTS))
    squares, z = spread * (points**2).sum(axis=1), np.sqrt(spread) * points @ root.T
    weight = np.exp((squares - square) / (2 * spread))
    inside = (deviances(margins, correlation, z) <= deviance) & (np.abs(z) < FARTHEST).all(axis=1)
    slopes = np.prod([margin.slopes(column) for margin, column in zip(margins, z.T, strict=True)], axis=0)
    ratio = (weight * slopes)[inside].sum() / weight[squares <= square].sum()
    return float(ratio * np.exp(k / 2 * log(pi * square) - lgamma(k / 2 + 1)) * np.diag(root).prod())
