"""
Filling missing cells
=====================

:class:`~sklearn_mtae.VAEImputer` beside scikit-learn's imputers, on the wine table of scikit-learn: 178 wines, 13
measurements. Cells are hidden at random, from one in ten to six in ten, and filled again. What is hidden is known here,
so that the error can be measured: its root mean square, in standard deviations of the columns. Do so with a table of
your own before you choose an imputer.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import VAEImputer

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

wine = load_wine()
X = StandardScaler().fit_transform(wine.data)
order = np.random.default_rng(0).random(X.shape)

imputers = {
    "column means": SimpleImputer(),
    "5 nearest neighbours": KNNImputer(),
    "iterative, Bayesian ridge": IterativeImputer(tol=0.1, max_iter=20, random_state=0),
    "VAEImputer": VAEImputer(random_state=0),
}

# %%
# The error by the share of hidden cells
# --------------------------------------
# With few gaps, neighbours and regressions find enough to go by. The more cells are missing, the fewer neighbours share
# observed cells, and the less a regression on filled columns is worth; the VAE learns from whatever is observed.

shares = [0.1, 0.35, 0.6]
errors = {name: [] for name in imputers}
for share in shares:
    hidden = order < share
    gaps = np.where(hidden, np.nan, X)
    for name, imputer in imputers.items():
        filled = imputer.fit_transform(gaps)
        errors[name].append(np.sqrt(np.mean((filled - X)[hidden] ** 2)))
for name, values in errors.items():
    print(f"{name:26}", *(f"{value:.2f}" for value in values))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, values in errors.items():
    left.plot(shares, values, marker="o", label=name)
left.set(xlabel="share of hidden cells", ylabel="RMSE of the filled cells")
left.legend(loc="upper left", bbox_to_anchor=(0, 0.95))

# %%
# What is filled, and what was there
# ----------------------------------
# The last table, six cells in ten hidden, in one column. A filled cell is a mean: it varies less than what was there.
# For an analysis that needs the variation too, draw tables: ``imputer.estimator_.impute(gaps, n_draws=20)``.

column = wine.feature_names.index("flavanoids")
where = hidden[:, column]
right.scatter(
    X[where, column], filled[where, column], c=wine.target[where], cmap="viridis", s=20
)
right.axline((0, 0), slope=1, color="gray", linewidth=1)
right.set(
    xlabel="hidden value, standardised",
    ylabel="value filled in",
    title="flavanoids, by cultivar",
)
