"""Members during training: their progress, their best states, and when they should stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from sklearn_mtae.nn.loss import Loss, Scales

from .member import Member, Pause
from .optimizer import dump_moments, load_moments
from .single import Single
from .stack import Stack, mean_row


@dataclass
class Run:
    """A member during training.

    Parameters
    ----------
    member : Member
        The member.
    order : Generator
        Source of the order of its rows.
    n_epochs : int
        Maximum number of epochs of this training.
    best_loss : float
        The best held-out loss so far.
    misses : int
        Number of epochs in a row without an improvement on it.
    done : bool
        Whether its training is over.
    """

    member: Member
    order: Generator
    n_epochs: int
    best_loss: float = inf
    misses: int = 0
    done: bool = False

    def improves(self) -> bool:
        """Return whether the last epoch has improved on the best held-out loss, and count it."""
        if self.member.valid is None or self.member.error is not None:
            return False
        loss = self.member.history[-1]["valid_loss"]
        improved = loss < self.best_loss - self.member.tol
        self.misses = 0 if improved else self.misses + 1
        self.best_loss = loss if improved else self.best_loss
        return improved


class Runs:
    """The members of a training, with the models and the optimiser.

    Parameters
    ----------
    members : sequence of Member
        The members.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.runs = [_take_up(member) for member in members]
        best = [{} if member.pause is None else member.pause.best_weights for member in members]
        self.best_weights = {name: torch.stack([own[name] for own in best]) for name in best[0]} if best else {}
        """The weights of each member at its best, with the members along the first axis; empty before there are any."""
        self.models: Single | Stack

    def take_up(self, optimizer: Any) -> None:
        """Set the optimiser that moves the members; it continues from its saved state."""
        self.optimizer = optimizer
        if self.runs:
            states = [run.member.optimizer_state for run in self.runs]
            load_moments(optimizer, self.models.slices, states, self.models.is_stack)

    @property
    def under_way(self) -> list[tuple[int, Run]]:
        """The unfinished trainings, with their positions."""
        return [(position, run) for position, run in enumerate(self.runs) if not run.done]

    @property
    def losses(self) -> list[Loss]:
        """The losses in use."""
        return [run.member.loss for run in self.runs]

    def scales(self, n_steps: float = inf, n_batches: int = 1) -> Scales:
        """Return the weights of the terms after some steps, or at the end; in a stack, one number per model each."""
        each = []
        for run in self.runs:
            # If schedules do not run over this fit, they stay at their final values.
            progress = min(1.0, n_steps / (n_batches * run.n_epochs)) if run.member.scheduled else 1.0
            each.append(run.member.loss.scales(progress))
        return Scales(*zip(*each, strict=True)) if self.models.is_stack else each[0]  # type: ignore[arg-type]

    def record(self, averages: dict[str, Tensor], training: bool, prefix: str) -> dict[str, Any]:
        """Write the results of an epoch into the members' histories; return the means over the members."""
        if not self.models.is_stack:
            averages = {name: average[None] for name, average in averages.items()}
        labelled = averages.pop("labelled", None)
        values = {name: average.tolist() for name, average in averages.items()}
        for position, run in self.under_way:
            member, means = run.member, {name: value[position] for name, value in values.items()}
            if training:
                member.history.append({})
            if member.error is None and not np.isfinite(means["loss"]):
                member.error = _not_finite(member, means, prefix)
            row = member.history[-1]
            if training and "tasks" in means:
                of_tasks = averages["tasks"][position], None if labelled is None else labelled[position]
                row["task_weights"] = self.models.end_epoch(position, *of_tasks).tolist()
            row[f"{prefix}_loss"] = means.pop("loss")
            row[f"{prefix}_terms"] = means
        return mean_row([run.member.history[-1] for _, run in self.under_way])

    def write(self) -> None:
        """Update the members to their current states."""
        for position, run in self.under_way:
            self.models.write(position, run.member.pair, {})

    def remember_weights(self) -> None:
        """Keep the weights of members that have improved, and those after requested epochs."""
        improved = [position for position, run in self.under_way if run.improves()]
        if improved:
            weights = self.models.weights()
            if not self.best_weights:
                self.best_weights = {name: value.clone() for name, value in weights.items()}
            for name, value in weights.items():
                self.best_weights[name][improved] = value[improved]
        for position, run in self.under_way:
            if len(run.member.history) in run.member.keep_at:
                self.models.write(position, run.member.pair, {})
                run.member.save_state()

    def end_epoch(self, noise: Generator) -> list[int]:
        """Release the members that have ended or pause; return the positions of the others.

        Parameters
        ----------
        noise : Generator
            Source of the draws.
        """
        for position, run in self.under_way:
            member = run.member
            stalled = member.valid is not None and run.misses == member.patience
            if stalled or len(member.history) == member.n_epochs or member.error is not None:
                self._finish(position, run)
            elif len(member.history) == member.pause_at:
                self._pause(position, run, noise)
        return [position for position, _ in self.under_way]

    def end(self, interrupted: bool) -> None:
        """Release all members, whether they have ended or not."""
        for position, run in self.under_way:
            run.member.interrupted = interrupted
            run.member.drop_unvalidated()
            self._finish(position, run)

    def _finish(self, position: int, run: Run) -> None:
        """Give a member the result of its training: the best state, if there are held-out rows."""
        run.done = True
        if not run.member.scheduled:  # a part of a continued fit
            self._save_moments(position)
        run.member.pause = None
        if run.member.error is None:
            self.models.write(position, run.member.pair, self.best_weights if run.best_loss < inf else {})
            run.member.check_weights()
            run.member.finished = run.member.error is None

    def _pause(self, position: int, run: Run, noise: Generator) -> None:
        """Keep the state of a member's training, and give the member its best state so far."""
        run.done, member = True, run.member
        self._save_moments(position)
        self.models.write(position, member.pair, {})
        weights = {name: value.clone() for name, value in member.pair.state_dict().items()}
        best = {name: value[position].clone() for name, value in self.best_weights.items()}
        member.pause = Pause(weights, run.order.get_state(), noise.get_state(), run.best_loss, run.misses, best)
        if best:
            self.models.write(position, member.pair, self.best_weights)
        member.check_weights()

    def select(self, left: list[int]) -> None:
        """Continue with some of the members of a stack."""
        assert isinstance(self.models, Stack)
        for position in left:
            self._save_moments(position)
        self.runs = [self.runs[position] for position in left]
        self.models.select(left)
        self.best_weights = {name: values[left] for name, values in self.best_weights.items()}

    def _save_moments(self, position: int) -> None:
        moments = dump_moments(self.optimizer, self.models.slices, position, self.models.is_stack)
        self.runs[position].member.optimizer_state = moments


def _take_up(member: Member) -> Run:
    """Return the training of a member: a new one, or one that continues after its completed epochs."""
    order, pause = Generator().manual_seed(member.seeds[0]), member.pause
    if pause is None:
        return Run(member, order, member.n_epochs - len(member.history))
    return Run(member, order.set_state(pause.order), member.n_epochs, pause.best_loss, pause.misses)


def _not_finite(member: Member, means: dict[str, Any], prefix: str) -> ValueError:
    """Return the error that names the term that is no longer finite."""
    term = next((name for name, value in means.items() if name != "loss" and not np.isfinite(value).all()), "loss")
    return ValueError(
        f"The loss must stay finite. It became {means['loss']} in epoch {len(member.history)} ({prefix} rows, term "
        f"{term!r}). Lower learning_rate_init (now {member.learning_rate:g}), or look for extreme values in the data."
    )
