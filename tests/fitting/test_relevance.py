"""The relevances of columns: idle columns have little, whatever the targets are, and held-out labels do not count."""

import numpy as np
import pytest
from sklearn.metrics import log_loss

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting.plan import plan
from sklearn_mtae._fitting.relevance import outputs_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 12))
Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 1] * X[:, 2]])
SETTINGS = {"n_estimators": 4, "embedding": "weighted", "max_iter": 1, "random_state": 0}


def weights_of(model, y=Y, **options):
    """Return the weights of the columns in each model of a fit that is about to begin."""
    members = plan(model._recipe(), X, y, None, **options).members
    return [member.model.encoder[0].weights[:12].numpy() for member in members], members


@pytest.mark.parametrize("kind", ["numbers", "gaps", "classes", "words"])
@pytest.mark.parametrize("embedding", ["weighted", "weighted_bins"])
def test_idle_columns_have_little(kind, embedding):
    y = {"gaps": np.where(RNG.random(Y.shape) < 0.4, np.nan, Y), "classes": Y > 0, "words": np.where(Y > 0, "a", "b")}
    of_classes = kind in ("classes", "words")
    model = (MultiTaskVAEClassifier if of_classes else MultiTaskVAERegressor)(**{**SETTINGS, "embedding": embedding})
    for weights in weights_of(model, y.get(kind, Y))[0]:
        assert weights.max() == pytest.approx(1)
        assert weights[3:].max() < 0.5 * weights[:3].min()


@pytest.mark.parametrize("factors", [[1e-200, 1.0], [1.0, 1e9], [-3.0, 1.0]])
def test_units_of_targets_do_not_matter(factors):
    plain, _ = weights_of(MultiTaskVAERegressor(**SETTINGS))
    found, _ = weights_of(MultiTaskVAERegressor(**SETTINGS), Y * factors + [0.0, 5.0])
    np.testing.assert_allclose(found, plain, rtol=1e-4)


def test_labels_that_a_model_holds_out_do_not_count():
    model = MultiTaskVAERegressor(**SETTINGS)
    before, members = weights_of(model)
    y = Y.copy()
    y[members[0].held_out] = RNG.normal(size=(len(members[0].held_out), 2))
    # Units of the targets and folds stay: these depend on which labels there are, not on what they are.
    after, _ = weights_of(model, y)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-6)
    assert np.abs(after[-1] - before[-1]).max() > 1e-3  # of another fold


def test_outputs_have_no_mean_and_numbers_a_deviation_of_one():
    weight = RNG.integers(0, 3, 200).astype(float)
    numbers = outputs_of(np.where(weight > 0, Y[:, 0], np.nan), weight, False)
    classes = outputs_of(RNG.integers(0, 3, 200).astype(float), weight, True)
    assert classes.shape == (200, 3)
    for found in (numbers, classes):
        np.testing.assert_allclose(weight @ found, 0, atol=1e-12)
        assert (found[weight == 0] == 0).all()
    assert np.average(numbers[:, 0] ** 2, weights=weight) == pytest.approx(1)
    assert (outputs_of(np.full(5, 3.0), np.ones(5), False) == 0).all()


def test_classes_are_told_apart_in_spite_of_idle_columns():
    x, new = RNG.normal(size=(300, 40)), RNG.normal(size=(1000, 40))
    y, expected = (own[:, 0] * own[:, 1] > 0 for own in (x, new))
    settings = {"n_estimators": 4, "max_iter": 30, "random_state": 0}
    losses = [
        log_loss(expected, MultiTaskVAEClassifier(**settings, **own).fit(x, y).predict_proba(new))
        for own in ({"member_params": None, "embedding": name} for name in ("softened", "weighted"))
    ]
    assert losses[1] < 0.8 * losses[0]
