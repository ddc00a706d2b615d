"""
Small tables: defaults, and how sure they are
=============================================

By default :class:`~sklearn_mtae.MultiTaskVAERegressor` trains an ensemble in which regularised and unregularised models
stand side by side, and lets rows that each of them has left out choose among them. Here it predicts three measurements
of 178 wines from the other ten, beside what one would take otherwise, none of them tuned; then it says how far off it
may be.
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
colours = ["#7f7f7f", "#E69F00", "#F0C766", "#0072B2"]
for k, (name, score) in enumerate(scores.items()):
    ax.bar(
        np.arange(3) + 0.2 * k,
        score,
        width=0.18,
        color=colours[k],
        label=f"{name}: {np.mean(score):.2f}",
    )
ax.set(xticks=np.arange(3) + 0.3, xticklabels=targets, ylabel="R2 in four folds")
fig.legend(
    fontsize="small", ncols=4, loc="outside upper center", title="mean over the targets"
)
plt.show()

# %%
# How sure
# --------
#
# The rows that a model has left out also say how far labels are from its predictions. `predict_interval` uses them:
# nine labels in ten are to lie within its intervals, task by task, whatever the noise looks like. The intervals are
# wider where the members disagree.

train, test = next(iter(folds.split(X)))
model = models["MultiTaskVAERegressor"].fit(X.iloc[train], Y.iloc[train])
mean = model.predict(X.iloc[test])
lower, upper = model.predict_interval(X.iloc[test], coverage=0.9)

fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
for task, (ax, name) in enumerate(zip(axes, targets, strict=True)):
    labels = Y[name].to_numpy()[test]
    inside = (lower[:, task] <= labels) & (labels <= upper[:, task])
    reach = np.array([mean[:, task] - lower[:, task], upper[:, task] - mean[:, task]])
    for rows, colour in ((inside, "#0072B2"), (~inside, "#D55E00")):
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
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("predicted, with 90 % interval")
plt.show()

# %%
# An interval that reaches the grey line, where predicted and measured are equal, holds its label. Those that do not are
# orange.
