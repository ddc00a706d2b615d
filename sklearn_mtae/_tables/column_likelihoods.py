"""The columns of X: the likelihood of each, and which of them are categories to expand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_mtae.nn.factories import likelihood_maker
from sklearn_mtae.nn.likelihoods import LIKELIHOODS, Likelihood, Mixed, OneHot, Quantile
from sklearn_mtae.nn.traits import unwrapped
from sklearn_mtae.nn.words import listed, short, suggest, suggest_each

from .frame import Numbers, Table, frame_kinds, is_frame
from .levels import Levels, warn_of_numbers
from .targets import per_task

Option = str | Callable[[int], Likelihood]

CATEGORICAL = "categorical"
LEFT_OUT = object()
AUTO = "auto"
UNNAMED = "gaussian"
"""Likelihood of the numeric columns, or of the tasks, that a dict of likelihoods leaves out."""


def is_per_column(option: Any) -> bool:
    """Return whether the parameter `likelihood` names columns one by one."""
    return not (isinstance(option, str) or callable(option))


def names_categories(option: Any) -> bool:
    """Return whether the parameter `likelihood` names single columns as categories."""
    return is_per_column(option) and CATEGORICAL in list(option.values() if isinstance(option, Mapping) else option)


def takes_sparse(option: Any) -> bool:
    """Return whether the likelihoods accept zeros and keep them zero, as far as is known before there is data."""
    families = _families(option)
    zeros = all(family.support[0] <= 0 and not family.standardized for family in families)
    return bool(families) and zeros and not (is_per_column(option) and OneHot in families)


def needs_positive(option: Any) -> bool:
    """Return whether a likelihood accepts no negative values, as far as is known before there is data."""
    return any(family.support[0] >= 0 for family in _families(option))


def _families(option: Any) -> list[type[Likelihood]]:
    """Return the classes of the named likelihoods; a factory that is a function could return any."""
    chosen = list(option.values()) if isinstance(option, Mapping) else option
    several = chosen if isinstance(chosen, list | tuple) else [chosen]
    named = {**LIKELIHOODS, AUTO: Quantile}
    factories = [named.get(one) if isinstance(one, str) else one for one in several]
    classes = [unwrapped(factory) for factory in factories]
    return [own if isinstance(own, type) and issubclass(own, Likelihood) else Likelihood for own in classes]


def learn_table(
    X: Any, option: Any, names: Sequence, max_categories: int | None = None, weight: NDArray | None = None
) -> Table | None:
    """Return how to expand and restore X's columns; None for an array of numbers, which stays as it is."""
    options = per_column(option, names)
    if issparse(X):
        if CATEGORICAL in options:
            name = names[options.index(CATEGORICAL)]
            raise TypeError(f"Sparse data was passed for X; with column {name!r} 'categorical', use X.toarray().")
        return None
    by_dtype = frame_kinds(X) if is_frame(X) else [False] * len(names)
    kinds = [
        default if chosen in (None, AUTO) else chosen == CATEGORICAL
        for chosen, default in zip(options, by_dtype, strict=True)
    ]
    if not (is_frame(X) or any(kinds)):
        return None
    table = Table.learn(X, kinds, max_categories, weight)
    for j, (column, chosen) in enumerate(zip(table.columns, options, strict=True)):
        if isinstance(column, Levels) and chosen is None and column.ordered is None:
            warn_of_numbers(column.name, X.iloc[:, j], column.levels, names[j])
    return table


def per_column(option: Any, names: Sequence) -> list[Option | None]:
    """Return the likelihood chosen for each single column of X; None if none was.

    Parameters
    ----------
    option : str, callable, mapping or sequence
        The parameter `likelihood`: one for all columns (then none is chosen for single columns); a mapping by name, or
        by position if X has no names, which may leave columns out; or a sequence with one for each.
    names : sequence
        Names of the columns, or their positions.
    """
    _check_no_bare_pair(option, "likelihood", "column")
    if isinstance(option, Mapping):
        unknown = [name for name in option if name not in names]
        if unknown:
            hint = suggest_each(unknown, names)
            raise ValueError(
                f"likelihood names unknown columns {listed(unknown)}. The columns are {listed(names)}.{hint}"
            )
        chosen = [option.get(name, LEFT_OUT) for name in names]
    elif not is_per_column(option):
        return [None] * len(names)
    else:
        chosen = list(option)
    if len(chosen) != len(names):
        raise ValueError(f"likelihood must hold one per column of X, {len(names)} of them. Got {len(chosen)}.")
    for name, one in zip(names, chosen, strict=True):
        known = one is LEFT_OUT or callable(one) or (isinstance(one, str) and one in {AUTO, *LIKELIHOODS})
        if not known and not is_range(one):
            raise ValueError(
                f"likelihood must hold names out of {sorted({AUTO, *LIKELIHOODS})}, ranges (low, high) or factories. "
                f"Got {short(one)} for column {name!r}.{suggest(one, LIKELIHOODS) if isinstance(one, str) else ''}"
            )
    return [
        None if one is LEFT_OUT else _bounded(one, name, "likelihood") for name, one in zip(names, chosen, strict=True)
    ]


