"""Searches that train all candidates as one, against scikit-learn's, which train one after the other."""

import os
import pickle
from functools import partial
from threading import Lock
from typing import ClassVar

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from joblib.parallel import ThreadingBackend
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, QuantileTransformer, StandardScaler
from sklearn.svm import SVR

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting import fit as fitting
from sklearn_mtae.model_selection import StackedGridSearchCV, StackedRandomizedSearchCV, TaskKFold
from tests.stacks import Noiseless, raise_at

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"hidden_layer_sizes": (8,), "max_iter": 3, "dtype": "float64", "random_state": 0, "learning_rate_init": 0.01}
autoencoder = partial(AutoencoderTransformer, 2, **SMALL)
regressor = partial(MultiTaskVAERegressor, 2, n_estimators=1, **SMALL, posterior=Noiseless)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(61, 5)) @ RNG.normal(size=(5, 5))
Y = X[:, :2] + 0.1 * RNG.normal(size=(61, 2))
y = Y[:, 0]
GROUPS = RNG.integers(0, 7, size=61)
WEIGHT = RNG.uniform(0, 2, size=61)
NUMBERS = {"code__alpha": [0, 3], "code__penalty_weight": [0.0, 0.5]}


def pipeline(head=None, **parameters):
    return Pipeline([("scale", StandardScaler()), ("code", autoencoder(**parameters)), ("head", head or Ridge())])


def error(estimator, X, y):
    return -np.abs(estimator.predict(X) - y).mean()


def errors(estimator, X, y):
    return {"absolute": error(estimator, X, y), "r2": estimator.score(X, y)}


@pytest.fixture(scope="module")
def one_by_one():
    """scikit-learn's search over four candidates."""
    return GridSearchCV(pipeline(), NUMBERS, cv=2).fit(X, y)


@pytest.fixture
def single_fits(monkeypatch):
    """The plans of the fits that are made one by one."""
    fitted = []

    def counted(plan, hooks):
        fitted.append(plan)
        return fitting.fit(plan, hooks)

    monkeypatch.setattr("sklearn_mtae._estimators.base.fit", counted)
    return fitted


def assert_same(stacked, plain):
    ours, theirs = stacked.cv_results_, plain.cv_results_
    assert list(ours) == list(theirs)
    assert ours["params"] == theirs["params"]
    for name in theirs:
        if name.startswith(("split", "mean_t", "std_t")):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, atol=1e-9, err_msg=name)
    for name in ("best_params_", "best_index_", "n_splits_", "multimetric_"):
        assert getattr(stacked, name, None) == getattr(plain, name, None), name
    assert hasattr(stacked, "best_score_") == hasattr(plain, "best_score_")
    assert getattr(stacked, "best_score_", 0) == pytest.approx(getattr(plain, "best_score_", 0))
    assert hasattr(stacked, "best_estimator_") == hasattr(plain, "best_estimator_")
    if hasattr(plain, "best_estimator_"):
        np.testing.assert_allclose(stacked.predict(X), plain.predict(X), rtol=1e-6)


def both(estimator, grid, *call, fit=None, **options):
    """Return both searches, fitted."""
    call = call or (X, y)
    one_process = {name: value for name, value in options.items() if name not in ("n_jobs", "pre_dispatch")}
    plain = GridSearchCV(estimator, grid, **{"cv": 2, **one_process}).fit(*call, **(fit or {}))
    stacked = StackedGridSearchCV(estimator, grid, **{"cv": 2, **options})
    before = stacked.get_params()
    stacked.fit(*call, **(fit or {}))
    assert all(stacked.get_params()[name] is value for name, value in before.items())
    return stacked, plain


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_train_score": True},
        {"scoring": ["r2", "neg_mean_squared_error"], "refit": "r2"},
        {"scoring": {"a": "r2", "b": error}, "refit": "b", "return_train_score": True},
        {"scoring": error},
        {"scoring": errors, "refit": "absolute"},
        {"scoring": errors, "refit": False},
        {"refit": False},
        {"refit": lambda results: int(np.argmin(results["mean_test_score"]))},
        {"cv": KFold(4, shuffle=True, random_state=0)},
        {"cv": ShuffleSplit(2, test_size=0.3, random_state=0)},
        {"cv": [(np.arange(40), np.arange(40, 61)), (np.arange(20, 61), np.arange(20))]},
        {"cv": GroupKFold(3), "fit": {"groups": GROUPS}},
        {"fit": {"code__sample_weight": WEIGHT}},
        {"fit": {"head__sample_weight": WEIGHT}},
        {"n_jobs": 2},
        {"n_jobs": 2, "pre_dispatch": 1, "scoring": ["r2"], "refit": "r2"},
    ],
    ids=lambda options: "-".join(options) or "default",
)
def test_same_as_one_by_one(single_fits, options):
    stacked, plain = both(pipeline(), NUMBERS, **options)
    assert_same(stacked, plain)
    n_refits = options.get("refit", True) is not False
    assert stacked.n_stacked_ == 4 * plain.n_splits_
    assert len(single_fits) == 4 * plain.n_splits_ + 2 * n_refits
    assert stacked.stack_time_ > 0


