"""Joint answers of the estimators: known labels, draws, regions, and what to measure next."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_mtae import MultiTaskVAE, MultiTaskVAEClassifier, MultiTaskVAERegressor

QUICK = {
    "hidden_layer_sizes": (),
    "n_estimators": 4,
    "member_params": None,
    "validation_fraction": 0.25,
    "max_iter": 5,
    "random_state": 0,
}
SINGLE = {**QUICK, "n_estimators": 1, "early_stopping": True}


def rows(n=300, n_tasks=3, seed=0):
    """Return features, and scores of labels that depend on each other beyond the features."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    shared = rng.normal(size=(n, 1))
    return X, X[:, :n_tasks] + shared + 0.5 * rng.normal(size=(n, n_tasks))


def frame(Y):
    return pd.DataFrame(
        {
            "number": Y[:, 0],
            "class": pd.cut(Y[:, 1], [-99, -1, 1, 99], labels=["low", "middle", "high"]),
            "count": np.random.default_rng(0).poisson(np.exp(0.5 * Y[:, 2])),
            "yes": Y[:, 0] + Y[:, 1] > 0,
        }
    )


def regressor(**options):
    X, Y = rows()
    return MultiTaskVAERegressor(**{**QUICK, **options}).fit(X, Y), X, Y


def mixed():
    X, Y = rows()
    model = MultiTaskVAE(**QUICK, task_likelihoods={"count": "poisson"})
    return model.fit(X, frame(Y)), X, frame(Y)


def classifier():
    X, Y = rows()
    labels = np.where(Y > 0, "yes", "no").astype(object)
    labels[:, 2] = np.where(Y[:, 2] > 1, "c", np.where(Y[:, 2] > 0, "b", "a"))
    return MultiTaskVAEClassifier(**QUICK).fit(X, labels), X, labels


def same(a, b):
    """Assert that two answers have the same bits."""
    if isinstance(a, tuple | list):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        same(list(a.values()), list(b.values()))
    elif isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    else:
        np.testing.assert_array_equal(a, b)


VERBS = {
    regressor: ["predict", "predict_interval"],
    classifier: ["predict", "predict_proba", "predict_log_proba", "predict_set"],
    mixed: ["predict", "predict_proba", "predict_interval", "predict_set"],
}


