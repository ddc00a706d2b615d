"""Do the codes of a convolutional VAE separate spoken digits as well as principal components, for new speakers?

Run `python -m benchmarks.spoken_codes --data-dir DIR [--seeds 1]`.

DIR holds `spoken_digits.npz`; see `benchmarks.spoken_digits`. Two of the six speakers are held out in turn. 32
components each, fitted without labels to the other four, and a support vector classifier whose C is chosen by holding
out one of these four after the other. The VAE's epochs, scaling and beta were chosen within the four of the first and
of the last split, two of them held out at a time.
"""

import argparse
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_mtae import VAETransformer
from sklearn_mtae.nn.architectures import conv

from ._harness import describe_machine, print_row

WIDTHS = (26, 12, 12, 12, 12, 12)
N_COMPONENTS = 32
ENCODERS = {
    "PCA": lambda seed: PCA(N_COMPONENTS, random_state=seed),
    "convolutional VAE": lambda seed: VAETransformer(
        N_COMPONENTS,
        architecture=partial(conv, image_shape=(32, 32), channels=(16, 32), hidden_layer_sizes=(256,)),
        scaling="standard",
        beta=0.2,  # the codes alone are wanted
        alpha=0.0,
        max_iter=60,
        random_state=seed,
    ),
}


def accuracy(
    encoder: BaseEstimator, X: NDArray, digit: NDArray, speaker: NDArray, train: NDArray, test: NDArray
) -> float:
    """Return the accuracy on the speakers of the test rows."""
    codes = encoder.fit(X[train]).transform(X)  # type: ignore[attr-defined]
    head = make_pipeline(StandardScaler(), SVC())
    search = GridSearchCV(head, {"svc__C": [0.3, 1, 3, 10]}, cv=LeaveOneGroupOut())
    search.fit(codes[train], digit[train], groups=speaker[train])
    return search.score(codes[test], digit[test])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    data = np.load(options.data_dir / "spoken_digits.npz")
    X, digit, speaker = data["X"].reshape(len(data["X"]), -1).astype(np.float32), data["digit"], data["speaker"]
    splits = list(GroupKFold(3).split(X, digit, speaker))
    print(describe_machine())
    print_row(WIDTHS, ["accuracy, new speakers", *(f"split {i}" for i in range(len(splits))), "mean", "seconds"])
    for name, make in ENCODERS.items():
        for seed in range(options.seeds):
            start = perf_counter()
            scores = [accuracy(make(seed), X, digit, speaker, train, test) for train, test in splits]
            cells = [f"{score:.4f}" for score in [*scores, np.mean(scores)]]
            print_row(WIDTHS, [name, *cells, f"{perf_counter() - start:.0f}"])


if __name__ == "__main__":
    main()
