"""Fits that are prepared in one place and wanted in another: what a stacked search shares with its estimators.

A search first runs in a recording: each `fit` of an estimator of this package leaves its plan and ends there. The plans
are trained as stacks; then the search runs again, and each `fit` finds its result by what it was called with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import joblib
from joblib import effective_n_jobs

from sklearn_mtae._engine.contents import Contents
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.together import Refused, stacks_of, train_stacks

Fitted = dict[str, Any] | Exception
"""The attributes that a fit has given an estimator, or the error that it ended with."""

Key = tuple[type, str]
"""The class of an estimator and the `fingerprint` of a fit of it."""

trained: dict[Key, Fitted] = {}
"""What fits have come to. Shared by all threads; equal calls have equal results."""


class Recorded(Exception):
    """Ends a `fit` whose plan has been recorded."""


class Recording:
    """The fits that a search asks for."""

    def __init__(self) -> None:
        self.plans: dict[Key, tuple[Any, Any]] = {}
        """Estimators and their plans."""
        self.wanted: list[set[Key]] = []
        """The fits of each candidate."""
        self.refused: dict[str, int] = {}
        """How many fits are left to be done one by one, by the reason why."""
        self._arrays: dict[str, Any] = {}

    def begin_candidate(self) -> None:
        """Count the fits that follow for another candidate."""
        self.wanted.append(set())

    def record(self, key: Key, estimator: Any, *arrays: Any) -> None:
        """Keep the plan of a fit, unless there is an equal one."""
        self.wanted[-1].add(key)
        if key in self.plans:
            return
        if estimator.checkpoint is not None:
            reason = "checkpoint is the file of one fit, which a stack does not write"
            self.refused[reason] = self.refused.get(reason, 0) + 1
            return
        # Candidates are given the same rows: one copy of them will do.
        own = (self._arrays.setdefault(joblib.hash(array), array) for array in arrays)
        self.plans[key] = estimator, estimator._plan(*own)

    def train(self, n_jobs: int | None = 1) -> bool:
        """Train all plans, and publish what they have come to; return whether the user interrupted.

        `n_jobs` is how many processes stacks are dealt to.
        """
        plans = {key: pair for key, pair in self.plans.items() if not self._refuse(*pair)}
        # An ensemble makes stacks of its own, those of its own fit, and remembers more than single models do.
        ensembles = [key for key, (_, plan) in plans.items() if len(plan.members) > 1]
        singles = [key for key in plans if key not in set(ensembles)]
        at_once = effective_n_jobs(n_jobs)
        groups = [singles, *(ensembles[first : first + at_once] for first in range(0, len(ensembles), at_once))]
        return any(self._train_group({key: plans[key] for key in group}, n_jobs) for group in groups if group)

    def _train_group(self, plans: dict[Key, tuple[Any, Any]], n_jobs: int | None) -> bool:
        """Train some of the plans, and publish what they have come to; return whether the user interrupted."""
        refused, parts = self._stacks([plan.members for _, plan in plans.values()])
        refused, interrupted = train_stacks(parts, refused, n_jobs=n_jobs)
        for reason, left in refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + len(left)
        for key, (estimator, plan) in plans.items():
            errors = [member.error for member in plan.members if member.error is not None]
            if errors:
                trained[key] = errors[0]
            elif all(member.finished and not member.interrupted for member in plan.members):
                estimator._keep(plan)
                parameters = estimator.get_params(deep=False)
                trained[key] = {name: value for name, value in vars(estimator).items() if name not in parameters}
            for member in plan.members:
                member.kept = {}
        return interrupted is not None

    @staticmethod
    def _stacks(fits: list[list[Member]]) -> tuple[Refused, list[list[Member]]]:
        """Return the models that do not stack, by the reason why, and the stacks of the others.

        Where single models make several stacks, two processes have as much to do each.
        """
        if all(len(members) == 1 for members in fits):
            return stacks_of([member for members in fits for member in members], share=2)
        refused: Refused = {}
        parts: list[list[Member]] = []
        for members in fits:
            left, own = stacks_of(members)
            parts += own
            for reason, some in left.items():
                refused.setdefault(reason, []).extend(some)
        return refused, parts

    @property
    def n_trained(self) -> int:
        """Number of fits that have come to an end."""
        return sum(key in trained for key in self.plans)

    def finished(self) -> list[bool]:
        """Return for each candidate whether all of its fits are done, if they end in a result or in an error."""
        return [bool(keys) and all(key in trained for key in keys) for keys in self.wanted]

    def _refuse(self, estimator: Any, plan: Any) -> bool:
        if not estimator.net_params:
            return False
        reason = "net_params are those of a net over one model"
        self.refused[reason] = self.refused.get(reason, 0) + len(plan.members)
        return True

    def forget(self) -> None:
        """Let go of everything."""
        for key in self.plans:
            trained.pop(key, None)
        self.plans.clear()
        self._arrays.clear()


recording: ContextVar[Recording | None] = ContextVar("recording", default=None)
"""Where fits of this thread are recorded, if they are."""


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record the fits of this thread instead of carrying them out."""
    record = Recording()
    token = recording.set(record)
    try:
        yield record
    finally:
        recording.reset(token)


def find(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Fitted | None:
    """Return what an equal fit has come to, or None; record the fit where fits are recorded.

    Raises
    ------
    Recorded
        If the fit has been recorded.
    """
    record = recording.get()
    goes_on = estimator.__sklearn_is_fitted__() and estimator.warm_start
    if goes_on or (record is None and not trained):
        return None
    key = type(estimator), fingerprint(estimator, X, y, sample_weight)
    if record is not None:
        record.record(key, estimator, X, y, sample_weight)
        raise Recorded
    return trained.get(key)


def fingerprint(estimator: Any, *arrays: Any) -> str:
    """Return a text that is equal for fits that are."""
    parameters = estimator.get_params(deep=False)
    try:
        return joblib.hash((type(estimator).__qualname__, parameters, arrays))
    except Exception:  # what cannot be pickled, such as a function within a function, is only equal to itself
        named = {name: _hash(value) for name, value in parameters.items()}
        return joblib.hash((type(estimator).__qualname__, named, [_hash(array) for array in arrays]))


def _hash(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception:
        return repr(Contents().of(value))
