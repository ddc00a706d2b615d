"""Write the search index of the documentation without its pages: `python -m tests.docs.search_index FOLDER`."""

import json
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def search_index(out: Path) -> dict:
    """Read the documentation without running its examples, and return what its search looks into."""
    from sphinx.application import Sphinx
    from sphinx.search import IndexBuilder

    settings = {"sphinx_gallery_conf.plot_gallery": "0", "exclude_patterns": ["_build", "examples"]}
    app = Sphinx(DOCS, DOCS, out, out / "doctrees", "dummy", confoverrides=settings, status=None)
    app.build()
    index = IndexBuilder(app.env, "en", {}, "")
    for name in sorted(app.env.found_docs):
        title = app.env.titles[name].astext()
        index.feed(name, app.env.doc2path(name, base=False), title, app.env.get_doctree(name))
    return index.freeze()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "index.json").write_text(json.dumps(search_index(folder), default=list), encoding="utf-8")
