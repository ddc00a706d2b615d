"""A bounded run of the fuzzer, and the fuzzer itself: it finds what is wrong, and a seed is a trial."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from tests.fuzz.cells import differences
from tests.fuzz.checks import close, finite
from tests.fuzz.draws import Draws
from tests.fuzz.options import ESTIMATORS, draw_estimator, draw_name
from tests.fuzz.tables import draw_table
from tests.fuzz.targets import Targets
from tests.fuzz.trial import Trial
from tests.fuzz.watch import Untouched, watched

SEEDS = range(100)


@pytest.mark.parametrize("seed", SEEDS)
def test_trial(seed):
    trial = Trial(seed)
    findings = trial.run().findings
    shown = "\n".join(f"{f.where}: {f.invariant}: {f.text}" for f in findings)
    assert not findings, f"python -m tests.fuzz --replay {seed}\n{trial}\n{shown}"


def test_a_seed_is_a_trial():
    assert str(Trial(3)) == str(Trial(3))
    assert str(Trial(3)) != str(Trial(4))


def test_all_public_estimators_are_drawn():
    assert {"VAETransformer", "PerTaskClassifier", "StackedGridSearchCV"} <= set(ESTIMATORS)
    assert {draw_name(Draws(seed)) for seed in range(200)} == set(ESTIMATORS)


def test_a_new_entry_is_drawn(monkeypatch):
    from sklearn_mtae import VAETransformer
    from sklearn_mtae._tables.checks import StrOptions

    constraints = {**VAETransformer._parameter_constraints, "prior": [StrOptions({"normal", "brand new"})]}
    monkeypatch.setattr(VAETransformer, "_parameter_constraints", constraints)
    table = draw_table(Draws(0))
    drawn = [draw_estimator(Draws(seed), "VAETransformer", table, Targets(None, None, "none")) for seed in range(60)]
    assert any(plan.params.get("prior") == "brand new" for plan in drawn)


def invariants(function):
    return {invariant for invariant, _ in watched("a call", function).findings}


def raises(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("function", "invariant"),
    [
        (lambda: torch.zeros(2, 3) @ torch.zeros(2, 3), "errors are clear"),
        (lambda: np.linalg.inv(np.zeros((2, 2))), "errors are clear"),
        (lambda: float("word"), "errors are clear"),
        (lambda: {}["absent"], "errors are clear"),
        (raises(ValueError("raised by no package of ours")), "errors are clear"),
        (lambda: np.mean([]), "warnings are the package's own"),
        (lambda: torch.zeros(1).std(), "warnings are the package's own"),
        (lambda: torch.randn(1), "global states unchanged"),
        (lambda: np.random.normal(), "global states unchanged"),  # noqa: NPY002
        (lambda: warnings.simplefilter("ignore"), "global states unchanged"),
        (lambda: print("a line"), "prints nothing"),
    ],
)
def test_calls_are_watched(function, invariant):
    assert invariants(function) == {invariant}


def test_clear_errors_are_no_findings():
    from sklearn_mtae import VAETransformer

    assert not invariants(lambda: VAETransformer(n_components=0).fit(np.zeros((3, 2))))
    assert not invariants(lambda: VAETransformer().transform(np.zeros((3, 2))))
    assert not invariants(lambda: VAETransformer(likelihood="poisson", random_state=0).fit(-np.ones((3, 2))))


@pytest.mark.parametrize("owned", [np.zeros(3), pd.DataFrame({"a": [1.0, 2.0]}), [0.0, 1.0], np.ma.zeros(3)])
def test_changes_are_seen(owned):
    watch = Untouched(owned=owned)
    assert not watch.changes()
    if isinstance(owned, pd.DataFrame):
        owned.iloc[0, 0] = 7.0
    else:
        owned[0] = 7.0
    assert watch.changes()


def test_cells_are_compared_exactly():
    before = pd.DataFrame({"id": [2**53 + 1, 3], "word": ["a", None]})
    everywhere, observed = np.ones((2, 2), dtype=bool), before.notna().to_numpy()
    assert not list(differences(before, before.assign(word=["a", "b"]), observed))
    assert list(differences(before, before.assign(id=[2**53, 3]), everywhere))
    assert list(differences(before, before.assign(word=["b", None]), observed))


def test_values_are_looked_at():
    assert not list(finite(np.ones(3)))
    assert list(finite(np.array([1.0, np.nan])))
    assert list(finite(pd.DataFrame({"a": ["x", None]})))
    assert list(finite(np.array([-np.inf])))
    assert not list(finite(np.array([-np.inf]), minus_infinity=True))
    assert list(finite(np.array([np.inf]), minus_infinity=True))
    assert not list(close(np.ones(3), np.ones(3) + 1e-9, 1e-6))
    assert list(close(np.ones(3), np.array([1.0, 1.0, 1.1]), 1e-6))
