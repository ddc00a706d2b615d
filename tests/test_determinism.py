"""One seed, the same bits; nothing global moves."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from .test_estimators import linear_coders

PROGRAM = """
import sys, numpy as np, torch, sklearn_mtae
torch.set_num_threads(int(sys.argv[2]))
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 3))
model = getattr(sklearn_mtae, sys.argv[1])(2, hidden_layer_sizes=(8,), dropout=0.1, max_iter=3, random_state=0)
model.set_params(**eval(sys.argv[3]))
model.fit(X, Y)
print((model.transform(X).tobytes() + model.predict(X).tobytes()).hex())
"""


def test_same_bits(estimator):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 3))
    estimator.set_params(dropout=0.1)
    members = {"n_estimators": 4} if hasattr(estimator, "n_estimators") else {}
    estimator.set_params(**members)
    first, again = (
        model.transform(X).tobytes() + model.predict(X).tobytes()
        for model in (estimator.fit(X, Y), clone(estimator).fit(X, Y))
    )
    assert first == again
    program = [sys.executable, "-c", PROGRAM, type(estimator).__name__, str(torch.get_num_threads()), str(members)]
    fresh = subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()
    assert first.hex() == fresh
    other = clone(estimator).set_params(random_state=1).fit(X, Y).transform(X)
    assert other.tobytes() not in first


def test_none_draws_anew(estimator, table):
    estimator.set_params(random_state=None)
    assert not np.array_equal(estimator.fit(*table).transform(table[0]), estimator.fit(*table).transform(table[0]))


@pytest.mark.parametrize("architecture", ["mlp", linear_coders])
def test_global_state_is_left_alone(estimator, table, architecture):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    setting = torch.get_default_dtype(), torch.get_num_threads()
    estimator.set_params(architecture=architecture, corruption="masking", dropout=0.2, early_stopping=True)
    estimator.fit(*table)
    estimator.score(*table)
    if hasattr(estimator, "sample"):
        estimator.sample(5, random_state=0)
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert (torch.get_default_dtype(), torch.get_num_threads()) == setting


def test_threads_do_not_disturb_each_other(estimator, table):
    X, Y = table
    models = [clone(estimator).set_params(random_state=seed, dropout=0.1) for seed in range(6)]
    alone = [clone(model).fit(X, Y).transform(X) for model in models]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda model: model.fit(X, Y).transform(X), models))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_search_in_two_processes_scores_the_same(estimator, table):
    search = GridSearchCV(estimator, {"n_components": [1, 2]}, cv=2)
    one, two = (clone(search).set_params(n_jobs=n).fit(*table) for n in (1, 2))
    np.testing.assert_allclose(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"], rtol=1e-4)
