"""Figure of the guide: what four ways of sharing gain or cost, for tasks that are related and tasks that are not.

Run as `python docs/images/guide_sharing.py`; it writes `docs/images/guide/sharing.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor, PerTaskRegressor
from sklearn_mtae.metrics import relative_root_mean_squared_error

warnings.simplefilter("ignore", DegenerateModelWarning)
SEEDS = range(4)


def related(X):
    """Return four mixtures of two nonlinear functions of the features."""
    load, wear = 2 * np.sin(3 * X[:, 0]) * X[:, 1], 2 * np.abs(X[:, 2]) - X[:, 3]
    return np.column_stack([load + 0.3 * wear, load - 0.5 * wear, load, wear + 0.4 * load])


def unrelated(X):
    """Return four functions of two features each."""
    return np.column_stack([2 * np.sin(3 * X[:, 2 * t]) * X[:, 2 * t + 1] for t in range(4)])


def network(sharing="hard"):
    """Return a single network with a way of sharing."""
    return MultiTaskVAERegressor(n_estimators=1, hidden_layer_sizes=(128,), sharing=sharing, random_state=0)


WAYS = ["hard", "private", "mmoe", "cross_stitch"]
MODELS = {"alone": PerTaskRegressor(network())} | {sharing: network(sharing) for sharing in WAYS}


def error(model, make, seed):
    """Return the relative error on 1,000 new rows, after a fit to 400 rows of which each task has 100 labels."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(1400, 8))
    Y = make(X) + 0.2 * rng.normal(size=(1400, 4))
    labels = Y[:400].copy()
    for task in range(4):
        labels[rng.permutation(400)[100:], task] = np.nan
    return relative_root_mean_squared_error(Y[400:], model.fit(X[:400], labels).predict(X[400:]))


style.use()
figure, axes = plt.subplots(1, 2, figsize=(5.8, 3.1), sharey=True)
for ax, make in zip(axes, [related, unrelated], strict=True):
    errors = {name: np.array([error(model, make, seed) for seed in SEEDS]) for name, model in MODELS.items()}
    for place, name in enumerate(WAYS):
        change = 100 * (errors[name] / errors["alone"] - 1)
        colour = style.BLUE if change.mean() < 0 else style.ORANGE
        ax.plot(change, [place] * len(change), "o", color=colour, alpha=0.5)
        ax.plot([change.mean()], [place], "|", color=colour, markersize=18, markeredgewidth=2)
        ax.text(
            change.mean(),
            place - 0.33,
            f"{change.mean():+.0f} %".replace("-", "\N{MINUS SIGN}"),
            color=colour,
            ha="center",
            fontsize=8.5,
        )
        print(make.__name__, name, change.round(1), flush=True)
    ax.axvline(0, color=style.GREY, linewidth=1)
    ax.set(title=f"Four {make.__name__} targets", xlabel="change of the error, %")
axes[0].set_yticks(range(len(WAYS)), [f'"{name}"' for name in WAYS])
axes[0].set_ylim(len(WAYS) - 0.6, -0.6)
style.save(figure, "guide/sharing.png")
