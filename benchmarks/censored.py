"""Do labels that are known only as limits help, compared with dropping them and with taking the limits as values?

Run `python -m benchmarks.censored [--seeds 3] [--share 0.4] [--folder FOLDER] [--tables NAME ...]`.

In tables whose true values are known, a share of the training labels becomes limits: those below a limit of detection
("below"), those above the end of a scale ("above"), or those below a limit of their own ("own"), which has the
distribution of the labels. Models with default settings are fitted to the limits as such (`censoring`), without these
labels (NaN), and with the limits as values. The error is the root mean squared error of a quarter of the rows, on their
true values, in standard deviations of the task, averaged over the tasks; "true" is that of a model that has seen all
true values. "held" is the fraction of the true values within intervals of 90 %. The folder has Mulan's files (ARFF).
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, make_friedman1, make_friedman3
from sklearn.model_selection import train_test_split

from sklearn_mtae import MultiTaskVAERegressor

from ._harness import describe_machine, print_row
from ._mulan import load

WIDTHS = (10, 7, 8, 8, 8, 8, 10, 9, 7, 7)
KINDS = ("below", "above", "own")
MULAN = ("edm", "enb", "jura", "wq")
Table = tuple[NDArray, NDArray]


def linear() -> Table:
    """Make three linear targets with noise of half a deviation."""
    rng = np.random.default_rng(0)
    X, weights = rng.normal(size=(400, 8)), rng.normal(size=(8, 3)) / 8**0.5
    return X, X @ weights + 0.5 * rng.normal(size=(400, 3))


def friedman() -> Table:
    """Make Friedman's first target, and another with the features in another order."""
    X, y = make_friedman1(600, noise=1.0, random_state=0)
    other = make_friedman1(600, noise=1.0, random_state=0)[0][:, [3, 4, 0, 1, 2]]
    again = 10 * np.sin(np.pi * other[:, 0] * other[:, 1]) + 20 * (other[:, 2] - 0.5) ** 2 + 10 * other[:, 3]
    return X, np.column_stack([y, again + 5 * other[:, 4] + np.random.default_rng(1).normal(size=600)])


def friedman3() -> Table:
    """Make Friedman's third target."""
    X, y = make_friedman3(600, noise=0.1, random_state=0)
    return X, y[:, None]


def diabetes() -> Table:
    """Return the progression of diabetes."""
    X, y = load_diabetes(return_X_y=True)
    return X, y[:, None]


def serum() -> Table:
    """Return the six blood serum measurements of the diabetes table, from the other columns and the progression."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return np.column_stack([X[:, :4], y]), X[:, 4:]


def cancer() -> Table:
    """Return the ten largest measurements of cell nuclei, from their means."""
    X, _ = load_breast_cancer(return_X_y=True)
    return X[:, :10], X[:, 20:]


TABLES: dict[str, Callable[[], Table]] = {
    "linear": linear,
    "friedman1": friedman,
    "friedman3": friedman3,
    "diabetes": diabetes,
    "serum": serum,
    "cancer": cancer,
}


def limit(Y: NDArray, kind: str, share: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Return labels, a share of which are limits, and their codes."""
    if kind == "own":
        drawn = rng.permutation(Y)
        limits = drawn + np.quantile(Y - drawn, share, axis=0)
    else:
        limits = np.broadcast_to(np.quantile(Y, share if kind == "below" else 1 - share, axis=0), Y.shape)
    codes = np.where(limits < Y, 1, 0) if kind == "above" else np.where(limits > Y, -1, 0)
    return np.where(codes != 0, limits, Y), codes


def run(table: Table, kind: str, share: float, seed: int) -> tuple[float, ...]:
    """Return the errors with the true values, the limits, without them and with them as values, and coverages."""
    X, X_new, Y, Y_new = train_test_split(*table, test_size=0.25, random_state=seed)
    limits, codes = limit(Y, kind, share, np.random.default_rng(seed))
    found = []
    for labels, given in ((Y, None), (limits, codes), (np.where(codes, np.nan, limits), None), (limits, None)):
        model = MultiTaskVAERegressor(random_state=seed).fit(X, labels, censoring=given)
        missed = model.predict(X_new).reshape(Y_new.shape) - Y_new
        lower, upper = (end.reshape(Y_new.shape) for end in model.predict_interval(X_new))
        held = ((lower <= Y_new) & (Y_new <= upper)).mean()
        found.append((float((np.sqrt((missed**2).mean(axis=0)) / Y_new.std(axis=0)).mean()), float(held)))
    errors, held = zip(*found, strict=True)
    return *errors, held[0], held[1]


def tables(folder: Path | None) -> Iterator[tuple[str, Table]]:
    """Yield the names of tables, and the tables."""
    yield from ((name, make()) for name, make in TABLES.items())
    for name in MULAN if folder is not None else ():
        yield name, tuple(load(folder, name))  # type: ignore[misc, arg-type]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.4)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--tables", nargs="*", help="names of tables; all by default")
    arguments = parser.parse_args()
    print(describe_machine())
    titles = ("limits", "true", "limits", "dropped", "values", "/ dropped", "/ values", "held", "true")
    print_row(WIDTHS, ("table", *titles))
    for name, table in tables(arguments.folder):
        for kind in KINDS if not arguments.tables or name in arguments.tables else ():
            own = np.mean([run(table, kind, arguments.share, seed) for seed in range(arguments.seeds)], axis=0)
            cells = (*own[:4], own[1] / own[2], own[1] / own[3], own[5], own[4])
            print_row(WIDTHS, (name, kind, *(f"{value:.3f}" for value in cells)))


if __name__ == "__main__":
    main()
