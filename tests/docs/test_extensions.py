"""What the documentation's own extensions find in classes and pages."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import sklearn_mtae

pytest.importorskip("sphinx", reason="the extra docs")
nodes = pytest.importorskip("docutils.nodes", reason="the extra docs")


def extension(name):
    path = Path(__file__).parents[2] / "docs" / "_ext" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["fit", "impute", "components_", "predict_interval"])
def test_the_source_of_a_member_is_found_in_the_class_that_defines_it(name):
    module, full = extension("sources").origin("sklearn_mtae", f"MultiTaskVAERegressor.{name}")
    base = getattr(importlib.import_module(module), full.split(".")[0])
    assert base in inspect.getmro(sklearn_mtae.MultiTaskVAERegressor)
    assert name in vars(base)


def test_the_source_of_a_class_is_where_it_is_defined():
    module, full = extension("sources").origin("sklearn_mtae", "VAETransformer")
    assert (module, full) == (sklearn_mtae.VAETransformer.__module__, "VAETransformer")


def test_a_list_of_attributes_becomes_a_table():
    term = nodes.term("", "", nodes.strong("", "n_iter_"))
    described = nodes.definition("", nodes.paragraph("", "Epochs run."))
    item = nodes.definition_list_item("", term, nodes.classifier("", "int"), described)
    table = extension("parameter_groups").tabulated(nodes.definition_list("", item))
    cells = [entry.astext() for entry in table.findall(nodes.entry)]
    assert cells == ["Attribute", "Type", "Description", "n_iter_", "int", "Epochs run."]


@pytest.mark.parametrize(
    ("link", "is_dead"),
    [("b.html#there", False), ("b.html#gone", True), ("c.html", True), ("#here", False), ("#elsewhere", True)],
)
def test_links_to_missing_files_and_anchors_are_dead(tmp_path, link, is_dead):
    page = tmp_path / "a.html"
    page.write_text('<p id="here">')
    (tmp_path / "b.html").write_text('<p id="there">')
    assert extension("dead_links").is_dead(link, page) is is_dead
