"""The explained fraction of the deviance: one score for tasks of all kinds."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlog1py
from sklearn import metrics as complete

from sklearn_mtae._tables.targets import target_columns
from sklearn_mtae.nn.words import short

from ._columnwise import Average, Undefined, of_numbers, score_tasks

MEANS = 1e-200, 1e200
"""Limits of a predicted mean, in units of the labels' mean: its logarithm is taken."""
LEAST_PROBABILITY = np.finfo(np.float64).eps
"""Minimum probability of a class, as in scikit-learn's log loss."""


def d2_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence | None = None,
    likelihoods: Sequence | None = None,
    sample_weight: ArrayLike | None = None,
    multioutput: Average = "uniform_average",
) -> Any:
    """Return the explained fraction of the deviance over the observed labels, for tasks of all kinds.

    `D2 = 1 - deviance(y, prediction) / deviance(y, constant)` for each task, where the constant is the mean of the
    scored labels, or their shares of classes. The deviance is the squared error, so that D2 is R2. It is that of
    Poisson or gamma distributions, or the log loss of shares, for tasks with such a likelihood, and the log loss for
    classes. 1 is perfect, 0 is as good as the constant.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels; NaN, None or pandas.NA where missing.
    y_pred : list of n_tasks arrays, or ndarray or DataFrame of shape (n_samples,) or (n_samples, n_tasks)
        Predicted means; in a list, probabilities for a task of classes, shape (n_samples, n_classes).
    labels : list of n_tasks arrays of shape (n_classes,), default=None
        Classes of each task's probabilities, None for a task of numbers; None takes those in `y_true`, sorted. A class
        that is not among them has probability 0, which counts as 2e-16.
    likelihoods : list of n_tasks str, default=None
        Likelihood of each task; one without its own deviance uses the squared error.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
        Weights of rows or of labels; a label of weight 0 counts as missing.
    multioutput : {"raw_values", "uniform_average"}, default="uniform_average"
        One score per task, or their mean over the tasks that have a score.

    Returns
    -------
    float or ndarray of shape (n_tasks,)
        Scores; NaN, with a warning that names it, for a task with fewer than two labels, and, except for the squared
        error, for a task whose labels are all the same.

    See Also
    --------
    sklearn.metrics.d2_log_loss_score, sklearn.metrics.d2_tweedie_score : Scores of one complete task.

    Examples
    --------
    >>> from sklearn_mtae.metrics import d2_score
    >>> y_true = [[0.0, "a"], [1.0, "b"], [2.0, None]]
    >>> d2_score(y_true, [[0.0, 1.0, 1.0], [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]]], multioutput="raw_values").round(2)
    array([0.5 , 0.29])
    """
    truths = target_columns(y_true)
    predictions = [np.asarray(own) for own in y_pred] if isinstance(y_pred, list) else target_columns(y_pred)
    if len(truths) == 1 and isinstance(y_pred, list) and np.ndim(y_pred[0]) == 0:
        predictions = [np.asarray(y_pred)]
    given = (_per_task(labels, len(truths), "labels"), _per_task(likelihoods, len(truths), "likelihoods"))
    options = list(zip(*given, strict=True))
    return score_tasks(_score, y_true, predictions, sample_weight, multioutput, per_task=options, min_labels=2)


def _per_task(option: Sequence | None, n_tasks: int, name: str) -> Sequence:
    if option is not None and len(option) != n_tasks:
        raise ValueError(f"{name} must have one value for each of the {n_tasks} tasks. Got {short(option)} instead.")
    return [None] * n_tasks if option is None else option


def _score(truth: NDArray, prediction: NDArray, weight: NDArray | None, option: tuple) -> float:
    labels, likelihood = option
    if prediction.ndim == 2:
        return _of_classes(truth, prediction, weight, np.unique(truth) if labels is None else labels)
    explained = DEVIANCES.get(likelihood) if isinstance(likelihood, str) else None
    if explained is None:
        return _r2(truth, prediction, weight)
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    _check_differ(truth)
    return explained(truth, prediction, sample_weight=weight)


def _check_differ(truth: NDArray) -> None:
    if (truth == truth[0]).all():
        raise Undefined(f"all of its labels are {truth[0].item()!r}")


_r2 = of_numbers(complete.r2_score)


def _of_counts(distance: NDArray, mean: NDArray) -> NDArray:
    """Return the Poisson unit deviance, from distances of labels from a mean in units of it."""
    return mean * (xlog1py(1 + distance, distance) - distance)


def _of_positive(distance: NDArray, mean: NDArray) -> NDArray:
    """Return the gamma unit deviance."""
    return distance - np.log1p(distance)


def _explained(
    truth: NDArray, prediction: NDArray, *, sample_weight: NDArray | None, unit: Callable[..., NDArray], positive: bool
) -> float:
    """Return the explained fraction, from distances: logs would cancel for labels far from zero and close together."""
    if (truth < 0).any() or (positive and (truth == 0).any()):
        raise ValueError(f"y_true must be {'> 0' if positive else '>= 0'} for such a likelihood. Got {truth.min():g}.")

    center = np.average(truth, weights=sample_weight)
    truth = truth / center

    def deviance(mean: NDArray | float) -> float:
        mean = np.clip(mean, *MEANS)
        return float(np.average(unit((truth - mean) / mean, mean), weights=sample_weight))

    constant = deviance(1.0)
    if constant <= 0:
        raise Undefined("its labels are the same but for rounding")
    with np.errstate(over="ignore"):
        return 1 - deviance(prediction / center) / constant


def _of_shares(truth: NDArray, prediction: NDArray, *, sample_weight: NDArray | None) -> float:
    def loss(mean: NDArray) -> float:
        p = np.clip(mean, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return -np.average(truth * np.log(p) + (1 - truth) * np.log1p(-p), weights=sample_weight)

    return 1 - loss(prediction) / loss(np.average(truth, weights=sample_weight))


def _of_classes(truth: NDArray, probabilities: NDArray, weight: NDArray | None, labels: Sequence | NDArray) -> float:
    if probabilities.shape[1] != len(labels):
        raise ValueError(
            f"y_pred must have a column for each class. Got {probabilities.shape[1]} for {short(list(labels))}."
        )
    _check_differ(truth)
    positions = {label: position for position, label in enumerate(labels)}
    codes = np.array([positions.get(label, len(labels)) for label in truth.tolist()])
    columns = np.column_stack([probabilities, np.zeros(len(truth))])
    own = np.maximum(columns[np.arange(len(truth)), codes], LEAST_PROBABILITY)
    shares = np.bincount(codes, weight)
    shares = shares[shares > 0] / shares.sum()
    return 1 + np.average(np.log(own), weights=weight) / -(shares @ np.log(shares))


DEVIANCES: dict[str, Callable[..., float]] = {
    "poisson": partial(_explained, unit=_of_counts, positive=False),
    "negative_binomial": partial(_explained, unit=_of_counts, positive=False),
    "gamma": partial(_explained, unit=_of_positive, positive=True),
    "bernoulli": _of_shares,
}
"""The explained fraction of the deviance of a likelihood."""
