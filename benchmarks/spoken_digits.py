"""Does joint training help to recognise the digit and the speaker of a spoken word?

Run `python -m benchmarks.spoken_digits --data-dir DIR [--seeds 3]`.

DIR holds `spoken_digits.npz`, made from the Free Spoken Digit Dataset (https://github.com/Jakobovski/free-spoken-digit-
dataset, CC BY-SA 4.0): `X` of shape (n, 32, 32), log-mel spectrograms by moment and band, `digit`, `speaker` and
`take`. Takes 0 to 4 of each speaker and digit are held out. Accuracy of

- one joint network of both tasks, and two of them, which are as many as there are tasks and take as long;
- a network of that kind per task, which sees the rows that have the task's label;
- with few labels, a network of the digit alone that sees the other rows too, without a label: what it shares with the
  joint one is what those rows teach, the rest is what the speakers teach;
- principal components and a support vector classifier per task.

First with all labels, by convolutions whose settings are all defaults. Then by ensembles of five perceptrons, which
hear the words said otherwise while they train. Then with 90 % of the training rows' digit labels removed, by single
perceptrons whose predictions for two ways of saying a word are to agree (`consistency`).

Networks are means over seeds, which draw initial weights and the labels that are removed. What was chosen was chosen on
training rows: convolutions with the defaults rather than a perceptron with them, on takes 5 to 19; the perceptrons'
settings by holding out takes 5 to 9, 10 to 14 and 15 to 19 in turn, those alone with the settings of the joint one,
but, with few labels, for a weight and a number of epochs of their own; the components and C of principal components
and classifier on takes 5 to 9 in each run.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from torch import Generator, Tensor
from torch.nn import functional

from sklearn_mtae import MultiTaskVAEClassifier, PerTaskClassifier
from sklearn_mtae.metrics import accuracy_score

from ._harness import describe_machine, print_row

WIDTHS = (26, 36, 10, 10, 10)
GRID = {"pca__n_components": [16, 32, 64, 128], "svc__C": [1, 10]}
SIDE = 32
FEW = "10 % of the digit labels"


def said_otherwise(
    x: Tensor, generator: Generator | None = None, *, moments: float, loudness: float, swell: float, noise: float = 0.2
) -> Tensor:
    """Return spectrograms with random shifts, loudness, envelopes and noise."""
    source = {"dtype": x.dtype, "device": x.device, "generator": generator}
    n_rows, images = len(x), x.view(-1, SIDE, SIDE)
    place = torch.arange(SIDE, dtype=x.dtype, device=x.device) + moments * (2 * torch.rand(n_rows, 1, **source) - 1)
    place = place.clamp(0, SIDE - 1)
    below = place.floor().clamp(max=SIDE - 2)
    index = below.long()[..., None].expand(n_rows, SIDE, SIDE)
    moved = torch.lerp(images.gather(1, index), images.gather(1, index + 1), (place - below)[..., None])
    curve = functional.interpolate(torch.randn(n_rows, 1, 6, **source), SIDE, mode="linear", align_corners=True)
    level = loudness * torch.randn(n_rows, 1, 1, **source) + swell * curve.transpose(1, 2)
    return (moved + level + noise * torch.randn(n_rows, SIDE, SIDE, **source)).flatten(1)


ENSEMBLES = {
    "n_components": 128,
    "scaling": "standard",
    "max_iter": 120,
    "n_estimators": 5,
    "corruption": partial(said_otherwise, moments=1.5, loudness=0.2, swell=0.2),
}
FEW_LABELS = {
    "n_components": 64,
    "scaling": "standard",
    "hidden_layer_sizes": (256,),
    "corruption": partial(said_otherwise, moments=3.0, loudness=0.3, swell=0.3),
}


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


def joint(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, **settings: Any) -> NDArray:
    """Return predictions of one network for both tasks."""
    return MultiTaskVAEClassifier(**settings, random_state=seed).fit(X, Y).predict(X_test)


def alone(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, **settings: Any) -> NDArray:
    """Return predictions of one network per task."""
    return PerTaskClassifier(MultiTaskVAEClassifier(**settings, random_state=seed)).fit(X, Y).predict(X_test)


def digits_of_all_rows(X: NDArray, Y: NDArray, X_test: NDArray, seed: int, takes: NDArray, **settings: Any) -> NDArray:
    """Return predictions of one network for the digits that also sees the rows without a label."""
    return MultiTaskVAEClassifier(**settings, random_state=seed).fit(X, Y[:, :1]).predict(X_test)


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


MODELS: dict[str, dict[str, Callable[..., NDArray]]] = {
    "all labels": {
        "joint": partial(joint, architecture="conv"),
        "two joint ones, averaged": partial(joint, architecture="conv", n_estimators=2),
        "a network per task": partial(alone, architecture="conv"),
        "PCA and SVC per task": components,
    },
    "all labels, ensembles": {
        "joint": partial(joint, **ENSEMBLES),
        "a network per task": partial(alone, **ENSEMBLES),
    },
    FEW: {
        "joint": partial(joint, **FEW_LABELS, max_iter=60, consistency=10.0),
        "a network per task": partial(alone, **FEW_LABELS, max_iter=200, consistency=3.0),
        "a network of the digits, all rows": partial(digits_of_all_rows, **FEW_LABELS, max_iter=60, consistency=10.0),
        "PCA and SVC per task": components,
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    X, Y, takes = load(arguments.data_dir)
    test = takes < 5
    print(describe_machine())
    print_row(WIDTHS, ("accuracy", "model", "digit", "speaker", "seconds"))
    for name, models in MODELS.items():
        for model, predict in models.items():
            runs, start = [], perf_counter()
            for seed in range(arguments.seeds):
                labels = few_digits(Y, seed) if name == FEW else Y
                predicted = predict(X[~test], labels[~test], X[test], seed, takes[~test])
                truth = Y[test][:, : predicted.shape[1]]
                runs.append(accuracy_score(truth, predicted, multioutput="raw_values"))
                if predict is components and name != FEW:  # which draws nothing
                    break
            digit, speaker = [*(f"{score:.4f}" for score in np.mean(runs, axis=0)), ""][:2]
            print_row(WIDTHS, (name, model, digit, speaker, f"{(perf_counter() - start) / len(runs):.0f}"))


if __name__ == "__main__":
    main()
