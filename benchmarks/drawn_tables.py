"""How well do drawn rows pass for real ones?

Run `python -m benchmarks.drawn_tables --data-dir DIR [--sets adult,air_quality,titanic,breast_cancer,diabetes]
[--splits 10] [--models VAE,TVAE]`.

DIR holds `adult-train.csv` (doi 10.24432/C5XW20), `AirQualityUCI.csv` (doi 10.24432/C59K5F) and `titanic.csv`
(https://github.com/mwaskom/seaborn-data); the others come with scikit-learn. Three quarters of the rows are learned
from, as many are drawn, and `generation_report` compares them with these and with the last quarter: C2ST (1: boosted
trees cannot tell them from the real rows), the same with held-out rows, the privacy share (.5 is ideal), and for adult
the area under the ROC curve of income, learned from drawn rows, less that of real ones. "in form" counts the columns
whose drawn values are all within the range of the real ones, or among their levels, and that have their dtype. CPU
seconds are those of fit and draws.

One split of a small table says little of its privacy share. With `--splits`, all figures are means over so many random
splits, each with a seed of its own, and "error" is the standard error of the mean privacy share over them.

"VAE" has the settings that the guide advises for synthetic data: the same for all tables of at least 1,000 rows, a
smaller network with more weight decay for the others. "latent classes" is a mixture of factorised rows: 200 classes at
most, in which all columns are independent, numbers being cut at 32 quantiles. "Gaussian copula" has a correlation for
each pair of columns and no other parameters: its privacy share on a small table shows what can be had there. "TVAE" and
"CTGAN" are those of the package `ctgan` with their defaults, best in an environment of their own, and run only where
`--models` has them.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import train_test_split

from sklearn_mtae import VAETransformer
from sklearn_mtae.metrics import generation_report

from ._harness import describe_machine, print_row

WIDTHS = (16, 18, 8, 11, 10, 8, 9, 10, 8)
ADVISED = {
    "n_components": 8,
    "hidden_layer_sizes": (256, 256),
    "prior": "ex_post",
    "beta": 0.2,
    "alpha": 0.1,
    "free_bits": 0.5,
    "batch_size": 200,
    "learning_rate_init": 4e-3,
    "learning_rate_decay": 1.0,
    "max_iter": 100,
}
OF_FEW_ROWS = {"hidden_layer_sizes": (64, 64), "beta": 0.5, "free_bits": 0.0, "alpha": 1.0}
"""What differs below `FEW_ROWS` rows, where a large network would come too close to them."""
FEW_ROWS = 1000
MOST_LEVELS, FREQUENT = 120, 0.1
"""Values of a column of numbers at most, and the share of the most frequent one at least, where it is a category."""
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours",
    "country",
    "income",
]
N_CLASSES, N_BINS, ROWS_PER_CLASS, N_STEPS = 200, 32, 20, 100

Draw = Callable[[pd.DataFrame, int], pd.DataFrame]
"""From real rows and a seed to as many drawn ones."""


class Figures(NamedTuple):
    """What one split of a table says of a model."""

    c2st: float
    unseen: float
    privacy: float
    taught: float
    in_form: int
    seconds: float


def load(name: str, folder: Path) -> pd.DataFrame:
    """Return a table."""
    if name == "adult":
        return pd.read_csv(folder / "adult-train.csv", header=None, names=ADULT, skipinitialspace=True, na_values="?")
    if name == "air_quality":
        table = pd.read_csv(folder / "AirQualityUCI.csv", encoding="utf-8-sig", na_values=-200)
        return table.drop(columns=["Date", "Time"]).dropna(how="all")
    if name == "titanic":
        return pd.read_csv(folder / "titanic.csv")
    own: dict[str, Any] = {"breast_cancer": load_breast_cancer, "diabetes": load_diabetes}
    return own[name](as_frame=True).frame


def by_vae(real: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw from a VAE."""
    settings: dict[str, Any] = (
        ADVISED | {"likelihood": likelihoods(real)} | (OF_FEW_ROWS if len(real) < FEW_ROWS else {})
    )
    return VAETransformer(**settings, random_state=seed).fit(real).sample(len(real), random_state=seed)


