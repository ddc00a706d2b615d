"""
Missing values and synthetic rows in a mixed table
==================================================

One table holds numbers, counts, categories and a skewed amount of money, and a fifth of its cells are missing. A single
:class:`~sklearn_mtae.VAETransformer` with a likelihood per column describes all of them. It fills the gaps once, or
many times to show how uncertain they are, and it draws new people, also under conditions.

The table is simulated, so that we know what the missing cells held. It depends on age, talent and chance.
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
appeal = {
    "student": 9 - 0.35 * age,
    "worker": -1.5 * talent,
    "manager": 1.5 * talent - 1,
    "retired": age / 2 - 32,
}
choice = np.argmax(np.array(list(appeal.values())) + rng.gumbel(size=(4, 2000)), axis=0)
income = np.exp(
    np.array([6.5, 7.7, 8.5, 7.4])[choice]
    + 0.15 * talent
    + 0.25 * rng.normal(size=2000)
)
owns = rng.logistic(size=2000) < 3 * (np.log(income) - 8) + 0.08 * (age - 45)
people = pd.DataFrame(
    {
        "age": age.round(),
        "job": np.array(list(appeal))[choice],
        "income": income.round(),
    }
)
people["home"] = np.where(owns, "owned", "rented")
people["books"] = rng.poisson(np.exp(1.5 + 0.8 * talent))
people["trips"] = rng.poisson(rng.gamma(4, income / 4000))
missing = rng.random(people.shape) < 0.2
X = people.mask(missing)
print(X.head().to_string())

# %%
# One model for all columns
# -------------------------
# Columns of strings are taken as categories. The other columns get a likelihood by name: "log_normal" for amounts that
# are positive and skewed, "poisson" for counts, "negative_binomial" for counts that vary more than Poisson's. Columns
# that are not named are "gaussian". The prior is learned, and the objective is the tighter bound of the IWAE.

likelihood = {"income": "log_normal", "books": "poisson", "trips": "negative_binomial"}
network = {
    "hidden_layer_sizes": (128, 128),
    "alpha": 0,
    "prior": "mixture",
    "objective": "iwae",
    "max_iter": 60,
}
vae = VAETransformer(4, likelihood=likelihood, random_state=0, **network).fit(X)
SampleDisplay.from_estimator(vae, X, random_state=0)

# %%
# Gaps, filled once
# -----------------
# ``impute`` returns a table like the one it is given. Each gap is filled with its mean given the rest of the row, or
# with the most probable category; :class:`~sklearn_mtae.VAEImputer` does the same as a step of a pipeline. The baseline
# fills in the column's median, or its most frequent category.

categories, numbers = ["job", "home"], ["age", "income", "books", "trips"]
simple = X.fillna({**X[numbers].median(), **X[categories].mode().iloc[0]})
tables = {"baseline": simple, "VAE": vae.impute(X)}
right = {
    name: (table == people)[categories].astype(float).where(X.isna()).mean()
    for name, table in tables.items()
}
error = {
    name: (table[numbers] - people[numbers]).abs().where(X.isna()).mean()
    for name, table in tables.items()
}
print("Share of gaps filled right\n" + pd.DataFrame(right).round(2).to_string())
print("\nMean absolute error\n" + pd.DataFrame(error).round(1).to_string())

# %%
# Gaps, filled many times
# -----------------------
# One value per gap hides how uncertain it is. With ``n_draws``, gaps are filled with draws from their distribution
# given the rest of the row. Each bar holds 90 % of the draws for one of forty people whose income is missing, in order
# of their medians.

draws = np.array(
    [table["income"] for table in vae.impute(X, n_draws=100, random_state=0)]
)
low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
gap = missing[:, 2]
inside = (low <= people["income"]) & (people["income"] <= high)
print(f"Incomes within 90 % of their draws: {inside[gap].mean():.0%}")

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
chosen = np.array(sorted(np.flatnonzero(gap)[:40], key=middle.item))
for job_missing, name in enumerate(["job known", "job missing too"]):
    widths = (high / low)[gap & (missing[:, 1] == job_missing)]
    print(f"{name:16} upper end / lower end of the bar: {np.median(widths):.1f}")
    place = np.flatnonzero(missing[chosen, 1] == job_missing)
    ax.vlines(
        place,
        low[chosen[place]],
        high[chosen[place]],
        ["C0", "C1"][job_missing],
        linewidth=4,
        alpha=0.6,
        label=name,
    )
ax.plot(people["income"].to_numpy()[chosen], "k.", label="true income")
ax.set(
    yscale="log", xticks=[], xlabel="people whose income is missing", ylabel="income"
)
ax.legend(loc="lower right")
plt.show()

# %%
# New people, under conditions
# ----------------------------
# ``conditions`` fixes some cells of the new rows; the others are drawn from their distribution given these. The real
# managers who rent are those of the complete table; they are few, as most managers own their home.

real = people.query("job == 'manager' and home == 'rented'")
drawn = vae.sample(
    1000, random_state=0, conditions={"job": "manager", "home": "rented"}
)
SampleDisplay(drawn=drawn, real=real).plot(features=["age", "income", "books", "trips"])

# %%
# Each column by itself is right, except for the ends of the age: nobody is under 18 or over 80, but a normal
# distribution has no ends. Among the gaps, the job is filled best. Books and trips are mostly chance, by construction,
# and there the model is little better than the baseline. That is what many draws are for: they say how far a filled gap
# can be trusted.
