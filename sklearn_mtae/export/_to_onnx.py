"""ONNX models of fitted estimators and pipelines."""

from collections.abc import Sequence
from typing import Any

from sklearn_mtae._estimators.base import BaseAutoencoder
from sklearn_mtae._estimators.imputer import VAEImputer
from sklearn_mtae._estimators.outliers import OutlierDetector

from ._describe import Exportable, describe
from ._onnx import DTYPES, graph_of, model_of
from ._outputs import default_methods
from ._pipelines import convert_other


def to_onnx(
    estimator: Any, method: str | Sequence[str] | None = None, *, coverage: float = 0.9, dtype: str = "float32"
) -> Any:
    """Convert a fitted estimator to an ONNX model.

    A table of numbers is one input "X" of shape (n_samples, n_features). If there are categories of strings, each
    column is an input of its own, of its name and of shape (n_samples, 1): strings, of which "" is missing, or numbers.
    Where "" is a category itself, it is that. Categories of numbers are compared in `dtype`, in which they must differ.
    NaN is a missing cell. A category that `fit` has not seen is missing too, whatever `handle_unknown` says, and what
    `fit` rejects, such as a negative count, is not rejected.

    A pipeline fitted to a frame has an input for each column if it begins with a ColumnTransformer.

    Results have the names of the methods; those of `predict_interval` are "lower" and "upper". Each task that is
    of classes, where y is a table, has its own: "predict_<task>". So has each column where some are categories. A name
    that an input or another result has is followed by "_". Whole numbers are rounded as the estimator's are. An
    imputer's cells of columns that had none in `fit` are 0, where it keeps them.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of this package, or a pipeline of scikit-learn with some of them, which skl2onnx converts.
    method : str, sequence of str or None, default=None
        The methods to compute. None takes `transform` of transformers, `predict` of the others, and `predict_proba` or
        `score_samples` where there is one. Pipelines take None only.
    coverage : float, default=0.9
        Fraction of the labels in intervals and sets.
    dtype : {"float32", "float64"}, default="float32"
        Precision of numbers in inputs and results. Inside, units, densities and results are computed in float64. So are
        networks with "float64", where the estimator does so; otherwise in the precision of their training.

    Returns
    -------
    onnx.ModelProto
        The model.

    Raises
    ------
    NotExportableError
        If a part of the estimator cannot be exported; the error names it.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If an option is not admissible.
    ImportError
        If onnx is not installed, or skl2onnx, which converts pipelines.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import AutoencoderTransformer
    >>> from sklearn_mtae.export import to_onnx
    >>> X, _ = load_iris(return_X_y=True)
    >>> model = to_onnx(AutoencoderTransformer(2, max_iter=5, random_state=0).fit(X))
    >>> [(value.name, len(value.type.tensor_type.shape.dim)) for value in model.graph.output]
    [('transform', 2)]
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {list(DTYPES)}. Got {dtype!r} instead.")
    if hasattr(estimator, "fit") and not isinstance(estimator, BaseAutoencoder | OutlierDetector | VAEImputer):
        if method is not None:
            raise ValueError(f"method must be None for a {type(estimator).__name__}. Got {method!r} instead.")
        return convert_other(estimator, dtype)
    own = describe(estimator, precise=dtype == "float64")
    graph, inputs = graph_of(own, _methods(method, own), coverage, DTYPES[dtype])
    return model_of(graph, inputs, own)


def _methods(method: Any, own: Exportable) -> list[str]:
    """Return the methods that are asked for."""
    if method is None:
        return default_methods(own)
    methods = [method] if isinstance(method, str) else list(method) if isinstance(method, Sequence) else []
    if not methods or not all(isinstance(name, str) for name in methods) or len(set(methods)) < len(methods):
        raise ValueError(f"method must be a name, or a sequence of names that differ. Got {method!r} instead.")
    return methods
