"""What the multi-task estimators share: tasks, their weights and relations, and an encoder to start from."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import Tags, check_scalar
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._fitting.account import account
from sklearn_mtae._fitting.ensemble import given_settings
from sklearn_mtae._fitting.folds import is_dealt_at_random
from sklearn_mtae._fitting.plan import Plan
from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.checks import check_targets
from sklearn_mtae._tables.classes import decode
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.near_repeats import warn_of_near_repeats
from sklearn_mtae._tables.targets import check_order, target_columns, task_names
from sklearn_mtae._verbs.intervals import check_labels
from sklearn_mtae._verbs.limits import check_no_limits, with_limits
from sklearn_mtae.metrics import accuracy_score, r2_score
from sklearn_mtae.metrics._columnwise import Labels
from sklearn_mtae.nn.words import named

from .constraints import MULTI_TASK
from .variational import BaseVAE

SCORES: dict[str | None, Callable[..., float]] = {"numbers": r2_score, "classes": accuracy_score}
"""Score of a task, by the kind of the targets."""


class BaseMultiTaskVAE(BaseVAE):
    """Base of the multi-task estimators: everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict = MULTI_TASK
    _model_kind = "multi-task"

    n_estimators: int | str
    member_params: Sequence[Mapping[str, Any]] | str | None
    early_stopping: bool
    member_params_: list[dict[str, Any]]
    task_names_: list[str]
    task_weights_: NDArray

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        censoring: ArrayLike | None = None,
    ) -> Self:
        """Learn the columns' units and train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows, or only of the labels: distortion and rate then weight all rows equally.
        groups : array-like of shape (n_samples,) or None, default=None
            Which rows belong together, such as the visits of a patient. Groups are held out whole, so that what is
            learned from held-out rows holds for new groups. See `cv`.
        censoring : array-like of shape (n_samples,) or (n_samples, n_tasks), or None, default=None
            Which labels are only limits of the true value: "<" or -1 where it is below the label, as below a limit of
            detection, ">" or 1 where it is above, otherwise "" or 0. The likelihood of such a label is the probability
            of that side. Counts below 3 are at most 2. None is "" everywhere.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is invalid, if a task has no label, or if the loss does not stay finite.
            If a label is a limit whose task has a likelihood without a distribution function, as classes have.
        ImportError
            If `task_weighting` needs torchjd, which is not installed.
        """
        return self._fit(X, y, sample_weight, groups, censoring)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        censoring: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on a part of the data.

        The first call learns location and scale of the columns and the levels of categories, and needs a label of each
        task. A level that it lacks is unknown in later parts: a missing cell, with a warning (see `handle_unknown`).
        Schedules stay at their final values, and no rows are held out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Part of the rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their targets, NaN where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows or of the labels.
        censoring : array-like of shape (n_samples,) or (n_samples, n_tasks), or None, default=None
            Which labels are only limits of the true value, as for `fit`.

        Returns
        -------
        self
            The estimator.
        """
        return self._fit(X, y, sample_weight, None, censoring, partial=True)

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
            What some features or tasks are to be, by their names, or by the features' positions where X had no names: a
            value, a list of values, or a range `(low, high)` in which None is an open end. The codes are then drawn
            from p(z given these), by importance sampling and resampling, and each cell from what its condition admits.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Features, in X's own units.
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks), or DataFrame
            Targets or classes, in y's own units and shape; with y's dtypes if :class:`MultiTaskVAE` was fitted to a
            frame.
        """
        X, codes = self._sample(n_samples, random_state, conditions)
        return X, self._as_targets(codes)

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        censoring: ArrayLike | None = None,
    ) -> float:
        """Return the mean over tasks of R2, or of the accuracy for classes, without missing labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows or of the labels.
        censoring : array-like of shape (n_samples,) or (n_samples, n_tasks), or None, default=None
            Which labels are only limits of the true value, as for `fit`. The R2 of a task with limits is that of the
            likelihood of normal distributions around predictions (Magee 1990, doi 10.2307/2685317), which is the usual
            one where there are none.

        Returns
        -------
        float
            Mean over the tasks that have a label, of R2 over those that have two; a warning names the others.

        Raises
        ------
        ValueError
            If a label is one that `fit` rejects, such as a negative count.
        """
        predicted, y = self.predict(X), plain(y)
        if self._targets_kind == "numbers":
            targets = check_targets(y, np.asarray(predicted), task_names(y))
            check_labels(self._fitted, targets, sample_weight)
            if censoring is not None and (codes := read_censoring(censoring, y)).any():
                scores = r2_score(self._named(y), predicted, sample_weight=sample_weight, multioutput="raw_values")
                return with_limits(scores, targets, np.reshape(predicted, targets.shape), codes, sample_weight)
        elif censoring is not None:
            check_no_limits(censoring, y)
        return SCORES[self._targets_kind](self._named(y), predicted, sample_weight=sample_weight)

    def describe(self) -> str:
        """Describe what "auto" became, and what the held-out rows chose.

        Returns
        -------
        str
            A line on the models: how many there are, for how many rows, and their parameters that were "auto" or in
            `member_params`; if there is a single model instead of an ensemble, why. Then, for an ensemble, a line per
            task: which settings count, after which epochs, and with which weight.
        """
        check_is_fitted(self)
        return account(self._fitted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _validate_params(self) -> None:
        super()._validate_params()
        for own in given_settings(self.member_params, self.get_params(deep=False)):
            with named("member_params"):
                clone(self).set_params(**own, member_params=None)._validate_params()

    def _look_back(self, plan: Plan | None) -> None:
        super()._look_back(plan)
        if plan is not None and is_dealt_at_random(plan.recipe, plan.data, plan.splits):
            warn_of_near_repeats(plan.data.x)

    def _check_coverage(self, coverage: float, verb: str) -> None:
        """Raise an error if a coverage is invalid, or if no row was held out to learn from."""
        check_scalar(coverage, "coverage", Real, min_val=0, max_val=1, include_boundaries="neither")
        if np.isnan(coverage):
            raise ValueError("coverage must be a number between 0 and 1. Got NaN.")
        check_is_fitted(self)
        if not self._fitted.average.scores:
            why = f" (one, since {self._fitted.alone})" if self._fitted.alone else ""
            if self.n_estimators != 1 and not why:
                raise ValueError(f"{verb} needs rows that were held out from a model. Got a fit to a single row.")
            raise ValueError(
                f"{verb} needs rows that were held out from a model: n_estimators > 1 or early_stopping=True. "
                f"Got n_estimators={self.n_estimators!r}{why}, early_stopping={self.early_stopping!r}."
            )

    def _named(self, y: Any) -> Labels:
        """Return the columns of the targets to score, by the names of their tasks."""
        columns = target_columns(y)
        check_order(y, self.task_names_)
        known = len(columns) == len(self.task_names_)
        return Labels(dict(zip(self.task_names_ if known else task_names(y), columns, strict=True)))

    def _as_targets(self, columns: NDArray) -> NDArray:
        """Return predicted or drawn columns as targets, in the shape that y had."""
        tasks = self._fitted.recipe.tasks
        assert tasks is not None
        return tasks.shaped(columns if tasks.classes is None else decode(columns.astype(int), tasks.classes))
