"""scikit-learn's own checks, over every public estimator."""

from inspect import signature

import pytest
from sklearn.utils.estimator_checks import (
    check_classifiers_train,
    check_estimator,
    check_regressors_train,
    parametrize_with_checks,
)

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    VAEImputer,
    VAETransformer,
)
from tests.conftest import EVERY

WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
REASONS = {
    "AutoencoderTransformer": "shuffled mini-batches: a row of weight 2 is in one batch, two equal rows are in two",
    "VAETransformer": "each row draws a code of its own: a row of weight 2 draws one, two equal rows draw two",
    "MultiTaskVAE": "each row draws a code of its own: a row of weight 2 draws one, two equal rows draw two",
    "MultiTaskVAEClassifier": "each row draws a code of its own: a row of weight 2 draws one, two equal rows draw two",
    "MultiTaskVAERegressor": "each row draws a code of its own: a row of weight 2 draws one, two equal rows draw two",
    "OutlierDetector": "each member draws rows: a row of weight 2 is in one draw, two equal rows are in two",
}


IMPUTER = {"estimator": VAETransformer(2, hidden_layer_sizes=(8,), max_iter=3), "n_importance_samples": 50}
DETECTOR = {"estimator": VAETransformer(2, hidden_layer_sizes=(8,), max_iter=1), "n_estimators": 1}
QUICK = {"hidden_layer_sizes": (16,), "max_iter": 15, "learning_rate_init": 0.05, "batch_size": None}
OWN = {
    VAEImputer: IMPUTER,
    OutlierDetector: DETECTOR,
    MultiTaskVAE: {"n_estimators": 1, **QUICK, "max_iter": 2},
    MultiTaskVAERegressor: {"n_estimators": 1, **QUICK},
    MultiTaskVAEClassifier: {"n_estimators": 1, **QUICK},
}
"""What makes a model quick to fit; one of the checks asks the classifier for a thousand epochs."""


def expected_failures(estimator):
    reason = REASONS.get(type(estimator).__name__)
    return {WEIGHTS: reason} if reason else {}


# An expected failure that passes fails the test; scikit-learn before 1.8 has no word for it.
STRICT = {"xfail_strict": True} if "xfail_strict" in signature(parametrize_with_checks).parameters else {}


# As they are by default but for what takes long: epochs, members of the ensemble, the imputer's model.
FEW = {
    VAEImputer: IMPUTER,
    OutlierDetector: DETECTOR,
    MultiTaskVAE: {"n_estimators": 2, "max_iter": 2, "hidden_layer_sizes": (16,)},
    MultiTaskVAERegressor: {"n_estimators": 2, "max_iter": 5},
    MultiTaskVAEClassifier: {"n_estimators": 2, "max_iter": 10},
}
CHECKED = [estimator(**FEW.get(estimator, {})) for estimator in EVERY]


ONE_CLASS = pytest.mark.filterwarnings("ignore:Task .* has one class:UserWarning")
"""scikit-learn's checks of labels of one class take an error or predictions of it, and look for no warning."""


@ONE_CLASS
@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures, **STRICT)
def test_common_checks(estimator, check):
    check(estimator)


@ONE_CLASS
@pytest.mark.parametrize("estimator", EVERY)
def test_public_check_estimator(estimator):
    """The same checks through the other door, of models that are quick to fit."""
    model = estimator(**OWN.get(estimator, QUICK))
    expected = expected_failures(model)
    results = check_estimator(model, expected_failed_checks=expected, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(expected)
    assert not [result for result in results if result["status"] == "failed"]


@pytest.mark.parametrize(
    ("check", "estimator"),
    [
        (check_regressors_train, MultiTaskVAERegressor(n_estimators=1)),
        (check_classifiers_train, MultiTaskVAEClassifier(n_estimators=1)),
    ],
)
def test_single_models_learn_by_default(check, estimator):
    check(type(estimator).__name__, estimator)


def test_weights_are_repetitions_where_nothing_is_drawn():
    """The expected failure holds by what it says: with full batches in float64 the check passes."""
    from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data as check

    check("AutoencoderTransformer", AutoencoderTransformer(batch_size=None, dtype="float64", max_iter=50))
