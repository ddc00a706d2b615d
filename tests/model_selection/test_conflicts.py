"""Conflicts and affinities of tasks against gradients and steps computed one by one."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae._engine.rows import Batch
from sklearn_mtae.model_selection import transfer_report
from sklearn_mtae.model_selection._conflicts import Probe, Snapshot, observed, sample_rows
from sklearn_mtae.nn.posteriors import NormalPosterior
from sklearn_mtae.nn.random import draw_from
from sklearn_mtae.nn.sharing import Heads


class Certain(NormalPosterior):
    """A posterior whose draws are its means, so that gradients can be computed without knowing the draws."""

    def noise(self, q, generator, n_draws=1):
        return torch.zeros_like(q.mean)


class Epochs(Callback):
    """Counts epochs in a list that clones share."""

    seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(len(net.history))


@pytest.fixture
def small():
    return MultiTaskVAERegressor(2, n_estimators=1, hidden_layer_sizes=(6,), max_iter=2, random_state=0)


@pytest.fixture
def gaps(table):
    """Half of the labels of the first task missing."""
    X, Y = table
    Y[::2, 0] = np.nan
    return X, Y


def shift(steps, n=60):
    """Return splits by hand: each leaves out another dozen rows."""
    rows = np.arange(n)
    return [(rows[rows % 5 != step], rows[rows % 5 == step]) for step in range(steps)]


def losses_of(module, X, Y):
    """Return the loss of each task per label, by the likelihood's density of the standardised targets."""
    x = module.units(torch.tensor(X))
    y = module.task_units(torch.tensor(Y))
    log_prob = module.task_likelihood.log_prob(module.heads(module.encode(module.fill(x))), y)
    return [-log_prob[~y[:, t].isnan(), t].mean() for t in range(y.shape[1])]


def gradients_of(module, X, Y):
    shared = [*module.encoder.parameters()]
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses_of(module, X, Y)]
    return shared, torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


@pytest.fixture
def exact(gaps):
    """A report after one epoch, the module that it was measured on, and data."""
    X, Y = gaps
    model = MultiTaskVAERegressor(
        2,
        n_estimators=1,
        hidden_layer_sizes=(6,),
        posterior=Certain,
        max_iter=1,
        dtype="float64",
        dropout=0.3,
        random_state=0,
    )
    report = transfer_report(model, X, Y, cv=shift(1))
    module = deepcopy(model.fit(X, Y).module_).requires_grad_(True)
    return report, module, X, Y


def test_conflict_is_the_cosine_of_gradients_by_a_loop(exact):
    report, module, X, Y = exact
    _, rows = gradients_of(module, X, Y)
    expected = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    np.testing.assert_allclose(report.conflict, expected, rtol=1e-6, atol=1e-9)


def test_affinity_is_what_a_step_does(exact):
    report, module, X, Y = exact
    shared, rows = gradients_of(module, X, Y)
    before = torch.stack(losses_of(module, X, Y)).detach()
    for task, row in enumerate(rows):
        step = -1e-4 * len(row) ** 0.5 * row / row.norm()  # a tenth of Adam's first
        start = [p.detach().clone() for p in shared]
        with torch.no_grad():
            torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(shared) + step, shared)
            after = torch.stack(losses_of(module, X, Y))
            for parameter, values in zip(shared, start, strict=True):
                parameter.copy_(values)
        np.testing.assert_allclose(report.affinity[task], before - after, rtol=1e-6, atol=1e-9)


def test_affinity_of_small_steps_is_that_of_first_order(gaps):
    """A step of length s along -g_i lowers the loss of task j by s * g_i @ g_j / |g_i|."""
    X, Y = gaps
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(6,), posterior=Certain, dtype="float64", random_state=0
    )
    model.set_params(learning_rate_init=1e-7, max_iter=3)
    report = transfer_report(model, X, Y, cv=shift(1))
    _, rows = gradients_of(deepcopy(model.fit(X, Y).module_).requires_grad_(True), X, Y)
    slope = rows @ rows.T / rows.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(report.affinity, 1e-8 * rows.shape[1] ** 0.5 * slope, rtol=1e-3, atol=1e-12)
    np.testing.assert_array_equal(np.sign(report.affinity), np.sign(report.conflict))
    assert (np.diag(report.affinity) > 0).all()


