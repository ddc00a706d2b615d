"""Successive halving of candidates that are trained as one: the worst are dropped, the others continue."""

from collections.abc import Callable
from math import floor, log
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV

from sklearn_mtae._fitting.adapt import n_epochs
from sklearn_mtae._fitting.parameters import is_auto
from sklearn_mtae._tables.checks import HalvingGridSearchCV  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._tables.containers import n_rows

from ._shared_parts import epochs_name
from ._stacked_search import SameSplits, StackedSearch

ROWS = "n_samples"
"""The resource other than epochs: rows, of which each iteration has more."""


class StackedHalving(StackedSearch):
    """Base of the two searches."""

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
        """Evaluate all candidates after some epochs, the best after more, and fit the best one to all rows.

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
            The search. If the user interrupts the training of the stacks, `cv_results_` holds the results so far, and
            nothing is refitted.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts before any candidate is done.
        ValueError
            If `resource` is neither the epochs of the first encoder nor "n_samples", if there are several scores and
            `refit` names none of them, or if labels of classes are missing and `cv` is not a `TaskKFold`.
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
        """Find the parameter that is the resource, and its amount."""
        if self.resource != ROWS:
            name = epochs_name(self.estimator)
            if name is None or self.resource not in ("max_iter", name):
                known = repr(ROWS) if name is None else f"{name!r}, the epochs of the first encoder, or {ROWS!r}"
                raise ValueError(f"resource must be {known}. Got {self.resource!r}.")
            self.resource = name
            if isinstance(self.max_resources, str):
                n_most = self.estimator.get_params()[name]
                self.max_resources = n_epochs(n_rows(X)) if is_auto(n_most) else n_most
        super()._check_input_parameters(X, y, split_params)  # type: ignore[misc]

    def _evaluate(
        self,
        candidates: list[dict[str, Any]],
        evaluate_candidates: Callable[..., Any],
        cv: Any = None,
        more_results: dict[str, list] | None = None,
        **context: Any,
    ) -> dict[str, Any]:
        """Continue the training of the candidates to the end of this iteration."""
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
                # scikit-learn's halving has one score, which it looks for here.
                results["mean_test_score"] = results[_deciding_score(refit, results)]
            # Also if an interrupt prevents the refit of the best one.
            self.best_index_ = self._select_best_index(refit, None, results)
            return results

        # Rows may be drawn anew at each split.
        return super()._evaluate(candidates, evaluate, SameSplits(cv), more_results, **context)

    def _count_iterations(self, n_candidates: int) -> None:
        """Return the number of iterations, by scikit-learn's rules, and their numbers of epochs."""
        n_required = 1 + floor(log(n_candidates, self.factor))
        n_possible = 1 + floor(log(self.max_resources_ // self.min_resources_, self.factor))
        last = n_possible if self.aggressive_elimination else min(n_possible, n_required)
        self._shared.n_epochs = min(int(self.factor ** (last - 1) * self.min_resources_), self.max_resources_)
        self.n_required_iterations_, self.n_possible_iterations_ = n_required, n_possible

    def _select_best_index(self, refit: Any, refit_metric: Any, results: dict[str, Any]) -> int:
        """Return the position of the best candidate, or the choice of a user's rule.

        It is the best one of all iterations if these differ by epochs: more epochs may be too many.
        """
        if callable(refit):
            return GridSearchCV._select_best_index(refit, refit_metric, results)
        scores = results["mean_test_score"]
        if self.resource == ROWS or np.isnan(scores).all():
            return HalvingGridSearchCV._select_best_index(refit, refit_metric, results)
        best = np.flatnonzero(scores == np.nanmax(scores))
        # Among equals, the one with the most epochs: early stopping has ended both, and the refit may have more rows.
        return int(best[np.argmax(np.asarray(results["iter"])[best])])

    def _part_to_plan(self, candidate: dict[str, Any]) -> Any:
        """Return the part of a candidate to train with others, for all the epochs that it may get."""
        if self.resource == ROWS:
            return super()._part_to_plan(candidate)
        part = super()._part_to_plan({**candidate, self.resource: self._shared.n_epochs})
        # The step in place of the encoder, or before it, may be searched for too.
        return part if part is not None and epochs_name(part) == self.resource else None


def _deciding_score(refit: Any, results: dict[str, Any]) -> str:
    """Return the name of the result that candidates are dropped by, if there are several scores."""
    prefix = "mean_test_"
    names = [name.removeprefix(prefix) for name in results if name.startswith(prefix)]
    if refit not in names:
        raise ValueError(f"refit must be the score that candidates are dropped by, one of {names}. Got {refit!r}.")
    return prefix + refit
