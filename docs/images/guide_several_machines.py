"""Figure of the guide: when and in which process the fits of a search are trained.

Run as `python docs/images/guide_several_machines.py`; it writes `docs/images/guide/schedule.png`. Times are those of
each process's own processor, so that the load of the machine does not matter.
"""

import os
from time import process_time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from sklearn_mtae import AutoencoderTransformer
from sklearn_mtae.model_selection import StackedGridSearchCV


class Timed(AutoencoderTransformer):
    """An autoencoder that remembers when its fit began."""

    def fit(self, X: Any, y: None = None) -> "Timed":
        """Train the network."""
        self.begin_ = process_time()
        return super().fit(X, y)


def when(model: Timed, X: np.ndarray, y: None = None) -> dict[str, float]:
    """Return in which process a model was fitted, and from when to when."""
    return {"process": os.getpid(), "begin": model.begin_, "end": process_time()}


X, _ = load_digits(return_X_y=True)
settings = {"hidden_layer_sizes": (64,), "max_iter": 100, "random_state": 0}
grid = {"learning_rate_init": [0.001, 0.003, 0.01], "alpha": [0, 0.1, 1, 3]}
options: dict[str, Any] = {"cv": ShuffleSplit(1, random_state=0), "refit": False}
Fits = list[tuple[float, float]]


def schedule(n_jobs: int) -> list[Fits]:
    """Return the fits of a search for each process: when each began, and how many seconds it took."""
    start = process_time() if n_jobs == 1 else 0  # new processes begin at 0
    search = GridSearchCV(Timed(8, **settings), grid, scoring=when, n_jobs=n_jobs, **options).fit(X)
    process, begin, end = (search.cv_results_[f"mean_test_{name}"] for name in ("process", "begin", "end"))
    return [
        list(zip((begin - start)[own], (end - begin)[own], strict=True))
        for own in process == np.unique(process)[:, None]
    ]


def stacked() -> list[Fits]:
    """Return the schedule of a stacked search: one fit of all candidates."""
    start = process_time()
    StackedGridSearchCV(AutoencoderTransformer(8, **settings), grid, **options).fit(X)
    return [[(0.0, process_time() - start)]]


if __name__ == "__main__":
    found = {"one process": schedule(1), "n_jobs=2": schedule(2), "stacked search": stacked()}
    style.use()
    figure, axes = plt.subplots(figsize=(5.8, 2.6))
    labels, place = [], 0
    for (name, processes), colour in zip(found.items(), [style.GREY, style.ORANGE, style.BLUE], strict=True):
        for number, own in enumerate(processes):
            axes.broken_barh(own, (place - 0.35, 0.7), facecolor=colour, edgecolor="white", linewidth=0.8)
            labels.append(name if len(processes) == 1 else f"{name}, process {number + 1}")
            place += 1
        end = max(begin + lasts for own in processes for begin, lasts in own)
        print(name, f"{end:.1f} s", [len(own) for own in processes])
        style.label_line(axes, f"{end:.1f} s", colour, x=end + 0.1, y=place - 0.5 - len(processes) / 2)
    first = min(begin for own in found["n_jobs=2"] for begin, _ in own)
    text = "workers start\nand import torch"
    axes.text(first / 2, 1.5, text, color=style.ORANGE, ha="center", va="center", fontsize=8.5)
    axes.set_yticks(range(place), labels)
    axes.set(xlim=(0, None), ylim=(place - 0.4, -0.6), xlabel="seconds, if each process has a core of its own")
    axes.set_title("Twelve fits of a search")
    style.save(figure, "guide/schedule.png")
