"""A loaded estimator is the saved one: it predicts the same bits, goes on training, and is saved to the same bytes."""

import functools
import stat
from inspect import isclass

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Options

import sklearn_mtae
from sklearn_mtae import (
    AutoencoderTransformer,
    MultipleImputation,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskClassifier,
    PerTaskRegressor,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae._engine.files import write_file
from sklearn_mtae.model_selection import TaskKFold
from sklearn_mtae.nn.corruptions import masking
from sklearn_mtae.nn.embeddings import PiecewiseLinear
from sklearn_mtae.nn.likelihoods import Gaussian, StudentT
from sklearn_mtae.nn.objectives import IWAE
from sklearn_mtae.nn.schedules import linear
from sklearn_mtae.nn.sharing import MixtureOfExperts
from sklearn_mtae.persistence import FileError, load, save
from sklearn_mtae.runtime import read_file

SMALL = {"n_components": 2, "hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
TASKS = {**SMALL, "n_estimators": 2}
VERBS = "transform", "predict", "predict_proba", "predict_interval", "score_samples", "impute", "decision_function"


def mixed_table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.normal(size=30).astype("float32"), "count": rng.poisson(3, 30)})
    X["job"] = pd.Categorical(rng.choice(["clerk", "cook"], 30), ["clerk", "cook", "smith"], ordered=True)
    X["is_new"] = pd.array(rng.random(30) < 0.5, dtype="boolean")
    X["word"] = rng.choice(["a", "b", "c"], 30)
    X.loc[:3, ["size", "job", "is_new", "word"]] = np.nan, np.nan, pd.NA, None
    return X


X = np.random.default_rng(1).normal(size=(30, 4))
X[::7, 1] = np.nan
NUMBERS = np.random.default_rng(2).normal(size=(30, 2))
CLASSES = np.random.default_rng(3).choice(["no", "yes", "maybe"], size=(30, 2)).astype(object)
BOTH = pd.DataFrame({"price": NUMBERS[:, 0], "kind": CLASSES[:, 0]})
FITTED = {
    "autoencoder": lambda: AutoencoderTransformer(**SMALL).fit(X),
    "autoencoder of a frame": lambda: AutoencoderTransformer(**SMALL).fit(mixed_table()),
    "vae": lambda: VAETransformer(**SMALL, dtype="float64", prior="mixture").fit(X),
    "regressor": lambda: MultiTaskVAERegressor(**TASKS).fit(X, NUMBERS),
    "classifier": lambda: MultiTaskVAEClassifier(**TASKS).fit(X, CLASSES),
    "both": lambda: MultiTaskVAE(**TASKS).fit(mixed_table(), BOTH),
    "imputer": lambda: VAEImputer(VAETransformer(**SMALL), add_indicator=True).fit(X),
    "imputer by two models": lambda: VAEImputer(n_importance_samples=5, random_state=0).fit(X),
    "imputer of a frame": lambda: VAEImputer(VAETransformer(**SMALL), add_indicator=True).fit(mixed_table()),
    "outliers": lambda: OutlierDetector(VAETransformer(**SMALL), n_estimators=2, random_state=0).fit(mixed_table()),
    "imputations": lambda: MultipleImputation(
        LinearRegression(), VAETransformer(**SMALL), n_draws=2, n_models=2, random_state=0
    ).fit(pd.DataFrame(X, columns=list("abcd")), NUMBERS[:, 0]),
    "heads": lambda: PerTaskRegressor({"y0": Ridge(), "y1": LinearRegression()}).fit(X[:, [0, 2]], NUMBERS),
    "heads of classes": lambda: PerTaskClassifier(GaussianNB()).fit(X[:, [0, 2]], CLASSES),
    "pipeline": lambda: make_pipeline(StandardScaler(), VAETransformer(**SMALL), LogisticRegression()).fit(
        X, CLASSES[:, 0]
    ),
}


@functools.cache
def fitted_once(name):
    """Return a model that no test changes."""
    return FITTED[name]()


@pytest.fixture(params=FITTED)
def fitted(request):
    return fitted_once(request.param)


def again(estimator, path):
    save(estimator, path)
    return load(path)


def rows_of(estimator):
    if "size" in getattr(estimator, "feature_names_in_", []):
        return mixed_table()
    if isinstance(estimator, PerTaskRegressor | PerTaskClassifier):
        return X[:, [0, 2]]
    return pd.DataFrame(X, columns=list("abcd")) if hasattr(estimator, "feature_names_in_") else X


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list | tuple):
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype


