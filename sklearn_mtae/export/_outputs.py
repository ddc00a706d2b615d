"""What a graph of ONNX returns for a method: arrays of numbers, or positions of labels that it looks up."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._fitting.averaging import reach
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae.runtime import SLACK

from ._describe import Exportable
from ._trace import NotExportableError


class Results:
    """The computations of an estimator for some rows, each of which is done once.

    Parameters
    ----------
    own : Exportable
        The estimator.
    x : Tensor
        The rows.
    single : bool, default=False
        Whether the rows came in float32.
    """

    def __init__(self, own: Exportable, x: Tensor, single: bool = False) -> None:
        self.own, self.x, self.single = own, x, single
        self._found: dict[str, dict[str, Tensor]] = {}

    def __call__(self, computation: str, output: str | None = None) -> Tensor:
        """Return a result of a computation."""
        if computation not in self._found:
            both = f"{computation}_float32" if self.single else computation
            asked = self.own.asked.get(both, self.own.asked[computation])
            self._found[computation] = dict(zip(asked.outputs, asked.function(self.x), strict=True))
        return self._found[computation][output or computation]


Value = Callable[[Results], Tensor]


class Output(NamedTuple):
    """A result: its name, how it comes from the computations, and the labels that it is positions of, if so."""

    name: str
    value: Value
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
    kinds = {"detector": _of_detector, "imputer": _of_imputer}
    table = (
        kinds[own.header["kind"]](own) if own.header["kind"] in kinds else {**_of_rows(own), **_of_tasks(own, coverage)}
    )
    if method not in table:
        raise ValueError(f"method must be one of {sorted(table)} of {own.header['estimator']}. Got {method!r} instead.")
    return table[method]()


def default_methods(own: Exportable) -> list[str]:
    """Return the methods that are exported unless others are asked for."""
    known = {"transformer": ["transform"], "numbers": ["predict"], "detector": ["predict", "score_samples"]}
    return {**known, "imputer": ["transform"]}.get(own.header["kind"], ["predict", "predict_proba"])


def _of_rows(own: Exportable) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods that give codes, or columns of X."""
    methods: dict[str, Callable[[], list[Output]]] = {}

    def whole(computation: str) -> Value:
        return lambda r: _rounded(r(computation), own.header["columns"]["dtypes"])

    methods["transform"] = lambda: [Output("transform", lambda r: r("transform"))]
    methods["inverse_transform"] = lambda: _columns(own, "inverse_transform", whole("inverse_transform"))
    methods["impute"] = lambda: _columns(own, "impute", lambda r: torch.where(r.x.isnan(), whole("impute")(r), r.x))
    methods["score_samples"] = lambda: [Output("score_samples", lambda r: r("score_samples", "log_density"))]
    if own.header["kind"] == "transformer":
        methods["predict"] = lambda: _columns(own, "predict", whole("reconstruct"))
    return methods


def _rounded(values: Tensor, dtypes: Sequence[str] | None) -> Tensor:
    """Return columns as the dtypes of `fit` hold them: whole numbers, and 0 or 1 for booleans."""
    kinds = [np.dtype(own) for own in dtypes or ()]
    if all(kind.kind == "f" for kind in kinds):
        return values
    return torch.cat([_held(values[:, j : j + 1], kind) for j, kind in enumerate(kinds)], dim=1)


def _held(values: Tensor, dtype: np.dtype) -> Tensor:
    """Return one column as a dtype holds it, NaN where it is missing."""
    if dtype.kind == "b":
        return torch.where(values.isnan(), values, (values > 0.5).to(values))
    if dtype.kind in "iu":
        return values.double().round().clamp(np.iinfo(dtype).min, np.iinfo(dtype).max)
    return values


def _columns(
    own: Exportable, method: str, value: Value, positions: Sequence[int] | None = None, names: Sequence | None = None
) -> list[Output]:
    """Return a matrix of the columns, or one result for each of them where some are categories.

    `positions` and `names` say what is in the matrix; None is the columns themselves.
    """
    levels = {int(j): np.array(known) for j, known in own.header["columns"]["levels"].items()}
    if not levels:
        return [Output(method, value)]
    known = own.features.names if names is None else names
    return [
        Output(f"{method}_{name}", lambda r, j=j: value(r)[:, j : j + 1], levels.get(position))
        for j, (position, name) in enumerate(zip(positions or range(len(known)), known, strict=True))
    ]


