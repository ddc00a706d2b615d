"""Figure of the guide: where codes lie under four objectives.

Run as `python docs/images/guide_objectives.py`; it writes `docs/images/guide/objectives.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import DegenerateModelWarning, VAETransformer
from sklearn_mtae.nn.objectives import MMD, BetaTC

warnings.simplefilter("ignore", DegenerateModelWarning)
rng = np.random.default_rng(0)
Z = rng.uniform(-1, 1, size=(400, 2))
X = np.tanh(Z @ rng.normal(size=(2, 6))) + 0.05 * rng.normal(size=(400, 6))
options = {
    "elbo": {},
    "elbo, beta=6": {"beta": 6},
    "beta_tc, weight 6": {"objective": BetaTC(weight=6)},
    "mmd, weight 30, beta=0": {"objective": MMD(weight=30), "beta": 0},
}

style.use()
figure, axes = plt.subplots(2, 2, figsize=(5.6, 5.6), sharex=True, sharey=True)
for ax, (name, option) in zip(axes.flat, options.items(), strict=True):
    settings = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.005, "max_iter": 200, "random_state": 0}
    vae = VAETransformer(2, **settings, **option).fit(X)
    mean, std = vae.transform(X, return_std=True)
    codes = mean + std * rng.normal(size=mean.shape)
    found = vae.diagnose(X)
    error = np.sqrt(np.mean((vae.predict(X) - X) ** 2))
    print(name, round(found.rate, 1), found.aggregate_mismatch.round(2), np.corrcoef(codes.T)[0, 1], error)
    for radius in [1, 2]:
        ax.add_patch(plt.Circle((0, 0), radius, fill=False, edgecolor=style.GREY, linewidth=1))
    ax.scatter(*codes.T, c=Z[:, 0], cmap="cividis", s=7, linewidths=0)
    ax.set(title=name, aspect="equal", xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))
    ax.text(-3.3, -3.2, f"rate {found.rate:.1f} nats\nerror {error:.2f}", fontsize=8.5, color="0.25")
for ax in axes[1]:
    ax.set_xlabel("component 0")
for ax in axes[:, 0]:
    ax.set_ylabel("component 1")
style.save(figure, "guide/objectives.png")
