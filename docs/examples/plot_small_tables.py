"""
Small tables: defaults, and how sure they are
=============================================

By default :class:`~sklearn_mtae.MultiTaskVAERegressor` trains an ensemble of regularised and unregularised networks,
and chooses among them, and among ridge regressions with and without a kernel, on rows that they have left out. Here it
predicts three measurements of 178 wines from the other ten, and is compared with what one would use otherwise, none of
it tuned. Then it says how far off its predictions may be.
"""

# %%
# Three targets, ten features
# ---------------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.metrics import r2_score

wines = load_wine(as_frame=True).data
targets = ["color_intensity", "flavanoids", "proline"]
X, Y = wines.drop(columns=targets), wines[targets]

models = {
    "ridge": make_pipeline(
        StandardScaler(), RidgeCV(np.logspace(-2, 4, 13), alpha_per_target=True)
    ),
    "random forest": RandomForestRegressor(random_state=0),
    "extra trees": ExtraTreesRegressor(random_state=0),
    "MultiTaskVAERegressor": MultiTaskVAERegressor(random_state=0),
}
folds = KFold(4, shuffle=True, random_state=0)
scores = {
    name: r2_score(
        Y, cross_val_predict(model, X, Y, cv=folds), multioutput="raw_values"
    )
    for name, model in models.items()
}

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
colours = ["0.5", "C5", "#F0C766", "C0"]
for k, (name, score) in enumerate(scores.items()):
    ax.bar(
        np.arange(3) + 0.2 * k,
        score,
        width=0.18,
        color=colours[k],
        label=f"{name}: {np.mean(score):.2f}",
    )
ax.set(xticks=np.arange(3) + 0.3, xticklabels=targets, ylabel="R2, held-out folds")
fig.legend(
    fontsize="small", ncols=4, loc="outside upper center", title="mean over the targets"
)
plt.show()

# %%
# How sure
# --------
#
# The rows that a model has left out also show how far labels are from its predictions. `predict_interval` uses them:
# nine labels in ten should lie within its intervals, task by task, whatever the noise looks like. The intervals are
# wider where the members disagree, and far from the training rows.

train, test = next(iter(folds.split(X)))
model = models["MultiTaskVAERegressor"].fit(X.iloc[train], Y.iloc[train])
mean = model.predict(X.iloc[test])
lower, upper = model.predict_interval(X.iloc[test], coverage=0.9)

fig, axes = plt.subplots(1, 3, figsize=(8, 3), layout="constrained")
for task, (ax, name) in enumerate(zip(axes, targets, strict=True)):
    labels = Y[name].to_numpy()[test]
    inside = (lower[:, task] <= labels) & (labels <= upper[:, task])
    reach = np.array([mean[:, task] - lower[:, task], upper[:, task] - mean[:, task]])
    for rows, colour in ((inside, "C0"), (~inside, "C1")):
        ax.errorbar(
            labels[rows],
            mean[rows, task],
            yerr=reach[:, rows],
            fmt="o",
            color=colour,
            ms=3,
            lw=0.7,
        )
    ax.axline((labels.mean(), labels.mean()), slope=1, color="0.75", zorder=0)
    ax.set(title=f"{name}: {inside.mean():.0%} covered", xlabel="measured")
axes[0].set_ylabel("predicted, with 90 % interval")
plt.show()

# %%
# The grey line is where predicted and measured values are equal. An interval that reaches it contains its label; those
# that do not are orange.
