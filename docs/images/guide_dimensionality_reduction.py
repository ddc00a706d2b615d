"""Figure of the guide: digits in two dimensions, by PCA and by an autoencoder.

Run as `python docs/images/guide_dimensionality_reduction.py`; it writes `docs/images/guide/two_dimensions.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from matplotlib.patheffects import withStroke
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
centred = X_test - X_train.mean(axis=0)

style.use()
figure, axes = plt.subplots(1, 2)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    train, test = model.fit(X_train).transform(X_train), model.transform(X_test)
    accuracy = KNeighborsClassifier(10).fit(train, digit_train).score(test, digit_test)
    share = 1 - ((X_test - model.inverse_transform(test)) ** 2).sum() / (centred**2).sum()
    print(f"{name}: accuracy of nearest neighbours {accuracy:.3f}, share of the variance {share:.3f}")
    ax.scatter(*test.T, c=np.array(style.CLASSES)[digit_test], s=5, alpha=0.7, linewidths=0)
    for kind, colour in enumerate(style.CLASSES):
        x, y = np.median(test[digit_test == kind], axis=0)
        outline = [withStroke(linewidth=2.5, foreground="white")]
        ax.text(x, y, str(kind), color=colour, weight="bold", ha="center", va="center", path_effects=outline)
    ax.set(title=f"{name}: accuracy {accuracy:.2f}", xlabel="component 0", ylabel="component 1", xticks=[], yticks=[])
style.save(figure, "guide/two_dimensions.png")
