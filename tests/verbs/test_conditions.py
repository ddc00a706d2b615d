"""Draws under conditions: values, lists of values, ranges, on features and on tasks."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_mtae import MultiTaskVAE, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.nn.likelihoods import Multinomial

N = 8_000
RANGE = (0.5, 1.5)


@pytest.fixture(scope="module")
def normal():
    """Return a linear model of normal columns, the mean of the rows under it, and their covariance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 3)) + 0.5 * rng.normal(size=(400, 3)) + [1.0, 0.0, -1.0]
    model = VAETransformer(2, hidden_layer_sizes=(), max_iter=60, learning_rate_init=0.01, random_state=0).fit(X)
    noise = np.exp(model.module_.likelihood.log_variance.detach().numpy()) * X.var(axis=0)
    bias = model.inverse_transform(np.zeros((1, 2)))[0]
    return model, bias, model.components_.T @ model.components_ + np.diag(noise)


def test_a_range_gives_the_moments_of_a_truncated_normal(normal):
    model, mean, covariance = normal
    drawn = model.sample(N, random_state=0, conditions={0: RANGE})
    deviation = covariance[0, 0] ** 0.5
    cut = stats.truncnorm(*((end - mean[0]) / deviation for end in RANGE), loc=mean[0], scale=deviation)
    assert drawn[:, 0].min() >= RANGE[0]
    assert drawn[:, 0].max() <= RANGE[1]
    assert drawn[:, 0].mean() == pytest.approx(cut.mean(), abs=0.02)
    slope = covariance[1:, 0] / covariance[0, 0]
    np.testing.assert_allclose(drawn[:, 1:].mean(axis=0), mean[1:] + slope * (cut.mean() - mean[0]), atol=0.06)
    expected = np.diag(covariance)[1:] - slope**2 * (covariance[0, 0] - cut.var())
    np.testing.assert_allclose(drawn[:, 1:].var(axis=0), expected, rtol=0.08)


def test_a_list_gives_each_value_as_often_as_its_density_says(normal):
    model, mean, covariance = normal
    drawn = model.sample(N, random_state=0, conditions={0: [0.0, 2.0]})
    assert set(drawn[:, 0]) == {0.0, 2.0}
    density = stats.norm.pdf([0.0, 2.0], mean[0], covariance[0, 0] ** 0.5)
    assert (drawn[:, 0] == 0.0).mean() == pytest.approx(density[0] / density.sum(), abs=0.03)


def test_a_range_and_a_value_go_together(normal):
    model, mean, covariance = normal
    drawn = model.sample(N, random_state=0, conditions={0: RANGE, 1: 0.3})
    assert (drawn[:, 1] == 0.3).all()
    slope = covariance[0, 1] / covariance[1, 1]
    deviation = (covariance[0, 0] - slope * covariance[0, 1]) ** 0.5
    centre = mean[0] + slope * (0.3 - mean[1])
    cut = stats.truncnorm(*((end - centre) / deviation for end in RANGE), loc=centre, scale=deviation)
    assert drawn[:, 0].mean() == pytest.approx(cut.mean(), abs=0.02)


def test_an_open_range_ends_where_draws_do(normal):
    drawn = normal[0].sample(1000, random_state=0, conditions={0: (1.0, None)})
    assert drawn[:, 0].min() >= 1.0
    assert drawn[:, 0].max() > 2.0


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    city = rng.choice(["Bern", "Oslo", "Rome"], 400)
    rent = np.where(rng.random(400) < 0.5, 0.0, rng.gamma(4, 150, 400))
    return pd.DataFrame({"age": rng.integers(18, 80, 400), "rent": rent, "city": city, "own": rng.random(400) < 0.3})


@pytest.fixture(scope="module")
def mixed(people):
    return VAETransformer(2, hidden_layer_sizes=(16,), likelihood="auto", max_iter=5, random_state=0).fit(people)


