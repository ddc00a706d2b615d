"""Baselines that members must beat to count: label means, ridge regressions of the targets, and kernels.

Networks learn linear relations slowly, and with few rows they learn them badly; and they are smooth, where nearby rows
may know more. Ridge regressions with several penalties, on the columns and with a kernel, are candidates of an average
like any other, with the weight that the held-out rows give them. Where rows come in groups, one regression with random
intercepts takes the place of the linear ones: see `group_effects`.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_mtae._engine.devices import threads_for
from sklearn_mtae._tables.row_index import Chosen, evenly
from sklearn_mtae.nn.models import MultiTaskVAE

from .build import task_limits
from .censored import expect, limited_tasks
from .fitted import Baseline, Fitted
from .group_effects import Effects, effect_ratio, mixed_regressions
from .held_out import HeldOut
from .kernel import (
    N_KERNELS,
    Neighbours,
    NumberKernel,
    NumberKernelLearner,
    choose_rows,
    kernel_inputs,
    run_kernel,
    run_trials,
)
from .learn_novelty import learn_novelty
from .plan import Plan
from .run import ModelRunner

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties of squared slopes, per unit of weight and in the units of the columns. Infinity gives the mean."""
MOST_ROWS = 50_000
"""Maximum number of rows that a regression learns from, evenly spaced."""
N_ESTIMATES = 2
"""Number of times that the effects of groups are estimated, each time from the regressions with the last ones."""


