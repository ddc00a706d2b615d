"""Searches whose candidates hold parts of the user's, or draw: scores do not depend on how the work is cut up."""

from functools import partial

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting.shared_fits import SharedFits
from sklearn_mtae.model_selection import StackedGridSearchCV
from tests.engine.test_contents import Clip, coders, identity
from tests.stacks import Noiseless

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "dtype": "float64", "random_state": 0, "learning_rate_init": 0.01}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(61, 5)) @ RNG.normal(size=(5, 5))
Y = X[:, :2] + 0.1 * RNG.normal(size=(61, 2))
CLIPPED = [partial(coders, make=partial(Clip, kept=limit, read=identity)) for limit in (0.1, 10.0)]


def thinned(x, generator=None, *, keep):
    """Return `x` times numbers from the middle of a long array."""
    return x * torch.as_tensor(keep[1000 : 1000 + x.shape[-1]], dtype=x.dtype)


KEPT = [np.where(np.arange(2001) < 1003, 1.0, value) for value in (0.0, 1.0)]


@pytest.mark.parametrize(
    "grid",
    [
        {"architecture": CLIPPED},
        {"architecture": CLIPPED[::-1]},
        {"corruption": [partial(thinned, keep=own) for own in KEPT]},
        # What cannot be pickled is told apart by its content as well.
        {"corruption": [partial(lambda x, generator, f, **own: f(x, **own), f=thinned, keep=own) for own in KEPT]},
    ],
    ids=["architecture", "architecture turned round", "corruption", "unnamed corruption"],
)
def test_parts_of_the_user(grid):
    model = AutoencoderTransformer(2, **SMALL)
    stacked, plain = (kind(model, grid, cv=2).fit(X) for kind in (StackedGridSearchCV, GridSearchCV))
    assert abs(np.diff(plain.cv_results_["mean_test_score"])) > 1e-3
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(stacked.cv_results_[name], plain.cv_results_[name], rtol=1e-8)
    assert stacked.n_stacked_ == 4


@pytest.mark.parametrize("turned", [False, True])
def test_members_with_parts_of_the_user(turned):
    members = [{"architecture": architecture} for architecture in CLIPPED[:: -1 if turned else 1]]
    model = MultiTaskVAERegressor(2, **SMALL, posterior=Noiseless, n_estimators=2, member_params=members)
    stacked = clone(model).fit(X, Y)
    with pytest.warns(UserWarning, match="members are trained one after the other"):
        plain = clone(model).set_params(net_params={"callbacks": []}).fit(X, Y)
    np.testing.assert_allclose(stacked.predict(X), plain.predict(X), rtol=1e-8)


def test_fits_that_differ_in_a_long_array_are_two():
    unnamed = [partial(lambda x, generator, keep: x, keep=own) for own in (*KEPT, KEPT[0].copy())]
    shared = SharedFits()
    shared.is_planning = True
    shared.begin_candidate()
    for corruption in unnamed[:2]:
        model = AutoencoderTransformer(2, **SMALL, corruption=corruption)
        model._shared = shared
        model.fit(X)
    assert len(shared.plans) == 2


def test_fits_of_two_classes_of_one_name_stay_of_their_class():
    def subclass(factor):
        class Own(AutoencoderTransformer):
            def transform(self, X):
                return factor * super().transform(X)

        return Own(2, **SMALL)

    def score(pipeline, X, y=None):
        return np.abs(pipeline.transform(X)).mean()

    grid = {"code": [subclass(1.0), subclass(2.0)]}
    search = StackedGridSearchCV(Pipeline([("code", "passthrough")]), grid, scoring=score, cv=2, refit=False).fit(X)
    one, two = search.cv_results_["mean_test_score"]
    assert two == pytest.approx(2 * one)


def test_a_fit_that_goes_on_is_none_that_was_prepared():
    """A scorer that takes a candidate's training up gets more epochs, as without a stack."""
    model = AutoencoderTransformer(2, **SMALL, warm_start=True)

    def score(estimator, X, y=None):
        return clone(estimator).fit(X).n_iter_ + 100 * estimator.fit(X).n_iter_

    searches = [kind(model, {"alpha": [0.0, 1.0]}, cv=2, scoring=score) for kind in (StackedGridSearchCV, GridSearchCV)]
    stacked, plain = (search.fit(X) for search in searches)
    np.testing.assert_array_equal(stacked.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


GRID = {"alpha": [0.0, 3.0], "beta": [0.1, 1.0], "hidden_layer_sizes": [(8,), (4,)]}
DRAWING = VAETransformer(2, **{**SMALL, "dtype": "float32"}, dropout=0.3, corruption="masking")


def scores(grid=GRID, model=DRAWING, y=None, **options):
    """Return the scores in each fold by the candidate."""
    search = StackedGridSearchCV(model, grid, **{"cv": 2, "refit": False, **options}).fit(X, y)
    assert search.n_stacked_ == 2 * len(search.cv_results_["params"])
    folds = zip(*(search.cv_results_[f"split{k}_test_score"] for k in range(2)), strict=True)
    return {str(sorted(own.items())): fold for own, fold in zip(search.cv_results_["params"], folds, strict=True)}


@pytest.fixture
def several_stacks(monkeypatch):
    """So small a cache that a kind of models makes several stacks."""
    monkeypatch.setattr(stacking, "STACK_CELLS", 1)
    monkeypatch.setattr(stacking, "STACK_MODELS", 3)


def test_draws_do_not_depend_on_the_number_of_jobs_nor_on_processes(several_stacks):
    expected = scores(n_jobs=1)
    for n_jobs in (2, 3, 20):
        with parallel_config(backend="threading", n_jobs=n_jobs):
            assert scores(n_jobs=None) == expected, n_jobs
    assert scores(n_jobs=2) == expected, "in processes"


def test_draws_do_not_depend_on_processes_for_a_single_stack():
    grid = {"alpha": [0.0, 3.0]}
    with parallel_config(backend="threading", n_jobs=2):
        assert scores(grid, n_jobs=2) == scores(grid, n_jobs=1)


def test_draws_do_not_depend_on_the_order_of_the_candidates(several_stacks):
    assert scores({name: values[::-1] for name, values in reversed(GRID.items())}) == scores()


def test_draws_of_ensembles_are_those_of_their_own_fit(several_stacks):
    model = MultiTaskVAERegressor(2, **SMALL, n_estimators=2, member_params=None)
    grid = {"reconstruction_weight": [0.1, 1.0, 2.0]}
    plain = GridSearchCV(model, grid, cv=2, refit=False).fit(X, Y)
    expected = plain.cv_results_["mean_test_score"]
    for n_jobs in (1, 2, 3):
        with parallel_config(backend="threading", n_jobs=n_jobs):
            stacked = StackedGridSearchCV(model, grid, cv=2, refit=False).fit(X, Y)
        np.testing.assert_array_equal(stacked.cv_results_["mean_test_score"], expected, err_msg=f"{n_jobs} jobs")


@pytest.mark.parametrize("n_threads", [1, 2])
def test_draws_do_not_depend_on_the_number_of_threads(n_threads):
    """A process of several has fewer threads than a single one."""
    expected, before = scores(), torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        assert scores() == expected
    finally:
        torch.set_num_threads(before)
