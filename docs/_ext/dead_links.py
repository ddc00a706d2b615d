"""A check of the pages as written: links within the site lead to files and anchors that are there."""

import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.util.logging import getLogger

LINK = re.compile(r'(?:href|src)="([^"]+)"')
ANCHOR = re.compile(r'\b(?:id|name)="([^"]+)"')
OUTSIDE = re.compile(r"\w+:|//|/")
"""Addresses elsewhere, and those from the root of the server, which the page for missing pages has."""


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page."""
    return set(ANCHOR.findall(page.read_text()))


def is_dead(link: str, page: Path) -> bool:
    """Return whether a link of a page leads nowhere."""
    address = urlsplit(unescape(link))
    target = (page.parent / unquote(address.path)).resolve() if address.path else page
    if not target.exists():
        return True
    return bool(address.fragment) and target.suffix == ".html" and unquote(address.fragment) not in anchors(target)


def check(app: Any, exception: Exception | None) -> None:
    """Warn of dead links, once for each page and link."""
    if exception or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    for page in sorted(set(folder.rglob("*.html")) - set(folder.glob("_static/**/*"))):
        links = {link for link in LINK.findall(page.read_text()) if not OUTSIDE.match(link)}
        for link in sorted(link for link in links if is_dead(link, page)):
            getLogger(__name__).warning("dead link in %s: %s", page.relative_to(folder), link)


def setup(app: Any) -> dict[str, bool]:
    """Hook into the end of the build."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
