"""Successive halving that goes on with what it has trained, against scikit-learn's, which starts anew each time."""

import pickle

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.model_selection._search_successive_halving import HalvingGridSearchCV, HalvingRandomSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._engine.net import Net
from sklearn_mtae.model_selection import (
    StackedGridSearchCV,
    StackedHalvingGridSearchCV,
    StackedHalvingRandomSearchCV,
    TaskKFold,
)
from tests.model_selection.test_stacked_search import (
    GROUPS,
    SMALL,
    WEIGHT,
    X,
    Y,
    assert_same,
    autoencoder,
    error,
    errors,
    pipeline,
    regressor,
    y,
)
from tests.stacks import Noiseless, raise_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

GRID = {"code__alpha": [0, 3], "code__learning_rate_init": [0.001, 0.01]}
ATTRIBUTES = (
    "n_resources_",
    "n_candidates_",
    "n_remaining_candidates_",
    "max_resources_",
    "min_resources_",
    "n_iterations_",
    "n_possible_iterations_",
    "n_required_iterations_",
)


class PlainGrid(HalvingGridSearchCV):
    """scikit-learn's search, but for its choice: of all iterations, not of the last one alone."""

    @staticmethod
    def _select_best_index(refit, refit_metric, results):
        scores, iterations = results["mean_test_score"], results["iter"]
        return max(np.flatnonzero(~np.isnan(scores)), key=lambda i: (scores[i], iterations[i]))


class PlainRandom(HalvingRandomSearchCV):
    """The same with random candidates."""

    _select_best_index = PlainGrid.__dict__["_select_best_index"]


def again(value):
    return pickle.loads(pickle.dumps(value))


def assert_same_halving(stacked, plain):
    assert_same(stacked, plain)
    for name in ATTRIBUTES:
        assert getattr(stacked, name) == getattr(plain, name), name
    for name in ("iter", "n_resources"):
        assert stacked.cv_results_[name].tolist() == plain.cv_results_[name].tolist()


def both(estimator, grid, *call, fit=None, **options):
    """Return both searches, fitted; the epochs of four are those of each iteration of scikit-learn's from the start."""
    call, options = call or (X, y), {"cv": 2, "factor": 2, **options}
    resource = {"resource": "code__max_iter" if "code" in estimator.get_params() else "max_iter", "max_resources": 4}
    one_process = {**resource, **options, "n_jobs": None}
    of_rows = options.get("resource") == "n_samples"
    plain = (HalvingGridSearchCV if of_rows else PlainGrid)(estimator, grid, **one_process).fit(*call, **(fit or {}))
    stacked = StackedHalvingGridSearchCV(clone(estimator), grid, **options)
    if not of_rows:
        stacked.estimator.set_params(**{resource["resource"]: 4})
    before = stacked.get_params()
    stacked.fit(*call, **(fit or {}))
    assert all(stacked.get_params()[name] is value for name, value in before.items())
    return stacked, plain


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scoring": error, "return_train_score": False},
        {"aggressive_elimination": True, "min_resources": 3},
        {"min_resources": "smallest", "factor": 3, "cv": [(np.arange(40), np.arange(40, 61))]},
        {"cv": GroupKFold(3), "fit": {"groups": GROUPS}},
        {"fit": {"code__sample_weight": WEIGHT}},
        {"fit": {"head__sample_weight": WEIGHT}},
        {"resource": "n_samples", "max_resources": "auto", "random_state": 0},
        {"resource": "n_samples", "max_resources": 40, "min_resources": 20, "random_state": 0},
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_same_as_from_the_start(options):
    assert_same_halving(*both(pipeline(), GRID, **options))


@pytest.mark.parametrize(
    ("estimator", "grid", "targets"),
    [
        (regressor(early_stopping=True, n_iter_no_change=2, tol=0.1), {"alpha": [0, 1, 3]}, Y),
        (regressor(n_estimators=2), {"reconstruction_weight": [0.1, 1.0]}, np.where(Y > 1, np.nan, Y)),
        (regressor(), {"task_weighting": ["equal", "dwa"], "hidden_layer_sizes": [(4,), (8,)]}, Y),
        (autoencoder(activation="identity", hidden_layer_sizes=()), {"alpha": [0, 1], "batch_size": [10, None]}, None),
    ],
    ids=["early stopping", "ensembles", "several stacks", "components in order"],
)
def test_what_a_training_remembers(estimator, grid, targets):
    assert_same_halving(*both(estimator, grid, X, targets))


def test_stacks_go_on_in_other_processes(monkeypatch):
    """Which are played by threads that get copies, and give copies back."""
    outcomes = stacking._outcomes
    monkeypatch.setattr(stacking, "_outcomes", lambda part: again(outcomes(again(part))))
    with parallel_config(backend="threading", n_jobs=2):
        assert_same_halving(*both(pipeline(early_stopping=True), GRID, refit=False))


