"""Estimators and rows for the parity of exports, and ONNX Runtime asked as an estimator is."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae.export import to_onnx
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.factories import TASK_LIKELIHOODS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS

N_TRAIN, N_COLUMNS, CONSTANT = 300, 9, 4
UNSEEN = "grey"
BLOCK = 1_000
WIDTH = 64
"""Width of the networks of which importance sampling is asked: a hundred codes of each row are decoded."""
FAR = 1e6
"""Units by which some cells are off."""
COUNTS = {"poisson", "negative_binomial", "multinomial"}
SHARES = {"continuous_bernoulli", "gamma", "log_normal"}


Case = tuple[str, str, Any, Any, Sequence[str]]
"""The name of an estimator, its option, the fitted estimator, rows, and what it is asked that weighs draws."""
WEIGHED = "score_samples", "impute"


class Session:
    """A method of an estimator as ONNX Runtime runs it, on one thread.

    Parameters
    ----------
    model : estimator
        The estimator.
    method : str
        Its method.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the rows.
    """

    def __init__(self, model: Any, method: str, dtype: str = "float64") -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.dtype = dtype
        content = to_onnx(model, method, dtype=dtype).SerializeToString()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def in_blocks(self, X: Any) -> list[NDArray]:
        """Return the results for rows, a thousand at a time: some graphs have 100 kB of values for each row."""
        parts = [self(X[start : start + BLOCK]) for start in range(0, len(X), BLOCK)]
        return [np.concatenate(own) for own in zip(*parts, strict=True)]

    def __call__(self, X: Any) -> list[NDArray]:
        """Return the results for rows."""
        inputs = self.session.get_inputs()
        if len(inputs) == 1:
            return self.session.run(None, {inputs[0].name: np.asarray(X).astype(self.dtype)})
        return self.session.run(None, {own.name: self._column(X[own.name], own.type) for own in inputs})

    def _column(self, cells: Any, kind: str) -> NDArray:
        if "string" in kind:
            return cells.astype(object).where(cells.notna(), "").to_numpy(dtype=object)[:, None]
        return cells.to_numpy(dtype=self.dtype)[:, None]


def apart(found: Any, wanted: Any) -> tuple[float, int]:
    """Return the largest difference, as a part of the largest number of its column, and how many labels differ."""
    far, labels = 0.0, 0
    for own, true in zip(_columns(found), _columns(wanted), strict=True):
        if true.dtype.kind == "f":
            scale = max(1e-300, np.nanmax(np.abs(np.where(np.isinf(true), 0, true)), initial=0.0))
            same = (own == true) | (np.isnan(own) & np.isnan(true))
            far = max(far, float(np.max(np.where(same, 0.0, np.abs(own - true) / scale), initial=0.0)))
        else:
            labels += int((own.astype(true.dtype) != true).sum())
    return (np.inf if np.isnan(far) else far), labels


def _columns(result: Any) -> list[NDArray]:
    """Return the columns of any result."""
    if isinstance(result, dict | list | tuple):
        return [one for own in (result.values() if isinstance(result, dict) else result) for one in _columns(own)]
    if isinstance(result, pd.DataFrame):
        return [np.array(result[name].tolist()) for name in result]
    array = np.asarray(result)
    return [np.array(own.tolist()) for own in (array.T if array.ndim > 1 else [array])]


def in_precision(X: Any, dtype: str) -> Any:
    """Return rows whose numbers are in a precision."""
    return X.astype(dict.fromkeys(X.select_dtypes("number"), dtype)) if hasattr(X, "columns") else X.astype(dtype)


def _rows(n: int, likelihood: str = "", seed: int = 0) -> NDArray:
    """Return rows that suit a likelihood, with gaps, a constant column, and some cells far off."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ np.random.default_rng(9).normal(size=(3, N_COLUMNS)) + rng.normal(size=(n, N_COLUMNS))
    if likelihood == "categorical":
        return np.eye(N_COLUMNS)[x.argmax(axis=1)]
    is_free = likelihood not in {*COUNTS, *SHARES, "bernoulli"}
    x = x if is_free else _suited(x, likelihood)
    if is_free and n > N_TRAIN:
        x[::50, 0] *= FAR
    x[:, CONSTANT] = 1.0
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


def _suited(x: NDArray, likelihood: str) -> NDArray:
    """Return numbers that a likelihood has."""
    if likelihood in COUNTS:
        return np.floor(np.exp(np.clip(x, -9, 9) / 2))
    shares = 1 / (1 + np.exp(-np.clip(x, -4, 4)))
    return {"bernoulli": (x > 0).astype(float), **dict.fromkeys(SHARES, shares)}.get(likelihood, x)


def _frame(n: int, seed: int = 0) -> pd.DataFrame:
    """Return rows with categories; more rows than the training has some levels that it has not."""
    x = _rows(n, seed=seed)[:, : N_COLUMNS - 3]  # three levels are three more columns to a model
    words = np.array(["red", "green", "blue", UNSEEN if n > N_TRAIN else "red"], dtype=object)
    colour = pd.Series(words[np.random.default_rng(seed).integers(0, 4, n)], dtype=object)
    colour[::9] = None
    return pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])]).assign(colour=colour)


