"""Figures of the guide: joint draws of a row before and after a label is known, and a joint region.

Run as `python docs/images/guide_joint_answers.py`; it writes `docs/images/guide/joint_samples.png` and
`docs/images/guide/joint_region.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import style

from sklearn_mtae import MultiTaskVAERegressor
from sklearn_mtae.inspection import JointSamplesDisplay
from sklearn_mtae.metrics import joint_coverage


def make() -> tuple[np.ndarray, pd.DataFrame]:
    """Return recipes and properties of batches, with a purity that recipes do not show."""
    rng = np.random.default_rng(0)
    recipe, purity = rng.uniform(size=(600, 3)), rng.normal(size=600)
    noise = rng.normal(size=(600, 3))
    return recipe, pd.DataFrame(
        {
            "density": 2.7 + 0.1 * (recipe[:, 0] + 0.5 * purity + 0.2 * noise[:, 0]),
            "hardness": 150 + 20 * (recipe[:, 1] + 0.5 * purity + 0.2 * noise[:, 1]),
            "strength": 400 + 50 * (recipe[:, 2] - 0.5 * purity + 0.3 * noise[:, 2]),
        }
    )


def samples(model: MultiTaskVAERegressor, X: np.ndarray, Y: pd.DataFrame) -> None:
    """Draw the labels of a batch before and after its hardness is known."""
    known = Y[:1][["hardness"]].reindex(columns=Y.columns)
    display = JointSamplesDisplay.from_estimator(model, X[:1], known, random_state=0)
    display.figure_.set_size_inches(5.6, 5.2)
    style.save(display.figure_, "guide/joint_samples.png")


def region(model: MultiTaskVAERegressor, X: np.ndarray, Y: pd.DataFrame) -> None:
    """Draw the region of a batch, and intervals that are as wide as both together need."""
    own, box = model.predict_region(X, 0.9), model.predict_interval(X, 0.95)
    draws = model.predict_samples(X[:1], 500, random_state=0)[:, 0]
    figure, ax = plt.subplots(figsize=(5, 3.6))
    ax.plot(*draws.T, "o", color=style.PALE, markersize=2.5, zorder=0)
    (left, low), (right, high) = box[0][0], box[1][0]
    grid = [np.linspace(a - (b - a) / 4, b + (b - a) / 4, 300) for a, b in ((left, right), (low, high))]
    points = np.stack(np.meshgrid(*grid), axis=-1).reshape(-1, 2)
    of_batch = model.predict_region(np.repeat(X[:1], len(points), axis=0), 0.9)
    ax.contour(*grid, of_batch.contains(points).reshape(300, 300), levels=[0.5], colors=style.BLUE)
    ax.add_patch(
        plt.Rectangle((left, low), right - left, high - low, fill=False, edgecolor=style.ORANGE, linewidth=1.6)
    )
    held = {name: joint_coverage(Y, of) for name, of in {"region": own, "intervals": box}.items()}
    size = np.mean(own.volume) / np.mean(np.prod(box[1] - box[0], axis=1))
    print(held, f"area {size:.2f}")
    ax.set(xlabel="hardness", ylabel="strength", title=f"The region has {size:.0%} of the area of the intervals")
    style.label_line(ax, f"region, holds {held['region']:.0%}", style.BLUE, x=left + 1, y=low + 9)
    style.label_line(ax, f"intervals, hold {held['intervals']:.0%}", style.ORANGE, x=left + 20, y=high + 7)
    ax.margins(0.12)
    style.save(figure, "guide/joint_region.png")


style.use()
X, Y = make()
model = MultiTaskVAERegressor(4, n_estimators=9, cv=3, max_iter=20, random_state=0)
samples(model.fit(X[:400], Y[:400]), X[400:], Y[400:])
pair = Y[["hardness", "strength"]]
region(model.fit(X[:400], pair[:400]), X[400:], pair[400:])
