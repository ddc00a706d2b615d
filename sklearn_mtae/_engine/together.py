"""Training several models as one: which go together, each with its own rows, rates and end, and what becomes of it."""

import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import ceil, inf
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from torch import Generator, Tensor, nn

from sklearn_mtae.nn.loss import Loss, Result, Scales, check_gradient

from .devices import give_back, is_out_of_memory
from .member import Member
from .net import EpochHook, Net, StopTraining
from .optimizer import State, VectorAdamW
from .rows import Batch, Rows
from .stack import Stack, StackedBatches, mean_row, slice_models

Refused = dict[str, list[Member]]
"""Models that are not trained in a stack, by the reason why."""
STACK_BYTES = 2**30
"""Memory that a stack is to take at most, by an estimate; more models than go in there are trained one stack after the
other."""
STACK_CELLS = 2**19
"""Cells that a layer of a stack is to have at most on a CPU, over the rows of a batch: those of the models that lie in
its cache together. The next operation then finds them there, where larger arrays go through the memory each time."""
STACK_MODELS = 8
"""Models that are trained together whatever their cells: fewer would not be worth the operations that they share."""


@dataclass
class Run:
    """A member within a stack."""

    member: Member
    order: Generator
    best_loss: float = inf
    misses: int = 0
    done: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the last epoch has been the last one."""
        stalled = self.member.valid is not None and self.misses == self.member.patience
        return stalled or len(self.member.history) == self.member.n_epochs


def _rates(run: Run, decays: bool) -> tuple[float, float]:
    """Return the step size of a model and the decay of those of its weights that decay, or of the others."""
    return run.member.learning_rate, run.member.alpha if decays else 0.0


class StackNet(Net):
    """A net over several models that are trained as one, each with its own rows, rates and end.

    Parameters
    ----------
    *args, **kwargs
        As for `Net`.
    members : sequence of Member
        The models, of one kind, those of the same rates beside each other.
    """

    def __init__(self, *args: Any, members: Sequence[Member] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = members

    def initialize_module(self) -> "StackNet":
        """Put the models beside each other."""
        self.runs_ = [Run(member, torch.Generator().manual_seed(member.seeds[0])) for member in self.members]
        return super().initialize_module()

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "StackNet":
        """Let models of the same rates be one group, and take their optimisers up where they were."""
        stack, groups = self.module_, []
        self.slices_: dict[str, list[tuple[int, int, nn.Parameter]]] = {name: [] for name in stack.learned}
        for decays in (True, False):
            names = [name for name in stack.learned if (name in stack.decayed) == decays]
            first = 0
            for (rate, decay), run in groupby(self.runs_, partial(_rates, decays=decays)):
                last = first + len(list(run))
                parts = [slice_models(stack.learned[name], first, last) for name in names]
                for name, part in zip(names, parts, strict=True):
                    self.slices_[name].append((first, last, part))
                groups += [{"params": parts, "lr": rate, "weight_decay": decay}] if parts else []
                first = last
        self.vectors_ = dict(stack.learned)
        self.optimizer_ = VectorAdamW(groups)
        self._load_moments()
        self.constant_scales_: Scales | None = None
        if not any(callable(loss.beta) for loss in self._losses()):
            self.constant_scales_ = Scales(*zip(*(loss.scales() for loss in self._losses()), strict=True))  # type: ignore[arg-type]
        self.best_values_ = {name: value.detach().clone() for name, value in stack.learned.items()}
        return self

    def fit_loop(self, X: Rows, y: None = None, epochs: int | None = None, **fit_params: Any) -> "StackNet":
        """Train; an interrupt by the user leaves the models of the steps done, with a row for each whole epoch."""
        super().fit_loop(X, y, epochs, **fit_params)
        if self.interrupted_:
            warnings.warn(f"Training interrupted by user in epoch {len(self.history)}.", stacklevel=2)
        for position, run in enumerate(self.runs_):
            if not run.done:
                run.member.interrupted = self.interrupted_
                run.member.drop_part()
                self._finish(position, run)
        return self

    def get_iterator(self, dataset: Rows, training: bool = False) -> StackedBatches:  # type: ignore[override]
        """Return the batches of all models."""
        rows = [run.member.train if training else run.member.valid for run in self.runs_]
        return StackedBatches(rows, self.batch_size, [run.order for run in self.runs_] if training else None)  # type: ignore[arg-type]

    def run_single_epoch(self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any) -> None:
        """Run one epoch of the models that are left."""
        batches = None if iterator is None else self.get_iterator(iterator, training)
        super().run_single_epoch(batches, training, prefix, step_fn, **fit_params)  # type: ignore[arg-type]

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Notify the callbacks; after those of an epoch, see who is at the end."""
        if method_name == "on_epoch_end" and any(isinstance(callback, EpochHook) for _, callback in self.callbacks_):
            for position, run in enumerate(self.runs_):  # scikit-learn's callbacks look at what has become of them
                if not run.done:
                    self.module_.write(position, run.member.pair, self.module_.learned)
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_epoch_end":
            self._end_epoch()

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        """Do nothing: gradients are written anew."""

    def _losses(self) -> list[Loss]:
        return [run.member.loss for run in self.runs_]

    def _scales(self, progress: float) -> Scales:
        """Return the weights of the terms, each as one number per model."""
        if self.constant_scales_ is not None:
            return self.constant_scales_
        # In steps: a share of a share may be rounded to the other side of where a schedule jumps.
        step, per_epoch = round(progress * self.n_steps_), self.n_steps_ // self.max_epochs
        own = (run.member.loss.scales(min(1.0, step / (per_epoch * run.member.n_epochs))) for run in self.runs_)
        return Scales(*zip(*own, strict=True))  # type: ignore[arg-type]

    def _evaluate(self, batch: Batch, scales: Scales) -> Result:
        return self.module_(batch, scales)

    def _backward(self, result: Result) -> None:
        learned = list(self.module_.learned.values())
        check_gradient(result)
        gradients = torch.autograd.grad(result.loss.sum(), learned, materialize_grads=True)
        torch._foreach_copy_([parameter.grad for parameter in learned], gradients)  # pyright: ignore[reportPrivateImportUsage]

    def _constrain(self) -> None:
        """Do nothing: the stack does so before its next batch."""

    def _record_epoch(self, averages: dict[str, Tensor], training: bool, prefix: str) -> None:
        labelled = averages.pop("labelled", None)
        values = {name: average.tolist() for name, average in averages.items()}
        for position, run in enumerate(self.runs_):
            if run.done:
                continue
            member, means = run.member, {name: value[position] for name, value in values.items()}
            if training:
                member.history.append({})
            row = member.history[-1]
            if member.error is None and not np.isfinite(means["loss"]):
                member.error = self._not_finite(means, prefix, member.learning_rate)
            if training and "tasks" in means:
                own = averages["tasks"][position], None if labelled is None else labelled[position]
                row["task_weights"] = self.module_.end_epoch(position, *own).tolist()
            row[f"{prefix}_loss"] = means.pop("loss")
            row[f"{prefix}_terms"] = means
        for name, value in mean_row([run.member.history[-1] for run in self.runs_ if not run.done]).items():
            self.history.record(name, value)

    def _end_epoch(self) -> None:
        """Keep the best of each model, let go of those at their end, and stop when none is left."""
        improved = []
        for position, run in enumerate(self.runs_):
            if not run.done and run.member.error is None and run.member.valid is not None:
                loss = run.member.history[-1]["valid_loss"]
                if loss < run.best_loss - run.member.tol:
                    run.best_loss, run.misses = loss, 0
                    improved.append(position)
                else:
                    run.misses += 1
        if improved:
            for name, value in self.module_.learned.items():
                self.best_values_[name][improved] = value.detach()[improved]
        for position, run in enumerate(self.runs_):
            if not run.done and len(run.member.history) in run.member.keep_at:
                self.module_.write(position, run.member.pair, self.module_.learned)
                run.member.keep(len(run.member.history))
        for position, run in enumerate(self.runs_):
            if not run.done and (run.is_over or run.member.error is not None):
                self._finish(position, run)
        left = [position for position, run in enumerate(self.runs_) if not run.done]
        if not left:
            raise StopTraining
        if 2 * len(left) <= len(self.runs_):
            self._shrink(left)

    def _finish(self, position: int, run: Run) -> None:
        """Write what a model has become into its own modules."""
        run.done = True
        if not run.member.scheduled:  # a part of a fit that goes on
            run.member.optimizer_state = self._moments(position)
        if run.member.error is None:
            best = self.best_values_ if run.best_loss < inf else {}
            # It is the model that goes back to its best, not what its loss has learned.
            own = {name: value for name, value in best.items() if name.startswith("model.")}
            self.module_.write(position, run.member.pair, {**self.module_.learned, **own})
            run.member.check_weights()
            run.member.finished = run.member.error is None

    def _shrink(self, left: list[int]) -> None:
        """Go on with those models that are not at their end."""
        for position in left:
            self.runs_[position].member.optimizer_state = self._moments(position)
        best = {name: values[left] for name, values in self.best_values_.items()}
        self.runs_ = [self.runs_[position] for position in left]
        self.module_.keep(left)
        self.initialize_optimizer()
        self.best_values_ = best
        self._close_graph()
        self.graph_ = self._open_graph(self.get_iterator(self.runs_[0].member.train, training=True))  # type: ignore[arg-type]

    def _moments(self, position: int) -> State:
        """Return the optimiser's state of one model."""
        states: State = {}
        for name, slices in self.slices_.items():
            first, part = next((first, part) for first, last, part in slices if first <= position < last)
            saved = self.optimizer_.state[part]
            own = {key: value[position - first] if value.dim() else value for key, value in saved.items()}
            states[name] = {key: value.cpu().numpy().copy() for key, value in own.items()}
        return {name: state for name, state in states.items() if state}

    def _load_moments(self) -> None:
        for name, slices in self.slices_.items():
            for first, last, part in slices:
                saved = [run.member.optimizer_state.get(name, {}) for run in self.runs_[first:last]]
                if all(own and own["exp_avg"].shape == part.shape[1:] for own in saved):
                    moments = {key: np.stack([own[key] for own in saved]) for key in ("exp_avg", "exp_avg_sq")}
                    arrays = {"step": saved[0]["step"], **moments}
                    self.optimizer_.state[part] = {
                        key: torch.tensor(array, device=part.device) for key, array in arrays.items()
                    }


