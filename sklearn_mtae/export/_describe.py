"""What a file says of an exported estimator beside its computations: columns, levels, classes, bounds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._estimators.base import BaseAutoencoder
from sklearn_mtae._estimators.imputer import VAEImputer
from sklearn_mtae._estimators.outliers import OutlierDetector
from sklearn_mtae._fitting.build import task_limits
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._tables.features import Features
from sklearn_mtae._tables.frame import Numbers
from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae._version import __version__

from ._cells import levels_of
from ._densities import densities, imputation, limits_of
from ._fits import Fit
from ._methods import Asked, is_alone, kinds_of, of_autoencoder, of_tasks
from ._strange import of_detector
from ._trace import NotExportableError


class Exportable(NamedTuple):
    """An estimator ready to be exported."""

    header: dict[str, Any]
    arrays: dict[str, NDArray]
    asked: dict[str, Asked]
    n_codes: int
    """Columns of codes, for what takes codes."""
    features: Features
    fitted: Fitted | None = None


def describe(estimator: Any, precise: bool = False) -> Exportable:
    """Return what there is to export of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    precise : bool, default=False
        Whether what the estimator computes in the precision of the rows is computed in float64.

    Raises
    ------
    NotExportableError
        If it is an estimator that cannot be exported, or has parts that cannot.
    """
    if isinstance(estimator, OutlierDetector):
        return _detector(estimator)
    if isinstance(estimator, VAEImputer):
        return _imputer(estimator)
    if isinstance(estimator, BaseAutoencoder):
        return _model(estimator, precise)
    name = type(estimator).__name__
    raise NotExportableError(f"{name} cannot be exported. {REMEDIES.get(name, _remedy(estimator))}")


REMEDIES = {
    "MultipleImputation": (
        "It draws the missing cells of new rows, and what it draws for a row depends on the rows before. Export each "
        "of its estimators_ and average what they return for complete rows; a VAEImputer, which can be exported, fills "
        "cells by their means."
    ),
    **dict.fromkeys(
        ("PerTaskClassifier", "PerTaskRegressor"),
        "Its estimators may be any: only to_onnx exports them together, by skl2onnx. Those of this package among its "
        "estimators_ can be exported one by one.",
    ),
}
"""Why an estimator cannot be exported, and what to do instead."""


def _remedy(estimator: Any) -> str:
    if isinstance(estimator, Pipeline) or hasattr(estimator, "fit"):
        return "Only to_onnx exports pipelines and estimators of other packages, by skl2onnx."
    return "Pass a fitted estimator of sklearn_mtae."


def _model(estimator: BaseAutoencoder, precise: bool) -> Exportable:
    """Return what there is to export of an autoencoder, with tasks or without."""
    check_is_fitted(estimator)
    fitted = estimator._fitted
    fit, features = Fit(fitted), fitted.recipe.columns
    in_float64 = Fit(fitted, dtype=torch.float64)
    exact = in_float64 if precise else fit
    asked, kind = of_autoencoder(exact) | densities(in_float64), _kind(fitted)
    arrays = {"bounds": _bounds(fitted), "sizes": _bounds(fitted, by_size=True)}
    header = _header(estimator, kind, features, estimator.handle_unknown)
    header["names_out"] = estimator.get_feature_names_out().tolist()
    if fitted.recipe.tasks is not None:
        asked |= of_tasks(exact if is_alone(fit) else fit)
        header["tasks"] = _tasks(fitted)
        arrays |= _calibration(fitted)
    return Exportable(header, arrays, asked, fitted.recipe.n_components, features, fitted)


def _detector(estimator: OutlierDetector) -> Exportable:
    """Return what there is to export of a detector."""
    check_is_fitted(estimator)
    features = estimator._features
    header = _header(estimator, "detector", features, "silent")
    arrays = {"bounds": _bounds(estimator._members[0][0]._fitted), "offset": np.array(estimator.offset_)}
    return Exportable(header, arrays, of_detector(estimator._members, features), 0, features)


def _imputer(estimator: VAEImputer) -> Exportable:
    """Return what there is to export of an imputer."""
    check_is_fitted(estimator)
    model, indicator = estimator.estimator_, estimator.indicator_
    fitted, features = model._fitted, model._fitted.recipe.columns
    header = _header(estimator, "imputer", features, model.handle_unknown)
    header["names_out"] = estimator.get_feature_names_out().tolist()
    empty, indicators = np.flatnonzero(estimator._is_empty), [] if indicator is None else indicator.features_.tolist()
    kept = np.arange(features.count) if estimator.keep_empty_features else np.flatnonzero(~estimator._is_empty)
    header["imputer"] = {"empty": empty.tolist(), "kept": kept.tolist(), "indicators": indicators}
    fits = [Fit(own._fitted, dtype=torch.float64) for own in estimator.estimators_]
    asked = {"impute": imputation(fits, estimator.n_importance_samples, empty.tolist())}
    return Exportable(header, {"bounds": _bounds(fitted)}, asked, 0, features, fitted)


def _header(estimator: Any, kind: str, features: Features, unknown: str) -> dict[str, Any]:
    names = None if features.given_names is None else [str(name) for name in features.given_names]
    columns = {
        "names": names,
        "count": features.count,
        "levels": {str(j): list(map(_plain, own)) for j, own in levels_of(features).items()},
        "dtypes": _dtypes(features),
        "unknown": unknown,
    }
    return {
        "content": "exported",
        "kind": kind,
        "estimator": type(estimator).__name__,
        "version": __version__,
        "columns": columns,
    }


def _plain(value: Any) -> Any:
    """Return a value of Python for one of numpy."""
    return value.item() if isinstance(value, np.generic) else value


def _dtypes(features: Features) -> list[str] | None:
    """Return the dtypes that numbers are returned in; None where they are those of the rows."""
    if features.table is None or not features.table.framed:
        return None
    return [own.unit if isinstance(own, Numbers) else "float64" for own in features.table.columns]


def _bounds(fitted: Fitted, by_size: bool = False) -> NDArray:
    """Return the least and the greatest admissible value of each column, shape (2, n_features), by its size alone."""
    features, limits = fitted.recipe.columns, limits_of(fitted)
    low, high = -limits.largest, limits.largest
    if not by_size:
        low, high = np.maximum(limits.low, low), np.minimum(limits.high, high)
    is_category = levels_of(features)
    return np.array(
        [
            (-np.inf, np.inf) if j in is_category else (low[own[0]], high[own[0]])
            for j, own in enumerate(features.groups)
        ]
    ).T.copy()


def _kind(fitted: Fitted) -> str:
    """Return the kind of the exported model: a key of `sklearn_mtae.runtime.MODELS`."""
    if fitted.recipe.tasks is None:
        return "transformer"
    return {(True, False): "numbers", (False, True): "classes", (True, True): "mixed"}[kinds_of(fitted)]


def _tasks(fitted: Fitted) -> dict[str, Any]:
    """Return names and classes of the tasks."""
    tasks = fitted.recipe.tasks
    assert tasks is not None
    own = [None] * len(tasks.names) if tasks.classes is None else list(tasks.classes)
    if isinstance(tasks, MixedTasks):
        own = [classes if is_class else None for classes, is_class in zip(own, tasks.of_classes, strict=True)]
    for classes, name in zip(own, tasks.names, strict=True):
        strange = [] if classes is None else [v for v in classes.tolist() if not isinstance(v, str | int | float)]
        if strange:
            raise NotExportableError(f"Classes must be strings, numbers or booleans. Task {name!r} has {strange[0]!r}.")
    return {
        "names": tasks.names,
        "n_dimensions": tasks.n_dimensions,
        "classes": [None if classes is None else classes.tolist() for classes in own],
        "dtypes": [None if classes is None else _dtype(classes) for classes in own],
        "by_name": isinstance(tasks, MixedTasks),
    }


def _dtype(classes: NDArray) -> str:
    return "object" if classes.dtype.kind not in "biufU" else classes.dtype.str


def _calibration(fitted: Fitted) -> dict[str, NDArray]:
    """Return what intervals and sets need: distances of held-out labels, factors of deviations, limits of numbers."""
    average, n_tasks = fitted.average, len(fitted.recipe.task_names)
    arrays: Mapping[str, Any] = {f"scores{task}": own for task, own in enumerate(average.scores)}
    limits = [own for _, own in task_limits(fitted)]
    low, high = np.min([own.low for own in limits], axis=0), np.max([own.high for own in limits], axis=0)
    return {
        **{name: np.asarray(own, dtype=np.float64) for name, own in arrays.items()},
        "inflation": np.broadcast_to(np.asarray(average.inflation, dtype=np.float64), (n_tasks,)).copy(),
        "limits": np.array([low, high], dtype=np.float64),
    }