def test_what_is_loaded_answers_alike(fitted, tmp_path):
    loaded, rows = again(fitted, tmp_path / "a"), rows_of(fitted)
    asked = [verb for verb in VERBS if hasattr(fitted, verb)]
    assert asked
    for verb in asked:
        told = {"coverage": 0.5} if verb == "predict_interval" else {}
        assert_same(getattr(fitted, verb)(rows, **told), getattr(loaded, verb)(rows, **told))
    assert repr(loaded) == repr(fitted)
    assert vars(loaded).keys() == vars(fitted).keys()
    save(loaded, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert not hasattr(clone(loaded), "_fitted")


def test_a_number_is_no_path():
    with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike object, not int"):
        load(0)


def test_training_goes_on_from_where_it_was(tmp_path):
    model = VAETransformer(**SMALL, warm_start=True).partial_fit(X)
    loaded = again(model, tmp_path / "a")
    for step in ("partial_fit", "fit"):
        getattr(model, step)(X)
        getattr(loaded, step)(X)
        assert_same(model.transform(X), loaded.transform(X))
        assert_same(model.loss_curve_, loaded.loss_curve_)


def test_a_summary_and_a_diagnosis(tmp_path):
    model = fitted_once("imputations")
    assert_same(model.summary(), again(model, tmp_path / "a").summary())
    model = fitted_once("both")
    assert str(model.diagnose(mixed_table())) == str(again(model, tmp_path / "a").diagnose(mixed_table()))


PUBLIC = [own for name in sklearn_mtae.__all__ if isclass(own := getattr(sklearn_mtae, name)) and hasattr(own, "fit")]


def named_options(own):
    """Return parameters such that each has each of the names that it may have in one of them."""
    names = {
        parameter: sorted(
            name for constraint in constraints if isinstance(constraint, Options) for name in constraint.options
        )
        for parameter, constraints in own._parameter_constraints.items()
    }
    names = {parameter: options for parameter, options in names.items() if options}
    n_most = max(map(len, names.values()), default=0)
    return [{parameter: options[k % len(options)] for parameter, options in names.items()} for k in range(n_most)]


VALUES = {
    "alpha": np.float32(0.5),
    "architecture": None,
    "beta": functools.partial(linear, stop=2.0),
    "checkpoint": None,
    "corruption": functools.partial(masking, fraction=0.5),
    "cv": KFold(3, shuffle=True, random_state=0),
    "embedding": functools.partial(PiecewiseLinear, n_bins=4),
    "hidden_layer_sizes": np.array([4, 3]),
    "likelihood": {0: "student_t", 2: (0.0, None), np.int64(3): Gaussian, 1: functools.partial(StudentT, df=3)},
    "class_weight": [{"no": 1.0, "yes": float("inf")}, "balanced"],
    "member_params": [{"alpha": 0.0}, {"dropout": 0.25}],
    "net_params": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
    "objective": IWAE(3),
    "sharing": functools.partial(MixtureOfExperts, n_experts=2),
    "task_similarity": pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], index=["a", "b"], columns=["a", "b"]),
    "task_weighting": (1, 2.5),
    "tol": float("nan"),
}


def spelled(value):
    """Return a text that is equal for equal parameters, with their types and what a partial holds."""
    if isinstance(value, dict):
        return [(spelled(key), spelled(own)) for key, own in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), *map(spelled, value)]
    if isinstance(value, KFold | TaskKFold):
        return type(value), vars(value)
    return type(value), repr(value)


def assert_parameters(own, parameters, path):
    needed = {"estimator": LinearRegression()} if own in (PerTaskRegressor, MultipleImputation) else {}
    needed |= {"estimator": GaussianNB()} if own is PerTaskClassifier else {}
    model = own(**needed | parameters)
    params, loaded = model.get_params(), again(model, path).get_params()
    assert {name: spelled(value) for name, value in params.items()} == {
        name: spelled(value) for name, value in loaded.items()
    }


@pytest.mark.parametrize("own", PUBLIC)
def test_every_named_option(own, tmp_path):
    for parameters in [{}, *named_options(own)]:
        assert_parameters(own, parameters, tmp_path / "a")


@pytest.mark.parametrize("own", [MultiTaskVAERegressor, MultiTaskVAEClassifier, MultiTaskVAE, VAETransformer])
def test_every_other_option(own, tmp_path):
    constraints = own._parameter_constraints
    assert_parameters(own, {name: value for name, value in VALUES.items() if name in constraints}, tmp_path / "a")


