"""One seed, the same bits; nothing global moves."""

import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.nn import functional as F

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor
from sklearn_mtae.nn.quiet import quiet
from sklearn_mtae.nn.random import Seeded
from tests.estimators.test_base import linear_coders

PROGRAM = """
import sys, numpy as np, torch, sklearn_mtae
torch.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 3))
for name, members in eval(sys.argv[2]).items():
    model = getattr(sklearn_mtae, name)(2, hidden_layer_sizes=(8,), dropout=0.1, max_iter=3, random_state=0)
    model.set_params(**members).fit(X, Y)
    print(name, (model.transform(X).tobytes() + model.predict(X).tobytes()).hex())
"""

MEMBERS = {"AutoencoderTransformer": {}, "VAETransformer": {}, "MultiTaskVAERegressor": {"n_estimators": 4}}


@pytest.fixture(scope="module")
def of_a_fresh_process():
    """Return, by the name of an estimator, what a process that has done nothing else makes of it."""
    program = [sys.executable, "-c", PROGRAM, str(torch.get_num_threads()), str(MEMBERS)]
    run = subprocess.run(program, check=True, capture_output=True, text=True)
    return dict(line.split() for line in run.stdout.splitlines())


@pytest.mark.parametrize("n_threads", [2, 4])
def test_the_bits_do_not_depend_on_the_number_of_threads(n_threads):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 30))
    Y, before = X[:, :3] ** 2 + rng.normal(size=(900, 3)), torch.get_num_threads()
    model = MultiTaskVAERegressor(n_estimators=4, max_iter=2, random_state=0)

    def predictions(number):
        torch.set_num_threads(number)
        try:
            mean, std = clone(model).fit(X, Y).predict(X, return_std=True)
            assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(before)
        return mean.tobytes() + std.tobytes()

    assert predictions(n_threads) == predictions(1)


@pytest.mark.slow
def test_same_bits(estimator, of_a_fresh_process):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 5)), rng.normal(size=(60, 3))
    name = type(estimator).__name__
    estimator.set_params(dropout=0.1, **MEMBERS[name])
    first, again = (
        model.transform(X).tobytes() + model.predict(X).tobytes()
        for model in (estimator.fit(X, Y), clone(estimator).fit(X, Y))
    )
    assert first == again
    assert first.hex() == of_a_fresh_process[name]
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


def draws():
    """Return what torch draws by each kind of operation."""
    ones = torch.ones(4, 3)
    laws = torch.distributions
    sampled = (laws.Gamma(2.0, 1.0), laws.Beta(2.0, 1.0), laws.Poisson(3.0), laws.Binomial(9, ones / 3))
    return [
        nn.Linear(3, 4).weight,
        nn.init.orthogonal_(torch.empty(3, 3)),
        torch.randn(3),
        torch.randint(2, 10, (3,)),
        torch.rand(3, out=torch.empty(3)),
        torch.randperm(7),
        torch.rand_like(ones),
        torch.randint_like(ones, 5),
        torch.normal(ones, ones),
        torch.multinomial(ones, 2),
        torch.bernoulli(ones / 2),
        *(law.sample() for law in sampled),
        F.dropout(ones),
        F.rrelu(-ones, training=True),
        torch.native_dropout(ones, 0.5, True)[0],
        nn.GRU(3, 2, 2, dropout=0.5)(ones)[0],
        nn.MultiheadAttention(3, 1, dropout=0.3)(ones, ones, ones)[0],
        torch.empty(3).cauchy_(),
    ]


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_seeded_draws_are_those_of_the_global_generator(mode):
    with torch.random.fork_rng(), mode():
        torch.manual_seed(5)
        expected = draws()
        torch.manual_seed(9)
        before = torch.get_rng_state()
        with Seeded(5):
            drawn = draws()
        assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(drawn, expected, strict=True):
        assert torch.equal(one, other)


def undisturbed(n_features, n_code, n_components, n_outputs):
    return nn.Linear(n_features, n_code), nn.Linear(n_components, n_outputs)


def test_draws_of_another_thread_are_left_alone(table):
    """Also those that fall into the middle of a draw of initial weights."""
    begin, end, drawn = threading.Event(), threading.Event(), []

    def draw():
        while not drawn[4:] and begin.wait(60):
            drawn.append(torch.randn(3))
            begin.clear()
            end.set()

    def architecture(n_features, n_code, n_components, n_outputs):
        coders = nn.Linear(n_features, n_code)
        begin.set()
        assert end.wait(60)
        end.clear()
        return coders, nn.Linear(n_components, n_outputs)

    model = AutoencoderTransformer(2, architecture=architecture, max_iter=1, random_state=0)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = [torch.randn(3) for _ in range(5)]
        torch.manual_seed(3)
        thread = threading.Thread(target=draw)
        thread.start()
        fitted = [clone(model).fit(table[0]) for _ in range(5)]
        thread.join(60)
    for one, other in zip(drawn, expected, strict=True):
        assert torch.equal(one, other)
    alone = clone(model).set_params(architecture=undisturbed).fit(table[0])
    for other in fitted:
        assert other.loss_curve_ == alone.loss_curve_


def test_warnings_are_ignored_in_one_thread_alone():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        with quiet("expected"):
            warnings.warn("expected here", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
            other = threading.Thread(target=lambda: warnings.warn("expected here and there", stacklevel=1))
            other.start()
            other.join()
        warnings.warn("expected no more", stacklevel=1)
        assert list(warnings.filters) == before
    told = [str(warning.message) for warning in caught]
    assert told == ["something else", "expected here and there", "expected no more"]


def test_filters_of_two_threads_do_not_mix():
    """Where blocks overlap, `catch_warnings` leaves the filters of the one that began last."""
    inner, outer = threading.Event(), threading.Event()

    def first():
        with quiet("some"):
            inner.set()
            assert outer.wait(60)

    before = list(warnings.filters)
    thread = threading.Thread(target=first)
    thread.start()
    assert inner.wait(60)
    with quiet("other"):
        outer.set()
        thread.join(60)
    assert list(warnings.filters) == before


FORKED = """
import os, signal, sys, warnings
import numpy as np, torch
from sklearn_mtae import AutoencoderTransformer

torch.set_num_threads(2)
X = np.random.default_rng(0).normal(size=(4000, 100)).astype("f4")
model = AutoencoderTransformer(2, hidden_layer_sizes=(256,), max_iter=1, batch_size=1000, random_state=0).fit(X)
pid = os.fork()
if pid == 0:
    signal.alarm(100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X).transform(X)
    assert all("was forked" in str(warning.message) for warning in caught) and caught
    os._exit(7 * (torch.get_num_threads() == 2))
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, check=False)
    assert run.returncode == 7, run.stderr
