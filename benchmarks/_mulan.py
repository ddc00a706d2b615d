"""The multi-target sets of the Mulan repository and the folds of the published figures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

N_TARGETS = {"andro": 6, "atp1d": 6, "edm": 2, "enb": 2, "jura": 3, "oes97": 16, "scpf": 3, "sf1": 3, "wq": 14}
"""Targets of each set: its last columns."""


class Columns(NamedTuple):
    """A set as arrays: categories are indicators, missing cells NaN."""

    X: NDArray
    Y: NDArray


def load(folder: Path, name: str, n_targets: int | None = None) -> Columns:
    """Return a set from its ARFF file; None takes the number of targets from `N_TARGETS`."""
    text = (folder / f"{name}.arff").read_text(errors="replace")
    header, body = re.split(r"(?mi)^@data\s*$", re.sub(r"(?m)^\s*%.*$", "", text))
    kinds = re.findall(r"(?mi)^@attribute\s+.*?(?:\{(.*)\}|(?:numeric|real|integer))\s*$", header)
    levels = [[level.strip(" '\"") for level in kind.split(",")] if kind else None for kind in kinds]
    cells = np.array([read_row(line, len(levels)) for line in body.splitlines() if line.strip()])
    columns = [numbers(column, own) for column, own in zip(cells.T, levels, strict=True)]
    n_targets = N_TARGETS[name] if n_targets is None else n_targets
    return Columns(np.hstack(columns[:-n_targets]), np.hstack(columns[-n_targets:]))


def read_row(line: str, n_columns: int) -> list[str]:
    """Return the cells of a row; for a sparse row, including its omitted zeros."""
    if not line.lstrip().startswith("{"):
        return [cell.strip(" '\"\t") for cell in line.split(",")]
    row = ["0"] * n_columns
    for pair in filter(None, line.strip(" {}\t").split(",")):
        column, value = pair.split()
        row[int(column)] = value
    return row


def numbers(column: NDArray, levels: list[str] | None) -> NDArray:
    """Return a column as numbers; a category as one indicator per level, or a single one if it has two levels."""
    if levels is None:
        return np.array([np.nan if cell == "?" else float(cell) for cell in column])[:, None]
    shown = levels[1:] if len(levels) == 2 else levels
    return (column[:, None] == np.array(shown)).astype(float)


def folds(n_rows: int, n_folds: int = 10) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield training and test rows as in Mulan's experiments.

    Weka shuffles by `java.util.Random(1)`, a linear congruential generator of 48 bits (Spyromitros-Xioufis et al. 2016,
    doi 10.1007/s10994-016-5546-z), and cuts the rows in order, the first folds one row longer.
    """
    order = java_permutation(n_rows, seed=1)
    for test in np.array_split(order, n_folds):
        yield order[~np.isin(order, test)], test


def java_permutation(n_rows: int, seed: int) -> NDArray:
    """Return the order that Weka's `Instances.randomize` gives the rows."""
    state = (seed ^ 0x5DEECE66D) % 2**48
    order = np.arange(n_rows)
    for last in range(n_rows - 1, 0, -1):
        state, chosen = java_integer(state, last + 1)
        order[[last, chosen]] = order[[chosen, last]]
    return order


def java_integer(state: int, bound: int) -> tuple[int, int]:
    """Return the state of `java.util.Random` after a draw below a bound, and the draw."""
    while True:
        state = (state * 0x5DEECE66D + 0xB) % 2**48
        bits = state >> 17
        if bound & (bound - 1) == 0:
            return state, bound * bits >> 31
        if bits - bits % bound + bound - 1 < 2**31:
            return state, bits % bound
