"""How relevant each column is to the targets: the weights of the columns in embeddings."""

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.row_index import AllRows
from sklearn_mtae.nn.embeddings import Weighted
from sklearn_mtae.nn.models import Autoencoder

from .data import Data
from .kernel import choose_rows, kernel_inputs
from .kernel_ridge import relevant_scales

N_ROWS = 1_000
"""Maximum number of rows that relevances are learned from."""


class Relevance:
    """The relevances of the columns, learned once for all models that have the same rows.

    Parameters
    ----------
    data : Data
        The rows.
    of_classes : ndarray of bool of shape (n_tasks,)
        Which tasks have classes.
    """

    def __init__(self, data: Data, of_classes: NDArray[np.bool_]) -> None:
        self.data, self.of_classes = data, of_classes
        self.known: list[tuple[NDArray | AllRows, NDArray]] = []
        """Rows, and what was learned from them."""

    def weigh(self, model: Autoencoder, rows: NDArray | AllRows) -> None:
        """Let an embedding that weighs the columns do so by their relevance in some rows."""
        embedding = next(iter(model.encoder.children()), None)
        if isinstance(embedding, Weighted):
            embedding.weigh(torch.from_numpy(self._of(model, rows)))

    def _of(self, model: Autoencoder, rows: NDArray | AllRows) -> NDArray:
        """Return the relevances, shape (n_columns,), the largest of which is 1."""
        found = next((own for known, own in self.known if known is rows), None)
        if found is None:
            found = self._learn(model, np.asarray(rows))
            self.known.append((rows, found))
        return found

    def _learn(self, model: Autoencoder, rows: NDArray) -> NDArray:
        rows = choose_rows(rows, self.data.label_weights(rows), N_ROWS)
        if not len(rows):
            return np.ones(self.data.x.shape[1])
        is_trained = model.training
        x = model.units(torch.from_numpy(dense(self.data.x[rows])), torch.float64)
        # In training, `fill` would corrupt them.
        inputs = kernel_inputs(model.eval(), x).numpy()
        model.train(is_trained)
        weight = self.data.label_weights(rows)
        scales = relevant_scales(inputs, self._targets(rows, weight), weight)
        return scales / max(scales.max(), np.finfo(float).tiny)

    def _targets(self, rows: NDArray, weight: NDArray) -> NDArray:
        """Return what to predict, shape (n_rows, n_tasks, n_outputs), zero without a label."""
        labels = self.data.y if self.data.spread is None else self.data.spread
        assert labels is not None
        columns = zip(labels[rows].T, weight.T, self.of_classes, strict=True)
        parts = [outputs_of(*own) for own in columns]
        width = max(part.shape[1] for part in parts)
        return np.stack([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts], axis=1)


def outputs_of(y: NDArray, weight: NDArray, of_classes: bool) -> NDArray:
    """Return a task's numbers in units of their deviation, or indicators of its classes, without their means.

    The result has shape (n_rows, n_outputs) and is zero where the weight is.
    """
    y, total = np.where(weight > 0, y, 0.0)[:, None], max(weight.sum(), np.finfo(float).tiny)
    values = (y == np.unique(y[weight > 0])).astype(float) if of_classes else y
    away = np.where(weight[:, None] > 0, values - weight @ values / total, 0.0)
    if of_classes or not away.any():
        return away
    away /= np.abs(away).max()  # squares of small numbers would vanish
    return away / np.sqrt(weight @ away**2 / total)
