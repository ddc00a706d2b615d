"""What must hold of a fitted estimator and of what it returns: each a function that yields what does not."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from sklearn_mtae.nn.likelihoods import LIKELIHOODS

from .cells import as_numbers, cells_of, differences, is_frame
from .options import Plan, outside, supports, words_of
from .tables import Table
from .targets import Targets

__all__ = ["VERBS", "Check", "Complaints", "Fitted", "close", "finite", "same_bits", "shape"]

Complaints = Iterator[str]


@dataclass
class Fitted:
    """A fitted estimator, and what it was fitted to."""

    model: Any
    plan: Plan
    table: Table
    targets: Targets

    @property
    def names(self) -> list[Any]:
        """Names of the columns as likelihoods know them."""
        return list(getattr(self.model, "feature_names_in_", range(self.table.shape[1])))

    @property
    def n_components(self) -> int:
        """Number of components of a code."""
        return self.model.n_components

    def support(self) -> np.ndarray | None:
        """Return the ends of the support of each column of X, shape (n_columns, 2)."""
        ends = None if self.likelihood is None else supports(self.likelihood, self.names)
        if ends is None:
            return None
        return np.where(np.array(words_of(self.table.X))[:, None], [-np.inf, np.inf], ends)

    @property
    def likelihood(self) -> Any:
        """The likelihood of the columns; of an imputer its model's."""
        own = getattr(self.model, "likelihood", None)
        return getattr(getattr(self.model, "estimator", None), "likelihood", None) if own is None else own

    def outside(self, X: Any) -> np.ndarray:
        """Return which rows are outside of the support."""
        words = words_of(self.table.X)
        # An imputer takes no notice of columns that had no cell.
        hidden = (type(self.model).__name__ == "VAEImputer") & cells_of(self.table.X)[1].all(axis=0)
        known = self.likelihood is not None and cells_of(X)[0].shape[1] == len(words)
        rows = outside(self.likelihood, X, self.names, words, hidden) if known else None
        return np.zeros(len(cells_of(X)[0]), dtype=bool) if rows is None else rows

    def task_support(self) -> np.ndarray:
        """Return the ends of the support of each task, shape (n_tasks, 2)."""
        option = getattr(self.model, "task_likelihoods", "gaussian")
        each = option if isinstance(option, list) else [option] * self.targets.n_tasks
        # A member by "auto" may have another one, of the same support.
        return np.array([LIKELIHOODS["gaussian" if one == "auto" else one](1).support for one in each])


# Values.


def finite(value: Any, minus_infinity: bool = False) -> Complaints:
    """A result has a value in every cell."""
    for part in value if isinstance(value, tuple | list) else [value]:
        cells, missing = cells_of(np.atleast_2d(part) if not is_frame(part) else part)
        numbers = as_numbers(part if is_frame(part) else np.atleast_2d(part))
        if missing.any():
            yield f"NaN in {missing.sum()} of {missing.size} cells"
        if (np.isposinf(numbers) | (np.isneginf(numbers) & (not minus_infinity))).any():
            yield f"infinite: {cells[np.isinf(numbers)][:3]}"


def shape(value: Any, expected: tuple[int, ...]) -> Complaints:
    """A result has the documented shape."""
    if np.shape(value) != expected:
        yield f"shape {np.shape(value)}, not {expected}"


def precision(value: Any, X: Any, *others: Any) -> Complaints:
    """Inference has the precision of its input: float32 for float32, float64 for all else."""
    single = _is_single(X)
    wider = any(not _is_single(other) for other in others)
    wanted = [np.float32] if single and not wider else [np.float64, np.float32] if single else [np.float64]
    if value.dtype not in wanted:
        yield f"dtype {value.dtype}, not {np.dtype(wanted[0]).name}"


def _is_single(X: Any) -> bool:
    dtypes = list(X.dtypes) if is_frame(X) else [getattr(X, "dtype", None)]
    return all(dtype == np.float32 for dtype in dtypes)


def like_the_table(fitted: Fitted, value: Any, X: Any, came: Any = None) -> Complaints:
    """Rows of X come back as such: a frame with the columns of what `came`, which is X of the fit, where it was one."""
    came = fitted.table.X if came is None else came
    if is_frame(came) != is_frame(value):
        yield f"a {type(value).__name__} for a {type(came).__name__}"
    elif is_frame(value):
        if list(value.columns) != list(came.columns):
            yield f"columns {list(value.columns)}"
        if is_frame(X) and len(X) == len(value) and not value.index.equals(X.index):
            yield f"index {value.index}"


