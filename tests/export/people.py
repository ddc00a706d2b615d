"""A frame of all kinds of columns."""

import numpy as np
import pandas as pd


def people(n=60):
    """Return people with gaps, and the same with a city and a job that no fit has seen."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "job": pd.Categorical(rng.choice(["clerk", "nurse", "cook"], n)),
            "city": rng.choice(list("abcdef"), n).astype(object),
            "ok": rng.random(n) < 0.3,
            "size": pd.Categorical(rng.choice([36, 38, 40], n)),
            "weight": rng.normal(size=n),
        }
    )
    X.loc[::9, "weight"] = np.nan
    X.loc[::7, "city"] = None
    later = X.copy()
    later.loc[3, "city"] = "nowhere"
    return X, later
