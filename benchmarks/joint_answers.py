"""Joint answers: do related targets of a row help each other once predicted, and are they covered together?

Run `python -m benchmarks.joint_answers --data-dir DIR [--sets andro,edm] [--folds 10] [--results FILE] [--chains]`.

DIR holds the ARFF files of `benchmarks.multi_target`, whose sets and folds are used. The model has its defaults. For
each set, over all test rows of the folds:

- "correlation": the largest absolute correlation between normal scores of two targets, given their predictions, that
  the model has learned, as the mean over folds;
- "covered": the part of rows whose targets all lie in the 90 % region;
- "volume": its volume by that of the box of 90 % intervals with Bonferroni's correction, as a geometric mean; there is
  none where too few rows are held out for such intervals;
- "energy": the energy score of 200 joint draws by that of the same draws, each target shuffled on its own over the
  draws of a row, so that marginals are the same; targets in units of their deviation in the training rows;
- "revealed": aRRMSE of one half of the targets, and then the other, where the labels of the other half are known
  (`y_observed`), by that without them. With `--chains`, next to it: aRRMSE of ours, and of `RegressorChain`s of extra
  trees and of support vector regressions that begin with the known labels.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.impute import SimpleImputer
from sklearn.multioutput import RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.metrics import energy_score

from ._harness import describe_machine
from ._mulan import N_TARGETS, folds, load

N_FOLDS, N_DRAWS = 10, 200


def chain(model: BaseEstimator) -> BaseEstimator:
    """Return a chain of models of targets in standard units, after imputation by column means."""
    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), RegressorChain(model))


CHAINS = {"extra_trees": lambda: chain(ExtraTreesRegressor(random_state=0)), "svr": lambda: chain(SVR())}


def squares(y: NDArray, predicted: NDArray) -> list[float]:
    """Return the sums of squared errors by target."""
    return ((y - predicted) ** 2).sum(axis=0).tolist()


def run_fold(X: NDArray, Y: NDArray, train: NDArray, test: NDArray, with_chains: bool) -> dict[str, Any]:
    """Return the figures of one fold."""
    start = perf_counter()
    model = MultiTaskVAERegressor(random_state=0).fit(X[train], Y[train])
    seconds, n_targets, unit = perf_counter() - start, Y.shape[1], Y[train].std(axis=0)
    region = model.predict_region(X[test])
    draws = model.predict_samples(X[test], N_DRAWS, random_state=0)
    shuffled = np.random.default_rng(0).permuted(draws, axis=0)
    line: dict[str, Any] = {
        "seconds": seconds,
        "correlation": float(np.abs(model._fitted.average.copula.correlation - np.eye(n_targets)).max()),
        "covered": region.contains(Y[test]).tolist(),
        "energy": [energy_score(Y[test], own, scale=unit) * len(test) for own in (draws, shuffled)],
    }
    try:
        lower, upper = model.predict_interval(X[test], 1 - 0.1 / n_targets)
        line["log_volume"] = (np.log(region.volume) - np.log(upper - lower).sum(axis=1)).tolist()
    except ValueError:
        line["log_volume"] = []
    return line | reveal(model, X, Y, train, test, with_chains)


def reveal(
    model: Any, X: NDArray, Y: NDArray, train: NDArray, test: NDArray, with_chains: bool
) -> dict[str, list[float]]:
    """Return sums of squared errors by target, each predicted given the other half of the targets."""
    halves = np.array_split(np.random.default_rng(0).permutation(Y.shape[1]), 2)
    names = ["revealed", *(CHAINS if with_chains else ())]
    errors = {name: np.zeros(Y.shape[1]) for name in names}
    for known, others in (halves, halves[::-1]):
        observed = np.full(Y[test].shape, np.nan)
        observed[:, known] = Y[test][:, known]
        predicted = model.predict(X[test], y_observed=observed)
        errors["revealed"][others] = squares(Y[np.ix_(test, others)], predicted[:, others])
        center, unit = Y[train].mean(axis=0), Y[train].std(axis=0)
        rows = np.hstack([X, Y[:, known]])
        for name in names[1:]:
            fitted = CHAINS[name]().fit(rows[train], ((Y - center) / unit)[np.ix_(train, others)])
            predicted = center[others] + unit[others] * fitted.predict(rows[test])
            errors[name][others] = squares(Y[np.ix_(test, others)], predicted)
    errors |= {"plain": squares(Y[test], model.predict(X[test])), "mean": squares(Y[test], Y[train].mean(axis=0))}
    return {name: np.asarray(own).tolist() for name, own in errors.items()}


def arrmse(lines: list[dict[str, Any]], name: str) -> float:
    """Return the mean over folds and targets of the relative root mean squared error."""
    return float(np.mean([np.sqrt(np.array(line[name]) / np.array(line["mean"])) for line in lines]))


def report(name: str, lines: list[dict[str, Any]]) -> None:
    """Print the figures of a set."""
    energy = np.sum([line["energy"] for line in lines], axis=0)
    volumes = np.concatenate([line["log_volume"] for line in lines])
    volume = f"{np.exp(volumes.mean()):8.3f}" if len(volumes) else "       -"
    plain, known = arrmse(lines, "plain"), arrmse(lines, "revealed")
    print(
        f"{name:8s} {len(lines):5d} {np.mean([line['correlation'] for line in lines]):11.2f} "
        f"{np.mean(np.concatenate([line['covered'] for line in lines])):8.3f} {volume} {energy[0] / energy[1]:7.3f} "
        f"{known / plain:9.3f} {known:7.3f} "
        + " ".join(f"{arrmse(lines, own):11.3f}" for own in CHAINS if own in lines[0])
    )


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(N_TARGETS))
    parser.add_argument("--folds", type=int, default=N_FOLDS)
    parser.add_argument("--chains", action="store_true")
    parser.add_argument("--results", type=Path, default=Path("joint_answers.jsonl"))
    given = parser.parse_args()
    print(describe_machine())
    known: dict[tuple[str, int], dict[str, Any]] = {}
    if given.results.exists():
        lines = map(json.loads, given.results.read_text().splitlines())
        known = {(line["set"], line["fold"]): line for line in lines}
    print("set      folds correlation  covered   volume  energy  revealed    ours extra trees         svr")
    for name in given.sets.split(","):
        X, Y = load(given.data_dir, name)
        for fold, (train, test) in list(enumerate(folds(len(Y), N_FOLDS)))[: given.folds]:
            if (name, fold) not in known:
                known[name, fold] = {"set": name, "fold": fold} | run_fold(X, Y, train, test, given.chains)
                with given.results.open("a") as file:
                    file.write(json.dumps(known[name, fold]) + "\n")
        report(name, [known[name, fold] for fold in range(given.folds) if (name, fold) in known])


if __name__ == "__main__":
    main()
