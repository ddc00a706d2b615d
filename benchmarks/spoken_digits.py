"""Do the digit and the speaker of a spoken word help each other to be recognised?

Run `python -m benchmarks.spoken_digits --data-dir DIR [--seeds 3]`.

DIR holds `spoken_digits.npz`, made from the Free Spoken Digit Dataset (https://github.com/Jakobovski/free-spoken-digit-
dataset, CC BY-SA 4.0): `X` of shape (n, 32, 32), log-mel spectrograms, `digit`, `speaker` and `take`. Takes 0 to 4 of
each speaker and digit are held out. Accuracy, first with all labels, then with 90 % of the training rows' digit labels
removed, of

- one joint network of both tasks on the encoder of an autoencoder of all training rows, which stays as it is;
- one joint network that trains its own encoder;
- a network of that kind per task, which sees the rows that have the task's label;
- principal components and a support vector classifier per task.

Networks are means over seeds, which draw initial weights and the labels that are removed. Chosen on takes 5 to 9, which
are training rows in the table: the settings of the networks, once for each part of the table, and in each run the
components and C of principal components and classifier.
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

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, PerTaskClassifier
from sklearn_mtae.metrics import accuracy_score

from ._harness import describe_machine, print_row

WIDTHS = (26, 30, 10, 10)
NETWORK = {"n_components": 64, "corruption": "gaussian", "max_iter": 50}
HEADS = {
    "all labels": {"n_components": 128, "head_hidden_layer_sizes": (256,)},
    "10 % of the digit labels": {"n_components": 64, "head_hidden_layer_sizes": (128,)},
}
GRID = {"pca__n_components": [16, 32, 64, 128], "svc__C": [1, 10]}


def load(folder: Path) -> tuple[NDArray, NDArray, NDArray]:
    """Return spectrograms, one per row, the labels of both tasks, and takes."""
    data = np.load(folder / "spoken_digits.npz")
    Y = np.empty((len(data["X"]), 2), dtype=object)
    Y[:, 0], Y[:, 1] = data["digit"].tolist(), data["speaker"].tolist()
    return data["X"].reshape(len(Y), -1).astype(np.float32), Y, data["take"]


def few_digits(Y: NDArray, seed: int) -> NDArray:
    """Return labels of which about 90 % of the digits are missing."""
    few = Y.copy()
    few[np.random.default_rng(seed).random(len(Y)) < 0.9, 0] = None
    return few


def on_an_encoder(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, heads: dict) -> NDArray:
    """Return predictions of one network of both tasks on the encoder of an autoencoder of all rows."""
    encoder = AutoencoderTransformer(heads["n_components"], max_iter=30, random_state=seed).fit(X)
    settings = {**NETWORK, **heads, "encoder": encoder, "freeze_encoder": True}
    return MultiTaskVAEClassifier(**settings, random_state=seed).fit(X, Y).predict(X_test)


def joint(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, heads: dict) -> NDArray:
    """Return predictions of one network of both tasks."""
    return MultiTaskVAEClassifier(**NETWORK, random_state=seed).fit(X, Y).predict(X_test)


def alone(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, heads: dict) -> NDArray:
    """Return predictions of one network per task."""
    return PerTaskClassifier(MultiTaskVAEClassifier(**NETWORK, random_state=seed)).fit(X, Y).predict(X_test)


def components(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, heads: dict) -> NDArray:
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
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    X, Y, takes = load(arguments.data_dir)
    test = takes < 5
    models: dict[str, Callable[..., NDArray]] = {
        "joint, autoencoder's encoder": on_an_encoder,
        "joint": joint,
        "a network per task": alone,
        "PCA and SVC per task": components,
    }
    print(describe_machine())
    print_row(WIDTHS, ("accuracy", "model", "digit", "speaker"))
    for name, heads in HEADS.items():
        for model, predict in models.items():
            runs = []
            for seed in range(arguments.seeds):
                labels = Y if name == "all labels" else few_digits(Y, seed)
                predicted = predict(X[~test], labels[~test], X[test], seed, takes[~test], heads)
                runs.append(accuracy_score(Y[test], predicted, multioutput="raw_values"))
                if predict is components and name == "all labels":  # which draws nothing
                    break
            print_row(WIDTHS, (name, model, *(f"{score:.4f}" for score in np.mean(runs, axis=0))))


if __name__ == "__main__":
    main()