@pytest.mark.parametrize("make", VERBS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_changes_where_no_label_is_known(make, dtype):
    model, X, Y = make()
    X = X[:20].astype(dtype)
    nothing = pd.DataFrame(np.full((20, len(model.task_names_)), None), columns=model.task_names_)
    for verb in VERBS[make]:
        same(getattr(model, verb)(X), getattr(model, verb)(X, y_observed=nothing))
    partly = nothing.copy()
    partly.iloc[:10] = pd.DataFrame(Y[:20]).iloc[:10].to_numpy()
    for verb in VERBS[make]:
        plain, given = getattr(model, verb)(X), getattr(model, verb)(X, y_observed=partly)
        same(_take(plain, slice(10, None)), _take(given, slice(10, None)))


def test_masked_labels_are_not_known():
    model, X, Y = regressor()
    hidden = np.ma.array(np.full(Y[:20].shape, 7.0), mask=True)
    for verb in VERBS[regressor]:
        same(getattr(model, verb)(X[:20]), getattr(model, verb)(X[:20], y_observed=hidden))


def _take(answer, part):
    if isinstance(answer, tuple | list):
        return [_take(own, part) for own in answer]
    if isinstance(answer, dict):
        return {name: _take(own, part) for name, own in answer.items()}
    return answer.iloc[part] if hasattr(answer, "iloc") else answer[part]


def test_known_numbers_are_predicted_as_they_are():
    model, X, Y = regressor()
    known = np.where(np.arange(3) < 2, Y, np.nan)[:20]
    mean, std = model.predict(X[:20], return_std=True, y_observed=known)
    lower, upper = model.predict_interval(X[:20], y_observed=known)
    for found in (mean, lower, upper, *model.predict_samples(X[:20], 3, y_observed=known, random_state=0)):
        np.testing.assert_array_equal(found[:, :2], Y[:20, :2])
    assert (std[:, :2] == 0).all()
    assert (std[:, 2] > 0).all()


def test_known_classes_are_predicted_as_they_are():
    model, X, labels = classifier()
    known = labels[:20].copy()
    known[:, 1] = None
    found = model.predict(X[:20], y_observed=known)
    np.testing.assert_array_equal(found[:, [0, 2]], labels[:20][:, [0, 2]])
    probabilities = model.predict_proba(X[:20], y_observed=known)
    np.testing.assert_array_equal(probabilities[0], labels[:20, :1] == model.classes_[0])
    np.testing.assert_allclose(probabilities[1].sum(axis=1), 1.0, atol=1e-9)
    sets = model.predict_set(X[:20], y_observed=known)
    np.testing.assert_array_equal(sets[2], labels[:20, 2:] == model.classes_[2])
    drawn = model.predict_samples(X[:20], 5, y_observed=known, random_state=0)
    assert (drawn[:, :, [0, 2]] == labels[:20][:, [0, 2]]).all()


@pytest.mark.parametrize("make", VERBS)
def test_known_labels_help(make):
    """Labels of new rows are predicted better given the others'."""
    model, _, _ = make()
    X, Y = rows(400, seed=1)
    if make is regressor:
        known = np.where(np.arange(3) > 0, Y, np.nan)
        errors = [np.mean((model.predict(X, y_observed=own)[:, 0] - Y[:, 0]) ** 2) for own in (None, known)]
        lengths = [np.subtract(*model.predict_interval(X, y_observed=own)[::-1])[:, 0].mean() for own in (None, known)]
        assert lengths[1] < 0.8 * lengths[0]
    elif make is classifier:
        labels = np.where(Y > 0, "yes", "no").astype(object)
        labels[:, 2] = np.where(Y[:, 2] > 1, "c", np.where(Y[:, 2] > 0, "b", "a"))
        known = np.where(np.arange(3) > 0, labels, None)
        position = (labels[:, 0] == "yes").astype(int)
        errors = [
            -np.log(model.predict_proba(X, y_observed=own)[0][np.arange(400), position]).mean() for own in (None, known)
        ]
    else:
        known = frame(Y)
        known["class"] = None
        position = pd.Categorical(frame(Y)["class"], categories=model.classes_["class"]).codes
        shares = [model.predict_proba(X, y_observed=own)["class"].to_numpy() for own in (None, known)]
        errors = [-np.log(own[np.arange(400), position]).mean() for own in shares]
    assert errors[1] < (0.95 if make is classifier else 0.8) * errors[0]


def test_draws_have_the_predicted_means_and_the_dependence_of_the_labels():
    model, _, _ = regressor(max_iter=30)
    X, Y = rows(400, seed=1)
    drawn = model.predict_samples(X, 500, random_state=0)
    mean, std = model.predict(X, return_std=True)
    assert drawn.shape == (500, 400, 3)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.35)
    np.testing.assert_allclose(drawn.std(axis=0).mean(axis=0), std.mean(axis=0), rtol=0.02)
    of_draws = np.corrcoef((drawn - mean).reshape(-1, 3).T)
    np.testing.assert_allclose(of_draws, np.corrcoef((Y - mean).T), atol=0.08)
    lower, upper = model.predict_interval(X, 0.8)
    np.testing.assert_allclose(((lower <= drawn) & (drawn <= upper)).mean(axis=(0, 1)), 0.8, atol=0.03)


def test_draws_of_classes_have_the_predicted_probabilities():
    model, X, labels = classifier()
    known = np.where(np.arange(3) > 0, labels, None)[:30]
    for own in (None, known):
        drawn = model.predict_samples(X[:30], 2000, y_observed=own, random_state=0)
        shares = (drawn[..., 0] == "yes").mean(axis=0)
        np.testing.assert_allclose(shares, model.predict_proba(X[:30], y_observed=own)[0][:, 1], atol=0.05)


