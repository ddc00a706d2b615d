"""Grid and randomised searches that train all candidates and folds as one."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import compress
from numbers import Integral
from typing import Any, Self

from joblib import parallel_config
from joblib.parallel import get_active_backend
from numpy.typing import ArrayLike
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, check_cv
from sklearn.utils import indexable

from sklearn_mtae._fitting.shared_fits import SharedFits
from sklearn_mtae._tables.checks import check_method_params, safe_indexing
from sklearn_mtae._tables.targets import is_missing, target_columns

from ._shared_parts import estimators_in, first_part, share, shared_copy, taken_by


class SameSplits:
    """A splitter that splits once, so that two searches see the same folds.

    Parameters
    ----------
    cv : cross-validation generator
        The splitter.
    """

    shuffle = False  # tells scikit-learn that its folds stay the same

    def __init__(self, cv: Any) -> None:
        self.cv = cv
        self.splits: list | None = None

    def split(self, X: Any, y: Any = None, groups: Any = None, **params: Any) -> Iterator[tuple]:
        """Yield the folds."""
        if self.splits is None:
            given = params if groups is None else {"groups": groups, **params}
            self.splits = list(self.cv.split(X, y, **given))
        yield from self.splits

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "cv":
            raise AttributeError(name)
        return getattr(self.cv, name)


class SearchOver(Exception):
    """Ends an interrupted search of several rounds."""


class StackedSearch:
    """Base of the searches."""

    estimator: Any
    cv: Any
    refit: Any
    scoring: Any
    n_jobs: int | None
    n_stacked_: int
    stack_time_: float
    _get_routed_params_for_fit: Callable[[dict[str, Any]], Any]

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Evaluate all candidates, and fit the best one to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Targets.
        **params : dict
            Passed on to `fit` of the estimator, to the scorer and to the splitter, as scikit-learn's searches do.

        Returns
        -------
        self
            The search. If the user interrupts the training of the stacks, `cv_results_` holds the completed candidates,
            and nothing is refitted.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts before any candidate is done.
        ValueError
            If labels of classes are missing, and `cv` does not say how to split them: this needs a `TaskKFold`.
        """
        cv, refit = self.cv, self.refit
        is_stratified = is_classifier(self.estimator) and (cv is None or isinstance(cv, Integral))
        if is_stratified and y is not None and any(is_missing(column).any() for column in target_columns(y)):
            raise ValueError(f"Partly missing labels need cv=TaskKFold({cv or 5}). Got cv={cv!r}.")
        estimator, shared = self.estimator, SharedFits()
        self.cv = SameSplits(check_cv(cv, y, classifier=is_classifier(estimator)))
        self.estimator = share(clone(estimator), shared)
        self._called = X, y, params
        self._shared = shared
        self._copies: list[Any] = []
        self._is_begun = False
        self._backend = get_active_backend()[0]
        try:
            # Workers in other processes would not find what has been trained here.
            with parallel_config(backend="threading"):
                super().fit(X, y, **params)  # type: ignore[misc]
        finally:
            share([self.estimator, getattr(self, "best_estimator_", None), *self._copies], None)
            self.estimator, self.cv, self.refit = estimator, cv, refit
            shared.end()
            del self._called, self._shared, self._backend, self._copies, self._is_begun
        return self

    def _run_search(self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None) -> None:
        own = {} if callback_ctx is None else {"callback_ctx": callback_ctx}  # new in scikit-learn 1.9

        def evaluate(given: Iterable[dict[str, Any]], *args: Any, **context: Any) -> dict[str, Any]:
            return self._evaluate(list(given), evaluate_candidates, *args, **context)

        with suppress(SearchOver):
            super()._run_search(evaluate, **own)  # type: ignore[misc]
        self._shared.end()  # the refit shares nothing

    def _evaluate(
        self,
        candidates: list[dict[str, Any]],
        evaluate_candidates: Callable[..., Any],
        cv: Any = None,
        more_results: dict[str, list] | None = None,
        **context: Any,
    ) -> dict[str, Any]:
        """Train all fits of the candidates, then let them be evaluated as usual."""
        shared = self._shared
        candidates = [
            {name: shared_copy(value, shared) for name, value in candidate.items()} for candidate in candidates
        ]
        self._copies += [value for candidate in candidates for value in candidate.values()]
        self._plan(candidates, cv or self.cv)
        with parallel_config(backend=self._backend):
            interrupted = shared.train(self.n_jobs)
        self.n_stacked_, self.stack_time_ = shared.n_trained, shared.seconds
        self._report(shared)
        if interrupted:
            done = shared.finished()
            self._end_early(sum(done), len(done))
            candidates = list(compress(candidates, done))
            more_results = {name: list(compress(values, done)) for name, values in (more_results or {}).items()}
        results = evaluate_candidates(candidates, cv, more_results, **context) if candidates else {}
        if interrupted:
            raise SearchOver
        self._is_begun = True
        return results

    def _plan(self, candidates: list[dict[str, Any]], cv: Any) -> None:
        """Plan the fits of the candidates in each fold; equal steps before them are fitted once."""
        X, y, params = self._called
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(check_method_params(X, params))
        splits = list(cv.split(X, y, **routed.splitter.split))
        self._shared.begin()
        try:
            for candidate in candidates:
                self._shared.begin_candidate()
                # Failures here are reported when the candidate is evaluated.
                with suppress(Exception):
                    first = self._part_to_plan(candidate)
                    for train, _ in splits if first is not None else []:
                        with suppress(Exception):
                            _plan_fit(clone(first), X, y, train, routed.estimator.fit)
        finally:
            self._shared.is_planning = False

    def _part_to_plan(self, candidate: dict[str, Any]) -> Any:
        """Return the part of a candidate to train with others, None if there is none."""
        return first_part(clone(self.estimator).set_params(**clone(candidate, safe=False)))

    def _report(self, shared: SharedFits) -> None:
        """Warn of fits that are not part of a stack."""
        for reason, n_fits in shared.refused.items():
            warnings.warn(f"{n_fits} fits are done one after the other: {reason}.", stacklevel=4)
        if not (shared.plans or any(isinstance(own, StackedSearch) for own in estimators_in(self.estimator))):
            warnings.warn("No fit could be stacked: they are done one after the other.", stacklevel=4)

    def _end_early(self, n_done: int, n_candidates: int) -> None:
        """Warn of the state of an interrupted search."""
        if n_done == 0 and not self._is_begun:
            raise KeyboardInterrupt
        self.refit = False
        warnings.warn(
            f"Search interrupted by user: {n_done} of {n_candidates} candidates are done. The best of them is not "
            "refitted.",
            stacklevel=4,
        )