def per_task_likelihood(option: Any, names: Sequence[str], default: Any = None) -> list[Any]:
    """Return the likelihood of each task, as `per_task` does; pairs of bounds become factories."""
    _check_no_bare_pair(option, "task_likelihoods", "task")
    chosen = per_task(option, names, "task_likelihoods", default=default)
    return [_bounded(one, name, "task_likelihoods") for name, one in zip(names, chosen, strict=True)]


def _check_no_bare_pair(option: Any, parameter: str, what: str) -> None:
    """Raise an error where a pair of bounds could be meant for everything, or for one of two."""
    if is_range(option):
        raise ValueError(
            f"{parameter} must hold a pair (low, high) for each {what} that has bounds, in a dict by name or in a "
            f"list. Got {short(option)} instead of a dict such as {{'a': {short(option)}}}."
        )


@dataclass(frozen=True)
class Bounded:
    """Makes the likelihood "quantile" of columns between two bounds; None is no bound."""

    low: float | None
    high: float | None

    def __call__(self, n_columns: int) -> Likelihood:
        """Return a likelihood of so many columns."""
        return Quantile(n_columns, self.low, self.high)


def _bounded(option: Any, name: Any, parameter: str) -> Any:
    """Return an option, a pair of bounds as a factory; raise an error where these are not in order."""
    if not is_range(option):
        return option
    low, high = option
    if not (-np.inf if low is None else low) < (np.inf if high is None else high):
        what = "column" if parameter == "likelihood" else "task"
        raise ValueError(
            f"{parameter} must hold ranges (low, high) with low < high. Got {short(option)} for {what} {name!r}."
        )
    return Bounded(low, high)


def is_range(option: Any) -> bool:
    """Return whether the option of a column is a pair of bounds."""
    pair = isinstance(option, tuple | list) and len(option) == 2
    return pair and all(one is None or (isinstance(one, Real) and not isinstance(one, bool)) for one in option)


def find_booleans(X: Any, table: Table | None) -> tuple[bool, ...]:
    """Return which columns of X hold booleans, whatever holds them: a frame, or an array of booleans or objects."""
    if table is None and hasattr(X, "columns"):
        return tuple(str(dtype).lower() in ("bool", "boolean") for dtype in X.dtypes) if hasattr(X, "dtypes") else ()
    if table is None and not issparse(X):
        X = np.asarray(X)
        table = Table.learn(X, [False] * X.shape[1]) if X.dtype == object else None
    if table is None:
        return (X.dtype.kind == "b",) * X.shape[1]
    return tuple(isinstance(column, Numbers) and column.unit == "bool" for column in table.columns)


def name_likelihoods(
    option: Any, names: Sequence, table: Table | None, booleans: Sequence[bool] = ()
) -> dict[Any, Option]:
    """Return the likelihood of each column of X: a name, or what a user gave."""
    unnamed = UNNAMED if is_per_column(option) else option
    auto = ["bernoulli" if is_boolean else "quantile" for is_boolean in booleans] or ["quantile"] * len(names)
    chosen = zip(names, per_column(option, names), expansions(table, names), auto, strict=True)
    return {name: _name_likelihood(own or unnamed, expanded, found) for name, own, expanded, found in chosen}


def _name_likelihood(option: Option, is_category: bool, auto: str) -> Option:
    if is_category:
        return CATEGORICAL
    return auto if isinstance(option, str) and option == AUTO else option


def make_likelihood(option: Any, names: Sequence, table: Table | None, booleans: Sequence[bool] = ()) -> Likelihood:
    """Return the distribution of the columns, with expanded categories."""
    named = list(name_likelihoods(option, names, table, booleans).values())
    if not is_per_column(option) and (table is None or not table.expands) and len(set(named)) == 1:
        return likelihood_maker(named[0], "likelihood")(len(names))
    groups = [[column] for column in range(len(names))] if table is None else table.groups
    factories: list[Callable[[int], Likelihood]] = []
    for chosen, group, expanded in zip(named, groups, expansions(table, names), strict=True):
        # Columns that share a factory share a likelihood: each category has its own factory.
        factories += [partial(OneHot) if expanded else likelihood_maker(chosen, "likelihood")] * len(group)
    return Mixed(factories)


def expansions(table: Table | None, names: Sequence) -> list[bool]:
    """Return which columns of X are categories."""
    return [False] * len(names) if table is None else [isinstance(column, Levels) for column in table.columns]


def standardized_columns(likelihood: Likelihood) -> NDArray[np.bool_]:
    """Return which columns are centred and scaled before their density is computed."""
    standardized = np.zeros(likelihood.n_columns, dtype=bool)
    for family, columns in likelihood.parts():
        standardized[columns] = family.standardized
    return standardized