def test_conditions_hold_in_frames_of_all_kinds(mixed, people):
    given = {"age": (30, 40), "city": ["Rome", "Oslo"], "own": True, "rent": (1, None)}
    drawn = mixed.sample(200, random_state=0, conditions=given)
    assert drawn.dtypes.equals(people.dtypes)
    assert drawn["age"].between(30, 40).all()
    assert set(drawn["city"]) == {"Rome", "Oslo"}
    assert drawn["own"].all()
    assert (drawn["rent"] >= 1).all()
    assert set(drawn["age"]) <= set(people["age"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"age": (200, 300)}, "conditions must leave values for 'age'. Got the range \\(200, 300\\)"),
        ({"age": (40, 30)}, "'age' must be a value, a list of values, or a range"),
        ({"age": (1, 2, 3)}, "'age' must be a value, a list of values, or a range"),
        ({"rent": (700.1, 700.10001)}, "met by more than one row in 1,000,000"),
        ({"city": ("Rome", "Oslo")}, "'city' must be a value, a list of values, or a range"),
        ({"city": (1, 2)}, "'city', which holds classes"),
        ({"city": ["Paris"]}, "'city' must hold a category known from fit"),
        ({"age": []}, "must hold a value for 'age' at least"),
        ({"agee": 3}, "must name columns of X.*Did you mean 'age'"),
    ],
)
def test_what_cannot_be_met_is_named(mixed, given, message):
    with pytest.raises(ValueError, match=message):
        mixed.sample(5, random_state=0, conditions=given)


def test_conditions_on_tasks(people):
    X, Y = people[["rent"]].to_numpy(), people[["age", "city"]]
    model = MultiTaskVAE(2, n_estimators=1, hidden_layer_sizes=(16,), max_iter=5, random_state=0).fit(X, Y)
    _, drawn = model.sample(200, random_state=0, conditions={"age": (30, 40), "city": ["Rome", "Oslo"]})
    assert drawn["age"].between(30, 40).all()
    assert set(drawn["city"]) == {"Rome", "Oslo"}
    with pytest.raises(ValueError, match="task 'city' must be out of its classes"):
        model.sample(5, conditions={"city": "Paris"})


def test_a_target_that_is_given_moves_the_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1))
    model = MultiTaskVAERegressor(
        1,
        n_estimators=1,
        hidden_layer_sizes=(),
        reconstruction_weight=1.0,
        learning_rate_init=0.02,
        max_iter=60,
        random_state=0,
    ).fit(x, x[:, 0] + 0.1 * rng.normal(size=300))
    X, y = model.sample(500, random_state=0, conditions={"y0": 1.5})
    assert (y == 1.5).all()
    assert X.mean() == pytest.approx(1.5, abs=0.25)


def fitted(X, likelihood="auto"):
    return VAETransformer(1, hidden_layer_sizes=(4,), likelihood=likelihood, max_iter=2, random_state=0).fit(X)


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(0)
    return fitted(
        pd.DataFrame({"few": rng.integers(0, 10, N), "many": rng.integers(0, 400, N), "x": rng.normal(size=N)})
    )


def draw(model, name, given):
    return model.sample(60, conditions={name: given}, random_state=0)[name]


def test_ends_of_a_range_that_are_values_are_among_the_draws(whole):
    assert set(draw(whole, "few", (2, 4))) == {2, 3, 4}
    assert set(draw(whole, "many", (100, 101))) == {100, 101}


@pytest.mark.parametrize(
    ("name", "given"), [("few", (2.2, 2.8)), ("few", (-5, -1)), ("many", (100.2, 100.8)), ("many", (1000, 2000))]
)
def test_a_range_without_a_value_is_named(whole, name, given):
    with pytest.raises(ValueError, match=f"conditions must leave values for '{name}'"):
        draw(whole, name, given)


def test_both_ends_may_be_open(whole):
    assert np.isfinite(draw(whole, "x", (None, None))).all()
    assert (draw(whole, "x", (-np.inf, 0.0)) <= 0).all()


@pytest.mark.parametrize("given", [[np.nan], [1.0, None]])
def test_one_of_several_values_must_not_be_missing(whole, given):
    with pytest.raises(ValueError, match="conditions on 'x' must be finite values"):
        draw(whole, "x", given)


