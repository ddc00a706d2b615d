"""The skorch net that trains: its steps and epochs, for one member or for several as one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Generator, Tensor, nn

from sklearn_mtae.nn.loss import Result, Scales
from sklearn_mtae.nn.quiet import quiet
from sklearn_mtae.nn.random import draw_from
from sklearn_mtae.nn.traits import declared
from sklearn_mtae.nn.words import short

from .batches import Batches, add_product, along
from .captured_step import LEAST_STEPS, RECORDERS, CapturedStep, is_known, is_recordable, parts_of, tabulate
from .checkpoint import Checkpoint
from .devices import largest_product, threads_for
from .interrupts import interrupts
from .member import Member, name_of
from .optimizer import VectorAdamW
from .rows import Batch, Rows
from .runs import Runs
from .single import Single
from .stack import Stack

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
"""Methods of a callback that wants to see each batch."""


class StopTraining(KeyboardInterrupt):
    """Ends the training cleanly; skorch's callbacks end a fit with a `KeyboardInterrupt`."""


class EpochHook(Callback):
    """Call a function before and after each epoch; one that returns True after an epoch stops the training.

    Parameters
    ----------
    begin, end : callable
        Functions of the net. At the end of an epoch, the members have their new states.
    """

    def __init__(self, begin: Callable[["Net"], Any], end: Callable[["Net"], bool]) -> None:
        self.begin = begin
        self.end = end

    def on_epoch_begin(self, net: "Net", **kwargs: Any) -> None:
        """Call the first function."""
        self.begin(net)

    def on_epoch_end(self, net: "Net", **kwargs: Any) -> None:
        """Call the second function, and stop if it asks for it."""
        net.runs_.write()
        if self.end(net):
            raise StopTraining


