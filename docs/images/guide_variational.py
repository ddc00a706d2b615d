"""Figure of the guide: rate, distortion and held-out density of a variational autoencoder by its beta.

Run as `python docs/images/guide_variational.py`; it writes `docs/images/guide/rate_distortion.png`.
"""

import matplotlib.pyplot as plt
import style
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from sklearn_mtae import VAETransformer

BETAS = [0.03, 0.1, 0.3, 1, 3, 10]

X_train, X_test = train_test_split(load_breast_cancer().data, random_state=0)
results = []
for beta in BETAS:
    vae = VAETransformer(8, beta=beta, random_state=0).fit(X_train)
    rate, distortion = (vae.term_curves_[name][-1] for name in ["rate", "distortion"])
    results.append((rate, distortion, vae.score(X_test)))
    print(beta, results[-1], flush=True)
rates, distortions, held_out = zip(*results, strict=True)

style.use()
figure, (left, right) = plt.subplots(1, 2)
left.plot(rates, distortions, marker="o", color=style.BLUE)
for beta, x, y in zip(BETAS, rates, distortions, strict=True):
    left.annotate(f"β={beta:g}", (x, y), (3, 5), textcoords="offset points", fontsize=8)
left.set(title="Price of the code", xlabel="rate, nats per row", ylabel="distortion, nats per scaled row")
left.margins(x=0.15, y=0.12)
right.plot(BETAS, held_out, marker="o", color=style.BLUE)
right.set(title="Log-density of new rows", xlabel="β", ylabel="nats per row", xscale="log")
right.set_xticks(BETAS, [f"{beta:g}" for beta in BETAS])
right.minorticks_off()
style.save(figure, "guide/rate_distortion.png")
