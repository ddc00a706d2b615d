"""Displays of rows, reconstructed and drawn: what is drawn are the numbers."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.inspection import ReconstructionDisplay, SampleDisplay

plt = pytest.importorskip("matplotlib.pyplot")
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


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


def models(X):
    yield AutoencoderTransformer(**SMALL).fit(X)
    yield MultiTaskVAERegressor(n_estimators=1, **SMALL).fit(X, np.nan_to_num(X)[:, :2])
    yield make_pipeline(StandardScaler(), VAETransformer(**SMALL)).fit(X)


def test_points_are_original_and_reconstruction(X):
    frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(6)])
    for model in models(frame):
        decoded = np.asarray(model.inverse_transform(model.transform(frame)))
        display = ReconstructionDisplay.from_estimator(model, frame, features=["column 4", 0])
        for place, column in enumerate([4, 0]):
            observed = ~np.isnan(X[:, column])
            points = np.column_stack([X[observed, column], decoded[observed, column]])
            np.testing.assert_allclose(display.artists_[place].get_offsets(), points, rtol=1e-6)
            name, score = display.axes_[place].get_title().split("\n")
            assert name == f"column {column}"
            assert float(score.removeprefix("R² = ")) == pytest.approx(r2_score(*points.T), abs=0.0051)
            assert display.axes_[place].get_xlim() == display.axes_[place].get_ylim()


def test_reconstruction_is_what_predict_gives(X):
    model = AutoencoderTransformer(**SMALL).fit(X)
    display = ReconstructionDisplay.from_estimator(model, X.tolist())
    np.testing.assert_allclose(display.reconstruction, model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("as_frame", [False, True])
def test_images_lie_above_their_reconstructions(X, as_frame):
    model = VAETransformer(**SMALL).fit(X)
    rows = pd.DataFrame(X) if as_frame else X
    display = ReconstructionDisplay.from_estimator(model, rows, n_rows=3, image_shape=(3, 2))
    decoded = model.predict(X)
    assert display.artists_.shape == (2, 3)
    for row, (original, reconstruction) in enumerate(display.artists_.T):
        cells = original.get_array()
        np.testing.assert_array_equal(cells.filled(np.nan), X[row].reshape(3, 2))
        np.testing.assert_allclose(reconstruction.get_array(), decoded[row].reshape(3, 2), rtol=1e-6)
        left, right, bottom, top = original.get_extent()
        assert [left, right] == list(reconstruction.get_extent()[:2])
        assert top < bottom < reconstruction.get_extent()[3]  # the axis points down
        assert original.get_clim() == (np.nanmin(X[:3]), np.nanmax(X[:3]))
    (axes,) = display.axes_
    assert [label.get_text() for label in axes.get_yticklabels()] == ["original", "reconstruction"]
    # A missing cell has a hue, all others are grey.
    colours = display.artists_[0, 0].get_cmap()([np.nan, 0.3])
    assert np.ptp(colours[0, :3]) > 0.2
    assert np.ptp(colours[1, :3]) < 0.01


def test_images_of_colours():
    x = np.random.default_rng(0).uniform(-3, 7, size=(2, 12))
    x[0, 5] = np.nan
    low, high = np.nanmin(x), np.nanmax(x)
    display = ReconstructionDisplay(original=x, reconstruction=2 * x, image_shape=(2, 2, 3)).plot()
    image = display.artists_[0, 1].get_array()
    np.testing.assert_allclose(image, ((x[1] - low) / (high - low)).reshape(2, 2, 3))
    assert display.artists_[1, 0].get_array().max() == 1
    assert not np.isnan(display.artists_[0, 0].get_array()).any()


def test_classes_are_counted():
    rng = np.random.default_rng(0)
    original = pd.DataFrame({"town": rng.choice(["b", "a", None], 50), "yes": rng.random(50) < 0.5, "same": 1.0})
    guess = pd.DataFrame({"town": rng.choice(["b", "a", "c"], 50), "yes": rng.random(50), "same": 1.0})
    display = ReconstructionDisplay(original=original, reconstruction=guess).plot()
    expected = pd.crosstab(guess["town"], original["town"], normalize="columns")
    np.testing.assert_allclose(display.artists_[0].get_array()[:, :2], expected)
    known = original["town"].notna()
    right = (original["town"] == guess["town"])[known].mean()
    titles = [axes.get_title() for axes in display.axes_]
    assert titles[0] == f"town\n{right:.0%} right"
    assert titles[2] == "same\nconstant"
    np.testing.assert_array_equal(display.artists_[1].get_offsets()[:, 0], original["yes"])


@pytest.mark.parametrize("display", [ReconstructionDisplay, SampleDisplay])
def test_a_table_of_many_columns_is_cut(display):
    rows = np.random.default_rng(0).normal(size=(20, 15))
    first = {ReconstructionDisplay: ("original", "reconstruction"), SampleDisplay: ("real", "drawn")}[display]
    drawn = display(**dict.fromkeys(first, rows), feature_names=np.array([f"f{i}" for i in range(15)])).plot()
    assert [axes.get_title().split("\n")[0] for axes in drawn.axes_] == [f"f{i}" for i in range(12)]
    assert drawn.figure_.get_suptitle() == "12 of 15 columns"
    assert [axes.get_title().split("\n")[0] for axes in drawn.plot(features=["f14", 3]).axes_] == ["f14", "f3"]
    for features in (["f15"], [15], []):
        with pytest.raises(ValueError, match="features must be names or numbers of columns"):
            drawn.plot(features=features)
    axes = plt.subplots(1, 2)[1]
    assert list(drawn.plot(features=[0, 1], ax=axes).axes_) == list(axes)
    with pytest.raises(ValueError, match="ax must hold 12 axes"):
        drawn.plot(ax=axes)


@pytest.mark.parametrize("as_frame", [False, True])
def test_steps_are_the_shares_of_real_and_drawn_rows(X, as_frame):
    frame = pd.DataFrame(X, columns=list("abcdef")) if as_frame else X
    for model in list(models(frame))[1:]:
        display = SampleDisplay.from_estimator(model, frame, n_samples=500, random_state=3)
        if isinstance(model, MultiTaskVAERegressor):
            drawn = model.sample(500, random_state=3)[0]
        else:
            drawn = model[0].inverse_transform(model[-1].sample(500, random_state=3))
        drawn = np.asarray(drawn)
        for column, artists in enumerate(display.artists_):
            for values, artist in zip((X[:, column], drawn[:, column]), artists, strict=True):
                shares, edges, _ = artist.get_data()
                low, high = np.nanmin(X[:, column]), np.nanmax(X[:, column])
                values = np.clip(values[~np.isnan(values)], low - (high - low) / 2, high + (high - low) / 2)
                np.testing.assert_allclose(shares, np.histogram(values, edges)[0] / len(values))
                assert shares.sum() == pytest.approx(1)
        assert [axes.get_title() for axes in display.axes_] == (list("abcdef") if as_frame else list_of_x(6))
        legend = display.axes_[2].get_legend()  # at the end of the first row of three
        assert [text.get_text() for text in legend.get_texts()] == ["real", "drawn"]


def list_of_x(n):
    return [f"x{column}" for column in range(n)]


def test_whole_numbers_have_a_step_each():
    display = SampleDisplay(real=[[0], [1], [1], [3]], drawn=[[0], [0], [4], [100]]).plot()
    real, drawn = (artist.get_data() for artist in display.artists_[0])
    np.testing.assert_array_equal(real.edges, np.arange(-0.5, 6))
    np.testing.assert_array_equal(real.values, [0.25, 0.5, 0, 0.25, 0, 0])
    np.testing.assert_array_equal(drawn.values, [0.5, 0, 0, 0, 0.25, 0.25])  # 3 + 3 / 2, rounded up: the last one


def test_classes_have_a_bar_each():
    rng = np.random.default_rng(0)
    real = pd.DataFrame(
        {"town": pd.Categorical(rng.choice(["x", "y"], 60), ["y", "x"]), "many": rng.integers(0, 20, 60)}
    )
    drawn = pd.DataFrame({"town": rng.choice(["x", "y", "z"], 40), "many": rng.integers(0, 20, 40)})
    real, drawn = (frame.assign(many="class " + frame["many"].astype(str)) for frame in (real, drawn))
    display = SampleDisplay(real=real, drawn=drawn).plot()
    town, many = display.axes_
    assert [label.get_text() for label in town.get_xticklabels()] == ["y", "x", "z"]
    for frame, (of_town, of_many) in zip((real, drawn), display.artists_.T, strict=True):
        shares = frame["town"].value_counts(normalize=True).reindex(["y", "x", "z"], fill_value=0)
        np.testing.assert_allclose(of_town.get_data().values[::2], shares)
        assert of_many.get_data().values[::2].sum() == pytest.approx(1)
        assert np.isnan(of_many.get_data().values[1::2]).all()
    labels = [label.get_text() for label in many.get_xticklabels()]
    assert len(labels) == 8
    assert labels[-1] == "others"
    assert set(labels[:-1]) <= set(real["many"])


def test_images_are_drawn_rows(X):
    model = VAETransformer(**SMALL).fit(X)
    display = SampleDisplay.from_estimator(model, X, n_samples=11, image_shape=(2, 3), random_state=0)
    drawn = model.sample(11, random_state=0)
    for artist, row in zip(display.artists_, drawn, strict=True):
        np.testing.assert_allclose(artist.get_array(), row.reshape(2, 3))
        assert artist.get_clim() == (np.nanmin(X), np.nanmax(X))
    assert len({tuple(artist.get_extent()) for artist in display.artists_}) == 11
    assert len(SampleDisplay.from_estimator(model, X, image_shape=(2, 3)).artists_) == 40


def test_rows_that_cannot_be_drawn(X):
    coder, vae = AutoencoderTransformer(**SMALL).fit(X), VAETransformer(**SMALL).fit(X)
    with pytest.raises(ValueError, match="estimator must have the method 'sample'"):
        SampleDisplay.from_estimator(coder, X)
    with pytest.raises(ValueError, match="n_samples == 0, must be >= 1"):
        SampleDisplay.from_estimator(vae, X, n_samples=0)
    with pytest.raises(ValueError, match="n_rows == 0, must be >= 1"):
        ReconstructionDisplay.from_estimator(vae, X, n_rows=0)
    for display in (SampleDisplay, ReconstructionDisplay):
        for shape in ((2, 2), 6, (3, 2, 1), "six"):
            with pytest.raises(ValueError, match=r"image_shape must be \(height, width\).* 6\. Got"):
                display.from_estimator(vae, X, image_shape=shape)