def _of_imputer(own: Exportable) -> dict[str, Callable[[], list[Output]]]:
    """Return the method of an imputer: columns without gaps, then indicators."""
    known, count = own.header["imputer"], own.features.count
    positions = known["kept"] + list(range(count, count + len(known["indicators"])))
    is_empty = torch.tensor([j in known["empty"] for j in range(count)])

    def value(r: Results) -> Tensor:
        gaps = r.x.isnan()
        filled = torch.where(gaps, _rounded(r("impute"), own.header["columns"]["dtypes"]), r.x)
        filled = torch.where(is_empty & gaps, 0.0, filled)
        return torch.cat([filled, gaps[:, known["indicators"]].to(filled.dtype)], dim=1)[:, positions]

    return {"transform": lambda: _columns(own, "transform", value, positions, own.header["names_out"])}


def _of_detector(own: Exportable) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods of a detector."""
    offset = float(own.arrays["offset"])

    def sign(r: Results) -> Tensor:
        return 1 - 2 * (r("score_samples") < offset).long()

    return {
        "score_samples": lambda: [Output("score_samples", lambda r: r("score_samples"))],
        "decision_function": lambda: [Output("decision_function", lambda r: r("score_samples") - offset)],
        "predict": lambda: [Output("predict", sign)],
    }


def _of_tasks(own: Exportable, coverage: float) -> dict[str, Callable[[], list[Output]]]:
    """Return the methods that predict tasks."""
    if "tasks" not in own.header:
        return {}
    classes = [None if known is None else np.array(known) for known in own.header["tasks"]["classes"]]
    is_number = np.array([known is None for known in classes])
    methods: dict[str, Callable[[], list[Output]]] = {}
    methods["predict"] = lambda: [_prediction(own, task, known) for task, known in enumerate(classes)]
    if is_number.all():
        methods["predict"] = lambda: [Output("predict", lambda r: r("predict", "mean"))]
    if is_number.any():
        methods["predict_interval"] = lambda: _interval(own, _reach(own.fitted, coverage, is_number))
    if not is_number.all():
        methods["predict_proba"] = lambda: _by_class(own, "predict_proba", lambda logs, task: logs.exp())
        methods["predict_log_proba"] = lambda: _by_class(own, "predict_log_proba", lambda logs, task: logs)
        methods["predict_set"] = lambda: _by_class(own, "predict_set", _within(own, coverage, ~is_number))
    return methods


def _named(own: Exportable, method: str, task: int) -> str:
    """Return the name of a task's result: that of the method alone where y was one column."""
    tasks = own.header["tasks"]
    return method if tasks["n_dimensions"] == 1 else f"{method}_{tasks['names'][task]}"


def _prediction(own: Exportable, task: int, classes: NDArray | None) -> Output:
    """Return the prediction of one task: its mean, or its most probable class."""
    name = _named(own, "predict", task)
    if classes is None:
        return Output(name, lambda r: r("predict", "mean")[:, task])
    return Output(name, lambda r: r("predict", "log_proba")[:, task, : len(classes)].argmax(-1), classes)


def _by_class(own: Exportable, method: str, change: Callable[[Tensor, int], Tensor]) -> list[Output]:
    """Return the values for the classes of each task that has some."""
    known = enumerate(own.header["tasks"]["classes"])
    sizes = {task: len(classes) for task, classes in known if classes is not None}

    def value(task: int) -> Value:
        return lambda r: change(r("predict", "log_proba")[:, task, : sizes[task]], task)

    return [Output(_named(own, method, task), value(task)) for task in sizes]


def _within(own: Exportable, coverage: float, is_class: NDArray[np.bool_]) -> Callable[[Tensor, int], Tensor]:
    """Return the function of whether classes are in the set."""
    far = _reach(own.fitted, coverage, is_class).tolist()
    return lambda logs, task: logs >= -far[task] - SLACK


def _interval(own: Exportable, far: NDArray) -> list[Output]:
    """Return the ends of the intervals of tasks of numbers."""
    reach, (low, high) = torch.from_numpy(far), map(torch.from_numpy, own.arrays["limits"])

    def end(sign: int) -> Value:
        return lambda r: (r("spread", "mean") + sign * r("spread", "std") * reach).clamp(low, high)

    return [Output("lower", end(-1)), Output("upper", end(1))]


def _reach(fitted: Fitted | None, coverage: float, wanted: NDArray[np.bool_]) -> NDArray:
    """Return how far intervals and sets reach, by task."""
    assert fitted is not None
    if not fitted.average.scores:
        raise NotExportableError("Intervals and sets need rows that were held out from a model, and there are none.")
    return reach(fitted, coverage, wanted)
