"""Figure of the guide: scores of an autoencoder over seeds and over splits, beside PCA.

Run as `python docs/images/guide_reproducibility.py`; it writes `docs/images/guide/seeds.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import AutoencoderTransformer

X, _ = load_wine(return_X_y=True)


def score(seed: int, split: int) -> float:
    """Return R2 of the reconstruction of held-out wines by an autoencoder."""
    X_train, X_test = train_test_split(X, random_state=split)
    model = AutoencoderTransformer(2, hidden_layer_sizes=(64,), random_state=seed)
    return model.fit(X_train).score(X_test)


def score_pca(split: int) -> float:
    """Return the same by two principal components."""
    X_train, X_test = train_test_split(X, random_state=split)
    model = make_pipeline(StandardScaler(), PCA(2)).fit(X_train)
    return r2_score(X_test, model.inverse_transform(model.transform(X_test)))


numbers = range(20)
seeds = [score(seed, 0) for seed in numbers]
both = [score(number, number) for number in numbers]
components = [score_pca(split) for split in numbers]
ahead = np.subtract(both, components)
print(f"ahead on {np.sum(ahead > 0)} splits, by {ahead.mean():.3f}, standard deviation {ahead.std(ddof=1):.3f}")

style.use()
figure, axes = plt.subplots(figsize=(5.8, 2.8))
rows = {
    "autoencoder, 20 seeds,\none split": (seeds, style.MODELS["ours"]),
    "autoencoder, 20 seeds,\n20 splits": (both, style.MODELS["ours"]),
    "PCA, the same 20 splits": (components, style.MODELS["PCA"]),
}
axes.plot([both, components], [[1] * 20, [2] * 20], color=style.PALE, linewidth=0.8, zorder=0)
for place, (name, (scores, colour)) in enumerate(rows.items()):
    mean, spread = np.mean(scores), np.std(scores, ddof=1)
    print(" ".join(name.split()), f"{mean:.3f} {spread:.3f}")
    axes.plot(scores, [place] * 20, "o", color=colour, alpha=0.6)
    axes.plot([mean, mean], [place - 0.22, place + 0.22], color=colour)
    axes.text(
        1.02, place, f"{mean:.3f} ± {spread:.3f}", color=colour, transform=axes.get_yaxis_transform(), va="center"
    )
axes.set_yticks(range(3), rows)
axes.set(ylim=(2.4, -0.4), xlabel="R2 of the reconstruction of held-out wines")
axes.set_title("Lines join the scores of the same split")
style.save(figure, "guide/seeds.png")
