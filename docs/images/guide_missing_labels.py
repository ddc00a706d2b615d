"""Figure of the guide: models of all rows with a label, and one of complete rows, by the share of missing labels.

Run as `python docs/images/guide_missing_labels.py`; it writes `docs/images/guide/missing_labels.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.ensemble import RandomForestRegressor

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor, PerTaskRegressor

warnings.simplefilter("ignore", DegenerateModelWarning)
SHARES = [0, 0.2, 0.4, 0.6, 0.8]
SEEDS = range(2)


def scores(share, seed):
    """Return R2 on 300 new rows, after fits to 300 rows of which a share of the labels is missing."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(600, 6))
    curve = np.sin(3 * X[:, :1]) + X[:, 1:2] ** 2
    Y = curve * [1, 2, -1, 0.5] + 0.1 * rng.normal(size=(600, 4))
    labels = Y[:300].copy()
    labels[rng.random(labels.shape) < share] = np.nan
    complete = ~np.isnan(labels).any(axis=1)
    model = MultiTaskVAERegressor(
        4, n_estimators=1, hidden_layer_sizes=(64,), max_iter=30, learning_rate_init=0.01, random_state=1
    )
    default = MultiTaskVAERegressor(random_state=0)
    forest = PerTaskRegressor(RandomForestRegressor(random_state=0))
    return [
        model.fit(X[:300], labels).score(X[300:], Y[300:]),
        model.fit(X[:300][complete], labels[complete]).score(X[300:], Y[300:]) if complete.sum() > 2 else np.nan,
        forest.fit(X[:300], labels).score(X[300:], Y[300:]),
        default.fit(X[:300], labels).score(X[300:], Y[300:]),
    ]


found = np.array([[scores(share, seed) for share in SHARES] for seed in SEEDS]).mean(axis=0)
print(found.round(2))
style.use()
figure, axes = plt.subplots(figsize=(5.8, 3))
lines = {
    "one small network": style.SKY,
    "the same, complete rows": style.ORANGE,
    "a forest per task": style.MODELS["forest"],
    "default ensemble": style.MODELS["ours"],
}
for (name, colour), own in zip(lines.items(), found.T, strict=True):
    axes.plot(SHARES, own, marker="o", color=colour)
    last = np.flatnonzero(np.isfinite(own))[-1]
    style.label_line(axes, name, colour, x=SHARES[last] + 0.02, y=own[last], fontsize=8)
axes.set_xticks(SHARES, [f"{share:.0%}" for share in SHARES])
axes.set(xlabel="labels missing, of 300 rows", ylabel="R2 on new rows", xlim=(-0.02, 1.1))
style.save(figure, "guide/missing_labels.png")
