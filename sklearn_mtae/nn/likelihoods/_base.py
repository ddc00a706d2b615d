"""The base of all likelihoods: masking, and the declarations of a family."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, distributions, nn

LARGEST_COUNT = 1e15
"""Largest number up to which float64 tells integers apart, in round figures."""


def clamp(parameter: Tensor, low: float | None = None, high: float | None = None) -> None:
    """Clamp values in place, in a form that `torch.func.vmap` can batch, unlike `Tensor.clamp_`."""
    parameter.copy_(parameter.clamp(low, high))


class Likelihood(nn.Module):
    """Distributions p(x_j given z), one per column, independent of each other unless the family is `joint`.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    # Declarations: see `nn.traits`.
    joint: ClassVar[bool] = False
    exact: ClassVar[tuple[str, ...]] = ()

    n_params: ClassVar[int] = 1
    """Decoder outputs per column."""
    support: tuple[float, float] = (-float("inf"), float("inf"))
    """Closed interval of the admissible values."""
    whole: ClassVar[bool] = False
    """Whether the distribution is one of whole numbers: counts, or 0 and 1."""
    standardized: ClassVar[bool] = True
    """Whether the columns are centred and scaled first, which suits only location-scale families."""
    row_total: ClassVar[float | None] = None
    """Sum of the columns of a row; None if it may be anything."""
    filler: ClassVar[float] = 0.0
    """Any admissible value, which stands in for a missing cell while the density is computed."""
    largest: ClassVar[float] = 1e150
    """Largest admissible distance from 0: up to there, squares and their sums are finite."""
    n_learned: int = 0
    """Number of rows that the family learns from, at most; 0 for a family that learns from means alone."""
    n_points: ClassVar[int] = 200
    """Number of values that stand for a range, besides draws."""
    peak: float | None = None
    """Upper bound of the log-density, if it has one; None for a family that learns its own scale."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns

    @abstractmethod
    def distribution(self, params: Tensor) -> distributions.Distribution:
        """Return the distribution of shape (..., n_columns) for decoder outputs (..., n_columns * n_params)."""

    def log_density(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns), for an `x` without missing cells."""
        return self.distribution(params).log_prob(x)

    def log_cdf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X <= x given params) of each cell, shape (..., n_columns), for an `x` without missing cells.

        A family without this method, such as one of classes, has no labels that are known only as limits.
        """
        raise NotImplementedError(f"{type(self).__name__} has no distribution function.")

    def log_sf(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X > x given params) of each cell, shape (..., n_columns), for an `x` without missing cells."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution function.")

    def log_below(self, params: Tensor, x: Tensor) -> Tensor:
        """Return log P(X < x given params) of each cell: that of `log_cdf`, unless a value has a probability."""
        return self.log_cdf(params, x)

    @property
    def has_cdf(self) -> bool:
        """Whether the family has a distribution function, which labels that are known only as limits need."""
        return type(self).log_cdf is not Likelihood.log_cdf

    def log_prob(self, params: Tensor, x: Tensor, complete: bool = False, censoring: Tensor | None = None) -> Tensor:
        """Return log p(x given params) of each cell, shape (..., n_columns): zero where `x` is NaN.

        Parameters
        ----------
        params : Tensor of shape (..., n_columns * n_params)
            Decoder outputs.
        x : Tensor of shape (n_rows, n_columns)
            Values, NaN where missing.
        complete : bool, default=False
            Promises that no cell is missing, which saves the masking.
        censoring : Tensor of shape (n_rows, n_columns) or None, default=None
            -1 where the value is known only to be below `x`, 1 where it is above: the result there is log P(X < x) or
            log P(X > x). None is 0 everywhere.
        """
        if censoring is not None:
            return self._log_prob_of_limits(params, x, censoring)
        if complete:
            return self.log_density(params, x)
        missing = x.isnan()
        # Filled before the density and masked after it: a NaN in the density would leave NaN in the gradient, even if
        # it were multiplied by zero later.
        return self.log_density(params, x.masked_fill(missing, self.filler)).masked_fill(missing, 0.0)

    def _log_prob_of_limits(self, params: Tensor, x: Tensor, censoring: Tensor) -> Tensor:
        missing = x.isnan()
        x = x.masked_fill(missing, self.filler)
        of_limits = torch.where(censoring < 0, self.log_below(params, x), self.log_sf(params, x))
        return torch.where(censoring == 0, self.log_density(params, x), of_limits).masked_fill(missing, 0.0)

    def disagreement(self, params: Tensor, others: Tensor) -> Tensor:
        """Return the disagreement between two predictions of each cell, in nats: zero if they are the same.

        Half the squared distance of the means, weighted as in the density: for a normal distribution this is the mean
        of the two divergences KL(p, q) and KL(q, p).

        Parameters
        ----------
        params, others : Tensor of shape (..., n_columns * n_params)
            Decoder outputs.
        """
        means = self.distribution(params).mean, self.distribution(others).mean
        return 0.5 * self.precision() * (means[0] - means[1]).square()

    def given(self, params: Tensor, x: Tensor) -> Tensor:
        """Return the decoder outputs, changed where the observed cells of a row restrict its missing ones.

        Parameters
        ----------
        params : Tensor of shape (..., n_columns * n_params)
            Decoder outputs.
        x : Tensor of shape (n_rows, n_columns)
            Values, NaN where missing.
        """
        return params

    def for_means(self) -> "Likelihood":
        """Return a family with the same means and classes, and nothing else."""
        return self

    def constrain(self) -> None:
        """Clamp parameters that a step of the optimiser has moved out of their range."""

    def learn(self, mean: Tensor) -> None:
        """Start from the columns' means, shape (n_columns,), if the family can use them."""

    def units(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return by what to standardise the columns: mean and deviation, unless the family needs something else.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_columns)
            Values in their own units, NaN where missing.
        location, scale : Tensor of shape (n_columns,)
            Mean and deviation.
        weight : Tensor of shape (n_rows, n_columns) or None, default=None
            Weights of the cells.
        """
        return location, scale

    def learn_rows(self, x: Tensor, location: Tensor, scale: Tensor, weight: Tensor | None = None) -> None:
        """Learn from rows what the family wants to know of its columns, beyond their means.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_columns)
            Values in their own units, NaN where missing.
        location, scale : Tensor of shape (n_columns,)
            What the columns are standardised by.
        weight : Tensor of shape (n_rows, n_columns) or None, default=None
            Weights of the cells.
        """

    def start(self, variance: float) -> None:
        """Start a learned scale at a share of each column's variance, from 0 to 1."""

    def at_floor(self, margin: float) -> dict[int, float]:
        """Return the columns whose learned variance is less than `margin` times its floor, and that floor."""
        return {}

    def as_input(self, x: Tensor) -> Tensor:
        """Return values in the form that an encoder should see, roughly centred and scaled."""
        return x

    def as_seen(self, x: Tensor) -> Tensor:
        """Return draws, in their own units, in the form that the training values have."""
        return x

    def is_atom(self, x: Tensor) -> Tensor:
        """Return which standardised values have a probability rather than a density, though others have one."""
        return torch.zeros_like(x, dtype=torch.bool)

    def points(self, column: int, low: float, high: float, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised values of a column that stand for a range, and the logs of the lengths that each covers.

        Parameters
        ----------
        column : int
            The column.
        low, high : float
            Ends of the range.
        drawn : Tensor of shape (n_draws,)
            Draws of the column: where they are dense, so are the values.
        """
        inside = drawn[(drawn > low) & (drawn < high)][: self.n_points].to(torch.float64)
        edges = torch.cat([torch.linspace(low, high, self.n_points, dtype=torch.float64), inside]).unique()
        return (edges[1:] + edges[:-1]) / 2, edges.diff().log()

    def within(self, column: int, low: float, high: float) -> tuple[float, float]:
        """Return a range of a column, in its own units, with regard to what draws can be."""
        return low, high

    def each(self, params: Tensor) -> Iterator[tuple["Likelihood", Tensor]]:
        """Yield each family within, and its own decoder outputs."""
        yield self, params

    def precision(self) -> Tensor:
        """Return the weight of each column's squared error in the density, shape (n_columns,)."""
        return torch.ones(self.n_columns)

    def parts(self) -> Iterator[tuple["Likelihood", list[int]]]:
        """Yield each family within, and its columns."""
        yield self, list(range(self.n_columns))

    def split(self, params: Tensor) -> tuple[Tensor, ...]:
        """Return the `n_params` parameters of all columns, each of shape (..., n_columns)."""
        return params.unflatten(-1, (self.n_columns, self.n_params)).unbind(-1)


class LogLink(Likelihood):
    """Families on a logarithmic scale: the decoder gives the log of a mean, relative to that of the column.

    Parameters
    ----------
    n_columns : int
        Number of columns.
    """

    standardized = False
    bound: ClassVar[float] = 20.0
    """Largest output: a mean exp(20) times that of the column is absurd, and more would overflow the loss."""
    log_location: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__(n_columns)
        self.register_buffer("log_location", torch.zeros(n_columns))

    def learn(self, mean: Tensor) -> None:
        """Let an output of 0 stand for the column's own mean."""
        self.log_location = torch.where(mean > 0, mean, 1.0).log().to(self.log_location)

    def log_mean(self, params: Tensor) -> Tensor:
        """Return the log of each cell's mean, or the mean of its log."""
        return self.log_location + params.clamp(max=self.bound)
