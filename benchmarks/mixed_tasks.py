"""Are numbers, counts and classes learned as well together as by kind, and better than one by one?

Run `python -m benchmarks.mixed_tasks [--seeds 3] [--tables made water] [--data-dir DIR]`.

Two tables of three numbers, two counts, a binary and a 4-class target, 40 % of the training labels missing. "made": 12
normal features; all tasks depend on the same three `tanh` units of a projection, in their own ways, and have noise.
"water": the river water of Mulan's set wq (Dzeroski et al. 2000; http://mulan.sourceforge.net/datasets-mtr.html, file
`mulan/wq.arff`); numbers are the oxygen, the bacteria's demand for it and that of permanganate, which are taken out of
the features; counts the abundance of the plants 25400 and 29600; binary whether there are animals 37880; the 4 classes
the abundance of the plants 30400.

For each task, on other, complete rows: the explained fraction of the deviance (R2 for numbers, Poisson's D2 for counts,
D2 of the log loss for classes), mean over seeds. The model for all tasks is compared with the regressor and the
classifier, each for all tasks of its kind; the same model for each task; and 500 trees and linear models for each task.
Last comes the fraction of the labels within intervals and sets of 90 %. Everything has its defaults, except "poisson"
for counts.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.io import arff
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegressionCV, PoissonRegressor, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae.metrics import d2_score

from ._harness import describe_machine, print_row

MISSING, COVERAGE = 0.4, 0.9
N_TRAIN, N_TEST = 600, 2000
NUMBERS, COUNTS, CLASSES = ["n1", "n2", "n3"], ["c1", "c2"], ["binary", "four"]
TASKS = [*NUMBERS, *COUNTS, *CLASSES]
POISSON = dict.fromkeys(COUNTS, "poisson")
WIDTHS = (8, 24, *[7] * len(TASKS), 7)

Table = tuple[NDArray, pd.DataFrame, NDArray, pd.DataFrame]
"""Features and targets of the training rows, then those of the others."""


def made(seed: int, data_dir: Path) -> Table:
    """Make a table of related tasks."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_TRAIN + N_TEST, 12))
    units = np.tanh(X @ rng.normal(size=(12, 3)) * 6 / np.sqrt(12))
    signal = units @ (rng.normal(size=3)[:, None] + 0.7 * rng.normal(size=(3, len(TASKS))))
    signal /= signal.std(axis=0)
    noisy = signal + 0.5 * rng.normal(size=signal.shape)
    Y = pd.DataFrame(noisy[:, :3] * [1, 50, 0.01], columns=NUMBERS)
    for task, name in enumerate(COUNTS, start=3):
        Y[name] = rng.poisson(np.exp(0.5 + 0.7 * signal[:, task])).astype(float)
    Y["binary"] = noisy[:, 5] > 0.3
    Y["four"] = pd.cut(noisy[:, 6], [-np.inf, -1, 0, 1, np.inf], labels=["none", "few", "some", "many"])
    return X[:N_TRAIN], Y[:N_TRAIN], X[N_TRAIN:], Y[N_TRAIN:].reset_index(drop=True)


def water(seed: int, data_dir: Path) -> Table:
    """Read the table of river water, and split its rows."""
    rows = pd.DataFrame(arff.loadarff(data_dir / "mulan" / "wq.arff")[0]).astype(float)
    Y = rows[["o2", "bod", "kmno4", "25400", "29600"]].set_axis([*NUMBERS, *COUNTS], axis=1)
    Y["binary"] = rows["37880"] > 0
    Y["four"] = rows["30400"].astype("category")
    X = rows.iloc[:, :16].drop(columns=["o2", "bod", "kmno4"]).to_numpy()
    order = np.random.default_rng(seed).permutation(len(X))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    return X[train], Y.iloc[train].reset_index(drop=True), X[test], Y.iloc[test].reset_index(drop=True)


TABLES = {"made": made, "water": water}