def _numbers(x: Any) -> NDArray:
    """Return two targets of numbers, one with gaps."""
    values = np.nan_to_num(np.asarray(x)[:, :2].astype(float))
    y = np.c_[np.sin(values[:, 0]) + values[:, 1], values[:, 0]]
    y[::5, 1] = np.nan
    return y


def _labels(x: Any) -> NDArray:
    y = _numbers(x)
    return np.where(y[:, 0] > 1, "high", np.where(y[:, 0] < -1, "low", "middle"))


def cases(n: int, smoke: bool) -> Iterator[Case]:
    """Yield the cases."""
    own: dict[str, Any] = {"random_state": 0, "max_iter": 2 if smoke else 10}
    likelihoods = [{"likelihood": name} for name in LIKELIHOODS]
    parts: list[dict[str, Any]] = [
        *({"posterior": name} for name in POSTERIORS),
        *({"prior": name} for name in PRIORS),
        *({"activation": name, "layer_norm": True} for name in ACTIVATIONS),
        *({"architecture": name} for name in ARCHITECTURES),
    ]
    narrow: dict[str, Any] = {"hidden_layer_sizes": (WIDTH,)}
    each: Any = (
        (AutoencoderTransformer, likelihoods, {}, ()),
        (VAETransformer, parts, {}, ()),
        (VAETransformer, likelihoods, narrow, WEIGHED),
        (VAETransformer, parts, narrow, WEIGHED[:1]),
    )
    for kind, options, more, weighed in each:
        for option in options:
            known, rows = (_rows(m, option.get("likelihood", ""), seed) for m, seed in ((N_TRAIN, 0), (n, 1)))
            yield kind.__name__, _told(option), kind(3, **own, **option, **more).fit(known), rows, weighed
    known, rows = _frame(N_TRAIN), _frame(n, 1)
    for more in ({}, narrow):
        yield "VAETransformer", "categories", VAETransformer(3, **own, **more).fit(known), rows, WEIGHED if more else ()
    yield from _tasks(own, known, rows)
    yield from _gaps_and_outliers(own, known, rows)


def _gaps_and_outliers(own: dict[str, Any], known: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Case]:
    """Yield imputers and detectors."""
    options: list[dict[str, Any]] = [{}, {"add_indicator": True}, {"n_importance_samples": 20}]
    for option in options:
        yield "VAEImputer", _told(option), VAEImputer(random_state=0, **option).fit(known), rows, ("transform",)
    narrow = VAETransformer(3, hidden_layer_sizes=(WIDTH,), **own)
    criteria: list[Any] = ["neighbours", "reconstruction", "auto", "density", ("density", "neighbours")]
    for criterion in criteria:
        draws = "density" in criterion
        model = OutlierDetector(narrow if draws else None, n_estimators=3, criterion=criterion, random_state=0)
        yield "OutlierDetector", f"criterion={criterion}", model.fit(known), rows, WEIGHED[:1] if draws else ()


def _tasks(own: dict[str, Any], known: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Case]:
    """Yield the estimators with tasks."""
    own, y = {**own, "n_estimators": 4}, _numbers(known)
    options: list[dict[str, Any]] = [
        *({"sharing": name} for name in SHARINGS),
        *({"embedding": name} for name in (*EMBEDDINGS, None)),
        *({"task_likelihoods": name} for name in TASK_LIKELIHOODS),
        *({"architecture": name} for name in ARCHITECTURES),
    ]
    for option in options:
        more: dict[str, Any] = {**own, **option}
        suited = np.where(np.isnan(y), np.nan, _suited(y, option.get("task_likelihoods", "")))
        model = _with_all(MultiTaskVAERegressor(**more).fit(known, suited))
        yield "MultiTaskVAERegressor", _told(option), model, rows, ()
    for option in options[: len(SHARINGS)]:
        more = {**own, **option}
        model = MultiTaskVAEClassifier(**more).fit(known, _labels(known))
        yield "MultiTaskVAEClassifier", _told(option), _with_all(model), rows, ()
    mixed = pd.DataFrame({"number": y[:, 0], "kind": pd.Categorical(_labels(known))})
    sizes: list[dict[str, Any]] = [{}, {"hidden_layer_sizes": (WIDTH,)}]
    for more in sizes:
        model = _with_all(MultiTaskVAE(**own, **more).fit(known, mixed))
        yield "MultiTaskVAE", "", model, rows, WEIGHED if more else ()


def _with_all(model: Any) -> Any:
    """Let all members and baselines of a fitted model count: after few epochs, baselines alone may."""
    average = model._fitted.average
    average.weights = np.full(average.weights.shape, 0.6 / len(average.weights))
    if average.kernel is not None:
        weights = average.kernel.weights
        average.kernel.weights = np.full(weights.shape, 0.2 / len(weights))
    return model


def _told(option: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in option.items())
