"""Public docstrings follow numpydoc."""

import inspect
import math

import pytest
from numpydoc.validate import validate

import sklearn_mtae
from sklearn_mtae import inspection, metrics, model_selection

from .conftest import EVERY

CLASSES = [*EVERY, sklearn_mtae.PerTaskRegressor, sklearn_mtae.PerTaskClassifier, model_selection.TaskKFold]
CLASSES += [model_selection.StackedGridSearchCV, model_selection.StackedRandomizedSearchCV]
CLASSES += [model_selection.TaskShuffleSplit, model_selection.TransferReport]
CLASSES += [getattr(inspection, name) for name in inspection.__all__]
FUNCTIONS = [sklearn_mtae.stack_tasks, model_selection.transfer_report]
FUNCTIONS += [*(getattr(metrics, name) for name in metrics.__all__)]

# An extended summary, a "See Also" and examples stand where they help: with the classes, not with each method.
OPTIONAL = {"ES01", "SA01", "EX01", "GL01", "GL02", "GL03"}


def public_methods(estimator):
    for name, member in inspect.getmembers(estimator):
        inherited = "sklearn." in (inspect.getmodule(member).__name__ + "." if inspect.getmodule(member) else "")
        if not name.startswith("_") and inspect.isfunction(member) and not inherited:
            yield f"{estimator.__module__}.{estimator.__name__}.{name}"


OWN = [name for estimator in CLASSES for name in public_methods(estimator)]
NAMES = [f"{member.__module__}.{member.__name__}" for member in [*CLASSES, *FUNCTIONS]]


@pytest.mark.parametrize("name", [*OWN, *NAMES])
def test_docstring(name):
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in OPTIONAL]
    assert not errors


@pytest.mark.parametrize("estimator", CLASSES)
def test_every_parameter_is_documented_with_its_default(estimator):
    for name, parameter in inspect.signature(estimator).parameters.items():
        line = next(line for line in inspect.getdoc(estimator).splitlines() if line.startswith(f"{name} : "))
        if parameter.default is inspect.Parameter.empty:
            assert "default" not in line
        else:
            assert repr(eval(line.split("default=")[1], {"nan": math.nan})) == repr(parameter.default), line
