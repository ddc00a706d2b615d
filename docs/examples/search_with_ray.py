"""
A search on a cluster: ray
==========================

The same search as with dask, on the actors of a ray cluster. It needs ``pip install ray`` and starts ray on this
machine, or joins the cluster that ``--address`` names::

    python search_with_ray.py
    python search_with_ray.py --address auto

On two busy cores it prints::

    24 fits in 40 s
    Accuracy 0.973 with {'coder__n_components': 16, 'svc__C': 10.0}
"""

import argparse
from time import perf_counter

import joblib
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sklearn_mtae import VAETransformer

GRID = {"coder__n_components": [4, 8, 16], "svc__C": [1.0, 10.0]}

parser = argparse.ArgumentParser()
parser.add_argument("--address", help="address of a running cluster; none starts one here")
ray.init(address=parser.parse_args().address or "local", include_dashboard=False)
register_ray()

X, y = load_digits(return_X_y=True)
coder = VAETransformer(hidden_layer_sizes=(256,), max_iter=15, device="cpu", random_state=0)
folds = StratifiedKFold(4, shuffle=True, random_state=0)
search = GridSearchCV(Pipeline([("coder", coder), ("svc", SVC())]), GRID, cv=folds)

# %%
# Without ``n_jobs`` joblib would take one process, this one. An actor has one core and as many threads as cores; a search
# whose fits need more, or a GPU, asks for them here, as in ``{"num_cpus": 4}`` or ``{"num_gpus": 0.25}``. The other two
# settings start an actor again that has died, and its fits too: by default one dead actor ends the search.

actors = {"num_cpus": 1, "max_restarts": 3, "max_task_retries": 3}
start = perf_counter()
with joblib.parallel_config(backend="ray", n_jobs=-1, ray_remote_args=actors):
    search.fit(X, y)
print(f"{search.n_splits_ * len(search.cv_results_['params'])} fits in {perf_counter() - start:.0f} s")
print(f"Accuracy {search.best_score_:.3f} with {search.best_params_}")
