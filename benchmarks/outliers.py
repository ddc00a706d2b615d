"""Does OutlierDetector rank outliers above usual rows as well as PyOD's detectors do?

Run `python -m benchmarks.outliers --data-dir DIR [--peers PYTHON] [--sets 14_glass,40_vowels]`.

DIR holds the tables of ADBench (Han et al. 2022, arXiv 2206.09426; github.com/Minqi824/ADBench, `Classical`) as npz
files with arrays `X` and `y`, 1 for an outlier. Each detector is fitted to all rows of a table, labels unseen, with its
defaults, and scores these rows. Printed are the area under the ROC curve of each table, their mean, the mean rank, and
the CPU seconds in all.

PYTHON is the interpreter of an environment that has PyOD and torch, such as `/opt/pyod/bin/python`; left out, it is
this one if it has PyOD. The settings of `OutlierDetector` were chosen on tables of scikit-learn's and made ones, with
outliers of other classes and of ADBench's four made kinds, and not on any of these tables.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from time import process_time

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from sklearn_mtae import OutlierDetector

from ._harness import describe_machine, print_row

Figures = dict[str, tuple[float, float]]
"""Area under the curve and seconds by detector."""


def ours(path: Path) -> Figures:
    """Fit and score a table by the default."""
    data = np.load(path)
    start = process_time()
    scores = -OutlierDetector(random_state=0).fit(data["X"]).score_samples(data["X"])
    return {"OutlierDetector": (float(roc_auc_score(data["y"], scores)), process_time() - start)}


def theirs(python: str, path: Path) -> Figures:
    """Fit and score a table by PyOD's detectors, in their own environment."""
    script = Path(__file__).with_name("_pyod.py")
    command = [python, "-W", "ignore", str(script), str(path.parent), path.stem]
    lines = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ).stdout
    found = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return {one["detector"]: (one["auc"], one["seconds"]) for one in found}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--peers", default=sys.executable if importlib.util.find_spec("pyod") else None)
    parser.add_argument("--sets", default=None)
    options = parser.parse_args()
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    paths = sorted(options.data_dir.glob("*.npz"), key=lambda path: int(path.stem.split("_")[0]))
    if options.sets is not None:
        paths = [path for path in paths if path.stem in options.sets.split(",")]
    print(describe_machine())
    every: list[Figures] = []
    for path in paths:
        every.append(ours(path) | (theirs(options.peers, path) if options.peers else {}))
        widths = (18, *(max(10, len(name)) for name in every[0]))
        if len(every) == 1:
            print_row(widths, ["ROC AUC", *every[0]])
        print_row(widths, [path.stem, *(f"{auc:.3f}" for auc, _ in every[-1].values())])
    aucs, seconds = np.moveaxis(np.array([list(figures.values()) for figures in every]), -1, 0)
    rank = rankdata(-aucs.round(6), axis=1).mean(axis=0)
    print_row(widths, ["mean", *(f"{value:.3f}" for value in aucs.mean(axis=0))])
    print_row(widths, ["mean rank", *(f"{value:.2f}" for value in rank)])
    print_row(widths, ["CPU seconds", *(f"{value:.0f}" for value in seconds.sum(axis=0))])


if __name__ == "__main__":
    main()
