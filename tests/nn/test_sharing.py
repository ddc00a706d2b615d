"""Ways of sharing: each against its formula, and what an estimator makes of it."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_mtae import MultiTaskVAEClassifier, MultiTaskVAERegressor
from sklearn_mtae.nn.sharing import SHARINGS, BatchedLinear, CrossStitch, Heads, MixtureOfExperts, PrivateBlocks

N_TASKS, N_COMPONENTS, N_OUTPUTS = 3, 4, 2


@pytest.fixture(params=sorted(SHARINGS))
def sharing(request):
    return request.param


@pytest.fixture
def regressor(sharing):
    return MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(8,), sharing=sharing, max_iter=3, random_state=0
    )


def make(factory, sizes=(5,), **style):
    """Return heads with weights of order one, in float64, and codes for them."""
    torch.manual_seed(0)
    heads = factory(N_TASKS, [N_COMPONENTS, *sizes, N_OUTPUTS], n_features=6, activation="tanh", **style).double()
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.normal_()
    return heads, torch.randn(7, N_COMPONENTS + heads.n_extra, dtype=torch.float64)


def linear(layer, task, x):
    return x @ layer.weight[task].T + layer.bias[task]


def alone(heads, task, x):
    """Return what one task's layers make of what they read, without the other tasks."""
    first, *hidden = [layer for layer in heads.layers if isinstance(layer, BatchedLinear)]
    x = linear(first, task, x)
    for layer in hidden:
        x = linear(layer, task, torch.tanh(x))
    return x


def by_task(heads, z):
    return heads(z).unflatten(-1, (N_TASKS, N_OUTPUTS))


@pytest.mark.parametrize("sizes", [(), (5,), (5, 6)])
def test_hard_is_a_network_per_task(sizes):
    heads, z = make(Heads, sizes)
    for task in range(N_TASKS):
        torch.testing.assert_close(by_task(heads, z)[:, task], alone(heads, task, z))


@pytest.mark.parametrize("sizes", [(), (5,), (5, 6)])
def test_experts_are_mixed_by_gates(sizes):
    heads, z = make(partial(MixtureOfExperts, n_experts=3, n_hidden=6), sizes)
    experts = [torch.tanh(linear(heads.experts, expert, z)) for expert in range(3)]
    for task in range(N_TASKS):
        gate = torch.exp(linear(heads.gates, task, z))
        gate = gate / gate.sum(1, keepdim=True)
        mixed = sum(gate[:, k, None] * expert for k, expert in enumerate(experts))
        torch.testing.assert_close(by_task(heads, z)[:, task], alone(heads, task, mixed))


def test_hidden_layers_are_stitched():
    heads, z = make(CrossStitch, (5, 6))
    layers = [layer for layer in heads.layers if isinstance(layer, BatchedLinear)]
    start = np.where(np.eye(N_TASKS), 0.9, 0.05)
    hidden = [linear(layers[0], task, z) for task in range(N_TASKS)]
    for layer, stitch in zip(layers[1:], heads.stitches, strict=True):
        mixing = torch.from_numpy(start) + stitch.reshape(N_TASKS, N_TASKS)
        active = [torch.tanh(h) for h in hidden]
        mixed = [sum(mixing[s, t] * active[t] for t in range(N_TASKS)) for s in range(N_TASKS)]
        hidden = [linear(layer, task, mixed[task]) for task in range(N_TASKS)]
    torch.testing.assert_close(by_task(heads, z), torch.stack(hidden, dim=1), rtol=1e-6, atol=1e-6)


def test_stitches_start_near_separate_heads():
    heads = CrossStitch(4, [2, 3, 1])
    torch.testing.assert_close(heads.start.sum(1), torch.ones(4))
    torch.testing.assert_close(heads.start.diagonal(), torch.full((4,), 0.9))
    assert not heads.stitches[0].any()
    assert CrossStitch(1, [2, 3, 1]).start.tolist() == [[1.0]]


