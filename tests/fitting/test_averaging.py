"""Members that differ: what they are, which of them count, and how sure their predictions are."""

import pickle
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor
from sklearn_mtae._fitting import adapt, averaging, baseline
from sklearn_mtae._fitting import fit as fitting
from sklearn_mtae._fitting.adapt import single_settings
from sklearn_mtae._fitting.selection import LEAST_PICKS, N_PICKS, select
from sklearn_mtae.nn.embeddings import EMBEDDINGS, PiecewiseLinear
from tests.stacks import Noiseless

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_mtae.DegenerateModelWarning")

SMALL = {"n_components": 2, "hidden_layer_sizes": (8,), "head_hidden_layer_sizes": (4,), "max_iter": 8}
DIFFERENT = [{"dropout": 0.1}, {"alpha": 0.0, "task_likelihoods": "laplace"}]
regressor = partial(
    MultiTaskVAERegressor, **SMALL, n_estimators=6, member_params=DIFFERENT, validation_fraction=1 / 3, random_state=0
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X[:, :3] @ RNG.normal(size=(3, 3)) + 0.1 * RNG.normal(size=(60, 3)) + [0, 10, -3]
Y[RNG.random(Y.shape) < 0.2] = np.nan


def mean_error(average, labels, folds, weight):
    """Return the mean over folds of the root mean squared error."""
    parts = [folds == fold for fold in np.unique(folds)]
    return np.mean([np.sqrt(np.average((average - labels)[own] ** 2, weights=weight[own])) for own in parts])


def test_selection_is_greedy():
    labels, weight, folds = RNG.normal(size=40), RNG.uniform(0.1, 2, size=40), RNG.integers(4, size=40) * 3
    candidates = labels + RNG.normal(size=(5, 40)) + RNG.normal(size=(5, 1))
    weights = select(candidates - labels, folds, weight)
    picked = []
    for _ in range(N_PICKS):
        errors = [mean_error(candidates[[*picked, k]].mean(axis=0), labels, folds, weight) for k in range(5)]
        picked.append(int(np.argmin(errors)))
    often = [k for k in picked if picked.count(k) >= LEAST_PICKS]
    np.testing.assert_allclose(weights @ candidates, candidates[often].mean(axis=0))
    assert weights.sum() == pytest.approx(1)
    alone = [mean_error(own, labels, folds, weight) for own in candidates]
    assert mean_error(weights @ candidates, labels, folds, weight) <= min(alone)


@pytest.mark.parametrize("n_estimators", [2, 3])
def test_few_rows_that_all_settings_hold_out_calibrate_what_others_chose(n_estimators):
    """A choice among many candidates by the few labels that it is judged by would look far too good."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(240, 4))
    y = x @ rng.normal(size=(4, 40)) + 0.5 * rng.normal(size=(240, 40))
    own = {"n_estimators": n_estimators, "validation_fraction": 0.1, "member_params": DIFFERENT}
    model = MultiTaskVAERegressor(**SMALL, **own, random_state=0).fit(x[:40], y[:40])
    mean, std = model.predict(x[40:], return_std=True)
    errors = np.sqrt(np.mean(((y[40:] - mean) / std) ** 2, axis=0))
    assert 0.8 < np.median(errors) < 1.3
    assert np.quantile(errors, 0.9) < 2.3  # of four labels


def test_parts_are_folds_groups_or_rows():
    folds, weight = np.array([3, 3, 3, 8]), np.ones((4, 1))
    held_out: Any = SimpleNamespace(folds=folds, weight=weight, groups=None)
    assert averaging._parts_of(held_out, 5).tolist() == [0, 0, 0, 1]
    held_out.weight = weight * (folds == 3)[:, None]  # not every candidate has held out the fourth row
    assert averaging._parts_of(held_out, 3).tolist() == [0, 1, 2, 0]
    held_out.groups = np.array([7, 9, 7, 9])
    assert averaging._parts_of(held_out, 3).tolist() == [0, 1, 0, 1]


def test_selection_of_what_is_known():
    errors = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1]])
    folds, weight = np.array([0, 0, 1, 1]), np.ones(4)
    np.testing.assert_array_equal(select(errors, folds, weight), [0, 1, 0])
    # Errors that cancel: half of each, but for the odd one.
    np.testing.assert_allclose(select(errors[::2], folds, weight), [13 / 25, 12 / 25])
    # An outlier's fold counts no more than another: the second is better in three folds of four.
    outlier = np.array([[1.0, 1, 1, 1], [0.9, 0.9, 0.9, 1.2]])
    assert select(outlier, np.arange(4), weight)[1] == 1
    # Rows that weigh nothing are nothing.
    np.testing.assert_array_equal(select(np.array([[0.0, 9], [1, 0]]), np.zeros(2, int), np.array([1.0, 0])), [1, 0])


def test_bins_are_piecewise_linear():
    x = torch.from_numpy(RNG.normal(size=(200, 2)) ** 3)
    x[::7, 0] = torch.nan
    embedding = PiecewiseLinear(2, n_bins=4).double()
    embedding.learn(x)
    assert embedding.n_outputs == 10
    values = np.linspace(-30, 30, 501)
    out = embedding(torch.from_numpy(np.column_stack([values, values]))).numpy()
    for column in range(2):
        observed = x[:, column][~x[:, column].isnan()].numpy()
        edges = np.quantile(observed, np.linspace(0, 1, 5))
        for k in range(4):
            expected = np.interp(values, edges[k : k + 2], [-0.5, 0.5])
            np.testing.assert_allclose(out[:, 2 + 4 * column + k], expected, atol=1e-12)
        np.testing.assert_allclose(out[:, column], values / np.sqrt(1 + (values / 10) ** 2))


def test_bins_of_few_values():
    column = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 2])
    x = torch.stack([column, (column > 0).float(), torch.ones(8), torch.full((8,), torch.nan)], dim=1)
    embedding = PiecewiseLinear(4, n_bins=4)
    embedding.learn(x)
    out = embedding(x.nan_to_num(0.0))
    assert torch.isfinite(out).all()
    bins = out[:, 4:].unflatten(1, (4, 4))
    assert (bins[:, 1:] == 0).all()  # two values, one, none: the column says it all
    n_edges = len(np.unique(np.quantile(column, np.linspace(0, 1, 5))))
    assert (bins[:, 0] != 0).any(dim=0).sum() == n_edges - 1


@pytest.mark.parametrize("embedding", [*EMBEDDINGS, partial(PiecewiseLinear, n_bins=3)])
def test_embeddings(embedding):
    gaps = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    model = regressor(n_estimators=1, embedding=embedding).fit(gaps, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(gaps), model.predict(gaps))
    assert model.inverse_transform(model.transform(gaps)).shape == X.shape
    assert model.impute(gaps).shape == X.shape
    assert np.isfinite(model.predict(gaps)).all()


def test_bins_fit_steps():
    """A step is beyond a linear model, and not beyond one of bins."""
    x = np.random.default_rng(0).uniform(size=(400, 1))
    y = (x[:, 0] > 0.5).astype(float)
    own = {"hidden_layer_sizes": (), "head_hidden_layer_sizes": (), "learning_rate_init": 0.02, "random_state": 0}
    linear, bins = (
        MultiTaskVAERegressor(2, n_estimators=1, embedding=name, **own).fit(x, y).score(x, y)
        for name in (None, "piecewise_linear")
    )
    assert linear < 0.8 < 0.95 < bins


def alone(model, k):
    """Return an estimator whose only model is one of another's, in its setting."""
    member = k if k < len(model._fitted.states) else model._fitted.average.earlier[k - len(model._fitted.states)][0]
    settings = model._fitted.settings[member]
    single = clone(model).set_params(n_estimators=1, member_params=None, **settings).fit(X, Y)
    single._fitted.states, single._fitted.seed, single._fitted.average.inflation = (
        [model._fitted.state_of(k)],
        model._fitted.seed,
        1.0,
    )
    single._fitted.cache.clear()
    return single


def test_what_is_kept_is_a_shorter_training():
    own = {"posterior": Noiseless, "dtype": "float64"}
    members = regressor(**own)._plan(X, Y, None).members
    assert list(members[0].keep_at) == [8, 4, 2, 1, 1, 1, 1]
    model = regressor(**own)
    plan = model._plan(X, Y, None)
    fitting._train_alone(plan.members, plan, {})
    shorter = regressor(**own, max_iter=4)._plan(X, Y, None)
    fitting._train_alone(shorter.members, shorter, {})
    for long, short in zip(plan.members, shorter.members, strict=True):
        assert sorted(long.kept) == [1, 2, 4, 8]
        for name, value in short.model.state_dict().items():
            np.testing.assert_allclose(long.kept[4][name], value, rtol=1e-9, err_msg=name)
    stacked = regressor(**own).fit(X, Y)
    for k, (member, state) in enumerate(stacked._fitted.average.earlier):
        known = [own for own in plan.members[member].kept.values() if close(own, state)]
        assert len(known) == 1, k


def close(one, other):
    return all(np.allclose(one[name], other[name], rtol=1e-6, atol=1e-9) for name in other)


@pytest.mark.parametrize("shrunk", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_predictions_are_weighted(early_stopping, shrunk, monkeypatch):
    monkeypatch.setattr(baseline, "PENALTIES", ())
    if shrunk:  # half of it the labels' mean, which comes last without regressions

        def halves(errors, folds, weight, loss):
            weights = select(errors[:-1], folds, weight, loss) / 2
            return np.append(weights, 0.5)

        monkeypatch.setattr(averaging, "select", halves)
        monkeypatch.setattr(averaging, "agree", lambda _, chosen, __: chosen)
    model = regressor(early_stopping=early_stopping, n_iter_no_change=1, tol=0.01).fit(X, Y)
    n_states = len(model._fitted.states) + len(model._fitted.average.earlier)
    assert model._fitted.average.weights.shape == (n_states, 3)
    assert (model._fitted.average.weights.sum(axis=0) <= 1 + 1e-9).all()
    means, stds = map(
        np.stack, zip(*[alone(model, k).predict(X, return_std=True) for k in range(n_states)], strict=True)
    )
    if shrunk:
        np.testing.assert_allclose(model._fitted.average.weights.sum(axis=0), 0.5)
    left, label_means, label_variances = (
        1 - model._fitted.average.weights.sum(axis=0),
        np.nanmean(Y, axis=0),
        np.nanvar(Y, axis=0),
    )
    expected = np.einsum("kt,knt->nt", model._fitted.average.weights, means) + left * label_means
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X), mean)
    second = np.einsum("kt,knt->nt", model._fitted.average.weights, stds**2 + means**2) + left * (
        label_variances + label_means**2
    )
    np.testing.assert_allclose(std, model._fitted.average.inflation * np.sqrt(second - expected**2), rtol=1e-4)


