"""Scorers of tables with missing labels, for searches and cross-validation."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_mtae._tables.censoring import read_censoring
from sklearn_mtae._tables.targets import check_order, per_task, target_columns, task_names, task_position
from sklearn_mtae.nn.words import short, suggest

from ._censored import censored_rmse, concordance_index
from ._columnwise import Labels
from ._draw_scores import crps_score, energy_score, variogram_score
from ._intervals import interval_score, joint_coverage
from ._responses import ASKED, chosen, last_step, side_by_side
from ._scores import METRICS, Metric

SCORED = METRICS | {
    "crps": Metric(crps_score, "predict_samples", False),
    "energy": Metric(energy_score, "predict_samples", False, is_joint=True),
    "variogram": Metric(variogram_score, "predict_samples", False, is_joint=True),
    "interval": Metric(interval_score, "predict_interval", False),
    "joint_coverage": Metric(joint_coverage, "predict_region", True, is_joint=True),
    "concordance": Metric(concordance_index, "predict", True),
    "censored_rmse": Metric(censored_rmse, "predict", False),
}
"""All scores that scorers are made of, by name."""
TAKEN = {"sample_weight", "multioutput", "labels", "likelihoods", "y_train", "censoring"}
"""Options of scores that a scorer sets itself, or that belong to the rows it is called with."""


def make_task_scorer(
    metric: str | Callable[..., float], task: str | int | Sequence[str | int] | None = None, **options: Any
) -> "_TaskScorer":
    """Return a scorer of tables with missing labels, for `scoring` of GridSearchCV, cross_val_score and the like.

    Parameters
    ----------
    metric : str or callable
        Name of a score, or its function. Of predictions: "r2", "rmse", "mae", "rrmse", "accuracy", "balanced_accuracy",
        "d2". Of `predict_proba`: "log_loss", "roc_auc". Of `predict_samples`: "crps", "energy", "variogram". Of
        `predict_interval`: "interval". Of `predict_region`, or of `predict_interval` if the estimator has no regions:
        "joint_coverage", which is to be near the asked coverage, not large. Of predictions where some labels are
        limits: "concordance", and "censored_rmse", the lower bound. Errors and scores of which smaller ones are better
        are negated. Or a function of `y_true`, `y_pred`, `multioutput` and, if there are weights, `sample_weight`, for
        which greater is better.
    task : str, int, list of these or None, default=None
        Names or positions of the only tasks to score; None is the mean over tasks, or the joint score of all. Names are
        those of y's columns or, if y has none, those in the fitted estimator's `task_names_`.
    **options : dict
        Options of the function, such as `scale` of "energy"; of a method of draws, `n_samples` (100) and `random_state`
        (0, so that all candidates of a search are scored by the same random numbers); of one of intervals or regions,
        `coverage` (0.9).

    Returns
    -------
    callable
        Scorer of `estimator, X, y, sample_weight=None, censoring=None`: a float, greater is better. It warns of tasks
        with too few labels to be scored, by name. It raises an error for an unknown task, or if y has the tasks in
        another order than the estimator. It has `set_score_request(sample_weight=True)` for metadata routing, also of
        `censoring` for the scores that take it.

    Raises
    ------
    ValueError
        If `metric` is neither the name of a score nor callable.
    TypeError
        If the score has no such option.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_mtae.metrics import make_task_scorer
    >>> x = np.arange(4.0)[:, None]
    >>> model = LinearRegression().fit(x, np.hstack([x, -x]))
    >>> make_task_scorer("mae", task="y1")(model, x, [[0, 1], [1, None], [2, None], [3, -2]])
    -1.0
    """
    if not callable(metric) and not (isinstance(metric, str) and metric in SCORED):
        hint = suggest(metric, SCORED) if isinstance(metric, str) else ""
        raise ValueError(f"metric must be one of {list(SCORED)} or a function. Got {short(metric)} instead.{hint}")
    scorer = _TaskScorer(metric, task, options)
    scorer.check_options()
    return scorer


class _TaskScorer:
    """The result of :func:`make_task_scorer`."""

    def __init__(
        self,
        metric: str | Callable[..., float],
        task: str | int | Sequence[str | int] | None,
        options: Mapping[str, Any],
    ) -> None:
        self.metric = metric
        self.task = task
        self.options = dict(options)
        self._request = MetadataRequest(owner=repr(self))
        known = {"sample_weight", *_keywords(self._resolve().function)}
        for param in sorted(known & {"sample_weight", "censoring"}):
            self._request.score.add_request(param=param, alias=None)

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None, censoring: Any = None
    ) -> float:
        metric, truths, names = self._resolve(), target_columns(y), _names(estimator, y)
        tasks = self._positions(names)
        is_own = metric in SCORED.values()
        options = _of_tasks(self.options, tasks, names) if is_own else dict(self.options)
        asked = {name: options.pop(name) for name in options.keys() & _answered(metric)}
        arguments, found = ASKED[metric.response_method](estimator, X, y, metric, tasks, **asked)
        options |= found | self._of_labels(y, tasks, sample_weight, censoring)
        if not metric.is_joint:
            options["multioutput"] = "uniform_average"
        own = chosen(truths, tasks)
        if is_own:  # the package's own metrics name the tasks
            y = Labels(dict(zip(chosen(names, tasks), own, strict=True)))
        elif tasks is not None:
            y = side_by_side(own)
        score = metric.function(y, *arguments, **options)
        if not isinstance(score, Real):
            raise TypeError(f"metric must return a number. Got {short(self.metric)}, which returned {short(score)}.")
        return float(score) if metric.greater_is_better else -float(score)

    def __repr__(self) -> str:
        metric = getattr(self.metric, "__name__", self.metric)
        task = [] if self.task is None else [repr(self.task)]
        options = [f"{name}={short(value)}" for name, value in self.options.items()]
        return f"make_task_scorer({', '.join([repr(metric), *task, *options])})"

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the metadata that the scorer takes."""
        return self._request

    def set_score_request(self, **requests: bool | str | None) -> "_TaskScorer":
        """Set whether, or under which name, weights and censoring are passed on to the scorer, and return it."""
        unknown = requests.keys() - self._request.score.requests.keys()
        if unknown:
            known = list(self._request.score.requests)
            raise TypeError(f"{self!r} takes {known}. Got {sorted(unknown)}.")
        for param, alias in requests.items():
            self._request.score.add_request(param=param, alias=alias)
        return self

    def check_options(self) -> None:
        """Raise an error for an option that the package's own score does not have."""
        metric = self._resolve()
        if metric not in SCORED.values():
            return
        known = (_keywords(metric.function) - TAKEN) | _answered(metric)
        for name in self.options.keys() - known:
            raise TypeError(f"{self.metric!r} has the options {sorted(known)}. Got {name!r}.{suggest(name, known)}")

    def _accept_sample_weight(self) -> bool:
        # scikit-learn asks scorers this if a search with several of them is fitted with weights.
        return True

    def _resolve(self) -> Metric:
        if isinstance(self.metric, str):
            return SCORED[self.metric]
        known = (metric for metric in SCORED.values() if metric.function is self.metric)
        return next(known, Metric(self.metric, "predict", True))

    def _positions(self, names: list[str]) -> list[int] | None:
        """Return the positions of the tasks to score; None is all."""
        if self.task is None:
            return None
        if isinstance(self.task, str | int | np.integer):
            return [task_position(self.task, names, "task")]
        tasks = [task_position(task, names, "task") for task in self.task]
        if not tasks or len(set(tasks)) < len(tasks):
            raise ValueError(f"task must be a list of different tasks. Got {short(self.task)}.")
        return tasks

    def _of_labels(
        self, y: Any, tasks: list[int] | None, sample_weight: ArrayLike | None, censoring: Any
    ) -> dict[str, NDArray]:
        """Return what is passed on of weights and of codes."""
        cells = {}
        if sample_weight is not None:
            weight = np.asarray(sample_weight)
            cells["sample_weight"] = weight if weight.ndim == 1 else side_by_side(chosen(weight.T, tasks))
        if censoring is not None:
            if "censoring" not in self._request.score.requests:
                raise TypeError(f"{self!r} takes no censoring. Those of 'concordance' and 'censored_rmse' do.")
            cells["censoring"] = side_by_side(chosen(read_censoring(censoring, y).T, tasks))
        return cells


