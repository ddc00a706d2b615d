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
            Whether to also return the standard deviations of the posteriors.
        out : ndarray of shape (n_samples, n_components) or None, default=None
            Where to write the means, block by block, such as a `numpy.memmap`; a floating-point array. None makes a new
            array, as it must with `return_std`.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            Posterior means; `out` itself if it was given and `set_output` asks for no other container.
        std : ndarray of shape (n_samples, n_components)
            Posterior standard deviations, with `return_std`.

        Raises
        ------
        TypeError, ValueError
            If `out` is not a writable floating-point array of this shape, or is given together with `return_std`.
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
        that rises with the number of draws to log p(x). The codes of a complete row are drawn from q(z given x). Those
        of a row with missing cells are drawn from a mixture of q(z given x), the Laplace approximation of p(z given the
        observed cells), and the prior. The draws are quasi-random and a function of the row, so that a row's score does
        not depend on the other rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_importance_samples : int, default=100
            Draws per row.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities; minus infinity for a row with an observed cell outside the support of its likelihood, such as
            a negative count, and 0 for a row without observed cells.
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
        """Fill missing cells given the observed ones (Mattei and Frellsen 2019, arXiv 1812.02633).

        With one draw, a cell becomes its mean given the observed cells of its row, `sum_k v_k E[x given z_k]`, where
        `v_k` are importance weights; a category becomes the most probable one. With more draws, each cell becomes a
        draw from its distribution given the observed cells: the spread of the tables shows the uncertainty (multiple
        imputation).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        n_draws : int, default=1
            1 for the means, a larger number for as many tables of draws.
        n_importance_samples : int, default=100
            Codes per row that are drawn and weighted.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws; the means need none.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_draws, n_samples, n_features), or DataFrame or list of them
            Copies of X with its missing cells filled and everything else unchanged; frames where X is one. A column
            changes its dtype only where it cannot hold the values. Whole numbers are rounded where the estimator was
            fitted to a frame with whole numbers there.
        """
        check_scalar(n_draws, "n_draws", Integral, min_val=1)
        check_scalar(n_importance_samples, "n_importance_samples", Integral, min_val=1)
        if n_draws == 1:
            return impute_expected(self._runner, X, n_importance_samples)
        return impute_drawn(self._runner, X, n_draws, n_importance_samples, random_state)

    def diagnose(self, X: ArrayLike) -> Diagnosis:
        """Look for silent problems: unused components, variances at their floor, codes off the prior.

        `fit` does this on 500 of its rows and warns of what it finds with a `DegenerateModelWarning`. It says nothing
        about codes before 300 steps of the optimiser. It does not report unused components while the weight of the rate
        rises, or where columns and targets are uncorrelated, so that there is nothing to encode. It does not report
        codes off the prior where `beta=0` or where tasks place the codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing: those of `fit`, or similar ones. The means over rows need a few hundred
            of them.

        Returns
        -------
        Diagnosis
            The rate of each component, which components are active, whether all of them collapsed, the columns whose
            variance is at its floor, the distance of the codes from the prior, and a list of `warnings`. It prints as a
            table.

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
        """Draw rows, and targets if there are any."""
        # "auto" has become a number.
        rate = self._fitted.settings[0].get("learning_rate_init", self.learning_rate_init)
        remedy = f"learning_rate_init={rate}"
        return sample(self._runner, n_samples, random_state, conditions, remedy)

    def _look_back(self, plan: Plan | None) -> None:
        if plan is not None and not plan.partial:
            warn_of_degenerate(plan, self._fitted)
