"""What a graph of ONNX returns for a method: arrays of numbers, or positions of labels that it looks up."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.fitted import Fitted

from ._describe import Exportable
from ._trace import NotExportableError


class Output(NamedTuple):
    """A result: its name, how it comes from the rows, and the labels that it is positions of, if so."""

    name: str
    function: Callable[[Tensor], Tensor]
    labels: NDArray | None = None


def outputs_of(own: Exportable, method: str, coverage: float) -> list[Output]:
    """Return the results of a method.

    Parameters
    ----------
    own : Exportable
        The estimator.
    method : str
        Name of the method.
    coverage : float
        Fraction of labels for intervals and sets.
    """
    table = {**_of_rows(own), **(_of_detector(own) if own.header["kind"] == "detector" else _of_tasks(own, coverage))}
    if method not in table:
        raise ValueError(f"method must be one of {sorted(table)} of {own.header['estimator']}. Got {method!r} instead.")
    return table[method]()


def default_methods(own: Exportable) -> list[str]:
    """Return the methods that are exported unless others are asked for."""
    known = {"transformer": ["transform"], "numbers": ["predict"], "detector": ["predict", "score_samples"]}
    return known.get(own.header["kind"], ["predict", "predict_proba"])


def _of_rows(own: Exportable) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods that give codes, or columns of X."""
    methods: dict[str, Callable[[], list[Output]]] = {}
    if "transform" in own.asked:
        methods["transform"] = lambda: [Output("transform", _only(own, "transform"))]
        methods["inverse_transform"] = lambda: _columns(own, "inverse_transform", _only(own, "inverse_transform"))
        methods["impute"] = lambda: _columns(own, "impute", _filled(own))
    if own.header["kind"] == "transformer":
        methods["predict"] = lambda: _columns(own, "predict", _only(own, "reconstruct"))
    return methods


def _only(own: Exportable, name: str) -> Callable[[Tensor], Tensor]:
    return lambda x: own.asked[name].function(x)[0]


def _filled(own: Exportable) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.where(x.isnan(), own.asked["impute"].function(x)[0], x)


def _columns(own: Exportable, method: str, function: Callable[[Tensor], Tensor]) -> list[Output]:
    """Return a matrix of the columns, or one result for each of them where some are categories."""
    levels = {int(j): np.array(known) for j, known in own.header["columns"]["levels"].items()}
    if not levels:
        return [Output(method, function)]
    names = own.features.names
    return [
        Output(f"{method}_{names[j]}", lambda x, j=j: function(x)[:, j : j + 1], levels.get(j))
        for j in range(own.features.count)
    ]


def _of_detector(own: Exportable) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods of a detector."""
    score, offset = _only(own, "score_samples"), float(own.arrays["offset"])

    def sign(x: Tensor) -> Tensor:
        return 1 - 2 * (score(x) < offset).long()

    return {
        "score_samples": lambda: [Output("score_samples", score)],
        "decision_function": lambda: [Output("decision_function", lambda x: score(x) - offset)],
        "predict": lambda: [Output("predict", sign)],
    }


def _of_tasks(own: Exportable, coverage: float) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods that predict tasks."""
    if "tasks" not in own.header:
        return {}
    tasks, methods = own.header["tasks"], {}
    classes = [None if known is None else np.array(known) for known in tasks["classes"]]
    if all(known is None for known in classes):
        methods["predict"] = lambda: [Output("predict", _part(own, "predict", "mean"))]
    else:
        methods["predict"] = lambda: [_prediction(own, task, known) for task, known in enumerate(classes)]
        for method, change in (("predict_proba", torch.exp), ("predict_log_proba", None)):
            methods[method] = lambda m=method, c=change: _by_class(own, m, c)
        methods["predict_set"] = lambda: _by_class(own, "predict_set", _within(own, coverage))
    if any(known is None for known in classes):
        methods["predict_interval"] = lambda: _interval(own, coverage)
    return methods


def _part(own: Exportable, computation: str, output: str) -> Callable[[Tensor], Tensor]:
    """Return the function of one of the results of a computation."""
    asked = own.asked[computation]
    return lambda x: asked.function(x)[asked.outputs.index(output)]


def _named(own: Exportable, method: str, task: int) -> str:
    """Return the name of a task's result: that of the method alone where y was one column."""
    tasks = own.header["tasks"]
    return method if tasks["n_dimensions"] == 1 else f"{method}_{tasks['names'][task]}"


def _prediction(own: Exportable, task: int, classes: NDArray | None) -> Output:
    """Return the prediction of one task: its mean, or its most probable class."""
    name = _named(own, "predict", task)
    if classes is None:
        means = _part(own, "predict", "mean")
        return Output(name, lambda x: means(x)[:, task])
    logs = _part(own, "predict", "log_proba")
    return Output(name, lambda x: logs(x)[:, task, : len(classes)].argmax(-1), classes)


def _by_class(own: Exportable, method: str, change: Callable[..., Tensor] | None) -> list[Output]:
    """Return the values for the classes of each task that has some."""
    logs = _part(own, "predict", "log_proba")

    def values(task: int, n: int) -> Callable[[Tensor], Tensor]:
        own_change = change[task] if isinstance(change, list) else change
        return lambda x: (own_change or (lambda own: own))(logs(x)[:, task, :n])

    classes = enumerate(own.header["tasks"]["classes"])
    return [Output(_named(own, method, task), values(task, len(known))) for task, known in classes if known is not None]


def _within(own: Exportable, coverage: float) -> Any:
    """Return, for each task, the function of whether classes are in the set."""
    is_class = np.array([known is not None for known in own.header["tasks"]["classes"]])
    far = _reach(own.fitted, coverage, is_class)
    return [lambda logs, least=-own: logs >= least for own in far.tolist()]


def _interval(own: Exportable, coverage: float) -> list[Output]:
    """Return the ends of the intervals of tasks of numbers."""
    is_number = np.array([known is None for known in own.header["tasks"]["classes"]])
    far = torch.from_numpy(_reach(own.fitted, coverage, is_number))
    low, high = map(torch.from_numpy, own.arrays["limits"])
    mean, std = (_part(own, "spread", name) for name in ("mean", "std"))

    def end(sign: int) -> Callable[[Tensor], Tensor]:
        return lambda x: (mean(x) + sign * std(x) * far).clamp(low, high)

    return [Output("lower", end(-1)), Output("upper", end(1))]


def _reach(fitted: Fitted | None, coverage: float, wanted: NDArray[np.bool_]) -> NDArray:
    assert fitted is not None
    if not fitted.average.scores:
        raise NotExportableError("Intervals and sets need rows that were held out from a model, and there are none.")
    return reach(fitted, coverage, wanted)


def lowered(outputs: Sequence[Output]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return the function of all results."""
    return lambda x: tuple(output.function(x) for output in outputs)
