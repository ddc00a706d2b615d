"""How good are the codes and the shared predictions on scikit-learn's own data?

Run `python -m benchmarks.digits_accuracy [--fast]`.

First table: accuracy of an SVC on 16 components of the digits and on 8 of breast cancer and wine, in three stratified
folds, unshuffled and shuffled three times; the same folds for every model. PCA is used alone and after a
`StandardScaler`, which the autoencoders have built in. Second table: mean R2 over the pixels of the digits' lower half,
predicted from the upper half with half of the training labels missing at random, over the pixels that vary in both
parts of the data. Everything has its defaults and `random_state=0`.
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer

from ._harness import describe_machine, print_row

DATA = {"digits": (load_digits, 16), "breast cancer": (load_breast_cancer, 8), "wine": (load_wine, 8)}
FOLDS = {
    "3 folds": StratifiedKFold(3),
    "3 x 3 shuffled folds": RepeatedStratifiedKFold(n_splits=3, n_repeats=3, random_state=0),
}
WIDTHS = (14, 22, 10, 22)
TARGET_WIDTHS = (26, 10, 10)
N_UPPER = 32
"""Pixels of the digits' upper half."""


def transformers(n_components: int) -> dict[str, TransformerMixin]:
    """Return the steps before the SVC."""
    return {
        "PCA": PCA(n_components, random_state=0),
        "StandardScaler, PCA": make_pipeline(StandardScaler(), PCA(n_components, random_state=0)),
        "AutoencoderTransformer": AutoencoderTransformer(n_components, random_state=0),
        "VAETransformer": VAETransformer(n_components, random_state=0),
    }


def accuracy_rows(name: str) -> Iterator[tuple[str, ...]]:
    """Yield a model's accuracies on one data set, in each kind of folds."""
    loader, n_components = DATA[name]
    X, y = loader(return_X_y=True)
    for model, transformer in transformers(n_components).items():
        pipeline = make_pipeline(transformer, SVC(random_state=0))
        scores = [cross_val_score(pipeline, X, y, cv=folds).mean() for folds in FOLDS.values()]
        yield name, model, *(f"{score:.4f}" for score in scores)


def half_labelled_digits() -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return upper halves and lower halves, training and test; half of the training labels are NaN."""
    images = load_digits().data
    X, X_test, Y, Y_test = train_test_split(images[:, :N_UPPER], images[:, N_UPPER:], random_state=0)
    missing = np.random.default_rng(0).random(Y.shape) < 0.5
    return X, np.where(missing, np.nan, Y), X_test, Y_test


def predict_jointly(X: NDArray, Y: NDArray, X_test: NDArray) -> NDArray:
    """Return the predictions of one model for all tasks."""
    return MultiTaskVAERegressor(n_estimators=1, random_state=0).fit(X, Y).predict(X_test)


def predict_per_task(head: BaseEstimator, X: NDArray, Y: NDArray, X_test: NDArray) -> NDArray:
    """Return the predictions of one head per task, each fitted to the rows that have its label."""
    columns = []
    for labels in Y.T:
        observed = ~np.isnan(labels)
        columns.append(clone(head).fit(X[observed], labels[observed]).predict(X_test))
    return np.column_stack(columns)


def target_rows(fast: bool) -> Iterator[tuple[str, ...]]:
    """Yield each model's mean and median R2 over the varying pixels."""
    X, Y, X_test, Y_test = half_labelled_digits()
    varying = (np.nanmax(Y, axis=0) > np.nanmin(Y, axis=0)) & (np.ptp(Y_test, axis=0) > 0)
    heads: dict[str, BaseEstimator] = {"Ridge per task": Ridge(random_state=0)}
    if not fast:
        heads["RandomForest per task"] = RandomForestRegressor(n_estimators=100, n_jobs=1, random_state=0)
    models: dict[str, Callable[[], NDArray]] = {"MultiTaskVAERegressor": lambda: predict_jointly(X, Y, X_test)}
    for name, head in heads.items():
        models[name] = lambda head=head: predict_per_task(head, X, Y, X_test)
    for name, predict in models.items():
        scores = r2_score(Y_test[:, varying], predict()[:, varying], multioutput="raw_values")
        yield name, f"{scores.mean():.4f}", f"{np.median(scores):.4f}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="leave the random forests out")
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("accuracy", "before the SVC", *FOLDS))
    for name in DATA:
        for row in accuracy_rows(name):
            print_row(WIDTHS, row)
    print()
    print_row(TARGET_WIDTHS, ("lower half of the digits", "mean R2", "median R2"))
    for row in target_rows(arguments.fast):
        print_row(TARGET_WIDTHS, row)


if __name__ == "__main__":
    main()
