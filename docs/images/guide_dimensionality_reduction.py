"""Figure of the guide: digits in two dimensions, by PCA and by an autoencoder.

Run as `python docs/images/guide_dimensionality_reduction.py`; it writes `docs/images/guide/two_dimensions.png`.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from sklearn_mtae import AutoencoderTransformer

X, digit = load_digits(return_X_y=True)
X_train, X_test, digit_train, digit_test = train_test_split(X, digit, stratify=digit, random_state=0)
models = {
    "PCA": PCA(2),
    "Autoencoder": AutoencoderTransformer(2, hidden_layer_sizes=(256, 64), max_iter=200, random_state=0),
}
import sys
figure, axes = plt.subplots(1, 2, figsize=(6.5, 3.2), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    train, test = model.fit(X_train).transform(X_train), model.transform(X_test)
    accuracy = KNeighborsClassifier(10).fit(train, digit_train).score(test, digit_test)
    rebuilt = model.inverse_transform(test)
    r2 = 1 - ((X_test - rebuilt) ** 2).sum() / ((X_test - X_train.mean(axis=0)) ** 2).sum()
    print(f"{name}: accuracy of nearest neighbours {accuracy:.3f}, share of the variance {r2:.3f}")
    ax.scatter(*test.T, c=digit_test, cmap="tab10", s=6, alpha=0.6, linewidths=0)
    for kind in range(10):
        x, y = sorted_middle = [float(v) for v in __import__("numpy").median(test[digit_test == kind], axis=0)]
        ax.text(x, y, str(kind), ha="center", va="center", weight="bold")
    ax.set(title=f"{name}: accuracy {accuracy:.2f}", xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig(Path(__file__).parent / "guide" / "two_dimensions.png", dpi=150)
