"""The copula of the tasks, learned from rows that the members were not trained on."""

from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from .build import task_limits
from .cell_margins import OfClasses, OfCounts
from .copula import Copula, box_level_of, deviance_at, deviances, largest_reach, level_of, reach_at
from .correlation import LEAST_ROWS, N_FOLDS, LabelScores, learn_correlation
from .fitted import Fitted
from .margins import FARTHEST, N_TERMS, Margin, OfNumbers
from .predictions import Predictions
from .scores import at_ranks, counted_once, rank_of
from .volumes import volume_of_box, volume_of_level_set

TYPICAL_COVERAGE, LEAST_GAIN = 0.9, 0.9
"""A box that is smaller than a level set by this factor, at this coverage, is preferred."""
LEAST_WHOLE, PAIRS_PER_TASK = 30, 10
"""Rows with all labels, or rows with both labels of each pair per task, either of which is enough for level sets."""


def learn_copula(
    fitted: Fitted, predicted: Predictions, y: NDArray, weight: NDArray, groups: NDArray | None = None
) -> Copula:
    """Learn how the labels of held-out rows depend on each other.

    Parameters
    ----------
    fitted : Fitted
        The result of the training.
    predicted : Predictions
        Predictions of the rows by models not trained on them, with calibrated deviations.
    y, weight : ndarray of shape (n_rows, n_tasks)
        Labels (numbers, or positions of classes), and their weights: zero without one.
    groups : ndarray of int of shape (n_rows,) or None, default=None
        Which group each row belongs to.
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
    copula = Copula(margins, np.eye(len(margins)), is_learned=bool(((weight > 0).sum(axis=1) >= 2).sum() >= LEAST_ROWS))
    scores = LabelScores(centres, _terms(margins, predicted, weight), *copula.intervals(predicted, labels), weight)
    correlation, of_folds = learn_correlation(scores, margins)
    weight = np.where([isinstance(margin, OfClasses) for margin in margins], 0.0, weight)
    known = (weight > 0).any(axis=1)
    if known.sum() < 2:
        return replace(copula, correlation=correlation)
    levels = _levels(fitted, predicted, y, weight, of_folds)[:, known]
    # A row counts by the mean weight of its labels.
    mean = weight[known].sum(axis=1) / (weight[known] > 0).sum(axis=1)
    counts = counted_once(mean, None if groups is None else groups[known])
    levels, box_levels = (at_ranks(own, *counts) for own in levels)
    copula = replace(copula, correlation=correlation, levels=levels, box_levels=box_levels)
    return replace(copula, is_box=_prefers_box(copula, weight > 0))


def _margins(fitted: Fitted, predicted: Predictions, y: NDArray, weight: NDArray) -> list[Margin]:
    """Return the distributions of each task, with classes in the order of their positions."""
    classes = fitted.recipe.tasks.classes  # type: ignore[union-attr]
    limits = task_limits(fitted)[0][1]
    margins: list[Margin] = []
    for task, labels in enumerate(y.T):
        known = np.flatnonzero(weight[:, task] > 0)
        if fitted.of_classes[task]:
            margins.append(OfClasses(np.arange(len(classes[task]))))  # type: ignore[index]
        elif limits.whole[task]:
            margins.append(OfCounts(bool(limits.high[task] <= 1)))
        else:
            errors = predicted.take(known).of(task).errors(labels[known])
            margins.append(OfNumbers.learn(errors, weight[known, task]))
    return margins


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
    """Return the order of classes along which other tasks' scores change most: their first correspondence axis.

    The order stays as it is unless they change more than the scores of independent tasks would along that axis.
    """
    n_classes = len(margin.order)
    others = others[:, others.max(axis=0) > others.min(axis=0)]
    others = others / others.std(axis=0)
    if n_classes <= 2 or not others.size:
        return margin.order
    known = weight > 0
    member = np.eye(n_classes)[labels[known].astype(int)] * weight[known, None]
    counts = member.sum(axis=0)[:, None]
    means = np.divide(member.T @ others[known], counts, out=np.zeros((n_classes, others.shape[1])), where=counts > 0)
    _, strength, axes = np.linalg.svd(np.sqrt(counts) * means, full_matrices=False)
    if strength[0] ** 2 < by_chance(n_classes - 1, others.shape[1]):
        return margin.order
    return np.argsort(means @ axes[0], kind="stable")


def by_chance(n: int, m: int) -> float:
    """Return the largest eigenvalue that the product of a normal matrix and its transpose has with few exceptions.

    Its mean and twice its standard deviation by Johnstone (2001, doi 10.1214/aos/1009210544).
    """
    root = sqrt(n) + sqrt(m)
    return root**2 + 2 * 1.27 * root * (1 / sqrt(n) + 1 / sqrt(m)) ** (1 / 3)


def _levels(fitted: Fitted, predicted: Predictions, y: NDArray, weight: NDArray, of_folds: NDArray) -> NDArray:
    """Return the levels of the deviance and of the largest reach of the numbers of each row, shape (2, n_rows).

    Margins and correlations for a row come from the other folds. Its deviations were learned from the row too: what a
    squared score would be without it follows from the score, by the formula of Sherman and Morrison. Of scores at the
    end of their range no more is known than that: no bounded region reaches them.
    """
    levels, fold = np.zeros((2, len(y))), np.arange(len(y)) % N_FOLDS
    n = np.maximum((weight > 0).sum(axis=0), 2)
    for own, correlation in enumerate(of_folds):
        rows = np.flatnonzero((fold == own) & (weight > 0).any(axis=1))
        margins = _margins(fitted, predicted, y, np.where(fold[:, None] == own, 0.0, weight))
        scores = _centres(margins, predicted.take(rows), y[rows], weight[rows])
        scores = np.where(weight[rows] > 0, scores, np.nan)
        is_far = (np.abs(scores) >= FARTHEST).any(axis=1)
        scores = scores * np.sqrt((1 - 1 / n) / np.maximum(1 - scores**2 / n, 1 / n))
        n_labels = (weight[rows] > 0).sum(axis=1)
        levels[0, rows] = level_of(deviances(margins, correlation, scores), n_labels)
        levels[1, rows] = box_level_of(largest_reach(margins, scores), n_labels)
        levels[:, rows[is_far]] = np.inf
    return levels


def _prefers_box(copula: Copula, known: NDArray[np.bool_]) -> bool:
    """Return whether boxes are the better regions: much smaller, or too few rows have all labels to trust the others.

    Rows with one or two labels tell little of how far those with more are off.
    """
    numbers = copula.numbers
    k, known = len(numbers), known[known.any(axis=1)][:, numbers]
    n_whole, n_pairs = known.all(axis=1).sum(), (known.T.astype(float) @ known).min()
    rank = rank_of(TYPICAL_COVERAGE, len(known))
    if k == 1 or rank is None:
        return False
    if n_whole < min(len(known), LEAST_WHOLE) and n_pairs < PAIRS_PER_TASK * k:
        return True
    margins, correlation = [copula.margins[task] for task in numbers], copula.correlation[np.ix_(numbers, numbers)]
    box = volume_of_box(margins, reach_at(copula.box_levels[rank - 1], k))
    return box < LEAST_GAIN * volume_of_level_set(margins, correlation, deviance_at(copula.levels[rank - 1], k))