def test_labels_that_are_missing():
    classes = np.where(X[:, 2:4] > 1, np.nan, Y > 0)
    model = MultiTaskVAEClassifier(2, n_estimators=1, **SMALL, posterior=Noiseless)
    assert_same_halving(*both(model, {"alpha": [0.1, 1.0, 3.0]}, X, classes, cv=TaskKFold(3)))


@pytest.mark.parametrize("parameters", [{"posterior": "normal"}, {"posterior": "normal", "dropout": 0.2}], ids=str)
def test_the_same_bits_as_a_full_search_where_nothing_is_dropped(parameters):
    """Draws go on too; scikit-learn puts the candidates of an iteration in the order of their scores."""
    model = regressor(**{"max_iter": 8, "dtype": "float32", **parameters})
    halving = StackedHalvingGridSearchCV(model, {"alpha": [0, 3]}, factor=1.4, min_resources=4, cv=2).fit(X, Y)
    assert (halving.n_candidates_, halving.n_resources_) == ([2, 2, 2], [4, 5, 7])
    full = StackedGridSearchCV(model.set_params(max_iter=7), {"alpha": [0, 3]}, cv=2).fit(X, Y)
    ours = {
        candidate["alpha"]: score
        for candidate, score in zip(halving.cv_results_["params"], halving.cv_results_["mean_test_score"], strict=True)
    }
    assert list(map(ours.get, [0, 3])) == full.cv_results_["mean_test_score"].tolist()
    assert halving.n_stacked_ == 4


