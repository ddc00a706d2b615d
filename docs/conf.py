"""Settings of the documentation: Sphinx, numpydoc and sphinx-gallery; nothing is fetched while it is built."""

import os
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

from sklearn.experimental import enable_iterative_imputer  # noqa: F401  # examples link to IterativeImputer

import sklearn_mtae

sys.path[:0] = [str(Path(__file__).parent / "_ext"), str(Path(__file__).parent.parent)]

project = "sklearn_mtae"
author = "The sklearn_mtae developers"
copyright = f"{author}. BSD 3-Clause License"
version = release = sklearn_mtae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "dead_links",
    "house",
    "options",
    "papers",
    "parameter_groups",
    "shell",
    "sources",
    "wide",
]
root_doc = "index"
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]
default_role = "code"
smartquotes = False  # "auto" is what one types
html_copy_source = False

# MathJax in one file, out of a package: formulas can be read offline.
mathjax = next(path for path in files("django-static-mathjax") or [] if path.match("es5/tex-svg.js")).locate()
mathjax_path = mathjax.name
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

extlinks = {
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv %s"),
    "doi": ("https://doi.org/%s", "doi %s"),
}

autosummary_generate = True
# Its page beside that of the class `Aggregation`, where file names do not tell capitals apart.
autosummary_filename_map = {"sklearn_mtae.nn.weightings.aggregation": "sklearn_mtae.nn.weightings.aggregation-function"}
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_preserve_defaults = True  # nn.Linear, not <class 'torch.nn.modules.linear.Linear'>
autodoc_inherit_docstrings = True
# The class template lists the members; numpydoc would list them a second time.
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Links into the pages of other packages need the network: DOCS_INTERSPHINX=1 makes them.
FOREIGN = {
    "matplotlib": "https://matplotlib.org/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "python": "https://docs.python.org/3/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "sklearn": "https://scikit-learn.org/stable/",
    "skorch": "https://skorch.readthedocs.io/en/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
}
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {name: (address, None) for name, address in FOREIGN.items()}
else:
    foreign = [
        *FOREIGN,
        "accelerate",
        "dask",
        "imblearn",
        "joblib",
        "optuna",
        "pickle",
        "ray",
        "shap",
        "torchjd",
        "zuko",
    ]
    nitpick_ignore_regex = [(r"py:.*", rf"({'|'.join(foreign)})(\..*)?")]

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "shell.by_use",
    "minigallery_sort_order": "shell.by_use",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sklearn_mtae",),
    "plot_gallery": True,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "reset_modules": ("matplotlib", "shell.house_style"),
    "write_computation_times": False,
    "capture_repr": (),
    "remove_config_comments": True,
}

# What is copied is what one types.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_mtae"
html_static_path = ["_static", str(mathjax)]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(Path(__file__).parent / "_static" / "scorer.js")
html_additional_pages = {"404": "404.html"}
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": f"sklearn_mtae {version}"},
    "header_links_before_dropdown": 8,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}


# Members that scikit-learn and torch bring along are documented there.


def skip_foreign(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out members that another package defines."""
    member = obj.fget if isinstance(obj, property) else obj
    owner = getattr(member, "__objclass__", None)  # methods of tuples have no module
    module = getattr(member, "__module__", None) or getattr(owner, "__module__", None) or ""
    return True if module.split(".")[0] in ("sklearn", "torch", "builtins") else None


def drop_any(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Leave out the signature of protocols, which are not called."""
    return ("", returned) if signature == "(*args, **kwargs)" else None


def setup(app: Any) -> None:
    """Hook into autodoc."""
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-signature", drop_any)