def test_draws_of_mixed_tasks_are_labels_of_their_kind():
    model, X, _ = mixed()
    drawn = model.predict_samples(X[:6], 4, random_state=0)
    assert drawn.shape == (4, 6, 4)
    assert set(drawn[..., 1].ravel()) <= {"low", "middle", "high"}
    counts = drawn[..., 2].astype(float)
    assert (counts == counts.round()).all()
    assert (counts >= 0).all()
    assert set(drawn[..., 3].ravel()) <= {True, False}
    same(drawn, model.predict_samples(X[:6], 4, random_state=0))


def test_draws_of_a_row_do_not_depend_on_the_others():
    model, X, Y = regressor()
    known = np.where(np.arange(300)[:, None] == 5, Y, np.nan)
    every = model.predict_samples(X[:9], 4, random_state=0)
    same(every[:, :3], model.predict_samples(X[:3], 4, random_state=0))
    given = model.predict_samples(X[:9], 4, y_observed=known[:9], random_state=0)
    same(np.delete(every, 5, axis=1), np.delete(given, 5, axis=1))


@pytest.mark.parametrize("noise", [np.positive, np.exp, np.sinh], ids=["normal", "skewed", "heavy"])
def test_intervals_given_known_labels_cover_what_they_say_whatever_the_errors(noise):
    """Errors are increasing functions of normal ones, so that a Gaussian copula is the truth."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2500, 2))
    Y = X + noise(rng.normal(size=(2500, 2)) @ np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]]).T)
    model = MultiTaskVAERegressor(**{**QUICK, "max_iter": 30}).fit(X[:1000], Y[:1000])
    known = np.where(np.arange(2) == 0, Y, np.nan)[1000:]
    lower, upper = model.predict_interval(X[1000:], y_observed=known)
    covered = ((lower <= Y[1000:]) & (Y[1000:] <= upper))[:, 1].mean()
    assert 0.86 < covered < 0.94


def test_sets_given_known_labels_cover_what_they_say():
    X, Y = rows(2500)
    labels = np.digitize(Y, [-1.5, 0.0, 1.0])
    model = MultiTaskVAEClassifier(**{**QUICK, "max_iter": 30}).fit(X[:1000], labels[:1000])
    known = np.where(np.arange(3) > 0, labels, None)[1000:]
    plain, sets = (model.predict_set(X[1000:], y_observed=own)[0] for own in (None, known))
    assert sets[np.arange(1500), labels[1000:, 0]].mean() > 0.88
    assert sets.any(axis=1).all()
    assert sets.sum() < plain.sum()


def test_labels_that_say_nothing_of_others_change_nothing():
    """Not even a bit: sets end at a probability that occurs."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(80, 2)), rng.integers(4, size=(80, 2))
    model = MultiTaskVAEClassifier(**QUICK).fit(X, labels)
    model._fitted.average.copula.correlation[:] = np.eye(2)
    known = np.where(np.arange(2) == 0, labels, None)
    same(model.predict_set(X)[1], model.predict_set(X, y_observed=known)[1])
    same(model.predict(X)[:, 1], model.predict(X, y_observed=known)[:, 1])


@pytest.mark.parametrize("family", ["gamma", "log_normal", "continuous_bernoulli", [(0, 9), (0, 9)]], ids=str)
def test_predictions_given_known_labels_stay_in_the_support(family):
    X, Y = rows(80, 2)
    Y = np.exp(Y) if family in ("gamma", "log_normal") else 1 / (1 + np.exp(-Y))
    model = MultiTaskVAERegressor(**QUICK, task_likelihoods=family).fit(X, Y)
    low, high = (0.0, 1.0) if family == "continuous_bernoulli" else (0.0, 9.0 if isinstance(family, list) else np.inf)
    for label in (Y.min(), Y.max()):
        known = np.tile([label, np.nan], (80, 1))
        mean, (lower, upper) = model.predict(X, y_observed=known), model.predict_interval(X, y_observed=known)
        assert (mean >= low).all()
        assert (mean <= high).all()
        assert (lower <= upper).all()


def test_regions_of_many_tasks_and_few_rows_are_not_far_too_large():
    held, squares = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(540, 2)), rng.normal(size=(540, 12))
        model = MultiTaskVAERegressor(**QUICK).fit(X[:40], Y[:40])
        region = model.predict_region(X[40:])
        held.append(region.contains(Y[40:]).mean())
        squares.append(region.deviance)
    assert 0.8 < np.mean(held) < 0.95
    assert np.mean(squares) < 30  # 18.5 for known deviations


