"""
Heads of your own: support vector machines on a shared code
===========================================================

The code of an autoencoder is an ordinary table, so that any estimator of scikit-learn can be a task's head:
:class:`~sklearn_mtae.PerTaskRegressor` fits one per task, on the rows that have the task's label. Put both into a
:class:`~sklearn.pipeline.Pipeline`:

- the encoder learns from all rows, labelled or not;
- each head learns from its own labels;
- with ``memory``, a search over the heads fits the encoder once per fold.

The data: from the upper half of a handwritten digit we predict how much ink there is in each quarter of its lower half,
and, in the second part, which digit it is. Three labels in four are erased.
"""

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, PerTaskRegressor
from sklearn_mtae.metrics import accuracy_score, r2_score

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

images, digit = load_digits(return_X_y=True)
X = images[:, :32]
quarters = images[:, 32:].reshape(-1, 2, 2, 2, 4).mean(axis=(2, 4)).reshape(-1, 4)
Y = pd.DataFrame(quarters, columns=["upper left", "upper right", "lower left", "lower right"])
Y["digit"] = [f"a {kind}" for kind in digit]

X_train, X_test, Y_train, Y_test = train_test_split(X, Y, train_size=800, stratify=digit, random_state=0)
Y_train = Y_train.mask(np.random.default_rng(0).random(Y_train.shape) < 0.75)
print("Labels of each task, for", len(Y_train), "rows:", Y_train.notna().sum().to_dict())

# %%
# One kind of head for all tasks
# ------------------------------
# A grid over the heads' ``C`` and ``epsilon``, with the same folds for four encoders: none, principal components, an
# autoencoder, and a multi-task model, whose code is shaped by the labels as well: a pipeline hands them to every step.
# Parameters of the heads have the prefix ``heads__estimator__``.

ink = list(Y.columns[:4])
encoders = {
    "the pixels": "passthrough",
    "PCA": PCA(16, random_state=0),
    "an autoencoder": AutoencoderTransformer(16, random_state=0),
    "a multi-task model": MultiTaskVAERegressor(16, n_estimators=1, random_state=0),
}
grid = {"heads__estimator__C": [1, 10, 100], "heads__estimator__epsilon": [0.1, 0.5, 1]}

searches = {}
with TemporaryDirectory() as cache:
    for name, encoder in encoders.items():
        pipeline = Pipeline([("encoder", encoder), ("heads", PerTaskRegressor(SVR()))], memory=cache)
        searches[name] = GridSearchCV(pipeline, grid, cv=3).fit(X_train, Y_train[ink])

table = {}
for name, search in searches.items():
    table[f"SVR on {name}"] = r2_score(Y_test[ink], search.predict(X_test), multioutput="raw_values")
    print(f"{name}: {search.best_params_}")
table = pd.DataFrame(table, index=ink)
print("\nR2 on held-out digits")
print(table.round(3).to_string())

# %%
# On the left quarters a code gains next to nothing over the pixels themselves, on the right ones it does; and PCA is as
# good a code as any. That is worth knowing before one trains a network; the same search tells it for your data.
#
# The first candidate of the grid pays for the encoder. The others find it in the cache:

times = searches["an autoencoder"].cv_results_["mean_fit_time"]
print(f"Seconds per fit: the first {times[0]:.2f}, the other {len(times) - 1} on average {times[1:].mean():.2f}")

# %%
# Numbers and classes together
# ----------------------------
# A dict has a head for each task, by the task's name. Regressors and classifiers may stand side by side, and a single
# one of them is reached by its task's name: ``heads__estimator__digit__C``.

heads = PerTaskRegressor({**{task: SVR(C=10, epsilon=0.5) for task in ink}, "digit": SVC()})
with TemporaryDirectory() as cache:
    mixed = Pipeline([("encoder", AutoencoderTransformer(16, random_state=0)), ("heads", heads)], memory=cache)
    search = GridSearchCV(mixed, {"heads__estimator__digit__C": [1, 10, 100]}, cv=3).fit(X_train, Y_train)

prediction = pd.DataFrame(search.predict(X_test), columns=Y.columns)
print(search.best_params_)
print(f"digit: accuracy {accuracy_score(Y_test['digit'], prediction['digit']):.3f}")
print("ink: R2", r2_score(Y_test[ink], prediction[ink], multioutput="raw_values").round(3))
print(prediction.head(3).to_string())

# %%
# The figure
# ----------

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
table.plot.bar(ax=ax, rot=0, width=0.75)
ax.set(xlabel="Quarter of the lower half", ylabel="R2 on held-out digits", title="Ink, predicted from the upper half")
ax.legend(loc="upper center", ncols=2, frameon=False)
ax.set_ylim(top=1.4 * table.to_numpy().max())
