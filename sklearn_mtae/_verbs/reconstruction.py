"""How well rows are reconstructed."""

from typing import Any

import numpy as np

from sklearn_mtae._fitting.run import ModelRunner, reconstruct
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.describe import describe


def reconstruction_score(runner: ModelRunner, X: Any) -> float:
    """Return the mean R2 of the reconstruction over the columns that vary, without missing cells.

    Each column has its own unit, in which no square vanishes; squares that are too large are infinite.
    """
    x = runner.read(X)
    columns = describe(x)
    residual, total = (np.zeros(x.shape[1]) for _ in range(2))
    for rows, expected in runner.results(reconstruct, x):
        block = dense(x[rows]).astype(np.float64)
        with np.errstate(over="ignore"):
            residual += np.nansum(np.square((block - expected) / columns.deviation), axis=0)
        total += np.nansum(np.square((block - columns.mean) / columns.deviation), axis=0)
    varying = columns.varies
    if varying.any():
        return float(np.mean(1 - residual[varying] / total[varying]))
    observed = columns.n_observed > 1
    return float(np.mean(residual[observed] == 0)) if observed.any() else float("nan")
