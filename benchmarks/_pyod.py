"""The outlier detectors of PyOD, run in an environment of their own: prints a JSON line per table and detector.

Run `python _pyod.py FOLDER NAME [NAME ...]`, with the stems of files of `benchmarks.outliers`. Needs pyod and torch,
and nothing of this package, whose requirements PyOD's environment may not have.
"""

import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.vae import VAE
from sklearn.metrics import roc_auc_score

PEERS = {
    "ECOD": ECOD,
    "IForest": lambda: IForest(random_state=0),
    "KNN": KNN,
    "AutoEncoder": lambda: AutoEncoder(verbose=0, random_state=0),
    "VAE": lambda: VAE(verbose=0, random_state=0),
}
"""With their defaults."""


def main() -> None:
    """Score each table by each detector, fitted to all of its rows."""
    torch.set_num_threads(1)
    folder, *names = sys.argv[1:]
    for name in names:
        data = np.load(Path(folder) / f"{name}.npz")
        X = data["X"].astype(np.float64)
        for peer, make in PEERS.items():
            random.seed(0)
            torch.manual_seed(0)
            start = time.process_time()
            scores = make().fit(X).decision_scores_
            seconds = time.process_time() - start
            auc = roc_auc_score(data["y"], np.nan_to_num(scores, posinf=1e30, neginf=-1e30))
            print(json.dumps({"set": name, "detector": peer, "auc": auc, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
