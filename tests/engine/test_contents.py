"""Models share a stack where what they compute with is equal by content, and only there."""

import copy
import threading
import weakref
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from torch import nn

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine import together as stacking
from sklearn_mtae._engine.contents import Contents, computation, tensor_bytes
from sklearn_mtae.nn.schedules import SCHEDULES
from sklearn_mtae.nn.weightings import Weighting
from tests.stacks import Noiseless, assert_alike, options, train

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 3, "dtype": "float64", "learning_rate_init": 0.01}
autoencoder = partial(AutoencoderTransformer, **SMALL)
variational = partial(VAETransformer, **SMALL, posterior=Noiseless)
regressor = partial(MultiTaskVAERegressor, n_estimators=1, **SMALL, posterior=Noiseless)

RNG = np.random.default_rng(0)
X = RNG.dirichlet(np.ones(9), size=40)  # admissible to every likelihood, and nine pixels
Y = X[:, :2] @ RNG.normal(size=(2, 2)) + 0.1 * RNG.normal(size=(40, 2))


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


# Contents.

Point = namedtuple("Point", "a b")


class Colour(Enum):
    RED = 1
    BLUE = 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value


@dataclass
class Held:
    value: object

    def __call__(self):
        return self.value


def closed(value):
    return lambda: value


def defaulted(value):
    return lambda limit=value: limit


def keyworded(value):
    def f(*, limit=value):
        return limit

    return f


def attributed(value):
    def f():
        return f.limit

    f.limit = value
    return f


def cyclic(value):
    own = [value]
    own.append(own)
    return own


def seeded(value):
    return torch.Generator().manual_seed(int(10 * value))


def long_array(value):
    return np.where(np.arange(2001) == 1000, value, 0.0)


def identity(value):
    return value


MAKERS = {
    "number": identity,
    "list": lambda value: [1, value],
    "tuple": lambda value: (1, (value,)),
    "dict": lambda value: {"a": {"b": value}},
    "set": lambda value: {value, "a"},
    "ordered": lambda value: OrderedDict(a=value),
    "namedtuple": lambda value: Point(1, value),
    "array": long_array,
    "array of objects": lambda value: np.array([value, "a"], dtype=object),
    "tensor": lambda value: torch.full((2000,), value),
    "half": lambda value: torch.full((3,), value, dtype=torch.bfloat16),
    "loose parameter": lambda value: nn.Parameter(torch.tensor(value)),
    "sparse": lambda value: sparse.csr_array(np.diag([value, 0, 1])),
    "closure": closed,
    "default": defaulted,
    "keyword": keyworded,
    "attribute of a function": attributed,
    "partial": lambda value: partial(identity, value=value),
    "partial of an array": lambda value: partial(np.ndarray.item, long_array(value), 1000),
    "bound method": lambda value: Slotted(value).get,
    "method of an array": lambda value: long_array(value).item,
    "slots": Slotted,
    "dataclass": Held,
    "torch generator": seeded,
    "numpy generator": lambda value: np.random.default_rng(int(10 * value)),
    "random state": lambda value: np.random.RandomState(int(10 * value)),
    "fraction": Fraction,
    "date": lambda value: date(2000, 1, 1) + timedelta(int(10 * value)),
    "datetime64": lambda value: np.datetime64(int(10 * value), "ns"),
    "module": lambda value: nn.Dropout(value / 100),
    "weak reference": lambda value: weakref.ref(_ALIVE.setdefault(value, Held(value))),
    "cycle": cyclic,
}
_ALIVE: dict = {}


def key(value):
    return Contents().of(value)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_contents(make):
    assert key(make(0.5)) == key(make(0.5))
    assert hash(key(make(0.5))) == hash(key(make(0.5)))
    assert key(make(0.5)) != key(make(10.0))


@pytest.mark.parametrize(
    "equal",
    [
        (1, 1.0, np.int64(1), np.float64(1), np.float32(1)),
        (float("nan"), np.nan, np.float64("nan"), np.float32("nan")),
        (True, np.bool_(True)),
        (np.arange(3.0), np.arange(3.0)[::1].copy(), np.arange(6.0).reshape(3, 2)[:, 0] / 2),
        (Colour.RED, Colour(1)),
        (torch.tanh, torch.tanh),
        (long_array, long_array),
    ],
)
def test_equal_contents(equal):
    assert len({key(value) for value in equal}) == 1


