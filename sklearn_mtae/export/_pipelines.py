"""Converters for skl2onnx: estimators of this package within pipelines of scikit-learn."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._estimators.autoencoder import AutoencoderTransformer
from sklearn_mtae._estimators.classifier import MultiTaskVAEClassifier
from sklearn_mtae._estimators.imputer import VAEImputer
from sklearn_mtae._estimators.mixed import MultiTaskVAE
from sklearn_mtae._estimators.multi_task import BaseMultiTaskVAE
from sklearn_mtae._estimators.multiple_imputation import MultipleImputation
from sklearn_mtae._estimators.outliers import OutlierDetector
from sklearn_mtae._estimators.per_task import PerTaskClassifier, PerTaskRegressor
from sklearn_mtae._estimators.per_task_base import OneClass
from sklearn_mtae._estimators.regressor import MultiTaskVAERegressor
from sklearn_mtae._estimators.vae import VAETransformer

from ._describe import describe
from ._graph import OPSET, Graph, Node
from ._onnx import ML, attributes_of, graph_of, is_text, onnx_helper, sizes_of, tensor_type
from ._outputs import default_methods, outputs_of
from ._runnable import runnable
from ._trace import NotExportableError

COVERAGE = 0.9
CONVERTED = (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
)
"""Estimators whose graphs are converted; those of estimators per task are skl2onnx's own."""


def register_converters() -> None:
    """Make skl2onnx convert the estimators of this package, alone and in pipelines.

    As a step of a pipeline, an estimator without tasks is `transform`; at its end one with tasks is `predict`, and
    `predict_proba` where there are classes. Probabilities are arrays, never dicts: there is no ZipMap.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    Examples
    --------
    >>> from skl2onnx import to_onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_mtae import AutoencoderTransformer
    >>> from sklearn_mtae.export import register_converters
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(AutoencoderTransformer(2, max_iter=5, random_state=0), LogisticRegression())
    >>> model = model.fit(X, y)
    >>> register_converters()
    >>> converted = to_onnx(model, X[:1].astype("float32"), options={"zipmap": False})
    >>> [output.name for output in converted.graph.output]
    ['label', 'probabilities']
    """
    register = partial(_skl2onnx("update_registered_converter"), options={"zipmap": [False, True]})
    for kind in CONVERTED:
        register(kind, f"SklearnMtae{kind.__name__}", _shapes, _convert, parser=_parse)
    for kind in (PerTaskClassifier, PerTaskRegressor):
        register(kind, f"SklearnMtae{kind.__name__}", _keep_shapes, _convert_heads, parser=_parse_heads)


def convert_other(estimator: Any, dtype: str) -> Any:
    """Return the ONNX model of an estimator that skl2onnx converts."""
    check_is_fitted(estimator)
    _check_steps(estimator)
    register_converters()
    options = {"zipmap": False} if is_classifier(estimator) else None
    return _skl2onnx("convert_sklearn")(
        estimator, initial_types=_inputs(estimator, dtype), options=options, target_opset={"": OPSET, ML: 3}
    )


def _inputs(estimator: Any, dtype: str) -> list[tuple[str, Any]]:
    """Return names and types of the inputs: a matrix, or each column where some are found by name or are strings."""
    types, n_columns = _skl2onnx("common.data_types"), estimator.n_features_in_
    number = {"float32": types.FloatTensorType, "float64": types.DoubleTensorType}[dtype]
    names, strings = getattr(estimator, "feature_names_in_", None), _strings(estimator)
    by_name = names is not None and isinstance(_first(estimator), ColumnTransformer)
    if not (strings or by_name):
        return [("X", number([None, n_columns]))]
    names = range(n_columns) if names is None else names
    return [
        (str(name) or f"column{j}", (types.StringTensorType if j in strings else number)([None, 1]))
        for j, name in enumerate(names)
    ]


def _first(estimator: Any) -> Any:
    """Return the first step of a pipeline, or the estimator itself."""
    return _first(estimator.steps[0][1]) if isinstance(estimator, Pipeline) else estimator


