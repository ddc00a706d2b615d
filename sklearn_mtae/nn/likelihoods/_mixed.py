"""Columns of several families."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional as F

from ._base import Likelihood
from ._discrete import Categorical


class SideBySide(NamedTuple):
    """Distributions of columns of several families, as far as a reconstruction or a draw needs them."""

    families: list[distributions.Distribution]
    gather: Callable[[list[Tensor]], Tensor]

    @property
    def mean(self) -> Tensor:
        """Means, shape (..., n_columns)."""
        return self.gather([family.mean for family in self.families])

    @property
    def variance(self) -> Tensor:
        """Variances, shape (..., n_columns)."""
        return self.gather([family.variance for family in self.families])

    def sample(self) -> Tensor:
        """Return a draw of shape (..., n_columns)."""
        return self.gather([family.sample() for family in self.families])


class Mixed(Likelihood):
    """Columns of several families side by side.

    All columns have as many outputs as those of the family with the most; others leave some unused.

    Parameters
    ----------
    factories : sequence of callable
        The family of each column: takes a number of columns and returns a `Likelihood`. Columns with the same object
        form one family. Groups of columns that are drawn together, such as the indicators of several classes, need one
        object per group: `functools.partial(OneHot)`.
    """

    chosen: Tensor
    order: Tensor

    def __init__(self, factories: Sequence[Callable[[int], Likelihood]]) -> None:
        super().__init__(len(factories))
        columns: dict[Any, list[int]] = {}
        for column, factory in enumerate(factories):
            columns.setdefault(factory, []).append(column)
        self.families = nn.ModuleList(factory(len(own)) for factory, own in columns.items())
        self.columns = list(columns.values())
        self.n_params = max(family.n_params for family, _ in self.parts())  # type: ignore[misc]
        self.joint = any(family.joint for family, _ in self.parts())  # type: ignore[misc]
        self.n_learned = max(family.n_learned for family, _ in self.parts())  # type: ignore[misc]
        chosen = torch.tensor([column for own in self.columns for column in own])
        self.register_buffer("chosen", chosen, persistent=False)
        self.register_buffer("order", chosen.argsort(), persistent=False)
        self.in_order = bool((chosen == torch.arange(self.n_columns)).all())

    @property
    def of_classes(self) -> list[bool]:
        """Which columns are classes."""
        classes = {column for family, own in self.parts() if isinstance(family, Categorical) for column in own}
        return [column in classes for column in range(self.n_columns)]

    def for_means(self) -> "Mixed":
        """Return families with the same means and classes."""
        other = copy(self)
        other._modules = {"families": nn.ModuleList(family.for_means() for family in self.families)}  # type: ignore[operator]
        return other

    def parts(self) -> Iterator[tuple[Likelihood, list[int]]]:
        """Yield each family within, and its columns."""
        yield from zip(self.families, self.columns, strict=True)  # type: ignore[misc]

    def _gather(self, parts: list[Tensor]) -> Tensor:
        """Return the columns of all families in the order of the table."""
        joined = torch.cat(parts, dim=-1)
        return joined if self.in_order else joined[..., self.order]

    def _split(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the columns of each family."""
        together = x if self.in_order else x[..., self.chosen]
        yield from together.split([len(own) for own in self.columns], dim=-1)

    def each(self, params: Tensor) -> Iterator[tuple[Likelihood, Tensor]]:
        """Yield each family within, and its own decoder outputs."""
        outputs = params.unflatten(-1, (self.n_columns, self.n_params))
        together = outputs if self.in_order else outputs[..., self.chosen, :]
        parts = together.split([len(own) for own in self.columns], dim=-2)
        for (family, _), own in zip(self.parts(), parts, strict=True):
            yield family, own[..., : family.n_params].flatten(-2)

    def distribution(self, params: Tensor) -> SideBySide:  # type: ignore[override]
        """Return the distributions of all columns."""
        return SideBySide([family.distribution(own) for family, own in self.each(params)], self._gather)

    def logits(self, params: Tensor) -> Tensor:
        """Return the logits of the classes of each column, shape (..., n_columns, most classes of a column).

        An absent class has minus infinity; a column of numbers has one class, which is certain.
        """
        parts = [
            family.logits(own)
            if isinstance(family, Categorical)
            else own.new_zeros(*own.shape[:-1], family.n_columns, 1)
            for family, own in self.each(params)
        ]
        width = max(own.shape[-1] for own in parts)
        parts = [F.pad(own, (0, width - own.shape[-1]), value=-float("inf")) for own in parts]
        joined = torch.cat(parts, dim=-2)
        return joined if self.in_order else joined[..., self.order, :]

    def log_prob(self, params: Tensor, x: Tensor, complete: bool = False, censoring: Tensor | None = None) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns): zero where `x` is NaN."""
        each = list(self.each(params))
        codes = [None] * len(each) if censoring is None else list(self._split(censoring))
        parts = zip(each, self._split(x), codes, strict=True)
        return self._gather(
            [
                family.log_prob(own, columns, complete)
                if code is None or not family.has_cdf
                else family.log_prob(own, columns, complete, code)
                for (family, own), columns, code in parts
            ]
        )

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return the disagreement between two predictions of each cell, in nats."""
        pairs = zip(self.each(params), self.each(others), strict=True)
        return self._gather([family.disagreement(own, other) for (family, own), (_, other) in pairs])

    def given(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the decoder outputs, changed where the observed cells of a row restrict its missing ones."""
        each = list(self.each(params))
        outputs = [family.given(own, x_own) for (family, own), x_own in zip(each, self._split(x), strict=True)]
        if all(changed is own for changed, (_, own) in zip(outputs, each, strict=True)):
            return params
        parts = [
            F.pad(changed.unflatten(-1, (-1, family.n_params)), (0, self.n_params - family.n_params))
            for changed, (family, _) in zip(outputs, each, strict=True)
        ]
        joined = torch.cat(parts, dim=-2)
        return (joined if self.in_order else joined[..., self.order, :]).flatten(-2)

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""
        for family, _ in self.parts():
            family.constrain()

    def learn(self, mean: Tensor) -> None:
        """Start from the columns' means."""
        for family, columns in self.parts():
            family.learn(mean[columns])

    def units(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return by what to standardise the columns."""
        location, scale = location.clone(), scale.clone()
        for family, columns in self.parts():
            own = None if weight is None else weight[:, columns]
            location[columns], scale[columns] = family.units(x[:, columns], location[columns], scale[columns], own)
        return location, scale

    def learn_rows(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> None:
        """Learn from rows what the families want to know."""
        for family, columns in self.parts():
            own = None if weight is None else weight[:, columns]
            family.learn_rows(x[:, columns], location[columns], scale[columns], own)

    def start(self, variance: float) -> None:
        """Start learned scales at a share of each column's variance, from 0 to 1."""
        for family, _ in self.parts():
            family.start(variance)

    def at_floor(self, margin: float) -> dict[int, float]:
        """Return the columns whose learned variance is less than `margin` times its floor, and that floor."""
        found = ((columns, family.at_floor(margin)) for family, columns in self.parts())
        return {columns[own]: floor for columns, low in found for own, floor in low.items()}

    def as_input(self, x: Tensor) -> Tensor:
        """Return values in the form that an encoder should see."""
        parts = zip(self.parts(), self._split(x), strict=True)
        return self._gather([family.as_input(own) for (family, _), own in parts])

    def as_seen(self, x: Tensor) -> Tensor:
        """Return draws in the form that the training values have."""
        parts = zip(self.parts(), self._split(x), strict=True)
        return self._gather([family.as_seen(own) for (family, _), own in parts])

    def is_atom(self, x: Tensor) -> Tensor:
        """Return which values have a probability rather than a density, though others have one."""
        parts = zip(self.parts(), self._split(x), strict=True)
        return self._gather([family.is_atom(own) for (family, _), own in parts])

    def precision(self) -> Tensor:
        """Return the weight of each column's squared error in the density."""
        return self._gather([family.precision().to(self.order.device) for family, _ in self.parts()])
