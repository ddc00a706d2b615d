"""Models trained as one stack are the models that are trained alone, or are refused by a reason."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._fitting.fit import keep
from sklearn_mtae.nn.corruptions import CORRUPTIONS
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.weightings import WEIGHTINGS
from tests.stacks import Noiseless, assert_alike, branching, options, raise_at, train

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "dtype": "float64", "learning_rate_init": 0.01}


autoencoder = partial(AutoencoderTransformer, **SMALL)
variational = partial(VAETransformer, **SMALL, posterior=Noiseless)
regressor = partial(MultiTaskVAERegressor, n_estimators=1, **SMALL, posterior=Noiseless, head_hidden_layer_sizes=(4,))

RNG = np.random.default_rng(0)
X = RNG.dirichlet(np.ones(9), size=61)  # admissible to every likelihood, and nine pixels
Y = X[:, :3] @ RNG.normal(size=(3, 3)) + 0.1 * RNG.normal(size=(61, 3))
X[RNG.random(X.shape) < 0.1] = np.nan
Y[RNG.random(Y.shape) < 0.3] = np.nan


@pytest.fixture
def stacks(monkeypatch):
    """The sizes of the stacks that are made, in turn."""
    sizes = []

    class Counted(stacking.Stack):
        def __init__(self, pairs):
            super().__init__(pairs)
            sizes.append(len(pairs))

    monkeypatch.setattr(stacking, "Stack", Counted)
    return sizes


def assert_as_alone(calls):
    """Check that estimators trained together are what `fit` makes of each."""
    alone = [clone(estimator).fit(X, y, sample_weight=weight) for estimator, X, y, weight in calls]
    assert train(calls)[0] == {}
    for (estimator, x, *_), single in zip(calls, alone, strict=True):
        assert_alike(estimator, single, x)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_models_that_differ_by_numbers(stacks, early_stopping, weighted):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(201, 6)) @ rng.normal(size=(6, 6))
    calls = []
    for k in range(6):
        estimator = autoencoder(
            random_state=k,
            alpha=[3.0, 0.0, 1.0][k % 3],
            learning_rate_init=[1e-3, 1e-2][k % 2],
            penalty_weight=[0.0, 0.1, 0.3][k // 2],
            max_iter=[12, 3, 8, 5, 1, 10][k],
            early_stopping=early_stopping,
            n_iter_no_change=[2, 3][k % 2],
            tol=0.05,
            batch_size=32,
        )
        rows = slice(None) if k % 2 else slice(1, None)
        weight = rng.uniform(0.1, 2, size=201) * (np.arange(201) > k + 1) if weighted else None
        calls.append((estimator, x[rows], None, None if weight is None else weight[rows]))
    assert_as_alone(calls)
    assert stacks == [6]
    assert any(estimator.n_iter_ < estimator.max_iter for estimator, *_ in calls) is early_stopping


@pytest.mark.parametrize("beta", [None, *SCHEDULES])
def test_schedules_run_over_the_epochs_of_each_model(stacks, beta):
    # With 2 batches an epoch, 15 / 22 * 11 / 10 is less than 15 / 20, where a cycle ends.
    estimators = [
        variational(random_state=k, max_iter=n, batch_size=31, beta=k if beta is None else beta)
        for k, n in enumerate([11, 10, 4])
    ]
    assert_as_alone([(estimator, X, None, None) for estimator in estimators])
    assert stacks == [3]


def test_rows_that_are_held_out_may_be_few(stacks):
    """As many rows to train on, and 41 held out in nine batches beside a single one."""
    estimators = [
        autoencoder(random_state=k, early_stopping=True, batch_size=5, validation_fraction=fraction)
        for k, fraction in enumerate([0.68, 0.05])
    ]
    assert_as_alone([(estimators[0], X[:60], None, None), (estimators[1], X[:20], None, None)])
    assert stacks == [2]


def test_comparing_rows_allows_no_padding():
    """Models of an objective that compares the rows of a batch, with as many rows to train on, and not held out."""
    estimators = [variational(objective="beta_tc", early_stopping=True, random_state=k) for k in range(2)]
    assert_as_alone([(estimators[0], X[:60], None, None), (estimators[1], X[:61], None, None)])


DRAWN = {("penalty", "contractive"), ("objective", "mmd"), ("posterior", "normal"), ("posterior", "flow")}
DRAWN |= {("corruption", name) for name in CORRUPTIONS}
REFUSED = {"iwae": "IWAE", "famo": "FastAdaptive"}
REFUSED |= dict.fromkeys(WEIGHTINGS.keys() - {"equal", "uncertainty", "dwa", "famo"}, "Aggregation")
OPTIONS = options(autoencoder, variational, regressor, beta=SCHEDULES)


@pytest.mark.parametrize(("make", "parameter", "name"), OPTIONS, ids=[f"{key}-{name}" for _, key, name in OPTIONS])
def test_option(stacks, make, parameter, name):
    estimators = [make(random_state=seed, **{parameter: name}) for seed in (0, 1, 1)]
    calls = [(estimator, X, Y if make is regressor else None, None) for estimator in estimators]
    if name in REFUSED:
        refused, plans = train(calls)
        assert refused == {f"{REFUSED[name]} does not stack": [plan.members[0] for plan in plans]}
        assert stacks == []
    elif (parameter, name) in DRAWN:
        assert train(calls)[0] == {}
        assert np.isfinite([estimator.loss_curve_ for estimator in estimators]).all()
        # The second and the third start from the same weights: each draws for itself.
        assert len({estimator.loss_curve_[-1] for estimator in estimators}) == 3
        assert stacks == [3]
    else:
        assert_as_alone(calls)
        assert estimators[1].loss_curve_ == pytest.approx(estimators[2].loss_curve_)
        assert stacks == [3]


@pytest.mark.parametrize(
    "parameters",
    [
        {"task_similarity": 0.5 * np.ones((3, 3)), "max_iter": 5},
        {"task_likelihoods": ["gaussian", "squared_error", "laplace"], "task_weighting": "uncertainty"},
        {"task_likelihoods": ["gaussian", "squared_error", "laplace"], "task_weighting": "dwa", "max_iter": 6},
        {"task_weighting": "uncertainty", "task_likelihoods": "squared_error", "early_stopping": True, "tol": 9.0},
        {"free_bits": 0.2, "layer_norm": True, "prior": "mixture"},
        {"likelihood": ["gaussian"] * 4 + ["bernoulli"] * 5},
    ],
)
def test_tasks(stacks, parameters):
    estimators = [regressor(random_state=k, reconstruction_weight=0.1 + k, **parameters) for k in range(3)]
    assert_as_alone([(estimator, X[k:], Y[k:], None) for k, estimator in enumerate(estimators)])
    assert stacks[0] == 3


def test_variances_at_their_floor(stacks):
    """The tasks are constant: both the variance that a likelihood learns and that of the weighting sink to a bound."""
    y = np.full((61, 2), 2.0)
    own = {
        "task_likelihoods": ["gaussian", "squared_error"],
        "task_weighting": "uncertainty",
        "learning_rate_init": 0.05,
    }
    estimators = [regressor(**own, random_state=k, max_iter=16, alpha=0.0) for k in range(2)]
    assert_as_alone([(estimator, X, y, None) for estimator in estimators])
    assert estimators[1].task_weights_[-1] == pytest.approx([1e4, 1e4])
    assert stacks == [2]


@pytest.mark.parametrize("ndim", [1, 2])
def test_weights_of_rows_and_of_labels(stacks, ndim):
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 2, size=Y.shape[:ndim]) for _ in range(2)]
    estimators = [regressor(random_state=k, task_weighting="dwa") for k in range(2)]
    assert_as_alone([(e, X, Y, weight) for e, weight in zip(estimators, weights, strict=True)])
    assert stacks == [2]


def test_classes_that_weigh(stacks):
    y = np.where(np.isnan(Y), np.nan, np.nanmedian(Y, axis=0) < Y)
    estimators = [
        MultiTaskVAEClassifier(**SMALL, n_estimators=1, posterior=Noiseless, class_weight=weight, random_state=k)
        for k, weight in enumerate(["balanced", [{0: 2, 1: 1}] * 3])
    ]
    assert_as_alone([(estimator, X, y, None) for estimator in estimators])
    assert stacks == [2]


@pytest.mark.parametrize("frozen", [False, True])
def test_encoder_to_start_from(stacks, frozen):
    encoder = FrozenEstimator(autoencoder(random_state=0, dropout=0.5).fit(X))
    before = copy.deepcopy(encoder.estimator._fitted.states[0])
    estimators = [regressor(random_state=k, encoder=encoder, freeze_encoder=frozen) for k in range(2)]
    calls = [(estimator, X, Y, None) for estimator in estimators]
    if frozen:
        assert_as_alone(calls)
    else:
        assert train(calls)[0] == {}
    assert stacks == [2]
    for estimator in estimators:
        weight = estimator.module_.encoder.encoder[0].weight.numpy()
        assert (np.array_equal(weight, before["encoder.0.weight"])) is frozen


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: autoencoder(corruption="masking", dropout=0.3, random_state=seed, max_iter=4),
        lambda seed: variational(posterior="normal", objective="mmd", random_state=seed, max_iter=4),
    ],
)
def test_what_is_drawn_has_the_same_distribution(stacks, make):
    seeds = range(30)
    together = [make(seed) for seed in seeds]
    assert train([(estimator, X, None, None) for estimator in together])[0] == {}
    alone = [make(seed).fit(X) for seed in seeds]
    # Equal initial weights and orders: the differences are those of the draws alone.
    differences = np.subtract(*[[estimator.loss_curve_[-1] for estimator in those] for those in (together, alone)])
    assert (differences != 0).all()
    assert abs(differences.mean()) < 4 * differences.std(ddof=1) / np.sqrt(len(seeds))
    assert stacks == [30]


def tied(n_features, n_code, n_components, n_outputs):
    encoder, decoder = (
        torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, m))
        for n, m in ((n_features, n_code), (n_components, n_outputs))
    )
    decoder[1].weight = encoder[1].weight
    return encoder, decoder


def test_weights_with_two_names(stacks):
    assert_as_alone([(autoencoder(architecture=tied, random_state=k), X, None, None) for k in range(2)])
    assert stacks == [2]


def normalised(n_features, n_code, n_components, n_outputs):
    encoder = torch.nn.Sequential(torch.nn.Linear(n_features, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, n_code))
    return encoder, torch.nn.Linear(n_components, n_outputs)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [(branching, "data-dependent control flow"), (normalised, "BatchNorm1d keeps running statistics")],
)
def test_modules_of_the_user_that_are_refused(architecture, reason):
    estimators = [autoencoder(architecture=architecture, random_state=k) for k in range(2)]
    other = autoencoder(random_state=0)
    plans = [estimator._plan(X, None, None) for estimator in (*estimators, other)]
    members = [plan.members[0] for plan in plans]
    before = copy.deepcopy([member.pair.state_dict() for member in members[:2]])
    _, refused, interrupted = stacking.train(members)
    ((text, those),) = refused.items()
    assert reason in text
    assert "\n" not in text
    assert (those, interrupted) == (members[:2], None)
    for member, state in zip(members, before, strict=False):
        assert (member.finished, member.error) == (False, None)
        for name, value in member.pair.state_dict().items():
            torch.testing.assert_close(value, state[name], rtol=0, atol=0)
    other._take(keep(plans[2]))
    assert_alike(other, clone(other).fit(X), X)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_loss_that_is_not_finite(stacks, early_stopping):
    estimators = [autoencoder(random_state=k, max_iter=9 - k, early_stopping=early_stopping) for k in range(3)]
    estimators[1].set_params(learning_rate_init=1e30)
    _, plans = train([(estimator, X, None, None) for estimator in estimators])
    with pytest.raises(ValueError, match=r"became .* in epoch \d \(train rows, term 'distortion'\)") as alone:
        clone(estimators[1]).fit(X)
    assert str(plans[1].members[0].error) == str(alone.value)
    assert not plans[1].members[0].finished
    for estimator in estimators[::2]:
        assert_alike(estimator, clone(estimator).fit(X), X)
    assert stacks == [3]


def watched(**parameters):
    """Return four models whose weights of the tasks learn from epoch to epoch."""
    own = {"task_weighting": "dwa", "max_iter": 4, **parameters}
    return [(regressor(random_state=k, learning_rate_init=0.01 + 0.01 * k, **own), X, Y, None) for k in range(4)]


def test_as_many_as_the_memory_allows(stacks, monkeypatch):
    monkeypatch.setattr(stacking, "STACK_BYTES", 1)
    assert_as_alone(watched())
    assert stacks == [1] * 4
    one = watched()[0][0]._plan(X, Y, None).members[0].n_bytes()
    monkeypatch.setattr(stacking, "STACK_BYTES", int(2.5 * one))
    assert_as_alone(watched())
    assert stacks[4:] == [2, 2]


@pytest.mark.parametrize("text", ["CUDA out of memory. Tried to allocate 2 GiB", "[enforce fail] not enough memory"])
def test_memory_that_does_not_suffice(stacks, monkeypatch, text):
    # The first stack is in its third epoch of four batches when the memory is gone.
    raise_at(monkeypatch, RuntimeError(text), lambda stack, n_calls: len(stack) > 2 and n_calls > 9)
    assert_as_alone(watched())
    assert stacks == [4, 2, 2]


def test_memory_for_the_weights_alone(stacks, monkeypatch):
    counted = stacking.Stack.__init__

    def failing(stack, pairs):
        if len(pairs) > 1:
            raise MemoryError
        counted(stack, pairs)

    monkeypatch.setattr(stacking.Stack, "__init__", failing)
    assert_as_alone(watched())
    assert stacks == [1] * 4


def test_optimiser_goes_on_where_the_memory_did_not_suffice(stacks, monkeypatch):
    estimators = [call[0] for call in watched()[:3]]
    alone = [clone(estimator).partial_fit(X, Y).partial_fit(X, Y) for estimator in estimators]
    for n_done in range(2):
        plans = [estimator._plan(X, Y, None, partial=True) for estimator in estimators]
        if n_done:
            raise_at(monkeypatch, MemoryError("no more"), lambda stack, n_calls: len(stack) > 2 and n_calls > 2)
        assert stacking.train([plan.members[0] for plan in plans]) == (None, {}, None)
        for estimator, plan in zip(estimators, plans, strict=True):
            estimator._take(keep(plan))
    assert stacks == [3, 3, 1, 2]
    for together, single in zip(estimators, alone, strict=True):
        assert_alike(together, single, X)


def test_one_model_that_does_not_fit(monkeypatch):
    raise_at(monkeypatch, RuntimeError("DefaultCPUAllocator: can't allocate memory"), lambda stack, n_calls: True)
    refused, plans = train(watched())
    assert list(refused) == ["the memory does not suffice"]
    assert {id(member) for member in refused["the memory does not suffice"]} == {id(p.members[0]) for p in plans}


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupt_leaves_the_epochs_done(monkeypatch, early_stopping):
    calls = watched(early_stopping=early_stopping)
    alone = [clone(estimator).set_params(max_iter=2).fit(X, Y) for estimator, *_ in calls]
    other = autoencoder(random_state=0)
    plans = [estimator._plan(*call) for estimator, *call in [*calls, (other, X, None, None)]]
    n_calls = 2 * (plans[0].members[0].n_batches + early_stopping)
    raise_at(monkeypatch, KeyboardInterrupt(), lambda stack, n: n > n_calls)
    with pytest.warns(UserWarning, match="interrupted by user in epoch 3"):
        trained = stacking.train([plan.members[0] for plan in plans])
    assert trained == (None, {}, 3)
    for (estimator, *_), plan, single in zip(calls, plans, alone, strict=False):
        estimator._take(keep(plan))
        assert_alike(estimator, single, X)
    untouched = plans[-1].members[0]
    assert (untouched.finished, untouched.history) == (False, [])
