"""Imports go down only: what each part of the house may stand on."""

import ast
import sys
from pathlib import Path

import pytest

import sklearn_mtae

ROOT = Path(sklearn_mtae.__file__).parent
LEAVES = {"likelihoods", "posteriors", "priors", "corruptions", "penalties", "schedules", "architectures", "random"}
ABOVE = {
    "_parts",
    "_planning",
    "_training",
    "_interpretation",
    "_base",
    "_autoencoder",
    "_variational",
    "_vae",
    "_imputer",
    "_multitask",
    "_regressor",
    "_classifier",
    "_per_task",
    "model_selection",
    "inspection",
}


def imports(path):
    """Return (names within the package, names outside it) that a file imports."""
    inside, outside = set(), set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            inside.add(".".join([*above, node.module or ""]))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn_mtae."):
            inside.add(node.module.removeprefix("sklearn_mtae."))
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module)
        elif isinstance(node, ast.Import):
            outside |= {alias.name for alias in node.names}
    return inside, outside


FILES = sorted(ROOT.rglob("*.py"))
NAMES = ("callbacks", "checkpoint", "columns", "data", "devices", "graphs", "index", "labels", "layout", "linear")
NAMES += ("net", "optimizer", "shared_fits", "stack", "stacking", "state", "table", "tape", "tasks", "validation")
BELOW = [ROOT / f"_{name}.py" for name in NAMES]
BELOW += sorted((ROOT / "metrics").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_file_imports_each_foreign_private_part(path):
    _, outside = imports(path)
    if path.name != "_net.py":
        assert not {name for name in outside if name.split(".")[0] == "skorch"}
    if path.name != "_validation.py":
        assert not {name for name in outside if name.startswith("sklearn.") and "._" in name}
    if path.name != "_callbacks.py":
        assert "sklearn.callback" not in outside


@pytest.mark.parametrize("path", sorted((ROOT / "nn").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nn_stands_on_torch_alone(path):
    inside, outside = imports(path)
    assert {name.split(".")[0] for name in outside} - sys.stdlib_module_names <= {"torch", "numpy"}
    own = path.relative_to(ROOT / "nn").parts[0].removesuffix(".py")
    within = {name.split(".")[1] for name in inside} - {own}
    if own in LEAVES:
        # A prior is a divergence from a posterior; otherwise leaves know nothing of each other.
        assert within <= {"posteriors"}
    assert not within & {"objectives", "loss"} or path.stem == "loss"
    assert all(name.startswith("nn.") for name in inside), "nn imports nothing from above it"


@pytest.mark.parametrize("path", BELOW, ids=lambda path: str(path.relative_to(ROOT)))
def test_lower_parts_do_not_import_the_estimators(path):
    inside, _ = imports(path)
    assert not {part.split(".")[0] for part in inside} & ABOVE


def test_import_has_no_side_effect_on_torch_and_needs_no_pandas():
    import subprocess

    program = (
        "import sys; sys.modules['pandas'] = None;"
        "import torch, numpy, warnings; before = (torch.get_default_dtype(), torch.get_num_threads(), "
        "torch.random.get_rng_state().sum().item(), len(warnings.filters));"
        "import skorch, sklearn.utils.validation; n = len(warnings.filters); import sklearn_mtae;"
        "after = (torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state().sum().item());"
        "assert before[:3] == after and n == len(warnings.filters);"
        "from sklearn_mtae._stack_tasks import stack_tasks;"
        "X, Y = stack_tasks({'a': (numpy.ones((2, 1)), ['x', None])}); assert Y.tolist() == [['x'], [None]]"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
