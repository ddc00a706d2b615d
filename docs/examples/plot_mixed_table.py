"""
A mixed table with gaps: filled in, and drawn anew
==================================================

Numbers, counts, categories and a skewed amount of money in one table, and a fifth of the cells missing. One model
describes it all: :class:`~sklearn_mtae.VAETransformer` with a likelihood per column. It fills gaps once, or many times
to show what is not known, and draws new people, also such as fulfil conditions.

The table is made up here, so that we know what the missing cells held: age and talent shape the job, these the income,
and all of them what people own and do.
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
n_people = 2000
age, talent = rng.uniform(18, 80, n_people), rng.normal(size=n_people)
appeal = {"student": 9 - 0.35 * age, "worker": -1.5 * talent, "manager": 1.5 * talent - 1, "retired": age / 2 - 32}
job = np.array(list(appeal))[np.argmax(np.array(list(appeal.values())) + rng.gumbel(size=(4, n_people)), axis=0)]
pay = pd.Series(job).map({"student": 6.5, "worker": 7.7, "manager": 8.5, "retired": 7.4}).to_numpy()
income = np.exp(pay + 0.15 * talent + 0.25 * rng.normal(size=n_people)).round()
owns = rng.logistic(size=n_people) < 3 * (np.log(income) - 8) + 0.08 * (age - 45)
people = pd.DataFrame(
    {
        "age": age.round(),
        "job": job,
        "income": income,
        "home": np.where(owns, "owned", "rented"),
        "cars": rng.poisson(np.sqrt(income / 3000)),
        "trips": rng.poisson(rng.gamma(2, np.sqrt(income) / 40)),
    }
)
missing = rng.random(people.shape) < 0.2
X = people.mask(missing)
print(X.head().to_string())

# %%
# One model for all columns
# -------------------------
# Strings are categories without being told. The other likelihoods are named: "log_normal" for amounts that are positive
# and skewed, "poisson" and "negative_binomial" for counts, of which the second spread more than their mean says.

likelihood = {"income": "log_normal", "cars": "poisson", "trips": "negative_binomial"}
vae = VAETransformer(4, likelihood=likelihood, max_iter=100, random_state=0).fit(X)
SampleDisplay.from_estimator(vae, X, random_state=0)

# %%
# Gaps, filled once
# -----------------
# ``impute`` returns a table like the one it was given, each gap filled by its mean given the rest of the row, or by the
# most probable category. (:class:`~sklearn_mtae.VAEImputer` does the same as a step of a pipeline.) The baseline fills
# in the column's median or its most frequent category.

filled = vae.impute(X)
simple = X.fillna({name: X[name].mode()[0] if X[name].dtype == object else X[name].median() for name in X})
