"""What stands around the pages: order and style of the gallery, sidebars, addresses of the page for missing pages."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import matplotlib.pyplot as plt

FIRST = [
    "plot_quickstart.py",
    "plot_svr_heads.py",
    "plot_missing_labels.py",
    "plot_small_tables.py",
    "plot_what_to_measure.py",
    "plot_task_transfer.py",
    "plot_imputation.py",
    "plot_mixed_table.py",
    "plot_outliers.py",
    "plot_multiple_imputation.py",
    "plot_generation_report.py",
    "plot_generated_digits.py",
    "plot_disentangled_factors.py",
]
"""Examples by use. Those that are not named here come after these, by name."""
LAST = [
    "sms_topics.py",
    "spoken_digits.py",
    "fit_on_several_gpus.py",
    "fit_with_accelerate.py",
    "search_with_dask.py",
    "search_with_ray.py",
]
"""Examples that need data, packages or machines of their own."""


def by_use(filename: str) -> tuple[int, str]:
    """Return where an example stands in the gallery."""
    name = Path(filename).name
    if name in FIRST:
        return FIRST.index(name), name
    return len(FIRST) + (LAST.index(name) + 1 if name in LAST else 0), name


def house_style(gallery_conf: dict[str, Any], filename: str) -> None:
    """Draw an example in the style of all other figures; sphinx-gallery calls this before each of them."""
    plt.style.use(Path(__file__).parents[1] / "images" / "house.mplstyle")


def section(pagename: str, includes: dict[str, list[str]], root: str) -> str:
    """Return the entry of the top bar that a page belongs to."""
    above = {own: name for name, names in includes.items() for own in names}
    seen = set()
    while above.get(pagename, root) != root and pagename not in seen:
        seen.add(pagename)
        pagename = above[pagename]
    return pagename


def breakable(name: re.Match) -> str:
    """Return a name that may be broken between its parts."""
    return re.sub(r"(?<=[_.])(?=[A-Za-z])|(?<=[a-z])(?=[A-Z])", "<wbr>", name[0])


def frame(app: Any, pagename: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Drop sidebars of single pages, let long names break, and let the page for missing pages find its style."""
    includes = app.env.toctree_includes
    if not includes.get(section(pagename, includes, app.config.root_doc)) or pagename == app.config.root_doc:
        context["sidebars"] = []
    if pagename.startswith("generated/"):
        context["body"] = re.sub(r"(?<=<h1>)\w+", breakable, context["body"], count=1)
    if "body" in context:  # phones break these; the style sheet keeps them whole elsewhere
        context["body"] = re.sub(r'(?<=<span class="pre">)[^<]{20,}', breakable, context["body"])
    if pagename == "404":
        context["base"] = urlparse(os.environ.get("READTHEDOCS_CANONICAL_URL", "")).path


def setup(app: Any) -> dict[str, bool]:
    """Hook into the writing of pages, before the theme does."""
    app.connect("html-page-context", frame, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
