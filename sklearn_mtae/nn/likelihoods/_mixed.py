"""Several families beside each other."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributions, nn

from ._base import Likelihood


class Joint(NamedTuple):
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
    """Columns of several families beside each other.

    All columns take as many outputs as the family with the most; the others leave some of theirs unused.

    Parameters
    ----------
    factories : sequence of callable
        The family of each column: takes a number of columns, returns a `Likelihood`. Columns of the same object are one
        family. Groups that are each a family of a whole row, such as the indicators of several classes, take one
        object each: `functools.partial(OneHot)`.
    """

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
        order = torch.tensor([column for own in self.columns for column in own]).argsort()
        self.register_buffer("order", order, persistent=False)
        self._indices: dict[torch.device, list[Tensor]] = {}

    def parts(self) -> Iterator[tuple[Likelihood, list[int]]]:
        """Yield the families within and the columns of each."""
        yield from zip(self.families, self.columns, strict=True)  # type: ignore[misc]

    def _gather(self, parts: list[Tensor]) -> Tensor:
        """Return the columns of all families in their own order."""
        return torch.cat(parts, dim=-1)[..., self.order]

    def _indexed(self, device: torch.device) -> Iterator[tuple[Likelihood, Tensor]]:
        """Yield each family and its columns: tensors, since a list would be brought to the device at each call."""
        if device not in self._indices:
            with torch.inference_mode(False):  # made while inferring, used while training
                self._indices[device] = [torch.tensor(own, device=device) for own in self.columns]
        yield from zip(self.families, self._indices[device], strict=True)  # type: ignore[misc]

    def _each(self, params: Tensor) -> Iterator[tuple[Likelihood, Tensor, Tensor]]:
        """Yield each family, its columns and its own outputs among all of them."""
        outputs = params.unflatten(-1, (self.n_columns, self.n_params))
        for family, columns in self._indexed(params.device):
            yield family, columns, outputs[..., columns, : family.n_params].flatten(-2)

    def distribution(self, params: Tensor) -> Joint:  # type: ignore[override]
        """Return the distributions of all columns."""
        return Joint([family.distribution(own) for family, _, own in self._each(params)], self._gather)

    def log_prob(self, params: Tensor, x: Tensor, complete: bool = False) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns): zero where `x` is NaN."""
        return self._gather([f.log_prob(own, x[..., columns], complete) for f, columns, own in self._each(params)])

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return how far two predictions of each cell are apart, in nats."""
        pairs = zip(self._each(params), self._each(others), strict=True)
        return self._gather([family.disagreement(own, other) for (family, _, own), (_, _, other) in pairs])

    def constrain(self) -> None:
        """Put parameters that a step of the optimiser has moved out of their range back into it."""
        for family, _ in self.parts():
            family.constrain()

    def learn(self, mean: Tensor) -> None:
        """Start from the columns' means."""
        for family, columns in self.parts():
            family.learn(mean[columns])

    def as_input(self, x: Tensor) -> Tensor:
        """Return values as an encoder should see them."""
        return self._gather([family.as_input(x[..., columns]) for family, columns in self._indexed(x.device)])

    def precision(self) -> Tensor:
        """Return the weight that the density itself gives to each column's squared error."""
        return self._gather([family.precision().to(self.order.device) for family, _ in self.parts()])
