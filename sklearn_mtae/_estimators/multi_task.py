"""What the multi-task estimators share: tasks, their weights and relations, and an encoder to start from."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import Tags, check_scalar
from sklearn.utils.metaestimators import available_if
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
from sklearn_mtae._tables.targets import check_order, target_columns, task_names, task_position
from sklearn_mtae._verbs.censored_scores import check_no_limits, with_limits
from sklearn_mtae._verbs.joint import draw_samples, read_observed, worth_measuring
from sklearn_mtae._verbs.labels import check_labels
from sklearn_mtae._verbs.region import JointRegion, predict_region
from sklearn_mtae.metrics import accuracy_score, r2_score
from sklearn_mtae.metrics._columnwise import Labels
from sklearn_mtae.nn.words import named

from .constraints import MULTI_TASK
from .variational import BaseVAE

SCORES: dict[str | None, Callable[..., float]] = {"numbers": r2_score, "classes": accuracy_score}
"""Score of a task, by the kind of the targets."""


def _may_have_numbers(estimator: Any) -> bool:
    """Return whether a task may be of numbers: before a fit, any may, but for those of a classifier."""
    if estimator._targets_kind == "classes":
        return False
    return not hasattr(estimator, "task_kinds_") or len(estimator.classes_) < len(estimator.task_names_)


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
            Weights of the rows, or only of the labels: distortion and rate then weight all rows equally. Held-out rows
            count by them too, so that intervals and sets hold their part of the rows as weighted.
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

    def predict_samples(
        self,
        X: ArrayLike,
        n_samples: int = 100,
        y_observed: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray:
        """Draw labels of all tasks for given rows, with the tasks depending on each other as labels do.

        Each task has its calibrated predictive distribution. A number is normal, with the mean and the standard
        deviation of `predict`, unless the errors of held-out rows contradict that: then its errors are distributed as
        theirs. A class has the probabilities of `predict_proba`, and a count is negative binomial, or Poisson.

        A Gaussian copula joins them. Its correlations are those of the normal scores of labels of held-out rows, given
        predictions of members not trained on them. They come from all rows that have both labels. They are shrunk
        towards zero where these are few, or have few labels of other tasks, and are zero where they do not help to
        predict held-out labels. The classes of a task are put into the order along which other tasks change most,
        unless their dtype orders them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_samples : int, default=100
            Number of draws for each row.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_rows) or (n_samples, n_rows, n_tasks)
            Labels, for each draw in the shape that y had: numbers, or classes; objects where tasks are of several
            kinds. Numbers stay in the support of the task's likelihood.

        Raises
        ------
        ValueError
            If no row was held out, or if `y_observed` is not as y was.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mtae import MultiTaskVAERegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 3))
        >>> Y = X[:, :2] + rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 2))  # a cause that X does not show
        >>> model = MultiTaskVAERegressor(2, n_estimators=6, cv=2, max_iter=10, random_state=0).fit(X, Y)
        >>> draws = model.predict_samples(X[:1], 1000, random_state=0)
        >>> draws.shape
        (1000, 1, 2)
        >>> print(f"correlation {np.corrcoef(draws[:, 0].T)[0, 1]:.1f}")
        correlation 0.8
        >>> given = model.predict_samples(X[:1], 1000, y_observed=[[1.0, np.nan]], random_state=0)
        >>> print(f"standard deviation {draws[:, 0, 1].std():.1f}, given the other {given[:, 0, 1].std():.1f}")
        standard deviation 1.1, given the other 0.7
        """
        self._check_held_out("predict_samples")
        runner = self._runner
        x = runner.read(X)
        drawn = draw_samples(runner, x, n_samples, self._read_observed(y_observed, x), random_state)
        return self._as_draws(drawn)

    @available_if(_may_have_numbers)
    def predict_region(self, X: ArrayLike, coverage: float = 0.9) -> JointRegion:
        """Predict regions that contain all labels of a row at once, for a given fraction of the rows.

        They are where the joint density of `predict_samples` is high: ellipsoids, if errors are normal. If the box of
        simultaneous intervals is much smaller, as with very long tails, or if very few held-out rows have all labels,
        the region is this box. Split-conformal prediction sets the size of both, so that they hold this fraction of
        held-out rows, each predicted by members not trained on it. A row with missing labels counts with those that it
        has: as the same quantile of a chi-squared distribution with fewer degrees of freedom. Tasks of classes are left
        out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        coverage : float, default=0.9
            Fraction of the rows whose labels should all lie within the region.

        Returns
        -------
        JointRegion
            Whether it `contains` given labels, its `volume`, and `lower` and `upper` ends of intervals that hold
            simultaneously, each for all rows. With few held-out rows, it may have no end: then its volume is infinite.

        Raises
        ------
        ValueError
            If fewer rows were held out than the coverage needs: `coverage / (1 - coverage)`.

        See Also
        --------
        JointRegion : With an example.
        """
        self._check_coverage(coverage, "predict_region")
        runner = self._runner
        return predict_region(runner, runner.read(X), coverage)

    def which_next(
        self, X: ArrayLike, y_observed: ArrayLike | None = None, tasks: Sequence[str | int] | None = None
    ) -> NDArray:
        """Return how much each label that is still open would say about the others, if it were measured.

        It is the expected fraction of the remaining variance of another task's normal score that the label removes:
        `Cov(s, t)^2 / (Var(s) Var(t))` given the known labels, for a number t; less for a count or a class, which does
        not say all about its score. The mean over the other open tasks is returned. See `predict_samples`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y_observed : array-like of shape (n_samples,) or (n_samples, n_tasks) or None, default=None
            Labels that are known already, NaN (or None) where not. They inform the predictions of the other tasks of
            their rows, and are predicted as they are.
        tasks : list of str or int, or None, default=None
            The tasks of interest, by name or position; None is all of them.

        Returns
        -------
        ndarray of shape (n_samples, n_tasks)
            Fractions between 0 and 1, NaN for known labels, and 0 where no task of interest is left.

        Raises
        ------
        ValueError
            If no row was held out, or if `y_observed` is not as y was.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mtae import MultiTaskVAERegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 3))
        >>> cause = rng.normal(size=(200, 1)) * [1, 1, 0]  # of the first two targets; X does not show it
        >>> Y = X + cause + 0.5 * rng.normal(size=(200, 3))
        >>> model = MultiTaskVAERegressor(2, n_estimators=6, cv=2, max_iter=10, random_state=0).fit(X, Y)
        >>> model.which_next(X[:1], tasks=["y1"]).round(1)  # how much each would say about the second target
        array([[0.6, 0. , 0. ]])
        """
        self._check_held_out("which_next")
        runner, names = self._runner, self.task_names_
        x = runner.read(X)
        is_list = isinstance(tasks, Sequence | np.ndarray) and not isinstance(tasks, str)
        if tasks is not None and not (is_list and len(tasks)):
            raise ValueError(f"tasks must be a list of one task or more, or None. Got {tasks!r}.")
        wanted = [task_position(task, names, "tasks") for task in (names if tasks is None else tasks)]
        return worth_measuring(runner, x, self._read_observed(y_observed, x), wanted)

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
            `member_params`; if there is a single model instead of an ensemble, why. If training has ended because more
            epochs did not pay, a line that says after how many. Then, for an ensemble, a line per task: which settings
            count, after which epochs, and with which weight.
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
        check_scalar(coverage, "coverage", Real)
        if not 0 < coverage < 1:
            hint = f" For {coverage:g} %, pass {coverage / 100:g}." if 1 < coverage < 100 else ""
            raise ValueError(f"coverage must be a number between 0 and 1. Got {coverage}.{hint}")
        self._check_held_out(verb)

    def _check_held_out(self, verb: str) -> None:
        """Raise an error if no row was held out to learn from."""
        check_is_fitted(self)
        if not self._fitted.average.scores:
            why = f" (one, since {self._fitted.alone})" if self._fitted.alone else ""
            if self.n_estimators != 1 and not why:
                raise ValueError(
                    f"{verb} needs rows that were held out from a model. Got a fit to a single row, or a partial_fit."
                )
            raise ValueError(
                f"{verb} needs rows that were held out from a model: n_estimators > 1 or early_stopping=True. "
                f"Got n_estimators={self.n_estimators!r}{why}, early_stopping={self.early_stopping!r}."
            )

    def _read_observed(self, y_observed: Any, x: Any) -> NDArray | None:
        """Return the labels that are known, as the models see them."""
        if y_observed is None:
            return None
        self._check_held_out("y_observed")
        return read_observed(self._runner, y_observed, x)

    def _as_draws(self, drawn: NDArray) -> NDArray:
        """Return draws of shape (n_samples, n_rows, n_tasks) as labels, each in the shape that y had."""
        n_draws, n_rows, n_tasks = drawn.shape
        labels = np.asarray(self._as_targets(drawn.reshape(-1, n_tasks)))
        return labels.reshape(n_draws, n_rows, *labels.shape[1:])

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
