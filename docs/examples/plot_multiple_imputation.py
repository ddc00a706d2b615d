"""
Coefficients of a table with gaps
=================================

A third of the cells of a table are missing, more of them where the target is large. A regression is fitted to it in
five ways: with the true cells (which nobody has in practice), with the complete rows only, with column means, with one
table filled by an imputer, and with :class:`~sklearn_mtae.MultipleImputation`. Only the last is close to the truth in
every coefficient.
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
X = X[["bmi", "s5", "s1", "s2"]]
X = pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)
rng = np.random.default_rng(0)
probability = 1 / (1 + np.exp(0.9 - (y - y.mean()) / y.std()))
gaps = X.mask(rng.random(X.shape) < probability.to_numpy()[:, None])
present = gaps.notna()
print(f"{1 - present.mean().mean():.0%} of the cells are missing")
print(f"{present.all(axis=1).mean():.0%} of the rows are complete")

# %%
# Ordinary least squares
# ----------------------
# Coefficients of one complete table with 95 % intervals, by the formulas of any textbook.


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
# has what one would report. ``fmi`` is the fraction of missing information: how much the gaps took away.

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
colours = ["black", "C5", "0.5", "C4", "C0"]
figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for place, (name, (estimate, margin)) in enumerate(ways.items()):
    at = np.arange(4) + 0.14 * (place - 2)
    ax.errorbar(at, estimate, yerr=margin, fmt="o", color=colours[place], label=name)
ax.axhline(0, color="0.75", linewidth=1, zorder=0)
ax.set_xticks(range(4), X.columns)
ax.set(ylabel="coefficient, with 95 % interval")
ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
plt.show()

# %%
# Cells are missing by the target, so the complete rows are not a fair sample: they halve the coefficients of bmi and
# s5. Column means lose the relation between s1 and s2, total and LDL cholesterol, whose correlation is 0.9, and with it
# both of their coefficients. A table that is filled once, by means that know y, exaggerates all but the first, and its
# intervals treat filled cells as if they had been observed. The pooled coefficients are close to those of the complete
# table. Their intervals are wider: that is what the gaps cost. :doc:`/benchmarks` says how often such intervals hold
# the truth.
#
# Columns that are hardly related are more forgiving. With bp and s3 in place of s1 and s2, column means come out as
# well as multiple imputation.
