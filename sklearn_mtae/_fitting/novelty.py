"""How unlike the training rows a row is: baselines know little of novel rows, and their deviations say so."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae.nn.models import Autoencoder

from .kernel import Neighbours, kernel_inputs

Values = TypeVar("Values", NDArray, Tensor)


@dataclass(eq=False)
class Novelty:
    """The probability that nothing is known of a row but the distribution of all labels.

    It is `shares[0] * left^powers[0] + shares[1] * left^powers[1]`, where `left` is the part of its variance that a
    Gaussian process leaves, given labels of the centres: 0 near a centre, 1 far from all of them.

    Parameters
    ----------
    neighbours : Neighbours
        Sums over centres whose squares add up to the part of the variance that is explained.
    of_task : ndarray of int of shape (n_tasks,)
        Which of these sums each task has; any if it has no share.
    least : ndarray of shape (n_tasks,)
        Least part that is left: held-out rows tell nothing of errors at rows that are closer to others than they are.
    powers, shares : ndarray of shape (2, n_tasks)
        Powers of what is left, and their factors, which add up to 1 unless rows far from all others are predicted as
        well as these. No row is novel for a task whose factors are zero.
    means, deviations : ndarray of shape (n_tasks,)
        Means and standard deviations of the labels.
    """

    neighbours: Neighbours
    of_task: NDArray
    least: NDArray
    powers: NDArray
    shares: NDArray
    means: NDArray
    deviations: NDArray

    def __call__(self, model: Autoencoder, x: Tensor) -> Tensor:
        """Return the novelty of standardised rows for each task, shape (n_rows, n_tasks)."""
        left = part_left(self.neighbours, kernel_inputs(model, x))[:, torch.from_numpy(self.of_task)]
        return novelty_of(left, *(torch.from_numpy(own).to(left) for own in (self.least, self.powers, self.shares)))

    def widened(self, deviations: NDArray, novelty: NDArray, predicted: NDArray, units: NDArray) -> NDArray:
        """Return the deviations of labels from predictions, given those where nothing is novel.

        Their squares are `variances_of`.

        Parameters
        ----------
        deviations : ndarray of shape (n_tasks,)
            Deviations near the training rows.
        novelty, predicted : ndarray of shape (n_rows, n_tasks)
            Novelty of the rows, and predictions for them.
        units : ndarray of shape (n_tasks,)
            Units of the tasks.
        """
        far = variances_if_novel(predicted, self.means, self.deviations, units)
        return units * np.sqrt(variances_of(novelty, (deviations / units) ** 2, far))


def part_left(neighbours: Neighbours, rows: Tensor) -> Tensor:
    """Return the parts of the variance that Gaussian processes leave, shape (n_rows, n_processes)."""
    explained = [sums.square().sum(1) for sums in neighbours(rows)]
    return (1 - torch.stack(explained, dim=1)).clamp(0, 1)


# What follows is the same for arrays and for tensors: fits learn with numpy, models and their exports run with torch.


def novelty_of(left: Values, least: Any, powers: Any, shares: Any) -> Values:
    """Return `shares[0] * left^powers[0] + shares[1] * left^powers[1]`, for what is left, which is at least `least`."""
    left = left.clip(min=least)
    return shares[0] * left ** powers[0] + shares[1] * left ** powers[1]


def variances_if_novel(predicted: Values, means: Any, deviations: Any, units: Any) -> Values:
    """Return the mean squares of labels around predictions if nothing is known but the distribution of all labels.

    They are `deviation of labels^2 + (predicted - mean)^2`, in the units of the tasks.
    """
    return (deviations / units) ** 2 + ((predicted - means) / units) ** 2


def variances_of(novelty: Values, near: Any, far: Values) -> Values:
    """Return the mean squares of labels around predictions: `near + novelty * max(far - near, 0)`.

    `near` are those where nothing is novel, `far` those where nothing is known.
    """
    return near + novelty * (far - near).clip(min=0)
