"""A drawing of the folders of the package and of what stands on what, made when the documentation is built."""

from docutils import nodes
from docutils.parsers.rst import Directive

from tests.house import floors, rooms

STEP = (170, 72)
"""Distances between the middles of boxes, in pixels."""
BOX = (130, 32)
"""Size of a box."""
PAPER = "var(--pst-color-background, white)"
"""Colour of a box: lines to distant boxes pass behind it."""


def folders() -> dict[str, set[str]]:
    """Return the folders that each folder imports directly or through others, without the root's own files."""
    arrows = {name: below for name, below in rooms().items() if name.strip("_") not in ("", "version")}
    return {name: below & arrows.keys() for name, below in arrows.items()}


def direct(arrows: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the imports that do not follow from others."""
    implied = {name: set().union(*(arrows[own] for own in below)) for name, below in arrows.items()}
    return sorted((name, own) for name, below in arrows.items() for own in below - implied[name])


def places(arrows: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Return the middle of each folder's box: what imports a folder stands above it."""
    floor = floors(arrows)
    top, found = max(floor.values()), {}
    for level in range(1, top + 1):
        names = sorted(name for name in floor if floor[name] == level)
        for position, name in enumerate(names):
            found[name] = ((position - (len(names) - 1) / 2 + 1) * STEP[0], (top - level + 0.5) * STEP[1])
    return found


def drawing() -> str:
    """Return the house as SVG."""
    arrows = folders()
    middle = places(arrows)
    parts = []
    for name, below in direct(arrows):
        (x, y), (to_x, to_y) = middle[name], middle[below]
        parts.append(f'<line x1="{x}" y1="{y + BOX[1] / 2}" x2="{to_x}" y2="{to_y - BOX[1] / 2}"/>')
    for name, (x, y) in middle.items():
        corner = f'x="{x - BOX[0] / 2}" y="{y - BOX[1] / 2}"'
        parts.append(f'<rect {corner} width="{BOX[0]}" height="{BOX[1]}" rx="5" fill="{PAPER}"/>')
        parts.append(f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="currentColor" stroke="none">{name}</text>')
    width, height = 2 * STEP[0], max(y for _, y in middle.values()) + STEP[1] / 2
    style = 'stroke="currentColor" font-family="monospace" font-size="13"'
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img"><g {style}>{"".join(parts)}</g></svg>'


class House(Directive):
    """`.. house::` draws the folders of the package."""

    def run(self) -> list[nodes.Node]:
        """Return the drawing."""
        return [nodes.raw("", drawing(), format="html")]


def setup(app: object) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("house", House)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}
