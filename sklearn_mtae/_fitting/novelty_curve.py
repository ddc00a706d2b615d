"""How novelty grows with what is left of the variance, as the errors of held-out rows ask for it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .novelty import novelty_of, variances_of

POWERS = tuple(2 ** (k / 2) for k in range(11))
"""Powers of the part of the variance that is left. The larger, the farther away a row must be to be novel."""
FAR_POWERS = (64.0, 1024.0)
"""Powers by which only rows far from all others are novel; the first one that errors do not contradict is taken."""
LEAST_GAIN = 4.0
"""By how many nats errors must be likelier than where only rows far from all others are novel."""
MOST_LOSS = 0.5
"""By how many nats they may be less likely than where no row is novel, else they contradict that those far are."""
LEAST_NEAR = 0.01
"""Minimum variance where nothing is novel, as a part of the mean squared error."""
NEAREST = 0.05
"""Part of the held-out rows that have less left than what counts as the least."""


class Curve(NamedTuple):
    """How the novelty of rows grows with what is left of the variance; by default, no row is novel."""

    loss: float = np.inf
    """Minus the log-likelihood of the errors, in nats, up to a constant."""
    shape: int = 0
    """Which of the shapes says what is left."""
    least: float = 0.0
    """Least part of the variance that is left."""
    powers: tuple[float, float] = (1.0, 1.0)
    """Powers of what is left."""
    shares: tuple[float, float] = (0.0, 0.0)
    """Factors of these."""
    near: float = 0.0
    """The variance of labels around predictions where nothing is novel."""

    def novelty(self, left: NDArray) -> NDArray:
        """Return the novelty of rows, given what is left with the shape."""
        return novelty_of(left, self.least, self.powers, self.shares)

    def variances(self, left: NDArray, far: NDArray) -> NDArray:
        """Return the variances of labels around predictions, given those if nothing is known of the rows."""
        return variances_of(self.novelty(left), self.near, far)


class Errors(NamedTuple):
    """Errors of held-out rows."""

    squares: NDArray
    """Their squares, shape (n_rows,)."""
    far: NDArray
    """Variances of the labels around the predictions if nothing is known of the rows, shape (n_rows,)."""
    share: NDArray
    """Weights of the rows, which add up to 1."""
    size: float
    """How many rows, or groups of rows, of equal weights would say as much."""

    @property
    def mean(self) -> float:
        """The mean of the squares."""
        return float(self.share @ self.squares)

    def loss(self, variances: NDArray) -> float:
        """Return minus the log-likelihood, up to a constant, with the best factor of the variances.

        There will be a factor: deviations are scaled to fit all errors.
        """
        scaled = np.log(variances) + np.log(self.share @ (self.squares / variances))
        return float(self.size / 2 * (self.share @ scaled))

    def curve(self, left: NDArray, shape: int, power: float, far_power: float | None = None) -> Curve:
        """Return the curve with a shape and a power by which the mean of the variances is that of the squares.

        Novelty is `left^power`, unless its part of the variance is more than there is to share out. Then it is
        `share * left^power + (1 - share) * left^far_power`, with the share that is right.

        Parameters
        ----------
        left : ndarray of shape (n_rows,)
            Part of the variance that is left with the shape.
        shape : int
            Which of the shapes it is.
        power : float
            The power.
        far_power : float or None, default=None
            The power by which rows far from all others are novel, however small the share. None means that they need
            not be: there is no second term.
        """
        least = float(np.quantile(left, NEAREST))
        left = np.maximum(left, least)
        novelty, mean = left**power, self.mean
        of_novel, rest = float(self.share @ (novelty * self.far)), float(self.share @ (1 - novelty))
        near, shares = (min((mean - of_novel) / rest, mean) if rest > 0 else 0.0), (1.0, 0.0)
        if near < LEAST_NEAR * mean:
            near = LEAST_NEAR * mean
            shares = self._shares(near, novelty, None if far_power is None else left**far_power)
        curve = Curve(0.0, shape, least, (power, far_power or 1.0), shares, near)
        return curve._replace(loss=self.loss(curve.variances(left, self.far)))

    def _shares(self, near: float, novelty: NDArray, farthest: NDArray | None) -> tuple[float, float]:
        """Return the factors of two novelties by which the mean of the variances is that of the squares."""
        beyond = np.maximum(self.far - near, 0.0)
        added = float(self.share @ (novelty * beyond))
        by_farthest = 0.0 if farthest is None else float(self.share @ (farthest * beyond))
        share = max(self.mean - near - by_farthest, 0.0) / (added - by_farthest) if added > by_farthest else 1.0
        return share, 0.0 if farthest is None else 1 - share


def choose_curve(left: NDArray, errors: Errors) -> Curve:
    """Return the curve by which the errors of held-out rows are likeliest.

    Rows far from all others are novel unless errors contradict it. With each shape, the lowest of `FAR_POWERS` that is
    not contradicted says how far that is. The lowest of all is the default; without any, no row is novel. Curves with
    one of the lower `POWERS`, by which other rows are novel too, must be better by `LEAST_GAIN`.

    Parameters
    ----------
    left : ndarray of shape (n_rows, n_shapes)
        Parts of the variance that are left.
    errors : Errors
        The errors.
    """
    if not errors.mean > 0:
        return Curve(powers=(FAR_POWERS[0], 1.0), shares=(1.0, 0.0))
    flat = Curve(errors.loss(np.full(len(left), errors.mean)), near=errors.mean)
    of_far = [errors.curve(own, shape, power) for power in FAR_POWERS for shape, own in enumerate(left.T)]
    # With a share below 1, too much of the variance is that of these rows.
    agreeing = [curve for curve in of_far if curve.shares[0] == 1 and curve.loss < flat.loss + MOST_LOSS]
    default = agreeing[0] if agreeing else flat
    far_powers = {curve.shape: curve.powers[0] for curve in reversed(agreeing)}
    # Where some shapes agree that rows may be novel, the others do not compete.
    competing = far_powers or dict.fromkeys(range(left.shape[1]))
    best = min(errors.curve(left[:, k], k, power, far) for k, far in competing.items() for power in POWERS)
    return best if best.loss < default.loss - LEAST_GAIN else default
