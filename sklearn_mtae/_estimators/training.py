"""How the estimators are fitted: the steps from arrays to a trained state."""

import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_mtae._engine.batches import Batches
from sklearn_mtae._engine.devices import living_threads
from sklearn_mtae._engine.interrupts import Interrupts
from sklearn_mtae._engine.member import Member
from sklearn_mtae._engine.net import Net
from sklearn_mtae._engine.optimizer import VectorAdamW
from sklearn_mtae._engine.state import Cache
from sklearn_mtae._engine.together import make_net, train
from sklearn_mtae._fitting.callbacks import OF_CONTEXT, FitTask, with_callbacks  # pyright: ignore[reportAttributeAccessIssue]
from sklearn_mtae._fitting.data import Data
from sklearn_mtae._fitting.shared_fits import find
from sklearn_mtae._tables.blocks import block_rows
from sklearn_mtae.nn.loadings import code_variance, is_reorderable, loadings, relevance, reorder
from sklearn_mtae.nn.loss import Loss
from sklearn_mtae.nn.models import Autoencoder
from sklearn_mtae.nn.words import short

from .planning import Plan, Planned


class Trainable(Planned):
    """An estimator that fits a torch module: the steps from arrays to a trained state."""

    _given_classes: Any = None  # those of the call of `fit` or `partial_fit` that is under way

    @with_callbacks
    def _fit(self, X: Any, y: Any, sample_weight: Any, *, partial: bool = False) -> Self:
        """Train; a fit that fails, or that is interrupted before there is a model, leaves the estimator as it was."""
        before = dict(self.__dict__)
        # Fits that are shared know of no classes.
        found = None if partial or self._given_classes is not None else find(self, X, y, sample_weight)
        if isinstance(found, Exception):
            raise found
        if found is not None:
            self.__dict__.update(found)
            return self
        with Interrupts() as interrupts, living_threads():
            try:
                plan, task = self._train(X, y, sample_weight, partial)
            except BaseException:
                own = {name: self.__dict__[name] for name in OF_CONTEXT if name in self.__dict__}
                self.__dict__.clear()
                self.__dict__.update(before | own)
                raise
            # Warnings come after the new state: they may be errors.
            task.end()
            if not partial:
                self._after_fit(plan.data)
            _tell_of_interrupt(plan, interrupts)
        return self

    def _train(self, X: Any, y: Any, sample_weight: Any, partial: bool) -> tuple[Plan, FitTask]:
        """Check the data, build the models or take them up where they were left, train them and keep their states."""
        plan = self._plan(X, y, sample_weight, partial)
        # Members may be trained as one, in parts, or one after the other.
        n_epochs = plan.members[0].n_epochs if len(plan.members) == 1 else None
        task = FitTask(self, n_epochs, plan.fitted_attributes, X, y, sample_weight)
        try:
            self._run(plan, task)
            self._keep(plan)
        finally:
            if plan.checkpoint is not None:
                plan.checkpoint.release()
        return plan, task

    def _run(self, plan: Plan, task: FitTask) -> None:
        """Train the models of a plan: several as one where that can be."""
        alone = {"": plan.members} if len(plan.members) == 1 else self._run_stack(plan, task)
        for reason, members in alone.items():
            if reason:
                warnings.warn(
                    f"{len(members)} members are trained one after the other: {reason.removesuffix('.')}.", stacklevel=2
                )
            for member in members:
                plan.net = self._train_alone(member, task, plan)
                if plan.interrupted is not None and not all(other.history for other in plan.members):
                    raise KeyboardInterrupt

    def _run_stack(self, plan: Plan, task: FitTask) -> dict[str, list[Member]]:
        """Train several models as one; return those that were not, by the reason why."""
        for member in plan.members:
            self._net_params_of(member.alpha)  # raises the errors of parameters that contradict each other
        if self.net_params:
            return {"net_params are those of a net over one model": plan.members}
        hooks = {"begin": task.begin_epoch, "end": task.end_epoch} if task.is_watched else {}
        trained = train(plan.members, **hooks, verbose=bool(self.verbose))
        errors = [member.error for member in plan.members if member.error is not None]
        if errors:
            raise errors[0]
        if trained.interrupted is not None and not all(member.history for member in plan.members):
            raise KeyboardInterrupt
        return trained.refused

    def _train_alone(self, member: Member, task: FitTask, plan: Plan) -> Net:
        """Train one model; return its net."""
        trained = train(
            [member],
            begin=task.begin_epoch,
            end=task.end_epoch,
            verbose=bool(self.verbose),
            net_params=self._net_params_of(member.alpha),
            checkpoint=plan.checkpoint,
        )
        assert trained.net is not None
        plan.interrupted = trained.interrupted
        return trained.net

    @staticmethod
    def _rank_components(plan: Plan) -> NDArray | None:
        """Return the variance of the codes of a linear decoder; first put its components in order of relevance.

        Only where the model and the plan allow it: the moments of an optimiser that goes on belong to their weights.
        """
        module, train = plan.members[0].model, plan.members[0].train
        loading = loadings(module)
        if loading is None:
            return None
        batches = Batches(train, block_rows(max(parameter.shape[0] for parameter in module.parameters())))
        variance = code_variance(module.eval(), ((batch.x, batch.weight) for batch in batches))[: len(loading)]
        if not plan.partial and is_reorderable(module):
            order = relevance(loading, variance).argsort(descending=True, stable=True)
            reorder(module, order)
            variance = variance[order]
        return variance.numpy()

    def _after_fit(self, data: Data) -> None:
        """Look at what a fit made, and warn of it; the estimator is fitted already."""

    def _make_net(self, model: Autoencoder, loss: Loss, rates: tuple[float, float]) -> Net:
        """Compose a net from a model's learning rate and decay; not initialised yet."""
        return make_net(model, loss, rates[0], **self._net_params_of(rates[1]))

    def _net_params_of(self, alpha: float) -> dict[str, Any]:
        """Return the optimiser of a net, with the decay of its weights, and what the user adds to it."""
        own = self.net_params or {}
        optimizer: dict[str, Any] = {"optimizer": own.get("optimizer", VectorAdamW)}
        decoupled = optimizer["optimizer"] in (VectorAdamW, torch.optim.AdamW)
        if alpha and not decoupled:
            raise ValueError(
                f"alpha must be 0 with an optimizer other than AdamW, whose weight decay alone is decoupled from the "
                f"gradient. Got alpha={alpha} and {short(optimizer['optimizer'])}."
            )
        if decoupled:
            optimizer["optimizer__weight_decay"] = 0.0
        if alpha:
            optimizer["optimizer__param_groups"] = [("decayed", {"weight_decay": alpha})]
        return {**optimizer, **own}

    def _keep(self, plan: Plan) -> None:
        """Keep what the training made, and nothing of its data."""
        progress = plan.progress
        code_variance = self._rank_components(plan)
        history = plan.history()
        for row in history:
            progress["n_iter_"] += 1
            progress["loss_curve_"].append(row["train_loss"])
            for name, value in self._named_terms(row["train_terms"]):
                progress["term_curves_"].setdefault(name, []).append(value)
            if "valid_loss" in row:
                progress["validation_scores_"].append(-row["valid_loss"])
        weights = [row["task_weights"] for row in history if "task_weights" in row]
        if weights:
            progress["task_weights_"] = np.vstack([*progress.get("task_weights_", ()), *weights])
        self.__dict__.update(plan.fitted_attributes())
        self._code_variance = code_variance
        if plan.net is None or len(plan.members) > 1:
            return
        if plan.checkpoint is not None and not plan.net.interrupted_:
            plan.checkpoint.remove()
        # A GPU's memory is given back; what its net recorded is kept for the one that is rebuilt when asked for.
        self._cache = Cache(net=plan.net) if plan.net.device == "cpu" else Cache(history=plan.net.history)

    def _named_terms(self, terms: dict[str, Any]) -> Iterator[tuple[str, float]]:
        """Yield the name and value of each term of an epoch."""
        yield from terms.items()


def _tell_of_interrupt(plan: Plan, interrupts: Interrupts) -> None:
    """Warn of what the user's interrupt has cut off, if anything."""
    when = None if plan.interrupted is None else f"in epoch {plan.interrupted}"
    if when is None and interrupts.is_waiting:
        when = "after the last epoch"
    interrupts.is_waiting = False
    if when is not None:
        warnings.warn(f"Training interrupted by user {when}. The model is that of the steps done.", stacklevel=4)
