"""Running fitted models over blocks of rows, which all methods build on."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.devices import largest_product, resolve_device, threads_for
from sklearn_mtae._engine.side_by_side import fill_up, filled_blocks
from sklearn_mtae._engine.state import place
from sklearn_mtae._tables.blocks import block_rows, blocks, dense, tensor
from sklearn_mtae._tables.coded_rows import Coded
from sklearn_mtae._tables.features import read_features
from sklearn_mtae._tables.limits import Limits, Range, find_range
from sklearn_mtae._tables.row_index import Chosen
from sklearn_mtae.nn.models import Autoencoder

from .build import column_likelihood, rebuild
from .fitted import Fitted
from .recipe import DTYPES
from .several import Several, several

Function = Callable[[Any, Tensor], Tensor]
"""From a model and standardised rows to a result for each row."""


class ModelRunner:
    """Run functions of fitted models over rows.

    Parameters
    ----------
    fitted : Fitted
        The result of a fit.
    device : str
        Where the models run; the CPU if it is absent.
    unknown : str
        How to treat unknown categories: the parameter `handle_unknown`.
    """

    def __init__(self, fitted: Fitted, device: str = "auto", unknown: str = "missing") -> None:
        self.fitted = fitted
        self.device = device
        self.unknown = unknown
        self.features = fitted.recipe.columns

    def read(self, X: Any) -> Any:
        """Return the columns of X as the model sees them; what `fit` rejects is rejected here too."""
        x, columns = self._read(X)
        if columns is not None:
            option = self.fitted.recipe.likelihood
            self.limits.check(x, columns, "X", self.features.expanded_names, "likelihood", option)
        return x

    def _read(self, X: Any) -> tuple[Any, Range | None]:
        """Return the columns of X as the model sees them, and their range if it matters."""
        x = read_features(X, self.fitted.recipe.owner, self.features, unknown=self.unknown)
        return x, find_range(x) if self.limits.bind(x.dtype) else None

    @property
    def limits(self) -> Limits:
        """Limits of the columns."""
        cache, recipe = self.fitted.cache, self.fitted.recipe
        if "limits" not in cache:
            cache["limits"] = Limits.of(column_likelihood(recipe), recipe.columns.indicators)
        return cache["limits"]

    def log_densities(self, function: Function, X: Any, **options: Any) -> NDArray:
        """Compute log-densities of rows; minus infinity for those outside the support."""
        x, columns = self._read(X)
        if columns is not None:
            self.limits.check_size(columns, "X", self.features.expanded_names)
        # Levels that share a column share its probability.
        shares = x.log_shares() if isinstance(x, Coded) else 0.0
        run = partial(self.apply, function, open_below=True, weighs=True, **options)
        if columns is None or self.limits.admits(columns):
            return _at_least(run(x)) + shares
        inside = self.limits.rows(x)
        densities = np.full(x.shape[0], -np.inf, dtype=x.dtype)
        if inside.any():
            densities[inside] = _at_least(run(Chosen(x, np.flatnonzero(inside))))
        return densities + shares

    def decode(self, function: Function, array: Any, draws: np.random.Generator | None = None, **options: Any) -> Any:
        """Decode to one value for each column of X; for a category, the code of a level.

        `draws` says that the function draws, and is the source for levels that share a column; `options` are those of
        `apply`.
        """
        table = self.features.table
        narrow = None if table is None else partial(table.narrow, draws=draws)
        return self.apply(function, array, finish=narrow, **options)

    def apply(
        self,
        function: Function,
        array: Any,
        *,
        out: NDArray | None = None,
        dtype: Any = None,
        open_below: bool = False,
        finish: Callable[[NDArray], NDArray] | None = None,
        **options: Any,
    ) -> NDArray:
        """Run a function over blocks of rows, and collect its results in one array.

        `out` is the array; None makes one of a `dtype`, or in the precision of the rows. If float32 overflows, rows are
        computed again in float64; `open_below` allows minus infinity as a result. `finish` is applied to each block at
        the end; `options` are those of `results`.

        Raises
        ------
        ValueError
            If the result for a row is not finite; the error names the row.
        """
        dtype = np.dtype(dtype or array.dtype)
        for rows, result in self.results(function, array, **options):
            failed = _overflown(result, dtype, open_below)
            if failed.any():
                result = self._again(function, array, rows, result, failed, **options)
                failed = _overflown(result, dtype, open_below)
            if failed.any():
                first = slice(start := rows.start + int(np.flatnonzero(failed)[0]), start + 1)
                where = array.index[start] if isinstance(array, Chosen) else start
                raise ValueError(self.too_far(dense(array[first])[0], f"Row {where}", **options))
            if finish is not None:
                result = finish(result)
            if out is None:
                out = np.empty((array.shape[0], *result.shape[1:]), dtype=dtype)
            with np.errstate(over="ignore"):  # the nearest number becomes minus infinity
                out[rows] = result
        assert out is not None
        return out

    def _again(
        self, function: Function, array: Any, rows: slice, result: NDArray, failed: NDArray, **options: Any
    ) -> NDArray:
        """Return a block's results, with failed rows computed in float64 unless they already were."""
        if array.dtype == np.float64 and options.get("states") is None:
            return result
        result = result.astype(np.float64)
        again = self.results(function, dense(array[rows])[failed].astype(np.float64), **{**options, "precise": True})
        result[failed] = np.concatenate([part for _, part in again])
        return result

    def too_far(self, row: NDArray, name: str, *, standardize: bool = True, state: int = 0, **options: Any) -> str:
        """Return the error text for a row without a finite result."""
        names, units = range(len(row)), np.ones(len(row))
        state = (options.get("states") or (state,))[0]
        if standardize:
            names, units = self.features.expanded_names, self.fitted.state_of(state)["units.scale"]
        with np.errstate(over="ignore"):
            column = int(np.argmax(np.nan_to_num(np.abs(row / units), nan=-1.0)))
        return (
            f"{name} is too far from the rows that the model was fitted to: its result is not finite. "
            f"It has {row[column]:g} in column {names[column]!r}."
        )

    def results(
        self,
        function: Function,
        array: Any,
        *,
        standardize: bool = True,
        n_draws: int = 1,
        state: int = 0,
        states: tuple[int, ...] | None = None,
        weighs: bool = False,
        cached: bool = True,
        precise: bool = False,
        alike: bool = False,
    ) -> Iterator[tuple[slice, NDArray]]:
        """Yield blocks of rows and the results of a function of a model, in the array's own precision.

        `n_draws` is the number of copies of each row that the function makes; the blocks shrink by it. `state` selects
        one of several models. All `states` are run if given, in the precision of their training unless the results must
        be `precise`, and the results of a row lie along the second axis. `weighs` says that the function weighs
        log-densities, whose differences lack digits in float32: it runs in float64. `cached` says whether the model is
        kept for the next call. `alike` says that a row needs the same bits whatever rows come with it, as several
        states give it.
        """
        if states is not None:
            yield from self._of_several(function, array, states, n_draws, cached, precise)
            return
        precise = precise or array.dtype == np.float64 or weighs
        model = self.model(torch.float64 if precise else torch.float32, state=state, cached=cached)
        device = model.units.location.device
        if alike:
            each = filled_blocks(array.shape[0], n_draws * array.shape[1])
        else:
            plain = blocks(array.shape[0], self._block_rows(model, array.shape[1], n_draws, weighs))
            each = ((rows, rows.stop - rows.start) for rows in plain)
        for rows, size in each:
            # Several threads may share a sum, whose last digits then depend on their number.
            with torch.inference_mode(), threads_for(0 if alike else model.n_products * n_draws * size):
                block = fill_up(tensor(dense(array[rows])), size).to(device)
                block = model.units(block, torch.float64 if precise else None) if standardize else block
                result = function(model, block).cpu().numpy()
            yield rows, result[: rows.stop - rows.start] if alike else result

    def _block_rows(self, model: Autoencoder, n_columns: int, n_draws: int, weighs: bool) -> int:
        """Return how many rows are run at once; the widest layer bounds the memory, not the array."""
        width = max(n_columns, self.features.n_expanded)
        if weighs:  # copies are decoded a few at a time
            return block_rows(max(n_draws * (width + self.fitted.recipe.n_components), model.width))
        # A quarter of the widest layer still keeps the processor busy.
        return block_rows(n_draws * max(width, model.width // 4))

    def _of_several(
        self, function: Function, array: Any, states: tuple[int, ...], n_draws: int, cached: bool, precise: bool
    ) -> Iterator[tuple[slice, NDArray]]:
        """Yield blocks of rows and the results of a function of several models, side by side if they stack."""
        models = self._several(states, torch.float64 if precise else DTYPES[self.fitted.recipe.dtype], function, cached)
        if models is not None and models.take(function, array.shape[1], array.dtype, cached):
            for rows, size in filled_blocks(array.shape[0], n_draws * models.width):
                with torch.inference_mode(), threads_for(models.n_products * size):
                    block = fill_up(tensor(dense(array[rows])), size)
                    result = models(function, block, recorded=cached)[: rows.stop - rows.start].cpu().numpy()
                yield rows, result
            return
        for rows in blocks(array.shape[0], block_rows(n_draws * max(array.shape[1], len(states)))):
            options = {"n_draws": n_draws, "cached": cached, "precise": precise}
            each = (self.results(function, dense(array[rows]), state=k, **options) for k in states)
            yield rows, np.stack([np.concatenate([part for _, part in own]) for own in each], axis=1)

    def _several(self, states: tuple[int, ...], dtype: torch.dtype, function: Function, cached: bool) -> Several | None:
        """Return states side by side, in a precision, ready to evaluate; None if they do not stack."""
        device, at_means = self._device(dtype), getattr(function, "at_means", False)
        key, cache = f"{states}: {dtype} on {device}{', at means' * at_means}", self.fitted.cache
        if key in cache:
            return cache[key]
        models = several(self.fitted, states, dtype, device, at_means)
        if cached:
            cache[key] = models
        return models

    def _device(self, dtype: torch.dtype) -> torch.device:
        """Return the device for models of a precision."""
        device = resolve_device(self.device, strict=False)
        return torch.device("cpu") if device.type == "mps" and dtype == torch.float64 else device

    def model(self, dtype: torch.dtype, device: torch.device | None = None, state: int = 0, cached: bool = True) -> Any:
        """Return a fitted model in a precision, ready to infer with."""
        device = device or self._device(dtype)
        key, cache = f"{state}: {dtype} on {device}", self.fitted.cache
        if key in cache:
            return cache[key]
        model: Any = place(rebuild(self.fitted, dtype, state), device).eval().requires_grad_(False)
        model.n_products = largest_product(model, 1)  # looking for it takes as long as some operations on a row
        if cached:
            cache[key] = model
        return model


def reconstruct(model: Autoencoder, x: Tensor) -> Tensor:
    """Return the means of the columns given the codes of rows."""
    return model.reconstruct(model.encode(model.fill(x)))


def _overflown(result: NDArray, dtype: np.dtype, open_below: bool) -> NDArray[np.bool_]:
    """Return which rows have a result that is not finite in a precision, unless minus infinity is allowed."""
    with np.errstate(over="ignore"):
        result = result.astype(dtype, copy=False)
    admitted = np.isfinite(result)
    if admitted.all():
        return np.zeros(len(result), dtype=bool)
    if open_below:
        admitted |= np.isneginf(result)
    return np.asarray(~admitted.reshape(len(result), -1).all(axis=1))


def _at_least(densities: NDArray) -> NDArray:
    """Return log-densities of rows inside the support: finite, however low."""
    return np.maximum(densities, np.finfo(densities.dtype).min)
