"""Kernel ridge regression on numbers and on classes: it uses nearby rows, where networks are smooth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.linear import LANES
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.embeddings import soften
from sklearn_mtae.nn.models import Autoencoder

MOST_CENTRES = 2_000
"""Maximum number of rows that a kernel of classes learns from: its time grows with their cube."""
MOST_NUMBER_CENTRES = 1_000
"""The same for numbers, for which there are several kernels."""
MOST_SYSTEMS = 10
"""Number of systems of equations that may have this many rows; if there are more, each has fewer, for the same total
time. Tasks that have labels of the same rows share one."""
LOCALITY, LOCALITIES = 2.0, (0.5, 2.0, 8.0)
"""Closeness of two rows is `exp(-locality * squared distance / total variance)`: for classes, and to choose among."""
RIDGE, RIDGES = 1.0, (0.01, 0.1, 1.0)
"""Penalty of the squared norm, relative to a row's squared error: for classes, and to choose among."""
LEAST_SPREAD = 1e-10
"""Minimum total variance of rows, as a part of their mean squared norm: distances are rounding errors below it."""
LEAST_SHARE = 0.02
"""Minimum probability of a class, divided by the number of classes: a regression may fall below 0."""


@dataclass(eq=False)
class Kernel:
    """Class probabilities from the classes of nearby rows.

    Parameters
    ----------
    centres : ndarray of shape (n_centres, n_columns)
        The training rows, as networks see them.
    variance : float
        Their total variance.
    coefficients : ndarray of shape (n_centres, n_tasks, n_classes)
        Contribution of each centre to the probabilities, per unit of closeness.
    rates : ndarray of shape (n_tasks, n_classes)
        Base rates; zero for classes of other tasks.
    weights : ndarray of shape (n_tasks,)
        Its weight in the average with the members.
    """

    centres: NDArray
    variance: float
    coefficients: NDArray
    rates: NDArray
    weights: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the class probabilities of standardised rows, shape (n_rows, n_tasks, n_classes)."""
        centres, coefficients, rates = (
            torch.from_numpy(own).to(x) for own in (self.centres, self.coefficients, self.rates)
        )
        near = closeness(squared_distances(kernel_inputs(model, x), centres), self.variance)
        shares = rates + (near @ coefficients.flatten(1)).unflatten(1, rates.shape)
        is_class = rates > 0
        least = LEAST_SHARE / is_class.sum(-1, keepdim=True)
        shares = torch.where(is_class, shares.maximum(least), 0.0)
        return shares / shares.sum(-1, keepdim=True)

    @property
    def n_copies(self) -> int:
        """Factor by which the cells of a row grow while it is compared with the centres."""
        return max(1, self.centres.shape[0] // self.centres.shape[1])


@dataclass(eq=False)
class NumberKernel:
    """Numbers as sums over nearby rows, in the units of the tasks and without their means.

    Parameters
    ----------
    centres : ndarray of shape (n_centres, n_columns)
        The training rows, as networks see them, and zeros up to a multiple of `LANES`.
    variance : float
        Their total variance.
    localities : ndarray of shape (n_localities,)
        How fast closeness falls with distance.
    coefficients : ndarray of shape (n_localities, n_centres, n_columns)
        Contribution of each centre, per unit of closeness, to the tasks and to columns up to a multiple of `LANES`.
    weights : ndarray of shape (n_tasks,)
        Its weight among the baselines.
    """

    centres: NDArray
    variance: float
    localities: NDArray
    coefficients: NDArray
    weights: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the sums for standardised rows, shape (n_rows, n_tasks)."""
        return torch.stack(list(self.parts(model, x))).sum(0)[:, : len(self.weights)]

    def parts(self, model: Autoencoder, x: Tensor) -> Iterator[Tensor]:
        """Yield the sums of each locality; large coefficients of both signs nearly cancel, so x must be in float64."""
        centres, coefficients = (torch.from_numpy(own).to(x) for own in (self.centres, self.coefficients))
        distances = squared_distances(kernel_inputs(model, x), centres)
        for locality, own in zip(self.localities.tolist(), coefficients, strict=True):
            yield (closeness(distances, self.variance, locality) @ own.flatten(1)).unflatten(1, own.shape[1:])

    @property
    def n_copies(self) -> int:
        """Factor by which the cells of a row grow while it is compared with the centres."""
        return max(1, 2 * self.centres.shape[0] // self.centres.shape[1])


class KernelLearner:
    """Rows and classes, parts of which kernels are fitted to.

    Parameters
    ----------
    centres : ndarray of shape (n_centres, n_columns)
        Rows as networks see them.
    labels : ndarray of shape (n_centres, n_tasks)
        Positions of their classes; NaN where there is no label.
    weight : ndarray of shape (n_centres, n_tasks)
        Weights of the labels; zero where there is none.
    n_classes : int
        Maximum number of classes of a task.
    """

    def __init__(self, centres: NDArray, labels: NDArray, weight: NDArray, n_classes: int) -> None:
        self.centres = centres
        self.variance = total_variance(centres)
        rows = torch.from_numpy(centres)
        self.near = closeness(squared_distances(rows, rows), self.variance).numpy()
        self.weight = weight
        self.is_label = (labels[:, :, None] == np.arange(n_classes)).astype(float)

    def fit(self, chosen: NDArray[np.bool_], rates: NDArray) -> Kernel:
        """Return the kernel of the chosen rows, given the base rates among them."""
        near, away = self.near[np.ix_(chosen, chosen)], self.is_label[chosen] - rates
        coefficients = regress(near, away, self.weight[chosen], RIDGE)
        return Kernel(self.centres[chosen].astype(np.float32), self.variance, coefficients, rates, np.ones(len(rates)))


class NumberKernelLearner:
    """Rows and numbers, parts of which kernels of each locality and penalty are fitted to.

    Parameters
    ----------
    centres : ndarray of shape (n_centres, n_columns)
        Rows as networks see them.
    y, weight : ndarray of shape (n_centres, n_tasks)
        Labels in the units of the tasks, and their weights; labels of weight zero may be NaN.
    """

    n_kernels = len(LOCALITIES) * len(RIDGES)

    def __init__(self, centres: NDArray, y: NDArray, weight: NDArray) -> None:
        self.centres = centres.astype(np.float32)
        self.variance = total_variance(centres)
        self.y, self.weight = np.where(weight > 0, y, 0.0), weight
        rows = torch.from_numpy(self.centres).double()
        self.distances = squared_distances(rows, rows)

    def fit(self, chosen: NDArray[np.bool_]) -> "Trials":
        """Return kernels of the chosen rows."""
        weight, y = self.weight[chosen], self.y[chosen]
        means = (weight * y).sum(axis=0) / np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
        away, coefficients = (y - means)[..., None], []
        rows = torch.from_numpy(np.flatnonzero(chosen))
        distances = self.distances[rows[:, None], rows]
        for locality in LOCALITIES:
            near = closeness(distances, self.variance, locality).numpy()
            coefficients.append(np.concatenate([regress(near, away, weight, ridge) for ridge in RIDGES], axis=2))
        kernel = NumberKernel(
            self.centres[chosen], self.variance, np.array(LOCALITIES), np.stack(coefficients), np.ones(len(means))
        )
        return Trials(kernel, means)


class Trials(NamedTuple):
    """Kernels of each locality and penalty, to choose among."""

    kernel: NumberKernel
    """The kernels, with a last axis of coefficients for the penalties."""
    means: NDArray
    """Means of the labels, shape (n_tasks,)."""

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return what each predicts for standardised rows, shape (n_rows, n_tasks, n_kernels)."""
        return torch.cat(list(self.kernel.parts(model, x)), dim=-1) + torch.from_numpy(self.means)[:, None].to(x)

    @property
    def n_copies(self) -> int:
        """That of the kernels."""
        return self.kernel.n_copies

    def mixed(self, shares: NDArray) -> NumberKernel:
        """Return the sum of the kernels with shares of shape (n_kernels, n_tasks), without the means.

        Zeros fill its arrays up, so that all rows are treated alike: see `SIZES`.
        """
        own = shares.reshape(len(LOCALITIES), len(RIDGES), -1)
        used = own.any(axis=(1, 2))
        coefficients = np.einsum("lrt,lntr->lnt", own[used], self.kernel.coefficients[used])
        n_centres, n_tasks = ((0, -n % LANES) for n in coefficients.shape[1:])
        return NumberKernel(
            np.pad(self.kernel.centres, (n_centres, (0, 0))),
            self.kernel.variance,
            self.kernel.localities[used],
            np.pad(coefficients, ((0, 0), n_centres, n_tasks)),
            shares.sum(axis=0),
        )


def regress(near: NDArray, y: NDArray, weight: NDArray, ridge: float) -> NDArray:
    """Return the coefficients of kernel ridge regressions, shape (n_centres, n_tasks, n_outputs).

    Parameters
    ----------
    near : ndarray of shape (n_centres, n_centres)
        Closeness of the rows.
    y : ndarray of shape (n_centres, n_tasks, n_outputs)
        Values to predict.
    weight : ndarray of shape (n_centres, n_tasks)
        Weights of the labels; zero where there is none.
    ridge : float
        Penalty of the squared norm.
    """
    coefficients = np.zeros(y.shape)
    patterns, of_task = np.unique(weight, axis=1, return_inverse=True)
    for k, own in enumerate(patterns.T):
        counted, tasks = np.flatnonzero(own), np.flatnonzero(of_task.ravel() == k)
        if len(counted):
            away = y[np.ix_(counted, tasks)]
            penalty = np.diag(ridge * own[counted].mean() / own[counted])
            factor = torch.linalg.cholesky(torch.from_numpy(near[np.ix_(counted, counted)] + penalty))
            solved = torch.cholesky_solve(torch.from_numpy(away).flatten(1), factor)
            coefficients[np.ix_(counted, tasks)] = solved.numpy().reshape(away.shape)
    return coefficients


def kernel_inputs(model: Autoencoder, x: Tensor) -> Tensor:
    """Return standardised rows as a kernel compares them: cells filled, outliers drawn in."""
    return soften(model.fill(x))


def total_variance(rows: NDArray) -> float:
    """Return the total variance of rows; infinity where all are the same but for rounding, so that all are near."""
    variance = rows.var(axis=0).sum()
    return float(variance) if variance > LEAST_SPREAD * np.square(rows).sum(axis=1).mean() else np.inf


def squared_distances(rows: Tensor, centres: Tensor) -> Tensor:
    """Return the squared distance of each row from each centre."""
    squares = rows.square().sum(-1, keepdim=True) + centres.square().sum(-1)
    return torch.addmm(squares, rows, centres.T, alpha=-2.0).clamp_(min=0.0)


def closeness(distances: Tensor, variance: float, locality: float = LOCALITY) -> Tensor:
    """Return the closeness of rows at squared distances: 1 if equal, 0 if far away."""
    return (distances * (-locality / variance)).exp_()


def choose_centres(rows: NDArray, weight: NDArray, n_most: int = MOST_CENTRES, n_kernels: int = 1) -> NDArray:
    """Return the index of rows to learn from: evenly spaced ones that have a label, with an equal share of each task.

    Parameters
    ----------
    rows : ndarray of int of shape (n_rows,)
        Index of the rows.
    weight : ndarray of shape (n_rows, n_tasks)
        Weights of their labels; zero where there is none.
    n_most, n_kernels
        See `n_centres`.
    """
    known = weight > 0
    n_chosen = n_centres(weight[evenly(np.flatnonzero(known.any(axis=1)), n_most)], n_most, n_kernels)
    chosen = np.unique(np.concatenate([evenly(rows[own], n_chosen // len(known.T)) for own in known.T]))
    others = np.setdiff1d(rows[known.any(axis=1)], chosen)
    return np.sort(np.concatenate([chosen, evenly(others, n_chosen - len(chosen))]))


def n_centres(weight: NDArray, n_most: int = MOST_CENTRES, n_kernels: int = 1) -> int:
    """Return the number of rows to learn from, given the weights of labels, shape (n_rows, n_tasks)."""
    n_systems = n_kernels * np.unique(weight, axis=1).shape[1]
    return round(n_most * min(1.0, MOST_SYSTEMS / n_systems) ** (1 / 3))
