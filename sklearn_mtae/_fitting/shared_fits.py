"""The fits of a search: planned one by one, trained together, and found again by their arguments."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from time import perf_counter
from typing import Any, Self

import joblib
from joblib import effective_n_jobs

from sklearn_mtae._engine.contents import Contents
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.together import Refused, stacks_of, train_stacks

from .all_rows import trains_twice
from .ending import stages
from .fit import keep
from .fitted import Fitted
from .plan import Plan
from .recipe import Recipe

PLAIN = (bool, int, float, str, type(None))
"""Types of values that are equal if they look equal."""


class SharedFits:
    """State shared by the fits of one search.

    In the planning phase, estimators of this package that carry this object leave the plan of a `fit` here, and nothing
    is trained. Then all plans are trained as stacks, and each `fit` finds its result by its arguments. For pipelines it
    is a `memory`: the steps before such an estimator are fitted once for both the plan and the score.
    """

    def __init__(self) -> None:
        self.is_planning = False
        """Whether a `fit` should leave its plan."""
        self.is_over = False
        """Whether the search is over."""
        self.plans: dict[str, Plan] = {}
        """Plans by the fingerprint of their fit."""
        self.outcomes: dict[str, Fitted | Exception] = {}
        """Outcomes of fits: a result, or the error."""
        self.wanted: list[set[str]] = []
        """Fingerprints of the fits of each candidate."""
        self.n_asked = 0
        """Number of requested plans."""
        self.refused: dict[str, int] = {}
        """Number of fits left to be done one by one, by the reason why."""
        self.pause_at: int | None = None
        """Epoch after which trainings pause: their results equal those of fits of this length."""
        self.n_epochs: int | None = None
        """Epochs of the plans of such trainings."""
        self.trained: set[str] = set()
        """Fingerprints of all finished fits, including those that are no longer wanted."""
        self.seconds = 0.0
        """Duration of the training."""
        self._arrays: dict[str, Any] = {}
        self._steps: dict[str, Any] = {}

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # a clone of a pipeline shares its memory

    def __reduce__(self) -> tuple:
        return SharedFits, (), {"is_over": True}

    def begin(self) -> None:
        """Plan from now on; earlier candidates no longer count, but the outcomes of their fits are kept."""
        self.is_planning, self.wanted, self.refused = True, [], {}

    def begin_candidate(self) -> None:
        """Assign the fits that follow to another candidate."""
        self.wanted.append(set())

    def add(self, recipe: Recipe, plan: Callable[..., Plan], *arrays: Any) -> None:
        """Keep the plan of a fit, unless there is an equal one."""
        key = fingerprint(recipe, *arrays)
        self.n_asked += 1
        self.wanted[-1].add(key)
        if key in self.plans:
            return
        if recipe.checkpoint is not None:
            self._refuse("checkpoint is the file of one fit, which a stack does not write")
            return
        # Candidates get the same rows: one copy is enough.
        own = (self._arrays.setdefault(joblib.hash(array), array) for array in arrays)
        made = plan(*own)
        if trains_twice(made):
            self._refuse("cv has folds that are not a partition of the rows, so that models are trained twice")
            return
        self.plans[key] = made

    def find(self, recipe: Recipe, *arrays: Any) -> Fitted | None:
        """Look up the result of an equal fit, None if there is none; raise the error if the fit ended with one."""
        if not self.outcomes:
            return None
        if recipe.max_iter == self.pause_at:
            recipe = replace(recipe, parameters={**recipe.parameters, "max_iter": self.n_epochs})
        found = self.outcomes.get(fingerprint(recipe, *arrays))
        if isinstance(found, Exception):
            raise found
        return None if found is None else found.copy()

    def cache(self, function: Callable[..., tuple], ignore: Sequence[str] = ()) -> Callable[..., tuple]:
        """Fit a step of a pipeline once for equal steps and rows: the interface of `joblib.Memory`."""

        def fit(*args: Any, **params: Any) -> tuple:
            counted = {name: value for name, value in params.items() if name not in ("message", *ignore)}
            key = None if self.is_over or hasattr(args[0], "_shared") else _hash_or_none((args, counted))
            if key in self._steps:
                return deepcopy(self._steps[key])
            n_asked = self.n_asked
            made = function(*args, **params)
            # An estimator within a step may have left its plan: that step is not fitted.
            if key is not None and self.n_asked == n_asked:
                with suppress(Exception):  # uncopyable results are fitted each time
                    self._steps[key] = deepcopy(made)  # later steps may write to their input
            return made

        return fit

    def train(self, n_jobs: int | None = 1) -> bool:
        """Train all wanted plans; return whether the user interrupted.

        Paused plans continue, plans that are no longer wanted are released.

        Parameters
        ----------
        n_jobs : int or None, default=1
            Number of processes for stacks.
        """
        wanted = set().union(*self.wanted)
        self.plans = {key: plan for key, plan in self.plans.items() if key in wanted}
        for plan in self.plans.values():
            for member in plan.members:
                member.pause_at = self.pause_at
        under_way = {key: plan for key, plan in self.plans.items() if not _is_over(plan)}
        over = wanted - under_way.keys()
        self.outcomes = {key: outcome for key, outcome in self.outcomes.items() if key in over}
        plans = {key: plan for key, plan in under_way.items() if not plan.recipe.net_params}
        for key in under_way.keys() - plans.keys():
            self._refuse("net_params apply to a net of one model", len(self.plans[key].members))
        # An ensemble makes its own stacks, those of its own fit, and keeps more than single models do.
        ensembles = [key for key, plan in plans.items() if len(plan.members) > 1]
        singles = [key for key in plans if key not in set(ensembles)]
        at_once = effective_n_jobs(n_jobs)
        start = perf_counter()
        groups = [singles, *(ensembles[first : first + at_once] for first in range(0, len(ensembles), at_once))]
        interrupted = any(self._train_group({key: plans[key] for key in group}, n_jobs) for group in groups if group)
        self.seconds += perf_counter() - start
        return interrupted

    def _train_group(self, plans: dict[str, Plan], n_jobs: int | None) -> bool:
        """Train some of the plans; return whether the user interrupted."""
        interrupted, ahead = None, {key: stages(plan) for key, plan in plans.items()}
        while interrupted is None and (ahead := {key: own for key, own in ahead.items() if next(own, None)}):
            refused, stacks = _stacks([plans[key] for key in ahead])
            refused, interrupted = train_stacks(stacks, refused, n_jobs=n_jobs)
            for reason, left in refused.items():
                self._refuse(reason, len(left))
            ahead = {key: own for key, own in ahead.items() if _has_come_to_rest(plans[key])}
        for key, plan in plans.items():
            errors = [member.error for member in plan.members if member.error is not None]
            if errors:
                self.outcomes[key] = errors[0]
            elif _has_come_to_rest(plan) and not any(member.interrupted for member in plan.members):
                self.outcomes[key] = keep(plan)
            if all(member.pause is None for member in plan.members):
                for member in plan.members:
                    member.kept = {}
        self.trained |= self.outcomes.keys()
        return interrupted is not None

    def _refuse(self, reason: str, n_fits: int = 1) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + n_fits

    @property
    def n_trained(self) -> int:
        """Number of finished fits."""
        return len(self.trained)

    def finished(self) -> list[bool]:
        """Return, for each candidate, whether all of its fits have ended, with a result or an error."""
        return [bool(keys) and keys <= self.outcomes.keys() for keys in self.wanted]

    def end(self) -> None:
        """Release everything: later fits share nothing."""
        self.is_over = True
        for own in (self.plans, self.outcomes, self._arrays, self._steps):
            own.clear()


def fit_side_by_side(models: Sequence[Any], calls: Sequence[Callable[[], Any]], n_jobs: int | None = 1) -> None:
    """Fit estimators of this package by calls that each fit one of them, trained together where they stack."""
    shared = SharedFits()
    for model in models:
        model._shared = shared
    shared.begin()
    shared.begin_candidate()
    try:
        for call in calls:
            with suppress(Exception):  # what fails here is said by the fit itself
                call()
        shared.is_planning = False
        if shared.train(n_jobs):
            raise KeyboardInterrupt
        for call in calls:
            call()
    finally:
        shared.end()
        for model in models:
            model._shared = None


def _stacks(plans: list[Plan]) -> tuple[Refused, list[list[Member]]]:
    """Return the models that do not stack, by the reason why, and the stacks of the others.

    If single models make several stacks, two processes get equal work.
    """
    if all(len(plan.members) == 1 for plan in plans):
        return stacks_of([plan.members[0] for plan in plans], share=2)
    refused: Refused = {}
    stacks: list[list[Member]] = []
    for plan in plans:
        left, own = stacks_of([member for member in plan.members if not member.has_come_to_rest])
        stacks += own
        for reason, some in left.items():
            refused.setdefault(reason, []).extend(some)
    return refused, stacks


def _is_over(plan: Plan) -> bool:
    """Return whether there is nothing left to train, for now or at all."""
    return any(member.error is not None for member in plan.members) or _has_come_to_rest(plan)


def _has_come_to_rest(plan: Plan) -> bool:
    """Return whether the training of all members has ended or pauses."""
    return all(member.has_come_to_rest for member in plan.members)


def fingerprint(recipe: Recipe, *arrays: Any) -> str:
    """Return a text that is equal for equal fits."""
    parameters = recipe.parameters
    # One text for all plain values: joblib would visit each of them.
    plain = {name for name, value in parameters.items() if type(value) in PLAIN}
    text = repr(sorted((name, parameters[name]) for name in plain))
    others = {name: value for name, value in parameters.items() if name not in plain}
    whole = _hash_or_none((recipe.owner, text, others, arrays))
    if whole is not None:
        return whole
    # Objects that cannot be pickled, such as nested functions, equal only themselves.
    values = [*recipe.parameters.items(), *enumerate(arrays)]
    named = [(name, _hash_or_none(value) or repr(Contents().of(value))) for name, value in values]
    return joblib.hash((recipe.owner, named))


def _hash_or_none(value: Any) -> str | None:
    try:
        return joblib.hash(value)
    except Exception:
        return None
