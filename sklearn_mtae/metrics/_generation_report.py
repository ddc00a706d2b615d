"""How good drawn rows are: how alike to real ones, what can be learned from them, and whether they are copies."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_scalar

from sklearn_mtae.nn.words import listed, suggest

from ._learned import learn_target, learn_to_tell, nearest_real
from ._pooled_tables import PooledTables, copy_gaps, read_tables
from ._similarity import Marginals, Pairs

CONFIDENCE = 0.95
N_SHUFFLES = 20
"""Shuffles of real and drawn rows that tell what chance alone makes of their similarity."""


class Measure(NamedTuple):
    """A score, its interval, and the score that it would have at best."""

    score: float
    low: float
    high: float
    ideal: float


@dataclass(frozen=True, eq=False, repr=False)
class GenerationReport:
    """What :func:`generation_report` returns.

    Parameters
    ----------
    measures : dict of str to tuple
        `score`, `low`, `high` and `ideal` of "marginals", "pairs", "c2st", "privacy", and of "taught" where there is a
        target; `low` and `high` are the ends of a 95 % bootstrap interval.
    marginals : dict of str to float
        Similarity of each column.
    pairs : dict of tuple to float
        Similarity of each pair of columns.

    See Also
    --------
    generation_report : Makes one.
    sklearn_mtae.inspection.GenerationReportDisplay : Draws one.
    """

    measures: dict[str, Measure]
    marginals: dict[Any, float]
    pairs: dict[tuple[Any, Any], float]

    def to_frame(self) -> Any:
        """Return the measures as a table.

        Returns
        -------
        pandas.DataFrame
            One row per measure: `score`, `low`, `high`, `ideal`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas as pd

        return pd.DataFrame.from_dict(self.measures, orient="index", columns=list(Measure._fields))

    def __repr__(self) -> str:
        lines = [f"{'GenerationReport':16}" + "".join(f"{name:>8}" for name in Measure._fields)]
        lines += [f"{name:16}" + "".join(f"{value:8.3f}" for value in own) for name, own in self.measures.items()]
        for kind, each in (("column", self.marginals), ("pair", self.pairs)):
            if each:
                worst = min(each, key=each.__getitem__)
                lines.append(f"least alike {kind}: {worst!r} ({each[worst]:.3f})")
        return "\n".join(lines)


def generation_report(
    real: ArrayLike,
    drawn: ArrayLike,
    held_out: ArrayLike,
    *,
    target: Any = None,
    copy_missing: bool = True,
    n_bootstraps: int = 100,
    max_rows: int | None = 20_000,
    random_state: int | np.random.RandomState | None = None,
) -> GenerationReport:
    """Compare drawn rows with real ones.

    - "marginals": mean over columns of one minus the Kolmogorov-Smirnov distance, or the total variation of classes,
      between real and drawn rows.
    - "pairs": mean over pairs of columns of `1 - |difference of correlations| / 2`, or one minus the total variation of
      the contingency tables where one holds classes.
    - "c2st": classifier two-sample test, `1 - 2 * max(AUC - 1/2, 0)`: boosted trees learn to tell drawn from real rows,
      AUC being their mean area under the ROC curve in three folds. 1 where they cannot, 0 where they always can.
    - "privacy": share of drawn rows that are nearer to a real than to a held-out row, of as many real as held-out rows.
      One half where drawn rows have nothing of the real ones but their distribution, 1 where they are copies.
    - "taught": score on held-out rows of trees that have learned `target` from drawn rows: area under the ROC curve, or
      R2 of numbers. Its ideal is the score of trees that have learned from real rows.

    The ideals of "marginals" and "pairs" are what two tables of these sizes from one distribution have on average: less
    than 1, by chance. These measures say little: independent columns can have perfect marginals, and a
    model can be told by what no pair shows. Look at "c2st" and "taught" first.

    Parameters
    ----------
    real : array-like or data frame of shape (n_rows, n_columns)
        Rows that the model was fitted to, NaN where a cell is missing.
    drawn : array-like or data frame of shape (n_drawn, n_columns)
        Rows that it has drawn.
    held_out : array-like or data frame of shape (n_held_out, n_columns)
        Real rows that it has not seen, left out at random: as often incomplete as the others.
    target : str, int or None, default=None
        Name of a column to learn, or its position in arrays; numbers that are two count as classes. None leaves
        "taught" out.
    copy_missing : bool, default=True
        Whether each drawn row loses the cells that are missing in a real or held-out row chosen at random, where no
        drawn row has a missing cell: a model that fills all cells would be told by that alone.
    n_bootstraps : int, default=100
        Resamples of the rows behind each interval; models are not fitted again.
    max_rows : int or None, default=20000
        Rows of each table at most, chosen at random; None takes all. Neighbours are looked for among 5,000.
    random_state : int, RandomState instance or None, default=None
        Seed of all that is random.

    Returns
    -------
    GenerationReport
        Measures with intervals and ideals, and the similarity of each column and pair. It prints as a table.

    Raises
    ------
    ValueError
        If the tables have different columns, or fewer than two rows.

    Notes
    -----
    Columns of real are numbers or classes by their dtype: strings, categories and booleans are classes. A missing cell
    counts as a value of its own, but in correlations.

    The score of "c2st" is that of SDMetrics' detection metrics, with scikit-learn's boosted trees in the place of
    XGBoost's (Scassola et al. 2026, arXiv 2603.23016), but that AUC is averaged before it is cut off at one half. It
    depends on the number of rows: more rows tell more.

    The interval of "taught" is that of the difference to its ideal, both on the same resampled rows, put at the ideal.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mtae.metrics import generation_report
    >>> rng = np.random.default_rng(0)
    >>> code = rng.normal(size=(3, 200, 1))
    >>> real, drawn, held_out = code + 0.5 * rng.normal(size=(3, 200, 3))
    >>> apart = rng.permuted(real, axis=0)  # columns that know nothing of each other
    >>> for rows in (drawn, apart):
    ...     report = generation_report(real, rows, held_out, n_bootstraps=20, random_state=0)
    ...     names = ("marginals", "pairs", "c2st", "privacy")
    ...     print(*(f"{name} {report.measures[name].score:.1f}" for name in names))
    marginals 0.9 pairs 1.0 c2st 0.9 privacy 0.5
    marginals 1.0 pairs 0.6 c2st 0.5 privacy 0.5
    """
    check_scalar(n_bootstraps, "n_bootstraps", Integral, min_val=1)
    if max_rows is not None:
        check_scalar(max_rows, "max_rows", Integral, min_val=2)
    rng = check_random_state(random_state)
    tables = read_tables((real, drawn, held_out), max_rows, rng)
    column = None if target is None else _position(target, tables.names)
    if copy_missing:
        tables = copy_gaps(tables, rng)
    resample = Resampling(tables, n_bootstraps, rng)
    measures, marginals = resample.similarity(Marginals)
    found = {"marginals": measures}
    pairs: dict[tuple[Any, Any], float] = {}
    if tables.x.shape[1] > 1:
        found["pairs"], of_pairs = resample.similarity(Pairs)
        each = [(one, other) for place, one in enumerate(tables.names) for other in tables.names[place + 1 :]]
        pairs = dict(zip(each, of_pairs.tolist(), strict=True))
    seed = rng.randint(np.iinfo(np.int32).max)
    found["c2st"] = resample.score(*learn_to_tell(tables, seed), ideal=1.0)
    found["privacy"] = resample.score(*nearest_real(tables, rng), ideal=0.5)
    if column is not None:
        found["taught"] = resample.difference(*learn_target(tables, column, seed))
    return GenerationReport(found, dict(zip(tables.names, marginals.tolist(), strict=True)), pairs)