class EpochLog(Callback):
    """Print one line per epoch: the owner, the loss, its terms and the loss on held-out rows.

    Parameters
    ----------
    owner : str
        Whose members are trained.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.n_nets = 0

    def on_train_begin(self, net: "Net", *args: Any, **kwargs: Any) -> None:
        """Note whose epochs follow."""
        self.n_nets += 1
        self.name = ", ".join(filter(None, [self.owner, name_of(net.members, self.n_nets)]))

    def on_epoch_end(self, net: "Net", **kwargs: Any) -> None:
        """Print the line."""
        row = net.history[-1]
        terms = [f"{name} {np.sum(value):.5g}" for name, value in row["train_terms"].items()]
        held_out = [f"validation {row['valid_loss']:.5g}"] if "valid_loss" in row else []
        n_done = max(len(member.history) for member in net.members)
        print(f"[{self.name}]", ", ".join([f"Epoch {n_done}: loss {row['train_loss']:.5g}", *terms, *held_out]))


class Net(NeuralNet):
    """A skorch net that trains members.

    Its module and criterion are the model and the loss of a single member. For several, the module is a `Stack`, and
    each member has its own rows, rates and end.

    Parameters
    ----------
    *args, **kwargs
        As `skorch.NeuralNet` takes them.
    members : sequence of Member
        The members to train; if there are several, those with the same rates are adjacent.
    checkpoint : Checkpoint or None, default=None
        Where the training of a single member is saved after each epoch, and resumed from if it was saved.
    record_steps : bool, default=True
        Whether to let a device repeat a captured step, if it can.
    """

    def __init__(
        self,
        *args: Any,
        members: Sequence[Member] = (),
        checkpoint: Checkpoint | None = None,
        record_steps: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.members: Sequence[Member] = members
        self.checkpoint = checkpoint
        self.record_steps = record_steps
        self.runs_ = Runs(members)

    # What skorch sets up.

    def get_default_callbacks(self) -> list:
        """Return none: the epoch's own sums replace what skorch's callbacks would record and print."""
        return []

    def torch_compile(self, module: nn.Module, name: str) -> nn.Module:
        """Compile the model if requested; the loss is only a few sums."""
        if name != "module" or not self.compile:
            return module
        with quiet("`torch.jit"):  # torch's own compiler uses deprecated parts of torch
            return super().torch_compile(module, name)

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "Net":
        """Let the optimiser move few tensors, and restore its state from the members."""
        if isinstance(self.module_, Stack):
            self.runs_.models = self.module_
            rates = [run.member.rates for run in self.runs_.runs]
            self.optimizer_ = self.optimizer(self.module_.parameter_groups(rates))
        else:
            decays = "param_groups" in self.get_params_for("optimizer")
            self.runs_.models = Single(self.module_, self.criterion_, decays)
            super().initialize_optimizer()
            for group in self.optimizer_.param_groups if self.members and self.members[0].annealing else ():
                group |= {"first_lr": group["lr"], "annealing": self.members[0].rates[-1]}
        if not isinstance(self.optimizer_, torch.optim.Optimizer):
            raise TypeError(
                "net_params must have a class of optimisers for 'optimizer'. Got one that made "
                f"{short(self.optimizer_)}."
            )
        self.runs_.take_up(self.optimizer_)
        return self

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the tensors that contain all learnable parameters."""
        yield from self.runs_.models.learned.items()

    def get_split_datasets(self, X: Rows, y: None = None, **fit_params: Any) -> tuple[Rows, Rows | None]:
        """Return the rows to train on and those held out."""
        return X, self.members[0].valid

    def get_iterator(self, dataset: Rows | None, training: bool = False) -> Batches:
        """Return shuffled batches to train on, ordered ones to validate on."""
        runs = self.runs_.runs
        rows: list[Any] = [run.member.train if training else run.member.valid for run in runs]
        orders = [run.order for run in runs]
        given = (rows, orders) if self.runs_.models.is_stack else (rows[0], orders[0])
        return Batches(given[0], self.batch_size, given[1] if training else None)

    # The training.

    def fit_loop(self, X: Rows, y: None = None, epochs: int | None = None, **fit_params: Any) -> "Net":
        """Train; after an interrupt by the user, models keep their completed steps, with a row per full epoch."""
        self.interrupted_, self.captured_ = False, None
        try:
            n_products = largest_product(self.members[0].model, self.batch_size)
            with interrupts().let_through(), threads_for(n_products):
                self._run_epochs(X, **fit_params)
        except StopTraining:
            pass
        except KeyboardInterrupt:
            self.interrupted_ = True
        finally:
            self._close_captured()
        self.runs_.end(self.interrupted_)
        return self

    def _run_epochs(self, X: Rows, **fit_params: Any) -> None:
        """Prepare or resume the training, and run its epochs."""
        first = self.members[0]
        self.noise_ = Generator(self.device).manual_seed(first.seeds[1])
        self.best_: dict[str, float] = {}
        self.n_batches_ = len(self.get_iterator(X, training=True))
        self.step_ = 0
        if first.pause is not None:
            self.noise_.set_state(first.pause.noise)
            self.step_ = len(first.history) * self.n_batches_
        n_done = 0 if self.checkpoint is None else self.checkpoint.restore(self)
        self.looks_back_ = declared(getattr(self.criterion_, "weighting", None), "looks_back")
        self.watched_ = any(
            getattr(type(callback), hook) is not getattr(Callback, hook)
            for _, callback in self.callbacks_
            for hook in BATCH_HOOKS
        )
        self._open_captured()
        with torch.enable_grad():
            super().fit_loop(X, None, self.max_epochs - n_done, **fit_params)

    # Steps.

    def _step(self, batch: Batch, scales: Scales) -> dict[str, Tensor]:
        """Take a step; return the loss, its terms and the weights of labels, from before the step."""
        results, models = [], self.runs_.models

        def closure() -> Tensor:  # an optimiser of the user's own may call it several times
            result = models(batch, scales)
            models.set_gradients(result)
            results.append(_numbers(result))
            if self.watched_:
                named = list(self.get_all_learnable_params())
                self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
            return results[-1]["loss"]

        self.optimizer_.step(closure)
        models.constrain()
        return results[0]

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Take the next step."""
        scales = self.runs_.scales(self.step_, self.n_batches_)
        self.step_ += 1
        if not self.looks_back_:
            return self._step(batch, scales)
        before = self.noise_.get_state()
        step = self._step(batch, scales)
        self._look_back(batch, scales, step, before)
        return step

    def _look_back(self, batch: Batch, scales: Scales, step: dict[str, Tensor], noise: Tensor) -> None:
        """Tell the weighting how a step changed the losses of its batch, with the same draws."""
        after = self.noise_.get_state()
        self.noise_.set_state(noise)
        with torch.no_grad():
            result = self.runs_.models(batch, scales)
        self.noise_.set_state(after)
        self.criterion_.weighting.after_step(step["tasks"], result.means["tasks"], result.labelled)

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Compute the loss of a held-out batch, with schedules at their final values so that epochs are comparable."""
        with torch.no_grad():
            return _numbers(self.runs_.models(batch, self.runs_.scales()))

    # Epochs.

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Callable[..., dict], **fit_params: Any
    ) -> None:
        """Run one epoch; losses stay on the device and are read once, at the end."""
        if iterator is None:
            return
        batches = self.get_iterator(None, training)  # of the members that are left
        self._set_training(training)
        # The same draws for each validation, so that epochs differ only in their weights.
        noise = self.noise_ if training else Generator(self.device).manual_seed(self.members[0].seeds[2])
        draw_from(self.module_, noise)
        if training:
            self._anneal()
        if training and self.captured_ is not None:
            averages = self._repeat(self.captured_, batches)
        else:
            averages = self._run_batches(batches, training, prefix, step_fn, **fit_params)
        self._record_epoch(averages, training, prefix)
        self.history.record(prefix + "_batch_count", len(batches))

    def _anneal(self) -> None:
        """Set the step sizes for the epoch that begins."""
        n_done = len(self.runs_.under_way[0][1].member.history)
        for group in self.optimizer_.param_groups:
            if group.get("annealing"):
                group["lr"] = group["first_lr"] * (1 - group["annealing"] * n_done)
        if isinstance(self.optimizer_, VectorAdamW):
            self.optimizer_.take_rates()

    def _run_batches(
        self, iterator: Any, training: bool, prefix: str, step_fn: Callable[..., dict], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Run the batches of an epoch; return the loss and its terms, averaged over the rows."""
        exact = torch.float32 if str(self.device) == "mps" else torch.float64
        totals: dict[str, Tensor] = {}
        n_rows: int | Tensor = 0
        for batch in iterator:
            if self.watched_:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if self.watched_:
                self.history.record_batch(prefix + "_loss", step["loss"].item())
                self.history.record_batch(prefix + "_batch_size", batch.n_rows)
                self.notify("on_batch_end", batch=batch, training=training, loss=step["loss"], means=step)
            # Sums, not a list: thousands of small tensors between the batches would fragment the memory.
            for name, value in step.items():
                total = totals.get(name)
                if total is None:
                    total = totals[name] = torch.zeros_like(value, dtype=exact)
                add_product(total, value, batch.n_rows)
            n_rows = n_rows + batch.n_rows
        dtype = step["loss"].dtype
        return {name: (total / along(n_rows, total)).to(dtype) for name, total in totals.items()}

    def _open_captured(self) -> None:
        """Let the device repeat the steps of these members if it can; otherwise take them one by one."""
        self._close_captured()
        iterator, n_steps = self.get_iterator(None, training=True), self.n_batches_ * self.max_epochs
        able = self.record_steps and torch.device(self.device).type in RECORDERS and n_steps >= LEAST_STEPS
        if not able or self.watched_ or self.compile or not isinstance(self.optimizer_, VectorAdamW):
            return
        parts = parts_of([self.module_, self.criterion_, *self.runs_.losses])
        able = is_recordable(parts, iterator.even) and (self.device != "cpu" or all(map(is_known, parts)))
        rows = iterator.table() if able else None
        if rows is not None:
            self.captured_ = CapturedStep(self._step, rows, [self.module_, self.criterion_], self.noise_)

    def _close_captured(self) -> None:
        if self.captured_ is not None:
            self.captured_.close()
        self.captured_ = None

    def _repeat(self, captured: CapturedStep, batches: Batches) -> dict[str, Tensor]:
        """Run the batches of an epoch as steps that the device repeats."""
        scheduled = any(callable(loss.beta) for loss in self.runs_.losses)
        ahead = range(len(batches)) if scheduled else [0]
        steps = [self.runs_.scales(self.step_ + step, self.n_batches_) for step in ahead]
        scales = tabulate(steps, len(batches), scheduled)
        learned = [parameter.requires_grad for parameter in self.module_.parameters()]
        averages = captured.run(batches.layout(), scales, [learned, self.optimizer_.numbers()])
        self.step_ += len(batches)
        return averages

    def _record_epoch(self, averages: dict[str, Tensor], training: bool, prefix: str) -> None:
        """Record the results of an epoch, for each member and on average."""
        for name, value in self.runs_.record(averages, training, prefix).items():
            self.history.record(name, value)
        if not self.runs_.models.is_stack and self.members[0].error is not None:
            raise self.members[0].error
        loss, best = self.history[-1, f"{prefix}_loss"], self.best_.get(prefix, np.inf)
        self.history.record(f"{prefix}_loss_best", loss < best)
        self.best_[prefix] = min(loss, best)
        if not self.watched_:
            self.history.new_batch()  # skorch's callbacks look for one
            self.history.record_batch(f"{prefix}_loss", loss)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Notify the callbacks; a callback that interrupts stops the training, unless the user did."""
        if method_name == "on_epoch_end":
            self.runs_.remember_weights()
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            if interrupts().n_pressed:
                raise
            raise StopTraining from stop
        if method_name == "on_epoch_end":
            self._end_epoch()

    def _end_epoch(self) -> None:
        """Continue with the members that have not ended, and stop when none is left."""
        left = self.runs_.end_epoch(self.noise_)
        if not left:
            raise StopTraining
        if 2 * len(left) <= len(self.runs_.runs):
            self.runs_.select(left)
            self.initialize_optimizer()
            self._open_captured()
        if self.checkpoint is not None:
            self.checkpoint.save(self)

    def release(self) -> None:
        """Release the training data, and everything else that only training needs."""
        for member in self.members:
            member.train.release()
        self.members, self.runs_.runs, self.runs_.best_weights, self.checkpoint = (), [], {}, None
        self.optimizer_.state.clear()
        for parameter in (*self.runs_.models.learned.values(), *self.module_.parameters()):
            parameter.grad = None
        self.callbacks = [callback for callback in self.callbacks if not isinstance(callback, EpochHook)]
        self.callbacks_ = [pair for pair in self.callbacks_ if not isinstance(pair[1], EpochHook)]


def _numbers(result: Result) -> dict[str, Tensor]:
    """Return the loss of a batch, its terms and the weights of labels, without gradients."""
    labelled = {} if result.labelled is None else {"labelled": result.labelled}
    return {name: value.detach() for name, value in {"loss": result.loss, **result.means, **labelled}.items()}
