"""Searches by scikit-learn over a cluster of dask's worker processes, also when one of them dies."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer

distributed = pytest.importorskip("distributed")

SMALL = {"hidden_layer_sizes": (8,), "device": "cpu", "random_state": 0}


def start_worker(scheduler, folder):
    """Start a worker process that nobody restarts when it dies."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1"]
    command += ["--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    with (folder / "workers.log").open("a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A client of a scheduler on a free port of this machine, and two worker processes: starting them takes seconds."""
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as scheduler,
        distributed.Client(scheduler) as client,
    ):
        folder = tmp_path_factory.mktemp("workers")
        workers = [start_worker(scheduler.scheduler_address, folder) for _ in range(2)]
        try:
            client.wait_for_workers(2, timeout=60)
            yield client, workers
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()


def on_cluster(search, client, X, Y, scatter=()):
    """Fit a search whose fits run on the cluster."""
    # The backend belongs to the thread that asked for it, so it is asked for here.
    with joblib.parallel_config(backend="dask", client=client, scatter=list(scatter)):
        return search.fit(X, Y)


def n_executed(client):
    """Return how many tasks each worker process has done, by its id."""
    return dict(client.run(lambda dask_worker: (os.getpid(), dask_worker.state.executed_count)).values())


def assert_same_outcome(search, reference):
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], reference.cv_results_["mean_test_score"], rtol=1e-5
    )
    assert repr(search.best_params_) == repr(reference.best_params_)


@pytest.mark.slow
def test_search_on_a_cluster_finds_what_it_finds_at_home(cluster, table):
    client, _ = cluster
    X, Y = table
    gappy = np.where(np.random.default_rng(0).random(Y.shape) < 0.2, np.nan, Y)
    coders = [AutoencoderTransformer(2, max_iter=3, **SMALL), VAETransformer(2, max_iter=3, **SMALL)]
    pipeline = Pipeline([("code", coders[0]), ("ridge", Ridge())])
    searches = [
        (pipeline, {"code": coders, "ridge__alpha": [0.1, 10.0]}, Y[:, 0]),
        (MultiTaskVAERegressor(2, n_estimators=1, max_iter=3, **SMALL), {"n_components": [1, 2]}, gappy),
    ]
    for model, grid, labels in searches:
        search, reference = (GridSearchCV(model, grid, cv=2) for _ in range(2))
        assert_same_outcome(on_cluster(search, client, X, labels), reference.fit(X, labels))
        np.testing.assert_allclose(search.predict(X), reference.predict(X), rtol=1e-5)
    assert sum(n_executed(client).values()) > 0


@pytest.mark.slow
def test_search_outlives_a_killed_worker(cluster):
    client, workers = cluster
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    Y = np.tanh(X @ rng.normal(size=(5, 3))) + 0.1 * rng.normal(size=(300, 3))
    # dask cannot compute the data again: a worker that dies takes with it what no other has a copy of, and by default
    # all copies but one are removed as superfluous.
    client.amm.stop()
    folds = list(KFold(3).split(X))
    model = MultiTaskVAERegressor(2, n_estimators=1, max_iter=40, **SMALL)
    search, reference = (
        GridSearchCV(model, {"learning_rate_init": [1e-4, 1e-2]}, cv=folds, refit=False) for _ in range(2)
    )
    before = n_executed(client)
    assert before.keys() == {worker.pid for worker in workers}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(on_cluster, search, client, X, Y, [X, Y, *chain.from_iterable(folds)])
        while any(count == before[worker] for worker, count in n_executed(client).items()):
            assert not running.done(), "each worker must have done a part before one of them is killed"
            time.sleep(0.02)
        workers[0].kill()
        assert not running.done()
        running.result(timeout=120)
    assert n_executed(client).keys() == {workers[1].pid}
    assert_same_outcome(search, reference.fit(X, Y))
    assert search.best_params_ == {"learning_rate_init": 1e-2}
