"""Columns of strings that are numbers but for a few."""

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

from .levels import enumerated

MIN_NUMBERS, MIN_CODES = 5, 20
"""Different numbers from which on a column of strings is pointed out: beside other strings, and without any."""


def warn_of_numbers(name: Hashable, column: Any, levels: Sequence, key: Hashable) -> None:
    """Warn where at least half of the levels of a pandas column of strings read as numbers.

    One "?" among the numbers of a file makes strings of them all. Strings of digits alone may well be codes, as long as
    there are few.

    Parameters
    ----------
    name : hashable
        Name of the column.
    column : Series
        The cells.
    levels : sequence
        Its different values, missing ones left out.
    key : hashable
        How `likelihood` names the column.
    """
    import pandas as pd

    values = pd.Series(list(levels), dtype=object)
    is_number = pd.to_numeric(values, errors="coerce").notna()
    others = values[~is_number].tolist()
    if is_number.sum() < max(MIN_NUMBERS if others else MIN_CODES, len(others)):
        return
    cells = column.dropna()
    n_numbers = int((~cells.isin(others)).sum())
    words = f", all but {enumerated(others)}" if others else ""
    unread = f", or na_values={others!r} in pandas.read_csv" if 0 < len(others) <= 3 else ""
    warnings.warn(
        f"Column {name!r} holds strings, so it is a category of {len(values)} levels. But {n_numbers} of {len(cells)} "
        f"cells ({n_numbers / len(cells):.1%}) read as numbers{words}. If they are numbers, make them so: "
        f"X[{name!r}] = pandas.to_numeric(X[{name!r}], errors='coerce'){unread}. If they are categories, say so: "
        f"likelihood={{{key!r}: 'categorical'}}.",
        stacklevel=2,
    )
