"""Figure of the guide: R2 of a slow test alone and with the table of a fast test, by the number of its labels.

Run as `python docs/images/guide_tasks_with_their_own_tables.py`; it writes `docs/images/guide/own_tables.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import style
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from sklearn_mtae import MultiTaskVAERegressor, align_columns, stack_tasks

N_LABELS = [15, 30, 60, 120]
SEEDS = range(3)
SHARED = ["temperature", "flow"]


def plant(rng: np.random.Generator, n_rows: int, columns: list[str]) -> tuple[pd.DataFrame, pd.Series]:
    """Return settings of a plant and the quality of what it makes."""
    X = pd.DataFrame(rng.uniform(-1, 1, size=(n_rows, len(columns))), columns=columns)
    quality = np.sin(3 * X["temperature"]) * X["flow"]
    return X, quality + 0.1 * rng.normal(size=n_rows)


def scores(n_labels: int, seed: int) -> list[float]:
    """Return R2 of the slow test on 500 new rows: of the stack, of two steps, and of two models of its own rows."""
    rng = np.random.default_rng(seed)
    X_fast, y_fast = plant(rng, 300, ["temperature", "pressure", "flow"])
    X_slow, quality = plant(rng, 700, SHARED)
    y_slow = 40 + 10 * np.exp(quality)
    X, y, X_test, y_test = X_slow[:n_labels], y_slow[:n_labels], X_slow[200:], y_slow[200:]
    model = MultiTaskVAERegressor(4, n_estimators=1, random_state=0)
    model.fit(*stack_tasks({"fast": (X_fast, y_fast), "slow": (X, y)}))
    together = model.predict(align_columns(X_test, model))[:, 1]
    fast = RandomForestRegressor(random_state=0).fit(X_fast[SHARED], y_fast)
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X.assign(fast=fast.predict(X)), y)
    found = [
        together,
        ridge.predict(X_test.assign(fast=fast.predict(X_test))),
        model.fit(X, y).predict(X_test),
        RandomForestRegressor(random_state=0).fit(X, y).predict(X_test),
    ]
    return [r2_score(y_test, predicted) for predicted in found]


found = np.array([[scores(n, seed) for n in N_LABELS] for seed in SEEDS])
mean = found.mean(axis=0)
print(mean.round(2), found.std(axis=0).round(2), sep="\n")
style.use()
figure, axes = plt.subplots(figsize=(5.8, 3))
lines = {
    "both tables stacked": style.MODELS["ours"],
    "in two steps": style.MODELS["second"],
    "the network alone": style.MODELS["alone"],
    "a forest alone": style.MODELS["forest"],
}
apart = [0.015, 0.015, -0.015, -0.03]  # so that names of close lines do not touch
for (name, colour), own, shift in zip(lines.items(), mean.T, apart, strict=True):
    axes.plot(N_LABELS, own, "o-", color=colour)
    style.label_line(axes, name, colour, x=126, y=own[-1] + shift)
axes.set(xscale="log", xlim=(14, 124), xlabel="labels of the slow test", ylabel="R2 of the slow test, new rows")
axes.set_xticks(N_LABELS, [str(n) for n in N_LABELS])
axes.minorticks_off()
axes.set_title("What 300 rows of another test at another plant are worth")
style.save(figure, "guide/own_tables.png")
