"""Tail probabilities whose closed forms are special functions that torch lacks, or cannot differentiate.

Each is the integral of a log-concave density from a point outwards. Relative to its value at that point, such a density
falls at least exponentially, so that a few nodes give all digits of float32, in any tail and for any shape; and the
derivative of a sum over nodes is what autograd computes anyway. The other side is the complement.
"""

from collections.abc import Callable
from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

POSITIONS, LENGTHS = (own / 2 for own in np.polynomial.legendre.leggauss(32))
POSITIONS = POSITIONS + 0.5
# Squared: closer together near the start, where a density may bend before it falls evenly.
NODES, LOG_WEIGHTS = (POSITIONS**2).tolist(), np.log(2 * POSITIONS * LENGTHS).tolist()
FAR = 20.0
"""Nats by which the density has fallen at the end of an integral: 2e-9 of it is beyond."""
N_HALVINGS, WIDEST = 10, 36.0
"""Steps of the search for that end, and the largest absolute logarithm of its distance."""
SMALL = 0.5
ROOT_TWO = sqrt(2)
LARGE = 16.0
"""Shape from which on a gamma function comes from Stirling's series."""


def log_ndtr(x: Tensor) -> Tensor:
    """Return the logarithm of the standard normal distribution function, which torch's own `vmap` does one by one."""
    # Each branch gets arguments of its own range.
    low, high = x.clamp(max=-1.0), x.clamp(min=-1.0)
    far = (torch.special.erfcx(-low / ROOT_TWO) / 2).log() - low.square() / 2
    return torch.where(x < -1, far, torch.log1p(-torch.special.erfc(high / ROOT_TWO) / 2))


class Tails(NamedTuple):
    """Logarithms of the probabilities of both sides of a point."""

    below: Tensor
    above: Tensor


def log_integral(drop: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Return `log(integral of exp(-drop(w)) over w > 0)` for a convex function that increases from 0.

    Parameters
    ----------
    drop : callable
        The function, for tensors of the shape of `start`.
    start : Tensor of any shape
        Gives the shape and the precision.
    """
    with torch.no_grad():
        low, high = (torch.full_like(start, sign * WIDEST) for sign in (-1, 1))
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            is_far = ~(drop(middle.exp()) <= FAR)  # NaN, zero times infinity, is far too
            low, high = torch.where(is_far, low, middle), torch.where(is_far, middle, high)
        width = high.exp()
    terms = [log_weight - drop(width * node) for node, log_weight in zip(NODES, LOG_WEIGHTS, strict=True)]
    return width.log() + torch.stack(terms).logsumexp(0)


def both_sides(log_tail: Tensor, is_above: Tensor) -> Tails:
    """Return both sides, given one, and which one it is."""
    log_tail = log_tail.clamp(max=-torch.finfo(log_tail.dtype).eps)
    rest = torch.log1p(-log_tail.exp())
    return Tails(torch.where(is_above, rest, log_tail), torch.where(is_above, log_tail, rest))


def excess(w: Tensor) -> Tensor:
    """Return `exp(w) - 1 - w`, by its series near 0, where the difference cancels."""
    near = w.clamp(-SMALL, SMALL)
    series = torch.ones_like(w)
    for k in range(9, 2, -1):
        series = 1 + near * series / k
    return torch.where(w.abs() < SMALL, near.square() / 2 * series, w.expm1() - w)


def log_normalizer(log_shape: Tensor) -> Tensor:
    """Return `shape log(shape) - shape - log Gamma(shape)`."""
    # Each formula gets arguments from its own range only: an overflow would still reach the gradient.
    small, edge = log_shape.exp().clamp(max=LARGE), log(LARGE)
    near = small * log_shape.clamp(max=edge) - small - torch.lgamma(small)
    inverse = (-log_shape.clamp(min=edge)).exp()
    square = inverse.square()
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
    far = 0.5 * (log_shape - log(2 * pi)) - series
    return torch.where(log_shape < edge, near, far)


def gamma_tails(log_shape: Tensor, u: Tensor, bound: float) -> Tails:
    """Return the tails of gamma distributions at values with `u = log(value / mean)`.

    Of `v = log(value / mean)`, the log-density is `-shape (exp(v) - 1 - v)` and a constant.

    Parameters
    ----------
    log_shape, u : Tensor of one shape
        Logarithm of the shape, and the point.
    bound : float
        From there on, the logarithm of the upper tail goes on along its tangent, so that nothing overflows.
    """
    near = u.clamp(max=bound)
    is_above, slope, shape = near > 0, near.exp(), log_shape.exp()
    sign = torch.where(is_above, 1.0, -1.0).to(u)
    steep = near.expm1().abs()
    inside = log_integral(lambda w: shape * (steep * w + slope * excess(sign * w)), u)
    log_tail = log_normalizer(log_shape) - shape * excess(near) + inside
    return both_sides(log_tail - shape * slope * (u - near), is_above)


def student_tails(df: float, constant: float, t: Tensor) -> Tails:
    """Return the tails of Student's t distribution; `constant` is the log-density at 0.

    Of `v = asinh(t / sqrt(df))`, the log-density is `-df log(cosh(v))` and a constant.
    """
    scaled = t.abs() / df**0.5
    # The root's slope is that of the value itself, which is far from 0 wherever its square is not 1.
    tanh = scaled * (1 + scaled.square()).rsqrt()

    def drop(w: Tensor) -> Tensor:
        return df * torch.log1p(2 * (w / 2).sinh().square() + tanh * w.sinh())

    log_density = constant + 0.5 * log(df) - 0.5 * df * torch.log1p(scaled.square())
    return both_sides(log_density + log_integral(drop, t), t > 0)


def beta_tails(a: Tensor, b: Tensor, v: Tensor) -> Tails:
    """Return the tails of the logits of beta distributions.

    Of a logit v, the log-density is `a v - (a + b) log(1 + exp(v))` and a constant, which integrals on both sides of
    the mode give: a difference of logarithms of gamma functions would cancel.

    Parameters
    ----------
    a, b, v : Tensor of one shape
        Parameters of the distributions, and the points.
    """
    mode = a.log() - b.log()

    def drop_from(start: Tensor, sign: Tensor | float) -> Callable[[Tensor], Tensor]:
        return lambda w: (a + b) * _rise(start, sign * w) - a * sign * w

    is_above = v > mode
    sign = torch.where(is_above, 1.0, -1.0).to(v)
    total = torch.logaddexp(*(log_integral(drop_from(mode, side), v) for side in (-1.0, 1.0)))
    log_tail = log_integral(drop_from(v, sign), v) - drop_from(mode, 1.0)(v - mode)
    return both_sides(log_tail - total, is_above)


def _rise(v: Tensor, w: Tensor) -> Tensor:
    """Return `log(1 + exp(v + w)) - log(1 + exp(v))`."""
    near = torch.log1p(v.sigmoid() * w.clamp(-SMALL, SMALL).expm1())
    far = torch.nn.functional.softplus(v + w) - torch.nn.functional.softplus(v)
    return torch.where(w.abs() < SMALL, near, far)
