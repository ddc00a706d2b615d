"""Searches by successive halving whose candidates are trained as one."""

from typing import Any

import numpy as np
from sklearn.model_selection import GridSearchCV

from sklearn_mtae._tables.checks import HalvingGridSearchCV, HalvingRandomSearchCV  # pyright: ignore[reportAttributeAccessIssue]

from ._halving import StackedHalving


class StackedHalvingGridSearchCV(StackedHalving, HalvingGridSearchCV):
    """Search a grid by successive halving, training all candidates and folds as one.

    All candidates are trained side by side, as in :class:`StackedGridSearchCV`, and scored after a few of their epochs.
    The best one in `factor` continues from there, is scored again after `factor` times as many epochs, and so on [1]_.
    The iterations, their candidates and their epochs are those of :class:`sklearn.model_selection.HalvingGridSearchCV`;
    nothing is trained twice.

    Schedules over a fit, such as that of `beta`, run over the epochs of the last iteration from the start. A candidate
    that reaches the last iteration equals the model of a fit with that number of epochs, except for random draws during
    training. In a pipeline, the steps after the encoder are fitted to its codes at each iteration. If there are several
    scores, candidates are dropped by the one that `refit` names. Fits that cannot be stacked are repeated at each
    iteration, as there, and a warning says why. Running candidates stay in memory: weights and moments for all folds.

    The search selects the best candidate of all iterations, with its epochs there; among equals, the one with the most.
    scikit-learn selects among those of the last iteration, but more epochs are not better for every candidate. One with
    a large step size may be at its best after a few epochs, when one with a small step size is still behind and is
    dropped. A function given as `refit` sees the results of all iterations and may choose otherwise. If rows are the
    resource, the last iteration decides, as there.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_grid : dict or list of dict
        Values of each parameter, by name.
    factor : int or float, default=3
        One in `factor` candidates continues to the next iteration, with `factor` times as many epochs.
    resource : str, default="max_iter"
        The resource that grows: "max_iter", the epochs of the first estimator of this package, in a pipeline also by
        its full name, such as "code__max_iter"; or "n_samples", the rows, of which each iteration draws more and trains
        afresh.
    max_resources : int or "auto", default="auto"
        Maximum number of epochs of a candidate. "auto" is `max_iter` of the estimator, or the number of rows.
    min_resources : {"exhaust", "smallest"} or int, default="exhaust"
        Epochs of the first iteration. "exhaust" brings the last iteration as close to `max_resources` as possible.
        "smallest" is 1; for rows, it is as in scikit-learn.
    aggressive_elimination : bool, default=False
        Whether candidates are at first dropped without more epochs, if `max_resources` does not suffice to continue
        until fewer than `factor` are left.
    cv : int, cross-validation generator or iterable, default=5
        The folds; None is five.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, or the score or rule to find it by.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold in which its fit fails; "raise" raises the error.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of the random draws. Here rows, if these are the resource.
    n_jobs : int, default=None
        Processes for stacks on a CPU, and threads for everything around the training: earlier and later steps, and the
        scores. None is 1 outside a `joblib.parallel_config`: this process, with torch's own threads. Processes take
        seconds to start, once, and then use the processors better than these threads do if there are several stacks.
        Results do not depend on it.
    verbose : int, default=0
        Verbosity.

    Attributes
    ----------
    n_resources_ : list of int
        Epochs (or rows) by iteration.
    n_candidates_ : list of int
        Candidates by iteration.
    n_remaining_candidates_ : int
        Candidates left after the last iteration.
    max_resources_, min_resources_ : int
        The maximum number of epochs of a candidate, and the number in the first iteration.
    n_iterations_, n_possible_iterations_, n_required_iterations_ : int
        Iterations that were run, that `max_resources` allows, and that are needed to leave fewer than `factor`
        candidates.
    cv_results_ : dict of str to ndarray
        Scores of the candidates of all iterations, as in scikit-learn's halving searches: "iter" and "n_resources" say
        when. `mean_fit_time` leaves out training in stacks: see `stack_time_`.
    best_estimator_ : estimator
        The best candidate of all iterations, fitted to all rows for its epochs, with `refit`.
    best_params_ : dict
        Its parameters, including its epochs.
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
        Number of fits that were trained in stacks, whether completely or not.
    stack_time_ : float
        Seconds that their training took.

    See Also
    --------
    StackedGridSearchCV : The same search with all candidates trained to the end.
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
    >>> search = StackedHalvingGridSearchCV(model, grid, cv=2).fit(X, Y)
    >>> search.n_candidates_, search.n_resources_
    ([9, 3, 1], [2, 6, 18])
    >>> sorted(search.best_params_)
    ['alpha', 'learning_rate_init', 'max_iter']
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

    Like :class:`StackedHalvingGridSearchCV`, which gives the details, for candidates drawn at random.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or a pipeline or other meta-estimator that fits one.
    param_distributions : dict or list of dict
        Distributions or lists of values of each parameter, by name.
    n_candidates : int or "exhaust", default="exhaust"
        Candidates of the first iteration. "exhaust" is the number that lets the last iteration use all of
        `max_resources`.
    factor : int or float, default=3
        One in `factor` candidates continues to the next iteration, with `factor` times as many epochs.
    resource : str, default="max_iter"
        The resource that grows: "max_iter", the epochs of the first estimator of this package, in a pipeline also by
        its full name, such as "code__max_iter"; or "n_samples", the rows, of which each iteration draws more and trains
        afresh.
    max_resources : int or "auto", default="auto"
        Maximum number of epochs of a candidate. "auto" is `max_iter` of the estimator, or the number of rows.
    min_resources : {"exhaust", "smallest"} or int, default="smallest"
        Epochs of the first iteration. "exhaust" brings the last iteration as close to `max_resources` as possible.
        "smallest" is 1; for rows, it is as in scikit-learn.
    aggressive_elimination : bool, default=False
        Whether candidates are at first dropped without more epochs, if `max_resources` does not suffice to continue
        until fewer than `factor` are left.
    cv : int, cross-validation generator or iterable, default=5
        The folds; None is five.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn's search; None is the estimator's own `score`.
    refit : bool, str or callable, default=True
        Whether to fit the best candidate to all rows, or the score or rule to find it by.
    error_score : "raise" or float, default=nan
        Score of a candidate in a fold in which its fit fails; "raise" raises the error.
    return_train_score : bool, default=True
        Whether to score the training rows too.
    random_state : int, RandomState instance or None, default=None
        Seed of the random draws. Here candidates, and rows if these are the resource.
    n_jobs : int, default=None
        Processes for stacks on a CPU, and threads for everything around the training: earlier and later steps, and the
        scores. None is 1 outside a `joblib.parallel_config`: this process, with torch's own threads. Processes take
        seconds to start, once, and then use the processors better than these threads do if there are several stacks.
        Results do not depend on it.
    verbose : int, default=0
        Verbosity.

    Attributes
    ----------
    n_resources_ : list of int
        Epochs (or rows) by iteration.
    n_candidates_ : list of int
        Candidates by iteration.
    n_remaining_candidates_ : int
        Candidates left after the last iteration.
    max_resources_, min_resources_ : int
        The maximum number of epochs of a candidate, and the number in the first iteration.
    n_iterations_, n_possible_iterations_, n_required_iterations_ : int
        Iterations that were run, that `max_resources` allows, and that are needed to leave fewer than `factor`
        candidates.
    cv_results_ : dict of str to ndarray
        Scores of the candidates of all iterations, as in scikit-learn's halving searches: "iter" and "n_resources" say
        when. `mean_fit_time` leaves out training in stacks: see `stack_time_`.
    best_estimator_ : estimator
        The best candidate of all iterations, fitted to all rows for its epochs, with `refit`.
    best_params_ : dict
        Its parameters, including its epochs.
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
        Number of fits that were trained in stacks, whether completely or not.
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
    >>> StackedHalvingRandomSearchCV(model, draws, cv=2, random_state=0).fit(X, Y).n_candidates_
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
