"""
Filling missing cells
=====================

:class:`~sklearn_mtae.VAEImputer` is compared with scikit-learn's imputers on the wine table of scikit-learn: 178 wines,
13 measurements. Between one and six cells in ten are hidden at random and filled again. The hidden values are known
here, so the error can be measured: the root mean squared error, in standard deviations of the columns. Repeat this with
a table of your own before you choose an imputer.
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
# With few gaps, neighbours and regressions find enough observed cells. The more cells are missing, the fewer cells
# neighbours have in common, and the less a regression on filled columns is worth. The VAE learns from whatever is
# observed.

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

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
colours = dict(zip(imputers, ["0.5", "C2", "C5", "C0"], strict=True))
for name, values in errors.items():
    ax.plot(shares, values, marker="o", color=colours[name])
    ax.text(0.615, values[-1], name, color=colours[name], va="center")
ax.set(xlabel="share of hidden cells", ylabel="RMSE, standard deviations")
ax.set_xlim(0.08, 0.8)
plt.show()

# %%
# Filled and true values
# ----------------------
# One column of the last table, in which six cells in ten are hidden. A filled cell is a mean, so filled cells vary less
# than the true ones. For an analysis that needs this variation too, draw several tables:
# ``imputer.estimator_.impute(gaps, n_draws=20)``.

column = wine.feature_names.index("flavanoids")
figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
for cultivar in range(3):
    where = hidden[:, column] & (wine.target == cultivar)
    ax.scatter(
        X[where, column], filled[where, column], s=20, label=f"cultivar {cultivar}"
    )
ax.axline((0, 0), slope=1, color="0.75", zorder=0)
ax.set(
    xlabel="hidden value, standard deviations",
    ylabel="value filled in",
    title="flavanoids",
)
ax.legend()
plt.show()
