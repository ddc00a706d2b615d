"""Arguments of the fits of a transfer report: classes, groups, and the options of a single task."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae._estimators.classifier import MultiTaskVAEClassifier
from sklearn_mtae._estimators.mixed import MultiTaskVAE
from sklearn_mtae._estimators.multi_task import BaseMultiTaskVAE
from sklearn_mtae._tables.checks import safe_indexing
from sklearn_mtae._tables.classes import find_classes, is_by_class
from sklearn_mtae._tables.column_likelihoods import UNNAMED, per_task_likelihood
from sklearn_mtae._tables.mixed_targets import given_kinds
from sklearn_mtae._tables.targets import per_task


def given_classes(model: Any, names: list[str], columns: list[NDArray], single: bool = False) -> dict[str, Any]:
    """Return the classes of all labels for the package's classifier: classes missing in training have outputs too."""
    if not isinstance(model, MultiTaskVAEClassifier):
        return {}
    classes = find_classes(columns, names, None, 2)
    return {"classes": classes[0] if single else classes}


def given_groups(model: Any, groups: Any, rows: NDArray) -> dict[str, Any]:
    """Return the groups of some rows for an estimator that holds groups out."""
    if groups is None or not isinstance(model, BaseMultiTaskVAE):
        return {}
    return {"groups": safe_indexing(groups, rows)}


def own_options(model: Any, names: list[str], task: int, labels: NDArray) -> dict[str, Any]:
    """Select the options of a single task from those given by task."""
    own: dict[str, Any] = {"task_similarity": None}
    if isinstance(model.task_weighting, Mapping) or np.ndim(model.task_weighting) == 1:
        own["task_weighting"] = "equal"
    if isinstance(model, MultiTaskVAE):
        given = given_kinds(model.task_likelihoods, names)
        if given:
            own["task_likelihoods"] = {name: kind for name, kind in given.items() if name == names[task]} or "auto"
    elif hasattr(model, "task_likelihoods"):
        own["task_likelihoods"] = per_task_likelihood(model.task_likelihoods, names, UNNAMED)[task]
    if hasattr(model, "class_weight"):
        own["class_weight"] = _own_class_weight(model.class_weight, names, task, labels)
    return own


def _own_class_weight(option: Any, names: list[str], task: int, labels: NDArray) -> Any:
    own = option if is_by_class(option) else per_task(option, names, "class_weight", default={})[task]
    if not isinstance(own, Mapping):
        return own
    classes = set(labels.tolist())
    return {label: weight for label, weight in own.items() if label in classes}
