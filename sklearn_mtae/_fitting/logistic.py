"""Multinomial logistic regressions of classes: the linear candidates beside networks."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from sklearn_mtae._engine.devices import threads_for
from sklearn_mtae._engine.linear import LANES
from sklearn_mtae.nn.models import Autoencoder

from .kernel import kernel_inputs

PENALTIES = (2e-4, 1e-3, 5e-3, 0.025, 0.125)
"""Penalties of half the squared slopes, per unit of weight and in the units of the columns."""
MOST_STEPS = 100
"""Maximum number of steps of a fit."""
LEAST_GAIN = 1e-7
"""Gain of a step, in nats per label, below which a fit ends."""
LEAST_VARIANCE = 1e-9
"""Variance below which the position of rows along a direction is rounding errors."""
MOST_PRODUCTS = 5e8
"""Maximum number of multiplications of a step, to which its time is proportional. Where there would be more, there are
no regressions."""


@dataclass(eq=False)
class ClassRegressions:
    """Class probabilities by logistic regressions.

    Parameters
    ----------
    slopes : ndarray of shape (n_regressions, n_columns, n_tasks, n_classes)
        Slopes of the logits.
    intercepts : ndarray of shape (n_regressions, n_tasks, n_classes)
        Logits at the columns' locations; minus infinity for classes of other tasks.
    weights : ndarray of shape (n_regressions, n_tasks)
        The weight of each regression in the average with the members.
    """

    slopes: NDArray
    intercepts: NDArray
    weights: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the weighted probabilities of standardised rows, shape (n_rows, n_tasks, n_classes)."""
        each = RegressionTrials(self.slopes, self.intercepts)(model, x)
        return (each * torch.from_numpy(self.weights.T[:, None]).to(x)).sum(-1)


