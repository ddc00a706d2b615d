"""scikit-learn's callbacks: told of each epoch, given a usable estimator, obeyed."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAERegressor, VAEImputer, VAETransformer

callback = pytest.importorskip("sklearn.callback")


class Recorder:
    """Keep what each epoch tells, and stop after some of them."""

    def __init__(self, stop_after=10**9):
        self.stop_after = stop_after
        self.begun, self.scores, self.told = 0, [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun += context.task_name == "epoch"

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        if context.task_name != "epoch":
            return False
        self.scores.append(fitted_estimator.score(X, y))
        self.told.append(metadata)
        return len(self.scores) >= self.stop_after


class Propagated(Recorder):
    max_propagation_depth = None


def test_each_epoch_is_told(estimator, table):
    recorder = Recorder()
    X, Y = table
    estimator.set_params(max_iter=5).set_callbacks(recorder).fit(X, Y, sample_weight=np.ones(len(X)))
    assert recorder.begun == len(recorder.scores) == 5
    assert recorder.scores[-1] == pytest.approx(estimator.score(X, Y))
    assert recorder.scores[0] != recorder.scores[-1]
    assert "sample_weight" in recorder.told[0]


def test_a_callback_that_asks_to_stop_is_obeyed(estimator, table):
    estimator.set_params(max_iter=50).set_callbacks(Recorder(stop_after=2)).fit(*table)
    assert estimator.n_iter_ == 2


def test_within_pipeline_and_search(estimator, table):
    recorder = Propagated()
    pipeline = Pipeline([("scale", StandardScaler()), ("model", estimator)])
    GridSearchCV(pipeline, {"model__n_components": [1, 2]}, cv=2).set_callbacks(recorder).fit(*table)
    assert recorder.begun == 3 * (2 * 2 + 1)


def test_within_an_imputer():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((20, 2)) < 0.2, np.nan, rng.normal(size=(20, 2)))
    imputer = VAEImputer(VAETransformer(1, hidden_layer_sizes=(2,), max_iter=3), n_importance_samples=2)
    for estimator in (imputer, Pipeline([("scale", StandardScaler()), ("impute", imputer)])):
        recorder = Propagated()
        estimator.set_callbacks(recorder).fit(X)
        assert recorder.begun == len(recorder.told) == 3
        estimator.set_callbacks()


def test_progress_bar_and_scoring_monitor(estimator, table, capsys):
    pytest.importorskip("rich")
    monitor = callback.ScoringMonitor(scoring="r2")
    estimator.set_callbacks(callback.ProgressBar(), monitor).fit(*table)
    assert "100%" in capsys.readouterr().out


class Parts(Recorder):
    """Keep how the tasks of a fit lie within each other."""

    def __init__(self):
        super().__init__()
        self.tasks = []

    def on_fit_task_begin(self, estimator, context):
        inside = [] if context.parent is None else [context.parent.task_name]
        self.tasks.append((*inside, context.task_name, context.max_subtasks))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"member_params": None}, [("stack 1 of 3 members", 2, 2)]),
        (
            {"member_params": [{"hidden_layer_sizes": (4,)}, {"hidden_layer_sizes": (3,)}]},
            [("stack 1 of 2 members", 2, 2), ("member 2 of 3", 2, 2)],
        ),
        (
            {"net_params": {"optimizer__eps": 1e-7}},
            [(f"member {k} of 3", 2, 2) for k in (1, 2, 3)],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.* members are trained one after the other")
def test_the_parts_of_an_ensemble_are_told(options, parts):
    """Each has its epochs within it, and the fit says beforehand how many parts there are."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    parameters = {"hidden_layer_sizes": (4,), "max_iter": 2, "n_estimators": 3, "random_state": 0}
    recorder = Parts()
    MultiTaskVAERegressor(2, **{**parameters, **options}).set_callbacks(recorder).fit(X, X[:, :2])
    told = [("fit", len(parts) + 1)]
    for name, n_epochs, n_run in parts:
        told += [("fit", name, n_epochs), *[(name, "epoch", 0)] * n_run]
    assert recorder.tasks == [*told, ("fit", "average", None)]
    assert recorder.begun == 0


def test_a_fit_that_is_repeated_on_all_rows_has_more_parts():
    X, recorder = np.random.default_rng(0).normal(size=(40, 3)), Parts()
    folds = [(np.arange(20), np.arange(20, 40))]
    model = MultiTaskVAERegressor(2, hidden_layer_sizes=(4,), max_iter=2, n_estimators=3, member_params=None, cv=folds)
    model.set_callbacks(recorder).fit(X, X[:, :2])
    assert recorder.tasks[0] == ("fit", 3)
    assert [task[1].split()[0] for task in recorder.tasks if task[0] == "fit" and len(task) == 3] == [
        "stack",
        "average",
        "stack",
    ]
    assert recorder.begun == 0
