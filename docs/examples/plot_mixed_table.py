"""
A mixed table with gaps: filled in, and drawn anew
==================================================

Numbers, counts, categories and a skewed amount of money in one table, a fifth of the cells missing. One
:class:`~sklearn_mtae.VAETransformer` with a likelihood per column describes it all. It fills the gaps once, or many
times to show what is not known, and it draws new people, also such as meet conditions.

The table is made up here, so that we know what the missing cells held: age and talent shape the job, all three the
income, and these what people own and do.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from sklearn_mtae import VAETransformer
from sklearn_mtae.inspection import SampleDisplay

# Networks this small gain little from a second thread.
torch.set_num_threads(1)

rng = np.random.default_rng(0)
age, talent = rng.uniform(18, 80, 2000), rng.normal(size=2000)
appeal = {"student": 9 - 0.35 * age, "worker": -1.5 * talent, "manager": 1.5 * talent - 1, "retired": age / 2 - 32}
choice = np.argmax(np.array(list(appeal.values())) + rng.gumbel(size=(4, 2000)), axis=0)
income = np.exp(np.array([6.5, 7.7, 8.5, 7.4])[choice] + 0.15 * talent + 0.25 * rng.normal(size=2000))
owns = rng.logistic(size=2000) < 3 * (np.log(income) - 8) + 0.08 * (age - 45)
people = pd.DataFrame(
    {
        "age": age.round(),
        "job": np.array(list(appeal))[choice],
        "income": income.round(),
        "home": np.where(owns, "owned", "rented"),
        "books": rng.poisson(np.exp(1.5 + 0.8 * talent)),
        "trips": rng.poisson(rng.gamma(3, income / 2000)),
    }
)
missing = rng.random(people.shape) < 0.2
X = people.mask(missing)
print(X.head().to_string())

# %%
# One model for all columns
# -------------------------
# Strings are categories without being told. The other likelihoods have names: "log_normal" for amounts that are
# positive and skewed, "poisson" for counts, "negative_binomial" for counts that spread more than their mean explains;
# what is not named is "gaussian". A learned prior and the tighter bound of the IWAE make for better draws. The columns
# of drawn people, each by itself, beside those of the observed cells:

likelihood = {"income": "log_normal", "books": "poisson", "trips": "negative_binomial"}
network = {"hidden_layer_sizes": (128, 128), "alpha": 0, "prior": "mixture", "objective": "iwae", "max_iter": 60}
vae = VAETransformer(4, likelihood=likelihood, random_state=0, **network).fit(X)
SampleDisplay.from_estimator(vae, X, random_state=0)

# %%
# Gaps, filled once
# -----------------
# ``impute`` returns a table like the one it is given, each gap filled by its mean given the rest of the row, or by the
# most probable category; :class:`~sklearn_mtae.VAEImputer` does so as a step of a pipeline. The baseline fills in the
# column's median, or its most frequent category.

categories = ["job", "home"]
simple = X.fillna(X.drop(columns=categories).median()).fillna(X[categories].mode().iloc[0])
tables = {"baseline": simple, "VAE": vae.impute(X)}
for name, gaps in zip(people, missing.T, strict=True):
    truth, filled = people.loc[gaps, name], {key: table.loc[gaps, name] for key, table in tables.items()}
    if name in categories:
        scores = [f"{key} {np.mean(truth == values):.0%}" for key, values in filled.items()]
    else:
        scores = [f"{key} {np.mean(np.abs(truth - values)):.1f}" for key, values in filled.items()]
    print(f"{name:7} {'right' if name in categories else 'mean error'}: {', '.join(scores)}")

# %%
# Gaps, filled many times
# -----------------------
# One value per gap hides how little may be known. With ``n_draws`` gaps become draws from their distribution given the
# rest of the row. On the left, 90 % of the draws for forty people whose income is missing, and what it was.

draws = np.array([table["income"] for table in vae.impute(X, n_draws=100, random_state=0)])
low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
gap, job_known = missing[:, 2], ~missing[:, 1]
inside = (low <= people["income"]) & (people["income"] <= high)
print(f"Incomes that lie within 90 % of their draws: {inside[gap].mean():.0%}")
for text, group in {"job known": gap & job_known, "job missing too": gap & ~job_known}.items():
    print(f"{text:15}: the interval's upper end is {np.median((high / low)[group]):.1f} times its lower one")

chosen = np.flatnonzero(gap)[:40]
chosen = chosen[np.argsort(middle[chosen])]
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=[1.6, 1])
for known, colour, label in [(True, "C0", "job known"), (False, "C1", "job missing too")]:
    place = np.flatnonzero(job_known[chosen] == known)
    axes[0].vlines(place, low[chosen[place]], high[chosen[place]], color=colour, linewidth=3, alpha=0.6, label=label)
axes[0].plot(people["income"].to_numpy()[chosen], "k.", label="what it was")
axes[0].set(yscale="log", xticks=[], xlabel="people whose income is missing", ylabel="income")
axes[0].legend(loc="upper left")

# %%
# People who meet conditions
# --------------------------
# ``conditions`` fixes cells; the rest is drawn from its distribution given them.

wanted = {"job": "retired", "home": "rented"}
drawn = vae.sample(1000, random_state=0, conditions=wanted)
real = people[(people["job"] == "retired") & (people["home"] == "rented")]
print(pd.DataFrame({"real": real.median(numeric_only=True), "drawn": drawn.median(numeric_only=True)}).to_string())
