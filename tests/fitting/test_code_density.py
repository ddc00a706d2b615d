"""The mixture that is fitted to the codes once the training is over."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._fitting.code_density import by_weight
from sklearn_mtae.nn.priors import ExPost, StandardNormal

X, _ = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0, "prior": "ex_post"}


def test_density_and_draws_are_those_of_scikit_learns_mixture():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 2)) @ [[1.0, 0.5], [0.0, 0.3]] + rng.choice([-2.0, 2.0], size=(300, 1))
    mixture = GaussianMixture(3, random_state=0).fit(codes)
    prior = ExPost(2, n_modes=7).double().eval()
    prior.take_over(
        *(torch.from_numpy(own) for own in (mixture.means_, mixture.precisions_cholesky_, mixture.weights_))
    )
    np.testing.assert_allclose(prior.log_prob(torch.from_numpy(codes)), mixture.score_samples(codes))
    torch.manual_seed(0)
    drawn = prior.sample(40_000).numpy()
    expected = mixture.weights_ @ mixture.means_
    np.testing.assert_allclose(drawn.mean(axis=0), expected, atol=0.05)
    second = np.einsum(
        "k,kij->ij", mixture.weights_, mixture.covariances_ + mixture.means_[:, :, None] * mixture.means_[:, None]
    )
    np.testing.assert_allclose(np.cov(drawn.T), second - np.outer(expected, expected), atol=0.1)


class Listening(StandardNormal):
    """A prior of a user's own that declares no more than the contract asks for."""

    n_codes = 150
    n_given = 0

    def take_over(self, mean, root, weight):
        type(self).n_given = len(weight)


class Modest(Listening):
    n_modes = 1


def test_a_prior_of_ones_own_says_how_many_normals_it_takes():
    groups = X + 20 * np.repeat(np.arange(3), 50)[:, None]
    for prior, most in ((Listening, 3), (Modest, 1)):
        VAETransformer(1, **{**SMALL, "prior": prior}).fit(groups)
        assert 1 <= prior.n_given <= most


def test_it_is_standard_normal_until_then():
    prior, z = ExPost(3).double().eval(), torch.randn(5, 3, dtype=torch.float64)
    np.testing.assert_allclose(prior.log_prob(z), stats.multivariate_normal.logpdf(z, np.zeros(3)))


def test_the_training_is_that_of_a_standard_normal_prior():
    fitted, plain = (VAETransformer(2, **{**SMALL, "prior": prior}).fit(X) for prior in ("ex_post", "normal"))
    assert fitted.loss_curve_ == plain.loss_curve_
    np.testing.assert_array_equal(fitted.transform(X), plain.transform(X))
    assert fitted.score(X) > plain.score(X)


@pytest.mark.filterwarnings("ignore:The rows' codes lie off the prior")  # they do, where it is standard normal
def test_draws_come_from_where_the_codes_are():
    rng = np.random.default_rng(0)
    groups = rng.choice([-3.0, 3.0], size=(400, 1)) + 0.3 * rng.normal(size=(400, 4))
    between = {}
    for prior in ("normal", "ex_post"):
        params = {**SMALL, "prior": prior, "beta": 0.2, "learning_rate_init": 0.01, "max_iter": 60}
        drawn = VAETransformer(1, **params).fit(groups).sample(2000, random_state=0)
        between[prior] = (np.abs(drawn.mean(axis=1)) < 1.5).mean()
    assert between["ex_post"] < 0.02 < between["normal"]


def test_codes_do_not_lie_off_it():
    rng = np.random.default_rng(0)
    groups = rng.choice([-3.0, 3.0], size=(400, 1)) + 0.3 * rng.normal(size=(400, 4))
    params = {**SMALL, "beta": 0.2, "learning_rate_init": 0.01, "max_iter": 60}
    assert VAETransformer(1, **params).fit(groups).diagnose(groups).aggregate_mismatch.max() < 0.05


def test_rows_of_weight_zero_have_no_codes():
    weight = np.r_[np.ones(50), np.zeros(100)]
    model = VAETransformer(2, **SMALL).fit(X, sample_weight=weight)
    alone = VAETransformer(2, **SMALL).fit(X[:50])
    codes = model.sample(1000, random_state=0)
    assert codes.mean(axis=0) == pytest.approx(alone.sample(1000, random_state=0).mean(axis=0), abs=0.5)
    assert codes[:, 2].max() < 3.0  # the petals of the first kind alone are short


def test_members_of_an_ensemble_have_one_each():
    model = MultiTaskVAERegressor(2, n_estimators=2, max_iter=2, prior="ex_post", random_state=0).fit(X[:, :3], X[:, 3])
    drawn, y = model.sample(20, random_state=0)
    assert np.isfinite(drawn).all()
    assert np.isfinite(y).all()


@pytest.mark.parametrize("weight", [np.ones(150), np.full(150, 7.0)])
def test_equal_weights_are_none(weight):
    plain, weighed = VAETransformer(2, **SMALL).fit(X), VAETransformer(2, **SMALL).fit(X, sample_weight=weight)
    np.testing.assert_allclose(plain.score_samples(X), weighed.score_samples(X), rtol=1e-6)


def test_rows_are_drawn_as_often_as_their_weights_say():
    weight = np.array([0.0, 3.0, 1.0, 0.0, 0.5, 1.5, 0.0])
    counts = np.bincount(by_weight(weight, 60), minlength=7)
    np.testing.assert_array_equal(counts, [0, 30, 10, 0, 5, 15, 0])
