"""The skorch net that the estimators hold: its loss and step seams, and an epoch without per-batch bookkeeping."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sklearn_mtae.nn.loss import Result, Scales
from sklearn_mtae.nn.quiet import quiet
from sklearn_mtae.nn.random import draw_from
from sklearn_mtae.nn.traits import declared

from .batches import Batches, add_product, along
from .captured_step import LEAST_STEPS, RECORDERS, StepGraph, is_known, is_recordable, parts_of, tabulate
from .checkpoint import Checkpoint
from .interrupts import interrupts
from .optimizer import VectorAdamW, flatten_parameters
from .rows import Batch, Rows


class StopTraining(KeyboardInterrupt):
    """Ends the training in good order; a `KeyboardInterrupt` is how skorch's callbacks end a fit."""


class EpochHook(Callback):
    """Call a function before and after each epoch; one that returns True after an epoch stops the training.

    Parameters
    ----------
    begin, end : callable
        Take the net.
    """

    def __init__(self, begin: Callable[["Net"], Any], end: Callable[["Net"], bool]) -> None:
        self.begin = begin
        self.end = end

    def on_epoch_begin(self, net: "Net", **kwargs: Any) -> None:
        """Call the first function."""
        self.begin(net)

    def on_epoch_end(self, net: "Net", **kwargs: Any) -> None:
        """Call the second function and obey it."""
        if self.end(net):
            raise StopTraining


class EpochLog(Callback):
    """Print one line an epoch: the loss, its terms and the loss on held-out rows."""

    def on_epoch_end(self, net: "Net", **kwargs: Any) -> None:
        """Print the line."""
        row = net.history[-1]
        terms = [f"{name} {np.sum(value):.5g}" for name, value in row["train_terms"].items()]
        held_out = [f"validation {row['valid_loss']:.5g}"] if "valid_loss" in row else []
        print(", ".join([f"Epoch {row['epoch']}: loss {row['train_loss']:.5g}", *terms, *held_out]))


def early_stopping(patience: int, tol: float) -> EarlyStopping:
    """Return the callback that stops on a stalled validation loss and restores the best weights."""
    return EarlyStopping(
        monitor="valid_loss", patience=patience, threshold=tol, threshold_mode="abs", load_best=True, sink=_silent
    )


def _silent(*args: Any) -> None:
    """Print nothing."""