class RegressionTrials(NamedTuple):
    """Regressions with each penalty, to choose among."""

    slopes: NDArray
    intercepts: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the probabilities by each for standardised rows, shape (n_rows, n_tasks, n_classes, n_regressions)."""
        columns = kernel_inputs(model, x)
        slopes = torch.from_numpy(self.slopes).to(columns).movedim(1, 0).flatten(1)
        n_logits = slopes.shape[1]
        logits = (columns @ pad(slopes, (0, -n_logits % LANES)))[:, :n_logits].unflatten(1, self.intercepts.shape)
        return (logits + torch.from_numpy(self.intercepts).to(columns)).softmax(-1).movedim(1, -1)

    def mixed(self, shares: NDArray) -> ClassRegressions:
        """Return the regressions that have shares of shape (n_penalties, n_tasks)."""
        used = shares.any(axis=1)
        return ClassRegressions(self.slopes[used], self.intercepts[used], shares[used])


class RegressionLearner:
    """Rows and classes, parts of which regressions are fitted to.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_columns)
        Rows as networks see them.
    is_label : ndarray of shape (n_rows, n_tasks, n_classes)
        1 for the class of each label, and 0.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of the labels; zero where there is none.
    """

    def __init__(self, rows: NDArray, is_label: NDArray, weight: NDArray) -> None:
        self.is_label, self.weight = torch.from_numpy(is_label), torch.from_numpy(weight)
        self.middle = torch.from_numpy(rows.mean(axis=0)) if len(rows) else torch.zeros(rows.shape[1]).double()
        away = torch.from_numpy(rows) - self.middle
        self.size = away.numel() * min(away.shape)
        with threads_for(self.size):
            values, self.turn = torch.linalg.eigh(away.T @ away)
            kept = values > LEAST_VARIANCE * len(away)
            self.turn, self.variances = self.turn[:, kept], values[kept] / len(away)
            self.rows = away @ self.turn

    def fit(self, chosen: NDArray[np.bool_], rates: NDArray) -> RegressionTrials:
        """Return the regressions of the chosen rows, given the base rates among them.

        The objective is the mean loss of the labels and of one more, which lies in the middle of the rows and is split
        over all classes, plus a penalty. Each step minimises a quadratic bound of it (Böhning 1992, doi
        10.1007/BF00048682), from a point ahead on the path (Beck and Teboulle 2009, doi 10.1137/080716542; restarts by
        O'Donoghue and Candès 2015, arXiv 1204.3982).
        """
        problem = Problem(self, torch.from_numpy(chosen), torch.from_numpy(rates))
        with threads_for(self.size):
            found = problem.solve()
            slopes = (self.turn @ found[1:].flatten(1)).unflatten(1, found.shape[1:])
            intercepts = found[0] - (self.middle @ slopes.flatten(1)).view_as(found[0]) + problem.closed
        return RegressionTrials(slopes.movedim(0, 1).numpy(), intercepts.numpy())


class Problem:
    """The equations of regressions with each of the penalties.

    Their coefficients, of shape (1 + n_directions, n_penalties, n_tasks, n_classes), are intercepts and then slopes
    along the principal directions of the learner's rows, in which the bound of the objective is diagonal.

    Parameters
    ----------
    learner : RegressionLearner
        The rows.
    chosen : Tensor of bool of shape (n_rows,)
        Which of them to learn from.
    rates : Tensor of shape (n_tasks, n_classes)
        Base rates; zero for classes of other tasks.
    """

    def __init__(self, learner: RegressionLearner, chosen: Tensor, rates: Tensor) -> None:
        is_class, rows = rates > 0, learner.rows[chosen]
        self.closed = torch.where(is_class, 0.0, -torch.inf)
        n_directions, middle = rows.shape[1], torch.eye(1, 1 + rows.shape[1], dtype=rows.dtype)
        self.rows = torch.cat([pad(rows, (1, 0), value=1.0), middle])
        of_middle = is_class / is_class.sum(-1, keepdim=True)
        self.labels = torch.cat([learner.is_label[chosen], of_middle[None]])
        share = torch.cat([learner.weight[chosen], torch.ones_like(learner.weight[:1])])
        self.share = share / share.sum(0)
        self.penalties = torch.tensor(PENALTIES, dtype=rows.dtype)[:, None, None].repeat(1 + n_directions, 1, 1, 1)
        self.penalties[0] = 0.0
        # No share is larger than the largest, and no curvature of a label's loss larger than half its squared position.
        squares = torch.cat([torch.ones(1, dtype=rows.dtype), learner.variances])[:, None, None, None]
        largest = self.share.max(0).values[:, None]
        self.curvature = (len(learner.rows) + 1) * largest * squares / 2 + self.penalties
        self.start = torch.zeros(1 + n_directions, len(PENALTIES), *rates.shape, dtype=rows.dtype)
        self.start[0] = torch.where(is_class, rates, 1.0).log()

    def gradient(self, at: Tensor) -> Tensor:
        """Return the gradient of the objective at some coefficients."""
        logits = (self.rows @ at.flatten(1)).unflatten(1, at.shape[1:])
        away = (logits + self.closed).softmax(-1) - self.labels[:, None]
        away *= self.share[:, None, :, None]
        return (self.rows.T @ away.flatten(1)).view_as(at) + self.penalties * at

    def solve(self) -> Tensor:
        """Return the coefficients that minimise the objective."""
        last = ahead = self.start
        pace = torch.ones(last.shape[1:3], dtype=last.dtype)
        for _ in range(MOST_STEPS):
            gradient = self.gradient(ahead)
            found = ahead - gradient / self.curvature
            step = found - last
            if ((step.square() * self.curvature).sum((0, 3)) < LEAST_GAIN).all():
                break
            is_wrong_way = (gradient * step).sum((0, 3)) > 0
            following = torch.where(is_wrong_way, 1.0, (1 + (1 + 4 * pace.square()).sqrt()) / 2)
            push = torch.where(is_wrong_way, 0.0, (pace - 1) / following)
            last, ahead, pace = found, found + push[..., None] * step, following
        return found


def are_quick(n_cells: int, n_outputs: int) -> bool:
    """Return whether a step of the regressions of some outputs on a table takes little time."""
    return n_cells * n_outputs * len(PENALTIES) <= MOST_PRODUCTS