def _strings(estimator: Any) -> set[int]:
    """Return which columns hold strings, as far as the estimators that read them know."""
    first = _first(estimator)
    if isinstance(first, ColumnTransformer):
        places = first._transformer_to_input_indices
        return {int(places[name][j]) for name, own, _ in first.transformers_ for j in _strings(own)}
    if isinstance(first, CONVERTED):
        return {int(j) for j, levels in describe(first).header["columns"]["levels"].items() if is_text(levels)}
    return {j for j, own in enumerate(getattr(first, "categories_", ())) if np.asarray(own).dtype.kind in "OU"}


def _check_steps(estimator: Any) -> None:
    """Refuse what has no converter, and what cannot be where it is."""
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("", estimator)]
    for place, (name, step) in enumerate(steps, 1):
        if isinstance(step, MultipleImputation):
            describe(step)
        if isinstance(step, BaseMultiTaskVAE) and place < len(steps):
            raise NotExportableError(
                f"Only the last step of a pipeline may have tasks. Step {name!r} is a {type(step).__name__}."
            )
    if not hasattr(estimator, "n_features_in_"):
        raise NotExportableError(f"{type(estimator).__name__} does not know the number of its columns, n_features_in_.")


def _skl2onnx(path: str) -> Any:
    """Return a part of skl2onnx."""
    try:
        import skl2onnx
        import skl2onnx.algebra.onnx_operator
        import skl2onnx.algebra.onnx_ops
    except ImportError as error:
        raise ImportError(
            "Converting pipelines needs skl2onnx, which is not installed.  Install it with: "
            "pip install 'sklearn-mtae[onnx]'"
        ) from error
    found: Any = skl2onnx
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare the results of an estimator; `_shapes` finds their types."""
    operator = scope.declare_local_operator(f"SklearnMtae{type(model).__name__}", model)
    operator.inputs = inputs
    own = describe(model)
    for output in [output for method in default_methods(own) for output in outputs_of(own, method, COVERAGE)]:
        method = max((name for name in NAMES if output.name.startswith(name)), key=len)
        name = NAMES[method] + output.name.removeprefix(method)
        name = "variable" if name == "label" and own.header["kind"] == "numbers" else name
        operator.outputs.append(scope.declare_local_variable(name, _floats(inputs)()))
    return operator.outputs


NAMES = {"transform": "variable", "predict": "label", "predict_proba": "probabilities", "score_samples": "scores"}
"""Names that skl2onnx gives the results of methods."""


def _floats(inputs: Any) -> Any:
    """Return the type of numbers: that of the inputs."""
    types = _skl2onnx("common.data_types")
    is_double = any(isinstance(own.type, types.DoubleTensorType) for own in inputs)
    return types.DoubleTensorType if is_double else types.FloatTensorType


def _shapes(operator: Any) -> None:
    """Find the types of the results: those of the graph, which is kept."""
    types = _skl2onnx("common.data_types")
    dtype = np.float64 if _floats(operator.inputs) is types.DoubleTensorType else np.float32
    own = describe(operator.raw_operator, precise=dtype == np.float64)
    graph, _ = operator.exported = graph_of(own, default_methods(own), COVERAGE, dtype)
    kinds = {"U": types.StringTensorType, "b": types.BooleanTensorType, "i": types.Int64TensorType}
    for variable, name in zip(operator.outputs, graph.outputs, strict=True):
        found = graph.dtypes[name]
        kind = types.DoubleTensorType if found == np.float64 else types.FloatTensorType
        variable.type = kinds.get(found.kind, kind)(sizes_of(graph, name))


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of an estimator."""
    graph, inputs = operator.exported
    names = dict(zip(graph.outputs, [own.onnx_name for own in operator.outputs], strict=True))
    given = [own.onnx_name for own in operator.inputs]
    if len(inputs) == 1 and len(given) > 1:
        names["X"] = scope.get_unique_variable_name("X")
        container.add_node("Concat", given, [names["X"]], op_version=13, axis=1)
    elif len(inputs) == len(given):
        names |= dict(zip(inputs, given, strict=True))
    else:
        raise NotExportableError(
            f"{type(operator.raw_operator).__name__} needs an input for each column, {list(inputs)}, since it reads "
            f"strings. Got {given}. Make it the first step of the pipeline, or encode the strings before it."
        )
    _add(scope, container, graph, names)


