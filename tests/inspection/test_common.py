"""Displays: what they share, and the one of a report on the tasks: the numbers are drawn, and can be read."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.inspection import (
    LatentDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    SampleDisplay,
    TaskTransferDisplay,
    TraversalDisplay,
)
from sklearn_mtae.inspection._common import spread
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


def assert_readable(figure):
    """No two texts of a figure lie over each other, and none reaches out of it."""
    figure.draw_without_rendering()
    labels = [text for text in (figure._suptitle, figure._supxlabel, figure._supylabel) if text]
    for axes in figure.axes:
        labels += [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
        labels += axes.get_legend().get_texts() if axes.get_legend() else []
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            labels += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = [label.get_window_extent() for label in labels if label.get_text() and label.get_visible()]
    for i, box in enumerate(boxes):
        assert figure.bbox.padded(1).containsx(box.x0)
        assert figure.bbox.padded(1).containsx(box.x1)
        assert not any(box.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9)) for other in boxes[i + 1 :])


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
    assert_readable(display.figure_)
    assert len(display.axes_[1].texts) == (n_tasks**2 if n_tasks <= 12 else 0)


def test_display_draws_where_it_is_told(plt, table):
    small = MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(6,), max_iter=2)
    figure, axes = plt.subplots(1, 3)
    display = TaskTransferDisplay.from_estimator(small, *table, cv=KFold(2), ax=axes, random_state=0)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    with pytest.raises(ValueError, match="ax must hold three axes"):
        display.plot(ax=axes[:2])


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True, as_frame=True)
    return X, np.array(["Barolo", "Grignolino", "Barbera"], dtype=object)[y]


FROM_ROWS = [LatentDisplay, ReconstructionDisplay, SampleDisplay, TraversalDisplay]
SMALL = {"n_components": 3, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def test_labels_of_the_other_displays_do_not_overlap(plt, wine):
    X, y = wine
    tasks = MultiTaskVAERegressor(n_estimators=1, **SMALL, early_stopping=True).fit(X, X[["hue", "alcohol", "ash"]])
    vae = VAETransformer(**SMALL).fit(X)
    for display in FROM_ROWS:
        assert_readable(display.from_estimator(vae, X).figure_)
    assert_readable(LatentDisplay.from_estimator(vae, X, y).figure_)
    assert_readable(LatentDisplay.from_estimator(vae, X, X["alcohol"].where(X["hue"] > 1)).figure_)
    assert_readable(TraversalDisplay.from_estimator(vae, X, components=[0]).figure_)
    assert_readable(TraversalDisplay.from_estimator(vae, X, image_shape=(1, 13)).figure_)
    assert_readable(ReconstructionDisplay.from_estimator(vae, X, features=[0]).figure_)
    assert_readable(ReconstructionDisplay.from_estimator(vae, X, image_shape=(13, 1)).figure_)
    assert_readable(SampleDisplay.from_estimator(vae, X, features=["od280/od315_of_diluted_wines"]).figure_)
    assert_readable(LossCurveDisplay.from_estimator(vae).figure_)
    assert_readable(LossCurveDisplay.from_estimator(tasks).figure_)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0.5], [0.5]),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([1.0, 0.98], [1.0, 0.9]),
        ([0.0, 0.01, 0.9], [0.0, 0.1, 0.9]),
    ],
)
def test_names_move_apart(places, expected):
    np.testing.assert_allclose(spread(np.array(places), 0.1), expected)


def test_labels_of_classes_do_not_overlap(plt):
    rng = np.random.default_rng(0)
    towns = {f"a town of number {n}": n for n in (2, 6, 20)}
    frame = pd.DataFrame({name: rng.choice([f"district {i}" for i in range(n)], 90) for name, n in towns.items()})
    assert_readable(SampleDisplay(real=frame, drawn=frame).plot().figure_)
    assert_readable(ReconstructionDisplay(original=frame, reconstruction=frame[::-1]).plot().figure_)
    for name in towns:
        assert_readable(LatentDisplay(codes=rng.normal(size=(90, 2)), y=frame[name]).plot().figure_)


@pytest.mark.parametrize("display", FROM_ROWS)
def test_displays_need_a_fitted_estimator(plt, display, wine):
    with pytest.raises(NotFittedError):
        display.from_estimator(VAETransformer(), wine[0])
    with pytest.raises(NotFittedError):
        display.from_estimator(make_pipeline(StandardScaler(), VAETransformer()), wine[0])
    with pytest.raises(ValueError, match=r"estimator must have the method '\w+'. Got"):
        display.from_estimator(make_pipeline(StandardScaler(), KFold()), wine[0])


def test_curves_need_a_fitted_estimator(plt):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(VAETransformer())


def test_displays_draw_where_they_are_told(plt, wine):
    vae = VAETransformer(**SMALL).fit(wine[0])
    figure, axes = plt.subplots(2, 2)
    LatentDisplay.from_estimator(vae, wine[0], wine[1], ax=axes[0, 0])
    LossCurveDisplay.from_estimator(vae, ax=axes[0, 1])
    ReconstructionDisplay.from_estimator(vae, wine[0], features=["ash"], ax=axes[1, 0])
    SampleDisplay.from_estimator(vae, wine[0], image_shape=(1, 13), ax=axes[1, 1])
    figure.draw_without_rendering()
    assert all(panel.has_data() for panel in axes.flat)
    assert plt.get_fignums() == [figure.number]


DRAWN = [
    LatentDisplay(codes=np.zeros((3, 2))),
    LossCurveDisplay(loss=[1.0, 2.0]),
    ReconstructionDisplay(original=np.zeros((3, 2)), reconstruction=np.zeros((3, 2))),
    SampleDisplay(drawn=np.zeros((3, 2)), real=np.zeros((3, 2))),
    TaskTransferDisplay(report=report_of(2)),
    TraversalDisplay(values=np.zeros((1, 2)), decoded=np.zeros((1, 2, 3))),
]


@pytest.mark.parametrize("display", DRAWN, ids=lambda display: type(display).__name__)
def test_display_without_matplotlib(monkeypatch, display, wine):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sklearn-mtae\[plot\]"):
        display.plot()
    if isinstance(display, LossCurveDisplay):
        rows = ()
    else:
        rows = (wine[0], wine[0]) if isinstance(display, TaskTransferDisplay) else (wine[0],)
    with pytest.raises(ImportError, match=r"sklearn-mtae\[plot\]"):
        type(display).from_estimator(VAETransformer(), *rows)
