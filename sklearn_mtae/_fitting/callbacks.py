"""scikit-learn's callbacks, told of a fit and of each of its epochs; experimental in 1.9 and absent before it."""

from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks  # type: ignore[attr-defined]
except ImportError:

    class CallbackSupportMixin:
        """Has no callbacks to support."""

    def with_callbacks(method: Callable) -> Callable:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """One fit, seen by the estimator's callbacks.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted; it has callbacks.
    n_epochs : int or None
        Epochs it is to run; None if that is not known.
    fitted_attributes : callable
        Returns the attributes of an estimator fitted as far as the training has come.
    X, y, sample_weight
        As `fit` got them. Where there is no `y`, callbacks that score get `X`.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        n_epochs: int | None,
        fitted_attributes: Callable[[], dict[str, Any]],
        X: Any,
        y: Any,
        sample_weight: Any,
    ) -> None:
        self.estimator = estimator
        self.told = {
            "estimator": estimator,
            "X": X,
            "y": X if y is None else y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
            "reconstruction_attributes": fitted_attributes,
        }
        self.context = estimator._init_callback_context(max_subtasks=n_epochs)  # type: ignore[attr-defined]
        self.context.call_on_fit_task_begin(**{**self.told, "reconstruction_attributes": None})

    def begin_epoch(self, net: Any) -> None:
        """Tell of an epoch that begins."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.told)

    def end_epoch(self, net: Any) -> bool:
        """Tell of an epoch that is done; return whether a callback asks to stop."""
        return self.epoch.call_on_fit_task_end(**self.told)

    def end(self) -> None:
        """Tell of the end of the fit."""
        self.context.call_on_fit_task_end(**self.told)
