"""Parameters are what the user gives: by value, in every member, and no longer the user's own after `fit`."""

import inspect
import pickle
import threading
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAEClassifier, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._fitting.parameters import same
from sklearn_mtae.nn.likelihoods import StudentT
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
Y = X[:, :2] ** 2 + 0.1 * RNG.normal(size=(40, 2))

GIVEN = {
    "hidden_layer_sizes": (512,),
    "dropout": 0.0,
    "task_likelihoods": "gaussian",
    "head_hidden_layer_sizes": (16,),
    "embedding": None,
    "alpha": 3.0,
    "learning_rate_decay": 0.0,
    "learning_rate_init": 1e-3,
}
"""What the regressor's parameters are in a single model."""


class Coders:
    """An architecture that is an object with a list of its own."""

    def __init__(self, sizes):
        self.sizes = sizes

    def __call__(self, n_features, n_code, n_components, n_outputs):
        (size,) = self.sizes
        encoder = torch.nn.Sequential(torch.nn.Linear(n_features, size), torch.nn.Linear(size, n_code))
        return encoder, torch.nn.Linear(n_components, n_outputs)


def with_statistics(n_features, n_code, n_components, n_outputs):
    """Return an architecture whose running statistics do not stack: its models are trained one by one."""
    encoder = torch.nn.Sequential(torch.nn.BatchNorm1d(n_features), torch.nn.Linear(n_features, n_code))
    return encoder, torch.nn.Linear(n_components, n_outputs)


def ensemble(**parameters):
    return MultiTaskVAERegressor(2, **{"max_iter": 2, "random_state": 0, **parameters})


def plan_of(model):
    """Return the members that a fit would train."""
    return model._plan(X, Y, None).members


# What a user gives is what every member has.


@pytest.mark.parametrize("values", [(3, 3.0, np.float64(3), np.float32(3)), (0, 0.0, np.int64(0))])
def test_equal_values_are_equal_models(values):
    first, *others = (ensemble(alpha=value, n_estimators=3).fit(X, Y).predict(X) for value in values)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_every_member_has_what_is_given():
    members = plan_of(ensemble(**GIVEN))
    assert len(members) == 30
    for member in members:
        encoder, decoder = member.model.encoder, member.model.decoder
        assert [layer.out_features for layer in (*encoder, *decoder) if hasattr(layer, "out_features")] == [
            512, 4, 512, 4,
        ]  # fmt: skip
        assert not any(isinstance(part, torch.nn.Dropout) and part.p for part in member.model.modules())
        assert next(member.model.heads.parameters()).shape == (2, 16, 2)
        assert {type(family).__name__ for family, _ in member.model.task_likelihood.parts()} == {"Gaussian"}
        assert (member.alpha, member.learning_rate) == (3.0, 1e-3)


@pytest.fixture(scope="module")
def automatic():
    """Return what the members have where nothing is given."""
    return ensemble().fit(X, Y).member_params_


@pytest.mark.parametrize("name", GIVEN)
def test_one_given_parameter_leaves_the_others_automatic(name, automatic):
    model = ensemble(**{name: GIVEN[name]}).fit(X, Y)
    assert len(model.member_params_) == 30
    assert all(name not in own for own in model.member_params_)
    assert model.member_params_ == [{key: v for key, v in own.items() if key != name} for own in automatic]


def test_a_grid_tells_all_its_candidates_apart():
    grid = {"hidden_layer_sizes": [(64,), (128,), (512,)]}
    model = ensemble(n_estimators=2, member_params=None)  # beside the default members, kernels may do all the work
    scores = GridSearchCV(model, grid, cv=2).fit(X, Y).cv_results_["mean_test_score"]
    assert len(set(scores)) == 3


def test_automatic_values_of_a_single_model_are_those_documented():
    automatic = ensemble(n_estimators=1).fit(X, Y)
    assert automatic.member_params_ == [GIVEN]
    given = ensemble(n_estimators=1, **GIVEN).fit(X, Y)
    assert given.member_params_ == [{}]
    np.testing.assert_array_equal(automatic.predict(X), given.predict(X))
    asked = ensemble(n_estimators=2, member_params=[{"alpha": "auto", "dropout": 0.5}], alpha=1.0).fit(X, Y)
    assert asked.member_params_[0]["alpha"] == 3.0


