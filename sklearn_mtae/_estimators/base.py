"""What the estimators share: state, and the verbs of an encoder and a decoder."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_mtae._engine.devices import living_threads
from sklearn_mtae._engine.net import Net
from sklearn_mtae._engine.state import Cache, load, place
from sklearn_mtae._fitting.callbacks import CallbackSupportMixin  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._tables.blocks import block_rows, blocks, dense, tensor
from sklearn_mtae._tables.checks import check_codes, check_out, check_support
from sklearn_mtae._tables.coded_rows import Coded
from sklearn_mtae._tables.column_likelihoods import needs_positive, takes_sparse
from sklearn_mtae._tables.filling import as_it_came, fill, missing_cells, read
from sklearn_mtae._tables.limits import Limits, Range, check_size, check_totals, find_range
from sklearn_mtae._tables.row_index import Chosen
from sklearn_mtae._version import __version__
from sklearn_mtae.nn.models import Autoencoder

from .interpretation import Interpretable
from .parts import DTYPES


class BaseAutoencoder(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, Interpretable):
    """Base of the estimators: everything that does not depend on what the code means."""

    __metadata_request__transform = {"out": UNUSED}

    def partial_fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on a part of the data.

        The first call learns the location and scale of the columns and the levels of categories, and nothing but the
        weights changes later: let the first part be representative. A level that it does not have is unknown in later
        parts: a missing cell, with a warning (see `handle_unknown`). Schedules stand at their end, and no row is held
        out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Part of the data, NaN where a cell is missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; only their ratios within this part matter.

        Returns
        -------
        self
            The estimator.
        """
        return self._fit(X, None, sample_weight, partial=True)

    def transform(self, X: ArrayLike, *, out: NDArray | None = None) -> NDArray:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        out : ndarray of shape (n_samples, n_components) or None, default=None
            Where to write the codes, block by block, such as a `numpy.memmap`; a floating-point array. None makes a new
            array.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Codes; of a variational model, the means of the posteriors. `out` itself where it was given and no other
            container was asked for by `set_output`.

        Raises
        ------
        TypeError, ValueError
            If `out` is no array of this shape that floating-point numbers can be written to.
        """
        x, n_columns = self._check_rows(X), self._n_features_out
        check_out(out, (x.shape[0], n_columns))
        # A model may have components beyond those that describe the features.
        return self._apply(lambda module, x: module.encode(module.fill(x))[:, :n_columns], x, out=out)

    def inverse_transform(self, Z: ArrayLike) -> NDArray:
        """Decode codes.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            Means of the columns given the code, in X's units; of a column of categories, the most probable one. A
            DataFrame with the dtypes of X, whole numbers rounded, where the estimator was fitted to one.
        """
        check_is_fitted(self)
        codes = check_codes(Z, self._n_features_out)
        # A frame has dtypes of its own: its large whole numbers lose no digits to those of Z.
        dtype = np.float64 if self._table is not None and self._table.framed else None
        decoded = self._decode(lambda module, z: module.reconstruct(z), codes, standardize=False, dtype=dtype)
        return self._restore(decoded, Z)

    def predict(self, X: ArrayLike) -> NDArray:
        """Reconstruct rows: what `inverse_transform(transform(X))` gives.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            Means of the columns given the code of the row, in X's units, as `inverse_transform` returns them.
        """
        return self._restore(self._reconstruct(self._check_rows(X)), X)

    def impute(self, X: ArrayLike) -> NDArray:
        """Fill missing cells with their reconstruction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            A copy of X with values in its missing cells, all else as it came: a frame where X is one. A column gets
            another dtype only where its own cannot hold the values. Whole numbers are rounded where the estimator was
            fitted to a frame with whole numbers there.
        """

        def reconstruct(module: Autoencoder, x: Tensor) -> Tensor:
            return module.reconstruct(module.encode(module.fill(x)), x)

        return self._fill(X, lambda rows: [self._decode(reconstruct, rows)])[0]

    def score_samples(self, X: ArrayLike) -> NDArray:
        """Return log p(x given code(x)) of each row: minus the distortion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities of the observed cells in nats, in X's own units; minus infinity where one of them is outside
            of the support of its likelihood, such as a negative count.
        """

        def log_density(module: Autoencoder, x: Tensor) -> Tensor:
            return module.log_likelihood(module.encode(module.fill(x)), x) + module.units.log_jacobian(x)

        return self._log_densities(log_density, X)

    @property
    def net_(self) -> Net:
        """The skorch net; rebuilt from the state where it was left behind by pickling."""
        check_is_fitted(self)
        if "net" not in self._cache:
            device = self._resolve_device()
            module = load(self._empty_module(self._blueprint_of(0)), self._states[0], self._trained_dtype)
            loss = self._make_loss(module, self._loss_states[0])
            owner = self._with(self._settings[0])
            rates = owner.learning_rate_init, owner.alpha
            self._cache["net"] = self._make_net(place(module, device), loss, rates).initialize()
            self._cache["net"].history.extend(self._cache.pop("history", []))
        return self._cache["net"]

    @property
    def module_(self) -> Autoencoder:
        """The fitted torch module, in the precision it was trained in and evaluation mode."""
        check_is_fitted(self)
        return self._fitted_module(self._trained_dtype)

    @property
    def _trained_dtype(self) -> torch.dtype:
        return DTYPES[self._blueprint["dtype"]]

    @property
    def _n_features_out(self) -> int:
        return self._blueprint["n_components"]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_states")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = takes_sparse(self.likelihood)
        tags.input_tags.positive_only = needs_positive(self.likelihood)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in super().__getstate__().items() if key != "_cache"}
        return {**state, "_sklearn_mtae_version": __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version = state.pop("_sklearn_mtae_version", "unknown")
        if version != __version__:
            warnings.warn(
                f"{type(self).__name__} was saved by sklearn_mtae {version} and is loaded by {__version__}. "
                "Results may differ; fit it again to be safe.",
                stacklevel=2,
            )
        super().__setstate__(state)
        self._cache = Cache()

    # Inference.

    def _check_rows(self, X: Any) -> NDArray:
        """Return the columns of X as the model sees them; what `fit` refuses is refused here too."""
        x, columns = self._find_range(X)
        if columns is not None:
            option = f"likelihood={self._blueprint['likelihood']!r}"
            check_support(columns, self._limits, option, "X", self._expanded_names)
            check_totals(x, None, self._limits, option, self._expanded_names)
        return x

    def _find_range(self, X: Any) -> tuple[NDArray, Range | None]:
        """Return the columns of X as the model sees them, and between what values they lie where that matters."""
        check_is_fitted(self)
        x = self._check_features(X, reset=False)
        return x, find_range(x) if self._limits.bind(x.dtype) else None

    @property
    def _limits(self) -> Limits:
        """Between what numbers the columns must lie."""
        if "limits" not in self._cache:
            self._cache["limits"] = self._limits_of(self._with(self._blueprint)._make_likelihood())
        return self._cache["limits"]

    def _log_densities(self, function: Callable[[Any, Tensor], Tensor], X: Any, **options: Any) -> NDArray:
        """Return what a function says of the log-density of rows; minus infinity of those outside of the support."""
        x, columns = self._find_range(X)
        if columns is not None:
            check_size(columns, self._limits, "X", self._expanded_names)
        if columns is None or self._limits.admits(columns):
            return _at_least(self._apply(function, x, open_below=True, weighs=True, **options)) + self._log_shares(x)
        inside = self._limits.rows(x)
        densities = np.full(x.shape[0], -np.inf, dtype=x.dtype)
        if inside.any():
            chosen = Chosen(x, np.flatnonzero(inside))
            densities[inside] = _at_least(self._apply(function, chosen, open_below=True, weighs=True, **options))
        return densities + self._log_shares(x)

    @staticmethod
    def _log_shares(x: Any) -> NDArray | float:
        """Return what turns log-densities of the columns of rows into those of the levels that share one."""
        return x.log_shares() if isinstance(x, Coded) else 0.0

    def _reconstruct(self, x: Any) -> NDArray:
        """Return the means of the columns of X given the codes of checked rows; of a category a level."""
        return self._decode(lambda module, x: module.reconstruct(module.encode(module.fill(x))), x)

    def _decode(
        self,
        function: Callable[[Any, Tensor], Tensor],
        array: Any,
        draws: np.random.Generator | None = None,
        **options: Any,
    ) -> NDArray:
        """Return what a function of a module decodes, one value for each column of X: of a category a level's code.

        `draws` says that the function draws, and where levels that share a column are drawn from; `options` are those
        of `_apply`.
        """
        narrow = None if self._table is None else partial(self._table.narrow, draws=draws)
        return self._apply(function, array, finish=narrow, **options)

    def _fill(self, X: Any, expect: Callable[[Any], list[NDArray]], n_tables: int = 1) -> list[Any]:
        """Return copies of X, their missing cells filled by what a function makes of the rows that have some."""
        table = read(X, self._table is None)
        x, gaps = self._check_rows(table), missing_cells(table)
        return [as_it_came(X, fill(table, gaps, part)) for part in self._decode_rows(x, gaps, expect, n_tables)]

    def _decode_rows(
        self, x: Any, gaps: NDArray[np.bool_], expect: Callable[[Any], list[NDArray]], n_tables: int = 1
    ) -> list[list[Any]]:
        """Return tables of what a function makes of the checked rows that have gaps, each in parts, as X's columns."""
        index = np.flatnonzero(gaps.any(axis=1))
        tables: list[list[Any]] = [[] for _ in range(n_tables)]
        for rows in blocks(len(index), block_rows(self._n_columns)):
            for table, columns in zip(tables, expect(Chosen(x, index[rows])), strict=True):
                table.append(self._restore(columns))
        return tables

    def _restore(self, columns: NDArray, like: Any = None) -> Any:
        """Return values of the columns of X as they were: a frame where the estimator was fitted to one."""
        index = getattr(like, "index", None)
        # A list has an `index` too, which is a method.
        return columns if self._table is None else self._table.decode(columns, index=None if callable(index) else index)

    def _apply(
        self,
        function: Callable[[Any, Tensor], Tensor],
        array: Any,
        *,
        out: NDArray | None = None,
        dtype: Any = None,
        open_below: bool = False,
        finish: Callable[[NDArray], NDArray] | None = None,
        **options: Any,
    ) -> NDArray:
        """Run a function of a module over blocks of rows, and put what it makes of the rows into one array.

        `out` is where that goes; None makes one of a `dtype`, or of the rows' own precision. Where float32 overflows,
        rows are reckoned again in float64; `open_below` says that minus infinity is a result like others. `finish` is
        applied to each block at the end; `options` are those of `_results`.

        Raises
        ------
        ValueError
            If what is made of a row is not finite; it names the row.
        """
        dtype = np.dtype(dtype or array.dtype)
        for rows, result in self._results(function, array, **options):
            failed = _overflown(result, dtype, open_below)
            if failed.any():
                result = self._again(function, array, rows, result, failed, **options)
                failed = _overflown(result, dtype, open_below)
            if failed.any():
                first = slice(start := rows.start + int(np.flatnonzero(failed)[0]), start + 1)
                place = array.index[start] if isinstance(array, Chosen) else start
                raise ValueError(self._too_far(dense(array[first])[0], f"Row {place}", **options))
            if finish is not None:
                result = finish(result)
            if out is None:
                out = np.empty((array.shape[0], *result.shape[1:]), dtype=dtype)
            with np.errstate(over="ignore"):  # minus infinity is what the nearest number becomes
                out[rows] = result
        assert out is not None
        return out

    def _again(
        self,
        function: Callable[[Any, Tensor], Tensor],
        array: Any,
        rows: slice,
        result: NDArray,
        failed: NDArray,
        **options: Any,
    ) -> NDArray:
        """Return a block's results, those of rows that failed reckoned in float64 where they were not."""
        if array.dtype == np.float64:
            return result
        result = result.astype(np.float64)
        again = self._results(function, dense(array[rows])[failed].astype(np.float64), **options)
        result[failed] = np.concatenate([part for _, part in again])
        return result

    def _too_far(self, row: NDArray, name: str, *, standardize: bool = True, member: int = 0, **options: Any) -> str:
        """Return the words of an error for a row that leads to no finite result."""
        names, units = range(len(row)), np.ones(len(row))
        if standardize:
            names, units = self._expanded_names, self._state_of(member)["units.scale"]
        with np.errstate(over="ignore"):
            column = int(np.argmax(np.nan_to_num(np.abs(row / units), nan=-1.0)))
        return (
            f"{name} is too far from the rows that the model was fitted to: what the model makes of it is not finite. "
            f"It has {row[column]:g} in column {names[column]!r}."
        )

    def _results(
        self,
        function: Callable[[Any, Tensor], Tensor],
        array: NDArray,
        *,
        standardize: bool = True,
        n_draws: int = 1,
        member: int = 0,
        weighs: bool = False,
    ) -> Iterator[tuple[slice, NDArray]]:
        """Yield blocks of rows and what a function of a module makes of them, in the array's own precision.

        `n_draws` is how many copies of each row the function makes; the blocks shrink by it. `member` is which of
        several models is run. `weighs` says that the function needs the digits of log-densities: where float32 has
        them not, it runs in float64.
        """
        precise = array.dtype == np.float64 or (weighs and self._limits.cancel)
        module = self._fitted_module(torch.float64 if precise else torch.float32, member=member)
        device = module.units.location.device
        # The widest layer bounds the memory, not the array; a quarter of it still keeps the processor busy.
        width = max(array.shape[1], self._n_columns, max(p.shape[0] for p in module.parameters()) // 4)
        for rows in blocks(array.shape[0], block_rows(n_draws * width)):
            with torch.inference_mode(), living_threads():
                block = tensor(dense(array[rows])).to(device)
                block = module.units(block, torch.float64 if precise else None) if standardize else block
                result = function(module, block).cpu().numpy()
            yield rows, result

    def _fitted_module(self, dtype: torch.dtype, device: torch.device | None = None, member: int = 0) -> Any:
        """Return a fitted module in a precision, ready to infer with."""
        device = device or self._resolve_device()
        if device.type == "mps" and dtype == torch.float64:
            device = torch.device("cpu")
        key = f"{member}: {dtype} on {device}"
        if key not in self._cache:
            module = load(self._empty_module(self._blueprint_of(member)), self._state_of(member), dtype)
            self._cache[key] = place(module, device).eval().requires_grad_(False)
        return self._cache[key]

    def _state_of(self, member: int) -> dict[str, NDArray]:
        """Return the state of one of several models."""
        return self._states[member]

    def _blueprint_of(self, member: int) -> dict[str, Any]:
        """Return what one of several models is built from."""
        return {**self._blueprint, **self._settings[member]}


def _overflown(result: NDArray, dtype: np.dtype, open_below: bool) -> NDArray[np.bool_]:
    """Return of which rows a result in a precision is not finite, minus infinity left out where that is a result."""
    with np.errstate(over="ignore"):
        result = result.astype(dtype, copy=False)
    admitted = np.isfinite(result) | np.logical_and(open_below, np.isneginf(result))
    return np.asarray(~admitted.reshape(len(result), -1).all(axis=1))


def _at_least(densities: NDArray) -> NDArray:
    """Return log-densities of rows inside of the support: finite, however low."""
    return np.maximum(densities, np.finfo(densities.dtype).min)
