"""Are codes as good as principal components of the same number, without labels and without tuning?

Run `python -m benchmarks.codes --data-dir DIR [--sets digits,wine] [--repeats 3]`.

Accuracy of an SVC, or R2 of an SVR, on 8 and on 16 components (or the number of columns, if that is lower) in five
folds, reshuffled in each repeat, the same for every model. PCA is used alone and after a `StandardScaler`, which the
autoencoders have built in. The last two columns are the differences to the better of the two, fold by fold, with their
standard error (which ignores that folds share training rows). Everything has its defaults and `random_state=0`. DIR
holds `spoken_digits.npz` (see `benchmarks.spoken_digits`) and `uci/winequality-red.csv` (doi 10.24432/C56S3T).
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.base import TransformerMixin
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from sklearn_mtae import AutoencoderTransformer, VAETransformer

from ._harness import describe_machine, print_row

WIDTHS = (16, 12, 10, 15, 13, 10, 20, 20)
CODES: dict[str, Callable[[int], TransformerMixin]] = {
    "PCA": lambda n: PCA(n, random_state=0),
    "standard, PCA": lambda n: make_pipeline(StandardScaler(), PCA(n, random_state=0)),
    "autoencoder": lambda n: AutoencoderTransformer(n, random_state=0),
    "VAE": lambda n: VAETransformer(n, random_state=0),
}


def red_wine(folder: Path) -> tuple[NDArray, NDArray]:
    """Return the red wines and their quality, a number."""
    table = np.genfromtxt(folder / "uci" / "winequality-red.csv", delimiter=",", skip_header=1)
    return table[:, :-1], table[:, -1]


def spoken_digits(folder: Path) -> tuple[NDArray, NDArray]:
    """Return spectrograms and digits."""
    data = np.load(folder / "spoken_digits.npz")
    return data["X"].reshape(len(data["X"]), -1).astype(np.float32), data["digit"]


def load(name: str, folder: Path) -> tuple[NDArray, NDArray]:
    """Return rows and labels of a data set."""
    own = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine}
    files = {"red wine": red_wine, "spoken digits": spoken_digits}
    return partial(own[name], return_X_y=True)() if name in own else files[name](folder)


def evaluate(X: NDArray, y: NDArray, n_components: int, n_repeats: int, regression: bool) -> dict[str, NDArray]:
    """Return each model's scores in all folds."""
    kind, head = (KFold, SVR()) if regression else (StratifiedKFold, SVC())
    folds = [split for seed in range(n_repeats) for split in kind(5, shuffle=True, random_state=seed).split(X, y)]
    return {
        name: cross_val_score(make_pipeline(make(n_components), head), X, y, cv=folds) for name, make in CODES.items()
    }


def differences(scores: dict[str, NDArray]) -> list[str]:
    """Return how far each autoencoder is ahead of the better version of PCA."""
    best = max(list(scores.values())[:2], key=np.mean)
    ahead = [own - best for own in list(scores.values())[2:]]
    return [f"{own.mean():+.4f} +- {own.std(ddof=1) / len(own) ** 0.5:.4f}" for own in ahead]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sets", default="digits,breast cancer,wine,red wine,spoken digits")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(describe_machine())
    print_row(WIDTHS, ("data", "components", *CODES, "autoencoder - PCA", "VAE - PCA"))
    for name in arguments.sets.split(","):
        X, y = load(name, arguments.data_dir)
        for n_components in dict.fromkeys(min(n, X.shape[1]) for n in (8, 16)):
            scores = evaluate(X, y, n_components, arguments.repeats, name == "red wine")
            means = [f"{own.mean():.4f}" for own in scores.values()]
            print_row(WIDTHS, (name, str(n_components), *means, *differences(scores)))


if __name__ == "__main__":
    main()
