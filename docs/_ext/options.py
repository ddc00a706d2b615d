"""Tables of the options, made of the dictionaries that the estimators read, and other text made at build time.

`.. options:: priors` has a row for each entry of `PRIORS`: its name, and the first line of its docstring. Further
columns are written in the page, by name::

    .. options:: priors
       :columns: When | Costs

       normal
         - little data
         - nothing

A name that the dictionary lacks is an error. One that the page lacks has its row all the same, with empty cells.
"""

import inspect
from collections.abc import Mapping
from functools import partial
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

from sklearn_mtae.nn.architectures import ARCHITECTURES
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.penalties import PENALTIES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.traits import TRAITS, Trait, unwrapped
from sklearn_mtae.nn.weightings import WEIGHTINGS, Aggregation

Table = tuple[list[str], list[list[str]]]

OPTIONS: dict[str, Mapping[str, Any]] = {
    "architectures": ARCHITECTURES,
    "corruptions": CORRUPTIONS,
    "embeddings": EMBEDDINGS,
    "likelihoods": LIKELIHOODS,
    "objectives": OBJECTIVES,
    "penalties": PENALTIES,
    "posteriors": POSTERIORS,
    "priors": PRIORS,
    "schedules": SCHEDULES,
    "sharings": SHARINGS,
    "weightings": WEIGHTINGS,
}


def first_line(factory: Any) -> str:
    """Return what a factory says of itself in one line."""
    if isinstance(factory, partial) and factory.func is Aggregation:
        # The name of torchjd's class is all that its maker holds until a model is fitted.
        name = inspect.getclosurevars(factory.keywords["aggregator"]).nonlocals["name"]
        return f"Gradients combined by ``torchjd.aggregation.{name}``."
    if isinstance(factory, partial):
        settings = ", ".join(f"{name}={value!r}" for name, value in factory.keywords.items())
        return f"``{factory.func.__name__}`` with ``{settings}``."
    line = (inspect.getdoc(factory) or "").split("\n")[0].replace("`", "``").removeprefix("Return ")
    return line[:1].upper() + line[1:] if inspect.isfunction(factory) else line


def interval(low: float, high: float) -> str:
    """Return the values of a support in words."""
    if low == -float("inf"):
        return "any"
    start = "above 0" if 0 < low < 1e-30 else f"{low:g}"
    if high == float("inf"):
        return start if start.startswith("above") else f"{start} or more"
    return f"{start} to {high:g}"


def described(entries: Mapping[str, Any]) -> Table:
    """Return the names and descriptions of a dictionary's entries."""
    return ["Name", "What it is"], [[f'``"{name}"``', first_line(entry)] for name, entry in entries.items()]


def supports(entries: Mapping[str, Any]) -> Table:
    """Return what likelihoods say of their columns, beside their descriptions."""
    header, rows = described(entries)
    classes = [unwrapped(entry) for entry in entries.values()]
    own = [[interval(*kind.support), "yes" if kind.standardized else "no"] for kind in classes]
    return [*header, "Values", "Columns standardised"], [row + more for row, more in zip(rows, own, strict=True)]


def declarations(traits: Mapping[str, Trait]) -> Table:
    """Return what parts may declare."""
    rows = [[f"`{name}`", f"`{trait.default!r}`", trait.meaning] for name, trait in traits.items()]
    return ["Attribute", "Unless declared", "Meaning"], rows


def requirements() -> list[str]:
    """Return what the package needs, as a list."""
    about = metadata("sklearn-mtae")
    needed = [line for line in about.get_all("Requires-Dist") or [] if "extra ==" not in line]
    return [f"- ``{line}``" for line in [f"python{about['Requires-Python']}", *needed]]


def list_table(header: list[str], rows: list[list[str]], widths: str = "auto") -> list[str]:
    """Return the lines of a table in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return [*lines, ""]


def cells_by_name(lines: list[str]) -> dict[str, list[str]]:
    """Return the cells that a page has for each name; a cell may go over several lines."""
    cells: dict[str, list[str]] = {}
    name = ""
    for line in filter(str.strip, lines):
        text = line.strip()
        if not line.startswith(" "):
            name = text
            cells[name] = []
        elif text.startswith("- "):
            cells[name].append(text.removeprefix("- "))
        else:
            cells[name][-1] += f" {text}"
    return cells


class Generated(Directive):
    """A directive whose lines are made when the page is read."""

    def insert(self, lines: list[str]) -> list:
        """Put lines in the directive's place."""
        self.state_machine.insert_input(StringList(lines, self.name), self.name)
        return []


class Options(Generated):
    """The table of the options that a parameter has."""

    required_arguments = 1
    has_content = True
    option_spec = {"columns": directives.unchanged_required, "widths": directives.unchanged}

    def run(self) -> list:
        """Put the table in the directive's place."""
        entries = OPTIONS[self.arguments[0]]
        more = [column.strip() for column in self.options["columns"].split("|")] if "columns" in self.options else []
        is_plain = self.arguments[0] == "likelihoods" and not more
        header, rows = (supports if is_plain else described)(entries)
        cells = cells_by_name(list(self.content))
        for name, own in cells.items():
            if name not in entries or len(own) != len(more):
                raise self.error(f"{name!r} must be one of {list(entries)}, and have {len(more)} cells. Got {own}.")
        empty = [""] * len(more)
        rows = [row + cells.get(name, empty) for name, row in zip(entries, rows, strict=True)]
        return self.insert(list_table(header + more, rows, self.options.get("widths", "auto")))


class Declarations(Generated):
    """The table of what parts may declare."""

    def run(self) -> list:
        """Put the table in the directive's place."""
        return self.insert(list_table(*declarations(TRAITS)))


class Requirements(Generated):
    """The list of what the package needs."""

    def run(self) -> list:
        """Put the list in the directive's place."""
        return self.insert([*requirements(), ""])


class Changelog(Generated):
    """The repository's changelog, whose Markdown is reStructuredText but for its headings."""

    required_arguments = 1

    def run(self) -> list:
        """Put the changelog in the directive's place."""
        env = self.state.document.settings.env
        path = Path(env.doc2path(env.docname)).parent / self.arguments[0]
        env.note_dependency(str(path))
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                lines += [line.removeprefix("## "), "-" * len(line)]
            elif not line.startswith("# "):
                lines.append(line)
        return self.insert([*lines, ""])


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    for directive in (Options, Declarations, Requirements, Changelog):
        app.add_directive(directive.__name__.lower(), directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