def test_a_head_reads_its_own_block_alone():
    heads, z = make(partial(PrivateBlocks, n_private=2))
    assert heads.n_extra == 2 * N_TASKS
    blocks = z[:, N_COMPONENTS:].split(2, dim=1)
    for task in range(N_TASKS):
        read = torch.cat([z[:, :N_COMPONENTS], blocks[task]], dim=1)
        torch.testing.assert_close(by_task(heads, z)[:, task], alone(heads, task, read))
    slopes = torch.func.jacrev(lambda row: by_task(heads, row))(z[0])  # task, output, component
    for task in range(N_TASKS):
        own = range(N_COMPONENTS + 2 * task, N_COMPONENTS + 2 * task + 2)
        read = [*range(N_COMPONENTS), *own]
        assert slopes[task][:, read].abs().min() > 0
        assert not slopes[task][:, [c for c in range(z.shape[1]) if c not in read]].any()


def test_features_are_decoded_from_what_is_shared(table):
    X, Y = table
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(8,), sharing="private", max_iter=2, random_state=0
    )
    module = model.fit(X, Y).module_
    z = torch.randn(5, 2 + 3 * 4)
    decoder = module.decoder
    torch.testing.assert_close(module.decode(z), decoder(z[:, :2]))
    slopes = torch.func.jacrev(module.decode)(z[0])
    assert slopes[:, :2].any()
    assert not slopes[:, 2:].any()
    Z = model.transform(X)
    np.testing.assert_allclose(
        model.inverse_transform(Z),
        module.units.inverse(decoder(torch.from_numpy(Z).float()).double()).detach(),
        rtol=1e-4,
        atol=1e-4,
    )


def predicted(heads, z):
    """Return the outputs of each task at the posterior means of rows, of which `z` are those that all share."""
    x = torch.linspace(-1, 1, 42, dtype=z.dtype).reshape(7, 6)
    shared = z[:, :N_COMPONENTS]
    return by_task(heads, heads.extend(torch.cat([shared, shared], dim=1), x).chunk(2, dim=1)[0])


def test_private_components_come_from_an_encoder_of_their_own():
    heads, _ = make(partial(PrivateBlocks, n_private=2, n_hidden=3))
    x = torch.randn(7, 6, dtype=torch.float64)
    code = torch.randn(7, 2 * N_COMPONENTS, dtype=torch.float64)
    mean, log_variance = heads.extend(code, x).chunk(2, dim=1)
    torch.testing.assert_close(mean[:, :N_COMPONENTS], code[:, :N_COMPONENTS])
    torch.testing.assert_close(log_variance[:, :N_COMPONENTS], code[:, N_COMPONENTS:])
    first, last = heads.encoders[0], heads.encoders[-1]
    for task in range(N_TASKS):
        own = linear(last, task, torch.tanh(linear(first, task, x)))
        block = slice(N_COMPONENTS + 2 * task, N_COMPONENTS + 2 * task + 2)
        torch.testing.assert_close(torch.cat([mean[:, block], log_variance[:, block]], dim=1), own)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", sorted(SHARINGS))
def test_parameters_are_common_or_own(name, layer_norm):
    """Moving what a task owns moves that task alone, moving what is common moves several."""
    heads, z = make(SHARINGS[name], layer_norm=layer_norm)
    own, common = heads.own(), heads.common()
    every = [id(p) for p in heads.parameters()]
    assert sorted(id(p) for p in [*own, *common]) == sorted(every)
    before = predicted(heads, z)

    def moved_by(change):
        saved = {n: p.clone() for n, p in heads.state_dict().items()}
        with torch.no_grad():
            change()
        moved = (predicted(heads, z) != before).any(2).any(0).tolist()
        heads.load_state_dict(saved)
        return moved

    for parameter in own:
        assert parameter.shape[0] == N_TASKS
        for task in range(N_TASKS):
            moved = moved_by(lambda p=parameter, t=task: p[t].add_(torch.randn_like(p[t])))
            assert moved == [t == task for t in range(N_TASKS)]
    for parameter in common:
        assert sum(moved_by(lambda p=parameter: p.add_(torch.randn_like(p)))) > 1


