"""Choosing among candidates by rows that they were not trained on, and averaging those chosen."""

import numpy as np
from numpy.typing import NDArray

N_PICKS = 25
"""Candidates that are picked for an average, one after the other, each as often as it helps."""


def select(errors: NDArray, folds: NDArray, weight: NDArray) -> NDArray:
    """Return the weights of candidates in an average that does best on held-out rows.

    Greedy selection with replacement (Caruana et al. 2004, doi 10.1145/1015330.1015432): to what has been picked, the
    candidate is added with which the mean over folds of the root mean squared error is least. Roots, not squares: a
    fold with an outlier then counts no more than the others.

    Parameters
    ----------
    errors : ndarray of shape (n_candidates, n_rows)
        Prediction minus label of each candidate for each row, of models that were not trained on the row.
    folds : ndarray of int of shape (n_rows,)
        Fold of each row.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.

    Returns
    -------
    ndarray of shape (n_candidates,)
        Weights that add up to 1.
    """
    _, folds = np.unique(folds, return_inverse=True)
    shares = np.zeros((len(folds), folds.max() + 1))
    shares[np.arange(len(folds)), folds] = weight
    shares /= shares.sum(axis=0)
    picks = np.zeros(len(errors))
    total = np.zeros(errors.shape[1])
    for n_picked in range(1, N_PICKS + 1):
        averages = (total + errors) / n_picked
        best = int(np.sqrt(averages**2 @ shares).mean(axis=1).argmin())
        picks[best] += 1
        total += errors[best]
    return picks / N_PICKS
