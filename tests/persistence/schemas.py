"""Small files of a schema, and what the estimators in them said when they were saved.

``python -m tests.persistence.schemas tests/persistence/schema_1`` makes those of the current schema; files of a
released schema are never made again.
"""

import datetime
import functools
import json
import sys
import warnings
from decimal import Decimal
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mtae import (
    AutoencoderTransformer,
    MultipleImputation,
    MultiTaskVAE,
    MultiTaskVAEClassifier,
    MultiTaskVAERegressor,
    OutlierDetector,
    PerTaskRegressor,
    VAEImputer,
    VAETransformer,
)
from sklearn_mtae.nn.corruptions import masking
from sklearn_mtae.nn.likelihoods import StudentT
from sklearn_mtae.nn.objectives import IWAE, MMD, BetaTC
from sklearn_mtae.persistence import save

SMALL = {"n_components": 1, "hidden_layer_sizes": (2,), "max_iter": 2, "random_state": 0}
TASKS = {**SMALL, "n_estimators": 2, "likelihood": "gaussian"}
SHOWN = 6
"""Rows that a model is asked about."""

angle = np.arange(24.0)
ROWS = np.stack([np.sin(angle), np.cos(2 * angle), angle / 10], axis=1)
GAPS = np.where(np.arange(72).reshape(24, 3) % 11 == 5, np.nan, ROWS)
NUMBERS = np.stack([np.sin(angle / 2), ROWS[:, 0] - ROWS[:, 1]], axis=1)
CLASSES = np.stack([np.where(angle % 2, "odd", "even"), np.where(angle % 3, "no", "yes")], axis=1)
FRAME = pd.DataFrame({"size": ROWS[:, 0], "count": (angle % 5).astype("int64"), "is_new": angle % 2 == 0})
FRAME["job"] = pd.Categorical(np.where(angle % 4 < 2, "cook", "clerk"), ["cook", "clerk", "smith"], ordered=True)
FRAME["word"] = np.array(["a", "b", "c"], dtype=object)[np.arange(24) % 3]
FRAME.loc[[2, 5], ["size", "job", "word"]] = None
BOTH = pd.DataFrame({"price": NUMBERS[:, 0], "kind": CLASSES[:, 0]})

MODELS = {
    "autoencoder": (lambda: AutoencoderTransformer(**SMALL), ROWS, None),
    "frame": (lambda: AutoencoderTransformer(**SMALL, max_categories=2), FRAME, None),
    "quantile": (lambda: VAETransformer(**SMALL, likelihood="quantile"), GAPS[:, :1], None),
    "vae": (lambda: VAETransformer(**SMALL, dtype="float64", prior="mixture"), GAPS, None),
    "regressor": (lambda: MultiTaskVAERegressor(**TASKS), GAPS, NUMBERS),
    "classifier": (lambda: MultiTaskVAEClassifier(**TASKS), GAPS, CLASSES),
    "both": (lambda: MultiTaskVAE(**TASKS), GAPS, BOTH),
    "encoder": (
        lambda: MultiTaskVAERegressor(**{**TASKS, "n_estimators": 1}, encoder=VAETransformer(**SMALL).fit(ROWS)),
        ROWS,
        NUMBERS,
    ),
    "imputer": (lambda: VAEImputer(VAETransformer(**SMALL), add_indicator=True), GAPS, None),
    "outliers": (lambda: OutlierDetector(VAETransformer(**SMALL), n_estimators=1, random_state=0), ROWS, None),
    "imputations": (
        lambda: MultipleImputation(LinearRegression(), VAETransformer(**SMALL), n_draws=2, n_models=1, random_state=0),
        GAPS,
        NUMBERS[:, 0],
    ),
    "heads": (lambda: PerTaskRegressor(Ridge()), ROWS, NUMBERS),
    "pipeline": (
        lambda: make_pipeline(StandardScaler(), AutoencoderTransformer(**SMALL), LogisticRegression()),
        ROWS,
        CLASSES[:, 0],
    ),
}
VERBS = "transform", "predict", "predict_proba", "score_samples"
VALUES = [
    *(None, True, -(10**30), "é", 0.1, float("inf"), float("nan"), [1, (2, {"a": {3: "b"}})]),
    *(np.float32(0.1), np.int64(3), np.bool_(True), np.str_("a"), np.datetime64("2020-01-02"), np.timedelta64(3, "h")),
    *(np.arange(6.0).reshape(2, 3).T, np.array(["a", "bc"]), np.array([None, "a", 1], dtype=object)),
    *(np.arange(3, dtype=">f4"), Decimal("1.10"), b"\0a", datetime.date(2020, 1, 2), datetime.time(3, 4)),
    *(datetime.datetime(2020, 1, 2, 3, 4, 5, 6), datetime.timedelta(1, 2, 3), pd.NA, pd.NaT),
    *(pd.Timestamp("2020-01-02", tz="Europe/Berlin"), pd.Timedelta("1 day"), pd.Interval(0, 1.5, "both")),
    *(pd.Period("2020-01", "M"), pd.StringDtype("python"), pd.Series([1.5, 2.5], ["a", "b"])),
    *(pd.DataFrame([[1.0, 2.0]], ["a"], ["b", "c"]), functools.partial(StudentT, df=3), masking, torch.optim.SGD),
    *(IWAE(3), BetaTC(2.0), MMD(1.0), KFold(3, shuffle=True, random_state=1), Path(PurePosixPath("a/b"))),
]
"""Parameters of all kinds, in a file of their own."""


def told(model, rows):
    """Return what a model says of the first rows, as lists of numbers and words."""
    answers = {verb: getattr(model, verb)(rows[:SHOWN]) for verb in VERBS if hasattr(model, verb)}
    return {verb: plain(answer) for verb, answer in answers.items()}


def plain(answer):
    """Return an answer in JSON's types."""
    if isinstance(answer, dict | list):
        return [plain(own) for own in (answer.values() if isinstance(answer, dict) else answer)]
    answer = answer.astype(object).where(answer.notna(), None) if isinstance(answer, pd.DataFrame) else answer
    return np.asarray(answer).tolist()


def main(folder):
    """Make the files."""
    folder.mkdir(exist_ok=True)
    expected = {}
    for name, (make, rows, labels) in MODELS.items():
        model = make().fit(rows, labels)
        save(model, folder / f"{name}.mtae")
        expected[name] = told(model, rows)
    draws = np.random.RandomState(3)
    save(VAETransformer(net_params=dict(enumerate(VALUES)), random_state=draws), folder / "values.mtae")
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
