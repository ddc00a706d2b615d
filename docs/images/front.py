"""The figure of the front page: codes of digits, drawn digits, completed digits, and prediction intervals."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import style
import torch
from matplotlib import pyplot as plt
from PIL import Image
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sklearn_mtae import MultiTaskVAERegressor, VAETransformer

style.use()
torch.set_num_threads(1)
images, digit = load_digits(return_X_y=True)
X_train, X_test, digit_train, digit_test = train_test_split(images, digit, stratify=digit, random_state=0)
network = {"hidden_layer_sizes": (256, 256), "alpha": 0, "random_state": 0}


def draw_codes(axes):
    """Draw where held-out digits lie in a code of two numbers, each class named where its digits are."""
    vae = VAETransformer(2, likelihood="bernoulli", max_iter=100, **network).fit(X_train / 16)
    codes = vae.transform(X_test / 16)
    for kind, colour in enumerate(style.CLASSES):
        own = codes[digit_test == kind]
        axes.scatter(*own.T, s=7, color=colour, alpha=0.75, linewidths=0)
        place = np.median(own, axis=0)
        label = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": colour, "linewidth": 1.2}
        axes.text(*place, str(kind), color=colour, ha="center", va="center", fontweight="bold", fontsize=9, bbox=label)
    axes.set(xticks=[], yticks=[], title="64 pixels as 2 numbers", xlabel="code of a VAE, held-out digits")


def draw_digits(axes):
    """Draw new digits, in the order of the classes that a classifier tells; none is left out."""
    vae = VAETransformer(likelihood="continuous_bernoulli", prior="vamp", max_iter=120, random_state=0)
    vae.fit(X_train / 16)
    prior = vae.module_.prior.given(vae.module_.infer)
    with torch.no_grad():
        codes = prior.sample(36, torch.Generator().manual_seed(1)).numpy()
    drawn = vae.inverse_transform(codes)
    order = np.argsort(SVC(C=10).fit(X_train / 16, digit_train).predict(drawn), kind="stable")
    style.images(axes, drawn[order], (8, 8), 6)
    axes.set_title("36 new digits")
    axes.set_xlabel("drawn from a VAE, none left out")


def complete_digits(axes):
    """Draw held-out digits and their lower halves as predicted from the upper ones, half of the labels missing."""
    upper, lower = X_train[:, :32], X_train[:, 32:]
    labels = np.where(np.random.default_rng(0).random(lower.shape) < 0.5, np.nan, lower)
    model = MultiTaskVAERegressor(random_state=0).fit(upper, labels)
    shown = [np.flatnonzero(digit_test == kind)[1] for kind in (0, 2, 3, 4, 5, 6, 7, 8)]
    guess = model.predict(X_test[shown, :32])
    completed = np.hstack([X_test[shown, :32], guess])
    rows = np.vstack([X_test[shown[:4]], completed[:4], X_test[shown[4:]], completed[4:]])
    style.images(axes, rows, (8, 8), 4)
    for left in range(4):
        for top in (9, 27):
            axes.plot([9 * left, 9 * left + 8], [top + 4, top + 4], color=style.ORANGE, linewidth=1.5)
    axes.set(title="32 targets, one model", xlabel="lower half predicted, true above it")


def draw_intervals(axes):
    """Draw predicted against measured values of held-out wines with 90 % intervals."""
    wines = load_wine(as_frame=True).data
    targets = ["flavanoids", "color_intensity", "proline"]
    X, Y = wines.drop(columns=targets), wines[targets]
    X, X_new, Y, Y_new = train_test_split(X, Y, random_state=0)
    model = MultiTaskVAERegressor(random_state=0).fit(X, Y)
    mean = model.predict(X_new)
    low, high = model.predict_interval(X_new, coverage=0.9)
    measured, place = Y_new["flavanoids"].to_numpy(), 0
    inside = (low[:, place] <= measured) & (measured <= high[:, place])
    axes.axline((1, 1), slope=1, color=style.PALE, zorder=0)
    axes.vlines(measured, low[:, place], high[:, place], color=style.BLUE, alpha=0.35, linewidth=1.5)
    axes.scatter(measured, mean[:, place], s=10, color=style.BLUE)
    axes.set(title="How far off it may be", ylim=(0, 5.2), xlabel="flavanoids, measured", ylabel="predicted")
    axes.text(
        0.03,
        0.97,
        f"90 % intervals\nhold {100 * inside.mean():.0f} % of new wines",
        transform=axes.transAxes,
        va="top",
        fontsize=8,
    )


def stack(name, narrow, at):
    """Put the right part of a figure below the left one, for phones; it is cut at a share of the width."""
    folder = Path(__file__).parent
    image = Image.open(folder / name).convert("RGB")
    cut, height = int(at * image.width), image.height
    stacked = Image.new("RGB", (max(cut, image.width - cut), 2 * height), "white")
    stacked.paste(image.crop((0, 0, cut, height)), (0, 0))
    stacked.paste(image.crop((cut, 0, image.width, height)), (0, height))
    stacked.save(folder / narrow, optimize=True)


if __name__ == "__main__":
    figure, axes = plt.subplots(1, 4, figsize=(11, 3), width_ratios=[1.08, 1, 1, 1.08])
    for draw, panel in zip((draw_codes, draw_digits, complete_digits, draw_intervals), axes, strict=True):
        draw(panel)
    style.save(figure, "front.png", palette=False)
    stack("front.png", "front_narrow.png", at=0.486)