class Columns(NamedTuple):
    """The function that computes the inputs of regressions, or their predictions given slopes.

    The inputs are the columns as the encoder gets them, with outliers drawn in.
    """

    slopes: NDArray | None = None
    """Slopes of the tasks, shape (n_columns, n_tasks)."""

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the result, shape (n_rows, n_columns) or (n_rows, n_tasks)."""
        columns = kernel_inputs(model, x)
        return columns if self.slopes is None else on_lines(columns, self.slopes)


class LinesAndKernel(NamedTuple):
    """The function that computes the sum of linear predictions and those of a kernel."""

    slopes: NDArray
    """Slopes of the tasks, shape (n_columns, n_tasks)."""
    kernel: NumberKernel
    """The kernel."""

    def __call__(self, model: MultiTaskVAE, x: Tensor) -> Tensor:
        """Return the sum, shape (n_rows, n_tasks)."""
        columns = kernel_inputs(model, x)
        return on_lines(columns, self.slopes) + self.kernel.add_up(columns)

    @property
    def neighbours(self) -> Neighbours:
        """Those of the kernel."""
        return self.kernel.neighbours


class Baselines:
    """The means of the labels, and ridge regressions of the tasks that may be any number: linear ones, then kernels.

    Parameters
    ----------
    runner : ModelRunner
        The runner of the models, the first of which has the units of the columns.
    plan : Plan
        The fit.
    start : Baseline
        The means of the labels.
    units : ndarray of shape (n_tasks,)
        The unit of each task.
    has_kernels : bool
        Whether there are kernels.
    """

    def __init__(
        self, runner: ModelRunner, plan: Plan, start: Baseline, units: NDArray, has_kernels: bool = False
    ) -> None:
        data = plan.data
        assert data.y is not None
        self.runner, self.plan, self.data, self.y = runner, plan, data, data.y
        self.start, self.units = start, units
        self.run = partial(runner.apply, dtype=np.float64, precise=True, cached=False)
        """What runs functions that are fitted to some rows on others."""
        limits = [own for _, own in task_limits(runner.fitted)]
        self.is_unbounded = np.all([np.isinf(own.low) & np.isinf(own.high) for own in limits], axis=0)
        self.is_unbounded &= ~runner.fitted.of_classes
        self.ratios = np.zeros(len(units))
        """Variances of the effects of groups on the tasks, in units of those within groups."""
        self.n_regressions = len(PENALTIES) if data.groups is None or data.censoring is not None else 1
        known = np.asarray(data.taking_part) if has_kernels else np.zeros(0, dtype=int)
        weight = self._kernel_weight(known)
        self.is_near = weight.any(axis=0)
        """Which tasks have kernels."""
        self.near_rows = choose_rows(known, weight)
        """Index of the rows that kernels learn from."""

    def predict(self, held_out: HeldOut) -> NDArray:
        """Predict rows with baselines that were not fitted to them, shape (n_baselines, n_rows, n_tasks)."""
        predicted = self._predict(held_out)
        for _ in range(0 if self.data.groups is None else N_ESTIMATES):
            last, self.ratios = self.ratios, self._effect_ratios(held_out, predicted)
            if (last == self.ratios).all():
                break
            predicted = self._predict(held_out)
        return np.concatenate([predicted, self._near(held_out)]) if len(self.near_rows) else predicted

    def _near(self, held_out: HeldOut) -> NDArray:
        """Predict the rows with kernels, shape (n_kernels, n_rows, n_tasks)."""
        rows = self.near_rows
        y = (self.y[rows] - self.start.intercepts) / self.units
        run = partial(run_trials, self.run)
        self.kernels = NumberKernelLearner(self._columns(rows), y, self._kernel_weight(rows))
        found = held_out.by_others(rows, self.plan.splits, self.kernels.fit, run, (len(self.units), N_KERNELS))
        return self.start.intercepts + self.units * np.moveaxis(found, -1, 0)

    def _kernel_weight(self, rows: NDArray) -> NDArray:
        """Return the weights of the labels of rows that kernels learn; they have no way to learn from limits."""
        weight = np.where(self.is_unbounded, self.data.label_weights(rows), 0.0)
        weight[:, list(limited_tasks(self.data.censoring))] = 0.0
        return weight

    def _effect_ratios(self, held_out: HeldOut, predicted: NDArray) -> NDArray:
        """Return the ratios of variances that the errors of each task's best baseline have."""
        ratios, groups = np.zeros(len(self.units)), self.data.groups
        limited = list(limited_tasks(held_out.censoring))
        for task in np.setdiff1d(np.flatnonzero(self.is_unbounded), limited):
            known = held_out.weight[:, task] > 0
            if known.any():
                weight = held_out.weight[known, task]
                away = (held_out.given[known, task] - predicted[:, known, task]) / self.units[task]
                best = away[(away**2 @ weight).argmin()]
                ratios[task] = effect_ratio(best, groups[held_out.rows[known]], weight)  # type: ignore[index]
        return ratios

    def _predict(self, held_out: HeldOut) -> NDArray:
        """Predict the rows, given the ratios."""
        total = np.zeros((self.n_regressions, *held_out.y.shape))
        counts = np.zeros(len(held_out.y))
        # Members of different settings have the same splits.
        first = {id(split): k for k, split in reversed(list(enumerate(self.plan.splits)))}
        for k in sorted(first.values()):
            at = held_out.positions[k]
            if len(at):
                slopes, intercepts = self._fit(np.asarray(self.plan.splits[k][0]))
                total[:, at] += self._columns(held_out.rows[at]) @ slopes + intercepts[:, None]
                counts[at] += 1
        of_ridges = self.start.intercepts + self.units * total / np.maximum(counts, 1)[:, None]
        return np.concatenate([np.broadcast_to(self.start.intercepts, (1, *held_out.y.shape)), of_ridges])

    def settle(self, shares: NDArray, held_out: HeldOut, rest: NDArray) -> tuple[Baseline, NDArray | float]:
        """Return the baseline of each task, fitted to all rows, and its deviations for the held-out ones.

        Parameters
        ----------
        shares : ndarray of shape (n_baselines, n_tasks)
            Shares of the mean, of each linear regression and of each kernel.
        held_out : HeldOut
            The held-out rows.
        rest : ndarray of shape (n_rows, n_tasks)
            The predictions for them.
        """
        is_fitted = shares[0] < 1
        if not is_fitted.any():
            return self.start, self.start.deviations
        learned = learn_novelty(self.plan, held_out, self._columns, self.run, rest, self.start, self.units, is_fitted)
        baseline = replace(self._fit_all(shares), deviations=learned.deviations, novelty=learned.novelty)
        return baseline, learned.of_held_out

    def _fit_all(self, shares: NDArray) -> Baseline:
        """Return the baseline of each task, fitted to all rows."""
        slopes, intercepts = self._fit(np.asarray(self.data.taking_part))
        linear, near = np.split(shares[1:], [self.n_regressions])
        # Beside classes with more baselines, the mean is repeated at the end.
        near = np.where(self.is_near, near[:N_KERNELS], 0.0)
        start, kernel = np.einsum("kt,kt->t", linear, intercepts), None
        if near.any():
            trials = self.kernels.fit(np.ones(len(self.near_rows), dtype=bool))
            kernel = trials.mixed(near)
            start = start + kernel.weights * trials.means
        slopes = np.einsum("kt,kct->ct", linear, slopes)
        return replace(self.start, intercepts=self.start.intercepts + self.units * start, slopes=slopes, kernel=kernel)

    def _fit(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Return slopes, shape (n_regressions, n_columns, n_tasks), and intercepts, in the units of the tasks."""
        rows = evenly(rows, MOST_ROWS)
        y = (self.y[rows] - self.start.intercepts) / self.units
        columns, weight = self._columns(rows), np.where(self.is_unbounded, self.data.label_weights(rows), 0.0)
        if self.data.groups is None:
            slopes, intercepts = ridge(columns, y, weight)
        else:
            found = mixed_regressions(columns, y, weight, Effects(self.data.groups[rows], self.ratios))
            slopes, intercepts = (np.stack([own] * self.n_regressions) for own in found)
        codes = None if self.data.censoring is None else self.data.censoring[rows]
        for task in limited_tasks(codes):
            if codes is not None and weight[:, task].any():
                own = y[:, task], codes[:, task], weight[:, task]
                slopes[:, :, task], intercepts[:, task] = ridge_on_limits(columns, *own)
        return slopes, intercepts

    def _columns(self, rows: NDArray) -> NDArray:
        """Return the inputs of regressions for rows."""
        return self.runner.apply(Columns(), Chosen(self.data.x, rows), dtype=np.float64)


def on_lines(columns: Tensor, slopes: NDArray) -> Tensor:
    """Return linear predictions without intercepts, shape (n_rows, n_tasks)."""
    return columns @ torch.from_numpy(slopes).to(columns)


def predict_baseline(runner: ModelRunner, x: Any) -> NDArray:
    """Return the baselines' predictions for rows, shape (n_rows, n_tasks) or (n_tasks,)."""
    baseline, function = runner.fitted.average.baseline, regression_of(runner.fitted.average.baseline)
    if function is None:
        return np.asarray(baseline.intercepts)
    if isinstance(function, Columns):
        predicted = runner.apply(function, x, dtype=np.float64)
    else:
        predicted = run_kernel(runner.apply, function, x)
    return baseline.intercepts + task_units(runner.fitted) * predicted


def baseline_deviations(runner: ModelRunner, x: Any, predicted: NDArray) -> NDArray | float:
    """Return the deviations of labels from the baselines' predictions, shape (n_rows, n_tasks) or (n_tasks,)."""
    baseline = runner.fitted.average.baseline
    if baseline.novelty is None:
        return baseline.deviations
    novelty = run_kernel(runner.apply, baseline.novelty, x)
    return baseline.novelty.widened(np.asarray(baseline.deviations), novelty, predicted, task_units(runner.fitted))


def regression_of(baseline: Baseline) -> Columns | LinesAndKernel | None:
    """Return the function that computes what a baseline adds to its intercepts, in the units of the tasks."""
    if baseline.slopes is None:
        return None
    return Columns(baseline.slopes) if baseline.kernel is None else LinesAndKernel(baseline.slopes, baseline.kernel)


def task_units(fitted: Fitted) -> NDArray:
    """Return the units of the tasks, shape (n_tasks,): in others, the squares of small numbers would underflow."""
    return fitted.states[0]["task_units.scale"]


def ridge(x: NDArray, y: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Return the slopes and intercepts of ridge regressions of targets on columns, with each of the penalties.

    They minimise `sum of weight * (y - x @ slope - intercept)^2 + sum of weight * penalty * sum of slope^2`. A target
    without a label has neither slopes nor an intercept.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Columns.
    y, weight : ndarray of shape (n_rows, n_tasks)
        Labels and their weights; labels of weight zero may be NaN.

    Returns
    -------
    slopes : ndarray of shape (n_penalties, n_columns, n_tasks)
        Slopes.
    intercepts : ndarray of shape (n_penalties, n_tasks)
        Intercepts.
    """
    slopes, intercepts = (np.zeros((len(PENALTIES), *shape, y.shape[1])) for shape in ((x.shape[1],), ()))
    patterns, pattern_of = np.unique(weight, axis=1, return_inverse=True)
    for pattern, own in enumerate(patterns.T):
        if own.any():
            tasks = np.flatnonzero(pattern_of == pattern)
            known = own > 0
            found = _ridge(*(torch.from_numpy(part) for part in (x[known], y[np.ix_(known, tasks)], own[known])))
            slopes[:, :, tasks], intercepts[:, tasks] = (part.numpy() for part in found)
    return slopes, intercepts


def ridge_on_limits(x: NDArray, y: NDArray, codes: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Return the slopes and the intercepts of ridge regressions of a target, some labels of which are limits.

    Each is fitted to the expectations of the true values that agree with it: a penalised Tobit model.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Columns.
    y, codes, weight : ndarray of shape (n_rows,)
        Labels, which of them are limits, and their weights; labels of weight zero may be NaN.
    """
    counted = weight > 0
    system = System(*(torch.from_numpy(part[counted]) for part in (x, weight)))

    def solve(values: NDArray) -> tuple[NDArray, NDArray]:
        slopes, intercepts = system.solve(torch.from_numpy(np.ascontiguousarray(values)).unsqueeze(-1))
        return slopes.numpy()[..., 0], intercepts.numpy()[..., 0]

    def predict(values: NDArray) -> NDArray:
        slopes, intercepts = solve(values)
        return slopes @ x[counted].T + intercepts[:, None]

    known, _, _ = expect(y[counted], codes[counted], weight[counted], predict)
    return solve(known.mean)


def _ridge(x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes and intercepts of targets that have the same weights."""
    return System(x, weight).solve(y)


class System:
    """The equations of ridge regressions with each of the penalties, for any targets of the same rows.

    Parameters
    ----------
    x : Tensor of shape (n_rows, n_columns)
        Columns.
    weight : Tensor of shape (n_rows,)
        Weights of the rows.
    """

    def __init__(self, x: Tensor, weight: Tensor) -> None:
        self.share = weight / weight.sum()
        self.mean = self.share @ x
        self.root = self.share.sqrt()[:, None]
        x = (x - self.mean) * self.root
        self.size = x.numel() * min(x.shape)
        with threads_for(self.size):
            self.turn = torch.linalg.svd(x, full_matrices=False)[2].T if len(x) < x.shape[1] else None
            self.x = x if self.turn is None else x @ self.turn  # as many columns as rows can distinguish
            gram = self.x.T @ self.x
            penalties = torch.tensor(PENALTIES, dtype=x.dtype)[:, None, None] * torch.eye(len(gram), dtype=x.dtype)
            self.factor = torch.linalg.cholesky(gram + penalties)

    def solve(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return slopes and intercepts of targets, shape (n_rows, n_tasks), or with an axis for penalties before it."""
        mean = self.share @ y
        y = (y - mean.unsqueeze(-2)) * self.root
        with threads_for(self.size):
            product = self.x.T @ y
            slopes = torch.cholesky_solve(product.expand(len(PENALTIES), *product.shape[-2:]), self.factor)
            slopes = slopes if self.turn is None else self.turn @ slopes
        return slopes, mean - self.mean @ slopes