def test_regions_of_whole_rows_hold_what_they_say_although_few_were_whole():
    held, gains = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(1100, 3))
        Y = (
            X @ rng.normal(size=(3, 5))
            + np.sqrt(0.6) * rng.normal(size=(1100, 1))
            + np.sqrt(0.4) * rng.normal(size=(1100, 5))
        )
        train = np.where(rng.random(Y.shape) < 0.6, np.nan, Y)
        model = MultiTaskVAERegressor(**{**QUICK, "max_iter": 30}).fit(X[:100], train[:100])
        held.append(model.predict_region(X[100:]).contains(Y[100:]).mean())
        known = Y[100:].copy()
        known[:, 0] = np.nan
        errors = [np.square(Y[100:, 0] - model.predict(X[100:], y_observed=own)[:, 0]).mean() for own in (None, known)]
        gains.append(errors[1] / errors[0])
    assert 0.85 < np.mean(held) < 0.96
    assert min(held) > 0.7
    assert max(gains) < 1.05


def test_one_column_of_labels_gives_one_column():
    X, Y = rows()
    model = MultiTaskVAERegressor(**QUICK).fit(X, Y[:, 0])
    assert model.predict_samples(X[:5], 3, random_state=0).shape == (3, 5)
    known = np.where(np.arange(5) < 2, Y[:5, 0], np.nan)
    np.testing.assert_array_equal(model.predict(X[:5], y_observed=known)[:2], Y[:2, 0])
    same(model.predict(X[:5], y_observed=known)[2:], model.predict(X[:5])[2:])
    assert model.predict_region(X[:5]).contains(model.predict(X[:5])).all()
    np.testing.assert_array_equal(model.which_next(X[:5]), np.zeros((5, 1)))


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_regions_hold_new_rows_at_once_where_intervals_do_not(missing):
    X, Y = rows(1500)
    train = np.where(np.random.default_rng(3).random(Y.shape) < missing, np.nan, Y)
    model = MultiTaskVAERegressor(**{**QUICK, "max_iter": 30}).fit(X[:500], train[:500])
    region = model.predict_region(X[500:])
    assert 0.87 < region.contains(Y[500:]).mean() < 0.93
    lower, upper = model.predict_interval(X[500:])
    assert ((lower <= Y[500:]) & (Y[500:] <= upper)).all(axis=1).mean() < 0.87
    together = ((region.lower <= Y[500:]) & (Y[500:] <= region.upper)).all(axis=1)
    assert 0.87 < together.mean() < 0.94
    box = np.subtract(*model.predict_interval(X[500:], 1 - 0.1 / 3)[::-1]).prod(axis=1)
    assert (region.volume < box).mean() > 0.95
    assert ((region.upper - region.lower).prod(axis=1) < box).mean() > 0.95


def test_regions_of_skewed_errors_are_where_the_density_is_high():
    """Exponential errors: between the smallest region, a triangle, and the circle that holds as many."""
    held, volumes = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(1300, 2))
        Y = X + rng.exponential(size=(1300, 2))
        region = MultiTaskVAERegressor(**{**QUICK, "max_iter": 30}).fit(X[:300], Y[:300]).predict_region(X[300:])
        held.append(region.contains(Y[300:]).mean())
        volumes.append(region.volume.mean())
    circle = np.pi * np.quantile(
        np.square(np.random.default_rng(0).exponential(size=(100_000, 2)) - 1).sum(axis=1), 0.9
    )
    assert 0.87 < np.mean(held) < 0.94
    assert stats.gamma(2).ppf(0.9) ** 2 / 2 < np.mean(volumes) < 0.8 * circle


def test_a_region_of_mixed_tasks_is_of_their_numbers():
    model, X, Y = mixed()
    region = model.predict_region(X)
    assert region.task_names == ["number", "count"]
    assert 0.8 < region.contains(Y).mean() <= 1
    assert (region.lower[:, 1] >= 0).all()
    assert not hasattr(classifier()[0], "predict_region")
    assert not hasattr(MultiTaskVAE(**QUICK).fit(X, Y[["class", "yes"]]), "predict_region")


