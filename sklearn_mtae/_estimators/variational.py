"""What the variational estimators share: the code is a distribution."""

from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_mtae._engine.devices import living_threads
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._tables.blocks import block_rows, blocks, dense
from sklearn_mtae._tables.checks import Interval, StrOptions, check_cells, check_support
from sklearn_mtae._tables.filling import put
from sklearn_mtae._tables.limits import check_totals, find_range
from sklearn_mtae._tables.row_index import evenly
from sklearn_mtae.nn.factories import function_of, make, make_prior
from sklearn_mtae.nn.importance import Draws, draw
from sklearn_mtae.nn.models import VAE, Autoencoder, Output
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.posteriors import POSTERIORS, NormalPosterior, quasi_normal
from sklearn_mtae.nn.priors import PRIORS, Prior
from sklearn_mtae.nn.random import seeded
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.words import listed, named, short, suggest_each

from .base import BaseAutoencoder
from .diagnosis import Diagnosed
from .parts import DTYPES

N_RESAMPLED = 1000
"""Rows that are drawn at once under conditions, from one set of weighted codes."""
DRAWS_PER_SAMPLE, MIN_DRAWS = 10, 5000
"""Weighted codes for each such row, and in all at least."""


class BaseVAE(Diagnosed):
    """Base of the variational estimators: the code is a distribution."""

    _parameter_constraints: dict = {
        **BaseAutoencoder._parameter_constraints,
        "posterior": [StrOptions(set(POSTERIORS)), callable],
        "prior": [StrOptions(set(PRIORS)), callable],
        "objective": [StrOptions(set(OBJECTIVES)), callable],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions(set(SCHEDULES)), callable],
        "free_bits": [Interval(Real, 0, None, closed="left")],
    }
    _blueprint_names = (*BaseAutoencoder._blueprint_names, "posterior", "prior")

    posterior: str | Callable[[int], NormalPosterior]
    prior: str | Callable[[int, int], Prior]
    free_bits: float
    objective: str | Callable[[Output], dict[str, Tensor]]
    beta: float | str | Callable[[float], float]

    def transform(
        self, X: ArrayLike, return_std: bool = False, *, out: NDArray | None = None
    ) -> NDArray | tuple[NDArray, NDArray]:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        return_std : bool, default=False
            Whether to return the posteriors' standard deviations too.
        out : ndarray of shape (n_samples, n_components) or None, default=None
            Where to write the means, block by block, such as a `numpy.memmap`; a floating-point array. None makes a new
            array, as it must with `return_std`.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means; `out` itself where it was given and no other container was asked for by `set_output`.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations, with `return_std`.

        Raises
        ------
        TypeError, ValueError
            If `out` is no array of this shape that floating-point numbers can be written to, or is given together with
            `return_std`.
        """
        if not return_std:
            return super().transform(X, out=out)
        if out is not None:
            raise ValueError(f"out must be None with return_std=True, which returns two arrays. Got {type(out)}.")

        def moments(module: VAE, x: Tensor) -> Tensor:
            q = module.infer(module.fill(x))
            n_columns = self._n_features_out
            return torch.cat([q.mean[:, :n_columns], q.stddev[:, :n_columns]], dim=-1)

        mean, std = np.split(self._apply(moments, self._check_rows(X)), 2, axis=1)
        return mean, std

    def score_samples(self, X: ArrayLike, n_importance_samples: int = 100) -> NDArray:
        """Return log p(x) of each row in nats, in X's own units, over its observed cells.

        Importance sampling (Burda et al. 2016, arXiv 1509.00519): `log mean_k p(x, z_k) / proposal(z_k)`, a lower bound
        that rises with the number of draws to log p(x). The codes of a complete row are drawn from q(z given x); those
        of a row with missing cells from a mixture of that, of Laplace's approximation of p(z given the observed cells),
        and of the prior. The draws are quasi-random and a function of the row, so that a row's score does not depend on
        the rows beside it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_importance_samples : int, default=100
            Draws per row.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities; minus infinity of a row with an observed cell outside of the support of its likelihood, such
            as a negative count, and 0 of a row without an observed cell.
        """
        check_scalar(n_importance_samples, "n_importance_samples", Integral, min_val=1)

        def log_density(module: VAE, x: Tensor) -> Tensor:
            density = self._draw(module, x, n_importance_samples).log_marginal() + module.units.log_jacobian(x)
            if all(family.peak == 0.0 for family, _ in module.likelihood.parts()):
                density = density.clamp(max=0.0)  # probabilities are at most 1, whatever the draws say
            return torch.where(x.isnan().all(-1), 0.0, density)

        return self._log_densities(log_density, X, n_draws=n_importance_samples)

    def impute(
        self,
        X: ArrayLike,
        n_draws: int = 1,
        *,
        n_importance_samples: int = 100,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray | list:
        """Fill missing cells by what the observed ones say of them (Mattei and Frellsen 2019, arXiv 1812.02633).

        With one draw, a cell becomes its mean given the observed cells of its row, `sum_k v_k E[x given z_k]`, where
        `v_k` are importance weights; a category becomes the most probable one. With more, each becomes a draw from its
        distribution given the observed cells: several tables, whose spread is what is not known (multiple imputation).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_draws : int, default=1
            1 for the means, more for so many tables of draws.
        n_importance_samples : int, default=100
            Codes per row that are drawn and weighed.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws; the means need none.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_draws, n_samples, n_features), or DataFrame or list of them
            Copies of X with values in its missing cells, all else as it came: frames where X is one. A column gets
            another dtype only where its own cannot hold the values. Whole numbers are rounded where the estimator was
            fitted to a frame with whole numbers there.
        """
        check_scalar(n_draws, "n_draws", Integral, min_val=1)
        check_scalar(n_importance_samples, "n_importance_samples", Integral, min_val=1)
        if n_draws == 1:
            return self._fill(X, lambda rows: [self._expect(rows, n_importance_samples)])[0]

        def several(module: VAE, x: Tensor) -> Tensor:
            draws = self._draw(module, x, n_importance_samples)
            drawn = module.generate(draws.resample(n_draws), x)[0].movedim(0, 1)
            return torch.where(draws.usable[:, None, None], drawn, float("nan"))

        seed, n_most = self._new_seed(random_state), max(n_draws, n_importance_samples)
        draws = np.random.default_rng(seed)

        def drawn(rows: Any) -> list[NDArray]:
            return list(self._decode(several, rows, draws, n_draws=n_most, weighs=True).swapaxes(0, 1))

        with seeded(seed):
            tables = self._fill(X, drawn, n_draws)
        return np.stack(tables) if self._table is None and isinstance(tables[0], np.ndarray) else tables

    def _expect(self, x: Any, n_importance_samples: int) -> NDArray:
        """Return the mean of each cell of checked rows, given the observed cells of its row."""

        def mean(module: VAE, x: Tensor) -> Tensor:
            draws = self._draw(module, x, n_importance_samples)
            each = module.expect(draws.z, x)
            mean = torch.einsum("kn,kn...->n...", draws.log_weight.softmax(0), each)
            return module.units.inverse(mean.clamp(each.amin(0), each.amax(0)))  # rounding does not lead out of them

        return self._decode(mean, x, n_draws=n_importance_samples, weighs=True)

    def _draw(self, module: VAE, x: Tensor, n_draws: int) -> Draws:
        """Return weighted codes of each row."""
        noise = quasi_normal(module.fill(x), n_draws, module.prior.n_components, self._seed)
        return draw(module, x, noise, self._seed)

    def _loss_parts(self, module: Autoencoder) -> dict[str, Any]:
        objective = function_of(self.objective, OBJECTIVES, "objective")
        if self.free_bits and not declared(objective, "has_divergence"):
            raise ValueError(
                f"free_bits needs objective 'elbo' or 'mmd', whose rate is a divergence. Got {short(self.objective)}."
            )
        own = {"objective": objective, "beta": self._resolve_beta(), "free_bits": self.free_bits}
        return {**super()._loss_parts(module), **own}

    def _learn_rows(self, module: VAE, data: Data) -> None:  # type: ignore[override]
        if module.prior.n_learned:
            chosen = evenly(data.taking_part, module.prior.n_learned)
            rows = module.units(torch.from_numpy(dense(data.x[chosen])), DTYPES[self.dtype])
            # In training, `fill` would corrupt them.
            module.prior.learn(module.eval().fill(rows))
            module.train()

    def _resolve_beta(self) -> float | Callable[[float], float]:
        """Return the weight of the rate, or the function that gives it."""
        is_function = isinstance(self.beta, str) or callable(self.beta)
        return function_of(self.beta, SCHEDULES, "beta") if is_function else self.beta  # type: ignore[return-value]

    def _variational_parts(self, n_extra: int = 0) -> dict[str, Any]:
        """Return the parts of a variational model, with so many components beyond those of the features."""
        likelihood = self._make_likelihood()
        posterior = make(self.posterior, POSTERIORS, "posterior", self.n_components + n_extra)
        if n_extra and posterior.n_params != 2:
            raise ValueError(
                f"sharing with components of the tasks' own needs posterior='normal'. Got {short(self.posterior)} "
                "instead."
            )
        encoder, decoder = self._make_coders(posterior.n_params, likelihood.n_params)
        prior = make_prior(self.prior, self.n_components + n_extra, self._n_columns)
        return {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "posterior": posterior,
            "prior": prior,
            "corruption": self._make_corruption(),
        }

    def _sample(self, n_samples: int, random_state: Any, conditions: Mapping[Any, Any] | None) -> list[Any]:
        """Draw rows on the CPU, from one seed whatever the device, in float64: a large location takes digits."""
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        module = self._fitted_module(torch.float64, torch.device("cpu"))
        row = None if conditions is None else self._check_conditions(conditions)
        seed = self._new_seed(random_state)
        with torch.inference_mode(), seeded(seed), living_threads():
            draws, table = np.random.default_rng(seed), self._table
            drawn = self._draw_rows(module, n_samples, row)
            parts = [[x if table is None else table.narrow(x, draws), *rest] for x, *rest in drawn]
        columns, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not all(np.isfinite(part).all() for part in (columns, *rest)):
            raise ValueError(
                "What the model draws is not finite. Its training has led too far: lower "
                f"learning_rate_init={self.learning_rate_init}, and fit it again."
            )
        positions = {name: j for j, name in enumerate(self._names_in)}
        given = {positions[name]: value for name, value in (conditions or {}).items()}
        return [put(self._restore(columns), given), *rest]

    def _draw_rows(self, module: VAE, n_samples: int, row: Any) -> Iterator[list[NDArray]]:
        """Yield blocks of drawn rows: columns, and targets if there are any; `row` has the given cells, if not None."""
        x = None if row is None else module.units(torch.from_numpy(dense(row)))
        for codes in self._draw_codes(module, n_samples, row):
            for part in codes.split(block_rows(self._n_columns)):
                yield [drawn.numpy() for drawn in module.generate(part, x)]

    def _draw_codes(self, module: VAE, n_samples: int, row: Any) -> Iterator[Tensor]:
        """Yield codes from the prior, or given the cells of a row of shape (1, n_columns) that are not NaN."""
        if row is None:
            yield module.prior.given(module.infer).sample(n_samples)
            return
        x = module.units(torch.from_numpy(dense(row)))
        for rows in blocks(n_samples, N_RESAMPLED):
            n_rows = rows.stop - rows.start
            shape = (max(MIN_DRAWS, DRAWS_PER_SAMPLE * n_rows), 1, module.prior.n_components)
            seed = int(torch.randint(np.iinfo(np.int32).max, ()))
            noise = torch.randn(shape, dtype=torch.float64)
            draws = draw(module, x, noise, seed)
            if not draws.usable:
                raise ValueError(self._too_far(dense(row)[0], "The row of conditions"))
            yield draws.resample(n_rows)[:, 0]

    def _check_conditions(self, conditions: Mapping[Any, Any]) -> Any:
        """Return the row of the given cells, NaN elsewhere."""
        names = list(self._names_in)
        if not isinstance(conditions, Mapping):
            raise TypeError(f"conditions must be a dict from columns of X to values. Got {short(conditions)} instead.")
        unknown = [name for name in conditions if name not in names]
        if unknown:
            raise ValueError(
                f"conditions must name columns of X. Got {listed(unknown)}; the columns are {listed(names)}."
                f"{suggest_each(unknown, names)}"
            )
        cells = [conditions.get(name, np.nan) for name in names]
        with named("conditions"):
            row = check_cells(cells, self._table)
        check_support(find_range(row), self._limits, "conditions", "the column", self._expanded_names)
        check_totals(row, None, self._limits, "conditions", self._expanded_names)
        return row

    def _new_seed(self, random_state: Any) -> int:
        with named("random_state"):
            return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