@pytest.mark.parametrize(
    ("grid", "n_stacked"),
    [
        ({"head__alpha": [0.1, 1.0, 10.0]}, 2),
        ({"head__alpha": [0.1, 1.0], "code__alpha": [0, 1]}, 4),
        ([{"head": [SVR()], "head__C": [1, 10]}, {"head": [Ridge()], "code__n_components": [1, 3]}], 6),
        ({"code": [autoencoder(), autoencoder(batch_size=10), PCA(2), "passthrough"]}, 4),
        ({"code": [autoencoder(), regressor()], "scale": [StandardScaler(), PCA(4)]}, 8),
        ({"code__max_iter": [1, 4], "code__early_stopping": [True, False], "code__tol": [0.5]}, 8),
        ({"code__hidden_layer_sizes": [(8,), (4, 4), ()], "code__learning_rate_init": [0.001, 0.01]}, 12),
    ],
)
def test_what_is_trained_together(single_fits, grid, n_stacked):
    stacked = StackedGridSearchCV(pipeline(), grid, cv=2).fit(X, y)
    assert stacked.n_stacked_ == n_stacked
    assert len(single_fits) <= 1
    plain = GridSearchCV(pipeline(), grid, cv=2).fit(X, y)
    for results in (stacked.cv_results_, plain.cv_results_):
        results["params"] = [str(candidate) for candidate in results["params"]]
    stacked.best_params_, plain.best_params_ = (str(search.best_params_) for search in (stacked, plain))
    assert_same(stacked, plain)


class Counted(StandardScaler):
    """Counts its fits, whichever of its copies does it."""

    fits: ClassVar[list[int]] = []

    def fit(self, X, y=None, sample_weight=None):
        Counted.fits.append(len(X))
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("verbose", [False, True])
def test_steps_before_are_fitted_once_for_each_fold_and_setting(verbose):
    """The last fit is that of the best candidate to all rows."""
    estimator = pipeline().set_params(scale=Counted(), verbose=verbose)
    grid = {"code__alpha": [0, 1, 3], "head__alpha": [0.1, 1.0], "scale__with_std": [True, False]}
    Counted.fits.clear()
    search = StackedGridSearchCV(estimator, grid, cv=3).fit(X, y)
    assert len(Counted.fits) == 2 * 3 + 1
    assert search.n_stacked_ == 2 * 3 * 3
    assert search.best_estimator_.memory is None
    assert search.best_estimator_["code"]._shared is None
    plain = GridSearchCV(estimator, grid, cv=3).fit(X, y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], rtol=1e-6)


def test_an_encoder_that_is_frozen_is_left_as_it_is():
    frozen = FrozenEstimator(autoencoder().fit(X))
    model = regressor(encoder=frozen)
    StackedGridSearchCV(model, {"alpha": [0, 3]}, cv=2, refit=False).fit(X, Y)
    assert frozen.estimator._shared is None
    assert model._shared is None


@pytest.mark.filterwarnings("ignore:No fit could be stacked")
def test_an_encoder_within_another_step():
    """Its plan is left while the other step is fitted, which is then fitted again."""
    union = FeatureUnion([("code", autoencoder()), ("as it is", "passthrough")])
    estimator = Pipeline([("scale", StandardScaler()), ("both", union), ("head", Ridge())])
    stacked, plain = both(estimator, {"both__code__alpha": [0, 3]})
    assert_same(stacked, plain)
    assert stacked.n_stacked_ == 4


