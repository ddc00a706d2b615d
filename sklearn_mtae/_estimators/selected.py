"""Members that differ in their parameters, and an average of them that is chosen by rows held out from each."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import ceil
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.state import Cache
from sklearn_mtae._fitting.averaging import select
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._fitting.parameters import copied, is_auto
from sklearn_mtae._tables.checks import Interval, StrOptions, resolve
from sklearn_mtae.nn.embeddings import EMBEDDINGS
from sklearn_mtae.nn.models import MultiTaskVAE
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.posteriors import POSTERIORS, quasi_normal
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.weightings import WEIGHTINGS
from sklearn_mtae.nn.words import listed, named, short, suggest_each

from .held_out import HeldOut
from .multi_task import BaseMultiTaskVAE
from .planning import Plan

N_EPOCHS_KEPT = 7
"""Epochs of a member to choose among: the last one, half of them, a quarter of them ..."""
N_DEFAULT = {2_000: 30, 20_000: 9}
"""Members of the default ensemble for tables of up to so many rows; beyond, a single model is the default."""
WIDE = 2_000
"""Columns beyond which it is too: what 30 members have been after seven epochs each takes 400 MB there."""
TABLES = {"mlp", "resnet"}
"""Architectures of which an ensemble is the default."""
NARROW = 64
"""Columns up to which the default ensemble has bins for each."""
N_DRAWS = 64
"""Quasi-random draws of the code for a standard deviation."""
LEAST_DEVIATION = 1e-10
"""Standard deviation of a prediction at least, in the task's unit: that of a count of which none is expected is 0."""
FIXED = {"n_estimators", "member_params", "likelihood", "random_state", "device", "dtype", "warm_start", "checkpoint"}
"""Parameters in which members cannot differ."""
SINGLE: dict[str, Any] = {
    "hidden_layer_sizes": (512,),
    "dropout": 0.0,
    "task_likelihoods": "gaussian",
    "head_hidden_layer_sizes": (16,),
    "embedding": None,
    "alpha": 3.0,
    "learning_rate_init": 1e-3,
}
"""What "auto" stands for in a model that is not a member of the default ensemble."""
_SHAPE = {"hidden_layer_sizes": (128,), "head_hidden_layer_sizes": ()}
_REGULAR = {**_SHAPE, "dropout": 0.3, "alpha": 1.0, "learning_rate_init": 5e-3}
# Nothing is dropped by the second, whose layers of dropout are there to make one stack with the first.
MEMBER_PARAMS: tuple[dict[str, Any], ...] = (
    _REGULAR,
    {**_SHAPE, "dropout": 1e-9, "alpha": 0.0, "learning_rate_init": 1e-2},
    {**_REGULAR, "task_likelihoods": "laplace"},
)
"""What "auto" stands for in members of the default ensemble: regularised or not, squares or absolute values."""