def in_support(fitted: Fitted, value: Any) -> Complaints:
    """Numbers lie where they can, and levels are those that were seen."""
    ends, x = fitted.support(), as_numbers(value)
    if ends is not None and len(ends) == x.shape[1]:
        outside = (x < _lowest(ends[:, 0])) | (x > ends[:, 1])
        for j in np.flatnonzero(outside.any(axis=0)):
            yield f"column {j} has {x[outside[:, j], j][:3]}, outside of {ends[j]}"
    yield from known_levels(fitted, value)


def known_levels(fitted: Fitted, value: Any) -> Complaints:
    """A category that no row had is never returned."""
    seen, missing = cells_of(fitted.table.X)
    cells, gone = cells_of(value)
    for j in range(seen.shape[1]):
        own = {v for v in seen[~missing[:, j], j] if isinstance(v, str)}
        categories = is_frame(fitted.table.X) and hasattr(fitted.table.X.dtypes.iloc[j], "categories")
        if own or categories:
            unknown = {repr(v) for v in cells[~gone[:, j], j]} - {repr(v) for v in seen[~missing[:, j], j]}
            if unknown:
                yield f"column {j} has levels {sorted(unknown)} that were never seen"


def _lowest(low: np.ndarray) -> np.ndarray:
    """Return lower ends of supports; one that is open at 0 has it, as numbers of a coarser dtype are rounded to it."""
    return np.where((low > 0) & (low < 1e-30), 0, low)


# Verbs: what is called, and what must hold of the result.


