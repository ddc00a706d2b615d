"""The part of the deviance that is explained is scikit-learn's where nothing is missing."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as complete
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mtae.metrics import d2_score, make_task_scorer

RNG = np.random.default_rng(0)
N = 40
PROBABILITIES = RNG.dirichlet(np.ones(3), size=N)
LABELS = np.array(["mid", "low", "high"])[RNG.integers(3, size=N)]
MEAN = RNG.gamma(2.0, size=N)
COUNTS = RNG.poisson(MEAN)
WEIGHT = RNG.integers(1, 4, size=N).astype(float)
CLASSES = ["low", "mid", "high"]


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_each_kind_has_its_deviance(weight):
    truth = pd.DataFrame({"n": RNG.normal(size=N), "c": COUNTS, "g": MEAN + 0.1, "k": LABELS, "b": COUNTS > 1})
    shares = RNG.uniform(0.1, 0.9, size=N)
    predictions = [0.3 * truth["n"].to_numpy(), MEAN, MEAN + 1, PROBABILITIES, shares]
    kinds = ["number", "poisson", "gamma", "categorical", "bernoulli"]
    found = d2_score(
        truth, predictions, labels=[None, None, None, CLASSES, None], likelihoods=kinds, sample_weight=weight,
        multioutput="raw_values",
    )  # fmt: skip
    in_order = PROBABILITIES[:, [2, 0, 1]]  # scikit-learn's are sorted
    expected = [
        complete.r2_score(truth["n"], predictions[0], sample_weight=weight),
        complete.d2_tweedie_score(truth["c"], MEAN, power=1, sample_weight=weight),
        complete.d2_tweedie_score(truth["g"], MEAN + 1, power=2, sample_weight=weight),
        complete.d2_log_loss_score(truth["k"], in_order, labels=sorted(CLASSES), sample_weight=weight),
        complete.d2_log_loss_score(truth["b"], np.column_stack([1 - shares, shares]), sample_weight=weight),
    ]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("kind", ["poisson", "gamma"])
def test_the_deviance_of_labels_far_from_zero_is_their_squared_error(kind):
    """Which it is to first order: where labels differ in the ninth digit, the rest is out of sight."""
    truth = 1.7e9 + np.array([0.0, 1.0, 2.0, 5.0, 6.0])
    prediction = truth + np.array([0.5, 1.0, -1.0, 0.0, 1.0])
    expected = complete.r2_score(truth, prediction)
    assert d2_score(truth, prediction, likelihoods=[kind]) == pytest.approx(expected, rel=1e-6)
    assert d2_score(truth / 1e300, prediction / 1e300, likelihoods=[kind]) == pytest.approx(expected, rel=1e-6)


def test_no_mean_is_beyond_a_logarithm():
    assert np.isfinite(d2_score([0.0, 1.0, 2.0], [0.0, 0.0, 1e300], likelihoods=["poisson"]))
    with pytest.raises(ValueError, match=r"y_true must be > 0 .* Got 0"):
        d2_score([0.0, 1.0], [1.0, 1.0], likelihoods=["gamma"])


def test_missing_labels_are_left_out():
    truth = pd.DataFrame({"c": COUNTS.astype(float), "k": LABELS.astype(object)})
    truth.iloc[::3, 0], truth.iloc[1::3, 1] = np.nan, None
    options = {"labels": [None, CLASSES], "likelihoods": ["poisson", None]}
    found = d2_score(truth, [MEAN, PROBABILITIES], **options, multioutput="raw_values")
    for task, (name, prediction) in enumerate({"c": MEAN, "k": PROBABILITIES}.items()):
        known = truth[name].notna().to_numpy()
        own = {option: [values[task]] for option, values in options.items()}
        assert d2_score(truth.loc[known, name], [prediction[known]], **own) == pytest.approx(found[task])


def test_an_unknown_class_has_no_probability():
    eps = np.finfo(float).eps
    found = d2_score(["a", "b"], [np.array([[1.0], [1.0]])], labels=[["a"]])
    assert found == pytest.approx(1 - np.mean([0, -np.log(eps)]) / np.log(2))


def test_tasks_that_do_not_vary_have_no_score():
    with pytest.warns(UndefinedMetricWarning, match="task 'k': all of its labels are 'a'"):
        score = d2_score(pd.DataFrame({"k": ["a", "a"], "n": [1.0, 3.0]}), [np.ones((2, 1)), np.array([1.0, 3.0])])
    assert score == 1


def test_the_scorer_takes_any_estimator():
    """Of classifiers it scores probabilities, of regressors means."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    X = RNG.normal(size=(N, 2))
    numbers, classes = LinearRegression().fit(X, MEAN), LogisticRegression().fit(X, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_task_scorer("d2")(numbers, X, MEAN) == pytest.approx(numbers.score(X, MEAN))
        expected = complete.d2_log_loss_score(LABELS, classes.predict_proba(X))
        assert make_task_scorer("d2")(classes, X, LABELS) == pytest.approx(expected)


def test_options_are_checked():
    with pytest.raises(ValueError, match="likelihoods must have one value for each of the 1 tasks"):
        d2_score([1.0, 2.0], [1.0, 2.0], likelihoods=["poisson", None])
    with pytest.raises(ValueError, match=r"a column for each class\. Got 1 for"):
        d2_score(["a", "b"], [np.ones((2, 1))])
