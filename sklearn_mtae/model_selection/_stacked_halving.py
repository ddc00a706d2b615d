"""Successive halving of candidates that are trained as one: those behind are dropped, the others go on."""

from collections.abc import Callable
from math import floor, log
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV

from sklearn_mtae._fitting.adapt import n_epochs
from sklearn_mtae._fitting.parameters import is_auto
from sklearn_mtae._tables.checks import HalvingGridSearchCV, HalvingRandomSearchCV  # pyright: ignore[reportAttributeAccessIssue]

from ._shared_parts import epochs_name
from ._stacked_search import SameSplits, StackedSearch

ROWS = "n_samples"
"""The resource that is not the epochs: rows, of which each iteration has more."""


class StackedHalving(StackedSearch):
    """What the two searches share."""

    resource: str
    max_resources: int | str
    max_resources_: int
    min_resources_: int
    factor: float
    aggressive_elimination: bool
    multimetric_: bool
    n_resources_: list[int]
    best_index_: int
    cv_results_: dict[str, Any]

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Evaluate all candidates after some epochs, those ahead after more, and fit the best one to all rows.

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
            The search. Where the user interrupts the training of the stacks, `cv_results_` holds what is done, and
            nothing is refitted.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts before any candidate is done.
        ValueError
            If `resource` is neither the epochs of the first encoder nor "n_samples", if there are several scores and
            `refit` names none of them, or if labels of classes are missing and `cv` is no `TaskKFold`.
        """
        resource, max_resources = self.resource, self.max_resources
        try:
            super().fit(X, y, **params)
        finally:
            self.resource, self.max_resources = resource, max_resources
        if "split0_test_score" not in self.cv_results_:
            del self.cv_results_["mean_test_score"]
        return self

    def _check_input_parameters(self, X: Any, y: Any, split_params: Any) -> None:
        """Find the parameter that is the resource, and how much of it there is."""
        if self.resource != ROWS:
            name = epochs_name(self.estimator)
            if name is None or self.resource not in ("max_iter", name):
                known = repr(ROWS) if name is None else f"{name!r}, the epochs of the first encoder, or {ROWS!r}"
                raise ValueError(f"resource must be {known}. Got {self.resource!r}.")
            self.resource = name
            if isinstance(self.max_resources, str):
                n_most = self.estimator.get_params()[name]
                self.max_resources = (
                    n_epochs(X.shape[0] if hasattr(X, "shape") else len(X)) if is_auto(n_most) else n_most
                )
        super()._check_input_parameters(X, y, split_params)  # type: ignore[misc]

    def _evaluate(
        self,
        candidates: list[dict[str, Any]],
        evaluate_candidates: Callable[..., Any],
        cv: Any = None,
        more_results: dict[str, list] | None = None,
        **context: Any,
    ) -> dict[str, Any]:
        """Let the training of the candidates go on as far as it is to come in this iteration."""
        assert more_results is not None
        if more_results["iter"][0] == 0:
            self._count_iterations(len(candidates))
        self.n_iterations_, self.n_remaining_candidates_ = len(self.n_resources_), len(candidates)
        if self.resource != ROWS:
            self._shared.pause_at = more_results["n_resources"][0]
        refit = self.refit

        def evaluate(*args: Any, **params: Any) -> dict[str, Any]:
            results = evaluate_candidates(*args, **params)
            if "mean_test_score" not in results:
                # scikit-learn's halving knows one score, which it looks for here.
                results["mean_test_score"] = results[_deciding_score(refit, results)]
            # Also where an interrupt keeps the best one from being refitted.
            self.best_index_ = self._select_best_index(refit, None, results)
            return results

        # Rows may be drawn anew at each split.
        return super()._evaluate(candidates, evaluate, SameSplits(cv), more_results, **context)

    def _count_iterations(self, n_candidates: int) -> None:
        """Say how many iterations there are, by scikit-learn's rules, and to how many epochs they lead."""
        n_required = 1 + floor(log(n_candidates, self.factor))
        n_possible = 1 + floor(log(self.max_resources_ // self.min_resources_, self.factor))
        last = n_possible if self.aggressive_elimination else min(n_possible, n_required)
        self._shared.n_epochs = min(int(self.factor ** (last - 1) * self.min_resources_), self.max_resources_)
        self.n_required_iterations_, self.n_possible_iterations_ = n_required, n_possible

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: Any, results: dict[str, Any]) -> int:
        """Return the position of the best candidate of the last iteration, or what a rule of the user's says."""
        kind = GridSearchCV if callable(refit) else HalvingGridSearchCV
        return kind._select_best_index(refit, refit_metric, results)

    def _part_to_plan(self, candidate: dict[str, Any]) -> Any:
        """Return the part of a candidate that is to be trained with others, for all the epochs that it may get."""
        if self.resource == ROWS:
            return super()._part_to_plan(candidate)
        part = super()._part_to_plan({**candidate, self.resource: self._shared.n_epochs})
        # What stands in the place of the encoder, or before it, may be searched for too.
        return part if part is not None and epochs_name(part) == self.resource else None


def _deciding_score(refit: Any, results: dict[str, Any]) -> str:
    """Return the name of the result by which candidates are dropped, of several scores."""
    prefix = "mean_test_"
    names = [name.removeprefix(prefix) for name in results if name.startswith(prefix)]
    if refit not in names:
        raise ValueError(f"refit must be the score by which candidates are dropped, of {names}. Got {refit!r}.")
    return prefix + refit


class StackedHalvingGridSearchCV(StackedHalving, HalvingGridSearchCV):
    """Search a grid by successive halving, training all candidates and folds as one.

    All candidates are trained side by side, as in :class:`StackedGridSearchCV`, and scored after a few of their epochs.
    The best one in `factor` goes on from there, is scored again after `factor` times as many epochs, and so on
    [1]_. The iterations, their candidates and their epochs are those of
    :class:`sklearn.model_selection.HalvingGridSearchCV`; nothing is trained twice.

    A candidate runs towards the epochs of the last iteration from the start: what is scheduled over a fit, such as
    `beta`, is so over these, and one that reaches the last iteration is the model that a fit of so many epochs gives,
    but for the draws of models that draw while they train. In a pipeline, the steps behind the encoder are fitted to
    its codes at each iteration. Of several scores, candidates are dropped by the one that `refit` names. A function
    given as `refit` sees the results of all iterations, and may choose one of fewer epochs. Fits that cannot be stacked
    are done anew at each iteration, as there, and a warning says why. What is under way stays in memory: weights and
    moments of all candidates and folds.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_grid : dict or list of dict
        Values of each parameter, by name.
    factor : int or float, default=3
        One in how many candidates goes on to the next iteration, in which it has `factor` times as many epochs.
    resource : str, default="max_iter"
        What grows: the epochs of the first estimator of this package, "max_iter", in a pipeline also by its whole name,
        such as "code__max_iter"; or rows, "n_samples", of which each iteration draws more and trains anew.
    max_resources : int or "auto", default="auto"
        The most epochs that a candidate may get. "auto" is `max_iter` of the estimator, or the number of rows.
    min_resources : {"exhaust", "smallest"} or int, default="exhaust"
        Epochs of the first iteration. "exhaust" is as many as let the last iteration come as near to `max_resources` as
        it can, "smallest" is 1, and as scikit-learn has it for rows.
    aggressive_elimination : bool, default=False
        Whether candidates are dropped without more epochs at first, where `max_resources` would not suffice to go on
        until fewer than `factor` are left.
    cv : int, cross-validation generator or iterable, default=5
        The folds; None is five.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    refit : bool, str or callable, default=True
        Whether the best candidate is fitted to all rows, or by which score or rule it is found.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold where its fit fails; "raise" raises the error.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of what is drawn. Here rows, where these are the resource.
    n_jobs : int, default=None
        Processes that stacks are dealt to, on a CPU, and threads for what surrounds the training: earlier and later
        steps, and the scores. None is 1 outside of a `joblib.parallel_config`: this process, with torch's own threads.
        Processes take seconds to start, once, and then make more of the processors than these threads do, where there
        are several stacks. Results do not depend on it.
    verbose : int, default=0
        How much is printed.

    Attributes
    ----------
    n_resources_ : list of int
        Epochs (or rows) by iteration.
    n_candidates_ : list of int
        Candidates by iteration.
    n_remaining_candidates_ : int
        Candidates left after the last iteration.
    max_resources_, min_resources_ : int
        The most epochs that a candidate may get, and those of the first iteration.
    n_iterations_, n_possible_iterations_, n_required_iterations_ : int
        Iterations that were run, that `max_resources` allows, and that it takes to leave fewer than `factor`.
    cv_results_ : dict of str to ndarray
        Scores of the candidates of all iterations, as scikit-learn's halving searches have them: "iter" and
        "n_resources" say when. `mean_fit_time` leaves out what is trained in stacks: see `stack_time_`.
    best_estimator_ : estimator
        The best candidate of the last iteration, fitted to all rows, with `refit`.
    best_params_ : dict
        Its parameters, the resource among them.
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
        Number of fits that were trained in stacks, whether to their end or not.
    stack_time_ : float
        Seconds that their training took.

    See Also
    --------
    StackedGridSearchCV : The same search, all candidates to their end.
    sklearn.model_selection.HalvingGridSearchCV : The same search, one fit after the other, each from the start.

    References
    ----------
    .. [1] Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS
       2016, arXiv 1502.07943.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.model_selection import StackedHalvingGridSearchCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=18, random_state=0)
    >>> grid = {"alpha": [0, 1, 3], "learning_rate_init": [1e-3, 3e-3, 1e-2]}
    >>> search = StackedHalvingGridSearchCV(model, grid, cv=4).fit(X, Y)
    >>> search.n_candidates_, search.n_resources_
    ([9, 3, 1], [2, 6, 18])
    >>> search.best_params_["max_iter"]
    18
    """

    _parameter_constraints: dict = {
        **HalvingGridSearchCV._parameter_constraints,
        "scoring": GridSearchCV._parameter_constraints["scoring"],
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        factor: float = 3,
        resource: str = "max_iter",
        max_resources: int | str = "auto",
        min_resources: int | str = "exhaust",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            estimator,  # type: ignore[call-arg]
            param_grid,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )


class StackedHalvingRandomSearchCV(StackedHalving, HalvingRandomSearchCV):
    """Search random draws of parameters by successive halving, training all candidates and folds as one.

    As :class:`StackedHalvingGridSearchCV`, which says how, for candidates drawn at random.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_distributions : dict or list of dict
        Distributions or lists of values of each parameter, by name.
    n_candidates : int or "exhaust", default="exhaust"
        Candidates of the first iteration. "exhaust" is as many as let the last iteration use all of `max_resources`.
    factor : int or float, default=3
        One in how many candidates goes on to the next iteration, in which it has `factor` times as many epochs.
    resource : str, default="max_iter"
        What grows: the epochs of the first estimator of this package, "max_iter", in a pipeline also by its whole name,
        such as "code__max_iter"; or rows, "n_samples", of which each iteration draws more and trains anew.
    max_resources : int or "auto", default="auto"
        The most epochs that a candidate may get. "auto" is `max_iter` of the estimator, or the number of rows.
    min_resources : {"exhaust", "smallest"} or int, default="smallest"
        Epochs of the first iteration. "exhaust" is as many as let the last iteration come as near to `max_resources` as
        it can, "smallest" is 1, and as scikit-learn has it for rows.
    aggressive_elimination : bool, default=False
        Whether candidates are dropped without more epochs at first, where `max_resources` would not suffice to go on
        until fewer than `factor` are left.
    cv : int, cross-validation generator or iterable, default=5
        The folds; None is five.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    refit : bool, str or callable, default=True
        Whether the best candidate is fitted to all rows, or by which score or rule it is found.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold where its fit fails; "raise" raises the error.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of what is drawn. Here candidates, and rows where these are the resource.
    n_jobs : int, default=None
        Processes that stacks are dealt to, on a CPU, and threads for what surrounds the training: earlier and later
        steps, and the scores. None is 1 outside of a `joblib.parallel_config`: this process, with torch's own threads.
        Processes take seconds to start, once, and then make more of the processors than these threads do, where there
        are several stacks. Results do not depend on it.
    verbose : int, default=0
        How much is printed.

    Attributes
    ----------
    n_resources_ : list of int
        Epochs (or rows) by iteration.
    n_candidates_ : list of int
        Candidates by iteration.
    n_remaining_candidates_ : int
        Candidates left after the last iteration.
    max_resources_, min_resources_ : int
        The most epochs that a candidate may get, and those of the first iteration.
    n_iterations_, n_possible_iterations_, n_required_iterations_ : int
        Iterations that were run, that `max_resources` allows, and that it takes to leave fewer than `factor`.
    cv_results_ : dict of str to ndarray
        Scores of the candidates of all iterations, as scikit-learn's halving searches have them: "iter" and
        "n_resources" say when. `mean_fit_time` leaves out what is trained in stacks: see `stack_time_`.
    best_estimator_ : estimator
        The best candidate of the last iteration, fitted to all rows, with `refit`.
    best_params_ : dict
        Its parameters, the resource among them.
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
        Number of fits that were trained in stacks, whether to their end or not.
    stack_time_ : float
        Seconds that their training took.

    See Also
    --------
    StackedRandomizedSearchCV : The same search, all candidates to their end.
    sklearn.model_selection.HalvingRandomSearchCV : The same search, one fit after the other, each from the start.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.model_selection import StackedHalvingRandomSearchCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=9, random_state=0)
    >>> draws = {"alpha": loguniform(0.1, 10), "learning_rate_init": loguniform(1e-3, 1e-2)}
    >>> StackedHalvingRandomSearchCV(model, draws, cv=4, random_state=0).fit(X, Y).n_candidates_
    [9, 3, 1]
    """

    _parameter_constraints: dict = {
        **HalvingRandomSearchCV._parameter_constraints,
        "scoring": GridSearchCV._parameter_constraints["scoring"],
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_candidates: int | str = "exhaust",
        factor: float = 3,
        resource: str = "max_iter",
        max_resources: int | str = "auto",
        min_resources: int | str = "smallest",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            estimator,  # type: ignore[call-arg]
            param_distributions,
            n_candidates=n_candidates,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