@pytest.mark.parametrize(
    "steps",
    [
        [PolynomialFeatures(2), StandardScaler(copy=False)],
        [FunctionTransformer(), StandardScaler(copy=False)],
        [PolynomialFeatures(2), FunctionTransformer(lambda X: np.multiply(X, 2, out=X))],
    ],
)
def test_steps_that_write_to_what_they_are_given(steps):
    estimator = make_pipeline(*steps, autoencoder(), Ridge())
    grid = {"ridge__alpha": [1e-3, 100.0], "autoencodertransformer__alpha": [0, 1]}
    stacked, plain = both(estimator, grid, 5 * X + 3, y, refit=False)  # a refit would write to the rows of both
    assert_same(stacked, plain)


class Locked(FunctionTransformer):
    """Holds what cannot be copied once it is fitted."""

    def fit(self, X, y=None):
        self.lock_ = Lock()
        return super().fit(X, y)


def test_steps_that_cannot_be_copied():
    stacked, plain = both(make_pipeline(Locked(), autoencoder(), Ridge()), {"ridge__alpha": [0.1, 10.0]})
    assert_same(stacked, plain)


def test_a_frozen_encoder_in_front():
    frozen = FrozenEstimator(autoencoder().fit(X))
    stacked, plain = both(make_pipeline(frozen, regressor()), {"multitaskvaeregressor__alpha": [0, 1]}, X, Y)
    assert_same(stacked, plain)
    assert stacked.n_stacked_ == 4


def test_nothing_is_left_behind():
    """Neither in what a fit has made nor in pickles: what is fitted later shares nothing."""
    inner = make_pipeline(QuantileTransformer(n_quantiles=10, subsample=20), autoencoder())
    estimator = make_pipeline(ColumnTransformer([("both", inner, [0, 1, 2])]), Ridge())
    search = StackedGridSearchCV(estimator, {"ridge__alpha": [1, 2]}, cv=2).fit(X, y)
    fitted = search.best_estimator_[0].transformers_[0][1]
    assert fitted.memory is None
    assert fitted[-1]._shared is None
    n_bytes = len(pickle.dumps(search))
    clone(fitted).fit(np.ones((5000, 3)))
    assert len(pickle.dumps(search)) == n_bytes


def test_random_candidates():
    draws = {"code__alpha": [0, 1, 3], "code__learning_rate_init": [0.001, 0.003, 0.01], "head__alpha": [0.1, 1, 10]}
    options = {"n_iter": 6, "cv": 2, "random_state": 0, "return_train_score": True}
    stacked = StackedRandomizedSearchCV(pipeline(), draws, **options).fit(X, y)
    assert_same(stacked, RandomizedSearchCV(pipeline(), draws, **options).fit(X, y))
    assert len(stacked.cv_results_["params"]) == 6
    stateful = StackedRandomizedSearchCV(pipeline(), draws, **{**options, "random_state": np.random.RandomState(0)})
    plain = RandomizedSearchCV(pipeline(), draws, **{**options, "random_state": np.random.RandomState(0)})
    assert_same(stateful.fit(X, y), plain.fit(X, y))


