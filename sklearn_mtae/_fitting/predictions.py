"""What models predict for rows, for tasks of all kinds."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class OfTask(NamedTuple):
    """Predictions of one task."""

    mean: NDArray
    """Means of a number, shape (n_rows,)."""
    std: NDArray
    """Their standard deviations."""
    log_probabilities: NDArray | None
    """Logs of class probabilities, shape (n_rows, n_classes)."""

    def errors(self, y: NDArray) -> NDArray:
        """Return errors of labels in standard deviations; zero where that is zero."""
        return np.divide(y - self.mean, self.std, out=np.zeros(len(y)), where=self.std > 0)


class Predictions(NamedTuple):
    """Predictions of all tasks: requested values for tasks of the kind, arbitrary ones for others."""

    means: NDArray
    """Means of numbers, shape (n_rows, n_tasks)."""
    stds: NDArray | None
    """Their standard deviations, if requested."""
    log_probabilities: NDArray | None
    """Logs of class probabilities, shape (n_rows, n_tasks, most classes of a task), if there are classes."""

    def take(self, rows: NDArray | slice) -> "Predictions":
        """Return the predictions for some rows."""
        return Predictions(*(None if own is None else own[rows] for own in self))  # type: ignore[arg-type]

    def copy(self) -> "Predictions":
        """Return a copy, which can be changed."""
        return Predictions(*(None if own is None else own.copy() for own in self))  # type: ignore[arg-type]

    def scaled(self, factors: NDArray | float) -> "Predictions":
        """Return the predictions with their standard deviations multiplied."""
        return self if self.stds is None else self._replace(stds=self.stds * factors)

    def of(self, task: int) -> OfTask:
        """Return the predictions of one task."""
        assert self.stds is not None
        logs = None if self.log_probabilities is None else self.log_probabilities[:, task]
        return OfTask(self.means[:, task], self.stds[:, task], logs)

    def put_task(self, rows: NDArray, task: int, own: OfTask) -> None:
        """Replace the predictions of a task for some rows."""
        for ours, theirs in zip(self, own, strict=True):
            if ours is not None and theirs is not None:
                ours[rows, task] = theirs

    def settle(self, rows: NDArray, task: int, labels: NDArray) -> None:
        """Replace the predictions of a task for some rows by labels that are certain."""
        self.means[rows, task] = labels
        if self.stds is not None:
            self.stds[rows, task] = 0.0
        if self.log_probabilities is not None:
            positions = np.arange(self.log_probabilities.shape[-1])
            self.log_probabilities[rows, task] = np.where(positions == labels[:, None], 0.0, -np.inf)


def only_classes(log_probabilities: NDArray) -> Predictions:
    """Return predictions of tasks that are all classes."""
    nothing = np.full(log_probabilities.shape[:2], np.nan)
    return Predictions(nothing, nothing, log_probabilities)