def transform(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Codes are numbers, one row each."""
    yield from shape(value, (_n_rows(X), fitted.n_components))
    yield from precision(value, X)
    yield from finite(value)


def reconstruct(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Reconstructions are rows of X."""
    yield from shape(value, (_n_rows(X), fitted.table.shape[1]))
    yield from like_the_table(fitted, value, X)
    yield from finite(value)
    yield from in_support(fitted, value)


def score_samples(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """A density is a number, zero outside of the support."""
    yield from shape(value, (_n_rows(X),))
    yield from precision(value, X)
    yield from finite(value, minus_infinity=True)
    outside = fitted.outside(X)
    if (value[outside] > -np.inf).any():
        yield f"rows outside of the support have {value[outside][:3]}"


def impute(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Cells that were missing have values, all others are as they were."""
    for table in value if isinstance(value, list) or np.ndim(value) == 3 else [value]:
        yield from observed_cells(fitted, X, table)
        yield from finite(table)


def observed_cells(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Observed cells are as they were, and so are the dtypes of columns without a gap."""
    missing = cells_of(X)[1]
    yield from differences(X, value, ~missing)
    yield from like_the_table(fitted, value, X, X)
    if is_frame(X) and is_frame(value):
        for j in np.flatnonzero(~missing.any(axis=0)):
            if X.dtypes.iloc[j] != value.dtypes.iloc[j]:
                yield f"dtype of complete column {j} was {X.dtypes.iloc[j]}, is {value.dtypes.iloc[j]}"


def imputer_transform(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Columns that are kept come back as they were, gaps filled, indicators behind them."""
    names = fitted.model.get_feature_names_out()
    yield from shape(value, (_n_rows(X), len(names)))
    yield from finite(value)
    named = not is_frame(X) or all(isinstance(name, str) for name in X.columns)
    if is_frame(value) and named and list(value.columns) != list(names):
        yield f"columns {list(value.columns)}, not {list(names)}"
    if len(set(names)) < len(names) and "names" not in fitted.table.excuses:
        yield f"names that come twice: {list(names)}"
    empty = cells_of(fitted.table.X)[1].all(axis=0)
    kept = np.flatnonzero(~empty | fitted.model.keep_empty_features)
    cells, missing = cells_of(X)
    if cells.shape[1] == len(empty) and np.ndim(value) == 2 and value.shape[1] >= len(kept):
        own = value.iloc[:, : len(kept)] if is_frame(value) else value[:, : len(kept)]
        before = X.iloc[:, kept] if is_frame(X) else cells[:, kept]
        yield from differences(before, own, ~missing[:, kept])


def predict_numbers(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Predictions are numbers within the support of their task, in the shape of y."""
    yield from shape(value, (_n_rows(X), *np.shape(fitted.targets.y)[1:]))
    yield from finite(value)
    if not fitted.plan.name.startswith("PerTask"):
        if not is_frame(value):  # whose columns have dtypes of their own
            yield from precision(value, X, fitted.targets.y)
        yield from within(fitted, value)


def within(fitted: Fitted, value: Any) -> Complaints:
    """Targets lie where those of their task can."""
    low, high = fitted.task_support().T
    y = np.asarray(value, dtype=float).reshape(len(value), -1)
    if y.shape[1] == len(low) and ((y < _lowest(low) - 1e-6) | (y > high + 1e-6)).any():
        yield f"values {y.min(axis=0)} to {y.max(axis=0)} outside of {low} to {high}"


def with_std(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Standard deviations are numbers >= 0."""
    yield from predict_numbers(fitted, X, value[0])
    yield from finite(value[1])
    if np.shape(value[0]) != np.shape(value[1]):
        yield f"shapes {np.shape(value[0])} and {np.shape(value[1])}"
    if (np.asarray(value[1], dtype=float) < 0).any():
        yield "negative ones"


def code_std(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Codes have means and standard deviations > 0."""
    yield from transform(fitted, X, value[0])
    yield from transform(fitted, X, value[1])
    if (value[1] < 0).any():
        yield f"negative: {value[1].min()}"


def interval(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """The ends of an interval are in order, and in the support of the task."""
    for end in value:
        yield from predict_numbers(fitted, X, end)
    if (np.asarray(value[0]) > np.asarray(value[1])).any():
        yield "a lower end above the upper one"


def predict_classes(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Predictions are classes of their task, in the shape of y."""
    yield from shape(value, (_n_rows(X), *np.shape(fitted.targets.y)[1:]))
    y, classes = np.asarray(value, dtype=object).reshape(_n_rows(X), -1), _classes(fitted)
    labels = fitted.targets.labels
    for task, own in enumerate(classes if y.shape[1] == len(classes) else []):
        if not set(y[:, task].tolist()) <= set(own.tolist()):
            yield f"task {task} has {sorted(map(repr, set(y[:, task])))}, which are no classes of {own}"
        if labels is not None and not set(own.tolist()) <= {v for v in labels[:, task] if v is not None}:
            yield f"task {task} has classes {own} that no row has"


def has_classes(model: Any) -> bool:
    """Return whether an estimator predicts classes alone."""
    return isinstance(getattr(model, "classes_", {}), list | np.ndarray)


def _classes(fitted: Fitted) -> list[np.ndarray]:
    own = fitted.model.classes_
    return own if isinstance(own, list) else [own]


def probabilities(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Probabilities lie between 0 and 1, add up to 1, and are largest where the prediction is."""
    parts = value if isinstance(value, list) else [value]
    predicted = np.asarray(fitted.model.predict(X), dtype=object).reshape(_n_rows(X), -1)
    for task, (p, own) in enumerate(zip(parts, _classes(fitted), strict=True)):
        yield from shape(p, (_n_rows(X), len(own)))
        yield from finite(p)
        if (p < 0).any() or (p > 1 + 1e-6).any() or (np.abs(p.sum(axis=1) - 1) > 1e-5).any():
            yield f"probabilities from {p.min()} to {p.max()} with sums {p.sum(axis=1)[:3]}"
        chosen = p[np.arange(len(p)), [own.tolist().index(v) for v in predicted[:, task]]]
        if (chosen < p.max(axis=1) - 1e-6).any():
            yield "a prediction that is not the most probable class"


def log_probabilities(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Log-probabilities are the logarithms of the probabilities."""
    both = (part if isinstance(part, list) else [part] for part in (value, fitted.model.predict_proba(X)))
    for log_p, p in zip(*both, strict=True):
        if not np.allclose(np.exp(log_p), p, atol=1e-5):
            yield "exp(log-probabilities) are not the probabilities"


def sample(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Drawn rows are rows of X, and drawn targets are targets."""
    rows, y = value if isinstance(value, tuple) else (value, None)
    yield from shape(rows, (7, fitted.table.shape[1]))
    yield from like_the_table(fitted, rows, None)
    yield from finite(rows)
    yield from in_support(fitted, rows)
    if is_frame(rows):
        different = rows.dtypes.to_numpy() != fitted.table.X.dtypes.to_numpy()
        # A column without a cell that is named a kind of number is one of floats.
        numbers = [dtype == np.float64 for dtype in rows.dtypes] & np.asarray(fitted.table.X.isna().all())
        for j in np.flatnonzero(different & ~numbers):
            yield f"dtype of column {j} is {rows.dtypes.iloc[j]}, not {fitted.table.X.dtypes.iloc[j]}"
    if y is not None:
        yield from finite(y)
        if has_classes(fitted.model):
            yield from predict_classes(fitted, rows, y)
        else:
            yield from within(fitted, y)


def scored(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """A score is a float, and not above 1 where it is an R2 or an accuracy."""
    if not isinstance(value, float):
        yield f"a {type(value).__name__}"
    if fitted.targets.y is not None and value > 1 + 1e-9:
        yield f"score {value}"


def importance(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """Importances are numbers >= 0 for each component, task and feature."""
    yield from shape(value.components, (fitted.n_components, fitted.table.shape[1]))
    for part in (value.components, value.get("tasks", np.zeros((1, 1)))):
        yield from finite(part)
        if (part < 0).any():
            yield f"negative: {part.min()}"


def diagnosis(fitted: Fitted, X: Any, value: Any) -> Complaints:
    """A diagnosis is of numbers, and can be printed."""
    yield from finite([value.rate_per_component, value.aggregate_mismatch, [value.rate]])
    if not str(value):
        yield "prints nothing"


def _n_rows(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") or issparse(X) else len(X)


def same_bits(one: Any, other: Any) -> bool:
    """Return whether two results are the same in every bit."""
    return pickle.dumps(_plain(one)) == pickle.dumps(_plain(other))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, pd.DataFrame):
        return [list(map(str, value.dtypes)), cells_of(value)[0].astype(str).tolist()]
    if isinstance(value, np.ndarray):
        if value.dtype == np.longdouble:  # some of whose bytes are of no number
            value = value.astype(str)
        return [str(value.dtype), value.shape, value.tobytes() if value.dtype != object else value.tolist()]
    return value


def close(one: Any, other: Any, tolerance: float) -> Complaints:
    """Two results are the same numbers, but for rounding beside the largest of their column."""
    if isinstance(one, tuple | list):
        for a, b in zip(one, other, strict=True):
            yield from close(a, b, tolerance)
        return
    a, b = (as_numbers(v if np.ndim(v) == 2 else np.asarray(v).reshape(len(v), -1)) for v in (one, other))
    if a.shape != b.shape:
        yield f"shapes {a.shape} and {b.shape}"
        return
    with np.errstate(all="ignore"):
        size = np.nanmax(np.where(np.isfinite(b), np.abs(b), 0), axis=0, initial=0) + 1e-9
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b) / size)
    if not (apart <= tolerance).all():
        i, j = np.unravel_index(np.argmax(np.nan_to_num(apart, nan=np.inf)), apart.shape)
        yield f"row {i}, column {j}: {a[i, j]!r} and {b[i, j]!r}"


Check = Callable[[Fitted, Any, Any], Iterable[str]]
SEEDED = {"random_state": 0}

VERBS: dict[str, tuple[str, dict[str, Any], Check]] = {
    "transform": ("transform", {}, transform),
    "transform with std": ("transform", {"return_std": True}, code_std),
    "predict": ("predict", {}, reconstruct),
    "predict numbers": ("predict", {}, predict_numbers),
    "predict classes": ("predict", {}, predict_classes),
    "predict with std": ("predict", {"return_std": True}, with_std),
    "predict_interval": ("predict_interval", {"coverage": 0.5}, interval),
    "predict_proba": ("predict_proba", {}, probabilities),
    "predict_log_proba": ("predict_log_proba", {}, log_probabilities),
    "score_samples": ("score_samples", {}, score_samples),
    "impute": ("impute", {}, impute),
    "impute several": ("impute", {"n_draws": 2, **SEEDED}, impute),
    "imputer transform": ("transform", {}, imputer_transform),
    "sample": ("sample", {"n_samples": 7, **SEEDED}, sample),
    "score": ("score", {}, scored),
    "feature_importance": ("feature_importance", {"n_repeats": 1, **SEEDED}, importance),
    "slopes": ("feature_importance", {"method": "gradient"}, importance),
    "diagnose": ("diagnose", {}, diagnosis),
}
"""What is asked of a fitted estimator: the method, its arguments, and what must hold of the result."""
