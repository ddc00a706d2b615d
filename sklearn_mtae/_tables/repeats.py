"""Rows that are copies of each other, as oversampling makes them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from .coded_rows import cells_of

MOST_CELLS = 2**24
"""Maximum number of cells of a table in which copies are looked for."""
LEAST_COPIES = 0.1
"""Minimum part of the rows that are copies of others, where copies count."""


def find_repeats(x: Any, y: NDArray) -> NDArray[np.intp] | None:
    """Return the position of each row among the different ones, shape (n_rows,); None if no copies count.

    Rows that are equal by chance are not copies: there must be a column of which half of the different rows have values
    of their own. And copies must be more than a few: those that a table has by itself come with new rows, too.

    Parameters
    ----------
    x : ndarray, CSR array or coded rows of shape (n_rows, n_columns)
        Features.
    y : ndarray of shape (n_rows, n_tasks)
        Targets.
    """
    if issparse(x) or (x.shape[1] + y.shape[1]) * x.shape[0] > MOST_CELLS:
        return None
    table = np.column_stack([cells_of(x), y])
    rows = np.ascontiguousarray(table).view(np.dtype((np.void, table.itemsize * table.shape[1])))[:, 0]
    _, first, position = np.unique(rows, return_index=True, return_inverse=True)
    n_different = len(first)
    if len(table) - n_different < LEAST_COPIES * len(table) or all(
        2 * len(np.unique(own)) < n_different for own in table[first].T
    ):
        return None
    return position
