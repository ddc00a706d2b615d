"""Who predicts the multi-target sets of the Mulan repository best, without tuning?

Run `python -m benchmarks.multi_target --data-dir DIR [--sets andro,edm] [--models ours,extra_trees] [--results FILE]`.

DIR holds ARFF files of the Mulan repository (https://mulan.sourceforge.net/datasets-mtr.html; Spyromitros-Xioufis et
al. 2016, doi 10.1007/s10994-016-5546-z). The folds are those of the printed tables (`_mulan.folds`). A set with missing
cells or with categories is given to every model in the same way: indicators, and column means of the training rows for
those that want no missing cell. Every model has the defaults of its package, or what this file says, once for all sets.

aRRMSE: the mean over targets and folds of `sqrt(sum (y - prediction)^2 / sum (y - mean of the training rows)^2)`, as
printed. Pooled: both sums taken over all folds before the ratio. Less is better; 1 is the mean of the training rows.

Each fold's result is a line of FILE as soon as it is there, and a fold that is there is not run again: an interrupted
study goes on. The summary has means over the sets, ranks and wins.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_mtae import MultiTaskVAERegressor

from ._harness import describe_machine, print_row
from ._mulan import N_TARGETS, folds, load

N_FOLDS = 10


def filled(model: BaseEstimator) -> BaseEstimator:
    """Return a model behind column means for missing cells, in standard units."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def catboost() -> BaseEstimator:
    """Return CatBoost with its loss for several targets."""
    from catboost import CatBoostRegressor

    return CatBoostRegressor(loss_function="MultiRMSE", random_seed=0, verbose=False, allow_writing_files=False)


class StandardTargets(BaseEstimator):
    """A model that is trained on targets in standard units.

    Parameters
    ----------
    model : estimator
        The model.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: NDArray, Y: NDArray) -> "StandardTargets":
        """Fit the model."""
        self.units_ = StandardScaler().fit(Y)
        self.model.fit(X, self.units_.transform(Y))
        return self

    def predict(self, X: NDArray) -> NDArray:
        """Predict in the targets' own units."""
        return self.units_.inverse_transform(self.model.predict(X))


MODELS: dict[str, Callable[[], Any]] = {
    "ours": lambda: MultiTaskVAERegressor(random_state=0),
    "forest": lambda: filled(RandomForestRegressor(random_state=0)),
    "extra_trees": lambda: filled(ExtraTreesRegressor(random_state=0)),
    "boosting": lambda: MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0)),
    "catboost": catboost,
    "ridge": lambda: filled(RidgeCV(np.logspace(-2, 5, 15), alpha_per_target=True)),
    "svr": lambda: filled(StandardTargets(MultiOutputRegressor(SVR()))),
    "mlp": lambda: filled(StandardTargets(MLPRegressor(max_iter=1000, early_stopping=False, random_state=0))),
}


def run_fold(name: str, X: NDArray, Y: NDArray, train: NDArray, test: NDArray) -> dict[str, Any]:
    """Return the sums of squares of one fold, by target, and the seconds that it took."""
    start = perf_counter()
    predicted = MODELS[name]().fit(X[train], Y[train]).predict(X[test])
    seconds = perf_counter() - start
    return {
        "error": ((Y[test] - predicted) ** 2).sum(0).tolist(),
        "around_training_mean": ((Y[test] - Y[train].mean(0)) ** 2).sum(0).tolist(),
        "around_mean": ((Y[test] - Y.mean(0)) ** 2).sum(0).tolist(),
        "seconds": seconds,
    }


def study(folder: Path, sets: Sequence[str], models: Sequence[str], results: Path) -> dict[tuple, dict[str, Any]]:
    """Run what is not in the file of results yet; return all of it by set, model and fold."""
    known: dict[tuple, dict[str, Any]] = {}
    if results.exists():
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        known = {(line["set"], line["model"], line["fold"]): line for line in lines}
    for name in sets:
        X, Y = load(folder, name)
        for model in models:
            for fold, (train, test) in enumerate(folds(len(Y), N_FOLDS)):
                if (name, model, fold) in known:
                    continue
                line = {"set": name, "model": model, "fold": fold, **run_fold(model, X, Y, train, test)}
                known[name, model, fold] = line
                with results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    return known


def scores(lines: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """Return aRRMSE, the pooled one, and the seconds of a fit."""
    error, around_training_mean, around_mean = (
        np.array([line[key] for line in lines]) for key in ("error", "around_training_mean", "around_mean")
    )
    ratio = np.sqrt(error / around_training_mean).mean()
    pooled = np.sqrt(error.sum(0) / around_mean.sum(0)).mean()
    return float(ratio), float(pooled), float(np.median([line["seconds"] for line in lines]))


def report(known: dict[tuple, dict[str, Any]], sets: Sequence[str], models: Sequence[str]) -> None:
    """Print a table of the sets and one of the models."""
    table = np.array([[scores([known[s, m, f] for f in range(N_FOLDS)]) for m in models] for s in sets])
    widths = [10, *(22 for _ in models)]
    print_row(widths, ["set", *models])
    for name, cells in zip(sets, table, strict=True):
        print_row(widths, [name, *(f"{cell[0]:.3f} ({cell[1]:.3f}) {cell[2]:.1f}s" for cell in cells)])
    ranks = np.array([rankdata(row) for row in table[:, :, 0]])
    print_row([14, *(10 for _ in range(6))], ["model", "aRRMSE", "pooled", "rank", "wins", "top two", "seconds"])
    for column, model in enumerate(models):
        own, rank = table[:, column], ranks[:, column]
        cells = [f"{own[:, 0].mean():.4f}", f"{own[:, 1].mean():.4f}", f"{rank.mean():.2f}"]
        print_row(
            [14, *(10 for _ in range(6))],
            [model, *cells, str((rank == 1).sum()), str((rank <= 2).sum()), f"{np.median(own[:, 2]):.1f}"],
        )


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the ARFF files")
    parser.add_argument("--sets", default=",".join(N_TARGETS))
    parser.add_argument("--models", default=",".join(name for name in MODELS if name != "catboost"))
    parser.add_argument("--results", type=Path, default=Path("multi_target.jsonl"))
    arguments = parser.parse_args()
    sets, models = arguments.sets.split(","), arguments.models.split(",")
    print(describe_machine())
    report(study(arguments.data_dir, sets, models, arguments.results), sets, models)


if __name__ == "__main__":
    main()
