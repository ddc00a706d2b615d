"""
Quickstart: digits, their codes and their missing halves
========================================================

Handwritten digits of 8 x 8 pixels, and two jobs. The networks run with their defaults, but for the size of the code in
the first job, and for a single network in place of the default ensemble in the second.

1. *One task.* An autoencoder takes the place of ``PCA`` in front of a support vector machine. The size of the code and
   the machine's ``C`` are chosen together by :class:`~sklearn.model_selection.GridSearchCV`.
2. *Many tasks, half of the labels missing.* The lower half of a digit is predicted from its upper half: 32 pixels are
   32 tasks. All tasks share one latent space. A label that is missing is ``NaN``.

Both jobs print their scores beside those of baselines. The figure at the end shows the digits. Run as a script, this
file writes it to ``quickstart.png``, or to the path given as the first argument.
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

# Networks this small gain little from a second thread, and with one the numbers
# below do not depend on how many cores the machine has.
torch.set_num_threads(1)

X, digit = load_digits(return_X_y=True)
X_train, X_test, digit_train, digit_test = train_test_split(
    X, digit, test_size=0.3, stratify=digit, random_state=0
)

# %%
# One task: a code in front of a classifier
# -----------------------------------------
# The same pipeline, the same grid and the same folds for all three. ``memory`` keeps each fitted transformer, so that a
# code is learned once for all values of ``C``.

transformers = {
    "PCA": PCA(random_state=0),
    "AutoencoderTransformer": AutoencoderTransformer(random_state=0),
    "VAETransformer": VAETransformer(random_state=0),
}
grid = {"code__n_components": [8, 16], "svc__C": [1, 10]}

searches = {}
with TemporaryDirectory() as cache:
    for name, transformer in transformers.items():
        pipeline = Pipeline([("code", transformer), ("svc", SVC())], memory=cache)
        searches[name] = GridSearchCV(pipeline, grid, cv=3).fit(X_train, digit_train)

print("Accuracy of code + SVC: cross-validated, the best of each code size;")
print("and the winner's on held-out digits")
print(f"{'':22} {'8 components':>13} {'16 components':>14} {'held out':>9}   winner")
for name, search in searches.items():
    sizes = search.cv_results_["param_code__n_components"]
    small, large = (
        search.cv_results_["mean_test_score"][sizes == size].max()
        for size in grid["code__n_components"]
    )
    winner = ", ".join(
        f"{key.split('__')[1]}={value}" for key, value in search.best_params_.items()
    )
    held_out = search.score(X_test, digit_test)
    print(f"{name:22} {small:13.3f} {large:14.3f} {held_out:9.3f}   {winner}")

# %%
# With 8 components both autoencoders are ahead of PCA. With 16 all three are equally good, and PCA is faster.
#
# Many tasks: the lower half from the upper half
# ----------------------------------------------
# Half of the labels are erased at random. The multi-task model takes the table of labels with its holes. The baselines
# fit each pixel by itself, on the rows where it is observed.

upper_train, lower_train = X_train[:, :32], X_train[:, 32:]
upper_test, lower_test = X_test[:, :32], X_test[:, 32:]
erased = np.random.default_rng(0).random(lower_train.shape) < 0.5
Y_train = np.where(erased, np.nan, lower_train)


def predict_per_task(estimator):
    """Fit each pixel on the rows where it is observed; predict the held-out digits."""
    columns = []
    for y in Y_train.T:
        observed = ~np.isnan(y)
        columns.append(
            estimator.fit(upper_train[observed], y[observed]).predict(upper_test)
        )
    return np.column_stack(columns)


joint = MultiTaskVAERegressor(n_estimators=1, random_state=0).fit(upper_train, Y_train)
predictions = {
    "Ridge per task": predict_per_task(RidgeCV(np.logspace(-1, 5, 7))),
    "SVR per task": predict_per_task(SVR(C=10)),
    "MultiTaskVAERegressor": joint.predict(upper_test),
}

# %%
# Pixels that are nearly always blank are not scored: their R2 says nothing.

varies = np.nanstd(Y_train, axis=0) > 1  # by more than one of the 16 steps of grey
print(f"R2 on held-out digits, mean over the {varies.sum()} pixels that vary;")
print("half of the training labels are missing")
for name, prediction in predictions.items():
    print(f"{name:22} {r2_score(lower_test[:, varies], prediction[:, varies]):6.3f}")

# %%
# The figure
# ----------
# One held-out digit of each kind, its reconstructions from the three codes, and its lower half as the multi-task model
# completes it. The digits of the last row are new. They are drawn from a VAE with a learned prior, "vamp": codes drawn
# from such a prior lie where the codes of digits do; :ref:`sphx_glr_gallery_plot_generated_digits.py` compares priors.
# ``sample`` would add the noise that the model sees in each pixel; ``inverse_transform`` gives the means, which are
# easier on the eye. Of twenty drawn digits every second one is shown, in the order of what they look like.

shown = [np.flatnonzero(digit_test == kind)[0] for kind in range(10)]
codes = {name: search.best_estimator_["code"] for name, search in searches.items()}
generator = VAETransformer(
    likelihood="continuous_bernoulli", prior="vamp", max_iter=120, random_state=0
)
prior = generator.fit(X_train / 16).module_.prior.given(generator.module_.infer)
with torch.no_grad():
    drawn = generator.inverse_transform(
        prior.sample(20, torch.Generator().manual_seed(0)).numpy()
    )
looks_like = SVC().fit(X_train / 16, digit_train).predict(drawn)
drawn = 16 * drawn[np.argsort(looks_like, kind="stable")][::2]

rows = {
    "Original": X_test[shown],
    "PCA": codes["PCA"].inverse_transform(codes["PCA"].transform(X_test[shown])),
    "Autoencoder": codes["AutoencoderTransformer"].predict(X_test[shown]),
    "VAE": codes["VAETransformer"].predict(X_test[shown]),
    "Lower half\npredicted": np.hstack(
        [upper_test[shown], predictions["MultiTaskVAERegressor"][shown]]
    ),
    "New, drawn\nfrom a VAE": drawn,
}
figure, axes = plt.subplots(len(rows), 10, figsize=(9, 5.7), layout="constrained")
for line, (label, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.8")
        if label.startswith("Lower"):
            ax.axhline(3.5, color="C1", linewidth=1.5)
figure.suptitle("Held-out digits, reconstructed and completed, and new digits")

# sphinx-gallery shows the figure itself.
if __name__ == "__main__" and "sphinx_gallery" not in sys.modules:
    path = sys.argv[1] if len(sys.argv) > 1 else "quickstart.png"
    figure.savefig(path, dpi=150)
    print(f"Wrote {path}")
