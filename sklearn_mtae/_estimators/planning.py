"""What a fit is made of before its first step: the models, their rows and their seeds."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil
from pickle import PicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from sklearn_mtae._engine.checkpoint import Checkpoint
from sklearn_mtae._engine.devices import resolve_device
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.net import Net
from sklearn_mtae._engine.rows import Rows
from sklearn_mtae._engine.stack import mean_row
from sklearn_mtae._engine.state import Cache, dump, load, place
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._fitting.identity import identity
from sklearn_mtae._fitting.parameters import copied, same
from sklearn_mtae._fitting.units import set_units, standardized_columns
from sklearn_mtae._tables.checks import check_feature_names, check_features, check_support, check_weights, row_weights
from sklearn_mtae._tables.column_likelihoods import is_per_column, learn_table
from sklearn_mtae._tables.containers import plain
from sklearn_mtae._tables.describe import Columns, describe
from sklearn_mtae._tables.frame import Table, is_frame
from sklearn_mtae._tables.limits import check_totals
from sklearn_mtae._tables.row_index import AllRows
from sklearn_mtae._version import __version__
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.words import short

from .parts import DTYPES, PRODUCTS, Composed

EXEMPT = ("checkpoint", "device", "net_params", "verbose")
"""Parameters that a fit goes on without; of `net_params`, it is the callbacks."""
LEARNED = ("feature_names_in_", "_table", "task_names_", "classes_")
"""Attributes that a fit has learned of its data before it begins to train."""


@dataclass
class Plan:
    """A fit that is prepared.

    Parameters
    ----------
    data : Data
        What `fit` was called with, checked.
    progress : dict
        The estimator's attributes as they are before the first epoch.
    members : list of Member
        The models to train.
    partial : bool
        Whether it is a `partial_fit`.
    checkpoint : Checkpoint or None
        Where the training is written.
    net : Net or None
        Afterwards, the net of the last model that was trained alone.
    interrupted : int or None
        The epoch in which the user interrupted a model that was trained alone.
    """

    data: Data
    progress: dict[str, Any]
    members: list[Member]
    partial: bool
    checkpoint: Checkpoint | None = None
    net: Net | None = None
    interrupted: int | None = None

    def fitted_attributes(self) -> dict[str, Any]:
        """Return the attributes of an estimator fitted as far as the training has come."""
        states = {
            "_states": [dump(member.model) for member in self.members],
            "_loss_states": [dump(member.loss) for member in self.members],
            "_optimizer_states": [member.optimizer_state if self.partial else {} for member in self.members],
        }
        return {**self.progress, **states, "_cache": Cache()}

    def history(self) -> list[dict[str, Any]]:
        """Return a row for each epoch: the means over the models that it trained."""
        longest = max(len(member.history) for member in self.members)
        rows = [[m.history[epoch] for m in self.members if len(m.history) > epoch] for epoch in range(longest)]
        return [row[0] if len(row) == 1 else mean_row(row) for row in rows]


class Planned(Composed):
    """An estimator that knows what a fit of it is made of."""

    def _plan(self, X: Any, y: Any, sample_weight: Any, partial: bool = False) -> Plan:
        """Return what a fit is made of, checked and ready for the first step."""
        self._validate_params()
        fresh = not (self.__sklearn_is_fitted__() and (partial or self.warm_start))
        device = self._resolve_device(strict=True)
        data = self._check_data(X, y, sample_weight, reset=fresh)
        settings = self._member_settings(self._count_members(data, partial) if fresh else len(self._states))
        progress = self._start(settings) if fresh else self._resume(settings, partial)
        checkpoint = None if self.checkpoint is None or partial else self._open_checkpoint(data, progress)
        own = [self._with(settings) for settings in progress["_settings"]]
        try:
            members = [owner._make_member(k, data, progress, device, fresh, partial) for k, owner in enumerate(own)]
        except BaseException:
            if checkpoint is not None:
                checkpoint.release()
            raise
        return Plan(data, progress, members, partial, checkpoint)

    def _count_members(self, data: Data, partial: bool) -> int:
        """Return how many models are to be trained."""
        return 1

    def _member_settings(self, n_members: int) -> list[dict[str, Any]]:
        """Return for each model to train the parameters in which it differs from the estimator's own."""
        return [{}] * n_members

    def _open_checkpoint(self, data: Data, progress: dict[str, Any]) -> Checkpoint:
        """Return where the training is written; one that was left there gives its seed."""
        n_members = len(progress["_settings"])
        if n_members > 1:
            raise ValueError(f"checkpoint needs a single model. Got {n_members} members; use n_estimators=1.")
        checkpoint = Checkpoint(self.checkpoint, lambda: self._identify(data))  # type: ignore[arg-type]
        checkpoint.seed = progress["_seed"] = progress["_seed"] if checkpoint.seed is None else checkpoint.seed
        return checkpoint

    def _identify(self, data: Data) -> str:
        """Return a text that only an equal fit has, with equal data: all that its result depends on."""
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name not in EXEMPT}
        own = self.net_params or {}
        parameters["net_params"] = {name: own[name] for name in own if name.split("__")[0] != "callbacks"}
        left = [getattr(self, name, None) for name in ("_states", "_loss_states")] if self.warm_start else []
        learned = [getattr(self, name, None) for name in LEARNED]
        rows = [data.x, data.y, data.weight, data.label_weight]
        return identity(__version__, type(self).__qualname__, _identify_each(parameters), learned, left, rows)

    def _make_member(
        self, k: int, data: Data, progress: dict[str, Any], device: torch.device, fresh: bool, partial: bool
    ) -> Member:
        """Return a model with all that its training is made of; the first is that of an estimator with one."""
        model = self._prepare_module(k, data, progress, fresh)
        train, valid, held_out = self._make_rows(k, data, model, progress, device, partial)
        model = place(model, device)
        return Member(
            model,
            self._make_loss(model, progress["_loss_states"][k], data).to(device),
            train,
            valid,
            batch_size=self._n_batch_rows(len(train)),
            n_epochs=1 if partial else self.max_iter,
            seeds=self._seeds(k, progress),
            learning_rate=self.learning_rate_init,
            alpha=self.alpha,
            patience=self.n_iter_no_change,
            tol=self.tol,
            scheduled=not partial,
            optimizer_state=progress["_optimizer_states"][k],
            held_out=held_out,
            keep_at=() if partial else self._kept_epochs(len(progress["_settings"])),
        )

    def _kept_epochs(self, n_members: int) -> Sequence[int]:
        """Return the epochs after which what a model has become is remembered."""
        return ()

    def _start(self, settings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the attributes of a fit before its first epoch."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        curves = {"loss_curve_": [], "validation_scores_": [], "term_curves_": {}}
        states = {name: [{}] * len(settings) for name in ("_optimizer_states", "_loss_states")}
        return {"_seed": seed, "n_iter_": 0, **self._shape(settings), **states, **curves}

    def _shape(self, settings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the models are rebuilt from, whatever becomes of the user's own lists, dicts and estimators."""
        blueprint = {name: copied(getattr(self, name)) for name in self._blueprint_names}
        return {"_blueprint": blueprint, "_settings": settings}

    def _resume(self, settings: list[dict[str, Any]], keep_optimizer: bool) -> dict[str, Any]:
        """Return the attributes of the last fit, copied: a fit that fails leaves them as they were."""
        for k, own in enumerate(settings):
            asked = {**{name: getattr(self, name) for name in self._blueprint}, **own}
            for name, fitted in self._blueprint_of(k).items():
                if name in self._blueprint and not same(asked[name], fitted):
                    raise ValueError(
                        "A fit that goes on needs the parameters that shape the model as they were. "
                        f"{name}={short(fitted)} became {short(asked[name])}; fit from the start with warm_start=False."
                    )
        names = ["_seed", "_optimizer_states", "_loss_states", "n_iter_", "loss_curve_"]
        names += ["validation_scores_", "term_curves_", "task_weights_"]
        progress = deepcopy({name: getattr(self, name) for name in names if hasattr(self, name)})
        optimizer = {} if keep_optimizer else {"_optimizer_states": [{}] * len(settings)}
        return {**progress, **self._shape(settings), **optimizer}

    def _seeds(self, k: int, progress: dict[str, Any]) -> tuple[int, int, int]:
        """Return seeds for the rows' order, the draws and the validation's draws of a model, others at each call."""
        sequence = np.random.SeedSequence([progress["_seed"], progress["n_iter_"], *([k] if k else [])])
        order, draws, validation = (int(seed) for seed in sequence.generate_state(3))
        return order, draws, validation

    def _check_features(self, X: Any, *, reset: bool, sample_weight: Any = None) -> Any:
        """Return the columns of X as the model sees them; with `reset`, learn what they are."""
        X = plain(X)
        if reset:
            self._table, weight = None, None
            if is_frame(X) or is_per_column(self.likelihood):
                check_feature_names(self, X)
                weight = row_weights(sample_weight, X)
                self._table = self._learn_table(X, weight)
        else:
            weight = None if self._table is None else row_weights(sample_weight, X)
        x = check_features(self, X, self._table, reset=reset, unknown=self.handle_unknown, weight=weight)
        if reset and issparse(x) and standardized_columns(self._make_likelihood()).any():
            raise TypeError(
                f"Sparse data was passed for X, which needs likelihoods whose columns are not centred, such as "
                f"'multinomial' or 'poisson'. Got likelihood={short(self.likelihood)}; use X.toarray(), or reduce the "
                "columns first: sklearn.decomposition.TruncatedSVD takes sparse data."
            )
        return x

    def _learn_table(self, X: Any, weight: NDArray | None) -> Table | None:
        """Return how X's columns are expanded and restored."""
        return learn_table(X, self.likelihood, self._names_in, self.max_categories, weight)

    def _check_data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        """Check features and weights; there are no targets here."""
        x = self._check_features(X, reset=reset, sample_weight=sample_weight)
        weight = check_weights(sample_weight, x)
        return Data(x, None, weight, describe(x, weight))

    def _prepare_module(self, k: int, data: Data, progress: dict[str, Any], fresh: bool) -> Autoencoder:
        """Return a model to train, its columns' units learned; at first a new one."""
        dtype = DTYPES[self.dtype]
        blueprint = {**progress["_blueprint"], **progress["_settings"][k]}
        module = self._empty_module(blueprint, self._initial_seed(k, progress)).to(dtype)
        if not fresh:
            load(module, deepcopy(self._states[k]), dtype)
        module.products = PRODUCTS.get(self.dtype)
        self._check_values(module, data)
        if fresh:
            self._learn_units(module, data)
            self._learn_rows(module, data)
        return module

    @staticmethod
    def _initial_seed(k: int, progress: dict[str, Any]) -> int:
        """Return the seed of the initial weights of a model."""
        return int(np.random.SeedSequence([progress["_seed"], k]).generate_state(1)[0]) if k else progress["_seed"]

    def _check_values(self, module: Autoencoder, data: Data) -> None:
        """Check the features against their likelihood."""
        option, limits = f"likelihood={short(self.likelihood)}", self._limits_of(module.likelihood)
        check_support(data.features, limits, option, "X", self._expanded_names)
        check_totals(data.x, data.weight, limits, option, self._expanded_names)

    def _learn_units(self, module: Autoencoder, data: Data) -> None:
        """Set location and scale of the features."""
        features, is_linear = data.features, not module.hidden_weights()
        scales = {
            "standard": features.deviation,
            "bounded": features.bounded_deviation,
            "auto": features.deviation if is_linear else self._network_units(features),
        }
        set_units(module.units, module.likelihood, features.mean, scales[self.scaling])

    def _network_units(self, features: Columns) -> NDArray:
        """Return the units of the features that a network has by default."""
        return features.usual_deviation

    def _learn_rows(self, module: Autoencoder, data: Data) -> None:
        """Let parts that start from rows of the data have them."""

    def _make_rows(
        self,
        k: int,
        data: Data,
        module: Autoencoder,
        progress: dict[str, Any],
        device: torch.device,
        partial: bool,
    ) -> tuple[Rows, Rows | None, NDArray]:
        """Return the rows to train a model on, those to stop by, and the index of what is held out from it.

        Rows of weight zero are in none of them.
        """
        n_rows = data.x.shape[0]
        index, held_out = self._split_rows(k, data.taking_part, data, progress, partial)
        common = {
            "x": data.x,
            "units": deepcopy(module.units),
            "complete": tuple(
                columns is not None and bool((columns.n_observed == n_rows).all())
                for columns in (data.features, data.targets)
            ),
            "y": data.y,
            "y_units": deepcopy(getattr(module, "task_units", None)),
            "weight": data.weight,
            "label_weight": data.label_weight,
            "device": device,
            "dtype": DTYPES[self.dtype],
        }
        if data.weight is not None and len(held_out):
            # Each part has an average weight of 1: a loss in nats per row, whoever is in it.
            weight = data.weight.copy()
            for part in (held_out, index):
                weight[part] /= weight[part].mean()
            common["weight"] = weight
        train = Rows(index=index, **common)
        valid = Rows(index=held_out, **common) if self.early_stopping and len(held_out) else None
        return train, valid, held_out

    def _split_rows(
        self, k: int, index: NDArray | AllRows, data: Data, progress: dict[str, Any], partial: bool
    ) -> tuple[NDArray | AllRows, NDArray]:
        """Return the rows that a model is trained on, and those held out from it."""
        if partial or not self.early_stopping:
            return index, index[:0]
        n_valid = ceil(self.validation_fraction * len(index))
        if n_valid >= len(index):
            raise ValueError(
                f"early_stopping=True holds out validation_fraction={self.validation_fraction} of the rows and needs "
                f"one more to train on. Got {len(index)} rows."
            )
        index = np.random.default_rng(progress["_seed"]).permutation(index)
        return index[n_valid:], index[:n_valid]

    def _n_batch_rows(self, n_rows: int) -> int:
        if self.batch_size is None:
            return n_rows
        if isinstance(self.batch_size, str):
            return min(n_rows, max(16, min(200, n_rows // 8)))
        return min(n_rows, self.batch_size)

    def _resolve_device(self, strict: bool = False) -> torch.device:
        """Return the device to use; where one that was asked for is absent, an error (`strict`) or the CPU."""
        return resolve_device(self.device, strict=strict)


def _identify_each(parameters: dict[str, Any]) -> dict[str, str]:
    """Return what identifies each parameter."""
    texts = {}
    for name, value in parameters.items():
        try:
            texts[name] = identity(value)
        except (TypeError, NotImplementedError, PicklingError) as error:
            raise ValueError(
                f"checkpoint needs parameters whose contents can be compared when the fit is taken up. Those of "
                f"{name}={value!r} cannot: {error}. Use what can be pickled, or leave checkpoint out."
            ) from error
    return texts
