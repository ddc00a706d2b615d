"""Units of columns, learned from their values."""

from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

MODERATE = 1e30
"""Float32 holds all digits of numbers between its reciprocal and this, with room to spare."""


class Standardizer(nn.Module):
    """Location and scale of each column, learned from its observed values.

    They are kept in float64 whatever the model's precision: a date in seconds has no digits to spare.
    """

    exact: ClassVar[tuple[str, ...]] = ("location", "scale")
    location: Tensor
    scale: Tensor
    constants: Tensor | None
    """Values of the columns that have never varied, infinity for those without any, NaN for all others; None if all
    columns have varied."""

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(n_columns, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_columns, dtype=torch.float64))
        self.register_buffer("constants", None, persistent=False)

    def set(self, location: ArrayLike, scale: ArrayLike) -> None:
        """Set location and scale, each of shape (n_columns,)."""
        self.location = torch.as_tensor(location, dtype=torch.float64).clone()
        self.scale = torch.as_tensor(scale, dtype=torch.float64).clone()

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Return `(x - location) / scale`, in the precision of `x` if `dtype` is None.

        A column that has never varied has its own value, whatever comes, and one without any value has none: weights
        for such a column are those they began with, and what they made of another value would mean nothing.
        """
        dtype = dtype or x.dtype
        u = self._units_of(x, dtype)
        if self.constants is None:
            return u
        own = self._units_of(self.constants, dtype)
        return torch.where(self.constants.isnan() | x.isnan(), u, own.masked_fill(own.isinf(), float("nan")))

    def _units_of(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return standardised values, whether or not their column has varied.

        All digits of the location count, whatever the precision: a float32 value far from zero may be close to the
        location but far from the rounded location.
        """
        if x.dtype == dtype == torch.float32 and self._is_moderate:
            # The difference of close values is exact; the rounding error of the location is subtracted afterwards.
            rounded = self.location.to(dtype)
            rest = (self.location - rounded).to(dtype)
            return (x - rounded).sub_(rest).mul_(self.scale.reciprocal().to(dtype))
        return (x.to(self.location.dtype) - self.location).div_(self.scale).to(dtype)

    def hold(self, constants: ArrayLike | None) -> None:
        """Hold columns that have never varied at their values, as `constants` has them."""
        self.constants = None if constants is None else torch.tensor(constants, dtype=torch.float64)

    @property
    def _is_moderate(self) -> bool:
        """Whether float32 can hold the location, and all digits of the scale's reciprocal."""
        within = (self.location.abs() < MODERATE) & (self.scale < MODERATE) & (self.scale > 1 / MODERATE)
        return bool(within.all())

    def inverse(self, u: Tensor) -> Tensor:
        """Return `location + scale * u`, in float64; its own value in each column that has never varied."""
        x = torch.addcmul(self.location, self.scale, u.to(self.location.dtype))
        if self.constants is None:
            return x
        return torch.where(self.constants.isnan(), x, self.constants.nan_to_num(0.0, 0.0))

    def rescale(self, deviation: Tensor) -> Tensor:
        """Return standard deviations in the data's own units, in float64."""
        return self.scale * deviation

    def log_jacobian(self, x: Tensor, is_atom: Tensor | bool = False) -> Tensor:
        """Return minus the log scales of cells, which turn a log-density of standardised values into one of `x`.

        Missing cells have none, and neither have atoms, whose probabilities have no unit.
        """
        return -torch.where(x.isnan() | is_atom, 0.0, self.scale.log().to(x.dtype)).sum(-1)
