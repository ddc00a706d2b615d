"""Operations written down and repeated: the same numbers to the last bit, in shared memory."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor
from sklearn_mtae._engine import captured_step as graphs
from sklearn_mtae._engine.captured_step_cpu import Tape, needed, record_cpu, share_memory
from tests.recorder import Counted

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5))


def chain(x, state, generator):
    """Many steps over arrays of one shape."""
    for _ in range(5):
        x = (x * 2 + state).tanh()
    return x


def drawn(x, state, generator):
    """Draws, as operations of their own and in place."""
    noise = torch.empty_like(x).normal_(generator=generator)
    return x + noise * torch.rand(x.shape, dtype=x.dtype, generator=generator)


def constants(x, state, generator):
    """Numbers that become tensors: some are written to, which is to happen anew each time."""
    total, ones = torch.zeros(4, dtype=x.dtype), torch.ones(4, dtype=x.dtype)
    total += x.sum(1) * torch.full((4,), 0.5, dtype=x.dtype)
    total.add_(ones).add_(torch.ones_like(x)[:, 0]).add_(torch.zeros_like(x).add_(x)[:, 1])
    return x + total[:, None]


def views(x, state, generator):
    """Views of what is read, of what is made, and of what was made where something else lay."""
    a = x.t().exp()
    b = a[1:].reshape(-1, 2) + 1
    c = b.t() @ b
    d = x.flatten() * 2
    return state + d.view_as(x) + c.sum() + a.t()[0, 0]


def transposed(x, state, generator):
    """A sum that may not lie where one of its two readings does."""
    square = x[:, :4] * 2
    return torch.nn.functional.pad(square + square.t(), (0, 2))


def shapes_alone(x, state, generator):
    """Tensors without numbers, by which a shape is found."""
    wide = torch.empty((2, *x.shape), device="meta") + torch.empty(x.shape, device="meta")
    return (x + state).expand(wide.sin().shape).sum(0)


def several(x, state, generator):
    """Operations with several results, or with none that can be told where to lie."""
    low, high = torch.aminmax(x, dim=1)
    values, positions = x.sort(1)
    parts = torch.split(values, 3, 1)
    return torch.cat(parts[::-1], 1) + (high - low)[:, None] + positions + torch.linalg.vector_norm(x)


def of_numbers(x, state, generator):
    """Operations on a tensor and a number, which may write over the tensor or not."""
    aten = torch.ops.aten
    a = aten.div.Scalar(aten.mul.Scalar(x, 0.3), 7)
    b = aten.add.Scalar(a, 2, 0.5) + aten.sub.Scalar(a, 1)
    return b.relu() + aten.mul.Scalar(torch.arange(6), 0.5) + aten.div.Scalar(torch.arange(6), 2)


def in_place(x, state, generator):
    """Changes of what was made before, seen through a view of it."""
    a = x * 2
    row = a[0]
    b = a + 1
    a.mul_(3)
    row.add_(1)
    return a + b


def programs(seed):
    """A random chain of operations on whatever was made before."""

    def run(x, state, generator):
        rng = np.random.default_rng(seed)
        made = [x, state]
        for _ in range(40):
            a, b = (made[k] for k in rng.integers(max(0, len(made) - 6), len(made), size=2))
            one = (
                lambda a, b: a + b,
                lambda a, b: a * 0.5 - b,
                lambda a, b: a.sin(),
                lambda a, b: (a @ b.t()).softmax(1) @ b,
                lambda a, b: a.t().contiguous().t() * b,
                lambda a, b: torch.where(a > b, a, -b),
                lambda a, b: a.flip(1),
                lambda a, b: a.clone().mul_(0.1),
            )
            made.append(one[rng.integers(len(one))](a, b))
        return sum(made[-3:])

    return run


class Trained(nn.Module):
    """A step of gradient descent."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 6)).double()

    def __call__(self, x, state, generator):
        parameters = list(self.layers.parameters())
        with torch.enable_grad():
            loss = (self.layers(x) - state).square().mean()
            gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=0.1)
        return loss.detach() + x


def run(function, record, n_steps=5):
    """Return the states after some steps that go on from each other."""
    torch.manual_seed(0)
    function = function() if function is Trained else function
    source = torch.Generator().manual_seed(0)
    state, x = (torch.randn(4, 6, dtype=torch.float64, generator=source) for _ in range(2))
    generator, states = torch.Generator().manual_seed(1), []

    def step():
        state.copy_(function(x, state, generator).sin())
        x.add_(0.1)

    repeat = None
    for _ in range(n_steps):
        if record and repeat is None:
            repeat = record_cpu(step, generator)
        else:
            (repeat or step)()
        states.append(state.clone())
    return states


PROGRAMS = [
    chain,
    drawn,
    constants,
    views,
    transposed,
    several,
    shapes_alone,
    of_numbers,
    in_place,
    Trained,
    *map(programs, range(20)),
]


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_repetitions_are_steps_to_the_last_bit(function):
    taken, repeated = run(function, record=False), run(function, record=True)
    assert not torch.equal(taken[0], taken[1])
    for ours, theirs in zip(repeated, taken, strict=True):
        assert torch.equal(ours, theirs)


def test_memory_is_given_on():
    state = torch.randn(4, 6)
    with Tape() as tape:
        state.copy_(chain(torch.randn(4, 6), state, None))
    operations = needed(tape.operations)
    memory = share_memory(operations)
    assert len(memory) == 15 + 1  # two operations and the tanh, five times over; what was drawn
    assert len({own.data_ptr() for own in memory.values()}) == 1


def test_what_is_there_already_is_not_made_again():
    x = torch.randn(4, 6)
    with Tape() as tape:
        x.t()[1:].add_(torch.full((5, 4), 2.0))
    assert [own.function for own in needed(tape.operations)] == [torch.ops.aten.add_.Tensor]


class Counting(nn.Linear):
    """A layer that notices when it is run."""

    n_calls = 0

    def forward(self, x):
        type(self).n_calls += 1
        return super().forward(x)


def networks(kind, n_features, n_code, n_components, n_outputs):
    return nn.Sequential(kind(n_features, n_code), nn.Tanh()), nn.Linear(n_components, n_outputs)


@pytest.mark.parametrize("kind", [nn.Linear, Counting])
def test_layers_of_others_are_run_each_time(kind, monkeypatch):
    """They may do more than compute."""
    monkeypatch.setitem(graphs.RECORDERS, "cpu", recorder := Counted())
    Counting.n_calls = 0
    model = AutoencoderTransformer(2, architecture=partial(networks, kind), max_iter=9, batch_size=16, random_state=0)
    model.fit(X)
    assert recorder.n_recorded == (kind is nn.Linear)
    assert kind is nn.Linear or Counting.n_calls >= 36


@pytest.mark.parametrize("option", ["penalty", "corruption"])
def test_functions_of_others_are_called_each_time(option):
    calls = []

    def own(*args):
        calls.append(args)
        return args[0] if option == "corruption" else args[2].sum(-1)

    AutoencoderTransformer(2, max_iter=10, batch_size=16, random_state=0, **{option: own}).fit(X)
    assert len(calls) == 40


def test_single_models_and_ensembles_are_recorded(monkeypatch):
    monkeypatch.setitem(graphs.RECORDERS, "cpu", recorder := Counted())
    for n_estimators in (1, 4):
        recorder.n_replayed = 0
        model = MultiTaskVAERegressor(
            n_estimators=n_estimators, member_params=None, max_iter=10, batch_size=16, random_state=0
        )
        model.fit(X[:, :4], X[:, 4])
        assert recorder.n_replayed == 40 - graphs.WARM_UP