@pytest.mark.parametrize(
    ("estimator", "targets"),
    [
        (regressor(), Y),
        (regressor(n_estimators=2), np.where(RNG.random(Y.shape) < 0.2, np.nan, Y)),
        (MultiTaskVAEClassifier(2, n_estimators=1, **SMALL, posterior=Noiseless), y > 0),
        (
            MultiTaskVAEClassifier(2, n_estimators=1, **SMALL, posterior=Noiseless),
            np.array(["a", "b"])[(Y > 0).astype(int)],
        ),
    ],
)
def test_tasks(estimator, targets):
    weights = [0.1, 1.0] if estimator.n_estimators == 1 else [0.1]
    grid = {"reconstruction_weight": weights, "task_weighting": ["equal", "dwa"]}
    stacked = StackedGridSearchCV(estimator, grid, cv=2).fit(X, targets)
    plain = GridSearchCV(estimator, grid, cv=2).fit(X, targets)
    np.testing.assert_allclose(stacked.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(stacked.predict(X), plain.predict(X))
    assert stacked.n_stacked_ == 4 * len(weights)


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_folds_that_differ_at_each_split(single_fits, seed):
    cv = KFold(3, shuffle=True, random_state=seed)
    search = StackedGridSearchCV(pipeline(), NUMBERS, cv=cv, refit=False).fit(X, y)
    assert search.n_stacked_ == 12
    assert single_fits == []
    assert search.cv is cv
    generator = ((rows, rows) for rows in [np.arange(30), np.arange(20, 61)])
    assert StackedGridSearchCV(pipeline(), NUMBERS, cv=generator).fit(X, y).n_stacked_ == 8


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames(kind):
    library = pytest.importorskip(kind)
    frame = library.DataFrame({name: X[:, column] for column, name in enumerate("abcde")})
    search = StackedGridSearchCV(autoencoder(), {"alpha": [0, 3]}, cv=2).fit(frame)
    plain = GridSearchCV(autoencoder(), {"alpha": [0, 3]}, cv=2).fit(frame)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert search.n_stacked_ == 4
    assert list(search.feature_names_in_) == list("abcde")


@pytest.mark.parametrize(
    "grid", [{"code__alpha": [0, -1]}, {"code__learning_rate_init": [0.01, 1e30], "code__max_iter": [15]}]
)
def test_candidates_that_fail(grid, single_fits):
    searches = [kind(pipeline(), grid, cv=2, error_score=-7.0) for kind in (GridSearchCV, StackedGridSearchCV)]
    for search in searches:
        with pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4"):
            search.fit(X, y)
    assert_same(searches[1], searches[0])
    assert searches[1].cv_results_["mean_test_score"][1] == -7
    for search in searches:
        with pytest.raises(ValueError, match=r"'alpha' parameter|must stay finite"):
            search.set_params(error_score="raise").fit(X, y)
        assert search.cv == 2


def test_all_candidates_fail():
    for kind in (GridSearchCV, StackedGridSearchCV):
        with pytest.raises(ValueError, match="All the 2 fits failed"):
            kind(pipeline(), {"code__learning_rate_init": [1e30], "code__max_iter": [15]}, cv=2).fit(X, y)


@pytest.mark.filterwarnings("error")
def test_classes_that_are_missing_need_a_splitter():
    classes = np.where(RNG.random(Y.shape) < 0.2, np.nan, Y > 0)
    search = StackedGridSearchCV(MultiTaskVAEClassifier(2, n_estimators=1, **SMALL), {"alpha": [0.1, 1.0]}, cv=3)
    for y in (classes, classes[:, 0], np.where(np.isnan(classes), None, np.where(Y > 0, "yes", "no"))):
        with pytest.raises(ValueError, match=r"need cv=TaskKFold\(3\). Got cv=3"):
            search.fit(X, y)
    assert search.set_params(cv=TaskKFold(3)).fit(X, classes).n_splits_ == 3


@pytest.mark.filterwarnings("ignore:No fit could be stacked")
def test_errors_in_the_call_are_those_of_scikit_learn():
    for fit in (
        lambda search: search.fit(X, y[:-1]),
        lambda search: search.set_params(scoring="nonsense").fit(X, y),
        lambda search: search.set_params(scoring=["r2"], refit=True).fit(X, y),
        lambda search: search.set_params(param_grid={"code__nonsense": [1]}).fit(X, y),
    ):
        messages = []
        for kind in (GridSearchCV, StackedGridSearchCV):
            with pytest.raises(ValueError, match=r".") as caught:
                fit(kind(pipeline(), NUMBERS, cv=2))
            messages.append(str(caught.value).partition("\n")[0].replace("StackedGrid", "Grid"))
        assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"task_weighting": "pcgrad"}, "4 fits are done one after the other: Aggregation does not stack"),
        ({"net_params": {"optimizer__eps": 1e-7}}, "4 fits are done one after the other: net_params apply to"),
    ],
)
def test_fits_that_do_not_stack(parameters, reason):
    estimator = regressor(**parameters)
    search = StackedGridSearchCV(estimator, {"alpha": [0, 3]}, cv=2)
    with pytest.warns(UserWarning, match=reason):
        search.fit(X, Y)
    plain = GridSearchCV(estimator, {"alpha": [0, 3]}, cv=2).fit(X, Y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert search.n_stacked_ == 0


def test_some_fits_do_not_stack(single_fits):
    grid = {"task_weighting": ["equal", "pcgrad"], "alpha": [0, 3]}
    search = StackedGridSearchCV(regressor(), grid, cv=2, refit=False)
    with pytest.warns(UserWarning, match="4 fits are done one after the other"):
        search.fit(X, Y)
    assert (search.n_stacked_, len(single_fits)) == (4, 4)


def test_estimators_of_others():
    with pytest.warns(UserWarning, match="No fit could be stacked"):
        search = StackedGridSearchCV(Ridge(), {"alpha": [0.1, 1]}, cv=2).fit(X, y)
    assert_same(search, GridSearchCV(Ridge(), {"alpha": [0.1, 1]}, cv=2).fit(X, y))


def test_workers_find_what_has_been_trained_here(single_fits):
    processes = []

    def score(estimator, X, y):
        processes.append(os.getpid())
        return error(estimator, X, y)

    StackedGridSearchCV(pipeline(), NUMBERS, cv=2, n_jobs=2, scoring=score, refit=False).fit(X, y)
    assert processes == [os.getpid()] * 8
    assert single_fits == []


def test_stacks_are_dealt_to_processes(monkeypatch):
    """What is trained elsewhere is not trained here."""
    monkeypatch.setattr(stacking, "_train", None)
    stacked, plain = both(pipeline(), {**NUMBERS, "code__hidden_layer_sizes": [(8,), (4,)]}, n_jobs=2)
    assert_same(stacked, plain)
    assert stacked.n_stacked_ == 16


@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize(("n_models", "n_parts"), [(8, 1), (3, 4), (1, 8)])
def test_how_stacks_are_dealt_out(monkeypatch, one_by_one, n_models, n_parts, n_jobs, in_turn):
    """In the backend of the user's, which may give results back one by one or not; an even number, of equal size."""
    monkeypatch.setattr(ThreadingBackend, "supports_return_generator", in_turn)
    monkeypatch.setattr(stacking, "STACK_CELLS", 1)
    monkeypatch.setattr(stacking, "STACK_MODELS", n_models)
    sizes, train = [], stacking._train

    def counted(members, callbacks):
        sizes.append(len(members))
        return train(members, callbacks)

    monkeypatch.setattr(stacking, "_train", counted)
    with parallel_config(backend="threading", n_jobs=n_jobs):
        stacked = StackedGridSearchCV(pipeline(), NUMBERS, cv=2).fit(X, y)
    assert_same(stacked, one_by_one)
    assert (len(sizes), sum(sizes)) == (n_parts, 8)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("layers", [[(8,), (4,)], [(4,), (8,)]])
@pytest.mark.parametrize("n_jobs", [2, 3])
def test_interrupt_while_others_train(monkeypatch, n_jobs, layers):
    """Those that are under way elsewhere are waited for, not lost."""
    grid = {"code__hidden_layer_sizes": layers}
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n: stack.learned["model.encoder.0.weight"].shape[1] == 4)
    with parallel_config(backend="threading"), pytest.warns(UserWarning, match="interrupted by user") as caught:
        search = StackedGridSearchCV(pipeline(), grid, cv=2, n_jobs=n_jobs).fit(X, y)
    assert any("1 of 2 candidates are done" in str(warning.message) for warning in caught)
    assert search.cv_results_["params"] == [{"code__hidden_layer_sizes": (8,)}]


