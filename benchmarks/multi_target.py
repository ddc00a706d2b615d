"""Who predicts the multi-target sets of the Mulan repository best, without tuning?

Run `python -m benchmarks.multi_target --data-dir DIR [--sets andro,edm] [--models ours,extra_trees] [--results FILE]`.

DIR holds ARFF files of the Mulan repository (https://mulan.sourceforge.net/datasets-mtr.html; Spyromitros-Xioufis et
al. 2016, doi 10.1007/s10994-016-5546-z). The folds are those of the printed tables (`_mulan.folds`). A set with missing
cells or with categories is given to every model in the same way: indicators, and column means of the training rows for
those that want no missing cell. Every model has the defaults of its package, or what this file says, once for all sets.

aRRMSE: the mean over targets and folds of `sqrt(sum (y - prediction)^2 / sum (y - mean of the training rows)^2)`, as
printed. Pooled: both sums taken over all folds before the ratio. Lower is better; 1 is the mean of the training rows.

`--models` also takes the parts of an ablation, such as `no_vae`, and `ours_16` for another number of members; `alike`
and `squares_only` have bins on wide sets too, which is slow there. With `--labelled 0.1` so many of the training rows
have labels; only models of this package learn from the others. "covered" is the part of the labels within intervals of
90 %.

Each fold's result is written to FILE at once, and a finished fold is not run again: an interrupted study can continue.
The summary has means over the sets, ranks and wins.
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

from sklearn_mtae import MultiTaskVAERegressor, PerTaskRegressor
from sklearn_mtae._fitting.adapt import member_params

from ._harness import describe_machine, print_row
from ._mulan import N_TARGETS, folds, load

N_FOLDS = 10


def filled(model: BaseEstimator) -> BaseEstimator:
    """Return a model after imputation by column means, in standard units."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def catboost() -> BaseEstimator:
    """Return CatBoost with its loss for several targets."""
    from catboost import CatBoostRegressor

    return CatBoostRegressor(loss_function="MultiRMSE", random_seed=0, verbose=False, allow_writing_files=False)


def xgboost() -> BaseEstimator:
    """Return XGBoost with trees whose leaves hold a number for each target."""
    from xgboost import XGBRegressor

    return XGBRegressor(multi_strategy="multi_output_tree", tree_method="hist", n_jobs=1, random_state=0)


def real_mlp() -> BaseEstimator:
    """Return RealMLP with its tuned defaults (Holzmüller et al. 2024, arXiv 2407.04491)."""
    from pytabkit import RealMLP_TD_Regressor

    return filled(MultiOutputRegressor(RealMLP_TD_Regressor(device="cpu", n_threads=1, random_state=0, verbosity=0)))


def tabm() -> BaseEstimator:
    """Return TabM with its defaults (Gorishniy et al. 2025, arXiv 2410.24210)."""
    from pytabkit import TabM_D_Regressor

    return filled(MultiOutputRegressor(TabM_D_Regressor(device="cpu", n_threads=1, random_state=0, verbosity=0)))


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


def ours(**parameters: Any) -> MultiTaskVAERegressor:
    """Return our model with its defaults, except for the given parameters."""
    return MultiTaskVAERegressor(random_state=0, **parameters)


def of_settings(*chosen: int) -> MultiTaskVAERegressor:
    """Return our model with some of the default settings of its members."""
    known = member_params("numbers", 1)
    return ours(member_params=[known[k] for k in chosen], embedding="piecewise_linear")


OURS: dict[str, Callable[[], Any]] = {
    "ours": ours,
    "single": lambda: ours(n_estimators=1),
    "no_vae": lambda: ours(reconstruction_weight=0, beta=0),
    "features_weigh_1": lambda: ours(reconstruction_weight=1),
    "no_sharing": lambda: PerTaskRegressor(ours()),
    "no_bins": lambda: ours(embedding="softened"),
    "alike": lambda: of_settings(0),
    "squares_only": lambda: of_settings(0, 1),
    **{f"ours_{n}": lambda n=n: ours(n_estimators=n) for n in (4, 16, 64)},
}
MODELS: dict[str, Callable[[], Any]] = {
    **OURS,
    "forest": lambda: filled(RandomForestRegressor(random_state=0)),
    "extra_trees": lambda: filled(ExtraTreesRegressor(random_state=0)),
    "boosting": lambda: MultiOutputRegressor(HistGradientBoostingRegressor(random_state=0)),
    "catboost": catboost,
    "xgboost": xgboost,
    "real_mlp": real_mlp,
    "tabm": tabm,
    "ridge": lambda: filled(RidgeCV(np.logspace(-2, 5, 15), alpha_per_target=True)),
    "svr": lambda: filled(StandardTargets(MultiOutputRegressor(SVR()))),
    "mlp": lambda: filled(StandardTargets(MLPRegressor(max_iter=1000, early_stopping=False, random_state=0))),
}


