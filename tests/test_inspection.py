"""Displays: what is drawn are the numbers, and it can be read."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.inspection import TaskTransferDisplay
from sklearn_mtae.model_selection import TransferReport


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def report_of(n_tasks):
    rng = np.random.default_rng(0)
    gain, margin = rng.normal(size=n_tasks), rng.random(n_tasks)
    names = [f"a task of number {task}" for task in range(n_tasks)]
    advice = np.where(gain > 0, "share", "train alone")
    columns = {"gain": gain, "gain_low": gain - margin, "gain_high": gain + 2 * margin, "advice": advice}
    tables = rng.uniform(-1, 1, size=(2, n_tasks, n_tasks))
    return TransferReport(pd.DataFrame(columns, index=names), {}, gain[None], *tables, names, "rmse")


def test_display_shows_the_numbers(plt):
    report = report_of(4)
    display = TaskTransferDisplay.from_report(report)
    gains, conflict, affinity = display.axes_
    drawn = {}
    for container in gains.containers:
        line, _, (bars,) = container.lines
        for x, row, bar in zip(*line.get_data(), bars.get_segments(), strict=True):
            drawn[int(row)] = (x, *bar[:, 0], container.get_label())
    for row, (_, task) in enumerate(report.frame.iterrows()):
        assert drawn[row] == pytest.approx(tuple(task[["gain", "gain_low", "gain_high", "advice"]]))
    np.testing.assert_array_equal(conflict.images[0].get_array(), report.conflict)
    np.testing.assert_array_equal(affinity.images[0].get_array(), report.affinity)
    assert [label.get_text() for label in conflict.get_xticklabels()] == report.task_names
    assert len(conflict.texts) == 16
    assert float(conflict.texts[1].get_text()) == pytest.approx(report.conflict[0, 1], abs=0.005)


@pytest.mark.parametrize("n_tasks", [2, 12, 30])
def test_labels_of_the_display_do_not_overlap(plt, n_tasks):
    display = TaskTransferDisplay(report=report_of(n_tasks)).plot()
    display.figure_.draw_without_rendering()
    boxes = []
    for axes in display.axes_:
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.title, *axes.texts]
        labels += axes.get_legend().get_texts() if axes.get_legend() else []
        boxes += [label.get_window_extent() for label in labels if label.get_text()]
    for i, box in enumerate(boxes):
        assert not any(box.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9)) for other in boxes[i + 1 :])
    assert len(display.axes_[1].texts) == (n_tasks**2 if n_tasks <= 12 else 0)


def test_display_draws_where_it_is_told(plt, table):
    small = MultiTaskVAERegressor(2, hidden_layer_sizes=(6,), max_iter=2)
    figure, axes = plt.subplots(1, 3)
    display = TaskTransferDisplay.from_estimator(small, *table, cv=KFold(2), ax=axes, random_state=0)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    with pytest.raises(ValueError, match="ax must hold three axes"):
        display.plot(ax=axes[:2])


def test_display_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sklearn-mtae\[plot\]"):
        TaskTransferDisplay.from_report(report_of(2))