def test_what_is_printed(capsys):
    both(pipeline(), NUMBERS, verbose=2)
    plain, stacked = capsys.readouterr().out.split("Fitting 2 folds for each of 4 candidates, totalling 8 fits\n")[1:]
    starts = [[line.partition(" total")[0] for line in out.splitlines()] for out in (plain, stacked)]
    assert [line.rstrip(";.") for line in starts[0]] == [line.rstrip(";.") for line in starts[1]]
    assert len(starts[1]) == 8


def test_copies(one_by_one):
    search = StackedGridSearchCV(pipeline(), NUMBERS, cv=2).fit(X, y)
    again = pickle.loads(pickle.dumps(search))
    assert_same(again, one_by_one)
    unfitted = clone(search)
    assert not hasattr(unfitted, "cv_results_")
    assert_same(unfitted.fit(X, y), one_by_one)
    assert_same(search.fit(X, y), one_by_one)
    assert search.best_estimator_["code"].partial_fit(X).n_iter_ == 4


def test_within_cross_validation():
    scores = [
        cross_val_score(kind(pipeline(), NUMBERS, cv=2), X, y, cv=2) for kind in (GridSearchCV, StackedGridSearchCV)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_a_search_within_a_search():
    outer = {"code__penalty_weight": [0.0, 0.5]}
    searches = [
        kind(kind(pipeline(), {"code__alpha": [0, 3]}, cv=2), {f"estimator__{k}": v for k, v in outer.items()}, cv=2)
        for kind in (GridSearchCV, StackedGridSearchCV)
    ]
    plain, stacked = (search.fit(X, y) for search in searches)
    assert_same(stacked, plain)


def test_interrupt_leaves_the_candidates_that_are_done(monkeypatch):
    grid = {"code__hidden_layer_sizes": [(8,), (4,)], "code__alpha": [0, 3]}
    plain = GridSearchCV(pipeline(), {**grid, "code__hidden_layer_sizes": [(8,)]}, cv=2).fit(X, y)
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n: stack.learned["model.encoder.0.weight"].shape[1] == 4)
    search = StackedGridSearchCV(pipeline(), grid, cv=2)
    with pytest.warns(UserWarning, match="interrupted by user") as caught:
        search.fit(X, y)
    messages = [str(warning.message) for warning in caught]
    assert any("Training interrupted by user in epoch" in message for message in messages)
    assert any("2 of 4 candidates are done. The best of them is not refitted." in message for message in messages)
    assert search.cv_results_["params"] == plain.cv_results_["params"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert search.best_params_ == plain.best_params_
    assert not hasattr(search, "best_estimator_")
    assert (search.refit, search.cv) == (True, 2)


@pytest.mark.parametrize("n_before", [0, 4])
def test_interrupt_before_any_candidate_is_done(monkeypatch, one_by_one, n_before):
    """In the first step, or after a few: a model that is trained by half is none of the grid's."""
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n_calls: n_calls > n_before)
    search = StackedGridSearchCV(pipeline(), NUMBERS, cv=2)
    with pytest.warns(UserWarning, match="interrupted by user"), pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert (search.refit, search.cv) == (True, 2)
    assert not hasattr(search, "cv_results_")
    monkeypatch.undo()
    assert_same(search.fit(X, y), one_by_one)


