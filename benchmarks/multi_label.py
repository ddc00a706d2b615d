"""How good are class probabilities of many tasks?

Run `python -m benchmarks.multi_label [--sets emotions yeast tox21] [--models NAME ...] [--seeds 3] [--hidden 0.6]
[--data-dir DIR]`.

The sets are emotions (Trohidis et al. 2008) and yeast (Elisseeff and Weston 2001), of Mulan's collection
(http://mulan.sourceforge.net/datasets-mlc.html, files `multilabel/*.arff`), and the first 2,000 molecules of tox21
(https://tripod.nih.gov/tox21, file `tox21/tox21.csv`) with the weights of 1,000 n-grams of characters of their SMILES;
its labels are missing in part. A third of the rows is held out, with labels of each task in proportion
(`TaskShuffleSplit`); with `--hidden`, that part of the training labels is taken away. All models have their defaults,
trees 300 of them, and the peers are fitted to each task on the rows that have its label.

On the held-out rows: log loss and area under the ROC curve, mean over tasks, and the calibration error over all labels:
the mean distance between probability and share of positives over 15 bins of equal size. "by chance" is what it would be
on average if the probabilities were right: if the labels were drawn from them. All are means over seeds. Seconds are
processor time for a fit and its predictions.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAEClassifier
from sklearn_mtae.model_selection import TaskShuffleSplit

from ._harness import describe_machine, print_row
from ._mulan import load

N_LABELS = {"emotions": 6, "yeast": 14}
N_MOLECULES = 2_000
N_BINS, N_DRAWS = 15, 200
LEAST = 1e-6
WIDTHS = (10, 10, 10, 10, 12, 10, 10)


def read_molecules(path: Path) -> tuple[NDArray, NDArray]:
    """Read molecules, as counts of character n-grams, and their effects."""
    import pandas as pd

    rows = pd.read_csv(path).iloc[:N_MOLECULES]
    words = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=5, lowercase=False, max_features=1_000, dtype=np.float32
    )
    X = words.fit_transform(rows["smiles"]).toarray()
    return X, rows.drop(columns=["smiles", "mol_id"]).to_numpy(float)


def read(name: str, data_dir: Path) -> tuple[NDArray, NDArray]:
    """Read a set: features, and labels that are 0, 1 or missing."""
    if name == "tox21":
        return read_molecules(data_dir / "tox21" / "tox21.csv")
    return load(data_dir / "multilabel", name, N_LABELS[name])


def catboost() -> Any:
    """Make boosted trees of catboost, if that is installed."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(verbose=0, random_seed=0, thread_count=1, allow_writing_files=False)


PEERS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(300, random_state=0),
    "extra": lambda: ExtraTreesClassifier(300, random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000)),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "catboost": catboost,
}


def predict_each(make: Callable[[], Any], X: NDArray, Y: NDArray, X_test: NDArray) -> NDArray:
    """Return the probabilities of the second class of each task, with a separate model."""
    probabilities = np.empty((len(X_test), Y.shape[1]))
    for task, labels in enumerate(Y.T):
        known = ~np.isnan(labels)
        probabilities[:, task] = make().fit(X[known], labels[known]).predict_proba(X_test)[:, 1]
    return probabilities


def predict_ours(X: NDArray, Y: NDArray, X_test: NDArray) -> NDArray:
    """Return the probabilities of one model for all tasks."""
    model = MultiTaskVAEClassifier(random_state=0).fit(X, Y)
    return np.column_stack([own[:, 1] for own in model.predict_proba(X_test)])


def calibration_error(probabilities: NDArray, labels: NDArray) -> float:
    """Return the distance of probabilities from shares of positives, in bins of equal size."""
    bins = np.array_split(np.argsort(probabilities, kind="stable"), N_BINS)
    return sum(len(own) * abs(probabilities[own].mean() - labels[own].mean()) for own in bins) / len(labels)


def error_by_chance(probabilities: NDArray) -> float:
    """Return the mean calibration error of labels that are drawn from probabilities."""
    rng = np.random.default_rng(0)
    drawn = (rng.random(probabilities.shape) < probabilities for _ in range(N_DRAWS))
    return float(np.mean([calibration_error(probabilities, labels) for labels in drawn]))


def scores(probabilities: NDArray, Y: NDArray) -> tuple[float, float, float, float]:
    """Return log loss, area under the ROC curve, calibration error, and that by chance."""
    losses, areas, known = [], [], ~np.isnan(Y)
    probabilities = probabilities.clip(LEAST, 1 - LEAST)
    for own, labels, has_label in zip(probabilities.T, Y.T, known.T, strict=True):
        losses.append(log_loss(labels[has_label], own[has_label]))
        areas.append(roc_auc_score(labels[has_label], own[has_label]))
    error = calibration_error(probabilities[known], Y[known])
    return float(np.mean(losses)), float(np.mean(areas)), error, error_by_chance(probabilities[known])


def run(model: str, X: NDArray, Y: NDArray, seed: int, hidden: float) -> tuple[float, ...]:
    """Return the scores of a model on the rows held out with a seed, and its seconds."""
    train, test = next(TaskShuffleSplit(1, test_size=0.33, random_state=seed).split(X, Y))
    labels = np.where(np.random.default_rng(seed).random(Y[train].shape) < hidden, np.nan, Y[train])
    start = time.process_time()
    given = X[train], labels, X[test]
    probabilities = predict_ours(*given) if model == "ours" else predict_each(PEERS[model], *given)
    return *scores(probabilities, Y[test]), time.process_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=[*N_LABELS, "tox21"])
    parser.add_argument("--models", nargs="+", choices=["ours", *PEERS], default=["ours", *list(PEERS)[:-1]])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=float, default=0.0)
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("set", "model", "log loss", "AUC", "calibration", "by chance", "seconds"))
    for name in arguments.sets:
        X, Y = read(name, arguments.data_dir)
        for model in arguments.models:
            found = [run(model, X, Y, seed, arguments.hidden) for seed in range(arguments.seeds)]
            loss, area, *errors, seconds = np.mean(found, axis=0)
            figures = (f"{loss:.4f}", f"{area:.4f}", *(f"{own:.3f}" for own in errors), f"{seconds:.1f}")
            print_row(WIDTHS, (name, model, *figures))


if __name__ == "__main__":
    main()
