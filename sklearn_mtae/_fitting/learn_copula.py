"""The copula of the tasks, learned from rows that the members were not trained on."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.mixed_targets import MixedTasks

from .build import task_limits
from .copula import Copula, box_level_of, distances, level_of
from .correlation import LabelScores, learn_correlation
from .fitted import Fitted
from .margins import N_TERMS, Margin, OfClasses, OfCounts, OfNumbers
from .predictions import Predictions


def learn_copula(fitted: Fitted, predicted: Predictions, y: NDArray, weight: NDArray) -> Copula:
    """Learn how the labels of held-out rows depend on each other.

    Parameters
    ----------
    fitted : Fitted
        The result of the training.
    predicted : Predictions
        Predictions of the rows by models not trained on them, with calibrated deviations.
    y, weight : ndarray of shape (n_rows, n_tasks)
        Labels (numbers, or positions of classes), and their weights: zero without one.
    """
    margins = _margins(fitted, predicted, y, weight)
    centres = _centres(margins, predicted, y, weight)
    margins = [
        replace(margin, order=_order(margin, y[:, task], weight[:, task], np.delete(centres, task, axis=1)))
        if isinstance(margin, OfClasses) and not _has_order(fitted, task)
        else margin
        for task, margin in enumerate(margins)
    ]
    centres = _centres(margins, predicted, y, weight)
    labels = np.where(weight > 0, y, np.nan)
    copula = Copula(margins, np.eye(len(margins)))
    scores = LabelScores(centres, _terms(margins, predicted, weight), *copula.intervals(predicted, labels), weight)
    copula = replace(copula, correlation=learn_correlation(scores, margins))
    return _with_levels(copula, labels, centres)


def _margins(fitted: Fitted, predicted: Predictions, y: NDArray, weight: NDArray) -> list[Margin]:
    """Return the distributions of each task, with classes in the order of their positions."""
    classes = fitted.recipe.tasks.classes  # type: ignore[union-attr]
    of_classes = _of_classes(fitted)
    limits = task_limits(fitted)[0][1]
    margins: list[Margin] = []
    for task, labels in enumerate(y.T):
        known = np.flatnonzero(weight[:, task] > 0)
        if of_classes[task]:
            margins.append(OfClasses(np.arange(len(classes[task]))))  # type: ignore[index]
        elif limits.whole[task]:
            margins.append(OfCounts(bool(limits.high[task] <= 1)))
        else:
            errors = predicted.take(known).of(task).errors(labels[known])
            margins.append(OfNumbers.learn(errors, weight[known, task]))
    return margins


def _of_classes(fitted: Fitted) -> NDArray[np.bool_]:
    tasks = fitted.recipe.tasks
    assert tasks is not None
    return tasks.of_classes if isinstance(tasks, MixedTasks) else np.full(len(tasks.names), tasks.classes is not None)


def _has_order(fitted: Fitted, task: int) -> bool:
    """Return whether the dtype of a task's classes orders them."""
    table = getattr(fitted.recipe.tasks, "table", None)
    return table is not None and bool(getattr(table.columns[task], "ordered", False))


def _centres(margins: list[Margin], predicted: Predictions, y: NDArray, weight: NDArray) -> NDArray:
    """Return the mean scores of labels, zero without one."""
    centres = np.zeros(y.shape)
    for task, margin in enumerate(margins):
        known = np.flatnonzero(weight[:, task] > 0)
        if len(known):
            centres[known, task] = margin.centres(predicted.take(known).of(task), y[known, task])
    return centres


def _terms(margins: list[Margin], predicted: Predictions, weight: NDArray) -> NDArray:
    """Return the series of the mean scores, zero without a label; shape (N_TERMS, n_rows, n_tasks)."""
    terms = np.zeros((N_TERMS, *weight.shape))
    for task, margin in enumerate(margins):
        known = np.flatnonzero(weight[:, task] > 0)
        terms[:, known, task] = margin.terms(predicted.take(known).of(task)).T
    return terms


def _order(margin: OfClasses, labels: NDArray, weight: NDArray, others: NDArray) -> NDArray:
    """Return the order of classes along which other tasks' scores change most: their first correspondence axis."""
    n_classes = len(margin.order)
    if n_classes <= 2 or not others.any():
        return margin.order
    known = weight > 0
    member = np.eye(n_classes)[labels[known].astype(int)] * weight[known, None]
    counts = member.sum(axis=0)
    means = np.divide(
        member.T @ others[known], counts[:, None], out=np.zeros((n_classes, others.shape[1])), where=counts[:, None] > 0
    )
    root = np.sqrt(counts)[:, None]
    axis = np.linalg.svd(root * means, full_matrices=False)[2][0]
    return np.argsort(means @ axis, kind="stable")


def _with_levels(copula: Copula, labels: NDArray, centres: NDArray) -> Copula:
    """Return a copula with the levels of the numbers of held-out rows; rows without one are left out.

    Correlations and deviations were learned from these very rows. What a square would be without its own row follows
    from it, by the formula of Sherman and Morrison.
    """
    numbers = [task for task, margin in enumerate(copula.margins) if not isinstance(margin, OfClasses)]
    scores = np.where(np.isnan(labels), np.nan, centres)[:, numbers]
    scores = scores[~np.isnan(scores).all(axis=1)]
    if len(scores) < 2:
        return copula
    n_labels, n = (~np.isnan(scores)).sum(axis=1), len(scores)
    squares = distances(copula.correlation[np.ix_(numbers, numbers)], scores), np.nanmax(scores**2, axis=1)
    lengths, largest = (own * (1 - 1 / n) / np.maximum(1 - own / n, 1 / n) for own in squares)
    levels, box_levels = level_of(lengths, n_labels), box_level_of(np.sqrt(largest), n_labels)
    return replace(copula, levels=np.sort(levels), box_levels=np.sort(box_levels))
