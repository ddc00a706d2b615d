"""Weights that no score can have are an error of every score."""

import inspect

import numpy as np
import pytest

from sklearn_mtae import metrics

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(6, 2))
CLASSES = np.array([[0, 1], [1, 0], [0, 0], [1, 1], [0, 1], [1, 0]])
SHARES = [np.full((6, 2), 0.5)] * 2
SAMPLES = RNG.normal(size=(20, 6, 2))
REGION = type("Region", (), {"contains": lambda self, y: np.ones(len(y), dtype=bool), "task_names": ["y0", "y1"]})()
OF_CLASSES = {
    "accuracy_score": CLASSES,
    "balanced_accuracy_score": CLASSES,
    "log_loss": SHARES,
    "roc_auc_score": SHARES,
}
GIVEN = {"samples": SAMPLES, "lower": Y - 1, "upper": Y + 1, "region": REGION}
WRONG = [(np.nan, ">= 0. Got nan in row 2"), (-1.0, ">= 0. Got -1 in row 2"), (np.inf, "<= "), (1e308, "<= ")]
SCORES = [name for name in metrics.__all__ if "sample_weight" in inspect.signature(getattr(metrics, name)).parameters]


def call(name, sample_weight):
    score, of_classes = getattr(metrics, name), name in OF_CLASSES
    given = {"y_true": CLASSES if of_classes else Y, "y_pred": OF_CLASSES[name] if of_classes else Y + 0.1, **GIVEN}
    asked = inspect.signature(score).parameters
    return score(
        **{parameter: own for parameter, own in given.items() if parameter in asked}, sample_weight=sample_weight
    )


def test_there_are_scores():
    assert {"r2_score", "energy_score", "joint_coverage", "concordance_index"} <= set(SCORES)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=str)
def test_weights_are_checked(name, wrong, message):
    weight = np.ones(6)
    assert np.isfinite(call(name, weight)).all()
    weight[2] = wrong
    with pytest.raises(ValueError, match=f"sample_weight must be {message}"):
        call(name, weight)
