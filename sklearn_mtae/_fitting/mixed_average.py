"""Averages of tasks of several kinds: numbers and classes side by side."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae.nn.means import at_means
from sklearn_mtae.nn.models import MultiTaskVAE

from .baseline import task_units
from .choice import Choice
from .class_average import LEAST_PROBABILITY, ClassAverage, average_log_probabilities, settle_probabilities
from .data import Data
from .fitted import Average, Fitted
from .held_out import HeldOut
from .number_average import N_DRAWS, NumberAverage, Spread, moments, predict_average, settle_numbers
from .plan import Plan
from .predictions import Predictions, only_classes
from .run import ModelRunner


def mixed_average(data: Data, fitted: Fitted) -> "NumberAverage | ClassAverage | MixedAverage":
    """Choose how tasks are averaged and scored; tasks of one kind as in an estimator of that kind."""
    of_classes = tasks_of(fitted).of_classes
    if not of_classes.any():
        return NumberAverage(data, fitted)
    return ClassAverage(data, fitted) if of_classes.all() else MixedAverage(data, fitted)


def tasks_of(fitted: Fitted) -> MixedTasks:
    """Return the tasks of a model with several kinds of tasks."""
    assert isinstance(fitted.recipe.tasks, MixedTasks)
    return fitted.recipe.tasks


class MixedAverage:
    """Averaging and scoring of tasks of several kinds, each according to its kind.

    Both kinds see all tasks, so that positions are the same everywhere: for numbers, a class is its position; for
    classes, a number has no label. The results of either kind for tasks of the other are not used.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        The result of the training.
    """

    n_parts = NumberAverage.n_parts

    def __init__(self, data: Data, fitted: Fitted) -> None:
        assert data.y is not None
        self.of_classes = tasks_of(fitted).of_classes
        self.numbers = NumberAverage(data, fitted)
        self.classes = ClassAverage(data._replace(y=np.where(self.of_classes, data.y, np.nan)), fitted)
        self.varies = np.where(self.of_classes, self.classes.varies, self.numbers.varies)
        """Whether there is anything to choose for a task."""
        self.start = replace(self.numbers.start, base_rates=self.classes.start.base_rates)

    @staticmethod
    @at_means
    def output(model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the outputs to average: the mean of each task at the posterior mean, then its class probabilities."""
        z = model.encode(model.fill(x))
        means, probabilities = model.predict(z).unsqueeze(-1), model.predict_log_proba(z).exp()
        return torch.cat([means, probabilities.to(means.dtype)], dim=-1)

    def baselines(self, plan: Plan, held_out: HeldOut, runner: ModelRunner) -> NDArray:
        """Predict the held-out rows with the baselines of both kinds of tasks."""
        of_numbers = self.numbers.baselines(plan, held_out, runner)[..., None]
        of_classes = self.classes.baselines(plan, held_out, runner)
        # The kind with fewer baselines repeats its constant.
        n = max(len(of_numbers), len(of_classes))
        return np.concatenate([_lengthened(of_numbers, n), _lengthened(of_classes, n)], axis=-1)

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return the errors that score the average of the task's kind, shape (n_outputs, n_rows)."""
        if self.of_classes[task]:
            return self.classes.misses(outputs[..., 1:], y, task)
        return self.numbers.misses(outputs[..., 0], y, task)

    def loss_of(self, task: int) -> Callable[[NDArray, NDArray], NDArray]:
        """Return the loss of an average of a task."""
        return self.classes.loss if self.of_classes[task] else self.numbers.loss

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, choice: Choice, outputs: NDArray
    ) -> tuple[Average, Predictions]:
        """Calibrate each task according to its kind, on rows that the members were not trained on."""
        constant = np.eye(len(outputs))[:, [len(held_out.candidates)]]
        own = choice.where(~self.of_classes, constant)
        of_numbers, predicted = self.numbers.calibrate(held_out, run, average, own, outputs[..., 0])
        labelled = copy(held_out)
        labelled.weight = np.where(self.of_classes, held_out.weight, 0.0)
        of_classes, of_labels = self.classes.calibrate(
            labelled, run, of_numbers, choice.where(self.of_classes, constant), outputs[..., 1:]
        )
        scores = zip(self.of_classes, of_numbers.scores, of_classes.scores, strict=True)
        average = replace(
            of_classes,
            scores=[theirs if is_class else ours for is_class, ours, theirs in scores],
            inflation=np.where(self.of_classes, 1.0, of_numbers.inflation),
        )
        return average, predicted._replace(log_probabilities=of_labels.log_probabilities)


def _lengthened(baselines: NDArray, n: int) -> NDArray:
    """Return a number of baselines, repeating the first one at the end if there are fewer."""
    return np.concatenate([baselines, np.repeat(baselines[:1], n - len(baselines), axis=0)])


@dataclass(frozen=True)  # a named tuple would be equal to other functions of a seed
class SpreadAndClasses:
    """The function that computes a model's mean, standard deviation and class probabilities of each task."""

    seed: int

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return them, shape (n_rows, n_tasks, 2 + n_classes)."""
        outputs = MixedAverage.output(model, x)
        both = Spread(self.seed)(model, x).movedim(-2, -1)
        return torch.cat([both.to(outputs.dtype), outputs[..., 1:]], dim=-1)


def predict_tasks(runner: ModelRunner, x: Any, return_std: bool = False) -> Predictions:
    """Predict tasks of all kinds, running the members once; deviations are not yet inflated."""
    fitted, of_classes = runner.fitted, tasks_of(runner.fitted).of_classes
    if not of_classes.any():
        return Predictions(*predict_average(runner, x, return_std), None)
    if of_classes.all():
        return only_classes(average_log_probabilities(runner, x))
    counted, weights = fitted.counted_states()
    n_numbers = 1 + return_std
    if len(counted) == 0:  # no member is better than the baselines
        n_classes = max(map(len, fitted.average.base_rates))
        columns = np.zeros((x.shape[0], len(of_classes), n_numbers + n_classes))
    else:
        function = SpreadAndClasses(fitted.seed) if return_std else MixedAverage.output
        options = {"n_draws": N_DRAWS if return_std else 1, "states": tuple(counted.tolist())}
        finish = partial(_mixed, fitted, weights, return_std)
        columns = runner.apply(function, x, dtype=np.float64, finish=finish, **options)
    means, stds = settle_numbers(runner, x, np.moveaxis(columns[..., :n_numbers], -1, 0))
    logs = np.log(np.maximum(columns[..., n_numbers:], LEAST_PROBABILITY))
    return Predictions(means, stds, settle_probabilities(runner, x, logs))


def _mixed(fitted: Fitted, weights: NDArray, has_stds: bool, outputs: NDArray) -> NDArray:
    """Mix the members' results for rows, shape (n_rows, n_tasks, ...): those for numbers, then probabilities."""
    own = outputs.astype(np.float64, copy=False).swapaxes(0, 1)
    if has_stds:
        numbers = moments(weights, own[..., 0], own[..., 1], task_units(fitted))
    else:
        numbers = np.einsum("kt,knt->nt", weights, own[..., 0])[None]
    probabilities = np.einsum("kt,kntc->ntc", weights, own[..., len(numbers) :])
    return np.concatenate([np.moveaxis(numbers, 0, -1), probabilities], axis=-1)
