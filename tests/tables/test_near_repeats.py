"""Rows that come in groups of near repeats, and clouds of rows that do not."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from sklearn_mtae._tables.near_repeats import has_near_repeats

RNG = np.random.default_rng(0)


def visits(n_groups, n_visits, noise, n_columns=8):
    patients = np.repeat(RNG.normal(size=(n_groups, n_columns)), n_visits, axis=0)
    return RNG.permutation(patients + noise * RNG.normal(size=patients.shape))


@pytest.mark.parametrize(("n_groups", "n_visits"), [(20, 10), (40, 5), (100, 3)])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.05])
def test_visits_of_patients_are_found(n_groups, n_visits, noise):
    assert has_near_repeats(visits(n_groups, n_visits, noise))


@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine])
def test_tables_without_groups_are_left_alone(load):
    assert not has_near_repeats(load().data)


@pytest.mark.parametrize("n_columns", [1, 2, 5, 30])
def test_clouds_have_no_groups(n_columns):
    for x in (
        RNG.normal(size=(400, n_columns)),
        RNG.standard_t(2, size=(400, n_columns)),
        RNG.random((400, n_columns)),
    ):
        assert not has_near_repeats(x)
    line = np.linspace(0, 1, 400)[:, None]
    assert not has_near_repeats(np.sin(line * np.arange(1, n_columns + 1)))


def test_what_cannot_be_told_is_left_alone():
    for x in (np.zeros((50, 2)), np.full((50, 2), np.nan), np.ones((1, 1)), np.repeat(np.eye(5), 20, axis=0) * 0.5):
        assert not has_near_repeats(x)


def test_words_that_most_texts_lack_say_nothing():
    counts = RNG.poisson(0.02, size=(3_000, 400))
    assert not has_near_repeats(counts / np.maximum(1, np.sqrt((counts**2).sum(axis=1, keepdims=True))))


def test_missing_cells_and_small_numbers_do_not_hide_them():
    x = visits(40, 5, 0.02) * 1e-200
    x[RNG.random(x.shape) < 0.02] = np.nan
    assert has_near_repeats(x)