def train_together(members: Sequence[Member], callbacks: Sequence[Any] = ()) -> tuple[Refused, bool]:
    """Train models, those of one kind as one.

    Parameters
    ----------
    members : sequence of Member
        The models, which are trained in place.
    callbacks : sequence of skorch callbacks
        They see the means over the models.

    Returns
    -------
    refused : dict of str to list of Member
        Those that were not trained, by the reason why.
    interrupted : bool
        Whether the user interrupted; models that are not `finished` are then as they were.
    """
    refused, parts = stacks_of(members)
    return train_stacks(parts, refused, callbacks)


def stacks_of(
    members: Sequence[Member], share: int | None = None
) -> tuple[dict[str, list[Member]], list[list[Member]]]:
    """Return those models that cannot be trained in stacks, by the reason why, and the stacks of the others.

    What a model draws depends on the others of its stack, and so which these are must depend on the models alone: not
    on how many processes there are.

    Parameters
    ----------
    members : sequence of Member
        The models.
    share : int or None, default=None
        What the number of stacks of a kind is to be a multiple of, where one stack would not do; the order of the
        models then counts for nothing. None is as few stacks as will do, in the order of the models.
    """
    refused: Refused = {}
    stackable: dict[tuple, list[Member]] = {}
    for member in members:
        reason = member.obstacle()
        if reason is not None:
            refused.setdefault(reason, []).append(member)
        else:
            stackable.setdefault(member.kind(), []).append(member)
    return refused, [part for group in stackable.values() for part in _parts(group, share)]


