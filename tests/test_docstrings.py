"""Public docstrings follow numpydoc."""

import inspect

import pytest
from numpydoc.validate import validate

from sklearn_mtae import metrics

from .conftest import ESTIMATORS

# An extended summary, a "See Also" and examples stand where they help: with the classes, not with each method.
OPTIONAL = {"ES01", "SA01", "EX01", "GL01", "GL02", "GL03"}


def public_methods(estimator):
    for name, member in inspect.getmembers(estimator):
        inherited = "sklearn." in (inspect.getmodule(member).__name__ + "." if inspect.getmodule(member) else "")
        if not name.startswith("_") and inspect.isfunction(member) and not inherited:
            yield f"{estimator.__module__}.{estimator.__name__}.{name}"


OWN = [name for estimator in ESTIMATORS for name in public_methods(estimator)]
CLASSES = [f"{estimator.__module__}.{estimator.__name__}" for estimator in ESTIMATORS]


@pytest.mark.parametrize("name", [*OWN, *CLASSES, *(f"sklearn_mtae.metrics.{name}" for name in metrics.__all__)])
def test_docstring(name):
    errors = [(code, text) for code, text in validate(name)["errors"] if code not in OPTIONAL]
    assert not errors


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_documented_with_its_default(estimator):
    for name, parameter in inspect.signature(estimator).parameters.items():
        line = next(line for line in inspect.getdoc(estimator).splitlines() if line.startswith(f"{name} : "))
        stated = line.split("default=")[1]
        assert eval(stated) == parameter.default, line
