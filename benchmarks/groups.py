"""Do intervals contain the labels of new groups, if rows belong to groups?

Run `python -m benchmarks.groups [--seeds 5] [--shapes 20x10 40x5 200x1] [--data-dir DIR]`.

Two targets of six features: a linear part with two sines, a group effect (deviation 1), and noise of .3. Four of the
features are those of the group up to a twentieth, two are specific to the rows. Training tables have 20 groups of 10
rows, 40 of 5 and 200 of 1. Scores are on 500 new groups of one row: the fraction of the labels within intervals of 90
%, and the root mean squared error, compared with a forest and a ridge regression tuned by `GroupKFold`.

With `--data-dir`, which holds the files of `benchmarks.school`, also exam scores of students of new schools: three
folds of the 139 schools, the scores as one target.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from sklearn_mtae import MultiTaskVAERegressor

from ._harness import describe_machine, print_row
from .school import load

SHAPES = ("20x10", "40x5", "200x1")
N_NEW = 500
WIDTHS = (12, 6, 14, 14, 12, 12, 12, 12)
PEERS = (
    (RandomForestRegressor(300, random_state=0), {"max_features": [0.5, 1.0], "min_samples_leaf": [1, 3, 10]}),
    (Ridge(), {"alpha": [0.1, 1.0, 10.0, 100.0]}),
)


def make_table(n_groups: int, n_rows: int, weights: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Make rows of groups."""
    own, effect = (np.repeat(rng.normal(size=(n_groups, width)), n_rows, axis=0) for width in (4, 2))
    X = np.column_stack([own + 0.05 * rng.normal(size=own.shape), rng.normal(size=(len(own), 2))])
    return X, X @ weights / 2 + np.sin(X[:, :2]) + effect + 0.3 * rng.normal(size=effect.shape)


def make_tables(n_groups: int, n_rows: int, seed: int) -> tuple[NDArray, ...]:
    """Return training rows, targets and groups, and rows and targets of new groups."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(6, 2))
    train, new = make_table(n_groups, n_rows, weights, rng), make_table(N_NEW, 1, weights, rng)
    return *train, np.repeat(np.arange(n_groups), n_rows), *new


def run(X: NDArray, Y: NDArray, groups: NDArray, X_new: NDArray, Y_new: NDArray) -> tuple[float, ...]:
    """Return coverage and error without groups and with them, and the errors of the peers."""
    found = []

    def error(model: object) -> float:
        return float(np.sqrt(np.mean((model.predict(X_new) - Y_new) ** 2)))  # type: ignore[attr-defined]

    for given in (None, groups):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Most rows have near repeats")
            model = MultiTaskVAERegressor(random_state=0).fit(X, Y, groups=given)
        lower, upper = model.predict_interval(X_new)
        found += [float(((lower <= Y_new) & (Y_new <= upper)).mean()), error(model)]
    folds = list(GroupKFold(5).split(X, Y, groups))
    return *found, *(error(GridSearchCV(model, grid, cv=folds).fit(X, Y)) for model, grid in PEERS)


def print_table(name: str, found: list[tuple[float, ...]]) -> None:
    """Print the results of seeds or folds, and their means."""
    for seed, own in [*enumerate(found), ("mean", np.mean(found, axis=0))]:
        held, errors = (own[0], own[2]), (own[1], *own[3:])
        cells = (*(f"{value:.3f}" for value in held), *(f"{value:.3f}" for value in errors))
        print_row(WIDTHS, (name, seed, *cells))


def schools(folder: Path) -> list[tuple[float, ...]]:
    """Return the results for new schools, one for each fold."""
    data = load(folder)
    folds = GroupKFold(3, shuffle=True, random_state=0).split(data.X, data.y, data.school)
    X, y, school = data.X, data.y, data.school
    return [run(X[train], y[train], school[train], X[new], y[new]) for train, new in folds]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="groups, and rows of each")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("groups", "seed", "held, rows", "held, groups", "error, rows", "groups", "forest", "ridge"))
    for shape in arguments.shapes:
        n_groups, n_rows = map(int, shape.split("x"))
        print_table(shape, [run(*make_tables(n_groups, n_rows, seed)) for seed in range(arguments.seeds)])
    if arguments.data_dir is not None:
        print_table("schools", schools(arguments.data_dir))


if __name__ == "__main__":
    main()