def test_opposite_tasks_pull_against_each_other(table):
    """Two heads that read the code alike, and labels of opposite sign: the code would have to go both ways."""

    class Alike(Heads):
        n_extra = 0

        def __init__(self, n_tasks, widths, **style):
            torch.nn.Module.__init__(self)
            self.columns = [0, 0, 1][:n_tasks]
            self.weight = torch.nn.Parameter(torch.ones(1))

        def extend(self, code, x):
            return code

        def forward(self, z):
            return self.weight * z[..., self.columns]

        def networks(self):
            return []

        def common(self):
            return [self.weight]

    X, Y = table
    Y = np.column_stack([Y[:, 0], -Y[:, 0], Y[:, 0]])
    model = MultiTaskVAERegressor(
        2, n_estimators=1, hidden_layer_sizes=(), sharing=Alike, task_likelihoods="squared_error"
    )
    # All predictions start at 0: residuals are then labels, and these are opposite.
    model.set_params(architecture=zero_coders, posterior=Certain, learning_rate_init=1e-6, max_iter=2, random_state=0)
    report = transfer_report(model, X, Y, cv=shift(1))
    assert report.conflict[0, 1] == pytest.approx(-1, abs=1e-3)
    assert report.conflict[0, 2] == pytest.approx(0, abs=1e-3)  # they read components of their own
    assert report.affinity[0, 1] < 0 < report.affinity[0, 0]


def zero_coders(n_features, n_code, n_components, n_outputs):
    encoder, decoder = torch.nn.Linear(n_features, n_code), torch.nn.Linear(n_components, n_outputs)
    torch.nn.init.zeros_(encoder.weight)
    torch.nn.init.zeros_(encoder.bias)
    return encoder, decoder


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.5, "corruption": "masking", "penalty": "contractive"},
        {"task_weighting": "famo", "sharing": "mmoe"},
        {"task_weighting": "uncertainty", "early_stopping": True},
    ],
    ids=lambda options: ",".join(map(str, options.values())),
)
def test_measuring_leaves_the_fit_as_it_is(small, gaps, options):
    X, Y = gaps
    small.set_params(max_iter=12, **options)
    before = torch.random.get_rng_state()
    probe = Probe(12)
    watched = observed(small, probe).fit(X, Y)
    assert len(probe.measured) == 10
    assert torch.equal(before, torch.random.get_rng_state())
    plain = clone(small).fit(X, Y)
    assert plain.loss_curve_ == watched.loss_curve_
    for name, value in plain._fitted.states[0].items():
        np.testing.assert_array_equal(value, watched._fitted.states[0][name])
    assert watched.net_.members == ()


def test_measuring_leaves_modes_generator_and_gradients_as_they_are(small, table):
    X, Y = table
    net = small.fit(X, Y).net_
    x, y = (torch.tensor(values, dtype=torch.float32) for values in (X, Y))
    module = net.module_.train()
    module.decoder.eval()
    generator = torch.Generator().manual_seed(7)
    draw_from(module, generator)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    modes, state = [part.training for part in module.modules()], generator.get_state()
    Snapshot(net, Batch(x, y, None, None, (True, True))).transfer(0.1)
    assert [part.training for part in module.modules()] == modes
    assert module.generator is generator
    assert torch.equal(generator.get_state(), state)
    assert all((parameter.grad == 3).all() for parameter in module.parameters())


def test_the_users_callbacks_are_called_too(small, table):
    X, Y = table
    Epochs.seen.clear()
    model = small.set_params(net_params={"callbacks": [Epochs()]})
    transfer_report(model, X, Y, cv=shift(1))
    assert Epochs.seen == [1, 2] * 5  # alone for three tasks, jointly, and while measured
    assert len(model.net_params["callbacks"]) == 1


def test_sampled_rows_cover_the_tasks():
    class Rows:
        index = np.arange(10, 510)
        y = np.full((520, 3), np.nan)

        def __len__(self):
            return 500

    Rows.y[:, 0] = 1.0
    Rows.y[100:104, 1] = 1.0
    Rows.y[300:350, 2] = 1.0
    positions = sample_rows(Rows(), 60)
    assert len(set(positions.tolist())) == 60
    n_labels = (~np.isnan(Rows.y[Rows.index[positions]])).sum(0)
    assert n_labels[1] == 4
    assert n_labels[2] >= 20
    assert len(sample_rows(Rows(), 500)) == 500
