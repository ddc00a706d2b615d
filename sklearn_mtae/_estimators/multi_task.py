"""What the multi-task estimators share: tasks, their weights and relations, and an encoder to start from."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from torch import nn

from sklearn_mtae._tables.checks import HasMethods, Interval, StrOptions
from sklearn_mtae._tables.classes import decode
from sklearn_mtae._tables.targets import check_order, target_columns, task_names
from sklearn_mtae.metrics._columnwise import Labels
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS, Heads
from sklearn_mtae.nn.weightings import WEIGHTINGS, Weighting

from .variational import BaseVAE


class BaseMultiTaskVAE(BaseVAE):
    """Base of the multi-task estimators: everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "sharing": [StrOptions(set(SHARINGS)), callable],
        "head_hidden_layer_sizes": ["array-like"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions({"auto", *SCHEDULES}), callable],
        "task_weighting": [StrOptions(set(WEIGHTINGS)), "array-like", dict, callable],
        "task_similarity": ["array-like", None],
        "consistency": [Interval(Real, 0, None, closed="left")],
        "encoder": [HasMethods(["fit", "transform"]), None],
        "freeze_encoder": ["boolean"],
        "embedding": [StrOptions(set(EMBEDDINGS)), callable, None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
    }
    _model_kind = "multi-task"

    sharing: str | Callable[..., Heads]
    head_hidden_layer_sizes: Sequence[int]
    reconstruction_weight: float | str
    task_weighting: str | ArrayLike | Mapping[str, float] | Callable[..., Weighting] | nn.Module
    task_similarity: ArrayLike | None
    consistency: float
    encoder: Any
    freeze_encoder: bool
    embedding: str | Callable[[int], nn.Module] | None
    n_estimators: int

    task_names_: list[str]
    task_weights_: NDArray

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the columns' units and train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows, or of the labels alone: distortion and rate then weigh all rows alike.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is not admissible, if a task has no label, or if the loss does not stay
            finite.
        ImportError
            If `task_weighting` needs torchjd, which is not installed.
        """
        return self._fit(X, y, sample_weight)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        conditions: Mapping[Any, Any] | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Draw new rows with their targets: codes from the prior, then features and targets given the codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        conditions : mapping or None, default=None
            Values of some features, by their names, or by their positions where X had no names: the codes are then
            drawn from p(z given these values), by importance sampling and resampling.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Features, in X's own units.
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Targets or classes, in y's own units and shape.
        """
        X, codes = self._sample(n_samples, random_state, conditions)
        return X, self._as_targets(codes)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _named(self, y: Any) -> Labels:
        """Return the columns of targets to be scored by the names of their tasks."""
        columns = target_columns(y)
        check_order(y, self.task_names_)
        known = len(columns) == len(self.task_names_)
        return Labels(dict(zip(self.task_names_ if known else task_names(y), columns, strict=True)))

    def _as_targets(self, columns: NDArray) -> NDArray:
        """Return columns of what the model predicts or draws as targets, in the shape that y had."""
        tasks = self._fitted.recipe.tasks
        assert tasks is not None
        return tasks.shaped(columns if tasks.classes is None else decode(columns.astype(int), tasks.classes))
