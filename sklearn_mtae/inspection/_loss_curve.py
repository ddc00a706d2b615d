"""The course of the loss."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, product
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_mtae._fitting.build_loss import build_loss
from sklearn_mtae._fitting.plan import count_batch_rows
from sklearn_mtae.nn import words

from ._common import GREY, PALETTE, check_can, label_ends, last_step, many_axes, pyplot, short

MOST_TASKS = 12
"""Number of tasks up to which each has its own colour."""
TIMES = "\u00d7"
MOST_STEPS = 50
"""Number of steps per epoch at which the weights are evaluated."""
TASK = "task:"


class LossCurveDisplay:
    """Draw the loss of each epoch, and each of its terms.

    The terms are drawn times their weights, so that they sum to the loss. A weight other than 1 is named at the line. A
    weight that changes, like that of the rate with `beta="linear"`, explains a rising loss: the rate counts for more
    and more. The held-out loss has the final weights.

    If there are tasks, loss, terms and tasks have separate axes, because losses of tasks differ in size from that of
    all features together. Among the terms, "all tasks" is the tasks' contribution to the loss; each task's own line is
    its loss per label, before its weight. More than 12 tasks are drawn as thin grey lines.

    Parameters
    ----------
    loss : sequence of float
        Loss of each epoch, in nats per row.
    terms : dict of str to sequence of float, or None, default=None
        Terms of the loss by name; those of tasks start with "task:".
    validation_loss : sequence of float or None, default=None
        Loss of the held-out rows.
    weights : dict of str to float or sequence of float, or None, default=None
        Weight of each term, throughout or in each epoch; a term that is not named has weight 1.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
        The figure.
    axes_ : ndarray of matplotlib.axes.Axes
        The axes: one, or those of the loss, the terms and the tasks.
    lines_ : dict of str to matplotlib.lines.Line2D
        The lines: "loss", "held-out loss" and each term by its name.

    See Also
    --------
    TaskTransferDisplay : Whether joint training helps the tasks.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_mtae import VAETransformer
    >>> from sklearn_mtae.inspection import LossCurveDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> vae = VAETransformer(n_components=2, hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X)
    >>> list(LossCurveDisplay.from_estimator(vae).lines_)
    ['loss', 'distortion', 'rate']
    """

    figure_: Any
    axes_: NDArray
    lines_: dict[str, Any]

    def __init__(
        self,
        *,
        loss: Sequence[float],
        terms: Mapping[str, Sequence[float]] | None = None,
        validation_loss: Sequence[float] | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.loss = loss
        self.terms = terms
        self.validation_loss = validation_loss
        self.weights = weights

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves of a fitted estimator.

        The weights of the terms follow from the parameters of its last fit. A rate is drawn in full, even if
        `free_bits` leaves part of it out of the loss.

        Parameters
        ----------
        estimator : estimator
            A fitted autoencoder of this package, or a pipeline that ends in one.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: one for all curves, or three if there are tasks; None makes a figure.
        **kwargs : dict
            Further options of `plot`.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the estimator has no curves, or the number of `ax` does not fit.
        ImportError
            If matplotlib is not installed.
        """
        pyplot()
        final = last_step(estimator)[1]
        check_can(final)
        if not hasattr(final, "term_curves_"):
            raise ValueError(
                f"estimator must be an autoencoder of this package, or end in one. Got {words.short(final)} instead."
            )
        held_out = [-score for score in final.validation_scores_]
        curves = {"loss": final.loss_curve_, "terms": final.term_curves_, "validation_loss": held_out}
        return cls(**curves, weights=_weights(final)).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: one for all curves, or three if there are tasks; None makes a figure.
        **kwargs : dict
            Further options of `matplotlib.axes.Axes.plot`.

        Returns
        -------
        LossCurveDisplay
            The display.

        Raises
        ------
        ValueError
            If the number of `ax` does not fit.
        ImportError
            If matplotlib is not installed.
        """
        terms, tasks = self._weighted_terms()
        losses = {"loss": self.loss, "held-out loss": [] if self.validation_loss is None else self.validation_loss}
        self.axes_ = self._make_axes(ax, bool(tasks))
        self.figure_ = self.axes_[0].figure
        self.lines_ = {}
        main, middle, last = self.axes_[[0, 0, 0] if len(self.axes_) == 1 else [0, 1, 2]]
        for (name, curve), line in zip(losses.items(), ("-", "--"), strict=True):
            if len(curve):
                style = {"label": name, "color": "black", "linestyle": line, "linewidth": 2, "zorder": 3}
                self._draw(main, name, curve, style, kwargs)
        looks = cycle(product(("-", "--", ":"), PALETTE[:-2]))  # black is the loss
        for axes, curves in ((middle, terms), (last, tasks)):
            for (name, curve), own in zip(curves.items(), _styles(curves, looks), strict=True):
                own["label"] += _named(self._weight(name))
                self._draw(axes, name, curve, own, kwargs)
        self._finish()
        return self

    def _weight(self, name: str) -> NDArray:
        return np.asarray(1.0 if self.weights is None else self.weights.get(name, 1.0), dtype=float)

    def _weighted_terms(self) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
        """Return the terms times their weights, including the sum of all tasks, and the losses of single tasks."""
        curves = {name: np.asarray(curve, dtype=float) for name, curve in (self.terms or {}).items()}
        tasks = {name: curve for name, curve in curves.items() if name.startswith(TASK)}
        terms = {name: curve * self._weight(name) for name, curve in curves.items() if name not in tasks}
        if tasks:
            terms["all tasks"] = np.asarray(self.loss) - sum(terms.values())
        return terms, tasks

    def _make_axes(self, ax: Any, with_tasks: bool) -> NDArray:
        if not with_tasks or (ax is not None and np.ndim(ax) == 0):
            return many_axes(ax, 1, 6.0, 3.8)
        axes = many_axes(ax, 3, 3.2, 3.0, beside=1)
        for panel, title in zip(axes, ("loss", "terms, times their weights", "tasks, per label"), strict=True):
            panel.set_title(title, fontsize="medium")
        return axes

    def _draw(
        self, axes: Any, name: str, curve: Sequence[float] | NDArray, style: dict[str, Any], options: dict[str, Any]
    ) -> None:
        marker = "o" if len(curve) == 1 else ""  # one epoch makes no line
        (self.lines_[name],) = axes.plot(range(1, len(curve) + 1), curve, **{"marker": marker, **style, **options})

    def _finish(self) -> None:
        for axes in self.axes_:
            axes.set(xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.spines[["top", "right"]].set_visible(False)
            label_ends(axes, {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")})
        self.axes_[0].set_ylabel("nats per row")


def _weights(estimator: Any) -> dict[str, NDArray]:
    """Return the weight of each term, except tasks, in each epoch: the mean over its steps, and over members."""
    fitted = estimator._fitted
    recipe = replace(estimator._recipe(), columns=fitted.recipe.columns, tasks=fitted.recipe.tasks)
    members = zip(fitted.settings, fitted.loss_states, strict=True)
    losses = [
        (own := recipe.of_member(setting), build_loss(own, estimator.module_, state)) for setting, state in members
    ]
    # A continued fit has no schedule, or one that is no longer known.
    scheduled = not any(fitted.optimizer_states)
    return {
        name: np.mean([_weight_by_epoch(name, *both, fitted, scheduled) for both in losses], axis=0)
        for name in fitted.term_curves
        if not name.startswith(TASK)
    }


def _weight_by_epoch(name: str, recipe: Any, loss: Any, fitted: Any, scheduled: bool) -> NDArray:
    """Return the weight of a term in each epoch."""
    if not (scheduled and callable(loss.beta) and name in loss.rates):
        return np.full(fitted.n_iter, _weight_at(name, loss, 1.0))
    n_steps = min(MOST_STEPS, -(-fitted.n_rows // count_batch_rows(recipe, fitted.n_rows)))
    progress = np.arange(fitted.n_iter * n_steps) / (n_steps * recipe.max_iter)
    weights = [_weight_at(name, loss, step) for step in np.minimum(progress, 1).tolist()]
    return np.reshape(weights, (fitted.n_iter, n_steps)).mean(axis=1)


def _weight_at(name: str, loss: Any, progress: float) -> float:
    """Return the weight of a term at a progress of the training from 0 to 1."""
    scales = loss.scales(progress)
    weights = {"penalty": scales.penalty, "similarity": 1.0, "consistency": loss.consistency}
    weights |= dict.fromkeys(loss.rates, scales.rate)
    return float(weights.get(name, scales.distortion)) * loss.own_weights.get(name, 1.0)


def _named(weight: NDArray) -> str:
    """Name a weight beside a term, unless it is always 1."""
    first, last = weight.flat[0], weight.flat[-1]
    if weight.min() == weight.max():
        return "" if first == 1 else f" {TIMES} {first:.2g}"
    return f" {TIMES} {first:.2g} to {last:.2g}"


def _styles(curves: Mapping[str, Any], looks: Iterator[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the style of each curve; many tasks share a style and a label."""
    crowd = sum(name.startswith(TASK) for name in curves)
    for number, name in enumerate(curves):
        if crowd > MOST_TASKS:
            label = "_" if number else f"{crowd} tasks"
            yield {"color": GREY, "linewidth": 0.7, "label": label, "zorder": 1.5}
        else:
            line, colour = next(looks)
            yield {"color": colour, "linestyle": line, "label": short(name.replace(TASK, "task ", 1))}
