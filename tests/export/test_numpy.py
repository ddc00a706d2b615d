import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from sklearn_mtae import (
    AutoencoderTransformer,
    MultipleImputation,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskRegressor,
    VAETransformer,
)
from sklearn_mtae.export import NotExportableError, to_numpy, to_onnx

from .both import SMALL, assert_parity, assert_same, in_numpy
from .people import people

X = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.filterwarnings("ignore:Categories that fit has not seen", "ignore:Column 'city' has 6 levels")
@pytest.mark.parametrize("max_categories", [256, 4])
def test_frames(max_categories, tmp_path):
    known, later = people()
    model = AutoencoderTransformer(**SMALL, max_categories=max_categories).fit(known)
    assert_parity(model, later, ["transform", "predict", "impute"], tmp_path, onnx=False)
    exported = in_numpy(model, tmp_path)
    assert_same(exported.inverse_transform(model.transform(known)), model.inverse_transform(model.transform(known)))
    assert exported.feature_names_in_.tolist() == list(known)
    assert exported.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()


@pytest.mark.filterwarnings("ignore:Categories that fit has not seen")
def test_categories_beside_tasks(tmp_path):
    known, later = people()
    model = MultiTaskVAERegressor(**SMALL, n_estimators=3).fit(known, known["age"] + known["weight"].fillna(0))
    assert_parity(model, later, ["predict", "predict_interval"], tmp_path, onnx=False, coverage=0.5)


def test_levels_that_a_member_has_not_seen_are_strange(tmp_path):
    known, later = people()
    model = OutlierDetector(n_estimators=2, random_state=0).fit(known)
    assert_parity(model, later, ["score_samples", "predict"], tmp_path, onnx=False)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (MultipleImputation(Ridge(), VAETransformer(**SMALL)), "Export each of its estimators_"),
        (PerTaskRegressor(Ridge()), "to_onnx.*one by one"),
        (Ridge(), "to_onnx"),
    ],
)
def test_estimators_that_cannot_be_exported(estimator, message, tmp_path):
    with pytest.raises(NotExportableError, match=f"{type(estimator).__name__} cannot be exported.*{message}"):
        to_numpy(estimator, tmp_path / "model.mtae")
    assert not list(tmp_path.iterdir())


class Sorted(torch.nn.Module):
    def forward(self, x):
        return x.sort(-1).values


def own_architecture(n_features, n_code, n_components, n_outputs):
    return torch.nn.Sequential(Sorted(), torch.nn.Linear(n_features, n_code)), torch.nn.Linear(n_components, n_outputs)


def own_decoder(n_features, n_code, n_components, n_outputs):
    return torch.nn.Linear(n_features, n_code), torch.nn.Sequential(torch.nn.Linear(n_components, n_outputs), Sorted())


def test_an_own_module_is_refused_by_its_operation(tmp_path):
    model = AutoencoderTransformer(2, architecture=own_architecture, max_iter=1, random_state=0).fit(X)
    with pytest.raises(NotExportableError, match="'sort'"):
        to_numpy(model, tmp_path / "model.mtae")
    assert not list(tmp_path.iterdir())


def test_methods_that_cannot_be_exported_say_why(tmp_path):
    model = AutoencoderTransformer(2, architecture=own_decoder, max_iter=1, random_state=0).fit(X)
    exported = in_numpy(model, tmp_path)
    np.testing.assert_allclose(exported.transform(X), model.transform(X), rtol=1e-4)
    for method, given in (("predict", X), ("inverse_transform", X[:, :2])):
        with pytest.raises(ValueError, match=r"cannot compute.*'sort'"):
            getattr(exported, method)(given)


def test_weights_are_stored_once(tmp_path):
    model = AutoencoderTransformer(2, hidden_layer_sizes=(1000,), max_iter=1, random_state=0).fit(X)
    to_numpy(model, tmp_path / "model.mtae")
    n_weights = sum(own.numel() for own in model.module_.parameters())
    assert (tmp_path / "model.mtae").stat().st_size < 4 * n_weights + 20_000


def test_the_same_estimator_gives_the_same_file(tmp_path):
    model = VAETransformer(**SMALL).fit(X)
    for name in ("a", "b"):
        to_numpy(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_joint_answers_are_absent(tmp_path):
    model = MultiTaskVAERegressor(**SMALL, n_estimators=1, early_stopping=True).fit(X, X[:, :2])
    exported = in_numpy(model, tmp_path)
    for method in ("predict_samples", "predict_region", "which_next", "sample"):
        assert not hasattr(exported, method)
        with pytest.raises(ValueError, match=f"method must be one of .* Got '{method}'"):
            to_onnx(model, method)
    with pytest.raises(TypeError, match="y_observed"):
        exported.predict(X, y_observed=X[:, :2])
