"""A checked call of `fit`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.blocks import block_rows, blocks
from sklearn_mtae._tables.describe import Columns
from sklearn_mtae._tables.row_index import AllRows


class Data(NamedTuple):
    """A checked call of `fit`."""

    x: NDArray
    """Features, shape (n_samples, n_columns): an array, a CSR array or matrix, or rows whose categories are coded."""
    y: NDArray | None
    """Targets, shape (n_samples, n_tasks)."""
    weight: NDArray | None
    """Weights of the rows, shape (n_samples,)."""
    features: Columns
    """What is known of the features."""
    targets: Columns | None = None
    """What is known of the targets."""
    label_weight: NDArray | None = None
    """Weights of the labels, shape (n_samples, n_tasks)."""

    @property
    def label_share(self) -> NDArray | None:
        """Part of the rows, weighted as they are, that has a label of each task; None without tasks."""
        if self.y is None:
            return None
        labels = self.y if self.label_weight is None else self.label_weight
        labelled, total = np.zeros(labels.shape[1]), 0.0
        for rows in blocks(len(labels), block_rows(labels.shape[1])):
            known = ~np.isnan(labels[rows]) if self.label_weight is None else labels[rows] > 0
            weight = np.ones(len(known)) if self.weight is None else self.weight[rows]
            labelled += weight @ known
            total += weight.sum()
        return labelled / total

    @property
    def taking_part(self) -> NDArray | AllRows:
        """Index of the rows, those of weight zero left out."""
        return AllRows(self.x.shape[0]) if self.weight is None else np.flatnonzero(self.weight)
