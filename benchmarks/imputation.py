"""Does a VAE impute missing cells better than regressions of each column on the others, and how fast?

Run `python -m benchmarks.imputation --data-dir DIR [--sets breast,red_wine,concrete,yeast] [--seeds 1]`.

DIR holds the UCI tables `winequality-red.csv`, `concrete/data.txt` and `yeast.data`; breast cancer comes with
scikit-learn. The protocol is that of MIWAE's authors (https://github.com/pamattei/miwae, the notebook): standardised
columns, `np.random.seed(1234)`, exactly half of the cells removed at random; the mean squared error of those cells, and
CPU seconds, both means over seeds of the imputer. All imputers have their defaults; the iterative one has Bayesian
ridge regressions, as by default, or extra trees. "VAE, 4,000 steps" is a larger network that is trained for longer.

Where the packages `miceforest` and `MissForest` are installed, best in an environment of their own, they are imputers
too. The first draws cells; the mean of five tables counts. The second has the random forests of the article, with a
third of the columns at each split, where the package has boosting by default.

Where miceforest 6.0 fails with "takes 1 positional argument but 2 were given", it wants lightgbm 4.6 or older.

The settings of `VAEImputer` were chosen on wine, diabetes, digits, air quality, glass, jura, enb, vowels, fault, magic
and made tables. Results on the tables here sent the search back there three times:
they are no longer an untouched test.
"""

import argparse
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from sklearn_mtae import VAEImputer, VAETransformer
from sklearn_mtae.nn.objectives import IWAE

from ._harness import describe_machine, print_row

Imputer = Callable[[NDArray, int], NDArray]
"""From a table with gaps and a seed to the table without."""

WIDTHS = (34, 14, 14, 14, 14)
SETS: dict[str, Callable[[Path], NDArray]] = {
    "breast": lambda folder: load_breast_cancer().data,
    "red_wine": lambda folder: np.loadtxt(folder / "winequality-red.csv", delimiter=",", skiprows=1),
    "concrete": lambda folder: np.loadtxt(folder / "concrete" / "data.txt"),
    "yeast": lambda folder: np.loadtxt(folder / "yeast.data", usecols=range(1, 9)),
}


def by(make: Callable[[int], BaseEstimator]) -> Imputer:
    """Return the imputer that an estimator of a seed is."""
    return lambda gaps, seed: make(seed).fit_transform(gaps)  # type: ignore[attr-defined]


def by_long_training(gaps: NDArray, seed: int) -> NDArray:
    """Fill by a network of 128 units and 20 draws a row, trained for 4,000 steps of 64 rows."""
    n_epochs = min(max(ceil(4000 * 64 / len(gaps)), 10), 1000)
    shape = {"hidden_layer_sizes": (128, 128), "activation": "tanh", "scaling": "standard"}
    training = {"dropout": 0.1, "alpha": 0.1, "objective": IWAE(20), "batch_size": 64, "max_iter": n_epochs}
    vae = VAETransformer(10, **shape, **training, random_state=seed)
    return VAEImputer(vae, n_importance_samples=300).fit_transform(gaps)


def by_miceforest(gaps: NDArray, seed: int) -> NDArray:
    """Fill by chained gradient boosting with mean matching: the mean of five tables."""
    import miceforest  # pyright: ignore[reportMissingImports]

    kernel = miceforest.ImputationKernel(_frame(gaps), num_datasets=5, random_state=seed)
    kernel.mice(5, num_threads=1)
    return np.mean([kernel.complete_data(k).to_numpy() for k in range(5)], axis=0)


def by_miss_forest(gaps: NDArray, seed: int) -> NDArray:
    """Fill by chained random forests."""
    from missforest import MissForest  # pyright: ignore[reportMissingImports]

    forest = RandomForestRegressor(max_features=1 / 3, n_jobs=1, random_state=seed)
    frame = _frame(gaps)
    filled = MissForest(rgr=forest, verbose=0).fit_transform(frame)
    return filled[frame.columns].to_numpy()  # it sorts the columns by their missing cells


def _frame(gaps: NDArray) -> Any:
    """Return a table as a frame whose columns have names, as the chained imputers want it."""
    import pandas as pd

    return pd.DataFrame(gaps, columns=[f"x{column}" for column in range(gaps.shape[1])])


IMPUTERS: dict[str, Imputer] = {
    "column means": by(lambda seed: SimpleImputer()),
    "5 nearest neighbours": by(lambda seed: KNNImputer()),
    "iterative (Bayesian ridge)": by(lambda seed: IterativeImputer(random_state=seed)),
    "iterative (extra trees)": by(
        lambda seed: IterativeImputer(ExtraTreesRegressor(random_state=seed, n_jobs=1), max_iter=10, random_state=seed)
    ),
    "VAEImputer": by(lambda seed: VAEImputer(random_state=seed)),
    "VAE, 4,000 steps": by_long_training,
}
PEERS: dict[str, Imputer] = {"miceforest": by_miceforest, "missforest": by_miss_forest}
"""Imputers of packages, by the modules that they are imported from."""


def with_gaps(X: NDArray) -> tuple[NDArray, NDArray]:
    """Return the standardised table, whole and with half of its cells missing."""
    whole = (X - X.mean(axis=0)) / X.std(axis=0)
    np.random.seed(1234)  # noqa: NPY002, the protocol's own
    removed = np.random.choice(whole.size, whole.size // 2, replace=False)  # noqa: NPY002
    gaps = whole.ravel().copy()
    gaps[removed] = np.nan
    return whole, gaps.reshape(whole.shape)


def error(imputer: Imputer, whole: NDArray, gaps: NDArray, seed: int) -> tuple[float, float]:
    """Return the mean squared error of the missing cells and the CPU seconds that it took to fill them."""
    start = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        filled = imputer(gaps, seed)
    return float(np.square(filled - whole)[np.isnan(gaps)].mean()), process_time() - start


def main() -> None:
    """Print the table."""
    imputers = {**IMPUTERS, **{name: imputer for name, imputer in PEERS.items() if find_spec(name)}}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--imputers", default=";".join(imputers), help="names, with semicolons between")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    names = options.sets.split(",")
    print(describe_machine())
    tables = [with_gaps(SETS[name](options.data_dir)) for name in names]
    print_row(WIDTHS[: 1 + len(names)], ["mean squared error (CPU seconds)", *names])
    for imputer in options.imputers.split(";"):
        cells = []
        for table in tables:
            results = [error(imputers[imputer], *table, seed) for seed in range(options.seeds)]
            cells.append("{:.3f} ({:.1f})".format(*np.mean(results, axis=0)))
        print_row(WIDTHS[: 1 + len(names)], [imputer, *cells])


if __name__ == "__main__":
    main()
