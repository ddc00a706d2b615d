"""What the multi-task estimators share: tasks, their weights and relations, and an encoder to start from."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_mtae._fitting.data import Data
from sklearn_mtae._fitting.parameters import is_auto
from sklearn_mtae._fitting.units import set_units, standardized_columns
from sklearn_mtae._tables.blocks import dense
from sklearn_mtae._tables.checks import (
    HasMethods,
    Interval,
    StrOptions,
    check_labels,
    check_similarity,
    check_sizes,
    check_support,
    check_task_weights,
    check_weights,
)
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.describe import Columns, describe
from sklearn_mtae._tables.frame import Table
from sklearn_mtae._tables.row_index import AllRows, evenly
from sklearn_mtae._tables.targets import check_order, n_dimensions, target_columns, task_names
from sklearn_mtae.metrics._columnwise import Labels
from sklearn_mtae.nn.architectures import IMAGE_ARCHITECTURES, Pretrained
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.factories import make_embedding, make_heads, weighting_maker
from sklearn_mtae.nn.likelihoods import Likelihood
from sklearn_mtae.nn.models import VAE, Autoencoder, MultiTaskVAE
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.sharing import SHARINGS, Heads
from sklearn_mtae.nn.weightings import WEIGHTINGS, Aggregation, Fixed, Weighting, torchjd_aggregation
from sklearn_mtae.nn.words import listed, short

from .base import BaseAutoencoder
from .variational import BaseVAE

N_EMBEDDED = 10_000
"""Rows at most that an embedding learns its bins from."""
EMBEDDED_CELLS = 2**26
"""Cells of them at most."""


class BaseMultiTaskVAE(BaseVAE):
    """Base of the multi-task estimators: everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "sharing": [StrOptions(set(SHARINGS)), callable],
        "head_hidden_layer_sizes": ["array-like"],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions({"auto", *SCHEDULES}), callable],
        "task_weighting": [StrOptions(set(WEIGHTINGS)), "array-like", dict, callable],
        "task_similarity": ["array-like", None],
        "consistency": [Interval(Real, 0, None, closed="left")],
        "encoder": [HasMethods(["fit", "transform"]), None],
        "freeze_encoder": ["boolean"],
        "embedding": [StrOptions(set(EMBEDDINGS)), callable, None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
    }
    _blueprint_names = (
        *BaseVAE._blueprint_names,
        "sharing",
        "head_hidden_layer_sizes",
        "encoder",
        "freeze_encoder",
        "embedding",
    )

    sharing: str | Callable[..., Heads]
    head_hidden_layer_sizes: Sequence[int]
    reconstruction_weight: float | str
    task_weighting: str | ArrayLike | Mapping[str, float] | Callable[..., Weighting] | nn.Module
    task_similarity: ArrayLike | None
    consistency: float
    encoder: Any
    freeze_encoder: bool
    embedding: str | Callable[[int], nn.Module] | None
    n_estimators: int

    task_names_: list[str]
    task_weights_: NDArray
    _y_ndim: int
    _y_dtype: str
    """Precision that the targets came in."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the columns' units and train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, NaN where a cell is missing.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Targets; NaN, None or pandas.NA where a label is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), default=None
            Weights of the rows, or of the labels alone: distortion and rate then weigh all rows alike.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, a shape or a value is not admissible, if a task has no label, or if the loss does not stay
            finite.
        ImportError
            If `task_weighting` needs torchjd, which is not installed.
        """
        return self._fit(X, y, sample_weight)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        conditions: Mapping[Any, Any] | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Draw new rows with their targets: codes from the prior, then features and targets given the codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        conditions : mapping or None, default=None
            Values of some features, by their names, or by their positions where X had no names: the codes are then
            drawn from p(z given these values), by importance sampling and resampling.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Features, in X's own units.
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Targets or classes, in y's own units and shape.
        """
        X, y = self._sample(n_samples, random_state, conditions)
        return X, self._as_targets(y)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # Targets.

    @abstractmethod
    def _check_targets(self, y: Any, x: NDArray, *, reset: bool) -> tuple[NDArray, list[str]]:
        """Return the targets as floats of shape (n_rows, n_tasks), NaN without a label, and the tasks' names."""

    def _check_label_weights(self, targets: NDArray, weight: NDArray | None) -> NDArray | None:
        """Return the weights of the labels beside those of their rows, given the weights of rows or labels."""
        return weight if weight is not None and weight.ndim == 2 else None

    def _named(self, y: Any) -> Labels:
        """Return the columns of targets to be scored by the names of their tasks."""
        columns = target_columns(y)
        check_order(y, self.task_names_)
        known = len(columns) == len(self.task_names_)
        return Labels(dict(zip(self.task_names_ if known else task_names(y), columns, strict=True)))

    def _as_targets(self, columns: NDArray) -> NDArray:
        """Return columns of what the model predicts or draws as targets, in the shape that y had."""
        return columns[:, 0] if self._y_ndim == 1 else columns

    def _task_outputs(self, module: MultiTaskVAE, z: Tensor) -> Tensor:
        return module.task_likelihood.distribution(module.heads(z)).mean.unsqueeze(-1)

    def _check_data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        """Check features, targets and weights."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        x, y = self._check_features(X, reset=reset, sample_weight=sample_weight), plain(y)
        targets, names = self._check_targets(y, x, reset=reset)
        weight = check_weights(sample_weight, x, targets)
        columns = describe(targets, weight)
        if reset:
            check_labels(columns, names)
            self.task_names_, self._y_ndim, self._y_dtype = names, n_dimensions(y), targets.dtype.name
        else:
            self._check_names(y, names)
        row_weight = weight if weight is not None and weight.ndim == 1 else None
        label_weight = self._check_label_weights(targets, weight)
        return Data(x, targets, row_weight, describe(x, row_weight), columns, label_weight)

    def _check_names(self, y: Any, names: list[str]) -> None:
        """Raise an error where targets are not those of the tasks that the model has."""
        if len(names) != len(self.task_names_):
            raise ValueError(f"y must have {len(self.task_names_)} columns, one per task. Got {len(names)} instead.")
        if hasattr(y, "columns") and names != self.task_names_:
            raise ValueError(
                f"y must have the columns {listed(self.task_names_)}, in this order. Got {listed(names)} instead."
            )

    def _check_values(self, module: MultiTaskVAE, data: Data) -> None:
        super()._check_values(module, data)
        option = f"task_likelihoods={short(getattr(self, 'task_likelihoods', 'categorical'))}"
        assert data.targets is not None
        check_support(data.targets, module.task_likelihood, option, "y", self.task_names_)

    def _learn_units(self, module: MultiTaskVAE, data: Data) -> None:
        super()._learn_units(module, data)
        assert data.targets is not None
        set_units(module.task_units, module.task_likelihood, data.targets.mean, data.targets.deviation)
        source = self._source()
        if source is not None:
            self._take_units(module, source.module_)

    def _network_units(self, features: Columns) -> NDArray:
        # What predicts targets is better off where outliers of the features are drawn in.
        return features.bounded_deviation

    def _learn_rows(self, module: MultiTaskVAE, data: Data) -> None:  # type: ignore[override]
        if self.embedding is not None:
            n_most = min(N_EMBEDDED, max(1, EMBEDDED_CELLS // self._n_columns))
            rows = torch.from_numpy(dense(data.x[evenly(data.taking_part, n_most)]))
            rows = module.units(rows, torch.float64)
            module.encoder[0].learn(module.likelihood.as_input(rows))  # type: ignore[index]
        super()._learn_rows(module, data)

    def _named_terms(self, terms: dict[str, Any]) -> Iterator[tuple[str, float]]:
        for name, value in terms.items():
            if name == "tasks":
                yield from ((f"task:{task}", loss) for task, loss in zip(self.task_names_, value, strict=True))
            else:
                yield name, value

    # The members of an ensemble.

    def _count_members(self, data: Data, partial: bool) -> int:
        return self.n_estimators

    def _resume(self, settings: list[dict[str, Any]], keep_optimizer: bool) -> dict[str, Any]:
        if not is_auto(self.n_estimators) and self.n_estimators != len(settings):
            raise ValueError(
                f"A fit that goes on needs as many members as there were, {len(settings)}. Got "
                f"n_estimators={self.n_estimators}; fit from the start with warm_start=False."
            )
        return super()._resume(settings, keep_optimizer)

    def _split_rows(
        self, k: int, index: NDArray | AllRows, data: Data, progress: dict[str, Any], partial: bool
    ) -> tuple[NDArray | AllRows, NDArray]:
        """Return the rows that a member is trained on, and those held out from it.

        Each member of an ensemble holds out another fold of the rows, whether it stops early by them or not; when all
        folds have been held out, the rows are dealt anew. Each fold has its share of the labels of each task. Members
        of different settings hold out the same folds.
        """
        settings, n_folds = progress["_settings"], min(max(2, round(1 / self.validation_fraction)), len(index))
        if partial or len(settings) == 1 or n_folds == 1:
            return super()._split_rows(k, index, data, progress, partial)
        assert data.y is not None
        deal, fold = divmod(sum(own is settings[k] for own in settings[:k]), n_folds)
        order = np.random.default_rng([progress["_seed"], deal]).permutation(index)
        labelled = ~np.isnan(data.y[order]) if data.label_weight is None else data.label_weight[order] > 0
        rarest_last = labelled[:, np.argsort(-labelled.sum(axis=0), kind="stable")]
        order = order[np.lexsort(rarest_last.T)]
        held_out = np.arange(len(order)) % n_folds == fold
        return order[~held_out], order[held_out]

    def _each_member(self, function: Callable[[Any, Tensor], Tensor], x: NDArray, **options: Any) -> NDArray:
        """Return what a function makes of checked rows with each member, which lie along the first axis."""
        return np.stack([self._apply(function, x, member=k, **options) for k in range(len(self._states))])

    # The parts of a model.

    @abstractmethod
    def _make_task_likelihood(self) -> Likelihood:
        """Return the distribution of the targets."""

    def _make_module(self) -> MultiTaskVAE:
        likelihood = self._make_task_likelihood()
        sizes = check_sizes(self.head_hidden_layer_sizes, "head_hidden_layer_sizes")
        widths = [self.n_components, *sizes, likelihood.n_params]
        style = {"n_features": self._n_columns, **self._layer_style()}
        heads = make_heads(self.sharing, len(self.task_names_), widths, **style)
        return MultiTaskVAE(**self._variational_parts(heads.n_extra), heads=heads, task_likelihood=likelihood)

    def _reconstruction_weight(self) -> float:
        """Return the weight of the distortion: by default all features together have a 20th of the tasks' say."""
        if isinstance(self.reconstruction_weight, str):
            return 0.05 * len(self.task_names_) / self.n_features_in_
        return self.reconstruction_weight

    def _resolve_beta(self) -> float | Callable[[float], float]:
        weight = self._reconstruction_weight()
        if self.beta == "auto":
            return weight
        # A schedule by name ends at the weight of the distortion, where both together are a bound.
        return partial(SCHEDULES[self.beta], stop=weight) if isinstance(self.beta, str) else super()._resolve_beta()

    def _loss_parts(self, module: Autoencoder) -> dict[str, Any]:
        assert isinstance(module, MultiTaskVAE)
        similarity = None
        if self.task_similarity is not None:
            similarity = torch.tensor(check_similarity(self.task_similarity, self.task_names_))
        return {
            **super()._loss_parts(module),
            "reconstruction_weight": self._reconstruction_weight(),
            "weighting": self._weighting_factory()(len(self.task_names_), module.task_likelihood),
            "similarity": similarity,
            "consistency": self.consistency,
        }

    def _weighting_factory(self) -> Callable[..., Weighting]:
        option = self.task_weighting
        if isinstance(option, Weighting):
            raise ValueError(
                f"task_weighting must be the class {type(option).__name__}, or a partial of it, as each model has a "
                "weighting of its own. Got an object of that class instead."
            )
        if isinstance(option, nn.Module):
            if not isinstance(option, torchjd_aggregation().Aggregator):
                raise ValueError(f"task_weighting must be one of torchjd's aggregators. Got {short(option)} instead.")
            return partial(Aggregation, aggregator=lambda n_tasks: deepcopy(option))
        if isinstance(option, str) or callable(option):
            return weighting_maker(option, WEIGHTINGS)
        return partial(Fixed, weights=check_task_weights(option, self.task_names_))

    # An encoder to start from.

    def _source(self) -> BaseAutoencoder | None:
        """Return the fitted estimator whose encoder is to be taken over."""
        source = self.encoder.estimator if isinstance(self.encoder, FrozenEstimator) else self.encoder
        if source is None:
            return None
        if not isinstance(source, BaseAutoencoder):
            raise ValueError(f"encoder must be a fitted autoencoder of this package. Got {short(source)} instead.")
        try:
            check_is_fitted(source)
        except NotFittedError as error:
            raise ValueError(
                f"encoder must be fitted. Got {short(source)}, which is not; a clone, as a grid search makes one, is "
                "not either. Wrap the fitted encoder in sklearn.frozen.FrozenEstimator to keep it."
            ) from error
        return source

    def _learn_table(self, X: Any, weight: NDArray | None) -> Table | None:
        source = self._source()
        if source is None or source._table is None or not source._table.expands:
            return super()._learn_table(X, weight)
        self._check_same_features(source)
        return source._table  # its encoder knows the categories by their positions

    def _make_coders(
        self, code_params: int, output_params: int, n_inputs: int | None = None
    ) -> tuple[nn.Module, nn.Module]:
        if self.embedding is not None:
            if self.encoder is not None:
                raise ValueError(
                    f"embedding must be None with an encoder, which takes the columns as they are. Got "
                    f"{short(self.embedding)} instead."
                )
            embedding = make_embedding(self.embedding, self._n_columns)
            self._check_embedded(embedding)
            encoder, decoder = super()._make_coders(code_params, output_params, embedding.n_outputs)
            return nn.Sequential(embedding, encoder), decoder
        encoder, decoder = super()._make_coders(code_params, output_params)
        source = self._source()
        if source is None:
            return encoder, decoder
        self._check_same_features(source)
        known = source.module_
        n_known = source._n_features_out
        n_outputs = n_known * (known.posterior.n_params if isinstance(known, VAE) else 1)
        parts = n_outputs, n_known, self.n_components, self.freeze_encoder, code_params
        return Pretrained(deepcopy(known.encoder), *parts), decoder

    def _check_embedded(self, embedding: nn.Module) -> None:
        """Raise an error where an embedding makes other columns of those that an architecture takes for an image."""
        takes_images = isinstance(self.architecture, str) and self.architecture in IMAGE_ARCHITECTURES
        if takes_images and embedding.n_outputs != self._n_columns:
            raise ValueError(
                f"embedding must keep the number of columns with architecture={self.architecture!r}, whose rows are "
                f"images or signals. Got {short(self.embedding)}, which makes {embedding.n_outputs} of "
                f"{self._n_columns}."
            )

    def _check_same_features(self, source: BaseAutoencoder) -> None:
        """Raise an error where the encoder was fitted to other features."""
        (n_ours, ours), (n_theirs, theirs) = (
            (e.n_features_in_, list(getattr(e, "feature_names_in_", []))) for e in (self, source)
        )
        if n_ours != n_theirs or (ours and theirs and ours != theirs):
            raise ValueError(
                "encoder must be fitted to the features of X, "
                f"{listed(ours) if ours else n_ours}. It was fitted to {listed(theirs) if theirs else n_theirs}."
            )

    def _take_units(self, module: MultiTaskVAE, known: Autoencoder) -> None:
        """Take the features' units over from a trained model, and what its likelihood has learned of them."""
        ours, theirs = module.likelihood, deepcopy(known.likelihood).cpu()
        own = ours.state_dict()
        learned = {name: value for name, value in theirs.state_dict().items() if name in own}
        ours.load_state_dict({n: v for n, v in learned.items() if v.shape == own[n].shape}, strict=False)
        ones = torch.ones(ours.n_columns)
        same_units = (standardized_columns(ours) == standardized_columns(theirs)).all()
        if not same_units or not torch.allclose(ours.as_input(ones).float(), theirs.as_input(ones).float()):
            raise ValueError(
                "likelihood must standardise the same columns as that of the encoder does, and take counts where it "
                f"does. Got {short(self.likelihood)} and {short(self._source().likelihood)}."  # type: ignore[union-attr]
            )
        module.units.set(known.units.location.cpu(), known.units.scale.cpu())
