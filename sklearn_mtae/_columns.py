"""What the columns of X are: the likelihood of each, and which of them are categories to expand."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from scipy.sparse import issparse

from ._table import Levels, Table, frame_kinds, is_frame
from ._validation import resolve
from .nn.likelihoods import LIKELIHOODS, Likelihood, Mixed, OneHot

Option = str | Callable[[int], Likelihood]

CATEGORICAL = "categorical"
UNNAMED = "gaussian"
"""Likelihood of the numeric columns that a dict of likelihoods leaves out."""


def is_per_column(option: Any) -> bool:
    """Return whether the parameter `likelihood` speaks of columns one by one."""
    return not (isinstance(option, str) or callable(option))


def learn_table(X: Any, option: Any, names: Sequence) -> Table | None:
    """Return how to expand and restore X's columns; None for an array of numbers, which stays as it is."""
    if issparse(X):
        return None
    options = per_column(option, names)
    by_dtype = frame_kinds(X) if is_frame(X) else [False] * len(names)
    kinds = [
        default if chosen is None else chosen == CATEGORICAL for chosen, default in zip(options, by_dtype, strict=True)
    ]
    return Table.learn(X, kinds) if is_frame(X) or any(kinds) else None


def per_column(option: Any, names: Sequence) -> list[Option | None]:
    """Return the likelihood that was chosen for each column of X by itself; None where none was.

    Parameters
    ----------
    option : str, callable, mapping or sequence
        The parameter `likelihood`: one for all columns (none is chosen by itself then), a mapping by name, or by
        position where X has no names, that may leave columns out, or a sequence with one for each.
    names : sequence
        Names of the columns, or their positions.
    """
    if isinstance(option, Mapping):
        unknown = [name for name in option if name not in names]
        if unknown:
            raise ValueError(f"likelihood names unknown columns {unknown}. The columns are {list(names)}.")
        chosen = [option.get(name) for name in names]
    elif not is_per_column(option):
        return [None] * len(names)
    else:
        chosen = list(option)
    if len(chosen) != len(names):
        raise ValueError(f"likelihood must hold one per column of X, {len(names)} of them. Got {len(chosen)}.")
    for name, one in zip(names, chosen, strict=True):
        if one is not None and not callable(one) and one not in LIKELIHOODS:
            raise ValueError(
                f"likelihood must hold names out of {sorted(LIKELIHOODS)} or factories. Got {one!r} for column "
                f"{name!r}."
            )
    return chosen


def make_likelihood(option: Any, names: Sequence, table: Table | None) -> Likelihood:
    """Return the distribution of the columns, categories expanded."""
    single = not is_per_column(option)
    if single and (table is None or table.n_columns == len(names)):
        return resolve(option, LIKELIHOODS)(len(names))
    unnamed = option if single else UNNAMED
    groups = [[column] for column in range(len(names))] if table is None else table.groups
    factories: list[Callable[[int], Likelihood]] = []
    for chosen, group, expanded in zip(per_column(option, names), groups, expansions(table, names), strict=True):
        # Columns that share a factory share a likelihood: each category has one of its own.
        factories += [partial(OneHot) if expanded else resolve(chosen or unnamed, LIKELIHOODS)] * len(group)
    return Mixed(factories)


def expansions(table: Table | None, names: Sequence) -> list[bool]:
    """Return which columns of X are categories."""
    return [False] * len(names) if table is None else [isinstance(column, Levels) for column in table.columns]
