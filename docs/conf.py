"""Settings of the documentation: Sphinx, numpydoc and sphinx-gallery; nothing is fetched while it is built."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import sklearn_mtae
from sklearn_mtae.nn.architectures import ACTIVATIONS, ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.weightings import WEIGHTINGS, Aggregation

project = "sklearn_mtae"
author = "The sklearn_mtae developers"
copyright = f"{author}. BSD 3-Clause License"
version = release = sklearn_mtae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
exclude_patterns = ["_build", "examples", "generated/*.txt"]
templates_path = ["_templates"]
default_role = "code"
html_copy_source = False

autosummary_generate = True
# Its page beside that of the class `Aggregation`, where file names do not tell capitals apart.
autosummary_filename_map = {"sklearn_mtae.nn.weightings.aggregation": "sklearn_mtae.nn.weightings.aggregation-function"}
autodoc_typehints = "none"
autodoc_inherit_docstrings = True
# The class template lists the members; numpydoc would list them a second time.
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "plot_gallery": True,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "capture_repr": (),
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_mtae"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"], "navigation_with_keys": False}


# Members that scikit-learn and torch bring along are documented there.


def skip_foreign(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out members that another package defines."""
    member = obj.fget if isinstance(obj, property) else obj
    module = getattr(member, "__module__", None) or ""
    return True if module.split(".")[0] in ("sklearn", "torch", "builtins") else None


# Tables of the options, read from the dictionaries that the estimators read.


def first_line(factory: Any) -> str:
    """Return what a factory says of itself in one line."""
    if isinstance(factory, partial) and factory.func is Aggregation:
        # The name of torchjd's class is all that its maker holds until a model is fitted.
        name = inspect.getclosurevars(factory.keywords["aggregator"]).nonlocals["name"]
        return f"Gradients combined by ``torchjd.aggregation.{name}``."
    if isinstance(factory, partial):
        settings = ", ".join(f"{name}={value!r}" for name, value in factory.keywords.items())
        return f"``{factory.func.__name__}`` with ``{settings}``."
    return (inspect.getdoc(factory) or "").split("\n")[0].replace("`", "``")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a list table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join([*lines, ""])


def options(names: Mapping[str, Callable]) -> str:
    """Return the table of a dictionary's entries."""
    return table(["Name", "What it is"], [[f'``"{name}"``', first_line(entry)] for name, entry in names.items()])


def interval(low: float, high: float) -> str:
    """Return a closed interval in words."""
    if low == -float("inf"):
        return "any"
    return f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"


def likelihoods() -> str:
    """Return the table of likelihoods, with what each says of itself."""
    rows = []
    for name, entry in LIKELIHOODS.items():
        kind = entry.func if isinstance(entry, partial) else entry
        rows.append([f'``"{name}"``', first_line(entry), interval(*kind.support), "yes" if kind.standardized else "no"])
    return table(["Name", "What it is", "Values", "Columns standardised"], rows)


def requirements() -> str:
    """Return the list of what the package needs."""
    about = metadata("sklearn-mtae")
    needed = [line for line in about.get_all("Requires-Dist") or [] if "extra ==" not in line]
    return "\n".join(f"- ``{line}``" for line in [f"python{about['Requires-Python']}", *needed]) + "\n"


TABLES = {
    "activations": ", ".join(f'``"{name}"``' for name in ACTIVATIONS) + "\n",
    "architectures": options(ARCHITECTURES),
    "embeddings": options(EMBEDDINGS),
    "corruptions": options(CORRUPTIONS),
    "likelihoods": likelihoods(),
    "objectives": options(OBJECTIVES),
    "penalties": options(PENALTIES),
    "posteriors": options(POSTERIORS),
    "priors": options(PRIORS),
    "requirements": requirements(),
    "schedules": options(SCHEDULES),
    "sharings": options(SHARINGS),
    "weightings": options(WEIGHTINGS),
}


def setup(app: Any) -> None:
    """Write the tables and hook into autodoc."""
    folder = Path(__file__).parent / "generated"
    folder.mkdir(exist_ok=True)
    for name, text in TABLES.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    app.connect("autodoc-skip-member", skip_foreign)