def test_memory_that_does_not_suffice(monkeypatch, one_by_one):
    raise_at(monkeypatch, RuntimeError("out of memory"), lambda stack, n_calls: True)
    search = StackedGridSearchCV(pipeline(), NUMBERS, cv=2)
    with pytest.warns(UserWarning, match="8 fits are done one after the other: the memory does not suffice"):
        search.fit(X, y)
    assert_same(search, one_by_one)
    monkeypatch.undo()
    monkeypatch.setattr(stacking, "STACK_BYTES", 1)
    assert StackedGridSearchCV(pipeline(), NUMBERS, cv=2).fit(X, y).n_stacked_ == 8


@pytest.mark.parametrize(
    ("code", "scored"), [(True, True), (True, False), (False, True)], ids=["both", "encoder", "scorer"]
)
def test_metadata_routing(code, scored):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = Pipeline(
            [
                ("code", autoencoder().set_fit_request(sample_weight=code)),
                ("head", Ridge().set_fit_request(sample_weight=False).set_score_request(sample_weight=False)),
            ]
        )
        scorer = make_scorer(r2_score).set_score_request(sample_weight=scored)
        grid = {"code__alpha": [0, 3]}
        fit = {"sample_weight": WEIGHT, "groups": GROUPS}
        stacked, plain = both(estimator, grid, scoring=scorer, cv=GroupKFold(3), fit=fit)
    assert_same(stacked, plain)
    assert stacked.n_stacked_ == 6