def _plan_fit(first: Any, X: Any, y: Any, train: Any, params: dict[str, Any]) -> None:
    """Plan the fit of a part of a candidate to the rows of a fold."""
    own = check_method_params(X, taken_by(first, params), indices=train)
    first.fit(safe_indexing(X, train), None if y is None else safe_indexing(y, train), **own)


class StackedGridSearchCV(StackedSearch, GridSearchCV):
    """Search a grid of parameters, training all candidates and folds as one.

    Small networks are limited by the calls that launch their arithmetic, not by the arithmetic: dozens trained side by
    side take little longer than one. Folds, fits and scores are those of :class:`sklearn.model_selection.GridSearchCV`,
    except for random draws during training.

    Candidates that differ only in numbers (`alpha`, `learning_rate_init`, `beta`, `reconstruction_weight`,
    `penalty_weight`, `max_iter`, `tol`, `n_iter_no_change`, `random_state`) are trained as one stack with all their
    folds. Each other architecture or batch size makes its own stack; the user's own parts are compared by their
    contents. A stack that would take more than 1 GiB is split. In a pipeline, each step before an encoder, and the
    encoder, is fitted once per fold and setting, whatever the number of settings of the head. Candidates that cannot be
    stacked are fitted as usual, with a warning that says why. Only the refitted model is checked for unused components
    (`DegenerateModelWarning`).

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_grid : dict or list of dict
        Values of each parameter, by name.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    n_jobs : int, default=None
        Processes for stacks on a CPU, and threads for everything around the training: earlier and later steps, and the
        scores. None is 1 outside a `joblib.parallel_config`: this process, with torch's own threads. Processes take
        seconds to start, once, and then use the processors better than these threads do if there are several stacks.
        Results do not depend on it.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, or the score or rule to find it by.
    cv : int, cross-validation generator or iterable, default=None
        The folds; None is five.
    verbose : int, default=0
        Verbosity.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs dispatched at a time.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold in which its fit fails; "raise" raises the error.
    return_train_score : bool, default=False
        Whether to score the training rows too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Scores of the candidates, as in scikit-learn's searches. `mean_fit_time` leaves out training in stacks: see
        `stack_time_`.
    best_estimator_ : estimator
        The best candidate, fitted to all rows, with `refit`.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score over the folds.
    best_index_ : int
        Its position in `cv_results_`.
    scorer_ : callable or dict
        The scores in use.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit, with `refit`.
    multimetric_ : bool
        Whether there are several scores.
    n_stacked_ : int
        Number of fits that were trained in stacks; equal ones, such as those of an encoder under several settings of
        the head behind it, count once.
    stack_time_ : float
        Seconds that their training took.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The same search, one fit after the other.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.model_selection import StackedGridSearchCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskVAERegressor(n_components=2, n_estimators=1, hidden_layer_sizes=(16,), random_state=0)
    >>> search = StackedGridSearchCV(model, {"alpha": [0, 3], "learning_rate_init": [1e-3, 1e-2]}, cv=4).fit(X, Y)
    >>> search.n_stacked_
    16
    >>> sorted(search.best_params_)
    ['alpha', 'learning_rate_init']
    """