class Net(NeuralNet):
    """A skorch net over a model of this package and a `Loss`.

    Parameters
    ----------
    *args, **kwargs
        As `skorch.NeuralNet` takes them.
    seeds : tuple of int
        Seeds of the order of the rows, of the draws while training and of those while validating.
    valid_rows : Rows or None, default=None
        Rows held out for validation.
    scheduled : bool, default=True
        Whether schedules run over this fit; where not, they stand at their end.
    checkpoint : Checkpoint or None, default=None
        Where the training is written after each epoch, and taken up if it was.
    record_steps : bool, default=True
        Whether a device that can repeat a recorded step by itself does so.
    """

    def __init__(
        self,
        *args: Any,
        seeds: tuple[int, int, int] = (0, 1, 2),
        valid_rows: Rows | None = None,
        scheduled: bool = True,
        checkpoint: Checkpoint | None = None,
        record_steps: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.seeds = seeds
        self.valid_rows = valid_rows
        self.scheduled = scheduled
        self.checkpoint = checkpoint
        self.record_steps = record_steps

    def get_default_callbacks(self) -> list:
        """Return none: what skorch's would record and print comes from the epoch's own sums."""
        return []

    def torch_compile(self, module: nn.Module, name: str) -> nn.Module:
        """Compile the model where that is asked for; the loss is a handful of sums."""
        if name != "module":
            return module
        with quiet("`torch.jit"):  # torch's own compiler uses what torch has deprecated
            return super().torch_compile(module, name)

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "Net":
        """Lay the parameters out as two vectors, weights that decay and the others, or as one if no weight decays."""
        parameters = [p for _, p in super().get_all_learnable_params() if p.requires_grad]
        decays = "param_groups" in self.get_params_for("optimizer")
        hidden = {id(p) for p in self.module_.hidden_weights()} if decays else set()
        groups = {
            "decayed": [p for p in parameters if id(p) in hidden],
            "free": [p for p in parameters if id(p) not in hidden],
        }
        self.vectors_ = {name: flatten_parameters(group) for name, group in groups.items() if group}
        return super().initialize_optimizer()

    def get_all_learnable_params(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the vectors that all learnable parameters are views of."""
        yield from self.vectors_.items()

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        # In place: a gradient set to None would no longer be a view of the vector's.
        for vector in self.vectors_.values():
            assert vector.grad is not None
            vector.grad.zero_()

    def get_split_datasets(self, X: Rows, y: None = None, **fit_params: Any) -> tuple[Rows, Rows | None]:
        """Return the rows to train on and those held out."""
        return X, self.valid_rows

    def get_iterator(self, dataset: Rows, training: bool = False) -> Batches:
        """Return shuffled batches to train on, ordered ones to validate on."""
        return Batches(dataset, self.batch_size, self.order_ if training else None)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Notify the callbacks; one that interrupts has stopped the training, if the user has not."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as stop:
            if interrupts().n_pressed:
                raise
            raise StopTraining from stop
        if method_name == "on_epoch_end" and self.checkpoint is not None:
            self.checkpoint.save(self)

    def stopping(self) -> list[EarlyStopping]:
        """Return the callbacks that stop early."""
        return [callback for _, callback in self.callbacks_ if isinstance(callback, EarlyStopping)]

    def fit_loop(self, X: Rows, y: None = None, epochs: int | None = None, **fit_params: Any) -> "Net":
        """Train; an interrupt by the user leaves the model of the steps done."""
        self.interrupted_, self.graph_ = False, None
        try:
            interrupts().let_through()
            self._run_epochs(X, y, epochs, **fit_params)
        except StopTraining:
            pass
        except KeyboardInterrupt:
            self.interrupted_ = True
        finally:
            interrupts().hold()
            self._close_graph()
        return self

    def _run_epochs(self, X: Rows, y: None, epochs: int | None, **fit_params: Any) -> None:
        """Prepare the training, or take it up where it was left, and run its epochs."""
        self.order_ = torch.Generator().manual_seed(self.seeds[0])
        self.noise_ = torch.Generator(self.device).manual_seed(self.seeds[1])
        self.best_: dict[str, float] = {}
        self.rows_: Rows | None = X
        self.step_ = 0
        epochs = self.max_epochs if epochs is None else epochs
        self.n_steps_ = len(self.get_iterator(X, training=True)) * epochs
        epochs -= 0 if self.checkpoint is None else self.checkpoint.restore(self)
        self.looks_back_ = declared(getattr(self.criterion_, "weighting", None), "looks_back")
        self.watched_ = any(self._watches_batches(callback) for _, callback in self.callbacks_)
        self.graph_ = self._open_graph(self.get_iterator(X, training=True))
        with torch.enable_grad():
            super().fit_loop(X, y, epochs, **fit_params)

    @staticmethod
    def _watches_batches(callback: Callback) -> bool:
        hooks = ("on_batch_begin", "on_batch_end", "on_grad_computed")
        return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in hooks)

    def run_single_epoch(
        self, iterator: Batches | None, training: bool, prefix: str, step_fn: Callable[..., dict], **fit_params: Any
    ) -> None:
        """Run one epoch; losses stay on the device and are read once, at its end."""
        if iterator is None:
            return
        self._set_training(training)
        draw_from(self.module_, self.noise_ if training else self._validation_noise())
        averages = self._run_batches(iterator, training, prefix, step_fn, **fit_params)
        self._record_epoch(averages, training, prefix)
        self.history.record(prefix + "_batch_count", len(iterator))

    def _run_batches(
        self, iterator: Batches, training: bool, prefix: str, step_fn: Callable[..., dict], **fit_params: Any
    ) -> dict[str, torch.Tensor]:
        """Run the batches of an epoch; return the averages over its rows of the loss and its terms."""
        if training and self.graph_ is not None:
            return self._repeat(self.graph_, iterator)
        exact = torch.float32 if str(self.device) == "mps" else torch.float64
        totals: dict[str, torch.Tensor] = {}
        n_rows: int | torch.Tensor = 0
        for batch in iterator:
            if self.watched_:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if self.watched_:
                self.history.record_batch(prefix + "_loss", step["loss"].item())
                self.history.record_batch(prefix + "_batch_size", batch.n_rows)
                self.notify("on_batch_end", batch=batch, training=training, **step)
            # Sums, not a list: thousands of small tensors between the batches would splinter the memory.
            for name, value in {"loss": step["loss"], **step["means"]}.items():
                total = totals.get(name)
                if total is None:
                    total = totals[name] = torch.zeros_like(value, dtype=exact)
                add_product(total, value, batch.n_rows)
            n_rows = n_rows + batch.n_rows
        dtype = step["loss"].dtype
        return {name: (total / along(n_rows, total)).to(dtype) for name, total in totals.items()}

    def _open_graph(self, iterator: Batches) -> StepGraph | None:
        """Return what repeats the steps of a training on these batches; None where they are taken one by one."""
        able = self.record_steps and torch.device(self.device).type in RECORDERS and self.n_steps_ >= LEAST_STEPS
        if not able or self.watched_ or self.compile or not isinstance(self.optimizer_, VectorAdamW):
            return None
        parts = parts_of([self.module_, self.criterion_, *self._losses()])
        able = is_recordable(parts, iterator.even) and (self.device != "cpu" or all(map(is_known, parts)))
        rows = iterator.table() if able else None
        return None if rows is None else StepGraph(self._take, rows, [self.module_, self.criterion_], self.noise_)

    def _close_graph(self) -> None:
        if self.graph_ is not None:
            self.graph_.close()
        self.graph_ = None

    def _repeat(self, graph: StepGraph, iterator: Batches) -> dict[str, torch.Tensor]:
        """Run the batches of an epoch as steps that the device repeats."""
        scheduled = any(callable(loss.beta) for loss in self._losses())
        ahead = range(len(iterator)) if scheduled else [0]
        scales = tabulate([self._scales(self._progress(step)) for step in ahead], len(iterator), scheduled)
        learned = [parameter.requires_grad for parameter in self.module_.parameters()]
        averages = graph.run(iterator.layout(), scales, [learned, self.optimizer_.numbers()])
        self.step_ += len(iterator)
        return averages

    def _take(self, batch: Batch, scales: Scales) -> dict[str, torch.Tensor]:
        """Take a step; return the loss and its terms."""
        self._zero_grad_optimizer()
        result = self._evaluate(batch, scales)
        self._backward(result)
        self.optimizer_.step()
        self._constrain()
        step = self._record(result)
        return {"loss": step["loss"], **step["means"]}

    def _losses(self) -> list[Any]:
        """Return the losses in use."""
        return [self.criterion_]

    def _record_epoch(self, averages: dict[str, torch.Tensor], training: bool, prefix: str) -> None:
        """Record what an epoch came to."""
        labelled = averages.pop("labelled", None)
        means: dict[str, Any] = {name: average.tolist() for name, average in averages.items()}
        self._check_finite(means, prefix)
        if training and "tasks" in means:
            weights = self.criterion_.weighting.end_epoch(averages["tasks"], labelled)
            self.history.record("task_weights", weights.tolist())
        loss = means.pop("loss")
        self.history.record(prefix + "_loss_best", loss < self.best_.get(prefix, np.inf))
        self.best_[prefix] = min(loss, self.best_.get(prefix, np.inf))
        self.history.record(prefix + "_loss", loss)
        if not self.watched_:
            self.history.new_batch()  # skorch's callbacks look for one
            self.history.record_batch(prefix + "_loss", loss)
        self.history.record(prefix + "_terms", means)

    def _check_finite(self, means: dict[str, Any], prefix: str) -> None:
        if not np.isfinite(means["loss"]):
            raise self._not_finite(means, prefix, self.lr)

    def _not_finite(self, means: dict[str, Any], prefix: str, learning_rate: float) -> ValueError:
        """Return the error that says which term ceased to be finite."""
        term = next((name for name, value in means.items() if name != "loss" and not np.isfinite(value).all()), "loss")
        return ValueError(
            f"The loss must stay finite. It became {means['loss']} in epoch {len(self.history)} ({prefix} rows, term "
            f"{term!r}). Lower learning_rate_init (now {learning_rate:g}), or look for extreme values in the data."
        )

    def release(self) -> None:
        """Let go of the training data."""
        self.valid_rows = self.rows_ = self.checkpoint = None
        self.optimizer_.state.clear()
        for parameter in (*self.vectors_.values(), *self.module_.parameters()):
            parameter.grad = None
        self.callbacks = [callback for callback in self.callbacks if not isinstance(callback, EpochHook)]
        self.callbacks_ = [pair for pair in self.callbacks_ if not isinstance(pair[1], EpochHook)]

    def _validation_noise(self) -> torch.Generator:
        """Return the same draws for each epoch's validation, so that epochs differ by their weights alone."""
        return torch.Generator(self.device).manual_seed(self.seeds[2])

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimiser and put what it moved too far back in range."""
        if self.looks_back_:
            return self._step_and_look_back(batch, **fit_params)
        return self._step(batch, **fit_params)

    def _step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        if self.watched_ or not isinstance(self.optimizer_, VectorAdamW):
            step = super().train_step(batch, **fit_params)
        else:
            self._zero_grad_optimizer()
            step = self.train_step_single(batch, **fit_params)
            self.optimizer_.step()
        self._constrain()
        return step

    def _constrain(self) -> None:
        self.module_.constrain()
        self.criterion_.constrain()

    def _step_and_look_back(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Take a step and tell the weighting what it did to the losses of the same batch, by the same draws."""
        before, scales = self.noise_.get_state(), self._scales(self._progress())
        step = self._step(batch, **fit_params)
        after = self.noise_.get_state()
        self.noise_.set_state(before)
        with torch.no_grad():
            result = self._evaluate(batch, scales)
        self.noise_.set_state(after)
        self.criterion_.weighting.after_step(step["means"]["tasks"], result.means["tasks"], result.labelled)
        return step

    def _progress(self, ahead: int = 0) -> float:
        """Return the part of the training that is done; schedules stand at their end where they do not run."""
        return (self.step_ + ahead) / self.n_steps_ if self.scheduled else 1.0

    def _scales(self, progress: float) -> Scales:
        return self.criterion_.scales(progress)

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of a batch and its gradients."""
        result = self._evaluate(batch, self._scales(self._progress()))
        self._backward(result)
        self.step_ += 1
        return self._record(result)

    def _backward(self, result: Result) -> None:
        self.criterion_.backward(result, self.module_)

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Any]:
        """Compute the loss of a held-out batch, schedules at their end so that epochs compare."""
        with torch.no_grad():
            return self._record(self._evaluate(batch, self._scales(1.0)))

    @staticmethod
    def _record(result: Result) -> dict[str, Any]:
        """Return what is kept of a step."""
        labelled = {} if result.labelled is None else {"labelled": result.labelled.detach()}
        return {
            "loss": result.loss.detach(),
            "means": {name: mean.detach() for name, mean in result.means.items()} | labelled,
        }

    def _evaluate(self, batch: Batch, scales: Scales) -> Result:
        batch = batch.each(self.criterion_.views)
        output = self.module_(batch.x, batch.y, batch.complete, self.criterion_.n_draws)
        return self.criterion_(self.module_, output, batch.weight, batch.label_weight, scales)
