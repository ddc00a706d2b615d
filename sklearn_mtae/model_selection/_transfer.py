"""Comparison of joint and separate training of tasks."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.utils import check_consistent_length, check_random_state, indexable
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mtae._estimators.autoencoder import AutoencoderTransformer
from sklearn_mtae._estimators.classifier import MultiTaskVAEClassifier
from sklearn_mtae._estimators.mixed import MultiTaskVAE
from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae._estimators.regressor import MultiTaskVAERegressor
from sklearn_mtae._fitting.ensemble import member_settings
from sklearn_mtae._tables.checks import safe_indexing
from sklearn_mtae._tables.classes import observed_labels
from sklearn_mtae._tables.targets import target_columns, task_names
from sklearn_mtae.metrics import METRICS
from sklearn_mtae.metrics._columnwise import Labels
from sklearn_mtae.metrics._responses import respond
from sklearn_mtae.nn.words import short, suggest

from ._conflicts import measure_transfer
from ._mixed_heads import MixedHeads
from ._split import TaskKFold, TaskShuffleSplit, _check_parts, _labelled
from ._transfer_options import given_classes, given_groups, own_options
from ._transfer_report import TransferReport, make_report, without_scores


def transfer_report(
    estimator: MultiTaskVAERegressor | MultiTaskVAEClassifier | MultiTaskVAE,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    cv: Any = None,
    groups: ArrayLike | None = None,
    baseline: Any = None,
    pooled: Any = None,
    models: Sequence[str] = ("alone", "pooled", "joint"),
    scoring: str | None = None,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> TransferReport:
    """Compare tasks learned together with the same tasks learned alone, to show which of them benefit from sharing.

    Each split fits, and scores per task on the test rows that have the task's label,

    - "alone": the estimator on one task and the rows that have its label;
    - "pooled": one autoencoder of all rows, and on its codes a head of each task's own;
    - "joint": the estimator on everything;
    - "baseline": your own estimator per task, if there is one.

    For an error, the gain of a task is its relative reduction, `(alone - joint) / mean(alone)`; for a score, it is
    `joint - alone`. Its interval is Student's with `n_splits - 1` degrees of freedom around the mean over splits, whose
    variance is `(1 / n_splits + n_test / n_train) * var(gains)`: training parts overlap, so splits are not independent
    (Nadeau and Bengio 2003, doi 10.1023/A:1024068626366).

    A further fit, on all rows, shows why. At the end of 10 epochs spread over `max_iter`, it measures two things on up
    to 1,000 rows: the cosines between the tasks' gradients with respect to shared parameters, and by how much a task's
    loss falls after a step along the gradient of another (Fifty et al. 2021, arXiv 2109.04617). The step is a tenth as
    long as one of Adam's, `learning_rate_init * sqrt(n_values)`: a longer one overshoots, and would raise the losses of
    tasks that help each other. The losses are those of the targets only, without dropout and corruption. Cosines are
    for tasks that share at least 30 % of their labelled rows; on different rows, gradients differ even if the tasks are
    the same. The advice depends only on the gains.

    Parameters
    ----------
    estimator : MultiTaskVAERegressor, MultiTaskVAEClassifier or MultiTaskVAE
        Estimator whose clones are fitted. A task alone gets its own part of the options that are given by task, and
        `task_weighting="equal"` in place of given weights.
    X : array-like of shape (n_samples, n_features)
        Rows, NaN where a cell is missing.
    Y : array-like of shape (n_samples, n_tasks)
        Targets; NaN, None or pandas.NA where a label is missing. Tasks may have different rows.
    cv : int, splitter, iterable or None, default=None
        Splits: an int is a number of shuffled folds of :class:`TaskKFold`; None is ten splits of
        :class:`TaskShuffleSplit` with a fifth of the rows for testing.
    groups : array-like of shape (n_samples,) or None, default=None
        Which rows belong together; passed to the splits and to the fits of `estimator`.
    baseline : estimator, dict of str to estimator, or None, default=None
        Estimator of one task, or a dict with one for each by its name.
    pooled : estimator or None, default=None
        Estimator of all tasks for "pooled", which takes Y unchanged. None is an
        :class:`~sklearn_mtae.AutoencoderTransformer`, followed by standardisation and support vector machines on its
        codes. It takes the estimator's parameters, except those of the optimiser, the likelihood and the penalty. If
        probabilities are scored, the machines are calibrated on three folds, or on as many as the rarest class of a
        task has labels; if that has one, on their training rows.
    models : sequence of {"alone", "pooled", "joint"}, default=("alone", "pooled", "joint")
        Models to compare. "alone" and "joint", which define the gain, must be among them.
    scoring : str or None, default=None
        Name in `sklearn_mtae.metrics.METRICS`; None is "rmse", in y's units, "accuracy" for classes, or "d2" if an
        estimator takes both. A split in which a task has too few test labels has no score, and a warning names it.
    n_jobs : int or None, default=None
        Number of fits in parallel; None is 1, -1 is all processors.
    random_state : int, RandomState instance or None, default=None
        Seed of the splits, and of the fits of all estimators whose own `random_state` is None.

    Returns
    -------
    TransferReport
        Scores, gains and advice for each task; conflicts and affinities for each pair.

    Raises
    ------
    ValueError
        If the estimator is not one of these, if there are fewer than two tasks, if a training part has no label of a
        task, if the score is unknown, or if an estimator cannot be fitted.
    ImportError
        If pandas is not installed.

    See Also
    --------
    sklearn_mtae.inspection.TaskTransferDisplay : Draws the report.
    TaskShuffleSplit : The splits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_linnerud
    >>> from sklearn_mtae import MultiTaskVAERegressor
    >>> from sklearn_mtae.model_selection import transfer_report
    >>> X, Y = load_linnerud(return_X_y=True, as_frame=True)
    >>> Y.iloc[::2, 0] = np.nan  # every other label of the first task is missing
    >>> model = MultiTaskVAERegressor(n_components=2, n_estimators=1, hidden_layer_sizes=(8,), max_iter=5)
    >>> report = transfer_report(model, X, Y, cv=3, random_state=0)
    >>> report.frame[["n_labels", "advice"]].shape
    (3, 2)
    >>> list(report.frame.columns)  # doctest: +NORMALIZE_WHITESPACE
    ['n_labels', 'alone', 'pooled', 'joint', 'gain', 'gain_low', 'gain_high', 'certain', 'advice']
    >>> report.conflict.shape
    (3, 3)
    """
    pandas = _pandas()
    scoring = _check(estimator, X, Y, scoring)
    _check_models(models, pooled)
    X, Y, groups = indexable(X, Y, groups)
    splits = _splits(cv, X, Y, groups, random_state)
    seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=len(splits) + 1).tolist()
    tables = {"joint": estimator}
    if "pooled" in models:
        tables["pooled"] = _pooled(estimator, scoring) if pooled is None else pooled
    if baseline is not None:
        tables["baseline"] = _kind(estimator).per_task(estimator, baseline)
    jobs = list(_jobs(estimator, tables, X, Y, groups, splits, seeds, scoring))
    probe = delayed(measure_transfer)(_seeded(estimator, seeds[-1]), X, Y)
    transfer, *results = Parallel(n_jobs=n_jobs)([probe, *(job for *_, job in jobs)])
    scores = {name: np.full((len(splits), len(task_names(Y))), np.nan) for name in ["alone", *tables]}
    unscored = []
    for (name, split, tasks, _), (result, reasons) in zip(jobs, results, strict=True):
        scores[name][split, tasks] = result
        unscored += [(name, split, task, reason) for task, reason in reasons.items()]
    lines = without_scores(unscored, len(splits))
    if lines:
        warnings.warn(" ".join(lines), UndefinedMetricWarning, stacklevel=2)
    return make_report(pandas, scores, Y, splits, transfer, scoring, unscored)


def _pandas() -> ModuleType:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "transfer_report returns a data frame of pandas, which is not installed. Install it with: pip install "
            "pandas"
        ) from error
    return pandas


@dataclass(frozen=True)
class _Kind:
    """Settings of an estimator, by the kind of its tasks."""

    scoring: str
    per_task: Callable[[Any, Any], Any]
    """From the estimator and the option for each task to an estimator of all tasks."""
    heads: Callable[[Any, str], Any]
    """From the estimator and the scored method to the heads of an autoencoder."""


def _svr() -> Any:
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), SVR()), transformer=StandardScaler())


def _svc(response_method: str) -> Any:
    head = make_pipeline(StandardScaler(), SVC())
    return head if response_method == "predict" else CalibratedClassifierCV(head, ensemble=False, cv=_Folds())


class _Folds:
    """Three folds with labels of each class, or as many as the rarest class allows; with one label, all rows."""

    def split(self, X: Any, y: NDArray, groups: Any = None) -> Iterator[tuple[NDArray, NDArray]]:
        """Yield the rows of each training and test part."""
        n_splits = self.get_n_splits(X, y)
        rows = np.arange(len(y))
        return iter([(rows, rows)]) if n_splits == 1 else StratifiedKFold(n_splits).split(X, y)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return min(3, np.unique(y, return_counts=True)[1].min())


def _mixed_heads(estimator: Any, of_numbers: Any, of_classes: Any) -> MixedHeads:
    return MixedHeads(of_numbers, of_classes, estimator.task_likelihoods)


KINDS = {
    MultiTaskVAERegressor: _Kind(
        "rmse",
        lambda estimator, given: PerTaskRegressor(given),
        lambda estimator, method: PerTaskRegressor(_svr()),
    ),
    MultiTaskVAEClassifier: _Kind(
        "accuracy",
        lambda estimator, given: PerTaskClassifier(given),
        lambda estimator, method: PerTaskClassifier(_svc(method)),
    ),
    MultiTaskVAE: _Kind(
        "d2",
        lambda estimator, given: _mixed_heads(estimator, given, given),
        lambda estimator, method: _mixed_heads(estimator, _svr(), _svc("predict_proba")),
    ),
}


def _kind(estimator: Any) -> _Kind:
    for base, kind in KINDS.items():
        if isinstance(estimator, base):
            return kind
    raise ValueError(f"estimator must be one of {[base.__name__ for base in KINDS]}. Got {short(estimator)} instead.")


def _check(estimator: Any, X: Any, Y: Any, scoring: str | None) -> str:
    """Raise an error if the report cannot be made; return the name of the score."""
    scoring = _kind(estimator).scoring if scoring is None else scoring
    if not isinstance(scoring, str) or scoring not in METRICS:
        hint = suggest(scoring, METRICS)
        raise ValueError(f"scoring must be one of {list(METRICS)}. Got {short(scoring)} instead.{hint}")
    method = METRICS[scoring].response_method
    if not hasattr(estimator, method):
        raise ValueError(f"scoring={scoring!r} needs an estimator with {method}. Got {short(estimator)} instead.")
    check_consistent_length(X, *target_columns(Y))
    if len(task_names(Y)) < 2:
        raise ValueError(f"Y must have two tasks or more. Got {len(task_names(Y))} instead.")
    return scoring


def _check_models(models: Sequence[str], pooled: Any) -> None:
    """Raise an error if the models to compare are unknown or too few, or leave out a given one."""
    known, needed = {"alone", "pooled", "joint"}, {"alone", "joint"}
    if isinstance(models, str) or not needed <= set(models) <= known:
        raise ValueError(f"models must hold 'alone' and 'joint', and may add 'pooled'. Got {models!r} instead.")
    if pooled is not None and "pooled" not in models:
        raise ValueError(f"pooled is given, but is not among models. Got {list(models)}.")


def _splits(cv: Any, X: Any, Y: Any, groups: Any, random_state: Any) -> list[tuple[NDArray, NDArray]]:
    """Return the rows of each training and test part."""
    if cv is None:
        cv = TaskShuffleSplit(10, test_size=0.2, random_state=random_state)
    elif isinstance(cv, Integral):
        cv = TaskKFold(int(cv), shuffle=True, random_state=random_state)
    labelled = _labelled(Y, 2, "one for a train and one for a test part")
    rows = np.arange(len(labelled[0]))
    splits = [(rows[train], rows[test]) for train, test in check_cv(cv).split(X, Y, groups)]
    for train, _ in splits:
        _check_parts(Y, labelled, {"train": train})
    return splits


def _pooled(estimator: Any, scoring: str) -> Pipeline:
    """Return one autoencoder and a head per task."""
    kind = _kind(estimator)
    # Their best values depend on the loss, or they have no meaning without each other.
    kept = {"max_iter", "alpha", "learning_rate_init", "net_params", "likelihood", "penalty", "penalty_weight"}
    names = AutoencoderTransformer().get_params(deep=False).keys() - kept
    given = {**estimator.get_params(deep=False), **member_settings(estimator._recipe(), 1)[0]}
    common = {name: value for name, value in given.items() if name in names}
    heads = kind.heads(estimator, METRICS[scoring].response_method)
    return Pipeline([("encoder", AutoencoderTransformer(**common)), ("pertask", heads)])


def _seeded(estimator: Any, seed: int) -> Any:
    """Return a clone, seeded wherever it has no seed."""
    unset = [
        name
        for name, value in estimator.get_params().items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    return clone(estimator).set_params(**dict.fromkeys(unset, seed))


def _jobs(
    estimator: Any, tables: dict[str, Any], X: Any, Y: Any, groups: Any, splits: list, seeds: list[int], scoring: str
) -> Iterator[tuple[str, int, int | slice, Any]]:
    """Yield the name of a model, the position of a split, those of the scored tasks, and the call for it."""
    for split, (parts, seed) in enumerate(zip(splits, seeds[:-1], strict=True)):
        for name, model in tables.items():
            yield name, split, slice(None), delayed(_score_all)(_seeded(model, seed), X, Y, groups, parts, scoring)
        for task in range(len(task_names(Y))):
            yield (
                "alone",
                split,
                task,
                delayed(_score_alone)(_seeded(estimator, seed), X, Y, groups, task, parts, scoring),
            )


def _score_all(
    model: Any, X: Any, Y: Any, groups: Any, parts: tuple[NDArray, NDArray], scoring: str
) -> tuple[NDArray, dict[str, str]]:
    """Fit a model to all tasks; return the score of each, and the reasons for missing scores."""
    train, test = parts
    names, columns = task_names(Y), target_columns(Y)
    model.fit(
        safe_indexing(X, train),
        safe_indexing(Y, train),
        **given_classes(model, names, columns),
        **given_groups(model, groups, train),
    )
    truths = {name: column[test] for name, column in zip(names, columns, strict=True)}
    return _score(model, safe_indexing(X, test), truths, scoring)


def _score_alone(
    model: Any, X: Any, Y: Any, groups: Any, task: int, parts: tuple[NDArray, NDArray], scoring: str
) -> tuple[float, dict[str, str]]:
    """Fit a model to one task, on the rows that have its label; return its score, and the reason if it has none."""
    names, column = task_names(Y), target_columns(Y)[task]
    has_label, every = observed_labels(column)
    train, test = (rows[has_label[rows]] for rows in parts)
    # A series, so that errors name the task.
    y = _pandas().Series(observed_labels(column[train])[1], name=names[task])
    if isinstance(model, MultiTaskVAE):  # the kind of a task follows from its dtype
        y = Y.iloc[train, [task]] if hasattr(Y, "iloc") else y.to_frame()
    model.set_params(**own_options(model, names, task, every))
    classes = given_classes(model, names[task : task + 1], [column], single=True)
    model.fit(safe_indexing(X, train), y, **classes, **given_groups(model, groups, train))
    if not len(test):
        return float("nan"), {names[task]: "it has no label"}
    scores, unscored = _score(model, safe_indexing(X, test), {names[task]: column[test]}, scoring)
    return scores[0], unscored


def _score(model: Any, X: Any, truths: dict[str, NDArray], scoring: str) -> tuple[NDArray, dict[str, str]]:
    metric, labels = METRICS[scoring], Labels(truths, unscored={})
    prediction, options = respond(model, X, metric, len(labels))
    scores = metric.function(labels, prediction, multioutput="raw_values", **options)
    return scores, labels.unscored or {}
