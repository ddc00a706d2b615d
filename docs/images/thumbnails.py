"""Pictures for examples that are not run with the documentation. `python thumbnails.py`."""

import matplotlib.pyplot as plt
import numpy as np
import style

style.use()
ARROW = {"arrowstyle": "->", "color": style.GREY, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}


def box(axes, x, y, text, colour, width=0.24, height=0.16):
    """Draw a filled box with a word in it."""
    axes.add_patch(plt.Rectangle((x, y - height / 2), width, height, color=colour, linewidth=0))
    axes.text(x + width / 2, y, text, color="white", ha="center", va="center", fontsize=11, fontweight="bold")


def canvas():
    """Return a figure of a thumbnail's shape, and its axes."""
    figure, axes = plt.subplots(figsize=(4, 2.8))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    return figure, axes


# Candidates of a search go to workers.
figure, axes = canvas()
for place, (y, colour) in enumerate(zip([0.8, 0.5, 0.2], style.CYCLE, strict=False)):
    box(axes, 0.7, y, f"worker {place + 1}", colour, width=0.29)
    for row in range(2):
        for column in range(4):
            left, low = 0.02 + 0.11 * column, y + 0.02 - 0.11 * row
            axes.add_patch(plt.Rectangle((left, low), 0.09, 0.09, color=colour, linewidth=0))
    axes.annotate("", (0.68, y), (0.48, y), arrowprops=ARROW)
axes.text(0.02, 0.98, "24 fits of a search", fontsize=11, va="center")
style.save(figure, "thumbnails/search.png")

# Processes share the gradients of one model.
figure, axes = canvas()
for place, y in enumerate(np.linspace(0.85, 0.15, 4)):
    box(axes, 0.02, y, f"GPU {place}", style.BLUE)
    axes.annotate("", (0.66, 0.5 + 0.2 * (y - 0.5)), (0.28, y), arrowprops=ARROW)
box(axes, 0.67, 0.5, "one model", style.ORANGE, width=0.32, height=0.24)
axes.text(0.83, 0.3, "gradients\naveraged", color=style.GREY, ha="center", va="center", fontsize=10)
style.save(figure, "thumbnails/data_parallel.png")
