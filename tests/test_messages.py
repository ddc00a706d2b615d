"""Messages that lead somewhere: each names the parameter, what must hold and what came, and never shows arrays."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC, SVR
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn

from sklearn_mtae import (
    AutoencoderTransformer,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    PerTaskClassifier,
    PerTaskRegressor,
    VAETransformer,
    stack_tasks,
)
from sklearn_mtae.metrics import d2_score, make_task_scorer, r2_score
from sklearn_mtae.nn.architectures import ARCHITECTURES
from sklearn_mtae.nn.likelihoods import LIKELIHOODS
from sklearn_mtae.nn.objectives import OBJECTIVES
from sklearn_mtae.nn.posteriors import POSTERIORS
from sklearn_mtae.nn.priors import PRIORS
from sklearn_mtae.nn.sharing import SHARINGS
from sklearn_mtae.nn.weightings import WEIGHTINGS
from sklearn_mtae.nn.words import listed, short, suggest
from tests.messages import FRAME, SINGLE, SMALL, Bare, C, X, Y, message_of

# What a message shows of a value.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((3, 4)), "ndarray(shape=(3, 4), dtype=float64)"),
        (torch.zeros(3), "Tensor(shape=(3,), dtype=torch.float32)"),
        (FRAME, "DataFrame(shape=(24, 4))"),
        ([(X, "a")], "[(ndarray(shape=(24, 4), dtype=float64), 'a')]"),
        ({"a": X}, "{'a': ndarray(shape=(24, 4), dtype=float64)}"),
        (nn.Linear(2, 3), "an object of the class Linear"),
        (Bare(), "an object of the class Bare"),
        (SVR, "the class SVR"),
        (SVR(), "SVR()"),
        (np.float64(2.5), "2.5"),
        (np.str_("word"), "'word'"),
        ((64,), "(64,)"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ... (100 in all)]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_in_short(value, text):
    assert short(value) == text


def test_long_texts_and_lists_are_cut():
    assert len(short("x" * 10_000)) < 100
    assert len(short([["x" * 1000] * 100] * 100)) < 5000
    assert listed(range(1000)).endswith("(1000 in all)]")
    assert len(listed(range(1000))) < 120


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("gausian", LIKELIHOODS, "'gaussian'"),
        ("CUDA", ["auto", "cuda"], "'cuda'"),
        ("3", [3, 14], "3"),
        ("zebra", LIKELIHOODS, None),
    ],
)
def test_what_was_meant(name, known, meant):
    assert suggest(name, known) == (f" Did you mean {meant}?" if meant else "")


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        (VAETransformer(likelihood="gausian", **SMALL), "'gaussian'"),
        (VAETransformer(likelihood={"agee": "poisson"}, **SMALL), "'age'"),
        (VAETransformer(likelihood={"age": "gausian"}, **SMALL), "'gaussian'"),
        (VAETransformer(**{**SMALL, "hidden_layer_sizes": 64}), "(64,)"),
        (VAETransformer(net_params={"optimiser": torch.optim.SGD}, **SMALL), "'optimizer'"),
        (VAETransformer(net_params={"optimizer__beta": (0.9, 0.9)}, **SMALL), "'betas'"),
        (VAETransformer(device="CPU", **SMALL), "'cpu'"),
        (MultiTaskVAERegressor(task_likelihoods={"yield": "gausian"}, **SINGLE), "'gaussian'"),
        (MultiTaskVAERegressor(task_likelihoods={"yeild": "gaussian"}, **SINGLE), "'yield'"),
        (MultiTaskVAERegressor(task_weighting={"cots": 1, "yield": 1}, **SINGLE), "'cost'"),
        (MultiTaskVAERegressor(task_weighting="uncertanty", **SINGLE), "'uncertainty'"),
        (MultiTaskVAERegressor(member_params=[{"droput": 0.1}], **SINGLE), "'dropout'"),
        (PerTaskRegressor({"cost": SVR(), "yeld": SVR()}), "'yield'"),
        (PerTaskRegressor(SVR), "an instance, SVR()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_ask_what_was_meant(model, meant):
    y = pd.DataFrame(Y, columns=["yield", "cost"])
    assert message_of(lambda: model.fit(FRAME, y)).endswith(f"Did you mean {meant}?")


def test_conditions_name_columns_and_levels():
    jobs = FRAME.assign(job=["clerk", "cook"] * 12)
    model = VAETransformer(**SMALL).fit(jobs)
    assert "Did you mean 'income'?" in message_of(lambda: model.sample(conditions={"incom": 1}))
    text = message_of(lambda: model.sample(conditions={"job": "clrk"}))
    assert text.startswith("conditions: Column 'job' must hold a category known from fit: 'clerk', 'cook'. Got 'clrk'.")
    assert text.endswith("Did you mean 'clerk'?")
    assert "conditions" in message_of(lambda: model.sample(conditions={"age": "old"}))
    assert model.sample(2, random_state=0, conditions={"job": "cook"})["job"].tolist() == ["cook", "cook"]


@pytest.mark.parametrize("likelihood", [{0: None}, [None, "gaussian", "gaussian", "gaussian"]])
def test_a_likelihood_is_named_or_left_out(likelihood):
    with pytest.raises(ValueError, match=r"likelihood must hold names out of .* Got None for column 0"):
        VAETransformer(2, likelihood=likelihood).fit(X)


@pytest.mark.parametrize("truth", [True, np.True_])
@pytest.mark.parametrize("name", ["n_components", "batch_size", "max_iter", "alpha", "max_categories"])
def test_true_is_no_number(name, truth):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter .* Got (np.)?True_? instead"):
        VAETransformer(**{name: truth}).fit(X)
    with pytest.raises(ValueError, match="hidden_layer_sizes must hold integers >= 1"):
        VAETransformer(hidden_layer_sizes=(3, truth)).fit(X)


def test_options_are_listed_in_order():
    for model, name, table in [
        (VAETransformer(likelihood="x", **SMALL), "likelihood", {"auto", *LIKELIHOODS}),
        (VAETransformer(prior="x", **SMALL), "prior", PRIORS),
        (VAETransformer(architecture="x", **SMALL), "architecture", ARCHITECTURES),
        (MultiTaskVAERegressor(task_weighting="x", **SINGLE), "task_weighting", WEIGHTINGS),
    ]:
        text = message_of(lambda model=model: model.fit(X, Y))
        options = re.findall(r"'(\w+)'", re.search(r"among \{(.*?)\}", text).group(1))
        assert options == sorted(table), name


# What is listed is taken.


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_likelihoods_of_tasks_are_listed_where_they_are_taken(name):
    text = message_of(lambda: MultiTaskVAERegressor(task_likelihoods="x", **SINGLE).fit(X, Y))
    targets = np.full((24, 2), 0.5)
    targets[::2] = 0.75
    for option in (name, [name, "gaussian"], {"y0": name}):
        model = MultiTaskVAERegressor(task_likelihoods=option, **SINGLE)
        if f"'{name}'" in text:
            assert np.isfinite(model.fit(X, targets).predict(X)).all()
        else:
            assert "task_likelihoods" in message_of(lambda model=model: model.fit(X, targets))


def test_likelihoods_of_rows_are_no_likelihoods_of_tasks():
    joint = MultiTaskVAERegressor(task_likelihoods=LIKELIHOODS["categorical"], **SINGLE)
    assert "take MultiTaskVAEClassifier" in message_of(lambda: joint.fit(X, C))


def test_tasks_that_a_dict_of_likelihoods_leaves_out_are_gaussian():
    every = MultiTaskVAERegressor(task_likelihoods={"y0": "gaussian", "y1": "laplace"}, **SINGLE).fit(X, Y)
    some = MultiTaskVAERegressor(task_likelihoods={"y1": "laplace"}, **SINGLE).fit(X, Y)
    np.testing.assert_array_equal(some.predict(X), every.predict(X))


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_options_go_together_or_the_error_names_both(sharing, posterior):
    model = MultiTaskVAERegressor(sharing=sharing, posterior=posterior, **SINGLE)
    if sharing == "private" and posterior == "flow":
        text = message_of(lambda: model.fit(X, Y))
        assert "sharing" in text
        assert "posterior" in text
    else:
        assert np.isfinite(model.fit(X, Y).predict(X)).all()


@pytest.mark.parametrize("sharing", SHARINGS)
def test_what_is_listed_goes_with_the_defaults(sharing):
    model = MultiTaskVAERegressor(2, sharing=sharing, max_iter=1, random_state=0).fit(X, Y)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize(("parameter", "table"), [("prior", PRIORS), ("objective", OBJECTIVES)])
def test_options_go_together(parameter, table):
    for name in table:
        model = MultiTaskVAERegressor(sharing="private", **{parameter: name}, **SINGLE)
        assert np.isfinite(model.fit(X, Y).predict(X)).all()


def test_options_that_exclude_each_other():
    known = VAETransformer(**SMALL).fit(X)
    both = MultiTaskVAERegressor(encoder=known, embedding="softened", **SINGLE)
    assert "embedding must be None with an encoder" in message_of(lambda: both.fit(X, Y))
    images = MultiTaskVAERegressor(architecture="conv", embedding="piecewise_linear", **SINGLE)
    assert "embedding must keep the number of columns" in message_of(lambda: images.fit(X, Y))


# Devices.


@pytest.mark.parametrize("name", ["gpu", "cuda:7", "CUDA", "", "meta", "cpu:3", "cuda:x", "hpu"])
def test_devices_that_are_not_here(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    text = message_of(lambda: AutoencoderTransformer(device=name, **SMALL).fit(X))
    assert f"device={name!r} must be one of the available devices, ['auto', 'cuda', " in text
    assert "'cuda:0', 'cuda:1']" in text
    if name in ("gpu", "CUDA"):
        assert text.endswith(("is called 'cuda'.", "Did you mean 'cuda'?"))


def test_a_fitted_model_falls_back_to_the_cpu():
    model = AutoencoderTransformer(**SMALL).fit(X)
    codes = model.transform(X)
    np.testing.assert_array_equal(model.set_params(device="cuda:77").transform(X), codes)


# Rows, labels and weights.


def words(array, as_type):
    """Return an array with a word in it, in some container."""
    cells = array.astype(object)
    cells[3, 1] = "high"
    return as_type(cells)


CONTAINERS = [lambda cells: cells, lambda cells: cells.tolist(), lambda cells: cells.astype(str)]


@pytest.mark.parametrize("as_type", CONTAINERS, ids=["objects", "list", "strings"])
def test_strings_name_their_column(as_type):
    text = message_of(lambda: VAETransformer(**SMALL).fit(words(X, as_type)))
    assert "Column 1 of X must hold numbers. It holds 'high'" in text
    assert "likelihood={1: 'categorical'}" in text
    text = message_of(lambda: MultiTaskVAERegressor(**SINGLE).fit(X, words(Y, as_type)))
    assert "Task 'y1' of y must hold numbers. It holds 'high'" in text
    model = VAETransformer(**SMALL).fit(X)
    for verb in ("transform", "predict", "score_samples", "impute"):
        assert "Column 1 of X" in message_of(lambda verb=verb: getattr(model, verb)(words(X, as_type)))
    text = message_of(lambda: model.inverse_transform(words(X[:, :2], as_type)))
    assert "Column 1 of Z must hold numbers. It holds 'high'" in text


def test_the_remedy_for_strings_is_one():
    jobs = np.column_stack([X.astype(object), ["clerk", "cook"] * 12])
    assert np.isfinite(VAETransformer(likelihood={4: "categorical"}, **SMALL).fit(jobs).transform(jobs)).all()


def test_strings_in_a_frame_of_targets():
    y = pd.DataFrame(words(Y, lambda cells: cells), columns=["cost", "yield"])
    assert "Task 'yield' of y" in message_of(lambda: MultiTaskVAERegressor(**SINGLE).fit(X, y))


BAD_ROWS = {
    "one dimension": X[0],
    "three dimensions": X[None],
    "too few columns": X[:, :3],
    "no rows": X[:0],
    "infinite": np.where(X > 1, np.inf, X),
    "None": None,
    "text": "abc",
    "number": 3,
}


@pytest.mark.parametrize("rows", BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("verb", ["transform", "predict", "score_samples", "impute", "inverse_transform"])
def test_rows(rows, verb):
    model = MultiTaskVAERegressor(**SINGLE).fit(X, Y)
    text = message_of(lambda: getattr(model, verb)(rows))
    assert ("Z" if verb == "inverse_transform" else "X") in text


@pytest.mark.parametrize(
    "weight", ["a", [1, 2], np.ones((24, 3)), -np.ones(24), np.array(["a"] * 24), np.zeros(24), {"a": 1}], ids=str
)
def test_weights(weight):
    for model in (MultiTaskVAERegressor(**SINGLE), AutoencoderTransformer(**SMALL)):
        assert "sample_weight" in message_of(lambda model=model: model.fit(X, Y, sample_weight=weight))


@pytest.mark.parametrize("classes", [3, "ab", {0: 1}, [0, 1], [[0, 1]], [None, None]], ids=str)
def test_classes(classes):
    model = MultiTaskVAEClassifier(**SINGLE)
    assert "classes must" in message_of(lambda: model.partial_fit(X, C, classes=classes))


def test_class_weights_that_are_no_numbers():
    model = MultiTaskVAEClassifier(class_weight={"y0": {0: "a"}, "y1": None}, **SINGLE)
    assert "class_weight must hold finite weights" in message_of(lambda: model.fit(X, C))


def test_seeds():
    model = VAETransformer(**SMALL).fit(X)
    assert "random_state" in message_of(lambda: model.sample(3, random_state="x"))


# Estimators per task, tables of tasks and scorers.


class NoEstimator:
    """Fits and predicts, and cannot be cloned."""

    def fit(self, X, y):
        """Fit nothing."""
        return self

    def predict(self, X):
        """Return a column."""
        return X[:, 0]


class NoFit(BaseEstimator):
    """Has no fit."""


@pytest.mark.parametrize(
    "given",
    [None, "svc", SVR, NoFit(), NoEstimator(), [SVR()], 3, {"y0": SVR, "y1": SVR()}],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
@pytest.mark.parametrize("kind", [PerTaskRegressor, PerTaskClassifier])
def test_estimators_per_task(kind, given):
    model = kind(given)
    text = message_of(lambda: model.fit(X, C))
    assert "estimator" in text
    assert not re.search("__sklearn_tags__|MRO", text)
    for call in (lambda: model.predict(X), lambda: model.score(X, C)):
        assert "not fitted" in message_of(call)
    assert model.__sklearn_tags__().target_tags.multi_output
    assert model.get_params()["estimator"] is given
    model.get_metadata_routing()


def test_a_class_in_place_of_an_estimator():
    model = PerTaskClassifier({"y0": SVC, "y1": SVC()})
    assert "Got the class SVC for task 'y0': give an instance, SVC()" in message_of(lambda: model.fit(X, C))


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([(X, Y[:, 0])], "Got [(ndarray(shape=(24, 4), dtype=float64), ndarray(shape=(24,), dtype=float64))] instead"),
        ({"a": X}, "Task 'a' must be a pair (X, y). Got ndarray(shape=(24, 4), dtype=float64)"),
        ({"a": (None, Y[:, 0])}, "The X of task 'a' must have two dimensions. Got None"),
        ({"a": (X, None)}, "The y of task 'a' must have one dimension. Got None"),
        ({"a": (words(X, list), Y[:, 0])}, "The X of task 'a' must hold numbers"),
        (FRAME, "Got DataFrame(shape=(24, 4)) instead"),
    ],
    ids=["list", "no pair", "no rows", "no labels", "words", "frame"],
)
def test_tables_of_tasks(tasks, text):
    message = message_of(lambda: stack_tasks(tasks))
    assert text in message
    assert message.endswith("Got 'high' in column 1.") or "must hold numbers" not in message


@pytest.mark.parametrize("metric", [3, [], "rmsee", None], ids=str)
def test_metrics(metric):
    text = message_of(lambda: make_task_scorer(metric))
    assert "metric must be one of" in text
    assert text.endswith("Did you mean 'rmse'?") or metric != "rmsee"


def test_metrics_that_return_no_number():
    scorer = make_task_scorer(lambda y_true, y_pred, **options: None)
    model = LinearRegression().fit(X, Y)
    assert "metric must return a number" in message_of(lambda: scorer(model, X, Y))


@pytest.mark.parametrize("score", [r2_score, d2_score], ids=["r2", "d2"])
def test_scores_of_numbers_say_how_classes_are_scored(score):
    frame = pd.DataFrame({"price": Y[:, 0], "town": np.where(C[:, 1], "Bonn", "Rome")})
    text = message_of(lambda: score(frame, frame))
    assert "This score is of numbers. Got 'Bonn'" in text or "This score is of numbers. Got 'Rome'" in text
    assert "by their probabilities" in text
    assert text.endswith("This is task 'town'.")


def test_a_single_row_leaves_none_out():
    model = MultiTaskVAERegressor(**SMALL, n_estimators=4).fit(X[:1], Y[:1])
    assert "Got a fit to a single row" in message_of(lambda: model.predict_interval(X))
