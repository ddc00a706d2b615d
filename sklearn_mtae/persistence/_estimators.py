"""Estimators: their parameters, and what a fit left in them."""

from typing import Any

import numpy as np
from sklearn import dummy, frozen, linear_model, naive_bayes, pipeline, preprocessing
from sklearn.impute import MissingIndicator
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_mtae._estimators.autoencoder import AutoencoderTransformer
from sklearn_mtae._estimators.classifier import MultiTaskVAEClassifier
from sklearn_mtae._estimators.imputer import VAEImputer
from sklearn_mtae._estimators.mixed import MultiTaskVAE
from sklearn_mtae._estimators.multiple_imputation import MultipleImputation
from sklearn_mtae._estimators.outliers import OutlierDetector
from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae._estimators.per_task_base import OneClass
from sklearn_mtae._estimators.regressor import MultiTaskVAERegressor
from sklearn_mtae._estimators.vae import VAETransformer

from ._packing import Kind, Packed, Packing, Unpacking, refusal

FITTED = ("_fitted",)
HEADS = ("estimators_", "task_names_", "_y_ndim")
STATES: dict[type, tuple[str, ...]] = {
    AutoencoderTransformer: FITTED,
    VAETransformer: FITTED,
    MultiTaskVAERegressor: FITTED,
    MultiTaskVAEClassifier: FITTED,
    MultiTaskVAE: FITTED,
    VAEImputer: ("estimators_", "indicator_", "_is_empty"),
    OutlierDetector: ("_members", "_features", "offset_"),
    MultipleImputation: (
        *("_draws", "estimators_", "_pooled", "coef_", "intercept_", "se_", "intercept_se_", "df_", "fmi_"),
        *("classes_", "n_features_in_", "feature_names_in_"),
    ),
    PerTaskRegressor: HEADS,
    PerTaskClassifier: HEADS,
}
"""The attributes of each estimator that a fit sets, beside those that `Fitted.attributes` computes."""
FOREIGN = {
    f"{own.__module__.split('.')[0]}.{own.__name__}": own
    for own in (
        *(linear_model.LinearRegression, linear_model.Ridge, linear_model.Lasso, linear_model.ElasticNet),
        *(linear_model.LogisticRegression, naive_bayes.GaussianNB, dummy.DummyClassifier, dummy.DummyRegressor),
        *(OneClass, preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.RobustScaler),
        *(frozen.FrozenEstimator, pipeline.Pipeline),
    )
}
"""scikit-learn's estimators whose state is arrays and plain values."""
REQUESTS = "_metadata_request"
SET_OUTPUT = "_sklearn_output_config"
NOT_SAVED = {"_shared", "_skl_callbacks_to_teardown"}
"""What a fit that is over needs no more."""
REMEDIES = {"_skl_callbacks": "take the callbacks off with set_callbacks()"}
_KNOWN = {own.__name__: own for own in STATES} | FOREIGN
_NAMES = {own: name for name, own in _KNOWN.items()}


def _pack_estimator(packing: Packing, value: Any, where: str) -> Packed:
    parameters = value.get_params(deep=False)
    parts = {name: packing.pack(own, f"{where}__{name}".lstrip("_")) for name, own in parameters.items()}
    packed: Packed = {"class": _NAMES[type(value)], "parameters": parts}
    computed = value._fitted.attributes().keys() - {"_fitted"} if "_fitted" in vars(value) else set()
    state = {name: own for name, own in vars(value).items() if name not in {*NOT_SAVED, *parameters, *computed}}
    requests, output = state.pop(REQUESTS, None), state.pop(SET_OUTPUT, None)
    if requests is not None:
        packed["requests"] = {name: own.requests for name, own in vars(requests).items() if getattr(own, "requests", 0)}
    if output is not None:
        packed["output"] = packing.pack(output, f"{where}.set_output".lstrip("."))
    for name in state:
        if not _is_admissible(type(value), name):
            remedy = REMEDIES.get(name, "delete this attribute, or use joblib")
            raise refusal(getattr(value, name), f"{where}.{name}".lstrip("."), remedy)
    packed["state"] = {name: packing.pack(own, f"{where}.{name}".lstrip(".")) for name, own in state.items()}
    return packed


def _unpack_estimator(unpacking: Unpacking, packed: Packed) -> Any:
    kind = _KNOWN[packed["class"]]
    estimator: Any = kind(**{name: unpacking.unpack(own) for name, own in packed["parameters"].items()})
    if "requests" in packed:
        estimator._metadata_request = _requests(estimator, packed["requests"])
    if "output" in packed:
        estimator._sklearn_output_config = unpacking.unpack(packed["output"])
    for name, own in packed["state"].items():
        if not _is_admissible(kind, name):
            raise ValueError(f"{packed['class']} has no attribute {name!r}")
        value = unpacking.unpack(own)
        if name == "_fitted":
            estimator._take(value)
        else:
            vars(estimator)[name] = value
    return estimator


def _is_admissible(kind: type, name: str) -> bool:
    """Return whether a fit may leave an attribute of this name: one that hides nothing of the class."""
    if kind in STATES:
        return name in STATES[kind]
    return name.isidentifier() and not name.startswith("__") and not hasattr(kind, name)


def _requests(estimator: Any, packed: dict[str, dict[str, Any]]) -> MetadataRequest:
    """Return what metadata an estimator asks for, by method."""
    made = MetadataRequest(owner=estimator)
    for method, requests in packed.items():
        for name, alias in requests.items():
            getattr(made, method).add_request(param=name, alias=alias)
    return made


def _pack_indicator(packing: Packing, value: MissingIndicator, where: str) -> Packed:
    return {"columns": value.features_.tolist(), "n_columns": int(value.n_features_in_)}


def _unpack_indicator(unpacking: Unpacking, packed: Packed) -> MissingIndicator:
    """Return an indicator that has seen one row: with gaps in the columns that had any."""
    row = np.zeros((1, packed["n_columns"]))
    row[:, packed["columns"]] = np.nan
    return MissingIndicator(error_on_new=False).fit(row)


KINDS = {
    "estimator": Kind(_pack_estimator, _unpack_estimator, is_shared=True),
    "missing indicator": Kind(_pack_indicator, _unpack_indicator),
}


def find(value: Any) -> str | None:
    """Return the kind of an estimator."""
    if type(value) is MissingIndicator:
        return "missing indicator"
    return "estimator" if type(value) in _NAMES else None


def has_foreign(packed: Any) -> bool:
    """Return whether there is an estimator of scikit-learn in a file."""
    if isinstance(packed, dict):
        return packed.get("class") in FOREIGN or any(map(has_foreign, packed.values()))
    return isinstance(packed, list) and any(map(has_foreign, packed))
