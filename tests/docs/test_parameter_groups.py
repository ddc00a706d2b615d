"""The documentation shows each parameter of an estimator in one group."""

import importlib.util
import inspect
from collections import Counter
from pathlib import Path

import pytest

import sklearn_mtae

pytest.importorskip("docutils")

EXTENSION = Path(__file__).parents[2] / "docs" / "_ext" / "parameter_groups.py"
ESTIMATORS = [
    member
    for member in (getattr(sklearn_mtae, name) for name in sklearn_mtae.__all__)
    if inspect.isclass(member) and hasattr(member, "get_params")
]


@pytest.fixture(scope="module")
def groups():
    spec = importlib.util.spec_from_file_location("parameter_groups", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GROUPS


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_every_parameter_is_in_one_group(estimator, groups):
    count = Counter(name for _, names in groups.values() for name in names)
    parameters = inspect.signature(estimator).parameters
    assert {name: count[name] for name in parameters} == dict.fromkeys(parameters, 1)


def test_groups_name_parameters_only(groups):
    known = {name for estimator in ESTIMATORS for name in inspect.signature(estimator).parameters}
    assert {name for _, names in groups.values() for name in names} <= known
