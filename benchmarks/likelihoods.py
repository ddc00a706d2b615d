"""Is `likelihood="auto"` as good as the Gaussian for codes, for densities and for missing cells?

Run `python -m benchmarks.likelihoods --data-dir DIR [--sets wine,jura] [--seeds 3]`.

DIR holds the features of the Mulan tables `enb.arff`, `jura.arff` and `wq.arff`
(https://mulan.sourceforge.net/datasets-mtr.html); the others come with scikit-learn. Per table and family, means over
random splits, three quarters of the rows to learn from:

- codes: R2 of ridge regressions, from 8 components, of the standardised cells of all columns, and of their normal
  scores, on the last quarter of the rows. The share of a table that codes keep is what a head behind them can use.
- densities: nats per cell of the last quarter by 1,000 importance samples. A value that occurs often has a probability
  and no density: columns with such a value are left out, and others get noise between neighbouring values.
- missing cells: mean squared error of standardised cells, half of which are missing, filled by `VAEImputer`.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import arff
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer

from sklearn_mtae import VAEImputer, VAETransformer
from sklearn_mtae._estimators.imputer import DEFAULTS

from ._harness import describe_machine, print_row

WIDTHS = (16, 12, 16, 16, 12, 16)
N_TARGETS = {"enb": 2, "jura": 3, "wq": 14}
OWN = {"wine": load_wine, "diabetes": load_diabetes, "iris": load_iris, "breast cancer": load_breast_cancer}
FAMILIES = ("gaussian", "auto")
MOST_TIES, PENALTIES = 0.05, (0.1, 1.0, 10.0)


def load(name: str, folder: Path) -> NDArray:
    """Return the features of a table."""
    if name in OWN:
        load_own: Callable = OWN[name]
        return load_own(return_X_y=True)[0]
    rows, _ = arff.loadarff(folder / f"{name}.arff")
    return np.array(rows.tolist(), dtype=float)[:, : -N_TARGETS[name]]


def kept(family: str, learned: NDArray, unseen: NDArray, seed: int) -> tuple[float, float]:
    """Return how well codes tell the cells of unseen rows, and their normal scores."""
    n_components = min(8, learned.shape[1] - 1)
    vae = VAETransformer(n_components, likelihood=family, random_state=seed).fit(learned)
    scores = QuantileTransformer(n_quantiles=100, output_distribution="normal").fit(learned)
    found = []
    for form in (lambda x: x, scores.transform):
        head = RidgeCV(PENALTIES).fit(vae.transform(learned), form(learned))
        predicted = head.predict(vae.transform(unseen))
        found.append(r2_score(form(unseen), predicted, multioutput="variance_weighted"))
    return found[0], found[1]


def density(family: str, learned: NDArray, unseen: NDArray, seed: int) -> float:
    """Return nats per cell of unseen rows."""
    vae = VAETransformer(min(8, learned.shape[1]), likelihood=family, random_state=seed).fit(learned)
    return vae.score_samples(unseen, n_importance_samples=1000).mean() / learned.shape[1]


def without_ties(whole: NDArray) -> NDArray:
    """Return the columns without a frequent value, with noise as wide as the smallest step between their values."""
    values = [np.unique(column, return_counts=True) for column in whole.T]
    few = [counts.max() < MOST_TIES * len(whole) for _, counts in values]
    steps = np.array([np.diff(own).min() for own, _ in values])
    return (whole + steps * np.random.default_rng(0).random(whole.shape))[:, few]


def error(family: str, whole: NDArray, seed: int) -> float:
    """Return the mean squared error of missing cells."""
    gaps = np.where(np.random.default_rng(seed).random(whole.shape) < 0.5, np.nan, whole)
    epochs = min(max(850 * 64 // len(whole), 10), 100)
    vae = VAETransformer(**DEFAULTS, max_iter=epochs, likelihood=family, random_state=seed)
    return float(np.square(VAEImputer(vae).fit_transform(gaps) - whole)[np.isnan(gaps)].mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sets", default=",".join([*OWN, *N_TARGETS]))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(describe_machine())
    print_row(WIDTHS, ("table", "family", "R2 of cells", "R2 of scores", "nats", "missing cells"))
    for name in options.sets.split(","):
        X = load(name, options.data_dir)
        X = X[:, X.std(axis=0) > 0]
        whole = (X - X.mean(axis=0)) / X.std(axis=0)
        continuous = without_ties(whole)
        for family in FAMILIES:
            rows = []
            for seed in range(options.seeds):
                learned, unseen = train_test_split(whole, test_size=0.25, random_state=seed)
                parts = train_test_split(continuous, test_size=0.25, random_state=seed)
                nats = density(family, *parts, seed) if continuous.shape[1] > 1 else np.nan
                rows.append((*kept(family, learned, unseen, seed), nats, error(family, whole, seed)))
            print_row(WIDTHS, (name, family, *(f"{figure:.3f}" for figure in np.mean(rows, axis=0))))


if __name__ == "__main__":
    main()
