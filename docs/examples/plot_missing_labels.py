"""
Missing labels: when a shared model pays, and when it does not
==============================================================

Two tables of targets, and in both more and more labels are erased at random.

1. *Tasks that belong together.* Pixels of the lower half of a handwritten digit, predicted from its upper half: 24
   tasks that all depend on which digit it is and how it is written.
2. *Tasks that have nothing in common.* Eight simulated targets, each of which depends on two features of its own.

:class:`~sklearn_mtae.MultiTaskVAERegressor` learns all tasks of a table together. Ridge regression and random forests
learn each by itself, by :class:`~sklearn_mtae.PerTaskRegressor`. The joint model is a single network, not tuned; a
forest has 30 trees that look at a third of the features per split, and ridge regression chooses its penalty.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split

from sklearn_mtae import MultiTaskVAERegressor, PerTaskRegressor
from sklearn_mtae.metrics import r2_score

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

# %%
# Two tables
# ----------
# Pixels that are nearly always blank are left out: their R2 says nothing.

digits = load_digits().data
upper, lower = digits[:, :32], digits[:, 32:]
lower = lower[:, lower.std(axis=0) > 1]

rng = np.random.default_rng(0)
features = rng.uniform(-2, 2, size=(1000, 16))
shapes = [np.sin, np.abs, np.square, np.tanh] * 2
targets = [
    shape(1.5 * features[:, 2 * t]) + features[:, 2 * t + 1]
    for t, shape in enumerate(shapes)
]
unrelated = np.column_stack(targets) + 0.3 * rng.normal(size=(1000, 8))

print(f"Digits: {upper.shape[1]} features, {lower.shape[1]} tasks")
print(f"Nothing in common: {features.shape[1]} features, {unrelated.shape[1]} tasks")

# %%
# The contest
# -----------
# All models get the same 500 rows with the same labels erased, and are scored on the same held-out rows with all their
# labels. Everything is done twice, with other rows and other labels. The joint model runs once more in another setting:
# on the digits with ``reconstruction_weight=1``, so that it learns much more from the features, labelled or not; on the
# second table with ``sharing="private"``, which gives each task a small encoder and a part of the code for itself.

models = {
    "Ridge per task": PerTaskRegressor(RidgeCV(np.logspace(-1, 5, 7))),
    "Forest per task": PerTaskRegressor(
        RandomForestRegressor(30, max_features=1 / 3, random_state=0)
    ),
    "Joint model": MultiTaskVAERegressor(n_estimators=1, random_state=0),
}
featured = {
    "Joint, features weigh 1": MultiTaskVAERegressor(
        n_estimators=1, reconstruction_weight=1, random_state=0
    )
}
private = {
    "Joint, private parts": MultiTaskVAERegressor(
        n_estimators=1, sharing="private", random_state=0
    )
}
tables = {
    "Pixels of a digit from its upper half": (upper, lower, models | featured),
    "Tasks that have nothing in common": (features, unrelated, models | private),
}
shares = [0, 0.5, 0.9]


def scores(X, Y, models, seed):
    """Return the mean R2 over the tasks, of shape (n_models, n_shares)."""
    X_train, X_test, Y_train, Y_test = train_test_split(
        X, Y, train_size=500, random_state=seed
    )
    order = np.random.default_rng(seed).random(Y_train.shape)
    incomplete = [np.where(order < share, np.nan, Y_train) for share in shares]
    return [
        [r2_score(Y_test, model.fit(X_train, y).predict(X_test)) for y in incomplete]
        for model in models.values()
    ]


results = {
    name: np.array([scores(*table, seed) for seed in range(2)])
    for name, table in tables.items()
}

for name, result in results.items():
    print(f"\n{name}: R2 on held-out rows, mean of two runs")
    print(f"{'labels missing':24}" + "".join(f"{share:8.0%}" for share in shares))
    for model, row in zip(tables[name][-1], result.mean(axis=0), strict=True):
        print(f"{model:24}" + "".join(f"{value:8.2f}" for value in row))

# %%
# The figure
# ----------
# Lines are means of the two runs, the bands reach from one to the other.

ticks = range(len(shares))
# The same model has the same colour in all examples.
palette = ["0.5", "C5", "C0", "C1", "C2"]
colours = dict(zip([*models, *featured, *private], palette, strict=True))
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", sharey=True)
for ax, (name, result) in zip(axes, results.items(), strict=True):
    for model, runs in zip(tables[name][-1], result.swapaxes(0, 1), strict=True):
        ax.plot(ticks, runs.mean(axis=0), marker="o", label=model, color=colours[model])
        ax.fill_between(
            ticks, runs.min(axis=0), runs.max(axis=0), alpha=0.2, color=colours[model]
        )
    ax.set(title=name, xlabel="training labels that are missing")
    ax.set_xticks(ticks, [f"{share:.0%}" for share in shares])
    ax.legend(loc="lower left")
axes[0].set_ylabel("R2 on held-out rows, mean over tasks")
plt.show()

# %%
# On the left the joint model is ahead of both while there are labels to learn from. With nine in ten missing, some
# fifty per task, it fails: hardly better than the mean, and behind ridge regression. There it has to learn from the
# features, whose pixels depend on each other. With ``reconstruction_weight=1`` it does so, and is ahead of ridge
# regression again, though not of the forests; the price is a lower score where there are enough labels. See
# :ref:`weight_of_features`.
#
# On the right there is nothing to share. With all labels the joint model is a little ahead nevertheless: a network
# suits these targets. With half of them it only keeps up with the forests, and with few it is far behind them and
# behind ridge regression. With ``sharing="private"`` it is well ahead with half of the labels, and hardly worse than
# with all of them. Where most labels are missing, this helps only a little.
#
# So check before you share: :ref:`transfer` says how.
