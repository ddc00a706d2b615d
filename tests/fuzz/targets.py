"""Targets of tasks with some of their labels, and weights of rows and labels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .cells import is_number
from .columns import REAL, numbers
from .draws import Draws, Rng, chance, pick

__all__ = ["CATEGORICAL", "Targets", "draw_targets", "draw_weights"]

CATEGORICAL = "categorical"

NUMBER_KINDS = {**REAL, "counts": 1, "unit": 1, "binary": 1, "positive": 1, "ids": 0.2, "tiny": 0.1, "huge": 0.1}
CLASSES: list[list[Any]] = [
    [0, 1],
    [0, 1, 2],
    [-1, 1],
    ["no", "yes"],
    ["a", "b", "c", "d"],
    [True, False],
    [1.0, 2.0],
    [10**12, 7],
    ["only"],
    [3],
    ["", "nan"],
]


@dataclass
class Targets:
    """What is to be predicted, the labels as a table of objects with None where one is missing, and excuses."""

    y: Any
    labels: np.ndarray | None
    kind: str
    excuses: list[str] = field(default_factory=list)
    is_mixed: bool = False
    """Whether tasks may be of several kinds."""

    @property
    def names(self) -> list[str]:
        """Names of the tasks as their estimator knows them."""
        if isinstance(self.y, pd.DataFrame):
            return list(self.y.columns)
        return [getattr(self.y, "name", None) or "y0"] if self.n_tasks == 1 else [f"y{t}" for t in range(self.n_tasks)]

    def levels(self, likelihoods: Any) -> list[list[Any] | None]:
        """Return the classes of each task of several kinds, None of numbers, given the option of that name."""
        assert self.labels is not None
        found: list[list[Any] | None] = []
        for task, name in enumerate(self.names):
            labels = [v for v in self.labels[:, task] if v is not None]
            column = self.y.iloc[:, task] if isinstance(self.y, pd.DataFrame) else self.y
            given = likelihoods.get(name) if isinstance(likelihoods, dict) else None
            if isinstance(getattr(column, "dtype", None), pd.CategoricalDtype):
                found.append(column.dtype.categories.tolist() if given in (None, CATEGORICAL) else None)
            elif any(isinstance(v, bool | np.bool_) for v in labels) and given in (None, CATEGORICAL):
                found.append([False, True])
            elif given == CATEGORICAL or not all(map(is_number, labels)):
                found.append(sorted(set(labels)))
            else:
                found.append(None)
        return found

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return 0 if self.labels is None else self.labels.shape[1]


def draw_targets(draws: Draws, n_rows: int, kinds: str | None) -> Targets:
    """Draw targets: "numbers", "classes", "mixed" ones, or None of them."""
    if kinds is None:
        return Targets(None, None, "none")
    rng = draws.of("targets")
    n_tasks = pick(rng, {1: 2, 2: 4, 3: 3, 5: 0.5})
    excuses: list[str] = []
    draw = {"numbers": _numbers, "classes": _classes, "mixed": _numbers_or_classes}
    columns = [draw[kinds](rng, n_rows, excuses) for _ in range(n_tasks)]
    labels = np.empty((n_rows, n_tasks), dtype=object)
    for task, column in enumerate(columns):
        labels[:, task] = column
    labels[_unlabelled(rng, labels.shape)] = None
    if (labels == None).all(axis=0).any():  # noqa: E711
        excuses.append("a task without a label")
    y, kind = (_held_mixed if kinds == "mixed" else _held)(rng, labels, kinds, excuses)
    return Targets(y, labels, kind, excuses, kinds == "mixed")


def _numbers(rng: Rng, n_rows: int, excuses: list[str]) -> list[Any]:
    values = numbers(rng, n_rows, NUMBER_KINDS)
    if np.abs(values.astype(float)).max() > 1e25:
        excuses.append("huge targets")
    return values.tolist()


def _classes(rng: Rng, n_rows: int, excuses: list[str]) -> list[Any]:
    own = pick(rng, CLASSES)
    labels = [own[min(int(rng.geometric(0.5)) - 1, len(own) - 1)] for _ in range(n_rows)]
    if chance(rng, 0.02):
        excuses.append("numbers that are no classes")
        return rng.normal(size=n_rows).tolist()
    return labels


def _numbers_or_classes(rng: Rng, n_rows: int, excuses: list[str]) -> list[Any]:
    """Return numbers, counts, or classes, which are no floats."""
    kind = pick(rng, {"numbers": 3, "counts": 2, "classes": 5})
    if kind == "counts":
        return rng.poisson(pick(rng, [0.5, 4.0]), n_rows).tolist()
    return _numbers(rng, n_rows, excuses) if kind == "numbers" else _levels(rng, n_rows)


def _levels(rng: Rng, n_rows: int) -> list[Any]:
    own = pick(rng, [classes for classes in CLASSES if not isinstance(classes[0], float)])
    return [own[min(int(rng.geometric(0.5)) - 1, len(own) - 1)] for _ in range(n_rows)]


def _held_mixed(rng: Rng, labels: np.ndarray, kinds: str, excuses: list[str]) -> tuple[Any, str]:
    """Return labels as a frame, some of its columns categories, or as an array of objects."""
    if chance(rng, 0.25):
        missing = pick(rng, [None, np.nan, pd.NA])
        y = np.where(labels == None, missing, labels)  # noqa: E711
        return (y[:, 0], "flat objects") if labels.shape[1] == 1 and chance(rng, 0.5) else (y, "objects")
    frame = pd.DataFrame(labels, columns=[f"task {t}" for t in range(labels.shape[1])])
    frame = frame.convert_dtypes() if chance(rng, 0.4) else frame.infer_objects()
    for name in frame.columns:
        column = frame[name].dropna()
        if column.nunique() > 6 or not column.size or not chance(rng, 0.5):
            continue
        own = sorted(set(column.tolist()))
        if chance(rng, 0.3):  # one that has no label
            own.append("more" if isinstance(own[0], str) else max(own) + 1)
        dtype = pd.CategoricalDtype([own[j] for j in rng.permutation(len(own))], ordered=chance(rng, 0.5))
        frame[name] = frame[name].astype(dtype)
    if labels.shape[1] == 1 and chance(rng, 0.5):
        return frame.iloc[:, 0], "series"
    return frame, "frame"


def _unlabelled(rng: Rng, shape: tuple[int, int]) -> np.ndarray:
    """Return where labels are missing: nowhere, here and there, but for one of a task, of all of a task."""
    missing = np.zeros(shape, dtype=bool)
    pattern = pick(rng, {"none": 4, "some": 4, "most": 1, "all but one": 0.7, "rows": 1, "a task": 0.2})
    if pattern in ("some", "most"):
        missing = rng.random(shape) < {"some": 0.3, "most": 0.8}[pattern]
    elif pattern == "rows":
        missing[rng.random(shape[0]) < 0.5] = True
    elif pattern != "none":
        missing[1 if pattern == "all but one" else 0 :, 0] = True
    return missing


def _held(rng: Rng, labels: np.ndarray, kinds: str, excuses: list[str]) -> tuple[Any, str]:
    """Return labels in one of the containers that hold them."""
    names = pick(rng, [[f"task {t}" for t in range(labels.shape[1])], [f"y{t}" for t in range(labels.shape[1])]])
    kind = pick(rng, ["array", "array", "array", "float32", "objects", "list", "frame", "nullable frame", "masked"])
    missing = labels == None  # noqa: E711
    numeric = kinds == "numbers" or all(isinstance(v, int | float) for v in labels[~missing])
    if kind == "nullable frame":
        y: Any = pd.DataFrame(labels, columns=names).convert_dtypes()
    elif kind == "frame":
        y = pd.DataFrame(labels, columns=names).infer_objects()
    elif kind == "list":
        y = labels.tolist()
    elif kind == "objects" or not numeric:
        y = np.where(missing, pick(rng, [None, np.nan, pd.NA]), labels)
    else:
        y = np.where(missing, np.nan, labels).astype(np.float64)
        with np.errstate(over="ignore"):
            y = y.astype(np.float32) if kind == "float32" else y
        if kind == "float32":
            labels[~missing] = y[~missing].tolist()
        if kind == "masked":
            y = np.ma.masked_array(np.nan_to_num(y, nan=-9.0), mask=missing)
        elif not missing.any() and (y == y.round()).all() and np.abs(y).max() < 2**53 and chance(rng, 0.5):
            y = y.astype(int)
    return _flat(rng, y, kind) if labels.shape[1] == 1 and chance(rng, 0.8) else (y, f"{kind} {names[0]}")


def _flat(rng: Rng, y: Any, kind: str) -> tuple[Any, str]:
    """Return the one column of a table by itself."""
    if isinstance(y, pd.DataFrame):
        return (y.iloc[:, 0] if chance(rng, 0.5) else y.iloc[:, 0].rename(None)), f"series of a {kind}"
    return ([row[0] for row in y] if isinstance(y, list) else y[:, 0]), f"flat {kind}"


def draw_weights(draws: Draws, n_rows: int, n_tasks: int) -> tuple[Any, list[str]]:
    """Draw weights of rows, or of labels, or none (always, for -1 tasks); and what excuses an error."""
    rng = draws.of("weights")
    if n_tasks < 0 or chance(rng, 0.7):
        return None, []
    shape = (n_rows, n_tasks) if n_tasks and chance(rng, 0.5) else (n_rows,)
    weights: dict[str, Any] = {
        "drawn": rng.random(shape),
        "whole": rng.integers(1, 4, shape),
        "with zeros": rng.random(shape) * (rng.random(shape) < 0.5),
        "one": np.where(np.arange(np.prod(shape)).reshape(shape) == 0, 1.0, 0.0),
        "small": rng.random(shape) * 1e-300,
        "large": rng.random(shape) * 1e300,
        "list": rng.random(shape).tolist(),
        "zeros": np.zeros(shape),
        "negative": -np.ones(shape),
        "too few": np.ones(n_rows + 1),
        "NaN": np.full(shape, np.nan),
        "float32": rng.random(shape).astype(np.float32),
    }
    weights["series"] = pd.Series(rng.random(n_rows), index=np.arange(n_rows)[::-1])
    sound = {"drawn": 3, "whole": 2, "with zeros": 3, "list": 1, "float32": 1, "series": 1}
    kind = pick(rng, {**sound, **dict.fromkeys(["one", "small", "large", "zeros", "negative", "too few", "NaN"], 0.3)})
    # A task may lose all its labels by them.
    return weights[kind], [] if kind in sound and kind != "with zeros" else [f"weights: {kind}"]
