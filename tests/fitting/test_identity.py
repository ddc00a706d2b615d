"""Equal contents have one identity, in any process, and other contents have another."""

import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import nn

from sklearn_mtae._fitting.identity import identity

ENV = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
LIMIT = 3.0
CALLS = []


def limited(x):
    CALLS.append(len(x))
    return x.clip(-LIMIT, LIMIT)


@dataclass
class Masking:
    keep: float = 0.5

    @cached_property
    def rest(self):
        return 1 - self.keep

    def __call__(self, x):
        return x * self.keep


class Hidden(nn.Module):
    def __init__(self, limit):
        super().__init__()
        self._limit = limit
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x).clamp(-self._limit, self._limit)


def closure(value):
    return lambda x: x * value


def counting():
    n_calls = 0

    def function(x):
        nonlocal n_calls
        n_calls += 1
        return x

    return function


def module(limit, seed=0):
    torch.manual_seed(seed)
    return Hidden(limit)


LONG = np.arange(5000.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.5),
        (2**60, 2**60 + 1),
        ("1", 1),
        ("a", b"a"),
        (None, False),
        ([1, 2], [2, 1]),
        ([[1], 2], [1, [2]]),
        (["ab", "c"], ["a", "bc"]),
        ({"a": 1}, {"a": 2}),
        ({1, 2}, {1, 3}),
        (LONG, np.where(LONG == 2500, 0, LONG)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2), np.zeros(2, "f4")),
        (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array([1, None], object), np.array([1, 2], object)),
        (np.datetime64("2020-01-01"), np.datetime64("2020-01-02")),
        (torch.zeros(2), torch.ones(2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (sparse.eye(3, format="csr"), 2 * sparse.eye(3, format="csr")),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2]})),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2, 1]})),
        (closure(1), closure(2)),
        (closure(LONG), closure(LONG + 1)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x, a=1: x, lambda x, a=2: x),
        (partial(limited, x=1), partial(limited, x=2)),
        (Masking(0.5), Masking(0.25)),
        (Masking(0.5).__call__, Masking(0.25).__call__),
        (np.sin, np.cos),
        (nn.ReLU, nn.Tanh),
        (module(0.1), module(10.0)),
        (module(1.0), module(1.0, seed=1)),
        (np.random.RandomState(0), np.random.RandomState(1)),
    ],
)
def test_others_differ(one, other):
    assert identity(one) != identity(other)


SHARED = [1.0, 2.0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (3, np.float64(3)),
        (True, np.True_),
        ([16], (np.int64(16),)),
        ([SHARED, SHARED], [[1.0, 2.0], [1.0, 2.0]]),
        ({"a": 1}, OrderedDict(a=1)),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        (LONG, LONG.copy()),
        (np.asfortranarray(np.ones((3, 2)).cumsum(0)), np.ones((3, 2)).cumsum(0)),
        (closure(LONG), closure(LONG.copy())),
        (Masking(0.5), Masking(0.5)),
        (module(1.0), module(1.0)),
        (pd.DataFrame({"a": ["x", None]}), pd.DataFrame({"a": ["x", None]})),
        (lru_cache(limited), lru_cache(limited)),
    ],
)
def test_equals_are_equal(one, other):
    assert identity(one) == identity(other)


def test_a_cycle_ends():
    one, other = [1], [1]
    one.append(one)
    other.append(other)
    assert identity(one) == identity(other)


def test_what_a_function_finds_in_its_module(monkeypatch):
    before = identity(limited)
    limited(np.zeros(3))
    assert identity(limited) == before, "lists are there to be changed"
    monkeypatch.setitem(globals(), "LIMIT", 4.0)
    assert identity(limited) != before


def test_what_a_function_counts():
    function = counting()
    before = identity(function)
    function(1)
    assert identity(function) == before


@pytest.mark.parametrize("value", [(n for n in range(3)), sys.stdout, torch.zeros(2, device="meta")])
def test_what_has_no_contents(value):
    with pytest.raises(TypeError):
        identity(value)


PROGRAM = """
import sys
from sklearn_mtae._fitting.identity import identity
from tests.fitting.test_identity import *
print(identity(*several()), *WORDS)
"""
WORDS = set("abcdefghijklmnopqrstuvwxyz")
"""So many that two processes hardly ever hold them in the same order."""


def several():
    return WORDS, LONG, closure(LONG), Masking(0.5), module(1.0), pd.DataFrame({"a": ["x", None]})


@pytest.mark.slow
def test_in_another_process():
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    env = {"PYTHONHASHSEED": seed, **ENV}
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=env)
    found, *words = run.stdout.split()
    assert words != list(WORDS), "the seeds of the hashes differ"
    assert found == identity(*several())