@pytest.mark.parametrize(
    "different",
    [
        (1, True, "1", (1,), [1], np.ones(1), np.ones(1, dtype="f4"), np.ones((1, 1)), torch.ones(1), None),
        (0.0, -0.0, float("nan")),
        (1 + 1j, 1, 1 + 2j),
        (Colour.RED, Colour.BLUE, 1),
        (np.datetime64(1, "s"), np.datetime64(1, "ns"), 1),
        (torch.ones(2), torch.ones(2).double(), nn.Parameter(torch.ones(2)), torch.ones(2, 1)),
        (nn.Linear(1, 1), nn.Linear(1, 1)),
        (lambda x: x, lambda x: x + 1),
        (2**53, 2**53 + 1),
        (threading.Lock(), threading.Lock()),
        (object, type),
    ],
)
def test_different_contents(different):
    assert len({key(value) for value in different}) == len(different)


# Modules.


class Clip(nn.Module):
    """Keeps the values of a layer within a limit, which it reads off something."""

    def __init__(self, n_columns, kept, read):
        super().__init__()
        self.linear = nn.Linear(n_columns, n_columns)
        self._kept, self.read = kept, read

    def forward(self, x):
        return self.linear(x).clamp(-self.read(self._kept), self.read(self._kept))


def coders(n_features, n_code, n_components, n_outputs, *, make):
    return nn.Sequential(make(n_features), nn.Linear(n_features, n_code)), nn.Linear(n_components, n_outputs)


def clip(kept, read):
    return autoencoder(architecture=partial(coders, make=partial(Clip, kept=kept, read=read)))


def call(kept):
    return kept()


READERS = {
    "number": identity,
    "list": lambda kept: kept[1],
    "array": lambda kept: kept[1000],
    "tensor": lambda kept: kept[1000].item(),
    "closure": call,
    "default": call,
    "keyword": call,
    "partial": call,
    "partial of an array": call,
    "bound method": call,
    "method of an array": lambda kept: kept(1000),
    "dataclass": call,
    "torch generator": lambda kept: kept.initial_seed() / 10,
    "numpy generator": lambda kept: copy.deepcopy(kept).random(),
    "weak reference": lambda kept: kept().value,
}


def assert_as_alone(estimators):
    """Check that estimators trained together are what `fit` makes of each."""
    alone = [clone(estimator).set_params(random_state=estimator.random_state).fit(X) for estimator in estimators]
    assert train([(estimator, X, None, None) for estimator in estimators])[0] == {}
    for estimator, single in zip(estimators, alone, strict=True):
        assert_alike(estimator, single, X)


@pytest.mark.parametrize("kind", READERS)
def test_what_modules_keep(stacks, kind):
    limits = (0.1, 0.1, 10.0)
    estimators = [clip(MAKERS[kind](limit), READERS[kind]).set_params(random_state=k) for k, limit in enumerate(limits)]
    assert_as_alone(estimators)
    assert sorted(stacks) == [1, 2]


class Opaque:
    """Says nothing of itself, and is its own copy."""

    def __init__(self, value):
        self.value = value

    def __reduce_ex__(self, protocol):
        raise TypeError("no copies")

    def __deepcopy__(self, memo):
        return self

    def __call__(self):
        return self.value


def test_what_is_not_known_is_equal_to_itself_alone(stacks):
    one, other = Opaque(0.1), Opaque(0.1)
    assert_as_alone([clip(kept, call).set_params(random_state=k) for k, kept in enumerate([one, one, other])])
    assert sorted(stacks) == [1, 2]


def hooked(n_columns, limit, pre):
    own = nn.Linear(n_columns, n_columns)
    if pre:
        own.register_forward_pre_hook(lambda module, inputs: (inputs[0].clamp(max=limit),))
    else:
        own.register_forward_hook(lambda module, inputs, output: output.clamp(-limit, limit))
    return own


def bound(n_columns, limit):
    own = Clip(n_columns, limit, identity)
    own.forward = partial(Clip.forward, own)
    return own


def shared(n_columns, order):
    layers = [nn.Linear(n_columns, n_columns) for _ in range(2)]
    return nn.Sequential(*[layers[k] for k in order])


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (partial(hooked, pre=False), [{"limit": 0.1}, {"limit": 10.0}]),
        (partial(hooked, pre=True), [{"limit": 0.1}, {"limit": 10.0}]),
        (bound, [{"limit": 0.1}, {"limit": 10.0}]),
        (shared, [{"order": (0, 1, 0)}, {"order": (0, 1, 1)}]),
    ],
)
def test_hooks_and_structure(stacks, make, settings):
    estimators = [
        autoencoder(architecture=partial(coders, make=partial(make, **own)), random_state=k)
        for k, own in enumerate([*settings, settings[0]])
    ]
    assert_as_alone(estimators)
    assert sorted(stacks) == [1, 2]


