"""Figure of the guide: accuracy on new digits by the number of labelled rows.

Run as `python docs/images/guide_semi_supervised.py`; it writes `docs/images/guide/semi_supervised.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.datasets import load_digits
from sklearn.semi_supervised import LabelSpreading
from sklearn.svm import SVC

from sklearn_mtae import MultiTaskVAEClassifier

N_LABELS = [25, 50, 100, 200, 400]
DRAWS = range(3)
images, digits = load_digits(return_X_y=True)


def scores(n_labels: int, draw: int) -> list[float]:
    """Return the accuracies on all other digits, after fits to 600 digits of which a few have labels."""
    order = np.random.default_rng(draw).permutation(len(digits))
    known, hidden, test = np.split(order, [n_labels, 600])
    rows = order[:600]
    few = digits.astype(object)
    few[hidden] = None
    marked = np.where(np.isin(np.arange(len(digits)), hidden), -1, digits)
    network = {"n_estimators": 1, "max_iter": 20, "learning_rate_init": 0.005}
    options = {"corruption": "gaussian", "random_state": draw, **network}
    model = MultiTaskVAEClassifier(**options)
    found = [
        MultiTaskVAEClassifier(**options, consistency=3.0).fit(images[rows], few[rows]),
        model.fit(images[known], few[known]),
        SVC(C=10).fit(images[known], digits[known]),
        LabelSpreading(kernel="knn").fit(images[rows], marked[rows]),
    ]
    return [own.score(images[test], digits[test]) for own in found]


with np.errstate(invalid="ignore"):  # digits that no chain of neighbours connects with a label
    found = np.array([[scores(n, draw) for n in N_LABELS] for draw in DRAWS])
mean, spread = found.mean(axis=0), found.std(axis=0)
print(mean.round(3), spread.round(3), sep="\n")
style.use()
figure, axes = plt.subplots()
lines = {
    "all rows, consistency=3": style.MODELS["ours"],
    "the network, labelled rows only": style.MODELS["alone"],
    "SVC, labelled rows only": style.MODELS["linear"],
    "LabelSpreading, all rows": style.MODELS["third"],
}
for place, ((name, colour), own) in enumerate(
    sorted(zip(lines.items(), mean.T, strict=True), key=lambda of: -of[1][-1])
):
    axes.plot(N_LABELS, 100 * own, marker="o", color=colour)
    style.label_line(axes, name, colour, x=440, y=99 - 4 * place)
axes.set(xscale="log", xlim=(22, 430), xlabel="labelled rows, of 600", ylabel="accuracy on new digits, %")
axes.set_title("Rows without labels help while labels are few")
axes.set_xticks(N_LABELS, [str(n) for n in N_LABELS])
axes.minorticks_off()
style.save(figure, "guide/semi_supervised.png")
