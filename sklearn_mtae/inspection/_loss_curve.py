"""How the loss fell."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_mtae.nn import words

from ._common import GREY, OUTSIDE, PALETTE, check_can, last_step, many_axes, pyplot, short

MOST_TASKS = 12
"""Tasks up to which each has its own colour."""
MOST_INSIDE = 5
"""Entries up to which a legend finds room inside the axes."""
TASK = "task:"


class LossCurveDisplay:
    """Draw the loss of each epoch, and each of its terms.

    A term is drawn as it is before its weight: terms need not sum to the loss. Where there are tasks, which are of
    another size than what all features together lose, loss, terms and tasks have axes of their own. More than 12 tasks
    are thin grey lines.

    Parameters
    ----------
    loss : sequence of float
        Loss of each epoch, in nats per row.
    terms : dict of str to sequence of float, or None, default=None
        Terms of the loss by name; those of tasks start with "task:".
    validation_loss : sequence of float or None, default=None
        Loss of the rows held out.

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
    TaskTransferDisplay : Whether it helps the tasks to be learned together.

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
    ) -> None:
        self.loss = loss
        self.terms = terms
        self.validation_loss = validation_loss

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted autoencoder of this package, or a pipeline that ends in one.
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: one for all curves, or three where there are tasks; None makes a figure.
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
        return cls(loss=final.loss_curve_, terms=final.term_curves_, validation_loss=held_out).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, array-like of them or None, default=None
            Where to draw: one for all curves, or three where there are tasks; None makes a figure.
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
        terms = dict(self.terms or {})
        tasks = {name: terms.pop(name) for name in list(terms) if name.startswith(TASK)}
        losses = {"loss": self.loss, "held-out loss": [] if self.validation_loss is None else self.validation_loss}
        self.axes_ = self._make_axes(ax, bool(tasks))
        self.figure_ = self.axes_[0].figure
        self.lines_ = {}
        main, middle, last = self.axes_[[0, 0, 0] if len(self.axes_) == 1 else [0, 1, 2]]
        for (name, curve), line in zip(losses.items(), ("-", "--"), strict=True):
            if len(curve):
                self._draw(
                    main, name, curve, {"color": "black", "linestyle": line, "linewidth": 2, "zorder": 3}, kwargs
                )
        looks = cycle(product(("-", "--", ":"), PALETTE[:-2]))  # black is the loss
        for axes, curves in ((middle, terms), (last, tasks)):
            for (name, curve), own in zip(curves.items(), _styles(curves, looks), strict=True):
                self._draw(axes, name, curve, own, kwargs)
        self._finish()
        return self

    def _make_axes(self, ax: Any, with_tasks: bool) -> NDArray:
        if not with_tasks or (ax is not None and np.ndim(ax) == 0):
            return many_axes(ax, 1, 6.0, 3.8)
        axes = many_axes(ax, 3, 3.2, 3.0, beside=1)
        for panel, title in zip(axes, ("loss", "terms, before their weights", "tasks"), strict=True):
            panel.set_title(title, fontsize="medium")
        return axes

    def _draw(
        self, axes: Any, name: str, curve: Sequence[float], style: dict[str, Any], options: dict[str, Any]
    ) -> None:
        marker = "o" if len(curve) == 1 else ""  # one epoch makes no line
        style = {"label": name, "marker": marker, **style, **options}
        (self.lines_[name],) = axes.plot(range(1, len(curve) + 1), curve, **style)

    def _finish(self) -> None:
        for axes in self.axes_:
            axes.set(xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            n_entries = len(axes.get_legend_handles_labels()[1])
            if n_entries:
                axes.legend(**({"loc": "best", "frameon": False} if n_entries <= MOST_INSIDE else OUTSIDE))
        self.axes_[0].set_ylabel("nats per row")


def _styles(curves: Mapping[str, Any], looks: Iterator[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield how each curve looks; many tasks share a look and a label."""
    crowd = sum(name.startswith(TASK) for name in curves)
    for number, name in enumerate(curves):
        if crowd > MOST_TASKS:
            label = "_" if number else f"{crowd} tasks"
            yield {"color": GREY, "linewidth": 0.7, "label": label, "zorder": 1.5}
        else:
            line, colour = next(looks)
            yield {"color": colour, "linestyle": line, "label": short(name.replace(TASK, "task ", 1))}
