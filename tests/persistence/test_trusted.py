"""Files of skops: the list of types to trust is all that estimators of this package and pipelines with them need."""

import functools
import importlib

import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

from sklearn_mtae import AutoencoderTransformer, MultipleImputation, PerTaskRegressor, VAEImputer, VAETransformer
from sklearn_mtae.nn.corruptions import masking
from sklearn_mtae.nn.objectives import IWAE
from sklearn_mtae.persistence import trusted_types

from .test_saving import CLASSES, FITTED, NUMBERS, SMALL, VERBS, X, assert_same, fitted_once, rows_of

io = pytest.importorskip("skops.io")
MADE = {
    **{name: functools.partial(fitted_once, name) for name in FITTED},
    "scaler, autoencoder and SVC": lambda: make_pipeline(StandardScaler(), AutoencoderTransformer(**SMALL), SVC()).fit(
        X[:, [0, 2, 3]], CLASSES[:, 0]
    ),
    "imputer and PCA": lambda: make_pipeline(VAEImputer(VAETransformer(**SMALL)), PCA(2)).fit(X),
    "trees": lambda: PerTaskRegressor(DecisionTreeRegressor(max_depth=2)).fit(X[:, [0, 2, 3]], NUMBERS),
    "forests of completed tables": lambda: MultipleImputation(
        RandomForestRegressor(2, max_depth=2), VAETransformer(**SMALL), n_draws=2, n_models=1, random_state=0
    ).fit(X, NUMBERS[:, 0]),
    "options": lambda: VAETransformer(
        **SMALL, corruption=functools.partial(masking, fraction=0.5), objective=IWAE(2), likelihood="student_t"
    ).fit(X),
}
COMPLETE = "scaler, autoencoder and SVC", "trees"
TREE = "sklearn.tree._tree.Tree"
"""Of which skops says what a file can do with it."""


@pytest.mark.parametrize("name", MADE)
def test_skops(name):
    model = MADE[name]()
    more = [TREE] if name in ("trees", "forests of completed tables") else []
    loaded = io.loads(io.dumps(model), trusted=[*trusted_types(), *more])
    rows = X[:, [0, 2, 3]] if name in COMPLETE else rows_of(model)
    for verb in VERBS:
        if hasattr(model, verb):
            told = {"coverage": 0.5} if verb == "predict_interval" else {}
            assert_same(getattr(model, verb)(rows, **told), getattr(loaded, verb)(rows, **told))


def mine(x, generator=None):
    return x


def test_code_of_others_is_not_trusted():
    data = io.dumps(VAETransformer(corruption=mine))
    assert any("mine" in name for name in io.get_untrusted_types(data=data))
    with pytest.raises(io.exceptions.UntrustedTypesFoundException, match="mine"):
        io.loads(data, trusted=trusted_types())


def test_every_name_is_there():
    for name in trusted_types():
        module, _, own = name.rpartition(".")
        assert hasattr(importlib.import_module(module), own)
        assert name.startswith(("sklearn_mtae.", "functools.partial"))
