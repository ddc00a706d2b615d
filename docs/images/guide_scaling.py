"""Figure of the guide: three columns in the units of `scaling="standard"` and `scaling="bounded"`.

Run as `python docs/images/guide_scaling.py`; it writes `docs/images/guide/scaling.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style

from sklearn_mtae import AutoencoderTransformer

rng = np.random.default_rng(0)
rare = np.where(rng.random(500) < 0.01, rng.uniform(5, 9, size=500), 0)
outlier = np.append(rng.normal(50, 10, size=499), 900)
X = np.column_stack([rng.normal(170, 8, size=500), rare, outlier])
columns = ["height, cm", "rarely above zero", "one outlier"]
taken = {"standard": [True, False, True], "bounded": [False, True, False]}  # by "auto"

style.use()
figure, axes = plt.subplots(1, 2, figsize=(5.8, 2.8), sharey=True)
units = {}
for ax, scaling in zip(axes, taken, strict=True):
    model = AutoencoderTransformer(2, scaling=scaling, max_iter=1, random_state=0).fit(X)
    units[scaling] = model.module_.units.scale.numpy()
    own = (X - model.module_.units.location.numpy()) / units[scaling]
    for place, is_taken in enumerate(taken[scaling]):
        colour = style.BLUE if is_taken else style.GREY
        spread = place + rng.uniform(-0.16, 0.16, size=len(own))
        ax.plot(own[:, place], spread, "o", color=colour, markersize=2.2, alpha=0.6)
    print(scaling, units[scaling], np.abs(own).max(axis=0).round(1), own.std(axis=0).round(2))
automatic = AutoencoderTransformer(2, max_iter=1, random_state=0).fit(X).module_.units.scale.numpy()
for scaling, own in taken.items():
    assert (np.isclose(automatic, units[scaling]) | ~np.array(own)).all()
for ax, scaling in zip(axes, taken, strict=True):
    ax.set(title=f'scaling="{scaling}"', xlabel="value, in units from the mean", xlim=(-5, 25))
style.label_line(axes[1], 'blue: the unit\nthat "auto" takes', style.BLUE, x=9, y=1)
axes[0].set_yticks(range(3), columns)
axes[0].set_ylim(2.6, -0.5)
style.save(figure, "guide/scaling.png")
