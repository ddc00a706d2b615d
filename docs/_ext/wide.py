"""Text blocks that are wider than the page: tables lose their wide gaps, and what is still too wide is set smaller."""

import re
from typing import Any

from docutils import nodes

WIDTH = 90
"""Characters per line that a page has room for at 1,400 pixels."""


def squeezed(lines: list[str]) -> list[str]:
    """Return lines whose columns are at most two blanks apart."""
    width = max(map(len, lines))
    columns = list(zip(*(line.ljust(width) for line in lines), strict=True))
    kept = [i for i in range(width) if any("".join(column).strip() for column in columns[max(0, i - 2) : i + 1])]
    return ["".join(line[i] for i in kept if i < len(line)).rstrip() for line in lines]


def fit(app: Any, doctree: nodes.document) -> None:
    """Squeeze tables of text, and mark the blocks that remain too wide for the style sheet."""
    for block in doctree.findall(lambda node: isinstance(node, nodes.literal_block | nodes.doctest_block)):
        text = re.sub(r" *# doctest: .*", "", block.astext())  # which Sphinx leaves out
        widest = max(map(len, text.splitlines() or [""]))
        if widest > WIDTH and block.get("language") == "text":
            parts = ["\n".join(squeezed(part.splitlines())) for part in text.split("\n\n")]
            text = "\n\n".join(parts)
            block.rawsource = text
            block[:] = [nodes.Text(text)]
            widest = max(map(len, text.splitlines()))
        if widest > WIDTH:
            block["classes"].append("wide" if widest <= 104 else "very-wide")


def setup(app: Any) -> dict[str, bool]:
    """Work on pages that have been read."""
    app.connect("doctree-read", fit)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
