"""Tables completed by miceforest, which has an environment of its own: it needs an older lightgbm.

`PYTHON benchmarks/_miceforest.py GAPS.npy COMPLETED.npy` reads tables of shape (n_tables, n_rows, n_columns), NaN where
a cell is missing, and writes completed ones of shape (n_tables, n_draws, n_rows, n_columns). PYTHON is that of an
environment with `miceforest==6.0.5`, `lightgbm==4.5.0` and `scikit-learn<1.8`.
"""

import argparse

import miceforest
import numpy as np
import pandas as pd
from numpy.typing import NDArray


def complete(gaps: NDArray, n_draws: int, n_iterations: int, seed: int) -> NDArray:
    """Return tables of draws by chained boosted trees with predictive mean matching, as by default."""
    frame = pd.DataFrame(gaps).rename(columns=str)
    kernel = miceforest.ImputationKernel(frame, num_datasets=n_draws, random_state=seed)
    kernel.mice(n_iterations, num_threads=1, verbose=False)
    return np.stack([kernel.complete_data(dataset=draw).to_numpy(dtype=float) for draw in range(n_draws)])


def main() -> None:
    """Complete the tables of a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gaps")
    parser.add_argument("completed")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=3)
    options = parser.parse_args()
    tables = [
        complete(gaps, options.draws, options.iterations, seed) for seed, gaps in enumerate(np.load(options.gaps))
    ]
    np.save(options.completed, np.stack(tables))


if __name__ == "__main__":
    main()
