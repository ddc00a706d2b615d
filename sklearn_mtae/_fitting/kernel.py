"""Kernel ridge regression on the classes of labels: it uses nearby rows, where networks are smooth."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.embeddings import soften
from sklearn_mtae.nn.models import Autoencoder

MOST_CENTRES = 2_000
"""Maximum number of rows that it learns from: its time grows with their cube."""
MOST_SYSTEMS = 10
"""Number of systems of equations that may have this many rows; if there are more, each has fewer, for the same total
time. Tasks that have labels of the same rows share one."""
LOCALITY = 2.0
"""Closeness of two rows is `exp(-LOCALITY * squared distance / total variance)`."""
RIDGE = 1.0
"""Penalty of the squared norm, relative to a row's squared error."""
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
        near = closeness(kernel_inputs(model, x), centres, self.variance)
        shares = rates + (near @ coefficients.flatten(1)).unflatten(1, rates.shape)
        is_class = rates > 0
        least = LEAST_SHARE / is_class.sum(-1, keepdim=True)
        shares = torch.where(is_class, shares.maximum(least), 0.0)
        return shares / shares.sum(-1, keepdim=True)

    @property
    def n_copies(self) -> int:
        """Factor by which the cells of a row grow while it is compared with the centres."""
        return max(1, self.centres.shape[0] // self.centres.shape[1])


class KernelLearner:
    """Rows and labels, parts of which kernels are fitted to.

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
        self.variance = float(centres.var(axis=0).sum()) or 1.0
        rows = torch.from_numpy(centres)
        self.near = closeness(rows, rows, self.variance).numpy()
        self.weight = weight
        self.is_label = (labels[:, :, None] == np.arange(n_classes)).astype(float)

    def fit(self, chosen: NDArray[np.bool_], rates: NDArray) -> Kernel:
        """Return the kernel of the chosen rows, given the base rates among them."""
        weight, is_label = self.weight[chosen], self.is_label[chosen]
        near = self.near[np.ix_(chosen, chosen)]
        coefficients = np.zeros(is_label.shape)
        patterns, of_task = np.unique(weight, axis=1, return_inverse=True)
        for k, own in enumerate(patterns.T):
            counted, tasks = np.flatnonzero(own), np.flatnonzero(of_task.ravel() == k)
            if len(counted):
                away = (is_label - rates)[np.ix_(counted, tasks)]
                ridge = np.diag(RIDGE * own[counted].mean() / own[counted])
                factor = torch.linalg.cholesky(torch.from_numpy(near[np.ix_(counted, counted)] + ridge))
                solved = torch.cholesky_solve(torch.from_numpy(away).flatten(1), factor)
                coefficients[np.ix_(counted, tasks)] = solved.numpy().reshape(away.shape)
        weights = np.ones(len(rates))
        return Kernel(self.centres[chosen].astype(np.float32), self.variance, coefficients, rates, weights)


def kernel_inputs(model: Autoencoder, x: Tensor) -> Tensor:
    """Return standardised rows as a kernel compares them: cells filled, outliers drawn in."""
    return soften(model.fill(x))


def closeness(rows: Tensor, centres: Tensor, variance: float) -> Tensor:
    """Return the closeness of each row to each centre: 1 if equal, 0 if far away."""
    squares = rows.square().sum(-1, keepdim=True) + centres.square().sum(-1)
    distances = torch.addmm(squares, rows, centres.T, alpha=-2.0).clamp_(min=0.0)
    return distances.mul_(-LOCALITY / variance).exp_()


def n_centres(weight: NDArray) -> int:
    """Return the number of rows to learn from, given the weights of labels, shape (n_rows, n_tasks)."""
    n_systems = np.unique(weight, axis=1).shape[1]
    return round(MOST_CENTRES * min(1.0, MOST_SYSTEMS / n_systems) ** (1 / 3))
