"""Columns of tables: numbers of every size and spread, and everything else that stands in a data frame."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .draws import Rng, chance, pick

__all__ = ["FRAME_KINDS", "NUMBERS", "THEMES", "frame_column", "gaps", "numbers"]

LETTERS = ["red", "green", "blue", "a b", "", "é", "1", "nan"]

NUMBERS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "units": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-6, 7),
    "shifted": lambda rng, n: pick(rng, [-122.4194, 1.7e9, 1e6]) + pick(rng, [1e-4, 1.0]) * rng.random(n),
    "times": lambda rng, n: 1.7e9 + np.arange(n),
    "constant": lambda rng, n: np.full(n, pick(rng, [0.0, 1.0, 4.25, 1e9, 0.1])),
    "integers": lambda rng, n: rng.integers(-5, 6, n).astype(float),
    "ids": lambda rng, n: rng.integers(2**53, 2**62, n),
    "binary": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "unit": lambda rng, n: rng.random(n),
    "counts": lambda rng, n: rng.poisson(pick(rng, [0.3, 5.0, 1e3]), n).astype(float),
    "positive": lambda rng, n: rng.lognormal(0, pick(rng, [0.1, 2.0]), n),
    "outlier": lambda rng, n: np.where(np.arange(n) == 0, 1e6, rng.normal(size=n)),
    "heavy": lambda rng, n: rng.standard_cauchy(n) * 100,
    "small": lambda rng, n: rng.random(n) * 1e-40,
    "tiny": lambda rng, n: rng.random(n) * 1e-300,
    "large": lambda rng, n: rng.normal(size=n) * 1e30,
    "huge": lambda rng, n: rng.normal(size=n) * 1e200,
    "one huge": lambda rng, n: np.where(np.arange(n) == 0, 1e200, rng.normal(size=n)),
    "infinite": lambda rng, n: np.where(np.arange(n) == n // 2, pick(rng, [np.inf, -np.inf]), rng.normal(size=n)),
}
"""What the numbers of a column are."""

REAL = {"normal": 6, "units": 2, "shifted": 2, "times": 1, "constant": 1, "integers": 2, "outlier": 1, "heavy": 1}
THEMES: dict[str, dict[str, float]] = {
    "real": REAL,
    "unit": {"unit": 4, "binary": 3, "constant": 0.2},
    "counts": {"counts": 6, "binary": 2, "integers": 0.1, "ids": 0.1},
    "positive": {"positive": 6, "unit": 2, "times": 1, "counts": 0.1},
    "extreme": {"small": 1, "tiny": 1, "large": 1, "huge": 1, "one huge": 1, "infinite": 0.3, "ids": 1, "normal": 3},
    "any": dict.fromkeys(NUMBERS, 1.0),
}
"""What the columns of a table have in common: kinds of numbers and their weights."""


def numbers(rng: Rng, n_rows: int, theme: Mapping[str, float]) -> np.ndarray:
    """Return a column of numbers, with a few values repeated."""
    values = NUMBERS[pick(rng, theme)](rng, n_rows)
    return values[rng.integers(0, n_rows, n_rows)] if chance(rng, 0.15) else values


def gaps(rng: Rng, shape: tuple[int, int]) -> np.ndarray:
    """Return where cells are missing: nowhere, here and there, in whole columns, in whole rows."""
    missing = np.zeros(shape, dtype=bool)
    for pattern in pick(rng, {(): 5, ("cells",): 5, ("columns",): 1, ("rows",): 1, ("cells", "columns", "rows"): 0.5}):
        if pattern == "cells":
            missing |= rng.random(shape) < pick(rng, [0.05, 0.3, 0.8])
        elif pattern == "columns":
            missing[:, rng.integers(shape[1])] = True
        else:
            missing[rng.random(shape[0]) < 0.2] = True
    return missing


def levels(rng: Rng, n_rows: int, n_levels: int) -> list[Any]:
    """Return words, some of them rare."""
    return [LETTERS[min(int(rng.geometric(0.4)) - 1, n_levels - 1)] for _ in range(n_rows)]


def category(rng: Rng, n_rows: int) -> pd.Series:
    """Return a column of pandas' own categories, some of which no row has."""
    known = pick(rng, [["red", "green", "blue"], [3, 1, 2], [0.5, 1.5], [True, False]])
    values = [pick(rng, known[:2] if chance(rng, 0.5) else known) for _ in range(n_rows)]
    return pd.Series(pd.Categorical(values, categories=known, ordered=chance(rng, 0.3)))


