"""
Coefficients of a table with gaps
=================================

A third of the cells of a table are missing, more often so where the target is large. Five ways to fit a regression to
it: with the cells that were there (which nobody has), with the complete rows alone, with column means, with one table
filled by an imputer, and with :class:`~sklearn_mtae.MultipleImputation`. Only the last has the right coefficients and
intervals that are honest.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultipleImputation

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

X, y = load_diabetes(return_X_y=True, as_frame=True)
X = X[["bmi", "bp", "s3", "s5"]]
X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)
rng = np.random.default_rng(0)
probability = 1 / (1 + np.exp(0.9 - (y - y.mean()) / y.std()))
gaps = X.mask(rng.random(X.shape) < probability.to_numpy()[:, None])
present = gaps.notna()
print(
    f"{1 - present.mean().mean():.0%} of the cells are missing, {present.all(axis=1).mean():.0%} of the rows have all"
)

# %%
# Ordinary least squares
# ----------------------
# Coefficients with 95 % intervals of one complete table, as any textbook has them.


def ordinary(table, target):
    """Return coefficients and the margins of their intervals."""
    model = LinearRegression().fit(table, target)
    design = np.c_[table, np.ones(len(table))]
    freedom = len(design) - design.shape[1]
    spread = np.sum((target - model.predict(table)) ** 2) / freedom
    error = np.sqrt(spread * np.diag(np.linalg.inv(design.T @ design)))[:-1]
    return model.coef_, stats.t.ppf(0.975, freedom) * error


# %%
# Many tables, pooled
# -------------------
# The cells are drawn twenty times, by imputers that know y and that were fitted to bootstraps of the rows. ``summary``
# has what one would report; ``fmi`` is the fraction of the information that the gaps took away.

model = MultipleImputation(LinearRegression(), random_state=0).fit(gaps, y)
print(model.summary().round(2).to_string())

# %%
# Side by side
# ------------

complete = present.all(axis=1)
means = pd.DataFrame(SimpleImputer().fit_transform(gaps), columns=gaps.columns)
filled = IterativeImputer(random_state=0).fit_transform(gaps.assign(y=y))
single = pd.DataFrame(filled[:, :4], columns=gaps.columns)
rows = model.summary().iloc[:-1]
ways = {
    "no cell missing": ordinary(X, y),
    "complete rows": ordinary(gaps[complete], y[complete]),
    "column means": ordinary(means, y),
    "one filled table": ordinary(single, y),
    "multiple imputation": (rows["estimate"], rows["high"] - rows["estimate"]),
}
figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
for place, (name, (estimate, margin)) in enumerate(ways.items()):
    at = np.arange(4) + 0.14 * (place - 2)
    ax.errorbar(at, estimate, yerr=margin, fmt="o", markersize=4, capsize=2, label=name)
ax.axhline(0, color="0.7", linewidth=1, zorder=0)
ax.set_xticks(range(4), X.columns)
ax.set(ylabel="coefficient")
ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
plt.show()

# %%
# Rows are missing by their target, so that the complete rows are no fair sample of the others, and their intervals are
# wide besides. Column means leave too little variation in the columns. A table that is filled once, by means that know
# y, follows y too closely, and its intervals take filled cells for observed ones. The pooled intervals are wider than
# those of the complete table: that is what the gaps cost.
