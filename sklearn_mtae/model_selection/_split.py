"""Cross-validation of tables of targets, in which each task has labels for only some rows."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit
from sklearn.utils import check_random_state

from sklearn_mtae._tables.groups import deal_groups, read_groups
from sklearn_mtae._tables.targets import is_missing, target_columns, task_names

# Rows of each part that are considered for one swap: more would hardly find better ones.
CANDIDATES = 16


class TaskKFold(BaseCrossValidator):
    """K folds, each with labels of every task and class in proportion, and with whole groups if given.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, doi 10.1007/978-3-642-23808-6_10): the rows of the
    rarest label are dealt first, each to the fold that lacks most labels of that kind. Pairs of rows are then swapped
    between folds while this brings the folds closer to proportion. A kind of label is "task t has a label" or "task t
    has class c", and rows without labels count as a further kind. Fold sizes differ by at most one row.

    A task is dealt by class if its labels are not continuous (strings, integers, or whole floats) and a class has
    `n_splits` labels on average; otherwise by whether a row has a label. A class with fewer labels than folds is absent
    from some.

    With `groups`, rows of a group are in the same fold: large groups are dealt first, each to the fold that it brings
    closest to proportion.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether rows are dealt in random order; otherwise, the folds depend only on y.
    random_state : int, RandomState instance or None, default=None
        Seed of that order; only with `shuffle`.

    Raises
    ------
    ValueError
        If a parameter is invalid; when splitting, if y is None, or if there are fewer labels of a task, or fewer
        groups, than folds.

    See Also
    --------
    TaskShuffleSplit : Random train and test parts.
    sklearn.model_selection.StratifiedKFold : The same for one task of classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.model_selection import TaskKFold
    >>> y = np.full((12, 2), np.nan)
    >>> y[:8, 0], y[8:, 1] = 0.5, 1.5
    >>> for train, test in TaskKFold(n_splits=4).split(y, y):
    ...     print(test, (~np.isnan(y[test])).sum(0))
    [0 4 8] [2 1]
    [1 5 9] [2 1]
    [ 2  6 10] [2 1]
    [ 3  7 11] [2 1]
    """

    __metadata_request__split = {"groups": True}

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: int | np.random.RandomState | None = None
    ) -> None:
        if not isinstance(n_splits, Integral) or n_splits < 2:
            raise ValueError(f"n_splits must be an integer >= 2. Got {n_splits!r} instead.")
        if not isinstance(shuffle, bool):
            raise ValueError(f"shuffle must be True or False. Got {shuffle!r} instead.")
        if not shuffle and random_state is not None:
            raise ValueError(f"random_state must be None without shuffle. Got {random_state!r} instead.")
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def _iter_test_masks(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[NDArray[np.bool_]]:
        labelled = _labelled(y, self.n_splits, f"one for each of the n_splits={self.n_splits} folds")
        rng = check_random_state(self.random_state) if self.shuffle else None
        kinds = _kinds(y, labelled, self.n_splits)
        parts = _deal(kinds, _read_groups(groups, kinds, self.n_splits), np.full(self.n_splits, 1 / self.n_splits), rng)
        for fold in range(self.n_splits):
            yield parts == fold


class TaskShuffleSplit(BaseShuffleSplit):
    """Random train and test parts, each with labels of every task and class in proportion.

    Rows in random order are dealt to parts of the given sizes, as in :class:`TaskKFold`. A task is dealt by class if
    its labels are not continuous and each part's share of a class is at least one label on average. With `groups`, rows
    of a group are in the same part, and sizes are met as closely as whole groups allow.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float, int or None, default=None
        Share of the rows in the test part, or their number; None is the rest beside `train_size`, or 0.1.
    train_size : float, int or None, default=None
        Share of the rows in the train part, or their number; None is the rest beside `test_size`.
    random_state : int, RandomState instance or None, default=None
        Seed of the order of the rows.

    Raises
    ------
    ValueError
        When splitting: if a size is invalid, if y is None, if a task has fewer than two labels, or so few that the test
        or the train part gets none.

    See Also
    --------
    TaskKFold : Every row in one test part.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.model_selection import TaskShuffleSplit
    >>> y = np.full((100, 2), np.nan)
    >>> y[:60, 0], y[60:, 1] = 0.5, 1.5
    >>> train, test = next(TaskShuffleSplit(test_size=0.2, random_state=0).split(y, y))
    >>> (~np.isnan(y[test])).sum(0)
    array([12,  8])
    """

    __metadata_request__split = {"groups": True}

    def _iter_indices(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[NDArray, NDArray]]:
        # scikit-learn checks the sizes when it draws.
        n_train, n_test = map(len, next(super()._iter_indices(X)))
        labelled = _labelled(y, 2, "one for the train and one for the test part")
        n_rows = len(labelled[0])
        sizes = np.array([n_train, n_test, n_rows - n_train - n_test])
        kinds = _kinds(y, labelled, n_rows / min(n_train, n_test))
        shares, rng = sizes[sizes > 0] / n_rows, check_random_state(self.random_state)
        groups = _read_groups(groups, kinds, len(shares))
        for _ in range(self.n_splits):
            parts = _deal(kinds, groups, shares, rng)
            train, test = (rng.permutation(np.flatnonzero(parts == part)) for part in (0, 1))
            _check_parts(y, labelled, {"train": train, "test": test})
            yield train, test


def _labelled(y: Any, n_needed: int, reason: str) -> list[NDArray[np.bool_]]:
    """Return where each task has a label, and raise an error that names a task with too few."""
    if y is None:
        raise ValueError("y must be given: rows are split by its labels. Got None instead.")
    labelled = [~is_missing(column) for column in target_columns(y)]
    for name, has_label in zip(task_names(y), labelled, strict=True):
        if has_label.sum() < n_needed:
            raise ValueError(
                f"Every task must have at least {n_needed} labels, {reason}. Task {name!r} has {has_label.sum()}."
            )
    return labelled


def _check_parts(y: Any, labelled: Sequence[NDArray[np.bool_]], parts: dict[str, NDArray]) -> None:
    """Raise an error that names a task without a label in one of the parts."""
    for name, has_label in zip(task_names(y), labelled, strict=True):
        for part, rows in parts.items():
            if not has_label[rows].any():
                raise ValueError(
                    f"Every part must have a label of every task. The {part} part of {len(rows)} rows has none of task "
                    f"{name!r}, which has {has_label.sum()} labels for {len(has_label)} rows: make that part larger."
                )


def _kinds(y: Any, labelled: Sequence[NDArray[np.bool_]], min_class_size: float) -> csr_array:
    """Return which row has which kind of label, shape (n_rows, n_kinds): that of a task, of a class, or none."""
    kinds = [np.flatnonzero(~np.any(labelled, axis=0))]
    for column, has_label in zip(target_columns(y), labelled, strict=True):
        rows = np.flatnonzero(has_label)
        kinds += [rows, *(rows[is_class] for is_class in _classes(column[rows], min_class_size))]
    ends = np.cumsum([0, *map(len, kinds)])
    return csc_array((np.ones(ends[-1]), np.concatenate(kinds), ends), shape=(len(labelled[0]), len(kinds))).tocsr()


def _classes(labels: NDArray, min_class_size: float) -> list[NDArray[np.bool_]]:
    """Return where each class is, or nothing if labels are continuous or classes too small to be dealt."""
    if labels.dtype.kind == "O":
        labels = np.array(labels.tolist())
    if labels.dtype.kind == "f" and np.any(labels != np.floor(labels)):
        return []
    classes, codes = np.unique(labels, return_inverse=True)
    if len(labels) < min_class_size * len(classes):
        return []
    return [codes == code for code in range(len(classes))]


def _read_groups(groups: Any, kinds: csr_array, n_parts: int) -> NDArray[np.intp] | None:
    """Return the position of each row's group, None without groups; there must be one for each part."""
    if groups is None:
        return None
    positions = read_groups(groups, kinds)
    n_groups = int(positions.max()) + 1
    if n_groups < n_parts:
        raise ValueError(f"groups must hold one group for each of {n_parts} parts at least. Got {n_groups}.")
    return positions


