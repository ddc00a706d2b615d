"""Densities of rows and missing cells, for which draws are weighed: both exports have the draws of the estimator."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import multivariate_normal
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, OutlierDetector, VAEImputer, VAETransformer

from .both import SMALL, assert_parity, assert_same, in_numpy, in_onnx
from .people import people

METHODS = ["score_samples", "impute"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(size=(60, 5))
GAPS = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
GAPS[3] = np.nan


@pytest.mark.parametrize("option", [{}, {"prior": "mixture"}, {"architecture": "conv1d"}], ids=str)
def test_numpy_and_onnx(option, tmp_path):
    assert_parity(VAETransformer(**{**SMALL, **option}).fit(GAPS), GAPS, METHODS, tmp_path)


@pytest.mark.parametrize("prior", ["normal", "vamp"])
def test_rows_of_float32(prior, tmp_path):
    model, x = VAETransformer(**SMALL, prior=prior).fit(GAPS), GAPS.astype(np.float32)
    assert_parity(model, x, METHODS, tmp_path, onnx=False)
    for method, own in (in_onnx(model, METHODS, x, "float32") if prior == "normal" else {}).items():
        assert_same(own, getattr(model, method)(x))


def test_a_linear_model_has_the_density_of_a_normal_distribution(tmp_path):
    """The closed form of probabilistic PCA, over the observed cells of each row."""
    model = VAETransformer(2, hidden_layer_sizes=(), scaling="standard", max_iter=300, random_state=0).fit(X)
    module = model.module_.double()
    decoder = next(own for own in module.decoder.modules() if hasattr(own, "weight"))
    scale, location = module.units.scale.numpy(), module.units.location.numpy()
    loadings = scale[:, None] * decoder.weight.detach().numpy()
    mean = location + scale * decoder.bias.detach().numpy()
    noise = scale**2 * np.exp(module.likelihood.log_variance.detach().numpy())
    covariance = loadings @ loadings.T + np.diag(noise)
    scores = in_numpy(model, tmp_path).score_samples(GAPS)
    true = np.zeros(len(GAPS))
    for j, row in enumerate(GAPS):
        if (seen := ~np.isnan(row)).any():
            true[j] = multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).logpdf(row[seen])
    assert scores[3] == 0
    assert (scores - true).mean() == pytest.approx(0, abs=0.05)
    assert np.abs(scores - true).max() < 0.5  # a hundred draws


@pytest.mark.filterwarnings("ignore:Categories that fit has not seen", "ignore:Column 'city' has 6 levels")
@pytest.mark.parametrize("kind", [AutoencoderTransformer, VAETransformer])
def test_levels_that_share_a_column(kind, tmp_path):
    known, later = people()
    model = kind(**SMALL, max_categories=4).fit(known)
    assert_parity(model, later, METHODS, tmp_path, onnx=False)
    words = known.drop(columns=["job", "size"])
    model = kind(**SMALL, max_categories=4).fit(words)
    assert_same(in_onnx(model, "score_samples", words)["score_samples"], model.score_samples(words))


@pytest.mark.parametrize(
    ("likelihood", "x"),
    [
        ("poisson", np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 2.0], [np.nan, 1.0, 7.0]])),
        ("categorical", np.array([[1.0, 0.0, 0.0], [0.5, 0.0, 0.0], [np.nan, 0.0, 0.0]])),
    ],
)
def test_rows_outside_the_support(likelihood, x, tmp_path):
    model = VAETransformer(**SMALL, likelihood=likelihood).fit(np.tile(np.eye(3), (10, 1)))
    assert model.score_samples(x)[1] == -np.inf
    assert_parity(model, x, ["score_samples"], tmp_path)
    with pytest.raises(ValueError, match=r"Column \d must lie between"):
        in_numpy(model, tmp_path).impute(3 * x)


def test_probabilities_of_whole_numbers_have_no_unit(tmp_path):
    """Rows without gaps go through a graph of their own."""
    counts = np.random.default_rng(1).integers(0, 5, size=(60, 2)).astype(float)
    counts[:, 1] = np.where(counts[:, 1] < 3, 0.0, X[:, 0])
    model = VAETransformer(**SMALL, likelihood="auto").fit(counts)
    assert_parity(model, np.vstack([counts, np.full((1, 2), np.nan)]), ["score_samples"], tmp_path)


def test_numbers_that_are_too_large_are_refused(tmp_path):
    exported = in_numpy(AutoencoderTransformer(**SMALL).fit(GAPS), tmp_path)
    with pytest.raises(ValueError, match="Column 0 must lie between"):
        exported.score_samples(np.full((1, 5), 1e200))


def test_masked_cells_and_sparse_rows_are_filled(tmp_path):
    model = VAETransformer(**SMALL).fit(GAPS)
    exported, masked = in_numpy(model, tmp_path), np.ma.masked_greater(X, 1.0)
    assert masked.mask.any()
    assert_same(exported.impute(masked), model.impute(masked))
    assert_same(exported.impute(csr_array(GAPS)), model.impute(GAPS))


def test_several_tasks(tmp_path):
    model = MultiTaskVAERegressor(**SMALL, n_estimators=2).fit(GAPS, X[:, :2])
    assert_parity(model, GAPS, METHODS, tmp_path)


def test_rows_without_gaps_take_a_shorter_way(tmp_path):
    exported = in_numpy(VAETransformer(**SMALL).fit(GAPS), tmp_path)
    lengths = {name: len(own.described["nodes"]) for name, own in exported._graphs.items()}
    assert lengths["score_samples_complete"] < 0.3 * lengths["score_samples"]
    filled = exported.impute(X)
    assert filled is not X
    assert (filled == X).all()


@pytest.mark.filterwarnings("ignore:Columns without an observed value")
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("indicators", [False, True])
def test_imputers(keep, indicators, tmp_path):
    x = GAPS.copy()
    x[:, 1] = np.nan
    estimator = VAETransformer(**SMALL)
    imputer = VAEImputer(estimator, n_importance_samples=10, keep_empty_features=keep, add_indicator=indicators)
    imputer.fit(x)
    assert_parity(imputer, GAPS, ["transform"], tmp_path)
    exported = in_numpy(imputer, tmp_path)
    assert exported.get_feature_names_out().tolist() == imputer.get_feature_names_out().tolist()


def test_the_default_imputer_of_two_models(monkeypatch, tmp_path):
    monkeypatch.setattr("sklearn_mtae._estimators.imputer.N_STEPS", 2)
    imputer = VAEImputer(n_importance_samples=10, random_state=0)
    assert_parity(imputer.fit(GAPS), GAPS, ["transform"], tmp_path)
    known = people()[0]
    imputer.fit(known)
    assert_same(in_numpy(imputer, tmp_path).transform(known), imputer.transform(known))


@pytest.mark.filterwarnings("ignore:The rows' codes lie off the prior")
def test_two_models_that_contradict_each_other(tmp_path):
    """Each is sure of another level: both are as probable but for rounding, which must not choose."""
    x = np.random.default_rng(0).normal(size=(200, 4))
    known = pd.DataFrame(x, columns=list("abcd")).assign(side=np.where(x[:, 0] > 0, "left", "right"))
    other = known.assign(side=np.where(x[:, 0] > 0, "right", "left"))
    options = {"hidden_layer_sizes": (16,), "beta": 0.01, "max_iter": 60, "random_state": 0}
    models = [VAETransformer(3, **options).fit(table) for table in (known, other)]
    imputer = VAEImputer(models[0]).fit(known)
    imputer.estimators_ = models
    far = known.assign(side=None, **{name: 1e4 * known[name] for name in "abcd"})
    filled = imputer.transform(far)
    assert (filled["side"] == "left").mean() > 0.9  # the first one
    assert_same(in_numpy(imputer, tmp_path).transform(far), filled)
    assert_same(in_onnx(imputer, "transform", far), filled)


@pytest.mark.filterwarnings("ignore:Categories that fit has not seen", "ignore:Columns without an observed value")
def test_imputers_of_frames(tmp_path):
    known, later = people()
    known["nothing"], known["nobody"] = np.nan, None
    later["nothing"], later["nobody"] = np.nan, pd.Series([None] * len(later), dtype="category")
    imputer = VAEImputer(VAETransformer(**SMALL), keep_empty_features=True, add_indicator=True).fit(known)
    found, wanted = in_numpy(imputer, tmp_path).transform(later), imputer.transform(later)
    assert_same(found, wanted)
    plain = VAEImputer(VAETransformer(**SMALL)).fit(people()[0])
    assert_same(list(in_onnx(plain, None, people()[0]).values()), plain.transform(people()[0]))


def test_detectors_of_rows_of_float32(tmp_path):
    model = OutlierDetector(VAETransformer(**SMALL), criterion="density", n_estimators=2, random_state=0).fit(GAPS)
    assert_parity(model, GAPS.astype(np.float32), ["score_samples"], tmp_path, onnx=False)


def test_an_imputer_is_a_step_of_a_pipeline():
    pytest.importorskip("skl2onnx")
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    from sklearn_mtae.export import to_onnx

    from .both import run, session

    model = make_pipeline(StandardScaler(), VAEImputer(VAETransformer(**SMALL)), LinearRegression())
    model.fit(GAPS, X[:, 0])
    found = run(session(to_onnx(model, dtype="float64")), GAPS)
    assert_same(found["variable"], model.predict(GAPS))


@pytest.mark.filterwarnings("ignore:Columns without an observed value")
def test_a_filler_that_keeps_no_column(tmp_path):
    empty = np.full((20, 2), np.nan)
    model = VAEImputer(VAETransformer(**SMALL)).fit(empty)
    assert model.transform(empty).shape == in_numpy(model, tmp_path).transform(empty).shape == (20, 0)
