"""The loss and its terms under a weight of the rate that rises: a loss that rises too."""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_wine

from sklearn_mtae import VAETransformer


def main() -> None:
    """Draw the figure."""
    X = load_wine().data
    vae = VAETransformer(
        4, beta="linear", max_iter=60, hidden_layer_sizes=(64,), learning_rate_init=0.005, random_state=0
    ).fit(X)
    loss, distortion = np.array(vae.loss_curve_), np.array(vae.term_curves_["distortion"])
    epochs = np.arange(1, 61)
    figure, ax = plt.subplots()
    ax.axvspan(1, 30, color=style.PALE, alpha=0.4, linewidth=0)
    ax.text(15.5, 19.2, "beta rises from 0 to 1", ha="center", va="center", color="0.35", fontsize=8)
    ax.plot(epochs, loss, color=style.BLUE, linewidth=2.2)
    ax.plot(epochs, distortion, color=style.GREY)
    ax.plot(epochs, loss - distortion, color=style.ORANGE)
    for name, colour, curve in [
        ("loss", style.BLUE, loss),
        ("distortion", style.GREY, distortion),
        ("beta · rate", style.ORANGE, loss - distortion),
    ]:
        style.label_line(ax, name, colour, x=61, y=curve[-5:].mean())
    ax.set(xlim=(1, 68), ylim=(0, 20), xlabel="epoch", ylabel="nats per row")
    style.save(figure, "guide/loss_under_beta_linear.png")


if __name__ == "__main__":
    style.use()
    main()