class Limited(nn.Module):
    def __init__(self, n_columns, limit):
        super().__init__()
        self.linear = nn.Linear(n_columns, n_columns)
        self.register_buffer("limit", torch.tensor(limit, dtype=torch.float64))

    def forward(self, x):
        return torch.minimum(self.linear(x), self.limit)


def test_buffers_may_differ(stacks):
    estimators = [
        autoencoder(architecture=partial(coders, make=partial(Limited, limit=limit)), random_state=k)
        for k, limit in enumerate([0.1, 10.0])
    ]
    assert_as_alone(estimators)
    assert stacks == [2]


class Own(nn.Module):
    def __init__(self, n_columns):
        super().__init__()
        self.linear = nn.Linear(n_columns, n_columns, dtype=torch.float64)
        self.set_up()

    def set_up(self):
        pass

    def forward(self, x):
        return self.linear(x)


class FindsItself(Own):
    def set_up(self):
        self.run = lambda x: self.linear(x)

    def forward(self, x):
        return self.run(x)


class HooksFindIt(Own):
    def set_up(self):
        self.linear.register_forward_hook(lambda module, inputs, output: output + self.linear.weight.sum())


class KeepsItsWeight(Own):
    def set_up(self):
        self._weights = (self.linear.weight,)

    def forward(self, x):
        return x @ self._weights[0].mT


class KeepsAView(Own):
    def set_up(self):
        self._view = [self.linear.weight.detach()[:1]]

    def forward(self, x):
        return self.linear(x) + x @ self._view[0].mT


class BuffersAView(Own):
    def set_up(self):
        self.register_buffer("view", self.linear.weight.data)

    def forward(self, x):
        return self.linear(x) + x @ self.view


class RefersWeakly(Own):
    def set_up(self):
        self._layer = weakref.ref(self.linear)

    def forward(self, x):
        return self._layer()(x)


class CallsAMethodOfItsWeight(Own):
    def set_up(self):
        self._times = self.linear.weight.mul

    def forward(self, x):
        return x @ self._times(2.0)


class Running(Own):
    def set_up(self):
        self.register_buffer("mean", torch.zeros(9, dtype=torch.float64))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.linear(x - self.mean)


