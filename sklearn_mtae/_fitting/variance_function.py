"""The variances of errors as functions of the columns and of what is predicted."""

from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.models import Autoencoder

from .kernel import kernel_inputs


@dataclass(eq=False)
class VarianceFunction:
    """Logs of the variances of errors, relative to those that are stated, linear in the columns and the predicted mean.

    Parameters
    ----------
    slopes : ndarray of shape (n_columns, n_tasks)
        Slopes along the columns, as networks see them; zeros for a task whose errors are everywhere as large as stated.
    of_mean : ndarray of shape (n_tasks,)
        Slope along the predicted mean, in the units of the tasks.
    low, high : ndarray of shape (n_tasks,)
        Bounds of the logs: those of held-out rows.
    """

    slopes: NDArray
    of_mean: NDArray
    low: NDArray
    high: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the part of the logs that comes from the columns of standardised rows, shape (n_rows, n_tasks)."""
        columns = kernel_inputs(model, x)
        return columns @ torch.from_numpy(self.slopes).to(columns)

    def factors(self, logs: Tensor, means: Tensor) -> Tensor:
        """Return the factors of standard deviations, given the part of the columns and the means in their units."""
        of_mean, low, high = (torch.from_numpy(own).to(logs) for own in (self.of_mean, self.low, self.high))
        return ((logs + means * of_mean).clamp(low, high) / 2).exp()
