"""Links for papers that the text names: "arXiv 1312.6114" and "doi 10.1145/1015330.1015432" lead to them."""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.transforms import Transform

PAPER = re.compile(r"\b(?:arXiv[\s:]+(?P<arxiv>\d{4}\.\d{4,5})|doi[\s:]+(?P<doi>10\.\d{4,9}/[^\s,;]+))")
ELSEWHERE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.doctest_block, nodes.title, nodes.raw)
"""Text inside these stays as it is."""


def trimmed(doi: str) -> str:
    """Return a doi without the punctuation of the sentence that it stands in."""
    while doi[-1] in ".:" or (doi[-1] == ")" and doi.count(")") > doi.count("(")):
        doi = doi[:-1]
    return doi


def linked(text: str) -> Iterator[nodes.Node]:
    """Yield the nodes that a text becomes."""
    end = 0
    for found in PAPER.finditer(text):
        if found["arxiv"]:
            shown, uri = found[0], f"https://arxiv.org/abs/{found['arxiv']}"
        else:
            doi = trimmed(found["doi"])
            shown, uri = found[0].removesuffix(found["doi"]) + doi, f"https://doi.org/{doi}"
        yield nodes.Text(text[end : found.start()])
        yield nodes.reference("", shown, refuri=uri, internal=False)
        end = found.start() + len(shown)
    yield nodes.Text(text[end:])


class Papers(Transform):
    """Replace what names a paper by a link."""

    default_priority = 850

    def apply(self, **kwargs: Any) -> None:
        """Go through the document's text."""
        for text in list(self.document.findall(nodes.Text)):
            parent = text.parent
            while parent is not None and not isinstance(parent, ELSEWHERE):
                parent = parent.parent
            if parent is None and PAPER.search(text):
                text.parent.replace(text, list(linked(str(text))))


def setup(app: Any) -> dict[str, bool]:
    """Hook into the reading of pages."""
    app.add_transform(Papers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
