"""Figure of the guide: when and in which process the fits of a search are trained.

Run as `python docs/images/guide_several_machines.py` on a machine with two idle cores; it writes
`docs/images/guide/schedule.png`.
"""

import os
import time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from sklearn_mtae import AutoencoderTransformer
from sklearn_mtae.model_selection import StackedGridSearchCV

X, _ = load_digits(return_X_y=True)
model = AutoencoderTransformer(8, hidden_layer_sizes=(64,), max_iter=100, random_state=0)
grid = {"learning_rate_init": [0.001, 0.003, 0.01], "alpha": [0, 0.1, 1, 3]}
options: dict[str, Any] = {"cv": ShuffleSplit(1, random_state=0), "refit": False}


def when(model: AutoencoderTransformer, X: np.ndarray, y: None = None) -> dict[str, float]:
    """Return in which process a model was fitted, and when it was done."""
    return {"process": os.getpid(), "end": time.time()}


def schedule(search: GridSearchCV, start: float) -> list[list[tuple[float, float]]]:
    """Return for each process its fits: when each began, and how many seconds it took."""
    own = search.cv_results_
    lasts = own["mean_fit_time"]
    fits = list(zip(own["mean_test_process"], own["mean_test_end"] - start - lasts, lasts, strict=True))
    return [[fit[1:] for fit in fits if fit[0] == process] for process in sorted({fit[0] for fit in fits})]


def alone() -> list[list[tuple[float, float]]]:
    """Return the schedule of a search in this process."""
    return schedule(GridSearchCV(model, grid, scoring=when, **options).fit(X), start)


def shared() -> list[list[tuple[float, float]]]:
    """Return the schedule of a search in two processes that are started for it."""
    return schedule(GridSearchCV(model, grid, scoring=when, n_jobs=2, **options).fit(X), start)


def stacked() -> list[list[tuple[float, float]]]:
    """Return the schedule of a stacked search: one fit of all candidates."""
    StackedGridSearchCV(model, grid, **options).fit(X)
    return [[(0.0, time.time() - start)]]


found = {}
for name, run in {"one process": alone, "n_jobs=2": shared, "stacked search": stacked}.items():
    start = time.time()
    found[name] = run()
    print(name, f"{time.time() - start:.1f} s", [len(own) for own in found[name]])

style.use()
figure, axes = plt.subplots(figsize=(5.8, 2.6))
labels, place = [], 0
colours = [style.GREY, style.ORANGE, style.BLUE]
for (name, processes), colour in zip(found.items(), colours, strict=True):
    end = max(begin + lasts for own in processes for begin, lasts in own)
    for number, own in enumerate(processes):
        axes.broken_barh(own, (place - 0.35, 0.7), facecolor=colour, edgecolor="white", linewidth=0.8)
        labels.append(name if len(processes) == 1 else f"{name}, process {number + 1}")
        place += 1
    style.label_line(axes, f"{end:.1f} s", colour, x=end + 0.1, y=place - 0.5 - len(processes) / 2)
first = min(begin for own in found["n_jobs=2"] for begin, _ in own)
axes.text(first / 2, 1.5, "workers start\nand import torch", color=style.ORANGE, ha="center", va="center", fontsize=8.5)
axes.set_yticks(range(place), labels)
axes.set(
    ylim=(place - 0.4, -0.6), xlabel="seconds since the search began", title="Twelve fits of a search on two cores"
)
axes.set_xlim(left=0)
style.save(figure, "guide/schedule.png")
