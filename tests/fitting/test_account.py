"""What a fit says of itself is what it has made and chosen."""

import re

import numpy as np
import pytest

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._fitting import ensemble

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, :2] + 0.1 * RNG.normal(size=(60, 2))


def regressor(**params):
    return MultiTaskVAERegressor(2, **{"max_iter": 4, "n_estimators": 6, "random_state": 0, **params})


def test_models_are_told_with_what_differs():
    settings = [{"alpha": 0.0, "max_iter": 2, "dropout": 0.25}, {"alpha": 0.5, "max_iter": 2, "dropout": 0.25}]
    model = regressor(member_params=settings).fit(X, Y)
    first, *tasks = model.describe().splitlines()
    assert first.startswith("6 models for 60 rows: ")
    common, _, differing = first.partition(", in turn ")
    assert "dropout=0.25" in common
    assert "max_iter=2" in common
    assert differing == "(1) alpha=0.0; (2) alpha=0.5"
    assert [line.partition(":")[0] for line in tasks] == model.task_names_


@pytest.mark.parametrize("cv", [None, [(np.arange(40), np.arange(40, 60))]])
def test_weights_are_those_of_the_average(cv):
    """Sums by setting and epoch, of states that are found anew by training for so many epochs."""
    model = regressor(cv=cv).fit(X, Y)
    fitted = model._fitted
    of_state = [(k % 3 + 1, 4) for k in range(6)]
    epochs = fitted.epochs[6:]
    of_state += [(k % 3 + 1, epoch) for (k, _), epoch in zip(fitted.average.earlier, epochs, strict=True)]
    for task, line in enumerate(model.describe().splitlines()[1:]):
        told = re.findall(r"\((\d)\) after epoch (\d) by (\d\.\d\d)", line)
        expected: dict = {}
        for key, weight in zip(of_state, fitted.average.weights[:, task], strict=True):
            expected[key] = expected.get(key, 0.0) + weight
        assert {(int(k), int(epoch)): float(share) for k, epoch, share in told} == pytest.approx(
            {key: share for key, share in expected.items() if share >= 0.005}, abs=0.006
        )
    if cv is None:
        for (k, state), epoch in zip(fitted.average.earlier, epochs, strict=True):
            # Nothing is annealed in a table of few rows: an earlier state is the end of a shorter training.
            shorter = regressor(max_iter=epoch).fit(X, Y)._fitted.states[k]
            assert all(np.array_equal(shorter[name], value) for name, value in state.items())


def test_why_a_single_model_stands_for_an_ensemble(monkeypatch):
    monkeypatch.setattr(ensemble, "WIDE", 2)
    model = MultiTaskVAEClassifier(2, max_iter=1, random_state=0).fit(X, X[:, 0] > 0)
    assert model.describe().startswith("1 model for 60 rows, since there are more than 2 columns: ")
    with pytest.raises(ValueError, match=r"n_estimators='auto' \(one, since there are more than 2 columns\)"):
        model.predict_set(X)
    assert "since" not in regressor(n_estimators=1).fit(X, Y).describe()
