"""What tests of messages share: a table, small settings, and the text of an error."""

import re

import numpy as np
import pandas as pd
import pytest

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 4)), rng.normal(size=(24, 2))
C = (Y > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["age", "height", "income", "weight"])
SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 1, "random_state": 0}
SINGLE = {**SMALL, "n_estimators": 1}


class Bare:
    """Takes nothing and has nothing."""


class OwnError(Exception):
    """Raised by what a user gives."""


def refuse(*args, **kwargs):
    raise OwnError


def message_of(call, *expected):
    """Return what an error says, notes included; it must be of an expected class, and of no array."""
    with pytest.raises(expected or (ValueError, TypeError)) as caught:
        call()
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert not re.search(r" at 0x|array\(\[|tensor\(\[|assert|\b_[A-Za-z]\w+\.", text), text
    assert len(text) < 800, text
    return text