class StopAt(Callback):
    """Stop after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def schedule(progress):
    return progress**2


def test_schedules_run_over_all_epochs():
    model = regressor(max_iter=4, beta=schedule, posterior=Noiseless)
    search = StackedHalvingGridSearchCV(model, {"alpha": [0, 3]}, factor=2, cv=KFold(2)).fit(X, Y)
    assert search.n_resources_ == [2, 4]
    for candidate, score, epoch in zip(
        *(search.cv_results_[name] for name in ("params", "mean_test_score", "n_resources")), strict=True
    ):
        one = clone(model).set_params(alpha=candidate["alpha"], net_params={"callbacks": [StopAt(epoch)]})
        assert score == pytest.approx(cross_val_score(one, X, Y, cv=KFold(2)).mean(), rel=1e-6)


def test_nothing_is_trained_twice(monkeypatch):
    epochs, run = [], Net.run_single_epoch

    def counted(self, iterator, training, *args, **kwargs):
        epochs.extend([len(self.runs_.runs)] * training)
        return run(self, iterator, training, *args, **kwargs)

    monkeypatch.setattr(Net, "run_single_epoch", counted)
    options = {"factor": 2, "cv": 2, "refit": False, "resource": "code__max_iter", "max_resources": 8}
    search = StackedHalvingGridSearchCV(pipeline(), GRID, **options).fit(X, y)
    assert (search.n_candidates_, search.n_resources_) == ([4, 2, 1], [2, 4, 8])
    assert epochs == [8] * 2 + [4] * 2 + [2] * 4
    assert search.n_stacked_ == 8


def test_random_candidates():
    draws = {"code__alpha": loguniform(0.1, 10), "code__learning_rate_init": [0.001, 0.003, 0.01]}
    options = {"factor": 2, "cv": 2, "random_state": 0, "resource": "code__max_iter", "max_resources": 4}
    for n in ("exhaust", 3):
        stacked = StackedHalvingRandomSearchCV(pipeline(), draws, n_candidates=n, **options).fit(X, y)
        assert_same_halving(stacked, PlainRandom(pipeline(), draws, n_candidates=n, **options).fit(X, y))


@pytest.mark.parametrize(("best", "n_epochs"), [(2, 2), (4, 4), (None, 4)])
def test_the_best_of_all_iterations_is_chosen_and_the_last_of_equal_ones(best, n_epochs):
    def near(estimator, X, y):
        return 0.0 if best is None else -abs(estimator["code"].n_iter_ - best)

    options = {"factor": 2, "cv": 2, "resource": "code__max_iter", "max_resources": 4}
    search = StackedHalvingGridSearchCV(pipeline(), GRID, scoring=near, **options).fit(X, y)
    assert search.n_resources_ == [1, 2, 4]
    assert search.best_params_["code__max_iter"] == n_epochs
    assert search.best_estimator_["code"].n_iter_ == n_epochs
    assert search.best_score_ == 0
    assert search.cv_results_["n_resources"][search.best_index_] == n_epochs


def test_a_rule_chooses_among_all_iterations():
    options = {"factor": 2, "cv": 2, "resource": "max_iter", "max_resources": 2}
    rule = StackedHalvingGridSearchCV(pipeline(), GRID, refit=lambda results: 1, **options).fit(X, y)
    assert rule.best_params_ == {**rule.cv_results_["params"][1], "code__max_iter": 1}
    assert rule.best_score_ == rule.cv_results_["mean_test_score"][1]
    assert rule.best_estimator_["code"].n_iter_ == 1


def test_several_scores():
    options = {"factor": 2, "cv": 2, "resource": "max_iter", "max_resources": 4}
    one = StackedHalvingGridSearchCV(pipeline(), GRID, scoring=error, **options).fit(X, y)
    for scoring in (errors, {"r2": "r2", "absolute": error}):
        several = StackedHalvingGridSearchCV(pipeline(), GRID, scoring=scoring, refit="absolute", **options).fit(X, y)
        assert several.n_candidates_ == [4, 2, 1]
        assert several.best_params_ == one.best_params_
        np.testing.assert_array_equal(several.cv_results_["mean_test_absolute"], one.cv_results_["mean_test_score"])
        assert "mean_test_r2" in several.cv_results_
        assert "mean_test_score" not in several.cv_results_
        with pytest.raises(ValueError, match=r"refit must be the score .* \['.*'\]. Got False"):
            several.set_params(refit=False).fit(X, y)


@pytest.mark.parametrize(
    "grid", [{"code__alpha": [0, -1, 1]}, {"code__learning_rate_init": [0.01, 1e30, 0.001], "code__alpha": [0.1]}]
)
@pytest.mark.filterwarnings("ignore:One or more of the .* scores are non-finite")
def test_candidates_that_fail(grid):
    with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 6"):
        stacked, plain = both(pipeline(), grid, max_resources=64, min_resources=32)
    assert_same_halving(stacked, plain)
    assert np.isnan(stacked.cv_results_["mean_test_score"]).tolist() == [False, True, False, False, False]


@pytest.mark.filterwarnings("ignore:.*fits are done one after the other")
def test_fits_that_do_not_stack():
    assert_same_halving(*both(regressor(), {"task_weighting": ["pcgrad", "equal"]}, X, Y))


def test_what_takes_the_place_of_the_encoder():
    """Fitted as usual, however many epochs it has."""
    grid = {"code": [autoencoder(), make_pipeline(autoencoder())], "code__max_iter": [1]}
    search = StackedHalvingGridSearchCV(pipeline(), grid, cv=2, factor=2, resource="code__max_iter", max_resources=2)
    with pytest.raises(ValueError, match="part of the searched parameters"):
        search.fit(X, y)
    search.set_params(
        param_grid={"code": [autoencoder()], "scale": [AutoencoderTransformer(4, **SMALL), "passthrough"]}
    )
    plain = PlainGrid(pipeline(), cv=2, factor=2, resource="code__max_iter", max_resources=2, param_grid={})
    plain.set_params(param_grid=search.param_grid)
    for results in (search.fit(X, y), plain.fit(X, y)):
        results.cv_results_["params"] = results.best_params_ = str(results.cv_results_["params"])
    assert_same_halving(search, plain)
    assert search.n_stacked_ == 2


@pytest.mark.parametrize(
    ("estimator", "resource", "message"),
    [
        (pipeline(), "head__max_iter", r"'code__max_iter', the epochs of the first encoder, or 'n_samples'. Got 'head"),
        (pipeline(), "code__alpha", "Got 'code__alpha'"),
        (Ridge(), "max_iter", "resource must be 'n_samples'. Got 'max_iter'"),
    ],
)
def test_resources_that_are_none(estimator, resource, message):
    search = StackedHalvingGridSearchCV(estimator, {"alpha": [1, 2]}, resource=resource)
    with pytest.raises(ValueError, match=message):
        search.fit(X, y)
    assert search.resource == resource


def test_interrupt_leaves_the_iterations_that_are_done(monkeypatch):
    grid = {"code__hidden_layer_sizes": [(8,), (4,)], "code__alpha": [0, 3]}
    options = {"cv": 2, "factor": 1.5, "max_resources": 4, "min_resources": 2}
    whole = StackedHalvingGridSearchCV(pipeline(), grid, **options).fit(X, y)
    assert whole.n_candidates_[:2] == [4, 3]

    # Two stacks of four models, then one of four and one of two.
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n_calls: len(stack) == 2)
    search = StackedHalvingGridSearchCV(pipeline(), grid, **options)
    with pytest.warns(UserWarning, match="interrupted by user") as caught:
        search.fit(X, y)
    assert any("of 3 candidates are done" in str(warning.message) for warning in caught)
    n_done = len(search.cv_results_["params"])
    assert 4 <= n_done < 7
    assert search.cv_results_["params"][:4] == whole.cv_results_["params"][:4]
    assert not hasattr(search, "best_estimator_")
    assert (search.n_iterations_, search.refit) == (2, True)
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


def test_copies():
    search, plain = both(pipeline(), GRID)
    assert_same_halving(again(search), plain)
    assert_same_halving(clone(search).fit(X, y), plain)


def test_folds_that_differ_at_each_split():
    """scikit-learn refuses them, since it splits anew at each iteration."""
    cv = KFold(2, shuffle=True)
    search = StackedHalvingGridSearchCV(pipeline(), GRID, cv=cv, factor=2, max_resources=2).fit(X, y)
    assert search.n_stacked_ == 8
