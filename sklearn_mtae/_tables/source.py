"""A table that several models are trained on parts of."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .checks import safe_indexing
from .coded_rows import cells_of
from .containers import plain
from .features import Features


class Source(NamedTuple):
    """A table that several models are trained on parts of."""

    features: Features
    table: Any
    weight: NDArray | None
    examples: dict[int, NDArray]
    """Of each column of categories, the rows in which it is observed."""

    @classmethod
    def of(cls, features: Features, X: Any, x: Any, weight: NDArray | None, counted: NDArray) -> "Source":
        """Return a table as a source: `x` is what a model sees of X, `counted` the rows that count."""
        examples = {}
        if features.table is not None and features.table.expands:
            observed, indicators = ~np.isnan(cells_of(x)[counted]), features.table.indicators
            of_categories = [j for j, own in enumerate(features.groups) if indicators[own[0]]]
            examples = {j: counted[observed[:, j]] for j in of_categories}
        return cls(features, plain(X), weight, examples)

    def part(self, rows: NDArray) -> tuple[Any, None, NDArray | None]:
        """Return what `fit` takes of some rows."""
        return safe_indexing(self.table, rows), None, None if self.weight is None else self.weight[rows]

    def with_examples(self, rows: NDArray) -> NDArray:
        """Return rows among which each category is observed: a model cannot learn one of which it sees no level."""
        unseen = [own for own in self.examples.values() if not np.isin(rows, own).any()]
        return np.unique(np.r_[rows, [own[0] for own in unseen]]) if unseen else rows
