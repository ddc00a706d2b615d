"""Do the digit and the speaker of a spoken word help each other to be recognised?

Run `python -m benchmarks.spoken_digits --data-dir DIR [--seeds 5]`.

DIR holds `spoken_digits.npz`, made from the Free Spoken Digit Dataset (https://github.com/Jakobovski/free-spoken-digit-
dataset, CC BY-SA 4.0): `X` of shape (n, 32, 32), log-mel spectrograms, `digit`, `speaker` and `take`. Takes 0 to 4 of
each speaker and digit are held out. Accuracy of one joint classifier of both tasks, of the same network trained on each
task alone, and of principal components with a support vector classifier per task; first with all labels, then with
90 % of the training rows' digit labels removed. Networks are means over seeds.

Chosen on takes 5 to 9, which are training rows in the table: the settings of the network, once for all runs, and
in each run the components and C of principal components and classifier.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sklearn_mtae import MultiTaskVAEClassifier, PerTaskClassifier
from sklearn_mtae.metrics import accuracy_score

from ._harness import describe_machine, print_row

WIDTHS = (30, 28, 10, 10)
SETTINGS = {"n_components": 64, "sharing": "private", "corruption": "gaussian", "max_iter": 50}
GRID = {"pca__n_components": [16, 32, 64, 128], "svc__C": [1, 10]}


def load(folder: Path) -> tuple[NDArray, NDArray, NDArray]:
    """Return spectrograms, one per row, the labels of both tasks, and takes."""
    data = np.load(folder / "spoken_digits.npz")
    Y = np.empty((len(data["X"]), 2), dtype=object)
    Y[:, 0], Y[:, 1] = data["digit"].tolist(), data["speaker"].tolist()
    return data["X"].reshape(len(Y), -1).astype(np.float32), Y, data["take"]


def network(seed: int) -> MultiTaskVAEClassifier:
    """Return the network that is trained jointly and alone."""
    return MultiTaskVAEClassifier(**SETTINGS, random_state=seed)


def joint(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray) -> NDArray:
    """Return predictions of one network of both tasks."""
    return network(seed).fit(X, Y).predict(X_test)


def alone(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray) -> NDArray:
    """Return predictions of one network per task."""
    return PerTaskClassifier(network(seed)).fit(X, Y).predict(X_test)


def components(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray) -> NDArray:
    """Return predictions of principal components and a support vector classifier per task."""
    columns = []
    for labels in Y.T:
        observed = np.array([label is not None for label in labels])
        split = PredefinedSplit(np.where(takes[observed] < 10, 0, -1))
        pipeline = Pipeline([("pca", PCA(random_state=0)), ("svc", SVC())])
        search = GridSearchCV(pipeline, GRID, cv=split).fit(X[observed], labels[observed].tolist())
        columns.append(search.predict(X_test).astype(object))
    return np.column_stack(columns)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    X, Y, takes = load(arguments.data_dir)
    test = takes < 5
    few = Y.copy()
    few[np.random.default_rng(0).random(len(Y)) < 0.9, 0] = None
    models: dict[str, Callable[..., NDArray]] = {"joint network": joint, "a network per task": alone}
    models["PCA and SVC per task"] = components
    print(describe_machine())
    print_row(WIDTHS, ("accuracy", "model", "digit", "speaker"))
    for name, labels in {"all labels": Y, "10 % of the digit labels": few}.items():
        for model, predict in models.items():
            seeds = range(1 if predict is components else arguments.seeds)
            parts = X[~test], labels[~test], X[test]
            runs = [accuracy_score(Y[test], predict(*parts, s, takes[~test]), multioutput="raw_values") for s in seeds]
            print_row(WIDTHS, (name, model, *(f"{score:.4f}" for score in np.mean(runs, axis=0))))


if __name__ == "__main__":
    main()