def train_stacks(
    parts: Sequence[list[Member]],
    refused: Refused,
    callbacks: Sequence[Any] = (),
    n_jobs: int | None = 1,
) -> tuple[Refused, bool]:
    """Train stacks.

    Parameters
    ----------
    parts : sequence of list of Member
        The models of each stack, which are trained in place.
    refused : dict of str to list of Member
        Models that are left out, by the reason why; those that turn out not to stack are added.
    callbacks : sequence of skorch callbacks
        They see the means over the models.
    n_jobs : int or None, default=1
        Processes that stacks are dealt to where they are trained on the CPU, without callbacks; 1 is this one.

    Returns
    -------
    refused : dict of str to list of Member
        Those that were not trained, by the reason why.
    interrupted : bool
        Whether the user interrupted; models that are not `finished` are then as they were.
    """
    n_jobs = effective_n_jobs(n_jobs) if all(_is_on_cpu(part) for part in parts) else 1
    trained = (_train(part, callbacks) for part in parts) if n_jobs == 1 else _train_apart(parts, n_jobs)
    for part, (reason, interrupted) in zip(parts, trained, strict=True):
        if reason is not None:
            refused.setdefault(reason, []).extend(member for member in part if not member.finished)
        if interrupted:
            return refused, True
    return refused, False


