"""Prediction intervals where the noise grows: right on average, not everywhere."""

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import MultiTaskVAERegressor


def main() -> None:
    """Draw the figure."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, size=600)
    y = np.sin(x) + 0.05 * (1 + x) * rng.normal(size=600)
    model = MultiTaskVAERegressor(2, n_estimators=10, max_iter=20, random_state=0)
    model.fit(x[:300, None], y[:300])
    grid = np.linspace(0, 13, 260)[:, None]
    lower, upper = model.predict_interval(grid, coverage=0.9)
    figure, ax = plt.subplots()
    ax.fill_between(grid[:, 0], lower, upper, color=style.BLUE, alpha=0.18, linewidth=0)
    ax.plot(grid, model.predict(grid), color=style.BLUE)
    new, truth = x[300:], y[300:]
    low, high = model.predict_interval(new[:, None], coverage=0.9)
    held = (low <= truth) & (truth <= high)
    ax.plot(new[held], truth[held], "o", color=style.GREY, markersize=2.5)
    ax.plot(new[~held], truth[~held], "o", color=style.ORANGE, markersize=3.5)
    for left in (0, 2.5, 5, 7.5):
        part = held[(new >= left) & (new < left + 2.5)].mean()
        ax.text(left + 1.25, 2.35, f"{part:.0%} held", ha="center", color="0.25")
    for edge in (2.5, 5, 7.5, 10):
        ax.axvline(edge, color=style.PALE, linewidth=0.8, zorder=0)
    ax.text(11.5, 2.35, "no training rows", ha="center", color="0.25")
    ax.set(xlim=(0, 13), ylim=(-2.6, 2.7), xlabel="x", ylabel="y")
    ax.set_title(f"90% prediction intervals hold {held.mean():.0%} of 300 new labels")
    style.save(figure, "guide/prediction_intervals.png")


if __name__ == "__main__":
    style.use()
    main()