def test_chosen_by_rows_that_were_held_out(monkeypatch):
    """Weights and calibration are those of an independent computation, from models that were not trained on a row."""
    monkeypatch.setattr(baseline, "PENALTIES", ())
    model = regressor()
    plan = model._plan(X, Y, None)
    folds = {k: np.asarray(member.held_out) for k, member in enumerate(plan.members)}
    for first, second in zip(range(0, 6, 2), range(1, 6, 2), strict=True):
        np.testing.assert_array_equal(folds[first], folds[second])
        assert not set(folds[first]) & set(np.asarray(plan.members[first].train.index))
    model.fit(X, Y)
    held_out = np.zeros((60, 3))
    fold_of = np.zeros(60, dtype=int)
    for fold in range(3):
        rows = folds[2 * fold]
        fold_of[rows] = fold
        means = model._fitted.average.baseline.intercepts * (1 - model._fitted.average.weights.sum(axis=0))
        own = [k for k in range(len(model._fitted.average.weights)) if member_of(model, k) // 2 == fold]
        # A candidate's weight is spread over the folds.
        means = means + sum(3 * model._fitted.average.weights[k] * alone(model, k).predict(X[rows]) for k in own)
        held_out[rows] = means
    for task, labels in enumerate(Y.T):
        known = ~np.isnan(labels)
        chosen = mean_error(held_out[known, task], labels[known], fold_of[known], np.ones(known.sum()))
        constant = mean_error(np.full(known.sum(), labels[known].mean()), labels[known], fold_of[known], known[known])
        assert chosen <= constant + 1e-9
    scores = np.concatenate(model._fitted.average.scores)
    assert len(scores) == (~np.isnan(Y)).sum()
    np.testing.assert_allclose(
        [np.sqrt((own @ own + 1) / (len(own) + 1)) for own in model._fitted.average.scores],
        model._fitted.average.inflation,
    )


def member_of(model, k):
    return k if k < len(model._fitted.states) else model._fitted.average.earlier[k - len(model._fitted.states)][0]


def test_a_task_with_one_label_counts_all_members():
    y = Y.copy()
    y[1:, 2], y[0, 2] = np.nan, 1.0
    model = regressor().fit(X, y)
    np.testing.assert_allclose(model._fitted.average.weights[:, 2].sum(), 1)
    assert np.isfinite(model.predict(X, return_std=True)).all()


@pytest.mark.parametrize("errors", ["normal", "small", "heavy_tailed"])
def test_intervals_cover(errors):
    """Small errors are mostly those of the members, of which few held a row out but all predict a new one."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, size=(1300, 4))  # no new row is beyond the training rows
    drawn = rng.standard_t(3, size=(1300, 2)) if errors == "heavy_tailed" else rng.normal(size=(1300, 2))
    scale = np.array([0.5, 2.0]) / (20 if errors == "small" else 1)
    y = np.column_stack([x[:, 0] + x[:, 1] ** 2, np.sin(x[:, 2])]) + drawn * scale
    y[rng.random(y.shape) < 0.2] = np.nan
    model = MultiTaskVAERegressor(n_estimators=10, max_iter=20, random_state=0).fit(x[:300], y[:300])
    for coverage in (0.5, 0.9):
        lower, upper = model.predict_interval(x[300:], coverage=coverage)
        inside = ((lower <= y[300:]) & (y[300:] <= upper)).sum(axis=0) / (~np.isnan(y[300:])).sum(axis=0)
        # Over the draws of the training rows, the coverage has a deviation of about sqrt(c (1 - c) / 240).
        assert (np.abs(inside - coverage) < 4 * np.sqrt(coverage * (1 - coverage) / 240)).all()
    mean, std = model.predict(x[300:], return_std=True)
    squares = np.nanmean(((y[300:] - mean) / std) ** 2, axis=0)
    # The mean square of 240 normal errors has a deviation of sqrt(2 / 240). Errors of members are no normal ones.
    assert errors != "normal" or (np.abs(squares - 1) < 4 * np.sqrt(2 / 240)).all()


def test_intervals_of_one_model():
    model = regressor(n_estimators=1, early_stopping=True).fit(X, Y)
    lower, upper = model.predict_interval(X, 0.5)
    assert (lower < upper).all()
    np.testing.assert_allclose((lower + upper) / 2, model.predict(X))
    y = np.nan_to_num(Y[:, 0])
    ends = regressor(n_estimators=1, early_stopping=True).fit(X, y).predict_interval(X, 0.5)
    assert [end.shape for end in ends] == [(60,), (60,)]
    with pytest.raises(ValueError, match=r"held out from a model: n_estimators > 1 or early_stopping=True"):
        regressor(n_estimators=1).fit(X, Y).predict_interval(X)
    few = regressor(n_estimators=1, early_stopping=True, validation_fraction=0.05).fit(X, np.nan_to_num(Y))
    with pytest.raises(ValueError, match=r"coverage must be .* Got 0.9 for task 'y0', which has 3"):
        few.predict_interval(X)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, "0.9"])
def test_coverage_is_checked(coverage):
    with pytest.raises((TypeError, ValueError), match="coverage"):
        regressor().fit(X, Y).predict_interval(X, coverage)


def test_default_members(tmp_path, monkeypatch):
    own = {"max_iter": 1, "random_state": 0}
    model = MultiTaskVAERegressor(**own).fit(X, Y)
    assert len(model._fitted.states) == 30
    assert {own["embedding"] for own in model._fitted.settings} == {"piecewise_linear"}
    assert model.module_.encoder[1][0].out_features == 128
    few = {**own, "n_estimators": 3}
    wide = MultiTaskVAERegressor(**few).fit(RNG.normal(size=(20, 65)), Y[:20].copy() * 0 + 1)
    assert {own["embedding"] for own in wide._fitted.settings} == {"softened"}
    # What the user chose is left alone.
    chosen = MultiTaskVAERegressor(**few, dropout=0.1, hidden_layer_sizes=[8]).fit(X, Y)
    assert not any({"dropout", "hidden_layer_sizes"} & set(own) for own in chosen.member_params_)
    linear = MultiTaskVAERegressor(**few, hidden_layer_sizes=()).fit(X, Y)
    assert {own["embedding"] for own in linear._fitted.settings} == {None}
    assert len(MultiTaskVAERegressor(**own).fit(np.ones((4, 2001)), Y[:4] * 0 + 1)._fitted.states) == 1
    source = AutoencoderTransformer(2, max_iter=1).fit(X)
    for single in (
        MultiTaskVAERegressor(**own, architecture="conv1d").fit(X, Y),
        MultiTaskVAERegressor(**own, objective="iwae").fit(X, Y),
        MultiTaskVAERegressor(**own, task_weighting="famo").fit(X, Y),
        MultiTaskVAERegressor(**own).partial_fit(X, Y),
        MultiTaskVAERegressor(**own, warm_start=True).fit(X, Y),
        MultiTaskVAERegressor(**own, checkpoint=tmp_path / "fit.pt").fit(X, Y),
        MultiTaskVAERegressor(**own, encoder=source).fit(X, Y),
        MultiTaskVAERegressor(**own, net_params={"optimizer__eps": 1e-7}).fit(X, Y),
    ):
        assert len(single._fitted.states) == 1
        automatic = single_settings(60)
        del automatic["max_iter"]  # which is given
        assert single.member_params_ == [automatic]
    for n_full, n_members in ((60, 30), (15, 6), (1, 3)):
        monkeypatch.setattr(adapt, "FULL_ROWS", n_full)
        assert len(MultiTaskVAERegressor(**own).fit(X, Y)._fitted.states) == n_members


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([{"random_state": 1}], r"must leave out \['random_state'\], in which members cannot differ"),
        ([{"widths": 3}], r"must hold parameters of the estimator. Got \['widths'\]"),
        ([{}, {"dropout": 2.0}], "'dropout' parameter"),
        ("different", "'member_params' parameter"),
        ([3], "member_params must hold dicts"),
    ],
)
def test_member_params_are_checked(members, message):
    with pytest.raises(ValueError, match=message):
        regressor(member_params=members).fit(X, Y)


def test_copies_and_further_training():
    model = regressor().fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for one, other in zip(again.predict_interval(X), model.predict_interval(X), strict=True):
        np.testing.assert_array_equal(one, other)
    again.partial_fit(X, Y)  # how good its parts are is not known any more
    assert again._fitted.average.weights is None
    means = [alone(again, k).predict(X) for k in range(6)]
    np.testing.assert_allclose(again.predict(X), np.mean(means, axis=0), rtol=1e-6)
    assert clone(model).fit(X, Y).predict(X) == pytest.approx(model.predict(X))


def test_weights_of_rows():
    weight = np.ones(60)
    weight[:30] = 0
    y = Y.copy()
    y[:30] = 1e6
    model = regressor().fit(X, y, sample_weight=weight)
    assert len(np.concatenate(model._fitted.average.scores)) == (~np.isnan(Y[30:])).sum()
    assert np.abs(model.predict(X)).max() < 1e3
