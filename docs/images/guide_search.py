"""Scores of the candidates of a halving search by epoch: the guide's chapter on hyperparameter search."""

import warnings

import matplotlib.pyplot as plt
import pandas as pd
import style
from sklearn.datasets import load_wine
from sklearn.model_selection import KFold

from sklearn_mtae import DegenerateModelWarning, MultiTaskVAERegressor
from sklearn_mtae.model_selection import StackedHalvingGridSearchCV

warnings.simplefilter("ignore", DegenerateModelWarning)
style.use()
table = load_wine(as_frame=True).data
targets = ["alcohol", "total_phenols", "color_intensity", "proline"]
X, Y = table.drop(columns=targets), table[targets]
model = MultiTaskVAERegressor(4, n_estimators=1, hidden_layer_sizes=(32,), batch_size=60, max_iter=36, random_state=0)
grid = {
    "alpha": [0, 1, 3],
    "learning_rate_init": [1e-3, 1e-2],
    "reconstruction_weight": [0.01, 1],
}
folds = KFold(3, shuffle=True, random_state=0)
search = StackedHalvingGridSearchCV(model, grid, cv=folds).fit(X, Y)

results = pd.DataFrame(search.cv_results_)
results["candidate"] = [str({k: v for k, v in own.items() if k != "max_iter"}) for own in results["params"]]
print(search.n_candidates_, search.n_resources_, search.best_params_, round(search.best_score_, 3))
print(results[["iter", "n_resources", "candidate", "mean_test_score"]].round(3).to_string())
figure, axes = plt.subplots()
for _, own in results.groupby("candidate"):
    is_best = own["n_resources"].max() == max(search.n_resources_)
    colour = style.BLUE if is_best else style.GREY
    axes.plot(own["n_resources"], own["mean_test_score"], "o-", color=colour, zorder=3 if is_best else 2)
top = results["mean_test_score"].max()
low = max(results["mean_test_score"].min(), top - 1.2)
for n_epochs, n in zip(search.n_resources_, search.n_candidates_, strict=True):
    axes.text(n_epochs, low - 0.16, f"{n} candidates", ha="center", fontsize=8.5, color="0.35")
axes.text(25, top + 0.06, "trained to the end", color=style.BLUE, fontsize=8.5, ha="center")
axes.text(5, low - 0.02, "dropped after 4 epochs", color=style.GREY, fontsize=8.5, va="top")
axes.set(
    xscale="log",
    xlabel="epochs trained",
    ylabel="mean R2, rows left out",
    xlim=(3.2, 46),
    ylim=(low - 0.22, top + 0.15),
    title="A halving search: 12 candidates, one in three goes on",
)
axes.set_xticks(search.n_resources_, [f"{n}" for n in search.n_resources_])
axes.minorticks_off()
style.save(figure, "guide/halving.png")
