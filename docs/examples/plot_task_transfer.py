"""
Does sharing help? Four related tasks and one that is not
=========================================================

Learning tasks together can help each of them, or hurt. :func:`~sklearn_mtae.model_selection.transfer_report` tells
which: it fits the same model to each task alone and to all tasks together, on the same splits, and compares the scores.

The data are made so that we know the answer. Eight readings of a machine come in. Two things about it, its load and
its wear, are nonlinear functions of some of the readings; four targets are mixtures of them. The fifth target depends
on two other readings. Six labels in ten are missing, so that a task has about a hundred.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.svm import SVR

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.inspection import TaskTransferDisplay
from sklearn_mtae.metrics import r2_score
from sklearn_mtae.model_selection import transfer_report

# Networks this small gain little from a second thread.
torch.set_num_threads(1)


def make_machine(n_rows, rng):
    """Return readings and targets."""
    X = rng.uniform(-1, 1, size=(n_rows, 8))
    load, wear = 2 * np.sin(3 * X[:, 0]) * X[:, 1], 2 * np.abs(X[:, 2]) - X[:, 3]
    related = {
        "power": load + 0.3 * wear,
        "heat": load - 0.5 * wear,
        "current": load,
        "noise": wear + 0.4 * load,
    }
    Y = pd.DataFrame({**related, "humidity": 2 * X[:, 6] * X[:, 7]})
    return X, Y + 0.2 * rng.normal(size=Y.shape)


rng = np.random.default_rng(0)
X, Y = make_machine(250, rng)
Y = Y.mask(rng.random(Y.shape) < 0.6)

# %%
# The report
# ----------
# Scores are root mean squared errors on held-out labels. "alone" and "joint" are the same model, fitted to one task and
# to all. The baseline is a support vector machine per task on the readings. The gain of a split is the difference
# between the errors of "alone" and "joint" over the mean error of "alone"; the table has its mean over the splits, with
# a 95 % interval. It is "certain" if the interval does not hold 0.

model = MultiTaskVAERegressor(n_estimators=1, hidden_layer_sizes=(128,))
report = transfer_report(
    model, X, Y, cv=8, models=("alone", "joint"), baseline=SVR(), random_state=0
)
print(report.frame.round(2).to_string())

# %%
# The picture
# -----------
# On the left are the gains. The middle shows whether the gradients of two tasks point in the same direction (1) or in
# opposite ones (-1). The right shows by how much the loss of the column's task falls after a small step that serves the
# row's task.

display = TaskTransferDisplay.from_report(report)
plt.show()

# %%
# The four related tasks lose between a seventh and a third of their error when all are learned together, and no
# interval holds 0. The error of humidity grows by half. So the advice is to share the four, and to train humidity
# alone. The joint model is ahead of the support vector machines even for humidity: a baseline alone would not have told
# that it is better off by itself.
#
# The two tables explain why. Power, heat and current depend mostly on the load: their gradients agree, and a step for
# one of them lowers the losses of the others. Noise depends mostly on the wear, and has less to do with them; heat and
# noise are nearly uncorrelated, since the wear raises the one and lowers the other, and their cosine and affinity are
# near 0. Noise gains nevertheless: what it needs of the readings, the others have learned too. Humidity has nothing in
# common with the others: its row and column are near 0. Affinities describe single steps, gains a whole training. The
# advice is based on the gains alone; the tables help to explain it.
#
# The fewer rows two tasks have in common, the less their gradients can agree, whatever the tasks. Where they share less
# than 30 % of their labelled rows the cosine is therefore left out, and affinities are noisy: single cells may be below
# 0 for tasks that gain.

# %%
# Following the advice
# --------------------
# New rows with all labels show what the advice is worth: one model for the tasks that should share, and one for each
# that should be trained alone. It is compared with what needs no report: one model for all tasks with
# ``sharing="private"``, in which each task also has a small encoder of its own.

X_new, Y_new = make_machine(2000, rng)
share = report.frame["advice"] == "share"
plans = {
    "each alone": [[task] for task in Y],
    "all together": [list(Y)],
    "as advised": [list(Y.columns[share]), *([task] for task in Y.columns[~share])],
}


def scores(groups, sharing="hard"):
    """Return the R2 of each task on new rows, with one model per group of tasks."""
    network = MultiTaskVAERegressor(
        n_estimators=1, hidden_layer_sizes=(128,), sharing=sharing, random_state=0
    )
    result = {}
    for tasks in filter(None, groups):
        fitted = network.fit(X, Y[tasks])
        result |= dict(
            zip(
                tasks,
                r2_score(Y_new[tasks], fitted.predict(X_new), multioutput="raw_values"),
                strict=True,
            )
        )
    return result


columns = {name: scores(plan) for name, plan in plans.items()}
table = pd.DataFrame(
    columns | {"all, private parts": scores([list(Y)], sharing="private")}
)
table.loc["mean"] = table.mean()
print("R2 on new rows")
print(table.round(2).to_string())

# %%
# All together is worse on average than each alone: humidity loses more than the four gain. As advised, the four keep
# their gains and humidity is spared. Private parts do nearly as well without a report: humidity is spared too, and the
# four keep most of their gains.