def test_a_path_a_splitter_and_folds(tmp_path):
    folds = [(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))]
    for parameters in ({"cv": TaskKFold(3)}, {"cv": folds}, {"checkpoint": tmp_path / "fit"}):
        assert_parameters(MultiTaskVAERegressor, parameters, tmp_path / "a")


def test_a_source_of_draws_goes_on_where_it_was(tmp_path):
    for source in (np.random.RandomState(5), np.random.RandomState(np.random.PCG64(3))):
        source.normal()  # which keeps a second number
        loaded = again(VAETransformer(random_state=source), tmp_path / "a").random_state
        np.testing.assert_array_equal(loaded.normal(size=3), source.normal(size=3))


def test_one_object_stays_one(tmp_path):
    own, source = functools.partial(StudentT, df=3), np.random.RandomState(0)
    model = VAETransformer(likelihood=[own, own, "gaussian"], random_state=source)
    loaded = again(VAEImputer(model, random_state=source), tmp_path / "a")
    assert loaded.estimator.likelihood[0] is loaded.estimator.likelihood[1]
    assert loaded.estimator.random_state is loaded.random_state


def test_members_of_one_setting_are_run_in_the_same_products(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 5)), rng.normal(size=(80, 2))
    model = MultiTaskVAERegressor(random_state=3, max_iter=2, n_estimators=4, member_params=None).fit(X, y)
    assert_same(model.predict(X), again(model, tmp_path / "a").predict(X))


@pytest.mark.parametrize("frozen", [False, True])
def test_an_encoder(frozen, tmp_path):
    encoder = VAETransformer(**SMALL).fit(X)
    model = MultiTaskVAERegressor(**SMALL, n_estimators=1, encoder=FrozenEstimator(encoder) if frozen else encoder)
    model.fit(X, NUMBERS)
    loaded = again(model, tmp_path / "a")
    assert_same(model.predict(X), loaded.predict(X))
    assert type(loaded.encoder) is type(model.encoder)


def test_output_and_requests(tmp_path):
    model = VAETransformer(**SMALL).fit(X).set_output(transform="pandas")
    assert isinstance(again(model, tmp_path / "a").transform(X), pd.DataFrame)
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight="importance")
        asked = again(model, tmp_path / "a").get_metadata_routing().fit.requests
        assert asked == model.get_metadata_routing().fit.requests
        assert asked["sample_weight"] == "importance"


class Mine(VAETransformer):
    pass


def mine(x, generator=None):
    return x


class Columns(Gaussian):
    pass


class Nothing:
    """A callback of scikit-learn that does nothing."""

    def setup(self, *args, **kwargs):
        pass

    on_fit_task_begin = on_fit_task_end = teardown = setup


