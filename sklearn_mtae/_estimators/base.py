"""What the estimators share: parameters, `fit`, and the methods of an encoder and a decoder."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Bunch, Tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._engine.devices import resolve_device, threads_for
from sklearn_mtae._engine.interrupts import Interrupts
from sklearn_mtae._engine.net import Net
from sklearn_mtae._fitting.callbacks import CallbackSupportMixin, FitTask, with_callbacks  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._fitting.fit import fit, rebuild_net, warn_of_interrupt
from sklearn_mtae._fitting.fitted import Fitted
from sklearn_mtae._fitting.net_params import check_net_params
from sklearn_mtae._fitting.parameters import copied
from sklearn_mtae._fitting.plan import Plan, plan
from sklearn_mtae._fitting.recipe import DTYPES, Recipe
from sklearn_mtae._fitting.run import ModelRunner, reconstruct
from sklearn_mtae._fitting.shared_fits import SharedFits
from sklearn_mtae._tables.checks import check_codes, check_out, check_parameters, feature_names
from sklearn_mtae._tables.column_likelihoods import name_likelihoods, needs_positive, takes_sparse
from sklearn_mtae._verbs.imputation import impute_reconstructed, log_conditionals
from sklearn_mtae._verbs.interpretation import column_names, components, feature_importance, relevances
from sklearn_mtae._version import __version__
from sklearn_mtae.nn.models import Autoencoder

from .constraints import BASE


class BaseAutoencoder(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of the estimators: everything that does not depend on what the code means."""

    __metadata_request__transform = {"out": UNUSED}

    _parameter_constraints: dict = BASE

    likelihood: Any
    handle_unknown: str
    warm_start: bool
    device: str
    net_params: dict[str, Any] | None

    _model_kind: str
    """Kind of the model, a key of `sklearn_mtae._fitting.build.MODELS`."""
    _targets_kind: str | None = None
    """Kind of the targets, a key of `sklearn_mtae._tables.read_targets.TARGETS`."""

    n_features_in_: int
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float]
    term_curves_: dict[str, list[float]]
    _fitted: Fitted
    """The result of the last fit."""
    _shared: SharedFits | None = None
    """The fits of the search that this estimator is part of."""

    def partial_fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on a part of the data.

        The first call learns the location and scale of the columns and the levels of categories, and only the weights
        change later: the first part should be representative. A level that it lacks is unknown in later parts: a
        missing cell, with a warning (see `handle_unknown`). Schedules stay at their final values, and no rows are held
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
            Codes; for a variational model, the means of the posteriors. `out` itself if it was given and `set_output`
            asks for no other container.

        Raises
        ------
        TypeError, ValueError
            If `out` is not a writable floating-point array of this shape.
        """
        runner, n_columns = self._runner, self._n_features_out
        x = runner.read(X)
        check_out(out, (x.shape[0], n_columns))
        # A model may have more components than those that describe the features.
        return runner.apply(lambda model, x: model.encode(model.fill(x))[:, :n_columns], x, out=out)

    def inverse_transform(self, Z: ArrayLike) -> NDArray:
        """Decode codes.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            Means of the columns given the code, in X's units; for a column of categories, the most probable one. A
            DataFrame with the dtypes of X, whole numbers rounded, if the estimator was fitted to a DataFrame.
        """
        runner = self._runner
        codes = check_codes(Z, self._n_features_out)
        # A frame keeps its own dtypes: its large whole numbers lose no digits to the dtype of Z.
        dtype = np.float64 if runner.features.has_frame else None
        decoded = runner.decode(lambda model, z: model.reconstruct(z), codes, standardize=False, dtype=dtype)
        return runner.features.restore(decoded, Z)

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
        runner = self._runner
        return runner.features.restore(runner.decode(reconstruct, runner.read(X)), X)

    def impute(self, X: ArrayLike) -> NDArray:
        """Fill missing cells with their reconstruction.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            A copy of X with its missing cells filled and everything else unchanged; a frame where X is one. A column
            changes its dtype only where it cannot hold the values. Whole numbers are rounded where the estimator was
            fitted to a frame with whole numbers there.
        """
        return impute_reconstructed(self._runner, X)

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
            the support of its likelihood, such as a negative count.
        """
        return log_conditionals(self._runner, X)

    @property
    def components_(self) -> NDArray:
        """Loadings of a linear decoder, shape (n_components, n_columns).

        How much the mean of each column changes per unit of a component, in X's own units. Where the likelihood has a
        link, such as the logarithm of a count's mean or the logit of a probability, loadings are on the scale of the
        link. The columns are `column_names_`.
        """
        return components(self._runner.fitted, self.module_)

    @property
    def relevance_(self) -> NDArray:
        """Share of each component in what the components explain, shape (n_components,), adding up to 1.

        `|loading|^2 * variance`, in the standardised units of the training; the variance is that of the codes of the
        last training rows. What two components explain jointly is left out.
        """
        return relevances(self._runner.fitted, self.module_)

    @property
    def column_names_(self) -> NDArray:
        """Names of the columns as the model sees them: those of X, a category one for each level, "job=clerk"."""
        return column_names(self._runner.features)

    @property
    def likelihoods_(self) -> dict[Any, Any]:
        """Likelihood of each column of X by its name, or its position where X had no names: what "auto" became."""
        columns = self._runner.features
        return name_likelihoods(self._runner.fitted.recipe.likelihood, columns.names, columns.table, columns.booleans)

    def feature_importance(
        self,
        X: ArrayLike,
        y: Any = None,
        *,
        method: str = "permutation",
        n_repeats: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> Bunch:
        """Return how much each feature moves each component, and the prediction of each task if there are tasks.

        "permutation" shuffles one feature over the rows, missing cells with it, and takes the mean distance by which an
        output `f` moves: `mean_i |f(x_i) - f(shuffled x_i)| / std(f)`. "gradient" takes the mean slope: `mean_i |df /
        dx_j (x_i)| std(x_j) / std(f)`, zero at a missing cell. For a linear `f` and a normal column, the first is `2 /
        sqrt(pi)` = 1.13 times the second. A feature that acts only through jumps has no gradient, and one that
        saturates a small one; but slopes take one pass for all features, whereas shuffling takes `n_repeats` for each.

        The output of a component is its code (the posterior's mean). The output of a task is its predicted mean, or all
        its class probabilities; distance and deviation are then lengths of vectors. Of an ensemble, it is the mean of
        the importances to the predictions of its members, weighted as these are. A categorical feature is shuffled as
        one, and its slope is the length of the slopes of its levels. Neither measure is causal, and dependent features
        share their importance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            A few hundred rows, NaN where a cell is missing.
        y : None
            Ignored.
        method : {"permutation", "gradient"}, default="permutation"
            How importance is measured.
        n_repeats : int, default=5
            How often each feature is shuffled.
        random_state : int, RandomState instance or None, default=None
            Seed of the shuffling.

        Returns
        -------
        Bunch
            `components` of shape (n_components, n_features), `feature_names`, `component_names`; if there are tasks,
            also `tasks` of shape (n_tasks, n_features) and `task_names`. Values are in standard deviations of the
            output over X, and 0 for a constant output.

        Raises
        ------
        ValueError
            If `method` or `n_repeats` is not admissible, or if an importance is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_mtae import AutoencoderTransformer
        >>> X = np.random.default_rng(0).normal(size=(200, 3)) * [1, 1, 0]
        >>> model = AutoencoderTransformer(1, hidden_layer_sizes=(), random_state=0).fit(X)
        >>> importance = model.feature_importance(X, method="gradient")
        >>> importance.feature_names[importance.components[0] > 0]
        array(['x0', 'x1'], dtype=object)
        """
        of_components, of_tasks = feature_importance(self._runner, X, method, n_repeats, random_state)
        names = np.array(self._fitted.recipe.task_names, dtype=object)
        return Bunch(
            components=of_components,
            feature_names=feature_names(self, None),
            component_names=self.get_feature_names_out(),
            **({"tasks": of_tasks, "task_names": names} if len(names) else {}),
        )

    @property
    def net_(self) -> Net:
        """The skorch net; rebuilt from the state after unpickling."""
        check_is_fitted(self)
        cache = self._fitted.cache
        if "net" not in cache:
            net = rebuild_net(self._recipe(), self._fitted, resolve_device(self.device, strict=False))
            net.history.extend(cache.pop("history", []))
            cache["net"] = net
        return cache["net"]

    @property
    def module_(self) -> Autoencoder:
        """The fitted torch module, in evaluation mode and in the precision it was trained in."""
        return self._runner.model(DTYPES[self._fitted.recipe.dtype])

    @property
    def _n_features_out(self) -> int:
        return self._fitted.recipe.n_components

    @property
    def _runner(self) -> ModelRunner:
        """What runs the fitted model."""
        check_is_fitted(self)
        return ModelRunner(self._fitted, self.device, self.handle_unknown)

    def _recipe(self) -> Recipe:
        """Make a recipe from the current parameters."""
        # A subclass may leave out some of these parameters and have others.
        ours = {name: getattr(self, name) for name in self._parameter_constraints if hasattr(self, name)}
        own = {**ours, **self.get_params(deep=False)}
        # numpy's numbers lack some methods of Python's that torch needs.
        parameters = {name: value.item() if isinstance(value, np.generic) else value for name, value in own.items()}
        return Recipe(type(self).__name__, self._model_kind, self._targets_kind, parameters)

    @with_callbacks
    def _fit(self, *arrays: Any, partial: bool = False, classes: Any = None) -> Self:
        """Train on X, y, weights, groups; a fit that fails before there is a model leaves the estimator unchanged."""
        # Shared fits do not know about classes.
        shared = self._shared
        if shared is not None and classes is None and not (partial or (self.warm_start and hasattr(self, "_fitted"))):
            if shared.is_planning:
                shared.add(self._recipe(), self._plan, *arrays)
                return self
            found = shared.find(self._recipe(), *arrays)
            if found is not None:
                self._take(found)._look_back(None)
                return self
        with Interrupts() as interrupts, threads_for(0):
            plan = self._plan(*arrays, partial=partial, classes=classes)
            task = None
            if getattr(self, "_skl_callbacks", None):
                task = FitTask(self, plan, *arrays[:3])
            self._take(fit(plan, {} if task is None else task.hooks))
            # Warn after the new state is set: warnings may be errors.
            if task is not None:
                task.end()
            self._look_back(plan)
            if plan.interrupted is not None or interrupts.is_waiting:
                warn_of_interrupt(plan, interrupts)
        return self

    def _plan(self, *arrays: Any, partial: bool = False, classes: Any = None) -> Plan:
        """Check the arguments of a fit and prepare the first step."""
        self._validate_params()
        last = self._fitted if (partial or self.warm_start) and hasattr(self, "_fitted") else None
        return plan(self._recipe(), *arrays, last=last, partial=partial, classes=classes)

    def _take(self, fitted: Fitted) -> Self:
        """Take over the result of a fit."""
        if fitted.recipe.columns.given_names is None and hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        for name, value in fitted.attributes().items():
            setattr(self, name, value)
        return self

    def _look_back(self, plan: Plan | None) -> None:
        """Check the result of a fit and warn about it; the estimator is already fitted. A shared fit has no plan."""

    def _validate_params(self) -> None:
        """Check the parameters against their constraints."""
        check_parameters(self)
        if self.net_params:
            check_net_params(self.net_params, type(self).__name__)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_clone__(self) -> Self:
        """Return an unfitted copy, as scikit-learn does, but columns that share a likelihood factory still share it."""
        again = super().__sklearn_clone__()
        if isinstance(self.likelihood, list | tuple):
            again.likelihood = copied(self.likelihood)
        if self._shared is not None:
            again._shared = self._shared
        return again

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = takes_sparse(self.likelihood)
        tags.input_tags.positive_only = needs_positive(self.likelihood)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in super().__getstate__().items() if name != "_shared"}
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
