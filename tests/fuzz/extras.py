"""What must hold between several calls: of a second fit, a pickle, a part of the rows, a search one by one."""

import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mtae.persistence import load, save

from .cells import cells_of, differences, take
from .checks import Fitted, close, finite, has_classes, same_bits
from .draws import Rng
from .exported import exported
from .joint import joint

__all__ = ["EXTRAS"]

Arguments = dict[str, Any]
"""What `fit` was called with."""


def answers(model: Any, X: Any, *verbs: str) -> list[tuple[str, Any]]:
    """Return what a fitted estimator says of rows, by verb."""
    verbs = verbs or ("transform", "predict", "predict_proba", "score_samples", "impute")
    found = [(verb, getattr(model, verb)(X)) for verb in verbs if hasattr(model, verb)]
    return [(verb, list(value.values()) if isinstance(value, dict) else value) for verb, value in found]


def differ(model: Any, other: Any, X: Any) -> Iterator[str]:
    """Yield the verbs of two estimators that do not say the same in every bit."""
    for (verb, value), (_, again) in zip(answers(model, X), answers(other, X), strict=True):
        if not same_bits(value, again):
            yield f"{verb} differs"


def same_seed(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """One seed, one model."""
    seeds = [value for name, value in fitted.model.get_params().items() if name.endswith("random_state")]
    if all(isinstance(seed, int) for seed in seeds):
        yield from differ(fitted.model, _unfitted(fitted).fit(**given), given["X"])


def _unfitted(fitted: Fitted) -> Any:
    return clone(fitted.model)


def pickled(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A pickle is the estimator."""
    again = pickle.loads(pickle.dumps(fitted.model))
    yield from differ(fitted.model, again, given["X"])
    for name, value in fitted.model.get_params(deep=False).items():
        if repr(value) != repr(again.get_params(deep=False)[name]) and "RandomState" not in repr(value):
            yield f"{name} was {value!r}"


def saved(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A file without code holds the estimator, which is saved to the same file again."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in "ab"]
        try:
            save(fitted.model, paths[0])
        except TypeError as error:
            if not ("DecisionTree" in str(error) and "skops" in str(error)):
                yield str(error)
            return
        again = load(paths[0])
        save(again, paths[1])
        if paths[0].read_bytes() != paths[1].read_bytes():
            yield "the second file is another one"
    for (verb, value), (_, other) in zip(answers(fitted.model, given["X"]), answers(again, given["X"]), strict=True):
        if not same_bits(repr(value) if is_objects(value) else value, repr(other) if is_objects(other) else other):
            yield f"{verb} differs"


def is_objects(value: Any) -> bool:
    """Return whether a result is an array of objects, whose pickle tells which of them are one."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def cloned(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A clone has the parameters of the estimator, and is not fitted."""
    again = clone(fitted.model)
    one, other = fitted.model.get_params(deep=False), again.get_params(deep=False)
    own = [name for name in one if not isinstance(one[name], np.random.RandomState) and not hasattr(one[name], "fit")]
    for name in own:
        if joblib.hash(one[name]) != joblib.hash(other.get(name)):
            yield f"{name} was {one[name]!r}, is {other.get(name)!r}"
    if again.__sklearn_is_fitted__() if hasattr(again, "__sklearn_is_fitted__") else hasattr(again, "estimators_"):
        yield "a clone is fitted"


def part_of_the_rows(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """What is said of a row does not depend on the rows beside it."""
    X = given["X"]
    rows = np.sort(rng.choice(fitted.table.shape[0], size=(fitted.table.shape[0] + 1) // 2, replace=False))
    verbs = ("transform", "predict_proba", "score_samples", "impute")
    verbs += () if has_classes(fitted.model) else ("predict",)
    whole, part = answers(fitted.model, X, *verbs), answers(fitted.model, take(X, rows), *verbs)
    for (verb, all_rows), (_, some) in zip(whole, part, strict=True):
        several = all_rows if isinstance(all_rows, list) else [all_rows]
        chosen = [take(one, rows) for one in several]
        single = any(getattr(one, "dtype", None) == np.float32 for one in several)
        for text in close(some if isinstance(some, list) else [some], chosen, 1e-3 if single else 1e-6):
            yield f"{verb}: {text}"


def a_fit_that_fails(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A fit that fails leaves the last one as it was."""
    if fitted.plan.name.startswith("PerTask"):
        return
    model, X = fitted.model, given["X"]
    before = answers(model, X)
    broken = np.full((5, 3), np.inf)
    try:
        model.fit(broken, *([] if fitted.targets.y is None else [np.zeros(5)]))
        yield "infinite numbers were fitted"
    except Exception:
        after = answers(model, X)
        for (verb, value), (_, again) in zip(before, after, strict=True):
            if not same_bits(value, again):
                yield f"{verb} differs"


def decoded(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """Reconstructions are what the codes decode to."""
    model, X = fitted.model, given["X"]
    if hasattr(model, "inverse_transform") and fitted.targets.y is None:
        single = model.transform(X).dtype == np.float32
        yield from close(model.inverse_transform(model.transform(X)), model.predict(X), 1e-3 if single else 1e-6)


def in_parts(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """`partial_fit` goes on from what there is, and ends in values."""
    if hasattr(fitted.model, "partial_fit") and fitted.plan.params.get("n_estimators", 1) == 1:
        model = clone(fitted.model).partial_fit(**given).partial_fit(**given)
        for verb, value in answers(model, given["X"], "transform", "predict"):
            yield from (f"{verb}: {text}" for text in finite(value))


def warm(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A fit goes on from the last one where it is asked to."""
    if "warm_start" in fitted.model.get_params() and fitted.plan.params.get("checkpoint") is None:
        model = clone(fitted.model).set_params(warm_start=True).fit(**given)
        n_epochs = model.n_iter_
        for verb, value in answers(model.fit(**given), given["X"], "transform", "predict"):
            yield from (f"{verb}: {text}" for text in finite(value))
        if model.n_iter_ <= n_epochs:
            yield f"{n_epochs} epochs became {model.n_iter_}"


def containers(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """Codes go where they are asked to, and have the names of the components."""
    model, X = fitted.model, given["X"]
    if not hasattr(model, "inverse_transform"):
        return
    codes, names = model.transform(X), model.get_feature_names_out()
    out = np.full_like(codes, 7.0)
    if model.transform(X, out=out) is not out or not same_bits(out, codes):
        yield "transform(out=) differs"
    framed = clone(model).set_output(transform="pandas").fit(**given).transform(X)
    if list(framed.columns) != list(names):
        yield f"columns {list(framed.columns)}, not {list(names)}"
    if not np.isfinite(framed.to_numpy()).all():
        yield "NaN in a frame of codes"


def imputed_twice(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """A table without gaps stays as it is."""
    model = fitted.model
    if hasattr(model, "impute"):
        once = model.impute(given["X"])
        gone = cells_of(once)[1]
        yield from differences(once, model.impute(once), ~gone)


def given_values(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """Rows drawn under conditions have the values that were given."""
    if not hasattr(fitted.model, "sample"):
        return
    cells, missing = cells_of(given["X"])
    j = int(rng.integers(cells.shape[1]))
    if missing[:, j].all():
        return
    value = cells[~missing[:, j], j][0]
    drawn = fitted.model.sample(3, random_state=0, conditions={fitted.names[j]: value})
    rows = drawn[0] if isinstance(drawn, tuple) else drawn
    yield from finite(rows)
    own = cells_of(rows)[0][:, j]
    if not all(v == value for v in own):
        yield f"column {j} has {own}, not {value!r}"


def one_by_one(fitted: Fitted, given: Arguments, rng: Rng) -> Iterator[str]:
    """Estimators per task are what each task's own would be, fitted to the rows that have its label."""
    if not fitted.plan.name.startswith("PerTask") or given.get("sample_weight") is not None:
        return
    labels, X = fitted.targets.labels, given["X"]
    assert labels is not None
    predicted = np.asarray(fitted.model.predict(X), dtype=object).reshape(len(labels), -1)
    for task in range(labels.shape[1]):
        rows = np.flatnonzero([v is not None for v in labels[:, task]])
        y = np.array(labels[rows, task].tolist())
        alone = clone(fitted.plan.params["estimator"]).fit(take(X, rows), y).predict(X)
        numbers = alone.dtype.kind in "fiub"
        equal = np.allclose(predicted[:, task].astype(float), alone) if numbers else predicted[:, task] == alone
        if not np.all(equal):
            yield f"task {task} differs"


def stacked(search: Any, given: Arguments) -> Iterator[str]:
    """A stacked search scores as `GridSearchCV` does, where a model draws nothing while it trains."""
    model = search.estimator
    still = not getattr(model, "dropout", 0) and getattr(model, "corruption", None) is None
    still &= getattr(model, "penalty", None) != "contractive"  # which is estimated by draws
    still &= model.get_params().get("random_state", 0) is not None
    if type(model).__name__ != "AutoencoderTransformer" or not still or not hasattr(search, "param_grid"):
        return
    alone = GridSearchCV(clone(model), search.param_grid, cv=search.cv, refit=False).fit(**given)
    one, other = (np.asarray(own.cv_results_["mean_test_score"]) for own in (search, alone))
    tolerance = 1e-6 if model.dtype == "float64" else 1e-2
    if not np.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True):
        yield f"scores {one}, one by one {other}"


EXTRAS: dict[str, Callable[[Fitted, Arguments, Rng], Iterator[str]]] = {
    "same seed, same bits": same_seed,
    "a pickle is the original": pickled,
    "a file is the original": saved,
    "an export says the same": exported,
    "a clone has the parameters": cloned,
    "rows do not depend on each other": part_of_the_rows,
    "a failed fit leaves the last": a_fit_that_fails,
    "predict decodes the codes": decoded,
    "partial_fit": in_parts,
    "warm_start": warm,
    "out and set_output": containers,
    "impute of a complete table": imputed_twice,
    "sample under conditions": given_values,
    "per task as one by one": one_by_one,
    "joint answers": joint,
}
"""Invariants over several calls, of which a trial looks at some."""
