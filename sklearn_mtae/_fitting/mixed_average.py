"""Averages of tasks of several kinds: those of numbers and those of classes beside each other."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._tables.mixed_targets import MixedTasks
from sklearn_mtae.nn.means import at_means
from sklearn_mtae.nn.models import MultiTaskVAE

from .class_average import ClassAverage
from .data import Data
from .fitted import Average, Fitted
from .held_out import HeldOut
from .number_average import NumberAverage


def mixed_average(data: Data, fitted: Fitted) -> "NumberAverage | ClassAverage | MixedAverage":
    """Choose how tasks are averaged and judged; those of one kind as an estimator of that kind does."""
    of_classes = tasks_of(fitted).of_classes
    if not of_classes.any():
        return NumberAverage(data, fitted)
    return ClassAverage(data, fitted) if of_classes.all() else MixedAverage(data, fitted)


def tasks_of(fitted: Fitted) -> MixedTasks:
    """Return the tasks of a model of several kinds of them."""
    assert isinstance(fitted.recipe.tasks, MixedTasks)
    return fitted.recipe.tasks


class MixedAverage:
    """How tasks of several kinds are averaged and judged: each as those of its kind are.

    Both kinds see all tasks, so that positions are the same everywhere: to one a class is the number of its position,
    to the other a number has no label. What either makes of the other's tasks is not used.

    Parameters
    ----------
    data : Data
        What `fit` was called with.
    fitted : Fitted
        What the training has come to.
    """

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
        """Return what is averaged: the mean of each task at the posterior mean, then its class probabilities."""
        z = model.encode(model.fill(x))
        means, probabilities = model.predict(z).unsqueeze(-1), model.predict_log_proba(z).exp()
        return torch.cat([means, probabilities.to(means.dtype)], dim=-1)

    def misses(self, outputs: NDArray, y: NDArray, task: int) -> NDArray:
        """Return what the average of the task's kind is judged by, shape (n_candidates + 1, n_rows)."""
        if self.of_classes[task]:
            return self.classes.misses(outputs[..., 1:], y, task)
        return self.numbers.misses(outputs[..., 0], y, task)

    def loss_of(self, task: int) -> Callable[[NDArray, NDArray], NDArray]:
        """Return what an average of a task is judged by."""
        return self.classes.loss if self.of_classes[task] else self.numbers.loss

    def calibrate(
        self, held_out: HeldOut, run: Callable[..., Any], average: Average, weights: NDArray, outputs: NDArray
    ) -> Average:
        """Learn of rows that the members were not trained on, of each task what is learned of its kind."""
        own = np.where(self.of_classes, 0.0, weights)
        of_numbers = self.numbers.calibrate(held_out, run, average, own, outputs[..., 0])
        labelled = copy(held_out)
        labelled.weight = np.where(self.of_classes, held_out.weight, 0.0)
        of_classes = self.classes.calibrate(labelled, run, average, weights, outputs[..., 1:])
        scores = zip(self.of_classes, of_numbers.scores, of_classes.scores, strict=True)
        return replace(
            of_classes,
            scores=[theirs if is_class else ours for is_class, ours, theirs in scores],
            inflation=np.where(self.of_classes, 1.0, of_numbers.inflation),
        )