def _deal(
    kinds: csr_array, groups: NDArray[np.intp] | None, shares: NDArray, rng: np.random.RandomState | None
) -> NDArray[np.intp]:
    """Return the part that each row is dealt to, for given shares of the rows and of every kind of label.

    Parameters
    ----------
    kinds : sparse array of shape (n_rows, n_kinds)
        1 if a row has a kind of label; each row has at least one.
    groups : ndarray of int of shape (n_rows,) or None
        Position of each row's group among all, if groups are dealt whole.
    shares : ndarray of shape (n_parts,)
        Share of each part; they sum to 1.
    rng : RandomState or None
        Source of the order in which rows are dealt, or None for that of the table.
    """
    if groups is not None:
        return deal_groups(groups, kinds, shares, rng)
    n_rows = kinds.shape[0]
    order = np.arange(n_rows) if rng is None else rng.permutation(n_rows)
    parts = np.empty(n_rows, dtype=np.intp)
    parts[order] = _swap_rows(_deal_rarest_first(kinds[order], shares), kinds[order], shares)
    return parts


def _deal_rarest_first(kinds: csr_array, shares: NDArray) -> NDArray[np.intp]:
    """Deal the rows of the rarest kind that is left, each to the part that lacks most of it, then most rows."""
    n_rows, n_kinds = kinds.shape
    # Lists, not arrays: a handful of numbers per step, where numpy is several times slower.
    kinds_of = [kinds.indices[start:end].tolist() for start, end in pairwise(kinds.indptr)]
    rows_of = kinds.tocsc()
    n_left = np.diff(rows_of.indptr).tolist()
    lacking = np.outer(n_left, shares).tolist()
    room = _sizes(n_rows, shares)
    parts = [-1] * n_rows
    waiting = set(range(n_kinds))
    while waiting:
        kind = min(waiting, key=lambda kind: (n_left[kind], kind))
        waiting.remove(kind)
        for row in rows_of.indices[rows_of.indptr[kind] : rows_of.indptr[kind + 1]].tolist():
            if parts[row] < 0:
                part = _neediest(lacking[kind], room)
                parts[row] = part
                room[part] -= 1
                for held in kinds_of[row]:
                    n_left[held] -= 1
                    lacking[held][part] -= 1
    return np.array(parts)


