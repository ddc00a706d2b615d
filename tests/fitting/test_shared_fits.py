"""Which fits of a search are one and the same, and that they are then not one object."""

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor
from sklearn_mtae._fitting.shared_fits import SharedFits
from sklearn_mtae.model_selection import StackedGridSearchCV

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(61, 5))
Y = X[:, :2] + 0.1 * RNG.normal(size=(61, 2))


def test_which_fits_are_equal():
    weight, last = np.ones(61), np.eye(61)[:, 60:]
    model = MultiTaskVAERegressor(2, n_estimators=1, **SMALL)
    different = [
        (model, X, Y, None),
        (clone(model).set_params(alpha=0), X, Y, None),
        (clone(model).set_params(n_estimators=2), X, Y, None),
        (model, X[:60], Y[:60], None),
        (model, X.astype(np.float32), Y, None),
        (model, X + last, Y, None),
        (model, X, Y + last, None),
        (model, X, Y, weight),
        (model, X, Y, weight + last[:, 0]),
    ]
    equal = [(clone(model), X.copy(), Y.copy(), None), (model, X, Y, weight.copy())]
    shared = SharedFits()
    shared.is_planning = True
    shared.begin_candidate()
    for estimator, *call in different + equal:
        fitted = clone(estimator)
        fitted._shared = shared
        assert not hasattr(fitted.fit(*call), "n_iter_")
    assert len(shared.plans) == len(different)


def test_fits_that_are_shared_stay_apart():
    """What several candidates have in common is not one object."""
    fitted = []

    def keep(estimator, X, y):
        fitted.append(estimator[0])
        return estimator.score(X, y)

    pipeline = make_pipeline(AutoencoderTransformer(2, **SMALL), Ridge())
    StackedGridSearchCV(pipeline, {"ridge__alpha": [0.1, 1.0]}, scoring=keep, cv=2, refit=False).fit(X, Y)
    one, other = fitted[0], fitted[2]
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    before = other.transform(X)
    one.partial_fit(X)
    one.loss_curve_.append(0.0)
    np.testing.assert_array_equal(other.transform(X), before)
    assert (one.n_iter_, other.n_iter_, len(other.loss_curve_)) == (4, 3, 3)
