"""Outliers found by several small autoencoders."""

import warnings
from collections.abc import Sequence
from math import ceil
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_mtae._fitting.run import ModelRunner
from sklearn_mtae._tables.checks import Interval, StrOptions, check_parameters, check_weights, safe_indexing
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.features import Features, learn_features, read_features
from sklearn_mtae._tables.source import Source
from sklearn_mtae._verbs.diagnosis import DegenerateModelWarning
from sklearn_mtae._verbs.sampling import new_seed
from sklearn_mtae._verbs.strangeness import CRITERIA, LEAST_SPREAD, Gauge, gauge, strangeness, without_each
from sklearn_mtae.nn.words import listed, short

from .autoencoder import AutoencoderTransformer
from .base import BaseAutoencoder
from .vae import VAETransformer

AUTO = ("neighbours", "reconstruction")
MIN_ROWS, MAX_ROWS = 64, 1024
"""Rows of a member by default: half of all, but not below and not above these."""
N_KEPT = 1024
"""Rows at most whose codes are kept, and by which it is learned what is usual."""
TRIMMED = 0.1
"""Share of the rows that is left out of the second training where nothing is known of the contamination."""
MAX_COMPONENTS = 10
DEFAULTS = {
    "hidden_layer_sizes": (64,),
    "activation": "tanh",
    "alpha": 0.1,
    "scaling": "standard",
    "learning_rate_init": 0.005,
    "batch_size": 64,
    "max_iter": 30,
}
"""The model of a detector that is given none."""


FENCE = 1.5
"""Quartile distances below the lower quartile at which outliers begin: Tukey's fence."""

Member = tuple[BaseAutoencoder, Gauge]
"""A fitted model, and what is usual to it."""