def test_what_to_measure_next_is_the_explained_part_of_the_variance():
    """For numbers, the squared partial correlation."""
    model, X, Y = regressor()
    R = model._fitted.average.copula.correlation
    found = model.which_next(X[:2])
    np.testing.assert_allclose(found[0], [(R[t] ** 2).sum() / 2 - 0.5 for t in range(3)], atol=1e-6)
    given = model.which_next(X[:2], y_observed=np.where(np.arange(3) == 2, Y, np.nan)[:2])
    partial = (R[0, 1] - R[0, 2] * R[1, 2]) / np.sqrt((1 - R[0, 2] ** 2) * (1 - R[1, 2] ** 2))
    np.testing.assert_allclose(given[:, :2], partial**2, atol=1e-6)
    assert np.isnan(given[:, 2]).all()
    one = model.which_next(X[:2], tasks=["y1"])
    np.testing.assert_allclose(one[0], [R[0, 1] ** 2, 0.0, R[1, 2] ** 2], atol=1e-6)
    same(one, model.which_next(X[:2], tasks=[1]))
    for tasks in ("y1", [], 1):
        with pytest.raises(ValueError, match="tasks must be a list"):
            model.which_next(X[:2], tasks=tasks)


def test_a_class_is_worth_less_than_the_number_behind_it():
    model, X, _ = mixed()
    worth = model.which_next(X[:50], tasks=["number"])
    assert (worth[:, 0] == 0).all()
    assert ((worth >= 0) & (worth <= 1)).all()
    strength = model._fitted.average.copula.correlation[0] ** 2
    assert (worth[:, 1:] < strength[1:] + 1e-9).all()


@pytest.mark.parametrize("verb", ["predict", "predict_samples", "which_next"])
@pytest.mark.parametrize(
    ("known", "message"),
    [
        (np.zeros((5, 2)), "3 columns, one per task. Got 2"),
        (np.zeros((4, 3)), "inconsistent numbers"),
        (np.full((5, 3), np.inf), "y_observed.*infinity"),
        ([["a", "b", "c"]] * 5, "y_observed.*Task 'y0'"),
        (pd.DataFrame(np.zeros((5, 3)), columns=["y2", "y1", "y0"]), "columns"),
    ],
)
def test_known_labels_of_another_form_are_refused(verb, known, message):
    model, X, _ = regressor()
    with pytest.raises(ValueError, match=message):
        getattr(model, verb)(X[:5], y_observed=known)


def test_known_labels_that_fit_would_reject_are_refused():
    model, X, Y = mixed()
    for name, value, message in [("count", -1, "count"), ("class", "none", "class")]:
        known = Y[:5].astype(object)
        known[name] = value
        with pytest.raises(ValueError, match=message):
            model.predict(X[:5], y_observed=known)


def test_without_held_out_rows_the_error_says_what_is_needed():
    X, Y = rows()
    model = MultiTaskVAERegressor(**{**QUICK, "n_estimators": 1}).fit(X, Y)
    for ask in (
        lambda: model.predict_samples(X),
        lambda: model.predict(X, y_observed=Y),
        lambda: model.predict_region(X),
        lambda: model.which_next(X),
    ):
        with pytest.raises(ValueError, match="needs rows that were held out"):
            ask()


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "many"])
def test_a_number_of_draws_must_be_one(n_samples):
    model, X, _ = regressor()
    with pytest.raises((ValueError, TypeError), match="n_samples"):
        model.predict_samples(X, n_samples)


def test_a_single_model_with_held_out_rows_has_joint_answers():
    model, X, Y = regressor(**SINGLE)
    known = np.where(np.arange(3) > 0, Y, np.nan)
    plain, given = (np.mean((model.predict(X, y_observed=own)[:, 0] - Y[:, 0]) ** 2) for own in (None, known))
    assert given < plain
    assert np.isfinite(model.predict_samples(X[:5], 2, random_state=0)).all()


