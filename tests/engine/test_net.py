"""Step sizes while models are trained."""

import numpy as np
import torch
from skorch.callbacks import LRScheduler

from sklearn_mtae import MultiTaskVAERegressor
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