def _neediest(lacking: list[float], room: list[int]) -> int:
    """Return the part that lacks most, among those that are not full."""
    return max((part for part, n in enumerate(room) if n), key=lambda part: (lacking[part], room[part]))


def _sizes(n_rows: int, shares: NDArray) -> list[int]:
    """Return whole numbers of rows that sum to `n_rows`: the largest remainders get what rounding leaves."""
    exact = np.round(n_rows * shares, 9)
    sizes = np.floor(exact).astype(int)
    largest = np.argsort(sizes - exact, kind="stable")
    sizes[largest[: n_rows - sizes.sum()]] += 1
    return sizes.tolist()


def _swap_rows(parts: NDArray[np.intp], kinds: csr_array, shares: NDArray) -> NDArray[np.intp]:
    """Swap rows between parts while this lowers the sum of squared differences from proportion."""
    dealt = csr_array((np.ones(len(parts)), (parts, np.arange(len(parts)))), shape=(len(shares), len(parts)))
    excess = (dealt @ kinds).toarray() - np.outer(shares, kinds.sum(axis=0))
    swapped = True
    while swapped:
        swapped = False
        for first, second in combinations(range(len(shares)), 2):
            while _swap_once(parts, kinds, excess, first, second):
                swapped = True
    return parts


def _swap_once(parts: NDArray[np.intp], kinds: csr_array, excess: NDArray, first: int, second: int) -> bool:
    """Swap the best pair of rows of two parts, in place; return False if no swap makes them better."""
    gap = excess[second] - excess[first]
    if np.abs(gap).max() <= 1:  # a swap moves one label of a kind, which is then no gain
        return False
    # With d the difference of two rows' kinds, swapping them changes the sum of squares by 2 (d @ gap + d @ d).
    gain = kinds @ gap
    given, taken = (
        rows[np.argsort(sign * gain[rows], kind="stable")[:CANDIDATES]]
        for rows, sign in ((np.flatnonzero(parts == first), 1), (np.flatnonzero(parts == second), -1))
    )
    ours, theirs = kinds[given].toarray(), kinds[taken].toarray()
    change = gain[given][:, None] - gain[taken] + ((ours[:, None] - theirs) ** 2).sum(axis=2)
    best = np.unravel_index(change.argmin(), change.shape)
    if change[best] > -1e-9:
        return False
    difference = ours[best[0]] - theirs[best[1]]
    excess[first] -= difference
    excess[second] += difference
    parts[given[best[0]]], parts[taken[best[1]]] = second, first
    return True