@pytest.mark.parametrize(
    "estimator", [AutoencoderTransformer, VAETransformer, MultiTaskVAERegressor, MultiTaskVAEClassifier]
)
def test_what_adapts_is_explained(estimator):
    lines = inspect.getdoc(estimator).partition("Attributes\n---")[0].splitlines()
    for name, parameter in inspect.signature(estimator).parameters.items():
        if isinstance(parameter.default, str) and parameter.default == "auto":
            start = next(number for number, line in enumerate(lines) if line.startswith(f"{name} : "))
            end = next(n for n, line in enumerate(lines) if n > start and not line.startswith(" "))
            assert '"auto"' in " ".join(lines[start + 1 : end]), f"{estimator.__name__}: {name}"


@pytest.mark.parametrize("rates", [{"learning_rate_init": 1e-12}, {"learning_rate_init": 1e-12, "alpha": 0}])
def test_members_trained_one_by_one_have_their_own_rates(rates):
    still = ensemble(architecture=with_statistics, n_estimators=2, member_params=[rates])
    with pytest.warns(UserWarning, match="trained one after the other"):
        fitted = clone(still).fit(X, Y)
    for member, state in zip(plan_of(still), fitted._fitted.states, strict=True):
        start = dict(member.model.named_parameters())
        for name, value in start.items():
            np.testing.assert_allclose(state[name], value.detach(), atol=1e-9)


# A fit that goes on.


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"n_components": 2}, {"n_components": np.int64(2)}),
        ({"n_components": 2}, {"n_components": 2}),
        ({"hidden_layer_sizes": (16,)}, {"hidden_layer_sizes": [16]}),
        ({"hidden_layer_sizes": [16]}, {"hidden_layer_sizes": np.array([16])}),
        ({"dropout": 0.0}, {"dropout": np.float32(0)}),
        ({"likelihood": ["gaussian"] * 4}, {"likelihood": ("gaussian",) * 4}),
        ({"likelihood": partial(StudentT, df=5)}, {"likelihood": partial(StudentT, df=5.0)}),
        ({"architecture": Coders([8])}, {"architecture": Coders([8])}),
    ],
)
def test_going_on_with_equal_parameters(first, then):
    model = AutoencoderTransformer(**{"n_components": 2, "max_iter": 1, "warm_start": True, "random_state": 0, **first})
    before = clone(model).fit(X).set_params(**first).fit(X).transform(X)
    np.testing.assert_array_equal(model.fit(X).set_params(**then).fit(X).transform(X), before)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"likelihood": partial(StudentT, df=5)}, {"likelihood": partial(StudentT, df=6)}),
        ({"architecture": Coders([8])}, {"architecture": Coders([9])}),
        ({"hidden_layer_sizes": (16,)}, {"hidden_layer_sizes": (16, 16)}),
        ({"layer_norm": True}, {"layer_norm": False}),
    ],
)
def test_going_on_with_other_parameters_is_refused(first, then):
    model = AutoencoderTransformer(**{"n_components": 2, "max_iter": 1, "warm_start": True, **first}).fit(X)
    with pytest.raises(ValueError, match=f"shape the model. {next(iter(then))}="):
        model.set_params(**then).fit(X)


def test_automatic_parameters_may_be_spelled_out_later():
    model = ensemble(warm_start=True).fit(X, Y)
    assert model.set_params(**GIVEN, n_estimators=1).fit(X, Y).n_iter_ == 4
    with pytest.raises(ValueError, match=r"shape the model. hidden_layer_sizes=\(512,\) became \(128,\)"):
        model.set_params(hidden_layer_sizes=(128,)).fit(X, Y)
    with pytest.raises(ValueError, match=r"as many members as before, 1\. Got n_estimators=2"):
        model.set_params(n_estimators=2).fit(X, Y)


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_rates_may_change_between_fits(n_estimators):
    model = ensemble(n_estimators=n_estimators).fit(X, Y)
    before = [dict(state) for state in model._fitted.states]
    model.set_params(warm_start=True, learning_rate_init=1e-12).fit(X, Y)
    for one, other in zip(before, model._fitted.states, strict=True):
        for name in (name for name in one if name.endswith("weight")):
            np.testing.assert_allclose(one[name], other[name], atol=1e-9)
    assert all("learning_rate_init" not in own for own in model.member_params_)


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_numbers_of_numpy_are_numbers(posterior, prior):
    own = {"posterior": posterior, "prior": prior, "max_iter": 1, "random_state": 0}
    plain = VAETransformer(2, hidden_layer_sizes=(4,), batch_size=8, **own).fit(X)
    other = VAETransformer(np.int64(2), hidden_layer_sizes=np.array([4]), batch_size=np.int32(8), **own).fit(X)
    np.testing.assert_array_equal(plain.transform(X), other.transform(X))


