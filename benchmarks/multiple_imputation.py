"""Do pooled intervals of coefficients cover what they should, and how wide are they?

Run `python -m benchmarks.multiple_imputation [--repetitions 200] [--peer PYTHON]`.

400 rows of five correlated normal features, and a target: linear in them with normal noise, or two classes by a
logistic model. 30 % of the features' cells are missing at random: the probability depends on the target, which is
known. `MultipleImputation` with its defaults is fitted to each of the made tables; a coefficient is covered where its
95 % interval holds the one that made the table. Beside it: the same regression on the table without gaps, on its
complete rows alone, and, with `--peer`, on tables of miceforest's with its defaults and three iterations, pooled by the
same rules. PYTHON is that of an environment with miceforest: see `_miceforest.py`. Since it takes long, it completes
the first `--peer-repetitions` tables, and so many times as often as we draw.

Settings were chosen on another model: four features that all correlate alike, other coefficients, 3,000 rows.
"""

import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_mtae import MultipleImputation
from sklearn_mtae._verbs.pooling import Pooled, logistic_variance, ordinary_variance, pool

from ._harness import describe_machine, print_row

N_ROWS, MISSING, FIRST_SEED = 400, 0.3, 1000
SLOPES = np.array([1.0, 0.5, -0.5, 0.25, 0.0])
COVARIANCE = 0.5 ** np.abs(np.subtract.outer(np.arange(len(SLOPES)), np.arange(len(SLOPES))))
WIDTHS = (10, 22, 14, 10, 10, 10, 14)
ESTIMATORS: dict[str, tuple[BaseEstimator, Callable[..., NDArray]]] = {
    "linear": (LinearRegression(), ordinary_variance),
    "logistic": (LogisticRegression(C=np.inf), logistic_variance),
}

Interval = tuple[NDArray, NDArray]


def make_table(kind: str, seed: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return features, the same with gaps, and targets."""
    rng = np.random.default_rng(seed)
    X = rng.multivariate_normal(np.zeros(len(SLOPES)), COVARIANCE, N_ROWS)
    if kind == "linear":
        y = X @ SLOPES + rng.normal(size=N_ROWS)
        drive = y / np.sqrt(1 + SLOPES @ COVARIANCE @ SLOPES)
    else:
        y = (rng.random(N_ROWS) < expit(X @ SLOPES)).astype(float)
        drive = 2 * y - 1
    usual = brentq(lambda usual: expit(usual + 0.7 * drive).mean() - MISSING, -10, 10)
    return X, np.where(rng.random(X.shape) < expit(usual + 0.7 * drive)[:, None], np.nan, X), y


def pooled_over(kind: str, tables: NDArray, y: NDArray) -> Interval:
    """Return the intervals of a regression over completed tables; of one table, those without any rules."""
    estimator, variance = ESTIMATORS[kind]
    models = [clone(estimator).fit(X, y) for X in tables]  # type: ignore[attr-defined]
    estimates = np.stack([np.append(model.coef_, model.intercept_) for model in models])
    variances = np.stack([variance(model, X, y, None) for model, X in zip(models, tables, strict=True)])
    freedom = len(y) - estimates.shape[1]
    if len(tables) > 1:
        pooled = pool(estimates, variances, freedom)
    else:
        whole = np.full(estimates.shape[1], freedom)
        pooled = Pooled(estimates[0], np.sqrt(variances[0]), whole, np.zeros(len(whole)))
    low, high = pooled.interval(0.95)
    return low[: len(SLOPES)], high[: len(SLOPES)]


def ours(kind: str, gaps: NDArray, y: NDArray, seed: int) -> Interval:
    """Return our intervals."""
    model = MultipleImputation(clone(ESTIMATORS[kind][0]), random_state=seed).fit(gaps, y)
    rows = model.summary().iloc[: len(SLOPES)]
    return rows["low"].to_numpy(), rows["high"].to_numpy()


def completed_by_peer(python: str, tables: list[NDArray]) -> NDArray:
    """Return the tables that miceforest completes, shape (n_tables, n_draws, n_rows, n_columns)."""
    with TemporaryDirectory() as folder:
        gaps, completed = Path(folder) / "gaps.npy", Path(folder) / "completed.npy"
        np.save(gaps, np.stack(tables))
        script = Path(__file__).with_name("_miceforest.py")
        subprocess.run([python, str(script), str(gaps), str(completed)], check=True)
        return np.load(completed)


def report(kind: str, name: str, intervals: list[Interval], seconds: float) -> None:
    """Print how many coefficients are covered, and how wide the intervals are."""
    low, high = (np.stack(ends) for ends in zip(*intervals, strict=True))
    covered = (low <= SLOPES) & (high >= SLOPES)
    bias = np.abs(((low + high) / 2 - SLOPES).mean(axis=0)).max()
    cells = [f"{covered.mean():.1%}", f"{(high - low).mean():.3f}", f"{bias:.3f}", f"{seconds / len(low):.1f}"]
    print_row(WIDTHS, (kind, name, str(len(low)), *cells))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--models", default=",".join(ESTIMATORS))
    parser.add_argument("--peer")
    parser.add_argument("--peer-repetitions", type=int, default=20)
    options = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("model", "intervals of", "repetitions", "covered", "width", "bias", "CPU seconds"))
    seeds = range(FIRST_SEED, FIRST_SEED + options.repetitions)
    for kind in options.models.split(","):
        tables = [make_table(kind, seed) for seed in seeds]
        report(kind, "no cell missing", [pooled_over(kind, X[None], y) for X, _, y in tables], 0.0)
        complete = [~np.isnan(gaps).any(axis=1) for _, gaps, _ in tables]
        rows = zip(tables, complete, strict=True)
        report(kind, "complete rows", [pooled_over(kind, X[whole][None], y[whole]) for (X, _, y), whole in rows], 0.0)
        start = process_time()
        found = [ours(kind, gaps, y, seed) for (_, gaps, y), seed in zip(tables, seeds, strict=True)]
        report(kind, "MultipleImputation", found, process_time() - start)
        if options.peer:
            few = tables[: options.peer_repetitions]
            drawn = completed_by_peer(options.peer, [np.c_[gaps, y] for _, gaps, y in few])[..., : len(SLOPES)]
            pairs = zip(drawn, few, strict=True)
            report(kind, "miceforest", [pooled_over(kind, own, y) for own, (_, _, y) in pairs], float("nan"))


if __name__ == "__main__":
    main()