def test_a_constant_task_stays_constant():
    X, Y = rows()
    Y[:, 1] = 7.0
    model = MultiTaskVAERegressor(**QUICK).fit(X, Y)
    drawn = model.predict_samples(X[:5], 10, random_state=0)
    np.testing.assert_allclose(drawn[..., 1], 7.0)
    known = np.where(np.arange(3) == 1, Y, np.nan)
    np.testing.assert_allclose(model.predict(X, y_observed=known), np.where(np.arange(3) == 1, 7.0, model.predict(X)))
    assert np.isfinite(model.predict_region(X).volume).all()


@pytest.mark.slow
@pytest.mark.parametrize("moments", ["of the truth", "of least squares"])
def test_the_linear_normal_model_gives_the_closed_form(moments):
    """20,000 rows with a third of the labels missing: conditional means and covariances within 1 percent.

    Those of least squares have the same sampling error as ours; the truth is within twice that.
    """
    rng, n = np.random.default_rng(0), 20_000
    R = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
    slope, scale = np.array([[2.0, 1.5, -1.0], [-1.0, 2.0, 2.0]]), np.array([1.0, 10.0, 0.1])
    X = rng.normal(size=(n + 2000, 2))
    Y = (X @ slope + rng.normal(size=(n + 2000, 3)) @ np.linalg.cholesky(R).T) * scale
    observed = np.where(rng.random((n, 3)) < 1 / 3, np.nan, Y[:n])
    options = {"hidden_layer_sizes": (), "n_estimators": 10, "member_params": None, "random_state": 0}
    model = MultiTaskVAERegressor(**options).fit(X[:n], observed)
    center, covariance = X @ slope * scale, R * np.outer(scale, scale)
    if moments == "of least squares":
        for task, labels in enumerate(observed.T):
            seen = ~np.isnan(labels)
            center[:, task] = X @ np.linalg.lstsq(X[:n][seen], labels[seen], rcond=None)[0]
        rest = pd.DataFrame(observed - center[:n])
        covariance = rest.corr().to_numpy() * np.outer(rest.std(), rest.std())
    X, Y, center = X[n:], Y[n:], center[n:]
    unit, tolerance = Y.std(axis=0), 0.02 if moments == "of the truth" else 0.01
    for known in ([0], [1, 2], [2]):
        others = np.setdiff1d(range(3), known)
        gain = covariance[np.ix_(others, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
        expected = center[:, others] + (Y - center)[:, known] @ gain.T
        left = covariance[np.ix_(others, others)] - gain @ covariance[np.ix_(known, others)]
        given = np.where(np.isin(np.arange(3), known), Y, np.nan)
        mean, std = model.predict(X, return_std=True, y_observed=given)
        away = np.sqrt(((mean[:, others] - expected) ** 2).mean(axis=0)) / unit[others]
        assert (away < 0.01).all(), away
        np.testing.assert_allclose(std[:, others].mean(axis=0), np.sqrt(np.diag(left)), rtol=tolerance)
        drawn = model.predict_samples(X[:400], 1000, y_observed=given[:400], random_state=0)[..., others]
        found = np.cov((drawn - mean[:400, others]).reshape(-1, len(others)).T).reshape(len(others), -1)
        of_noise = np.outer(scale[others], scale[others])
        np.testing.assert_allclose(found / of_noise, left / of_noise, atol=tolerance)


def test_known_labels_that_say_nothing_of_others_are_a_warning():
    """No row has labels of both tasks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = x[:, :2] + rng.normal(size=(40, 2))
    apart = np.where((np.arange(40) % 2)[:, None] == [0, 1], y, np.nan)
    model = MultiTaskVAERegressor(2, n_estimators=3, member_params=None, cv=3, max_iter=2, random_state=0)
    known = np.column_stack([np.full(40, np.nan), y[:, 1]])
    with pytest.warns(UserWarning, match="Fewer than 10 held-out rows have labels of two tasks"):
        given = model.fit(x, apart).predict(x, y_observed=known)
    np.testing.assert_array_equal(given[:, 0], model.predict(x)[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(x, y_observed=np.full((40, 2), np.nan))
        model.fit(x, y).predict(x, y_observed=known)