# What a training must not end in.


@pytest.mark.parametrize("rates", [{"learning_rate_init": 1e300}, {"learning_rate_init": 1e30, "alpha": 1e30}])
@pytest.mark.parametrize("n_estimators", [1, 2])
def test_weights_of_the_last_step_are_checked(rates, n_estimators):
    model = ensemble(n_estimators=n_estimators, hidden_layer_sizes=(4,), batch_size=None, **{**rates, "max_iter": 1})
    with pytest.raises(ValueError, match="must stay finite"):
        model.fit(X, Y)
    assert not hasattr(model, "n_iter_")


# What a user does to lists and dicts after a fit.


def append(sizes):
    sizes.append(32)


def drop_all(mapping):
    mapping.clear()


@pytest.mark.parametrize(
    ("name", "value", "change"),
    [
        ("hidden_layer_sizes", [8], append),
        ("head_hidden_layer_sizes", [4], append),
        ("likelihood", ["gaussian", "laplace", "student_t", "gaussian"], list.reverse),
        ("likelihood", {0: "laplace", 1: "student_t"}, drop_all),
        ("task_likelihoods", ["gaussian", "laplace"], list.reverse),
        ("task_likelihoods", {"y0": "laplace", "y1": "gaussian"}, drop_all),
        ("architecture", Coders([8]), lambda coders: coders.sizes.append(3)),
        ("architecture", partial(Coders([8])), lambda coders: coders.func.sizes.append(3)),
        ("member_params", [{"hidden_layer_sizes": [8]}], lambda settings: settings[0]["hidden_layer_sizes"].append(9)),
        ("member_params", [{"dropout": 0.1}], lambda settings: settings[0].update(hidden_layer_sizes=(9,))),
    ],
)
def test_parameters_changed_after_fit_leave_the_model_alone(name, value, change):
    if name == "architecture":
        value = pickle.loads(pickle.dumps(value))
    model = ensemble(n_estimators=2, **{name: value}).fit(X, Y)
    before = model.predict(X), model.transform(X), model.score_samples(X)
    change(value)
    again = pickle.loads(pickle.dumps(model))
    for fitted in (model, again):
        for one, other in zip(before, (fitted.predict(X), fitted.transform(X), fitted.score_samples(X)), strict=True):
            np.testing.assert_array_equal(one, other)
        assert fitted.net_.module_ is not None


def test_conditions_are_checked_by_the_fitted_likelihoods():
    likelihood = {0: "poisson"}
    counts = np.column_stack([RNG.poisson(3, size=40), X[:, 1]])
    model = VAETransformer(1, likelihood=likelihood, max_iter=1, random_state=0).fit(counts)
    likelihood[0] = "gaussian"
    with pytest.raises(ValueError, match="conditions needs the column >= 0"):
        model.sample(1, conditions={0: -1})


# Values.


def test_same_by_value():
    lock = threading.Lock()
    assert same(float("nan"), np.nan)
    assert same({"a": [1, 2]}, {"a": (1.0, np.int8(2))})
    assert same(np.arange(2000), list(range(2000)))
    assert same(True, np.bool_(True))
    assert same(torch.ones(3), [1, 1, 1])
    assert same(lock, lock)
    assert not same(lock, threading.Lock())
    assert not same(np.arange(2000), np.where(np.arange(2000) == 1000, -1, np.arange(2000)))
    assert not same("12", ["1", "2"])
    assert not same({"a": 1}, {"b": 1})
    assert not same(None, 0)
    assert not same(Coders, StudentT)
    assert not same([1], [1, 2])