class Resampling:
    """Scores with their bootstrap intervals.

    Parameters
    ----------
    tables : PooledTables
        The tables.
    n_bootstraps : int
        Number of resamples.
    rng : RandomState
        Source of the resamples.
    """

    def __init__(self, tables: PooledTables, n_bootstraps: int, rng: np.random.RandomState) -> None:
        self.tables, self.n_bootstraps, self.rng = tables, n_bootstraps, rng

    def similarity(self, kind: Callable[[NDArray, NDArray], Any]) -> tuple[Measure, NDArray]:
        """Return the mean similarity of real and drawn rows, and the similarities."""
        keep = self.tables.table != "held_out"
        is_drawn = self.tables.table[keep] == "drawn"
        compare = kind(self.tables.x[keep], self.tables.n_classes)
        each = compare(~is_drawn * 1.0, is_drawn * 1.0)
        shuffled = (self.rng.permutation(is_drawn) for _ in range(N_SHUFFLES))
        ideal = float(np.mean([compare(~drawn * 1.0, drawn * 1.0).mean() for drawn in shuffled]))
        samples = [compare(self._weights(~is_drawn), self._weights(is_drawn)).mean() for _ in range(self.n_bootstraps)]
        # Resampled tables are less alike by chance once more: only the spread counts.
        around = each.mean() + np.array(samples) - np.mean(samples)
        return self._measure(each.mean(), around, ideal, 1.0), each

    def score(self, score: Callable[[NDArray], float], n_rows: int, *, ideal: float) -> Measure:
        """Return a score of rows."""
        everyone = np.ones(n_rows, dtype=bool)
        samples = [score(self._weights(everyone)) for _ in range(self.n_bootstraps)]
        return self._measure(score(everyone * 1.0), np.array(samples), ideal, 1.0)

    def difference(self, score: Callable[[NDArray], float], ideal: Callable[[NDArray], float], n_rows: int) -> Measure:
        """Return a score, with the interval of its difference to another of the same rows, put at the latter."""
        everyone = np.ones(n_rows, dtype=bool)
        weights = [self._weights(everyone) for _ in range(self.n_bootstraps)]
        best = ideal(everyone * 1.0)
        samples = np.array([best + score(weight) - ideal(weight) for weight in weights])
        return self._measure(score(everyone * 1.0), samples, best, np.inf)

    def _weights(self, among: NDArray[np.bool_]) -> NDArray:
        """Return how often each of some rows comes up in a resample of them."""
        rows = np.flatnonzero(among)
        return np.bincount(rows[self.rng.randint(len(rows), size=len(rows))], minlength=len(among)).astype(np.float64)

    @staticmethod
    def _measure(score: float, samples: NDArray, ideal: float, most: float) -> Measure:
        """Return a score with the interval that samples span."""
        low, high = np.nanquantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Measure(float(score), float(low), float(min(high, most)), float(ideal))


def _position(target: Any, names: list[Any]) -> int:
    """Return the position of the target's column."""
    if target not in names:
        raise ValueError(f"target must name a column, of {listed(names)}. Got {target!r}.{suggest(target, names)}")
    if len(names) == 1:
        raise ValueError("target needs other columns to be learned from. There is one column.")
    return names.index(target)
