"""R2 of the reconstruction by the number of parts seen: the guide's chapter on data larger than memory."""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.base import clone
from sklearn.datasets import load_digits

from sklearn_mtae import AutoencoderTransformer

style.use()
digits = load_digits().data[np.random.default_rng(0).permutation(1797)]
parts, unseen = np.array_split(digits[:1500], 5), digits[1500:]
model = AutoencoderTransformer(8, hidden_layer_sizes=(128,), batch_size=50, learning_rate_init=0.005, random_state=0)
scores = []
for _epoch in range(12):
    for part in parts:
        model = model.partial_fit(part)
        scores.append(model.score(unseen))
whole = clone(model).set_params(max_iter=12).fit(digits[:1500]).score(unseen)
print(np.round(scores, 3), round(whole, 3))

figure, axes = plt.subplots()
axes.plot(np.arange(1, len(scores) + 1), scores, color=style.BLUE)
axes.axhline(whole, color=style.BLACK, linestyle="--", linewidth=1)
axes.text(1, whole + 0.01, "fit to the whole array, 12 epochs", fontsize=8.5, va="bottom", color="0.25")
axes.text(24, scores[23] - 0.05, "partial_fit, part by part", color=style.BLUE, fontsize=8.5, va="top")
axes.set(
    xlabel="parts of 300 rows seen (five are one epoch)",
    ylabel="R2 of the reconstruction",
    xlim=(0, len(scores) + 1),
    ylim=(min(scores[0], 0), whole + 0.1),
    title="Digits that no part holds, from codes of 8 numbers",
)
style.save(figure, "guide/partial_fit.png")
