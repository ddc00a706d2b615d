"""Figure of the guide: rows drawn under four priors beside the rows of the table.

Run as `python docs/images/guide_parts.py`; it writes `docs/images/guide/priors.png`.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import DegenerateModelWarning, VAETransformer

warnings.simplefilter("ignore", DegenerateModelWarning)
rng = np.random.default_rng(0)
centres = 4 * rng.normal(size=(4, 2))
codes = centres[rng.integers(4, size=600)] + 0.3 * rng.normal(size=(600, 2))
X = np.tanh(codes @ rng.normal(size=(2, 8))) + 0.1 * rng.normal(size=(600, 8))

style.use()
figure, axes = plt.subplots(2, 2, figsize=(5.6, 5.6), sharex=True, sharey=True)
for ax, prior in zip(axes.flat, ["normal", "mixture", "vamp", "ex_post"], strict=True):
    vae = VAETransformer(2, prior=prior, hidden_layer_sizes=(64,), learning_rate_init=0.005, random_state=0)
    draws = vae.fit(X[:400]).sample(400, random_state=0)
    print(prior, round(vae.score(X[400:]), 1))
    ax.plot(X[:400, 0], X[:400, 1], "o", color=style.GREY, markersize=2.4, alpha=0.6)
    ax.plot(draws[:, 0], draws[:, 1], "o", color=style.BLUE, markersize=2.4, alpha=0.6)
    ax.set(title=f'prior="{prior}": {vae.score(X[400:]):.1f} nats')
style.label_line(axes[0, 0], "rows of the table", style.GREY, x=-1.3, y=1.3)
style.label_line(axes[0, 0], "drawn rows", style.BLUE, x=-1.3, y=1.08)
for ax in axes[1]:
    ax.set_xlabel("column 0")
for ax in axes[:, 0]:
    ax.set_ylabel("column 1")
style.save(figure, "guide/priors.png")
