"""Figure of the guide: the parts of the SC-VAE.

Run as `python docs/images/guide_sc_vae.py`; it writes `docs/images/guide/sc_vae.png`.
"""

import matplotlib.pyplot as plt
import style
from matplotlib.patches import FancyBboxPatch

PLACES = {
    "features x": (0.4, 1.5, None),
    "shared encoder\nq(z | x)": (2.0, 1.5, style.BLUE),
    "code z": (3.55, 1.5, style.BLUE),
    "decoder\np(x | z)": (5.2, 2.7, style.BLUE),
    "head 1\np(y₁ | z)": (5.2, 1.9, style.ORANGE),
    "head 2\np(y₂ | z)": (5.2, 1.1, style.ORANGE),
    "head T\np(y$_T$ | z)": (5.2, 0.3, style.ORANGE),
    "features again: distortion": (6.3, 2.7, None),
    "target 1 (a number)": (6.3, 1.9, None),
    "target 2 (NaN: no loss)": (6.3, 1.1, None),
    "target T (a class)": (6.3, 0.3, None),
}
HALF = (0.6, 0.28)
"""Half of a box's width and height."""

style.use()
figure, ax = plt.subplots()
for text, (x, y, colour) in PLACES.items():
    if colour is None:
        ax.text(x, y, text, ha="left" if x > 5 else "center", va="center", fontsize=8.5)
        continue
    corner = (x - HALF[0], y - HALF[1])
    box = FancyBboxPatch(corner, 2 * HALF[0], 2 * HALF[1], boxstyle="round,pad=0.05", facecolor=colour, linewidth=0)
    ax.add_patch(box)
    ax.text(x, y, text, ha="center", va="center", color="white", fontsize=8.5)
arrow = {"arrowstyle": "->", "color": style.GREY, "linewidth": 1.2}
ends = [((0.85, 1.5), (1.33, 1.5)), ((2.67, 1.5), (2.88, 1.5))]
ends += [((4.22, 1.5), (4.53, y)) for y in [2.7, 1.9, 1.1, 0.3]]
ends += [((5.87, y), (6.25, y)) for y in [2.7, 1.9, 1.1, 0.3]]
for start, end in ends:
    ax.annotate("", end, start, arrowprops=arrow)
ax.text(3.55, 0.95, "rate: distance\nfrom the prior p(z)", ha="center", va="center", fontsize=8, color="0.35")
ax.text(5.2, 0.72, "⋮", ha="center", va="center", color=style.ORANGE, fontsize=8)
ax.set(xlim=(-0.1, 8.2), ylim=(-0.1, 3.1))
ax.axis("off")
style.save(figure, "guide/sc_vae.png")