def hide(Y: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return labels with some of them removed."""
    hidden = np.random.default_rng([seed, 1]).random(Y.shape) < MISSING
    return Y.astype({"binary": "boolean"}).mask(hidden)


def of_task(name: str, trees: bool) -> Any:
    """Make an independent model of a task."""
    if trees:
        kind = RandomForestClassifier if name in CLASSES else RandomForestRegressor
        return kind(500, min_samples_leaf=3, random_state=0)
    if name in NUMBERS:
        return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 20)))
    if name in COUNTS:
        model = make_pipeline(StandardScaler(), PoissonRegressor(max_iter=1000))
        return GridSearchCV(model, {"poissonregressor__alpha": np.logspace(-3, 2, 6)})
    return make_pipeline(StandardScaler(), LogisticRegressionCV(scoring="neg_log_loss", **L2))


L2: dict[str, Any] = {"l1_ratios": (0,), "use_legacy_attributes": False, "max_iter": 1000}


def score(truth: pd.Series, prediction: NDArray, classes: Any = None) -> float:
    """Return the explained fraction of a task's deviance."""
    kind = POISSON.get(str(truth.name))
    return d2_score(truth, [prediction], labels=None if classes is None else [classes], likelihoods=[kind])


def score_together(model: Any, X: NDArray, Y: pd.DataFrame) -> dict[str, float]:
    """Return the scores of a fitted model's tasks."""
    scores, predicted = {}, model.predict(X)
    columns = predicted if hasattr(predicted, "columns") else pd.DataFrame(predicted, columns=model.task_names_)
    proba, classes = model.predict_proba(X) if hasattr(model, "predict_proba") else {}, getattr(model, "classes_", {})
    if isinstance(proba, list):
        proba, classes = (dict(zip(model.task_names_, own, strict=True)) for own in (proba, classes))
    for name in model.task_names_:
        own = np.asarray(proba[name]) if name in proba else columns[name].to_numpy()
        scores[name] = score(Y[name], own, classes.get(name))
    return scores


def score_alone(model: Any, table: Table, name: str) -> float:
    """Fit a scikit-learn model to a task, and return its score."""
    X, Y, X_test, Y_test = table
    known = Y[name].notna().to_numpy()
    labels = Y.loc[known, name].astype(str if name in CLASSES else float)
    fitted = clone(model).fit(X[known], labels)
    if name in CLASSES:
        return score(Y_test[name].astype(str), fitted.predict_proba(X_test), fitted.classes_)
    return score(Y_test[name], fitted.predict(X_test))


def covered(model: MultiTaskVAE, X: NDArray, Y: pd.DataFrame) -> dict[str, float]:
    """Return the fraction of the labels within intervals and sets."""
    (lower, upper), sets = model.predict_interval(X, COVERAGE), model.predict_set(X, COVERAGE)
    parts = {name: ((lower[name] <= Y[name]) & (Y[name] <= upper[name])).mean() for name in [*NUMBERS, *COUNTS]}
    for name in CLASSES:
        codes = pd.Categorical(Y[name], categories=sets[name].columns).codes
        parts[name] = sets[name].to_numpy()[np.arange(len(Y)), codes].mean()
    return parts


def run(table: Table) -> dict[str, dict[str, float]]:
    """Return the scores of each model's tasks, and the coverage of intervals and sets."""
    X, Y, X_test, Y_test = table
    mixed = MultiTaskVAE(task_likelihoods=POISSON, random_state=0).fit(X, Y)
    regressor = MultiTaskVAERegressor(task_likelihoods=POISSON, random_state=0).fit(X, Y[[*NUMBERS, *COUNTS]])
    classifier = MultiTaskVAEClassifier(random_state=0).fit(X, Y[CLASSES])
    alone: dict[str, float] = {}
    for name in TASKS:
        own = {n: kind for n, kind in POISSON.items() if n == name}
        model = MultiTaskVAE(task_likelihoods=own or "auto", random_state=0)
        alone |= score_together(model.fit(X, Y[[name]]), X_test, Y_test)
    kinds = {"regressor, classifier": score_together(regressor, X_test, Y_test)}
    kinds["regressor, classifier"] |= score_together(classifier, X_test, Y_test)
    return {
        "all tasks": score_together(mixed, X_test, Y_test),
        **kinds,
        "one by one": alone,
        "500 trees, one by one": {name: score_alone(of_task(name, True), table, name) for name in TASKS},
        "linear, one by one": {name: score_alone(of_task(name, False), table, name) for name in TASKS},
        "covered": covered(mixed, X_test, Y_test),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("table", "model", *TASKS, "mean"))
    for table in arguments.tables:
        read, found = TABLES[table], []
        for seed in range(arguments.seeds):
            X, Y, X_test, Y_test = read(seed, arguments.data_dir)
            found.append(run((X, hide(Y, seed), X_test, Y_test)))
        for model in found[0]:
            means = [float(np.mean([own[model][name] for own in found])) for name in TASKS]
            print_row(WIDTHS, (table, model, *(f"{mean:.3f}" for mean in means), f"{np.mean(means):.3f}"))


if __name__ == "__main__":
    main()
