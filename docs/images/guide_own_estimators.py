"""Figure of the guide: thirty rows on their way through an autoencoder and a support vector machine per target.

Run as `python docs/images/guide_own_estimators.py`; it writes `docs/images/guide/own_estimators.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

from sklearn_mtae import AutoencoderTransformer, DegenerateModelWarning, PerTaskRegressor

warnings.simplefilter("ignore", DegenerateModelWarning)
rng = np.random.default_rng(0)
hidden = rng.uniform(-1, 1, size=(200, 2))
X = np.tanh(2 * hidden @ rng.normal(size=(2, 10))) + 0.3 * rng.normal(size=(200, 10))
Y = hidden @ rng.normal(size=(2, 3)) + 0.1 * rng.normal(size=(200, 3))
Y[rng.random(Y.shape) < 0.4] = np.nan
encoder = AutoencoderTransformer(2, hidden_layer_sizes=(32,), learning_rate_init=0.01, max_iter=40, random_state=0)
model = make_pipeline(encoder, PerTaskRegressor(SVR())).fit(X, Y)
tables = {
    "features": X,
    "code": model[:-1].transform(X),
    "labels": Y,
    "predicted": model.predict(X),
}
print(np.isfinite(Y).sum(axis=0), round(model.score(X, Y), 2))

style.use()
plt.rcParams["figure.constrained_layout.use"] = False
figure, axes = plt.subplots(1, 4, figsize=(6.2, 3.8), width_ratios=[10, 2, 3, 3])
figure.subplots_adjust(left=0.07, right=0.98, top=0.92, bottom=0.08, wspace=0.6)
names = {"code": ["z0", "z1"], "features": ["x0", *[""] * 8, "x9"]}
for ax, (title, rows) in zip(axes, tables.items(), strict=True):
    scale = np.nanstd(tables["labels" if title == "predicted" else title], axis=0)
    shown = np.ma.masked_invalid((rows / scale)[:30])
    ax.imshow(shown, cmap="cividis", vmin=-2, vmax=2, aspect="auto", interpolation="none")
    ax.set_xticks(range(rows.shape[1]), names.get(title, ["y0", "y1", "y2"]))
    ax.set(title=title, yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
axes[0].set_ylabel("30 of 200 rows")
steps = {0: "encoder", 1: "an SVR\nper target", 2: "predict"}
for place, word in steps.items():
    left, right = axes[place].get_position().x1, axes[place + 1].get_position().x0
    middle = (left + right) / 2
    figure.text(middle, 0.5, "→", ha="center", va="center", fontsize=16, color=style.BLUE)
    figure.text(middle, 0.62, word, ha="center", va="center", fontsize=8.5, color=style.BLUE, rotation=90)
style.save(figure, "guide/own_estimators.png")