@pytest.mark.parametrize("given", [range(2), pd.Series([0.0, 1.0]), pd.Index([0, 1]), {0, 1}, np.array([0, 1])])
def test_several_values_come_in_any_collection(whole, given):
    assert set(draw(whole, "x", given)) == {0, 1}


@pytest.mark.parametrize("given", [[0, 1], (0, 1)])
def test_a_column_of_a_joint_family_takes_one_value(given):
    model = fitted(np.eye(3)[np.random.default_rng(0).integers(0, 3, N)], "categorical")
    with pytest.raises(ValueError, match="drawn together with other columns"):
        model.sample(5, conditions={0: given})
    assert (model.sample(5, conditions={0: 1}) == [1, 0, 0]).all()


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    p = np.where(rng.random((400, 1)) < 0.5, [0.6, 0.1, 0.1, 0.2], [0.1, 0.3, 0.4, 0.2])
    X = np.column_stack([rng.normal(size=400), [rng.multinomial(20, own) for own in p]])
    likelihood = ["gaussian", *[Multinomial] * 4]
    return VAETransformer(
        2, hidden_layer_sizes=(16,), likelihood=likelihood, learning_rate_init=0.01, max_iter=20, random_state=0
    ).fit(X)


def test_rows_of_counts_keep_their_total(counts):
    drawn = counts.sample(300, random_state=0, conditions={1: 7, 3: 2})
    assert (drawn[:, 1] == 7).all()
    assert (drawn[:, 3] == 2).all()
    np.testing.assert_array_equal(drawn[:, 1:].sum(axis=1), 20)
    assert (drawn[:, 1:] >= 0).all()


def test_a_given_count_selects_from_all_rows(counts):
    """The rows with the count among all rows that the model draws are the rows under the condition."""
    free = counts.sample(20_000, random_state=0)
    among = free[free[:, 1] == 12]
    given = counts.sample(2000, random_state=1, conditions={1: 12})
    assert len(among) > 300
    error = among[:, 2:].std(axis=0) / len(among) ** 0.5 + given[:, 2:].std(axis=0) / len(given) ** 0.5
    np.testing.assert_array_less(np.abs(given[:, 2:].mean(axis=0) - among[:, 2:].mean(axis=0)), 3 * error)


def test_counts_beyond_the_total_are_named(counts):
    with pytest.raises(ValueError, match=r"conditions on \[1, 2\] must not exceed 20.*Got 26 in all"):
        counts.sample(5, conditions={1: 12, 2: 14})


@pytest.mark.parametrize("given", [[3, 3.5], [1e100], np.array([0.5])])
def test_one_of_several_values_that_the_dtype_does_not_hold_is_named(whole, given):
    """A single value stays as it is, whatever the dtype, but one of several would be rounded."""
    with pytest.raises(ValueError, match=r"conditions on 'few' must be values of its dtype, int64. Got"):
        whole.sample(5, conditions={"few": given})
    assert whole.sample(5, conditions={"few": [3.0]}).dtypes["few"] == np.int64
    assert (whole.sample(5, conditions={"few": 3.5})["few"] == 3.5).all()


def test_a_target_that_the_dtype_does_not_hold_is_named(people):
    model = MultiTaskVAE(2, n_estimators=1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.fit(people[["rent"]], people[["age", "city"]])
    with pytest.raises(ValueError, match=r"conditions on 'age' must be values of its dtype, int64. Got 30.5"):
        model.sample(5, conditions={"age": [30, 30.5]})


def test_a_name_of_a_column_and_of_a_task_is_refused(people):
    X = people[["age", "rent"]]
    model = MultiTaskVAERegressor(1, n_estimators=1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.fit(X, X[["rent"]])
    with pytest.raises(ValueError, match=r"Got \['rent'\], the name of one of each: rename the task"):
        model.sample(5, conditions={"rent": 100.0})
    assert (model.sample(5, conditions={"age": 30})[0]["age"] == 30).all()