class OutlierDetector(OutlierMixin, BaseEstimator):
    """Find the rows that are unlike most others, and the cells that make them so.

    Several small autoencoders are trained, each on some of the rows. Each member measures how many nats the cells of a
    row are above what is usual in their columns, by one criterion or a weighted sum of several. The score of a row is
    minus the mean over the members. The strangest rows are left out of the final training (see `novelty`). It takes the
    place of :class:`sklearn.ensemble.IsolationForest`, and also accepts missing cells, categories and booleans.

    Parameters
    ----------
    estimator : AutoencoderTransformer, VAETransformer or None, default=None
        The model of a member, cloned for each. None is a :class:`VAETransformer` of half as many components as columns,
        but at least 2 and at most 10, and a hidden layer of 64 units, trained for 30 epochs in batches of 64 rows.
    criterion : {"auto", "neighbours", "reconstruction", "density"} or tuple of them, default="auto"
        What is measured of a cell, in nats:

        - "reconstruction": -log p(x_j given the code of the row). Finds cells that do not fit the rest of their row.
        - "neighbours": how far the reconstruction of the row is from those of the nearest training rows, in units of
          the decoder's deviation. Finds rows far from all others, or in a small cluster of their own.
        - "density": the cell's share of -log p(x), by importance sampling. For a :class:`VAETransformer` only.

        Several criteria are weighted so that they have the same spread (between quartiles) over rows that the member
        was not trained on. "auto" is `("neighbours", "reconstruction")`.
    n_estimators : int, default=5
        Number of members.
    max_samples : int, float or "auto", default="auto"
        Rows that each member is trained on, drawn without replacement: a number, a share of the rows, or "auto": half
        of them, but at least 64, and at most 1,024 where `estimator` is None.
    contamination : float or "auto", default="auto"
        Share of outliers among the training rows, up to 0.5: `offset_` is the quantile of their scores. "auto" puts it
        at Tukey's fence: one and a half interquartile ranges below the lower quartile.
    novelty : bool, default=False
        Whether the training rows are known to be free of outliers. If not, training is done twice: half of the members
        are trained first, and the rows that are strangest to them are left out of the second training: a share
        `contamination`, or a tenth if that is "auto".
    random_state : int, RandomState instance or None, default=None
        Seed for drawing rows, and for the members.

    Attributes
    ----------
    estimators_ : list of AutoencoderTransformer or VAETransformer
        The fitted members.
    offset_ : float
        Score below which a row is an outlier: `decision_function(X) = score_samples(X) - offset_`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where X had names.

    See Also
    --------
    VAETransformer.score_samples : The log-density of rows by one model.
    sklearn.ensemble.IsolationForest : Outliers by random splits of single columns.
    sklearn.neighbors.LocalOutlierFactor : Outliers by the distances of neighbours.

    Notes
    -----
    The scores of rows with different missing cells are comparable: a missing cell counts as usual. A level that a
    member has not seen among its n rows has log(1 + n) nats.

    The neighbours are the 5th, 10th, 20th, ... nearest of up to 1,024 codes that a member keeps, down to a fifth of
    them, and all of these count alike: near ones see rows in gaps between clusters, far ones see small clusters.

    Members' own warnings of degenerate models are not shown: a component out of use does no harm here.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import OutlierDetector
    >>> X, _ = load_iris(return_X_y=True)
    >>> X[7, 1] = 9.0  # a sepal as wide as no other
    >>> detector = OutlierDetector(n_estimators=2, random_state=0).fit(X)
    >>> int(detector.score_samples(X).argmin()), int(detector.predict(X)[7])
    (7, -1)
    >>> int(detector.explain(X)[7].argmax())  # the column
    1
    """

    _parameter_constraints: dict = {
        "estimator": [AutoencoderTransformer, VAETransformer, None],
        "criterion": [StrOptions({"auto", *CRITERIA}), tuple, list],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="right"),
        ],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "novelty": ["boolean"],
        "random_state": ["random_state"],
    }

    offset_: float
    _features: Features
    _members: list[Member]

    def __init__(
        self,
        estimator=None,
        *,
        criterion="auto",
        n_estimators=5,
        max_samples="auto",
        contamination="auto",
        novelty=False,
        random_state=None,
    ):
        self.estimator = estimator
        self.criterion = criterion
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.contamination = contamination
        self.novelty = novelty
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train the members, and learn which scores are low.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing; also a DataFrame with categories.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the members' training; rows of weight zero take no part in anything.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is not admissible.
        """
        check_parameters(self)
        self._check_criteria()
        template = self._template(1)
        x, features = learn_features(
            X,
            type(self).__name__,
            likelihood=template.likelihood,
            max_categories=template.max_categories,
            unknown="silent",
            sample_weight=sample_weight,
        )
        weight = check_weights(sample_weight, x)
        counted = np.arange(x.shape[0]) if weight is None else np.flatnonzero(weight)
        source = Source.of(features, X, x, weight, counted)
        seeds = np.random.default_rng(new_seed(self.random_state))
        usual = counted if self.novelty else self._usual_rows(source, counted, seeds)
        members = self._train(source, usual, seeds, self.n_estimators)
        scores = -self._strangeness(members, safe_indexing(source.table, counted))
        self._members, self._features, self.offset_ = members, features, self._offset(scores)
        return self

    def score_samples(self, X: ArrayLike) -> NDArray:
        """Return how usual rows are: minus the nats by which they are stranger than rows usually are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Scores, the lower the more abnormal; about 0 for a usual row.
        """
        return -self._strangeness(self._fitted_members(), self._read(X))

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Return `score_samples(X) - offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            Shifted scores.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray:
        """Say which rows are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples,)
            -1 for outliers, 1 for all others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: ArrayLike) -> NDArray:
        """Return which cells make rows strange; it takes a pass per column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Nats by which the score rises when a cell is hidden, and what the others say of it stands in its place. By
            the criterion "density" this is -log p(x_j given the other cells), less what is usual in the column. A
            category counts as one cell, and a missing cell has 0. Where cells depend on each other, a row does not add
            up to its score: each of two cells that do not fit each other may bear all of it.
        """
        members, table = self._fitted_members(), self._read(X)
        return np.mean([without_each(_runner(model), known, table) for model, known in members], axis=0)

    @property
    def estimators_(self) -> list[BaseAutoencoder]:
        """The fitted members."""
        return [model for model, _ in self._fitted_members()]

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        check_is_fitted(self)
        return self._features.count

    @property
    def feature_names_in_(self) -> NDArray:
        """Names of the features."""
        check_is_fitted(self)
        if self._features.given_names is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'feature_names_in_'.")
        return self._features.given_names

    @property
    def _criteria(self) -> Sequence[str]:
        """The criteria by name."""
        if self.criterion == "auto":
            return AUTO
        return (self.criterion,) if isinstance(self.criterion, str) else self.criterion

    def _check_criteria(self) -> None:
        names = list(self._criteria)
        are_known = all(isinstance(name, str) and name in CRITERIA for name in names)
        if not names or not are_known or len(set(names)) < len(names):
            raise ValueError(f"criterion must hold different names of {listed(CRITERIA)}. Got {short(self.criterion)}.")
        if "density" in names and not isinstance(self._template(1), VAETransformer):
            raise ValueError(
                "criterion='density' needs an estimator that has densities, a VAETransformer. Got "
                f"estimator={type(self.estimator).__name__}(...)."
            )

    def _template(self, n_columns: int) -> AutoencoderTransformer | VAETransformer:
        """Return the model whose clones are trained."""
        if self.estimator is not None:
            return self.estimator
        return VAETransformer(max(2, min(MAX_COMPONENTS, n_columns // 2)), **DEFAULTS)

    def _n_rows(self, n_counted: int) -> int:
        """Return how many rows each member is trained on."""
        if not isinstance(self.max_samples, str):
            is_count = isinstance(self.max_samples, Integral)
            return min(n_counted, self.max_samples if is_count else max(1, int(self.max_samples * n_counted)))
        most = MAX_ROWS if self.estimator is None else n_counted
        return min(n_counted, max(MIN_ROWS, min(most, n_counted // 2)))

    def _usual_rows(self, source: Source, counted: NDArray, seeds: np.random.Generator) -> NDArray:
        """Return the rows that are left when the strangest are left out."""
        scouts = self._train(source, counted, seeds, ceil(self.n_estimators / 2))
        order = np.argsort(self._strangeness(scouts, safe_indexing(source.table, counted)), kind="stable")
        part = TRIMMED if isinstance(self.contamination, str) else self.contamination
        return np.sort(counted[order[: len(counted) - int(part * len(counted))]])

    def _train(self, source: Source, counted: NDArray, seeds: np.random.Generator, n_members: int) -> list[Member]:
        """Train each member on some of the rows, and learn from others what is usual to it."""
        template, n_rows = self._template(source.features.n_expanded), self._n_rows(len(counted))
        members = []
        for _ in range(n_members):
            order, seed = seeds.permutation(counted), int(seeds.integers(np.iinfo(np.int32).max))
            rows, others = order[:n_rows], order[n_rows:] if n_rows < len(order) else order
            rows = source.with_examples(rows)
            model = clone(template).set_params(random_state=seed, handle_unknown="missing")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DegenerateModelWarning)  # a component out of use does no harm here
                model.fit(*source.part(rows))
            known, usual = (safe_indexing(source.table, part[:N_KEPT]) for part in (rows, others))
            members.append((model, gauge(_runner(model), self._criteria, known, usual, n_rows)))
        return members

    def _strangeness(self, members: list[Member], X: Any) -> NDArray:
        """Return the members' mean nats above the usual ones, shape (n_samples,)."""
        return np.mean([strangeness(_runner(model), known, X) for model, known in members], axis=0)

    def _offset(self, scores: NDArray) -> float:
        """Return the score below which a row is an outlier."""
        if isinstance(self.contamination, str):
            low, high = np.percentile(scores, [25, 75])
            return float(low - FENCE * (high - low) - LEAST_SPREAD)
        return float(np.percentile(scores, 100.0 * self.contamination))

    def _read(self, X: Any) -> Any:
        """Return rows as members take them, checked as `fit` checked its own."""
        read_features(X, type(self).__name__, self._features, unknown="silent")
        return plain(X)

    def _fitted_members(self) -> list[Member]:
        check_is_fitted(self)
        return self._members

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_members")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        own = self._template(1).__sklearn_tags__().input_tags
        tags.input_tags.allow_nan, tags.input_tags.sparse = True, own.sparse
        tags.input_tags.positive_only = own.positive_only
        return tags


def _runner(model: BaseAutoencoder) -> ModelRunner:
    """Return what runs a member; a level that it has not seen is judged, not warned of."""
    return ModelRunner(model._fitted, model.device, "silent")
