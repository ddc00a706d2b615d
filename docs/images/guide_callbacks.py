"""Training and held-out loss under early stopping: the guide's chapter on callbacks and progress."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_wine

from sklearn_mtae import DegenerateModelWarning, VAETransformer

warnings.simplefilter("ignore", DegenerateModelWarning)
style.use()
X, y = load_wine(return_X_y=True)
vae = VAETransformer(
    3,
    early_stopping=True,
    validation_fraction=0.2,
    hidden_layer_sizes=(64,),
    learning_rate_init=0.003,
    alpha=0,
    max_iter=500,
    random_state=0,
).fit(X)
held_out = -np.array(vae.validation_scores_)
best = int(held_out.argmin())
print(vae.n_iter_, best + 1)

figure, axes = plt.subplots()
epochs = np.arange(1, vae.n_iter_ + 1)
axes.plot(epochs, vae.loss_curve_, color=style.BLUE)
axes.plot(epochs, held_out, color=style.ORANGE)
axes.plot(best + 1, held_out[best], "o", color=style.ORANGE, markersize=6)
axes.annotate(
    f"epoch {best + 1}: weights kept",
    (best + 1, held_out[best]),
    xytext=(0, 34),
    textcoords="offset points",
    ha="center",
    fontsize=8.5,
    color="0.25",
    arrowprops={"arrowstyle": "-", "color": "0.5"},
)
end = vae.n_iter_ + 0.4
style.label_line(axes, "training rows", style.BLUE, x=end, y=vae.loss_curve_[-1])
style.label_line(axes, "rows held out", style.ORANGE, x=end, y=held_out[-1])
low, high = min(vae.loss_curve_), vae.loss_curve_[0]
axes.set(
    xlabel="epoch",
    ylabel="loss, nats per row",
    xlim=(0, vae.n_iter_ * 1.25),
    ylim=(low - 0.5, low + 1.05 * (high - low)),
    title=f"early_stopping=True stops after epoch {vae.n_iter_} of 500",
)
style.save(figure, "guide/early_stopping.png")