def mostly_numbers(rng: Rng, n_rows: int) -> pd.Series:
    """Return numbers among which a few strings stand."""
    values: list[Any] = rng.normal(size=n_rows).round(3).tolist()
    values[int(rng.integers(n_rows))] = pick(rng, ["?", "-", "n/a"])
    return pd.Series(list(map(str, values)) if chance(rng, 0.5) else values, dtype=object)


def dates(rng: Rng, n_rows: int) -> pd.Series:
    """Return what is no number, and that nobody said how to make one of."""
    days = pd.Series(pd.Timestamp("2024-02-28") + pd.to_timedelta(rng.integers(0, 9, n_rows), unit="D"))
    return pick(rng, [days, days - days.min(), days.astype(object)])


FRAME_KINDS: dict[str, Callable[[Rng, int], pd.Series]] = {
    "truths": lambda rng, n: pd.Series(rng.integers(0, 2, n), dtype=pick(rng, ["bool", "boolean", "bool[pyarrow]"])),
    "words": lambda rng, n: pd.Series(levels(rng, n, 4), dtype=pick(rng, ["object", "str", "string"])),
    "arrow words": lambda rng, n: pd.Series(levels(rng, n, 3), dtype="string[pyarrow]"),
    "names": lambda rng, n: pd.Series([f"name {i}" for i in rng.permutation(n)], dtype=pick(rng, ["object", "str"])),
    "category": category,
    "mostly numbers": mostly_numbers,
    "mixed": lambda rng, n: pd.Series([pick(rng, ["a", 1, True, 2.5]) for _ in range(n)], dtype=object),
    "dates": dates,
}
"""Columns that are no plain numbers."""

DTYPES = ["float32", "Float64", "Float32", "object", "double[pyarrow]", "Sparse[float64]", "float16"]
WHOLE = ["int64", "int32", "int8", "uint8", "Int64", "UInt8", "int64[pyarrow]", "object"]


def frame_column(rng: Rng, n_rows: int, theme: Mapping[str, float], missing: np.ndarray) -> pd.Series:
    """Return a column of a data frame."""
    kinds = {"number": 8.0, **dict.fromkeys(FRAME_KINDS, 0.7), "dates": 0.05, "mixed": 0.2}
    kind = pick(rng, kinds)
    if kind != "number":
        return FRAME_KINDS[kind](rng, n_rows).mask(missing)
    column = pd.Series(numbers(rng, n_rows, theme))
    with np.errstate(over="ignore"):
        return _typed(rng, column).mask(missing)


def _typed(rng: Rng, column: pd.Series) -> pd.Series:
    """Return a column of numbers in one of the dtypes that hold them."""
    whole = np.isfinite(column).all() and (column == column.round()).all()
    fits = [dtype for dtype in WHOLE if dtype == "object" or _fits(column, dtype.lower().split("[")[0])]
    return column.astype(pick(rng, fits)) if whole and chance(rng, 0.6) else _as_real(rng, column)


def _as_real(rng: Rng, column: pd.Series) -> pd.Series:
    exact = column.abs().max() <= 2**53  # Arrow makes no floats of larger integers
    return column.astype(pick(rng, {"float64": 8, **dict.fromkeys(DTYPES if exact else [], 1)}))


def _fits(column: pd.Series, dtype: str) -> bool:
    info = np.iinfo(dtype)
    return bool(info.min <= column.min() and column.max() <= info.max and column.abs().max() < 2**62)