def _is_on_cpu(part: list[Member]) -> bool:
    return part[0].train.device.type == "cpu"


def _rates_of(member: Member) -> tuple[float, float]:
    return member.learning_rate, member.alpha


def _parts(group: list[Member], share: int | None) -> Iterator[list[Member]]:
    """Yield as many models at a time as the memory allows, and the cache; those of the same rates beside each other."""
    ordered = sorted(group, key=_rates_of if share is None else Member.rank)
    first = group[0] if share is None else ordered[0]
    in_cache = max(STACK_MODELS, STACK_CELLS // first.n_cells()) if _is_on_cpu(group) else len(group)
    size = max(1, min(STACK_BYTES // first.n_bytes(), in_cache))
    n_parts = ceil(len(ordered) / size)
    if n_parts > 1 and share is not None:
        n_parts = min(len(ordered), share * ceil(n_parts / share))
    for part in range(n_parts):
        yield ordered[len(ordered) * part // n_parts : len(ordered) * (part + 1) // n_parts]


def _train_apart(parts: Sequence[list[Member]], n_jobs: int) -> list[tuple[str | None, bool]]:
    """Train stacks in processes of their own; return of each why it was not trained, if not, and if interrupted."""
    return_as = "generator" if get_active_backend()[0].supports_return_generator else "list"
    answers = []
    try:
        trained = Parallel(n_jobs, return_as=return_as)(delayed(_outcomes)(part) for part in parts)
        for part, (answer, outcomes) in zip(parts, trained, strict=True):
            for member, outcome in zip(part, outcomes, strict=True):
                member.take(outcome)
            answers.append(answer)
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=2)
        answers.append((None, True))
    return answers


def _outcomes(members: list[Member]) -> tuple[tuple[str | None, bool], list[dict[str, Any]]]:
    """Train a stack; return how that went, and what became of its models."""
    return _train(members, []), [member.outcome() for member in members]


def _train(members: list[Member], callbacks: Sequence[Any]) -> tuple[str | None, bool]:
    """Train a stack, in halves where the memory does not suffice; return why not, if not, and whether interrupted."""
    before = [deepcopy(member.outcome()) for member in members]
    try:
        net = _make_net(members, callbacks).initialize().partial_fit(members[0].train)
        return None, net.interrupted_
    except Exception as error:
        reason = None if is_out_of_memory(error) else str(error).partition("\n")[0] or repr(error)
    give_back(members[0].train.device)
    left = [member for member in members if not member.finished]
    for member, outcome in zip(members, before, strict=True):
        if not member.finished:
            member.take(outcome)
    if reason is not None or len(left) == 1:
        return reason or "the memory does not suffice", False
    for half in (left[: len(left) // 2], left[len(left) // 2 :]):
        reason, interrupted = _train(half, callbacks)
        if reason is not None or interrupted:
            return reason, interrupted
    return None, False


def _make_net(members: list[Member], callbacks: Sequence[Any]) -> StackNet:
    """Return the net of a stack; it is not initialised yet."""
    first = members[0]
    return StackNet(
        Stack([member.pair for member in members]),
        nn.Identity(),
        max_epochs=max(member.n_epochs for member in members),
        batch_size=first.batch_size,
        valid_rows=first.valid,
        seeds=first.seeds,
        scheduled=first.scheduled,
        callbacks=list(callbacks),
        train_split=None,
        device=str(first.train.device),
        verbose=0,
        members=members,
    )
