"""Step sizes while models are trained."""

from unittest.mock import Mock, patch

import numpy as np
import torch
from skorch.callbacks import LRScheduler

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer
from sklearn_mtae._engine.captured_step import RECORDERS
from sklearn_mtae._engine.together import train
from sklearn_mtae._fitting.plan import plan

X = np.random.default_rng(0).normal(size=(40, 3))
OPTIONS = {"hidden_layer_sizes": (4,), "max_iter": 5, "learning_rate_init": 0.02, "random_state": 0}


def test_annealing_is_that_of_torchs_scheduler():
    own = MultiTaskVAERegressor(2, **OPTIONS, n_estimators=1, learning_rate_decay=0.8).fit(X, X)
    scheduler = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1 - 0.8 * epoch / 5)
    options = {"learning_rate_decay": 0.0, "net_params": {"callbacks": [scheduler]}}
    by_torch = MultiTaskVAERegressor(2, **OPTIONS, n_estimators=1, **options).fit(X, X)
    np.testing.assert_allclose(own.loss_curve_, by_torch.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(own.predict(X), by_torch.predict(X), rtol=1e-6)
    constant = MultiTaskVAERegressor(2, **OPTIONS, n_estimators=1, learning_rate_decay=0.0).fit(X, X)
    assert not np.allclose(constant.predict(X), own.predict(X))


def test_each_member_of_a_stack_has_its_own_annealing():
    decays = [{"learning_rate_decay": 0.0}, {"learning_rate_decay": 1.0}]
    made = plan(MultiTaskVAERegressor(2, **OPTIONS, n_estimators=4, member_params=decays)._recipe(), X, X)
    seen = []
    train(made.members, end=lambda net: seen.append({group["lr"] for group in net.optimizer_.param_groups}))
    for epoch, rates in enumerate(seen):
        np.testing.assert_allclose(sorted(rates), sorted({0.02, 0.02 * (1 - epoch / 5)}))


def test_a_step_size_that_falls_reaches_recorded_steps():
    """What is repeated from a recording is what is taken step by step, and it is recorded once."""
    options = {**OPTIONS, "max_iter": 12, "batch_size": 8, "alpha": 0.5, "learning_rate_decay": 0.9}
    plain = VAETransformer(2, **options, net_params={"record_steps": False}).fit(X)
    with patch.dict(RECORDERS, cpu=Mock(wraps=RECORDERS["cpu"])):
        recorded = VAETransformer(2, **options).fit(X)
        RECORDERS["cpu"].assert_called_once()
    np.testing.assert_array_equal(recorded.transform(X), plain.transform(X))
    constant = VAETransformer(2, **{**options, "learning_rate_decay": 0.0}).fit(X)
    assert not np.allclose(constant.transform(X), plain.transform(X))
