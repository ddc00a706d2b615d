"""The house: imports go down by folder, without circles, and no part of it is too large to be read at once."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_mtae
from tests.house import IMPORTS, MODULES, floors, folder_of, room_of, rooms

TESTS = Path(__file__).parent
MOST_ROOMS, MOST_FLOORS = 17, 8
MOST_LINES, MOST_DOCUMENTED_LINES, MOST_BODY_LINES = 400, 450, 40
MOST_COPIED_LINES = {"runtime": 800}
"""Lines of a file that is copied on its own, to where the package is not."""


def test_rooms_stand_on_each_other_without_circles():
    assert max(floors(rooms()).values()) <= MOST_FLOORS
    assert len({folder_of(name) for name in MODULES}) <= MOST_ROOMS


def test_files_import_each_other_without_circles():
    floors({name: inside for name, (inside, _) in IMPORTS.items()})


def test_a_circle_is_seen():
    with pytest.raises(AssertionError, match=r"a circle among \['a', 'b'\]"):
        floors({"a": {"b"}, "b": {"a"}, "c": set()})


@pytest.mark.parametrize("foreign", [r"skorch\b", r"sklearn\.callback\b", r"sklearn\b.*\._"])
def test_only_one_file_imports_a_foreign_part(foreign):
    users = [name for name, (_, outside) in IMPORTS.items() if any(re.match(foreign, module) for module in outside)]
    assert len(users) == 1, users


@pytest.mark.parametrize("name", [name for name in MODULES if name.partition(".")[0] == "nn"])
def test_nn_stands_on_torch_alone(name):
    inside, outside = IMPORTS[name]
    assert {module.partition(".")[0] for module in outside} - sys.stdlib_module_names <= {"torch", "numpy"}
    assert {own.partition(".")[0] for own in inside} <= {"nn"}


def test_metrics_stand_on_tables_alone():
    inside = set().union(*(inside for name, (inside, _) in IMPORTS.items() if room_of(name) == "metrics"))
    assert {room_of(own) for own in inside} <= {"metrics", "_tables", "nn"}


def lines_of(nodes):
    """Return the numbers of the lines that nodes of a module lie on."""
    return {line for node in nodes if hasattr(node, "lineno") for line in range(node.lineno, node.end_lineno + 1)}


def is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_can_be_read_at_once(name):
    text = MODULES[name].read_text()
    tree, n_lines = ast.parse(text), len(text.splitlines())
    code = lines_of(ast.walk(tree)) - lines_of(filter(is_text, ast.walk(tree)))
    is_documentation = len(code) <= MOST_LINES / 2 and n_lines <= MOST_DOCUMENTED_LINES
    assert n_lines <= MOST_COPIED_LINES.get(name, MOST_LINES) or is_documentation
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":  # it assigns parameters, one on each line
            body = [statement for statement in node.body if not is_text(statement)]
            assert not body or body[-1].end_lineno - body[0].lineno < MOST_BODY_LINES, node.name


def test_tests_are_found_by_the_name_of_the_file_that_they_test():
    """What is tested in a folder is of the folder of that name; what the whole package holds is tested in the root."""
    for path in sorted(set(TESTS.glob("*/test_*.py")) - set(TESTS.glob("docs/*"))):
        names = {name for name in MODULES if name.split(".")[0].removeprefix("_") == path.parent.name}
        files = {part.removeprefix("_") for name in names for part in name.split(".")[1:]}
        assert any(f"{path.stem}_".startswith(f"test_{file}_") for file in files), path


@pytest.mark.slow
def test_import_has_no_side_effect_on_torch_and_scikit_learn_and_needs_no_pandas():
    program = (
        "import sys; sys.modules['pandas'] = None;"
        "import torch, numpy, warnings; before = (torch.get_default_dtype(), torch.get_num_threads(), "
        "torch.random.get_rng_state().sum().item(), len(warnings.filters));"
        "import skorch, sklearn.utils.validation; n = len(warnings.filters);"
        "import sklearn_mtae; all(hasattr(sklearn_mtae, name) for name in sklearn_mtae.__all__);"
        "after = (torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state().sum().item());"
        "assert before[:3] == after and n == len(warnings.filters);"
        "import sklearn_mtae.model_selection; names = vars(sys.modules['sklearn.model_selection']);"
        "assert 'GridSearchCV' in names and 'HalvingGridSearchCV' not in names;"
        "from sklearn_mtae import stack_tasks;"
        "X, Y = stack_tasks({'a': (numpy.ones((2, 1)), ['x', None])}); assert Y.tolist() == [['x'], [None]]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["sklearn_mtae", "sklearn_mtae.runtime"])
def test_what_is_imported_when_it_is_used(module):
    program = (
        f"import sys, {module};"
        "heavy = {'torch', 'sklearn', 'scipy', 'skorch', 'joblib', 'pandas'} & sys.modules.keys();"
        "assert not heavy, heavy;"
        "assert set(sklearn_mtae.__all__) <= set(dir(sklearn_mtae))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_are_where_the_package_says():
    tree = ast.parse(MODULES[""].read_text())
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    del typed["__version__"]
    assert typed == sklearn_mtae._MODULES
    assert {*typed, "__version__"} == set(sklearn_mtae.__all__)
    assert all(hasattr(sklearn_mtae, name) for name in dir(sklearn_mtae))
    assert {name for name in map(room_of, MODULES) if name and not name.startswith("_")} == sklearn_mtae._PARTS
    with pytest.raises(AttributeError, match="module 'sklearn_mtae' has no attribute 'VAETransfomer'"):
        _ = sklearn_mtae.VAETransfomer
