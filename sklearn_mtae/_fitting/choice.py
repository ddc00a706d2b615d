"""The chosen weights of candidates: those that predict new rows, and those that calibrate."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Choice(NamedTuple):
    """Weights of candidates and baselines, for each task.

    The weights that are best on some rows look better there than on new rows. Calibration thus takes other weights for
    each part of the rows: those that the other parts would choose.
    """

    weights: NDArray
    """Weights for new rows, shape (n_outputs, n_tasks)."""
    part: NDArray
    """The part of each held-out row, shape (n_rows,)."""
    of_parts: NDArray
    """Weights for the rows of each part, shape (n_parts, n_outputs, n_tasks)."""

    def where(self, tasks: NDArray[np.bool_], others: NDArray) -> "Choice":
        """Return the choice for some tasks, and other weights for the rest."""
        return Choice(np.where(tasks, self.weights, others), self.part, np.where(tasks, self.of_parts, others))

    def for_held_out(self, function: Callable[[NDArray, NDArray], NDArray]) -> NDArray:
        """Apply a function of weights and of the index of the rows that have them to all held-out rows."""
        found: NDArray | None = None
        for own, weights in enumerate(self.of_parts):
            rows = np.flatnonzero(self.part == own)
            results = function(weights, rows)
            if found is None:
                found = np.zeros((len(self.part), *results.shape[1:]))
            found[rows] = results
        assert found is not None
        return found
