"""Real rows, rows drawn by a VAE, and columns drawn apart from each other."""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from sklearn_mtae import VAETransformer


def main() -> None:
    """Draw the figure."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    table = X.iloc[:, :10].assign(tumour=np.where(y == 1, "benign", "malignant"))
    train, _ = train_test_split(table, test_size=0.4, stratify=y, random_state=0)
    vae = VAETransformer(
        4,
        prior="mixture",
        free_bits=0.2,
        hidden_layer_sizes=(64,),
        learning_rate_init=0.005,
        random_state=0,
    ).fit(train)
    drawn = vae.sample(len(train), random_state=0)
    rng = np.random.default_rng(0)
    apart = train.apply(lambda column: rng.permutation(column))
    tables = {"real": train, "drawn by the VAE": drawn, "each column shuffled": apart}
    figure, axes = plt.subplots(1, 3, sharex=True, sharey=True)
    for ax, (title, rows) in zip(axes, tables.items(), strict=True):
        for name, colour in {"benign": style.BLUE, "malignant": style.ORANGE}.items():
            of_kind = rows[rows["tumour"] == name]
            ax.plot(of_kind["mean radius"], of_kind["mean concavity"], "o", color=colour, markersize=2.2, alpha=0.7)
        ax.set(title=title, xlabel="mean radius (µm)", xlim=(5, 29), ylim=(-0.06, 0.45))
    axes[0].set(ylabel="mean concavity")
    style.label_line(axes[0], "benign", style.BLUE, x=6, y=0.29)
    style.label_line(axes[0], "malignant", style.ORANGE, x=6, y=0.38)
    style.save(figure, "guide/synthetic_rows.png")


if __name__ == "__main__":
    style.use()
    main()
