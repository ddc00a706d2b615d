"""An independent model for each task, whatever its kind."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.mixed_targets import MixedTasks, read_mixed


class MixedHeads(BaseEstimator):
    """Estimators of single tasks, for numbers and for classes.

    Parameters
    ----------
    of_numbers, of_classes : estimator or dict of str to estimator
        Estimators of one task, or a dict with one for each by its name, without other tasks.
    likelihoods : object
        The parameter `task_likelihoods` of the model they are compared with: the kind of each task.
    """

    tasks_: MixedTasks

    def __init__(self, of_numbers: Any, of_classes: Any, likelihoods: Any = "auto") -> None:
        self.of_numbers = of_numbers
        self.of_classes = of_classes
        self.likelihoods = likelihoods

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the estimator of each task to the rows that have its label."""
        import pandas as pd

        targets, self.tasks_ = read_mixed(plain(y), X, likelihoods=self.likelihoods)  # type: ignore[assignment]
        self.task_names_ = self.tasks_.names
        self.task_kinds_ = dict(zip(self.tasks_.names, self.tasks_.kinds, strict=True))
        table, is_class = pd.DataFrame(targets, columns=self.task_names_), self.tasks_.of_classes
        parts = (PerTaskRegressor, self.of_numbers, ~is_class), (PerTaskClassifier, self.of_classes, is_class)
        self.regressor_, self.classifier_ = (
            make(_own(given, self.task_names_, wanted)).fit(X, table.loc[:, wanted]) if wanted.any() else None
            for make, given, wanted in parts
        )
        # A training part may lack classes of the dtype.
        of_part = [] if self.classifier_ is None else self.classifier_.classes_
        known = zip(self.tasks_.by_name.items(), of_part, strict=True)
        self.classes_ = {name: own[np.asarray(codes, dtype=int)] for (name, own), codes in known}
        return self

    def predict(self, X: Any) -> Any:
        """Predict the tasks in their original form."""
        columns, is_class = np.empty((len(X), len(self.task_names_))), self.tasks_.of_classes
        for model, wanted in ((self.regressor_, ~is_class), (self.classifier_, is_class)):
            if model is not None:
                columns[:, wanted] = np.reshape(model.predict(X), (len(X), -1))
        return self.tasks_.means(columns, None)

    def predict_proba(self, X: Any) -> dict[str, NDArray]:
        """Predict the probabilities of the tasks of classes, by name."""
        found = [] if self.classifier_ is None else self.classifier_.predict_proba(X)
        return dict(zip(self.classes_, map(np.asarray, found), strict=True))


def _own(given: Any, names: list[str], wanted: NDArray[np.bool_]) -> Any:
    """Return the estimators of some tasks."""
    own = [name for name, is_wanted in zip(names, wanted, strict=True) if is_wanted]
    return {name: given[name] for name in own} if isinstance(given, Mapping) else given
