"""The content of a report on the tasks, from the scores of each fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sklearn_mtae._tables.classes import observed_labels
from sklearn_mtae._tables.targets import target_columns, task_names
from sklearn_mtae.metrics import METRICS

from ._conflicts import MIN_OVERLAP, Transfer, label_overlap

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False, repr=False)
class TransferReport:
    """The result of :func:`transfer_report`: a table of the tasks, and the numbers behind it.

    Parameters
    ----------
    frame : pandas.DataFrame of n_tasks rows
        One row per task, by name: `n_labels`; the mean score of each model; `gain`, the mean gain of "joint" over
        "alone"; `gain_low` and `gain_high`, its 95 % confidence interval; `certain`, whether this excludes 0; and
        `advice`: "share" if the gain is more than its standard error above 0, otherwise "train alone", which is
        simpler, and "unknown" if no split has a gain. With one split there is no error, and the gain itself decides.
    scores : dict of str to ndarray of shape (n_splits, n_tasks)
        Scores of each model; NaN where a part has too few labels to score.
    gains : ndarray of shape (n_splits, n_tasks)
        Gains of "joint" over "alone": for an error the reduction, relative to alone's mean error over the splits; for a
        score the difference.
    conflict : ndarray of shape (n_tasks, n_tasks)
        Mean cosine between the gradients of two tasks: 1 if they pull the shared parameters in the same direction,
        below 0 if they pull against each other. NaN if they share less than 30 % of their labelled rows (see
        `overlap`): the gradients then differ because of the rows, and even those of one task on two halves of its rows
        are far from alike.
    affinity : ndarray of shape (n_tasks, n_tasks)
        [i, j]: by how many nats per label the loss of task j falls after a small step for task i only.
    task_names : list of str
        Names of the tasks.
    scoring : str
        Name of the score.
    overlap : ndarray of shape (n_tasks, n_tasks) or None, default=None
        Rows that have labels of both tasks, as a share of the labelled rows of the task with fewer.
    unscored : sequence of tuple, default=()
        Scores that are NaN, and why: model, position of the split, name of the task, reason.

    See Also
    --------
    transfer_report : Make a report.
    sklearn_mtae.inspection.TaskTransferDisplay : Draw a report.
    """

    frame: Any
    scores: dict[str, NDArray]
    gains: NDArray
    conflict: NDArray
    affinity: NDArray
    task_names: list[str]
    scoring: str
    overlap: NDArray | None = None
    unscored: Sequence[tuple[str, int, str, str]] = ()

    def __repr__(self) -> str:
        lines = [f"TransferReport(scoring={self.scoring!r})", self.frame.to_string()]
        if self.overlap is not None and (self.overlap < MIN_OVERLAP).any():
            lines.append(
                f"Cosines are left out where two tasks share less than {MIN_OVERLAP:.0%} of their labelled rows: "
                "gradients over different rows differ whatever the tasks."
            )
        return "\n".join([*lines, *without_scores(self.unscored, len(self.gains))])


def without_scores(unscored: Sequence[tuple[str, int, str, str]], n_splits: int) -> list[str]:
    """Return a line for each task with a missing score."""
    lines = []
    for task in dict.fromkeys(name for _, _, name, _ in unscored):
        own = [(model, split, reason) for model, split, name, reason in unscored if name == task]
        models, splits, reasons = (list(dict.fromkeys(part)) for part in zip(*own, strict=True))
        words = f"no score of {', '.join(models)} in {len(splits)} of {n_splits} splits"
        lines.append(f"Task {task!r} has {words}: {'; '.join(reasons)}.")
    return lines


def make_report(
    pandas: ModuleType,
    scores: dict[str, NDArray],
    Y: Any,
    splits: list,
    transfer: Transfer,
    scoring: str,
    unscored: list[tuple[str, int, str, str]],
) -> TransferReport:
    """Return the table and what it is made from."""
    names = task_names(Y)
    overlap = label_overlap(np.stack([observed_labels(column)[0] for column in target_columns(Y)], axis=1))
    conflict = np.where(overlap >= MIN_OVERLAP, transfer.conflict, np.nan)
    gains = _gains(scores["alone"], scores["joint"], METRICS[scoring].greater_is_better)
    n_train, n_test = (sum(map(len, rows)) for rows in zip(*splits, strict=True))
    mean, error, margin = _interval(gains, n_test / n_train)
    columns = {
        "n_labels": [int(observed_labels(column)[0].sum()) for column in target_columns(Y)],
        **{name: _means(scores[name]) for name in ["alone", "pooled", "joint", "baseline"] if name in scores},
        "gain": mean,
        "gain_low": mean - margin,
        "gain_high": mean + margin,
        "certain": np.abs(mean) > margin,
        "advice": _advice(mean, error),
    }
    frame = pandas.DataFrame(columns, index=pandas.Index(names, name="task"))
    return TransferReport(
        frame, scores, gains, conflict, transfer.affinity, names, scoring, overlap=overlap, unscored=unscored
    )


def _advice(gain: NDArray, error: NDArray) -> NDArray:
    """Advise on each task: a gain within its standard error is no reason to couple tasks."""
    helps = gain > np.where(np.isnan(error), 0.0, error)
    return np.where(np.isnan(gain), "unknown", np.where(helps, "share", "train alone"))


def _gains(alone: NDArray, joint: NDArray, greater_is_better: bool) -> NDArray:
    if greater_is_better:
        return joint - alone
    # Relative to the mean of all splits: a split with a tiny error would otherwise dominate the mean gain.
    mean = _means(alone)
    return (alone - joint) / np.where(mean > 0, mean, np.nan)


def _means(values: NDArray) -> NDArray:
    """Return the mean of each column over values that are not NaN; NaN if there are none."""
    present = ~np.isnan(values)
    n_present = present.sum(0)
    sums = np.where(present, values, 0.0).sum(0)
    return np.divide(sums, n_present, out=np.full(len(sums), np.nan), where=n_present > 0)


def _interval(gains: NDArray, test_per_train: float) -> tuple[NDArray, NDArray, NDArray]:
    """Return mean, standard error and margin of each task's gain, NaN if there are too few splits."""
    n_splits = (~np.isnan(gains)).sum(0)
    mean = _means(gains)
    freedom = np.where(n_splits > 1, n_splits - 1, np.nan)
    squares = np.where(np.isnan(gains), 0.0, (gains - mean) ** 2).sum(0)
    variance = squares / freedom * (1 / np.maximum(n_splits, 1) + test_per_train)
    return mean, np.sqrt(variance), stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance)
