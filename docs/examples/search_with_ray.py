"""
A search on a cluster: ray
==========================

The same search as with dask, on the actors of a ray cluster. It needs ``pip install ray`` and starts ray on this
machine, or joins the cluster that ``--address`` names::

    python search_with_ray.py
    python search_with_ray.py --address auto

It prints::

    24 fits on 2 cores
    Accuracy 0.973 with {'coder__n_components': 16, 'svc__C': 10.0}
"""

# sphinx_gallery_thumbnail_path = 'images/thumbnails/search.png'
import argparse

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
parser.add_argument(
    "--address", help="address of a running cluster; none starts one here"
)
ray.init(address=parser.parse_args().address or "local", include_dashboard=False)
register_ray()

X, y = load_digits(return_X_y=True)
coder = VAETransformer(
    hidden_layer_sizes=(256,), max_iter=15, device="cpu", random_state=0
)
folds = StratifiedKFold(4, shuffle=True, random_state=0)
search = GridSearchCV(Pipeline([("coder", coder), ("svc", SVC())]), GRID, cv=folds)

# %%
# Without ``n_jobs`` joblib would use one process: this one. An actor has one core here, and ray gives it as many
# threads. Fits that need more, or part of a GPU, ask for it in the same place: ``{"num_cpus": 4}``,
# ``{"num_gpus": 0.25}``. The other two settings start an actor that has died, and the fits that it was at, again: by
# default it would end the search. For them ray grumbles once when the actors are dismissed.

actors = {"num_cpus": 1, "max_restarts": 3, "max_task_retries": 3}
with joblib.parallel_config(backend="ray", n_jobs=-1, ray_remote_args=actors):
    search.fit(X, y)
n_fits = search.n_splits_ * len(search.cv_results_["params"])
print(f"{n_fits} fits on {ray.cluster_resources()['CPU']:.0f} cores")
print(f"Accuracy {search.best_score_:.3f} with {search.best_params_}")
