"""scikit-learn's callbacks, notified of a fit and of each epoch; experimental in 1.9 and absent before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from sklearn.base import BaseEstimator

from sklearn_mtae._engine.member import Member, name_of
from sklearn_mtae._engine.together import stacks_of

from .all_rows import trains_twice
from .plan import Plan

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks  # type: ignore[attr-defined]
except ImportError:

    class CallbackSupportMixin:
        """A mixin without callbacks to support."""

    def with_callbacks(method: Callable) -> Callable:
        """Return the method unchanged."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "tell_of_models", "with_callbacks"]


@contextmanager
def tell_of_models(owner: BaseEstimator, X: Any, n_models: int) -> Iterator[Callable]:
    """Let the callbacks of an estimator hear of the fits of models within its own fit, which are its only subtasks.

    Parameters
    ----------
    owner : estimator
        The estimator that is fitted.
    X : object
        The rows.
    n_models : int
        Number of fits.

    Yields
    ------
    callable
        From a model to the context of its fit.
    """
    if not hasattr(owner, "set_callbacks"):
        yield lambda model: nullcontext()
        return
    context = owner._init_callback_context(max_subtasks=n_models)  # type: ignore[attr-defined]

    @contextmanager
    def tell(model: BaseEstimator) -> Iterator[None]:
        part = context.subcontext(task_name="model")
        with part.propagate_callback_context(model):
            part.call_on_fit_task_begin(estimator=owner, X=X, y=None)
            yield
            part.call_on_fit_task_end(estimator=owner, X=X, y=None)

    context.call_on_fit_task_begin(estimator=owner, X=X, y=None)
    yield tell
    context.call_on_fit_task_end(estimator=owner, X=X, y=None)


class FitTask:
    """One fit, seen by the estimator's callbacks.

    The subtasks of a fit of one model are its epochs. Those of a fit of several are its parts, one after the other:
    stacks of members, members that are trained alone, and their average. The epochs are the subtasks of these parts. A
    repeated fit on all rows consists of parts too.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted; it has callbacks.
    plan : Plan
        What is fitted.
    X, y, sample_weight
        The arguments of `fit`. If there is no `y`, callbacks that score get `X`.
    """

    def __init__(self, estimator: BaseEstimator, plan: Plan, X: Any, y: Any, sample_weight: Any) -> None:
        self.estimator = estimator
        self.told = {
            "estimator": estimator,
            "X": X,
            "y": X if y is None else y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
            "reconstruction_attributes": lambda: plan.so_far().attributes(),
        }
        self.has_parts = len(plan.members) > 1 or trains_twice(plan)
        self.n_parts = 0
        self.net: Any = None
        self.part: Any = None
        self.parts: list[tuple[Member | None, Any]] = []
        """The parts that have begun and not ended, each with the first of its members, if it has any."""
        n_subtasks = _count_parts(plan) if self.has_parts else plan.members[0].n_epochs
        self.context = estimator._init_callback_context(max_subtasks=n_subtasks)  # type: ignore[attr-defined]
        self._begin(self.context)

    @property
    def hooks(self) -> dict[str, Callable]:
        """Functions that the training calls."""
        return {"begin": self.begin_epoch, "end": self.end_epoch, "average": self.begin_average}

    def begin_epoch(self, net: Any) -> None:
        """Notify callbacks of the beginning of an epoch."""
        if self.has_parts and net is not self.net:
            self.net = net
            self._turn_to(net.members)
        self.epoch = (self.part or self.context).subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.told)

    def end_epoch(self, net: Any) -> bool:
        """Notify callbacks of the end of an epoch; return whether one asks to stop."""
        return self.epoch.call_on_fit_task_end(**self.told)

    def begin_average(self) -> None:
        """Notify callbacks that averaging begins; how long it takes is not known."""
        if self.has_parts:
            self._begin_part(None, "average", None)

    def end(self) -> None:
        """Notify callbacks of the end of the fit."""
        self._end_parts()
        self.context.call_on_fit_task_end(**self.told)

    def _begin(self, context: Any) -> None:
        context.call_on_fit_task_begin(**{**self.told, "reconstruction_attributes": None})

    def _turn_to(self, members: Sequence[Member]) -> None:
        """Begin the part of some members, or go on with it if it has paused."""
        self._end_parts()
        paused = next((part for first, part in self.parts if first is members[0]), None)
        if paused is None:
            n_epochs = max(member.n_epochs for member in members)
            self._begin_part(members[0], name_of(members, self.n_parts + 1), n_epochs)
        else:
            self.part = paused

    def _begin_part(self, first: Member | None, name: str, n_epochs: int | None) -> None:
        self._end_parts()
        self.n_parts += 1
        self.part = self.context.subcontext(task_name=name, max_subtasks=n_epochs)
        self.parts.append((first, self.part))
        self._begin(self.part)

    def _end_parts(self) -> None:
        """End the parts that do not pause."""
        for first, part in self.parts:
            if first is None or first.pause is None:
                part.call_on_fit_task_end(**self.told)
        self.parts = [own for own in self.parts if own[0] is not None and own[0].pause is not None]


def _count_parts(plan: Plan) -> int:
    """Return the number of parts in which several members are fitted."""
    refused, stacks = ({"": plan.members}, []) if plan.recipe.net_params else stacks_of(plan.members)
    n_trained = len(stacks) + sum(len(members) for members in refused.values())
    return n_trained * (1 + trains_twice(plan)) + plan.has_average
