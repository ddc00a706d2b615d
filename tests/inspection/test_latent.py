"""Displays of codes and of the loss: what is drawn are the numbers."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.inspection import LatentDisplay, LossCurveDisplay, TraversalDisplay
from sklearn_mtae.inspection._loss_curve import TIMES

plt = pytest.importorskip("matplotlib.pyplot")
SMALL = {"n_components": 3, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6)) * [1, 10, 0.1, 1, 1, 3] + 0.1 * rng.normal(size=(40, 6)) + 5
    x[rng.random(x.shape) < 0.05] = np.nan
    return x


@pytest.fixture(scope="module")
def vae(X):
    return VAETransformer(**SMALL).fit(X)


def names_of(axes):
    """Names at the ends of the lines."""
    return [text.get_text() for text in axes.texts]


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_points_are_the_codes_of_each_class(X, vae):
    y = pd.Series(np.where(np.arange(40) % 3 == 0, "b", "a"), name="kind").where(np.arange(40) > 4)
    display = LatentDisplay.from_estimator(vae, X, y, components=(2, 0))
    codes = vae.transform(X)[:, [2, 0]]
    for scatter, rows in zip(display.scatters_, (y.isna(), y == "a", y == "b"), strict=True):
        np.testing.assert_array_equal(scatter.get_offsets(), codes[rows])
    assert legend_of(display.ax_) == ["no label", "a", "b"]
    assert display.ax_.get_legend().get_title().get_text() == "kind"
    rates = vae.diagnose(X).rate_per_component[[2, 0]]
    expected = [f"component {number}, rate {rate:.2g} nats" for number, rate in zip((2, 0), rates, strict=True)]
    assert [display.ax_.get_xlabel(), display.ax_.get_ylabel()] == expected
    faces = [scatter.get_facecolor()[0][:3] for scatter in display.scatters_]
    assert np.ptp(faces[0]) == 0  # grey
    assert np.ptp(faces[1]) > 0.3
    assert np.ptp(faces[2]) > 0.3


def test_numbers_have_a_colour_bar(X, vae):
    y = np.where(np.arange(40) < 5, np.nan, np.linspace(0, 1, 40))
    display = LatentDisplay.from_estimator(vae, X, pd.Series(y, name="dose"))
    missing, numbers = display.scatters_
    np.testing.assert_array_equal(numbers.get_array(), y[5:])
    largest = np.argsort(-vae.diagnose(X).rate_per_component)[:2]
    np.testing.assert_array_equal(missing.get_offsets(), vae.transform(X)[:5, largest])
    assert numbers.colorbar.ax.get_ylabel() == "dose"
    assert legend_of(display.ax_) == ["no label"]
    assert LatentDisplay.from_estimator(vae, X).ax_.get_legend() is None


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (np.arange(40) % 2, ["0", "1"]),
        (np.where(np.arange(40) % 2, 3.0, np.nan), ["no label", "3"]),
        (np.arange(40) % 2 == 0, ["False", "True"]),
        ([None, *["b", "a", "b"] * 13], ["no label", "a", "b"]),
        (pd.Series(pd.Categorical(["low", "high"] * 20, ["low", "mid", "high"])), ["low", "high"]),
        (pd.Series([pd.NA, 7] * 20, dtype="Int64"), ["no label", "7"]),
        (np.array([[f"class {i % 30:02}"] for i in range(40)]), None),
        (np.arange(40), []),
    ],
)
def test_what_counts_as_classes(X, vae, y, names):
    display = LatentDisplay.from_estimator(vae, X, y)
    if names is None:  # too many: the frequent ones, and the others together
        names = [f"class {i:02}" for i in range(23)] + ["7 others"]
    assert (legend_of(display.ax_) if display.ax_.get_legend() else []) == names
    assert sum(len(scatter.get_offsets()) for scatter in display.scatters_) == 40


def test_components_with_the_largest_rate_are_drawn(X, vae):
    rates = vae.diagnose(X).rate_per_component
    first, second, _ = np.argsort(-rates)
    display = LatentDisplay.from_estimator(vae, X)
    assert display.components == (first, second)
    np.testing.assert_array_equal(display.rates, rates[[first, second]])
    np.testing.assert_array_equal(display.codes, vae.transform(X)[:, [first, second]])
    piped = LatentDisplay.from_estimator(make_pipeline(StandardScaler(), VAETransformer(**SMALL)).fit(X), X)
    assert "rate" in piped.ax_.get_xlabel()
    without = LatentDisplay.from_estimator(AutoencoderTransformer(**SMALL).fit(X), X)
    assert (without.components, without.rates, without.ax_.get_xlabel()) == ((0, 1), None, "component 0")


def test_ten_classes_have_ten_colours():
    display = LatentDisplay(codes=np.zeros((10, 2)), y=np.arange(10)).plot()
    assert len({tuple(scatter.get_facecolor()[0]) for scatter in display.scatters_}) == 10


def test_ellipses_are_standard_deviations(X, vae):
    scaled = make_pipeline(StandardScaler(), VAETransformer(**SMALL)).fit(X)
    for model, mean_and_std in (
        (vae, vae.transform(X, return_std=True)),
        (scaled, scaled[-1].transform(scaled[0].transform(X), return_std=True)),
    ):
        display = LatentDisplay.from_estimator(model, X, std=True, components=(0, 2))
        (ellipses,) = display.ellipses_
        display.figure_.draw_without_rendering()
        np.testing.assert_allclose(ellipses.get_offsets(), mean_and_std[0][:, [0, 2]])
        radii = np.diagonal(ellipses.get_transforms(), axis1=1, axis2=2)[:, :2]
        np.testing.assert_allclose(radii, mean_and_std[1][:, [0, 2]])
    assert LatentDisplay.from_estimator(vae, X).ellipses_ == []


def test_codes_that_cannot_be_drawn(X, vae):
    with pytest.raises(ValueError, match="components must be two numbers"):
        LatentDisplay.from_estimator(vae, X, components=(0, 1, 2))
    with pytest.raises(ValueError, match=r"components must be numbers from 0 to 2.*Got \(0, 3\)"):
        LatentDisplay.from_estimator(vae, X, components=(0, 3))
    with pytest.raises(ValueError, match="y must be one column"):
        LatentDisplay.from_estimator(vae, X, X[:, :2])
    with pytest.raises(ValueError, match="inconsistent"):
        LatentDisplay.from_estimator(vae, X, X[:5, 0])
    with pytest.raises(ValueError, match="std=True needs"):
        LatentDisplay.from_estimator(AutoencoderTransformer(**SMALL).fit(X), X, std=True)


def decode_one_by_one(model, start, component, values):
    rows = []
    for value in values:
        code = start.copy()
        code[component] = value
        rows.append(np.asarray(model.inverse_transform(code[None]))[0])
    return np.array(rows)


def test_traversal_draws_decoded_codes(X, vae):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = VAETransformer(**SMALL).fit(frame)
    display = TraversalDisplay.from_estimator(model, frame, components=[2, 0], n_steps=5, limits=(0.1, 0.8))
    codes = model.transform(frame)
    for place, component in enumerate([2, 0]):
        values = np.linspace(np.quantile(codes[:, component], 0.1), np.quantile(codes[:, component], 0.8), 5)
        decoded = decode_one_by_one(model, codes.mean(0), component, values)
        expected = (decoded - np.nanmean(X, 0)) / np.nanstd(X, 0)
        for column in range(6):
            x, y = display.artists_[place, column].get_data()
            np.testing.assert_allclose(x, values)
            np.testing.assert_allclose(y, expected[:, column], rtol=1e-6, atol=1e-9)
    assert [axes.get_title() for axes in display.axes_] == ["component 2", "component 0"]
    assert sorted(legend_of(display.axes_[-1])) == list("abcdef")


def test_traversal_of_images_starts_from_a_row(X):
    model = make_pipeline(StandardScaler(), PCA(3)).fit(np.nan_to_num(X))
    rows = np.nan_to_num(X)
    display = TraversalDisplay.from_estimator(model, rows, row=4, n_steps=3, image_shape=(2, 3))
    codes = model.transform(rows)
    assert [label.get_text().split("\n")[0] for label in display.axes_[0].get_yticklabels()] == [
        f"component {component}"
        for component in (0, 1, 2)  # as PCA sorts them: by variance
    ]
    for component in range(3):
        values = np.linspace(*np.quantile(codes[:, component], [0.05, 0.95]), 3)
        for step, decoded in enumerate(decode_one_by_one(model, codes[4], component, values)):
            np.testing.assert_allclose(
                display.artists_[component, step].get_array(), decoded.reshape(2, 3), rtol=1e-6, atol=1e-9
            )


def test_columns_that_change_most_have_colours():
    decoded = np.zeros((2, 4, 10))
    decoded[1] = np.arange(4)[:, None] * np.arange(10)
    scale = np.where(np.arange(10) == 9, np.nan, 1.0)
    names = np.array([f"x{i}" for i in range(10)])
    display = TraversalDisplay(values=np.zeros((2, 4)), decoded=decoded, scale=scale, feature_names=names).plot()
    assert legend_of(display.axes_[-1]) == ["x8", "x7", "x6", "x5", "x4", "x3", "x2", "2 others"]
    assert display.artists_[0, 9] is None
    assert display.artists_[1, 0].get_color() == display.artists_[1, 1].get_color() == "0.75"


def test_columns_of_classes_are_strips(X):
    kind = np.where(np.nan_to_num(X[:, 0]) > 5, "high", "low")
    frame = pd.DataFrame({"a": X[:, 0], "kind": kind, "b": X[:, 1]})
    model = VAETransformer(2, hidden_layer_sizes=(8,), max_iter=30, random_state=0).fit(frame)
    display = TraversalDisplay.from_estimator(model, frame, components=[1, 0], n_steps=5)
    codes = model.transform(frame)
    expected = []
    for component in (1, 0):
        moved = np.tile(codes.mean(0), (5, 1))
        moved[:, component] = np.linspace(*np.quantile(codes[:, component], [0.05, 0.95]), 5)
        decoded = model.inverse_transform(moved)["kind"].tolist()
        expected += [decoded[0], *(new for old, new in pairwise(decoded) if old != new)]
    assert [text.get_text() for text in display.strips_[1]] == expected
    assert display.artists_[0, 1] is None
    assert [text.get_text() for text in display.axes_[-1].texts][-1] == "kind"


def test_columns_of_classes_that_are_left_out_are_named():
    classes = {column: [["a", "b"]] if column else [["a", "a"]] for column in range(5)}
    display = TraversalDisplay(values=[[0.0, 1.0]], decoded=np.full((1, 2, 5), np.nan), classes=classes).plot()
    assert list(display.strips_) == [1, 2, 3, 4]
    assert display.figure_.get_suptitle() == "left out: x0"
    display.figure_.draw_without_rendering()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limits": (0.9, 0.1)}, "limits must be two quantiles"),
        ({"limits": 0.1}, "limits must be two quantiles"),
        ({"n_steps": 1}, "n_steps == 1, must be >= 2"),
        ({"row": 40}, "row == 40, must be <= 39"),
        ({"components": [0, 5]}, "components must be numbers from 0 to 2"),
        ({"components": []}, "components must be numbers from 0 to 2"),
        ({"image_shape": (2, 4)}, "image_shape must be"),
    ],
)
def test_traversals_that_cannot_be_drawn(X, vae, options, message):
    with pytest.raises(ValueError, match=message):
        TraversalDisplay.from_estimator(vae, X, **options)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_curves_are_those_of_the_fit(X, in_pipeline):
    model = VAETransformer(**SMALL, early_stopping=True)
    fitted = make_pipeline(StandardScaler(), model).fit(X) if in_pipeline else model.fit(X)
    display = LossCurveDisplay.from_estimator(fitted)
    curves = {"loss": model.loss_curve_, "held-out loss": -np.array(model.validation_scores_), **model.term_curves_}
    assert set(display.lines_) == set(curves) == {"loss", "held-out loss", "distortion", "rate"}
    for name, curve in curves.items():
        np.testing.assert_array_equal(display.lines_[name].get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(display.lines_[name].get_ydata(), curve)
    (axes,) = display.axes_
    assert sorted(names_of(axes)) == sorted(display.lines_)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "nats per row")


@pytest.mark.parametrize("n_tasks", [2, 30])
def test_tasks_have_axes_of_their_own(X, n_tasks):
    Y = pd.DataFrame(np.random.default_rng(0).normal(size=(40, n_tasks))).add_prefix("t")
    model = MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(X, Y)
    display = LossCurveDisplay.from_estimator(model)
    assert set(display.lines_) == {"loss", "all tasks", *model.term_curves_}
    losses, terms, tasks = display.axes_
    weight = model.net_.criterion_.reconstruction_weight
    shown = f"{weight:.2g}"
    weighted = [f"{name} {TIMES} {shown}" for name in ("distortion", "rate")]
    assert [names_of(losses), names_of(terms)] == [["loss"], [*weighted, "all tasks"]]
    assert names_of(tasks) == (["task t0", "task t1"] if n_tasks == 2 else ["30 tasks"])
    for name in ("distortion", "rate"):
        np.testing.assert_allclose(display.lines_[name].get_ydata(), np.multiply(weight, model.term_curves_[name]))
    parts = sum(display.lines_[name].get_ydata() for name in ("distortion", "rate", "all tasks"))
    np.testing.assert_allclose(parts, model.loss_curve_)
    together = np.einsum("et,te->e", model.task_weights_, [model.term_curves_[f"task:t{t}"] for t in range(n_tasks)])
    np.testing.assert_allclose(display.lines_["all tasks"].get_ydata(), together, rtol=1e-4)
    assert len(tasks.lines) == n_tasks
    assert {line.get_color() == "0.75" for line in tasks.lines} == {n_tasks == 30}
    np.testing.assert_array_equal(display.lines_["task:t1"].get_ydata(), model.term_curves_["task:t1"])
    axes = plt.figure().add_subplot()
    assert list(display.plot(ax=axes, alpha=0.5).axes_) == [axes]
    assert len(axes.lines) == n_tasks + 4
    assert {line.get_alpha() for line in axes.lines} == {0.5}
    with pytest.raises(ValueError, match="ax must hold 3 axes"):
        display.plot(ax=[axes, axes])


@pytest.mark.parametrize("options", [{"beta": "linear"}, {"beta": "cyclic", "penalty": "sparse"}, {"beta": 3.0}])
def test_terms_are_drawn_as_they_enter_the_loss(X, options):
    model = VAETransformer(**{**SMALL, "max_iter": 12}, batch_size=None, **options).fit(X)
    display = LossCurveDisplay.from_estimator(model)
    parts = sum(line.get_ydata() for name, line in display.lines_.items() if name != "loss")
    np.testing.assert_allclose(parts, model.loss_curve_, rtol=1e-4)
    if options["beta"] == "linear":
        np.testing.assert_allclose(display.weights["rate"], np.minimum(np.arange(12) / 6, 1))
        assert f"rate {TIMES} 0 to 1" in names_of(display.axes_[0])


def test_a_fit_that_goes_on_has_the_last_weight(X):
    model = VAETransformer(**SMALL, beta="linear").partial_fit(X).partial_fit(X)
    display = LossCurveDisplay.from_estimator(model)
    np.testing.assert_allclose(display.lines_["rate"].get_ydata(), model.term_curves_["rate"])


def test_one_epoch_can_be_seen():
    display = LossCurveDisplay(loss=[2.0]).plot()
    assert display.lines_["loss"].get_marker() == "o"
    assert list(display.lines_) == ["loss"]


def test_curves_of_another_estimator(X):
    with pytest.raises(ValueError, match="estimator must be an autoencoder of this package"):
        LossCurveDisplay.from_estimator(PCA(2).fit(np.nan_to_num(X)))
