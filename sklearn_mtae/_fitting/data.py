"""The checked arguments of `fit`."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._tables.blocks import block_rows, blocks
from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.checks import check_labels, check_weights
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.describe import Columns, describe
from sklearn_mtae._tables.features import Features, learn_features, read_features
from sklearn_mtae._tables.given_folds import read_folds
from sklearn_mtae._tables.groups import read_groups
from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae._tables.read_targets import TARGETS, label_weights
from sklearn_mtae._tables.row_index import AllRows
from sklearn_mtae.nn.words import listed

from .build import source_of
from .recipe import Recipe


class Data(NamedTuple):
    """The checked arguments of `fit`."""

    x: NDArray
    """Features, shape (n_samples, n_columns): an array, a CSR array or matrix, or rows whose categories are coded."""
    y: NDArray | None
    """Targets, shape (n_samples, n_tasks)."""
    weight: NDArray | None
    """Weights of the rows, shape (n_samples,)."""
    columns: Columns
    """Location, scale and range of the features."""
    labels: Columns | None = None
    """Location, scale and range of the targets."""
    label_weight: NDArray | None = None
    """Weights of the labels, shape (n_samples, n_tasks)."""
    groups: NDArray | None = None
    """Which group each row belongs to, shape (n_samples,)."""
    folds: list[tuple[NDArray, NDArray]] | None = None
    """The training rows and the held-out rows of each fold, if given."""
    censoring: NDArray | None = None
    """-1 where the true target is known only to be below the label, 1 where it is above, otherwise 0; shape (n_samples,
    n_tasks). None if all labels are observed."""
    spread: NDArray | None = None
    """Labels, with values of the same distribution in place of limits; None if all are observed."""

    @property
    def label_share(self) -> NDArray | None:
        """Weighted share of the rows that have a label of each task; None without tasks."""
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

    def label_weights(self, rows: NDArray | slice = slice(None)) -> NDArray:
        """Return the weights of the labels of rows, shape (n_rows, n_tasks): zero where there is none."""
        assert self.y is not None
        y = self.y[rows]
        weight = np.ones(y.shape)
        if self.weight is not None:
            weight *= self.weight[rows, None]
        if self.label_weight is not None:
            weight *= self.label_weight[rows]
        return np.where(np.isnan(y), 0.0, weight)

    @property
    def n_groups(self) -> int:
        """Number of groups among the rows, without those of weight zero."""
        return 0 if self.groups is None else len(np.unique(self.groups[self.taking_part]))

    @property
    def taking_part(self) -> NDArray | AllRows:
        """Index of the rows, without those of weight zero."""
        return AllRows(self.x.shape[0]) if self.weight is None else np.flatnonzero(self.weight)


def read_data(
    recipe: Recipe,
    X: Any,
    y: Any,
    sample_weight: Any,
    last: Recipe | None = None,
    classes: Any = None,
    groups: Any = None,
    censoring: Any = None,
) -> tuple[Data, Recipe]:
    """Check the arguments of `fit`, and learn the columns.

    Parameters
    ----------
    recipe : Recipe
        The requested recipe.
    X, y, sample_weight
        The arguments of `fit`.
    last : Recipe or None
        The recipe of a fit that is continued: the columns stay the same.
    classes : object
        Given classes; None takes those of the labels.
    groups : object
        The group of each row, if any.
    censoring : object
        Which labels are limits, if any.

    Returns
    -------
    data : Data
        The rows.
    recipe : Recipe
        The recipe for them.
    """
    if recipe.targets is not None and y is None:
        raise ValueError(f"{recipe.owner} requires y to be passed, but the target y is None.")
    x, features = _read_columns(recipe, X, sample_weight, last)
    if recipe.targets is None:
        weight = check_weights(sample_weight, x)
        columns, features = _describe_columns(recipe, x, weight, features, last)
        return Data(x, None, weight, columns), replace(recipe, columns=features)
    y = plain(y)
    likelihoods = recipe.parameters.get("task_likelihoods")
    targets, tasks = TARGETS[recipe.targets](y, x, None if last is None else last.tasks, classes, likelihoods)
    weight = check_weights(sample_weight, x, targets)
    labels = describe(targets, weight)
    if last is None:
        check_labels(labels, tasks.names)
    row_weight = weight if weight is not None and weight.ndim == 1 else None
    own = label_weights(targets, tasks, weight, recipe.parameters.get("class_weight"))
    if isinstance(tasks, MixedTasks) and isinstance(likelihoods, Mapping | list | tuple):
        # The tasks know their exceptions; to all others the general rule applies.
        recipe = replace(recipe, parameters={**recipe.parameters, "task_likelihoods": "auto"})
    columns, features = _describe_columns(recipe, x, row_weight, features, last)
    recipe = replace(recipe, columns=features, tasks=tasks)
    groups = None if groups is None else read_groups(groups, x)
    folds = read_folds(recipe.parameters.get("cv"), X, y, groups, x.shape[0])
    codes = None if censoring is None else read_censoring(censoring, y)
    codes = codes if codes is not None and codes.any() else None
    data = Data(x, targets, row_weight, columns, labels, own, groups, folds, codes)
    # Groups of a row each are no groups.
    return (data._replace(groups=None) if data.n_groups == len(data.taking_part) else data), recipe


def _describe_columns(
    recipe: Recipe, x: Any, weight: NDArray | None, features: Features, last: Recipe | None
) -> tuple[Columns, Features]:
    """Describe the columns of X, and learn which of them never vary; at first, warn of those without any value."""
    columns = describe(x, weight)
    empty = [name for name, n in zip(features.expanded_names, columns.n_observed, strict=True) if n == 0]
    if empty and last is None:
        warnings.warn(
            f"Columns without an observed value are ignored: {listed(empty)}. What is drawn or imputed for them means "
            "nothing; leave them out of X.",
            UserWarning,
            stacklevel=3,
        )
    source = source_of(recipe) if last is None else None
    before = last.columns if last is not None else source and source.recipe.columns
    return columns, features.after(columns, before)


def _read_columns(recipe: Recipe, X: Any, sample_weight: Any, last: Recipe | None) -> tuple[Any, Any]:
    if last is not None:
        x = read_features(X, recipe.owner, last.columns, unknown=recipe.handle_unknown, sample_weight=sample_weight)
        return x, last.columns
    source = source_of(recipe)
    return learn_features(
        X,
        recipe.owner,
        likelihood=recipe.likelihood,
        max_categories=recipe.max_categories,
        unknown=recipe.handle_unknown,
        sample_weight=sample_weight,
        encoded_by=None if source is None else source.recipe.columns,
    )
