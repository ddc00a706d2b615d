"""Figure of the guide: calibration with and without class weights.

Run as `python docs/images/guide_classification.py`; it writes `docs/images/guide/calibration.png`.
"""

import matplotlib.pyplot as plt
import numpy as np
import style
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import MultiTaskVAEClassifier

X, progression = load_diabetes(return_X_y=True)
worst = progression > np.quantile(progression, 0.8)
settings = {"n_estimators": 5, "max_iter": 20, "random_state": 0}
models = {
    "class_weight=None": MultiTaskVAEClassifier(**settings),
    'class_weight="balanced"': MultiTaskVAEClassifier(class_weight="balanced", **settings),
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
}
colours = [style.MODELS["ours"], style.MODELS["second"], style.MODELS["linear"]]
heights = [0.7, 0.42, 0.92]

style.use()
figure, axes = plt.subplots(figsize=(5.8, 3.4))
axes.plot([0, 1], [0, 1], color=style.PALE, zorder=0)
for (name, model), colour, height in zip(models.items(), colours, heights, strict=True):
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    found = cross_val_predict(model, X, worst, cv=folds, method="predict_proba")[:, 1]
    share, predicted = calibration_curve(worst, found, n_bins=6, strategy="quantile")
    accuracy, ranking = balanced_accuracy_score(worst, found > 0.5), roc_auc_score(worst, found)
    print(name, share.round(2), predicted.round(2), found.mean().round(2))
    axes.plot(predicted, share, "o-", color=colour)
    numbers = f"ROC AUC {ranking:.2f}, balanced accuracy {accuracy:.2f}"
    style.label_line(axes, name, colour, x=1.03, y=height)
    axes.text(1.03, height - 0.08, numbers, color=colour, fontsize=8, va="center")
axes.text(0.82, 0.85, "calibrated", color=style.GREY, fontsize=8, ha="right")
axes.set(
    xlim=(-0.02, 1),
    ylim=(-0.02, 1),
    xlabel="predicted probability, means of sixths of the patients",
    ylabel="share whose disease progressed most",
    title="Balanced classes: found more often, and overrated",
)
style.save(figure, "guide/calibration.png")
