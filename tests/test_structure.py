"""The house: imports go down by folder, without circles, and every part is read from the tree itself."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_mtae

ROOT = Path(sklearn_mtae.__file__).parent
MOST_ROOMS, MOST_FLOORS = 16, 8


def name_of(path):
    """Return the name of a module within the package, "" of the package itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def folder_of(name):
    """Return the folder of a module; a file in the root is a room of its own."""
    is_folder = MODULES[name].name == "__init__.py"
    return name if is_folder or "." not in name else name.rpartition(".")[0]


def room_of(name):
    """Return the room of a module: a folder in the root with all that is in it, or a file in the root."""
    return name.partition(".")[0]


def imports(name):
    """Return the modules of the package that a module imports, and those outside it, within functions too."""
    path, inside, outside = MODULES[name], set(), set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = {alias.name: [] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ["sklearn_mtae", *package[: len(package) - node.level + 1]] if node.level else []
            modules = {".".join([*above, *filter(None, [node.module])]): [alias.name for alias in node.names]}
        else:
            continue
        for module, names in modules.items():
            top, _, within = module.partition(".")
            if top != "sklearn_mtae":
                outside |= {module, *(f"{module}.{own}" for own in names)}
                continue
            submodules = {full for own in names if (full := f"{within}.{own}".lstrip(".")) in MODULES}
            inside |= submodules
            if within in MODULES and len(submodules) < max(1, len(names)):
                inside.add(within)
    return inside - {name}, outside


IMPORTS = {name: imports(name) for name in MODULES}


def floors(arrows):
    """Return the floor of each node, one above the highest that it stands on; an error where there is a circle."""
    floor = {}
    while len(floor) < len(arrows):
        ready = {node for node, below in arrows.items() if node not in floor and below <= floor.keys()}
        assert ready, f"a circle among {sorted(arrows.keys() - floor.keys())}"
        floor |= {node: 1 + max((floor[own] for own in arrows[node]), default=0) for node in ready}
    return floor


def rooms():
    """Return the rooms that each room stands on."""
    arrows = {room_of(name): set() for name in MODULES}
    for name, (inside, _) in IMPORTS.items():
        arrows[room_of(name)] |= {room_of(own) for own in inside} - {room_of(name)}
    return arrows


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


def test_import_has_no_side_effect_on_torch_and_needs_no_pandas():
    program = (
        "import sys; sys.modules['pandas'] = None;"
        "import torch, numpy, warnings; before = (torch.get_default_dtype(), torch.get_num_threads(), "
        "torch.random.get_rng_state().sum().item(), len(warnings.filters));"
        "import skorch, sklearn.utils.validation; n = len(warnings.filters); import sklearn_mtae;"
        "after = (torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state().sum().item());"
        "assert before[:3] == after and n == len(warnings.filters);"
        "from sklearn_mtae import stack_tasks;"
        "X, Y = stack_tasks({'a': (numpy.ones((2, 1)), ['x', None])}); assert Y.tolist() == [['x'], [None]]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
