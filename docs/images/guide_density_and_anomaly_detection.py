"""ROC AUC of five detectors on three tables that come with scikit-learn."""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer, VAETransformer

SMALL = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.005, "random_state": 0}


def cancer():
    """Yield the one split of the breast cancer table: benign training and test rows, malignant rows."""
    X, y = load_breast_cancer(return_X_y=True)
    yield *train_test_split(X[y == 1], test_size=0.3, random_state=0), X[y == 0]


def wine():
    """Yield the one split of the wine table: training and test rows, test rows with cells of others."""
    X = load_wine().data
    train, test = X[::2], X[1::2]
    rng = np.random.default_rng(0)
    elsewhere = rng.permuted(test, axis=0)
    yield train, test, np.where(rng.random(test.shape) < 0.3, elsewhere, test)


def digits():
    """Yield ten splits of the digits: one digit is unknown in each."""
    X, y = load_digits(return_X_y=True)
    for unknown in range(10):
        yield *train_test_split(X[y != unknown], test_size=0.3, random_state=0), X[y == unknown]


def detectors(n_components):
    """Return fresh detectors by name."""
    scaled = GaussianMixture(1, reg_covar=1e-3, random_state=0)
    return {
        "VAE, density": VAETransformer(n_components, **SMALL),
        "autoencoder": AutoencoderTransformer(n_components, likelihood="squared_error", **SMALL),
        "isolation forest": IsolationForest(random_state=0),
        "nearest neighbours": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
        "normal distribution": make_pipeline(StandardScaler(), scaled),
    }


def auc(detector, train, usual, odd):
    """Return the area under the ROC curve."""
    detector.fit(train)
    scores = [detector.score_samples(rows) for rows in (usual, odd)]
    return roc_auc_score(np.repeat([0, 1], [len(usual), len(odd)]), -np.concatenate(scores))


def main() -> None:
    """Draw the figure, print its numbers."""
    tables = {"breast cancer": (cancer, 4), "wine, cells exchanged": (wine, 4), "digits, one unknown": (digits, 8)}
    colours = [style.BLUE, style.ORANGE, style.YELLOW, style.GREEN, style.GREY]
    figure, axes = plt.subplots(1, 3, sharey=True)
    for ax, (title, (splits, n_components)) in zip(axes, tables.items(), strict=True):
        parts = list(splits())
        names = list(detectors(n_components))
        scores = [np.mean([auc(detectors(n_components)[name], *part) for part in parts]) for name in names]
        print(title, dict(zip(names, np.round(scores, 3).tolist(), strict=True)))
        bars = ax.barh(names, scores, color=colours, height=0.65)
        style.label_bars(ax, bars)
        ax.set(title=title, xlim=(0.5, 1.08), xlabel="ROC AUC", xticks=[0.5, 0.75, 1])
    axes[0].invert_yaxis()
    style.save(figure, "guide/anomaly_detection.png")


if __name__ == "__main__":
    style.use()
    main()