class StackedRandomizedSearchCV(StackedSearch, RandomizedSearchCV):
    """Search random draws of parameters, training all candidates and folds as one.

    Like :class:`StackedGridSearchCV`, which describes what is trained together, for candidates drawn at random. If you
    draw numbers rather than architectures, all candidates become one stack.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_distributions : dict or list of dict
        Distributions or lists of values of each parameter, by name.
    n_iter : int, default=10
        Number of candidates.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    n_jobs : int, default=None
        Processes for stacks on a CPU, and threads for everything around the training: earlier and later steps, and the
        scores. None is 1 outside a `joblib.parallel_config`: this process, with torch's own threads. Processes take
        seconds to start, once, and then use the processors better than these threads do if there are several stacks.
        Results do not depend on it.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, or the score or rule to find it by.
    cv : int, cross-validation generator or iterable, default=None
        The folds; None is five.
    verbose : int, default=0
        Verbosity.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs dispatched at a time.
    random_state : int, RandomState instance or None, default=None
        Seed of the random draws. Here candidates.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold in which its fit fails; "raise" raises the error.
    return_train_score : bool, default=False
        Whether to score the training rows too.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Scores of the candidates, as in scikit-learn's searches. `mean_fit_time` leaves out training in stacks: see
        `stack_time_`.
    best_estimator_ : estimator
        The best candidate, fitted to all rows, with `refit`.
    best_params_ : dict
        Its parameters.
    best_score_ : float
        Its mean score over the folds.
    best_index_ : int
        Its position in `cv_results_`.
    scorer_ : callable or dict
        The scores in use.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit, with `refit`.
    multimetric_ : bool
        Whether there are several scores.
    n_stacked_ : int
        Number of fits that were trained in stacks; equal ones, such as those of an encoder under several settings of
        the head behind it, count once.
    stack_time_ : float
        Seconds that their training took.

    See Also
    --------
    sklearn.model_selection.RandomizedSearchCV : The same search, one fit after the other.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.model_selection import StackedRandomizedSearchCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskVAERegressor(n_components=2, n_estimators=1, hidden_layer_sizes=(16,), random_state=0)
    >>> draws = {"alpha": loguniform(0.1, 10), "learning_rate_init": loguniform(1e-3, 1e-2)}
    >>> StackedRandomizedSearchCV(model, draws, n_iter=5, cv=4, random_state=0).fit(X, Y).n_stacked_
    20
    """