def likelihoods(real: pd.DataFrame) -> dict[str, str]:
    """Return the likelihood of each column: numbers are categories where they are few and one of them is frequent."""
    shares = {name: real[name].value_counts(normalize=True) for name in real.select_dtypes("number")}
    few = [name for name, share in shares.items() if len(share) <= MOST_LEVELS and share.iloc[0] >= FREQUENT]
    return dict.fromkeys(real, "auto") | dict.fromkeys(few, "categorical")


def by_copula(real: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw from a Gaussian copula: the normal scores of all columns are correlated; a missing cell is a value too."""
    rng, n_rows = np.random.default_rng(seed), len(real)
    codes = [pd.factorize(column, sort=True)[0] for _, column in real.items()]
    orders = [np.lexsort((rng.random(n_rows), own)) for own in codes]
    scores = np.column_stack([norm.ppf((order.argsort() + 0.5) / n_rows) for order in orders])
    drawn = rng.multivariate_normal(np.zeros(len(codes)), np.corrcoef(scores.T), n_rows)
    places = (norm.cdf(drawn) * n_rows).astype(int)
    columns = zip(real.items(), orders, places.T, strict=True)
    return pd.DataFrame({name: column.iloc[order[place]].to_numpy() for (name, column), order, place in columns})


def apart(real: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw each column by itself."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: column.to_numpy()[rng.permutation(len(real))] for name, column in real.items()})


def by_latent_classes(real: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw from a mixture of factorised rows, fitted by expectation maximisation; a missing cell is a value too."""
    rng = np.random.default_rng(seed)
    codes = np.column_stack([_cut(column) for _, column in real.items()])
    n_values = codes.max(axis=0) + 1
    n_classes = max(1, min(N_CLASSES, len(real) // ROWS_PER_CLASS))
    share = rng.dirichlet(np.full(n_classes, 0.1), size=len(real))
    for _ in range(N_STEPS):
        weight = share.sum(axis=0) + 1e-9
        tables = [_table(share, codes[:, j], n) for j, n in enumerate(n_values)]
        log_p = np.log(weight) + sum(np.log(table[:, codes[:, j]]).T for j, table in enumerate(tables))
        share = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
    classes = rng.choice(n_classes, size=len(real), p=weight / weight.sum())
    drawn = {}
    for j, (name, column) in enumerate(real.items()):
        chosen = np.array([rng.choice(n_values[j], p=tables[j][own]) for own in classes])
        rows = {value: np.flatnonzero(codes[:, j] == value) for value in np.unique(codes[:, j])}
        drawn[name] = column.iloc[[rng.choice(rows[value]) if value in rows else 0 for value in chosen]].to_numpy()
    return pd.DataFrame(drawn).astype(dict(real.dtypes), errors="ignore")


def _cut(column: pd.Series) -> NDArray:
    """Return the positions of the levels of a column, or of the quantiles that its numbers lie between."""
    if column.dtype.kind in "if" and column.nunique() > N_BINS:
        edges = np.unique(column.quantile(np.linspace(0, 1, N_BINS + 1)[1:-1]))
        return np.where(column.isna(), len(edges) + 1, np.searchsorted(edges, column, side="right"))
    codes, levels = pd.factorize(column)
    return np.where(codes < 0, len(levels), codes)


def _table(share: NDArray, codes: NDArray, n_values: int) -> NDArray:
    """Return the probability of each value in each class, shape (n_classes, n_values)."""
    counts = np.zeros((n_values, share.shape[1]))
    np.add.at(counts, codes, share)
    counts += 0.01 * counts.sum(axis=1, keepdims=True) / counts.sum()
    return (counts / counts.sum(axis=0)).T


def by_ctgan(kind: str) -> Draw:
    """Return what draws rows from a model of the package ctgan, whose tables have no gaps: these are filled first."""

    def draw(real: pd.DataFrame, seed: int) -> pd.DataFrame:
        import ctgan  # pyright: ignore[reportMissingImports]

        np.random.seed(seed)  # noqa: NPY002 (the package has no other seed)
        torch.manual_seed(seed)
        numbers = real.select_dtypes("number").columns
        others = list(real.columns.difference(numbers))
        whole = real.fillna(real[numbers].median())
        if others:
            whole = whole.fillna(real[others].mode().iloc[0])
        levels = {name: {str(level): level for level in whole[name].unique()} for name in others}
        model = getattr(ctgan, kind)(cuda=False)
        model.fit(whole.astype(dict.fromkeys(others, str)), others)
        drawn = model.sample(len(real))
        for name, own in levels.items():
            drawn[name] = drawn[name].map(own)
        return drawn[real.columns].astype(dict(whole.dtypes))

    return draw


MODELS: dict[str, Draw] = {
    "VAE": by_vae,
    "latent classes": by_latent_classes,
    "Gaussian copula": by_copula,
    "columns apart": apart,
    "TVAE": by_ctgan("TVAE"),
    "CTGAN": by_ctgan("CTGAN"),
}


def n_in_form(drawn: pd.DataFrame, real: pd.DataFrame) -> int:
    """Return how many drawn columns have the dtype of the real one, and no value beyond its range or levels."""
    return sum(_is_in_form(drawn[name], column) for name, column in real.items())


def _is_in_form(drawn: pd.Series, real: pd.Series) -> bool:
    if drawn.dtype != real.dtype:
        return False
    if real.dtype.kind in "iuf":
        return bool(drawn.dropna().between(real.min(), real.max()).all())
    return bool(drawn.dropna().isin(real).all())


def figures(table: pd.DataFrame, draw: Draw, seed: int, target: str | None) -> Figures:
    """Split a table, draw rows, and judge them."""
    real, held_out = (
        part.reset_index(drop=True) for part in train_test_split(table, test_size=0.25, random_state=seed)
    )
    start = process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = draw(real, seed)
    seconds = process_time() - start
    options: dict[str, Any] = {"n_bootstraps": 2, "random_state": seed}
    own = generation_report(real, drawn, held_out, target=target, **options).measures
    unseen = generation_report(held_out, drawn.iloc[: len(held_out)], real, **options).measures["c2st"].score
    taught = own["taught"].score - own["taught"].ideal if target else np.nan
    return Figures(own["c2st"].score, unseen, own["privacy"].score, taught, n_in_form(drawn, real), seconds)


def main() -> None:
    """Print a row for each table and model, and the means."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--sets", default="adult,air_quality,titanic,breast_cancer,diabetes")
    parser.add_argument("--models", default="VAE,latent classes,Gaussian copula,columns apart")
    parser.add_argument("--splits", type=int, default=1)
    parser.add_argument("--most-rows", type=int, default=None)
    arguments = parser.parse_args()
    print(describe_machine())
    header = ["table", "model", "C2ST", "held out", "privacy", "error", "taught", "in form", "CPU s"]
    print_row(WIDTHS, header)
    scores: dict[str, list[float]] = {}
    for name in arguments.sets.split(","):
        table = load(name, arguments.data_dir)
        table = table.sample(min(len(table), arguments.most_rows or len(table)), random_state=0)
        target = "income" if name == "adult" else None
        for model in arguments.models.split(","):
            found = [figures(table, MODELS[model], seed, target) for seed in range(arguments.splits)]
            mean = Figures(*np.mean(found, axis=0))
            scores.setdefault(model, []).append(mean.c2st)
            many = len(found) > 1
            error = f"{np.std([own.privacy for own in found], ddof=1) / len(found) ** 0.5:.3f}" if many else ""
            taught, in_form = f"{mean.taught:+.3f}" if target else "", f"{mean.in_form:g}/{table.shape[1]}"
            cells = [*(f"{own:.3f}" for own in mean[:3]), error, taught, in_form, f"{mean.seconds:.0f}"]
            print_row(WIDTHS, [name, model, *cells])
    for model, own in scores.items():
        print_row(WIDTHS, ["mean", model, f"{np.mean(own):.3f}", *[""] * 6])


if __name__ == "__main__":
    main()
