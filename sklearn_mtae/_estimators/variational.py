"""What the variational estimators share: the code is a distribution."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from torch import Tensor

from sklearn_mtae._fitting.plan import Plan
from sklearn_mtae._verbs.diagnosis import Diagnosis, diagnose, warn_of_degenerate
from sklearn_mtae._verbs.imputation import impute_drawn, impute_expected, log_marginals
from sklearn_mtae._verbs.sampling import sample
from sklearn_mtae.nn.models import VAE

from .base import BaseAutoencoder
from .constraints import VARIATIONAL


class BaseVAE(BaseAutoencoder):
    """Base of the variational estimators: the code is a distribution."""

    _parameter_constraints: dict = VARIATIONAL
    learning_rate_init: Any

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

        runner, n_columns = self._runner, self._n_features_out

        def moments(model: VAE, x: Tensor) -> Tensor:
            q = model.infer(model.fill(x))
            return torch.cat([q.mean[:, :n_columns], q.stddev[:, :n_columns]], dim=-1)

        mean, std = np.split(runner.apply(moments, runner.read(X)), 2, axis=1)
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
        return log_marginals(self._runner, X, n_importance_samples)

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
            return impute_expected(self._runner, X, n_importance_samples)
        return impute_drawn(self._runner, X, n_draws, n_importance_samples, random_state)

    def diagnose(self, X: ArrayLike) -> Diagnosis:
        """Look for what goes wrong without an error: unused components, variances at their floor, codes off the prior.

        `fit` does so with 500 rows of its own and warns of what it finds, by a `DegenerateModelWarning`. Of the codes
        it says nothing before 300 steps of the optimiser; of components out of use, not while the rate rises and not
        where columns and targets are uncorrelated, with nothing to encode; of codes off the prior, not where `beta=0`
        or tasks put them where they please.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing: those of `fit`, or others of their kind. The means over rows need some
            hundreds of them.

        Returns
        -------
        Diagnosis
            The rate of each component, which are active, whether all of them collapsed, the columns whose variance is
            at its floor, the distance of the codes from the prior, and a list of `warnings`. It prints as a table.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_mtae import VAETransformer
        >>> X, _ = load_iris(return_X_y=True)
        >>> diagnosis = VAETransformer(n_components=2, random_state=0).fit(X).diagnose(X)
        >>> diagnosis.active_units
        array([ True,  True])
        >>> diagnosis.warnings
        []
        """
        runner = self._runner
        return diagnose(runner, runner.read(X))

    def _sample(self, n_samples: int, random_state: Any, conditions: Mapping[Any, Any] | None) -> list[Any]:
        """Draw rows, and targets where there are any."""
        remedy = f"learning_rate_init={self.learning_rate_init}"
        return sample(self._runner, n_samples, random_state, conditions, remedy)

    def _look_back(self, plan: Plan | None) -> None:
        if plan is not None and not plan.partial:
            warn_of_degenerate(plan, self._fitted)
