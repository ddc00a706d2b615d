"""A table with columns of all kinds, for the tests."""

from functools import partial

import numpy as np
import pandas as pd

from sklearn_mtae.nn.likelihoods import LIKELIHOODS, OneHot

LEVELS = {"job": ["aide", "clerk", "smith"], "size": ["s", "m", "l"], "state": ["off", "on"]}
"""Levels that occur; the dtype of the sizes has one more."""
LIKELIHOOD = {
    "age": "gaussian",
    "visits": "poisson",
    "claims": "negative_binomial",
    "member": "bernoulli",
    "pay": "log_normal",
    "job": "categorical",
}
SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0}


def complete(n_rows=120):
    """Return a table whose columns follow one hidden number, in dtypes that may have gaps or may not."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=n_rows)
    X = pd.DataFrame(index=[f"row {row}" for row in range(n_rows)])
    X["age"] = 40 + 10 * z + rng.normal(size=n_rows)
    X["job"] = np.array(LEVELS["job"], dtype=object)[np.digitize(z + 0.3 * rng.normal(size=n_rows), [-0.5, 0.5])]
    X["visits"] = pd.array(rng.poisson(np.exp(1 + 0.5 * z)), dtype="Int64")
    X["size"] = pd.Categorical.from_codes(np.digitize(z, [-0.5, 0.5]), [*LEVELS["size"], "xl"], ordered=True)
    X["member"] = pd.array(z > 0, dtype="boolean")
    X["pay"] = np.exp(z + 0.1 * rng.normal(size=n_rows))
    X["light"] = (z + rng.normal(size=n_rows)).astype(np.float32)
    X["claims"] = pd.array(rng.negative_binomial(2, 0.4, n_rows), dtype="Int16")
    X["state"] = pd.Series(np.where(z > 0, "on", "off"), dtype="string", index=X.index)
    X["rooms"] = rng.integers(1, 9, n_rows)
    X["flag"] = rng.random(n_rows) < 0.5
    return X


def with_gaps():
    """Return the table with a fifth of the cells missing where the dtype allows it."""
    X = complete()
    gone = pd.DataFrame(np.random.default_rng(1).random(X.shape) < 0.2, X.index, X.columns)
    gone[["rooms", "flag"]] = False
    return X.mask(gone)


def by_hand(X):
    """Return a table's columns as numbers, its categories as indicators, and their names: by pandas alone."""
    parts = []
    for name in X:
        if name in LEVELS:
            part = pd.get_dummies(pd.Categorical(X[name].astype(object), LEVELS[name])).astype(float).set_axis(X.index)
            part = part.add_prefix(f"{name}=").where(X[name].notna(), np.nan)
        else:
            part = X[name].astype("Float64").astype(float).to_frame()
        parts.append(part)
    return pd.concat(parts, axis=1)


def families(X, likelihood):
    """Return the factory of each column of the table by hand, one object per category."""
    factories = []
    for name in X:
        if name in LEVELS:
            factories += [partial(OneHot)] * len(LEVELS[name])
        else:
            factories.append(LIKELIHOODS[likelihood.get(name, "gaussian")])
    return factories
