"""Real data that scikit-learn carries, default settings."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_mtae import AutoencoderTransformer, MultiTaskVAERegressor, VAETransformer
from sklearn_mtae.metrics import r2_score


def accuracy(encoder):
    return cross_val_score(make_pipeline(encoder, SVC()), *load_digits(return_X_y=True), cv=3).mean()


@pytest.fixture(scope="module")
def pca_accuracy():
    return accuracy(PCA(16))


@pytest.mark.parametrize("encoder", [AutoencoderTransformer, VAETransformer])
def test_codes_serve_a_classifier_as_well_as_principal_components(encoder, pca_accuracy):
    assert accuracy(encoder(16, random_state=0)) >= pca_accuracy


def test_joint_model_beats_ridge_per_task_with_half_of_the_labels():
    images, _ = load_digits(return_X_y=True)
    X, Y = images[:, :32], images[:, 32:]
    train = np.arange(len(X)) % 3 > 0
    labels = Y[train].copy()
    labels[np.random.default_rng(0).random(labels.shape) < 0.5] = np.nan
    varying = (np.nanmax(labels, 0) > np.nanmin(labels, 0)) & (np.ptp(Y[~train], 0) > 0)
    alone = np.zeros_like(Y[~train])
    for task in np.flatnonzero(varying):
        seen = ~np.isnan(labels[:, task])
        alone[:, task] = Ridge().fit(X[train][seen], labels[seen, task]).predict(X[~train])
    joint = MultiTaskVAERegressor(n_estimators=1, random_state=0).fit(X[train], labels).predict(X[~train])
    truth = Y[~train][:, varying]
    assert r2_score(truth, joint[:, varying]) > r2_score(truth, alone[:, varying])