def _add(scope: Any, container: Any, graph: Graph, names: dict[str, str]) -> None:
    """Add a graph to a container, under names that nothing else has."""

    def named(name: str) -> str:
        if name not in names:
            names[name] = scope.get_unique_variable_name(f"mtae_{name}")
        return names[name]

    helper, to_tensor = onnx_helper()
    graph = runnable(graph, helper, to_tensor)
    for name, value in graph.constants.items():
        if value.dtype.kind == "U":
            container.add_initializer(named(name), tensor_type(value.dtype), list(value.shape), value.ravel().tolist())
        else:
            container.add_initializer(named(name), None, None, to_tensor(value, named(name)))
    for node in graph.nodes:
        _add_node(
            container, Node(node.operator, [*map(named, node.inputs)], [*map(named, node.outputs)], node.attributes)
        )


def _add_node(container: Any, node: Node) -> None:
    domain, version = (ML, 2) if node.operator == "LabelEncoder" else ("", OPSET)
    container.add_node(
        node.operator, node.inputs, node.outputs, op_domain=domain, op_version=version, **attributes_of(node)
    )


def _parse_heads(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare the predictions of estimators per task, and the probabilities of each."""
    types, n_tasks = _skl2onnx("common.data_types"), len(model.estimators_)
    operator = scope.declare_local_operator(f"SklearnMtae{type(model).__name__}", model)
    operator.inputs = inputs
    named = list(zip(model.estimators_, model.task_names_, strict=True))
    for head, name in named:
        if isinstance(head, OneClass):
            raise NotExportableError(f"Task {name!r} has one class only, which skl2onnx cannot convert.")
        if is_classifier(head) != is_classifier(model):
            raise NotExportableError(f"A {type(model).__name__} with classifiers cannot be exported: task {name!r}.")
    made = [("variable", _floats(inputs)([None, n_tasks]))]
    if is_classifier(model):
        labels = [
            (types.Int64TensorType if head.classes_.dtype.kind in "iub" else types.StringTensorType)([None])
            for head, _ in named
        ]
        shares = [_floats(inputs)([None, len(head.classes_)]) for head, _ in named]
        made = [(f"label_{name}", own) for own, (_, name) in zip(labels, named, strict=True)]
        made += [(f"probabilities_{name}", own) for own, (_, name) in zip(shares, named, strict=True)]
    operator.outputs += [scope.declare_local_variable(*own) for own in made]
    return operator.outputs


def _keep_shapes(operator: Any) -> None:
    """Leave the results' types as they were declared."""


def _convert_heads(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of estimators per task."""
    ops, sub = _skl2onnx("algebra.onnx_ops"), _skl2onnx("algebra.onnx_operator").OnnxSubEstimator
    version, model = container.target_opset, operator.raw_operator
    options = {"zipmap": False} if is_classifier(model) else None
    made = [sub(head, operator.inputs[0], op_version=version, options=options) for head in model.estimators_]
    if is_classifier(model):
        parts = [own[0] for own in made] + [own[1] for own in made]
        for part, variable in zip(parts, operator.outputs, strict=True):
            ops.OnnxIdentity(part, op_version=version, output_names=[variable]).add_to(scope, container)
        return
    column = np.array([-1, 1], dtype=np.int64)
    columns = [ops.OnnxReshape(own, column, op_version=version) for own in made]
    ops.OnnxConcat(*columns, axis=1, op_version=version, output_names=[operator.outputs[0]]).add_to(scope, container)
