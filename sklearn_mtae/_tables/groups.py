"""Groups of rows that belong together, such as the visits of a patient: reading them, and dealing them whole."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from sklearn.utils import column_or_1d

from sklearn_mtae.nn.words import named, short

from .containers import plain
from .targets import is_missing


def read_groups(groups: Any, x: Any) -> NDArray[np.intp]:
    """Return the position of each row's group among all groups, shape (n_rows,).

    Raises
    ------
    ValueError
        If there is not one group for each row, or if one is missing.
    TypeError
        If a group cannot be told from others, as a list cannot.
    """
    given = plain(groups)
    try:
        groups = column_or_1d(given)
    except ValueError as error:  # of an array that it calls y
        raise ValueError(f"groups must be one column of numbers or other names. Got {short(given)}.") from error
    if len(groups) != x.shape[0]:
        raise ValueError(f"groups must have a value for every row. Got {len(groups)} for {x.shape[0]} rows.")
    missing = is_missing(groups)
    if missing.any():
        raise ValueError(
            f"groups must have a value for every row. Got {missing.sum()} missing ones, the first in row "
            f"{int(missing.argmax())}."
        )
    known: dict[Any, int] = {}
    with named("groups"):
        return np.array([known.setdefault(group, len(known)) for group in groups.tolist()], dtype=np.intp)


def deal_groups(groups: NDArray[np.intp], kinds: Any, shares: NDArray, rng: Any = None) -> NDArray[np.intp]:
    """Return the part that each row's group is dealt to, for given shares of the rows and of every kind.

    Large groups are dealt first, each to the part for which the counts come closest to proportion (as
    :class:`~sklearn.model_selection.StratifiedGroupKFold` does).

    Parameters
    ----------
    groups : ndarray of int of shape (n_rows,)
        Position of each row's group among all.
    kinds : ndarray or sparse array of shape (n_rows, n_kinds)
        1 if a row has a kind of label.
    shares : ndarray of shape (n_parts,)
        Share of each part; they add up to 1.
    rng : Generator, RandomState or None
        Source of the order of groups of equal size; None keeps the order of the table.
    """
    members = csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
    labels = members @ kinds
    counts = np.column_stack([members.sum(axis=1), labels.toarray() if issparse(labels) else labels])
    order = np.arange(len(counts)) if rng is None else rng.permutation(len(counts))
    totals = np.maximum(counts.sum(axis=0), 1)
    parts_of = np.empty(len(counts), dtype=np.intp)
    relative = counts / totals
    excess = -np.outer(shares, np.ones(counts.shape[1]))
    for group in order[np.argsort(-relative[order].sum(axis=1), kind="stable")]:
        # Increase of the sum of squared differences from proportion, for each part.
        part = int(((relative[group] + 2 * excess) @ relative[group]).argmin())
        parts_of[group] = part
        excess[part] += relative[group]
    return parts_of[groups]