def test_verbs(regressor, table):
    X, Y = table
    Z = regressor.fit(X, Y).transform(X)
    assert Z.shape == regressor.transform(X, return_std=True)[1].shape == (60, 2)
    assert list(regressor.get_feature_names_out()) == ["multitaskvaeregressor0", "multitaskvaeregressor1"]
    assert regressor.inverse_transform(Z).shape == X.shape
    assert np.isfinite(regressor.score_samples(X)).all()
    drawn = regressor.sample(7, random_state=0)
    assert [part.shape for part in drawn] == [(7, 5), (7, 3)]
    mean, std = regressor.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, regressor.predict(X))
    assert (std > 0).all()
    assert std.shape == (60, 3)


def test_tasks_are_learned(regressor, table):
    assert regressor.set_params(max_iter=60, learning_rate_init=0.01).fit(*table).score(*table) > 0.6


@pytest.mark.parametrize(
    "parameters",
    [{"layer_norm": True}, {"dropout": 0.3}, {"head_hidden_layer_sizes": (4, 3)}, {"task_likelihoods": "student_t"}],
)
def test_styles_of_the_heads(regressor, table, parameters):
    X, Y = table
    plain = regressor.fit(X, Y).predict(X)
    styled = clone(regressor).set_params(**parameters).fit(X, Y)
    assert not np.allclose(styled.predict(X), plain)
    np.testing.assert_array_equal(styled.predict(X), styled.predict(X))


def test_heads_without_a_hidden_layer(regressor, sharing, table):
    regressor.set_params(head_hidden_layer_sizes=())
    if sharing == "cross_stitch":
        with pytest.raises(ValueError, match="'cross_stitch' needs a hidden layer in head_hidden_layer_sizes"):
            regressor.fit(*table)
    else:
        assert regressor.fit(*table).predict(table[0]).shape == (60, 3)


def test_one_task(regressor, table):
    X, Y = table
    assert regressor.fit(X, Y[:, 0]).predict(X).shape == (60,)


def test_many_tasks(regressor, table):
    X, _ = table
    wide = np.random.default_rng(0).normal(size=(60, 139))
    wide[::3, 100:] = np.nan
    prediction = regressor.set_params(max_iter=1).fit(X, wide).predict(X)
    assert prediction.shape == (60, 139)
    assert np.isfinite(prediction).all()


def test_classes(sharing, table):
    X, Y = table
    kinds = np.column_stack([Y[:, 0] > 0, np.digitize(Y[:, 1], [-20, 30])])
    model = MultiTaskVAEClassifier(
        2, hidden_layer_sizes=(8,), sharing=sharing, n_estimators=1, max_iter=60, learning_rate_init=0.01
    )
    model.set_params(random_state=0).fit(X, kinds)
    assert [p.shape for p in model.predict_proba(X)] == [(60, 2), (60, 3)]
    assert model.score(X, kinds) > 0.8


@pytest.mark.parametrize(
    ("factory", "n_extra"),
    [(partial(MixtureOfExperts, n_experts=7, n_hidden=5), 0), (partial(PrivateBlocks, n_private=1), 3), (Heads, 0)],
)
def test_factories(table, factory, n_extra):
    X, Y = table
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(8,), sharing=factory, max_iter=2, random_state=0
    ).fit(X, Y)
    module = model.module_
    assert isinstance(module.heads, getattr(factory, "func", factory))
    assert module.prior.n_components == 2 + n_extra
    if isinstance(module.heads, MixtureOfExperts):
        assert module.heads.experts.weight.shape == (7, 5, 2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_clone_and_pickle(regressor, table):
    X, Y = table
    prediction = regressor.fit(X, Y).predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(X), prediction)
    np.testing.assert_array_equal(clone(regressor).fit(X, Y).predict(X), prediction)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("soft", "'sharing' parameter of MultiTaskVAERegressor must be a str among .*'mmoe'"),
        (partial(PrivateBlocks, n_private=0), "n_private and n_hidden must be >= 1. Got 0"),
        (partial(MixtureOfExperts, n_experts=0), "n_experts must be at least 1. Got 0"),
    ],
)
def test_errors(table, option, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskVAERegressor(2, n_estimators=1, sharing=option).fit(*table)
