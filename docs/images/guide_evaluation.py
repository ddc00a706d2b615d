"""Figure of the guide: scores by training rows, random folds and folds of whole patients, beside those of new patients.

Run as `python docs/images/guide_evaluation.py`; it writes `docs/images/guide/evaluation.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor

warnings.simplefilter("ignore", DegenerateModelWarning)


def visits(n_patients, n_visits, rng):
    """Return features, three targets and patients: features hardly change between visits, nor does what is not seen."""
    of_patient = np.repeat(rng.normal(size=(n_patients, 6)), n_visits, axis=0)
    unseen = np.repeat(rng.normal(size=(n_patients, 3)), n_visits, axis=0)
    X = of_patient + 0.1 * rng.normal(size=of_patient.shape)
    Y = X[:, :3] + unseen + 0.3 * rng.normal(size=unseen.shape)
    return X, Y, np.repeat(np.arange(n_patients), n_visits)


rng = np.random.default_rng(0)
X, Y, patients = visits(120, 4, rng)
X_new, Y_new, _ = visits(500, 4, rng)
Y[rng.random(Y.shape) < 0.4] = np.nan
model = MultiTaskVAERegressor(4, n_estimators=1, hidden_layer_sizes=(64,), learning_rate_init=0.005, random_state=0)
fitted = model.fit(X, Y)
ways = {
    "rows it was fitted to": [fitted.score(X, Y)],
    "KFold: other rows": cross_val_score(model, X, Y, cv=KFold(5, shuffle=True, random_state=0)),
    "GroupKFold: other patients": cross_val_score(model, X, Y, cv=GroupKFold(5), groups=patients),
}
truth = fitted.score(X_new, Y_new)
print({name: np.round(own, 2) for name, own in ways.items()}, round(truth, 2))

style.use()
figure, axes = plt.subplots(figsize=(5.8, 2.5))
axes.axvline(truth, color=style.BLUE, linewidth=1.2)
for place, (name, own) in enumerate(ways.items()):
    colour = style.BLUE if "Group" in name else style.ORANGE
    axes.plot(own, [place] * len(own), "o", color=colour, alpha=0.5)
    axes.plot([np.mean(own)], [place], "|", color=colour, markersize=18, markeredgewidth=2)
    axes.text(np.mean(own), place - 0.3, f"{np.mean(own):.2f}", color=colour, ha="center", fontsize=8.5)
axes.text(truth, -0.62, f"500 new patients: {truth:.2f}", color=style.BLUE, ha="center", fontsize=8.5)
axes.set_yticks(range(3), list(ways))
axes.set(ylim=(2.4, -0.5), xlabel="mean R2 of three tasks")
style.save(figure, "guide/evaluation.png")
