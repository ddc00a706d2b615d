"""
A search on a cluster: dask
===========================

A grid search over a pipeline, its fits spread over the worker processes of a dask cluster. The search is scikit-learn's
own and does not change; ``joblib.parallel_config(backend="dask")`` around it is all that is new. It needs
``pip install distributed`` and runs on a cluster of processes on this machine, or on one that is up::

    python search_with_dask.py
    python search_with_dask.py --scheduler tcp://scheduler:8786

The workers need this package, in the same version. It prints::

    24 fits on 2 workers
    Accuracy 0.973 with {'coder__n_components': 16, 'svc__C': 10.0}

What it takes for the search to outlive a worker is marked below; without it a worker that dies takes the search along.
"""

# sphinx_gallery_thumbnail_path = 'images/thumbnails/search.png'
import argparse
from itertools import chain

import joblib
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sklearn_mtae import VAETransformer

GRID = {"coder__n_components": [4, 8, 16], "svc__C": [1.0, 10.0]}


def search(client: Client) -> None:
    """Run the search on the workers of a cluster."""
    X, y = load_digits(return_X_y=True)
    coder = VAETransformer(
        hidden_layer_sizes=(256,), max_iter=15, device="cpu", random_state=0
    )
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, y))
    model = GridSearchCV(Pipeline([("coder", coder), ("svc", SVC())]), GRID, cv=folds)

    # Arrays are sent to the workers once. dask cannot make them again: a worker that
    # dies takes those with it that no other has. `scatter` sends every array to every
    # worker, the rows of the folds too; the memory manager would remove all copies but
    # one.
    client.amm.stop()
    arrays = [X, y, *chain.from_iterable(folds)]
    with joblib.parallel_config(backend="dask", client=client, scatter=arrays):
        model.fit(X, y)
    n_fits = model.n_splits_ * len(model.cv_results_["params"])
    print(f"{n_fits} fits on {len(client.ncores())} workers")
    print(f"Accuracy {model.best_score_:.3f} with {model.best_params_}")


def main() -> None:
    """Connect to a cluster, or start one."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--scheduler",
        help="address of a running scheduler; none starts two workers here",
    )
    address = parser.parse_args().scheduler
    if address:
        with Client(address) as client:
            search(client)
        return
    # Networks this small gain little from a second thread.
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        search(client)


# Workers are processes that import this file.
if __name__ == "__main__":
    main()
