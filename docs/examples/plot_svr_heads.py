"""
An autoencoder, then a support vector machine per task
======================================================

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
from sklearn.base import clone
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
Y = pd.DataFrame(
    quarters, columns=["upper left", "upper right", "lower left", "lower right"]
)
Y["digit"] = [f"a {kind}" for kind in digit]

X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, train_size=800, stratify=digit, random_state=0
)
Y_train = Y_train.mask(np.random.default_rng(0).random(Y_train.shape) < 0.75)
print(f"Labels of each task, for {len(Y_train)} rows")
print(Y_train.notna().sum().to_string())

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
        pipeline = Pipeline(
            [("encoder", encoder), ("heads", PerTaskRegressor(SVR()))], memory=cache
        )
        searches[name] = GridSearchCV(pipeline, grid, cv=3).fit(X_train, Y_train[ink])

table = {}
for name, search in searches.items():
    table[f"SVR on {name}"] = r2_score(
        Y_test[ink], search.predict(X_test), multioutput="raw_values"
    )
    print(f"{name}: {search.best_params_}")
table = pd.DataFrame(table, index=ink)
print("\nR2 on held-out digits")
print(table.round(3).to_string())

# %%
# With 16 components for 32 pixels PCA keeps nearly everything. It is slightly ahead of the autoencoder in three of the
# four tasks. That is worth knowing before you train a network, and the same search finds it out for your data.
#
# The first candidate of the grid pays for the encoder. The others find it in the cache:

times = searches["an autoencoder"].cv_results_["mean_fit_time"]
first, others = times[0], times[1:]
print(f"Seconds per fit: the first {first:.2f}, the others {others.mean():.2f}")

# %%
# Numbers and classes together
# ----------------------------
# A dict has a head for each task, by the task's name. Regressors and classifiers may be mixed, and the parameters of
# each are reached by its task's name: ``heads__estimator__digit__C``.

heads = PerTaskRegressor(
    {**{task: SVR(C=10, epsilon=0.5) for task in ink}, "digit": SVC()}
)
with TemporaryDirectory() as cache:
    mixed = Pipeline(
        [("encoder", AutoencoderTransformer(16, random_state=0)), ("heads", heads)],
        memory=cache,
    )
    search = GridSearchCV(
        mixed, {"heads__estimator__digit__C": [1, 10, 100]}, cv=3
    ).fit(X_train, Y_train)

prediction = pd.DataFrame(search.predict(X_test), columns=Y.columns)
print(search.best_params_)
print(f"digit: accuracy {accuracy_score(Y_test['digit'], prediction['digit']):.3f}")
print(
    "ink: R2", r2_score(Y_test[ink], prediction[ink], multioutput="raw_values").round(3)
)
print(prediction.head(3).to_string())

# %%
# Where PCA falls behind
# ----------------------
# In a short code it matters what each component is spent on. Principal components follow the largest variance of the
# pixels, an autoencoder is nonlinear, and the multi-task model spends its code on what the labels need. The heads are
# the same throughout.

sizes = [2, 4, 8, 16]
kinds = {
    "PCA": PCA(random_state=0),
    "an autoencoder": AutoencoderTransformer(random_state=0),
    "a multi-task model": MultiTaskVAERegressor(n_estimators=1, random_state=0),
}
heads = PerTaskRegressor(SVR(C=10, epsilon=0.5))
means = pd.DataFrame(
    index=pd.Index(sizes, name="components"), columns=list(kinds), dtype=float
)
for name, kind in kinds.items():
    for size in sizes:
        model = Pipeline(
            [
                ("encoder", clone(kind).set_params(n_components=size)),
                ("heads", clone(heads)),
            ]
        )
        means.loc[size, name] = model.fit(X_train, Y_train[ink]).score(
            X_test, Y_test[ink]
        )
print("R2 on held-out digits, mean of the four tasks")
print(means.round(2).to_string())

# %%
# With two components the multi-task model explains three times as much as PCA does, and the autoencoder, which has seen
# no label, nearly three times as much. With four they are still ahead. From eight on PCA is as good or better: use it.
#
# The figure
# ----------

colours = {
    "the pixels": "C4",
    "PCA": "0.5",
    "an autoencoder": "C0",
    "a multi-task model": "C1",
}
figure, (left, right) = plt.subplots(
    1, 2, figsize=(8, 3.4), layout="constrained", width_ratios=[1.3, 1]
)
for place, (name, colour) in enumerate(colours.items()):
    left.plot(
        table[f"SVR on {name}"],
        np.arange(4) + 0.16 * (place - 1.5),
        "o",
        color=colour,
        label=name,
    )
left.set_yticks(range(4), ink)
left.invert_yaxis()
left.set(xlabel="R2 on held-out digits", title="Ink in each quarter, 16 components")
figure.legend(loc="outside upper center", ncols=4, frameon=False)
for name in kinds:
    right.plot(range(4), means[name], "o-", color=colours[name])
right.set_xticks(range(4), sizes)
right.set(
    xlabel="components",
    ylabel="R2, mean of the four tasks",
    title="The shorter the code",
)
plt.show()