@pytest.mark.parametrize(
    ("model", "named", "remedy"),
    [
        (VAETransformer(corruption=mine), "corruption", "by name"),
        (VAETransformer(corruption=lambda x, generator: x), "corruption", "by name"),
        (VAETransformer(corruption=functools.partial(mine)), "corruption", "by name"),
        (VAETransformer(likelihood={"a": Columns}), r"likelihood\.a", "by name"),
        (VAEImputer(VAETransformer(prior=Columns)), "estimator__prior", "by name"),
        (VAETransformer(net_params={"callbacks": [mine]}), r"net_params\.callbacks\[0\]", "joblib"),
        (VAETransformer(architecture=torch.nn.Linear), "architecture", "joblib"),
        (VAETransformer(tol=np.longdouble(1)), "tol", "no arrays of dtype"),
        (Mine(), "estimator", "joblib"),
        (MultipleImputation(LinearRegression(), variance=mine), "variance", "joblib"),
        (PerTaskRegressor(RandomForestRegressor()), "estimator", "skops"),
        (make_pipeline(PCA(), VAETransformer()), r"steps\[0\]\[1\]", "skops"),
        (GridSearchCV(VAETransformer(), {"alpha": [0.0, 1.0]}), "estimator", "skops"),
    ],
)
def test_code_is_refused_by_name(model, named, remedy, tmp_path):
    (tmp_path / "a").write_bytes(b"precious")
    with pytest.raises(TypeError, match=rf"^{named} must hold .* Got .*{remedy}"):
        save(model, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"precious"


def test_what_is_no_estimator_and_what_a_fit_does_not_leave(tmp_path):
    with pytest.raises(TypeError, match=r"save takes an estimator\. Got dict"):
        save({"a": 1}, tmp_path / "a")
    model = VAETransformer(**SMALL).fit(X)
    model.note = "mine"
    with pytest.raises(TypeError, match=r"note must .*delete this attribute"):
        save(model, tmp_path / "a")
    search = GridSearchCV(VAETransformer(**SMALL), {"alpha": [0.0]}, cv=2).fit(X)
    with pytest.raises(TypeError, match="save its best_estimator_"):
        save(search, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(VAETransformer, "set_callbacks"), reason="needs scikit-learn 1.9")
def test_callbacks_are_taken_off(tmp_path):
    model = VAETransformer(**SMALL).set_callbacks(Nothing()).fit(X)
    with pytest.raises(TypeError, match=r"_skl_callbacks must .*; take the callbacks off with set_callbacks\(\)"):
        save(model, tmp_path / "a")
    assert_same(model.transform(X), again(model.set_callbacks(), tmp_path / "a").transform(X))


def test_an_interrupted_save_keeps_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save(VAETransformer(), path)
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044  # as readable as any new file

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save(VAETransformer(3), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_place_of_another_keeps_its_permissions_and_its_links(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    save(VAETransformer(), path)
    path.chmod(0o600)
    link.symlink_to(path)
    save(VAETransformer(3), link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path).n_components == 3


def rewritten(path, **changes):
    header, arrays = read_file(path)
    del header["schema"]
    write_file(path, {**header, **changes}, arrays)
    return path


def test_other_versions(tmp_path):
    versions = {"sklearn_mtae": "0.0", "scikit-learn": "0.1", "torch": "1", "numpy": "1"}
    path = tmp_path / "a"
    save(VAETransformer(), path)
    assert load(rewritten(path, versions=versions)).n_components == VAETransformer().n_components
    save(PerTaskRegressor(Ridge()), path)
    with pytest.warns(InconsistentVersionWarning, match=r"PerTaskRegressor from version 0\.1"):
        load(rewritten(path, versions=versions))


def of_tol(packed):
    return {"type": "estimator", "class": "VAETransformer", "parameters": {"tol": packed}, "state": {}}


WORDS = {"type": "array", "array": "x"}
STATE = {"type": "dict", "items": [["key", WORDS], ["pos", 10**6]]}
MT19937 = {"type": "draws", "is_old": True}
MT19937 |= {"state": {"type": "dict", "items": [["bit_generator", "MT19937"], ["state", STATE]]}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"type": "estimator", "class": "os.system", "parameters": {}, "state": {}}, "os.system"),
        ({"type": "name", "name": "builtins.eval"}, "no estimator"),
        ({"type": "estimator", "class": "VAETransformer", "parameters": {"evil": 1}, "state": {}}, "evil"),
        ({"type": "estimator", "class": "VAETransformer", "parameters": {}, "state": {"__class__": 1}}, "__class__"),
        ({"type": "estimator", "class": "sklearn.Ridge", "parameters": {}, "state": {"predict": 1}}, "predict"),
        (of_tol({"type": "name", "name": "builtins.eval"}), "builtins.eval"),
        (of_tol({"type": "object", "class": "Table", "fields": {"framed": True, "more": 1}}), "more"),
        (of_tol({"type": "array", "shape": [2**40], "items": []}), "not of shape"),
        (of_tol({"type": "array", "array": "none"}), "none"),
        (of_tol({"type": "same", "as": 7}), "index"),
        (of_tol(MT19937), "no position 1000000"),
        (of_tol({"type": "scalar", "value": {"array": "x", "dtype": "V1000000000000"}}), "(dtype|V1000)"),
        (of_tol({"type": "pandas.Period", "value": [0, "no frequency"]}), "frequency"),
        ({"class": "VAETransformer"}, "type"),
        (None, "subscriptable"),
    ],
)
def test_made_up_content_is_one_error(content, said, tmp_path):
    versions = {"scikit-learn": sklearn.__version__}
    write_file(tmp_path / "a", {"content": "estimator", "versions": versions, "estimator": content}, {"x": np.zeros(2)})
    with pytest.raises(FileError, match=rf"'{tmp_path}/a' cannot be read.*{said}"):
        load(tmp_path / "a")


def test_files_of_other_content(tmp_path):
    write_file(tmp_path / "a", {"content": "graph"}, {})
    with pytest.raises(FileError, match=r"must hold an estimator. It holds 'graph'.*sklearn_mtae.runtime.load"):
        load(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
