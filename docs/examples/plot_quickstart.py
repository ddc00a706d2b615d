"""
Quickstart: digits, their codes and their missing halves
========================================================

Handwritten digits of 8 x 8 pixels, and two jobs.

1. *One task.* An autoencoder takes the place of ``PCA`` in front of a support vector machine. The size of the code, the
   weight of the rate and the machine's ``C`` are all chosen by one :class:`~sklearn.model_selection.GridSearchCV`.
2. *Many tasks, half of the labels missing.* The lower half of a digit is predicted from its upper half: 32 pixels are
   32 tasks. All tasks share one latent space. A label that is missing is ``NaN``.

Both jobs print what comes out, beside baselines. The figure at the end shows the digits. Run as a script, it is written
to ``quickstart.png``, or to the path given as the first argument.
"""

import sys
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.metrics import r2_score

# %%
# The data
# --------
# Pixels are intensities. Divided by 16 they lie between 0 and 1 and suit the Bernoulli likelihood, which takes columns
# as they are. So a pixel at the border that is nearly always blank stays as quiet as it is.

X, digit = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, digit_train, digit_test = train_test_split(X, digit, test_size=0.3, stratify=digit, random_state=0)

# Networks this small gain little from a second thread, and with one the numbers below do not depend on how many cores
# the machine has.
torch.set_num_threads(1)
settings = {"likelihood": "bernoulli", "max_iter": 100, "learning_rate_init": 3e-3, "random_state": 0}

# %%
# One task: a code in front of a classifier
# -----------------------------------------
# The same pipeline, the same grid, the same folds for all three. The VAE's grid has one more axis: ``beta``, the weight
# of the rate. ``memory`` keeps each fitted transformer, so that a code is learned once for all values of ``C``.

candidates = {
    "PCA": (PCA(random_state=0), {}),
    "Autoencoder": (AutoencoderTransformer(**settings), {}),
    "VAE": (VAETransformer(**settings), {"code__beta": [0.3, 1.0]}),
}

searches = {}
with TemporaryDirectory() as cache:
    for name, (transformer, extra) in candidates.items():
        pipeline = Pipeline([("code", transformer), ("svc", SVC())], memory=cache)
        grid = {"code__n_components": [8, 16], "svc__C": [1, 10], **extra}
        searches[name] = GridSearchCV(pipeline, grid, cv=3).fit(X_train, digit_train)

print("Accuracy of a code + SVC: the best of each size in cross-validation, and the winner on held-out digits")
print(f"{'':12} {'8 components':>13} {'16 components':>14} {'held out':>9}   chosen")
for name, search in searches.items():
    sizes = search.cv_results_["param_code__n_components"]
    best = [search.cv_results_["mean_test_score"][sizes == size].max() for size in (8, 16)]
    chosen = ", ".join(f"{key.split('__')[1]}={value}" for key, value in search.best_params_.items())
    held_out = search.score(X_test, digit_test)
    print(f"{name:12} {best[0]:13.3f} {best[1]:14.3f} {held_out:9.3f}   {chosen}")

# %%
# Many tasks: the lower half from the upper half
# ----------------------------------------------
# Half of the labels are erased at random. The baselines fit each pixel by itself, on the rows where it is observed.
#
# The multi-task model fits X and Y jointly. Two weights say how much of its effort goes into X; they are chosen by
# cross-validation too. Missing labels pass through the search: the model leaves them out where it trains, and
# :func:`sklearn_mtae.metrics.r2_score` where it is scored. Pixels that are nearly always blank are not scored: their R2
# says nothing.

upper_train, lower_train = X_train[:, :32], X_train[:, 32:]
upper_test, lower_test = X_test[:, :32], X_test[:, 32:]
erased = np.random.default_rng(0).random(lower_train.shape) < 0.5
Y_train = np.where(erased, np.nan, lower_train)
varies = np.nanstd(Y_train, axis=0) > 1 / 16  # by more than one of the 16 steps of grey


def predict_per_task(estimator):
    """Fit the estimator to each pixel on the rows where it is observed; predict the held-out digits."""
    columns = []
    for y in Y_train.T:
        observed = ~np.isnan(y)
        columns.append(estimator.fit(upper_train[observed], y[observed]).predict(upper_test))
    return np.column_stack(columns)


def score(model, X, Y):
    """Return the mean R2 over the pixels that vary."""
    return r2_score(Y[:, varies], model.predict(X)[:, varies])


multi_task = GridSearchCV(
    MultiTaskVAERegressor(n_components=16, **settings),
    [{"reconstruction_weight": [weight], "beta": [weight]} for weight in (0.1, 0.3, 1.0)],
    scoring=score,
    cv=3,
).fit(upper_train, Y_train)

predictions = {
    "Ridge per task": predict_per_task(RidgeCV(np.logspace(-3, 3, 7))),
    "SVR per task": predict_per_task(SVR()),
    "MultiTaskVAERegressor": multi_task.predict(upper_test),
}
print(f"R2 on held-out digits, mean over the {varies.sum()} pixels that vary, half of the training labels missing")
for name, prediction in predictions.items():
    print(f"{name:22} {r2_score(lower_test[:, varies], prediction[:, varies]):6.3f}")
print("Chosen:", ", ".join(f"{key}={value}" for key, value in multi_task.best_params_.items()))

# %%
# The figure
# ----------
# One held-out digit of each kind, what is left of it after its code, and its lower half as the model completes it. For
# the last row, codes are drawn from the prior and decoded. That asks for ``beta=1``, the true bound: with a smaller
# weight the codes of the data need not lie where the prior puts its own. (``sample`` would draw black and white pixels
# from the likelihood; ``inverse_transform`` gives their means, which are easier on the eye.)

shown = [np.flatnonzero(digit_test == kind)[0] for kind in range(10)]
generator = VAETransformer(n_components=16, **{**settings, "max_iter": 400}).fit(X_train)
drawn = generator.inverse_transform(np.random.default_rng(0).normal(size=(10, 16)))


def reconstruct(name):
    """Return the shown digits as the winner's code leaves them."""
    code = searches[name].best_estimator_.named_steps["code"]
    return code.inverse_transform(code.transform(X_test[shown]))


rows = {
    "Original": X_test[shown],
    "PCA": reconstruct("PCA"),
    "Autoencoder": reconstruct("Autoencoder"),
    "VAE": reconstruct("VAE"),
    "Lower half\npredicted": np.hstack([upper_test[shown], predictions["MultiTaskVAERegressor"][shown]]),
    "Drawn from\nthe VAE": drawn,
}
figure, axes = plt.subplots(len(rows), 10, figsize=(9, 5.7), layout="constrained")
for line, (label, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        if label.startswith("Lower"):
            ax.axhline(3.5, color="tab:red", linewidth=1)
figure.suptitle("Held-out digits, their reconstructions, their predicted lower halves, and new digits")

# sphinx-gallery shows the figure itself.
if __name__ == "__main__" and "sphinx_gallery" not in sys.modules:
    path = sys.argv[1] if len(sys.argv) > 1 else "quickstart.png"
    figure.savefig(path, dpi=150)
    print(f"Wrote {path}")