OPTIONAL = {"catboost", "xgboost", "real_mlp", "tabm"}
"""Models of packages that are installed only for this study: catboost, xgboost and pytabkit."""


def run_fold(name: str, X: NDArray, Y: NDArray, train: NDArray, test: NDArray, labelled: float) -> dict[str, Any]:
    """Return the sums of squares of one fold, by target, and its seconds."""
    known = np.random.default_rng(len(train)).permutation(len(train)) < labelled * len(train)
    labels = np.where(known[:, None], Y[train], np.nan)
    rows, labels = (train, labels) if name in OURS else (train[known], labels[known])
    start = perf_counter()
    model = MODELS[name]().fit(X[rows], labels)
    predicted = model.predict(X[test])
    line = {
        "seconds": perf_counter() - start,
        "error": ((Y[test] - predicted) ** 2).sum(0).tolist(),
        "around_training_mean": ((Y[test] - Y[train[known]].mean(0)) ** 2).sum(0).tolist(),
        "around_mean": ((Y[test] - Y.mean(0)) ** 2).sum(0).tolist(),
    }
    if name == "ours" and labelled == 1:
        lower, upper = model.predict_interval(X[test])
        line["covered"] = float(((lower <= Y[test]) & (Y[test] <= upper)).mean())
    return line


def study(
    folder: Path, sets: Sequence[str], models: Sequence[str], labelled: float, n_folds: int, results: Path
) -> dict[tuple, dict[str, Any]]:
    """Run what is not yet in the file of results; return all results by set, model and fold."""
    known: dict[tuple, dict[str, Any]] = {}
    if results.exists():
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        known = {(line["set"], line["model"], line["fold"]): line for line in lines if line["labelled"] == labelled}
    for name in sets:
        X, Y = load(folder, name)
        for model in models:
            for fold, (train, test) in list(enumerate(folds(len(Y), N_FOLDS)))[:n_folds]:
                if (name, model, fold) in known:
                    continue
                line = {"set": name, "model": model, "fold": fold, "labelled": labelled}
                line |= run_fold(model, X, Y, train, test, labelled)
                known[name, model, fold] = line
                with results.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    return known


def scores(lines: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """Return aRRMSE, the pooled aRRMSE, and the seconds of a fit."""
    error, around_training_mean, around_mean = (
        np.array([line[key] for line in lines]) for key in ("error", "around_training_mean", "around_mean")
    )
    ratio = np.sqrt(error / around_training_mean).mean()
    pooled = np.sqrt(error.sum(0) / around_mean.sum(0)).mean()
    return float(ratio), float(pooled), float(np.median([line["seconds"] for line in lines]))


def report(known: dict[tuple, dict[str, Any]], sets: Sequence[str], models: Sequence[str], n_folds: int) -> None:
    """Print a table of the sets and one of the models."""
    table = np.array([[scores([known[s, m, f] for f in range(n_folds)]) for m in models] for s in sets])
    widths = [10, *(22 for _ in models)]
    print_row(widths, ["set", *models])
    for name, cells in zip(sets, table, strict=True):
        print_row(widths, [name, *(f"{cell[0]:.3f} ({cell[1]:.3f}) {cell[2]:.1f}s" for cell in cells)])
    covered = [
        [line["covered"] for key, line in known.items() if key[0] == name and "covered" in line] for name in sets
    ]
    if all(covered):
        print_row([14, *(8 for _ in sets), 8], ["covered", *sets, "mean"])
        means = [float(np.mean(own)) for own in covered]
        print_row([14, *(8 for _ in sets), 8], ["by 90 %", *(f"{mean:.3f}" for mean in [*means, np.mean(means)])])
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
    parser.add_argument(
        "--models", default=",".join(("ours", *(name for name in MODELS if name not in {*OURS, *OPTIONAL})))
    )
    parser.add_argument("--labelled", type=float, default=1.0, help="part of the training rows that have labels")
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="run the first so many of the ten folds")
    parser.add_argument("--results", type=Path, default=Path("multi_target.jsonl"))
    arguments = parser.parse_args()
    sets, models = arguments.sets.split(","), arguments.models.split(",")
    print(describe_machine())
    known = study(arguments.data_dir, sets, models, arguments.labelled, arguments.folds, arguments.results)
    report(known, sets, models, arguments.folds)


if __name__ == "__main__":
    main()
