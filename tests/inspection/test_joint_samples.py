"""The display of joint draws: what is drawn are the numbers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae.inspection import JointSamplesDisplay

plt = pytest.importorskip("matplotlib.pyplot")
SMALL = {"n_components": 2, "hidden_layer_sizes": (), "n_estimators": 4, "validation_fraction": 0.25, "max_iter": 3}
SMALL |= {"member_params": None, "random_state": 0}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(80, 3))


@pytest.fixture(scope="module")
def Y(X):
    shared = np.random.default_rng(1).normal(size=(80, 1))
    return pd.DataFrame(X + shared, columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def model(X, Y):
    return MultiTaskVAERegressor(**SMALL).fit(X, Y)


@pytest.fixture(scope="module")
def mixed(X, Y):
    labels = pd.DataFrame(
        {
            "size": pd.cut(Y["a"], [-99, -1, 1, 99], labels=["small", "middle", "large"]),
            "number": Y["b"],
            "yes": Y["c"] > 0,
        }
    )
    return MultiTaskVAE(**SMALL).fit(X, labels)


def points_of(artist):
    return np.asarray(artist.get_offsets())


def test_points_and_steps_are_the_draws(X, Y, model):
    known = Y[:1].assign(b=None, c=None)
    display = JointSamplesDisplay.from_estimator(model, X[:1], known, n_samples=200, random_state=3)
    drawn = [model.predict_samples(X[:1], 200, own, random_state=3)[:, 0] for own in (None, known)]
    for row, column in ((1, 0), (2, 0), (2, 1)):
        for layer in (0, 1):
            points = points_of(display.artists_[row, column, layer])
            np.testing.assert_array_equal(points, drawn[layer][:, [column, row]])
    for task in range(3):
        for layer in (0, 1) if task else (0,):
            shares, edges, _ = display.artists_[task, task, layer].get_data()
            np.testing.assert_allclose(shares, np.histogram(drawn[layer][:, task], edges)[0] / 200)
            assert shares.sum() == pytest.approx(1)
    # The label that is known is a line, with no steps and no axes above the diagonal.
    assert display.artists_[0, 0, 1] is None
    assert display.axes_[0, 1] is None
    value = Y["a"][0]
    assert [line.get_xdata() for line in display.axes_[2, 0].lines] == [[value, value]]
    assert display.axes_[2, 1].lines[:] == []
    assert [text.get_text() for text in display.axes_[0, 0].get_legend().get_texts()] == ["before", "after", "known"]
    assert display.axes_[2, 1].get_xlabel() == "b"
    assert [display.axes_[row, 0].get_ylabel() for row in range(3)] == ["", "b", "c"]


def test_without_a_known_label_there_is_one_layer(X, Y, model):
    for known in (None, Y[:1] * np.nan):
        display = JointSamplesDisplay.from_estimator(model, X[:1], known, tasks=["c", 0], n_samples=50, random_state=0)
        drawn = model.predict_samples(X[:1], 50, random_state=0)[:, 0]
        np.testing.assert_array_equal(points_of(display.artists_[1, 0, 0]), drawn[:, [2, 0]])
        assert display.artists_[1, 0, 1] is None
        assert [text.get_text() for text in display.axes_[0, 0].get_legend().get_texts()] == ["drawn"]


def test_a_pipeline_sees_the_row_through_its_steps(X, Y):
    pipeline = make_pipeline(StandardScaler(), MultiTaskVAERegressor(**SMALL)).fit(10 * X + 5, Y)
    display = JointSamplesDisplay.from_estimator(pipeline, 10 * X[:1] + 5, n_samples=20, random_state=0)
    scaled = StandardScaler().fit(10 * X + 5).transform(10 * X[:1] + 5)
    expected = pipeline[-1].predict_samples(scaled, 20, random_state=0)[:, 0]
    np.testing.assert_array_equal(display.before, expected)


def test_classes_stand_in_their_order_and_are_spread(X, mixed):
    known = pd.DataFrame({"size": ["large"], "number": [None], "yes": [None]})
    display = JointSamplesDisplay.from_estimator(mixed, X[:1], known, n_samples=300, random_state=0)
    sizes, numbers, _ = mixed.predict_samples(X[:1], 300, random_state=0)[:, 0].T
    places = pd.Series(sizes).map({"small": 0, "middle": 1, "large": 2}).to_numpy()
    across, up = points_of(display.artists_[1, 0, 0]).T
    np.testing.assert_array_equal(np.round(across), places)
    assert 0.2 < np.abs(across - places).max() < 0.5
    np.testing.assert_array_equal(up, numbers.astype(float))
    shares = display.artists_[0, 0, 0].get_data().values
    np.testing.assert_allclose(shares, [(sizes == name).mean() for name in ("small", "middle", "large")])
    assert display.axes_[1, 0].lines[0].get_xdata() == [2, 2]
    assert [label.get_text() for label in display.axes_[2, 0].get_xticklabels()] == ["small", "middle", "large"]
    assert [label.get_text() for label in display.axes_[2, 0].get_yticklabels()] == ["False", "True"]


def test_classes_of_numbers_are_classes(X, Y):
    classifier = MultiTaskVAEClassifier(**SMALL).fit(X, np.where(Y > 0, 7, 2))
    display = JointSamplesDisplay.from_estimator(classifier, X[:1], [[7, None, None]], n_samples=50, random_state=0)
    drawn = classifier.predict_samples(X[:1], 50, random_state=0)[:, 0]
    np.testing.assert_array_equal(
        display.artists_[2, 2, 0].get_data().values, [(drawn[:, 2] == k).mean() for k in (2, 7)]
    )
    assert [label.get_text() for label in display.axes_[2, 2].get_xticklabels()] == ["2", "7"]


def test_counts_have_a_step_each():
    rng = np.random.default_rng(0)
    draws = np.column_stack([rng.poisson(2, 400), rng.normal(size=400)])
    display = JointSamplesDisplay(before=draws, task_names=["visits", "price"]).plot()
    shares, edges, _ = display.artists_[0, 0, 0].get_data()
    np.testing.assert_array_equal(edges, np.arange(draws[:, 0].max() + 2) - 0.5)
    np.testing.assert_allclose(shares, np.bincount(draws[:, 0].astype(int)) / 400)
    across, up = points_of(display.artists_[1, 0, 0]).T
    np.testing.assert_array_equal(np.round(across), draws[:, 0])
    assert np.ptp(across - draws[:, 0]) > 0.2
    np.testing.assert_array_equal(up, draws[:, 1])


def test_a_task_without_spread_can_be_drawn():
    display = JointSamplesDisplay(before=np.column_stack([np.full(30, 2.5), np.arange(30) / 7])).plot()
    low, high = display.axes_[1, 0].get_xlim()
    assert low < 2.5 < high
    assert display.artists_[0, 0, 0].get_data().values.sum() == pytest.approx(1)


def test_axes_of_ones_own(X, model):
    grid = plt.subplots(2, 2)[1]
    display = JointSamplesDisplay.from_estimator(model, X[:1], tasks=[0, 1], ax=grid, n_samples=5, s=9)
    assert display.axes_[1, 0] is grid[1, 0]
    np.testing.assert_array_equal(display.artists_[1, 0, 0].get_sizes(), [9])
    with pytest.raises(ValueError, match=r"ax must hold axes of shape \(3, 3\)"):
        JointSamplesDisplay.from_estimator(model, X[:1], ax=grid, n_samples=5)


def test_the_first_six_of_many_tasks(X):
    draws = np.random.default_rng(0).normal(size=(80, 7))
    display = JointSamplesDisplay.from_estimator(MultiTaskVAERegressor(**SMALL).fit(X, draws), X[:1], n_samples=5)
    assert display.task_names == [f"y{task}" for task in range(6)]
    with pytest.raises(ValueError, match="tasks must be 2 to 6 different ones"):
        JointSamplesDisplay(before=draws).plot()
    assert JointSamplesDisplay(before=draws[:, :6]).plot().axes_.shape == (6, 6)


def test_what_cannot_be_drawn(X, Y, model):
    draw = JointSamplesDisplay.from_estimator
    for rows, shape in ((X[:2], r"\(2, 3\)"), (X[0], r"\(3,\)"), (X[:0], r"\(0, 3\)")):
        with pytest.raises(ValueError, match=rf"X must be one row, such as X\[:1\].*Got shape {shape}"):
            draw(model, rows)
    for tasks in (["a"], "a", ["a", 0], []):
        with pytest.raises(ValueError, match="tasks must be 2 to 6 different ones"):
            draw(model, X[:1], tasks=tasks)
    with pytest.raises(ValueError, match=r"tasks must be a task or its position. Got 'd'"):
        draw(model, X[:1], tasks=["a", "d"])
    with pytest.raises(ValueError, match=r"y_observed must be one row of labels.*Got shape \(2, 3\)"):
        draw(model, X[:1], Y[:2])
    with pytest.raises(ValueError, match=r"y_observed must be one row of labels.*Got shape \(3,\)"):
        draw(model, X[:1], [1.0, None, None])
    with pytest.raises(ValueError, match="estimator must have the method 'predict_samples'"):
        draw(PCA(2).fit(X), X[:1])
    with pytest.raises(ValueError, match="n_samples == 0, must be >= 1"):
        draw(model, X[:1], n_samples=0)
    with pytest.raises(ValueError, match="tasks must be 2 to 6"):
        draw(MultiTaskVAERegressor(**SMALL).fit(X, Y["a"]), X[:1])
    single = MultiTaskVAERegressor(**{**SMALL, "n_estimators": 1}).fit(X, Y)
    with pytest.raises(ValueError, match="predict_samples needs rows that were held out"):
        draw(single, X[:1])
