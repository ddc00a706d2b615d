"""
Outliers in a table, and the cells that make them so
====================================================

:class:`~sklearn_mtae.OutlierDetector` is fitted to a table with outliers, missing cells and a category. It is not told
which rows are the outliers. Here it looks for twenty malignant tumours among 357 benign ones in the breast cancer
table, and then says which measurements give each of them away.
"""

# %%
# A table with gaps
# -----------------
#
# A tenth of the cells are missing, and the largest radius is only known as small, medium or large. The detector takes
# the data frame as it is. The isolation forest takes only the numbers, and handles missing cells in its splits.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay

from sklearn_mtae import OutlierDetector

cells, benign = load_breast_cancer(as_frame=True, return_X_y=True)
table = pd.concat([cells[benign == 1], cells[benign == 0].sample(20, random_state=0)])
is_malignant = np.arange(len(table)) >= len(table) - 20
radius = table.pop("worst radius")
gaps = np.random.default_rng(0).random(table.shape) < 0.1
table = table.mask(gaps).assign(
    size=pd.cut(radius, [0, 12, 15, 50], labels=["small", "medium", "large"])
)

detector = OutlierDetector(n_estimators=4, random_state=0).fit(table)
forest = IsolationForest(random_state=0).fit(table.drop(columns="size"))

fig, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
scores = {
    "OutlierDetector": -detector.score_samples(table),
    "IsolationForest": -forest.score_samples(table.iloc[:, :-1]),
}
colours = {"OutlierDetector": "C0", "IsolationForest": "C5"}
for name, score in scores.items():
    RocCurveDisplay.from_predictions(
        is_malignant, score, name=name, ax=ax, curve_kwargs={"color": colours[name]}
    )
ax.set(
    xlabel="share of the benign tumours that are called outliers",
    ylabel="share of the malignant ones",
)
plt.show()

# %%
# Which cells
# -----------
#
# `explain` hides one cell at a time, and says by how many nats the row becomes less strange. The figure shows the ten
# strangest rows, and the six columns that matter most to them. White cells are missing, or usual.

strangest = table.iloc[np.argsort(detector.score_samples(table))[:10]]
nats = detector.explain(strangest)
columns = np.argsort(nats.sum(axis=0))[::-1][:6]

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
shown = np.where(strangest.iloc[:, columns].isna(), np.nan, nats[:, columns])
image = ax.imshow(shown, cmap="Oranges", norm=LogNorm(1, clip=True), aspect="auto")
truth = np.where(benign.loc[strangest.index] == 0, "malignant", "benign")
ax.set_xticks(range(6), table.columns[columns], rotation=30, ha="right")
ax.set_yticks(
    range(10),
    [f"row {row}, {kind}" for row, kind in zip(strangest.index, truth, strict=True)],
)
ax.spines[:].set_visible(False)
fig.colorbar(image, label="nats")
plt.show()
