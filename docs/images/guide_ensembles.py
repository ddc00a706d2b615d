"""R2 on rows that no model has seen, by the number of members and the seed: the guide's chapter on ensembles."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor
from sklearn_mtae.metrics import r2_score

warnings.simplefilter("ignore", DegenerateModelWarning)
style.use()
table = load_diabetes(as_frame=True).frame
X, X_test, y, y_test = train_test_split(table.drop(columns="target"), table["target"], test_size=0.5, random_state=0)
counts, seeds = [1, 3, 10], range(3)
scores = np.array(
    [
        [MultiTaskVAERegressor(n_estimators=n, random_state=seed).fit(X, y).score(X_test, y_test) for seed in seeds]
        for n in counts
    ]
)
scale = X.std()
ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X / scale, y)
of_ridge = r2_score(y_test, ridge.predict(X_test / scale))
print(scores.round(3), scores.mean(axis=1), scores.std(axis=1), of_ridge)

figure, axes = plt.subplots()
places = np.arange(len(counts))
for place, own in zip(places, scores, strict=True):
    axes.plot([place] * len(own), own, "o", color=style.BLUE, alpha=0.7)
    axes.text(
        place, min(own.min(), of_ridge) - 0.016, f"mean {own.mean():.2f}", color=style.BLUE, ha="center", va="center"
    )
axes.axhline(of_ridge, color=style.GREY, linewidth=1)
axes.text(-0.4, of_ridge + 0.004, "ridge regression", color=style.GREY, fontsize=8.5, va="bottom")
axes.set_xticks(places, [f"{n}" if n > 1 else "1 (a single model)" for n in counts])
axes.set(
    xlabel="n_estimators",
    ylabel="R2, test rows",
    xlim=(-0.45, len(counts) - 0.55),
    ylim=(scores.min() - 0.03, None),
    title="Progress of diabetes: 221 patients to learn from, three seeds",
)
style.save(figure, "guide/ensembles.png")