class Counting(Own):
    def set_up(self):
        self.register_buffer("n_calls", torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        if self.training:
            self.n_calls += 1
        return self.linear(x) / (1 + self.n_calls)


class ReversesGradients(Own):
    def forward(self, x):
        output = self.linear(x)
        if output.requires_grad:
            output.register_hook(torch.neg)
        return output


class RegistersHooks(Own):
    def forward(self, x):
        output = self.linear(x)
        if torch.is_grad_enabled() and self.training:
            output.register_hook(torch.neg)
        return output


class HooksItsWeight(Own):
    def set_up(self):
        self.linear.weight.register_hook(torch.zeros_like)


class HooksBackwards(Own):
    def set_up(self):
        self.linear.register_full_backward_hook(lambda module, inputs, outputs: None)


class Recurrent(Own):
    def set_up(self):
        self.recurrent = nn.GRU(9, 9)

    def forward(self, x):
        return self.recurrent(x)[0]


REFUSED = {
    FindsItself: "is reached by other ways",
    HooksFindIt: "is reached by other ways",
    KeepsItsWeight: "is reached by other ways",
    KeepsAView: "is reached by other ways",
    BuffersAView: "is reached by other ways",
    RefersWeakly: "is reached by other ways",
    CallsAMethodOfItsWeight: "is reached by other ways",
    Recurrent: "is reached by other ways",
    Running: "writes to its 'mean'",
    Counting: "writes to its 'n_calls'",
    ReversesGradients: "requires_grad",
    RegistersHooks: "register_hook",
    HooksItsWeight: "hooks on its gradients",
    HooksBackwards: "hooks on its gradients",
}


@pytest.mark.parametrize("module", REFUSED)
def test_modules_that_a_stack_would_compute_otherwise(module):
    """They are refused by a reason, and left as they were."""
    estimators = [autoencoder(architecture=partial(coders, make=module), random_state=k) for k in range(2)]
    plans = [estimator._plan(X, None, None) for estimator in estimators]
    before = [copy.deepcopy(plan.members[0].pair.state_dict()) for plan in plans]
    refused = stacking.train([plan.members[0] for plan in plans]).refused
    assert all(REFUSED[module] in reason for reason in refused)
    assert sum(map(len, refused.values())) == 2
    for plan, state in zip(plans, before, strict=True):
        torch.testing.assert_close(plan.members[0].pair.state_dict(), state, rtol=0, atol=0)


class Tilted(Weighting):
    """A weighting whose attribute has the name of one of the loss's, of which a stack gives each model its own."""

    def __init__(self, n_tasks, likelihood, *, beta):
        super().__init__(n_tasks, likelihood)
        self.beta = beta

    def forward(self, losses, labelled):
        return losses.sum() + self.beta * losses[0]


def test_numbers_of_the_loss_and_of_its_parts(stacks):
    settings = [{"beta": 0.5}, {"beta": 1.0}, {"task_weighting": partial(Tilted, beta=0.0)}]
    settings += [{"task_weighting": partial(Tilted, beta=5.0)}]
    estimators = [regressor(random_state=k, **own) for k, own in enumerate(settings)]
    alone = [clone(estimator).fit(X, Y) for estimator in estimators]
    assert train([(estimator, X, Y, None) for estimator in estimators])[0] == {}
    for estimator, single in zip(estimators, alone, strict=True):
        assert_alike(estimator, single, X)
    assert sorted(stacks) == [1, 1, 2]


def test_layers_that_compare_rows_are_not_padded():
    def normalised(n_columns):
        return nn.BatchNorm1d(n_columns, track_running_stats=False)

    estimators = [autoencoder(architecture=partial(coders, make=normalised), random_state=k) for k in range(2)]
    rows = [X, X[1:]]
    alone = [clone(estimator).fit(x) for estimator, x in zip(estimators, rows, strict=True)]
    assert train([(estimator, x, None, None) for estimator, x in zip(estimators, rows, strict=True)])[0] == {}
    for estimator, single, x in zip(estimators, alone, rows, strict=True):
        assert_alike(estimator, single, x)


# Options of the package.

FREE = {("posterior", "normal"), ("posterior", "flow"), ("penalty", "contractive"), ("objective", "mmd")}
OPTIONS = options(autoencoder, variational, regressor, beta=SCHEDULES)


def pairs_of_options(n_pairs, seed):
    """Return pairs of values of one parameter, and of the estimators that have them."""
    rng = np.random.default_rng(seed)
    pairs = []
    while len(pairs) < n_pairs:
        first, other = (OPTIONS[k] for k in rng.choice(len(OPTIONS), size=2, replace=False))
        if first[:2] == other[:2]:
            pairs.append((first, other))
    return pairs


@pytest.mark.parametrize(("first", "other"), pairs_of_options(16, seed=0), ids=lambda option: "-".join(option[1:]))
def test_pairs_of_options(first, other):
    make, parameter, _ = first
    y = Y if make is regressor else None
    estimators = [make(random_state=0, **{parameter: name}) for *_, name in (first, other)]
    kinds = {estimator._plan(X, y, None).members[0].kind() for estimator in estimators}
    assert len(kinds) == 2 or parameter == "beta"  # schedules give each model numbers of its own
    draws = [option[1:] in FREE or parameter == "corruption" for option in (first, other)]
    alone = [clone(estimator).fit(X, y) for estimator in estimators]
    refused, _ = train([(estimator, X, y, None) for estimator in estimators])
    assert all("does not stack" in reason for reason in refused)
    for estimator, single, drawn in zip(estimators, alone, draws, strict=True):
        if hasattr(estimator, "_states") and not drawn:
            assert_alike(estimator, single, X)


def test_key_of_a_module_knows_no_numbers_of_its_parameters():
    first, other = (nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)) for _ in range(2))
    assert computation(first, {}) == computation(other, {})
    assert computation(first, {}) != computation(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2, eps=1e-3)), {})
    assert computation(first, {"1": ["eps"]}) == computation(
        nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2, eps=1e-3)), {"1": ["eps"]}
    )


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.bool])
def test_the_bytes_of_a_column(rows, dtype):
    table = torch.arange(2 * rows).reshape(rows, 2).to(dtype)
    assert tensor_bytes(table[:, 0]) == tensor_bytes(torch.tensor(table[:, 0].tolist(), dtype=dtype))