def _keywords(function: Callable[..., Any]) -> set[str]:
    """Return the names of a function's options."""
    try:
        parameters = signature(function).parameters
    except (TypeError, ValueError):  # functions of other languages have none
        return set()
    return {name for name, own in parameters.items() if own.default is not own.empty}


def _answered(metric: Metric) -> set[str]:
    """Return the options of the method that is asked for a score."""
    return _keywords(ASKED[metric.response_method])


def _of_tasks(options: Mapping[str, Any], tasks: list[int] | None, names: list[str]) -> dict[str, Any]:
    """Return options with the values of some tasks; those of another form are left to the score, which refuses them."""
    own = dict(options)
    if tasks is None:
        return own
    if not isinstance(own.get("scale"), str | None):
        own["scale"] = chosen(per_task(own["scale"], names, "scale"), tasks)
    if isinstance(own.get("y_range"), tuple | list):
        own["y_range"] = tuple(chosen(per_task(end, names, "y_range"), tasks) for end in own["y_range"])
    weights = np.asarray(own.get("weights"))
    if weights.shape == (len(names), len(names)):
        own["weights"] = weights[np.ix_(tasks, tasks)]
    return own


def _names(estimator: Any, y: Any) -> list[str]:
    names = task_names(y)
    known = list(getattr(last_step(estimator), "task_names_", names))
    check_order(y, known)
    named = hasattr(y, "columns") or getattr(y, "name", None) is not None
    return names if named or len(known) != len(names) else known