class SelectedMembers(BaseMultiTaskVAE):
    """Base of an estimator whose members differ and whose predictions are averages of those that serve best.

    A candidate is a setting of the parameters and an epoch; what it predicts for a row is the mean over the members of
    that setting, as they were after that epoch, that were not trained on the row. For each task an average of
    candidates, the mean of the labels among them, is chosen by :func:`sklearn_mtae._fitting.averaging.select`; so how
    long to train and how much to regularise is up to the data, and no row is lost to validation.
    """

    _parameter_constraints: dict = {
        **BaseMultiTaskVAE._parameter_constraints,
        "n_estimators": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "member_params": ["array-like", StrOptions({"auto"}), None],
        "hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
        "dropout": [*BaseMultiTaskVAE._parameter_constraints["dropout"], StrOptions({"auto"})],
        "head_hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
        "embedding": [StrOptions({"auto", *EMBEDDINGS}), callable, None],
        "alpha": [*BaseMultiTaskVAE._parameter_constraints["alpha"], StrOptions({"auto"})],
        "learning_rate_init": [*BaseMultiTaskVAE._parameter_constraints["learning_rate_init"], StrOptions({"auto"})],
    }

    n_estimators: int | str  # type: ignore[assignment]
    hidden_layer_sizes: Sequence[int] | str  # type: ignore[assignment]
    dropout: float | str  # type: ignore[assignment]
    head_hidden_layer_sizes: Sequence[int] | str  # type: ignore[assignment]
    alpha: float | str  # type: ignore[assignment]
    learning_rate_init: float | str  # type: ignore[assignment]
    member_params: Sequence[Mapping[str, Any]] | str | None

    member_params_: list[dict[str, Any]]

    _earlier: list[tuple[int, dict[str, NDArray]]]
    """States of members after earlier epochs: which member, and the state."""
    _weights: NDArray | None
    """Weights of all states, the members' last first, shape (n_states, n_tasks); what is left is the labels' mean's."""
    _label_means: NDArray | float
    _label_deviations: NDArray | float
    """Zero of a task whose labels are all the same."""
    _inflation: NDArray | float
    """What the standard deviations of each task are multiplied by."""
    _scores: list[NDArray]
    """Of each task, sorted, how many predictive standard deviations its labels are away from held-out predictions."""

    # What the members are.

    def _member_settings(self, n_members: int) -> list[dict[str, Any]]:
        if not (self.member_params is None or isinstance(self.member_params, str)):
            self._check_members(self.member_params)  # of a single model too, which has no use for them
        settings = self._settings_to_try() if n_members > 1 else [{}]
        automatic = {name: value for name, value in SINGLE.items() if is_auto(getattr(self, name))}
        resolved = [{**automatic, **self._without_auto(own)} for own in settings]
        return [resolved[k % len(resolved)] for k in range(n_members)]

    @staticmethod
    def _without_auto(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return a member's own parameters, "auto" resolved, that the user cannot change any more."""
        return {name: SINGLE[name] if name in SINGLE and is_auto(v) else copied(v) for name, v in settings.items()}

    def _count_members(self, data: Data, partial: bool) -> int:
        if not isinstance(self.n_estimators, str):
            return self.n_estimators
        alone = partial or self.warm_start or self.checkpoint is not None or self.net_params or self.encoder is not None
        n_rows, n_columns = data.x.shape
        if alone or n_columns > WIDE or self.architecture not in TABLES or not self._stacks():
            return 1
        return next((n for limit, n in N_DEFAULT.items() if n_rows <= limit), 1)

    def _stacks(self) -> bool:
        """Return whether several models can be trained as one, as far as the options say."""
        options = (
            (self.task_weighting, WEIGHTINGS),
            (self.objective, OBJECTIVES),
            (self.posterior, POSTERIORS),
            (self.prior, PRIORS),
        )
        if isinstance(self.task_weighting, nn.Module):  # one of torchjd's aggregators
            return False
        made = [resolve(own, table) for own, table in options if isinstance(own, str) or callable(own)]
        return all(declared(part, "stackable") for part in made)

    def _settings_to_try(self) -> list[dict[str, Any]]:
        """Return the settings that members have in turn, where they have any."""
        if self.member_params is None:
            return [{}]
        if isinstance(self.member_params, str):
            embedding = "piecewise_linear" if self._n_columns <= NARROW else "softened"
            # An embedding would bend a model that is asked to be linear.
            is_bent = self.architecture in TABLES and (is_auto(self.hidden_layer_sizes) or len(self.hidden_layer_sizes))
            tried = [{**settings, "embedding": embedding if is_bent else None} for settings in MEMBER_PARAMS]
            unfit = self._unfit_for_sharing()
            return [{n: v for n, v in own.items() if is_auto(getattr(self, n)) and n not in unfit} for own in tried]
        return [dict(own) for own in self.member_params] or [{}]

    def _unfit_for_sharing(self) -> set[str]:
        """Return what the default members set that the way of sharing does not allow: they have linear heads."""
        needs_hidden = declared(resolve(self.sharing, SHARINGS), "needs_hidden")
        return {"head_hidden_layer_sizes"} if needs_hidden else set()

    def _check_members(self, settings: Any) -> None:
        """Raise an error where what was given are no settings of members."""
        if not isinstance(settings, list | tuple | np.ndarray):
            raise TypeError(f"member_params must be a list of dicts of parameters. Got {short(settings)} instead.")
        known = self.get_params(deep=False)
        for own in settings:
            if not isinstance(own, Mapping):
                raise ValueError(f"member_params must hold dicts of parameters. Got {short(own)} instead.")
            fixed, unknown = FIXED & set(own), [name for name in own if name not in known]
            if fixed:
                raise ValueError(f"member_params must leave out {sorted(fixed)}, in which members cannot differ.")
            if unknown:
                hint = suggest_each(unknown, set(known) - FIXED)
                raise ValueError(f"member_params must hold parameters of the estimator. Got {listed(unknown)}.{hint}")
            with named("member_params"):
                clone(self).set_params(**own)._validate_params()

    def _kept_epochs(self, n_members: int) -> Sequence[int]:
        return [ceil(self.max_iter / 2**j) for j in range(N_EPOCHS_KEPT)] if n_members > 1 else ()

    def _start(self, settings: list[dict[str, Any]]) -> dict[str, Any]:
        return {**super()._start(settings), **self._no_choice(settings)}

    def _resume(self, settings: list[dict[str, Any]], keep_optimizer: bool) -> dict[str, Any]:
        return {**super()._resume(settings, keep_optimizer), **self._no_choice(settings)}

    @staticmethod
    def _no_choice(settings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the attributes of an estimator whose members all count alike."""
        choice = {"_earlier": [], "_weights": None, "_scores": [], "member_params_": deepcopy(settings)}
        return {**choice, "_inflation": 1.0, "_label_means": 0.0, "_label_deviations": 0.0}

    def _state_of(self, member: int) -> dict[str, NDArray]:
        n_members = len(self._states)
        return self._states[member] if member < n_members else self._earlier[member - n_members][1]

    def _blueprint_of(self, member: int) -> dict[str, Any]:
        n_members = len(self._states)
        return super()._blueprint_of(member if member < n_members else self._earlier[member - n_members][0])

    # What becomes of them.

    def _keep(self, plan: Plan) -> None:
        super()._keep(plan)
        if plan.partial or not any(len(member.held_out) for member in plan.members):
            return
        targets = plan.data.targets
        assert targets is not None
        varies = (targets.max > targets.min) | (targets.n_observed == 1)  # one label says nothing of others
        self._label_means, self._label_deviations = targets.mean, np.where(varies, targets.deviation, 0.0)
        cache = self._cache
        self._earlier = [(k, state) for k, member in enumerate(plan.members) for state in member.kept.values()]
        candidates = self._candidates(plan.members)
        held_out = HeldOut(plan, candidates)
        means = held_out.collect(partial(self._run_once, _predict))
        weights = np.ones_like(means[:, 0]) if len(plan.members) == 1 else self._select(held_out, means)
        weights = np.where(varies, weights, 0.0)  # labels that are all the same are predicted by what they are
        self._calibrate(held_out, means, weights)
        if len(plan.members) > 1 or not varies.all():
            self._keep_chosen(candidates, weights)
        self._cache = cache

    def _run_once(self, function: Callable[..., Tensor], state: int, x: NDArray, **options: Any) -> NDArray:
        """Return what a function makes of checked rows with a state whose module is not kept."""
        self._cache = Cache()
        return self._apply(function, x, member=state, dtype=np.float64, **options)

    def _keep_chosen(self, candidates: Sequence[dict[int, int]], weights: NDArray) -> None:
        """Keep the states that count, and their weights."""
        n_members = len(self._states)
        spread = np.zeros((n_members + len(self._earlier), weights.shape[1]))
        for own, states in zip(weights, candidates, strict=True):
            for state in states.values():
                spread[state] += own / len(states)
        used = (spread != 0).any(axis=1) | (np.arange(len(spread)) < n_members)
        self._weights = spread[used]
        self._earlier = [own for own, is_used in zip(self._earlier, used[n_members:], strict=True) if is_used]

    def _candidates(self, members: Sequence[Member]) -> list[dict[int, int]]:
        """Return for each setting and epoch to choose from the states of its members, by member."""
        positions, first = [], len(members)
        for k, member in enumerate(members):
            positions.append({**{epoch: first + j for j, epoch in enumerate(member.kept)}, len(member.history): k})
            first += len(member.kept)
        epochs = sorted({epoch for own in positions for epoch in own})
        settings = dict.fromkeys(id(own) for own in self._settings)
        members_of = [[k for k, own in enumerate(self._settings) if id(own) == setting] for setting in settings]
        # A member that stopped earlier stays as it was.
        return [
            {k: positions[k][max((e for e in positions[k] if e <= epoch), default=min(positions[k]))] for k in own}
            for own in members_of
            for epoch in epochs
        ]

    def _select(self, held_out: HeldOut, means: NDArray) -> NDArray:
        """Return the weights of the candidates, shape (n_candidates, n_tasks); what is left is the labels' mean's."""
        weights = np.full((len(means), means.shape[2]), 1 / len(means))
        label_means = np.broadcast_to(self._label_means, means.shape[2:])
        for task, (labels, weight) in enumerate(zip(held_out.y.T, held_out.weight.T, strict=True)):
            counted = weight > 0
            if counted.sum() >= 2:
                constant = np.full((1, counted.sum()), label_means[task])
                errors = np.concatenate([means[:, counted, task], constant]) - labels[counted]
                errors /= self._task_units[task]
                weights[:, task] = select(errors, held_out.folds[counted], weight[counted])[:-1]
        return weights

    def _calibrate(self, held_out: HeldOut, means: NDArray, weights: NDArray) -> None:
        """Learn how far labels are from predictions of models that were not trained on their rows."""
        deviation = partial(self._run_once, self._deviation, n_draws=N_DRAWS)
        stds = held_out.collect(deviation, (weights != 0).any(axis=1))
        mean, std = self._mix(weights, means, stds)
        away, counted = np.abs(held_out.y - mean), held_out.weight > 0
        self._scores = [np.sort(own[is_counted]) for own, is_counted in zip((away / std).T, counted.T, strict=True)]
        self._inflation = np.array([np.sqrt(np.mean(own**2)) if len(own) > 1 else 1.0 for own in self._scores])

    @property
    def _task_units(self) -> NDArray:
        """Units of the tasks, shape (n_tasks,): the squares of small numbers would underflow in others."""
        return self._states[0]["task_units.scale"]

    def _mean(self, weights: NDArray, means: NDArray) -> NDArray:
        """Return the mean of a mixture, what is left of the weights being the labels' mean's."""
        return np.einsum("kt,knt->nt", weights, means) + (1 - weights.sum(axis=0)) * self._label_means

    def _mix(self, weights: NDArray, means: NDArray, stds: NDArray) -> tuple[NDArray, NDArray]:
        """Return mean and standard deviation of a mixture, what is left of the weights being the labels' own."""
        mean, left = self._mean(weights, means), 1 - weights.sum(axis=0)
        units = self._task_units
        stds, away, label_away = stds / units, (means - mean) / units, (self._label_means - mean) / units
        square = np.einsum("kt,knt->nt", weights, stds**2 + away**2)
        square += left * ((self._label_deviations / units) ** 2 + label_away**2)
        return mean, units * np.sqrt(np.maximum(square, LEAST_DEVIATION**2))

    def _average(self, X: NDArray, return_std: bool) -> tuple[NDArray, NDArray | None]:
        """Return means of checked rows, shape (n_rows, n_tasks), and where asked for deviations, not inflated yet."""
        n_states, n_tasks = len(self._states), len(self.task_names_)
        weights = np.full((n_states, n_tasks), 1 / n_states) if self._weights is None else self._weights
        used = np.flatnonzero((weights != 0).any(axis=1))
        shape = len(used), X.shape[0], n_tasks  # none counts where no candidate is better than the labels' mean
        run = partial(self._apply, dtype=np.float64)
        means = np.reshape([run(_predict, X, member=k) for k in used], shape)
        if not return_std:
            return self._mean(weights[used], means), None
        stds = np.reshape([run(self._deviation, X, n_draws=N_DRAWS, member=k) for k in used], shape)
        return self._mix(weights[used], means, stds)

    def _reach(self, coverage: float) -> NDArray:
        """Return how many standard deviations hold a part of the labels of each task."""
        if not self._scores:
            raise ValueError(
                "predict_interval needs rows that were held out from a model: n_estimators > 1 or early_stopping=True. "
                f"Got n_estimators={self.n_estimators!r}, early_stopping={self.early_stopping!r}."
            )
        reach = []
        for name, scores in zip(self.task_names_, self._scores, strict=True):
            rank = ceil(round((len(scores) + 1) * coverage, 9))  # 28 / 29 * 29 is 28, not a digit more
            if rank > len(scores):
                raise ValueError(
                    f"coverage must be at most n / (n + 1), n labels of a task being held out. Got {coverage} for task "
                    f"{name!r}, which has {len(scores)}."
                )
            reach.append(scores[rank - 1])
        return np.array(reach)

    def _deviation(self, module: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return a model's own standard deviation of each task."""
        return module.predict_std(x, quasi_normal(module.fill(x), N_DRAWS, module.prior.n_components, self._seed))


def _predict(module: MultiTaskVAE, x: Tensor) -> Tensor:
    """Return the mean of each task at the posterior mean."""
    return module.predict(module.encode(module.fill(x)))
