"""The parts of an estimator in a stacked search: which of them share their fits."""

from collections.abc import Iterator
from typing import Any

from sklearn import get_config
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from sklearn_mtae._estimators.base import BaseAutoencoder
from sklearn_mtae._fitting.shared_fits import SharedFits
from sklearn_mtae._tables.checks import HalvingGridSearchCV, HalvingRandomSearchCV  # pyright: ignore[reportAttributeAccessIssue]

SEARCHES = GridSearchCV, RandomizedSearchCV, HalvingGridSearchCV, HalvingRandomSearchCV


def estimators_in(value: Any, fitted: bool = False) -> Iterator[Any]:
    """Yield the estimators in a value, without frozen ones; also the results of a fit, if `fitted`."""
    if isinstance(value, list | tuple):
        for own in value:
            yield from estimators_in(own, fitted)
    elif hasattr(value, "get_params") and not isinstance(value, type | FrozenEstimator):
        yield value
        within = vars(value) if fitted else value.get_params(deep=False)
        yield from estimators_in(list(within.values()), fitted)


def first_part(estimator: Any) -> Any:
    """Cut a pipeline off after its first estimator of this package.

    None if there is no such estimator. A nested search makes its own fits.
    """
    within = list(estimators_in(estimator))
    if not any(isinstance(own, BaseAutoencoder) for own in within) or any(isinstance(own, SEARCHES) for own in within):
        return None
    if not isinstance(estimator, Pipeline):
        return estimator
    for position, (name, step) in enumerate(estimator.steps):
        end = first_part(step)
        if end is not None:
            return Pipeline([*estimator.steps[:position], (name, end)], memory=estimator.memory)
    return None


def epochs_name(estimator: Any) -> str | None:
    """Return the name of the parameter with the epochs of the first estimator of this package, None without one."""
    within = list(estimators_in(first_part(estimator)))
    first = next((own for own in within if isinstance(own, BaseAutoencoder)), None)
    named = {"": estimator, **{f"{name}__": value for name, value in estimator.get_params().items()}}
    return next((f"{name}max_iter" for name, value in named.items() if first is not None and value is first), None)


def share(estimator: Any, shared: SharedFits | None) -> Any:
    """Let the estimators of this package within another one, and its pipelines, share fits; None ends sharing."""
    for own in list(estimators_in(estimator, fitted=shared is None)):
        if isinstance(own, BaseAutoencoder):
            own._shared = shared
        elif isinstance(own, Pipeline) and (own.memory is None or isinstance(own.memory, SharedFits)):
            own.memory = shared
    return estimator


def shared_copy(value: Any, shared: SharedFits) -> Any:
    """Return a candidate's value; for an estimator, a clone that shares its fits."""
    is_estimator = hasattr(value, "get_params") and not isinstance(value, type)
    return share(clone(value), shared) if is_estimator else value


def taken_by(estimator: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a `fit` that the first steps of a pipeline take."""
    if get_config()["enable_metadata_routing"]:
        names = get_routing_for_object(estimator).consumes("fit", params)
    elif isinstance(estimator, Pipeline):
        names = [name for name in params if name.partition("__")[0] in estimator.named_steps]
    else:
        names = list(params)
    return {name: params[name] for name in names}
