"""Figure of the guide: the report of the chapter on transfer between tasks, with more splits, as the display draws it.

Run as `python docs/images/guide_transfer.py`; it writes `docs/images/guide/transfer.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import style

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor
from sklearn_mtae.inspection import TaskTransferDisplay
from sklearn_mtae.model_selection import TaskShuffleSplit, transfer_report

warnings.simplefilter("ignore", DegenerateModelWarning)
rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(300, 6))
load = 2 * np.sin(3 * X[:, 0]) * X[:, 1]
Y = pd.DataFrame({"power": load, "heat": -load, "current": 2 * load, "humidity": 2 * X[:, 4] * X[:, 5]})
Y = Y + 0.2 * rng.normal(size=Y.shape)
Y = Y.mask(rng.random(Y.shape) < 0.75)
model = MultiTaskVAERegressor(n_estimators=1, hidden_layer_sizes=(64,), max_iter=25, learning_rate_init=0.005)
splits = TaskShuffleSplit(10, test_size=0.25, random_state=0)
report = transfer_report(model, X, Y, cv=splits, models=["alone", "joint"], random_state=0)
print(report.frame.round(2).to_string())

style.use()
figure = plt.figure(figsize=(5.8, 5.2))
axes = figure.subplot_mosaic([["gain", "gain"], ["cosine", "affinity"]], height_ratios=[0.8, 1])
TaskTransferDisplay.from_report(report, ax=list(axes.values()))
style.save(figure, "guide/transfer.png")
