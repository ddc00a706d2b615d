"""What models say of drawn rows: whether they tell them from real ones, learn from them, and find copies in them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

from ._pooled_tables import PooledTables

N_FOLDS = 3
MOST_LEVELS = 255
"""Classes of a column that boosted trees take as such; of more, the positions are numbers to them."""
MOST_NEIGHBOURS = 5000
"""Rows of each table at most among which neighbours are looked for."""
SAME = 1e-6
"""Distances that differ by less are equal: of copies they are 0 but for rounding."""

Score = Callable[[NDArray], float]
"""A score of rows of some weights."""


class AreaUnderCurve:
    """The area under the ROC curve of rows of some weights; NaN where one of the two sides has none.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        Scores.
    positive : ndarray of bool of shape (n_rows,)
        Which rows should have the larger ones.
    """

    def __init__(self, score: NDArray, positive: NDArray[np.bool_]) -> None:
        self.codes, self.positive = np.unique(score, return_inverse=True)[1], positive

    def __call__(self, weight: NDArray) -> float:
        """Return the area."""
        n_values = self.codes.max() + 1
        above, below = (np.bincount(self.codes, weight * side, n_values) for side in (self.positive, ~self.positive))
        n_pairs = above.sum() * below.sum()
        return float(above @ (below.cumsum() - below / 2) / n_pairs) if n_pairs > 0 else float("nan")


def learn_to_tell(tables: PooledTables, random_state: int) -> tuple[Score, int]:
    """Return the C2ST score, of weights of the real rows and then of the drawn ones, and how many these are.

    Boosted trees learn in two folds of three which rows are drawn, and rank those of the third.
    """
    real, drawn = tables.rows("real"), tables.rows("drawn")
    x, is_drawn = np.vstack([real, drawn]), np.repeat([False, True], [len(real), len(drawn)])
    n_folds = min(N_FOLDS, len(real), len(drawn))
    folds, areas = [], []
    for train, test in StratifiedKFold(n_folds, shuffle=True, random_state=random_state).split(x, is_drawn):
        trees = HistGradientBoostingClassifier(**_options(tables.n_classes, random_state))
        score = trees.fit(_known(x[train]), is_drawn[train]).predict_proba(x[test])[:, 1]
        folds.append(test)
        areas.append(AreaUnderCurve(score, is_drawn[test]))

    def unlike(weight: NDArray) -> float:
        area = np.nanmean([own(weight[test]) for own, test in zip(areas, folds, strict=True)])
        return float(1 - 2 * max(area - 0.5, 0.0))

    return unlike, len(x)


def learn_target(tables: PooledTables, target: int, random_state: int) -> tuple[Score, Score, int]:
    """Return the scores on held-out rows of trees that learned a column from drawn rows and from real ones.

    R2 of numbers; of classes, and of numbers that are two, the area under the ROC curve, the mean of all classes where
    these are more. Beside the scores is the number of rows that they weigh.
    """
    parts = {
        name: own[~np.isnan(own[:, target])] for name in ("real", "drawn", "held_out") if len(own := tables.rows(name))
    }
    for name, own in parts.items():
        if len(own) < 2:
            raise ValueError(f"target={tables.names[target]!r} must be known in two rows of {name} or more.")
    test, values = parts["held_out"], np.unique(np.concatenate([own[:, target] for own in parts.values()]))
    is_class = tables.n_classes[target] > 0 or len(values) == 2
    others = np.arange(tables.x.shape[1]) != target
    options = _options(tables.n_classes[others], random_state)
    learn = _class_score if is_class else _number_score
    of_drawn, of_real = (
        learn(parts[name][:, others], parts[name][:, target], test[:, others], test[:, target], values, options)
        for name in ("drawn", "real")
    )
    return of_drawn, of_real, len(test)


def nearest_real(tables: PooledTables, rng: np.random.RandomState) -> tuple[Score, int]:
    """Return the share of drawn rows that are nearer to a real than to a held-out row, and how many rows it weighs.

    It weighs the rows that are nearest to some, since all drawn rows around one of these have it in common.
    """
    z = _coordinates(tables)
    real, drawn, held_out = (z[tables.table == name] for name in ("real", "drawn", "held_out"))
    n_rows = min(len(real), len(held_out), MOST_NEIGHBOURS)
    real, held_out = (own[rng.permutation(len(own))[:n_rows]] for own in (real, held_out))
    drawn = drawn[rng.permutation(len(drawn))[:MOST_NEIGHBOURS]]
    near = [NearestNeighbors(n_neighbors=1, algorithm="brute").fit(own).kneighbors(drawn) for own in (real, held_out)]
    (to_real, real_row), (to_held_out, held_out_row) = ((d.ravel(), row.ravel()) for d, row in near)
    tied = np.abs(to_real - to_held_out) < SAME
    credit = np.where(tied, 0.5, to_real < to_held_out)
    row = np.where(credit > 0, real_row, n_rows + held_out_row)
    kept, places = np.unique(row, return_inverse=True)
    n_drawn, credits = np.bincount(places), np.bincount(places, credit)

    def share(weight: NDArray) -> float:
        return float(weight @ credits / (weight @ n_drawn))

    return share, len(kept)


def _options(n_classes: NDArray, random_state: int) -> dict:
    """Return the options of boosted trees; those that stop early would depend on the number of rows."""
    categorical = (n_classes > 0) & (n_classes <= MOST_LEVELS)
    return {"categorical_features": categorical, "early_stopping": False, "random_state": random_state}


def _known(x: NDArray) -> NDArray:
    """Return rows whose columns have values: trees cannot be grown on one that has none."""
    return np.where(np.isnan(x).all(axis=0), 0.0, x)


def _class_score(x: NDArray, y: NDArray, x_test: NDArray, y_test: NDArray, classes: NDArray, options: dict) -> Score:
    scores = np.zeros((len(x_test), len(classes)))
    known = np.unique(y)
    if len(known) > 1:
        trees = HistGradientBoostingClassifier(**options).fit(_known(x), y)
        scores[:, np.searchsorted(classes, known)] = trees.predict_proba(x_test)
    asked = range(1, 2) if len(classes) == 2 else range(len(classes))
    areas = [AreaUnderCurve(scores[:, place], y_test == classes[place]) for place in asked]
    return lambda weight: float(np.nanmean([own(weight) for own in areas]))


def _number_score(x: NDArray, y: NDArray, x_test: NDArray, y_test: NDArray, values: NDArray, options: dict) -> Score:
    error = (y_test - HistGradientBoostingRegressor(**options).fit(_known(x), y).predict(x_test)) ** 2

    def r2(weight: NDArray) -> float:
        mean = weight @ y_test / weight.sum()
        spread = weight @ (y_test - mean) ** 2
        return float(1 - weight @ error / spread) if spread > 0 else float("nan")

    return r2


def _coordinates(tables: PooledTables) -> NDArray:
    """Return rows as points: numbers in standard deviations of real and held-out ones, any two classes 1 apart."""
    real = tables.x[tables.table != "drawn"]
    parts = []
    for column, own, n_classes in zip(tables.x.T, real.T, tables.n_classes, strict=True):
        missing, observed = np.isnan(column), own[~np.isnan(own)]
        if n_classes:
            codes = np.where(missing, n_classes, column).astype(np.intp)
            parts.append(np.eye(n_classes + 1)[codes] / np.sqrt(2))
            continue
        center, scale = (observed.mean(), observed.std()) if len(observed) else (0.0, 1.0)
        parts.append(np.where(missing, 0.0, (column - center) / (scale or 1.0))[:, None])
        if missing.any():
            parts.append(missing[:, None].astype(np.float64))
    return np.hstack(parts)
