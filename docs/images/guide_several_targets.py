"""Figure of the guide: tasks learned together and apart, related and unrelated, by the number of their labels.

Run as `python docs/images/guide_several_targets.py`; it writes `docs/images/guide/several_targets.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.ensemble import RandomForestRegressor

from sklearn_mtae import MultiTaskVAERegressor, PerTaskRegressor

N_LABELS = [20, 40, 80, 160, 320]
SEEDS = range(3)


def related(X):
    """Return four mixtures of two nonlinear functions of the features."""
    load, wear = 2 * np.sin(3 * X[:, 0]) * X[:, 1], 2 * np.abs(X[:, 2]) - X[:, 3]
    return np.column_stack([load + 0.3 * wear, load - 0.5 * wear, load, wear + 0.4 * load])


def unrelated(X):
    """Return four functions of two features each."""
    return np.column_stack([2 * np.sin(3 * X[:, 2 * t]) * X[:, 2 * t + 1] for t in range(4)])


network = MultiTaskVAERegressor(n_estimators=1, hidden_layer_sizes=(128,), random_state=0)
models = {
    "together": network,
    "alone": PerTaskRegressor(network),
    "forest": PerTaskRegressor(RandomForestRegressor(random_state=0)),
}
colours = {"together": style.MODELS["ours"], "alone": style.MODELS["alone"], "forest": style.MODELS["forest"]}


def score(model, make, n_labels, seed):
    """Return the mean R2 on 1,000 new rows, after a fit to 500 rows of which each task has a few labels."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(1500, 8))
    Y = make(X) + 0.2 * rng.normal(size=(1500, 4))
    labels = Y[:500].copy()
    for task in range(4):
        labels[rng.permutation(500)[n_labels:], task] = np.nan
    return model.fit(X[:500], labels).score(X[500:], Y[500:])


style.use()
figure, axes = plt.subplots(1, 2, sharey=True)
for ax, make in zip(axes, [related, unrelated], strict=True):
    ends = {}
    for name, model in models.items():
        scores = np.array([[score(model, make, n, seed) for n in N_LABELS] for seed in SEEDS])
        print(make.__name__, name, scores.mean(axis=0).round(2), scores.std(axis=0).round(2), flush=True)
        ax.plot(N_LABELS, scores.mean(axis=0), marker="o", color=colours[name])
        ends[name] = scores.mean(axis=0)[-1]
    for place, name in enumerate(sorted(ends, key=ends.get, reverse=True)):
        apart = 0.04 - 0.04 * place  # so that names of close lines do not touch
        style.label_line(ax, name, colours[name], x=350, y=ends[name] + apart)
    ax.set(title=f"Four {make.__name__} targets", xlabel="labels of each target, of 500 rows", xscale="log")
    ax.set_xticks(N_LABELS, N_LABELS)
    ax.minorticks_off()
    ax.set_xlim(right=700)
axes[0].set_ylabel("R2 on new rows, mean of the targets")
style.save(figure, "guide/several_targets.png")
